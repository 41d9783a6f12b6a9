"""Bambi: the model as a formula, sampled by PyMC's NUTS or nutpie's.

Its group-specific effects are uncorrelated, so it has no model for the varying slopes here.
"""

from __future__ import annotations

from typing import Any

from benchmarks.job import Job


def main() -> None:
    """Fit as often as the job says."""
    job = Job.open()
    with job.timing("import"):
        import bambi as bmb
        import numpy as np
        import pandas as pd
    data = job.load()
    frame = pd.DataFrame({"y": data["y"]})
    # Bambi sorts labels as text; with leading zeros that is their order.
    frame["group"] = [f"g{j:08d}" for j in data["jj"]]
    if job.family == "eight_schools":
        frame["log_se"] = np.log(data["se"])

    for number, label in enumerate(job.labels()):
        with job.timing(label):
            built = model(bmb, job, frame)
            idata = built.fit(
                draws=job.draws,
                chains=job.chains,
                cores=job.cores,
                random_seed=job.seed + number,
                inference_method=job.variant["inference_method"],
                progressbar=False,
            )
        sampling = idata["posterior"].attrs.get("sampling_time")
        job.keep(
            label,
            draws(job, idata["posterior"]),
            sampling=None if sampling is None else float(sampling),
            divergences=int(idata["sample_stats"]["diverging"].sum()),
        )


def model(bmb: Any, job: Job, frame: Any) -> Any:
    """The model of a job."""

    def prior(name: str) -> Any:
        family, *numbers = job.priors[name]
        if family == "normal":
            return bmb.Prior("Normal", mu=numbers[0], sigma=numbers[1])
        if family == "half_normal":
            return bmb.Prior("HalfNormal", sigma=numbers[0])
        return bmb.Prior("HalfCauchy", beta=numbers[0])

    priors = {
        "Intercept": prior("mu"),
        "1|group": bmb.Prior("Normal", mu=0, sigma=prior("tau")),
    }
    noncentered = job.variant["parameterization"] == "noncentered"
    if job.family == "eight_schools":
        # The known standard errors enter as an offset of log sigma.
        formula = bmb.Formula("y ~ 1 + (1|group)", "sigma ~ 0 + offset(log_se)")
    else:
        formula = bmb.Formula("y ~ 1 + (1|group)")
        priors["sigma"] = prior("sigma")
    return bmb.Model(formula, frame, priors=priors, noncentered=noncentered)


def draws(job: Job, posterior: Any) -> dict[str, Any]:
    """The draws under the names that all contenders share."""
    mu = posterior["Intercept"].values
    own = posterior["1|group"].values[:, :, job.keep_groups]
    out = {"mu": mu, "tau": posterior["1|group_sigma"].values}
    if job.family != "eight_schools":
        out["sigma"] = posterior["sigma"].values
    return out | {"theta": (mu[..., None] + own)[..., None]}


if __name__ == "__main__":
    main()
