"""Differences of accuracies: p-value and interval are of one test, few questions and equal seeds prove little."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import minimize_scalar

from medscale.compare.accuracy_differences import AccuracyDifferences, accuracy_differences, sign_flip_p
from medscale.compare.paired_differences import paired_differences
from medscale.compare.resampling import Configuration, resample
from medscale.evaluate.eval_file import Scores

PAIRS = [(0, 1), (1, 0)]


def compared(a, b, alpha=0.05) -> AccuracyDifferences:
    """Compare two configurations, and the other way round: what each seed answered right, a row a question."""
    sides = [np.asarray(side, dtype=float).reshape(len(side), -1) for side in (a, b)]
    configurations, scores = [], {}
    for name, side in zip("ab", sides, strict=True):
        runs = tuple(f"{name}{seed}" for seed in range(side.shape[1]))
        configurations.append(Configuration(runs[0], "tuned", name, 1, runs))
        ids = [str(place) for place in range(len(side))]
        scores |= {run: Scores(ids, {"accuracy": 100 * side[:, seed]}, {}) for seed, run in enumerate(runs)}
    resampled = resample(scores, configurations, ["accuracy"], 1, 0)
    freedom = paired_differences(resampled, {"accuracy": PAIRS})["accuracy"].freedom
    return accuracy_differences(resampled, "accuracy", PAIRS, freedom, alpha)


def answers(won, lost, items):
    """Return what two models answered right of whom one alone is right ``won`` times and the other ``lost`` times."""
    place = np.arange(items)
    return place < won, (place >= won) & (place < won + lost)


def score(won, lost, items, difference):
    """Return the score test's statistic with the likeliest shares found by search."""

    def unlikely(least):
        shares = np.array([least + difference, least, 1 - 2 * least - difference])
        return -float(np.array([won, lost, items - won - lost]) @ np.log(np.maximum(shares, 1e-300)))

    ends = (max(0.0, -difference), (1 - difference) / 2)
    least = minimize_scalar(unlikely, bounds=ends, method="bounded", options={"xatol": 1e-13}).x
    return ((won - lost) / items - difference) / np.sqrt((2 * least + difference - difference**2) / items)


@pytest.mark.parametrize(("won", "lost", "items"), [(20, 2, 40), (13, 0, 20), (0, 15, 60), (900, 700, 4000)])
def test_one_seed_has_the_interval_of_tango_and_the_p_of_mcnemar(won, lost, items):
    found = compared(*answers(won, lost, items))
    quantile = stats.norm.isf(0.025)
    assert score(won, lost, items, found.lo[0] / 100) == pytest.approx(quantile, rel=2e-3)
    assert score(won, lost, items, found.hi[0] / 100) == pytest.approx(-quantile, rel=2e-3)
    assert found.p[0] == pytest.approx(stats.chi2.sf((won - lost) ** 2 / (won + lost), 1), rel=2e-2)


def test_configurations_that_answer_alike_differ_by_0_and_not_without_doubt():
    found = compared(*answers(0, 0, 400))
    squared = stats.norm.isf(0.025) ** 2
    assert found.hi[0] == pytest.approx(100 * squared / (400 + squared))
    assert found.lo[0] == pytest.approx(-found.hi[0])
    assert found.p[0] == 1


def agree(found: AccuracyDifferences, value: float, alpha: float) -> None:
    assert np.isfinite(found).all()
    assert -100 <= found.lo[0] <= value + 1e-9
    assert value - 1e-9 <= found.hi[0] <= 100
    assert (found.p[0] < alpha) == (found.lo[0] > 0 or found.hi[0] < 0), found
    assert (found.lo[1], found.hi[1], found.p[1]) == pytest.approx((-found.hi[0], -found.lo[0], found.p[0]), abs=1e-8)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_the_interval_excludes_0_where_p_is_below_alpha_and_nowhere_else(data):
    items = data.draw(st.integers(2, 60))
    won = data.draw(st.integers(0, items))
    lost = data.draw(st.integers(0, items - won))
    alpha = data.draw(st.sampled_from([0.01, 0.05, 0.1]))
    agree(compared(*answers(won, lost, items), alpha), 100 * (won - lost) / items, alpha)


