"""Distances to the best, which is chosen by noise too: they hold for all candidates at once."""

import numpy as np
import pytest
from scipy import stats

from made_up_scores import bleu_study, rouge_like, single, table, tokens_and_nll
from medscale.compare.best_comparisons import compare_with_best
from medscale.compare.resampling import Configuration, resample


def test_the_distance_to_the_true_best_is_covered_for_all_candidates_at_once():
    """Five configurations, of which two are best in truth and one is worse by exactly the margin."""
    generator = np.random.default_rng(17)
    shift = np.array([0.0, 0.0, -0.5, -1.0, -2.0])
    configurations = [Configuration(f"c{i}", "tuned", f"m{i}", 1, (f"c{i}",)) for i in range(5)]
    held, passed = 0, 0
    for number in range(200):
        shared = generator.gamma(4.0, 1.0, 200)
        runs = {f"c{i}": rouge_like(generator, 200, shared) + gain for i, gain in enumerate(shift)}
        found = compare_with_best(bleu_study(runs, configurations, 399, number), "bleu_4", range(5), 0.05)
        held += ((found.lo <= shift + 1e-9) & (shift - 1e-9 <= found.hi)).all()
        passed += found.lo[3] > -1.0 and found.best != 3
        assert found.hi[found.best] == 0
        assert (found.lo <= found.difference + 1e-9).all()
    assert held / 200 >= 0.91
    assert passed / 200 <= 0.07


def test_choosing_the_best_by_noise_is_paid_for():
    """Many equal candidates: a plain interval of the difference to the best excludes 0 too often, this one does not."""
    generator = np.random.default_rng(23)
    configurations = [Configuration(f"c{i}", "tuned", f"m{i}", 1, (f"c{i}",)) for i in range(8)]
    wrong, plain = 0, 0
    for number in range(100):
        runs = {f"c{i}": rouge_like(generator, 100) for i in range(8)}
        found = compare_with_best(bleu_study(runs, configurations, 399, number), "bleu_4", range(8), 0.05)
        wrong += (found.hi < 0).any()
        best = runs[f"c{found.best}"]
        errors = [np.std(best - values, ddof=1) / 10 for values in runs.values()]
        plain += any(-gap > 1.96 * se for gap, se in zip(found.difference, errors, strict=True))
    assert wrong <= 10
    assert plain > 25, "the simulation must be one in which the choice matters"


def test_more_candidates_make_wider_intervals():
    generator = np.random.default_rng(29)
    configurations = [Configuration(f"c{i}", "tuned", f"m{i}", 1, (f"c{i}",)) for i in range(8)]
    runs = {f"c{i}": rouge_like(generator, 200) + (i == 0) * 5 for i in range(8)}
    study = bleu_study(runs, configurations, 2000)
    se = np.std(runs["c0"] - runs["c1"], ddof=1) / np.sqrt(200)
    for count, critical in ((2, 1.96), (8, 2.57)):  # Dunnett's two-sided values for 1 and 7 comparisons
        found = compare_with_best(study, "bleu_4", range(count), 0.05)
        assert (found.difference[1] - found.lo[1]) / se == pytest.approx(critical, abs=0.12)


def compared(*runs, candidates=None, alpha: float = 0.05, resamples: int = 999):
    values = {f"c{place}": np.asarray(each, float) for place, each in enumerate(runs)}
    study = bleu_study(values, [single(name) for name in values], resamples)
    return compare_with_best(study, "bleu_4", candidates or range(len(runs)), alpha)


def test_a_candidate_alone_is_the_best():
    found = compared(np.arange(20))
    assert (found.difference.tolist(), found.lo.tolist(), found.hi.tolist(), found.best) == ([0], [0], [0], 0)


def test_equal_candidates_are_all_best_and_the_first_is_named():
    found = compared(np.arange(20) - 3, np.arange(20), np.arange(20))
    assert found.best == 1
    assert found.difference.tolist() == [-3, 0, 0]
    assert found.lo.tolist() == [-3, 0, 0], "the same difference on every item has no uncertainty"
    assert found.hi.tolist() == [-3, 0, 0]


