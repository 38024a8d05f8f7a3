"""Plots of the loss on the way: of one run, and of all runs by training size."""

import os
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from medscale.base.study import size_label
from medscale.report.plots.labels import MOST, End, label_ends
from medscale.report.plots.style import COLOURS, GREY, Style, legend_below, method_styles, new_figure, note
from medscale.report.plots.words import word
from medscale.report.training_log import TrainingLog, smoothed

if TYPE_CHECKING:  # the table comes from who has pandas; the record of one run needs none
    from pandas import DataFrame

VALIDATION = {"linestyle": "--", "lw": 1.2, "markersize": 4.5, "markerfacecolor": "white"}


def plot_loss(log: TrainingLog, title: str, path: str | os.PathLike) -> None:
    """Draw the training and validation loss of one run.

    Args:
        log: from `training_log.read_log`.
        title: title of the plot.
        path: PNG file to write.
    """
    with new_figure(path, (7.5, 4.4)) as figure:
        axis = figure.subplots()
        axis.set_title(title, parse_math=False)
        style = Style("", COLOURS[0], "o", "")
        _draw(axis, log, style)
        _fit_height(axis, [log])
        lines = {"training_label": _smooth(log), "validation": log.measured("eval_loss")}
        ends = [End(word(key), x[-1], y[-1], style.colour) for key, (x, y) in lines.items() if len(x)]
        label_ends(figure, [(axis, ends)])


def plot_losses(logs: dict[str, TrainingLog], table: "DataFrame", path: str | os.PathLike) -> None:
    """Draw training and validation loss by step, a panel a training size, a colour a method.

    Args:
        logs: by run; from `training_log.read_log`. A run without a log is left out, and so are controls, which have
            other epochs.
        table: see `summary.summary_table`.
        path: PNG file to write.
    """
    tuned = table[table["arm"] == "main"]
    runs = tuned[tuned["run"].isin(list(logs))]
    styles = method_styles(tuned["method"])
    sizes = sorted(tuned["train_size"].unique())
    columns = min(len(sizes), 3 if len(sizes) <= 6 else 4)
    rows = -(-len(sizes) // columns)
    with new_figure(path, (max(7.0, 4.2 * columns), 1.1 + 3.5 * rows)) as figure:
        figure.suptitle(word("losses_title"))
        axes = figure.subplots(rows, columns, squeeze=False, sharey=True).flatten()
        shown = list(zip(sizes, axes, strict=False))
        for size, axis in shown:
            axis.set_title(word("size_rows", size=size_label(size)))
            here = runs[runs["train_size"] == size]
            axis.yaxis.label.set_visible(axis.get_subplotspec().is_first_col())  # the scale is shared
            for run, method in zip(here["run"], here["method"], strict=True):
                _draw(axis, logs[run], styles[method], raw_alpha=0.8 / max(2, len(here)))
            if here.empty:
                note(axis, word("no_log"))
                axis.set_xticks([])
        for axis in axes[len(sizes) :]:
            axis.set_axis_off()
        _fit_height(axes[0], [logs[run] for run in runs["run"]])
        if len(styles) > MOST:
            every = [handle for style in styles.values() for handle in _handles(style)]
            legend_below(figure, every, columns=len(styles))
            return
        legend_below(figure, _handles(Style("", GREY, "o", "")))
        label_ends(figure, [(axis, _ends(runs[runs["train_size"] == size], logs, styles)) for size, axis in shown])


def _draw(axis: Axes, log: TrainingLog, style: Style, raw_alpha: float = 0.4) -> None:
    """Draw the loss as logged (thin), its moving average, and the validation loss."""
    steps, losses = log.measured("loss")
    validated, validation = log.measured("eval_loss")
    axis.plot(steps, losses, color=style.colour, lw=0.7, alpha=raw_alpha, zorder=2)
    axis.plot(steps, smoothed(losses), color=style.colour, lw=1.8, zorder=3)
    axis.plot(validated, validation, color=style.colour, marker=style.marker, zorder=4, **VALIDATION)
    axis.set(xlabel=word("step"), ylabel=word("loss"))
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    if not len(losses) and not len(validation):
        note(axis, word("no_loss"))


def _smooth(log: TrainingLog) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps of the training loss and its moving average."""
    steps, losses = log.measured("loss")
    return steps, smoothed(losses)


def _ends(runs: "DataFrame", logs: dict[str, TrainingLog], styles: dict[str, Style]) -> list[End]:
    """Return where each method's moving averages end in a panel: the mean over its runs, the seeds."""
    ends = []
    for method, style in styles.items():
        lines = [_smooth(logs[run]) for run in runs.loc[runs["method"] == method, "run"]]
        lines = [(steps[-1], values[-1]) for steps, values in lines if len(steps)]
        if lines:
            step, value = np.mean(lines, axis=0)
            ends.append(End(style.title, step, value, style.colour))
    return ends


def _fit_height(axis: Axes, logs: list[TrainingLog]) -> None:
    """Fit the height to the smoothed and validation losses and 98 % of the raw ones: a spike would flatten the rest."""
    kept = [np.empty(0)]
    for log in logs:
        losses = log.measured("loss")[1]
        kept += [smoothed(losses), log.measured("eval_loss")[1]]
        if len(losses):
            kept.append(np.quantile(losses, [0.01, 0.99]))
    values = np.concatenate(kept)
    if len(values):
        margin = 0.06 * (values.max() - values.min()) or 0.1
        axis.set_ylim(values.min() - margin, values.max() + margin)


def _handles(style: Style) -> list[Line2D]:
    colour, names = style.colour, (word("training"), word("smoothed"), word("validation"))
    raw, average, validation = (
        word("of_method", method=style.title, line=name) if style.title else name for name in names
    )
    return [
        Line2D([], [], color=colour, lw=0.7, alpha=0.6, label=raw),
        Line2D([], [], color=colour, lw=1.8, label=average),
        Line2D([], [], color=colour, marker=style.marker, label=validation, **VALIDATION),
    ]
