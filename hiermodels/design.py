"""The data of a hierarchical model, whatever its family.

All three families are one model in different clothes,

    y_i ~ N(x_i beta + z_i theta_{j[i]}, sigma_i),   theta_j ~ N_K(mu, Sigma),

with z a column of ones in ``OneWay`` and ``EightSchools``, and sigma known in ``EightSchools``.
What is computed before and after sampling is therefore written once, for this. It is made from
the group cross-products alone; the rows themselves are there for what only exists row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from . import statistics
from .elimination import eliminate
from .errors import DataError
from .statistics import SufficientStatistics

Array = NDArray[np.float64]
Residual = Literal["known", "common", "group"]


@dataclass(frozen=True)
class Rows:
    """The rows themselves.

    Attributes
    ----------
    y : array, shape (N,)
        Response, in its own units.
    index : array of int, shape (N,)
        Group of each row, counted from 0.
    z : array, shape (N, K)
        Varying columns; ones where only the intercept varies.
    x : array, shape (N, P)
        Common columns.
    places : array of int, shape (N,)
        Where each row stood in the frame.
    se : array, shape (N,), or None
        Known standard errors.
    """

    y: Array
    index: NDArray[np.int64]
    z: Array
    x: Array
    places: NDArray[np.int64]
    se: Array | None = None

    def __post_init__(self) -> None:
        # A frozen model's numbers stay as they were checked. (y may be the caller's own column.)
        for name in ("y", "index", "z", "x", "places", "se"):
            values = getattr(self, name)
            if values is not None:
                own = values.copy()
                own.flags.writeable = False
                object.__setattr__(self, name, own)

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """Rows sorted by group, shape (N,)."""
        return np.argsort(self.index, kind="stable")

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Where each group starts in the sorted rows, shape (J,)."""
        sizes = np.bincount(self.index)
        return np.concatenate([[0], np.cumsum(sizes)[:-1]])

    def group_sums(self, values: Array) -> Array:
        """Sums over the rows of each group: shape (..., N) -> (..., J)."""
        return np.add.reduceat(values[..., self.order], self.starts, axis=-1)


