"""One model under several sets of priors: refitted, and the answers laid side by side.

    model, sets --replace(priors=...)--> a model each --fit--> containers --> PriorComparison

With the exact engine a refit takes some hundredths of a second, and ``EightSchools`` and ``OneWay``
have numbers without Monte Carlo error besides (:mod:`~hiermodels.engines.exact.posterior`).
"""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

from ..container import inference_data
from ..diagnostics import summary as summaries
from ..errors import DiagnosticWarning, ExactError, HierModelsError, OptionError, listed, suggest
from ..many import tasks as fit_tasks
from .prior_comparison import STATISTICS, PriorComparison

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["compare_priors"]

ORIGINAL = "as it is"
"""Name of the model's own priors among the sets."""
ENGINES = ("auto", "exact", "nuts", "gibbs")
MOST_EXACT = 1000
"""Groups up to which the table has exact numbers for each effect."""

# Options that only NUTS takes; giving one chooses the engine.
_OF_NUTS = (
    *("warmup", "save_warmup", "adapt_delta", "max_treedepth", "metric", "inits"),
    *("parallel_chains", "threads", "output_dir", "allow_failed_chains"),
)
# Monte Carlo errors of shifts, in posterior sds, from which on they are told of.
_LOUD = 0.05


def compare_priors(
    model: Any,
    sets: Mapping[str, Mapping[str, Any]],
    *,
    seed: int | None = None,
    engine: str = "auto",
    executor: Executor | None = None,
    **fit_options: Any,
) -> PriorComparison:
    """Refit a model under other priors, and lay the answers side by side.

    Parameters
    ----------
    model : EightSchools, OneWay or VaryingSlopes
    sets : mapping of str to mapping
        Name -> priors, as in ``{"wide": {"tau": hm.HalfCauchy(25)}, "narrow": {...}}``. They
        replace the model's own; a parameter, or a coefficient, that a set does not name keeps the
        model's prior. The model's own priors come first, under the name ``"as it is"``, unless a
        set has that name; the first set is what the others are compared with.
    seed : int, optional
        Makes the result reproducible; drawn and recorded where not given. All fits have the same.
    engine : {"auto", "exact", "nuts", "gibbs"}
        As for ``fit``. "auto" is "exact" where model and priors have it, and "nuts" for a set that
        has no exact answer, and where an option is given that only NUTS takes; ``.engines`` and
        ``.notes`` say so.
    executor : concurrent.futures.Executor, optional
        Where the chains of NUTS run, as for ``fit``.
    **fit_options
        Further options of ``fit``: ``chains``, ``draws``, ``adapt_delta``, ...

    Returns
    -------
    PriorComparison
        ``print`` it for a report that says whether conclusions move; ``.table`` has the numbers.

    Raises
    ------
    OptionError
        An argument of the wrong kind.
    PriorError
        A set with a prior that the model cannot have; before anything is fitted.
    HierModelsError
        As ``fit`` raises; the message begins with the name of the set.

    Warns
    -----
    DiagnosticWarning
        What a fit warns of, with the name of its set.

    Examples
    --------
    >>> import hiermodels as hm
    >>> model = hm.EightSchools(
    ...     hm.datasets.eight_schools(), effect="effect", se="se", group="school"
    ... )
    >>> found = hm.compare_priors(model, {"narrow": {"tau": hm.HalfNormal(2)}}, seed=1)
    >>> found.wide("mean").loc["tau"].round(2).to_dict()
    {'as it is': 5.55, 'narrow': 1.54}
    """
    import pandas as pd

    # The same check and the same record of a seed as a fit's own.
    from ..engines.settings import checked_seed

    _check(model, sets, engine, fit_options)
    models = _models(model, sets)
    seed = checked_seed(seed)
    notes: list[str] = []
    if engine == "auto" and (of_nuts := [name for name in fit_options if name in _OF_NUTS]):
        engine = "nuts"
        notes.append(f"sampled by NUTS, as {of_nuts[0]} is an option of it alone")
    fits: dict[str, Any] = {}
    engines: dict[str, str] = {}
    gave_way: dict[str, list[str]] = {}  # why the exact engine did, and under which sets
    tables, exact = [], []
    for name, one in models.items():
        try:
            idata, why, trouble = _fit(one, seed, engine, executor, fit_options)
            found, without_error = _numbers(one, idata)
        except HierModelsError as error:
            error.args = (f"priors {name!r}: {error}", *error.args[1:])
            raise
        if why:
            gave_way.setdefault(why, []).append(name)
        for line in trouble:
            warnings.warn(f"priors {name!r}: {line}", DiagnosticWarning, stacklevel=2)
        fits[name], engines[name] = idata, str(inference_data.attributes(idata)["engine"])
        tables.append(found)
        exact.append(without_error)
    notes += [f"priors {listed(names)}: sampled by NUTS ({why})" for why, names in gave_way.items()]
    if any(exact) and not all(exact):
        notes.append("numbers of some sets are exact, of others from draws")
    table = _table(list(fits), tables)
    notes += _without_shift(table) + _imprecise(tables)
    return PriorComparison(
        fits=fits,
        table=table,
        priors=pd.DataFrame(
            {
                name: {k: str(p) for k, p in one.priors.flat().items()}
                for name, one in models.items()
            }
        ),
        log_marginal_likelihood=pd.Series(
            {
                name: inference_data.attributes(idata).get(
                    "exact_log_marginal_likelihood", math.nan
                )
                for name, idata in fits.items()
            },
            dtype="float64",
            name="log_marginal_likelihood",
        ),
        engines=engines,
        exact=all(exact),
        seed=seed,
        notes=tuple(notes),
    )


