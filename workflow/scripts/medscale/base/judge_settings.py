"""Which configurations are compared by judges, what they are shown, and where their verdicts lie."""

import os
from pathlib import Path
from typing import Any

from medscale.base.errors import UserError
from medscale.base.files import nameable, sha256_file
from medscale.base.study import floors_of, runs_of

REFERENCE = "reference"
"""The reference answers, which may be compared like a run."""
VERDICTS = (".jsonl", ".jsonl.txt")
"""How files of verdicts end; phones send text, and editors on Windows save it."""


def compared_pairs(config: dict) -> list[tuple[str, str]]:
    """Return the pairs of configurations whose answers are compared, as ``judging.pairs`` names them.

    Where it names none: the base model against the largest size of each method, and the smallest size of each against
    its largest, each with the first seed.
    """
    asked = config["judging"]["pairs"]
    if asked is not None:
        return [(one, other) for one, other in asked]
    runs = {(run.method, run.size): run.name for run in reversed(runs_of(config)) if run.arm == "main"}
    smallest, largest = min(config["study"]["sizes"]), max(config["study"]["sizes"])
    methods = config["study"]["methods"]
    pairs = [("base", runs[method, largest]) for method in methods]
    if smallest < largest:
        pairs += [(runs[method, smallest], runs[method, largest]) for method in methods]
    return pairs


def judged_rows(config: dict) -> list[str]:
    """Return the rows of the study whose answers are needed, each once; the reference answers are in every row's."""
    named = dict.fromkeys(name for pair in compared_pairs(config) for name in pair if name != REFERENCE)
    return list(named)


def drawing(config: dict) -> dict[str, Any]:
    """Return what decides which pairs are shown, and how."""
    return {key: config["judging"][key] for key in ("items", "repeated", "seed")} | {"pairs": compared_pairs(config)}


def judging_statistics(config: dict) -> dict[str, Any]:
    """Return how verdicts are counted: draws of the intervals, their seed, and 1 − their level."""
    return {key: config["statistics"][key] for key in ("resamples", "seed", "alpha")}


def verdict_folder(config: dict) -> Path:
    """Return the folder in which files of verdicts are looked for."""
    path = config["judging"]["path"]
    return Path(os.path.expanduser(path)) if path else Path(config["paths"]["results"]) / "judging" / "verdicts"


def verdict_files(config: dict) -> list[str]:
    """Return the files of verdicts that are there now, by name."""
    folder = verdict_folder(config)
    return sorted(str(path) for suffix in VERDICTS for path in folder.glob(f"*{suffix}") if path.is_file())


def judge_of(path: Path) -> str:
    """Return the judge whom a file of verdicts is named after."""
    return path.name.removesuffix(".txt").removesuffix(".jsonl")


def required_verdicts(config: dict) -> list[str]:
    """Return the files of verdicts; `UserError` before anything is run where there is none, or one of a name that
    Snakemake takes for a pattern."""
    found = verdict_files(config)
    for path in found:
        if not nameable(path):
            raise UserError("J106", f"{path}: braces or control characters in a file's name; rename it")
    if found:
        return found
    raise UserError(
        "J103",
        f"{verdict_folder(config)}: holds no file of verdicts (*.jsonl); save what judge.html gives there, or name the "
        "folder in judging.path",
    )


def judged_names(config: dict) -> list[str]:
    """Return what ``judging.pairs`` may name."""
    return [*(run.name for run in runs_of(config)), "base", *floors_of(config), REFERENCE]


def digest_where_there(path: str) -> str:
    """Return the SHA-256 of a file that nobody is asked to make, or "none" where it is not there."""
    return sha256_file(path) if Path(path).is_file() else "none"
