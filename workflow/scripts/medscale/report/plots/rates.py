"""Plot of the validation loss over the learning rate, as the pilots have found it."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from medscale.report.plots.style import GREY, Style, legend_below, method_styles, new_figure, note
from medscale.report.plots.words import word

CHOSEN = {"markersize": 13, "markerfacecolor": "none", "lw": 0, "markeredgewidth": 1.6}
FIXED = {"linestyle": ":", "lw": 1.4}
DIVERGED = {"marker": "x", "markersize": 9, "lw": 0, "markeredgewidth": 1.8}


def plot_rates(entries: Sequence[Mapping[str, Any]], path: str | os.PathLike) -> None:
    """Draw the validation loss over the rate, a panel a training size, a line a method.

    A ring is the best rate, a dotted line a fixed one, a cross at the top one at which the training diverged.

    Args:
        entries: see `compare.learning_rates.sensitivity`.
        path: PNG file to write.
    """
    styles = method_styles(entry["method"] for entry in entries)
    sizes = sorted({entry["size"]: entry["label"] for entry in entries}.items())
    with new_figure(path, (max(6.4, 4.6 * len(sizes)), 4.6)) as figure:
        figure.suptitle(word("rates_title"))
        axes = figure.subplots(1, len(sizes), squeeze=False).flatten()
        for (size, label), axis in zip(sizes, axes, strict=True):
            here = [entry for entry in entries if entry["size"] == size]
            steps = sorted({entry["steps"] for entry in here})
            axis.set_title(word("rates_panel", size=label, steps=" / ".join(f"{count:,}" for count in steps)))
            _panel(axis, here, styles)
            axis.yaxis.label.set_visible(axis.get_subplotspec().is_first_col())
        legend_below(figure, _handles(entries, styles), columns=5)


def _panel(axis: Axes, entries: Sequence[Mapping[str, Any]], styles: dict[str, Style]) -> None:
    axis.set_xscale("log")
    every = sorted({rate["rate"] for entry in entries for rate in entry["rates"]})
    for entry in entries:
        style = styles[entry["method"]]
        whole = [(rate["rate"], rate["nll"]) for rate in entry["rates"] if rate["nll"] is not None]
        axis.plot(*zip(*whole, strict=True), color=style.colour, marker=style.marker, lw=1.6, zorder=3)
        best = dict(whole)[entry["chosen"]]
        axis.plot([entry["chosen"]], [best], marker="o", color=style.colour, zorder=4, **CHOSEN)
        if entry["fixed"] is not None:
            axis.axvline(entry["fixed"], color=style.colour, zorder=1, **FIXED)
        for rate in entry["rates"]:
            if rate["nll"] is None:
                top = axis.get_xaxis_transform()
                axis.plot([rate["rate"]], [0.97], color=style.colour, transform=top, clip_on=False, **DIVERGED)
    axis.xaxis.set_major_locator(FixedLocator(every))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xticklabels([f"{rate:g}" for rate in every], rotation=30, ha="right")
    axis.set(xlabel=word("rate"), ylabel=word("rates_axis"))
    if not entries:
        note(axis, word("not_measured"))


def _handles(entries: Sequence[Mapping[str, Any]], styles: dict[str, Style]) -> list[Line2D]:
    handles = [
        Line2D([], [], color=style.colour, marker=style.marker, lw=1.6, label=style.title) for style in styles.values()
    ]
    handles.append(Line2D([], [], color=GREY, marker="o", label=word("rate_best"), **CHOSEN))
    if any(entry["fixed"] is not None for entry in entries):
        handles.append(Line2D([], [], color=GREY, label=word("rate_fixed"), **FIXED))
    if any(rate["nll"] is None for entry in entries for rate in entry["rates"]):
        handles.append(Line2D([], [], color=GREY, label=word("rate_diverged"), **DIVERGED))
    return handles
