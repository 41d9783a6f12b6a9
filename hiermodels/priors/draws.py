"""How priors are drawn from, where that takes more than a call of NumPy's generator."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Size = int | tuple[int, ...]


def power_gamma(rng: np.random.Generator, shape: float, b: float, size: Size) -> Array:
    """Draws of x whose precision x^-2 is gamma(shape, rate b).

    By logarithms: with g ~ gamma(shape + 1) and u uniform, g u^(1/shape) ~ gamma(shape), which for
    a small shape lies below all that a double can hold (Marsaglia and Tsang 2000, ACM Transactions
    on Mathematical Software 26, section 6). Where x itself is too large for one it is infinite.
    """
    log_u = np.log1p(-rng.random(size))  # of 1 - u: never log 0
    log_precision = np.log(rng.standard_gamma(shape + 1, size)) + log_u / shape - np.log(b)
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(-0.5 * log_precision))


def lkj(rng: np.random.Generator, eta: float, K: int, size: Size) -> Array:
    """Draws of the Cholesky factor L of an LKJ(eta) correlation matrix, shape (..., K, K).

    By canonical partial correlations (Lewandowski, Kurowicka and Joe 2009, Journal of Multivariate
    Analysis 100, section 2.4): those of column j = 1, ..., K - 1 are beta(a, a) on (-1, 1) with
    a = eta + (K - 1 - j)/2, and L_ij = z_ij sqrt(prod over m < j of (1 - z_im^2)).
    """
    lead = (size,) if isinstance(size, int) else tuple(size)
    L = np.zeros((*lead, K, K))
    left = np.ones((*lead, K))  # of each row's squared length
    for j in range(K - 1):
        a = eta + (K - 2 - j) / 2
        z = 2 * rng.beta(a, a, (*lead, K - 1 - j)) - 1
        L[..., j, j] = np.sqrt(left[..., j])
        L[..., j + 1 :, j] = z * np.sqrt(left[..., j + 1 :])
        left[..., j + 1 :] *= 1 - z**2
    L[..., K - 1, K - 1] = np.sqrt(left[..., K - 1])
    return L
