"""The value of each configuration with its one interval: of a run that of its eval.json, of several seeds over both."""

import numpy as np
import pytest
from scipy import stats

import synthetic
from made_up_scores import table, tokens_and_nll
from medscale.compare.configurations import (
    ITEMS,
    ITEMS_AND_SEEDS,
    configuration_table,
    intervals_over_seeds,
    own_intervals,
    several_seeds,
)
from medscale.compare.resampling import configurations_of, resample

COUNT = 400


def study(seeds=(42, 7, 9), apart=0.0, metrics=("rouge_l", "nll")):
    """Return a resampled study: a size with several seeds, ``apart`` from each other, one with one, and the base."""
    generator = np.random.default_rng(3)
    evaluations = [synthetic.evaluation("lora", 20_000, seed) for seed in seeds]
    evaluations += [synthetic.evaluation("lora", 50_000), synthetic.evaluation("base")]
    shared = generator.gamma(4.0, 1.0, COUNT)
    scores = {}
    for place, each in enumerate(evaluations):
        shift = apart * place if each["train_size"] == 20_000 else 0.0
        columns = {"rouge_l_f": 2.125 * (shared + generator.gamma(4.0, 1.0, COUNT)) + shift}
        scores[each["run"]] = table(COUNT, columns | tokens_and_nll(generator, COUNT, 2.0 + shift / 10))
    return resample(scores, configurations_of(evaluations), list(metrics), 999, 0), evaluations


def test_a_row_a_configuration_with_its_seeds_and_what_its_interval_is_over():
    resampled, evaluations = study()
    found = configuration_table(resampled, evaluations)
    assert found["configuration"].tolist() == ["lora_20k", "lora_50k", "base"]
    assert found["kind"].tolist() == ["tuned", "tuned", "base"]
    assert found["seeds"].tolist() == [3, 1, 1]
    assert found["runs"].tolist() == ["lora_20k lora_20k_seed7 lora_20k_seed9", "lora_50k", "base"]
    assert found["interval"].tolist() == [ITEMS_AND_SEEDS, ITEMS, ITEMS]
    assert several_seeds(found)["configuration"].tolist() == ["lora_20k"]


def test_one_seed_has_the_interval_of_its_eval_json_to_the_last_digit():
    resampled, evaluations = study()
    found = configuration_table(resampled, evaluations).set_index("configuration")
    for evaluation in evaluations[-2:]:
        for metric in ("rouge_l", "nll"):
            ends = [found.loc[evaluation["run"], f"{metric}_{end}"] for end in ("lo", "hi")]
            assert ends == evaluation["metrics"][metric]["ci95"]


def test_several_seeds_have_the_mean_and_an_interval_around_it_that_grows_with_their_spread():
    widths = []
    for apart in (0.0, 0.5, 2.0):
        resampled, evaluations = study(apart=apart)
        row = configuration_table(resampled, evaluations).iloc[0]
        assert row["rouge_l"] == pytest.approx(resampled.points["rouge_l"][0], abs=1e-6)
        assert (row["rouge_l_lo"] + row["rouge_l_hi"]) / 2 == pytest.approx(row["rouge_l"], abs=2e-6)
        widths.append(row["rouge_l_hi"] - row["rouge_l_lo"])
    assert widths == sorted(widths)
    assert widths[2] > 4 * widths[0]


def test_few_seeds_far_apart_have_the_interval_of_students_t():
    """Where the seeds' spread dwarfs the items' noise, the interval is that of a mean of so many values."""
    resampled, _ = study(apart=11.0)
    ((low, high),) = intervals_over_seeds(resampled, "rouge_l", [0], 0.05)
    values = np.array([0.0, 11.0, 22.0])
    half = stats.t.isf(0.025, 2) * values.std(ddof=1) / np.sqrt(3)
    assert (high - low) / 2 == pytest.approx(half, rel=0.05)


def test_equal_seeds_leave_what_the_items_give():
    """Trainings that came out the same say that seeds add nothing: about the interval of one of them is left."""
    generator = np.random.default_rng(5)
    values = {"rouge_l_f": generator.gamma(4.0, 4.25, COUNT)}
    evaluations = [synthetic.evaluation("lora", 20_000, seed) for seed in (42, 7)]
    scores = {each["run"]: table(COUNT, values) for each in evaluations}
    resampled = resample(scores, configurations_of(evaluations), ["rouge_l"], 1999, 0)
    ((low, high),) = intervals_over_seeds(resampled, "rouge_l", [0], 0.05)
    alone = np.quantile(resampled.draws["rouge_l"][:, 0], (0.025, 0.975))
    assert [low, high] == pytest.approx(alone.tolist(), abs=0.1)


def test_what_was_not_measured_stays_empty():
    resampled, evaluations = study()
    resampled.points["nll"][1] = np.nan
    by_run = {evaluation["run"]: evaluation for evaluation in evaluations}
    assert np.isnan(own_intervals(resampled, "nll", by_run)[1]).all()
    assert not np.isnan(own_intervals(resampled, "nll", by_run)[0]).any()


def test_nothing_is_put_beside_the_configurations_and_changes_none():
    resampled, _ = study()
    widened = resampled.with_nothing()
    assert widened.configurations[:-1] == resampled.configurations
    for metric in resampled.points:
        assert np.array_equal(widened.draws[metric][:, :-1], resampled.draws[metric])
        assert not widened.items[metric][:, -1].any()
        assert widened.seeds[metric].variance[-1] == 0


def test_no_end_lies_where_a_metric_has_no_values():
    """Two seeds far apart, and Student's t of one degree of freedom."""
    resampled, _evaluations = study(seeds=(42, 7), apart=20.0)
    ((low, high),) = intervals_over_seeds(resampled, "rouge_l", [0], 0.05)
    assert (low, high) == (0.0, 100.0)
    ((low, high),) = intervals_over_seeds(resampled, "nll", [0], 0.05)
    assert low == 0.0
    assert high > 10
