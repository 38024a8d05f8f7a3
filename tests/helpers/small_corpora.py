"""Small corpora in any layout, and what clean.py and split.py make of them."""

import io
import itertools
import json
import random
import sys
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

import clean
import split
from medscale.base.files import read_json, read_jsonl
from medscale.data.cleaning import Rules
from medscale.data.raw_rows import RawRow
from medscale.fetch.manifest import write_manifest

DEFAULT = {"question": ["instruction", "input"], "answer": "output"}
CONDITIONS = ["感冒", "胃炎", "湿疹", "失眠", "便秘", "偏头痛", "鼻炎", "结膜炎"]
FOLLOW_UP = ("谢谢，那饮食上要注意什么呢？", "饮食以清淡为主，少盐少油，多吃蔬菜水果。")
LONG = "多喝水" * 67
RULES = Rules((2, 100), (2, 200))


def run(module, *arguments) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["script", *map(str, arguments)])
        module.main()


def share(*turns: str, system: str | None = None) -> list[dict]:
    said = [{"from": ("human", "gpt")[place % 2], "value": text} for place, text in enumerate(turns)]
    return ([] if system is None else [{"from": "system", "value": system}]) + said


def topic(number: int) -> tuple[str, str]:
    """Return a question and an answer that are like those of no other number."""
    letters = random.Random(number).sample([chr(code) for code in range(0x4E00, 0x9000)], 60)
    condition = CONDITIONS[number % len(CONDITIONS)]
    return f"{condition}{''.join(letters[:25])}怎么办？", f"{condition}建议{''.join(letters[25:])}。"


class Cleaned:
    """What clean.py made of a file."""

    def __init__(self, folder: Path, records: list | bytes, *options, name="rows.jsonl", columns=DEFAULT):
        raw = folder / "raw"
        raw.mkdir(parents=True, exist_ok=True)
        if not isinstance(records, bytes):
            records = "".join(json.dumps(record) + "\n" for record in records).encode()
        (raw / name).write_bytes(records)
        self.path = {name: folder / f"{name}.parquet" for name in ("clean", "rejected")}
        arguments = ["--manifest", write_manifest(raw, kind="data", source="file"), "--columns", json.dumps(columns)]
        arguments += ["--output-clean", self.path["clean"], "--output-rejected", self.path["rejected"]]
        run(clean, *arguments, "--output-report", folder / "report.json", *options)
        self.kept, self.rejected = (pq.read_table(path).to_pylist() for path in self.path.values())
        self.report = read_json(folder / "report.json")

    def texts(self) -> list[tuple[str, str]]:
        return [(row["question"], row["answer"]) for row in self.kept]


class Split:
    """What split.py made of clean rows."""

    def __init__(self, folder: Path, path: Path, test: int, validation: int) -> None:
        self.paths = {name: folder / f"{name}.jsonl" for name in ("test", "validation", "pool")}
        outputs = itertools.chain.from_iterable((f"--{name}", path) for name, path in self.paths.items())
        arguments = ["--clean", path, "--test-size", test, "--validation-size", validation, "--sizes", "[4]"]
        run(split, *arguments, "--seed", 1, *outputs, "--report", folder / "split.json")
        self.rows = {name: list(read_jsonl(path)) for name, path in self.paths.items()}
        self.report = read_json(folder / "split.json")


def written(frame: pd.DataFrame, name: str) -> bytes:
    """Return a table as pandas writes it."""
    if name.endswith("parquet"):
        sink = io.BytesIO()
        frame.to_parquet(sink)
        return sink.getvalue()
    if name.endswith("csv"):
        return frame.to_csv(index=False, na_rep="NaN").encode()
    records = frame.to_dict("records")
    return "".join(json.dumps(record, default=str) + "\n" for record in records).encode()


DIALOGUES = [{"conversations": share(*topic(n), *FOLLOW_UP)} for n in range(20)]


def dialogue(*turns, **more) -> RawRow:
    return RawRow(1, (), None, None, dialogue=share(*turns), is_dialogue=True, **more)
