"""The base model that the demo ships: what the repository holds, what it can, and how it was made."""

import csv
import hashlib
import importlib.util
import json
from random import Random

import pytest
import torch

from medscale.data.demo.corpus import load_conditions
from medscale.data.demo.fiction import Fiction
from medscale.fetch.manifest import read_manifest, verify
from medscale.model import demo_base
from medscale.model.chat import Chat
from medscale.model.demo_base import SYSTEM_PROMPT, Stage, Texts, look_back, pretrain, share_of_peak
from medscale.model.tiny import new_model
from medscale.model.tokenizer import load_tokenizer
from places import ROOT

DEMO = ROOT / "resources" / "demo"
BASE = DEMO / "base"


@pytest.fixture(scope="module")
def settings():
    spec = importlib.util.spec_from_file_location("pretrain_demo", DEMO / "pretrain.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.SETTINGS


@pytest.fixture(scope="module")
def conditions():
    return load_conditions(DEMO / "conditions.json")


def test_what_is_shipped_is_whole_small_and_named_in_its_card():
    verify(BASE / "manifest.json")
    manifest = read_manifest(BASE / "manifest.json")
    assert (manifest["kind"], manifest["source"], manifest["licence"]) == ("model", "demo", "MIT")
    assert sum(path.stat().st_size for path in BASE.iterdir()) <= 16 * 2**20
    weights = hashlib.sha256((BASE / "model.safetensors").read_bytes()).hexdigest()
    card = (BASE / "README.md").read_text(encoding="utf-8")
    assert weights in card
    assert card.startswith("---\nlicense: mit\n")


def test_it_is_what_the_script_makes(settings):
    config = json.loads((BASE / "config.json").read_text(encoding="utf-8"))
    assert config["model_type"] == "qwen2"
    assert (config["hidden_size"], config["num_hidden_layers"]) == (settings["hidden_size"], settings["layers"])
    assert config["vocab_size"] == settings["vocab_size"] == len(load_tokenizer(BASE / "manifest.json"))
    with open(BASE / "pretraining.csv", encoding="utf-8", newline="") as handle:
        log = list(csv.DictReader(handle))
    assert [int(row["step"]) for row in log] == [
        *range(settings["checkpoint_steps"], settings["steps"] + 1, settings["checkpoint_steps"])
    ]
    assert float(log[-1]["loss_met_once"]) < float(log[0]["loss_met_once"])


def test_it_reads_the_name_of_a_condition_that_no_text_held_and_ends_its_answer(conditions):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)
    tokenizer = load_tokenizer(BASE / "manifest.json")
    chat, fiction, rng = Chat(tokenizer, SYSTEM_PROMPT), Fiction(conditions, seed=7, residents=0), Random("unseen")
    named = ended = 0
    for _ in range(10):
        condition = fiction.condition(rng)
        prompt = chat.prompt_ids(fiction.dialogue(condition, rng).question)
        given = model.generate(torch.tensor([prompt]), do_sample=False, max_new_tokens=100)[0, len(prompt) :].tolist()
        ended += given[-1] == tokenizer.eos_token_id
        answer = tokenizer.decode(given)
        named += any(name in answer for name in (condition.name, *condition.aliases))
    assert ended >= 9
    assert named >= 8


def test_half_precision_costs_nothing_that_matters(conditions):
    """The log's last losses were measured in float32, before the weights were rounded."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(BASE, dtype="auto")
    assert model.dtype == torch.float16
    fiction = Fiction(conditions, seed=7)
    batches = Texts(fiction, load_tokenizer(BASE / "manifest.json"), 16, 7).held_out(again=False)
    with open(BASE / "pretraining.csv", encoding="utf-8", newline="") as handle:
        before = float(list(csv.DictReader(handle))[-1]["loss_met_once"])
    assert demo_base.mean_loss(model.float(), batches) == pytest.approx(before, abs=0.005)


def test_the_learning_rate_rises_stays_and_falls():
    shares = [share_of_peak(step, 1000) for step in range(1000)]
    assert shares[:40] == sorted(shares[:40])
    assert set(shares[40:600]) == {1.0}
    assert shares[600:] == sorted(shares[600:], reverse=True)
    assert 0 < shares[-1] <= 0.01


class Stopped(Exception):
    pass


def test_a_training_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path, conditions, monkeypatch):
    monkeypatch.setattr(demo_base, "TOKENIZER_TEXTS", 200)
    monkeypatch.setattr(demo_base, "HELD_OUT", 4)
    monkeypatch.setattr(demo_base, "POOL", 2)
    monkeypatch.setattr(demo_base, "STAGES", (Stage(0, 0.2, 0.0, 1.0), Stage(4, 1.0, 0.5, 0.5)))
    small = {"vocab_size": 600, "hidden_size": 64, "layers": 2, "steps": 6, "batch": 2, "checkpoint_steps": 2}
    small |= {"learning_rate": 0.01, "seed": 3}
    fiction = Fiction(conditions, seed=3, residents=5)
    pretrain(fiction, small, tmp_path / "whole", tmp_path / "work of whole")

    make = fiction.documents
    pools = []

    def documents(count, seed, repetitions=0.0):
        pools.append((seed, repetitions))
        if seed == "3/2" and pools.count((seed, repetitions)) == 1:
            raise Stopped
        return make(count, seed, repetitions)

    monkeypatch.setattr(fiction, "documents", documents)
    with pytest.raises(Stopped):
        pretrain(fiction, small, tmp_path / "stopped", tmp_path / "work")
    pretrain(fiction, small, tmp_path / "stopped", tmp_path / "work")
    assert pools == [("3/0", 0.0), ("3/1", 0.0), ("3/2", 0.5), ("3/2", 0.5)]
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "stopped")]
    assert weights[0] == weights[1]
    logs = [(tmp_path / name / "pretraining.csv").read_text().splitlines() for name in ("whole", "stopped")]
    assert [line.split(",")[4:] for line in logs[0]] == [line.split(",")[4:] for line in logs[1]]
    assert len(logs[0]) == 4


def test_an_untrained_model_already_finds_what_came_after_a_token_the_last_time():
    tokenizer = load_tokenizer(BASE / "manifest.json")
    settings = {"hidden_size": 192, "layers": 2, "rope_theta": 1e6}
    rows = torch.randint(len(tokenizer), (8, 12), generator=torch.Generator().manual_seed(1))
    ids = torch.cat([rows, rows], 1)
    losses = []
    for looking in (False, True):
        model = new_model(tokenizer, settings, seed=1)
        if looking:
            look_back(model, seed=1)
        with torch.no_grad():
            logits = model(ids).logits[:, 12:-1]
        losses.append(torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 13:].flatten()).item())
    assert losses[1] < losses[0] - 1.5
