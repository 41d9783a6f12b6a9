"""What the tests share: no pictures on a screen, no bars, every program compiled once."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("MPLBACKEND", "Agg")

import psutil
import pytest

LONG = ("test_notebooks", "test_made_up", "test_varying_slopes")


@pytest.fixture(scope="session")
def compiled() -> None:
    """All programs, compiled side by side before the first test that runs one."""
    from hiermodels.stan import programs

    programs.compile_all(progress=False)


@pytest.fixture
def unharmed(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Path]:
    """What holds after every fault; gives the folder for temporary files.

    No process of the test's is left, no temporary file, and the next fit is as ever.
    """
    fits = request.node.get_closest_marker("stan") is not None
    as_ever = request.getfixturevalue("as_ever") if fits else ""
    temporary = tmp_path_factory.mktemp("temporary")
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield temporary
    left = [where for where in (tmp_path, temporary) if processes_of(where)]
    assert not left, [p.cmdline() for where in left for p in processes_of(where)]
    assert not list(temporary.glob("hiermodels-*"))
    if fits:
        monkeypatch.undo()
        from tests import load

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            next_one = load.models()[0].fit(seed=1, **load.QUICK)
        assert load.digest(next_one) == as_ever


def processes_of(folder: Path) -> list[psutil.Process]:
    """Processes that work in a folder or for files of it; those that have just ended are let go."""
    found = []
    for process in psutil.process_iter():
        try:
            words, where = process.cmdline(), process.cwd()
        except psutil.Error:
            continue
        named = any(f"{folder}{os.sep}" in word for word in words)
        if named or Path(where).is_relative_to(folder):
            found.append(process)
    _, alive = psutil.wait_procs(found, timeout=5)
    return list(alive)


@pytest.fixture(scope="session")
def as_ever(compiled: None) -> str:
    """The draws of a fit that nothing disturbs."""
    from tests import load

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return load.digest(load.models()[0].fit(seed=1, **load.QUICK))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files of few and long tests, or one process would wait for them at the end."""
    items.sort(key=lambda item: item.path.stem not in LONG)


@pytest.fixture(autouse=True)
def _compiled_first(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("stan"):
        request.getfixturevalue("compiled")
