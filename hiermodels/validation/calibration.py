"""Simulation-based calibration: does a program, or an engine, give the posterior it should give.

Parameters drawn from the prior, and data drawn given them, are together a draw from the joint
distribution; so the parameters are a draw from the posterior given those data, and their rank among
L independent draws of a right sampler is uniform on 0, ..., L. Over many simulations a wrong one
shows itself, whatever its model (Cook, Gelman and Rubin 2006, Journal of Computational and
Graphical Statistics 15; Talts, Betancourt, Simpson, Vehtari and Gelman 2018, arXiv:1804.06788).

    model, seed --simulation--> parameters, data --fit--> draws --quantities--> ranks
                                                        ranks --ecdf_bands--> verdict

A simulation is one task (:mod:`~hiermodels.validation.tasks`), on any executor.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np

from ..engines.nuts import sampling
from ..errors import HierModelsError, OptionError
from ..many import retries
from ..many import tasks as fit_tasks
from ..stan import programs
from ..system import progress as bars
from ..version import __version__
from . import quantities as test_quantities
from . import record as calibration_file
from . import simulation
from . import tasks as calibration_tasks
from .result import Calibration
from .tasks import Record, Task

__all__ = ["Calibration", "calibrate", "load"]

# Options of a fit that are not the user's to set here, and why.
_OURS = {
    "executor": "it is an argument of calibrate: whole simulations run there",
    "seed": "it is an argument of calibrate: each fit's own follows from it",
    "progress": "it is an argument of calibrate: one bar for all simulations",
    "draws": "it is an argument of calibrate: how many draws ranks are among",
    "output_dir": "Stan's files are not kept",
    "pointwise": "what is ranked is computed from the draws",
    "effects": "the log likelihood needs the draws of the effects",
    "save_warmup": "ranks do not use it",
}


def calibrate(
    model_factory: Any,
    *,
    simulations: int = 500,
    executor: Executor | None = None,
    seed: int | None = None,
    path: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
    engine: str = "nuts",
    draws: int = 99,
    quantities: Sequence[str] | Mapping[str, Callable[..., Any]] | None = None,
    **fit_options: Any,
) -> Calibration:
    """Check a model's program, or another engine, by simulation from its own prior.

    Parameters
    ----------
    model_factory : EightSchools, OneWay or VaryingSlopes, or function that returns one
        Whose design (groups, sizes, columns, known standard errors) and whose priors in force hold
        for every simulation; its response is replaced by simulated ones. Every prior has to be
        proper.
    simulations : int
        How many. Of ten to twenty quantities, 100 find one whose posterior is off by half its sd
        9 times in 10, 200 by about a third, 500 by a quarter; the result says it for its own. Fewer
        than 20 are too few to tell, and nothing is passed.
    executor : concurrent.futures.Executor, optional
        Where simulations run, one task each; by default in threads of this process, one for each
        processor. Processes are faster: what is done in Python then runs side by side as well.
    seed : int, optional
        Makes the result reproducible, whatever the executor; drawn and recorded where not given.
    path : path, optional
        File of JSON lines to which each simulation is appended as it ends. Another call with the
        same path runs what is missing and what has failed; another model, engine, option or
        name of a quantity there is refused, and so is a second call while one runs.
    progress : bool, optional
        Progress bar: by default in a terminal and in a notebook.
    engine : str
        How the draws are made, as in the model's ``fit``.
    draws : int
        L, the number of draws that ranks are among: draws of a longer fit, thinned to about
        independent ones (exact draws are independent as they come). See the notes.
    quantities : sequence of str, or dict of str to function, optional
        What is ranked. By default the scalar hyperparameters; theta (and what else each group has
        one of) of up to 8 groups from the smallest to the largest, and of a group drawn at random
        in each simulation, which stands for all of them; ``log_likelihood``, of the data given all
        parameters; and ``log_joint``, of data and parameters. The last two depend on the data: they
        find draws that ignore some of them, which the ranks of parameters cannot. Names choose
        others: ``["tau", "theta", "log_likelihood"]``. A dict adds functions
        ``function(values, y)``: from the parameters by name, draws along the first axis, and the
        simulated response, to one finite number for each draw. They are tried before anything runs.
    **fit_options
        What the model's ``fit`` takes: ``chains`` (2 by default), ``warmup``, ``adapt_delta``, ...

    Returns
    -------
    Calibration

    Raises
    ------
    PriorError
        A prior is improper: there is nothing to simulate from.
    OptionError
        An argument, an option of the fit, a function, the executor or the file cannot be used.
    DataError
        The model has sufficient statistics in the place of rows.
    CmdStanError, CompileError
        As ``fit`` does.
    KeyboardInterrupt
        As it came, once the fits under way have been told to end; the file keeps what was done.

    Notes
    -----
    A fit that fails is recorded with what it said, and counts: with more than 3 % of them nothing
    is passed, as what cannot be fitted is no random choice of data. Each quantity's ranks are
    judged by the simultaneous band of their ECDF (Säilynoja, Bürkner and Vehtari 2022) at a level
    of 5 % divided by the number of quantities (Bonferroni), so that of all right programs at least
    95 % pass, however many quantities are ranked.

    What is calibrated is a lengthened fit, not one of the default length: it draws 6 (marginal
    programs) or 10 times L, and where the least bulk effective sample size of a quantity is below L
    it is made again, longer, up to three fits in all. Every so many-th draw of the last is ranked
    among; where its effective sample size is still below L the result counts it, and it is kept.

    In a file, functions are known by their names: give a changed function another name.
    """
    model = _model(model_factory)
    _check(model, simulations, executor, draws, fit_options)
    simulation.check_proper(model)
    chosen = test_quantities.choose(model, quantities)
    rows = model.design.rows("calibration")
    template = simulation.with_response(model, rows.y)
    options = {"chains": 2, **fit_options}
    if engine == "nuts":  # whole fits run side by side, not their chains
        options = {"parallel_chains": 1, **options}
    where = None if path is None else Path(os.path.expanduser(path))
    with contextlib.nullcontext() if where is None else calibration_file.alone(where):
        begun = _begun(where, template, engine, draws, seed, chosen, options)
        return _run(where, begun, template, simulations, chosen, options, executor, progress)


def _run(
    where: Path | None,
    begun: tuple[dict[str, Any], dict[int, Record], int | None],
    template: Any,
    simulations: int,
    chosen: test_quantities.Quantities,
    options: Mapping[str, Any],
    executor: Executor | None,
    progress: bool | None,
) -> Calibration:
    """Run what is missing and what has failed."""
    header, records, whole = begun
    engine, draws = header["engine"], header["draws"]
    missing = [
        at for at in range(simulations) if at not in records or records[at].failure is not None
    ]
    if missing and chosen.functions:
        _try_functions(template, chosen, header["seed"])
    if engine == "nuts" and missing:
        programs.executable(template.program_name(), progress=progress)

    def tasks(scratch: Path) -> Iterator[Task]:
        host = socket.gethostname()
        for at in missing:
            yield Task(at, template, header["seed"], engine, draws, chosen, options, scratch, host)

    with (
        fit_tasks.scratch_folder() as scratch,
        _appending(where, header, whole) as append,
        bars.bar(simulations, "simulations", progress=progress, unit="fit") as bar,
        fit_tasks.listening(),
        contextlib.closing(
            retries.run(
                calibration_tasks.run,
                tasks(scratch),
                executor,
                stop=lambda: fit_tasks.stop(scratch),
            )
        ) as done,
    ):
        bar.update(simulations - len(missing))
        for task, result in done:
            if isinstance(result, retries.Lost):
                fit_tasks.end_orphans(task.folder)
                own = calibration_tasks.fit_seed(task)
                result = Record(task.at, own, failure=result.reason, lost=True)
            before = records.get(task.at)
            records[task.at] = result
            # A mistake of the call is not kept, and what failed as it did before is on record.
            same = before is not None and before.failure == result.failure
            if not result.option and not same:
                append(result)
            bar.update()
        bar.refresh()
    kept = [records[at] for at in range(simulations)]
    fit_tasks.refuse_options(kept)
    return Calibration.of_records(header, kept)


def _try_functions(template: Any, chosen: test_quantities.Quantities, seed: int) -> None:
    """Find a bad function on what the first simulation draws, not after all of them."""
    parts = calibration_tasks.seeds(seed, 0)
    try:
        truth = simulation.parameters(template, np.random.default_rng(parts[0]))
        y = simulation.response(template, truth, np.random.default_rng(parts[1]))
        model = simulation.with_response(template, y)
    except HierModelsError:  # which is that simulation's own to say
        return
    test_quantities.check(model, chosen, truth)


def load(path: str | os.PathLike[str]) -> Calibration:
    """The result of what a calibration's file holds, finished or not.

    Parameters
    ----------
    path : path
        As it was given to :func:`calibrate`.

    Raises
    ------
    OptionError
        The file cannot be read, or is no calibration's.
    """
    header, records, _ = calibration_file.read(Path(os.path.expanduser(path)))
    return Calibration.of_records(header, [records[at] for at in sorted(records)])


def _model(given: Any) -> Any:
    from ..models.model import Model

    model = given() if callable(given) and not isinstance(given, type) else given
    if not isinstance(model, Model):
        raise OptionError(
            "model_factory must be an EightSchools, OneWay or VaryingSlopes model, or a function "
            f"without arguments that returns one, got {type(model).__name__}"
        )
    return model


def _check(
    model: Any, simulations: Any, executor: Any, draws: Any, options: Mapping[str, Any]
) -> None:
    sampling.check_place(executor, None)
    for name, value, least in (("simulations", simulations, 1), ("draws", draws, 3)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise OptionError(f"{name} must be a whole number of at least {least}, got {value!r}")
    fit_tasks.check_options("calibrate", model, options, _OURS)


def _begun(
    path: Path | None,
    model: Any,
    engine: str,
    draws: int,
    seed: int | None,
    chosen: test_quantities.Quantities,
    options: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[int, Record], int | None]:
    """What is run, and what of it a file has already."""
    from ..engines.settings import checked_seed

    header = {
        "model": repr(model),
        "design": simulation.digest(model.design),
        "pooling": model.pooling,
        "parameterization": model.parameterization,
        "priors": model.priors.as_json(),
        "engine": engine,
        "program": model.program.name if engine == "nuts" else "",
        "program_sha256": model.program.digest if engine == "nuts" else "",
        "draws": draws,
        "options": dict(options),
        "quantities": list(chosen.names),
        "hiermodels_version": __version__,
    }
    if path is None or not path.exists():
        return header | {"seed": checked_seed(seed)}, {}, None
    found, records, whole = calibration_file.read(path)
    header["seed"] = found.get("seed") if seed is None else checked_seed(seed)
    calibration_file.refuse_another(path, found, header)
    return header, records, whole


@contextlib.contextmanager
def _appending(
    path: Path | None, header: Mapping[str, Any], whole: int | None
) -> Iterator[Callable[[Record], None]]:
    if path is None:
        yield lambda _: None
        return
    with calibration_file.appending(path, header, whole) as append:
        yield append
