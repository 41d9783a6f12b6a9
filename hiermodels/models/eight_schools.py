"""Eight schools, or any meta-analysis: one estimate and its known standard error per group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..data import columns as rules
from ..data import frames, label_texts
from ..data.design import Array
from ..errors import DataError, listed
from ..families.gaussian.known_errors import KnownErrors, errors_of
from ..families.gaussian.laplace import Standardization
from ..families.gaussian.moments import Moments, of_arrays
from ..families.gaussian.observations import observe
from ..families.gaussian.statistics import SufficientStatistics
from ..priors.distributions import Prior
from .model import Model


class EightSchools(Model):
    """Normal means with known standard errors.

    ::

        y_j ~ N(theta_j, sigma_j),   theta_j ~ N(mu, tau)      partial pooling
        y_j ~ N(theta_j, sigma_j),   each theta_j by itself    no pooling
        y_j ~ N(mu, sigma_j)                                   complete pooling

    (Rubin 1981; Gelman et al., Bayesian Data Analysis, 3rd ed., sections 5.4 and 5.5.)

    Parameters
    ----------
    frame : data frame, path to CSV or Parquet files, or SufficientStatistics
        One row for each group.
    effect : str
        Column of the estimates y_j.
    se : str
        Column of their known standard errors sigma_j, in the units of ``effect``; above 0.
    group : str
        Column of the group labels, each once.
    pooling : {"partial", "none", "complete"}
        Pooling strategy.
    parameterization : {"auto", "marginal", "centered", "noncentered"}
        How partial pooling is written for the sampler; the posterior is the same. "auto" is
        marginal: theta is integrated out, and drawn afterwards.
    priors : dict, optional
        Priors that replace defaults: ``mu`` and ``tau`` (partial), ``theta`` (none), ``mu``
        (complete). With m the precision-weighted mean of the estimates and s the root mean square
        of the spread and the standard errors of the precise ones together (somewhat more where
        these are few), the defaults are mu ~ N(m, 2.5 s) and tau ~ half-t(3, s): wide for any
        effect that the data can show, and scaled with the data. An estimate is precise whose
        standard error is not far above s, or that of the second most precise one: a study without
        information does not move the defaults, and one that is far more precise than all others
        does not set them alone (docs/default_priors.md: how often intervals hold the truth).
        Without pooling theta is flat, so that theta_j ~ N(y_j, sigma_j).
    missing : {"raise", "drop"}
        What to do with rows that have missing values. Labels that are blank, or that Python writes
        for a missing value (``nan``, ``None``, ...), are missing.

    Raises
    ------
    DataError, ColumnError, OptionError, PriorError
        If the frame, a column, an option or a prior cannot be used; before anything is compiled.
    """

    name = "EightSchools"
    stem = "eight_schools"

    def __init__(
        self,
        frame: Any,
        *,
        effect: str,
        se: str,
        group: str,
        pooling: str = "partial",
        parameterization: str = "auto",
        priors: Mapping[str, Prior] | None = None,
        missing: str = "raise",
    ) -> None:
        def design() -> Moments:
            return _design(frame, effect, se, group, missing)

        self._setup(
            frame,
            {"effect": effect, "se": se, "group": group},
            response=KnownErrors(se=se),
            design=design,
            pooling=pooling,
            parameterization=parameterization,
            priors=priors,
            missing=missing,
        )

    @property
    def _rows(self) -> tuple[Array, Array]:
        """Estimates and their standard errors."""
        rows = self.design.rows("EightSchools")
        return rows.y, errors_of(rows)

    def _data(self) -> dict[str, Any]:
        y, se = self._rows
        return {"J": self.design.J, "y": y, "sigma": se}

    def _marginal_data(self, standard: Standardization) -> dict[str, Any]:
        # The program's mu is that of the estimates as they are.
        centre = standard.centre + np.array([self.design.offset[-1], 0.0])
        return {**self._data(), "centre": centre, "root": standard.root}


def _design(frame: Any, effect: str, se: str, group: str, missing: str) -> Moments:
    """The estimates as rows, one for each group."""
    before, given = 0, frame
    if isinstance(frame, SufficientStatistics):
        before = frame.dropped
        frame = _one_row_per_group(frame, effect, se, group)
    table = frames.table(frame, roles={"effect": effect, "se": se}, group=group, missing=missing)
    if frame is given:  # else the statistics' labels have been looked at
        label_texts.warn(group, table.groups.labels, {})
    errors = table.numeric[se]
    if not np.all(errors > 0):
        bad = table.groups.labels[table.groups.index[errors <= 0]]
        raise DataError(
            f"se={se!r} must be above 0 in every row, got {len(bad)} that "
            f"{'are' if len(bad) > 1 else 'is'} not ({listed(bad)}); a group known without "
            "error cannot be pooled"
        )
    far = (errors < rules.SMALLEST) | (errors > rules.LARGEST)
    if far.any():
        raise DataError(
            f"se={se!r} must lie between {rules.SMALLEST:g} and {rules.LARGEST:g}, got "
            f"{errors[far][0]:.3g} ({listed(table.groups.labels[table.groups.index[far]])}); mend "
            "it, or take other units"
        )
    repeated = table.groups.labels[table.groups.sizes > 1]
    if len(repeated):
        raise DataError(
            f"group={group!r} must name each group once, got {len(repeated)} more than "
            f"once ({listed(repeated)}); rows of single observations are for OneWay"
        )
    order = np.argsort(table.groups.index)  # a categorical's order need not be the rows'
    return of_arrays(
        response=effect,
        group=group,
        y=table.numeric[effect][order],
        index=np.arange(len(order)),
        labels=table.groups.labels,
        z=np.ones((len(order), 1)),
        coefficients=("Intercept",),
        x=np.empty((len(order), 0)),
        predictors=(),
        residual="known",
        se=errors[order],
        places=table.rows[order],
        dropped=before + table.dropped,
        scalar=True,
    )


def _one_row_per_group(found: SufficientStatistics, effect: str, se: str, group: str) -> Any:
    """The estimates back out of statistics of one row for each group."""
    found = observe(found, y=effect, group=group, columns=[se]).statistics
    if np.any(found.sizes != 1):
        raise DataError(
            f"EightSchools needs statistics of one row for each group, got up to "
            f"{found.sizes.max()} rows; rows of single observations are for OneWay"
        )
    values = found.centre + found.group_means
    return pd.DataFrame({group: found.labels, se: values[:, 0], effect: values[:, 1]})
