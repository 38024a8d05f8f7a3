"""How the trainings of a study fit a card: rows of a forward pass, and decoder layers with gradient checkpointing.

All runs of a study are given the same, whichever method they use, or their memory and hours would tell of these
settings and not of the method. So what decides is the run that needs most, as `simulation` counts it.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
from transformers import PreTrainedConfig

from medscale.base.torchrun import world
from medscale.model.hardware import ROOM, card_gib, device, free_gib
from medscale.model.precision import precision
from medscale.train.simulation import Simulated, Step, patterns, run

SMALL_GIB = 20.0
"""Below this every layer is checkpointed: what is sold as a card of 24 GB tells of 22 to 24 GiB."""
ROWS = 4
"""Rows of full length that keep a card busy; more are taken where they cost no checkpointing."""

CANNOT_SIMULATE = (NotImplementedError, RuntimeError, TypeError, ValueError, AttributeError, KeyError)
"""What models raise whose code reads values, or takes other masks than those of full attention."""


class Fit(NamedTuple):
    """What a training is given.

    Attributes:
        rows: rows of full length in a forward pass.
        checkpointed: decoder layers with gradient checkpointing.
        layers: decoder layers.
        gib: peak of this training's memory, as simulated; None where it was not.
        unchecked_gib: what the study's largest would need without checkpointing; None where it was not simulated.
    """

    rows: int
    checkpointed: int
    layers: int
    gib: float | None = None
    unchecked_gib: float | None = None


class Needs:
    """Peaks of the memory of one training, simulated for any number of rows and of checkpointed layers."""

    def __init__(self, config: PreTrainedConfig, step: Step):
        self.config, self.step = config, step
        self.layers = config.get_text_config().num_hidden_layers
        self._run = cache(lambda rows, few: run(config, step._replace(rows=rows), sum(few), few[0]))

    def simulated(self, rows: int, checkpointed: int) -> Simulated:
        """Return the step."""
        few, wanted = patterns(self.layers, checkpointed)
        return self._run(rows, few).extended(few, wanted)

    def gib(self, rows: int, checkpointed: int) -> float:
        """Return the peak in GiB."""
        return self.simulated(rows, checkpointed).peak_gib


def fitted(
    own: Needs,
    largest: Needs,
    card_gib: float,
    free_gib: float,
    effective_batch: int,
    rows: int | None = None,
    checkpointing: bool | None = None,
) -> Fit:
    """Return the settings of a training on a card.

    Args:
        own: what this training needs.
        largest: what the study's largest needs.
        card_gib: all memory of the card, which decides for all runs of the study.
        free_gib: what of it this process can have: where others use the card, this run is given less than the study.
        effective_batch: rows of an optimiser step.
        rows: rows asked for; default None, as many as suit the card.
        checkpointing: True for every layer, False for none; default None, as few as the card needs.
    """
    chosen, count = _for_the_study(largest, ROOM * card_gib, card_gib < SMALL_GIB, effective_batch, rows, checkpointing)
    while own.gib(chosen, count) > free_gib and (less := lower(chosen, count, own.layers)):
        chosen, count = less
    return Fit(chosen, count, own.layers, own.gib(chosen, count), largest.gib(chosen, 0))


def choose(
    config: PreTrainedConfig, method: str, largest: str, settings: dict[str, Any], asked_rows: int | str
) -> tuple[Fit, str | None]:
    """Return the settings of a training on the device that is here, and why they could not be simulated, or None.

    Args:
        config: of the model.
        method: lora or qlora.
        largest: that of the study's methods which needs most memory.
        settings: the resolved sections `training`, `lora` and `quantization`.
        asked_rows: ``training.micro_batch``: a number, or ``auto``.
    """
    training, layers = settings["training"], config.get_text_config().num_hidden_layers
    rows = None if asked_rows == "auto" else int(asked_rows)
    asked = None if training["gradient_checkpointing"] == "auto" else training["gradient_checkpointing"]
    if device().type == "cpu":  # it keeps everything, and is no faster with more rows
        return Fit(rows or 1, layers if asked else 0, layers), None
    step = Step(
        method,
        precision(training["precision"]),
        settings["lora"],
        settings["quantization"],
        rows=ROWS,
        width=training["max_length"],
        flash=torch.cuda.get_device_capability(0) >= (8, 0),
    )
    own = Needs(config, step)
    most = own if largest == method else Needs(config, step._replace(method=largest))
    try:
        return fitted(own, most, card_gib(), free_gib(), -(-training["effective_batch"] // world()), rows, asked), None
    except CANNOT_SIMULATE as error:
        problem = f"the memory of this model cannot be simulated ({type(error).__name__}: {error})"
        return Fit(rows or ROWS, 0 if asked is False else layers, layers), problem


def lower(rows: int, checkpointed: int, layers: int) -> tuple[int, int] | None:
    """Return the next settings where the memory does not suffice: every layer, then half the rows; None at the end."""
    if checkpointed < layers:
        return rows, layers
    return (rows // 2, layers) if rows > 1 else None


def _for_the_study(
    largest: Needs, room: float, small: bool, effective_batch: int, rows: int | None, checkpointing: bool | None
) -> tuple[int, int]:
    if checkpointing is not None or small:
        return rows or ROWS, 0 if checkpointing is False else largest.layers
    more, candidates = effective_batch, [rows] if rows else []
    while not rows and more > ROWS:
        candidates.append(more)
        more //= 2
    for candidate in candidates:
        if largest.gib(candidate, 0) <= room:
            return candidate, 0
    chosen = rows or ROWS
    return chosen, _least(lambda count: largest.gib(chosen, count) <= room, largest.layers)


def _least(suffices: Callable[[int], bool], layers: int) -> int:
    """Return the least number of layers that suffices, by halving; all where none does.

    One checkpointed layer needs more than none, for it is computed once more; from there on each saves memory.
    """
    if suffices(0):
        return 0
    low, high = 1, layers
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if suffices(middle) else (middle + 1, high)
    return low
