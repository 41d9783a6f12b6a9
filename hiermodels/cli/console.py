"""What the command line prints: tables and lines."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import in_shell

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

ENDS = {130: "interrupted", 143: "terminated", 129: "hung up"}
"""What an end from outside is called, by its exit code."""


def free(name: str, folder: Path | None = None) -> Path:
    """A file of that name that is not there yet: here, or in a folder if none can be made here."""
    here = Path() if folder is None or os.access(os.curdir, os.W_OK | os.X_OK) else folder
    stem, suffix = os.path.splitext(name)
    names = chain([name], (f"{stem}-{number}{suffix}" for number in count(2)))
    return next(here / one for one in names if not os.path.lexists(here / one))


def one_line(what: object) -> str:
    """An error, a warning or a text on one line, with its options as one types them here."""
    lines = [line.strip() for line in in_shell(what).splitlines() if line.strip()]
    out = ""
    for line in lines:
        out += line if not out else (" " if out[-1] in ":;,." else "; ") + line
    return printable(out)


def printable(text: object) -> str:
    """Labels as they are, but for what would steer the terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def console(least: int = 0) -> Console:
    """Standard output: as wide as the terminal (or ``least``), and without limit in a pipe."""
    from rich.console import Console

    # Markup off: a group may be called "[red]".
    plain: dict[str, Any] = {"markup": False, "highlight": False, "emoji": False}
    if not sys.stdout.isatty():
        return Console(**plain, width=100_000)
    screen = Console(**plain)
    return screen if screen.width >= least else Console(**plain, width=least)


def say(text: str = "") -> None:
    """Print a line that the terminal wraps, not we."""
    console().print(text, soft_wrap=True)


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> None:
    """Print a table; of its columns the first ``left`` are text, the others numbers.

    A terminal that is too narrow gets text folded first; numbers are never cut.
    """
    from rich.table import Table
    from rich.text import Text

    out: Table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    widths = []
    for k, head in enumerate(heads):
        entries = [printable(row[k]) for row in rows]
        widths.append(max(map(len, [head, *entries])))
        if k < left:
            # The last of several text columns is prose, which may wrap.
            prose = left > 1 and k == left - 1
            least = min(widths[-1], 30 if prose else 16)
            out.add_column(Text(head), overflow="fold", min_width=least, no_wrap=False)
            widths[-1] = least
        else:
            out.add_column(Text(head), justify="right", no_wrap=True, min_width=widths[-1])
    for row in rows:
        out.add_row(*(Text(printable(entry)) for entry in row))
    console(sum(widths) + 2 * len(widths)).print(out)


def summary_table(summary: pd.DataFrame) -> None:
    """Print the table of :func:`hiermodels.summary`, with the digits that mean something."""
    columns = ("mean", "sd", "q5", "median", "q95", "mcse_mean", "ess_bulk", "ess_tail", "r_hat")
    rows = []
    for label, row in zip(summary.index, summary.to_dict("records"), strict=True):
        rows.append([str(label), *(_number(c, float(row[c]), float(row["sd"])) for c in columns)])
    table(["", *("mcse" if c == "mcse_mean" else c for c in columns)], rows)


def _number(column: str, value: float, sd: float) -> str:
    """A number to the digits that mean something: to a hundredth of the sd or so."""
    import math

    if not math.isfinite(value):
        return "-"
    if column in ("ess_bulk", "ess_tail"):
        return f"{value:.0f}"
    if column == "r_hat":
        return f"{value:.3f}"
    if not math.isfinite(sd) or not 1e-6 < sd < 1e8 or abs(value) >= 1e10:
        return f"{value:.4g}"
    decimals = max(0, 2 - math.floor(math.log10(sd))) + (column == "mcse_mean")
    return f"{value:.{decimals}f}"
