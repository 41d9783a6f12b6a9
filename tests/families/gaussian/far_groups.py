"""Groups that lie far apart, and what exact arithmetic makes of their rows."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

SPREADS = (1e5, 1e6, 1e8)
"""Spread of the groups' means, in sds of the rows about them."""


def rows(spread: float, *, groups: int = 6, size: int = 5, seed: int = 1) -> pd.DataFrame:
    """Rows of about unit sd about group means of this spread: of ``y``, and of ``x``.

    ``y`` has a slope of 0.5 on x within groups; ``w`` has no spread of its own between groups, and
    ``v`` none within them.
    """
    rng = np.random.default_rng(seed)
    n = groups * size
    g = np.repeat(np.arange(groups), size)
    x = rng.normal(size=n)
    y = spread * rng.normal(size=groups)[g] + 0.5 * x + rng.normal(size=n)
    return pd.DataFrame(
        {
            "g": g,
            "y": y,
            "x": spread * rng.normal(size=groups)[g] + x,
            "w": rng.normal(size=n),
            "v": rng.normal(size=groups)[g],
        }
    )


def exact_within(frame: pd.DataFrame, names: Sequence[str], group: str = "g") -> dict[Any, Any]:
    """Sums of products of deviations from the group's means, in fractions, rounded at the end."""
    found = {}
    for label, part in frame.groupby(group):
        columns = [[Fraction(float(v)) for v in part[name]] for name in names]
        about = [[v - sum(c) / len(c) for v in c] for c in columns]
        products = [[sum(map(Fraction.__mul__, a, b), Fraction(0)) for b in about] for a in about]
        found[label] = np.array([[float(p) for p in row] for row in products])
    return found


def exact_residual(frame: pd.DataFrame) -> Fraction:
    """Squares of y that one common slope on x and each group's own mean leave."""
    total = [[Fraction(0)] * 2 for _ in range(2)]
    for _, part in frame.groupby("g"):
        columns = [[Fraction(float(v)) for v in part[name]] for name in ("x", "y")]
        about = [[v - sum(c) / len(c) for v in c] for c in columns]
        for a in (0, 1):
            for b in (0, 1):
                total[a][b] += sum(map(Fraction.__mul__, about[a], about[b]), Fraction(0))
    return total[1][1] - total[0][1] ** 2 / total[0][0]
