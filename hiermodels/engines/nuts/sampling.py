"""Run NUTS: one CmdStan process per chain, on any executor.

CmdStanPy's own ``sample`` loses the finished chains when one fails, cannot be interrupted and
shows no progress that a caller can place. Here each chain is a task of its own: chains run on any
``concurrent.futures`` executor, and a chain that fails costs only itself.
"""

from __future__ import annotations

import contextlib
import glob
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import OptionError, SamplingError, option
from ...system import ownership, temporary
from ...system import progress as bars
from ...system.termination import terminable
from ..settings import Settings, whole
from .chains import Chain, Task
from .running import run

Array = NDArray[np.float64]

SIGNIFICANT_DIGITS = 12
"""Digits of each number in Stan's CSV files.

CmdStan's default, 6, cannot tell draws of a mean of 1e6 with a spread of 1 apart. More digits cost
next to nothing where columns are few: writing them is a hundredth of a small chain's time.
"""


def check_parallel(parallel_chains: int | None, chains: int, threads: int) -> int:
    """How many chains run at once: as asked, or as many as this process has processors."""
    whole("threads", threads, 1)
    if threads > 1:
        raise OptionError(
            f"threads must be 1, got {threads}: these programs do not split a chain over threads; "
            "run more chains at once with parallel_chains"
        )
    if parallel_chains is None:
        return max(1, min(chains, bars.processors()))
    whole("parallel_chains", parallel_chains, 1)
    return int(parallel_chains)


def check_place(executor: Any, output_dir: str | os.PathLike[str] | None) -> None:
    """Refuse an object that is not an executor, and an output folder that cannot be written."""
    if executor is not None and not hasattr(executor, "submit"):
        raise OptionError(
            "executor must be a concurrent.futures.Executor (it needs a submit method), got "
            f"{type(executor).__name__}"
        )
    if output_dir is None:
        return
    folder = Path(os.path.expanduser(output_dir)).resolve()
    try:
        if not folder.is_dir():
            ownership.make_folder(folder)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OptionError(
            option("output_dir") + f" must be a folder that can be written, got {str(folder)!r} "
            f"({error.strerror}); choose another"
        ) from error


def sample(
    executable: Path,
    data: Mapping[str, Any],
    inits: float | Sequence[Mapping[str, Any]],
    settings: Settings,
    *,
    leave_out: Sequence[str] = (),
    parallel_chains: int = 1,
    executor: Executor | None = None,
    progress: bool | None = None,
    output_dir: str | os.PathLike[str] | None = None,
    stem: str | None = None,
    prepared: Callable[[], None] | None = None,
) -> list[Chain]:
    """Run the chains and read their draws.

    Parameters
    ----------
    executable : Path
        A compiled Stan program.
    data : mapping
        Stan's data.
    inits : float or sequence of mapping
        Radius of Stan's random inits on the unconstrained scale, or a dict for each chain.
    settings : Settings
        What NUTS is told.
    leave_out : sequence of str
        Stan variables that are not read back.
    parallel_chains : int
        Chains at once, where there is no executor.
    executor : concurrent.futures.Executor, optional
        Where the chains run. Its workers must see this machine's files.
    progress : bool, optional
        Whether to show a bar; by default in a terminal and in a notebook.
    output_dir : path, optional
        Folder that keeps Stan's own files.
    stem : str, optional
        What the names of all files begin with (:func:`new_stem`), where they are to be picked up.
    prepared : callable, optional
        Called once all that the chains need is in the folder, before they begin.

    Returns
    -------
    list of Chain
        One per chain, in order, finished or not.

    Raises
    ------
    OptionError
        The output folder cannot be used.
    SamplingError
        What the chains need cannot be written.
    KeyboardInterrupt
        As it came, once every child process has ended.
    """
    check_place(executor, output_dir)
    with terminable(), _run_folder(output_dir) as folder:
        keep = stem is not None
        stem = stem or new_stem(executable)
        radius = float(inits) if isinstance(inits, (int, float)) else None
        try:
            _write(folder, stem, data, () if isinstance(inits, (int, float)) else inits)
            if prepared is not None:
                prepared()
        except OSError as error:
            for file in folder.glob(f"{glob.escape(stem)}_*"):
                file.unlink(missing_ok=True)
            raise unwritten(folder, error) from error
        tasks = tasks_of(
            executable,
            folder,
            stem,
            settings,
            radius=radius,
            progress=progress,
            leave_out=leave_out,
            keep=keep,
        )
        each = settings.warmup + settings.draws
        return run(tasks, each, parallel_chains, executor, progress)


def unwritten(folder: Path, error: Exception) -> SamplingError:
    """That a fit's files cannot be written."""
    return SamplingError(
        f"a fit needs room for its files in {folder}, and they cannot be written "
        f"({getattr(error, 'strerror', None) or error}); make room, or set TMPDIR or "
        + option("output_dir")
        + " to another folder"
    )


