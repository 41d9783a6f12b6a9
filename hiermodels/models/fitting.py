"""From a model to a container: run its program, read the chains, lay out the groups."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..container import inference_data as idatas
from ..diagnostics import check as diagnostics
from ..engines.nuts import chains, checkpoints, sampling
from ..engines.settings import Settings
from ..errors import PriorError, SamplingError
from ..families import draws as sizes
from ..families.pointwise import pointwise as pointwise_of
from ..stan import programs
from . import kept_effects, layout, provenance
from .pointwise import pointwise_parts

if TYPE_CHECKING:
    import xarray as xr

    from .base import Base

DERIVED = (
    "u",
    "u_sigma",
    "centred",
    "raw",
    "mu",
    "tau",
    "L_Omega",
    "Omega",
    "beta",
    "sigma",
    "lprior",
)
"""Variables of the marginal programs that are not read back.

Recomputed from q at full precision instead of being read at CSV precision.
"""

HELPERS = ("eta", "L_Omega")
"""Stan variables that are left out of the container unless they are asked for."""

_PRIOR_CHAINS = 4


def posterior(
    model: Base,
    settings: Settings,
    starts: float | Sequence[Mapping[str, Any]],
    *,
    include: Sequence[str],
    pointwise: bool | str,
    effects_kept: str,
    allow_failed_chains: bool,
    parallel_chains: int,
    executor: Executor | None,
    progress: bool | None,
    output_dir: str | os.PathLike[str] | None,
    began: float,
) -> tuple[Any, list[str]]:
    """The container of a fit, and a line for each thing that is to be warned of."""
    executable = programs.executable(model.program_name(), progress=progress)
    leave_out = not_read(model, include)
    sampling_began = time.monotonic()
    with contextlib.ExitStack() as stack:
        kept: dict[str, Any] = {}
        begun: checkpoints.Checkpoint | None = None
        if output_dir is not None and not isinstance(output_dir, checkpoints.Scratch):
            begun = checkpoints.Checkpoint(
                folder=Path(os.path.expanduser(output_dir)).resolve(),
                stem=sampling.new_stem(executable.path),
                model=model.name,
                family=model.family,
                columns=model.columns,
                options={k: model._options[k] for k in checkpoints.OPTIONS},
                design=model.design,
                standardization=model.standardization if model.is_marginal else None,
                settings=settings,
                asked={
                    "include": list(include),
                    "pointwise": pointwise,
                    "effects_kept": effects_kept,
                },
                radius=float(starts) if isinstance(starts, (int, float)) else None,
                program={**provenance.of_program(executable), "key": executable.key},
            )
            rows = _needs_rows(model, settings, pointwise, effects_kept)
            kept = {"stem": begun.stem, "prepared": partial(begun.write, rows=rows)}
            stack.enter_context(checkpoints.alone(begun.folder, begun.stem))
        ran = sampling.sample(
            executable.path,
            model.stan_data,
            starts,
            settings,
            leave_out=leave_out,
            parallel_chains=parallel_chains,
            executor=executor,
            progress=progress,
            output_dir=output_dir,
            **kept,
        )
    return gathered(
        model,
        ran,
        settings,
        provenance.of_program(executable),
        include=include,
        pointwise=pointwise,
        effects_kept=effects_kept,
        allow_failed_chains=allow_failed_chains,
        sampling_seconds=time.monotonic() - sampling_began,
        began=began,
        begun=begun,
    )


def not_read(model: Base, include: Sequence[str]) -> Sequence[str]:
    """Stan's variables that are not read back."""
    return DERIVED if model.is_marginal else [n for n in HELPERS if n not in include]


def _needs_rows(model: Base, settings: Settings, pointwise: bool | str, effects_kept: str) -> bool:
    """Whether a fit that is picked up will ask for the rows."""
    d = model.design
    if d.in_memory or not model.is_marginal:
        return d.has_rows
    small = sizes.pointwise_bytes(d, settings.chains * settings.draws) <= sizes.POINTWISE_BUDGET
    asked = pointwise is True or (pointwise == "auto" and small and effects_kept == "draws")
    return d.has_rows and asked


def gathered(
    model: Base,
    ran: list[chains.Chain],
    settings: Settings,
    program: Mapping[str, Any],
    *,
    include: Sequence[str],
    pointwise: bool | str,
    effects_kept: str,
    allow_failed_chains: bool,
    sampling_seconds: float,
    began: float,
    begun: checkpoints.Checkpoint | None,
) -> tuple[Any, list[str]]:
    """The container of chains that have ended, and what is to be warned of; empties ``ran``.

    ``begun`` is what those that failed can be picked up from.
    """
    finished = [chain for chain in ran if chain.finished]
    failures, failed = sampling.report(ran), len(ran) - len(finished)
    call = begun.call if failures and begun is not None else ""
    ran.clear()  # the draws are large where there are many columns, and are kept once
    if not finished:
        again = f"\n{call} runs them again, with the same seeds" if call else ""
        raise SamplingError(f"no chain finished:\n{failures}{again}", None, failures)
    attrs = {
        **provenance.attributes(model, settings.seed),
        **program,
        "engine": "nuts",
        "chains": settings.chains,
        "draws": settings.draws,
        "warmup": settings.warmup,
        "adapt_delta": settings.adapt_delta,
        "max_treedepth": settings.max_treedepth,
        "metric": settings.metric,
        "failed_chains": failed,
        "sampling_seconds": round(sampling_seconds, 3),
    }
    if model.is_marginal:
        attrs["standardization"] = model.standardization.reason
    parts, said = _parts(model, finished, settings, include, effects_kept)
    attrs |= said
    added, attrs["pointwise"] = pointwise_parts(model, parts["posterior"], settings.seed, pointwise)
    parts = layout.as_kept(parts | added, include)
    attrs["seconds"] = round(time.monotonic() - began, 3)
    idata = idatas.container(parts, attrs)
    trouble = diagnostics.warnings_for(diagnostics.check(idata, variables=_sampled(model, parts)))
    if failures and not allow_failed_chains:
        again = f"; {call} runs the others again, with the same seeds" if call else ""
        raise SamplingError(
            f"{failures}\n{len(finished)} of {settings.chains} chains finished and are kept: they "
            f"are in this error's .idata, and fit(allow_failed_chains=True) returns them{again}",
            idata,
            failures,
        )
    if failures:
        trouble.insert(0, f"{failures}\nthe container holds the other {len(finished)} chains")
    return idata, trouble


