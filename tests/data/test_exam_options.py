"""Options and answers in any hand: letters, marks, lines, objects; and that nothing is taken for what it is not."""

import json
import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from medscale.data.exams.answers import indices_of, letters_of, way_of
from medscale.data.exams.columns import one_each
from medscale.data.exams.options import lettered, options_of
from medscale.data.exams.question import LETTERS, Dropped

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=12).filter(
    lambda text: text.strip(".。;；")
)
KINDS = "型类族组级期带区链波超群式"
CHINESE = st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5), min_size=1, max_size=8).filter(
    lambda text: text[0] not in KINDS
)
OPTIONS = st.lists(TEXTS, min_size=2, max_size=8, unique_by=lambda text: text.casefold().rstrip(".。;；"))
CHINESE_OPTIONS = st.lists(CHINESE, min_size=2, max_size=8, unique=True)


def read(value, answer, told="letters"):
    found = lettered(options_of(value))
    return list(found.texts.values()), letters_of(answer, found, told)


def outcome(function, *arguments):
    """Return what a function returns and None, or None and the reason why it drops."""
    try:
        return function(*arguments), None
    except Dropped as dropped:
        return None, dropped.reason


@given(OPTIONS, st.data())
def test_objects_pairs_and_cmexams_lines_give_back_what_was_written(options, data):
    answer = LETTERS[data.draw(st.integers(0, len(options) - 1))]
    by_letter = dict(zip(LETTERS, options, strict=False))
    lines = "\n".join(f"{letter} {text}" for letter, text in by_letter.items())
    assert read(lines, answer) == (options, answer)
    if not all(text[0].isascii() and text[0].isalpha() for text in options):  # a letter twice is taken for one
        assert read(by_letter, answer) == (options, answer)
        assert read([{"key": key, "value": text} for key, text in by_letter.items()], answer) == (options, answer)
        assert read(json.dumps(by_letter), answer) == (options, answer)


@given(CHINESE_OPTIONS, st.sampled_from([". ", ".", "．", "、", "：", ": ", ")", "）", " ", "\u3000", ""]), st.data())
def test_any_mark_behind_the_letters(options, mark, data):
    width = data.draw(st.sampled_from([0, 0xFEE0]))
    letters = [chr(ord(letter) + width) for letter in LETTERS[: len(options)]]
    end = data.draw(st.sampled_from(["\n", "\r\n", "\n\n"]))
    text = end.join(f"{letter}{mark}{option}" for letter, option in zip(letters, options, strict=True))
    assert read(text, "B")[0] == options
    opened = end.join(f"（{letter}）{option}" for letter, option in zip(letters, options, strict=True))
    assert read(opened, "B")[0] == options


@given(
    CHINESE_OPTIONS, st.sampled_from([". ", ".", "．", "、", "：", ")"]), st.sampled_from([" ", "  ", "；", "|", ""])
)
def test_options_in_one_line(options, mark, between):
    text = between.join(f"{letter}{mark}{option}" for letter, option in zip(LETTERS, options, strict=False))
    assert read(text, "A")[0] == options


@given(
    st.sets(st.sampled_from("ABCDE"), min_size=1),
    st.sampled_from(["", " ", "、", ",", "，", "；", "/", " 和 "]),
    st.sampled_from(["{}", "（{}）", "答案：{}", "正确答案是 {}", "【{}】", "{}。"]),
    st.booleans(),
)
def test_letters_however_they_are_written(right, gap, around, full_width):
    letters = [chr(ord(letter) + 0xFEE0) if full_width else letter.lower() for letter in sorted(right)]
    answer = around.format(gap.join(letters + letters[:1]))
    assert read(["甲", "乙", "丙", "丁", "戊"], answer)[1] == "".join(sorted(right))


@given(st.text(string.printable + "甲乙丙ＡＢ、。", max_size=12))
def test_no_answer_is_taken_for_an_option_that_is_not_there(answer):
    found = lettered(options_of(["甲", "乙", "丙"]))
    for told in ("letters", "text", "index_from_0", "index_from_1"):
        letters, reason = outcome(letters_of, answer, found, told)
        if letters is None:
            assert reason in ("no_answer", "answer_not_an_option", "unclear_answer")
        else:
            assert letters
            assert set(letters) <= set("ABC")
            assert list(letters) == sorted(set(letters))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
                    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
                    max_leaves=8))  # fmt: skip
