"""Paired differences: small cases by hand, and what too few items, seeds, ties or resamples change."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from made_up_scores import bleu_study, single, table, tokens_and_nll
from medscale.compare.paired_differences import (
    Differences,
    critical_values,
    half_widths,
    intervals,
    item_standard_errors,
    p_values,
    paired_differences,
    too_few,
)
from medscale.compare.resampling import Configuration, SeedSpread, resample
from medscale.evaluate.eval_file import Scores


@pytest.fixture(autouse=True)
def no_warning_of_numpy():
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        yield


def differences_of(*runs, pairs=((0, 1),), resamples=50, seed=0) -> Differences:
    study = study_of(*runs, resamples=resamples, seed=seed)
    return paired_differences(study, {"bleu_4": pairs})["bleu_4"]


def study_of(*runs, resamples=50, seed=0):
    named = {name: np.array(values, dtype=float) for name, values in zip("abcd", runs, strict=False)}
    return bleu_study(named, [single(name) for name in named], resamples, seed)


def two_metrics(resamples=20):
    """Three configurations of 40 items: NLL, a ratio of sums, and BLEU-4, a mean."""
    generator = np.random.default_rng(4)
    scores = {}
    for level, name in enumerate("abc"):
        columns = tokens_and_nll(generator, 40, 2.0 + level / 10)
        scores[name] = table(40, columns | {"bleu_4": generator.gamma(2.0, 3.0, 40)})
    return resample(scores, [single(name) for name in "abc"], ["nll", "bleu_4"], resamples, 6)


def differences(**changes) -> Differences:
    """One pair whose difference is 2 and its standard error 1, with a normal distribution's critical values."""
    parts = {
        "value": [2.0],
        "se": [1.0],
        "item_se": [1.0],
        "freedom": [np.inf],
        "studentised": [[0.5], [-2.0], [2.1], [-1.9]],
        "differing": [40],
        "largest": [9.0],
    }
    return Differences(**{key: np.array(one) for key, one in (parts | changes).items()}, n_items=100)


def test_three_items_by_hand():
    found = differences_of([3, 5, 10], [1, 4, 10])
    assert found.value == pytest.approx([1.0])
    assert found.se == found.item_se == pytest.approx([1 / np.sqrt(3)])
    assert found.freedom == [np.inf]
    assert found.differing == [2]
    assert found.largest == pytest.approx([2.0])
    assert found.n_items == 3
    assert found.studentised.shape == (50, 1)


def test_two_items_by_hand():
    """A resample of one item twice has no spread, and one of both deviates by nothing."""
    found = differences_of([2, 5], [1, 2])
    picks = np.random.Generator(np.random.PCG64(0)).integers(0, 2, size=(50, 2)).sum(axis=1)
    assert set(picks) == {0, 1, 2}
    assert found.studentised[:, 0].tolist() == [{0: -np.inf, 1: 0.0, 2: np.inf}[each] for each in picks]
    assert found.se == pytest.approx([1.0])


def test_a_single_item_has_no_standard_error():
    found = differences_of([2], [1])
    assert found.value == [1.0]
    assert np.isnan(found.se).all()
    assert (found.studentised == 0).all()
    assert np.isnan(intervals(found._replace(differing=np.array([0])), 0.05)).all()
    assert np.isnan(p_values(found)).all()


def test_equal_scores_deviate_by_nothing():
    found = differences_of([1, 4, 10], [1, 4, 10])
    assert (found.value, found.se, found.differing, found.largest) == (0, 0, 0, 0)
    assert found.freedom == [np.inf]
    assert (found.studentised == 0).all()
    assert p_values(found) == [1.0]
    assert intervals(found, 0.05) == (0.0, 0.0)


def test_a_ratio_of_sums_is_weighted():
    study = two_metrics()
    found = paired_differences(study, {"nll": [(2, 0)]})["nll"]
    tokens = study.weights["nll"]
    raw = study.items["nll"][:, 2] - study.items["nll"][:, 0]
    residual = raw - raw.sum() / tokens.sum() * tokens
    assert found.value == pytest.approx([raw.sum() / tokens.sum()])
    assert found.se == pytest.approx([np.sqrt(residual @ residual * 40 / 39) / tokens.sum()])
    assert found.largest == pytest.approx([np.abs(raw).max() / tokens.mean()])
    assert found.differing == [40]
    assert found.n_items == 40


def test_the_largest_difference_may_be_a_loss():
    assert differences_of([1, 4, 2, 0], [1, 1, 9, 0]).largest == pytest.approx([7.0])


