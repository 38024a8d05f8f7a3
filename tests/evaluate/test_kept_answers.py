"""A prediction that was killed goes on from what it had, with the same result, and tells of all its sittings."""

import argparse
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest.mock import patch

import pytest
import torch

from medscale.base import checked_lines
from medscale.base.checked_lines import CheckedLines
from medscale.base.errors import UserError
from medscale.base.files import read_json, write_jsonl
from medscale.evaluate import generation, run
from medscale.fetch.manifest import write_manifest
from sentences import TEXTS

ROWS = [{"id": f"r{n}", "question": text[: n + 2], "answer": TEXTS[n + 1][:9]} for n, text in enumerate(TEXTS[:7])]
SETTINGS = {
    "evaluation": {"engine": "transformers", "max_samples": None, "max_new_tokens": 10, "batch_size": 2},
    "chat": {"system_prompt": None, "template": "plain"},
    "quantization": {"quant_type": "nf4", "double_quant": True},
    **{"precision": "fp32", "max_length": 64},
}


class Killed(BaseException):
    """Nobody catches it, as nobody catches a kill."""


@pytest.fixture(scope="module")
def manifest(tiny_model, wild_model, tmp_path_factory):
    """A model whose answers differ, with its tokenizer."""
    folder = tmp_path_factory.mktemp("wild-with-tokenizer")
    for source in (tiny_model.parent, wild_model):
        for path in source.iterdir():
            if path.name != "manifest.json":
                (folder / path.name).write_bytes(path.read_bytes())
    return write_manifest(folder, kind="model", source="tiny")


@pytest.fixture
def predict(manifest, tmp_path, monkeypatch):
    """Run the prediction in a folder and return the bytes of the predictions and the record."""

    monkeypatch.setattr(generation, "ITEM_TOKENS", 60)  # so that there is more than one batch of likelihoods

    def predict_in(folder: Path, settings: dict = SETTINGS, rows: list[dict] = ROWS):
        write_jsonl(tmp_path / "test.jsonl", rows)
        args = argparse.Namespace(
            **{"run": "base", "method": "base", "settings": json.dumps(settings), "fingerprint": "0" * 16},
            **{"threads": 1, "model": manifest, "content": None, "adapter": None, "training": None},
            **{"test": tmp_path / "test.jsonl", "output": str(folder / "predictions.jsonl")},
            inference=str(folder / "inference.json"),
        )
        run.run(args)
        return Path(args.output).read_bytes(), read_json(args.inference)

    return predict_in


@contextmanager
def killed_at(number: int, share: float = 1.0) -> Iterator[list[dict]]:
    """Let the process end at a line, of which that share is on the disk; yield the lines that were added."""
    own, added = CheckedLines.add, []

    def add(lines, value):
        before = lines.path.stat().st_size
        own(lines, value)
        added.append(value)
        if len(added) == number:
            after = lines.path.stat().st_size
            os.truncate(lines.path, before + int(share * (after - before)))
            raise Killed

    with patch.object(CheckedLines, "add", add), suppress(Killed):
        yield added


@pytest.fixture
def worked(monkeypatch):
    """The places of the questions that were begun, those of the warm-up first."""
    counted, own = [], generation.AnswerQueue.join

    def join(queue, running):
        starting = own(queue, running)
        counted.extend(starting)
        return starting

    monkeypatch.setattr(generation.AnswerQueue, "join", join)
    return counted


def kept_files(folder):
    return sorted((folder / "answers").rglob("*.jsonl"))


def test_killed_at_any_line_it_ends_as_without_a_kill(predict, tmp_path):
    """Also where the line was not written to its end."""
    whole, record = predict(tmp_path / "whole")
    assert record["events"] == []
    assert not (tmp_path / "whole" / "answers").exists()
    with killed_at(10**6) as all_lines:
        predict(tmp_path / "counted")
    assert sum("answers" in line for line in all_lines) > 3
    assert sum("likelihoods" in line for line in all_lines) > 2
    for number in range(1, len(all_lines) + 1):
        folder, share = tmp_path / str(number), (1.0, 0.5, 0.0)[number % 3]
        with killed_at(number, share):
            predict(folder)
        assert not (folder / "predictions.jsonl").exists()
        again, told = predict(folder)
        assert again == whole, number
        assert not (folder / "answers").exists()
        assert [event["kind"] for event in told["events"]] == ["resumed"] * (number > 1 or share == 1)
        assert told["inference"]["mean_output_tokens"] == record["inference"]["mean_output_tokens"]


@pytest.fixture
def interrupted(predict, tmp_path):
    """A folder in which a prediction was killed after its third line, and the places that it had answered."""
    with killed_at(3) as lines:
        predict(tmp_path / "interrupted")
    return tmp_path / "interrupted", {place for line in lines for place, _ in line.get("answers", [])}


