"""Any data frame -> checked columns and group labels.

Narwhals reads the frame, so pandas, polars, pyarrow and their kin are all the same here. What
leaves this module is NumPy: finite float64 columns, and groups as labels with an index.
"""

from __future__ import annotations

import numbers
import os
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from numpy.typing import NDArray

from .errors import ColumnError, DataError, DataWarning, OptionError, listed, suggest

Array = NDArray[np.float64]

# Names that the container's dims have; a column of that name could not be told from them.
DIMS = ("chain", "draw", "observation", "coefficient", "coefficient_2", "predictor", "group_index")
# Names of the posterior's variables; the group column names a dim beside them.
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
)


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
    groups: Groups
    rows: NDArray[np.int64]
    dropped: int


def read(path: str | os.PathLike[str]) -> Any:
    """Read a CSV or Parquet file into a pandas frame.

    Raises
    ------
    DataError
        No such file, a file of another kind, or one that cannot be parsed.
    """
    import pandas as pd

    path = Path(os.path.expanduser(path))
    readers = {
        ".csv": pd.read_csv,
        ".gz": pd.read_csv,
        ".tsv": lambda p: pd.read_csv(p, sep="\t"),
        ".parquet": pd.read_parquet,
        ".pq": pd.read_parquet,
    }
    if path.is_dir():
        raise DataError(f"data file: {str(path)!r} is a folder; name a file in it")
    if not path.is_file():
        raise DataError(f"data file: no such file {str(path)!r}; check the path")
    reader: Any = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"data file: {path.name!r} must end in .csv, .tsv, .csv.gz or .parquet; "
            "convert it to one of them"
        )
    try:
        frame = reader(path)
        if len(frame.columns) == 1 and ";" in str(frame.columns[0]):
            raise DataError(
                f"data file: {path.name!r} must be separated by commas, got semicolons; read it "
                "with pandas.read_csv(..., sep=';') or save it with commas"
            )
        return frame
    except DataError:
        raise
    except ImportError as error:
        raise DataError(
            f"data file: reading {path.name!r} needs pyarrow; pip install 'hiermodels[large]'"
        ) from error
    except (ValueError, OSError, EOFError, zlib.error) as error:  # the last two: a damaged .csv.gz
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "unknown reason"
        raise DataError(
            f"data file: {path.name!r} could not be read as {path.suffix[1:]}: {reason}"
        ) from error


def table(
    frame: Any,
    *,
    roles: dict[str, str],
    group: str,
    predictors: Sequence[str] = (),
    missing: str = "raise",
) -> Table:
    """Check the columns of a frame and take them out of it.

    Parameters
    ----------
    frame : data frame, or path to a CSV or Parquet file
        Anything that Narwhals reads: pandas, polars (eager or lazy), pyarrow, ...
    roles : dict of str to str
        Argument name -> column name, for the columns that must be numbers.
    group : str
        Column with the group labels.
    predictors : sequence of str
        Predictor columns: numbers, booleans, or strings and categoricals (coded by level).
    missing : {"raise", "drop"}
        What to do with rows that have a missing value in any of these columns.

    Raises
    ------
    ColumnError
        A column is not there.
    DataError
        A column or the frame cannot be used; the message says why.
    OptionError
        An argument has the wrong type.

    Warns
    -----
    DataWarning
        Rows were dropped; the warning says how many.
    """
    if missing not in ("raise", "drop"):
        raise OptionError(f"missing must be 'raise' or 'drop', got {missing!r}")
    if isinstance(frame, (str, os.PathLike)):
        frame = read(frame)
    data = _eager(frame)
    _check_names(data, roles, group, predictors)
    if len(data) == 0:
        raise DataError("the data frame is empty: it has columns but no rows")

    series = {name: data[name] for name in {*roles.values(), group, *predictors}}
    labels = _label_values(series[group], group)
    absent = {group: labels.absent}
    raw: dict[str, Array] = {}
    for role, name in roles.items():
        raw[name] = _numbers(series[name], f"{role}={name!r}")
        absent[name] = np.isnan(raw[name])
    levels: dict[str, _Labels] = {}
    for name in predictors:
        if series[name].dtype.is_numeric():
            raw[name] = _numbers(series[name], f"predictor {name!r}")
            absent[name] = np.isnan(raw[name])
        else:
            levels[name] = _label_values(series[name], name)
            absent[name] = levels[name].absent

    keep, dropped = _complete_rows(absent, len(data), missing)
    for name, values in raw.items():
        infinite = int(np.isinf(values[keep]).sum())
        if infinite:
            raise DataError(
                f"column {name!r} must be finite, got {infinite} infinite "
                f"value{'s' if infinite > 1 else ''} in {len(data)} rows; "
                "mend or leave out those rows"
            )
    coded: dict[str, Array] = {}
    sources: dict[str, tuple[str, ...]] = {}
    for name in predictors:
        columns = (
            {name: raw[name][keep]}
            if name in raw
            else _treatment_coding(name, levels[name], series[name], keep)
        )
        if clash := coded.keys() & columns.keys():
            raise DataError(
                f"predictors: two columns would have a coefficient named {listed(sorted(clash))}; "
                "rename one"
            )
        sources[name] = tuple(columns)
        coded |= columns
    return Table(
        numeric={name: raw[name][keep] for name in roles.values()},
        predictors=coded,
        sources=sources,
        groups=_groups(labels, keep),
        rows=np.flatnonzero(keep),
        dropped=dropped,
    )


