"""Estimates with known standard errors: y_j ~ N(eta_j, se_j)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...data.design import Design
from ...data.rows import Rows
from ...priors.blocks import Block
from ..family import Aux
from .family import NormalFamily
from .moments import Residual

__all__ = ["KnownErrors"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class KnownErrors(NormalFamily):
    """Normal response with known standard errors: y_j ~ N(eta_j, se_j).

    Parameters
    ----------
    se : str
        Column of the standard errors.
    """

    se: str

    name: ClassVar[str] = "KnownErrors"
    estimates: ClassVar[bool] = True
    share: ClassVar[str] = "I2"

    @property
    def residual(self) -> Residual:
        """The sds are known."""
        return "known"

    def check(self, design: Design) -> None:
        """Every estimate will do: its standard error was checked with its column."""

    def blocks(self) -> tuple[Block, ...]:
        """There are no auxiliary parameters."""
        return ()

    def typical(self, design: Design) -> tuple[float, float]:
        """Precision-weighted mean of the estimates, and :func:`spread`."""
        rows = design.rows("known standard errors")
        se = errors_of(rows)
        w = 1 / se**2
        return float(np.sum(w * rows.y) / np.sum(w)), spread(rows.y, se)

    def default_priors(self, design: Design) -> dict[str, Any]:
        """There are no auxiliary parameters."""
        return {}

    def sd(self, rows: Rows, aux: Aux) -> Array:
        """The known standard errors, shape (1, N)."""
        return errors_of(rows)[None, :]

    def lacks(self, rows: Rows, seen: bool, columns: Mapping[str, Any]) -> str:
        """Why rows have no response: their standard errors are not known."""
        if rows.se is None:
            return f"the frame has no column {columns['se']!r} with their standard errors"
        return ""

    def variance(self, design: Design, aux: Aux) -> Array:
        """A typical variance of an estimate, shape (1, 1)."""
        return np.array([[typical_variance(errors_of(design.rows("I^2")))]])

    def own_estimates(self, design: Design) -> tuple[Array, Array]:
        """The estimates as they were given."""
        rows = design.rows("the groups' own estimates")
        return rows.y[:, None], errors_of(rows)[:, None]

    def symbols(self, eta: str, group: str) -> tuple[str, list[tuple[str, str]]]:
        """Normal about the true value."""
        words = [("sigma_j", f"{self.se}, its known standard error")]
        return f"y_j ~ N({eta}, sigma_j)", words


def errors_of(rows: Rows) -> Array:
    """The known standard errors of rows."""
    assert rows.se is not None  # noqa: S101 - for the type checker
    return rows.se


def spread(y: Array, se: Array) -> float:
    """Root mean square of the spread and the standard errors of the precise estimates together.

    s^2 is n / (n - 1) times the mean of ((y_i - y_j)^2 + se_i^2 + se_j^2) / 2 over the pairs of
    estimates, weighted by a_i a_j, where a_j is proportional to 1 / (se_j^2 + t)^2 and n = 1 / sum
    a_j^2 is the effective number of studies. With equal standard errors that mean is the variance
    of the estimates (divisor J - 1) plus se^2, and n = J. Where se_j^2 is far above t, a_j times
    se_j^2 goes to 0: a study without information does not count. Where it is far below t, studies
    count alike.

    t is first the second smallest se^2, because one precise study by itself shows no spread; pairs
    have the same reason. Then t is the mean that this gives: where precise estimates differ by far
    more than their standard errors, less precise ones show the spread as well. The factor makes up
    for few estimates, which are by chance nearer to each other than tau as often as not.

    The estimate of Paule and Mandel would not do, as every study is one degree of freedom there,
    with or without information. docs/default_priors.md has the coverage that was chosen by.
    """
    v = se**2
    if len(v) == 1:
        return float(se[0])
    t = float(np.partition(v, 1)[1])
    for _ in range(2):
        a = (t / (v + t)) ** 2
        a /= a.sum()
        # Over pairs i < j, a_i a_j (y_i - y_j)^2 adds up to sum a_j (y_j - mean)^2, a_i a_j to
        # sum a_j (1 - a_j) / 2 = (1 - 1 / n) / 2, and a_i a_j (v_i + v_j) to sum a_j (1 - a_j) v_j.
        pairs = a * (1 - a)
        t = float((a @ (y - a @ y) ** 2 + pairs @ v) / pairs.sum())
    return math.sqrt(t / pairs.sum())


def typical_variance(se: Array) -> float:
    """The typical variance within, (J - 1) sum u / ((sum u)^2 - sum u^2) with u = 1/se^2.

    (Higgins and Thompson 2002, Statistics in Medicine 21, 1539-1558, equation 9.)
    """
    u = 1 / np.asarray(se, dtype=np.float64) ** 2
    return float((len(u) - 1) * u.sum() / (u.sum() ** 2 - (u**2).sum()))
