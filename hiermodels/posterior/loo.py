"""Leave-one-out cross-validation from one fit, by Pareto-smoothed importance sampling.

With draws s of the posterior given all data,

    p(y_i | y_-i) is about  sum over s of w_is p(y_i | draw s),   w_is prop. to 1 / p(y_i | draw s),

where the largest weights are smoothed (Vehtari, Gelman and Gabry 2017, "Practical Bayesian model
evaluation using leave-one-out cross-validation and WAIC", Statistics and Computing 27, 1413-1432,
section 2.1). y_i is a row, with p(y_i | draw) from the group ``log_likelihood``; or all rows of a
group, with the group effects integrated out, from ``log_likelihood_group``: that is the prediction
of a group that was not seen.

Pareto k says whether it worked: up to min(1 - 1/log10(S), 0.7) with S draws it did (Vehtari et al.
2024, "Pareto smoothed importance sampling", JMLR 25(72), section 3.2.4).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import families
from ..container import inference_data as idatas
from ..container import psis
from ..data import origins
from ..diagnostics import convergence
from ..errors import ContainerError, OptionError, refuse_without_marginal, suggest
from . import loo_terms
from .loo_terms import Observed

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from ..container.inference_data import Container

__all__ = ["Loo", "loo", "with_refits"]

Array = NDArray[np.float64]

UNITS = ("observation", "group")
_GROUPS = {"observation": "log_likelihood", "group": "log_likelihood_group"}
_FEWEST_DRAWS = 25  # a tail of five
_BLOCK = 1 << 20  # numbers at once: 8 MB, some four times
_SHOWN = 3


@dataclass(frozen=True, eq=False, repr=False)
class Loo:
    """Expected log predictive density by leaving out one row, or one group; prints as a verdict.

    Attributes
    ----------
    unit : {"observation", "group"}
        What is left out.
    elpd, se : float
        Sum of the log densities of what was left out, each predicted from the rest, and its
        standard error, sqrt(n var(terms)) with divisor n - 1 (Vehtari, Gelman and Gabry 2017,
        equation 23). NaN where no term is defined.
    p_loo : float
        What leaving out costs: sum of ``lppd`` - ``elpd``, the effective number of parameters.
    n : int
        Terms in these sums.
    table : DataFrame
        One row for each observation or group, by its label: ``elpd``, ``lppd`` (the same density
        with nothing left out), ``p_loo``, ``pareto_k``. A term without a prediction has NaN in all
        but ``lppd``. By group, ``lppd`` has the effects integrated out over their population, so
        that ``p_loo`` counts hyperparameters alone.
    k_limit : float
        Pareto k up to which a term can be relied upon.
    undefined : int
        Terms without a prediction, which the sums leave out.
    why_undefined : str
        Why they have none.
    draws : int
        Draws of the posterior.
    title : str
        The model and its pooling.
    next_step : str
        What to do about bad Pareto k.
    data : Observed
        The observations or groups left out, for comparisons.
    """

    unit: str
    elpd: float
    se: float
    p_loo: float
    n: int
    table: pd.DataFrame = field(repr=False)
    k_limit: float
    undefined: int
    why_undefined: str
    draws: int
    title: str
    next_step: str
    data: Observed = field(repr=False)

    @property
    def bad(self) -> pd.DataFrame:
        """The rows of the table whose Pareto k is above the limit, worst first."""
        above = self.table[self.table["pareto_k"] > self.k_limit]
        return above.sort_values("pareto_k", ascending=False, kind="stable")

    @property
    def ok(self) -> bool:
        """Whether there are terms, and none has a bad Pareto k."""
        return self.n > 0 and self.bad.empty

    @property
    def verdict(self) -> str:
        """Whether these numbers can be relied upon, and what to do if not."""
        k, bad = self.table["pareto_k"].dropna(), self.bad
        if self.n == 0:
            return "There is nothing to rely upon: no term is defined."
        if bad.empty:
            highest = f" (highest {k.max():.2f}, {k.idxmax()})" if len(k) else ""
            return (
                f"Every Pareto k is at most {self.k_limit:.2f}{highest}: these numbers can be "
                "relied upon."
            )
        worst = ", ".join(f"{i} ({x:.2f})" for i, x in bad["pareto_k"][:_SHOWN].items())
        more = f" and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        return (
            f"Pareto k is above {self.k_limit:.2f} in {len(bad)} of {self.n} terms: {worst}{more}. "
            f"There the weights fail, and elpd tends to be too high. {self.next_step}"
        )

    def __str__(self) -> str:
        lines = [
            f"Leave-one-{self.unit}-out, {self.title}",
            f"elpd {self.elpd:.2f} (se {self.se:.2f}), p_loo {self.p_loo:.2f}; "
            f"{self.n} terms, {self.draws} draws",
            self.verdict,
        ]
        if self.undefined:
            names = [str(i) for i in self.table.index[self.table["elpd"].isna()][:_SHOWN]]
            more = ", ..." if self.undefined > _SHOWN else ""
            what = "observations" if self.unit == "observation" else "groups"
            lines.append(
                f"{self.undefined} of {len(self.table)} {what} "
                f"({', '.join(names)}{more}) {'has' if self.undefined == 1 else 'have'} no "
                f"prediction: {self.why_undefined}. They are not in the sums."
            )
        return "\n".join(lines)

    __repr__ = __str__


def loo(idata: Container, unit: str = "observation") -> Loo:
    """Leave-one-out cross-validation from one fit, by Pareto-smoothed importance sampling.

    Parameters
    ----------
    idata : InferenceData or DataTree
    unit : {"observation", "group"}
        What is left out: one row, predicted from the others, those of its own group among them; or
        one group, predicted as a new one, its effects integrated out.

    Returns
    -------
    Loo
        ``print`` it for the verdict; ``.table`` has each term.

    Raises
    ------
    OptionError
        ``unit`` is neither; or ``unit="group"`` without pooling, where groups have no distribution
        that a new one could come from.
    ContainerError
        The log likelihood is not in the container (``model.add_pointwise(idata)`` adds it), is not
        finite, or has fewer than 25 draws.

    Notes
    -----
    Smoothing and Pareto k are the installed ArviZ's. The relative efficiency is taken as there: the
    effective sample size of the mean, averaged over all entries of the posterior, over the number
    of draws; 1 for a single chain. The entries are those at the centre of the columns
    (:func:`hiermodels.at_centre`), so that no digit depends on where x = 0 is.

    Without pooling, and under flat priors in general, a row may be all that the data say of some
    coefficient. It has no prediction from the rest: its ``elpd`` is NaN, and it is counted in
    ``undefined``.

    With ``sigma="group"`` a group that is left out takes its residual sd along, and a new one comes
    from the prior of sigma, which weights seldom reach: Pareto k is high, and with one just below
    the limit ``elpd`` can still be half a unit too high.
    """
    import pandas as pd

    check_unit(unit)
    attrs = idatas.attributes(idata)
    posterior = idatas.dataset(idata, "posterior")
    log_p = _log_likelihood(idata, attrs, unit)
    dim = str(log_p.dims[-1])
    index = log_p[dim].to_index().rename(dim)
    none, why = loo_terms.without_prediction(idata, unit, len(index))
    reff = _relative_efficiency(origins.moved(posterior, origins.of_container(idata)))
    table = pd.DataFrame(_terms(log_p, reff), index=index)
    table.loc[none, ["elpd", "p_loo", "pareto_k"]] = np.nan
    draws = log_p.sizes["chain"] * log_p.sizes["draw"]
    return Loo(
        unit=unit,
        **_sums(table),
        table=table,
        k_limit=min(1 - 1 / math.log10(draws), 0.7),
        why_undefined=why,
        draws=draws,
        title=_title(attrs),
        next_step=_next_step(attrs, unit),
        data=loo_terms.observed(idata, str(log_p.name)),
    )


def check_unit(unit: Any) -> None:
    """Refuse a ``unit=`` that is neither "observation" nor "group"."""
    if unit not in UNITS:
        raise OptionError(
            f"unit must be 'observation' or 'group', got {unit!r}{suggest(str(unit), UNITS)}"
        )


def with_refits(found: Loo, elpd: pd.Series[float], why: str = "") -> Loo:
    """The same with some terms replaced by those of fits without them, NaN with ``why``.

    Their Pareto k is NaN: no weights were used.
    """
    table = found.table.copy()
    table.loc[elpd.index, "elpd"] = elpd
    table.loc[elpd.index, "p_loo"] = table.loc[elpd.index, "lppd"] - elpd
    table.loc[elpd.index, "pareto_k"] = np.nan
    reasons = "; or ".join(filter(None, (found.why_undefined, why)))
    return replace(found, table=table, why_undefined=reasons, **_sums(table))


def _sums(table: pd.DataFrame) -> dict[str, Any]:
    """The sums of the terms that are defined."""
    terms = table["elpd"].dropna().to_numpy()
    n = len(terms)
    return {
        "elpd": float(terms.sum()) if n else math.nan,
        "se": float(np.sqrt(n * terms.var(ddof=1))) if n > 1 else math.nan,
        "p_loo": float(table["p_loo"].sum()) if n else math.nan,
        "n": n,
        "undefined": len(table) - n,
    }


# ---- the terms ----------------------------------------------------------------------------------


def _log_likelihood(idata: Container, attrs: dict[str, Any], unit: str) -> xr.DataArray:
    """The log likelihood by row or by group, dims (chain, draw, terms)."""
    group = _GROUPS[unit]
    if unit == "group" and attrs.get("pooling") == "none":
        flat = '"family": "Flat"' in str(attrs.get("priors", ""))
        prior = "; its coefficients' prior is flat, which is none either" if flat else ""
        raise OptionError(
            "unit='group': without pooling there is no prediction of a new group, got a fit with "
            f"pooling='none': groups have no distribution in common that it could come from{prior}"
            "; use unit='observation', or pooling='partial'"
        )
    if unit == "group" and attrs.get("pooling") == "partial":
        refuse_without_marginal(attrs.get("family"), "unit='group'", "use unit='observation'")
    if not idatas.has(idata, group):
        # One of the two names begins with the other.
        said = str(attrs.get("pointwise", "")).split("; ")
        said = [s for s in said if s.startswith((f"{group} ", f"{group}:"))]
        why = f" ({said[0]})" if said and not said[0].endswith("included") else ""
        instead = "" if unit == "group" else "; unit='group' needs neither rows nor effects"
        raise ContainerError(
            f"leaving out one {unit} at a time needs the group {group!r}, and the container has "
            f"none{why}; model.add_pointwise(idata) adds it, where the model has what it takes"
            f"{instead}"
        )
    ds = idatas.dataset(idata, group)
    if len(ds.data_vars) != 1:
        raise ContainerError(
            f"group {group!r} must hold one variable, got {', '.join(map(str, ds.data_vars))}"
        )
    (log_p,) = ds.data_vars.values()
    others = [d for d in log_p.dims if d not in ("chain", "draw")]
    if len(others) != 1 or log_p.ndim != 3:
        raise ContainerError(
            f"group {group!r} must have the dims chain, draw and one more, got "
            f"{', '.join(map(str, log_p.dims))}; stack the others into one"
        )
    draws = log_p.sizes["chain"] * log_p.sizes["draw"]
    if draws < _FEWEST_DRAWS:
        raise ContainerError(
            f"leave-one-out needs at least {_FEWEST_DRAWS} draws, got {draws}; fit with more"
        )
    return log_p.transpose("chain", "draw", others[0])


def _terms(log_p: xr.DataArray, reff: float) -> dict[str, Array]:
    """The columns of the table, in blocks of terms."""
    values = log_p.to_numpy().reshape(-1, log_p.shape[-1])
    draws, n = values.shape
    out = {name: np.empty(n) for name in ("elpd", "lppd", "p_loo", "pareto_k")}
    step = max(1, _BLOCK // draws)
    for start in range(0, n, step):
        part = slice(start, start + step)
        block = np.array(values[:, part].T, dtype=np.float64, order="C")
        if not np.isfinite(block).all():
            raise ContainerError(
                f"the log likelihood of {log_p.name!r} must be finite, got NaN or infinity; look "
                "for draws that are not finite with hm.check(idata), and fit again"
            )
        log_weights, out["pareto_k"][part] = psis.psis(-block, reff)
        out["elpd"][part] = _log_sum(log_weights + block)
        out["lppd"][part] = _log_sum(block) - math.log(draws)
    out["p_loo"] = out["lppd"] - out["elpd"]
    return out


def _log_sum(x: Array) -> Array:
    """Log of the sum of exponentials along the rows."""
    top = x.max(axis=1)
    return np.asarray(top + np.log(np.exp(x - top[:, None]).sum(axis=1)))


def _relative_efficiency(posterior: xr.Dataset) -> float:
    """Effective sample size of the mean over draws, averaged over all entries, as ArviZ takes it.

    Of an entry that does not move, the number of draws.
    """
    if posterior.sizes["chain"] < 2:
        return 1.0
    shares = []
    for x in posterior.data_vars.values():
        values = np.asarray(x.transpose("chain", "draw", ...).values, dtype=np.float64)
        values = values.reshape(*values.shape[:2], -1)
        found = convergence.table(values, ("sd", "mcse_mean"))
        with np.errstate(all="ignore"):
            share = (found["sd"] / found["mcse_mean"]) ** 2 / (values.shape[0] * values.shape[1])
        shares.append(np.where(np.isfinite(share), share, 1.0))
    return float(np.concatenate(shares).mean())


# ---- words --------------------------------------------------------------------------------------


def _title(attrs: dict[str, Any]) -> str:
    if "model" not in attrs:
        return "a posterior"
    pooling = {"none": "no"}.get(attrs.get("pooling", ""), attrs.get("pooling"))
    return f"{attrs['model']}, {pooling} pooling" if pooling else str(attrs["model"])


def _next_step(attrs: dict[str, Any], unit: str) -> str:
    """What to do where the weights fail, aware of the model."""
    model, pooling = attrs.get("model"), attrs.get("pooling")
    common = json.loads(attrs.get("columns", "{}")).get("sigma", "common") == "common"
    closed = "family" not in attrs
    steps = []
    if closed and pooling == "partial" and model in ("EightSchools", "OneWay") and common:
        steps.append(f"hm.exact.posterior(model).loo({unit!r}) has the exact terms")
    if unit == "observation" and pooling in ("partial", "complete"):
        if families.one_row_per_group(attrs):
            steps.append("unit='group' leaves out the same, its effect integrated out")
        elif closed or pooling == "complete":
            steps.append("unit='group', the prediction of new groups, may do, and fares better")
    what = "groups" if unit == "group" else "rows"
    how = ", as hm.compare_pooling(model, refit='bad') does" if model else ""
    steps.append(f"fit again without each of these {what}{how}")
    return f"Next: {'; or '.join(steps)}."
