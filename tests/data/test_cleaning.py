"""Cleaning: texts, personal data, rows, duplicates, and the sum that must come out."""

import json
import random
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clean
from medscale.base.errors import UserError
from medscale.base.files import read_json
from medscale.data.cleaning import Rules, clean_department, clean_row, join_parts, original_text
from medscale.data.personal_data import TOKENS, mask_personal_data
from medscale.data.raw_rows import RawRow
from medscale.data.table_files import Broken
from medscale.data.text_cleaning import clean_text, is_broken, is_placeholder
from medscale.fetch.manifest import write_manifest

REPRODUCIBLE = settings(deadline=None, derandomize=True)
RULES = Rules((2, 100), (2, 200))


def cleaned(text: str) -> str:
    return clean_text(text)[0]


class TestText:
    @pytest.mark.parametrize(
        ("raw", "expected"),
        [
            ("血压高，怎么办？（急）", "血压高，怎么办？（急）"),
            ("caf\u0065\u0301", "caf\u00e9"),
            ("头\u200b疼\ufeff\x07\x00怎\u00ad么\ud83d办\ue5e5", "头疼怎么办"),
            (" \u3000多 \u00a0 喝\t水 \r\n\r\n \u3000注意休息\u2028好 ", "多 喝 水\n注意休息\n好"),
            ("您好， 如果  头疼 ，休息", "您好，如果 头疼，休息"),
            ("&lt;5&nbsp;mg&amp;#x6C34;", "<5 mg水"),
            ("多喝水&amp;lt;br&amp;gt;多休息", "多喝水\n多休息"),
            ("R&D、A&B、x&y;z", "R&D、A&B、x&y;z"),
            ('<p class="a>b">头疼</p><b>很久</b><br/>了<img src=x.png>', "头疼\n很久\n了"),
            ("<!-- 广告 --><script>var a = 1 < 2;</script>正文<o:p></o:p>", "正文"),
            ("<A HREF='x'>链接</A>", "链接"),
            ("一\r二\r\n三\x0b四\x0c五\x85六\u2028七\u2029八", "一\n二\n三\n四\n五\n六\n七\n八"),
            ("拍 X 光片\t \tX\x00X", "拍 X 光片 XX"),
            ("一 \n \n 二", "一\n二"),
            ("头疼&nbsp怎么&quot办", '头疼 怎么"办'),
            ("&#27700;&#X6c34;&times;&amp", "水水×&"),
            ("<!DOCTYPE html><!-- 两\n行 --><STYLE>p\n{}</Style >正文", "正文"),
        ],
    )
    def test_is_cleaned(self, raw, expected):
        assert cleaned(raw) == expected

    @pytest.mark.parametrize("tag", ["address", "br", "h1", "h6", "UL", "p class", "div id='a' hidden", "tr/"])
    def test_a_tag_of_a_block_ends_the_line(self, tag):
        assert cleaned(f"头<{tag}>疼") == "头\n疼"

    @pytest.mark.parametrize(
        "tag", ["a", "marquee", "meta", "VAR", "video", "o:p", "st1:chsdate w:st=on", "span x=1 /"]
    )
    def test_a_tag_inside_a_line_leaves_nothing(self, tag):
        assert cleaned(f"头<{tag}>疼</{tag.split()[0]}>") == "头疼"

    @pytest.mark.parametrize("mark", "，。！？；：、（）“”《》【】")
    def test_no_space_stays_beside_full_width_punctuation(self, mark):
        assert cleaned(f"头 {mark} 疼") == f"头{mark}疼"

    @pytest.mark.parametrize(
        "character",
        "\x00\x08\x0e\x1f\x7f\x84\x86\x9f\u00ad\u0600\u061c\u06dd\u070f\u180e\u200b\u200f\u202a\u202e\u2060\u206f\ud800"
        "\udfff\ue000\uf8ff\ufdd0\ufdef\ufeff\ufff0\ufffb\ufffe\uffff\U000e0000\U0010ffff",
    )
    def test_what_cannot_be_seen_goes(self, character):
        assert cleaned(f"头{character}疼") == "头疼"

    @pytest.mark.parametrize(
        ("text", "broken"), [("头\ufffd疼", True), ("锟斤拷", True), ("锟和斤", False), ("", False)]
    )
    def test_broken(self, text, broken):
        assert is_broken(text) == broken

    def test_personal_data_is_masked_and_counted_unless_told_otherwise(self):
        text = "手机&#49;3812345678或13912345678"
        assert clean_text(text) == ("手机[电话]或[电话]", {"phone": 2})
        assert clean_text(text, mask=False) == ("手机13812345678或13912345678", {})

    @pytest.mark.parametrize(
        "text",
        [
            *["血压<140且>90", "BMI<18.5", "P<0.05，n>30", "血清浓度<5微克/L，>25则高", "HBVDNA结果>5×10的7方"],
            *[
                "2312<b，a>3",
                "若a<b且c>d",
                "＜500毫升",
                "<高血压>的治疗",
                "HBsAg(+) <-> HBsAg(-)",
                "a<p值>b",
                "《本草》<一>",
            ],
        ],
    )
    def test_comparisons_are_not_eaten_as_tags(self, text):
        assert cleaned(text) == text

    @REPRODUCIBLE
    @given(st.one_of(st.text(), st.text("<>/bra&;lt#xgmp \n\u3000\u200b\"'=高，13@.\u0338微信:")))
    def test_cleaning_twice_is_cleaning_once(self, text):
        once = cleaned(text)
        assert cleaned(once) == once

    @REPRODUCIBLE
    @given(st.text())
    def test_what_comes_out_can_be_written(self, text):
        assert cleaned(text).encode("utf-8").decode("utf-8").strip() == cleaned(text)

    @pytest.mark.parametrize(
        "text",
        [
            *["无", " 暂无。", "NULL", "test", "谢谢！", "。。。", "", "？", "啊啊啊啊", "N/A", "同上", "啊啊", "_"],
            *["ＮＡＮ", "undefined", "11", "，。！？；：、（）“”《》【】~@#￥%", "哈" * 200, "无" + "。" * 50],
        ],
    )
    def test_placeholders(self, text):
        assert is_placeholder(text)

    @pytest.mark.parametrize(
        "text", ["无糖食品能吃吗", "胃", "谢谢，请问头疼怎么办", "测试血糖", "可以", "_a", "无" * 40 + "血"]
    )
    def test_short_texts_that_say_something(self, text):
        assert not is_placeholder(text)


