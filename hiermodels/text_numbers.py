"""Text where numbers should be: what is none, where it stands, and what to do about it."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
from numpy.typing import NDArray

from . import columns as rules
from . import files
from .errors import DataError, DataWarning, shown

_NUMBER = re.compile(files.NUMBER)
_COMMAS = re.compile(r"\s*[+-]?\d*(\.?\d{3})*,\d+(,\d{3})*(\.\d*)?\s*", re.ASCII)
# Values that are looked at to tell what they are.
SAMPLE = 1000
# Levels that may be coded by numbers and words at once, such as grades.
FEW = 10


@dataclass(frozen=True)
class Strays:
    """The values of a column of text that are no numbers.

    Attributes
    ----------
    values : tuple of str
        The first of them; of a lazy frame, some.
    number, total : int
        How many there are, and rows in which the column is not missing.
    row : int or None
        Where the first stands, counted from 0; None where the rows have no order.
    """

    values: tuple[str, ...]
    number: int
    total: int
    row: int | None


def is_number(text: str) -> bool:
    """Whether a text is a number as readers of CSV files take it."""
    return _NUMBER.match(text) is not None


def in_series(series: Any) -> Strays | None:
    """The values of a Narwhals series that are no numbers; None where none of them is text."""
    if series.dtype not in (nw.String, nw.Categorical, nw.Enum, nw.Object):
        return None
    values = series.to_list()
    rows = [i for i, v in enumerate(values) if isinstance(v, str) and not is_number(v)]
    total = sum(v is not None and v == v for v in values)  # NaN is not itself
    first = tuple(str(values[i]) for i in rows[:SAMPLE])
    return Strays(first, len(rows), total, rows[0]) if rows else None


def in_lazy(data: Any, name: str) -> Strays | None:
    """The same of a column of a lazy frame, by its own engine."""
    from .frames import computed

    if data.collect_schema()[name] not in (nw.String, nw.Categorical, nw.Enum):
        return None
    text = data.select(text=nw.col(name).cast(nw.String))
    text = text.filter(~nw.col("text").is_null())
    strays = text.filter(~nw.col("text").str.contains(files.NUMBER))
    values = computed(strays.head(SAMPLE))["text"].to_list()
    if not values:
        return None
    number, total = (
        int(computed(rows.select(nw.len().alias("n")))["n"].to_list()[0]) for rows in (strays, text)
    )
    return Strays(tuple(values), number, total, None)


def refusal(what: str, dtype: Any, strays: Strays | None, source: Any = None) -> DataError:
    """That a column must be numbers.

    Parameters
    ----------
    what : str
        The column and its use.
    dtype : Narwhals type
        What it came as.
    strays : Strays or None
        What in it is no number.
    source : path, optional
        Where the frame was read from.
    """
    if strays is None:
        return rules.no_numbers(what, dtype)
    values, number, total = strays.values, strays.number, strays.total
    where = "" if strays.row is None else f" in row {strays.row} (counted from 0)"
    rows = f"all {total} rows" if number == total else f"{number} of {total} rows"
    lead = "" if number == 1 else "first " if where else "such as "
    came = f"text in {rows}, {lead}{shown(values[0])}{where}"
    return DataError(
        f"{what} must be a column of numbers, got {came}; {_hint(values, number, total, source)}"
    )


def check_levels(
    name: str, levels: NDArray[Any], *, text: bool, number: int = 0, source: Any = None
) -> None:
    """:func:`hiermodels.columns.check_levels`, and that levels of text are no spoilt numbers.

    They seem so where there are many and nine in ten of them are numbers, or would be but for
    their commas: levels that are coded by numbers are few, or all are numbers.

    Raises
    ------
    DataError
        There is one level, or too many of them.

    Warns
    -----
    DataWarning
        The levels are dates, or seem to be numbers with a wrong cell among them.
    """
    seen = [str(level) for level in levels] if text else []
    strays = [level for level in seen if not is_number(level)]
    wrong = sum(not _COMMAS.fullmatch(level) for level in strays)
    if not strays or len(seen) < FEW or 10 * wrong > len(seen):
        rules.check_levels(name, levels, text=text, number=number)
        return
    number = max(number, len(seen))
    came = f"{number} values of text, such as {shown(strays[0])} among numbers"
    hint = _hint(strays, len(strays), number + 1, source)
    if number > rules.MOST_LEVELS:
        raise DataError(
            f"predictor {name!r} must be numbers or a factor of at most {rules.MOST_LEVELS} "
            f"levels, got {came}; {hint}"
        )
    warnings.warn(
        f"predictor {name!r} holds {came}, and each is a level with its own coefficient; if "
        f"numbers are meant, {hint}; if levels are, make it categories",
        DataWarning,
        stacklevel=2,
    )


def is_csv(source: Any) -> bool:
    """Whether a frame was read from CSV files."""
    return isinstance(source, (str, os.PathLike)) and files.find(source)[1] != "parquet"


def _hint(values: Sequence[str], number: int, total: int, source: Any) -> str:
    """The next step, by what the first value is."""
    if rules.is_date(values[0]):
        return "make a column of numbers, such as the days since the first, or name another"
    if _COMMAS.fullmatch(values[0]):
        return (
            "write decimal points, and nothing between thousands, or read the file with "
            "pandas.read_csv(..., decimal=',') or thousands=',', whichever the commas are"
        )
    if number == total:
        return "name another column, or make numbers of it"
    cell, it = ("cell", "it") if number == 1 else ("cells", "them")
    if is_csv(source):
        return f"mend the {cell}, or empty {it} (a missing value) and pass missing='drop'"
    return (
        f"mend the {cell} and convert the column with pandas.to_numeric(...), or with "
        f"pandas.to_numeric(..., errors='coerce') make {it} missing and pass missing='drop'"
    )
