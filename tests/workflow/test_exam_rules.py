"""The rules of exams: from files to questions and leaks, and what is made again when anything changes."""

import pytest

from medscale.base.files import read_json, read_jsonl
from places import ROOT
from workflow_runner import Study

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
CMMLU = ",Question,A,B,C,D,Answer\n0,甲的部分不包括,一,二,三,四,B\n1,乙位于,上,下,左,右,D\n"


def test_exams_are_made_again_by_their_bytes_their_names_and_their_settings(tmp_path):
    study = Study(ROOT, tmp_path / "study")
    own, moved = tmp_path / "own", tmp_path / "moved"
    own.mkdir()
    (own / "arts.csv").write_text(CMMLU, encoding="utf-8")

    def configure(folder, **more):
        exams = {"subjects": {"path": str(folder), **more}, "facts": {"source": "demo", "max_questions": 40}}
        study.configure(study={"sizes": [100, 200], "test_size": 8, "validation_size": 6}, evaluation={"exams": exams})

    configure(own)
    data = study.folder / "results" / "data"
    targets = [f"results/data/exams/{name}.leak.json" for name in ("subjects", "facts")]
    study.run(*targets, "--cores", "2")
    assert [row["subject"] for row in read_jsonl(data / "exams" / "subjects.jsonl")] == ["arts", "arts"]
    report = read_json(data / "exams" / "subjects.json")
    assert (report["read"], report["kept"], report["measures"]) == (2, 2, {"general": 2})
    assert (data / "exams" / report["rejected"]["file"]).is_file()
    assert any(row["seen"] for row in read_jsonl(data / "exams" / "facts.jsonl"))
    assert read_json(data / "exams" / "facts.leak.json")["training_rows"] == 200

    # Where the files lie is nothing to the study. A file's name is its subject, though no part of its bytes.
    own.rename(moved)
    configure(moved)
    assert study.plan(*targets) == {}
    (moved / "arts.csv").rename(moved / "anatomy.csv")
    assert study.plan(*targets)["exam_questions"] == 1
    study.run(*targets, "--cores", "2")
    assert {row["measures"] for row in read_jsonl(data / "exams" / "subjects.jsonl")} == {"medicine"}

    # How questions are asked remakes none of them; whether their texts can answer them is looked at again.
    configure(moved, prompt="chat", description="答题。", permutations="all")
    assert study.plan(*targets) == {}
    configure(moved, scored_by="text")
    assert study.plan(*targets)["exam_questions"] == 1

    configure(moved, max_questions=1)
    planned = study.plan(*targets)
    assert planned["exam_questions"] == 1
    assert not planned.keys() & {"clean", "split", "subset", "fetch_data", "fetch_set"}


def test_general_rows_are_compared_with_the_general_texts_where_a_study_has_both(tmp_path):
    study = Study(ROOT, tmp_path / "study")
    mix = {"source": "demo", "rows": 40, "share": 0.2}
    told = ("-n", "-p", "results/data/mix.jsonl")
    study.configure(study={"sizes": [16, 32], "mix": mix})
    assert "--retention" not in study.run(*told).stdout
    study.configure(study={"sizes": [16, 32], "mix": mix}, evaluation={"retention": {"source": "demo", "rows": 20}})
    assert "--retention results/data/retention.jsonl" in study.run(*told).stdout
