"""The texts of the report: both languages filled alike, and one of a kind told as one."""

import re

import pytest

from medscale.report.texts import all_texts, say

FORMS = re.compile(r"\{(\w+):([^|}]*)\|([^}]*)\}")


def test_a_form_follows_its_number():
    facts = {"verdicts": "1", "judges": 1, "pairs": "2"}
    assert say("judging.facts", **facts).en == "1 verdict of 1 judge on 2 pairs shown."
    assert (
        say("judging.facts", verdicts="1,000", judges=2, pairs=0).en == "1,000 verdicts of 2 judges on 0 pairs shown."
    )
    assert say("judging.dropped", lines=1, n=1, list="x").en == "Of 1 line, 1 was not used: x."
    assert say("judging.facts", **facts).zh == "1 位评判者就 2 组给出 1 条评判。"


@pytest.mark.parametrize("section", ["judging", "knowledge", "safety", "rates"])
def test_no_number_stands_before_a_word_that_has_one_form_alone(section):
    """A number that may be 1 and a word in the plural: the word needs both forms."""
    plural = re.compile(
        r"\{(verdicts|judges|pairs|lines|n|items|count|units|whole|place)\} (decided )?"
        r"(verdicts|pairs|lines|questions|texts|steps|times|were)\b"
    )
    assert [key for key, text in all_texts()[section].items() if plural.search(text.en)] == []


def test_every_form_has_its_number_beside_it():
    for texts in all_texts().values():
        for text in texts.values():
            assert not FORMS.search(text.zh)
            for name, _, _ in FORMS.findall(text.en):
                assert f"{{{name}}}" in text.en
