"""Comparisons: which pairs, right intervals and p-values for known differences, Holm's correction, and power."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from made_up_scores import bleu_study, rouge_like, single, table, tokens_and_nll
from medscale.base.errors import UserError
from medscale.compare.comparisons import COLUMNS, among_tuned, compared_pairs, comparison_table, holm
from medscale.compare.paired_differences import intervals, p_values, paired_differences
from medscale.compare.power import power_table
from medscale.compare.resampling import Configuration, resample

CONFIGURATIONS = [
    *(single(f"{m}_{s}k", "tuned", m, s * 1000) for m in ("lora", "qlora") for s in (20, 50, 100)),
    single("lora_20k_5epochs", "control", "lora", 20_000),
    single("base", "base", "base", None),
    single("floor_fixed", "floor", "floor_fixed", None),
    single("floor_bm25", "floor", "floor_bm25", None),
]
EVALUATIONS = [
    *({"run": c.name, "training": {"steps": c.size // 16}} for c in CONFIGURATIONS[:6]),
    {"run": "lora_20k_5epochs", "training": {"steps": 6252}},
    *({"run": c.name, "training": None} for c in CONFIGURATIONS[7:]),
]


@pytest.fixture(scope="module")
def resampled():
    generator = np.random.default_rng(3)
    shared = generator.gamma(4.0, 1.0, 400)
    scores = {}
    for place, configuration in enumerate(CONFIGURATIONS):
        gain = 2.0 if configuration.kind in ("tuned", "control") else 0.0
        columns = {"rouge_l_f": rouge_like(generator, 400, shared) + gain + (configuration.name == "floor_bm25")}
        columns |= tokens_and_nll(generator, 400, 2.0 - gain / 10 + place / 1000)
        if configuration.kind == "floor":
            columns |= dict.fromkeys(("nll_sum", "n_answer_tokens"), np.full(400, np.nan))
        scores[configuration.name] = table(400, columns)
    return resample(scores, CONFIGURATIONS, ["rouge_l", "nll"], 2000, 0)


@pytest.fixture(scope="module")
def comparisons(resampled):
    return comparison_table(resampled, EVALUATIONS)


def pairs_of_kind(comparisons: pd.DataFrame, metric: str, kind: str) -> list[tuple[str, str]]:
    rows = comparisons[(comparisons["metric"] == metric) & (comparisons["kind"] == kind)]
    return list(zip(rows["a"], rows["b"], strict=True))


def test_every_pair_that_matters_is_there(comparisons):
    assert tuple(comparisons.columns) == COLUMNS
    assert pairs_of_kind(comparisons, "nll", "method") == [(f"qlora_{s}k", f"lora_{s}k") for s in (20, 50, 100)]
    assert pairs_of_kind(comparisons, "nll", "size") == [
        (f"{m}_{a}k", f"{m}_{b}k") for m in ("lora", "qlora") for a, b in ((50, 20), (100, 50))
    ]
    tuned = [configuration.name for configuration in CONFIGURATIONS[:6]]
    assert pairs_of_kind(comparisons, "nll", "base") == [(run, "base") for run in tuned]
    assert pairs_of_kind(comparisons, "rouge_l", "floor") == [(run, "floor_bm25") for run in [*tuned, "base"]]
    # equal steps on more data, then equal data with fewer steps
    assert pairs_of_kind(comparisons, "nll", "control") == [
        ("lora_20k_5epochs", "lora_100k"),
        ("lora_20k_5epochs", "lora_20k"),
    ]


def test_floors_have_no_nll_to_compare(comparisons):
    assert pairs_of_kind(comparisons, "nll", "floor") == []
    assert not comparisons.isna().any().any()


def test_a_row_tells_its_difference_in_the_metric_s_unit(resampled, comparisons):
    row = comparisons[(comparisons["metric"] == "nll") & (comparisons["kind"] == "base")].iloc[0]
    a, b = resampled.index(row["a"]), resampled.index("base")
    assert row["difference"] == pytest.approx(resampled.points["nll"][a] - resampled.points["nll"][b])
    assert row["difference"] == pytest.approx(row["value_a"] - row["value_b"])
    assert row["lo"] < row["difference"] < row["hi"] < 0, "lower NLL is better: tuned runs are below the base"
    assert row["significant"]
    assert row["exceeds_smallest_detectable"]
    assert row["n_items"] == 400


def test_holm_is_within_each_metric(comparisons):
    for _, rows in comparisons.groupby("metric"):
        assert rows["p_holm"].to_numpy() == pytest.approx(holm(rows["p"].to_numpy()))
        assert (rows["significant"] == (rows["p_holm"] <= 0.05)).all()


def test_p_and_interval_agree(comparisons):
    excludes_0 = (comparisons["lo"] > 0) | (comparisons["hi"] < 0)
    assert (excludes_0 == (comparisons["p"] <= 0.05)).all()
    assert (comparisons["p"] >= 1 / 2001).all()


def test_too_few_resamples_to_find_anything_are_refused():
    generator = np.random.default_rng(0)
    runs = {configuration.name: rouge_like(generator, 50) for configuration in CONFIGURATIONS}
    with pytest.raises(UserError, match=r"statistics\.resamples = 100.*at least"):
        comparison_table(bleu_study(runs, CONFIGURATIONS, resamples=100), EVALUATIONS)


def test_a_study_of_one_run_has_nothing_to_compare():
    found = comparison_table(bleu_study({"lora_1k": np.arange(9.0)}, [single("lora_1k")]), [])
    assert found.empty
    assert tuple(found.columns) == COLUMNS


def certain_gains(resamples: int):
    """Return a study of three comparisons, each of a gain that every item has."""
    base = np.arange(50.0)
    runs = {"base": base, "lora_1k": base + 1, "lora_2k": base + 3}
    configurations = [single("base", "base", "base", None), single("lora_1k"), single("lora_2k", size=2000)]
    return bleu_study(runs, configurations, resamples)


def test_as_many_resamples_as_suffice_find_every_certain_gain():
    found = comparison_table(certain_gains(59), [])
    assert found["p"].tolist() == [1 / 60] * 3
    assert found["p_holm"].tolist() == pytest.approx([0.05] * 3)
    assert found["significant"].tolist() == [True] * 3


def test_one_resample_fewer_is_refused_with_how_many_to_take():
    with pytest.raises(UserError) as refusal:
        comparison_table(certain_gains(58), [])
    assert refusal.value.text == (
        "statistics.resamples = 58: too few for 3 comparisons at statistics.alpha = 0.05, where none could be "
        "significant; take at least 60"
    )


def test_a_row_by_hand():
    found = comparison_table(certain_gains(59), []).set_index(["kind", "a"])
    assert found.index.tolist() == [("size", "lora_2k"), ("base", "lora_1k"), ("base", "lora_2k")]
    assert found.loc[("size", "lora_2k"), ["metric", "b", "value_a", "value_b", "difference"]].tolist() == [
        *("bleu_4", "lora_1k", 27.5, 25.5, 2.0)
    ]
    assert found.loc[("base", "lora_2k"), ["lo", "hi", "smallest_detectable"]].tolist() == pytest.approx([3, 3, 0])
    assert found["exceeds_smallest_detectable"].all()


def test_equal_runs_do_not_exceed_what_is_detectable():
    same = np.arange(50.0)
    row = comparison_table(bleu_study({"a": same, "b": same}, [single("a"), single("b", method="qlora")]), []).iloc[0]
    assert (row["difference"], row["smallest_detectable"], row["p_holm"]) == (0, 0, 1)
    assert not row["exceeds_smallest_detectable"]
    assert not row["significant"]


@pytest.mark.parametrize(("alpha", "power", "beyond"), [(0.05, 0.8, 0.841621), (0.1, 0.9, 1.281552), (0.05, 0.5, 0.0)])
def test_the_smallest_detectable_effect_lies_so_many_standard_errors_beyond_the_interval(alpha, power, beyond):
    generator = np.random.default_rng(1)
    runs = {name: rouge_like(generator, 60) for name in "ab"}
    study = bleu_study(runs, [single("a"), single("b", method="qlora")])
    row = comparison_table(study, [], alpha, power).iloc[0]
    error = np.std(runs["a"] - runs["b"], ddof=1) / 60**0.5
    assert row["smallest_detectable"] == pytest.approx((row["hi"] - row["lo"]) / 2 + beyond * error, rel=1e-6)


def test_seeds_of_either_side_are_counted():
    generator = np.random.default_rng(2)
    sides = [
        Configuration("a", "tuned", "lora", 1, ("a", "a2", "a3")),
        Configuration("b", "tuned", "qlora", 1, ("b", "b2")),
    ]
    runs = {run: rouge_like(generator, 30) for side in sides for run in side.runs}
    row = comparison_table(bleu_study(runs, sides), []).iloc[0]
    assert (row["a"], row["seeds_a"], row["b"], row["seeds_b"]) == ("b", 2, "a", 3)


def test_without_metrics_there_is_nothing_to_compare():
    study = resample({"a": table(9, {}), "b": table(9, {})}, [single("a"), single("b", method="qlora")], [], 10, 0)
    assert comparison_table(study, []).empty


@pytest.mark.parametrize("best", [0, 1, 2])
def test_the_floor_is_the_best_one_wherever_it_stands(best):
    floors = [single(f"floor_{letter}", "floor", "floor", None) for letter in "abc"]
    values = {each.name: np.full(9, float(place == best)) for place, each in enumerate(floors)}
    study = bleu_study(values | {"a": np.full(9, 5.0)}, [*floors, single("a")])
    assert compared_pairs(study, "bleu_4", {}) == [("floor", 3, best)]


@pytest.mark.parametrize("best", [0, 1])
def test_the_best_floor_has_the_lowest_nll_where_it_is_measured(best):
    floors = [single(f"floor_{letter}", "floor", "floor", None) for letter in "ab"]
    levels = {each.name: 3.0 - (place == best) for place, each in enumerate(floors)} | {"a": 1.0}
    scores = {run: table(9, {"nll_sum": [level] * 9, "n_answer_tokens": [1] * 9}) for run, level in levels.items()}
    study = resample(scores, [*floors, single("a")], ["nll"], 99, 0)
    assert compared_pairs(study, "nll", {}) == [("floor", 2, best)]


def control_study(steps: dict) -> list[str]:
    """Return with what a control arm of 1000 rows and 100 steps is compared, given the steps of the others."""
    configurations = [
        single("lora_1k"),
        single("lora_5k", size=5000),
        single("lora_9k", size=9000),
        single("qlora_5k", method="qlora", size=5000),
        single("lora_1k_5epochs", "control"),
    ]
    study = bleu_study({each.name: np.arange(9.0) for each in configurations}, configurations)
    pairs = compared_pairs(study, "bleu_4", steps)
    return [configurations[b].name for kind, a, b in pairs if kind == "control" and a == 4]


@pytest.mark.parametrize(
    ("steps", "partners"),
    [
        ({"lora_1k_5epochs": 100, "lora_5k": 100, "qlora_5k": 100}, ["lora_5k", "lora_1k"]),
        ({"lora_1k_5epochs": 100, "lora_5k": 99, "lora_9k": 101}, ["lora_5k", "lora_9k", "lora_1k"]),
        ({"lora_1k_5epochs": 100, "lora_5k": 97, "lora_9k": 103}, ["lora_1k"]),
        ({"lora_1k_5epochs": 100, "lora_1k": 100}, ["lora_1k"]),
        ({"lora_5k": 100}, ["lora_1k"]),
        ({"lora_1k_5epochs": None, "lora_5k": None}, ["lora_1k"]),
        ({"lora_1k_5epochs": 100, "lora_5k": None}, ["lora_1k"]),
    ],
)
def test_a_control_arm_is_compared_at_equal_steps_and_at_equal_size(steps, partners):
    assert control_study(steps) == partners


def test_a_run_with_general_rows_is_compared_with_the_same_method_and_size_alone():
    configurations = [
        single("lora_1k"),
        single("lora_5k", size=5000),
        single("qlora_1k", method="qlora"),
        Configuration("lora_1k_mix10", "control", "lora", 1000, ("lora_1k_mix10", "lora_1k_mix10_seed7")),
        single("qlora_5k_mix10", "control", "qlora", 5000),
    ]
    values = {run: np.arange(9.0) for each in configurations for run in each.runs}
    study = bleu_study(values, configurations)
    # As many steps as another size has, by chance, make it no partner; and of the last there is no plain one.
    pairs = compared_pairs(study, "bleu_4", dict.fromkeys(values, 100))
    named = [(kind, configurations[a].name, configurations[b].name) for kind, a, b in pairs]
    assert [each for each in named if "mix" in each[1] + each[2]] == [("mix", "lora_1k_mix10", "lora_1k")]


def kinds_left(*kinds: str) -> list[str]:
    return among_tuned(pd.DataFrame({"kind": list(kinds)}))["kind"].tolist()


def test_fine_tuned_runs_are_taken_among_each_other_and_a_single_one_with_the_base_model():
    assert kinds_left("method", "size", "base", "floor", "control") == ["method", "size"]
    assert kinds_left("size", "base") == ["size"]
    assert kinds_left("method", "base") == ["method"]
    assert kinds_left("base", "floor", "base", "control") == ["base", "base"]
    assert kinds_left("floor") == []


probabilities = st.lists(st.floats(0.0001, 1.0), min_size=1, max_size=20).map(np.array)


@given(probabilities)
def test_holm_lies_between_no_correction_and_bonferroni(p):
    adjusted = holm(p)
    assert (adjusted >= p - 1e-12).all()
    assert (adjusted <= np.minimum(1, p * len(p)) + 1e-12).all()
    assert adjusted.min() == pytest.approx(min(1, p.min() * len(p)))
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()


@given(probabilities, st.sampled_from([0.01, 0.05, 0.2]))
def test_holm_rejects_what_the_step_down_procedure_rejects(p, alpha):
    """Holm 1979 in his own words: go up through the p-values while each is below alpha over the number left."""
    order = np.argsort(p, kind="stable")
    rejected = np.zeros(len(p), dtype=bool)
    for step, index in enumerate(order):
        if p[index] * (len(p) - step) > alpha:
            break
        rejected[index] = True
    assert ((holm(p) <= alpha) == rejected).all()


@given(probabilities, st.randoms(use_true_random=False))
def test_holm_does_not_depend_on_the_order(p, rng):
    order = list(range(len(p)))
    rng.shuffle(order)
    assert holm(p[order]) == pytest.approx(holm(p)[order])


def differences_of(a: np.ndarray, b: np.ndarray, resamples: int = 999, seed: int = 0):
    study = bleu_study({"a": a, "b": b}, [single("a"), single("b")], resamples, seed)
    return paired_differences(study, {"bleu_4": [(0, 1)]})["bleu_4"]


def test_equal_scores_are_no_evidence():
    same = np.arange(50.0)
    differences = differences_of(same, same)
    assert p_values(differences) == 1.0
    assert [end[0] for end in intervals(differences, 0.05)] == [0.0, 0.0]


def test_the_same_gain_on_every_item_is_certain():
    differences = differences_of(np.arange(50.0) + 0.1, np.arange(50.0))
    assert p_values(differences)[0] == 1 / 1000
    assert [end[0] for end in intervals(differences, 0.05)] == pytest.approx([0.1, 0.1])


@pytest.mark.parametrize("differing", [1, 3, 5])
def test_a_handful_of_differing_items_is_no_evidence(differing):
    """However large: two adapters that answer alike but for five lucky items are not shown to differ."""
    a = np.full(1000, 5.0)
    b = a.copy()
    b[:differing] = 1.0
    differences = differences_of(a, b)
    low, high = intervals(differences, 0.05)
    assert p_values(differences)[0] == 1.0
    assert -0.1 < low[0] < 0 < high[0] < 0.1


def test_the_studentised_draws_equal_a_plain_loop():
    generator = np.random.default_rng(2)
    columns = [tokens_and_nll(generator, 80, level) for level in (2.0, 2.1)]
    scores = {name: table(80, each) for name, each in zip("ab", columns, strict=True)}
    found = paired_differences(resample(scores, [single("a"), single("b")], ["nll"], 30, 5), {"nll": [(0, 1)]})["nll"]
    tokens = columns[0]["n_answer_tokens"]
    difference = columns[0]["nll_sum"] - columns[1]["nll_sum"]
    value = difference.sum() / tokens.sum()
    picks = np.random.Generator(np.random.PCG64(5)).integers(0, 80, size=(30, 80))
    for row, pick in enumerate(picks):
        drawn = difference[pick].sum() / tokens[pick].sum()
        residual = difference[pick] - drawn * tokens[pick]
        se = np.sqrt(residual @ residual * 80 / 79) / tokens[pick].sum()
        assert found.studentised[row, 0] == pytest.approx((drawn - value) / se)


@settings(max_examples=40, database=None)
@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=2, max_size=40))
def test_any_scores_give_a_p_value_and_swapping_mirrors_the_interval(values):
    a, b = np.array(values).T
    forth, back = differences_of(a, b, resamples=99), differences_of(b, a, resamples=99)
    assert 0 < p_values(forth)[0] <= 1
    assert p_values(forth) == pytest.approx(p_values(back))
    low, high = intervals(forth, 0.05)
    mirrored_low, mirrored_high = intervals(back, 0.05)
    assert low == pytest.approx(-mirrored_high, nan_ok=True)
    assert high == pytest.approx(-mirrored_low, nan_ok=True)


def simulated(draw, simulations: int, items: int, seed: int) -> tuple[float, float]:
    """Share of intervals that hold the true difference 0, and of false alarms."""
    generator = np.random.default_rng(seed)
    hits, alarms = 0, 0
    for number in range(simulations):
        differences = differences_of(*draw(generator, items), resamples=399, seed=number)
        low, high = intervals(differences, 0.05)
        hits += low[0] <= 0 <= high[0]
        alarms += p_values(differences)[0] <= 0.05
    return hits / simulations, alarms / simulations


def equal_models(generator, items):
    shared = generator.gamma(4.0, 1.0, items)
    return rouge_like(generator, items, shared), rouge_like(generator, items, shared)


def skewed(generator, items):
    """Means of 1 both, of which one has a long tail and zeros."""
    tail = np.where(generator.random(items) < 0.3, 0.0, generator.exponential(1 / 0.7, items))
    return tail, generator.gamma(4.0, 0.25, items)


@pytest.mark.parametrize("draw", [equal_models, skewed])
def test_intervals_cover_and_false_alarms_are_as_rare_as_they_should_be(draw):
    covered, alarms = simulated(draw, simulations=300, items=150, seed=12)
    assert 0.915 <= covered <= 0.98  # 0.95 ± 2.8 standard errors of the simulation
    assert 0.02 <= alarms <= 0.085


def test_nll_differences_cover():
    generator = np.random.default_rng(21)
    hits = 0
    for number in range(200):
        scores = {name: table(150, tokens_and_nll(generator, 150, level)) for name, level in (("a", 2.0), ("b", 2.1))}
        study = resample(scores, [single("a"), single("b")], ["nll"], 399, number)
        low, high = intervals(paired_differences(study, {"nll": [(0, 1)]})["nll"], 0.05)
        hits += low[0] <= -0.1 <= high[0]
    assert 0.90 <= hits / 200 <= 0.99


def test_the_smallest_detectable_difference_is_detected_as_often_as_promised():
    generator = np.random.default_rng(5)
    effect = 2.8016 * np.sqrt(2) * 4.25 / np.sqrt(200)
    found = 0
    for number in range(200):
        a, b = equal_models(generator, 200)
        found += p_values(differences_of(a + effect, b, resamples=399, seed=number))[0] <= 0.05
    assert 0.71 <= found / 200 <= 0.89


def test_few_seeds_with_a_spread_cover():
    """Three seeds a side, which differ by three times their item noise: without Student's t 0.9 would hold."""
    generator = np.random.default_rng(31)
    hits, items_only = 0, 0
    for number in range(200):
        shared = generator.gamma(4.0, 1.0, 150)
        runs = {
            f"{m}{s}": rouge_like(generator, 150, shared) + generator.normal(0, 1.0) for m in "ab" for s in range(3)
        }
        sides = [Configuration(m, "tuned", m, 1, tuple(f"{m}{s}" for s in range(3))) for m in "ab"]
        study = bleu_study(runs, sides, 399, number)
        differences = paired_differences(study, {"bleu_4": [(0, 1)]})["bleu_4"]
        low, high = intervals(differences, 0.05)
        hits += low[0] <= 0 <= high[0]
        items_only += abs(differences.value[0]) <= 1.96 * differences.item_se[0]
    assert hits / 200 >= 0.91
    assert items_only / 200 < 0.8, "the simulation must be one in which seeds matter"


