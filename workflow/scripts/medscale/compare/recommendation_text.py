"""The recommendation in one sentence with its numbers, in English and Chinese."""

from collections.abc import Mapping
from typing import Any

NAMES = {
    "nll": ("NLL per answer token", "每个答案词元的 NLL "),
    "rouge_1": ("ROUGE-1", " ROUGE-1 "),
    "rouge_2": ("ROUGE-2", " ROUGE-2 "),
    "rouge_l": ("ROUGE-L", " ROUGE-L "),
    "bleu_4": ("BLEU-4", " BLEU-4 "),
}
UNITS = {"nll": ("nats", "奈特")}
POINTS = ("points", "分")


def number(value: float, metric: str) -> str:
    """Return a value or a difference with the digits that mean something: NLL 3, points of 100 two."""
    return f"{value:z.3f}" if metric == "nll" else f"{value:z.2f}"


def amount(value: float, metric: str, language: str) -> str:
    """Return a difference with its unit.

    >>> amount(0.02, "nll", "en"), amount(0.5, "rouge_l", "zh")
    ('0.020 nats', '0.50 分')
    """
    unit = UNITS.get(metric, POINTS)[0 if language == "en" else 1]
    return f"{number(value, metric)} {unit}"


def recommendation_sentence(result: Mapping[str, Any], base: Mapping[str, Any] | None, alpha: float) -> dict[str, str]:
    """Return the answer of a study.

    Parameters
    ----------
    result : dict
        recommendation.json without its sentence.
    base : dict, or None
        The candidate that is the base model.
    alpha : float
        Error rate of the intervals.
    """
    by_run = {candidate["run"]: candidate for candidate in result["candidates"]}
    facts = _Facts(result, by_run[result["best"]], alpha)
    if result["verdict"] == "recommended":
        return _best(facts) if result["run"] == result["best"] else _cheaper(facts, by_run[result["run"]])
    assert base is not None  # without a base model there is nothing to be no different from
    if result["run"] is None:
        return _cannot_tell(facts, base)
    return _base_is_best(facts) if base["run"] == result["best"] else _base_is_enough(facts, base)


class _Facts:
    """The pieces of the sentences."""

    def __init__(self, result: Mapping[str, Any], best: Mapping[str, Any], alpha: float):
        self.metric, self.best, self.level = result["metric"], best, f"{100 * (1 - alpha):g} %"
        self.level_zh = f"{100 * (1 - alpha):g}%"
        self.name, self.name_zh = NAMES.get(self.metric, (self.metric, f" {self.metric} "))
        self.margin = amount(result["margin"], self.metric, "en")
        self.margin_zh = amount(result["margin"], self.metric, "zh")
        self.currency = result["currency"]

    def value(self, candidate: Mapping[str, Any]) -> str:
        return number(candidate["value"], self.metric)

    def interval(self, candidate: Mapping[str, Any], language: str) -> str:
        low, high = number(candidate["lo"], self.metric), number(candidate["hi"], self.metric)
        return f"{low} to {high}" if language == "en" else f"{low} 至 {high}"

    def loss(self, candidate: Mapping[str, Any], language: str) -> str:
        """How much worse than the best the candidate may be, from the least to the most."""
        ends = sorted((abs(candidate["lo_difference"] or 0.0), abs(candidate["hi_difference"] or 0.0)))
        if candidate["lo_difference"] is None or candidate["hi_difference"] is None:
            return "an unknown amount" if language == "en" else "未知"
        low, high = number(ends[0], self.metric), amount(ends[1], self.metric, language)
        return f"{low} to {high}" if language == "en" else f"{low} 至 {high}"

    def cost(self, candidate: Mapping[str, Any], language: str) -> str:
        if candidate["gpu_hours"] is None:
            return "an unmeasured time" if language == "en" else "未测量的时间"
        hours = candidate["gpu_hours"]
        if hours >= 0.1:
            text = f"{hours:,.1f} h" if language == "en" else f"{hours:,.1f} 小时"
        elif hours >= 1 / 60:
            text = f"{60 * hours:.1f} min" if language == "en" else f"{60 * hours:.1f} 分钟"
        else:
            text = f"{3600 * hours:.1f} s" if language == "en" else f"{3600 * hours:.1f} 秒"
        return text if candidate["cost"] is None else f"{text} ({candidate['cost']:,.2f} {self.currency})"


