"""How much a posterior depends on its priors: the numbers of :mod:`.power_scaling`, in words."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..container import inference_data
from ..diagnostics import convergence
from ..diagnostics import summary as summaries
from ..errors import ContainerError, DiagnosticWarning, OptionError, listed, suggest
from . import log_densities, power_scaling

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from ..container.inference_data import Container

    Array = NDArray[np.float64]

__all__ = ["Sensitivity", "sensitivity"]

THRESHOLD = 0.05
"""Sensitivity from which on it is told of (Kallioinen et al. 2023)."""
FEWEST_DRAWS = 25
"""Draws whose weights have a tail that can be smoothed."""
MOST_EFFECTS = 100
"""Scalars of a variable of the groups, such as theta, that are looked at unasked."""

CONFLICT = "prior-data conflict"
STRONG = "strong prior / weak likelihood"
FINE = "-"

LIKELIHOODS = ("auto", "row", "group")
# Variables that repeat others on another scale.
_HELPERS = ("deviation", "eta", "L_Omega")
_SHOWN, _TOLD = 10, 6  # rows of the table and sentences in the report


@dataclass(frozen=True, eq=False, repr=False)
class Sensitivity:
    """What :func:`sensitivity` found; prints as a short report.

    Attributes
    ----------
    table : DataFrame
        One row for each scalar, named as in ``hm.summary``: ``prior`` and ``likelihood``, the
        sensitivities D to all priors together and to the likelihood (no units; 0 is none), and
        ``diagnosis``: ``"prior-data conflict"`` where both are at the threshold or above,
        ``"strong prior / weak likelihood"`` where the prior's alone is, else ``"-"``.
    by_block : DataFrame
        One row for each scalar, a column for each block of priors (``mu``, ``tau``, ...): the
        sensitivity to that one.
    pareto_k : Series
        Of the weights of each component (``prior``, ``likelihood``, ``prior[mu]``, ...), the worse
        of the two powers; NaN where the component is the same in all draws, as a flat prior is.
    noise : Series
        Of each component: about the sensitivity that chance alone would show in so many draws.
    sentences : tuple of str
        One for each flagged scalar, the most sensitive first: what it is, and what to do.
    notes : tuple of str
        What is to be known of these numbers: what was left out, weights and noise that are bad.
    likelihood : {"row", "group"}
        The likelihood that was scaled: that of the rows given the effects, or that of the groups
        with the effects integrated out.
    delta : float
        The powers are 1 + delta and its inverse.
    threshold : float
    title : str
        The model and the size of the sample.
    """

    table: pd.DataFrame
    by_block: pd.DataFrame
    pareto_k: pd.Series[float]
    noise: pd.Series[float]
    sentences: tuple[str, ...]
    notes: tuple[str, ...]
    likelihood: str
    delta: float
    threshold: float
    title: str

    @property
    def flagged(self) -> list[str]:
        """The scalars with a diagnosis, the most sensitive to the prior first."""
        bad = self.table[self.table["diagnosis"] != FINE]
        return [str(label) for label in bad["prior"].sort_values(ascending=False).index]

    @property
    def verdict(self) -> str:
        """The answer in one sentence."""
        flagged, n = self.flagged, len(self.table)
        if not flagged:
            return f"No prior matters much: none of {n} quantities is sensitive to it."
        some = ", ".join(flagged[:5]) + (f" and {len(flagged) - 5} more" if flagged[5:] else "")
        return f"The priors matter for {len(flagged)} of {n} quantities: {some}."

    def __str__(self) -> str:
        order = self.table.sort_values("prior", ascending=False, kind="stable").index
        first = [*self.flagged, *(label for label in order if label not in self.flagged)][:_SHOWN]
        left = len(self.table) - len(first)
        what = "the rows, given theta" if self.likelihood == "row" else "the groups, without theta"
        lines = [
            self.verdict,
            "",
            f"{self.title}; power-scaled by {1 + self.delta:g}; likelihood of {what}; "
            f"flagged from {self.threshold:g}:",
            self.table.loc[first].round(3).to_string(),
        ]
        if left:
            lines.append(f"... and {left} more in .table")
        if self.sentences:
            lines += ["", *(f"* {s}" for s in self.sentences[:_TOLD])]
        if len(self.sentences) > _TOLD:
            lines.append(f"* ... and {len(self.sentences) - _TOLD} more in .sentences")
        if self.notes:
            lines += ["", *(f"note {n}" for n in self.notes)]
        return "\n".join(lines)

    __repr__ = __str__


def sensitivity(
    idata: Container,
    var_names: str | Sequence[str] | None = None,
    *,
    delta: float = 0.01,
    likelihood: str = "auto",
    threshold: float = THRESHOLD,
) -> Sensitivity:
    """How much each quantity depends on the priors, and on the likelihood, without a refit.

    The prior is that of the parameters at the top: mu, tau, Omega, beta, sigma. The distribution
    of the group effects, theta_j ~ N(mu, tau), is learned from the data: it belongs to the model
    and keeps its power, as Kallioinen et al. (2023) advise for hierarchical priors. Without pooling
    theta has a prior like any other parameter, and that one is scaled.

    Parameters
    ----------
    idata : InferenceData or DataTree
        A fit by any engine, with ``posterior``, ``log_prior`` and a log likelihood.
    var_names : str or list of str, optional
        Variables of the posterior to look at. By default all but ``deviation``, ``eta`` and
        ``L_Omega``, variables of the groups (theta) only up to 100 scalars.
    delta : float
        Powers are 1 + delta and 1/(1 + delta); 0 < delta <= 1. Large ones are far away, and bad
        weights (Pareto k) say so.
    likelihood : {"auto", "row", "group"}
        "row" scales the group ``log_likelihood``, p(y_i | theta, sigma), as ArviZ and the paper do:
        as if every row counted alpha times, for the groups of the data. "group" scales
        ``log_likelihood_group``, p(y_j | mu, tau, ...), with the effects integrated out: as if
        there were alpha times the groups. "group" has less Monte Carlo noise with many groups,
        needs no rows, and has no answer for the effects. mu and tau have small numbers with "row";
        with "group" every quantity that the data inform has about 0.1 or more, and a conflict may
        just be two sources of information. "auto" is "row" where the container has it, else
        "group"; the result says which.
    threshold : float
        Sensitivity from which on a quantity is flagged; 0.05 in the paper.

    Returns
    -------
    Sensitivity
        ``.table`` has the numbers, ``.sentences`` what to do.

    Raises
    ------
    ContainerError
        There is no posterior, log prior or log likelihood of the kind that is needed, or it has
        not the dims of draws, or too few of them.
    OptionError
        A variable that is not there, or another option that cannot be.

    Warns
    -----
    DiagnosticWarning
        Weights with a Pareto k above min(1 - 1/log10(S), 0.7), of S draws.

    Notes
    -----
    A flag is not a fault: an informative prior is meant to inform. Report that prior and its
    reasons; ``hm.compare_priors`` shows how much another one changes the answer. Flat priors are
    constant, and nothing is sensitive to them. Two fits of 4000 draws differ by about 0.01 for mu
    and theta, and by a few hundredths for a tau with a long tail.
    """
    import numpy as np
    import pandas as pd

    _check(delta, likelihood, threshold)
    posterior = inference_data.dataset(idata, "posterior")
    convergence.refuse_bare(posterior.dims)
    draws = posterior.sizes["chain"] * posterior.sizes["draw"]
    if draws < FEWEST_DRAWS:
        raise ContainerError(
            f"sensitivity needs {FEWEST_DRAWS} draws or more, got {draws}; fit with more draws"
        )
    attrs = inference_data.attributes(idata)
    blocks = log_densities.priors_by_block(idata, posterior)
    kind, log_likelihood = log_densities.likelihood(idata, posterior, likelihood)
    names, notes = _variables(posterior, var_names, kind, attrs)
    together = np.sum(list(blocks.values()), axis=0)
    components = {"prior": together, "likelihood": log_likelihood}
    components |= {f"prior[{name}]": values for name, values in blocks.items()}
    drawn: dict[str, Array] = {}
    for name in names:
        drawn |= {n: x.reshape(-1) for n, x in summaries.scalars(posterior, name).items()}
    found, k = power_scaling.sensitivities(list(drawn.values()), components, delta)
    index = pd.Index(list(drawn))
    table = pd.DataFrame(found[:, :2], index=index, columns=["prior", "likelihood"])
    by_block = pd.DataFrame(found[:, 2:], index=index, columns=pd.Index(list(blocks)))
    strong, informed = table["prior"] >= threshold, table["likelihood"] >= threshold
    table["diagnosis"] = np.select([strong & informed, strong], [CONFLICT, STRONG], FINE)
    pareto_k = pd.Series(k, index=pd.Index(list(components)), name="pareto_k")
    noise = pd.Series(
        power_scaling.noise(components, posterior.sizes["chain"]),
        index=pareto_k.index,
        name="noise",
    )
    if (loud := noise["likelihood"]) > threshold / 2:
        quieter = "likelihood='group' or " if kind == "row" and "mu" in posterior else ""
        notes.append(
            f"of the numbers for the likelihood some {loud:.2f} are Monte Carlo noise; "
            f"{quieter}more draws have less"
        )
    # Above it weights of S draws are not to be relied upon (Vehtari et al. 2024, JMLR 25(72)).
    k_limit = min(1 - 1 / math.log10(draws), 0.7)
    bad = pareto_k[pareto_k > k_limit]
    if len(bad):
        worst = ", ".join(f"{name} {value:.2f}" for name, value in bad.items())
        notes.append(
            f"the weights are bad (Pareto k above {k_limit:.2g}: {worst}), and so are the numbers "
            "that rest on them; take a smaller delta or more draws, or refit with hm.compare_priors"
        )
        warnings.warn(f"sensitivity: {notes[-1]}", DiagnosticWarning, stacklevel=2)
    flagged = table[table["diagnosis"] != FINE].sort_values("prior", ascending=False).index
    sentences = []
    for label in flagged:
        # The blocks whose priors matter, the worst first; if no block does by itself, the worst.
        order = by_block.loc[label].sort_values(ascending=False)
        names = [str(n) for n in order.index[order >= threshold]] or [str(order.index[0])]
        own = np.sum([blocks[name] for name in names], axis=0)
        pull = power_scaling.pull(drawn[label], own)
        sentences.append(_sentence(label, table.loc[label], names, pull))
    return Sensitivity(
        table=table,
        by_block=by_block,
        pareto_k=pareto_k,
        noise=noise,
        sentences=tuple(sentences),
        notes=tuple(notes),
        likelihood=kind,
        delta=delta,
        threshold=threshold,
        title=_title(attrs, posterior),
    )


# ---- what is scaled, and what is looked at -------------------------------------------------------


def _check(delta: Any, likelihood: Any, threshold: Any) -> None:
    for name, value, most in (("delta", delta, 1.0), ("threshold", threshold, math.inf)):
        plain = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not plain or not 0 < value <= most:
            limit = "" if most == math.inf else f" and at most {most:g}"
            raise OptionError(f"{name} must be a number above 0{limit}, got {value!r}")
    if likelihood not in LIKELIHOODS:
        raise OptionError(
            f"likelihood must be one of {listed(LIKELIHOODS)}, got {likelihood!r}"
            f"{suggest(str(likelihood), LIKELIHOODS)}"
        )


def _variables(
    posterior: xr.Dataset,
    asked: str | Sequence[str] | None,
    kind: str,
    attrs: dict[str, Any],
) -> tuple[list[str], list[str]]:
    """Names of the variables to look at, and a note for each kind that was left out."""
    drawn = [
        str(name) for name in posterior.data_vars if {"chain", "draw"} <= set(posterior[name].dims)
    ]
    effects = ["theta", "deviation", "eta"] if attrs.get("pooling", "partial") == "partial" else []
    if asked is not None:
        names = [asked] if isinstance(asked, str) else list(asked)
        for name in names:
            if name not in drawn:
                raise OptionError(
                    f"there is no variable {name!r} in group 'posterior'; there are "
                    f"{listed(drawn)}{suggest(str(name), drawn)}"
                )
        if not names:
            raise OptionError(f"name one variable or more of {listed(drawn)}, or none; got []")
        wrong = [name for name in names if name in effects]
        if wrong and kind == "group":
            raise ContainerError(
                f"{wrong[0]}: the likelihood with the effects integrated out has no answer for "
                "them; model.add_pointwise(idata) adds the one by row, or leave them out"
            )
        return names, []
    notes = []
    group = _group(attrs, posterior)
    kept = []
    for name in drawn:
        size = posterior[name].size // (posterior.sizes["chain"] * posterior.sizes["draw"])
        if name in _HELPERS:
            continue
        if name == "theta" and attrs.get("pooling") == "complete":
            continue  # mu, once for each group
        if name in effects and kind == "group":
            notes.append(
                f"{name} is left out: it needs log_likelihood (model.add_pointwise adds it)"
            )
        elif group in posterior[name].dims and size > MOST_EFFECTS:
            notes.append(
                f"{name} is left out, having {size} scalars; name it in var_names to see it"
            )
        else:
            kept.append(name)
    return kept, notes


def _group(attrs: dict[str, Any], posterior: xr.Dataset) -> str | None:
    """The dim of the groups."""
    try:
        return str(json.loads(attrs["columns"])["group"])
    except (KeyError, TypeError, ValueError):  # not a container of ours
        dims = posterior["theta"].dims[2:] if "theta" in posterior else ()
        return str(dims[0]) if dims else None


# ---- words ---------------------------------------------------------------------------------------


def _sentence(label: str, row: pd.Series[Any], names: Sequence[str], pull: str) -> str:
    """What is said of a flagged scalar, with the blocks whose priors matter."""
    one = len(names) == 1
    together = f"{', '.join(names[:-1])} and {names[-1]}"
    whose = f"the prior of {names[0]}" if one else f"the priors of {together}"
    numbers = f"{row['prior']:.2f} and {row['likelihood']:.2f}"
    if row["diagnosis"] == CONFLICT:
        it = "it" if one else "them"
        return (
            f"{label}: prior and likelihood may disagree, as both move it ({numbers}); {whose} "
            f"{'pulls' if one else 'pull'} it {pull}: defend {it} or widen {it}, and report both "
            "answers (hm.compare_priors)"
        )
    return (
        f"{label}: {whose} {'decides' if one else 'decide'} as much as the data, or more "
        f"({numbers}); report how conclusions change with hm.compare_priors"
    )


def _title(attrs: dict[str, Any], posterior: xr.Dataset) -> str:
    draws = posterior.sizes["chain"] * posterior.sizes["draw"]
    if "model" not in attrs:
        return f"{draws} draws"
    return f"{attrs['model']}, {attrs.get('pooling')} pooling, {draws} draws"
