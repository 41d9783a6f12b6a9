"""Tasks that are tried again: lost workers, closed executors, tasks that cannot travel."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import pytest

from hiermodels.errors import OptionError
from hiermodels.many import retries


class Unsteady(Executor):
    """Runs a task at once, unless what comes of it is decided otherwise."""

    def __init__(self, fate: Callable[[Any, int], Exception | None]) -> None:
        self.fate = fate
        self.handed_in: list[tuple[Any, int]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.handed_in.append((args[0], args[1]))
        if error := self.fate(*args):
            future.set_exception(error)
        else:
            future.set_result(fn(*args, **kwargs))
        return future


def square(number: int, _: int) -> int:
    return number * number


def answers(**options: Any) -> dict[int, Any]:
    return dict(retries.run(square, range(4), **options))


SQUARES = {0: 0, 1: 1, 2: 4, 3: 9}


def test_tasks_run_in_threads_of_this_process_where_there_is_no_executor() -> None:
    names = dict(retries.run(lambda *_: threading.current_thread().name, range(4)))
    assert threading.main_thread().name not in names.values()
    assert answers() == SQUARES


def test_a_lost_task_is_handed_in_again_as_another_try() -> None:
    # The number of the try matters: Dask would answer the very same task with what it remembers.
    executor = Unsteady(lambda task, at: OSError("gone") if (task, at) == (2, 1) else None)
    assert answers(executor=executor) == SQUARES
    assert [x for x in executor.handed_in if x[0] == 2] == [(2, 1), (2, 2)]


def test_a_task_that_loses_every_worker_is_given_up_alone() -> None:
    executor = Unsteady(lambda task, _: OSError("out\nof memory") if task == 2 else None)
    found = answers(executor=executor)
    assert found.pop(2) == retries.Lost("lost with its worker 2 times (OSError: out of memory)")
    assert found == {0: 0, 1: 1, 3: 9}


def test_cancelled_tasks_are_tried_again() -> None:
    class Cancelling(Unsteady):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            future = super().submit(fn, *args, **kwargs)
            if args == (1, 1):  # what a Dask client does that is being closed
                future = Future()
                future.cancel()
                future.set_running_or_notify_cancel()
            return future

    assert answers(executor=Cancelling(lambda *_: None)) == SQUARES


def test_tasks_of_a_broken_executor_come_home() -> None:
    class Breaking(Unsteady):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            if len(self.handed_in) == 3:
                raise BrokenProcessPool("a child process terminated abruptly")
            return super().submit(fn, *args, **kwargs)

    executor = Breaking(lambda task, _: BrokenProcessPool("terminated") if task else None)
    assert answers(executor=executor) == SQUARES
    assert len(executor.handed_in) == 3


def test_an_executor_that_is_closed_from_the_beginning_is_refused() -> None:
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(OptionError, match=r"executor: it takes no tasks .* pass an open one"):
        answers(executor=pool)


def test_an_executor_that_gives_futures_of_its_own_is_refused() -> None:
    class Client:
        def submit(self, *_: Any) -> object:
            return object()

    with pytest.raises(OptionError, match=r"got Client; for Dask pass client.get_executor\(\)"):
        answers(executor=Client())


@pytest.mark.parametrize("when", ["at once", "later"])
def test_a_task_that_cannot_travel_is_not_tried_again(when: str) -> None:
    class Refusing(Unsteady):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            if args[0] == 1 and when == "at once":
                raise TypeError("cannot pickle")
            return super().submit(fn, *args, **kwargs)

    executor = Refusing(lambda task, _: TypeError("cannot pickle") if task == 1 else None)
    found = answers(executor=executor)
    assert found.pop(1) == retries.Lost("could not be sent to a worker (TypeError: cannot pickle)")
    assert found == {0: 0, 2: 4, 3: 9}


def test_tasks_are_taken_only_as_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "_OUT_AT_ONCE", 2)
    taken: list[int] = []

    def tasks() -> Iterator[int]:
        for number in range(10):
            taken.append(number)
            yield number

    with contextlib.closing(retries.run(square, tasks())) as results:
        next(results)
        assert len(taken) <= 3
        assert len(list(results)) == 9


def test_leaving_early_ends_what_runs_and_cancels_what_waits() -> None:
    called_off = threading.Event()
    began: list[int] = []

    def waits(number: int, _: int) -> int:
        began.append(number)
        if number:
            assert called_off.wait(20)
        return number

    start = time.monotonic()
    with contextlib.closing(retries.run(waits, range(100), stop=called_off.set)) as results:
        assert next(results) == (0, 0)
    assert time.monotonic() - start < 10
    assert called_off.is_set()
    assert len(began) < 100
    assert not any(thread.name.startswith("ThreadPool") for thread in threading.enumerate())
