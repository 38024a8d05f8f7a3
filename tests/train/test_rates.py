"""The choice of a rate, the step beyond an end, and the rates of the sizes between."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medscale.base.errors import UserError
from medscale.train.rates import best_rate, chosen_rate, edge, extension, rate_between

RATES = st.floats(1e-7, 1)
LOSSES = st.dictionaries(RATES, st.one_of(st.none(), st.just(math.nan), st.floats(0, 20)), min_size=1)


@given(LOSSES)
def test_the_chosen_rate_has_the_lowest_loss(losses):
    best = best_rate(losses)
    whole = [loss for loss in losses.values() if loss is not None and not math.isnan(loss)]
    if best is None:
        assert whole == []
    else:
        assert losses[best] == min(whole)
        assert best == min(rate for rate, loss in losses.items() if loss == min(whole)), "of equal ones the smallest"


@given(st.lists(RATES, min_size=2, max_size=8, unique=True), st.data())
def test_one_step_beyond_the_end_at_which_the_best_lies(tried, data):
    best = data.draw(st.sampled_from(tried))
    further = extension(tried, best)
    if edge(tried, best) is None:
        assert further is None
    elif further is not None:
        assert further < min(tried) or further > max(tried)
        assert further <= 1


def test_the_step_beyond_is_as_wide_as_the_last_one():
    assert extension([0.001, 0.0001, 0.0003], 0.001) == 0.003333
    assert extension([0.0001, 0.0002, 0.001], 0.0001) == 0.00005
    assert extension([0.5, 1.0], 1.0) is None


@given(st.dictionaries(st.integers(1, 10**7), RATES, min_size=1, max_size=2), st.integers(1, 10**7))
def test_a_size_between_takes_a_rate_between(chosen, size):
    rate = rate_between(chosen, size)
    assert min(chosen.values()) <= rate <= max(chosen.values())
    for tried, its in chosen.items():
        assert rate_between(chosen, tried) == its


@given(st.integers(1, 10**5), RATES, RATES, st.lists(st.integers(1, 10**7), min_size=2))
def test_rates_between_go_one_way(smallest, low, high, sizes):
    rates = [rate_between({smallest: low, 100 * smallest: high}, size) for size in sorted(sizes)]
    assert rates == sorted(rates, reverse=high < low)


def test_the_line_between_is_straight_where_both_axes_are_logarithmic():
    assert rate_between({20_000: 4e-4, 80_000: 1e-4}, 40_000) == 2e-4
    assert rate_between({20_000: 4e-4, 80_000: 1e-4}, 10_000) == 4e-4
    assert rate_between({20_000: 4e-4, 80_000: 1e-4}, 90_000) == 1e-4


@pytest.mark.parametrize("content", [{}, {"sizes": {}}, {"sizes": {"100": {"size": 100, "chosen": None}}}])
def test_a_file_without_a_choice_is_told(content):
    with pytest.raises(UserError, match=r"results/pilot/lora\.json: holds no chosen rate; delete it.*T111"):
        chosen_rate(content, 100, "results/pilot/lora.json")
