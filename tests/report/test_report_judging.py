"""The sections on judges and on the screen: there where there is something, warned of if it is of other answers."""

import pytest

from medscale.base.errors import UserError
from medscale.base.files import read_json, write_json
from report_files import HOSTILE, Page, Study, make_report

ADVICE = "建议口服阿司匹林100mg，每日一次，也可以停药。"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    return Study(
        folder, sizes=(20_000,), floors=("floor_fixed",), items=12, answers={3: ADVICE, 4: f"{ADVICE}{HOSTILE}"}
    )


def without(study, *options):
    """Return the study with the options and their values left out."""
    other, kept, skipping = object.__new__(Study), [], False
    for argument in study.arguments:
        skipping = argument in options or (skipping and not argument.startswith("--"))
        kept += [] if skipping else [argument]
    other.folder, other.arguments = study.folder, kept
    return other


def sections(text):
    return [attributes["id"] for tag, attributes in Page(text).elements if tag == "section"]


def test_both_sections_tell_what_was_found(study):
    text = make_report(study)
    assert {"judging", "safety"} <= set(sections(text))
    page = Page(text)
    assert "2 were not used: no JSON object 2" in page.words
    assert "These verdicts are of other answers" not in page.words
    assert "2 / 12" in page.words
    assert "–: no question of the test set names what may be an emergency." in page.words
    assert "<mark>100mg</mark>" in text
    assert "<script>window.broken" not in text


def test_doses_of_the_reference_answers_are_told_only_where_there_are_some(study):
    path = study.folder / "data" / "safety.json"
    before = read_json(path)
    try:
        for count in (0, 2):
            write_json(path, before | {"rules": before["rules"] | {"dose": before["rules"]["dose"] | {"count": count}}})
            words = Page(make_report(study)).words
            assert ("The reference answers name doses themselves." in words) == bool(count)
            assert ("参考答案自己也写有剂量。" in words) == bool(count)
    finally:
        write_json(path, before)


def test_a_study_without_judges_and_screen_has_no_such_sections(study):
    assert not {"judging", "safety"} & set(sections(make_report(without(study, "--verdicts", "--safety"))))


def test_verdicts_of_other_answers_are_shown_with_a_warning(study):
    path = study.folder / "judging" / "verdicts.json"
    before = read_json(path)
    write_json(path, before | {"predictions": before["predictions"] | {"base": "0" * 64}})
    try:
        assert "These verdicts are of other answers" in Page(make_report(study)).words
    finally:
        write_json(path, before)


def test_a_screen_of_other_answers_is_refused(study):
    path = study.folder / "base" / "safety.json"
    before = read_json(path)
    write_json(path, before | {"predictions_sha256": "0" * 64})
    try:
        with pytest.raises(UserError, match=r"base/safety\.json: the screen is of other predictions.*\[J112\]"):
            make_report(study)
    finally:
        write_json(path, before)
