"""Simulated prediction against the decoder that predicts, whose live bytes are counted in the same way."""

import gc

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from medscale.evaluate.decoding import Decoder
from medscale.evaluate.simulation import simulate
from medscale.model.blank import Step
from medscale.model.counting import Counter
from medscale.model.loading import add_adapter, load_base

LORA = {"r": 4, "alpha": 8, "dropout": 0.1, "target_modules": "all-linear", "use_rslora": False}
NF4 = {"quant_type": "nf4", "double_quant": True}
ROWS, WIDTH, NEW = 6, 64, 17
SHAPE = {
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 512,
    "tie_word_embeddings": True,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    Qwen2ForCausalLM(Qwen2Config(**SHAPE)).save_pretrained(path)
    return path


def counted(folder, method):
    """Return the bytes above the weights: at the peak of the prompts, of the last step, and of the cache before it."""
    model = load_base(folder, method, NF4, "fp32")
    if method == "qlora":
        model = add_adapter(model, LORA, seed=0)
        model.config.use_cache = True
    decoder, counter = Decoder(model.eval(), 0), Counter()
    with counter:
        Decoder(model, 0).join([[5, 6]])  # after which the counter knows the weights that a pass takes views of
        counter.begin("prompts")
        decoder.join([[5] * (WIDTH - 1), *([[7] * WIDTH] * (ROWS - 1))])
        counter.end()
        for _ in range(NEW - 2):
            decoder.step()
        gc.collect()
        counter.begin("step")
        cache = sum(part.untyped_storage().nbytes() for one in decoder._cache.layers for part in (one.keys, one.values))
        before = counter.live
        decoder.step()
        counter.end()
    prompts, step = counter.segments
    return prompts.peak - prompts.start, step.peak - before + cache, cache


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_the_peaks_above_the_weights_are_those_of_the_decoder(folder, method):
    wanted = Step(method, "fp32", LORA, NF4, rows=ROWS, width=WIDTH, card=False)
    found = simulate(Qwen2Config(**SHAPE), wanted, NEW, adapter=method == "qlora")
    prompts, step, cache = counted(folder, method)
    assert found.cache_gib * 2**30 == cache
    assert (found.prefill.peak_gib - found.weights_gib) * 2**30 == pytest.approx(prompts, rel=0.02)
    assert (found.step.peak_gib - found.weights_gib) * 2**30 == pytest.approx(step, rel=0.02)


def test_the_cache_and_the_work_are_those_by_hand():
    config = Qwen2Config(**SHAPE)
    wanted = Step("lora", "bf16", LORA, NF4, rows=ROWS, width=WIDTH, flash=True)
    found = simulate(config, wanted, NEW, adapter=False)
    assert found.cache_gib * 2**30 == 2 * 5 * ROWS * 2 * 32 * (WIDTH + NEW - 2) * 2
    linear = 2 * 128 * 128 + 2 * 128 * 64 + 3 * 128 * 384
    products = 2 * ROWS * (5 * linear + 128 * 512)  # of a step: each layer's weights, and the head
    attention = 5 * ROWS * 2 * 2 * (WIDTH + NEW - 1) * 128
    assert found.step.work.flops == pytest.approx(products + attention)


def test_a_longer_answer_and_an_adapter_apart_take_more():
    config = Qwen2Config(**SHAPE)
    wanted = Step("lora", "bf16", LORA, NF4, rows=ROWS, width=WIDTH)
    short, long = simulate(config, wanted, 8, adapter=False), simulate(config, wanted, 200, adapter=False)
    apart = simulate(config, wanted, 8, adapter=True)
    assert long.step.peak_gib > short.step.peak_gib
    assert long.prefill.peak_gib == short.prefill.peak_gib
    assert apart.step.work.launches > short.step.work.launches
    assert apart.weights_gib > short.weights_gib
