"""Stan's variables -> the groups of the container, with their dims and labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..container import inference_data as idatas
from ..data import origins
from ..families import pointwise as by_row
from ..families.draws import Draws
from ..families.gaussian.hyperparameters import Values

if TYPE_CHECKING:
    from .base import Base

Array = NDArray[np.float64]

EXTRAS = ("deviation", "eta", "L_Omega")
# CmdStan's names of the sampler's own variables, and ArviZ's.
_SAMPLE_STATS = {
    "lp__": "lp",
    "accept_stat__": "acceptance_rate",
    "stepsize__": "step_size",
    "treedepth__": "tree_depth",
    "n_leapfrog__": "n_steps",
    "divergent__": "diverging",
    "energy__": "energy",
}


def labelled(
    model: Base,
    variables: Mapping[str, tuple[tuple[str, ...], Any]],
    *,
    chains: Sequence[int] | None,
) -> xr.Dataset:
    """Arrays with their dims as a dataset with the model's labels.

    Parameters
    ----------
    model : Base
        Whose coords name the entries.
    variables : mapping of str to (dims, array)
        Dims after chain and draw.
    chains : sequence of int, or None
        Labels of the chains; None for arrays without chain and draw.
    """
    lead = () if chains is None else ("chain", "draw")
    whole = {n: ((*lead, *dims), values) for n, (dims, values) in variables.items()}
    index = model.indexes
    if chains is not None and whole:
        draws = next(iter(whole.values()))[1].shape[1]
        index = index | _sample_indexes(tuple(chains), draws)
    return idatas.labelled(whole, index)


@lru_cache(maxsize=16)
def _sample_indexes(chains: tuple[int, ...], draws: int) -> dict[str, Any]:
    return idatas.indexes({"chain": list(chains), "draw": range(draws)})


def posterior(
    model: Base, stan: Mapping[str, Array], include: Sequence[str], chains: Sequence[int]
) -> xr.Dataset:
    """The parameters, and what the family derives from them.

    ``theta`` is always the group's own coefficient, and under complete pooling the common one,
    once for each group. ``icc`` is the share of the variance that lies between groups,
    tau^2 / (tau^2 + sigma^2).
    """
    d = model.design
    stan, dims = _at_zero(model, stan), dict(model.dims)
    for name, own in model.family.dims(d).items():  # vectors in Stan
        if not own and stan[name].ndim > 2:
            stan[name] = stan[name][..., 0]
    if "theta" not in stan and model.pooling == "partial":
        del dims["theta"]  # summed up, or left out
    if model.pooling == "complete":
        mu = stan["mu"][:, :, None]
        stan["theta"] = np.repeat(mu, d.J, axis=2)
    if d.scalar and not d.estimates and model.pooling == "partial":
        within = model.family.variance(d, {n: stan[n] for n in model.family.dims(d)})
        tau = stan["tau"][..., None] if model.family.by_group else stan["tau"]
        stan["icc"] = tau**2 / (tau**2 + within)
        dims["icc"] = (d.group,) if model.family.by_group else ()
    if "deviation" in include and "theta" in stan and model.pooling == "partial":
        stan["deviation"] = stan["theta"] - stan["mu"][:, :, None]
        dims["deviation"] = dims["theta"]
    if "eta" in include and "eta" in stan:
        if not d.scalar:  # a K x J matrix in Stan
            stan["eta"] = np.swapaxes(stan["eta"], -1, -2)
        dims["eta"] = dims["theta"]
    # Far from the columns' centre correlations are all but 1, and their factor has digits that they
    # have lost: what is computed from a posterior takes it, until it is in its container.
    if "Omega" in dims and ("L_Omega" in include or d.origin.turns):
        dims["L_Omega"] = dims["Omega"]
    return labelled(model, {n: (dims[n], stan[n]) for n in dims}, chains=chains)


def as_kept(parts: Mapping[str, xr.Dataset], include: Sequence[str]) -> dict[str, xr.Dataset]:
    """The groups of a container: without the factor of the correlations, unless it is asked for."""
    if "L_Omega" in include:
        return dict(parts)
    return {name: ds.drop_vars("L_Omega", errors="ignore") for name, ds in parts.items()}


def _at_zero(model: Base, stan: Mapping[str, Array]) -> dict[str, Array]:
    """Stan's variables, which are of columns less their origin, as those of the raw columns."""
    origin, out = model.design.origin, dict(stan)
    if not origin.moves:
        return out
    turns = "Omega" in out and origin.turns
    if turns and "L_Omega" not in out:
        out["L_Omega"] = origins.root_of(out["Omega"])
    if "eta" in out:  # K x J matrices in Stan
        out["eta"] = np.swapaxes(out["eta"], -1, -2)
    out = origin.to_zero(out)
    if "eta" in out:
        out["eta"] = np.swapaxes(out["eta"], -1, -2)
    if turns:
        out["Omega"] = origins.correlations(out["L_Omega"])
    return out


