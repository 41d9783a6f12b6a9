"""Statistics of each group's rows, observed and replicated, and where the one lies in the other."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ..container.rows import FittedRows
from ..errors import ContainerError
from ..system.progress import processors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["COLUMNS", "STATISTICS", "compare", "draws_to_tell"]

STATISTICS = ("mean", "sd", "min", "max")
COLUMNS = ("observed", "q5", "median", "q95", "z", "p", "tail")

# Numbers in a block of replicated rows (8 MB); each processor has a few such at a time.
_BLOCK = 1 << 20
# Fewer draws than that in a tail do not tell its probability by their number.
_FEW = 10
# Share of the draws that the shape of a tail is taken from, and the fewest that will do.
_TAIL, _LEAST_TAIL = 0.05, 25


def compare(
    rows: FittedRows, replicated: Array, by_group: tuple[str, ...], overall: tuple[str, ...]
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Statistics of the data, and where they lie among those of the replicated data.

    Parameters
    ----------
    rows : FittedRows
    replicated : array, shape (D, N)
    by_group, overall : tuple of str
        Statistics of each group's rows, and of all rows.

    Returns
    -------
    by_group, overall : dict of str to array, shapes (J, len(by_group)) and (len(overall),)
        :data:`COLUMNS`: ``p`` is the mid-p of the draws, ``tail`` the two-sided p-value whose tails
        are fitted where they are too thin to count.

    Raises
    ------
    ContainerError
        Replicated data that are not finite.
    """
    import numpy as np

    sizes, D = rows.sizes, len(replicated)
    order = np.argsort(rows.index, kind="stable")
    first = np.concatenate([[0], np.cumsum(sizes)])
    # Deviations from each group's own mean, so that squares lose no digits.
    means = np.bincount(rows.index, rows.y, minlength=len(sizes)) / sizes
    middle = float(rows.y.mean())
    columns = {name: np.empty((len(sizes), len(by_group))) for name in COLUMNS}

    def work(part: slice) -> tuple[Array, ...]:
        places = order[first[part.start] : first[part.stop]]
        n, centre = sizes[part], means[part]
        starts = first[part] - first[part.start]
        shift = np.repeat(centre, n)[:, None]
        sums = [np.empty((len(n), D)) for _ in range(4)]
        step = max(1, _BLOCK // len(places))
        for at in range(0, D, step):
            some = slice(at, min(at + step, D))
            x = np.ascontiguousarray(replicated[some][:, places].T)
            x -= shift
            for total, values in zip(sums, _reduced(x, starts), strict=True):
                total[:, some] = values
        own = _reduced((rows.y[places, None] - shift), starts)
        for k, name in enumerate(by_group):
            found = _summarized(
                _statistic(name, sums, n, centre), _statistic(name, own, n, centre)[:, 0]
            )
            for column, values in found.items():
                columns[column][part, k] = values
        return _pooled(sums, n, centre - middle)

    with ThreadPoolExecutor(processors()) as pool:  # NumPy lets go of Python's lock
        partial = list(pool.map(work, _blocks(sizes, D)))
    whole = [
        np.sum([s for s, _, _, _ in partial], axis=0)[None],
        np.sum([q for _, q, _, _ in partial], axis=0)[None],
        np.min([low for _, _, low, _ in partial], axis=0)[None],
        np.max([high for _, _, _, high in partial], axis=0)[None],
    ]
    if not np.isfinite(whole[1]).all():
        raise ContainerError(
            "a check of groups needs replicated data that are finite, got NaN or infinity in "
            "posterior_predictive; see hm.check(idata)"
        )
    N, centre = np.array([len(rows.y)]), np.array([middle])
    seen = _reduced((rows.y - middle)[:, None], np.array([0]))
    together = {name: np.empty(len(overall)) for name in COLUMNS}
    for k, name in enumerate(overall):
        found = _summarized(
            _statistic(name, whole, N, centre), _statistic(name, seen, N, centre)[:, 0]
        )
        for column, values in found.items():
            together[column][k] = values[0]
    return columns, together


def draws_to_tell(comparisons: int, level: float) -> int:
    """The fewest replicated data sets that can single one of so many comparisons out.

    The smallest two-sided p-value that D draws can count is 2 / (D + 1), adjusted as many times
    that as there are comparisons; from 500 on a tail is fitted to them, whose p-values may be as
    small as they are.
    """
    counted = math.ceil(2 * comparisons / level - 1e-9) - 1
    return min(counted, math.ceil(_LEAST_TAIL / _TAIL))


def _blocks(sizes: NDArray[np.int64], draws: int) -> Iterator[slice]:
    """Groups whose replicated rows make up a block, one group at the least."""
    start = total = 0
    for j, n in enumerate(sizes.tolist()):
        if total and (total + n) * draws > _BLOCK:
            yield slice(start, j)
            start, total = j, 0
        total += n
    yield slice(start, len(sizes))


def _reduced(x: Array, starts: NDArray[np.int64]) -> list[Array]:
    """Sum, squares, least and largest of each group's rows: each of shape (groups, draws)."""
    import numpy as np

    low, high = np.minimum.reduceat(x, starts, axis=0), np.maximum.reduceat(x, starts, axis=0)
    total = np.add.reduceat(x, starts, axis=0)
    return [total, np.add.reduceat(x * x, starts, axis=0), low, high]


def _pooled(sums: list[Array], n: NDArray[np.int64], centre: Array) -> tuple[Array, ...]:
    """The same of all these groups together, about one centre: each of shape (draws,)."""
    total, squares, low, high = sums
    c = centre[:, None]
    about = squares + 2 * c * total + n[:, None] * c * c
    return (
        (total + n[:, None] * c).sum(axis=0),
        about.sum(axis=0),
        (low + c).min(axis=0),
        (high + c).max(axis=0),
    )


def _statistic(name: str, sums: list[Array], n: NDArray[np.int64], centre: Array) -> Array:
    """One statistic of each group and draw, shape (groups, draws); NaN for the sd of one row."""
    import numpy as np

    total, squares, low, high = sums
    size = n[:, None]
    if name == "sd":
        about = np.maximum(squares - total * total / size, 0)
        return np.asarray(np.sqrt(about / np.where(size > 1, size - 1, np.nan)))
    value = {"mean": total / size, "min": low, "max": high}[name]
    return np.asarray(value + centre[:, None])


# ---- where the observed value lies ---------------------------------------------------------------


def _summarized(replicated: Array, observed: Array) -> dict[str, Array]:
    """What the tables say of each group: ``replicated`` of shape (groups, draws)."""
    import numpy as np

    D = replicated.shape[1]
    mean, sd = replicated.mean(axis=1), replicated.std(axis=1)
    T = np.sort(replicated, axis=1)
    y = observed[:, None]
    above, equal = (y < T).sum(axis=1), (y == T).sum(axis=1)
    above = above + equal / 2
    out = {"observed": observed}
    for name, q in (("q5", 0.05), ("median", 0.5), ("q95", 0.95)):
        low = int(q * (D - 1))
        high, weight = min(low + 1, D - 1), q * (D - 1) - low
        out[name] = T[:, low] + weight * (T[:, high] - T[:, low])
    with np.errstate(divide="ignore", invalid="ignore"):
        out["z"] = np.where(sd > 0, (observed - mean) / sd, 0.0)
    out["p"] = above / D
    out["tail"] = np.minimum(
        1, 2 * np.minimum(_beyond(T, observed, above), _beyond(-T[:, ::-1], -observed, D - above))
    )
    nothing = np.isnan(observed)
    for name in ("z", "p", "tail"):
        out[name] = np.where(nothing, np.nan, out[name])
    return out


def _beyond(T: Array, observed: Array, count: Array) -> Array:
    """Probability of more than was observed, also where it is too small to count.

    Parameters
    ----------
    T : array, shape (groups, draws)
        Sorted.
    observed, count : array, shape (groups,)
        What was observed, and how many of the draws are above it.
    """
    import numpy as np

    D = T.shape[1]
    p = np.asarray((count + 1) / (D + 1))  # one of the D + 1 is the observed value itself
    m = int(_TAIL * D)
    rare = np.flatnonzero(count < _FEW)
    if m < _LEAST_TAIL or not len(rare):
        return p
    threshold = (T[rare, -m - 1] + T[rare, -m]) / 2
    excess = T[rare, -m:] - threshold[:, None]
    # a_0 = E x and a_1 = E x (1 - F(x)); shape = 2 - a_0 / (a_0 - 2 a_1), scale = a_0 (1 - shape).
    a0 = excess.mean(axis=1)
    a1 = (excess * (1 - (np.arange(1, m + 1) - 0.35) / m)).mean(axis=1)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        shape = np.clip(2 - a0 / (a0 - 2 * a1), 0, 0.9)
        x = np.maximum(observed[rare] - threshold, 0) / (a0 * (1 - shape))
        heavy = np.where(shape > 1e-6, shape, 1.0)
        survival = np.where(shape > 1e-6, (1 + heavy * x) ** (-1 / heavy), np.exp(-x))
    # A tail of equal draws has no shape.
    p[rare] = np.where(a0 > 0, m / D * survival, p[rare])
    return p