def _parts(
    model: Base,
    finished: Sequence[chains.Chain],
    settings: Settings,
    include: Sequence[str],
    effects_kept: str,
) -> tuple[dict[str, xr.Dataset], dict[str, Any]]:
    """The groups of the container, and what the attributes say of the effects."""
    numbers = [chain.number for chain in finished]
    depth = settings.max_treedepth
    stan = sampling.unpack(finished)
    parts: dict[str, xr.Dataset] = {}
    said: dict[str, Any] = {}
    if model.is_marginal:
        parts, said = _marginal_parts(model, stan, settings.seed, include, numbers, effects_kept)
    else:
        parts["posterior"] = layout.posterior(model, stan, include, numbers)
        parts["log_prior"] = layout.log_prior(model, stan, numbers)
    parts["sample_stats"] = layout.sample_stats(model, stan, depth, numbers)
    parts |= layout.data(model)
    if settings.save_warmup:
        stan = sampling.unpack(finished, warmup=True)
        if model.is_marginal:
            # Effects are not drawn for the warmup; its hyperparameters are kept.
            warm, _ = _marginal_parts(model, stan, settings.seed, include, numbers, "none")
            parts["warmup_posterior"] = warm["posterior"]
        else:
            parts["warmup_posterior"] = layout.posterior(model, stan, include, numbers)
        parts["warmup_sample_stats"] = layout.sample_stats(model, stan, depth, numbers)
    return parts, said


def _sampled(model: Base, parts: Mapping[str, xr.Dataset]) -> list[str] | None:
    """The variables to look at when a fit ends; all, but for effects that were drawn exactly."""
    if not model.is_marginal:
        return None
    return [str(n) for n in parts["posterior"].data_vars if n not in ("theta", "deviation")]


def _marginal_parts(
    model: Base,
    stan: Mapping[str, Any],
    seed: int,
    include: Sequence[str],
    numbers: Sequence[int],
    effects_kept: str,
) -> tuple[dict[str, xr.Dataset], dict[str, Any]]:
    """Hyperparameters from the standardized ones, and the effects given them."""
    q = stan["q"]
    shape = (q.shape[0], q.shape[1])
    q = q.reshape(-1, q.shape[2])
    if model.hyperparameters.sigmas > 1:
        q = np.hstack([q, stan["q_sigma"].reshape(len(q), -1)])
    u = model.standardization.apply(q)
    return kept_effects.parts_of(model, u, shape, seed, include, numbers, effects_kept)


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
    model.design.rows("the prior predictive")
    idatas.check_importable()
    # At least 1000 of each chain, thinned to what was asked for: the prior's tails are long.
    each = -(-Settings(draws=draws).draws // _PRIOR_CHAINS)
    thin = max(1, -(-1000 // each))
    settings = Settings(
        chains=_PRIOR_CHAINS, draws=each * thin, seed=seed, adapt_delta=0.95, max_treedepth=12
    )
    executable = programs.executable(model.program_name("noncentered"), progress=progress)
    ran = sampling.sample(
        executable.path,
        {**model.row_data, "prior_only": 1},
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
        "posterior": layout.posterior(model, stan, (), numbers),
        "sample_stats": layout.sample_stats(model, stan, settings.max_treedepth, numbers),
    }
    attrs = {
        **provenance.attributes(model, seed),
        **provenance.of_program(executable),
        "parameterization": "noncentered",
    }
    trouble = diagnostics.warnings_for(
        diagnostics.check(idatas.container(layout.as_kept(whole, ()), attrs))
    )
    # One chain of exactly as many draws as were asked for.
    stan = {
        name: values[:, ::thin].reshape(1, -1, *values.shape[2:])[:, :draws]
        for name, values in stan.items()
    }
    drawn = layout.posterior(model, stan, (), [0])
    own = np.random.SeedSequence([seed, 1])
    _, y = pointwise_of(model.family, model.design, layout.draws(model, drawn), own)
    parts = {
        "prior": drawn,
        "prior_predictive": layout.rows(model, y[None], [0]),
        **layout.data(model),
    }
    return idatas.container(layout.as_kept(parts, ()), attrs), trouble
