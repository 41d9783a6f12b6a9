"""Fits of one data set side by side, by how well they predict what was left out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ContainerError, DataError, OptionError, listed
from . import loo_terms
from .loo import Loo, check_unit, loo

if TYPE_CHECKING:
    import pandas as pd

    from ..container.inference_data import Container

__all__ = ["LooComparison", "compare", "compared"]

Array = NDArray[np.float64]

COLUMNS = ("elpd", "se", "p_loo", "elpd_diff", "se_diff", "bad_k", "worst_k", "weight")
# Sivula, Magnusson, Matamoros and Vehtari (2020), "Uncertainty in Bayesian leave-one-out
# cross-validation based model comparison", arXiv:2008.10296, section 4.
SMALL_DIFFERENCE = 4.0
"""Of two elpd: below it models cannot be told apart by it, whatever its standard error says."""

FEW_TERMS = 100
"""With fewer, the standard error of a difference is too small more often than not."""


@dataclass(frozen=True, eq=False, repr=False)
class LooComparison:
    """Fits of one data set, best first; prints as a table with what may be concluded from it.

    Attributes
    ----------
    unit : {"observation", "group"}
        What is left out.
    table : DataFrame
        One row for each fit, best first. ``elpd``, ``se``, ``p_loo``, as in :class:`Loo`, of the
        terms that all fits define; ``elpd_diff``, the difference to the best, 0 or less; its
        standard error ``se_diff``, sqrt(n var(differences of the terms)) with divisor n - 1
        (Vehtari, Gelman and Gabry 2017, Statistics and Computing 27, equation 24); ``bad_k``, the
        number of terms whose Pareto k is above the limit, and ``worst_k``, the highest; ``weight``,
        by stacking (:func:`stacking`). All but ``bad_k`` are NaN for a fit that defines no term.
    terms : tuple of two int
        Terms that were used, of how many. Those that a fit leaves undefined are left out of all;
        a fit that defines none takes no part.
    loos : dict of str to Loo
        What was compared, best first.
    """

    unit: str
    table: pd.DataFrame
    terms: tuple[int, int]
    loos: dict[str, Loo] = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether no Pareto k is bad, and every fit took part."""
        return bool((self.table["bad_k"] == 0).all() and self.table["elpd"].notna().all())

    def __str__(self) -> str:
        return _report(self)

    __repr__ = __str__


def compare(fits: Mapping[str, Container | Loo], unit: str = "observation") -> LooComparison:
    """Compare fits of one data set by leave-one-out cross-validation.

    Parameters
    ----------
    fits : mapping of str to InferenceData, DataTree or Loo
        Two or more, by name; of one data set, whatever their parameterizations, priors, predictors
        and pooling.
    unit : {"observation", "group"}
        What is left out, as in :func:`loo`.

    Returns
    -------
    LooComparison
        ``.table`` has a row for each fit, best first, with the same columns on every ArviZ.

    Raises
    ------
    DataError
        The fits are not of the same data: other responses, rows, groups, labels, units or order.
    OptionError
        Fewer than two fits; a :class:`Loo` of the other unit; ``unit="group"`` with a fit without
        pooling; no term that is defined.
    ContainerError
        A container that :func:`loo` cannot use; the message names the fit.
    """
    if not isinstance(fits, Mapping):
        raise OptionError(
            f"compare needs a dict from name to fit, got {type(fits).__name__}; "
            "as in hm.compare({'partial': idata, 'complete': other})"
        )
    check_unit(unit)
    if len(fits) < 2:
        raise OptionError(f"compare needs two fits or more, got {len(fits)}")
    loos: dict[str, Loo] = {}
    for name, fit in fits.items():
        if isinstance(fit, Loo):
            if fit.unit != unit:
                raise OptionError(
                    f"fit {name!r}: unit={unit!r} needs a leave-one-{unit}-out, got a "
                    f"leave-one-{fit.unit}-out; pass unit={fit.unit!r}, or the fit itself"
                )
            loos[str(name)] = fit
            continue
        try:
            loos[str(name)] = loo(fit, unit)
        except (ContainerError, OptionError) as error:
            raise type(error)(f"fit {name!r}: {error}") from error
    return compared(loos)


def compared(loos: Mapping[str, Loo]) -> LooComparison:
    """The comparison of what has been left out already, all in one unit."""
    import pandas as pd

    _refuse_other_data(loos)
    taking_part = {name: found for name, found in loos.items() if found.n}
    total = len(next(iter(loos.values())).table)
    terms = {name: found.table["elpd"].to_numpy() for name, found in taking_part.items()}
    used = np.all([np.isfinite(x) for x in terms.values()], axis=0) if terms else np.zeros(0, bool)
    n = int(np.count_nonzero(used))
    if n == 0:
        reasons = [f"{name}: {found.why_undefined}" for name, found in loos.items()]
        raise OptionError(
            "no term is defined by all fits, so that there is nothing to compare; leave out those "
            f"without a prediction ({'; '.join(r for r in reasons if not r.endswith(': '))})"
        )
    order = sorted(terms, key=lambda name: -terms[name][used].sum())
    together = np.column_stack([terms[name][used] for name in order])
    weights = dict(zip(order, stacking(together), strict=True))
    best = terms[order[0]][used]
    rows: dict[str, dict[str, float]] = {}
    for name in order:
        found, own = loos[name], terms[name][used]
        k = found.table["pareto_k"].to_numpy()[used]
        rows[name] = {
            "elpd": own.sum(),
            "se": _standard_error(own),
            "p_loo": found.table["p_loo"].to_numpy()[used].sum(),
            "elpd_diff": (own - best).sum(),
            "se_diff": 0.0 if name == order[0] else _standard_error(own - best),
            "bad_k": int(np.count_nonzero(k > found.k_limit)),
            "worst_k": math.nan if np.isnan(k).all() else float(np.nanmax(k)),
            "weight": weights[name],
        }
    for name in loos:
        rows.setdefault(name, dict.fromkeys(COLUMNS, math.nan) | {"bad_k": 0})
    table = pd.DataFrame.from_dict(rows, orient="index", columns=list(COLUMNS))
    table = table.astype(dict.fromkeys(COLUMNS, float) | {"bad_k": int})
    unit = next(iter(loos.values())).unit
    return LooComparison(unit, table, (n, total), {name: loos[name] for name in rows})


