"""What was asked before a question, by which later turns of one dialogue are known to belong together."""

from collections.abc import Sequence

from medscale.data.near.shingles import comparable
from medscale.data.questions import in_context

LEAST_CHARACTERS = 8
"""A beginning joins dialogues only if it says so much: 医生您好 is that of many."""


def beginnings(history: Sequence[Sequence[str]] | None) -> list[str]:
    """Return what had been asked after each of the earlier turns, as it is compared, where that says enough."""
    texts = (in_context(turn[0], history[:place]) for place, turn in enumerate(history or ()))
    return [text for text in map(comparable, texts) if len(text) >= LEAST_CHARACTERS]
