"""The recommendation: cheapest not worse than the best, no difference where that is the truth, and its warnings."""

import json
import re

import numpy as np
import pytest

import synthetic
from made_up_scores import bleu_study, table
from medscale.base.errors import UserError
from medscale.compare.caveats import Limits
from medscale.compare.comparisons import comparison_table
from medscale.compare.configurations import intervals_over_seeds
from medscale.compare.recommendation import Settings, costs, pareto_flags, recommend
from medscale.compare.resampling import Configuration, configurations_of, resample

ITEMS = 400
TOKENS = np.random.default_rng(0).integers(20, 200, ITEMS).astype(float)
PASSED = {"passed": True}
FAILED = {"passed": False, "test_questions": 2000, "near": {"count": 12}, "contained": {"count": 3}}
# NLL by run: qlora_100k is best, lora_50k is nearly as good, the rest is clearly worse
LEVELS = {
    **{"lora_20k": 2.10, "lora_50k": 2.008, "lora_100k": 2.006},
    **{"qlora_20k": 2.12, "qlora_50k": 2.05, "qlora_100k": 2.0},
    **{"base": 2.40, "floor_fixed": None},
}


def evaluation(run: str) -> dict:
    if run == "base" or run.startswith("floor"):
        return synthetic.evaluation(run.split("_")[0], run=run)
    method, label = run.split("_")[:2]
    seed = int(run.split("_seed")[1]) if "_seed" in run else 42
    found = synthetic.evaluation(method, int(label.removesuffix("k")) * 1000, seed, run)
    return found | {"arm": "control"} if run.endswith("epochs") else found


def scores_of(level: float | None, generator: np.random.Generator, noise: float, rouge: float):
    columns = {"rouge_l_f": generator.normal(rouge, 5.0, ITEMS), "bleu_4": generator.gamma(2.0, 2.0, ITEMS)}
    nothing = np.full(ITEMS, np.nan)
    nll = nothing if level is None else TOKENS * (level + generator.normal(0, noise, ITEMS))
    return table(ITEMS, columns | {"nll_sum": nll, "n_answer_tokens": nothing if level is None else TOKENS})


def study(levels=LEVELS, noise: float = 0.02, rouge: dict | None = None):
    """Return what `recommend` takes: a study with these values of NLL by run, and of ROUGE-L."""
    generator = np.random.default_rng(9)
    evaluations = [evaluation(run) for run in levels]
    for each in evaluations:
        if level := levels[each["run"]]:
            each["metrics"]["nll"]["ci95"] = [level - 0.01, level + 0.01]
    means = {run: 15.0 if run.startswith("floor") else 20.0 for run in levels} | (rouge or {})
    scores = {run: scores_of(level, generator, noise, means[run]) for run, level in levels.items()}
    resampled = resample(scores, configurations_of(evaluations), ["rouge_l", "bleu_4", "nll"], 2000, 0)
    return resampled, evaluations, comparison_table(resampled, evaluations)


@pytest.fixture(scope="module")
def usual():
    return study()


def candidate(result: dict, run: str) -> dict:
    return next(each for each in result["candidates"] if each["run"] == run)


def kinds(result: dict) -> set[str]:
    return {warning["kind"] for warning in result["warnings"]}


def numbers(text: str) -> set[str]:
    return set(re.findall(r"\d+\.\d+", text))


def test_the_cheapest_that_is_not_worse_is_recommended(usual):
    result = recommend(*usual, PASSED, Settings(margin=0.02))
    assert (result["verdict"], result["best"], result["run"]) == ("recommended", "qlora_100k", "lora_50k")
    assert [each["run"] for each in result["candidates"] if each["not_worse"]] == [
        *("lora_50k", "lora_100k", "qlora_100k")
    ]
    chosen = candidate(result, "lora_50k")
    assert chosen["gpu_hours"] == pytest.approx(chosen["train_seconds"] / 3600, abs=1e-6)
    assert chosen["lo_difference"] <= chosen["difference_to_best"] <= chosen["hi_difference"] < 0.02
    assert chosen["lo"] < chosen["value"] < chosen["hi"]
    # lower NLL is better, so a worse candidate has a positive difference
    assert candidate(result, "base")["lo_difference"] > 0.3


