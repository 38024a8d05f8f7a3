"""Candidate laws for the points of one method: fitted, refitted to resamples, and judged on points held out."""

from typing import NamedTuple

import numpy as np

from medscale.compare.scaling.fits import BETA, Fits, K, fit

QUANTILES = (0.025, 0.975)
FLAT, BOUND, WIDE = "flat", "bound", "wide"
"""Why points do not determine a law: losses that do not clearly fall, a parameter at its bound, any β fits."""


class Points(NamedTuple):
    """The measured points by size, the base model (size 0) first where there is one; losses, so less is better."""

    sizes: np.ndarray
    losses: np.ndarray
    draws: np.ndarray

    def without(self, index: int) -> "Points":
        return Points(*(np.delete(part, index, axis=-1) for part in self))

    def tuned(self) -> "Points":
        return Points(*(part[..., self.sizes > 0] for part in self))


class Candidate(NamedTuple):
    """A law to try: on the fine-tuned points alone, or on the base model as well."""

    law: str
    with_base: bool

    @property
    def parameters(self) -> int:
        return 3 if self.law == "power" else 4

    def points(self, points: Points) -> Points:
        return points if self.with_base else points.tuned()

    def fit(self, points: Points, losses: np.ndarray) -> Fits:
        return fit(points.sizes, losses, self.law == "rectified")


class Fitted(NamedTuple):
    """A candidate with its fit to the points, its refits to the resampled points, and how it does on held-out ones."""

    candidate: Candidate
    fits: Fits
    refits: Fits
    residual_sd: float
    held_out: np.ndarray
    """Errors at the sizes left out one at a time: all but the smallest, the largest last."""
    problem: str | None
    """Why the points do not determine the law, or None where they do."""

    @property
    def held_out_error(self) -> float:
        return float(np.sqrt(np.mean(self.held_out**2)))


def candidates(points: Points) -> list[Candidate]:
    """Return the laws that have more points than parameters."""
    tuned = len(np.unique(points.tuned().sizes))
    alone = [Candidate("power", False), Candidate("rectified", False)]
    through_base = Candidate("rectified", True)
    with_base = [through_base] if points.sizes[0] == 0 and tuned + 1 > through_base.parameters else []
    return [candidate for candidate in alone if tuned > candidate.parameters] + with_base


def fitted(candidate: Candidate, points: Points, seed: int) -> Fitted:
    """Fit a candidate to the points and refit it to each of their resamples.

    Args:
        candidate: one of `candidates`.
        points: sorted by size.
        seed: of the residual scatter.
    """
    held_out = _held_out(candidate, points)
    points = candidate.points(points)
    fits = candidate.fit(points, points.losses)
    freedom = len(points.sizes) - candidate.parameters
    scatter = _scatter(points, float(fits.rss[0]), freedom, seed)
    resampled = points._replace(draws=points.draws + scatter)
    refits = candidate.fit(resampled, resampled.draws)
    sd = float(np.sqrt(max(fits.rss[0], 0.0) / freedom))
    return Fitted(candidate, fits, refits, sd, held_out, _problem(candidate, fits, refits, resampled))


def trusted(all_fitted: list[Fitted]) -> list[Fitted]:
    """Return the candidates that the points determine and that err on held-out points at most twice as the best does.

    The best comes first: its curve is the forecast. The others stay in the forecast's band, since a choice between laws
    made on a handful of points may be wrong.
    """
    identified = sorted((one for one in all_fitted if one.problem is None), key=lambda one: one.held_out_error)
    return [one for one in identified if one.held_out_error <= 2 * identified[0].held_out_error]


def forecast(laws: list[Fitted], sizes: np.ndarray, largest: float, seed: int) -> np.ndarray:
    """Return what the refits of all ``laws`` predict, of shape (refits of all, sizes).

    No law is exact. By how much it fails one step beyond the points is what its held-out error tells, so each refit
    drifts away by a normal multiple of that, once for every doubling of ``largest``.
    """
    generator = np.random.default_rng([seed, 1])
    doublings = np.log2(np.maximum(np.asarray(sizes) / largest, 1.0))
    parts = []
    for law in laws:
        drift = law.held_out_error * generator.normal(size=(len(law.refits.a), 1))
        parts.append(law.refits.predict(sizes) + drift * doublings)
    return np.concatenate(parts)


def _held_out(candidate: Candidate, points: Points) -> np.ndarray:
    """Return the errors at each size but the smallest when the law is fitted to the other points."""
    first = np.flatnonzero(points.sizes > 0)[0]
    errors = []
    for index in range(first + 1, len(points.sizes)):
        rest = candidate.points(points.without(index))
        predicted = candidate.fit(rest, rest.losses).predict(points.sizes[[index]])[0, 0]
        errors.append(predicted - points.losses[index])
    return np.array(errors)


def _scatter(points: Points, rss: float, freedom: int, seed: int) -> np.ndarray:
    """Return what a training adds to the resampled points: the scatter around the law that test items do not explain.

    Resampled items do not know that another seed would have trained another model. How far points scatter by that is
    only known from the residuals, and from few of them badly, so each resample draws its own variance from
    rss / χ²(freedom), as Student's t does, and takes off what the items account for.
    """
    generator = np.random.default_rng(seed)
    resamples, count = points.draws.shape
    variance = rss / generator.chisquare(freedom, resamples) - _item_variance(points.draws)
    return np.sqrt(np.maximum(variance, 0.0))[:, None] * generator.normal(size=(resamples, count))


def _item_variance(draws: np.ndarray) -> float:
    """Return the mean variance of the points over resampled items, after what moves all of them together."""
    contrasts = draws - draws.mean(1, keepdims=True)
    return float(contrasts.var(0).sum() / (draws.shape[1] - 1))


def _problem(candidate: Candidate, fits: Fits, refits: Fits, resampled: Points) -> str | None:
    """Return why the points do not determine the law, or None where they do."""
    if fits.a[0] <= 0 or _share_rising(resampled.tuned()) > QUANTILES[0]:
        return FLAT
    bounds = [(fits.beta[0], BETA)] + ([(fits.k[0], K)] if candidate.law == "rectified" else [])
    if any(value <= low * 1.01 or value >= high / 1.01 for value, (low, high) in bounds):
        return BOUND
    low, high = np.quantile(np.log(refits.beta), QUANTILES)
    return WIDE if high - low > 0.9 * np.log(BETA[1] / BETA[0]) else None


def _share_rising(points: Points) -> float:
    """Return the share of resamples in which the loss does not fall along log size, the base model apart."""
    along = np.log(points.sizes) - np.log(points.sizes).mean()
    return float(np.mean(points.draws @ along >= 0))