def _eager(frame: Any) -> Any:
    try:
        data = nw.from_native(frame)
    except TypeError:
        raise OptionError(
            f"frame must be a data frame (pandas, polars, pyarrow, ...), got "
            f"{type(frame).__name__}; pandas.DataFrame(...) makes one"
        ) from None
    except Exception as error:
        # Narwhals' own complaint, such as duplicated column names.
        said = " ".join(line.strip(" -") for line in str(error).splitlines() if line.strip())
        raise DataError(f"the data frame cannot be read: {said}") from error
    if isinstance(data, nw.LazyFrame):
        data = data.collect()
    if not isinstance(data, nw.DataFrame):
        raise OptionError(
            f"frame must be a data frame, got a {type(frame).__name__}; pass the whole frame and "
            "name its columns"
        )
    names = data.columns
    if len(set(names)) < len(names):
        twice = [n for n in dict.fromkeys(names) if names.count(n) > 1]
        raise DataError(
            f"the data frame has more than one column named {listed(twice)}; rename them"
        )
    return data


def _check_names(data: Any, roles: dict[str, str], group: str, predictors: Sequence[str]) -> None:
    known = [str(c) for c in data.columns]
    used: dict[str, str] = {}
    asked = [*roles.items(), ("group", group), *(("predictor", p) for p in predictors)]
    for role, name in asked:
        if not isinstance(name, str):
            raise OptionError(
                f"{role} must be the name of a column (a string), got {name!r}; "
                "name a column of the frame"
            )
        if name not in known:
            raise ColumnError(
                f"{role}: the data frame has no column {name!r}; it has {listed(known)}"
                f"{suggest(name, known)}"
            )
        if name in used:
            raise DataError(
                f"column {name!r} is used twice, as {used[name]} and as {role}; "
                "each column has one use"
            )
        used[name] = role
        reserved = (*DIMS, *VARIABLES) if role == "group" else DIMS
        if name in reserved:
            raise DataError(
                f"{role}: the column name {name!r} is reserved (the container has a dim or a "
                "variable of that name); rename the column"
            )
        if not name.strip() or "/" in name:
            raise DataError(
                f"{role}: the column name {name!r} cannot be a variable's name in a NetCDF file "
                "(empty, or with a '/'); rename the column"
            )


def _numbers(series: Any, what: str) -> Array:
    """A column as float64, NaN where it is missing."""
    dtype = series.dtype
    if dtype.is_numeric():
        if str(dtype).startswith("Complex"):  # pragma: no cover - narwhals calls these Unknown
            raise DataError(f"{what} must be real numbers, got {dtype}")
        cast = series.cast(nw.Float64)
        return np.asarray(cast.fill_null(float("nan")).to_numpy(), dtype=np.float64)
    if dtype == nw.Object:
        values = series.to_list()
        if all(v is None or _is_number(v) for v in values):
            return np.array([np.nan if v is None else float(v) for v in values])
    came = "text" if dtype in (nw.String, nw.Categorical, nw.Enum) else str(dtype).lower()
    hint = (
        "pandas.to_numeric(...) converts text"
        if came == "text"
        else "convert the column to numbers first"
    )
    raise DataError(f"{what} must be a column of numbers, got {came}; {hint}")


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_))


@dataclass(frozen=True)
class _Labels:
    """Labels of the rows: an index into ``levels``, -1 where the label is missing."""

    levels: list[Any]
    index: NDArray[np.int64]

    @property
    def absent(self) -> NDArray[np.bool_]:
        return self.index < 0