def _standard_error(terms: Array) -> float:
    """sqrt(n var(terms)), divisor n - 1; NaN of a single one."""
    n = len(terms)
    return float(np.sqrt(n * terms.var(ddof=1))) if n > 1 else math.nan


def _refuse_other_data(loos: Mapping[str, Loo]) -> None:
    # Each pair: one that holds no rows may agree with two that do, and these not with each other.
    for (name, one), (other, two) in combinations(loos.items(), 2):
        if one.unit != two.unit:
            raise OptionError(
                f"all must leave out the same, got leave-one-{one.unit}-out in {name!r} and "
                f"leave-one-{two.unit}-out in {other!r}"
            )
        why = loo_terms.difference(one.data, two.data, one.unit)
        if why is None:
            what = "row" if one.unit == "observation" else "group"
            why = loo_terms.other_labels(one.table.index, two.table.index, what)
        if why is not None:
            raise DataError(
                f"fits can be compared on one data set only, got others in {name!r} and "
                f"{other!r}: {why}; fit both to the same data frame"
            )


def stacking(terms: Array) -> Array:
    """Weights of the mixture of the fits that predicts best (Yao et al. 2018, section 3.1).

    The maximum over the simplex of sum over i of log(sum over k of w_k p_k(y_i | y_-i)). ArviZ has
    it as well, but takes the densities as they are, and those of a whole group are 0 in floating
    point: here each term is divided by its best first, which changes nothing.

    Parameters
    ----------
    terms : array, shape (n, K)
        Log p_k(y_i | y_-i).

    Returns
    -------
    array, shape (K,)

    References
    ----------
    Yao, Y., Vehtari, A., Simpson, D. and Gelman, A. (2018). Using stacking to average Bayesian
    predictive distributions. Bayesian Analysis 13, 917-1007.
    """
    from scipy import optimize

    K = terms.shape[1]
    if K == 1:
        return np.ones(1)
    p = np.exp(terms - terms.max(axis=1, keepdims=True))

    def loss(w: Array) -> tuple[float, Array]:
        mixed = np.maximum(p @ w, np.finfo(float).tiny)
        return -float(np.log(mixed).mean()), -(p / mixed[:, None]).mean(axis=0)

    minimize: Any = optimize.minimize  # its overloads have no place for a dict of constraints
    found = minimize(
        loss,
        np.full(K, 1 / K),
        jac=True,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * K,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones_like(w)},
        options={"ftol": 1e-13, "maxiter": 1000},
    )
    w = np.clip(found.x, 0.0, None)
    return np.asarray(w / w.sum())


# ---- the report ---------------------------------------------------------------------------------


def _report(c: LooComparison) -> str:
    n, total = c.terms
    there = c.table[c.table["elpd"].notna()]
    what = "observations" if c.unit == "observation" else "groups"
    lines = [f"Leave-one-{c.unit}-out, {n} of {total} {what}; the higher elpd predicts better", ""]
    shown = c.table.assign(
        **{name: c.table[name].map("{:.2f}".format) for name in COLUMNS if name != "bad_k"}
    )
    lines += [shown.to_string(), "", *_conclusions(there, n)]
    for name, found in c.loos.items():
        if found.undefined:
            every = found.undefined == total
            number = f"none of the {total}" if every else f"{total - found.undefined} of {total}"
            left = "it takes no part" if every else "the others are left out of all fits"
            lines.append(f"{name!r} predicts {number} {what} ({found.why_undefined}); {left}.")
    for name in c.table.index[c.table["bad_k"] > 0]:
        lines.append(
            f"{name!r} has {c.table.loc[name, 'bad_k']} bad Pareto k: its elpd tends to be too "
            f"high. {c.loos[name].next_step}"
        )
    return "\n".join(lines)


def _conclusions(table: pd.DataFrame, n: int) -> list[str]:
    """What the differences allow to be said."""
    best, others = table.index[0], table.iloc[1:]
    if others.empty:
        return []
    close = others[others["elpd_diff"] > -SMALL_DIFFERENCE]
    lines = []
    ahead = others[others["elpd_diff"] <= -SMALL_DIFFERENCE]
    if len(ahead):
        told = []
        for name, row in ahead.iterrows():
            clear = -row["elpd_diff"] > 2 * row["se_diff"]
            doubt = "" if clear else ", which is not clear"
            told.append(f"{name!r} by {-row['elpd_diff']:.1f} (se {row['se_diff']:.1f}{doubt})")
        lines.append(f"{best!r} comes out ahead of {', '.join(told)}.")
    if len(close):
        lines.append(
            f"{best!r} and {listed(close.index)} differ by less than {SMALL_DIFFERENCE:.0f}: they "
            "predict about equally well. So small a difference is more uncertain than its se_diff "
            "says."
        )
    if n < FEW_TERMS:
        lines.append(
            f"{n} terms are few (fewer than {FEW_TERMS}): se_diff may well be too small, and "
            "elpd_diff / se_diff is not to be read as a normal z."
        )
    return lines
