"""Names written at the ends of lines, in place of a legend, so that they keep clear of each other."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from medscale.report.plots.fonts import let_all_be_drawn

MOST = 4
"""Lines of a panel that are named at their ends; of more, a legend tells."""
SIZE = 9.5
INK = 0.7
"""A line's colour is too light for letters: so much of its light is left."""
GAP = 1.16  # lines of a label, in its own height


class End(NamedTuple):
    """The name of a line, and where the line ends, in the panel's own units."""

    text: str
    x: float
    y: float
    colour: Any


def label_ends(figure: Figure, panels: Sequence[tuple[Axes, Sequence[End]]]) -> None:
    """Write the names of lines to the right of their panels, level with their ends or as near to that as there is room.

    A fine line leads to an end that its name does not stand beside. To be called when all else has been drawn.
    """
    written = [(axis, ends, [_write(axis, end) for end in ends]) for axis, ends in panels]
    let_all_be_drawn(figure)
    figure.draw_without_rendering()  # from here on places are known
    for axis, ends, labels in written:
        if not labels:
            continue
        renderer = figure.canvas.get_renderer()
        boxes = [Text.get_window_extent(label, renderer) for label in labels]  # without the fine line
        frame = axis.get_window_extent()
        wanted = [axis.transData.transform((end.x, end.y))[1] for end in ends]
        heights = [box.height * GAP for box in boxes]
        for label, end, place in zip(labels, ends, spread(wanted, heights, frame.y0, frame.y1), strict=True):
            label.set_y((place - frame.y0) / frame.height)
            label.xy = (end.x, min(max(end.y, min(axis.get_ylim())), max(axis.get_ylim())))


def _write(axis: Axes, end: End) -> Annotation:
    return axis.annotate(
        end.text,
        (end.x, end.y),
        (1.03, 0.5),
        textcoords="axes fraction",
        ha="left",
        va="center",
        color=[INK * part for part in to_rgb(end.colour)],
        fontsize=SIZE,
        annotation_clip=False,
        parse_math=False,
        arrowprops={"arrowstyle": "-", "color": end.colour, "lw": 0.6, "alpha": 0.7, "shrinkA": 1, "shrinkB": 3},
    )


def spread(wanted: Sequence[float], heights: Sequence[float], low: float, high: float) -> list[float]:
    """Return places as near to those wanted as labels of these heights allow without overlap, in the same order.

    Neighbours that would overlap are joined to a block around the mean of what they want; blocks stay between ``low``
    and ``high`` where there is room for all.

    >>> spread([10, 11, 30], [4, 4, 4], 0, 40)
    [8.5, 12.5, 30.0]
    """
    order = sorted(range(len(wanted)), key=lambda place: wanted[place])
    blocks: list[list[Any]] = []  # members, height of all, bottom
    for place in order:
        blocks.append([[place], heights[place], _within(wanted[place] - heights[place] / 2, heights[place], low, high)])
        while len(blocks) > 1 and blocks[-2][2] + blocks[-2][1] > blocks[-1][2]:
            members, height, _ = blocks.pop()
            blocks[-1][0] += members
            blocks[-1][1] += height
            blocks[-1][2] = _within(_bottom(blocks[-1][0], wanted, heights), blocks[-1][1], low, high)
    places = [0.0] * len(wanted)
    for members, _, bottom in blocks:
        for place in members:
            places[place] = float(bottom + heights[place] / 2)
            bottom += heights[place]
    return places


def _bottom(members: list[int], wanted: Sequence[float], heights: Sequence[float]) -> float:
    """Return the bottom of a block whose members are moved by as little as can be, in squares."""
    below = np.cumsum([0.0] + [heights[place] for place in members[:-1]])
    return float(
        np.mean([wanted[place] - heights[place] / 2 - under for place, under in zip(members, below, strict=True)])
    )


def _within(bottom: float, height: float, low: float, high: float) -> float:
    return max(low, min(bottom, high - height))
