"""Many fits at once in one cache, and very many in one process."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from hiermodels.stan import programs
from tests import load

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


@pytest.mark.slow
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


FITS_BY_NUTS = 10  # one in so many; the others are by the exact engine, in a tenth of the time


def very_many(count: int) -> None:
    """So many fits here: no more memory, files, threads or temporary files than after the first."""
    every, process = load.models(), psutil.Process()
    exact = [every[0], every[1]]
    held: list[tuple[int, int, int]] = []
    began = time.monotonic()
    for number in range(count):
        if number % FITS_BY_NUTS == 0:
            model = every[number // FITS_BY_NUTS % len(every)]
            model.fit(seed=number, **load.QUICK)
        else:
            model = exact[number % len(exact)]
            model.fit(engine="exact", seed=number, draws=100, progress=False, pointwise=False)
        if (number + 1) % (count // 20) == 0:
            gc.collect()
            held.append((process.memory_info().rss, process.num_fds(), threading.active_count()))
    print(f"{count} fits in {time.monotonic() - began:.0f} s; MB, files, threads:")
    print([(rss >> 20, files, threads) for rss, files, threads in held])
    memory, files, threads = np.array(held, dtype=float).T
    # The first half is what caches and the allocator take.
    later = memory[10:]
    slope = np.polyfit(np.arange(len(later)), later, 1)[0] * len(later) / (count / 2)
    print(f"{slope:.0f} bytes a fit")
    assert slope * count < 32e6 + 0.02 * memory[-1]
    assert files[-1] <= files[0] + 3
    assert threads[-1] <= threads[0]


def test_many_fits_in_one_process_leave_nothing_behind(unharmed: Path) -> None:
    very_many(60)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_ten_thousand_fits_in_one_process_leave_nothing_behind(unharmed: Path) -> None:
    very_many(10_000)
