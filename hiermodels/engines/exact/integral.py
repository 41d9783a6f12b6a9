"""One-way models with the group effects and their mean integrated out.

Given tau (and sigma) the group means are N(mu, v_j), v_j = tau^2 + sigma^2/n_j (or + sigma_j^2), so
with a normal or flat prior mu is normal and integrates out in closed form (Gelman et al., Bayesian
Data Analysis, 3rd ed., section 5.4). Student's t is a normal distribution whose precision is
multiplied by lambda ~ gamma(nu/2, nu/2) (ibid., section 17.2): a quadrature over log lambda, each
node of it a normal prior, keeps everything normal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ...families.gaussian import laplace, marginal
from ...families.gaussian.hyperparameters import Hyperparameters
from ...families.gaussian.moments import Moments
from ...priors.blocks import Priors
from ...priors.distributions import Flat, Normal, StudentT

__all__ = ["Mean", "Nodes", "OneWayIntegral", "Sums"]

Array = NDArray[np.float64]

_LOG_2PI = math.log(2 * math.pi)
_LEAST_WEIGHT = 1e-20  # of a node, beside the heaviest


@dataclass(frozen=True)
class Sums:
    """What M pairs of tau and sigma make of the group means: each of shape (M,).

    With r_j = 1/v_j: ``precision`` = sum r_j, ``weighted`` = sum r_j ybar_j, ``log_v`` = sum log
    v_j; and ``r`` itself, by class of groups of one variance, shape (M, C). Means are those of the
    centred response.
    """

    precision: Array
    weighted: Array
    log_v: Array
    r: Array

    @property
    def centre(self) -> Array:
        """The weighted mean of the groups' means, shape (M,)."""
        return np.asarray(self.weighted / self.precision)


@dataclass(frozen=True)
class Mean:
    """Posterior of the centred mu given tau and sigma, for each component of its prior: (M, L).

    ``log_evidence`` is the log density of the group means, mu integrated out, times the
    component's weight.
    """

    mean: Array
    precision: Array
    log_evidence: Array


@dataclass(frozen=True)
class Nodes:
    """M nodes of the quadrature: their weights, and the normal posterior of mu given each.

    Means are those of the centred response.
    """

    weight: Array
    tau: Array
    sigma: Array | None
    mu_mean: Array
    mu_variance: Array


