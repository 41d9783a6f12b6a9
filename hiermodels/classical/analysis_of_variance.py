"""One-way analysis of variance, and the group means with their confidence intervals."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from ..errors import DataError, DataWarning, OptionError, listed
from ..families.gaussian.moments import Moments
from ..models.base import one_of
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

SDS = ("own", "pooled")


@dataclass(frozen=True, eq=False, repr=False)
class Anova(Result):
    """A one-way analysis of variance.

    Attributes
    ----------
    table : DataFrame
        Rows ``between``, ``within`` and ``total``; columns ``df``, ``sum_sq``, ``mean_sq``, ``F``,
        ``p``, NaN where a row has none.
    F, p : float
        The F test of equal group means, on ``df_between`` and ``df_within`` degrees of freedom.
    df_between, df_within : int
        J - 1 and N - J.
    ss_between, ss_within, ms_between, ms_within : float
        Sums of squares and mean squares, in squared units of the response.
    mean : float
        Mean of all rows.
    n0 : float
        The group size that unequal ones amount to.
    tau2 : float
        Moment estimate of tau^2, which may be negative.
    tau, sigma : float
        Moment estimates of the between-group and within-group sd; tau is 0 where ``tau2`` is
        negative.
    icc : float
        Intraclass correlation tau^2 / (tau^2 + sigma^2).
    """

    table: pd.DataFrame
    F: float
    p: float
    df_between: int
    df_within: int
    ss_between: float
    ss_within: float
    ms_between: float
    ms_within: float
    mean: float
    n0: float
    tau2: float
    tau: float
    sigma: float
    icc: float
    _about: str = field(default="")

    def _lines(self) -> list[str]:
        lines = [f"Analysis of variance of {self._about}", *self._shown()]
        lines.append(
            f"moments: sigma = {number(self.sigma)}, tau = {number(self.tau)}, "
            f"icc = {number(self.icc)} (n0 = {number(self.n0)})"
        )
        if self.tau2 < 0:
            lines.append(f"tau^2 = {number(self.tau2)} was put to 0, as F is below 1")
        return lines


def anova(model: Any) -> Anova:
    """One-way analysis of variance: whether the group means differ, and by how much.

    With n_j rows in group j, their mean ybar_j and the mean ybar of all N rows,

        SS_between = sum_j n_j (ybar_j - ybar)^2,      df = J - 1
        SS_within  = sum_j sum_i (y_ij - ybar_j)^2,    df = N - J
        F = MS_between / MS_within,   MS = SS / df

    and the moment estimates, from E MS_within = sigma^2 and E MS_between = sigma^2 + n0 tau^2,

        sigma^2 = MS_within,   tau^2 = (MS_between - MS_within) / n0,
        n0 = (N - sum_j n_j^2 / N) / (J - 1)

    (Searle, Casella and McCulloch 1992, Variance Components, section 3.6). The data enter as group
    sufficient statistics; pooling, parameterization, priors and ``sigma=`` play no part.

    Parameters
    ----------
    model : OneWay
        The data; no rows are read.

    Returns
    -------
    Anova

    Raises
    ------
    OptionError
        A model of another class.
    DataError
        Fewer than 2 groups, or no group with 2 rows.

    Examples
    --------
    >>> import hiermodels as hm
    >>> model = hm.OneWay(hm.datasets.mathscore(), y="mathscore", group="school")
    >>> round(hm.classical.anova(model).F, 3)
    5.834
    """
    d = design_of(
        model,
        "anova",
        {
            "OneWay": None,
            "EightSchools": "meta_analysis(model) has the test of equal effects (Cochran's Q)",
            "VaryingSlopes": "hm.OneWay(frame, y=..., group=...) of the same data has one, and "
            "mixed_model(model) and lines(model) take slopes",
        },
    )
    need_replication(d, "anova")
    return of_design(d)


def of_design(d: Moments) -> Anova:
    """Analysis of variance of data with replication, where only the intercept varies."""
    J, N, n = d.J, d.N, d.sizes.astype(np.float64)
    sums = d.gram[:, 0, -1]  # of the response less its mean
    between = float(np.sum(sums**2 / n) - sums.sum() ** 2 / N)
    within = float(d.within.rss.sum())
    df = (J - 1, N - J)
    ms = (between / df[0], within / df[1])
    with np.errstate(divide="ignore"):  # groups that are constant
        ratio = float(np.divide(ms[0], ms[1]))
    p = float(stats.f.sf(ratio, *df))
    n0 = (N - np.sum(n**2) / N) / (J - 1)
    tau2 = float((ms[0] - ms[1]) / n0)
    tau, sigma = math.sqrt(max(tau2, 0.0)), math.sqrt(ms[1])
    nothing = float("nan")
    table = pd.DataFrame(
        {
            "df": (*df, N - 1),
            "sum_sq": (between, within, between + within),
            "mean_sq": (*ms, nothing),
            "F": (ratio, nothing, nothing),
            "p": (p, nothing, nothing),
        },
        index=pd.Index(["between", "within", "total"], name="source"),
    )
    return Anova(
        table=table,
        F=ratio,
        p=p,
        df_between=df[0],
        df_within=df[1],
        ss_between=between,
        ss_within=within,
        ms_between=ms[0],
        ms_within=ms[1],
        mean=float(d.means[-1]),
        n0=float(n0),
        tau2=tau2,
        tau=tau,
        sigma=sigma,
        icc=tau**2 / (tau**2 + sigma**2),
        _about=about(d),
    )


@dataclass(frozen=True, eq=False, repr=False)
class GroupMeans(Result):
    """The group means, each by itself: what no pooling says.

    Attributes
    ----------
    table : DataFrame
        One row for each group, by its label: ``n``, ``mean``, ``sd`` (the group's own), ``se``,
        ``lower``, ``upper``; for ``EightSchools``, ``mean``, ``se``, ``lower``, ``upper``.
    level : float
        Confidence level of the intervals.
    sd : {"own", "pooled", "known"}
        Which sd the standard errors are made of.
    """

    table: pd.DataFrame
    level: float
    sd: str
    _about: str = field(default="")

    def _lines(self) -> list[str]:
        said = f"{100 * self.level:g} % confidence intervals, {self.sd} sd"
        return [f"Means of {self._about}; {said}", *self._shown()]


def group_means(model: Any, level: float = 0.9, *, sd: str | None = None) -> GroupMeans:
    """Mean, standard error and confidence interval of each group, without any pooling.

    ::

        ybar_j -+ t(n_j - 1) s_j / sqrt(n_j)     own sd
        ybar_j -+ t(N - J) s / sqrt(n_j)         pooled sd, s^2 = MS_within
        y_j -+ z sigma_j                         EightSchools

    Parameters
    ----------
    model : OneWay or EightSchools
        The data; no rows are read.
    level : float
        Confidence level, between 0 and 1.
    sd : {"own", "pooled"}, optional
        For ``OneWay``: the group's own sd (the default), or one for all groups.

    Returns
    -------
    GroupMeans

    Raises
    ------
    OptionError
        A model of another class, or an option of the wrong value.
    DataError
        Fewer than 2 groups; a pooled sd where no group has 2 rows.

    Warns
    -----
    DataWarning
        Groups of one row, which have no sd of their own.
    """
    d = design_of(
        model,
        "group_means",
        {
            "OneWay": None,
            "EightSchools": None,
            "VaryingSlopes": "lines(model) has the least-squares line of each group, and "
            "hm.OneWay(frame, y=..., group=...) the means",
        },
    )
    level = check_level(level)
    if d.residual == "known":
        refuse_sd(sd)
        mean, se = known(d)
        columns: dict[str, Any] = {"mean": mean, "se": se}
        df: Any = math.inf
        sd = "known"
    else:
        sd = "own" if sd is None else sd
        one_of("sd", sd, SDS)
        mean, own = means_of(d), own_sds(d)
        if sd == "pooled":
            need_replication(d, "a pooled sd")
            df, used = d.N - d.J, np.full(d.J, math.sqrt(d.within.rss.sum() / (d.N - d.J)))
        else:
            df, used = d.sizes - 1, own
            _warn_of_single(d)
        se = used / np.sqrt(d.sizes)
        columns = {"n": d.sizes, "mean": mean, "sd": own, "se": se}
    lower, upper = interval(columns["mean"], columns["se"], level, df)
    table = pd.DataFrame({**columns, "lower": lower, "upper": upper}, index=index_of(d))
    return GroupMeans(table=table, level=level, sd=sd, _about=about(d))


def own_sds(d: Moments) -> Array:
    """Each group's own sd, NaN where it has one row, shape (J,)."""
    df = d.sizes - 1
    variance = np.divide(d.within.rss, df, out=np.full(d.J, np.nan), where=df > 0)
    return np.asarray(np.sqrt(variance))


def known(d: Moments) -> tuple[Array, Array]:
    """Estimates and their known standard errors, each of shape (J,)."""
    rows = d.rows("EightSchools")
    assert rows.se is not None  # noqa: S101 - for the type checker
    return rows.y, rows.se


def refuse_sd(sd: Any) -> None:
    """Refuse a choice of sd where the standard errors are known."""
    if sd is not None:
        raise OptionError(
            f"sd chooses among the sds of rows, and EightSchools has known standard errors, got "
            f"{sd!r}; leave it out"
        )


def need_own_sds(d: Moments, what: str) -> Array:
    """Each group's own sd, where each has one above 0.

    Raises
    ------
    DataError
        A group of one row, or of rows that are all alike.
    """
    own = own_sds(d)
    without = ~(own > 0)
    if without.any():
        raise DataError(
            f"{what} needs an sd above 0 of each group's own, and {int(without.sum())} of {d.J} "
            f"have none ({listed(d.labels[without])}): one row, or rows that are all alike; "
            "sd='pooled' takes one for all groups"
        )
    return own


def _warn_of_single(d: Moments) -> None:
    single = d.sizes == 1
    if single.any():
        # Without any replication there is nothing to pool either.
        way_out = (
            "hm.EightSchools takes one estimate per group with its standard error"
            if single.all()
            else "sd='pooled' gives them one"
        )
        warnings.warn(
            f"{int(single.sum())} of {d.J} groups have one row and no sd of their own "
            f"({listed(d.labels[single])}): their intervals are empty; {way_out}",
            DataWarning,
            stacklevel=3,
        )
