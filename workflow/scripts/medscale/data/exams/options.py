"""The options of a question, however a file holds them: an object, a list, columns of their own, or lines of a text."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from medscale.data.exams.question import LETTERS, Dropped, Option
from medscale.data.values import NotText, structured, text_of

_KEYS = ("key", "label", "letter", "id", "option", "name", "选项")
_TEXTS = ("value", "text", "content", "option", "内容")
_OPENED = re.compile(r"[(（\[【]\s*([A-Za-zＡ-Ｚａ-ｚ])\s*[)）\]】]\s*[.．、:：,，]?\s*")
_MARKED = re.compile(r"([A-Za-zＡ-Ｚａ-ｚ])\s*[.．、:：)）,，]\s*")
_DASHED = re.compile(r"([A-ZＡ-Ｚ])\s*[-–—]\s*")
_SPACED = re.compile(r"([A-ZＡ-Ｚ])[ \t\u3000]+")
_BARE = re.compile(r"([A-ZＡ-Ｚ])(?=[\u3400-\u9fff])")
_STYLES = (_OPENED, _MARKED, _DASHED, _SPACED, _BARE)
_EMPTY = re.compile(r"([A-ZＡ-Ｚ])\s*[.．、:：)）]?")
"""How an option begins: (A) …, A. … or A、…, A-…, A …, A…; the one that gives most options is that of all lines."""
_GAP = 2
"""How far the letter of a line may be from the one before: one option may be missing, the rest is another text."""
_BETWEEN = " \t\u3000;；|/"
"""What stands between options in one line, where anything does."""


def options_of(value: Any) -> list[Option]:
    """Return the options that a value holds, in their order; those that are empty are left out.

    Parameters
    ----------
    value : an object of texts, a list of texts or of objects with key and value, a text of lines, or JSON of these.

    Raises `Dropped` with ``unreadable_options`` where it is something else.
    """
    value = structured(value)
    if isinstance(value, Mapping):
        found = _of_object(value)
    elif isinstance(value, list | tuple):
        found = [_of_element(element) for element in value]
        found = _without_letters(found) if all(option and option.key is None for option in found) else found
    elif isinstance(value, str):
        found = of_text(value)
    elif value is None:
        found = []
    else:
        raise Dropped("unreadable_options")
    found = [option and option._replace(place=place) for place, option in enumerate(found)]
    return _once_called([option for option in found if option is not None and option.text])


def _of_object(value: Mapping) -> list[Option | None]:
    """Return the options of an object of texts, or of one of two lists, as `datasets` makes of a list of objects."""
    texts = next((value[name] for name in _TEXTS if isinstance(value.get(name), list | tuple)), None)
    keys = next((value[name] for name in _KEYS if isinstance(value.get(name), list | tuple)), None)
    if texts is not None and keys is not None and len(texts) == len(keys):
        return [_option(key, text) for key, text in zip(keys, texts, strict=True)]
    return [_option(str(key), text) for key, text in value.items()]


def _of_element(element: Any) -> Option | None:
    if isinstance(element, list | tuple):
        if len(element) != 2:
            raise Dropped("unreadable_options")
        return _option(*element)
    if not isinstance(element, Mapping):
        return _option(None, element)
    key_name = next((name for name in _KEYS if name in element), None)
    text_name = next((name for name in _TEXTS if name in element and name != key_name), None)
    if text_name is None:
        if len(element) == 1:  # [{"A": "…"}, {"B": "…"}]
            return _option(*next(iter(element.items())))
        raise Dropped("unreadable_options")
    return _option(None if key_name is None else element[key_name], element[text_name])


def _once_called(found: list[Option]) -> list[Option]:
    """Return the options without the letters that all of their texts begin with, though they are called so already."""
    begun = [_MARKED.match(option.text) for option in found]
    twice = all(
        match and option.key and called(option.key) == letter_of(match[1])
        for option, match in zip(found, begun, strict=True)
    )
    if not twice:
        return found
    return [
        option._replace(text=option.text[match.end() :].strip()) for option, match in zip(found, begun, strict=True)
    ]


def _option(key: Any, text: Any) -> Option | None:
    try:
        written = text_of(text)
    except NotText as error:
        raise Dropped("unreadable_options") from error
    return None if written is None else Option(None if key is None else str(key).strip(), written.strip())


def _without_letters(found: list[Option]) -> list[Option]:
    """Return the options of a list whose texts begin with their letters, such as ["A. …", "B. …"], without these."""
    for style in _STYLES[:4]:
        begun = [style.match(option.text) for option in found]
        if all(begun) and [letter_of(match[1]) for match in begun] == list(LETTERS[: len(found)]):
            texts = [option.text[match.end() :].strip() for option, match in zip(found, begun, strict=True)]
            return [Option(letter, text) for letter, text in zip(LETTERS, texts, strict=False)]
    return found


def letter_of(text: str) -> str:
    """Return a letter as a capital of ASCII."""
    return unicodedata.normalize("NFKC", text).upper()


def of_text(text: str) -> list[Option]:
    """Return the options of a text: a line each, behind their letters or without any, or all in one line.

    A line without the next letter belongs to the option before it. In one line options need a mark after their letters.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if not lines:
        return []
    styles = [style for style in _STYLES if style.match(lines[0])]
    if not styles:
        return [Option(None, line) for line in lines] if len(lines) > 1 else []
    found = max((_of_lines(lines, style) for style in styles), key=len)
    return found if len(found) > 1 else _of_line(" ".join(lines), styles[0])


