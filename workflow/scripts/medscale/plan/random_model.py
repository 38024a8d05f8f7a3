"""A model of a given shape with random weights, loaded by the same code and in the same form as the fetched one.

The loader is given a file that has every tensor's name and shape and, on the disk, no data: a sparse file of zeros.
What it loads is then filled with random numbers in place, on the device, one tensor at a time. So a shape of any size
needs no more memory than the model itself, and 4-bit weights are made by the loader that makes them for the training.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

from medscale.base.errors import UserError
from medscale.model.loading import load_base
from medscale.model.precision import torch_dtype
from medscale.model.tiny import new_model
from medscale.plan.shapes import Shape

FILE_TYPES = {torch.bfloat16: ("BF16", 2), torch.float16: ("F16", 2), torch.float32: ("F32", 4)}
SPREAD = 0.02  # standard deviation of random weights


def config_of(shape: Shape) -> PreTrainedConfig:
    """Return the configuration of a shape.

    Raises:
        UserError: this version of transformers knows no such model.
    """
    if shape.tiny:
        return new_model(blank_tokenizer(shape.tiny["vocab_size"]), shape.tiny, seed=0).config
    try:
        if shape.folder:
            return AutoConfig.from_pretrained(shape.folder, trust_remote_code=False)
        fields = dict(shape.config)
        return AutoConfig.for_model(fields.pop("model_type"), **fields)
    except (ValueError, OSError, KeyError) as error:
        raise UserError(
            "P102", f"{shape.name}: its config.json makes no model that transformers knows: {error}"
        ) from error


def empty_model(config: PreTrainedConfig) -> PreTrainedModel:
    """Return the model without memory for its weights.

    Raises:
        UserError: there is no causal language model of this kind.
    """
    try:
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config)
    except ValueError as error:
        raise UserError(
            "P102", f"{config.model_type}: no causal language model of this version of transformers"
        ) from error


def weights_gib(shape: Shape, method: str, precision: str) -> float:
    """Return what the weights take in memory, in GiB, by counting: linear layers at half a byte for ``qlora``."""
    model, size = empty_model(config_of(shape)), torch_dtype(precision).itemsize
    head = model.get_output_embeddings()
    linear = sum(m.weight.numel() for m in model.modules() if isinstance(m, torch.nn.Linear) and m is not head)
    packed = linear if method == "qlora" else 0
    return (packed * 0.52 + (model.num_parameters() - packed) * size) / 1024**3


def load_shape(shape: Shape, method: str, quantization: dict[str, Any], precision: str) -> PreTrainedModel:
    """Return the model on the device as `loading.load_base` does: fetched, or of the same shape and random.

    Args:
        shape: from `shapes.shape_of`.
        method, quantization, precision: see `loading.load_base`.
    """
    if shape.folder:
        return load_base(Path(shape.folder), method, quantization, precision)
    config = config_of(shape)
    with tempfile.TemporaryDirectory() as folder:
        write_blank(config, Path(folder))
        model = load_base(Path(folder), method, quantization, precision)
    randomise(model)
    return model


def write_blank(config: PreTrainedConfig, folder: Path) -> None:
    """Write a model directory whose weights are a hole in a file."""
    model = empty_model(config)
    config.architectures = [type(model).__name__]
    config.save_pretrained(folder)
    name, size = FILE_TYPES[config.dtype if config.dtype in FILE_TYPES else torch.float32]
    tied = set(getattr(model, "all_tied_weights_keys", {})) if config.get_text_config().tie_word_embeddings else set()
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for key, tensor in model.state_dict().items():
        if key not in tied:
            begin, end = end, end + tensor.numel() * size
            header[key] = {"dtype": name, "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(folder / "model.safetensors", "wb") as handle:
        handle.write(len(text).to_bytes(8, "little") + text)
        handle.truncate(8 + len(text) + end)


@torch.no_grad()
def randomise(model: PreTrainedModel) -> None:
    """Fill every weight with random numbers in place: norms with ones, 4-bit weights with quantised ones.

    Zeros would not do: a card draws less power multiplying them, and runs faster.
    """
    torch.manual_seed(0)
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            if hasattr(parameter, "quant_state"):  # bitsandbytes' 4-bit weights
                _randomise_four_bit(module, parameter)
            elif parameter.dim() == 1:
                parameter.fill_(1.0 if "norm" in type(module).__name__.lower() else 0.0)
            else:
                parameter.normal_(0.0, SPREAD)


def _randomise_four_bit(module: torch.nn.Module, parameter: Any) -> None:
    from bitsandbytes.functional import quantize_4bit

    state = parameter.quant_state
    weight = torch.empty(state.shape, dtype=state.dtype, device=parameter.device).normal_(0.0, SPREAD)
    data, state = quantize_4bit(
        weight,
        blocksize=parameter.blocksize,
        compress_statistics=parameter.compress_statistics,
        quant_type=parameter.quant_type,
        quant_storage=parameter.quant_storage,
    )
    parameter.data, parameter.quant_state = data, state
    module.quant_state = state


def blank_tokenizer(entries: int) -> PreTrainedTokenizerFast:
    """Return a tokenizer that can pad, of a vocabulary without meaning."""
    words = {f"<{number}>": number for number in range(entries)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<1>"))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<0>", eos_token="<1>", unk_token="<1>")