class TestPersonalData:
    @pytest.mark.parametrize(
        ("raw", "masked"),
        [
            ("手机13812345678，请回", "手机[电话]，请回"),
            ("电话：138-1234-5678", "电话：[电话]"),
            ("＋86 １３８１２３４５６７８", "[电话]"),
            (
                "＋86 １３９１２３４５６７９，ＱＱ：９８７６５，ＶＸ：ｚｈａｎｇＺ",
                "[电话]，ＱＱ：[QQ号]，ＶＸ：[微信号]",
            ),
            ("请打010-62345678或(021)62345678转123", "请打[电话]或[电话]"),
            ("座机0512-6234567", "座机[电话]"),
            ("热线400-820-1234", "热线[电话]"),
            ("咨询电话 6234 5678", "咨询电话 [电话]"),
            ("13812345678/13912345678", "[电话]/[电话]"),
            ("身份证110101199003074514，", "身份证[身份证号]，"),
            ("11010519491231002X", "[身份证号]"),
            ("证件130503670401001", "证件[身份证号]"),
            ("zhang.san_1@163.com.cn请查", "[邮箱]请查"),
            ("发到 abc＠qq.com", "发到 [邮箱]"),
            ("见http://www.baidu.com/s?wd=abc，谢谢", "见[网址]，谢谢"),
            ("访问haodf.com查询", "访问[网址]查询"),
            ("加我微信abc_12345吧", "加我微信[微信号]吧"),
            ("微信号：“wxid_a1b2c3”", "微信号：“[微信号]”"),
            ("vx: doctor2020", "vx: [微信号]"),
            ("加微 abc12345", "加微 [微信号]"),
            ("➕V：abc12345", "➕V：[微信号]"),
            ("威❤abc12345", "威❤[微信号]"),
            ("wx号abc12345", "wx号[微信号]"),
            ("加Q 12345678", "加Q [QQ号]"),
            ("Q群：12345678", "Q群：[QQ号]"),
            ("138.1234.5678", "[电话]"),
            ("QQ：123456789", "QQ：[QQ号]"),
            ("扣扣 12345678", "扣扣 [QQ号]"),
            # Each alone, so that no other sign in the text leads to it.
            ("发到Zhang@clinic.IO", "发到[邮箱]"),
            ("发到zhang@clinic.io、li@clinic.io", "发到[邮箱]、[邮箱]"),
            ("见ftp://clinic.io/a", "见[网址]"),
            ("见HTTPS://clinic.io/病", "见[网址]病"),
            ("见Clinic.TOP。", "见[网址]。"),
            ("见clinic.cn:80/a?b=1#c，", "见[网址]，"),
            ("见clinic.org/。", "见[网址]。"),
            ("微信：zhangsan", "微信：[微信号]"),
            ("威信号 zhangsan", "威信号 [微信号]"),
            ("薇信为「zhangsan」", "薇信为「[微信号]」"),
            ("微❤zhangsan", "微❤[微信号]"),
            ("V信公众号是zhangsan", "V信公众号是[微信号]"),
            ("WeiXin=zhangsan", "WeiXin=[微信号]"),
            ("wechat账号也是zhangsan", "wechat账号也是[微信号]"),
            ("WX:zhangsan", "WX:[微信号]"),
            ("vxid zhangsan", "vxid [微信号]"),
            ("＋V zhangsan", "＋V [微信号]"),
            ("加我微:zhangsan", "加我微:[微信号]"),
            ("加v12345678", "加v[微信号]"),
            ("企鹅12345", "企鹅[QQ号]"),
            ("扣扣叫12345", "扣扣叫[QQ号]"),
            ("QQ群号：12345", "QQ群号：[QQ号]"),
            ("qq交流群12345", "qq交流群[QQ号]"),
            ("q群：12345", "q群：[QQ号]"),
            ("Q:12345", "Q:[QQ号]"),
            ("加q12345", "加q[QQ号]"),
            # Forms of numbers.
            ("0086-138 1234 5678", "[电话]"),
            ("+8613812345678", "[电话]"),
            ("013812345678转", "[电话]转"),
            ("(0755)26234567-12345", "[电话]"),
            ("0755-2623 4567转分机1", "[电话]"),
            ("+86 010 62345678", "[电话]"),
            ("4008201234", "[电话]"),
            ("800-8201-234", "[电话]"),
            ("致电：623-4567", "致电：[电话]"),
            ("Tel: 6234-5678", "Tel: [电话]"),
            ("联系方式为62345678", "联系方式为[电话]"),
            ("热线号码是62345678", "热线号码是[电话]"),
            ("13812300000", "[电话]"),
            ("11010519491231002x", "[身份证号]"),
            ("110105 19491231 0021", "[身份证号]"),
        ],
    )
    def test_is_masked(self, raw, masked):
        text, counts = mask_personal_data(raw)
        assert text == masked
        assert counts == {kind: masked.count(token) for kind, token in TOKENS.items() if token in masked}

    def test_the_kinds_and_their_tokens(self):
        text = "a@b.io http://b.io 110101199003074514 微信:zhangsan QQ:12345 13812345678"
        assert mask_personal_data(text) == (
            "[邮箱] [网址] [身份证号] 微信:[微信号] QQ:[QQ号] [电话]",
            {"email": 1, "url": 1, "id_number": 1, "wechat": 1, "qq": 1, "phone": 1},
        )

    # GB/T 2260, the first two digits.
    PROVINCES = (
        "11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65 71 81 82 83"
    )

    @pytest.mark.parametrize("rest", ["0105194912310021", "0503670401001"])
    def test_a_resident_number_begins_with_the_number_of_a_province(self, rest):
        found = {f"{number}" for number in range(10, 100) if mask_personal_data(f"{number}{rest}")[1]["id_number"]}
        assert found == set(self.PROVINCES.split())

    @pytest.mark.parametrize(
        ("number", "masked"),
        [
            ("110105194902280021", True),
            ("110105194902290021", False),
            ("110105200002290021", True),
            ("110105194900280021", False),
            ("110105194913280021", False),
            ("110105194912000021", False),
            ("110105194912320021", False),
            ("110105199910010021", True),
            ("130503670430001", True),
            ("130503670431001", False),
            ("130503671301001", False),
            ("130503680229001", True),
            ("130503670229001", False),
            # Three different digits are a pattern, four may be a person.
            ("110111191111111111", False),
            ("110111191111111112", True),
            ("111000111011101", False),
        ],
    )
    def test_a_resident_number_holds_a_date_of_birth(self, number, masked):
        assert mask_personal_data(number) == (("[身份证号]", {"id_number": 1}) if masked else (number, {}))

    @pytest.mark.parametrize(
        "text",
        [
            *["血压180120危险吗", "HBV-DNA 20807000", "定量41350000", "2008-03-12到2010-12-31", "20100918做的肝功"],
            *["卡马西平400-800-1200mg分次", "DNA13500000000拷贝/ml", "定量15800000000", "病毒13812345678copies/ml"],
            *[
                "病毒3.13912345678",
                "10.052196.5830.10432.00560.",
                "拨打120",
                "微信咨询HBsAg阳性",
                "QQ糖吃了3个",
                "轻微 abcdefg",
                "服用Q10 100000",
            ],
            *["123456789012345678", "111111111111111", "样本201012345", "1:1000稀释", "IL-6 12345678 pg", "5@10mg"],
            *[
                "编号AB130503670401001",
                "计数138-1200-0000",
                "13800000000",
                "138.00.000.000",
                "010-62000000转123",
                "稍微❤zhangsan",
            ],
            *[
                "13812345678万",
                "病毒13812345678.5",
                "3.13812345678",
                "010-62345678mg",
                "400-820-1234片",
                "0.4008201234",
            ],
            *[
                "电话62345678粒",
                "电话12345678",
                "QQ1234",
                "qq0123456",
                "微信abcd1",
                "加v abcd",
                "aqq12345",
                "clinic.comb",
            ],
        ],
    )
    def test_what_was_measured_stays(self, text):
        assert mask_personal_data(text) == (text, {})

    @REPRODUCIBLE
    @given(
        st.lists(
            st.one_of(
                st.text("血压高头疼吃药微信电话手机热线扣扣，。：（）<> \nHBsAgDNApmgml"),
                st.builds("{}-{}mmHg".format, st.integers(60, 200), st.integers(40, 140)),
                st.builds("{}年{}月{}日".format, st.integers(1950, 2030), st.integers(1, 12), st.integers(1, 31)),
                st.builds("{:.2f}×10^{}".format, st.floats(0, 10), st.integers(1, 9)),
                st.builds("{}mg/d".format, st.integers(0, 9999)),
                st.builds("DNA{}IU/ml".format, st.integers(0, 10**9)),
            ).filter(lambda part: "qq" not in part.lower() and "weixin" not in part.lower())
        ).map("；".join)
    )
    def test_text_without_personal_data_is_never_changed(self, text):
        assert mask_personal_data(text) == (text, {})

    @REPRODUCIBLE
    @given(
        before=st.text("高血压，。 "),
        after=st.text("怎么办，。"),
        number=st.from_regex(r"1[3-9][0-9]{5}[1-9]{4}", fullmatch=True),
    )
    def test_a_mobile_number_is_masked_wherever_it_stands(self, before, after, number):
        assert mask_personal_data(before + number + after)[0] == f"{before}[电话]{after}"


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


