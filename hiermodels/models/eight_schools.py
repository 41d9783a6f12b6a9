"""Eight schools, or any meta-analysis: one estimate and its known standard error a group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import frames
from ..blocks import Block
from ..design import Design
from ..errors import DataError, listed
from ..priors import Flat, HalfT, Normal, Prior
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
    frame : data frame, or path to a CSV or Parquet file
        One row for each group.
    effect : str
        Column of the estimates y_j.
    se : str
        Column of their known standard errors sigma_j, in the units of ``effect``; above 0.
    group : str
        Column of the group labels, each once.
    pooling : {"partial", "none", "complete"}
        Pooling strategy.
    parameterization : {"auto", "centered", "noncentered"}
        How partial pooling is written for the sampler; the posterior is the same.
    priors : dict, optional
        Priors that replace defaults: ``mu`` and ``tau`` (partial), ``theta`` (none), ``mu``
        (complete). With m the precision-weighted mean of the estimates and s the root mean square
        of their spread and standard errors together, the defaults are mu ~ N(m, 2.5 s) and
        tau ~ half-t(3, s): wide for any effect that the data can show, and scaled with the data.
        Without pooling theta is flat, so that theta_j ~ N(y_j, sigma_j).
    missing : {"raise", "drop"}
        What to do with rows that have missing values.

    Raises
    ------
    DataError, ColumnError, OptionError, PriorError
        If the frame, a column, an option or a prior cannot be used; before anything is compiled.
    """

    family = "EightSchools"
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
        def design() -> Design:
            table = frames.table(
                frame, roles={"effect": effect, "se": se}, group=group, missing=missing
            )
            errors = table.numeric[se]
            if not np.all(errors > 0):
                bad = table.groups.labels[table.groups.index[errors <= 0]]
                raise DataError(
                    f"se={se!r} must be above 0 in every row, got {len(bad)} that "
                    f"{'are' if len(bad) > 1 else 'is'} not ({listed(bad)}); a group known without "
                    "error cannot be pooled"
                )
            repeated = table.groups.labels[table.groups.sizes > 1]
            if len(repeated):
                raise DataError(
                    f"group={group!r} must name each group once, got {len(repeated)} more than "
                    f"once ({listed(repeated)}); rows of single observations are for OneWay"
                )
            order = np.argsort(table.groups.index)  # a categorical's order need not be the rows'
            return Design(
                response=effect,
                group=group,
                y=table.numeric[effect][order],
                index=np.arange(len(order)),
                labels=table.groups.labels,
                z=np.ones((len(order), 1)),
                coefficients=None,
                x=np.empty((len(order), 0)),
                predictors=(),
                residual="known",
                se=errors[order],
                rows=table.rows[order],
                dropped=table.dropped,
            )

        self._setup(
            frame,
            {"effect": effect, "se": se, "group": group},
            design=design,
            pooling=pooling,
            parameterization=parameterization,
            priors=priors,
            missing=missing,
        )

    def _blocks(self, pooling: str) -> tuple[Block, ...]:
        if pooling == "partial":
            return Block("mu", "location"), Block("tau", "scale")
        return (Block("theta" if pooling == "none" else "mu", "location"),)

    def _default_priors(self) -> dict[str, Any]:
        d = self.design
        assert d.se is not None  # noqa: S101 - for the type checker
        w = 1 / d.se**2
        mean = float(np.sum(w * d.y) / np.sum(w))
        scale = float(np.sqrt(np.mean((d.y - d.y.mean()) ** 2 + d.se**2)))
        return {"mu": Normal(mean, 2.5 * scale), "tau": HalfT(3, scale), "theta": Flat()}

    def _data(self) -> dict[str, Any]:
        d = self.design
        return {"J": d.J, "y": d.y, "sigma": d.se}
