"""The tables of a report: data, priors, diagnostics, estimates, scores, heterogeneity, versions."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from ..container import inference_data as idatas
from ..data import origins
from ..diagnostics.findings import E_BFMI_LIMIT, ESS_LIMIT_PER_CHAIN, R_HAT_LIMIT
from ..errors import count_of
from ..models import symbols
from ..version import __version__
from .numbers import decimals, fixed, interval, plain, span
from .page import Table, without_empty
from .subject import CALLED

if TYPE_CHECKING:
    from ..diagnostics.check import Diagnostics
    from ..posterior.group_checks import GroupChecks
    from .subject import Subject

__all__ = [
    "data",
    "diagnosed",
    "findings",
    "made",
    "misfits",
    "predictors",
    "priors",
    "size",
    "versions",
    "wanted",
]

_MOST_MISFITS = 20


# ---- data ----------------------------------------------------------------------------------------


def data(s: Subject) -> Table:
    """What the data are: columns, rows, groups, and the response."""
    rows = [[role, words] for role, words in _columns(s)]
    total = s.attrs.get("rows", None if s.y is None else s.y.size)
    if s.se is None and total is not None:
        rows.append(["rows", str(int(total))])
    if s.labels:
        rows.append(["groups", str(len(s.labels))])
    if s.sizes is not None:
        low, middle, high = s.sizes.min(), np.median(s.sizes), s.sizes.max()
        same = f"{low} each" if low == high else f"{low} to {high}, median {plain(middle)}"
        rows.append([f"rows of a {s.group}", same])
    mean, sd = _moments(s)
    if mean is not None:
        # The spread says how many digits its own mean deserves.
        places = decimals(sd, 3)
        rows.append([f"mean of {s.response}", fixed(mean, places)])
        if sd is not None:
            rows.append([f"sd of {s.response}", fixed(sd, places)])
    if s.y is not None:
        rows.append([f"range of {s.response}", span(s.y, decimals(sd, 3))])
    if s.se is not None:
        rows.append([f"range of {s.columns['se']}", span(s.se, decimals(s.se))])
    dropped = int(s.attrs.get("rows_dropped", 0))
    rows.append(["rows left out", f"{dropped}, for missing values" if dropped else "none"])
    return Table("Columns, rows and groups", ["", ""], rows, text=2)


def _columns(s: Subject) -> Iterable[tuple[str, str]]:
    yield "response", s.response
    if "se" in s.columns:
        yield "standard errors", str(s.columns["se"])
    yield "groups are by", s.group
    names = [name for name in s.coefficients if name is not None]
    if names:
        yield f"coefficients that vary by {s.group}", ", ".join(names)
    if "predictor" in s.posterior.coords:
        common = ", ".join(map(str, s.posterior["predictor"].to_numpy()))
        alike = s.pooling != "none"
        yield ("coefficients in common" if alike else "other coefficients"), common


def predictors(s: Subject) -> Table | None:
    """The predictors over all rows, where there are any and the fit holds the rows."""
    if not idatas.has(s.idata, "constant_data"):
        return None
    constant = idatas.dataset(s.idata, "constant_data")
    rows = []
    for matrix, dim in (("z", "coefficient"), ("x", "predictor")):
        if matrix not in constant or dim not in constant[matrix].coords:
            continue
        values = constant[matrix].transpose(..., dim).to_numpy()
        for name, x in zip(constant[dim].to_numpy(), values.T, strict=True):
            if name != "Intercept":
                sd = x.std(ddof=1)
                places = decimals(sd, 3)
                rows.append([str(name), fixed(x.mean(), places), fixed(sd, places), span(x, None)])
    return (
        Table("Predictors, over all rows", ["predictor", "mean", "sd", "range"], rows)
        if rows
        else None
    )


def _moments(s: Subject) -> tuple[float | None, float | None]:
    """Mean and sd (divisor n - 1) of the response; None where they cannot be known."""
    if s.y is not None and s.y.size > 1:
        return float(s.y.mean()), float(s.y.std(ddof=1))
    if s.model is not None:
        d = s.model.design
        return float(d.means[-1]), float(d.sds[-1] * np.sqrt(d.N / (d.N - 1)))
    observed = f"{s.response}_mean"
    if s.sizes is not None and idatas.has(s.idata, "observed_data"):
        found = idatas.dataset(s.idata, "observed_data")
        if observed in found:
            return float(np.average(found[observed].to_numpy(), weights=s.sizes)), None
    return None, None


# ---- priors --------------------------------------------------------------------------------------


def priors(s: Subject) -> Table | None:
    """The priors in force; where the model is known, which were given; whose, if there are several.

    A prior that is the same under several strategies has one row.
    """
    whose: dict[tuple[str, str], list[str]] = {}
    numbers: dict[tuple[str, str], str] = {}
    for strategy, idata in s.fits.items():
        origin = origins.of_container(idata)
        for name, prior in symbols.priors_of(idatas.attributes(idata)).flat().items():
            key = name, f"{prior}{f', at {origin}' if origin.concerns(name) else ''}"
            whose.setdefault(key, []).append(strategy)
            said = [f"{field} {value:.4g}" for field, value in asdict(prior).items()]
            numbers[key] = ", ".join(said if prior.proper else [*said, "improper"])
    if not whose:
        return None
    heads = ["parameter", "prior", "its numbers"]
    heads += ["chosen"] if s.model is not None else []
    heads += ["pooling"] if len(s.fits) > 1 else []
    rows = []
    for (name, prior_text), strategies in whose.items():
        row = [name, prior_text, numbers[name, prior_text]]
        if s.model is not None:
            row.append("given" if _is_given(name, s.model._options["priors"]) else "default")
        rows.append([*row, *([", ".join(strategies)] if len(s.fits) > 1 else [])])
    order = {name: k for k, name in enumerate(dict.fromkeys(row[0] for row in rows))}
    rows.sort(key=lambda row: order[row[0]])
    return Table("Priors in force", heads, rows, text=len(heads))


def _is_given(name: str, given: Any) -> bool:
    block, bracket, element = name.partition("[")
    prior = given.get(block)
    if bracket and isinstance(prior, dict):
        return element.removesuffix("]") in prior
    return prior is not None


# ---- diagnostics ---------------------------------------------------------------------------------


def diagnosed(s: Subject) -> Table:
    """What the diagnostics measured, fit by fit."""
    heads = ["fit", "draws", "largest R-hat", "least bulk ESS", "least tail ESS", "divergences"]
    heads += ["least E-BFMI", "verdict"]
    rows = []
    for name, found in s.checks.items():
        p, chains = found.parameters, found.chains
        diverged = str(int(chains["divergences"].sum())) if "divergences" in chains else ""
        rows.append(
            [
                CALLED.get(name, name),
                f"{len(chains)} x {found.draws}",
                _worst(p["r_hat"].max(), 3),
                _worst(p["ess_bulk"].min(), 0),
                _worst(p["ess_tail"].min(), 0),
                diverged,
                fixed(chains["e_bfmi"].min(), 2) if "e_bfmi" in chains else "",
                "ok" if found.ok else "BAD",
            ]
        )
    return without_empty(Table("The worst of all parameters and chains", heads, rows))


def wanted(s: Subject) -> str:
    """The limits that the diagnostics hold these fits to."""
    measured = {name for found in s.checks.values() for name in found.chains}
    limits = [f"R-hat at most {R_HAT_LIMIT}", f"ESS at least {ESS_LIMIT_PER_CHAIN} a chain"]
    limits += ["no divergences"] if "divergences" in measured else []
    limits += [f"E-BFMI at least {E_BFMI_LIMIT}"] if "e_bfmi" in measured else []
    return f"Wanted: {', '.join(limits)}."


def _worst(value: float, places: int) -> str:
    return fixed(value, places) or "not known"


def made(idata: Any) -> str:
    """How the draws of a fit were made, in a sentence."""
    a = idatas.attributes(idata)
    engine = a.get("engine", "nuts")
    if "engine" not in a and "cmdstan_version" not in a:
        return "The container does not say how its draws were made."
    if engine == "exact":
        how = f"Independent draws from the exact posterior ({a.get('exact_method', 'exact')}"
        if "exact_pareto_k" in a:
            how += (
                f"; efficiency of the weights {float(a['exact_efficiency']):.0%}, Pareto k "
                f"{float(a['exact_pareto_k']):.2f}"
            )
        return f"{how})."
    warm = f", {a['warmup']} iterations of warmup" if "warmup" in a else ""
    if engine == "gibbs":
        return f"A Gibbs sampler{warm}."
    program = f", program {a['program']}" if "program" in a else ""
    version = f" of CmdStan {a['cmdstan_version']}" if "cmdstan_version" in a else ""
    return f"NUTS{version}{program}{warm}, adapt_delta {a.get('adapt_delta', 'as usual')}."


def findings(found: Diagnostics) -> tuple[list[str], list[str]]:
    """What was found, and the next steps; those that begin alike are one (as ``print`` has it)."""
    said, steps = [], dict[str, str]()
    for f in found.findings:
        if f.severity == "note":
            said.append(f"To know: {f.message}; {f.remedy}.")
        else:
            said.append(f"{'Problem' if f.severity == 'error' else 'Remark'}: {f.message}.")
            steps.setdefault(f.remedies[0], f"Next: {f.remedy}.")
    return said, list(steps.values())


def misfits(found: GroupChecks) -> Table | None:
    """The groups that the model does not fit, the worst first."""
    if not len(found.misfits):
        return None
    rows = []
    for r in found.misfits[:_MOST_MISFITS].to_dict("records"):
        places = decimals(r["q95"] - r["q5"], 3)
        row = [str(r["group"]), r["statistic"], str(r["n"]), fixed(r["observed"], places)]
        rows.append([*row, interval(r["q5"], r["q95"], places), f"{r['p_adjusted']:.2g}"])
    heads = [found.group, "statistic", "rows", "observed", "90 % of replications", "adjusted p"]
    total = len(found.misfits)
    cut = f" (the worst {_MOST_MISFITS} of {total})" if total > _MOST_MISFITS else ""
    return Table(f"Statistics that replicated data do not have{cut}", heads, rows, text=2)


# ---- versions ------------------------------------------------------------------------------------


def versions(s: Subject) -> Table:
    """What made the fits, and what made the report."""
    fitted = {str(idatas.attributes(i).get("hiermodels_version", "")) for i in s.fits.values()}
    cmdstan = {str(idatas.attributes(i).get("cmdstan_version", "")) for i in s.fits.values()}
    dates = [str(idatas.attributes(i).get("created_at", "")) for i in s.fits.values()]
    rows: list[Sequence[str]] = [["hiermodels", __version__]]
    if fitted - {"", __version__}:
        rows.append(["hiermodels, when fitted", ", ".join(sorted(fitted - {""}))])
    if cmdstan - {""}:
        rows.append(["CmdStan", ", ".join(sorted(cmdstan - {""}))])
    rows += [
        ["ArviZ", idatas.arviz_version()],
        ["NumPy", metadata.version("numpy")],
        ["Python", platform.python_version()],
    ]
    if any(dates):
        rows.append(["fitted at (UTC)", max(dates).removesuffix("+00:00").replace("T", " ")])
    seed = s.comparison.call.get("seed") if s.comparison is not None else s.attrs.get("seed")
    rows.append(["seed", "not recorded" if seed is None else str(seed)])
    return Table("Versions and seed", ["", ""], rows, text=2)


def size(s: Subject) -> str:
    """How large the data are, in a few words."""
    groups = count_of(len(s.labels), "group") if s.labels else "groups"
    rows = s.attrs.get("rows")
    return groups if s.se is not None or rows is None else f"{rows} rows in {groups}"
