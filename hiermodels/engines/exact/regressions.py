"""Posteriors of regressions: what no pooling and complete pooling are.

Given sigma the coefficients of a regression are normal,

    Q = A / sigma^2 + P0,   E = Q^-1 (b / sigma^2 + P0 m0),   var = Q^-1,

with A = X'X, b = X'y, and independent normal or flat priors of precisions P0 and means m0; sigma
has one dimension, and a quadrature of its own (Gelman et al., Bayesian Data Analysis, 3rd ed.,
sections 14.2 and 14.8). With c = y'y its density is, but for the constants that
:attr:`Regressions.constant` holds, for all B regressions that share a sigma

    log p(y | sigma) = -N log sigma - sum (log|Q| + c / sigma^2 - E' Q E) / 2.

A and P0 are made diagonal together, once (a generalized eigenproblem: Harville 1997, Matrix Algebra
From a Statistician's Perspective, section 21.14): then every sigma costs a few products.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...data.least_squares import own_lines
from ...families.gaussian import marginal
from ...families.gaussian.family import moments_of
from ...families.gaussian.hyperparameters import (
    log_positive_jacobian,
    on_the_line,
    positive,
    upper_ends,
)
from ...families.gaussian.marginal import known_variance
from ...priors.distributions import Flat, Normal, Prior
from . import quadrature
from .lattices import Lattice, TailError

if TYPE_CHECKING:
    from ...families.family import Specification

__all__ = ["Regressions", "Sigma", "coefficient_priors", "of_model"]

Array = NDArray[np.float64]

_LOG_2PI = math.log(2 * math.pi)
_ROUNDING = (
    1e-13  # share of the data, or of the prior, that counts as no information in a direction
)


@dataclass(frozen=True)
class Sigma:
    """The posterior of a residual sd; or, where it is known, the unit of the cross-products.

    Attributes
    ----------
    values, weight : array, shape (M,)
        Nodes, and weights that add up to 1.
    table : Lattice or None
        None where it is known.
    upper : array, shape (1,)
        Upper end of its prior, infinite without one.
    powers : int
        The highest moment, up to 4, that is sure to exist.
    """

    values: Array
    weight: Array
    table: Lattice | None
    upper: Array
    powers: int = 4

    def on_the_line(self, x: Array) -> Array:
        """Values of sigma where the quadrature has them."""
        return _on_the_line(x, self.upper)

    def draw(self, draws: int, rng: np.random.Generator) -> Array:
        """Independent draws, shape (D,)."""
        if self.table is None:
            return np.ones(draws)
        return positive(self.table.marginal(0).draw(rng.random(draws)), self.upper)


@dataclass(frozen=True)
class Regressions:
    """B regressions that share a residual sd.

    Attributes
    ----------
    groups : array of int, shape (B,), or None
        Places of the groups; None where the one regression is of all rows.
    fit : array, shape (B, p)
        Least-squares coefficients, which are taken off: what is below is of the rest, so that
        squares lose no digits to what the columns explain.
    rows : int
        Rows of all of them.
    unit : float
        A residual sd, by which the cross-products are divided to be of the size of the prior.
    basis : array, shape (B, p, p)
        V with V'QV = diag(r share + 1 - share), r = unit^2 / sigma^2.
    share : array, shape (B, p)
        Of the data in each direction: 1 where the prior is flat, 0 where the data say nothing.
    data, prior : array, shape (B, p)
        V'b / unit^2 and V'P0 m0.
    log_det : array, shape (B,)
        Log determinant of V^-T V^-1.
    squares : float
        Sum of c.
    constant : float
        What is added to the logarithm of the density for log p(y | sigma).
    sigma : Sigma
    """

    groups: NDArray[np.int64] | None
    fit: Array
    rows: int
    unit: float
    basis: Array
    share: Array
    data: Array
    prior: Array
    log_det: Array
    squares: float
    constant: float
    sigma: Sigma

    @property
    def places(self) -> list[int]:
        """Places of the groups; empty where the one regression is of all rows."""
        return [] if self.groups is None else self.groups.tolist()

    def log_likelihood(self, sigma: Array) -> Array:
        """Log p(y | sigma), shape (n,)."""
        out = np.empty(len(sigma))
        for part in marginal.blocks(self.share.size, len(sigma)):
            r = (self.unit / sigma[part]) ** 2
            d = self._precisions(r)
            weighted = r[:, None, None] * self.data + self.prior
            half = self.log_det.sum() + np.log(d).sum(axis=(1, 2)) + self.squares * r / self.unit**2
            half = half - np.sum(weighted**2 / d, axis=(1, 2))
            out[part] = -self.rows * np.log(sigma[part]) - 0.5 * half
        return out + self.constant

    def given(self, b: int) -> tuple[Array, Array]:
        """Mean and covariance of regression b's centred coefficients at each node of sigma."""
        r = (self.unit / self.sigma.values) ** 2
        d = self._precisions(r)[:, b]
        basis = self.basis[b]
        mean = ((r[:, None] * self.data[b] + self.prior[b]) / d) @ basis.T
        return self.fit[b] + mean, np.einsum("ak,mk,bk->mab", basis, 1 / d, basis)

    def draw(self, sigma: Array, rng: np.random.Generator) -> Array:
        """One draw of all centred coefficients for each sigma, shape (D, B, p)."""
        noise = rng.standard_normal((len(sigma), *self.share.shape))

        def work(part: slice) -> None:
            r = (self.unit / sigma[part]) ** 2
            d = self._precisions(r)
            place = (r[:, None, None] * self.data + self.prior) / d + noise[part] / np.sqrt(d)
            noise[part] = np.einsum("bak,mbk->mba", self.basis, place)

        marginal.side_by_side(work, self.share.size, len(sigma))
        noise += self.fit
        return noise

    def _precisions(self, r: Array) -> Array:
        """Diagonal of V'QV, shape (n, B, p)."""
        return np.asarray(r[:, None, None] * self.share + (1 - self.share))

    @cached_property
    def log_evidence(self) -> float:
        """Log of the integral of likelihood times priors; a flat density is 1."""
        if self.sigma.table is None:
            return float(self.log_likelihood(np.ones(1))[0])
        return self.sigma.table.log_total


