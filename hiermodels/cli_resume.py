"""``hiermodels resume``: go on with a fit that was cut short."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from .cli_fit import picked_up, show_fit
from .console import check_output
from .errors import OptionError

__all__ = ["resume"]


def resume(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="What --output-dir named.")],
    fit: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Which fit, where several are unfinished."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FIT.nc", help="Where the fit is saved (NetCDF)."),
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
    if quiet and output is None:
        raise OptionError("--quiet needs --output: nothing would be left of the fit; add -o fit.nc")
    check_output(output)

    import hiermodels

    from . import checkpoints, netcdf

    meant = checkpoints.find(Path(os.path.expanduser(folder)).resolve(), fit)
    with picked_up(folder, output, meant):
        idata = hiermodels.resume(
            folder,
            fit=meant,
            progress=False if quiet else None,
            allow_failed_chains=allow_failed_chains,
        )
        saved = None if output is None else netcdf.save(idata, output)
    if not quiet:
        show_fit(hiermodels.summary(idata), hiermodels.check(idata), saved)
