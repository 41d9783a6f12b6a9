"""Random-effects meta-analysis: tau^2 by DerSimonian-Laird, Paule-Mandel or REML."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize, stats

from ..errors import OptionError
from ..models.base import one_of
from .analysis_of_variance import known
from .results import Array, Result, about, check_level, design_of, index_of, interval, number

METHODS = ("dl", "pm", "reml")
_NAMES = {"dl": "DerSimonian-Laird", "pm": "Paule-Mandel", "reml": "REML"}
_GRID = 400  # places at which the slope of the restricted likelihood is looked at


@dataclass(frozen=True, eq=False, repr=False)
class MetaAnalysis(Result):
    """A random-effects meta-analysis.

    Attributes
    ----------
    table : DataFrame
        Rows ``complete`` (complete pooling, tau = 0: the "fixed effect") and ``dl``, ``pm``,
        ``reml``; columns ``tau2``, ``tau``, ``mu``, ``se``, ``lower``, ``upper``, ``I2``, ``H2``
        (NaN of ``complete``, which says nothing of how the groups differ).
    method : {"dl", "pm", "reml"}
        That whose numbers are the attributes below.
    tau2, tau : float
        Between-group variance, in squared units of the estimates, and sd.
    tau_lower, tau_upper : float
        Confidence limits of tau by the Q profile, which belong to no method; both 0 where the
        estimates are nearer to each other than any tau accounts for.
    mu, se, lower, upper : float
        Population mean, its standard error and confidence limits, tau^2 taken as known: normal, or
        by Hartung and Knapp.
    hartung_knapp : bool
        Whether they are by Hartung and Knapp.
    Q, Q_p : float
        Cochran's Q, and the p value of equal effects, by chi^2 on ``Q_df`` = J - 1 degrees of
        freedom.
    Q_df : int
    I2, H2 : float
        Share of the variance of the estimates that lies between groups (0 to 1), and ratio of all
        of it to that within.
    groups : DataFrame
        Each group, by its label: ``estimate``, ``se``, and ``weight``, its share in ``mu``.
    level : float
        Confidence level.
    """

    table: pd.DataFrame
    method: str
    tau2: float
    tau: float
    mu: float
    se: float
    lower: float
    upper: float
    Q: float
    Q_df: int
    Q_p: float
    I2: float
    H2: float
    groups: pd.DataFrame
    level: float
    tau_lower: float
    tau_upper: float
    hartung_knapp: bool
    _about: str = field(default="")

    def _lines(self) -> list[str]:
        percent = f"{100 * self.level:g} %"
        by = ", Hartung-Knapp" if self.hartung_knapp else ""
        lines = [
            f"Meta-analysis of {self._about}, {_NAMES[self.method]}{by}",
            *self._shown(),
            f"mu = {number(self.mu)} ({percent} interval {number(self.lower)} to "
            f"{number(self.upper)}), tau = {number(self.tau)} ({percent} Q-profile interval "
            f"{number(self.tau_lower)} to {number(self.tau_upper)})",
            f"Q = {number(self.Q)} on {self.Q_df} df, p = {number(self.Q_p)}; "
            f"I^2 = {100 * self.I2:.1f} %, H^2 = {number(self.H2)}",
        ]
        if self.tau2 == 0:
            lines.append(
                "tau^2 = 0: the restricted likelihood is highest there"
                if self.method == "reml"
                else f"tau^2 = 0: Q is not above its {self.Q_df} degrees of freedom"
            )
        return lines


def meta_analysis(
    model: Any, method: str = "dl", *, level: float = 0.9, hartung_knapp: bool = False
) -> MetaAnalysis:
    """Random-effects meta-analysis of estimates with known standard errors.

    With v_j = sigma_j^2, w_j = 1 / (v_j + tau^2) and mu = sum w_j y_j / sum w_j, whose standard
    error is (sum w_j)^-1/2, all three estimates of tau^2 are 0 where they would be negative:

    - "dl": tau^2 = (Q - (J - 1)) / (sum u_j - sum u_j^2 / sum u_j), u_j = 1/v_j, with Cochran's
      Q = sum u_j (y_j - mu_u)^2 (DerSimonian and Laird 1986, Controlled Clinical Trials 7);
    - "pm": the root of sum w_j (y_j - mu)^2 = J - 1 (Paule and Mandel 1982, Journal of Research of
      the National Bureau of Standards 87; DerSimonian and Kacker 2007, Contemporary Clinical
      Trials 28);
    - "reml": the maximum of the restricted likelihood
      -1/2 (sum log(v_j + tau^2) + log sum w_j + sum w_j (y_j - mu)^2), where its slope by tau^2,
      1/2 (sum w_j^2 (y_j - mu)^2 - sum w_j + sum w_j^2 / sum w_j), is 0 (Viechtbauer 2005, Journal
      of Educational and Behavioral Statistics 30, section 2).

    The first is statsmodels' ``combine_effects``. With the typical variance within,
    s^2 = (J - 1) sum u_j / ((sum u_j)^2 - sum u_j^2), I^2 = tau^2 / (tau^2 + s^2) and
    H^2 = 1 + tau^2 / s^2, which are max(0, 1 - (J - 1)/Q) and max(1, Q/(J - 1)) for "dl" (Higgins
    and Thompson 2002, Statistics in Medicine 21).

    The limits of tau are where Q(tau^2) = sum w_j (y_j - mu)^2, which falls in tau^2 and has the
    chi^2 distribution on J - 1 degrees of freedom at the true one, is that distribution's quantile
    of (1 + level)/2 and of (1 - level)/2, or 0 where it never is (the Q profile; Viechtbauer 2007,
    Statistics in Medicine 26). Hartung and Knapp (2001, Statistics in Medicine 20) take
    sqrt(Q(tau^2) / (J - 1) / sum w_j) for the standard error of mu and t(J - 1) for its
    distribution: wider intervals as a rule, and right ones with few groups; narrower where the
    estimates agree by chance.

    Parameters
    ----------
    model : EightSchools
        The data; pooling, parameterization and priors play no part.
    method : {"dl", "pm", "reml"}
        That whose numbers are attributes; the table has all.
    level : float
        Confidence level, between 0 and 1.
    hartung_knapp : bool
        Standard errors and limits of mu by Hartung and Knapp, but in the row ``complete``.

    Returns
    -------
    MetaAnalysis

    Raises
    ------
    OptionError
        A model of another class, or an option of the wrong value.
    DataError
        Fewer than 2 groups.
    """
    d = design_of(
        model,
        "meta_analysis",
        {
            "EightSchools": None,
            "OneWay": "anova(model) and mixed_model(model) take rows in groups",
            "VaryingSlopes": "mixed_model(model) takes rows in groups",
        },
    )
    one_of("method", method, METHODS)
    level = check_level(level)
    if not isinstance(hartung_knapp, bool):
        raise OptionError(f"hartung_knapp must be True or False, got {hartung_knapp!r}")
    y, se = known(d)
    v, u = se**2, 1 / se**2
    Q, df = cochran(y, v), d.J - 1
    typical = df * u.sum() / (u.sum() ** 2 - np.sum(u**2))
    rows = {}
    for name in ("complete", *METHODS):
        complete = name == "complete"
        tau2 = 0.0 if complete else between_variance(y, v, name)
        mu, mu_se = pooled(y, v, tau2)
        widened = hartung_knapp and not complete
        if widened:
            mu_se *= math.sqrt(cochran(y, v, tau2) / df)
        lower, upper = interval(mu, mu_se, level, df if widened else math.inf)
        rows[name] = {
            "tau2": tau2,
            "tau": math.sqrt(tau2),
            "mu": mu,
            "se": mu_se,
            "lower": float(lower),
            "upper": float(upper),
            # Complete pooling takes tau as 0: that is no finding about the groups.
            "I2": math.nan if complete else float(tau2 / (tau2 + typical)),
            "H2": math.nan if complete else float(1 + tau2 / typical),
        }
    chosen = rows[method]
    w = 1 / (v + chosen["tau2"])
    tau_lower, tau_upper = map(math.sqrt, _q_profile(y, v, level))
    return MetaAnalysis(
        table=pd.DataFrame.from_dict(rows, orient="index").rename_axis("method"),
        method=method,
        **chosen,
        Q=Q,
        Q_df=df,
        Q_p=float(stats.chi2.sf(Q, df)),
        groups=pd.DataFrame({"estimate": y, "se": se, "weight": w / w.sum()}, index_of(d)),
        level=level,
        tau_lower=tau_lower,
        tau_upper=tau_upper,
        hartung_knapp=hartung_knapp,
        _about=about(d),
    )


def cochran(y: Array, v: Array, tau2: float = 0.0) -> float:
    """Sum of squares about the weighted mean, sum w_j (y_j - mu)^2 with w_j = 1/(v_j + tau2)."""
    mu, _ = pooled(y, v, tau2)
    return float(np.sum((y - mu) ** 2 / (v + tau2)))


def pooled(y: Array, v: Array, tau2: float) -> tuple[float, float]:
    """Mean weighted by 1/(v_j + tau2), and its standard error."""
    w = 1 / (v + tau2)
    return float(np.average(y, weights=w)), float(w.sum() ** -0.5)


def between_variance(y: Array, v: Array, method: str) -> float:
    """Estimate tau^2, at least 0.

    Parameters
    ----------
    y, v : array, shape (J,)
        Estimates, and squares of their standard errors.
    method : {"dl", "pm", "reml"}
    """
    y, v, unit = _in_units(y, v)
    if method == "dl":
        return unit * _moments(y, v)
    return unit * (_restricted(y, v) if method == "reml" else _generalized_q(y, v, len(y) - 1))


def _q_profile(y: Array, v: Array, level: float) -> tuple[float, float]:
    """Confidence limits of tau^2: where its weighted squares are quantiles of chi^2(J - 1)."""
    y, v, unit = _in_units(y, v)
    # The squares fall in tau^2, so that the upper quantile has the lower limit.
    high, low = (float(stats.chi2.ppf(p, len(y) - 1)) for p in (0.5 + level / 2, 0.5 - level / 2))
    return unit * _generalized_q(y, v, high), unit * _generalized_q(y, v, low)


def _in_units(y: Array, v: Array) -> tuple[Array, Array, float]:
    """Both in units of a typical standard error, so that tolerances may be taken for granted."""
    unit = float(1 / np.mean(1 / v))
    return (y - y.mean()) / math.sqrt(unit), v / unit, unit


def _moments(y: Array, v: Array) -> float:
    from statsmodels.stats.meta_analysis import combine_effects

    # Its other numbers need not exist where tau^2 is negative.
    with np.errstate(all="ignore"):
        return max(0.0, float(combine_effects(y, v, method_re="dl").tau2))


def _generalized_q(y: Array, v: Array, target: float) -> float:
    """Tau^2 that makes the weighted squares as large as asked; 0 where they are never as large.

    statsmodels has this as well, but gives 0 where rounding takes its last step past the root.
    """
    if cochran(y, v) <= target:
        return 0.0
    # The squares are at most sum y_j^2 / tau^2.
    top = float(np.sum(y**2)) / target
    return float(optimize.brentq(lambda t: cochran(y, v, t) - target, 0.0, top, xtol=1e-14))


def _restricted(y: Array, v: Array) -> float:
    """Tau^2 at the highest maximum of the restricted likelihood, which may have several."""

    def slope(t: float) -> float:
        w = 1 / (v + t)
        total = w.sum()
        e = y - np.sum(w * y) / total
        return float(np.sum((w * e) ** 2) - total + np.sum(w**2) / total) / 2

    def log_likelihood(t: float) -> float:
        w = 1 / (v + t)
        e = y - np.sum(w * y) / w.sum()
        return float(np.sum(np.log(w)) - np.log(w.sum()) - np.sum(w * e**2)) / 2

    # The slope is negative beyond the largest square, as w_j e_j^2 < 1 - w_j / sum w_j there.
    top = 4 * float(np.sum(y**2)) + 4 * float(v.max())
    grid = np.concatenate([[0.0], np.geomspace(1e-8 * min(1.0, float(v.min())), top, _GRID)])
    slopes = [slope(t) for t in grid]
    maxima = [0.0]
    for k in range(_GRID):
        if slopes[k] > 0 >= slopes[k + 1]:
            maxima.append(float(optimize.brentq(slope, grid[k], grid[k + 1], xtol=1e-14)))
    return max(maxima, key=log_likelihood)
