"""Exact leave-one-out predictive densities of one-way models.

With phi = (tau, sigma) and mu integrated out, p(y_out | y_rest, phi) is normal, and

    p(y_out | y_rest) = 1 / sum over nodes of w(phi) / p(y_out | y_rest, phi),

because w(phi), the posterior given all data, is p(phi | y_rest) p(y_out | y_rest, phi) up to a
constant. This is the identity behind importance-sampling leave-one-out (Gelfand, Dey and Chang
1992, in Bayesian Statistics 4), made exact by the quadrature: no draws, no weights to go wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from ...errors import ExactError
from . import quadrature
from .integral import Nodes, OneWayIntegral
from .lattices import Lattice, TailError

__all__ = ["ExactLoo", "leave_out"]

Array = NDArray[np.float64]

_LOG_2PI = math.log(2 * math.pi)
_BLOCK = 4_000_000  # nodes times what is left out, at once


@dataclass(frozen=True)
class ExactLoo:
    """Expected log predictive density by leaving out one group, or one observation, at a time.

    Attributes
    ----------
    unit : {"group", "observation"}
    elpd, se : float
        Sum of the log densities of what was left out, and its standard error, the square root of
        n times the variance of the terms (divisor n - 1; Vehtari, Gelman and Gabry 2017,
        Statistics and Computing 27, 1413-1432, equation 23).
    lppd, p_loo : float
        The same densities with nothing left out, summed; what leaving out costs, lppd - elpd. By
        group the effects are integrated out in both, as in :func:`hiermodels.loo`: lppd is the sum
        of log E[p(y_j | hyperparameters)] over the posterior, and ``p_loo`` counts hyperparameters
        alone. By observation theta is given, and ``p_loo`` counts effects as well.
    error : float
        Largest change of a term when every second node is left out.
    table : DataFrame
        One row for each group, or for each row of the data: ``elpd``, ``lppd``, ``p_loo``;
        ``p_waic``, the posterior variance of the log density whose mean is in ``lppd`` (ibid.,
        equation 12); and ``elpd_waic`` = ``lppd`` - ``p_waic``.
    """

    unit: str
    elpd: float
    se: float
    lppd: float
    p_loo: float
    error: float
    table: pd.DataFrame = field(repr=False)

    def __str__(self) -> str:
        return (
            f"exact leave-one-{self.unit}-out: elpd {self.elpd:.2f} (se {self.se:.2f}), "
            f"p_loo {self.p_loo:.2f}, {len(self.table)} terms"
        )


def leave_out(integral: OneWayIntegral, table: Lattice, unit: str) -> ExactLoo:
    """Leave out one group, or one row, at a time.

    What is left out widens the posterior: the lattice is made anew, so deep that it holds each of
    those posteriors.
    """
    d, left = integral.design, _Left(integral, unit)
    first = left.without(*table.log_nodes(table.every))

    def reach(u: Array) -> Array:
        """Log of the highest of the ratios p(phi | y_rest) / p(phi | y)."""
        out = np.empty(len(u))
        step = max(1, _BLOCK // len(first))
        for start in range(0, len(u), step):
            part = u[start : start + step]
            out[start : start + step] = np.max(first - left.by_point(part), axis=1)
        return out

    start, width = integral.guess()
    try:
        lattice = quadrature.lattice(integral.log_density, start, width, reach=reach)
    except TailError as error:
        raise ExactError(
            f"without one {unit} there is no posterior, or its tails are too long: "
            f"{d.J} groups are too few to leave one out under these priors; give tau "
            "and mu proper priors"
        ) from error
    elpd = left.without(*lattice.log_nodes(1)) + left.constant
    coarse = left.without(*lattice.log_nodes(2)) + left.constant
    lppd = left.with_all(*table.nodes(table.every)) + left.constant
    if unit == "group" or d.residual == "known":
        index = pd.Index(d.labels, name=d.group)
    else:
        index = pd.Index(d.rows("leaving rows out").places, name="observation")
    terms = pd.DataFrame({"elpd": elpd, "lppd": lppd, "p_loo": lppd - elpd}, index=index)
    terms["p_waic"] = left.waic(*table.nodes(table.every))
    terms["elpd_waic"] = terms["lppd"] - terms["p_waic"]
    return ExactLoo(
        unit=unit,
        elpd=float(elpd.sum()),
        se=float(math.sqrt(len(elpd)) * elpd.std(ddof=1)),
        lppd=float(lppd.sum()),
        p_loo=float((lppd - elpd).sum()),
        error=float(np.abs(coarse - elpd).max()),
        table=terms,
    )


class _Left:
    """Log densities of what is left out, given the nodes."""

    def __init__(self, integral: OneWayIntegral, unit: str) -> None:
        d = integral.design
        self.integral, self.known = integral, d.residual == "known"
        self.groups = unit == "group"
        self.rows = not self.groups and not self.known
        n = d.sizes.astype(np.float64)
        ybar = d.gram[:, 0, 1] / n
        self.constant = np.zeros(d.J)
        if self.rows:
            rows = d.rows("leaving rows out")
            self.y = rows.y - integral.centre
            self.n, self.ybar = n[rows.index], ybar[rows.index]
            self.group = rows.index
            self.constant = np.zeros(d.N)
        else:
            self.n, self.ybar, self.y = n, ybar, ybar
            self.group = np.arange(d.J)
            if not self.known:
                self.ssw = d.within.rss
                self.constant = -0.5 * np.log(n)

    def waic(self, u: Array, w: Array) -> Array:
        """Posterior variance of log p(y_i | theta, sigma), or of log p(y_j | mu, tau, sigma).

        log p = -log(2 pi s^2)/2 - d^2 / (2 s^2), where d = y_i - theta_j, or ybar_j - mu, is normal
        given the node, with mean a and variance b: E d^2 = a^2 + b, var d^2 = 4 a^2 b + 2 b^2.
        """
        nodes = self.integral.nodes(u, w)
        mean, square = np.zeros(len(self.n)), np.zeros(len(self.n))
        step = max(1, _BLOCK // len(self.n))
        for start in range(0, len(nodes.weight), step):
            part = _cut(nodes, slice(start, start + step))
            mu, b, s2 = self._with_all(part)
            a2 = (self.y - mu) ** 2
            level = -0.5 * (_LOG_2PI + np.log(s2) + (a2 + b) / s2) + self._within(part)
            mean += part.weight @ level
            square += part.weight @ (level**2 + (4 * a2 * b + 2 * b**2) / (4 * s2**2))
        return np.asarray(square - mean**2)

    def without(self, u: Array, log_w: Array) -> Array:
        """Log p(out | rest), shape (n,).

        Weights stay logarithms: where an outlier is left out, the nodes that count have next to no
        weight given all data.
        """
        out = np.full(len(self.n), -np.inf)
        step = max(1, _BLOCK // len(self.n))
        for start in range(0, len(u), step):
            part = slice(start, start + step)
            ratio = log_w[part, None] - self.by_point(u[part])
            out = np.logaddexp(out, special.logsumexp(ratio, axis=0))
        return -out

    def with_all(self, u: Array, w: Array) -> Array:
        """Log of the mean of p(out | theta), or of p(out | mu, tau), given all data: (n,)."""
        nodes = self.integral.nodes(u, w)
        out = np.full(len(self.n), -np.inf)
        step = max(1, _BLOCK // len(self.n))
        for start in range(0, len(nodes.weight), step):
            part = _cut(nodes, slice(start, start + step))
            mean, variance, s2 = self._with_all(part)
            given = _log_normal(self.y, mean, variance + s2) + self._within(part)
            given += np.log(part.weight)[:, None]
            out = np.logaddexp(out, special.logsumexp(given, axis=0))
        return out

    def by_point(self, u: Array) -> Array:
        """Log p(out | rest, phi), components of mu's prior averaged over: shape (len(u), n)."""
        tau, sigma = self.integral.scales(u)
        mu = self.integral.mean(self.integral.sums(tau, sigma))
        log_share = special.log_softmax(mu.log_evidence, axis=1)
        out = np.full((len(u), len(self.n)), -np.inf)
        for c in range(log_share.shape[1]):
            nodes = _nodes(tau, sigma, mu.mean[:, c], 1 / mu.precision[:, c])
            out = np.logaddexp(out, log_share[:, c, None] - self._given_rest(nodes))
        return -out

    def _given_rest(self, nodes: Nodes) -> Array:
        """Log p(out | rest, node), but for constants: (M, n)."""
        v0, tau2 = self.integral.own_variance(nodes, self.group), nodes.tau[:, None] ** 2
        v = tau2 + v0  # of ybar_j about mu
        P, m = 1 / nodes.mu_variance[:, None], nodes.mu_mean[:, None]
        # mu without the group: its precision and mean.
        rest_precision = P - 1 / v
        mw = (P * m - self.ybar / v) / rest_precision
        if not self.rows:
            return _log_normal(self.ybar, mw, v + 1 / rest_precision) + self._within(nodes)
        assert nodes.sigma is not None  # noqa: S101 - it is not known
        s2 = nodes.sigma[:, None] ** 2
        # The group without the row: n - 1 rows, with another mean; none, where it had one.
        rest = self.n - 1
        some = np.maximum(rest, 1)
        ybar = self.ybar - (self.y - self.ybar) / some  # no large sum: groups may lie far apart
        v0_rest = s2 / some
        v_rest = tau2 + v0_rest
        alone = rest == 0
        last_precision = np.where(alone, rest_precision, rest_precision + 1 / v_rest)
        mr = np.where(alone, mw, (rest_precision * mw + ybar / v_rest) / last_precision)
        B = np.where(alone, 1.0, v0_rest / v_rest)
        mean = ybar + B * (mr - ybar)
        own = np.where(alone, tau2, (1 - B) * v0_rest)
        return _log_normal(self.y, mean, s2 + own + B**2 / last_precision)

    def _with_all(self, nodes: Nodes) -> tuple[Array, Array, Array]:
        """What p(y | node) is about: its location's mean and variance given all data, and s^2.

        For a row: theta_j, and the variance of the row about it. For a group: mu, and the variance
        of ybar_j about mu, as the group's effect is integrated out over its population: a new group
        has no other.
        """
        v0, tau2 = self.integral.own_variance(nodes, self.group), nodes.tau[:, None] ** 2
        m, variance = nodes.mu_mean[:, None], nodes.mu_variance[:, None]
        if self.groups:
            return m, variance, v0 + tau2
        # Mean and variance of theta_j given all data and the node.
        B = v0 / (v0 + tau2)
        s2 = v0 if nodes.sigma is None else nodes.sigma[:, None] ** 2
        return self.ybar + B * (m - self.ybar), (1 - B) * v0 + B**2 * variance, s2

    def _within(self, nodes: Nodes) -> Array | float:
        """Log density of a group's rows about their own mean, which say nothing of mu."""
        if self.rows or nodes.sigma is None:
            return 0.0
        s2 = nodes.sigma[:, None] ** 2
        return np.asarray(-0.5 * ((self.n - 1) * (_LOG_2PI + np.log(s2)) + self.ssw / s2))


def _log_normal(x: Array, mean: Array, variance: Array) -> Array:
    return np.asarray(-0.5 * (_LOG_2PI + np.log(variance) + (x - mean) ** 2 / variance))


def _nodes(tau: Array, sigma: Array | None, mean: Array, variance: Array) -> Nodes:
    return Nodes(np.full(len(tau), 1 / len(tau)), tau, sigma, mean, variance)


def _cut(nodes: Nodes, part: slice) -> Nodes:
    return Nodes(
        nodes.weight[part],
        nodes.tau[part],
        None if nodes.sigma is None else nodes.sigma[part],
        nodes.mu_mean[part],
        nodes.mu_variance[part],
    )
