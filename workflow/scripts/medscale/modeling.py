"""Loading a base model as LoRA or QLoRA needs it, and putting an adapter on it."""

from pathlib import Path
from typing import Any

import torch
from bitsandbytes.nn import Linear4bit
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedModel

from medscale.errors import UserError
from medscale.hardware import device, torch_dtype

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
        UserError: the directory holds no causal language model that this version of transformers knows.
    """
    dtype = torch_dtype(precision)
    four_bit = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=quantization["quant_type"],
        bnb_4bit_use_double_quant=quantization["double_quant"],
        bnb_4bit_compute_dtype=dtype,
    )
    try:
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            quantization_config=four_bit if method == "qlora" else None,
            device_map={"": device()},
            use_safetensors=True,
            trust_remote_code=False,
        )
    except (ValueError, OSError, KeyError) as error:
        raise UserError(f"{folder}: cannot be loaded as a causal language model: {error}") from error
    _keep_four_bit_layers_differentiable(model)
    return model.requires_grad_(False)


def _keep_four_bit_layers_differentiable(model: PreTrainedModel) -> None:
    """Stop bitsandbytes from repacking 4-bit weights on CPUs with AVX512-BF16.

    It repacks them at the first evaluation for a kernel that has no backward pass and computes in bf16. Training that
    goes on afterwards, as after each validation, would silently lose the gradient through the base model.
    """
    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False


def add_adapter(
    model: PreTrainedModel, method: str, lora: dict[str, Any], gradient_checkpointing: bool, seed: int
) -> PeftModel:
    """Return ``model`` with a new, trainable adapter whose weights are float32, drawn from ``seed``.

    Float32 adapters keep fp16 training possible: the gradient scaler refuses to unscale fp16 gradients.

    Raises:
        UserError: `lora.target_modules` names no module of this model.
    """
    if method == "qlora":
        model = prepare_model_for_kbit_training(
            model, use_gradient_checkpointing=gradient_checkpointing, gradient_checkpointing_kwargs=CHECKPOINTING
        )
    elif gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=CHECKPOINTING)
        model.enable_input_require_grads()
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
        raise UserError(f"lora.target_modules = {lora['target_modules']}: {error}") from error


def load_adapter(model: PreTrainedModel, folder: str | Path) -> PeftModel:
    """Return ``model`` with a trained adapter, not merged: merging into 4-bit weights would change them."""
    return PeftModel.from_pretrained(model, folder, is_trainable=False).eval()


def trainable_parameters(model: torch.nn.Module) -> int:
    """Return how many parameters are trained."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
