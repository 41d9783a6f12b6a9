"""Real signals to the command line before it has begun, and when it is done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

ENTRIES = {
    "module": ["-m", "hiermodels"],
    "script": ["-c", "import sys; from hiermodels.__main__ import main; sys.exit(main())"],
}
WAIT = """
    import os, pathlib, time
    def wait(*_):
        pathlib.Path(os.environ["MARK"]).touch()
        until = time.monotonic() + 1
        while time.monotonic() < until:
            time.sleep(0.01)
"""


def interrupted(entry: list[str], tmp_path: Path, module: str, code: str) -> tuple[int, str, str]:
    """Run ``datasets`` with a module in front of one that is there, and interrupt what it does."""
    (tmp_path / f"{module}.py").write_text(textwrap.dedent(WAIT) + code)
    mark = tmp_path / "mark"
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    process = subprocess.Popen(
        [sys.executable, *entry, "datasets", "eight_schools"],
        env={**os.environ, "PYTHONPATH": path, "MARK": str(mark)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        end = time.monotonic() + 60
        while not mark.exists() and time.monotonic() < end and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert mark.exists()
    return process.returncode, out, err


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_an_interruption_of_the_imports_is_one_line(tmp_path: Path, entry: list[str]) -> None:
    code, out, err = interrupted(entry, tmp_path, "typer", "wait()\n")
    assert (code, out, err) == (130, "", "interrupted\n")


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_an_interruption_of_the_end_leaves_what_was_done(tmp_path: Path, entry: list[str]) -> None:
    last = "import atexit\natexit.register(wait)\n"
    code, out, err = interrupted(entry, tmp_path, "sitecustomize", last)
    assert (code, err) == (0, "")
    assert out.startswith("school,effect,se\n")
