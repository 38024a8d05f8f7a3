"""Cleaning of a corpus: duplicates, and the sum that must come out."""

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cleaned_rows import Cleaned, noisy_rows, row
from medscale.base.errors import UserError

REPRODUCIBLE = settings(derandomize=True)
LONG_QUESTION = "我爸爸今年六十岁，最近总是头晕，去医院量了血压说是高血压，请问平时饮食上应该注意些什么？"
LONG_ANSWER = "高血压患者平时要低盐饮食，多吃蔬菜水果，少吃油腻的食物，戒烟限酒，适当运动，按时服用降压药。"
GOOD = row(LONG_QUESTION, LONG_ANSWER, department="心血管科")


class TestCorpusCleaning:
    def test_every_row_is_kept_or_rejected_with_its_original_text(self, tmp_path):
        rows = [
            GOOD,
            row("头疼<b>", "无"),
            [1],
            row("胃疼\ud83d怎么办", 3),
            row("胃疼怎么办", "吃药吧&lt;", department="消化科"),
        ]
        result = Cleaned(tmp_path, rows)
        assert [(row["id"], row["question"], row["answer"], row["department"]) for row in result.kept] == [
            ("r0000001", LONG_QUESTION, LONG_ANSWER, "心血管科"),
            ("r0000005", "胃疼怎么办", "吃药吧<", "消化科"),
        ]
        assert [(row["row"], row["reason"], row["question"], row["answer"]) for row in result.rejected] == [
            (2, "placeholder_answer", "头疼<b>\n", "无"),
            (3, "bad_json", "[1]", None),
            (4, "not_text", "胃疼\\ud83d怎么办\n", "3"),
        ]
        assert result.report["read"] == 5
        assert result.report["kept"] == 2
        assert result.report["dropped"] == {"bad_json": 1, "not_text": 1, "placeholder_answer": 1}
        assert result.report["departments"] == {"心血管科": 1, "消化科": 1}

    def test_exact_and_near_duplicates_are_dropped_and_point_to_the_kept_row(self, tmp_path):
        rows = [
            GOOD,
            GOOD,
            row(LONG_QUESTION.replace("平时", "日常"), LONG_ANSWER.replace("适当运动", "适量运动")),
            row(LONG_QUESTION.replace("，", ","), LONG_ANSWER),
            row(LONG_QUESTION, "建议您去正规医院的心内科做详细的检查，明确诊断之后再对症治疗，不要自己随便买药吃。"),
            row("我最近胃疼反酸，晚上睡不着觉，吃什么药好得快一些呢？", LONG_ANSWER),
        ]
        result = Cleaned(tmp_path, rows)
        assert [row["id"] for row in result.kept] == ["r0000001", "r0000005", "r0000006"]
        assert result.reasons() == {
            "r0000002": "exact_duplicate",
            "r0000003": "near_duplicate",
            "r0000004": "near_duplicate",
        }
        assert all(row["detail"].startswith("of r0000001") for row in result.rejected)

    def test_a_long_question_with_another_short_answer_is_no_duplicate(self, tmp_path):
        rows = [row(LONG_QUESTION * 3, answer) for answer in ("少吃盐，按时吃药。", "建议去医院检查。")]
        assert Cleaned(tmp_path, rows).report["dropped"] == {}

    def test_without_a_threshold_only_equal_rows_are_dropped(self, tmp_path):
        rows = [GOOD, GOOD, row(LONG_QUESTION.replace("，", ","), LONG_ANSWER)]
        assert Cleaned(tmp_path, rows, "--near-duplicate-threshold", "null").reasons() == {
            "r0000002": "exact_duplicate"
        }

    def test_in_a_chain_a_row_is_dropped_only_for_a_kept_one(self, tmp_path):
        first = "甲乙丙丁戊己庚辛壬癸子丑寅卯辰巳午未申酉戌亥"
        second, third = first[4:] + "金木水火", first[8:] + "金木水火土风雷电"
        result = Cleaned(
            tmp_path, [row(text, text) for text in (first, second, third)], "--near-duplicate-threshold", "0.6"
        )
        assert [row["id"] for row in result.kept] == ["r0000001", "r0000003"]

    def test_personal_data_is_masked_and_counted_in_kept_rows_alone(self, tmp_path):
        rows = [row("头疼怎么办，我电话13812345678", "加微信abc_12345"), row("手机13812345678", "无")]
        result = Cleaned(tmp_path, rows)
        assert result.kept[0]["question"] == "头疼怎么办，我电话[电话]"
        assert result.report["masked"] == {"phone": 1, "wechat": 1}

    def test_masking_can_be_switched_off(self, tmp_path):
        result = Cleaned(tmp_path, [row("头疼怎么办，我电话13812345678", "加微信")], "--mask-personal-data", "false")
        assert result.kept[0]["question"].endswith("13812345678")

    def test_nothing_usable_is_an_error_with_the_reasons(self, tmp_path):
        with pytest.raises(UserError, match=r"none of the 2 rows is usable \(placeholder answer 2\)"):
            Cleaned(tmp_path, [row("头疼", "无")] * 2)

    def test_a_limit_reads_the_first_rows(self, tmp_path):
        assert Cleaned(tmp_path, [GOOD, row("头疼", "无"), GOOD], "--limit", "2").report["read"] == 2

    def test_two_runs_write_the_same_bytes(self, tmp_path):
        rows = noisy_rows(random.Random(4), 300)
        assert Cleaned(tmp_path / "a", rows).files == Cleaned(tmp_path / "b", rows).files

    def test_cleaning_what_was_cleaned_drops_nothing(self, tmp_path):
        once = Cleaned(tmp_path / "a", noisy_rows(random.Random(5), 400))
        columns = {"question": "question", "answer": "answer", "department": "department"}
        twice = Cleaned(tmp_path / "b", once.kept, columns=columns)
        assert once.report["dropped"]
        assert twice.report["dropped"] == {}
        content = [{key: row[key] for key in ("question", "answer", "department")} for row in once.kept]
        assert [{key: row[key] for key in ("question", "answer", "department")} for row in twice.kept] == content

    @settings(REPRODUCIBLE, max_examples=60)
    @given(
        st.lists(
            st.one_of(
                st.text(max_size=5),
                st.fixed_dictionaries(
                    {}, optional={name: st.one_of(st.none(), st.integers(), st.text(max_size=8)) for name in GOOD}
                ),
                st.builds(row, st.text("高血压<b>1&;无", max_size=12), st.text("多喝水，\n", max_size=12)),
            ),
            max_size=30,
        )
    )
    def test_read_is_kept_plus_dropped_for_any_rows(self, rows):
        with tempfile.TemporaryDirectory() as folder:
            result = Cleaned(Path(folder), [GOOD, *rows])
        report = result.report
        assert report["read"] == len(rows) + 1 == report["kept"] + sum(report["dropped"].values())
        assert len(result.kept) == report["kept"]
        assert all(row["reason"] for row in result.rejected)
        ids = [row["id"] for row in result.kept] + [row["id"] for row in result.rejected]
        assert sorted(ids) == [f"r{number + 1:07d}" for number in range(len(rows) + 1)]
