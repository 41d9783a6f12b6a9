"""What a container says of the model that made it, and whether that was this one."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import numpy as np

from ..container import inference_data as idatas
from ..data import origins
from ..errors import ContainerError
from ..stan import programs
from ..version import __version__
from . import layout

if TYPE_CHECKING:
    import xarray as xr

    from .base import Base


def attributes(model: Base, seed: int) -> dict[str, Any]:
    """What the attributes of a container say, whatever made its draws."""
    moved, look = model.design.origin, model.family.look(model.design)
    return {
        "model": model.name,
        **model.family.attributes,
        "columns": json.dumps(model.columns),
        **({origins.ATTRIBUTE: moved.as_json()} if moved.moves else {}),
        "pooling": model.pooling,
        "parameterization": model.parameterization,
        "parameterization_reason": model.parameterization_reason,
        "priors": json.dumps(model.priors.as_json()),
        "rows": model.design.N,
        "rows_dropped": model.design.dropped,
        **({} if look is None else {"response_look": look}),
        "seed": seed,
        "hiermodels_version": __version__,
        "inference_library": "hiermodels",
        "inference_library_version": __version__,
        "created_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def of_program(executable: programs.Executable) -> dict[str, Any]:
    """What the attributes say of the program that drew."""
    return {
        "program": executable.program.name,
        "program_sha256": executable.program.digest,
        "cmdstan_version": executable.cmdstan_version,
    }


def refuse_other(model: Base, idata: Any, *, priors: bool = False) -> None:
    """Refuse a container that this very model did not make.

    Parameters
    ----------
    model : Model
    idata : InferenceData or DataTree
    priors : bool
        Whether the priors must be the same, too.

    Raises
    ------
    ContainerError
        There is no posterior, or it is of another model, other data, columns or pooling.
    """
    idatas.dataset(idata, "posterior")
    attrs = idatas.attributes(idata)
    same = {
        "model": model.name,
        "pooling": model.pooling,
        **dict.fromkeys(("family", "family_options")),
        **model.family.attributes,
    }
    columns = {"intercept_at": "zero", **json.loads(str(attrs.get("columns", "{}")))}
    mine = {"intercept_at": "zero", **json.loads(json.dumps(model.columns))}
    if not model.design.origin.moves and origins.ATTRIBUTE not in attrs:
        columns["intercept_at"] = mine["intercept_at"]  # one place by two names
    data_alike = all(
        idatas.has(idata, name)
        and _alike(part, idatas.dataset(idata, name), exactly=model.design.in_memory)
        for name, part in layout.data(model).items()
        if part.data_vars
    )
    if (
        not data_alike
        or columns != mine
        or any(attrs.get(name) != value for name, value in same.items())
    ):
        raise ContainerError(
            f"the container must be a fit of this model ({model!r}), got one of "
            f"{attrs.get('model')} with {attrs.get('pooling')} pooling or other data; use the "
            "model that fitted it"
        )
    own = json.dumps(model.priors.as_json())
    if priors and attrs.get("priors") != own:
        raise ContainerError(
            f"the container must be a fit under the model's priors, got other ones; the model has "
            f"{own}, the fit {attrs.get('priors')}; use model.replace(priors=...)"
        )


def _alike(here: xr.Dataset, there: xr.Dataset, *, exactly: bool) -> bool:
    """Whether two groups hold the same data; sums of an engine differ in their last digits."""
    if exactly:
        return here.identical(there)
    if set(here.variables) != set(there.variables) or dict(here.sizes) != dict(there.sizes):
        return False
    for name, variable in here.variables.items():
        mine, yours = variable.to_numpy(), there.variables[name].to_numpy()
        if mine.dtype.kind == "f":
            if not np.allclose(mine, yours, rtol=1e-9, atol=1e-9 * float(np.std(mine))):
                return False
        elif not np.array_equal(mine, yours):
            return False
    return True
