"""Resampling over items and seeds: the same items for all, seeds within each, and what it costs to forget either."""

import numpy as np
import pytest

from made_up_scores import bleu_study, rouge_like, single, table, tokens_and_nll
from medscale.base.errors import UserError
from medscale.compare.resampling import Configuration, configurations_of, resample
from medscale.evaluate.bootstrap import mean_interval, percentile_interval

ITEMS = 60
METRICS = ["rouge_l", "bleu_4", "nll"]
CONFIGURATIONS = [
    Configuration("lora_1k", "tuned", "lora", 1000, ("lora_1k", "lora_1k_seed7")),
    single("base", "base", "base", None),
    single("floor_bm25", "floor", "floor_bm25", None),
]


def study_scores(items: int = ITEMS, seed: int = 1) -> dict:
    generator = np.random.default_rng(seed)
    scores = {}
    for place, run in enumerate(("lora_1k", "lora_1k_seed7", "base", "floor_bm25")):
        columns = {"rouge_l_f": rouge_like(generator, items), "rouge_l_p": np.zeros(items)}
        columns["bleu_4"] = generator.gamma(1.0, 3.0, items)
        columns |= tokens_and_nll(generator, items, 2.0 + place / 10)
        scores[run] = table(items, columns)
    nothing = np.full(items, np.nan)
    scores["floor_bm25"] = table(items, scores["floor_bm25"].columns | {"nll_sum": nothing, "n_answer_tokens": nothing})
    return scores


def test_points_are_means_over_items_and_seeds_and_nll_a_ratio_of_sums():
    scores = study_scores()
    points = resample(scores, CONFIGURATIONS, METRICS, 10, 0).points
    first, second = scores["lora_1k"].columns, scores["lora_1k_seed7"].columns
    assert points["rouge_l"][0] == pytest.approx((first["rouge_l_f"].mean() + second["rouge_l_f"].mean()) / 2)
    assert points["rouge_l"][1] == pytest.approx(scores["base"].columns["rouge_l_f"].mean())
    base = scores["base"].columns
    assert points["nll"][1] == pytest.approx(base["nll_sum"].sum() / base["n_answer_tokens"].sum())


def test_what_was_not_measured_is_nan_and_nothing_else_is():
    resampled = resample(study_scores(), CONFIGURATIONS, METRICS, 20, 0)
    assert np.isnan(resampled.points["nll"]).tolist() == [False, False, True]
    assert np.isnan(resampled.draws["nll"]).all(axis=0).tolist() == [False, False, True]
    assert not np.isnan(resampled.draws["nll"][:, :2]).any()
    assert not np.isnan(resampled.draws["rouge_l"]).any()
    assert resampled.measured("nll") == [0, 1]


def test_draws_of_one_seed_equal_a_plain_loop():
    """Each resample is a list of items drawn with replacement, the same for every configuration and metric."""
    scores = study_scores()
    resampled = resample(scores, CONFIGURATIONS, METRICS, 25, seed=4)
    picks = np.random.Generator(np.random.PCG64(4)).integers(0, ITEMS, size=(25, ITEMS))
    base, floor = scores["base"].columns, scores["floor_bm25"].columns
    for row, pick in enumerate(picks):
        assert resampled.draws["rouge_l"][row, 1] == pytest.approx(base["rouge_l_f"][pick].mean())
        assert resampled.draws["bleu_4"][row, 2] == pytest.approx(floor["bleu_4"][pick].mean())
        expected = base["nll_sum"][pick].sum() / base["n_answer_tokens"][pick].sum()
        assert resampled.draws["nll"][row, 1] == pytest.approx(expected)


def test_intervals_are_those_of_eval_json():
    """The same seed draws the same items in evaluate and here, so that no reader finds two intervals for one run."""
    scores = study_scores()
    draws = resample(scores, CONFIGURATIONS, ["rouge_l"], 500, seed=3).draws["rouge_l"][:, 1]
    assert percentile_interval(draws) == pytest.approx(mean_interval(scores["base"].columns["rouge_l_f"], 500, seed=3))


