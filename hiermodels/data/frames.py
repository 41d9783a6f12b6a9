"""Any data frame -> checked columns and group labels.

Narwhals reads the frame, so pandas, polars, pyarrow and their kin are all the same here. What
leaves this module is NumPy: finite float64 columns, and groups as labels with an index. Frames that
are too large for that are summed up where they lie
(:mod:`hiermodels.families.gaussian.aggregation`), under the same rules
(:mod:`hiermodels.data.columns`).
"""

from __future__ import annotations

import numbers
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, listed
from . import columns as rules
from . import files, labels, text_numbers
from .engines import computed, opened
from .factors import levels_of
from .labels import Labels

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Groups:
    """The groups of the rows.

    Attributes
    ----------
    labels : array, shape (J,)
        One label a group: in order of first appearance, or of the categories where the column is
        categorical (those without rows left out). Strings or integers.
    index : array of int, shape (N,)
        The group of each row, counted from 0.
    sizes : array of int, shape (J,)
        Rows in each group, each at least 1.
    """

    labels: NDArray[Any]
    index: NDArray[np.int64]
    sizes: NDArray[np.int64]


@dataclass(frozen=True)
class Table:
    """The checked columns of a frame.

    Attributes
    ----------
    numeric : dict of str to array, each of shape (N,)
        Finite float64 columns, by column name.
    predictors : dict of str to array, each of shape (N,)
        Predictor columns by the name of their coefficient; a categorical column is coded as one
        0/1 column for each level but the first, named ``column[level]``.
    sources : dict of str to tuple of str
        The predictors that each predictor column became.
    levels : dict of str to tuple of str
        All levels of each categorical column, the first of them the one that is not coded.
    groups : Groups
        The groups of the rows.
    rows : array of int, shape (N,)
        Where each row stood in the frame, counted from 0.
    dropped : int
        Rows left out because a value was missing.
    """

    numeric: dict[str, Array]
    predictors: dict[str, Array]
    sources: dict[str, tuple[str, ...]]
    levels: dict[str, tuple[str, ...]]
    groups: Groups
    rows: NDArray[np.int64]
    dropped: int

    def coded_in_full(self, name: str) -> Table:
        """The same table, with a column for the first level of a factor as well."""
        first = f"{name}[{self.levels[name][0]}]"
        rules.check_coefficients(self.predictors, [first])
        others = [self.predictors[column] for column in self.sources[name]]
        return replace(
            self,
            predictors={**self.predictors, first: 1.0 - np.sum(others, axis=0)},
            sources={**self.sources, name: (first, *self.sources[name])},
        )


