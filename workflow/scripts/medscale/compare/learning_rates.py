"""How much the learning rate matters: what each rate of a pilot loses to the best, and which fixed ones are far off.

A rate's loss is that of the validation rows at the end of its pilot, Σ nats / Σ answer tokens. The difference of two
rates is a ratio of sums over the same rows, so its standard error is that of the residuals of the ratio estimator
(Cochran 1977, Sampling Techniques, chapter 6), and its interval is Student's with rows − 1 degrees of freedom. The best
rate is the best of several on these very rows. So that luck alone calls no rate far, the intervals of all the others
hold together at 1 − alpha by Bonferroni's inequality, however many were tried.

A fixed rate is *far* where it loses more than the margin, and the interval of what it loses lies above 0.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

DIGITS = 6
MARGIN_NATS = 0.02
"""What counts as far where recommendation.margin is in points of another metric: the default margin of the NLL."""
FEWEST_ROWS = 6
FAR, NEAR, UNSURE = "far", "near", "unsure"


def margin_of(recommendation: Mapping[str, Any]) -> float:
    """Return the loss in nats a token from which a rate is far: the recommendation's margin where that is in nats."""
    return recommendation["margin"] if recommendation["metric"] == "nll" else MARGIN_NATS


def paired_difference(
    a: Sequence[float], b: Sequence[float], tokens: Sequence[int], alpha: float
) -> tuple[float, float | None, float | None]:
    """Return (Σa − Σb) / Σtokens with its interval at 1 − alpha; no interval from fewer than `FEWEST_ROWS` rows.

    Args:
        a, b: nats of the same rows at two rates.
        tokens: answer tokens of each row.
        alpha: two-sided error rate.
    """
    apart, sizes = np.subtract(a, b), np.asarray(tokens, dtype=float)
    value, count = float(apart.sum() / sizes.sum()), len(sizes)
    if count < FEWEST_ROWS:
        return value, None, None
    residuals = apart - value * sizes
    error = math.sqrt(count / (count - 1) * float(residuals @ residuals)) / float(sizes.sum())
    half = float(stats.t.ppf(1 - alpha / 2, count - 1)) * error
    return value, value - half, value + half


def sensitivity(pilots: Sequence[Mapping[str, Any]], margin: float, alpha: float) -> list[dict[str, Any]]:
    """Return for each method and size what its rates lose to the best, the smallest size of a method first.

    Args:
        pilots: contents of the pilots' files.
        margin: nats a token that count as far.
        alpha: error rate of all intervals of one method and size together.

    Returns:
        Entries with ``method``, ``label``, ``size``, ``steps``, ``steps_of_a_run``, ``chosen``, ``at_edge``, ``fixed``,
        ``verdict`` of the fixed rate (far, near, unsure, or None where there is none), ``within`` (the rates that lose
        no more than the margin), ``margin`` and ``rates``: each with its ``nll``, ``curve``, ``difference`` to the best
        and ``lo``, ``hi``; None where the training diverged.
    """
    found = []
    for pilot in pilots:
        for label, tried in sorted(pilot["sizes"].items(), key=lambda item: item[1]["size"]):
            rates = _compared(tried, alpha)
            fixed = next((rate for rate in rates if rate["rate"] == tried["fixed"]), None)
            found.append(
                {"method": pilot["method"], "label": label}
                | {key: tried[key] for key in ("size", "steps", "steps_of_a_run", "chosen", "at_edge", "fixed")}
                | {
                    "verdict": None if fixed is None else _verdict(fixed, margin),
                    "within": [r["rate"] for r in rates if r["difference"] is not None and r["difference"] <= margin],
                    "margin": margin,
                    "seconds": round(sum(rate["seconds"] for rate in tried["rates"]), 3),
                    "rates": rates,
                }
            )
    return found


def _compared(tried: Mapping[str, Any], alpha: float) -> list[dict[str, Any]]:
    best = next(rate for rate in tried["rates"] if rate["rate"] == tried["chosen"])
    others = sum(rate["nll"] is not None for rate in tried["rates"]) - 1
    rates = []
    for rate in tried["rates"]:
        value = low = high = None
        if rate is best:
            value = 0.0
        elif rate["nll"] is not None:
            value, low, high = paired_difference(rate["rows"], best["rows"], tried["answer_tokens"], alpha / others)
        entry = {key: rate[key] for key in ("rate", "nll", "diverged", "extended", "curve", "seconds")}
        rates.append(entry | {"difference": _rounded(value), "lo": _rounded(low), "hi": _rounded(high)})
    return rates


def _verdict(fixed: Mapping[str, Any], margin: float) -> str:
    if fixed["difference"] is None:  # it diverged
        return FAR
    if fixed["difference"] <= margin:
        return NEAR
    return FAR if fixed["lo"] is not None and fixed["lo"] > 0 else UNSURE


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)
