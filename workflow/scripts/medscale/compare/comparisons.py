"""The pairs of configurations that answer the study's questions, compared item by item.

| kind | question | a | b |
|---|---|---|---|
| method | LoRA or QLoRA, at equal size? | qlora_20k | lora_20k |
| size | is more data better? | the larger | the next smaller of the same method |
| base | is fine-tuning better than none? | each fine-tuned configuration | base |
| floor | is it better than an answer without a model? | each fine-tuned configuration; base | the best floor |
| control | new data, or more steps? | a control arm | the configuration of equal steps; and the one of equal size |
| mix | what do general rows among the training rows do? | a run with such | the same method and size without |

The p-values of a metric are corrected together (Holm 1979): with probability 1 − α at least, none of the differences
called significant by that metric is between configurations that are equal. Metrics are not corrected for each other:
the study has one primary metric, and the rest describe. Intervals are those of a single comparison.

A true difference as large as the smallest detectable one (`detectable`) would be significant, uncorrected, with the
power that was asked for. One that is not significant says nothing about effects of up to this size.
"""

from collections.abc import Iterable, Mapping
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pandas as pd

from medscale.base.errors import UserError
from medscale.base.study import mix_of
from medscale.compare.accuracy_differences import AccuracyDifferences
from medscale.compare.detectable import detectable
from medscale.compare.holm import holm
from medscale.compare.paired_differences import Differences, intervals, p_values, paired_differences
from medscale.compare.resampling import LOWER_IS_BETTER, Configuration, Resampled

COLUMNS = (
    *("metric", "kind", "a", "b", "value_a", "value_b", "difference", "lo", "hi", "p", "p_holm", "significant"),
    *("smallest_detectable", "exceeds_smallest_detectable", "n_items", "seeds_a", "seeds_b"),
)
SAME_STEPS = 0.02  # a subset that is not a whole number of batches makes steps differ by a few
Pair = tuple[str, int, int]


