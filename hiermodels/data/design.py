"""The data of a hierarchical model, whatever its family.

All three families are one model in different clothes,

    y_i ~ N(x_i beta + z_i theta_{j[i]}, sigma_i),   theta_j ~ N_K(mu, Sigma),

with z a column of ones in ``OneWay`` and ``EightSchools``, and sigma known in ``EightSchools``.
What is computed before and after sampling is therefore written once, for this. It is made from
the group sufficient statistics alone; the rows themselves are there for what only exists row by
row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..families.gaussian import statistics
from ..families.gaussian.least_squares import TOLERANCE, eliminate, least_squares, rotate
from ..families.gaussian.rotation import Rotated
from ..families.gaussian.statistics import SufficientStatistics
from .origins import Origin
from .rows import Rows

Array = NDArray[np.float64]
Residual = Literal["known", "common", "group"]

ROUNDING = 1e-12
"""A column that varies in a group by no more than this share of its range is one value there."""
PERFECT = 1e-13
"""Residual squares below this share of the total are a perfect fit: differences of cross-products
leave about 1e-15 of them."""


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
    about : tuple of float
        What the columns are counted from in the model's own coordinates, which its priors are of;
        empty where that is 0. It is the model's, whatever part of its data a design holds.
    """

    statistics: SufficientStatistics
    coefficients: tuple[str, ...] | None
    predictors: tuple[str, ...]
    residual: Residual
    ones: str | None = None
    source: Rows | Callable[[], Rows] | None = field(default=None, repr=False)
    about: tuple[float, ...] = ()

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

    def rows_from_origin(self, what: str) -> Rows:
        """The rows, their columns less the origin: what the model's own coefficients multiply."""
        return self.from_origin(self.rows(what))

    def from_origin(self, rows: Rows) -> Rows:
        """Rows of any origin, their columns less this design's."""
        if not self.origin.moves:
            return rows
        at = np.array(self.origin.at)
        return replace(rows, z=rows.z - at[: self.K], x=rows.x - at[self.K :])

    # ---- columns -----------------------------------------------------------------------------

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all K + P coefficients, the varying ones first."""
        return (*(self.coefficients or (self.ones or "Intercept",)), *self.predictors)

    @cached_property
    def _places(self) -> NDArray[np.int64]:
        """Where each coefficient's column, and the response, stand in (1, columns, response)."""
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
    def _ones_and_means(self) -> Array:
        """Means of (1, columns - c, y - c_y) in each group, shape (J, C + 2)."""
        return np.hstack([np.ones((self.J, 1)), self.statistics.group_means])

    @cached_property
    def _totals(self) -> Array:
        """Cross-products of (1, columns - c, y - c_y) over all rows, shape (C + 2, C + 2)."""
        means = self._ones_and_means
        totals = (self.sizes[:, None] * means).T @ means
        totals[1:, 1:] += self.statistics.within.sum(axis=0)
        return np.asarray(totals)

    # ---- centred cross-products --------------------------------------------------------------

    @cached_property
    def anchors(self) -> tuple[int, ...]:
        """The coefficients that take up what centring takes off.

        Those of columns that add up to a constant: a constant column by itself, or else columns of
        0 and 1 of which every row has one, as the levels of a factor that is coded in full are.
        """
        places = np.flatnonzero(self.constant)
        if len(places):
            return (int(places[0]),)
        return self._levels(range(self.K)) or self._levels(range(self.K, self.K + self.P))

    def _levels(self, among: range) -> tuple[int, ...]:
        """Those of some columns that are 0 or 1, and of which every row has exactly one 1."""
        found, at = self.statistics, self._places[:-1] - 1  # there is no constant among them
        zero_or_one = (found.minimum[at] == 0) & (found.maximum[at] == 1)
        columns = [k for k in among if zero_or_one[k]]
        if not columns:
            return ()
        G, sums = self._sums_of_products(columns)
        # A column of other numbers between 0 and 1 has a smaller sum of squares.
        if not np.allclose(np.diagonal(G), sums, rtol=1e-9, atol=0):
            return ()
        ones = least_squares(G, sums[:, None])[:, 0].round()
        held = tuple(k for k, one in zip(columns, ones, strict=True) if one)
        rows, both = ones @ sums, ones @ G @ ones
        exact = bool(held) and set(ones.tolist()) <= {0.0, 1.0}
        return held if exact and abs(rows - self.N) + abs(both - self.N) < 1e-9 * self.N else ()

    def _sums_of_products(self, columns: list[int]) -> tuple[Array, Array]:
        """Cross-products and sums of raw columns over all rows."""
        totals, places = self._totals, self._places[columns]
        centre = np.asarray(self.statistics.centre)[places - 1]
        off = totals[0, places]
        G = totals[np.ix_(places, places)] + np.outer(off, centre) + np.outer(centre, off)
        return G + self.N * np.outer(centre, centre), off + self.N * centre

    @cached_property
    def offset(self) -> Array:
        """What is taken off the K + P columns and the response, shape (K + P + 1,).

        Their means, where a constant column allows it: the varying columns may be moved only
        beside a varying intercept, the others beside any. The model is the same, and no digits
        are lost to a large mean.
        """
        moved = np.zeros(self.K + self.P + 1, dtype=bool)
        if self.anchors:
            moved[:-1] = ~self.constant
            moved[list(self.anchors)] = False
            moved[-1] = True
            if self.anchors[0] >= self.K:
                moved[: self.K] = False
        return np.where(moved, self.means, 0.0)

    @cached_property
    def _products(self) -> tuple[Array, Array]:
        """Matrix T that takes w = (1, columns - c, y - c_y) to [z, x, y], and the fit taken off y.

        A column less its offset is (column - c) + (c - offset) 1. Off the response goes a
        least-squares fit b0 of all columns, so that its squares are those of residuals and lose no
        digits to what the columns explain: c_y k + b1, where k fits the constant 1 and b1 fits
        y - c_y. Where the columns span the constant, 1 - X k is 0, and is not left to rounding.
        """
        products, places = self._totals, self._places
        centre = self._take(1, np.asarray(self.statistics.centre))
        T = np.zeros((len(places), len(products)))
        T[np.arange(len(places)), places] = 1
        shift = np.where(places == 0, 0.0, centre - self.offset)
        n = self.K + self.P
        if n == 1 and self.anchors:
            T[:, 0] += shift
            return T, np.zeros(1)
        T[:-1, 0] += shift[:-1]
        X = T[:-1]
        fits = least_squares(X @ products @ X.T, X @ products[:, [0, -1]])
        k, b1 = fits.T
        rest = -k @ X
        rest[0] += 1
        if rest @ products @ rest <= TOLERANCE * self.N:
            rest[:] = 0
        T[-1] += shift[-1] * rest - b1 @ X
        return T, shift[-1] * k + b1

    @cached_property
    def gram(self) -> Array:
        """Cross-products of the centred [z, x, y] in each group, shape (J, K+P+1, K+P+1).

        Off y goes a fit of all columns as well, wherever they are more than an intercept. With u
        the means of the group, its products are those within it and n u u'.
        """
        T, _ = self._products
        W, S = self.statistics.within, T[:, 1:]
        u = self._ones_and_means @ T.T
        return np.asarray(S @ W @ S.T + self.sizes[:, None, None] * (u[:, :, None] * u[:, None, :]))

    @cached_property
    def intercept(self) -> int | None:
        """The coefficient of a column that is one value in all rows, to the last digit."""
        if self._one is not None:
            return self.names.index(self._one)
        places = self._places[:-1] - 1
        found = self.statistics
        still = self.constant & (found.minimum[places] == found.maximum[places])
        return int(np.argmax(still)) if still.any() else None

    @cached_property
    def _about_the_means(self) -> tuple[Array, Array]:
        """Products of [z, x, y] about each group's means, and what of a fit only they lack.

        A column that varies in a group by no more than a trillionth of its range is one value
        there: rounding varies it by as much.
        """
        found, places = self.statistics, self._places - 1
        least = found.sizes[:, None] * (ROUNDING * (found.maximum - found.minimum)) ** 2
        still = np.diagonal(found.within, axis1=1, axis2=2) <= least
        W = found.within
        if still.any():
            W = np.where(still[:, :, None] | still[:, None, :], 0.0, W)
        W = np.where(places < 0, 0.0, W[:, :, places])[:, places]
        W[:, places < 0] = 0
        total = W.sum(axis=0)
        fit = least_squares(total[:-1, :-1], total[:-1, -1:])[:, 0]
        varies = np.diagonal(total)[:-1] > 0
        more = np.where(varies, fit + self._products[0][-1, self._places[:-1]], 0.0)
        T = np.eye(len(places))
        T[-1, :-1] = -fit
        return T @ W @ T.T, more

    @property
    def gram_within(self) -> Array:
        """Cross-products of [z, x, y] about the means of each group, shape (J, K+P+1, K+P+1).

        They are what the group's own intercept leaves of ``gram``, without a difference of large
        squares; but for the fit that is taken off y, which is one of what is within groups.
        """
        return self._about_the_means[0]

    @property
    def fit_within(self) -> Array:
        """Coefficients that went off y in ``gram_within`` and not in ``gram``, shape (K + P,)."""
        return self._about_the_means[1]

    def cleared(self, columns: Sequence[int]) -> Cleared:
        """What least squares on some of the columns leave of all of them, in each group.

        Off y goes the fit of ``gram_within`` as well, where the intercept is among them, and else
        that of ``gram``.

        Parameters
        ----------
        columns : sequence of int
            Coefficients whose columns the others are cleared of, in turn.
        """
        if self.intercept is None or self.intercept not in columns:
            rank, left, rows = rotate(self.gram, columns)
            return Cleared(rank, left, np.diagonal(self.gram, axis1=1, axis2=2), rows)
        G = self.gram_within
        rank, left, rows = rotate(G, [k for k in columns if k != self.intercept])
        return Cleared(1 + rank, left, np.diagonal(G, axis1=1, axis2=2), rows)

    @cached_property
    def origin(self) -> Origin:
        """Where the model's own coordinates count the columns from.

        At x = 0, unless ``about`` says otherwise: the model's coefficients are those of columns
        less that, the constant's is the line's height there.
        """
        at = self.about or (0.0,) * (self.K + self.P)
        return Origin(self.names, self.K, at, self.anchors, self._constant_value)

    def at_centre(self) -> Design:
        """The same data, its columns counted from their means where they may be moved."""
        return replace(self, about=tuple(self.offset[:-1].tolist()))

    @cached_property
    def back(self) -> tuple[Array, Array]:
        """Shift and matrix that take the coefficients of ``gram`` to the model's own.

        Those of columns less the origin, as those of ``gram`` are of columns less their offsets:
        where the two are one the matrix is the identity.
        """
        return self._back(self.offset[:-1] - np.array(self.origin.at))

    @cached_property
    def at_zero(self) -> tuple[Array, Array]:
        """Shift and matrix that take the coefficients of ``gram`` (z and x) to the raw columns'."""
        return self._back(self.offset[:-1])

    def _back(self, moved: Array) -> tuple[Array, Array]:
        """The same to those of columns that are ``gram``'s and ``moved``.

        With b0 the fit that was taken off y, and columns p that add up to the constant v: b_p =
        (centred + b0)_p + (m_y - sum_q moved_q b_q) / v, with m_y the offset of y, and b_q =
        (centred + b0)_q elsewhere.
        """
        n = self.K + self.P
        shift, matrix = np.zeros(n), np.eye(n)
        for p in self.anchors:
            shift[p] = self.offset[-1] / self._constant_value
            matrix[p] -= moved / self._constant_value
        return shift + matrix @ self._products[1], matrix

    @property
    def _constant_value(self) -> float:
        """What the anchors' columns add up to."""
        if len(self.anchors) != 1:
            return 1.0
        return float(self._take(1, np.asarray(self.statistics.maximum))[self.anchors[0]])

    # ---- least squares -----------------------------------------------------------------------

    @cached_property
    def within(self) -> Within:
        """What each group's own least-squares fit on all its columns leaves."""
        columns = self.K + self.P
        own = self.cleared(range(columns))
        # As many rows as their columns have ranks leave nothing, not a rounding error.
        rss = np.where(self.sizes > own.rank, own.left[:, -1, -1], 0.0)
        return Within(columns, own.rank, rss, self.sizes, self._least(range(columns)))

    @cached_property
    def own(self) -> Cleared:
        """What each group's own z leave."""
        return self.cleared(range(self.K))

    @cached_property
    def rotated(self) -> Rotated:
        """The rows of each group, turned so that K of them hold all that its z say.

        A varying intercept gives the first of them, sqrt(n) times the means; the others are those
        of the products about the means, which lose nothing where the groups lie far apart.
        """
        K, own, one = self.K, self.own, self.intercept
        # As many rows as their columns have ranks leave nothing, not a rounding error.
        rest = np.where((self.sizes > own.rank)[:, None, None], own.left[:, K:, K:], 0.0)
        if one is None or one >= K:
            return Rotated(own.rows, rest, np.zeros(K + self.P))
        means = self.gram[:, one] / np.sqrt(self.gram[:, one, one])[:, None]
        means[:, -1] -= means[:, :-1] @ self.fit_within
        return Rotated(np.concatenate([means[:, None], own.rows], axis=1), rest, self.fit_within)

    @cached_property
    def between_groups(self) -> Within:
        """What the groups' own z leave when beta is common to all: one fit, one df.

        By Frisch and Waugh: x and y are first cleared of each group's z, then y of x.
        """
        K, P = self.K, self.P
        own, x = self.own, range(K, K + P)
        scale = own.scale.sum(axis=0)
        common, cleared = eliminate(own.left.sum(axis=0)[None], x, scale=scale[None])
        return Within(
            self.J * K + P,
            np.array([own.rank.sum() + common[0]]),
            cleared[:, -1, -1],
            np.array([self.N]),
            self._least(range(K), P).sum(keepdims=True),
            int(common[0]),
        )

    def _least(self, columns: Sequence[int], more: int = 0) -> Array:
        """Residual squares that rounding may leave of a perfect fit, by group, shape (J,).

        Of the response less its group's mean, what rounding makes of the response itself. Where
        more is cleared, differences of products leave some 1e-15 of them as well.

        Parameters
        ----------
        columns : sequence of int
            Coefficients whose columns are cleared in each group.
        more : int
            Number of those that are cleared in all groups together.
        """
        found = self.statistics
        least = self.sizes * (ROUNDING * float(found.maximum[-1] - found.minimum[-1])) ** 2
        squares = found.within[:, -1, -1]
        if self.intercept is None or self.intercept not in columns:
            squares = squares + self.sizes * found.group_means[:, -1] ** 2
            squares = np.maximum(squares, self.gram[:, -1, -1])
        elif len(columns) + more == 1:
            return np.asarray(least)
        return np.asarray(least + PERFECT * squares)

    @property
    def _pooled(self) -> Array:
        return np.asarray(self.gram.sum(axis=0))[None]

    def identifying(self, k: int) -> int:
        """Groups whose own rows tell coefficient k from the other varying ones."""
        others = [m for m in range(self.K) if m != k]
        told_apart = self.cleared([*others, k]).rank - self.cleared(others).rank
        return int(np.count_nonzero(told_apart > 0))

    def varies_within(self, k: int) -> NDArray[np.bool_]:
        """In which groups column k takes more than one value, shape (J,)."""
        found, place = self.statistics, self._places[k] - 1
        if place < 0:  # the constant
            return np.zeros(self.J, dtype=bool)
        least = found.sizes * (ROUNDING * (found.maximum[place] - found.minimum[place])) ** 2
        return np.asarray(found.within[:, place, place] > least)

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
        return least_squares(G[:-1, :-1], G[:-1, -1:])[:, 0]

    @property
    def total_ss(self) -> float:
        """Sum of squares of the response about its mean."""
        return float(self.sds[-1] ** 2 * self.N)


@dataclass(frozen=True)
class Cleared:
    """Cross-products that least squares leave: ranks, products, and the squares there were.

    ``rows`` hold what they take, a row for each column, but for that of the intercept.
    """

    rank: NDArray[np.int64]
    left: Array
    scale: Array
    rows: Array


@dataclass(frozen=True)
class Within:
    """Least squares within each group: numbers of columns, ranks, residual sums of squares.

    ``least`` are the squares up to which the fit is perfect.
    """

    columns: int
    rank: NDArray[np.int64]
    rss: Array
    sizes: NDArray[np.int64]
    least: Array
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
            sources={name: (name,) for name in columns},
            dropped=dropped,
        ),
        coefficients=coefficients,
        predictors=predictors,
        residual=residual,
        ones=ones,
        source=Rows(y, index, z, x, places, se),
    )
