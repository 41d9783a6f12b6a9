"""From whatever holds the data to a design: a frame, a lazy frame, files, or their statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data import factors, frames, label_texts
from ...data.design import Design
from ...data.rows import Rows
from ...errors import ColumnError, DataError, listed, suggest
from ..family import Family
from . import aggregation, row_statistics
from .statistics import SufficientStatistics

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Observations:
    """Checked data: their statistics, and what the rows are read from.

    Attributes
    ----------
    statistics : SufficientStatistics
        Group sufficient statistics.
    table : frames.Table or None
        The rows, where they are in memory.
    frame : object
        What was given.
    missing : str
        What becomes of rows with missing values.
    """

    statistics: SufficientStatistics
    table: frames.Table | None
    frame: Any
    missing: str

    def coded_in_full(self, name: str) -> Observations:
        """The same data, with a column for each level of a factor."""
        table = None if self.table is None else self.table.coded_in_full(name)
        return replace(self, statistics=self.statistics.coded(name), table=table)

    def design(
        self,
        family: Family,
        coefficients: tuple[str, ...],
        predictors: tuple[str, ...],
        ones: str | None,
        scalar: bool = False,
    ) -> Design:
        """A design of these data with the coefficients named.

        Parameters
        ----------
        family : Family
            Distribution of the response.
        coefficients, predictors, ones, scalar
            As in :class:`~hiermodels.data.design.Design`.
        """
        columns = (coefficients, predictors)
        source: Any = None
        if self.table is not None:
            source = _rows(self.statistics, self.table, columns, ones)
        elif not isinstance(self.frame, SufficientStatistics):
            source = partial(_read, self.statistics, self.frame, columns, ones, self.missing)
        return family.design(
            statistics=self.statistics,
            coefficients=coefficients,
            predictors=predictors,
            ones=ones,
            source=source,
            scalar=scalar,
        )


def observe(
    frame: Any,
    *,
    y: str,
    group: str,
    columns: Sequence[str] = (),
    missing: str = "raise",
    like: SufficientStatistics | None = None,
) -> Observations:
    """Check the data and take their group sufficient statistics, factors by treatment coding.

    Parameters
    ----------
    frame : data frame, path, or SufficientStatistics
        A lazy frame, and files too large to be read at once, are summed up where they lie.
    y, group : str
        Columns of the response and of the group labels.
    columns : sequence of str
        Columns of the predictors.
    missing : {"raise", "drop"}
        What to do with rows that have missing values.
    like : SufficientStatistics, optional
        Those of a model that these data are for: what has levels there has the same levels here,
        and the same baseline.

    Raises
    ------
    ColumnError, DataError, OptionError
        The data cannot be used.

    Warns
    -----
    DataWarning
        Labels of groups, or levels of a factor, look alike.
    """
    table, levels = None, {} if like is None else like.levels
    if isinstance(frame, SufficientStatistics):
        found = _selected(frame, y, group, columns)
    elif frames.is_lazy(frame):
        found = aggregation.statistics(
            frame, y=y, group=group, columns=columns, missing=missing, levels=levels
        )
    else:
        table = frames.table(
            frame,
            roles={"y": y},
            group=group,
            predictors=columns,
            missing=missing,
            levels=levels,
            all_levels=True,
        )
        found = row_statistics.of_table(table, y=y, group=group)
    if like is not None:
        _check_alike(found, like)
    # Here, as the rows of these data may be read again.
    label_texts.warn(group, found.labels, found.levels)
    return Observations(found, table, frame, missing)


def _check_alike(found: SufficientStatistics, like: SufficientStatistics) -> None:
    """Refuse columns that are numbers here and levels there, or have other levels."""
    for name in found.sources:
        if name not in like.sources:
            continue
        here, there = (s.levels.get(name) for s in (found, like))
        if (here is None) != (there is None):
            kinds = ["numbers" if s is None else f"text ({listed(s)})" for s in (here, there)]
            raise DataError(
                f"predictor {name!r} must be {kinds[1]}, as in the data of the model, got "
                f"{kinds[0]}; convert the column, or make the model anew"
            )
        if here is not None and there is not None and here != there:  # of statistics
            factors.check_same(name, here, there)


def _selected(
    found: SufficientStatistics, y: str, group: str, columns: Sequence[str]
) -> SufficientStatistics:
    for role, name, own in (("y", y, found.response), ("group", group, found.group)):
        if name != own:
            raise ColumnError(
                f"{role}: the statistics are of {own!r}, got {name!r}; pass {role}={own!r}, or "
                "compute the statistics of the other column"
            )
    for place, name in enumerate(columns):
        if name in columns[:place]:
            raise DataError(f"column {name!r} is used twice; each column has one use")
        if name not in found.sources:
            raise ColumnError(
                f"predictor: the statistics have no column {name!r}; they have "
                f"{listed(found.sources) or 'none'}{suggest(name, found.sources)}; compute them "
                "with it"
            )
    return found.select(columns).coded(None)


def _rows(
    found: SufficientStatistics,
    table: frames.Table,
    columns: tuple[tuple[Any, ...], tuple[Any, ...]],
    ones: str | None,
    index: NDArray[np.int64] | None = None,
) -> Rows:
    n = len(table.rows)

    def matrix(names: tuple[Any, ...]) -> Array:
        made = [np.ones(n) if name == ones else table.predictors[name] for name in names]
        return np.column_stack(made) if made else np.empty((n, 0))

    return Rows(
        y=table.numeric[found.response],
        index=table.groups.index if index is None else index,
        z=matrix(columns[0]),
        x=matrix(columns[1]),
        places=table.rows,
    )


def _read(
    found: SufficientStatistics,
    frame: Any,
    columns: tuple[tuple[Any, ...], tuple[Any, ...]],
    ones: str | None,
    missing: str,
) -> Rows:
    """The rows of a lazy frame or of files, groups in the order of the statistics."""
    table = frames.table(
        frame,
        roles={"y": found.response},
        group=found.group,
        predictors=tuple(found.sources),
        levels=found.levels,
        missing=missing,
    )
    for name in found.in_full:
        table = table.coded_in_full(name)
    place = {label: j for j, label in enumerate(found.labels.tolist())}
    labels = table.groups.labels.tolist()
    if set(labels) != set(place) or len(table.rows) != found.N:
        raise DataError(
            f"the data have changed since they were summed up: {found.N} rows in {found.J} groups "
            f"then, {len(table.rows)} in {len(labels)} now; make the model anew"
        )
    index = np.array([place[label] for label in labels])[table.groups.index]
    y = table.numeric[found.response] - found.centre[-1]
    sums, scale = np.bincount(index, y), np.sqrt(found.sizes * np.sum(y**2) / len(y))
    if not np.allclose(
        sums, found.sizes * found.group_means[:, -1], rtol=0, atol=1e-6 * scale.max()
    ):
        raise DataError(
            f"the data have changed since they were summed up: the means of {found.response!r} by "
            "group are others now; make the model anew"
        )
    return _rows(found, table, columns, ones, index)
