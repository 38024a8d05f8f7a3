"""The simulated step against a real one, whose live bytes are counted in the same way, and its sums by hand."""

import gc

import pytest
import torch
from transformers import Qwen2Config

from medscale.model.loading import add_adapter, checkpoint_layers, load_base
from medscale.train.accelerations import keep_input_type
from medscale.train.answer_loss import summed_loss
from medscale.train.simulation import Counter, Step, simulate

LORA = {"r": 4, "alpha": 8, "dropout": 0.1, "target_modules": "all-linear", "use_rslora": False}
NF4 = {"quant_type": "nf4", "double_quant": True}
LAYERS = 5
SHAPE = {
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 512,
    "tie_word_embeddings": True,
}


def step(method, precision="fp32", **changes):
    return Step(method, precision, LORA, NF4, rows=3, width=40, **{"card": False} | changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model of true weights, for the loader."""
    from transformers import Qwen2ForCausalLM

    path = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    Qwen2ForCausalLM(Qwen2Config(**SHAPE)).save_pretrained(path)
    return path


def counted(folder, wanted: Step, checkpointed: int):
    """Return the bytes at rest and at the peak of the second of two real steps."""
    counter = Counter()
    model = load_base(folder, wanted.method, NF4, wanted.precision)
    model = add_adapter(model, LORA, seed=0)
    if wanted.precision != "fp32":
        keep_input_type(model)
    checkpoint_layers(model, checkpointed)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.0, foreach=False)
    ids = torch.randint(0, 512, (wanted.rows, wanted.width))
    mask = torch.ones(wanted.rows, 1, wanted.width, wanted.width).tril().bool()
    base, count = model.get_base_model(), wanted.rows * (wanted.width - 1)
    where = torch.arange(count)
    model.train()
    peak = 0
    for number in range(2):
        with counter:
            if number:
                for parameter in parameters:  # what an earlier micro-batch has left
                    parameter.grad = torch.zeros_like(parameter)
                counter.begin("step")
                start = counter.live
            masks = {"full_attention": mask}
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=wanted.precision == "bf16"):
                hidden = base.get_decoder()(input_ids=ids, attention_mask=masks, use_cache=False)[0]
                loss = summed_loss(hidden[:, :-1].flatten(0, 1)[where], base.lm_head, ids[:, 1:].flatten()) / count
            del hidden
            loss.backward()
            del loss
            torch.nn.utils.clip_grad_norm_(parameters, 1.0, foreach=False)
            optimiser.step()
            peak = counter.peak - start if number else 0
            optimiser.zero_grad()
        gc.collect()
    return peak


@pytest.mark.parametrize(
    ("method", "precision", "checkpointed"),
    [
        *(("lora", "fp32", count) for count in range(LAYERS + 1)),
        *(("qlora", "bf16", count) for count in range(LAYERS + 1)),
        *((method, precision, LAYERS) for method, precision in (("lora", "bf16"), ("qlora", "fp32"))),
    ],
)
def test_the_peak_above_rest_is_that_of_real_tensors(folder, method, precision, checkpointed):
    wanted = step(method, precision)
    found = simulate(Qwen2Config(**SHAPE), wanted, checkpointed)
    real = counted(folder, wanted, checkpointed)
    assert (found.peak_gib - found.resting_gib) * 2**30 == pytest.approx(real, rel=0.002)
