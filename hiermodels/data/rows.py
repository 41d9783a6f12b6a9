"""The rows themselves, for what only exists row by row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """The rows themselves.

    Attributes
    ----------
    y : array, shape (N,)
        Response, in its own units.
    index : array of int, shape (N,)
        Group of each row, counted from 0.
    z : array, shape (N, K)
        Varying columns; ones where only the intercept varies.
    x : array, shape (N, P)
        Common columns.
    places : array of int, shape (N,)
        Where each row stood in the frame.
    se : array, shape (N,), or None
        Known standard errors.
    """

    y: Array
    index: NDArray[np.int64]
    z: Array
    x: Array
    places: NDArray[np.int64]
    se: Array | None = None

    def __post_init__(self) -> None:
        # A frozen model's numbers stay as they were checked. (y may be the caller's own column.)
        for name in ("y", "index", "z", "x", "places", "se"):
            values = getattr(self, name)
            if values is not None:
                own = values.copy()
                own.flags.writeable = False
                object.__setattr__(self, name, own)
