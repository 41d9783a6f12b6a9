"""What a prior distribution is: its class, its numbers, its density and its draws."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..errors import PriorError, shown
from .draws import Size

__all__ = ["Prior", "as_array", "of_scale"]

Array = NDArray[np.float64]

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


def as_array(x: Any) -> Array:
    """Numbers as float64."""
    return np.asarray(x, dtype=np.float64)


def of_scale(x: Any, log_density: Any) -> Array:
    """The log density of a scale, minus infinity below 0."""
    return np.where(as_array(x) >= 0, log_density, -np.inf)
