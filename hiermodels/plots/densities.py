"""Densities that pictures draw: of draws, by ArviZ's kernel estimate, and of priors, exactly."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ..container import inference_data
from ..priors.distributions import LKJ

if TYPE_CHECKING:
    from ..priors.distributions import Prior

Array = NDArray[np.float64]
Limits = tuple[float, float]

# Where a variable can be; those of no name here are anywhere.
_BOUNDS: dict[str, Limits] = {
    "tau": (0.0, np.inf),
    "sigma": (0.0, np.inf),
    "icc": (0.0, 1.0),
    "Omega": (-1.0, 1.0),
}
ANYWHERE: Limits = (-np.inf, np.inf)
_GRID = 400


def bounds(variable: str) -> Limits:
    """The least and the largest value that a variable can have."""
    return _BOUNDS.get(variable, ANYWHERE)


def of_draws(
    draws: Array, variable: str = "", limits: Limits | None = None
) -> tuple[Array, Array] | None:
    """Kernel density estimate of draws, by the installed ArviZ.

    Parameters
    ----------
    draws : array
        Of any shape; those that are not finite do not count.
    variable : str
        What they are of. Where draws come near a bound that it has, the density ends at the
        outermost draws (the kernel is reflected there); else it runs out beyond them.
    limits : (float, float), optional
        The part of the line to look at: the estimate is that of the draws inside, times their
        share, so that a long tail outside does not coarsen it.

    Returns
    -------
    x, density : array
        None where there are no two draws that differ.
    """
    x = np.asarray(draws, dtype=np.float64).ravel()
    x = x[np.isfinite(x)]
    total = x.size
    if limits is not None:
        x = x[(x >= limits[0]) & (x <= limits[1])]
    # Draws that agree to rounding have no bandwidth.
    if x.size < 2 or np.ptp(x) <= 1e-12 * np.abs(x).max():
        return None
    options: dict[str, Any] = {}
    # Three bandwidths, in sds: that of a normal's draws is 1.06 sd n^(-1/5).
    room = 3.2 * x.size**-0.2
    least, most = bounds(variable)
    near = x.min() - room * x.std() < least or x.max() + room * x.std() > most
    if limits is None and not near:
        options = {"bound_correction": False, "extend": True, "extend_fct": room}
    library = inference_data.arviz()
    if inference_data.arviz_line() == "0.x":
        grid, density = library.kde(x, **options)
    else:
        array_stats: Any = importlib.import_module("arviz_stats.base").array_stats
        grid, density, _ = array_stats.kde(x, **options)
    # The lines cut the kernel off at different lengths, and one leaves the sum as it is then.
    density = density / (density.sum() * (grid[1] - grid[0]))
    return grid, density * (x.size / total)


def view(draws: Array, variable: str, reach: float = 0.75) -> Limits:
    """Where the bulk of some draws is, and some room beside it, within what is possible.

    Parameters
    ----------
    draws : array
    variable : str
        Whose bounds are kept.
    reach : float
        Room at each side, in widths of the bulk (its central 99 %).
    """
    low, high = (float(q) for q in np.quantile(draws, (0.005, 0.995)))
    room = reach * (high - low) or max(abs(low), 1.0)
    least, most = bounds(variable)
    return max(low - room, least), min(high + room, most)


def of_prior(prior: Prior, x: Array, *, logged: bool = False, K: int = 2) -> Array:
    """Density of a prior at points, without a constant where it is improper.

    Parameters
    ----------
    prior : Prior
    x : array
    logged : bool
        Whether ``x`` is the logarithm of the parameter: then p(log v) = p(v) v.
    K : int
        Rows of the correlation matrix, of whose entries LKJ is asked for.
    """
    if isinstance(prior, LKJ):
        return _of_correlation(prior.eta, x, K)
    at = np.exp(x) if logged else x
    with np.errstate(divide="ignore", invalid="ignore"):
        density = np.exp(prior.log_density(at))
    return np.asarray(density * at if logged else density)


def _of_correlation(eta: float, r: Array, K: int) -> Array:
    """Density of one correlation under LKJ(eta): (r + 1)/2 ~ beta(a, a), a = eta - 1 + K/2.

    Lewandowski, Kurowicka and Joe (2009), Journal of Multivariate Analysis 100, section 3.
    """
    a = eta - 1 + K / 2
    with np.errstate(divide="ignore"):
        log_density = (a - 1) * np.log1p(-r * r) - (2 * a - 1) * np.log(2) - special.betaln(a, a)
    return np.asarray(np.exp(log_density))


def grid(limits: Limits) -> Array:
    """Points between limits, their ends a little inside (a density may be infinite there)."""
    low, high = limits
    edge = 1e-3 * (high - low) / _GRID
    return np.linspace(low + edge, high - edge, _GRID)
