"""The same groups under no, partial and complete pooling, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import count_of
from . import choice, effects, style, writing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..container.inference_data import Container

Array = NDArray[np.float64]

_MOST_GROUPS = 40
# Of up to so many groups intervals may reach so many widths beyond those of the other strategies.
_FEW_GROUPS, _FEW_REACH = 12, 3.0
# How far apart the marks of one group are, as a share of its row.
_SPREAD = 0.5


def forest(
    fits: Mapping[str, Container] | Any,
    *,
    coefficient: str | None = None,
    groups: choice.Groups = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw each group's effect under each pooling strategy: estimate and central 90 % interval.

    Groups are ordered by their posterior mean under partial pooling, and their labels say how many
    rows they have. Intervals that reach so far out that the others could not be read are cut at the
    edge, and a note counts them.

    Parameters
    ----------
    fits : dict of str to InferenceData or DataTree, or PoolingComparison
        ``{"none": ..., "partial": ..., "complete": ...}``; other names are fits of other models of
        the same groups, and stand in the legend as they are. What has ``fits`` will do.
    coefficient : str, optional
        Which, where groups have several (``VaryingSlopes``).
    groups : sequence of labels, or int, optional
        Which groups, or how many at most. By default 40, evenly spaced by rank; the title says so
        where there are more.
    ax : Axes, optional
        Where to draw; by default a new figure, as tall as the groups need.

    Returns
    -------
    Axes

    Raises
    ------
    ContainerError
        If a fit lacks the effects, or has other groups than the first.
    OptionError
        If there is no such coefficient or group, or more fits than can be told apart.
    """
    what = "a forest"
    by_name = effects.fits_of(fits, what)
    read = {name: effects.read(fit, coefficient, what=what) for name, fit in by_name.items()}
    lead = "partial" if "partial" in read else next(iter(read))
    first = read[lead]
    places = {
        name: effects.aligned(name, found.labels, lead, first.labels)
        for name, found in read.items()
    }
    order = np.argsort(first.mean, kind="stable")
    order, which = choice.shown(order, first.labels, groups, most=_MOST_GROUPS, noun=first.group)
    looks = style.looks(read)
    if ax is None:
        ax = style.rows_axes(order.size, each=0.24, roomy=0.4)

    small = order.size > style.ROOMY
    rows = np.arange(order.size)
    for row in rows[1::2]:
        ax.axhspan(row - 0.5, row + 0.5, color=style.PALE, alpha=0.5, linewidth=0, zorder=0)
    offsets = np.linspace(_SPREAD / 2, -_SPREAD / 2, len(read)) if len(read) > 1 else np.zeros(1)
    core: list[Array] = []
    every: list[Array] = []
    for (name, look), offset in zip(looks.items(), offsets, strict=True):
        own = places[name][order]
        low, high = read[name].interval(own)
        mean = read[name].mean[own]
        # Without pooling a small group can be all over the place; the others say what to look at.
        (every if name == "none" and len(read) > 1 else core).extend([low, mean, high])
        at = rows + offset
        ax.hlines(at, low, high, color=look.colour, linestyle=look.dash,
                  linewidth=1.0 if small else 1.5, zorder=2)  # fmt: skip
        ax.plot(
            mean,
            at,
            linestyle="none",
            marker=look.marker,
            markersize=3.2 if small else 6,
            color=look.colour,
            markerfacecolor=look.colour if look.filled else "white",
            zorder=3,
            label=look.words,
        )

    # A few groups have room for all of it, unless one interval dwarfs the others.
    reach = _FEW_REACH if order.size <= _FEW_GROUPS else 1.0
    limits = style.window(np.concatenate(core), np.concatenate([*core, *every]), reach)
    style.limit(ax, limits)
    ax.set_yticks(rows, _labels(by_name[lead], first, order))
    ax.tick_params(axis="y", length=0, labelsize=7 if small else 10)
    ax.set_ylim(-0.6, order.size - 0.4)
    ax.set_ylabel(first.group)
    ax.set_xlabel(
        f"{effects.quantity(by_name[lead], first.coefficient)}\n"
        f"(mark: posterior mean; bar: {effects.INTERVAL})"
    )
    writing.note(ax, _cut(every, limits))
    style.headline(ax, f"Each {first.group}'s {first.name}{which}", columns=4)
    style.despine(ax, "left")
    return ax


def _labels(idata: Container, found: effects.Effects, order: NDArray[np.intp]) -> list[str]:
    sizes = effects.sizes(idata, found.group)
    labels = [writing.short(found.labels[j]) for j in order]
    if sizes is None:
        return labels
    return [f"{label} (n = {sizes[j]:.0f})" for label, j in zip(labels, order, strict=True)]


def _cut(every: list[Array], limits: style.Limits) -> str:
    """What is said of intervals without pooling that reach beyond the picture."""
    if limits is None:
        return ""
    cut = style.outside(every[0], limits) | style.outside(every[2], limits)
    gone = int(style.outside(every[1], limits).sum())
    marks = f", {count_of(gone, 'mark')} outside" if gone else ""
    return f"{count_of(int(cut.sum()), 'interval')} without pooling cut at the edge{marks}"
