"""What all pictures share: colours, marks and dashes; axes and legends; areas and limits.

The colours are Okabe and Ito's, which the colour-blind can tell apart. In black and white, and
where there are more lines than colours, marks and dashes do it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import OptionError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.legend import Legend

Array = NDArray[np.float64]
Limits = tuple[float, float] | None
"""Of an axis; None where it finds its own."""

VERMILION, BLUE, GREEN, PINK, AMBER, SKY = (
    *("#D55E00", "#0072B2", "#009E73"),
    *("#CC79A7", "#E69F00", "#56B4E9"),
)
INK, GREY, PALE = "#333333", "#9A9A9A", "#E3E3E3"

LINES = (
    *(BLUE, VERMILION, GREEN, PINK, AMBER, SKY),
    *(INK, GREY, "#8C510A", "#762A83", "#1B7837", "#C51B7D"),
)
"""Colours of lines that have names; beyond these, lines are grey."""

DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 3)))

ROOMY = 25
"""Up to here rows are drawn with large marks and letters, and points have their labels."""


class Look(NamedTuple):
    """How one of several things is drawn, and its name in the legend."""

    words: str
    colour: str
    marker: str
    dash: Any
    filled: bool


POOLING = {
    "none": Look("no pooling", VERMILION, "D", "--", filled=False),
    "partial": Look("partial pooling", BLUE, "o", "-", filled=True),
    "complete": Look("complete pooling", GREEN, "s", "-.", filled=True),
}
_OTHERS = (
    Look("", PINK, "^", ":", filled=False),
    Look("", AMBER, "v", DASHES[4], filled=True),
    Look("", SKY, "P", DASHES[5], filled=True),
    Look("", INK, "X", "-", filled=False),
)


def looks(names: Iterable[str]) -> dict[str, Look]:
    """A look for each name: the strategies' own, and others in turn.

    Raises
    ------
    OptionError
        There are more names than can be told apart.
    """
    names = list(names)
    others = [name for name in names if name not in POOLING]
    if len(others) > len(_OTHERS):
        raise OptionError(
            f"at most {len(_OTHERS)} fits beside 'none', 'partial' and 'complete' can be told "
            f"apart in one picture, got {len(others)}; draw fewer"
        )
    more = {name: _OTHERS[k]._replace(words=name) for k, name in enumerate(others)}
    return {name: POOLING[name] if name in POOLING else more[name] for name in names}


# ---- axes ---------------------------------------------------------------------------------------


def new_axes(width: float = 7.2, height: float = 4.4) -> Axes:
    """Axes of a new figure, its size in inches."""
    # Through pyplot, so that a notebook displays it and plt.show() finds it.
    import matplotlib.pyplot as plt

    _, ax = plt.subplots(figsize=(width, height), layout="constrained")
    return ax


def rows_axes(rows: int, each: float = 0.165, roomy: float = 0.34) -> Axes:
    """Axes of a new figure that is as tall as its rows need, in inches a row."""
    return new_axes(height=1.9 + rows * (roomy if rows <= ROOMY else each))


class Panels(NamedTuple):
    """Several axes of a figure.

    Attributes
    ----------
    figure : Figure or SubFigure
    axes : array of Axes, shape (n,)
    columns : int
        Side by side in a grid of our own.
    own : bool
        Whether the whole figure is the picture's to write on.
    """

    figure: Figure | SubFigure
    axes: NDArray[Any]
    columns: int
    own: bool

    def label(self, x: str, y: str = "") -> None:
        """Name the x and the y axis, in a grid of our own along its lower and its left edge."""
        n = len(self.axes)
        for place, ax in enumerate(self.axes):
            if not self.own or place >= n - self.columns:
                ax.set_xlabel(x)
            if not self.own or place % self.columns == 0:
                ax.set_ylabel(y)

    def entitle(self, title: str, **options: Any) -> None:
        """Give the figure a title and a legend, or its first axes where the figure is not ours.

        The legend has what the first axes have, in the order and the words of ``words``.
        """
        words = options.pop("words")
        found = dict(zip(*self.axes[0].get_legend_handles_labels()[::-1], strict=True))
        handles = [found[name] for name in words]
        if self.own:
            self.figure.suptitle(title, x=0.01, ha="left", fontsize="medium")
            self.figure.legend(
                handles,
                list(words.values()),
                loc="outside lower center",
                frameon=False,
                fontsize="small",
                handlelength=3,
                **options,
            )
            return
        self.axes[0].legend(
            handles,
            list(words.values()),
            title=title,
            fontsize="x-small",
            title_fontsize="x-small",
            handlelength=3,
        )


def panels(
    n: int,
    *,
    columns: int,
    axes: Any = None,
    size: tuple[float, float] = (2.4, 2.1),
    share: tuple[bool, bool] = (False, False),
) -> Panels:
    """N axes: those given, or new ones in a given figure or in a new one.

    Parameters
    ----------
    n : int
        How many.
    columns : int
        Side by side, in a new grid.
    axes : axes, array of axes, Figure or SubFigure, optional
        The first ``n`` of the axes are used.
    size : tuple of float
        Inches of each panel of a new figure.
    share : tuple of bool
        Whether those of a new grid share their limits along x, and along y.

    Raises
    ------
    OptionError
        Fewer axes than are needed.
    """
    import matplotlib.pyplot as plt

    columns = min(n, columns)
    rows = -(-n // columns)
    if axes is not None and not hasattr(axes, "subplots"):
        given = np.asarray(axes, dtype=object).ravel()
        if len(given) < n:
            raise OptionError(
                f"axes must hold {n} for this picture, got {len(given)}; "
                f"plt.subplots({rows}, {columns}) makes them, or leave axes out"
            )
        return Panels(given[0].figure, given[:n], columns, own=False)
    figure = axes
    if figure is None:
        # Titles and legends take about an inch, whatever the rows.
        inches = (max(columns * size[0], 5.0), rows * size[1] + 1.0)
        figure = plt.figure(figsize=inches, layout="constrained")
    flat = figure.subplots(rows, columns, sharex=share[0], sharey=share[1], squeeze=False).ravel()
    for ax in flat[n:]:
        ax.remove()
    for ax in flat[max(n - columns, 0) : n]:
        ax.tick_params(axis="x", labelbottom=True)  # also above a place that stays empty
    return Panels(figure, flat[:n], columns, own=True)


def despine(ax: Axes, *sides: str) -> None:
    """Take away the frame's top and right side, and others that are named."""
    for side in ("top", "right", *sides):
        ax.spines[side].set_visible(False)