def comparison_table(
    resampled: Resampled, evaluations: Iterable[Mapping[str, Any]], alpha: float = 0.05, power: float = 0.8
) -> pd.DataFrame:
    """Return comparisons.csv.

    Parameters
    ----------
    resampled : Resampled
    evaluations : iterable of dict
        Contents of eval.json files, for the steps of the control arms.
    alpha : float
        Two-sided error rate: of each interval, and of all of a metric's ``significant`` together.
    power : float
        Probability with which the smallest detectable effect is detected.

    Returns
    -------
    pandas.DataFrame
        The columns `COLUMNS`, one row a metric and pair. ``difference`` is value_a − value_b in the metric's unit:
        ROUGE and BLEU in points of 100, where more is better; NLL in nats per answer token, where less is better.

    Raises
    ------
    UserError
        If there are too few resamples for any difference to be significant after Holm's correction.
    """
    steps = {each["run"]: (each["training"] or {}).get("steps") for each in evaluations}
    pairs = {metric: compared_pairs(resampled, metric, steps) for metric in resampled.points}
    most = max(map(len, pairs.values()), default=0)
    if most > alpha * (resampled.resamples + 1):
        raise UserError(
            "R109",
            f"statistics.resamples = {resampled.resamples}: too few for {most} comparisons at statistics.alpha = "
            f"{alpha}, where none could be significant; take at least {int(most / alpha)}",
        )
    found = paired_differences(resampled, {metric: [pair[1:] for pair in each] for metric, each in pairs.items()})
    parts = [
        compared_rows(resampled, metric, pairs[metric], differences, alpha, power)
        for metric, differences in found.items()
    ]
    rows = [row for part in parts for row in part]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def among_tuned(comparisons: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that compare fine-tuned runs with each other; of a single run, those with the base model.

    What a test set can detect differs much between near relatives and a base model far away; the choice is among the
    former.
    """
    rows = comparisons[comparisons["kind"].isin(["method", "size"])]
    return comparisons[comparisons["kind"] == "base"] if rows.empty else rows


def compared_pairs(resampled: Resampled, metric: str, steps: Mapping[str, int | None]) -> list[Pair]:
    """Return (kind, a, b) for each pair that is compared by ``metric``, a and b columns of ``resampled``.

    Parameters
    ----------
    resampled : Resampled
    metric : str
    steps : dict of str to int
        Optimiser steps by run.
    """
    columns = {column: resampled.configurations[column] for column in resampled.measured(metric)}
    kinds = {kind: [column for column, each in columns.items() if each.kind == kind] for kind in _KINDS}
    methods = list(dict.fromkeys(columns[column].method for column in kinds["tuned"]))
    by_place = {(columns[column].method, columns[column].size): column for column in kinds["tuned"]}
    sizes = sorted({size for _, size in by_place})
    pairs: list[Pair] = []
    for size in sizes:
        here = [by_place[method, size] for method in methods if (method, size) in by_place]
        pairs += [("method", a, b) for b, a in combinations(here, 2)]
    for method in methods:
        pairs += [
            ("size", by_place[method, larger], by_place[method, smaller])
            for smaller, larger in pairwise(size for size in sizes if (method, size) in by_place)
        ]
    pairs += [("base", a, b) for b in kinds["base"] for a in kinds["tuned"]]
    pairs += [("floor", a, b) for b in _best(resampled, metric, kinds["floor"]) for a in kinds["tuned"] + kinds["base"]]
    for a in kinds["control"]:
        each = columns[a]
        if mix_of(each.name) is not None:
            pairs += [("mix", a, by_place[place]) for place in [(each.method, each.size)] if place in by_place]
        else:
            pairs += [("control", a, b) for b in _partners(each, {b: columns[b] for b in kinds["tuned"]}, steps)]
    return pairs


_KINDS = ("tuned", "control", "base", "floor")


def _best(resampled: Resampled, metric: str, columns: list[int]) -> list[int]:
    """Return the best of ``columns``, none for none.

    The best of several is flattered by its choice, so that a run has a harder time against it: the error is on the
    safe side.
    """
    better = min if metric in LOWER_IS_BETTER else max
    return [better(columns, key=lambda column: resampled.points[metric][column])] if columns else []


def _partners(control: Configuration, tuned: Mapping[int, Configuration], steps: Mapping[str, int | None]) -> list[int]:
    """Return what a control arm is compared with: equal steps on more data, and equal data with fewer steps."""
    same_method = {column: each for column, each in tuned.items() if each.method == control.method}
    own = steps.get(control.runs[0])
    equal_steps = [
        column
        for column, each in same_method.items()
        if own and steps.get(each.runs[0]) and abs(steps[each.runs[0]] / own - 1) <= SAME_STEPS
    ]
    return list(dict.fromkeys(equal_steps + [c for c, each in same_method.items() if each.size == control.size]))


def compared_rows(
    resampled: Resampled,
    metric: str,
    pairs: list[Pair],
    differences: Differences,
    alpha: float,
    power: float,
    tested: AccuracyDifferences | None = None,
) -> list[tuple]:
    """Return a row of `COLUMNS` a pair, their p-values corrected together.

    ``tested`` is what is found in place of the bootstrap's.
    """
    points, configurations = resampled.points[metric], resampled.configurations
    lo, hi, p, smallest = tested or _bootstrapped(differences, alpha, power)
    adjusted = holm(p)
    return [
        (
            *(metric, kind, configurations[a].name, configurations[b].name, points[a], points[b]),
            *(differences.value[i], lo[i], hi[i], p[i], adjusted[i], bool(adjusted[i] <= alpha)),
            *(smallest[i], bool(abs(differences.value[i]) > smallest[i]), differences.n_items),
            *(len(configurations[a].runs), len(configurations[b].runs)),
        )
        for i, (kind, a, b) in enumerate(pairs)
    ]


def _bootstrapped(
    differences: Differences, alpha: float, power: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return ends of intervals, p-values and smallest detectable differences."""
    lo, hi = intervals(differences, alpha)
    smallest = detectable(differences.value, lo, hi, differences.se, differences.freedom, power)
    return lo, hi, p_values(differences), smallest