def coefficient_priors(model: Specification) -> list[Prior]:
    """Priors of the K + P coefficients of a model without partial pooling, in their order."""
    d = model.design
    varying = model.priors.as_list("mu" if model.pooling == "complete" else "theta")
    common = model.priors.as_list("beta") if "beta" in model.priors else []
    return [*(varying * d.K if len(varying) == 1 else varying), *common][: d.K + d.P]


def of_model(model: Specification) -> list[Regressions] | None:
    """The regressions that a model is, without partial pooling: those that share a sigma together.

    None where the coefficients are not normal given sigma, or where groups of unlike spread share
    their coefficients.
    """
    d, pooled = moments_of(model.design), model.pooling == "complete"
    priors = coefficient_priors(model)
    if not all(isinstance(p, (Normal, Flat)) for p in priors):
        return None
    if d.residual == "group" and pooled:
        return None  # J standard deviations at once
    gram, rows = d.gram, d.sizes
    if d.residual == "known":
        # In units of each estimate's own standard error.
        gram = gram / known_variance(d)[:, None, None]
    if pooled:
        # Off its response a fit of all columns has gone before.
        fit = np.zeros((1, len(priors)))
        return [_regressions(model, priors, gram.sum(axis=0)[None], np.array([d.N]), None, fit)]
    fit, _ = own_lines(d.gram, d.gram_within, d.intercept, d.fit_within)
    gram = gram.copy()
    gram[:, -1] = gram[:, :, -1] = 0
    if d.residual != "known":
        gram[:, -1, -1] = d.within.rss
    places = np.arange(d.J)
    parts = places[:, None] if d.residual == "group" else [places]
    return [_regressions(model, priors, gram[j], rows[j], j, fit[j]) for j in parts]


