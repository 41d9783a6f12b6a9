"""One chain: its process from start to end, and its draws out of Stan's CSV file."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_ITERATION = re.compile(rb"Iteration:\s*(\d+)\s*/")
_STOP_CHECK = 0.2  # seconds between looks at whether to stop
GRACE = 5.0
"""Seconds that a chain has to end by itself once told to."""


@dataclass(frozen=True)
class Task:
    """One chain, with all that a worker process needs to run it."""

    chain: int
    command: tuple[str, ...]
    csv: Path
    console: Path
    pid: Path
    stop: Path
    warmup: int
    draws: int
    leave_out: tuple[str, ...]


@dataclass(frozen=True)
class Chain:
    """What became of one chain.

    Attributes
    ----------
    number : int
        The chain's number, from 0, as in the container.
    columns : tuple of str
        Names of the columns, as in Stan's CSV file.
    draws, warmup : array, shape (iterations, columns)
        Kept draws; warmup has no rows unless it was saved.
    failure : str or None
        None where the chain finished; else what happened to it.
    messages : str
        The end of what Stan printed.
    """

    number: int
    columns: tuple[str, ...] = ()
    draws: Array = field(default_factory=lambda: np.empty((0, 0)))
    warmup: Array = field(default_factory=lambda: np.empty((0, 0)))
    failure: str | None = None
    messages: str = ""

    @property
    def finished(self) -> bool:
        """Whether all its draws are there."""
        return self.failure is None


def run_chain(task: Task) -> Chain:
    """Run one chain to its end and read its draws; also in another process.

    Dask hands a task whose worker died out again by itself. Such a second try ends what is left of
    the first, and writes into files of its own: the first may run on a machine out of reach.
    """
    while task.console.exists():
        end_orphan(task)
        task = _again(task)
    try:
        with open(task.console, "wb") as console:
            process = subprocess.Popen(
                task.command,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                env=os.environ | {"STAN_NUM_THREADS": "1"},
            )
    except OSError as error:
        return Chain(task.chain, failure=f"could not be started ({error.strerror or error})")
    try:
        task.pid.write_text(str(process.pid))
        code = _wait(process, task.stop)
    finally:
        _end(process)
        task.pid.unlink(missing_ok=True)
    messages = _last_messages(task.console)
    if code != 0:
        return Chain(task.chain, failure=_how_it_ended(code), messages=messages)
    try:
        columns, values = _read_csv(task.csv, task.leave_out)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return Chain(
            task.chain,
            failure=f"left no draws that can be read ({reason})",
            messages=messages,
        )
    if len(values) != task.warmup + task.draws:
        return Chain(
            task.chain,
            failure=f"wrote {len(values)} of {task.warmup + task.draws} draws",
            messages=messages,
        )
    return Chain(
        task.chain,
        columns=columns,
        warmup=values[: task.warmup],
        draws=values[task.warmup :],
        messages=messages,
    )


def _wait(process: subprocess.Popen[bytes], stop: Path) -> int:
    with _ending(process) as ended:
        while not ended(_STOP_CHECK):
            if stop.exists() or not stop.parent.exists():
                process.terminate()
                return process.wait(timeout=GRACE)
    return process.wait()


@contextmanager
def _ending(process: subprocess.Popen[bytes]) -> Iterator[Callable[[float], bool]]:
    """A function that waits so many seconds for the end of a process, and says whether it came.

    Linux wakes the waiter at once. Elsewhere Python looks again and again, every 50 ms at last,
    which is as long as a small chain takes.
    """
    try:
        end = os.pidfd_open(process.pid)
    except (AttributeError, OSError):  # not Linux, an old one, or a sandbox that forbids it
        yield lambda seconds: _polled(process, seconds)
        return
    try:
        poll = select.poll()
        poll.register(end, select.POLLIN)
        yield lambda seconds: bool(poll.poll(1000 * seconds))
    finally:
        os.close(end)


def _polled(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave no orphan, however the wait ended."""
    if process.poll() is None:
        process.kill()
        process.wait()


def end_orphan(task: Task) -> None:
    """End the process of a chain whose worker died: nobody else watches it any more."""
    try:
        pid = int(task.pid.read_text())
        # The number may be another host's, or have gone to another process since.
        if _runs(pid, task):
            os.kill(pid, signal.SIGKILL)
    except (OSError, ValueError):
        return  # it never began, or has ended
    finally:
        task.pid.unlink(missing_ok=True)


def _runs(pid: int, task: Task) -> bool:
    """Whether that process is this chain's: its command line names the chain's file."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        ps = ["ps", "-o", "command=", "-p", str(pid)]
        command = subprocess.run(ps, capture_output=True, text=True, check=False).stdout
    return str(task.csv) in command


def _again(task: Task) -> Task:
    """The same chain with files of its own."""
    csv, console, pid = (
        path.with_name(f"{path.stem}_again{path.suffix}")
        for path in (task.csv, task.console, task.pid)
    )
    command = tuple(part.replace(str(task.csv), str(csv)) for part in task.command)
    return replace(task, csv=csv, console=console, pid=pid, command=command)


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:  # pragma: no cover - a signal that this Python does not know
        name = f"signal {-code}"
    hint = " (out of memory?)" if name == "SIGKILL" else ""
    return f"was killed by {name}{hint}"


def _last_messages(console: Path, lines: int = 6) -> str:
    """The end of what Stan printed, without its progress and its echo of the settings."""
    try:
        text = console.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    skip = re.compile(r"^\s*(Iteration:|Gradient evaluation|\d+ transitions using|$)")
    # The settings are indented or "name = value"; Stan's own words are not.
    setting = re.compile(r"^\s*\w+ = |^\s+\w+$|^(method|id|data|init|random|output)\b")
    said = [x for x in text.splitlines() if not skip.match(x) and not setting.match(x)]
    return "\n".join(said[-lines:])


def _read_csv(path: Path, leave_out: Sequence[str]) -> tuple[tuple[str, ...], Array]:
    import pandas as pd

    def wanted(column: str) -> bool:
        return column.partition(".")[0] not in leave_out

    frame = pd.read_csv(path, comment="#", usecols=wanted, dtype=np.float64)
    return tuple(frame.columns), frame.to_numpy()


def iterations(console: Path) -> int:
    """How far a chain says it is."""
    try:
        with open(console, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 4096))
            found = _ITERATION.findall(file.read())
    except OSError:
        return 0
    return int(found[-1]) if found else 0
