"""The default priors of mu, tau, Omega, beta and theta, scaled with the data."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..data.design import Design
from ..families.family import Family
from ..priors.distributions import LKJ, Flat, HalfT, Normal
from .column_checks import from_origin

__all__ = ["of_coefficients", "of_levels"]


def of_levels(family: Family, design: Design) -> dict[str, Any]:
    """Default priors where each group has one level, and of the family's own parameters.

    With m and s the centre and the spread of the response, mu has N(m, 2.5 s) and tau
    half-t(3, s). Without pooling, theta is flat.
    """
    middle, spread = family.typical(design)
    mu = Normal(middle, 2.5 * spread)
    return {
        "mu": mu,
        "tau": HalfT(3, spread),
        # Only families with a closed form know whether flat priors leave a posterior.
        "theta": Flat() if family.marginal else mu,
        **family.default_priors(design),
    }


def of_coefficients(family: Family, design: Design, pooling: str) -> dict[str, Any]:
    """Default priors of the coefficients of a regression, and of the family's own parameters.

    With m and s the centre and the spread of the response and s_k that of column k, a slope has
    N(0, 2.5 s/s_k) and a group standard deviation half-t(3, s/s_k); the intercept has N(m, 2.5 s)
    and half-t(3, s); Omega has LKJ(2). Without pooling, coefficients are flat.
    """
    d = design
    y_mean, y_sd = family.typical(d)
    found = d.statistics
    levels = {c: found.sources[n] for n in found.in_full for c in found.sources[n]}
    location: dict[str, Normal] = {}
    scale: dict[str, HalfT] = {}
    for k, name in enumerate(d.names):
        siblings = levels.get(name, (name,))
        if d.constant[k] or name in levels:
            # The intercept (or a constant in its place, or the mean of a level where there is
            # no intercept) is the height where all other columns are at the origin: its priors
            # are wider by what those of the slopes leave open on the way there from where the
            # data are, nothing of columns that are centred.
            others = np.array([n not in siblings for n in d.names]) & (d.sds[:-1] > 0)
            away = float(np.sum((from_origin(d)[others] / d.sds[:-1][others]) ** 2))
            width = y_sd / float(d.size[k]) * float(np.sqrt(1 + away))
            value = d.means[k] if d.constant[k] else 1.0  # of a constant, which may be below 0
            location[name] = Normal(y_mean / float(value), 2.5 * width)
            scale[name] = HalfT(3, width)
        else:
            unit = y_sd / (float(d.sds[k]) or 1.0)  # a column of zeros is refused later
            location[name] = Normal(0, 2.5 * unit)
            scale[name] = HalfT(3, unit)
    # Whether flat ones leave a posterior is known of families with a closed form.
    flat = dict.fromkeys(d.names, Flat()) if family.marginal else location
    return {
        "mu": location,
        "tau": scale,
        "Omega": LKJ(2),
        "beta": flat if pooling == "none" else location,
        "theta": flat,
        **family.default_priors(d),
    }
