"""Models without memory, in the form in which the loader gives them, and a card's kernels in the place of a CPU's.

Their weights become fake tensors, which have a shape and no values, so that a pass at any shape can be counted on a
machine that could not hold the model.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from types import MethodType
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedConfig, PreTrainedModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from medscale.model.loading import add_adapter
from medscale.model.precision import torch_dtype

ATTENTION = "simulated"


class Step(NamedTuple):
    """What a step works on.

    Attributes:
        method: lora or qlora.
        precision: bf16, fp16 or fp32.
        lora: the resolved section `lora`.
        quantization: the resolved section `quantization`.
        rows, width: of a micro-batch.
        answers: share of the tokens that have a label.
        card: whether a card's kernels are taken instead of a CPU's.
        flash: whether the card has flash attention (compute capability 8.0 and higher), which rows of one length use.
        padded: whether the rows differ in length, so that there is a mask.
    """

    method: str
    precision: str
    lora: dict[str, Any]
    quantization: dict[str, Any]
    rows: int
    width: int
    answers: float = 1.0
    card: bool = True
    flash: bool = False
    padded: bool = True


def blank_model(config: PreTrainedConfig, step: Step, layers: int, adapter: bool = True) -> PreTrainedModel:
    """Return a model of so many layers, without memory; with its adapter or alone."""
    config = deepcopy(config)
    text, dtype = config.get_text_config(), torch_dtype(step.precision)
    text.num_hidden_layers = layers
    if getattr(text, "layer_types", None):
        text.layer_types = (text.layer_types * layers)[:layers]
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(
            config, dtype=dtype, attn_implementation=ATTENTION if step.card else "sdpa"
        )
        if step.method == "qlora":
            _four_bit(model, step, dtype)
        model.requires_grad_(False)
        if adapter:
            model = add_adapter(model, step.lora, seed=0)
    return model


def _four_bit(model: PreTrainedModel, step: Step, dtype: torch.dtype) -> None:
    """Make the linear layers 4-bit ones, as transformers does when it loads a model."""
    from transformers.integrations.bitsandbytes import replace_with_bnb_linear

    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=step.quantization["quant_type"],
        bnb_4bit_use_double_quant=step.quantization["double_quant"],
        bnb_4bit_compute_dtype=dtype,
    )
    head = model.get_output_embeddings()
    kept = [name for name, module in model.named_modules() if module is head]
    replace_with_bnb_linear(model, kept, quantization)
    model.is_loaded_in_4bit = True


def materialise(model: torch.nn.Module, step: Step, frozen: bool, chosen: Callable[[torch.nn.Parameter], bool]) -> None:
    """Give memory to the parameters that are chosen and, with the frozen ones, to the buffers; they may be fake."""
    made: dict[int, torch.nn.Parameter] = {}
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None and parameter.device.type == "meta" and chosen(parameter):
                if id(parameter) not in made:
                    made[id(parameter)] = _given(module, parameter, step)
                module._parameters[name] = made[id(parameter)]
        if frozen:
            for name, buffer in module._buffers.items():
                if buffer is not None:
                    module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype)


def _given(module: torch.nn.Module, parameter: torch.nn.Parameter, step: Step) -> torch.nn.Parameter:
    if not hasattr(parameter, "quant_type"):
        return torch.nn.Parameter(torch.empty(parameter.shape, dtype=parameter.dtype), parameter.requires_grad)
    from bitsandbytes.functional import QuantState

    rows, columns = module.out_features, module.in_features
    blocks, dtype = -(-rows * columns // parameter.blocksize), module.compute_dtype
    weight = torch.nn.Parameter(torch.empty((-(-rows * columns // 2), 1), dtype=torch.uint8), requires_grad=False)
    state: dict[str, Any] = {"absmax": torch.empty(blocks, dtype=torch.float32)}
    if parameter.compress_statistics:
        state["absmax"] = torch.empty(blocks, dtype=torch.uint8)
        state["offset"] = torch.empty((), dtype=torch.float32)
        nested = torch.empty(-(-blocks // 256), dtype=torch.float32), torch.empty(256, dtype=torch.float32)
        state["state2"] = QuantState(absmax=nested[0], code=nested[1], blocksize=256, dtype=torch.float32)
    weight.quant_state = module.quant_state = QuantState(
        shape=torch.Size((rows, columns)),
        code=torch.empty(16, dtype=torch.float32),
        blocksize=parameter.blocksize,
        quant_type=parameter.quant_type,
        dtype=dtype,
        **state,
    )
    for name in ("compress_statistics", "quant_type", "blocksize", "quant_storage"):
        setattr(weight, name, getattr(parameter, name))
    weight.bnb_quantized = module.compute_type_is_set = True
    module.support_avx512bf16_for_cpu = False
    if step.card:
        module.forward = MethodType(_four_bit_forward, module)
    return weight


def _four_bit_forward(self: Any, values: torch.Tensor) -> torch.Tensor:
    """The product with a 4-bit weight, beside the buffers in which a card unpacks the weight for many rows."""
    from bitsandbytes import matmul_4bit

    state = self.weight.quant_state
    unpacked = torch.empty(state.shape, dtype=values.dtype)
    scales = torch.empty(state.shape.numel() // state.blocksize, dtype=torch.float32)
    bias = None if self.bias is None else self.bias.to(values.dtype)
    found = matmul_4bit(values.to(self.compute_dtype), self.weight, bias=bias, quant_state=state)
    del unpacked, scales
    return found.to(values.dtype)


@contextmanager
def kernels(step: Step) -> Iterator[None]:
    """Put the kernels of a card in the place of a CPU's."""
    if not step.card:
        yield
        return
    asked = torch.is_autocast_enabled

    def dropout(values: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> torch.Tensor:
        return torch.native_dropout(values, p, True)[0] if training and p else values

    def attention(
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        dropout: float = 0.0,
        scaling: float | None = None,
        **_: Any,
    ) -> tuple[torch.Tensor, None]:
        groups = query.shape[1] // key.shape[1]
        if attention_mask is None and step.flash:
            found = torch.ops.aten._scaled_dot_product_flash_attention(
                query, key, value, 0.0, True, False, scale=scaling
            )[0]
        else:
            bias = None
            if attention_mask is not None:
                bias = torch.where(attention_mask, 0.0, float("-inf")).to(query.dtype)
                bias = bias.expand(-1, query.shape[1], -1, -1)
            key, value = (part.repeat_interleave(groups, 1) if groups > 1 else part for part in (key, value))
            causal = attention_mask is None and query.shape[2] > 1
            found = torch.ops.aten._scaled_dot_product_efficient_attention(
                query, key, value, bias, torch.is_grad_enabled(), 0.0, causal, scale=scaling
            )[0]
        return found.transpose(1, 2).contiguous(), None

    ALL_ATTENTION_FUNCTIONS.register(ATTENTION, attention)
    # PEFT's 4-bit layer asks whether a card's autocast is on; here it is the CPU's that stands for it.
    with (
        patch.object(torch.nn.functional, "dropout", dropout),
        patch.object(torch, "is_autocast_enabled", lambda *kind: asked(*kind) if kind else asked("cpu")),
    ):
        yield
