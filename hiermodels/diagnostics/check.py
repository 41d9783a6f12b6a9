"""How far the draws are to be trusted: one table, one verdict, and the next step in words.

What is looked for, and by which limits, is in :mod:`~hiermodels.diagnostics.findings` (what the
answer rests on, in :mod:`~hiermodels.diagnostics.notes`); what to do about it, in
:mod:`~hiermodels.diagnostics.remedies`. The numbers are ArviZ's own
(:mod:`~hiermodels.diagnostics.convergence`); nothing here knows of Stan.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..container import inference_data
from ..errors import count_of
from . import convergence, findings, notes
from .findings import E_BFMI_LIMIT, ESS_LIMIT_PER_CHAIN, R_HAT_LIMIT, Finding, Kind
from .remedies import Fit
from .summary import table

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from ..container.inference_data import Container

__all__ = ["Diagnostics", "Finding", "check", "warnings_for"]

_COLUMNS = ("mean", "sd", "mcse_mean", "ess_bulk", "ess_tail", "r_hat")
# The parameters that the report shows, and how wide it is.
_WORST_SHOWN = 4
_WIDTH = 100


@dataclass(frozen=True, eq=False, repr=False)
class Diagnostics:
    """What :func:`check` found; prints as a short report.

    Attributes
    ----------
    ok : bool
        Whether there is no finding of severity ``"error"``.
    verdict : str
        The answer in one sentence.
    findings : tuple of Finding
        In the order in which to see to them; notes come last.
    parameters : DataFrame
        For each scalar that was checked and is not constant: ``mean``, ``sd``, ``mcse_mean``,
        ``ess_bulk``, ``ess_tail``, ``r_hat``.
    chains : DataFrame
        For each chain: ``divergences`` and ``max_treedepth`` (iterations that reached it), in
        iterations, and ``e_bfmi``; columns that could not be computed are missing.
    unchecked : tuple of str
        Those of ``"divergences"``, ``"max_treedepth"``, ``"e_bfmi"`` and ``"r_hat"`` that could
        not be checked.
    title : str
        The model and the size of the sample.
    draws : int
        Draws of each chain.
    """

    ok: bool
    verdict: str
    findings: tuple[Finding, ...]
    parameters: pd.DataFrame
    chains: pd.DataFrame
    unchecked: tuple[str, ...]
    title: str
    draws: int

    def __str__(self) -> str:
        return report(self)

    __repr__ = __str__


def check(idata: Container, *, variables: str | Sequence[str] | None = None) -> Diagnostics:
    """Check the draws of a fit, and say what to do next.

    Parameters
    ----------
    idata : InferenceData or DataTree
        With ``posterior``; without ``sample_stats`` (exact draws have none) divergences, tree depth
        and E-BFMI are not checked, and the report says so.
    variables : str or sequence of str, optional
        Variables of the posterior to check, as ArviZ's ``var_names``; by default all, but for theta
        under complete pooling, which is mu. Group effects that were drawn exactly, given the
        hyperparameters, are as good as these are: ``variables=["mu", "tau"]`` says enough of them,
        in a moment, however many there are. What concerns the whole fit (divergences, E-BFMI, tree
        depth, too few groups) is checked in any case; single rows that move the effect of their
        group (:func:`~hiermodels.influence`) are looked for only where all variables are checked
        and the draws have no error.

    Returns
    -------
    Diagnostics
        ``print`` it for a report; ``.ok`` is the answer in one bit.

    Raises
    ------
    ContainerError
        If there is no posterior.
    OptionError
        If one of the variables is not there.
    """
    import numpy as np
    import pandas as pd

    posterior = inference_data.dataset(idata, "posterior")
    attrs = inference_data.attributes(idata)
    asked = _distinct(posterior, attrs) if variables is None else variables
    labels, columns = table(posterior, asked, "posterior", _COLUMNS)
    low, high = columns["low"], columns["high"]
    finite = np.isfinite(low) & np.isfinite(high)
    moving = finite & (high > low)
    parameters = pd.DataFrame(
        {name: columns[name][moving] for name in _COLUMNS},
        index=pd.Index([label for label, keep in zip(labels, moving, strict=True) if keep]),
    )
    chains, diverging = _by_chain(idata, posterior, attrs)
    fit = Fit(attrs, posterior, diverging)
    broken = [label for label, good in zip(labels, finite, strict=True) if not good]
    found = list(findings.in_draws(parameters, chains, broken, fit))
    ok = all(f.severity != "error" for f in found)
    unchecked = [k for k in ("divergences", "max_treedepth", "e_bfmi") if k not in chains]
    if fit.chains < 2:
        unchecked.append("r_hat")
    found += notes.response(idata, fit)
    verdict = _verdict(ok, found, parameters, tuple(unchecked))
    found += notes.few_groups(idata, fit)
    if ok and variables is None:
        found += notes.single_rows(idata, fit)
    return Diagnostics(
        ok, verdict, tuple(found), parameters, chains, tuple(unchecked), _title(fit), fit.draws
    )


def warnings_for(diagnostics: Diagnostics) -> list[str]:
    """One line for each kind of finding, fit for ``warnings.warn`` at the end of a fit.

    Notes are left out: nothing is wrong with the fit.
    """
    lines: dict[str, str] = {}
    for finding in diagnostics.findings:
        if finding.severity != "note":
            lines.setdefault(finding.kind, f"{finding.message}; " + finding.remedy)
    return list(lines.values())


def _distinct(posterior: xr.Dataset, attrs: dict[str, Any]) -> list[str] | None:
    """The variables to check unasked; None for all."""
    if attrs.get("pooling") != "complete" or "mu" not in posterior:
        return None
    # theta is mu, once for each group: a finding of it would be told J times over.
    drawn = [str(n) for n, x in posterior.data_vars.items() if {"chain", "draw"} <= set(x.dims)]
    return [name for name in drawn if name != "theta"]


def _by_chain(
    idata: Container, posterior: xr.Dataset, attrs: dict[str, Any]
) -> tuple[pd.DataFrame, NDArray[np.bool_] | None]:
    """What the sampler says of each chain, and which iterations diverged."""
    import pandas as pd

    index = pd.Index(posterior["chain"].to_numpy(), name="chain")
    columns: dict[str, Any] = {}
    diverging = None
    if inference_data.has(idata, "sample_stats"):
        stats = inference_data.dataset(idata, "sample_stats")
        if "diverging" in stats:
            diverging = _by_draw(stats.variables["diverging"]).astype(bool)
            columns["divergences"] = diverging.sum(axis=1)
        if "reached_max_treedepth" in stats:
            columns["max_treedepth"] = _by_draw(stats.variables["reached_max_treedepth"]).sum(
                axis=1
            )
        elif "tree_depth" in stats and "max_treedepth" in attrs:
            saturated = _by_draw(stats.variables["tree_depth"]) >= attrs["max_treedepth"]
            columns["max_treedepth"] = saturated.sum(axis=1)
        if "energy" in stats:
            columns["e_bfmi"] = convergence.bfmi(stats)
    return pd.DataFrame(columns, index=index), diverging


def _by_draw(x: xr.Variable) -> NDArray[Any]:
    values: NDArray[Any] = x.transpose("chain", "draw").to_numpy()
    return values


def _title(fit: Fit) -> str:
    words = [str(fit.attrs.get("model", "posterior"))]
    if pooling := fit.attrs.get("pooling"):
        words.append(f"{'no' if pooling == 'none' else pooling} pooling")
    if fit.engine != "nuts":
        words.append({"exact": "exact draws", "gibbs": "Gibbs sampler"}.get(fit.engine, fit.engine))
    elif fit.parameterization and fit.parameterization != f"{pooling} pooling":
        words.append(fit.parameterization)
    return f"{', '.join(words)}: {count_of(fit.chains, 'chain')} of {fit.draws} draws"


def _verdict(
    ok: bool, findings: Sequence[Finding], parameters: pd.DataFrame, unchecked: tuple[str, ...]
) -> str:
    if not ok:
        wrong = [_IN_WORDS[f.kind] for f in findings if f.severity == "error"]
        return f"Do not rely on these draws yet: {', '.join(wrong)}."
    least = min(parameters["ess_bulk"].min(), parameters["ess_tail"].min())
    good = [] if "r_hat" in unchecked else [f"R-hat at most {parameters['r_hat'].max():.3f}"]
    good.append(f"ESS at least {least:.0f}")
    if "divergences" not in unchecked:
        good.append("no divergences")
    aside = [_IN_WORDS[f.kind] for f in findings]
    remark = f"; but {' and '.join(aside)}" if aside else ""
    return f"No sign of trouble: {', '.join(good)}{remark}."


_IN_WORDS: dict[Kind, str] = {
    "nan": "draws that are not finite",
    "still": "chains that do not move",
    "few_draws": "too few draws to judge by",
    "divergences": "divergences",
    "r_hat": "high R-hat",
    "ess_bulk": "low bulk ESS",
    "ess_tail": "low tail ESS",
    "e_bfmi": "low E-BFMI",
    "max_treedepth": "the maximum tree depth slows the sampler",
    "chains": "one chain cannot show disagreement",
    "response": "a response that does not look normal",
    "few_groups": "few groups",
    "single_row": "single rows",
}


# ---- the report ---------------------------------------------------------------------------------


def report(d: Diagnostics, spelled: Callable[[str], str] = str) -> str:
    """Write the report, with the next steps as ``spelled`` spells their options."""
    lines = [d.title, d.verdict, "", *_measures(d)]
    worst = _worst(d.parameters)
    if len(worst):
        table = worst.drop(columns="sd").to_string(
            formatters={
                "mean": "{:.4g}".format,
                "mcse_mean": "{:.2g}".format,
                "ess_bulk": "{:.0f}".format,
                "ess_tail": "{:.0f}".format,
                "r_hat": "{:.3f}".format,
            }
        )
        lines += ["", "Least well determined parameters:", *table.splitlines()]
    # Findings that begin with the same step are seen to together; what is left shows afterwards.
    steps: dict[str, str] = {}
    for f in d.findings:
        if f.severity != "note":
            steps.setdefault(f.remedies[0], f.remedy)
    if steps:
        lines += ["", "Next:"]
        lines += [
            line
            for i, step in enumerate(steps.values(), 1)
            for line in _item(f"{i}.", f"{spelled(step)}.")
        ]
    known = [f for f in d.findings if f.severity == "note"]
    if known:
        lines += ["", "To know:"]
        lines += [line for f in known for line in _item("-", f"{f.message}; {f.remedy}.")]
    return "\n".join(lines)


def _item(mark: str, text: str) -> list[str]:
    """One entry of a list, in as many lines as it takes."""
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=f"  {mark} ",
        subsequent_indent=" " * (len(mark) + 3),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _worst(parameters: pd.DataFrame) -> pd.DataFrame:
    least = parameters[["ess_bulk", "ess_tail"]].min(axis=1)
    # A high R-hat first, as it makes the ESS of the same parameter hard to believe.
    order = parameters.assign(
        _high=(parameters["r_hat"] > R_HAT_LIMIT) * parameters["r_hat"], _least=least
    ).sort_values(["_high", "_least"], ascending=[False, True])
    return parameters.loc[order.index[:_WORST_SHOWN]]


def _measures(d: Diagnostics) -> list[str]:
    """One aligned line for each measure: what it is, what came, what is wanted, the mark."""
    p, by_chain = d.parameters, d.chains
    enough = f"at least {ESS_LIMIT_PER_CHAIN * len(by_chain)}"
    total = len(by_chain) * d.draws
    rows: list[tuple[str, str, str, str]] = []

    def worst(kind: str, name: str, column: pd.Series[Any], form: str, wanted: str) -> None:
        if column.notna().any():
            # The worst is at the end.
            column = column.dropna().sort_values(ascending=kind == "r_hat")
            where = f"chain {column.index[-1]}" if kind == "e_bfmi" else column.index[-1]
            rows.append((kind, name, f"{column.iloc[-1]:{form}} ({where})", wanted))

    worst("r_hat", "R-hat", p["r_hat"], ".3f", f"at most {R_HAT_LIMIT}")
    worst("ess_bulk", "bulk ESS", p["ess_bulk"], ".0f", enough)
    worst("ess_tail", "tail ESS", p["ess_tail"], ".0f", enough)
    for kind, name in (("divergences", "divergences"), ("max_treedepth", "at maximum tree depth")):
        if kind in by_chain:
            rows.append((kind, name, f"{by_chain[kind].sum()} of {total}", "none"))
    if "e_bfmi" in by_chain:
        worst("e_bfmi", "E-BFMI", by_chain["e_bfmi"], ".2f", f"at least {E_BFMI_LIMIT}")

    found: dict[str, str] = {f.kind: f.severity for f in d.findings}
    wide = [max((len(row[i]) for row in rows), default=0) for i in range(4)]
    lines = [
        f"{name:<{wide[1]}}  {got:<{wide[2]}}  wanted: {wanted:<{wide[3]}}  "
        f"{ {'error': 'BAD', 'warning': 'note'}.get(found.get(kind, ''), 'ok') }"
        for kind, name, got, wanted in rows
    ]
    if d.unchecked:
        words = {"max_treedepth": "tree depth", "e_bfmi": "E-BFMI"}
        names = ", ".join(words.get(name, name) for name in d.unchecked if name != "r_hat")
        why = [f"{names} (the draws carry no such record)"] if names else []
        why += ["R-hat (one chain)"] if "r_hat" in d.unchecked else []
        lines.append(f"not checked: {'; '.join(why)}")
    return lines
