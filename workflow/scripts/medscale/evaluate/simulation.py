"""Memory, arithmetic and traffic of prediction at any shape, on a CPU and without its memory.

As in `train.simulation` the passes are run on fake tensors: one over the prompts, which fills the cache of keys and
values, and one that continues every row by one token. Not counted are the CUDA context, workspaces of the libraries,
and what fragmentation costs.
"""

import gc
from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import DynamicCache, PreTrainedConfig, PreTrainedModel

from medscale.base.machine import GIB
from medscale.model.blank import Step, blank_model, kernels, materialise
from medscale.model.counting import Counter, Segment, Work, only_new_garbage
from medscale.model.loading import decoder_layers

FEW = 3  # layers that are run: the first and the last differ, and the middle one stands for all others


class Pass(NamedTuple):
    """A pass over the model without gradients: the most that is alive in it, in GiB, and its work."""

    peak_gib: float
    work: Work


class Simulated(NamedTuple):
    """Prediction.

    Attributes:
        weights_gib: of the loaded model, with its adapter where it stays apart.
        cache_gib: of keys and values of all rows at the end of the longest answer.
        prefill: the pass over the prompts.
        step: the last pass, which continues every row by one token.
    """

    weights_gib: float
    cache_gib: float
    prefill: Pass
    step: Pass


def simulate(config: PreTrainedConfig, step: Step, new_tokens: int, adapter: bool, kept: int = 1) -> Simulated:
    """Return what answers take.

    Args:
        config: of the model.
        step: rows and width of the prompts, method and precision.
        new_tokens: of the longest answer.
        adapter: whether the adapter stays apart from the weights, as QLoRA's does.
        kept: positions of each row of the prompts that go through the language-model head.
    """
    layers = config.get_text_config().num_hidden_layers
    few = min(layers, FEW)
    with ExitStack() as world:
        larger = _standing(config, step, few + 1, adapter, world)[1]
    with ExitStack() as world:
        counter, weights, model = _standing(config, step, few, adapter, world)
        cache = DynamicCache(config=model.config.get_text_config())
        prompts = _pass(model, step, counter, cache, step.width, kept)
        _lengthen(cache, new_tokens - 2)
        gc.collect()
        held = _cached(cache)
        following = _pass(model, step, counter, cache, 1, 1)
    resting = weights + (layers - few) * (larger - weights)
    before = held * layers // few  # the cache, which all layers hold alike
    return Simulated(
        resting / GIB,
        before / GIB,
        _extended(prompts, few, layers, resting),
        _extended(following, few, layers, resting + before),
    )


def _standing(
    config: PreTrainedConfig, step: Step, layers: int, adapter: bool, world: ExitStack
) -> tuple[Counter, int, PreTrainedModel]:
    """Return a counter, the bytes of the weights, and the model."""
    world.enter_context(only_new_garbage())
    world.enter_context(kernels(step))
    model = blank_model(config, step, layers, adapter)
    counter = Counter()
    world.enter_context(torch.no_grad())
    world.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
    world.enter_context(counter)
    materialise(model, step, frozen=True, chosen=lambda _parameter: True)
    gc.collect()
    return counter, counter.live, model.eval()


def _pass(
    model: PreTrainedModel, step: Step, counter: Counter, cache: DynamicCache, tokens: int, kept: int
) -> list[Segment]:
    """Run a pass over ``tokens`` new tokens of each row, and return its parts."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    counter.segments = []
    ids = torch.zeros((step.rows, tokens), dtype=torch.long)
    seen = cache.get_seq_length()
    mask = torch.ones((step.rows, 1, tokens, seen + tokens), dtype=torch.bool) if step.padded else None
    kinds = getattr(base.config.get_text_config(), "layer_types", None)
    masks: Any = dict.fromkeys(set(kinds), mask) if kinds else mask
    handles = [
        layer.register_forward_pre_hook(lambda *_, number=number: counter.begin(f"layer {number}"))
        for number, layer in enumerate(decoder_layers(model))
    ]
    handles.append(decoder_layers(model)[-1].register_forward_hook(lambda *_: counter.begin("head")))
    counter.begin("embed")
    hidden = base.get_decoder()(
        input_ids=ids,
        attention_mask=masks,
        position_ids=torch.zeros((step.rows, tokens), dtype=torch.long),
        past_key_values=cache,
        use_cache=True,
    )[0]
    base.get_output_embeddings()(hidden[:, -kept:])[:, -1].argmax(-1)
    del hidden
    counter.end()
    for handle in handles:
        handle.remove()
    return counter.segments


def _lengthen(cache: DynamicCache, tokens: int) -> None:
    """Put as many tokens into the cache, as earlier steps would have done."""
    for layer in cache.layers:
        shape = list(layer.keys.shape)
        shape[2] += max(0, tokens)
        layer.keys, layer.values = (torch.empty(shape, dtype=layer.keys.dtype) for _ in range(2))


def _cached(cache: DynamicCache) -> int:
    return sum(part.untyped_storage().nbytes() for layer in cache.layers for part in (layer.keys, layer.values))


def _extended(segments: list[Segment], few: int, layers: int, resting: int) -> Pass:
    """Return the pass through all layers; the second stands for those that were not run."""
    live = peak = resting
    work = Work()
    for segment in segments:
        kind, _, number = segment.name.partition(" ")
        repeats = 1 + layers - few if kind == "layer" and int(number) == min(1, few - 1) else 1
        rise, change = segment.peak - segment.start, segment.end - segment.start
        peak = max(peak, live + max(rise, rise + (repeats - 1) * change))
        live += repeats * change
        work += segment.work.times(repeats)
    return Pass(peak / GIB, work)
