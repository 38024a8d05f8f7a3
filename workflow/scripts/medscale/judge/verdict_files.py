"""Files of verdicts, of people or of any model: each line is used, or counted with the reason why it is not.

A line is a JSON object::

    {"pair": "3f0c…", "judge": "LW", "correct": "1", "safe": "equal", "complete": "2", "clear": "equal", "overall": "1"}

``1`` says that the first answer is better, ``2`` the second, ``equal`` neither. Criteria may be left out; ``judge`` is
the name of the file where it is; ``at`` (ISO 8601) and ``comment`` may stand there.

Of several lines of one judge on one pair the latest counts, by ``at``; without it, one that says the same and more.
Where neither settles it they contradict each other, and none of them counts: a judge who says both has said nothing.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from medscale.base.errors import UserError
from medscale.base.judge_settings import judge_of
from medscale.data.text_encoding import CODECS, detect_encoding
from medscale.judge.pairs import ASKED

FIRST, SECOND, EQUAL = "1", "2", "equal"
BESIDE = ("pair", "judge", "at", "comment")
"""Keys of a line that are no criterion. Others than these and `ASKED` are counted by name and not used."""
REASONS = (
    "not_json",
    "no_pair",
    "unknown_pair",
    "no_judge",
    "nothing_said",
    "duplicate",
    "superseded",
    "contradictory",
)
LONGEST_NAME = 80


class Verdict(NamedTuple):
    """What one judge said of one pair: by criterion `FIRST`, `SECOND` or `EQUAL`, those that were said."""

    pair: str
    judge: str
    said: dict[str, str]
    at: str | None
    comment: str


class Read(NamedTuple):
    """All that was read: ``lines`` = verdicts + Σ dropped.

    Attributes
    ----------
    verdicts : one a judge and pair at most, sorted. lines : lines of all files that are not blank. dropped : number of
    lines not used, by reason. rejected : file, line and reason of each line that could not be read as a verdict; not of
    mere repetitions. unknown_keys, unknown_values : how often a line had a key, or a criterion a value, that is not
    known; the rest of the
        line is used.
    incomplete : verdicts that lack a criterion.
    """

    verdicts: list[Verdict]
    lines: int
    dropped: dict[str, int]
    rejected: list[dict[str, Any]]
    unknown_keys: dict[str, int]
    unknown_values: dict[str, int]
    incomplete: int


def read_verdicts(paths: Iterable[Path], pairs: Mapping[str, Any]) -> Read:
    """Read files of verdicts.

    Parameters
    ----------
    paths : files of JSON lines.
    pairs : by id, those that were shown.

    Raises
    ------
    UserError
        If nobody can tell which encoding a file has, or it is no text.
    """
    dropped, keys, values = Counter[str](), Counter[str](), Counter[str]()
    rejected: list[dict[str, Any]] = []
    found: dict[tuple[str, str], list[Verdict]] = {}
    lines = 0
    for path in paths:
        for number, row in _rows(_text(path)):
            lines += 1
            verdict = _verdict(row, path, pairs, keys, values)
            if isinstance(verdict, str):
                dropped[verdict] += 1
                rejected.append({"file": path.name, "line": number, "reason": verdict})
            else:
                found.setdefault((verdict.judge, verdict.pair), []).append(verdict)
    verdicts = []
    for said in found.values():
        kept, reasons = _settled(said)
        dropped.update(reasons)
        if kept:
            verdicts.append(kept)
    verdicts.sort(key=lambda verdict: (verdict.judge, verdict.pair))
    incomplete = sum(len(verdict.said) < len(ASKED) for verdict in verdicts)
    counted = {reason: dropped[reason] for reason in REASONS if dropped[reason]}
    return Read(verdicts, lines, counted, rejected, dict(keys), dict(values), incomplete)


def _text(path: Path) -> str:
    """Return the text of a file, whichever program of whichever system saved it."""
    try:
        encoding = detect_encoding(path, key=None)
    except UserError as error:
        if error.code != "D136":
            raise UserError(
                "J105",
                f"{error.text}; this file stops the whole import: mend it, or take it out of the folder, and the "
                "others are read",
            ) from error
        encoding = "utf-8"  # of what could be both, what the page and programs write
    return path.read_bytes().decode(CODECS.get(encoding, encoding)).removeprefix("\ufeff")


def _rows(text: str) -> Iterator[tuple[int, Any]]:
    """Yield what each line of a text holds with its number, or of a text that is one JSON list what each place holds.

    What is no JSON is None.
    """
    if text.lstrip().startswith("["):
        whole = _json(text)
        if isinstance(whole, list):
            yield from enumerate(whole, 1)
            return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, _json(line)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # a number of thousands of digits is a plain ValueError
        return None


def _verdict(row: Any, path: Path, pairs: Mapping[str, Any], keys: Counter, values: Counter) -> Verdict | str:
    """Return what a line says, read from JSON, or the reason why it cannot be used."""
    if not isinstance(row, dict):
        return "not_json"
    pair, judge = row.get("pair"), row.get("judge", judge_of(path))
    if not isinstance(pair, str) or not pair:
        return "no_pair"
    if pair not in pairs:
        return "unknown_pair"
    name = " ".join(judge.split()) if isinstance(judge, str) else ""
    if not name or not name.isprintable() or len(name) > LONGEST_NAME:
        return "no_judge"
    keys.update(_shown(key) for key in row if key not in (*BESIDE, *ASKED))
    said = {}
    for criterion in ASKED:
        value = row.get(criterion)
        if value is None:
            continue
        text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else json.dumps(value)
        if text in (FIRST, SECOND, EQUAL):
            said[criterion] = text
        else:
            values[_shown(text)] += 1
    if not said:
        return "nothing_said"
    comment = row.get("comment")
    return Verdict(pair, name, said, _time(row.get("at")), comment if isinstance(comment, str) else "")


def _shown(text: str) -> str:
    """Return a text of a stranger as it may stand in a message: short, on one line, whole characters."""
    plain = "".join(character if character.isprintable() else "\ufffd" for character in text)
    return plain[:40]


def _time(text: Any) -> str | None:
    """Return a time as UTC in one form that sorts, or None where it is none."""
    if not isinstance(text, str):
        return None
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC).isoformat(timespec="microseconds")
    except (ValueError, OverflowError):
        return None


def _settled(said: Sequence[Verdict]) -> tuple[Verdict | None, Counter]:
    """Return which of one judge's verdicts on one pair counts, and the reasons of the others."""
    reasons: Counter = Counter()
    different: dict[tuple, Verdict] = {}
    for verdict in said:
        same = tuple(sorted(verdict.said.items()))
        before = different.get(same)
        if before is not None:
            reasons["duplicate"] += 1
            verdict = max(before, verdict, key=lambda each: (each.at or "", len(each.comment), each.comment))
        different[same] = verdict
    rest = list(different.values())
    times = [verdict.at for verdict in rest]
    if len(rest) > 1 and None not in times and times.count(max(times)) == 1:
        last = max(rest, key=lambda verdict: verdict.at)
    else:
        last = max(rest, key=lambda verdict: len(verdict.said))
        if not all(verdict.said.items() <= last.said.items() for verdict in rest):
            reasons["contradictory"] += len(rest)
            return None, reasons
    reasons["superseded"] += len(rest) - 1
    return last, reasons
