"""The power is cut at every step of a stage: what has its name is whole, and the same command ends as without a cut."""

import csv
import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import clean
import finetune as finetune_program
import predict as predict_program
from medscale.base.checked_lines import CheckedLines
from medscale.base.files import sha256_file, write_json, write_jsonl
from medscale.evaluate import run as prediction
from medscale.fetch.manifest import verify, write_manifest
from medscale.model import tiny
from medscale.model.chat import Chat
from medscale.model.tokenizer import load_tokenizer
from medscale.train import run as training
from medscale.train.checkpoints import MARK, damage
from power_cut import Cut, Disk
from sentences import TEXTS

SETTINGS = {
    "training": {
        **{"epochs": 1, "max_steps": None, "learning_rate": 0.003, "lr_scheduler": "cosine", "warmup_ratio": 0.1},
        **{"weight_decay": 0.0, "max_grad_norm": 1.0, "optimizer": "adamw_torch", "effective_batch": 2},
        **{"max_length": 128, "eval_interval": 0.25, "validation_rows": 4, "save_minutes": 15, "save_total_limit": 1},
        **{"early_stopping_patience": None, "packing": False, "liger_kernel": False, "precision": "fp32"},
        "gradient_checkpointing": False,
    },
    "lora": {"r": 2, "alpha": 4, "dropout": 0.1, "target_modules": ["q_proj"], "use_rslora": False},
    "quantization": {"quant_type": "nf4", "double_quant": True},
    "chat": {"system_prompt": None, "template": "plain"},
}


OUTPUTS = {"clean": "clean.parquet", "rejected": "rejected.parquet", "report": "clean.json"}


def options(told: dict) -> list[str]:
    """Return values as a rule gives them to its program."""
    return [f"--{name}={value}" for name, value in told.items()]


