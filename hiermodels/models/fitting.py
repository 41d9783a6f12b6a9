"""From a model to a container: run its program, read the chains, lay out the groups."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__, chains, diagnostics, effects, programs, sampling
from .. import inference_data as idatas
from ..errors import ContainerError, PriorError, SamplingError
from . import groups

if TYPE_CHECKING:
    import xarray as xr

    from .base import Base

HELPERS = ("eta", "L_Omega")
"""Stan variables that are left out of the container unless they are asked for."""

_PRIOR_CHAINS = 4


def seed(given: Any) -> int:
    """The seed that was given, checked, or a fresh one."""
    if given is None:
        return int(np.random.SeedSequence().generate_state(1)[0]) >> 1
    return sampling.Settings(seed=given).seed


def posterior(
    model: Base,
    settings: sampling.Settings,
    starts: float | Sequence[Mapping[str, Any]],
    *,
    include: Sequence[str],
    pointwise: bool | str,
    allow_failed_chains: bool,
    parallel_chains: int,
    executor: Executor | None,
    progress: bool | None,
    output_dir: str | os.PathLike[str] | None,
    began: float,
) -> tuple[Any, list[str]]:
    """The container of a fit, and a line for each thing that is to be warned of."""
    executable = programs.executable(model.program_name(), progress=progress)
    sampling_began = time.monotonic()
    ran = sampling.sample(
        executable.path,
        model.stan_data,
        starts,
        settings,
        leave_out=[name for name in HELPERS if name not in include],
        parallel_chains=parallel_chains,
        executor=executor,
        progress=progress,
        output_dir=output_dir,
    )
    sampling_seconds = time.monotonic() - sampling_began
    finished = [chain for chain in ran if chain.finished]
    failures = sampling.report(ran)
    if not finished:
        raise SamplingError(f"no chain finished:\n{failures}")
    attrs = {
        **_attributes(model, executable, settings.seed),
        "chains": settings.chains,
        "draws": settings.draws,
        "warmup": settings.warmup,
        "adapt_delta": settings.adapt_delta,
        "max_treedepth": settings.max_treedepth,
        "metric": settings.metric,
        "failed_chains": len(ran) - len(finished),
        "sampling_seconds": round(sampling_seconds, 3),
    }
    parts = _parts(model, finished, settings, include)
    size = effects.pointwise_bytes(model.design, len(finished) * settings.draws)
    if pointwise is True or (pointwise == "auto" and size <= effects.POINTWISE_BUDGET):
        parts |= groups.pointwise(model, parts["posterior"], settings.seed)
        attrs["pointwise"] = "log likelihoods and posterior_predictive are included"
    else:
        why = "not asked for" if pointwise is False else "above the budget of 1 GiB"
        attrs["pointwise"] = (
            f"log likelihoods and posterior_predictive are left out ({why}: they take "
            f"{size / 2**30:.2f} GiB); model.add_pointwise(idata) adds them"
        )
    attrs["seconds"] = round(time.monotonic() - began, 3)
    idata = idatas.container(parts, attrs)
    trouble = diagnostics.warnings_for(diagnostics.check(idata))
    if failures and not allow_failed_chains:
        raise SamplingError(
            f"{failures}\n{len(finished)} of {len(ran)} chains finished and are kept: they are in "
            "this error's .idata, and fit(allow_failed_chains=True) returns them",
            idata,
        )
    if failures:
        trouble.insert(0, f"{failures}\nthe container holds the other {len(finished)} chains")
    return idata, trouble


def _parts(
    model: Base,
    finished: Sequence[chains.Chain],
    settings: sampling.Settings,
    include: Sequence[str],
) -> dict[str, xr.Dataset]:
    numbers = [chain.number for chain in finished]
    depth = settings.max_treedepth
    stan = sampling.unpack(finished)
    drawn = groups.posterior(model, stan, include, numbers)
    parts = {
        "posterior": drawn,
        "sample_stats": groups.sample_stats(model, stan, depth, numbers),
        "log_prior": groups.log_prior(model, stan, numbers),
        **groups.data(model),
    }
    if settings.save_warmup:
        stan = sampling.unpack(finished, warmup=True)
        parts["warmup_posterior"] = groups.posterior(model, stan, include, numbers)
        parts["warmup_sample_stats"] = groups.sample_stats(model, stan, depth, numbers)
    return parts


def prior(
    model: Base,
    draws: int,
    seed: int,
    *,
    progress: bool | None,
    executor: Executor | None,
) -> tuple[Any, list[str]]:
    """The prior predictive, by the program with ``prior_only`` switched on, and what to warn of."""
    improper = model.priors.improper
    if improper:
        name, family = next(iter(improper.items()))
        raise PriorError(
            f"{name}: {family} is improper, so the prior has no draws; give every parameter a "
            f"proper prior, as in priors={{{name.partition('[')[0]!r}: ...}}"
        )
    # At least 1000 of each chain, thinned to what was asked for: the prior's tails are long.
    each = -(-sampling.Settings(draws=draws).draws // _PRIOR_CHAINS)
    thin = max(1, -(-1000 // each))
    settings = sampling.Settings(
        chains=_PRIOR_CHAINS, draws=each * thin, seed=seed, adapt_delta=0.95, max_treedepth=12
    )
    executable = programs.executable(model.program_name("noncentered"), progress=progress)
    ran = sampling.sample(
        executable.path,
        {**model.stan_data, "prior_only": 1},
        1.0,
        settings,
        leave_out=HELPERS,
        parallel_chains=sampling.check_parallel(None, _PRIOR_CHAINS, 1),
        executor=executor,
        progress=progress,
    )
    if failures := sampling.report(ran):
        raise SamplingError(failures)
    stan = sampling.unpack(ran)
    numbers = range(_PRIOR_CHAINS)
    whole = {
        "posterior": groups.posterior(model, stan, (), numbers),
        "sample_stats": groups.sample_stats(model, stan, settings.max_treedepth, numbers),
    }
    attrs = _attributes(model, executable, seed) | {"parameterization": "noncentered"}
    trouble = diagnostics.warnings_for(diagnostics.check(idatas.container(whole, attrs)))
    # One chain of exactly as many draws as were asked for.
    stan = {
        name: values[:, ::thin].reshape(1, -1, *values.shape[2:])[:, :draws]
        for name, values in stan.items()
    }
    drawn = groups.posterior(model, stan, (), [0])
    rng = np.random.default_rng([seed, 1])
    y = effects.replicate(model.design, groups.draws(model, drawn), rng)
    parts = {
        "prior": drawn,
        "prior_predictive": groups.rows(model, y[None], [0]),
        **groups.data(model),
    }
    return idatas.container(parts, attrs), trouble


def add_pointwise(model: Base, idata: Any, given_seed: int | None) -> None:
    """Add ``log_likelihood`` and ``posterior_predictive`` to a container of this very model."""
    drawn = idatas.dataset(idata, "posterior")
    attrs = idatas.attributes(idata)
    same = {"model": model.family, "pooling": model.pooling, "columns": json.dumps(model.columns)}
    data_alike = all(
        part.identical(idatas.dataset(idata, name)) for name, part in groups.data(model).items()
    )
    if not data_alike or any(attrs.get(name) != value for name, value in same.items()):
        raise ContainerError(
            f"the container must be a fit of this model ({model!r}), got one of "
            f"{attrs.get('model')} with {attrs.get('pooling')} pooling or other data; use the "
            "model that fitted it"
        )
    used = int(attrs["seed"]) if given_seed is None else seed(given_seed)
    for name, group in groups.pointwise(model, drawn, used).items():
        idatas.add(idata, name, group)


def _attributes(model: Base, executable: programs.Executable, seed: int) -> dict[str, Any]:
    return {
        "model": model.family,
        "columns": json.dumps(model.columns),
        "pooling": model.pooling,
        "parameterization": model.parameterization,
        "parameterization_reason": model.parameterization_reason,
        "priors": json.dumps(model.priors.as_json()),
        "rows": model.design.N,
        "rows_dropped": model.design.dropped,
        "seed": seed,
        "program": executable.program.name,
        "program_sha256": executable.program.digest,
        "cmdstan_version": executable.cmdstan_version,
        "hiermodels_version": __version__,
        "inference_library": "hiermodels",
        "inference_library_version": __version__,
        "created_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
