"""Memory, arithmetic and traffic of a training step at any shape, on a CPU and without its memory.

The step is run on fake tensors, which have a shape and no values: the model in the form that `loading.load_base` gives
it, the adapter, the study's loss, the backward pass and the optimiser. What is alive is counted after each operator, as
CUDA's allocator counts it, in blocks of 512 bytes. Decoder layers are alike, so few of them are run and the others
added up. For a card, the kernels that it has instead of a CPU's are put in: attention, dropout, 4-bit products.

Not counted are the CUDA context, workspaces of the libraries, and what fragmentation costs.
"""

import gc
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from types import MethodType
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedConfig, PreTrainedModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from medscale.model.loading import add_adapter, checkpoint_layers, decoder_layers, trainable_parameters
from medscale.model.precision import torch_dtype
from medscale.train.accelerations import keep_input_type
from medscale.train.answer_loss import summed_loss

GIB = 1024**3
BLOCK = 512  # bytes: what CUDA's allocator rounds to
ATTENTION = "simulated"
FOUR_BIT_KERNELS = 5  # of bitsandbytes' 4-bit product
FEW = 3  # layers of a kind that are run: the first and the last differ, and the middle one stands for all others


class Work(NamedTuple):
    """What a device does: floating-point operations, bytes read and written, kernels launched.

    ``products`` of the operations are in matrix products, and ``product_bytes`` of the bytes.
    """

    flops: float = 0.0
    bytes: float = 0.0
    product_bytes: float = 0.0
    launches: float = 0.0

    def __add__(self, other: "Work") -> "Work":  # type: ignore[override]
        return Work(*(a + b for a, b in zip(self, other, strict=True)))

    def times(self, factor: float) -> "Work":
        """Return this work done ``factor`` times."""
        return Work(*(value * factor for value in self))


class Segment(NamedTuple):
    """A part of a step: live bytes at its start, at most, and at its end, and the work in it."""

    name: str
    start: int
    peak: int
    end: int
    work: Work


class Simulated(NamedTuple):
    """A training step.

    Attributes:
        weights_gib: of the loaded model.
        adapter_gib: of the adapter's weights alone.
        resting_gib: what is alive between two micro-batches: weights, gradients, and the optimiser's moments.
        peak_gib: most that is alive at once.
        peak_in: the segment of the peak, such as ``backward 3``.
        micro_batch: work of one forward and backward pass.
        optimiser: work of the optimiser's step.
        trainable: trained parameters.
    """

    weights_gib: float
    adapter_gib: float
    resting_gib: float
    peak_gib: float
    peak_in: str
    micro_batch: Work
    optimiser: Work
    trainable: int


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


def simulate(config: PreTrainedConfig, step: Step, checkpointed: int) -> Simulated:
    """Return what a training step takes whose first ``checkpointed`` decoder layers are checkpointed.

    Args:
        config: of the model.
        step: what it works on.
        checkpointed: decoder layers with gradient checkpointing.
    """
    few, wanted = patterns(config.get_text_config().num_hidden_layers, checkpointed)
    return run(config, step, sum(few), few[0]).extended(few, wanted)


