"""Pareto k: how far leave-one-out is to be trusted, unit by unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import OptionError
from . import style, writing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_LABELS = 30
_NAMED = 10


def pareto_k(loo: Any, *, ax: Axes | None = None) -> Axes:
    """Draw the Pareto k of each unit that is left out, and the limit above which it fails.

    Circles are units whose leave-one-out value can be relied on; crosses, with their labels, are
    those whose k is above the limit (Vehtari et al. 2024, Journal of Machine Learning Research
    25(72)). Of more than 10 of these the worst 10 have their labels.

    Parameters
    ----------
    loo : result of ``hm.loo``
        With ``table`` (a DataFrame with the column ``pareto_k``, by label), ``k_limit`` and
        ``unit``.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    OptionError
        It has no Pareto k.
    """
    table = getattr(loo, "table", None)
    if table is None or "pareto_k" not in getattr(table, "columns", ()):
        raise OptionError(
            f"a picture of Pareto k is of a result of hm.loo, got {type(loo).__name__} without "
            "table['pareto_k']; make one with hm.loo(idata)"
        )
    k = np.asarray(table["pareto_k"].to_numpy(), dtype=np.float64)
    known = np.isfinite(k)
    if not known.any():
        raise OptionError(
            "a picture of Pareto k needs one k or more that is a number, got none; exact values "
            "have none, and need no picture"
        )
    labels = [str(label) for label in table.index]
    limit, unit = float(loo.k_limit), str(loo.unit)
    if ax is None:
        ax = style.new_axes(width=8.0)
    x = np.arange(len(k))
    bad = known & (k > limit)
    good = known & ~bad
    few = len(k) <= _MOST_LABELS
    ax.plot(x[good], k[good], linestyle="none", marker="o", markerfacecolor="none",
            markeredgecolor=style.BLUE, markersize=6 if few else 3.5,
            alpha=1 if len(k) <= 300 else 0.6,
            label=f"{int(good.sum())} to rely on")  # fmt: skip
    if bad.any():
        ax.plot(x[bad], k[bad], linestyle="none", marker="X", color=style.VERMILION,
                markersize=8 if few else 6, zorder=4,
                label=f"{int(bad.sum())} above the limit")  # fmt: skip
    ax.axhline(limit, color=style.INK, linestyle="--", linewidth=1.2, label=f"limit {limit:.2g}")
    if limit < 1 and k[known].max() > 0.9:
        ax.axhline(1, color=style.INK, linestyle=":", linewidth=1.2, label="1: no finite mean")
    named = np.flatnonzero(bad)
    named = named[np.argsort(-k[named], kind="stable")][:_NAMED]
    if few:
        ax.set_xticks(x, [writing.short(label, 16) for label in labels])
        # About as many letters as find room side by side.
        ax.tick_params(axis="x", labelrotation=90 if len(" ".join(labels)) > 80 else 0)
        ax.set_xlabel(_noun(table, unit))
    else:
        ax.set_xlabel(f"{_noun(table, unit)}, in the order of the data")
    low, high = min(0.0, float(k[known].min())), max(limit, float(k[known].max()))
    # Room for labels over the highest.
    ax.set_ylim(low - 0.05, high + (0.25 if bad.any() else 0.1) * (high - low))
    ax.set_ylabel("Pareto k")
    writing.note(
        ax,
        f"labelled: the worst {len(named)}" if len(named) < bad.sum() else "",
        f"{int((~known).sum())} without k are left out" if not known.all() else "",
    )
    style.headline(ax, f"Leave one {unit} out: Pareto k of {len(k)}", columns=4)
    style.despine(ax)
    writing.name_points(ax, x.astype(np.float64), k, labels, named, upright=True)
    return ax


def _noun(table: Any, unit: str) -> str:
    return str(table.index.name or unit)
