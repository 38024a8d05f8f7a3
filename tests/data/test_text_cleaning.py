"""Cleaning of a text: encodings mended, tags and blanks gone, placeholders and broken texts known."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medscale.data.text_cleaning import clean_text, is_broken, is_placeholder

REPRODUCIBLE = settings(derandomize=True)


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
