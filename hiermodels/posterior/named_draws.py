"""Draws by the names that people ask for them: a variable, one entry, one number for each group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..container import inference_data
from ..diagnostics import convergence
from ..diagnostics import summary as summaries
from ..errors import OptionError, listed, suggest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from ..container.inference_data import Container

__all__ = ["ByGroup", "by_group", "entries", "places"]

# What the dims of a variable by group never are, in the place of the groups.
_OTHER_DIMS = ("coefficient", "coefficient_2", "predictor")


def entries(idata: Container, name: Any) -> dict[str, NDArray[np.float64]]:
    """Draws of shape (chain, draw) by label: of a variable, or of one entry."""
    ds = _posterior(idata)
    if not isinstance(name, str) or name in ds.data_vars or "[" not in name:
        _refuse_unknown(ds, name, idata)
        return summaries.scalars(ds, name)
    variable = name.partition("[")[0]
    _refuse_unknown(ds, variable, idata)
    draws = summaries.scalars(ds, variable)
    if name not in draws:
        # Only the labels are compared: the variable's name would make all of them near misses.
        asked, *known = (entry[len(variable) + 1 : -1] for entry in (name, *draws))
        raise OptionError(
            f"there is no {name!r}; {variable!r} has {listed(draws)}{suggest(asked, known)}"
        )
    return {name: draws[name]}


def _posterior(idata: Container) -> xr.Dataset:
    ds = inference_data.dataset(idata, "posterior")
    convergence.refuse_bare(ds.dims)
    return ds


def _refuse_unknown(ds: xr.Dataset, name: Any, idata: Container) -> None:
    if not isinstance(name, str):
        raise OptionError(f"name must be that of a variable, such as 'theta', got {name!r}")
    if name in ds.data_vars:
        return
    if name == "theta" and inference_data.attributes(idata).get("effects") in ("summary", "none"):
        raise OptionError(
            "there are no draws of 'theta': the fit summed the effects up or left them out; fit "
            "with effects='draws'"
        )
    known = [str(n) for n in ds.data_vars]
    raise OptionError(
        f"there is no variable {name!r} in the posterior; there are {listed(known)}"
        f"{suggest(name, known)}"
    )


@dataclass(frozen=True)
class ByGroup:
    """Draws of one number for each group, shape (chain, draw, J), and the groups' labels."""

    values: NDArray[np.float64]
    index: pd.Index[Any]


def by_group(idata: Container, name: Any, coefficient: Any) -> ByGroup:
    """Draws of one number for each group."""
    import numpy as np
    import pandas as pd

    ds = _posterior(idata)
    _refuse_unknown(ds, name, idata)
    x = ds.variables[name].transpose("chain", "draw", ...)
    dims = [str(dim) for dim in x.dims[2:]]
    if not 1 <= len(dims) <= 2 or dims[0] in _OTHER_DIMS:
        able = [
            str(n)
            for n, v in ds.data_vars.items()
            if set(map(str, v.dims)) - {"chain", "draw", *_OTHER_DIMS}
        ]
        raise OptionError(
            f"name must be a variable with a value for each group ({listed(able) or 'none'} "
            f"here), got {name!r}"
        )
    if name == "theta" and inference_data.attributes(idata).get("pooling") == "complete":
        raise OptionError(
            "under pooling='complete' all groups have one effect, and none is before another; use "
            "a fit with pooling='partial'"
        )
    values = np.asarray(x.to_numpy(), dtype=np.float64)
    if len(dims) == 2:
        values = values[..., _entry(ds, dims[1], name, coefficient)]
    elif coefficient is not None:
        raise OptionError(
            f"coefficient is for variables with several for each group, and {name!r} has one; "
            f"leave it out, got {coefficient!r}"
        )
    return ByGroup(values, pd.Index(ds[dims[0]].to_numpy().tolist(), name=dims[0]))


def _entry(ds: xr.Dataset, dim: str, name: str, coefficient: Any) -> int:
    """Which of a group's values is meant."""
    labels = [str(label) for label in ds[dim].to_numpy()]
    if coefficient is None and len(labels) == 1:
        return 0
    if coefficient not in labels:
        came = "none" if coefficient is None else repr(coefficient)
        raise OptionError(
            f"coefficient must name one of those of {name!r} ({listed(labels)}), got {came}"
            f"{suggest(str(coefficient), labels)}"
        )
    return labels.index(coefficient)


def places(x: ByGroup, groups: Any) -> list[int]:
    """Where two named groups or more stand among all; of all, where none are named."""
    labels = x.index.tolist()
    if len(labels) < 2:
        raise OptionError(f"differences need at least 2 groups, got 1 ({listed(labels)})")
    if groups is None:
        return list(range(len(labels)))
    if isinstance(groups, str) or not hasattr(groups, "__iter__"):
        raise OptionError(f"groups must be a list of labels, got {groups!r}")
    known = {label: j for j, label in enumerate(labels)}
    texts = {str(label): label for label in labels}
    asked = list(groups)
    for at, label in enumerate(asked):
        if label not in known:
            near = suggest(str(label), texts) or f"; it has {listed(labels)}"
            if str(label) in texts:  # a number that is text, or the other way about
                near = f"; did you mean {texts[str(label)]!r}?"
            raise OptionError(f"groups: there is no group {label!r} in {x.index.name!r}{near}")
        if label in asked[:at]:
            raise OptionError(f"groups: {label!r} is named twice; name each group once")
    if len(asked) < 2:
        raise OptionError(f"groups must be two labels or more, got {asked!r}")
    return [known[label] for label in asked]
