"""Data frames of every engine, opened by Narwhals, and the rows of lazy ones."""

from __future__ import annotations

from typing import Any

import narwhals.stable.v2 as nw

from ..errors import DataError, OptionError, listed
from ..system.termination import answer

__all__ = ["collected", "computed", "opened"]


def opened(frame: Any) -> Any:
    """A frame as Narwhals has it, eager or lazy.

    Raises
    ------
    OptionError
        It is no data frame.
    DataError
        Two columns have one name.
    """
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
        engine: Any = data.implementation
        if engine is nw.Implementation.DASK:  # whose schema needs names that differ
            names = list(data.to_native().columns)
        else:
            names = data.collect_schema().names()
    elif isinstance(data, nw.DataFrame):
        names = data.columns
    else:
        raise OptionError(
            f"frame must be a data frame, got a {type(frame).__name__}; pass the whole frame and "
            "name its columns"
        )
    if len(set(names)) < len(names):
        twice = [n for n in dict.fromkeys(names) if names.count(n) > 1]
        raise DataError(
            f"the data frame has more than one column named {listed(twice)}; rename them"
        )
    return data


def computed(data: Any, **how: Any) -> Any:
    """The rows of a lazy frame.

    Raises
    ------
    DataError
        Its engine fails at them: on a cast that cannot be, a file that is gone.
    KeyboardInterrupt
        It was interrupted.
    """
    try:
        return answer(lambda: data.collect(**how))
    except MemoryError:
        raise
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise DataError(
            f"the data frame cannot be computed: {lines[0] if lines else type(error).__name__}; "
            "collect it once by itself to see where"
        ) from error


def collected(data: Any) -> Any:
    """The few rows of an aggregated lazy frame."""
    if data.implementation is nw.Implementation.POLARS:
        # Polars' own default holds all rows of the columns in memory.
        return computed(data, backend="polars", engine="streaming")
    return computed(data)