def test_each_resample_is_studentised_by_its_own_error():
    study = two_metrics()
    pairs = [(0, 1), (2, 0)]
    found = paired_differences(study, {"nll": pairs})["nll"]
    tokens = study.weights["nll"]
    picks = np.random.Generator(np.random.PCG64(6)).integers(0, 40, size=(20, 40))
    for column, (a, b) in enumerate(pairs):
        raw = study.items["nll"][:, a] - study.items["nll"][:, b]
        for row, pick in enumerate(picks):
            drawn = raw[pick].sum() / tokens[pick].sum()
            residual = raw[pick] - drawn * tokens[pick]
            se = np.sqrt(residual @ residual * 40 / 39) / tokens[pick].sum()
            assert found.studentised[row, column] == pytest.approx((drawn - found.value[column]) / se)


def test_metrics_and_pairs_taken_together_equal_each_alone():
    study = two_metrics()
    pairs = {"nll": [(0, 1), (1, 2)], "bleu_4": [(2, 1)]}
    together = paired_differences(study, pairs)
    assert list(together) == ["nll", "bleu_4"]
    for metric, each in pairs.items():
        for column, pair in enumerate(each):
            alone = paired_differences(study, {metric: [pair]})[metric]
            for name in set(Differences._fields) - {"n_items"}:
                assert getattr(together[metric], name)[..., column] == pytest.approx(getattr(alone, name)[..., 0]), name
            assert together[metric].n_items == alone.n_items == 40


def test_a_metric_without_pairs_has_no_differences():
    study = two_metrics()
    assert paired_differences(study, {"nll": [], "bleu_4": []}) == {}
    assert paired_differences(study, {}) == {}
    assert list(paired_differences(study, {"nll": [], "bleu_4": iter([(0, 1)])})) == ["bleu_4"]


def test_standard_errors_over_items_need_no_resamples():
    study = two_metrics()
    for metric in ("nll", "bleu_4"):
        expected = paired_differences(study, {metric: [(0, 1), (2, 1)]})[metric].item_se
        assert item_standard_errors(study, metric, [(0, 1), (2, 1)]) == pytest.approx(expected)


def test_the_same_gain_on_every_item_has_no_spread():
    base = np.arange(50) / 7
    found = differences_of(base + 0.1, base)
    assert found.se == [0.0]
    assert found.value == pytest.approx([0.1])
    assert intervals(found, 0.05) == (found.value, found.value)


def test_a_tiny_difference_is_no_rounding_error_beside_a_large_one():
    nothing, large = np.zeros(4), np.array([100.0, 500.0, 200.0, 300.0])
    units = np.array([1.0, 3.0, 2.0, 6.0])
    found = differences_of(units * 1e-14, nothing, large, pairs=[(0, 1), (2, 1)])
    assert found.se == pytest.approx([units.std(ddof=1) / 2 * 1e-14, large.std(ddof=1) / 2], rel=1e-9, abs=0)
    plain = differences_of(units, nothing, large, pairs=[(0, 1), (2, 1)])
    assert found.studentised == pytest.approx(plain.studentised, rel=1e-9)


def test_a_resample_of_one_value_has_no_spread_but_for_rounding():
    values = [0.0, 0.8, 0.9]
    studentised = differences_of(values, [0.0] * 3, resamples=200).studentised[:, 0]
    picks = np.random.Generator(np.random.PCG64(0)).integers(0, 3, size=(200, 3))
    alone = (picks == picks[:, :1]).all(axis=1)
    assert np.isinf(studentised).tolist() == alone.tolist()
    assert np.sign(studentised[alone]).tolist() == [np.sign(values[pick] - np.mean(values)) for pick in picks[alone, 0]]


def test_seeds_widen_the_error_and_leave_few_degrees_of_freedom():
    """Welch's t-test on the seeds: items that all score alike have no error of their own."""
    sides = {"a": [1.0, 2.0, 6.0], "b": [4.0, 5.0]}
    runs = {f"{side}{place}": np.full(8, value) for side, each in sides.items() for place, value in enumerate(each)}
    configurations = [
        Configuration(side, "tuned", side, 1, tuple(run for run in runs if run[0] == side)) for side in sides
    ]
    found = paired_differences(bleu_study(runs, configurations, 20), {"bleu_4": [(0, 1)]})["bleu_4"]
    welch = stats.ttest_ind(sides["a"], sides["b"], equal_var=False)
    assert found.item_se == [0.0]
    assert found.value == pytest.approx([-1.5])
    assert found.se == pytest.approx([-1.5 / welch.statistic])
    assert found.freedom == pytest.approx([welch.df])


