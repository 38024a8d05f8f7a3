"""Plot of what the models know: accuracy of each exam and the likelihood of general texts, by training size."""

import os

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from medscale.base.study import size_label
from medscale.compare.knowledge import ALL, MEASURES, RETENTION, SUBJECT
from medscale.data.exams.subjects import chinese_name
from medscale.report.evaluations import BASE
from medscale.report.plots.style import GREY, Style, legend_below, method_styles, new_figure, shifts
from medscale.report.plots.words import DRAWN, word

MOST_PARTS = 4
"""Parts of an exam that have a panel each; of more, the report's table tells."""
PANEL, COLUMNS = (4.3, 3.3), 2
"""Inches. On a phone the report shows a panel at a time, of this many, and letters that can be read."""


def plot_knowledge(knowledge: pd.DataFrame, configurations: pd.DataFrame, path: str | os.PathLike) -> None:
    """Draw a panel an exam, its parts if they are few, and the general texts: a line a method, the base model dashed.

    Args:
        knowledge: knowledge.csv, see `compare.knowledge.knowledge_tables`.
        configurations: the columns name, method, size, kind, a row a configuration.
        path: PNG file to write.
    """
    table = knowledge.merge(configurations, on="name", how="left")
    panels = [(key, part) for key, part in table.groupby(["metric", "scope", "subject"], sort=False, dropna=False)]
    shown = [(key, part) for key, part in panels if _is_shown(knowledge, *key[:2])]
    styles = method_styles(table.loc[table["kind"] == "tuned", "method"])
    columns = min(COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    with new_figure(path, (PANEL[0] * COLUMNS, PANEL[1] * rows + 0.9)) as figure:
        figure.suptitle(word("knowledge_title"), x=0.02, ha="left")  # where a narrow screen begins
        axes = figure.subplots(rows, columns, squeeze=False).flatten()
        for axis, ((metric, scope, subject), part) in zip(axes, shown, strict=False):
            here = knowledge[(knowledge["metric"] == metric) & (knowledge["scope"] == scope)]
            part_names = {*here["subject"].dropna()}
            _panel(axis, part, styles)
            axis.set_title(_title(str(metric), str(scope), subject, part_names), parse_math=False)
        for axis in axes[len(shown) :]:
            axis.set_axis_off()
        legend_below(figure, _handles(styles, table))


def _is_shown(knowledge: pd.DataFrame, metric: str, scope: str) -> bool:
    here = knowledge[knowledge["metric"] == metric]
    parts = here.loc[here["scope"] == scope, "subject"].nunique()
    if scope == SUBJECT and set(here.loc[here["scope"] == MEASURES, "subject"]):
        return False  # its medicine and its rest have panels
    return parts <= MOST_PARTS


def _title(metric: str, scope: str, subject: str | None, parts: set[str]) -> str:
    if metric == RETENTION:
        return word("retention")
    if scope == ALL:
        return metric
    known = scope == MEASURES or parts == {"seen", "unseen"}  # the demo's, and else words of the exam's own
    return word("exam_part", exam=metric, part=word(f"part_{subject}") if known else _own_word(subject))


def _own_word(subject: str) -> str:
    return (DRAWN.get().language == "zh" and chinese_name(None, subject)) or subject


def _panel(axis: Axes, part: pd.DataFrame, styles: dict[str, Style]) -> None:
    """Draw one exam or part: each configuration with its interval, the base model as a line and band."""
    retention = part["metric"].iloc[0] == RETENTION
    axis.set(xlabel=word("rows"), ylabel=word("nats_a_token" if retention else "accuracy"))
    for value, low, high in part.loc[part["name"] == BASE, ["value", "lo", "hi"]].itertuples(index=False):
        axis.axhline(value, color=GREY, linestyle="--", lw=1.4, zorder=2)
        axis.axhspan(low, high, color=GREY, alpha=0.12, lw=0, zorder=1)
    if not retention:
        axis.axhline(part["chance"].iloc[0], color=GREY, linestyle=":", lw=1.4, zorder=2)
    tuned = part[part["kind"] == "tuned"].astype({"size": "int64"}).sort_values("size")
    sizes = sorted(tuned["size"].unique())
    for shift, (method, style) in zip(shifts(len(styles), 0.06), styles.items(), strict=True):
        runs = tuned[tuned["method"] == method]
        x = runs["size"] * np.exp(shift)
        axis.vlines(x, runs["lo"], runs["hi"], color=style.colour, lw=1.6, zorder=3)
        axis.plot(x, runs["value"], color=style.colour, marker=style.marker, markersize=6, lw=1.6, zorder=4)
    axis.set_xscale("log")
    axis.set_xlim(sizes[0] / 1.45, sizes[-1] * 1.45)
    axis.set_xticks(sizes, labels=[size_label(int(size)) for size in sizes])
    axis.minorticks_off()


def _handles(styles: dict[str, Style], table: pd.DataFrame) -> list:
    lines = [
        Line2D([], [], color=style.colour, marker=style.marker, markersize=6, lw=1.6, label=style.title)
        for style in styles.values()
    ]
    lines.append(Line2D([], [], color=GREY, linestyle="--", lw=1.4, label=word("base")))
    if (table["metric"] != RETENTION).any():
        lines.append(Line2D([], [], color=GREY, linestyle=":", lw=1.4, label=word("guessing")))
    return [*lines, Line2D([], [], color=GREY, marker="|", markersize=12, lw=0, label=word("interval"))]
