"""Cleaning of a row: its parts, its bounds, its department, and why it is dropped."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medscale.base.errors import UserError
from medscale.data.cleaning import Rules, clean_department, clean_row, join_parts, original_text
from medscale.data.raw_rows import RawRow
from medscale.data.table_files import Broken
from medscale.data.text_cleaning import clean_text

REPRODUCIBLE = settings(derandomize=True)
RULES = Rules((2, 100), (2, 200))


def cleaned(text: str) -> str:
    return clean_text(text)[0]


class TestRow:
    def row(self, *question, answer="建议多喝水", department=None):
        return clean_row(RawRow(1, question, answer, department), RULES)

    @pytest.mark.parametrize(
        ("parts", "question"),
        [
            (["高血压能吃党参吗？", "我有高血压，能吃吗"], "高血压能吃党参吗？\n我有高血压，能吃吗"),
            (["能吃党参吗？", "我有高血压，能吃党参吗"], "我有高血压，能吃党参吗"),
            (["同样的问题？", "同样的问题"], "同样的问题？"),
            (["头疼怎么办", "无"], "头疼怎么办"),
            (["头疼怎么办", None], "头疼怎么办"),
            (["", "头疼怎么办"], "头疼怎么办"),
            (["甲亢吃什么", "乙肝吃什么", "甲亢吃什么"], "甲亢吃什么\n乙肝吃什么"),
            (["头疼", "？头疼怎么办。", "怎么办"], "？头疼怎么办。"),
            ([" 头疼<br>", "胃疼&nbsp;"], "头疼\n胃疼"),
        ],
    )
    def test_question_is_joined_from_what_its_parts_say(self, parts, question):
        assert self.row(*parts).question == question

    @pytest.mark.parametrize(
        ("question", "answer", "reason"),
        [
            (("头疼怎么办",), None, "missing_value"),
            ((None, None), "多喝水", "missing_value"),
            (("头疼怎么办",), 5, "not_text"),
            (({"问": "头疼"},), "多喝水", "not_text"),
            ((" <br> ",), "多喝水", "empty_question"),
            (("头疼怎么办",), "&nbsp;", "empty_answer"),
            (("无", "暂无"), "多喝水", "placeholder_question"),
            (("头疼怎么办",), "谢谢", "placeholder_answer"),
            (("头疼\ufffd怎么办",), "多喝水", "broken_question"),
            (("头疼怎么办",), "锟斤拷锟斤拷", "broken_answer"),
            (("疼",), "多喝水", "short_question"),
            (("头疼怎么办" * 30,), "多喝水", "long_question"),
            (("头疼怎么办",), "喝", "short_answer"),
            (("头疼怎么办",), "多喝水" * 100, "long_answer"),
        ],
    )
    def test_is_dropped_for_a_reason(self, question, answer, reason):
        assert self.row(*question, answer=answer).reason == reason

    @pytest.mark.parametrize(
        ("question", "answer", "detail"),
        [
            ("头疼怎么办", None, "answer is null"),
            (None, "多喝水", "question is null"),
            (None, None, "question is null"),
            ("头疼怎么办", 5, "int: 5"),
            ("头疼怎么办", [{"a": "多喝水"}], "object: {'a': '多喝水'}"),
            ("头疼怎么办", {"a": "水" * 300}, "object: {'a': '" + "水" * 193),
            ("头疼怎么办", "&nbsp;", ""),
            ("头疼怎么办", "谢谢！", "谢谢！"),
            ("头疼怎么办", "。" * 300, "。" * 200),
            ("头疼怎么办", "喝\ufffd", "holds U+FFFD or 锟斤拷"),
            ("疼", "多喝水", "1 characters, at least 2 asked"),
            ("头疼怎么办", "多喝水" * 100, "300 characters, at most 200 allowed"),
        ],
    )
    def test_the_reason_comes_with_what_was_found_and_no_text_stays(self, question, answer, detail):
        row = self.row(question, answer=answer, department="内科")
        assert row.detail == detail
        assert (row.question, row.answer, row.department, row.masked) == (None, None, None, {})

    def test_a_row_that_could_not_be_read_keeps_the_reason_of_the_reader(self):
        row = clean_row(RawRow(1, (), None, None, Broken("bad_csv", "why", "text")), RULES)
        assert (row.reason, row.detail) == ("bad_csv", "why")

    def test_what_was_masked_is_counted_in_the_question_and_in_the_answer(self):
        row = self.row("我手机13812345678", "QQ：123456789", answer="打13912345678")
        assert (row.question, row.answer) == ("我手机[电话]\nQQ：[QQ号]", "打[电话]")
        assert row.masked == {"phone": 2, "qq": 1}
        assert (row.reason, row.detail) == (None, "")
        raw = RawRow(1, ("我手机13812345678",), "打13912345678", None)
        plain = clean_row(raw, Rules((2, 100), (2, 200), mask=False))
        assert (plain.question, plain.answer, plain.masked) == (*raw.question, raw.answer, {})

    @pytest.mark.parametrize(
        ("parts", "joined"), [([], ""), (["空", "暂无"], "暂无"), (["暂无", "空"], "暂无"), (["", "。。"], "。。")]
    )
    def test_where_nothing_is_said_the_longest_placeholder_is_the_question(self, parts, joined):
        assert join_parts(parts) == joined

    @pytest.mark.parametrize(
        ("raw", "name"),
        [(3.5, "3.5"), (True, None), ("内&nbsp;科", "内 科"), ("13812345678科", "13812345678科"), ({}, None)],
    )
    def test_a_name_of_a_department_is_text_or_a_number(self, raw, name):
        assert clean_department(raw) == name

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (None, None),
            ("头\ud83d疼", "头\\ud83d疼"),
            (3, "3"),
            ([1, "二"], "[1, '二']"),
            (("头", None, 3), "头\n3"),
            ((None, None), None),
            ((), None),
        ],
    )
    def test_any_value_can_be_written_as_the_text_that_it_was(self, value, text):
        assert original_text(value) == text

    def test_bounds_may_be_one_length(self):
        raw = RawRow(1, ("头疼",), "多喝水", None)
        assert clean_row(raw, Rules((2, 2), (3, 3))).reason is None
        assert clean_row(raw, Rules((3, 3), (3, 3))).reason == "short_question"
        assert clean_row(raw, Rules((2, 2), (1, 2))).reason == "long_answer"

    def test_length_bounds_are_inclusive(self):
        assert self.row("头疼", answer="喝水").reason is None
        assert self.row("头疼", answer="多喝水吧" * 50).reason is None

    @pytest.mark.parametrize(
        ("raw", "department"), [(" 内科 ", "内科"), ("", None), ("无", None), (None, None), (3, "3"), (["内科"], None)]
    )
    def test_department(self, raw, department):
        assert self.row("头疼怎么办", department=raw).department == department

    def test_bounds_that_contradict_each_other_are_an_error(self):
        with pytest.raises(UserError, match=r"cleaning\.min_answer_characters"):
            Rules((1, 2), (5, 4))
        with pytest.raises(UserError, match=r"cleaning\.min_question_characters \(3\) is above .* \(2\)"):
            Rules((3, 2), (1, 4))

    @REPRODUCIBLE
    @given(st.lists(st.text("高血压头疼？。 无"), max_size=4))
    def test_joining_is_stable(self, parts):
        parts = [cleaned(part) for part in parts]
        joined = join_parts(parts)
        assert cleaned(joined) == joined
        assert join_parts([joined]) == joined
