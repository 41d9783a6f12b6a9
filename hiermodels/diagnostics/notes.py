"""What an answer rests on, where that is worth knowing: the response, few groups, single rows.

These notes are about the data and the model, not about the draws: more draws do not help.

Gelman, A. (2006). Prior distributions for variance parameters in hierarchical models. Bayesian
Analysis 1, 515-534: with fewer than 5 groups or so, a prior on tau that means to say nothing says
much.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..container import inference_data
from ..container import rows as fitted_rows
from ..errors import ContainerError, OptionError, count_of
from .findings import Finding

if TYPE_CHECKING:
    from ..container.inference_data import Container
    from .remedies import Fit

__all__ = ["few_groups", "response", "single_rows"]

FEW_GROUPS = 5
# How often the rows of a right model have one that is named, at most.
_BY_CHANCE = 0.05
# Above this many rows only hm.influence looks for single influential rows.
_MOST_ROWS = 200_000


def response(idata: Container, fit: Fit) -> Iterable[Finding]:
    """A note where the response looks like something that a normal model is wrong for."""
    look = str(fit.attrs.get("response_look", ""))
    name = fitted_rows.columns_of(idata).get("y")
    if not look or name is None:
        return
    steps = (
        "hm.plots.posterior_predictive(idata) shows how far replicated data are from the data",
        "rely on means by group rather than on intervals and predictions of rows",
    )
    yield Finding("response", "note", f"{name} {look}", steps[0], (), steps)


def few_groups(idata: Container, fit: Fit) -> Iterable[Finding]:
    """A note where there are so few groups that tau leans on its prior."""
    priors = {name: text for name, text in fit.priors.items() if name.partition("[")[0] == "tau"}
    group = fitted_rows.columns_of(idata).get("group")
    if not fit.partial or not priors or group is None:
        return
    J = _groups(idata, fit, str(group))
    if J is None or J >= FEW_GROUPS:
        return
    names, whose = ("tau", "its") if len(priors) == 1 else ("the taus", "their")
    prior = next(iter(priors.values()))
    if len(set(priors.values())) > 1:
        prior = ", ".join(f"{text} for {name}" for name, text in priors.items())
    steps = (
        "hm.sensitivity(idata) says how far the posterior moves with its priors",
        "hm.compare_priors(model, {'wide': ..., 'narrow': ...}) lays other priors beside it",
        "where more is known of groups like these, say it: priors={'tau': hm.HalfNormal(...)}",
    )
    yield Finding(
        "few_groups",
        "note",
        f"{count_of(J, 'group')} cannot say much about {names}, whose posterior leans on {whose} "
        f"prior, {prior}",
        steps[0],
        tuple(priors),
        steps,
    )


def _groups(idata: Container, fit: Fit, group: str) -> int | None:
    """How many groups there are, by the first part of the container that has a dim for them."""
    if group in fit.posterior.sizes:
        return int(fit.posterior.sizes[group])
    for name in ("effects_summary", "observed_data", "constant_data"):
        if inference_data.has(idata, name):
            sizes = inference_data.dataset(idata, name).sizes
            if group in sizes:
                return int(sizes[group])
    return None


def single_rows(idata: Container, fit: Fit) -> Iterable[Finding]:
    """A note where one row of several moves the effect of its group, and is far from the others.

    More than one posterior sd, and so far from what the others predict that the farthest of as many
    rows is that far one time in 20 (Bonferroni): in small groups a shift of one sd is nothing
    unusual, and in large ones no row makes one.
    """
    import numpy as np

    if not fit.partial or not inference_data.has(idata, "constant_data"):
        return
    constant = inference_data.dataset(idata, "constant_data")
    if "group_index" not in constant or constant["group_index"].size > _MOST_ROWS:
        return
    from . import influence

    try:
        found = influence.measure(idata)
    except (ContainerError, OptionError):  # no effects, another family or another package
        return
    rows = found.rows
    largest = np.abs(found.shift).max(axis=1)
    driven = (largest > 1) & (found.p < _BY_CHANCE / len(largest)) & (rows.sizes[rows.index] > 1)
    if not driven.any():
        return
    places = np.flatnonzero(driven)
    places = places[np.argsort(-largest[places], kind="stable")]
    groups = list(dict.fromkeys(rows.index[places].tolist()))
    said = [
        f"{rows.group} {rows.labels[rows.index[i]]} by {largest[i]:.1f} sd "
        f"({rows.dim} {rows.places[i]}, {abs(found.t[i]):.1f} sd from what the others predict)"
        for i in (next(i for i in places if rows.index[i] == j) for j in groups[:3])
    ]
    more = f" and {len(groups) - 3} more" if len(groups) > 3 else ""
    steps = (
        "look at these rows in the data: hm.influence(idata) lists them",
        "fit without them and lay the answers side by side",
    )
    yield Finding(
        "single_row",
        "note",
        f"one row moves theta of {', '.join(said)}{more}",
        steps[0],
        tuple(f"theta[{rows.labels[j]}]" for j in groups),
        steps,
    )
