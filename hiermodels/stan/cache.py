"""The folder of compiled Stan programs: what is in it, and whether it is what was put there.

::

    programs/NAME-KEY/NAME             the executable
    programs/NAME-KEY/manifest.json    its key, hash and size, and what went into it
    programs/.new-NAME-KEY-.../        one that is being put there
    locks/NAME-KEY.lock                held while it is examined, compiled or removed

The folder must belong to this user or to root, and no one else may be able to write to it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..errors import CompileError
from ..system import digests, ownership
from .toolchain import run, say, stan_environment, tail

_ENTRY = re.compile(r"(?P<name>\w+)-(?P<key>[0-9a-f]{16})")


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


# ---- the folder ---------------------------------------------------------------------------------


def place() -> Path:
    """Give the folder of executables, whether it is there or not, with links followed.

    Raises
    ------
    CompileError
        It is not named, and there is no home folder.
    """
    import platformdirs

    named = os.environ.get("HIERMODELS_CACHE", "")
    why = "there is no home folder"
    try:
        path = os.path.expanduser(named) or platformdirs.user_cache_dir(
            "hiermodels", appauthor=False
        )
    except RuntimeError as error:
        path, why = "~", " ".join(str(error).split())
    if path.startswith("~"):
        raise CompileError(
            "the cache folder for compiled Stan programs must lie in your home folder, which is "
            f"not known ({why}); next: set HOME or HIERMODELS_CACHE to a folder that you can "
            "write to"
        )
    return Path(os.path.realpath(path))


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
        It cannot be made or written to, or others can write to it.
    """
    path = place()
    try:
        check_safe(path)
        for folder in (path, path / "programs", path / "locks"):
            ownership.make_folder(folder)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(f"{folder} {ownership.closed(folder)}")
        check_safe(path)  # another user may have been quicker
    except OSError as error:
        raise _unusable(path, "written to", error) from error
    return path


def check_safe(path: Path) -> None:
    """Refuse a folder of executables in which another user could have put one.

    Raises
    ------
    CompileError
        It, or a part of it, can be written to by others, or belongs to another user.
    OSError
        It cannot be examined.
    """
    for folder in (path, path / "programs", path / "locks"):
        if os.path.lexists(folder) and (what := ownership.fault(folder)):
            raise CompileError(
                "the cache folder for compiled Stan programs must be one that only you or root "
                f"can write to, and {str(folder)!r} {what}; next: remove it (it holds nothing that "
                "cannot be compiled again), or set HIERMODELS_CACHE to a folder of your own"
            )


def _unusable(path: Path, use: str, error: OSError) -> CompileError:
    why = ownership.barrier(path / "programs") or error
    return CompileError(
        f"the cache folder for compiled Stan programs must be one that can be {use}, and "
        f"{str(path)!r} is not ({why}); next: set HIERMODELS_CACHE to another folder"
    )


@contextlib.contextmanager
def locked(
    cache: Path, stem: str, progress: bool | None, stopped: threading.Event | None = None
) -> Iterator[None]:
    """Hold the lock of one entry; say so where another process has it."""
    from filelock import FileLock, Timeout

    # Lock files stay: one that is removed while another process waits for it locks nothing.
    lock = FileLock(cache / "locks" / f"{stem}.lock", mode=0o600)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"{stem[:-17]} is being compiled by another process: waiting", progress)
        while not lock.is_locked:
            # In short waits, so that an interrupted compile_all() need not wait for the other.
            if stopped is not None and stopped.is_set():
                raise CompileError(f"the compilation of {stem[:-17]} was interrupted") from None
            with contextlib.suppress(Timeout):
                lock.acquire(timeout=0.2)
    try:
        yield
    finally:
        lock.release()


# ---- entries ------------------------------------------------------------------------------------


