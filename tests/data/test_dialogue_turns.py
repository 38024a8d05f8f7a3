"""The turns of a dialogue as samples: each with its history, counted where it gives none."""

import json

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medscale.data.cleaning import clean_row
from medscale.data.raw_rows import RawRow
from small_corpora import DIALOGUES, FOLLOW_UP, LONG, RULES, Cleaned, dialogue, share, topic, written


@pytest.mark.parametrize("layout", ["sharegpt", "messages", "csv", "parquet"])
def test_each_turn_is_a_sample_with_its_history(tmp_path, layout):
    names = {"sharegpt": "a.json", "messages": "a.jsonl", "csv": "a.csv", "parquet": "a.parquet"}
    records = DIALOGUES
    if layout != "sharegpt":
        roles = {"human": "user", "gpt": "assistant"}
        records = [
            {"messages": [{"role": roles[turn["from"]], "content": turn["value"]} for turn in each["conversations"]]}
            for each in records
        ]
    content = json.dumps(records).encode()
    if layout == "messages":
        content = "".join(json.dumps(record) + "\n" for record in records).encode()
    if layout == "csv":
        content = written(pd.DataFrame({"messages": [json.dumps(record["messages"]) for record in records]}), "a.csv")
    if layout == "parquet":
        content = written(pd.DataFrame(records), "a.parquet")
    result = Cleaned(tmp_path, content, name=names[layout])
    question, answer = topic(0)
    assert [row["id"] for row in result.kept[:4]] == ["r0000001", "r0000001.2", "r0000002", "r0000002.2"]
    assert result.texts()[:2] == [(question, answer), FOLLOW_UP]
    assert [row["history"] for row in result.kept[:2]] == [None, [[question, answer]]]
    assert {row["dialogue"] for row in result.kept[:2]} == {"r0000001"}
    report = result.report
    assert (report["read"], report["kept"], report["samples"], report["dropped"]) == (20, 20, 40, {})
    assert "samples" in report["counted"]


def test_the_same_follow_up_in_another_dialogue_is_no_duplicate_but_the_same_dialogue_is(tmp_path):
    result = Cleaned(tmp_path, [*DIALOGUES, DIALOGUES[3], DIALOGUES[4] | {"id": 3}])
    assert result.report["dropped"] == {"exact_duplicate": 2}
    assert result.report["samples"] == 40
    assert [row["detail"] for row in result.rejected] == ["of r0000004", "of r0000005"]


def test_dialogues_that_are_not_questions_and_answers_in_turn_are_dropped_and_counted_by_name(tmp_path):
    twice = share(*topic(1))[:1] + share(*topic(2))
    tool = [*share(*topic(3)), {"from": "function_call", "value": "{}"}, {"from": "observation", "value": "{}"}]
    records = [{"conversations": turns} for turns in (share(*topic(0)), twice, tool, share(*topic(4)), twice)]
    result = Cleaned(tmp_path, records, "--max-dropped-share", "null")
    assert result.texts() == [topic(0), topic(4)]
    assert result.report["dropped"] == {"two_user_turns": 2, "tool_turn": 1}
    assert result.report["read"] == 5 == result.report["kept"] + sum(result.report["dropped"].values())
    assert [(row["id"], row["reason"]) for row in result.rejected] == [
        *[("r0000002", "two_user_turns"), ("r0000003", "tool_turn"), ("r0000005", "two_user_turns")]
    ]


def test_one_question_with_other_histories_is_no_duplicate(tmp_path):
    records = [
        {"instruction": FOLLOW_UP[0], "input": "", "output": FOLLOW_UP[1], "history": [topic(n)]} for n in range(5)
    ]
    assert Cleaned(tmp_path, records).report["kept"] == 5


@pytest.mark.parametrize(("turns", "kept"), [("first", ["r0000001"]), ("last", ["r0000001.2"])])
def test_one_turn_of_each_dialogue_may_be_enough(tmp_path, turns, kept):
    result = Cleaned(tmp_path, DIALOGUES[:1], "--turns", turns)
    assert [row["id"] for row in result.kept] == kept
    dropped = {"first": "later_turn", "last": "earlier_turn"}[turns]
    assert result.report["turns_dropped"] == {dropped: 1}
    history = {"first": [], "last": [list(topic(0))]}[turns]
    assert result.kept[0].get("history", []) == history


