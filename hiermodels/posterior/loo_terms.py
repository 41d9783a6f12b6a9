"""The observations or groups left out: their data, and which of them have no prediction."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import families
from ..container import inference_data as idatas
from ..errors import ContainerError, listed
from ..priors.distributions import FAMILIES, Flat, Prior

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from ..container.inference_data import Container

__all__ = ["Observed", "difference", "observed", "without_prediction"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

# A set of rows with a leverage this near to 1 is all that tells some combination of coefficients.
_LEVERAGE = 1e-8
# Sums of another engine differ in their last digits.
_SAME = 1e-9


# ---- the data -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Observed:
    """The data that a fit was made from, as far as its container holds them.

    Attributes
    ----------
    response : str
        Name of the response.
    y : array, shape (N,), or None
        Response by row; None where the rows are not in the container.
    group : str or None
        Name of the groups; None where the container does not say which row is in which.
    labels : Index or None
        Labels of the groups.
    sizes, means : array, shape (J,), or None
        Rows of each group, and their mean response.
    squares : array, shape (J,), or None
        Sums of squares of each group's rows about their mean; None without the rows.
    """

    response: str
    y: Array | None = None
    group: str | None = None
    labels: pd.Index[Any] | None = None
    sizes: Array | None = None
    means: Array | None = None
    squares: Array | None = None


def observed(idata: Container, response: str) -> Observed:
    """The data of a container, with what can be said of its groups."""
    data, constant = _group(idata, "observed_data"), _group(idata, "constant_data")
    y = None if data is None or response not in data else data[response]
    if y is not None and y.ndim != 1:
        return Observed(response)
    values = None if y is None else np.asarray(y.values, dtype=np.float64)
    if constant is not None and "group_size" in constant:
        size = constant["group_size"]
        group = str(size.dims[0])
        sizes = np.asarray(size.values, dtype=np.float64)
        means, squares = None, None
        if values is not None and "group_index" in constant:
            index = constant["group_index"].to_numpy()
            means = np.bincount(index, values, len(sizes)) / sizes
            squares = np.bincount(index, (values - means[index]) ** 2, len(sizes)).astype(float)
        elif data is not None and f"{response}_mean" in data:
            means = np.asarray(data[f"{response}_mean"].values, dtype=np.float64)
        return Observed(response, values, group, size[group].to_index(), sizes, means, squares)
    if y is not None and families.one_row_per_group(idatas.attributes(idata)):
        group, ones = str(y.dims[0]), np.ones(len(y))
        return Observed(response, values, group, y[group].to_index(), ones, values, 0 * ones)
    return Observed(response, values)


def difference(a: Observed, b: Observed, unit: str) -> str | None:
    """Why two fits are not of the same data, in words; None where nothing speaks against it.

    Rows are compared one by one, in their order, for ``unit="observation"``. For ``unit="group"``,
    and where one of the containers holds no rows, groups are: labels, sizes, means, and sums of
    squares where both have them.
    """
    if a.response != b.response:
        return f"their responses are {a.response!r} and {b.response!r}"
    if unit == "observation" and a.y is not None and b.y is not None:
        return _other_values(a.y, b.y, "row")
    if a.labels is None or b.labels is None:
        return None
    if a.group != b.group:
        return f"their groups are {a.group!r} and {b.group!r}"
    if (said := other_labels(a.labels, b.labels, "group")) is not None:
        return said
    for name, of in (("sizes", "other sizes"), ("means", None), ("squares", "another spread")):
        mine, theirs = getattr(a, name), getattr(b, name)
        if mine is None or theirs is None or _alike(mine, theirs):
            continue
        if of is None:
            return _other_values(mine, theirs, "group")
        return f"their groups have {of}"
    return None


def other_labels(a: pd.Index[Any], b: pd.Index[Any], what: str) -> str | None:
    """How two sequences of labels differ, in words; None where they do not."""
    if len(a) == len(b) and bool((a == b).all()):
        return None
    mine, theirs = set(a.tolist()), set(b.tolist())
    if mine == theirs:
        return f"their {what}s stand in another order"
    only = [label for label in (*a.tolist(), *b.tolist()) if (label in mine) != (label in theirs)]
    number = f"{len(a)} and {len(b)} {what}s; " if len(a) != len(b) else ""
    return f"{number}not in both: {what} {listed(only, 3)}"


def _other_values(a: Array, b: Array, what: str) -> str | None:
    if len(a) != len(b):
        return f"{len(a)} and {len(b)} {what}s"
    if _alike(a, b):
        return None
    if _alike(np.sort(a), np.sort(b)):
        return f"their {what}s stand in another order"
    if np.all(a != 0) and np.ptp(b / a) <= _SAME * np.abs(b / a).max():
        return f"their responses are in other units: one is {(b / a).mean():.6g} times the other"
    number = np.count_nonzero(np.abs(a - b) > _SAME * np.abs(a).max())
    return f"their responses differ in {number} of {len(a)} {what}s"


def _alike(a: Array, b: Array) -> bool:
    scale = max(np.abs(a).max(initial=0.0), np.abs(b).max(initial=0.0))
    return len(a) == len(b) and bool(np.all(np.abs(a - b) <= _SAME * scale))


# ---- terms without a prediction -----------------------------------------------------------------


def without_prediction(idata: Container, unit: str, terms: int) -> tuple[Mask, str]:
    """Terms whose p(y_out | y_rest) does not exist, and why, in words.

    Improper priors leave a posterior only as far as the data make up for them, and one row, or
    group, fewer may be too few:

    - Coefficients with flat priors, whatever the priors of the others are, need as many linearly
      independent rows of their columns: in each group by itself without pooling, over all rows
      otherwise. Rows i are all that tells one of them where their leverage, the largest eigenvalue
      of Q_i Q_i' with Q R the columns, is 1 (Belsley, Kuh and Welsch 1980, Regression Diagnostics,
      section 2.1).
    - tau and mu both flat need K + 2 groups (:mod:`~hiermodels.families.gaussian.propriety`).
    - An improper prior on each group's own sigma needs a residual degree of freedom there; a new
      group has none.

    Returns
    -------
    mask : array of bool, shape (terms,)
    why : str
        Empty where every term is defined.
    """
    attrs = idatas.attributes(idata)
    nothing = np.zeros(terms, dtype=bool)
    if "priors" not in attrs or "pooling" not in attrs:
        return nothing, ""
    fit = _Fit.of(idata, attrs)
    found = [rule(fit, unit, nothing) for rule in (_by_coefficients, _by_groups, _by_residuals)]
    reasons = [why for mask, why in found if mask.any()]
    return np.any([mask for mask, _ in found], axis=0), "; or ".join(reasons)


@dataclass(frozen=True)
class _Fit:
    """What of a fit says which terms are defined."""

    attrs: dict[str, Any]
    priors: dict[str, Prior]
    constant: xr.Dataset | None

    @classmethod
    def of(cls, idata: Container, attrs: dict[str, Any]) -> _Fit:
        written = json.loads(attrs["priors"])
        priors = {
            name: FAMILIES[p["family"]](**{k: v for k, v in p.items() if k != "family"})
            for name, p in written.items()
        }
        return cls(attrs, priors, _group(idata, "constant_data"))

    @property
    def pooled(self) -> bool:
        return bool(self.attrs["pooling"] != "none")

    @property
    def one_row_per_group(self) -> bool:
        return families.one_row_per_group(self.attrs)

    @property
    def sizes(self) -> NDArray[np.int64] | None:
        if self.constant is None or "group_size" not in self.constant:
            return None
        return self.constant["group_size"].to_numpy()

    @property
    def index(self) -> NDArray[np.int64] | None:
        """Group of each row."""
        if self.constant is None or "group_index" not in self.constant:
            return None
        return self.constant["group_index"].to_numpy()

    def flat(self, *blocks: str) -> list[str]:
        """Full names of the parameters of some blocks that have flat priors."""
        return [
            name
            for name, prior in self.priors.items()
            if isinstance(prior, Flat) and name.partition("[")[0] in blocks
        ]

    def columns(self, names: list[str], rows: int) -> Array | None:
        """Columns of the coefficients of these full names; None where the rows are not here.

        Less the origin, as the priors are of those columns' coefficients.
        """
        if all("[" not in name for name in names):
            return np.ones((rows, 1))
        taken = []
        origin = json.loads(self.attrs.get("origin", '{"columns": {}}'))["columns"]
        for name in names:
            block, label = name[:-1].split("[", 1)
            matrix, dim = ("x", "predictor") if block == "beta" else ("z", "coefficient")
            if self.constant is None or matrix not in self.constant:
                return None
            at = origin.get(label, 0.0)
            taken.append(self.constant[matrix].sel({dim: label}).to_numpy() - at)
        return np.column_stack(taken)


def _by_coefficients(fit: _Fit, unit: str, nothing: Mask) -> tuple[Mask, str]:
    names = fit.flat(*(("mu", "beta") if fit.pooled else ("theta", "beta")))
    if not names:
        return nothing, ""
    told = listed(names, 3)
    if fit.one_row_per_group:
        alone = np.full(len(nothing), not fit.pooled or len(nothing) == 1)
        group = np.arange(len(nothing))
    else:
        index, sizes = fit.index, fit.sizes
        if index is None:
            return _without_rows(fit, unit, names, nothing)
        group, columns = index, fit.columns(names, len(index))
        if columns is None or sizes is None:
            return nothing, ""
        Q = np.empty(columns.shape)
        blocks = [np.arange(len(index))] if fit.pooled else _members(group, len(sizes))
        for rows in blocks:
            # Fewer rows than columns have an orthogonal Q, and each a leverage of 1.
            q = np.linalg.qr(columns[rows])[0]
            Q[rows] = 0.0
            Q[rows, : q.shape[1]] = q
        if unit == "observation":
            leverage = np.sum(Q**2, axis=1)
        else:
            parts = _members(group, len(sizes))
            leverage = np.array([np.linalg.norm(Q[rows], 2) ** 2 for rows in parts])
        alone = leverage >= 1 - _LEVERAGE
    if fit.pooled:
        return alone, f"without it, nothing but a flat prior speaks of {told}"
    return alone, (
        "without it, its group no longer determines its own coefficients, and their prior "
        f"({told}) is flat"
    )


def _without_rows(fit: _Fit, unit: str, names: list[str], nothing: Mask) -> tuple[Mask, str]:
    """The same where the rows are not in the container: what sizes alone can say."""
    sizes = fit.sizes
    if fit.pooled or unit == "group":
        lone = sizes is not None and len(sizes) == 1
        return np.full(len(nothing), lone), f"without it, there is no data on {listed(names, 3)}"
    if sizes is not None and all("[" not in name for name in names) and sizes.min() > 1:
        return nothing, ""
    raise ContainerError(
        f"which rows have a prediction without pooling, where {listed(names, 3)} has a flat prior, "
        "depends on rows that this container does not hold; fit a data frame in memory, or give "
        f"{names[0].partition('[')[0]} a proper prior"
    )


def _members(index: NDArray[np.int64], groups: int) -> list[NDArray[np.int64]]:
    """Places of each group's rows."""
    order = np.argsort(index, kind="stable")
    return np.split(order, np.cumsum(np.bincount(index, minlength=groups))[:-1])


