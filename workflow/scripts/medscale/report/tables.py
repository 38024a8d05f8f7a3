"""The tables of quality in report.html: results, comparisons and power, each as cells to write."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from medscale.report.answers import kind_of
from medscale.report.inputs import Inputs
from medscale.report.names import names, run_names
from medscale.report.texts import (
    Metric,
    Text,
    against,
    both,
    interval,
    joined,
    metric,
    number,
    p_value,
    percent,
    run_title,
    say,
    sentences,
)

STANDARD = ("nll", "rouge_1", "rouge_2", "rouge_l", "bleu_4")
FEWEST_ITEMS = 6
"""`paired_differences.FEWEST_DIFFERING`; that module imports scipy."""
KINDS = ("method", "size", "ends", "base", "floor", "control", "mix")


class Cell(NamedTuple):
    """One cell: what to write, small print beneath, what to sort by, whether it is the best of its column."""

    text: Text
    note: str = ""
    value: float | None = None
    best: bool = False


class Column(NamedTuple):
    """The head of a column."""

    title: Text
    unit: Text = Text("", "")


class Row(NamedTuple):
    """One run or configuration with its cells; ``one_seed`` of a run that is one of several of a configuration."""

    run: str
    title: Text
    kind: str
    cells: list[Cell]
    control: bool = False
    one_seed: bool = False


def figure(value: float | None, digits: int, note: str = "", best: bool = False) -> Cell:
    """Return a cell with a number."""
    return Cell(both(number(value, digits)), note, value, best)


def results_table(inputs: Inputs) -> dict[str, Any]:
    """Return the table of all runs: columns, rows, and the names of metrics that no run has.

    A configuration of several seeds has a row of its own before the runs; the best is looked for among configurations.
    """
    runs = inputs.evaluations
    several = {each["configuration"]: each for each in inputs.summary.configurations if each["seeds"] > 1}
    one_of = {run for each in several.values() for run in each["runs"].split()}
    title_of = run_names(inputs)
    extra = dict.fromkeys(key for each in runs.values() for key in each["metrics"] if key not in (*STANDARD, *LENGTHS))
    metrics = [metric(key) for key in (*STANDARD, *extra)]
    measured = [each for each in metrics if any(_headline(run, each.key) is not None for run in runs.values())]
    whole = [*several.values(), *(each for run, each in runs.items() if run not in one_of)]
    missing = [each.name for each in metrics if each not in measured]
    best = {each.key: _best(each, whole) for each in measured}
    about = [
        (key, column)
        for key, column, always in (
            ("train_size", Column(say("results.rows")), True),
            ("seed", Column(say("results.seed")), False),
            ("epochs", Column(say("results.epochs")), False),
        )
        if always or len({_about(run, key) for run in runs.values()} - {None}) > 1
    ]
    columns = [column for _, column in about] + [Column(both(each.name), each.unit) for each in measured]
    columns += [Column(say(f"metric.{key}"), say(f"metric.{key}_unit")) for key in ("length_ratio", "empty")]
    rows = [_mean_row(each, runs, about, measured, best) for each in several.values()]
    for run, evaluation in runs.items():
        cells = [figure(_about(evaluation, key), 0) for key, _ in about]
        cells += [_score(evaluation, each, None if run in one_of else best[each.key]) for each in measured]
        cells.append(figure(evaluation["metrics"].get("length_ratio"), 2))
        cells.append(figure(evaluation["metrics"].get("empty_predictions"), 0))
        control = evaluation.get("arm") == "control"
        rows.append(Row(run, title_of(run), kind_of(evaluation), cells, control, run in one_of))
    return {
        "columns": columns,
        "rows": rows,
        "note": sentences(say("results.note"), say("results.unmeasured", names=joined(missing)) if missing else None),
        "seeds": _about_seeds(inputs, [each for each in measured if each.key in extra]) if several else None,
    }


def _mean_row(
    configuration: dict[str, Any],
    runs: dict[str, dict[str, Any]],
    about: list[tuple[str, Column]],
    measured: list[Metric],
    best: dict[str, float | None],
) -> Row:
    """Return the row of a configuration of several seeds: values with the interval over questions and seeds."""
    name, first = configuration["configuration"], runs[configuration["configuration"]]
    own = [runs[run] for run in configuration["runs"].split()]
    cells = [figure(None if key == "seed" else _about(first, key), 0) for key, _ in about]
    for each in measured:
        value = configuration.get(each.key)
        ends = (configuration.get(f"{each.key}_lo"), configuration.get(f"{each.key}_hi"))
        if value is None:  # a metric that is asked for besides has no place in the table of configurations
            known = [found for run in own if (found := _headline(run, each.key)) is not None]
            value = sum(known) / len(known) if known else None
        marked = value is not None and value == best[each.key]
        cells.append(figure(value, each.digits, interval(*ends, each.digits), marked))
    ratios = [found for run in own if (found := run["metrics"].get("length_ratio")) is not None]
    cells.append(figure(sum(ratios) / len(ratios) if ratios else None, 2))
    empty = [found for run in own if (found := run["metrics"].get("empty_predictions")) is not None]
    cells.append(figure(sum(empty) / len(empty) if empty else None, 0))
    title = run_title(first)
    mean = say("run.mean", n=number(configuration["seeds"]))
    title = Text(f"{title.en} · {mean.en}", f"{title.zh} · {mean.zh}")
    return Row(name, title, kind_of(first), cells, first.get("arm") == "control")


def _about_seeds(inputs: Inputs, extra: list[Metric]) -> list[Text]:
    """Return what a reader must know where some configurations have several seeds; ``extra`` are asked for besides."""
    title = names(inputs)
    tuned = [each for each in inputs.summary.configurations if each["kind"] in ("tuned", "control")]
    several = [each for each in tuned if each["seeds"] > 1]
    told = [say("results.seeds", list=joined(title(each["configuration"]) for each in several))]
    if len(several) < len(tuned):
        rows = [row for row in inputs.summary.comparisons if row["seeds_a"] and row["kind"] not in ("base", "floor")]
        pairs = {(row["a"], row["b"]): (row["seeds_a"] > 1) != (row["seeds_b"] > 1) for row in rows}
        mixed = sum(pairs.values())
        counts = {"mixed": number(mixed), "pairs": number(len(pairs))}
        key = "results.mixed_all" if mixed == len(pairs) else "results.mixed_some"
        told.append(sentences(say("results.mixed_seeds"), say(key, **counts) if mixed else None))
    if extra:
        told.append(say("results.extra_seeds", names=joined(each.name for each in extra)))
    return told


LENGTHS = ("length_ratio", "length_ratio_ci95", "empty_predictions")


def _headline(evaluation: dict[str, Any], key: str) -> float | None:
    if "metrics" not in evaluation:  # a configuration of several seeds
        return evaluation.get(key)
    entry = evaluation["metrics"].get(key) or {}
    return entry["f"] if "f" in entry else entry.get("value")


def _about(evaluation: dict[str, Any], key: str) -> float | None:
    return (evaluation.get("training") or {}).get("epochs") if key == "epochs" else evaluation.get(key)


def _best(each: Metric, runs: Iterable[dict[str, Any]]) -> float | None:
    values = [value for run in runs if (value := _headline(run, each.key)) is not None]
    if not values:
        return None
    return min(values) if each.lower_is_better else max(values)


def _score(evaluation: dict[str, Any], each: Metric, best: float | None) -> Cell:
    value = _headline(evaluation, each.key)
    ends = (evaluation["metrics"].get(each.key) or {}).get("ci95") or (None, None)
    return figure(value, each.digits, interval(*ends, each.digits), value is not None and value == best)


def comparison_tables(inputs: Inputs) -> list[dict[str, Any]]:
    """Return for each metric its comparisons, grouped by kind, with the ends of the bars in a width of 200."""
    rows = inputs.summary.comparisons
    keys = metrics_in_order(inputs, dict.fromkeys(row["metric"] for row in rows))
    return comparison_blocks(inputs, rows, {key: metric(key) for key in keys})


def comparison_blocks(
    inputs: Inputs, rows: Iterable[dict[str, Any]], metrics: dict[str, Metric]
) -> list[dict[str, Any]]:
    """Return the comparisons in ``rows`` of each of ``metrics``, as `comparison_tables` does."""
    title = names(inputs)
    places = {run: place for place, run in enumerate(inputs.evaluations)}
    last = len(places)
    rows = sorted(rows, key=lambda row: (places.get(row["a"], last), places.get(row["b"], last)))
    tables = []
    for key, each in metrics.items():
        here = [row for row in rows if row["metric"] == key]
        kinds = [*KINDS, *sorted({row["kind"] for row in here} - set(KINDS))]
        groups = [
            {
                "title": say(f"comparisons.{kind}") if kind in KINDS else both(kind),
                "rows": _comparisons(inputs, [row for row in here if row["kind"] == kind], each, title),
            }
            for kind in kinds
        ]
        groups = [group for group in groups if group["rows"]]
        told = {"interval": say("comparisons.interval", level=level(inputs)), "note": None}
        if key == "nll" and here and any(each["run"].startswith("floor") for each in inputs.evaluations.values()):
            told["note"] = say("comparisons.no_floor")
        tables.append({"metric": each, "groups": groups} | told)
    return tables


def detectable_from(value: float | None, each: Metric) -> str:
    """Return the smallest detectable difference; a score in points of 100 has none above 100."""
    return "> 100" if value is not None and value > 100 and not each.lower_is_better else number(value, each.digits)


def _comparisons(inputs: Inputs, rows: list[dict[str, Any]], each: Metric, title: Callable) -> list[dict[str, Any]]:
    """Return the rows of one kind, their bars on one scale: differences to the base dwarf those between methods."""
    ends = [abs(row[name] or 0) for row in rows for name in ("lo", "hi", "difference")]
    ends += [_band(row, each) for row in rows]
    scale = 92 / (max(ends, default=0) or 1)
    return [_comparison(inputs, row, each, title, scale) for row in rows]


def _comparison(inputs: Inputs, row: dict[str, Any], each: Metric, title: Callable, scale: float) -> dict[str, Any]:
    digits = each.digits
    difference, low, high = (row[name] for name in ("difference", "lo", "hi"))
    # One item has no spread, and so no p-value.
    state = "untested" if None in (row["significant"], row["p_holm"], difference) else "equal"
    small = _unbounded(inputs, row["n_items"]) if low is None else None
    if row["significant"] is True and difference is not None:
        state = "better"
        small = say("comparisons.small") if row["exceeds_smallest_detectable"] is False else None
    winner = row["a"] if ((difference or 0) < 0) is each.lower_is_better else row["b"]
    words = say("comparisons.better", name=title(winner)) if state == "better" else say(f"comparisons.{state}")

    def place(value: float | None) -> float | None:
        return None if value is None else round(100 + scale * value, 1)

    return {
        "pair": against(title(row["a"]), title(row["b"])),
        "each": f"{number(row['value_a'], digits)} / {number(row['value_b'], digits)}",
        "difference": number(difference, digits, sign=True),
        "interval": interval(low, high, digits, sign=True),
        "p": p_value(row["p_holm"]),
        "smallest": detectable_from(row["smallest_detectable"], each),
        "state": state,
        "words": words,
        "small": small,
        "bar": {"middle": place(difference), "low": place(low), "high": place(high), "band": scale * _band(row, each)},
    }


def _band(row: dict[str, Any], each: Metric) -> float:
    """Return how far the band of what could not be detected reaches to either side."""
    smallest = row["smallest_detectable"] or 0.0
    return smallest if each.lower_is_better else min(smallest, 100.0)


def _unbounded(inputs: Inputs, items: int) -> Text:
    """Return why a difference has no interval."""
    if items < FEWEST_ITEMS:
        return say("comparisons.no_interval", items=number(items))
    return say("comparisons.few_resamples" if too_few_resamples(inputs) else "comparisons.unlike_items")


def power_table(inputs: Inputs) -> dict[str, Any]:
    """Return the smallest detectable differences: a row a number of test questions, a column a metric."""
    rows = inputs.summary.power
    metrics = [metric(key) for key in metrics_in_order(inputs, dict.fromkeys(row["metric"] for row in rows))]
    own = len(inputs.answers.ids)
    by_place = {(row["metric"], row["n_items"]): row for row in rows}
    lines = [
        {
            "questions": number(items),
            "own": items == own,
            "cells": [_power(by_place.get((m.key, items)), m) for m in metrics],
        }
        for items in sorted({row["n_items"] for row in rows if row["n_items"] is not None})
    ]
    return {
        "metrics": metrics,
        "rows": lines,
        "lead": say(
            "power.lead",
            alpha=f"{_alpha(inputs):g}",
            power=number(100 * inputs.config.get("statistics", {}).get("power", 0.8)),
        ),
    }


def _power(row: dict[str, Any] | None, each: Metric) -> Cell:
    if row is None or row["smallest_detectable"] is None:
        return figure(None, 0)
    return figure(row["smallest_detectable"], each.digits, f"({number(row['paired_sd'], each.digits)})")


def _alpha(inputs: Inputs) -> float:
    return inputs.config.get("statistics", {}).get("alpha", 0.05)


def too_few_resamples(inputs: Inputs) -> bool:
    """Return whether the resamples have no quantile of statistics.alpha; see `paired_differences.critical_values`."""
    return _alpha(inputs) * (inputs.config.get("statistics", {}).get("resamples", 10_000) + 1) < 1 - 1e-9


def level(inputs: Inputs) -> str:
    """Return the level of the intervals of differences in percent: 1 − statistics.alpha."""
    return percent(1 - _alpha(inputs))


def metrics_in_order(inputs: Inputs, keys: Iterable[str]) -> list[str]:
    """Return the metrics with the one that decides the recommendation first, then in the usual order."""
    usual = [inputs.summary.recommendation.get("metric"), *STANDARD]
    keys = list(keys)
    return sorted(keys, key=lambda key: usual.index(key) if key in usual else len(usual))
