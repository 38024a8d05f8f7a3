"""How a base model is loaded where a card lacks a kernel."""

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM
from transformers.integrations import sdpa_attention

from medscale.model import loading
from medscale.model.loading import load_base, share_keys_by_copies


@pytest.fixture
def grouped(monkeypatch):
    """A model of four heads that share two keys, and what its attention is called with."""
    monkeypatch.setattr(sdpa_attention, "use_gqa_in_sdpa", sdpa_attention.use_gqa_in_sdpa)  # put back afterwards
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2}
    model = Qwen2ForCausalLM(Qwen2Config(vocab_size=50, num_hidden_layers=2, **shape)).eval()
    calls = []
    attend = torch.nn.functional.scaled_dot_product_attention

    def spy(query, key, value, **named):
        calls.append((query.shape[1], key.shape[1], named.get("enable_gqa", False)))
        return attend(query, key, value, **named)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", spy)
    return model, calls


@torch.no_grad()
def test_rows_without_padding_need_no_kernel_that_shares_keys(grouped):
    model, calls = grouped
    ids = torch.arange(20).view(2, 10)
    shared = model(ids)
    step = model(ids[:, :1], past_key_values=shared.past_key_values)
    assert {gqa for *_, gqa in calls} == {True}, "transformers has another way now: the replacement is not needed"
    calls.clear()
    share_keys_by_copies()
    copied = model(ids)
    after = model(ids[:, :1], past_key_values=copied.past_key_values)
    assert set(calls) == {(4, 4, False), (2, 2, False)}  # copies for many queries, heads side by side for one
    torch.testing.assert_close(copied.logits, shared.logits, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(after.logits, step.logits, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("capability", "copies"), [((6, 0), True), ((7, 5), True), ((8, 0), False), ((9, 0), False)])
def test_cards_without_flash_attention_get_copies(tmp_path, monkeypatch, grouped, capability, copies):
    grouped[0].save_pretrained(tmp_path)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    kinds = iter(["cpu", "cuda"])
    monkeypatch.setattr(loading, "device", lambda: torch.device(next(kinds)))
    before = sdpa_attention.use_gqa_in_sdpa
    load_base(tmp_path, "lora", {}, "fp32")
    assert (sdpa_attention.use_gqa_in_sdpa is not before) == copies
