"""Varying intercepts and slopes: a regression whose coefficients vary by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..data.design import Design
from ..errors import DataError, OptionError, option, shown
from ..families.family import Family
from ..families.gaussian.family import moments_of
from ..families.gaussian.laplace import Standardization
from ..families.gaussian.marginal import forward
from ..families.gaussian.observations import Observations, observe
from ..priors.blocks import Block
from . import default_priors
from .base import one_of
from .column_checks import (
    coded_in_full,
    refuse_constant,
    warn_of_far,
    warn_of_rows_of_zeros,
)
from .model import Model
from .one_way import chosen, row_data

INTERCEPTS = ("varying", "common", "none")
PLACES = ("centre", "zero")


class VaryingSlopes(Model):
    """Regression with coefficients that vary by group.

    ::

        y_i ~ N(x_i beta + z_i theta_{j[i]}, sigma)
        theta_j ~ N_K(mu, diag(tau) Omega diag(tau))          partial pooling
        each theta_j and beta_j by itself                     no pooling: a regression per group
        theta_j = mu                                          complete pooling: one regression

    (Gelman and Hill 2007, Data Analysis Using Regression and Multilevel/Hierarchical Models,
    sections 13.1 and 13.3.)

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
    varying : sequence of str
        Columns whose coefficients vary by group. May be empty where the intercept varies.
    common : sequence of str
        Columns with one coefficient for all groups. Columns of strings or categories, here and in
        ``varying``, are coded with one 0/1 column for each level but the first. Dates
        are refused; those of a CSV file are text, so levels, and a warning says so. The first
        level, the baseline, is the first category that the column declares, and must occur; of
        text it is the first by the alphabet.
    intercept : {"varying", "common", "none"}
        Whether the intercept varies by group, is common, or is left out. Without one (and without
        a constant column in its place) the first factor in ``varying``, or else in ``common``, has
        a column for every level: its coefficients are the levels' means. A varying factor is
        refused beside a common intercept, where its first level could not vary by group. Booleans
        are numbers, 0 and 1.
    intercept_at : {"centre", "zero"}
        Where the priors of the intercept are: at the centre of the columns (their means over all
        rows), or where all columns are 0. See ``priors``.
    sigma : {"common", "group"}
        One residual sd for all rows, or one for each group: ``family=hm.families.Gaussian(sigma)``.
    family : Family, optional
        Distribution of the response; Gaussian by default.
    pooling : {"partial", "none", "complete"}
        Pooling strategy. Without pooling the common columns, too, have a coefficient for each
        group, because a shared one would pool; groups too small for that are refused by name.
    parameterization : {"auto", "marginal", "centered", "noncentered"}
        How partial pooling is written for the sampler; the posterior is the same. "auto" is
        marginal: theta is integrated out, and drawn afterwards.
    priors : dict, optional
        Priors that replace defaults: ``mu``, ``tau``, ``Omega``, ``beta``, ``sigma`` (partial),
        ``theta``, ``beta``, ``sigma`` (none), ``mu``, ``beta``, ``sigma`` (complete). A prior for
        ``mu``, ``tau``, ``beta`` or ``theta`` may be a dict by coefficient. With s the standard
        deviation of the response and s_k that of column k, a slope has N(0, 2.5 s/s_k) and a group
        standard deviation half-t(3, s/s_k); sigma has half-t(3, s) and Omega LKJ(2). Without
        pooling theta and beta are flat. See the notes for the intercept.
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
        whole numbers, or looks like counts (:mod:`hiermodels.families.responses`). A column in
        ``varying`` is constant within the groups, so that its slope cannot vary by group. Or rows
        were dropped, a column that is not centred lies far from 0, or an answer will lean on a
        prior.

    Notes
    -----
    Priors of the intercept, defaults and given ones, are of the lines' heights at the centre of
    the columns, where the data are: ``mu["Intercept"]`` of the mean height there,
    ``tau["Intercept"]`` of its standard deviation between groups, ``Omega`` of the correlations of
    these heights with the slopes (without pooling, ``theta["Intercept"]`` of each group's own
    height). The answer is then the same for years and for years since 2000.
    With m the mean of the response the defaults are N(m, 2.5 s) and half-t(3, s). What a fit
    reports are the coefficients of the columns as they are: the intercept where all columns are
    0, with its own tau and Omega, which follow from those at the centre.
    :func:`hiermodels.at_centre` gives the coefficients at the centre. Other data
    (``replace(frame=...)``, :func:`hiermodels.fit_many`) have a centre of their own, which a given
    prior is then of.

    A column is centred where a constant column allows it: varying columns beside a varying
    intercept, common columns beside any. Where columns are not centred (``intercept_at="zero"``;
    varying columns beside a common intercept) the intercept may lie far from the data: its
    defaults are N(m, 2.5 s a) and half-t(3, s a), with a = sqrt(1 + sum (mean_k/s_k)^2) over those
    columns: wide enough for any line that the slopes' priors allow. The means of levels, where
    there is no intercept, have the same priors.
    """

    name = "VaryingSlopes"
    stem = "varying_slopes"

    def __init__(
        self,
        frame: Any,
        *,
        y: str,
        group: str,
        varying: Sequence[str] = (),
        common: Sequence[str] = (),
        intercept: str = "varying",
        intercept_at: str = "centre",
        sigma: str = "common",
        family: Family | None = None,
        pooling: str = "partial",
        parameterization: str = "auto",
        priors: Mapping[str, Any] | None = None,
        missing: str = "raise",
    ) -> None:
        response, column, more = chosen(family, sigma)
        one_of("intercept", intercept, INTERCEPTS)
        one_of("intercept_at", intercept_at, PLACES)
        varying, common = _names("varying", varying), _names("common", common)
        for name in varying:
            if name in common:
                raise DataError(
                    f"column {name!r} is used twice, in varying and in common; each column has one "
                    "use (a varying one has its population mean in mu)"
                )
        if not varying and intercept != "varying":
            raise OptionError(
                "varying must name at least one column where the intercept does not vary; got none"
            )

        def coded(found: Observations) -> Design:
            sources = found.statistics.sources
            z = tuple(c for v in varying for c in sources[v])
            x = tuple(c for v in common for c in sources[v])
            ones = None
            if intercept != "none":
                if "Intercept" in (*z, *x):
                    raise DataError(
                        "the column name 'Intercept' is reserved for the intercept; rename the "
                        "column, or pass " + option("intercept", "none") + " if it is the intercept"
                    )
                ones = "Intercept"
                z, x = ((ones, *z), x) if intercept == "varying" else (z, (ones, *x))
            made = found.design(response, z, x, ones)
            return made.at_centre() if intercept_at == "centre" else made

        def design() -> Design:
            found = observe(
                frame,
                y=y,
                group=group,
                columns=(*varying, *common),
                missing=missing,
                like=self._like,
            )
            made = coded(found)
            response.check(made)
            if (full := coded_in_full(made, varying, common)) is not None:
                made = coded(found.coded_in_full(full))
            if made.ones is not None:
                refuse_constant(made)
            if made.anchors or full is not None:
                warn_of_far(made)
            else:
                warn_of_rows_of_zeros(made)
            return made

        self._setup(
            frame,
            {
                "y": y,
                "group": group,
                "varying": varying,
                "common": common,
                "intercept": intercept,
                "intercept_at": intercept_at,
                **column,
            },
            **more,
            response=response,
            design=design,
            pooling=pooling,
            parameterization=parameterization,
            priors=priors,
            missing=missing,
        )

    def _where(self) -> dict[str, str]:
        """Where the priors are that are not of the raw columns' coefficients, by full name."""
        origin = self.design.origin
        if not origin.moves:
            return {}
        at = f"at {origin}"
        return dict.fromkeys((n for n in self.priors.flat() if origin.concerns(n)), at)

    def lprior_places(self) -> list[tuple[int, Block]]:
        """Where each block stands in the program's ``lprior``, which has room for all of them."""
        order = {
            "partial": ("mu", "tau", "Omega", "beta"),
            "none": ("theta", "beta"),
            "complete": ("mu", "beta"),
        }[self.pooling]
        order = (*order, *(b.name for b in self.family.blocks()))
        return [(order.index(b.name), b) for b in self._blocks(self.pooling)]

    def _default_priors(self) -> dict[str, Any]:
        return default_priors.of_coefficients(self.family, self.design, self.pooling)

    def _data(self) -> dict[str, Any]:
        d = self.design
        rows, centred = row_data(d, self.family), d.rows_from_origin("the columns")
        data = {**rows, "K": d.K, "P": d.P, "z": centred.z, "x": centred.x}
        return {**data, **self._absent()}

    def _absent(self) -> dict[str, Any]:
        """What the programs ask of the priors of parameters that are not there."""
        data: dict[str, Any] = {}
        if self.design.K == 1 and self.pooling == "partial":  # a 1 x 1 correlation matrix
            data["Omega_eta"] = 1.0
        return data if self.design.P else {**data, "beta_prior": [], "beta_hyper": []}

    def _marginal_data(self, standard: Standardization) -> dict[str, Any]:
        d = moments_of(self.design)
        K, J, common = d.K, d.J, not self.family.by_group
        r = d.rotated
        rest = r.rest.reshape(J, -1)
        shift, back = d.back
        few = len(standard.root)
        return {
            "J": J,
            "K": K,
            "P": d.P,
            "S": 1 if common else J,
            "W": r.rows.reshape(J, -1),
            "rest": rest.sum(axis=0)[None] if common else rest,
            "more": r.more,
            "n": [d.N] if common else d.sizes,
            "raw_shift": shift,
            "raw_back": back,
            "forward": forward(d),
            "H": few,
            "centre": standard.centre[:few],
            "root": standard.root,
            "sigma_centre": standard.centre[few:],
            "sigma_root": standard.by_group,
            **self._absent(),
        }


def _names(role: str, names: Any) -> tuple[str, ...]:
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise OptionError(
            f"{role} must be a list of column names, got {shown(names)}"
            + (f"; write {role}=[{names!r}]" if isinstance(names, str) else "")
        )
    return tuple(names)
