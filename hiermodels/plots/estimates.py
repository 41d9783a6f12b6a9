"""Raw and pooled estimates: where partial pooling moves each group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import ContainerError, count_of
from . import choice, conditional, effects, style, writing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..container.inference_data import Container
    from ..engines.exact.posterior import ExactPosterior

Array = NDArray[np.float64]

_MOST_GROUPS = 60
# Points that have their labels where there are too many to name all.
_NAMED = 6
# Areas of marks in square points.
_LARGE, _SMALL = 36.0, 14.0
# Raw estimates stand a little above their row, or intervals would hide the way to the pooled.
_ABOVE = 0.28


def shrinkage(
    idata: Container,
    *,
    coefficient: str | None = None,
    groups: choice.Groups = None,
    ax: Axes | None = None,
    var: str | None = None,
) -> Axes:
    """Draw each group's raw estimate and where partial pooling moves it.

    A hollow diamond is the group's own estimate (the given one in ``EightSchools``, the mean of its
    rows in ``OneWay``, least squares on its rows in ``VaryingSlopes``, given the posterior mean of
    the common coefficients), its area in proportion to the group's size where sizes differ; a
    filled circle is the posterior mean of its effect with the central 90 % interval; the dashed
    line is the posterior mean of ``mu``. Groups are ordered by raw estimate. Raw estimates so far
    out that nothing else could be seen are left outside, and a note counts them.

    Parameters
    ----------
    idata : InferenceData or DataTree
        A fit under partial pooling: ``posterior`` with ``mu`` and ``theta`` (or the group
        ``effects_summary``), ``observed_data``, and ``constant_data`` with ``group_index``.
    coefficient : str, optional
        Which, where groups have several (``VaryingSlopes``).
    groups : sequence of labels, or int, optional
        Which groups, or how many at most. By default 60, evenly spaced by rank; the title says so
        where there are more.
    ax : Axes, optional
        Where to draw; by default a new figure, as tall as the groups need.
    var : str, optional
        The variable of ``observed_data`` that holds the raw values; needed only if there are more.

    Returns
    -------
    Axes

    Raises
    ------
    ContainerError
        If the container lacks a group or a variable that the picture needs.
    OptionError
        If a coefficient, a group or ``var`` is not there, or has to be named.
    """
    what = "a picture of shrinkage"
    found = effects.read(idata, coefficient, what=what)
    centre = effects.mean_of_mu(idata, found.coefficient, what)
    raw = effects.raw(idata, found, var, what)
    # Groups without an estimate of their own stand where the posterior puts them.
    order = np.argsort(np.where(np.isnan(raw), found.mean, raw), kind="stable")
    order, which = choice.shown(order, found.labels, groups, most=_MOST_GROUPS, noun=found.group)
    mean, (low, high), own = found.mean[order], found.interval(order), raw[order]
    sizes = effects.sizes(idata, found.group)
    if ax is None:
        ax = style.rows_axes(order.size)

    rows = np.arange(order.size)
    small = order.size > style.ROOMY
    mu = "mu" if found.coefficient is None else f"mu[{found.coefficient}]"
    ax.axvline(centre, color=style.INK, linestyle="--", linewidth=1, zorder=1,
               label=f"posterior mean of {mu}")  # fmt: skip
    ax.hlines(rows, low, high, color=style.BLUE, linewidth=1.0, alpha=0.55, zorder=2)
    ax.plot([own, mean], [rows + _ABOVE, rows], color=style.GREY, linewidth=1.1, zorder=2.5)
    ax.scatter(
        own,
        rows + _ABOVE,
        s=style.areas(sizes, _SMALL if small else _LARGE, order),
        marker="D",
        facecolor="white",
        edgecolor=style.VERMILION,
        linewidth=1.2,
        zorder=4,
        label=f"raw estimate{style.by_size(sizes)}",
    )
    ax.plot(mean, rows, linestyle="none", marker="o", markersize=4.0 if small else 6.5,
            color=style.BLUE, zorder=5, label="posterior mean")  # fmt: skip

    ax.set_yticks(rows, [writing.short(found.labels[j]) for j in order])
    # Labels of many rows have to be small to stay apart.
    ax.tick_params(axis="y", length=0, labelsize=7 if small else 10)
    ax.set_ylim(-0.6, order.size - 0.2)
    ax.set_ylabel(found.group)
    ax.set_xlabel(f"{effects.quantity(idata, found.coefficient, var)} (bar: {effects.INTERVAL})")
    limits = style.window(np.concatenate([low, high, [centre]]), own)
    style.limit(ax, limits)
    writing.note(ax, _without(own), _beyond(int(style.outside(own, limits).sum())))
    style.headline(ax, f"Shrinkage of each {found.group}'s {found.name}{which}")
    style.despine(ax, "left")
    return ax


def _without(own: Array) -> str:
    missing = int(np.isnan(own).sum())
    return f"{missing} of them cannot give an estimate of their own" if missing else ""


def _beyond(outside: int) -> str:
    if not outside:
        return ""
    return f"{count_of(outside, 'raw estimate')} outside the picture: lines lead there"


class _Against(NamedTuple):
    """What the picture of posterior means against raw estimates shows."""

    group: str
    labels: list[str]
    raw: Array
    mean: Array
    low: Array
    high: Array
    pooled: float
    pooled_words: str
    quantity: str
    sizes: Array | None


def raw_against_posterior(
    posterior: Container | ExactPosterior | Any,
    *,
    coefficient: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw each group's posterior mean against its own estimate.

    On the dotted line of 45 degrees nothing would be pooled (tau -> infinity); on the dashed one
    everything (tau -> 0). Bars are central 90 % posterior intervals; the area of a point goes by
    the group's size where sizes differ. Up to 25 groups all have their labels, of more those that
    are moved farthest.

    Parameters
    ----------
    posterior : InferenceData or DataTree, ExactPosterior, or a model that has one
        A fit under partial pooling; or ``hm.exact.posterior(model)``, or the model itself, whose
        picture has no Monte Carlo error, and complete pooling in place of the mean of mu.
    coefficient : str, optional
        Which, where groups have several (``VaryingSlopes``).
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ContainerError
        If the container lacks a group or a variable that the picture needs.
    OptionError
        If it is something else, or there is no such coefficient.
    """
    if effects.is_container(posterior):
        found = _of_container(posterior, coefficient)
    else:
        found = _of_exact(conditional.exact_posterior(posterior))
    if ax is None:
        ax = style.new_axes(height=5.3)
    raw, mean = found.raw, found.mean
    many = len(raw) > style.ROOMY
    bars = np.concatenate([found.low, found.high])
    limits = style.window(bars, raw)
    ends = np.array([np.nanmin(raw), np.nanmax(raw)]) if limits is None else np.array(limits)
    ax.plot(ends, ends, color=style.INK, linestyle=":", linewidth=1.2, label="no pooling")
    ax.axhline(found.pooled, color=style.INK, linestyle="--", linewidth=1, label=found.pooled_words)
    ax.vlines(raw, found.low, found.high, color=style.BLUE, linewidth=0.6 if many else 1,
              alpha=max(0.15, 0.45 * min(1, 60 / len(raw))), label=effects.INTERVAL)  # fmt: skip
    ax.scatter(
        raw,
        mean,
        s=style.areas(found.sizes, 10.0 if many else 25.0),
        color=style.BLUE,
        edgecolor="white",
        linewidth=0.4,
        zorder=3,
        label=f"posterior mean{style.by_size(found.sizes)}",
    )
    moved = np.where(style.outside(raw, limits), -1.0, np.abs(np.nan_to_num(raw - mean)))
    named = np.argsort(-moved, kind="stable")[: _NAMED if many else len(raw)]
    named = named[(moved[named] >= 0) & np.isfinite(raw[named])]
    # Along y the line of 45 degrees would leave no room for the points where raw ones are far out.
    style.limit(ax, limits, style.window(bars, ends, reach=0.25))
    ax.set_xlabel(f"the {found.group}'s own estimate: {found.quantity}")
    ax.set_ylabel(f"theta: {found.quantity}")
    writing.note(
        ax,
        f"labelled: the {len(named)} that are moved farthest" if many else "",
        _without(raw),
        _out_of_sight(int(style.outside(raw, limits).sum())),
    )
    ax.set_title(f"Partial pooling by {found.group} (J = {len(raw)})", loc="left")
    style.legend(ax)
    style.despine(ax)
    writing.name_points(ax, raw, mean, found.labels, named)
    return ax


