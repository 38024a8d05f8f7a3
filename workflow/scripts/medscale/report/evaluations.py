"""The runs' eval.json files: which run lies in which folder, and the values in them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from medscale.base.errors import UserError
from medscale.base.files import read_json

METHODS = ("lora", "qlora")  # the order of the study; any other method follows, by name
BASE = "base"
FLOOR = "floor_"


def read_evaluations(paths: Iterable[str | Path]) -> dict[Path, dict[str, Any]]:
    """Return the evaluations by the folder they lie in.

    Args:
        paths: one eval.json a run, each in its run's own folder.

    Raises:
        UserError: two files for one run, or a file without a run's name.
    """
    evaluations: dict[Path, dict[str, Any]] = {}
    seen: dict[str, str | Path] = {}
    for path in paths:
        evaluation = read_json(path)
        run = value_at(evaluation, "run", path)
        if run in seen:
            raise UserError("R202", f"{path}: run {run} was given already by {seen[run]}; give each run once")
        folder = Path(path).resolve().parent
        if folder in evaluations:
            raise UserError("R203", f"{path}: another evaluation lies in the same folder; each run needs its own")
        seen[run], evaluations[folder] = path, evaluation
    return evaluations


def match_logs(evaluations: dict[Path, dict[str, Any]], paths: Iterable[str | Path]) -> dict[str, Path]:
    """Return each run's training log: it lies in the same folder as the run's evaluation.

    Raises:
        UserError: a log without an evaluation beside it, or two logs beside one evaluation.
    """
    logs: dict[str, Path] = {}
    for path in paths:
        evaluation = evaluations.get(Path(path).resolve().parent)
        if evaluation is None:
            raise UserError(
                "R204", f"{path}: no evaluation was given from this folder, so its run is not known; give both"
            )
        if evaluation["run"] in logs:
            raise UserError(
                "R202", f"{path}: run {evaluation['run']} has another log, {logs[evaluation['run']]}; give one"
            )
        logs[evaluation["run"]] = Path(path)
    return logs


def is_tuned(run: str) -> bool:
    """Return whether a run is a fine-tuning, neither the base model nor a floor without a model."""
    return run != BASE and not run.startswith(FLOOR)


def duration(seconds: float) -> str:
    """Return a time as people say it.

    >>> duration(4.21), duration(312), duration(5400)
    ('4.2 s', '5 min 12 s', '1 h 30 min')
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min"


def value_at(evaluation: dict[str, Any], key: str, path: str | Path = "eval.json") -> Any:
    """Return the value at a dotted key; null anywhere on the way is null.

    Raises:
        UserError: the key is not there at all, so the file was not written by this workflow.
    """
    value: Any = evaluation
    for name in key.split("."):
        if value is None:
            return None
        if not isinstance(value, dict) or name not in value:
            run = evaluation.get("run") if isinstance(evaluation, dict) else None
            where = f"{path} of {run}" if run else str(path)
            raise UserError("B104", f"{where}: has no {key}; delete the file and let the workflow make it again")
        value = value[name]
    return value
