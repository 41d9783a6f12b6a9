"""Temporary folders of this package."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["folder"]


@contextmanager
def folder(where: Path | None = None) -> Iterator[Path]:
    """Make a folder for this user alone, and remove it with all that is in it.

    Raises
    ------
    OSError
        It cannot be made.
    """
    made = Path(tempfile.mkdtemp(prefix="hiermodels-", dir=where))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
