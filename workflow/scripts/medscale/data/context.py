"""A question with those that were asked before it in its dialogue: the unit that is compared, divided and checked.

A follow-up such as «那饮食呢？» says little by itself and stands in many dialogues; with the questions before it, it is
the question of one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from medscale.data.near.shingles import comparable

LEAST_CHARACTERS = 8
"""What was asked first joins dialogues only if it says so much: 医生您好 is the beginning of many."""


def in_context(question: str, history: Sequence[Sequence[str]] | None) -> str:
    """Return a question behind those before it, a line each; without any it is the question alone."""
    return "\n".join([*(earlier for earlier, _ in history or ()), question])


def asked(row: Mapping[str, Any]) -> str:
    """Return the question of a row in its context."""
    return in_context(row["question"], row.get("history"))


def beginnings(history: Sequence[Sequence[str]] | None) -> list[str]:
    """Return what had been asked after each of the earlier turns, as it is compared, where that says enough.

    Two samples that are later turns of one dialogue are found by what they have in common: its beginning.
    """
    texts = (in_context(turn[0], history[:place]) for place, turn in enumerate(history or ()))
    return [text for text in map(comparable, texts) if len(text) >= LEAST_CHARACTERS]
