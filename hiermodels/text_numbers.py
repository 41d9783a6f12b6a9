"""Text where numbers should be: what is none, where it stands, and what to do about it.

One wrong cell makes text of a whole column. Nothing here is cheap, and nothing is done before a
column has turned out to be text.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from . import columns as rules
from . import csv_files, files
from .errors import DataError, DataWarning, shown

# Every engine's regular expressions have these signs; pandas' and Dask's warn of groups.
NUMBER = (
    r"^\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*$"
    r"|^\s*[+-]?(?:[iI][nN][fF](?:[iI][nN][iI][tT][yY])?|[nN][aA][nN])\s*$"
)
_NUMBER = re.compile(NUMBER)
_DECIMAL = re.compile(r"\s*[+-]?\d*,\d+\s*", re.ASCII)
_THOUSANDS = re.compile(r"\s*[+-]?\d{1,3}(,\d{3})+(\.\d*)?\s*", re.ASCII)
_POINTS = re.compile(r"\s*[+-]?\d{1,3}(\.\d{3})+,\d+\s*", re.ASCII)

# Values that are looked at to tell what they are, and rows of files that are searched for the line.
SAMPLE, SEARCHED = 1000, 5_000_000
# Levels that may be coded by numbers and words at once, such as grades.
FEW = 10


@dataclass(frozen=True)
class Strays:
    """The values of a column of text that are no numbers.

    Attributes
    ----------
    values : tuple of str
        The first of them; of a lazy frame, some.
    number : int
        How many there are.
    total : int
        Rows in which the column is not missing.
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


def has_comma(text: str) -> bool:
    """Whether a text is a number but for commas, as decimal sign or between thousands."""
    return any(kind.fullmatch(text) for kind in (_DECIMAL, _THOUSANDS, _POINTS))


def in_series(series: Any) -> Strays | None:
    """The values of a Narwhals series that are no numbers; None where none of them is text."""
    if series.dtype not in (nw.String, nw.Categorical, nw.Enum, nw.Object):
        return None
    values = np.empty(len(series), dtype=object)
    values[:] = series.to_list()
    texts = np.fromiter((isinstance(v, str) for v in values), dtype=bool, count=len(values))
    # Pandas passes over most of a million numbers at once.
    parsed = pd.to_numeric(pd.Series(values[texts], dtype=object), errors="coerce").isna()
    rows = [i for i in np.flatnonzero(texts)[parsed.to_numpy()] if not is_number(values[i])]
    if not rows:
        return None
    first = tuple(str(values[i]) for i in rows[:SAMPLE])
    return Strays(first, len(rows), int((~pd.isna(values)).sum()), int(rows[0]))


def in_lazy(data: Any, name: str) -> Strays | None:
    """The same of a column of a lazy frame, by its own engine."""
    from .frames import computed

    if data.collect_schema()[name] not in (nw.String, nw.Categorical, nw.Enum):
        return None
    text = data.select(text=nw.col(name).cast(nw.String))
    text = text.filter(~nw.col("text").is_null())
    strays = text.filter(~nw.col("text").str.contains(NUMBER))
    values = computed(strays.head(SAMPLE))["text"].to_list()
    if not values:
        return None
    number, total = (
        int(computed(rows.select(nw.len().alias("n")))["n"].to_list()[0]) for rows in (strays, text)
    )
    return Strays(tuple(values), number, total, None)


def refusal(
    what: str, dtype: Any, strays: Strays | None, source: Any = None, column: str = ""
) -> DataError:
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
    column : str
        The column's name there.
    """
    if strays is None:
        return rules.no_numbers(what, dtype)
    found = _cell(source, column)
    if found is not None:
        first, where = found
        values: Sequence[str] = (first, *strays.values)
    else:
        values = strays.values
        where = "" if strays.row is None else f" in row {strays.row} (counted from 0)"
    number, total = strays.number, strays.total
    rows = f"all {total} rows" if number == total else f"{number} of {total} rows"
    lead = "" if number == 1 else "first " if where else "such as "
    came = f"text in {rows}, {lead}{shown(values[0])}{where}"
    hint = _hint(values, number, total, is_csv=is_csv(source))
    return DataError(f"{what} must be a column of numbers, got {came}; {hint}")


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
    wrong = sum(not has_comma(level) for level in strays)
    if not strays or len(seen) < FEW or 10 * wrong > len(seen):
        rules.check_levels(name, levels, text=text, number=number)
        return
    first, where = _cell(source, name) or (strays[0], "")
    number = max(number, len(seen))
    came = f"{number} values of text, such as {shown(first)}{where} among numbers"
    hint = _hint((first, *strays), len(strays), number + 1, is_csv=is_csv(source))
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


def _hint(values: Sequence[str], number: int, total: int, *, is_csv: bool) -> str:
    """The next step, by what the first value is."""
    if rules.is_date(values[0]):
        return "make a column of numbers, such as the days since the first, or name another"
    if has_comma(values[0]):
        return _commas(values)
    if number == total:
        return "name another column, or make numbers of it"
    cell, it = ("cell", "it") if number == 1 else ("cells", "them")
    if is_csv:
        return f"mend the {cell}, or empty {it} (a missing value) and pass missing='drop'"
    return (
        f"mend the {cell} and convert the column with pandas.to_numeric(...), or with "
        f"pandas.to_numeric(..., errors='coerce') make {it} missing and pass missing='drop'"
    )


def _commas(values: Sequence[str]) -> str:
    """The next step for numbers with commas, as far as they tell what these are."""
    read = "or read the file with pandas.read_csv(..., "
    if any(_POINTS.fullmatch(v) for v in values):
        return f"write 1.234,5 as 1234.5, {read}decimal=',', thousands='.')"
    if any(_DECIMAL.fullmatch(v) and not _THOUSANDS.fullmatch(v) for v in values):
        return f"write decimal points for the commas, {read}decimal=',')"
    if any(_THOUSANDS.fullmatch(v) and not _DECIMAL.fullmatch(v) for v in values):
        return f"leave the commas out, {read}thousands=',')"
    return (
        f"leave the commas out, {read}thousands=','); where they are decimal signs, write points, "
        "or read it with decimal=','"
    )


def _cell(source: Any, column: str) -> tuple[str, str] | None:
    """The first cell of CSV files that is no number: its text, and where it stands."""
    if not is_csv(source):
        return None
    paths, kind = files.find(source)
    searched = 0
    for path in paths:
        for number, cell in csv_files.cells(path, kind, column):
            if cell not in files.BLANKS and not is_number(cell):
                name = f" of {path.name!r}" if len(paths) > 1 else ""
                return cell, f" in line {number}{name}"
            searched += 1
            if searched == SEARCHED:
                return None
    return None
