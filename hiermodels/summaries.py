"""The table of a posterior: one row for each scalar, the same columns on both lines of ArviZ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from . import inference_data, rulers
from .errors import ContainerError, OptionError, listed, suggest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from .inference_data import Container

__all__ = ["summary"]


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
        A group of draws: ``"posterior"``, ``"prior"``, ``"posterior_predictive"``, ...

    Returns
    -------
    DataFrame
        One row for each scalar, named as ``mu``, ``theta[A]``, ``Omega[Intercept, x]`` (one row for
        each pair of a correlation matrix). Columns: ``mean``, ``sd``, ``q5``, ``median``, ``q95``
        (central 90 % interval), ``mcse_mean``, ``mcse_sd``, ``ess_bulk``, ``ess_tail``, ``r_hat``.
        The last five are NaN for a constant, and ``r_hat`` is NaN if there is one chain only.

    Raises
    ------
    ContainerError
        If the group is not there, or holds no draws.
    OptionError
        If a variable is not there.
    """
    import numpy as np
    import pandas as pd

    labels, draws = flat(inference_data.dataset(idata, group), var_names, group)
    values = draws.to_numpy().reshape(-1, len(labels))
    with np.errstate(invalid="ignore"):
        quantiles = np.quantile(values, (0.05, 0.5, 0.95), axis=0)
        columns = {"mean": values.mean(axis=0), "sd": sd(values)}
    columns |= dict(zip(("q5", "median", "q95"), quantiles, strict=True))
    columns |= {"mcse_mean": ruled("mcse", draws, "mean"), "mcse_sd": ruled("mcse", draws, "sd")}
    columns |= {"ess_bulk": ruled("ess", draws, "bulk"), "ess_tail": ruled("ess", draws, "tail")}
    columns |= {"r_hat": ruled("rhat", draws)}
    return pd.DataFrame(columns, index=pd.Index(labels))


def flat(
    ds: xr.Dataset, var_names: str | Sequence[str] | None, group: str
) -> tuple[list[str], xr.DataArray]:
    """Every scalar of a group: their labels, and their draws with dims (chain, draw, row)."""
    import numpy as np
    import xarray as xr

    drawn = [str(name) for name, x in ds.items() if {"chain", "draw"} <= set(x.dims)]
    if not drawn:
        raise ContainerError(
            f"group {group!r} holds no draws (variables with dims 'chain' and 'draw'); "
            "ask for 'posterior'"
        )
    names = [var_names] if isinstance(var_names, str) else list(var_names or drawn)
    for name in names:
        if name not in drawn:
            raise OptionError(
                f"there is no variable {name!r} in group {group!r}; "
                f"there are {listed(drawn)}{suggest(str(name), drawn)}"
            )
    labels: list[str] = []
    columns: list[NDArray[np.float64]] = []
    for name in names:
        x = ds[name].transpose("chain", "draw", ...)
        entries = _entries(x)
        labels += [f"{name}[{', '.join(_labels(x, at))}]" if at else name for at in entries]
        values = np.asarray(x.to_numpy(), dtype=np.float64)
        flat = values.reshape(*values.shape[:2], -1)
        if len(entries) < flat.shape[2]:
            flat = flat[:, :, [int(np.ravel_multi_index(at, values.shape[2:])) for at in entries]]
        columns.append(flat)
    return labels, xr.DataArray(np.concatenate(columns, axis=2), dims=("chain", "draw", "row"))


def _entries(x: xr.DataArray) -> list[tuple[int, ...]]:
    """Positions that carry information: of a correlation matrix, each pair once."""
    import numpy as np

    dims, shape = x.dims[2:], x.shape[2:]
    positions = [tuple(map(int, at)) for at in np.ndindex(*shape)]
    if x.name == "Omega" and len(dims) == 2 and dims[1] == f"{dims[0]}_2":
        return [(i, j) for i, j in positions if i < j]
    return positions


def _labels(x: xr.DataArray, at: tuple[int, ...]) -> list[str]:
    return [str(x[dim].to_numpy()[i]) for dim, i in zip(x.dims[2:], at, strict=True)]


def sd(values: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    if len(values) < 2:
        return np.full(values.shape[1], np.nan)
    spread: NDArray[np.float64] = values.std(axis=0, ddof=1)
    return spread


def ruled(ruler: str, draws: xr.DataArray, method: str | None = None) -> NDArray[np.float64]:
    """One of ArviZ's numbers for every row."""
    ds = draws.to_dataset(name="row_draws")
    measured = getattr(rulers, ruler)(ds, *([] if method is None else [method]))
    values: NDArray[np.float64] = measured["row_draws"].to_numpy()
    return values
