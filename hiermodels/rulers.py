"""R-hat, effective sample sizes, Monte Carlo standard errors and E-BFMI: ArviZ's own.

One promise is added: an entry that cannot be measured (constant, not finite, too few chains) is
NaN, in silence.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from .errors import ContainerError, listed
from .inference_data import arviz

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["bfmi", "ess", "mcse", "rhat"]

_SAMPLE_DIMS = ("chain", "draw")
# Split chains need two draws a half (ArviZ refuses less, through the logging module).
_FEWEST_DRAWS = 4


def rhat(ds: xr.Dataset) -> xr.Dataset:
    """Rank-normalized split R-hat of every entry.

    Parameters
    ----------
    ds : Dataset
        Variables with dims (chain, draw, ...).

    Returns
    -------
    Dataset
        The same variables without chain and draw. NaN for entries that are constant or not finite,
        and everywhere if there is one chain only.

    References
    ----------
    Vehtari, A., Gelman, A., Simpson, D., Carpenter, B. and Bürkner, P.-C. (2021).
    Rank-normalization, folding, and localization: an improved R-hat. Bayesian Analysis 16, 667-718.
    """
    return _measure(lambda x: arviz().rhat(x, method="rank"), ds, fewest_chains=2)


def ess(ds: xr.Dataset, method: Literal["bulk", "tail"] = "bulk") -> xr.Dataset:
    """Effective sample size of every entry, in draws.

    Parameters
    ----------
    ds : Dataset
        Variables with dims (chain, draw, ...).
    method : {"bulk", "tail"}
        ``"bulk"`` for the centre (rank-normalized); ``"tail"`` for the smaller of those of the 5 %
        and 95 % quantiles.

    Returns
    -------
    Dataset
        The same variables without chain and draw; NaN for entries that are constant or not finite.
    """
    return _measure(lambda x: arviz().ess(x, method=method), ds)


def mcse(ds: xr.Dataset, method: Literal["mean", "sd"] = "mean") -> xr.Dataset:
    """Monte Carlo standard error of the mean or of the standard deviation of every entry.

    Parameters
    ----------
    ds : Dataset
        Variables with dims (chain, draw, ...).
    method : {"mean", "sd"}

    Returns
    -------
    Dataset
        The same variables without chain and draw, in their units; NaN for entries that are constant
        or not finite.
    """
    return _measure(lambda x: arviz().mcse(x, method=method), ds)


def bfmi(sample_stats: xr.Dataset) -> NDArray[np.float64]:
    """Estimated Bayesian fraction of missing information (E-BFMI) of each chain.

    Parameters
    ----------
    sample_stats : Dataset
        With ``energy``, dims (chain, draw).

    Returns
    -------
    ndarray
        One number for each chain; NaN where the energy is constant or not finite.

    Raises
    ------
    ContainerError
        If there is no ``energy``.

    References
    ----------
    Betancourt, M. (2016). Diagnosing suboptimal cotangent disintegrations in Hamiltonian Monte
    Carlo. arXiv:1604.00695.
    """
    import numpy as np

    if "energy" not in sample_stats:
        raise ContainerError(
            "E-BFMI needs the variable 'energy' in sample_stats; "
            f"it has {listed(sorted(map(str, sample_stats.data_vars)))}; fit by engine='nuts'"
        )
    energy = np.asarray(sample_stats["energy"].transpose(*_SAMPLE_DIMS).values, dtype=np.float64)
    measured = np.full(energy.shape[0], np.nan)
    usable = np.isfinite(energy).all(axis=1)
    usable &= np.ptp(np.where(np.isfinite(energy), energy, 0.0), axis=1) > 0
    if usable.any():
        measured[usable] = np.asarray(arviz().bfmi(energy[usable]), dtype=np.float64)
    return measured


def _measure(
    ruler: Callable[[xr.Dataset], xr.Dataset], ds: xr.Dataset, fewest_chains: int = 1
) -> xr.Dataset:
    """Apply a ruler of ArviZ; NaN, without a word, for what it cannot measure."""
    import numpy as np
    import xarray as xr

    for dim in _SAMPLE_DIMS:
        if dim not in ds.dims:
            raise ContainerError(
                f"draws need the dims 'chain' and 'draw'; got {listed(map(str, ds.dims))}"
            )
    if not ds.data_vars:
        return ds.drop_dims(_SAMPLE_DIMS)
    values = ds.astype(np.float64, keep_attrs=False)
    low, high = values.min(_SAMPLE_DIMS, skipna=False), values.max(_SAMPLE_DIMS, skipna=False)
    # An infinity, or a NaN, makes the range not finite; a constant makes it nothing.
    with np.errstate(invalid="ignore", over="ignore"):
        measurable = np.isfinite(high - low) & (high > low)
    if ds.sizes["chain"] < fewest_chains or ds.sizes["draw"] < _FEWEST_DRAWS:
        return xr.full_like(low, np.nan)
    # Any ramp will do in place of what cannot be measured: it keeps ArviZ from warning.
    ramp = xr.DataArray(np.arange(ds.sizes["draw"], dtype=np.float64), dims="draw")
    with np.errstate(all="ignore"), warnings.catch_warnings():
        # Chains that each stand still, at different places, divide by nothing: R-hat is infinite.
        warnings.simplefilter("ignore", RuntimeWarning)
        measured = ruler(values.where(measurable, ramp))
    result: xr.Dataset = measured.where(measurable)
    return result
