"""Optional accelerations of the training step: which of those asked for this machine can run."""

from importlib.util import find_spec
from typing import Any

import torch

LIGER = {"rope": True, "rms_norm": True, "swiglu": True, "cross_entropy": False, "fused_linear_cross_entropy": False}
"""Liger's kernels that are taken; the loss is ours."""


def usable(training: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Turn off what this machine cannot run.

    Args:
        training: the resolved `training` section.

    Returns:
        The section to train with, and a sentence for each key that was changed.
    """
    cuda = torch.cuda.is_available()
    changed, reasons = dict(training), []
    if training["liger_kernel"]:
        problem = None
        if not cuda or torch.cuda.get_device_capability(0) < (8, 0):
            problem = "its kernels need a card of compute capability 8.0 or higher"
        elif find_spec("liger_kernel") is None:
            problem = "the package liger-kernel is not installed"
        if problem:
            changed["liger_kernel"] = False
            reasons.append(f"training.liger_kernel is left out: {problem}")
    if training["optimizer"] == "paged_adamw_8bit" and not cuda:
        changed["optimizer"] = "adamw_torch"
        reasons.append("training.optimizer is adamw_torch: paged_adamw_8bit needs a CUDA device")
    return changed, reasons


def keep_input_type(model: torch.nn.Module, keep: bool = True) -> None:
    """Let adapters take their input in the precision it has; for training under autocast, which casts products itself.

    PEFT casts it to the adapter's float32 first, which autocast then undoes: a copy of every input, read and written
    for nothing and, without checkpointing, kept for the backward pass. The product is the same bit for bit.
    """
    for module in model.modules():
        if hasattr(module, "cast_input_dtype_enabled"):
            module.cast_input_dtype_enabled = not keep
