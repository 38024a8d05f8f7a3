"""Which options a file says are right: by letters in any hand, by their place, or by their text."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

from medscale.data.exams.options import Lettered
from medscale.data.exams.question import LETTERS, Dropped
from medscale.data.values import NotText, from_csv, is_null, structured, text_of

_LEAD = re.compile(r"^(?:正确|标准|参考|故|应|本题)*(?:答案|选项|选)?(?:是|为)?[\s:]*")
_TAIL = re.compile(r"(?<=[A-Za-z])(?:选项|项)$")
_GAPS = re.compile(r"[\s,，、;；/|+&.。:：()（）\[\]【】\"'“”‘’和及与]+")
_LETTER_AND_TEXT = re.compile(r"[(\[【]?([A-Z])[)\]】]?[\s.、:：)]+(.+)", re.DOTALL)
_NUMBER = re.compile(r"([0-9]{1,2})(?:\.0+)?")
_BETWEEN_NUMBERS = re.compile(r"[\s,、;|和及与]+")


def parts_of(value: Any, options: Lettered) -> list[str]:
    """Return what an answer's cell holds as texts, of a list several; [] where it is empty.

    A word for nothing, such as None, is an answer where an option is called so.

    Raises `Dropped` with ``unclear_answer`` for what is no text.
    """
    value = structured(value)
    if is_word_for_nothing(value) and by_text([value], options) is None:
        return []
    values = value if isinstance(value, list | tuple | set) else [value]
    try:
        texts = [text_of(part) for part in values if not is_null(part)]
    except NotText as error:
        raise Dropped("unclear_answer", str(error)) from error
    return [text.strip() for text in texts if text and text.strip()]


def is_word_for_nothing(value: Any) -> bool:
    """Tell whether a text is what files have where nothing is: None, NaN, null, n/a."""
    return isinstance(value, str) and from_csv(value) is None


def by_letters(parts: Iterable[str], options: Lettered) -> str | None:
    """Return the letters that an answer names, in order; None where it names none, or others than there are options.

    Full-width and small letters count as letters; marks and spaces between them do not count; «答案：B» and «B. 头痛»
    are B, the latter where B is 头痛. Where a file calls its options otherwise, such as opa, these are the letters.
    """
    found: set[str] = set()
    keys = options.keys
    for part in parts:
        text = unicodedata.normalize("NFKC", part).strip()
        if text.upper() in keys:
            found.add(keys[text.upper()])
            continue
        text = _TAIL.sub("", _LEAD.sub("", text, count=1)).upper()
        letters = _GAPS.sub("", text)
        named = [keys.get(letter) for letter in letters]
        if letters and None not in named:
            found.update(named)
            continue
        match = _LETTER_AND_TEXT.fullmatch(text)
        letter = keys.get(match[1]) if match else None
        if letter is None or comparable(options.texts[letter]) != comparable(match[2]):
            return None
        found.add(letter)
    return "".join(sorted(found)) or None


def by_index(parts: Iterable[str], options: Lettered, start: int) -> str | None:
    """Return the letters of the places that an answer names, counted from ``start``; None where it names no such."""
    found = {options.places.get(number - start) for number in numbers_of(parts)}
    return None if not found or None in found else "".join(sorted(found))


def by_text(parts: Iterable[str], options: Lettered) -> str | None:
    """Return the letters of the options whose texts an answer gives; None where a text is that of none or of two."""
    found: set[str] = set()
    for part in parts:
        same = [letter for letter, text in options.texts.items() if comparable(text) == comparable(part)]
        if len(same) != 1:
            return None
        found.update(same)
    return "".join(sorted(found)) or None


def numbers_of(parts: Iterable[str]) -> list[int]:
    """Return the numbers that an answer is: one, or several with marks between them; [] where it is something else.

    >>> numbers_of(["3"]), numbers_of(["1.0"]), numbers_of(["1,3"]), numbers_of(["0", "2"]), numbers_of(["1.5"])
    ([3], [1], [1, 3], [0, 2], [])
    """
    written = (_BETWEEN_NUMBERS.split(unicodedata.normalize("NFKC", part).strip(" ,、;|[]()")) for part in parts)
    numbers = [_NUMBER.fullmatch(number) for several in written for number in several]
    return [] if None in numbers else [int(number[1]) for number in numbers]


def comparable(text: str) -> str:
    """Return a text as options are compared: NFKC, one kind of space, no last mark. Na is not NA."""
    return " ".join(unicodedata.normalize("NFKC", text).split()).rstrip(".。;；")


def letters_of(value: Any, options: Lettered, told: str) -> str:
    """Return the letters of the right options, in order.

    Parameters
    ----------
    value : the answer as it stands in the file.
    options : as `options.lettered` returns them.
    told : how answers are told in this file: ``letters``, ``index_from_0``, ``index_from_1`` or ``text``. What is not
        told so may be so in the other way, where that is clear.

    Raises `Dropped` with ``no_answer``, ``answer_not_an_option`` or ``unclear_answer``.
    """
    parts = parts_of(value, options)
    if not parts:
        raise Dropped("no_answer")
    if told.startswith("index"):
        found = by_index(parts, options, int(told[-1]))
    else:
        read = {"letters": by_letters(parts, options), "text": by_text(parts, options)}
        found = read[told] or read["text" if told == "letters" else "letters"]
    if found is None:
        plain = _GAPS.sub("", unicodedata.normalize("NFKC", "".join(parts)).upper())
        is_told = bool(numbers_of(parts)) or bool(plain and set(plain) <= set(LETTERS)) or told == "text"
        detail = f"read as {told}; the options are {', '.join(options.keys)}"
        raise Dropped("answer_not_an_option" if is_told else "unclear_answer", detail)
    return found


def way_of(answers: Iterable[tuple[Any, Lettered]]) -> str:
    """Return how a file tells its answers: ``letters``, ``text`` or ``index``, by what most of them can be read as.

    Parameters
    ----------
    answers : of the rows, each with the options of its question.
    """
    counts = {"letters": 0, "text": 0, "index": 0}
    for parts, options in _readable_parts(answers):
        counts["letters"] += by_letters(parts, options) is not None
        counts["text"] += by_text(parts, options) is not None
        counts["index"] += bool(numbers_of(parts))
    return max(counts, key=counts.get)


def _readable_parts(answers: Iterable[tuple[Any, Lettered]]) -> Iterator[tuple[list[str], Lettered]]:
    for value, options in answers:
        try:
            yield parts_of(value, options), options
        except Dropped:
            continue


def are_places_too(answers: Iterable[tuple[Any, Lettered]]) -> bool:
    """Tell whether answers that are the texts of options could as well be places of others, in every row.

    Parameters
    ----------
    answers : of the rows, each with the options of its question.
    """
    apart = {0: False, 1: False}
    possible = {0, 1}
    for parts, options in _readable_parts(answers):
        if not parts:
            continue
        text = by_text(parts, options)
        for start in list(possible):
            place = by_index(parts, options, start)
            if place is None:
                possible.discard(start)
            apart[start] |= place != text
    return any(apart[start] for start in possible)


def could_begin_at(answers: Iterable[tuple[Any, Lettered]], start: int) -> int:
    """Return how many answers are places counted from ``start``; 0 where one of those that are numbers is not."""
    count = 0
    for parts, options in _readable_parts(answers):
        if numbers_of(parts):
            if by_index(parts, options, start) is None:
                return 0
            count += 1
    return count


def indices_of(answers: Iterable[tuple[Any, Lettered]]) -> tuple[set[int], int]:
    """Return the numbers that answers are, and how many options the questions have at most that are answered so."""
    numbers: set[int] = set()
    most = 0
    for parts, options in _readable_parts(answers):
        if told := numbers_of(parts):
            numbers.update(told)
            most = max(most, 1 + max(options.places, default=-1))
    return numbers, most