def test_a_reader_meets_one_interval_of_a_value(usual):
    """That of eval.json, which the table of results shows; at another level there is only the draws'."""
    of_run = {evaluation["run"]: evaluation["metrics"]["nll"]["ci95"] for evaluation in usual[1]}
    for each in recommend(*usual, PASSED, Settings(margin=0.02))["candidates"]:
        assert [each["lo"], each["hi"]] == of_run[each["run"]]
    for each in recommend(*usual, PASSED, Settings(margin=0.02, alpha=0.1))["candidates"]:
        assert [each["lo"], each["hi"]] != of_run[each["run"]]


def test_the_sentence_says_it_with_its_numbers_in_both_languages(usual):
    result = recommend(*usual, PASSED, Settings(margin=0.02, price_per_gpu_hour=8.0))
    for language, text in result["sentence"].items():
        assert "lora_50k" in text, language
        assert "qlora_100k" in text, language
        assert {"0.020", f"{candidate(result, 'lora_50k')['value']:.3f}"} <= numbers(text)
        assert f"{candidate(result, 'lora_50k')['hi_difference']:.3f}" in text
        assert f"{candidate(result, 'lora_50k')['cost']:.2f} CNY" in text
    assert numbers(result["sentence"]["en"]) == numbers(result["sentence"]["zh"])
    assert re.search("[一-鿿]", result["sentence"]["zh"])
    assert not re.search("[一-鿿]", result["sentence"]["en"])


def test_a_margin_too_narrow_to_show_leaves_the_best(usual):
    result = recommend(*usual, PASSED, Settings(margin=0.0005))
    assert result["run"] == result["best"] == "qlora_100k"
    assert "few_items" in kinds(result)
    assert "no cheaper configuration" in result["sentence"]["en"]


def test_the_best_may_lose_to_one_that_is_truly_as_good(usual):
    """The interval of the best says how much better another may be."""
    best = candidate(recommend(*usual, PASSED, Settings()), "qlora_100k")
    assert best["difference_to_best"] == 0
    assert 0 == best["lo_difference"] <= best["hi_difference"] < 0.005


def test_a_base_model_within_the_margin_is_enough():
    result = recommend(*study({"lora_20k": 2.0, "lora_50k": 1.99, "base": 2.01}), PASSED, Settings(margin=0.05))
    assert (result["verdict"], result["run"], result["best"]) == ("no_difference_shown", "base", "lora_50k")
    assert "not worth its cost" in result["sentence"]["en"]


def test_noise_that_hides_everything_recommends_nothing():
    levels = {"lora_20k": 2.0, "lora_50k": 2.0, "base": 2.0}
    result = recommend(*study(levels, noise=1.0), PASSED, Settings(margin=0.02))
    assert (result["verdict"], result["run"]) == ("no_difference_shown", None)
    assert "more test items are needed" in result["sentence"]["en"]
    assert "few_items" in kinds(result)


def test_a_base_model_that_is_best_is_said_to_be():
    result = recommend(*study({"lora_20k": 2.3, "lora_50k": 2.2, "base": 2.0}), PASSED, Settings())
    assert (result["verdict"], result["run"], result["best"]) == ("no_difference_shown", "base", "base")
    assert result["sentence"]["en"].startswith("No gain was shown: the base model")


def test_a_study_without_base_model_is_judged_all_the_same():
    result = recommend(*study({"lora_20k": 2.0, "lora_50k": 2.0}), PASSED, Settings(margin=0.05))
    assert (result["verdict"], result["run"]) == ("recommended", "lora_20k")


