"""A value of a file as text: what is empty, what is written out, and what is refused by name."""

import datetime
import decimal
import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medscale.data.values import NotText, from_csv, is_null, structured, text_of


@pytest.mark.parametrize("value", [None, float("nan"), pd.NaT, pd.NA, decimal.Decimal("NaN"), [], [None, float("nan")]])
def test_what_stands_for_nothing_is_empty(value):
    assert text_of(value) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("无", "无"),
        (30, "30"),
        (30.0, "30"),
        (-0.5, "-0.5"),
        (36.6, "36.6"),
        (1e20, "1e+20"),
        (decimal.Decimal("7.0"), "7"),
        (decimal.Decimal("7.25"), "7.25"),
        (True, "true"),
        (False, "false"),
        (datetime.date(2024, 5, 1), "2024-05-01"),
        (datetime.datetime(2024, 5, 1), "2024-05-01"),
        (datetime.datetime(2024, 5, 1, 8, 30), "2024-05-01T08:30:00"),
        (pd.Timestamp("2024-05-01"), "2024-05-01"),
        (datetime.time(8, 30), "08:30:00"),
        ("头痛".encode(), "头痛"),
        (bytearray("高血压".encode("gb18030")), "高血压"),
    ],
)
def test_what_says_something_is_written_out(value, text):
    assert text_of(value) == text


@pytest.mark.parametrize(
    ("value", "first", "joined"),
    [
        (["头痛", "头疼"], "头痛", "头痛\n头疼"),
        ([["头痛", "头疼"], ["偏头痛"]], "头痛", "头痛\n头疼\n偏头痛"),
        ([None, " ", 30, "岁"], "30", "30\n岁"),
        (("头痛",), "头痛", "头痛"),
    ],
)
def test_of_a_list_the_first_or_all(value, first, joined):
    assert text_of(value) == first
    assert text_of(value, "join") == joined


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"a": 1}, "object: {'a': 1}"),
        ([{"a": 1}], "object: {'a': 1}"),
        (b"\xff\xff", "bytes: b'\\xff\\xff'"),
        (math.inf, "float: inf"),
        (datetime.timedelta(1), "timedelta: "),
    ],
)
def test_what_cannot_be_text_is_refused_and_named(value, found):
    with pytest.raises(NotText) as refused:
        text_of(value)
    assert str(refused.value).startswith(found)


@pytest.mark.parametrize("cell", ["NaN", "nan", "NULL", "None", "N/A", " n/a ", "<NA>", "NaT"])
def test_a_cell_of_one_word_for_nothing_is_empty(cell):
    assert from_csv(cell) is None


@pytest.mark.parametrize("cell", ["", "无", "Nano", "None of it", "NaN值"])
def test_a_cell_that_says_something_stays(cell):
    assert from_csv(cell) == cell


@given(st.text())
def test_any_text_is_itself(text):
    assert text_of(text) == text
    assert not is_null(text)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ('[{"from": "human"}]', [{"from": "human"}]),
        (" [['问', '答']]", [["问", "答"]]),
        ("{'a': None}", {"a": None}),
        ("[电话]怎么填", "[电话]怎么填"),
        ("[" * 100_000, "[" * 100_000),
        (["a"], ["a"]),
        (None, None),
        ("{{}}", "{{}}"),
        ("[{[]}]", "[{[]}]"),
        ("[" + "7" * 5000 + "]", "[" + "7" * 5000 + "]"),
    ],
)
def test_a_list_that_a_text_holds(value, found):
    assert structured(value) == found