@settings(deadline=None, max_examples=150)
@given(st.integers(2, 40), st.integers(1, 3), st.integers(1, 3), st.floats(0, 1), st.floats(0, 1), st.integers(0, 99))
def test_so_it_does_for_several_seeds(items, seeds_a, seeds_b, share, lift, number):
    generator = np.random.default_rng(number)
    a = generator.random((items, seeds_a)) < share
    b = generator.random((items, seeds_b)) < share * lift
    agree(compared(a, b), 100 * (a.mean() - b.mean()), 0.05)


@pytest.mark.parametrize("seeds", [2, 3])
@pytest.mark.parametrize(("won", "lost", "items"), [(3, 0, 4), (9, 3, 20), (40, 20, 400)])
def test_seeds_that_answer_alike_are_one_seed(won, lost, items, seeds):
    a, b = answers(won, lost, items)
    several = compared(np.column_stack([a] * seeds), b)
    assert np.array(several) == pytest.approx(np.array(compared(a, b)))


@pytest.mark.parametrize(("items", "seeds"), [(2, 1), (4, 1), (2, 2), (4, 2), (2, 3), (3, 3)])
def test_so_few_questions_show_nothing_whatever_was_answered(items, seeds):
    for right in product([0, 1], repeat=items * seeds):
        found = compared(np.array(right).reshape(items, seeds), np.zeros(items))
        assert found.p[0] > 0.05, right


def test_seeds_that_lie_apart_widen_the_interval():
    place = np.arange(200)
    near = compared(np.column_stack([place < 100, place < 100]), place < 60)
    apart = compared(np.column_stack([place < 130, place < 70]), place < 60)
    assert near.p[0] < 1e-6
    assert apart.p[0] > 0.1
    assert (apart.lo[0], apart.hi[0]) == (pytest.approx(-100, abs=0.1), pytest.approx(100, abs=0.1))


def test_a_gain_is_seen_though_more_questions_are_answered_a_little_worse():
    """A seed in three fails on 130 questions, and all are right on 100 more: a sign test sees the 130."""
    a, b = np.zeros((400, 3)), np.zeros(400)
    a[:100] = 1
    a[100:230], b[100:230] = 1, 1
    a[np.arange(100, 230), np.arange(130) % 3] = 0
    found = compared(a, b)
    assert found.p[0] < 1e-6
    assert found.lo[0] > 0


def test_answers_of_several_seeds_tell_more_than_those_of_one():
    """Where seeds answer independently, their mean has a smaller variance."""
    generator = np.random.default_rng(3)
    hard = generator.random(400)[:, None]
    a, b = (generator.random((400, 3)) < hard for _ in range(2))
    several, one = compared(a, b), compared(a[:, 0], b[:, 0])
    assert several.hi[0] - several.lo[0] < 0.9 * (one.hi[0] - one.lo[0])


@given(st.lists(st.integers(-6, 6), min_size=1, max_size=10))
def test_the_mid_p_of_flipped_signs_is_that_of_all_ways_to_flip_them(differences):
    sums = np.abs(np.array(list(product([1, -1], repeat=len(differences)))) @ differences)
    observed = abs(sum(differences))
    expected = (sums > observed).mean() + (sums == observed).mean() / 2 if any(differences) else 1.0
    assert sign_flip_p(np.array(differences)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("more", "less"), [(5, 0), (20, 7), (300, 240), (3000, 2800)])
def test_of_single_answers_it_is_mcnemars(more, less):
    mid_p = stats.binomtest(more, more + less).pvalue - stats.binom.pmf(more, more + less, 0.5)
    assert sign_flip_p(np.array([1] * more + [-1] * less + [0] * 50)) == pytest.approx(mid_p, rel=1e-8)
