"""Estimates of each group under several strategies, in one table; how much the groups differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..container import inference_data as idatas
from ..families.gaussian import effects
from ..families.gaussian.family import moments_of
from ..models import layout
from . import pooling_factors

if TYPE_CHECKING:
    import pandas as pd

    from ..container.inference_data import Container
    from ..models.base import Base

__all__ = ["heterogeneity", "table"]

Array = NDArray[np.float64]

_STATISTICS = ("mean", "sd", "q5", "q95")
_QUANTILES = {"q5": 0.05, "median": 0.5, "q95": 0.95}
STRATEGIES = ("none", "partial", "complete")
CALLED = {"none": "no pooling", "partial": "partial pooling", "complete": "complete pooling"}


def table(model: Base, fits: Mapping[str, Container]) -> pd.DataFrame:
    """One row for each group and coefficient; as ``PoolingComparison.estimates``."""
    import pandas as pd

    d = model.design
    raw, se = model.family.own_estimates(d)
    columns: dict[str, Any] = {}
    columns[group_column(model)] = np.repeat(d.labels, d.K)
    if not d.scalar:
        columns["coefficient"] = np.tile(np.array(d.coefficients), d.J)
    columns |= {"n": np.repeat(d.sizes, d.K), "estimate": raw.ravel(), "se": se.ravel()}
    for name in STRATEGIES:
        found = _effects(fits[name], d.J, d.K) if name in fits else {}
        nothing = np.full(d.J * d.K, np.nan)
        for statistic in _STATISTICS:
            values = found.get(statistic)
            columns[f"{name}_{statistic}"] = nothing if values is None else values.ravel()
    draws = layout.draws(model, idatas.dataset(fits["partial"], "posterior"))
    factors = dict.fromkeys(("mean", "q5", "q95"), np.full((d.J, d.K), np.nan))
    if model.family.marginal:
        m = moments_of(d)
        factors = pooling_factors.pooling_factors(m, effects.population(m, draws))
    for statistic, values in factors.items():
        name = "pooling_factor" if statistic == "mean" else f"pooling_factor_{statistic}"
        columns[name] = values.ravel()
    ranked = columns["partial_mean"].reshape(d.J, d.K)
    order = np.argsort(-ranked, axis=0, kind="stable")
    rank = np.empty((d.J, d.K), dtype=np.int64)
    np.put_along_axis(rank, order, np.arange(1, d.J + 1)[:, None], axis=0)
    columns["rank"] = rank.ravel()
    return pd.DataFrame(columns)


def group_column(model: Base) -> str:
    """Name of the column of labels: the group's, unless that is the name of another column."""
    group = model.design.group
    taken = {"coefficient", "n", "estimate", "se", "rank"}
    taken |= {f"{s}_{x}" for s in STRATEGIES for x in _STATISTICS}
    taken |= {"pooling_factor", "pooling_factor_q5", "pooling_factor_q95"}
    return f"{group}_group" if group in taken else group


def _effects(idata: Container, J: int, K: int) -> dict[str, Array]:
    """Mean, sd and quantiles of theta, each of shape (J, K)."""
    posterior = idatas.dataset(idata, "posterior")
    if "theta" in posterior:
        x = posterior["theta"].to_numpy().reshape(-1, J, K)
        low, high = np.quantile(x, (0.05, 0.95), axis=0)
        return {"mean": x.mean(axis=0), "sd": x.std(axis=0, ddof=1), "q5": low, "q95": high}
    summed = idatas.dataset(idata, "effects_summary")["theta"]
    return {
        name: np.asarray(summed.sel(statistic=name).to_numpy()).reshape(J, K)
        for name in _STATISTICS
    }


def heterogeneity(model: Base, idata: Container) -> pd.DataFrame:
    """How much the groups differ; as ``PoolingComparison.heterogeneity``.

    ``tau`` is as it is reported; shares and lambda are of the model's own coordinates.
    """
    import pandas as pd

    d = model.design
    posterior = idatas.dataset(idata, "posterior")
    draws = layout.draws(model, posterior)
    assert draws.tau is not None  # noqa: S101 - partial pooling has it
    names = [""] if d.scalar else [f"[{name}]" for name in d.coefficients]
    reported = np.asarray(posterior["tau"].values).reshape(-1, d.K)
    found = {f"tau{name}": reported[:, k] for k, name in enumerate(names)}
    variance = model.family.variance(d, draws.aux)
    # Groups of unlike spread count by their rows.
    within = variance @ (d.sizes / d.N if variance.shape[1] > 1 else np.ones(1))
    root = draws.tau[:, :, None] * (np.eye(d.K)[None] if draws.L_Omega is None else draws.L_Omega)
    Sigma = root @ np.swapaxes(root, 1, 2)
    if d.scalar:
        found[model.family.share] = Sigma[:, 0, 0] / (Sigma[:, 0, 0] + within)
    else:
        shares = pooling_factors.variance_shares(d, Sigma, within)
        found |= {f"share{name}": shares[:, k] for k, name in enumerate(names)}
    table = {
        name: [x.mean(), x.std(ddof=1), *np.quantile(x, list(_QUANTILES.values()))]
        for name, x in found.items()
    }
    if draws.theta is not None and draws.mu is not None:
        together = pooling_factors.over_all_groups(draws.theta - draws.mu[:, None])
        for k, name in enumerate(names):
            table[f"lambda{name}"] = [together[k], *[np.nan] * 4]
    return pd.DataFrame.from_dict(table, orient="index", columns=["mean", "sd", *_QUANTILES])
