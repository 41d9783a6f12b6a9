"""Paths on the command line: they are not empty, and an output replaces its own kind only."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import typer

from ..errors import OptionError
from ..system import ownership

NETCDF = ((".nc", ".netcdf", ".h5"), "a fit is a NetCDF file")
PAGE = ((".html", ".htm"), "a report is a page")
TABLE = ((".csv", ".csv.gz"), "a data set is a table")
"""The ends that an output's name may have, and why: what is of another kind is not replaced."""

LOOK = "see whose it is, and its mode (`ls -ld`), or name another"


def to_write(given: str | os.PathLike[str]) -> Path:
    """A path to write to, as every option for one is parsed: pathlib's of "" is this folder."""
    if not os.fspath(given):
        raise typer.BadParameter("the path must not be empty; name a file or a folder")
    return Path(given)


def to_read(given: str | os.PathLike[str]) -> Path:
    """A path to read from, as every argument that is one is parsed."""
    path = to_write(given)
    if os.path.exists(path) and not os.access(path, os.R_OK):
        raise typer.BadParameter(f"path {str(path)!r} is not readable; {LOOK}")
    return path


def word(path: str | os.PathLike[str]) -> str:
    """A path as a word of a command: no option, though it begins with a dash."""
    text = os.fspath(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


def check_output(
    output: Path | None,
    kind: tuple[tuple[str, ...], str],
    source: Path | None = None,
    called: str = "data file",
) -> None:
    """Refuse now what could not be written in the end, or would replace what is of another kind.

    Parameters
    ----------
    output : Path or None
    kind : tuple
        The ends that its name may have, and why.
    source : Path, optional
        A file that is read, and what it is ``called``.
    """
    if output is None:
        return
    ends, why = kind
    if os.path.isdir(output):  # where pathlib would raise PermissionError
        raise OptionError(f"--output must be a file, got the folder {output}; add a name to it")
    if source is not None and _same_file(output, source):
        raise OptionError(f"--output must not be the {called}, got {output} for both")
    # Through a link it is the file behind it that is replaced.
    behind = Path(os.path.realpath(output))
    for path, got in ((output, ""), (behind, f", a link to {str(behind)!r}")):
        if not path.name.lower().endswith(ends):
            raise OptionError(f"--output must end in {ends[0]}, got {output.name!r}{got}: {why}")
    if not os.path.isdir(output.parent):
        closed = ownership.barrier(output)
        said = closed or f"there is no folder {output.parent}"
        raise OptionError(f"--output: {said}; {'name another' if closed else 'make it first'}")
    if not os.access(output.parent, os.W_OK | os.X_OK):
        raise OptionError(
            f"--output: the folder {output.parent} cannot be written to; name a file in another"
        )
    if os.path.exists(output) and not os.access(output, os.W_OK):
        raise OptionError(
            f"--output: {output} cannot be written to, it {ownership.closed(output)}; see whose "
            "it is, or name another"
        )


def _same_file(one: Path, other: Path) -> bool:
    return os.path.exists(one) and os.path.exists(other) and os.path.samefile(one, other)
