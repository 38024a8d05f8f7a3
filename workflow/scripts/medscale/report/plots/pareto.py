"""Plot of what quality costs: the configurations by training time and memory, and which of them is recommended."""

import itertools
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter
from matplotlib.transforms import Bbox

from medscale.base.study import size_label
from medscale.report.plots.fonts import let_all_be_drawn
from medscale.report.plots.quality import metric_title, metric_unit
from medscale.report.plots.scaling import base_line
from medscale.report.plots.style import GREY, Style, legend_below, method_styles, new_figure, note
from medscale.report.plots.words import word

SIZE = (12.5, 6.0)
LOWER_IS_BETTER = "nll"
COLUMNS = ["run", "method", "train_size", "value", "lo", "hi", "gpu_hours", "peak_memory_gib", "cost", "pareto"]
RING = {"marker": "o", "markersize": 19, "markerfacecolor": "none", "markeredgewidth": 2.2, "lw": 0, "color": "#cc3311"}
MARGIN = {"facecolor": "#009988", "alpha": 0.13, "lw": 0}
# Where a label may stand beside its point: points to the right and up, horizontal and vertical alignment.
PLACES = [
    *((x, y, "left" if x > 0 else "right", "center") for y in (0, 9, -9, 17, -17) for x in (10, -10, 16, -16)),
    *((0, y, "center", "bottom" if y > 0 else "top") for y in (11, -11)),
]


def plot_pareto(recommendation: Mapping[str, Any], path: str | os.PathLike) -> None:
    """Draw quality against training time and against peak memory, with intervals and the Pareto front of each pair.

    The base model, which is not trained, is a dashed line. A configuration that another one equals or beats in quality,
    time and memory at once is hollow. Where a price is known, the time axis tells money as well.

    Args:
        recommendation: content of recommendation.json.
        path: PNG file to write.
    """
    table = pd.DataFrame(recommendation["candidates"], columns=COLUMNS)
    table = table[table["value"].notna()].astype(dict.fromkeys(COLUMNS[2:9], "float64"))
    tuned, base = table[table["train_size"].notna()], table[table["train_size"].isna()]
    styles = method_styles(tuned["method"])
    with new_figure(path, SIZE) as figure:
        figure.suptitle(_title(recommendation), parse_math=False)
        axes = figure.subplots(1, 2, sharey=True)
        unit, hours = _time_unit(tuned["gpu_hours"])
        shown = [tuned.assign(x=tuned["gpu_hours"] / hours), tuned.assign(x=tuned["peak_memory_gib"])]
        for axis, points in zip(axes, shown, strict=True):
            _panel(axis, points[points["x"].notna()], recommendation, styles)
        axes[0].set(title=word("quality_time"), xlabel=word("time_axis", unit=word(unit)))
        axes[1].set(title=word("quality_memory"), xlabel=word("memory_axis"), ylabel="")
        _time_axis(axes[0], shown[0]["x"].dropna(), hours, tuned["cost"].notna().any(), recommendation)
        _memory_axis(axes[1], shown[1]["x"].dropna())
        measured = [axis for axis, points in zip(axes, shown, strict=True) if points["x"].notna().any()]
        lines = [base_line(axis, recommendation["metric"], one) for axis in measured for _, one in base.iterrows()]
        if not measured:
            axes[0].set_yticks([])
        legend_below(figure, _handles(tuned, any(lines), recommendation, styles), columns=4)
        let_all_be_drawn(figure)
        figure.draw_without_rendering()  # from here on places are known, and labels can keep clear of each other
        for axis, points in zip(axes, shown, strict=True):
            _label(figure, axis, points[points["x"].notna()], recommendation)


def _title(recommendation: Mapping[str, Any]) -> str:
    if recommendation["verdict"] == "recommended" and recommendation["run"]:
        return word("cost_title", run=recommendation["run"])
    return word("no_difference")


