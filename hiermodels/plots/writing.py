"""Words on pictures: notes, and the labels of points and lines, kept apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .style import GREY, INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float64]

# In points: letters of labels in a picture, and where these stand, the likeliest places first.
_LETTER = 8.0
_BESIDE = (
    *((4, 4), (-4, 4), (4, -4), (-4, -4), (6, 0), (-6, 0), (0, 6), (0, -6)),
    *((8, 14), (-8, 14), (8, -14), (-8, -14), (0, 18), (0, -18)),
    *((16, 26), (-16, 26), (16, -26), (-16, -26), (34, 9), (-34, 9), (34, -9), (-34, -9)),
)
# From so far away on, a thin line leads to the point.
_FAR = 12.0
_UPRIGHT = ((0, 6), (0, -6), (0, 60), (0, -60))
_LEADER = {"arrowstyle": "-", "color": GREY, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 2}


def short(label: object, most: int = 24) -> str:
    """A label that is not too long to stand beside its row."""
    text = str(label)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def note(ax: Axes, *texts: str) -> None:
    """Remarks under the label of the x axis, each on its line; empty ones are left out."""
    kept = [text for text in texts if text]
    ax.set_xlabel("\n".join([*filter(None, [ax.get_xlabel()]), *kept]))


def name_points(
    ax: Axes,
    x: Array,
    y: Array,
    labels: Sequence[str],
    places: NDArray[Any],
    *,
    upright: bool = False,
) -> None:
    """Write the labels of some points beside them, each where it covers least.

    Parameters
    ----------
    ax : Axes
        With all else on it: a place is judged by where things are.
    x, y : array, shape (J,)
    labels : sequence of str, length J
    places : array of int
        The points to name, the most important first.
    upright : bool
        Whether labels stand over their points, for points that lie side by side.
    """
    figure = ax.figure.canvas.figure
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()  # lays the axes out
    point = figure.dpi / 72
    at = ax.transData.transform(np.column_stack([x, y])) / point
    (left, bottom), (right, top) = ax.bbox.get_points() / point
    taken: list[Array] = []
    dx: float
    dy: float
    for j in places:
        text = short(labels[j], 16)
        wide, high = 0.58 * _LETTER * len(text), 1.0 * _LETTER
        if upright:
            wide, high = high, wide
        best = (np.inf, (0.0, 0.0), np.zeros(4))
        for dx, dy in _UPRIGHT if upright else _BESIDE:
            x0 = at[j, 0] + dx - wide * (0.5 - np.sign(dx) / 2)
            y0 = at[j, 1] + dy - high * (0.5 - np.sign(dy) / 2)
            box = np.array([x0, y0, x0 + wide, y0 + high])
            beyond = box[0] < left or box[2] > right or box[1] < bottom or box[3] > top
            covered = np.all((at >= box[:2] - 2) & (at <= box[2:] + 2), axis=1).sum()
            touched = sum(bool(np.all(box[:2] < b[2:]) and np.all(b[:2] < box[2:])) for b in taken)
            cost = 100 * touched + 20 * beyond + covered
            if cost < best[0]:
                best = (cost, (dx, dy), box)
        _, (dx, dy), box = best
        taken.append(box)
        ax.annotate(
            text,
            (x[j], y[j]),
            xytext=(dx, dy),
            textcoords="offset points",
            ha=("right", "center", "left")[int(np.sign(dx)) + 1],
            va=("top", "center", "bottom")[int(np.sign(dy)) + 1],
            rotation=90 if upright else 0,
            fontsize=_LETTER,
            color=INK,
            zorder=6,
            annotation_clip=True,
            arrowprops=_LEADER if np.hypot(dx, dy) > _FAR else None,
        )


def name_ends(
    ax: Axes, at: float, heights: Array, labels: Sequence[str], places: NDArray[Any]
) -> None:
    """Write the labels of some lines at their right ends, kept apart.

    Parameters
    ----------
    ax : Axes
        With its limits set.
    at : float
        Where the lines end.
    heights : array, shape (J,)
        Of all lines, there.
    labels : sequence of str
        Of all lines.
    places : array of int
        The lines to name.
    """
    places = places[np.argsort(heights[places], kind="stable")]
    low, high = ax.get_ylim()
    gap = min(0.042, 1 / len(places)) * (high - low)
    for j, y in zip(places, apart(heights[places], gap), strict=True):
        ax.annotate(
            f" {short(labels[j], 16)}",
            (at, heights[j]),
            xytext=(at, y),
            textcoords="data",
            va="center",
            fontsize=_LETTER,
            color=INK,
            annotation_clip=False,
        )


def apart(heights: Array, gap: float) -> Array:
    """Places at least a gap apart, in the same order and about the same middle.

    Pool adjacent violators: blocks of labels that would touch are laid out around their mean.
    """
    blocks: list[tuple[float, int]] = []  # centre and number
    for y in heights:
        blocks.append((float(y), 1))
        while len(blocks) > 1:
            (a, n), (b, m) = blocks[-2], blocks[-1]
            if b - a >= gap * (n + m) / 2:
                break
            blocks[-2:] = [((a * n + b * m) / (n + m), n + m)]
    out = [centre + gap * (k - (n - 1) / 2) for centre, n in blocks for k in range(n)]
    return np.array(out, dtype=np.float64)
