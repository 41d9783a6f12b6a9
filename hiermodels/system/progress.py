"""One progress bar, in a terminal and in a notebook; and how much can be done at once."""

from __future__ import annotations

import os
import sys
from typing import Any


def processors() -> int:
    """Processors that this process may use, which a batch system may have made fewer."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_notebook() -> bool:
    """Whether this process is a notebook's kernel."""
    shell = sys.modules.get("IPython")
    if shell is None:
        return False
    return getattr(shell.get_ipython(), "kernel", None) is not None


def wanted(progress: bool | None) -> bool:
    """Whether to show a bar: as asked, or by default where a person looks on."""
    if progress is not None:
        return progress
    return sys.stderr.isatty() or in_notebook()


def bar(total: float, description: str, *, progress: bool | None, unit: str = "it") -> Any:
    """A tqdm bar on standard error, silent where it is not wanted.

    Parameters
    ----------
    total : float
        What ``bar.n`` is at the end.
    description : str
        The words before the bar.
    progress : bool or None
        True shows it, False does not, None shows it in a terminal and in a notebook.
    unit : str
        What is counted; ``"B"`` scales to kB and MB.
    """
    # tqdm's widget needs ipywidgets; its text bar works everywhere, in notebooks as well.
    from tqdm.std import tqdm

    return tqdm(
        total=total,
        desc=description,
        disable=not wanted(progress),
        unit=unit,
        unit_scale=unit == "B",
        unit_divisor=1024 if unit == "B" else 1000,
        leave=False,
        dynamic_ncols=True,
        file=sys.stderr,
    )
