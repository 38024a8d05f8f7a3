"""By what rows of dialogues are known to belong together: what was asked before, and a question with its answer."""

import hashlib
from collections.abc import Sequence

from medscale.data.near.shingles import comparable
from medscale.data.questions import in_context

LEAST_CHARACTERS = 8
"""A beginning joins dialogues only if it says so much: 医生您好 is that of many."""

STOCK = 20
"""What so many rows have word for word, such as «谢谢，那饮食呢？», is a stock phrase and joins no dialogues."""


def beginnings(history: Sequence[Sequence[str]] | None) -> list[str]:
    """Return what had been asked after each of the earlier turns, as it is compared, where that says enough."""
    texts = (in_context(turn[0], history[:place]) for place, turn in enumerate(history or ()))
    return [text for text in map(comparable, texts) if len(text) >= LEAST_CHARACTERS]


def pair_of(question: str, answer: str) -> bytes | None:
    """Return a digest of a question alone with its answer, or None where the question says too little.

    The same question with the same answer is the same row, whatever greeting or other question stands before it.
    """
    text = comparable(question)
    if len(text) < LEAST_CHARACTERS:
        return None
    return hashlib.blake2b(f"{text}\0{comparable(answer)}".encode(), digest_size=16).digest()
