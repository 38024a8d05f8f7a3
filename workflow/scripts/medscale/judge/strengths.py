"""Strengths of all configurations together: the model of Bradley and Terry, with ties as Davidson has them.

Davidson (1970): with strengths π and a liking for ties ν, of a comparison of i and j

    P(i wins) = π_i / D,   P(tie) = ν √(π_i π_j) / D,   D = π_i + π_j + ν √(π_i π_j).

In λ = ln π and θ = ln ν it is a multinomial logit, so the log-likelihood is concave, and Newton's method with halved
steps finds its maximum. Bradley–Terry (1952) is the case without ties. (The package choix fits Bradley–Terry and knows
no ties.)

*Separable data.* Where some configurations never lost to some others, not even a tie, the likelihood has no maximum
(Ford 1957): the strength grows without end. Each compared pair is therefore given half a win and half a loss, as the
win rates are; that is told (``bounded`` is false), and only the end of the interval that points away from there means
something.

*Configurations that no chain of comparisons connects* have no common scale: each connected group has strengths of its
own.

Intervals come from the same weights of questions as those of the win rates: a question's verdicts move together in all
pairs.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from medscale.evaluate.bootstrap import percentile_interval
from medscale.judge.win_rates import PRIOR, Outcomes, prior_weights

STEPS, HALVINGS, TOLERANCE = 100, 30, 1e-9


class Group(NamedTuple):
    """Configurations that comparisons connect; the first is the reference. ``bounded``: by the data alone."""

    names: list[str]
    bounded: bool


def strengths(
    outcomes: Sequence[Outcomes], weights: Mapping[str, np.ndarray], seed: int, alpha: float, reference: str
) -> list[dict[str, Any]]:
    """Return the strengths of each connected group of configurations.

    Parameters
    ----------
    outcomes : of each pair of configurations; those without a question are left out.
    weights : from `win_rates.question_weights`.
    seed : of the weights of the half wins.
    alpha : 1 − level of the intervals.
    reference : the configuration that strengths are relative to, where it is in the group; else its first by name.

    Returns
    -------
    list of dict
        ``reference``, ``bounded``, ``ties`` (ν, null where there was no tie) and ``configurations``: for each its
        strength λ − λ of the reference with ``ci95``, and ``rate``, the rate at which it would win against the
        reference, ties counted half, with ``rate_ci95``. The strongest comes first.
    """
    outcomes = [each for each in outcomes if len(each.items)]
    found = []
    for group in groups(outcomes, reference):
        own = [each for each in outcomes if each.a in group.names]
        point, draws = _counts(own, weights, seed)
        place = {name: number for number, name in enumerate(group.names)}
        ends = np.array([(place[each.a], place[each.b]) for each in own])
        fitted = fit(point[None], ends)
        redrawn = fit(draws, ends)
        entries = []
        for name, number in place.items():
            values, rates = redrawn[:, number], _rates(redrawn, number)
            entries.append(
                {
                    "name": name,
                    "strength": float(fitted[0, number]),
                    "ci": None if number == 0 else list(percentile_interval(values, 1 - alpha)),
                    "rate": float(_rates(fitted, number)[0]),
                    "rate_ci": None if number == 0 else list(percentile_interval(rates, 1 - alpha)),
                }
            )
        entries.sort(key=lambda entry: -entry["strength"])
        ties = float(np.exp(fitted[0, -1]))
        found.append(
            {
                "reference": group.names[0],
                "bounded": group.bounded,
                "ties": ties or None,
                "configurations": entries,
            }
        )
    return found


def groups(outcomes: Sequence[Outcomes], reference: str) -> list[Group]:
    """Return the groups of configurations that comparisons connect, that of the reference first."""
    names = sorted({name for each in outcomes for name in (each.a, each.b)}, key=lambda name: (name != reference, name))
    if not names:
        return []
    place = {name: number for number, name in enumerate(names)}
    beaten = np.zeros((len(names), len(names)))  # from who won or tied to whom
    for each in outcomes:
        wins, ties, losses = each.shares.sum(axis=0)
        beaten[place[each.a], place[each.b]] += wins + ties
        beaten[place[each.b], place[each.a]] += losses + ties
    _, weak = connected_components(csr_array(beaten), connection="weak")
    _, strong = connected_components(csr_array(beaten), connection="strong")
    found = []
    for label in dict.fromkeys(weak):
        members = np.flatnonzero(weak == label)
        found.append(Group([names[member] for member in members], len(set(strong[members])) == 1))
    return found


def _counts(
    outcomes: Sequence[Outcomes], weights: Mapping[str, np.ndarray], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return wins of a, ties and wins of b: shape (pairs, 3), and (draws, pairs, 3), half wins included."""
    points, draws = [], []
    for each in outcomes:
        points.append(each.weights @ each.shares + [PRIOR, 0, PRIOR])
        drawn = np.array([weights[item] for item in each.items]) * each.weights[:, None]
        counted = drawn.T @ each.shares
        counted[:, [0, 2]] += prior_weights(each, drawn.shape[1], seed).T
        draws.append(counted)
    return np.array(points), np.stack(draws, axis=1)


