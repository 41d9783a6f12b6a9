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

import psutil
import pytest

import hiermodels as hm
from hiermodels.many import retries
from hiermodels.system import termination
from tests.engines.nuts.test_sampling import all_of, waiting

pytestmark = pytest.mark.usefixtures("unharmed")

FIT = """
    import sys, threading
    import hiermodels as hm
    model = hm.EightSchools(
        hm.datasets.eight_schools(), effect="effect", se="se", group="school",
        parameterization="noncentered",
    )
    def fit():
        model.fit(chains=2, draws=2_000_000, seed=1, progress=False, parallel_chains=2)
    {run}
"""
IN_A_THREAD = "thread = threading.Thread(target=fit); thread.start(); thread.join()"


def started(tmp_path: Path, run: str) -> subprocess.Popen[bytes]:
    script = tmp_path / "fit.py"
    script.write_text(textwrap.dedent(FIT.format(run=run)))
    work = tmp_path / "tmp"
    work.mkdir()
    return subprocess.Popen([sys.executable, str(script)], env=os.environ | {"TMPDIR": str(work)})


@pytest.mark.stan
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("run", ["fit()", IN_A_THREAD], ids=["main thread", "thread"])
def test_chains_end_with_whoever_waits_for_them(
    tmp_path: Path, run: str, sign: signal.Signals
) -> None:
    if not termination.leash():
        pytest.skip("this system cannot tie a process to another")
    parent = started(tmp_path, run)
    try:
        running = waiting(lambda: all_of(2, parent.pid))
        parent.send_signal(sign)
        parent.wait(timeout=20)
        _, alive = psutil.wait_procs(running, timeout=5)
        assert not alive
    finally:
        parent.kill()
        parent.wait()


def test_a_process_that_does_not_wait_any_more_takes_the_other_with_it() -> None:
    if not termination.leash():
        pytest.skip("this system cannot tie a process to another")
    code = textwrap.dedent(
        """
        import subprocess, sys, time
        from hiermodels.system.termination import leash
        # It speaks once setpriv has become it: before, there is nothing that would end it.
        child = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
        subprocess.Popen([*leash(), sys.executable, "-c", child])
        time.sleep(60)
        """
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    _, alive = psutil.wait_procs([child], timeout=5)
    assert not alive


def test_without_setpriv_commands_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    termination.leash.cache_clear()
    monkeypatch.setenv("PATH", "/nowhere")
    try:
        assert termination.leash() == ()
    finally:
        termination.leash.cache_clear()


def test_a_setpriv_that_cannot_do_it_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "setpriv"
    other.write_text("#!/bin/sh\necho 'setpriv: unrecognized option: pdeathsig' >&2\nexit 1\n")
    other.chmod(0o755)
    termination.leash.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    try:
        assert termination.leash() == ()
    finally:
        termination.leash.cache_clear()


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


def test_a_second_signal_ends_what_swallowed_the_first_once_its_time_is_up() -> None:
    code = textwrap.dedent(
        """
        import time
        from hiermodels.system import termination
        termination._PATIENCE = 1.0
        with termination.terminable():
            try:
                print("ready", flush=True)
                time.sleep(60)
            except SystemExit:
                print("swallowed", flush=True)
            for _ in range(600):
                time.sleep(0.1)
        """
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            process.terminate()
            assert process.stdout.readline() == b"swallowed\n"
            process.terminate()  # too soon
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(timeout=1.5)
            process.terminate()
            assert process.wait(timeout=20) == -signal.SIGTERM
        finally:
            process.kill()


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


AT_A_LINE = """
    import os, signal, sys, threading
    from hiermodels.system import termination

    # The wait is one turn of its loop, or the number of lines depends on the machine.
    termination._MOMENT = 60

    def sent_at(line):
        ended = threading.Event()
        seen = -1

        def trace(frame, event, argument):
            nonlocal seen
            if frame.f_code.co_filename != termination.__file__:
                return None
            ours = signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
            if event == "line" and ours:
                seen += 1
                if seen == line:
                    os.kill(os.getpid(), signal.SIGTERM)
            return trace

        sys.settrace(trace)
        code = None
        try:
            with termination.terminable():
                termination.interruptible(lambda: ended.wait(0.2), ended.set)
        except SystemExit as end:
            code = end.code
        sys.settrace(None)
        for thread in threading.enumerate():
            if thread is not threading.main_thread():
                thread.join()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        return seen >= line, code

    line = 0
    while True:
        if not (child := os.fork()):
            signal.alarm(10)
            try:
                sent, code = sent_at(line)
                os._exit(code or 1 if sent else 0)
            finally:
                os._exit(2)
        _, status = os.waitpid(child, 0)
        if not status:
            break
        print(line, os.waitstatus_to_exitcode(status))
        line += 1
"""


def test_a_signal_at_any_line_unwinds_or_kills_and_leaves_no_work_and_no_handler() -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(AT_A_LINE)],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    codes = [int(row.split()[1]) for row in done.stdout.splitlines()]
    assert len(codes) > 15
    # The last lines are those that give the signals back, after which they kill.
    assert set(codes) == {143, -signal.SIGTERM}, done.stdout + done.stderr
    assert codes == sorted(codes, reverse=True)
