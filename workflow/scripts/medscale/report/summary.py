"""The table of the study: one row a run."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
from tabulate import tabulate

from medscale.base.files import atomic_path
from medscale.compare.configurations import several_seeds
from medscale.report.evaluations import BASE, METHODS, duration, is_tuned, value_at

METRICS = ("rouge_1", "rouge_2", "rouge_l", "bleu_4", "nll")
COSTS = {
    "train_seconds": "training.seconds",
    "peak_memory_gib": "training.peak_memory_gib.train_allocated",
    "samples_per_second": "inference.samples_per_second",
    "energy_kwh": "training.energy_kwh",
}
COLUMNS = (
    *("experiment", "run", "method", "train_size", "seed"),
    *(f"{metric}{suffix}" for metric in METRICS for suffix in ("", "_lo", "_hi")),
    *COSTS,
    *("epochs", "arm"),
)


def summary_table(evaluations: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Return the table of results, one row a run.

    Fine-tuned runs come first and are numbered EXP-01, EXP-02, …: LoRA by size, then QLoRA by size; controls and runs
    of further seeds follow, so that one added later renumbers nothing. The base model and the floors have no number.

    Args:
        evaluations: contents of eval.json files.

    Returns:
        The columns `COLUMNS`: ROUGE (F) and BLEU-4 in points of 100, NLL in nats per answer token, ``_lo`` and ``_hi``
        the ends of the 95 % interval, training time in seconds, peak memory of training in GiB, generated answers per
        second, energy of training in kWh, epochs trained, ``main`` or ``control``; and where the study has them,
        ``exam_{name}``, right answers in points of 100, and ``retention``, the NLL of general texts in nats a token.
        What was not measured is missing.
    """
    evaluations = sorted(evaluations, key=_position)
    rows = [_row(evaluation) | _examined(evaluation) for evaluation in evaluations]
    more = list(dict.fromkeys(column for evaluation in evaluations for column in _examined(evaluation)))
    tuned = [row for row in rows if is_tuned(row["run"])]
    for number, row in enumerate(tuned, 1):
        row["experiment"] = f"EXP-{number:02d}"
    types = dict.fromkeys([*COLUMNS, *more], "float64") | {"train_size": "Int64", "seed": "Int64"}
    types |= dict.fromkeys(("experiment", "run", "method", "arm"), "str")
    return pd.DataFrame(rows, columns=[*COLUMNS, *more]).astype(types)


def exam_columns(table: pd.DataFrame) -> list[str]:
    """Return the columns of the exams, one each."""
    return [name for name in table.columns if name.startswith("exam_") and not name.endswith(("_lo", "_hi"))]


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write the table as CSV; a cell is empty where nothing was measured."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


UNEVEN = 0.1
"""From which share of an interval its sides differ so much that half its width would tell of ends that it has not."""
LEGEND = (
    "\n± is half the width of the 95 % interval, [ ] its ends where it is uneven, – was not measured; NLL is better "
    "lower, the rest higher."
)


def table_text(table: pd.DataFrame, configurations: pd.DataFrame | None = None) -> str:
    """Return the table for a terminal, each metric with half the width of its 95 % interval.

    Args:
        table: from `summary_table`.
        configurations: from `compare.configurations.configuration_table`; those of several seeds stand before the runs.
    """
    means = _means(table, configurations)
    if len(means):
        table = pd.concat([means, table], ignore_index=True)
    shown = {
        "": table["experiment"].fillna(""),
        "run": table["run"],
        "rows": _column(table["train_size"], "{:,d}"),
        "NLL": _with_interval(table, "nll", 3),
        "ROUGE-1": _with_interval(table, "rouge_1", 2),
        "ROUGE-2": _with_interval(table, "rouge_2", 2),
        "ROUGE-L": _with_interval(table, "rouge_l", 2),
        "BLEU-4": _with_interval(table, "bleu_4", 2),
        **{f"{exam.removeprefix('exam_')} %": _with_interval(table, exam, 1) for exam in exam_columns(table)},
        **({"general NLL": _with_interval(table, "retention", 3)} if "retention" in table else {}),
        "training": [duration(seconds) if pd.notna(seconds) else "–" for seconds in table["train_seconds"]],
        "GiB": _column(table["peak_memory_gib"], "{:.2f}"),
        "answers/s": _column(table["samples_per_second"], "{:.2f}"),
        "kWh": _column(table["energy_kwh"], "{:.3f}"),
    }
    alignment = ("left", "left", *["right"] * (len(shown) - 2))
    text = tabulate(shown, headers="keys", disable_numparse=True, colalign=alignment)
    text += LEGEND
    if len(means):
        text += (
            "\nA mean over seeds has the interval over test questions and seeds, which sentence and plots show too; a "
            "single run, that over\nquestions alone: it is one seed."
        )
    return text


