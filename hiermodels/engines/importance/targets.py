"""What independent draws are made of: the marginal posterior of as few hyperparameters as will do.

Under normal or flat priors mu and beta, too, integrate out of the marginal likelihood: given tau,
Omega and sigma they are normal (generalized least squares; Gelman et al., Bayesian Data Analysis,
3rd ed., section 15.2),

    Q = W' V^-1 W + P0,   E = Q^-1 (W' V^-1 y + P0 m0),   var = Q^-1,

with W = [z, x]. What is left to propose is (tau, Omega, sigma): mu, whose posterior widens with tau
until no proposal of one shape covers it, is drawn from its own distribution. Under Student's t all
hyperparameters are proposed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...families.gaussian import laplace, marginal
from ...families.gaussian.hyperparameters import Hyperparameters
from ...families.gaussian.laplace import Standardization
from ...families.gaussian.rotation import Rotated
from ...priors.distributions import Flat, Normal, Prior

__all__ = ["Target"]

Array = NDArray[np.float64]

_LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class Target:
    """A density of some of the hyperparameters, and the others given them.

    Parameters
    ----------
    hyper : Hyperparameters
    standard : Standardization
        Mode and curvature of all of them.
    """

    hyper: Hyperparameters
    standard: Standardization

    @cached_property
    def _coefficients(self) -> list[Prior]:
        """Priors of mu and beta, one for each column."""
        design, priors = self.hyper.design, self.hyper.priors
        mu = priors.as_list("mu")
        beta = priors.as_list("beta") if "beta" in priors else []
        return [*(mu * design.K if len(mu) == 1 else mu), *beta][: design.K + design.P]

    @cached_property
    def integrates(self) -> bool:
        """Whether mu and beta integrate out."""
        return all(isinstance(p, (Normal, Flat)) for p in self._coefficients)

    @cached_property
    def kept(self) -> NDArray[np.int64]:
        """Places in u of what is proposed."""
        blocks = ["tau", "Omega", "sigma"]
        if not self.integrates:
            return np.arange(self.hyper.size)
        places = [np.arange(self.hyper.size)[self.hyper.part(name)] for name in blocks]
        return np.concatenate(places)

    @property
    def centre(self) -> Array:
        """Where the mode of all hyperparameters has them, shape (d,)."""
        return self.standard.centre[self.kept]

    @property
    def root(self) -> Array:
        """Root of their covariance by the curvature there, shape (d, d)."""
        rows = self.standard.root[self.kept]
        return np.asarray(np.linalg.cholesky(rows @ rows.T))

    def log_density(self, x: Array) -> Array:
        """Log p(x, y) at n points, with all constants, shape (n,)."""
        if not self.integrates:
            return laplace.log_posterior(self.hyper, x)
        with np.errstate(all="ignore"):
            values = self.hyper.values(self._whole(x))
            prior = self.hyper.log_prior(values)
            out = self.hyper.log_jacobian(self._whole(x))
            out = out + sum(v for name, v in prior.items() if name not in ("mu", "beta"))
            out = out + self._evidence(x)[0]
        return np.where(np.isfinite(out), out, -np.inf)

    def complete(self, x: Array, rng: np.random.Generator) -> Array:
        """All hyperparameters: one draw of mu and beta given each x, shape (n, size)."""
        if not self.integrates:
            return x
        u = self._whole(x)
        _, mean, precision = self._evidence(x)
        # L' z = noise has covariance (L L')^-1.
        L = np.linalg.cholesky(precision)
        noise = rng.standard_normal(mean.shape)
        z = np.linalg.solve(np.swapaxes(L, 1, 2), noise[:, :, None])[:, :, 0]
        K = self.hyper.design.K
        u[:, self.hyper.part("mu")] = (mean + z)[:, :K]
        u[:, self.hyper.part("beta")] = (mean + z)[:, K:]
        return u

    def of(self, name: str) -> NDArray[np.bool_]:
        """Which coordinates of x belong to a block."""
        places = np.arange(self.hyper.size)[self.hyper.part(name)]
        return np.isin(self.kept, places)

    @cached_property
    def _turned(self) -> Rotated:
        """The groups' rows, less the lines at the mode: H_yy - b'E is no difference of more."""
        d = self.hyper.design
        if not self.standard.found:
            return d.rotated
        u = self.standard.centre
        mode = np.concatenate([u[self.hyper.part("mu")], u[self.hyper.part("beta")]])
        return d.rotated.less(mode - d.rotated.more)

    def _whole(self, x: Array) -> Array:
        u = np.zeros((len(x), self.hyper.size))
        u[:, self.kept] = x
        return u

    def _evidence(self, x: Array) -> tuple[Array, Array, Array]:
        """Log p(y | tau, Omega, sigma); mean and precision of the centred coefficients."""
        d = self.hyper.design
        values = self.hyper.values(self._whole(x))
        assert values.sigma is not None  # noqa: S101 - these models learn it
        Lambda = marginal.forward(d) @ (values.tau[:, :, None] * values.L_Omega)
        r, variance = self._turned, values.sigma**2
        H, log_det = marginal.generalized_products(r, Lambda, variance)
        proper = [p for p in self._coefficients if isinstance(p, Normal)]
        p0 = np.array([p.sd**-2 if isinstance(p, Normal) else 0.0 for p in self._coefficients])
        m0 = np.array([p.mean if isinstance(p, Normal) else 0.0 for p in self._coefficients])
        shift, back = d.back
        off = m0 - shift - back @ r.more
        Q = H[:, :-1, :-1] + back.T @ (p0[:, None] * back)
        b = H[:, :-1, -1] + back.T @ (p0 * off)
        finite = np.all(np.isfinite(Q), axis=(1, 2)) & np.all(np.isfinite(b), axis=1)
        # Where tau or sigma are so large that nothing is left of a precision there is no weight.
        sign, log_det_q = np.linalg.slogdet(np.where(finite[:, None, None], Q, np.eye(len(p0))))
        finite = np.asarray(finite & (sign > 0) & (log_det_q > -600), dtype=bool)
        Q = np.where(finite[:, None, None], Q, np.eye(len(p0)))
        mean = np.linalg.solve(Q, b[:, :, None])[:, :, 0]
        half = d.N * (_LOG_2PI + np.log(variance[:, 0])) + log_det
        half = half + H[:, -1, -1] + p0 @ off**2 - np.sum(b * mean, axis=1)
        half = half + log_det_q - sum(math.log(p.sd**-2) for p in proper)
        half = half - (len(p0) - len(proper)) * _LOG_2PI
        evidence = np.where(finite, -0.5 * half, -np.inf)
        return (
            np.asarray(evidence, dtype=np.float64),
            np.asarray(mean + r.more, dtype=np.float64),
            Q,
        )
