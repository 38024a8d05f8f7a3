"""The options of a question, however a file holds them: an object, a list, columns of their own, or lines of a text."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
"""How an option begins: (A) …, A. … or A、…, A-…, A …, A…; the one that begins most lines is that of all."""
_CLEAR = (_OPENED, _MARKED)
"""Styles in which hardly another text begins. The others may begin a word: A型血, B 细胞, E-选择素."""
_EMPTY = re.compile(r"([A-ZＡ-Ｚ])\s*[.．、:：)）]?")
_KINDS = frozenset("型类族组级期带区链波超群式")
"""What follows a letter that names a kind of something: A型, B族, C级."""
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
        raise Dropped("unreadable_options", f"a {type(value).__name__} in place of options")
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
            raise Dropped("unreadable_options", f"{len(element)} values in place of a letter and a text")
        return _option(*element)
    if not isinstance(element, Mapping):
        return _option(None, element)
    key_name = next((name for name in _KEYS if name in element), None)
    text_name = next((name for name in _TEXTS if name in element and name != key_name), None)
    if text_name is None:
        if len(element) == 1:  # [{"A": "…"}, {"B": "…"}]
            return _option(*next(iter(element.items())))
        raise Dropped("unreadable_options", "an object without a text in place of an option")
    return _option(None if key_name is None else element[key_name], element[text_name])


def _once_called(found: list[Option]) -> list[Option]:
    """Return the options without the letters that all of their texts begin with, though they have them already.

    An option is called by its letter, or so that its place tells it: the first of 选项A, 选项B is A.
    """
    for style in _CLEAR:
        begun = [style.match(option.text) for option in found]
        if found and all(
            match and option.key and _letter_told(option) == letter_of(match[1])
            for option, match in zip(found, begun, strict=True)
        ):
            texts = [option.text[match.end() :].strip() for option, match in zip(found, begun, strict=True)]
            return [option._replace(text=text) for option, text in zip(found, texts, strict=True)]
    return found


def _letter_told(option: Option) -> str:
    name = called(option.key)
    return name if len(name) == 1 and name in LETTERS else LETTERS[option.place : option.place + 1]


def _option(key: Any, text: Any) -> Option | None:
    try:
        written = text_of(text)
    except NotText as error:
        raise Dropped("unreadable_options", str(error)) from error
    return None if written is None else Option(None if key is None else str(key).strip(), written.strip())


def _without_letters(found: list[Option]) -> list[Option]:
    """Return the options of a list whose texts begin with their letters, such as ["A. …", "B. …"], without these."""
    for style in _STYLES[:4]:
        begun = [style.match(option.text) for option in found]
        if all(begun) and [letter_of(match[1]) for match in begun] == list(LETTERS[: len(found)]):
            if style not in _CLEAR and _are_words(
                [option.text for option in found], dict.fromkeys(range(len(found))), style
            ):
                return found
            texts = [option.text[match.end() :].strip() for option, match in zip(found, begun, strict=True)]
            return [Option(letter, text) for letter, text in zip(LETTERS, texts, strict=False)]
    return found


def letter_of(text: str) -> str:
    """Return a letter as a capital of ASCII."""
    return unicodedata.normalize("NFKC", text).upper()


def of_text(text: str) -> list[Option]:
    """Return the options of a text: a line each, behind their letters or without any, or all in one line.

    Letters count where each line that begins with one begins with the next, from A on; a line without one belongs to
    the option before it. In one line options need a mark after their letters.

    Raises `Dropped` with ``unreadable_options`` where the lines could be read in two ways: a letter is left out, stands
    twice or out of order, or may be a part of the option's own words.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    begun = [(style, letters) for style in _STYLES if 0 in (letters := _letters_of(lines, style))]
    if not begun:
        return _of_plain_lines(lines)
    style, letters = max(begun, key=lambda each: len(each[1]))
    found = list(letters.values())
    if style not in _CLEAR and _are_words(lines, letters, style):
        return _of_plain_lines(lines)
    if len(found) > 1 and found == list(LETTERS[: len(found)]):
        if _is_unclear(lines, letters, style):
            raise Dropped("unreadable_options", "a line may begin an option or be part of one")
        return _of_lines(lines, letters, style)
    options = _of_line(" ".join(lines), style) if style in _CLEAR else []
    if len(options) > 1 or len(lines) == 1:
        return options
    likely = {*found} & {*LETTERS[: len(lines) + 1]}
    if len(likely) > 1 or (style in _CLEAR and likely):
        raise Dropped("unreadable_options", "letters are left out, stand twice or are out of order")
    return _of_plain_lines(lines)  # E. coli and S. aureus, T 细胞 and B 细胞