def _out_of_sight(outside: int) -> str:
    return f"{count_of(outside, 'group')} outside the picture" if outside else ""


def _of_container(idata: Container, coefficient: str | None) -> _Against:
    what = "a picture of posterior means against raw estimates"
    found = effects.read(idata, coefficient, what=what)
    raw = effects.raw(idata, found, None, what)
    if np.isnan(raw).all():
        raise ContainerError(
            f"{what} needs groups that have one of their own, and none of the {len(raw)} has (too "
            "few rows, or columns that do not vary in them); hm.plots.shrinkage draws the others"
        )
    low, high = found.interval()
    mu = "mu" if found.coefficient is None else f"mu[{found.coefficient}]"
    return _Against(
        found.group,
        found.labels,
        raw,
        found.mean,
        low,
        high,
        effects.mean_of_mu(idata, found.coefficient, what),
        f"posterior mean of {mu}",
        effects.quantity(idata, found.coefficient),
        effects.sizes(idata, found.group),
    )


def _of_exact(posterior: ExactPosterior) -> _Against:
    d = posterior.model.design
    table = posterior.limits()
    low, high = (posterior.quantile("theta", q).to_numpy() for q in (0.05, 0.95))
    return _Against(
        d.group,
        [str(label) for label in d.labels],
        table["estimate"].to_numpy(),
        table["mean"].to_numpy(),
        low,
        high,
        float(table["complete_pooling"].iloc[0]),
        "complete pooling",
        d.response,
        None if d.estimates else d.sizes.astype(np.float64),
    )
