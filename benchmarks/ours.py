"""hiermodels as a contender: the public interface, nothing else."""

from __future__ import annotations

from typing import Any

from benchmarks.job import Job


def main() -> None:
    """Fit as often as the job says: the first fit of a process, then a later one."""
    job = Job.open()
    with job.timing("import"):
        import hiermodels as hm
    if job.data.endswith(".parquet"):
        from_file(hm, job)
        return
    frame = as_frame(job)
    # Programs that may not finish are asked how far they come; the bar goes to the job's log.
    told = job.show_progress and job.variant["parameterization"] != "auto"
    options = {"engine": job.variant.get("engine", "nuts"), "progress": told}
    for number, label in enumerate(job.labels()):
        with job.timing(label):
            idata = model(hm, job, frame).fit(seed=job.seed + number, **options)
        keep(job, label, idata)


def from_file(hm: Any, job: Job) -> None:
    """Fit a Parquet file; then, where there are statistics of their own, take the two apart."""
    options = {"engine": job.variant.get("engine", "nuts"), "progress": False}
    with job.timing("first"):
        idata = model(hm, job, job.data).fit(seed=job.seed, **options)
    keep(job, "first", idata)
    if "later" in job.fits and hasattr(hm, "sufficient_statistics"):
        with job.timing("statistics"):
            statistics = hm.sufficient_statistics(job.data, y="y", group="group")
        with job.timing("later"):
            idata = model(hm, job, statistics).fit(seed=job.seed + 1, **options)
        keep(job, "later", idata)


def as_frame(job: Job) -> Any:
    """The data as the frame that a user has; its making is not counted."""
    import pandas as pd

    data = job.load()
    return pd.DataFrame({"group": data.pop("jj") + 1, **data})


def model(hm: Any, job: Job, frame: Any) -> Any:
    """The model of a job."""
    families = {
        "normal": hm.Normal,
        "half_normal": hm.HalfNormal,
        "half_cauchy": hm.HalfCauchy,
        "lkj": hm.LKJ,
    }
    options = {
        "priors": {name: families[p[0]](*p[1:]) for name, p in job.priors.items()},
        "parameterization": job.variant["parameterization"],
        "group": "group",
    }
    if job.family == "eight_schools":
        return hm.EightSchools(frame, effect="y", se="se", **options)
    if job.family == "one_way":
        return hm.OneWay(frame, y="y", **options)
    # The priors are where the other packages' programs have them.
    return hm.VaryingSlopes(frame, y="y", varying=["x"], intercept_at="zero", **options)


def keep(job: Job, label: str, idata: Any) -> None:
    """Write down a fit."""
    node = idata["posterior"]
    # Exact draws have no record of a sampler; all of their time is drawing.
    stats = idata["sample_stats"] if "sample_stats" in _groups(idata) else None
    attrs = dict(getattr(node, "attrs", {}) or {}) | dict(getattr(idata, "attrs", {}) or {})
    job.keep(
        label,
        draws(job, getattr(node, "dataset", node)),
        sampling=attrs.get("sampling_seconds", attrs.get("seconds")),
        warmup=int(attrs["warmup"]) if "warmup" in attrs else None,
        parameterization=str(attrs.get("parameterization")),
        divergences=0 if stats is None else int(stats["diverging"].sum()),
    )


def _groups(idata: Any) -> list[str]:
    children = getattr(idata, "children", None)
    return list(children) if children is not None else list(idata.groups())


def draws(job: Job, posterior: Any) -> dict[str, Any]:
    """The draws under the names that all contenders share.

    Effects are left out where the container has a summary of them instead of draws.
    """
    out = {}
    for name in ("mu", "tau", "sigma"):
        if name not in posterior:
            continue
        values = posterior[name].transpose("chain", "draw", ...).values
        if values.ndim == 2:
            out[name] = values
        else:
            out |= {f"{name}[{k}]": values[..., k] for k in range(values.shape[-1])}
    if "Omega" in posterior:
        out["Omega[1,0]"] = posterior["Omega"].isel(coefficient=1, coefficient_2=0).values
    if "theta" in posterior and "draw" in posterior["theta"].dims:
        theta = posterior["theta"].transpose("chain", "draw", "group", ...)
        theta = theta.isel(group=job.keep_groups).values
        out["theta"] = theta if theta.ndim == 4 else theta[..., None]
    return out


if __name__ == "__main__":
    main()
