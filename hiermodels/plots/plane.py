"""Two coefficients of each group in their plane, and the population that they come from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..container import inference_data
from ..errors import ContainerError, OptionError, count_of, listed, suggest
from . import choice, effects, rows, style, writing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..container.inference_data import Container

Array = NDArray[np.float64]

_WHAT = "a picture of slopes and intercepts"
_MOST_ARROWS = 80
_NAMED = 6
_CONTOURS = ((0.5, "-"), (0.9, "--"))


def slopes_and_intercepts(
    idata: Container,
    x: str | None = None,
    y: str | None = None,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Draw two coefficients of each group: its own estimate, and an arrow to its posterior mean.

    Hollow diamonds are least-squares estimates on the group's own rows (given the posterior mean of
    the common coefficients, where there are any), filled circles posterior means; the cross is the
    population mean, and the ellipses hold 50 % and 90 % of the population
    N(mu, diag(tau) Omega diag(tau)), at the posterior means of mu, tau and the correlation. Up to
    25 groups have their labels, of more those with the longest arrows (in population sds); of more
    than 80 groups, 80 have arrows.

    Parameters
    ----------
    idata : InferenceData or DataTree
        A fit of ``VaryingSlopes`` under partial pooling with two varying coefficients or more.
    x, y : str, optional
        The coefficients; by default the first two.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    ContainerError
        If the container lacks a population of coefficients, or the rows.
    OptionError
        If there is no such coefficient, or there is one only.
    """
    mu, Sigma, names = _population(idata)
    x, y = _two(names, x, y)
    at = [names.index(x), names.index(y)]
    mu, Sigma = mu[at], Sigma[np.ix_(at, at)]
    across, up = (effects.read(idata, name, what=_WHAT) for name in (x, y))
    pooled = np.column_stack([across.mean, up.mean])
    own = rows.by_group(rows.read(idata, _WHAT), rows.common(idata))[:, at]
    has = np.asarray(np.isfinite(own).all(axis=1))
    if ax is None:
        ax = style.new_axes(height=6.0)

    # How far each is moved, in sds of the population: coefficients have different units.
    moved = np.where(has, np.linalg.norm((own - pooled) / np.sqrt(np.diag(Sigma)), axis=1), -1.0)
    farthest = np.argsort(-moved, kind="stable")
    drawn = choice.evenly(farthest[: int(has.sum())], _MOST_ARROWS)
    ellipses = [_ellipse(mu, Sigma, share) for share, _ in _CONTOURS]
    core = np.concatenate([pooled, *ellipses])
    limits = [style.window(core[:, k], own[drawn, k], reach=0.6) for k in (0, 1)]
    many = len(pooled) > style.ROOMY
    some = np.sort(drawn)
    _draw_groups(ax, own[some], pooled[some], pooled, many)
    for (share, dash), ellipse in zip(_CONTOURS, ellipses, strict=True):
        ax.plot(*ellipse.T, color=style.INK, linestyle=dash, linewidth=1, zorder=5,
                label=f"{share:.0%} of the population")  # fmt: skip
    ax.plot(*mu, marker="+", markersize=13, markeredgewidth=2.2, color=style.INK, zorder=6,
            linestyle="none", label="population mean (mu)")  # fmt: skip

    style.limit(ax, *limits)
    # Beside the groups' own estimates, which have more room than the pooled ones, or where their
    # arrows come in.
    beside = np.where(has[:, None], _inside(own, pooled, limits), pooled)
    named = drawn[:_NAMED] if many else farthest
    ax.set_xlabel(effects.quantity(idata, x))
    ax.set_ylabel(effects.quantity(idata, y))
    far = [style.outside(own[drawn, k], limit) for k, limit in enumerate(limits)]
    out = int((far[0] | far[1]).sum())
    without = int((~has).sum())
    writing.note(
        ax,
        f"labelled: the {len(named)} longest arrows" if many else "",
        f"{without} of them cannot give an estimate of their own" if without else "",
        f"{count_of(out, 'estimate')} outside the picture: arrows come from there" if out else "",
    )
    which = f", {len(drawn)} arrows evenly by length" if len(drawn) < has.sum() else ""
    style.headline(ax, f"{x} and {y} by {across.group} (J = {len(pooled)}{which})")
    style.despine(ax)
    writing.name_points(ax, beside[:, 0], beside[:, 1], across.labels, named)
    return ax