def test_whatever_stands_in_a_cell_is_options_or_is_dropped(value):
    found, reason = outcome(lambda: lettered(options_of(value)))
    if found is None:
        assert reason in ("no_options", "unreadable_options")
    else:
        assert list(found.texts) == list(LETTERS[: len(found.texts)])
        assert all(text.strip() for text in found.texts.values())
        assert set(found.keys.values()) == set(found.texts) == set(found.places.values())


def test_a_line_without_the_next_letter_goes_on():
    assert read("A 维生素\n和矿物质\nB 族链球菌\nC A、B都是", "C")[0] == ["维生素\n和矿物质", "族链球菌", "A、B都是"]


@pytest.mark.parametrize(
    "options",
    [
        ["A型血", "B型血", "AB型血", "O型血"],
        ["A 型", "B 型", "AB 型", "O 型"],
        ["A型行为", "B型行为", "C型行为"],
        ["A型肝炎病毒", "B型流感病毒"],
        ["A细胞", "B细胞", "D细胞", "PP细胞"],
        ["T 细胞", "B 细胞", "NK 细胞"],
        ["A带", "I带", "H带", "Z线"],
        ["B超", "CT", "MRI", "X线检查"],
        ["A族链球菌", "肺炎球菌", "葡萄球菌"],
        ["A-受体", "B-受体"],
        ["维生素A", "维生素B", "维生素C"],
        ["A", "B", "AB", "O"],
        ["I. 急性", "II. 亚急性", "III. 慢性", "IV. 静止期"],
        ["I型", "II型", "III型", "IV型"],
        ["Ⅰ 型", "Ⅱ 型", "Ⅲ 型"],
    ],
)
def test_letters_that_are_part_of_the_words_stay_in_them(options):
    for right, letter in enumerate(LETTERS[: len(options)]):
        assert read("\n".join(options), letter) == (options, LETTERS[right])
        assert read(options, letter) == (options, LETTERS[right])


NAMES_OF_KINDS = st.sampled_from(
    [
        *(("A B AB O C M N", form) for form in ("{}型血", "{} 型血", "{}型")),
        *(("A B D PP T NK", form) for form in ("{}细胞", "{} 细胞", "{}-细胞")),
        *(("A I H M", "{}带"), ("A B C F", "{}族链球菌"), ("A B1 B2 C D E K", "维生素{}"), ("A B M C", "{}超")),
        *(("I II III IV V", form) for form in ("{}型", "{} 型", "{}. 型", "{}度")),
    ]
)


@given(NAMES_OF_KINDS, st.data())
def test_lines_of_names_are_read_whole_or_dropped(kind, data):
    names, form = kind
    drawn = data.draw(st.lists(st.sampled_from(names.split()), min_size=2, max_size=5, unique=True))
    options = [form.format(name) for name in drawn]
    found, reason = outcome(lambda: list(lettered(options_of("\n".join(options))).texts.values()))
    assert found == options or reason == "unreadable_options"


FURTHER = st.sampled_from(["和矿物质", "C 片", "B族", "A. 甲", "B、丙", "D-葡萄糖", "E. coli 感染", "b) 其二", "AB型"])


@given(
    st.lists(st.tuples(CHINESE, st.lists(FURTHER, max_size=2)), min_size=3, max_size=5, unique_by=lambda each: each[0]),
    st.sampled_from([" ", ". ", "、", ".", ") "]),
)
def test_options_of_several_lines_are_read_whole_or_dropped(parts, mark):
    following = LETTERS[len(parts)]
    assume(not any(line.startswith(following) for line in parts[-1][1]))  # nothing tells it from one more option
    options = ["\n".join([first, *more]) for first, more in parts]
    text = "\n".join(f"{letter}{mark}{option}" for letter, option in zip(LETTERS, options, strict=False))
    found, reason = outcome(lambda: list(lettered(options_of(text)).texts.values()))
    told = found and [option.split() for option in found]
    assert told == [option.split() for option in options] or reason == "unreadable_options"
    if not any(more for _, more in parts):
        assert reason is None


