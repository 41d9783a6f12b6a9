"""What a CSV file itself says, beside its readers: its header, blank lines and uneven rows."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from .errors import DataError, listed

# Letters of a line, beyond which it is none.
LONGEST_LINE = 1 << 24
# What the readers will complain of.
_DAMAGE = (OSError, EOFError, ValueError, csv.Error, zlib.error)


def header(file: Path, kind: str) -> list[str]:
    """Names in the header of a CSV file; none where the reader will complain."""
    try:
        with _opened(file) as text:
            return next((row for row in _rows(text, kind) if not _is_blank(row)), [])
    except _DAMAGE:
        return []


def cells(file: Path, kind: str, column: str) -> Iterator[tuple[int, str]]:
    """The cells of a column, each with the line that its row begins in, as far as it can be read.

    There is none where the header has no such column.
    """
    with suppress(*_DAMAGE), _opened(file) as text:
        rows = _rows(text, kind)
        place, line = -1, 1
        for row in rows:
            if place < 0 and not _is_blank(row):
                # DuckDB takes no blanks around a name.
                place = (row if column in row else [name.strip() for name in row]).index(column)
            elif len(row) > place >= 0 and not _is_blank(row):
                yield line, row[place]
            line = rows.line_num + 1


def check_header(file: Path, kind: str, columns: list[Any]) -> None:
    """Refuse a header of another separator, or with one name twice, which readers would rename.

    ``columns`` are those that the reader found.
    """
    found = {";": "semicolons", "\t": "tabs", ",": "commas"}
    wanted = _separator(kind)
    for sign, name in found.items():
        if len(columns) == 1 and sign in str(columns[0]) and sign != wanted:
            how = f"sep={sign!r}" + (", decimal=','" if _has_decimal_commas(file, sign) else "")
            raise DataError(
                f"data file: {file.name!r} must be separated by {found[wanted]}, got {name}; read "
                f"it with pandas.read_csv(..., {how}) or save it with {found[wanted]}"
            )
    names = header(file, kind)
    if len(set(names)) < len(names):
        twice = [n for n in dict.fromkeys(names) if n and names.count(n) > 1]
        if twice:
            raise DataError(
                f"data file: {file.name!r} has more than one column named {listed(twice)}; rename "
                "them"
            )


def blank_lines(files: list[Path], kind: str, version: str) -> int:
    """How many lines DuckDB of this version is to skip above the header: the blank ones, as pandas.

    Left to itself, DuckDB skips whatever makes the other rows fit: if the rows of a file end in
    other rows with more fields, all of the former.

    Raises
    ------
    DataError
        The files differ in it.
    """
    counts = [_blank_lines(file, kind) for file in files]
    for file, count in zip(files, counts, strict=True):
        if count != counts[0]:
            raise DataError(
                f"data file: {file.name!r} must have the same blank lines above its header as "
                f"{files[0].name!r}, got {count[0]} where that has {counts[0][0]}; take the blank "
                "lines out"
            )
    lines, filled = counts[0]
    # DuckDB 1.2 does not count the empty ones, which it skips by itself.
    return filled if version.startswith("1.2.") else lines


def uneven(file: Path, kind: str) -> DataError | None:
    """That a row has more fields than the header, or else fewer; nothing where none has.

    Raises
    ------
    DataError
        As :func:`check_header`: with another separator the rows are of any length.
    """
    check_header(file, kind, header(file, kind))
    short = None
    with suppress(*_DAMAGE), _opened(file) as text:
        rows = _rows(text, kind)
        expected = 0
        for row in rows:
            if _is_blank(row):
                continue
            expected = expected or len(row)
            if len(row) > expected:
                return fields(file, len(row), rows.line_num, expected)
            if len(row) < expected and short is None:
                short = fields(file, len(row), rows.line_num, expected)
    return short


def fields(file: Path, got: Any, line: Any, expected: Any) -> DataError:
    """That a row has not as many fields as the header."""
    return DataError(
        f"data file: {file.name!r} must have as many fields in each row as its header has "
        f"names, got {got} in line {line}, where {expected} are expected; mend the row"
    )


def _blank_lines(file: Path, kind: str) -> tuple[int, int]:
    """Lines above the header that are blank to pandas, and those of them that have some letter."""
    lines = filled = 0
    blanks = " " if kind == "tsv" else " \t"
    with (
        suppress(*_DAMAGE),
        _opened(file, encoding="utf-8", errors="replace", newline=None) as all_,
    ):
        for line in _short(all_):
            # Tabs are blank where they do not separate, and the mark of UTF-8 is at the top.
            inner = line.rstrip("\n")
            if (inner if lines else inner.removeprefix("\ufeff")).strip(blanks):
                return lines, filled
            lines += 1
            filled += inner != ""
    return 0, 0  # there is no header


def _has_decimal_commas(file: Path, separator: str) -> bool:
    """Whether the first rows of a file with another separator show numbers such as 1,5."""
    with suppress(*_DAMAGE), _opened(file) as text:
        for row in islice(csv.reader(_short(text), delimiter=separator), 100):
            if any(re.fullmatch(r"\s*[+-]?\d*,\d+\s*", field, re.ASCII) for field in row):
                return True
    return False


def _is_blank(row: list[str]) -> bool:
    return len(row) < 2 and not "".join(row).strip()


def _separator(kind: str) -> str:
    return "\t" if kind == "tsv" else ","


def _opened(file: Path, **how: Any) -> Any:
    opener: Any = gzip.open if file.suffix.lower() == ".gz" else open
    return opener(file, "rt", **({"encoding": "utf-8-sig", "newline": ""} | how))


def _rows(text: Any, kind: str) -> Any:
    return csv.reader(_short(text), delimiter=_separator(kind))


def _short(text: Any) -> Iterator[str]:
    """Lines of a file, none of which may fill the memory."""
    while line := text.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise ValueError("the line does not end")
        yield line
