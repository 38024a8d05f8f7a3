"""fetch_set.py: an exam from a hub with the real clients, and the questions that the study makes of it."""

import json
import subprocess
import sys
import zipfile
from io import BytesIO

import pytest

from fetch_runner import HUBS
from medscale.base.files import read_json, read_jsonl
from places import ROOT, SCRIPTS

CMMLU = ",Question,A,B,C,D,Answer\n0,甲的部分不包括,一,二,三,四,B\n1,乙位于,上,下,左,右,D\n"
CMB = {
    "exam_type": "医师考试",
    "exam_class": "执业医师",
    "exam_subject": "内科",
    "question": "下列哪项正确",
    "answer": "AC",
    "question_type": "多项选择题",
    "option": {"A": "甲", "B": "乙", "C": "丙", "D": "丁", "E": None},
}
SAID = {"key": "evaluation.exams.mine", "kind": "exam", "name": "exam_mine"}


def packed(files: dict[str, str]) -> bytes:
    handle = BytesIO()
    with zipfile.ZipFile(handle, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return handle.getvalue()


def questions(runner, tmp_path, **exam) -> tuple[list[dict], dict]:
    """Run exam_questions.py on what was fetched, and return what it wrote."""
    made, report = tmp_path / "exam.jsonl", tmp_path / "exam.json"
    command = [sys.executable, SCRIPTS / "exam_questions.py", "--manifest", runner.manifest, "--name", "mine"]
    command += ["--exam", json.dumps(exam), "--output", made, "--report", report]
    command += ["--rejected", tmp_path / "exam.rejected.parquet"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return list(read_jsonl(made)), read_json(report)


@pytest.mark.parametrize("source", HUBS)
def test_cmmlu_in_its_archive(hub, runner, tmp_path, source):
    archive = packed({f"{part}/{name}.csv": CMMLU.replace("甲", name + part).replace("乙", name + part)
                      for part in ("dev", "test") for name in ("anatomy", "arts")})  # fmt: skip
    hub.add("datasets", "haonan-li/cmmlu", {"cmmlu_v1_0_1.zip": archive, "README.md": b""}, licence="cc-by-nc-4.0")
    runner.fetch("fetch_set.py", source=source, id="haonan-li/cmmlu", file="cmmlu_v1_0_1.zip", endpoint=hub.url, **SAID)
    found, report = questions(runner, tmp_path)
    assert [(row["subject"], row["measures"]) for row in found] == [
        *[("anatomy", "medicine")] * 2,
        *[("arts", "general")] * 2,
    ]
    licence = "cc-by-nc-4.0" if source == "huggingface" else None  # ModelScope states none of a data set
    assert (report["formats"], report["licence"], report["id"]) == ({"cmmlu": 2}, licence, "haonan-li/cmmlu")


def test_cmb_from_a_folder_of_its_hub(hub, runner, tmp_path):
    files = {"CMB-Exam/CMB-val/CMB-val-merge.json": json.dumps([CMB], ensure_ascii=False).encode()}
    files["CMB-Exam/CMB-train/CMB-train-merge.json"] = b"[]"
    hub.add("datasets", "FreedomIntelligence/CMB", files, licence="apache-2.0")
    runner.fetch(
        "fetch_set.py",
        **{"source": "huggingface", "id": "FreedomIntelligence/CMB", "file": "CMB-Exam/CMB-val", "endpoint": hub.url},
        **SAID,
    )
    ((row,), report) = questions(runner, tmp_path)
    assert (row["answer"], row["multiple"], row["subject"], row["seen"]) == ("AC", True, "内科", None)
    assert report["licence"] == "apache-2.0"


def test_a_file_that_the_hub_has_not_is_named_with_those_it_has(hub, runner):
    hub.add("datasets", "org/exam", {"test.csv": CMMLU.encode()})
    error = runner.fails("fetch_set.py", source="huggingface", id="org/exam", file="val.csv", endpoint=hub.url, **SAID)
    assert "evaluation.exams.mine" in error
    assert "test.csv" in error


def test_the_facts_of_the_demos_exam(runner):
    conditions = ROOT / "resources" / "demo" / "conditions.json"
    runner.fetch("fetch_set.py", source="demo", conditions=str(conditions), **SAID)
    facts = list(read_jsonl(runner.folder / "demo.jsonl"))
    assert len({fact["condition"] for fact in facts}) == len(read_json(conditions)["conditions"])
    assert {"condition", "aliases", "department", "field", "fact"} == facts[0].keys()
