"""Means and products about them, of groups and of parts of groups, without loss of digits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["about_the_means", "combined", "frozen", "of_products", "square"]

Array = NDArray[np.float64]


def about_the_means(sizes: NDArray[np.int64], sums: Array, squares: Array) -> tuple[Array, Array]:
    """From sums about points near the means of the groups to those about the means themselves.

    With s the sums and Q the products of deviations from any point near the mean of n rows, the
    mean lies s/n from that point, and the products about it are Q - s s'/n: the corrected two-pass
    algorithm (Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance", The
    American Statistician 37, equation 1.7).

    Parameters
    ----------
    sizes : array of int, shape (J,)
    sums : array, shape (J, W)
    squares : array, shape (J, W, W)

    Returns
    -------
    off : array, shape (J, W)
        The means less the points.
    within : array, shape (J, W, W)
    """
    n = np.maximum(sizes, 1).astype(np.float64)
    within = squares - sums[:, :, None] * sums[:, None, :] / n[:, None, None]
    diagonal = np.arange(within.shape[1])
    within[:, diagonal, diagonal] = np.maximum(within[:, diagonal, diagonal], 0)
    return sums / n[:, None], within


def combined(
    index: NDArray[np.int64],
    J: int,
    sizes: NDArray[np.int64],
    means: Array,
    within: Array,
) -> tuple[NDArray[np.int64], Array, Array]:
    """Sizes, means and products within of J groups, from those of their parts.

    Of two parts of n and m rows whose means are d apart the products add up to W + V + n m / (n +
    m) d d' (Chan, Golub and LeVeque 1983, equation 2.1).

    Parameters
    ----------
    index : array of int
        Group of each part.
    J : int
    sizes, means, within : array
        Of the parts; means of all of them less one centre.
    """
    order = np.argsort(sizes, kind="stable")
    near = np.zeros((J, means.shape[1]))
    near[index[order]] = means[order]  # that of the largest part, as it comes last
    d = means - near[index]
    sums = added(index, J, sizes[:, None] * d)
    squares = within + sizes[:, None, None] * (d[:, :, None] * d[:, None, :])
    total = np.rint(added(index, J, sizes)).astype(np.int64)
    off, within = about_the_means(total, sums, added(index, J, squares))
    return total, near + off, within


def added(index: NDArray[np.int64], J: int, values: NDArray[Any]) -> Array:
    """Sums of the values of each group, shape (J, ...)."""
    table = values.reshape(len(index), -1)
    sums = np.empty((J, table.shape[1]))
    for column in range(table.shape[1]):
        sums[:, column] = np.bincount(index, table[:, column], J)
    return sums.reshape(J, *values.shape[1:])


def square(triangle: Array, size: int) -> Array:
    """Symmetric matrices of their upper triangles, row by row."""
    rows, cols = np.triu_indices(size)
    square = np.empty((len(triangle), size, size))
    square[:, rows, cols] = square[:, cols, rows] = triangle
    return square


def of_products(products: Array) -> dict[str, NDArray[Any]]:
    """What a file of an earlier version has in place of means and products within."""
    sizes = np.rint(products[:, 0, 0]).astype(np.int64)
    off, within = about_the_means(sizes, products[:, 0, 1:], products[:, 1:, 1:])
    return {"sizes": sizes, "group_means": off, "within": within}


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """The array, which is then kept as it is, uncopied."""
    array.flags.writeable = False
    return array
