"""R-hat, effective sample sizes and Monte Carlo errors of many entries at once, in NumPy.

ArviZ measures one entry after another, in a few milliseconds each: a minute for the effects of
10,000 groups. A block of entries at a time takes a tenth to a thirtieth of that. The numbers equal
ArviZ's, with one exception: whether a variable is constant is judged relative to its size, so that
the unit of a parameter does not matter.

Formulas: Vehtari, A., Gelman, A., Simpson, D., Carpenter, B. and Bürkner, P.-C. (2021).
Rank-normalization, folding, and localization: an improved R-hat. Bayesian Analysis 16, 667-718,
by equation. Initial monotone sequence: Geyer, C. J. (1992). Practical Markov chain Monte Carlo.
Statistical Science 7, 473-483.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["FEWEST_DRAWS", "MEASURES", "Block"]

Array = NDArray[np.float64]

FEWEST_DRAWS = 4
"""Of each chain: split chains need two draws a half."""

# Below this share of its largest value the range of a variable is rounding.
_ROUNDING = 1e-15


class Block:
    """Some entries and what can be measured of them; what measures share is computed once.

    Parameters
    ----------
    x : array, shape (entries, chains, draws)
        Finite; no entry is constant; ``FEWEST_DRAWS`` draws of each chain or more. C-contiguous.

    Notes
    -----
    All results have shape (entries,). E entries, C chains, D draws, S = C D; half chains have
    n = D // 2 draws, and of an odd number the one in the middle is left out.
    """

    def __init__(self, x: Array) -> None:
        self._x = x
        self._chains = x.shape[1]

    # ---- moments and quantiles ------------------------------------------------------------------

    @cached_property
    def mean(self) -> Array:
        """Mean."""
        mean: Array = self._flat.mean(axis=1)
        return mean

    @cached_property
    def sd(self) -> Array:
        """Standard deviation, with divisor S - 1."""
        sd: Array = np.sqrt(self._squares.sum(axis=1) / (self._flat.shape[1] - 1))
        return sd

    def quantile(self, percent: int) -> Array:
        """A quantile, between order statistics by linear interpolation (NumPy's ``"linear"``)."""
        at, beyond = divmod((self._flat.shape[1] - 1) * percent, 100)
        low: Array = self._sorted[:, at]
        if beyond:
            low = low + (self._sorted[:, at + 1] - low) * (beyond / 100)
        return low

    # ---- Monte Carlo errors ---------------------------------------------------------------------

    def mcse_mean(self) -> Array:
        """Monte Carlo standard error of the mean: sd / sqrt(ESS of the mean)."""
        return self.sd / np.sqrt(_ess(_halves(self._x)))

    def mcse_sd(self) -> Array:
        """Monte Carlo standard error of the standard deviation, by the delta method.

        With u = (x - mean)^2: var(sd) = var(u) / ESS(u) / (4 mean(u)).
        """
        u = self._squares
        size = _ess(_halves(u.reshape(self._x.shape)))
        mean = u.mean(axis=1)
        variance = (u**2).mean(axis=1) - mean**2
        # The variance is 0 for draws of +-1, and rounding may put it below 0.
        error: Array = np.sqrt(np.maximum(variance, 0.0) / size / mean / 4)
        return error

    # ---- effective sample sizes and R-hat -------------------------------------------------------

    def ess_bulk(self) -> Array:
        """Bulk effective sample size: that of the rank-normalized draws (section 4.1)."""
        return _ess(self._normal_scores)

    def ess_tail(self) -> Array:
        """Tail effective sample size: the smaller of those of the 5 % and the 95 % quantile.

        The size of a quantile is that of I(x <= quantile) (section 4.3).
        """
        sizes = []
        for percent in (5, 95):
            # x <= q just where x is at most the order statistic at or before q: interpolated
            # numbers, and their rounding, need not be looked at.
            at = (self._flat.shape[1] - 1) * percent // 100
            below = self._x <= self._sorted[:, at, None, None]
            sizes.append(_ess(_halves(below.astype(np.float64))))
        return np.minimum(*sizes)

    def r_hat(self) -> Array:
        """Rank-normalized split R-hat, the larger of the plain and the folded one (section 4).

        NaN where there is one chain only.
        """
        if self._chains < 2:
            return np.full(len(self._x), np.nan)
        # Folded draws may all be equal (of a fair coin's +-1), and then have none.
        return np.fmax(_r_hat(self._normal_scores), _r_hat(self._folded_scores))

    # ---- shared ---------------------------------------------------------------------------------

    @cached_property
    def _flat(self) -> Array:
        return self._x.reshape(len(self._x), -1)

    @cached_property
    def _squares(self) -> Array:
        return (self._flat - self.mean[:, None]) ** 2

    @cached_property
    def _split(self) -> Array:
        return _halves(self._x)

    @cached_property
    def _order(self) -> NDArray[np.intp]:
        """Each entry's split draws from the smallest to the largest: places in the flat block."""
        order = np.argsort(self._split.reshape(len(self._x), -1), axis=1)
        return _in_flat(order)

    @cached_property
    def _split_sorted(self) -> Array:
        return self._split.ravel()[self._order]

    @cached_property
    def _sorted(self) -> Array:
        if self._split.size == self._x.size:
            return self._split_sorted
        return np.sort(self._flat, axis=1)

    @cached_property
    def _normal_scores(self) -> Array:
        scores = np.empty(self._split.size)
        scores[self._order] = _normal_scores(self._split_sorted)
        return scores.reshape(self._split.shape)

    @cached_property
    def _folded_scores(self) -> Array:
        """Normal scores of |x - median|."""
        values = self._split_sorted
        middle = values.shape[1] // 2  # of an even number
        median = (values[:, middle - 1] + values[:, middle]) / 2
        folded = np.abs(values - median[:, None])
        # First they fall, then they rise: the sort that looks for such runs is four times faster.
        order = _in_flat(np.argsort(folded, axis=1, kind="stable"))
        scores = np.empty(folded.size)
        scores[self._order.ravel()[order]] = _normal_scores(folded.ravel()[order])
        return scores.reshape(self._split.shape)


MEASURES: dict[str, Callable[[Block], Array]] = {
    "mean": lambda block: block.mean,
    "sd": lambda block: block.sd,
    "q5": lambda block: block.quantile(5),
    "median": lambda block: block.quantile(50),
    "q95": lambda block: block.quantile(95),
    "mcse_mean": Block.mcse_mean,
    "mcse_sd": Block.mcse_sd,
    "ess_bulk": Block.ess_bulk,
    "ess_tail": Block.ess_tail,
    "r_hat": Block.r_hat,
}
"""What can be measured, by the name of its column in our tables."""


def _halves(x: Array) -> Array:
    """(entries, chains, draws) -> (entries, 2 chains, draws // 2)."""
    entries, chains, draws = x.shape
    n = draws // 2
    if draws % 2:
        x = np.stack((x[:, :, :n], x[:, :, -n:]), axis=2)
    return x.reshape(entries, 2 * chains, n)


def _in_flat(places: NDArray[np.intp]) -> NDArray[np.intp]:
    """Places within rows -> places within the raveled matrix, whose indexing is much faster."""
    places += np.arange(0, places.size, places.shape[1])[:, None]
    return places


@lru_cache(maxsize=4)
def _score_table(size: int) -> Array:
    """Normal scores by twice the average rank, 2 to 2 S (equation 14).

    z = Phi^-1((r - 3/8) / (S + 1/4)); r is a whole or, of ties, half a number.
    """
    from scipy.special import ndtri

    table: Array = ndtri((np.arange(2 * size + 1) / 2 - 3 / 8) / (size + 1 / 4))
    table.flags.writeable = False
    return table


def _normal_scores(in_order: Array) -> Array:
    """Normal scores of draws in ascending order, shape (entries, S); ties have one average rank."""
    size = in_order.shape[1]
    table = _score_table(size)
    scores = np.tile(table[2::2], (len(in_order), 1))
    # Where a draw equals the one before it. A median between two draws makes a tie of the two
    # smallest of almost every folded entry, so that ties have to be cheap.
    tied = np.zeros(in_order.shape, dtype=bool)
    np.equal(in_order[:, 1:], in_order[:, :-1], out=tied[:, 1:])
    at = np.flatnonzero(tied)
    if not at.size:
        return scores
    # Runs of neighbours; none reaches into the next entry, whose first draw is never tied.
    begins = np.flatnonzero(np.diff(at, prepend=-2) > 1)
    first = at[begins] - 1
    last = at[np.append(begins[1:], at.size) - 1]
    average = table[first % size + last % size + 2]
    length = last - first + 1
    within = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    scores.ravel()[np.repeat(first, length) + within] = np.repeat(average, length)
    return scores


def _r_hat(x: Array) -> Array:
    """R-hat, sqrt(((n - 1) W + B) / (n W)) (equations 1 to 4); x has shape (entries, M, n)."""
    n = x.shape[2]
    within = x.var(axis=2, ddof=1).mean(axis=1)
    between = n * x.mean(axis=2).var(axis=1, ddof=1)
    # Chains that each stand still, at different places, divide by nothing: R-hat is infinite.
    with np.errstate(divide="ignore", invalid="ignore"):
        r_hat: Array = np.sqrt((between / within + n - 1) / n)
    return r_hat


def _ess(x: Array) -> Array:
    """Effective sample size of M chains of n draws, x of shape (entries, M, n) (equations 9 to 13).

    As many as there are draws where x is constant.
    """
    entries, chains, n = x.shape
    total = chains * n
    means = x.mean(axis=2)
    covariance = _mean_autocovariance(x, means)
    within = covariance[:, 0] * n / (n - 1)
    marginal = within * (n - 1) / n + means.var(axis=1, ddof=1)
    flat = x.reshape(entries, -1)
    low, high = flat.min(axis=1), flat.max(axis=1)
    still = high - low <= _ROUNDING * np.maximum(np.abs(low), np.abs(high))
    marginal[still] = 1.0

    # rho_t = 1 - (W - s_t) / var+, in place.
    rho = covariance
    rho -= within[:, None]
    rho /= marginal[:, None]
    rho += 1
    rho[:, 0] = 1.0
    even, odd = rho[:, : n - n % 2 : 2], rho[:, 1::2]
    pairs = even + odd
    # Initial positive sequence: the first `kept` pairs. The last lags are never looked at.
    most = len(range(1, n - 3, 2))
    negative = pairs[:, : most + 1] <= 0
    kept = np.where(negative.any(axis=1), negative.argmax(axis=1), most)
    # Initial monotone sequence.
    pairs = np.minimum.accumulate(pairs[:, : kept.max() + 1], axis=1)
    sums = np.where(np.arange(pairs.shape[1]) < kept[:, None], pairs, 0.0).sum(axis=1)
    # And half a pair more, where it helps: it makes antithetic chains' sizes steadier.
    rows = np.arange(entries)
    further = even[rows, kept]
    further = np.where((further > 0) | (further + odd[rows, kept] >= 0), further, 0.0)
    tau = np.maximum(2 * sums - 1 + further, 1 / np.log10(total))
    size: Array = np.where(still, total, total / tau)
    return size


def _mean_autocovariance(x: Array, means: Array) -> Array:
    """Autocovariance at each lag, averaged over chains; (entries, M, n) -> (entries, n).

    The inverse transform is linear, so the average is taken before it.
    """
    from scipy.fft import next_fast_len

    n = x.shape[2]
    length = next_fast_len(2 * n, real=True)
    power = np.zeros((len(x), length // 2 + 1))
    # Chain by chain: the transforms of all of them at once would leave the processor's cache.
    for chain in range(x.shape[1]):
        transform = np.fft.rfft(x[:, chain] - means[:, chain, None], n=length, axis=1)
        power += transform.real**2
        power += transform.imag**2
    covariance: Array = np.fft.irfft(power, n=length, axis=1)[:, :n]
    covariance /= n * x.shape[1]
    return covariance