def test_higher_is_better_for_overlap_metrics():
    rouge = {"lora_20k": 21.0, "lora_50k": 25.0, "base": 15.0}
    levels = {"lora_20k": 2.0, "lora_50k": 2.1, "base": 2.2}
    result = recommend(*study(levels, rouge=rouge), PASSED, Settings(metric="rouge_l", margin=1.0))
    assert result["run"] == result["best"] == "lora_50k"
    assert candidate(result, "lora_20k")["hi_difference"] < 0
    assert candidate(result, "base")["difference_to_best"] == pytest.approx(-10, abs=1)
    assert result["margin"] == 1.0


def test_control_arms_and_floors_are_no_candidates():
    result = recommend(*study(LEVELS | {"lora_20k_5epochs": 1.0}), PASSED, Settings())
    assert {each["run"] for each in result["candidates"]} == set(LEVELS) - {"floor_fixed"}


def test_seeds_cost_one_training_on_average():
    levels = {"lora_20k": 2.0, "lora_20k_seed7": 2.001, "base": 2.4}
    resampled, evaluations, comparisons = study(levels)
    result = recommend(resampled, evaluations, comparisons, PASSED, Settings(price_per_gpu_hour=10.0))
    seconds = [each["training"]["seconds"] for each in evaluations[:2]]
    assert candidate(result, "lora_20k")["train_seconds"] == pytest.approx(np.mean(seconds))
    assert candidate(result, "lora_20k")["cost"] == pytest.approx(np.mean(seconds) / 360, abs=0.01)
    assert len(result["candidates"]) == 2
    assert "one_seed" not in kinds(result)


def test_a_run_of_unknown_time_is_never_the_cheapest(usual):
    resampled, evaluations, comparisons = usual
    evaluations = json.loads(json.dumps(evaluations))
    next(each for each in evaluations if each["run"] == "lora_50k")["training"]["seconds"] = None
    result = recommend(resampled, evaluations, comparisons, PASSED, Settings(price_per_gpu_hour=1.0))
    assert result["run"] == "lora_100k"
    unknown = candidate(result, "lora_50k")
    assert (unknown["train_seconds"], unknown["gpu_hours"], unknown["cost"]) == (None, None, None)
    assert unknown["pareto"] is False
    assert "cost_not_measured" in kinds(result)


def test_equal_hours_go_to_the_smaller_memory(usual):
    resampled, evaluations, comparisons = usual
    evaluations = json.loads(json.dumps(evaluations))
    for each in evaluations:
        if each["training"]:
            each["training"]["seconds"] = 100.0
    result = recommend(resampled, evaluations, comparisons, PASSED, Settings(margin=0.02))
    assert result["run"] == "qlora_100k"  # 3.4 GiB; LoRA takes 7.1


def test_hours_of_a_cpu_have_no_price(usual):
    resampled, evaluations, comparisons = usual
    evaluations = [each | {"hardware": each["hardware"] | {"device": "cpu"}} for each in evaluations]
    result = recommend(resampled, evaluations, comparisons, PASSED, Settings(price_per_gpu_hour=10.0))
    assert candidate(result, "lora_20k")["cost"] is None
    assert candidate(result, "lora_20k")["gpu_hours"] > 0
    assert "cpu_hours" in kinds(result)


def test_what_no_one_beats_on_all_three_is_on_the_front():
    rows = [("base", 2.4, 0.0, None), ("good", 2.0, 2.0, 7.0), ("slower", 2.0, 3.0, 7.0), ("small", 2.0, 3.0, 3.0)]
    rows += [("unmeasured", 1.0, None, 3.0), ("twin", 2.0, 2.0, 7.0)]
    candidates = [{"value": v, "gpu_hours": h, "peak_memory_gib": m} for _, v, h, m in rows]
    front = [row[0] for row, flag in zip(rows, pareto_flags(candidates, "nll"), strict=True) if flag]
    assert front == ["base", "good", "small", "twin"]


def test_lower_nll_is_better_on_the_front_too(usual):
    """More rows take more time, and QLoRA takes more time and less memory: nothing here beats anything in all three."""
    assert all(each["pareto"] for each in recommend(*usual, PASSED, Settings())["candidates"])


