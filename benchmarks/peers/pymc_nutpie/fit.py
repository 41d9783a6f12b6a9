"""PyMC's model sampled by nutpie: compiled by Numba, chains in threads."""

from __future__ import annotations

import sys
import time
from typing import Any

from benchmarks.job import Job

_TEMPLATE = "{{ total_finished_draws }} {{ total_draws }}"


def main() -> None:
    """Fit as often as the job says."""
    job = Job.open()
    with job.timing("import"):
        import nutpie
        import pymc  # noqa: F401 - part of what its user imports

        from benchmarks.peers import pymc_models
    data = job.load()
    if job.show_progress:
        _tell(job)
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
                progress_bar=job.show_progress,
            )
            sampling = time.perf_counter() - began
        job.keep(
            label,
            pymc_models.draws(job, idata["posterior"]),
            sampling=sampling,
            divergences=int(idata["sample_stats"]["diverging"].sum()),
        )


def _tell(job: Job) -> None:
    """Have nutpie tell the job of its progress; by itself it does so in notebooks alone."""
    module = sys.modules["nutpie.sample"]
    library = module._lib  # type: ignore[attr-defined]

    def said(text: str) -> None:
        job.progress(*(int(number) for number in text.split()))

    class Told:
        def __getattr__(self, name: str) -> Any:
            return getattr(library.ProgressType, name)

        def indicatif(self, rate: int) -> Any:
            return library.ProgressType.template_callback(rate, _TEMPLATE, job.cores, said)

    class Library:
        ProgressType = Told()

        def __getattr__(self, name: str) -> Any:
            return getattr(library, name)

    module._lib = Library()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
