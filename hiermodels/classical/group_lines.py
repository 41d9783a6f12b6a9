"""The least-squares line of each group, by itself: what no pooling says of varying slopes."""

from __future__ import annotations

import dataclasses
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from ..data.least_squares import own_lines
from ..errors import DataWarning, listed
from ..families.gaussian.moments import Moments
from ..models.base import one_of
from .results import Array, Result, about, design_of, index_of


@dataclass(frozen=True, eq=False, repr=False)
class Lines(Result):
    """The least-squares line of each group.

    Attributes
    ----------
    table : DataFrame
        One row for each group, by its label: ``n``; each coefficient, and its standard error as
        ``<name>_se``; ``sigma``, the residual sd; ``df``, residual degrees of freedom (rows less
        the rank of the group's columns, also where there is no line); ``r2``. NaN where there is
        none.
    coefficients, standard_errors : DataFrame
        The same by group and coefficient.
    without_line : tuple
        Labels of the groups that have no line of their own: too few rows, or columns that do not
        vary within them (or vary together).
    without_error : tuple
        Labels of the groups whose line runs through all their rows, so that nothing is left to
        tell its error by.
    """

    table: pd.DataFrame
    coefficients: pd.DataFrame
    standard_errors: pd.DataFrame
    without_line: tuple[Any, ...]
    without_error: tuple[Any, ...]
    _about: str = field(default="")

    def _lines(self) -> list[str]:
        lines = [f"Least-squares lines of {self._about}", *self._shown()]
        for labels, what in (
            (self.without_line, "no line of their own"),
            (self.without_error, "no residual degrees of freedom"),
        ):
            if labels:
                lines.append(f"{what}: {len(labels)} of {len(self.table)} groups, {listed(labels)}")
        return lines


SDS = ("own", "pooled")


def lines(model: Any, *, common: bool = True, sd: str = "own") -> Lines:
    """Least-squares line of each group, from the group's cross-products.

    With W_j the rows of [z, x] in group j, A_j = W_j'W_j and p = K + P columns,

        b_j = A_j^-1 W_j'y_j,   sigma_j^2 = RSS_j / (n_j - p),   var b_j = sigma_j^2 A_j^-1

    or, with ``sd="pooled"``, sigma^2 = sum RSS_j / sum (n_j - rank A_j) in place of each sigma_j^2;
    and r2 = 1 - RSS_j / TSS_j, with TSS_j about the group's mean where there is an intercept, and
    about 0 without an intercept (Gelman and Hill 2007, section 12.4; any text on regression).

    Parameters
    ----------
    model : VaryingSlopes
        The data; no rows are read.
    common : bool
        Whether the common columns have a coefficient in each group as well, as they have without
        pooling, or are left out. (A common intercept is always in.)
    sd : {"own", "pooled"}
        Whether standard errors are by each group's own residual sd, or by the one that all groups
        share: small groups have wild sds, and those without a degree of freedom have none.

    Returns
    -------
    Lines

    Raises
    ------
    OptionError
        A model of another class, or ``sd`` is neither.
    DataError
        Fewer than 2 groups.

    Warns
    -----
    DataWarning
        Groups without a line of their own, or without an error of it, by name; and whether leaving
        the common columns out would help.
    """
    d = design_of(
        model,
        "lines",
        {
            "VaryingSlopes": None,
            "OneWay": "group_means(model) has its means",
            "EightSchools": "group_means(model) has its estimates",
        },
    )
    if not common:
        d = _without_common(d)
    one_of("sd", sd, SDS)
    p, within = d.K + d.P, d.within
    has = within.rank == p
    fit, inverse = _solve(d, has)
    df = within.df
    errors = has & (df > 0)
    variance = np.divide(within.rss, df, out=np.full(d.J, np.nan), where=errors)
    used = variance
    if sd == "pooled" and df.sum() > 0:
        used, errors = np.full(d.J, within.rss.sum() / df.sum()), has
    se = np.sqrt(used[:, None] * np.diagonal(inverse, axis1=1, axis2=2))
    total = _total(d)
    explained = np.divide(
        total - within.rss, total, out=np.full(d.J, np.nan), where=has & (total > 0)
    )
    index, names = index_of(d), list(d.names)
    columns = [pd.Series(d.sizes, index, name="n")]
    for k, name in enumerate(names):
        columns.append(pd.Series(fit[:, k], index, name=name))
        columns.append(pd.Series(se[:, k], index, name=f"{name}_se"))
    columns.append(pd.Series(np.sqrt(variance), index, name="sigma"))
    columns.append(pd.Series(df, index, name="df"))
    columns.append(pd.Series(explained, index, name="r2"))
    found = Lines(
        # Side by side, not by name: a column may be called "n".
        table=pd.concat(columns, axis=1),
        coefficients=pd.DataFrame(fit, index, names),
        standard_errors=pd.DataFrame(se, index, names),
        without_line=tuple(d.labels[~has].tolist()),
        without_error=tuple(d.labels[has & ~errors].tolist()),
        _about=about(d),
    )
    _warn(found, p, _in_the_way(d, errors))
    return found


def _without_common(d: Moments) -> Moments:
    """The same data without the common columns; a common intercept stays."""
    kept = tuple(name for name in d.predictors if name == d.ones)
    return dataclasses.replace(d, predictors=kept, about=())  # no priors here


def _in_the_way(d: Moments, errors: Any) -> list[str]:
    """Common columns without which more groups would have a line and its errors."""
    columns = [name for name in d.predictors if name != d.ones]
    if errors.all() or not columns:
        return []
    less = _without_common(d)
    better = (less.within.rank == less.K + less.P) & (less.within.df > 0)
    return columns if (better & ~errors).any() else []


def _solve(d: Moments, has: Any) -> tuple[Array, Array]:
    """Coefficients of the raw columns and A_j^-1, NaN where a group has none."""
    p = d.K + d.P
    centred, own = own_lines(d.gram[has], d.gram_within[has], d.intercept, d.fit_within)
    shift, back = d.at_zero
    fit, inverse = np.full((d.J, p), np.nan), np.full((d.J, p, p), np.nan)
    fit[has] = shift + centred @ back.T
    inverse[has] = back @ own @ back.T
    return fit, inverse


def _total(d: Moments) -> Array:
    """Sum of squares of each group's response, about its mean where there is an intercept.

    A factor with a column for every level is an intercept by another name.
    """
    found = d.statistics
    about_the_mean = found.within[:, -1, -1]
    if d.ones is not None or found.in_full:
        return np.asarray(about_the_mean)
    return np.asarray(about_the_mean + d.sizes * (found.centre[-1] + found.group_means[:, -1]) ** 2)


def _warn(found: Lines, p: int, in_the_way: list[str]) -> None:
    J, said = len(found.table), []
    if found.without_line:
        said.append(
            f"{len(found.without_line)} of {J} groups cannot give {p} coefficients (too few rows, "
            f"or columns that do not vary in them): {listed(found.without_line)}"
        )
    if alone := len(found.without_error):
        said.append(
            f"{alone} of {J} groups {'has' if alone == 1 else 'have'} {p} rows for {p} "
            f"coefficients and no standard errors: {listed(found.without_error)}"
        )
    if in_the_way:
        said.append(f"lines(model, common=False) leaves {listed(in_the_way)} out")
    if said:
        warnings.warn(
            f"{'; '.join(said)}; mixed_model(model) borrows from the other groups",
            DataWarning,
            stacklevel=3,
        )
