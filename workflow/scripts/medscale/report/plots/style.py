"""The look that all plots share: one figure style, and one look a method."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple

from medscale.base.files import atomic_path
from medscale.report.evaluations import METHODS
from medscale.report.plots.fonts import LATIN, let_all_be_drawn, require_chinese
from medscale.report.plots.words import DRAWN, Drawn

METHOD_TITLES = {"lora": "LoRA", "qlora": "QLoRA"}
MARKERS = ("o", "s", "D", "^", "v", "P")
HATCHES = ("", "///", "...", "xxx", "\\\\\\", "++")
DPI = 150
GREY = "0.35"
# Seaborn's "colorblind" palette, and of its "whitegrid" style what can be seen here, for pictures of a single run: to
# import seaborn itself, with pandas and scipy, would take longer than to draw one. A test holds them equal.
COLOURS = [
    to_rgb(colour)
    for colour in (
        *("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc"),
        *("#ca9161", "#fbafe4", "#949494", "#ece133", "#56b4e9"),
    )
]
LOOK = {
    "font.family": [LATIN],
    "font.size": 12,
    "text.color": "0.15",
    "axes.axisbelow": True,
    "axes.edgecolor": "0.8",
    "axes.grid": True,
    "axes.labelcolor": "0.15",
    "axes.labelsize": 10.5,
    "axes.linewidth": 1.25,
    "axes.titlesize": 12,
    "grid.color": "0.8",
    "grid.linewidth": 1,
    "legend.fontsize": 11,
    "legend.title_fontsize": 12,
    "lines.solid_capstyle": "round",
    "patch.edgecolor": "w",
    "patch.force_edgecolor": True,
    "xtick.bottom": False,
    "xtick.color": "0.15",
    "xtick.labelsize": 10,
    "xtick.major.size": 6,  # not drawn, but labels stand so far away
    "xtick.minor.size": 4,
    "ytick.color": "0.15",
    "ytick.labelsize": 10,
    "ytick.major.size": 6,  # not drawn, but labels stand so far away
    "ytick.minor.size": 4,
    "ytick.left": False,
}

FILES = {
    "svg.fonttype": "path",  # looks the same where the font is not there
    "svg.hashsalt": "medscale",
    "pdf.fonttype": 42,  # text that can be searched and copied
}
UNDATED = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}, "pdf": {"CreationDate": None}}


class Style(NamedTuple):
    """How a method looks in every plot: told apart by colour, and without colour by marker or hatching."""

    title: str
    colour: Any
    marker: str
    hatch: str


@contextmanager
def new_figure(path: str | os.PathLike, size: tuple[float, float]) -> Iterator[Figure]:
    """Yield a figure in the project's style and write it as PNG, the same bytes for the same content.

    Neither the user's matplotlibrc nor the machine's screen plays a part, and its fonts do only where Chinese is to be
    written; else the font comes with matplotlib. Beside the PNG file come others, if `drawn` says so.

    Args:
        path: PNG file to write.
        size: width and height in inches, of `DPI` pixels each.
    """
    now = DRAWN.get()
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(LOOK | FILES)
        mpl.rcParams["font.family"] = [require_chinese(), LATIN] if now.language == "zh" else [LATIN]
        figure = Figure(figsize=size, dpi=DPI, layout="constrained", label=Path(path).name)
        figure.get_layout_engine().set(w_pad=0.1, h_pad=0.08)  # inches around each panel
        FigureCanvasAgg(figure)
        yield figure
        let_all_be_drawn(figure)
        for kind in ("png", *now.vector):
            with atomic_path(Path(path).with_suffix(f".{kind}")) as temporary:
                figure.savefig(temporary, format=kind, metadata=UNDATED[kind])


@contextmanager
def drawn(language: str = "en", vector: Iterable[str] = ()) -> Iterator[None]:
    """Let pictures that are drawn meanwhile be in a language (en, zh), with these formats (svg, pdf) beside PNG."""
    token = DRAWN.set(Drawn(language, tuple(vector)))
    try:
        yield
    finally:
        DRAWN.reset(token)


def method_styles(present: Iterable[str]) -> dict[str, Style]:
    """Return the look of each method that has runs; a method looks the same whichever others are there."""
    present = set(present)
    order = [*METHODS, *sorted(present - set(METHODS))]
    return {
        method: Style(
            METHOD_TITLES.get(method, method),
            COLOURS[n % len(COLOURS)],
            MARKERS[n % len(MARKERS)],
            HATCHES[n % len(HATCHES)],
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
