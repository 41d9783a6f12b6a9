"""One model over many data sets: a fit for each subject, product or simulation, one tidy result.

    model, data --replace(frame=...)--> a model each --retries--> fits, anywhere --> ManyFits

A task is a whole fit, chains one after another, so that what travels back is a table and not a
file: the workers need this package and a CmdStan, and no folder that all of them see.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from ..engines.nuts import sampling
from ..errors import (
    ColumnError,
    DataError,
    OptionError,
    count_of,
    listed,
    suggest,
)
from ..stan import programs
from ..system import progress as bars
from . import retries
from . import tasks as fit_tasks
from .result import NUMBERS, ManyFits, gather, report

__all__ = ["ManyFits", "fit_many"]

# Options of a fit that are not the user's to set here, and why.
_OURS = {
    "executor": "it is an argument of fit_many: whole fits run there",
    "seed": "it is an argument of fit_many: each data set's own follows from it",
    "progress": "it is an argument of fit_many: one bar for all fits",
    "output_dir": "Stan's files are not kept; to have those of one data set, fit it by itself with "
    "the seed that the diagnostics show",
}


def fit_many(
    model: Any,
    data: Any,
    *,
    by: str | None = None,
    executor: Executor | None = None,
    seed: int | None = None,
    keep: str = "table",
    var_names: str | Sequence[str] | None = None,
    progress: bool | None = None,
    on_error: str = "raise",
    **fit_options: Any,
) -> ManyFits:
    """Fit one model to many data sets; its program is compiled once.

    Parameters
    ----------
    model : EightSchools, OneWay or VaryingSlopes
        The template: its columns, pooling, parameterization and the priors that it was given hold
        for every data set; its own data are not used, but for the levels of factors and their
        baselines: a data set with other levels, or without one of them, is not fitted. Default
        priors follow each data set.
    data : mapping, sequence, or data frame
        Label -> data set, or data sets that are labelled 0, 1, ...: each anything that the model
        takes as its ``frame``. With ``by``, one data frame (or path) of all of them.
    by : str, optional
        Column of the one data frame whose values say which data set a row belongs to.
    executor : concurrent.futures.Executor, optional
        Where the fits run, one task each: a ``ProcessPoolExecutor``, a Dask
        ``client.get_executor()``, ... Its workers need this package and a CmdStan. By default they
        run in threads of this process, one for each processor. Many small fits are faster in
        processes: what is done in Python after sampling then runs side by side as well.
    seed : int, optional
        Makes the result reproducible, whatever the executor; drawn and recorded where not given.
        A data set's own seed follows from it and the data set's position, and is recorded:
        ``model.replace(frame=...).fit(seed=...)`` with it gives the very same draws.
    keep : {"table", "draws"}
        Whether the containers are kept as well; they take much more memory than the table.
    var_names : str or list of str, optional
        Variables in the table; all by default.
    progress : bool, optional
        Progress bar: by default in a terminal and in a notebook.
    on_error : {"raise", "keep"}
        What to do at the end where data sets were not fitted: raise :class:`ManyFitsError`, whose
        ``.result`` has the others, or return the result with its ``failures``.
    **fit_options
        What the model's ``fit`` takes: ``chains``, ``draws``, ``warmup``, ``adapt_delta``, ...
        Chains of a fit run one after another unless ``parallel_chains`` says otherwise.

    Returns
    -------
    ManyFits

    Raises
    ------
    OptionError, ColumnError, DataError
        An argument, an option of the fit, the executor or the column ``by`` cannot be used.
    CmdStanError, CompileError
        As ``fit`` does.
    ManyFitsError
        Data sets were not fitted; after all of them were tried.
    KeyboardInterrupt
        As it came, once the fits under way have been told to end. There is no result then.

    Warns
    -----
    DiagnosticWarning
        Once, for all fits: those whose draws are in doubt, and, with ``on_error="keep"``, those
        that are missing.
    DataWarning
        Once, for all data sets.

    Notes
    -----
    A fit whose worker is lost is run again, with the same seed and so the same draws; where that
    has broken the executor, in this process.
    """
    import numpy as np

    _check(model, executor, keep, on_error, fit_options)
    if fit_options.get("effects") == "none" and "theta" in _names(var_names):
        raise OptionError(
            "var_names has 'theta', which effects='none' leaves out of the fits; pass "
            "effects='summary' or 'draws', or leave out 'theta'"
        )
    labels, frames = _data_sets(model, data, by)
    # The same check and the same record of a seed as a fit's own.
    from ..engines.settings import checked_seed

    seed = checked_seed(seed)
    seeds = [
        int(np.random.SeedSequence(seed, spawn_key=(at,)).generate_state(1)[0]) >> 1
        for at in range(len(labels))
    ]
    # Whole fits run side by side, not their chains.
    nuts = fit_options.get("engine", "nuts") == "nuts"
    options = {**({"parallel_chains": 1} if nuts else {}), **fit_options}
    outcomes: dict[int, fit_tasks.Outcome] = {}
    remarks: dict[int, str] = {}

    def tasks(scratch: Path) -> Iterator[fit_tasks.FitTask]:
        """Lay out the models one at a time, while others are being fitted."""
        for at, frame in enumerate(frames):
            with fit_tasks.listening() as said:
                try:
                    one = model.replace(frame=frame)
                except Exception as error:
                    outcomes[at] = fit_tasks.Outcome.failed(error)
                    bar.update()
                    continue
            remarks[at] = "; ".join(said)
            if options.get("engine", "nuts") == "nuts":
                programs.executable(one.program_name(), progress=progress)
            yield fit_tasks.FitTask(
                at, one, seeds[at], options, keep == "draws", var_names, scratch, host
            )

    host = socket.gethostname()
    with (
        fit_tasks.scratch_folder() as scratch,
        bars.bar(len(labels), "fits", progress=progress, unit="fit") as bar,
        fit_tasks.listening(),
        contextlib.closing(
            retries.run(
                fit_tasks.run, tasks(scratch), executor, stop=lambda: fit_tasks.stop(scratch)
            )
        ) as done,
    ):
        for task, outcome in done:
            if isinstance(outcome, retries.Lost):
                fit_tasks.end_orphans(task.folder)
                outcome = fit_tasks.Outcome(failure=outcome.reason)
            outcomes[task.at] = outcome
            bar.update()
        bar.refresh()  # it shows a step only where the last was a tenth of a second ago
    fit_tasks.refuse_options(outcomes.values())
    result = gather(labels, by or "data_set", seed, seeds, outcomes, remarks)
    report(result, on_error)
    return result


def _check(model: Any, executor: Any, keep: str, on_error: str, options: Mapping[str, Any]) -> None:
    from ..models.base import one_of
    from ..models.model import Model

    if not isinstance(model, Model):
        raise OptionError(
            "model must be an EightSchools, OneWay or VaryingSlopes model, got "
            f"{type(model).__name__}; build one on any of the data sets"
        )
    sampling.check_place(executor, None)
    one_of("keep", keep, ("table", "draws"))
    one_of("on_error", on_error, ("raise", "keep"))
    fit_tasks.check_options("fit_many", model, options, _OURS)


def _names(var_names: str | Sequence[str] | None) -> Sequence[str]:
    return [var_names] if isinstance(var_names, str) else var_names or ()


# ---- data sets -----------------------------------------------------------------------------------


def _data_sets(model: Any, data: Any, by: str | None) -> tuple[list[Any], Iterable[Any]]:
    """Labels and data sets, in their order."""
    one_frame = isinstance(data, (str, os.PathLike)) or _is_frame(data)
    if by is not None:
        if not one_frame:
            raise OptionError(
                f"by={by!r} names a column of one data frame, got data of type "
                f"{type(data).__name__}; pass the frame, or leave out by"
            )
        return _split(model, data, by)
    if one_frame:
        raise OptionError(
            "data is one data frame: say by='...', the column that tells the data sets apart, or "
            "pass a mapping from label to data frame"
        )
    if isinstance(data, Mapping):
        labels, frames = list(data), list(data.values())
    elif isinstance(data, Iterable):
        frames = list(data)
        labels = list(range(len(frames)))
    else:
        raise OptionError(
            "data must be a mapping from label to data frame, a sequence of data frames, or one "
            f"data frame with by='...', got {type(data).__name__}"
        )
    if not labels:
        raise OptionError("data holds no data set; there must be at least one")
    return labels, frames


def _is_frame(data: Any) -> bool:
    import narwhals as nw

    try:
        return isinstance(nw.from_native(data), (nw.DataFrame, nw.LazyFrame))
    except TypeError:
        return False


def _split(model: Any, data: Any, by: str) -> tuple[list[Any], Iterable[Any]]:
    """Take one frame apart by a column, its values in the order of their first appearance."""
    import narwhals as nw
    import numpy as np
    import pandas as pd

    from ..data import engines, files, label_texts

    there: list[str] = []
    if isinstance(data, (str, os.PathLike)):
        there = files.columns(data)
        own = dict(model.columns)
        labels = [by, own.pop("group", by)]
        others = [c for use in own.values() for c in ([use] if isinstance(use, str) else use)]
        data = files.read(data, labels=labels, others=others)
    frame: Any = nw.from_native(data)
    frame = engines.computed(frame) if isinstance(frame, nw.LazyFrame) else frame
    if not isinstance(by, str):
        raise OptionError(f"by must be the name of a column (a string), got {by!r}")
    if by not in frame.columns:
        there = there or frame.columns
        raise ColumnError(
            f"by: the data frame has no column {by!r}; it has {listed(there)}{suggest(by, there)}"
        )
    if by in ("variable", *NUMBERS) or by == model.columns.get("group"):
        why = "a column of the result" if by in ("variable", *NUMBERS) else "the model's own group"
        raise OptionError(
            f"by={by!r} must be a column apart: that is {why}; rename or name another"
        )
    codes, values = pd.factorize(pd.Series(frame[by].to_list()))
    names = {i: v for i, v in enumerate(values) if isinstance(v, str)}
    texts = {v: int((codes == i).sum()) for i, v in names.items() if label_texts.is_missing(v)}
    if absent := int((codes < 0).sum()) + sum(texts.values()):
        also, advice = label_texts.told({by: texts})
        raise DataError(
            f"by={by!r} must say for every row which data set it belongs to, got "
            f"{count_of(absent, 'missing value')} in {len(frame)} rows{also}; leave out or mend "
            f"those rows{advice}"
        )
    label_texts.warn(by, np.array(list(names.values()), dtype=np.str_), {}, role="by")
    if not len(values):
        raise DataError("the data frame is empty: it has columns but no rows")
    ends = np.cumsum(np.bincount(codes))
    rows = np.split(np.argsort(codes, kind="stable"), ends[:-1])
    return values.tolist(), (frame[at].to_native() for at in rows)