def test_a_metric_that_no_run_has_is_refused(usual):
    resampled, evaluations, comparisons = study({"lora_20k": None, "floor_fixed": None})
    with pytest.raises(UserError, match=r"recommendation\.metric = nll"):
        recommend(resampled, evaluations, comparisons, PASSED, Settings())


def test_scores_too_good_to_be_true_warn(usual):
    assert "too_good" in kinds(recommend(*usual, PASSED, Settings(limits=Limits(warn_rouge_l=19.0))))
    assert "too_good" not in kinds(recommend(*usual, PASSED, Settings(limits=Limits(30.0, 10.0))))
    assert "too_good" not in kinds(recommend(*usual, PASSED, Settings(limits=Limits(None, None))))


def test_no_run_above_the_best_floor_warns(usual):
    assert "not_above_floor" not in kinds(recommend(*usual, PASSED, Settings()))
    result = recommend(*study(rouge={"floor_fixed": 21.0}), PASSED, Settings())
    warning = next(each for each in result["warnings"] if each["kind"] == "not_above_floor")
    assert "floor_fixed" in warning["en"]
    assert "floor_fixed" in warning["zh"]


def test_above_the_floor_by_chance_is_not_above_it():
    resampled, evaluations, comparisons = study(rouge={"floor_fixed": 19.9})
    rows = comparisons[(comparisons["kind"] == "floor") & (comparisons["metric"] == "rouge_l")]
    assert (rows["difference"] > 0).any(), "the simulation must have a run above the floor"
    assert "not_above_floor" in kinds(recommend(resampled, evaluations, comparisons, PASSED, Settings()))


def test_a_failed_and_a_missing_leak_check_warn(usual):
    failed = recommend(*usual, FAILED, Settings())
    assert failed["warnings"][0]["kind"] == "leak"
    assert "12 are near-duplicates" in failed["warnings"][0]["en"]
    assert "leak_not_checked" in kinds(recommend(*usual, None, Settings()))
    assert not {"leak", "leak_not_checked"} & kinds(recommend(*usual, PASSED, Settings()))


def test_one_seed_is_told(usual):
    assert "one_seed" in kinds(recommend(*usual, PASSED, Settings()))


def test_two_engines_are_told(usual):
    resampled, evaluations, comparisons = usual
    assert "engines" not in kinds(recommend(*usual, PASSED, Settings()))
    evaluations = json.loads(json.dumps(evaluations))
    for each in evaluations:
        if each["inference"]:
            each["inference"]["engine"] = "transformers 5.19.0" if each["method"] == "qlora" else "vllm 0.32.0"
    result = recommend(resampled, evaluations, comparisons, PASSED, Settings())
    warning = next(each for each in result["warnings"] if each["kind"] == "engines")
    transformers, vllm = warning["en"].split(": ")[1].split("; ")
    assert transformers.startswith("transformers 5.19.0 answered for qlora_20k")
    assert "lora_100k" in vllm
    assert "qlora" not in vllm
    assert "vllm" in warning["zh"]


def test_the_result_is_json_and_texts_have_no_holes(usual):
    for settings in (Settings(), Settings(metric="rouge_l", margin=0.5), Settings(metric="bleu_4", margin=9.0)):
        for arguments in (usual, study(noise=1.0), study(rouge={"floor_fixed": 40.0})):
            result = recommend(*arguments, FAILED, settings)
            text = json.dumps(result, ensure_ascii=False, allow_nan=False)
            texts = [*result["sentence"].values(), *(w[key] for w in result["warnings"] for key in ("en", "zh"))]
            assert not any(re.search(r"None|nan|inf\b|\{|\}", each) for each in texts), texts
            assert "NaN" not in text


def test_two_test_items_are_survived():
    """Nothing can be shown, and nothing breaks."""
    runs = {"lora_1k": np.array([1.0, 5.0]), "base": np.array([2.0, 3.0])}
    evaluations = [evaluation("lora_1k"), evaluation("base")]
    resampled = bleu_study(runs, configurations_of(evaluations))
    result = recommend(
        resampled, evaluations, comparison_table(resampled, evaluations), PASSED, Settings("bleu_4", 0.1)
    )
    assert (result["verdict"], result["run"]) == ("no_difference_shown", None)
    json.dumps(result, allow_nan=False)


