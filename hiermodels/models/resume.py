"""Pick up a fit that did not come to its end."""

from __future__ import annotations

import os
import time
import warnings
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from ..container import inference_data as idatas
from ..engines.nuts import chains, checkpoints, running, sampling
from ..engines.nuts.checkpoints import Checkpoint
from ..errors import DiagnosticWarning, OptionError
from ..stan import programs

__all__ = ["resume"]


def resume(
    output_dir: str | os.PathLike[str],
    *,
    fit: str | None = None,
    parallel_chains: int | None = None,
    progress: bool | None = None,
    executor: Executor | None = None,
    allow_failed_chains: bool = False,
) -> Any:
    """Go on with ``model.fit(..., output_dir=)``: run the chains that are missing, with its seeds.

    Whatever ended the fit (a signal, a full disk, a machine switched off), the result is that of an
    undisturbed run, draw for draw; only the attributes that tell of time differ. Chains that
    finished are read, not run again; where all have, neither CmdStan nor a compiler is needed. A
    chain that was under way begins anew. Neither the model nor its data need be at hand: the folder
    has them, and may have been moved.

    Parameters
    ----------
    output_dir : path
        The folder that the fit was given.
    fit : str, optional
        Which fit, where the folder holds several: what the names of its files begin with. The only
        unfinished one by default.
    parallel_chains, progress, executor, allow_failed_chains
        As for ``fit``.

    Returns
    -------
    InferenceData or DataTree
        The container that the fit would have returned.

    Raises
    ------
    OptionError
        There is no such fit, or another process runs it; it was begun by another version of this
        package; or chains are missing, and the program or CmdStan are others now.
    SamplingError
        A chain failed; the finished ones are in its ``idata``.

    Warns
    -----
    DiagnosticWarning
        One for each kind of trouble with the draws; ``hm.check`` says more.

    Examples
    --------
    >>> import hiermodels as hm
    >>> model.fit(seed=1, output_dir="run-1")  # doctest: +SKIP
    >>> hm.resume("run-1")  # doctest: +SKIP
    """
    from . import fitting

    began = time.monotonic()
    sampling.check_place(executor, None)
    folder = Path(os.path.expanduser(output_dir)).resolve()
    stem = checkpoints.find(folder, fit)
    begun = checkpoints.read(folder, stem)
    settings, include = begun.settings, begun.asked["include"]
    parallel = sampling.check_parallel(parallel_chains, settings.chains, 1)
    idatas.check_importable()
    model = _class(begun).rebuilt(
        begun.columns, begun.options, begun.design, begun.family, begun.standardization
    )

    def tasks(executable: Path) -> list[chains.Task]:
        return sampling.tasks_of(
            executable,
            folder,
            stem,
            settings,
            radius=begun.radius,
            progress=progress,
            leave_out=fitting.not_read(model, include),
            keep=True,
        )

    name = begun.program["program"]
    sampling_began = time.monotonic()
    try:
        there = {task.chain: chains.finished(task) for task in tasks(Path(name))}
    except OSError as error:
        raise checkpoints.unread(folder, error) from error
    ran = {number: chain for number, chain in there.items() if chain is not None}
    if len(ran) < settings.chains:
        executable = _same_executable(begun, model.program_name(), progress)
        with checkpoints.alone(folder, stem):
            missing = [task for task in tasks(executable) if task.chain not in ran]
            _make_room(missing)
            each = settings.warmup + settings.draws
            again = running.run(missing, each, parallel, executor, progress)
        ran |= {chain.number: chain for chain in again}
    idata, trouble = fitting.gathered(
        model,
        [ran[number] for number in range(settings.chains)],
        settings,
        {key: value for key, value in begun.program.items() if key != "key"},
        include=include,
        pointwise=begun.asked["pointwise"],
        effects_kept=begun.asked["effects_kept"],
        allow_failed_chains=allow_failed_chains,
        sampling_seconds=time.monotonic() - sampling_began,
        began=began,
        begun=begun,
    )
    for line in trouble:
        warnings.warn(line, DiagnosticWarning, stacklevel=2)
    return idata


def _class(begun: Checkpoint) -> Any:
    from .registry import MODELS

    if begun.model not in MODELS:
        raise OptionError(
            f"the fit {begun.stem} must be of {', '.join(MODELS)}, got {begun.model!r}; pick it up "
            "where that is defined"
        )
    return MODELS[begun.model]


def _same_executable(begun: Checkpoint, name: str | Path, progress: bool | None) -> Path:
    """The executable that ran the other chains: another would not give the same draws."""
    said = begun.program
    now = programs.executable(name, progress=progress)
    if now.key != said["key"]:
        raise OptionError(
            f"the chains that are missing must be run by the program that ran the others: "
            f"{said['program']} (SHA-256 {said['program_sha256'][:12]}) with CmdStan "
            f"{said['cmdstan_version']}, its compiler and flags; got SHA-256 "
            f"{now.program.digest[:12]}, CmdStan {now.cmdstan_version}; bring that back, or fit "
            "the model anew"
        )
    return now.path


def _make_room(missing: list[chains.Task]) -> None:
    """Remove what the unfinished chains have left, and the processes that still write it."""
    try:
        for task in missing:
            chains.clear(task)
            task.stop.unlink(missing_ok=True)
    except OSError as error:
        raise sampling.unwritten(missing[0].csv.parent, error) from error
