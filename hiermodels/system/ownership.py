"""Who can change a file, and who keeps this user from one.

A cached executable is run only if it belongs to this user or to root and no one else can write to
it. The permission bits decide. Windows has other means, and is not looked at.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path


def fault(path: Path, like: Path | None = None) -> str:
    """Say who else can change a file or folder, as the end of a sentence; "" if only its owner.

    Parameters
    ----------
    path : Path
        A link is followed.
    like : Path, optional
        A path that is trusted already: its owner, and its group where that can write to it, may
        change ``path`` as well.

    Raises
    ------
    OSError
        It cannot be looked at.
    """
    if not hasattr(os, "geteuid"):
        return ""
    status = os.stat(path)
    owners, groups = {0, os.geteuid()}, {0}
    if like is not None:
        trusted = os.stat(like)
        owners.add(trusted.st_uid)
        if trusted.st_mode & stat.S_IWGRP:
            groups.add(trusted.st_gid)
    if status.st_uid not in owners:
        return f"belongs to {_user(status)}"
    by_group = status.st_mode & stat.S_IWGRP and status.st_gid not in groups
    if status.st_mode & stat.S_IWOTH or by_group:
        return f"can be written to by others ({_mode(status)})"
    return ""


def closed(path: Path) -> str:
    """Say why this user cannot use a file or folder, as the end of a sentence."""
    status = os.stat(path)
    if hasattr(os, "ST_RDONLY") and os.statvfs(path).f_flag & os.ST_RDONLY:
        return "is on a read-only file system"
    if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
        return f"belongs to {_user(status)} ({_mode(status)})"
    return f"is closed to you ({_mode(status)})"


def barrier(path: Path) -> str:
    """Name the first folder on the way to a path that this user may not enter; "" for none."""
    for folder in reversed(path.parents):
        if os.path.exists(folder) and not os.access(folder, os.X_OK):
            return f"the folder {folder.absolute()} {closed(folder)}"
    return ""


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, for this user alone, whatever the umask."""
    # mkdir's own `parents` leaves the folders above to the umask.
    for folder in (*reversed(path.parents), path):
        if folder == path or not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)


def _user(status: os.stat_result) -> str:
    import pwd

    try:
        return f"the user {pwd.getpwuid(status.st_uid).pw_name}"
    except KeyError:
        return f"the user {status.st_uid}"


def _mode(status: os.stat_result) -> str:
    return f"mode {stat.S_IMODE(status.st_mode):04o}"
