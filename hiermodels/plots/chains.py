"""Chains of draws: traces with densities, and pairs of scalars with divergences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import OptionError, count_of
from . import densities, effects, scalars, style, writing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..container.inference_data import Container

Array = NDArray[np.float64]

_MOST_ROWS = 12
_MOST_PAIRS = 8
_MOST_POINTS = 2000
_SHADES = (style.BLUE, style.AMBER, style.INK, style.SKY, style.VERMILION, style.GREEN)


def trace(
    idata: Container,
    var_names: str | Sequence[str] | None = None,
    *,
    axes: Any = None,
) -> NDArray[Any]:
    """Draw the density and the trace of each scalar, chain by chain.

    Chains have dashes of their own in the densities, and stand side by side in the traces, in their
    order, so that they are told apart without colours; a chain that is at another level shows
    there. Divergent draws are marked beneath both.

    Parameters
    ----------
    idata : InferenceData or DataTree
    var_names : str or sequence of str, optional
        Variables, single scalars (``"theta[A]"``) and logarithms (``"log_tau"``). By default mu,
        tau and sigma, those that are there. Of more than 12 scalars, 12 are shown, evenly spaced.
    axes : array of Axes with 2 for each scalar, or Figure, optional
        Where to draw; by default a new figure.

    Returns
    -------
    array of Axes, shape (scalars, 2)
        Densities and traces.

    Raises
    ------
    ContainerError
        The container has no draws.
    OptionError
        There is no such variable or scalar.
    """
    found = scalars.select(idata, var_names)
    total, kept = len(found), scalars.thinned(list(found), _MOST_ROWS)
    diverging = scalars.divergences(idata)
    y = effects.response(idata)
    made = style.panels(2 * len(kept), columns=2, axes=axes, size=(4.2, 1.5))
    grid = made.axes.reshape(-1, 2)
    for (left, right), label in zip(grid, kept, strict=True):
        _densities(left, found[label], scalars.bounded_as(label), diverging)
        _side_by_side(right, found[label], diverging)
        for ax in (left, right):
            style.despine(ax)
        left.set_xlabel(scalars.unit(label, y))
        left.set_yticks([])
        left.set_ylabel("density")
        right.set_ylabel(writing.short(label, 18))
    grid[-1, 1].set_xlabel("draw, chain after chain")
    chains, draws = found[kept[0]].shape
    some = f"; {len(kept)} of {total} scalars, evenly spaced" if len(kept) < total else ""
    known = scalars.counted(idata, diverging)
    title = f"{count_of(chains, 'chain')} of {draws} draws, {known}{some}"
    if made.own:
        made.figure.suptitle(title, x=0.01, ha="left")
    else:
        grid[0, 0].set_title(title, loc="left")
    if chains > 1:
        style.legend(grid[0, 0], fontsize="x-small", handlelength=3)
    return grid


def _densities(ax: Axes, draws: Array, variable: str, diverging: NDArray[np.bool_] | None) -> None:
    for chain, own in enumerate(draws):
        found = densities.of_draws(own, variable)
        look: dict[str, Any] = {
            "color": _SHADES[chain % len(_SHADES)],
            "linestyle": style.DASHES[chain % len(style.DASHES)],
            "label": f"chain {chain}",
        }
        if found is None:
            ax.axvline(own[0], **look)
        else:
            ax.plot(*found, linewidth=1.2, **look)
    ax.set_ylim(bottom=0)
    if diverging is not None and diverging.any():
        at = draws[diverging]
        _ticks(ax, at, np.zeros(at.size))


def _side_by_side(ax: Axes, draws: Array, diverging: NDArray[np.bool_] | None) -> None:
    chains, length = draws.shape
    for chain, own in enumerate(draws):
        x = chain * length + np.arange(length)
        ax.plot(x, own, color=_SHADES[chain % len(_SHADES)], linewidth=0.4, label=f"chain {chain}")
        if chain:
            ax.axvline(chain * length - 0.5, color=style.INK, linewidth=0.8)
    ax.set_xlim(-0.5, chains * length - 0.5)
    middles = (np.arange(chains) + 0.5) * length
    ax.set_xticks(middles, [f"chain {chain}" for chain in range(chains)])
    ax.tick_params(axis="x", length=0, labelsize="small")
    if diverging is not None and diverging.any():
        low, high = float(draws.min()), float(draws.max())
        ax.set_ylim(low - 0.12 * (high - low), high + 0.05 * (high - low))
        at = np.flatnonzero(diverging.ravel())
        _ticks(ax, at, np.full(at.size, low - 0.06 * (high - low)))


def _ticks(ax: Axes, x: NDArray[Any], y: Array) -> None:
    ax.plot(x, y, linestyle="none", marker="|", markersize=9, markeredgewidth=1.1,
            color=style.VERMILION, clip_on=False, zorder=4, label="divergence")  # fmt: skip


def pairs(
    idata: Container,
    var_names: str | Sequence[str] | None = None,
    *,
    axes: Any = None,
) -> NDArray[Any]:
    """Draw scalars against each other, divergent draws on top in another shape.

    On the diagonal are the scalars' densities; the corner above it stays empty. Where divergent
    draws gather, as at the lower end of ``log_tau``, the sampler did not get in: the funnel.

    Parameters
    ----------
    idata : InferenceData or DataTree
    var_names : str or sequence of str, optional
        Variables, single scalars (``"theta[A]"``) and logarithms (``"log_tau"``), up to 8 scalars
        in all. By default mu and log tau.
    axes : array of Axes, or Figure, optional
        Where to draw, n x n for n scalars; by default a new figure.

    Returns
    -------
    array of Axes, shape (n, n)
        Those above the diagonal are switched off.

    Raises
    ------
    ContainerError
        The container has no draws.
    OptionError
        There is no such variable or scalar, or there are too few or too many.
    """
    found = scalars.select(idata, var_names, default=("mu", "log_tau"))
    labels, n = list(found), len(found)
    if not 2 <= n <= _MOST_PAIRS:
        raise OptionError(
            f"a picture of pairs needs 2 to {_MOST_PAIRS} scalars, got {n} "
            f"({', '.join(labels[:4])}{', ...' if n > 4 else ''}); name some of them, as in "
            "var_names=['mu', 'log_tau', 'theta[A]']"
        )
    diverging = scalars.divergences(idata)
    bad = np.zeros(found[labels[0]].size, dtype=bool) if diverging is None else diverging.ravel()
    draws = {label: values.ravel() for label, values in found.items()}
    good = np.flatnonzero(~bad)
    step = max(1, -(-good.size // _MOST_POINTS))
    kept = good[::step]
    each = 3.0 if n == 2 else 2.0
    made = style.panels(n * n, columns=n, axes=axes, size=(each, each))
    grid = made.axes.reshape(n, n)
    y = effects.response(idata)
    for i in range(n):
        for k in range(n):
            ax = grid[i, k]
            if k > i:
                ax.set_axis_off()
                continue
            if i == k:
                _density(ax, draws[labels[i]], scalars.bounded_as(labels[i]))
            else:
                _scatter(ax, draws[labels[k]], draws[labels[i]], kept, bad)
                ax.set_ylim(_range(draws[labels[i]]))
                style.despine(ax)
            ax.set_xlim(_range(draws[labels[k]]))
            if i == n - 1:
                ax.set_xlabel(scalars.unit(labels[k], y))
            if k == 0 and i:
                ax.set_ylabel(scalars.unit(labels[i], y))
            if made.own:  # rows and columns have their limits in common
                ax.tick_params(labelbottom=i == n - 1, labelleft=k == 0)
    some = f"{kept.size} of {good.size} draws shown" if step > 1 else f"{good.size} draws"
    title = f"{some}, {scalars.counted(idata, diverging)}" + (" (x)" if bad.any() else "")
    if made.own:
        made.figure.suptitle(title, x=0.01, ha="left")
    else:
        grid[0, 0].set_title(title, loc="left")
    return grid


def _range(draws: Array) -> tuple[float, float]:
    low, high = float(draws.min()), float(draws.max())
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def _scatter(
    ax: Axes, across: Array, up: Array, kept: NDArray[np.intp], bad: NDArray[np.bool_]
) -> None:
    ax.plot(across[kept], up[kept], linestyle="none", marker=".", markersize=2.5,
            color=style.BLUE, alpha=0.35, markeredgewidth=0, label="draw")  # fmt: skip
    if bad.any():
        ax.plot(across[bad], up[bad], linestyle="none", marker="x", markersize=6,
                color=style.VERMILION, markeredgewidth=1.4, zorder=4,
                label="divergent draw")  # fmt: skip


def _density(ax: Axes, draws: Array, variable: str) -> None:
    found = densities.of_draws(draws, variable)
    if found is None:
        ax.axvline(draws[0], color=style.BLUE)
    else:
        ax.fill_between(*found, color=style.BLUE, alpha=0.35, linewidth=0)
        ax.plot(*found, color=style.BLUE, linewidth=1)
        ax.set_ylim(bottom=0)
    ax.set_yticks([])
    style.despine(ax, "left")
