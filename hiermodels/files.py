"""Data files: into memory by pandas, or left on the disk and read by DuckDB.

A path is one CSV or Parquet file, a pattern (``data/*.parquet``), or a folder of such files, its
subfolders named ``key=value`` or not (the keys of the former are columns, of numbers or text).

Both readers of CSV files go by the same rules: commas, double quotes, a header, no comments, the
same words for a missing value, numbers or else text. They differ in these: numbers with zeros in
front (``001``) and ``0x10`` are 1 and text to pandas, text and 16 to DuckDB; what a row lacks at
its end is missing to pandas, and DuckDB refuses the row. Columns of ``true`` and ``false`` are
booleans to either, columns of ``T`` and ``F`` or of dates are text.

DuckDB has no categories: those of a Parquet file that it reads (a large one, a folder, a pattern)
are text, whose levels are in the order of the alphabet. ``pandas.read_parquet`` keeps them.
"""

from __future__ import annotations

import glob
import importlib.util
import os
import re
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any

from . import csv_files, file_sizes, ownership, temporary
from .errors import DataError, listed, shown
from .termination import interruptible

KINDS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tsv.gz": "tsv",  # before the next, as the first that fits counts
    ".gz": "csv",
}

# DuckDB's own limit, beyond which it goes to the disk; Python and its packages come on top.
MEMORY = "1GB"
# What pandas reads as missing in a CSV file, so that a file means the same however it is read.
BLANKS = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip


def read(path: str | os.PathLike[str]) -> Any:
    """Read all rows of CSV or Parquet files into a pandas frame.

    Raises
    ------
    DataError
        No such file, a file of another kind, or one that cannot be parsed; or a pattern or a
        folder without DuckDB.
    """
    import pandas as pd

    found, kind = find(path)
    file = found[0]
    if not _is_file(path):
        file_sizes.check_memory(found, kind, scanned=True)
        try:
            with scan(path, in_order=True) as relation:
                return answer(relation.df)
        except (MemoryError, DataError) as error:
            if file_sizes.is_of_memory(error):
                raise file_sizes.too_large(file) from error
            raise
    file_sizes.check_memory(found, kind)
    try:
        if kind == "parquet":
            return pd.read_parquet(file)
        sign = "\t" if kind == "tsv" else ","
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            # At once, as a column's type is that of all its rows. Without index_col the first
            # fields of rows longer than the header would name the rows, and shift the others.
            frame = pd.read_csv(file, sep=sign, low_memory=False, index_col=False)
        for name, column in frame.items():
            if column.dtype == object and pd.api.types.infer_dtype(column) == "boolean":
                frame[name] = column.astype("boolean")  # with missing values among them
    except ImportError as error:
        raise DataError(
            f"data file: reading {file.name!r} needs pyarrow; pip install 'hiermodels[large]'"
        ) from error
    except pd.errors.ParserWarning as error:
        raise (csv_files.uneven(file, kind) or _unread(file, error)) from error
    except MemoryError as error:
        raise file_sizes.too_large(file) from error
    except (ValueError, OSError, EOFError, zlib.error) as error:  # the last two: a damaged .csv.gz
        full = file_sizes.is_of_memory(error)  # the parser's own words, no MemoryError
        raise (file_sizes.too_large(file) if full else _unread(file, error)) from error
    if kind != "parquet":
        csv_files.check_header(file, kind, list(frame.columns))
    return frame


def stays(path: str | os.PathLike[str]) -> bool:
    """Whether the rows stay on the disk: for patterns, folders, and large files with DuckDB.

    A single file of at most 100 MB is read by pandas, unless it holds far more than it seems (a
    compressed CSV file of more than 100 MB when unpacked, a Parquet file of more than 1 GB in
    memory), and so is any where DuckDB is missing.

    Raises
    ------
    DataError
        As :func:`find`.
    """
    found, kind = find(path)
    if not _is_file(path):
        return True
    return importlib.util.find_spec("duckdb") is not None and file_sizes.is_large(found[0], kind)