def _draw_groups(ax: Axes, own: Array, moved: Array, pooled: Array, many: bool) -> None:
    """Arrows from the groups' own estimates to their posterior means, and these of all groups."""
    way = moved - own
    ax.quiver(
        *own.T, *way.T, angles="xy", scale_units="xy", scale=1, units="inches",
        width=0.011 if many else 0.014, headwidth=5, headlength=6, headaxislength=5, minlength=0.5,
        color=style.GREY, zorder=2,
    )  # fmt: skip
    ax.scatter(
        own[:, 0], own[:, 1], marker="D", s=10.0 if many else 30.0, facecolor="white",
        edgecolor=style.VERMILION, linewidth=1.0, zorder=3, label="least squares on its own rows",
    )  # fmt: skip
    look: dict[str, Any] = {
        "marker": "o",
        "color": style.BLUE,
        "edgecolor": "white",
        "linewidth": 0.3,
    }
    size, few = (9.0 if many else 28.0), len(own) < len(pooled)
    # Those without an arrow stay in the background.
    ax.scatter(pooled[:, 0], pooled[:, 1], s=0.7 * size if few else size, alpha=0.45 if few else 1,
               zorder=1.5 if few else 4, label="posterior mean", **look)  # fmt: skip
    if few:
        ax.scatter(moved[:, 0], moved[:, 1], s=size, zorder=4, label="_with an arrow", **look)


def _inside(own: Array, pooled: Array, limits: Sequence[style.Limits]) -> Array:
    """Each group's own estimate, or where the way to it leaves the picture."""
    share = np.ones(len(own))
    for k, limit in enumerate(limits):
        if limit is None:
            continue
        way = own[:, k] - pooled[:, k]
        edge = np.where(way > 0, limit[1], limit[0])
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.fmin(share, np.where(way != 0, 0.97 * (edge - pooled[:, k]) / way, 1))
    return np.asarray(pooled + share[:, None] * (own - pooled))


def _population(idata: Container) -> tuple[Array, Array, list[str]]:
    """Mean and covariance of the population, at posterior means, and the coefficients' names."""
    posterior = inference_data.dataset(idata, "posterior")
    theta = effects.theta_of(idata, _WHAT)
    names = [str(c) for c in theta["coefficient"].to_numpy()] if "coefficient" in theta.dims else []
    if len(names) < 2:
        raise OptionError(
            f"{_WHAT} needs two coefficients that vary by group, got {len(names) or 'one effect'}; "
            "hm.plots.shrinkage draws one"
        )
    for name in ("mu", "tau", "Omega"):
        if name not in posterior:
            raise ContainerError(
                f"{_WHAT} needs {name!r} in the posterior, which has "
                f"{listed(map(str, posterior.data_vars))}; fit with pooling='partial'"
            )
    mu, tau, Omega = (
        posterior[name].mean(("chain", "draw")).to_numpy() for name in ("mu", "tau", "Omega")
    )
    return mu, tau[:, None] * Omega * tau, names


def _two(names: list[str], x: str | None, y: str | None) -> tuple[str, str]:
    for role, name in (("x", x), ("y", y)):
        if name is not None and name not in names:
            raise OptionError(
                f"{role}: there is no coefficient {name!r}; there are {listed(names)}"
                f"{suggest(str(name), names)}"
            )
    x = next(name for name in names if name != y) if x is None else x
    y = next(name for name in names if name != x) if y is None else y
    if x == y:
        raise OptionError(f"x and y must be two coefficients of {listed(names)}, got {x!r} twice")
    return x, y


def _ellipse(mu: Array, Sigma: Array, share: float) -> Array:
    """Points of the contour that holds a share of N(mu, Sigma) in the plane, shape (n, 2).

    (v - mu)' Sigma^-1 (v - mu) is chi-square with 2 df there: its quantile is -2 log(1 - share).
    """
    value, vector = np.linalg.eigh(Sigma)
    root = vector * np.sqrt(np.maximum(value, 0))
    t = np.linspace(0, 2 * np.pi, 181)
    circle = math.sqrt(-2 * math.log(1 - share)) * np.column_stack([np.cos(t), np.sin(t)])
    return np.asarray(mu + circle @ root.T)
