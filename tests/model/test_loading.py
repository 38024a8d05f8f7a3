"""How a base model is loaded where a card lacks a kernel, and what is no base model."""

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM
from transformers.integrations import sdpa_attention

from medscale.base.errors import UserError
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


def test_weights_that_would_be_made_up_are_refused(tmp_path, grouped):
    model = grouped[0]
    whole = model.state_dict()
    left = {name: weight for name, weight in whole.items() if name != "model.layers.1.mlp.down_proj.weight"}
    model.save_pretrained(tmp_path, state_dict=left)
    with pytest.raises(
        UserError, match=r"no weights .* for model\.layers\.1\.mlp\.down_proj\.weight, which would be random"
    ):
        load_base(tmp_path, "lora", {}, "fp32")
    model.save_pretrained(tmp_path, state_dict=whole | {"lm_head.weight": torch.zeros(49, 32)})
    with pytest.raises(UserError, match="lm_head"):
        load_base(tmp_path, "lora", {}, "fp32")
    model.save_pretrained(tmp_path)
    assert torch.equal(load_base(tmp_path, "lora", {}, "fp32").lm_head.weight, model.lm_head.weight)


def test_an_adapter_in_the_folder_has_no_effect_but_an_error(tmp_path, grouped):
    grouped[0].save_pretrained(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match="holds an adapter beside the model"):
        load_base(tmp_path, "lora", {}, "fp32")