def table(
    frame: Any,
    *,
    roles: dict[str, str],
    group: str,
    predictors: Sequence[str] = (),
    missing: str = "raise",
    levels: Mapping[str, tuple[str, ...]] | None = None,
    all_levels: bool = False,
    source: str | os.PathLike[str] | None = None,
) -> Table:
    """Check the columns of a frame and take them out of it.

    Parameters
    ----------
    frame : data frame, or path to CSV or Parquet files
        Anything that Narwhals reads: pandas, polars, pyarrow, ... The rows of a lazy one (polars,
        DuckDB, Dask, PySpark, ibis) are brought into memory.
    roles : dict of str to str
        Argument name -> column name, for the columns that must be numbers.
    group : str
        Column with the group labels.
    predictors : sequence of str
        Predictor columns: numbers, booleans, or strings and categoricals (coded by level). Strings
        that are all dates (``2026-01-03``, with or without a time) are levels too, with a warning.
        The level that is not coded, the baseline, is the first category, and of text the first by
        the alphabet: so too of the categories of a Parquet file, which are text
        (:mod:`hiermodels.data.files`).
    missing : {"raise", "drop"}
        What to do with rows that have a missing value in any of these columns.
    levels : mapping of str to tuple of str, optional
        The levels of categorical columns that were found before, the baseline first: these columns
        are coded by them, whatever the order of the rows and of the categories.
    all_levels : bool
        Whether all of ``levels`` must occur.
    source : path, optional
        The files that the frame was read from, for the messages; a path is its own.

    Raises
    ------
    ColumnError
        A column is not there.
    DataError
        A column or the frame cannot be used, or has a level that is not among ``levels``; the
        message says why.
    OptionError
        An argument has the wrong type.

    Warns
    -----
    DataWarning
        Rows were dropped; the warning says how many. Or the levels of a predictor are dates.
    """
    rules.check_missing(missing)
    wanted = [*roles.values(), group, *predictors]
    if isinstance(frame, (str, os.PathLike)):
        rules.check_names(files.columns(frame), roles, group, predictors)
        source = frame
        frame = files.read(frame, labels=[group], others=[*roles.values(), *predictors])
    data = opened(frame)
    lazy = isinstance(data, nw.LazyFrame)
    names_there = data.collect_schema().names() if lazy else data.columns
    rules.check_names(names_there, roles, group, predictors)
    if lazy:
        data = computed(data.select(*wanted))
    if len(data) == 0:
        raise DataError(rules.EMPTY)

    series = {name: data[name] for name in wanted}
    names = labels.of_series(series[group], group)
    absent = {group: names.absent}
    raw: dict[str, Array] = {}
    for role, name in roles.items():
        raw[name] = _numbers(series[name], f"{role}={name!r}")
        absent[name] = np.isnan(raw[name])
    factors: dict[str, Labels] = {}
    for name in predictors:
        if _is_numeric(series[name]):
            raw[name] = _numbers(series[name], f"predictor {name!r}")
            absent[name] = np.isnan(raw[name])
        else:
            rules.check_no_dates(name, _kinds(series[name]))
            if _without_levels(series[name]):
                raise rules.no_numbers(f"predictor {name!r}", _kind(series[name]))
            factors[name] = labels.of_series(series[name], name)
            absent[name] = factors[name].absent

    gone = np.logical_or.reduce(list(absent.values()))
    dropped = int(gone.sum())
    rules.missing_values(
        {name: int(mask.sum()) for name, mask in absent.items()},
        dropped,
        len(data),
        missing,
        words=(group, *factors) if text_numbers.is_csv(source) else (),
        texts={group: names.texts} | {name: factor.texts for name, factor in factors.items()},
    )
    keep = ~gone
    kept = {name: values[keep] if dropped else values for name, values in raw.items()}
    for name, values in kept.items():
        if infinite := int(np.isinf(values).sum()):
            raise rules.infinite_values(name, infinite, len(data))
    coded: dict[str, Array] = {}
    sources: dict[str, tuple[str, ...]] = {}
    coding: dict[str, tuple[str, ...]] = {}
    for name in predictors:
        if name in kept:
            columns = {name: kept[name]}
        elif series[name].dtype == nw.Boolean:
            columns = {name: factors[name].levels[factors[name].index[keep]] == "True"}
            columns[name] = columns[name].astype(np.float64)
        else:
            given = (levels or {}).get(name)
            columns, coding[name] = _treatment_coding(
                name, factors[name], series[name], keep, given, all_levels
            )
        rules.check_coefficients(coded, columns)
        sources[name] = tuple(columns)
        coded |= columns
    return Table(
        numeric={name: kept[name] for name in roles.values()},
        predictors=coded,
        sources=sources,
        levels=coding,
        groups=_groups(names, keep),
        rows=np.flatnonzero(keep),
        dropped=dropped,
    )


def is_lazy(frame: Any) -> bool:
    """Whether the rows of a frame should stay where they are: lazy frames, and files not read here.

    Lazy are polars' LazyFrame, DuckDB's relations, frames of Dask and PySpark, and ibis tables;
    of paths, those of :func:`hiermodels.data.files.stays`.

    Raises
    ------
    OptionError
        It is no data frame.
    DataError
        A path without files, or two columns of one name.
    """
    if isinstance(frame, (str, os.PathLike)):
        return files.stays(frame)
    return isinstance(opened(frame), nw.LazyFrame)