@dataclass(frozen=True)
class OneWayIntegral:
    """The marginal posterior of (tau, sigma), or of tau, on the unconstrained scale.

    Parameters
    ----------
    design : Moments
        With K = 1, P = 0 and a residual sd that is known, or common.
    priors : Priors
        Of mu, tau and, where it is not known, sigma.
    kept : array of int, optional
        Those of the components of mu's prior that count; by default all.
    """

    design: Moments
    priors: Priors
    kept: NDArray[np.int64] | None = None

    @cached_property
    def hyper(self) -> Hyperparameters:
        """The hyperparameters' layout."""
        return Hyperparameters(self.design, self.priors)

    @property
    def dims(self) -> int:
        """1 where the standard errors are known, else 2."""
        return 1 if self.design.residual == "known" else 2

    @property
    def centre(self) -> float:
        """What was taken off the response."""
        return float(self.design.offset[-1])

    @cached_property
    def _classes(self) -> tuple[Array, ...]:
        n, count, ybar, ss = laplace.classes(self.design)
        if self.design.residual == "known":
            known, share = marginal.known_variance(self.design), np.zeros(len(n))
        else:
            known, share = np.zeros(len(n)), 1 / n
        return known, share, count, ybar, ss

    @property
    def classes(self) -> int:
        """Number of different variances among the groups."""
        return len(self._classes[2])

    @cached_property
    def _within(self) -> tuple[float, int, float]:
        """Squares within groups, their degrees of freedom, and sum log n_j."""
        d = self.design
        if d.residual == "known":
            return 0.0, 0, 0.0
        return float(d.within.rss.sum()), d.N - d.J, float(np.log(d.sizes).sum())

    @cached_property
    def components(self) -> tuple[Array, Array, Array]:
        """The prior of the centred mu as normal components: mean, precision, log weight."""
        mean, precision, log_weight = self._all_components
        part = slice(None) if self.kept is None else self.kept
        return mean[part], precision[part], log_weight[part]

    @cached_property
    def _all_components(self) -> tuple[Array, Array, Array]:
        prior = self.priors["mu"]
        one = np.zeros(1)
        if isinstance(prior, Flat):
            return one, one, one
        if isinstance(prior, Normal):
            return np.array([prior.mean - self.centre]), np.array([prior.sd**-2]), one
        assert isinstance(prior, StudentT)  # noqa: S101 - a location has no other distribution
        half = prior.nu / 2
        # log lambda is about sqrt(2/nu) wide; to the left its density falls as exp(nu/2 w), but as
        # far as the estimates lie from the prior's location it has to go.
        step = min(0.25, 0.5 / math.sqrt(half))
        ybar = self._classes[3]
        away = float(np.max((ybar + self.centre - prior.location) ** 2)) / prior.scale**2
        low = min(-42 / half - 10, math.log(prior.nu / max(away, prior.nu)) - 42)
        w = np.arange(max(low, -600.0), math.log1p(120 / half) + 1, step)
        log_weight = half * math.log(half) - special.gammaln(half) + half * (w - np.exp(w))
        kept = np.exp(w - 2 * math.log(prior.scale)), log_weight + math.log(step)
        return np.full(len(w), prior.location - self.centre), *kept

    def sums(self, tau: Array, sigma: Array | None) -> Sums:
        """Sums over the groups for M pairs, each of shape (M,)."""
        known, share, count, ybar, _ = self._classes
        v = (tau**2)[:, None] + known
        if sigma is not None:
            v += (sigma**2)[:, None] * share
        log_v = np.log(v) @ count
        # In its place: fresh memory costs more than the arithmetic.
        r = np.divide(1, v, out=v)
        return Sums(r @ count, r @ (count * ybar), log_v, r)

    def mean(self, s: Sums) -> Mean:
        """Conjugate normal: precision P = S + 1/s0^2, mean (S1 + m0/s0^2) / P.

        The evidence is -1/2 (J log 2 pi + sum log v + sum r (ybar - mean)^2 + (mean - m0)^2/s0^2) +
        1/2 log(1/s0^2 / P), or, with mu flat, + 1/2 log(2 pi / P). The squares are taken about the
        mean: differences of large sums would leave nothing of them where one group is known far
        better than the others.
        """
        m0, p0, log_weight = self.components
        _, _, count, ybar, ss = self._classes
        P = s.precision[:, None] + p0
        m = (s.weighted[:, None] + m0 * p0) / P
        rest = (s.r @ ss)[:, None] + p0 * (m - m0) ** 2
        if len(p0) == 1:
            off = ybar - m
            off *= off
            off *= s.r
            rest[:, 0] += off @ count
        else:
            # About the weighted mean, and from there to each component's: all signs are +.
            own = np.sum(s.r * (count * (ybar - s.centre[:, None]) ** 2), axis=1)
            rest += own[:, None] + s.precision[:, None] * (m - s.centre[:, None]) ** 2
        flat = isinstance(self.priors["mu"], Flat)
        log_ratio = (_LOG_2PI if flat else np.log(p0)) - np.log(P)
        half = self.design.J * _LOG_2PI + s.log_v[:, None] + rest - log_ratio
        return Mean(m, P, log_weight - 0.5 * half)

    def within(self, sigma: Array | None) -> Array | float:
        """Log density of the rows about their groups' means.

        -(N - J)/2 log(2 pi sigma^2) - sum log n_j / 2 - SSW / (2 sigma^2)
        """
        if sigma is None:
            return 0.0
        ssw, df, log_n = self._within
        return np.asarray(
            -0.5 * (df * (_LOG_2PI + 2 * np.log(sigma)) + log_n + ssw / sigma**2), dtype=np.float64
        )

    def scales(self, u: Array) -> tuple[Array, Array | None]:
        """Tau and sigma at points of shape (M, dims)."""
        return self.hyper.scale("tau", u[:, 0]), (
            self.hyper.scale("sigma", u[:, 1]) if self.dims == 2 else None
        )

    def log_density(self, u: Array) -> Array:
        """Log p(u, y) at points of shape (M, dims): likelihood, priors and Jacobian."""
        tau, sigma = self.scales(u)
        parts = self.mean(self.sums(tau, sigma)).log_evidence
        # SciPy takes longer to see that there is one component than to compute with it.
        evidence = parts[:, 0] if parts.shape[1] == 1 else special.logsumexp(parts, axis=1)
        out = evidence + self.within(sigma) + self.priors["tau"].log_density(tau)
        out = out + self.hyper.log_scale_jacobian("tau", u[:, 0])
        if sigma is not None:
            out = out + self.priors["sigma"].log_density(sigma)
            out = out + self.hyper.log_scale_jacobian("sigma", u[:, 1])
        return np.asarray(out, dtype=np.float64)

    def guess(self) -> tuple[Array, Array]:
        """Where to look for the mode, and how wide the density is there, roughly."""
        d = self.design
        u = laplace.guess(self.hyper)
        start = [u[self.hyper.part("tau")][0]]
        width = [max(1 / math.sqrt(2 * d.J), 1e-4)]
        if self.dims == 2:
            start.append(u[self.hyper.part("sigma")][0])
            width.append(max(1 / math.sqrt(2 * max(d.N - d.J, 1)), 1e-4))
        return np.array(start), np.array(width)

    # ---- what is normal given tau and sigma ---------------------------------------------------

    def nodes(self, u: Array, w: Array) -> Nodes:
        """Nodes of (tau, sigma), and of the components of mu's prior.

        Parameters
        ----------
        u : array, shape (M, dims)
        w : array, shape (M,)
            Probabilities of these points.
        """
        tau, sigma = self.scales(u)
        mu = self.mean(self.sums(tau, sigma))
        share = special.softmax(mu.log_evidence, axis=1) * w[:, None]
        node, component = np.nonzero(share > _LEAST_WEIGHT * share.max())
        weight = share[node, component]
        return Nodes(
            weight / weight.sum(),
            tau[node],
            None if sigma is None else sigma[node],
            mu.mean[node, component],
            1 / mu.precision[node, component],
        )

    def effects(self, nodes: Nodes, groups: Any) -> tuple[Array, Array]:
        """Means and sds of theta_j given the nodes' tau and sigma, mu integrated out: (M, n).

        mean = ybar_j + B_j (E mu - ybar_j), var = (1 - B_j) s_j^2 + B_j^2 var mu, with s_j^2 the
        variance of ybar_j about theta_j. ``groups`` picks them: a slice, or their places.
        """
        d = self.design
        ybar = (d.gram[:, 0, 1] / d.sizes)[groups]
        B, s2 = self.factors(nodes, groups), self.own_variance(nodes, groups)
        m = ybar + B * (nodes.mu_mean[:, None] - ybar)
        s = np.sqrt((1 - B) * s2 + B**2 * nodes.mu_variance[:, None])
        return self.centre + m, s

    def own_variance(self, nodes: Nodes, groups: Any) -> Array:
        """Variance of ybar_j about theta_j: (M, n), or (1, n) where it is known."""
        d = self.design
        if nodes.sigma is None:
            return np.asarray(marginal.known_variance(d)[groups][None])
        return np.asarray(nodes.sigma[:, None] ** 2 / d.sizes[groups])

    def factors(self, nodes: Nodes, groups: Any) -> Array:
        """Pooling factors B_j = s_j^2 / (s_j^2 + tau^2), shape (M, n)."""
        s2 = self.own_variance(nodes, groups)
        return np.asarray(s2 / (s2 + nodes.tau[:, None] ** 2))