@dataclass(frozen=True)
class Design:
    """Response, columns and groups of N rows in J groups.

    Attributes
    ----------
    statistics : SufficientStatistics
        Group sufficient statistics of the columns and the response.
    coefficients : tuple of str, or None
        Names of the K varying coefficients; None where theta is one number for each group.
    predictors : tuple of str
        Names of the P common coefficients.
    residual : {"known", "common", "group"}
        Residual sd: known standard errors, one for all rows, or one for each group.
    ones : str or None
        The coefficient whose column is 1 in all rows and is not in the statistics.
    source : Rows, or function that reads them, or None
        The rows; None where there is nothing but the statistics.
    """

    statistics: SufficientStatistics
    coefficients: tuple[str, ...] | None
    predictors: tuple[str, ...]
    residual: Residual
    ones: str | None = None
    source: Rows | Callable[[], Rows] | None = field(default=None, repr=False)

    @property
    def response(self) -> str:
        """Name of the response."""
        return self.statistics.response

    @property
    def group(self) -> str:
        """Name of the group column."""
        return self.statistics.group

    @property
    def labels(self) -> NDArray[Any]:
        """Labels of the groups, shape (J,)."""
        return self.statistics.labels

    @property
    def dropped(self) -> int:
        """Rows left out because a value was missing."""
        return self.statistics.dropped

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Rows in each group, shape (J,)."""
        return self.statistics.sizes

    @property
    def N(self) -> int:
        """Number of rows."""
        return self.statistics.N

    @property
    def J(self) -> int:
        """Number of groups."""
        return self.statistics.J

    @property
    def K(self) -> int:
        """Number of varying coefficients."""
        return 1 if self.coefficients is None else len(self.coefficients)

    @property
    def P(self) -> int:
        """Number of common coefficients."""
        return len(self.predictors)

    @property
    def observation_dim(self) -> str:
        """Dim of the rows: the groups themselves where each group is one estimate."""
        return self.group if self.residual == "known" else "observation"

    # ---- the rows ----------------------------------------------------------------------------

    @property
    def in_memory(self) -> bool:
        """Whether the rows came in memory; else they are read only where they are needed."""
        return isinstance(self.source, Rows)

    @property
    def has_rows(self) -> bool:
        """Whether there are rows, in memory or to be read."""
        return self.source is not None

    def rows(self, what: str) -> Rows:
        """The rows, read where they are not in memory yet.

        Parameters
        ----------
        what : str
            What needs them, for the message.

        Raises
        ------
        DataError
            There is nothing but the statistics.
        """
        if self.source is None:
            raise DataError(
                f"{what} needs the rows, and sufficient statistics hold none; pass the data frame "
                "itself"
            )
        return self.source if isinstance(self.source, Rows) else self._read

    @cached_property
    def _read(self) -> Rows:
        assert callable(self.source)  # noqa: S101 - for the type checker
        return self.source()

    # ---- columns -----------------------------------------------------------------------------

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all K + P coefficients, the varying ones first."""
        return (*(self.coefficients or (self.ones or "Intercept",)), *self.predictors)

    @cached_property
    def _places(self) -> NDArray[np.int64]:
        """Where each coefficient's column, and the response, stand in the products."""
        columns = self.statistics.columns
        places = [0 if n == self._one else 1 + columns.index(n) for n in self.names]
        return np.array([*places, 1 + len(columns)])

    @property
    def _one(self) -> str | None:
        return self.names[0] if self.coefficients is None else self.ones

    def _take(self, one: float, values: Array) -> Array:
        return np.concatenate([[one], values])[self._places]

    @cached_property
    def constant(self) -> NDArray[np.bool_]:
        """Which of the K + P columns are one value but 0 in all rows, up to a billionth of it."""
        low = self._take(1, self.statistics.minimum)[:-1]
        high = self._take(1, self.statistics.maximum)[:-1]
        size = np.maximum(np.abs(low), np.abs(high))
        return np.asarray((size > 0) & (high - low <= 1e-9 * size))

    @cached_property
    def size(self) -> Array:
        """Largest absolute value of each of the K + P columns."""
        low = self._take(1, self.statistics.minimum)[:-1]
        high = self._take(1, self.statistics.maximum)[:-1]
        return np.maximum(np.abs(low), np.abs(high))

    @cached_property
    def means(self) -> Array:
        """Means of the K + P columns and the response, shape (K + P + 1,)."""
        centre = self._take(0, np.asarray(self.statistics.centre))
        return np.asarray(centre + self._totals[0, self._places] / self.N)

    @cached_property
    def sds(self) -> Array:
        """Standard deviations (divisor N) of the columns and the response, shape (K + P + 1,)."""
        G, places = self._totals, self._places
        about = G[0, places] / self.N
        variance = G[places, places] / self.N - about**2
        sd = np.sqrt(np.maximum(variance, 0))
        sd[:-1] = np.where(self.constant, 0, sd[:-1])
        return np.asarray(sd)

    @cached_property
    def _totals(self) -> Array:
        return np.asarray(self.statistics.products.sum(axis=0))

    # ---- centred cross-products --------------------------------------------------------------

    @cached_property
    def anchor(self) -> int | None:
        """The coefficient of a constant column, which takes up what centring takes off."""
        places = np.flatnonzero(self.constant)
        return int(places[0]) if len(places) else None

    @cached_property
    def offset(self) -> Array:
        """What is taken off the K + P columns and the response, shape (K + P + 1,).

        Their means, where a constant column allows it: the varying columns may be moved only
        beside a varying intercept, the others beside any. The model is the same, and no digits
        are lost to a large mean.
        """
        moved = np.zeros(self.K + self.P + 1, dtype=bool)
        if self.anchor is not None:
            moved[:-1] = ~self.constant
            moved[-1] = True
            if self.anchor >= self.K:
                moved[: self.K] = False
        return np.where(moved, self.means, 0.0)

    @cached_property
    def gram(self) -> Array:
        """Cross-products of the centred [z, x, y] in each group, shape (J, K+P+1, K+P+1)."""
        # w = (1, columns - c) -> column - offset = (column - c) + (c - offset) 1.
        centre = self._take(1, np.asarray(self.statistics.centre))
        T = np.zeros((len(self._places), self.statistics.products.shape[1]))
        T[np.arange(len(self._places)), self._places] = 1
        shift = np.where(self._places == 0, 0.0, centre - self.offset)
        T[:, 0] += shift
        return np.asarray(T @ self.statistics.products @ T.T)

    @cached_property
    def back(self) -> tuple[Array, Array]:
        """Shift and matrix that take centred coefficients (z and x) to those of the raw columns.

        With columns less their offsets m, and the constant column of value v at place p,
        raw_p = centred_p + (m_y - sum_q m_q raw_q) / v and raw_q = centred_q elsewhere.
        """
        n = self.K + self.P
        shift, matrix = np.zeros(n), np.eye(n)
        if self.anchor is not None:
            p = self.anchor
            value = self._take(1, np.asarray(self.statistics.maximum))[p]
            shift[p] = self.offset[-1] / value
            matrix[p] -= self.offset[:-1] / value
        return shift, matrix

    # ---- least squares -----------------------------------------------------------------------

    @cached_property
    def within(self) -> Within:
        """What each group's own least-squares fit on all its columns leaves."""
        columns = self.K + self.P
        rank, left = eliminate(self.gram, range(columns))
        return Within(columns, rank, left[:, -1, -1], self.sizes)

    @cached_property
    def between_groups(self) -> Within:
        """What the groups' own z leave when beta is common to all: one fit, one df.

        By Frisch and Waugh: x and y are first cleared of each group's z, then y of x.
        """
        K, P = self.K, self.P
        own, left = eliminate(self.gram, range(K))
        x = range(K, K + P)
        scale = self._pooled[0]
        common, cleared = eliminate(left.sum(axis=0)[None], x, scale=np.diag(scale)[None])
        return Within(
            self.J * K + P,
            np.array([own.sum() + common[0]]),
            cleared[:, -1, -1],
            np.array([self.N]),
            int(common[0]),
        )

    @property
    def _pooled(self) -> Array:
        return np.asarray(self.gram.sum(axis=0))[None]

    def identifying(self, k: int) -> int:
        """Groups whose own rows tell coefficient k from the other varying ones."""
        others = [m for m in range(self.K) if m != k]
        _, left = eliminate(self.gram, others)
        told_apart, _ = eliminate(left, [k], scale=np.diagonal(self.gram, axis1=1, axis2=2))
        return int(np.count_nonzero(told_apart))

    @cached_property
    def columns_rank(self) -> int:
        """Rank of the N x (K + P) matrix of all columns."""
        return int(eliminate(self._pooled, range(self.K + self.P))[0][0])

    @cached_property
    def pooled_rss(self) -> float:
        """Residual sum of squares of one least-squares fit to all rows."""
        return float(eliminate(self._pooled, range(self.K + self.P))[1][0, -1, -1])

    @cached_property
    def pooled_fit(self) -> Array:
        """Least-squares coefficients of the centred columns over all rows, shape (K + P,)."""
        G = self._pooled[0]
        length = np.sqrt(np.diag(G)[:-1])
        length = np.where(length > 0, length, 1.0)
        scaled = G[:-1, :-1] / length / length[:, None]
        return np.asarray(np.linalg.lstsq(scaled, G[:-1, -1] / length, rcond=1e-12)[0] / length)

    @property
    def total_ss(self) -> float:
        """Sum of squares of the response about its mean."""
        return float(self.sds[-1] ** 2 * self.N)


