"""One row of an exam's file as the question that it is, or the reason why it is none."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from medscale.data.exams.answers import comparable, letters_of
from medscale.data.exams.fields import Fields
from medscale.data.exams.options import Lettered, lettered, options_of
from medscale.data.exams.question import Dropped, Question, Row
from medscale.data.exams.subjects import chinese_name, measured
from medscale.data.values import NotText, text_of

_NO_SUBJECT = {"", "nan", "无", "不符合", "n/a", "none", "null"}
_SINGLE, _SEVERAL = ("单选", "单项", "single"), ("多选", "多项", "multi")


def question_of(row: Row, fields: Fields, told_by: str, measures: str = "auto") -> Question:
    """Return the question of a row.

    Parameters
    ----------
    row, fields : what stands where.
    told_by : how the file tells its answers, see `answers.letters_of`.
    measures : as the configuration has it.

    Raises `Dropped` with the reason why there is none.
    """
    if row.broken:
        raise Dropped(row.broken, row.detail)
    text = "\n".join(part for part in map(_text, row.question) if part)
    if not text:
        raise Dropped("empty_question")
    found = lettered(options_of(row.options))
    answer = letters_of(row.answer, found, told_by)
    options = _as_written(row.options, found) if fields.as_written and isinstance(row.options, Mapping) else found.texts
    multiple = _may_be_several(row.kind, answer)
    for letters in equal_options(options):
        if letters & set(answer) and not letters <= set(answer):
            raise Dropped(
                "right_and_wrong_option_equal", f"{', '.join(sorted(letters))} have one text; {answer} is right"
            )
    subject = _subject(row.subject)
    measures = measured(fields.format, subject) if measures == "auto" else measures
    return Question(
        *(row.id, text, options, answer, multiple, subject, measures),
        format=fields.format,
        subject_name=chinese_name(fields.format, subject),
    )


def equal_options(options: Mapping[str, str]) -> list[set[str]]:
    """Return the letters of options whose texts are equal, a set for each such text."""
    by_text = defaultdict(set)
    for letter, option in options.items():
        by_text[comparable(option)].add(letter)
    return [letters for letters in by_text.values() if len(letters) > 1]


def _as_written(columns: Mapping[str, Any], found: Lettered) -> dict[str, str]:
    """Return the options of columns by their letters, with the white space at their ends."""
    values = list(columns.values())
    return {letter: text_of(values[place]) or "" for place, letter in found.places.items()}


def _text(value: Any) -> str:
    try:
        return (text_of(value, "join") or "").replace("\r\n", "\n").strip().strip("\ufeff")
    except NotText as error:
        raise Dropped("empty_question", str(error)) from error


def plain(value: Any) -> str:
    try:
        return (text_of(value) or "").strip()
    except NotText:
        return ""


def _subject(value: Any) -> str | None:
    text = plain(value)
    return None if text.lower() in _NO_SUBJECT else text


def _may_be_several(kind: Any, answer: str) -> bool:
    """Tell whether several options may be right; a file that says one is, and names two, is dropped."""
    text = plain(kind).lower()
    if text.startswith(_SEVERAL):
        return True
    if text.startswith(_SINGLE) and len(answer) > 1:
        raise Dropped("several_answers_to_one", f"{text}, and the answer is {answer}")
    return len(answer) > 1
