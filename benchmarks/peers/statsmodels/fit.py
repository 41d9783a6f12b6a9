"""statsmodels: the classical point estimate, REML (of eight schools, Paule and Mandel's)."""

from __future__ import annotations

from typing import Any

from benchmarks.job import Job


def main() -> None:
    """Estimate as often as the job says."""
    job = Job.open()
    with job.timing("import"):
        import numpy as np
        import statsmodels.api as sm
        from statsmodels.stats.meta_analysis import combine_effects
    data = job.load()
    for label in job.labels():
        with job.timing(label):
            if job.family == "eight_schools":
                found = combine_effects(data["y"], data["se"] ** 2, method_re="iterated")
                estimates = {"mu": found.mean_effect_re, "tau": max(found.tau2, 0.0) ** 0.5}
            else:
                estimates = mixed(np, sm, data)
        job.keep(label, estimates={name: float(value) for name, value in estimates.items()})


def mixed(np: Any, sm: Any, data: dict[str, Any]) -> dict[str, float]:
    """Estimates of a mixed linear model."""
    columns = [np.ones_like(data["y"]), *([data["x"]] if "x" in data else [])]
    z = np.column_stack(columns)
    found = sm.MixedLM(data["y"], z, groups=data["jj"], exog_re=z).fit(reml=True)
    covariance = np.atleast_2d(found.cov_re)
    sds = np.sqrt(np.diag(covariance))
    sigma = float(np.sqrt(found.scale))
    if len(sds) == 1:
        return {"mu": found.fe_params[0], "tau": sds[0], "sigma": sigma}
    names = {f"mu[{k}]": found.fe_params[k] for k in (0, 1)} | {f"tau[{k}]": sds[k] for k in (0, 1)}
    return names | {"Omega[1,0]": covariance[1, 0] / sds.prod(), "sigma": sigma}


if __name__ == "__main__":
    main()
