"""Exams in training rows: what is found and why, what is not, and that it is found wherever it stands."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import exam_leak
from medscale.base.files import read_json, write_jsonl
from medscale.data.exams.leaks import KINDS, find_leaks
from medscale.data.near.leak_check import Thresholds

QUESTION = "患者男性，四十五岁，活动后胸口压榨样疼痛三个月，休息后缓解，首先考虑的诊断是"
OPTIONS = {"A": "稳定型心绞痛", "B": "急性心肌梗死", "C": "主动脉夹层", "D": "反流性食管炎"}


def exam(question=QUESTION, options=OPTIONS, answer="A", number=1):
    return {"id": f"q{number:06d}", "question": question, "options": options, "answer": answer}


def row(question, answer, number=1, **more):
    return {"id": f"r{number:07d}", "question": question, "answer": answer, **more}


def leaks(questions, rows, thresholds=Thresholds()):  # noqa: B008 (a named tuple)
    report = find_leaks(questions, rows, thresholds)
    assert report["contaminated"] == len(report["ids"])
    return report


OTHER = row("高血压平时要注意什么，饮食上有什么讲究吗？", "高血压患者日常要做到：每天固定时间量血压并记录，戒烟限酒。")


@pytest.mark.parametrize(
    ("known", "kinds"),
    [
        (row(QUESTION + "什么？", "多休息。"), {"question", "with_options"}),
        (row("老师，这题怎么做：" + QUESTION + "。谢谢！", "应该选A。"), {"question", "with_options"}),
        (row("考考你", f"题目是：{QUESTION}。答案是稳定型心绞痛。"), {"question", "answered"}),
        (row(QUESTION + "\n" + "\n".join(f"{k}. {v}" for k, v in OPTIONS.items()), "A"), set(KINDS)),
        (row("还有呢？", "A", history=[["前一题", "B"], [QUESTION, "选A"]]), {"question", "with_options"}),
    ],
)
def test_what_training_knows(known, kinds):
    report = leaks([exam()], [OTHER, known])
    assert report["ids"] == ["q000001"]
    assert {kind for kind in KINDS if report["by_kind"][kind]} <= kinds
    assert report["by_kind"]["question"]
    assert report["worst"][0]["train_id"] == known["id"]


def test_what_training_does_not_know():
    similar = row("活动后胸口压榨样疼痛怎么回事？", "要考虑稳定型心绞痛，建议到心血管科做心电图。")
    report = leaks([exam()], [OTHER, similar])
    assert (report["contaminated"], report["share"], report["worst"]) == (0, 0.0, [])


def test_a_short_question_counts_with_its_answer_only():
    short = exam("属于甲类传染病的是", {"A": "鼠疫", "B": "流感", "C": "麻疹", "D": "水痘"})
    alone = row("属于甲类传染病的是哪些？我想了解一下。", "传染病分为甲乙丙三类，具体请咨询医生。")
    answered = row("属于甲类传染病的是什么？", "属于甲类传染病的是鼠疫和霍乱。")
    assert leaks([short], [alone])["contaminated"] == 0
    report = leaks([short], [alone, answered])
    assert (report["contaminated"], report["by_kind"]["answered"], report["by_kind"]["question"]) == (1, 1, 0)


def test_an_answer_of_one_character_is_found_everywhere_and_says_nothing():
    short = exam("感冒会传染吗", {"A": "会", "B": "不"})
    assert leaks([short], [row("感冒会传染吗？", "会的，要注意。")])["contaminated"] == 0


def test_thresholds_decide():
    half = row(QUESTION[:20], "多休息。")
    assert leaks([exam()], [half])["contaminated"] == 0
    assert leaks([exam()], [half], Thresholds(0.3, 13, 0.8))["contaminated"] == 1


@given(st.integers(0, 30), st.integers(0, 30), st.integers(1, 5))
def test_it_is_found_wherever_it_stands(before, after, number):
    rows = [row(f"第{n}个人问高血压{n}号怎么治", f"回答{n}", n) for n in range(before + after)]
    rows.insert(before, row(QUESTION, "选A", 999))
    questions = [exam(f"完全不同的第{n}道题目，问的是另外一件事情", OPTIONS, "B", n) for n in range(1, number)]
    report = leaks([*questions, exam(number=number)], rows)
    assert report["ids"] == [f"q{number:06d}"]
    assert report["training_rows"] == before + after + 1


def test_general_rows_are_looked_through_and_counted_apart(tmp_path, monkeypatch, capsys):
    write_jsonl(tmp_path / "e.jsonl", [exam()])
    write_jsonl(tmp_path / "train_2.jsonl", [row("头疼怎么办", "多休息。", 1), row("咳嗽怎么办", "多喝水。", 2)])
    write_jsonl(tmp_path / "mix.jsonl", [row(QUESTION, "选A", 3)])
    files = {"questions": "e.jsonl", "train": "train_2.jsonl", "general": "mix.jsonl", "output": "leak.json"}
    arguments = [part for name, file in files.items() for part in (f"--{name}", str(tmp_path / file))]
    monkeypatch.setattr(sys, "argv", ["exam_leak.py", "--name", "e", *arguments])
    exam_leak.main()
    report = read_json(tmp_path / "leak.json")
    assert (report["training_rows"], report["general_rows"], report["contaminated"]) == (2, 1, 1)
    assert "found in 2 training rows and 1 general one;" in capsys.readouterr().out
