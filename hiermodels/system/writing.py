"""Files that appear whole or not at all, and work that one process does at a time."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["AnotherError", "LockError", "alone", "whole"]


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a name beside ``path`` to write to; the file moves to its place at the end.

    Where writing fails, what was written goes, and a file that was there before stays.

    Parameters
    ----------
    path : Path
        Where the file will be. A file that is there is replaced.

    Raises
    ------
    OSError
        The file cannot be moved to its place.
    """
    # A plain new file, as those of tempfile can be read by their owner only.
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        with suppress(OSError):  # in a read-only folder
            part.unlink(missing_ok=True)


class AnotherError(Exception):
    """Another process holds the lock."""


class LockError(Exception):
    """The lock file cannot be written."""


@contextmanager
def alone(lock_file: Path) -> Iterator[None]:
    """Hold a lock file; other processes, on machines that share the folder too, are refused.

    Raises
    ------
    AnotherError
        Another process holds it.
    LockError
        The lock file cannot be written.
    """
    from filelock import FileLock, Timeout

    if not lock_file.parent.is_dir():  # FileLock would make it, for a mistyped path
        raise LockError("No such file or directory")
    lock = FileLock(lock_file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise AnotherError from None
    except NotImplementedError:  # a file system without locks
        pass
    except OSError as error:
        raise LockError(error.strerror) from error
    try:
        yield
    finally:
        # No process waits for this lock, so that the file can go.
        with suppress(OSError):
            lock_file.unlink()
        lock.release()