def test_errors_of_items_and_seeds_add_as_squares():
    study = study_of([3, 5, 10], [1, 4, 10])
    spread = SeedSpread(between=np.array([0.5, 0.25]), noise=np.array([0.25, 0.125]))
    study = replace(
        study,
        seeds={"bleu_4": spread},
        configurations=tuple(Configuration(name, "tuned", name, 1, tuple("xyz")) for name in "ab"),
    )
    found = paired_differences(study, {"bleu_4": [(0, 1)]})["bleu_4"]
    assert found.se**2 == pytest.approx([1 / 3 + 0.25 + 0.125])
    assert found.item_se**2 == pytest.approx([1 / 3])
    assert found.freedom == pytest.approx([found.se[0] ** 4 / (0.5**2 / 2 + 0.25**2 / 2)])


def test_there_is_at_least_one_degree_of_freedom():
    study = replace(
        study_of([3, 5, 10], [1, 4, 10]), seeds={"bleu_4": SeedSpread(np.array([9.0, 0.0]), np.array([9.0, 0.0]))}
    )
    assert paired_differences(study, {"bleu_4": [(0, 1)]})["bleu_4"].freedom == [1.0]


@pytest.mark.parametrize(
    ("resamples", "alpha", "rank"),
    [
        (99, 0.05, 95),
        (99, 0.051, 95),
        (99, 0.049, 96),
        (99, 0.01, 99),
        (19, 0.05, 19),
        (999, 0.05, 950),
        (9, 0.1, 9),
        (9, 0.9, 1),
    ],
)
def test_a_critical_value_is_an_order_statistic(resamples, alpha, rank):
    for seed in range(5):
        deviations = np.random.default_rng(seed).permutation(np.arange(1.0, resamples + 1))
        assert critical_values(deviations, alpha) == rank
        both = critical_values(np.column_stack([deviations, 2 * deviations]), alpha)
        assert both.tolist() == [rank, 2 * rank]


def test_a_rank_that_is_whole_is_not_rounded_up():
    assert (1 - 0.18) * 150 > 123
    assert critical_values(np.arange(1.0, 150), 0.18) == 123


def test_too_few_resamples_have_no_critical_value():
    assert critical_values(np.ones((99, 3)), 0.005).tolist() == [np.inf] * 3
    assert critical_values(np.ones(18), 0.05) == np.inf


def test_a_half_width_is_the_critical_value_times_the_error():
    found = half_widths(differences(se=[3.0]), np.array([2.5]), 0.05)
    assert found == pytest.approx([7.5])


def test_few_degrees_of_freedom_take_student_s_quantile():
    found = half_widths(differences(se=[3.0], freedom=[4.0]), np.array([stats.norm.isf(0.025)]), 0.05)
    assert found == pytest.approx([3 * 2.7764451])


def test_a_half_width_of_no_bound_is_nan_and_of_no_error_0():
    found = half_widths(
        differences(se=[0.0, 1.0], freedom=[np.inf, np.inf], differing=[40, 40], largest=[9.0, 9.0]),
        np.array([np.inf, np.inf]),
        0.05,
    )
    assert found[0] == 0
    assert np.isnan(found[1])


@pytest.mark.parametrize("freedom", [1.0, 4.0])
def test_a_critical_value_beyond_all_draws_is_not_carried_over(freedom):
    told = differences(freedom=[freedom], se=[2.0])
    assert np.isfinite(half_widths(told, np.array([4 + freedom / 8]), 0.05)).all()
    assert np.isnan(half_widths(told, np.array([4.1 + freedom / 8]), 0.05)).all()
    assert half_widths(told._replace(freedom=np.array([np.inf])), np.array([9.0]), 0.05) == pytest.approx(18)


