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


def positive_number(text: str) -> int:
    """Read an integer of at least 1."""
    value = whole_number(text)
    if not value:
        raise argparse.ArgumentTypeError("must be at least 1")
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


def add_leak_search(parser: argparse.ArgumentParser, near: str, known: str, note: str = "") -> None:
    """Add the general rows to search besides, and the thresholds; ``near`` tells what is near by similarity, ``known``
    what is known by n-grams, ``note`` what else there is to know of n-grams."""
    parser.add_argument("--general", type=Path, help="general rows that runs are trained on besides (JSON lines)")
    add_similarity(parser, 0.6, near)
    parser.add_argument(
        "--ngram",
        type=positive_number,
        default=13,
        help=f"characters of the n-grams of containment{note} (default: %(default)s)",
    )
    parser.add_argument(
        "--containment-threshold",
        type=similarity,
        default=0.8,
        help=f"share of {known} (default: %(default)s)",
    )


def add_tuned_model(parser: argparse.ArgumentParser) -> None:
    """Add what names a model whose answers are wanted: a run's, with its adapter and record, or the base model."""
    parser.add_argument("--run", required=True, help="name of the run, or base")
    parser.add_argument("--method", required=True, choices=["base", "lora", "qlora"], help="how the model was tuned")
    parser.add_argument("--fingerprint", required=True, help="digest of the settings and of the code")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of torch (default: %(default)s)")
    add_source(parser, "model", "base model")
    parser.add_argument("--adapter", type=Path, help="folder of the adapter; left out for the base model")
    parser.add_argument("--training", help="training.json of the run; left out for the base model")
