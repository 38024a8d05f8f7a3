"""How large a true difference must be to be found: one definition for tables, plots, warnings and sizes of test sets.

A difference is significant, uncorrected, where its interval excludes 0: where it is farther from 0 than the interval
reaches. An estimate is beyond that with probability `power` if the truth lies another t(power, ν) standard errors
farther, so the smallest detectable difference is

    reach of the interval + t(power, ν) · se,

with the critical value, the standard error and the degrees of freedom of the test itself: (t(1 − α/2, ν) + t(power, ν))
· se where the bootstrap's critical value is the normal one. It is never below half the width of the interval, and there
is none where there is no interval.

Accuracies ask two things more (`accuracy_differences`), one of which is a floor, for answers are counted: not even
differences that all speak for one side are found if they are fewer than `fewest_one_sided`. docs/statistics.md has the
simulations.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy import stats


def detectable(value: Any, low: Any, high: Any, se: Any, freedom: Any, power: float) -> Any:
    """Return the smallest true differences that are found with probability ``power``; NaN where no interval is.

    Parameters
    ----------
    value, low, high : array of shape (pairs,)
        Observed differences, and the ends of their uncorrected intervals.
    se, freedom : array of shape (pairs,)
        Standard errors, and degrees of freedom; infinite for single seeds.
    power : float
        At least one half.
    """
    return np.maximum(high - value, value - low) + stats.t.ppf(power, freedom) * se


def detectable_of_error(se: Any, freedom: Any, alpha: float, power: float) -> Any:
    """Return the same for a test whose critical value is Student's, as that of many items is."""
    reach = stats.t.isf(alpha / 2, freedom) * se
    return detectable(0.0, -reach, reach, se, freedom, power)


def fewest_one_sided(alpha: float) -> int:
    """Return of how many questions two models must differ on, all in favour of one, to be significantly different.

    Both parts of the test of `accuracy_differences` must agree: the score test, whose deviation is √count, and the
    exact one, whose mid-p is ½^count. It is 5 at α = 0.05.
    """
    count = 1
    while max(2 * stats.norm.sf(count**0.5), 0.5**count) > alpha:
        count += 1
    return count


def least_accuracy(items: int, alpha: float, power: float) -> float:
    """Return the least detectable difference of accuracies that any pair can have on ``items`` questions, in points.

    In the best case all questions on which two models differ speak for one of them. Of a true difference δ these are
    binomial with share δ, and must be `fewest_one_sided` at least; above 100 nothing can be found.
    """
    fewest = fewest_one_sided(alpha)
    smallest = 100 * fewest / items
    if fewest > items:
        return smallest
    return max(smallest, 100 * float(stats.beta.ppf(power, fewest, items - fewest + 1)))


def typical(values: Iterable[float]) -> float | None:
    """Return the median of detectable differences; None where no pair has one.

    Pairs without an interval are left out, and those of 0, which are alike on all items and tell nothing of others.
    """
    found = np.array([each for each in values if each is not None and each > 0], dtype=float)
    return float(np.median(found)) if len(found) else None
