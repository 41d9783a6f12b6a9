"""What a report is about: a fit, or fits under several pooling strategies, and their data."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..container import inference_data as idatas
from ..diagnostics import check as diagnostics
from ..errors import ContainerError, OptionError
from ..models import provenance

if TYPE_CHECKING:
    import xarray as xr

    from ..comparison.pooling_comparison import PoolingComparison
    from ..container.inference_data import Container
    from ..diagnostics.check import Diagnostics
    from ..models.model import Model
    from ..posterior.group_checks import GroupChecks
    from ..posterior.loo import Loo

__all__ = ["CALLED", "Subject", "of"]

Array = NDArray[np.float64]

CALLED = {"none": "no pooling", "partial": "partial pooling", "complete": "complete pooling"}
_NOT_A_GROUP = ("chain", "draw", "statistic", "coefficient")


@dataclass(frozen=True, eq=False)
class Subject:
    """What a report is about.

    Attributes
    ----------
    fits : dict of str to container
        By pooling strategy; one where there is no comparison.
    lead : str
        The fit that estimates and pictures are of: partial pooling where it is there.
    model : Model or None
        The model of the lead.
    comparison : PoolingComparison or None
    """

    fits: dict[str, Container]
    lead: str
    model: Model | None
    comparison: PoolingComparison | None

    @property
    def idata(self) -> Container:
        """The fit that estimates and pictures are of."""
        return self.fits[self.lead]

    @cached_property
    def posterior(self) -> xr.Dataset:
        """Its draws."""
        return idatas.dataset(self.idata, "posterior")

    @cached_property
    def attrs(self) -> dict[str, Any]:
        """Its attributes."""
        return idatas.attributes(self.idata)

    @cached_property
    def checks(self) -> dict[str, Diagnostics]:
        """What the diagnostics say, fit by fit."""
        return {name: diagnostics.check(idata) for name, idata in self.fits.items()}

    def loo(self, unit: str) -> Loo:
        """Leave-one-out of the lead."""
        if self.comparison is not None and (unit, self.lead) in self.comparison.loo:
            return self.comparison.loo[unit, self.lead]
        from ..posterior.loo import loo

        return loo(self.idata, unit=unit)

    @cached_property
    def misfits(self) -> GroupChecks | None:
        """How the groups' data compare with replicated data, or None."""
        from ..posterior.group_checks import check_groups

        try:
            return check_groups(self.idata)
        except ContainerError:
            return None

    # ---- names ---------------------------------------------------------------------------------

    @cached_property
    def columns(self) -> dict[str, Any]:
        """The arguments that say which column is what; empty where the fit does not say."""
        found: dict[str, Any] = json.loads(str(self.attrs.get("columns", "{}")))
        return found

    @property
    def model_name(self) -> str:
        """Name of the model's class, or ``"posterior"``."""
        return str(self.attrs.get("model", "posterior"))

    @property
    def pooling(self) -> str:
        """Pooling strategy of the lead; nothing where the fit does not say."""
        return str(self.attrs.get("pooling", ""))

    @cached_property
    def response(self) -> str:
        """Name of the response."""
        named = self.columns.get("y") or self.columns.get("effect")
        if named is None and idatas.has(self.idata, "observed_data"):
            named = next(iter(idatas.dataset(self.idata, "observed_data").data_vars))
        return str(named or "y")

    @cached_property
    def group(self) -> str:
        """What a group is called: the group column's name."""
        named = self.columns.get("group")
        if named is None and self.theta is not None:
            named = next((d for d in self.theta.dims if d not in _NOT_A_GROUP), None)
        return str(named or "group")

    @cached_property
    def labels(self) -> list[str]:
        """Labels of the groups; none where the fit has kept nothing of them."""
        for name in ("posterior", "effects_summary", "constant_data", "observed_data"):
            if idatas.has(self.idata, name):
                ds = idatas.dataset(self.idata, name)
                if self.group in ds.dims and self.group in ds.coords:
                    return [str(label) for label in ds[self.group].to_numpy()]
        return []

    @cached_property
    def coefficients(self) -> list[str | None]:
        """Names of a group's coefficients; None where theta is one number for each group."""
        if "coefficient" in self.posterior.coords:
            return [str(name) for name in self.posterior["coefficient"].to_numpy()]
        return [None]

    # ---- data ----------------------------------------------------------------------------------

    @cached_property
    def y(self) -> Array | None:
        """The response, row by row; None where the fit holds no rows."""
        if not idatas.has(self.idata, "observed_data"):
            return None
        observed = idatas.dataset(self.idata, "observed_data")
        if self.response not in observed:
            return None
        return np.asarray(observed[self.response].to_numpy(), dtype=np.float64).ravel()

    @cached_property
    def sizes(self) -> NDArray[np.int64] | None:
        """Rows of each group; None where each is one estimate, or nothing is known of them."""
        if not idatas.has(self.idata, "constant_data"):
            return None
        constant = idatas.dataset(self.idata, "constant_data")
        if "group_size" not in constant:
            return None
        return np.asarray(constant["group_size"].to_numpy(), dtype=np.int64)

    @cached_property
    def se(self) -> Array | None:
        """Known standard errors, where there are."""
        name = self.columns.get("se")
        if name is None or not idatas.has(self.idata, "constant_data"):
            return None
        constant = idatas.dataset(self.idata, "constant_data")
        return np.asarray(constant[name].to_numpy()) if name in constant else None

    # ---- effects -------------------------------------------------------------------------------

    @cached_property
    def theta(self) -> xr.DataArray | None:
        """The effects: draws, or what they were summed up to; None where neither was kept."""
        if "theta" in self.posterior:
            return self.posterior["theta"]
        if idatas.has(self.idata, "effects_summary"):
            return idatas.dataset(self.idata, "effects_summary")["theta"]
        return None

    def means(self, coefficient: str | None) -> Array | None:
        """Posterior means of the groups' effects, shape (J,)."""
        if self.theta is None:
            return None
        theta = self.theta
        if coefficient is not None:
            theta = theta.sel(coefficient=coefficient)
        if "statistic" in theta.dims:
            theta = theta.sel(statistic="mean")
        else:
            theta = theta.mean(("chain", "draw"))
        return np.asarray(theta.to_numpy(), dtype=np.float64).ravel()

    @cached_property
    def raw(self) -> tuple[Array, Array] | None:
        """The groups' own estimates and their standard errors, shape (J, K); needs the model."""
        if self.model is None:
            return None

        return self.model.family.own_estimates(self.model.design)


