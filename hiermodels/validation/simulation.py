"""Draw parameters from a model's prior, then data given them; without Stan.

One rule for all families, in the words of :mod:`~hiermodels.data.design`: population parameters
from their priors, theta_j ~ N_K(mu, Sigma) (from its prior, without pooling; mu itself, under
complete pooling), y_i ~ N(x_i beta + z_i theta_{j[i]}, sigma_i).
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.design import Design
from ..errors import PriorError
from ..families.draws import Draws, by_row
from ..families.gaussian.moments import of_other_rows
from ..priors.distributions import LKJ

__all__ = ["check_proper", "digest", "parameters", "response", "with_response"]

Array = NDArray[np.float64]


def check_proper(model: Any) -> None:
    """Refuse a model that has no prior to draw from.

    Raises
    ------
    PriorError
        A prior in force is improper.
    """
    for name, family in model.priors.improper.items():
        raise PriorError(
            f"{name}: {family} is improper, so the prior has no draws; give every parameter a "
            f"proper prior, as in priors={{{name.partition('[')[0]!r}: ...}}"
        )


def parameters(model: Any, rng: np.random.Generator) -> Draws:
    """One draw of all parameters from their prior.

    Parameters
    ----------
    model : Model
        With proper priors.
    rng : Generator

    Returns
    -------
    Draws
        Of length 1, shapes as in :class:`~hiermodels.families.draws.Draws`.

    Raises
    ------
    PriorError
        A prior is improper, or so wide that its draw is too large for a double.
    """
    check_proper(model)
    d, pooling = model.design, model.pooling
    J, K, P = d.J, d.K, d.P
    mu = tau = root = theta = None
    if pooling != "none":
        mu = _of_prior(model, "mu", rng, (1, K))
    if pooling == "partial":
        assert mu is not None  # noqa: S101 - for the type checker
        tau = _of_prior(model, "tau", rng, (1, K))
        if K > 1:
            (omega,) = model.priors.as_list("Omega")
            assert isinstance(omega, LKJ)  # noqa: S101 - the only family of correlations
            root = omega.draw(rng, 1, K)
        noise = rng.standard_normal((1, J, K))
        unit = noise if root is None else noise @ np.swapaxes(root, -1, -2)
        with np.errstate(invalid="ignore"):  # of a tau that is infinite, and refused below
            theta = mu[:, None] + tau[:, None] * unit
    elif pooling == "none":
        theta = _of_prior(model, "theta", rng, (1, J, K))
    beta = np.zeros((1, J, 0) if pooling == "none" else (1, 0))
    if P:
        beta = _of_prior(model, "beta", rng, (1, J, P) if pooling == "none" else (1, P))
    shape = (1, model.family.count(d))
    aux = {b.name: _of_prior(model, b.name, rng, shape) for b in model.family.blocks()}
    drawn = Draws(mu=mu, tau=tau, L_Omega=root, theta=theta, beta=beta, aux=aux)
    for name, values in drawn.named().items():
        if not np.isfinite(values).all():
            raise PriorError(
                f"{name}: its prior must have draws that a computer's numbers can hold, got "
                "infinity; take a narrower prior"
            )
    return drawn


def _of_prior(model: Any, block: str, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Draws of a block; elements that have priors of their own lie along the last axis."""
    priors = model.priors.as_list(block)
    if len(priors) == 1:
        return np.asarray(priors[0].draw(rng, shape))
    return np.stack([p.draw(rng, shape[:-1]) for p in priors], axis=-1)


def response(model: Any, given: Draws, rng: np.random.Generator) -> Array:
    """One response for each row of the model's design, given parameters; shape (N,).

    Parameters
    ----------
    model : Model
    given : Draws
        Of length 1.
    rng : Generator

    Raises
    ------
    DataError
        The design has no rows.
    """
    rows = model.design.rows_from_origin("simulated data")
    theta = given.mu if given.theta is None else given.theta[0, rows.index]
    beta = given.beta[0, rows.index] if given.beta.ndim == 3 else given.beta
    eta = np.sum(rows.z * theta, axis=1) + np.sum(rows.x * beta, axis=1)
    return np.asarray(model.family.draw(rows, eta[None], by_row(given.aux, rows), rng)[0])


def with_response(model: Any, y: Array) -> Any:
    """The same model, with the priors that are in force, of another response.

    The rows' columns and groups stay as they are; no frame is read.

    Parameters
    ----------
    model : Model
        Whose design has rows.
    y : array, shape (N,)
        Finite.

    Raises
    ------
    DataError, ImproperPosteriorError
        There is no posterior given this response.
    """
    d = model.design
    rows = replace(d.rows("simulated data"), y=y)
    design = of_other_rows(d, rows, d.labels, d.dropped)
    options = {**model._options, "frame": design.statistics, "priors": dict(model.priors)}
    other = object.__new__(type(model))
    other._configure(options, model.columns, design, model.family)
    return other


def digest(design: Design) -> str:
    """SHA-256 of all of a design but its response, in hexadecimal digits."""
    rows = design.rows("simulated data")
    found = hashlib.sha256(
        repr((design.response, design.group, design.labels.tolist(), design.names)).encode()
    )
    for values in (rows.index, rows.z, rows.x, rows.se):
        if values is not None:
            found.update(np.ascontiguousarray(values).tobytes())
    if design.origin.moves:
        found.update(repr(design.about).encode())
    return found.hexdigest()
