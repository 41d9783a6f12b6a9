"""Importance weights, Pareto-smoothed by the installed ArviZ; the same on both of its lines."""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING, Any

from .inference_data import arviz, arviz_line

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["pareto_k", "psis", "smoothed_weights"]


def pareto_k(log_weights: NDArray[np.float64]) -> float:
    """Pareto k of importance weights, as by :func:`psis`; of 25 weights or more.

    Below 0.5 the weights have a finite variance; above 0.7 estimates by them are not reliable.
    """
    return float(psis(log_weights[None])[1][0])


def psis(
    log_ratios: NDArray[np.float64], reff: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pareto-smoothed importance sampling, by the installed ArviZ; the same on both lines.

    Of each row the largest M = min(S/5, 3 sqrt(S/reff)) ratios, rounded down, are replaced by the
    quantiles of a generalized Pareto distribution that is fitted to them (Vehtari et al. 2024,
    JMLR 25(72), section 2.4). ArviZ 0.x rounds up: it is given the ``reff`` with which its M is
    that of ArviZ 1.x. It also leaves ratios out that equal the largest one below the tail, as two
    draws do where NUTS rejected a proposal: they are raised by their last bit.

    Parameters
    ----------
    log_ratios : array, shape (n, S)
        Log importance ratios of S draws, up to a constant in each row; S is 25 or more.
    reff : float
        Relative efficiency of the draws: effective sample size over S.

    Returns
    -------
    log_weights : array, shape (n, S)
        Smoothed; they sum to 1 in each row.
    pareto_k : array, shape (n,)
        Shape of the fitted tail; infinite where there is no tail to fit (its ratios are all alike):
        then the weights are the ratios as they were.
    """
    import numpy as np

    library = arviz()
    if arviz_line() == "0.x":
        size = log_ratios.shape[1]
        tail = math.floor(min(size / 5, 3 * math.sqrt(size / reff)))
        with np.errstate(all="ignore"):  # its fit takes exponentials of whatever comes
            log_weights, k = library.psislw(
                _without_ties(log_ratios, tail), reff=9 * size / (tail - 0.5) ** 2
            )
    else:
        log_weights, k = _psis_1x(log_ratios, reff)
    return np.asarray(log_weights), np.where(np.isnan(k), np.inf, k)


def _without_ties(log_ratios: NDArray[np.float64], tail: int) -> NDArray[np.float64]:
    """Log ratios less their maximum, each of the tail's above the largest one below the tail."""
    import numpy as np

    ratios: NDArray[np.float64] = log_ratios - log_ratios.max(axis=1, keepdims=True)
    order = np.argsort(ratios, axis=1)
    largest = np.take_along_axis(ratios, order[:, -tail:], axis=1)
    cutoff = np.take_along_axis(ratios, order[:, -tail - 1 : -tail], axis=1)
    tied = (largest == cutoff) & (cutoff < 0)  # a tail whose ratios are all alike stays one
    largest[tied] = np.nextafter(largest[tied], 0)
    np.put_along_axis(ratios, order[:, -tail:], largest, axis=1)
    return ratios


def _psis_1x(
    log_ratios: NDArray[np.float64], reff: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    import numpy as np

    array_stats: Any = importlib.import_module("arviz_stats.base").array_stats
    try:
        with np.errstate(all="ignore"):
            # This one wants log likelihoods, which are minus the log ratios of leave-one-out.
            log_weights, k = array_stats.psislw(-log_ratios, r_eff=reff)
    except ValueError:  # a tail whose ratios are all alike
        if len(log_ratios) > 1:
            parts = [_psis_1x(row[None], reff) for row in log_ratios]
            return np.vstack([w for w, _ in parts]), np.concatenate([k for _, k in parts])
        top = log_ratios.max()
        log_weights = log_ratios - top - np.log(np.exp(log_ratios - top).sum())
        k = np.full(1, np.inf)
    return log_weights, k


def smoothed_weights(log_weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Importance weights, Pareto-smoothed by the installed ArviZ, and their Pareto k.

    Finite log weights and weights that sum to 1, both of shape (S,). k is NaN where the largest
    weights are all the same, so that there is no tail to smooth.
    """
    import numpy as np

    smooth, k = psis(log_weights[None])
    weights = np.exp(smooth[0] - np.max(smooth))
    return weights / weights.sum(), float(k[0]) if np.isfinite(k[0]) else math.nan
