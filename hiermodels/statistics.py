"""Group sufficient statistics: all that the rows say about a Gaussian hierarchical model.

With w_i = (1, x_i - c, y_i - c_y) for the rows i, the model needs nothing but the sums of w_i w_i'
over the rows of each group: sizes, sums and cross-products, about a centre c near the columns'
means, so that squares lose no digits to a large mean.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from . import columns as rules
from . import frames, label_texts, statistics_file
from .errors import ColumnError, DataError, OptionError, listed, suggest
from .labels import whole

Array = NDArray[np.float64]

ABOUT = ("response", "group", "columns", "sources", "levels", "dropped")


# Two of them are equal where they are the same object: whether numbers that were summed in another
# order are equal is a question for the user.
@dataclass(frozen=True, eq=False, repr=False)
class SufficientStatistics:
    """Group sufficient statistics of C columns and a response, in J groups.

    They take the place of the rows in every model, and hold none of them. What exists only row by
    row (``log_likelihood``, replicated rows) cannot be had from them.

    Attributes
    ----------
    response, group : str
        Names of the response and of the group column.
    columns : tuple of str, length C
        Names of the columns, categorical ones coded as ``column[level]``.
    sources : dict of str to tuple of str
        The columns that each column of the frame became.
    labels : array, shape (J,)
        One label for each group: strings or integers.
    centre : array, shape (C + 1,)
        What was taken off the columns and the response before their products, in their own units.
    products : array, shape (J, C + 2, C + 2)
        Sums over the rows of each group of w w', w = (1, columns - centre, response - centre):
        ``products[:, 0, 0]`` are the group sizes, ``products[:, 0, 1:]`` the sums.
    minimum, maximum : array, shape (C + 1,)
        Range of each column, and of the response, over all rows.
    dropped : int
        Rows left out because a value was missing.
    levels : dict of str to tuple of str
        All levels of each categorical column of the frame, the first of them not coded.

    Raises
    ------
    OptionError
        The shapes do not fit each other.
    DataError
        Labels repeat, or are neither strings nor integers; numbers are not finite.
    """

    response: str
    group: str
    columns: tuple[str, ...]
    sources: dict[str, tuple[str, ...]]
    labels: NDArray[Any]
    centre: Array
    products: Array
    minimum: Array
    maximum: Array
    dropped: int = 0
    levels: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        J, C = len(self.labels), len(self.columns)
        shapes = {
            "labels": (J,),
            "centre": (C + 1,),
            "products": (J, C + 2, C + 2),
            "minimum": (C + 1,),
            "maximum": (C + 1,),
        }
        for name, shape in shapes.items():
            own = np.asarray(getattr(self, name))
            if own.shape != shape:
                raise OptionError(
                    f"sufficient statistics: {name} must have shape {shape} for {J} labels and "
                    f"{C} columns, got {own.shape}; hm.sufficient_statistics makes them"
                )
            if own.flags.writeable or not own.flags.owndata:
                if name == "labels":  # once: those of a copy with another centre are not new
                    own = _checked(own, self.group)
                own = own.copy()
                own.flags.writeable = False
            if name == "centre":
                self._check_spreads()
            if name != "labels" and not np.isfinite(own).all():
                raise DataError(
                    f"sufficient statistics: {name} must be finite, got NaN or infinity; mend the "
                    "columns, or divide columns of 1e150 and more by a constant"
                )
            object.__setattr__(self, name, own)

    def _check_spreads(self) -> None:
        ends = np.asarray(self.minimum), np.asarray(self.maximum)
        names = (*self.columns, self.response)
        if ends[0].shape == ends[1].shape == (len(names),):  # else refused in its turn
            for name, low, high in zip(names, *ends, strict=True):
                rules.check_spread(name, float(low), float(high))

    def __repr__(self) -> str:
        columns = f" on {listed(self.columns)}" if self.columns else ""
        return (
            f"<SufficientStatistics of {self.response!r}{columns}: "
            f"{self.N} rows in {self.J} groups ({self.group!r})>"
        )

    @property
    def J(self) -> int:
        """Number of groups."""
        return len(self.labels)

    @property
    def N(self) -> int:
        """Number of rows."""
        return int(self.sizes.sum())

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Rows in each group, shape (J,)."""
        return np.rint(self.products[:, 0, 0]).astype(np.int64)

    @property
    def means(self) -> Array:
        """Means of the columns and the response over all rows, shape (C + 1,)."""
        means: Array = self.centre + self.products[:, 0, 1:].sum(axis=0) / self.N
        return means

    def recentred(self, centre: Sequence[float] | Array) -> SufficientStatistics:
        """The same statistics about another centre.

        With d = old centre - new centre, each w becomes T w, where T is the identity but for d in
        its first column, and the products G become T G T': with n the sizes and s the sums,
        G_ab + d_a s_b + s_a d_b + n d_a d_b. A centre far from the means costs digits, as its
        square is added to the squares about the means.

        Parameters
        ----------
        centre : array, shape (C + 1,)
            The new centre of the columns and of the response, finite.

        Raises
        ------
        OptionError
            Another shape, or not finite.
        """
        new = np.array(centre, dtype=np.float64)
        if new.shape != self.centre.shape or not np.isfinite(new).all():
            raise OptionError(
                f"centre must be {len(self.centre)} finite numbers, for the columns and then the "
                f"response, got shape {new.shape}; statistics.centre is an example"
            )
        d = self.centre - new
        n, s = self.products[:, :1, :1], self.products[:, 0, 1:]
        products = self.products.copy()
        cross = s[:, :, None] * d
        products[:, 1:, 1:] += (cross + cross.transpose(0, 2, 1)) + n * (d[:, None] * d)
        products[:, 0, 1:] = products[:, 1:, 0] = s + n[:, 0] * d
        return replace(self, centre=frozen(new), products=frozen(products))

    def select(self, columns: Sequence[str]) -> SufficientStatistics:
        """The statistics of some of the columns, in the order given.

        Parameters
        ----------
        columns : sequence of str
            Columns of the frame; a categorical one brings all its coded columns.

        Raises
        ------
        ColumnError
            The statistics have no such column.
        """
        names = column_names(columns)
        for name in names:
            if name not in self.sources:
                raise ColumnError(
                    f"the statistics have no column {name!r}; they have "
                    f"{listed(self.sources) or 'none'}{suggest(name, self.sources)}"
                )
        coded = tuple(c for name in names for c in self.sources[name])
        where = np.array([*map(self.columns.index, coded), len(self.columns)])
        both = np.concatenate([[0], where + 1])
        return replace(
            self,
            columns=coded,
            sources={name: self.sources[name] for name in names},
            levels={name: self.levels[name] for name in names if name in self.levels},
            centre=self.centre[where],
            products=frozen(np.ascontiguousarray(self.products[:, both[:, None], both])),
            minimum=self.minimum[where],
            maximum=self.maximum[where],
        )

    def merge(self, other: SufficientStatistics) -> SufficientStatistics:
        """The statistics of the rows of both, the same as of all rows at once but for rounding.

        Groups are matched by their labels; those that only ``other`` has come last. Both are moved
        to the mean of all rows first.

        Parameters
        ----------
        other : SufficientStatistics
            Of other rows, with the same response, group and columns.

        Raises
        ------
        DataError
            Other names, other levels of a categorical column, or labels of another type; or
            integer labels that do not all fit 64 bits.
        """
        if not isinstance(other, SufficientStatistics):
            raise OptionError(
                f"merge takes sufficient statistics, got {type(other).__name__}; "
                "hm.sufficient_statistics makes them"
            )
        other = self._alike(other)
        both = [self.labels, other.labels]
        if self.labels.dtype.kind == "U":
            codes, found = pd.factorize(np.concatenate(both).astype(object))
            labels = found.astype(np.str_)
        else:
            # As Python's integers where the types differ: NumPy makes int64 and uint64 floats.
            kind = object if both[0].dtype != both[1].dtype else both[0].dtype
            codes, found = pd.factorize(np.concatenate([v.astype(kind) for v in both]))
            labels = whole(found, self.group)
        mine, yours = self.means, other.means
        centre = mine + (yours - mine) * (other.N / (self.N + other.N))
        products = np.zeros((len(labels), *self.products.shape[1:]))
        products[codes[: self.J]] = self.recentred(centre).products
        products[codes[self.J :]] += other.recentred(centre).products
        return replace(
            self,
            labels=labels,
            centre=frozen(centre),
            products=frozen(products),
            minimum=np.minimum(self.minimum, other.minimum),
            maximum=np.maximum(self.maximum, other.maximum),
            dropped=self.dropped + other.dropped,
        )

    def __add__(self, other: object) -> SufficientStatistics:
        return self.merge(other) if isinstance(other, SufficientStatistics) else NotImplemented

    def _alike(self, other: SufficientStatistics) -> SufficientStatistics:
        """The other statistics with their columns in the order of these."""
        for name in ("response", "group"):
            mine, yours = getattr(self, name), getattr(other, name)
            if mine != yours:
                raise DataError(
                    f"statistics to merge must have the same {name}, got {mine!r} and {yours!r}; "
                    "rename the column before they are made"
                )
        if self.sources.keys() != other.sources.keys():
            raise DataError(
                "statistics to merge must be of the same columns, got "
                f"{listed(self.sources) or 'none'} and {listed(other.sources) or 'none'}; "
                ".select(columns) takes those that both have"
            )
        for name, coded in self.sources.items():
            mine, yours = (s.levels.get(name, s.sources[name]) for s in (self, other))
            if (mine, coded) != (yours, other.sources[name]):
                raise DataError(
                    f"statistics to merge must have the same levels of {name!r}, got "
                    f"({listed(mine)}) and ({listed(yours)}); code it in each frame as columns of "
                    "0 and 1, one for each level but the first, before they are made"
                )
        if (self.labels.dtype.kind == "U") != (other.labels.dtype.kind == "U"):
            raise DataError(
                f"statistics to merge must have labels of one type in {self.group!r}, got strings "
                "and integers; make them all strings before the statistics are made"
            )
        return other if self.columns == other.columns else other.select(tuple(self.sources))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the statistics to one file, which :meth:`load` reads.

        The file is NumPy's ``.npz`` without pickled objects, whatever its name; it appears whole
        or not at all.

        Returns
        -------
        Path
            Where it was written.

        Raises
        ------
        DataError
            It cannot be written.
        """
        about = {n: getattr(self, n) for n in ABOUT}
        arrays = {n: getattr(self, n) for n in ("labels", "centre", "minimum", "maximum")}
        rows, cols = np.triu_indices(self.products.shape[1])
        return statistics_file.write(
            path, about, {**arrays, "products": self.products[:, rows, cols]}
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SufficientStatistics:
        """Read statistics that :meth:`save` wrote.

        Raises
        ------
        DataError
            No such file, or no statistics in it.
        """
        about, arrays = statistics_file.read(path)
        try:
            triangle = arrays.pop("products")
            about["columns"] = tuple(about["columns"])
            for name in ("sources", "levels"):
                about[name] = {key: tuple(value) for key, value in about[name].items()}
            C = len(about["columns"])
            rows, cols = np.triu_indices(C + 2)
            products = np.empty((len(triangle), C + 2, C + 2))
            products[:, rows, cols] = products[:, cols, rows] = triangle
            return cls(**about, **arrays, products=frozen(products))
        except DataError:  # its reason is better than ours
            raise
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise statistics_file.wrong(path) from error


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
    products = np.empty((J, len(values) + 1, len(values) + 1))
    products[:, 0, 0] = np.bincount(index, minlength=J)
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused
        centre = np.array([float(v.mean()) for v in values])
        w = [v - c for v, c in zip(values, centre, strict=True)]
        for a, left in enumerate(w, start=1):
            products[:, a, 0] = products[:, 0, a] = np.bincount(index, left, J)
            for b, right in enumerate(w[:a], start=1):
                products[:, a, b] = products[:, b, a] = np.bincount(index, left * right, J)
    return SufficientStatistics(
        response=response,
        group=group,
        columns=tuple(columns),
        sources=dict(sources),
        labels=labels,
        centre=frozen(centre),
        products=frozen(products),
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


def _checked(labels: NDArray[Any], group: str) -> NDArray[Any]:
    """Refuse labels that cannot be told apart, or that are no labels."""
    if labels.dtype.kind not in "Uiu":
        raise DataError(
            f"sufficient statistics: labels of {group!r} must be an array of strings or integers, "
            f"got {labels.dtype}; numpy.array(..., dtype=str) makes them strings"
        )
    twice = labels[pd.Series(labels).duplicated().to_numpy()]
    if len(twice):
        raise DataError(
            f"sufficient statistics: labels of {group!r} must differ, got {listed(twice)} more "
            "than once; .merge adds up the statistics of one group"
        )
    if labels.dtype.kind == "U" and (gone := label_texts.missing_among(labels)).any():
        bad = str(labels[gone][0])
        raise DataError(
            f"sufficient statistics: labels of {group!r} must be names, got {bad!a}, which "
            "stands for a missing value; rename it, or make the statistics anew"
        )
    return labels


def column_names(columns: Sequence[str]) -> tuple[str, ...]:
    """Names of columns as a tuple; a bare string, a list of letters to Python, is refused."""
    if isinstance(columns, str) or not isinstance(columns, Sequence):
        raise OptionError(
            f"columns must be a list of column names, got {columns!r}; "
            f"{[columns] if isinstance(columns, str) else ['x']!r} is one"
        )
    return tuple(columns)


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """The array, which is then kept as it is, uncopied."""
    array.flags.writeable = False
    return array
