"""What a scaling fit says in a sentence, in English and Chinese."""

from collections.abc import Iterable
from typing import Any

from medscale.compare.scaling.choice import BOUND, FLAT, WIDE

METRICS = {"rouge_1": "ROUGE-1", "rouge_2": "ROUGE-2", "rouge_l": "ROUGE-L", "bleu_4": "BLEU-4"}
PROBLEMS = {
    FLAT: (
        "the values do not clearly improve with the number of training rows",
        "指标并未随训练数据量的增加而明显改善",
    ),
    BOUND: (
        "the curve has no bend that would determine its exponent",
        "曲线的形状不足以确定其指数",
    ),
    WIDE: (
        "almost any exponent fits the points within their uncertainty",
        "在误差范围内，几乎任何指数都能拟合这些数据点",
    ),
}
Sentence = dict[str, str]


def too_few(sizes: int, points: int) -> Sentence:
    """Return why ``points`` different sizes, of which ``sizes`` are not the base model, carry no law."""
    with_base = points > sizes
    count = f"{sizes} training size" + ("s" if sizes != 1 else "")
    return {
        "en": f"No law can be fitted: {count}{' and the base model' if with_base else ''} "
        f"{'is' if points == 1 else 'are'} {points} point{'s' if points != 1 else ''}, and a law of three or four "
        "parameters needs at least five. What was measured is shown as it is.",
        "zh": f"无法拟合缩放定律：现有 {sizes} 个训练规模{'和基座模型' if with_base else ''}，共 {points} 个数据点；"
        "缩放定律有三到四个参数，至少需要五个点。图中仅显示实测结果。",
    }


def not_identified(problems: Iterable[str]) -> Sentence:
    """Return why the points do not determine a law; each problem of the laws is told once."""
    told = [PROBLEMS[problem] for problem in dict.fromkeys(problems)]
    return {
        "en": f"The points do not determine a law: {'; '.join(en for en, _ in told)}. No forecast is made.",
        "zh": f"这些数据点不足以确定缩放定律：{'；'.join(zh for _, zh in told)}。因此不作外推预测。",
    }


def one_more(metric: str, step: float, answer: dict[str, Any]) -> Sentence:
    """Return in words what one step of improvement takes; see `law.fit_metric`."""
    start = f"{answer['from_size']:,}"
    en, zh = _step(metric, step)
    if not answer["reachable"]:
        return _out_of_reach(en, zh, start, answer["above_asymptote"])
    extra, end = _about(answer["extra_rows"]), _about(answer["to_size"])
    en_range, zh_range = _range(answer["ci95"])
    hours, zh_hours = _hours(answer["train_hours"])
    far, zh_far = ("", "")
    if answer["to_size"] > 10 * answer["from_size"]:
        far = " This is more than ten times the largest size measured: a guess rather than a forecast."
        zh_far = "这一规模超出实测最大规模的十倍，只能视为猜测而非预测。"
    return {
        "en": f"From {start} training rows on, {en} takes about {extra} more rows ({en_range}){hours}.{far}",
        "zh": f"从 {start} 条训练数据起，{zh}约需再增加 {extra} 条（{zh_range}），即共约 {end} 条{zh_hours}。{zh_far}",
    }


def _step(metric: str, step: float) -> tuple[str, str]:
    if metric == "nll":
        return f"{step:g} nats less NLL per answer token", f"每个答案词元的 NLL 再降低 {step:g} 奈特"
    name = METRICS.get(metric, metric)
    amount = f"one more {name} point" if step == 1 else f"{step:g} more {name} points"
    return amount, f"{name} 再提高 {step:g} 分"


def _out_of_reach(en: str, zh: str, start: str, above_asymptote: bool) -> Sentence:
    reason = "it would take more than 1,000 times as many" if above_asymptote else "it lies below the law's asymptote"
    zh_reason = "所需数据量将超过现有的 1,000 倍" if above_asymptote else "该目标超出了定律的渐近极限"
    return {
        "en": f"From {start} training rows on, {en} is out of reach of more data of this kind: {reason}.",
        "zh": f"从 {start} 条训练数据起，仅靠增加同类数据无法使{zh}：{zh_reason}。",
    }


def _range(ends: list[int | None]) -> tuple[str, str]:
    low, high = (None if end is None else _about(end) for end in ends)
    if low is None:
        return "95 % interval: no bound", "95% 区间：无界"
    if high is None:
        return f"95 % interval from {low} to no upper bound", f"95% 区间：{low} 至无上界"
    return f"95 % interval {low} to {high}", f"95% 区间：{low} 至 {high}"


def _hours(hours: float | None) -> tuple[str, str]:
    if hours is None:
        return "", ""
    if hours < 1:
        number, unit, zh_unit = f"{max(hours * 60, 0.1):.2g}", "minute", "分钟"
    else:
        number, unit, zh_unit = f"{hours:.2g}" if hours < 99.5 else _about(hours), "hour", "小时"
    plural = "" if number == "1" else "s"
    return (
        f"; one training on all of them takes about {number} {unit}{plural} on the hardware of this study",
        f"；在本研究的硬件上用全部数据训练一次约需 {number} {zh_unit}",
    )


def _about(number: float) -> str:
    """Return a number, whole or at least 100, with two significant digits.

    >>> _about(46_321), _about(7)
    ('46,000', '7')
    """
    digits = len(str(abs(round(number))))
    return f"{round(number, 2 - digits):,.0f}"
