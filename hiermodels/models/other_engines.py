"""Engines that need no CmdStan: independent draws from the exact posterior, and Gibbs samplers."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..container import inference_data as idatas
from ..diagnostics import check as diagnostics
from ..errors import ExactError, OptionError, option
from ..families.gaussian.family import moments_of
from . import kept_effects, layout, provenance
from .pointwise import pointwise_parts

if TYPE_CHECKING:
    import xarray as xr

    from .base import Base

Array = NDArray[np.float64]

ENGINES = ("nuts", "exact", "gibbs")
EXACT_POINTWISE_BUDGET = 2**25
"""Bytes (32 MiB) of log likelihoods and replicated data that exact draws come with unasked: more
would take longer than the draws."""


def refuse_options(engine: str, given: dict[str, Any]) -> None:
    """Refuse options that belong to another engine.

    Parameters
    ----------
    engine : str
    given : dict
        The options that were given, by name, and what they are when they are not.
    """
    for name, (value, default) in given.items():
        plain = isinstance(value, (int, float, str))
        if value is not default and not (plain and value == default):
            got = os.fspath(value) if isinstance(value, os.PathLike) else value
            raise OptionError(
                option(name)
                + f" is not an option of engine={engine!r}, got "
                + option(name, got)
                + "; leave it out, or use "
                + option("engine", "nuts")
            )


def exact(
    model: Base,
    *,
    chains: int,
    draws: int,
    seed: int,
    include: Sequence[str],
    pointwise: bool | str,
    effects_kept: str,
    began: float,
) -> Any:
    """The container of independent draws from the exact posterior.

    Raises
    ------
    OptionError
        A model without such an engine.
    ExactError
        A posterior that it cannot give.
    """
    # Here, as NUTS alone needs neither, nor the half of SciPy that they import.
    from ..engines.exact import posterior as exact_posterior
    from ..engines.importance import sampler as importance

    rng = np.random.default_rng(np.random.SeedSequence([seed, 4]))
    d, shape = model.design, (chains, draws)
    found: dict[str, Any]
    if model.pooling != "partial":
        parts, found = _regression_parts(model, shape, rng)
        return _exact_container(
            model, parts, {"effects": "draws"}, found, seed, pointwise, began, ()
        )
    if d.scalar:
        posterior = exact_posterior.posterior(model)
        u = posterior.draw(chains * draws, rng)
        found = {
            "exact_method": "quadrature",
            "exact_nodes": int(posterior.lattice.log_f.size),
            "exact_error": posterior.error,
            "exact_log_normalizing_constant": posterior.log_normalizing_constant,
        }
        if posterior.log_marginal_likelihood is not None:
            found["exact_log_marginal_likelihood"] = posterior.log_marginal_likelihood
    else:
        _refuse_own_sigmas(model)
        drawn = importance.draw(model.hyperparameters, model.standardization, chains * draws, rng)
        u = drawn.u
        found = {
            "exact_method": f"importance weights, {drawn.method}",
            "exact_distinct": drawn.distinct,
            "exact_efficiency": drawn.efficiency,
            "exact_pareto_k": drawn.pareto_k,
            "exact_acceptance": drawn.acceptance,
            "exact_proposals": drawn.proposals,
            "exact_log_normalizing_constant": drawn.log_evidence,
            "exact_log_normalizing_constant_se": drawn.log_evidence_error,
        }
        if not model.priors.improper:
            found["exact_log_marginal_likelihood"] = drawn.log_evidence
    if not np.isfinite(u).all():
        raise ExactError(
            f"draws of {model!r} are not finite; look for huge or tiny values in the data and at "
            "model.priors"
        )
    parts, said = kept_effects.parts_of(model, u, shape, seed, include, range(chains), effects_kept)
    return _exact_container(model, parts, said, found, seed, pointwise, began, include)


def _exact_container(
    model: Base,
    parts: dict[str, xr.Dataset],
    said: dict[str, Any],
    found: dict[str, Any],
    seed: int,
    pointwise: bool | str,
    began: float,
    include: Sequence[str],
) -> Any:
    """The container of exact draws; ``found`` is what its attributes say of their making."""
    parts |= layout.data(model)
    added, said["pointwise"] = pointwise_parts(
        model, parts["posterior"], seed, pointwise, EXACT_POINTWISE_BUDGET
    )
    parts |= added
    attrs = {
        **provenance.attributes(model, seed),
        "engine": "exact",
        "chains": parts["posterior"].sizes["chain"],
        "draws": parts["posterior"].sizes["draw"],
        **found,
        **said,
        "seconds": round(time.monotonic() - began, 4),
    }
    return idatas.container(layout.as_kept(parts, include), attrs)


def _regression_parts(
    model: Base, shape: tuple[int, int], rng: np.random.Generator
) -> tuple[dict[str, xr.Dataset], dict[str, Any]]:
    """Posterior and log prior without partial pooling; and what the attributes say of it."""
    from ..engines.exact import regressions

    found = regressions.of_model(model)
    if found is None:
        raise OptionError(
            f"engine='exact' with pooling={model.pooling!r} needs normal or flat priors for the "
            "coefficients and, where they are common to all groups, one residual sd; got "
            f"{', '.join(map(str, dict.fromkeys(regressions.coefficient_priors(model))))} and "
            f"{model.family!r}; use " + option("engine", "nuts")
        )
    d, n = moments_of(model.design), shape[0] * shape[1]
    shift, back = d.back
    sigmas = [r.sigma.draw(n, rng) for r in found]
    raw = [shift + r.draw(s, rng) @ back.T for r, s in zip(found, sigmas, strict=True)]
    whole = np.concatenate(raw, axis=1).reshape(*shape, -1, d.K + d.P)  # (chain, draw, B, K + P)
    if model.pooling == "complete":
        whole = whole[:, :, 0]
    first = whole[..., : d.K]
    drawn = {
        "mu" if model.pooling == "complete" else "theta": (first[..., 0] if d.scalar else first),
        "beta": whole[..., d.K :],
    }
    if model.family.blocks():
        drawn["sigma"] = np.stack(sigmas, axis=-1).reshape(*shape, -1)
    places = model.lprior_places()
    drawn["lprior"] = np.zeros((*shape, 1 + max(place for place, _ in places)))
    for place, block in places:
        drawn["lprior"][..., place] = _log_prior(block.name, model, drawn)
    parts = {
        "posterior": layout.posterior(model, drawn, (), range(shape[0])),
        "log_prior": layout.log_prior(model, drawn, range(shape[0])),
    }
    evidence = float(sum(r.log_evidence for r in found))
    said: dict[str, Any] = {
        "exact_method": "normal coefficients given sigma",
        "exact_log_normalizing_constant": evidence,
    }
    if not model.priors.improper:
        said["exact_log_marginal_likelihood"] = evidence
    return parts, said


def _log_prior(name: str, model: Base, drawn: Mapping[str, Array]) -> Array:
    """Log prior of one parameter, summed over its elements: shape (chain, draw)."""
    values = drawn[name]
    shape = values.shape[:2]
    priors = model.priors.as_list(name)
    if len(priors) == 1:
        return np.asarray(priors[0].log_density(values).reshape(*shape, -1).sum(axis=-1))
    each = [p.log_density(values[..., k]) for k, p in enumerate(priors)]
    return np.asarray(sum((e.reshape(*shape, -1).sum(axis=-1) for e in each), np.zeros(shape)))


def gibbs(
    model: Base,
    *,
    chains: int,
    draws: int,
    warmup: int,
    seed: int,
    save_warmup: bool,
    progress: bool | None,
    include: Sequence[str],
    pointwise: bool | str,
    effects_kept: str,
    began: float,
) -> tuple[Any, list[str]]:
    """The container of a Gibbs sampler's draws, and what is to be warned of.

    Raises
    ------
    OptionError, PriorError
        A model or a prior that has no such full conditionals.
    """
    from ..engines.gibbs import sampler as gibbs_sampler

    sampled = gibbs_sampler.sample(
        model,
        chains=chains,
        draws=draws,
        warmup=warmup,
        seed=seed,
        progress=progress,
        keep_theta=effects_kept == "draws",
        keep_warmup=save_warmup,
    )
    parts, said = _gibbs_parts(model, sampled.draws, seed, include, effects_kept)
    parts |= layout.data(model)
    if save_warmup and warmup:
        warm, _ = _gibbs_parts(model, sampled.warmup, seed, include, effects_kept)
        parts["warmup_posterior"] = warm["posterior"]
    added, said["pointwise"] = pointwise_parts(model, parts["posterior"], seed, pointwise)
    parts |= added
    attrs = {
        **provenance.attributes(model, seed),
        "engine": "gibbs",
        "parameterization": "full conditionals",
        "parameterization_reason": "theta is drawn like all others, each given the rest",
        "chains": chains,
        "draws": draws,
        "warmup": warmup,
        **said,
        "seconds": round(time.monotonic() - began, 4),
    }
    idata = idatas.container(parts, attrs)
    return idata, diagnostics.warnings_for(diagnostics.check(idata))


def _gibbs_parts(
    model: Base,
    drawn: Mapping[str, Array],
    seed: int,
    include: Sequence[str],
    effects_kept: str,
) -> tuple[dict[str, xr.Dataset], dict[str, Any]]:
    """Posterior and log prior of a Gibbs sampler's draws; theta is its own where it was kept."""
    shape = (drawn["mu"].shape[0], drawn["mu"].shape[1])
    mu = drawn["mu"] - float(model.design.offset[-1])
    u = np.stack([mu, np.log(drawn["tau"]), np.log(drawn["sigma"])], axis=-1).reshape(-1, 3)
    kept = "none" if "theta" in drawn else effects_kept
    parts, said = kept_effects.parts_of(model, u, shape, seed, (), range(shape[0]), kept)
    if "theta" in drawn:
        own = {**drawn, "sigma": drawn["sigma"][..., None]}
        parts["posterior"] = layout.posterior(model, own, include, range(shape[0]))
    return parts, {**said, "effects": effects_kept}


def _refuse_own_sigmas(model: Base) -> None:
    if model.family.by_group:
        raise OptionError(
            "engine='exact' needs one residual sd for all groups, got sigma='group'; use "
            + option("sigma", "common")
            + ", or "
            + option("engine", "nuts")
        )
