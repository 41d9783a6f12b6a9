"""Many fits at once in one cache, and very many in one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hiermodels import programs

from . import load

pytestmark = [
    pytest.mark.stan,
    # Short fits; that they say so is not what is tested here.
    pytest.mark.filterwarnings("ignore::hiermodels.errors.DiagnosticWarning"),
]

ROOT = Path(__file__).parents[1]


def at_once(processes: int, fits: int, folder: Path, cache: Path) -> None:
    """So many processes fit at once; each of their fits is that of this process by itself."""
    temporary = folder / "tmp"
    temporary.mkdir()
    environment = os.environ | {
        "HIERMODELS_CACHE": str(cache),
        "TMPDIR": str(temporary),
        "PYTHONPATH": str(ROOT),
    }
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.load", str(number), str(fits), folder / f"{number}.json"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(processes)
    ]
    try:
        said = [process.communicate()[0] for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()
    assert [process.returncode for process in running] == [0] * processes, "".join(said)
    assert list(temporary.iterdir()) == []
    for number in range(processes):
        there = json.loads((folder / f"{number}.json").read_text())
        assert len(there) == fits
        assert there == load.fits(number, fits)


def test_eight_processes_that_fit_at_once_give_the_draws_of_one(tmp_path: Path) -> None:
    at_once(8, 2, tmp_path, programs.cache_folder())


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_eight_processes_of_fifty_fits_begin_with_an_empty_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("HIERMODELS_CACHE", str(cache))
    at_once(8, 50, tmp_path, cache)
    names = [entry.name for entry in programs.entries()]
    assert len(names) == len(set(names)) == 4, "compiled more than once"
    assert all(entry.ok for entry in programs.entries())
    assert not [path for path in (cache / "programs").iterdir() if path.name.startswith(".")]
