"""vLLM answers and judges as transformers does. Most of this runs where the package is installed."""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from conftest import TEXTS
from medscale.base.errors import UserError
from medscale.evaluate import run
from medscale.evaluate.generation import generate, likelihoods
from medscale.evaluate.vllm_engine import RANKS, VllmModel, rank_with_room
from medscale.fetch.manifest import verify
from medscale.model.chat import Chat
from medscale.model.loading import add_adapter, load_adapter, load_base
from medscale.model.tokenizer import load_tokenizer

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


SETTINGS = {"evaluation": {"engine": "vllm", "max_new_tokens": 24, "batch_size": 4}, "quantization": NF4}


@pytest.mark.parametrize(("max_length", "extra"), [(20, 24), (4096, None)])
def test_there_is_room_for_the_longest_answer_and_the_longest_reference(tiny_model, monkeypatch, max_length, extra):
    chat = Chat(load_tokenizer(tiny_model), "你是医生。")
    monkeypatch.setattr(run, "VllmModel", lambda *told: told)
    args = SimpleNamespace(model=tiny_model, content=None, method="lora", adapter=Path("adapter"))
    pairs = [("头痛怎么办", "休息" * 50), ("头痛", "休息" * 60)]
    folder, adapter, kind, batch_size, longest = run.load(
        args, SETTINGS | {"max_length": max_length}, "bf16", chat, pairs
    )
    assert (folder, adapter, kind, batch_size) == (verify(tiny_model), Path("adapter"), "bf16", 4)
    prompts = [len(chat.prompt_ids(question)) for question, _ in pairs]
    answers = [len(chat.answer_ids(answer)) for _, answer in pairs]
    assert longest == (max(prompts) + extra if extra else max(map(sum, zip(prompts, answers, strict=True))) + 1)


def test_qlora_is_refused(tiny_model):
    args = SimpleNamespace(model=tiny_model, content=None, method="qlora", adapter=Path("adapter"))
    with pytest.raises(UserError, match=r"evaluation\.engine = vllm: it does not run QLoRA's"):
        run.load(args, SETTINGS, "bf16", None, [])


@pytest.fixture(scope="module")
def wild(wild_model, tmp_path_factory):
    """A model whose answers differ from each other, and adapters that change them."""
    folder = tmp_path_factory.mktemp("engines")
    shutil.copytree(wild_model, folder / "model")
    # An end token that is not ours, and that the answers are full of: vLLM must not end at it.
    (folder / "model" / "generation_config.json").write_text(json.dumps({"eos_token_id": list(range(300, 600))}))
    for rank_stabilised in (False, True):
        base = load_base(folder / "model", "base", NF4, "fp32")
        lora = {"r": 4, "alpha": 8, "dropout": 0.0, "target_modules": "all-linear", "use_rslora": rank_stabilised}
        adapted = add_adapter(base, lora, seed=1)
        with torch.no_grad():
            for name, weight in adapted.named_parameters():
                if "lora_B" in name:
                    weight.normal_(0, 0.05)
        adapted.save_pretrained(folder / ("rslora" if rank_stabilised else "lora"))
    return folder


@installed
@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="compared in fp32, which vLLM's adapters do not have on a card")
@pytest.mark.parametrize("adapter", [None, "lora", "rslora"])
def test_it_answers_and_judges_as_transformers_does(wild, tiny_model, adapter):
    chat = Chat(load_tokenizer(tiny_model), "你是医生。")
    ours = load_base(wild / "model", "lora", NF4, "fp32").eval()
    if adapter:
        ours = load_adapter(ours, wild / adapter, merge=True)
    theirs = VllmModel(wild / "model", wild / adapter if adapter else None, "fp32", 4, 200)

    expected = generate(ours, chat, QUESTIONS, 24, 4, "transformers").answers
    assert len({answer.text for answer in expected}) >= 4
    assert theirs.generate(chat, QUESTIONS, 24, 4, "vllm").answers == expected

    scores = theirs.likelihoods(chat, PAIRS, 199).likelihoods
    assert scores[-1] is None
    for found, known in zip(scores[:-1], likelihoods(ours, chat, PAIRS, 199).likelihoods[:-1], strict=True):
        assert found.n_tokens == known.n_tokens
        assert found.nll_sum == pytest.approx(known.nll_sum, rel=1e-4)


@installed
@pytest.mark.slow
def test_what_it_cannot_run_is_said_in_its_words(wild, tmp_path):
    with pytest.raises(UserError, match=r"cannot run .*model here: .*max_model_len.*; set evaluation\.engine"):
        VllmModel(wild / "model", None, "fp32", 4, 10**7)
    config = json.loads((wild / "lora" / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"cannot run .* here: "):
        VllmModel(wild / "model", tmp_path, "fp32", 4, 200)
