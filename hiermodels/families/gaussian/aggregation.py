"""Group sufficient statistics of any data frame, summed up by the frame's own engine.

The rows of a lazy frame never come here. Its engine goes through them three times: once for counts
and ranges (and once for the levels of each categorical column), once for the means of each group,
and once for the sums by group of products of deviations from those means. They are made of
elementary aggregations of columns and of a join with the table of means, one row for each group,
which every engine has, and which a cluster or a disk-based engine does in bounded memory.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from numpy.typing import NDArray

from ...data import columns as rules
from ...data import engines, files, frames, label_texts, labels, text_numbers
from ...data.factors import has_order, levels_of
from ...errors import DataError
from .row_statistics import of_table
from .statistics import SufficientStatistics
from .sums import about_the_means, combined, frozen, square


def sufficient_statistics(
    frame: Any,
    *,
    y: str,
    group: str,
    columns: Sequence[str] = (),
    missing: str = "raise",
) -> SufficientStatistics:
    """Group sufficient statistics: what a model needs of the rows, in place of the rows.

    Compute them where the data live, save them (``.save(path)``), merge those of several sites
    (``.merge(other)``), and give them to any model in place of a frame.

    Parameters
    ----------
    frame : data frame, or path
        In memory (pandas, polars, pyarrow, ...), or lazy, and then summed up by its own engine: a
        polars LazyFrame, a DuckDB relation, a Dask or PySpark frame, an ibis table. Or a path: a
        CSV or Parquet file, a pattern such as ``"data/*.parquet"``, or a folder of such files,
        partitioned (``year=2025/...``) or not. DuckDB reads a single file of at most 100 MB into
        memory, and all else where it lies.
    y : str
        The response, a column of numbers.
    group : str
        Column with the group labels: strings, integers or a categorical. Labels in a file are
        integers where all are written as such (``7``, not ``007`` or ``7.0``), and otherwise text
        as it is written.
    columns : sequence of str
        Predictors: numbers, booleans, or strings and categoricals (coded by level, the first level
        is the baseline, which must occur). Dates are refused, as they may be numbers or levels.
        Strings that are dates, as in a CSV file, are levels, and a warning says so. Categoricals of
        Parquet files are strings, coded in the order of the alphabet; pass the frame of
        ``pandas.read_parquet`` to keep their order.
    missing : {"raise", "drop"}
        What to do with rows that have a missing value (null, NaN, or blank text) in any of these.

    Returns
    -------
    SufficientStatistics
        Sizes, sums and cross-products of each group. Labels of a frame in memory stand in order of
        first appearance; rows of a lazy one have no order, so labels come sorted; those of a
        categorical come in the order of its categories.

    Raises
    ------
    ColumnError
        A column is not there.
    DataError
        A column or the frame cannot be used, values are missing or infinite, or a file cannot be
        read; the message says which.
    OptionError
        An argument has the wrong type.

    Warns
    -----
    DataWarning
        Rows were dropped (it says how many), levels of a predictor are dates, or labels look alike.

    Notes
    -----
    Sums are those of the engine, in double precision, of products of deviations from each group's
    own means, so that large means and groups far apart lose no digits. A PySpark or Dask frame that
    is costly to compute is worth a ``.cache()`` or ``.persist()``: it is gone through three times.

    Examples
    --------
    >>> import hiermodels as hm
    >>> parts = ["2024.parquet", "2025.parquet"]
    >>> first, second = (
    ...     hm.sufficient_statistics(part, y="score", group="school", columns=["ses"])
    ...     for part in parts
    ... )  # doctest: +SKIP
    >>> model = hm.VaryingSlopes(
    ...     first + second, y="score", group="school", varying=["ses"]
    ... )  # doctest: +SKIP
    """
    names = rules.column_names(columns)
    if frames.is_lazy(frame):
        found = statistics(frame, y=y, group=group, columns=names, missing=missing)
    else:
        table = frames.table(frame, roles={"y": y}, group=group, predictors=names, missing=missing)
        found = of_table(table, y=y, group=group)
    label_texts.warn(group, found.labels, found.levels)
    return found


def statistics(
    frame: Any,
    *,
    y: str,
    group: str,
    columns: Sequence[str] = (),
    missing: str = "raise",
    levels: Mapping[str, tuple[str, ...]] | None = None,
    source: str | os.PathLike[str] | None = None,
) -> SufficientStatistics:
    """Statistics of a frame for which :func:`hiermodels.data.frames.is_lazy` holds.

    Parameters, result and errors are those of :func:`sufficient_statistics`. ``levels`` are those
    of a model, which the factors must have and are coded by, the baseline first; ``source`` are
    the files that the frame reads, for the messages.
    """
    rules.check_missing(missing)
    if isinstance(frame, (str, os.PathLike)):
        rules.check_names(files.columns(frame), {"y": y}, group, columns)
        with files.scan(frame, labels=[group], others=[y, *columns]) as relation:
            return statistics(
                relation,
                y=y,
                group=group,
                columns=columns,
                missing=missing,
                levels=levels,
                source=frame,
            )
    data = engines.opened(frame)
    schema = data.collect_schema()
    rules.check_names(schema.names(), {"y": y}, group, columns)
    if not schema[y].is_numeric():
        strays = text_numbers.in_lazy(data, y)
        raise text_numbers.refusal(f"y={y!r}", schema[y], strays)
    for name in columns:
        rules.check_no_dates(name, [schema[name]])
    rows = _Rows.of(data, schema, (y, *columns), group, source)
    overview = rows.overview(missing)
    parts: list[_Column] = []
    sources: dict[str, tuple[str, ...]] = {}
    coding: dict[str, tuple[str, ...]] = {}
    for name in columns:
        if name in rows.factors:
            coded, coding[name] = rows.coding(name, overview, (levels or {}).get(name))
        else:
            coded = [overview.column(name)]
        rules.check_coefficients((part.name for part in parts), (part.name for part in coded))
        sources[name] = tuple(part.name for part in coded)
        parts += coded
    parts.append(overview.column(y))
    names, sizes, group_means, within = rows.sums(parts, overview)
    return SufficientStatistics(
        response=y,
        group=group,
        columns=tuple(part.name for part in parts[:-1]),
        sources=sources,
        labels=names,
        centre=np.array([part.mean for part in parts]),
        sizes=frozen(sizes),
        group_means=frozen(group_means),
        within=frozen(within),
        minimum=np.array([part.minimum for part in parts]),
        maximum=np.array([part.maximum for part in parts]),
        dropped=overview.dropped,
        levels=coding,
    )


@dataclass(frozen=True)
class _Column:
    """A column of the statistics: one of the frame, or the indicator of a level of one."""

    name: str
    source: str
    mean: float
    minimum: float
    maximum: float
    level: Any = None


@dataclass(frozen=True)
class _Overview:
    """What the first pass found: counts, and of the complete rows means and ranges by column."""

    n: int
    dropped: int
    mean: dict[str, float]
    minimum: dict[str, float]
    maximum: dict[str, float]

    def column(self, name: str) -> _Column:
        return _Column(name, name, self.mean[name], self.minimum[name], self.maximum[name])


@dataclass(frozen=True)
class _Rows:
    """The columns of a lazy frame, under names of our own."""

    data: Any  # a lazy frame of the columns; numbers and booleans are floats
    names: dict[str, str]  # our name of each column: v0, v1, ..., and g of the group column
    group: str
    texts: tuple[str, ...]  # columns of text, which may stand for a missing value
    factors: tuple[str, ...]  # columns that are coded by level
    categories: tuple[str, ...]  # those whose type says that they are levels
    ordered: tuple[str, ...]  # columns with categories whose order is the user's
    fractions: bool  # whether the labels are floats, which may be NaN
    decimal: bool  # whether the labels are decimals
    source: Any  # the files that the frame reads, or None

    @classmethod
    def of(cls, data: Any, schema: Any, columns: Sequence[str], group: str, source: Any) -> _Rows:
        names = {group: "g"} | {name: f"v{i}" for i, name in enumerate(columns)}
        factors = tuple(
            n for n in columns if not schema[n].is_numeric() and schema[n] != nw.Boolean
        )
        casts: dict[str, Any] = {n: nw.Float64 for n in columns if n not in factors}
        chosen = [
            (nw.col(n).cast(casts[n]) if n in casts else nw.col(n)).alias(ours)
            for n, ours in names.items()
        ]
        return cls(
            data=data.select(*chosen),
            names=names,
            group=group,
            texts=tuple(n for n in (group, *factors) if schema[n] in label_texts.TYPES),
            factors=factors,
            categories=tuple(n for n in factors if schema[n] in (nw.Categorical, nw.Enum)),
            ordered=tuple(n for n in (*factors, group) if has_order(data, schema[n], n)),
            fractions=schema[group].is_float(),
            decimal=schema[group] == nw.Decimal,
            source=source,
        )

    def absent(self, name: str) -> Any:
        """Whether a column is missing in a row."""
        column = nw.col(self.names[name])
        if name in self.texts:
            return label_texts.missing(column)
        if name in self.factors or (name == self.group and not self.fractions):
            return column.is_null()
        return column.is_null() | column.is_nan()

    def overview(self, missing: str) -> _Overview:
        """The first pass, and what it has to refuse."""
        flags = {name: f"absent_{ours}" for name, ours in self.names.items()}
        data = self.data.with_columns(
            **{flag: self.absent(name).cast(nw.Int64) for name, flag in flags.items()}
        )
        gone = reduce(operator.or_, (nw.col(flag) == 1 for flag in flags.values()))
        data = data.with_columns(gone=gone.cast(nw.Int64))
        kept = {n: nw.col(v) for n, v in self.names.items() if n not in (*self.factors, self.group)}
        if self.fractions or self.decimal:
            kept[self.group] = nw.col("g").cast(nw.Float64) % 1
        kept_names = {name: f"kept_{self.names[name]}" for name in kept}
        complete = nw.col("gone") == 0
        data = data.with_columns(
            **{kept_names[name]: nw.when(complete).then(value) for name, value in kept.items()}
        )
        wanted = [nw.len().alias("n")]
        wanted += [nw.col(flag).sum().alias(flag) for flag in ("gone", *flags.values())]
        for ours in kept_names.values():
            column = nw.col(ours)
            wanted += [column.mean().alias(f"mean_{ours}")]
            wanted += [column.min().alias(f"min_{ours}"), column.max().alias(f"max_{ours}")]
        found = engines.collected(data.select(*wanted)).rows(named=True)[0]
        n, dropped = int(found["n"]), int(found["gone"] or 0)
        if n == 0:
            raise DataError(rules.EMPTY)
        counts = {name: int(found[flag]) for name, flag in flags.items()}
        words = (self.group, *self.factors) if text_numbers.is_csv(self.source) else ()
        asked = {name: self.names[name] for name in self.texts if counts[name]}
        texts = label_texts.counted(self.data, asked)
        rules.missing_values(counts, dropped, n, missing, words=words, texts=texts)
        mean, minimum, maximum = (
            {name: float(found[f"{what}_{ours}"]) for name, ours in kept_names.items()}
            for what in ("mean", "min", "max")
        )
        if self.group in minimum and not minimum[self.group] == maximum[self.group] == 0:
            raise labels.measured(self.group)
        for name, ours in kept_names.items():
            if np.isinf([minimum[name], maximum[name]]).any():
                # Counted only now: in other columns the range shows that all values are finite.
                endless = (nw.col(ours) == float("inf")) | (nw.col(ours) == float("-inf"))
                data = data.with_columns(endless=endless.cast(nw.Int64))
                count = engines.collected(data.select(nw.col("endless").sum()))
                raise rules.infinite_values(name, int(count["endless"].to_list()[0]), n)
        return _Overview(n, dropped, mean, minimum, maximum)

    def complete(self, overview: _Overview) -> Any:
        """The rows that have all values."""
        if not overview.dropped:
            return self.data
        return self.data.filter(~reduce(operator.or_, map(self.absent, self.names)))

    def coding(
        self, name: str, overview: _Overview, known: tuple[str, ...] | None
    ) -> tuple[list[_Column], tuple[str, ...]]:
        """Treatment coding of a factor, and its levels."""
        ours = self.names[name]
        counts = self.complete(overview).group_by(ours).agg(nw.len().alias("n"))
        found = engines.collected(counts.head(1000))  # names that many; more is no factor
        number = len(found)
        if number == 1000:
            number = int(engines.collected(counts.select(nw.len().alias("n")))["n"].to_list()[0])
        factor = labels.of_series(found[ours], name)
        if name not in self.ordered:
            factor = factor.in_order()
        declared, text = found[ours] if name in self.ordered else None, name not in self.categories
        number = number if number > 1000 else 0
        check = {"text": text, "number": number}
        levels = levels_of(name, factor.levels, known=known, declared=declared, **check)
        raw = dict(zip(factor.index.tolist(), found[ours].to_list(), strict=True))
        sizes = np.bincount(factor.index, found["n"].to_numpy())
        share = sizes / (overview.n - overview.dropped)
        seen = list(map(str, factor.levels))
        coded = [
            _Column(f"{name}[{level}]", name, float(share[i]), 0.0, 1.0, raw[i])
            for level, i in ((level, seen.index(level)) for level in levels)
        ]
        return coded[1:], levels

    def sums(
        self, parts: Sequence[_Column], overview: _Overview
    ) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """The other passes: labels, sizes, means less the columns' means, and products within."""
        C = len(parts)
        data = self.complete(overview).with_columns(
            **{f"w{a}": self.values(part) for a, part in enumerate(parts)}
        )
        means = data.group_by("g").agg(*(nw.col(f"w{a}").mean().alias(f"m{a}") for a in range(C)))
        if data.implementation in (nw.Implementation.POLARS, nw.Implementation.DASK):
            # They would keep all rows in memory between the two uses that one query makes of them.
            means = engines.collected(means).lazy(backend=data.implementation)
        data = data.join(means, on="g", how="inner")
        data = data.with_columns(**{f"d{a}": nw.col(f"w{a}") - nw.col(f"m{a}") for a in range(C)})
        products = {
            f"d{a}_{b}": nw.col(f"d{a}") * nw.col(f"d{b}") for a in range(C) for b in range(a, C)
        }
        data = data.with_columns(**products)
        wanted = {f"near{a}": nw.col(f"m{a}").max() for a in range(C)}
        wanted |= {f"sum_{d}": nw.col(d).sum() for d in (*(f"d{a}" for a in range(C)), *products)}
        found = engines.collected(
            data.group_by("g").agg(nw.len().alias("n"), *(v.alias(n) for n, v in wanted.items()))
        )
        numbers = found.select(nw.col("n", *wanted).cast(nw.Float64)).to_numpy()
        sizes = np.rint(numbers[:, 0]).astype(np.int64)
        rows, expected = int(sizes.sum()), overview.n - overview.dropped
        if rows != expected:
            raise DataError(
                f"the data frame must be the same each time it is computed, got {expected} rows "
                f"and then {rows}; cache it, or write it to a file first"
            )
        near, sums, triangle = np.split(numbers[:, 1:], [C, 2 * C], axis=1)
        off, within = about_the_means(sizes, sums, square(triangle, C))
        group_means = (near - [part.mean for part in parts]) + off

        names = labels.of_series(found["g"], self.group)
        if self.group not in self.ordered:
            names = names.in_order()
        # Two labels of the engine may be one of ours, such as 0.0 and -0.0.
        J = len(names.levels)
        return names.levels, *combined(names.index, J, sizes, group_means, within)

    def values(self, part: _Column) -> Any:
        """The expression of a column's values."""
        column = nw.col(self.names[part.source])
        if part.source not in self.factors:
            return column
        return nw.when(column == part.level).then(nw.lit(1.0)).otherwise(nw.lit(0.0))