def sample_stats(
    model: Base, stan: Mapping[str, Array], max_treedepth: int, chains: Sequence[int]
) -> xr.Dataset:
    """The sampler's own variables, in ArviZ's names."""
    stats: dict[str, Any] = {new: stan[old] for old, new in _SAMPLE_STATS.items()}
    stats["diverging"] = stats["diverging"].astype(bool)
    for name in ("tree_depth", "n_steps"):
        stats[name] = stats[name].astype(np.int64)
    stats["reached_max_treedepth"] = stats["tree_depth"] >= max_treedepth
    return labelled(model, {n: ((), values) for n, values in stats.items()}, chains=chains)


def log_prior(model: Base, stan: Mapping[str, Array], chains: Sequence[int]) -> xr.Dataset:
    """The log prior by block: one variable for each parameter with a prior."""
    return labelled(
        model,
        {block.name: ((), stan["lprior"][..., place]) for place, block in model.lprior_places()},
        chains=chains,
    )


def log_prior_of(
    model: Base, values: Values, shape: tuple[int, int], chains: Sequence[int]
) -> xr.Dataset:
    """The log prior by block, of hyperparameters laid end to end."""
    blocks = model.hyperparameters.log_prior(values)
    variables = {n: ((), v.reshape(shape)) for n, v in blocks.items()}
    return labelled(model, variables, chains=chains)


def hyperparameters(model: Base, values: Values, shape: tuple[int, int]) -> dict[str, Array]:
    """Hyperparameters laid end to end, as arrays in the shapes of Stan's variables.

    ``shape`` is that of (chain, draw).
    """
    d = model.design
    out = {"mu": values.raw[:, : d.K], "tau": values.tau}
    if d.scalar:  # these programs have no dim for one coefficient
        out = {name: x[:, 0] for name, x in out.items()}
    if values.sigma is not None:
        out["sigma"] = values.sigma
    if d.K > 1:
        out["Omega"] = values.L_Omega @ np.swapaxes(values.L_Omega, -1, -2)
        out["L_Omega"] = values.L_Omega
    out["beta"] = values.raw[:, d.K :]
    return {name: x.reshape(*shape, *x.shape[1:]) for name, x in out.items()}


def group_effects(model: Base, theta: Array, shape: tuple[int, int]) -> Array:
    """Effects of shape (D, J, K) as Stan's ``theta``."""
    d = model.design
    tail = (d.J,) if d.scalar else (d.J, d.K)
    return theta.reshape(*shape, *tail)


def effects_summary(model: Base, summary: Mapping[str, Array]) -> xr.Dataset:
    """Posterior mean, sd and quantiles of each group's effects: ``theta``, by statistic."""
    d = model.design
    k = () if d.scalar else ("coefficient",)
    stacked = np.stack(list(summary.values()))
    if d.scalar:
        stacked = stacked[..., 0]
    out = labelled(model, {"theta": (("statistic", d.group, *k), stacked)}, chains=None)
    return out.assign_coords(statistic=list(summary))


def draws(model: Base, posterior: xr.Dataset) -> Draws:
    """A posterior's draws in the model's own coordinates, as :mod:`.effects` wants."""
    return _moved(raw_draws(model, posterior), model.design.origin.from_zero)


def at_zero(model: Base, draws: Draws) -> Draws:
    """Draws in the model's own coordinates -> those of the raw columns, as in the container."""
    return _moved(draws, model.design.origin.to_zero)


