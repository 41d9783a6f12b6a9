"""Where the chains start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import OptionError, suggest
from ..families.gaussian.hyperparameters import upper_ends
from ..families.gaussian.laplace import guess

if TYPE_CHECKING:
    from .base import Base

Array = NDArray[np.float64]


def starts(model: Base, inits: Any, chains: int, seed: int) -> float | list[dict[str, Any]]:
    """The ``inits=`` argument as a radius, or as one dict for each chain.

    Raises
    ------
    OptionError
        It is not a kind that :meth:`Base.fit` takes.
    """
    if model.is_marginal:
        return _standardized(model, inits, chains, seed)
    if inits is None:
        return [dispersed(model, np.random.default_rng([seed, 2, c])) for c in range(chains)]
    if isinstance(inits, (int, float, np.number)) and not isinstance(inits, bool):
        return _radius(inits)
    return _dicts(inits, chains, model.program.name, set(model.program.parameters))


def _radius(inits: Any) -> float:
    radius = float(inits)
    if not (np.isfinite(radius) and radius >= 0):
        raise OptionError(f"inits: a radius must be finite and at least 0, got {inits}")
    return radius


def _dicts(inits: Any, chains: int, program: str, known: set[str]) -> list[dict[str, Any]]:
    """One dict for each chain, of parameters that the program has."""
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
    for name in sorted({name for one in inits for name in one} - known):
        raise OptionError(
            f"inits: the program {program} has no parameter {name!r}; it has "
            f"{', '.join(sorted(known))}{suggest(str(name), known)}"
        )
    return [dict(one) for one in inits]


# Starts are spread over about 1.5 standard deviations of the posterior, as far as it is normal.
_DISPERSION = 1.5


def _standardized(model: Base, inits: Any, chains: int, seed: int) -> float | list[dict[str, Any]]:
    """Starts of a marginal program: of its standardized parameters, by the public names."""
    hyper, standard = model.hyperparameters, model.standardization
    rngs = [np.random.default_rng([seed, 2, c]) for c in range(chains)]
    if isinstance(inits, (int, float, np.number)) and not isinstance(inits, bool):
        return _radius(inits)
    if inits is None:
        if standard.found:
            qs = [np.clip(_DISPERSION * rng.normal(size=hyper.size), -3, 3) for rng in rngs]
        else:
            qs = [standard.invert(_rough(model, rng)) for rng in rngs]
    else:
        known = {"mu", "tau", "Omega", "L_Omega", "beta", "sigma"} & {*model.dims, "L_Omega"}
        if "Omega" not in model.dims:
            known -= {"L_Omega"}
        given = _dicts(inits, chains, model.program.name, known)
        start = standard.centre if standard.found else guess(hyper)
        qs = [
            standard.invert(hyper.place(start, hyper.from_container(start, one))) for one in given
        ]
    few = hyper.few
    return [{"q": q[:few], "q_sigma": q[few:]} for q in qs]


def _rough(model: Base, rng: np.random.Generator) -> Array:
    """Hyperparameters dispersed around quick estimates, unconstrained."""
    hyper, values = model.hyperparameters, dispersed(model, rng)
    rough = guess(hyper)
    if hyper.sigmas > 1:  # the guess knows how large each group's own sd is
        del values["sigma"]
        rough[hyper.few :] += 0.3 * rng.normal(size=hyper.sigmas)
    return hyper.place(rough, values)


def dispersed(model: Base, rng: np.random.Generator) -> dict[str, Any]:
    """Starting values of the program's parameters, dispersed around quick estimates.

    Locations start around least squares, standard deviations at some share of the data's spread,
    each with noise of its own, so that R-hat compares chains that come from different places.
    """
    d = model.design
    fit, spread = model.family.rough(d)
    unit = spread / np.where(d.sds[:-1] > 0, d.sds[:-1], np.where(d.size > 0, d.size, 1.0))
    location = fit + 0.3 * unit * rng.normal(size=d.K + d.P)
    tau = _below_upper(model, "tau", unit[: d.K] * np.exp(rng.uniform(-2.0, -0.5, d.K)))
    eta = 0.5 * rng.normal(size=(d.J, d.K))
    aux = model.family.start(d, spread, rng)
    aux = {name: _below_upper(model, name, x) for name, x in aux.items()}
    mu, beta = location[: d.K], location[d.K :]
    theta = mu + tau * eta
    if model.pooling == "none":
        own = fit + 0.3 * unit * rng.normal(size=(d.J, d.K + d.P))
        theta, beta = own[:, : d.K], own[:, d.K :]
    if d.scalar:
        # One coefficient: these programs have no dim for it, and no predictors.
        return {
            "mu": mu[0],
            "tau": tau[0],
            "theta": theta[:, 0],
            "eta": eta[:, 0],
            **aux,
        }
    return {
        "mu": mu,
        "tau": tau,
        "L_Omega": np.eye(d.K),
        "theta": theta,
        "eta": eta.T,
        "beta": beta,
        **aux,
    }


def _below_upper(model: Base, block: str, values: Array) -> Array:
    if block not in model.priors:
        return values
    return np.minimum(values, 0.5 * upper_ends(model.priors, block, len(values)))
