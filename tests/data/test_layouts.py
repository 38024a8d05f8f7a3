"""Layouts: which one a file has, the turns of any way to write a dialogue down, and dialogues that are odd."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medscale.base.errors import UserError
from medscale.data.columns import Columns
from medscale.data.layouts.choice import choose, refuse_unused
from medscale.data.layouts.history import read_history
from medscale.data.layouts.turns import Dialogue, Odd, Turn, read_dialogue

DEFAULT = Columns(("instruction", "input"), "output")
PATH = Path("a.json")
TWO = Dialogue([Turn("头痛怎么办", "多休息"), Turn("那饮食呢", "清淡")])


@pytest.mark.parametrize(
    ("found", "layout"),
    [
        (["instruction", "input", "output", "history", "system"], "columns"),
        (["id", "conversations", "system"], "sharegpt"),
        (["messages"], "messages"),
        (["questions", "answers"], "lists"),
        (["instruction", "input", "output", "conversations"], "columns"),
    ],
)
def test_the_layout_is_known_by_the_columns(found, layout):
    assert choose(DEFAULT, found, PATH).layout == layout


def test_other_columns_than_the_configured_ones_may_be_alpaca():
    fields = choose(Columns(("title", "ask"), "answer"), ["instruction", "output"], PATH)
    assert (fields.layout, fields.question, fields.answer) == ("alpaca", ("instruction",), "output")
    assert fields.why == "it has no configured column, but 'instruction' and 'output'"


@pytest.mark.parametrize(
    ("columns", "found", "message"),
    [
        (
            DEFAULT,
            ["title", "ask"],
            r"data\.columns: a\.json has no column 'instruction', 'input', 'output'; its colum",
        ),
        (DEFAULT, ["instruction", "messages"], r"no column 'input', 'output'; .* set data\.layout: messages"),
        (Columns(("q",), "a", layout="columns"), ["messages"], r"no column 'q', 'a'"),
        (Columns(("q",), "a", layout="sharegpt"), ["q", "a"], r"data\.layout = sharegpt: a\.json has no column 'conv"),
        (Columns(("q",), "a", "科室"), ["messages"], r"no column '科室'"),
        (Columns(("q",), "a", history="before"), ["q", "a"], r"no column 'before'"),
    ],
)
def test_a_file_without_the_columns_is_refused_by_name(columns, found, message):
    with pytest.raises(UserError, match=message):
        choose(columns, found, PATH)


def test_the_column_of_the_turns_can_be_named():
    columns = Columns(("q",), "a", conversation="聊天", layout="sharegpt")
    assert choose(columns, ["聊天", "messages"], PATH).dialogue == "聊天"


@pytest.mark.parametrize(
    ("columns", "record", "use"),
    [
        (Columns(("q",), "a"), {"context": "孕妇"}, r"data\.columns\.question"),
        (Columns(("q",), "a"), {"instruction": 3}, r"data\.columns\.question"),
        (Columns(("q",), "a"), {"Chat History": [["问", "答"]]}, r"data\.columns\.history: Chat History"),
        (Columns(("q",), "a"), {"system_prompt": "你是医生"}, r"data\.columns\.system: system_prompt"),
        (Columns(("q",), "a"), {"conversations": [{}]}, r"data\.columns\.conversation: conversations"),
        (Columns(("q",), "a", history="before"), {"history": "[[1, 2]]"}, r"data\.columns\.history"),
    ],
)
def test_a_column_that_may_change_the_meaning_is_not_left_out_in_silence(columns, record, use):
    found = {"q": "问", "a": "答", "before": None, **record}
    name = next(iter(record))
    with pytest.raises(UserError, match=rf"record 7: the column '{name}' is not used.*{use}.*data\.ignore: \[{name}\]"):
        refuse_unused(found, choose(columns, found, PATH), columns, PATH, 7)
    ignoring = Columns(columns.question, columns.answer, history=columns.history, ignore=(name,))
    refuse_unused(found, choose(ignoring, found, PATH), ignoring, PATH, 7)


@pytest.mark.parametrize("value", [None, "", " ", float("nan"), [], "[]", {}])
def test_an_empty_column_changes_nothing(value):
    columns = Columns(("q",), "a")
    found = {"q": "问", "a": "答", "context": value, "score": 5}
    refuse_unused(found, choose(columns, found, PATH), columns, PATH, 1)


def test_a_column_that_was_set_to_null_is_left_out():
    columns = Columns(("q",), "a", history=None, system=None)
    found = {"q": "问", "a": "答", "history": [["问", "答"]], "system": "你是医生"}
    fields = choose(columns, found, PATH)
    refuse_unused(found, fields, columns, PATH, 1)
    assert (fields.history, fields.system) == (None, None)


def share(*turns: str) -> list[dict]:
    return [{"from": ("human", "gpt")[place % 2], "value": text} for place, text in enumerate(turns)]


def chat(*turns: str) -> list[dict]:
    return [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(turns)]


TURNS = ("头痛怎么办", "多休息", "那饮食呢", "清淡")


@pytest.mark.parametrize(
    "value",
    [
        share(*TURNS),
        chat(*TURNS),
        tuple(chat(*TURNS)),
        json.dumps(share(*TURNS), ensure_ascii=False),
        repr(chat(*TURNS)),
        [{"from": None, "value": None, **turn} for turn in chat(*TURNS)],
        {"role": ["user", "assistant"] * 2, "content": list(TURNS)},
        [{"role": turn["role"], "content": [{"type": "text", "text": turn["content"]}]} for turn in chat(*TURNS)],
        [{"speaker": ("病人", "医生")[place % 2], "text": text} for place, text in enumerate(TURNS)],
        [{"human": TURNS[0], "assistant": TURNS[1]}, {"human": TURNS[2], "assistant": TURNS[3]}],
        [f"{('问', '答')[place % 2]}：{text}" for place, text in enumerate(TURNS)],
        [f"{('病人', '医生')[place % 2]}: {text}" for place, text in enumerate(TURNS)],
        [{"query": TURNS[0], "response": TURNS[1], "role": None}, *chat(*TURNS[2:])],
        [{"from": ("User", " GPT ")[place % 2], "value": text} for place, text in enumerate(TURNS)],
        [turn | {"tool_calls": None} for turn in chat(*TURNS)],
    ],
)
def test_a_dialogue_is_read_from_any_way_to_write_it_down(value):
    assert read_dialogue(value) == TWO


@given(st.lists(st.text(), min_size=2, max_size=9))
def test_each_question_has_the_answer_after_it(texts):
    dialogue = read_dialogue(share(*texts))
    assert [text for turn in dialogue.turns for text in turn[:2]] == texts[: len(texts) // 2 * 2]
    assert dialogue.unanswered == len(texts) % 2


def test_the_system_speaks_first():
    system = [{"role": "system", "content": "你是医生"}, {"role": "developer", "content": "请简短"}]
    assert read_dialogue([*system, *chat(*TURNS)]) == TWO._replace(system="你是医生\n请简短")


def test_what_the_assistant_says_before_anything_is_asked_is_no_answer():
    assert read_dialogue([{"role": "assistant", "content": "您好"}, *chat(*TURNS)]) == TWO._replace(openings=1)


def test_an_answer_may_be_marked_as_not_to_be_learned():
    turns = chat(*TURNS)
    for key, value in (("weight", 0), ("loss", False), ("train", False)):
        marked = [turns[0], turns[1] | {key: value}, *turns[2:]]
        assert [turn.learned for turn in read_dialogue(marked).turns] == [False, True]


@pytest.mark.parametrize(
    ("value", "reason", "detail"),
    [
        (None, "empty_dialogue", "0 turns"),
        (float("nan"), "empty_dialogue", ""),
        ("", "empty_dialogue", ""),
        ([], "empty_dialogue", ""),
        ([{"role": "system", "content": "你是医生"}], "empty_dialogue", "1 turns"),
        (chat("问"), "no_answer", "1 turns"),
        (chat("问", "答")[::-1], "no_answer", "2 turns"),
        ([chat("问", "答")[1]] * 2, "two_assistant_turns", "turns 1 and 2"),
        ([*chat("问"), *chat("问", "答")], "two_user_turns", "turns 1 and 2"),
        ([*chat("问", "答"), chat("问", "答")[1]], "two_assistant_turns", "turns 2 and 3"),
        ([{"role": "nurse", "content": "问"}], "unknown_role", "turn 1: 'nurse'"),
        ([*chat("问"), {"role": "tool", "content": "答"}], "tool_turn", "turn 2"),
        ([*chat("问"), {"role": "assistant", "content": None, "tool_calls": [{}]}], "tool_turn", "turn 2"),
        ([*share("问"), {"from": "function_call", "value": "{}"}], "tool_turn", "turn 2"),
        ([*chat("问", "答"), {"role": "system", "content": "短"}], "late_system", "turn 3: 短"),
        (["问", "答"], "bad_turn", "turn 1 is no object but text: '问'"),
        ([{"content": "问"}], "bad_turn", "turn 1 has no role"),
        ([{"role": "user"}], "bad_turn", "turn 1 has no text"),
        ({"role": "user"}, "bad_turn", "no list of turns but object"),
        ("你好", "bad_turn", "no list of turns but text: '你好'"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}], "not_text", "turn 1: object"),
        ([{"role": "user", "content": {"a": 1}}], "not_text", "turn 1: object"),
    ],
)
def test_an_odd_dialogue_is_rejected_with_its_reason(value, reason, detail):
    with pytest.raises(Odd) as odd:
        read_dialogue(value)
    assert odd.value.reason == reason
    assert odd.value.detail.startswith(detail)


HISTORY = [Turn("头痛怎么办", "多休息", False), Turn("那饮食呢", "清淡", False)]


@pytest.mark.parametrize(
    "value",
    [
        [list(TURNS[:2]), list(TURNS[2:])],
        [TURNS[:2], TURNS[2:]],
        [f"{who}：{said}" for who, said in zip("问答问答", TURNS, strict=True)],
        [f"{who}: {said}" for who, said in zip(("User", "Assistant") * 2, TURNS, strict=True)],
        json.dumps([TURNS[:2], TURNS[2:]]),
        repr([TURNS[:2], TURNS[2:]]),
        [{"question": TURNS[0], "answer": TURNS[1]}, {"question": TURNS[2], "answer": TURNS[3]}],
        [{"prompt": TURNS[0], "response": TURNS[1]}, {"prompt": TURNS[2], "response": TURNS[3]}],
        chat(*TURNS),
        share(*TURNS),
    ],
)
def test_a_history_is_read_from_any_way_to_write_it_down(value):
    assert read_history(value) == HISTORY


@pytest.mark.parametrize("value", [None, "", " ", float("nan"), [], "[]"])
def test_there_may_be_no_history(value):
    assert read_history(value) == []


@pytest.mark.parametrize(
    ("value", "reason", "detail"),
    [
        ("上次问过头痛", "bad_history", "text: '上次问过头痛'"),
        (["高血压", "糖尿病"], "bad_history", "2 texts, and nothing says who speaks: list"),
        (["高血压10年", "糖尿病", "患者否认手术史"], "bad_history", "3 texts, and nothing says who speaks"),
        (["问：头痛怎么办", "多休息"], "bad_turn", "turn 2 is no object but text"),
        (["问：头痛怎么办"], "no_answer", "1 turns"),
        ([["问"]], "bad_history", "turn 1 is no question with its answer but list"),
        ([["问", "答"], 3], "bad_history", "turn 2"),
        ([{"a": "问", "b": "答"}], "bad_history", "turn 1"),
        ([["问", {}]], "not_text", "turn 1 of the history: object"),
        (chat("问", "答", "问"), "bad_history", "it has a system text, or begins with an answer, or ends with a"),
        ([chat("", "您好")[1], *chat("问", "答")], "bad_history", "it has a system text, or begins with an answer"),
        (chat("问", "答")[::-1], "no_answer", "2 turns"),
        ({"问": "答"}, "bad_history", "object"),
    ],
)
def test_a_history_that_is_none_is_rejected_with_its_reason(value, reason, detail):
    with pytest.raises(Odd) as odd:
        read_history(value)
    assert odd.value.reason == reason
    assert odd.value.detail.startswith(detail)


def test_an_ignored_column_shows_no_layout():
    columns = Columns(("q",), "a", ignore=("messages", "history"))
    found = ["messages", "questions", "answers", "history"]
    assert choose(columns, found, PATH)[:2] == ("lists", "it has no configured column, but 'questions' and 'answers'")
    assert choose(columns, found, PATH).history is None