@dataclass(frozen=True)
class Within:
    """Least squares within each group: numbers of columns, ranks, residual sums of squares."""

    columns: int
    rank: NDArray[np.int64]
    rss: Array
    sizes: NDArray[np.int64]
    common: int = 0  # of the rank, what common columns add to the groups' own

    @property
    def df(self) -> NDArray[np.int64]:
        """Residual degrees of freedom of each group, shape (J,)."""
        return self.sizes - self.rank


def of_arrays(
    *,
    response: str,
    group: str,
    y: Array,
    index: NDArray[np.int64],
    labels: NDArray[Any],
    z: Array,
    coefficients: tuple[str, ...] | None,
    x: Array,
    predictors: tuple[str, ...],
    residual: Residual,
    se: Array | None = None,
    places: NDArray[np.int64] | None = None,
    dropped: int = 0,
    sources: dict[str, tuple[str, ...]] | None = None,
) -> Design:
    """A design of rows in memory.

    A column of ``z`` or ``x`` named ``"Intercept"`` that is 1 in all rows is the constant.
    """
    names: Sequence[str] = (*(coefficients or ("Intercept",)), *predictors)
    columns = dict(zip(names, np.hstack([z, x]).T, strict=True))
    ones = "Intercept" if "Intercept" in columns and np.all(columns["Intercept"] == 1) else None
    if ones is not None:
        del columns[ones]
    places = np.arange(len(y)) if places is None else places
    return Design(
        statistics=statistics.of_rows(
            columns,
            y,
            index,
            response=response,
            group=group,
            labels=labels,
            sources=sources or {name: (name,) for name in columns},
            dropped=dropped,
        ),
        coefficients=coefficients,
        predictors=predictors,
        residual=residual,
        ones=ones,
        source=Rows(y, index, z, x, places, se),
    )
