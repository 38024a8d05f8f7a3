"""The smallest detectable difference: by hand, and never below what the interval and counted answers allow."""

import numpy as np
import pytest
from scipy import stats

from medscale.compare.accuracy_differences import accuracy_differences, sign_flip_p
from medscale.compare.detectable import (
    detectable,
    detectable_of_error,
    fewest_one_sided,
    least_accuracy,
    typical,
)
from medscale.compare.knowledge import ACCURACY, Statistics, _Study
from medscale.compare.paired_differences import paired_differences
from medscale.compare.resampling import Configuration, resample
from medscale.evaluate.eval_file import Scores


@pytest.mark.parametrize(
    ("freedom", "alpha", "power", "factor"),
    [
        (np.inf, 0.05, 0.8, 2.801585),
        (np.inf, 0.1, 0.9, 2.926405),
        (np.inf, 0.05, 0.5, 1.959964),
        # of tables of Student's t: 12.706 + 1.376, 2.776 + 0.941
        (1, 0.05, 0.8, 14.0826),
        (4, 0.05, 0.8, 3.7174),
    ],
)
def test_so_many_standard_errors(freedom, alpha, power, factor):
    assert detectable_of_error(2.0, freedom, alpha, power) == pytest.approx(2 * factor, rel=1e-4)


def test_the_longer_arm_of_an_interval_counts_and_without_an_interval_there_is_nothing():
    value, low, high = np.array([10.0, 10.0, 1.0]), np.array([4.0, 2.0, np.nan]), np.array([18.0, 15.0, np.nan])
    found = detectable(value, low, high, np.full(3, 2.0), np.full(3, np.inf), 0.8)
    assert found.tolist() == pytest.approx([8 + 2 * 0.841621, 8 + 2 * 0.841621, np.nan], nan_ok=True, rel=1e-5)


@pytest.mark.parametrize(("alpha", "fewest"), [(0.05, 5), (0.0625, 4), (0.01, 7), (0.001, 11)])
def test_so_many_questions_that_all_speak_for_one_are_needed(alpha, fewest):
    """At 0.001 the exact test would do with 10, and the score test would not."""
    assert fewest_one_sided(alpha) == fewest
    for count, passes in ((fewest, True), (fewest - 1, False)):
        p = max(sign_flip_p(np.ones(count, dtype=int)), 2 * stats.norm.sf(count**0.5))
        assert (p <= alpha) == passes


@pytest.mark.parametrize("items", [6, 20, 90, 400, 6811])
def test_the_least_difference_of_accuracies_is_found_as_often_as_promised(items):
    least = least_accuracy(items, 0.05, 0.8)
    assert least >= 100 * 5 / items
    assert stats.binom.sf(4, items, least / 100) == pytest.approx(0.8)


def test_the_least_difference_of_accuracies_by_hand():
    assert least_accuracy(90, 0.05, 0.5) == pytest.approx(100 * 5 / 90), "the smallest significant difference"
    assert least_accuracy(90, 0.05, 0.8) == pytest.approx(7.355, abs=0.001)
    assert least_accuracy(6, 0.05, 0.8) > 100 * 5 / 6
    assert least_accuracy(5, 0.05, 0.8) == 100, "all five must differ"
    assert least_accuracy(4, 0.05, 0.8) == 125, "four questions show nothing"


def test_the_typical_one_is_the_median_of_pairs_that_tell_something():
    assert typical([3.0, 0.0, np.nan, 1.0, None, 2.0]) == 2
    assert typical([0.0, np.nan]) is None
    assert typical([]) is None


def exam(generator, items, seeds, agreement, shift):
    """Return two configurations, their answers, and what the test says."""
    hard = generator.random(items)
    scores, configurations = {}, []
    for place, count in enumerate(seeds):
        runs = tuple(f"{place}_{seed}" for seed in range(count))
        configurations.append(Configuration(runs[0], "tuned", str(place), 1, runs))
        for run in runs:
            right = agreement * hard + (1 - agreement) * generator.random(items) < 0.5 + shift * place
            scores[run] = Scores([str(each) for each in range(items)], {ACCURACY: 100.0 * right}, {})
    return resample(scores, configurations, [ACCURACY], 1, 0)