def test_what_was_answered_is_not_answered_again(predict, interrupted, worked):
    folder, answered = interrupted
    assert 0 < len(answered) < len(ROWS)
    worked.clear()
    predict(folder)
    assert set(worked[run.WARM_UP :]) == set(range(len(ROWS))) - answered


def test_the_seconds_and_the_peak_are_those_of_all_sittings(predict, interrupted):
    folder, _ = interrupted
    (path,) = kept_files(folder)
    lines = CheckedLines(path).values
    lines[-1] |= {"seconds": 5000.0, "peak_memory_gib": 700.0}
    path.unlink()
    for line in lines:
        CheckedLines(path).add(line)
    _, record = predict(folder)
    assert 5000 < record["inference"]["seconds"] < 5600
    assert record["inference"]["peak_memory_gib"] == 700.0
    (event,) = record["events"]
    assert event["kind"] == "resumed"
    assert event["message"].startswith("sitting 2: ")


@pytest.mark.parametrize("how", ["a bit", "zeros", "another's line"])
def test_a_damaged_line_and_what_follows_it_is_made_again(predict, interrupted, tmp_path, how):
    folder, _ = interrupted
    (path,) = kept_files(folder)
    first, second, *rest = path.read_bytes().splitlines(keepends=True)
    damaged = {
        "a bit": bytes([*second[:-4], second[-4] ^ 1, *second[-3:]]),
        "zeros": bytes(len(second)),
        "another's line": second.replace(b'"sitting": 1', b'"sitting": 7'),
    }
    assert damaged[how] != second
    path.write_bytes(b"".join([first, damaged[how], *rest]))
    assert len(CheckedLines(path).values) == 1
    assert predict(folder)[0] == predict(tmp_path / "whole")[0]


@pytest.mark.parametrize("what", ["settings", "rows"])
def test_answers_to_another_question_are_not_taken(predict, interrupted, tmp_path, what):
    folder, _ = interrupted
    longer = SETTINGS | {"evaluation": SETTINGS["evaluation"] | {"max_new_tokens": 14}}
    changed = {"settings": longer} if what == "settings" else {"rows": ROWS[::-1]}
    found, record = predict(folder, **changed)
    assert found == predict(tmp_path / "whole", **changed)[0]
    assert record["events"] == []
    assert not (folder / "answers").exists()


def test_a_batch_that_halved_before_and_after_a_kill(predict, tmp_path, monkeypatch):
    from transformers import Qwen2ForCausalLM

    whole, _ = predict(tmp_path / "whole")
    own = Qwen2ForCausalLM.forward

    def limited(model, input_ids, **options):
        if len(input_ids) > 1:
            raise torch.OutOfMemoryError("tried to allocate 20 GiB")
        return own(model, input_ids=input_ids, **options)

    monkeypatch.setattr(run, "WARM_UP", 1)
    monkeypatch.setattr(Qwen2ForCausalLM, "forward", limited)
    with killed_at(3):
        predict(tmp_path / "run")
    again, record = predict(tmp_path / "run")
    ours, theirs = ([json.loads(line) for line in found.splitlines()] for found in (again, whole))
    assert [row["predict"] for row in ours] == [row["predict"] for row in theirs]
    assert [row["nll_sum"] for row in ours] == pytest.approx([row["nll_sum"] for row in theirs], rel=1e-5)
    kinds = [event["kind"] for event in record["events"]]
    assert kinds[:2] == ["fallback", "resumed"]  # what the first sitting met is told, too
    assert kinds[2:] == ["fallback"] * len(kinds[2:])
    assert len(kinds) > 3


def test_a_disk_without_room_is_told_before_the_first_answer(predict, tmp_path, monkeypatch):
    free = type("Usage", (), {"free": 1000})()
    monkeypatch.setattr("medscale.base.disk.shutil.disk_usage", lambda folder: free)
    with pytest.raises(UserError, match=r"run.*prediction of 7 answers needs 1.0 MiB and 1000 bytes are free"):
        predict(tmp_path / "run")


def test_lines_are_written_out_now_and_then(tmp_path, monkeypatch):
    synced, clock = [], [0.0]
    monkeypatch.setattr(checked_lines.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(checked_lines.os, "fsync", lambda handle: synced.append(os.fstat(handle).st_size))
    lines = CheckedLines(tmp_path / "lines.jsonl")
    synced.clear()
    for now in (1.0, 4.0, 6.0, 7.0):
        clock[0] = now
        lines.add(now)
    assert len(synced) == 1
    assert synced[0] == 3 * len(b"00000000 1.0\n")
    assert CheckedLines(tmp_path / "lines.jsonl").values == [1.0, 4.0, 6.0, 7.0]
