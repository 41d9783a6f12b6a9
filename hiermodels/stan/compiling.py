"""From a Stan program's text to an executable file in the cache."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import CompileError
from ..system import digests, temporary, termination
from ..system.progress import bar
from . import cache
from .cmdstan import CmdStan
from .toolchain import (
    Toolchain,
    build_environment,
    make_local,
    run,
    say,
    stop,
    tail,
    unfit_for_make,
)

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


_FRAME = ("Command [", "\texited with code", "Failed to compile", "Failed to get source")


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
    """A compiled program that was checked and runs.

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


def state_of(watched: Sequence[Path]) -> tuple[Any, ...]:
    """Give what an executable depends on and may change in a process's life, for comparison.

    The executable comes first; for the folders that it lies in, only who can write to them counts.
    """
    state: list[Any] = [STANC_OPTIONS.copy(), CPP_OPTIONS.copy()]
    variables = ("CMDSTAN", "HIERMODELS_CACHE", "HOME", "MAKE", "PATH", "XDG_CACHE_HOME")
    state += [os.environ.get(variable) for variable in (*variables, *FLAG_VARIABLES)]
    for path in (*watched[0].parents[:3], *watched):
        try:
            status = os.lstat(path)
        except OSError:
            state.append(None)
            continue
        state.append((status.st_mode, status.st_uid, status.st_gid))
        if path in watched:
            state.append((status.st_mtime_ns, status.st_size, status.st_ino))
    return tuple(state)


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
        False says nothing; else it is one line.

    Raises
    ------
    CompileError
        stanc or the compiler does not accept the program.
    OSError
        A folder cannot be written to, or a disk is full.
    """
    program = target.program
    most = _seconds()
    say(f"compiling {program.name} (once; about 15 s) ...", progress)
    with temporary.folder(_work_room(target.path.parent.parent)) as work:
        for name, text in {f"{program.name}.stan": program.source, **program.included}.items():
            file = work / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        options = {
            "stan_file": str(work / f"{program.name}.stan"),
            "stanc_options": {**STANC_OPTIONS, "include-paths": [str(work)]},
            "cpp_options": CPP_OPTIONS,
        }
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
                f"{tools.cxx_version} did not end; next: see to the compiler (`hiermodels "
                "doctor`), or set HIERMODELS_COMPILE_SECONDS to more seconds"
            ) from None
        built = work / program.name
        if code != 0 or not built.is_file():
            # The user knows the program's file where it lies, not the copy; CmdStanPy adds the
            # command that it ran.
            lines = [line for line in output.splitlines() if not line.startswith(_FRAME)]
            said = tail("\n".join(lines).replace(str(work), str(program.path.parent)), 30)
            raise CompileError(
                f"the Stan program {program.name} must compile with CmdStan {found.version_text} "
                f"and {tools.cxx_version}, and does not:\n{said}\n"
                f"next: correct {program.path} where stanc names a line of it; else see to the "
                "compiler (`hiermodels doctor`)"
            )
        facts = {
            "key": target.key,
            "digest": program.digest,
            "cmdstan_version": found.version_text,
            "cmdstan_path": str(found.path),
            "compiler": dataclasses.asdict(tools),
            "options": [STANC_OPTIONS, CPP_OPTIONS],
            "created": datetime.now(tz=timezone.utc).isoformat(timespec="seconds"),
        }
        cache.put(target.path.parent, built, facts)


def _seconds() -> float:
    """Seconds that a compilation may take: half an hour, a hundred times the usual."""
    said = os.environ.get("HIERMODELS_COMPILE_SECONDS") or "1800"
    with contextlib.suppress(ValueError):
        if 0 < float(said) <= threading.TIMEOUT_MAX:
            return float(said)
    raise CompileError(
        f"HIERMODELS_COMPILE_SECONDS must be a number of seconds above 0, got {said!r}; next: "
        "correct it"
    )


def _work_room(programs: Path) -> Path:
    """Give a folder for the work whose path make can handle."""
    for room in (Path(tempfile.gettempdir()).absolute(), programs, Path("/tmp")):  # noqa: S108
        if not unfit_for_make(room) and os.access(room, os.W_OK | os.X_OK):
            return room
    raise CompileError(
        "Stan programs are compiled in a temporary folder without a space in its path, and "
        f"{tempfile.gettempdir()!r} has one; next: set TMPDIR to another"
    )


def side_by_side(
    works: Mapping[str, Callable[[set[subprocess.Popen[str]], threading.Event], Executable]],
    jobs: int,
    progress: bool | None,
) -> tuple[dict[str, Executable], dict[str, CompileError]]:
    """Compile programs, ``jobs`` at once; gives what was made and what failed, by name.

    Each is called with a set for its compiler's process, and an event that says when to give up.
    """
    import concurrent.futures
    from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor

    done: dict[str, Executable] = {}
    failed: dict[str, CompileError] = {}
    children: set[subprocess.Popen[str]] = set()
    stopped = threading.Event()
    pool = ThreadPoolExecutor(jobs)
    futures: dict[Future[Executable], str] = {}
    try:
        futures |= {pool.submit(work, children, stopped): name for name, work in works.items()}
        with bar(len(works), "compiling Stan programs", progress=progress) as shown:
            pending = set(futures)
            while pending:
                for future in termination.wait(pending, FIRST_COMPLETED):
                    pending.remove(future)
                    try:
                        done[futures[future]] = future.result()
                    except CompileError as error:
                        failed[futures[future]] = error
                    shown.update(1)
    except BaseException:
        stopped.set()
        pool.shutdown(wait=False, cancel_futures=True)
        # A compiler may start while this one looks: look until all have ended.
        while not all(future.done() for future in futures):
            for child in list(children):
                stop(child)
            concurrent.futures.wait(futures, timeout=0.2)
        raise
    finally:
        pool.shutdown()
    return done, failed
