"""An end from outside: real signals to real processes, in the main thread and in others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, ThreadPoolExecutor
from pathlib import Path

import pytest

import hiermodels as hm
from hiermodels.many import retries
from hiermodels.system import termination

pytestmark = pytest.mark.usefixtures("unharmed")


def test_what_is_inside_is_unwound_once_and_the_signals_are_as_before() -> None:
    unwound = []

    def inside() -> None:
        with termination.terminable():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                signal.pause()
            finally:
                os.kill(os.getpid(), signal.SIGTERM)  # an impatient one
                unwound.append(True)

    with pytest.raises(SystemExit) as ended:
        inside()
    assert ended.value.code == 143
    assert unwound == [True]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_handler_of_the_callers_own_is_kept() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        with termination.terminable():
            os.kill(os.getpid(), signal.SIGTERM)
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_signal_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with termination.terminable():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_another_thread_than_the_main_one_leaves_the_signals_alone() -> None:
    seen = []

    def work() -> None:
        with termination.terminable():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.SIG_DFL]


def test_a_worker_process_dies_of_the_signal_and_sends_no_exit_home(tmp_path: Path) -> None:
    script = tmp_path / "pool.py"
    script.write_text(
        textwrap.dedent(
            """
            import os, signal, sys
            from concurrent.futures import ProcessPoolExecutor
            from concurrent.futures.process import BrokenProcessPool
            from hiermodels.system.termination import terminable

            def work():
                with terminable():
                    os.kill(os.getpid(), signal.SIGTERM)
                    signal.pause()

            if __name__ == "__main__":
                with ProcessPoolExecutor(1) as pool:
                    try:
                        pool.submit(work).result()
                    except BrokenProcessPool:
                        sys.exit(5)
            """
        )
    )
    done = subprocess.run([sys.executable, str(script)], timeout=60, check=False)
    assert done.returncode == 5


def test_work_in_a_thread_gives_its_value_and_its_errors() -> None:
    assert termination.interruptible(threading.get_ident, list) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        termination.interruptible(lambda: 1 / 0, list)


def test_work_in_a_thread_is_stopped_by_a_signal_even_where_the_first_call_comes_too_soon() -> None:
    begun, ended = threading.Event(), threading.Event()
    calls = []

    def work() -> bool:
        # To this thread, so that the main one is not woken, as by a signal just before it sleeps.
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        begun.set()
        return ended.wait(60)

    def stop() -> None:
        assert begun.wait(60)
        calls.append(threading.get_ident())
        if len(calls) == 2:
            ended.set()

    with pytest.raises(SystemExit) as end, termination.terminable():
        termination.interruptible(work, stop)
    assert end.value.code == 143
    assert calls == [threading.get_ident()] * 2


@pytest.mark.parametrize("how", [ALL_COMPLETED, FIRST_COMPLETED])
def test_a_wait_for_futures_hears_a_signal_that_does_not_wake_the_main_thread(how: str) -> None:
    ended = threading.Event()

    def work() -> bool:
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        return ended.wait(60)

    began = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(SystemExit) as end, termination.terminable():
            termination.wait([pool.submit(work)], how)
        ended.set()
    assert end.value.code == 143
    assert time.monotonic() - began < 30


def test_a_wait_for_futures_gives_the_first_or_all_that_are_done() -> None:
    slow, quick = Future[int](), Future[int]()
    quick.set_result(1)
    assert termination.wait([slow, quick], FIRST_COMPLETED) == {quick}
    timer = threading.Timer(2.5 * termination._MOMENT, slow.set_result, [2])
    timer.start()
    assert termination.wait({slow, quick}) == {slow, quick}
    timer.join()


def unheard(number: int, seconds: float) -> None:
    """Send a signal to this process in a way that does not wake its main thread."""
    timer = threading.Timer(seconds, lambda: signal.pthread_kill(threading.get_ident(), number))
    timer.daemon = True
    timer.start()


@pytest.mark.stan
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_fit_hears_a_signal_that_does_not_wake_the_main_thread(number: signal.Signals) -> None:
    model = hm.EightSchools(
        hm.datasets.eight_schools(),
        effect="effect",
        se="se",
        group="school",
        parameterization="noncentered",
    )
    unheard(number, 2)
    began = time.monotonic()
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        model.fit(chains=2, draws=1_000_000, seed=1, progress=False, parallel_chains=2)
    assert time.monotonic() - began < 30


def test_tasks_hear_a_signal_that_does_not_wake_the_main_thread() -> None:
    ended = threading.Event()
    unheard(signal.SIGINT, 0.5)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        dict(retries.run(lambda *_: ended.wait(60), range(3), stop=ended.set))
    assert time.monotonic() - began < 30
