"""How much a data file holds, on the disk and unpacked: what may be read into memory at once."""

from __future__ import annotations

import gzip
import importlib
import os
import sys
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd

from .errors import DataError

# Bytes up to which a single file is read by pandas: on the disk, and of a compressed CSV file when
# it is unpacked.
SMALL = 100_000_000
# Likewise of a Parquet file's numbers and text in memory. Runs of one value take no room in the
# file: a megabyte may hold a billion rows.
UNPACKED = 1_000_000_000
# What a value takes at least while it is read as a number of 8 bytes: these and a copy of them, or
# the two places that pandas keeps of each field of a CSV file.
CELL = 16
# Arrow's types of text.
TEXT = ("string", "large_string", "string_view", "binary", "large_binary")
# What a byte of gzip may be unpacked.
DEFLATE = 1032


def is_large(file: Path, kind: str) -> bool:
    """Whether a file is too large for pandas, on the disk or unpacked."""
    size = file.stat().st_size
    if size > SMALL:
        return True
    if kind == "parquet":
        cells = 8 * _cells(file)
        return cells > UNPACKED or _text(file, most=UNPACKED - cells) > UNPACKED - cells
    if file.suffix.lower() != ".gz" or size * DEFLATE <= SMALL:
        return False
    left = SMALL
    # Unpacked to count, not to keep: what the file says of its own size may be wrong.
    with suppress(OSError, EOFError, zlib.error), gzip.open(file) as unpacked:
        while left >= 0 and (part := unpacked.read(1 << 20)):
            left -= len(part)
    return left < 0


def check_memory(
    files: list[Path], kind: str, columns: Sequence[str] | None = None, *, scanned: bool = False
) -> None:
    """Refuse files that this machine cannot hold, before the system ends the process.

    What is compared is less than the reader needs, so that no file is refused that could be read.

    Parameters
    ----------
    files, kind : list of path, str
        What :func:`hiermodels.files.find` gives.
    columns : sequence of str, optional
        Those that are asked for, and made numbers of 8 bytes or labels; all of them by default, as
        they are.
    scanned : bool
        Whether DuckDB reads the files, which keeps no text of a CSV file, and has no categories.

    Raises
    ------
    DataError
        The rows, and a copy of them, are more than its memory.
    """
    left = _memory()
    for file in files:
        if kind == "parquet":
            left -= _as_they_are(file, scanned) if columns is None else CELL * _cells(file, columns)
            left -= _text(file, left, columns, categories=scanned) if left >= 0 else 0
        else:
            left -= _csv(file, "\t" if kind == "tsv" else ",", left, columns, kept=not scanned)
        if left < 0:
            raise too_large(files[0])


def too_large(file: Path) -> DataError:
    """That a file's rows are more than the memory holds."""
    return DataError(
        f"data file: the rows of {file.name!r} must fit into memory here, and do not; leave rows "
        "or columns out, or pass OneWay and VaryingSlopes what hm.sufficient_statistics makes of it"
    )


def is_of_memory(error: BaseException | None) -> bool:
    """Whether a reader failed as this machine had no memory left.

    Not so if DuckDB kept to the limit that it was given, and had no room on the disk beyond that.
    """
    if isinstance(error, DataError):
        return is_of_memory(error.__cause__)
    if is_of_duckdb(error, "OutOfMemoryException"):
        said = str(error).partition("\n")[0]
        return "bad allocation" in said or "Allocation failure" in said
    if isinstance(error, pd.errors.ParserError):
        return "C error: out of memory" in str(error)
    return isinstance(error, MemoryError)


def is_of_duckdb(error: BaseException | None, kind: str) -> bool:
    """Whether DuckDB, if it is loaded at all, raised an error of this name."""
    duckdb = sys.modules.get("duckdb")
    return duckdb is not None and isinstance(error, getattr(duckdb, kind))


def _csv(
    file: Path, separator: str, most: float, columns: Sequence[str] | None, *, kept: bool
) -> int:
    """Bytes that the rows of a CSV file take at least; beyond ``most`` they are not counted on.

    ``kept`` is whether its text is held as well, as pandas does before it makes numbers of it.
    """
    size, packed = file.stat().st_size, file.suffix.lower() == ".gz"
    if (1 + CELL) * size * (DEFLATE if packed else 1) <= most:  # were it nothing but separators
        return 0
    if kept and not packed and size > most:
        return size
    opener: Any = gzip.open if packed else open
    taken = 0
    with suppress(OSError, EOFError, zlib.error), opener(file, "rb") as unpacked:
        while taken <= most and (part := unpacked.read(1 << 20)):
            taken += kept * len(part)
            # Separators within quotes are none, and a blank line is no row: the text alone counts.
            if not any(sign in part for sign in (b'"', b"\n\n", b"\n\r\n")):
                rows = part.count(b"\n")
                fields = rows + part.count(separator.encode())
                taken += CELL * (fields if columns is None else rows * len(columns))
    return taken


