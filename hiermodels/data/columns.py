"""The rules of columns: what a frame of any kind must be like, and the words where it is not."""

from __future__ import annotations

import datetime
import math
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import (
    ColumnError,
    DataError,
    DataWarning,
    OptionError,
    listed,
    option,
    shown,
    suggest,
)
from . import label_texts, numerals

# Names that the container's dims have; a column of that name could not be told from them.
DIMS = (
    "chain",
    "draw",
    "observation",
    "coefficient",
    "coefficient_2",
    "predictor",
    "group_index",
    "statistic",
)
# Names of variables of the posterior and the constant data; the group column names a dim beside
# them.
VARIABLES = (
    "mu",
    "tau",
    "theta",
    "sigma",
    "beta",
    "Omega",
    "L_Omega",
    "eta",
    "icc",
    "deviation",
    "se",
    "group_size",
    "x",
    "z",
)

EMPTY = "the data frame is empty: it has columns but no rows"


def check_missing(missing: str) -> None:
    """Refuse an unknown ``missing=``."""
    if not isinstance(missing, str) or missing not in ("raise", "drop"):
        raise OptionError(f"missing must be 'raise' or 'drop', got {shown(missing)}")


def check_names(
    columns: Iterable[Any], roles: Mapping[str, str], group: str, predictors: Sequence[str]
) -> None:
    """Refuse names that the frame lacks, that are used twice, or that a container cannot have."""
    there = list(columns)
    known = [str(c) for c in there]
    used: dict[str, str] = {}
    asked = [*roles.items(), ("group", group), *(("predictor", p) for p in predictors)]
    for role, name in asked:
        if not isinstance(name, str):
            raise OptionError(
                f"{role} must be the name of a column (a string), got {shown(name)}; "
                "name a column of the frame"
            )
        if name not in known:
            raise ColumnError(
                f"{role}: the data frame has no column {name!r}; it has {listed(known) or 'none'}"
                f"{suggest(name, known)}"
            )
        if name not in there:
            raise ColumnError(
                f"{role}: the data frame has no column {name!r} but {name}, which is no string; "
                "frame.columns.astype(str) makes all names strings"
            )
        if name in used:
            raise DataError(
                f"column {name!r} is used twice, as {used[name]} and as {role}; "
                "each column has one use"
            )
        used[name] = role
        reserved: tuple[str, ...] = (*DIMS, *VARIABLES) if role == "group" else DIMS
        if role == "group" and "y" in roles:
            reserved += (f"{roles['y']}_mean",)
        if name in reserved:
            raise DataError(
                f"{role}: the column name {name!r} is reserved (the container has a dim or a "
                "variable of that name); rename the column"
            )
        if not name.strip() or "/" in name or not is_storable(name):
            raise DataError(
                f"{role}: the column name {name!r} cannot be a variable's name in a NetCDF file "
                "(empty, or with a '/', a NUL or half a character); rename the column"
            )