def _panel(axis: Axes, shown: pd.DataFrame, recommendation: Mapping[str, Any], styles: Mapping[str, Style]) -> None:
    metric = recommendation["metric"]
    axis.set_ylabel(word("quality_axis", metric=metric_title(metric), unit=metric_unit(metric)))
    if shown.empty:
        note(axis, word("not_measured"))
        axis.set_xticks([])
        return
    _margin(axis, recommendation)
    axis.plot(*_front_line(shown, metric), color=GREY, lw=1.3, alpha=0.8, zorder=2.5)
    for method, style in styles.items():
        for one in shown[shown["method"] == method].itertuples():
            known = np.isfinite(one.gpu_hours) and np.isfinite(one.peak_memory_gib)
            face = "white" if known and not one.pareto else style.colour
            axis.vlines(one.x, one.lo, one.hi, color=style.colour, lw=1.5, zorder=3)
            axis.plot(
                one.x, one.value, style.marker, color=style.colour, markerfacecolor=face, markersize=7.5, zorder=4
            )
    chosen = shown[shown["run"] == recommendation["run"]]
    axis.plot(chosen["x"], chosen["value"], zorder=5, **RING)


def _margin(axis: Axes, recommendation: Mapping[str, Any]) -> None:
    """Shade from the best value on as far as the margin lets a configuration be worse."""
    best = next((one for one in recommendation["candidates"] if one["run"] == recommendation["best"]), None)
    if best is None or best["value"] is None:
        return
    worse = recommendation["margin"] * (1 if recommendation["metric"] == LOWER_IS_BETTER else -1)
    axis.axhspan(*sorted((best["value"], best["value"] + worse)), zorder=1, **MARGIN)