def test_a_further_configuration_changes_no_draw():
    scores = study_scores()
    few = resample(scores, CONFIGURATIONS[:2], METRICS, 30, 0)
    more = resample(scores, [CONFIGURATIONS[2], *CONFIGURATIONS[:2]], METRICS, 30, 0)
    for metric in METRICS:
        assert more.draws[metric][:, 1:] == pytest.approx(few.draws[metric])


def test_seeds_widen_by_the_unbiased_variance_of_their_mean():
    """Items with equal scores have no noise, so all the spread of the draws is that between the seeds."""
    values = np.array([10.0, 11.0, 13.0])
    runs = {f"lora_1k_seed{i}": np.full(50, value) for i, value in enumerate(values)}
    resampled = bleu_study(runs, [Configuration("lora_1k", "tuned", "lora", 1000, tuple(runs))], resamples=40_000)
    assert resampled.points["bleu_4"][0] == pytest.approx(values.mean())
    assert resampled.draws["bleu_4"].std() == pytest.approx(values.std(ddof=1) / np.sqrt(3), rel=0.02)


def test_item_noise_is_not_counted_twice():
    """Seeds that differ by item noise alone: the draws vary as those of their mean over items do, on average."""
    generator = np.random.default_rng(8)
    ratios = []
    for seed in range(60):
        shared = generator.gamma(4.0, 1.0, 300)
        runs = {name: rouge_like(generator, 300, shared) for name in "abc"}
        several = bleu_study(runs, [Configuration("a", "tuned", "lora", 1, ("a", "b", "c"))], 500, seed)
        mean = bleu_study({"a": sum(runs.values()) / 3}, [single("a")], 500, seed)
        ratios.append(several.draws["bleu_4"].var() / mean.draws["bleu_4"].var())
    assert 1.0 <= np.mean(ratios) < 1.25  # counting twice would give 1.3 and more
    assert min(ratios) > 0.99


def test_seeds_of_two_configurations_are_drawn_apart():
    runs = {name: np.full(40, value) for name, value in zip("abcd", (1.0, 3.0, 1.0, 3.0), strict=True)}
    configurations = [
        Configuration("a", "tuned", "lora", 1, ("a", "b")),
        Configuration("c", "tuned", "qlora", 1, ("c", "d")),
    ]
    draws = bleu_study(runs, configurations, resamples=4000).draws["bleu_4"]
    assert abs(np.corrcoef(draws.T)[0, 1]) < 0.06


def test_runs_on_other_items_are_refused():
    scores = study_scores()
    base = scores["base"]
    scores["base"] = base._replace(ids=[base.ids[1], base.ids[0], *base.ids[2:]])
    with pytest.raises(UserError, match=r"base.*other items than lora_1k.*item 1 is r00001"):
        resample(scores, CONFIGURATIONS, METRICS, 10, 0)
    scores["base"] = base._replace(ids=base.ids[:-1], columns={k: v[:-1] for k, v in base.columns.items()})
    with pytest.raises(UserError, match="59 items and 60"):
        resample(scores, CONFIGURATIONS, METRICS, 10, 0)


def test_nll_of_other_tokens_is_refused():
    scores = study_scores()
    scores["base"].columns["n_answer_tokens"] = scores["base"].columns["n_answer_tokens"] + 1
    with pytest.raises(UserError, match=r"base.*numbers of tokens.*lora_1k"):
        resample(scores, CONFIGURATIONS, METRICS, 10, 0)


def test_a_partly_missing_metric_is_refused():
    scores = study_scores()
    scores["base"].columns["bleu_4"][3] = np.nan
    with pytest.raises(UserError, match=r"base: bleu_4 is missing for 1 of 60"):
        resample(scores, CONFIGURATIONS, METRICS, 10, 0)
    scores = study_scores()
    scores["lora_1k_seed7"].columns["bleu_4"][:] = np.nan
    with pytest.raises(UserError, match=r"lora_1k: bleu_4 is missing in some of its seeds"):
        resample(scores, CONFIGURATIONS, METRICS, 10, 0)


