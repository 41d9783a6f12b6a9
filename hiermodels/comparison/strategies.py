"""The same data under no, partial and complete pooling, side by side.

model -> three fits -> estimates by group | predictions, scored | heterogeneity -> a report
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

import numpy as np

from ..container import inference_data as idatas
from ..engines.settings import checked_seed
from ..errors import (
    ContainerError,
    DataError,
    DataWarning,
    ExactError,
    HierModelsError,
    OptionError,
    PriorError,
    SamplingError,
)
from ..families import draws as sizes
from ..models.base import one_of
from ..models.model import Model
from ..posterior import loo_comparison
from ..posterior.loo import Loo, loo, with_refits
from . import estimates, refits
from .estimates import CALLED, STRATEGIES
from .pooling_comparison import PoolingComparison

if TYPE_CHECKING:
    import pandas as pd

    from ..container.inference_data import Container

__all__ = ["compare_pooling"]

REFITS = (None, "bad")
_MOST_BY_QUADRATURE = 100  # groups


def compare_pooling(
    model: Model,
    *,
    seed: int | None = None,
    engine: str = "auto",
    executor: Executor | None = None,
    refit: str | None = None,
    progress: bool | None = None,
    **fit_options: Any,
) -> PoolingComparison:
    """Fit the same data under no, partial and complete pooling, and compare what they say.

    Parameters
    ----------
    model : EightSchools, OneWay or VaryingSlopes
        Under any pooling: ``model.replace(pooling=...)`` gives the others. Priors that were given
        for a parameter hold wherever it is.
    seed : int, optional
        Makes all fits reproducible.
    engine : {"auto", "exact", "nuts"}
        "auto" draws exactly where that can be done, which takes no CmdStan and a moment; else, and
        where options are given that only NUTS has, by NUTS.
    executor : concurrent.futures.Executor, optional
        Where chains of NUTS run.
    refit : {None, "bad"}
        "bad" fits the model anew without each observation or group whose Pareto k is above the
        limit, under the same priors, and takes that instead; of up to 100 groups of
        ``EightSchools`` and ``OneWay`` under partial pooling it takes the exact value. Where such a
        fit fails, the term stays as it was, counts as bad, and a note says so.
    progress : bool, optional
        Progress bars.
    **fit_options
        As for ``model.fit``: ``chains``, ``draws``, ``adapt_delta``, ...

    Returns
    -------
    PoolingComparison
        Print it for a report.

    Raises
    ------
    OptionError
        No model, or an option that cannot be used.
    SamplingError, CmdStanError, CompileError, ExactError
        As ``fit`` does.

    Notes
    -----
    Two questions are scored, by leave-one-out cross-validation (Vehtari, Gelman and Gabry 2017,
    Statistics and Computing 27, 1413-1432). *Another row of a group that is known*: log p(y_i |
    y without row i). *A new group*: log p(y_j | y without group j), its effect integrated out; no
    pooling has no distribution of groups, and so no prediction. Where every group is one estimate
    (``EightSchools``) the two are the same question.

    Examples
    --------
    >>> import hiermodels as hm
    >>> model = hm.EightSchools(
    ...     hm.datasets.eight_schools(), effect="effect", se="se", group="school"
    ... )
    >>> pools = hm.compare_pooling(model, seed=1)
    >>> pools.estimates.columns[:4].to_list()
    ['school', 'n', 'estimate', 'se']
    """
    if not isinstance(model, Model):
        raise OptionError(
            "compare_pooling takes an EightSchools, OneWay or VaryingSlopes model, got "
            f"{type(model).__name__}; make one first, as in hm.OneWay(frame, ...)"
        )
    one_of("engine", engine, ("auto", "exact", "nuts"))
    if refit not in REFITS:
        raise OptionError(f"refit must be None or 'bad', got {refit!r}")
    for name in ("effects", "pointwise"):
        if name in fit_options:
            raise OptionError(
                f"compare_pooling takes no {name}: it keeps of each fit what it needs; leave it out"
            )
    seed = checked_seed(seed)
    partial, models, absent, notes = _models(model)
    fits: dict[str, Container] = {}
    for k, (name, one) in enumerate(models.items()):
        own = int(np.random.SeedSequence(seed, spawn_key=(k,)).generate_state(1)[0]) >> 1
        fit = _fitter(engine, executor, progress, {**fit_options, "seed": own})
        fits[name] = fit(one)
        _add_pointwise(one, fits[name])
    again = _fitter(engine, executor, False, {**fit_options, "seed": seed, "pointwise": False})
    loos, refitted, said = _scores(models, fits, refit, again)
    return PoolingComparison(
        model=partial,
        fits=fits,
        absent=absent,
        estimates=estimates.table(partial, fits),
        elpd=_elpd(models, loos, refitted),
        heterogeneity=estimates.heterogeneity(partial, fits["partial"]),
        loo=loos,
        notes=(*notes, *said),
        call={"seed": seed, **_given(engine=engine, refit=refit), **fit_options},
    )


def _given(**options: str | None) -> dict[str, str]:
    """Those options that are not what they are by default."""
    return {name: value for name, value in options.items() if value not in (None, "auto")}


# ---- the fits ------------------------------------------------------------------------------------


def _models(model: Model) -> tuple[Model, dict[str, Model], dict[str, str], list[str]]:
    """The model under each strategy, strategies without a posterior, and remarks on the data."""
    models: dict[str, Model] = {}
    absent: dict[str, str] = {}
    notes: list[str] = []
    for name in STRATEGIES:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always", DataWarning)
            try:
                models[name] = model.replace(pooling=name)
            except HierModelsError as error:
                if name == "partial":
                    raise
                absent[name] = str(error)
        notes += [f"{CALLED[name]}: {line.message}" for line in said]
    return models["partial"], models, absent, notes


def _fitter(
    engine: str, executor: Executor | None, progress: bool | None, options: Mapping[str, Any]
) -> Callable[[Model], Container]:
    def fit(model: Model) -> Container:
        if engine != "nuts":
            try:
                return model.fit(engine="exact", **options)
            except (ExactError, OptionError):
                # An option that no engine takes is refused below as well.
                if engine == "exact":
                    raise
        return model.fit(engine="nuts", executor=executor, progress=progress, **options)

    return fit


def _add_pointwise(model: Model, idata: Container) -> None:
    """Add the log likelihoods that a fit left out, by row within its memory budget."""
    posterior = idatas.dataset(idata, "posterior")
    draws = posterior.sizes["chain"] * posterior.sizes["draw"]
    d = model.design
    has_effects = model.pooling == "complete" or "theta" in posterior
    if idatas.has(idata, "log_likelihood") or not d.has_rows or not has_effects:
        if not idatas.has(idata, "log_likelihood_group"):
            refits.add_by_group(model, idata)
        return
    if sizes.pointwise_bytes(d, draws) <= sizes.POINTWISE_BUDGET:
        model.add_pointwise(idata)
    elif not idatas.has(idata, "log_likelihood_group"):
        refits.add_by_group(model, idata)


# ---- the scores ----------------------------------------------------------------------------------


def _scores(
    models: Mapping[str, Model],
    fits: Mapping[str, Container],
    refit: str | None,
    again: Callable[[Model], Container],
) -> tuple[dict[tuple[str, str], Loo], dict[tuple[str, str], int], list[str]]:
    """Leave-one-out by unit and strategy; how many terms were refitted; and remarks."""
    loos: dict[tuple[str, str], Loo] = {}
    refitted: dict[tuple[str, str], int] = {}
    notes: list[str] = []
    for unit in units(models["partial"]):
        for name, idata in fits.items():
            if unit == "group" and name == "none":
                continue
            if unit == "observation" and not idatas.has(idata, "log_likelihood"):
                notes.append(f"{CALLED[name]}: no row is left out: {_why_no_rows(models[name])}")
                continue
            try:
                found = loo(idata, unit=unit)
            except (ContainerError, OptionError) as error:
                notes.append(f"{CALLED[name]}: no {unit} is left out: {error}")
                continue
            if refit == "bad" and len(found.bad):
                found, refitted[unit, name], failures = _refitted(models[name], found, again)
                if failures:
                    notes.append(
                        f"{CALLED[name]}: {len(failures)} fits without one {unit} failed, and "
                        f"those terms stay as they were; the last said: {failures[-1]}"
                    )
            loos[unit, name] = found
    return loos, refitted, notes


def _why_no_rows(model: Model) -> str:
    """Why the log likelihood by row is not there, and what to do."""
    if not model.design.has_rows:
        return "sufficient statistics hold no rows; pass the data frame itself"
    return (
        "the log likelihood by row takes more than "
        f"{sizes.POINTWISE_BUDGET / 2**20:.0f} MiB; pass fewer draws"
    )


def units(model: Model) -> tuple[str, ...]:
    """What can be left out; a group that is one estimate is left out as a group."""
    return ("group",) if model.design.estimates else ("observation", "group")


def _refitted(
    model: Model, found: Loo, again: Callable[[Model], Container]
) -> tuple[Loo, int, list[str]]:
    """The same with exact terms where weights could not give them; their number; and failures."""
    import pandas as pd

    bad = np.flatnonzero(found.table["pareto_k"].to_numpy() > found.k_limit)
    exactly = _exact_terms(model) if found.unit == "group" else None
    one = refits.group_elpd if found.unit == "group" else refits.row_elpd
    terms, why, failures = {}, "", []
    for place in bad.tolist():
        try:
            terms[place] = one(model, place, again) if exactly is None else float(exactly[place])
        except (DataError, PriorError) as error:
            terms[place] = math.nan
            why = f"a fit without it is refused ({error})"
        except (ExactError, SamplingError) as error:
            failures.append(str(error))
    elpd = pd.Series(terms.values(), index=found.table.index[list(terms)], dtype=float)
    return with_refits(found, elpd, why), len(terms), failures


def _exact_terms(model: Model) -> Any:
    """All groups' terms by quadrature, where there is one, and it takes no longer than a refit."""
    d = model.design
    family = model.family
    if model.pooling != "partial" or not (d.scalar and family.marginal) or family.by_group:
        return None
    if d.J > _MOST_BY_QUADRATURE:
        return None
    from ..engines.exact import posterior as exact

    try:
        return exact.posterior(model).loo("group").table["elpd"].to_numpy()
    except ExactError:
        return None


