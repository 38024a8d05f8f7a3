"""Continuations: what rows share, what a small memory costs, what is kept, and what a text's windows cover."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model

from medscale.base.errors import UserError
from medscale.evaluate.continuations import (
    encode_pairs,
    loglikelihoods,
    longest_input,
    rows_of,
    widen_head,
    windows_of,
)
from medscale.evaluate.kept_answers import Shelf
from medscale.evaluate.kept_results import KeptResults, forget_others, kept_file
from medscale.model.loading import load_base
from medscale.model.tokenizer import load_tokenizer
from sentences import TEXTS


@pytest.fixture(scope="module")
def model(wild_model):
    return load_base(wild_model, "base", {}, "fp32").eval()


@pytest.fixture(scope="module")
def tokenizer(tiny_model):
    return load_tokenizer(tiny_model)


def plain(model, context, continuation):
    """The log-likelihood by one forward pass of its own, nats."""
    with torch.inference_mode():
        scores = model(input_ids=torch.tensor([context + continuation])).logits[0, :-1].float().log_softmax(-1)
    following = torch.tensor(context + continuation)[1:]
    return scores.gather(1, following[:, None])[-len(continuation) :].sum().item()


def test_likelihoods_equal_a_plain_forward_pass_of_each(model, tokenizer):
    wanted = [(text[: 2 + place], [" A", " B", " " + TEXTS[place], " AB\n"]) for place, text in enumerate(TEXTS[:6])]
    rows, pairs = [], []
    for context, continuations in wanted:
        new = encode_pairs(tokenizer, context, continuations)
        rows += rows_of(new, 512, len(pairs))
        pairs += new
    shelf = Shelf()
    loglikelihoods(model, rows, tokenizer.pad_token_id, shelf, "test")
    for place, (context, continuation) in enumerate(pairs):
        assert shelf.found[place][0] == pytest.approx(plain(model, context, continuation), abs=1e-4)
        assert shelf.found[place][1] == len(continuation)


def test_letters_behind_one_context_take_one_row(tokenizer):
    pairs = encode_pairs(tokenizer, "头痛怎么办？\n答案：", [" A", " B", " C", " D", " E"])
    assert len({len(continuation) for _, continuation in pairs}) == 1
    (row,) = rows_of(pairs, 512)
    assert sorted(row.wanted) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("method", ["base", "qlora"])
@pytest.mark.parametrize("adapted", [False, True])
def test_letters_of_a_model_in_16_bits_are_not_rounded_to_equal_ones(wild_model, tokenizer, method, adapted):
    """Logits near 20, as letters' are: rounded to bfloat16 they have steps of an eighth."""
    model = load_base(wild_model, method, {"quant_type": "nf4", "double_quant": True}, "bf16").eval()
    head = model.get_output_embeddings()
    with torch.no_grad():
        wide = head.weight.clone()
        wide[30:60] = wide[30] * (20 / wide[30].norm() ** 2) + 1e-3 * torch.randn(30, wide.shape[1])
    head.weight = torch.nn.Parameter(wide, requires_grad=False)  # no longer tied to the embedding
    if adapted:
        model = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"])).eval()
    rows = rows_of([([token, 7], [letter]) for token in range(5, 25) for letter in range(30, 60)], 512)

    def found():
        shelf = Shelf()
        loglikelihoods(model, rows, tokenizer.pad_token_id, shelf, "test")
        return [tuple(shelf.found[first + place][0] for place in range(30)) for first in range(0, 600, 30)]

    rounded = found()
    widen_head(model)
    exact = found()
    assert max(len(set(values)) for values in rounded) <= 12  # of 30
    assert min(len(set(values)) for values in exact) >= 22  # float32 has a few equal ones, too
    with torch.inference_mode():
        decoder = model.get_base_model().model if adapted else model.model
        hidden = decoder(input_ids=torch.tensor([[5, 7]])).last_hidden_state[0, -1].float()
    assert exact[0] == pytest.approx((wide.float() @ hidden).log_softmax(-1)[30:60].tolist(), abs=1e-5)


def test_a_head_that_is_more_than_a_linear_layer_stays(wild_model):
    model = load_base(wild_model, "base", {}, "bf16")
    tuned = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj", "lm_head"]))
    before = tuned.get_output_embeddings()
    widen_head(tuned)
    assert tuned.get_output_embeddings() is before
    whole = load_base(wild_model, "base", {}, "fp32")
    before = whole.get_output_embeddings()
    widen_head(whole)
    assert whole.get_output_embeddings() is before


