"""The bootstrap's intervals: their size, their pairing, their edges."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medscale.evaluate import bootstrap
from medscale.evaluate.bootstrap import mean_interval, percentile_interval, ratio_interval, resampled_sums

GENERATOR = np.random.Generator(np.random.PCG64(1))
SCORES = GENERATOR.gamma(4.0, 5.0, size=500)
TOKENS = GENERATOR.integers(20, 200, size=500)


def test_the_mean_s_interval_has_the_width_of_the_normal_one_for_many_items():
    low, high = mean_interval(SCORES, resamples=5000)
    half = 1.96 * SCORES.std() / np.sqrt(len(SCORES))
    assert low == pytest.approx(SCORES.mean() - half, abs=half / 8)
    assert high == pytest.approx(SCORES.mean() + half, abs=half / 8)


def test_a_higher_level_is_wider():
    low, high = mean_interval(SCORES, level=0.99)
    inner_low, inner_high = mean_interval(SCORES, level=0.8)
    assert low < inner_low < SCORES.mean() < inner_high < high


def test_the_seed_decides():
    assert mean_interval(SCORES, seed=3) == mean_interval(SCORES, seed=3)
    assert mean_interval(SCORES, seed=3) != mean_interval(SCORES, seed=4)


def test_blocks_change_nothing(monkeypatch):
    whole = resampled_sums(SCORES, 50, seed=0)
    monkeypatch.setattr(bootstrap, "BLOCK", 3 * len(SCORES))
    assert resampled_sums(SCORES, 50, seed=0) == pytest.approx(whole)


def test_columns_are_resampled_together():
    """The difference of two columns is resampled as the column of differences is: the items stay paired."""
    other = SCORES + GENERATOR.normal(1.0, 0.5, size=len(SCORES))
    sums = resampled_sums(np.column_stack([SCORES, other]), 200, seed=5)
    assert sums[:, 1] - sums[:, 0] == pytest.approx(resampled_sums(other - SCORES, 200, seed=5)[:, 0])
    low, high = percentile_interval((sums[:, 1] - sums[:, 0]) / len(SCORES))
    assert 0.8 < low < high < 1.2


def test_a_ratio_is_of_sums_not_a_mean_of_ratios():
    nll = TOKENS * 2.0 + GENERATOR.normal(0, 20, size=len(TOKENS))
    low, high = ratio_interval(nll, TOKENS)
    assert low < nll.sum() / TOKENS.sum() < high
    assert high - low < 0.1


def test_a_ratio_to_ones_is_a_mean():
    assert ratio_interval(SCORES, np.ones(len(SCORES)), seed=2) == pytest.approx(mean_interval(SCORES, seed=2))


def test_a_ratio_without_spread_has_no_width():
    """Each item with the same NLL per token, whatever its length."""
    assert ratio_interval(TOKENS * 1.7, TOKENS) == pytest.approx((1.7, 1.7))


@pytest.mark.parametrize("values", [[], [12.5]])
def test_fewer_than_two_items_have_no_interval(values):
    assert mean_interval(values) is None
    assert ratio_interval(values, values) is None


def test_no_denominator_has_no_interval():
    assert ratio_interval([1.0, 2.0], [0, 0]) is None


def test_resamples_without_a_denominator_are_left_out():
    low, high = ratio_interval([0.0, 0.0, 6.0], [0, 0, 3], resamples=500)
    assert (low, high) == (2.0, 2.0)


@settings(max_examples=60, database=None)
@given(st.lists(st.floats(0, 100), min_size=2, max_size=30), st.integers(0, 5))
def test_an_interval_lies_within_the_values(values, seed):
    low, high = mean_interval(values, resamples=200, seed=seed)
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9


def test_about_95_of_100_intervals_hold_the_truth():
    generator = np.random.Generator(np.random.PCG64(11))
    hits = 0
    for seed in range(300):
        values = generator.gamma(4.0, 5.0, size=200)
        low, high = mean_interval(values, resamples=400, seed=seed)
        hits += low <= 20.0 <= high
    assert 0.915 <= hits / 300 <= 0.985