def _moved(draws: Draws, move: Callable[[dict[str, Array]], dict[str, Array]]) -> Draws:
    parts = {name: x for name, x in draws.named().items() if name not in draws.aux}
    moved: dict[str, Any] = move(parts)
    return replace(draws, **moved)


def raw_draws(model: Base, posterior: xr.Dataset) -> Draws:
    """A posterior's arrays with the chains laid end to end: of the raw columns, as they are."""
    d = model.design

    def flat(name: str, *shape: int) -> Array | None:
        if name not in posterior:
            return None
        return np.asarray(posterior[name].values).reshape(-1, *shape)

    n = posterior.sizes["chain"] * posterior.sizes["draw"]
    beta = flat("beta", *((d.J, d.P) if model.pooling == "none" else (d.P,)))
    Omega, factor = flat("Omega", d.K, d.K), flat("L_Omega", d.K, d.K)
    aux = {b.name: flat(b.name, model.family.count(d)) for b in model.family.blocks()}
    root = factor if factor is not None or Omega is None else origins.root_of(Omega)
    return Draws(
        mu=flat("mu", d.K),
        tau=flat("tau", d.K),
        L_Omega=root,
        # Under complete pooling theta is mu, once for each group: mu alone says it.
        theta=None if model.pooling == "complete" else flat("theta", d.J, d.K),
        beta=np.zeros((n, 0)) if beta is None else beta,
        aux={name: x for name, x in aux.items() if x is not None},
    )


def rows(model: Base, values: Array, chains: Sequence[int]) -> xr.Dataset:
    """Something for each row, named as the response; shape (chain, draw, N)."""
    d = model.design
    return labelled(model, {d.response: ((d.observation_dim,), values)}, chains=chains)


def pointwise(model: Base, posterior: xr.Dataset, seed: int) -> dict[str, xr.Dataset]:
    """``log_likelihood`` and ``posterior_predictive``, by row."""
    d = model.design
    shape = (posterior.sizes["chain"], posterior.sizes["draw"], d.N)
    chains = posterior["chain"].values.tolist()
    own = np.random.SeedSequence([seed, 0])
    log_p, y_rep = by_row.pointwise(model.family, d, draws(model, posterior), own)
    return {
        "log_likelihood": rows(model, log_p.reshape(shape), chains),
        "posterior_predictive": rows(model, y_rep.reshape(shape), chains),
    }


def by_group(model: Base, posterior: xr.Dataset) -> dict[str, xr.Dataset]:
    """``log_likelihood_group``, where groups have a distribution that integrates out."""
    d = model.design
    values = by_row.log_likelihood_group(model.family, d, draws(model, posterior))
    if values is None:
        return {}
    shape = (posterior.sizes["chain"], posterior.sizes["draw"], d.J)
    chains = posterior["chain"].values.tolist()
    variable = {d.response: ((d.group,), values.reshape(shape))}
    return {"log_likelihood_group": labelled(model, variable, chains=chains)}


def data(model: Base) -> dict[str, xr.Dataset]:
    """``observed_data`` (the response) and ``constant_data`` (what it is conditioned on)."""
    d = model.design
    sizes: dict[str, Any] = {}
    if not d.estimates:
        sizes["group_size"] = ((d.group,), d.sizes)
    if not d.in_memory:
        # What stands for the rows that are not here.
        found = d.statistics
        means = found.centre[-1] + found.group_means[:, -1]
        observed = {f"{d.response}_mean": ((d.group,), means)}
        return {
            "observed_data": labelled(model, observed, chains=None),
            "constant_data": labelled(model, sizes, chains=None),
        }
    rows = d.rows("the data")
    row = (d.observation_dim,)
    constant: dict[str, tuple[tuple[str, ...], Any]] = sizes
    if rows.se is not None:
        constant[model.columns["se"]] = (row, rows.se)
    else:
        constant["group_index"] = (row, rows.index)
    if not d.scalar:
        constant["z"] = ((*row, "coefficient"), rows.z)
    if d.predictors:
        constant["x"] = ((*row, "predictor"), rows.x)
    return {
        "observed_data": labelled(model, {d.response: (row, rows.y)}, chains=None),
        "constant_data": labelled(model, constant, chains=None),
    }
