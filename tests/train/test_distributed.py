"""One run in two processes through torchrun, as finetune.py starts it: what one process makes, to rounding."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from medscale.base.config import resolve
from medscale.base.files import write_json
from medscale.base.settings import training_settings
from medscale.base.study import Run
from medscale.base.torchrun import LAUNCHER
from medscale.fetch.manifest import content_of, read_manifest
from medscale.model.chat import IGNORED, Chat
from medscale.model.tokenizer import load_tokenizer
from medscale.train import distributed
from sentences import TEXTS

SCRIPT = Path(__file__).parents[2] / "workflow" / "scripts" / "finetune.py"
ROWS, EFFECTIVE = 25, 8  # the last batch has one row, so one of the processes has none


def batch(*lengths):
    width = max(lengths)
    mask = torch.tensor([[1] * length + [0] * (width - length) for length in lengths])
    ids = torch.arange(len(lengths))[:, None].expand(-1, width)
    return {"input_ids": ids, "attention_mask": mask, "labels": ids.clone()}


@pytest.mark.parametrize(("world", "lengths"), [(2, (3, 9, 5, 7, 1)), (3, (4, 4)), (2, (6,))])
def test_every_row_is_computed_once(monkeypatch, world, lengths):
    seen = []
    monkeypatch.setenv(LAUNCHER, "1")
    monkeypatch.setenv("WORLD_SIZE", str(world))
    for rank in range(world):
        monkeypatch.setenv("RANK", str(rank))
        part = distributed.share(batch(*lengths))
        labelled = (part["labels"] != IGNORED).any(1)
        seen += part["input_ids"][labelled, 0].tolist()
        assert len(part["input_ids"]) >= 1, "all take part in the backward pass"
    assert sorted(seen) == list(range(len(lengths)))


def test_the_long_rows_are_dealt_out(monkeypatch):
    monkeypatch.setenv(LAUNCHER, "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    sums = []
    for rank in range(2):
        monkeypatch.setenv("RANK", str(rank))
        sums.append(int(distributed.share(batch(9, 1, 8, 2))["attention_mask"].sum()))
    assert sums == [11, 9]


def encoded(path, chat, count):
    texts = [f"{text}{number}" for number, text in enumerate(TEXTS[:count])]
    samples = [chat.sample(f"第{i}个问题：{text[:6]}", text[: 8 + 2 * i % 23], 128) for i, text in enumerate(texts)]
    table = {"input_ids": [s.input_ids for s in samples], "labels": [s.labels for s in samples]}
    pq.write_table(pa.table(table), path)


@pytest.fixture(scope="module")
def train(tiny_model, tmp_path_factory):
    """A function that fine-tunes on so many processes and returns its folder."""
    shared = tmp_path_factory.mktemp("inputs")
    chat = Chat(load_tokenizer(tiny_model), None)
    encoded(shared / "train.parquet", chat, ROWS)
    encoded(shared / "validation.parquet", chat, 7)
    write_json(
        shared / "report.json",
        {"rows_sha256": "0", "prompts_too_long": [], "max_length": 128, "answers_truncated": 0},
    )
    (shared / "test.jsonl").write_text("{}\n", encoding="utf-8")
    training = {"epochs": 2, "effective_batch": EFFECTIVE, "eval_interval": 0.25, "max_length": 128}
    config = resolve(
        {"study": {"sizes": [ROWS]}, "lora": {"dropout": 0.0}, "training": training | {"learning_rate": 0.003}}
    )
    settings = training_settings(config, Run("lora_25", "lora", ROWS, "25", 42))

    def call(processes: int, method: str = "lora", granted: int | None = None, told: str | None = None) -> Path:
        folder = tmp_path_factory.mktemp(f"{method}_{processes}")
        options = {
            "run": "lora_25",
            "method": method,
            "seed": 42,
            "settings": json.dumps(settings),
            "micro-batch": 2,
            "gpus": processes,
            "fingerprint": "0",
            "model": tiny_model,
            "content": content_of(read_manifest(tiny_model)),
            "train": shared / "train.parquet",
            "train-report": shared / "report.json",
            "validation": shared / "validation.parquet",
            "test": shared / "test.jsonl",
            "adapter": folder / "adapter",
            "training": folder / "training.json",
            "train-log": folder / "train_log.csv",
            "tensorboard": folder / "tensorboard",
        } | ({} if granted is None else {"granted": granted})
        words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
        done = subprocess.run(
            [sys.executable, SCRIPT, *words],
            env=os.environ | {"MEDSCALE_LOCK_DIR": str(folder), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == (told is not None), done.stdout[-2000:] + done.stderr[-4000:]
        assert told is None or told in done.stderr
        return folder

    return call


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_two_processes_train_what_one_trains(train, method):
    one, two = train(1, method), train(2, method)
    facts = [json.loads((folder / "training.json").read_text(encoding="utf-8"))["training"] for folder in (one, two)]
    assert [part["gpus"] for part in facts] == [1, 2]
    assert facts[0]["steps"] == facts[1]["steps"] == 8
    assert facts[0]["best_step"] == facts[1]["best_step"]
    assert facts[1]["best_validation_loss"] == pytest.approx(facts[0]["best_validation_loss"], abs=1e-5)
    logs = []
    for folder in (one, two):
        with open(folder / "train_log.csv", encoding="utf-8", newline="") as handle:
            logs.append(list(csv.DictReader(handle)))
    assert len(logs[0]) == len(logs[1])
    for ours, theirs in zip(*logs, strict=True):
        assert ours["tokens"] == theirs["tokens"], "each token is counted once"
        for name in ("loss", "eval_loss", "grad_norm"):
            assert bool(ours[name]) == bool(theirs[name])
            if ours[name]:
                tolerance = 1e-4 if name == "grad_norm" else 1e-5
                assert float(theirs[name]) == pytest.approx(float(ours[name]), abs=tolerance)
    weights = [load_file(folder / "adapter" / "adapter_model.safetensors") for folder in (one, two)]
    for name, weight in weights[0].items():
        assert torch.allclose(weight, weights[1][name], atol=1e-4), name
    kinds = [event["kind"] for event in json.loads((two / "training.json").read_text(encoding="utf-8"))["events"]]
    assert kinds.count("started") == kinds.count("finished") == 1


@pytest.mark.slow
def test_fewer_cards_than_were_asked_for_are_an_error_and_not_a_longer_run(train):
    """Snakemake lowers what a job asks for to the limit of the call, without a word."""
    message = "error: training.gpus_per_run = 2, and Snakemake gives a job 1: call it with --resources gpu=2"
    train(2, granted=1, told=message)
