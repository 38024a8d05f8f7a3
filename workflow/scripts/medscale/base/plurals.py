"""Numbers of things in English: one verdict, two verdicts; and of several kinds of them."""

from collections.abc import Mapping


def how_many(count: int, one: str, many: str | None = None) -> str:
    """Return a number and what there are so many of.

    >>> how_many(1, "verdict"), how_many(0, "verdict"), how_many(2, "is a text", "are texts")
    ('1 verdict', '0 verdicts', '2 are texts')
    """
    return f"{count} {one if count == 1 else many or one + 's'}"


def counts_of(counts: Mapping[str, int]) -> str:
    """Return how many there are of each kind, in words for people, and in the order of the mapping.

    >>> counts_of({"no_options": 8, "no_answer": 1}), counts_of({"no_answer": 0})
    ('no options 8, no answer 1', 'none')
    """
    return ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in counts.items() if count) or "none"
