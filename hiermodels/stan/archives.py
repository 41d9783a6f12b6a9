"""Archives from elsewhere: the file must be the one that is expected, and hold nothing but files.

Nothing is unpacked before both are looked at. The second is for an archive whose hash is right and
which is bad all the same; the hash alone keeps out what was changed on the way.
"""

from __future__ import annotations

import os
import posixpath
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..system import digests

# CmdStan 2.27 has 27,486 files of 0.5 GB, built; bounds against a bomb, not measures.
MOST_BYTES = 1_000_000_000
MOST_FILES = 100_000
LONGEST_NAME = 1000
_BLOCK = 1 << 20


class RefusedError(ValueError):
    """An archive that must not be unpacked; says of it what is wrong, as a sentence's end."""


@dataclass(frozen=True)
class Member:
    """One entry of an archive, as the archive describes it.

    Attributes
    ----------
    name : str
        Its path.
    size : int
        Bytes, when unpacked.
    kind : str
        "file", "folder", "link" (a symbolic one), or what else it is.
    target : str
        What a symbolic link holds.
    """

    name: str
    size: int
    kind: str
    target: str = ""


def check_hash(file: Path, known: Collection[str]) -> None:
    """Refuse any other file than those that were looked over when their hashes were written down.

    Raises
    ------
    RefusedError
        Its hash is none of those known.
    """
    came = digests.of_file(file)
    if came not in known:
        what = " or ".join(sorted(known)) or "one that is known"
        raise RefusedError(
            f"must have the SHA-256 hash {what}, and the download ({file.stat().st_size} bytes) "
            f"has {came}"
        )


def check_members(members: Iterable[Member], *, links: bool = False) -> None:
    """Refuse an archive that would write outside its folder, or more than it may.

    Parameters
    ----------
    members : iterable of Member
    links : bool
        Whether it may have symbolic links from one of its files to another.

    Raises
    ------
    RefusedError
        A member's path is absolute, leads upwards or cannot be written as it is; it is a hard link,
        a device or a pipe, or a link that may not be; two have the same path, or one lies below a
        file or a link; or they are too many, or too large.
    """
    files: set[str] = set()
    folders: set[str] = set()
    targets: dict[str, str] = {}
    total = count = 0
    for each in members:
        count, total = count + 1, total + max(each.size, 0)
        if count > MOST_FILES:
            raise RefusedError(f"must hold at most {MOST_FILES} files, and holds more")
        if total > MOST_BYTES:
            raise RefusedError(f"must hold at most {MOST_BYTES} bytes, and holds more")
        if each.kind not in ("file", "folder", *(["link"] if links else [])):
            raise RefusedError(f"must hold plain files, and {each.name!r} is a {each.kind}")
        path = PurePosixPath(each.name)
        odd = not each.name.isprintable() or "\\" in each.name or len(each.name) > LONGEST_NAME
        if odd or path.is_absolute() or ".." in path.parts or not path.parts or each.size < 0:
            raise RefusedError(f"must hold files inside its folder, and has {each.name[:200]!r}")
        name = str(path)
        if each.kind == "folder":
            folders.add(name)
        elif name in files:
            raise RefusedError(f"must hold each file once, and has {each.name!r} twice")
        else:
            files.add(name)
            if each.kind == "link":
                targets[name] = posixpath.normpath(posixpath.join(str(path.parent), each.target))
        folders.update(str(parent) for parent in path.parents)
    if both := files & folders:
        raise RefusedError(f"must not hold a file and a folder of one name: {min(both)!r}")
    # A link to a plain file of the archive leads nowhere else, whatever is unpacked first.
    for name, target in targets.items():
        if target in targets or target not in files:
            raise RefusedError(f"must have no link that leads out of its files, and has {name!r}")


def zip_member(info: zipfile.ZipInfo, name: str | None = None) -> Member:
    """Describe an entry of a ZIP file, under another name where one is given."""
    mode = stat.S_IFMT(info.external_attr >> 16)
    kinds = {0: "file", stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}
    kind = "folder" if info.is_dir() else kinds.get(mode, "device or a pipe")
    return Member(info.filename if name is None else name, info.file_size, kind)


def tar_member(info: tarfile.TarInfo) -> Member:
    """Describe an entry of a tar file."""
    if info.isfile():
        kind = "file"
    elif info.isdir():
        kind = "folder"
    else:
        other = "hard link" if info.islnk() else "device or a pipe"
        kind = "link" if info.issym() else other
    return Member(info.name, info.size, kind, info.linkname)


def check_release(file: str | os.PathLike[str], known: Collection[str]) -> None:
    """Look over a release of CmdStan, a compressed tar file, before it is unpacked.

    Raises
    ------
    RefusedError
        It is not one that is known, or holds what it must not.
    """
    check_hash(Path(file), known)
    try:
        with tarfile.TarFile.open(file) as archive:
            # One after the other: the list of a bomb's members would fill the memory.
            check_members((tar_member(info) for info in archive), links=True)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise RefusedError(f"must be a tar file, and cannot be read ({error})") from error


def write_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: str) -> None:
    """Unpack one file, in blocks, where there is none yet.

    Raises
    ------
    RefusedError
        It is not what the archive said, or cannot be unpacked.
    OSError
        It cannot be written.
    """
    # What is there already is no file of ours, whatever it links to.
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        with os.fdopen(target, "wb") as out, archive.open(info) as member:
            # No more than it says comes out of it, and then its checksum is wrong.
            shutil.copyfileobj(member, out, _BLOCK)
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
        raise RefusedError(f"cannot be unpacked: {info.filename!r}: {error}") from error