def test_power_follows_from_the_paired_spread(resampled, comparisons):
    found = power_table(resampled, comparisons, items=(500, 2000))
    rouge = found[found["metric"] == "rouge_l"].set_index("n_items")
    assert rouge.index.tolist() == [400, 500, 2000]
    assert rouge["paired_sd"].unique() == pytest.approx(6.0, abs=0.5)
    assert rouge.loc[2000, "smallest_detectable"] == pytest.approx(
        2.8016 * rouge.loc[2000, "paired_sd"] / 2000**0.5, rel=1e-3
    )
    assert rouge.loc[500, "smallest_detectable"] == pytest.approx(2 * rouge.loc[2000, "smallest_detectable"])
    rows = comparisons[(comparisons["metric"] == "rouge_l") & comparisons["kind"].isin(["method", "size"])]
    assert rouge.loc[400, "smallest_detectable"] == pytest.approx(rows["smallest_detectable"].median())


def test_power_is_told_of_each_metric_at_the_usual_sizes_and_the_study_s_own(resampled, comparisons):
    found = power_table(resampled, comparisons)
    assert found.columns.tolist() == ["metric", "n_items", "paired_sd", "smallest_detectable"]
    assert found["metric"].tolist() == ["rouge_l"] * 5 + ["nll"] * 5
    assert found["n_items"].tolist() == [400, 500, 1000, 2000, 5000] * 2


