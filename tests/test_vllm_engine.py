"""vLLM answers and judges as transformers does. Most of this runs where the package is installed."""

import json
from importlib.util import find_spec

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from conftest import TEXTS
from medscale.chat import Chat
from medscale.errors import UserError
from medscale.generation import generate, likelihoods
from medscale.manifest import verify
from medscale.modeling import add_adapter, load_adapter, load_base
from medscale.tokenizer import load_tokenizer
from medscale.vllm_engine import RANKS, VllmModel, rank_with_room

NF4 = {"quant_type": "nf4", "double_quant": True}
QUESTIONS = [text[:n] for n, text in enumerate(TEXTS[:10], 2)]
PAIRS = [*zip(QUESTIONS, TEXTS[1:11], strict=True), ("头痛" * 400, "多喝水")]
installed = pytest.mark.skipif(find_spec("vllm") is None, reason="the package vllm is not installed")


@pytest.mark.skipif(find_spec("vllm") is not None, reason="the package vllm is installed")
def test_without_the_package_it_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"evaluation\.engine = vllm: the package vllm is not installed"):
        VllmModel(tmp_path, None, "fp32", 4, 100)


@given(rank=st.integers(1, max(RANKS)))
def test_there_is_room_for_every_rank_and_no_more_than_needed(tmp_path_factory, rank):
    folder = tmp_path_factory.getbasetemp()
    (folder / "adapter_config.json").write_text(json.dumps({"r": rank}))
    room = rank_with_room(folder)
    assert room >= rank
    assert all(other < rank for other in RANKS if other < room)


def test_a_rank_too_large_is_refused(tmp_path):
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 513}))
    with pytest.raises(UserError, match=r"rank 512 at most, and lora\.r is 513"):
        rank_with_room(tmp_path)


@pytest.fixture(scope="module")
def wild(tiny_model, tmp_path_factory):
    """A model whose answers differ from each other, and an adapter that changes them."""
    folder = tmp_path_factory.mktemp("wild")
    model = load_base(verify(tiny_model), "base", NF4, "fp32")
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "proj" in name:
                weight.mul_(6)
    model.save_pretrained(folder / "model")
    lora = {"r": 4, "alpha": 8, "dropout": 0.0, "target_modules": "all-linear", "use_rslora": False}
    adapted = add_adapter(model, lora, seed=1)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 0.05)
    adapted.save_pretrained(folder / "adapter")
    return folder


@installed
@pytest.mark.slow
@pytest.mark.parametrize("adapter", [False, True])
def test_it_answers_and_judges_as_transformers_does(wild, tiny_model, adapter):
    chat = Chat(load_tokenizer(tiny_model), "你是医生。")
    ours = load_base(wild / "model", "lora", NF4, "fp32").eval()
    if adapter:
        ours = load_adapter(ours, wild / "adapter", merge=True)
    theirs = VllmModel(wild / "model", wild / "adapter" if adapter else None, "fp32", 4, 200)

    expected = generate(ours, chat, QUESTIONS, 24, 4, "transformers").answers
    assert len({answer.text for answer in expected}) >= 4
    assert theirs.generate(chat, QUESTIONS, 24, 4, "vllm").answers == expected

    scores = theirs.likelihoods(chat, PAIRS, 199).likelihoods
    assert scores[-1] is None
    for found, known in zip(scores[:-1], likelihoods(ours, chat, PAIRS, 199).likelihoods[:-1], strict=True):
        assert found.n_tokens == known.n_tokens
        assert found.nll_sum == pytest.approx(known.nll_sum, rel=1e-4)
