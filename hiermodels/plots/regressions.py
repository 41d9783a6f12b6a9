"""Lines of groups along one predictor, by strategy: what :mod:`~hiermodels.plots.lines` draws.

A group's line at a value v of the predictor is z(v) theta_j + x(v) beta, where the other columns
are at their means over all rows. The levels of a factor exclude each other: along one of them the
others' shares go to 0 as it goes to 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..container import inference_data
from ..errors import ContainerError, OptionError, listed, suggest
from . import effects, rows

if TYPE_CHECKING:
    import xarray as xr

    from ..container.inference_data import Container

Array = NDArray[np.float64]

_WHAT = "a picture of group lines"


@dataclass(frozen=True, eq=False)
class Lines:
    """The lines of all groups along one predictor.

    Attributes
    ----------
    rows : Rows
    predictor : str
    group, response : str
        Names of the group column and of the response.
    labels : list of str, length J
    own : array, shape (J, K + P)
        Coefficients of each group without pooling; NaN where it has no line of its own.
    common : array, shape (K + P,)
        Those of complete pooling.
    partial : array, shape (J, K + P)
        Posterior means under partial pooling.
    population : array, shape (K + P,)
        Posterior means of mu and beta.
    fit : InferenceData or DataTree
        That of partial pooling.
    fitted : set of str
        The strategies that lines come from fits of; those of the others are least squares, without
        pooling given the common coefficients.
    """

    rows: rows.Rows
    predictor: str
    group: str
    response: str
    labels: list[str]
    own: Array
    common: Array
    partial: Array
    population: Array
    fit: Container
    fitted: frozenset[str]

    def columns(self, v: Array) -> Array:
        """The columns at values of the predictor, shape (len(v), K + P)."""
        means = self.rows.means
        out = np.tile(means, (len(v), 1))
        for other in self._other_levels:
            out[:, other] = means[other] * (1 - v) / (1 - means[self._place])
        out[:, self._place] = v
        return out

    @property
    def _other_levels(self) -> list[int]:
        """Places of the columns of the other levels, where the predictor is a level of a factor."""
        factor = self.predictor.partition("[")[0] + "["
        places = [k for k, name in enumerate(self.rows.names) if name.startswith(factor)]
        levels = self.rows.columns[:, places]
        exclusive = np.isin(levels, (0, 1)).all() and (levels.sum(axis=1) <= 1).all()
        return [k for k in places if k != self._place] if exclusive else []

    @property
    def _place(self) -> int:
        return self.rows.names.index(self.predictor)

    @property
    def x(self) -> Array:
        """Values of the predictor, row by row."""
        return self.rows.columns[:, self._place]

    @property
    def slopes(self) -> Array:
        """The groups' slopes under partial pooling, shape (J,)."""
        return self.partial[:, self._place]

    @property
    def varies(self) -> bool:
        """Whether the slope varies by group."""
        return self.predictor in self.rows.coefficients

    def band(self, group: int, v: Array) -> tuple[Array, Array]:
        """5 % and 95 % quantiles of a group's line under partial pooling at values v.

        Raises
        ------
        ContainerError
            The fit has no draws of the effects.
        """
        theta = effects.theta_of(self.fit, _WHAT, draws=True)
        draws = _flat(theta.isel({self.group: group}), "coefficient")
        posterior = inference_data.dataset(self.fit, "posterior")
        if self.rows.predictors:
            draws = np.hstack([draws, _flat(posterior["beta"], "predictor")])
        low, high = np.quantile(draws @ self.columns(v).T, (0.05, 0.95), axis=0)
        return low, high

    @property
    def held(self) -> str:
        """A note on the other predictors; empty without other predictors."""
        others = [self.rows.names[k] for k in self._other_levels]
        gone = (self.predictor, rows.INTERCEPT, *others)
        names = [n for n in self.rows.names if n not in gone]
        if not names:
            return ""
        means = dict(zip(self.rows.names, self.rows.means, strict=True))
        said = ", ".join(f"{name} = {means[name]:.3g}" for name in names[:4])
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        return f"lines are at the means of the other predictors: {said}{more}"


def _flat(array: xr.DataArray, *dims: str) -> Array:
    """Draws with the chains end to end, shape (D, ...)."""
    values = array.transpose("chain", "draw", *dims).to_numpy()
    return np.asarray(values.reshape(-1, *values.shape[2:]), dtype=np.float64)


