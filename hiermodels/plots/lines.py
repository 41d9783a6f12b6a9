"""Regression lines of groups: small multiples under three strategies, and all lines at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import OptionError, listed, suggest
from . import choice, effects, regressions, style, writing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..container.inference_data import Container

Array = NDArray[np.float64]

_KINDS = ("multiples", "spaghetti")
_MOST_PANELS = 12
_NAMED = 3
_POINTS = 41


def group_lines(
    fits: Mapping[str, Container] | Container | Any,
    groups: choice.Groups = None,
    predictor: str | None = None,
    *,
    kind: Literal["multiples", "spaghetti"] | str = "multiples",
    axes: Any = None,
    ax: Axes | None = None,
) -> NDArray[Any] | Axes:
    """Draw the groups' rows and their lines without, with partial and with complete pooling.

    ``kind="multiples"``: a panel for each of a few groups: its rows, its line without pooling
    (dashed), with partial pooling (solid, with the central 90 % interval of the line as a band) and
    with complete pooling (dash-dotted). ``kind="spaghetti"``: the lines of all groups under partial
    pooling, and that of the population.

    Lines run along one predictor; the others are at their means over all rows, and the picture says
    so.

    Parameters
    ----------
    fits : dict of str to InferenceData or DataTree, PoolingComparison, or a single fit
        ``{"none": ..., "partial": ..., "complete": ...}`` of ``VaryingSlopes``. Of a fit under
        partial pooling alone, the lines of the other two strategies are least squares on the rows
        (without pooling, given the common coefficients of partial pooling).
    groups : sequence of labels, or int, optional
        Which groups, or how many at most. By default up to 12 for multiples (the smallest and the
        largest, those with the lowest and the highest slope, the rest evenly by slope), and all for
        spaghetti.
    predictor : str, optional
        Along which; by default the first that varies.
    kind : {"multiples", "spaghetti"}
        Which picture.
    axes : array of Axes, or Figure, optional
        Where to draw multiples; by default a new figure.
    ax : Axes, optional
        Where to draw spaghetti; by default a new figure.

    Returns
    -------
    array of Axes, shape (panels,), or Axes
        The first of multiples, the second of spaghetti.

    Raises
    ------
    ContainerError
        If there is no fit under partial pooling, or it lacks rows or draws.
    OptionError
        If there is no such kind, group or predictor.
    """
    if kind not in _KINDS:
        raise OptionError(
            f"kind must be one of {listed(_KINDS)}, got {kind!r}{suggest(str(kind), _KINDS)}"
        )
    if (ax if kind == "multiples" else axes) is not None:
        wrong, right = ("ax", "axes") if kind == "multiples" else ("axes", "ax")
        raise OptionError(f"kind={kind!r} takes {right}=, got {wrong}=; pass it as {right}=")
    found = regressions.read(fits, predictor)
    if kind == "spaghetti":
        return _spaghetti(found, groups, ax)
    return _multiples(found, groups, axes)


# ---- small multiples ----------------------------------------------------------------------------


def _multiples(found: regressions.Lines, groups: choice.Groups, axes: Any) -> NDArray[Any]:
    picked = _picked(found, groups)
    effects.theta_of(found.fit, "the band of a line", draws=True)  # before there is a figure
    J, n = len(found.labels), len(picked.places)
    made = style.panels(n, columns=4, axes=axes, size=(2.4, 2.0), share=(True, True))
    v = np.linspace(found.x.min(), found.x.max(), _POINTS)
    columns = found.columns(v)
    # By the rows, or a line of two rows' own would make all else flat.
    margin = 0.05 * float(np.ptp(found.rows.y))
    for ax, place in zip(made.axes, picked.places, strict=True):
        j = int(place)
        _panel(ax, found, j, v, columns)
        reason = f", {picked.why[j]}" if j in picked.why else ""
        size = len(found.rows.of(j))
        label = writing.short(found.labels[j], 18)
        ax.set_title(f"{label} (n = {size}{reason})", loc="left", fontsize=8)
        ax.set_xlim(v[0], v[-1])
        ax.set_ylim(found.rows.y.min() - margin, found.rows.y.max() + margin)
        style.despine(ax)
    made.label(found.predictor, found.response)
    which = f"{n} of {J} groups ({found.group}): {picked.words}" if n < J else f"by {found.group}"
    lines = [f"{found.response} against {found.predictor}", which, found.held]
    made.entitle("\n".join(filter(None, lines)), words=_words(found), ncols=2)
    return made.axes


def _picked(found: regressions.Lines, groups: choice.Groups) -> choice.Varied:
    limit = choice.at_most(groups, _MOST_PANELS)
    if limit is None:
        return choice.Varied(choice.places(found.labels, groups, found.group), {}, "as asked")
    sizes = np.bincount(found.rows.index, minlength=found.rows.J)
    if found.varies:
        return choice.varied(sizes, found.slopes, "slope", limit)
    heights = found.partial @ found.rows.means
    return choice.varied(sizes, heights, "line", limit)


def _panel(ax: Axes, found: regressions.Lines, j: int, v: Array, columns: Array) -> None:
    own = found.rows.of(j)
    ax.plot(found.x[own], found.rows.y[own], linestyle="none", marker="o", markersize=3,
            markerfacecolor="none", markeredgecolor=style.GREY, zorder=1, label="row")  # fmt: skip
    low, high = found.band(j, v)
    partial = style.POOLING["partial"]
    ax.fill_between(v, low, high, color=partial.colour, alpha=0.25, linewidth=0, zorder=2,
                    label="band")  # fmt: skip
    for name, line in (
        ("complete", columns @ found.common),
        ("none", columns @ found.own[j]),
        ("partial", columns @ found.partial[j]),
    ):
        look = style.POOLING[name]
        ax.plot(v, line, color=look.colour, linestyle=look.dash, zorder=3, label=name,
                linewidth=1.8 if name == "partial" else 1.3)  # fmt: skip
    if np.isnan(found.own[j]).any():
        ax.annotate("no line of its own", (0.04, 0.04), xycoords="axes fraction", fontsize=7,
                    color=style.POOLING["none"].colour)  # fmt: skip


def _words(found: regressions.Lines) -> dict[str, str]:
    """What the legend calls each thing in a panel, in its order."""
    words = {"row": f"a row of the {found.group}"}
    for name in ("none", "partial", "complete"):
        how = "" if name == "partial" or name in found.fitted else " (least squares)"
        words[name] = f"{style.POOLING[name].words}{how}"
        if name == "partial":
            words["band"] = f"partial pooling, {effects.INTERVAL}"
    return words


# ---- all lines at once --------------------------------------------------------------------------


def _spaghetti(found: regressions.Lines, groups: choice.Groups, ax: Axes | None) -> Axes:
    from matplotlib.collections import LineCollection

    J = len(found.labels)
    order = np.argsort(found.slopes, kind="stable")
    order, which = choice.shown(order, found.labels, groups, most=J, noun=found.group)
    if ax is None:
        ax = style.new_axes(height=5.3)
    ends = np.array([found.x.min(), found.x.max()])
    heights = found.partial[order] @ found.columns(ends).T
    segments = np.stack([np.broadcast_to(ends, heights.shape), heights], axis=-1)
    look = style.POOLING["partial"]
    many = len(order) > style.ROOMY
    lines = LineCollection(
        list(segments),
        colors=look.colour,
        linewidths=0.7 if many else 1.1,
        alpha=max(0.12, 0.7 * min(1, 60 / len(order))),
        label=f"a {found.group}, partial pooling (posterior mean)",
    )
    ax.add_collection(lines)
    population = found.columns(ends) @ found.population
    ax.plot(ends, population, color=style.INK, linewidth=2.6, label="population (mu)")
    if "complete" in found.fitted:
        complete = style.POOLING["complete"]
        ax.plot(ends, found.columns(ends) @ found.common, color=complete.colour, linewidth=1.8,
                linestyle=complete.dash, label=complete.words)  # fmt: skip
    ax.set_xlim(ends[0], ends[1])
    ax.autoscale_view(scalex=False)
    by_end = np.argsort(heights[:, 1], kind="stable")
    named = by_end
    if many:
        named = np.concatenate([by_end[:_NAMED], by_end[-_NAMED:]])
    writing.name_ends(ax, ends[1], heights[:, 1], [found.labels[j] for j in order], named)
    ax.set_xlabel(found.predictor)
    ax.set_ylabel(found.response)
    writing.note(
        ax,
        found.held,
        f"labelled: the {_NAMED} highest and the {_NAMED} lowest at the right end" if many else "",
    )
    style.headline(ax, f"Lines by {found.group} (J = {J}){which}")
    style.despine(ax)
    return ax
