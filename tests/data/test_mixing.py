"""General rows for a mix: read as a corpus is, nothing disappears, and none is near a held-out question."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medscale.base.files import read_json, read_jsonl, sha256_file, write_json, write_jsonl
from medscale.data.cleaning import Rules
from medscale.data.demo import everyday_rows
from medscale.data.mixing import HeldOut, general_rows
from medscale.data.near.leak_check import Thresholds
from medscale.data.raw_rows import RawRow
from medscale.fetch.manifest import write_manifest
from places import SCRIPTS

RULES = Rules((4, 500), (10, 2000), turns="first")
LONG = "孩子昨天晚上开始发烧到三十九度，吃了布洛芬退下去了，今天早上又烧起来，请问医生需要去医院验血吗"
ANSWER = "多喝水，注意休息，如果持续高烧请及时到医院就诊。"


def held_out(*questions, part="test"):
    return {part: [{"id": f"t{n}", "question": text, "answer": "答"} for n, text in enumerate(questions)]}


def mixed(pairs, others, tmp_path, seed=42, near=0.7, system=None, texts=()):
    raws = [RawRow(number, (question,), answer, None) for number, (question, answer) in enumerate(pairs, 1)]
    return general_rows(raws, RULES, near, HeldOut(others, texts, Thresholds(), []), seed, tmp_path, system)


def everyday(count, seed=42):
    rows = everyday_rows.rows(seed)
    return [next(rows) for _ in range(count)]


def test_what_is_near_a_held_out_question_is_dropped_and_counted(tmp_path):
    pairs = [(LONG, ANSWER), (LONG.replace("三十九", "四十"), ANSWER + "好。"), *everyday(30)]
    found = mixed(pairs, held_out(LONG) | held_out("完全不相干的一个验证问题在这里", part="validation"), tmp_path)
    assert found.dropped["near_test"] == 2 - found.dropped["near_duplicate"]
    assert found.dropped["near_test"] >= 1
    assert not any("布洛芬" in row["question"] for row in found.rows)
    assert found.near[0]["held_out"] == LONG
    assert found.near[0]["part"] == "test"


def test_a_held_out_question_inside_a_long_general_one_is_found(tmp_path):
    story = "".join(question for question, _ in everyday(4))
    found = mixed([(story + LONG, ANSWER), *everyday(5)], held_out(LONG, part="validation"), tmp_path)
    assert found.dropped["near_validation"] == 1
    assert found.near[0]["containment"] == 1.0
    assert found.near[0]["similarity"] < 0.6


STORY = "清晨的码头上站着一位老渔夫，他把昨夜补好的渔网一层层叠起来，又数了数篮子里的灯，才慢慢解开缆绳。"
MORE = "风从山那边吹来，带着松针的气味，孩子们在院子里追着一只风筝跑，直到天色暗下来才回屋吃饭。"


@pytest.mark.parametrize(
    ("question", "answer", "goes"),
    [
        ("请把这段话写完整", STORY, True),
        ("请续写一个关于渔夫的故事", STORY[:30] + "。", True),  # a part of the text
        ("请续写一个关于渔夫的故事", MORE.join([STORY, STORY[::-1]]), True),  # the text and more
        (f"概括下面这段话：{STORY}", "老渔夫在清晨整理好渔网，准备出海。", True),
        ("请写一段乡村傍晚的景色", MORE, False),
        (
            "请写一段清晨的景色",
            "清晨的码头上站着一位卖花的姑娘，她把花一枝枝插进水桶，再摆到路边的木架上，等第一班船。",
            False,
        ),
    ],
)
def test_a_row_that_says_a_general_text_is_not_trained_on(tmp_path, question, answer, goes):
    found = mixed(
        [(question, answer), *everyday(3)], held_out(LONG), tmp_path, texts=["别的一段话，与此无关。" * 3, STORY]
    )
    assert found.dropped == ({"near_retention": 1} if goes else {})
    assert found.kept == 3 + (not goes)
    assert [(each["part"], each["held_out"]) for each in found.near] == [("retention", STORY)] * goes


def test_one_file_for_the_mix_and_the_texts_leaves_nothing_that_was_not_held_out(tmp_path):
    pairs = everyday(40)
    found = mixed(pairs, held_out(LONG), tmp_path, texts=[answer for _, answer in pairs[:25]])
    assert not {row["answer"] for row in found.rows} & {answer for _, answer in pairs[:25]}
    assert found.kept <= 15


def test_rows_are_as_training_files_have_them_with_ids_of_their_own(tmp_path):
    found = mixed(everyday(3), held_out(LONG), tmp_path)
    assert {row["id"] for row in found.rows} == {"g0000001", "g0000002", "g0000003"}
    assert all(row.keys() == {"id", "question", "answer", "department"} for row in found.rows)
    said = mixed(everyday(3), held_out(LONG), tmp_path, system="你是助手。")
    assert {row["system"] for row in said.rows} == {"你是助手。"}


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([LONG, "", "短", *(q for q, _ in everyday(6))]), st.sampled_from([ANSWER, "", "嗯"])),
        max_size=20,
    ),
    st.integers(0, 5),
)
def test_read_is_kept_and_all_that_was_dropped_and_the_order_is_a_function_of_the_seed(pairs, seed):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        found = mixed(pairs, held_out(LONG), folder, seed)
        again = mixed(pairs, held_out(LONG), folder, seed)
    assert found.read == len(pairs) == found.kept + found.dropped.total()
    assert len(found.rows) == found.kept
    assert found.rows == again.rows
    assert LONG not in {row["question"] for row in found.rows}


def test_the_order_does_not_depend_on_what_else_is_there(tmp_path):
    some = [row["id"] for row in mixed(everyday(40), held_out(LONG), tmp_path).rows]
    fewer = [row["id"] for row in mixed(everyday(30), held_out(LONG), tmp_path).rows]
    assert [name for name in some if name in set(fewer)] == fewer
    assert some != sorted(some)


class Files:
    """The files that mix_rows.py and mixed_subset.py read, in a folder."""

    def __init__(self, folder: Path, rows: int = 40):
        self.folder = folder
        everyday_rows.write(folder / "set.jsonl", None, {"rows": rows, "seed": 42})
        write_manifest(folder, kind="data", source="demo", files=["set.jsonl"])
        write_jsonl(folder / "test.jsonl", held_out(LONG)["test"])
        write_jsonl(folder / "validation.jsonl", held_out("另外一个完全不同的验证问题")["test"])
        write_json(folder / "split_report.json", {"boilerplate": []})
        own = [{"id": f"r{n}", "question": f"第{n}个医疗问题", "answer": "答", "department": "内科"} for n in range(18)]
        write_jsonl(folder / "train.jsonl", own)
        write_json(folder / "train.manifest.json", {"departments": {"内科": 18}})

    def run(self, script: str, *arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, SCRIPTS / script, *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=self.folder, check=False)

    def mix(self, needed: int, *more: str) -> subprocess.CompletedProcess:
        columns = json.dumps({"question": ["instruction", "input"], "answer": "output"})
        return self.run(
            "mix_rows.py",
            *("--manifest", "manifest.json", "--columns", columns, "--needed", str(needed)),
            *("--test", "test.jsonl", "--validation", "validation.jsonl", "--split-report", "split_report.json"),
            *("--output", "mix.jsonl", "--report", "mix.json", *more),
        )

    def subset(self, count: int) -> subprocess.CompletedProcess:
        return self.run(
            "mixed_subset.py",
            *("--count", str(count), "--manifest-of-train", "train.manifest.json", "--train", "train.jsonl"),
            *("--general", "mix.jsonl", "--output", "mixed.jsonl", "--manifest", "mixed.manifest.json"),
        )


def test_the_scripts_add_general_rows_behind_the_same_training_rows(tmp_path):
    files = Files(tmp_path)
    done = files.mix(2)
    assert done.returncode == 0, done.stderr
    report = read_json(tmp_path / "mix.json")
    assert report["read"] == 40 == report["kept"] + sum(report["dropped"].values())
    assert report["sha256"] == sha256_file(tmp_path / "mix.jsonl")
    done = files.subset(2)
    assert done.returncode == 0, done.stderr
    own, all_rows = ((tmp_path / name).read_bytes() for name in ("train.jsonl", "mixed.jsonl"))
    general = (tmp_path / "mix.jsonl").read_bytes().splitlines(keepends=True)
    assert all_rows == own + b"".join(general[:2])
    manifest = read_json(tmp_path / "mixed.manifest.json")
    assert (manifest["size"], manifest["general"], manifest["general_share"]) == (20, 2, 0.1)


def test_too_few_general_rows_are_told_with_the_reasons(tmp_path):
    files = Files(tmp_path, rows=5)
    done = files.mix(6)
    assert done.returncode == 1
    assert "study.mix: the largest mix takes 6 general rows" in done.stderr
    assert "[D170]" in done.stderr
    assert "evaluation.retention" not in done.stderr
    assert not (tmp_path / "mix.jsonl").exists()
    rows = read_jsonl(tmp_path / "set.jsonl")
    write_jsonl(tmp_path / "texts.jsonl", [{"id": str(n), "text": row["output"]} for n, row in enumerate(rows)])
    done = files.mix(3, "--retention", "texts.jsonl")
    assert "stand in the texts of evaluation.retention: name other texts there, or fewer" in done.stderr
    assert files.mix(3).returncode == 0
    assert "[D170]" in files.subset(6).stderr
    assert not (tmp_path / "mixed.jsonl").exists()


def test_columns_that_are_not_there_are_named_as_the_mix_has_them(tmp_path):
    files = Files(tmp_path)
    done = files.mix(1, "--columns", json.dumps({"question": "ask", "answer": "output"}))
    assert done.returncode == 1
    assert "study.mix.columns" in done.stderr
    assert "data.columns" not in done.stderr


@pytest.mark.parametrize("seed", [42, 7])
def test_the_demos_rows_are_general_different_and_clean(tmp_path, seed):
    everyday_rows.write(tmp_path / "a.jsonl", None, {"rows": 400, "seed": seed})
    everyday_rows.write(tmp_path / "b.jsonl", None, {"rows": 400, "seed": seed})
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    rows = list(read_jsonl(tmp_path / "a.jsonl"))
    assert len({row["instruction"] for row in rows}) == 400
    pairs = [(row["instruction"], row["output"]) for row in rows]
    found = mixed(pairs, held_out(LONG), tmp_path)
    assert found.kept > 300
    assert not found.dropped.keys() - {"near_duplicate"}
    assert not any(word in row["question"] + row["answer"] for row in found.rows for word in ("病", "医", "药"))
