"""The covariance of rows that a hierarchical model implies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ..errors import OptionError, listed, suggest
from ..families.gaussian.moments import Moments
from . import analysis_of_variance as anovas
from . import heterogeneity, mixed_models
from .results import Array, Result, about, design_of, shown

MOST_ROWS = 5000
"""Rows of a covariance matrix: 200 MB."""

_FEW = 8


@dataclass(frozen=True, eq=False, repr=False)
class MarginalCovariance(Result):
    """The covariance of rows, group effects integrated out.

    Attributes
    ----------
    table : DataFrame
        Covariances in squared units of the response; rows and columns by group label and place of
        the row (in the frame, where the rows are in memory; else counted from 0 in each group).
    correlation : DataFrame
        The same as correlations.
    """

    table: pd.DataFrame
    _about: str = field(default="")

    @property
    def correlation(self) -> pd.DataFrame:
        """Correlations of the rows."""
        sd = np.sqrt(np.diag(self.table.to_numpy()))
        return self.table.div(sd, axis=0).div(sd, axis=1)

    def _lines(self) -> list[str]:
        n = len(self.table)
        cut = f", the first {_FEW} of {n} (.table has all)" if n > _FEW else ""
        first = f"Covariance of rows of {self._about}{cut}"
        return [first, *shown(self.table.iloc[:_FEW, :_FEW])]


def marginal_covariance(model: Any, groups: Any, *, estimates: Any = None) -> MarginalCovariance:
    """Covariance of the rows of some groups, the group effects integrated out.

    ::

        cov(y_a, y_b) = tau^2 + sigma^2 [a = b]    rows of one group      OneWay
                      = tau^2 + sigma_j^2          each group a row       EightSchools
                      = 0                          rows of two groups
        Z_j Sigma Z_j' + sigma^2 I                 rows of one group      VaryingSlopes

    Parameters
    ----------
    model : OneWay, EightSchools or VaryingSlopes
        The data; ``VaryingSlopes`` needs the rows.
    groups : label, or sequence of labels
        The groups, usually one or two.
    estimates : result or mapping, optional
        Where tau, sigma (and Omega) are from: what :func:`mixed_model`, :func:`anova` or
        :func:`meta_analysis` returned, a mapping such as ``{"tau": 4.5, "sigma": 9.2}``, or
        posterior means, ``idata.posterior.mean(("chain", "draw"))``. By default REML, which is for
        one residual sd.

    Returns
    -------
    MarginalCovariance

    Raises
    ------
    OptionError
        A label that is not there, estimates that lack a parameter or have impossible values, draws
        in place of estimates, no estimates where each group has a residual sd of its own, or groups
        of more than 5000 rows together.
    DataError
        Fewer than 2 groups; nothing but sufficient statistics of varying slopes.
    """
    d = design_of(
        model,
        "marginal_covariance",
        {"OneWay": None, "EightSchools": None, "VaryingSlopes": None},
    )
    places = _places(d, groups)
    Sigma, variance = _given(model, d, estimates)
    rows = int(d.sizes[places].sum())
    if rows > MOST_ROWS:
        raise OptionError(
            f"marginal_covariance holds at most {MOST_ROWS} rows, got {rows} in "
            f"{listed(d.labels[places])}; ask for fewer or smaller groups"
        )
    blocks, labels, within = [], [], []
    for j in places:
        z, own = _rows(d, int(j))
        blocks.append(z @ Sigma @ z.T + np.diag(np.broadcast_to(variance[j], len(z))))
        labels += [d.labels.tolist()[j]] * len(z)
        within += own
    out, start = np.zeros((rows, rows)), 0
    for block in blocks:
        end = start + len(block)
        out[start:end, start:end] = block
        start = end
    index: pd.Index[Any] = pd.Index(labels, name=d.group)
    if d.residual != "known":
        index = pd.MultiIndex.from_arrays([labels, within], names=[d.group, "observation"])
    return MarginalCovariance(table=pd.DataFrame(out, index, index), _about=about(d))


def _places(d: Moments, groups: Any) -> list[int]:
    known = {label: j for j, label in enumerate(d.labels.tolist())}
    if isinstance(groups, np.ndarray) and groups.ndim == 0:  # it cannot be iterated over
        groups = groups.item()
    several = hasattr(groups, "__iter__") and not isinstance(groups, str)
    asked = list(groups) if several else [groups]
    if not asked:
        raise OptionError("groups must name one group or more, got none")
    out: list[int] = []
    for label in asked:
        plain = label.item() if isinstance(label, np.generic) else label
        try:
            place = known.get(plain)
        except TypeError:  # a list among the labels has no hash
            place = None
        if place is None:
            raise OptionError(
                f"there is no group {plain!r} in {d.group!r}; there are {listed(d.labels)}"
                f"{_near(plain, known)}"
            )
        if place in out:
            raise OptionError(f"groups must name each group once, got {plain!r} twice")
        out.append(place)
    return out


def _near(label: Any, known: Mapping[Any, int]) -> str:
    """The end of a message: a label of the same text and another type, or near misses."""
    for other in known:
        if str(other) == str(label):
            kinds = ("text", "a number") if isinstance(other, str) else ("a number", "text")
            return f"; did you mean {other!r} ({kinds[0]}, not {kinds[1]})?"
    return suggest(str(label), [name for name in known if isinstance(name, str)])


def _rows(d: Moments, j: int) -> tuple[Array, list[int]]:
    """The varying columns of a group's rows, and the rows' places."""
    if d.residual == "known" or (d.scalar and not d.in_memory):
        n = int(d.sizes[j])
        return np.ones((n, 1)), list(range(n))
    rows = d.rows("marginal_covariance of varying slopes")
    mine = rows.index == j
    return rows.z[mine], rows.places[mine].tolist()


def _given(model: Any, d: Moments, estimates: Any) -> tuple[Array, Array]:
    """Sigma, shape (K, K), and the residual variance of each group, shape (J,)."""
    names = ["tau"] if d.scalar else list(d.coefficients)
    estimates = _by_reml(model, d, len(names)) if estimates is None else _means(estimates)
    tau = _numbers(estimates, "tau", names)
    Omega = _correlations(estimates, names)
    Sigma = tau[:, None] * Omega * tau
    if d.residual == "known":
        return Sigma, anovas.known(d)[1] ** 2
    sigma = _numbers(estimates, "sigma", d.labels.tolist() if d.residual == "group" else ["sigma"])
    return Sigma, np.broadcast_to(sigma**2, (d.J,))


def _by_reml(model: Any, d: Moments, K: int) -> Any:
    if d.residual == "known":
        return heterogeneity.meta_analysis(model, "reml")
    if d.residual == "group":
        more = ", 'Omega': ..." if K > 1 else ""
        raise OptionError(
            "marginal_covariance has REML estimates of one residual sd only, got sigma='group'; "
            f"give estimates={{'tau': ...{more}, 'sigma': {{label: ...}}}}"
        )
    return mixed_models.mixed_model(model)


def _means(estimates: Any) -> Any:
    """Estimates, or posterior means, as they are; a container or draws are refused."""
    # Both lines' containers are mappings, of groups: they are told apart before anything is asked.
    found = estimates
    if hasattr(estimates, "children"):  # DataTree, or a group of one
        found = estimates.dataset
    draws = isinstance(found, xr.Dataset) and (
        not found.data_vars or {"chain", "draw"} & {*found.dims}
    )
    if draws or callable(getattr(estimates, "groups", None)):
        raise OptionError(
            f"estimates must have one value of a parameter, got {type(estimates).__name__}, which "
            "has draws; give posterior means, estimates=idata.posterior.mean(('chain', 'draw'))"
        )
    return found


def _take(estimates: Any, name: str) -> Any:
    if isinstance(estimates, Mapping):
        return estimates.get(name)
    if isinstance(estimates, (mixed_models.MixedModel, anovas.Anova, heterogeneity.MetaAnalysis)):
        return getattr(estimates, name, None)
    raise OptionError(
        "estimates must be what mixed_model, anova or meta_analysis returned, or a mapping such as "
        f"{{'tau': 4.5, 'sigma': 9.2}}, got {type(estimates).__name__}"
    )


def _numbers(estimates: Any, name: str, labels: list[Any]) -> Array:
    """A parameter's values, one for all or one for each label, at least 0."""
    given = _take(estimates, name)
    if given is None:
        raise OptionError(f"estimates must have {name!r}, and have none; add it, or use a mapping")
    if isinstance(given, (Mapping, pd.Series)):
        missing = [label for label in labels if label not in given]
        if missing:
            raise OptionError(f"estimates: {name} has nothing for {listed(missing)}; add it")
        given = [given[label] for label in labels]
    values = _floats(given)
    if values is None or values.shape not in ((len(labels),), (1,)) or not np.all(values >= 0):
        wanted = f"{len(labels)} numbers" if len(labels) > 1 else "a number"
        raise OptionError(f"estimates: {name} must be {wanted}, at least 0, got {_brief(given)}")
    if not np.isfinite(values).all():
        raise OptionError(f"estimates: {name} must be finite, got {_brief(given)}")
    return np.broadcast_to(values, (len(labels),))


