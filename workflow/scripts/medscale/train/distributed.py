"""One run on several cards: each process takes its share of every effective batch.

The rows of an optimiser step, the loss and the checkpoints are those of one card: only who computes what is divided.
"""

from typing import Any

import torch

from medscale.base.torchrun import rank, world
from medscale.model.chat import IGNORED


def share(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the rows of a batch that this process computes, of shape (its rows, longest of all).

    The rows are dealt out from the longest to the shortest, so that all processes have about as much to do. One without
    a row is given a row without labels, for all must run the backward pass together.
    """
    if world() == 1:
        return batch
    order = torch.argsort(batch["attention_mask"].sum(1), descending=True, stable=True)
    rows = order[rank() :: world()]
    if len(rows):
        return {name: values[rows] for name, values in batch.items()}
    return {
        name: torch.full_like(values[:1], IGNORED) if name == "labels" else values[:1] for name, values in batch.items()
    }


def gathered(value: Any) -> list[Any]:
    """Return the value of each process, by its number."""
    if world() == 1:
        return [value]
    found = [None] * world()
    torch.distributed.all_gather_object(found, value)
    return found


def total(value: float | None) -> float | None:
    """Return the sum over all processes; None where one of them has no value."""
    values = gathered(value)
    return None if any(part is None for part in values) else sum(values)
