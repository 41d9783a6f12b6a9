"""From a Stan program's name to an executable in the user's cache.

Programs lie in ``stan_models``; what is compiled from them lies in the cache folder, never beside
the sources. An executable is kept under a key made of all that goes into it, so that a change of
program, CmdStan, compiler or flags gives another; each is checked before its first use in a
process, and compiled anew where it is not what was put there. A wheel for one platform brings
executables along (:mod:`hiermodels.stan.wheel`), which come before the cache.

>>> from hiermodels import programs
>>> print(programs.load("eight_schools_centered"))  # doctest: +SKIP
>>> programs.executable("eight_schools_centered").path  # doctest: +SKIP
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import CompileError, HierModelsError, OptionError, ToolchainError, listed, suggest
from ..system import termination
from ..system.progress import wanted
from . import cache as _cache
from . import cmdstan, wheel
from .cache import CacheEntry, cache_folder, entries
from .compiling import (
    CPP_OPTIONS,
    STANC_OPTIONS,
    Executable,
    Program,
    compile_into_cache,
    key_of,
    side_by_side,
    state_of,
)
from .toolchain import run, say, tail, toolchain

__all__ = [
    "CacheEntry",
    "Executable",
    "Program",
    "cache_folder",
    "check_syntax",
    "clear",
    "compile_all",
    "entries",
    "executable",
    "folder",
    "load",
    "names",
]

# ---- programs -----------------------------------------------------------------------------------


def folder() -> Path:
    """Find the folder of Stan programs.

    Returns
    -------
    Path
        ``hiermodels/stan_models`` in an installed package; ``stan_models`` at the top of the
        repository in an editable install.

    Raises
    ------
    HierModelsError
        Neither is there.
    """
    package = Path(__file__).resolve().parents[1]
    for candidate in (package / "stan_models", package.parent / "stan_models"):
        if candidate.is_dir():
            return candidate
    raise HierModelsError(
        f"the Stan programs must lie in {package / 'stan_models'} (installed) or in "
        f"{package.parent / 'stan_models'} (repository), and neither is there; next: install "
        "hiermodels once more"
    )


def names() -> tuple[str, ...]:
    """Names of all programs, sorted."""
    return tuple(sorted(path.stem for path in folder().glob("*.stan")))


# For functions with an argument of that name.
_names = names


def load(name: str | Path) -> Program:
    """Read a program.

    Parameters
    ----------
    name : str or Path
        One of :func:`names`, or the file of a program that lies elsewhere.

    Returns
    -------
    Program

    Raises
    ------
    OptionError
        There is no program of that name.
    """
    if isinstance(name, Path):
        return Program(name.stem, name, name.read_text(encoding="utf-8"))
    known = names()
    if name not in known:
        raise OptionError(
            f"there is no Stan program {name!r}{suggest(str(name), known)}; next: take one of "
            f"{listed(known, 40)}"
        )
    path = folder() / f"{name}.stan"
    return Program(name, path, path.read_text(encoding="utf-8"))


def check_syntax(name_or_path: str | os.PathLike[str]) -> str:
    """Give all that stanc has to say about a program, warnings of its pedantic mode included.

    Parameters
    ----------
    name_or_path : str or path
        One of :func:`names`, or a file; includes are looked for beside it.

    Returns
    -------
    str
        Empty where stanc has nothing to say.

    Raises
    ------
    CompileError
        stanc does not accept the program.
    """
    path = Path(name_or_path)
    path = path if path.suffix == ".stan" else load(str(name_or_path)).path
    path = path.resolve()
    found = cmdstan.ensure()
    with tempfile.TemporaryDirectory(prefix="hiermodels-") as temporary:
        command = [
            *(str(found.path / "bin" / "stanc"), "--warn-pedantic"),
            *(f"--include-paths={path.parent}", f"--o={temporary}/out.hpp", str(path)),
        ]
        code, output = run(command, cwd=Path(temporary))
    if code != 0:
        raise CompileError(
            f"the Stan program {path.name} must be accepted by stanc {found.version_text}, which "
            f"says:\n{tail(output, 40)}\nnext: correct {path}"
        )
    return output.strip()


# ---- executables --------------------------------------------------------------------------------


# What was checked in this process, the files that it depends on, and their state then.
_seen: dict[str, tuple[Executable, tuple[Path, ...], tuple[Any, ...]]] = {}


def executable(name: str | Path, *, progress: bool | None = None) -> Executable:
    """Give a program's executable: what came with the package, out of the cache, or compiled now.

    Where several processes want the same one, one compiles it and the others wait. Where there is
    no CmdStan, it is installed first (:func:`hiermodels.stan.cmdstan.ensure`); what came with the
    package needs neither CmdStan nor a cache.

    Parameters
    ----------
    name : str
        One of :func:`names`.
    progress : bool, optional
        False says nothing of a compilation; else it is one line on standard error.

    Returns
    -------
    Executable
        Checked once in this process: owner, hash, and that it runs. Later calls look only whether
        a file or setting has changed since.

    Raises
    ------
    OptionError
        There is no such program.
    CompileError
        stanc or the C++ compiler does not accept it, or the cache folder cannot be written to.
    CmdStanError
        CmdStan or the compiler is missing or broken.
    """
    with termination.terminable():
        return _executable(name, progress)


def _executable(
    what: str | Path,
    progress: bool | None,
    children: set[subprocess.Popen[str]] | None = None,
    stopped: threading.Event | None = None,
) -> Executable:
    program = load(what)
    name = program.name
    if name in _seen:
        known, watched, state = _seen[name]
        if known.program == program and state == state_of(watched):
            return known
    came = wheel.find(program)
    if came is not None:
        what = wheel.fault(came)
        if not what:
            return _remember(came, wheel.watched(came))
        say(
            f"the executable of {name} that came with the package {what}: compiling one instead "
            "(`pip install --force-reinstall` of the wheel mends it)",
            progress,
        )
    found = cmdstan.ensure(progress=progress)
    depends_on = (
        *(found.path / "makefile", found.path / "make" / "local", cmdstan.default_directory()),
        *(() if came is None else wheel.watched(came)),
    )
    try:
        cache = cache_folder()
        tools = toolchain(found.path)
    except (CompileError, ToolchainError):
        # A read-only cache that was filled for others, and one that was filled while there was a
        # compiler, can still be used.
        ready = _ready(program, found)
        if ready is None:
            raise
        return _remember(ready, depends_on)
    key = key_of(program, found, tools)
    stem = f"{name}-{key[:16]}"
    entry = cache / "programs" / stem
    result = Executable(entry / name, program, key, found.version_text)
    with _cache.locked(cache, stem, progress, stopped):
        if stopped is not None and stopped.is_set():
            raise CompileError(f"the compilation of {name} was interrupted")
        if os.path.lexists(entry):
            what = _fault(result)
            if not what:
                return _remember(result, depends_on)
            say(f"the cached executable of {name} {what}: compiling it anew", progress)
        for left in entry.parent.glob(f".*{stem}*"):
            _cache.remove(left)
        try:
            compile_into_cache(result, found, tools, children, progress)
        except OSError as error:
            raise CompileError(
                f"the executable of {name} must go through a temporary folder into the cache "
                f"folder {cache}, and does not ({error}); next: make room, or set TMPDIR and "
                "HIERMODELS_CACHE to other folders"
            ) from error
        if what := _fault(result):
            raise CompileError(
                f"the Stan program {name} was compiled, and its executable {what}; next: see that "
                f"programs may be run in {cache} (else set HIERMODELS_CACHE to another folder); "
                f"else remove {found.path} and run `hiermodels install-cmdstan`"
            )
    return _remember(result, depends_on)


def _fault(result: Executable) -> str:
    """Say what is wrong with an executable, in its file or when it runs; "" for nothing."""
    return _cache.fault(result.path.parent, result.program.name, result.key) or _cache.run_fault(
        result.path, result.cmdstan_version
    )


def _remember(result: Executable, depends_on: Iterable[Path]) -> Executable:
    watched = (result.path, result.program.path, *result.program.includes, *depends_on)
    state = state_of(watched)
    # The file may have changed while an earlier state of it was compiled.
    if load(result.program.path).digest == result.program.digest:
        _seen[result.program.name] = result, watched, state
    return result


def _ready(program: Program, found: cmdstan.CmdStan) -> Executable | None:
    """Find an executable of this program, this CmdStan and our options, by whatever compiler.

    Flags that the user of a compiler has set (CXXFLAGS, ``make/local``) need not be those of now:
    they were chosen when the cache was filled.
    """
    wanted = {
        "digest": program.digest,
        "cmdstan_version": found.version_text,
        "cmdstan_path": str(found.path),
        "options": [STANC_OPTIONS, CPP_OPTIONS],
    }
    for entry, manifest in _cache.of_program(program.name):
        if all(manifest.get(what) == value for what, value in wanted.items()):
            key = str(manifest["key"])
            made = Executable(entry / program.name, program, key, found.version_text)
            if not _cache.run_fault(made.path, found.version_text):
                return made
    return None


def compile_all(
    names: Iterable[str] | None = None,
    *,
    jobs: int | None = None,
    progress: bool | None = None,
) -> list[Executable]:
    """Compile programs side by side; those that are in the cache are only checked.

    Parameters
    ----------
    names : iterable of str, optional
        All programs by default.
    jobs : int, optional
        Compilers at work at once; as many as there are processors by default. Each takes about
        1 GB of memory.
    progress : bool, optional
        True shows a bar, False says nothing, None shows a bar in a terminal and one line for each
        program elsewhere.

    Returns
    -------
    list of Executable
        In the order of ``names``.

    Raises
    ------
    CompileError
        Some do not compile; the others were compiled all the same.
    OptionError
        There is no such program.
    """
    if isinstance(names, str):
        names = [names]
    chosen = list(dict.fromkeys(_names() if names is None else names))
    came = [wheel.find(load(name)) for name in chosen]
    jobs = cmdstan.check_jobs(jobs)
    # Lines would break the bar.
    each = False if wanted(progress) else progress
    with termination.terminable():
        if None in came:
            cmdstan.ensure(progress=progress)
        done, failed = side_by_side(
            {name: partial(_executable, name, each) for name in chosen}, jobs, progress
        )
    if failed:
        first = failed[min(failed, key=chosen.index)]
        if len(failed) == len(chosen) and len({str(error) for error in failed.values()}) == 1:
            raise first  # the one program's own, or what keeps all from compiling
        raise CompileError(
            f"{len(failed)} of {len(chosen)} Stan programs did not compile "
            f"({listed(sorted(failed))}); the first of them: {first}"
        ) from first
    return [done[name] for name in chosen]


def clear(names: Iterable[str] | None = None) -> int:
    """Remove executables from the cache; a compilation that is under way is waited for.

    Parameters
    ----------
    names : iterable of str, optional
        Programs whose executables go; all by default.

    Returns
    -------
    int
        Bytes freed.

    Raises
    ------
    OptionError
        A name is neither a program's nor in the cache.
    """
    if names is None:
        return _cache.clear(None)
    chosen = [names] if isinstance(names, str) else list(names)
    known = {*_names(), *(entry.name for entry in entries())}
    for name in chosen:
        if name not in known:
            raise OptionError(f"there is no Stan program {name!r}{suggest(str(name), known)}")
    return _cache.clear(chosen)