def read(given: Mapping[str, Container] | Any, predictor: str | None) -> Lines:
    """The lines of a fit, or of fits by strategy.

    What is not fitted without pooling, or with complete pooling, is least squares on the rows;
    without pooling given the common coefficients of partial pooling.

    Raises
    ------
    ContainerError
        There is no fit under partial pooling, or it holds too little.
    OptionError
        There is no such predictor.
    """
    fits = effects.fits_of(given, _WHAT)
    if "partial" not in fits:
        raise ContainerError(
            f"{_WHAT} needs a fit under partial pooling, got {listed(fits)}; "
            "fit with pooling='partial', and give {'partial': idata}"
        )
    fit = fits["partial"]
    theta = effects.theta_of(fit, _WHAT)
    if "coefficient" not in theta.dims:
        raise OptionError(
            f"{_WHAT} needs a fit of VaryingSlopes, got one effect a group; hm.plots.shrinkage "
            "draws those"
        )
    found = rows.read(fit, _WHAT)
    group = effects.group_dim(theta)
    labels = [str(label) for label in theta[group].to_numpy()]
    fitted = {name for name in ("none", "complete") if name in fits}
    return Lines(
        rows=found,
        predictor=_predictor(found, predictor),
        group=group,
        response=effects.response(fit),
        labels=labels,
        own=_unpooled(fits["none"], found, labels) if "none" in fits else _own(fit, found),
        common=_population(fits["complete"]) if "complete" in fits else rows.of_all(found),
        partial=_by_group(fit, found),
        population=_population(fit),
        fit=fit,
        fitted=frozenset(fitted),
    )


def _predictor(found: rows.Rows, asked: str | None) -> str:
    names = [name for name in found.names if name != rows.INTERCEPT]
    if not names:
        raise OptionError(
            f"{_WHAT} needs a predictor, and this fit has none but the intercept; "
            "hm.plots.shrinkage draws its groups"
        )
    if asked is None:
        return names[0]
    if asked not in names:
        raise OptionError(
            f"there is no predictor {asked!r}; there are {listed(names)}"
            f"{suggest(str(asked), names)}"
        )
    return asked


def _by_group(fit: Container, found: rows.Rows) -> Array:
    """Posterior means of theta and beta, shape (J, K + P)."""
    theta = effects.theta_of(fit, _WHAT)
    group = effects.group_dim(theta)
    mean = theta.sel(statistic="mean") if "statistic" in theta.dims else _mean(theta)
    out = [np.asarray(mean.transpose(group, "coefficient").to_numpy(), dtype=np.float64)]
    if found.predictors:
        beta = _mean(inference_data.dataset(fit, "posterior")["beta"])
        if group in beta.dims:  # without pooling each group has its own
            out.append(beta.transpose(group, "predictor").to_numpy())
        else:
            out.append(np.tile(beta.to_numpy(), (len(out[0]), 1)))
    return np.hstack(out)


def _own(fit: Container, found: rows.Rows) -> Array:
    """Least squares by group, given the common coefficients; shape (J, K + P)."""
    beta = rows.common(fit)
    return np.hstack([rows.by_group(found, beta), np.tile(beta, (found.J, 1))])


def _unpooled(fit: Container, found: rows.Rows, labels: list[str]) -> Array:
    """The same of a fit without pooling, its groups in the order of the other's."""
    theta = effects.theta_of(fit, _WHAT)
    own = [str(label) for label in theta[effects.group_dim(theta)].to_numpy()]
    return _by_group(fit, found)[effects.aligned("none", own, "partial", labels)]


def _population(fit: Container) -> Array:
    """Posterior means of mu and beta, shape (K + P,)."""
    posterior = inference_data.dataset(fit, "posterior")
    if "mu" not in posterior:
        raise ContainerError(
            f"{_WHAT} needs 'mu' in the posterior, which has "
            f"{listed(map(str, posterior.data_vars))}; fit with pooling='partial' or 'complete'"
        )
    mean = [_mean(posterior["mu"]).to_numpy()]
    if "beta" in posterior:
        mean.append(_mean(posterior["beta"]).to_numpy())
    return np.asarray(np.concatenate(mean), dtype=np.float64)


def _mean(draws: xr.DataArray) -> xr.DataArray:
    return draws.mean(("chain", "draw"))