def _cells(file: Path, columns: Sequence[str] | None = None) -> int:
    """Rows times columns of a Parquet file; 0 where its reader will complain."""
    try:
        parquet: Any = importlib.import_module("pyarrow.parquet")
        said = parquet.read_metadata(file)
    except (ImportError, OSError, ValueError):
        return 0
    return int(said.num_rows) * (int(said.num_columns) if columns is None else len(columns))


def _as_they_are(file: Path, scanned: bool) -> int:
    """Bytes that a frame of a Parquet file takes at least, but for its text.

    0 where its reader will complain. ``scanned`` is whether DuckDB reads it.
    """
    try:
        parquet: Any = importlib.import_module("pyarrow.parquet")
        found = parquet.ParquetFile(file)
        types = [field.type for field in found.schema_arrow]
    except (ImportError, OSError, ValueError, NotImplementedError):
        return 0
    return int(found.metadata.num_rows) * sum(_width(kind, scanned) for kind in types)


def _width(kind: Any, scanned: bool) -> int:
    """Bytes of a value of an Arrow type in Arrow's and pandas' columns, at least."""
    category = "dictionary<" in str(kind)
    try:
        bits = int(kind.bit_width)
    except ValueError:  # text, lists: where each is
        return 8
    if category:
        return 8 if scanned else bits // 8
    # Booleans are bits in one of them. Pandas makes of wider numbers those that it has.
    return 2 * min(bits // 8, 8) or 1


def _text(
    file: Path, most: float, columns: Sequence[str] | None = None, *, categories: bool = False
) -> int:
    """Bytes of text of a Parquet file when it is unpacked, of which the file has each text once.

    Beyond ``most`` they are not counted on. Columns that were written as categories stay those,
    unless ``categories``. Text within lists is not looked at. 0 where its reader will complain.
    """
    try:
        parquet: Any = importlib.import_module("pyarrow.parquet")
        found = parquet.ParquetFile(file)
        names = {
            field.name
            for field in found.schema_arrow
            if (columns is None or field.name in columns)
            and (str(field.type) in TEXT or (categories and "dictionary<" in str(field.type)))
        }
        said = found.metadata
        paths = [said.schema.column(j).path for j in range(said.num_columns)]
        chunks = [
            (group, paths[j], chunk.num_values, chunk.total_uncompressed_size)
            for j in range(said.num_columns)
            if paths[j] in names
            for group in range(said.num_row_groups)
            for chunk in [said.row_group(group).column(j)]
        ]
        if sum(n * size for _, _, n, size in chunks) <= most:  # were each value as long as all
            return 0
        # Four bytes of each value are its length.
        if (least := sum(max(0, size - 4 * n) for _, _, n, size in chunks)) > most:
            return int(least)
        taken = 0
        # By number, as several columns may have one name, or that of a part of another.
        by_text = parquet.ParquetFile(
            file, read_dictionary=[j for j, path in enumerate(paths) if path in names]
        )
        for group, name in dict.fromkeys((group, name) for group, name, _, _ in chunks):
            try:
                for column in by_text.read_row_group(group, columns=[name]).columns:
                    taken += sum(map(_letters, column.chunks))
            except (OSError, NotImplementedError):  # a column without a dictionary, of differences
                for part in found.iter_batches(1000, row_groups=[group], columns=[name]):
                    taken += sum(c.nbytes for c in part.columns if str(c.type) in TEXT)
                    if taken > most:
                        break
            if taken > most:
                break
    except MemoryError:
        return int(most) + 1
    except (ImportError, OSError, ValueError, NotImplementedError):
        return 0
    return taken


def _letters(part: Any) -> int:
    """Bytes of the text that a dictionary and its indices stand for; 0 of what has parts."""
    if not hasattr(part, "dictionary"):
        return 0
    compute: Any = importlib.import_module("pyarrow.compute")
    lengths = compute.binary_length(part.dictionary)
    return int(compute.sum(lengths.take(part.indices)).as_py() or 0)


def _memory(root: Path = Path("/")) -> float:
    """Bytes of memory that this process may have; infinite where nothing says how many."""
    limits = [float("inf")]
    with suppress(AttributeError, OSError, ValueError):
        limits.append(float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")))
    with suppress(ImportError, OSError, ValueError):
        resource: Any = importlib.import_module("resource")  # not on Windows
        allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
        limits += [allowed] if allowed != resource.RLIM_INFINITY else []
    return min([*limits, *_container(root)])


def _container(root: Path) -> list[float]:
    """Limits of the control groups that this process is in, of either version."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except (OSError, ValueError):  # not Linux
        return []
    limits = []
    for line in lines:
        _, kinds, own = [*line.split(":", 2), "", ""][:3]
        if kinds and "memory" not in kinds.split(","):
            continue
        top = root / "sys/fs/cgroup" / kinds
        # Within a container, its own group is the top. The groups above a group limit it as well.
        inner = top / own.strip("/")
        for folder in {top, *(p for p in (inner, *inner.parents) if top in p.parents)}:
            for name in ("memory.max", "memory.limit_in_bytes"):
                with suppress(OSError, ValueError):  # "max"
                    limits.append(float((folder / name).read_text()))
    return limits