def _means(table: pd.DataFrame, configurations: pd.DataFrame | None) -> pd.DataFrame:
    """Return a row for each configuration of several seeds: costs are means over its runs, memory the largest peak."""
    rows = []
    for each in [] if configurations is None else several_seeds(configurations).to_dict("records"):
        runs = table[table["run"].isin(each["runs"].split())]
        costs = {name: runs[name].max() if name == "peak_memory_gib" else runs[name].mean() for name in COSTS}
        values = {
            name: each[name]
            for name in table.columns
            if name in each and name.startswith((*METRICS, "exam_", "retention"))
        }
        about = {"run": f"{each['configuration']}, mean of {each['seeds']} seeds", "train_size": each["train_size"]}
        rows.append(about | values | costs)
    return pd.DataFrame(rows, columns=list(table.columns)).astype(table.dtypes.to_dict())


def _row(evaluation: dict[str, Any]) -> dict[str, Any]:
    row = {name: value_at(evaluation, name) for name in ("run", "method", "train_size", "seed", "arm")}
    for metric in METRICS:
        headline = "f" if metric.startswith("rouge") else "value"
        row[metric] = value_at(evaluation, f"metrics.{metric}.{headline}")
        row[f"{metric}_lo"], row[f"{metric}_hi"] = value_at(evaluation, f"metrics.{metric}.ci95") or (None, None)
    row |= {column: value_at(evaluation, key) for column, key in COSTS.items()}
    return row | {"epochs": value_at(evaluation, "training.epochs")}


def _examined(evaluation: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of exams and general texts; none where the study has none."""
    entries = {
        f"exam_{name}": (exam["accuracy"], exam["ci95"]) for name, exam in (evaluation.get("exams") or {}).items()
    }
    if retention := evaluation.get("retention"):
        entries["retention"] = retention["value"], retention["ci95"]
    columns = {}
    for name, (value, ends) in entries.items():
        columns |= {name: value, **dict(zip((f"{name}_lo", f"{name}_hi"), ends or (None, None), strict=True))}
    return columns


def _position(evaluation: dict[str, Any]) -> tuple:
    """Return the place of a run in the table: fine-tuned (first seeds, further ones, controls), base, floors."""
    run, method, size, seed = (value_at(evaluation, name) for name in ("run", "method", "train_size", "seed"))
    kind = 0 if is_tuned(run) else 1 if run == BASE else 2
    further_seed = seed if kind == 0 and run.endswith(f"_seed{seed}") else -1
    place = METHODS.index(method) if method in METHODS else len(METHODS)
    return kind, value_at(evaluation, "arm") == "control", further_seed, place, method or "", size or 0, run


def _column(values: pd.Series, form: str) -> list[str]:
    return [form.format(value) if pd.notna(value) else "–" for value in values]


def _with_interval(table: pd.DataFrame, metric: str, digits: int) -> list[str]:
    texts = []
    for value, low, high in table[[metric, f"{metric}_lo", f"{metric}_hi"]].itertuples(index=False):
        text = f"{value:z.{digits}f}" if pd.notna(value) else "–"
        texts.append(text + (_ends(value, low, high, digits) if pd.notna(low) and pd.notna(high) else ""))
    return texts


def _ends(value: float, low: float, high: float, digits: int) -> str:
    """Return an interval beside its value: by half its width only where it lies evenly about it.

    >>> _ends(5.0, 4.0, 6.0, 1), _ends(0.0, 0.0, 32.4, 1)
    (' ±1.0', ' [0.0, 32.4]')
    """
    if abs((high - value) - (value - low)) > UNEVEN * (high - low):
        return f" [{low:z.{digits}f}, {high:z.{digits}f}]"
    return f" ±{(high - low) / 2:.{digits}f}"
