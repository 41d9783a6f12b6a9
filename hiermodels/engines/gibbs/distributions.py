"""Distributions that a Gibbs sampler draws from: normal, inverse-gamma, gamma, as frozen values.

Their numbers are arrays, one distribution for each entry. Unlike the priors of the same names these
are of the parameter itself: a gamma of a precision is a distribution of the precision.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = ["Gamma", "InverseGamma", "Normal"]

Array = NDArray[np.float64]

_LOG_2PI = math.log(2 * math.pi)


class _Law:
    """One line to print: numbers to five digits, of arrays the shape."""

    def __repr__(self) -> str:
        said = (f"{name}={_brief(value)}" for name, value in vars(self).items())
        return f"{type(self).__name__}({', '.join(said)})"


def _brief(x: Any) -> str:
    shape = np.shape(x)
    return f"array of shape {shape}" if shape else f"{float(x):.5g}"


@dataclass(frozen=True, eq=False, repr=False)
class Normal(_Law):
    """Normal: log p(x) = -log(2 pi)/2 - log sd - (x - mean)^2 / (2 sd^2).

    Attributes
    ----------
    mean, sd : array, shape (...)
        Mean and standard deviation, in the units of x.
    """

    mean: Array
    sd: Array

    def draw(self, rng: np.random.Generator) -> Array:
        """One draw of each, shape (...)."""
        return np.asarray(self.mean + self.sd * rng.standard_normal(np.shape(self.mean)))

    def logpdf(self, x: Array | float) -> Array:
        """Log density at ``x``, elementwise, with every constant."""
        z = (x - self.mean) / self.sd
        return np.asarray(-0.5 * (_LOG_2PI + z * z) - np.log(self.sd))


@dataclass(frozen=True, eq=False, repr=False)
class InverseGamma(_Law):
    """Inverse-gamma: p(x) = scale^shape / Gamma(shape) x^(-shape - 1) exp(-scale / x), x > 0.

    The variance whose precision is gamma(shape, rate = scale). As a scaled inverse chi^2(nu, s^2)
    it has shape = nu/2 and scale = nu s^2/2 (Gelman et al., Bayesian Data Analysis, 3rd ed.,
    appendix A).

    Attributes
    ----------
    shape : float
        Without units, > 0.
    scale : array, shape (...)
        In the units of x, > 0.
    """

    shape: float
    scale: Array

    def draw(self, rng: np.random.Generator) -> Array:
        """One draw of each, shape (...): scale / g with g ~ gamma(shape, 1)."""
        return np.asarray(self.scale / rng.standard_gamma(self.shape, np.shape(self.scale)))

    def logpdf(self, x: Array | float) -> Array:
        """Log density at ``x``, elementwise, with every constant."""
        constant = self.shape * np.log(self.scale) - special.gammaln(self.shape)
        return np.asarray(constant - (self.shape + 1) * np.log(x) - self.scale / x)


@dataclass(frozen=True, eq=False, repr=False)
class Gamma(_Law):
    """Gamma: p(x) = rate^shape / Gamma(shape) x^(shape - 1) exp(-rate x), x > 0.

    Attributes
    ----------
    shape : float
        Without units, > 0.
    rate : array, shape (...)
        In one over the units of x, > 0: a precision's rate is in squared units of the response.
    """

    shape: float
    rate: Array

    def draw(self, rng: np.random.Generator) -> Array:
        """One draw of each, shape (...)."""
        return np.asarray(rng.gamma(self.shape, 1 / self.rate))

    def logpdf(self, x: Array | float) -> Array:
        """Log density at ``x``, elementwise, with every constant."""
        constant = self.shape * np.log(self.rate) - special.gammaln(self.shape)
        return np.asarray(constant + (self.shape - 1) * np.log(x) - self.rate * x)
