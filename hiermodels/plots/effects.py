"""What pictures read of a fit's group effects: estimates, intervals, sizes, names, units."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..container import inference_data
from ..diagnostics import summary as summaries
from ..errors import ContainerError, OptionError, listed, refuse_without_marginal, suggest
from . import rows

if TYPE_CHECKING:
    import xarray as xr

    from ..container.inference_data import Container

Array = NDArray[np.float64]

INTERVAL = "central 90 % posterior interval"
_NOT_A_GROUP = ("chain", "draw", "statistic", "coefficient")


@dataclass(frozen=True, eq=False)
class Effects:
    """One effect of each group: ``theta``, or one coefficient of it.

    Attributes
    ----------
    group : str
        Name of the group dim, which is what a group is called.
    labels : list of str
    coefficient : str or None
        None where theta is one number for each group.
    theta : DataArray
        Dims (chain, draw, group), or (statistic, group) where effects were summed up.
    mean : array, shape (J,)
        Posterior means.
    """

    group: str
    labels: list[str]
    coefficient: str | None
    theta: xr.DataArray
    mean: Array

    def interval(self, places: Any = slice(None)) -> tuple[Array, Array]:
        """5 % and 95 % quantiles of the groups at some places."""
        some = self.theta.isel({self.group: places})
        if "statistic" in some.dims:
            low, high = (_statistic(some, name) for name in ("q5", "q95"))
        else:
            draws = some.transpose("chain", "draw", self.group).to_numpy()
            low, high = np.quantile(draws.reshape(-1, draws.shape[-1]), (0.05, 0.95), axis=0)
        return low, high

    @property
    def name(self) -> str:
        """What the effect is called in a title."""
        return "estimate" if self.coefficient is None else f"coefficient {self.coefficient!r}"


def _statistic(theta: xr.DataArray, name: str) -> Array:
    return np.asarray(theta.sel(statistic=name).to_numpy(), dtype=np.float64)


# ---- fits ---------------------------------------------------------------------------------------


def is_container(given: Any) -> bool:
    """Whether something is an ArviZ container; both lines' are mappings as well."""
    return hasattr(given, "children") or callable(getattr(given, "groups", None))


def fits_of(given: Any, what: str) -> dict[str, Container]:
    """Containers by name: of a dict, of a comparison (its ``fits``), or a single one.

    Raises
    ------
    OptionError
        Something else.
    """
    if is_container(given):
        pooling = inference_data.attributes(given).get("pooling", "partial")
        return {str(pooling): given}
    inner = getattr(given, "fits", given)
    if not isinstance(inner, Mapping) or not inner:
        raise OptionError(
            f"{what} is of a fit, or of fits by name ({{'none': ..., 'partial': ..., "
            f"'complete': ...}}), got {type(given).__name__}; model.fit() makes one"
        )
    for name, fit in inner.items():
        if not is_container(fit):
            raise OptionError(
                f"{what}: the fit {name!r} must be an ArviZ container, got {type(fit).__name__}; "
                "model.fit() makes one"
            )
    return {str(name): fit for name, fit in inner.items()}


def aligned(name: str, labels: Sequence[str], lead: str, first: Sequence[str]) -> NDArray[np.intp]:
    """Where the groups of one fit, the lead, stand in another.

    Raises
    ------
    ContainerError
        They are not the same groups.
    """
    where = {label: j for j, label in enumerate(labels)}
    odd = sorted(set(where) ^ set(first))
    if odd:
        raise ContainerError(
            f"fits in one picture must be of the same groups; {name!r} and {lead!r} differ in "
            f"{listed(odd)}; fit the same data"
        )
    return np.array([where[label] for label in first], dtype=np.intp)


# ---- effects ------------------------------------------------------------------------------------


def theta_of(idata: Container, what: str, *, draws: bool = False) -> xr.DataArray:
    """Draws of the effects, or their summary where the draws were not kept.

    Parameters
    ----------
    idata : InferenceData or DataTree
    what : str
        The picture, for the message.
    draws : bool
        Whether nothing but draws will do.

    Raises
    ------
    ContainerError
        The fit has no effects, or no draws.
    """
    posterior = inference_data.dataset(idata, "posterior")
    if "theta" in posterior:
        return posterior["theta"]
    if inference_data.has(idata, "effects_summary"):
        if not draws:
            return inference_data.dataset(idata, "effects_summary")["theta"]
        raise ContainerError(
            f"{what} needs draws of 'theta', which the fit summed up (effects='summary'); fit with "
            "effects='draws'"
        )
    if summaries.left_out(idata):
        kinds = "effects='draws'" if draws else "effects='draws' or 'summary'"
        raise ContainerError(
            f"{what} needs 'theta', which the fit left out (effects='none'); fit with {kinds}"
        )
    raise ContainerError(
        f"{what} needs 'theta' in the posterior, which has "
        f"{listed(map(str, posterior.data_vars))}; fit with pooling='partial'"
    )


def group_dim(theta: xr.DataArray) -> str:
    """Name of the dim of the groups."""
    found = [str(dim) for dim in theta.dims if dim not in _NOT_A_GROUP]
    if len(found) != 1:
        raise ContainerError(
            "theta must have one dim for the groups, and at most one for the coefficients "
            f"('coefficient'), got {listed(map(str, theta.dims))}; model.fit() makes such a one"
        )
    return found[0]


