"""A value as a file holds it, written out as text: what is empty, what a number says, and what cannot be text."""

import ast
import datetime
import decimal
import json
import math
import re
from collections.abc import Sequence
from typing import Any

_NULL_TYPES = ("NAType", "NaTType")
"""How pandas names what it writes for nothing; it need not be here for that."""
_NULL_WORDS = frozenset(["nan", "null", "none", "n/a", "na", "nat", "<na>", "#n/a", "nil"])
_LARGEST_WRITTEN_OUT = 1e15
_HALF_PAIR = re.compile("[\ud800-\udfff]")


class NotText(ValueError):
    """A value that cannot be text; says what it is."""


def is_null(value: Any) -> bool:
    """Tell whether a value stands for an empty cell: None, NaN, pandas' NaT and NA."""
    if value is None or type(value).__name__ in _NULL_TYPES:
        return True
    if isinstance(value, float):
        return math.isnan(value)
    return isinstance(value, decimal.Decimal) and value.is_nan()


def from_csv(value: str) -> str | None:
    """Return a cell of a CSV file, which has but text: None where it holds one word that stands for nothing."""
    return None if len(value) < 8 and value.strip().lower() in _NULL_WORDS else value


def text_of(value: Any, lists: str = "first") -> str | None:
    """Return a value as text, or None where it is empty.

    Numbers are written in full, whole ones without a point; truth values as in JSON; dates as in ISO 8601, and a time
    of midnight is a date; bytes are UTF-8 or else GB18030. Of a list the first element that is not empty is taken, or
    all, joined by line ends.

    Parameters
    ----------
    value : what the file holds.
    lists : ``first`` or ``join``.

    Raises `NotText` for all else; it says what was found.
    """
    if isinstance(value, str):
        return value
    if is_null(value):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float | decimal.Decimal):
        return _number(value)
    if isinstance(value, datetime.datetime):
        midnight = value.tzinfo is None and value.time() == datetime.time()
        return (value.date() if midnight else value).isoformat()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return _decoded(bytes(value))
    if isinstance(value, list | tuple):
        return _of_list(value, lists)
    raise NotText(described(value))


def without_half_pairs(value: Any) -> Any:
    """Return a value whose texts any file can hold: without halves of surrogate pairs, which JSON may carry.

    >>> without_half_pairs({"A": ["头\\ud83d疼", 1]})
    {'A': ['头疼', 1]}
    """
    if isinstance(value, str):
        return _HALF_PAIR.sub("", value)
    if isinstance(value, list):
        return [without_half_pairs(each) for each in value]
    if isinstance(value, dict):
        return {without_half_pairs(key): without_half_pairs(each) for key, each in value.items()}
    return value


def is_scalar(value: Any) -> bool:
    """Tell whether a value is a number, a truth value or a date."""
    kinds = bool | int | float | decimal.Decimal | datetime.date | datetime.time
    return isinstance(value, kinds) and not is_null(value)


def described(value: Any) -> str:
    """Say what a value is and how it begins, in the words of JSON."""
    kinds = {dict: "object", list: "list", tuple: "list", bytes: "bytes", str: "text", type(None): "null"}
    return f"{kinds.get(type(value), type(value).__name__)}: {value!r:.200}"


def structured(value: Any) -> Any:
    """Return the list or map that a text holds, as JSON or as Python writes it; any other value as it is.

    A cell of a CSV file has its lists so.
    """
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
        return value
    for read in (json.loads, ast.literal_eval):
        try:
            return read(value.strip())
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            continue
    return value


def _number(value: float | decimal.Decimal) -> str:
    if not math.isfinite(value):
        raise NotText(described(value))
    if abs(value) < _LARGEST_WRITTEN_OUT and value == int(value):
        return str(int(value))
    return repr(value) if isinstance(value, float) else format(value, "f")


def _decoded(value: bytes) -> str:
    for encoding in ("utf-8", "gb18030"):
        try:
            return value.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise NotText(described(value))


def _of_list(values: Sequence[Any], lists: str) -> str | None:
    texts = []
    for value in values:
        text = text_of(value, lists)
        if text is not None and text.strip():
            texts.append(text)
            if lists == "first":
                break
    return "\n".join(texts) if texts else None
