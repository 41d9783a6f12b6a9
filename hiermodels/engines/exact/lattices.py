"""A lattice of one or two unbounded dimensions: integrals, moments and marginals from its nodes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import signal, special

from ...errors import ExactError

__all__ = ["Lattice", "SincMarginal", "TailError"]

Array = NDArray[np.float64]


class TailError(ExactError):
    """The tails are too long: of the density, or of what is to be integrated."""


@dataclass(frozen=True)
class Lattice:
    """Equally spaced nodes, and the log density at them.

    Attributes
    ----------
    first, step : array, shape (d,)
        The first node, and the distances of the nodes.
    log_f : array, d dimensions
        Log density at the nodes, minus infinity where it is negligible.
    error : float
        Relative error of the integral by every second node: more than that of all nodes, and about
        that of a distribution function by all nodes.
    every : int
        2 where every second node of all dimensions is enough for integrals of what is as smooth as
        the density, else 1.
    """

    first: Array
    step: Array
    log_f: Array
    error: float
    every: int = 1

    @cached_property
    def log_total(self) -> float:
        """Log of the integral."""
        return float(special.logsumexp(self.log_f) + np.log(self.step).sum())

    def axis(self, k: int) -> Array:
        """The nodes along one dimension."""
        return np.asarray(self.first[k] + self.step[k] * np.arange(self.log_f.shape[k]))

    def log_nodes(self, every: int = 1) -> tuple[Array, Array]:
        """Points that matter, shape (M, d), and logs of probabilities that add up to 1, shape (M,).

        All of them, or every second one of each dimension.
        """
        part = tuple(slice(None, None, every) for _ in self.log_f.shape)
        log_f = self.log_f[part]
        kept = np.nonzero(log_f > -np.inf)
        points = np.column_stack([self.axis(k)[::every][i] for k, i in enumerate(kept)])
        return points, special.log_softmax(log_f[kept])

    def nodes(self, every: int = 1) -> tuple[Array, Array]:
        """The same with the probabilities themselves."""
        points, log_w = self.log_nodes(every)
        return points, np.exp(log_w)

    def marginal(self, k: int) -> SincMarginal:
        """The distribution of one coordinate."""
        others = tuple(i for i in range(self.log_f.ndim) if i != k)
        mass = np.exp(self.log_f - self.log_f.max()).sum(axis=others)
        return SincMarginal(self.axis(k), self.step[k], mass / mass.sum())


@dataclass(frozen=True)
class SincMarginal:
    """A density by its values at equally spaced nodes.

    Attributes
    ----------
    nodes : array, shape (n,)
    step : float
    mass : array, shape (n,)
        Density times step at each node; adds up to 1.
    """

    nodes: Array
    step: float
    mass: Array

    def cdf(self, x: Array) -> Array:
        """F(x) = sum over k of mass_k (1/2 + Si(pi (x - u_k) / h) / pi)."""
        t = np.pi * (np.atleast_1d(x)[:, None] - self.nodes) / self.step
        below = 0.5 + special.sici(t)[0] / np.pi
        return np.clip(below @ self.mass, 0, 1)

    def density(self, x: Array) -> Array:
        """f(x) = sum over k of mass_k / h sinc((x - u_k) / h)."""
        t = (np.atleast_1d(x)[:, None] - self.nodes) / self.step
        return np.maximum(np.sinc(t) @ self.mass, 0) / self.step

    def quantile(self, q: Array) -> Array:
        """The points below which the shares ``q`` lie, each between 0 and 1."""
        q = np.asarray(q, dtype=np.float64)
        low, high = np.full(q.shape, self.nodes[0]), np.full(q.shape, self.nodes[-1])
        x = self._tabulated(q)
        for _ in range(80):
            off = self.cdf(x) - q
            low, high = np.where(off < 0, x, low), np.where(off > 0, x, high)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                newton = x - off / self.density(x)
            # Bisection where Newton's step leaves the bracket.
            inside = (newton >= low) & (newton <= high)
            step = np.where(off == 0, 0.0, np.where(inside, newton, (low + high) / 2) - x)
            x = x + step
            if np.all(np.abs(step) <= 1e-13 * np.maximum(1, np.abs(x))):
                break
        return np.asarray(x)

    @cached_property
    def _table(self) -> tuple[Array, Array]:
        """F and its slope at the nodes: there F is a convolution."""
        n = len(self.nodes)
        si = special.sici(np.pi * np.arange(1 - n, n))[0] / np.pi
        below = 0.5 + signal.fftconvolve(self.mass, si)[n - 1 : 2 * n - 1]
        return np.maximum.accumulate(np.clip(below, 0, 1)), self.mass / self.step

    def _tabulated(self, q: Array) -> Array:
        return np.asarray(np.interp(q, self._table[0], self.nodes))

    def draw(self, q: Array) -> Array:
        """Quantiles by cubic Hermite interpolation of F between nodes: fast, to about 1e-5 in F."""
        below, density = self._table
        k = np.clip(np.searchsorted(below, q, side="right") - 1, 0, len(below) - 2)
        rise = below[k + 1] - below[k]
        a, b = density[k] * self.step, density[k + 1] * self.step
        target = q - below[k]
        t = np.divide(target, rise, out=np.full(q.shape, 0.5), where=rise > 0)
        t = np.clip(t, 0, 1)
        low, high = np.zeros_like(t), np.ones_like(t)
        for _ in range(40):
            # Hermite's cubic from 0 to the rise, with slopes a and b, less the target.
            off = t * (a + t * ((3 * rise - 2 * a - b) + t * (a + b - 2 * rise))) - target
            low, high = np.where(off < 0, t, low), np.where(off > 0, t, high)
            slope = a + t * (2 * (3 * rise - 2 * a - b) + 3 * t * (a + b - 2 * rise))
            with np.errstate(divide="ignore", invalid="ignore"):
                newton = t - off / slope
            inside = (newton >= low) & (newton <= high)
            new = np.where(inside, newton, (low + high) / 2)
            done = np.all(np.abs(new - t) < 1e-10)
            t = new
            if done:
                break
        return np.asarray(self.nodes[k] + t * self.step)