def fit(counts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return the strengths that make the counts most likely.

    Parameters
    ----------
    counts : array of shape (draws, pairs, 3)
        Wins of the first, ties, wins of the second; both wins above 0.
    ends : array of int of shape (pairs, 2)
        Numbers of the configurations, from 0, all connected. Configuration 0 has strength 0.

    Returns
    -------
    array of shape (draws, configurations + 1)
        λ of each configuration, and θ last: −inf where there is no tie at all.
    """
    size = int(ends.max()) + 1
    tied = bool((counts[:, :, 1] > 0).any())
    # The logits of a pair's three outcomes are linear in the parameters (λ of all but the first, and θ).
    design = np.zeros((len(ends), 3, size + 1))
    rows = np.arange(len(ends))
    design[rows, 0, ends[:, 0]] = 1
    design[rows, 2, ends[:, 1]] = 1
    design[rows, 1, ends[:, 0]] = design[rows, 1, ends[:, 1]] = 0.5
    design[:, 1, size] = 1
    design = design[:, :, 1:] if tied else np.delete(design, 1, axis=1)[:, :, 1:size]
    counts = counts if tied else counts[:, :, [0, 2]]
    values = _maximum(counts, design)
    theta = values[:, -1:] if tied else np.full((len(values), 1), -np.inf)
    strengths_ = values[:, :-1] if tied else values
    return np.concatenate([np.zeros((len(values), 1)), strengths_, theta], axis=1)


def _maximum(counts: np.ndarray, design: np.ndarray) -> np.ndarray:
    """Maximise the log-likelihoods of a multinomial logit, one a draw, by Newton's method with halved steps."""
    totals = counts.sum(axis=2)
    values = np.zeros((len(counts), design.shape[2]))
    best, chances = _likelihood(values, counts, design)
    for _ in range(STEPS):
        gradient = np.einsum("dpo,pok->dk", counts - totals[:, :, None] * chances, design)
        if np.abs(gradient).max() <= TOLERANCE * max(1.0, float(totals.max())):
            break
        mean = np.einsum("dpo,pok->dpk", chances, design)
        squares = np.einsum("dpo,pok,pol->dpkl", chances, design, design, optimize=True)
        hessian = np.einsum("dp,dpkl->dkl", totals, squares - mean[..., :, None] * mean[..., None, :])
        step = np.linalg.solve(hessian, gradient[..., None])[..., 0]
        length = np.ones(len(values))
        for _ in range(HALVINGS):
            tried, _ = _likelihood(values + length[:, None] * step, counts, design)
            worse = tried < best - 1e-12 * np.abs(best)
            if not worse.any():
                break
            length[worse] /= 2
        values = values + length[:, None] * step
        best, chances = _likelihood(values, counts, design)
    return values


def _likelihood(values: np.ndarray, counts: np.ndarray, design: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the log-likelihood of each draw, and the chances of the outcomes of each pair."""
    logits = np.einsum("dk,pok->dpo", values, design)
    logits -= logits.max(axis=2, keepdims=True)
    chances = np.exp(logits)
    sums = chances.sum(axis=2, keepdims=True)
    return np.einsum("dpo,dpo->d", counts, logits - np.log(sums)), chances / sums


def _rates(fitted: np.ndarray, number: int) -> np.ndarray:
    """Return how often a configuration would win against the first, ties counted half."""
    difference, tie = fitted[:, number], np.exp(fitted[:, -1])
    own, half = np.exp(difference), tie * np.exp(difference / 2)
    return (own + half / 2) / (own + 1 + half)
