"""What a scaling fit says: each sentence whole, in both languages, and numbers as a reader wants them."""

import pytest

from medscale.compare.scaling import words
from medscale.compare.scaling.choice import BOUND, FLAT, WIDE

ANSWER = {
    "reachable": True,
    "above_asymptote": True,
    "from_size": 20_000,
    "to_size": 66_321,
    "extra_rows": 46_321,
    "ci95": [31_499, 77_512],
    "train_hours": 3.14159,
}


def told(metric="nll", step=0.05, **changes):
    return words.one_more(metric, step, ANSWER | changes)


@pytest.mark.parametrize(
    ("sizes", "points", "english", "chinese"),
    [
        (0, 0, "0 training sizes are 0 points", "0 个训练规模，共 0 个数据点"),
        (0, 1, "0 training sizes and the base model is 1 point", "0 个训练规模和基座模型，共 1 个数据点"),
        (1, 1, "1 training size is 1 point", "1 个训练规模，共 1 个数据点"),
        (1, 2, "1 training size and the base model are 2 points", "1 个训练规模和基座模型，共 2 个数据点"),
        (4, 4, "4 training sizes are 4 points", "4 个训练规模，共 4 个数据点"),
    ],
)
def test_too_few_points_are_counted(sizes, points, english, chinese):
    assert words.too_few(sizes, points) == {
        "en": f"No law can be fitted: {english}, and a law of three or four parameters needs at least five. "
        "What was measured is shown as it is.",
        "zh": f"无法拟合缩放定律：现有 {chinese}；缩放定律有三到四个参数，至少需要五个点。图中仅显示实测结果。",
    }


@pytest.mark.parametrize(
    ("problem", "english", "chinese"),
    [
        (
            FLAT,
            "the values do not clearly improve with the number of training rows",
            "指标并未随训练数据量的增加而明显改善",
        ),
        (BOUND, "the curve has no bend that would determine its exponent", "曲线的形状不足以确定其指数"),
        (
            WIDE,
            "almost any exponent fits the points within their uncertainty",
            "在误差范围内，几乎任何指数都能拟合这些数据点",
        ),
    ],
)
def test_a_problem_that_both_laws_have_is_told_once(problem, english, chinese):
    assert words.not_identified([problem, problem]) == {
        "en": f"The points do not determine a law: {english}. No forecast is made.",
        "zh": f"这些数据点不足以确定缩放定律：{chinese}。因此不作外推预测。",
    }


def test_two_problems_are_told_in_the_order_of_the_laws():
    found = words.not_identified([WIDE, BOUND, WIDE])
    assert found["en"] == (
        "The points do not determine a law: almost any exponent fits the points within their uncertainty; "
        "the curve has no bend that would determine its exponent. No forecast is made."
    )
    assert found["zh"] == (
        "这些数据点不足以确定缩放定律：在误差范围内，几乎任何指数都能拟合这些数据点；曲线的形状不足以确定其指数。"
        "因此不作外推预测。"
    )


def test_a_step_in_reach_tells_rows_interval_and_time():
    assert told() == {
        "en": "From 20,000 training rows on, 0.05 nats less NLL per answer token takes about 46,000 more rows "
        "(95 % interval 31,000 to 78,000); one training on all of them takes about 3.1 hours on the hardware of this "
        "study.",
        "zh": "从 20,000 条训练数据起，每个答案词元的 NLL 再降低 0.05 奈特约需再增加 46,000 条"
        "（95% 区间：31,000 至 78,000），即共约 66,000 条；在本研究的硬件上用全部数据训练一次约需 3.1 小时。",
    }


def test_a_step_far_off_is_called_a_guess():
    assert told(to_size=200_001, train_hours=None) == {
        "en": "From 20,000 training rows on, 0.05 nats less NLL per answer token takes about 46,000 more rows "
        "(95 % interval 31,000 to 78,000). This is more than ten times the largest size measured: a guess rather than "
        "a forecast.",
        "zh": "从 20,000 条训练数据起，每个答案词元的 NLL 再降低 0.05 奈特约需再增加 46,000 条"
        "（95% 区间：31,000 至 78,000），即共约 200,000 条。这一规模超出实测最大规模的十倍，只能视为猜测而非预测。",
    }
    assert "guess" not in told(to_size=200_000)["en"]
    assert "猜测" not in told(to_size=200_000)["zh"]


