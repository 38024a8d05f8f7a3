"""Adapters that take their input in the precision it has: less is moved, and nothing else is different."""

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from medscale.model.loading import add_adapter
from medscale.train.accelerations import keep_input_type
from medscale.train.simulation import Counter, Step, simulate

LORA = {"r": 4, "alpha": 8, "dropout": 0.0, "target_modules": "all-linear", "use_rslora": False}
SHAPE = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4, "num_key_value_heads": 2}


@pytest.fixture
def config():
    return Qwen2Config(vocab_size=100, num_hidden_layers=2, **SHAPE)


def gradients(config, kept):
    torch.manual_seed(0)
    model = add_adapter(Qwen2ForCausalLM(config).to(torch.bfloat16).requires_grad_(False), LORA, seed=1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(2))
    if kept:
        keep_input_type(model)
    ids = torch.arange(60).view(3, 20)
    counter = Counter()
    with torch.autocast("cpu", dtype=torch.bfloat16), counter:
        counter.begin("forward")
        loss = model(input_ids=ids, labels=ids).loss
        counter.begin("end")
    loss.backward()
    found = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.requires_grad}
    return loss.item(), found, counter.segments[0].work


def test_the_loss_and_the_gradients_are_the_same_bit_for_bit(config):
    (loss, wanted, before), (kept_loss, found, after) = (gradients(config, kept) for kept in (False, True))
    assert kept_loss == loss
    for name, gradient in wanted.items():
        assert torch.equal(found[name], gradient), name
        assert gradient.abs().sum() > 0
    assert after.bytes < 0.9 * before.bytes
    assert after.launches < before.launches
    assert after.flops == before.flops


def test_a_simulated_card_needs_less_memory_for_it(config, monkeypatch):
    step = Step("lora", "fp16", LORA, {}, rows=4, width=64)
    less = simulate(config, step, 0)
    monkeypatch.setattr("medscale.train.simulation.keep_input_type", lambda model: None)
    more = simulate(config, step, 0)
    assert less.peak_gib < more.peak_gib
    assert less.micro_batch.bytes < 0.9 * more.micro_batch.bytes
