"""An end from outside (SIGTERM, SIGHUP) while children run: they end first, then this process.

Python itself turns SIGINT into an exception, so that Ctrl-C passes through every ``finally``. Of
the other two it dies on the spot: its children go on, and its temporary files stay. Either way
Python acts between two of its own steps only, so that long work of a library goes to a thread. A
signal that comes just before the main thread goes to sleep, or to another thread, does not wake it:
it sleeps for moments only (:func:`wait`).
"""

from __future__ import annotations

import concurrent.futures
import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from types import FrameType
from typing import TypeVar

__all__ = ["answer", "interruptible", "leash", "stoppable", "terminable", "wait"]

_T = TypeVar("_T")

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
_MOMENT = 0.2
"""Seconds that a signal may wait to be heard."""
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
    late: list[int] = []
    since, ended = 0.0, False

    def unwind(number: int, _: FrameType | None) -> None:
        nonlocal since
        if ended:
            late.append(number)
            return
        came.append(number)
        if len(came) == 1:
            since = time.monotonic()
            raise SystemExit(128 + number)
        if time.monotonic() - since > _PATIENCE:
            # A library may wait for its own end, or have swallowed the exception.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    ours = [number for number in _SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
    try:
        try:
            for number in ours:
                signal.signal(number, unwind)
            yield
        finally:
            ended = True
    finally:  # of its own, as a signal may come before the line above
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
        if late or (came and _is_worker()):
            os.kill(os.getpid(), [*late, *came][0])


def interruptible(work: Callable[[], _T], stop: Callable[[], object]) -> _T:
    """Do what keeps a library busy in a thread, so that signals are heard meanwhile.

    Parameters
    ----------
    work : callable
        What is to be done.
    stop : callable
        Ends it early, from another thread. It may come too soon, or too late, and is called again
        until the work has ended; a further Ctrl-C after five seconds leaves it to itself.

    Returns
    -------
    object
        What ``work`` returns; what it raises is raised.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()  # no signals come here
    future = concurrent.futures.Future[_T]()

    def run() -> None:
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)

    thread = threading.Thread(target=run)
    try:
        thread.start()
        wait([future])
    except BaseException:
        since = time.monotonic()
        # Where the signal came before it had begun, it is cancelled, and will not begin.
        while not (future.cancel() or future.done()):
            try:
                stop()
                concurrent.futures.wait([future], timeout=0.05)
            except KeyboardInterrupt:
                if time.monotonic() - since > _PATIENCE:
                    raise
        raise
    thread.join()
    return future.result()


# What ends the library's work that is under way, if any is.
_STOP: ContextVar[Callable[[], object] | None] = ContextVar("stop", default=None)


@contextmanager
def stoppable(stop: Callable[[], object]) -> Iterator[None]:
    """A context in which every :func:`answer` can be interrupted by calling ``stop``."""
    token = _STOP.set(stop)
    try:
        yield
    finally:
        _STOP.reset(token)


def answer(query: Callable[[], _T]) -> _T:
    """What a query to a data frame's engine gives; within :func:`stoppable` it ends at once.

    DuckDB itself looks for signals between two pieces of its work, which may be minutes apart, and
    raises an error of its own in place of the interruption.

    Raises
    ------
    KeyboardInterrupt
        The query was interrupted, or another DuckDB connection's, one of the caller's.
    """
    stop = _STOP.get()
    try:
        return query() if stop is None else interruptible(query, stop)
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:
            # The second is what DuckDB makes of a signal, which has no type of its own.
            if type(cause).__name__ == "InterruptException" or (
                type(cause) is RuntimeError and str(cause) == "Query interrupted"
            ):
                raise KeyboardInterrupt from error
            cause = cause.__cause__
        raise


def wait(
    futures: Collection[concurrent.futures.Future[_T]],
    return_when: str = concurrent.futures.ALL_COMPLETED,
) -> set[concurrent.futures.Future[_T]]:
    """Wait as :func:`concurrent.futures.wait` does, and hear signals meanwhile.

    Parameters
    ----------
    futures : collection of concurrent.futures.Future
    return_when : str
        ``concurrent.futures.ALL_COMPLETED`` or ``FIRST_COMPLETED``.

    Returns
    -------
    set of concurrent.futures.Future
        Those that are done.
    """
    while True:
        done, pending = concurrent.futures.wait(futures, _MOMENT, return_when)
        if not pending or (done and return_when == concurrent.futures.FIRST_COMPLETED):
            return done


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