def test_a_size_that_is_the_study_s_own_is_told_once(resampled, comparisons):
    assert power_table(resampled, comparisons, items=(400, 100))["n_items"].tolist() == [100, 400] * 2


def test_power_by_hand():
    """Differences of an item between the sizes have standard deviations of 1, 2 and 3: the median is taken."""
    base = np.arange(4.0)
    signs = np.array([1, -1, 1, -1]) * 0.75**0.5
    runs = {"a": base, "b": base + signs, "c": base + 3 * signs, "d": base}
    study = bleu_study(runs, [single(name, size=place) for place, name in enumerate(runs)])
    found = power_table(study, comparison_table(study, []), alpha=0.1, power=0.9, items=(16,)).set_index("n_items")
    assert found["paired_sd"].tolist() == pytest.approx([2, 2])
    assert found["smallest_detectable"].tolist() == pytest.approx([np.nan, 2.926405 / 2], rel=1e-6, nan_ok=True), (
        "four items have no interval, sixteen have one"
    )


def two_seeds_each(items=40, apart=2.0):
    """Return a study of two configurations whose two seeds lie so far apart, with its comparisons."""
    generator = np.random.default_rng(9)
    runs = {f"{m}{s}": rouge_like(generator, items) + apart * s for m in "ab" for s in range(2)}
    sides = [Configuration(f"{m}0", "tuned", m, 1, (f"{m}0", f"{m}1")) for m in "ab"]
    study = bleu_study(runs, sides)
    return study, comparison_table(study, [])


