"""What a reader is warned of: when, with which numbers, in both languages."""

import numpy as np
import pandas as pd
import pytest

from made_up_scores import bleu_study, single, table
from medscale.compare.caveats import Limits, caveats
from medscale.compare.comparisons import comparison_table
from medscale.compare.resampling import Configuration, resample

RUNS = {"lora_1k": 9.0, "qlora_1k": 11.0, "base": 12.0, "floor_fixed": 50.0}
KINDS = {"base": ("base", "base", None), "floor_fixed": ("floor", "floor_fixed", None)}


def resampled(values=RUNS, items=8, metric="bleu_4"):
    configurations = [single(run, *KINDS.get(run, ("tuned", run.split("_")[0], 1000))) for run in values]
    scores = {run: table(items, {metric: np.full(items, value)}) for run, value in values.items()}
    return resample(scores, configurations, [metric], 50, 0)


def by_run(runs, device="cuda", seconds=10.0, engine=None):
    training = {"seconds": seconds}
    return {
        run: {"training": training, "hardware": {"device": device}, "inference": {"engine": engine} if engine else {}}
        for run in runs
    }


def comparisons(**rows):
    columns = ("metric", "kind", "a", "b", "value_a", "value_b", "difference", "significant", "smallest_detectable")
    made = [dict(zip(columns, row, strict=True)) for row in rows.values()]
    return pd.DataFrame(made, columns=list(columns)).assign(seeds_a=1, seeds_b=1)


PAIR = ("bleu_4", "method", "lora_1k", "qlora_1k", 9.0, 11.0, -2.0, False, 0.1)


NO_LIMITS = Limits(None, None)


def warned(kind, study=None, runs=None, table=None, leak=None, metric="bleu_4", margin=0.5, limits=NO_LIMITS):
    study = resampled() if study is None else study
    runs = by_run([run for each in study.configurations for run in each.runs]) if runs is None else runs
    table = comparisons(pair=PAIR) if table is None else table
    leak = {"passed": True} if leak is None else leak
    found = caveats(study, runs, table, leak or None, metric, margin, limits)
    return next(((each["en"], each["zh"]) for each in found if each["kind"] == kind), None)


def test_no_leak_check():
    english, chinese = warned("leak_not_checked", leak={})
    assert english == "It was not checked whether test questions are near to training questions."
    assert chinese == "未检查测试问题是否与训练问题相近。"
    assert warned("leak_not_checked") is None


def test_a_leak_is_told_with_its_counts():
    report = {"passed": False, "test_questions": 2000, "near": {"count": 1200}, "contained": {"count": 3}}
    english, chinese = warned("leak", leak=report)
    assert english == (
        "The leak check did not pass: of 2,000 test questions, 1,200 are near-duplicates of a training question and "
        "3 are "
        "contained in one. Scores may be too high, and more so for larger sizes."
    )
    assert chinese == (
        "泄漏检查未通过：2,000 个测试问题中，1,200 个与训练问题近似重复，3 个包含在训练问题中。分数可能偏高，训练规模"
        "越大越明显。"
    )
    assert warned("leak") is None


def test_scores_above_a_limit_are_too_good_and_floors_do_not_count():
    english, chinese = warned("too_good", limits=Limits(None, 10.5))
    assert english == (
        "BLEU-4 is above 10.5 for 2 of 3 configurations: 12.00 for base. Open medical answers rarely agree that "
        "much: "
        "look for leaks between training and test data, or for answers that follow a template."
    )
    assert chinese == (
        "3 个配置中有 2 个的 BLEU-4 高于 10.5：base 为 12.00。开放式医疗回答很少如此一致：请检查训练集与测试集之间是"
        "否有泄漏，"
        "或回答是否出自模板。"
    )
    assert warned("too_good", limits=Limits(None, 12.0)) is None, "not above the limit, but at it"
    assert warned("too_good", limits=Limits(30.0, None)) is None, "there is no ROUGE-L"
    rouge = resampled(metric="rouge_l")
    assert warned("too_good", rouge, limits=Limits(11.5, None))[0].startswith("ROUGE-L is above 11.5 for 1 of 3")