def test_where_less_is_better_the_distance_is_still_a_loss():
    generator = np.random.default_rng(4)
    scores = {
        name: table(90, tokens_and_nll(generator, 90, level)) for name, level in zip("abc", (2, 1, 3), strict=True)
    }
    study = resample(scores, [single(name) for name in "abc"], ["nll"], 999, 0)
    found = compare_with_best(study, "nll", [0, 1, 2], 0.05)
    assert found.best == 1
    assert found.difference == pytest.approx(study.points["nll"][1] - study.points["nll"])
    assert (found.lo[[0, 2]] < found.difference[[0, 2]]).all()
    assert (found.difference[[0, 2]] < found.hi[[0, 2]]).all()
    assert (found.hi[[0, 2]] < -0.7).all()
    assert (found.lo[1], found.hi[1]) == (0, 0)


def test_candidates_are_columns_in_the_order_in_which_they_are_given():
    generator = np.random.default_rng(6)
    runs = [rouge_like(generator, 60) + gain for gain in (0, 9, 3, 1)]
    some = compared(*runs, candidates=[3, 0, 2])
    alone = compared(runs[3], runs[0], runs[2])
    assert some.best == alone.best == 2
    assert some.difference == pytest.approx([runs[place].mean() - runs[2].mean() for place in (3, 0, 2)])
    assert some.lo == pytest.approx(alone.lo)
    assert some.hi == pytest.approx(alone.hi)


def test_two_candidates_have_the_interval_of_their_difference():
    """With alpha whole, for there is one comparison; it is cut where it would make the worse one better."""
    one, other = np.full(50, 5.0), np.repeat([5.0, 4.0], [47, 3])
    half = stats.beta.isf(0.05, 4, 47)  # Clopper and Pearson's, since three items differ, and by 1 each
    found = compared(one, other, alpha=0.1)
    assert found.difference == pytest.approx([0, -0.06])
    assert found.lo == pytest.approx([0.06 - half, -0.06 - half])
    assert found.hi.tolist() == [0, 0]


def test_a_pair_with_few_differing_items_does_not_widen_the_others():
    """Three items differ between the first two: an interval of its own kind, at half of alpha for two comparisons."""
    generator = np.random.default_rng(11)
    first, second = np.full(50, 5.0), np.repeat([5.0, 4.0], [47, 3])
    third = generator.normal(2.0, 1.0, 50)
    found = compared(first, second, third, alpha=0.5)
    half = stats.beta.isf(0.125, 4, 47)
    assert found.lo[:2] == pytest.approx([0.06 - half, -0.06 - half])
    assert found.hi[:2].tolist() == [0, 0]
    pairs = [compared(first, third, alpha=0.5), compared(second, third, alpha=0.5)]
    assert found.lo[2] == pytest.approx(min(pair.lo[1] for pair in pairs))
    assert found.hi[2] == pytest.approx(max(pair.hi[1] for pair in pairs))
    assert found.lo[2] < found.difference[2] < found.hi[2] < -2


def test_no_distance_is_above_0_even_to_a_doubtful_best():
    """The second is surely worse than the first; the third is so noisy that it may be the best, or worse than both."""
    generator = np.random.default_rng(13)
    first, second = (gain + generator.normal(0, 0.1, 200) for gain in (10, 9))
    found = compared(first, second, np.tile([28.5, -11.5], 100))
    assert found.best == 0
    assert found.hi.tolist() == [0, 0, 0]
    assert found.lo[1] < -1
    assert found.lo[2] < found.lo[1]


def test_too_few_resamples_bound_nothing_and_rule_nothing_out():
    generator = np.random.default_rng(2)
    found = compared(*(rouge_like(generator, 60) + gain for gain in (0, 50)), resamples=10)
    assert found.difference[0] < -45
    assert np.isnan(found.lo).all()
    assert found.hi.tolist() == [0, 0]
