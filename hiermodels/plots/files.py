"""A picture to a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import OptionError, listed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_SUFFIXES = (".png", ".pdf", ".svg", ".jpg", ".jpeg")


def save(ax: Axes | NDArray[Any], path: str | os.PathLike[str]) -> Path:
    """Write the figure of some axes to a file, in the format of its suffix.

    Parameters
    ----------
    ax : Axes, or array of Axes
        What a picture returned.
    path : str or path
        Ending in ``.png``, ``.pdf``, ``.svg``, ``.jpg`` or ``.jpeg``; its folder has to exist.

    Returns
    -------
    Path
        Where it was written.

    Raises
    ------
    OptionError
        If these are no axes, the suffix is another one, or the file cannot be written.
    """
    file = Path(os.path.expanduser(path))
    if file.suffix.lower() not in _SUFFIXES:
        raise OptionError(f"a picture's name must end in {listed(_SUFFIXES)}; got {file.name!r}")
    one = np.asarray(ax, dtype=object).ravel()[0]
    if not hasattr(one, "figure"):
        raise OptionError(
            f"save needs the axes that a picture returned, got {type(ax).__name__}; as in "
            "hm.plots.save(hm.plots.forest(pools), 'forest.png')"
        )
    # By way of the canvas: of axes in a sub-figure it is the whole figure, with every Matplotlib.
    figure = one.figure.canvas.figure
    try:
        figure.savefig(file, dpi=150, bbox_inches="tight")
    except OSError as error:
        raise OptionError(
            f"cannot write {file}: {error.strerror or error}; name a place that can be written and "
            "has room"
        ) from error
    return file
