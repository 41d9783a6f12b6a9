"""What the tests share: no pictures on a screen, no bars, every program compiled once."""

from __future__ import annotations

import os

os.environ.setdefault("MPLBACKEND", "Agg")

import pytest


@pytest.fixture(scope="session")
def compiled() -> None:
    """All programs, compiled side by side before the first test that runs one."""
    from hiermodels import programs

    programs.compile_all(progress=False)


@pytest.fixture(autouse=True)
def _compiled_first(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("stan"):
        request.getfixturevalue("compiled")
