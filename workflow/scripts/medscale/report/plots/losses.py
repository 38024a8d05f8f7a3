"""Plots of the loss on the way: of one run, and of all runs by training size."""

import os

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from medscale.base.errors import UserError
from medscale.base.study import size_label
from medscale.report.plots.style import Style, legend_below, method_styles, new_figure, note

VALIDATION = {"linestyle": "--", "lw": 1.2, "markersize": 4.5, "markerfacecolor": "white"}


def read_log(path: str | os.PathLike) -> pd.DataFrame:
    """Return a train_log.csv with the columns step, loss and eval_loss; missing where not measured.

    Raises:
        UserError: the file is not such a table.
    """
    try:
        return pd.read_csv(path, usecols=["step", "loss", "eval_loss"]).astype("float64")
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: not a training log ({error}); delete it and let the workflow make it again"
        ) from error


def plot_loss(log: pd.DataFrame, title: str, path: str | os.PathLike) -> None:
    """Draw the training and validation loss of one run.

    Args:
        log: see `read_log`.
        title: title of the plot.
        path: PNG file to write.
    """
    with new_figure(path, (7.5, 4.4)) as figure:
        axis = figure.subplots()
        axis.set_title(title, parse_math=False)
        style = Style("", sns.color_palette("colorblind")[0], "o", "")
        _draw(axis, log, style)
        _fit_height(axis, [log])
        legend_below(figure, _handles(style))


def plot_losses(logs: dict[str, pd.DataFrame], table: pd.DataFrame, path: str | os.PathLike) -> None:
    """Draw training and validation loss by step, a panel a training size, a colour a method.

    Args:
        logs: by run; see `read_log`. A run without a log is left out, and so are controls, which have other epochs.
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
        figure.suptitle("Loss by optimiser step")
        axes = figure.subplots(rows, columns, squeeze=False, sharey=True).flatten()
        for axis, size in zip(axes, sizes, strict=False):
            axis.set_title(f"{size_label(size)} training rows")
            here = runs[runs["train_size"] == size]
            for run, method in zip(here["run"], here["method"], strict=True):
                _draw(axis, logs[run], styles[method], raw_alpha=0.8 / max(2, len(here)))
            if here.empty:
                note(axis, "no log")
                axis.set_xticks([])
        for axis in axes[len(sizes) :]:
            axis.set_axis_off()
        _fit_height(axes[0], [logs[run] for run in runs["run"]])
        legend_below(figure, [handle for style in styles.values() for handle in _handles(style)], columns=len(styles))


def smoothed(values: pd.Series) -> pd.Series:
    """Return an exponential moving average over about a tenth of the values, at least eight, without start bias."""
    return values.ewm(span=max(8.0, len(values) / 10)).mean()


def _draw(axis: Axes, log: pd.DataFrame, style: Style, raw_alpha: float = 0.4) -> None:
    """Draw the loss as logged (thin), its moving average, and the validation loss."""
    train, validation = _measured(log, "loss"), _measured(log, "eval_loss")
    axis.plot(train["step"], train["loss"], color=style.colour, lw=0.7, alpha=raw_alpha, zorder=2)
    average = smoothed(train["loss"])
    sns.lineplot(x=train["step"], y=average, color=style.colour, lw=1.8, errorbar=None, ax=axis, zorder=3)
    axis.plot(
        validation["step"], validation["eval_loss"], color=style.colour, marker=style.marker, zorder=4, **VALIDATION
    )
    axis.set(xlabel="Optimiser step", ylabel="Loss (nats per answer token)")
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    if train.empty and validation.empty:
        note(axis, "no loss was logged")


def _measured(log: pd.DataFrame, column: str) -> pd.DataFrame:
    return log[np.isfinite(log[column])]


def _fit_height(axis: Axes, logs: list[pd.DataFrame]) -> None:
    """Fit the height to the smoothed and validation losses and 98 % of the raw ones: a spike would flatten the rest."""
    kept = []
    for log in logs:
        train = _measured(log, "loss")["loss"]
        kept += [smoothed(train), train.quantile([0.01, 0.99]), _measured(log, "eval_loss")["eval_loss"]]
    values = pd.concat(kept).dropna() if kept else pd.Series(dtype="float64")
    if len(values):
        margin = 0.06 * (values.max() - values.min()) or 0.1
        axis.set_ylim(values.min() - margin, values.max() + margin)


def _handles(style: Style) -> list[Line2D]:
    colour, names = style.colour, ("training", "training, smoothed", "validation")
    raw, average, validation = (f"{style.title}, {name}" if style.title else name for name in names)
    return [
        Line2D([], [], color=colour, lw=0.7, alpha=0.6, label=raw),
        Line2D([], [], color=colour, lw=1.8, label=average),
        Line2D([], [], color=colour, marker=style.marker, label=validation, **VALIDATION),
    ]