def patterns(layers: int, checkpointed: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the numbers of checkpointed and other layers, of the few that are run and of all."""
    wanted = checkpointed, layers - checkpointed
    return (min(wanted[0], FEW), min(wanted[1], FEW)), wanted


class Sizes(NamedTuple):
    """Bytes that are alive between two steps: of the weights, of the adapter's weights, and in all; trained values."""

    weights: int
    adapter: int
    resting: int
    trainable: int


class Run(NamedTuple):
    """A step that was run with few layers, what one layer more would add to what rests, and the parts of the step."""

    sizes: Sizes
    layer: Sizes
    segments: list[Segment]

    def extended(self, pattern: tuple[int, int], wanted: tuple[int, int]) -> Simulated:
        """Return the step with ``wanted`` checkpointed and other layers, instead of the numbers in ``pattern``."""
        more = sum(wanted) - sum(pattern)
        sizes = Sizes(*(few + more * one for few, one in zip(self.sizes, self.layer, strict=True)))
        trained = sizes.trainable / self.sizes.trainable
        times = {1: 1 + wanted[0] - pattern[0]} if wanted[0] > pattern[0] else {}
        if wanted[1] > pattern[1]:
            times[pattern[0] + 1] = 1 + wanted[1] - pattern[1]
        live = peak = sizes.resting
        peak_in, passes, optimiser = "rest", Work(), Work()
        for segment in self.segments:
            kind, _, number = segment.name.partition(" ")
            repeats = times.get(int(number), 1) if number else 1
            # The optimiser works on what is trained, and on nothing else; autocast has kept what no layer needs.
            share = {"optimiser": trained, "release": wanted[0] / max(1, pattern[0])}.get(kind, 1.0)
            rise, change = int((segment.peak - segment.start) * share), int((segment.end - segment.start) * share)
            top = live + max(rise, rise + (repeats - 1) * change)
            if top > peak:
                peak, peak_in = top, kind
            live += repeats * change
            if kind == "optimiser":
                optimiser += segment.work.times(share)
            else:
                passes += segment.work.times(repeats)
        gib = (sizes.weights / GIB, sizes.adapter / GIB, sizes.resting / GIB, peak / GIB)
        return Simulated(*gib, peak_in, passes, optimiser, sizes.trainable)


def run(config: PreTrainedConfig, step: Step, layers: int, checkpointed: int) -> Run:
    """Run a step of a model with few layers; see `simulate`."""
    _, larger = _rest(config, step, layers + 1)
    with ExitStack() as world:
        counter, sizes, model, optimiser = _standing(config, step, layers, world)
        checkpoint_layers(model, checkpointed)
        segments = _step(model, optimiser, step, counter)
    one = Sizes(*(more - less for more, less in zip(larger, sizes, strict=True)))
    return Run(sizes, one, segments)


def _rest(config: PreTrainedConfig, step: Step, layers: int) -> tuple[None, Sizes]:
    with ExitStack() as world:
        return None, _standing(config, step, layers, world)[1]


def _standing(config: PreTrainedConfig, step: Step, layers: int, world: ExitStack) -> tuple[Any, ...]:
    """Return a counter, what is alive, the model with its adapter, and an optimiser that has made a step."""
    world.enter_context(_kernels(step))
    model = blank_model(config, step, layers)
    counter = Counter()
    world.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
    world.enter_context(counter)
    trained = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
    materialise(model, step, frozen=True, chosen=lambda parameter: id(parameter) not in trained)
    gc.collect()
    weights = counter.live
    materialise(model, step, frozen=False, chosen=lambda parameter: id(parameter) in trained)
    gc.collect()
    adapter = counter.live - weights
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    optimiser = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.0, foreach=step.card)
    optimiser.step()
    gc.collect()
    return counter, Sizes(weights, adapter, counter.live, trainable_parameters(model)), model, optimiser


def _step(model: PreTrainedModel, optimiser: torch.optim.Optimizer, step: Step, counter: "Counter") -> list[Segment]:
    base, width = model.get_base_model(), step.width
    ids = torch.zeros((step.rows, width), dtype=torch.long)
    mask = torch.ones((step.rows, 1, width, width), dtype=torch.bool) if step.padded else None
    kinds = getattr(base.config.get_text_config(), "layer_types", None)
    masks = dict.fromkeys(set(kinds), mask) if kinds else mask
    count = max(1, int(step.rows * (width - 1) * step.answers))
    where, targets = (torch.zeros(count, dtype=torch.long) for _ in range(2))
    _mark(decoder_layers(model), counter)
    model.train()
    counter.begin("embed")
    with _autocast(step):
        hidden = base.get_decoder()(input_ids=ids, attention_mask=masks, use_cache=False)[0]
        loss = summed_loss(hidden[:, :-1].flatten(0, 1)[where], base.get_output_embeddings(), targets) / count
        del hidden
        counter.begin("release")  # of the adapters' weights in 16 bits, which autocast has kept
    counter.begin("head")
    loss.backward()
    del loss
    counter.begin("optimiser")
    torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], 1.0, foreach=step.card)
    optimiser.step()
    counter.begin("end")
    return counter.segments