def test_what_is_not_worse_is_judged_by_the_interval_and_not_by_the_difference(usual):
    """A candidate whose difference is within the margin and whose simultaneous bound is not may be worse by chance."""
    measured = candidate(recommend(*usual, PASSED, Settings(margin=0.02)), "qlora_50k")
    assert measured["difference_to_best"] < measured["hi_difference"]
    between = (measured["difference_to_best"] + measured["hi_difference"]) / 2
    assert not candidate(recommend(*usual, PASSED, Settings(margin=between)), "qlora_50k")["not_worse"]
    above = measured["hi_difference"] + 1e-4
    assert candidate(recommend(*usual, PASSED, Settings(margin=above)), "qlora_50k")["not_worse"]


CONFIGURATION = Configuration("lora_1k", "tuned", "lora", 1000, ("lora_1k", "lora_1k_seed7"))


def trained(seconds=(3600.0, 7200.0), memory=(5.0, 6.0), energy=(0.2, 0.4), device=("cuda", "cuda")):
    return {
        run: {
            "training": {"seconds": s, "peak_memory_gib": {"train_allocated": m}, "energy_kwh": e},
            "hardware": {"device": d},
        }
        for run, s, m, e, d in zip(CONFIGURATION.runs, seconds, memory, energy, device, strict=True)
    }


def test_costs_are_means_over_seeds_and_the_largest_memory():
    assert costs(CONFIGURATION, trained(), 2.0) == {
        "train_seconds": 5400.0,
        "gpu_hours": 1.5,
        "peak_memory_gib": 6.0,
        "energy_kwh": pytest.approx(0.3),
        "cost": 3.0,
    }
    assert costs(CONFIGURATION, trained(), 0.3333)["cost"] == 0.5


def test_what_was_not_measured_is_null_and_not_zero():
    nothing = dict.fromkeys(("train_seconds", "gpu_hours", "peak_memory_gib", "energy_kwh", "cost"))
    both = (None, None)
    assert costs(CONFIGURATION, trained(both, both, both), 2.0) == nothing
    assert (
        costs(CONFIGURATION, {run: {"training": None, "hardware": None} for run in CONFIGURATION.runs}, 2.0) == nothing
    )
    empty = {run: {"training": {"peak_memory_gib": None}, "hardware": {}} for run in CONFIGURATION.runs}
    assert costs(CONFIGURATION, empty, 2.0) == nothing
    one = costs(CONFIGURATION, trained((None, 7200.0), (None, 6.0), (None, 0.4)), 2.0)
    assert one == {"train_seconds": 7200.0, "gpu_hours": 2.0, "peak_memory_gib": 6.0, "energy_kwh": 0.4, "cost": 4.0}


def test_money_is_for_gpu_hours():
    assert costs(CONFIGURATION, trained(), None)["cost"] is None
    assert costs(CONFIGURATION, trained(device=("cuda", "cpu")), 2.0)["cost"] is None
    unknown = {run: {**facts, "hardware": None} for run, facts in trained().items()}
    assert costs(CONFIGURATION, unknown, 2.0)["cost"] == 3.0


@pytest.mark.parametrize(("price", "cost"), [(None, None), (0.0, 0.0), (8.0, 0.0)])
def test_the_base_model_takes_no_training(price, cost):
    base = Configuration("base", "base", "base", None, ("base",))
    assert costs(base, {}, price) == {
        "train_seconds": 0.0,
        "gpu_hours": 0.0,
        "peak_memory_gib": None,
        "energy_kwh": None,
        "cost": cost,
    }


def point(value, hours, memory):
    return {"value": value, "gpu_hours": hours, "peak_memory_gib": memory}