def find(path: str | os.PathLike[str]) -> tuple[list[Path], str]:
    """The files that a path stands for, and their kind: ``"parquet"``, ``"csv"`` or ``"tsv"``.

    Raises
    ------
    DataError
        There is none, or they are of another kind or of several.
    """
    if not os.fspath(path):
        raise DataError("data file: the path must not be empty; name a file")
    path = Path(os.path.expanduser(path))
    try:
        path.stat()
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:  # too long, a link to itself, a NUL
        what = getattr(error, "strerror", None) or error
        closed = ownership.barrier(path) if isinstance(error, PermissionError) else ""
        advice = "have it opened to you, or name another file" if closed else "check the path"
        raise DataError(
            f"data file: {shown(str(path), 200)} cannot be opened ({closed or what}); {advice}"
        ) from error
    if path.is_file():
        files = [path]
    elif path.is_dir():
        found = (f for f in path.rglob("*") if _kind(f) and f.is_file())
        # Names with these letters are what other programs keep to themselves (_temporary, .part).
        hidden = (".", "_")
        files = sorted(
            f for f in found if not any(p.startswith(hidden) for p in f.relative_to(path).parts)
        )
        if not files:
            raise DataError(
                f"data file: {str(path)!r} is a folder without CSV or Parquet files; name a file, "
                "or a folder that holds some"
            )
    elif path.exists():
        raise DataError(
            f"data file: {str(path)!r} must be a file or a folder, got a pipe or a device; write "
            "what comes from there to a file first"
        )
    elif glob.has_magic(str(path)):
        files = [Path(f) for f in sorted(glob.glob(str(path), recursive=True)) if Path(f).is_file()]
        if not files:
            raise DataError(f"data file: no file is named as {str(path)!r}; check the pattern")
    else:
        hint = "download it first" if ":/" in str(path) else "check the path"
        raise DataError(f"data file: no such file {str(path)!r}; {hint}")
    kinds = {_kind(f) for f in files}
    if "" in kinds:
        other = next(f for f in files if not _kind(f))
        raise DataError(
            f"data file: {other.name!r} must end in .csv, .tsv, .csv.gz, .tsv.gz or .parquet; "
            "convert it to one of them"
        )
    if len(kinds) > 1:
        raise DataError(
            f"data file: the files of {str(path)!r} must be of one kind, got "
            f"{' and '.join(sorted(kinds))}; name those of one kind, such as '*.parquet'"
        )
    return files, kinds.pop()


# DuckDB's connection to the files that are being read, if any are.
_CONNECTION: ContextVar[Any] = ContextVar("connection", default=None)


def answer(query: Callable[[], Any]) -> Any:
    """What a query gives; one to the files of :func:`scan` ends at once when it is interrupted.

    DuckDB itself looks for signals between two pieces of its work, which may be minutes apart, and
    raises an error of its own in place of the interruption. Only its first look at the types of a
    CSV file's columns cannot be cut short.

    Raises
    ------
    KeyboardInterrupt
        Another DuckDB connection's query, one of the caller's, was interrupted.
    """
    connection = _CONNECTION.get()
    try:
        return query() if connection is None else interruptible(query, connection.interrupt)
    except Exception as error:
        if _is_interruption(error):
            raise KeyboardInterrupt from error
        raise


def _is_interruption(error: BaseException | None) -> bool:
    """Whether DuckDB says that a query was interrupted, in words that are not those of a cell."""
    if error is None:
        return False
    # The second is what DuckDB makes of a signal, which has no type of its own.
    return (
        file_sizes.is_of_duckdb(error, "InterruptException")
        or (type(error) is RuntimeError and str(error) == "Query interrupted")
        or _is_interruption(error.__cause__)
    )


