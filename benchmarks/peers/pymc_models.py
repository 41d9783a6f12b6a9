"""The three models as a user of PyMC writes them; for PyMC's own sampler and for nutpie's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from benchmarks.job import Job


def model(job: Job, data: dict[str, Any]) -> Any:
    """Build the model of a job.

    ``job.variant["parameterization"]`` is "centered" or "noncentered"; for varying slopes also
    "conditional", the centered model by hand without a multivariate normal.
    """
    import pymc as pm

    if job.variant["parameterization"] == "conditional":
        return _conditional(job.priors, data)
    centered = job.variant["parameterization"] == "centered"
    J = int(data["jj"].max()) + 1
    with pm.Model() as built:
        if job.family == "varying_slopes":
            _varying_slopes(job.priors, data, J, centered)
            return built
        mu = _prior("mu", job.priors["mu"])
        tau = _prior("tau", job.priors["tau"])
        if centered:
            theta = pm.Normal("theta", mu, tau, shape=J)
        else:
            eta = pm.Normal("eta", 0, 1, shape=J)
            theta = pm.Deterministic("theta", mu + tau * eta)
        if job.family == "eight_schools":
            pm.Normal("y", theta, data["se"], observed=data["y"])
        else:
            sigma = _prior("sigma", job.priors["sigma"])
            pm.Normal("y", theta[data["jj"]], sigma, observed=data["y"])
    return built


def _varying_slopes(priors: dict[str, Any], data: dict[str, Any], J: int, centered: bool) -> None:
    import pymc as pm

    mu = _prior("mu", priors["mu"], shape=2)
    sds = pm.HalfNormal.dist(priors["tau"][1], shape=2)
    chol, _, _ = pm.LKJCholeskyCov("L", n=2, eta=priors["Omega"][1], sd_dist=sds)
    sigma = _prior("sigma", priors["sigma"])
    if centered:
        theta = pm.MvNormal("theta", mu=mu, chol=chol, shape=(J, 2))
    else:
        eta = pm.Normal("eta", 0, 1, shape=(J, 2))
        theta = pm.Deterministic("theta", mu + eta @ chol.T)
    jj = data["jj"]
    pm.Normal("y", theta[jj, 0] + theta[jj, 1] * data["x"], sigma, observed=data["y"])


def _conditional(priors: dict[str, Any], data: dict[str, Any]) -> Any:
    """Intercepts, and slopes given them: what an expert writes for speed, with two coefficients.

    theta_2 | theta_1 ~ N(mu_2 + rho tau_2/tau_1 (theta_1 - mu_1), tau_2 sqrt(1 - rho^2)), and
    LKJ(eta) of a 2 x 2 matrix is (rho + 1)/2 ~ beta(eta, eta).
    """
    import pymc as pm
    import pytensor.tensor as pt

    jj, eta = data["jj"], priors["Omega"][1]
    J = int(jj.max()) + 1
    with pm.Model() as built:
        mu = _prior("mu", priors["mu"], shape=2)
        tau = _prior("tau", priors["tau"], shape=2)
        rho = pm.Deterministic("rho", 2 * pm.Beta("half_rho", eta, eta) - 1)
        sigma = _prior("sigma", priors["sigma"])
        first = pm.Normal("first", mu[0], tau[0], shape=J)
        middle = mu[1] + rho * tau[1] / tau[0] * (first - mu[0])
        second = pm.Normal("second", middle, tau[1] * pm.math.sqrt(1 - rho**2), shape=J)
        pm.Deterministic("theta", pt.stack([first, second], axis=1))
        pm.Normal("y", first[jj] + second[jj] * data["x"], sigma, observed=data["y"])
    return built


def _prior(name: str, prior: list[Any], **shape: Any) -> Any:
    import pymc as pm

    family, *numbers = prior
    families = {"normal": pm.Normal, "half_normal": pm.HalfNormal, "half_cauchy": pm.HalfCauchy}
    return families[family](name, *numbers, **shape)


def draws(job: Job, posterior: Any) -> dict[str, Any]:
    """The draws under the names that all contenders share."""
    theta = posterior["theta"].values[:, :, np.asarray(job.keep_groups)]
    if job.family != "varying_slopes":
        names = ("mu", "tau") if job.family == "eight_schools" else ("mu", "tau", "sigma")
        return {name: posterior[name].values for name in names} | {"theta": theta[..., None]}
    mu = posterior["mu"].values
    if "rho" in posterior:
        tau, rho = posterior["tau"].values, posterior["rho"].values
    else:
        tau, rho = posterior["L_stds"].values, posterior["L_corr"].values[..., 1, 0]
    return {
        "mu[0]": mu[..., 0],
        "mu[1]": mu[..., 1],
        "tau[0]": tau[..., 0],
        "tau[1]": tau[..., 1],
        "Omega[1,0]": rho,
        "sigma": posterior["sigma"].values,
        "theta": theta,
    }