def _correlations(estimates: Any, names: list[str]) -> Array:
    K = len(names)
    given = None if K == 1 else _take(estimates, "Omega")
    if given is None:
        if K > 1:
            raise OptionError(
                f"estimates must have 'Omega', correlations of {listed(names)}, and have none; "
                "numpy.eye is for effects that are independent"
            )
        return np.eye(K)
    values = _floats(given)
    if values is not None and values.shape == (K, K):
        # Beside a tau of 0 a correlation is NaN, and of no consequence.
        Omega = np.where(np.isnan(values), 0, values)
        good = np.allclose(np.diag(Omega), 1) and np.allclose(Omega, Omega.T)
        if good and np.linalg.eigvalsh(Omega)[0] >= -1e-8:
            return Omega
    raise OptionError(
        f"estimates: Omega must be a {K} x {K} correlation matrix, got {_brief(given)}"
    )


def _floats(given: Any) -> Array | None:
    """Numbers as an array of one dim or more; None where they are no numbers."""
    try:
        return np.atleast_1d(np.asarray(given, dtype=np.float64))
    except (TypeError, ValueError):
        return None


def _brief(given: Any) -> str:
    """What came, in one line."""
    text = repr(given)
    if len(text) <= 60 and "\n" not in text:
        return text
    shape = getattr(given, "shape", None)
    return type(given).__name__ + ("" if shape is None else f" of shape {shape}")
