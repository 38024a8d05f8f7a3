"""Differences between configurations on the same items: standard errors, intervals and p-values.

The method is the studentised bootstrap (bootstrap-t, Efron & Tibshirani 1993, chapter 12.5) with a symmetric critical
value. Items are drawn with replacement; each resample's deviation from the observed difference is divided by the
resample's own standard error; the interval is the observed difference ± its standard error × the quantile of the
absolute values. The p-value is the share of resamples with a larger one than the observed, so p ≤ α exactly where the
interval excludes 0. docs/statistics.md has the simulation by which it was chosen over percentile and BCa intervals.

Several seeds. The squared standard error is that over items plus what seeds add (`resampling.SeedSpread.variance`). The
degrees of freedom ν of such a sum are Satterthwaite's; the bootstrap's critical value, which is on the scale of the
normal distribution, is carried over to Student's t with ν at equal tail probability. With one seed ν is infinite and
nothing changes. Where a few items hold most of the weight, as one long text among short ones does, the critical value
is so large that its tail probability is none that draws could tell, and with few degrees of freedom nothing bounds the
difference: `farthest_carried`.

Fewer than six items on which two configurations differ cannot carry a test: the sign test's smallest two-sided p is
2^(1−k), 0.06 for k = 5, whatever the number of equal items. p is then 1, and the interval is that of the share of items
that differ (Clopper & Pearson 1934) times the largest difference seen.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from medscale.compare.resampling import Resampled
from medscale.evaluate.bootstrap import resampled_sums

FEWEST_DIFFERING = 6


class Differences(NamedTuple):
    """Differences a − b of one metric, an entry a pair.

    Attributes
    ----------
    value, se : array of shape (pairs,)
        The difference, and its standard error over items and seeds.
    item_se : array of shape (pairs,)
        Its standard error over items alone.
    freedom : array of shape (pairs,)
        Satterthwaite's degrees of freedom; infinite for single seeds.
    studentised : array of shape (resamples, pairs)
        Deviation of each resample of items in units of its own standard error.
    differing : array of shape (pairs,)
        Items on which the two differ.
    largest : array of shape (pairs,)
        Largest absolute difference of one item, on the metric's scale.
    n_items : int
    """

    value: np.ndarray
    se: np.ndarray
    item_se: np.ndarray
    freedom: np.ndarray
    studentised: np.ndarray
    differing: np.ndarray
    largest: np.ndarray
    n_items: int


def paired_differences(resampled: Resampled, pairs: Mapping[str, Sequence[tuple[int, int]]]) -> dict[str, Differences]:
    """Return the differences of pairs of configurations.

    Parameters
    ----------
    resampled : Resampled
    pairs : dict of str to sequence of (a, b)
        By metric, columns of ``resampled``; the metric must be measured in both.

    Returns
    -------
    dict of str to Differences
        Of the metrics that have pairs.
    """
    pairs = {metric: list(each) for metric, each in pairs.items() if each}
    centred = {metric: _centred(resampled, metric, each) for metric, each in pairs.items()}
    columns = {metric: _products(centred[metric], resampled.weights[metric]) for metric in pairs}
    widths = [part.shape[1] for part in columns.values()]
    if not widths:
        return {}
    sums = resampled_sums(np.hstack(list(columns.values())), resampled.resamples, resampled.seed)
    parts = np.split(sums, np.cumsum(widths)[:-1], axis=1)
    return {
        metric: _differences(resampled, metric, each, centred[metric], part)
        for (metric, each), part in zip(pairs.items(), parts, strict=True)
    }


def item_standard_errors(resampled: Resampled, metric: str, pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    """Return the standard error over items of each difference, without resampling."""
    return _standard_error(_centred(resampled, metric, pairs), resampled.weights[metric])


def errors_with_items(
    resampled: Resampled, metric: str, pairs: Sequence[tuple[int, int]], items: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what differences would have on so many items of the same kind.

    Returns
    -------
    tuple of array of shape (pairs,)
        Standard error over items, standard error over items and seeds, and degrees of freedom. What seeds add to the
        variance stays as it is, and the items' noise, in the seeds' spread too, shrinks with their number.
    """
    seeds, (a, b), shrunk = resampled.seeds[metric], np.array(pairs).T, resampled.n_items / items
    item_se = item_standard_errors(resampled, metric, pairs) * np.sqrt(shrunk)
    se = np.sqrt(item_se**2 + seeds.variance[a] + seeds.variance[b])
    between = seeds.variance + (seeds.between - seeds.variance) * shrunk
    return item_se, se, _freedom(resampled, between, a, b, se)


