"""Least-squares fits of scaling laws, many at once: the points of a study and thousands of resamples of them.

Both laws are one family. With x = D / D_ref they read L = a / (k + x^β) + E: k = 0 is the power law, k > 0 the
rectified one. Given β and k the rest is linear, so a and E, neither of them negative, follow in closed form (variable
projection, Golub and Pereyra 1973), and the search runs over one or two numbers instead of three or four: a grid over
the whole range finds the valley, a pattern search with halving steps its bottom. All resamples are searched together.

The squares are not weighted. The test items are common to all sizes, so the greater part of a point's sampling error
moves all points together and cannot tell a good point from a bad one: in simulation, weights from the points' variances
or from their full covariance recover the parameters no better (docs/scaling-law.md).
"""

from typing import NamedTuple

import numpy as np

BETA = (0.02, 3.0)
"""Range of β. Below it the curve is a straight line in log D, above it a step after the smallest size."""
K = (1e-4, 1e4)
"""Range of D_l, in units of D_ref^β. Below it the curve is a power law, above it there is no power phase in sight."""
GRID = 40
"""Places of the grid on each axis."""
TOLERANCE = 1e-5
"""The pattern search ends at steps of this size in log β and log k."""
MOVES = 200
BLOCK = 2_000_000
"""Numbers that the grid search holds at once, at least one for each place of the grid."""


class Fits(NamedTuple):
    """Fitted laws, an entry of each array a row of the fitted losses.

    ``reference`` is D_ref, the geometric mean of the sizes; beta, k, a and e are the parameters, rss the sum of the
    squared residuals. Where the losses do not fall with size, a and k are 0 and e is their mean.
    """

    reference: float
    beta: np.ndarray
    k: np.ndarray
    a: np.ndarray
    e: np.ndarray
    rss: np.ndarray

    def predict(self, sizes: np.ndarray) -> np.ndarray:
        """Return the losses at ``sizes``, of shape (fits, sizes); infinite for a power law at size 0."""
        x = np.asarray(sizes) / self.reference
        with np.errstate(divide="ignore", invalid="ignore"):
            part = self.a[:, None] / (self.k[:, None] + x ** self.beta[:, None])
        return np.where(self.a[:, None] > 0, part, 0.0) + self.e[:, None]

    def size_at(self, losses: np.ndarray) -> np.ndarray:
        """Return the size at which each fit reaches its loss: infinite where that lies at or below the asymptote."""
        room = losses - self.e
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            size = self.reference * np.maximum(self.a / room - self.k, 0.0) ** (1 / self.beta)
        return np.where((room > 0) & (self.a > 0), size, np.inf)


def fit(sizes: np.ndarray, losses: np.ndarray, rectified: bool) -> Fits:
    """Fit one law to each row of ``losses``.

    Parameters
    ----------
    sizes : array of shape (points,)
        Training rows. 0, the base model, only with the rectified law: the power law is infinite there.
    losses : array of shape (fits, points), or (points,) for one fit
        Finite, and of a magnitude whose square is finite.
    rectified : bool
        Which of the two laws.
    """
    losses = np.atleast_2d(losses)
    sizes = np.asarray(sizes)
    reference = float(np.exp(np.log(sizes[sizes > 0]).mean()))
    points = _Points(sizes / reference, losses)
    place, step = _grid_search(points, rectified)
    place = _pattern_search(points, place, step, rectified)
    beta, k = _shape(place, rectified)
    a, e, rss = (part[:, 0] for part in points.solve(points.curves(place[:, None], rectified)))
    return Fits(reference, beta, k * (a > 0), a, e, rss)


class _Points:
    """The points of all fits, and the linear step: a and E for curves of given β and k."""

    def __init__(self, x: np.ndarray, losses: np.ndarray):
        self.x, self.losses = x, losses
        self.mean = losses.mean(1, keepdims=True)
        self.centred = losses - self.mean

    def of(self, fits: slice | np.ndarray) -> "_Points":
        return _Points(self.x, self.losses[fits])

    def curves(self, place: np.ndarray, rectified: bool) -> np.ndarray:
        """Return 1 / (k + x^β) at places of shape (..., 1 or 2), of shape (..., points)."""
        beta, k = _shape(place, rectified)
        return 1 / (k[..., None] + self.x ** beta[..., None])

    def solve(self, curves: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return a, E and the squared residuals, each of shape (fits, curves).

        Args:
            curves: of shape (curves, points), shared by all fits, or of shape (fits, curves, points).
        """
        mean = curves.mean(-1)
        centred = curves - mean[..., None]
        spread = (centred**2).sum(-1)
        flat = (self.centred**2).sum(1, keepdims=True)
        a = _products(self.centred, centred) / spread
        e = self.mean - a * mean
        rss = flat - a**2 * spread
        # An optimum with E < 0 lies outside: E stays 0, and the residuals grow by what the rest of the way would gain.
        squares = (curves**2).sum(-1)
        alone = _products(self.losses, curves) / squares
        rss = np.where(e < 0, rss + e**2 * len(self.x) * spread / squares, rss)
        a, e = np.where(e < 0, alone, a), np.maximum(e, 0.0)
        # Losses that rise with size: the best that does not rise is a constant.
        rising = ~(a > 0)
        return np.where(rising, 0.0, a), np.where(rising, self.mean, e), np.where(rising, flat, rss)


def _products(losses: np.ndarray, curves: np.ndarray) -> np.ndarray:
    """Return the scalar product of each fit's losses with each of its curves, or with each of the shared ones."""
    return losses @ curves.T if curves.ndim == 2 else (curves @ losses[:, :, None])[..., 0]


def _shape(place: np.ndarray, rectified: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return β and k of places in the search space: log β, and log k for the rectified law."""
    beta = np.exp(place[..., 0])
    return beta, np.exp(place[..., 1]) if rectified else np.zeros_like(beta)


def _bounds(rectified: bool) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.log([BETA, K]).T
    return (low, high) if rectified else (low[:1], high[:1])


def _grid_search(points: _Points, rectified: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the best place of the grid for each fit, of shape (fits, 1 or 2), and the steps of the grid."""
    low, high = _bounds(rectified)
    axes = [np.linspace(*ends, GRID) for ends in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(axes))
    curves = points.curves(grid, rectified)
    rows = BLOCK // len(grid)
    starts = range(0, len(points.losses), rows)
    best = [points.of(slice(start, start + rows)).solve(curves)[2].argmin(1) for start in starts]
    return grid[np.concatenate(best)], (high - low) / (GRID - 1)


def _pattern_search(points: _Points, place: np.ndarray, step: np.ndarray, rectified: bool) -> np.ndarray:
    """Move each fit to the best of its neighbours; where none is better, halve its steps."""
    low, high = _bounds(rectified)
    moves = np.stack(np.meshgrid(*[[0.0, -1.0, 1.0]] * len(step), indexing="ij"), -1).reshape(-1, len(step))
    scale = np.full(len(place), 0.5)
    for _ in range(MOVES):
        left = np.flatnonzero(scale * step.max() > TOLERANCE)
        if not len(left):
            break
        near = np.clip(place[left, None] + scale[left, None, None] * step * moves, low, high)
        here = points.of(left)
        best = here.solve(here.curves(near, rectified))[2].argmin(1)  # the first of equals is the place itself
        place[left] = near[np.arange(len(left)), best]
        scale[left[best == 0]] /= 2
    return place
