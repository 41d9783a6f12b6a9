"""Group sufficient statistics of rows that lie in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data import frames
from .statistics import SufficientStatistics
from .sums import about_the_means, frozen

__all__ = ["of_rows", "of_table"]

Array = NDArray[np.float64]


def of_rows(
    columns: Mapping[str, Array],
    y: Array,
    index: NDArray[np.int64],
    *,
    response: str,
    group: str,
    labels: NDArray[Any],
    sources: Mapping[str, tuple[str, ...]],
    dropped: int = 0,
    levels: Mapping[str, tuple[str, ...]] | None = None,
) -> SufficientStatistics:
    """Statistics of rows that lie in memory.

    Parameters
    ----------
    columns : dict of str to array, each of shape (N,)
        The columns by name.
    y : array, shape (N,)
        The response.
    index : array of int, shape (N,)
        Group of each row, counted from 0.
    response, group, labels, sources, dropped, levels
        As in :class:`SufficientStatistics`.
    """
    J = len(labels)
    values = [*columns.values(), y]
    sizes = np.bincount(index, minlength=J)
    n = np.maximum(sizes, 1)
    near, sums = np.empty((2, J, len(values)))
    squares = np.empty((J, len(values), len(values)))
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused
        centre = np.array([float(v.mean()) for v in values])
        d = []
        for a, v in enumerate(values):
            near[:, a] = np.bincount(index, v, J) / n
            d.append(v - near[index, a])
            sums[:, a] = np.bincount(index, d[a], J)
            for b in range(a + 1):
                squares[:, a, b] = squares[:, b, a] = np.bincount(index, d[a] * d[b], J)
        off, within = about_the_means(sizes, sums, squares)
        group_means = (near - centre) + off
    return SufficientStatistics(
        response=response,
        group=group,
        columns=tuple(columns),
        sources=dict(sources),
        labels=labels,
        centre=frozen(centre),
        sizes=sizes.astype(np.int64, copy=False),
        group_means=frozen(group_means),
        within=frozen(within),
        minimum=np.array([v.min() for v in values]),
        maximum=np.array([v.max() for v in values]),
        dropped=dropped,
        levels=dict(levels or {}),
    )


def of_table(table: frames.Table, *, y: str, group: str) -> SufficientStatistics:
    """Statistics of a checked table: of all its predictors and the numeric column ``y``."""
    return of_rows(
        table.predictors,
        table.numeric[y],
        table.groups.index,
        response=y,
        group=group,
        labels=table.groups.labels,
        sources=table.sources,
        dropped=table.dropped,
        levels=table.levels,
    )