def _by_groups(fit: _Fit, unit: str, nothing: Mask) -> tuple[Mask, str]:
    means, scales = fit.flat("mu"), fit.flat("tau")
    both = [name for name in scales if name.replace("tau", "mu", 1) in means]
    sizes = np.ones(len(nothing)) if fit.one_row_per_group else fit.sizes
    if not both or sizes is None:
        return nothing, ""
    K = sum(name.partition("[")[0] == "mu" for name in fit.priors)
    if len(sizes) - 1 >= K + 2:
        return nothing, ""
    if unit == "group" or fit.one_row_per_group:
        gone = ~nothing
    else:
        index = fit.index
        gone = nothing if index is None else sizes[index] == 1
    return gone, (
        f"without it, {len(sizes) - 1} groups are left, and flat priors on mu and tau need {K + 2}"
    )


def _by_residuals(fit: _Fit, unit: str, nothing: Mask) -> tuple[Mask, str]:
    prior, sizes, index = fit.priors.get("sigma"), fit.sizes, fit.index
    own_sigma = json.loads(fit.attrs.get("columns", "{}")).get("sigma") == "group"
    if not own_sigma or prior is None or prior.proper:
        return nothing, ""
    if unit == "group":
        return ~nothing, f"the sd of a new group has an improper prior, sigma ~ {prior}"
    if index is None or sizes is None:
        return nothing, ""
    counted = ("theta", "mu", "beta")
    columns = sum(name.partition("[")[0] in counted for name in fit.priors)
    least = 2 if isinstance(prior, Flat) and not fit.pooled else 1
    left = sizes[index] - 1 - columns
    return left < least, (
        f"without it, its group has too few rows for a sigma of its own, whose prior is {prior}"
    )


def _group(idata: Container, name: str) -> xr.Dataset | None:
    return idatas.dataset(idata, name) if idatas.has(idata, name) else None
