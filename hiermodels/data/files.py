"""Data files, read by DuckDB: CSV and Parquet, small and large, one or many, by the same rules.

A path is one file, a pattern (``data/*.parquet``), or a folder of files, its subfolders named
``key=value`` or not (the keys of the former are columns of text).

A CSV file is nothing but text. What a column is follows from all its values and from its use:
labels are integers where each is one as it is printed (no zeros in front, at most 64 bits), and
otherwise text as it is written, so that ``007`` and ``7``, or ``1.0`` and ``1``, are two. Other
columns are numbers where each value is one, booleans where each is true or false, and otherwise
text: the levels of a factor. Parquet files have types, which are kept; but text that labels the
rows goes by the same rule, and categories, which DuckDB does not have, are text.
"""

from __future__ import annotations

import csv
import glob
import gzip
import os
import re
import tempfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from ..errors import DataError, listed
from ..system import temporary
from ..system.termination import answer, stoppable
from . import labels as label_rules
from . import numerals
from .file_names import find

_Path = str | os.PathLike[str]

# Bytes of a single file up to which its rows come into memory.
SMALL = 100_000_000
# DuckDB's own limit, beyond which it goes to the disk; Python and its packages come on top.
MEMORY = "1GB"
# Letters of a line of a CSV file.
LONGEST_LINE = 1 << 24
# What is missing in a CSV file: the words of pandas.read_csv.
BLANKS = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip
TRUTH = ("true", "True", "TRUE", "false", "False", "FALSE")
SIGNS = {",": "commas", "\t": "tabs", ";": "semicolons"}


def stays(path: _Path) -> bool:
    """Whether the rows stay on the disk: for patterns, folders, and files of more than 100 MB.

    A compressed CSV file counts for ten times its size, a row of a Parquet file for 20 bytes, as
    runs of one value take no room there.
    """
    (file, *_), kind = find(path)
    if not Path(os.path.expanduser(path)).is_file():
        return True
    size = file.stat().st_size * (10 if file.suffix.lower() == ".gz" else 1)
    if kind == "parquet" and size <= SMALL:
        with _connected(path) as connection:
            size = 20 * len(connection.read_parquet(glob.escape(str(file))))
    return size > SMALL


def columns(path: _Path) -> list[str]:
    """Names of all columns of the files, and of the keys of their folders."""
    files, kind = find(path)
    with _connected(path) as connection:
        heads = _heads(connection, files, kind)
    return list(dict.fromkeys(name for head in [*heads, _keys(path, files[0])] for name in head))


def read(path: _Path, **asked: Any) -> pd.DataFrame:
    """The columns of :func:`scan` in memory, as a pandas frame, all rows in their order."""
    with scan(path, **asked, in_order=True) as relation:
        try:
            found = answer(relation.fetchnumpy)
            return pd.DataFrame({name: _column(values) for name, values in found.items()})
        except MemoryError as error:
            raise _unread(Path(path), error) from error


@contextmanager
def scan(
    path: _Path,
    *,
    labels: Sequence[str] = (),
    others: Sequence[str] = (),
    text: Collection[str] = (),
    in_order: bool = False,
) -> Iterator[Any]:
    """Columns of the files as a DuckDB relation, whose rows stay on the disk.

    DuckDB has 1 GB of memory and a temporary folder to go to beyond that, until the context ends.
    ``labels`` label the rows, ``others`` have another use; what no file has is left out. Those in
    ``text`` are text whatever they look like, as in data that were seen before. ``in_order`` keeps
    the order of the files, at a cost in memory.

    Raises
    ------
    DataError
        As :func:`find`; a file cannot be read, then or later; or it lacks a column that others
        have, which would read as missing values.
    """
    files, kind = find(path)
    with _connected(path, in_order) as connection:
        heads, keys = _heads(connection, files, kind), _keys(path, files[0])
        there = list(dict.fromkeys(name for head in [*heads, keys] for name in head))
        asked = [name for name in there if name in labels or name in others]
        # DuckDB ends a name at a NUL. The rows are there, whatever of them is asked for.
        names = [name for name in asked if "\0" not in name] or there[:1]
        seen = Counter(name.lower() for name in names)
        if alike := [name for name in names if seen[name.lower()] > 1]:
            raise DataError(
                f"data file: columns {listed(alike)} of {str(path)!r} must differ in more than "
                "upper and lower case; rename one"
            )
        for file, head in zip(files, heads, strict=True):
            if lack := [name for name in names if name not in head and name not in keys]:
                raise DataError(
                    f"data file: {str(file)!r} has no column {listed(lack)}, which other files of "
                    "the same folder or pattern have; leave the file out, or add the column to it"
                )
            _check_packed(file)
        query = _query(list(zip(heads, files, strict=True)), kind, keys, names)
        rows = answer(partial(connection.sql, query))
        yield _typed(rows, keys if kind == "parquet" else there, labels, text)


