"""Exact posteriors as the certificate wants them: mean, sd and distribution function by label.

One-way models have theirs by quadrature (:mod:`~hiermodels.exact`). Without pooling, and with
complete pooling, the models are regressions: given sigma the coefficients are normal,

    Q = X'X / sigma^2 + P0,   E = Q^-1 (X'y / sigma^2 + P0 m0),   var = Q^-1,

under independent normal or flat priors with precisions P0 and means m0, and sigma has one dimension
(Gelman et al., Bayesian Data Analysis, 3rd ed., sections 14.2 and 14.8).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from . import exact, mixtures, quadrature
from .design import Design
from .hyperparameters import log_positive_jacobian, on_the_line, positive, upper_ends
from .marginal import known_variance
from .priors import Flat, Normal, Prior

if TYPE_CHECKING:
    from .models.base import Base

__all__ = ["Twin", "twin"]

Array = NDArray[np.float64]

MOST_EFFECTS = 400
"""Effects that are compared at most, evenly spaced among all."""


@dataclass(frozen=True)
class Twin:
    """The exact posterior of Q scalars.

    Attributes
    ----------
    method : str
        Where it comes from, in words.
    labels : tuple of str
        As in ``hm.summary``.
    mean, sd : array, shape (Q,)
    moments : array of int, shape (Q,)
        The highest moment, up to 4, that is sure to exist: means are compared where there are two,
        standard deviations where there are four.
    cdf : callable
        Points, shape (n, Q), to P(scalar <= point), shape (n, Q).
    """

    method: str
    labels: tuple[str, ...]
    mean: Array
    sd: Array
    moments: NDArray[np.int64]
    cdf: Callable[[Array], Array]


def twin(model: Base) -> Twin | None:
    """The exact posterior of a model's scalars; None where there is none in closed form."""
    d = model.design
    if model.pooling != "partial":
        return _of_regression(model)
    if d.coefficients is not None or d.residual == "group":
        return None
    return _of_one_way(exact.posterior(model))


def places(design: Design) -> NDArray[np.int64]:
    """The groups whose effects are compared."""
    return np.unique(np.linspace(0, design.J - 1, min(design.J, MOST_EFFECTS)).astype(int))


def _of_one_way(posterior: exact.ExactPosterior) -> Twin:
    d = posterior.model.design
    kept = places(d)
    names = ["mu", "tau", *(["sigma", "icc"] if posterior.integral.dims == 2 else [])]
    labels = (*names, *(f"theta[{label}]" for label in d.labels[kept]))
    w, m, s = posterior.marginals.components("theta", kept)
    means, sds = mixtures.moments(w, m, s)

    def cdf(x: Array) -> Array:
        hyper = [posterior.distribution(n, x[:, k])[:, 0] for k, n in enumerate(names)]
        effects = [mixtures.cdf(row, w, m, s) for row in x[:, len(names) :]]
        return np.column_stack([*hyper, np.array(effects)])

    # A flat mu is as wide as tau and sigma; effects keep to their own data.
    least = min(posterior.moments)
    known = {"tau": posterior.moments[0], "sigma": posterior.moments[-1], "icc": 4}
    known["mu"] = least if isinstance(posterior.model.priors["mu"], Flat) else 4
    return Twin(
        "quadrature",
        labels,
        np.array([*(posterior.mean(n) for n in names), *means]),
        np.array([*(posterior.sd(n) for n in names), *sds]),
        np.array([*(known[n] for n in names), *([4] * len(kept))]),
        cdf,
    )


# ---- regressions ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Sigma:
    """A residual sd: its nodes and weights, and its table; or one known value."""

    values: Array
    weight: Array
    marginal: quadrature.SincMarginal | None
    upper: Array
    powers: int = 4


