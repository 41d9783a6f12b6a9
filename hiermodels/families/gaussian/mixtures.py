"""Mixtures of normal distributions: the posterior of an effect over that of the hyperparameters.

Given the hyperparameters every effect is normal, N(m, s), so its posterior is a mixture

    p(theta) = sum over d of w_d N(theta | m_d, s_d),

over nodes of a quadrature or over draws, whose weights add up to 1 (Rao-Blackwell; Gelfand and
Smith 1990, Journal of the American Statistical Association 85, section 2.3). Many mixtures with the
same weights are worked on at once, as columns.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = ["cdf", "moments", "quantile"]

Array = NDArray[np.float64]

_LEAST = 1e-300  # tau = 0 leaves a point


def moments(w: Array, m: Array, s: Array) -> tuple[Array, Array]:
    """Mean and standard deviation of each column's mixture.

    E = sum w m, and var = sum w (s^2 + (m - E)^2) (law of total variance).

    Parameters
    ----------
    w : array, shape (D,)
        Weights, which add up to 1.
    m, s : array, shape (D, n)
        Means and standard deviations of the components.
    """
    mean = w @ m
    # Weights add up to 1 but for rounding, which a mean far from 0 multiplies.
    mean = mean + w @ (m - mean)
    return np.asarray(mean), np.sqrt(w @ (s**2 + (m - mean) ** 2))


def cdf(x: Array, w: Array, m: Array, s: Array) -> Array:
    """P(theta <= x) of each column's mixture: sum w Phi((x - m) / s), shape (n,)."""
    with np.errstate(over="ignore"):
        return np.asarray(w @ special.ndtr((x - m) / np.maximum(s, _LEAST)))


def quantile(q: float, w: Array, m: Array, s: Array, *, tolerance: float = 1e-9) -> Array:
    """The point below which the share ``q`` of each column's mixture lies, shape (n,).

    Newton's method from the quantile of a normal distribution with the mixture's mean and sd, with
    bisection wherever it would leave the bracket.

    Parameters
    ----------
    q : float
        Between 0 and 1.
    w : array, shape (D,)
    m, s : array, shape (D, n)
    tolerance : float
        Of the last step, in standard deviations of the mixture.
    """
    mean, sd = moments(w, m, s)
    x = mean + special.ndtri(q) * sd
    low, high = mean - 40 * sd, mean + 40 * sd
    s = np.maximum(s, _LEAST)
    for _ in range(80):
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            z = (x - m) / s
            off = w @ special.ndtr(z) - q
            density = w @ (np.exp(-0.5 * z * z) / s) / math.sqrt(2 * math.pi)
            newton = x - off / density
        low, high = np.where(off < 0, x, low), np.where(off > 0, x, high)
        inside = (newton >= low) & (newton <= high)
        step = np.where(inside, newton, (low + high) / 2) - x
        step = np.where(off == 0, 0.0, step)
        x = x + step
        if np.all(np.abs(step) <= tolerance * sd):
            break
    return np.asarray(x)
