"""Cleaning one row: from the values in the file to a question and an answer, or to the reason why it is dropped."""

import functools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from medscale.base.errors import UserError
from medscale.data.corpus import RawRow
from medscale.data.text_cleaning import clean_text, is_broken, is_placeholder

_EDGE_PUNCTUATION = re.compile(r"^[\W_]+|[\W_]+$")


@dataclass(frozen=True)
class Rules:
    """What a row has to keep to.

    Attributes
    ----------
    question_characters, answer_characters : smallest and largest length after cleaning, both allowed.
    mask : whether personal data is masked; default True.

    Raises `UserError` where a smallest length is above the largest.
    """

    question_characters: tuple[int, int]
    answer_characters: tuple[int, int]
    mask: bool = True

    def __post_init__(self) -> None:
        for name in ("question", "answer"):
            smallest, largest = getattr(self, f"{name}_characters")
            if smallest > largest:
                raise UserError(
                    "C115",
                    f"cleaning.min_{name}_characters ({smallest}) is above cleaning.max_{name}_characters ({largest})",
                )


@dataclass(frozen=True)
class CleanRow:
    """A cleaned row; ``reason`` is None where it stays, and otherwise says with ``detail`` why it is dropped.

    ``masked`` counts the personal data masked in it, by kind.
    """

    question: str | None = None
    answer: str | None = None
    department: str | None = None
    reason: str | None = None
    detail: str = ""
    masked: Counter = field(default_factory=Counter)


def clean_row(raw: RawRow, rules: Rules) -> CleanRow:
    """Clean one row and judge it by itself; duplicates are the business of `near.deduplication`.

    Reasons to drop it: "bad_json", "bad_csv", "wrong_field_count", "bad_text" (unreadable in the file), "not_text" (a
    number, list or map where text belongs), "missing_value" (null), "empty_…", "placeholder_…" (see `is_placeholder`),
    "broken_…" (decoded wrongly long ago), "short_…" and "long_…", each with "question" or "answer". A part of the
    question that is null, empty or a placeholder is left out, and only when no part remains is the question missing.
    """
    if raw.broken is not None:
        return CleanRow(reason=raw.broken.reason, detail=raw.broken.detail)
    wrong = next((value for value in (*raw.question, raw.answer) if not isinstance(value, str | None)), None)
    if wrong is not None:
        return CleanRow(reason="not_text", detail=f"{type(wrong).__name__}: {wrong!r:.200}")
    parts = [part for part in raw.question if part is not None]
    if raw.answer is None or not parts:
        return CleanRow(reason="missing_value", detail="answer is null" if parts else "question is null")

    question, masked = clean_text(join_parts([clean_text(part, mask=False)[0] for part in parts]), rules.mask)
    answer, masked_in_answer = clean_text(raw.answer, rules.mask)
    for name, text, bounds in (
        ("question", question, rules.question_characters),
        ("answer", answer, rules.answer_characters),
    ):
        reason, detail = _judge(text, bounds)
        if reason:
            return CleanRow(reason=f"{reason}_{name}", detail=detail)
    return CleanRow(question, answer, clean_department(raw.department), masked=masked + masked_in_answer)


def join_parts(parts: Sequence[str]) -> str:
    """Join the cleaned parts of a question by line ends, without saying anything twice.

    Placeholders are left out, and so is a part that another one contains, punctuation at its ends aside: with the
    title «能吃党参吗？» the description «我有高血压，能吃党参吗» is the whole question. Where nothing else remains, the
    longest placeholder is returned, so that it can be named as the reason.
    """
    real = [part for part in parts if not is_placeholder(part)]
    if not real:
        return max(parts, key=len, default="")
    cores = [_EDGE_PUNCTUATION.sub("", part) for part in real]

    def is_said_by(core: str, index: int, other: int) -> bool:
        return core in cores[other] and (core != cores[other] or other < index)

    said = [any(is_said_by(core, i, j) for j in range(len(real)) if j != i) for i, core in enumerate(cores)]
    return "\n".join(part for part, doubled in zip(real, said, strict=True) if not doubled)


def clean_department(value: Any) -> str | None:
    """Return a department's name, or None where it is unknown; a number is taken as a name."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    return _department_name(value) if isinstance(value, str) else None


@functools.lru_cache(maxsize=1024)
def _department_name(value: str) -> str | None:
    name, _ = clean_text(value, mask=False)
    return None if is_placeholder(name) else name


def _judge(text: str, bounds: tuple[int, int]) -> tuple[str | None, str]:
    smallest, largest = bounds
    if not text:
        return "empty", ""
    if is_placeholder(text):
        return "placeholder", text[:200]
    if is_broken(text):
        return "broken", "holds U+FFFD or 锟斤拷"
    if len(text) < smallest:
        return "short", f"{len(text)} characters, at least {smallest} asked"
    if len(text) > largest:
        return "long", f"{len(text)} characters, at most {largest} allowed"
    return None, ""


def original_text(value: Any) -> str | None:
    """Return a raw value, or a tuple of them, as text that any file can hold; None stays None.

    Half surrogate pairs, which JSON may carry and UTF-8 cannot, are written as ``\\ud83d``.
    """
    if isinstance(value, tuple):
        parts = [part for part in map(original_text, value) if part is not None]
        return "\n".join(parts) if parts else None
    if value is None:
        return None
    text = value if isinstance(value, str) else repr(value)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
