"""Safety at a glance: answers that name a dose, advise stopping a medicine, or send no emergency to a doctor.

A screen and not a verdict: `workflow/safety/patterns.yaml` holds every pattern, with examples that a test runs. A new
pattern screens the answers that are there anew, and nothing is predicted again.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from medscale.base.errors import UserError
from medscale.evaluate.wilson import wilson_interval

PATTERNS = Path(__file__).parents[3] / "safety" / "patterns.yaml"
CONTEXT = 30
"""Characters shown before and behind a match."""
BEGINNING = 160
"""Characters shown of an answer in which nothing was found."""
ABOUT = ("name", "means", "misses")
_HALF_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F) if chr(code) not in "，；！？：（）～"}
_NAME = re.compile(r"<([a-z_]+)>")


class Screen(NamedTuple):
    """What is looked for in a text, and which matches do not count."""

    match: re.Pattern[str]
    unless: Sequence[re.Pattern[str]] = ()

    def find(self, text: str) -> list[tuple[int, int]]:
        """Return start and end of each match that counts, from left to right; matches do not overlap.

        A match of ``match`` is void where one of ``unless`` overlaps it.
        """
        plain = text.translate(_HALF_WIDTH)
        found = [match.span() for match in self.match.finditer(plain) if match.group()]
        for unless in self.unless if found else ():
            # Each by itself: what one of them takes in is not hidden from the others.
            voided = [match.span() for match in unless.finditer(plain)]
            ends = [end for _, end in voided]

            def is_void(start: int, end: int, voided: list = voided, ends: list = ends) -> bool:
                place = bisect_right(ends, start)  # the first that ends behind the start
                return place < len(voided) and voided[place][0] < end

            found = [span for span in found if not is_void(*span)]
        return found


class Rule(NamedTuple):
    """One rule; ``about`` says in both languages what it is called, what it means and what it misses.

    ``question`` is None where it reads answers alone; else it counts answers *without* a match.
    """

    name: str
    about: dict[str, Any]
    question: Screen | None
    answer: Screen


def read_rules(path: Path = PATTERNS) -> list[Rule]:
    """Read the rules.

    Raises
    ------
    UserError
        If a pattern is no regular expression, or names a word that is not there.
    """
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    rules = []
    for name, rule in content["rules"].items():
        parts = [rule.get("question"), rule.get("answer", rule)]
        question, answer = (part and _screen(part, content["words"], f"{path}: rules.{name}") for part in parts)
        rules.append(Rule(name, {key: rule[key] for key in ABOUT}, question, answer))
    return rules


def _screen(part: Mapping[str, Any], words: Mapping[str, str], where: str) -> Screen:
    if not part.get("match"):
        raise UserError("J111", f"{where}: has no pattern under match; write one, or take the rule out")
    unless = [_pattern([pattern], words, where) for pattern in part.get("unless") or ()]
    return Screen(_pattern(part["match"], words, where), unless)


def _pattern(patterns: Iterable[str], words: Mapping[str, str], where: str) -> re.Pattern[str]:
    """Return one expression for several, which is matched from left to right, the first that fits at each place."""
    texts = [f"(?:{_spelled_out(pattern, words, where)})" for pattern in patterns]
    try:
        return re.compile("|".join(texts), re.IGNORECASE)
    except re.error as error:
        raise UserError("J111", f"{where}: a pattern is no regular expression ({error}); correct it") from error


def _spelled_out(pattern: str, words: Mapping[str, str], where: str, depth: int = 0) -> str:
    """Return a pattern with the words that it names written out."""

    def word(found: re.Match[str]) -> str:
        if found[1] not in words or depth > len(words):
            raise UserError("J111", f"{where}: {found[0]} names no word, or itself; the words are {', '.join(words)}")
        return _spelled_out(words[found[1]], words, where, depth + 1)

    return _NAME.sub(word, pattern)


def screened(rules: Sequence[Rule], rows: Iterable[tuple[str, str, str]]) -> dict[str, dict[str, Any]]:
    """Screen answers.

    Parameters
    ----------
    rules : from `read_rules`.
    rows : id, question and answer of each row.

    Returns
    -------
    dict of str to dict
        By rule: what it is about, ``count`` of ``of`` answers, ``share`` with ``ci95`` (Wilson), and ``matches``: id
        and the matched texts, each as ``[before, matched, behind]``. A rule that reads questions counts among those
        that match, and tells the beginning of the answer too.
    """
    rows = list(rows)
    return {rule.name: _screened(rule, rows) for rule in rules}


def _screened(rule: Rule, rows: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
    of, matches = 0, []
    for row, question, answer in rows:
        found = (rule.question or rule.answer).find(question if rule.question else answer)
        if rule.question is None:
            of += 1
            if found:
                matches.append({"id": row, "texts": [_in_context(answer, *span) for span in found]})
        elif found:
            of += 1
            if not rule.answer.find(answer):
                texts = [_in_context(question, *span) for span in found]
                matches.append({"id": row, "texts": texts, "answer": answer[:BEGINNING]})
    about = {**rule.about, "of_what": "answer" if rule.question is None else "question"}
    return {**about, "count": len(matches), "of": of, **_share(len(matches), of), "matches": matches}


def _share(count: int, of: int) -> dict[str, Any]:
    """Return a share and its interval (Wilson 1927); None where there is nothing to share."""
    if not of:
        return {"share": None, "ci95": None}
    return {"share": count / of, "ci95": [*wilson_interval(count, of)]}


def _in_context(text: str, start: int, end: int) -> list[str]:
    return [text[max(0, start - CONTEXT) : start], text[start:end], text[end : end + CONTEXT]]
