"""vLLM answers and judges as transformers does. Most of this runs where the package is installed."""

import json
import math
import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medscale.base.errors import UserError
from medscale.evaluate import run, vllm_engine
from medscale.evaluate.generation import Answer, Generation, Likelihood, Scored, generate, likelihoods
from medscale.evaluate.vllm_engine import RANKS, VllmModel, rank_with_room
from medscale.fetch.manifest import verify
from medscale.model.chat import Chat, Sample
from medscale.model.hardware import ROOM
from medscale.model.loading import add_adapter, load_adapter, load_base
from medscale.model.tokenizer import load_tokenizer
from sentences import TEXTS

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


def test_the_message_for_a_rank_too_large_says_what_to_do(tmp_path):
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 600}))
    with pytest.raises(UserError) as caught:
        rank_with_room(tmp_path)
    assert caught.value.text == (
        "evaluation.engine = vllm: it runs adapters of rank 512 at most, and lora.r is 600; set "
        "evaluation.engine: transformers"
    )


def test_memory_is_a_gibibyte_on_a_cpu_and_most_of_what_is_free_on_a_card(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert vllm_engine._memory() == {"kv_cache_memory_bytes": 1024**3}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (30, 40))
    assert vllm_engine._memory() == {"gpu_memory_utilization": ROOM * 0.75}


@pytest.fixture
def engine(monkeypatch):
    """The package vllm with an engine that notes what it is told, and answers what it is given."""
    noted = SimpleNamespace(made=None, adapters=[], runs=[], outputs=[], problem=None)

    class Engine:
        def __init__(self, **told):
            if noted.problem:
                raise noted.problem
            noted.made, noted.environment = told, {name: os.environ.get(name) for name in ENVIRONMENT}
            self.llm_engine = SimpleNamespace(add_lora=noted.adapters.append)

        def generate(self, prompts, parameters, lora_request):
            noted.runs.append((prompts, parameters, lora_request))
            return noted.outputs

    class Request(NamedTuple):
        name: str
        number: int
        path: str

    for name, values in {
        "vllm": {"LLM": Engine, "SamplingParams": lambda **told: told, "__version__": "0.99"},
        "vllm.lora": {},
        "vllm.lora.request": {"LoRARequest": Request},
    }.items():
        module = ModuleType(name)
        vars(module).update(values)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(vllm_engine, "find_spec", {"vllm": "spec"}.get)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    yield noted
    for name in ENVIRONMENT:
        os.environ.pop(name, None)


ENVIRONMENT = ("VLLM_ENABLE_V1_MULTIPROCESSING", "VLLM_NO_USAGE_STATS")
GREEDY = {"temperature": 0.0, "detokenize": False, "ignore_eos": True}


class Words:
    """A chat of which each character is a token; 9 and 8 end an answer."""

    stop_ids = (9, 8)

    def answer_text(self, ids):
        return f"{ids} True"

    def prompt_ids(self, question):
        return [int(character) for character in question]

    def sample(self, question, answer, max_length):
        ids = [*self.prompt_ids(question), *self.prompt_ids(answer)]
        labels = [-100] * len(question) + ids[len(question) :]
        return Sample(ids, labels, False) if len(ids) <= max_length else None


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", "bfloat16"), ("fp16", "float16"), ("fp32", "float32")])
def test_the_engine_is_told_all_that_it_must_not_choose_itself(engine, precision, dtype):
    made = VllmModel(Path("net"), None, precision, 4, 200)
    assert made.name == "vllm 0.99"
    assert engine.made == {
        "model": "net",
        "skip_tokenizer_init": True,
        "trust_remote_code": False,
        "load_format": "safetensors",
        "generation_config": "vllm",
        "dtype": dtype,
        "max_model_len": 200,
        "max_num_seqs": 4,
        "seed": 0,
        "kv_cache_memory_bytes": 1024**3,
    }
    assert engine.environment == dict(zip(ENVIRONMENT, "01", strict=True))
    assert engine.adapters == []


def test_an_adapter_is_loaded_at_once_and_asked_with(engine, tmp_path, monkeypatch):
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 16}))
    monkeypatch.chdir(tmp_path.parent)
    made = VllmModel("net", Path(tmp_path.name), "fp32", 4, 200)
    assert (engine.made["enable_lora"], engine.made["max_lora_rank"]) == (True, 16)
    assert engine.adapters == [("adapter", 1, str(tmp_path))]
    made.generate(Words(), [], 5, 4, "")
    assert engine.runs[0][2] is engine.adapters[0]