@given(CHINESE_OPTIONS.filter(lambda options: len(options) > 3), st.sampled_from([" ", ". ", "、", "", "-"]), st.data())
def test_a_letter_that_is_missing_or_out_of_order_drops_the_row(options, mark, data):
    lines = [f"{letter}{mark}{option}" for letter, option in zip(LETTERS, options, strict=False)]
    place = data.draw(st.integers(0, len(lines) - 2))
    between = data.draw(st.sampled_from(["\n", "\n\n", " "] if mark in (". ", "、") else ["\n"]))
    missing = between.join([*lines[:place], *lines[place + 1 :]])
    turned = between.join([*lines[:place], lines[place + 1], lines[place], *lines[place + 2 :]])
    for text in (missing, turned):
        found, reason = outcome(lambda given: lettered(options_of(given)), text)
        assert found is None, found
        assert reason in ("unreadable_options", "no_options")


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("A. 甲型\nA型流感\nB. 乙\nC. 丙", ["甲型\nA型流感", "乙", "丙"]),
        ("A. 甲 B. 乙\nC. 丙 D. 丁\nE. 戊", ["甲", "乙", "丙", "丁", "戊"]),
        ("A. 包括：\na. 其一\nb. 其二\nB. 其他", ["包括：\na. 其一\nb. 其二", "其他"]),
        ("A.维生素 B、C B.乙 C.丙", ["维生素 B、C", "乙", "丙"]),
        ("A.甲 B、乙 C.丙", ["甲", "乙", "丙"]),
        ("A.甲 B.乙 C.丙 D.见 S. aureus", ["甲", "乙", "丙", "见 S. aureus"]),
        ("A\nB 乙\nC 丙", ["乙", "丙"]),
        ("A. A型\nB. B型\nC. AB型\nD. O型", ["A型", "B型", "AB型", "O型"]),
    ],
)
def test_lines_and_marks_that_are_clear_are_read(text, options):
    assert read(text, "C" if len(options) > 2 else "B")[0] == options


@pytest.mark.parametrize(
    "text",
    [
        "A 维生素\nC 片\nB 乙\nC 丙\nD 丁",
        "A. 甲\nB. 乙\nC 丙\nD 丁",
        "A. 甲\nB. 乙 C. 丙",
        "A.甲 B.乙C.丙D.丁",
        "A.甲 B.乙 C、丙",
        "选项：\nA. 甲\nB. 乙",
        "选项：\nA. 甲 B. 乙 C. 丙",
        "A 细胞\nB 淋巴细胞\n巨噬细胞\n肥大细胞",
        "A类风湿\nB类圆线虫\nC类癌",
        "A维生素\n和矿物质\nB乙\nC丙",
    ],
)
def test_lines_that_could_be_read_in_two_ways_are_dropped(text):
    with pytest.raises(Dropped, match="unreadable_options"):
        read(text, "B")


def test_letters_inside_an_option_are_its_text():
    assert read("A.维生素A缺乏 B.维生素B缺乏 C.A、B都是", "B")[0] == ["维生素A缺乏", "维生素B缺乏", "A、B都是"]


def test_an_empty_option_is_left_out_and_the_letters_close_up():
    assert read({"A": "甲", "B": "", "C": "丙", "D": None}, "C") == (["甲", "丙"], "B")
    assert read(["甲", "", "丙"], "C") == (["甲", "丙"], "B")
    with pytest.raises(Dropped, match="answer_not_an_option"):
        read({"A": "甲", "B": "", "C": "丙"}, "B")


def test_a_text_that_looks_like_letters_is_read_by_what_the_file_does():
    blood = lettered(options_of(["A", "B", "AB", "O"]))
    plain = lettered(options_of(["甲", "乙", "丙"]))
    assert way_of([("乙", plain), ("AB", blood), ("丙", plain)]) == "text"
    assert letters_of("AB", blood, "text") == "C"
    assert way_of([("B", plain), ("AB", blood), ("C", plain)]) == "letters"
    assert letters_of("AB", blood, "letters") == "AB"


