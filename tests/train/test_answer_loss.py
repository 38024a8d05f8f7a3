"""The loss from answer positions equals the model's own: value, gradients, and the loss curve."""

import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, Gemma2Config, LlamaConfig, Qwen2Config

from medscale.model.chat import IGNORED
from medscale.model.loading import add_adapter
from medscale.train import answer_loss
from medscale.train.answer_loss import summed_loss, use_answer_loss
from medscale.train.trainer import micro_batches

SMALL = {"vocab_size": 211, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2}
SMALL |= {"num_attention_heads": 4, "num_key_value_heads": 2}
LORA = {"r": 4, "alpha": 8, "dropout": 0.0, "target_modules": "all-linear", "use_rslora": False}


def model_of(kind=Qwen2Config, **settings):
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(kind(**SMALL, **settings)).requires_grad_(False)


def adapted(**settings):
    model = add_adapter(model_of(**settings), LORA, seed=1)
    for name, weight in model.named_parameters():
        if "lora_B" in name:  # zero at the start, which would leave lora_A without a gradient
            torch.nn.init.normal_(weight, std=0.05)
    return model


@pytest.fixture(scope="module")
def pair():
    """The same adapted model twice: with the loss of its own, and with the loss from answer positions."""
    own, ours = adapted(), adapted()
    assert use_answer_loss(ours.get_base_model())
    return own, ours


