"""The recommendation in a sentence: each of its five forms, whole, in both languages, with units and digits."""

import pytest

from medscale.compare.recommendation_text import amount, number, recommendation_sentence

BEST = {
    "run": "qlora_100k",
    "value": 2.0004,
    "lo": 1.9,
    "hi": 2.1,
    "lo_difference": 0.0,
    "hi_difference": 0.004,
    "gpu_hours": 1234.56,
    "cost": 2469.12,
}
RUN = {
    "run": "lora_20k",
    "value": 2.012,
    "lo": 1.95,
    "hi": 2.05,
    "lo_difference": -0.003,
    "hi_difference": 0.0185,
    "gpu_hours": 0.05,
    "cost": None,
}
BASE = {**RUN, "run": "base", "value": 2.5, "lo_difference": 0.4, "hi_difference": 0.6}


def sentence(verdict="recommended", run="lora_20k", best="qlora_100k", metric="nll", base=BASE, alpha=0.05, **changes):
    candidates = [{**BEST, **changes.get("best_is", {})}, {**RUN, **changes.get("run_is", {})}, base]
    result = {
        "verdict": verdict,
        "run": run,
        "best": best,
        "metric": metric,
        "margin": 0.02,
        "currency": "CNY",
        "candidates": candidates,
    }
    return recommendation_sentence(result, base, alpha)


def test_a_cheaper_one():
    assert sentence() == {
        "en": "lora_20k is recommended: the cheapest configuration that is not worse than the best, qlora_100k, by "
        "the "
        "margin of 0.020 nats. NLL per answer token: 2.012 against 2.000; it is worse by 0.003 to 0.018 nats (95 % "
        "simultaneous interval). One training takes 3.0 min instead of 1,234.6 h (2,469.12 CNY).",
        "zh": "推荐 lora_20k：在不比最好的配置 qlora_100k 差 0.020 奈特（界值）的配置中，它最便宜。每个答案词元的 "
        "NLL："
        "2.012，最好的为 2.000；差距为 0.003 至 0.018 奈特（95%联合置信区间）。一次训练需 3.0 分钟，"
        "而不是 1,234.6 小时 (2,469.12 CNY)。",
    }


def test_the_best_itself():
    assert sentence(run="qlora_100k", alpha=0.1) == {
        "en": "qlora_100k is recommended: it has the best NLL per answer token, 2.000 (90 % interval 1.900 to "
        "2.100), and "
        "no cheaper configuration was shown to be within the margin of 0.020 nats. One training takes 1,234.6 h "
        "(2,469.12 CNY).",
        "zh": "推荐 qlora_100k：它的每个答案词元的 NLL 最好，为 2.000（90%置信区间 1.900 至 2.100），没有更便宜的配"
        "置被证明"
        "与它的差距在界值 0.020 奈特之内。一次训练需 1,234.6 小时 (2,469.12 CNY)。",
    }


def test_nobody_can_tell():
    assert sentence("no_difference_shown", None) == {
        "en": "No difference shown: the best configuration, qlora_100k, has a NLL per answer token of 2.000 and the "
        "base "
        "model 2.500, worse by 0.400 to 0.600 nats (95 % simultaneous interval), which may be chance; nor was the "
        "base "
        "model shown to be within the margin of 0.020 nats. Nothing is recommended: more test items are needed to "
        "tell.",
        "zh": "未显示出差异：最好的配置 qlora_100k 的每个答案词元的 NLL 为 2.000，基座模型为 2.500，差距为 0.400 至 "
        "0.600 奈特"
        "（95%联合置信区间），可能出于偶然；也没有证明基座模型的差距在界值 0.020 奈特之内。不作推荐：需要更多测试样"
        "本才能判断。",
    }


