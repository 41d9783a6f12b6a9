"""Varying intercepts and slopes: a regression whose coefficients vary by group."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import frames
from ..blocks import Block
from ..design import Array, Design, is_constant
from ..errors import DataError, DataWarning, OptionError, listed, suggest
from ..priors import LKJ, Flat, HalfT, Normal
from .model import Model
from .one_way import check_sigma, row_data, varying_response

INTERCEPTS = ("varying", "common", "none")
# |mean| / sd beyond which intercept and slope are correlated above 0.95 in the posterior.
_FAR = 3.0


class VaryingSlopes(Model):
    """Regression with coefficients that vary by group.

    ::

        y_i ~ N(x_i beta + z_i theta_{j[i]}, sigma)
        theta_j ~ N_K(mu, diag(tau) Omega diag(tau))          partial pooling
        each theta_j and beta_j by itself                     no pooling: a regression a group
        theta_j = mu                                          complete pooling: one regression

    (Gelman and Hill 2007, Data Analysis Using Regression and Multilevel/Hierarchical Models,
    sections 13.1 and 13.3.)

    Parameters
    ----------
    frame : data frame, or path to a CSV or Parquet file
        One row for each observation.
    y : str
        Column of the response.
    group : str
        Column of the group labels.
    varying : sequence of str
        Columns whose coefficients vary by group. May be empty where the intercept varies.
    common : sequence of str
        Columns with one coefficient for all groups. Columns of strings or categories, here and in
        ``varying``, are coded with one 0/1 column for each level but the first.
    intercept : {"varying", "common", "none"}
        Whether the intercept varies by group, is common, or is left out.
    sigma : {"common", "group"}
        One residual sd for all rows, or one for each group.
    pooling : {"partial", "none", "complete"}
        Pooling strategy. Without pooling the common columns, too, have a coefficient for each
        group, because a shared one would pool; groups too small for that are refused by name.
    parameterization : {"auto", "centered", "noncentered"}
        How partial pooling is written for the sampler; the posterior is the same.
    priors : dict, optional
        Priors that replace defaults: ``mu``, ``tau``, ``Omega``, ``beta``, ``sigma`` (partial),
        ``theta``, ``beta``, ``sigma`` (none), ``mu``, ``beta``, ``sigma`` (complete). A prior for
        ``mu``, ``tau``, ``beta`` or ``theta`` may be a dict by coefficient. With s the standard
        deviation of the response and s_k that of column k, a slope has N(0, 2.5 s/s_k) and a group
        standard deviation half-t(3, s/s_k). The intercept is the height where all columns are 0,
        which may be far from the data: with a = sqrt(1 + sum (mean_k/s_k)^2) and m the mean of the
        response it has N(m, 2.5 s a) and its group standard deviation half-t(3, s a), wide enough
        for any line that the slopes' priors allow; centred columns (a = 1) make both tighter.
        sigma has half-t(3, s) and Omega LKJ(2). Without pooling theta and beta are flat.
    missing : {"raise", "drop"}
        What to do with rows that have missing values.

    Raises
    ------
    DataError, ColumnError, OptionError, PriorError
        If the frame, a column, an option or a prior cannot be used; before anything is compiled.
    """

    family = "VaryingSlopes"
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
        sigma: str = "common",
        pooling: str = "partial",
        parameterization: str = "auto",
        priors: Mapping[str, Any] | None = None,
        missing: str = "raise",
    ) -> None:
        check_sigma(sigma)
        if intercept not in INTERCEPTS:
            raise OptionError(
                f"intercept must be one of {', '.join(map(repr, INTERCEPTS))}, got {intercept!r}"
                f"{suggest(str(intercept), INTERCEPTS)}"
            )
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

        def design() -> Design:
            table = frames.table(
                frame, roles={"y": y}, group=group, predictors=(*varying, *common), missing=missing
            )
            z = {c: table.predictors[c] for v in varying for c in table.sources[v]}
            x = {c: table.predictors[c] for v in common for c in table.sources[v]}
            if intercept != "none":
                _refuse_constant({**z, **x})
                _warn_of_far({**z, **x})
                ones = np.ones(len(table.rows))
                if "Intercept" in (*z, *x):
                    raise DataError(
                        "the column name 'Intercept' is reserved for the intercept; rename the "
                        "column, or pass intercept='none' if it is the intercept"
                    )
                if intercept == "varying":
                    z = {"Intercept": ones, **z}
                else:
                    x = {"Intercept": ones, **x}
            return Design(
                response=y,
                group=group,
                y=varying_response(table.numeric[y], y),
                index=table.groups.index,
                labels=table.groups.labels,
                z=_matrix(z, len(table.rows)),
                coefficients=tuple(z),
                x=_matrix(x, len(table.rows)),
                predictors=tuple(x),
                residual="group" if sigma == "group" else "common",
                rows=table.rows,
                dropped=table.dropped,
            )

        self._setup(
            frame,
            {
                "y": y,
                "group": group,
                "varying": varying,
                "common": common,
                "intercept": intercept,
                "sigma": sigma,
            },
            design=design,
            pooling=pooling,
            parameterization=parameterization,
            priors=priors,
            missing=missing,
        )

    def _blocks(self, pooling: str) -> tuple[Block, ...]:
        coefficients = self.design.coefficients
        beta = Block("beta", "location", self.design.predictors)
        sigma = Block("sigma", "scale")
        if pooling == "none":
            return Block("theta", "location", coefficients), beta, sigma
        mu = Block("mu", "location", coefficients)
        if pooling == "complete":
            return mu, beta, sigma
        tau = Block("tau", "scale", coefficients)
        # One coefficient has no correlations, and so no prior for them.
        Omega = (Block("Omega", "correlation"),) if self.design.K > 1 else ()
        return (mu, tau, *Omega, beta, sigma)

    def lprior_places(self) -> list[tuple[int, Block]]:
        """Where each block stands in the program's ``lprior``, which always has room for Omega."""
        order = ("mu", "tau", "Omega", "beta", "sigma")
        if self.pooling != "partial":
            return super().lprior_places()
        return [(order.index(b.name), b) for b in self._blocks(self.pooling)]

    def _default_priors(self) -> dict[str, Any]:
        d = self.design
        y_mean, y_sd = float(d.y.mean()), float(d.y.std())
        columns = dict(zip((*(d.coefficients or ()), *d.predictors), _columns(d).T, strict=True))
        location: dict[str, Normal] = {}
        scale: dict[str, HalfT] = {}
        for name, column in columns.items():
            sd = float(column.std())
            if is_constant(column[:, None])[0]:
                # The intercept (or a constant in its place) stands where all columns are 0: its
                # priors are wider by what those of the slopes leave open on the way there.
                away = sum((c.mean() / c.std()) ** 2 for n, c in columns.items() if n != name)
                size = float(np.abs(column).max())
                width = y_sd / size * float(np.sqrt(1 + away))
                location[name] = Normal(y_mean / size, 2.5 * width)
                scale[name] = HalfT(3, width)
            else:
                location[name] = Normal(0, 2.5 * y_sd / sd)
                scale[name] = HalfT(3, y_sd / sd)
        flat = dict.fromkeys(columns, Flat())
        return {
            "mu": location,
            "tau": scale,
            "Omega": LKJ(2),
            "beta": flat if self.pooling == "none" else location,
            "sigma": HalfT(3, y_sd),
            "theta": flat,
        }

    def _data(self) -> dict[str, Any]:
        d = self.design
        data = {**row_data(d), "K": d.K, "P": d.P, "z": d.z, "x": d.x}
        if d.K == 1 and self.pooling == "partial":
            data["Omega_eta"] = 1.0  # of a 1 x 1 correlation matrix
        return data


