"""How far the draws are to be trusted: one table, one verdict, and the next step in words.

Limits, and where they come from:

==================  ==========================  ==================================================
quantity            wanted                      source
==================  ==========================  ==================================================
R-hat               at most 1.01                Vehtari et al. (2021), rank-normalized and split
bulk and tail ESS   at least 100 a chain        Vehtari et al. (2021)
divergences         none                        Betancourt (2017), arXiv:1701.02434
E-BFMI              at least 0.3 in each chain  Betancourt (2016), arXiv:1604.00695; Stan
tree depth          below its maximum           Stan reference manual; costs time, biases nothing
==================  ==========================  ==================================================

Vehtari, A., Gelman, A., Simpson, D., Carpenter, B. and Bürkner, P.-C. (2021). Rank-normalization,
folding, and localization: an improved R-hat. Bayesian Analysis 16, 667-718.

The numbers are ArviZ's own (:mod:`~hiermodels.rulers`); nothing here knows of Stan.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from . import inference_data, rulers
from .errors import listed
from .summaries import table

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from .inference_data import Container

__all__ = ["Diagnostics", "Finding", "check", "warnings_for"]

R_HAT_LIMIT = 1.01
ESS_LIMIT_PER_CHAIN = 100
E_BFMI_LIMIT = 0.3

_COLUMNS = ("mean", "sd", "mcse_mean", "ess_bulk", "ess_tail", "r_hat")
# Where more than ten times the draws were needed, running longer is not the remedy.
_MOST_LONGER = 10.0
# Below this many draws a chain, more of them come before all else.
_FEW_DRAWS = 200
# The parameters that the report shows.
_WORST_SHOWN = 4

Kind = Literal[
    "nan", "divergences", "r_hat", "ess_bulk", "ess_tail", "e_bfmi", "max_treedepth", "chains"
]


@dataclass(frozen=True)
class Finding:
    """One thing that the diagnostics found.

    Attributes
    ----------
    kind : str
        ``"nan"``, ``"divergences"``, ``"r_hat"``, ``"ess_bulk"``, ``"ess_tail"``, ``"e_bfmi"``,
        ``"max_treedepth"`` or ``"chains"``.
    severity : {"error", "warning"}
        An error means that the draws are not to be relied upon; a warning, that they cost more time
        than they need, or that something could not be checked.
    message : str
        What was found, in one line.
    remedy : str
        What to do about it, in one line.
    parameters : tuple of str
        Whom it concerns, worst first; empty where it concerns the whole fit.
    """

    kind: Kind
    severity: Literal["error", "warning"]
    message: str
    remedy: str
    parameters: tuple[str, ...] = ()


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
        In the order in which to see to them.
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
        return _report(self)

    __repr__ = __str__


def check(idata: Container, *, variables: str | Sequence[str] | None = None) -> Diagnostics:
    """Check the draws of a fit, and say what to do next.

    Parameters
    ----------
    idata : InferenceData or DataTree
        With ``posterior``; without ``sample_stats`` (exact draws have none) divergences, tree depth
        and E-BFMI are not checked, and the report says so.
    variables : str or sequence of str, optional
        Variables of the posterior to check, as ArviZ's ``var_names``; by default all. Group effects
        that were drawn exactly, given the hyperparameters, are as good as these are:
        ``variables=["mu", "tau"]`` says enough of them, in a moment, however many there are. What
        concerns the whole fit (divergences, E-BFMI, tree depth) is checked in any case.

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
    labels, columns = table(posterior, variables, "posterior", _COLUMNS)
    low, high = columns["low"], columns["high"]
    finite = np.isfinite(low) & np.isfinite(high)
    moving = finite & (high > low)
    parameters = pd.DataFrame(
        {name: columns[name][moving] for name in _COLUMNS},
        index=pd.Index([label for label, keep in zip(labels, moving, strict=True) if keep]),
    )
    chains = _by_chain(idata, posterior, attrs)
    fit = _Fit(attrs, len(chains), posterior.sizes["draw"], "tau" in posterior)
    broken = [label for label, good in zip(labels, finite, strict=True) if not good]
    findings = tuple(_findings(parameters, chains, broken, fit))
    ok = all(f.severity != "error" for f in findings)
    unchecked = [k for k in ("divergences", "max_treedepth", "e_bfmi") if k not in chains]
    if fit.chains < 2:
        unchecked.append("r_hat")
    verdict = _verdict(ok, findings, parameters, tuple(unchecked))
    return Diagnostics(
        ok, verdict, findings, parameters, chains, tuple(unchecked), fit.title, fit.draws
    )


