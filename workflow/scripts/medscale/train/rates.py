"""The choice of a learning rate from the pilots of a method, and what each run takes of it. No torch.

Of the rates that were tried on a size, that with the lowest validation loss at the end of its schedule is chosen. Test
items play no part. A size between the two that were tried takes the rate on the straight line between their choices,
both axes logarithmic: the best rate of a longer training follows a power law in the published measurements (Bjorck et
al., Scaling Optimal LR Across Token Horizons, ICLR 2025, arXiv:2409.19913).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from medscale.base.errors import UserError

FIGURES = 4
"""Significant digits of a rate between two that were tried."""


def best_rate(losses: Mapping[float, float | None]) -> float | None:
    """Return the rate with the lowest loss, of equal ones the smallest; None where every training has diverged.

    Args:
        losses: by rate, in nats per answer token; None or not a number where the training diverged.
    """
    whole = {rate: loss for rate, loss in losses.items() if loss is not None and math.isfinite(loss)}
    return min(whole, key=lambda rate: (whole[rate], rate), default=None)


def edge(tried: Sequence[float], best: float) -> str | None:
    """Return whether the best rate is the ``lower`` or ``upper`` end of those that were tried; one alone is both."""
    if best == max(tried):
        return "upper"
    return "lower" if best == min(tried) else None


def extension(tried: Sequence[float], best: float) -> float | None:
    """Return the next rate beyond the end of the grid at which the best lies; None where it lies inside.

    The step is that between the last two rates at that end. No rate is above 1.

    >>> extension([0.0001, 0.0003, 0.001], 0.0001)
    3.333e-05
    """
    ordered = sorted(tried)
    if len(ordered) < 2 or edge(ordered, best) is None:
        return None
    end, inner = (ordered[-1], ordered[-2]) if best == ordered[-1] else (ordered[0], ordered[1])
    further = rounded(end * end / inner)
    return further if further <= 1 and further not in ordered else None


def rounded(rate: float) -> float:
    """Return a rate with `FIGURES` significant digits.

    >>> rounded(0.00017320508)
    0.0001732
    """
    return float(f"{rate:.{FIGURES}g}")


def rate_between(chosen: Mapping[int, float], size: int) -> float:
    """Return the rate of a size: its own where it was tried, else on the line between the two nearest, or the nearest.

    Args:
        chosen: rate by training size; at least one.
        size: training rows, as the study names them.
    """
    if size in chosen:
        return chosen[size]
    below = max((tried for tried in chosen if tried < size), default=None)
    above = min((tried for tried in chosen if tried > size), default=None)
    if below is None or above is None:
        return chosen[above if below is None else below]
    share = math.log(size / below) / math.log(above / below)
    low, high = chosen[below], chosen[above]
    # Rounding must not lead out of what was tried.
    return min(max(rounded(low ** (1 - share) * high**share), min(low, high)), max(low, high))


def chosen_rate(pilot: Mapping[str, Any], size: int, path: str) -> float:
    """Return the rate that a run of ``size`` rows takes.

    Args:
        pilot: content of the pilot's file.
        size: training rows, as the study names them.
        path: of the file, for the message.

    Raises:
        UserError: the file holds no choice.
    """
    chosen = {tried["size"]: tried["chosen"] for tried in pilot.get("sizes", {}).values()}
    if not chosen or any(not isinstance(rate, int | float) for rate in chosen.values()):
        raise UserError("T111", f"{path}: holds no chosen rate; delete it and let the workflow make it again")
    return rate_between(chosen, size)