def _regressions(
    model: Specification,
    priors: list[Prior],
    gram: Array,
    rows: NDArray[np.int64],
    groups: NDArray[np.int64] | None,
    fit: Array,
) -> Regressions:
    d, p = moments_of(model.design), len(priors)
    p0 = np.array([p.sd**-2 if isinstance(p, Normal) else 0.0 for p in priors])
    m0 = np.array([p.mean if isinstance(p, Normal) else 0.0 for p in priors])
    shift, back = d.back
    precision, off = back.T @ (p0[:, None] * back), m0 - shift - fit @ back.T
    N, B, known = int(rows.sum()), len(gram), d.residual == "known"
    unit = 1.0
    if not known:
        unit = math.sqrt(float(gram[:, -1, -1].sum()) / N) or 1.0
    A = gram[:, :p, :p] / unit**2
    both = A + precision
    # Of unit diagonal first: columns may be of very different size.
    size = 1 / np.sqrt(np.diagonal(both, axis1=1, axis2=2))
    L = np.linalg.cholesky(both * size[:, :, None] * size[:, None, :])
    T = size[:, :, None] * np.linalg.inv(np.swapaxes(L, 1, 2))  # T' both T = I
    share, turn = np.linalg.eigh(np.swapaxes(T, 1, 2) @ A @ T)
    # What rounding leaves of nothing would count where sigma is very small, or very large.
    unseen, flat = share < _ROUNDING, share > 1 - _ROUNDING
    share = np.where(unseen, 0.0, np.where(flat, 1.0, share))
    basis = T @ turn
    data = np.einsum("bak,ba->bk", basis, gram[:, :p, -1]) / unit**2
    prior = np.einsum("bak,ba->bk", basis, (p0 * off) @ back)
    proper = p0 > 0
    constant = B * (0.5 * float(np.log(p0[proper]).sum()) + 0.5 * (p - proper.sum()) * _LOG_2PI)
    constant -= 0.5 * N * _LOG_2PI + 0.5 * float(np.sum(p0 * off**2))
    if known:
        constant -= 0.5 * float(np.log(known_variance(d)).sum())
    one = np.ones(1)
    made = Regressions(
        groups=groups,
        fit=fit,
        rows=0 if known else N,
        unit=unit,
        basis=basis,
        share=share,
        data=np.where(unseen, 0.0, data),
        prior=np.where(flat, 0.0, prior),
        log_det=2 * (np.log(np.diagonal(L, axis1=1, axis2=2)) - np.log(size)).sum(axis=1),
        squares=float(gram[:, -1, -1].sum()),
        constant=constant,
        sigma=Sigma(one, one, None, one),
    )
    if known:
        return made
    return replace(made, sigma=_sigma(model, made))


def _sigma(model: Specification, found: Regressions) -> Sigma:
    """The posterior of the residual sd that regressions share."""
    prior, upper = model.priors["sigma"], upper_ends(model.priors, "sigma", 1)

    def log_density(u: Array) -> Array:
        sigma = positive(u[:, 0], upper)
        with np.errstate(all="ignore"):
            out = found.log_likelihood(sigma) + prior.log_density(sigma)
            out = out + log_positive_jacobian(u, upper)
        return np.where(np.isfinite(out), out, -np.inf)

    start = np.array([min(found.unit, 0.5 * float(upper[0]))])
    width = np.array([1 / math.sqrt(2 * found.rows)])
    for powers in (4, 2, 1, 0):
        # Moments are followed as far as they exist.
        def reach(u: Array, powers: int = powers) -> Array:
            return powers * np.log(positive(u[:, 0], upper))

        try:
            table = quadrature.lattice(log_density, _on_the_line(start, upper), width, reach=reach)
        except TailError:
            if powers == 0:
                raise
        else:
            u, w = table.nodes(table.every)
            return Sigma(positive(u[:, 0], upper), w, table, upper, powers)
    raise AssertionError  # pragma: no cover - the loop returns or raises


def _on_the_line(x: Array, upper: Array) -> Array:
    return on_the_line(np.clip(x, 1e-300, upper * (1 - 1e-16)), np.broadcast_to(upper, x.shape))