def _of_regression(model: Base) -> Twin | None:
    """Complete pooling, or no pooling: coefficients given sigma are normal."""
    d = model.design
    names = list(d.names)
    block = "mu" if model.pooling == "complete" else "theta"
    found: dict[str, list[Prior]] = {
        name: model.priors.as_list(name) for name in (block, "beta") if name in model.priors
    }
    varying, common = found[block], found.get("beta", [])
    priors = [*(varying * d.K if len(varying) == 1 else varying), *common][: d.K + d.P]
    if not all(isinstance(p, (Normal, Flat)) for p in priors):
        return None
    if d.residual == "group" and model.pooling == "complete":
        return None  # one line through groups of unlike spread: J dimensions
    precision = np.diag([p.sd**-2 if isinstance(p, Normal) else 0.0 for p in priors])
    mean = np.array([p.mean if isinstance(p, Normal) else 0.0 for p in priors])
    shift, back = d.back
    prior_precision, prior_weighted = back.T @ precision @ back, back.T @ precision @ (mean - shift)

    grams = d.gram.sum(axis=0)[None] if model.pooling == "complete" else d.gram
    rows = np.array([d.N]) if model.pooling == "complete" else d.sizes
    scale = np.ones(1)
    kept = [0] if model.pooling == "complete" else places(d).tolist()
    if d.residual == "known":
        # Each estimate has its own variance: cross-products in units of that.
        variance = known_variance(d)
        grams = d.gram / variance[:, None, None]
        grams = grams.sum(axis=0)[None] if model.pooling == "complete" else grams
        sigmas = dict.fromkeys(kept, _Sigma(scale, scale, None, scale))
    elif d.residual == "group":
        prior = model.priors["sigma"]
        sigmas = {
            j: _sigma(prior, grams[[j]], rows[[j]], prior_precision, prior_weighted, model)
            for j in kept
        }
    else:
        prior = model.priors["sigma"]
        found_sigma = _sigma(prior, grams, rows, prior_precision, prior_weighted, model)
        sigmas = dict.fromkeys(kept, found_sigma)

    n = d.K + d.P
    labels: list[str] = []
    parts: list[tuple[Array, Array, Array]] = []
    of_parts: list[_Sigma] = []
    for j in kept:
        s = sigmas[j]
        m, v = _given(grams[j], s.values, prior_precision, prior_weighted)
        raw = shift + m @ back.T
        sd = np.sqrt(np.einsum("ab,mbc,ac->ma", back, v, back))
        group = "" if model.pooling == "complete" else str(d.labels[j])
        for k in range(n):
            name = block if k < d.K else "beta"
            own = "" if d.coefficients is None and k < d.K else names[k]
            at = ", ".join(x for x in (group, own) if x)
            labels.append(f"{name}[{at}]" if at else name)
            parts.append((s.weight, raw[:, k], sd[:, k]))
            of_parts.append(s)
    scales: list[tuple[str, _Sigma]] = []
    if d.residual == "common":
        scales = [("sigma", sigmas[kept[0]])]
    elif d.residual == "group":
        scales = [(f"sigma[{d.labels[j]}]", sigmas[j]) for j in kept]
    moments = [mixtures.moments(w, m[:, None], s[:, None]) for w, m, s in parts]
    # Coefficients are as wide as sigma; where it is known they are normal.
    moments_known = [sigma_.powers for sigma_ in of_parts]
    means = [float(m[0]) for m, _ in moments]
    sds = [float(s[0]) for _, s in moments]
    for _, s in scales:
        centre = float(s.weight @ s.values)
        means.append(centre)
        moments_known.append(s.powers)
        sds.append(math.sqrt(s.weight @ (s.values - centre) ** 2))

    def cdf(x: Array) -> Array:
        out = np.empty(x.shape)
        for k, (w, m, s) in enumerate(parts):
            out[:, k] = mixtures.cdf(x[:, k], w, m[:, None], s[:, None])
        for k, (_, sigma) in enumerate(scales, start=len(parts)):
            assert sigma.marginal is not None  # noqa: S101 - it is not known
            out[:, k] = sigma.marginal.cdf(_on_the_line(x[:, k], sigma.upper))
        return out

    return Twin(
        "normal coefficients given sigma" if scales else "closed form",
        (*labels, *(name for name, _ in scales)),
        np.array(means),
        np.array(sds),
        np.array(moments_known),
        cdf,
    )


def _on_the_line(x: Array, upper: Array) -> Array:
    return on_the_line(np.clip(x, 1e-300, upper * (1 - 1e-16)), np.broadcast_to(upper, x.shape))


def _given(
    gram: Array, sigma: Array, prior_precision: Array, prior_weighted: Array
) -> tuple[Array, Array]:
    """Means and covariances of the centred coefficients given each sigma."""
    precision = gram[:-1, :-1] / sigma[:, None, None] ** 2 + prior_precision
    weighted = gram[:-1, -1] / sigma[:, None] ** 2 + prior_weighted
    variance = np.linalg.inv(precision)
    return np.einsum("mab,mb->ma", variance, weighted), np.asarray(variance)


def _sigma(
    prior: Prior,
    grams: Array,
    rows: NDArray[np.int64],
    prior_precision: Array,
    prior_weighted: Array,
    model: Base,
) -> _Sigma:
    """The posterior of a residual sd that these cross-products share."""
    upper = upper_ends(model.priors, "sigma", 1)

    def log_density(u: Array) -> Array:
        sigma = positive(u[:, 0], upper)
        out = prior.log_density(sigma) + log_positive_jacobian(u, upper)
        for gram, n in zip(grams, rows, strict=True):
            precision = gram[:-1, :-1] / sigma[:, None, None] ** 2 + prior_precision
            weighted = gram[:-1, -1] / sigma[:, None] ** 2 + prior_weighted
            solved = np.linalg.solve(precision, weighted[:, :, None])[:, :, 0]
            out = out - n * np.log(sigma) - 0.5 * np.linalg.slogdet(precision)[1]
            out = out - 0.5 * gram[-1, -1] / sigma**2 + 0.5 * np.sum(weighted * solved, axis=1)
        return np.asarray(out)

    spread = float(grams[:, -1, -1].sum() / rows.sum()) ** 0.5
    start = np.array([min(spread, 0.5 * float(upper[0]))])
    width = np.array([1 / math.sqrt(2 * rows.sum())])
    for powers in (4, 2, 1, 0):
        # Moments are followed as far as they exist.
        def reach(u: Array, powers: int = powers) -> Array:
            return powers * np.log(positive(u[:, 0], upper))

        try:
            table = quadrature.lattice(log_density, _on_the_line(start, upper), width, reach=reach)
        except quadrature.TailError:
            if powers == 0:
                raise
        else:
            break
    u, w = table.nodes(table.every)
    return _Sigma(positive(u[:, 0], upper), w, table.marginal(0), upper, powers)
