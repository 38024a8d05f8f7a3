"""Differences of accuracies: one test gives the p-value and the interval, so that they never contradict each other.

The test is Tango's (Statistics in Medicine 17, 1998), the score test of a difference δ between paired proportions. Its
standard error is that of the likeliest shares among those that differ by δ, so it is not 0 where all questions differ
alike; no difference outside −100 to 100 is likely at all. For δ = 0 it is McNemar's test. The interval is all δ that
it does not reject, and excludes 0 exactly where p < α.

*Few questions.* The score test is a normal approximation. p is never less than the mid-p of the exact test that flips
the signs of the questions' differences, which for one seed each is McNemar's mid-p (Fagerland, Lydersen & Laake, BMC
Medical Research Methodology 13, 2013); the critical value of the interval grows by what that takes.

*Several seeds.* A question's difference is then a mean, with a smaller variance than a single answer's. The score
test's is multiplied by the ratio of the two, which is at least what it would be if the seeds answered independently.
What seeds add (`resampling.SeedSpread`) is added, and Student's t has Satterthwaite's degrees of freedom. Seeds that
answer alike are one seed.

*The smallest detectable difference* is `detectable`'s, and two things besides. A difference of δ needs questions that
differ: the gain is taken to be a share δ of the questions, of which those that now speak against it are lost, so that
models of which few answers differ need more than their spread would say. And answers are counted: `least_accuracy`.

docs/statistics.md has the simulations.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats
from scipy.optimize import brentq

from medscale.compare.detectable import detectable, least_accuracy
from medscale.compare.resampling import Resampled


class AccuracyDifferences(NamedTuple):
    """Arrays of shape (pairs,), in points of 100 but for p.

    Attributes
    ----------
    lo, hi : array
        Ends of the 1 − α intervals.
    p : array
        Two-sided p-values.
    smallest_detectable : array
        True differences that are found with the power that was asked for; above 100 where none is.
    """

    lo: np.ndarray
    hi: np.ndarray
    p: np.ndarray
    smallest_detectable: np.ndarray


class _Score(NamedTuple):
    """The score test of one pair.

    Attributes
    ----------
    won, lost : float
        Means over the questions of what of their differences is above 0, and of what is below.
    item_factor : float
        Ratio of a question's variance to that of single answers, over the number of questions.
    seed_variance : float
        What seeds add.
    """

    won: float
    lost: float
    item_factor: float
    seed_variance: float

    @property
    def observed(self) -> float:
        return self.won - self.lost

    def lacking(self, difference: float, critical: float, beyond: float) -> float:
        """Return how much a true difference falls short of what is found, below 0 where it is found.

        It must be ``critical`` standard errors of no difference, as the test takes them, and ``beyond`` of its own
        (Connor, Biometrics 43, 1987).
        """
        differing = difference + 2 * min(self.won, self.lost) * (1 - difference)
        none = self.item_factor * differing + self.seed_variance
        own = self.item_factor * max(0.0, differing - difference**2) + self.seed_variance
        return critical * math.sqrt(none) + beyond * math.sqrt(own) - difference

    def deviation(self, difference: float) -> float:
        """Return by how many standard errors the observed difference is above ``difference``."""
        distance = self.observed - difference
        variance = self.item_factor * _likeliest_variance(self.won, self.lost, difference) + self.seed_variance
        if distance == 0:
            return 0.0
        return distance / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, distance)


def accuracy_differences(
    resampled: Resampled,
    metric: str,
    pairs: Sequence[tuple[int, int]],
    freedom: np.ndarray,
    alpha: float,
    power: float = 0.8,
) -> AccuracyDifferences:
    """Return intervals and p-values of the differences a − b.

    Parameters
    ----------
    resampled : Resampled
        In points of 100.
    metric : str
        Whose items are 0 or 100 in each run.
    pairs : sequence of (a, b)
        Columns of ``resampled``.
    freedom : array of shape (pairs,)
        Degrees of freedom, from `paired_differences`.
    alpha, power : float
    """
    found = [
        _judged(resampled, metric, *pair, degrees, alpha, power) for pair, degrees in zip(pairs, freedom, strict=True)
    ]
    return AccuracyDifferences(*np.array(found).T)


def _judged(
    resampled: Resampled, metric: str, a: int, b: int, freedom: float, alpha: float, power: float
) -> tuple[float, float, float, float]:
    counts = [len(resampled.configurations[column].runs) for column in (a, b)]
    steps = math.lcm(*counts)
    # whole numbers of the smallest difference that one question can have
    differences = np.rint((resampled.items[metric][:, a] - resampled.items[metric][:, b]) / 100 * steps).astype(int)
    seeds = resampled.seeds[metric].variance
    score = _score(differences / steps, (1 / counts[0] + 1 / counts[1]) / 2, float(seeds[a] + seeds[b]) / 1e4)
    observed = abs(score.deviation(0.0))
    flipped = sign_flip_p(differences)
    p = max(float(2 * stats.t.sf(observed, freedom)), flipped if observed > 0 else 1.0)
    critical = float(stats.t.isf(alpha / 2, freedom))
    # what the exact test takes from the observed deviation is asked of every other one too
    critical += max(0.0, observed - float(stats.t.isf(flipped / 2, freedom)))
    low, high = _interval(score, critical)
    smallest = 100 * _smallest_detectable(score, low, high, freedom, alpha, power)
    return 100 * low, 100 * high, p, max(smallest, least_accuracy(len(differences), alpha, power))


def _smallest_detectable(score: _Score, low: float, high: float, freedom: float, alpha: float, power: float) -> float:
    """Return the true difference, as a share, that is found with probability ``power``; above 1 where none is."""
    differing = score.won + score.lost
    error = math.sqrt(score.item_factor * max(0.0, differing - score.observed**2) + score.seed_variance)
    smallest = float(detectable(score.observed, low, high, error, freedom, power))
    quantiles = float(stats.t.isf(alpha / 2, freedom)), float(stats.t.ppf(power, freedom))
    if score.lacking(1.0, *quantiles) >= 0:
        return max(smallest, 1 + score.lacking(1.0, *quantiles))
    return max(smallest, brentq(score.lacking, 1e-12, 1.0, quantiles))


def _score(differences: np.ndarray, independent: float, seed_variance: float) -> _Score:
    """Return the score test of questions' differences; ``independent`` is the least ratio of variances."""
    won, lost = float(np.maximum(differences, 0).mean()), float(np.maximum(-differences, 0).mean())
    # of single answers squares are the absolute values; at no difference this makes the variance the mean square
    ratio = float((differences**2).mean()) / (won + lost) if won + lost else 1.0
    return _Score(won, lost, max(independent, ratio) / len(differences), seed_variance)


