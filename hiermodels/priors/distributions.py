"""The prior distributions, as data for the Stan programs, and what they leave proper.

A prior is a family and at most three numbers. ``stan_models/priors.stanfunctions`` has the same
families under the same codes; what is computed there in Stan, :meth:`Prior.log_density` computes
here in NumPy, each beside its formula. :meth:`Prior.draw` draws from them, without Stan.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ..errors import PriorError
from . import draws
from .draws import Size
from .prior import Prior, as_array, of_scale
from .variances import GammaPrecision, InverseGamma, LogFlat

__all__ = [
    "FAMILIES",
    "LKJ",
    "Exponential",
    "Flat",
    "GammaPrecision",
    "HalfCauchy",
    "HalfNormal",
    "HalfT",
    "InverseGamma",
    "LogFlat",
    "Normal",
    "Prior",
    "StudentT",
    "Uniform",
]

Array = NDArray[np.float64]

_LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class Flat(Prior):
    """Flat, improper: p(x) ∝ 1, over the line for a location, over x > 0 for a scale.

    Flat on a group standard deviation is the uniform prior of Gelman (2006), "Prior distributions
    for variance parameters in hierarchical models", Bayesian Analysis 1, section 2.2.
    """

    kinds = frozenset({"location", "scale"})
    code: ClassVar[dict[str, int]] = {"location": 0, "scale": 0}

    @property
    def proper(self) -> bool:
        """Never: a flat prior has no integral."""
        return False

    def log_density(self, x: Any) -> Array:
        """0 everywhere."""
        return np.zeros_like(as_array(x))


@dataclass(frozen=True)
class Normal(Prior):
    """Normal for a location: log p(x) = -log(2 pi sd^2)/2 - (x - mean)^2 / (2 sd^2).

    Parameters
    ----------
    mean, sd : float
        Mean and standard deviation, in the units of the parameter; sd > 0.
    """

    mean: float = 0.0
    sd: float = 1.0
    kinds = frozenset({"location"})
    code: ClassVar[dict[str, int]] = {"location": 1}
    positive = ("sd",)

    def log_density(self, x: Any) -> Array:
        """Log density at ``x``."""
        z = (as_array(x) - self.mean) / self.sd
        return -0.5 * (_LOG_2PI + z * z) - math.log(self.sd)

    def _draw(self, rng: np.random.Generator, size: Size) -> Array:
        return rng.normal(self.mean, self.sd, size)


@dataclass(frozen=True)
class StudentT(Prior):
    """Student's t for a location, with nu degrees of freedom.

    Parameters
    ----------
    nu : float
        Degrees of freedom, > 0.
    location, scale : float
        Center and scale, in the units of the parameter; scale > 0.
    """

    nu: float
    location: float = 0.0
    scale: float = 1.0
    kinds = frozenset({"location"})
    code: ClassVar[dict[str, int]] = {"location": 2}
    positive = ("nu", "scale")

    def log_density(self, x: Any) -> Array:
        """Log density at ``x``."""
        return _log_t((as_array(x) - self.location) / self.scale, self.nu) - math.log(self.scale)

    def _draw(self, rng: np.random.Generator, size: Size) -> Array:
        return self.location + self.scale * rng.standard_t(self.nu, size)


def _log_t(z: Array, nu: float) -> Array:
    # log Gamma((nu+1)/2) - log Gamma(nu/2) - log(nu pi)/2 - (nu+1)/2 log(1 + z^2/nu)
    constant = special.gammaln((nu + 1) / 2) - special.gammaln(nu / 2) - 0.5 * np.log(nu * np.pi)
    return np.asarray(constant - (nu + 1) / 2 * np.log1p(z * z / nu))


@dataclass(frozen=True)
class HalfNormal(Prior):
    """Half-normal for a scale: twice the normal(0, sd) on x > 0.

    Parameters
    ----------
    sd : float
        Standard deviation of the normal that is folded, in the units of the parameter; > 0.
    """

    sd: float = 1.0
    kinds = frozenset({"scale"})
    code: ClassVar[dict[str, int]] = {"scale": 1}
    positive = ("sd",)

    def log_density(self, x: Any) -> Array:
        """Log density at ``x``."""
        return of_scale(x, Normal(0, self.sd).log_density(x) + math.log(2))

    def _draw(self, rng: np.random.Generator, size: Size) -> Array:
        return np.abs(rng.normal(0, self.sd, size))


@dataclass(frozen=True)
class HalfT(Prior):
    """Half-t for a scale: twice Student's t(nu, 0, scale) on x > 0 (Gelman 2006, section 3.2).

    Parameters
    ----------
    nu : float
        Degrees of freedom, > 0.
    scale : float
        Scale, in the units of the parameter; > 0.
    """

    nu: float
    scale: float = 1.0
    kinds = frozenset({"scale"})
    code: ClassVar[dict[str, int]] = {"scale": 2}
    positive = ("nu", "scale")

    def log_density(self, x: Any) -> Array:
        """Log density at ``x``."""
        log_t = _log_t(as_array(x) / self.scale, self.nu)
        return of_scale(x, log_t - math.log(self.scale) + math.log(2))

    def _draw(self, rng: np.random.Generator, size: Size) -> Array:
        return self.scale * np.abs(rng.standard_t(self.nu, size))


@dataclass(frozen=True)
class HalfCauchy(Prior):
    """Half-Cauchy for a scale: p(x) = 2 / (pi scale (1 + x^2/scale^2)) on x > 0.

    Parameters
    ----------
    scale : float
        The prior median, in the units of the parameter; > 0.
    """

    scale: float = 1.0
    kinds = frozenset({"scale"})
    code: ClassVar[dict[str, int]] = {"scale": 3}
    positive = ("scale",)

    def log_density(self, x: Any) -> Array:
        """Log density at ``x``."""
        z = as_array(x) / self.scale
        return of_scale(x, math.log(2 / (math.pi * self.scale)) - np.log1p(z * z))

    def _draw(self, rng: np.random.Generator, size: Size) -> Array:
        return self.scale * np.abs(rng.standard_cauchy(size))


@dataclass(frozen=True)
class Exponential(Prior):
    """Exponential for a scale: p(x) = rate exp(-rate x).

    Parameters
    ----------
    rate : float
        One over the prior mean, in one over the units of the parameter; > 0.
    """

    rate: float = 1.0
    kinds = frozenset({"scale"})
    code: ClassVar[dict[str, int]] = {"scale": 4}
    positive = ("rate",)

    def log_density(self, x: Any) -> Array:
        """Log density at ``x``."""
        return of_scale(x, math.log(self.rate) - self.rate * as_array(x))

    def _draw(self, rng: np.random.Generator, size: Size) -> Array:
        return rng.exponential(1 / self.rate, size)


@dataclass(frozen=True)
class Uniform(Prior):
    """Uniform for a scale: p(x) = 1/upper on (0, upper).

    Parameters
    ----------
    upper : float
        Upper end of the support, in the units of the parameter; > 0. ``Uniform(0, upper)`` is
        the same: a standard deviation begins at 0.
    """

    upper: float
    kinds = frozenset({"scale"})
    code: ClassVar[dict[str, int]] = {"scale": 5}
    positive = ("upper",)

    def __init__(self, *bounds: float, upper: float | None = None) -> None:
        if upper is not None:
            bounds = (*bounds, upper)
        if len(bounds) not in (1, 2) or (len(bounds) == 2 and bounds[0] != 0):
            raise PriorError(
                "Uniform: takes its upper end, as Uniform(10) or Uniform(0, 10), and begins at 0, "
                f"where a standard deviation does; got {', '.join(map(repr, bounds)) or 'nothing'}"
            )
        object.__setattr__(self, "upper", bounds[-1])
        self.__post_init__()

    def log_density(self, x: Any) -> Array:
        """Log density at ``x``; minus infinity above ``upper``."""
        return of_scale(x, np.where(as_array(x) <= self.upper, -math.log(self.upper), -np.inf))

    def _draw(self, rng: np.random.Generator, size: Size) -> Array:
        return self.upper * (1 - rng.random(size))  # never 0


@dataclass(frozen=True)
class LKJ(Prior):
    """LKJ for a correlation matrix: p(Omega) ∝ det(Omega)^(eta - 1).

    Lewandowski, Kurowicka and Joe (2009), Journal of Multivariate Analysis 100, 1989-2001.

    Parameters
    ----------
    eta : float
        1 is uniform over correlation matrices, above 1 favours small correlations; > 0.
    """

    eta: float = 2.0
    kinds = frozenset({"correlation"})
    code: ClassVar[dict[str, int]] = {"correlation": 0}
    positive = ("eta",)

    def log_density(self, x: Any) -> Array:
        """Log density of Omega's Cholesky factor, shape (..., K, K).

        For the lower factor L: c_K + sum over k = 2..K of (K - k + 2 eta - 2) log L_kk, where the
        constant c_K is that of Lewandowski et al. (2009), section 3.
        """
        L = as_array(x)
        K = L.shape[-1]
        k = np.arange(2, K + 1)
        log_diagonal = np.log(np.diagonal(L, axis1=-2, axis2=-1)[..., 1:])
        return np.asarray(
            np.sum((K - k + 2 * self.eta - 2) * log_diagonal, axis=-1) + self._constant(K)
        )

    def draw(self, rng: np.random.Generator, size: Size, K: int = 2) -> Array:
        """Independent draws of Omega's Cholesky factor, shape (..., K, K).

        Parameters
        ----------
        rng : Generator
        size : int or tuple of int
        K : int
            Rows of the correlation matrix, at least 1.
        """
        return draws.lkj(rng, self.eta, K, size)

    def _constant(self, K: int) -> float:
        # Each canonical partial correlation in column k is beta(a, a) on (-1, 1) with
        # a = eta + (K - 1 - k)/2; row by row these give the constant of the Cholesky factor:
        # sum over k of log Gamma(eta + (K-1)/2) - k/2 log pi - log Gamma(eta + (K-1-k)/2).
        k = np.arange(1, K)
        return float(
            np.sum(
                special.gammaln(self.eta + (K - 1) / 2)
                - 0.5 * k * math.log(math.pi)
                - special.gammaln(self.eta + (K - 1 - k) / 2)
            )
        )


FAMILIES: dict[str, type[Prior]] = {
    cls.__name__: cls
    for cls in (
        Flat,
        Normal,
        StudentT,
        HalfNormal,
        HalfT,
        HalfCauchy,
        Exponential,
        Uniform,
        InverseGamma,
        GammaPrecision,
        LogFlat,
        LKJ,
    )
}
"""The families by name."""
