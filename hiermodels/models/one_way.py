"""One-way random effects: rows in groups, each group with a mean of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..data.design import Design
from ..errors import OptionError, shown
from ..families.family import Family
from ..families.gaussian.family import Gaussian, moments_of
from ..families.gaussian.laplace import Standardization, classes
from ..families.gaussian.observations import observe
from ..priors.distributions import Prior
from .model import Model


class OneWay(Model):
    """One-way random effects.

    ::

        y_i ~ N(theta_{j[i]}, sigma),   theta_j ~ N(mu, tau)      partial pooling
        y_i ~ N(theta_{j[i]}, sigma),   each theta_j by itself    no pooling
        y_i ~ N(mu, sigma)                                        complete pooling

    (Gelman et al., Bayesian Data Analysis, 3rd ed., section 11.6.) With ``sigma="group"`` each
    group has a residual sd sigma_j of its own.

    Parameters
    ----------
    frame : data frame, path to CSV or Parquet files, or SufficientStatistics
        One row for each observation, or what :func:`hiermodels.sufficient_statistics` made of
        them. Lazy frames (polars, DuckDB, Dask, PySpark, ibis) and large files are summed up where
        they lie; their rows are read only for what exists row by row.
    y : str
        Column of the response.
    group : str
        Column of the group labels.
    sigma : {"common", "group"}
        One residual sd for all rows, or one for each group: ``family=hm.families.Gaussian(sigma)``.
    family : Family, optional
        Distribution of the response; Gaussian by default.
    pooling : {"partial", "none", "complete"}
        Pooling strategy.
    parameterization : {"auto", "marginal", "centered", "noncentered"}
        How partial pooling is written for the sampler; the posterior is the same. "auto" is
        marginal: theta is integrated out, and drawn afterwards.
    priors : dict, optional
        Priors that replace defaults: ``mu``, ``tau``, ``sigma`` (partial), ``theta``, ``sigma``
        (none), ``mu``, ``sigma`` (complete). With m and s the mean and standard deviation of the
        response, the defaults are mu ~ N(m, 2.5 s), tau ~ half-t(3, s), sigma ~ half-t(3, s):
        neither sd can be much above s, and all scale with the data. Without pooling theta is flat.
    missing : {"raise", "drop"}
        What to do with rows that have missing values. Labels that are blank, or that Python writes
        for a missing value (``nan``, ``None``, ...), are missing.

    Raises
    ------
    DataError, ColumnError, OptionError, PriorError
        If the frame, a column, an option or a prior cannot be used; before anything is compiled.

    Warns
    -----
    DataWarning
        The response looks like something that a normal model is wrong for: it has two values, few
        whole numbers, or looks like counts (:mod:`hiermodels.families.responses`). Or rows were
        dropped, or an answer will lean on a prior.

    Notes
    -----
    The container has the intraclass correlation ``icc`` = tau^2 / (tau^2 + sigma^2) as well.
    """

    name = "OneWay"
    stem = "one_way"

    def __init__(
        self,
        frame: Any,
        *,
        y: str,
        group: str,
        sigma: str = "common",
        family: Family | None = None,
        pooling: str = "partial",
        parameterization: str = "auto",
        priors: Mapping[str, Prior] | None = None,
        missing: str = "raise",
    ) -> None:
        response, column, more = chosen(family, sigma)

        def design() -> Design:
            found = observe(frame, y=y, group=group, missing=missing)
            made = found.design(response, ("Intercept",), (), "Intercept", scalar=True)
            response.check(made)
            return made

        self._setup(
            frame,
            {"y": y, "group": group, **column},
            **more,
            response=response,
            design=design,
            pooling=pooling,
            parameterization=parameterization,
            priors=priors,
            missing=missing,
        )

    def _data(self) -> dict[str, Any]:
        return row_data(self.design, self.family)

    def _marginal_data(self, standard: Standardization) -> dict[str, Any]:
        d = moments_of(self.design)
        n, count, ybar, ss_between = classes(d)
        rss = d.within.rss
        common = not self.family.by_group
        few = len(standard.root)
        return {
            "D": len(n),
            "n": n,
            "count": count,
            "ybar": ybar,
            "ss_between": ss_between,
            "S": 1 if common else d.J,
            "ss_within": [rss.sum()] if common else rss,
            "df_within": [d.N - d.J] if common else d.sizes - 1,
            "y_centre": d.offset[-1],
            "H": few,
            "centre": standard.centre[:few],
            "root": standard.root,
            "sigma_centre": standard.centre[few:],
            "sigma_root": standard.by_group,
        }


def chosen(family: Any, sigma: Any) -> tuple[Family, dict[str, Any], dict[str, Any]]:
    """The family of ``family=`` and ``sigma=``; what of them is a column; the other options.

    Raises
    ------
    OptionError
        It is no family, or one whose rows are estimates; or both say what the residual sds are.
    """
    if family is None:
        return Gaussian(sigma), {"sigma": sigma}, {"family": None}
    if not isinstance(family, Family):
        raise OptionError(
            f"family must be a family such as hm.families.Gaussian(sigma='group'), got "
            f"{shown(family)}"
        )
    if family.estimates:
        raise OptionError(
            "family: estimates with known standard errors are a model of their own; use "
            "hm.EightSchools(frame, effect=..., se=..., group=...)"
        )
    if sigma != "common":
        raise OptionError(
            f"sigma={shown(sigma)} must be left out where family= is given, got {family!r}; a "
            "family has its own options, as in hm.families.Gaussian(sigma='group')"
        )
    if not family.attributes:  # its options are a column of the model
        return family, family.options, {"family": None}
    return family, {}, {"family": family, "sigma": "common"}


def row_data(design: Design, family: Family) -> dict[str, Any]:
    """Stan's data for rows in groups: response, groups, and what the family adds."""
    rows = design.rows("a program that works row by row")
    return {
        "N": design.N,
        "J": design.J,
        "jj": rows.index + 1,
        "y": rows.y,
        **family.stan_data(design),
    }
