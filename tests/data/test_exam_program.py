"""exam_questions.py: what it says of an exam before any model is asked."""

import json
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from medscale.base.files import read_json, read_jsonl
from medscale.fetch.manifest import write_manifest
from places import SCRIPTS

ROW = {"options": ["甲", "乙", "丙", "丁"], "answer": "B"}


@pytest.fixture
def read(tmp_path):
    """Return a function that writes files of questions, and runs the program on them with options."""

    def run(files, *options):
        root = tmp_path / "exam"
        for name, records in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            lines = (json.dumps({"question": f"{name} 第{number}题", **ROW, **record}, ensure_ascii=False) + "\n"
                     for number, record in enumerate(records))  # fmt: skip
            (root / name).write_text("".join(lines), encoding="utf-8")
        manifest = write_manifest(root, kind="data", source="file", files=list(files), licence="mit")
        told = {"manifest": manifest, "name": "ours", "output": tmp_path / "q.jsonl", "report": tmp_path / "q.json"}
        told["rejected"] = tmp_path / "ours.rejected.parquet"
        command = [sys.executable, SCRIPTS / "exam_questions.py", *(f"--{key}={value}" for key, value in told.items())]
        return subprocess.run([*command, *options], capture_output=True, text=True)

    return run


def test_questions_that_texts_cannot_answer_are_told_when_they_are_read(read, tmp_path):
    files = {"a.jsonl": [{}, {"answer": "AC"}, {"answer": "ABD"}]}
    done = read(files, "--scored-by", "text")
    assert done.returncode == 1
    assert "E133" in done.stderr
    assert "evaluation.exams.ours.scored_by" in done.stderr
    assert "2 questions" in done.stderr
    assert "q000002" in done.stderr
    assert not (tmp_path / "q.jsonl").exists(), "the study stops here"
    assert read(files).returncode == 0
    assert len(list(read_jsonl(tmp_path / "q.jsonl"))) == 3


@pytest.mark.parametrize("scored_by", ["letter", "text"])
def test_too_many_options_for_several_answers_are_told_when_they_are_read(read, scored_by):
    nine = {"options": list("甲乙丙丁戊己庚辛壬")}
    done = read({"a.jsonl": [nine, {}, nine | {"answer": "AC"}, nine | {"answer": "AI"}]}, "--scored-by", scored_by)
    assert done.returncode == 1
    if scored_by == "letter":
        assert "E134" in done.stderr
        assert "2 questions" in done.stderr
        assert "q000003 with 9, q000004 with 9" in done.stderr
    assert read({"a.jsonl": [nine, {}]}, "--scored-by", scored_by).returncode == 0, "one answer of nine is no matter"


def test_what_is_not_asked_need_not_be_scorable(read):
    files = {"a.jsonl": [{"subject": "内科"}, {"subject": "外科", "answer": "AB"}]}
    exam = json.dumps({"subjects": ["内科"]}, ensure_ascii=False)
    assert read(files, "--scored-by", "text", "--exam", exam).returncode == 0


def test_several_parts_that_are_read_as_one_are_told(read, tmp_path):
    files = {"train.jsonl": [{}, {}], "ours_dev.jsonl": [{}], "test/ours.jsonl": [{}]}
    done = read(files)
    assert done.returncode == 0
    assert "warning: evaluation.exams.ours: several parts" in done.stderr
    assert "evaluation.exams.ours.split" in done.stderr
    report = read_json(tmp_path / "q.json")
    listed = {file["path"]: (file["part"], file["rows"]) for file in report["files"]}
    assert listed == {"train.jsonl": ("train", 2), "ours_dev.jsonl": ("dev", 1), "test/ours.jsonl": ("test", 1)}


@pytest.mark.parametrize(
    ("files", "options"),
    [
        ({"train.jsonl": [{}], "test.jsonl": [{}]}, ["--exam", '{"split": "test"}']),
        ({"a.jsonl": [{}], "b.jsonl": [{}]}, []),
        ({"test/a.jsonl": [{}], "test/b.jsonl": [{}]}, []),
    ],
)
def test_one_part_is_no_warning(read, tmp_path, files, options):
    done = read(files, *options)
    assert (done.returncode, "several parts" in done.stderr) == (0, False), done.stderr
    report = read_json(tmp_path / "q.json")
    assert report["kept"] == len(report["files"])


def test_dropped_rows_are_listed_beside_the_questions_and_told(read, tmp_path):
    done = read({"a.jsonl": [{}, {"answer": "见解析"}, {}, {"answer": None, "options": {"A": "甲", "B": "乙"}}, {}]})
    assert done.returncode == 0, done.stderr
    found = pq.read_table(tmp_path / "ours.rejected.parquet").to_pylist()
    assert [(row["row_of_file"], row["reason"], row["answer"]) for row in found] == [
        (2, "unclear_answer", "见解析"),
        (4, "no_answer", None),
    ]
    assert "ours.rejected.parquet has the dropped rows" in done.stdout
    assert "a.jsonl, row 2: unclear_answer (read as letters" in done.stdout
    assert read_json(tmp_path / "q.json")["rejected"]["file"] == "ours.rejected.parquet"


def test_what_may_be_otherwise_than_it_was_meant_is_told_in_the_log(read, tmp_path):
    records = [{"options": list("甲乙丙丁戊"), "answer": 1 + n % 4} for n in range(20)]
    done = read({"a.jsonl": records}, "--exam", '{"answer_as": "index_from_0"}')
    assert done.returncode == 0
    assert "ours: kept 20 of 20 questions; dropped: none\n" in done.stdout
    assert "warning: evaluation.exams.ours.answer_as: index_from_0, and none of the 20 answers" in done.stderr
    assert len(read_json(tmp_path / "q.json")["warnings"]) == 1


def test_rows_that_stop_the_study_stay_to_be_looked_at(read, tmp_path):
    stopped = tmp_path / "stopped" / "ours.rejected.parquet"
    done = read({"a.jsonl": [{"answer": "见解析"}, {"answer": "无法确定"}, {}]})
    assert done.returncode == 1
    assert f"{stopped} has them with the reasons" in done.stderr
    assert [row["answer"] for row in pq.read_table(stopped).to_pylist()] == ["见解析", "无法确定"]
    assert read({"a.jsonl": [{}, {}]}).returncode == 0
    assert not stopped.exists(), "what was mended is no longer told"
    assert pq.read_table(tmp_path / "ours.rejected.parquet").num_rows == 0
