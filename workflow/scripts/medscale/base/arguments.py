"""What the values of the configuration look like on a command line."""

import argparse
import json
from collections.abc import Callable
from typing import Any


def optional(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a converter that also takes ``null`` (or ``None``, as Snakemake writes it)."""

    def convert(text: str) -> Any:
        return None if text.lower() in {"null", "none"} else kind(text)

    return convert


def boolean(text: str) -> bool:
    """Read true or false."""
    if text.lower() not in {"true", "false"}:
        raise argparse.ArgumentTypeError(f"must be true or false, not {text}")
    return text.lower() == "true"


def similarity(text: str) -> float:
    """Read a Jaccard similarity above 0 and at most 1."""
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"must be above 0 and at most 1, not {text}")
    return value


def whole_number(text: str) -> int:
    """Read an integer that is not negative."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"must not be negative: {text}")
    return value


def sizes(text: str) -> list[int]:
    """Read a JSON list of one or more positive integers."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"must be a JSON list of sizes, not {text}") from error
    if not isinstance(value, list) or not value or not all(type(size) is int and size > 0 for size in value):
        raise argparse.ArgumentTypeError(f"must be a JSON list of positive whole numbers, not {text}")
    return value
