"""Scalars of a group of draws by their names: ``mu``, ``tau[x]``, ``log_tau``, ``theta[A]``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..container import inference_data
from ..diagnostics import summary as summaries
from ..errors import ContainerError, OptionError, listed, suggest

if TYPE_CHECKING:
    import xarray as xr

    from ..container.inference_data import Container

Array = NDArray[np.float64]

HYPERPARAMETERS = ("mu", "tau", "sigma")
LOG = "log_"


def select(
    idata: Container,
    names: str | Sequence[str] | None,
    *,
    group: str = "posterior",
    default: Sequence[str] = HYPERPARAMETERS,
) -> dict[str, Array]:
    """Draws of scalars by label, each of shape (chain, draw).

    Parameters
    ----------
    idata : InferenceData or DataTree
    names : str or sequence of str, optional
        Variables (all of their scalars), single scalars as in ``"theta[A]"``, and logarithms as in
        ``"log_tau"``. By default those of ``default`` that are there.
    group : str
        The group of draws.
    default : sequence of str

    Raises
    ------
    ContainerError
        The container has no such group, or no default variable.
    OptionError
        There is no such variable or scalar.
    """
    ds = inference_data.dataset(idata, group)
    if names is None:
        asked = [name for name in default if _variable(ds, name) is not None]
        if not asked:
            raise ContainerError(
                f"group {group!r} has none of {listed(default)}, but "
                f"{listed(map(str, ds.data_vars))}; say which by var_names="
            )
    else:
        asked = [names] if isinstance(names, str) else list(names)
        if not asked:
            raise OptionError("var_names must name a variable or more, got none; leave it out")
    found: dict[str, Array] = {}
    for name in asked:
        found |= _of(ds, name, group, idata)
    return found


def base(label: str) -> str:
    """The variable of a label, without logarithm and place: ``tau`` of ``log_tau[x]``."""
    return label.partition("[")[0].removeprefix(LOG)


def bounded_as(label: str) -> str:
    """The variable whose bounds a scalar has; none has those of a logarithm."""
    return "" if label.startswith(LOG) else base(label)


def _variable(ds: xr.Dataset, name: str) -> str | None:
    """The variable that a name belongs to, or None."""
    stem = name.partition("[")[0]
    for candidate in (stem, stem.removeprefix(LOG)):
        if candidate in ds.data_vars and {"chain", "draw"} <= set(ds[candidate].dims):
            return candidate
    return None


def _of(ds: xr.Dataset, name: str, group: str, idata: Container) -> dict[str, Array]:
    variable = _variable(ds, name)
    if variable is None:
        stem = name.partition("[")[0]
        if stem == "theta" and inference_data.has(idata, "effects_summary"):
            raise ContainerError(
                f"{name!r} needs draws of the effects, which the fit summed up "
                "(effects='summary'); fit with effects='draws'"
            )
        known = [str(v) for v in ds.data_vars if {"chain", "draw"} <= set(ds[v].dims)]
        logs = [f"{LOG}{v}" for v in known if v in ("tau", "sigma")]
        raise OptionError(
            f"there is no variable {stem!r} in group {group!r}; there are {listed(known)}"
            f"{suggest(stem, [*known, *logs])}"
        )
    logged = not name.startswith(variable)
    scalars = summaries.scalars(ds, variable)
    if "[" in name:
        label = f"{variable}[{name.partition('[')[2]}"
        if label not in scalars:
            raise OptionError(
                f"there is no scalar {name!r}; {variable} has {listed(scalars)}"
                f"{suggest(label, scalars)}"
            )
        scalars = {label: scalars[label]}
    if not logged:
        return scalars
    return {f"{LOG}{label}": _log(values, label) for label, values in scalars.items()}


def _log(values: Array, label: str) -> Array:
    if not (values > 0).all():
        raise OptionError(
            f"{LOG}{label} needs draws above 0, got {values.min():.3g}; ask for {label!r}"
        )
    return np.log(values)


def thinned(labels: Sequence[str], most: int) -> list[str]:
    """At most so many of some labels, in their order; variables with few scalars keep them all.

    The places are shared among the variables, the smallest first, and what a large one has to leave
    out it leaves out evenly.
    """
    variables: dict[str, list[str]] = {}
    for label in labels:
        variables.setdefault(label.partition("[")[0], []).append(label)
    kept: set[str] = set()
    left = most
    by_size = sorted(variables.values(), key=len)
    for turn, own in enumerate(by_size):
        share = min(len(own), max(left // (len(by_size) - turn), 1 if left else 0))
        kept |= {own[i] for i in np.round(np.linspace(0, len(own) - 1, share)).astype(int)}
        left -= share
    return [label for label in labels if label in kept]


def divergences(idata: Container) -> NDArray[np.bool_] | None:
    """Which draws diverged, shape (chain, draw); None where the sampler has no record of it."""
    if not inference_data.has(idata, "sample_stats"):
        return None
    stats = inference_data.dataset(idata, "sample_stats")
    if "diverging" not in stats:
        return None
    return np.asarray(stats["diverging"].transpose("chain", "draw").to_numpy(), dtype=bool)


def counted(idata: Container, diverging: NDArray[np.bool_] | None) -> str:
    """What a title says of divergences, or of draws that cannot have any."""
    if diverging is None:
        engine = inference_data.attributes(idata).get("engine", "nuts")
        made = {"exact": "drawn exactly", "gibbs": "by a Gibbs sampler"}
        return made.get(engine, "no record of divergences")
    n = int(diverging.sum())
    return "no divergences" if n == 0 else f"{n} divergence{'' if n == 1 else 's'}"


def unit(label: str, response: str) -> str:
    """What an axis of a scalar says: its label, and its unit where that is the response's."""
    name = base(label)
    place = label.partition("[")[2].rstrip("]")
    plain = name in ("mu", "tau", "sigma", "theta") and not label.startswith(LOG)
    # Coefficients of a predictor are per unit of it; those of groups have no names of columns.
    return f"{label} ({response})" if plain and (not place or place == "Intercept") else label
