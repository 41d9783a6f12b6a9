"""The C++ compiler and make: which ones they are, and running them."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import ToolchainError
from ..system.termination import interruptible


@dataclass(frozen=True)
class Toolchain:
    """The C++ compiler and the make that build CmdStan and Stan programs.

    Attributes
    ----------
    cxx, make : str
        Paths.
    cxx_version, make_version : str
        The first line of what each says of itself.
    """

    cxx: str
    cxx_version: str
    make: str
    make_version: str


def toolchain(path: Path | None = None) -> Toolchain:
    """Find the C++ compiler and make, as CmdStan's make files would.

    Parameters
    ----------
    path : Path, optional
        A CmdStan's folder, whose ``make/local`` may name another compiler.

    Returns
    -------
    Toolchain
        ``$CXX`` and ``$MAKE`` where they are set; else g++ (clang++ on macOS) and make.

    Raises
    ------
    ToolchainError
        One of them is missing or does not run.
    """
    local = make_local(path) if path is not None else ""
    written = re.findall(r"^\s*CXX\s*:?=\s*(\S.*?)\s*(?:#.*)?$", local, re.MULTILINE)
    usual = "clang++" if platform.system() == "Darwin" else "g++"
    cxx = written[-1] if written else os.environ.get("CXX") or usual
    make = os.environ.get("MAKE") or "make"
    return Toolchain(*_tool(cxx, "a C++ compiler", "CXX"), *_tool(make, "make", "MAKE"))


def _tool(command: str, what: str, variable: str) -> tuple[str, str]:
    words = shlex.split(command) or [command]
    path = shutil.which(words[0])
    if platform.system() == "Darwin":
        package = "`xcode-select --install`"
    else:
        package = "`apt-get install g++ make` on Debian and Ubuntu"
    advice = (
        f"next: {package}, or `conda install -c conda-forge cxx-compiler make`, or set "
        f"{variable} to another"
    )
    if path is None:
        raise ToolchainError(
            f"Stan programs need {what}, and there is no {words[0]!r} on the PATH; {advice}"
        )
    # "ccache g++" is a compiler too: the whole command must answer.
    code, output = run(
        [path, *words[1:], "--version"], cwd=Path(path).parent, env=build_environment()
    )
    if code != 0:
        raise ToolchainError(
            f"{what}, {path}, must answer --version, and ended with code {code}:\n"
            f"{tail(output, 3)}\n{advice}"
        )
    return path, (output.strip().splitlines() or ["unknown version"])[0]


def unfit_for_make(path: Path) -> str:
    """Name the first character of a path that make cannot handle; "" if it can handle all."""
    match = re.search(r"[\s#$%:;&|()<>*?\[\]{}'\"`\\~]", str(path))
    if match is None or platform.system() == "Windows":
        return ""
    return "a space" if match[0].isspace() else f"the character {match[0]!r}"


def make_local(path: Path) -> str:
    """Give what a CmdStan's ``make/local`` sets, after what the user sets for all of them."""
    texts = []
    for file in (Path(os.path.expanduser("~/.config/stan/make.local")), path / "make" / "local"):
        with contextlib.suppress(OSError):
            texts.append(file.read_text(encoding="utf-8", errors="replace"))
    return "\n".join(texts)


def build_environment(**changes: str) -> dict[str, str]:
    """Give the environment for make and the compiler: this process's own, with ``changes``.

    Where a make file started this process (``make demo``), its flags and its job server are not
    for CmdStan's make.
    """
    env = {k: v for k, v in os.environ.items() if k not in {"MAKEFLAGS", "MFLAGS", "MAKELEVEL"}}
    return {**env, "LC_ALL": "C", **changes}


def stan_environment(executable: str | os.PathLike[str]) -> dict[str, str]:
    """Give the environment for a compiled Stan program.

    An executable that came with the package looks for TBB beside itself, which Linux's loader
    learns from /proc. Where that is not mounted (a bare chroot), the loader takes this variable.
    """
    folder = os.path.dirname(os.path.abspath(executable))
    return {**os.environ, "LD_ORIGIN_PATH": folder, "STAN_NUM_THREADS": "1"}


def run(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    seconds: float | None = None,
    children: set[subprocess.Popen[str]] | None = None,
    umask: int = -1,
) -> tuple[int, str]:
    """Run a command to its end and give its exit code and the end of what it printed.

    The command leads a process group of its own, so that an interruption also ends the compilers
    that make started.

    Parameters
    ----------
    command : sequence of str
        Program and arguments; no shell.
    cwd : Path
        Where it runs.
    env : mapping, optional
        Its environment; this process's own by default.
    seconds : float, optional
        How long it may take.
    children : set, optional
        Holds the process while it runs, for another thread to stop (see :func:`stop`).
    umask : int
        Its umask; this process's own by default.

    Returns
    -------
    tuple of int and str
        Exit code (minus the signal's number where one ended it); at most the last 400 lines.

    Raises
    ------
    subprocess.TimeoutExpired
        It took longer, and was ended.
    """
    try:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
            umask=umask,
        )
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        return 127, f"{command[0]}: {error.strerror}"
    lines: deque[str] = deque(maxlen=400)
    late = threading.Event()

    def end() -> None:
        late.set()
        stop(process)

    clock = threading.Timer(seconds or 0, end)
    clock.daemon = True

    def read() -> int:
        assert process.stdout is not None  # noqa: S101  asked for above; tells the type checker
        with process.stdout:
            lines.extend(line.rstrip() for line in process.stdout)
        return process.wait()

    if seconds is not None:
        clock.start()
    if children is not None:
        children.add(process)
    try:
        code = interruptible(read, lambda: stop(process))
    except BaseException:
        stop(process)
        raise
    finally:
        clock.cancel()
        if children is not None:
            children.discard(process)
    if late.is_set():
        raise subprocess.TimeoutExpired(list(command), seconds or 0)
    return code, "\n".join(lines)


def stop(process: subprocess.Popen[str]) -> None:
    """End a process that :func:`run` started, and all that it started."""
    for sign, seconds in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            break
    # The first process has ended; one that it started may be deaf to SIGTERM.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def tail(output: str, most: int = 15) -> str:
    """Give the last lines of an output that hold anything, set in, to end a message with."""
    lines = [line for line in output.splitlines() if line.strip()]
    return "\n".join(f"  {line[:300]}" for line in lines[-most:])


def say(message: str, progress: bool | None) -> None:
    """One line on standard error, unless ``progress=False``."""
    if progress is not False:
        print(message, file=sys.stderr, flush=True)
