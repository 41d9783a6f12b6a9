"""What to do about a fit that is not good enough, in order: the next step first.

The order is that of what helps most for least: another parameterization (seconds, and the cause is
gone), a larger adapt_delta (a slower run), priors that say more (another model), more draws (which
help precision alone).
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..errors import option

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["Fit", "Place", "energy", "longer", "one_line", "steadier", "treedepth"]

# Where more than ten times the draws were needed, running longer is not the remedy.
_MOST_LONGER = 10.0
# Below this many draws per chain, more draws are the first remedy.
_FEW_DRAWS = 200
# Steps that fit into a line; the others are in Finding.remedies.
_SAID = 3
_AGAIN = "fit again with "


@dataclass(frozen=True, eq=False)
class Fit:
    """How the draws came about, which is what the remedies depend on.

    Attributes
    ----------
    attrs : dict
        Attributes of the container.
    posterior : Dataset
    diverging : array of bool, shape (chain, draw), or None
        Which iterations diverged, where there is a record of it.
    """

    attrs: dict[str, Any]
    posterior: xr.Dataset
    diverging: NDArray[np.bool_] | None = None

    @property
    def chains(self) -> int:
        """Number of chains."""
        return int(self.posterior.sizes["chain"])

    @property
    def draws(self) -> int:
        """Draws of each chain."""
        return int(self.posterior.sizes["draw"])

    @property
    def engine(self) -> str:
        """What made the draws: ``"nuts"``, ``"exact"`` or ``"gibbs"``."""
        return str(self.attrs.get("engine", "nuts"))

    @property
    def parameterization(self) -> str:
        """The parameterization in use; empty where the attributes have none."""
        return str(self.attrs.get("parameterization", ""))

    @property
    def partial(self) -> bool:
        """Whether the groups are pooled partially."""
        return self.attrs.get("pooling") == "partial"

    @property
    def marginal(self) -> bool:
        """Whether the group effects integrate out, so that there is a marginal program."""
        return "family" not in self.attrs

    @cached_property
    def tau(self) -> dict[str, NDArray[np.float64]]:
        """Draws of each group standard deviation by its label, shape (chain, draw)."""
        from .summary import scalars

        return scalars(self.posterior, "tau") if "tau" in self.posterior else {}

    @cached_property
    def priors(self) -> dict[str, str]:
        """The priors by the names of their parameters, as in ``{"tau": "HalfCauchy(5)"}``."""
        try:
            given = json.loads(self.attrs.get("priors", "{}"))
            parts = {str(name): list(prior.values()) for name, prior in given.items()}
            return {
                name: f"{family}({', '.join(f'{x:.4g}' for x in numbers)})"
                for name, (family, *numbers) in parts.items()
            }
        except (AttributeError, TypeError, ValueError):
            return {}  # another package's attribute of the same name


@dataclass(frozen=True)
class Place:
    """Where the iterations that diverged lie.

    Attributes
    ----------
    label : str
        The group standard deviation that tells them from the others.
    small : bool
        Whether it is small there, else it is large.
    there, elsewhere : float
        Its median over the iterations that diverged, and over the others.
    """

    label: str
    small: bool
    there: float
    elsewhere: float


def steadier(fit: Fit, place: Place | None = None, near_zero: str = "") -> tuple[str, ...]:
    """Remedies for a posterior that the sampler cannot follow everywhere."""
    if fit.engine == "gibbs":
        return _again(option("engine", "exact"), option("engine", "nuts"))
    steps = _parameterizations(fit, small=bool(near_zero) or (place is not None and place.small))
    if place is not None and not place.small and fit.parameterization == "centered":
        steps = [s for s in steps if "noncentered" not in s]  # worse there
    if fit.engine == "nuts" and float(fit.attrs.get("adapt_delta", 0.8)) < 0.99:
        steps.append(option("adapt_delta", 0.99))
    if fit.tau:
        steps.append(_tighter(fit, near_zero or (place.label if place else "tau")))
    return _again(*steps or ["tighter priors"])


def longer(fit: Fit, factor: float, near_zero: str = "") -> tuple[str, ...]:
    """Remedies for too few effective draws."""
    if fit.draws < _FEW_DRAWS:
        warmup = "" if fit.engine == "exact" else " and " + option("warmup", 1000)
        return _again(
            "the usual " + option("draws", 1000) + warmup + ", now " + option("draws", fit.draws)
        )
    if not factor <= _MOST_LONGER:
        return steadier(fit, near_zero=near_zero)
    draws = math.ceil(max(1.2 * factor, 2.0) * fit.draws / 500) * 500
    steps = _parameterizations(fit, small=bool(near_zero))
    if near_zero:
        steps.append(_tighter(fit, near_zero))
    warmup = "" if fit.engine == "exact" else ", and a warmup to match"
    return _again(*steps, option("draws", draws) + f", now {fit.draws}{warmup}")


def energy(fit: Fit) -> tuple[str, ...]:
    """Remedies for a low E-BFMI."""
    if fit.parameterization == "centered":
        return steadier(fit)
    steps = _parameterizations(fit, small=True)
    return _again(*steps, "twice the warmup", "a tighter prior on the scale parameters")


def treedepth(fit: Fit, limit: int) -> tuple[str, ...]:
    """Remedies for trajectories that end at the maximum tree depth."""
    return _again(option("max_treedepth", limit + 2), *_parameterizations(fit, small=True)[:1])


def one_line(remedies: Sequence[str]) -> str:
    """The first remedies in one line: ``fit again with this, then that``."""
    last, *others = remedies[:_SAID]
    line = last
    for remedy in others:
        said = remedy.removeprefix(_AGAIN)
        if "parameterization=" in last:
            said = said.removeprefix("parameterization=")
        line, last = line + ", then " + said, said
    return line


def _again(*steps: str) -> tuple[str, ...]:
    return tuple(_AGAIN + step for step in steps)


def _parameterizations(fit: Fit, *, small: bool) -> list[str]:
    """Other parameterizations of the same model, the best first; ``small`` where tau is the cause.

    Marginal has no funnel, whatever the data. Centered goes wrong where tau is small, and
    noncentered where the groups' own data outweigh the population (Betancourt and Girolami 2015,
    arXiv:1312.0906).
    """
    if fit.engine != "nuts" or not fit.partial:
        return []
    marginal: list[str] = [option("parameterization", "marginal")] if fit.marginal else []
    if fit.parameterization == "centered":
        return [*marginal, option("parameterization", "noncentered")]
    if fit.parameterization != "noncentered":
        return []
    steps = marginal
    if not small:
        steps.append(option("parameterization", "centered") + " where groups carry much data")
    return steps


def _tighter(fit: Fit, label: str) -> str:
    now = f" (now {fit.priors[label]})" if label in fit.priors else ""
    return f"a tighter prior on {label}{now}"