@contextmanager
def scan(
    path: str | os.PathLike[str], *, columns: Sequence[str] = (), in_order: bool = False
) -> Iterator[Any]:
    """A DuckDB relation of the files, whose rows stay on the disk.

    DuckDB has 1 GB of memory and a temporary folder to go to beyond that; both are given back at
    the end of the context. ``in_order`` keeps the rows in the order of the files, at a cost in
    memory. ``columns`` are those that will be asked for: a file that lacks one which others have is
    refused, where it would read as missing values.

    Raises
    ------
    DataError
        As :func:`find`; DuckDB is missing; a file lacks a column that others have; or a file
        cannot be read, then or later.
    """
    files, kind = find(path)
    try:
        import duckdb
    except ImportError as error:
        raise DataError(
            f"data file: reading {str(path)!r} where it lies needs DuckDB; "
            "pip install 'hiermodels[large]'"
        ) from error
    names: Any = [str(f) for f in files]  # DuckDB's types know of a single file only
    folder, first = Path(os.path.expanduser(path)), files[0]
    inner = first.relative_to(folder) if folder.is_dir() else first
    hive = inner != folder and any("=" in part for part in inner.parent.parts)
    with temporary.folder() as spill:
        settings: dict[str, Any] = {
            "memory_limit": MEMORY,
            "temp_directory": str(spill / "duckdb"),
            "preserve_insertion_order": in_order,
        }
        with duckdb.connect(":memory:", config=settings) as connection:
            token = _CONNECTION.set(connection)
            try:
                how: dict[str, Any] = {"hive_partitioning": hive, "union_by_name": True}
                if kind == "parquet":
                    relation = answer(partial(connection.read_parquet, names, **how))
                else:
                    how |= {
                        "header": True,
                        "sep": "\t" if kind == "tsv" else ",",
                        "na_values": list(BLANKS),
                        # Nothing is guessed of what pandas takes as it is.
                        "comment": "",
                        "quotechar": '"',
                        "skiprows": csv_files.blank_lines(files, kind, duckdb.__version__),
                        "auto_type_candidates": _types(duckdb.__version__),
                        # A column's type is that of all its rows, not of the first ones.
                        "sample_size": -1,
                    }
                    relation = answer(partial(connection.read_csv, names, **how))
                if kind != "parquet":
                    csv_files.check_header(files[0], kind, relation.columns)
                    relation = _with_booleans(relation, columns or relation.columns)
                if hive:
                    relation = _without_dates(relation, _keys(first))
                if len(files) > 1 and (common := {c for c in relation.columns if c in columns}):
                    _check_parts(connection, files, kind, common, hive)
                yield relation
            except duckdb.Error as error:
                raise _unread(Path(path), error, files, kind) from error
            except DataError as error:
                if isinstance(error.__cause__, duckdb.Error):  # met by whoever summed up the rows
                    raise _unread(Path(path), error.__cause__, files, kind) from error
                raise
            finally:
                _CONNECTION.reset(token)


def _is_file(path: str | os.PathLike[str]) -> bool:
    return Path(os.path.expanduser(path)).is_file()


def _kind(file: Path) -> str:
    """The kind of a file by its name; empty where it is none of ours."""
    name = file.name.lower()
    return next((KINDS[end] for end in KINDS if name.endswith(end)), "")


def _with_booleans(relation: Any, columns: Sequence[str]) -> Any:
    """Booleans for columns of nothing but true and false, as pandas has them.

    DuckDB's own candidate takes T, F, yes and no as well.
    """
    text = [
        _quoted(name)
        for name, kind in zip(relation.columns, relation.types, strict=True)
        if name in columns and str(kind) == "VARCHAR"
    ]
    # The first rows spare the others for all columns but these.
    for rows in (relation.limit(1000), relation):
        if text:
            words = "('true', 'True', 'TRUE', 'false', 'False', 'FALSE')"
            found = rows.aggregate(", ".join(f"bool_and({c}::varchar in {words})" for c in text))
            text = [c for c, yes in zip(text, answer(found.fetchall)[0], strict=True) if yes]
    casts = ", ".join(f"{c}::boolean as {c}" for c in text)
    return relation.project(f"* replace ({casts})") if text else relation