def _mark(layers: list[torch.nn.Module], counter: "Counter") -> None:
    """Let the counter begin a segment where a layer begins, and where its backward pass begins."""
    for number, layer in enumerate(layers):

        def before(*_: Any, number: int = number) -> None:
            if counter.forward:  # a checkpointed layer runs once more, within its backward pass
                counter.begin(f"forward {number}")

        def after(_module: Any, _inputs: Any, output: Any, number: int = number) -> None:
            if counter.forward:
                hidden = output if isinstance(output, torch.Tensor) else output[0]
                hidden.register_hook(lambda _gradient: counter.begin(f"backward {number}"))
                if number == len(layers) - 1:
                    counter.begin("head")

        layer.register_forward_pre_hook(before)
        layer.register_forward_hook(after)


def _autocast(step: Step) -> Any:
    return torch.autocast("cpu", dtype=torch_dtype(step.precision), enabled=step.precision != "fp32")


def blank_model(config: PreTrainedConfig, step: Step, layers: int) -> PreTrainedModel:
    """Return a model of so many layers with its adapter, without memory."""
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
        model = add_adapter(model, step.lora, seed=0)
    if step.precision != "fp32":
        keep_input_type(model)
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


def materialise(model: torch.nn.Module, step: Step, frozen: bool, chosen: Any) -> None:
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
def _kernels(step: Step) -> Iterator[None]:
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


class Counter(TorchDispatchMode):
    """Counts what is alive of what operators have returned, and what they do.

    Attributes:
        live: bytes that are alive.
        segments: the parts that have ended.
        forward: whether no backward pass has begun yet.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self.forward = True
        self.segments: list[Segment] = []
        self._known: set[int] = set()
        self._begun: tuple[str, int] | None = None
        self._work = [0.0, 0.0, 0.0, 0.0]

    def begin(self, name: str) -> None:
        """End the present segment, and begin one."""
        if self._begun:
            before, start = self._begun
            self.segments.append(Segment(before, start, self.peak, self.live, Work(*self._work)))
        self.forward = self.forward and not name.startswith("backward")
        self._begun, self.peak, self._work = (name, self.live), self.live, [0.0, 0.0, 0.0, 0.0]

    def __torch_dispatch__(self, operator: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        found = operator(*arguments, **(named or {}))
        for tensor in tree_leaves(found):
            if isinstance(tensor, torch.Tensor) and tensor.device.type == "cpu":
                self._add(tensor.untyped_storage())
        if self._begun:
            self._note(operator, arguments, named or {}, found)
        return found

    def _add(self, storage: torch.UntypedStorage) -> None:
        if id(storage) in self._known:
            return
        size = -(-storage.nbytes() // BLOCK) * BLOCK
        self._known.add(id(storage))
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._drop, id(storage), size)

    def _drop(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.live -= size

    def _note(self, operator: Any, arguments: Any, named: Any, found: Any) -> None:
        packet = operator._overloadpacket
        name = str(packet)
        if operator.is_view or name in VIEWS or name.startswith(("prim", "aten.empty")):
            return
        tensors = [value for value in tree_leaves((arguments, named)) if isinstance(value, torch.Tensor)]
        moved = sum(_bytes(tensor) for tensor in tensors)
        moved += sum(_bytes(value) for value in tree_leaves(found) if isinstance(value, torch.Tensor))
        flops, launches = 0.0, 1
        if packet in flop_registry:
            flops = flop_registry[packet](*arguments, **named, out_val=found)
        elif name == "bitsandbytes.gemm_4bit":
            rows, columns = arguments[2]
            flops, launches = 2.0 * arguments[0].numel() * rows, FOUR_BIT_KERNELS
            moved += 4 * rows * columns  # unpacked, written and read
        for place, value in enumerate((flops, moved, moved if flops else 0.0, launches)):
            self._work[place] += value


VIEWS = {f"aten.{name}" for name in ("detach", "alias", "lift_fresh", "_unsafe_view", "reshape")}


def _bytes(tensor: torch.Tensor) -> int:
    """Return what is read of a tensor; an expanded one has fewer values than places."""
    return tensor.untyped_storage().nbytes() if 0 in tensor.stride() else tensor.numel() * tensor.element_size()
