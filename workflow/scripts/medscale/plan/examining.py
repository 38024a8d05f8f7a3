"""A few passes of an examination, of the sizes that the study's exams and texts have, with the code that examines."""

import time
from collections.abc import Sequence
from typing import Any

from medscale.evaluate.continuations import Row, loglikelihoods, widen_head
from medscale.evaluate.kept_answers import Shelf
from medscale.model.hardware import EnergyMeter, MemoryMeter, device
from medscale.model.loading import add_adapter
from medscale.model.precision import precision
from medscale.plan.arithmetic import fit
from medscale.plan.cards import CACHED_BYTES
from medscale.plan.exam_passes import ExamPass
from medscale.plan.outcome import CPU_FLOPS, Examining
from medscale.plan.random_model import load_shape
from medscale.plan.shapes import Shape
from medscale.plan.training import STEP_SECONDS

SIZES = 12
"""Passes of so many sizes are measured, drawn evenly from the planned ones."""


def measure_examination(
    shape: Shape, method: str, settings: dict[str, Any], planned: Sequence[ExamPass], seconds: float
) -> Examining:
    """Measure passes as `examine` computes them.

    Args:
        shape: the model.
        method: qlora keeps base and adapter apart; lora merges them, so that it runs as the base model does.
        settings: sections training, lora, quantization.
        planned: the passes of the study; at least one.
        seconds: how long to measure, about; each size once at least.
    """
    kind, memory = precision(settings["training"]["precision"]), MemoryMeter()
    memory.restart()
    model = load_shape(shape, method, settings["quantization"], kind)
    parameters, vocabulary = model.num_parameters(), model.config.get_text_config().vocab_size
    if method == "qlora":
        model = add_adapter(model, settings["lora"], seed=0)
    widen_head(model.eval())
    chosen = [small_enough(each, parameters) for each in evenly(planned, SIZES)]

    def taken(size: ExamPass) -> float:
        began = time.perf_counter()
        loglikelihoods(model, random_rows(size, vocabulary), 0, Shelf(), "forecast")
        return time.perf_counter() - began

    taken(chosen[-1])  # the first pass of a process takes more
    steps, times = [], []
    with EnergyMeter() as energy:
        began = time.perf_counter()
        while not times or time.perf_counter() - began < seconds:
            size = chosen[len(times) % len(chosen)]
            steps.append(size.step)
            times.append(taken(size))
        used, spent = energy.so_far(), time.perf_counter() - began
    return Examining(
        fit(steps, times),
        load_seconds(parameters),
        memory.allocated(),
        memory.reserved(),
        None if used is None else 3.6e6 * used / spent,
    )


def load_seconds(parameters: int) -> float:
    """Return what loading the model is taken to take: its weights, in 16 bits on the disk, were read before."""
    return 2 * parameters / CACHED_BYTES


def evenly(planned: Sequence[ExamPass], count: int) -> list[ExamPass]:
    """Return at most ``count`` of the passes, from the first to the last in the order of their sizes."""
    ordered = sorted(planned, key=lambda each: (each.depth, each.rows * each.width))
    if len(ordered) <= count:
        return ordered
    return [ordered[place * (len(ordered) - 1) // (count - 1)] for place in range(count)]


def small_enough(size: ExamPass, parameters: int) -> ExamPass:
    """Return a pass, or on a CPU one with fewer rows where it would take minutes."""
    if device().type == "cuda":
        return size
    rows = int(STEP_SECONDS * CPU_FLOPS / (2 * parameters * size.width))
    return size._replace(rows=max(1, min(size.rows, rows)))


def random_rows(size: ExamPass, vocabulary: int) -> list[Row]:
    """Return rows of this size; where there are several, one is shorter, so that there is a mask as in a real batch."""
    ids = [2 + place * 7919 % (vocabulary - 2) for place in range(size.width)]
    rows = []
    for place in range(size.rows):
        shorter = int(place == size.rows - 1 and size.rows > 1 and size.width > size.depth)
        rows.append(Row(ids[shorter:], {place: ids[: size.depth]}))
    return rows
