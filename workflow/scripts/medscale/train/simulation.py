"""Memory, arithmetic and traffic of a training step at any shape, on a CPU and without its memory.

The step is run on fake tensors, which have a shape and no values: the model in the form that `loading.load_base` gives
it, the adapter, the study's loss, the backward pass and the optimiser. What is alive is counted after each operator, as
CUDA's allocator counts it, in blocks of 512 bytes. Decoder layers are alike, so few of them are run and the others
added up. For a card, the kernels that it has instead of a CPU's are put in: attention, dropout, 4-bit products.

Not counted are the CUDA context, workspaces of the libraries, and what fragmentation costs.
"""

import gc
from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import PreTrainedConfig, PreTrainedModel

from medscale.base.machine import GIB
from medscale.model.blank import Step, blank_model, kernels, materialise
from medscale.model.counting import Counter, Segment, Work, only_new_garbage
from medscale.model.loading import checkpoint_layers, decoder_layers, trainable_parameters
from medscale.model.precision import torch_dtype
from medscale.train.accelerations import keep_input_type
from medscale.train.answer_loss import summed_loss

FEW = 3  # layers of a kind that are run: the first and the last differ, and the middle one stands for all others


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
        trained = sizes.trainable / max(1, self.sizes.trainable)
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
    world.enter_context(only_new_garbage())
    world.enter_context(kernels(step))
    model = blank_model(config, step, layers)
    if step.precision != "fp32":
        keep_input_type(model)
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


def _step(model: PreTrainedModel, optimiser: torch.optim.Optimizer, step: Step, counter: Counter) -> list[Segment]:
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
    counter.end()
    return counter.segments


def _mark(layers: list[torch.nn.Module], counter: Counter) -> None:
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
