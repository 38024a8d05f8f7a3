"""One question from its parts, such as a title and a description, without saying anything twice."""

import re
from collections.abc import Sequence

from medscale.data.text_cleaning import is_placeholder

_EDGE_PUNCTUATION = re.compile(r"^[\W_]+|[\W_]+$")


def join_parts(parts: Sequence[str], numbers: Sequence[bool] = ()) -> str:
    """Join the cleaned parts of a question by line ends, without saying anything twice.

    Placeholders are left out, and so is a part that another one contains, punctuation at its ends aside: with the
    title «能吃党参吗？» the description «我有高血压，能吃党参吗» is the whole question. Where nothing else remains, the
    longest placeholder is returned, so that it can be named as the reason. ``numbers`` tells which parts were numbers
    in the file: 33 is an age and no placeholder.
    """
    numbers = numbers or [False] * len(parts)
    real = [part for part, number in zip(parts, numbers, strict=True) if number or not is_placeholder(part)]
    if not real:
        return max(parts, key=len, default="")
    cores = [_EDGE_PUNCTUATION.sub("", part) for part in real]

    def is_said_by(core: str, index: int, other: int) -> bool:
        return core in cores[other] and (core != cores[other] or other < index)

    said = [any(is_said_by(core, i, j) for j in range(len(real)) if j != i) for i, core in enumerate(cores)]
    return "\n".join(part for part, doubled in zip(real, said, strict=True) if not doubled)
