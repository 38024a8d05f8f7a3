"""How far judges agree beyond chance, whether the position decides, and whether a judge says the same twice.

Krippendorff's alpha (Krippendorff 2011) is 1 − observed / expected disagreement; it takes any number of judges and any
gaps. The three verdicts are ordered — the first answer is better, neither, the second is — so the disagreement is
*ordinal*: who says the opposite disagrees more than who says neither. Verdicts are taken by place, as judges gave
them: they do not know the configurations, and chance is what they would agree by without reading. Taken by
configuration, judges who rightly prefer the same one nearly always would seem not to agree at all. Judges who like a
place agree in that, too, which is why the bias of the position stands beside it.

Where several configurations gave the same answers, a judge saw them once and said once what counts for each of their
win rates. All that is here is of what judges said, so it is counted once.

(The package krippendorff gives the same figures, and a test compares them; its licence, GPL-3, is none that this
project could pass on.)
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from medscale.evaluate.bootstrap import percentile_interval
from medscale.judge.win_rates import LOSS, TIE, WIN, Opinion, half_wins

VALUES = (LOSS, TIE, WIN)


def agreement(opinions: Sequence[Opinion], weights: Mapping[str, np.ndarray], alpha: float) -> dict[str, Any] | None:
    """Return Krippendorff's alpha of one criterion with its interval, or None where no two judges judged one pair.

    Parameters
    ----------
    opinions : of one criterion. A unit is what was shown: two answers to one question in one order.
    weights : by question, from `win_rates.question_weights`: the units of a question move together.
    alpha : 1 − level of the interval.

    Returns
    -------
    dict or None
        ``alpha`` and ``ci``, null where every verdict was the same, so that chance would agree as well; ``units`` and
        ``judges`` that it is of; ``equal``, the share of pairs of verdicts that are the same.
    """
    units: dict[str, list[Opinion]] = {}
    for each in as_said(opinions):
        units.setdefault(each.pair, []).append(each)
    paired = [said for said in units.values() if len(said) > 1]
    if not paired:
        return None
    tables = np.array([_coincidences([by_place(each) for each in said]) for said in paired])
    drawn = np.array([weights[said[0].item] for said in paired])
    value = float(ordinal_alpha(tables.sum(axis=0)[None])[0])
    draws = ordinal_alpha(np.einsum("ud,uij->dij", drawn, tables))
    draws = draws[np.isfinite(draws)]
    known = np.isfinite(value)
    return {
        "alpha": value if known else None,
        "ci": list(percentile_interval(draws, 1 - alpha)) if known and len(draws) else None,
        "units": len(paired),
        "judges": len({each.judge for said in paired for each in said}),
        "equal": float(tables.sum(axis=0).trace() / tables.sum()),
    }


def as_said(opinions: Iterable[Opinion]) -> list[Opinion]:
    """Return one opinion a verdict, of whichever of the pairs of configurations that it is of."""
    return list({(each.judge, each.pair): each for each in opinions}.values())


def by_place(opinion: Opinion) -> float:
    """Return a verdict as the judge gave it: 1 for the answer shown first, 0 for the second, ½ for neither."""
    return opinion.score if opinion.first else 1 - opinion.score


def _coincidences(values: Sequence[float]) -> np.ndarray:
    """Return the coincidence matrix of one unit, of shape (3, 3): its ordered pairs of verdicts, each 1/(m − 1)."""
    counts = np.array([sum(value == each for value in values) for each in VALUES], dtype=float)
    return (np.outer(counts, counts) - np.diag(counts)) / (len(values) - 1)


def ordinal_alpha(coincidences: np.ndarray) -> np.ndarray:
    """Return alpha of coincidence matrices of shape (…, 3, 3), NaN where one value alone occurs.

    The distance of two values is (Σ of n over the values from one to the other − half of the two ends' n)², n the
    values' frequencies.
    """
    n = coincidences.sum(axis=-1)
    total = n.sum(axis=-1)
    up_to = np.cumsum(n, axis=-1) - n / 2
    distance = (up_to[..., :, None] - up_to[..., None, :]) ** 2
    observed = (coincidences * distance).sum(axis=(-1, -2))
    expected = ((n[..., :, None] * n[..., None, :]) * distance).sum(axis=(-1, -2))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(expected > 0, 1 - (total - 1) * observed / expected, np.nan)


def position(opinions: Sequence[Opinion], weights: Mapping[str, np.ndarray], alpha: float) -> dict[str, Any]:
    """Return how often the answer shown first was preferred, among verdicts that prefer one, with its interval.

    Half of the pairs show each configuration first, so without a liking for a place it is one half whatever the
    configurations are worth. Verdicts on one question, of several judges and pairs, move together; half a verdict for
    each place, of the weight of a question, is added as in the win rates.

    Parameters
    ----------
    opinions : of one criterion, of one judge or of all.
    weights : by question, from `win_rates.question_weights`.
    alpha : 1 − level of the interval.
    """
    counts: dict[str, list[int]] = {}
    for each in as_said(opinions):
        if each.score != TIE:
            of_question = counts.setdefault(each.item, [0, 0])
            of_question[0] += by_place(each) == WIN
            of_question[1] += 1
    if not counts:
        return {"decided": 0, "first": 0, "share": None, "ci": None}
    table = np.array(list(counts.values()), dtype=float)
    first, decided = table.sum(axis=0)
    drawn = table.T @ np.array([weights[item] for item in counts])
    prior = half_wins("position", drawn.shape[1], 0) * decided / len(counts)
    low, high = percentile_interval((drawn[0] + prior[0]) / (drawn[1] + prior.sum(axis=0)), 1 - alpha)
    ends = [0.0 if first == 0 else low, 1.0 if first == decided else high]
    return {"decided": int(decided), "first": int(first), "share": float(first / decided), "ci": ends}


def consistency(opinions: Sequence[Opinion]) -> dict[str, int]:
    """Return what judges said of the pairs that they saw in both orders.

    ``same`` verdict both times; ``place``: each time the answer in the same place; ``other``: one answer once and
    neither the other time.
    """
    seen: dict[tuple, dict[bool, Opinion]] = {}
    for each in opinions:
        seen.setdefault((each.judge, each.a, each.b, each.item), {})[each.first] = each
    twice = [list(said.values()) for said in seen.values() if len(said) == 2]
    both = {(one.judge, frozenset({one.pair, other.pair})): (one, other) for one, other in twice}.values()
    same = sum(one.score == other.score for one, other in both)
    place = sum({one.score, other.score} == {WIN, LOSS} for one, other in both)
    return {"shown_twice": len(both), "same": same, "place": place, "other": len(both) - same - place}