def _cheaper(facts: _Facts, run: Mapping[str, Any]) -> dict[str, str]:
    best = facts.best
    return {
        "en": f"{run['run']} is recommended: the cheapest configuration that is not worse than the best, "
        f"{best['run']}, by the margin of {facts.margin}. {facts.name}: {facts.value(run)} against "
        f"{facts.value(best)}; it is worse by {facts.loss(run, 'en')} ({facts.level} simultaneous interval). One "
        f"training takes {facts.cost(run, 'en')} instead of {facts.cost(best, 'en')}.",
        "zh": f"推荐 {run['run']}：在不比最好的配置 {best['run']} 差 {facts.margin_zh}（界值）的配置中，它最便宜。"
        f"{facts.name_zh.strip()}：{facts.value(run)}，最好的为 {facts.value(best)}；差距为 {facts.loss(run, 'zh')}"
        f"（{facts.level_zh}联合置信区间）。一次训练需 {facts.cost(run, 'zh')}，而不是 {facts.cost(best, 'zh')}。",
    }


def _best(facts: _Facts) -> dict[str, str]:
    best = facts.best
    return {
        "en": f"{best['run']} is recommended: it has the best {facts.name}, {facts.value(best)} ({facts.level} "
        f"interval {facts.interval(best, 'en')}), and no cheaper configuration was shown to be within the margin of "
        f"{facts.margin}. One training takes {facts.cost(best, 'en')}.",
        "zh": f"推荐 {best['run']}：它的{facts.name_zh}最好，为 {facts.value(best)}（{facts.level_zh}置信区间 "
        f"{facts.interval(best, 'zh')}），没有更便宜的配置被证明与它的差距在界值 {facts.margin_zh}之内。"
        f"一次训练需 {facts.cost(best, 'zh')}。",
    }


def _cannot_tell(facts: _Facts, base: Mapping[str, Any]) -> dict[str, str]:
    best = facts.best
    return {
        "en": f"No difference shown: the best configuration, {best['run']}, has a {facts.name} of "
        f"{facts.value(best)} and the base model {facts.value(base)}, worse by {facts.loss(base, 'en')} ({facts.level} "
        "simultaneous interval), which may be chance; nor was the base model shown to be within the margin of "
        f"{facts.margin}. Nothing is recommended: more test items are needed to tell.",
        "zh": f"未显示出差异：最好的配置 {best['run']} 的{facts.name_zh}为 {facts.value(best)}，基座模型为 "
        f"{facts.value(base)}，差距为 {facts.loss(base, 'zh')}（{facts.level_zh}联合置信区间），可能出于偶然；"
        f"也没有证明基座模型的差距在界值 {facts.margin_zh}之内。不作推荐：需要更多测试样本才能判断。",
    }


def _base_is_enough(facts: _Facts, base: Mapping[str, Any]) -> dict[str, str]:
    best = facts.best
    return {
        "en": f"No difference that matters was shown: the base model is not worse than the best configuration, "
        f"{best['run']}, by the margin of {facts.margin}. {facts.name}: {facts.value(base)} against "
        f"{facts.value(best)}; it is worse by {facts.loss(base, 'en')} ({facts.level} simultaneous interval). "
        "Fine-tuning is not worth its cost here by this measure.",
        "zh": f"未显示出有意义的差异：基座模型不比最好的配置 {best['run']} 差 {facts.margin_zh}（界值）。"
        f"{facts.name_zh.strip()}：{facts.value(base)}，最好的为 {facts.value(best)}；差距为 {facts.loss(base, 'zh')}"
        f"（{facts.level_zh}联合置信区间）。按这一指标，这里的微调不值其成本。",
    }


def _base_is_best(facts: _Facts) -> dict[str, str]:
    base = facts.best
    return {
        "en": f"No gain was shown: the base model without fine-tuning has the best {facts.name}, {facts.value(base)} "
        f"({facts.level} interval {facts.interval(base, 'en')}).",
        "zh": f"未显示出收益：未经微调的基座模型的{facts.name_zh}最好，为 {facts.value(base)}"
        f"（{facts.level_zh}置信区间 {facts.interval(base, 'zh')}）。",
    }
