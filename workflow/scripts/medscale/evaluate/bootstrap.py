"""Percentile bootstrap over test items (Efron 1979): intervals of means and of ratios of sums."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

BLOCK = 4_000_000
"""Draws made at once: it bounds the memory, to about 100 MB, whatever the number of items and resamples."""


def resampled_sums(columns: ArrayLike, resamples: int, seed: int) -> np.ndarray:
    """Sum each column over bootstrap resamples of the items.

    All columns see the same resamples, and so do calls with equal numbers of items and resamples and an equal seed:
    differences between two columns are paired.

    Parameters
    ----------
    columns : array of shape (items, k), or (items,) for one column
        Finite values, one row an item; at least one row.
    resamples : int
        How many times as many items as there are get drawn with replacement.
    seed : int
        Seed of numpy's PCG64.

    Returns
    -------
    array of shape (resamples, k)
    """
    columns = np.asarray(columns, dtype=np.float64)
    columns = columns.reshape(len(columns), -1)
    return np.concatenate([counts @ columns for counts in _resample_counts(len(columns), resamples, seed)])


def mean_interval(
    values: ArrayLike, resamples: int = 2000, seed: int = 0, level: float = 0.95
) -> tuple[float, float] | None:
    """Return the interval of the mean of ``values``.

    Parameters
    ----------
    values : array of shape (items,)
        Finite values.
    resamples, seed
        See `resampled_sums`.
    level : float
        Coverage, between 0 and 1.

    Returns
    -------
    tuple of float, or None
        The lower and the upper end; None for fewer than two items, which say nothing about spread.
    """
    values = np.asarray(values, dtype=np.float64)
    if len(values) < 2:
        return None
    return percentile_interval(resampled_sums(values, resamples, seed)[:, 0] / len(values), level)


def ratio_interval(
    numerators: ArrayLike, denominators: ArrayLike, resamples: int = 2000, seed: int = 0, level: float = 0.95
) -> tuple[float, float] | None:
    """Return the interval of Σ numerators / Σ denominators, items drawn whole.

    Used for the NLL per answer token (Σ NLL / Σ tokens) and for the length ratio. A resample whose denominators are all
    zero has no ratio and is left out.

    Parameters
    ----------
    numerators, denominators : array of shape (items,)
        Finite values; the denominators are not negative.
    resamples, seed, level
        See `mean_interval`.

    Returns
    -------
    tuple of float, or None
        None for fewer than two items, and where no resample has a ratio.
    """
    columns = np.column_stack([numerators, denominators]).astype(np.float64)
    if len(columns) < 2:
        return None
    tops, bottoms = resampled_sums(columns, resamples, seed).T
    defined = bottoms > 0
    if not defined.any():
        return None
    return percentile_interval(tops[defined] / bottoms[defined], level)


def percentile_interval(statistics: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Return the two quantiles between which the middle ``level`` of the resampled statistics lies."""
    low, high = np.quantile(statistics, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _resample_counts(items: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield blocks of shape (rows, items): how often each resample drew each item."""
    generator = np.random.Generator(np.random.PCG64(seed))
    rows = max(1, BLOCK // items)
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        draws = generator.integers(0, items, size=(size, items))
        draws += np.arange(size)[:, None] * items
        yield np.bincount(draws.ravel(), minlength=size * items).reshape(size, items).astype(np.float64)