def of(what: Any, model: Model | None) -> Subject:
    """What ``report`` was given.

    Raises
    ------
    OptionError
        It is neither a comparison nor a fit; or a model for a comparison, which has its own.
    ContainerError
        The container has no posterior, or is of another model.
    """
    from ..models.model import Model

    if model is not None and not isinstance(model, Model):
        raise OptionError(
            f"model must be the model that was fitted, got {type(model).__name__}; leave it out, "
            "or give an EightSchools, OneWay or VaryingSlopes"
        )
    if hasattr(what, "children") or callable(getattr(what, "groups", None)):
        if model is not None:
            provenance.refuse_other(model, what)
        idatas.dataset(what, "posterior")
        name = str(idatas.attributes(what).get("pooling", "posterior"))
        return Subject({name: what}, name, model, None)

    from ..comparison.pooling_comparison import PoolingComparison

    if isinstance(what, PoolingComparison):
        if model is not None:
            raise OptionError("a comparison has its model: leave out model=")
        return Subject(dict(what.fits), "partial", what.model, what)
    hint = "fit it first: hm.report(model.fit(), path, model=model)"
    if not isinstance(what, Model):
        hint = "give what hm.compare_pooling(model) or model.fit() returned"
    raise OptionError(
        f"report takes a comparison of pooling strategies or a fit, got {type(what).__name__}; "
        f"{hint}"
    )
