"""The look that all plots share: one figure style, and one look a method."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple

from medscale.base.files import atomic_path
from medscale.report.summary import METHODS

METHOD_TITLES = {"lora": "LoRA", "qlora": "QLoRA"}
MARKERS = ("o", "s", "D", "^", "v", "P")
HATCHES = ("", "///", "...", "xxx", "\\\\\\", "++")
DPI = 150
GREY = "0.35"


class Style(NamedTuple):
    """How a method looks in every plot: told apart by colour, and without colour by marker or hatching."""

    title: str
    colour: Any
    marker: str
    hatch: str


@contextmanager
def new_figure(path: str | os.PathLike, size: tuple[float, float]) -> Iterator[Figure]:
    """Yield a figure in the project's style and write it as PNG, the same bytes for the same content.

    Neither the user's matplotlibrc nor the machine's fonts and screen play a part: the font comes with matplotlib, and
    the figure is drawn by Agg.

    Args:
        path: PNG file to write.
        size: width and height in inches, of `DPI` pixels each.
    """
    with mpl.rc_context():
        mpl.rcdefaults()
        sns.set_theme(style="whitegrid", palette="colorblind", font="DejaVu Sans")
        mpl.rcParams.update({"axes.labelsize": 10.5, "xtick.labelsize": 10, "ytick.labelsize": 10})
        figure = Figure(figsize=size, dpi=DPI, layout="constrained")
        figure.get_layout_engine().set(w_pad=0.1, h_pad=0.08)  # inches around each panel
        FigureCanvasAgg(figure)
        yield figure
        with atomic_path(path) as temporary:
            figure.savefig(temporary, metadata={"Software": None})


def method_styles(present: Iterable[str]) -> dict[str, Style]:
    """Return the look of each method that has runs; a method looks the same whichever others are there."""
    present = set(present)
    order = [*METHODS, *sorted(present - set(METHODS))]
    colours = sns.color_palette("colorblind", len(order))
    return {
        method: Style(
            METHOD_TITLES.get(method, method), colours[n], MARKERS[n % len(MARKERS)], HATCHES[n % len(HATCHES)]
        )
        for n, method in enumerate(order)
        if method in present
    }


def shifts(count: int, step: float) -> np.ndarray:
    """Return ``count`` offsets around 0, ``step`` apart, so that marks of one place stand side by side."""
    return (np.arange(count) - (count - 1) / 2) * step


def note(axis: Axes, text: str) -> None:
    """Write into the middle of a panel why it is empty."""
    axis.text(0.5, 0.5, text, transform=axis.transAxes, ha="center", va="center", color=GREY)


def legend_below(figure: Figure, handles: list, columns: int = 6) -> None:
    """Put the legend under all panels; a tuple of handles is one entry, named after its first."""
    labels = [(handle[0] if isinstance(handle, tuple) else handle).get_label() for handle in handles]
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=min(len(handles), columns),
        frameon=False,
        handler_map={tuple: HandlerTuple(ndivide=None)},
        handlelength=2.6,
    )
