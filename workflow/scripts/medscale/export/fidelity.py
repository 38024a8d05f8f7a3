"""Is what is shipped still what was measured? A form's answers and likelihoods against those of the run. No torch."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from medscale.base.errors import UserError
from medscale.evaluate.bootstrap import mean_interval, ratio_interval
from medscale.evaluate.scoring import score_texts

DIGITS = 6


def compare(run: Sequence[dict], form: Sequence[dict], resamples: int, seed: int = 0) -> dict[str, Any]:
    """Return how a form answers and judges the same test rows, beside the run's own predictions.

    Differences are form minus run, and their intervals are paired: each resample draws rows with both of their values.

    Args:
        run: rows of predictions.jsonl.
        form: rows of the same ids in the same order, with ``predict``, ``nll_sum`` and ``n_answer_tokens``.
        resamples, seed: of the bootstrap; see `bootstrap.ratio_interval`.

    Returns:
        NLL in nats per answer token (``nll``, ``nll_run``, ``difference``, ``ci95``, and the mean of the absolute
        differences of the rows, which do not cancel), the share of ``identical_answers``, and ROUGE-L in points of 100:
        of the form's answers against the run's, and of both against the references.

    Raises:
        UserError: the rows are of other test items.
    """
    if [row["id"] for row in run] != [row["id"] for row in form]:
        raise UserError("G105", "the form was measured on other test items than the run; make the predictions anew")
    same = [ours["predict"] == theirs["predict"] for ours, theirs in zip(form, run, strict=True)]
    return {
        "items": len(form),
        **_likelihoods(run, form, resamples, seed),
        "identical_answers": round(sum(same) / len(same), DIGITS),
        **_overlap(run, form, same, resamples, seed),
    }


def _likelihoods(run: Sequence[dict], form: Sequence[dict], resamples: int, seed: int) -> dict[str, Any]:
    pairs = [(ours, theirs) for ours, theirs in zip(form, run, strict=True) if None not in _measured(ours, theirs)]
    told: dict[str, Any] = {"nll_items": len(pairs)}
    names = ("nll", "nll_run", "difference", "ci95", "mean_absolute_difference")
    if not pairs:
        return told | dict.fromkeys(names)
    if any(ours["n_answer_tokens"] != theirs["n_answer_tokens"] for ours, theirs in pairs):
        raise UserError(
            "G105",
            "the references have another number of tokens than in the run's predictions: they were made with another "
            "tokenizer, template or training.max_length; make the predictions anew (--forcerun predict)",
        )
    ours, theirs = (np.array([row["nll_sum"] for row in side]) for side in zip(*pairs, strict=True))
    tokens = np.array([row["n_answer_tokens"] for row, _ in pairs], dtype=np.float64)
    total = math.fsum(tokens)
    values = (
        math.fsum(ours) / total,
        math.fsum(theirs) / total,
        math.fsum(ours - theirs) / total,
        _rounded(ratio_interval(ours - theirs, tokens, resamples, seed)),
        math.fsum(abs(ours - theirs)) / total,
    )
    return told | {
        name: round(value, DIGITS) + 0.0 if isinstance(value, float) else value
        for name, value in zip(names, values, strict=True)
    }


def _measured(*rows: dict) -> list[float | None]:
    return [row[key] for row in rows for key in ("nll_sum", "n_answer_tokens")]


def _overlap(
    run: Sequence[dict], form: Sequence[dict], same: Sequence[bool], resamples: int, seed: int
) -> dict[str, Any]:
    """Return ROUGE-L; two empty answers are equal, although they have no word in common."""
    to_run = _rouge_l([(ours["predict"], theirs["predict"]) for ours, theirs in zip(form, run, strict=True)])
    to_run[np.array(same)] = 100.0
    ours, theirs = (_rouge_l([(row["predict"], row["label"]) for row in rows]) for rows in (form, run))
    return {
        "rouge_l_to_run": round(float(to_run.mean()), DIGITS),
        "rouge_l": round(float(ours.mean()), DIGITS),
        "rouge_l_run": round(float(theirs.mean()), DIGITS),
        "rouge_l_difference": round(float((ours - theirs).mean()), DIGITS),
        "rouge_l_ci95": _rounded(mean_interval(ours - theirs, resamples, seed)),
    }


def _rouge_l(texts: list[tuple[str, str]]) -> np.ndarray:
    return np.array([scores["rouge_l_f"] for scores in score_texts(texts, ["rouge_l"])])


def _rounded(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else [round(end, DIGITS) + 0.0 for end in interval]  # no -0.0


def warning_of(measured: dict[str, Any], tolerance: float, identical: float) -> dict[str, str] | None:
    """Return in both languages what is to be told of a form that is not what was measured; None where it is.

    Args:
        measured: from `compare`, with ``prompts_identical``.
        tolerance: `export.tolerance`, nats per answer token.
        identical: `export.identical_answers`, the smallest share.
    """
    said: list[tuple[str, str]] = []
    difference = measured["difference"]
    if difference is not None and abs(difference) > tolerance:
        side = ("worse", "差") if difference > 0 else ("better", "好")
        said.append(
            (
                f"it finds the reference answers {side[0]} than the run did: {difference:+.4f} nats per token, beyond "
                f"the tolerance of {tolerance:g}",
                f"对参考回答的似然比该次运行{side[1]}：每词元 {difference:+.4f} 奈特，超出容许值 {tolerance:g}",
            )
        )
    if measured["identical_answers"] < identical:
        share = measured["identical_answers"]
        said.append(
            (
                f"{share:.0%} of its answers are the run's own, fewer than {identical:.0%}",
                f"与该次运行逐字相同的回答占 {share:.0%}，低于 {identical:.0%}",
            )
        )
    if measured.get("prompts_identical") not in (None, measured["items"]):
        other = measured["items"] - measured["prompts_identical"]
        said.append(
            (
                f"its own template makes other prompts for {other} of {measured['items']} questions",
                f"它自带的模板对 {measured['items']} 个问题中的 {other} 个给出了不同的提示",
            )
        )
    if not said:
        return None
    return {"en": "; ".join(en for en, _ in said), "zh": "；".join(zh for _, zh in said)}
