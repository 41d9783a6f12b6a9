"""The exact posterior of one-way random effects, by quadrature: a check that shares no code.

With mu flat or normal, the group means integrate out, and then mu (Gelman et al., Bayesian Data
Analysis, 3rd ed., section 5.4), leaving p(tau, sigma | y) on a plane, where the trapezoid rule in
(log tau, log sigma) converges fast.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

import hiermodels as hm


def _plane(frame: pd.DataFrame, priors: dict[str, Any]) -> tuple[np.ndarray, ...]:
    """Grid of tau and sigma, its probabilities, and mean of mu given them."""
    groups = frame.groupby("group")["y"]
    n, ybar = groups.size().to_numpy(float), groups.mean().to_numpy()
    ssw = float(((frame["y"] - groups.transform("mean")) ** 2).sum())
    N, J = len(frame), len(n)
    # The upper end of a uniform prior is the end of the grid.
    top = priors["tau"].upper if isinstance(priors["tau"], hm.Uniform) else 1e5
    log_tau = np.linspace(np.log(top) - 26, np.log(top), 1501)
    # log sigma has a posterior sd of about 1/sqrt(2 df): twenty points to each.
    df = max(N - J, 1)
    centre, width = 0.5 * np.log(ssw / df), (2 * df) ** -0.5
    log_sigma = np.linspace(centre - 10 * width, centre + 14 * width, 481)
    tau, sigma = np.exp(log_tau)[:, None], np.exp(log_sigma)[None, :]

    # Group by group: 100 groups on the whole plane at once would take gigabytes.
    precision, weighted, squares, log_v = (np.zeros((tau.size, sigma.size)) for _ in range(4))
    for size, average in zip(n, ybar, strict=True):
        v = tau**2 + sigma**2 / size
        precision += 1 / v
        weighted += average / v
        squares += average**2 / v
        log_v += np.log(v)
    if isinstance(priors["mu"], hm.Normal):
        precision = precision + priors["mu"].sd ** -2
        weighted = weighted + priors["mu"].mean / priors["mu"].sd ** 2
        extra = (priors["mu"].mean / priors["mu"].sd) ** 2
    else:
        extra = 0.0
    mean = weighted / precision
    quadratic = squares + extra - weighted * mean
    log_p = -0.5 * log_v - 0.5 * np.log(precision) - 0.5 * quadratic
    log_p = log_p - (N - J) * np.log(sigma) - ssw / (2 * sigma**2)
    log_p = log_p + priors["tau"].log_density(tau) + priors["sigma"].log_density(sigma)
    log_p = log_p + np.log(tau) + np.log(sigma)  # the grid is in logarithms
    p = np.exp(log_p - log_p.max())
    ends = np.ones(len(log_tau))
    ends[[0, -1]] = 0.5
    p = p * ends[:, None]
    p /= p.sum()
    # What lies beyond the grid is nothing (but at the end of a uniform prior, which is the end).
    edge = p[0].max() if isinstance(priors["tau"], hm.Uniform) else max(p[0].max(), p[-1].max())
    assert max(edge, p[:, 0].max(), p[:, -1].max()) < 1e-6 * p.max()

    return tau, sigma, p, mean, precision**-0.5


def posterior(frame: pd.DataFrame, priors: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Mean, sd, q5 and q95 of mu, tau and sigma; columns ``group`` and ``y``."""
    tau, sigma, p, mean, sd = _plane(frame, priors)
    mu_mean = float((p * mean).sum())
    mu_sd = float(np.sqrt((p * (sd**2 + mean**2)).sum() - mu_mean**2))
    grid = np.linspace(mu_mean - 8 * mu_sd, mu_mean + 8 * mu_sd, 801)
    keep = p > 1e-10 * p.max()
    cdf = np.array([(p[keep] * stats.norm.cdf((m - mean[keep]) / sd[keep])).sum() for m in grid])
    return {
        "mu": {
            "mean": mu_mean,
            "sd": mu_sd,
            "q5": float(np.interp(0.05, cdf, grid)),
            "q95": float(np.interp(0.95, cdf, grid)),
        },
        "tau": _marginal(tau[:, 0], p.sum(1)),
        "sigma": _marginal(sigma[0], p.sum(0)),
    }


def _marginal(x: np.ndarray, p: np.ndarray) -> dict[str, float]:
    mean = float(p @ x)
    cdf = np.cumsum(p) - 0.5 * p
    q5, q95 = np.interp([0.05, 0.95], cdf, x)
    sd = float(np.sqrt(p @ x**2 - mean**2))
    return {"mean": mean, "sd": sd, "q5": float(q5), "q95": float(q95)}


def group_means(frame: pd.DataFrame, priors: dict[str, Any]) -> dict[Any, float]:
    """Posterior mean of each theta_j: an average of its conditional mean over (tau, sigma)."""
    groups = frame.groupby("group")["y"]
    tau, sigma, p, mean, _ = _plane(frame, priors)
    means = {}
    for label, values in groups:
        own = tau**2 / (tau**2 + sigma**2 / len(values))
        means[label] = float((p * (own * values.mean() + (1 - own) * mean)).sum())
    return means
