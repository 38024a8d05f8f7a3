"""Plot of what more data brings: the points of each method, and the scaling law where one can be fitted."""

import os
import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from medscale.report.plots.labels import MOST, End, label_ends
from medscale.report.plots.quality import metric_title, metric_unit
from medscale.report.plots.style import GREY, Style, legend_below, method_styles, new_figure, note
from medscale.report.plots.words import sentence, word

BAND = 0.16
WRAP = 76  # characters of a line; a Chinese one counts twice


def plot_scaling(fit: Mapping[str, Any], path: str | os.PathLike) -> None:
    """Draw each fitted metric against training size: points, law with its band, and what it predicts beyond them.

    Under each panel stands which law was found, or why none can be fitted.

    Args:
        fit: content of scaling_fit.json; see `law.fit_study`.
        path: PNG file to write.
    """
    metrics = fit["metrics"]
    styles = method_styles(method for fits in metrics.values() for method in fits)
    columns = min(max(1, len(metrics)), 3 if len(metrics) > 4 or len(metrics) == 3 else 2)
    rows = -(-max(1, len(metrics)) // columns)
    with new_figure(path, (max(7.0, 5.6 * columns), 1.0 + 5.0 * rows)) as figure:
        figure.suptitle(word("scaling_title"))
        panels = figure.subplots(rows, columns, squeeze=False).flatten()
        for axis in panels[max(1, len(metrics)) :]:
            axis.set_axis_off()
        if not styles:
            panels[0].set(xticks=[], yticks=[])
            note(panels[0], word("nothing"))
            return
        lines = [
            _scaling_panel(axis, metric, fits, styles)
            for axis, (metric, fits) in zip(panels, metrics.items(), strict=False)
        ]
        legend_below(figure, _handles(metrics, styles, any(lines)), columns=3 if columns == 1 else 6)
        if len(styles) <= MOST:
            label_ends(
                figure, [(axis, _ends(fits, styles)) for axis, fits in zip(panels, metrics.values(), strict=False)]
            )


def _scaling_panel(axis: Axes, metric: str, fits: Mapping[str, Any], styles: Mapping[str, Style]) -> bool:
    """Draw one metric, and return whether the base model is a line in it."""
    axis.set(title=metric_title(metric), ylabel=metric_unit(metric), xlabel=word("rows"))
    points = {method: _table(one["points"]) for method, one in fits.items()}
    curves = {method: _table(one["predictions"]) for method, one in fits.items()}
    base = next((table[table["size"] == 0] for table in points.values() if (table["size"] == 0).any()), None)
    tuned = {method: table[table["size"] > 0] for method, table in points.items()}
    if all(table.empty for table in tuned.values()):
        axis.set(xticks=[], yticks=[])
        note(axis, word("not_measured"))
        return False
    shift = 0.025 * np.log(10) * (len(styles) > 1)
    for place, (method, style) in zip(np.linspace(-shift, shift, len(styles)), styles.items(), strict=True):
        if method in fits:
            _curve(axis, curves[method], tuned[method]["size"].max(), style)
            _points(axis, tuned[method], style, np.exp(place))
    _fit_limits(axis, [*tuned.values(), *curves.values()])
    _log_ticks(axis)
    _caption(axis, fits, styles)
    return base is not None and base_line(axis, metric, base.iloc[0])


def _table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame(list(rows), columns=["size", "value", "lo", "hi"]).astype("float64")
    return table[table["value"].notna()]


def _points(axis: Axes, points: pd.DataFrame, style: Style, shift: float) -> None:
    x = points["size"] * shift
    axis.vlines(x, points["lo"], points["hi"], color=style.colour, lw=1.6, zorder=4)
    axis.plot(x, points["value"], style.marker, color=style.colour, markersize=7, zorder=5)


def _curve(axis: Axes, curve: pd.DataFrame, largest: float, style: Style) -> None:
    """Draw a law with its band, dashed beyond the largest size that was measured."""
    if curve.empty:
        return
    axis.fill_between(curve["size"], curve["lo"], curve["hi"], color=style.colour, alpha=BAND, lw=0, zorder=2)
    for part, line in ((curve["size"] <= largest, "-"), (curve["size"] >= largest, "--")):
        axis.plot(curve["size"][part], curve["value"][part], line, color=style.colour, lw=1.7, zorder=3)


def _ends(fits: Mapping[str, Any], styles: Mapping[str, Style]) -> list[End]:
    """Return where the laws end that were fitted; points alone are told by their marks."""
    curves = {method: _table(one["predictions"]) for method, one in fits.items()}
    return [
        End(styles[method].title, curve["size"].iloc[-1], curve["value"].iloc[-1], styles[method].colour)
        for method, curve in curves.items()
        if not curve.empty
    ]


def _fit_limits(axis: Axes, tables: Sequence[pd.DataFrame]) -> None:
    """Fit the height to points and curves; a band that is much wider runs out of the panel and does not flatten it."""
    every = pd.concat(tables)
    low, high = every["value"].min(), every["value"].max()
    points = pd.concat([every["lo"], every["hi"]])
    room = (high - low) or abs(high) * 0.02 or 1.0
    low, high = (
        min(low, max(points.min(), low - 0.6 * room)) if points.notna().any() else low,
        max(high, min(points.max(), high + 0.6 * room)) if points.notna().any() else high,
    )
    margin = 0.06 * ((high - low) or room)
    axis.set_ylim(low - margin, high + margin)
    axis.set_xscale("log")
    axis.set_xlim(every["size"].min() / 1.35, every["size"].max() * 1.35)


def base_line(axis: Axes, metric: str, base: pd.Series) -> bool:
    """Draw the base model: a dashed line, its interval a band; where it lies far off, only an arrow and its value.

    Args:
        axis: panel of which the other marks have been drawn.
        metric: what the panel shows.
        base: value, lo and hi.

    Returns whether it is a line.
    """
    digits = 2 if metric == "nll" else 1
    low, high = axis.get_ylim()
    value, room = base["value"], high - low
    if low - room <= value <= high + room:
        axis.axhline(value, color=GREY, linestyle="--", lw=1.4, zorder=2)
        if np.isfinite(base["lo"]) and np.isfinite(base["hi"]):
            axis.axhspan(base["lo"], base["hi"], color=GREY, alpha=0.12, lw=0, zorder=1)
        axis.set_ylim(min(low, value - 0.06 * room), max(high, value + 0.06 * room))
        return True
    above = value > high
    axis.set_ylim(low - 0.12 * room * (not above), high + 0.12 * room * above)
    axis.text(
        0.985,
        0.97 if above else 0.03,
        word("base_far", value=f"{value:,.{digits}f}", arrow="↑" if above else "↓"),
        transform=axis.transAxes,
        ha="right",
        va="top" if above else "bottom",
        color=GREY,
        fontsize=9.5,
    )
    return False


def _log_ticks(axis: Axes) -> None:
    """Put ticks at round sizes, so many that their labels do not run into each other."""
    low, high = axis.get_xlim()
    decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = [step * decade for decade in decades for step in steps if low <= step * decade <= high]
        if len(ticks) <= 8:
            break
    axis.set_xticks(ticks, labels=[_size(tick) for tick in ticks])
    axis.minorticks_off()


def _size(rows: float) -> str:
    """Return a round number of rows in short.

    >>> _size(200), _size(20_000), _size(1_000_000)
    ('200', '20k', '1M')
    """
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if rows >= unit:
            return f"{rows / unit:g}{name}"
    return f"{rows:g}"


def _caption(axis: Axes, fits: Mapping[str, Any], styles: Mapping[str, Style]) -> None:
    """Write under a panel which law was found for each method, or why none; once where all have the same reason."""
    reasons = {sentence(one["sentence"]) for one in fits.values()}
    if all(one["law"] is None for one in fits.values()) and len(reasons) == 1:
        lines = [reasons.pop()]
    else:
        lines = [word("colon", head=styles[method].title, text=_found(one)) for method, one in fits.items()]
    text = "\n".join(part for line in lines for whole in line.split("\n") for part in _wrapped(whole))
    axis.annotate(
        text, (0.5, 0), (0, -44), xycoords="axes fraction", textcoords="offset points", ha="center", va="top",
        fontsize=9, color=GREY, parse_math=False,
    )  # fmt: skip


def _wrapped(text: str) -> list[str]:
    """Return the lines of a text that is `WRAP` letters wide at most.

    >>> _wrapped("数" * 40) == ["数" * 38, "数" * 2]
    True
    """
    letters = sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
    return textwrap.wrap(text, WRAP * len(text) // letters) if text else []


def _found(one: Mapping[str, Any]) -> str:
    if one["law"] is None:
        return sentence(one["sentence"])
    law = one["laws"][one["law"]]
    beta, asymptote = (law["parameters"][name] for name in ("beta", "E"))
    name = word(one["law"])
    name = word("through_base", law=name) if law["base_included"] else name
    # The asymptote of the loss; for an overlap metric 100 less that is what no amount of data exceeds.
    return f"{name}\nβ = {_with_interval(beta)}, E = {_with_interval(asymptote)}"


def _with_interval(parameter: Mapping[str, Any]) -> str:
    low, high = parameter["ci95"]
    ends = "" if low is None or high is None else f" [{low:.3g}, {high:.3g}]"
    return f"{parameter['value']:.3g}{ends}"


def _handles(metrics: Mapping[str, Any], styles: Mapping[str, Style], base_line: bool) -> list:
    every = [one for fits in metrics.values() for one in fits.values()]
    handles: list = [
        Line2D([], [], color=style.colour, marker=style.marker, markersize=7, lw=0, label=style.title)
        for style in styles.values()
    ]
    handles.append(Line2D([], [], color=GREY, marker="|", markersize=12, lw=0, label=word("interval")))
    if any(one["law"] for one in every):
        band = Patch(facecolor=GREY, alpha=BAND, lw=0)
        handles.append((Line2D([], [], color=GREY, lw=1.7, label=word("fitted")), band))
        handles.append((Line2D([], [], color=GREY, lw=1.7, ls="--", label=word("extrapolated")), band))
    if base_line:
        handles.append(Line2D([], [], color=GREY, linestyle="--", lw=1.4, label=word("base")))
    return handles