@pytest.mark.parametrize(
    ("candidates", "metric", "front"),
    [
        ([point(2.0, 3, 5), point(2.1, 2, 5), point(2.2, 2, 5)], "nll", [True, True, False]),
        ([point(20, 3, 5), point(21, 2, 5), point(22, 2, 5)], "rouge_l", [False, False, True]),
        ([point(2.0, 3, 5), point(2.0, 3, 5)], "nll", [True, True]),
        ([point(2.0, 3, 5), point(2.0, 3, 4)], "nll", [False, True]),
        ([point(2.0, 3, 5), point(2.0, 2, 6)], "nll", [True, True]),
        ([point(1.0, None, 5), point(2.0, 3, 5)], "nll", [False, True]),
        ([point(1.0, 3, None), point(2.0, 3, 5)], "nll", [False, True]),
        ([point(3.0, 0, None), point(2.0, 3, 5), point(3.5, 1, 1)], "nll", [True, True, False]),
        ([point(2.4, 0, None), point(2.0, 0, 0.5)], "nll", [True, True]),
        ([point(2.0, 0, 5), point(2.0, 0, 3)], "nll", [False, True]),
        ([point(2.0, 1, None), point(2.1, 2, 3)], "nll", [False, True]),
        ([], "nll", []),
    ],
)
def test_the_front_of_what_nothing_else_beats_in_all_three(candidates, metric, front):
    assert pareto_flags(candidates, metric) == front


def recommended(runs: dict, settings: Settings, resamples: int = 999, **changes: dict) -> dict:
    """Recommend by BLEU-4 for these values of runs; ``changes`` are of their trainings."""
    evaluations = [evaluation(run) for run in runs]
    for each in evaluations:
        each["training"] = each["training"] and each["training"] | changes.get(each["run"], {})
    resampled = bleu_study(
        {run: np.asarray(values, float) for run, values in runs.items()}, configurations_of(evaluations), resamples
    )
    return recommend(resampled, evaluations, comparison_table(resampled, evaluations), PASSED, settings)


FLAT = np.full(50, 8.0)


def took(seconds: float | None, memory: float | None) -> dict:
    return {"seconds": seconds, "peak_memory_gib": {"train_allocated": memory}}


def chosen(values: dict, margin: float = 2.0, **changes: dict) -> str | None:
    runs = {run: FLAT + gain for run, gain in values.items()}
    return recommended(runs | {"base": FLAT - 5}, Settings("bleu_4", margin), **changes)["run"]


def test_what_is_asked_for_is_by_default_a_loss_of_at_most_0_02_nats_with_95_percent():
    assert Settings() == ("nll", 0.02, 0.05, None, "CNY", Limits())


def test_the_file_says_what_was_asked_and_what_was_found():
    settings = Settings("bleu_4", 2.0, 0.1, 3.5, "EUR")
    result = recommended({"lora_20k": FLAT, "qlora_50k": FLAT + 1, "base": FLAT - 5}, settings)
    assert list(result) == [
        *("schema_version", "verdict", "metric", "margin", "run", "best", "sentence", "candidates"),
        *("price_per_gpu_hour", "currency", "warnings"),
    ]
    told = {key: value for key, value in result.items() if key not in ("sentence", "candidates", "warnings")}
    assert told == {
        "schema_version": 1,
        "verdict": "recommended",
        "metric": "bleu_4",
        "margin": 2.0,
        "run": "lora_20k",
        "best": "qlora_50k",
        "price_per_gpu_hour": 3.5,
        "currency": "EUR",
    }
    assert set(result["sentence"]) == {"en", "zh"}
    assert "90 %" in result["sentence"]["en"]


def test_a_candidate_by_hand():
    """The same difference on every item has no uncertainty."""
    runs = {"lora_20k": FLAT, "lora_50k": FLAT + 3, "base": FLAT - 5}
    measured = took(1250, 7.0977) | {"energy_kwh": 0.026}
    result = recommended(runs, Settings("bleu_4", 2.0, 0.1, 3.6), lora_20k=measured)
    assert candidate(result, "lora_20k") == {
        "run": "lora_20k",
        "method": "lora",
        "train_size": 20_000,
        "value": 8.0,
        "lo": 8.0,
        "hi": 8.0,
        "difference_to_best": -3.0,
        "lo_difference": -3.0,
        "hi_difference": -3.0,
        "not_worse": False,
        "train_seconds": 1250.0,
        "gpu_hours": 0.347222,
        "peak_memory_gib": 7.0977,
        "energy_kwh": 0.026,
        "cost": 1.25,
        "pareto": True,
    }
    base = candidate(result, "base")
    assert (base["method"], base["train_size"], base["cost"], base["pareto"]) == ("base", None, 0.0, True)


