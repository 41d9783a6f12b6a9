"""The mixed model, by REML or ML."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from ..errors import DataError, DataWarning, DiagnosticWarning, OptionError, listed
from ..families.gaussian import marginal
from ..families.gaussian.moments import PERFECT, Moments
from ..models.base import one_of
from . import variance_components
from .results import (
    Array,
    Result,
    about,
    check_level,
    design_of,
    index_of,
    interval,
    need_replication,
    number,
    shown,
)
from .variance_components import METHODS, Components

# An sd below this share of what the residuals could make of it is 0, up to rounding.
_NO_SD = 1e-7


@dataclass(frozen=True, eq=False, repr=False)
class MixedModel(Result):
    """A mixed model, estimated by REML or ML.

    Attributes
    ----------
    table : DataFrame
        One row for each parameter, named as in ``hm.summary``: ``mu``, ``tau``, ``Omega``,
        ``beta``, ``sigma`` (and ``icc`` for ``OneWay``); columns ``estimate``, and ``se``,
        ``lower``, ``upper`` of the coefficients.
    mu, tau : float (OneWay), or Series by coefficient (VaryingSlopes)
        Population means and standard deviations of the group effects.
    Omega : DataFrame
        Correlations of the group effects; NaN beside a tau of 0.
    beta : Series
        Common coefficients.
    sigma : float
        Residual sd.
    covariance : DataFrame
        Of the estimates of mu and beta, the variance components taken as known.
    effects : DataFrame
        Each group's own coefficients theta (population mean plus BLUP of the deviation), by label.
    effects_sd : DataFrame
        Their conditional sds, all other parameters taken as known: too small, by what the others
        are uncertain.
    log_likelihood : float
        Restricted (REML) or full (ML), constants included.
    method : {"reml", "ml"}
    boundary : bool
        Whether the covariance of the effects is singular: a tau of 0, or effects that are exact
        linear functions of each other (a correlation of 1).
    converged : bool
        Whether this is the maximum, to about six digits or more.
    level : float
        Confidence level of ``lower`` and ``upper``.
    """

    table: pd.DataFrame
    mu: Any
    tau: Any
    Omega: pd.DataFrame
    beta: pd.Series[float]
    sigma: float
    covariance: pd.DataFrame
    effects: pd.DataFrame
    effects_sd: pd.DataFrame
    log_likelihood: float
    method: str
    boundary: bool
    converged: bool
    level: float
    _about: str = field(default="")

    def _lines(self) -> list[str]:
        name = self.method.upper()
        lines = [f"Mixed model of {self._about}, by {name}", *shown(self.table)]
        lines.append(f"log likelihood ({name}) = {number(self.log_likelihood)}")
        if self.boundary:
            lines.append(f"on the boundary: {_on_the_boundary(self)}")
        if not self.converged:
            lines.append("not converged: the digits are not to be trusted")
        return lines


def mixed_model(model: Any, method: str = "reml", *, level: float = 0.9) -> MixedModel:
    """Estimate coefficients, variance components and group effects by REML or ML.

    ::

        y_j ~ N(X_j beta + Z_j mu, Z_j Sigma Z_j' + sigma^2 I),   Sigma = diag(tau) Omega diag(tau)

    The (restricted) likelihood is maximized over Sigma with mu, beta and sigma profiled out (see
    :mod:`~hiermodels.classical.variance_components`, with sources); they are those of lme4's
    ``lmer``. Coefficients and their standard errors are by generalized least squares at the
    estimated components. The effects are best linear unbiased predictions (Henderson 1975,
    Biometrics 31), Sigma Z_j' V_j^-1 (y_j - X_j beta - Z_j mu) off mu. The data enter as group
    sufficient statistics; pooling, parameterization and priors play no part.

    Parameters
    ----------
    model : OneWay or VaryingSlopes
        The data, with ``sigma="common"``; no rows are read.
    method : {"reml", "ml"}
        Restricted or full maximum likelihood.
    level : float
        Confidence level of the coefficients' (normal) intervals.

    Returns
    -------
    MixedModel

    Raises
    ------
    OptionError
        A model of another class, ``sigma="group"``, or an option of the wrong value.
    DataError
        Fewer than 2 groups, no replication, or a perfect fit.

    Warns
    -----
    DataWarning
        The estimate lies on the boundary.
    DiagnosticWarning
        The maximum was not found.
    """
    d = design_of(
        model,
        "mixed_model",
        {
            "OneWay": None,
            "VaryingSlopes": None,
            "EightSchools": "meta_analysis(model, method='reml') takes known standard errors",
        },
    )
    one_of("method", method, METHODS)
    level = check_level(level)
    if d.residual == "group":
        raise OptionError(
            "mixed_model has one residual sd, got sigma='group'; "
            "mixed_model(model.replace(sigma='common')) estimates it"
        )
    found = _result(d, estimate(d, method), method, level)
    if found.boundary:
        warnings.warn(
            f"the {method.upper()} estimate lies on the boundary: {_on_the_boundary(found)}; other "
            "values are plausible as well, as the posterior shows, model.fit()",
            DataWarning,
            stacklevel=2,
        )
    if not found.converged:
        warnings.warn(
            f"the {method.upper()} estimate did not converge: the likelihood is too flat for its "
            "maximum; leave varying columns out, or look at the posterior, model.fit()",
            DiagnosticWarning,
            stacklevel=2,
        )
    return found


def estimate(d: Moments, method: str) -> Components:
    """Variance components of data that have them.

    Raises
    ------
    DataError
        No replication, or a perfect fit.
    """
    need_replication(d, "mixed_model")
    left = d.between_groups
    if left.df[0] < 1:
        raise DataError(
            f"mixed_model needs rows beyond those that the groups' own lines take, got {d.N} rows "
            f"and none left in {d.J} groups with {d.K} varying and {d.P} common coefficients: "
            "sigma cannot be learned; leave varying columns out"
        )
    if left.rss[0] <= left.least[0] or d.pooled_rss <= PERFECT * d.total_ss:
        raise DataError(
            f"the groups' own lines fit {d.response!r} perfectly, so that sigma is 0 and the "
            "likelihood has no maximum; is the response among the columns?"
        )
    return variance_components.maximize(d, method)


def covariance_of(d: Moments, found: Components) -> Array:
    """Covariance Sigma of the raw columns' effects, shape (K, K)."""
    root = d.at_zero[1][: d.K, : d.K] @ found.Lambda
    return np.asarray(root @ root.T)


def _result(d: Moments, found: Components, method: str, level: float) -> MixedModel:
    shift, back = d.at_zero
    K, names = d.K, list(d.names)
    coefficients = shift + back @ found.centred
    covariance = back @ found.covariance @ back.T
    tau, Omega = _sds_and_correlations(d, found)
    theta, theta_sd = _effects(d, found)

    one_way = d.scalar
    varying = ["theta"] if one_way else names[:K]
    labels = ["mu"] if one_way else [f"mu[{n}]" for n in names[:K]]
    labels += [f"beta[{n}]" for n in names[K:]]
    se = np.sqrt(np.diag(covariance))
    lower, upper = interval(coefficients, se, level)
    rows = dict(zip(labels, zip(coefficients, se, lower, upper, strict=True), strict=True))
    places = [f"[{n}]" for n in names[:K]] if not one_way else [""]
    alone = {f"tau{place}": t for place, t in zip(places, tau, strict=True)}
    for a in range(K):
        for b in range(a + 1, K):
            alone[f"Omega[{names[a]}, {names[b]}]"] = Omega[a, b]
    alone["sigma"] = found.sigma
    if one_way:
        alone["icc"] = float(tau[0] ** 2 / (tau[0] ** 2 + found.sigma**2))
    nothing = math.nan
    table = pd.DataFrame(
        [*rows.values(), *((value, nothing, nothing, nothing) for value in alone.values())],
        index=[*rows, *alone],
        columns=["estimate", "se", "lower", "upper"],
    )
    return MixedModel(
        table=table,
        mu=float(coefficients[0]) if one_way else pd.Series(coefficients[:K], names[:K]),
        tau=float(tau[0]) if one_way else pd.Series(tau, names[:K]),
        Omega=pd.DataFrame(Omega, varying, varying),
        beta=pd.Series(coefficients[K:], names[K:], dtype=float),
        sigma=found.sigma,
        covariance=pd.DataFrame(covariance, labels, labels),
        effects=pd.DataFrame(theta, index_of(d), varying),
        effects_sd=pd.DataFrame(theta_sd, index_of(d), varying),
        log_likelihood=found.log_likelihood,
        method=method,
        boundary=found.boundary,
        converged=found.converged,
        level=level,
        _about=about(d),
    )


def _sds_and_correlations(d: Moments, found: Components) -> tuple[Array, Array]:
    """Tau, shape (K,), and Omega, shape (K, K), which is NaN beside a tau of 0."""
    Sigma = covariance_of(d, found)
    length = np.where(d.size[: d.K] > 0, d.size[: d.K], 1.0)
    tau = np.sqrt(np.diag(Sigma))
    tau = np.where(tau * length > _NO_SD * found.sigma, tau, 0.0)
    none = tau == 0
    Omega = Sigma / np.outer(np.where(none, 1, tau), np.where(none, 1, tau))
    Omega[none, :] = Omega[:, none] = math.nan
    np.fill_diagonal(Omega, 1)
    return tau, np.clip(Omega, -1, 1)


def _effects(d: Moments, found: Components) -> tuple[Array, Array]:
    """The groups' own coefficients and their conditional sds, each of shape (J, K)."""
    p = marginal.Population(found.centred[None], found.Lambda[None], np.array([[found.sigma**2]]))
    given = marginal.condition(d.rotated, p)
    theta = marginal.raw_effects(d, p, marginal.deviations(p, given))
    variances = marginal.variances(marginal.root(d.at_zero, p), given)
    stacked = [np.stack([part[0] for part in parts], axis=1) for parts in (theta, variances)]
    return stacked[0], np.sqrt(stacked[1])


def _on_the_boundary(found: MixedModel) -> str:
    """What lies on the boundary."""
    tau = found.tau
    zero = [] if isinstance(tau, float) else [str(n) for n in tau.index[tau == 0]]
    if isinstance(tau, float) or len(zero) == len(tau):
        return "tau = 0, complete pooling"
    if zero:
        return f"tau = 0 for {listed(zero)}"
    return "group effects that are exact linear functions of each other"
