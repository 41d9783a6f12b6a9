"""The eight schools from beginning to end: ``hiermodels demo`` and ``make demo``.

>>> from hiermodels.cli import demo
>>> demo.run("demo").diagnostics.ok  # doctest: +SKIP
True
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import OptionError
from .console import printable, say, summary_table
from .paths import to_write

if TYPE_CHECKING:
    import pandas as pd

    from ..diagnostics.check import Diagnostics
    from ..models.model import Model

__all__ = ["Demo", "demo", "run"]

SEED = 1981  # the year of Rubin's article
# The schools say little of tau, so that its posterior reaches down to 0, where it is narrow: small
# steps follow it there, and this posterior is small enough not to make them felt.
ADAPT_DELTA = 0.99


@dataclass(frozen=True, eq=False)
class Demo:
    """What the demonstration made.

    Attributes
    ----------
    model : Model
        The model of the eight schools.
    idata : InferenceData or DataTree
        Its fit.
    summary : DataFrame
        ``hm.summary(idata)``.
    diagnostics : Diagnostics
        ``hm.check(idata)``.
    picture, file : Path
        The picture of the shrinkage (PNG), and the fit (NetCDF).
    """

    model: Model
    idata: Any
    summary: pd.DataFrame
    diagnostics: Diagnostics
    picture: Path
    file: Path


def run(folder: str | os.PathLike[str], *, progress: bool | None = None) -> Demo:
    """Fit the eight schools, and write a picture and the fit into a folder.

    Parameters
    ----------
    folder : path
        Made where it is missing; files of an earlier run are replaced.
    progress : bool, optional
        Progress bar: by default in a terminal and in a notebook.

    Returns
    -------
    Demo

    Raises
    ------
    OptionError
        The folder cannot be made, or is a file.
    HierModelsError
        As by ``model.fit()``.
    """
    from .. import datasets
    from ..container import netcdf
    from ..diagnostics import check as diagnostics
    from ..diagnostics import summary as summaries
    from ..models.eight_schools import EightSchools

    # First of all, so that a fit is not made for a folder that cannot be.
    place = Path(os.path.expanduser(folder)).resolve()
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(
            f"the output must be a folder that can be made, got {str(place)!r} "
            f"({error.strerror or error}); choose another"
        ) from error
    model = EightSchools(datasets.eight_schools(), effect="effect", se="se", group="school")
    idata = model.fit(seed=SEED, adapt_delta=ADAPT_DELTA, progress=progress)
    return Demo(
        model,
        idata,
        summaries.summary(idata),
        diagnostics.check(idata),
        _picture(idata, place / "eight_schools.png"),
        netcdf.save(idata, place / "eight_schools.nc"),
    )


def _picture(idata: Any, path: Path) -> Path:
    # A figure of its own rather than pyplot's: no display is looked for, no global state changed.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from .. import plots

    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    return plots.save(plots.shrinkage(idata, ax=figure.subplots()), path)


def demo(
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FOLDER", parser=to_write, help="Made where it is missing."
        ),
    ] = Path("demo"),
) -> None:
    """Fit the eight schools from beginning to end.

    \b
    Example:
      hiermodels demo --output demo
    """
    done = run(output)
    say(printable(repr(done.model)[1:-1]))
    say()
    summary_table(done.summary)
    say()
    say(done.diagnostics.verdict)
    say(f"picture of the shrinkage: {done.picture}")
    say(f"the fit, for ArviZ:       {done.file}")
