"""The arithmetic of the forecast: from measured steps to the time, energy and money of a whole run. No torch.

The time of a training step is taken as a + b · micro-batches + c · tokens, padding included; the coefficients are
fitted to measured steps. The steps of a run follow from its rows' lengths and from the order that the trainer takes
them in, so a run of other lengths than were measured is forecast from the same coefficients.
"""

import itertools
import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

OUTLIER = 4.0
"""Steps farther from the fit than this many robust standard deviations are left out: something else ran meanwhile."""
RUNAWAY = 16 / 600
"""Share of answers that go on up to evaluation.max_new_tokens, as in the demo's six runs."""


class Step(NamedTuple):
    """The size of an optimiser step or of a validation: forward passes, and tokens with padding."""

    micro_batches: int
    tokens: int


class TimeModel(NamedTuple):
    """Seconds of a step: ``step + micro_batch · micro-batches + token · tokens``."""

    step: float
    micro_batch: float
    token: float

    def seconds(self, steps: Iterable[Step]) -> float:
        """Return the seconds that the steps take together."""
        steps = list(steps)
        micro_batches, tokens = sum(s.micro_batches for s in steps), sum(s.tokens for s in steps)
        return self.step * len(steps) + self.micro_batch * micro_batches + self.token * tokens


def fit(steps: Sequence[Step], seconds: Sequence[float]) -> TimeModel:
    """Return the non-negative coefficients that fit measured steps best by least squares.

    With two coefficients and more there are few subsets, so each is tried, and the best without a negative value is
    taken. Outliers are left out once.

    Args:
        steps: sizes of the measured steps.
        seconds: how long each took.

    Raises:
        ValueError: nothing was measured.
    """
    if not steps or len(steps) != len(seconds):
        raise ValueError(f"{len(steps)} steps and {len(seconds)} times")
    features = np.array([(1.0, step.micro_batches, step.tokens) for step in steps])
    times = np.array(seconds, dtype=float)
    found = _least_squares(features, times)
    distance = np.abs(times - features @ found)
    spread = 1.4826 * np.median(distance)
    kept = distance <= OUTLIER * spread + 1e-12
    if 3 < kept.sum() < len(kept):
        found = _least_squares(features[kept], times[kept])
    return TimeModel(*map(float, found))


