"""Run one process under watch: its seconds, and the peak memory of it and all its children."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = ["Watched", "memory", "watch"]

_INTERVAL = 0.02
_DUTY = 0.02
# Share of a processor that the watching may take: it must not slow down what it watches.


@dataclass(frozen=True)
class Watched:
    """How a process went.

    Attributes
    ----------
    ended : {"finished", "failed", "limit"}
    began : float
        When it was started, as ``time.time()`` tells it.
    seconds : float
        From its start to its end.
    memory : tuple of (float, int)
        When, as ``time.time()`` tells it, and the sum of the proportional set sizes of it and its
        descendants, in bytes. Pages that processes share are counted once.
    """

    ended: str
    began: float
    seconds: float
    memory: tuple[tuple[float, int], ...]


def watch(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    log: Path,
    limit: float,
) -> Watched:
    """Run a command to its end, or to the limit.

    Parameters
    ----------
    command : sequence of str
    env : mapping
        The whole environment of the process.
    cwd, log : Path
        Its working folder, and the file that gets all it says.
    limit : float
        Seconds after which it and its descendants are killed.
    """
    samples = []
    with open(log, "wb") as said:
        began_at, began = time.time(), time.perf_counter()
        process = subprocess.Popen(
            list(command),
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        tree = psutil.Process(process.pid)
        ended = ""
        try:
            while True:
                cost = -time.thread_time()
                samples.append((time.time(), memory(tree)))
                cost += time.thread_time()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=max(_INTERVAL, cost / _DUTY))
                    break
                if time.perf_counter() - began > limit:
                    ended = "limit"
                    break
        finally:
            seconds = time.perf_counter() - began
            _end(process, tree)
    if not ended:
        ended = "finished" if process.returncode == 0 else "failed"
    return Watched(ended, began_at, seconds, tuple(samples))


def memory(tree: psutil.Process) -> int:
    """Proportional set size of a process and its descendants, in bytes."""
    total = 0
    for process in _family(tree):
        with contextlib.suppress(psutil.Error, OSError):
            total += process.memory_full_info().pss
    return total


def _family(tree: psutil.Process) -> list[psutil.Process]:
    try:
        return [tree, *tree.children(recursive=True)]
    except psutil.Error:
        return []


def _end(process: subprocess.Popen[bytes], tree: psutil.Process) -> None:
    """Leave nothing running of what was started here."""
    family = _family(tree) if process.poll() is None else []
    for member in family:
        with contextlib.suppress(psutil.Error):
            member.kill()
    if family:
        psutil.wait_procs(family[1:], timeout=10)
    process.wait()


def machine() -> dict[str, str | int | float]:
    """The machine in general words: processors, memory, Python's own platform."""
    model = "unknown"
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{os.uname().sysname} {os.uname().machine}",
    }