def _numbers(series: Any, what: str) -> Array:
    """A column as float64, NaN where it is missing."""
    dtype = series.dtype
    if dtype == nw.Unknown and _is_numeric(series):
        with np.errstate(over="ignore"):  # beyond a double it is infinite, and refused as that
            return np.asarray(series.to_native(), dtype=np.float64)
    if dtype.is_numeric():
        cast = series.cast(nw.Float64)
        return np.asarray(cast.fill_null(float("nan")).to_numpy(), dtype=np.float64)
    if dtype == nw.Object:
        values = series.to_list()
        if all(v is None or _is_number(v) for v in values):
            return np.array([np.nan if v is None else float(v) for v in values])
        # Booleans beside missing values are objects to pandas.
        present = {type(value) for value in series.filter(~series.is_null()).to_list()}
        if present and present <= {bool, np.bool_}:
            raise rules.no_numbers(what, nw.Boolean)
    if series.is_null().all():
        return np.full(len(series), np.nan)
    strays = text_numbers.in_series(series)
    raise text_numbers.refusal(what, _kind(series), strays)


def _kinds(series: Any) -> set[Any]:
    """The type of a column, or those of its Python objects."""
    if series.dtype == nw.Object:
        return {type(value) for value in series.to_list()}
    return {series.dtype}


def _without_levels(series: Any) -> bool:
    """Whether a column holds what text could be made of, but no factor: lists, complex numbers."""
    if series.dtype == nw.Object:
        return any(kind.__hash__ is None or issubclass(kind, complex) for kind in _kinds(series))
    return series.dtype in (nw.Unknown, nw.List, nw.Array, nw.Struct, nw.Binary)


def _is_numeric(series: Any) -> bool:
    """Whether a column is of numbers, those that Narwhals has no name for among them."""
    if series.dtype != nw.Unknown:
        return bool(series.dtype.is_numeric())
    # Sparse columns, and numbers of 80 bits.
    return getattr(getattr(series.to_native(), "dtype", None), "kind", "") in tuple("fiu")


def _kind(series: Any) -> Any:
    """The type of a column, by its own name where Narwhals has none for it."""
    known = series.dtype != nw.Unknown
    return series.dtype if known else getattr(series.to_native(), "dtype", series.dtype)


def _is_number(value: Any) -> bool:
    real = isinstance(value, (numbers.Real, Decimal))
    return real and not isinstance(value, (bool, np.bool_))


def _groups(names: Labels, keep: NDArray[np.bool_]) -> Groups:
    index = names.index if keep.all() else names.index[keep]
    sizes = np.bincount(index, minlength=len(names.levels))
    here = np.flatnonzero(sizes)
    if len(here) < len(sizes):
        renumber = np.full(len(sizes), -1, dtype=np.int64)
        renumber[here] = np.arange(len(here))
        index = renumber[index]
    return Groups(labels=names.levels[here], index=index, sizes=sizes[here])


def _treatment_coding(
    name: str,
    factor: Labels,
    series: Any,
    keep: NDArray[np.bool_],
    given: tuple[str, ...] | None,
    all_given: bool,
) -> tuple[dict[str, Array], tuple[str, ...]]:
    """One 0/1 column for each level but the first (treatment coding), and all levels."""
    polars = series.implementation is nw.Implementation.POLARS
    declared = series.dtype == nw.Enum or (series.dtype == nw.Categorical and not polars)
    if not declared:
        # The first level is the alphabet's, not the first row's: a shuffle must not change it.
        factor = factor.in_order()
    index = factor.index[keep]
    present = np.flatnonzero(np.bincount(index, minlength=len(factor.levels)))
    if given is not None:
        texts = [str(level) for level in factor.levels]
        if all_given:
            levels_of(name, factor.levels[present], known=given)
        if new := [texts[i] for i in present if texts[i] not in given]:
            raise DataError(
                f"the data have changed since they were summed up: predictor {name!r} has now the "
                f"level {listed(new[:1])}, and had {listed(given)}; make the model anew"
            )
        place = np.array([given.index(t) if t in given else -1 for t in texts])[index]
        return {
            f"{name}[{level}]": (place == i).astype(np.float64)
            for i, level in enumerate(given)
            if i
        }, given
    text = series.dtype not in (nw.Categorical, nw.Enum)
    order = series if declared else None
    found = levels_of(name, factor.levels[present], declared=order, text=text)
    columns = {f"{name}[{factor.levels[i]}]": (index == i).astype(np.float64) for i in present[1:]}
    return columns, found