def _letters_of(lines: Sequence[str], style: re.Pattern) -> dict[int, str]:
    """Return the letters that lines begin with in a style, by the places of the lines.

    They are capitals or small letters throughout, as the first. A letter by itself begins an empty option, where any
    other line has the style.
    """
    matches = [style.match(line) for line in lines]
    if not any(matches):
        return {}
    matches = [match or _EMPTY.fullmatch(line) for match, line in zip(matches, lines, strict=True)]
    capital = next(match[1].isupper() for match in matches if match)
    return {
        place: letter_of(match[1]) for place, match in enumerate(matches) if match and match[1].isupper() == capital
    }


def _rest(line: str, style: re.Pattern) -> str:
    match = style.match(line) or _EMPTY.fullmatch(line)
    return line[match.end() :].strip()


def _of_lines(lines: Sequence[str], letters: Mapping[int, str], style: re.Pattern) -> list[Option]:
    """Return the options of lines, of which the first begins with a letter."""
    found: list[Option] = []
    for place, line in enumerate(lines):
        if place in letters:
            found.append(Option(letters[place], _rest(line, style)))
        else:
            found[-1] = Option(found[-1].key, f"{found[-1].text}\n{line}".strip())
    return found


def _of_plain_lines(lines: Sequence[str]) -> list[Option]:
    """Return lines without letters, an option each; fewer than two are none.

    Raises `Dropped` with ``unreadable_options`` where letters begin behind a first line that is none of the options.
    """
    for place in range(1, len(lines)):
        below = lines[place:]
        for style in (*_CLEAR, _DASHED, _SPACED):
            letters = _letters_of(below, style)
            if letters.get(0) != "A":
                continue
            told = "B" in letters.values() and (style in _CLEAR or not _are_words(below, letters, style))
            if told or (style in _CLEAR and len(_begun(" ".join(below), style, True)) > 1):
                raise Dropped("unreadable_options", "letters begin behind a first line that is none of the options")
    return [Option(None, line) for line in lines] if len(lines) > 1 else []


def _are_words(lines: Sequence[str], letters: Mapping[int, str], style: re.Pattern) -> bool:
    """Tell whether the letters that lines begin with are part of their words.

    Of A型血, B型血, AB型血, O型血 nothing else tells the options apart; and 型 begins no word, as in A型肝炎, B型流感.
    """
    rests = [_rest(lines[place], style) for place in letters]
    return len(rests) > 1 and (len({*rests}) == 1 or all(rest.startswith("型") for rest in rests))


def _is_unclear(lines: Sequence[str], letters: Mapping[int, str], style: re.Pattern) -> bool:
    """Tell whether lines that begin with A, B … could be something else all the same."""
    rests = [_rest(lines[place], style) for place in letters]
    every = len(letters) == len(lines)
    if style is _BARE and not (every and len({*rests}) == len(rests)):
        return True
    if style not in _CLEAR and (all(rest[:1] in _KINDS for rest in rests) or not (every or len(letters) > 2)):
        return True
    following = LETTERS[len(letters) : len(letters) + 1]
    behind = lines[1 + max(letters) :]
    if any(following in _letters_of([line], each).values() for line in behind for each in _STYLES):
        return True
    return style in _CLEAR and len(_begun(" ".join(lines), style, True)) > len(letters)


def _of_line(line: str, style: re.Pattern) -> list[Option]:
    """Return the options of one line: each begins with the letter after the one before it, the first with A.

    Raises `Dropped` with ``unreadable_options`` where other letters with a mark could be those of the options too.
    """
    options, refused = [], None
    try:
        options = _apart_from_words(line, style)
    except Dropped as dropped:
        refused = dropped
    close = _close_to_words(line, style)
    if close and (style is _OPENED or len(options) < 2):
        return close
    if refused is not None:
        raise refused
    return options


def _close_to_words(line: str, style: re.Pattern) -> list[Option]:
    """Return the options of one line in which a letter with a mark follows a Latin letter or a digit, [] otherwise.

    As in (A)维生素B12(B)叶酸 and A.5mgB.10mgC.15mg: whatever is marked as the first one is A, B, C … in order, without
    any other, and something is behind each. Letters without a mark are text, and so are other brackets.
    """
    every = [match for match in style.finditer(line) if style is not _OPENED or line[match.start()] in _same(line)]
    every = [match for match in every if match[1].isupper() == every[0][1].isupper()]
    places = [(letter_of(match[1]), match.start(), match.end()) for match in every]
    if style is not _OPENED:
        places = [place for place in places if _mark(line, place) == _mark(line, places[0])]
    letters = [letter for letter, _, _ in places]
    if len(letters) < (2 if style is _OPENED else 3) or letters != list(LETTERS[: len(letters)]) or places[0][1] > 0:
        return []
    behind = [place for place in places if _is_latin(line[place[1] - 1 : place[1]])]
    if not behind:
        return []
    found = _between(line, places)
    if not all(option.text for option in found):
        return []
    if behind[-1] == places[-1] and len(_begun(line, style, True)) > 1:  # (A) 甲 (B) HbA(C)类
        raise Dropped("unreadable_options", "a letter in the line may begin an option or be part of one")
    return found


