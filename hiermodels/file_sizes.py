"""How much a data file holds, on the disk and unpacked: what may be read into memory at once."""

from __future__ import annotations

import gzip
import importlib
import os
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

from .errors import DataError

# Bytes up to which a single file is read by pandas: on the disk, and of a compressed CSV file when
# it is unpacked.
SMALL = 100_000_000
# Likewise of a Parquet file's numbers in memory. Runs of one value take no room in the file: a
# megabyte may hold a billion rows.
UNPACKED = 1_000_000_000


def is_large(file: Path, kind: str) -> bool:
    """Whether a file is too large for pandas, on the disk or unpacked."""
    size = file.stat().st_size
    if size > SMALL:
        return True
    if kind == "parquet":
        return 8 * _cells(file) > UNPACKED
    if file.suffix.lower() != ".gz" or size * 1032 <= SMALL:  # what deflate can do at most
        return False
    left = SMALL
    # Unpacked to count, not to keep: what the file says of its own size may be wrong.
    with suppress(OSError, EOFError, zlib.error), gzip.open(file) as unpacked:
        while left >= 0 and (part := unpacked.read(1 << 20)):
            left -= len(part)
    return left < 0


def check_memory(files: list[Path], kind: str, columns: int | None = None) -> None:
    """Refuse Parquet files that this machine cannot hold, before the system ends the process.

    Parameters
    ----------
    files, kind : list of path, str
        What :func:`find` gives.
    columns : int, optional
        How many are asked for; all of them by default.

    Raises
    ------
    DataError
        The rows, and a copy of them, are more than its memory.
    """
    if kind == "parquet" and 16 * sum(_cells(file, columns) for file in files) > _memory():
        raise too_large(files[0])


def too_large(file: Path) -> DataError:
    """That a file's rows are more than the memory holds."""
    return DataError(
        f"data file: the rows of {file.name!r} must fit into memory here, and do not; leave rows "
        "or columns out, or pass OneWay and VaryingSlopes what hm.sufficient_statistics makes of it"
    )


def _cells(file: Path, columns: int | None = None) -> int:
    """Rows times columns of a Parquet file; 0 where its reader will complain."""
    try:
        parquet: Any = importlib.import_module("pyarrow.parquet")
        said = parquet.read_metadata(file)
    except (ImportError, OSError, ValueError):
        return 0
    return int(said.num_rows) * (columns or int(said.num_columns))


def _memory() -> float:
    """Bytes of memory of this machine; infinite where it does not say."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return float("inf")
