"""Priors of a standard deviation by way of its variance, its precision or its logarithm."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import special

from . import draws
from .draws import Size
from .prior import Prior, as_array, of_scale

__all__ = ["GammaPrecision", "InverseGamma", "LogFlat"]

Array = NDArray[np.float64]


def _log_power_gamma(x: Any, shape: float, b: float) -> Array:
    """Log density of a scale x whose precision x^-2 is gamma(shape, rate b).

    p(x) = b^shape / Gamma(shape) * 2 x^(-2 shape - 1) exp(-b / x^2): the gamma density at x^-2
    times the Jacobian 2 x^-3. The inverse-gamma(shape, b) density at x^2 times 2 x is the same.
    """
    x = as_array(x)
    constant = shape * math.log(b) - special.gammaln(shape) if shape > 0 and b > 0 else 0.0
    with np.errstate(all="ignore"):
        log_density = constant + math.log(2) - (2 * shape + 1) * np.log(x) - b / (x * x)
    # At 0 the exponential wins, where there is one.
    at_0 = -np.inf if b > 0 else np.inf
    return of_scale(x, np.where(x == 0, at_0, log_density))


@dataclass(frozen=True)
class InverseGamma(Prior):
    """Inverse-gamma on the variance of a scale x: x^2 ~ inverse-gamma(shape, scale).

    The semi-conjugate prior: with nu_0 prior observations of variance s_0^2, shape = nu_0/2 and
    scale = nu_0 s_0^2 / 2 (Gelman et al., Bayesian Data Analysis, 3rd ed., section 2.6).

    Parameters
    ----------
    shape : float
        Shape, >= 0; improper at 0.
    scale : float
        Scale, in squared units of the parameter, >= 0; improper at 0.
    """

    shape: float
    scale: float
    kinds = frozenset({"scale"})
    code: ClassVar[dict[str, int]] = {"scale": 6}
    nonnegative = ("shape", "scale")

    @property
    def proper(self) -> bool:
        """Whether both numbers are above 0."""
        return self.shape > 0 and self.scale > 0

    def log_density(self, x: Any) -> Array:
        """Log density at ``x`` (of the scale itself, not of its square)."""
        return _log_power_gamma(x, self.shape, self.scale)

    def _draw(self, rng: np.random.Generator, size: Size) -> Array:
        return draws.power_gamma(rng, self.shape, self.scale, size)


@dataclass(frozen=True)
class GammaPrecision(Prior):
    """Gamma on the precision of a scale x: 1/x^2 ~ gamma(shape, rate).

    The same prior as ``InverseGamma(shape, rate)``, written for 1/x^2. ``GammaPrecision(0, 0)`` is
    flat on log x: 1/sigma^2 as a density of sigma^2.

    Parameters
    ----------
    shape : float
        Shape, >= 0; improper at 0.
    rate : float
        Rate, in squared units of the parameter, >= 0; improper at 0.
    """

    shape: float
    rate: float
    kinds = frozenset({"scale"})
    code: ClassVar[dict[str, int]] = {"scale": 7}
    nonnegative = ("shape", "rate")

    @property
    def proper(self) -> bool:
        """Whether both numbers are above 0."""
        return self.shape > 0 and self.rate > 0

    def log_density(self, x: Any) -> Array:
        """Log density at ``x`` (of the scale itself, not of its precision)."""
        return _log_power_gamma(x, self.shape, self.rate)

    def _draw(self, rng: np.random.Generator, size: Size) -> Array:
        return draws.power_gamma(rng, self.shape, self.rate, size)


@dataclass(frozen=True)
class LogFlat(Prior):
    """Flat on log x, improper: p(x) ∝ 1/x, the reference prior of a residual sd.

    The same as ``GammaPrecision(0, 0)``; as a density of x^2 it is 1/x^2
    (Gelman et al., Bayesian Data Analysis, 3rd ed., section 2.8).
    """

    kinds = frozenset({"scale"})
    code: ClassVar[dict[str, int]] = {"scale": 7}

    @property
    def proper(self) -> bool:
        """Never: 1/x has no integral over x > 0."""
        return False

    def log_density(self, x: Any) -> Array:
        """-log x, plus the log 2 that ``GammaPrecision(0, 0)`` has."""
        return _log_power_gamma(x, 0.0, 0.0)