def warnings_for(diagnostics: Diagnostics) -> list[str]:
    """One line for each kind of finding, fit for ``warnings.warn`` at the end of a fit."""
    lines: dict[str, str] = {}
    for finding in diagnostics.findings:
        lines.setdefault(finding.kind, f"{finding.message}; {finding.remedy}")
    return list(lines.values())


def _by_chain(idata: Container, posterior: xr.Dataset, attrs: dict[str, Any]) -> pd.DataFrame:
    import pandas as pd

    index = pd.Index(posterior["chain"].to_numpy(), name="chain")
    columns: dict[str, Any] = {}
    if inference_data.has(idata, "sample_stats"):
        stats = inference_data.dataset(idata, "sample_stats")
        if "diverging" in stats:
            columns["divergences"] = _by_draw(stats.variables["diverging"]).sum(axis=1)
        if "reached_max_treedepth" in stats:
            columns["max_treedepth"] = _by_draw(stats.variables["reached_max_treedepth"]).sum(
                axis=1
            )
        elif "tree_depth" in stats and "max_treedepth" in attrs:
            saturated = _by_draw(stats.variables["tree_depth"]) >= attrs["max_treedepth"]
            columns["max_treedepth"] = saturated.sum(axis=1)
        if "energy" in stats:
            columns["e_bfmi"] = rulers.bfmi(stats)
    return pd.DataFrame(columns, index=index)


def _by_draw(x: xr.Variable) -> NDArray[Any]:
    values: NDArray[Any] = x.transpose("chain", "draw").to_numpy()
    return values


@dataclass(frozen=True)
class _Fit:
    """How the draws came about, which is what the remedies depend on."""

    attrs: dict[str, Any]
    chains: int
    draws: int
    has_tau: bool

    @property
    def parameterization(self) -> str:
        return str(self.attrs.get("parameterization", ""))

    @property
    def ess_limit(self) -> int:
        return ESS_LIMIT_PER_CHAIN * self.chains

    @property
    def title(self) -> str:
        words = [str(self.attrs.get("model", "posterior"))]
        if pooling := self.attrs.get("pooling"):
            words.append(f"{pooling} pooling")
        engine = str(self.attrs.get("engine", "nuts"))
        if engine != "nuts":
            words.append({"exact": "exact draws", "gibbs": "Gibbs sampler"}.get(engine, engine))
        elif self.parameterization:
            words.append(self.parameterization)
        return f"{', '.join(words)}: {_count(self.chains, 'chain')} of {self.draws} draws"

    def steadier(self) -> str:
        """Remedy for a posterior that the sampler cannot follow everywhere."""
        if self.attrs.get("engine") == "gibbs":
            return "fit with engine='exact' or engine='nuts': this sampler moves too slowly here"
        steps = []
        if self.parameterization == "centered":
            steps.append("parameterization='noncentered'")
        if float(self.attrs.get("adapt_delta", 0.8)) < 0.99:
            steps.append("adapt_delta=0.99")
        if self.parameterization == "noncentered":
            steps.append("parameterization='centered' where groups carry much data")
        if self.has_tau and (len(steps) < 2 or self.parameterization == "noncentered"):
            steps.append("a tighter prior on tau")
        return f"fit again with {', then '.join(steps or ['tighter priors'])}"

    def longer(self, factor: float) -> str:
        """Remedy for too few draws, by how many times they are too few."""
        if self.draws < _FEW_DRAWS:
            return f"fit again with the usual draws=1000 and warmup=1000, now draws={self.draws}"
        if not factor <= _MOST_LONGER:
            return self.steadier()
        draws = math.ceil(max(1.2 * factor, 2.0) * self.draws / 500) * 500
        return f"fit again with draws={draws}, now {self.draws}, and a warmup to match"


def _findings(
    parameters: pd.DataFrame, chains: pd.DataFrame, broken: list[str], fit: _Fit
) -> Iterable[Finding]:
    """Go through the limits, in the order in which to see to them."""
    total = fit.chains * fit.draws
    if broken:
        yield Finding(
            "nan",
            "error",
            f"draws of {listed(broken, 3)} are not finite",
            "look for huge or tiny values in the data and at model.priors, and fit again",
            tuple(broken),
        )
    if "divergences" in chains and (count := int(chains["divergences"].sum())):
        where = _named_chains(chains.index[chains["divergences"] > 0])
        yield Finding(
            "divergences",
            "error",
            f"{count} of {total} iterations diverged ({where}), so the posterior may be biased",
            fit.steadier(),
        )
    yield from _low_quality(parameters, broken, fit)
    if "e_bfmi" in chains and (chains["e_bfmi"] < E_BFMI_LIMIT).any():
        low = chains["e_bfmi"] < E_BFMI_LIMIT
        yield Finding(
            "e_bfmi",
            "error",
            f"E-BFMI is below {E_BFMI_LIMIT} in {_named_chains(chains.index[low])} "
            f"(lowest {chains['e_bfmi'].min():.2f}), so the tails may be unexplored",
            fit.steadier()
            if fit.parameterization == "centered"
            else "fit again with twice the warmup, then a tighter prior on the scale parameters",
        )
    if "max_treedepth" in chains and (count := int(chains["max_treedepth"].sum())):
        limit = int(fit.attrs.get("max_treedepth", 10))
        yield Finding(
            "max_treedepth",
            "warning",
            f"{count} of {total} iterations reached the maximum tree depth of {limit}, "
            "which costs time and biases nothing",
            f"fit again with max_treedepth={limit + 2}",
        )
    if fit.chains < 2:
        yield Finding(
            "chains",
            "warning",
            "R-hat needs two chains or more, and there is one",
            "fit again with chains=4",
        )


