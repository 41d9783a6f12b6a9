"""Are ranks uniform? Simultaneous bands for their whole ECDF, and exact probabilities.

N ranks, each uniform on 0, ..., L where all is well, have an empirical cumulative distribution
function (ECDF) whose values at z_i = i / (L + 1) are R_i / N, with R_i ranks below i. At one point
R_i ~ binomial(N, z_i), which gives a pointwise probability

    p_i = 2 min(P(R <= R_i), P(R >= R_i)),

and the ECDF as a whole is judged by its least probable point, gamma = min p_i. How often uniform
ranks have so small a gamma is computed exactly: the increments of R are those of a Poisson process
that has N points in all, so that the probability of a path between two bounds is a recursion of
convolutions. A band holds the counts whose p_i is above a gamma that uniform ranks go below with
probability 1 - level at most.

Säilynoja, T., Bürkner, P.-C. and Vehtari, A. (2022). Graphical test for discrete uniformity and its
applications in goodness-of-fit evaluation and multiple sample comparison. Statistics and Computing
32, 32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

__all__ = [
    *("LEVEL", "Band", "Fit", "band", "below", "chi_square", "detectable", "judge", "power"),
    "shared",
]

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

LEVEL = 0.95
"""Share of uniform ranks' ECDFs inside the band of all quantities."""

# Pointwise probabilities that are equal but for rounding are equal.
_ROUNDING = 1 + 1e-9
_BINS = 20
_FEWEST_IN_A_BIN = 5
_NODES = 500  # of the integral over where the true value lies
_WIDEST = 8.0  # a shift, in sds, beyond which nothing more is to be seen


@dataclass(frozen=True)
class Band:
    """Counts between which uniform ranks stay, all along, with a probability of ``level`` or more.

    Attributes
    ----------
    z : array, shape (L,)
        Where the ECDF is looked at: i / (L + 1), i = 1, ..., L.
    lower, upper : array, shape (L,)
        Bounds of the ECDF less z; both are inside.
    level : float
        What was asked for.
    """

    z: Array
    lower: Array
    upper: Array
    level: float


@dataclass(frozen=True)
class Fit:
    """How well ranks are uniform.

    Attributes
    ----------
    p : float
        Probability that the ECDF of uniform ranks strays as far as this one or farther.
    difference : float
        ECDF less z where it strays farthest (where its pointwise probability is least).
    at : int
        That place's position in z.
    """

    p: float
    difference: float
    at: int


def below(ranks: NDArray[np.int64], draws: int) -> Counts:
    """Number of ranks below 1, ..., L; ranks, shape (N,), are from 0 to L, the number of draws."""
    return np.cumsum(np.bincount(ranks, minlength=draws + 1))[:-1]


def judge(ranks: NDArray[np.int64], draws: int) -> Fit:
    """How probable the ECDF of ranks, shape (N,), from 0 to ``draws``, is if they are uniform."""
    counts, n = below(ranks, draws), len(ranks)
    p = _pointwise(n, draws)[np.arange(draws), counts]
    at = int(np.argmin(p))
    difference = counts[at] / n - (at + 1) / (draws + 1)
    return Fit(_probability(n, draws, float(p[at])), float(difference), at)


@lru_cache(maxsize=32)
def band(simulations: int, draws: int, level: float) -> Band:
    """The band that the ECDF of uniform ranks stays in with a probability of ``level`` or more."""
    p = _pointwise(simulations, draws)
    lower, upper = _bounds(p, _gamma(simulations, draws, level))
    z = np.arange(1, draws + 1) / (draws + 1)
    return Band(z, lower / simulations - z, upper / simulations - z, level)


@lru_cache(maxsize=32)
def _gamma(simulations: int, draws: int, level: float) -> float:
    """The largest pointwise probability that is outside; 0 where none is."""
    gammas = np.unique(_pointwise(simulations, draws))
    # How often gamma or less is seen grows with gamma: the last of them that is seen seldom enough.
    few, many = -1, len(gammas) - 1
    while many - few > 1:
        middle = (few + many) // 2
        if _probability(simulations, draws, float(gammas[middle])) <= 1 - level:
            few = middle
        else:
            many = middle
    return float(gammas[few]) if few >= 0 else 0.0