def _label_values(series: Any, name: str) -> _Labels:
    """The labels of a column, in order of first appearance, or of its categories."""
    values = series.to_list()
    absent = [v is None or (isinstance(v, float) and np.isnan(v)) or _is_nat(v) for v in values]
    present = [v for v, a in zip(values, absent, strict=True) if not a]
    kinds = {_label_kind(v) for v in present}
    if "float" in kinds and kinds <= {"int", "float"}:
        if not all(float(v).is_integer() for v in present):
            raise DataError(
                f"group labels in column {name!r} must be strings or integers, got numbers with "
                "fractions; a measured quantity is a predictor, not a group"
            )
        kinds = {"int"}
    if len(kinds) > 1:
        raise DataError(
            f"labels in column {name!r} must be all of one type, got a mix of "
            f"{', '.join(sorted(kinds))}; frame[{name!r}].astype(str) makes them all strings"
        )
    convert: Any = int if kinds == {"int"} else str
    labels = [None if a else convert(v) for v, a in zip(values, absent, strict=True)]
    if series.dtype in (nw.Categorical, nw.Enum):
        categories = series.cat.get_categories().to_list()
        # Integers with a missing value among them come as categories that are floats.
        fitting = kinds | {"float"} if kinds == {"int"} else kinds
        order = [convert(c) for c in categories if _label_kind(c) in fitting]
    else:
        order = list(dict.fromkeys(v for v in labels if v is not None))
    place = {label: i for i, label in enumerate(order)}
    return _Labels(order, np.array([-1 if v is None else place[v] for v in labels], dtype=np.int64))


def _is_nat(value: Any) -> bool:
    # pandas.NaT and pandas.NA are neither None nor a float.
    return type(value).__name__ in ("NaTType", "NAType")


def _label_kind(value: Any) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "bool"
    if isinstance(value, numbers.Integral):
        return "int"
    if isinstance(value, numbers.Real):
        return "float"
    return type(value).__name__ if not isinstance(value, str) else "str"


def _complete_rows(
    absent: dict[str, NDArray[np.bool_]], n: int, missing: str
) -> tuple[NDArray[np.bool_], int]:
    gone = np.zeros(n, dtype=bool)
    for mask in absent.values():
        gone |= mask
    dropped = int(gone.sum())
    if not dropped:
        return ~gone, 0
    counts = ", ".join(f"{name}: {int(m.sum())}" for name, m in absent.items() if m.any())
    rows = f"{dropped} of {n} rows have missing values ({counts})"
    if missing == "raise":
        raise DataError(f"{rows}; fill them in, or pass missing='drop' to leave those rows out")
    if dropped == n:
        raise DataError(f"{rows}; none is left to fit")
    warnings.warn(f"{rows} and were dropped", DataWarning, stacklevel=2)
    return ~gone, dropped


def _groups(labels: _Labels, keep: NDArray[np.bool_]) -> Groups:
    index = labels.index[keep]
    sizes = np.bincount(index, minlength=len(labels.levels))
    here = np.flatnonzero(sizes)
    renumber = np.full(len(labels.levels), -1, dtype=np.int64)
    renumber[here] = np.arange(len(here))
    names = [labels.levels[i] for i in here]
    return Groups(labels=np.array(names), index=renumber[index], sizes=sizes[here])


def _treatment_coding(
    name: str, labels: _Labels, series: Any, keep: NDArray[np.bool_]
) -> dict[str, Array]:
    """One 0/1 column for each level but the first (treatment coding)."""
    index = labels.index[keep]
    present = [i for i in range(len(labels.levels)) if (index == i).any()]
    if series.dtype == nw.Boolean:
        return {name: np.array([labels.levels[i] == "True" for i in index], dtype=np.float64)}
    if series.dtype not in (nw.Categorical, nw.Enum):
        # The first level is the alphabet's, not the first row's: a shuffle must not change it.
        present.sort(key=lambda i: labels.levels[i])
    if len(present) < 2:
        raise DataError(
            f"predictor {name!r} must vary, got the one value "
            f"{listed(labels.levels[i] for i in present)} in all rows; leave it out"
        )
    if len(present) > 100:
        raise DataError(
            f"predictor {name!r} must be numbers or a factor of at most 100 levels, got text "
            f"with {len(present)} levels; is it a group, or numbers read as text?"
        )
    return {f"{name}[{labels.levels[i]}]": (index == i).astype(np.float64) for i in present[1:]}
