"""The data of a hierarchical model, whatever its family, as arrays.

All three families are one model in different clothes,

    y_i ~ N(x_i beta + z_i theta_{j[i]}, sigma_i),   theta_j ~ N_K(mu, Sigma),

with z a column of ones in ``OneWay`` and ``EightSchools``, and sigma known in ``EightSchools``.
What is computed after sampling (:mod:`hiermodels.effects`) is therefore written once, for this.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Residual = Literal["known", "common", "group"]


@dataclass(frozen=True)
class Design:
    """Response, columns and groups of N rows in J groups.

    Attributes
    ----------
    response, group : str
        Names of the response and of the group column.
    y : array, shape (N,)
        Response, in its own units.
    index : array of int, shape (N,)
        Group of each row, counted from 0.
    labels : array, shape (J,)
        Labels of the groups.
    z : array, shape (N, K)
        Varying columns; ones where only the intercept varies.
    coefficients : tuple of str, or None
        Names of the K varying coefficients; None where theta is one number for each group.
    x : array, shape (N, P)
        Common columns.
    predictors : tuple of str
        Names of the P common coefficients.
    residual : {"known", "common", "group"}
        Residual sd: known standard errors, one for all rows, or one for each group.
    se : array, shape (N,), or None
        The known standard errors.
    rows : array of int, shape (N,)
        Where each row stood in the frame.
    dropped : int
        Rows left out because a value was missing.
    """

    response: str
    group: str
    y: Array
    index: NDArray[np.int64]
    labels: NDArray[Any]
    z: Array
    coefficients: tuple[str, ...] | None
    x: Array
    predictors: tuple[str, ...]
    residual: Residual
    se: Array | None = None
    rows: NDArray[np.int64] = field(default_factory=lambda: np.arange(0))
    dropped: int = 0

    def __post_init__(self) -> None:
        # A frozen model's numbers stay as they were checked. (y may be the caller's own column.)
        for name in ("y", "index", "labels", "z", "x", "se", "rows"):
            values = getattr(self, name)
            if values is not None:
                own = values.copy()
                own.flags.writeable = False
                object.__setattr__(self, name, own)

    @property
    def N(self) -> int:
        """Number of rows."""
        return len(self.y)

    @property
    def J(self) -> int:
        """Number of groups."""
        return len(self.labels)

    @property
    def K(self) -> int:
        """Number of varying coefficients."""
        return int(self.z.shape[1])

    @property
    def P(self) -> int:
        """Number of common coefficients."""
        return int(self.x.shape[1])

    @property
    def observation_dim(self) -> str:
        """Dim of the rows: the groups themselves where each group is one estimate."""
        return self.group if self.residual == "known" else "observation"

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Rows in each group, shape (J,)."""
        return np.bincount(self.index, minlength=self.J)

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """Rows sorted by group, shape (N,)."""
        return np.argsort(self.index, kind="stable")

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Where each group starts in the sorted rows, shape (J,)."""
        return np.concatenate([[0], np.cumsum(self.sizes)[:-1]])

    def group_sums(self, values: Array) -> Array:
        """Sums over the rows of each group: shape (..., N) -> (..., J)."""
        return np.add.reduceat(values[..., self.order], self.starts, axis=-1)

    @cached_property
    def centred(self) -> tuple[Array, Array, Array]:
        """Varying columns, common columns and y about their means, where a constant allows it.

        Least squares gives the same fit, and loses no digits to a large mean. The varying columns
        may be moved only beside a varying intercept, the others beside any.
        """
        z_constant, x_constant = is_constant(self.z), is_constant(self.x)
        z, x, y = self.z, self.x, self.y
        if z_constant.any():
            z = np.where(z_constant, z, z - z.mean(axis=0))
        if z_constant.any() or x_constant.any():
            x = np.where(x_constant, x, x - x.mean(axis=0)) if self.P else x
            y = y - y.mean()
        return z, x, y

    def _by_group(self) -> list[NDArray[np.int64]]:
        return np.split(self.order, self.starts[1:])

    @cached_property
    def within(self) -> Within:
        """What each group's own least-squares fit on all its columns leaves."""
        z, x, y = self.centred
        W = np.hstack([z, x])
        rank = np.zeros(self.J, dtype=np.int64)
        rss = np.zeros(self.J)
        for j, rows in enumerate(self._by_group()):
            rank[j], left = _clear(W[rows], y[rows, None])
            rss[j] = float(np.sum(left**2))
        return Within(columns=W.shape[1], rank=rank, rss=rss, sizes=self.sizes)

    @cached_property
    def between_groups(self) -> Within:
        """What the groups' own z leave when beta is common to all: one fit, one df.

        By Frisch and Waugh: y and x are first cleared of each group's z, then y of x.
        """
        z, x, y = self.centred
        rank = 0
        cleared = np.empty((self.N, self.P + 1))
        for rows in self._by_group():
            own, cleared[rows] = _clear(z[rows], np.column_stack([x[rows], y[rows]]))
            rank += own
        common, left = _clear(cleared[:, :-1], cleared[:, -1:])
        rss = np.array([float(np.sum(left**2))])
        columns = self.J * self.K + self.P
        return Within(columns, np.array([rank + common]), rss, np.array([self.N]), common)

    def identifying(self, k: int) -> int:
        """Groups whose own rows tell coefficient k from the other varying ones."""
        z = self.centred[0]
        others = np.delete(z, k, axis=1)
        return sum(_rank(z[rows]) > _rank(others[rows]) for rows in self._by_group())

    @cached_property
    def pooled_residuals(self) -> Array:
        """Residuals of one least-squares fit to all rows, shape (N,)."""
        z, x, y = self.centred
        return _clear(np.hstack([z, x]), y[:, None])[1][:, 0]

    def estimated_pooling(self) -> float:
        """Mean pooling factor by moments, of the coefficient that is pooled most.

        The mean over groups of v_j / (v_j + tau^2), where v_j is the variance of group j's own
        estimate and tau^2 a moment estimate (DerSimonian and Laird 1986, Controlled Clinical
        Trials 7, 177-188). With rows, the own estimates are least squares on z, of what one
        least-squares fit of all rows leaves, in the groups that are large enough for it. 1 where
        groups do not differ more than their rows, or too few can tell.
        """
        if self.se is not None:
            return _pooling_factor(self.y, self.se**2)
        z, r = self.centred[0], self.pooled_residuals
        own, cross, rss, df = [], [], 0.0, 0
        for rows in self._by_group():
            Z = z[rows]
            if len(rows) < self.K or _rank(Z) < self.K:
                continue
            inverse = np.linalg.pinv(Z)
            estimate = inverse @ r[rows]
            own.append(estimate)
            cross.append(np.sum(inverse**2, axis=1))
            rss += float(np.sum((r[rows] - Z @ estimate) ** 2))
            df += len(rows) - self.K
        if len(own) < 2 or df < 1 or rss <= 0:
            return 1.0
        estimates, variances = np.array(own), rss / df * np.array(cross)
        return max(_pooling_factor(estimates[:, k], variances[:, k]) for k in range(self.K))

    @property
    def columns_rank(self) -> int:
        """Rank of the N x (K + P) matrix of all columns."""
        z, x, _ = self.centred
        return _rank(np.hstack([z, x]))


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


