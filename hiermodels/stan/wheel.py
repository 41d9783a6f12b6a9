"""Executables that came with the package: the wheel of a platform carries those of all programs.

::

    hiermodels/executables/NAME/NAME             the executable, stripped
    hiermodels/executables/NAME/manifest.json    its key, hash and size, and what went into it
    hiermodels/executables/libtbb.so.2           the one library beside the system's that they load
    hiermodels/executables/licenses/             of what was compiled into them

A fit needs nothing of CmdStan but the executable and its TBB, nor does it take a CmdStan to tell
whether an executable is its program's: the key is made of the program that lies beside it, of this
machine and this package's options, and of what the manifest says of CmdStan and the compiler.

Installed from sources there are none, and programs are compiled into the cache as ever.
"""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..system import digests, ownership
from . import cache
from .compiling import CPP_OPTIONS, STANC_OPTIONS, Executable, Program

# What a manifest says of the making of an executable, and the key rests on.
FACTS = ("cmdstan_version", "compiler", "library", "library_sha256")


def folder() -> Path:
    """Where executables lie in a package that came with them."""
    return Path(__file__).resolve().parents[1] / "executables"


def key_of(program: Program, facts: Mapping[str, Any]) -> str:
    """Give the key of a program's executable, which needs no CmdStan.

    Parameters
    ----------
    program : Program
        Its text, and what it includes.
    facts : mapping
        The entries of a manifest that :data:`FACTS` names.

    Returns
    -------
    str
        SHA-256 in hexadecimal digits; no other text, machine or options have the same.
    """
    return digests.of_values(
        {
            "program": [program.name, program.digest],
            "machine": [platform.system(), platform.machine()],
            "options": [STANC_OPTIONS, CPP_OPTIONS],
            "facts": {name: facts.get(name) for name in FACTS},
        }
    )


def find(program: Program, place: Path | None = None) -> Executable | None:
    """Find the executable that came for a program; it has still to be looked over.

    Parameters
    ----------
    program : Program
    place : Path, optional
        Another folder than :func:`folder`.

    Returns
    -------
    Executable or None
        With the key that it must have; None where none came.
    """
    entry = (folder() if place is None else place) / program.name
    if not entry.is_dir():
        return None
    manifest: dict[str, Any] = {}
    with contextlib.suppress(OSError, TypeError, ValueError):
        manifest = cache.read_manifest(entry)
    key = key_of(program, manifest)
    return Executable(entry / program.name, program, key, str(manifest.get("cmdstan_version", "")))


def watched(executable: Executable) -> tuple[Path, ...]:
    """Give the files that may change whether an executable is one to use."""
    entry = executable.path.parent
    return executable.path, entry / "manifest.json", *sorted(entry.parent.glob("libtbb*"))


def fault(executable: Executable) -> str:
    """Say why an executable that came is not one to use, as a sentence's end; "" for nothing.

    Whoever can change the package's own folder (an administrator, a conda environment's group) can
    change its executables: their Python code runs already. Nobody else can.
    """
    entry, program = executable.path.parent, executable.program
    package = Path(__file__).parents[1]
    try:
        if what := ownership.fault(entry.parent, package):
            return f"lies in {entry.parent}, which {what}"
        manifest = cache.read_manifest(entry)
    except (OSError, TypeError, ValueError):
        return "has no manifest that can be read"
    if manifest.get("digest") != program.digest:
        return "was compiled from another text"
    if what := cache.fault(entry, program.name, executable.key, package):
        return what
    library = entry.parent / str(manifest["library"])
    try:
        if what := ownership.fault(library, package):
            return f"needs {library.name}, which {what}"
        whole = digests.of_file(library) == manifest["library_sha256"]
    except OSError as error:
        return f"needs {library.name}, which cannot be read ({error.strerror})"
    if not whole:
        return f"needs {library.name}, which is not the file that was put there"
    return cache.run_fault(executable.path, executable.cmdstan_version)