COLUMNS = {"question": ["title", "ask"], "answer": "answer", "department": "department"}


class Cleaned:
    """What clean.py made of some rows."""

    def __init__(self, folder: Path, rows: list, *options: str, columns: dict = COLUMNS) -> None:
        raw = folder / "raw"
        raw.mkdir(parents=True)
        (raw / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        outputs = [folder / name for name in ("clean.parquet", "rejected.parquet", "clean_report.json")]
        arguments = [
            "--manifest",
            str(write_manifest(raw, kind="data", source="file")),
            "--columns",
            json.dumps(columns),
        ]
        arguments += ["--min-question-characters", "2", "--min-answer-characters", "2", *options]
        for option, path in zip(("clean", "rejected", "report"), outputs, strict=True):
            arguments += [f"--output-{option}", str(path)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["clean.py", *arguments])
            clean.main()
        self.files = [path.read_bytes() for path in outputs]
        self.kept = pq.read_table(outputs[0]).to_pylist()
        self.rejected = pq.read_table(outputs[1]).to_pylist()
        self.report = read_json(outputs[2])
        assert sorted(path.name for path in folder.iterdir()) == sorted(["raw", *(path.name for path in outputs)])

    def reasons(self) -> dict[str, str]:
        return {row["id"]: row["reason"] for row in self.rejected}


def row(title: str, answer: str, ask: str = "", department: str | None = None) -> dict:
    return {"title": title, "ask": ask, "answer": answer, "department": department}


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
        with pytest.raises(UserError, match=r"none of the 2 rows is usable \({'placeholder_answer': 2}\)"):
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


def noisy_rows(rng: random.Random, count: int) -> list[dict]:
    """Rows from a few clauses, so that equal, nearly equal and different ones come about, with dirt in some."""
    clauses = [
        "我今年三十岁",
        "最近总是头疼",
        "吃了药不见好",
        "晚上睡不着觉",
        "去医院查了说没事",
        "血压<140且>90",
        "手机13812345678",
    ]
    clauses += [
        "<br>胃也不舒服",
        "&nbsp;没有食欲",
        "大便不正常\u200b",
        "想问问医生",
        "这是怎么回事呢",
        "要做什么检查",
        "平时爱喝酒",
    ]

    def text() -> str:
        return "，".join(rng.choices(clauses, k=rng.randrange(1, 9)))

    rows: list[dict] = []
    for _ in range(count):
        new = row(text(), text(), rng.choice(["", "无", text()]), rng.choice(["内科", "外科", None]))
        rows.append(rng.choice(rows) | rng.choice([{}, {"answer": text()}]) if rows and rng.random() < 0.2 else new)
    return rows
