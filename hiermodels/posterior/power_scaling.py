"""Whether a posterior hangs on its priors: power-scaling sensitivity, without a refit.

A component of the posterior, the prior or the likelihood, is raised to a power alpha near 1. The
draws are weighted by component^(alpha - 1), the weights smoothed (PSIS, by ArviZ), and each scalar
is compared with itself so weighted, by the cumulative Jensen-Shannon distance of their distribution
functions P and Q, with M = (P + Q)/2:

    CJS(P, Q)^2 = integral of P log2(P/M) + Q log2(Q/M),  over the integral of P + Q

(the larger of those of x and -x). The sensitivity is how fast that grows with log2 alpha,

    D = (CJS at 1/(1 + delta) + CJS at 1 + delta) / (2 log2(1 + delta)).

Kallioinen, N., Paananen, T., Bürkner, P.-C. and Vehtari, A. (2023). Detecting and diagnosing prior
and likelihood sensitivity with power-scaling. Statistics and Computing 34, 57.

ArviZ has it as ``az.psens`` (0.x) and ``arviz_stats.psense`` (1.x). They smooth the weights in two
ways and give tables of two forms, sort each scalar anew for each component, and keep the weights'
Pareto k to themselves; the second stops at a flat prior. So the smoothing is theirs, and the
distance, which is the same in both, is computed here, for all components at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..container import psis
from ..diagnostics import convergence

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

__all__ = ["distances", "noise", "pull", "sensitivities", "weights"]


def sensitivities(
    scalars: Sequence[Array], components: Mapping[str, Array], delta: float
) -> tuple[Array, list[float]]:
    """Sensitivity of Q scalars to C components.

    Parameters
    ----------
    scalars : sequence of Q arrays, each of shape (S,)
        Draws.
    components : mapping of str to array, shape (S,)
        Log densities of the same draws.
    delta : float
        Above 0.

    Returns
    -------
    sensitivities : array, shape (Q, C)
        NaN for draws that are not finite, or all the same.
    k : list of C floats
        As of :func:`weights`.
    """
    import numpy as np

    weighted, k = weights(components, delta)
    both = np.array([distances(x, weighted) for x in scalars]).reshape(len(scalars), -1, 2)
    return both.sum(axis=2) / (2 * math.log2(1 + delta)), k


def weights(components: Mapping[str, Array], delta: float) -> tuple[Array, list[float]]:
    """Weights of every component to the powers 1/(1 + delta) and 1 + delta, side by side.

    Returns
    -------
    weights : array, shape (S, 2 C)
        Columns sum to 1.
    k : list of C floats
        The larger Pareto k of the two powers; NaN where there is no tail to look at.
    """
    import numpy as np

    columns, worst = [], []
    for log_density in components.values():
        both = [
            psis.smoothed_weights((alpha - 1) * log_density)
            for alpha in (1 / (1 + delta), 1 + delta)
        ]
        columns += [smooth for smooth, _ in both]
        known = [k for _, k in both if not math.isnan(k)]
        worst.append(max(known, default=math.nan))
    return np.column_stack(columns), worst


def distances(x: Array, weights: Array) -> Array:
    """Cumulative Jensen-Shannon distance of draws to themselves weighted, by column of weights.

    With the draws in order, P and Q are constant between neighbours, so the integrals are sums over
    the gaps. For -x they are 1 - P and 1 - Q over the same gaps.
    """
    import numpy as np
    from scipy import special

    n = len(x)
    if not np.isfinite(x).all() or np.ptp(x) == 0:
        return np.full(weights.shape[1], np.nan)
    order = np.argsort(x)
    gap = np.diff(x[order])
    gap = (gap / gap.sum())[:, None]
    P = (np.arange(1, n) / n)[:, None]
    Q = np.clip(np.cumsum(weights[order], axis=0)[:-1], 0, 1)  # rounding may step over 1
    squares = []
    for p, q in ((P, Q), (1 - P, 1 - Q)):
        m = (p + q) / 2
        apart = np.sum(gap * (special.rel_entr(p, m) + special.rel_entr(q, m)), axis=0)
        squares.append(apart / math.log(2) / np.sum(gap * (p + q), axis=0))
    distance = np.sqrt(np.maximum(np.max(squares, axis=0), 0))
    # What is the same for all draws changes nothing; rounding would leave 1e-7 of it.
    return np.where(np.ptp(weights, axis=0) == 0, 0.0, distance)


def noise(components: Mapping[str, Array], chains: int) -> list[float]:
    """What a scalar that has nothing to do with a component would seem to be sensitive to it.

    Weights w that ignore the draws leave Q - P with variance var(w) P (1 - P) / S, where the mean
    weight is 1. To second order CJS^2 is the integral of (Q - P)^2 / (4 P ln 2) over that of 2 P,
    whose expectation, with x symmetric, is var(w) / (8 S ln 2); and w is 1 + (alpha - 1) log p,
    centred, so that D is about sqrt(ln 2 / 8) sd(log p) / sqrt(S). S is the effective sample size.
    """
    import numpy as np

    values = np.stack([x.reshape(chains, -1) for x in components.values()], axis=2)
    found = convergence.table(values, ("sd", "ess_bulk"))
    size = np.fmin(found["ess_bulk"], values.shape[0] * values.shape[1])
    level = math.sqrt(math.log(2) / 8) * found["sd"] / np.sqrt(size)
    return [float(v) for v in np.where(np.ptp(values, axis=(0, 1)) == 0, 0.0, level)]


def pull(x: Array, log_prior: Array) -> str:
    """Where a stronger prior moves the mean: its derivative is cov(x, log prior)."""
    import numpy as np

    return "up" if np.mean((x - x.mean()) * (log_prior - log_prior.mean())) > 0 else "down"
