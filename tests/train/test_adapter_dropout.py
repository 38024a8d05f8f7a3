"""The adapter's dropout on a CPU is a dropout: the share, the mean, the gradient, and the same values by the seed."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.checkpoint import checkpoint

from medscale.train.adapter_dropout import BitDropout, use_bit_dropout


def dropped(p, *shape, seed=0):
    torch.manual_seed(seed)
    return BitDropout(p)(torch.ones(shape)) == 0


@pytest.mark.parametrize("p", [0.001, 0.05, 0.5, 0.95])
def test_the_share_of_zeros_is_the_probability(p):
    count = 1_000_000
    five_deviations = 5 * math.sqrt(p * (1 - p) / count)
    assert dropped(p, count).double().mean().item() == pytest.approx(p, abs=five_deviations + 2**-17)


def test_the_values_that_one_draw_decides_on_are_independent():
    zeros = dropped(0.3, 250_000, 4).double()
    correlations = torch.corrcoef(zeros.T) - torch.eye(4)
    assert correlations.abs().max() < 5 / math.sqrt(250_000)


@given(
    shape=st.lists(st.integers(0, 7), min_size=1, max_size=3),
    p=st.floats(0, 1, exclude_max=True),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
)
def test_what_is_kept_is_scaled_and_its_gradient_alike(shape, p, dtype):
    torch.manual_seed(0)
    values = torch.ones(shape, dtype=dtype, requires_grad=True)
    result = BitDropout(p)(values)
    result.backward(torch.full_like(result, 2.0))
    assert result.shape == values.shape
    assert result.dtype == dtype
    kept = result.detach()[result.detach() != 0]
    scale = 65_536 / (65_536 - min(round(p * 65_536), 65_535))  # a probability in 65,536ths, and never one
    torch.testing.assert_close(kept, torch.full_like(kept, scale))
    assert torch.equal(values.grad, 2 * result.detach())


def test_the_mean_stays():
    torch.manual_seed(0)
    assert BitDropout(0.05)(torch.ones(1_000_000)).mean().item() == pytest.approx(1, abs=0.002)


def test_the_seed_decides():
    assert torch.equal(dropped(0.5, 100, 9), dropped(0.5, 100, 9))
    assert not torch.equal(dropped(0.5, 100, 9), dropped(0.5, 100, 9, seed=1))


def test_nothing_is_dropped_outside_training():
    values = torch.ones(1000)
    assert BitDropout(0.5).eval()(values) is values


def test_a_checkpointed_layer_drops_the_same_values_again():
    layer = torch.nn.Sequential(torch.nn.Linear(8, 8), BitDropout(0.5), torch.nn.Linear(8, 1))
    values = torch.randn(64, 8)
    gradients = []
    for run in (layer, lambda x: checkpoint(layer, x, use_reentrant=False)):
        torch.manual_seed(3)
        layer.zero_grad()
        run(values).sum().backward()
        gradients.append([parameter.grad.clone() for parameter in layer.parameters()])
    for plain, recomputed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, recomputed)


def test_only_dropout_is_replaced_and_stays_in_its_mode():
    model = torch.nn.ModuleDict({"drop": torch.nn.Dropout(0.2), "other": torch.nn.AlphaDropout(0.2)})
    model["inner"] = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout(0.1).eval())
    use_bit_dropout(model)
    assert (type(model["drop"]), model["drop"].p, model["drop"].training) == (BitDropout, 0.2, True)
    assert (type(model["inner"][1]), model["inner"][1].training) == (BitDropout, False)
    assert type(model["other"]) is torch.nn.AlphaDropout


def drawn(count, seed):
    """The 16 bits that decide on each value, as a signed number."""
    torch.manual_seed(seed)
    return torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)[:count]


@pytest.mark.parametrize("count", [400_000, 400_003])
@pytest.mark.parametrize(("p", "share"), [(0.5, 32_768), (1 / 65_536, 1), (0.25, 16_384)])
def test_a_value_is_kept_whose_bits_are_not_below_the_share(p, share, count):
    values = dropped(p, count, seed=4)
    assert torch.equal(values, drawn(count, 4) < share - 32_768)


@pytest.mark.parametrize("p", [65_535 / 65_536, 1 - 1e-9])
def test_even_the_largest_probability_keeps_a_few_and_their_mean(p):
    torch.manual_seed(1)
    values = BitDropout(p)(torch.ones(1_000_000))
    assert set(values.unique().tolist()) == {0.0, 65_536.0}


@pytest.mark.parametrize("p", [0.0, 2**-18])
def test_a_probability_that_rounds_to_none_changes_nothing(p):
    values = torch.ones(10)
    assert BitDropout(p)(values) is values


def test_the_values_that_are_given_stay_as_they_are():
    values = torch.ones(100, requires_grad=True)
    torch.manual_seed(0)
    upstream = torch.ones(100)
    BitDropout(0.5)(values).backward(upstream)
    assert values.detach().eq(1).all()
    assert upstream.eq(1).all()