@pytest.mark.parametrize(
    ("value", "right"),
    [
        *((written, "B") for written in (1, 1.0, "1", "1.0", "１", " 1.00 ", "[1]")),
        *(
            (written, "AC")
            for written in ([0, 2], [0.0, 2.0], "[0, 2]", "0,2", "0.0, 2.0", "0、2", "0;2", "2 0", "0|2")
        ),
    ],
)
def test_places_however_they_are_written(value, right):
    found = lettered(options_of(["甲", "乙", "丙"]))
    assert letters_of(value, found, "index_from_0") == right
    assert way_of([(value, found)]) == "index"
    assert indices_of([(value, found)]) == ({LETTERS.index(letter) for letter in right}, 3)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("1.5", "unclear_answer"),
        ("0,乙", "unclear_answer"),
        ("0,7", "answer_not_an_option"),
        ("7.0", "answer_not_an_option"),
        ("0-2", "unclear_answer"),
        ("120", "unclear_answer"),
        (",", "unclear_answer"),
    ],
)
def test_what_is_no_place_of_an_option_is_none(value, reason):
    assert outcome(letters_of, value, lettered(options_of(["甲", "乙", "丙"])), "index_from_0") == (None, reason)


def test_options_that_are_numbers_are_answered_by_their_texts():
    found = lettered(options_of(["1,3", "2,4", "1,2"]))
    assert way_of([("1,3", found), ("1,2", found)]) == "text"
    assert letters_of("1,2", found, "text") == "C"


def test_letter_and_text_must_agree():
    assert read(["甲", "乙"], "B. 乙")[1] == "B"
    with pytest.raises(Dropped, match="unclear_answer"):
        read(["甲", "乙"], "B. 甲")


@pytest.mark.parametrize(
    ("value", "answer", "found"),
    [
        ("A-甲\nB-乙\nC-丙", "B选项", (["甲", "乙", "丙"], "B")),
        ("A 甲\nB\nC 丙", "C", (["甲", "丙"], "B")),
        ([["A", "甲"], ["B", "乙"]], "故选B", (["甲", "乙"], "B")),
        ("【A】甲\n【B】乙", "【B】", (["甲", "乙"], "B")),
        ("A：1.5g\nB：2.5g\nC：B-12", "C", (["1.5g", "2.5g", "B-12"], "C")),
        (
            "A．血压140/90mmHg B．血压120/80mmHg C．A、B均可",
            "C",
            (["血压140/90mmHg", "血压120/80mmHg", "A、B均可"], "C"),
        ),
        ("A、甲 B、乙 C、丙、D类 D、丁", "D", (["甲", "乙", "丙、D类", "丁"], "D")),
        ({"1": "甲", "2": "乙", "3": "丙"}, "2", (["甲", "乙", "丙"], "B")),
        ([{"id": 1, "text": "甲"}, {"id": 2, "text": "乙"}], "2", (["甲", "乙"], "B")),
        (dict(zip("ABCDEFG", "甲乙丙丁戊己庚", strict=True)), "G、A、F", (list("甲乙丙丁戊己庚"), "AFG")),
        ([1, 2, 3], "C", (["1", "2", "3"], "C")),
    ],
)
def test_what_people_write(value, answer, found):
    assert read(value, answer) == found


@pytest.mark.parametrize(
    ("value", "answer", "reason"),
    [
        ("A 布洛芬 B 青霉素 C 维生素 D 叶酸", "B", "no_options"),
        ("甲|乙|丙", "B", "no_options"),
        (["甲", "乙", "丙"], "A或B", "unclear_answer"),
        (["甲", "乙", "丙"], {"x": 1}, "unclear_answer"),
        ([["A", "甲", "对"], ["B", "乙", "错"]], "A", "unreadable_options"),
    ],
)
def test_what_could_be_anything_is_dropped(value, answer, reason):
    with pytest.raises(Dropped, match=reason):
        read(value, answer)


