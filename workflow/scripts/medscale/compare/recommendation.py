"""The recommendation: the cheapest configuration that is not worse than the best by a margin declared beforehand.

Candidates are the fine-tuned configurations and the base model; control arms and floors are not. Quality is one
primary metric. A candidate is *not worse* if the simultaneous interval of its distance to the true best
(`best_comparisons`) lies above −margin, so with probability 1 − α at least no candidate is called so that is worse by
the margin or more. The configuration with the best value is not worse than itself by definition. Cheapest means the
fewest GPU hours of one training, then the least memory. A candidate whose time was not measured cannot be the cheapest.

No difference is shown where the base model's interval ends at 0, or where it is not worse by the margin. Then the base
model is recommended if it is not worse by the margin, and nothing is recommended if the test set cannot tell.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from medscale.base.errors import UserError
from medscale.compare.best_comparisons import BestComparisons, compare_with_best
from medscale.compare.caveats import Limits, caveats
from medscale.compare.configurations import own_intervals
from medscale.compare.recommendation_text import recommendation_sentence
from medscale.compare.resampling import LOWER_IS_BETTER, Configuration, Resampled

DIGITS = 6
RECOMMENDED, NO_DIFFERENCE = "recommended", "no_difference_shown"


class Settings(NamedTuple):
    """What a recommendation is told.

    ``margin`` is in the unit of ``metric``; ``price_per_gpu_hour`` in ``currency``, None leaves money out.
    """

    metric: str = "nll"
    margin: float = 0.02
    alpha: float = 0.05
    price_per_gpu_hour: float | None = None
    currency: str = "CNY"
    limits: Limits = Limits()


def recommend(
    resampled: Resampled,
    evaluations: Iterable[Mapping[str, Any]],
    comparisons: pd.DataFrame,
    leak_report: Mapping[str, Any] | None,
    settings: Settings,
    rates: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return recommendation.json.

    Parameters
    ----------
    resampled : Resampled
        Must hold ``settings.metric``.
    evaluations : iterable of dict
        Contents of the eval.json files of all runs, for times, memory and energy.
    comparisons : pandas.DataFrame
        From `comparisons.comparison_table`, for the warnings.
    leak_report : dict, or None
        leak_report.json; None where the check was not made, which is warned of.
    settings : Settings
    rates : sequence of dict
        What pilots found of learning rates, from `learning_rates.sensitivity`, for the warnings.

    Raises
    ------
    UserError
        If no fine-tuned configuration has the metric.
    """
    metric, margin = settings.metric, settings.margin
    by_run = {evaluation["run"]: evaluation for evaluation in evaluations}
    columns = [i for i in resampled.measured(metric) if resampled.configurations[i].kind in ("tuned", "base")]
    configurations = [resampled.configurations[i] for i in columns]
    if not any(configuration.kind == "tuned" for configuration in configurations):
        raise UserError(
            "R110",
            f"recommendation.metric = {metric}: no fine-tuned run has it, so none can be recommended; take another",
        )
    best = compare_with_best(resampled, metric, columns, settings.alpha)
    values = own_intervals(resampled, metric, by_run, settings.alpha)
    candidates = _candidates(resampled, metric, columns, best, settings, values)
    for candidate, configuration in zip(candidates, configurations, strict=True):
        candidate |= costs(configuration, by_run, settings.price_per_gpu_hour)
    for candidate, pareto in zip(candidates, pareto_flags(candidates, metric), strict=True):
        candidate["pareto"] = pareto
    verdict, run = _verdict(candidates, configurations, best)
    result = {
        "schema_version": 1,
        "verdict": verdict,
        "metric": metric,
        "margin": margin,
        "run": run,
        "best": configurations[best.best].name,
        "sentence": {},
        "candidates": candidates,
        "price_per_gpu_hour": settings.price_per_gpu_hour,
        "currency": settings.currency,
        "warnings": caveats(resampled, by_run, comparisons, leak_report, metric, margin, settings.limits, rates),
    }
    base = next((c for c, each in zip(candidates, configurations, strict=True) if each.kind == "base"), None)
    result["sentence"] = recommendation_sentence(result, base, settings.alpha)
    return result