@pytest.mark.parametrize(("alpha", "ends"), [(0.1, (0.05, 0.95)), (0.2, (0.1, 0.9))])
def test_the_interval_of_a_value_leaves_half_of_alpha_out_on_either_side(usual, alpha, ends):
    resampled = usual[0]
    for each in recommend(*usual, PASSED, Settings(alpha=alpha))["candidates"]:
        low, high = np.quantile(resampled.draws["nll"][:, resampled.index(each["run"])], ends)
        assert [each["lo"], each["hi"]] == [round(low, 6), round(high, 6)]


def test_several_seeds_have_the_interval_over_items_and_seeds_at_any_level():
    resampled, evaluations, comparisons = study({"lora_20k": 2.0, "lora_20k_seed7": 2.001, "base": 2.4})
    for alpha in (0.05, 0.2):
        result = recommend(resampled, evaluations, comparisons, PASSED, Settings(alpha=alpha))
        ((low, high),) = intervals_over_seeds(resampled, "nll", [0], alpha)
        found = candidate(result, "lora_20k")
        assert [found["lo"], found["hi"]] == [round(low, 6), round(high, 6)]
    result = recommend(resampled, evaluations, comparisons, PASSED, Settings())
    assert [candidate(result, "base")[end] for end in ("lo", "hi")] == evaluations[2]["metrics"]["nll"]["ci95"]


@pytest.mark.parametrize("metrics", [{}, {"nll": {}}, {"nll": {"ci95": None}}])
def test_without_an_interval_in_eval_json_that_of_the_draws_is_told(usual, metrics):
    resampled, evaluations, comparisons = usual
    evaluations = [each | {"metrics": metrics} if each["run"] == "lora_20k" else each for each in evaluations]
    low, high = np.quantile(resampled.draws["nll"][:, resampled.index("lora_20k")], (0.025, 0.975))
    found = candidate(recommend(resampled, evaluations, comparisons, PASSED, Settings()), "lora_20k")
    assert [found["lo"], found["hi"]] == [round(low, 6), round(high, 6)]


def test_a_distance_in_nll_is_positive_and_0_for_the_best(usual):
    result = recommend(*usual, PASSED, Settings())
    points = dict(zip((each.name for each in usual[0].configurations), usual[0].points["nll"], strict=True))
    for each in result["candidates"]:
        assert each["difference_to_best"] == pytest.approx(points[each["run"]] - points["qlora_100k"], abs=1e-6)
        assert 0 <= each["lo_difference"] <= each["hi_difference"]
        assert not any(np.signbit(each[key]) for key in ("difference_to_best", "lo_difference", "hi_difference"))


def test_a_loss_of_the_whole_margin_is_worse_and_the_best_is_never():
    assert chosen({"lora_20k": -2, "lora_50k": 0}, margin=2.0) == "lora_50k"
    assert chosen({"lora_20k": -2, "lora_50k": 0}, margin=2.001) == "lora_20k"
    assert chosen({"lora_20k": -2, "lora_50k": 0}, margin=0.0) == "lora_50k"


def test_the_hours_decide_then_the_memory_then_the_quality():
    values = {"lora_20k": 0, "lora_50k": 1, "lora_100k": 0.5}
    names = tuple(values)
    assert chosen(values, **dict(zip(names, (took(9, 1), took(8, 3), took(9, 1)), strict=True))) == "lora_50k"
    assert chosen(values, **dict(zip(names, (took(9, 2), took(9, 3), took(9, 1)), strict=True))) == "lora_100k"
    assert chosen(values, **dict(zip(names, (took(9, 2), took(9, 2), took(9, 2)), strict=True))) == "lora_50k"
    assert chosen(values, **dict(zip(names, (took(9, 2), took(9, 3), took(9, 2)), strict=True))) == "lora_100k"


