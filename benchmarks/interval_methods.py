"""The intervals that were candidates for differences, all from the same resamples."""

import sys
from pathlib import Path

import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow" / "scripts"))

from medscale.compare.paired_differences import intervals, paired_differences
from medscale.compare.resampling import Resampled


def interval_methods(resampled: Resampled, metric: str, pairs: list[tuple[int, int]], alpha: float) -> dict[str, tuple]:
    """Return the ends of each method's intervals; ``medscale`` is the one in use."""
    differences = paired_differences(resampled, {metric: pairs})[metric]
    a, b = np.array(pairs).T
    draws = resampled.draws[metric][:, a] - resampled.draws[metric][:, b]
    ends = np.array([alpha / 2, 1 - alpha / 2])
    with np.errstate(invalid="ignore"):
        tails = np.quantile(differences.studentised, ends[::-1], axis=0, method="nearest")
        equal_tailed = differences.value - tails * differences.se
    return {
        "medscale": intervals(differences, alpha),
        "percentile": tuple(np.quantile(draws, ends, axis=0)),
        "bca": bca(resampled, metric, pairs, draws, ends),
        "equal_tailed_t": tuple(equal_tailed),
    }


def bca(resampled: Resampled, metric: str, pairs: list[tuple[int, int]], draws: np.ndarray, ends: np.ndarray) -> tuple:
    """Efron's bias-corrected and accelerated interval, the acceleration from the items' influence."""
    items, weights = resampled.items[metric], resampled.weights[metric]
    low, high = np.empty(len(pairs)), np.empty(len(pairs))
    for column, (a, b) in enumerate(pairs):
        difference = items[:, a] - items[:, b]
        value = difference.sum() / weights.sum()
        influence = difference - value * weights
        acceleration = (influence**3).sum() / (6 * (influence**2).sum() ** 1.5)
        below = np.clip((draws[:, column] < value).mean(), 1 / len(draws), 1 - 1 / len(draws))
        bias = stats.norm.ppf(below)
        z = bias + stats.norm.ppf(ends)
        low[column], high[column] = np.quantile(draws[:, column], stats.norm.cdf(bias + z / (1 - acceleration * z)))
    return low, high