def _likeliest_variance(won: float, lost: float, difference: float) -> float:
    """Return a question's variance at the likeliest shares that differ by ``difference`` (Tango 1998)."""
    if difference < 0:
        won, lost, difference = lost, won, -difference
    linear = (2 - won + lost) * difference - won - lost
    constant = lost * difference * (1 - difference)
    root = math.sqrt(linear * linear + 8 * constant)
    share = (root - linear) / 4 if linear <= 0 else 2 * constant / (root + linear)
    return max(0.0, 2 * share + difference * (1 - difference))


def _interval(score: _Score, critical: float) -> tuple[float, float]:
    """Return the least and the largest difference that are no more than ``critical`` standard errors away."""
    observed = score.won - score.lost
    low = high = observed
    if observed > -1:
        low = -1.0 if score.deviation(-1.0) <= critical else brentq(_beyond, -1.0, observed, (score, critical))
    if observed < 1:
        high = 1.0 if score.deviation(1.0) >= -critical else brentq(_beyond, observed, 1.0, (score, -critical))
    return low, high


def _beyond(difference: float, score: _Score, deviation: float) -> float:
    found = score.deviation(difference)
    return (found if math.isfinite(found) else math.copysign(1e9, found)) - deviation


def sign_flip_p(differences: np.ndarray) -> float:
    """Return the mid-p of the sum of whole numbers, where each is as likely to have the other sign.

    The sum is that of independent two-valued numbers, so its distribution is the inverse transform of a product.
    """
    sizes, counts = np.unique(np.abs(differences[differences != 0]), return_counts=True)
    total, observed = int(sizes @ counts), abs(int(differences.sum()))
    if not total:
        return 1.0
    angles = 2j * np.pi * np.arange(total // 2 + 1 + total % 2) / (total + 1)
    factors = [((1 + np.exp(-angles * size)) / 2) ** count for size, count in zip(sizes, counts, strict=True)]
    # entry k: the probability that the numbers that are positive add up to k, so that the sum is 2k − total
    probabilities = np.fft.irfft(np.prod(factors, axis=0), total + 1)
    at = (total + observed) // 2
    tail = float(probabilities[at + 1 :].sum())
    if not observed:
        return 1 - float(probabilities[at]) / 2 if total % 2 == 0 else 1.0
    return min(1.0, max(0.0, 2 * tail + float(probabilities[at])))
