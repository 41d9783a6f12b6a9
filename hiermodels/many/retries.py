"""Tasks on any executor, each tried again where its worker was lost.

A worker process can die (out of memory, killed by a batch system, a machine switched off). What it
was doing is handed out again; where the executor itself is beyond use, the tasks come home to the
threads of this process. Nothing here knows what a task is.
"""

from __future__ import annotations

import pickle
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..errors import OptionError
from ..system import progress as bars
from ..system import termination

T = TypeVar("T")
R = TypeVar("R")

MOST_TRIES = 2
"""Times that an executor is given a task. Dask has each time tried it on four workers by itself."""

# Tasks handed out and not yet back: enough to keep the workers of a large cluster busy, few enough
# that the data of those still to come need not be in memory.
_OUT_AT_ONCE = 512
_GRACE = 6.0  # seconds that an executor's workers have to end when told to stop
_LOOK = 0.2  # seconds between two times of telling them

# What an executor says of a task that cannot travel to another process.
_UNSENDABLE = (TypeError, AttributeError, pickle.PicklingError)


@dataclass(frozen=True)
class Lost:
    """A task that has no result.

    Attributes
    ----------
    reason : str
        What became of it, in one line.
    """

    reason: str


@dataclass(frozen=True)
class _Try(Generic[T]):
    task: T
    number: int  # from 1


class _Places(Generic[T, R]):
    """Where tasks run: on the executor as long as it takes any, then in threads of this process."""

    def __init__(self, work: Callable[[T, int], R], executor: Executor | None) -> None:
        self.work = work
        self.away = executor
        self.taken = False
        self._home: ThreadPoolExecutor | None = None

    @property
    def home(self) -> ThreadPoolExecutor:
        if self._home is None:
            self._home = ThreadPoolExecutor(bars.processors())
        return self._home

    def submit(self, this: _Try[T]) -> Future[R]:
        """Hand a task out.

        Its try's number goes along: Dask knows a task by its arguments, and would answer the same
        ones with the failure that it remembers.
        """
        if self.away is None:
            return self.home.submit(self.work, this.task, this.number)
        try:
            future = self.away.submit(self.work, this.task, this.number)
        except _UNSENDABLE:
            raise
        except Exception as error:  # closed, or broken by a worker that was lost
            if not self.taken:
                raise OptionError(
                    f"executor: it takes no tasks ({_one_line(error)}); pass an open one"
                ) from error
            self.away = None
            return self.submit(this)
        if not isinstance(future, Future):
            raise OptionError(
                "executor must be a concurrent.futures.Executor, whose submit gives a "
                f"concurrent.futures.Future, got {type(self.away).__name__}; for Dask pass "
                "client.get_executor()"
            )
        self.taken = True
        return future

    def end(self, pending: Iterable[Future[R]], stop: Callable[[], None]) -> None:
        """Let nothing go on: cancel what waits, tell what runs until it has ended."""
        running = {future for future in pending if not future.cancel()}
        until = None if self.away is None else time.monotonic() + _GRACE
        stop()
        while running and (until is None or time.monotonic() < until):
            _, running = wait(running, timeout=_LOOK)
            stop()

    def close(self) -> None:
        if self._home is not None:
            self._home.shutdown(wait=True, cancel_futures=True)


def run(
    work: Callable[[T, int], R],
    tasks: Iterable[T],
    executor: Executor | None = None,
    *,
    stop: Callable[[], None] = lambda: None,
) -> Generator[tuple[T, R | Lost], None, None]:
    """Give each task with its result, in the order in which they are done.

    Close the iterator (``contextlib.closing``) where it may be left before its end: that is what
    ends the tasks that still run.

    Parameters
    ----------
    work : callable
        ``work(task, try_number)``, with tries counted from 1. It reports its own failures in its
        result: an exception means to :func:`run` that the worker was lost.
    tasks : iterable
        Taken from as there is room for them.
    executor : concurrent.futures.Executor, optional
        Where they run; by default a thread of this process for each processor.
    stop : callable
        Tells tasks that run to end; called again and again until they have, where the iterator is
        left before its end.

    Yields
    ------
    task
        One of ``tasks``.
    result
        What ``work`` gave, or :class:`Lost` after ``MOST_TRIES`` lost workers.

    Raises
    ------
    OptionError
        The object is not an executor, or takes no tasks from the beginning.
    """
    places: _Places[T, R] = _Places(work, executor)
    pending: dict[Future[R], _Try[T]] = {}
    again: deque[_Try[T]] = deque()
    fresh = (_Try(task, 1) for task in tasks)
    try:
        while True:
            while len(pending) < _OUT_AT_ONCE:
                this = again.popleft() if again else next(fresh, None)
                if this is None:
                    break
                try:
                    pending[places.submit(this)] = this
                except _UNSENDABLE as error:
                    yield this.task, _unsendable(error)
            if not pending:
                return
            done = termination.wait(pending, FIRST_COMPLETED)
            for future in done:
                this = pending.pop(future)
                try:
                    result: R | Lost = future.result()
                except _UNSENDABLE as error:
                    result = _unsendable(error)
                except Exception as error:
                    # Where the executor is gone, there is still a try to be had at home.
                    if this.number < MOST_TRIES + (places.away is None):
                        again.append(_Try(this.task, this.number + 1))
                        continue
                    result = Lost(f"lost with its worker {this.number} times ({_one_line(error)})")
                yield this.task, result
    except BaseException:
        places.end(pending, stop)
        raise
    finally:
        places.close()


def _unsendable(error: Exception) -> Lost:
    return Lost(f"could not be sent to a worker ({_one_line(error)})")


def _one_line(error: BaseException) -> str:
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