def test_an_unknown_memory_is_taken_for_the_largest():
    values = {"lora_20k": 1, "lora_50k": 0}
    assert chosen(values, lora_20k=took(9, None), lora_50k=took(9, 500)) == "lora_50k"
    assert chosen(values, lora_20k=took(9, None), lora_50k=took(9, None)) == "lora_20k"
    assert chosen(values, lora_20k=took(8, None), lora_50k=took(9, 1)) == "lora_20k"


def test_where_no_time_is_known_the_best_is_recommended():
    values = {"lora_20k": 0, "lora_50k": 1}
    assert chosen(values, lora_20k=took(None, 1), lora_50k=took(None, 2)) == "lora_50k"


def test_a_base_model_is_judged_wherever_it_stands():
    settings = Settings("bleu_4", 2.0)
    better = {"lora_20k": FLAT, "lora_50k": FLAT + 1}
    first, last = {"base": FLAT - 0.5} | better, better | {"base": FLAT - 0.5}
    assert recommended(first, settings)["run"] == recommended(last, settings)["run"] == "base"
    first, last = {"base": FLAT - 5} | better, better | {"base": FLAT - 5}
    assert recommended(first, settings)["run"] == recommended(last, settings)["run"] == "lora_20k"


def test_numbers_are_told_to_six_digits_and_money_to_two():
    third = FLAT + 1 / 3
    result = recommended({"lora_20k": FLAT, "lora_50k": third, "base": FLAT - 5}, Settings("bleu_4", 2.0, 0.1, 0.7))
    assert candidate(result, "lora_50k")["value"] == 8.333333
    assert candidate(result, "lora_20k")["difference_to_best"] == -0.333333
    assert costs(CONFIGURATION, trained((100.0, 100.1), (5.0, 6.0), (0.1, 0.1234567)), 71.0) == {
        "train_seconds": 100.05,
        "gpu_hours": 0.027792,
        "peak_memory_gib": 6.0,
        "energy_kwh": 0.111728,
        "cost": 1.97,
    }


def test_a_study_that_cannot_be_judged_says_which_setting_to_change():
    arguments = study({"lora_20k": None, "base": 2.0})
    with pytest.raises(UserError) as refusal:
        recommend(*arguments, PASSED, Settings())
    assert refusal.value.text == (
        "recommendation.metric = nll: no fine-tuned run has it, so none can be recommended; take another"
    )


def test_a_fine_tuned_run_without_the_metric_is_no_candidate():
    result = recommend(*study({"lora_20k": 2.0, "lora_50k": None, "base": 2.4}), PASSED, Settings())
    assert [each["run"] for each in result["candidates"]] == ["lora_20k", "base"]


def test_a_single_item_bounds_no_difference():
    runs = {"lora_20k": [1.0], "lora_50k": [2.0], "base": [0.0]}
    result = recommended(runs, Settings("bleu_4", 0.5))
    assert (result["verdict"], result["run"], result["best"]) == ("no_difference_shown", None, "lora_50k")
    found = candidate(result, "lora_20k")
    assert (found["difference_to_best"], found["lo_difference"], found["not_worse"]) == (-1.0, None, False)
    assert candidate(result, "lora_50k")["not_worse"] is True


def test_a_run_on_two_cards_takes_the_hours_of_both():
    resampled, evaluations, comparisons = study()
    for each in evaluations:
        if each["run"] == "lora_50k":
            each["training"]["gpus"] = 2
    settings = Settings(margin=0.02, price_per_gpu_hour=8.0)
    found = candidate(recommend(resampled, evaluations, comparisons, PASSED, settings), "lora_50k")
    assert found["gpu_hours"] == pytest.approx(2 * found["train_seconds"] / 3600, abs=1e-6)
    assert found["cost"] == pytest.approx(8 * found["gpu_hours"], abs=0.01)
