"""A fit as a task: what travels to a worker, what comes back, and what a lost one leaves behind."""

from __future__ import annotations

import contextlib
import inspect
import shutil
import socket
import tempfile
import threading
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..container import inference_data as idatas
from ..diagnostics import check as diagnostics
from ..diagnostics import summary as summaries
from ..engines.nuts import chains, checkpoints
from ..errors import HierModelsWarning, OptionError, suggest
from ..system import temporary
from ..system.termination import terminable

if TYPE_CHECKING:
    import pandas as pd

UNCHECKED: Mapping[str, Any] = {
    "parameterization": "",
    "divergences": float("nan"),
    "r_hat": float("nan"),
    "ess_bulk": float("nan"),
    "ess_tail": float("nan"),
    "seconds": float("nan"),
    "ok": False,
    "findings": "",
    "verdict": "",
}
"""What the diagnostics say of a data set that has no fit."""


@dataclass(frozen=True)
class FitTask:
    """One data set's fit.

    Attributes
    ----------
    at : int
        The data set's position.
    model : Model
        Of its data.
    seed : int
        Of its own.
    options : mapping
        Further options of ``fit``.
    keep : bool
        Whether the container comes back.
    var_names : str, sequence of str, or None
        Variables in the table; None for all.
    scratch : Path
        Folder for files, on ``host``; once it is gone, the fit is called off.
    host : str
        The machine that waits.
    """

    at: int
    model: Any
    seed: int
    options: Mapping[str, Any]
    keep: bool
    var_names: str | Sequence[str] | None
    scratch: Path
    host: str

    @property
    def folder(self) -> Path:
        """Where all tries of this task leave their files."""
        return self.scratch / str(self.at)


@dataclass(frozen=True)
class Outcome:
    """What became of one data set.

    Attributes
    ----------
    table : DataFrame or None
        ``variable`` and the columns of ``hm.summary``.
    checked : mapping
        The diagnostics, as in :data:`UNCHECKED`.
    per_group : frozenset of str
        Variables with a value for each group.
    idata : container or None
        Where it is kept.
    failure : str or None
        Why there is no fit, in one line; None where there is a fit.
    option : bool
        Whether what failed is an option of the fit.
    """

    table: pd.DataFrame | None = None
    checked: Mapping[str, Any] = field(default_factory=dict)
    per_group: frozenset[str] = frozenset()
    idata: Any = None
    failure: str | None = None
    option: bool = False

    @classmethod
    def failed(cls, error: Exception) -> Outcome:
        """Make an error one line; it need not travel."""
        said = " ".join(str(error).split())
        return cls(failure=f"{type(error).__name__}: {said}", option=isinstance(error, OptionError))


def run(task: FitTask, _try: int = 1) -> Outcome:
    """Fit one data set; also in another process. Whatever goes wrong is in the outcome."""
    if called_off(task):
        return Outcome(failure="called off")
    options = {"progress": False, **task.options}
    with listening():
        try:
            with own_folder(task, options.get("engine", "nuts")) as own:
                idata = task.model.fit(seed=task.seed, **options, **own)
                return _outcome(task, idata)
        except Exception as error:
            return Outcome.failed(error)


def _outcome(task: FitTask, idata: Any) -> Outcome:
    posterior = idatas.dataset(idata, "posterior")
    attrs = idatas.attributes(idata)
    found = diagnostics.check(idata)
    table = summaries.summary(idata, task.var_names)
    table.insert(0, "variable", table.index)
    quantities, by_chain = found.parameters, found.chains
    checked = {
        "parameterization": attrs.get("parameterization", ""),
        "divergences": (
            float(by_chain["divergences"].sum()) if "divergences" in by_chain else float("nan")
        ),
        "r_hat": quantities["r_hat"].max(),
        "ess_bulk": quantities["ess_bulk"].min(),
        "ess_tail": quantities["ess_tail"].min(),
        "seconds": float(attrs.get("seconds", "nan")),
        "ok": found.ok,
        # Notes are about the data, and are the same in every fit of so few groups.
        "findings": ", ".join(
            dict.fromkeys(f.kind for f in found.findings if f.severity != "note")
        ),
        "verdict": found.verdict,
    }
    group = task.model.columns["group"]
    per_group = {str(name) for name, x in posterior.items() if group in x.dims}
    if idatas.has(idata, "effects_summary"):  # then the table has them, the posterior does not
        per_group.add("theta")
    return Outcome(
        table=table.reset_index(drop=True),
        checked=checked,
        per_group=frozenset(per_group),
        idata=idata if task.keep else None,
    )


# ---- options -------------------------------------------------------------------------------------