@pytest.mark.parametrize(
    ("turns", "samples", "dropped"),
    [
        (("你好", "您好，请讲。", "头痛怎么办", "多休息"), [2], {"placeholder_question": 1}),
        (("头痛怎么办", "好", "那饮食呢", "清淡"), [2], {"short_answer": 1}),
        (("头痛怎么办", "多休息", "谢谢"), [1], {"no_answer": 1}),
        (("头痛怎么办", "多休息", "那饮食呢", "&nbsp;"), [1], {"no_answer": 1}),
        (("头痛怎么办", LONG, "那饮食呢", "清淡", "还有呢", "没有了啊"), [], "long_answer"),
        (("头痛怎么办", "多休息", "饮食呢", LONG, "还有呢", "运动"), [1], {"long_answer": 1, "long_history": 1}),
        (("头痛怎么办", "多\ufffd", "饮食呢", "清淡"), [], "broken_answer"),
        (("头痛怎么办", "", "饮食呢", "清淡"), [], "empty_turn"),
        (("头痛怎么办", "多休息", " <br> ", "清淡"), [], "empty_turn"),
        (("头痛怎么办", ""), [], "empty_answer"),
        (("头痛怎么办",), [], "no_answer"),
        (("头痛怎么办", "多休息", "嗯", LONG, "还有呢", "运动"), [1], {"long_answer": 1, "long_history": 1}),
        (
            ("头痛怎么办", "多休息", "谢谢", "好\ufffd", "还", "动"),
            [1],
            {"broken_answer": 1, "broken_history": 1},
        ),
    ],
)
def test_a_turn_that_gives_no_sample_is_counted_and_remains_as_history_where_it_can(turns, samples, dropped):
    row = clean_row(dialogue(*turns), RULES)
    assert [sample.turn for sample in row.samples] == samples
    assert (row.turns_dropped if samples else row.reason) == dropped
    pairs = list(zip(turns[::2], turns[1::2], strict=False))
    assert all(list(sample.history) == pairs[: sample.turn - 1] for sample in row.samples)


@pytest.mark.parametrize(
    ("history", "reason"),
    [
        ([["头痛", LONG]], "long_history"),
        ([["头痛\ufffd", "多休息"]], "broken_history"),
        ([["头痛", ""]], "empty_history"),
        ([["你好", "好"]], None),
        ([["你好", LONG]], "long_history"),
        ([["嗯", ""]], "empty_history"),
        ([["无", "多休息\ufffd"]], "broken_history"),
        ("上次", "bad_history"),
    ],
)
def test_a_history_keeps_to_the_bounds_but_may_be_short(history, reason):
    assert clean_row(RawRow(1, ("那饮食呢",), "清淡", None, history=history), RULES).reason == reason


def test_answers_that_are_not_to_be_learned_are_history():
    turns = share("头痛怎么办", "多休息", "那饮食呢", "清淡")
    turns[1]["loss"] = False
    row = clean_row(RawRow(1, (), None, None, dialogue=turns, is_dialogue=True), RULES)
    assert [(sample.turn, sample.history) for sample in row.samples] == [(2, (("头痛怎么办", "多休息"),))]
    assert row.turns_dropped == {"nothing_to_learn": 1}
    row = clean_row(RawRow(1, (), None, None, dialogue=turns[:2], is_dialogue=True), RULES)
    assert row.reason == "nothing_to_learn"


def test_what_was_masked_in_any_turn_is_counted():
    row = clean_row(dialogue("我手机13812345678", "打13912345678", "那饮食呢", "清淡", system="QQ：123456789"), RULES)
    assert row.masked == {"phone": 2, "qq": 1}
    assert row.samples[1].history == (("我手机[电话]", "打[电话]"),)
    assert row.system == "QQ：[QQ号]"


TURN = st.builds(
    lambda role, text: {"role": role, "content": text},
    st.sampled_from(["user", "assistant", "user", "assistant", "system", "tool", "x"]),
    st.sampled_from(["", "你好", "头痛怎么办", "多休息多喝水", "多喝水" * 700, None, "锟斤拷"]),
)


@settings(derandomize=True, max_examples=40)
@given(st.lists(st.one_of(st.lists(TURN, max_size=6), st.none(), st.text(max_size=3)), max_size=12))
def test_read_is_kept_plus_dropped_for_any_dialogues(tmp_path_factory, dialogues):
    folder = tmp_path_factory.mktemp("any")
    records = [{"messages": each} for each in [share(*topic(0), *FOLLOW_UP), *dialogues]]
    result = Cleaned(folder, records, "--max-dropped-share", "null", "--min-answer-characters", "2")
    report = result.report
    assert report["read"] == len(records) == report["kept"] + sum(report["dropped"].values())
    assert len(result.rejected) == sum(report["dropped"].values())
    assert report["samples"] == len(result.kept) == len({row["id"] for row in result.kept})
    assert report["kept"] == len({row["id"].partition(".")[0] for row in result.kept})