def _pooling_factor(estimates: Array, variances: Array) -> float:
    w = 1 / variances
    mean = np.sum(w * estimates) / np.sum(w)
    Q = np.sum(w * (estimates - mean) ** 2)
    tau2 = (Q - (len(estimates) - 1)) / (np.sum(w) - np.sum(w**2) / np.sum(w))
    return float(np.mean(variances / (variances + tau2))) if tau2 > 0 else 1.0


def is_constant(W: Array) -> NDArray[np.bool_]:
    """Which columns are one value but 0 in all rows, up to a billionth of it."""
    size = np.abs(W).max(axis=0, initial=0.0)
    return np.asarray((size > 0) & (np.ptp(W, axis=0) <= 1e-9 * size)) if len(W) else size > 0


def _standardized(W: Array) -> Array:
    # A column's units must not decide what counts as collinear.
    length = np.linalg.norm(W, axis=0)
    return np.asarray(W / np.where(length > 0, length, 1))


def _rank(W: Array) -> int:
    return int(np.linalg.matrix_rank(_standardized(W), tol=1e-9)) if W.size else 0


def _clear(W: Array, these: Array) -> tuple[int, Array]:
    """Rank of W, and these columns less their least-squares fit on W."""
    u, s, _ = np.linalg.svd(_standardized(W), full_matrices=False)
    basis = u[:, s > 1e-9]
    left = these - basis @ (basis.T @ these)
    # What is left of a column that W explains is rounding, and is no column any more.
    size = np.abs(these).max(axis=0)
    return basis.shape[1], np.where(np.abs(left).max(axis=0) > 1e-10 * size, left, 0.0)