def intervals(differences: Differences, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and upper ends of the 1 − ``alpha`` intervals; NaN where nothing bounds them."""
    half = half_widths(differences, critical_values(np.abs(differences.studentised), alpha), alpha)
    return differences.value - half, differences.value + half


def critical_values(deviations: np.ndarray, alpha: float) -> np.ndarray:
    """Return what a share ``alpha`` of the absolute deviations exceeds, shape (resamples, …) to (…).

    It is the order statistic that belongs to (count + 1)/(resamples + 1); infinite where there are too few resamples.
    """
    resamples = len(deviations)
    rank = math.ceil((1 - alpha) * (resamples + 1) - 1e-9)
    if rank > resamples:
        return np.full(deviations.shape[1:], np.inf)
    return np.partition(deviations, rank - 1, axis=0)[rank - 1]


def half_widths(differences: Differences, critical: np.ndarray, alpha: float) -> np.ndarray:
    """Return half the width of intervals that have a given critical value of the bootstrap.

    Parameters
    ----------
    differences : Differences
    critical : array of shape (pairs,)
        Quantile of ``studentised``, or of its maximum over pairs for simultaneous intervals.
    alpha : float
        Error rate of a single pair with fewer than six differing items.
    """
    several = np.isfinite(differences.freedom)
    with np.errstate(invalid="ignore"):
        carried = np.where(several, stats.t.isf(stats.norm.sf(critical), differences.freedom), critical)
        half = np.where(critical > farthest_carried(differences.freedom), np.inf, carried) * differences.se
    half = np.where(differences.se == 0, 0.0, half)
    few = too_few(differences)
    share = stats.beta.isf(alpha / 2, differences.differing[few] + 1, differences.n_items - differences.differing[few])
    half[few] = share * differences.largest[few]
    return np.where(np.isfinite(half), half, np.nan)


def farthest_carried(freedom: np.ndarray) -> np.ndarray:
    """Return the largest critical value of the normal distribution that is carried over to Student's t.

    It is 4 + ν/8, which becomes 12 to 60 standard errors for ν from 3 to 120, and at most 30, for beyond 38 a tail is 0
    in double precision. Of one seed, with ν infinite, none is carried over, and each is taken as it is. A family of
    thousands of comparisons of ordinary items has one below 5.
    """
    return np.where(np.isfinite(freedom), np.minimum(4 + freedom / 8, 30.0), np.inf)


def p_values(differences: Differences) -> np.ndarray:
    """Return the two-sided p-values of no difference, (count + 1)/(resamples + 1) and so never 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = np.abs(differences.value) / differences.se
    # 0/0: equal on every item, which is no evidence of a difference; NaN comes from a single item only
    observed[(differences.value == 0) & (differences.se == 0)] = 0.0
    # as no critical value beyond it is carried over, none is asked for; of one seed none is carried over at all
    carried = np.where(
        np.isfinite(differences.freedom), stats.norm.isf(stats.t.sf(observed, differences.freedom)), observed
    )
    normal = np.minimum(carried, farthest_carried(differences.freedom))
    count = (np.abs(differences.studentised) >= normal - 1e-9).sum(axis=0)
    p = (count + 1) / (len(differences.studentised) + 1)
    p[too_few(differences)] = 1.0
    return np.where(np.isnan(observed), np.nan, p)


def too_few(differences: Differences) -> np.ndarray:
    """Return for each pair whether it differs on some items, but on too few of them for the bootstrap."""
    return (differences.differing > 0) & (differences.differing < FEWEST_DIFFERING)


def _centred(resampled: Resampled, metric: str, pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    """Return each item's difference less what the observed difference leads to expect: shape (items, pairs)."""
    items, weights = resampled.items[metric], resampled.weights[metric]
    a, b = np.array(pairs).T
    difference = items[:, a] - items[:, b]
    centred = difference - np.outer(weights, difference.sum(axis=0) / weights.sum())
    # differences that are equal on all items leave rounding errors, which must not be taken for a spread
    return np.where(np.abs(centred) <= 1e-12 * np.abs(difference).max(axis=0), 0.0, centred)


def _standard_error(centred: np.ndarray, weights: np.ndarray) -> np.ndarray:
    items = len(centred)
    if items < 2:
        return np.full(centred.shape[1], np.nan)
    return np.sqrt((centred**2).sum(axis=0) * items / (items - 1)) / weights.sum()


def _products(centred: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the columns whose resampled sums give each resample's difference and its standard error."""
    return np.column_stack([centred, centred**2, centred * weights[:, None], weights, weights**2])


def _differences(
    resampled: Resampled, metric: str, pairs: Sequence[tuple[int, int]], centred: np.ndarray, sums: np.ndarray
) -> Differences:
    items, weights = resampled.items[metric], resampled.weights[metric]
    a, b = np.array(pairs).T
    raw = items[:, a] - items[:, b]
    item_se = _standard_error(centred, weights)
    seeds = resampled.seeds[metric]
    se = np.sqrt(item_se**2 + seeds.variance[a] + seeds.variance[b])
    return Differences(
        value=raw.sum(axis=0) / weights.sum(),
        se=se,
        item_se=item_se,
        freedom=_freedom(resampled, seeds.between, a, b, se),
        studentised=_studentised(sums, len(items)),
        differing=(raw != 0).sum(axis=0),
        largest=np.abs(raw).max(axis=0) * len(items) / weights.sum(),
        n_items=len(items),
    )


def _studentised(sums: np.ndarray, items: int) -> np.ndarray:
    """Return the deviations in units of their standard errors; infinite where a resample has no spread."""
    pairs = (sums.shape[1] - 2) // 3
    first, second, cross = sums[:, :pairs], sums[:, pairs : 2 * pairs], sums[:, 2 * pairs : 3 * pairs]
    weight, weight_squared = sums[:, -2:-1], sums[:, -1:]
    deviation = first / weight
    squares = second - 2 * deviation * cross + deviation**2 * weight_squared
    # a sum of squares that is 0 but for rounding: the resample drew one value only
    squares = np.where(squares <= 1e-12 * second, 0.0, squares)
    with np.errstate(divide="ignore", invalid="ignore"):
        studentised = deviation * weight / np.sqrt(squares * items / (items - 1))
    return np.where(deviation == 0, 0.0, studentised)


def _freedom(resampled: Resampled, between: np.ndarray, a: np.ndarray, b: np.ndarray, se: np.ndarray) -> np.ndarray:
    """Return Satterthwaite's degrees of freedom; the items' own are many, and the bootstrap accounts for them."""
    counts = np.array([len(configuration.runs) for configuration in resampled.configurations])
    uncertainty = between**2 / np.maximum(1, counts - 1)
    total = uncertainty[a] + uncertainty[b]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(total > 0, np.maximum(1.0, se**4 / total), np.inf)
