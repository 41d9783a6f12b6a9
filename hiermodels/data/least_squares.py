"""Least squares from cross-products, in all groups at once, column by column."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

TOLERANCE = 1e-12
"""A column of which no more than this share of its square is left depends on those before it.

Cross-products are squares, and rounding leaves up to 1e-13 of a column that others explain: what is
a millionth of a column's length or less cannot be told from nothing.
"""


def eliminate(
    G: Array, columns: Iterable[int], *, scale: Array | None = None
) -> tuple[NDArray[np.int64], Array]:
    """Clear all columns of those named, as by least squares on them (Gaussian elimination).

    For each pivot p with G_pp > 0: G <- G - G_.p G_p. / G_pp; what is left of G are the
    cross-products of the residuals (the Schur complement; Golub and Van Loan 2013, Matrix
    Computations, 4th ed., section 4.2).

    Parameters
    ----------
    G : array, shape (J, W, W)
        Symmetric cross-products of W columns in J groups.
    columns : iterable of int
        Columns on which the others are regressed, in turn.
    scale : array, shape (J, W), optional
        Squares of the columns to which what is left is compared; by default the diagonal of G.

    Returns
    -------
    rank : array of int, shape (J,)
        Linearly independent columns among those named.
    left : array, shape (J, W, W)
        Cross-products of what is left; its diagonal is not negative.
    """
    rank, left, _ = rotate(G, columns, scale=scale)
    return rank, left


def rotate(
    G: Array, columns: Iterable[int], *, scale: Array | None = None
) -> tuple[NDArray[np.int64], Array, Array]:
    """Split the rows behind cross-products into one row for each of some columns, and the rest.

    An orthogonal map of a group's rows leaves their cross-products as they are, and can make all
    but n rows of n columns 0. Those n rows are R with G = R'R + left: the Cholesky factor, row by
    row, of all columns (Golub and Van Loan 2013, section 4.2). A column that depends on those
    before it has a row of zeros.

    Parameters
    ----------
    G, columns, scale
        As for :func:`eliminate`.

    Returns
    -------
    rank, left
        As from :func:`eliminate`.
    rows : array, shape (J, n, W)
    """
    left = np.array(G, dtype=np.float64)
    first = np.diagonal(G, axis1=1, axis2=2) if scale is None else scale
    rank = np.zeros(len(left), dtype=np.int64)
    rows = []
    for p in columns:
        pivot = left[:, p, p]
        new = pivot > TOLERANCE * first[:, p]
        rank += new
        one = np.where(new, pivot, 1)[:, None]
        rows.append(np.where(new[:, None], left[:, p, :] / np.sqrt(one), 0.0))
        factor = np.where(new[:, None], left[:, :, p] / one, 0.0)
        left = left - factor[:, :, None] * left[:, None, p, :]
        # What is left of the pivot itself is rounding.
        left[:, p, :] = left[:, :, p] = 0
    diagonal = np.arange(left.shape[1])
    left[:, diagonal, diagonal] = np.maximum(left[:, diagonal, diagonal], 0)
    made = np.stack(rows, axis=1) if rows else np.empty((len(left), 0, left.shape[1]))
    return rank, left, made


def least_squares(A: Array, b: Array) -> Array:
    """Coefficients from the columns' cross-products A (n, n) and theirs with responses b (n, m).

    Of dependent columns the shortest solution, in units in which all columns are of one length.
    """
    length = np.sqrt(np.diag(A))
    length = np.where(length > 0, length, 1.0)
    scaled = A / length / length[:, None]
    solved = np.linalg.lstsq(scaled, b / length[:, None], rcond=TOLERANCE)[0]
    return np.asarray(solved / length[:, None])


def own_lines(G: Array, within: Array, one: int | None, more: Array) -> tuple[Array, Array]:
    """Each group's own least-squares coefficients, and the inverses of its columns' products.

    Beside a constant column the slopes are those of the products about the group's means, S, and
    the line goes through the means: with v the constant, u the other columns' means and I the
    matrix that takes (intercept, slopes) of columns less their means to those of the columns,
    A^-1 = I diag(1/(n v^2), S^-1) I'. Of dependent columns the shortest solution, and the
    pseudo-inverse, in units in which all columns of the group are of one length.

    Parameters
    ----------
    G, within : array, shape (J, p + 1, p + 1)
        Cross-products of p columns and the response, as they are and about the group's means.
    one : int or None
        Place of the constant column.
    more : array, shape (p,)
        Coefficients that went off the response in ``within`` and not in ``G``.

    Returns
    -------
    fit : array, shape (J, p)
    inverse : array, shape (J, p, p)
    """
    J, p = len(G), G.shape[1] - 1
    others = [k for k in range(p) if k != one]
    A = (G if one is None else within)[:, others]
    length = np.sqrt(np.diagonal(A[:, :, others], axis1=1, axis2=2))
    unit = np.where(length > 0, length, 1.0)
    scaled = A[:, :, others] / (unit[:, :, None] * unit[:, None, :])
    own = np.linalg.pinv(scaled, rcond=TOLERANCE, hermitian=True)
    own = own / (unit[:, :, None] * unit[:, None, :])
    slopes = (own @ A[:, :, -1:])[..., 0]
    if one is None:
        return slopes, own
    fit, inverse, through = np.empty((J, p)), np.zeros((J, p, p)), np.tile(np.eye(p), (J, 1, 1))
    means = G[:, one] / G[:, one, one][:, None]  # over v
    through[:, one, others] = -means[:, others]
    slopes = slopes + more[others]
    fit[:, others] = slopes
    fit[:, one] = means[:, -1] - np.sum(means[:, others] * slopes, axis=1)
    inverse[:, one, one] = 1 / G[:, one, one]
    inverse[np.ix_(range(J), others, others)] = own
    return fit, through @ inverse @ np.swapaxes(through, 1, 2)
