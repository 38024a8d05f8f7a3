"""Plots of what the study found: quality by training size, and LoRA beside QLoRA at equal size."""

import os
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from medscale.base.study import size_label
from medscale.compare.configurations import several_seeds
from medscale.report.evaluations import BASE
from medscale.report.plots.labels import MOST, End, label_ends
from medscale.report.plots.style import GREY, Style, legend_below, method_styles, new_figure, note, shifts
from medscale.report.plots.words import word

METRICS = ("nll", "rouge_1", "rouge_2", "rouge_l", "bleu_4")
TITLES = {"rouge_1": "ROUGE-1", "rouge_2": "ROUGE-2", "rouge_l": "ROUGE-L", "bleu_4": "BLEU-4"}
SIZE = (12.5, 7.2)
MEAN = {"linestyle": "", "marker": "_", "markersize": 17, "markeredgewidth": 2.2, "zorder": 3.2}  # over several seeds


def plot_data_scale(table: pd.DataFrame, path: str | os.PathLike, configurations: pd.DataFrame | None = None) -> None:
    """Draw each metric against training size (log axis), a line a method, with 95 % intervals and the base model.

    Where a size has several seeds, the line joins their means, the interval is that over questions and seeds, and each
    seed is a small hollow point.

    Args:
        table: see `summary.summary_table`.
        path: PNG file to write.
        configurations: see `compare.configurations.configuration_table`; without it means have no interval.
    """
    runs, base = _runs_and_base(table)
    means = _means(runs, configurations)
    styles = method_styles(runs["method"])
    with new_figure(path, SIZE) as figure:
        figure.suptitle(word("scale_title"))
        axes = figure.subplots(2, 3).flatten()
        step, width = _room(runs, narrow=0.12, wide=0.75)
        for axis, metric in zip(axes[:-1], METRICS, strict=True):
            _metric_axis(axis, metric, runs, base)
            _log_sizes(axis, sorted(runs["train_size"].unique()))
            for place, (method, style) in zip(shifts(len(styles), 1), styles.items(), strict=True):
                _line_with_points(axis, _measured(runs, metric, method), means, metric, style, place * width, step)
        few = len(styles) <= MOST
        handles = ([] if few else _line_handles(styles) + _base_handles(base)) + _interval_handles(runs)
        axes[-1].set_axis_off()
        axes[-1].legend(handles=handles, loc="center", frameon=False, labelspacing=1.0)
        if few:
            label_ends(
                figure, list(zip(axes, [_ends(runs, means, base, styles, one) for one in METRICS], strict=False))
            )


def plot_method_comparison(
    table: pd.DataFrame, path: str | os.PathLike, configurations: pd.DataFrame | None = None
) -> None:
    """Draw the methods side by side at each size: quality, training time, peak memory, speed of inference.

    Args:
        table: see `summary.summary_table`.
        path: PNG file to write.
        configurations: see `plot_data_scale`.
    """
    runs, base = _runs_and_base(table)
    means = _means(runs, configurations)
    styles = method_styles(runs["method"])
    divisor, unit = _time_unit(runs["train_seconds"].max())
    runs = runs.assign(train_time=runs["train_seconds"] / divisor)
    with new_figure(path, SIZE) as figure:
        figure.suptitle(word("methods_title"))
        axes = figure.subplots(2, 3)
        for axis, metric in zip(axes[0], ("nll", "rouge_l", "bleu_4"), strict=True):
            _metric_axis(axis, metric, runs, base)
            _quality_by_size(axis, runs, means, metric, styles)
        _bars(axes[1, 0], runs, "train_time", styles, word("training_time"), unit)
        _bars(axes[1, 1], runs, "peak_memory_gib", styles, word("training_memory"), "GiB")
        _bars(axes[1, 2], runs, "samples_per_second", styles, word("speed"), word("answers_a_second"))
        legend_below(figure, [*_pair_handles(styles), *_base_handles(base), *_interval_handles(runs)])


def metric_title(metric: str) -> str:
    """Return what a metric is called; one without a name stands under its key."""
    return word("nll") if metric == "nll" else TITLES.get(metric, metric)


def metric_unit(metric: str) -> str:
    """Return the unit of a metric."""
    return word("nats" if metric == "nll" else "points")