def check_options(
    caller: str, model: Any, options: Mapping[str, Any], ours: Mapping[str, str]
) -> None:
    """Refuse options that the model's ``fit`` does not have, or that are the caller's, and why.

    Raises
    ------
    OptionError
        There is such an option.
    """
    known = inspect.signature(model.fit).parameters
    for name in options:
        if name in ours:
            raise OptionError(f"{caller} takes no {name} among the options of a fit: {ours[name]}")
        if name not in known and all(p.kind is not p.VAR_KEYWORD for p in known.values()):
            others = [k for k in known if k not in ours]
            raise OptionError(
                f"neither {caller} nor {type(model).__name__}.fit has an option {name!r}; fit has "
                f"{', '.join(others)}{suggest(name, others)}"
            )


class _Ended(Protocol):
    @property
    def failure(self) -> str | None: ...
    @property
    def option(self) -> bool: ...


def refuse_options(outcomes: Collection[_Ended]) -> None:
    """Raise an option that no fit could take: it is a mistake of the call.

    Raises
    ------
    OptionError
        All outcomes failed of the same option.
    """
    said = {outcome.failure for outcome in outcomes}
    if len(said) == 1 and all(outcome.option for outcome in outcomes):
        raise OptionError(str(said.pop()).removeprefix("OptionError: "))


# ---- files, by which fits are told to end --------------------------------------------------------


class HasFolder(Protocol):
    """A task that leaves files in a folder of its own, on the machine that waits."""

    @property
    def scratch(self) -> Path:
        """Folder of all tasks; once it is gone, they are called off."""

    @property
    def host(self) -> str:
        """The machine that waits."""

    @property
    def folder(self) -> Path:
        """Folder of all tries of this task."""


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder for the fits' files; that it is gone tells those under way to end."""
    with terminable(), temporary.folder() as folder:
        try:
            yield folder
        finally:
            for each in folder.glob("*"):
                end_orphans(each)


def called_off(task: HasFolder) -> bool:
    """Whether a task is not waited for any more."""
    return task.host == socket.gethostname() and not task.scratch.exists()


@contextlib.contextmanager
def own_folder(task: HasFolder, engine: str) -> Iterator[dict[str, Any]]:
    """Where NUTS keeps the files of one try, as an option of ``fit``; nothing for other engines."""
    if engine != "nuts" or task.host != socket.gethostname():
        yield {}
        return
    # Dask itself hands a task whose worker died out again, the very same one.
    end_orphans(task.folder)
    task.folder.mkdir(exist_ok=True)
    own = Path(tempfile.mkdtemp(dir=task.folder))
    try:
        yield {"output_dir": checkpoints.Scratch(own)}
    finally:
        shutil.rmtree(own, ignore_errors=True)
        with contextlib.suppress(OSError):
            task.folder.rmdir()


def stop(scratch: Path) -> None:
    """Tell the fits of a scratch folder to end: their chains look whether their folder is there."""
    shutil.rmtree(scratch, ignore_errors=True)


def end_orphans(folder: Path) -> None:
    """End the CmdStan processes of tries whose worker died."""
    for pid in folder.glob("*/*.pid"):
        chains.end_orphan(pid.with_suffix(".csv"))


# ---- warnings ------------------------------------------------------------------------------------

_ear = threading.local()
_lock = threading.Lock()
_listeners = 0
_before = contextlib.ExitStack()


@contextlib.contextmanager
def listening() -> Iterator[list[str]]:
    """Collect what this package warns of in this thread, while fits run in several.

    Python keeps one list of filters for all threads, and ``warnings.catch_warnings`` in two threads
    at once restores it in the wrong order. So the first listener sets it, the last one restores it,
    and in between everything goes through one function that knows whose thread it is in. Warnings
    of other packages are silent for that time: a fit has its own ``catch_warnings`` around what it
    knows of, and these cross as well.
    """
    global _listeners
    said: list[str] = []
    outer = getattr(_ear, "said", None)
    with _lock:
        _listeners += 1
        if _listeners == 1:
            _before.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", HierModelsWarning)
            warnings.showwarning = _hear(warnings.showwarning)
    _ear.said = said
    try:
        yield said
    finally:
        _ear.said = outer
        with _lock:
            _listeners -= 1
            if _listeners == 0:
                _before.close()


def _hear(otherwise: Any) -> Any:
    def show(message: Warning | str, *args: Any, **kwargs: Any) -> None:
        said = getattr(_ear, "said", None)
        if said is None:  # a thread that has nothing to do with us
            otherwise(message, *args, **kwargs)
        else:
            said.append(" ".join(str(message).split()))

    return show