@pytest.mark.parametrize(
    ("metric", "step", "english", "chinese"),
    [
        ("nll", 1, "1 nats less NLL per answer token", "每个答案词元的 NLL 再降低 1 奈特"),
        ("rouge_1", 1, "one more ROUGE-1 point", "ROUGE-1 再提高 1 分"),
        ("rouge_2", 1.0, "one more ROUGE-2 point", "ROUGE-2 再提高 1 分"),
        ("rouge_l", 2, "2 more ROUGE-L points", "ROUGE-L 再提高 2 分"),
        ("bleu_4", 0.5, "0.5 more BLEU-4 points", "BLEU-4 再提高 0.5 分"),
        ("chrf", 1, "one more chrf point", "chrf 再提高 1 分"),
    ],
)
def test_a_step_is_in_the_metric_s_unit(metric, step, english, chinese):
    found = told(metric, step)
    assert found["en"].startswith(f"From 20,000 training rows on, {english} takes about")
    assert found["zh"].startswith(f"从 20,000 条训练数据起，{chinese}约需再增加")


@pytest.mark.parametrize(
    ("above", "english", "chinese"),
    [
        (True, "it would take more than 1,000 times as many", "所需数据量将超过现有的 1,000 倍"),
        (False, "it lies below the law's asymptote", "该目标超出了定律的渐近极限"),
    ],
)
def test_a_step_out_of_reach_says_why(above, english, chinese):
    assert told("bleu_4", 1, reachable=False, above_asymptote=above, to_size=None, extra_rows=None) == {
        "en": "From 20,000 training rows on, one more BLEU-4 point is out of reach of more data of this kind: "
        f"{english}.",
        "zh": f"从 20,000 条训练数据起，仅靠增加同类数据无法使BLEU-4 再提高 1 分：{chinese}。",
    }


@pytest.mark.parametrize(
    ("ends", "english", "chinese"),
    [
        ([0, 7], "95 % interval 0 to 7", "95% 区间：0 至 7"),
        ([31_499, None], "95 % interval from 31,000 to no upper bound", "95% 区间：31,000 至无上界"),
        ([None, None], "95 % interval: no bound", "95% 区间：无界"),
    ],
)
def test_an_interval_says_where_it_has_no_end(ends, english, chinese):
    found = told(ci95=ends)
    assert f"more rows ({english});" in found["en"]
    assert f"条（{chinese}），即" in found["zh"]


@pytest.mark.parametrize(
    ("hours", "english", "chinese"),
    [
        (0.0001, "0.1 minutes", "0.1 分钟"),
        (0.25, "15 minutes", "15 分钟"),
        (0.99, "59 minutes", "59 分钟"),
        (1 / 60, "1 minute", "1 分钟"),
        (1.0, "1 hour", "1 小时"),
        (1.5, "1.5 hours", "1.5 小时"),
        (99.4, "99 hours", "99 小时"),
        (99.5, "100 hours", "100 小时"),
        (100.0, "100 hours", "100 小时"),
        (1_234.0, "1,200 hours", "1,200 小时"),
    ],
)
def test_a_time_is_in_the_unit_that_suits_it(hours, english, chinese):
    found = told(train_hours=hours)
    assert f"); one training on all of them takes about {english} on the hardware of this study." in found["en"]
    assert f"条；在本研究的硬件上用全部数据训练一次约需 {chinese}。" in found["zh"]


def test_a_time_that_is_not_known_is_not_told():
    found = told(train_hours=None)
    assert found["en"].endswith("(95 % interval 31,000 to 78,000).")
    assert found["zh"].endswith("即共约 66,000 条。")


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (7, "7"), (12, "12"), (99, "99"), (104, "100"), (986, "990"), (-123, "-120"), (1_250_001, "1,300,000")],
)
def test_rows_have_two_significant_digits(number, text):
    assert words._about(number) == text