def batch_of(lengths, answered, seed):
    """Return right-padded rows of random tokens in which each labelled position was drawn with a probability."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, SMALL["vocab_size"], (len(lengths), max(lengths)), generator=generator)
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    chosen = (torch.rand(ids.shape, generator=generator) < answered) & mask.bool()
    chosen[0, -1 if lengths[0] == max(lengths) else lengths[0] - 1] = True  # at least one answer token
    return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(~chosen, IGNORED)}


@settings(max_examples=40)
@given(
    lengths=st.lists(st.integers(2, 40), min_size=1, max_size=5),
    answered=st.floats(0.0, 1.0),
    seed=st.integers(0, 2**31),
    items=st.sampled_from([None, 7, 1000]),
)
def test_value_and_adapter_gradients_equal_the_full_loss(pair, lengths, answered, seed, items):
    batch = batch_of(lengths, answered, seed)
    batch |= {} if items is None else {"num_items_in_batch": items}
    results = []
    for model in pair:
        model.zero_grad()
        loss = model(**batch).loss
        loss.backward()
        results.append((loss.detach(), {n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad}))
    (expected, gradients), (found, ours) = results
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert gradients.keys() == ours.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(ours[name], gradient, rtol=1e-5, atol=1e-5, msg=name)
    assert max(gradient.abs().max() for gradient in gradients.values()) > 0


@pytest.mark.parametrize("chunk_bytes", [1, 4 * 211 * 3, 10**9])
def test_chunks_do_not_matter(monkeypatch, chunk_bytes):
    torch.manual_seed(3)
    hidden, head = torch.randn(10, 64, requires_grad=True), torch.nn.Linear(64, 211).requires_grad_(False)
    targets = torch.randint(0, 211, (10,))
    expected = torch.nn.functional.cross_entropy(head(hidden), targets, reduction="sum")
    (gradient,) = torch.autograd.grad(expected, hidden)
    monkeypatch.setattr(answer_loss, "CHUNK_BYTES", chunk_bytes)
    found = summed_loss(hidden, head, targets)
    (ours,) = torch.autograd.grad(found, hidden)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours, gradient, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gradients_are_those_of_float32_up_to_rounding(dtype):
    torch.manual_seed(3)
    hidden, head = torch.randn(50, 64), torch.nn.Linear(64, 4096, bias=False).requires_grad_(False)
    targets = torch.randint(0, 4096, (50,))
    results = []
    for kind in (torch.float32, dtype):
        states = hidden.to(kind).requires_grad_()
        loss = summed_loss(states, head.to(kind), targets)
        results.append((loss.detach(), torch.autograd.grad(loss, states)[0].float()))
    (expected, gradient), (found, ours) = results
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=0)
    assert (ours - gradient).norm() / gradient.norm() < 0.02


def test_no_logits_of_prompts_and_of_the_whole_batch_exist(pair, monkeypatch):
    """The head is asked for labelled positions only, a chunk at a time."""
    asked = []
    monkeypatch.setattr(answer_loss, "CHUNK_BYTES", 4 * 211 * 8)
    product = torch.mm

    def watched(inputs, weight, **keywords):
        if weight.shape[1] == 211:
            asked.append(inputs.shape[0])
        return product(inputs, weight, **keywords)

    monkeypatch.setattr(torch, "mm", watched)
    batch = batch_of([30, 20], 0.5, 5)
    pair[1](**batch)
    assert sum(asked) == int((batch["labels"][:, 1:] != IGNORED).sum())
    assert max(asked) == 8


def test_other_architectures_of_the_same_kind_take_part():
    assert use_answer_loss(model_of(LlamaConfig))
    assert use_answer_loss(model_of(tie_word_embeddings=True))


def test_a_model_with_another_loss_keeps_its_own():
    capped = model_of(Gemma2Config, head_dim=16, final_logit_softcapping=0.5)
    before = capped.forward
    assert not use_answer_loss(capped)
    assert capped.forward == before
    trained_head = model_of()
    trained_head.lm_head.requires_grad_(True)
    assert not use_answer_loss(trained_head)


@settings(max_examples=60)
@given(
    lengths=st.lists(st.integers(2, 90), min_size=1, max_size=20),
    tokens=st.integers(1, 400),
    multiple=st.sampled_from([1, 8]),
)
def test_micro_batches_hold_every_token_once_within_the_budget(lengths, tokens, multiple):
    batch = batch_of(lengths, 0.5, 1)
    parts = list(micro_batches(batch, tokens, multiple))
    assert sum(len(part["input_ids"]) for part in parts) == len(lengths)
    for part in parts:
        rows, width = part["input_ids"].shape
        assert rows == 1 or rows * width <= tokens
        longest = int(part["attention_mask"].sum(1).max())
        assert longest <= width < longest + multiple
    for name in ("input_ids", "labels"):
        kept = [
            row[mask.bool()].tolist()
            for part in parts
            for row, mask in zip(part[name], part["attention_mask"], strict=True)
        ]
        given_rows = [row[mask.bool()].tolist() for row, mask in zip(batch[name], batch["attention_mask"], strict=True)]
        assert sorted(kept) == sorted(given_rows)


def test_the_sum_and_its_gradient_by_hand():
    """Two tokens over two words: -log of 1/4 and of 1/2, with the slopes p - 1 and p."""
    head = torch.nn.Linear(2, 2).requires_grad_(False)
    head.weight.copy_(torch.eye(2))
    head.bias.copy_(torch.tensor([0.0, math.log(3.0)]))
    hidden = torch.tensor([[0.0, 0.0], [math.log(3.0), 0.0]], requires_grad=True)
    loss = summed_loss(hidden, head, torch.tensor([0, 1]))
    (3 * loss).backward()
    assert loss.item() == pytest.approx(math.log(4) + math.log(2))
    assert hidden.grad.tolist() == [pytest.approx([-2.25, 2.25]), pytest.approx([1.5, -1.5])]


def test_small_probabilities_have_gradients_in_half_precision():
    head = torch.nn.Linear(2, 2, bias=False).requires_grad_(False)
    head.weight.copy_(torch.eye(2))
    hidden = torch.tensor([[17.0, 0.0]], requires_grad=True)
    summed_loss(hidden, head.half(), torch.tensor([0])).backward()
    assert hidden.grad[0, 1].item() == pytest.approx(math.exp(-17), rel=0.02)


def test_no_gradient_is_computed_where_none_is_asked_for():
    head = torch.nn.Linear(4, 9).requires_grad_(False)
    loss = summed_loss(torch.randn(3, 4), head, torch.tensor([1, 2, 3]))
    assert not loss.requires_grad
    assert loss.dtype == torch.float32


def test_so_many_tokens_make_a_chunk(monkeypatch):
    chunks = []
    apply = answer_loss._SummedLoss.apply
    monkeypatch.setattr(answer_loss._SummedLoss, "apply", lambda *told: chunks.append(told[-1]) or apply(*told))
    for size, chunk in ((4 * 9 * 5, 5), (4 * 9 * 5 - 1, 4), (1, 1)):
        monkeypatch.setattr(answer_loss, "CHUNK_BYTES", size)
        summed_loss(torch.randn(3, 4), torch.nn.Linear(4, 9).requires_grad_(False), torch.tensor([1, 2, 3]))
        assert chunks.pop() == chunk


@pytest.mark.parametrize(
    ("dtype", "relative", "same"),
    [
        (torch.float32, 0.9e-4, True),
        (torch.float32, 2.5e-4, False),
        (torch.bfloat16, 1e-2, True),
        (torch.bfloat16, 5e-2, False),
    ],
)
def test_a_loss_is_the_same_up_to_rounding(dtype, relative, same):
    model = model_of().to(dtype).train()
    seen = []

    def loss_of(value):
        def forward(**sample):
            seen.append((model.training, torch.is_grad_enabled(), {name: x.tolist() for name, x in sample.items()}))
            return SimpleNamespace(loss=torch.tensor(value))

        return forward

    assert answer_loss._same_loss(model, loss_of(5.0), loss_of(5.0 * (1 + relative))) is same
    ids = [list(range(1, 17))]
    assert seen == [(False, False, {"input_ids": ids, "attention_mask": [[1] * 16], "labels": ids})] * 2
    assert model.training


def test_the_mode_of_a_model_stays_whatever_its_loss_raises():
    def fails(**sample):
        raise ValueError("no loss")

    for training in (True, False):
        model = model_of().train(training)
        with pytest.raises(ValueError, match="no loss"):
            answer_loss._same_loss(model, fails, fails)
        assert model.training is training


def test_the_tokens_of_the_comparison_are_words_of_a_small_vocabulary():
    model = model_of()
    model.config.vocab_size = 10
    ids = []

    def forward(**sample):
        ids.append(sample["input_ids"])
        return SimpleNamespace(loss=torch.ones(()))

    assert answer_loss._same_loss(model, forward, forward)
    assert ids[0].tolist() == [[1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5, 6]]


def test_chunks_of_half_precision_and_of_one_token(monkeypatch):
    monkeypatch.setattr(answer_loss, "CHUNK_BYTES", 1)
    torch.manual_seed(3)
    head = torch.nn.Linear(8, 5).requires_grad_(False)
    hidden, targets = torch.randn(4, 8, requires_grad=True), torch.tensor([0, 4, 2, 2])
    (expected,) = torch.autograd.grad(torch.nn.functional.cross_entropy(head(hidden), targets, reduction="sum"), hidden)
    (found,) = torch.autograd.grad(summed_loss(hidden, head.bfloat16(), targets), hidden)
    assert found.dtype == torch.float32
    assert (found - expected).norm() / expected.norm() < 0.05
