"""A calibration's file: what was run in the first line, then a line for each simulation.

JSON lines, appended as simulations end, each by one write: whatever interrupts a calibration, at
most the last line is half written, and that simulation is run again.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any

from ..errors import OptionError
from .tasks import Record

__all__ = ["FORMAT", "alone", "appending", "read", "refuse_another"]

FORMAT = "hiermodels calibration 2"
_FAMILY = "hiermodels calibration "
_MOST_NAMED = 4
_LONG = 60

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

    By a lock file beside it, so that machines that share the folder see each other.

    Raises
    ------
    OptionError
        Another calibration has the file, or the folder cannot be written.
    """
    from filelock import FileLock, Timeout

    beside = Path(f"{os.path.realpath(path)}.lock")
    if not beside.parent.is_dir():  # which FileLock would make, of a mistyped path
        raise _unwritable(path, "No such file or directory")
    lock = FileLock(beside)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise OptionError(
            f"path: {str(path)!r} must be one calibration's at a time, got another that runs now; "
            "wait for its end, or name another file"
        ) from None
    except NotImplementedError:  # a file system without locks
        yield
        return
    except OSError as error:
        raise _unwritable(path, error.strerror) from error
    try:
        yield
    finally:
        # Nobody waits for this lock: whoever comes meanwhile is refused.
        with suppress(OSError):
            beside.unlink()
        lock.release()


def _unwritable(path: Path, why: str | None) -> OptionError:
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
            _begin(path, {"format": FORMAT, **header})
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


def _begin(path: Path, header: Mapping[str, Any]) -> None:
    """Write the first line: the file appears with it or not at all."""
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with open(part, "xb") as file:
            file.write(_line(header))
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


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
    there = {name: found[name] for name in plain if name in found}
    differing = list(_differences("", there, plain))
    if differing:
        more = len(differing) - _MOST_NAMED
        named = "; ".join(differing[:_MOST_NAMED]) + (f"; and {more} more" if more > 0 else "")
        raise OptionError(
            f"path: {str(path)!r} holds another calibration ({named}); name another file"
        )


_NOTHING = object()


def _differences(name: str, there: Any, here: Any) -> Iterator[str]:
    """What differs, by its name from the outermost to the innermost, with both values."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in dict.fromkeys([*here, *there]):
            inner = f"{name}.{key}" if name else key
            yield from _differences(inner, there.get(key, _NOTHING), here.get(key, _NOTHING))
    elif there != here:
        one, other = _short(there, here)
        yield f"{name}: {one} there, {other} here"


def _short(there: Any, here: Any) -> tuple[str, str]:
    """Both values in words; of long ones the part in which they differ."""
    said = ["nothing" if value is _NOTHING else json.dumps(value) for value in (there, here)]
    one, other = said
    same = next(
        (k for k, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(map(len, said))
    )
    start = max(same - _LONG // 3, 0) if max(map(len, said)) > _LONG else 0
    one, other = (
        "..." * (start > 0) + each[start : start + _LONG] + "..." * (len(each) > start + _LONG)
        for each in said
    )
    return one, other
