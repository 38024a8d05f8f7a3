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


def test_a_run_without_scores_is_named():
    scores = study_scores()
    del scores["lora_1k_seed7"]
    with pytest.raises(UserError, match="lora_1k_seed7"):
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
    assert found[0].size == 20_000
