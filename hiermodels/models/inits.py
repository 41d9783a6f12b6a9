"""Where the chains start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..design import Design, is_constant
from ..errors import OptionError, suggest
from ..priors import Uniform

if TYPE_CHECKING:
    from .base import Base

Array = NDArray[np.float64]


def starts(model: Base, inits: Any, chains: int, seed: int) -> float | list[dict[str, Any]]:
    """The ``inits=`` argument as a radius, or as one dict for each chain.

    Raises
    ------
    OptionError
        It is of none of the kinds that :meth:`Base.fit` takes.
    """
    if inits is None:
        return [dispersed(model, np.random.default_rng([seed, 2, c])) for c in range(chains)]
    if isinstance(inits, (int, float, np.number)) and not isinstance(inits, bool):
        radius = float(inits)
        if not (np.isfinite(radius) and radius >= 0):
            raise OptionError(f"inits: a radius must be finite and at least 0, got {inits}")
        return radius
    if callable(inits):
        inits = [inits(number) for number in range(chains)]
    elif isinstance(inits, Mapping):
        inits = [inits] * chains
    if (
        not isinstance(inits, Sequence)
        or isinstance(inits, str)
        or not all(isinstance(one, Mapping) for one in inits)
    ):
        raise OptionError(
            "inits must be a number, a dict, a sequence of dicts, or a function of the chain's "
            f"number that returns a dict; got {inits!r}"
        )
    if len(inits) != chains:
        raise OptionError(
            f"inits must have one dict for each of the {chains} chains, got {len(inits)}"
        )
    known = set(model.program.parameters)
    for name in sorted({name for one in inits for name in one} - known):
        raise OptionError(
            f"inits: the program {model.program.name} has no parameter {name!r}; it has "
            f"{', '.join(sorted(known))}{suggest(str(name), known)}"
        )
    return [dict(one) for one in inits]


def dispersed(model: Base, rng: np.random.Generator) -> dict[str, Any]:
    """Starting values of the program's parameters, dispersed around quick estimates.

    Locations start around least squares, standard deviations at some share of the data's spread,
    each with noise of its own, so that R-hat compares chains that come from different places.
    """
    d = model.design
    fit = _pooled_fit(d)
    # Estimates that are all alike are no reason to start tau at 0, where it cannot start.
    known = 0.0 if d.se is None else np.mean(d.se**2)
    spread = max(np.sqrt(np.mean(d.pooled_residuals**2) + known), 1e-3 * d.y.std(), 1e-12)
    unit = spread / _column_scale(np.hstack([d.z, d.x]))
    location = fit + 0.3 * unit * rng.normal(size=d.K + d.P)
    tau = _below_upper(model, "tau", unit[: d.K] * np.exp(rng.uniform(-2.0, -0.5, d.K)))
    eta = 0.5 * rng.normal(size=(d.J, d.K))
    sds = d.J if d.residual == "group" else 1
    sigma = _below_upper(model, "sigma", spread * np.exp(rng.uniform(-0.5, 0.5, sds)))
    mu, beta = location[: d.K], location[d.K :]
    theta = mu + tau * eta
    if model.pooling == "none":
        own = fit + 0.3 * unit * rng.normal(size=(d.J, d.K + d.P))
        theta, beta = own[:, : d.K], own[:, d.K :]
    if d.coefficients is None:
        # One coefficient: these programs have no dim for it, and no predictors.
        return {
            "mu": mu[0],
            "tau": tau[0],
            "theta": theta[:, 0],
            "eta": eta[:, 0],
            "sigma": sigma,
        }
    return {
        "mu": mu,
        "tau": tau,
        "L_Omega": np.eye(d.K),
        "theta": theta,
        "eta": eta.T,
        "beta": beta,
        "sigma": sigma,
    }


def _below_upper(model: Base, block: str, values: Array) -> Array:
    if block not in model.priors:
        return values
    uppers = [p.upper if isinstance(p, Uniform) else np.inf for p in model.priors.as_list(block)]
    return np.minimum(values, 0.5 * np.array(uppers))


def _column_scale(W: Array) -> Array:
    """Spread of each column; its size where it is constant; 1 where it is zero."""
    scale = np.where(is_constant(W), np.abs(W).max(axis=0), W.std(axis=0))
    return np.where(scale > 0, scale, 1.0)


def _pooled_fit(design: Design) -> Array:
    """Least-squares coefficients of all columns over all rows, shape (K + P,)."""
    W = np.hstack([design.z, design.x])
    scale = np.abs(W).max(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    return np.asarray(np.linalg.lstsq(W / scale, design.y, rcond=None)[0] / scale)
