"""Log likelihoods and replicated data: within the budget with the fit, or added to it later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..container import inference_data as idatas
from ..engines.settings import checked_seed
from ..errors import ContainerError
from ..families import draws as sizes
from . import layout
from .provenance import refuse_other

if TYPE_CHECKING:
    import xarray as xr

    from .base import Base


def pointwise_parts(
    model: Base,
    posterior: xr.Dataset,
    seed: int,
    asked: bool | str,
    budget: int | None = None,
) -> tuple[dict[str, xr.Dataset], str]:
    """Log likelihoods and replicated data as asked for, and what the attributes say of them."""
    d = model.design
    draws = posterior.sizes["chain"] * posterior.sizes["draw"]
    budget = sizes.POINTWISE_BUDGET if budget is None else budget
    mib = budget >> 20
    added: dict[str, xr.Dataset] = {}
    said = []
    has_effects = model.pooling == "complete" or "theta" in posterior
    size = sizes.by_group_bytes(d, draws)
    if asked is True or (asked == "auto" and size <= budget):
        added |= layout.by_group(model, posterior)
        if added:
            said.append("log_likelihood_group is included")
        elif model.pooling == "partial":
            said.append(
                f"log_likelihood_group: the effects of the family {model.family} do not integrate "
                "out in closed form"
            )
    else:
        said.append(_left_out("log_likelihood_group", asked, size, mib))
    size = sizes.pointwise_bytes(d, draws)
    if not d.has_rows or not has_effects:
        lack = "the rows" if not d.has_rows else "draws of the effects"
        said.append(f"log_likelihood and posterior_predictive need {lack}")
    elif asked is True or (asked == "auto" and size <= budget):
        added |= layout.pointwise(model, posterior, seed)
        said.append("log_likelihood and posterior_predictive are included")
    else:
        said.append(_left_out("log_likelihood and posterior_predictive", asked, size, mib))
    return added, "; ".join(filter(None, said))


def _left_out(what: str, asked: bool | str, size: int, budget: int) -> str:
    why = "not asked for" if asked is False else f"above the budget of {budget} MiB"
    return (
        f"{what}: left out, {why} ({size / 2**20:.0f} MiB); model.add_pointwise(idata) adds "
        "what is left out"
    )


def add_pointwise(model: Base, idata: Any, given_seed: int | None) -> None:
    """Add the log likelihoods and ``posterior_predictive`` to a container of this very model."""
    refuse_other(model, idata)
    drawn, attrs = idatas.dataset(idata, "posterior"), idatas.attributes(idata)
    used = int(attrs["seed"]) if given_seed is None else checked_seed(given_seed)
    # What groups alone can give is there, also where the rows are not.
    added = {} if idatas.has(idata, "log_likelihood_group") else layout.by_group(model, drawn)
    for name, group in added.items():
        idatas.add(idata, name, group)
    kept = " (log_likelihood_group was added)" if added else ""
    if model.pooling != "complete" and "theta" not in drawn:
        raise ContainerError(
            "the log likelihood by row needs the draws of the effects, and this container has "
            f"none; fit with effects='draws'{kept}"
        )
    model.design.rows("the log likelihood by row")
    for name, group in layout.pointwise(model, drawn, used).items():
        idatas.add(idata, name, group)
