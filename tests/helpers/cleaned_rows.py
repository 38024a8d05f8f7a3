"""What clean.py makes of rows that a test writes down, and rows with noise."""

import json
import random
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import clean
from medscale.base.files import read_json
from medscale.fetch.manifest import write_manifest

COLUMNS = {"question": ["title", "ask"], "answer": "answer", "department": "department"}


class Cleaned:
    """What clean.py made of some rows."""

    def __init__(self, folder: Path, rows: list, *options: str, columns: dict = COLUMNS) -> None:
        raw = folder / "raw"
        raw.mkdir(parents=True)
        (raw / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        outputs = [folder / name for name in ("clean.parquet", "rejected.parquet", "clean_report.json")]
        arguments = [
            "--manifest",
            str(write_manifest(raw, kind="data", source="file")),
            "--columns",
            json.dumps(columns),
        ]
        arguments += ["--min-question-characters", "2", "--min-answer-characters", "2", *options]
        for option, path in zip(("clean", "rejected", "report"), outputs, strict=True):
            arguments += [f"--output-{option}", str(path)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["clean.py", *arguments])
            clean.main()
        self.files = [path.read_bytes() for path in outputs]
        self.kept = pq.read_table(outputs[0]).to_pylist()
        self.rejected = pq.read_table(outputs[1]).to_pylist()
        self.report = read_json(outputs[2])
        assert sorted(path.name for path in folder.iterdir()) == sorted(["raw", *(path.name for path in outputs)])

    def reasons(self) -> dict[str, str]:
        return {row["id"]: row["reason"] for row in self.rejected}


def row(title: str, answer: str, ask: str = "", department: str | None = None) -> dict:
    return {"title": title, "ask": ask, "answer": answer, "department": department}


def noisy_rows(rng: random.Random, count: int) -> list[dict]:
    """Rows from a few clauses, so that equal, nearly equal and different ones come about, with dirt in some."""
    clauses = [
        "我今年三十岁",
        "最近总是头疼",
        "吃了药不见好",
        "晚上睡不着觉",
        "去医院查了说没事",
        "血压<140且>90",
        "手机13812345678",
    ]
    clauses += [
        "<br>胃也不舒服",
        "&nbsp;没有食欲",
        "大便不正常\u200b",
        "想问问医生",
        "这是怎么回事呢",
        "要做什么检查",
        "平时爱喝酒",
    ]

    def text() -> str:
        return "，".join(rng.choices(clauses, k=rng.randrange(1, 9)))

    rows: list[dict] = []
    for _ in range(count):
        new = row(text(), text(), rng.choice(["", "无", text()]), rng.choice(["内科", "外科", None]))
        rows.append(rng.choice(rows) | rng.choice([{}, {"answer": text()}]) if rows and rng.random() < 0.2 else new)
    return rows
