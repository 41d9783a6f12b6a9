"""What calibration ranks: every parameter, and functions of parameters and data together.

Ranks of parameters alone cannot tell a posterior from the prior: draws that ignore the data have
uniform ranks as well. Quantities that depend on the data can, above all the log likelihood
(Modrák, Moon, Kim, Bürkner, Huurre, Faltejsková, Gelman and Vehtari 2023, Simulation-based
calibration checking for Bayesian computation: the choice of test quantities shapes sensitivity,
Bayesian Analysis).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import OptionError, listed, suggest
from ..families.draws import Draws
from ..families.pointwise import log_likelihood
from ..priors.distributions import LKJ

__all__ = ["Quantities", "check", "choose", "values"]

Array = NDArray[np.float64]
Function = Callable[[Mapping[str, Array], Array], Any]

LOG_LIKELIHOOD, LOG_JOINT = "log_likelihood", "log_joint"
ANY = "any group"
_MOST_GROUPS = 8


@dataclass(frozen=True)
class Quantities:
    """The quantities that are ranked.

    Attributes
    ----------
    entries : tuple of (str, str, tuple of int or None)
        Name of the quantity, the parameter that it is an entry of, and its place; a place that
        begins with None is that of a group drawn at random in each simulation.
    functions : mapping of str to function
        Further ones: ``function(values, y)`` of the parameters by name, draws along the first axis,
        and the response, shape (N,), gives one number for each draw.
    logs : tuple of str
        Those of ``"log_likelihood"`` and ``"log_joint"`` that are ranked.
    """

    entries: tuple[tuple[str, str, tuple[int | None, ...]], ...]
    functions: Mapping[str, Function] = field(default_factory=dict)
    logs: tuple[str, ...] = (LOG_LIKELIHOOD, LOG_JOINT)

    @property
    def names(self) -> tuple[str, ...]:
        """Names in the order of the values."""
        return (*(name for name, _, _ in self.entries), *self.logs, *self.functions)


def choose(model: Any, asked: Sequence[str] | Mapping[str, Function] | str | None) -> Quantities:
    """The quantities of a model that are ranked.

    Parameters
    ----------
    model : Model
    asked : None, str, sequence of str, or mapping of str to function
        By default every entry of what there is one of in all; of what each group has one of, the
        entries of up to 8 groups, from the smallest to the largest; the same of a group drawn at
        random in each simulation, which stands for all of them; and the log likelihood and the log
        joint density. Names choose: of a parameter (all its entries) or of a quantity. A mapping
        adds functions to the default.

    Raises
    ------
    OptionError
        An unknown quantity, or an object that is not a function.
    """
    default = _entries(model, every=False)
    if asked is None:
        return Quantities(default)
    if isinstance(asked, Mapping):
        taken = {*(name for name, _, _ in _entries(model, every=True)), LOG_LIKELIHOOD, LOG_JOINT}
        for name, function in asked.items():
            if not callable(function) or not isinstance(name, str) or name in taken:
                raise OptionError(
                    "quantities must map new names to functions(values, y) that give one number a "
                    f"draw, got {name!r}: {function!r}"
                    + ("; that name is taken" if name in taken else "")
                )
        return Quantities(default, dict(asked))
    names = [asked] if isinstance(asked, str) else asked
    if not isinstance(names, Sequence) or not names or not all(isinstance(n, str) for n in names):
        raise OptionError(
            "quantities must be names such as ['tau', 'theta', 'log_likelihood'], or a dict of "
            f"functions, got {asked!r}"
        )
    every = _entries(model, every=True)
    known = dict.fromkeys([stem for _, stem, _ in every] + [name for name, _, _ in every])
    for name in names:
        if name not in known and name not in (LOG_LIKELIHOOD, LOG_JOINT):
            raise OptionError(
                f"quantities: this model has no {name!r}; it has "
                f"{listed(dict.fromkeys(stem for _, stem, _ in every), 20)}, {LOG_LIKELIHOOD}, "
                f"{LOG_JOINT}{suggest(name, [*known, LOG_LIKELIHOOD, LOG_JOINT])}"
            )
    chosen = tuple(entry for entry in every if entry[0] in names or entry[1] in names)
    return Quantities(chosen, {}, tuple(n for n in (LOG_LIKELIHOOD, LOG_JOINT) if n in names))


def _entries(model: Any, *, every: bool) -> tuple[tuple[str, str, tuple[int | None, ...]], ...]:
    """Name, parameter and place of each scalar of the parameters."""
    d = model.design
    groups: list[int | None] = list(range(d.J))
    if not every and d.J > _MOST_GROUPS:
        by_size = np.argsort(_information(d), kind="stable")
        some = by_size[np.round(np.linspace(0, d.J - 1, _MOST_GROUPS)).astype(int)]
        groups = sorted(some.tolist())
    groups.append(None)
    labels = {j: ANY if j is None else str(d.labels[j]) for j in groups}
    names = {"coefficient": () if d.scalar else d.coefficients, "predictor": d.predictors}
    out: list[tuple[str, str, tuple[int | None, ...]]] = []
    for stem, dims in model.dims.items():
        if stem == "Omega":
            pairs = [(i, k) for i in range(d.K) for k in range(i + 1, d.K)]
            out += [
                (f"Omega[{d.coefficients[i]}, {d.coefficients[k]}]", stem, (i, k)) for i, k in pairs
            ]
            continue
        if stem == "theta" and model.pooling == "complete":
            continue  # mu, once for each group
        axes: list[list[tuple[str, int | None]]] = []
        for dim in dims:
            if dim == d.group:
                axes.append([(labels[j], j) for j in groups])
            else:
                axes.append([(str(name), k) for k, name in enumerate(names[dim])])
        for at in product(*axes):
            label = ", ".join(name for name, _ in at)
            out.append((f"{stem}[{label}]" if at else stem, stem, tuple(k for _, k in at)))
    return tuple(out)


def _information(design: Any) -> Array:
    """What orders groups from those that the data say little of: sizes, or known precisions."""
    rows = design.rows("the groups' sizes")
    return np.asarray(design.sizes, dtype=np.float64) if rows.se is None else 1 / rows.se**2


def values(model: Any, chosen: Quantities, draws: Draws, group: int) -> Array:
    """The quantities at D draws, shape (D, quantities).

    Parameters
    ----------
    model : Model
        Of the data that the log likelihood is of.
    chosen : Quantities
    draws : Draws
        Of length D.
    group : int
        The group that stands for any.

    Raises
    ------
    OptionError
        A function fails, or gives something else than one number for each draw.
    """
    named = by_name(model, draws)
    columns = []
    for _, stem, place in chosen.entries:
        at = tuple(group if k is None else k for k in place)
        columns.append(np.moveaxis(named[stem], 0, -1)[at])
    if chosen.logs:
        likelihood = log_likelihood(model.family, model.design, draws).sum(axis=1)
        logs = {LOG_LIKELIHOOD: likelihood}
        if LOG_JOINT in chosen.logs:
            logs[LOG_JOINT] = likelihood + log_density(model, draws)
        columns += [logs[name] for name in chosen.logs]
    if chosen.functions:
        y = model.design.rows("the quantities").y
        for name, function in chosen.functions.items():
            try:
                found = np.asarray(function(named, y), dtype=np.float64)
            except Exception as error:
                said = " ".join(str(error).split())
                near = suggest(said.strip("'"), named) if isinstance(error, KeyError) else ""
                raise OptionError(
                    f"quantities: {name!r} must work on the values of {listed(named)} (draws along "
                    f"the first axis) and on y, got {type(error).__name__}: {said}{near}"
                ) from error
            if found.shape != (len(draws),):
                raise OptionError(
                    f"quantities: {name!r} must give one number for each of the {len(draws)} "
                    f"draws, got shape {found.shape}; draws lie along the first axis"
                )
            columns.append(found)
    return np.column_stack(columns)


def check(model: Any, chosen: Quantities, drawn: Draws) -> None:
    """Try the functions before anything runs.

    Parameters
    ----------
    model : Model
        Of data.
    chosen : Quantities
    drawn : Draws
        What the data came from, of length 1.

    Raises
    ------
    OptionError
        A function fails, or gives anything else than one finite number for each draw.
    """
    only = Quantities((), chosen.functions, ())
    for times in (1, 3):  # of three draws, as one that is not told from an axis may seem right
        several = drawn.map(partial(np.repeat, repeats=times, axis=0))
        found = values(model, only, several, 0)
        if not np.isfinite(found).all():
            names = np.array(only.names)[~np.isfinite(found).all(axis=0)]
            raise OptionError(
                f"quantities: {listed(names.tolist())} must be finite at parameters drawn from "
                "the prior, got another value; a rank is among numbers"
            )


def by_name(model: Any, draws: Draws) -> dict[str, Array]:
    """The parameters as they are in the container, draws along the first axis."""
    from ..models import layout as groups

    d, out = model.design, {}
    draws = groups.at_zero(model, draws)
    for name, x in draws.named().items():
        if name == "L_Omega" or name not in model.dims:
            continue
        one = d.scalar if name in ("mu", "tau", "theta") else name in draws.aux and x.shape[1] == 1
        out[name] = x[..., 0] if one else x
    if draws.L_Omega is not None:
        out["Omega"] = draws.L_Omega @ np.swapaxes(draws.L_Omega, -1, -2)
    return out


def log_density(model: Any, draws: Draws) -> Array:
    """Log prior density of all parameters, group effects among them, shape (D,).

    log p(mu, tau, Omega's Cholesky factor, beta, sigma) + sum over j of log N_K(theta_j | mu,
    Sigma), with Sigma = Lambda Lambda', Lambda = diag(tau) L_Omega; without pooling theta has its
    own prior.
    """
    out = np.zeros(len(draws))
    for name in model.priors:
        priors = model.priors.as_list(name)
        x: Any = draws.L_Omega if name == "Omega" else draws.named()[name]
        if isinstance(priors[0], LKJ):
            out += priors[0].log_density(x)
            continue
        columns = [x] if len(priors) == 1 else [x[..., k] for k in range(len(priors))]
        for prior, column in zip(priors, columns, strict=True):
            out += prior.log_density(column).reshape(len(draws), -1).sum(axis=1)
    if model.pooling == "partial":
        out += _log_population(draws)
    return out


def _log_population(draws: Draws) -> Array:
    mu, tau, theta = draws.mu, draws.tau, draws.theta
    assert mu is not None  # noqa: S101 - partial pooling has all three
    assert tau is not None  # noqa: S101
    assert theta is not None  # noqa: S101
    z = (theta - mu[:, None]) / tau[:, None]
    J, K = z.shape[1:]
    log_size = np.log(tau).sum(axis=1)
    if draws.L_Omega is not None:
        # Standardized by forward substitution: e = L^-1 z.
        L = draws.L_Omega
        e = np.empty_like(z)
        for k in range(K):
            known = np.einsum("djm,dm->dj", e[:, :, :k], L[:, k, :k])
            e[:, :, k] = (z[:, :, k] - known) / L[:, k, k, None]
        z = e
        log_size = log_size + np.log(np.diagonal(L, axis1=-2, axis2=-1)).sum(axis=1)
    squares = np.sum(z**2, axis=(1, 2))
    return np.asarray(-0.5 * (squares + J * K * math.log(2 * math.pi)) - J * log_size)
