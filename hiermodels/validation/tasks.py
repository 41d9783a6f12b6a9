"""A simulation as a task: draw parameters and data, fit, rank; also in another process.

What a simulation gives follows from its number and the seed of the calibration alone, wherever and
in whatever order simulations run.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..container import inference_data as idatas
from ..diagnostics import convergence
from ..errors import OptionError, SamplingError, listed
from ..many import tasks as fit_tasks
from . import quantities as test_quantities
from . import simulation
from .quantities import Quantities

__all__ = ["Record", "Task", "fit_seed", "rank", "run", "seeds"]

Array = NDArray[np.float64]

# Draws of the first fit, for each draw that is ranked: as many as make the thinned ones about
# independent, most of the time. Exact draws are independent; a textbook program's warmup costs so
# much that some more draws do not matter.
_SPARE = {"exact": 1, "marginal": 6, "other": 10}
_MOST_FITS = 3
# How much longer the next fit is: what is missing and half as much again, within these.
_LONGER = (1.5, 3.0)


@dataclass(frozen=True)
class Task:
    """One simulation.

    Attributes
    ----------
    at : int
        Its number, from 0.
    model : Model
        Of the design; its response is not used.
    seed : int
        Of the whole calibration.
    engine : str
        How posteriors are drawn from.
    draws : int
        L, the number of draws that ranks are among.
    quantities : Quantities
        What is ranked.
    options : mapping
        Further options of ``fit``.
    scratch : Path
        Folder for files, on ``host``; once it is gone, the task is called off.
    host : str
        The machine that waits.
    """

    at: int
    model: Any
    seed: int
    engine: str
    draws: int
    quantities: Quantities
    options: Mapping[str, Any]
    scratch: Path
    host: str

    @property
    def folder(self) -> Path:
        """Where all tries of this task leave their files."""
        return self.scratch / str(self.at)


@dataclass(frozen=True)
class Record:
    """What became of one simulation; plain data.

    Attributes
    ----------
    simulation : int
        Its number.
    seed : int
        Seed of the fit.
    ranks : list of int
        One for each quantity; empty where there is no fit.
    ess : float or None
        Smallest bulk ESS of a quantity, over all draws of the fit; None for independent draws.
    fit_draws : int
        Draws of the fit, over all chains.
    divergences : int
        Divergent iterations of the fit.
    seconds : float
        Of the whole task.
    failure : str or None
        Why there are no ranks, in one line.
    option : bool
        Whether what failed is an option of the fit.
    lost : bool
        Whether it failed with its worker, so that another attempt makes sense.
    """

    simulation: int
    seed: int
    ranks: list[int] = field(default_factory=list)
    ess: float | None = None
    fit_draws: int = 0
    divergences: int = 0
    seconds: float = 0.0
    failure: str | None = None
    option: bool = False
    lost: bool = False


def run(task: Task, _try: int = 1) -> Record:
    """Simulate, fit and rank. Whatever goes wrong is in the record."""
    began = time.monotonic()
    parts = _parts(task)
    seed = fit_seed(task)
    if fit_tasks.called_off(task):
        return Record(task.at, seed, failure="called off", lost=True)
    with fit_tasks.listening():
        try:
            truth = simulation.parameters(task.model, np.random.default_rng(parts[0]))
            y = simulation.response(task.model, truth, np.random.default_rng(parts[1]))
            model = simulation.with_response(task.model, y)
            own = np.random.default_rng(parts[3])
            group = int(own.integers(model.design.J))
            true = test_quantities.values(model, task.quantities, truth, group)[0]
            if not np.isfinite(true).all():  # nothing is below NaN: a rank of 0, in silence
                names = np.array(task.quantities.names)[~np.isfinite(true)]
                raise SamplingError(
                    "the value that the data came from must be finite, got another of "
                    f"{listed(names.tolist())}"
                )
            drawn, ess, divergences = _fit(task, model, seed, group)
        except Exception as error:
            return Record(
                task.at,
                seed,
                seconds=round(time.monotonic() - began, 3),
                failure=f"{type(error).__name__}: {' '.join(str(error).split())}",
                option=isinstance(error, OptionError),
            )
    total = drawn.shape[0] * drawn.shape[1]
    thinned = drawn.reshape(total, -1)[:: total // task.draws][: task.draws]
    return Record(
        task.at,
        seed,
        ranks=rank(true, thinned, own).tolist(),
        ess=None if ess is None else round(ess, 1),
        fit_draws=total,
        divergences=divergences,
        seconds=round(time.monotonic() - began, 3),
    )


def fit_seed(task: Task) -> int:
    """The seed of a task's fit."""
    return int(_parts(task)[2].generate_state(1)[0]) >> 1


