"""Who can change a file: asked of all that is run, and of all that a program is compiled from.

Trusted are this user and root, who can do what they like anyway, and their own groups: root's, and
the one that many systems make for each user, which has nobody else in it. What another user could
have written is never run.

The permission bits are what is looked at. POSIX access lists show in them (as the group's), the
richer ones of NFSv4 do not.
"""

from __future__ import annotations

import os
import stat
from functools import cache
from pathlib import Path

ROOT = 0
PRIVATE_FOLDER = 0o700
PRIVATE_FILE = 0o600
FOR_READING = 0o022
"""The mask of what others may read, and none but this user write."""


def fault(path: Path, like: Path | None = None) -> str:
    """Say who else can change a file or folder, as a sentence's end; "" for nobody.

    Parameters
    ----------
    path : Path
        A link is followed.
    like : Path, optional
        What is trusted already: its owner, and its group where that can write to it, may change
        ``path`` as well.

    Raises
    ------
    OSError
        It cannot be looked at.
    """
    if not hasattr(os, "geteuid"):  # Windows has other means
        return ""
    status = os.stat(path)
    owners, groups = {ROOT, os.geteuid()}, {ROOT}
    if like is not None:
        trusted = os.stat(like)
        owners.add(trusted.st_uid)
        if trusted.st_mode & stat.S_IWGRP:
            groups.add(trusted.st_gid)
    if status.st_uid not in owners:
        return f"belongs to {_user(status.st_uid)}"
    if status.st_mode & stat.S_IWOTH:
        return f"can be written to by everyone ({_mode(status)})"
    if status.st_mode & stat.S_IWGRP and not (status.st_gid in groups or _own(status.st_gid)):
        return f"can be written to by the group {_group(status.st_gid)} ({_mode(status)})"
    return ""


def open_fault(path: Path) -> str:
    """Say that everyone can change a file or folder, whoever owns it; "" where not everyone can.

    Raises
    ------
    OSError
        It cannot be looked at.
    """
    status = os.stat(path)
    if hasattr(os, "geteuid") and status.st_mode & stat.S_IWOTH:
        return f"can be written to by everyone ({_mode(status)})"
    return ""


def closed(folder: Path) -> str:
    """Say why this user cannot write to a folder, as a sentence's end.

    Raises
    ------
    OSError
        It cannot be looked at.
    """
    status = os.stat(folder)
    if hasattr(os, "ST_RDONLY") and os.statvfs(folder).f_flag & os.ST_RDONLY:
        return "is on a read-only file system"
    return _whose(status)


def barrier(path: Path) -> str:
    """Say which folder above a path this user may not pass, whose it is and its mode; "" for none.

    Only of the first can anything be said: what is in it is not seen. A relative path does not pass
    what is above the working folder.
    """
    above = () if path.is_absolute() else Path(os.path.realpath(os.curdir)).parents
    for way in dict.fromkeys((path, Path(os.path.realpath(path)))):
        for folder in reversed(way.parents):
            if folder in above:
                continue
            try:
                status = os.stat(folder)
            except OSError:
                break
            if not os.access(folder, os.X_OK):
                return f"the folder {os.path.abspath(folder)} {_whose(status)}"
    return ""


def way_fault(path: Path) -> str:
    """Say that another user can put something else in a path's place; "" where none can.

    That is so where a folder above can be written to by everyone; or where it is one like /tmp, in
    which everyone keeps what is his own, and what leads on there is neither this user's nor root's.
    The path is looked at as it is written and with its links followed. What does not exist yet is
    passed over.
    """
    if not hasattr(os, "geteuid"):
        return ""
    for way in dict.fromkeys((Path(os.path.abspath(path)), Path(os.path.realpath(path)))):
        below = way
        for folder in way.parents:
            try:
                status = os.stat(folder)
            except OSError:
                below = folder
                continue
            if status.st_mode & stat.S_IWOTH:
                if not status.st_mode & stat.S_ISVTX:
                    return f"lies in {folder}, which everyone can write to ({_mode(status)})"
                owner = _owner(below)
                if owner not in (None, ROOT, os.geteuid()):
                    what = "is" if below == way else f"lies in {below}, which is"
                    return f"{what} {_user(owner)}'s, and everyone can put things into {folder}"
            below = folder
    return ""


@cache
def open_in(tree: Path) -> str:
    """Say what in a tree everyone can write to, as a sentence's end; "" for nothing.

    Looked at once in a process: a CmdStan has 30,000 files. Links are not followed.
    """
    if not hasattr(os, "geteuid"):
        return ""
    folders = [os.fspath(tree)]
    while folders:
        try:
            with os.scandir(folders.pop()) as found:
                for each in found:
                    status = each.stat(follow_symlinks=False)
                    if stat.S_ISLNK(status.st_mode):
                        continue
                    if status.st_mode & stat.S_IWOTH:
                        inner = Path(each.path).relative_to(tree)
                        return f"holds {inner}, which everyone can write to ({_mode(status)})"
                    if stat.S_ISDIR(status.st_mode):
                        folders.append(each.path)
        except FileNotFoundError:  # a compiler's passing file
            continue
        except PermissionError:  # what cannot be read is not compiled from either
            continue
    return ""


def state(path: Path) -> tuple[int, ...]:
    """What of a folder says who can change what is in it, for comparison."""
    status = os.stat(path)
    return status.st_mode, status.st_uid, status.st_gid


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, for this user alone, whatever the umask.

    Raises
    ------
    OSError
        It cannot be made, or is a file.
    """
    # mkdir's own `parents` leaves the folders above to the umask.
    for folder in (*reversed(path.parents), path):
        if folder == path or not folder.exists():
            folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)


def _owner(path: Path) -> int | None:
    try:
        return os.lstat(path).st_uid
    except OSError:
        return None


def _whose(status: os.stat_result) -> str:
    if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
        return f"belongs to {_user(status.st_uid)} ({_mode(status)})"
    return f"is closed to you ({_mode(status)})"


def _own(gid: int) -> bool:
    """Whether a group is the user's private one: his first, of his name, and nobody else's."""
    import grp
    import pwd

    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(gid)
    except KeyError:
        return False
    own = user.pw_gid == gid and group.gr_name == user.pw_name
    return own and set(group.gr_mem) <= {user.pw_name}


def _user(uid: int | None) -> str:
    import pwd

    try:
        return f"the user {pwd.getpwuid(int(uid or 0)).pw_name}"
    except KeyError:
        return f"the user {uid}"


def _group(gid: int) -> str:
    import grp

    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _mode(status: os.stat_result) -> str:
    return f"mode {stat.S_IMODE(status.st_mode):04o}"
