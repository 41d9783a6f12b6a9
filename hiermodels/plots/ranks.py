"""Ranks of simulation-based calibration: their ECDF less that of a uniform, and its bands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..diagnostics import uniformity
from ..errors import OptionError, listed, suggest
from . import style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


_FAILING = (style.VERMILION, style.BLUE, style.PINK, style.GREEN, style.AMBER, style.SKY)
_NAMED = 6


class Ranks(Protocol):
    """What this picture needs of a calibration."""

    @property
    def ranks(self) -> pd.DataFrame:
        """Rank of each simulation's value, by quantity."""

    @property
    def table(self) -> pd.DataFrame:
        """One row per quantity."""

    @property
    def failing(self) -> Sequence[str]:
        """Quantities whose ranks leave the bands."""

    @property
    def about(self) -> Mapping[str, Any]:
        """Draws per simulation, and the engine."""


def calibration(
    result: Ranks,
    *,
    quantities: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the ECDF of each quantity's ranks less that of a uniform, and the bands.

    The light band holds 95 % of the ECDFs of one quantity, the dashed lines 95 % of those of all
    quantities at once: what leaves them fails, and is named.

    Parameters
    ----------
    result : Calibration
        What ``hm.calibrate`` returned.
    quantities : sequence of str, optional
        Which; all by default.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    OptionError
        It is something else, there is no such quantity, or no simulation was fitted.
    """
    if not all(hasattr(result, name) for name in ("ranks", "table", "failing", "about")):
        raise OptionError(
            f"a picture of a calibration is of what hm.calibrate returns, got "
            f"{type(result).__name__}; run hm.calibrate(model, ...) first"
        )
    names = list(result.table.index if quantities is None else quantities)
    for name in names:
        if name not in result.table.index:
            raise OptionError(
                f"quantities: there is no {name!r}; there are {listed(result.table.index, 20)}"
                f"{suggest(str(name), result.table.index)}"
            )
    fitted = result.ranks.dropna().astype("int64")
    if fitted.empty:
        raise OptionError("a picture of ranks needs a simulation that was fitted, got none")
    if ax is None:
        ax = style.new_axes()
    n, draws, every = len(fitted), int(result.about["draws"]), len(result.table)
    one, all_of_them = (
        uniformity.band(n, draws, p) for p in (uniformity.LEVEL, uniformity.shared(every))
    )
    ax.fill_between(one.z, one.lower, one.upper, color=style.PALE, linewidth=0,
                    label=f"{uniformity.LEVEL:.0%} of one quantity")  # fmt: skip
    for bound, label in (
        (all_of_them.lower, f"{uniformity.LEVEL:.0%} of all {every}"),
        (all_of_them.upper, None),
    ):
        ax.plot(all_of_them.z, bound, color="black", linestyle="--", linewidth=0.8, label=label)
    inside = [name for name in names if name not in result.failing]
    failing = [name for name in names if name in result.failing]
    for name in inside:
        label = "inside" if name == inside[0] else None
        _ecdf(ax, fitted[name].to_numpy(), draws, color=style.GREY, linewidth=0.8, label=label)
    for place, name in enumerate(failing):
        label = name if place < _NAMED else None
        if place == _NAMED:
            label = f"and {len(failing) - _NAMED} more"
        turn = min(place, _NAMED) % len(_FAILING)
        # Dashes as well as colours; the bands have the plain dashed line.
        dash = ("-", "-.", ":", *style.DASHES[4:], (0, (8, 2)))[turn]
        _ecdf(ax, fitted[name].to_numpy(), draws, color=_FAILING[turn], linestyle=dash,
              linewidth=1.6, label=label)  # fmt: skip
    ax.set_xlim(0, 1)
    ax.set_xlabel("rank of the value that the data came from, as a share")
    ax.set_ylabel("ECDF less uniform")
    style.headline(ax, f"Calibration by {result.about['engine']}: {n} simulations", columns=4)
    style.despine(ax)
    return ax


def _ecdf(ax: Axes, ranks: NDArray[np.int64], draws: int, **look: Any) -> None:
    z = np.arange(draws + 2) / (draws + 1)
    share = np.concatenate([[0], uniformity.below(ranks, draws), [len(ranks)]]) / len(ranks)
    ax.plot(z, share - z, **look)
