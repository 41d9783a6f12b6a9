"""From a Stan program's text to an executable file in the cache."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import uuid
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import CmdStanError, CompileError
from ..system import digests, ownership, temporary
from . import cache
from .cmdstan import CmdStan
from .toolchain import Toolchain, build_environment, make_local, run, say, tail, unfit_for_make

# Options for stanc and the C++ compiler, as CmdStanPy takes them; part of the key.
STANC_OPTIONS: dict[str, Any] = {}
CPP_OPTIONS: dict[str, Any] = {}

# What make takes from the environment and puts into a program.
FLAG_VARIABLES = (
    *("CC", "CXX", "CXX_TYPE", "CPPFLAGS", "CXXFLAGS", "LDFLAGS", "LDLIBS", "O", "STANCFLAGS"),
    *("STAN_CPP_OPTIMS", "STAN_MPI", "STAN_NO_RANGE_CHECKS", "STAN_OPENCL", "STAN_THREADS"),
    *("TBB_INC", "TBB_INTERFACE_NEW", "TBB_LIB"),
)

# CmdStanPy changes the working folder of its process while it compiles, which threads would trip
# over, and wants $CMDSTAN set: it gets a process of its own, and this one stays as it was. It
# takes what all releases have: disable_logging came with 1.3 only, and compile goes in 2.0.
_COMPILE_SCRIPT = """\
import json, logging, sys
import cmdstanpy
logging.getLogger("cmdstanpy").disabled = True
try:
    cmdstanpy.CmdStanModel(force_compile=True, **json.loads(sys.argv[1]))
except (RuntimeError, ValueError) as error:
    sys.exit(str(error))
"""


LIMIT_VARIABLE = "HIERMODELS_COMPILE_SECONDS"
_LIMIT = 1800.0  # a hundred times what a program takes on two processors


def time_limit() -> float:
    """Seconds that a program's compilation may take.

    Raises
    ------
    CompileError
        The user has set what is no such number.
    """
    said = os.environ.get(LIMIT_VARIABLE, "")
    if not said:
        return _LIMIT
    try:
        most = float(said)
    except ValueError:
        most = 0.0
    if not 0 < most <= threading.TIMEOUT_MAX:
        raise CompileError(
            f"{LIMIT_VARIABLE} must be a number of seconds above 0, got {said!r}; next: correct it"
        )
    return most


@dataclass(frozen=True)
class Program:
    """A Stan program, as its file was when it was loaded.

    Attributes
    ----------
    name : str
        The file's name without ``.stan``.
    path : Path
        The file.
    source : str
        Its text, which is also what ``str(program)`` gives.
    """

    name: str
    path: Path
    source: str

    def __str__(self) -> str:
        return self.source

    @property
    def includes(self) -> tuple[Path, ...]:
        """Files that ``#include`` lines bring in, also through one another, in that order."""
        return tuple(self.path.parent / name for name in self.included)

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters, which are what initial values are for."""
        block = re.search(r"^parameters \{$(.*?)^\}", self.source, re.DOTALL | re.MULTILINE)
        declared = re.sub(r"//.*", "", block[1]) if block else ""
        return tuple(re.findall(r"(\w+)\s*;", declared))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the source and of all it includes, in hexadecimal digits."""
        return digests.of_values([self.source, *(list(pair) for pair in self.included.items())])

    @cached_property
    def included(self) -> dict[str, str]:
        """Names in ``#include`` lines, also through one another, and the texts they stand for."""
        found: dict[str, str] = {}
        texts = [self.source]
        while texts:
            for name in re.findall(r'^\s*#include\s+[<"]?([^\s<>"]+)', texts.pop(0), re.MULTILINE):
                if name in found or ".." in PurePosixPath(name).parts or name.startswith("/"):
                    continue
                # One that is not there is for stanc to complain of, with the line's number.
                with contextlib.suppress(OSError):
                    found[name] = (self.path.parent / name).read_text(encoding="utf-8")
                    texts.append(found[name])
        return found


@dataclass(frozen=True)
class Executable:
    """A compiled program that was looked over and runs.

    Attributes
    ----------
    path : Path
        The file to run, and for CmdStanPy's ``exe_file=``.
    program : Program
        What it was compiled from.
    key : str
        SHA-256 of all that went into it, in hexadecimal digits.
    cmdstan_version : str
        The CmdStan that it holds: ``"2.39.0"``.
    """

    path: Path
    program: Program
    key: str
    cmdstan_version: str


def key_of(program: Program, found: CmdStan, tools: Toolchain) -> str:
    """Give the SHA-256 of all that goes into an executable."""
    return digests.of_values(
        {
            "program": [program.name, program.digest],
            # The path too: that to CmdStan's TBB is written into the executable.
            "cmdstan": [found.version_text, str(found.path)],
            "compiler": [tools.cxx, tools.cxx_version],
            "machine": [platform.system(), platform.machine()],
            "options": [STANC_OPTIONS, CPP_OPTIONS],
            "make_local": make_local(found.path),
            "variables": {v: os.environ[v] for v in FLAG_VARIABLES if v in os.environ},
        }
    )