def test_a_variable_that_the_user_has_set_stays(engine, monkeypatch):
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "1")
    VllmModel("net", None, "fp32", 4, 200)
    assert engine.environment["VLLM_ENABLE_V1_MULTIPROCESSING"] == "1"


def test_on_a_card_adapters_need_16_bits(engine, monkeypatch, tmp_path):
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 16}))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (1, 2))
    with pytest.raises(UserError) as caught:
        VllmModel("net", tmp_path, "fp32", 4, 200)
    assert caught.value.text == (
        "training.precision = fp32: on a card, vLLM runs adapters in 16 bits only; set evaluation.engine: transformers"
    )
    VllmModel("net", None, "fp32", 4, 200)
    VllmModel("net", tmp_path, "bf16", 4, 200)


@pytest.mark.parametrize("kind", [ImportError, ValueError, RuntimeError])
def test_what_the_engine_says_is_told_in_one_line(engine, kind, tmp_path):
    engine.problem = kind("no\n  room")
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 16}))
    for adapter, named in ((None, "net"), (tmp_path, tmp_path)):
        with pytest.raises(UserError) as caught:
            VllmModel("net", adapter, "fp32", 4, 200)
        assert caught.value.text == (
            f"evaluation.engine = vllm: it cannot run {named} here: no room; "
            "set evaluation.engine: transformers to do without it"
        )


def test_without_the_package_the_whole_message(monkeypatch):
    monkeypatch.setattr(vllm_engine, "find_spec", {}.get)
    with pytest.raises(UserError) as caught:
        VllmModel("net", None, "fp32", 4, 200)
    assert caught.value.text == (
        "evaluation.engine = vllm: the package vllm is not installed beside this Python; install it as "
        "docs.vllm.ai tells, or set evaluation.engine: transformers"
    )


def test_an_answer_of_the_engine_ends_before_its_stop_token(engine):
    made = VllmModel("net", None, "fp32", 4, 200)
    tokens = [(1, 2, 9), (1, 2, 3), (), (8,), (9, 1)]
    engine.outputs = [SimpleNamespace(outputs=[SimpleNamespace(token_ids=ids)]) for ids in tokens]
    found = made.generate(Words(), ["12", "3"], 7, 4, "label")
    assert found == Generation(
        [
            *(Answer("[1, 2] True", 2), Answer("[1, 2, 3] True", 3), Answer("[] True", 0), Answer("[] True", 0)),
            Answer("[9, 1] True", 2),
        ],
        [],
    )
    prompts = [{"prompt_token_ids": [1, 2]}, {"prompt_token_ids": [3]}]
    assert engine.runs == [(prompts, {**GREEDY, "max_tokens": 7, "stop_token_ids": (9, 8)}, None)]


def test_the_engine_judges_the_tokens_of_the_answer_alone(engine):
    made = VllmModel("net", None, "fp32", 4, 200)

    def judged(*values):
        places = [{token: SimpleNamespace(logprob=-value), 0: SimpleNamespace(logprob=-99)} for token, value in values]
        return SimpleNamespace(prompt_logprobs=[None, *places])

    engine.outputs = [judged((2, 50.0), (3, 0.5), (4, 0.25)), judged((7, 2.0))]
    found = made.likelihoods(Words(), [("12", "34"), ("1111", "1"), ("6", "7")], 4)
    assert found == Scored([Likelihood(0.75, 2), None, Likelihood(2.0, 1)], [])
    prompts = [{"prompt_token_ids": [1, 2, 3, 4]}, {"prompt_token_ids": [6, 7]}]
    assert engine.runs == [(prompts, {**GREEDY, "max_tokens": 1, "prompt_logprobs": 0}, None)]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_likelihood_that_is_no_number_ends_the_run(engine, value):
    made = VllmModel("net", None, "fp16", 4, 200)
    engine.outputs = [SimpleNamespace(prompt_logprobs=[None, {7: SimpleNamespace(logprob=-value)}])]
    with pytest.raises(UserError, match=r"the likelihood of an answer is .*training\.precision"):
        made.likelihoods(Words(), [("6", "7")], 4)


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