def read(idata: Container, coefficient: str | None = None, *, what: str) -> Effects:
    """One effect of each group.

    Parameters
    ----------
    idata : InferenceData or DataTree
    coefficient : str, optional
        Which, where groups have several.
    what : str
        The picture, for messages.

    Raises
    ------
    ContainerError
        The container has no effects.
    OptionError
        No such coefficient, or several and none is named.
    """
    theta = theta_of(idata, what)
    group = group_dim(theta)
    name = coefficient_of(theta, coefficient, what)
    if name is not None:
        theta = theta.sel(coefficient=name)
    if "statistic" in theta.dims:
        mean = _statistic(theta, "mean")
    else:
        mean = np.asarray(theta.mean(("chain", "draw")).to_numpy(), dtype=np.float64)
    return Effects(group, [str(x) for x in theta[group].to_numpy()], name, theta, mean)


def coefficient_of(theta: xr.DataArray, asked: str | None, what: str) -> str | None:
    """The coefficient that is asked for, or the only one there is."""
    if "coefficient" not in theta.dims:
        if asked is not None:
            raise OptionError(
                f"coefficient={asked!r}: this fit has one effect a group and no coefficients; "
                "leave it out"
            )
        return None
    names = [str(c) for c in theta["coefficient"].to_numpy()]
    if asked is None:
        if len(names) == 1:
            return names[0]
        raise OptionError(
            f"{what} is of one effect a group, and theta has the coefficients {listed(names)}; say "
            "which by coefficient="
        )
    if asked not in names:
        raise OptionError(
            f"there is no coefficient {asked!r}; there are {listed(names)}"
            f"{suggest(str(asked), names)}"
        )
    return asked


def population_mean(idata: Container, coefficient: str | None) -> float | None:
    """Posterior mean of mu, of one coefficient; None where there is no mu (no pooling)."""
    posterior = inference_data.dataset(idata, "posterior")
    if "mu" not in posterior:
        return None
    mu = posterior["mu"]
    return float((mu if coefficient is None else mu.sel(coefficient=coefficient)).mean())


def mean_of_mu(idata: Container, coefficient: str | None, what: str) -> float:
    """The same, or an error.

    Raises
    ------
    ContainerError
        There is no mu.
    """
    found = population_mean(idata, coefficient)
    if found is None:
        posterior = inference_data.dataset(idata, "posterior")
        raise ContainerError(
            f"{what} needs 'mu' in the posterior, which has "
            f"{listed(map(str, posterior.data_vars))}; fit with pooling='partial'"
        )
    return found


# ---- raw estimates and names --------------------------------------------------------------------


def raw(idata: Container, effects: Effects, var: str | None, what: str) -> Array:
    """Each group's own estimate, NaN where it has none; shape (J,).

    The given one in ``EightSchools``, the mean of the group's rows in ``OneWay``, least squares in
    ``VaryingSlopes``, given the common coefficients (:func:`hiermodels.plots.rows.by_group`).

    Raises
    ------
    ContainerError
        The container holds too little.
    OptionError
        ``var`` is not in ``observed_data``, or is needed.
    """
    family = inference_data.attributes(idata).get("family")
    refuse_without_marginal(family, what, "hm.plots.forest(idata) draws the effects")
    if effects.coefficient is not None:
        found = rows.read(idata, what)
        own = rows.by_group(found, rows.common(idata))
        return np.asarray(own[:, found.coefficients.index(effects.coefficient)])
    y = observed(idata, var)
    values = np.asarray(y.to_numpy(), dtype=np.float64)
    if y.dims == (effects.group,):
        return values
    index, J = rows.group_index(idata, what), len(effects.labels)
    counts = np.bincount(index, minlength=J)
    return np.asarray(np.bincount(index, values, J) / np.where(counts > 0, counts, np.nan))


def observed(idata: Container, var: str | None = None) -> xr.DataArray:
    """The response as it was observed: a variable of ``observed_data``.

    Raises
    ------
    OptionError
        There is no such variable, or there are several and none is named.
    """
    found = inference_data.dataset(idata, "observed_data")
    names = [str(name) for name in found.data_vars]
    if var is None and len(names) != 1:
        raise OptionError(f"observed_data has {listed(names)}; say which by var=")
    name = names[0] if var is None else var
    if name not in names:
        raise OptionError(
            f"there is no variable {name!r} in observed_data; there are {listed(names)}"
            f"{suggest(name, names)}"
        )
    return found[name]


def sizes(idata: Container, group: str) -> Array | None:
    """Rows of each group, shape (J,); None where each group is one estimate."""
    if not inference_data.has(idata, "constant_data"):
        return None
    constant = inference_data.dataset(idata, "constant_data")
    if "group_size" in constant:
        return np.asarray(constant["group_size"].to_numpy(), dtype=np.float64)
    if "group_index" in constant:
        J = inference_data.dataset(idata, "posterior").sizes.get(group, 0)
        return np.bincount(constant["group_index"].to_numpy(), minlength=J).astype(np.float64)
    return None


def response(idata: Container, var: str | None = None) -> str:
    """Name of the response, which is the unit of all effects."""
    if var is not None:
        return var
    columns = json.loads(inference_data.attributes(idata).get("columns", "{}"))
    named = columns.get("y") or columns.get("effect")
    if named is None and inference_data.has(idata, "observed_data"):
        names = list(inference_data.dataset(idata, "observed_data").data_vars)
        named = names[0] if len(names) == 1 else None
    return str(named or "y")


def quantity(idata: Container, coefficient: str | None, var: str | None = None) -> str:
    """What an axis of effects says: the effect and its unit."""
    y = response(idata, var)
    if coefficient is None:
        return y
    if coefficient == rows.INTERCEPT:
        return f"{coefficient} (in units of {y})"
    return f"{coefficient} ({y} per unit of {coefficient})"
