"""Which files a path stands for: one, those of a folder, or those of a pattern."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path

from ..errors import DataError, shown
from ..system import ownership

__all__ = ["KINDS", "find"]

KINDS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tsv.gz": "tsv",  # before the next, as the first that fits counts
    ".gz": "csv",
}


def find(path: str | os.PathLike[str]) -> tuple[list[Path], str]:
    """The files that a path stands for, and their kind: ``"parquet"``, ``"csv"`` or ``"tsv"``.

    Raises
    ------
    DataError
        No file is there, or the files are of another kind or of several kinds.
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
    name, why = repr(str(path)), ""
    if path.is_dir():
        # Names with these letters are what other programs keep to themselves (_temporary, .part).
        hidden = re.compile(r"[._]").match
        found = (f for f in path.rglob("*") if not any(map(hidden, f.relative_to(path).parts)))
        files = sorted(f for f in found if _kind(f) and f.is_file())
        why = f"{name} is a folder without CSV or Parquet files; name a file, or a folder that"
        why += " holds some"
    elif path.exists():
        files = [path] if path.is_file() else []
        why = f"{name} must be a file or a folder, got a pipe or a device; write what comes from"
        why += " there to a file first"
    elif glob.has_magic(str(path)):
        files = [f for f in map(Path, sorted(glob.glob(str(path), recursive=True))) if f.is_file()]
        why = f"no file is named as {name}; check the pattern"
    else:
        files = []
        why = f"no such file {name}; {'download it first' if ':/' in name else 'check the path'}"
    kinds = {_kind(f): f for f in files}
    if "" in kinds:
        why = f"{kinds[''].name!r} must end in .csv, .tsv, .csv.gz, .tsv.gz or .parquet; convert it"
        why += " to one of them"
    elif len(kinds) > 1:
        why = f"the files of {name} must be of one kind, got {' and '.join(sorted(kinds))}; name"
        why += " those of one kind, such as '*.parquet'"
    if len(kinds) != 1 or "" in kinds:
        raise DataError(f"data file: {why}")
    return files, kinds.popitem()[0]


def _kind(file: Path) -> str:
    """The kind of a file by its name; empty for other kinds."""
    name = file.name.lower()
    return next((KINDS[end] for end in KINDS if name.endswith(end)), "")
