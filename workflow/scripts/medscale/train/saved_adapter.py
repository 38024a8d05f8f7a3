"""What a trained adapter must be before it counts as one, and how it names its base model."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import TrainerState

from medscale.base.errors import UserError
from medscale.base.files import read_json, write_json

GROWN = ("lora_B", "lora_embedding_A")
"""The halves of an adapter that are zero before training."""


def require_trained(model: torch.nn.Module, state: TrainerState, checkpoints: Path) -> str | None:
    """Say whether the adapter that was chosen differs from one that was never trained.

    Args:
        model: a PEFT model with the chosen adapter.
        state: the Trainer's state after training.
        checkpoints: folder of the run's checkpoints.

    Returns:
        What to tell where the best checkpoint is one before training had an effect; else None.

    Raises:
        UserError: the adapter holds values that are no numbers, or training had no effect at all.
    """
    chosen = {name: weight for name, weight in model.named_parameters() if "lora_" in name}
    if not all(bool(weight.isfinite().all()) for weight in chosen.values()):
        raise UserError(
            "T101",
            f"the adapter holds values that are no numbers after step {state.global_step}: the run has diverged. Lower "
            "training.learning_rate, or set training.precision to bf16 or fp32 if it is fp16",
        )
    if _grown(chosen):
        return None
    last = checkpoints / f"checkpoint-{state.global_step}" / "adapter_model.safetensors"
    if last.is_file() and _grown(load_file(last)):
        return (
            f"the best of the validations, that of step {state.best_global_step}, is of an adapter that changes "
            "nothing yet: training only made the model worse. Lower training.learning_rate"
        )
    raise UserError(
        "T107",
        f"the adapter is after {state.global_step} steps what it was before, and changes no answer: no step had a "
        "learning rate above 0, or every one was skipped. Raise training.max_steps or training.epochs, lower "
        "training.warmup_ratio, or set training.precision to bf16 or fp32 if it is fp16",
    )


def _grown(weights: dict[str, torch.Tensor]) -> bool:
    return any(bool(weight.any()) for name, weight in weights.items() if any(half in name for half in GROWN))


def name_base(adapter: Path, manifest: dict[str, Any]) -> None:
    """Let a saved adapter name its base model as others know it, and not by a folder of this machine.

    Args:
        adapter: folder of the adapter in PEFT's format.
        manifest: that of the base model.
    """
    name, settings = manifest["id"] or manifest["source"], read_json(adapter / "adapter_config.json")
    folder = settings["base_model_name_or_path"]
    settings |= {"base_model_name_or_path": name, "revision": manifest["revision"]}
    write_json(adapter / "adapter_config.json", settings)
    card = adapter / "README.md"  # which PEFT writes for the hub
    if card.is_file() and folder:
        card.write_text(card.read_text(encoding="utf-8").replace(folder, name), encoding="utf-8")