def test_with_several_seeds_the_detectable_difference_is_that_of_the_t_test():
    study, table = two_seeds_each()
    (row,) = table.to_dict("records")
    differences = paired_differences(study, {"bleu_4": [(0, 1)]})["bleu_4"]
    freedom, error = differences.freedom[0], differences.se[0]
    assert freedom < 10, "the study must be one in which Student's t matters"
    expected = (row["hi"] - row["lo"]) / 2 + stats.t.ppf(0.8, freedom) * error
    assert row["smallest_detectable"] == pytest.approx(expected)
    assert row["smallest_detectable"] > 1.2 * 2.801585 * error


def test_the_power_table_says_of_the_study_s_own_size_what_its_comparisons_say():
    study, table = two_seeds_each()
    found = power_table(study, table, items=(10, 500, 5000)).set_index("n_items")["smallest_detectable"]
    assert found[40] == pytest.approx(table["smallest_detectable"][0])
    assert found.is_monotonic_decreasing, "seeds differ by as much, and more items detect no less"
    seeds_alone = study.seeds["bleu_4"].variance.sum() ** 0.5
    assert found[5000] > 2.801585 * seeds_alone, "more items take away none of what seeds add"


def test_configurations_that_are_alike_say_nothing_of_what_a_test_set_detects():
    same, other = np.arange(50.0), np.arange(50.0) + np.tile([1.0, -1.0], 25)
    sizes = {"a": 1, "b": 2, "c": 3}
    study = bleu_study({"a": same, "b": same, "c": other}, [single(name, size=size) for name, size in sizes.items()])
    table = comparison_table(study, [])
    assert table["smallest_detectable"].tolist()[0] == 0
    found = power_table(study, table, items=())
    assert found["smallest_detectable"].tolist() == [table["smallest_detectable"][1]]
    assert found["paired_sd"].tolist() == pytest.approx([np.std(same - other, ddof=1)])
    alike = bleu_study({"a": same, "b": same}, [single("a"), single("b", size=2)])
    assert power_table(alike, comparison_table(alike, []), items=(500,))["smallest_detectable"].isna().all()


def test_the_spread_of_nll_is_in_nats_per_token():
    """Sums of two items that differ by 1 and by 4 at 10 and 20 tokens: less 5/30 a token, by ∓2/3."""
    scores = {
        name: table(2, {"nll_sum": sums, "n_answer_tokens": [10, 20]})
        for name, sums in (("a", [11.0, 24.0]), ("b", [10.0, 20.0]))
    }
    study = resample(scores, [single("a"), single("b", size=2000)], ["nll"], 99, 0)
    found = power_table(study, comparison_table(study, []), items=())
    assert found["n_items"].tolist() == [2]
    assert found["paired_sd"].tolist() == pytest.approx([2 * (2 / 3) / 30 * 2**0.5])
