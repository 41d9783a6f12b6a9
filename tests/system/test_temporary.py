"""Temporary folders: gone with what made them, or with the next that makes one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from hiermodels.system import temporary
from tests.engines.nuts.test_sampling import all_of, waiting
from tests.system.test_termination import IN_A_THREAD, started

HELD = """
import os, sys, signal
from pathlib import Path
from hiermodels.system import temporary
with temporary.folder(Path(sys.argv[1])) as folder:
    print(folder, flush=True)
    signal.pause()
"""


def maker(room: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process that holds a folder."""
    command = [sys.executable, "-c", HELD, str(room)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def lost(room: Path) -> Path:
    """A folder whose process was killed."""
    process, folder = maker(room)
    with process:
        process.kill()
    assert folder.is_dir()
    return folder


def test_a_folder_is_its_makers_alone_and_goes_with_all_that_is_in_it(tmp_path: Path) -> None:
    before = psutil.Process().num_fds()
    for _ in range(20):
        with temporary.folder(tmp_path) as folder:
            assert folder.parent == tmp_path
            assert folder.stat().st_mode & 0o777 == 0o700
            (folder / "a").mkdir()
            (folder / "a" / "file").touch()
    assert list(tmp_path.iterdir()) == []
    assert psutil.Process().num_fds() - before < 10


def test_the_folder_of_a_process_that_was_killed_is_removed(tmp_path: Path) -> None:
    folder = lost(tmp_path)
    assert temporary.sweep(tmp_path) == [folder]
    assert list(tmp_path.iterdir()) == []


def test_the_first_folder_that_is_made_removes_it(tmp_path: Path) -> None:
    folder = lost(tmp_path)
    with temporary.folder(tmp_path) as mine:
        assert list(tmp_path.iterdir()) == [mine]
    assert not folder.exists()


def test_the_folder_of_a_process_that_lives_is_left_alone(tmp_path: Path) -> None:
    process, folder = maker(tmp_path)
    with process:
        try:
            assert temporary.sweep(tmp_path) == []
            assert folder.is_dir()
            assert process.poll() is None
        finally:
            process.kill()


def of_another_machine(folder: Path) -> None:
    (folder / ".held").write_text(f"not-{socket.gethostname()}")


def without_a_lock(folder: Path) -> None:
    (folder / ".held").unlink()


def by_a_link(folder: Path) -> None:
    (folder / ".held").rename(folder.parent / "held")
    (folder / ".held").symlink_to(folder.parent / "held")


def a_link_itself(folder: Path) -> None:
    folder.rename(folder.parent / "elsewhere")
    folder.symlink_to(folder.parent / "elsewhere")


@pytest.mark.parametrize(
    "change",
    [of_another_machine, without_a_lock, by_a_link, a_link_itself],
    ids=lambda c: c.__name__,
)
def test_what_is_not_surely_ours_is_left_alone(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    folder = lost(tmp_path)
    change(folder)
    assert temporary.sweep(tmp_path) == []
    assert folder.is_dir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_another_users_folder_is_left_alone(tmp_path: Path) -> None:
    folder = lost(tmp_path)
    os.chown(folder, 12345, -1)
    assert temporary.sweep(tmp_path) == []
    assert folder.is_dir()


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc")
def test_what_still_writes_there_is_ended_and_who_only_looks_is_not(tmp_path: Path) -> None:
    folder = lost(tmp_path)
    csv = f"{folder}/x_0.csv"
    sleep = "import sys, time; print(1, flush=True); time.sleep(60)"
    words = [["output", f"file={csv}", "method=sample", ""], [csv], [f"file={csv}"]]
    all_three = [
        subprocess.Popen([sys.executable, "-c", sleep, *w], stdout=subprocess.PIPE) for w in words
    ]
    try:
        for process in all_three:
            assert process.stdout is not None
            process.stdout.readline()
        assert temporary.sweep(tmp_path) == [folder]
        assert all_three[0].wait(timeout=10) == -signal.SIGKILL
        assert [process.poll() for process in all_three[1:]] == [None, None]
    finally:
        for process in all_three:
            process.kill()
            process.communicate()


@pytest.mark.stan
@pytest.mark.parametrize(
    ("sign", "run"),
    [(signal.SIGKILL, "fit()"), (signal.SIGTERM, IN_A_THREAD)],
    ids=["KILL", "TERM"],
)
def test_what_a_fit_that_was_killed_has_left_goes_with_the_next(
    tmp_path: Path, sign: signal.Signals, run: str
) -> None:
    parent = started(tmp_path, run)
    try:
        chains = waiting(lambda: all_of(2, parent.pid))
        parent.send_signal(sign)
        assert parent.wait(timeout=20) == -sign
    finally:
        parent.kill()
        parent.wait()
    psutil.wait_procs(chains, timeout=5)
    room = tmp_path / "tmp"
    assert len(list(room.iterdir())) == 1
    code = "import sys; from tests import load; load.fits(0, 1)"
    root = Path(__file__).parents[2]
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=root,
        env=os.environ | {"TMPDIR": str(room), "PYTHONPATH": str(root)},
        check=True,
    )
    assert list(room.iterdir()) == []
