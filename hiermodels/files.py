"""Data files: into memory by pandas, or left on the disk and read by DuckDB.

A path is one CSV or Parquet file, a pattern (``data/*.parquet``), or a folder of such files, its
subfolders named ``key=value`` or not (the keys of the former are columns).
"""

from __future__ import annotations

import glob
import importlib.util
import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import DataError

KINDS = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".gz": "csv", ".tsv": "tsv"}

# Bytes on the disk up to which a single file is read by pandas.
SMALL = 100_000_000
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
    if not _is_file(path):
        with scan(path, in_order=True) as relation:
            return relation.df()
    file = found[0]
    try:
        if kind == "parquet":
            return pd.read_parquet(file)
        frame = pd.read_csv(file, sep="\t" if kind == "tsv" else ",")
    except ImportError as error:
        raise DataError(
            f"data file: reading {file.name!r} needs pyarrow; pip install 'hiermodels[large]'"
        ) from error
    except (ValueError, OSError, EOFError, zlib.error) as error:  # the last two: a damaged .csv.gz
        raise _unread(file, error) from error
    _check_commas(file, list(frame.columns))
    return frame


def stays(path: str | os.PathLike[str]) -> bool:
    """Whether the rows stay on the disk: for patterns, folders, and large files with DuckDB.

    A single file of at most 100 MB is read by pandas, and so is any where DuckDB is missing.

    Raises
    ------
    DataError
        As :func:`find`.
    """
    found, _ = find(path)
    if not _is_file(path):
        return True
    return found[0].stat().st_size > SMALL and importlib.util.find_spec("duckdb") is not None


def find(path: str | os.PathLike[str]) -> tuple[list[Path], str]:
    """The files that a path stands for, and their kind: ``"parquet"``, ``"csv"`` or ``"tsv"``.

    Raises
    ------
    DataError
        There is none, or they are of another kind or of several.
    """
    path = Path(os.path.expanduser(path))
    if path.is_file():
        files = [path]
    elif path.is_dir():
        found = (f for f in path.rglob("*") if f.suffix.lower() in KINDS and f.is_file())
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
    elif glob.has_magic(str(path)):
        files = [Path(f) for f in sorted(glob.glob(str(path), recursive=True)) if Path(f).is_file()]
        if not files:
            raise DataError(f"data file: no file is named as {str(path)!r}; check the pattern")
    else:
        raise DataError(f"data file: no such file {str(path)!r}; check the path")
    kinds = {KINDS.get(f.suffix.lower(), "") for f in files}
    if "" in kinds:
        other = next(f for f in files if f.suffix.lower() not in KINDS)
        raise DataError(
            f"data file: {other.name!r} must end in .csv, .tsv, .csv.gz or .parquet; "
            "convert it to one of them"
        )
    if len(kinds) > 1:
        raise DataError(
            f"data file: the files of {str(path)!r} must be of one kind, got "
            f"{' and '.join(sorted(kinds))}; name those of one kind, such as '*.parquet'"
        )
    return files, kinds.pop()


@contextmanager
def scan(path: str | os.PathLike[str], *, in_order: bool = False) -> Iterator[Any]:
    """A DuckDB relation of the files, whose rows stay on the disk.

    DuckDB has 1 GB of memory and a temporary folder to go to beyond that; both are given back at
    the end of the context. ``in_order`` keeps the rows in the order of the files, at a cost in
    memory.

    Raises
    ------
    DataError
        As :func:`find`; DuckDB is missing; or a file cannot be read, then or later.
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
    with tempfile.TemporaryDirectory(prefix="hiermodels-") as spill:
        settings: dict[str, Any] = {
            "memory_limit": MEMORY,
            "temp_directory": spill,
            "preserve_insertion_order": in_order,
        }
        with duckdb.connect(":memory:", config=settings) as connection:
            try:
                if kind == "parquet":
                    relation: Any = connection.read_parquet(
                        names, hive_partitioning=hive, union_by_name=True
                    )
                else:
                    relation = connection.read_csv(
                        names,
                        header=True,
                        sep="\t" if kind == "tsv" else ",",
                        na_values=list(BLANKS),
                        # A column's type is that of all its rows, not of the first ones.
                        sample_size=-1,
                        hive_partitioning=hive,
                        union_by_name=True,
                    )
                _check_commas(files[0], relation.columns)
                yield relation
            except duckdb.Error as error:
                raise _unread(Path(path), error) from error


def _is_file(path: str | os.PathLike[str]) -> bool:
    return Path(os.path.expanduser(path)).is_file()


def _check_commas(file: Path, columns: list[Any]) -> None:
    if len(columns) == 1 and ";" in str(columns[0]):
        raise DataError(
            f"data file: {file.name!r} must be separated by commas, got semicolons; read it "
            f"with pandas.read_csv(..., sep=';') or save it with commas"
        )


def _unread(path: Path, error: Exception) -> DataError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return DataError(
        f"data file: {path.name!r} could not be read as "
        f"{path.suffix[1:] or 'data'}: {lines[0] if lines else 'unknown reason'}"
    )