def entries() -> list[CacheEntry]:
    """List what is in the cache, by name and then by time; nothing is made or written.

    Returns
    -------
    list of CacheEntry

    Raises
    ------
    CompileError
        It cannot be read, or others can write to it.
    """
    path = place()
    found: list[CacheEntry] = []
    try:
        check_safe(path)
        for each in _inside(path):
            match = _ENTRY.fullmatch(each.name)
            # Another process may clear the cache just now.
            with contextlib.suppress(FileNotFoundError):
                if match is not None:
                    found.append(_entry(each, match["name"], match["key"]))
    except OSError as error:
        raise _unusable(path, "read", error) from error
    return sorted(found, key=lambda entry: (entry.name, entry.created))


def _inside(cache: Path) -> list[Path]:
    try:
        return sorted((cache / "programs").iterdir())
    except (FileNotFoundError, NotADirectoryError):  # nothing has been compiled yet
        return []


def of_program(name: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Give a program's entries that are what was put there, with their manifests."""
    with contextlib.suppress(CompileError, OSError):
        check_safe(place())
        for entry in _inside(place()):
            match = _ENTRY.fullmatch(entry.name)
            if match is not None and match["name"] == name and not fault(entry, name, None):
                yield entry, read_manifest(entry)


def _entry(path: Path, name: str, key: str) -> CacheEntry:
    created = datetime.fromtimestamp(path.stat().st_mtime, tz=timezone.utc)
    version = ""
    with contextlib.suppress(OSError, TypeError, ValueError):
        manifest = read_manifest(path)
        version = str(manifest.get("cmdstan_version", ""))
        created = datetime.fromisoformat(manifest.get("created", "")).astimezone(timezone.utc)
    ok = not fault(path, name, None)
    return CacheEntry(name, key, version, _bytes_in(path), created, path, ok)


def read_manifest(entry: Path) -> dict[str, Any]:
    """Read what an entry says of itself; OSError, TypeError or ValueError where it cannot."""
    manifest = json.loads((entry / "manifest.json").read_text(encoding="utf-8"))
    if not isinstance(manifest, dict):
        raise TypeError("a manifest is a JSON object")
    return manifest


def write_manifest(entry: Path, name: str, facts: Mapping[str, Any]) -> None:
    """Write what an entry says of itself: facts, and the hash and the size of its executable."""
    file = entry / name
    of_file = {"sha256": digests.of_file(file), "size": file.stat().st_size}
    text = json.dumps({"name": name, **facts, **of_file}, indent=1)
    (entry / "manifest.json").write_text(text, encoding="utf-8")


def put(entry: Path, built: Path, facts: Mapping[str, Any]) -> None:
    """Move a compiled file into its place in the cache, in one step; its lock is held."""
    new = Path(tempfile.mkdtemp(prefix=f".new-{entry.name}-", dir=entry.parent))
    try:
        shutil.copyfile(built, new / built.name)
        (new / built.name).chmod(0o700)
        write_manifest(new, built.name, facts)
        (new / "manifest.json").chmod(0o600)
        remove(entry)
        new.rename(entry)
    except BaseException:
        remove(new)
        raise


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
    file = entry / name
    try:
        for path in (entry, entry / "manifest.json", file):
            if what := ownership.fault(path, like):
                return what
        manifest = read_manifest(entry)
        if manifest.get("name") != name or key not in (None, manifest.get("key")):
            return "belongs to something else"
        if not file.is_file() or not os.access(file, os.X_OK):
            return "is not a file that can be run"
        if digests.of_file(file) != manifest.get("sha256"):
            return "is not the file that was put there"
    except (OSError, TypeError, ValueError) as error:
        return f"cannot be read ({error})"
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


# ---- removal ------------------------------------------------------------------------------------


def clear(chosen: Collection[str] | None) -> int:
    """Remove executables, of all programs or of those chosen; gives the bytes freed."""
    cache = cache_folder()
    freed = 0
    for path in _inside(cache):
        # Also what a compilation that was killed left behind: ".new-NAME-KEY-...".
        match = _ENTRY.search(path.name)
        if match is not None and (chosen is None or match["name"] in chosen):
            with locked(cache, match[0], None):
                freed += _bytes_in(path)
                remove(path)
    return freed


def _bytes_in(path: Path) -> int:
    total = 0
    for file in [path, *path.rglob("*")]:
        with contextlib.suppress(OSError):
            total += file.lstat().st_size if file.is_file() else 0
    return total


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
