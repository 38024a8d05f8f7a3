"""What the values of the configuration look like on a command line."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from medscale.base.parallel import available_cores


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


def add_paths(parser: argparse.ArgumentParser, **helps: str) -> None:
    """Add required options that each name a file; ``output_clean`` becomes ``--output-clean``."""
    for name, said in helps.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path, required=True, help=said)


def add_threads(parser: argparse.ArgumentParser, what: str) -> None:
    """Add ``--threads`` for work whose result is the same with any number of processes; ``what`` says what they do."""
    parser.add_argument(
        "--threads",
        type=whole_number,
        default=min(2, available_cores()),
        help=f"{what}; the result is the same with any number (default: 2, or 1 on a single core)",
    )


def add_similarity(parser: argparse.ArgumentParser, default: float, said: str) -> None:
    """Add ``--similarity-threshold``, a Jaccard similarity of character 3-grams; ``said`` tells what it decides."""
    parser.add_argument(
        "--similarity-threshold",
        type=similarity,
        default=default,
        help=f"Jaccard similarity of character 3-grams from which {said} (default: %(default)s)",
    )


def add_source(parser: argparse.ArgumentParser, name: str, section: str) -> None:
    """Add the option ``--{name}`` for the manifest of what was fetched, and ``--content`` for what it must hold."""
    parser.add_argument(f"--{name}", type=Path, required=True, help=f"manifest.json of the {section}")
    parser.add_argument("--content", help=f"digest that the {section} must have; left out: any")