def test_limits_by_default():
    assert Limits() == (30.0, 10.0)


FLOOR = ("rouge_l", "floor", "lora_1k", "floor_bm25", 14.0, 15.5, -1.5, False, 0.1)


@pytest.mark.parametrize(
    ("rows", "is_warned"),
    [
        ({"a": FLOOR}, True),
        ({"a": FLOOR, "b": (*FLOOR[:2], "qlora_1k", *FLOOR[3:6], 0.5, True, 0.1)}, False),
        ({"a": (*FLOOR[:6], 0.5, False, 0.1)}, True),
        ({"a": (*FLOOR[:6], -0.5, True, 0.1)}, True),
        ({"a": (*FLOOR[:6], 0.0, True, 0.1)}, True),
        ({"a": (*FLOOR[:2], "base", *FLOOR[3:])}, False),
        ({"a": ("bleu_4", *FLOOR[1:])}, False),
        ({"a": (FLOOR[0], "method", *FLOOR[2:])}, False),
    ],
)
def test_a_floor_that_nobody_was_shown_to_be_above(rows, is_warned):
    assert (warned("not_above_floor", table=comparisons(**rows)) is not None) == is_warned


def test_the_floor_is_named_with_the_best_value():
    rows = {"a": FLOOR, "b": (*FLOOR[:2], "qlora_1k", "floor_bm25", 15.25, *FLOOR[5:])}
    english, chinese = warned("not_above_floor", table=comparisons(**rows))
    assert english == (
        "No fine-tuned configuration was shown to be above the best floor by ROUGE-L: floor_bm25, which uses no "
        "model, has "
        "15.50, and the best configuration 15.25. By it, the answers are no better than trivial ones."
    )
    assert chinese == (
        "没有任何微调配置的 ROUGE-L 被证明高于最好的基线：不用模型的 floor_bm25 为 15.50，最好的配置为 15.25。"
        "就 ROUGE-L 而言，这些回答不比不用模型的简单做法好。"
    )


def test_too_few_items_for_the_margin():
    """To detect half the difference takes four times the items."""
    rows = {str(d): (*PAIR[:8], d) for d in (0.5, 1.0, 9.0)}
    rows["other"] = ("rouge_l", *PAIR[1:8], 50.0)
    study = resampled(items=1000)
    english, chinese = warned("few_items", study, table=comparisons(**rows), margin=0.5)
    assert english == (
        "The test set is too small for the margin: with 1,000 items it detects a difference of 1.00 points, and the "
        "margin "
        "is 0.50 points. About 4,000 items would be needed."
    )
    assert chinese == (
        "相对于所声明的界值，测试集太小：1,000 个样本能检出的最小差异为 1.00 分，而界值为 0.50 分。大约需要 4,000 个"
        "样本。"
    )
    assert warned("few_items", study, table=comparisons(**rows), margin=1.0) is None
    assert warned("few_items", study, table=comparisons(), margin=0.1) is None, "no pair, so nothing is known"
    assert "About 1,235 items" in warned("few_items", study, table=comparisons(**rows), margin=0.9)[0], "rounded up"


def test_with_several_seeds_more_items_alone_are_not_said_to_do():
    table = comparisons(a=(*PAIR[:8], 1.0)).assign(seeds_a=2)
    english, chinese = warned("few_items", resampled(items=1000), table=table, margin=0.5)
    assert english.endswith("the margin is 0.50 points. More items, more seeds or both would be needed.")
    assert chinese.endswith("需要更多样本、更多随机种子，或两者都要。")


def test_pairs_that_are_alike_do_not_make_a_test_set_look_better():
    rows = {str(place): (*PAIR[:8], smallest) for place, smallest in enumerate((0.0, 0.0, 0.0, 9.0, np.nan))}
    assert "a difference of 9.00 points" in warned("few_items", table=comparisons(**rows), margin=0.5)[0]