def _low_quality(parameters: pd.DataFrame, broken: list[str], fit: _Fit) -> Iterable[Finding]:
    import numpy as np

    if parameters.empty:
        if not broken:
            yield Finding(
                "r_hat",
                "error",
                "no parameter moves: all draws are the same",
                "fit again with another seed or other inits",
            )
        return
    # In NumPy: pandas would take longer over ten parameters than their diagnostics did.
    sizes = {kind: parameters[kind].to_numpy() for kind in ("ess_bulk", "ess_tail", "r_hat")}
    least = np.minimum(sizes["ess_bulk"], sizes["ess_tail"])
    if np.isnan(least).any():
        unmeasured = parameters.index[np.isnan(least)]
        yield Finding(
            "ess_bulk",
            "error",
            f"too few draws to judge {_count(len(unmeasured), 'parameter')} by",
            "fit again with more draws, 1000 or so of each chain",
            tuple(unmeasured),
        )
        return
    # The smallest ESS says how many times longer a run would have to be, for all findings alike.
    remedy = fit.longer(fit.ess_limit / float(least.min()))
    if (sizes["r_hat"] > R_HAT_LIMIT).any():
        high = parameters["r_hat"][parameters["r_hat"] > R_HAT_LIMIT].sort_values(ascending=False)
        yield Finding(
            "r_hat",
            "error",
            f"R-hat is above {R_HAT_LIMIT} for {_share(high, parameters)}, "
            f"at worst {high.iloc[0]:.3g} ({high.index[0]}), so the chains disagree",
            remedy,
            tuple(high.index),
        )
    kinds: tuple[tuple[Kind, str, str], ...] = (
        ("ess_bulk", "bulk ESS", "means and medians are imprecise"),
        ("ess_tail", "tail ESS", "intervals are imprecise"),
    )
    for kind, name, harm in kinds:
        if (sizes[kind] < fit.ess_limit).any():
            low = parameters[kind][parameters[kind] < fit.ess_limit].sort_values()
            yield Finding(
                kind,
                "error",
                f"{name} is below {fit.ess_limit} ({ESS_LIMIT_PER_CHAIN} a chain) for "
                f"{_share(low, parameters)}, at worst {low.iloc[0]:.0f} ({low.index[0]}), "
                f"so {harm}",
                remedy,
                tuple(low.index),
            )


def _share(some: pd.Series[Any], all_of_them: pd.DataFrame) -> str:
    return f"{len(some)} of {_count(len(all_of_them), 'parameter')}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _named_chains(index: pd.Index[Any]) -> str:
    return f"chain{'' if len(index) == 1 else 's'} {listed(index.tolist())}"


def _verdict(
    ok: bool, findings: tuple[Finding, ...], parameters: pd.DataFrame, unchecked: tuple[str, ...]
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
    "divergences": "divergences",
    "r_hat": "high R-hat",
    "ess_bulk": "low bulk ESS",
    "ess_tail": "low tail ESS",
    "e_bfmi": "low E-BFMI",
    "max_treedepth": "the maximum tree depth slows the sampler",
    "chains": "one chain cannot show disagreement",
}


# ---- the report ---------------------------------------------------------------------------------


def _report(d: Diagnostics) -> str:
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
    steps = list(dict.fromkeys(f.remedy for f in d.findings))
    if steps:
        lines += ["", "Next:", *(f"  {i}. {step}." for i, step in enumerate(steps, start=1))]
    return "\n".join(lines)


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
        words = {"max_treedepth": "tree depth", "e_bfmi": "E-BFMI", "r_hat": "R-hat"}
        names = ", ".join(words.get(name, name) for name in d.unchecked)
        why = (
            "there is one chain" if d.unchecked == ("r_hat",) else "the draws carry no such record"
        )
        lines.append(f"not checked: {names} ({why})")
    return lines
