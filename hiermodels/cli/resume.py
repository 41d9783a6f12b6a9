"""``hiermodels resume``: go on with a fit that was cut short."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from .outcome import carry_out, check_options
from .paths import to_read, to_write

__all__ = ["resume"]


def resume(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", parser=to_read, help="What --output-dir named.")
    ],
    fit: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Which fit, where several are unfinished."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FIT.nc",
            parser=to_write,
            help="Where the fit is saved (NetCDF).",
        ),
    ] = None,
    allow_failed_chains: Annotated[
        bool, typer.Option("--allow-failed-chains", help="Go on with the chains that finished.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Warnings and errors only; needs -o.")
    ] = False,
) -> None:
    """Go on with a fit that was cut short: run the chains that are missing.

    The result is that of a fit that nothing disturbed.

    \b
    Example:
      hiermodels fit one-way scores.csv --y mathscore --group school \\
          --output-dir run -o fit.nc
      hiermodels resume run -o fit.nc
    """
    check_options(output, quiet)

    import hiermodels

    from ..engines.nuts import checkpoints

    meant = checkpoints.find(Path(os.path.expanduser(folder)).resolve(), fit)
    progress = False if quiet else None
    carry_out(
        lambda: hiermodels.resume(
            folder, fit=meant, progress=progress, allow_failed_chains=allow_failed_chains
        ),
        output=output,
        quiet=quiet,
        folder=folder,
        stem=meant,
    )
