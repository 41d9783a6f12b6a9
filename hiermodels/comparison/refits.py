"""Models without some of their groups or rows, and what they predict of what was left out.

Importance sampling takes a fit to all data for one to all but a few; where that cannot work (Pareto
k above its limit), the model is fitted to the rest, under the very same priors: defaults follow the
data, and these may not.
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ..container import inference_data as idatas
from ..data.design import Design
from ..data.rows import Rows
from ..errors import DataWarning
from ..families.gaussian.moments import of_other_rows
from ..families.pointwise import log_likelihood_group
from ..models import layout

if TYPE_CHECKING:
    from ..models.base import Base
    from ..models.model import Model

__all__ = ["add_by_group", "group_elpd", "row_elpd", "without_groups", "without_rows"]

Array = NDArray[np.float64]
Fit = Callable[[Any], Any]


def without_groups(model: Model, places: list[int]) -> Model:
    """The model of the other groups' data, its priors, and where they are, as they are."""
    d = model.design
    kept = np.setdiff1d(np.arange(d.J), places)
    statistics = dataclasses.replace(
        d.statistics,
        **{n: getattr(d.statistics, n)[kept] for n in ("labels", "sizes", "group_means", "within")},
    )
    source = None
    if d.in_memory:
        rows = d.rows("leaving groups out")
        source = _some(rows, np.isin(rows.index, kept))
    return _of(model, dataclasses.replace(d, statistics=statistics, source=source))


def without_rows(model: Model, places: list[int]) -> Model:
    """The model of the other rows, its priors as they are."""
    d = model.design
    rows = d.rows("leaving rows out")
    kept = np.ones(d.N, dtype=bool)
    kept[places] = False
    left = _some(rows, kept)
    labels = d.labels[np.unique(rows.index[kept])]
    return _of(model, of_other_rows(d, left, labels))


def group_elpd(model: Model, place: int, fit: Fit) -> float:
    """Log p(y_j | all other groups), by a fit without group j: log of the mean over its draws.

    NaN where the groups' own residual sds have an improper prior: a new group has none then.
    """
    rest = without_groups(model, [place])
    drawn = layout.draws(rest, idatas.dataset(fit(rest), "posterior"))
    if model.family.by_group:
        own = _from_priors(model, ["sigma"], len(drawn), np.random.default_rng(0))
        if own is None:
            return math.nan
        sigma = np.ones((len(drawn), model.design.J))
        sigma[:, place] = own[:, 0]
        drawn = dataclasses.replace(drawn, aux={"sigma": sigma})
    log_p = log_likelihood_group(model.family, model.design, drawn)
    assert log_p is not None  # noqa: S101 - groups have a distribution with pooling
    return float(special.logsumexp(log_p[:, place]) - math.log(len(log_p)))


def row_elpd(model: Model, place: int, fit: Fit) -> float:
    """Log p(y_i | all other rows), by a fit without row i; NaN where there is no prediction.

    Where the row's group has no other rows, its effect is that of a new group: from the population
    or, without pooling, from its prior, if that is proper.
    """
    d = model.design
    rows = d.rows_from_origin("leaving rows out")
    rest = without_rows(model, [place])
    drawn = layout.draws(rest, idatas.dataset(fit(rest), "posterior"))
    label, z, x = d.labels[rows.index[place]], rows.z[place], rows.x[place]
    (own,) = np.nonzero(rest.design.labels == label)
    n, root = len(drawn), None
    rng = np.random.default_rng(0)  # for what only its prior or its population speaks of
    effect, common, aux = drawn.mu, drawn.beta, dict(drawn.aux)
    if len(own):
        j = int(own[0])
        if model.pooling != "complete":
            assert drawn.theta is not None  # noqa: S101 - asked for
            effect = drawn.theta[:, j]
        common = common[:, j] if common.ndim == 3 else common
        if model.family.by_group:
            aux = {name: x[:, [j]] for name, x in aux.items()}
    else:
        if model.pooling == "none":
            line = _from_priors(model, ["theta", "beta"], n, rng)
            if line is None:
                return math.nan
            effect, common = line[:, : d.K], line[:, d.K :]
        elif model.pooling == "partial":
            assert drawn.tau is not None  # noqa: S101 - partial pooling has it
            root = np.eye(d.K)[None] if drawn.L_Omega is None else drawn.L_Omega
            root = drawn.tau[:, :, None] * root
        if model.family.by_group:
            for name in aux:
                new = _from_priors(model, [name], n, rng)
                if new is None:
                    return math.nan
                aux[name] = new
    assert effect is not None  # noqa: S101 - with pooling there is mu
    eta = (effect @ z + common @ x)[:, None]
    row = _some(rows, np.arange(d.N) == place)
    if root is None:
        log_p = model.family.log_density(row, eta, aux)
    elif model.family.marginal:
        variance = np.sum(np.einsum("k,dkm->dm", z, root) ** 2, axis=1)
        log_p = model.family.log_density_about(row, eta, variance[:, None], aux)
    else:
        eta += np.einsum("k,dkm,dm->d", z, root, rng.standard_normal((n, d.K)))[:, None]
        log_p = model.family.log_density(row, eta, aux)
    return float(special.logsumexp(log_p) - math.log(n))


def add_by_group(model: Base, idata: Any) -> None:
    """Add ``log_likelihood_group`` to a fit, where groups have a distribution."""
    for name, group in layout.by_group(model, idatas.dataset(idata, "posterior")).items():
        idatas.add(idata, name, group)


def _some(rows: Rows, kept: NDArray[np.bool_]) -> Rows:
    _, index = np.unique(rows.index[kept], return_inverse=True)
    return Rows(
        y=rows.y[kept],
        index=index.astype(np.int64),
        z=rows.z[kept],
        x=rows.x[kept],
        places=rows.places[kept],
        se=None if rows.se is None else rows.se[kept],
    )


def _of(model: Model, design: Design) -> Model:
    """The same model of other data; priors are given, none is a default any more."""
    other = object.__new__(type(model))
    options = {**model._options, "priors": dict(model.priors)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # the whole model has given them
        other._configure(options, model.columns, design, model.family)
    return other


def _from_priors(
    model: Base, blocks: Sequence[str], draws: int, rng: np.random.Generator
) -> Array | None:
    """A new group's own parameters, of which nothing else is known; None where that is nothing.

    Draws of the elements of these blocks, side by side: shape (draws, elements).
    """
    priors = [p for name in blocks if name in model.priors for p in model.priors.as_list(name)]
    if not all(p.proper for p in priors):
        return None
    return np.column_stack([p.draw(rng, draws) for p in priors])
