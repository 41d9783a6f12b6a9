"""The table of a posterior: one row for each scalar, the same columns on both lines of ArviZ."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING

from ..container import inference_data
from ..errors import ContainerError, OptionError, listed, shown, suggest
from . import convergence

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from ..container.inference_data import Container

__all__ = ["summary", "table"]


COLUMNS: tuple[str, ...] = ("mean", "sd", "q5", "median", "q95", "mcse_mean", "mcse_sd")
COLUMNS += ("ess_bulk", "ess_tail", "r_hat")
# Entries of a variable that is worth measuring by itself.
_SMALL = 100


def summary(
    idata: Container,
    var_names: str | Sequence[str] | None = None,
    *,
    group: str = "posterior",
) -> pd.DataFrame:
    """Posterior summaries and their Monte Carlo errors; the same columns with every ArviZ.

    Parameters
    ----------
    idata : InferenceData or DataTree
    var_names : str or list of str, optional
        Variables to show, in this order. By default all of the group's.
    group : str
        A group of draws: ``"posterior"``, ``"prior"``, ``"posterior_predictive"``, ...; or
        ``"effects_summary"``, for the effects that were summed up instead of drawn.

    Returns
    -------
    DataFrame
        One row for each scalar, named as ``mu``, ``theta[A]``, ``Omega[Intercept, x]`` (one row for
        each pair of a correlation matrix). Columns: ``mean``, ``sd``, ``q5``, ``median``, ``q95``
        (central 90 % interval), ``mcse_mean``, ``mcse_sd``, ``ess_bulk``, ``ess_tail``, ``r_hat``.
        The last five are NaN for a constant, and ``r_hat`` is NaN if there is one chain only.
        Effects that were summed up instead of drawn (``fit(effects="summary")``) come last; they
        have no Monte Carlo columns of their own.

    Raises
    ------
    ContainerError
        If the group is not there, or holds no draws.
    OptionError
        If a variable is not there.
    """
    import pandas as pd

    ds = inference_data.dataset(idata, group)
    names = [var_names] if isinstance(var_names, str) else var_names
    if group == "effects_summary":
        if names is not None and list(names) != ["theta"]:
            raise OptionError(f"group {group!r} has the variable 'theta' only, got {names!r}")
        return _summed_effects(ds)
    summed = None
    if group == "posterior" and "theta" not in ds:
        if inference_data.has(idata, "effects_summary"):
            summed = _summed_effects(inference_data.dataset(idata, "effects_summary"))
        elif names is not None and "theta" in names and left_out(idata):
            raise OptionError(
                "there is no variable 'theta' in group 'posterior': the fit left the effects out "
                "(effects='none'); fit with effects='draws' or 'summary'"
            )
    parts = []
    if summed is not None and names is not None:
        if "theta" in names:
            names = [name for name in names if name != "theta"]
        else:
            summed = None
    if summed is None or names is None or names:
        labels, columns = table(ds, names, group, COLUMNS)
        parts.append(pd.DataFrame({n: columns[n] for n in COLUMNS}, index=pd.Index(labels)))
    if summed is not None:
        parts.append(summed)
    return parts[0] if len(parts) == 1 else pd.concat(parts)


def left_out(idata: Container) -> bool:
    """Whether a fit was told to keep nothing of the effects."""
    return bool(inference_data.attributes(idata).get("effects") == "none")


def _summed_effects(ds: xr.Dataset) -> pd.DataFrame:
    """The rows of effects that were summed up."""
    import numpy as np
    import pandas as pd

    x = ds.variables["theta"].transpose("statistic", ...)
    values = np.asarray(x.to_numpy(), dtype=np.float64).reshape(x.shape[0], -1)
    statistics = dict(zip(map(str, ds["statistic"].to_numpy()), values, strict=True))
    places = product(*([str(label) for label in ds[dim].to_numpy()] for dim in x.dims[1:]))
    nothing = np.full(values.shape[1], np.nan)
    return pd.DataFrame(
        {name: statistics.get(name, nothing) for name in COLUMNS},
        index=pd.Index([f"theta[{', '.join(at)}]" for at in places]),
    )


def table(
    ds: xr.Dataset, var_names: str | Sequence[str] | None, group: str, columns: Sequence[str]
) -> tuple[list[str], dict[str, NDArray[np.float64]]]:
    """Every scalar of a group: their labels, and the columns of :func:`rulers.table`.

    Large variables are measured where they lie, without a copy of them; small ones together, as
    NumPy's calls cost as much for one entry as for thirty.
    """
    import numpy as np

    labels: list[str] = []
    waiting: list[NDArray[np.float64]] = []
    measured: list[dict[str, NDArray[np.float64]]] = []

    def measure() -> None:
        if waiting:
            together = waiting[0] if len(waiting) == 1 else np.concatenate(waiting, axis=2)
            measured.append(convergence.table(together, columns))
            waiting.clear()

    for name in _chosen(ds, var_names, group):
        # The bare variable: its coordinates are read once, for the labels.
        x = ds.variables[name].transpose("chain", "draw", ...)
        values = _numbers(name, x)
        names = [f"{name}[{', '.join(at)}]" if at else name for at in _labels(ds, x)]
        if (kept := _informative(name, x)) is not None:
            names, values = [names[i] for i in kept], values[:, :, kept]
        labels += names
        if values.shape[2] > _SMALL:
            measure()
        waiting.append(values)
        if sum(x.shape[2] for x in waiting) > _SMALL:
            measure()
    measure()
    return labels, {name: np.concatenate([m[name] for m in measured]) for name in measured[0]}


def scalars(ds: xr.Dataset, name: str) -> dict[str, NDArray[np.float64]]:
    """Draws of each scalar of a variable by its label, shape (chain, draw)."""
    x = ds.variables[name].transpose("chain", "draw", ...)
    values = _numbers(name, x)
    labels = [f"{name}[{', '.join(at)}]" if at else name for at in _labels(ds, x)]
    kept = _informative(name, x)
    return {labels[i]: values[:, :, i] for i in (range(len(labels)) if kept is None else kept)}


def _numbers(name: str, x: xr.Variable) -> NDArray[np.float64]:
    """A variable's draws, shape (chain, draw, entries); other dims are refused."""
    import numpy as np

    if x.dtype.kind not in "biuf":
        raise ContainerError(
            f"variable {name!r} must be of numbers, got {x.dtype}; name other variables"
        )
    if 0 in x.shape[:2]:
        raise ContainerError(
            f"variable {name!r} must have a draw or more, got {x.shape[0]} chains of "
            f"{x.shape[1]} draws; fit the model again"
        )
    return np.asarray(x.to_numpy(), dtype=np.float64).reshape(*x.shape[:2], math.prod(x.shape[2:]))


