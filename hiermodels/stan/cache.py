"""The folder of compiled Stan programs: what is in it, and whether it is what was put there.

::

    programs/NAME-KEY/NAME             the executable
    programs/NAME-KEY/manifest.json    its key, hash and size, and what went into it
    programs/.new-NAME-KEY-.../        one that is being put there
    locks/NAME-KEY.lock                held while it is looked over, compiled or removed
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import stat
import threading
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..errors import CompileError
from ..system import digests, ownership
from .toolchain import run, say, stan_environment, tail

_PARTS = ("programs", "locks")
ENTRY_NAME = re.compile(r"(?P<name>\w+)-(?P<key>[0-9a-f]{16})")


@dataclass(frozen=True)
class CacheEntry:
    """An executable in the cache folder.

    Attributes
    ----------
    name : str
        Its program.
    key : str
        The first 16 digits of its key.
    cmdstan_version : str
        Empty where its manifest cannot be read.
    size : int
        Bytes of all its files.
    created : datetime
        When it was compiled, in UTC.
    path : Path
        Its folder.
    ok : bool
        Whether the file is the one that was compiled (its hash is taken; it is not run).
    """

    name: str
    key: str
    cmdstan_version: str
    size: int
    created: datetime
    path: Path
    ok: bool


def cache_folder() -> Path:
    """Find the folder of executables, and make it, for this user alone, where it is missing.

    Returns
    -------
    Path
        ``$HIERMODELS_CACHE``, else the place that this system has for a user's caches; links are
        followed.

    Raises
    ------
    CompileError
        It cannot be made or written to, is a link to nothing, or others can write to it.
    """
    path = place()
    try:
        check_safe()
        for way in (_named(), *_named().parents):
            if way.is_symlink() and not way.exists():
                raise FileNotFoundError(
                    f"{way} is a link to {os.readlink(way)}, which is not there"
                )
        for folder in (path, *(path / part for part in _PARTS)):
            ownership.make_folder(folder)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(f"{folder} {ownership.closed(folder)}")
        # Another user may have been quicker.
        check_safe()
    except OSError as error:
        raise CompileError(no_cache(path, error)) from error
    return path


def place() -> Path:
    """Give the folder of executables, whether it is there or not, with links followed.

    What is looked over and what is run are then one path, and no link can be turned in between.
    """
    return Path(os.path.realpath(_named()))


def _named() -> Path:
    import platformdirs

    named = os.environ.get("HIERMODELS_CACHE", "")
    why = "there is no home folder"
    try:
        path = os.path.expanduser(named) or platformdirs.user_cache_dir(
            "hiermodels", appauthor=False
        )
    except RuntimeError as error:
        path, why = "~", " ".join(str(error).split())
    # Nobody's that is known: it would be made in whatever folder this process works.
    if path.startswith("~"):
        raise CompileError(
            "the cache folder for compiled Stan programs must lie in your home folder, which is "
            f"not known ({why}); next: set HOME or HIERMODELS_CACHE to a folder that you can "
            "write to"
        )
    return Path(path).absolute()


def check_safe() -> None:
    """Refuse a folder of executables in which another user could have put one.

    Raises
    ------
    CompileError
        It, or a part of it, can be written to by others, or belongs to another user.
    OSError
        It cannot be looked at.
    """
    path = place()
    what = ownership.way_fault(_named())
    advice = "remove it (it holds nothing that cannot be compiled again), or "
    if what:  # to remove the cache would leave the way to it as it is
        open_to_all = "which everyone can write to" in what
        advice = "see that others cannot (`chmod o-w` of that folder), or " if open_to_all else ""
    for folder in (path, *(path / part for part in _PARTS)):
        if what or not os.path.lexists(folder):
            continue
        if folder.is_symlink():
            what = f"holds {folder.name}, which is a link"
        elif what := ownership.fault(folder):
            what = what if folder == path else f"holds {folder.name}, which {what}"
    if what:
        raise CompileError(
            "the cache folder for compiled Stan programs must be one that only you or root can "
            f"write to, and {str(path)!r} {what}; next: {advice}set "
            "HIERMODELS_CACHE to a folder of your own"
        )


def no_cache(path: Path, error: OSError) -> str:
    """Say that the cache cannot be written to, and what to do."""
    return (
        f"the cache folder for compiled Stan programs must be one that can be written to, and "
        f"{str(path)!r} is not ({_why(path, error)}); next: set HIERMODELS_CACHE to another folder"
    )


def _why(path: Path, error: OSError) -> str:
    """What is in the way to the cache: a folder that is closed to this user, or the error."""
    closed = ownership.barrier(path / "programs") if isinstance(error, PermissionError) else ""
    return closed or str(error)


def entries() -> list[CacheEntry]:
    """List what is in the cache, by name and then by time; nothing is made, or written.

    Returns
    -------
    list of CacheEntry

    Raises
    ------
    CompileError
        It cannot be looked at, or others can write to it.
    """
    found: list[CacheEntry] = []
    there: list[Path] = []
    path = place()
    try:
        check_safe()
        with contextlib.suppress(FileNotFoundError):  # nothing has been compiled yet
            there = list((path / "programs").iterdir())
        for each in there:
            match = ENTRY_NAME.fullmatch(each.name)
            # Another process may clear the cache just now.
            with contextlib.suppress(FileNotFoundError):
                if match is not None:
                    found.append(_entry(each, match["name"], match["key"]))
    except OSError as error:
        raise CompileError(
            "the cache folder for compiled Stan programs must be one that can be read, and "
            f"{str(path)!r} is not ({_why(path, error)}); next: set HIERMODELS_CACHE to another "
            "folder"
        ) from error
    return sorted(found, key=lambda entry: (entry.name, entry.created))


def _entry(path: Path, name: str, key: str) -> CacheEntry:
    created = datetime.fromtimestamp(path.stat().st_mtime, tz=timezone.utc)
    version = ""
    with contextlib.suppress(OSError, TypeError, ValueError):
        manifest = read_manifest(path)
        version = str(manifest.get("cmdstan_version", ""))
        created = datetime.fromisoformat(manifest.get("created", "")).astimezone(timezone.utc)
    return CacheEntry(
        name=name,
        key=key,
        cmdstan_version=version,
        size=bytes_in(path),
        created=created,
        path=path,
        ok=not fault(path, name, None),
    )


def clear(chosen: Collection[str] | None) -> int:
    """Remove executables, of all programs or of those chosen; gives the bytes freed."""
    cache = cache_folder()
    stems = {stem: name for stem, name in _stems(cache) if chosen is None or name in chosen}
    freed = 0
    for stem in stems:
        with locked(cache, stem, None):
            for path in (cache / "programs").glob(f"*{stem}*"):
                freed += bytes_in(path)
                remove(path)
    return freed


def known() -> set[str]:
    """Give the names of programs that have something in the cache."""
    return {name for _, name in _stems(cache_folder())}


def _stems(cache: Path) -> Iterator[tuple[str, str]]:
    for path in (cache / "programs").iterdir():
        # Also what a compilation that was killed left behind: ".new-NAME-KEY-...".
        match = ENTRY_NAME.search(path.name)
        if match is not None:
            yield match[0], match["name"]


def bytes_in(path: Path) -> int:
    """Count the bytes of all files in a folder."""
    total = 0
    for file in [path, *path.rglob("*")]:
        with contextlib.suppress(OSError):
            status = file.lstat()
            total += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return total


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def read_manifest(entry: Path) -> dict[str, Any]:
    """Read what an entry says of itself; OSError, TypeError or ValueError where it cannot."""
    manifest = json.loads((entry / "manifest.json").read_text(encoding="utf-8"))
    if not isinstance(manifest, dict):
        raise TypeError("a manifest is a JSON object")
    return manifest


def fault(entry: Path, name: str, key: str | None, like: Path | None = None) -> str:
    """Say what is wrong with an entry of the cache, as the end of a sentence; "" for nothing.

    Parameters
    ----------
    entry : Path
        Its folder.
    name : str
        Its program.
    key : str or None
        What its key must be; None for any.
    like : Path, optional
        A folder whose owner and group are trusted too, as that of an installed package is.
    """
    if like is None and entry.is_symlink():
        return "is a link"
    try:
        for path in (entry, entry / "manifest.json", entry / name):
            if what := ownership.fault(path, like):
                return what
    except OSError:
        pass  # what is not there is said below
    try:
        manifest = read_manifest(entry)
    except (OSError, TypeError, ValueError):
        return "has no manifest that can be read"
    if manifest.get("name") != name or key not in (None, manifest.get("key")):
        return "belongs to something else"
    file = entry / name
    try:
        status = file.lstat()
    except OSError:
        return "is not there"
    if not stat.S_ISREG(status.st_mode) or not os.access(file, os.X_OK):
        return "is not a file that can be run"
    try:
        same = status.st_size == manifest.get("size")
        same = same and digests.of_file(file) == manifest.get("sha256")
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if not same:
        return "is not the file that was put there"
    return ""


def run_fault(file: Path, version: str) -> str:
    """Say why an executable does not run; it does not where the TBB that it needs has gone."""
    code, output = run([str(file), "info"], cwd=file.parent, env=stan_environment(file))
    said = dict(re.findall(r"stan_version_(\w+)\s*=\s*(\d+)", output))
    if code != 0:
        return f"does not run (code {code}: {' '.join(tail(output, 3).split())})"
    if [said.get(part) for part in ("major", "minor", "patch")] != version.split("."):
        return f"does not say that it is of CmdStan {version}"
    return ""


@contextlib.contextmanager
def locked(
    cache: Path, stem: str, progress: bool | None, stopped: threading.Event | None = None
) -> Iterator[None]:
    """Hold the lock of one entry; say so where another process has it."""
    from filelock import FileLock, Timeout

    # Lock files stay: one that is removed while another process waits for it locks nothing.
    lock = FileLock(cache / "locks" / f"{stem}.lock", mode=ownership.PRIVATE_FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"{stem[:-17]} is being compiled by another process: waiting", progress)
        while True:
            # In short waits, so that an interrupted compile_all() need not wait for the other.
            if stopped is not None and stopped.is_set():
                raise CompileError(f"the compilation of {stem[:-17]} was interrupted") from None
            with contextlib.suppress(Timeout):
                lock.acquire(timeout=0.2)
                break
    try:
        yield
    finally:
        lock.release()