def is_storable(text: str) -> bool:
    """Whether a NetCDF file can hold a text: no NUL, and nothing that UTF-8 has no letters for."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:  # half of a pair of surrogates
        return False


def no_numbers(what: str, dtype: Any) -> DataError:
    """That a column must be numbers."""
    role, _, name = what.partition("=")
    if role == "y" and dtype == nw.Boolean:
        return DataError(
            f"{what} must be a column of numbers, got True and False; a normal model is wrong for "
            f"two values; frame[{name}].astype(int) fits one all the same, with a warning"
        )
    came = "text" if dtype in (nw.String, nw.Categorical, nw.Enum) else str(dtype).lower()
    hint = (
        "pandas.to_numeric(...) converts text"
        if came == "text"
        else "convert the column to numbers first"
    )
    return DataError(f"{what} must be a column of numbers, got {came}; {hint}")


def check_no_dates(name: str, kinds: Iterable[Any]) -> None:
    """Refuse a predictor of dates, of which nothing says whether they are numbers or levels.

    ``kinds`` are the column's type, or those of its Python objects.
    """
    for kind in kinds:
        if came := _TIMES.get(kind) or _TIMES.get(type(kind)):
            raise DataError(
                f"predictor {name!r} must be numbers or a factor, got {came}; make {_DAYS}, or of "
                "categories if each is a level"
            )


_TIMES: dict[Any, str] = {
    nw.Date: "dates",
    nw.Datetime: "dates",
    nw.Duration: "durations",
    nw.Time: "times of day",
    datetime.date: "dates",
    datetime.datetime: "dates",
    datetime.timedelta: "durations",
    datetime.time: "times of day",
    pd.Timestamp: "dates",
    pd.Timedelta: "durations",
    np.datetime64: "dates",
    np.timedelta64: "durations",
}


def missing_values(
    counts: Mapping[str, int],
    dropped: int,
    n: int,
    missing: str,
    *,
    words: Iterable[str] = (),
    texts: Mapping[str, Mapping[str, int]] | None = None,
) -> None:
    """Refuse rows with missing values, or say how many were dropped; ``counts`` are by column.

    ``words`` are columns of CSV files where a word for a missing value may be a label, ``texts``
    what stands for a missing value in a column of text, and in how many rows.
    """
    if not dropped:
        return
    told = ", ".join(f"{name}: {count}" for name, count in counts.items() if count)
    rows = f"{dropped} of {n} rows have missing values ({told})"
    if any(counts[name] for name in words):
        rows += (
            ", as an empty cell is in a CSV file, and text such as 'NA' or 'NULL' (Parquet, or "
            "pandas.read_csv(..., keep_default_na=False), keeps it as a label)"
        )
    also, advice = label_texts.told(texts or {})
    rows += also
    if missing == "raise":
        fill = "; fill them in, or pass " + option("missing", "drop") + " to leave those rows out"
        raise DataError(rows + fill + advice)
    if dropped == n:
        raise DataError(f"{rows}; none is left to fit")
    warnings.warn(f"{rows} and were dropped", DataWarning, stacklevel=2)


def infinite_values(name: str, infinite: int, n: int) -> DataError:
    """That a column must be finite."""
    return DataError(
        f"column {name!r} must be finite, got {infinite} infinite "
        f"value{'s' if infinite > 1 else ''} in {n} rows; mend or leave out those rows"
    )


# Squares, and products of squares, of what lies outside these have no place in a double.
SMALLEST, LARGEST = 1e-60, 1e60


def check_spread(name: str, low: float, high: float) -> None:
    """Refuse numbers whose squares would overflow, or vanish."""
    # Halves, as the difference itself may overflow. What does not spread is judged elsewhere.
    half = high / 2 - low / 2 or abs(high) / 2
    if math.isfinite(half) and half and not SMALLEST <= 2 * half <= LARGEST:
        raise DataError(
            f"the spread of column {name!r} (largest minus smallest value) must lie between "
            f"{SMALLEST:g} and {LARGEST:g}, got values from {low:.3g} to {high:.3g}; mend or leave "
            "out values that are wrong, or take other units"
        )


def check_coefficients(coded: Iterable[str], columns: Iterable[str]) -> None:
    """Refuse two columns that would have coefficients of one name."""
    if clash := set(coded) & set(columns):
        raise DataError(
            f"predictors: two columns would have a coefficient named {listed(sorted(clash))}; "
            "rename one"
        )


def check_levels(name: str, levels: NDArray[Any], *, text: bool, number: int = 0) -> None:
    """Refuse a factor of one level, or of too many; say where they are dates, or spoilt numbers.

    A CSV file has no type for dates, nor for levels: text is taken for levels, and dates among it
    are more often meant as times. ``number`` is that of the levels where ``levels`` are but the
    first of them, ``text`` whether nothing but being no numbers makes them levels. Levels seem to
    be numbers where there are many and nine in ten of them are numbers, or would be but for their
    commas: levels that are coded by numbers are few, or all are numbers.
    """
    number = max(number, len(levels))
    strays = [str(level) for level in levels if text and not numerals.is_number(str(level))]
    wrong = sum(not numerals.COMMAS.fullmatch(level) for level in strays)
    spoilt = strays and len(levels) >= FEW and 10 * wrong <= len(levels)
    if number < 2:
        raise DataError(
            f"predictor {name!r} must vary, got the one value {listed(levels)} in all rows; "
            "leave it out"
        )
    dates = text and all(map(is_date, levels))
    if number > MOST_LEVELS:
        came, hint = f"text with {number} levels", "is it a group, or numbers read as text?"
        if dates:
            came, hint = f"{number} dates as text", f"make {_DAYS}"
        elif spoilt:
            came, hint = f"{number} values of text, such as {shown(strays[0])} among numbers", MEND
        raise DataError(
            f"predictor {name!r} must be numbers or a factor of at most {MOST_LEVELS} levels, got "
            f"{came}; " + hint
        )
    if dates:
        warnings.warn(
            f"predictor {name!r} holds {number} dates as text, and each is a level with its own "
            f"coefficient; if a trend is meant, make {_DAYS}; if levels are, pass a frame where "
            "it is categories (pandas.read_parquet keeps those of a file)",
            DataWarning,
            stacklevel=2,
        )

    elif spoilt:
        warnings.warn(
            f"predictor {name!r} holds {number} values of text, such as {shown(strays[0])} among "
            "numbers, and each is a level with its own coefficient; if numbers are meant, "
            + (COMMA_HINT if numerals.COMMAS.fullmatch(strays[0]) else MEND)
            + "; if levels are, make it categories",
            DataWarning,
            stacklevel=2,
        )


MOST_LEVELS = 100
# Levels that may be coded by numbers and words at once, such as grades.
FEW = 10
_MISSING = (
    " missing (empty in a file, pandas.to_numeric(..., errors='coerce') in a frame) and pass "
    + option("missing", "drop")
)
MEND = "mend the cell, or make it" + _MISSING
MEND_ALL = "mend the cells, or make them" + _MISSING
COMMA_HINT = (
    "write decimal points, and nothing between thousands, or read the file with "
    "pandas.read_csv(..., decimal=',') or thousands=',', whichever the commas are"
)
_DAYS = "a column of numbers, such as the days since the first"
_ISO = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d+)?)?(Z|[+-]\d\d(:?\d\d)?)?)?", re.ASCII
)


def is_date(text: Any) -> bool:
    """Whether a text is a day as ISO 8601 writes it, with or without the time of day."""
    if not _ISO.fullmatch(str(text)):
        return False
    try:
        datetime.date.fromisoformat(str(text)[:10])
    except ValueError:
        return False
    return True


def column_names(columns: Sequence[str]) -> tuple[str, ...]:
    """Names of columns as a tuple; a bare string, a list of letters to Python, is refused."""
    if isinstance(columns, str) or not isinstance(columns, Sequence):
        raise OptionError(
            f"columns must be a list of column names, got {columns!r}; "
            f"{[columns] if isinstance(columns, str) else ['x']!r} is one"
        )
    return tuple(columns)