def test_an_unknown_metric_is_refused():
    with pytest.raises(UserError, match=r"lora_1k.*no column for chrf"):
        resample(study_scores(), CONFIGURATIONS, ["chrf"], 10, 0)


def evaluation(run: str, arm: str | None = "main", seed: int | None = 42, size: int | None = 20_000) -> dict:
    return {"run": run, "method": run.split("_")[0], "train_size": size, "seed": seed, "arm": arm}


def test_configurations_gather_the_seeds_of_a_size():
    evaluations = [
        evaluation("lora_20k_seed7", seed=7),
        evaluation("lora_20k"),
        evaluation("lora_20k_5epochs", arm="control"),
        evaluation("lora_20k_5epochs_seed7", arm="control", seed=7),
        evaluation("base", arm=None, seed=None, size=None),
        evaluation("floor_bm25", arm=None, seed=None, size=None),
    ]
    found = configurations_of(evaluations)
    assert [(each.name, each.kind, each.runs) for each in found] == [
        ("lora_20k", "tuned", ("lora_20k", "lora_20k_seed7")),
        ("lora_20k_5epochs", "control", ("lora_20k_5epochs", "lora_20k_5epochs_seed7")),
        ("base", "base", ("base",)),
        ("floor_bm25", "floor", ("floor_bm25",)),
    ]
    assert [(each.method, each.size) for each in found] == [
        ("lora", 20_000),
        ("lora", 20_000),
        ("base", None),
        ("floor", None),
    ]


def test_a_configuration_without_the_bare_name_is_called_by_its_first_seed():
    evaluations = [evaluation(f"qlora_5k_seed{seed}", seed=seed, size=5000) for seed in (7, 3)]
    runs = ("qlora_5k_seed7", "qlora_5k_seed3")
    assert configurations_of(evaluations) == [Configuration("qlora_5k_seed7", "tuned", "qlora", 5000, runs)]


def test_a_name_that_ends_like_another_seed_is_a_configuration_of_its_own():
    found = configurations_of([evaluation("lora_20k"), evaluation("lora_20k_seed7", seed=8)])
    assert [each.name for each in found] == ["lora_20k", "lora_20k_seed7"]


def test_a_column_is_found_by_its_name():
    resampled = resample(study_scores(), CONFIGURATIONS, METRICS, 10, 3)
    assert [resampled.index(each.name) for each in CONFIGURATIONS] == [0, 1, 2]
    assert (resampled.n_items, resampled.resamples, resampled.seed) == (ITEMS, 10, 3)
    assert resampled.configurations == tuple(CONFIGURATIONS)


def seeds_of(name: str, count: int) -> Configuration:
    return Configuration(name, "tuned", "lora", 1, tuple(f"{name}{place}" for place in range(count)))


def one_configuration(*runs: list[float], resamples: int = 200, seed: int = 0):
    """Resample bleu_4 of a single configuration, given the values of each of its seeds."""
    configuration = seeds_of("a", len(runs))
    values = {run: np.array(each) for run, each in zip(configuration.runs, runs, strict=True)}
    return bleu_study(values, [configuration], resamples, seed)


def nll_scores(**runs: tuple[list, list]) -> dict:
    return {run: table(len(sums), {"nll_sum": sums, "n_answer_tokens": tokens}) for run, (sums, tokens) in runs.items()}


def test_what_is_summed_over_items_is_the_mean_over_seeds():
    resampled = one_configuration([1, 3], [3, 9])
    assert resampled.items["bleu_4"].tolist() == [[2.0], [6.0]]
    assert resampled.weights["bleu_4"].tolist() == [1.0, 1.0]
    scores = nll_scores(a0=([1, 2], [4, 5]), a1=([3, 4], [4, 5]))
    found = resample(scores, [seeds_of("a", 2)], ["nll"], 10, 0)
    assert found.items["nll"].tolist() == [[2.0], [3.0]]
    assert found.weights["nll"].tolist() == [4.0, 5.0]
    assert found.points["nll"] == pytest.approx([5 / 9])