def costs(configuration: Configuration, by_run: Mapping[str, Mapping], price: float | None) -> dict[str, Any]:
    """Return what one training of a configuration takes: mean time and energy over its seeds, the largest peak memory.

    The base model takes no training: 0 seconds, and no memory of training, which is null. Money is for GPU hours: null
    for a training on a CPU.
    """
    if configuration.kind == "base":
        free = None if price is None else 0.0
        return {"train_seconds": 0.0, "gpu_hours": 0.0, "peak_memory_gib": None, "energy_kwh": None, "cost": free}
    trainings = [by_run[run]["training"] or {} for run in configuration.runs]
    seconds = _mean(training.get("seconds") for training in trainings)
    memory = [(training.get("peak_memory_gib") or {}).get("train_allocated") for training in trainings]
    on_gpu = all((by_run[run]["hardware"] or {}).get("device") != "cpu" for run in configuration.runs)
    busy = [None if (value := each.get("seconds")) is None else value * (each.get("gpus") or 1) for each in trainings]
    hours = None if (all_cards := _mean(busy)) is None else all_cards / 3600
    return {
        "train_seconds": _rounded(seconds),
        "gpu_hours": _rounded(hours),
        "peak_memory_gib": max((value for value in memory if value is not None), default=None),
        "energy_kwh": _rounded(_mean(training.get("energy_kwh") for training in trainings)),
        "cost": None if hours is None or price is None or not on_gpu else round(hours * price, 2),
    }


def pareto_flags(candidates: Sequence[Mapping[str, Any]], metric: str) -> list[bool]:
    """Return for each candidate whether no other has as good a value for as little time and memory, and one better.

    A candidate whose time or memory of training is not known is on no front; the base model takes none of either.
    """
    lower = metric in LOWER_IS_BETTER
    known = {}
    for place, candidate in enumerate(candidates):
        value, hours, memory = candidate["value"], candidate["gpu_hours"], candidate["peak_memory_gib"]
        if hours == 0 and memory is None:
            memory = 0.0
        if hours is not None and memory is not None:
            known[place] = (value if lower else -value, hours, memory)

    def dominated(mine: tuple) -> bool:
        return any(other != mine and all(a <= b for a, b in zip(other, mine, strict=True)) for other in known.values())

    return [place in known and not dominated(known[place]) for place in range(len(candidates))]


def _candidates(
    resampled: Resampled,
    metric: str,
    columns: Sequence[int],
    best: BestComparisons,
    settings: Settings,
    values: Sequence[tuple[float, float, float]],
) -> list[dict[str, Any]]:
    """Return each candidate with its value, its interval, and its difference to the best in the metric's unit."""
    lower = metric in LOWER_IS_BETTER
    candidates = []
    for place, column in enumerate(columns):
        configuration = resampled.configurations[column]
        value, low, high = values[column]
        difference, worst, closest = best.difference[place], best.lo[place], best.hi[place]
        if lower:
            difference, worst, closest = -difference, -closest, -worst
        candidates.append(
            {
                "run": configuration.name,
                "method": configuration.method,
                "train_size": configuration.size,
                "value": _rounded(value),
                "lo": low if np.isfinite(low) else None,
                "hi": high if np.isfinite(high) else None,
                "difference_to_best": _rounded(difference),
                "lo_difference": _rounded(worst),
                "hi_difference": _rounded(closest),
                "not_worse": bool(place == best.best or best.lo[place] > -settings.margin),
            }
        )
    return candidates


def _verdict(
    candidates: Sequence[Mapping[str, Any]], configurations: Sequence[Configuration], best: BestComparisons
) -> tuple[str, str | None]:
    base = next((i for i, configuration in enumerate(configurations) if configuration.kind == "base"), None)
    if base is not None and candidates[base]["not_worse"]:
        return NO_DIFFERENCE, candidates[base]["run"]
    if base is not None and best.hi[base] >= 0:
        return NO_DIFFERENCE, None
    eligible = [each for each in candidates if each["not_worse"] and each["gpu_hours"] is not None]
    if not eligible:
        return RECOMMENDED, candidates[best.best]["run"]
    unknown = float("inf")
    cheapest = min(
        eligible,
        key=lambda each: (
            each["gpu_hours"],
            unknown if each["peak_memory_gib"] is None else each["peak_memory_gib"],
            abs(each["difference_to_best"]),
        ),
    )
    return RECOMMENDED, cheapest["run"]


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _rounded(value: float | None) -> float | None:
    if value is None or not np.isfinite(value):
        return None
    return round(float(value), DIGITS) + 0.0  # no negative zero
