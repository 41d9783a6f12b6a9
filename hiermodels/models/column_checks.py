"""Columns of a regression that would say nothing, or not what they seem to say."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..data.design import Design
from ..data.least_squares import least_squares
from ..errors import DataError, DataWarning, OptionError, listed, option

__all__ = [
    "coded_in_full",
    "from_origin",
    "refuse_constant",
    "warn_of_far",
    "warn_of_rows_of_zeros",
]

# |mean| / sd beyond which intercept and slope are correlated above 0.95 in the posterior.
_FAR = 3.0
# ... and beyond which the sd and the correlations of heights at 0 keep few digits, where lines are
# at their centre: a double has 16, and half of them are gone at 1e8.
_LOST = 1e6


def coded_in_full(design: Design, varying: Sequence[str], common: Sequence[str]) -> str | None:
    """The factor that has a column for every level, as nothing else stands for its first.

    An intercept, or a constant column in its place, is the mean of the first level. Where there is
    neither, a first level without a column would have mean 0. One factor in full makes up for the
    intercept, and a second one would be linearly dependent on it (as in R's ``model.matrix``).

    Raises
    ------
    OptionError
        The coefficients of a factor vary, and the intercept does not: the groups would not differ
        in its first level.
    """
    found = design.statistics
    constant = [n for n, one in zip(design.names, design.constant, strict=True) if one]
    if any(name in constant for name in design.names[: design.K]):
        return None
    vary, free = (
        [name for name in names if found.sources[name] != (name,)] for names in (varying, common)
    )
    if constant and vary:
        first = found.levels.get(vary[0], ("the first",))[0]
        beside = "a common intercept" if constant[0] == design.ones else f"common={constant!r}"
        raise OptionError(
            f"varying={vary!r} beside {beside} would leave the groups without differences in the "
            f"first level, {first!r}; "
            + option("intercept", "none")
            + " codes the factor in full, with a mean and a standard deviation for each level, and "
            + option("intercept", "varying")
            + " lets the first level vary"
        )
    return None if constant else next(iter((*vary, *free)), None)


def refuse_constant(design: Design) -> None:
    """Refuse predictors that are one value in all rows, beside an intercept."""
    names = [n for n in design.names if n != design.ones]
    still = design.constant | (design.size == 0)
    constant = [n for n in names if still[design.names.index(n)]]
    if constant:
        raise DataError(
            f"predictor {listed(constant)} must vary, got one value in all rows (to a "
            "billionth of it): beside the intercept it adds nothing; leave it out, or subtract its "
            "mean"
        )


def from_origin(design: Design) -> NDArray[np.float64]:
    """How far the columns' means lie from the origin; exactly 0 where they are the origin."""
    return np.asarray(design.means[:-1] - np.array(design.origin.at))


def warn_of_rows_of_zeros(design: Design) -> None:
    """Say where rows have no mean: all columns are 0 or 1, and all of them are 0 there."""
    found, names = design.statistics, design.names
    places = [found.columns.index(name) for name in names]
    G, sums = design.products_about([0.0] * len(names)), design.means[:-1] * design.N
    zero_or_one = (found.minimum[places] == 0) & (found.maximum[places] == 1)
    if not np.all(zero_or_one & (np.abs(np.diagonal(G) - sums) <= 1e-9 * design.N)):
        return
    if design.N - sums @ least_squares(G, sums[:, None])[:, 0] > 1e-9 * design.N:
        warnings.warn(
            f"predictor {listed(names)} holds 0 and 1, and there is no intercept: rows of 0 have "
            "the mean 0 in this model; pass "
            + option("intercept", "varying")
            + ", or make the column text or categories for a mean of each level",
            DataWarning,
            stacklevel=2,
        )


def warn_of_far(design: Design) -> None:
    """Say which columns lie so far from 0 that slope and intercept can hardly be told apart.

    Where columns are not centred the priors of the intercept are at 0. Where they are, nothing but
    what is reported of heights at 0 suffers, and that only from the digits that a double has.
    """
    found, away, means = design.statistics, from_origin(design), design.means
    far: dict[str, list[int]] = {"wide": [], "lost": []}
    for k, name in enumerate(design.names):
        if design.constant[k]:
            continue
        place = found.columns.index(name)
        # A column of 0 and 1 lies where it belongs.
        indicator = found.minimum[place] == 0 and found.maximum[place] == 1
        if abs(away[k]) > _FAR * design.sds[k] and not indicator:
            far["wide"].append(k)
        elif abs(means[k]) > _LOST * design.sds[k]:
            far["lost"].append(k)
    # Beside a common intercept the lines of all groups meet at 0: centring is another model.
    beside = bool(design.anchors) and not design.origin.moves
    moves = beside and design.offset[:-1].any()
    advice = ", or pass " + option("intercept_at", "centre") if moves else ""
    for what, columns in far.items():
        if not columns:
            continue
        first, name = columns[0], design.names[columns[0]]
        why = {
            "wide": "the intercept (or a level's mean) is an extrapolation to 0, with priors so "
            "wide that the slopes may seem not to vary",
            "lost": "what is reported of the intercept, where it is 0, has few digits left",
        }[what]
        warnings.warn(
            f"predictor {listed(design.names[k] for k in columns)} lies far from 0 (mean "
            f"{means[first]:.4g}, sd {design.sds[first]:.4g}): {why}; centre it, as in "
            f"frame[{name!r}] -= frame[{name!r}].mean()" + (advice if what == "wide" else ""),
            DataWarning,
            stacklevel=2,
        )
