"""Whether a response looks like something that a normal model is wrong for: two values, counts.

All of it is seen from the group sufficient statistics, so that the same rows get the same answer
from every kind of frame, from files and from statistics, at no further pass over the rows. With
u = y - min(y), S1 the sum of u over the rows and S2 that of its squares:

- *Two values.* 0 <= u <= R = max(y) - min(y) in every row, so sum u (R - u) = R S1 - S2 is a sum
  of terms that are not negative, and 0 where each of them is: where every u is 0 or R.
- *Whole numbers.* min(y) is whole, and so are S1 and S2 of every group.
- *Counts* are whole numbers, 0 or more, for which one of two things holds.

  1. None is above 10, and there are more rows than values: few distinct whole numbers, such as
     counts of rare events, ratings and grades.
  2. Two of three marks of counts are there. 0 occurs. The index of dispersion, the variance within
     groups over the mean, lies between 1/2 and 2: it is 1 for a Poisson variable, and depends on
     the units, so that nothing but counts has a reason to be near 1 (scores of 50 with an sd of 15
     have 4.5, reaction times of 300 ms with an sd of 50 have 8.3, heights of 170 cm with an sd of 7
     have 0.3). The variance grows with the mean: see :func:`_growth`.

  One mark alone is not enough: a score may be 0, and the sd of reaction times grows with their
  mean. Where the variance does not grow, 0 must be no surprise among N Poisson counts,
  N exp(-mean) > 0.1: scores of 0 to 20 with a mean of 11 and an sd of 4 have both other marks.
  Overdispersed counts have no index near 1, but 0 and a growing variance.

Cox, D. R. and Lewis, P. A. W. (1966). The Statistical Analysis of Series of Events, section 6.3
(index of dispersion).
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import DataWarning

if TYPE_CHECKING:
    from .gaussian.statistics import SufficientStatistics

__all__ = ["Look", "look", "warn"]

Array = NDArray[np.float64]

_FEWEST = 5  # of fewer rows the values say nothing
FEW = 10
"""Whole numbers up to that are few distinct ones."""
_NEAR_ONE = (0.5, 2.0)
# Standard errors from 0, and elasticity, from which on a variance grows with the mean.
_SURE, _STEEP = 4.0, 0.5
# Zeros to be expected of Poisson counts, fewer than which make a 0 no mark of them.
_RARE = 0.1
# Rounding of sums of squares about another centre, as a share of the largest of their terms.
_ROUNDING = 1e-11
# Sums of squares beyond that are known to no single unit any more.
_LARGEST = 1e-3 / _ROUNDING


@dataclass(frozen=True)
class Look:
    """What a response looks like, and what that means.

    Attributes
    ----------
    kind : {"two values", "few whole numbers", "counts"}
    what : str
        What it looks like, in words that follow its name.
    consequence : str
        What is wrong with a normal model of it.
    """

    kind: Literal["two values", "few whole numbers", "counts"]
    what: str
    consequence: str

    def __str__(self) -> str:
        return f"{self.what}: {self.consequence}"


def look(found: SufficientStatistics) -> Look | None:
    """What the response of these statistics looks like; None where it may well be a measurement.

    Parameters
    ----------
    found : SufficientStatistics
        Of a response that varies.
    """
    low, high = float(found.minimum[-1]), float(found.maximum[-1])
    n, N = found.products[:, 0, 0], found.N
    if N < _FEWEST:
        return None
    sums, squares, rounding = _about(found, low)
    width = high - low
    if width * sums.sum() - squares.sum() <= _ROUNDING * N * width**2 + rounding.sum():
        return Look(
            "two values",
            f"has only two values, {low:g} and {high:g}",
            "a normal model predicts values between and beyond them, and its sigma, intervals and "
            "comparisons by elpd are off",
        )
    if low < 0 or not _whole(low, sums, squares, rounding):
        return None
    if high <= FEW and width + 1 < N:
        return Look(
            "few whole numbers",
            f"has few distinct values, all whole numbers from {low:g} to {high:g}, as counts and "
            "ratings have",
            "a normal model predicts values that cannot be, and its sigma and intervals are off",
        )
    means, variances = low + sums / n, np.maximum(squares - sums**2 / n, 0)
    df = n - 1
    mean, variance = float(df @ means), float(variances.sum())  # both times the sum of df
    if not df.sum() or mean <= 0:
        return None
    index = variance / mean
    near = _NEAR_ONE[0] <= index <= _NEAR_ONE[1]
    growing = _growth(means, variances / np.maximum(df, 1), df)
    # 0 is as rare as exp(-mean) among Poisson counts, and near an index of 1 no rarer a score.
    expected = growing or N * math.exp(-mean / df.sum()) > _RARE
    if (low == 0) + near + growing < 2 or not expected:
        return None
    marks = ["0 among them"] if low == 0 else []
    marks += ["a variance that grows with the mean"] if growing else []
    marks += [f"a variance of {index:.2g} times the mean"] if near else []
    return Look(
        "counts",
        f"looks like counts (whole numbers, {' and '.join(marks)})",
        "a normal model predicts values below 0, and its spread does not follow the mean, so its "
        "sigma and intervals are off",
    )


def warn(found: SufficientStatistics) -> None:
    """Warn of a response that a normal model is wrong for.

    Warns
    -----
    DataWarning
        It has two values, few whole numbers, or looks like counts.
    """
    if (seen := look(found)) is not None:
        warnings.warn(f"y={found.response!r} {seen}", DataWarning, stacklevel=2)


def _about(found: SufficientStatistics, low: float) -> tuple[Array, Array, Array]:
    """Sums of y - low and of its squares in each group, and how far rounding may have moved them.

    With s and q the sums about the centre c, and d = c - low: s + n d and q + 2 d s + n d^2.
    """
    n, s, q = found.products[:, 0, 0], found.products[:, 0, -1], found.products[:, -1, -1]
    d = float(found.centre[-1]) - low
    return s + n * d, q + 2 * d * s + n * d**2, _ROUNDING * (q + n * d**2)


def _whole(low: float, sums: Array, squares: Array, rounding: Array) -> bool:
    """Whether all values are whole numbers."""
    if low != math.floor(low) or not float(squares.max()) < _LARGEST:
        return False
    off = np.maximum(np.abs(sums - np.rint(sums)), np.abs(squares - np.rint(squares)))
    return bool(np.all(off <= 1e-6 + rounding))


def _growth(means: Array, variances: Array, df: Array) -> bool:
    """Whether the variance within groups grows with their mean.

    By least squares of the variances s_j^2 on the means m_j, with weights df_j: of normal rows with
    one variance, var(s_j^2) = 2 sigma^4 / df_j, so that slope / se = sum df (m - mbar) s^2 /
    (s2bar sqrt(2 sum df (m - mbar)^2)). The elasticity, slope mbar / s2bar, is 0 where all groups
    have one variance, 1 for Poisson variables and 2 where the sd is proportional to the mean.
    """
    total = df.sum()
    middle, pooled = df @ means / total, df @ variances / total
    about = means - middle
    spread = df @ about**2
    if not (spread > 0 and pooled > 0):
        return False
    covariance = df @ (about * variances)
    return bool(
        covariance > _SURE * pooled * math.sqrt(2 * spread)
        and covariance / spread * middle > _STEEP * pooled
    )
