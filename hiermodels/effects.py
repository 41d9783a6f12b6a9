"""What follows from posterior draws, computed in NumPy: log likelihoods and replicated data.

Everything works on D draws at once, in blocks that bound the memory of what is in between.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .design import Design

Array = NDArray[np.float64]

POINTWISE_BUDGET = 2**30
"""Bytes (1 GiB) that log likelihood and replicated data together may take in a container."""

_BLOCK = 4_000_000  # numbers in each temporary array: 32 MB


@dataclass(frozen=True)
class Draws:
    """D draws of a model's parameters, chains laid end to end.

    Attributes
    ----------
    mu, tau : array, shape (D, K), or None
        Population means and standard deviations; tau is None without partial pooling, mu is None
        without any pooling.
    L_Omega : array, shape (D, K, K), or None
        Cholesky factor (any root will do) of the correlations; None where K is 1 or without
        partial pooling.
    theta : array, shape (D, J, K), or None
        The groups' own coefficients; None under complete pooling, where all are mu.
    beta : array, shape (D, P), or (D, J, P) without any pooling
        Common coefficients.
    sigma : array, shape (D, 1) or (D, J), or None
        Residual sds; None where the standard errors are known.
    """

    mu: Array | None
    tau: Array | None
    L_Omega: Array | None
    theta: Array | None
    beta: Array
    sigma: Array | None

    def __len__(self) -> int:
        return len(self.beta)

    def __getitem__(self, part: slice) -> Draws:
        def cut(values: Array | None) -> Array | None:
            return None if values is None else values[part]

        return Draws(
            cut(self.mu),
            cut(self.tau),
            cut(self.L_Omega),
            cut(self.theta),
            self.beta[part],
            cut(self.sigma),
        )


def pointwise_bytes(design: Design, draws: int) -> int:
    """Bytes that log likelihoods and replicated data take: (2 N + J) x draws x 8."""
    return (2 * design.N + design.J) * draws * 8


def log_likelihood(design: Design, draws: Draws) -> Array:
    """Log density of each row given the parameters, shape (D, N).

    log N(y_i | x_i beta + z_i theta_{j[i]}, sigma_i)
        = -log(2 pi)/2 - log sigma_i - ((y_i - yhat_i) / sigma_i)^2 / 2
    """
    out = np.empty((len(draws), design.N))
    for part, block in _blocks(design, draws):
        sd = _row_sd(design, block)
        z = (design.y - _row_mean(design, block)) / sd
        out[part] = -0.5 * (math.log(2 * math.pi) + z * z) - np.log(sd)
    return out


def replicate(design: Design, draws: Draws, rng: np.random.Generator) -> Array:
    """Replicated data, one set a draw, shape (D, N): y_rep_i ~ N(yhat_i, sigma_i)."""
    out = np.empty((len(draws), design.N))
    for part, block in _blocks(design, draws):
        noise = rng.standard_normal(out[part].shape)
        out[part] = _row_mean(design, block) + _row_sd(design, block) * noise
    return out


def log_likelihood_group(design: Design, draws: Draws) -> Array | None:
    """Log density of each group's rows given the hyperparameters, shape (D, J).

    The group effects are integrated out. With Lambda = diag(tau) L_Omega, r the group's residuals
    y - x beta - z mu, and rows weighted by 1/sigma^2,

        A = sum z' z / sigma^2,  b = sum z' r / sigma^2,  c = sum r^2 / sigma^2,
        M = I + Lambda' A Lambda,  v = Lambda' b,
        log p(y_j) = -n_j/2 log(2 pi) - sum log sigma - log|M|/2 - (c - v' M^-1 v)/2,

    which is the multivariate normal log density with covariance z Sigma z' + diag(sigma^2) by the
    matrix determinant lemma and the Woodbury identity (Harville 1997, Matrix Algebra From a
    Statistician's Perspective, sections 18.1 and 18.2). Under complete pooling it is the sum of
    the rows' log densities. Without pooling group effects have no distribution: None.
    """
    if draws.mu is None:
        return None
    if draws.tau is None:
        out = np.empty((len(draws), design.J))
        for part, block in _blocks(design, draws):
            out[part] = design.group_sums(log_likelihood(design, block))
        return out
    K = design.K
    out = np.empty((len(draws), design.J))
    for part, block in _blocks(design, draws):
        assert block.mu is not None  # noqa: S101 - for the type checker
        assert block.tau is not None  # noqa: S101 - for the type checker
        sd = np.broadcast_to(_row_sd(design, block), (len(block), design.N))
        w = 1 / sd**2
        r = design.y - block.beta @ design.x.T - block.mu @ design.z.T
        z = design.z
        c = design.group_sums(w * r * r)
        b = np.stack([design.group_sums(w * r * z[:, k]) for k in range(K)], axis=-1)
        A = np.empty((len(block), design.J, K, K))
        for k in range(K):
            for m in range(k + 1):
                A[..., k, m] = A[..., m, k] = design.group_sums(w * (z[:, k] * z[:, m]))
        Lambda = block.tau[:, :, None] * (np.eye(K) if block.L_Omega is None else block.L_Omega)
        Lambda = Lambda[:, None]  # one for all groups of a draw
        M = np.eye(K) + np.swapaxes(Lambda, -1, -2) @ A @ Lambda
        v = (np.swapaxes(Lambda, -1, -2) @ b[..., None])[..., 0]
        root = np.linalg.cholesky(M)
        log_det = 2 * np.sum(np.log(np.diagonal(root, axis1=-2, axis2=-1)), axis=-1)
        explained = np.sum(v * np.linalg.solve(M, v[..., None])[..., 0], axis=-1)
        log_sd = design.group_sums(np.log(sd))
        out[part] = (
            -0.5 * design.sizes * math.log(2 * math.pi)
            - log_sd
            - 0.5 * log_det
            - 0.5 * (c - explained)
        )
    return out


def _blocks(design: Design, draws: Draws) -> Iterator[tuple[slice, Draws]]:
    step = max(1, _BLOCK // max(design.N, design.J * design.K**2, 1))
    for start in range(0, len(draws), step):
        part = slice(start, min(start + step, len(draws)))
        yield part, draws[part]


def _row_mean(design: Design, draws: Draws) -> Array:
    """Mean of each row, shape (D, N): x_i beta + z_i theta_{j[i]}."""
    if draws.beta.ndim == 3:  # one for each group
        mean = np.zeros((len(draws), design.N))
        for p in range(design.P):
            mean += draws.beta[:, design.index, p] * design.x[:, p]
    else:
        mean = draws.beta @ design.x.T
    if draws.theta is None:
        assert draws.mu is not None  # noqa: S101 - complete pooling has mu
        return np.asarray(mean + draws.mu @ design.z.T)
    for k in range(design.K):
        mean += draws.theta[:, design.index, k] * design.z[:, k]
    return np.asarray(mean)


def _row_sd(design: Design, draws: Draws) -> Array:
    """Residual sd of each row, shape (D, N), or (D, 1) or (1, N) where that says it all."""
    if draws.sigma is None:
        assert design.se is not None  # noqa: S101 - known standard errors
        return design.se[None, :]
    return draws.sigma if draws.sigma.shape[1] == 1 else draws.sigma[:, design.index]