def test_too_long_a_context_is_cut_at_its_left():
    (row,) = rows_of([(list(range(100)), [7])], 10)
    assert row.ids == list(range(90, 100))


def test_spaces_at_the_end_of_a_context_belong_to_the_continuation(tokenizer):
    (moved,), (same,) = encode_pairs(tokenizer, "答案：\n ", ["好"]), encode_pairs(tokenizer, "答案：", ["\n 好"])
    assert moved == same


def test_where_memory_does_not_suffice_half_as_many_go_at_once(model, tokenizer, monkeypatch):
    pairs = encode_pairs(tokenizer, "问：", [" " + text for text in TEXTS[:5]])
    rows = rows_of(pairs, 512)
    whole, halved = Shelf(), Shelf()
    loglikelihoods(model, rows, tokenizer.pad_token_id, whole, "whole")
    forward, most = model.forward, []

    def small(*args, **kwargs):
        if len(kwargs["input_ids"]) > 1:
            raise torch.OutOfMemoryError("no room")
        most.append(len(kwargs["input_ids"]))
        return forward(*args, **kwargs)

    monkeypatch.setattr(model, "forward", small)
    events = loglikelihoods(model, rows, tokenizer.pad_token_id, halved, "halved")
    assert len(most) == 5
    assert events[0]["kind"] == "fallback"
    assert {place: found[0] for place, found in halved.found.items()} == pytest.approx(
        {place: found[0] for place, found in whole.found.items()}, abs=1e-4
    )
    monkeypatch.setattr(model, "forward", lambda **_: (_ for _ in ()).throw(torch.OutOfMemoryError("no room")))
    with pytest.raises(UserError, match="out of memory with one row") as caught:
        loglikelihoods(model, rows, tokenizer.pad_token_id, Shelf(), "none")
    assert caught.value.code == "E130"


def test_what_is_kept_is_not_computed_again(model, tokenizer, tmp_path, monkeypatch):
    rows = rows_of(encode_pairs(tokenizer, "问：", [" " + text for text in TEXTS[:4]]), 512)
    path = kept_file(tmp_path, "exam", "0" * 64)
    loglikelihoods(model, rows[:3], tokenizer.pad_token_id, KeptResults(path, lambda: 1.5), "first")
    again, forward, seen = KeptResults(path, lambda: 0.5), model.forward, []
    monkeypatch.setattr(model, "forward", lambda **told: seen.append(len(told["input_ids"])) or forward(**told))
    again.begin()
    loglikelihoods(model, rows, tokenizer.pad_token_id, again, "second")
    assert sum(seen) == 1
    assert len(again.found) == 4
    assert again.peak_memory_gib == 1.5
    assert again.seconds > 0
    other = kept_file(tmp_path, "exam", "1" * 64)
    other.write_text(json.dumps({}))
    forget_others(tmp_path, [path])
    assert path.is_file()
    assert not other.exists()


def test_values_too_large_for_the_format_are_told(model, tokenizer, monkeypatch):
    rows = rows_of(encode_pairs(tokenizer, "问：", [" 好"]), 512)
    head = model.get_output_embeddings()
    forward = head.forward
    monkeypatch.setattr(head, "forward", lambda hidden: forward(hidden) * float("nan"))
    with pytest.raises(UserError, match=r"training\.precision") as caught:
        loglikelihoods(model, rows, tokenizer.pad_token_id, Shelf(), "nan")
    assert caught.value.code == "E103"


@given(st.integers(1, 60), st.integers(2, 20))
def test_each_token_of_a_text_is_predicted_once_from_those_before_it(count, longest):
    tokens = list(range(1, count + 1))
    rows = windows_of(tokens, 0, longest)
    predicted = [token for row in rows for wanted in row.wanted.values() for token in wanted]
    assert predicted == tokens
    for place, row in enumerate(rows):
        (wanted,) = row.wanted.values()
        assert list(row.wanted) == [place]
        assert len(wanted) <= len(row.ids) <= longest
        assert row.ids[-1] == wanted[-1] - 1
        assert row.ids == list(range(row.ids[0], row.ids[-1] + 1))


def test_the_longest_input_is_the_models(model):
    assert longest_input(model.config) == 2048
