"""Empirical Bayes: group means shrunk with plug-in estimates, the classical estimate."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from ..errors import OptionError, suggest
from ..families.gaussian.moments import Moments
from ..models.base import one_of
from . import analysis_of_variance, heterogeneity, mixed_models
from .results import (
    Array,
    Result,
    about,
    check_level,
    design_of,
    index_of,
    interval,
    means_of,
    need_replication,
    number,
)

TAUS = {
    "OneWay": ("moment", "reml", "ml"),
    "EightSchools": heterogeneity.METHODS,
}


@dataclass(frozen=True, eq=False, repr=False)
class EmpiricalBayes(Result):
    """Group means shrunk towards their mean, with plug-in estimates of the hyperparameters.

    Attributes
    ----------
    table : DataFrame
        One row for each group, by its label: ``n`` (``OneWay``), ``mean`` and its standard error
        ``se``, ``pooling_factor`` (0 no pooling, 1 complete pooling), ``estimate`` of theta_j,
        ``sd``, ``lower``, ``upper``.
    mu, tau : float
        What was plugged in.
    method : str
        Where tau is from.
    sd : {"own", "pooled", "known"}
        Which sd the standard errors of the means are made of.
    level : float
        Of the intervals.
    """

    table: pd.DataFrame
    mu: float
    tau: float
    method: str
    sd: str
    level: float
    _about: str = field(default="")

    def _lines(self) -> list[str]:
        first = f"Empirical Bayes for {self._about}: mu = {number(self.mu)}, "
        first += f"tau = {number(self.tau)} ({self.method}), {self.sd} sd"
        lines = [first, *self._shown()]
        if self.tau == 0:
            lines.append("tau = 0: complete pooling, and intervals of no width")
        return lines


def empirical_bayes(
    model: Any,
    *,
    tau: str | float | None = None,
    sd: str | None = None,
    level: float = 0.9,
    mu: float | None = None,
) -> EmpiricalBayes:
    """Shrink the group means with estimates in place of the hyperparameters.

    The classical estimate weighs a group's mean by its precision n_j / s_j^2 and the population
    mean by 1 / tau^2 (Gelman and Hill 2007, section 12.2):

        theta_j = (n_j/s_j^2 ybar_j + 1/tau^2 mu) / (n_j/s_j^2 + 1/tau^2)
                = B_j mu + (1 - B_j) ybar_j,   B_j = v_j / (v_j + tau^2),   v_j = s_j^2 / n_j

    with the sd sqrt((1 - B_j) v_j). mu is the mean weighted by 1 / (v_j + tau^2), which has the
    least variance; Gelman and Hill's is the mean of all rows, ``mu=anova(model).mean``. tau = 0
    is complete pooling, tau = infinity none. The sds and intervals take mu, tau and s_j as known
    and so are too narrow, at tau = 0 to nothing: that is what a posterior mends.

    Parameters
    ----------
    model : OneWay or EightSchools
        The data; no rows are read. Pooling, parameterization and priors play no part.
    tau : str or float, optional
        For ``OneWay`` "moment" (the default: of :func:`anova`), "reml" or "ml" (of
        :func:`mixed_model`); for ``EightSchools`` "dl" (the default), "pm" or "reml" (of
        :func:`meta_analysis`, whose v_j are the known sigma_j^2). Or a number, at least 0.
    sd : {"own", "pooled"}, optional
        For ``OneWay``: s_j is the group's own sd (the default), or one for all groups: that
        which was estimated with tau. With "pooled" and "reml" the result is the mixed model's.
    level : float
        Of the (normal) intervals.
    mu : float, optional
        Population mean to shrink towards, in units of the response; by default the weighted mean.

    Returns
    -------
    EmpiricalBayes

    Raises
    ------
    OptionError
        A model of another class, or an option of the wrong value.
    DataError
        Fewer than 2 groups; no replication; a group without an sd of its own.
    """
    d = design_of(
        model,
        "empirical_bayes",
        {
            "OneWay": None,
            "EightSchools": None,
            "VaryingSlopes": "mixed_model(model).effects are its shrunk coefficients",
        },
    )
    level = check_level(level)
    allowed = TAUS[model.name]
    method: str | float = allowed[0] if tau is None else tau
    if not isinstance(method, str):
        method = _number(method, allowed)
    elif method not in allowed:
        raise OptionError(
            f"tau must be a number or one of {', '.join(map(repr, allowed))} for {model.name}, "
            f"got {method!r}{suggest(method, allowed)}"
        )
    towards = None if mu is None else _mean(mu)
    columns: dict[str, Any] = {}
    if d.residual == "known":
        analysis_of_variance.refuse_sd(sd)
        mean, se = analysis_of_variance.known(d)
        value = method if isinstance(method, float) else None
        if value is None:
            value = math.sqrt(heterogeneity.between_variance(mean, se**2, str(method)))
        sd = "known"
    else:
        sd = "own" if sd is None else sd
        one_of("sd", sd, analysis_of_variance.SDS)
        need_replication(d, "empirical_bayes")
        value, sigma = _components(d, method)
        mean = means_of(d)
        own = (
            analysis_of_variance.need_own_sds(d, "empirical_bayes")
            if sd == "own"
            else np.full(d.J, sigma)
        )
        se = own / np.sqrt(d.sizes)
        columns["n"] = d.sizes
    B, weighted = _pooling(mean, se**2, value)
    centre = weighted if towards is None else towards
    theta, spread = mean + B * (centre - mean), np.sqrt(1 - B) * se
    lower, upper = interval(theta, spread, level)
    columns |= {"mean": mean, "se": se, "pooling_factor": B, "estimate": theta, "sd": spread}
    return EmpiricalBayes(
        table=pd.DataFrame({**columns, "lower": lower, "upper": upper}, index=index_of(d)),
        mu=centre,
        tau=value,
        method=method if isinstance(method, str) else "given",
        sd=sd,
        level=level,
        _about=about(d),
    )


def _real(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_))


def _mean(mu: Any) -> float:
    if not _real(mu) or not math.isfinite(mu):
        raise OptionError(
            f"mu must be a finite number, got {mu!r}; leave it out for the weighted mean"
        )
    return float(mu)


def _number(tau: Any, allowed: tuple[str, ...]) -> float:
    if not _real(tau) or not tau >= 0:
        raise OptionError(
            f"tau must be a number, at least 0, or one of {', '.join(map(repr, allowed))}, got "
            f"{tau!r}"
        )
    return float(tau)


def _components(d: Moments, method: str | float) -> tuple[float, float]:
    """Tau, and the pooled sd that goes with it."""
    if method in ("reml", "ml"):
        found = mixed_models.estimate(d, str(method))
        return math.sqrt(mixed_models.covariance_of(d, found)[0, 0]), found.sigma
    moments = analysis_of_variance.of_design(d)
    return (method if isinstance(method, float) else moments.tau), moments.sigma


def _pooling(mean: Array, v: Array, tau: float) -> tuple[Array, float]:
    """Pooling factors, and the weighted mean."""
    if math.isinf(tau):
        return np.zeros(len(v)), float(mean.mean())
    return v / (v + tau**2), heterogeneity.pooled(mean, v, tau**2)[0]