def _runs_and_base(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the fine-tuned runs of the main arm, and the base model's row; controls have no place on these axes."""
    runs = table[table["arm"] == "main"].astype({"train_size": "int64"})
    return runs, table[table["run"] == BASE]


def _means(runs: pd.DataFrame, configurations: pd.DataFrame | None) -> pd.DataFrame:
    """Return value and interval of each metric by method and size: those of the run where there is one seed."""
    columns = [f"{metric}{end}" for metric in METRICS for end in ("", "_lo", "_hi")]
    groups = runs.groupby(["method", "train_size"])
    means = groups[columns].mean()
    several = groups.size() > 1
    means.loc[several, [column for column in columns if column.endswith(("_lo", "_hi"))]] = np.nan
    if configurations is not None:
        known = several_seeds(configurations[configurations["kind"] == "tuned"])
        known = known.astype({"train_size": "int64"}).set_index(["method", "train_size"])
        means.loc[known.index, columns] = known.reindex(columns=columns)
    return means


def _measured(runs: pd.DataFrame, column: str, method: str) -> pd.DataFrame:
    return runs[(runs["method"] == method) & runs[column].notna()]


def _several_seeds(runs: pd.DataFrame) -> bool:
    return bool(runs.duplicated(["method", "train_size"]).any())


def _metric_axis(axis: Axes, metric: str, runs: pd.DataFrame, base: pd.DataFrame) -> None:
    """Label a metric's panel and draw the base model: a dashed line, its interval a band."""
    axis.set(title=metric_title(metric), xlabel=word("rows"), ylabel=metric_unit(metric))
    if runs[metric].isna().all():
        note(axis, word("not_measured"))
        if base[metric].isna().all():
            axis.set_yticks([])
    for value, low, high in base[[metric, f"{metric}_lo", f"{metric}_hi"]].itertuples(index=False):
        if pd.notna(value):
            axis.axhline(value, color=GREY, linestyle="--", lw=1.4, zorder=2)
        if pd.notna(low) and pd.notna(high):
            axis.axhspan(low, high, color=GREY, alpha=0.12, lw=0, zorder=1)


def _log_sizes(axis: Axes, sizes: list[int]) -> None:
    """Give the axis a log scale with a tick at each size, labelled where two labels do not run into each other."""
    low, high = sizes[0] / 1.45, sizes[-1] * 1.45
    labels, end = [], -1.0
    for size in sizes:
        label, place = size_label(size), np.log(size / low) / np.log(high / low)
        half = 0.013 * (len(label) + 1)  # a character takes about 2.6 % of a panel's width
        labels.append(label if place - half > end else "")
        end = place + half if labels[-1] else end
    axis.set_xscale("log")
    axis.set_xlim(low, high)
    axis.set_xticks(sizes, labels=labels)
    axis.minorticks_off()


def _room(runs: pd.DataFrame, narrow: float, wide: float) -> tuple[float, float]:
    """Return the distance of two seeds and the width of a method, as shares of the gap between two sizes.

    Args:
        runs: fine-tuned runs.
        narrow: width of a method with one seed.
        wide: width of all methods together, which many seeds must not exceed.
    """
    seeds = runs.groupby(["method", "train_size"]).size().max()
    width = max(narrow, min(0.08 * seeds, wide / runs["method"].nunique())) if seeds > 1 else narrow
    return width / seeds, width


def _line_with_points(
    axis: Axes, runs: pd.DataFrame, values: pd.DataFrame, metric: str, style: Style, shift: float, step: float
) -> None:
    """Draw a method's line through the values of its sizes, each with its interval, moved by ``shift``."""
    if runs.empty:
        return
    values = values.loc[runs["method"].iloc[0]]
    means = values.loc[sorted(runs["train_size"].unique()), metric]
    # Moves are a share of the smallest gap between two sizes, so that marks of neighbours do not mix.
    gap = max(0.25, min([0.7, *np.diff(np.log(means.index))]))
    x = means.index * np.exp(shift * gap)
    sns.lineplot(x=x, y=means.to_numpy(), color=style.colour, lw=1.6, errorbar=None, ax=axis, zorder=3)
    for size, here in runs.groupby("train_size"):
        places = size * np.exp((shift + shifts(len(here), step)) * gap)
        _points(axis, size * np.exp(shift * gap), places, here, values.loc[size], metric, style)


def _quality_by_size(
    axis: Axes, runs: pd.DataFrame, values: pd.DataFrame, metric: str, styles: dict[str, Style]
) -> None:
    """Draw each configuration with its interval over its size, the methods side by side."""
    sizes = sorted(runs["train_size"].unique())
    step, width = _room(runs, narrow=0.3, wide=0.75)
    for place, (method, style) in zip(shifts(len(styles), 1), styles.items(), strict=True):
        for size, here in _measured(runs, metric, method).groupby("train_size"):
            x = sizes.index(size) + place * width
            _points(axis, x, x + shifts(len(here), step), here, values.loc[(method, size)], metric, style)
    _size_categories(axis, sizes)


def _points(axis: Axes, x: float, places: Any, runs: pd.DataFrame, value: pd.Series, metric: str, style: Style) -> None:
    """Draw a configuration with its interval at ``x``; of several seeds each is a hollow point beside its mean."""
    low, high = value[f"{metric}_lo"], value[f"{metric}_hi"]
    if pd.notna(low) and pd.notna(high):
        axis.vlines(x, low, high, color=style.colour, lw=1.6, zorder=3.5)
    face, size = ("white", 4) if len(runs) > 1 else (style.colour, 7)
    if len(runs) > 1:
        axis.plot(x, value[metric], color=style.colour, **MEAN)
    axis.plot(places, runs[metric], style.marker, color=style.colour, markerfacecolor=face, markersize=size, zorder=4)


def _bars(axis: Axes, runs: pd.DataFrame, column: str, styles: dict[str, Style], title: str, unit: str) -> None:
    """Draw a bar a method and size with its value above; several seeds are a bar at their mean and a point each."""
    sizes = sorted(runs["train_size"].unique())
    width = (0.8 if len(sizes) > 1 else 0.4) / len(styles)
    crowded = len(sizes) * len(styles) > 8
    text = {"fontsize": 8 if crowded else 9, "rotation": 90 if crowded else 0, "ha": "center", "va": "bottom"}
    for shift, (method, style) in zip(shifts(len(styles), width), styles.items(), strict=True):
        for size, values in _measured(runs, column, method).groupby("train_size")[column]:
            x = sizes.index(size) + shift
            axis.bar(x, values.mean(), width, color=style.colour, hatch=style.hatch, edgecolor="white", linewidth=0.5)
            if len(values) > 1:
                axis.plot(np.full(len(values), x), values, "o", color="0.1", markersize=3)
            axis.annotate(_short(values.mean()), (x, values.max()), (0, 4), textcoords="offset points", **text)
    if runs[column].notna().any():
        axis.set_ylim(0, 1.18 * runs[column].max() or 1)
    else:
        note(axis, word("not_measured"))
        axis.set_yticks([])
    axis.set(title=title, ylabel=unit, xlabel=word("rows"))
    _size_categories(axis, sizes)
    axis.grid(False)  # the values stand on the bars


def _size_categories(axis: Axes, sizes: list[int]) -> None:
    axis.set_xticks(range(len(sizes)), labels=[size_label(size) for size in sizes])
    axis.set_xlim(-0.6, len(sizes) - 0.4)
    axis.grid(False, axis="x")


def _time_unit(longest: float) -> tuple[float, str]:
    """Return the seconds of the unit in which the longest time reads best; seconds where none was measured."""
    if pd.isna(longest) or longest < 120:
        return 1.0, word("seconds")
    return (60.0, word("minutes")) if longest < 7200 else (3600.0, word("hours"))


def _short(value: float) -> str:
    """Return a number with two or three digits.

    >>> _short(1234.5), _short(28.17), _short(3.304), _short(0.0253)
    ('1,234', '28.2', '3.30', '0.025')
    """
    if value >= 10:
        return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
    return f"{value:.2f}" if value >= 1 else f"{value:.2g}"


def _ends(
    runs: pd.DataFrame, values: pd.DataFrame, base: pd.DataFrame, styles: dict[str, Style], metric: str
) -> list[End]:
    """Return where a metric's lines end: of each method, and of the base model."""
    ends, right = [], runs["train_size"].max()
    for method, style in styles.items():
        sizes = _measured(runs, metric, method)["train_size"]
        if len(sizes):
            ends.append(End(style.title, sizes.max(), values.loc[(method, sizes.max()), metric], style.colour))
    return ends + [End(word("base"), right, value, GREY) for value in base[metric].dropna()]


def _line_handles(styles: dict[str, Style]) -> list:
    return [
        Line2D([], [], color=style.colour, marker=style.marker, markersize=7, lw=1.6, label=style.title)
        for style in styles.values()
    ]


def _pair_handles(styles: dict[str, Style]) -> list[tuple]:
    """Return for each method the marker of the quality panels together with the bar of the others."""
    return [
        (
            Line2D([], [], color=style.colour, marker=style.marker, markersize=7, lw=0, label=style.title),
            Patch(facecolor=style.colour, hatch=style.hatch, edgecolor="white"),
        )
        for style in styles.values()
    ]


def _base_handles(base: pd.DataFrame) -> list:
    return [Line2D([], [], color=GREY, linestyle="--", lw=1.4, label=word("base"))] if len(base) else []


def _interval_handles(runs: pd.DataFrame) -> list:
    handles = [Line2D([], [], color=GREY, marker="|", markersize=12, lw=0, label=word("interval"))]
    if _several_seeds(runs):
        one = {"marker": "o", "markersize": 4, "markerfacecolor": "white", "lw": 0}
        handles.append(Line2D([], [], color=GREY, label=word("one_seed"), **one))
        handles.append(Line2D([], [], color=GREY, label=word("mean_seeds"), **MEAN))
    return handles
