"""What is kept of the group effects: their draws, a summary, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import OptionError, option
from ..families import draws as sizes
from ..families.family import refuse_without_marginal
from ..families.gaussian import effects, marginal
from ..families.gaussian.family import moments_of
from . import layout

Array = NDArray[np.float64]

if TYPE_CHECKING:
    import xarray as xr

    from .base import Base


def effects_to_keep(
    model: Base,
    asked: str,
    draws: int,
    pointwise: bool | str,
    include: Sequence[str],
    *,
    from_statistics: bool = False,
) -> str:
    """What is kept of the effects, "auto" decided; refused early where it cannot be.

    ``from_statistics`` says that the draws are not those of a program that works row by row.

    Raises
    ------
    OptionError
        What is asked for does not go together, or is not for this program.
    DataError
        A program that works row by row, or ``pointwise=True``, without rows.
    """
    if not (model.is_marginal or from_statistics):
        model.design.rows("a program that works row by row")
    kept = asked
    if asked == "auto":
        small = sizes.effects_bytes(model.design, draws) <= sizes.EFFECTS_BUDGET
        kept = "draws" if small or not model.is_marginal else "summary"
    if kept != "draws" and not model.is_marginal:
        refuse_without_marginal(
            model.family, f"effects={asked!r}", "use " + option("effects", "draws")
        )
        raise OptionError(
            f"effects={asked!r} is for marginal programs, got parameterization="
            f"{model.parameterization!r}; use "
            + option("parameterization", "marginal")
            + ", or "
            + option("effects", "draws")
        )
    if "eta" in include and model.parameterization != "noncentered":
        raise OptionError(
            "include: 'eta' is a variable of the noncentered program, got parameterization="
            f"{model.parameterization!r}; use " + option("parameterization", "noncentered")
        )
    if "deviation" in include and kept != "draws":
        raise OptionError(
            "include: 'deviation' needs the draws of the effects; pass effects='draws'"
        )
    if pointwise is True:
        model.design.rows("pointwise=True")
        if kept != "draws":
            raise OptionError("pointwise=True needs the draws of the effects; pass effects='draws'")
    return kept


def parts_of(
    model: Base,
    u: Array,
    shape: tuple[int, int],
    seed: int,
    include: Sequence[str],
    numbers: Sequence[int],
    effects_kept: str,
) -> tuple[dict[str, xr.Dataset], dict[str, Any]]:
    """The posterior and the log prior of hyperparameters u, and the effects given them.

    ``shape`` is that of (chain, draw), whose product is the length of ``u``.
    """
    d, hyper = moments_of(model.design), model.hyperparameters
    values = hyper.values(u)
    drawn = layout.hyperparameters(model, values, shape)
    said: dict[str, Any] = {"effects": effects_kept}
    parts: dict[str, xr.Dataset] = {}
    if effects_kept != "none":
        p = marginal.population(d, values.centred, values.tau, values.L_Omega, values.sigma)
        if effects_kept == "draws":
            theta = effects.draw_effects(d, p, np.random.SeedSequence([seed, 3]))
            drawn["theta"] = layout.group_effects(model, theta, shape)
        else:
            summary = effects.summarize_effects(d, p)
            parts["effects_summary"] = layout.effects_summary(model, summary)
            said["effects_bytes_as_draws"] = sizes.effects_bytes(d, len(u))
    parts["posterior"] = layout.posterior(model, drawn, include, numbers)
    parts["log_prior"] = layout.log_prior_of(model, values, shape, numbers)
    return parts, said
