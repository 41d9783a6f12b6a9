"""The rows that a container holds, and least squares on them, by group and altogether."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..container import inference_data
from ..errors import ContainerError, refuse_without_marginal

if TYPE_CHECKING:
    from ..container.inference_data import Container

Array = NDArray[np.float64]

INTERCEPT = "Intercept"


@dataclass(frozen=True, eq=False)
class Rows:
    """N rows of J groups.

    Attributes
    ----------
    y : array, shape (N,)
    index : array of int, shape (N,)
        The group of each row, from 0.
    columns : array, shape (N, K + P)
        Those with varying coefficients, then the others.
    coefficients, predictors : tuple of str
        Their names.
    J : int
    """

    y: Array
    index: NDArray[np.intp]
    columns: Array
    coefficients: tuple[str, ...]
    predictors: tuple[str, ...]
    J: int

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all K + P columns."""
        return (*self.coefficients, *self.predictors)

    @cached_property
    def means(self) -> Array:
        """Means of the columns over all rows."""
        return np.asarray(self.columns.mean(axis=0))

    def of(self, group: int) -> NDArray[np.intp]:
        """Places of a group's rows."""
        return self._order[self._ends[group] : self._ends[group + 1]]

    @cached_property
    def _order(self) -> NDArray[np.intp]:
        return np.argsort(self.index, kind="stable")

    @cached_property
    def _ends(self) -> NDArray[np.intp]:
        counts = np.bincount(self.index, minlength=self.J)
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.intp)


def group_index(idata: Container, what: str) -> NDArray[np.intp]:
    """The group of each row, from 0.

    Raises
    ------
    ContainerError
        The container holds no rows.
    """
    found: NDArray[np.intp] | None = None
    if inference_data.has(idata, "constant_data"):
        constant = inference_data.dataset(idata, "constant_data")
        if "group_index" in constant:
            found = constant["group_index"].to_numpy()
    if found is None:
        raise ContainerError(
            f"{what} needs the rows, and constant_data has no 'group_index', which says the group "
            "of each; fit a data frame that is in memory, and model.fit() puts it there"
        )
    return found


def read(idata: Container, what: str) -> Rows:
    """The rows of a fit of ``VaryingSlopes``.

    Raises
    ------
    ContainerError
        The container has no rows, or those of another model.
    """
    family = inference_data.attributes(idata).get("family")
    refuse_without_marginal(family, what, "hm.plots.forest(idata) draws the effects")
    index = group_index(idata, what)
    constant = inference_data.dataset(idata, "constant_data")
    if "z" not in constant:
        raise ContainerError(
            f"{what} needs the columns of a regression, and constant_data has no 'z'; fit "
            "VaryingSlopes"
        )
    observed = inference_data.dataset(idata, "observed_data")
    (name,) = observed.data_vars
    (row,) = observed[name].dims
    columns = [constant["z"].transpose(row, "coefficient").to_numpy()]
    predictors: tuple[str, ...] = ()
    if "x" in constant:
        columns.append(constant["x"].transpose(row, "predictor").to_numpy())
        predictors = tuple(str(p) for p in constant["predictor"].to_numpy())
    return Rows(
        y=np.asarray(observed[name].to_numpy(), dtype=np.float64),
        index=index,
        columns=np.hstack(columns).astype(np.float64),
        coefficients=tuple(str(c) for c in constant["coefficient"].to_numpy()),
        predictors=predictors,
        J=_groups(constant, index),
    )


def _groups(constant: Any, index: NDArray[np.intp]) -> int:
    """How many groups there are: of the sizes, which name them all, where they are there."""
    if "group_size" in constant:
        return int(constant["group_size"].size)
    return int(index.max()) + 1


def by_group(rows: Rows, beta: Array) -> Array:
    """Each group's own least-squares estimate of its varying coefficients, shape (J, K).

    b_j = (Z_j'Z_j)^-1 Z_j'(y_j - X_j beta): the common coefficients stay common, so that b_j is an
    estimate of the very theta_j that partial pooling moves towards mu. (Without pooling beta is
    each group's own as well; where there are no common columns the two are one.) NaN where the
    group's rows do not tell its coefficients apart.

    Parameters
    ----------
    rows : Rows
    beta : array, shape (P,)
        Coefficients of the common columns.
    """
    K = len(rows.coefficients)
    z, y = rows.columns[:, :K], rows.y - rows.columns[:, K:] @ beta
    found = np.full((rows.J, K), np.nan)
    for j in range(rows.J):
        own = rows.of(j)
        if len(own) >= K:
            found[j] = _least_squares(z[own], y[own])
    return found


def common(idata: Container) -> Array:
    """Posterior means of beta, shape (P,); of one that each group has its own of, their mean."""
    posterior = inference_data.dataset(idata, "posterior")
    if "beta" not in posterior:
        return np.zeros(0)
    beta = posterior["beta"]
    rest = [dim for dim in beta.dims if dim != "predictor"]
    return np.asarray(beta.mean(rest).to_numpy(), dtype=np.float64)


def of_all(rows: Rows) -> Array:
    """Least-squares coefficients of all rows together, shape (K + P,)."""
    return _least_squares(rows.columns, rows.y)


def _least_squares(x: Array, y: Array) -> Array:
    """Coefficients, NaN where the columns are not independent."""
    # To length one, so that what counts as dependent is no matter of units.
    length = np.sqrt(np.sum(x * x, axis=0))
    if not length.all():
        return np.full(x.shape[1], np.nan)
    fit, _, rank, _ = np.linalg.lstsq(x / length, y, rcond=None)
    return np.asarray(fit / length) if rank == x.shape[1] else np.full(x.shape[1], np.nan)
