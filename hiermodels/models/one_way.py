"""One-way random effects: rows in groups, each group with a mean of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import frames
from ..blocks import Block
from ..design import Array, Design
from ..errors import DataError, OptionError, suggest
from ..priors import Flat, HalfT, Normal, Prior
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
    frame : data frame, or path to a CSV or Parquet file
        One row for each observation.
    y : str
        Column of the response.
    group : str
        Column of the group labels.
    sigma : {"common", "group"}
        One residual sd for all rows, or one for each group.
    pooling : {"partial", "none", "complete"}
        Pooling strategy.
    parameterization : {"auto", "centered", "noncentered"}
        How partial pooling is written for the sampler; the posterior is the same.
    priors : dict, optional
        Priors that replace defaults: ``mu``, ``tau``, ``sigma`` (partial), ``theta``, ``sigma``
        (none), ``mu``, ``sigma`` (complete). With m and s the mean and standard deviation of the
        response, the defaults are mu ~ N(m, 2.5 s), tau ~ half-t(3, s), sigma ~ half-t(3, s):
        neither sd can be much above s, and all scale with the data. Without pooling theta is flat.
    missing : {"raise", "drop"}
        What to do with rows that have missing values.

    Raises
    ------
    DataError, ColumnError, OptionError, PriorError
        If the frame, a column, an option or a prior cannot be used; before anything is compiled.

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

        def design() -> Design:
            table = frames.table(frame, roles={"y": y}, group=group, missing=missing)
            n = len(table.rows)
            return Design(
                response=y,
                group=group,
                y=varying_response(table.numeric[y], y),
                index=table.groups.index,
                labels=table.groups.labels,
                z=np.ones((n, 1)),
                coefficients=None,
                x=np.empty((n, 0)),
                predictors=(),
                residual="group" if sigma == "group" else "common",
                rows=table.rows,
                dropped=table.dropped,
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
        y = self.design.y
        mean, sd = float(y.mean()), float(y.std())
        return {
            "mu": Normal(mean, 2.5 * sd),
            "tau": HalfT(3, sd),
            "sigma": HalfT(3, sd),
            "theta": Flat(),
        }

    def _data(self) -> dict[str, Any]:
        return row_data(self.design)


def check_sigma(sigma: Any) -> None:
    """Refuse a ``sigma=`` that is neither "common" nor "group"."""
    if sigma not in SIGMAS:
        raise OptionError(
            f"sigma must be 'common' or 'group', got {sigma!r}{suggest(str(sigma), SIGMAS)}"
        )


def varying_response(values: Array, name: str) -> Array:
    """The response, refused where it is constant: it would leave every sd at 0."""
    if len(values) < 2:
        raise DataError(
            f"y={name!r} must have at least 2 rows, got {len(values)}; a spread needs two values"
        )
    if np.all(values == values[0]):
        raise DataError(
            f"y={name!r} must vary, got {values[0]:g} in all {len(values)} rows; "
            "is it the right column?"
        )
    return values


def row_data(design: Design) -> dict[str, Any]:
    """Stan's data for rows in groups: response, groups, and the number of residual sds."""
    return {
        "N": design.N,
        "J": design.J,
        "jj": design.index + 1,
        "y": design.y,
        "S": design.J if design.residual == "group" else 1,
    }