@contextmanager
def _connected(path: _Path, in_order: bool = False) -> Iterator[Any]:
    """A connection to DuckDB, whose errors are ours, and whose queries can be interrupted."""
    with temporary.folder() as spill:
        settings: dict[str, Any] = {
            "memory_limit": MEMORY,
            "temp_directory": str(spill / "duckdb"),
            "preserve_insertion_order": in_order,
        }
        with duckdb.connect(config=settings) as connection, stoppable(connection.interrupt):
            try:
                yield connection
            except (duckdb.Error, DataError) as error:
                # Errors of DuckDB that a query meets while it sums up the rows.
                cause = error if isinstance(error, duckdb.Error) else error.__cause__
                if isinstance(cause, duckdb.Error):
                    raise _unread(Path(path), cause) from error
                raise


def _keys(path: _Path, first: Path) -> list[str]:
    """The keys of the files' folders (``key=value``), as DuckDB finds them."""
    folder = Path(os.path.expanduser(path))
    inner = first.relative_to(folder) if folder.is_dir() else first
    parts = inner.parent.parts if inner != folder else ()
    return [part.partition("=")[0] for part in parts if "=" in part]


def _heads(connection: Any, files: Sequence[Path], kind: str) -> list[list[str]]:
    """Names of each file's columns."""
    heads = []
    for file in files:
        if kind == "parquet":
            name = _literal([file])
            names = connection.sql(f"from read_parquet({name}, hive_partitioning=false)").columns
            own = connection.sql(f"from parquet_schema({name}) select name").fetchall()
            twice = set(names) - {name or f"C{i - 1}" for i, (name,) in enumerate(own)}  # renamed
        else:
            names = _header(file, "\t" if kind == "tsv" else ",")
            twice = {name for name, number in Counter(names).items() if number > 1}
        if twice:
            raise DataError(
                f"data file: {file.name!r} has more than one column named {listed(sorted(twice))}; "
                "rename them"
            )
        heads.append(names)
    return heads


def _header(file: Path, sign: str) -> list[str]:
    """Names in the first line of a CSV file; those of columns without one are pandas'."""
    try:
        opener: Any = gzip.open if file.suffix.lower() == ".gz" else open
        with opener(file, "rt", encoding="utf-8-sig", newline="") as text:
            lines = iter(partial(text.readline, LONGEST_LINE), "")
            names = next(csv.reader(lines, delimiter=sign), [])
            rows = "".join(line for line, _ in zip(lines, range(100), strict=False))
    except _DAMAGE as error:
        raise _unread(file, error) from error
    if not "".join(names).strip():
        raise DataError(
            f"data file: {file.name!r} must have the names of its columns in its first line, which "
            "is blank; take blank lines out, or write the names there"
        )
    if len(names) == 1 and (came := [other for other in SIGNS if other in names[0]]):
        how = f"sep={came[-1]!r}"
        if came[-1] == ";" and re.search(r"(?<![^;\s])[+-]?\d*,\d+(?![^;\s])", rows, re.ASCII):
            how += ", decimal=','"
        raise DataError(
            f"data file: {file.name!r} must be separated by {SIGNS[sign]}, got {SIGNS[came[-1]]}; "
            f"read it with pandas.read_csv(..., {how}) or save it with {SIGNS[sign]}"
        )
    return [name or f"Unnamed: {i}" for i, name in enumerate(names)]


_DAMAGE = (OSError, EOFError, ValueError, csv.Error, zlib.error)


def _check_packed(file: Path) -> None:
    """Refuse a damaged compressed file, of which DuckDB reads what it can."""
    try:
        if file.suffix.lower() == ".gz":
            with gzip.open(file) as unpacked:
                while unpacked.read(1 << 20):
                    pass
    except _DAMAGE as error:
        raise _unread(file, error) from error


def _query(
    parts: Sequence[tuple[list[str], Path]], kind: str, keys: Sequence[str], names: Sequence[str]
) -> str:
    """The columns of files, those of CSV files as they are written.

    Of these nothing is left to be guessed but how the lines end. DuckDB takes no two names that
    differ in case, so that columns are given others: ``=0``, which no key of a folder is.
    """
    hive = f"hive_partitioning={bool(keys)}" + ", hive_types_autocast=false" * bool(keys)
    if kind == "parquet":
        found = _literal([file for _, file in parts])
        chosen = ", ".join(map(_quoted, names))
        return f"from read_parquet({found}, union_by_name=true, {hive}) select {chosen}"
    sign = "\t" if kind == "tsv" else ","
    queries = []
    for head, run in groupby(parts, key=lambda part: part[0]):
        own = {name: f"={i}" for i, name in enumerate(head)} | {key: key for key in keys}
        chosen = ", ".join(f"{_quoted(own[name])} as {_quoted(name)}" for name in names)
        types = ", ".join(f"'={i}': 'VARCHAR'" for i in range(len(head)))
        queries.append(
            f"from read_csv({_literal([file for _, file in run])}, {hive}, auto_detect=false, "
            f"header=true, columns={{{types}}}, delim='{sign}', quote='\"', escape='\"', "
            f"comment='', strict_mode=true, null_padding=false, max_line_size={LONGEST_LINE}, "
            f"nullstr={_literal(BLANKS)}) select {chosen}"
        )
    return " union all ".join(queries)