def _front_line(shown: pd.DataFrame, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the staircase through the points than which no other is as good and as cheap."""
    loss = shown["value"] if metric == LOWER_IS_BETTER else -shown["value"]
    ordered = shown.assign(loss=loss).sort_values(["x", "loss"])
    front = ordered[ordered["loss"] < ordered["loss"].cummin().shift(fill_value=np.inf)]
    return np.repeat(front["x"], 2).to_numpy()[1:], np.repeat(front["value"], 2).to_numpy()[:-1]


def _time_unit(hours: pd.Series) -> tuple[str, float]:
    """Return the unit in which the longest time reads best, and its length in hours."""
    longest = hours.max()
    if pd.isna(longest) or longest < 120 / 3600:
        return "seconds", 1 / 3600
    return ("minutes", 1 / 60) if longest < 2 else ("hours", 1.0)


def _time_axis(axis: Axes, times: pd.Series, hours: float, priced: bool, recommendation: Mapping[str, Any]) -> None:
    """Take a log scale where times differ much, and put money above where it is known."""
    if times.empty:
        return
    if times.min() > 0 and times.max() > 8 * times.min():
        axis.set_xscale("log")
        axis.set_xlim(times.min() / 1.6, times.max() * 1.9)
    else:
        axis.set_xlim(0, times.max() * 1.16 or 1)
    _plain_ticks(axis)
    price = recommendation["price_per_gpu_hour"]
    if price and priced:
        money = axis.secondary_xaxis("top", functions=(lambda x: x * hours * price, lambda x: x / (hours * price)))
        money.set_xlabel(word("cost_axis", currency=recommendation["currency"]), parse_math=False)
        _plain_ticks(money, axis.get_xscale())


def _memory_axis(axis: Axes, memory: pd.Series) -> None:
    """Leave room for labels, and show at least a fifth of the value, so that a trifle does not look like much."""
    if len(memory):
        middle, half = (memory.max() + memory.min()) / 2, (memory.max() - memory.min()) / 2
        half = max(1.3 * half, 0.1 * middle) or 1.0
        axis.set_xlim(max(0.0, middle - half), middle + half)


def _plain_ticks(axis: Axes, scale: str | None = None) -> None:
    """Write round numbers as they are spoken, not as powers of ten."""
    if (scale or axis.get_xscale()) == "log":
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.6g}")
    else:
        axis.xaxis.set_major_locator(MaxNLocator(7))
        axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,.6g}"))
    axis.tick_params(axis="x", which="minor", bottom=False, top=False)


def _label(figure: Figure, axis: Axes, shown: pd.DataFrame, recommendation: Mapping[str, Any]) -> None:
    """Write the size beside each point, where it keeps clear of all marks and other labels; else not at all."""
    if shown.empty:
        return
    taken = _taken(figure, axis, shown, recommendation)
    inside = axis.get_window_extent()
    for one in shown.sort_values("value").itertuples():
        for x, y, horizontal, vertical in PLACES:
            label = axis.annotate(
                size_label(int(one.train_size)), (one.x, one.value), (x, y), textcoords="offset points",
                ha=horizontal, va=vertical, fontsize=9, color="0.15", zorder=6,
            )  # fmt: skip
            box = label.get_window_extent(figure.canvas.get_renderer()).expanded(1.04, 1.1)
            fits = inside.x0 < box.x0 and box.x1 < inside.x1 and inside.y0 < box.y0 and box.y1 < inside.y1
            if fits and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            label.remove()


def _taken(figure: Figure, axis: Axes, shown: pd.DataFrame, recommendation: Mapping[str, Any]) -> list[Bbox]:
    """Return the places of points, intervals, the front, the dashed line and text, in pixels."""
    pixel = figure.dpi / 72
    boxes = [text.get_window_extent(figure.canvas.get_renderer()) for text in axis.texts]
    for one in shown.itertuples():
        reach = (11 if one.run == recommendation["run"] else 5) * pixel
        x, y = axis.transData.transform((one.x, one.value))
        boxes.append(Bbox.from_extents(x - reach, y - reach, x + reach, y + reach))
        if np.isfinite(one.lo) and np.isfinite(one.hi):
            boxes.append(_around(axis, [(one.x, one.lo), (one.x, one.hi)], pixel))
    corners = np.column_stack(_front_line(shown, recommendation["metric"]))
    boxes += [_around(axis, ends, pixel) for ends in itertools.pairwise(corners)]
    levels = [line.get_ydata()[0] for line in axis.lines if line.get_linestyle() == "--"]
    return boxes + [_around(axis, [(x, level) for x in axis.get_xlim()], pixel) for level in levels]


def _around(axis: Axes, points: Iterable, margin: float) -> Bbox:
    places = axis.transData.transform(np.array(list(points)))
    (left, bottom), (right, top) = places.min(0) - margin, places.max(0) + margin
    return Bbox.from_extents(left, bottom, right, top)


def _handles(tuned: pd.DataFrame, base: bool, recommendation: Mapping[str, Any], styles: Mapping[str, Style]) -> list:
    handles: list = [
        Line2D([], [], color=style.colour, marker=style.marker, markersize=7.5, lw=0, label=style.title)
        for style in styles.values()
    ]
    handles.append(Line2D([], [], color=GREY, lw=1.3, label=word("front")))
    if not tuned.dropna(subset=["gpu_hours", "peak_memory_gib"])["pareto"].all():
        hollow = {"marker": "o", "markersize": 7.5, "markerfacecolor": "white", "lw": 0}
        handles.append(Line2D([], [], color=GREY, label=word("dominated"), **hollow))
    handles.append(Line2D([], [], color=GREY, marker="|", markersize=12, lw=0, label=word("interval")))
    if base:
        handles.append(Line2D([], [], color=GREY, linestyle="--", lw=1.4, label=word("base")))
    unit = word("unit_nats" if recommendation["metric"] == LOWER_IS_BETTER else "unit_points")
    handles.append(Patch(label=word("margin", margin=f"{recommendation['margin']:g}", unit=unit), **MARGIN))
    if recommendation["run"] in set(tuned["run"]):
        handles.append(Line2D([], [], label=word("recommended"), **{**RING, "markersize": 13}))
    return handles