LATIN = ["维生素B12", "IgA", "(+)-儿茶素C", "5mg", "维生素C", "HbA1c", "叶酸", "x(a)y", "α", "T4[B]", "pH 7"]


@given(st.lists(st.sampled_from(LATIN), min_size=2, max_size=8, unique=True), st.data())
def test_letters_in_brackets_begin_options_whatever_letter_or_digit_is_before_them(options, data):
    opening, closing = data.draw(st.sampled_from([*zip("(（【", ")）】", strict=True)]))
    gap = data.draw(st.sampled_from(["", ";"]))
    marked = [f"{opening}{letter}{closing}{text}" for letter, text in zip(LETTERS, options, strict=False)]
    assert read(gap.join(marked), "B") == (options, "B")
    halves = len(marked) // 2
    if halves > 1:
        assert read(f"{gap.join(marked[:halves])}\n{gap.join(marked[halves:])}", "A") == (options, "A")


@pytest.mark.parametrize(
    ("value", "options"),
    [
        ("(A)维生素B12(B)硫酸亚铁(C)叶酸(D)输血", ["维生素B12", "硫酸亚铁", "叶酸", "输血"]),
        ("(A)钠盐(B)钾盐(C)维生素C(D)钙盐", ["钠盐", "钾盐", "维生素C", "钙盐"]),
        ("[A]钠盐[B]维生素K[C]钙盐", ["钠盐", "维生素K", "钙盐"]),
        ("（a）IgG（b）IgA（c）IgM", ["IgG", "IgA", "IgM"]),
        ("(A) 甲 (B) 维生素B12(C) 丙 (D) 丁", ["甲", "维生素B12", "丙", "丁"]),
        ("A.5mgB.10mgC.15mgD.20mg", ["5mg", "10mg", "15mg", "20mg"]),
        ("A、维生素B12B、硫酸亚铁C、叶酸D、输血", ["维生素B12", "硫酸亚铁", "叶酸", "输血"]),
        ("(A)甲(B)HbA(C)", ["甲", "HbA(C)"]),
        ("(A)甲(B)HbA(C)类(C)丙", ["甲", "HbA(C)类", "丙"]),
        ("(A)甲(B)(C)丙", ["甲", "丙"]),
    ],
)
def test_letters_without_brackets_are_text_where_options_are_in_brackets(value, options):
    assert list(lettered(options_of(value)).texts.values()) == options


@pytest.mark.parametrize("value", ["(A) 甲 (B) HbA(C)类", "(A) 甲 (B) 维生素(C)片", "(A)甲(B)乙(D)维生素C(C)丙"])
def test_letters_in_brackets_that_may_be_words_are_dropped(value):
    with pytest.raises(Dropped, match="unreadable_options"):
        lettered(options_of(value))


def test_letters_that_texts_repeat_are_no_part_of_them():
    assert read({"A": "A. 甲", "B": "B. 乙"}, "A")[0] == ["甲", "乙"]
    assert read({"A": "A. 甲", "B": "乙"}, "A")[0] == ["A. 甲", "乙"]
    assert read({"选项A": "A. 甲", "选项B": "B. 乙", "选项C": ""}, "B")[0] == ["甲", "乙"]
    assert read({"option_a": "(A) 甲", "option_b": "（B）乙"}, "A")[0] == ["甲", "乙"]
    assert read({"选项A": "B. 甲", "选项B": "A. 乙"}, "A")[0] == ["B. 甲", "A. 乙"]


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (["id", "question", "A", "B", "C", "answer"], ("A", "B", "C")),
        (["题目", "选项A", "选项B", "选项C", "选项D", "选项E", "答案"], ("选项A", "选项B", "选项C", "选项D", "选项E")),
        (["q", "option_b", "option_a", "correct_option"], ("option_a", "option_b")),
        (["question", "ending0", "ending1", "ending2", "label"], ("ending0", "ending1", "ending2")),
        (["question", "Option 1", "Option 2"], ("Option 1", "Option 2")),
        (["A", "C", "D"], ()),
        (["question", "answer"], ()),
    ],
)
def test_columns_that_hold_an_option_each(columns, found):
    assert one_each(columns) == found