def _chosen(ds: xr.Dataset, var_names: str | Sequence[str] | None, group: str) -> list[str]:
    """The variables that were asked for, or all that have draws."""
    drawn = [
        str(name) for name in ds.data_vars if {"chain", "draw"} <= set(ds.variables[name].dims)
    ]
    if not drawn:
        raise ContainerError(
            f"group {group!r} holds no draws (variables with dims 'chain' and 'draw'); "
            "ask for 'posterior'"
        )
    if var_names is None:
        return drawn
    if not isinstance(var_names, Iterable):
        raise OptionError(f"name variables as text or a list of it, got {shown(var_names)}")
    names = [var_names] if isinstance(var_names, str) else list(var_names)
    for name in names:
        if name not in drawn:
            raise OptionError(
                f"there is no variable {name!r} in group {group!r}; "
                f"there are {listed(drawn)}{suggest(str(name), drawn)}"
            )
    if not names:
        raise OptionError(f"name one variable or more of {listed(drawn)}, or none for all; got []")
    return names


def _informative(name: str, x: xr.Variable) -> list[int] | None:
    """Of a correlation matrix, the places of each pair once; None where every entry tells."""
    dims, shape = x.dims[2:], x.shape[2:]
    if name == "Omega" and len(dims) == 2 and dims[1] == f"{dims[0]}_2":
        return [i * shape[1] + j for i in range(shape[0]) for j in range(i + 1, shape[1])]
    return None


def _labels(ds: xr.Dataset, x: xr.Variable) -> Iterator[tuple[str, ...]]:
    """The labels of each entry, in the order of the flat array."""
    return product(*([str(label) for label in ds[dim].to_numpy()] for dim in x.dims[2:]))
