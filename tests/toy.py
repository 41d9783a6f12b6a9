"""Eight schools with an engine of its own, right or wrong on purpose, without CmdStan.

Exact draws: mu integrates out, tau comes from a fine grid in log tau, then mu given tau, then theta
given both (Gelman et al., Bayesian Data Analysis, 3rd ed., section 5.4).
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

import hiermodels as hm
from hiermodels.container import inference_data as idatas

FAULTS = ("no jacobian", "variance", "ignores data", "ignores half", "theta spread")


class Toy(hm.EightSchools):
    """``engine="exact"`` is right; every name of FAULTS is wrong, each in its way."""

    def fit(  # type: ignore[override]
        self,
        *,
        seed: int,
        engine: str = "exact",
        chains: int = 2,
        draws: int = 1000,
        seconds: float = 0.0,
        fails: float = 0.0,
        rho: float = 0.0,
        **_: Any,
    ) -> Any:
        """``fails`` is the share of fits that fail, ``rho`` an autocorrelation of draws."""
        if seconds:
            time.sleep(seconds)
        rng = np.random.default_rng(seed)
        if rng.random() < fails:
            raise ValueError("the toy\nbroke")
        drawn = posterior(self, engine, chains * draws, rng)
        if rho:
            drawn = correlated(drawn, rho, rng)
        dims = {"mu": (), "tau": (), "theta": (self.design.group,)}
        found = xr.Dataset(
            {
                name: (("chain", "draw", *dims[name]), x.reshape(chains, draws, *x.shape[1:]))
                for name, x in drawn.items()
            }
        )
        return idatas.container({"posterior": found}, {})


def toy(J: int = 5, **changes: Any) -> Toy:
    rng = np.random.default_rng(J)
    frame = pd.DataFrame(
        {
            "group": [f"g{j}" for j in range(J)],
            "y": rng.normal(size=J),
            "se": np.linspace(0.4, 3.0, J),
        }
    )
    priors = {"mu": hm.Normal(1, 2), "tau": hm.HalfNormal(1.5)}
    options = {"effect": "y", "se": "se", "group": "group", "priors": priors} | changes
    return Toy(frame, **options)


def posterior(
    model: Toy, engine: str, number: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    rows = model.design.rows("the toy")
    y, se, J = rows.y, rows.se, model.design.J
    assert se is not None
    prior = model.priors["mu"]
    used = slice(J // 2, None) if engine == "ignores half" else slice(None)
    known = se[used] if engine == "variance" else se[used] ** 2
    log_tau = np.linspace(-9.0, 4.0, 1301)
    tau = np.exp(log_tau)
    v = tau[:, None] ** 2 + known
    precision = np.sum(1 / v, axis=1) + prior.sd**-2
    mean = (np.sum(y[used] / v, axis=1) + prior.mean * prior.sd**-2) / precision
    squares = np.sum((y[used] - mean[:, None]) ** 2 / v, axis=1)
    squares += ((mean - prior.mean) / prior.sd) ** 2
    log_p = -0.5 * (np.sum(np.log(v), axis=1) + squares + np.log(precision))
    if engine == "ignores data":
        log_p, mean, precision = 0 * log_p, 0 * mean + prior.mean, 0 * precision + prior.sd**-2
    log_p += model.priors["tau"].log_density(tau)
    if engine != "no jacobian":
        log_p += log_tau
    p = np.exp(log_p - log_p.max())
    cdf = np.concatenate([[0], np.cumsum((p[1:] + p[:-1]) / 2)])
    at = np.interp(rng.random(number), cdf / cdf[-1], log_tau)
    tau = np.exp(at)
    mu = np.interp(at, log_tau, mean)
    mu += rng.standard_normal(number) / np.sqrt(np.interp(at, log_tau, precision))
    pooled = se**2 / (se**2 + tau[:, None] ** 2)
    if engine == "ignores data":
        pooled = np.ones_like(pooled)
    theta = pooled * mu[:, None] + (1 - pooled) * y
    sd = np.sqrt(1 - pooled) * se
    if engine == "ignores data":
        sd = np.broadcast_to(tau[:, None], theta.shape)
    if engine == "ignores half":
        ignored = np.arange(J) < J // 2
        theta = np.where(ignored, mu[:, None], theta)
        sd = np.where(ignored, tau[:, None], sd)
    if engine == "theta spread":
        sd = 1.3 * sd
    return {"mu": mu, "tau": tau, "theta": theta + sd * rng.standard_normal(theta.shape)}


def correlated(
    drawn: dict[str, np.ndarray], rho: float, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """The draws in an order in which some are the same as the one before."""
    keep = rng.random(len(drawn["mu"])) >= rho
    keep[0] = True
    at = np.maximum.accumulate(np.where(keep, np.arange(len(keep)), 0))
    return {name: x[at] for name, x in drawn.items()}