@pytest.mark.parametrize(
    ("runs", "between", "noise"),
    [
        (([1, 3], [3, 9]), 4, 1),
        (([0, 2], [2, 0], [1, 1]), 0, 1 / 3),
        (([0, 0, 0], [0, 0, 0], [9, 9, 9]), 9, 0),
        (([1, 5, 6],), 0, 0),
        (([1], [3]), 0, 0),
    ],
)
def test_the_spread_of_seeds_and_the_part_of_items_in_it_by_hand(runs, between, noise):
    spread = one_configuration(*runs).seeds["bleu_4"]
    assert spread.between == pytest.approx([between])
    assert spread.noise == pytest.approx([noise])
    assert spread.variance == pytest.approx([max(0, between - noise)])


def test_the_spread_of_seeds_in_nll_weighs_items_by_their_tokens():
    scores = nll_scores(a0=([1, 2, 3], [1, 2, 3]), a1=([3, 4, 11], [1, 2, 3]))
    spread = resample(scores, [seeds_of("a", 2)], ["nll"], 10, 0).seeds["nll"]
    assert spread.between == pytest.approx([1])
    assert spread.noise == pytest.approx([1 / 12])


def test_a_configuration_of_one_seed_beside_one_of_several_has_no_spread():
    runs = {"b": np.array([1.0, 5.0]), "a0": np.array([1.0, 3.0]), "a1": np.array([3.0, 9.0])}
    spread = bleu_study(runs, [single("b"), seeds_of("a", 2)], 10).seeds["bleu_4"]
    assert spread.between == pytest.approx([0, 4])
    assert spread.noise == pytest.approx([0, 1])


def test_a_draw_is_that_of_the_items_and_a_stretched_one_of_the_seeds():
    """Two items and two seeds: B is 4 and E is 1, so that a seed's deviation of 2 is multiplied by √(2 · 3/4)."""
    draws = one_configuration([1, 3], [3, 9], resamples=2000).draws["bleu_4"][:, 0]
    levels = [items + seeds * 1.5**0.5 for items in (2, 4, 6) for seeds in (-2, 0, 2)]
    assert np.unique(draws.round(6)) == pytest.approx(np.sort(levels), abs=1e-6)
    halves = np.isclose(draws[:, None], levels).mean(axis=0)
    assert halves == pytest.approx(np.outer([0.25, 0.5, 0.25], [0.25, 0.5, 0.25]).ravel(), abs=0.04)


def test_draws_of_seeds_lean_as_the_seeds_do():
    draws = one_configuration([0, 0], [0, 0], [9, 9], resamples=2000).draws["bleu_4"]
    assert draws.min() == pytest.approx(3 - 3 * 1.5**0.5)
    assert draws.max() == pytest.approx(3 + 6 * 1.5**0.5)


def test_seeds_that_differ_by_less_than_their_items_noise_add_nothing():
    several = one_configuration([1, 5], [3.1, 3.1])
    mean = one_configuration([2.05, 4.05])
    assert several.seeds["bleu_4"].between > 0
    assert several.draws["bleu_4"] == pytest.approx(mean.draws["bleu_4"])


def test_seeds_that_are_equal_add_nothing():
    assert one_configuration([1, 5], [1, 5]).draws["bleu_4"] == pytest.approx(one_configuration([1, 5]).draws["bleu_4"])


def test_a_single_item_is_resampled_as_it_is():
    resampled = one_configuration([7])
    assert resampled.points["bleu_4"].tolist() == [7.0]
    assert set(resampled.draws["bleu_4"][:, 0]) == {7.0}
    assert set(one_configuration([7], [9]).draws["bleu_4"][:, 0]) == {7.0, 8.0, 9.0}


def test_which_seeds_are_drawn_is_known_from_the_name_and_the_seed_alone():
    configuration = seeds_of("a", 2)
    scores = {
        run: table(2, {"bleu_4": [value] * 2, "rouge_l": [-value] * 2})
        for run, value in zip(configuration.runs, (1.0, 3.0), strict=True)
    }
    draws = resample(scores, [configuration], ["bleu_4", "rouge_l"], 50, 6).draws
    picks = np.random.Generator(np.random.PCG64(np.random.SeedSequence([6, *b"a"]))).integers(0, 2, size=(50, 2))
    expected = 2 + 2**0.5 * (2 * picks - 1).mean(axis=1)
    assert draws["bleu_4"][:, 0] == pytest.approx(expected)
    assert draws["rouge_l"][:, 0] == pytest.approx(-expected)


