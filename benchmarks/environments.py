"""The peers' virtual environments: ``python -m benchmarks.environments [--lock]``.

``peers/<peer>/requirements.in`` says what a peer needs, ``requirements.txt`` the exact version of
all that this brought in. Environments are made from the latter; ``--lock`` writes it anew.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["PEERS", "environment", "python_of", "versions", "workspace"]

ROOT = Path(__file__).resolve().parents[1]
PEERS = Path(__file__).resolve().parent / "peers"
PYTHON = "3.11"
"""The Python whose lock files these are."""


def workspace() -> Path:
    """Where environments, data and caches lie: build/bench, which git ignores."""
    return Path(os.environ.get("HIERMODELS_BENCH", ROOT / "build" / "bench"))


def python_of(peer: str | None) -> str:
    """The interpreter of a peer, or ours."""
    return sys.executable if peer is None else str(_folder(peer) / "bin" / "python")


def environment(peer: str) -> None:
    """Make a peer's environment, unless it is there and its lock file has not changed."""
    folder, lock = _folder(peer), PEERS / peer / "requirements.txt"
    stamp = folder / "lock.sha256"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    print(f"environment of {peer}: {folder}", flush=True)
    _make(folder, ["--no-deps", "--requirement", str(lock)])
    stamp.write_text(wanted)


def lock(peer: str) -> None:
    """Write a peer's lock file: what pip resolves today."""
    folder = _folder(peer)
    _make(folder, ["--requirement", str(PEERS / peer / "requirements.in")])
    pip = [python_of(peer), "-m", "pip", "--disable-pip-version-check", "freeze"]
    frozen = subprocess.run(pip, check=True, capture_output=True, text=True).stdout
    head = f"# Python {PYTHON}; written by: python -m benchmarks.environments --lock {peer}\n"
    (PEERS / peer / "requirements.txt").write_text(head + frozen)


def versions(peer: str | None, packages: Sequence[str]) -> dict[str, str]:
    """Versions of Python and of packages in an environment."""
    code = (
        "import json, platform, sys; from importlib.metadata import version as v;"
        "print(json.dumps({'python': platform.python_version()} | {p: v(p) for p in sys.argv[1:]}))"
    )
    command = [python_of(peer), "-c", code, *packages]
    said = subprocess.run(command, check=True, capture_output=True, text=True, cwd=PEERS).stdout
    found: dict[str, str] = json.loads(said)
    return found


def _folder(peer: str) -> Path:
    return workspace() / "envs" / peer


def _make(folder: Path, requirements: Sequence[str]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([_interpreter(), "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "install", *requirements], check=True)


def _interpreter() -> str:
    if f"{sys.version_info.major}.{sys.version_info.minor}" == PYTHON:
        return sys.executable
    found = shutil.which(f"python{PYTHON}")
    if found is None:
        raise SystemExit(
            f"error: the peers' lock files are for Python {PYTHON}, which is not on the PATH; "
            f"install it, or write lock files anew with --lock"
        )
    return found


def main() -> None:
    """Make the environments of all peers, or of those that are named."""
    known = sorted(path.parent.name for path in PEERS.glob("*/requirements.in"))
    parser = argparse.ArgumentParser(prog="benchmarks.environments", description=__doc__)
    parser.add_argument("peers", nargs="*", metavar="PEER", help=", ".join(known))
    parser.add_argument("--lock", action="store_true", help="resolve anew and write the lock file")
    options = parser.parse_args()
    for peer in options.peers or known:
        if options.lock:
            lock(peer)
        environment(peer)


if __name__ == "__main__":
    main()
