"""Any file with a question, its options and an answer: the columns as they are configured, or by their usual names."""

import re
from collections.abc import Collection, Iterable

from medscale.data.exams.fields import Fields, Reading
from medscale.data.exams.question import LETTERS

QUESTION = ("question", "题干", "题目", "问题", "试题", "stem", "query", "prompt", "input", "title", "标题")
OPTIONS = ("options", "option", "choices", "candidates", "选项", "备选项", "备选答案")
ANSWER = (
    *("answer_idx", "answer_index", "answerKey", "answer_key", "answer", "正确答案", "标准答案", "参考答案", "答案"),
    *("correct_answer", "correct_option", "correct", "cop", "gold", "label", "target"),
)
"""MedQA has both the letter, in `answer_idx`, and the text, in `answer`: the letter says which of two equal texts."""
SUBJECT = ("subject", "subject_name", "category", "department", "exam_subject", "学科", "科目", "科室", "专业", "类别")
_ONE_EACH = re.compile(
    r"(?:option|opt|op|choice|answer|ending|选项|选择|备选项?)?[\s_.-]*([a-z]|[0-9]{1,2})[\s_.-]*(?:选项)?"
)

SHOWN_BY = (
    "a question (question, 题干, 题目 or 问题), options (one column: options, choices or 选项; or one each: A, B, C …, "
    "option_a …, opa …, 选项A …) and an answer (answer, 答案, answer_idx, label …)"
)


def find(found: Collection[str], reading: Reading, why: str) -> Fields | None:
    """Return the columns of a file, or None where it lacks a question or options.

    Parameters
    ----------
    found : the columns of the file.
    reading : names columns where the configuration does.
    why : how to say that the file was recognised.
    """
    question = reading.question or _first(QUESTION, found)
    options = reading.options or _first(OPTIONS, found) or one_each(found)
    answer = (reading.answer,) if reading.answer else _first(ANSWER, [name for name in found if name not in options])
    if not question or len(options) == 0:
        return None
    subject = (reading.subject,) if reading.subject else _first(SUBJECT, found)
    told = ", ".join(map(repr, (*question, *options, *answer)))
    return Fields(
        *("columns", f"{why}{told}", question, options, answer[0] if answer else None),
        subject=subject[0] if subject else None,
        key=next((name for name in ("id", "Id", "ID", "编号", "题号") if name in found), None),
    )


def one_each(found: Iterable[str]) -> tuple[str, ...]:
    """Return the columns that hold an option each, in the order of their letters or numbers; () where there are none.

    They must begin with the first, A or 0 or 1, and go on without a gap.
    """
    places: dict[str, str] = {}
    for name in found:
        match = _ONE_EACH.fullmatch(name.strip().lower())
        if match:
            places.setdefault(match[1], name)
    letters = [places[letter] for letter in _run(LETTERS.lower(), places)]
    if len(letters) > 1:
        return tuple(letters)
    start = 0 if "0" in places else 1
    numbers = [places[number] for number in _run(map(str, range(start, start + len(LETTERS))), places)]
    return tuple(numbers) if len(numbers) > 1 else ()


def _run(names: Iterable[str], there: Collection[str]) -> Iterable[str]:
    for name in names:
        if name not in there:
            return
        yield name


def _first(known: Collection[str], found: Collection[str]) -> tuple[str, ...]:
    by_plain = {}
    for name in found:
        by_plain.setdefault(plain(name), name)
    return next(((by_plain[plain(name)],) for name in known if plain(name) in by_plain), ())


def plain(name: str) -> str:
    """Return a column's name as it is compared: small letters, one kind of gap."""
    return re.sub(r"[\s_.-]+", "_", name.strip().lower())
