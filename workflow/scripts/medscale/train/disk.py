"""The room on the disk that a run of fine-tuning takes, from the shape of its model and its settings."""

from pathlib import Path
from typing import Any

import torch

from medscale.base.disk import require_space
from medscale.train.checkpoints import FEWEST

STATES = {"adamw_torch": (2, 4), "adamw_torch_fused": (2, 4), "paged_adamw_8bit": (2, 1), "adafactor": (1, 4)}
"""Values that an optimiser keeps of each weight, and the bytes of each; of one that is not here, the most."""
REST = 16 * 2**20
"""Bytes of everything else: the tokenizer in a checkpoint, the log in its state, generators of random numbers."""


def adapter_bytes(model: torch.nn.Module) -> int:
    """Return the bytes of the weights that are trained, as they are written."""
    return sum(weight.numel() * weight.element_size() for weight in model.parameters() if weight.requires_grad)


def checkpoint_bytes(model: torch.nn.Module, optimizer: str) -> int:
    """Return the bytes of a checkpoint: the adapter, what the optimiser keeps of it, and the rest."""
    count = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    values, size = STATES.get(optimizer, (2, 4))
    return adapter_bytes(model) + count * values * size + REST


def most_bytes(model: torch.nn.Module, training: dict[str, Any], steps: int) -> int:
    """Return the most that a run of so many steps has on the disk at once.

    That is the checkpoints that are kept, the best before each, one that is being written, and the adapter. There are
    never more checkpoints than steps.
    """
    count = min(max(training["save_total_limit"], FEWEST) + 2, steps)
    return count * checkpoint_bytes(model, training["optimizer"]) + adapter_bytes(model) + REST


def require_room(folder: Path, model: torch.nn.Module, training: dict[str, Any], steps: int) -> None:
    """Raise `UserError`, before the first step, where the disk has less room than the run will take.

    Args:
        folder: of the checkpoints; what lies there counts as room, since it will be replaced.
        model: a PEFT model.
        training: the resolved `training` section.
        steps: of the run.
    """
    here = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    require_space(
        folder,
        max(0, most_bytes(model, training, steps) - here),
        "this run, with its checkpoints and adapter,",
        "let paths.results be on a larger disk, or lower training.save_total_limit or lora.r",
    )
