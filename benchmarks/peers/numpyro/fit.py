"""NumPyro: NUTS in JAX, double precision, a virtual device for each chain or chains as a batch."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.job import Job

WARMUP = 1000


def main() -> None:
    """Fit as often as the job says."""
    job = Job.open()
    with job.timing("import"):
        import arviz as az
        import jax
        import numpyro
        from numpyro.infer import MCMC, NUTS

    # Chains run at once on devices; there may be more of these than cores.
    numpyro.set_host_device_count(job.chains)
    numpyro.enable_x64()
    data = job.load()
    for number, label in enumerate(job.labels()):
        key = jax.random.PRNGKey(job.seed + number)
        with job.timing(label):
            mcmc = MCMC(
                NUTS(model(job, data)),
                num_warmup=WARMUP,
                num_samples=job.draws,
                num_chains=job.chains,
                chain_method=job.variant["chain_method"],
                progress_bar=job.show_progress,
            )
            mcmc.run(key, extra_fields=("diverging",))
            # Log likelihoods of 1e6 rows and 4,000 draws would be 32 GB; no other peer makes them.
            idata = az.from_numpyro(mcmc, log_likelihood=False)
        sampling = None
        if number:
            compiled, keys = ahead_of_time(job, model(job, data))
            began = time.perf_counter()
            jax.block_until_ready(compiled(keys))
            sampling = time.perf_counter() - began
        job.keep(
            label,
            draws(job, idata["posterior"]),
            sampling=sampling,
            warmup=WARMUP,
            divergences=int(idata["sample_stats"]["diverging"].sum()),
        )


def ahead_of_time(job: Job, built: Any) -> tuple[Any, Any]:
    """Warmup and draws as one function that is compiled already, and keys to call it with.

    ``MCMC.run`` compiles at every call where chains run on devices, so it cannot be timed warm.
    """
    import jax
    from numpyro.infer import MCMC, NUTS

    parallel = job.variant["chain_method"] == "parallel"

    def run(key: Any) -> Any:
        mcmc = MCMC(
            NUTS(built),
            num_warmup=WARMUP,
            num_samples=job.draws,
            num_chains=1 if parallel else job.chains,
            chain_method="vectorized",
            progress_bar=False,
        )
        mcmc.run(key)
        return mcmc.get_samples()

    key = jax.random.PRNGKey(job.seed + 100)
    keys = jax.random.split(key, job.chains) if parallel else key
    function = jax.pmap(run) if parallel else jax.jit(run)
    return function.lower(keys).compile(), keys


def model(job: Job, data: dict[str, Any]) -> Any:
    """The model of a job, as a function without arguments."""
    import jax.numpy as jnp
    import numpyro
    import numpyro.distributions as dist

    centered = job.variant["parameterization"] == "centered"
    J = int(data["jj"].max()) + 1
    columns = {name: jnp.asarray(values) for name, values in data.items()}
    families = {
        "normal": dist.Normal,
        "half_normal": dist.HalfNormal,
        "half_cauchy": dist.HalfCauchy,
    }

    def prior(name: str) -> Any:
        family, *numbers = job.priors[name]
        return families[family](*map(float, numbers))

    def means() -> None:
        mu = numpyro.sample("mu", prior("mu"))
        tau = numpyro.sample("tau", prior("tau"))
        if centered:
            with numpyro.plate("groups", J):
                theta = numpyro.sample("theta", dist.Normal(mu, tau))
        else:
            with numpyro.plate("groups", J):
                eta = numpyro.sample("eta", dist.Normal(0.0, 1.0))
            theta = numpyro.deterministic("theta", mu + tau * eta)
        if job.family == "eight_schools":
            numpyro.sample("y", dist.Normal(theta, columns["se"]), obs=columns["y"])
        else:
            sigma = numpyro.sample("sigma", prior("sigma"))
            numpyro.sample("y", dist.Normal(theta[columns["jj"]], sigma), obs=columns["y"])

    def lines() -> None:
        mu = numpyro.sample("mu", prior("mu").expand([2]).to_event(1))
        tau = numpyro.sample("tau", prior("tau").expand([2]).to_event(1))
        factor = numpyro.sample("L_Omega", dist.LKJCholesky(2, float(job.priors["Omega"][1])))
        sigma = numpyro.sample("sigma", prior("sigma"))
        numpyro.deterministic("rho", factor[1, 0])  # of two coefficients, Omega[1,0] = L[1,0]
        scale = tau[:, None] * factor
        if centered:
            with numpyro.plate("groups", J):
                theta = numpyro.sample("theta", dist.MultivariateNormal(mu, scale_tril=scale))
        else:
            with numpyro.plate("groups", J):
                eta = numpyro.sample("eta", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
            theta = numpyro.deterministic("theta", mu + eta @ scale.T)
        jj = columns["jj"]
        line = theta[jj, 0] + theta[jj, 1] * columns["x"]
        numpyro.sample("y", dist.Normal(line, sigma), obs=columns["y"])

    return lines if job.family == "varying_slopes" else means


def draws(job: Job, posterior: Any) -> dict[str, Any]:
    """The draws under the names that all contenders share."""
    theta = posterior["theta"].values[:, :, job.keep_groups]
    if job.family != "varying_slopes":
        names = ("mu", "tau") if job.family == "eight_schools" else ("mu", "tau", "sigma")
        return {name: posterior[name].values for name in names} | {"theta": theta[..., None]}
    out = {f"{name}[{k}]": posterior[name].values[..., k] for name in ("mu", "tau") for k in (0, 1)}
    return out | {
        "Omega[1,0]": posterior["rho"].values,
        "sigma": posterior["sigma"].values,
        "theta": theta,
    }


if __name__ == "__main__":
    main()
