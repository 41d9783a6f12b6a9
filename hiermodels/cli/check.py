"""``hiermodels summary`` and ``hiermodels check``: what came of a fit that was saved."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import in_shell
from .console import console, printable, summary_table
from .paths import to_read

__all__ = ["check", "summary"]

_Fit = Annotated[
    Path, typer.Argument(metavar="FIT.nc", parser=to_read, help="A fit saved by -o, or by ArviZ.")
]


def summary(
    fit: _Fit,
    var: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this variable. Repeatable.")
    ] = None,
) -> None:
    """Show the summary table of a fit.

    \b
    Example:
      hiermodels summary fit.nc --var mu --var tau
    """
    from ..container import inference_data, netcdf
    from ..diagnostics import summary as summaries

    idata = netcdf.load(fit)
    group = "posterior" if inference_data.has(idata, "posterior") else "prior"
    summary_table(summaries.summary(idata, var or None, group=group))


def check(fit: _Fit) -> None:
    """Say how far the draws are to be trusted.

    The exit code is 0 where they show no sign of trouble and 1 where they are not to be relied
    upon, so that a batch job can stop there.

    \b
    Example:
      hiermodels check fit.nc && echo good
    """
    from rich.text import Text

    from ..container import netcdf
    from ..diagnostics import check as diagnostics

    found = diagnostics.check(netcdf.load(fit))
    lines = diagnostics.report(found, in_shell).split("\n")
    text = Text("\n".join(map(printable, lines)))
    text.highlight_regex(r"(?m)\bBAD\s*$", "bold red")
    text.highlight_regex(r"(?m)\bok\s*$", "green")
    console().print(text, soft_wrap=True)
    if not found.ok:
        raise typer.Exit(1)
