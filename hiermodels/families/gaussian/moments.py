"""Cross-products of a design's columns and response: all that a Gaussian likelihood needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...data.design import ROUNDING, D, Design
from ...data.least_squares import TOLERANCE, eliminate, least_squares, rotate
from ...data.rows import Rows
from . import row_statistics
from .rotation import Rotated
from .statistics import SufficientStatistics

Array = NDArray[np.float64]
Residual = Literal["known", "common", "group"]

PERFECT = 1e-13
"""Residual squares below this share of the total are a perfect fit: differences of cross-products
leave about 1e-15 of them."""


@dataclass(frozen=True)
class Moments(Design):
    """A design whose likelihood is Gaussian, with the cross-products that this likelihood needs.

    Attributes
    ----------
    statistics : SufficientStatistics
        Group sufficient statistics of the columns and the response.
    residual : {"known", "common", "group"}
        Residual sd: known standard errors, one for all rows, or one per group.
    """

    statistics: SufficientStatistics
    residual: Residual = "common"

    # ---- centred cross-products --------------------------------------------------------------

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
        if self.ones is not None:
            return self.names.index(self.ones)
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
    coefficients: tuple[str, ...],
    x: Array,
    predictors: tuple[str, ...],
    residual: Residual,
    se: Array | None = None,
    places: NDArray[np.int64] | None = None,
    dropped: int = 0,
    scalar: bool = False,
) -> Moments:
    """A Gaussian design of rows in memory.

    A column of ``z`` or ``x`` named ``"Intercept"`` that is 1 in all rows is the constant.
    """
    rows = Rows(y, index, z, x, np.arange(len(y)) if places is None else places, se)
    found, ones = _statistics(rows, (*coefficients, *predictors), response, group, labels, dropped)
    return Moments(
        statistics=found,
        coefficients=coefficients,
        predictors=predictors,
        residual=residual,
        ones=ones,
        source=rows,
        scalar=scalar,
        estimates=se is not None,
    )


def of_other_rows(design: D, rows: Rows, labels: NDArray[Any], dropped: int = 0) -> D:
    """The same design of other rows: some of its own, or its own with another response."""
    found, ones = _statistics(rows, design.names, design.response, design.group, labels, dropped)
    return replace(design, statistics=found, ones=ones, source=rows)


def _statistics(
    rows: Rows,
    names: tuple[str, ...],
    response: str,
    group: str,
    labels: NDArray[Any],
    dropped: int,
) -> tuple[SufficientStatistics, str | None]:
    """Their statistics, and the name of the constant column."""
    columns = dict(zip(names, np.hstack([rows.z, rows.x]).T, strict=True))
    ones = "Intercept" if "Intercept" in columns and np.all(columns["Intercept"] == 1) else None
    if ones is not None:
        del columns[ones]
    found = row_statistics.of_rows(
        columns,
        rows.y,
        rows.index,
        response=response,
        group=group,
        labels=labels,
        sources={name: (name,) for name in columns},
        dropped=dropped,
    )
    return found, ones
