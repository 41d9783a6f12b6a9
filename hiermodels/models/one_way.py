"""One-way random effects: rows in groups, each group with a mean of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import DataError, OptionError, shown, suggest
from ..families import responses
from ..families.gaussian.laplace import Standardization, classes
from ..families.gaussian.moments import Moments
from ..families.gaussian.observations import observe
from ..families.gaussian.statistics import SufficientStatistics
from ..priors.blocks import Block
from ..priors.distributions import Flat, HalfT, Normal, Prior
from .model import Model

SIGMAS = ("common", "group")


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
        One residual sd for all rows, or one for each group.
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

    family = "OneWay"
    stem = "one_way"

    def __init__(
        self,
        frame: Any,
        *,
        y: str,
        group: str,
        sigma: str = "common",
        pooling: str = "partial",
        parameterization: str = "auto",
        priors: Mapping[str, Prior] | None = None,
        missing: str = "raise",
    ) -> None:
        check_sigma(sigma)

        def design() -> Moments:
            found = observe(frame, y=y, group=group, missing=missing)
            refuse_constant_response(found.statistics)
            responses.warn(found.statistics)
            return found.design(
                ("Intercept",),
                (),
                "group" if sigma == "group" else "common",
                "Intercept",
                scalar=True,
            )

        self._setup(
            frame,
            {"y": y, "group": group, "sigma": sigma},
            design=design,
            pooling=pooling,
            parameterization=parameterization,
            priors=priors,
            missing=missing,
        )

    def _blocks(self, pooling: str) -> tuple[Block, ...]:
        sigma = Block("sigma", "scale")
        if pooling == "partial":
            return Block("mu", "location"), Block("tau", "scale"), sigma
        return Block("theta" if pooling == "none" else "mu", "location"), sigma

    def _default_priors(self) -> dict[str, Any]:
        mean, sd = float(self.design.means[-1]), float(self.design.sds[-1])
        return {
            "mu": Normal(mean, 2.5 * sd),
            "tau": HalfT(3, sd),
            "sigma": HalfT(3, sd),
            "theta": Flat(),
        }

    def _data(self) -> dict[str, Any]:
        return row_data(self.design)

    def _marginal_data(self, standard: Standardization) -> dict[str, Any]:
        d = self.design
        n, count, ybar, ss_between = classes(d)
        rss = d.within.rss
        common = d.residual == "common"
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


def check_sigma(sigma: Any) -> None:
    """Refuse a ``sigma=`` that is neither "common" nor "group"."""
    if not isinstance(sigma, str) or sigma not in SIGMAS:
        raise OptionError(
            f"sigma must be 'common' or 'group', got {shown(sigma)}{suggest(str(sigma), SIGMAS)}"
        )


def refuse_constant_response(found: SufficientStatistics) -> None:
    """Refuse a response that is constant: it would leave every sd at 0."""
    name = found.response
    if found.N < 2:
        raise DataError(
            f"y={name!r} must have at least 2 rows, got {found.N}; a spread needs two values"
        )
    if found.minimum[-1] == found.maximum[-1]:
        raise DataError(
            f"y={name!r} must vary, got {found.minimum[-1]:g} in all {found.N} rows; "
            "is it the right column?"
        )


def row_data(design: Moments) -> dict[str, Any]:
    """Stan's data for rows in groups: response, groups, and the number of residual sds."""
    rows = design.rows("a program that works row by row")
    return {
        "N": design.N,
        "J": design.J,
        "jj": rows.index + 1,
        "y": rows.y,
        "S": design.J if design.residual == "group" else 1,
    }