def _typed(
    rows: Any, written: Collection[str], labels: Collection[str], text: Collection[str]
) -> Any:
    """The rows with columns of the types that all their values have.

    ``written`` are columns that are text for want of types: of CSV files, and keys of folders.
    """
    columns = []
    for name, kind in zip(rows.columns, map(str, rows.types), strict=True):
        value, choices = _rule(_quoted(name), kind, name in labels, name in written)
        columns.append((name, value, [] if name in text else choices))
    asks = [condition for _, _, choices in columns for condition, _ in choices]
    holds = iter(answer(rows.aggregate(", ".join(asks)).fetchall)[0] if asks else ())
    chosen = []
    for name, value, choices in columns:
        # A column without values has no type to be wrong.
        fit = [cast for _, cast in choices if next(holds) is not False]
        chosen.append(f"{(fit or [value])[0]} as {_quoted(name)}")
    return rows.project(", ".join(chosen))


def _rule(column: str, kind: str, label: bool, written: bool) -> tuple[str, list[tuple[str, str]]]:
    """What a column is, and which conditions on its values make it what else."""
    # Cut where it is too long for a label anyway: a small file may hold 100 GB of text.
    text = f"left({column}::varchar, {label_rules.LONGEST + 1})"
    if kind.startswith("DECIMAL") and label:
        text = f"regexp_replace({column}::varchar, '[.]0*$', '')"
    elif kind.startswith("DECIMAL"):
        return f"{column}::double", []
    elif kind != "VARCHAR":
        number = re.fullmatch(r"U?(TINY|SMALL|BIG)?INT(EGER)?|FLOAT|DOUBLE|BOOLEAN", kind)
        return text if label and not number else column, []
    if label:  # integers that are printed again as they are written; a blank label is missing
        whole = [
            (f"bool_and(coalesce({cast}::varchar = {text}, trim({text}) = ''))", cast)
            for cast in (f"try_cast({text} as bigint)", f"try_cast({text} as ubigint)")
        ]
        return text, whole
    # Zeros in front are those of a code: 01 and 1 are two levels.
    is_one = f"regexp_matches({column}, '{numerals.NUMBER}')"
    is_one += f" and not regexp_matches({column}, '^\\s*0[0-9]+\\s*$')"
    numbers = (f"bool_and({is_one})", f"{column}::double")
    return text, [numbers, (f"bool_and({column} in {TRUTH})", f"{column}::boolean")] * written


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(values: Sequence[str | Path]) -> str:
    """A list of texts, or of files, in SQL."""
    texts = [glob.escape(str(v)) if isinstance(v, Path) else v for v in values]
    return "[" + ", ".join("'" + text.replace("'", "''") + "'" for text in texts) + "]"


def _column(found: Any) -> Any:
    """A column as pandas has it; DuckDB marks apart what is missing."""
    absent = np.ma.getmaskarray(found)
    column: Any = pd.Series(np.ma.getdata(found))
    if absent.any() and found.dtype.kind in "iub":  # which pandas would make floats or objects
        column = column.convert_dtypes()
    return column.mask(absent) if absent.any() else column


def _unread(path: Path, error: BaseException) -> DataError:
    """Why a file could not be read."""
    said = str(error)
    lines = [line.strip() for line in said.splitlines() if line.strip()] or ["unknown reason"]
    if named := re.search(r"^\s*file = (.+)$", said, re.MULTILINE):
        path = Path(named[1])
    why = f"could not be read as {path.suffix[1:] or 'data'}: "
    line = re.search(r"CSV Error on Line: (\d+)", said)
    row = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", said)
    if isinstance(error, (MemoryError, duckdb.OutOfMemoryException)):
        why = f"takes more memory than there is, or than DuckDB has ({lines[0]}); leave rows or "
        why += f"columns out, or make room in {tempfile.gettempdir()} (TMPDIR)"
    elif isinstance(error, PermissionError) or "Permission denied" in said:
        why = "must be one that you may read, and permission was denied; see whose it is, and its "
        why += "mode"
    elif isinstance(error, UnicodeDecodeError) or "Invalid unicode" in said:
        why += "it must be text in UTF-8; save it as UTF-8, or read it with "
        why += "pandas.read_csv(..., encoding=...)"
    elif line and row:
        why = f"must have as many fields in each row as its header has names, got {row[2]} in line "
        why += f"{line[1]}, where {row[1]} are expected; mend the row"
    elif "unterminated quote" in said or "state machine" in said:
        where = f" (line {line[1]})" if line else ", or its lines end in different ways"
        why += f"its quotes do not enclose whole fields{where}; mend it"
    else:
        why += f"{lines[0]}; is it whole, and of that kind?"
    return DataError(f"data file: {path.name!r} {why}")