def test_where_nothing_can_be_tested_it_is_told_however_small_the_detectable_difference():
    rows = {"a": (*PAIR[:8], 0.001)}
    english, chinese = warned("few_items", resampled(items=5), table=comparisons(**rows), margin=0.5)
    assert english.startswith("With 5 test items no difference can be tested, however large it is")
    assert chinese.startswith("只有 5 个测试样本")
    assert warned("few_items", resampled(items=6), table=comparisons(**rows), margin=0.5) is None


def test_only_the_pairs_among_which_is_chosen_count():
    rows = {"a": (*PAIR[:8], 0.1), "b": ("bleu_4", "floor", "lora_1k", "floor_fixed", 9.0, 50.0, -41.0, True, 9.0)}
    assert warned("few_items", table=comparisons(**rows), margin=0.5) is None


def seeds(*counts):
    configurations = [
        Configuration(f"lora_{n}k", "tuned", "lora", 1000 * (n + 1), tuple(f"lora_{n}k_{s}" for s in range(count)))
        for n, count in enumerate(counts)
    ]
    runs = {run: np.arange(8.0) for each in configurations for run in each.runs}
    return bleu_study(runs, configurations, 50)


def test_one_seed():
    english, chinese = warned("one_seed", seeds(1, 1))
    assert english == (
        "Each configuration was trained with one seed: the intervals cover other test questions, not the luck of a "
        "training."
    )
    assert chinese == "每个配置只用一个随机种子训练：区间反映的是测试问题的变化，不反映训练的偶然性。"
    assert warned("one_seed", seeds(2, 2)) is None


def test_one_seed_beside_several_is_told_with_the_comparisons_that_mix_them():
    study = seeds(1, 2, 2)
    runs = [run for each in study.configurations for run in each.runs]
    table = comparison_table(study, [{"run": run, "training": None} for run in runs])
    english, chinese = warned("one_seed", study, table=table)
    assert english == (
        "Of 3 configurations 2 were trained with several seeds (lora_1k, lora_2k), the other with one: the intervals "
        "of that one do not cover the luck of a training. In 1 of the 2 comparisons between trainings one side has "
        "several seeds and the other a single one: the interval covers that luck on one side only."
    )
    assert chinese == (
        "3 个配置中有 2 个用了多个随机种子（lora_1k、lora_2k），其余只用一个：后者的区间不反映训练的偶然性。训练之间的 "
        "2 组比较中，有 1 组一方有多个种子而另一方只有一个，区间只反映一方的偶然性。"
    )


@pytest.mark.parametrize(
    ("counts", "english", "chinese"),
    [
        ((1, 2), "In the only comparison between trainings one side has", "训练之间唯一的一组比较，一方有多个种子"),
        ((1, 2, 1), "In all 2 comparisons between trainings one side has", "训练之间的 2 组比较，全部一方有多个种子"),
    ],
)
def test_comparisons_of_several_seeds_with_one_are_told_in_any_number(counts, english, chinese):
    study = seeds(*counts)
    runs = [run for each in study.configurations for run in each.runs]
    told = warned("one_seed", study, table=comparison_table(study, [{"run": run, "training": None} for run in runs]))
    assert english in told[0]
    assert chinese in told[1]


def test_comparisons_that_mix_no_seeds_are_not_told_of():
    study = seeds(1, 2)
    same = comparisons(pair=PAIR)
    english, chinese = warned("one_seed", study, table=same)
    assert english.endswith("do not cover the luck of a training.")
    assert chinese.endswith("后者的区间不反映训练的偶然性。")


def exam(count, total=60, accuracy=80.0, clean=55.0):
    without = {"accuracy": clean} if clean is not None else None
    return {"n": total, "contaminated": count, "accuracy": accuracy, "accuracy_without_leaks": without}


def examined(**exams):
    return {run: each | {"exams": exams} for run, each in by_run(RUNS).items()}


def test_exams_in_the_training_rows_are_warned_of():
    english, chinese = warned("exam_leak", runs=examined(e=exam(40), all=exam(5, 5, clean=None), clean=exam(0)))
    assert english == (
        "The training rows hold questions of exams (40 of 60 of e, without which an accuracy moves by up to 25.0 "
        "points; all 5 of all): accuracies there tell in part what was learned by heart."
    )
    assert chinese == (
        "训练数据中有考试的原题（e 的 60 道中的 40 道，去掉后正确率最多变动 25.0 分；all 的全部 5 道）："
        "这些考试的正确率有一部分只是背下来的。"
    )


