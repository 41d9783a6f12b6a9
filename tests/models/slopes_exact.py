"""The exact posterior of varying slopes with K = 2, by a slow quadrature that shares no code.

The group effects and both means integrate out in closed form (normal priors on the means), leaving
(log tau_1, log tau_2, atanh rho, log sigma), which the trapezoid rule goes over in four dimensions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize


def posterior(frame: pd.DataFrame, mu_sd: float, scale: float, eta: float) -> dict[str, Any]:
    """Means and sds under mu ~ N(0, mu_sd), tau and sigma ~ half-normal(scale), LKJ(eta).

    ``frame`` has columns ``group``, ``x`` and ``y``.
    """
    blocks = [
        (np.column_stack([np.ones(len(part)), part["x"]]), part["y"].to_numpy())
        for _, part in frame.groupby("group")
    ]
    products = [(Z.T @ Z, Z.T @ y, y @ y, len(y)) for Z, y in blocks]

    def log_density(q: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        t1, t2, rho, s = np.exp(q[0]), np.exp(q[1]), np.tanh(q[2]), np.exp(q[3])
        n = len(t1)
        Sigma = np.empty((n, 2, 2))
        Sigma[:, 0, 0], Sigma[:, 1, 1] = t1**2, t2**2
        Sigma[:, 0, 1] = Sigma[:, 1, 0] = rho * t1 * t2
        P = np.broadcast_to(np.eye(2) / mu_sd**2, (n, 2, 2)).copy()
        h = np.zeros((n, 2))
        log_f = np.full(n, -np.log(mu_sd**2))
        for A, b, c, m in products:
            # V = sigma^2 I + Z Sigma Z' has V^-1 = (I - Z W Z') / sigma^2 with this W.
            W = np.linalg.inv(s[:, None, None] ** 2 * np.linalg.inv(Sigma) + A)
            inner = np.eye(2) + Sigma @ A / s[:, None, None] ** 2
            log_f -= 0.5 * (m * np.log(2 * np.pi * s**2) + np.log(np.linalg.det(inner)))
            left = A @ W
            P += (A - left @ A) / s[:, None, None] ** 2
            h += (b - left @ b) / s[:, None] ** 2
            log_f -= 0.5 * (c - np.einsum("i,nij,j->n", b, W, b)) / s**2
        mean = np.linalg.solve(P, h[:, :, None])[:, :, 0]
        log_f += 0.5 * np.sum(h * mean, axis=1) - 0.5 * np.log(np.linalg.det(P))
        for value in (t1, t2, s):
            log_f += np.log(2 / np.sqrt(2 * np.pi) / scale) - 0.5 * (value / scale) ** 2
        # LKJ(eta) of one correlation: (1 - rho^2)^(eta - 1) / (2^(2 eta - 1) B(eta, eta))
        from scipy.special import betaln

        log_f += (eta - 1) * np.log(1 - rho**2) - (2 * eta - 1) * np.log(2) - betaln(eta, eta)
        log_f += q[0] + q[1] + q[3] + np.log(1 - rho**2)
        return log_f, mean, np.linalg.inv(P)

    found = optimize.minimize(
        lambda q: -log_density(np.array(q)[:, None])[0][0], [-0.5, -0.5, 0.0, 0.0], method="BFGS"
    )
    # Curvature at the mode, for the widths; steps of 0.8 sd leave an error below 1e-9.
    h, eye = 1e-3, np.eye(4)
    signs = [(a, b) for a in (1, -1) for b in (1, -1)]
    pairs = [(i, j) for i in range(4) for j in range(4)]
    at = np.array([found.x + h * (a * eye[i] + b * eye[j]) for i, j in pairs for a, b in signs])
    f = log_density(at.T)[0].reshape(4, 4, 2, 2)
    H = -(f[:, :, 0, 0] - f[:, :, 0, 1] - f[:, :, 1, 0] + f[:, :, 1, 1]) / (4 * h * h)
    sd = np.sqrt(np.diag(np.linalg.inv(H)))
    axes = [
        found.x[k] + sd[k] * np.arange(low, high, 0.8)
        for k, (low, high) in enumerate(((-7, 7), (-9, 7), (-6.5, 6.5), (-6, 6)))
    ]
    q = np.stack([x.ravel() for x in np.meshgrid(*axes, indexing="ij")])
    log_f, mean, variance = log_density(q)
    f = np.exp(log_f - log_f.max())
    w = f / f.sum()
    grid = w.reshape([len(x) for x in axes])
    for k in range(4):  # nothing is cut off
        edges = np.moveaxis(grid, k, 0)
        assert max(edges[0].sum(), edges[-1].sum()) < 1e-5, (k, edges[0].sum(), edges[-1].sum())
    natural = {"tau[0]": np.exp(q[0]), "tau[1]": np.exp(q[1]), "rho": np.tanh(q[2])}
    natural["sigma"] = np.exp(q[3])
    out: dict[str, Any] = {}
    for name, x in natural.items():
        m = w @ x
        out[name] = {"mean": m, "sd": np.sqrt(w @ (x - m) ** 2)}
    for k in range(2):
        m = w @ mean[:, k]
        out[f"mu[{k}]"] = {
            "mean": m,
            "sd": np.sqrt(w @ (variance[:, k, k] + (mean[:, k] - m) ** 2)),
        }
    steps = np.prod([x[1] - x[0] for x in axes])
    out["log_evidence"] = log_f.max() + np.log(f.sum() * steps)
    return out
