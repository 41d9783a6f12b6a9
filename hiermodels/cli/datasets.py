"""``hiermodels datasets``: list the data sets, or write one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..errors import OptionError
from .console import say, table
from .paths import TABLE, check_output, to_write

__all__ = ["datasets"]


def datasets(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", show_default=False)] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DATA.csv", parser=to_write, help="Instead of printing."
        ),
    ] = None,
) -> None:
    """List the data sets, or write one as CSV.

    \b
    Example:
      hiermodels datasets eight_schools -o schools.csv
    """
    from ..datasets import describe, load

    if name is None:
        if output is not None:
            raise OptionError("--output needs a data set's NAME; `hiermodels datasets` lists them")
        listing = describe()
        rows = [[str(cell) for cell in row] for row in listing.to_numpy()]
        order = [0, 3, 4, 1, 2]
        heads = [str(listing.columns[k]) for k in order]
        table(heads, [[row[k] for k in order] for row in rows], left=3)
        return
    check_output(output, TABLE)
    frame = load(name)
    if output is None:
        sys.stdout.write(frame.to_csv(index=False))
        return
    frame.to_csv(output, index=False)
    say(f"{len(frame)} rows are in {output}")
