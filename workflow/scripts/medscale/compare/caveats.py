"""What a reader must know before trusting a recommendation, in English and Chinese."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from medscale.base.plurals import how_many
from medscale.compare.comparisons import among_tuned
from medscale.compare.detectable import typical
from medscale.compare.paired_differences import FEWEST_DIFFERING
from medscale.compare.recommendation_text import NAMES, amount
from medscale.compare.resampling import Resampled


class Limits(NamedTuple):
    """Scores above these are too good to be true; None turns the warning off."""

    warn_rouge_l: float | None = 30.0
    warn_bleu_4: float | None = 10.0


def caveats(
    resampled: Resampled,
    by_run: Mapping[str, Mapping[str, Any]],
    comparisons: pd.DataFrame,
    leak_report: Mapping[str, Any] | None,
    metric: str,
    margin: float,
    limits: Limits,
    rates: Sequence[Mapping[str, Any]] = (),
) -> list[dict[str, str]]:
    """Return the warnings, each with its ``kind`` and its text in ``en`` and ``zh``, the gravest first."""
    found = [
        *_leak(leak_report),
        *_leaked_exams(by_run),
        *_too_good(resampled, limits),
        *_not_above_floor(comparisons),
        *_few_items(comparisons, metric, margin, resampled.n_items),
        *_few_seeds(resampled, comparisons),
        *_rates(rates),
        *_times(resampled, by_run),
        *_engines(resampled, by_run),
    ]
    return [{"kind": kind, "en": english, "zh": chinese} for kind, english, chinese in found]


Caveat = tuple[str, str, str]


def _leak(report: Mapping[str, Any] | None) -> Iterator[Caveat]:
    if report is None:
        yield (
            "leak_not_checked",
            "It was not checked whether test questions are near to training questions.",
            "未检查测试问题是否与训练问题相近。",
        )
    elif not report["passed"]:
        near, contained, total = report["near"]["count"], report["contained"]["count"], report["test_questions"]
        yield (
            "leak",
            f"The leak check did not pass: of {total:,} test questions, {near:,} are near-duplicates of a training "
            f"question and {contained:,} are contained in one. Scores may be too high, and more so for larger sizes.",
            f"泄漏检查未通过：{total:,} 个测试问题中，{near:,} 个与训练问题近似重复，{contained:,} 个包含在训练问题中。"
            "分数可能偏高，训练规模越大越明显。",
        )


NOTABLE_SHARE, NOTABLE_POINTS = 0.05, 1.0
"""An exam is warned of where the training rows hold such a share of its questions, or an accuracy without them differs
by so many points of 100."""


def _leaked_exams(by_run: Mapping[str, Mapping[str, Any]]) -> Iterator[Caveat]:
    """Warn of exams whose questions the training rows hold: what was learned by heart is no knowledge."""
    exams: dict[str, list[Mapping[str, Any]]] = {}
    for run in by_run.values():
        for name, entry in (run.get("exams") or {}).items():
            if entry.get("contaminated"):
                exams.setdefault(name, []).append(entry)
    english, chinese = [], []
    for name, entries in exams.items():
        count, total = entries[0]["contaminated"], entries[0]["n"]
        clean = [(entry.get("accuracy_without_leaks") or {}).get("accuracy") for entry in entries]
        apart = [abs(entry["accuracy"] - own) for entry, own in zip(entries, clean, strict=True) if own is not None]
        differs = max(apart, default=0.0)
        if count < NOTABLE_SHARE * total and differs < NOTABLE_POINTS:
            continue
        of = f"all {total:,}" if count == total else f"{count:,} of {total:,}"
        of_zh = f"全部 {total:,} 道" if count == total else f" {total:,} 道中的 {count:,} 道"
        moved = f", without which an accuracy moves by up to {differs:.1f} points" if apart else ""
        moved_zh = f"，去掉后正确率最多变动 {differs:.1f} 分" if apart else ""
        english.append(f"{of} of {name}{moved}")
        chinese.append(f"{name} 的{of_zh}{moved_zh}")
    if english:
        yield (
            "exam_leak",
            f"The training rows hold questions of exams ({'; '.join(english)}): accuracies there tell in part what was "
            "learned by heart.",
            f"训练数据中有考试的原题（{'；'.join(chinese)}）：这些考试的正确率有一部分只是背下来的。",
        )


def _too_good(resampled: Resampled, limits: Limits) -> Iterator[Caveat]:
    for metric, limit in (("rouge_l", limits.warn_rouge_l), ("bleu_4", limits.warn_bleu_4)):
        if limit is None or metric not in resampled.points:
            continue
        values = resampled.points[metric]
        runs = [i for i in resampled.measured(metric) if resampled.configurations[i].kind != "floor"]
        above = [i for i in runs if values[i] > limit]
        if above:
            top = max(above, key=lambda i: values[i])
            name, value, (english, chinese) = resampled.configurations[top].name, values[top], NAMES[metric]
            yield (
                "too_good",
                f"{english} is above {limit:g} for {len(above)} of {len(runs)} configurations: {value:.2f} for {name}. "
                "Open medical answers rarely agree that much: look for leaks between training and test data, or for "
                "answers that follow a template.",
                f"{len(runs)} 个配置中有 {len(above)} 个的{chinese}高于 {limit:g}：{name} 为 {value:.2f}。"
                "开放式医疗回答很少如此一致：请检查训练集与测试集之间是否有泄漏，或回答是否出自模板。",
            )


def _not_above_floor(comparisons: pd.DataFrame) -> Iterator[Caveat]:
    rows = comparisons[(comparisons["metric"] == "rouge_l") & (comparisons["kind"] == "floor")]
    rows = rows[rows["a"] != "base"]
    if rows.empty or (rows["significant"] & (rows["difference"] > 0)).any():
        return
    floor, value, top = rows.iloc[0]["b"], rows.iloc[0]["value_b"], rows["value_a"].max()
    yield (
        "not_above_floor",
        f"No fine-tuned configuration was shown to be above the best floor by ROUGE-L: {floor}, which uses no model, "
        f"has {value:.2f}, and the best configuration {top:.2f}. By it, the answers are no better than trivial ones.",
        f"没有任何微调配置的 ROUGE-L 被证明高于最好的基线：不用模型的 {floor} 为 {value:.2f}，最好的配置为 {top:.2f}。"
        "就 ROUGE-L 而言，这些回答不比不用模型的简单做法好。",
    )


def _few_items(comparisons: pd.DataFrame, metric: str, margin: float, n_items: int) -> Iterator[Caveat]:
    """Warn if no test can be made, or none that shows a difference of the margin in the pairs of the choice."""
    if n_items < FEWEST_DIFFERING:
        yield (
            "few_items",
            f"With {n_items} test items no difference can be tested, however large it is: two configurations must "
            f"differ on {FEWEST_DIFFERING} at least, and hundreds are needed to tell close ones apart.",
            f"只有 {n_items} 个测试样本，差异再大也无法检验：两个配置至少要在 {FEWEST_DIFFERING} 个样本上不同，"
            "要分辨接近的配置则需要几百个。",
        )
        return
    rows = among_tuned(comparisons[comparisons["metric"] == metric])
    smallest = typical(rows["smallest_detectable"])
    if smallest is None or smallest <= margin:
        return
    needed = f"{int(np.ceil(n_items * (smallest / margin) ** 2)):,}"
    english, chinese = f"About {needed} items would be needed.", f"大约需要 {needed} 个样本。"
    if (rows[["seeds_a", "seeds_b"]] > 1).any(axis=None):
        # more items take away none of what seeds differ by
        english, chinese = "More items, more seeds or both would be needed.", "需要更多样本、更多随机种子，或两者都要。"
    yield (
        "few_items",
        f"The test set is too small for the margin: with {n_items:,} items it detects a difference of "
        f"{amount(smallest, metric, 'en')}, and the margin is {amount(margin, metric, 'en')}. {english}",
        f"相对于所声明的界值，测试集太小：{n_items:,} 个样本能检出的最小差异为 {amount(smallest, metric, 'zh')}，"
        f"而界值为 {amount(margin, metric, 'zh')}。{chinese}",
    )


def _few_seeds(resampled: Resampled, comparisons: pd.DataFrame) -> Iterator[Caveat]:
    tuned = [each for each in resampled.configurations if each.kind == "tuned"]
    counts = {len(each.runs) for each in tuned}
    if counts == {1}:
        yield (
            "one_seed",
            "Each configuration was trained with one seed: the intervals cover other test questions, not the luck of a "
            "training.",
            "每个配置只用一个随机种子训练：区间反映的是测试问题的变化，不反映训练的偶然性。",
        )
    elif 1 in counts:
        several = [each.name for each in tuned if len(each.runs) > 1]
        rest = len(tuned) - len(several)
        one_sided, one_sided_zh = _one_sided(comparisons)
        yield (
            "one_seed",
            f"Of {len(tuned)} configurations {how_many(len(several), 'was', 'were')} trained with several seeds "
            f"({', '.join(several)}), the {'other' if rest == 1 else 'others'} with one: the intervals of "
            f"{'that one' if rest == 1 else 'those'} do not cover the luck of a training.{one_sided}",
            f"{len(tuned)} 个配置中有 {len(several)} 个用了多个随机种子（{'、'.join(several)}），其余只用一个："
            f"后者的区间不反映训练的偶然性。{one_sided_zh}",
        )


def _one_sided(comparisons: pd.DataFrame) -> tuple[str, str]:
    """Return what is to be said of comparisons of several seeds with one, beginning with a space; empty without any."""
    rows = comparisons[comparisons["kind"].isin(["method", "size", "control", "mix"])]
    pairs = rows.drop_duplicates(["a", "b"])
    count, mixed = len(pairs), int(((pairs["seeds_a"] > 1) != (pairs["seeds_b"] > 1)).sum())
    if not mixed:
        return "", ""
    if mixed < count:
        where, where_zh = f"In {mixed} of the {count} comparisons", f"训练之间的 {count} 组比较中，有 {mixed} 组"
    elif count == 1:
        where, where_zh = "In the only comparison", "训练之间唯一的一组比较，"
    else:
        where, where_zh = f"In all {count} comparisons", f"训练之间的 {count} 组比较，全部"
    return (
        f" {where} between trainings one side has several seeds and the other a single one: the interval covers that "
        "luck on one side only.",
        f"{where_zh}一方有多个种子而另一方只有一个，区间只反映一方的偶然性。",
    )


def _rates(rates: Sequence[Mapping[str, Any]]) -> Iterator[Caveat]:
    """Warn of fixed learning rates that are far from the best of a pilot, and of best ones at an end of the grid."""
    far = [entry for entry in rates if entry["verdict"] == "far"]
    if far:
        told = ", ".join(_lost(entry, "{:g} loses {:.3f} nats to {:g}", "at {:g} it diverged") for entry in far)
        told_zh = "；".join(_lost(entry, "{0:g} 比 {2:g} 多损失 {1:.3f} 奈特", "{:g} 时发散", "：") for entry in far)
        yield (
            "rate_far",
            f"The fixed learning rate is far from the best of the pilot ({told}), so the comparison may be of rates "
            "rather than of methods or sizes. Set training.learning_rate to auto.",
            f"固定的学习率离试训中最好的很远（{told_zh}），因此比较的可能是学习率，而不是方法或规模。"
            "可将 training.learning_rate 设为 auto。",
        )
    edges = [entry for entry in rates if entry["at_edge"] and entry["fixed"] is None]
    if edges:
        chosen = {f"{entry['method']}_{entry['label']}": f"{entry['chosen']:g}" for entry in edges}
        told = ", ".join(f"{name}: {rate}" for name, rate in chosen.items())
        told_zh = "、".join(f"{name} 为 {rate}" for name, rate in chosen.items())
        yield (
            "rate_at_edge",
            f"The learning rate that the pilot chose lies at an end of those that were tried ({told}): a better one "
            "may lie beyond it. Name further pilot.rates.",
            f"试训选出的学习率在所试范围的一端（{told_zh}），更好的可能在范围之外。请在 pilot.rates 中再加几个。",
        )


def _lost(entry: Mapping[str, Any], whole: str, diverged: str, colon: str = ": ") -> str:
    fixed = next(rate for rate in entry["rates"] if rate["rate"] == entry["fixed"])
    values = (entry["fixed"], fixed["difference"], entry["chosen"])
    return f"{entry['method']}_{entry['label']}{colon}" + (diverged if values[1] is None else whole).format(*values)


def _times(resampled: Resampled, by_run: Mapping[str, Mapping[str, Any]]) -> Iterator[Caveat]:
    tuned = [each for each in resampled.configurations if each.kind == "tuned"]
    trainings = {each.name: [by_run[run] for run in each.runs] for each in tuned}
    unknown = [
        name for name, runs in trainings.items() if all((run["training"] or {}).get("seconds") is None for run in runs)
    ]
    if unknown:
        yield (
            "cost_not_measured",
            f"The training time of {', '.join(unknown)} was not measured, so it cannot be recommended as the cheapest.",
            f"{'、'.join(unknown)} 的训练时间没有测量，因此不能作为最便宜的配置推荐。",
        )
    if any(run["hardware"]["device"] == "cpu" for runs in trainings.values() for run in runs):
        yield (
            "cpu_hours",
            "The models were trained on a CPU: the hours are the machine's, not a GPU's, and have no price.",
            "模型是在 CPU 上训练的：时间是机器时间，不是 GPU 时间，也没有价格。",
        )


def _engines(resampled: Resampled, by_run: Mapping[str, Mapping[str, Any]]) -> Iterator[Caveat]:
    engines: dict[str, list[str]] = {}
    for each in resampled.configurations:
        for inference in filter(None, (by_run[run]["inference"] for run in each.runs)):
            names = engines.setdefault(inference.get("engine") or "transformers", [])
            if each.name not in names:
                names.append(each.name)
    if len(engines) > 1:
        english = "; ".join(f"{engine} answered for {', '.join(names)}" for engine, names in sorted(engines.items()))
        chinese = "；".join(f"{'、'.join(names)} 由 {engine} 回答" for engine, names in sorted(engines.items()))
        yield (
            "engines",
            "The answers come from several engines. Speeds of inference compare within one only, and in 16 bits texts "
            f"and likelihoods differ a little between them: {english}.",
            "回答来自不同的推理引擎：推理速度只能在同一引擎内比较；16 位精度下，不同引擎的文本和似然也略有差异："
            f"{chinese}。",
        )
