"""The data of a hierarchical model, whatever the distribution of its response.

All models have one linear predictor,

    eta_i = x_i beta + z_i theta_{j[i]},   theta_j ~ N_K(mu, Sigma),

with z a column of ones in ``OneWay`` and ``EightSchools``. What is computed before and after
sampling is therefore written once, for this.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .least_squares import least_squares
from .origins import Origin
from .rows import Rows

Array = NDArray[np.float64]
D = TypeVar("D", bound="Design")

ROUNDING = 1e-12
"""A column that varies in a group by no more than this share of its range is one value there."""


@dataclass(frozen=True)
class Design:
    """Response, columns and groups of N rows in J groups.

    Attributes
    ----------
    statistics : SufficientStatistics
        Names, labels, sizes, ranges and means of the columns and the response.
    coefficients : tuple of str
        Names of the K varying coefficients; ``("Intercept",)`` where theta is a group's level.
    predictors : tuple of str
        Names of the P common coefficients.
    ones : str or None
        The coefficient whose column is 1 in all rows and is not in the statistics.
    source : Rows, or function that reads them, or None
        The rows; None where there is nothing but the statistics.
    about : tuple of float
        Origin of the columns in the model's own coordinates, to which its priors refer;
        empty where that is 0. It is the model's, whatever part of its data a design holds.
    scalar : bool
        Whether theta is one number per group, without a dim for coefficients in a container.
    estimates : bool
        Whether each group is one row: an estimate.
    """

    statistics: Any  # its class stands above this folder
    coefficients: tuple[str, ...]
    predictors: tuple[str, ...]
    ones: str | None = None
    source: Rows | Callable[[], Rows] | None = field(default=None, repr=False)
    about: tuple[float, ...] = ()
    scalar: bool = False
    estimates: bool = False

    @property
    def response(self) -> str:
        """Name of the response."""
        return str(self.statistics.response)

    @property
    def group(self) -> str:
        """Name of the group column."""
        return str(self.statistics.group)

    @property
    def labels(self) -> NDArray[Any]:
        """Labels of the groups, shape (J,)."""
        return np.asarray(self.statistics.labels)

    @property
    def dropped(self) -> int:
        """Rows left out because a value was missing."""
        return int(self.statistics.dropped)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Rows in each group, shape (J,)."""
        return np.asarray(self.statistics.sizes)

    @property
    def N(self) -> int:
        """Number of rows."""
        return int(self.statistics.N)

    @property
    def J(self) -> int:
        """Number of groups."""
        return int(self.statistics.J)

    @property
    def K(self) -> int:
        """Number of varying coefficients."""
        return len(self.coefficients)

    @property
    def P(self) -> int:
        """Number of common coefficients."""
        return len(self.predictors)

    @property
    def observation_dim(self) -> str:
        """Dim of the rows: the groups themselves where each group is one estimate."""
        return self.group if self.estimates else "observation"

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
        return (*self.coefficients, *self.predictors)

    @cached_property
    def _places(self) -> NDArray[np.int64]:
        """Where each coefficient's column, and the response, stand in (1, columns, response)."""
        columns = self.statistics.columns
        places = [0 if n == self.ones else 1 + columns.index(n) for n in self.names]
        return np.array([*places, 1 + len(columns)])

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

    def products_about(self, at: Sequence[float]) -> Array:
        """Cross-products of the K + P columns less some numbers, over all rows."""
        places = self._places[:-1]
        off = self._take(0, np.asarray(self.statistics.centre))[:-1] - np.array(at)
        mixed = np.outer(off, self._totals[0, places])
        G = self._totals[np.ix_(places, places)]
        return np.asarray(G + mixed + mixed.T + self.N * np.outer(off, off))

    # ---- where the columns are counted from ---------------------------------------------------

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
    def origin(self) -> Origin:
        """Where the model's own coordinates count the columns from.

        At x = 0, unless ``about`` says otherwise: the model's coefficients are those of columns
        less that, the constant's is the line's height there.
        """
        at = self.about or (0.0,) * (self.K + self.P)
        return Origin(self.names, self.K, at, self.anchors, self._constant_value)

    def at_centre(self: D) -> D:
        """The same data, its columns counted from their means where they may be moved."""
        return replace(self, about=tuple(self.offset[:-1].tolist()))

    @property
    def _constant_value(self) -> float:
        """What the anchors' columns add up to."""
        if len(self.anchors) != 1:
            return 1.0
        return float(self._take(1, np.asarray(self.statistics.maximum))[self.anchors[0]])

    def varies_within(self, k: int) -> NDArray[np.bool_]:
        """In which groups column k takes more than one value, shape (J,)."""
        found, place = self.statistics, self._places[k] - 1
        if place < 0:  # the constant
            return np.zeros(self.J, dtype=bool)
        least = found.sizes * (ROUNDING * (found.maximum[place] - found.minimum[place])) ** 2
        return np.asarray(found.within[:, place, place] > least)
