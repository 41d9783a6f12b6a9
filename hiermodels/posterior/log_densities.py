"""The log densities that a container holds of its draws: priors by block, likelihoods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..container import inference_data
from ..errors import ContainerError, listed, refuse_without_marginal

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr
    from numpy.typing import NDArray

    from ..container.inference_data import Container

    Array = NDArray[np.float64]

__all__ = ["likelihood", "priors_by_block"]


def priors_by_block(idata: Container, posterior: xr.Dataset) -> dict[str, Array]:
    """Log prior of each block, shape (S,)."""
    if not inference_data.has(idata, "log_prior"):
        raise ContainerError(
            "sensitivity needs the group 'log_prior' (log densities of the priors, by block), and "
            f"the container has {listed(inference_data.groups(idata))}; model.fit() makes it"
        )
    ds = inference_data.dataset(idata, "log_prior")
    return {str(name): _total(ds, str(name), posterior, "log_prior") for name in ds.data_vars}


def likelihood(idata: Container, posterior: xr.Dataset, asked: str) -> tuple[str, Array]:
    """Which likelihood there is, "row" or "group", and its logarithm, shape (S,)."""
    groups = {"row": "log_likelihood", "group": "log_likelihood_group"}
    kinds = ["row", "group"] if asked == "auto" else [asked]
    for kind in kinds:
        if inference_data.has(idata, groups[kind]):
            ds = inference_data.dataset(idata, groups[kind])
            totals = [_total(ds, str(name), posterior, groups[kind]) for name in ds.data_vars]
            return kind, sum(totals[1:], totals[0])
    if kinds == ["group"] and inference_data.attributes(idata).get("pooling") == "partial":
        family = inference_data.attributes(idata).get("family")
        refuse_without_marginal(family, "likelihood='group'", "use likelihood='row'")
    wanted = " or ".join(repr(groups[kind]) for kind in kinds)
    step = "model.add_pointwise(idata) adds it"
    if kinds == ["group"] and inference_data.attributes(idata).get("pooling") == "none":
        step = "without pooling there is none: use likelihood='row'"
    raise ContainerError(
        f"sensitivity needs the group {wanted}, and the container has "
        f"{listed(inference_data.groups(idata), 12)}; {step}"
    )


def _total(ds: xr.Dataset, name: str, posterior: xr.Dataset, group: str) -> Array:
    """The sum of a variable over all but the draws, shape (S,)."""
    import numpy as np

    x = ds.variables[name].transpose("chain", "draw", ...)
    shape = (posterior.sizes["chain"], posterior.sizes["draw"])
    if x.shape[:2] != shape:
        raise ContainerError(
            f"{group} must have the posterior's {shape[0]} chains of {shape[1]} draws, got "
            f"{x.shape[0]} of {x.shape[1]}; take the same draws of all groups"
        )
    values = x.to_numpy()
    total = np.asarray(values.sum(axis=tuple(range(2, values.ndim))), dtype=np.float64).reshape(-1)
    if not np.isfinite(total).all():
        raise ContainerError(
            f"{name!r} in group {group!r} must be finite, got {int((~np.isfinite(total)).sum())} "
            f"draws of {total.size} that are not; hm.check(idata) says more"
        )
    return total