def headline(ax: Axes, title: str, columns: int = 3) -> None:
    """A title, and beneath it the legend, where nothing that is drawn can be hidden by it."""
    labels = ax.get_legend_handles_labels()[1]
    found = ax.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=columns,
        frameon=False,
        borderaxespad=0.2,
        borderpad=0.2,
        fontsize="small",
        handlelength=2.6,
        handletextpad=0.5,
        columnspacing=1.4,
    )
    _clear(found)
    # In points: a line of small letters takes 14.
    ax.set_title(title, loc="left", pad=8 + 14 * -(-len(labels) // columns))


def legend(ax: Axes, **options: Any) -> None:
    """A legend inside the axes."""
    _clear(ax.legend(frameon=False, **{"fontsize": "small", **options}))


def _clear(found: Legend) -> None:
    """Marks of a legend that can be seen: those that are many are drawn faint, one alone is not."""
    from matplotlib.colors import to_rgba
    from matplotlib.lines import Line2D

    for handle in found.legend_handles:
        if isinstance(handle, Line2D) and to_rgba(handle.get_color(), handle.get_alpha())[3] < 0.5:
            handle.set_alpha(0.8)


# ---- sizes and limits ---------------------------------------------------------------------------


def areas(sizes: Array | None, plain: float, places: Any = slice(None)) -> Array | float:
    """Areas of marks in square points: in proportion to the group sizes, or one for all.

    The largest has three times the plain area; marks below a tenth of that would not be seen.

    Parameters
    ----------
    sizes : array, shape (J,), or None
        Of all groups, so that the same group has the same area whichever are shown.
    plain : float
        The area where sizes do not differ.
    places : array of int
        Groups that are drawn.
    """
    if sizes is None or not sizes_vary(sizes):
        return plain
    own = np.maximum(3 * plain * sizes / sizes.max(), 0.3 * plain)
    return np.asarray(own[places])


def sizes_vary(sizes: Array | None) -> bool:
    """Whether there are group sizes, and not one for all."""
    return sizes is not None and bool(sizes.min() < sizes.max())


def by_size(sizes: Array | None) -> str:
    """What a legend says of marks whose area is by group size; nothing where they have one."""
    if sizes is None or not sizes_vary(sizes):
        return ""
    return f" (area: n = {sizes.min():.0f} to {sizes.max():.0f})"


def window(core: Array, everything: Array, reach: float = 1.0) -> Limits:
    """Limits of an axis where some values lie so far out that the others would be squeezed.

    Parameters
    ----------
    core : array
        Values that have to be seen; those that are not finite do not count.
    everything : array
        All that is drawn.
    reach : float
        How far limits may go beyond the core, in widths of it.

    Returns
    -------
    (float, float) or None
        None where everything fits. Else just around what lies within reach: room that would only
        lead to what lies outside is not left empty.
    """
    core, everything = core[np.isfinite(core)], everything[np.isfinite(everything)]
    if not core.size or not everything.size:
        return None
    low, high = float(core.min()), float(core.max())
    reach *= high - low
    if reach == 0 or (everything.min() >= low - reach and everything.max() <= high + reach):
        return None
    near = everything[(everything >= low - reach) & (everything <= high + reach)]
    low, high = min(low, float(near.min(initial=low))), max(high, float(near.max(initial=high)))
    margin = 0.03 * (high - low)
    return low - margin, high + margin


def limit(ax: Axes, x: Limits, y: Limits = None) -> None:
    """Set the windows of the axes, where there are any."""
    if x is not None:
        ax.set_xlim(*x)
    if y is not None:
        ax.set_ylim(*y)


def outside(values: Array, limits: Limits) -> NDArray[np.bool_]:
    """Which values a window leaves out."""
    if limits is None:
        return np.zeros(values.shape, dtype=bool)
    return np.asarray((values < limits[0]) | (values > limits[1]))