def _names(role: str, names: Any) -> tuple[str, ...]:
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise OptionError(
            f"{role} must be a list of column names, got {names!r}"
            + (f"; write {role}=[{names!r}]" if isinstance(names, str) else "")
        )
    return tuple(names)


def _refuse_constant(columns: dict[str, Array]) -> None:
    constant = [n for n, c in columns.items() if is_constant(c[:, None])[0] or not c.any()]
    if constant:
        raise DataError(
            f"predictor {listed(constant)} must vary, got one value in all rows (to a "
            "billionth of it): beside the intercept it adds nothing; leave it out, or subtract its "
            "mean"
        )


def _warn_of_far(columns: dict[str, Array]) -> None:
    """Say which columns lie so far from 0 that slope and intercept can hardly be told apart."""
    far = [
        n
        for n, c in columns.items()
        # 0 and 1 are where such a column belongs.
        if abs(c.mean()) > _FAR * c.std() and not np.isin(c, (0, 1)).all()
    ]
    if far:
        first = far[0]
        warnings.warn(
            f"predictor {listed(far)} lies far from 0 (mean {columns[first].mean():.4g}, sd "
            f"{columns[first].std():.4g}): the intercept is then an extrapolation, and sampling is "
            f"slow or fails; centre it, as in frame[{first!r}] -= frame[{first!r}].mean()",
            DataWarning,
            stacklevel=2,
        )


def _matrix(columns: dict[str, Array], n: int) -> Array:
    return np.column_stack(list(columns.values())) if columns else np.empty((n, 0))


def _columns(design: Design) -> Array:
    return np.hstack([design.z, design.x])