def compile_into_cache(
    target: Executable,
    found: CmdStan,
    tools: Toolchain,
    children: set[subprocess.Popen[str]] | None = None,
    progress: bool | None = False,
) -> None:
    """Compile in a fresh folder, and move the executable into its place in one step.

    Parameters
    ----------
    target : Executable
        What there is to be; its lock is held by the caller.
    found : CmdStan
    tools : Toolchain
    children : set, optional
        Holds the process while it runs, for another thread to stop.
    progress : bool, optional
        False says nothing; else it is one line, once nothing is left that could be refused.

    Raises
    ------
    CompileError
        stanc or the compiler does not accept the program.
    CmdStanError
        Everyone can write to a part of CmdStan.
    OSError
        A folder cannot be written to, or a disk is full.
    """
    program, entry = target.program, target.path.parent
    if what := ownership.open_in(found.path):
        raise CmdStanError(
            f"CmdStan must be a folder that not everyone can write to, and {str(found.path)!r} "
            f"{what}; next: `chmod -R o-w {found.path}` where you trust what is there, else "
            "`hiermodels install-cmdstan --overwrite`"
        )
    with temporary.folder(_work_room(entry)) as work:
        for name, text in {f"{program.name}.stan": program.source, **program.included}.items():
            file = work / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        options = {
            "stan_file": str(work / f"{program.name}.stan"),
            "stanc_options": {**STANC_OPTIONS, "include-paths": [str(work)]},
            "cpp_options": CPP_OPTIONS,
        }
        most = time_limit()
        say(f"compiling {program.name} (once; about 15 s) ...", progress)
        try:
            code, output = run(
                [sys.executable, "-W", "ignore", "-c", _COMPILE_SCRIPT, json.dumps(options)],
                cwd=work,
                env=build_environment(CMDSTAN=str(found.path), MAKE=tools.make, TMPDIR=str(work)),
                seconds=most,
                children=children,
                umask=0o077,
            )
        except subprocess.TimeoutExpired:
            raise CompileError(
                f"the Stan program {program.name} must compile within {most:g} seconds, and "
                f"{tools.cxx_version} was still at it; next: see to the compiler (`hiermodels "
                f"doctor`), or set {LIMIT_VARIABLE} to more seconds"
            ) from None
        built = work / program.name
        if code != 0 or not built.is_file():
            raise CompileError(
                f"the Stan program {program.name} must compile with CmdStan {found.version_text} "
                f"and {tools.cxx_version}, and does not:\n"
                f"{tail(_said(output, work, program.path.parent), 30)}\n"
                f"next: correct {program.path} where stanc names a line of it; else see to the "
                "compiler (`hiermodels doctor`)"
            )
        new = Path(tempfile.mkdtemp(prefix=f".new-{entry.name}-", dir=entry.parent))
        try:
            shutil.copyfile(built, new / program.name)
            (new / program.name).chmod(0o700)
            manifest = {
                "name": program.name,
                "key": target.key,
                "digest": program.digest,
                "sha256": digests.of_file(built),
                "size": built.stat().st_size,
                "cmdstan_version": found.version_text,
                "cmdstan_path": str(found.path),
                "compiler": dataclasses.asdict(tools),
                "options": [STANC_OPTIONS, CPP_OPTIONS],
                "created": datetime.now(tz=timezone.utc).isoformat(timespec="seconds"),
            }
            (new / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")
            (new / "manifest.json").chmod(ownership.PRIVATE_FILE)
            cache.remove(entry)
            if os.path.lexists(entry):
                # Another user's files cannot be removed, but put out of the way.
                entry.rename(entry.with_name(f".old-{entry.name}-{uuid.uuid4().hex}"))
            new.rename(entry)
        except BaseException:
            cache.remove(new)
            raise


def _said(output: str, work: Path, home: Path) -> str:
    """Give what stanc and the compiler said, of the file where the user knows it.

    CmdStanPy frames it in the command that it ran, and in a guess at the meaning of its code.
    """
    frame = ("Command [", "\texited with code", "Failed to compile", "Failed to get source")
    lines = [line for line in output.splitlines() if not line.startswith(frame)]
    return "\n".join(lines).replace(str(work), str(home))


def _work_room(entry: Path) -> Path:
    """Give a folder for the work whose path make can handle."""
    rooms = [Path(tempfile.gettempdir()), entry.parent, Path("/var/tmp"), Path("/tmp")]  # noqa: S108
    for room in rooms:
        if not unfit_for_make(room.absolute()) and os.access(room, os.W_OK | os.X_OK):
            return room
    raise CompileError(
        "Stan programs are compiled in a temporary folder without a space in its path, and "
        f"{str(rooms[0])!r} has one; next: set TMPDIR to another"
    )
