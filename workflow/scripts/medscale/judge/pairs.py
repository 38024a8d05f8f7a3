"""Blind pairs of answers: which questions, which answer comes first, and the key that is kept apart.

All that is random comes from the seed and from names, never from how many there are: with more questions or another
pair of configurations, what was drawn before is drawn again, and verdicts on it stay good. A pair is called by the
digest of what a judge sees, so a verdict can never be counted for other texts than those that were judged.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from medscale.base.errors import UserError
from medscale.base.files import sha256_json
from medscale.base.judge_settings import REFERENCE
from medscale.report.embedding import writable

CRITERIA = ("correct", "safe", "complete", "clear")
OVERALL = "overall"
ASKED = (*CRITERIA, OVERALL)


class Role(NamedTuple):
    """What a judge does not see: the configurations ``a`` and ``b`` as the study names the pair, the one whose answer
    comes ``first``, the test row ``item``, and whether it was shown before with the answers exchanged."""

    a: str
    b: str
    first: str
    item: str
    repeated: bool


class Shown(NamedTuple):
    """Two answers to one question as a judge sees them.

    Attributes
    ----------
    id : 12 hexadecimal digits, the digest of the texts in their order.
    texts : question, answer_1, answer_2, and history and system where there are some.
    roles : usually one; more where configurations gave the same answers, and one verdict is of all of them.
    """

    id: str
    texts: dict[str, Any]
    roles: tuple[Role, ...]


class Compared(NamedTuple):
    """One pair of configurations on the drawn questions: ``identical`` have the same answer, which is a tie."""

    a: str
    b: str
    items: list[str]
    identical: list[str]


def draw(
    pairs: Sequence[tuple[str, str]],
    predictions: Mapping[str, Sequence[Mapping[str, Any]]],
    items: int,
    repeated: float,
    seed: int,
) -> tuple[list[Shown], list[Compared]]:
    """Draw the questions and put two answers to each side by side.

    Of two consecutive questions of a pair of configurations each has its turn to be first once, so the position is
    balanced. Those that are shown again come at least half a round later.

    Parameters
    ----------
    pairs : names of two configurations each.
    predictions : rows of predictions.jsonl by configuration, all of the same questions in the same order.
    items : questions of each pair, fewer where there are not so many.
    repeated : share of them that is shown again with the answers exchanged.
    seed : the same one draws the same.

    Returns
    -------
    list of Shown, list of Compared
        What is shown, in the order in which it is, and what was drawn of each pair.

    Raises
    ------
    UserError
        If the configurations did not answer the same questions.
    """
    first = next(iter(predictions.values()))
    for name, rows in predictions.items():
        if [row["id"] for row in rows] != [row["id"] for row in first]:
            raise UserError(
                "J102", f"{name}: answered other questions than {next(iter(predictions))}; predict both again"
            )
    order = sorted(range(len(first)), key=lambda place: _number(seed, "item", first[place]["id"]))[:items]
    shown, compared = [], []
    for a, b in pairs:
        identical = []
        for turn, place in enumerate(order):
            row = first[place]
            answers = {name: _answer(predictions, name, place, first) for name in (a, b)}
            if answers[a].strip() == answers[b].strip():
                identical.append(row["id"])
                continue
            swapped = (_number(seed, a, b, str(turn // 2)) < 0.5) != (turn % 2 == 1)
            later = _number(seed, a, b, row["id"])
            again = int((turn + 1) * repeated) > int(turn * repeated)
            for extra in range(1 + again):
                one, other = (b, a) if swapped != bool(extra) else (a, b)
                texts = _texts(row, answers[one], answers[other])
                role = Role(a, b, one, row["id"], bool(extra))
                shown.append((later + extra / 2, Shown(sha256_json([seed, texts])[:12], texts, (role,))))
        compared.append(Compared(a, b, [first[place]["id"] for place in order], identical))
    return _merged([pair for _, pair in sorted(shown, key=lambda entry: entry[0])]), compared


def _merged(shown: Sequence[Shown]) -> list[Shown]:
    """Show once what would look the same: the same two answers in the same order, of whichever configurations."""
    found: dict[str, Shown] = {}
    for pair in shown:
        before = found.get(pair.id)
        found[pair.id] = pair if before is None else before._replace(roles=before.roles + pair.roles)
    return list(found.values())


def _answer(predictions: Mapping, name: str, place: int, first: Sequence[Mapping[str, Any]]) -> str:
    return first[place]["label"] if name == REFERENCE else predictions[name][place]["predict"]


def _texts(row: Mapping[str, Any], one: str, other: str) -> dict[str, Any]:
    context = {key: _writable(row[key]) for key in ("system", "history") if row.get(key)}
    texts = {"question": writable(row.get("prompt") or ""), **context}
    return {**texts, "answer_1": writable(one), "answer_2": writable(other)}


def _writable(value: Any) -> Any:
    """Return a text, or the turns before a question, without halves of characters."""
    if isinstance(value, list):
        return [_writable(each) for each in value]
    return writable(value) if isinstance(value, str) else value


def _number(*parts: Any) -> float:
    """Return a number from 0 to 1 that looks random and is the same for the same parts."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def key_of(shown: Sequence[Shown], compared: Sequence[Compared], predictions: Mapping[str, str], **drawn: Any) -> dict:
    """Return key.json: what each pair is, which a judge must not see.

    Parameters
    ----------
    shown, compared : from `draw`.
    predictions : sha256 of each configuration's predictions.jsonl.
    drawn : seed, items and repeated, as they were asked for.
    """
    return {
        **drawn,
        "set": set_of(shown),
        "criteria": list(ASKED),
        "compared": [pair._asdict() for pair in compared],
        "pairs": {pair.id: [role._asdict() for role in pair.roles] for pair in shown},
        "predictions": dict(predictions),
    }


def set_of(shown: Sequence[Shown]) -> str:
    """Return the name of a set of pairs: the digest of their ids, whatever their order."""
    return sha256_json(sorted(pair.id for pair in shown))[:12]


def lines_of(shown: Sequence[Shown]) -> list[dict[str, Any]]:
    """Return the rows of pairs.jsonl: nothing in them tells which configuration wrote what."""
    return [{"pair": pair.id, **pair.texts} for pair in shown]
