"""The prior distributions, as data for the Stan programs, and what they leave proper.

A prior is a family and at most three numbers. ``stan_models/priors.stanfunctions`` has the same
families under the same codes; what is computed there in Stan, :meth:`Prior.log_density` computes
here in NumPy, each beside its formula. :meth:`Prior.draw` draws from them, without Stan.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ..errors import PriorError, shown
from . import draws
from .draws import Size

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


# Numbers whose squares a double holds.
_SMALLEST, _LARGEST = 1e-150, 1e150


@dataclass(frozen=True)
class Prior:
    """A prior distribution: a family and its numbers.

    Attributes
    ----------
    kinds : set of str
        The kinds of parameter that can have it: "location", "scale", "correlation".
    """

    kinds: ClassVar[frozenset[str]] = frozenset()
    code: ClassVar[dict[str, int]] = {}
    positive: ClassVar[tuple[str, ...]] = ()
    nonnegative: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(
                value, (int, float, np.integer, np.floating)
            ):
                raise PriorError(
                    f"{type(self).__name__}: {field.name} must be a number, got {shown(value)}"
                )
            try:
                value = float(value)
            except OverflowError:  # a whole number of hundreds of digits
                value = math.inf if value > 0 else -math.inf
            if not math.isfinite(value):
                raise PriorError(
                    f"{type(self).__name__}: {field.name} must be finite, got {value}; "
                    "for no prior information use Flat()"
                )
            if field.name in self.positive and value <= 0:
                raise PriorError(
                    f"{type(self).__name__}: {field.name} must be above 0, got {value:g}"
                )
            if field.name in self.nonnegative and value < 0:
                raise PriorError(
                    f"{type(self).__name__}: {field.name} must not be negative, got {value:g}"
                )
            if value and not _SMALLEST <= abs(value) <= _LARGEST:
                raise PriorError(
                    f"{type(self).__name__}: {field.name} must be of a size from {_SMALLEST:g} to "
                    f"{_LARGEST:g}, got {value:g}; take other units, or Flat() for no information"
                )
            object.__setattr__(self, field.name, value)

    @property
    def numbers(self) -> tuple[float, ...]:
        """The family's numbers, in the order of the constructor."""
        return tuple(getattr(self, f.name) for f in fields(self))

    @property
    def proper(self) -> bool:
        """Whether the prior integrates to one."""
        return True

    def hyper(self) -> list[float]:
        """The three numbers that Stan is given, those that the family lacks as 0."""
        return [*self.numbers, 0.0, 0.0, 0.0][:3]

    def log_density(self, x: Any) -> Array:
        """Log density at ``x``, elementwise, with every constant (without, where improper)."""
        raise NotImplementedError(x)  # pragma: no cover - every family has its own

    def draw(self, rng: np.random.Generator, size: Size) -> Array:
        """Independent draws.

        Parameters
        ----------
        rng : Generator
        size : int or tuple of int
            Their number, or the shape of the array of them.

        Raises
        ------
        PriorError
            The prior is improper.
        """
        if not self.proper:
            raise PriorError(
                f"{self} is improper, so it has no draws; take a proper prior, such as Normal(0, 1)"
                " for a mean or HalfNormal(1) for a standard deviation"
            )
        return np.asarray(self._draw(rng, size), dtype=np.float64)

    def _draw(self, rng: np.random.Generator, size: Size) -> Array:
        raise NotImplementedError(rng)  # pragma: no cover - every proper family has its own

    def __str__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{n:.4g}' for n in self.numbers)})"


def _array(x: Any) -> Array:
    return np.asarray(x, dtype=np.float64)


def _of_scale(x: Any, log_density: Any) -> Array:
    """The log density of a scale, minus infinity below 0."""
    return np.where(_array(x) >= 0, log_density, -np.inf)


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
        return np.zeros_like(_array(x))


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
        z = (_array(x) - self.mean) / self.sd
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
        return _log_t((_array(x) - self.location) / self.scale, self.nu) - math.log(self.scale)

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
        return _of_scale(x, Normal(0, self.sd).log_density(x) + math.log(2))

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
        log_t = _log_t(_array(x) / self.scale, self.nu)
        return _of_scale(x, log_t - math.log(self.scale) + math.log(2))

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
        z = _array(x) / self.scale
        return _of_scale(x, math.log(2 / (math.pi * self.scale)) - np.log1p(z * z))

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
        return _of_scale(x, math.log(self.rate) - self.rate * _array(x))

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
        return _of_scale(x, np.where(_array(x) <= self.upper, -math.log(self.upper), -np.inf))

    def _draw(self, rng: np.random.Generator, size: Size) -> Array:
        return self.upper * (1 - rng.random(size))  # never 0


def _log_power_gamma(x: Any, shape: float, b: float) -> Array:
    """Log density of a scale x whose precision x^-2 is gamma(shape, rate b).

    p(x) = b^shape / Gamma(shape) * 2 x^(-2 shape - 1) exp(-b / x^2): the gamma density at x^-2
    times the Jacobian 2 x^-3. The inverse-gamma(shape, b) density at x^2 times 2 x is the same.
    """
    x = _array(x)
    constant = shape * math.log(b) - special.gammaln(shape) if shape > 0 and b > 0 else 0.0
    with np.errstate(all="ignore"):
        log_density = constant + math.log(2) - (2 * shape + 1) * np.log(x) - b / (x * x)
    # At 0 the exponential wins, where there is one.
    at_0 = -np.inf if b > 0 else np.inf
    return _of_scale(x, np.where(x == 0, at_0, log_density))


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
        L = _array(x)
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
