"""Distributions of the quantities of a one-way model, from the table of its (tau, sigma).

mu, theta and what follows from them are normal given tau and sigma: mixtures over the nodes. tau,
sigma and functions of one of them have the lattice's own marginals; the intraclass correlation
depends on both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from ...families.gaussian import marginal, mixtures
from ...families.gaussian.hyperparameters import on_the_line
from ...priors.distributions import Flat
from . import quadrature
from .integral import Nodes, OneWayIntegral
from .lattices import Lattice

__all__ = ["Marginals"]

Array = NDArray[np.float64]

_SCALES = {
    f"{form}{name}{power}": (k, form, power)
    for k, name in enumerate(("tau", "sigma"))
    for form, power in (("", ""), ("", "2"), ("log_", ""))
}
# Functions of one standard deviation: which one, and what of it.


@dataclass(frozen=True)
class Marginals:
    """Moments, quantiles and distribution functions by name; arrays of one number, or of J.

    Attributes
    ----------
    integral : OneWayIntegral
    lattice : Lattice
    powers : tuple of int
        Highest moment of tau, and of sigma, guaranteed to be finite.
    """

    integral: OneWayIntegral
    lattice: Lattice
    powers: tuple[int, ...]

    @property
    def quantities(self) -> tuple[str, ...]:
        """The names of what can be asked for."""
        tau = ("tau", "tau2", "log_tau")
        if self.integral.dims == 1:
            return ("mu", *tau, "theta", "theta_new")
        sigma = ("sigma", "sigma2", "log_sigma")
        return ("mu", *tau, *sigma, "icc", "theta", "theta_new", "y_new")

    @cached_property
    def nodes(self) -> Nodes:
        """The nodes of the quadrature, and mu given each."""
        return self.integral.nodes(*self.lattice.nodes(self.lattice.every))

    def nodes_at(self, u: Array) -> Nodes:
        """The nodes of sigma where tau is given."""
        if self.integral.dims == 1:
            return self.integral.nodes(u[None], np.ones(1))
        table = self._sigma_given(u[0])
        v, w = table.nodes(table.every)
        return self.integral.nodes(np.column_stack([np.full(len(v), u[0]), v]), w)

    def _sigma_given(self, u_tau: float) -> Lattice:
        """A lattice of sigma's own: given a tau that is unlike it may lie where no node is."""

        def log_density(v: Array) -> Array:
            points = np.column_stack([np.full(len(v), u_tau), v])
            return self.integral.log_density(points)

        start, width = self.integral.guess()
        return quadrature.lattice(log_density, start[1:], width[1:])

    def components(self, name: str, groups: Any = slice(None)) -> tuple[Array, Array, Array]:
        """Weights, means and sds of the components of a quantity that is a normal mixture.

        Parameters
        ----------
        name : {"mu", "theta", "theta_new", "y_new"}
        groups : slice or array of int
            Places of the groups, for ``theta``.

        Returns
        -------
        weights : array, shape (M,)
        means, sds : array, shape (M, n)
        """
        nodes = self.nodes
        if name == "theta":
            return (nodes.weight, *self.integral.effects(nodes, groups))
        variance = nodes.mu_variance
        if name != "mu":
            variance = variance + nodes.tau**2
        if name == "y_new":
            assert nodes.sigma is not None  # noqa: S101 - quantities has no y_new then
            variance = variance + nodes.sigma**2
        return (
            nodes.weight,
            (self.integral.centre + nodes.mu_mean)[:, None],
            np.sqrt(variance)[:, None],
        )

    # ---- moments, quantiles, distribution functions, each of shape (n,) ----------------------

    def moments(self, name: str) -> tuple[Array, Array]:
        """Means and sds, each of shape (n,); infinite or NaN where they do not exist."""
        if name in _SCALES or name == "icc":
            u, w = self.lattice.nodes(self.lattice.every)
            x = self.of_scales(name, u)
            mean = float(w @ x)
            sd = math.sqrt(w @ (x - mean) ** 2)
            if name == "icc" and mean > 0.5:
                # 1 - icc varies as much, and near icc = 1 it keeps the digits.
                rest = special.expit(-self._log_odds(u))
                off = float(w @ rest)
                mean, sd = 1 - off, math.sqrt(w @ (rest - off) ** 2)
            bounded = name == "icc" or name.startswith("log_")
            power = 0 if bounded else 2 if name.endswith("2") else 1
            most = 4 if bounded else self.powers[_SCALES[name][0]]
            mean = mean if power <= most else math.inf
            return np.array([mean]), np.array([sd if 2 * power <= most else math.inf])
        if name == "theta":
            parts = [
                mixtures.moments(*self.components(name, part))
                for part in marginal.blocks(len(self.nodes.weight), self.integral.design.J)
            ]
            return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
        mean_, sd_ = mixtures.moments(*self.components(name))
        # A flat mu is as wide as tau; a new group is, whatever mu's prior.
        wide = name != "mu" or isinstance(self.integral.priors["mu"], Flat)
        if wide and min(self.powers) < 1:
            mean_ = np.full(1, math.nan)
        if wide and min(self.powers) < 2:
            sd_ = np.full(1, math.inf)
        return mean_, sd_

    def _log_odds(self, u: Array) -> Array:
        """Logit of the intraclass correlation, log(tau^2 / sigma^2), which never rounds to 1."""
        tau, sigma = self.integral.scales(u)
        assert sigma is not None  # noqa: S101 - quantities has no icc then
        return np.asarray(2 * (np.log(tau) - np.log(sigma)))

    def of_scales(self, name: str, u: Array) -> Array:
        """What a function of tau and sigma is at points of shape (M, dims): (M,)."""
        tau, sigma = self.integral.scales(u)
        if name == "icc":
            assert sigma is not None  # noqa: S101 - quantities has no icc then
            return np.asarray(1 / (1 + (sigma / tau) ** 2))
        k, form, power = _SCALES[name]
        x = sigma if k else tau
        assert x is not None  # noqa: S101 - quantities has no sigma then
        return np.log(x) if form else x**2 if power else x

    def quantile(self, name: str, q: float) -> Array:
        """The values below which the share ``q`` lies, shape (n,)."""
        if name in _SCALES:
            k, form, power = _SCALES[name]
            x = self._scale(k, self.lattice.marginal(k).quantile(np.array([q])))
            return np.asarray(np.log(x) if form else x**2 if power else x)
        if name == "icc":
            u, _ = self.lattice.nodes(self.lattice.every)
            return special.expit(self._quantile_log_odds(q, self._log_odds(u)))
        if name == "theta":
            return np.concatenate(
                [
                    mixtures.quantile(q, *self.components(name, part), tolerance=1e-12)
                    for part in marginal.blocks(len(self.nodes.weight), self.integral.design.J)
                ]
            )
        return mixtures.quantile(q, *self.components(name), tolerance=1e-12)

    def _quantile_log_odds(self, q: float, nodes: Array) -> Array:
        """Quantile of the logit of icc, shape (1,), between the extremes of the nodes."""

        def off(v: float) -> float:
            return float(self._cdf_log_odds(np.array([v]))[0]) - q

        low, high = float(nodes.min()), float(nodes.max())
        # Shares smaller than the error of the distribution function lie at the ends.
        if off(low) >= 0:
            return np.array([low])
        if off(high) <= 0:
            return np.array([high])
        return np.array([optimize.brentq(off, low, high, xtol=1e-14, rtol=8.9e-16)])

    def _scale(self, k: int, u: Array) -> Array:
        return self.integral.hyper.scale("sigma" if k else "tau", u)

    def cdf(self, name: str, x: Array) -> Array:
        """Distribution functions at points, shape (len(x), n)."""
        if name in _SCALES:
            k, form, power = _SCALES[name]
            with np.errstate(over="ignore"):  # beyond all numbers all of it lies below
                at = np.exp(x) if form else np.maximum(x, 0)
            at = np.sqrt(at) if power else at
            ends = self.integral.hyper.upper("sigma" if k else "tau", 1)
            inside = (at > 0) & (at < ends[0])
            out = np.where(at >= ends[0], 1.0, 0.0)
            u = on_the_line(np.where(inside, at, np.minimum(ends[0] / 2, 1)), ends)
            return np.where(inside, self.lattice.marginal(k).cdf(u), out)[:, None]
        if name == "icc":
            inside = (x > 0) & (x < 1)
            below = self._cdf_log_odds(special.logit(np.where(inside, x, 0.5)))
            return np.where(inside, below, x >= 1)[:, None]
        if name == "theta":
            parts = []
            for part in marginal.blocks(len(self.nodes.weight), self.integral.design.J):
                w, m, s = self.components(name, part)
                parts.append(np.stack([mixtures.cdf(v, w, m, s) for v in x]))
            return np.concatenate(parts, axis=1)
        w, m, s = self.components(name)
        return np.stack([mixtures.cdf(v, w, m, s) for v in x])

    def above(self, name: str, x: float) -> Array:
        """P(quantity > x), shape (n,); of mixtures without a difference from 1."""
        if name in _SCALES or name == "icc":
            return np.asarray(1 - self.cdf(name, np.array([x]))[0])
        parts = [slice(None)]
        if name == "theta":
            parts = list(marginal.blocks(len(self.nodes.weight), self.integral.design.J))
        found = []
        for part in parts:
            w, m, s = self.components(name, part)
            found.append(mixtures.cdf(np.array(-x), w, -m, s))
        return np.concatenate(found)

    def _cdf_log_odds(self, v: Array) -> Array:
        """P(logit icc <= v) = P(tau <= sigma exp(v / 2)), sigma by sigma."""
        L, hyper = self.lattice, self.integral.hyper
        mass = np.exp(L.log_f - L.log_f.max())
        mass /= mass.sum()
        nodes, sigma = L.axis(0), self._scale(1, L.axis(1))
        ends = hyper.upper("tau", 1)
        out = np.empty(len(v))
        for i, at in enumerate(v):
            edge = sigma * math.exp(at / 2)
            inside = edge < ends[0]
            u = on_the_line(np.where(inside, edge, ends[0] / 2), ends)
            below = 0.5 + special.sici(np.pi * (u - nodes[:, None]) / L.step[0])[0] / np.pi
            out[i] = np.sum(mass * np.where(inside, below, 1.0))
        return np.clip(out, 0, 1)

    def density_of_tau(self, tau: Array) -> Array:
        """p(tau | y) at values above 0, shape (n,); sigma integrated out, value by value."""
        u = on_the_line(tau, self.integral.hyper.upper("tau", 1))
        log_f = np.empty(len(u))
        for i, at in enumerate(u):
            if self.integral.dims == 1:
                log_f[i] = self.integral.log_density(np.array([[at]]))[0]
            else:
                log_f[i] = self._sigma_given(at).log_total
        slope = self.integral.hyper.log_scale_jacobian("tau", u)
        return np.asarray(np.exp(log_f - slope - self.lattice.log_total))
