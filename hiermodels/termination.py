"""An end from outside (SIGTERM, SIGHUP) while children run: they end first, then this process.

Python itself turns SIGINT into an exception, so that Ctrl-C passes through every ``finally``. Of
the other two it dies on the spot: its children go on, and its temporary files stay. Either way
Python acts between two of its own steps only, so that long work of a library goes to a thread.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from types import FrameType
from typing import Any, TypeVar

__all__ = ["interruptible", "leash", "terminable"]

_T = TypeVar("_T")

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
_PATIENCE = 5.0
"""Seconds that the first signal's unwinding has before a further one ends the process."""


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind what is inside as SystemExit, whose code is 143 or 129.

    A caller who has a handler of their own, or ignores a signal (``nohup``), keeps that. Only the
    main thread can do this, as Python has it; in others :func:`leash` alone sees to the children.
    A second signal is no reason to leave the first one's unwinding half done, unless that has taken
    more than five seconds: of that one the process dies, as it would without this.
    A worker process of a pool would hand the SystemExit to whoever waits for its task: it dies of
    the signal instead, as it would have, once all is unwound.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    since = 0.0

    def unwind(number: int, _: FrameType | None) -> None:
        nonlocal since
        came.append(number)
        if len(came) == 1:
            since = time.monotonic()
            raise SystemExit(128 + number)
        if time.monotonic() - since > _PATIENCE:
            # A library may wait for its own end, or have swallowed the exception.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    ours = [number for number in _SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, unwind)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
        if came and _is_worker():
            os.kill(os.getpid(), came[0])


def interruptible(work: Callable[[], _T], stop: Callable[[], object]) -> _T:
    """Do what keeps a library busy in a thread, so that signals are heard meanwhile.

    Parameters
    ----------
    work : callable
        What is to be done.
    stop : callable
        Ends it early, from another thread. It may come too soon, or too late.

    Returns
    -------
    object
        What ``work`` returns; what it raises is raised.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()  # no signals come here
    begun, dropped = threading.Event(), threading.Event()

    def run() -> Any:
        begun.wait()
        return None if dropped.is_set() else work()

    with ThreadPoolExecutor(1) as pool:
        try:
            future = pool.submit(run)
            begun.set()
            result: _T = future.result()
        except BaseException:
            if begun.is_set():
                while not future.done():
                    stop()
                    wait([future], timeout=0.05)
            dropped.set()  # a signal came while the thread was being made
            begun.set()
            raise
    return result


def _is_worker() -> bool:
    from multiprocessing import parent_process

    return parent_process() is not None


@cache
def leash() -> tuple[str, ...]:
    """What goes before a command so that Linux kills its process when the one that waits is gone.

    That holds however it goes: by SIGKILL, out of memory, or in a thread that hears no signals.
    util-linux's ``setpriv`` asks for it and becomes the command, under the same process id; the
    wait is for the thread that started it, which therefore has to live as long. Nothing where
    there is no such thing.
    """
    import shutil
    import subprocess
    import sys

    path = shutil.which("setpriv") if sys.platform == "linux" else None
    if path is None:
        return ()
    held = (path, "--pdeathsig", "KILL", "--")
    try:  # an old one has no such option, BusyBox's neither, and a sandbox may forbid it
        tried = subprocess.run(
            [*held, path, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return held if tried.returncode == 0 else ()
