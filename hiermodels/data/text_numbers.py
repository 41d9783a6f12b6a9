"""Text where numbers should be: which values are not numeric, in which row, and what to do."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import narwhals.stable.v2 as nw

from ..errors import DataError, shown
from . import columns as rules
from . import file_names, numerals
from .engines import computed

# Values that are looked at to tell what they are.
SAMPLE = 1000


class Strays(NamedTuple):
    """The values of a column of text that are no numbers."""

    values: tuple[str, ...]  # the first of them; of a lazy frame, some
    number: int
    total: int  # rows in which the column is not missing
    row: int | None  # row of the first, counted from 0; None for a lazy frame


def in_series(series: Any) -> Strays | None:
    """The values of a Narwhals series that are not numeric; None for a series without text."""
    if series.dtype not in (nw.String, nw.Categorical, nw.Enum, nw.Object):
        return None
    values = series.to_list()
    rows = [i for i, v in enumerate(values) if isinstance(v, str) and not numerals.is_number(v)]
    total = sum(v is not None and v == v for v in values)  # NaN is not itself
    first = tuple(str(values[i]) for i in rows[:SAMPLE])
    return Strays(first, len(rows), total, rows[0]) if rows else None


def in_lazy(data: Any, name: str) -> Strays | None:
    """The same of a column of a lazy frame, by its own engine."""
    if data.collect_schema()[name] not in (nw.String, nw.Categorical, nw.Enum):
        return None
    text = data.select(text=nw.col(name).cast(nw.String))
    text = text.filter(~nw.col("text").is_null())
    strays = text.filter(~nw.col("text").str.contains(numerals.NUMBER))
    values = computed(strays.head(SAMPLE))["text"].to_list()
    if not values:
        return None
    number, total = (
        int(computed(rows.select(nw.len().alias("n")))["n"].to_list()[0]) for rows in (strays, text)
    )
    return Strays(tuple(values), number, total, None)


def refusal(what: str, dtype: Any, strays: Strays | None) -> DataError:
    """That a column must be numbers, and came as ``dtype``."""
    if strays is None:
        return rules.no_numbers(what, dtype)
    values, number, total = strays.values, strays.number, strays.total
    where = "" if strays.row is None else f" in row {strays.row} (counted from 0)"
    rows = f"all {total} rows" if number == total else f"{number} of {total} rows"
    lead = "" if number == 1 else "first " if where else "such as "
    came = f"text in {rows}, {lead}{shown(values[0])}{where}"
    return DataError(
        f"{what} must be a column of numbers, got {came}; " + _hint(values[0], number, total)
    )


def is_csv(source: Any) -> bool:
    """Whether a frame was read from CSV files."""
    return isinstance(source, (str, os.PathLike)) and file_names.find(source)[1] != "parquet"


def _hint(first: str, number: int, total: int) -> str:
    """The next step, by what the first value is."""
    if rules.is_date(first):
        return "make a column of numbers, such as the days since the first, or name another"
    if numerals.COMMAS.fullmatch(first):
        return rules.COMMA_HINT
    if number == total:
        return "name another column, or make numbers of it"
    return rules.MEND if number == 1 else rules.MEND_ALL
