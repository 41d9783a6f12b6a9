"""Temporary folders of this package, and what is left of those whose process is gone.

A process that is killed (SIGKILL, out of memory, SIGTERM while it fits in another thread than the
main one) removes nothing. Its folder holds a lock that the system let go of with it; the next fit
of the same user, on the same machine, sees that and removes the folder, and ends what still writes
there.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["end_writers", "folder", "sweep"]

PREFIX = "hiermodels-"
_HELD = ".held"
"""File of a folder that is locked while its maker lives; it names the machine."""
_swept: set[tuple[int, Path]] = set()


@contextmanager
def folder(where: Path | None = None) -> Iterator[Path]:
    """Make a folder for this user alone, and remove it with all that is in it.

    Raises
    ------
    OSError
        It cannot be made.
    """
    room = Path(tempfile.gettempdir()) if where is None else where
    # Once in a process: those that are lost are few.
    if (os.getpid(), room) not in _swept:
        _swept.add((os.getpid(), room))
        sweep(room)
    made = Path(tempfile.mkdtemp(prefix=PREFIX, dir=room))
    held = None
    try:
        held = _hold(made)
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        if held is not None:
            os.close(held)


def _hold(made: Path) -> int | None:
    """Lock a folder for as long as this process lives; None where there are no such locks."""
    try:
        import fcntl
    except ImportError:  # pragma: no cover - not POSIX
        return None
    part = made / f"{_HELD}.part"
    try:
        held = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except OSError:  # a full disk: what else is to be written there says so
        return None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(held, socket.gethostname().encode())
        # Nobody sees it before it is locked.
        part.rename(made / _HELD)
    except OSError:  # a file system without locks, or a full one: nobody will sweep here
        os.close(held)
        with suppress(OSError):
            part.unlink()
        return None
    return held


def sweep(room: Path) -> list[Path]:
    """Remove the folders of processes that are gone; gives what was removed."""
    removed: list[Path] = []
    with suppress(OSError, ImportError):
        import fcntl

        for found in sorted(room.glob(f"{PREFIX}*")):
            with suppress(OSError):
                status = found.lstat()
                if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
                    continue
                held = os.open(found / _HELD, os.O_RDWR | os.O_NOFOLLOW)
                try:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    # Of a disk that machines share, not all pass on one another's locks.
                    if os.read(held, 1024) == socket.gethostname().encode():
                        end_writers(f"{found}{os.sep}")
                        shutil.rmtree(found, ignore_errors=True)
                        removed.append(found)
                finally:
                    os.close(held)
    return removed


def end_writers(beginning: str) -> None:
    """End the CmdStan processes whose files' paths begin so; where /proc tells of them."""
    sign = f"\0file={beginning}"
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError, ValueError):
            words = command.read_bytes().decode(errors="replace")
            if sign in words and "\0method=sample\0" in words:
                os.kill(int(command.parent.name), signal.SIGKILL)