@pytest.mark.parametrize("long", [60, 20_000])
def test_of_one_long_text_among_short_ones_two_seeds_tell_a_bounded_interval_or_none(long):
    generator = np.random.default_rng(1)
    tokens = np.array([long, *generator.integers(20, 40, 21)], dtype=float)
    a, b = (
        [{"nll_sum": tokens * generator.normal(6.7 + gain, 0.05, 22), "n_answer_tokens": tokens} for _ in range(2)]
        for gain in (0.0, 0.01)
    )
    runs = {name: Scores([str(i) for i in range(22)], each, {}) for name, each in zip("abcd", a + b, strict=True)}
    both = [Configuration("a", "tuned", "lora", 1, ("a", "b")), Configuration("c", "tuned", "lora", 2, ("c", "d"))]
    study = resample(runs, both, ["nll"], 1000, 0)
    for each, pair in ((study, (1, 0)), (study.with_nothing(), (0, 2))):
        found = paired_differences(each, {"nll": [pair]})["nll"]
        low, high = intervals(found, 0.05)
        assert np.isnan(low).all() == np.isnan(high).all() == (long > 1000)
        assert np.isnan(low).all() or (high - low < 10).all()
        for alpha in (0.01, 0.05, 0.2):
            excluded = np.sign(intervals(found, alpha)[0]) == np.sign(intervals(found, alpha)[1])
            assert (p_values(found) <= alpha) == excluded


@pytest.mark.parametrize("alpha", [0.01, 0.1, 0.4])
@pytest.mark.parametrize("gain", [0.0, -0.2, 0.5])
def test_p_and_interval_of_one_long_text_among_short_ones_never_contradict_each_other(gain, alpha):
    generator = np.random.default_rng(2)
    tokens = np.array([20_000, *generator.integers(20, 40, 21)], dtype=float)
    apart = np.array([gain, *generator.normal(gain / 2, 0.001, 21)])
    runs = [{"nll_sum": tokens * each, "n_answer_tokens": tokens} for each in (6.7 + apart, np.full(22, 6.7))]
    scores = {name: Scores([str(i) for i in range(22)], each, {}) for name, each in zip("ab", runs, strict=True)}
    study = resample(scores, [Configuration(name, "tuned", "lora", 1, (name,)) for name in "ab"], ["nll"], 2000, 0)
    found = paired_differences(study, {"nll": [(0, 1)]})["nll"]
    low, high = intervals(found, alpha)
    assert np.isfinite([low, high]).all()
    assert (p_values(found) <= alpha) == (np.sign(low) == np.sign(high))


@pytest.mark.parametrize("alpha", [0.05, 0.1])
def test_a_handful_of_differing_items_is_bounded_by_their_share(alpha):
    found = differences(differing=[3], largest=[7.0])
    share = stats.binomtest(3, 100).proportion_ci(1 - alpha, method="exact").high
    assert half_widths(found, np.array([0.1]), alpha) == pytest.approx([7 * share])
    assert intervals(found, alpha) == (pytest.approx([2 - 7 * share]), pytest.approx([2 + 7 * share]))


def test_where_every_one_of_few_items_differs_nothing_bounds_the_difference():
    found = differences(differing=[5])._replace(n_items=5)
    assert np.isnan(intervals(found, 0.05)).all()


def test_too_few_items_are_one_to_five():
    found = differences(differing=[0, 1, 5, 6])
    assert too_few(found).tolist() == [False, True, True, False]


def test_an_interval_is_the_difference_and_its_half_width():
    deviations = np.linspace(-1, 2, 99)[:, None]
    found = differences(value=[-4.0], se=[0.5], studentised=deviations)
    critical = np.sort(np.abs(deviations[:, 0]))[89]
    assert intervals(found, 0.1) == (pytest.approx([-4 - critical / 2]), pytest.approx([-4 + critical / 2]))


@pytest.mark.parametrize(
    ("changes", "p"),
    [
        ({}, 3 / 5),  # a tie counts
        ({"value": [-2.0]}, 3 / 5),
        ({"value": [2.05]}, 2 / 5),
        ({"value": [4.2], "se": [2.0]}, 2 / 5),
        ({"value": [3.0]}, 1 / 5),
        ({"value": [0.0]}, 1.0),
        ({"value": [0.0], "se": [0.0]}, 1.0),
        ({"value": [2.0], "se": [0.0]}, 1 / 5),
        ({"differing": [5]}, 1.0),
        ({"differing": [6]}, 3 / 5),
        ({"value": [2.7764451], "freedom": [4.0]}, 3 / 5),  # 1.96 on the normal scale
        ({"value": [2.6], "freedom": [4.0]}, 4 / 5),  # 1.88
    ],
)
def test_p_is_the_share_of_resamples_that_deviate_as_far(changes, p):
    assert p_values(differences(**changes)) == pytest.approx([p])


def test_p_of_an_unknown_error_is_unknown():
    assert np.isnan(p_values(differences(se=[np.nan])))
    assert np.isnan(p_values(differences(se=[np.nan], value=[0.0])))
