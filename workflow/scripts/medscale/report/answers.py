"""The data that the page itself draws from: the answers with their scores, and the loss curves."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from medscale.evaluate.eval_file import Scores
from medscale.report.inputs import Answers, Inputs
from medscale.report.names import run_names
from medscale.report.texts import metric
from medscale.report.training_log import TrainingLog, smoothed

POINTS = 400
"""Points of a loss curve at most; a panel has no more pixels."""


def answer_data(inputs: Inputs) -> dict[str, Any]:
    """Return the questions, references, answers and scores of all runs.

    Each text stands once in ``strings`` and is referred to by its number: the floors, and models that were trained
    little, say the same thing often.
    """
    answers, title = inputs.answers, run_names(inputs)
    strings: dict[str, int] = {}

    def numbers(texts: list[str]) -> list[int]:
        return [strings.setdefault(text, len(strings)) for text in texts]

    departments = answers.departments
    data = {
        "ids": answers.ids,
        "questions": numbers(answers.questions),
        "references": numbers(answers.references),
        "departments": departments and numbers([department or "" for department in departments]),
        "runs": [
            {
                "run": run,
                "title": title(run)._asdict(),
                "kind": kind_of(evaluation),
                "answers": numbers(answers.predictions[run]),
                "scores": item_scores(answers.scores[run]),
            }
            for run, evaluation in inputs.evaluations.items()
        ],
    }
    return data | {"metrics": _metrics(answers), "strings": list(strings)}


def kind_of(evaluation: dict[str, Any]) -> str:
    """Return which mark a run gets: its method, ``base`` or ``floor``."""
    return "floor" if str(evaluation["run"]).startswith("floor") else str(evaluation.get("method"))


def item_scores(scores: Scores) -> dict[str, list[float | None]]:
    """Return the score of each item by metric: the headline of each, and the NLL per answer token."""
    columns = {name: next(iter(entry["columns"].values())) for name, entry in scores.facts["metrics"].items()}
    values = {name: scores.columns[column] for name, column in columns.items()}
    with np.errstate(divide="ignore", invalid="ignore"):
        values = {"nll": scores.columns["nll_sum"] / scores.columns["n_answer_tokens"], **values}
    return {
        name: [round(float(item), metric(name).digits) if np.isfinite(item) else None for item in items]
        for name, items in values.items()
        if np.isfinite(items).any()
    }


def _metrics(answers: Answers) -> list[dict[str, Any]]:
    """Return how each metric that some run has is written, in the order of the runs' own tables."""
    names = list(dict.fromkeys(name for scores in answers.scores.values() for name in item_scores(scores)))
    names.sort(key=lambda name: name != "nll")
    return [
        {"key": name, "name": metric(name).name, "digits": metric(name).digits, "lower": metric(name).lower_is_better}
        for name in names
    ]


def loss_data(inputs: Inputs) -> list[dict[str, Any]]:
    """Return the panels of the loss curves, one a training size, each with its runs."""
    title = run_names(inputs)
    panels: dict[int, list[dict[str, Any]]] = {}
    for run, log in inputs.logs.items():
        evaluation = inputs.evaluations[run]
        curve = {"title": title(run)._asdict(), "kind": kind_of(evaluation), **_curve(log)}
        panels.setdefault(int(evaluation.get("train_size") or 0), []).append(curve)
    return [{"size": size, "curves": panels[size]} for size in sorted(panels)]


def _curve(log: TrainingLog) -> dict[str, Any]:
    """Return the loss as logged, thinned out by means, its moving average, and the validation loss."""
    steps, losses = log.measured("loss")
    validated, validation = log.measured("eval_loss")
    bins = np.arange(len(losses)) * min(POINTS, len(losses)) // max(1, len(losses))
    # The last step of a bin stands for it, with the average that had been reached there.
    last = np.flatnonzero(np.diff(bins, append=-1))
    means = [part.mean() for part in np.split(losses, last[:-1] + 1)] if len(losses) else []
    return {
        "steps": _rounded(steps[last], 0),
        "loss": _rounded(means, 4),
        "average": _rounded(smoothed(losses)[last], 4),
        "validation": list(zip(_rounded(validated, 0), _rounded(validation, 4), strict=True)),
    }


def _rounded(values: Iterable[float], digits: int) -> list[float]:
    return [int(value) if digits == 0 else round(float(value), digits) for value in values]
