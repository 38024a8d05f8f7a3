"""The value of each configuration with its one interval: what sentence, tables and plots all show.

A configuration of one run has the interval of that run's eval.json: percentiles over the test items. A configuration of
several seeds has the mean over them, and an interval over items and seeds. That is made as the intervals of differences
are (`paired_differences`), of the difference to nothing: a studentised bootstrap over the items, whose squared standard
error grows by what the seeds add, and whose critical value is carried over to Student's t. docs/statistics.md has how
often such intervals cover.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from medscale.compare.paired_differences import intervals, paired_differences
from medscale.compare.resampling import Resampled

DIGITS = 6
ITEMS, ITEMS_AND_SEEDS = "items", "items and seeds"
OVERLAPS = ("rouge", "bleu")  # whose values lie between 0 and 100
ABOUT = ("configuration", "kind", "method", "train_size", "seeds", "runs", "interval")


def columns_of(metrics: Iterable[str]) -> tuple[str, ...]:
    """Return the columns of configurations.csv."""
    return (*ABOUT, *(f"{metric}{suffix}" for metric in metrics for suffix in ("", "_lo", "_hi")))


def configuration_table(resampled: Resampled, evaluations: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return configurations.csv.

    Parameters
    ----------
    resampled : Resampled
    evaluations : iterable of dict
        Contents of the eval.json files of all runs.

    Returns
    -------
    pandas.DataFrame
        One row a configuration: its name, which is that of its first run; tuned, control, base or floor; method and
        size; the number of its seeds and their runs, with spaces between; what its intervals are over, ``items`` or
        ``items and seeds``; and each metric in its unit with the ends of the 95 % interval. What was not measured is
        missing.
    """
    by_run = {evaluation["run"]: evaluation for evaluation in evaluations}
    metrics = list(resampled.points)
    found = {metric: own_intervals(resampled, metric, by_run) for metric in metrics}
    rows = []
    for place, each in enumerate(resampled.configurations):
        over = ITEMS_AND_SEEDS if len(each.runs) > 1 else ITEMS
        about = (each.name, each.kind, each.method, each.size, len(each.runs), " ".join(each.runs), over)
        rows.append([*about, *(value for metric in metrics for value in found[metric][place])])
    table = pd.DataFrame(rows, columns=list(columns_of(metrics)))
    types = dict.fromkeys(table.columns, "float64") | dict.fromkeys(("train_size", "seeds"), "Int64")
    return table.astype(types | dict.fromkeys(("configuration", "kind", "method", "runs", "interval"), "str"))


def several_seeds(configurations: pd.DataFrame) -> pd.DataFrame:
    """Return the configurations of more than one seed."""
    return configurations[configurations["seeds"] > 1]


def own_intervals(
    resampled: Resampled, metric: str, by_run: Mapping[str, Mapping[str, Any]], alpha: float = 0.05
) -> list[tuple[float, float, float]]:
    """Return value, lo and hi of each configuration, rounded as eval.json is; NaN where not measured.

    Parameters
    ----------
    resampled : Resampled
    metric : str
    by_run : mapping of run to content of its eval.json
        Where a configuration of one run has the interval that is asked for, it is taken from here; at another level
        than 95 % it is that of the draws.
    alpha : float
        Error rate of an interval.
    """
    measured = resampled.measured(metric)
    several = [column for column in measured if len(resampled.configurations[column].runs) > 1]
    over_seeds = dict(zip(several, intervals_over_seeds(resampled, metric, several, alpha), strict=True))
    found = [(np.nan,) * 3] * len(resampled.configurations)
    for column in measured:
        value = float(resampled.points[metric][column])
        if column in over_seeds:
            low, high = map(_rounded, over_seeds[column])
        else:
            low, high = _of_one_run(resampled, metric, column, by_run, alpha)
        found[column] = (_rounded(value), low, high)
    return found


def intervals_over_seeds(
    resampled: Resampled, metric: str, columns: Sequence[int], alpha: float
) -> list[tuple[float, float]]:
    """Return the interval over items and seeds of the value of each of ``columns``; NaN where nothing bounds it.

    No end lies where the metric has no values: below 0, or above 100 points of overlap.
    """
    if not columns:
        return []
    differences = paired_differences(resampled.with_nothing(), {metric: [(column, -1) for column in columns]})[metric]
    least, most = (0.0, 100.0) if metric.startswith(OVERLAPS) else (0.0 if metric == "nll" else -np.inf, np.inf)
    ends = (np.clip(found, least, most).tolist() for found in intervals(differences, alpha))
    return list(zip(*ends, strict=True))


def _of_one_run(
    resampled: Resampled, metric: str, column: int, by_run: Mapping[str, Mapping[str, Any]], alpha: float
) -> tuple[float, float]:
    name = resampled.configurations[column].name
    told = by_run[name]["metrics"].get(metric, {}).get("ci95") if alpha == 0.05 else None
    if told:
        return told[0], told[1]
    low, high = np.quantile(resampled.draws[metric][:, column], (alpha / 2, 1 - alpha / 2))
    return _rounded(float(low)), _rounded(float(high))


def _rounded(value: float) -> float:
    return round(value, DIGITS) + 0.0  # no negative zero
