"""The arithmetic of the forecast: from measured steps to the time, energy and money of a whole run. No torch.

The time of a training step is taken as a + b · micro-batches + c · tokens, padding included; the coefficients are
fitted to measured steps. The steps of a run follow from its rows' lengths and from the order that the trainer takes
them in, so a run of other lengths than were measured is forecast from the same coefficients.
"""

import itertools
import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from medscale.evaluate.answer_queue import AnswerQueue

OUTLIER = 4.0
"""Steps farther from the fit than this many robust standard deviations are left out: something else ran meanwhile."""
RUNAWAY = 16 / 600
"""Share of answers that go on up to evaluation.max_new_tokens, as in six runs of an earlier demo."""

ANSWERING = ("predict_seconds", "likelihood_seconds", "examine_seconds", "examine_load_seconds")
TIMES = ("train_seconds", *ANSWERING)
"""All that a run takes; those of exams and general texts are None in a study that has none."""


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
    """Return how the trainer cuts a batch into micro-batches; see `trainer.micro_batches`.

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


class Prefill(NamedTuple):
    """A pass over prompts that begin together: rows, and tokens of the longest."""

    rows: int
    width: int


class Passes(NamedTuple):
    """The passes over the model in which all questions are answered.

    Attributes:
        prefills: the passes over prompts, in order.
        steps: how many decoding steps there are with so many rows.
    """

    prefills: list[Prefill]
    steps: dict[int, int]


def answer_lengths(references: Sequence[int], max_new_tokens: int, tuned: bool) -> list[int]:
    """Return how many tokens each answer is expected to have, its end token included.

    A tuned model is taken to answer at the length of the reference, but for one answer in 1 / `RUNAWAY`, which goes on
    to the limit as every answer of an untuned model does.

    Args:
        references: tokens of each reference.
        max_new_tokens: from the `evaluation` section.
        tuned: whether the model was fine-tuned.
    """
    endless = round(1 / RUNAWAY) if tuned else 1
    return [max_new_tokens if i % endless == 0 else min(max_new_tokens, n) for i, n in enumerate(references, 1)]


def answer_passes(prompts: Sequence[int], answers: Sequence[int], max_new_tokens: int, batch_size: int) -> Passes:
    """Return the passes that `generation.generate` makes over a model with answers of these lengths.

    Args:
        prompts: tokens of each prompt.
        answers: tokens of each answer, its end token included; at least 1.
        max_new_tokens, batch_size: from the `evaluation` section.
    """
    queue = AnswerQueue(prompts, max_new_tokens, batch_size)
    left: dict[int, int] = {}
    prefills: list[Prefill] = []
    steps: Counter[int] = Counter()
    while left or queue.waiting:
        starting = queue.join(list(left))
        if starting:
            prefills.append(Prefill(len(starting), max(prompts[i] for i in starting)))
            left |= {i: answers[i] for i in starting}
        else:
            steps[len(left)] += 1
        for i in starting or list(left):
            left[i] -= 1
            if left[i] == 0:
                del left[i]
    return Passes(prefills, dict(steps))


class Decoding(NamedTuple):
    """A measured batch: its rows, tokens of its prompts with padding, seconds of the prefill and of a step."""

    rows: int
    tokens: int
    prefill: float
    step: float


def prediction_seconds(planned: Passes, measured: Sequence[Decoding]) -> float:
    """Return the seconds of all passes; a prefill is linear in its tokens and a step in its rows, as measured."""
    prefill = [(point.tokens, point.prefill) for point in measured]
    step = [(point.rows, point.step) for point in measured]
    total = sum(_line(rows * width, prefill) for rows, width in planned.prefills)
    return total + sum(count * _line(rows, step) for rows, count in planned.steps.items())


def _line(x: float, points: list[tuple[int, float]]) -> float:
    """Return the value at ``x`` of the line through the first and the last point; in proportion to x at one place.

    It is at least half of the least measured value: a batch of few rows is not as much faster.
    """
    (x0, y0), (x1, y1) = min(points), max(points)
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


def spent(row: Mapping[str, Any]) -> float:
    """Return the seconds of a run, or of sums over runs, that money is paid for; what is not known counts nothing."""
    return sum(row.get(name) or 0.0 for name in TIMES)


def totals(runs: Sequence[dict[str, Any]], names: Sequence[str]) -> dict[str, float | None]:
    """Return the sums of some figures over the runs that fit; None where one of them has none, or none fits."""
    found: dict[str, float | None] = {}
    for name in names:
        counted = [run for run in runs if run["fits"] and not (run["run"] == "base" and name.startswith("train"))]
        if name in ANSWERING:
            counted = [run for run in counted if not run["run"].startswith("pilot_")]  # which answer nothing
        values = [run.get(name) for run in counted]
        found[name] = None if not values or any(value is None for value in values) else round(sum(values), 3)
    return found