def test_the_base_model_is_enough():
    assert sentence("no_difference_shown", "base") == {
        "en": "No difference that matters was shown: the base model is not worse than the best configuration, "
        "qlora_100k, "
        "by the margin of 0.020 nats. NLL per answer token: 2.500 against 2.000; it is worse by 0.400 to 0.600 nats "
        "(95 % simultaneous interval). Fine-tuning is not worth its cost here by this measure.",
        "zh": "未显示出有意义的差异：基座模型不比最好的配置 qlora_100k 差 0.020 奈特（界值）。每个答案词元的 NLL："
        "2.500，"
        "最好的为 2.000；差距为 0.400 至 0.600 奈特（95%联合置信区间）。按这一指标，这里的微调不值其成本。",
    }


def test_the_base_model_is_best():
    assert sentence("no_difference_shown", "base", best="base") == {
        "en": "No gain was shown: the base model without fine-tuning has the best NLL per answer token, 2.500 (95 % "
        "interval 1.950 to 2.050).",
        "zh": "未显示出收益：未经微调的基座模型的每个答案词元的 NLL 最好，为 2.500（95%置信区间 1.950 至 2.050）。",
    }


@pytest.mark.parametrize(
    ("metric", "english", "chinese"),
    [
        ("rouge_1", "ROUGE-1: 2.01", "ROUGE-1：2.01"),
        ("rouge_2", "ROUGE-2: 2.01", "ROUGE-2：2.01"),
        ("rouge_l", "ROUGE-L: 2.01", "ROUGE-L：2.01"),
        ("bleu_4", "BLEU-4: 2.01", "BLEU-4：2.01"),
        ("bertscore", "bertscore: 2.01", "bertscore：2.01"),
    ],
)
def test_other_metrics_are_named_and_have_two_digits_and_points(metric, english, chinese):
    told = sentence(metric=metric)
    assert english in told["en"]
    assert chinese in told["zh"]
    assert "margin of 0.02 points" in told["en"]
    assert "差 0.02 分（界值）" in told["zh"]
    best = sentence(metric=metric, run="qlora_100k")
    assert f"the best {english.split(':')[0]}, 2.00" in best["en"]
    assert f"它的 {chinese.split('：')[0]} 最好" in best["zh"]


@pytest.mark.parametrize(
    ("ends", "english", "chinese"),
    [
        ((-0.02, -0.001), "0.001 to 0.020 nats", "0.001 至 0.020 奈特"),
        ((0.0, 0.0), "0.000 to 0.000 nats", "0.000 至 0.000 奈特"),
        ((None, 0.1), "an unknown amount", "未知"),
        ((0.1, None), "an unknown amount", "未知"),
    ],
)
def test_a_loss_goes_from_the_least_to_the_most(ends, english, chinese):
    told = sentence(run_is=dict(zip(("lo_difference", "hi_difference"), ends, strict=True)))
    assert f"worse by {english} (" in told["en"]
    assert f"差距为 {chinese}（" in told["zh"]


@pytest.mark.parametrize(
    ("hours", "cost", "english", "chinese"),
    [
        (None, 3.0, "an unmeasured time", "未测量的时间"),
        (0.1, None, "0.1 h", "0.1 小时"),
        (0.0999, None, "6.0 min", "6.0 分钟"),
        (8 / 3600, None, "8.0 s", "8.0 秒"),
        (2.0, 0.0, "2.0 h (0.00 CNY)", "2.0 小时 (0.00 CNY)"),
    ],
)
def test_a_cost_is_said_in_the_unit_that_suits_it(hours, cost, english, chinese):
    told = sentence(run_is={"gpu_hours": hours, "cost": cost})
    assert f"takes {english} instead" in told["en"]
    assert f"训练需 {chinese}，而" in told["zh"]


def test_numbers_and_amounts():
    assert [number(1.23456, metric) for metric in ("nll", "rouge_l")] == ["1.235", "1.23"]
    assert [amount(1.23456, "nll", language) for language in ("en", "zh")] == ["1.235 nats", "1.235 奈特"]
    assert [amount(1.23456, "bleu_4", language) for language in ("en", "zh")] == ["1.23 points", "1.23 分"]