def _of_lines(lines: Iterable[str], style: re.Pattern) -> list[Option]:
    """Return the options of lines, of which the first begins with a letter in this style."""
    found: list[Option] = []
    for line in lines:
        match = style.match(line) or _EMPTY.fullmatch(line)
        letter = letter_of(match[1]) if match else ""
        if letter and (not found or 0 < ord(letter) - ord(found[-1].key) <= _GAP):
            found.append(Option(letter, line[match.end() :].strip()))
        else:
            found[-1] = Option(found[-1].key, f"{found[-1].text}\n{line}".strip())
    return found


def _of_line(line: str, style: re.Pattern) -> list[Option]:
    """Return the options of one line: each begins with the letter after the one before it, and with the same mark."""
    if style not in (_OPENED, _MARKED):
        return []
    apart = _begun(line, style, True)
    places = apart if len(apart) > 1 else _begun(line, style, False)
    ends = [start for _, start, _ in places[1:]] + [len(line)]
    return [Option(key, line[end:until].strip(_BETWEEN)) for (key, _, end), until in zip(places, ends, strict=True)]


def _begun(line: str, style: re.Pattern, apart: bool) -> list[tuple[str, int, int]]:
    """Return letter, start and end of what options begin with; ``apart`` wants something between them."""
    places: list[tuple[str, int, int]] = []
    for match in style.finditer(line):
        before = line[match.start() - 1 : match.start()]
        wanted = chr(ord(places[-1][0]) + 1) if places else letter_of(match[1])
        free = not before or before in _BETWEEN if apart else not (before.isascii() and before.isalnum())
        if free and letter_of(match[1]) == wanted:
            places.append((wanted, match.start(), match.end()))
    return places


class Lettered(NamedTuple):
    """The options of a question by letters from A on.

    Attributes
    ----------
    texts : by letter.
    keys : the letters by what the options are called in the file, and by their letters there.
    places : the letters by the places in the file, from 0; that of an empty one is missing.
    """

    texts: dict[str, str]
    keys: dict[str, str]
    places: dict[int, str]


def lettered(options: Iterable[Option]) -> Lettered:
    """Return the options by letters without a gap, in the order of the file's letters or else of the file.

    Raises `Dropped` with ``no_options`` for fewer than two, and with ``unreadable_options`` for more than there are
    letters or where two are called the same.
    """
    options = list(options)
    if len(options) < 2:
        raise Dropped("no_options")
    if len(options) > len(LETTERS) or options[-1].place >= len(LETTERS):
        raise Dropped("unreadable_options")
    if all(option.key and len(option.key) == 1 and letter_of(option.key) in LETTERS for option in options):
        options.sort(key=lambda option: letter_of(option.key))
    letters = LETTERS[: len(options)]
    keys = {
        called(option.key or LETTERS[option.place]): letter for option, letter in zip(options, letters, strict=True)
    }
    if len(keys) < len(options):
        raise Dropped("unreadable_options")
    if not any(len(key) == 1 and key in LETTERS for key in keys):  # opa is also A
        keys |= {LETTERS[option.place]: letter for option, letter in zip(options, letters, strict=True)}
    texts = {letter: option.text for letter, option in zip(letters, options, strict=True)}
    places = {option.place: letter for letter, option in zip(letters, options, strict=True)}
    return Lettered(texts, keys, places)


def called(key: str) -> str:
    """Return what an option is called in a file, as an answer may name it."""
    return unicodedata.normalize("NFKC", key).strip().upper()