@contextlib.contextmanager
def _run_folder(output_dir: str | os.PathLike[str] | None) -> Iterator[Path]:
    if output_dir is not None:
        yield Path(os.path.expanduser(output_dir)).resolve()
        return
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(temporary.folder())
        except OSError as error:
            raise unwritten(Path(tempfile.gettempdir()), error) from error
        yield folder


def new_stem(executable: Path) -> str:
    """What the names of a fit's files begin with; it keeps two fits into one folder apart."""
    now = time.strftime("%Y%m%d%H%M%S")
    return f"{executable.stem}-{now}-{os.getpid()}-{time.monotonic_ns()}"


def _write(
    folder: Path, stem: str, data: Mapping[str, Any], inits: Sequence[Mapping[str, Any]]
) -> None:
    import stanio

    stanio.write_stan_json(str(folder / f"{stem}_data.json"), dict(data))
    for number, one in enumerate(inits):
        stanio.write_stan_json(str(folder / f"{stem}_init_{number}.json"), dict(one))


def tasks_of(
    executable: Path,
    folder: Path,
    stem: str,
    settings: Settings,
    *,
    radius: float | None,
    progress: bool | None,
    leave_out: Sequence[str],
    keep: bool,
) -> list[Task]:
    """The chains of a fit whose data, and inits where there is no radius, lie in a folder.

    ``keep`` says that what is finished is marked, to be picked up.
    """
    data = folder / f"{stem}_data.json"
    # Stan speaks of its progress only where a bar is shown.
    steps = settings.draws + settings.warmup
    refresh = max(1, steps // 50) if bars.wanted(progress) else 0
    tasks = []
    for number in range(settings.chains):
        init = str(folder / f"{stem}_init_{number}.json") if radius is None else f"{radius:g}"
        csv = folder / f"{stem}_{number}.csv"
        tasks.append(
            Task(
                chain=number,
                command=tuple(_command(executable, number, data, init, csv, settings, refresh)),
                csv=csv,
                stop=folder / f"{stem}.stop",
                warmup=settings.warmup if settings.save_warmup else 0,
                draws=settings.draws,
                leave_out=tuple(leave_out),
                mark=folder / f"{stem}_{number}.done" if keep else None,
            )
        )
    return tasks


def _command(
    executable: Path,
    number: int,
    data: Path,
    init: str,
    csv: Path,
    settings: Settings,
    refresh: int,
) -> list[str]:
    """CmdStan's command line for one chain (CmdStan User's Guide, MCMC sampling)."""
    return [
        str(executable),
        f"id={number + 1}",
        "random",
        f"seed={settings.seed}",
        "data",
        f"file={data}",
        f"init={init}",
        "output",
        f"file={csv}",
        f"sig_figs={SIGNIFICANT_DIGITS}",
        f"refresh={refresh}",
        "method=sample",
        f"num_samples={settings.draws}",
        f"num_warmup={settings.warmup}",
        f"save_warmup={int(settings.save_warmup)}",
        "algorithm=hmc",
        "engine=nuts",
        f"max_depth={settings.max_treedepth}",
        f"metric={settings.metric}_e",
        "adapt",
        f"engaged={int(settings.warmup > 0)}",
        f"delta={settings.adapt_delta}",
    ]


def report(chains: Sequence[Chain]) -> str:
    """Which chains failed, how, and the end of what Stan said of it."""
    lines = []
    for chain in chains:
        if not chain.finished:
            lines.append(f"chain {chain.number} (of 0 to {len(chains) - 1}) {chain.failure}")
            lines += [f"    {said}" for said in chain.messages.splitlines()]
    return "\n".join(lines)


def unpack(chains: Sequence[Chain], *, warmup: bool = False) -> dict[str, Array]:
    """Stan's variables as arrays of shape (chain, draw, ...), those of the sampler among them.

    Raises
    ------
    SamplingError
        The chains' files have different columns (they come from different programs).
    """
    import stanio

    columns = chains[0].columns
    if any(chain.columns != columns for chain in chains):
        raise SamplingError("the chains have different columns; run them again")
    drawn = [chain.warmup if warmup else chain.draws for chain in chains]
    variables = stanio.parse_header(",".join(columns))
    return {
        name: _stacked([x[:, v.start_idx : v.end_idx] for x in drawn], v.dimensions)
        for name, v in variables.items()
    }


def _stacked(chains: Sequence[Array], shape: tuple[int, ...]) -> Array:
    """The columns of one variable, shape (chain, draw, ...): one copy, of this variable alone.

    Stan writes arrays with the first index running fastest.
    """
    # Not np.stack, which would keep pandas' order, column by column: laying the chains end to end
    # would copy it all once more.
    stacked = np.empty((len(chains), *chains[0].shape))
    for out, drawn in zip(stacked, chains, strict=True):
        out[:] = drawn
    turned = stacked.reshape(*stacked.shape[:2], *reversed(shape))
    axes = (0, 1, *range(turned.ndim - 1, 1, -1))
    return turned.transpose(axes)