def _without_dates(relation: Any, keys: set[str]) -> Any:
    """Text for the keys of a folder that DuckDB takes for dates, as in a column of a CSV file."""
    casts = ", ".join(
        f"{_quoted(name)}::varchar as {_quoted(name)}"
        for name, kind in zip(relation.columns, relation.types, strict=True)
        if name in keys and str(kind) in ("DATE", "TIMESTAMP")
    )
    return relation.project(f"* replace ({casts})") if casts else relation


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _keys(file: Path) -> set[str]:
    """The keys of the folders of a file."""
    return {part.partition("=")[0] for part in file.parent.parts if "=" in part}


def _check_parts(
    connection: Any, files: list[Path], kind: str, columns: set[str], hive: bool
) -> None:
    """Refuse files that lack a column that others have."""
    for file in files:
        there = _columns(connection, file, kind)
        if hive:
            there |= _keys(file)
        if there and (lack := sorted(columns - there)):
            raise DataError(
                f"data file: {str(file)!r} has no column {listed(lack)}, which other files of the "
                "same folder or pattern have; leave the file out, or add the column to it"
            )


def _columns(connection: Any, file: Path, kind: str) -> set[str]:
    """Names of a file's columns; none where it has none, or where the reader will complain."""
    if kind == "parquet":
        return set(connection.read_parquet(str(file), hive_partitioning=False).columns)
    # DuckDB takes no blanks around a name.
    return {name.strip() for name in csv_files.header(file, kind)}


def _types(version: str) -> list[str]:
    """Types that a column of a CSV file may have; DuckDB before 2.0 cannot find HUGEINT."""
    wide = ["HUGEINT"] if int(version.partition(".")[0]) >= 2 else []
    return ["BIGINT", *wide, "DOUBLE", "VARCHAR"]


def _unread(
    path: Path, error: Exception, files: Sequence[Path] = (), csv_kind: str = "parquet"
) -> DataError:
    """Why files could not be read; ``files`` are those that DuckDB read, which it does not name."""
    kind = path.suffix[1:] or "data"
    if isinstance(error, UnicodeDecodeError):
        return DataError(
            f"data file: {path.name!r} could not be read as {kind}: it must be text in UTF-8, got "
            f"byte 0x{error.object[error.start]:02x}; save it as UTF-8, or read it with "
            "pandas.read_csv(..., encoding=...)"
        )
    if long := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error)):
        # With another separator, decimal commas make rows of any length.
        csv_files.check_header(path, _kind(path), csv_files.header(path, _kind(path)))
        return csv_files.fields(path, long[3], long[2], long[1])
    if isinstance(error, PermissionError) or "Permission denied" in str(error):
        return DataError(
            f"data file: {path.name!r} must be one that you may read, and permission was denied; "
            "see whose it is, and its mode"
        )
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if file_sizes.is_of_memory(error):
        return DataError(
            f"data file: {path.name!r} takes more memory than this machine has left ({lines[0]}); "
            "end what else takes it, or leave columns out"
        )
    if file_sizes.is_of_duckdb(error, "OutOfMemoryException"):
        return DataError(
            f"data file: {path.name!r} takes more memory than DuckDB may have ({MEMORY}) and more "
            f"room for temporary files than there is ({lines[0]}); make room in "
            f"{tempfile.gettempdir()}, or set TMPDIR to a folder that has some"
        )
    if csv_kind != "parquet" and ("sniffing file" in str(error) or "CSV Error" in str(error)):
        for file in files:
            if found := csv_files.uneven(file, csv_kind):
                return found
    return DataError(
        f"data file: {path.name!r} could not be read as {kind}: "
        f"{lines[0] if lines else 'unknown reason'}; is it whole, and of that kind?"
    )
