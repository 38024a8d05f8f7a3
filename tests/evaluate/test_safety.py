"""The screen of answers: each pattern's own examples, what is void, and counts that add up."""

import sys
import time
import unicodedata

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import safety
from medscale.base.errors import UserError
from medscale.base.files import read_json, sha256_file, write_jsonl
from medscale.evaluate.safety import PATTERNS, read_rules, screened

RULES = read_rules()
CONTENT = yaml.safe_load(PATTERNS.read_text(encoding="utf-8"))["rules"]
SCREENS = [
    (f"{rule.name} {part}", screen, CONTENT[rule.name].get(part, CONTENT[rule.name]))
    for rule in RULES
    for part, screen in (("question", rule.question), ("answer", rule.answer))
    if screen is not None
]
FOUND = [(name, screen, text) for name, screen, part in SCREENS for text in part["found"]]
LEFT = [(name, screen, text) for name, screen, part in SCREENS for text in part["left"]]


@pytest.mark.parametrize(("name", "screen", "text"), FOUND, ids=[f"{name}: {text}" for name, _, text in FOUND])
def test_a_pattern_finds_its_examples(name, screen, text):
    assert screen.find(text), name


@pytest.mark.parametrize(("name", "screen", "text"), LEFT, ids=[f"{name}: {text}" for name, _, text in LEFT])
def test_a_pattern_leaves_its_counterexamples(name, screen, text):
    assert not screen.find(text), name


@pytest.mark.parametrize("blank", " \t\n\u3000")
@pytest.mark.parametrize(("name", "screen", "part"), SCREENS, ids=[name for name, _, _ in SCREENS])
def test_a_long_blank_behind_a_number_takes_no_square_of_its_length(name, screen, part, blank):
    """Two runs of blanks that may follow each other took seven seconds for 20,000 of them."""
    began = time.process_time()
    for head in ("1片", "1克", "血压180", "1", "停药1"):
        assert not screen.find(head + 20_000 * blank)
    assert time.process_time() - began < 2


def test_every_rule_says_what_it_means_and_misses_in_both_languages():
    assert [rule.name for rule in RULES] == ["dose", "stop", "emergency"]
    for rule in RULES:
        for key in ("name", "means", "misses"):
            assert rule.about[key].keys() == {"en", "zh"}
    for _, _, part in SCREENS:
        assert len(part["found"]) >= 5
        assert len(part["left"]) >= 5


def test_counts_are_told_with_the_matched_text_and_its_surroundings():
    rows = [("1", "头痛", "请口服阿司匹林100mg，多休息"), ("2", "头痛", "多喝水"), ("3", "头痛", "")]
    dose = screened(RULES, rows)["dose"]
    assert (dose["count"], dose["of"], dose["share"]) == (1, 3, pytest.approx(1 / 3))
    assert dose["matches"] == [{"id": "1", "texts": [["请口服阿司匹林", "100mg", "，多休息"]]}]
    low, high = dose["ci95"]
    assert 0.05 < low < 1 / 3 < high < 0.8


def test_emergencies_are_counted_among_the_questions_that_name_one():
    rows = [
        ("1", "老人昏迷叫不醒", "多休息"),
        ("2", "老人昏迷叫不醒", "立即拨打120"),
        ("3", "感冒了", "多休息"),
        ("4", "孩子呼吸困难", "不用去医院，" + "休息" * 200),
    ]
    found = screened(RULES, rows)["emergency"]
    assert (found["count"], found["of"]) == (2, 3)
    assert [entry["id"] for entry in found["matches"]] == ["1", "4"]
    assert found["matches"][0]["texts"][0][1] == "昏迷"
    assert found["matches"][0]["answer"] == "多休息"
    assert len(found["matches"][1]["answer"]) == 160


def test_no_emergency_has_no_share():
    assert screened(RULES, [("1", "感冒", "休息")])["emergency"]["share"] is None


@given(
    st.lists(
        st.sampled_from([*"不要停药用每日3次片１０毫克mg，。 \n", "停药", "建议", "120", "医院", "昏迷"]), max_size=25
    ).map("".join)
)
def test_matches_are_of_the_text_itself_whatever_it_is(text):
    for _, screen, _ in SCREENS:
        ends = 0
        for start, end in screen.find(text):
            assert ends <= start < end <= len(text)
            ends = end


@pytest.mark.parametrize("text", ["一次两片，一日三次", "每次10毫升，每日3次", "布洛芬0.3g tid"])
def test_full_width_characters_are_read_as_others_are(text):
    wide = "".join(chr(ord(c) + 0xFEE0) if c.isascii() and c.isalnum() else c for c in text)
    assert unicodedata.normalize("NFKC", wide).replace(",", "，") == text
    assert RULES[0].answer.find(wide) == RULES[0].answer.find(text)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"match": ["("]}, "no regular expression"),
        ({"match": ["<nothing>"]}, "<nothing> names no word"),
        ({"match": ["<loop>"]}, "names no word, or itself"),
        ({"match": []}, "has no pattern under match"),
    ],
)
def test_a_broken_pattern_is_named(change, said, tmp_path):
    rule = {"name": {}, "means": {}, "misses": {}, "match": ["a"], "unless": []} | change
    path = tmp_path / "patterns.yaml"
    path.write_text(yaml.safe_dump({"words": {"loop": "a<loop>"}, "rules": {"mine": rule}}), encoding="utf-8")
    with pytest.raises(UserError, match=rf"rules\.mine.*{said}.*\[J111\]"):
        read_rules(path)


def test_long_answers_are_screened_in_a_moment():
    """No pattern looks at a text in all ways: ten thousand characters of what many begin with."""
    for text in (
        "建议" * 5_000,
        "1" * 10_000,
        "每日" * 5_000,
        "胸痛" * 5_000,
        "不要" * 5_000,
        "1克" * 5_000,
        "得了癫痫昏迷医院" * 1_000,
    ):
        screened(RULES, [("1", text, text)])


@pytest.mark.parametrize("references", [False, True])
def test_the_script_screens_answers_or_references(references, tmp_path, monkeypatch):
    measured = {"nll_sum": None, "n_answer_tokens": None, "n_output_tokens": None}
    row = {"id": "1", "prompt": "感冒", "predict": "一日三次，每次两片", "label": "多休息"}
    write_jsonl(tmp_path / "predictions.jsonl", [row | measured])
    arguments = [
        "--run",
        "base",
        "--predictions",
        str(tmp_path / "predictions.jsonl"),
        "--output",
        str(tmp_path / "safety.json"),
    ]
    monkeypatch.setattr(sys, "argv", ["safety.py", *arguments, *["--references"] * references])
    safety.main()
    found = read_json(tmp_path / "safety.json")
    assert found["rules"]["dose"]["count"] == (0 if references else 1)
    assert found["predictions_sha256"] == sha256_file(tmp_path / "predictions.jsonl")


def test_what_one_exception_takes_in_is_not_hidden_from_another(tmp_path):
    """The first exception ends before the match, the second begins within the first and overlaps the match."""
    rule = {"name": {}, "means": {}, "misses": {}, "match": ["cd"], "unless": ["ab", "bc"]}
    path = tmp_path / "patterns.yaml"
    path.write_text(yaml.safe_dump({"words": {}, "rules": {"mine": rule}}), encoding="utf-8")
    (mine,) = read_rules(path)
    assert mine.answer.find("xcd")
    assert not mine.answer.find("abcd")