def _same(line: str) -> str:
    """Return the brackets, of both widths, that are like the first of a line."""
    return next((pair for pair in ("(（", "[［", "【") if line[:1] in pair), "")


def _is_latin(character: str) -> bool:
    return character.isascii() and character.isalnum()


def _between(line: str, places: Sequence[tuple[str, int, int]]) -> list[Option]:
    """Return what stands behind each mark, up to the next one."""
    ends = [start for _, start, _ in places[1:]] + [len(line)]
    return [Option(key, line[end:until].strip(_BETWEEN)) for (key, _, end), until in zip(places, ends, strict=True)]


def _apart_from_words(line: str, style: re.Pattern) -> list[Option]:
    """Return the options of one line whose marks follow no Latin letter and no digit; see `_of_line`."""
    apart = len(_begun(line, style, True)) > 1
    places = _begun(line, style, apart)
    if places[0][0] != "A":
        return []
    mark = _mark(line, places[0])
    if len(alike := _begun(line, style, apart, mark)) > 1:
        longest = max(len(places), len(_begun(line, style, False, mark)))
        places = alike
    else:
        longest, mark = len(places), None
    likely = LETTERS[: len(places) + 2]
    others = {place for place in _marks(line, style, apart, mark) if place[0] in likely} - {*places}
    if len(places) > 1 and (longest > len(places) or others):
        raise Dropped("unreadable_options", "a letter in the line may begin an option or be part of one")
    return _between(line, places)


def _begun(line: str, style: re.Pattern, apart: bool, mark: str | None = None) -> list[tuple[str, int, int]]:
    """Return letter, start and end of what options begin with, one letter after the other; see `_marks`."""
    places: list[tuple[str, int, int]] = []
    for place in _marks(line, style, apart, mark):
        if not places or place[0] == chr(ord(places[-1][0]) + 1):
            places.append(place)
    return places


def _marks(line: str, style: re.Pattern, apart: bool, mark: str | None) -> Iterator[tuple[str, int, int]]:
    """Yield letter, start and end of all letters with a mark, capitals or small ones as the first.

    ``apart`` wants something between them and what is before, and ``mark`` the same mark after each letter.
    """
    capital = None
    for match in style.finditer(line):
        before = line[match.start() - 1 : match.start()]
        free = not before or before in _BETWEEN if apart else not _is_latin(before)
        capital = match[1].isupper() if capital is None else capital
        place = letter_of(match[1]), match.start(), match.end()
        if free and match[1].isupper() == capital and mark in (None, _mark(line, place)):
            yield place


def _mark(line: str, place: tuple[str, int, int]) -> str:
    """Return the marks around a letter, without it."""
    written = unicodedata.normalize("NFKC", "".join(line[place[1] : place[2]].split()))
    return written.upper().replace(place[0], "", 1)


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
        raise Dropped("no_options", f"{len(options)} read")
    if len(options) > len(LETTERS) or options[-1].place >= len(LETTERS):
        raise Dropped("unreadable_options", f"more than {len(LETTERS)} options")
    if all(option.key and len(option.key) == 1 and letter_of(option.key) in LETTERS for option in options):
        options.sort(key=lambda option: letter_of(option.key))
    letters = LETTERS[: len(options)]
    keys = {
        called(option.key or LETTERS[option.place]): letter for option, letter in zip(options, letters, strict=True)
    }
    if len(keys) < len(options):
        raise Dropped("unreadable_options", "two options are called the same")
    if not any(len(key) == 1 and key in LETTERS for key in keys):  # opa is also A
        keys |= {LETTERS[option.place]: letter for option, letter in zip(options, letters, strict=True)}
    texts = {letter: option.text for letter, option in zip(letters, options, strict=True)}
    places = {option.place: letter for letter, option in zip(letters, options, strict=True)}
    return Lettered(texts, keys, places)


def called(key: str) -> str:
    """Return what an option is called in a file, as an answer may name it."""
    return unicodedata.normalize("NFKC", key).strip().upper()