def power(simulations: int, draws: int, level: float, shift: float) -> float:
    """Probability that ranks leave the band where the posterior is shifted.

    The draws are normal and off by ``shift`` of their sd: a rank is binomial with L trials of
    probability Phi(Phi^-1(u) + shift), u uniform on (0, 1).
    """
    u = (np.arange(_NODES) + 0.5) / _NODES
    below = special.ndtr(special.ndtri(u) + shift)
    # A rank's distribution function is a mean of binomial ones, from which come its probabilities.
    at_most = special.bdtr(np.arange(draws + 1), draws, below[:, None]).mean(axis=0)
    shares = np.diff(at_most, prepend=0.0)
    bounds = _bounds(_pointwise(simulations, draws), _gamma(simulations, draws, level))
    return min(max(1 - _inside(simulations, *bounds, shares), 0.0), 1.0)


@lru_cache(maxsize=32)
def detectable(simulations: int, draws: int, level: float, probability: float = 0.9) -> float:
    """The shift of a posterior, in its sds, that is found with a probability; inf where none is."""
    low, high = 0.0, _WIDEST
    if power(simulations, draws, level, high) < probability:
        return math.inf
    while high - low > 1e-3:
        middle = (low + high) / 2
        if power(simulations, draws, level, middle) < probability:
            low = middle
        else:
            high = middle
    return high


def chi_square(ranks: NDArray[np.int64], draws: int) -> float:
    """The p value of Pearson's chi-square test of uniform ranks.

    Of up to 20 bins of as many ranks each, as many as leave 5 ranks a bin; NaN where there are too
    few ranks for two bins, or L + 1 has no such divisor.
    """
    most = min(_BINS, len(ranks) // _FEWEST_IN_A_BIN)
    bins = max((b for b in range(2, most + 1) if (draws + 1) % b == 0), default=0)
    if not bins:
        return math.nan
    found = np.bincount(ranks // ((draws + 1) // bins), minlength=bins)
    return float(stats.chisquare(found).pvalue)


@lru_cache(maxsize=8)
def _pointwise(n: int, draws: int) -> Array:
    """p_i of every count, shape (L, N + 1)."""
    z = (np.arange(1, draws + 1) / (draws + 1))[:, None]
    counts = np.arange(n + 1)
    at_most = special.bdtr(counts, n, z)
    at_least = np.hstack([np.ones((draws, 1)), special.bdtrc(counts[:-1], n, z)])
    p = np.minimum(1.0, 2 * np.minimum(at_most, at_least))
    p.flags.writeable = False
    return np.asarray(p)


def _bounds(p: Array, gamma: float) -> tuple[Counts, Counts]:
    """The least and the largest count of pointwise probability above gamma, each of shape (L,)."""
    inside = p > gamma * _ROUNDING
    # One stretch of counts: P(R <= r) rises with r and P(R >= r) falls.
    lower = inside.argmax(axis=1)
    upper = p.shape[1] - 1 - inside[:, ::-1].argmax(axis=1)
    return lower, upper


def _probability(n: int, draws: int, gamma: float) -> float:
    """Probability that the least pointwise probability of N uniform ranks is gamma or less."""
    p = _pointwise(n, draws)
    if np.any(p.max(axis=1) <= gamma * _ROUNDING):
        return 1.0
    lower, upper = _bounds(p, gamma)
    inside = _inside(n, lower, upper, np.full(draws + 1, 1 / (draws + 1)))
    return min(max(1 - inside, 0.0), 1.0)


def _inside(n: int, lower: Counts, upper: Counts, shares: Array) -> float:
    """Probability that N ranks of these probabilities have all their counts within bounds."""
    # Independent Poisson numbers of each rank, given that there are N in all.
    counts = np.arange(n + 1)
    path, start = np.ones(1), 0  # P(R_i = start + k, and inside so far)
    for low, high, share in zip(lower.tolist(), upper.tolist(), shares.tolist(), strict=False):
        steps = _poisson(counts[: high - start + 1], n * share)
        path = np.convolve(path, steps)[max(low - start, 0) : high - start + 1]
        start = max(low, start)
    # What is left for rank L.
    last = _poisson(n - start - np.arange(len(path)), n * float(shares[-1]))
    return float(path @ last) / float(_poisson(np.array([n]), float(n))[0])


def _poisson(k: NDArray[np.int64], mean: float) -> Array:
    return np.asarray(np.exp(special.xlogy(k, mean) - mean - special.gammaln(k + 1)))


def shared(quantities: int) -> float:
    """The level of one quantity's band, where all are to stay inside at once (Bonferroni)."""
    return 1 - (1 - LEVEL) / max(quantities, 1)