def _check(model: Any, sets: Any, engine: str, options: Mapping[str, Any]) -> None:
    from ..models.model import Model

    if not isinstance(model, Model):
        raise OptionError(
            "model must be an EightSchools, OneWay or VaryingSlopes model, got "
            f"{type(model).__name__}; hm.compare_priors(model, {{'wide': {{...}}}})"
        )
    if engine not in ENGINES:
        raise OptionError(
            f"engine must be one of {listed(ENGINES)}, got {engine!r}"
            f"{suggest(str(engine), ENGINES)}"
        )
    example = "{'wide': {'tau': hm.HalfCauchy(25)}}"
    if not isinstance(sets, Mapping) or not sets:
        raise OptionError(
            f"sets must be a dict from name to priors, such as {example}, got "
            f"{'an empty one' if isinstance(sets, Mapping) else type(sets).__name__}"
        )
    for name, priors in sets.items():
        if not isinstance(name, str) or not isinstance(priors, Mapping):
            raise OptionError(
                f"sets: a name must map to a dict of priors, such as {example}, got "
                f"{name!r}: {priors!r}"
            )
    known = inspect.signature(model.fit).parameters
    for option in options:
        if option not in known and all(p.kind is not p.VAR_KEYWORD for p in known.values()):
            raise OptionError(
                f"neither compare_priors nor {type(model).__name__}.fit has an option {option!r}"
                f"{suggest(option, known)}"
            )


def _models(model: Any, sets: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The model under each set of priors, its own first; all are made before one is fitted."""
    models = {} if ORIGINAL in sets else {ORIGINAL: model}
    for name, given in sets.items():
        priors = dict(model._options["priors"])
        for parameter, prior in given.items():
            own = model.priors.get(parameter)
            if isinstance(prior, Mapping) and isinstance(own, dict):
                prior = {**own, **prior}
            priors[parameter] = prior
        try:
            models[name] = model.replace(priors=priors)
            # Also a prior that waits for another pooling strategy would change nothing here.
            model._check_places(given)
        except HierModelsError as error:
            error.args = (f"priors {name!r}: {error}", *error.args[1:])
            raise
    return models


def _fit(
    model: Any, seed: int, engine: str, executor: Executor | None, options: Mapping[str, Any]
) -> tuple[Any, str, list[str]]:
    """A container; why the exact engine gave way, where it did; and what the fit warned of."""
    why = ""
    common = {"seed": seed, **options}
    if engine == "auto":
        try:
            return model.fit(engine="exact", **common), "", []
        except (ExactError, OptionError) as error:
            # An option that no engine takes is refused below as well.
            why, engine = str(error), "nuts"
    if executor is not None:
        common["executor"] = executor
    with fit_tasks.listening() as said:
        idata = model.fit(engine=engine, **common)
    return idata, why, list(said)


# ---- the numbers ---------------------------------------------------------------------------------


def _numbers(model: Any, idata: Any) -> tuple[pd.DataFrame, bool]:
    """The columns of the table by label, and whether they are free of Monte Carlo error."""
    found = summaries.summary(idata)[[*STATISTICS, "mcse_mean"]]
    if model.pooling == "complete":  # theta is mu, once for each group
        found = found[~found.index.str.startswith("theta[")]
    by_quadrature = inference_data.attributes(idata).get("exact_method") == "quadrature"
    if not by_quadrature or model.design.J > MOST_EXACT:
        return found, False
    from ..engines.exact import posterior as exact

    known = exact.posterior(model).summary()
    labels = [label for label in found.index if label in known.index]
    return known.loc[labels, list(STATISTICS)].assign(mcse_mean=0.0), len(labels) == len(found)


def _table(names: Sequence[str], tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The sets' tables as one, a quantity's rows together."""
    import numpy as np
    import pandas as pd

    first = tables[0]
    parts = []
    for name, one in zip(names, tables, strict=True):
        part = one.reindex(first.index)[list(STATISTICS)]
        with np.errstate(all="ignore"):  # means and sds that do not exist are infinite
            shift = (part["mean"] - first["mean"]) / first["sd"]
        part = part.assign(shift=shift.where(np.isfinite(shift) & np.isfinite(first["sd"])))
        part.insert(0, "variable", part.index)
        part.insert(1, "priors", name)
        parts.append(part.assign(place=range(len(part))))
    long = pd.concat(parts, ignore_index=True).sort_values("place", kind="stable")
    return long.drop(columns="place").reset_index(drop=True)


def _without_shift(table: pd.DataFrame) -> list[str]:
    """Notes where a mean, or the first set's sd, does not exist: it may move all the same."""
    notes = []
    for what, part in (("mean", table), ("sd", table[table["priors"] == table["priors"].iloc[0]])):
        absent = part[part[what].isna() | (part[what].abs() == math.inf)]
        said = [f"{v} under {p!r}" for v, p in absent[["variable", "priors"]].to_numpy().tolist()]
        if said:
            notes.append(
                f"no posterior {what}, and so no shift: {', '.join(said[:4])}"
                f"{f' and {len(said) - 4} more' if said[4:] else ''}; compare the quantiles"
            )
    return notes


def _imprecise(tables: Sequence[pd.DataFrame]) -> list[str]:
    """A note where so few draws leave shifts that are chance alone."""
    import numpy as np

    first, *others = tables
    with np.errstate(all="ignore"):
        errors = [
            (np.hypot(one["mcse_mean"], first["mcse_mean"]) / first["sd"]).to_numpy()
            for one in others
        ]
    worst = max((float(e[np.isfinite(e)].max(initial=0.0)) for e in errors), default=0.0)
    if worst < _LOUD:
        return []
    return [f"shifts have Monte Carlo errors of up to {worst:.2f} sd; more draws have less"]
