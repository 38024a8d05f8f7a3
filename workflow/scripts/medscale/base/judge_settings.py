"""Which configurations are compared by judges, what they are shown, and where their verdicts lie."""

import os
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

from medscale.base.errors import UserError
from medscale.base.files import nameable, sha256_file
from medscale.base.study import floors_of, runs_of

BASE = "base"
REFERENCE = "reference"
"""The reference answers, which may be compared like a run."""
VERDICTS = (".jsonl", ".jsonl.txt")
"""How files of verdicts end; phones send text, and editors on Windows save it."""


def named_pairs(config: dict) -> list[tuple[str, str]] | None:
    """Return the pairs of ``judging.pairs``; None where it names none, and the recommendation decides."""
    asked = config["judging"]["pairs"]
    return None if asked is None else [(one, other) for one, other in asked]


def largest_runs(config: dict) -> dict[str, str]:
    """Return the run of the largest size by method, with the first seed."""
    largest = max(config["study"]["sizes"])
    found = {run.method: run.name for run in reversed(runs_of(config)) if run.arm == "main" and run.size == largest}
    return {method: found[method] for method in config["study"]["methods"]}


def chosen_pairs(recommendation: Mapping[str, Any], largest: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the pairs that are compared where ``judging.pairs`` names none.

    The base model against the recommended run, or where none is recommended against the fine-tuned run nearest to the
    best; that run against the largest of its method, where it is another; the methods at the largest size. A chain of
    comparisons then connects all of them.

    Parameters
    ----------
    recommendation : content of recommendation.json.
    largest : from `largest_runs`.
    """
    tuned = {each["run"]: each for each in recommendation["candidates"] if each["run"] != BASE}
    run = recommendation["run"]
    if run not in tuned:
        run = min(tuned, key=lambda name: abs(tuned[name]["difference_to_best"]))
    pairs = [(BASE, run)]
    if (of_method := largest[tuned[run]["method"]]) != run:
        pairs.append((run, of_method))
    return pairs + list(combinations(largest.values(), 2))


def judged_rows(config: dict) -> list[str]:
    """Return the rows of the study whose answers are needed, each once; the reference answers are in every row's.

    Where no pairs are named these are all that may be recommended: the base model, and each method and size.
    """
    pairs = named_pairs(config)
    if pairs is None:
        first = {(run.method, run.size): run.name for run in reversed(runs_of(config)) if run.arm == "main"}
        return [BASE, *reversed(first.values())]
    return list(dict.fromkeys(name for pair in pairs for name in pair if name != REFERENCE))


def drawing(config: dict) -> dict[str, Any]:
    """Return what decides which pairs are shown, and how; ``largest`` only where the recommendation names them."""
    told = {key: config["judging"][key] for key in ("items", "repeated", "seed")}
    pairs = named_pairs(config)
    return told | {"pairs": pairs, "largest": largest_runs(config) if pairs is None else None}


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
    folder = Path(config["paths"]["results"]) / "judging"
    first = "save what judge.html gives there"
    if not (folder / "key.json").is_file():
        first = f"call snakemake judge_export first, then save in this folder what {folder / 'judge.html'} gives"
    raise UserError(
        "J103",
        f"{verdict_folder(config)}: holds no file of verdicts (*.jsonl); {first}, or name the folder in judging.path",
    )


def judged_names(config: dict) -> list[str]:
    """Return what ``judging.pairs`` may name."""
    return [*(run.name for run in runs_of(config)), "base", *floors_of(config), REFERENCE]


def digest_where_there(path: str) -> str:
    """Return the SHA-256 of a file that nobody is asked to make, or "none" where it is not there."""
    return sha256_file(path) if Path(path).is_file() else "none"