@pytest.mark.parametrize(
    ("entry", "is_warned"),
    [
        (exam(3, 60, 80.0, 80.0), True),
        (exam(2, 60, 80.0, 80.0), False),
        (exam(2, 60, 80.0, 79.0), True),
        (exam(0, 60, 80.0, 80.0), False),
        (exam(None), False),
    ],
)
def test_a_few_questions_that_change_nothing_are_not_warned_of(entry, is_warned):
    assert (warned("exam_leak", runs=examined(e=entry)) is not None) == is_warned


def test_a_training_whose_time_is_not_known():
    runs = by_run(RUNS)
    runs["lora_1k"] = {**runs["lora_1k"], "training": {"seconds": None}}
    runs["qlora_1k"] = {**runs["qlora_1k"], "training": None}
    runs["base"] = {**runs["base"], "training": None}
    english, chinese = warned("cost_not_measured", runs=runs)
    assert english == (
        "The training time of lora_1k, qlora_1k was not measured, so it cannot be recommended as the cheapest."
    )
    assert chinese == "lora_1k、qlora_1k 的训练时间没有测量，因此不能作为最便宜的配置推荐。"
    assert warned("cost_not_measured") is None


def test_one_measured_seed_suffices_for_a_time():
    study = seeds(2)
    runs = by_run([run for each in study.configurations for run in each.runs])
    runs["lora_0k_0"] = {**runs["lora_0k_0"], "training": {"seconds": None}}
    assert warned("cost_not_measured", study, runs) is None


def test_hours_of_a_cpu():
    english, chinese = warned("cpu_hours", runs=by_run(RUNS, device="cpu"))
    assert english == "The models were trained on a CPU: the hours are the machine's, not a GPU's, and have no price."
    assert chinese == "模型是在 CPU 上训练的：时间是机器时间，不是 GPU 时间，也没有价格。"
    assert warned("cpu_hours") is None
    base_only = by_run(RUNS)
    base_only["base"]["hardware"] = {"device": "cpu"}
    assert warned("cpu_hours", runs=base_only) is None, "the base model was not trained"


def test_several_engines():
    runs = by_run(RUNS, engine="vllm 0.32")
    runs["lora_1k"] = {**runs["lora_1k"], "inference": {"engine": None}}
    runs["floor_fixed"] = {**runs["floor_fixed"], "inference": None}
    english, chinese = warned("engines", runs=runs)
    assert english == (
        "The answers come from several engines. Speeds of inference compare within one only, and in 16 bits texts "
        "and "
        "likelihoods differ a little between them: transformers answered for lora_1k; vllm 0.32 answered for "
        "qlora_1k, base."
    )
    assert chinese == (
        "回答来自不同的推理引擎：推理速度只能在同一引擎内比较；16 位精度下，不同引擎的文本和似然也略有差异："
        "lora_1k 由 transformers 回答；qlora_1k、base 由 vllm 0.32 回答。"
    )
    assert warned("engines", runs=by_run(RUNS, engine="vllm 0.32")) is None


def test_a_configuration_of_several_seeds_is_named_once():
    study = seeds(2, 1)
    runs = by_run([run for each in study.configurations for run in each.runs], engine="a")
    runs["lora_1k_0"] = {**runs["lora_1k_0"], "inference": {"engine": "b"}}
    assert "a answered for lora_0k; b answered for lora_1k." in warned("engines", study, runs)[0]


def test_the_gravest_come_first():
    study = seeds(1)
    runs = by_run(["lora_0k_0"], device="cpu")
    leak = {"passed": False, "test_questions": 1, "near": {"count": 1}, "contained": {"count": 0}}
    found = caveats(study, runs, comparisons(a=FLOOR), leak, "bleu_4", 1.0, Limits(None, 1.0))
    assert [each["kind"] for each in found] == ["leak", "too_good", "not_above_floor", "one_seed", "cpu_hours"]
