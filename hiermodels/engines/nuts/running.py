"""Hand chains to an executor, wait for them, and call them off where the wait is broken off."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any

from ...errors import OptionError
from ...system import progress as bars
from ...system import termination
from .chains import GRACE, Chain, Task, end_orphan, iterations, run_chain

__all__ = ["run"]


def run(
    tasks: Sequence[Task],
    iterations_each: int,
    parallel_chains: int,
    executor: Executor | None,
    progress: bool | None,
) -> list[Chain]:
    """Run chains whose files are prepared; as :func:`.sampling.sample` does."""
    if not tasks:
        return []
    stop = tasks[0].stop  # one file for all chains
    with termination.terminable():
        own = None if executor is not None else ThreadPoolExecutor(parallel_chains)
        where: Any = own or executor
        futures: list[Future[Chain]] = []
        try:
            _submit(where, tasks, futures)
            _watch(tasks, futures, iterations_each, progress)
            return [_result(task, future) for task, future in zip(tasks, futures, strict=True)]
        except BaseException:
            # Every running chain sees this file and ends its process.
            _tell(tasks)
            ours = [future for future in futures if isinstance(future, Future)]
            for future in ours:
                future.cancel()
            wait(ours, timeout=GRACE + 1)
            raise
        finally:
            if own is not None:
                own.shutdown(wait=True, cancel_futures=True)
            # Chains that have not answered have still to see it.
            if all(isinstance(future, Future) and future.done() for future in futures):
                stop.unlink(missing_ok=True)


def _tell(tasks: Sequence[Task]) -> None:
    """Tell the chains to end: by a file or, where not even that can be written, one by one."""
    try:
        tasks[0].stop.touch()
    except OSError:
        for task in tasks:
            end_orphan(task.csv)


def _watch(
    tasks: Sequence[Task],
    futures: Sequence[Future[Chain]],
    each: int,
    progress: bool | None,
) -> None:
    """Wait for the chains, moving the bar by what they print."""
    if not bars.wanted(progress):
        termination.wait(futures)
        return
    with bars.bar(each * len(tasks), f"{len(tasks)} chains", progress=progress) as bar:
        pending = set(futures)
        while pending:
            _, pending = wait(pending, timeout=0.1)
            done = sum(
                each if future.done() else iterations(task.console)
                for task, future in zip(tasks, futures, strict=True)
            )
            bar.update(done - bar.n)


def _submit(where: Any, tasks: Sequence[Task], futures: list[Future[Chain]]) -> None:
    """Hand the chains to an executor; refuse what only looks like one."""
    try:
        for task in tasks:
            futures.append(where.submit(run_chain, task))
    except RuntimeError as error:  # what an executor that was shut down raises
        raise OptionError(f"executor: it takes no tasks ({error}); pass an open one") from error
    if not all(isinstance(future, Future) for future in futures):
        raise OptionError(
            "executor must be a concurrent.futures.Executor, whose submit gives a "
            f"concurrent.futures.Future, got {type(where).__name__}; for Dask pass "
            "client.get_executor()"
        )


def _result(task: Task, future: Future[Chain]) -> Chain:
    """The chain of a future; run once more, here, where the worker was lost.

    The same seed gives the very draws that were lost.
    """
    try:
        return future.result()
    except Exception as error:
        lost = f"was lost with its worker ({type(error).__name__}: {error})"
    again = run_chain(task)
    if again.finished:
        return again
    return replace(again, failure=f"{lost}, and run again {again.failure}")
