"""One chain: its process from start to end, and its draws from Stan's CSV file."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...stan.toolchain import stan_environment
from ...system import digests, writing
from ...system.termination import terminable

Array = NDArray[np.float64]

_ITERATION = re.compile(rb"Iteration:\s*(\d+)\s*/")
_STOP_CHECK = 0.2  # seconds between looks at whether to stop
GRACE = 5.0
"""Seconds that a chain has to end by itself once told to."""
_TOTAL = b"seconds (Total)"
"""Among the last words of a CSV file that Stan has written to its end."""
_FULL = 1 << 20
"""Bytes free, below which a disk counts as full."""


@dataclass(frozen=True)
class Task:
    """One chain, with all that a worker process needs to run it."""

    chain: int
    command: tuple[str, ...]
    csv: Path
    stop: Path
    warmup: int
    draws: int
    leave_out: tuple[str, ...]
    mark: Path | None = None
    """File that marks the chain as finished; None where the fit cannot be resumed."""

    @property
    def console(self) -> Path:
        """What Stan prints."""
        return self.csv.with_suffix(".txt")


@dataclass(frozen=True)
class Chain:
    """The result of one chain.

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
        end_orphan(task.csv)
        task = _again(task)
    with terminable():  # a worker process may be told to end as well
        try:
            code, removed = _run(task)
        except OSError as error:
            why = error.strerror or error
            return Chain(task.chain, failure=f"could not be started ({why})")
    if removed is not None:
        return Chain(task.chain, failure=f"was ended, as {removed} was removed while it ran")
    if code != 0:
        # CmdStan 2.27 writes on into a full disk; 2.36 ends, with no more than "iostream error".
        failure = f"{_how_it_ended(code)}{_full(task.csv)}"
        return Chain(task.chain, failure=failure, messages=_last_messages(task.console))
    chain = _read(task)
    if chain.finished and task.mark is not None:
        _leave_mark(task.csv, task.mark)
    return chain


def _run(task: Task) -> tuple[int, Path | None]:
    """Run the process of a chain.

    Returns its exit code, or minus the signal that ended it, and the file or folder that was
    removed meanwhile: all that the chain would still have drawn is lost.
    """
    pid = task.csv.with_suffix(".pid")
    with open(task.console, "wb") as console:
        process = subprocess.Popen(
            task.command,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            env=stan_environment(task.command[0]),
        )
    # A thread that waits is woken at once; Popen.wait with a timeout looks again and again.
    waiter = threading.Thread(target=process.wait, daemon=True)
    begun, removed = False, None
    try:
        pid.write_text(str(process.pid))
        waiter.start()
        while waiter.is_alive():
            waiter.join(_STOP_CHECK)
            removed = _removed(task.csv, begun)
            if removed is not None or task.stop.exists():
                process.terminate()
                waiter.join(GRACE)
                break
            begun = task.csv.exists()
    finally:
        # However the wait ended, no process is left.
        process.kill()
        code = process.wait()
        with suppress(OSError):
            pid.unlink(missing_ok=True)
    return code, removed or _removed(task.csv, begun=code == 0)


def _removed(csv: Path, begun: bool) -> Path | None:
    """What is gone of what a chain writes to."""
    if not csv.parent.exists():
        return csv.parent
    return csv if begun and not csv.exists() else None


def _read(task: Task) -> Chain:
    """The draws of a chain whose process has ended well."""
    wanted, failure = task.warmup + task.draws, None
    try:
        columns, values = _read_csv(task.csv, task.leave_out)
        if len(values) != wanted:
            failure = f"wrote {len(values)} of {wanted} draws{_full(task.csv)}"
        elif not _to_its_end(task.csv):
            # Stan does not look whether what it writes arrives.
            failure = f"left its last draws half written{_full(task.csv)}"
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        failure = f"left no draws that can be read ({reason}){_full(task.csv)}"
    messages = _last_messages(task.console)
    if failure is not None:
        return Chain(task.chain, failure=failure, messages=messages)
    return Chain(
        task.chain,
        columns=columns,
        warmup=values[: task.warmup],
        draws=values[task.warmup :],
        messages=messages,
    )


def _to_its_end(csv: Path) -> bool:
    with open(csv, "rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - 4096))
        return _TOTAL in file.read()


def _full(file: Path) -> str:
    """The likely reason of half a file, as the end of a sentence."""
    with suppress(OSError):
        if shutil.disk_usage(file.parent).free < _FULL:
            return f": the disk of {file.parent} is full; make room, or set TMPDIR or output_dir"
    return ""


# ---- finished chains, to be picked up ------------------------------------------------------------


def _leave_mark(csv: Path, mark: Path) -> None:
    """Say that a chain is finished, and which file it has left."""
    said = {"csv": csv.name, "sha256": digests.of_file(csv)}
    # Without its mark the chain is run again: slower, and the same.
    with suppress(OSError), writing.whole(mark) as part:
        part.write_text(json.dumps(said))


def draws_left(mark: Path) -> tuple[Path, str] | None:
    """The file of a chain that is marked as finished, and its hash then; None where it is not.

    Raises
    ------
    PermissionError
        The mark is closed to this user.
    """
    try:
        said = json.loads(mark.read_text())
        csv = mark.with_name(Path(said["csv"]).name)
        return (csv, said["sha256"]) if csv.is_file() else None
    except PermissionError:
        raise
    except (OSError, ValueError, KeyError, TypeError):
        return None


def finished(task: Task) -> Chain | None:
    """The chain that an earlier run has finished, where its file is still what it was then.

    Raises
    ------
    PermissionError
        A file is closed to this user: to run the chain again would throw away another's.
    """
    found = None if task.mark is None else draws_left(task.mark)
    if found is None or digests.of_file(found[0]) != found[1]:
        return None
    chain = _read(replace(task, csv=found[0]))
    return chain if chain.finished else None


def clear(task: Task) -> None:
    """Remove what unfinished tries of a chain have left, processes first.

    Raises
    ------
    OSError
        Its files cannot be removed.
    """
    if task.mark is not None:
        task.mark.unlink(missing_ok=True)
    while any(file.exists() for file in (task.csv, task.console)):
        end_orphan(task.csv)
        for file in (task.csv, task.console):
            file.unlink(missing_ok=True)
        task = _again(task)


def end_orphan(csv: Path) -> None:
    """End the process that writes a chain's file: its worker died, and cannot end it any more."""
    pid = csv.with_suffix(".pid")
    try:
        number = int(pid.read_text())
        # The number may be another machine's, or have gone to another process since.
        if str(csv) in Path(f"/proc/{number}/cmdline").read_text(errors="replace"):
            os.kill(number, signal.SIGKILL)
    except (OSError, ValueError):
        pass  # it never began, has ended, or cannot be seen, as the system has no /proc
    finally:
        pid.unlink(missing_ok=True)


def _again(task: Task) -> Task:
    """The same chain with files of its own."""
    csv = task.csv.with_name(f"{task.csv.stem}_again.csv")
    command = tuple(part.replace(str(task.csv), str(csv)) for part in task.command)
    return replace(task, csv=csv, command=command)


# ---- words ---------------------------------------------------------------------------------------


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:  # pragma: no cover - a signal that this Python does not know
        name = f"signal {-code}"
    return f"was killed by {name}{' (out of memory?)' if name == 'SIGKILL' else ''}"


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
