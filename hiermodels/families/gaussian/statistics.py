"""Group sufficient statistics: all that the rows say about a Gaussian hierarchical model.

With v_i = (x_i, y_i) for the rows i, the model needs nothing but each group's size n_j, its means
m_j, and W_j, the sum of (v_i - m_j)(v_i - m_j)' over its rows. Means are kept less a centre c near
those of all rows, and squares are of deviations from each group's own means, so that they lose no
digits to a large mean, nor to groups that lie far apart.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...data import columns as rules
from ...data import label_texts
from ...data.labels import whole
from ...errors import ColumnError, DataError, OptionError, listed, suggest
from . import statistics_file
from .sums import combined, frozen, of_products, square

Array = NDArray[np.float64]

ARRAYS = ("labels", "centre", "sizes", "group_means", "within", "minimum", "maximum")
ABOUT = ("response", "group", "columns", "sources", "levels", "dropped")


# Compared by identity: sums in another order differ by rounding.
@dataclass(frozen=True, eq=False, repr=False)
class SufficientStatistics:
    """Group sufficient statistics of C columns and a response, in J groups.

    They take the place of the rows in every model. What exists only row by row
    (``log_likelihood``, replicated rows) cannot be had from them.

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
        What was taken off the means of the columns and of the response, in their own units.
    sizes : array of int, shape (J,)
        Rows in each group.
    group_means : array, shape (J, C + 1)
        Means of the columns and of the response in each group, less the centre.
    within : array, shape (J, C + 1, C + 1)
        Sums over the rows of each group of d d', d = (columns, response) less the group's means.
    minimum, maximum : array, shape (C + 1,)
        Range of each column, and of the response, over all rows.
    dropped : int
        Rows left out because a value was missing.
    levels : dict of str to tuple of str
        All levels of each categorical column of the frame. The first is not coded, unless a model
        without an intercept codes the factor in full.

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
    sizes: NDArray[np.int64]
    group_means: Array
    within: Array
    minimum: Array
    maximum: Array
    dropped: int = 0
    levels: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        J, C = len(self.labels), len(self.columns)
        shapes = {
            "labels": (J,),
            "centre": (C + 1,),
            "sizes": (J,),
            "group_means": (J, C + 1),
            "within": (J, C + 1, C + 1),
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
                    own = label_texts.checked(own, self.group)
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

    @property
    def means(self) -> Array:
        """Means of the columns and the response over all rows, shape (C + 1,)."""
        return np.asarray(self.centre + self.sizes @ self.group_means / self.N)

    @property
    def products(self) -> Array:
        """Sums over the rows of each group of w w', w = (1, columns - centre, response - centre).

        Shape (J, C + 2, C + 2): ``products[:, 0, 0]`` are the sizes, ``products[:, 0, 1:]`` the
        sums, and the rest is W + n m m' (sizes n, group means m, products within W).
        """
        n = self.sizes.astype(np.float64)
        one = np.hstack([np.ones((self.J, 1)), self.group_means])
        products = n[:, None, None] * (one[:, :, None] * one[:, None, :])
        products[:, 1:, 1:] += self.within
        return frozen(products)

    def recentred(self, centre: Sequence[float] | Array) -> SufficientStatistics:
        """The same statistics about another centre; one far from the means costs digits.

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
        means = self.group_means + (self.centre - new)
        return replace(self, centre=frozen(new), group_means=frozen(means))

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
        names = rules.column_names(columns)
        for name in names:
            if name not in self.sources:
                raise ColumnError(
                    f"the statistics have no column {name!r}; they have "
                    f"{listed(self.sources) or 'none'}{suggest(name, self.sources)}"
                )
        coded = tuple(c for name in names for c in self.sources[name])
        where = np.array([*map(self.columns.index, coded), len(self.columns)])
        return replace(
            self,
            columns=coded,
            sources={name: self.sources[name] for name in names},
            levels={name: self.levels[name] for name in names if name in self.levels},
            centre=self.centre[where],
            group_means=frozen(np.ascontiguousarray(self.group_means[:, where])),
            within=frozen(np.ascontiguousarray(self.within[:, where[:, None], where])),
            minimum=self.minimum[where],
            maximum=self.maximum[where],
        )

    @property
    def in_full(self) -> tuple[str, ...]:
        """Factors that have a column for every level, the first among them."""
        return tuple(n for n, ls in self.levels.items() if len(ls) == len(self.sources[n]))

    def coded(self, full: str | None) -> SufficientStatistics:
        """The same statistics with one factor, or none, coded in full.

        The indicators of a factor's levels add up to 1, so that with the centre c_1 = 1 - sum c_l
        the first follows from the others: x_1 - c_1 = -sum (x_l - c_l).

        Parameters
        ----------
        full : str or None
            The factor with a column for every level; all others have none for their first level.

        Raises
        ------
        DataError
            The levels of that factor are not known, or two columns would have one name.
        """
        if full is not None and full not in self.levels:
            raise DataError(
                f"predictor {full!r} must be coded in full, with a column for each level, and the "
                "statistics do not say which levels it has; make them anew, by "
                "hm.sufficient_statistics"
            )
        sources = dict(self.sources)
        for name, levels in self.levels.items():
            names = tuple(f"{name}[{level}]" for level in levels)
            sources[name] = names if name == full else names[1:]
        if sources == self.sources:
            return self
        columns = tuple(column for names in sources.values() for column in names)
        # T takes the old (columns, response), less their centres, to the new ones less theirs.
        T = np.zeros((len(columns) + 1, len(self.columns) + 1))
        T[-1, -1] = 1
        old = {column: b for b, column in enumerate(self.columns)}
        first = None if full is None or sources[full] == self.sources[full] else sources[full][0]
        if first is not None:
            rules.check_coefficients(self.columns, [first])
        for a, column in enumerate(columns):
            if column == first:  # 1 less the indicators of the other levels
                T[a, [old[c] for c in self.sources[full or ""]]] = -1
            else:
                T[a, old[column]] = 1
        new = np.array([*(column == first for column in columns), False])
        return replace(
            self,
            columns=columns,
            sources=sources,
            centre=new + T @ self.centre,
            group_means=frozen(self.group_means @ T.T),
            within=frozen(T @ self.within @ T.T),
            minimum=np.where(new, 0, T @ self.minimum),
            maximum=np.where(new, 1, T @ self.maximum),
        )

    def merge(self, other: SufficientStatistics) -> SufficientStatistics:
        """The statistics of all rows of both.

        Groups are matched by their labels. Groups that only ``other`` has come last.

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
            raise OptionError(f"merge takes sufficient statistics, got {type(other).__name__}")
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
        parts = self.recentred(centre), other.recentred(centre)
        sizes, group_means, within = combined(
            codes,
            len(labels),
            np.concatenate([part.sizes for part in parts]),
            np.concatenate([part.group_means for part in parts]),
            np.concatenate([part.within for part in parts]),
        )
        return replace(
            self,
            labels=labels,
            centre=frozen(centre),
            sizes=frozen(sizes),
            group_means=frozen(group_means),
            within=frozen(within),
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

        The file is NumPy's ``.npz`` without pickled objects, and appears whole or not at all.

        Raises
        ------
        DataError
            It cannot be written.
        """
        about = {n: getattr(self, n) for n in ABOUT}
        arrays = {n: getattr(self, n) for n in ARRAYS}
        rows, cols = np.triu_indices(self.within.shape[1])
        return statistics_file.write(path, about, {**arrays, "within": self.within[:, rows, cols]})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SufficientStatistics:
        """Read statistics that :meth:`save` wrote, in this version or an earlier one.

        Raises
        ------
        DataError
            No such file, or no statistics in it.
        """
        about, arrays = statistics_file.read(path)
        try:
            about["columns"] = tuple(about["columns"])
            for name in ("sources", "levels"):
                about[name] = {key: tuple(value) for key, value in about[name].items()}
            C = len(about["columns"])
            if "products" in arrays:
                arrays |= of_products(square(arrays.pop("products"), C + 2))
            else:
                arrays["within"] = square(arrays["within"], C + 1)
            return cls(**about, **arrays)
        except DataError:
            raise
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise statistics_file.wrong(path) from error
