"""Loading a base model as LoRA or QLoRA needs it, and putting an adapter on it.

PEFT and bitsandbytes take seconds to import, so only what uses them does: the base model needs neither, LoRA only
PEFT.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedModel
from transformers.integrations import sdpa_attention
from transformers.modeling_layers import GradientCheckpointingLayer

from medscale.base.errors import UserError
from medscale.fetch.loadable import require_whole
from medscale.model.hardware import device
from medscale.model.precision import torch_dtype

if TYPE_CHECKING:
    from peft import PeftModel

# The backward pass of a checkpointed layer recomputes it without the older, graph-hiding implementation.
CHECKPOINTING = {"use_reentrant": False}


def load_base(folder: Path, method: str, quantization: dict[str, Any], precision: str) -> PreTrainedModel:
    """Return the base model on the device, its weights frozen.

    Args:
        folder: a Hugging Face model directory; only safetensors are read and no code from it is run.
        method: ``qlora`` loads the linear layers in 4 bits, anything else loads them whole.
        quantization: ``quant_type`` (nf4, fp4) and ``double_quant``.
        precision: bf16, fp16 or fp32, for the weights or, in 4 bits, for the computation.

    Raises:
        UserError: the directory holds no causal language model that this version of transformers knows, or not all of
            its weights, or an adapter beside it.
    """
    require_whole(folder, str(folder))
    dtype, four_bit = torch_dtype(precision), None
    if method == "qlora":
        four_bit = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type=quantization["quant_type"],
            bnb_4bit_use_double_quant=quantization["double_quant"],
            bnb_4bit_compute_dtype=dtype,
        )
    try:
        model, told = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            quantization_config=four_bit,
            device_map={"": device()},
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are told of below, with their names
        )
    except torch.OutOfMemoryError:
        raise
    except (ValueError, OSError, KeyError, RuntimeError, SafetensorError) as error:
        raise UserError("M106", f"{folder}: cannot be loaded as a causal language model: {error}") from error
    _require_every_weight(told, folder)
    if four_bit:
        _keep_four_bit_layers_differentiable(model)
    if device().type == "cuda" and torch.cuda.get_device_capability(0) < (8, 0):
        share_keys_by_copies()
    return model.requires_grad_(False)


def _require_every_weight(told: dict[str, Any], folder: Path) -> None:
    """Raise `UserError` if a weight was not in the files, so that transformers has made it up, or has another shape."""
    made_up = sorted(map(str, told.get("missing_keys") or ()))
    mismatched = told.get("mismatched_keys") or ()
    made_up += sorted(str(entry[0] if isinstance(entry, tuple) else entry) for entry in mismatched)
    if made_up:
        names = ", ".join(made_up[:3]) + (" and others" if len(made_up) > 3 else "")
        raise UserError(
            "M115",
            f"{folder}: its safetensors hold no weights of the right shape for {names}, which would be random; get "
            "config.json and all weights again from one place",
        )


def share_keys_by_copies() -> None:
    """Let grouped queries, which share keys and values, be attended to without the kernel's own way of sharing.

    Where no row is padded, transformers leaves the sharing to the kernel. Of the kernels that can, only the one in
    plain matrix products runs on a card without flash attention (before compute capability 8.0): it holds the whole
    matrix of attention in float32. With copies of the keys, or the heads of a single query side by side, the
    memory-efficient one runs.
    """
    sdpa_attention.use_gqa_in_sdpa = lambda *_: False


def _keep_four_bit_layers_differentiable(model: PreTrainedModel) -> None:
    """Stop bitsandbytes from repacking 4-bit weights on CPUs with AVX512-BF16.

    It repacks them at the first evaluation for a kernel that has no backward pass and computes in bf16. Training that
    goes on afterwards, as after each validation, would silently lose the gradient through the base model.
    """
    from bitsandbytes.nn import Linear4bit

    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False


def add_adapter(model: PreTrainedModel, lora: dict[str, Any], seed: int) -> "PeftModel":
    """Return ``model`` with a new, trainable adapter whose weights are float32, drawn from ``seed``.

    Float32 adapters keep fp16 training possible: the gradient scaler refuses to unscale fp16 gradients. The rest of the
    model keeps its precision, for QLoRA too: PEFT's preparation for k-bit training would make embeddings and norms
    float32, which for Qwen2.5-3B is 0.6 GiB more and doubles every activation behind a norm.

    Raises:
        UserError: `lora.target_modules` names no module of this model.
    """
    from peft import LoraConfig, get_peft_model

    model.config.use_cache = False
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=lora["r"],
        lora_alpha=lora["alpha"],
        lora_dropout=lora["dropout"],
        target_modules=lora["target_modules"],
        use_rslora=lora["use_rslora"],
    )
    torch.manual_seed(seed)
    try:
        return get_peft_model(model, config, autocast_adapter_dtype=True)
    except ValueError as error:
        raise UserError("M107", f"lora.target_modules = {lora['target_modules']}: {error}") from error


def decoder_layers(model: torch.nn.Module) -> list[torch.nn.Module]:
    """Return the layers of a model that can be checkpointed, in their order; adapters may be inside."""
    return [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]


def checkpoint_layers(model: "PeftModel", count: int) -> None:
    """Turn gradient checkpointing on for the first ``count`` decoder layers and off for the others.

    Raises:
        UserError: this model has no layers that can be checkpointed.
    """
    layers = decoder_layers(model)
    if count and not layers:
        raise UserError("M108", "training.gradient_checkpointing: this model does not support it; set it to false")
    if count:
        model.get_base_model().gradient_checkpointing_enable(gradient_checkpointing_kwargs=CHECKPOINTING)
    for place, layer in enumerate(layers):
        layer.gradient_checkpointing = place < count


def load_adapter(model: PreTrainedModel, folder: str | Path, merge: bool) -> torch.nn.Module:
    """Return ``model`` with a trained adapter.

    Args:
        model: the base model, as it was trained on.
        folder: the adapter in PEFT's format.
        merge: add the adapter to the weights in memory, which saves two products a layer. Not for 4-bit weights:
            they would be rounded anew.
    """
    from peft import PeftModel

    adapted = PeftModel.from_pretrained(model, folder, is_trainable=False).eval()
    return adapted.merge_and_unload().eval() if merge else adapted


def trainable_parameters(model: torch.nn.Module) -> int:
    """Return how many parameters are trained."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