def _parts(task: Task) -> list[np.random.SeedSequence]:
    return seeds(task.seed, task.at)


def seeds(seed: int, at: int) -> list[np.random.SeedSequence]:
    """Seeds of the parameters, the data, the fit and the ranks of simulation ``at``."""
    return np.random.SeedSequence(seed, spawn_key=(at,)).spawn(4)


def rank(truth: Array, draws: Array, rng: np.random.Generator) -> NDArray[np.int64]:
    """Number of draws below the truth, for each quantity; ties are broken at random.

    Parameters
    ----------
    truth : array, shape (quantities,)
    draws : array, shape (L, quantities)
    rng : Generator
    """
    less = np.sum(draws < truth, axis=0)
    ties = np.sum(draws == truth, axis=0)
    return np.asarray(less + rng.integers(0, ties + 1))


def _fit(task: Task, model: Any, seed: int, group: int) -> tuple[Array, float | None, int]:
    """All draws of the quantities, shape (chain, draw, quantities), their ESS, divergences.

    Draws are as good as independent once they are thinned to as many as their ESS (Talts et al.
    2018, section 5.1): a fit whose ESS is below L is made again, longer.
    """
    # What every model can make a table of; imported here, as models import most of this package.
    from ..models import layout

    independent = task.engine == "exact"
    kind = "marginal" if task.engine == "nuts" and model.is_marginal else "other"
    spare = _SPARE["exact" if independent else kind]
    chains = int(task.options.get("chains", 1))
    each = -(-spare * task.draws // chains)
    drawn: Array = np.empty((0, 0, 0))
    ess, divergences = None, 0
    for attempt in range(_MOST_FITS):
        with fit_tasks.own_folder(task, task.engine) as folder:
            idata = model.fit(
                engine=task.engine,
                seed=seed,
                draws=each,
                progress=False,
                pointwise=False,
                **task.options,
                **folder,
            )
        posterior = idatas.dataset(idata, "posterior")
        shape = posterior.sizes["chain"], posterior.sizes["draw"]
        found = test_quantities.values(
            model, task.quantities, layout.draws(model, posterior), group
        )
        if not np.isfinite(found).all():
            names = np.array(task.quantities.names)[~np.isfinite(found).all(axis=0)]
            raise SamplingError(f"draws must be finite, got others of {listed(names.tolist())}")
        if len(found) < task.draws:
            raise SamplingError(
                f"ranks need {task.draws} draws, got {shape[0]} chains of {shape[1]}"
            )
        drawn = found.reshape(*shape, -1)
        divergences = _divergences(idata)
        if independent:
            break
        # An entry that stands still has none.
        ess = float(
            np.nan_to_num(convergence.table(drawn, ["ess_bulk"])["ess_bulk"], nan=0.0).min()
        )
        if ess >= task.draws or attempt == _MOST_FITS - 1:
            break
        each = int(each * np.clip(1.5 * task.draws / max(ess, 1e-9), *_LONGER))
    return drawn, ess, divergences


def _divergences(idata: Any) -> int:
    if not idatas.has(idata, "sample_stats"):
        return 0
    stats = idatas.dataset(idata, "sample_stats")
    return int(stats["diverging"].sum()) if "diverging" in stats else 0