def _least_squares(features: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return the best non-negative coefficients; a column that does not vary beside the first is left at 0."""
    columns = [i for i in range(3) if i == 0 or np.ptp(features[:, i]) > 0] if len(times) > 2 else [2]
    best, error = np.zeros(3), math.inf
    for count in range(1, len(columns) + 1):
        for chosen in itertools.combinations(columns, count):
            part, *_ = np.linalg.lstsq(features[:, chosen], times, rcond=None)
            residual = float(np.sum((times - features[:, chosen] @ part) ** 2))
            if (part >= 0).all() and residual < error - 1e-15:
                best, error = np.zeros(3), residual
                best[list(chosen)] = part
    return best


def cut(lengths: Sequence[int], budget: int, multiple: int, packing: bool = False) -> Step:
    """Return how the trainer cuts a batch into micro-batches; see `training.micro_batches`.

    Args:
        lengths: tokens of the rows of the batch.
        budget: most tokens of a micro-batch, padding included.
        multiple: what widths are rounded up to.
        packing: whether the rows of a micro-batch stand in one row, without padding.
    """
    ordered = sorted(lengths, reverse=True)
    limit = -(-ordered[0] // multiple) * multiple
    start = micro_batches = tokens = 0
    while start < len(ordered):
        width = min(-(-ordered[start] // multiple) * multiple, limit)
        rows = ordered[start : start + max(1, budget // max(1, width))]
        micro_batches, start = micro_batches + 1, start + len(rows)
        tokens += sum(rows) if packing else width * len(rows)
    return Step(micro_batches, tokens)


def batches(lengths: Sequence[int], size: int) -> list[Sequence[int]]:
    """Cut a sequence into pieces of ``size``; the last may be shorter."""
    return [lengths[start : start + size] for start in range(0, len(lengths), size)]


def saves(steps: int, eval_interval: float, save_minutes: float, train_seconds: float) -> tuple[int, int]:
    """Return how many validations and how many checkpoints a run makes.

    Args:
        steps: optimiser steps.
        eval_interval: share of the steps between two validations, each with a checkpoint.
        save_minutes: there is a checkpoint at least this often.
        train_seconds: time of the steps alone.
    """
    interval = max(1, round(steps * eval_interval))
    validations = steps // interval + (steps % interval > 0)
    between = train_seconds * interval / steps
    extra = int(between // (60 * save_minutes)) if math.isfinite(between) else 0
    return validations, validations * (1 + extra)


class Batch(NamedTuple):
    """A batch of prompts: rows, tokens of the longest prompt, and decoding steps until its last answer has ended."""

    rows: int
    width: int
    steps: int


def answer_batches(
    prompts: Sequence[int], answers: Sequence[int], max_new_tokens: int, batch_size: int, tuned: bool
) -> list[Batch]:
    """Return the batches that `generation.generate` makes, with how long each is expected to run.

    A batch runs until its longest answer ends: to the limit where at least one endless answer is to be expected among
    its rows by the share `RUNAWAY`, or the model is untuned; else as long as its longest reference.

    Args:
        prompts: tokens of each prompt.
        answers: tokens of each reference.
        max_new_tokens, batch_size: from the `evaluation` section.
        tuned: whether the model was fine-tuned.
    """
    order = sorted(range(len(prompts)), key=lambda i: -prompts[i])
    budget = batch_size * (max(prompts, default=0) + max_new_tokens)
    found = []
    while order:
        width = prompts[order[0]]
        rows = order[: max(1, budget // (width + max_new_tokens))]
        order = order[len(rows) :]
        endless = not tuned or len(rows) * RUNAWAY >= 1
        longest = max_new_tokens if endless else min(max_new_tokens, max(answers[i] for i in rows))
        found.append(Batch(len(rows), width, longest))
    return found


class Decoding(NamedTuple):
    """A measured batch: its rows, seconds until the first token, and seconds a decoding step."""

    rows: int
    first: float
    step: float


def prediction_seconds(planned: Iterable[Batch], measured: Sequence[Decoding]) -> float:
    """Return the seconds of all batches; times are linear in the rows, through what was measured."""
    points = sorted(measured)
    total = 0.0
    for batch in planned:
        first = _line(batch.rows, [(point.rows, point.first) for point in points])
        step = _line(batch.rows, [(point.rows, point.step) for point in points])
        total += first + step * max(0.0, batch.steps - 1)
    return total


def _line(x: float, points: list[tuple[int, float]]) -> float:
    """Return the value at ``x`` of the line through the first and the last point; in proportion to x at one place.

    It is at least half of the least measured value: a batch of few rows is not as much faster.
    """
    (x0, y0), (x1, y1) = points[0], points[-1]
    if x0 == x1:
        return statistics.fmean(y for _, y in points) * max(0.5, x / x0)
    return max(0.5 * min(y0, y1), y0 + (x - x0) * (y1 - y0) / (x1 - x0))


def money(seconds: float, price_per_hour: float | None) -> float | None:
    """Return the price of some time, or None where an hour has none."""
    return None if price_per_hour is None else seconds / 3600 * price_per_hour


def energy_kwh(seconds: float, watts: float | None) -> float | None:
    """Return the energy of some time at a measured power, or None where none was measured."""
    return None if watts is None else seconds * watts / 3.6e6


def fits(peak_gib: float | None, card_gib: float) -> bool:
    """Say whether a measured peak is within the memory; a run that could not be measured does not fit."""
    return peak_gib is not None and peak_gib <= card_gib


def totals(runs: Sequence[dict[str, Any]], names: Sequence[str]) -> dict[str, float | None]:
    """Return the sums of some figures of all runs; None where a run has none."""
    found: dict[str, float | None] = {}
    for name in names:
        values = [run[name] for run in runs if not (run["run"] == "base" and name.startswith("train"))]
        found[name] = None if any(value is None for value in values) else round(sum(values), 3)
    return found