@pytest.mark.parametrize("seeds", [(1, 1), (2, 1), (2, 2), (3, 2)])
@pytest.mark.parametrize("items", [2, 4, 5, 14, 60, 90, 400])
def test_of_accuracies_it_is_never_below_half_the_interval_nor_below_the_smallest_significant_difference(items, seeds):
    generator = np.random.default_rng([items, *seeds])
    for agreement in (1.0, 0.95, 0.5, 0.0):
        for shift in (0.0, 0.2, 0.5):
            resampled = exam(generator, items, seeds, agreement, shift)
            study = _Study(list(resampled.configurations), [], Statistics(1, 0, 0.05, 0.8))
            (row,) = study.compare_pairs(resampled, ACCURACY, [("method", 0, 1)])
            freedom = paired_differences(resampled, {ACCURACY: [(0, 1)]})[ACCURACY].freedom
            ends = accuracy_differences(resampled, ACCURACY, [(0, 1)], freedom, 0.05)
            smallest, exceeds = row[12], row[13]
            assert smallest >= (ends.hi[0] - ends.lo[0]) / 2
            assert smallest >= 100 * 5 / items
            assert not exceeds or ends.p[0] <= 0.05, "what exceeds it is significant, uncorrected"


def judged(won, lost, items, alpha=0.05, power=0.8):
    """Return what is found of two models of which one alone is right ``won`` times and the other ``lost`` times."""
    place = np.arange(items)
    sides = (place < won), (place >= won) & (place < won + lost)
    scores = {
        name: Scores([*map(str, place)], {ACCURACY: 100.0 * side}, {}) for name, side in zip("ab", sides, strict=True)
    }
    configurations = [Configuration(name, "tuned", name, 1, (name,)) for name in "ab"]
    resampled = resample(scores, configurations, [ACCURACY], 1, 0)
    return accuracy_differences(resampled, ACCURACY, [(0, 1)], np.array([np.inf]), alpha, power)


@pytest.mark.parametrize(("each", "items"), [(0, 90), (3, 90), (30, 90), (0, 400), (40, 400), (300, 1639)])
def test_a_difference_of_accuracies_brings_the_questions_with_it_on_which_it_shows(each, items):
    """The found difference is the root of Connor's equation, unless the interval or the count of answers ask more."""
    found = judged(each, each, items)
    delta = found.smallest_detectable[0] / 100
    differing = delta + 2 * each / items * (1 - delta)
    asked = (1.959964 * differing**0.5 + 0.841621 * (differing - delta**2) ** 0.5) / items**0.5
    assert asked == pytest.approx(delta, rel=1e-4)
    assert 100 * delta >= max(found.hi[0], least_accuracy(items, 0.05, 0.8))


@pytest.mark.parametrize("items", [5, 20, 60, 90, 129])
def test_no_exam_of_fewer_than_130_questions_can_show_5_points(items):
    assert judged(0, 0, items).smallest_detectable[0] > 5
    assert least_accuracy(items, 0.05, 0.8) > 5


@pytest.mark.parametrize("different", [0.05, 0.3])
def test_a_true_difference_of_that_size_is_found_as_often_as_promised(different):
    generator, items, found = np.random.default_rng(3), 400, 0
    each = round(different / 2 * items)
    delta = judged(each, each, items).smallest_detectable[0] / 100
    lost = each / items * (1 - delta)
    for _ in range(300):
        won, lose, _ = generator.multinomial(items, [lost + delta, lost, 1 - 2 * lost - delta])
        found += judged(won, lose, items).p[0] <= 0.05
    assert 0.72 <= found / 300 <= 0.9
