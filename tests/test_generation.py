"""Prediction: a batch answers as one question alone does, and likelihoods are the model's own."""

import pytest
import torch

from conftest import TEXTS
from medscale.chat import Chat
from medscale.generation import generate, likelihoods
from medscale.manifest import verify
from medscale.modeling import load_base
from medscale.tokenizer import load_tokenizer

NF4 = {"quant_type": "nf4", "double_quant": True}
QUESTIONS = [text[:n] for n, text in enumerate(TEXTS[:10], 2)]


@pytest.fixture(scope="module")
def wild_model(tiny_model, tmp_path_factory):
    """The tiny model with weights so large that its answers differ from each other."""
    folder = tmp_path_factory.mktemp("wild")
    model = load_base(verify(tiny_model), "base", NF4, "fp32")
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "proj" in name:
                weight.mul_(6)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=["lora", "qlora"])
def model(request, wild_model):
    return load_base(wild_model, request.param, NF4, "fp32").eval()


@pytest.fixture(scope="module")
def chat(tiny_model):
    return Chat(load_tokenizer(tiny_model), "你是医生。")


def test_batched_answers_equal_answers_one_by_one(model, chat):
    batched = generate(model, chat, QUESTIONS, 24, batch_size=4, label="batched")
    single = [generate(model, chat, [question], 24, batch_size=1, label="single")[0] for question in QUESTIONS]
    assert batched == single
    assert len({answer.text for answer in batched}) >= 4


def test_likelihoods_equal_a_plain_forward_pass(model, chat):
    pairs = list(zip(QUESTIONS, TEXTS[1:11], strict=True))
    for (question, answer), score in zip(pairs, likelihoods(model, chat, pairs, 512), strict=True):
        sample = chat.sample(question, answer, 512)
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([sample.input_ids])).logits[0, :-1].float()
        labels = torch.tensor(sample.labels[1:])
        expected = torch.nn.functional.cross_entropy(logits, labels, reduction="sum").item()
        assert score.nll_sum == pytest.approx(expected, rel=1e-5)
        assert score.n_tokens == len(chat.answer_ids(answer))


def test_a_prompt_without_room_has_no_likelihood(model, chat):
    assert likelihoods(model, chat, [("头痛" * 200, "多喝水"), ("头痛", "多喝水")], 100)[0] is None


def test_an_answer_ends_before_its_stop_token(model, chat):
    """With a head that always says <|im_end|>, answers are empty and have no tokens."""
    end = chat.stop_ids[0]
    head = model.get_output_embeddings()
    original = head.forward
    head.forward = lambda hidden: torch.nn.functional.one_hot(
        torch.full(hidden.shape[:-1], end), model.config.vocab_size
    ).float()
    try:
        answers = generate(model, chat, QUESTIONS[:3], 8, 2, "stopped")
    finally:
        head.forward = original
    assert [(answer.text, answer.n_tokens) for answer in answers] == [("", 0)] * 3
