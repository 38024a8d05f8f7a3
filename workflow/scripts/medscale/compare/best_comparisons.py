"""How far each configuration may be from the best one, when the best is not known but estimated (Hsu 1981, 1984).

The best by the scores is often not the best in truth: it was chosen by noise too, and a plain interval of the
difference to it forgets that. Hsu's multiple comparisons with the best give intervals for θ_i − max θ_j, the distance
to the *true* best, that hold together for all candidates with probability 1 − α, whichever is the best.

For each candidate j as the best, the differences θ_i − θ_j of all others have simultaneous intervals
θ̂_i − θ̂_j ± d_j · se_ij, where d_j is the quantile of the largest absolute studentised deviation over i, on the same
resamples for all (so candidates that move together cost less than Bonferroni's correction). With probability 1 − α
those of the true best hold. It is unknown, so the lower end for candidate i is the smallest over all j that may be the
best, and the upper end the largest; j may be the best if none of its intervals shows another to be better
(Edwards & Hsu 1983).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from medscale.compare.paired_differences import critical_values, half_widths, paired_differences, too_few
from medscale.compare.resampling import LOWER_IS_BETTER, Resampled


class BestComparisons(NamedTuple):
    """Distances to the best, an entry a candidate, as quality: never positive, whichever way the metric counts.

    Attributes
    ----------
    difference : array of shape (candidates,)
        To the candidate with the best value.
    lo, hi : array of shape (candidates,)
        Simultaneous interval of the distance to the true best; NaN where nothing bounds it. A candidate whose interval
        ends at 0 is not shown to be worse than any other.
    best : int
        The candidate with the best value.
    """

    difference: np.ndarray
    lo: np.ndarray
    hi: np.ndarray
    best: int


def compare_with_best(resampled: Resampled, metric: str, candidates: Sequence[int], alpha: float) -> BestComparisons:
    """Compare candidates with the best of them.

    Parameters
    ----------
    resampled : Resampled
    metric : str
    candidates : sequence of int
        Columns of ``resampled`` in which the metric was measured; at least one.
    alpha : float
        Probability, at most, that any of the intervals misses.
    """
    quality = (-1 if metric in LOWER_IS_BETTER else 1) * resampled.points[metric][list(candidates)]
    best = int(np.argmax(quality))
    gap = quality[:, None] - quality[None, :]  # (i, j): how much better i is than j
    half = _half_widths(resampled, metric, candidates, alpha)
    unknown = np.isnan(half)
    # an unbounded interval rules nothing out
    reach = np.where(unknown, np.inf, half)
    may_be_best = (gap + reach.T >= 0).all(axis=1)
    others = may_be_best[None, :] & ~np.eye(len(quality), dtype=bool)
    lo = np.minimum(0.0, np.where(others, gap - reach, np.inf).min(axis=1))
    hi = np.where(may_be_best, 0.0, np.minimum(0.0, np.where(others, gap + reach, -np.inf).max(axis=1)))
    return BestComparisons(gap[:, best], np.where(np.isfinite(lo), lo, np.nan), hi, best)


def _half_widths(resampled: Resampled, metric: str, candidates: Sequence[int], alpha: float) -> np.ndarray:
    """Return d_j · se_ij, shape (candidates i, candidates j), 0 where i is j."""
    count = len(candidates)
    half = np.zeros((count, count))
    first, second = np.triu_indices(count, k=1)
    if not len(first):
        return half
    pairs = [(candidates[i], candidates[j]) for i, j in zip(first, second, strict=True)]
    differences = paired_differences(resampled, {metric: pairs})[metric]
    # pairs with too few differing items have intervals of another kind, and may not widen those of the rest
    deviations = np.where(too_few(differences), 0.0, np.abs(differences.studentised))
    for control in range(count):
        with_control = (first == control) | (second == control)
        critical = np.full(len(pairs), critical_values(deviations[:, with_control].max(axis=1), alpha))
        widths = half_widths(differences, critical, alpha / (count - 1))[with_control]
        other = np.where(first == control, second, first)[with_control]
        half[other, control] = widths
    return half