_COLUMNS = (
    *("unit", "pooling", "elpd", "se", "elpd_diff", "se_diff", "p_loo", "terms", "of", "bad_k"),
    *("worst_k", "refitted", "use"),
)
_USE = {
    "observation": "another row of a known group",
    "group": "a new group",
}


def _not_scored(unit: str, name: str, found: Loo | None) -> str:
    """Why there is no score."""
    if (unit, name) == ("group", "none"):
        return (
            "no prediction: without pooling a new group has nothing but the prior of its own effect"
        )
    if found is not None and found.n == 0:
        return f"no prediction: {found.why_undefined}"
    return "not scored: see the notes"


def _elpd(
    models: Mapping[str, Model],
    loos: Mapping[tuple[str, str], Loo],
    refitted: Mapping[tuple[str, str], int],
) -> pd.DataFrame:
    """Scores of all strategies by unit, over the terms that all of those with any have."""
    import pandas as pd

    rows: list[dict[Any, Any]] = []
    for unit in units(models["partial"]):
        here = {name: found for (of, name), found in loos.items() if of == unit}
        scored = {name: found for name, found in here.items() if found.n}
        of = 0
        if scored:
            compared = loo_comparison.compared(scored)
            terms, of = compared.terms
            for name, scores in compared.table.to_dict("index").items():
                counts = {"terms": terms, "of": of, "refitted": refitted.get((unit, str(name)), 0)}
                rows.append({"unit": unit, "pooling": name, **scores, **counts, "use": _USE[unit]})
        for name in models:
            if name not in scored:
                counts = {"terms": 0, "of": of, "bad_k": 0, "refitted": 0}
                use = _not_scored(unit, name, here.get(name))
                rows.append({"unit": unit, "pooling": name, **counts, "use": use})
    return pd.DataFrame(rows, columns=list(_COLUMNS))
