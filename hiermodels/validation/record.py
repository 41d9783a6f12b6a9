"""A calibration's file: what was run in the first line, then a line for each simulation.

JSON lines, appended as simulations end, each by one write: whatever interrupts a calibration, at
most the last line is half written, and that simulation is run again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any

from ..errors import OptionError, shown
from ..system import writing
from .tasks import Record

__all__ = ["FORMAT", "alone", "appending", "read", "refuse_another"]

FORMAT = "hiermodels calibration 2"
_FAMILY = "hiermodels calibration "

_FIELDS = frozenset(f.name for f in fields(Record))
_DEFAULTS = {f.name: f.default for f in fields(Record) if f.default is not MISSING}


def read(path: Path) -> tuple[dict[str, Any], dict[int, Record], int]:
    """What a file holds.

    Parameters
    ----------
    path : Path

    Returns
    -------
    header : dict
        The first line.
    records : dict of int to Record
        By simulation; of two of the same the later one. Those that were lost with their worker are
        left out: they are to be run again.
    whole : int
        Bytes of whole lines; what comes behind them was left half written.

    Raises
    ------
    OptionError
        The file cannot be read, is no calibration's, is of another format, or is damaged.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise OptionError(
            f"path: cannot read {str(path)!r} ({error.strerror}); name the file of a calibration, "
            "or one that is not there yet"
        ) from error
    whole = content.rfind(b"\n") + 1
    lines = content[:whole].splitlines()
    header = _parsed(lines[0]) if lines else None
    found = str(header.get("format", "")) if header else ""
    if found.startswith(_FAMILY) and found != FORMAT:
        raise OptionError(
            f"path: {str(path)!r} must be of format {FORMAT.removeprefix(_FAMILY)}, got format "
            f"{found.removeprefix(_FAMILY)} of another version of hiermodels; name another file"
        )
    if header is None or header.get("format") != FORMAT:
        raise OptionError(
            f"path: {str(path)!r} must be a file that hm.calibrate began, got another; name one "
            "that is not there yet"
        )
    records: dict[int, Record] = {}
    for number, line in enumerate(lines[1:], start=2):
        values = _parsed(line)
        if values is None or not {"simulation", "seed"} <= values.keys() <= _FIELDS:
            raise OptionError(
                f"path: line {number} of {str(path)!r} is damaged; delete that line, and its "
                "simulation is run again"
            )
        record = Record(**values)
        if record.lost:
            records.pop(record.simulation, None)
        else:
            records[record.simulation] = record
    return header, records, whole


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        values = json.loads(line)
    except ValueError:
        return None
    return values if isinstance(values, dict) else None


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keep others away from a calibration's file, from before it is read until it is complete.

    Raises
    ------
    OptionError
        Another calibration has the file, or the folder cannot be written.
    """
    try:
        with writing.alone(Path(f"{os.path.realpath(path)}.lock")):
            yield
    except writing.AnotherError:
        raise OptionError(
            f"path: {str(path)!r} must be one calibration's at a time, got another that runs now; "
            "wait for its end, or name another file"
        ) from None
    except writing.LockError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, why: object) -> OptionError:
    return OptionError(
        f"path: cannot write {str(path)!r} ({why}); choose a place that can be written"
    )


@contextmanager
def appending(path: Path, header: Mapping[str, Any], whole: int | None) -> Iterator[Any]:
    """A function that appends a record to a file.

    Parameters
    ----------
    path : Path
    header : mapping
        The first line of a file that is not there yet.
    whole : int or None
        Bytes to keep of a file that is there; None where it is not.

    Raises
    ------
    OptionError
        The file cannot be written.
    """
    try:
        if whole is None:
            with writing.whole(path) as part:
                part.write_bytes(_line({"format": FORMAT, **header}))
        else:
            os.truncate(path, whole)
        file = path.open("ab", buffering=0)
    except OSError as error:
        raise _unwritable(path, error.strerror) from error
    with file:

        def append(record: Record) -> None:
            # What is as it is where all is well need not be said.
            values = asdict(record)
            file.write(_line({k: v for k, v in values.items() if v != _DEFAULTS.get(k, MISSING)}))

        yield append


def _line(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, separators=(",", ":"), default=repr).encode() + b"\n"


def refuse_another(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse to go on with a file that holds another calibration.

    Raises
    ------
    OptionError
        What was run there differs from what is to be run.
    """
    plain = json.loads(json.dumps(wanted, default=repr))
    differing = [
        f"{name}: {shown(found[name])} there, {shown(plain[name])} here"
        for name in plain
        if name in found and found[name] != plain[name]
    ]
    if differing:
        raise OptionError(
            f"path: {str(path)!r} holds another calibration ({'; '.join(differing)}); name another "
            "file"
        )
