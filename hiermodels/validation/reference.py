"""Exact posteriors as the certificate wants them: mean, sd and distribution function by label.

One-way models have theirs by quadrature (:mod:`~hiermodels.engines.exact.posterior`); without
pooling, and with complete pooling, the models are regressions
(:mod:`~hiermodels.engines.exact.regressions`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..data.design import Design
from ..engines.exact import posterior as exact
from ..engines.exact import regressions
from ..engines.exact.regressions import Sigma
from ..families.gaussian import mixtures
from ..families.gaussian.family import moments_of
from ..priors.distributions import Flat

if TYPE_CHECKING:
    from ..models.base import Base

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
    """The exact posterior of a model's scalars; None without a closed form."""
    if not model.family.marginal:
        return None
    d = moments_of(model.design)
    if model.pooling != "partial":
        return _of_regression(model)
    if not d.scalar or d.residual == "group":
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


def _of_regression(model: Base) -> Twin | None:
    """Complete pooling, or no pooling: coefficients given sigma are normal."""
    found = regressions.of_model(model)
    if found is None:
        return None
    d, complete = moments_of(model.design), model.pooling == "complete"
    block, names = "mu" if complete else "theta", list(d.names)
    owner = {0: (found[0], 0)}  # of each group its regression, and its place among those
    if not complete:
        owner = {j: (r, b) for r in found for b, j in enumerate(r.places)}
    kept = [0] if complete else places(d).tolist()
    shift, back = d.at_zero
    labels: list[str] = []
    parts: list[tuple[Array, Array, Array]] = []
    of_parts: list[Sigma] = []
    for j in kept:
        regression, b = owner[j]
        m, v = regression.given(b)
        raw = shift + m @ back.T
        sd = np.sqrt(np.einsum("ab,mbc,ac->ma", back, v, back))
        group = "" if complete else str(d.labels[j])
        for k in range(d.K + d.P):
            name = block if k < d.K else "beta"
            own = "" if d.scalar and k < d.K else names[k]
            at = ", ".join(x for x in (group, own) if x)
            labels.append(f"{name}[{at}]" if at else name)
            parts.append((regression.sigma.weight, raw[:, k], sd[:, k]))
            of_parts.append(regression.sigma)
    scales: list[tuple[str, Sigma]] = []
    if d.residual == "common":
        scales = [("sigma", found[0].sigma)]
    elif d.residual == "group":
        scales = [(f"sigma[{d.labels[j]}]", owner[j][0].sigma) for j in kept]
    moments = [mixtures.moments(w, m[:, None], s[:, None]) for w, m, s in parts]
    # Coefficients are as wide as sigma; where it is known they are normal.
    moments_known = [sigma.powers for sigma in of_parts]
    means = [float(m[0]) for m, _ in moments]
    sds = [float(s[0]) for _, s in moments]
    for _, s in scales:
        centre = float(s.weight @ s.values)
        means.append(centre)
        moments_known.append(s.powers)
        sds.append(math.sqrt(s.weight @ (s.values - centre) ** 2))
    tables = [(s, s.table.marginal(0)) for _, s in scales if s.table is not None]

    def cdf(x: Array) -> Array:
        out = np.empty(x.shape)
        for k, (w, m, s) in enumerate(parts):
            out[:, k] = mixtures.cdf(x[:, k], w, m[:, None], s[:, None])
        for k, (sigma, table) in enumerate(tables, start=len(parts)):
            out[:, k] = table.cdf(sigma.on_the_line(x[:, k]))
        return out

    return Twin(
        "normal coefficients given sigma" if scales else "closed form",
        (*labels, *(name for name, _ in scales)),
        np.array(means),
        np.array(sds),
        np.array(moments_known),
        cdf,
    )
