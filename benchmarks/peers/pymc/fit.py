"""PyMC by its own NUTS: chains in processes, one for each core."""

from __future__ import annotations

from typing import Any

from benchmarks.job import Job


def main() -> None:
    """Fit as often as the job says."""
    job = Job.open()
    with job.timing("import"):
        import pymc as pm

        from benchmarks.peers import pymc_models
    data = job.load()
    done = [0]
    total = job.chains * (job.draws + 1000)

    def count(**_: Any) -> None:
        done[0] += 1
        job.progress(done[0], total)

    for number, label in enumerate(job.labels()):
        done[0] = 0
        with job.timing(label), pymc_models.model(job, data):
            idata = pm.sample(
                draws=job.draws,
                chains=job.chains,
                cores=job.cores,
                random_seed=job.seed + number,
                progressbar=False,
                callback=count,
            )
        job.keep(
            label,
            pymc_models.draws(job, idata["posterior"]),
            sampling=float(idata["posterior"].attrs["sampling_time"]),
            warmup=int(idata["posterior"].attrs["tuning_steps"]),
            divergences=int(idata["sample_stats"]["diverging"].sum()),
        )


if __name__ == "__main__":
    main()
