"""The rows of each group, turned so that K of them hold all that its varying columns say.

An orthogonal map of the rows of [z, x, y] in a group, Q_j, changes neither a normal likelihood nor
a sum of squares. One of them leaves z in K rows alone,

    Q_j [Z_j, X_j, y_j] = [R_j, P_j, w_j]
                          [0,   what is left of x and y],

where R_j is square (the QR decomposition; Golub and Van Loan 2013, Matrix Computations, 4th ed.,
section 5.2). The effects of the group are in the first K rows, and of the others nothing but the
squares and products is needed. What lies between groups is in those K rows, and what lies within
them is never made a difference of squares that have both in them.

A column that depends on others in a group gives a row of zeros, as in a group of fewer than K rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Rotated:
    """The turned rows of J groups.

    Attributes
    ----------
    rows : array, shape (J, K, K + P + 1)
        K rows of the centred [z, x, y] in each group.
    rest : array, shape (J, P + 1, P + 1)
        Squares and products of the other rows, which have no z, of [x, y].
    more : array, shape (K + P,)
        Coefficients that went off y here, and not in the coefficients of the centred columns.
    """

    rows: Array
    rest: Array
    more: Array

    def __getitem__(self, groups: Any) -> Rotated:
        """The same for some of the groups."""
        return Rotated(self.rows[groups], self.rest[groups], self.more)

    def less(self, fit: Array) -> Rotated:
        """The same, with further coefficients taken off y, shape (K + P,).

        Squares of y lose no digits to what a fit explains that went off it before.
        """
        rows, T = self.rows.copy(), np.eye(self.rest.shape[1])
        rows[:, :, -1] -= rows[:, :, :-1] @ fit
        T[-1, :-1] = -fit[self.K :]
        return Rotated(rows, T @ self.rest @ T.T, self.more + fit)

    @property
    def K(self) -> int:
        """Number of varying coefficients."""
        return int(self.rows.shape[1])

    def combination(self, centred: Array) -> Array:
        """Weights of [z, x, y] that make residuals of D lines for all, shape (D, K + P + 1)."""
        return np.hstack([self.more - centred, np.ones((len(centred), 1))])

    def residuals(self, centred: Array) -> list[Array]:
        """What D lines for all leave of y in the K rows: K arrays of shape (D, J)."""
        g = self.combination(centred)
        return [g @ np.ascontiguousarray(self.rows[:, k].T) for k in range(self.K)]

    def squares(self, centred: Array) -> Array:
        """Squares that they leave in the other rows, shape (D, J)."""
        g = self.combination(centred)[:, self.K :]
        pairs = (g[:, :, None] * g[:, None, :]).reshape(len(g), -1)
        return np.asarray(pairs @ np.ascontiguousarray(self.rest.reshape(len(self.rest), -1).T))
