"""Numbers of things in English: one verdict, two verdicts."""


def how_many(count: int, one: str, many: str | None = None) -> str:
    """Return a number and what there are so many of.

    >>> how_many(1, "verdict"), how_many(0, "verdict"), how_many(2, "is a text", "are texts")
    ('1 verdict', '0 verdicts', '2 are texts')
    """
    return f"{count} {one if count == 1 else many or one + 's'}"
