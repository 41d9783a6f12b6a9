"""PyMC's model sampled by nutpie: compiled by Numba, chains in threads."""

from __future__ import annotations

import time

from benchmarks.job import Job


def main() -> None:
    """Fit as often as the job says."""
    job = Job.open()
    with job.timing("import"):
        import nutpie
        import pymc  # noqa: F401 - part of what its user imports

        from benchmarks.peers import pymc_models
    data = job.load()
    for number, label in enumerate(job.labels()):
        with job.timing(label):
            compiled = nutpie.compile_pymc_model(pymc_models.model(job, data))
            began = time.perf_counter()
            idata = nutpie.sample(
                compiled,
                draws=job.draws,
                chains=job.chains,
                cores=job.cores,
                seed=job.seed + number,
                save_warmup=False,
                progress_bar=False,
            )
            sampling = time.perf_counter() - began
        job.keep(
            label,
            pymc_models.draws(job, idata["posterior"]),
            sampling=sampling,
            divergences=int(idata["sample_stats"]["diverging"].sum()),
        )


if __name__ == "__main__":
    main()