def test_a_metric_is_missing_where_a_part_of_it_is():
    scores = nll_scores(a=([2, 4], [1, 3]), b=([1, 2], [np.nan, np.nan]))
    resampled = resample(scores, [single("a"), single("b")], ["nll"], 10, 0)
    assert resampled.measured("nll") == [0]
    assert resampled.points["nll"][0] == pytest.approx(6 / 4)
    assert np.isnan(resampled.items["nll"][:, 1]).all()


def test_a_metric_that_no_run_has_weighs_every_item_alike():
    nothing = [np.nan, np.nan]
    resampled = resample(nll_scores(a=(nothing, nothing)), [single("a")], ["nll"], 10, 0)
    assert resampled.weights["nll"].tolist() == [1.0, 1.0]
    assert resampled.measured("nll") == []
    assert np.isnan(resampled.draws["nll"]).all()


def test_the_f_of_rouge_is_taken_before_a_column_of_the_metric_s_own_name():
    scores = {"a": table(2, {"rouge_l": [9, 9], "rouge_l_f": [1, 2]})}
    assert resample(scores, [single("a")], ["rouge_l"], 10, 0).points["rouge_l"].tolist() == [1.5]


def bleu(*values: float):
    return table(len(values), {"bleu_4": np.array(values)})


NAN = float("nan")
REFUSED = {
    "nothing": ({}, [], "bleu_4", "no configurations were given, so there is nothing to resample"),
    "no scores": (
        {"a0": bleu(1, 2)},
        [seeds_of("a", 2)],
        "bleu_4",
        "a1: there is no scores.parquet of this run; give the scores of every run compared",
    ),
    "an item more": (
        {"a": bleu(1, 2), "b": bleu(1, 2, 3)},
        [single("a"), single("b")],
        "bleu_4",
        "b: was scored on other items than a (3 items and 2); predict and score both on the same test set",
    ),
    "another item": (
        {"a": bleu(1, 2), "b": bleu(1, 2)._replace(ids=["r00000", "q7"])},
        [single("a"), single("b")],
        "bleu_4",
        "b: was scored on other items than a (item 2 is q7); predict and score both on the same test set",
    ),
    "a seed without the metric": (
        {"a0": bleu(NAN, NAN), "a1": bleu(1, 2)},
        [seeds_of("a", 2)],
        "bleu_4",
        "a: bleu_4 is missing in some of its seeds; predict and score them",
    ),
    "an item without the metric": (
        {"a": bleu(1, NAN, NAN)},
        [single("a")],
        "bleu_4",
        "a: bleu_4 is missing for 2 of 3 items; predict it again",
    ),
    "no column": (
        {"a": bleu(1, 2)},
        [single("a")],
        "nll",
        "a: its scores have no column for nll; score it again with this metric",
    ),
    "no tokens": (
        nll_scores(a=([0, 1], [0, 1])),
        [single("a")],
        "nll",
        "a: n_answer_tokens is not above 0 for every item; predict it again",
    ),
    "other tokens": (
        nll_scores(a=([NAN] * 2, [NAN] * 2), b=([1, 1], [1, 1]), c=([1, 1], [1, 2])),
        [single("a"), single("b"), single("c")],
        "nll",
        "c: its answers have other numbers of tokens than those of b, so their NLL per token cannot be compared; "
        "predict both with the same tokenizer and test set",
    ),
}


@pytest.mark.parametrize(("scores", "configurations", "metric", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_compared_is_refused_with_what_to_do(scores, configurations, metric, sentence):
    with pytest.raises(UserError) as refusal:
        resample(scores, configurations, [metric], 10, 0)
    assert refusal.value.text == sentence