def few(cuts: list[Cut], most: int) -> list[Cut]:
    """Return cuts evenly from all, the first and the last among them."""
    if len(cuts) <= most:
        return cuts
    return [cuts[place * (len(cuts) - 1) // (most - 1)] for place in range(most)]


@pytest.fixture(scope="module")
def inputs(tiny_model, tmp_path_factory):
    """Encoded rows, with their report, and the test rows."""
    folder = tmp_path_factory.mktemp("inputs")
    chat = Chat(load_tokenizer(tiny_model), None)
    samples = [chat.sample(f"{n}: {text[:6]}", text[: 8 + n], 128) for n, text in enumerate(TEXTS[:8])]
    table = pa.table({"input_ids": [s.input_ids for s in samples], "labels": [s.labels for s in samples]})
    pq.write_table(table, folder / "train.parquet")
    pq.write_table(table.slice(0, 4), folder / "validation.parquet")
    report = {"rows_sha256": sha256_file(folder / "train.parquet"), "max_length": 128}
    write_json(folder / "train.json", report | {"prompts_too_long": [], "answers_truncated": 0})
    rows = [{"id": str(n), "question": text[:5], "answer": text[5:9]} for n, text in enumerate(TEXTS[:5])]
    write_jsonl(folder / "test.jsonl", rows)
    return folder


@pytest.fixture
def finetune(tiny_model, inputs, monkeypatch):
    def finetune_in(folder: Path) -> None:
        run = folder / "lora_8"
        told = {"run": "lora_8", "method": "lora", "seed": 1, "settings": json.dumps(SETTINGS), "micro-batch": 2}
        told |= {"largest": "lora", "fingerprint": "0" * 16, "threads": 1, "model": tiny_model}
        told |= {"train": inputs / "train.parquet", "train-report": inputs / "train.json"}
        told |= {"validation": inputs / "validation.parquet", "test": inputs / "test.jsonl"}
        told |= {"adapter": run / "adapter", "training": run / "training.json"}
        told |= {"train-log": run / "train_log.csv", "tensorboard": run / "tensorboard"}
        told |= {"trackers": folder / "trackers"}
        monkeypatch.setattr(sys, "argv", ["finetune.py", *options(told)])
        training.run(finetune_program.parse_arguments())

    return finetune_in


def trained(run: Path) -> tuple[dict[str, bytes], list[dict[str, str]]]:
    """Return what a training gives that does not depend on the time: the adapter, and the log without seconds."""
    with open(run / "train_log.csv", encoding="utf-8", newline="") as handle:
        log = [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(handle)]
    return {path.name: path.read_bytes() for path in (run / "adapter").iterdir()}, log


def whole_where_named(disk: Disk, names: list[str]) -> None:
    """At every cut each output is whole, that of before or none; at the end all of them are on the disk for good."""
    whole = Cut(0, "", "all", disk.end)
    assert all(disk.flushed.get(path) == content for name in names for path, content in whole.holds(name).items())
    for cut in disk.cuts:
        for name in names:
            assert cut.holds(name) in ({}, whole.holds(name)), f"{name} at {cut.before}, {cut.kind}"
        # The last one says that all are there.
        assert names[-1] not in cut.tree or all(cut.holds(name) for name in names), cut.before


def test_a_training_ends_as_without_a_power_cut(finetune, tmp_path):
    folder = tmp_path / "whole"
    folder.mkdir()
    with Disk(folder) as disk:
        finetune(folder)
    expected = trained(folder / "lora_8")
    whole_where_named(disk, [f"lora_8/{name}" for name in ("adapter", "tensorboard", "train_log.csv", "training.json")])
    assert sum(any(path.endswith(f"/{MARK}") for path in cut.tree) for cut in disk.cuts) > 20
    for number, cut in enumerate(few(disk.cuts, 14)):
        after = cut.restore(tmp_path / str(number))
        for mark in after.rglob(f"checkpoint-*/{MARK}"):
            assert damage(mark.parent) is None, f"{mark} at {cut.before}, {cut.kind}"
        finetune(after)
        assert trained(after / "lora_8") == expected, f"{cut.before}, {cut.kind}"


def test_a_training_that_was_damaged_after_the_cut_goes_on_from_the_checkpoint_before(finetune, tmp_path, capsys):
    """As by a disk that lied: the newest checkpoint's files are zeros in their length."""
    folder = tmp_path / "whole"
    folder.mkdir()
    with Disk(folder) as disk:
        finetune(folder)
    expected = trained(folder / "lora_8")
    cut = next(cut for cut in disk.cuts if any("checkpoint-3/" in path and path.endswith(MARK) for path in cut.tree))
    after = cut.restore(tmp_path / "after")
    (weights,) = after.rglob("checkpoint-3/adapter_model.safetensors")
    weights.write_bytes(bytes(weights.stat().st_size))
    capsys.readouterr()
    finetune(after)
    said = capsys.readouterr().out
    assert "checkpoint-3 cannot be gone on from: its file adapter_model.safetensors is not what was written" in said
    assert "resumed from step 2" in said
    assert trained(after / "lora_8") == expected


@pytest.fixture
def predict(tiny_model, inputs, monkeypatch):
    def predict_in(folder: Path) -> None:
        settings = {"engine": "transformers", "max_samples": None, "max_new_tokens": 8, "batch_size": 2}
        settings = {"evaluation": settings, "precision": "fp32", "max_length": 128} | SETTINGS
        told = {"run": "base", "method": "base", "settings": json.dumps(settings), "fingerprint": "0" * 16}
        told |= {"threads": 1, "model": tiny_model, "test": inputs / "test.jsonl"}
        told |= {"output": folder / "base" / "predictions.jsonl", "inference": folder / "base" / "inference.json"}
        monkeypatch.setattr(sys, "argv", ["predict.py", *options(told)])
        prediction.run(predict_program.parse_arguments())

    return predict_in


def test_a_prediction_ends_as_without_a_power_cut(predict, tmp_path, monkeypatch):
    monkeypatch.setattr("medscale.base.checked_lines.SYNC_SECONDS", -1)  # a step at each line
    folder = tmp_path / "whole"
    folder.mkdir()
    with Disk(folder) as disk:
        predict(folder)
    whole_where_named(disk, ["base/predictions.jsonl", "base/inference.json"])
    expected = (folder / "base" / "predictions.jsonl").read_bytes()
    kept = 0
    for number, cut in enumerate(few(disk.cuts, 16)):
        after = cut.restore(tmp_path / str(number))
        kept += any(CheckedLines(path).values for path in after.rglob("answers/*/*.jsonl"))
        predict(after)
        assert (after / "base" / "predictions.jsonl").read_bytes() == expected, f"{cut.before}, {cut.kind}"
        assert sorted(path.name for path in (after / "base").iterdir()) == ["inference.json", "predictions.jsonl"]
    assert kept > 3


def test_a_cleaning_ends_as_without_a_power_cut(tmp_path, monkeypatch):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    rows = [{"q": f"{n}岁的人{text[:6]}怎么办", "a": text} for n, text in enumerate(TEXTS)]
    write_jsonl(corpus / "rows.jsonl", rows)
    manifest = write_manifest(corpus, kind="data", source="file")

    def clean_in(folder: Path) -> None:
        outputs = [f"--output-{name}={folder / 'data' / file}" for name, file in OUTPUTS.items()]
        columns = json.dumps({"question": ["q"], "answer": "a", "department": None})
        monkeypatch.setattr(sys, "argv", ["clean.py", f"--manifest={manifest}", f"--columns={columns}", *outputs])
        clean.main()

    folder = tmp_path / "whole"
    folder.mkdir()
    with Disk(folder) as disk:
        clean_in(folder)
    whole_where_named(disk, [f"data/{file}" for file in OUTPUTS.values()])
    assert len(disk.end) == 4
    for number, cut in enumerate(disk.cuts):
        after = cut.restore(tmp_path / str(number))
        clean_in(after)
        found = {path.relative_to(after).as_posix(): path.is_file() and path.read_bytes() for path in after.rglob("*")}
        assert found == {path: content or False for path, content in disk.end.items()}, f"{cut.before}, {cut.kind}"


def test_what_a_manifest_names_is_whole_after_a_power_cut(tmp_path):
    """Of whatever wrote the files: the weights of the tiny model come from a library."""
    folder = tmp_path / "whole"
    folder.mkdir()
    tokenizer = tiny.train_tokenizer(TEXTS, 600)
    with Disk(folder) as disk:
        tokenizer.save_pretrained(folder)
        tiny.new_model(tokenizer, {"hidden_size": 64, "layers": 1}, seed=3).save_pretrained(folder)
        write_manifest(folder, kind="model", source="tiny")
    whole_where_named(disk, ["manifest.json"])
    found = 0
    for number, cut in enumerate(disk.cuts):
        if "manifest.json" in cut.tree:
            found += 1
            verify(cut.restore(tmp_path / str(number)) / "manifest.json")
    assert found
