"""What a folder holds of a fit, so that it can be picked up: model, settings, programs.

::

    STEM_fit.npz                   the model's numbers and priors, the settings, the program's key
    STEM_data.json, _init_N.json   what Stan was given
    STEM_N.csv, STEM_N.txt         what Stan wrote and said, chain by chain
    STEM_N.done                    that the chain is finished, with the hash of its file
    STEM.lock                      held while chains run

The first file is NumPy's, without pickled objects, and is written last of what a fit begins with:
where it is, all that the chains need is there.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ... import families
from ...data.design import Design
from ...data.rows import Rows
from ...errors import DataError, Message, OptionError, listed, option
from ...families.family import Family
from ...families.gaussian.laplace import Standardization
from ...families.gaussian.statistics import ABOUT, ARRAYS, SufficientStatistics
from ...priors.distributions import FAMILIES, Prior
from ...system import writing
from ...version import __version__
from ..settings import Settings
from . import chains, sampling

FORMAT = "hiermodels fit 3"
OPTIONS = ("pooling", "parameterization", "priors", "missing")
"""Arguments of a model beside its data and columns."""
_END = "_fit.npz"
_ROWS = tuple(field.name for field in dataclasses.fields(Rows))
_NUMBERS = ("centre", "root", "by_group")


@dataclass(frozen=True)
class Scratch(os.PathLike[str]):
    """A folder for a fit's files that its maker will remove: no fit is picked up there."""

    path: Path

    def __fspath__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class Checkpoint:
    """A fit that was begun.

    Attributes
    ----------
    folder : Path
        Where its files are.
    stem : str
        What their names begin with.
    model : str
        Name of the model's class.
    family : Family
        Distribution of the response.
    columns, options : dict
        The model's arguments.
    design : Design
        Its data.
    standardization : Standardization or None
        Of a marginal program.
    settings : Settings
        What NUTS is told.
    asked : dict
        What the fit was asked for beside that: ``include``, ``pointwise``,
        ``effects_kept``.
    radius : float or None
        Of Stan's random inits; None where they are in files.
    program : dict
        Name, hash, CmdStan version and key of the executable.
    """

    folder: Path
    stem: str
    model: str
    family: Family
    columns: dict[str, Any]
    options: dict[str, Any]
    design: Design
    standardization: Standardization | None
    settings: Settings
    asked: dict[str, Any]
    radius: float | None
    program: dict[str, str]

    @property
    def call(self) -> str:
        """How it is picked up; "" where what was written of it is gone."""
        there = {file.name for file in self.folder.glob(f"[!.]*{_END}")}
        if f"{self.stem}{_END}" not in there:
            return ""
        others = len(there) > 1
        return f"hm.resume({str(self.folder)!r}{f', fit={self.stem!r}' if others else ''})"

    def write(self, *, rows: bool) -> None:
        """Write the first file of a fit; with the rows where they are needed.

        Raises
        ------
        OSError
            It cannot be written.
        """
        d = self.design
        arrays = {f"statistics.{n}": getattr(d.statistics, n) for n in ARRAYS}
        if rows:
            found = d.rows("a fit that can be picked up")
            kept = {n: getattr(found, n) for n in _ROWS}
            arrays |= {f"rows.{n}": x for n, x in kept.items() if x is not None}
        about: dict[str, Any] = {
            "format": FORMAT,
            "hiermodels_version": __version__,
            "model": {"name": self.model, "columns": self.columns},
            "family": {"name": self.family.name, "options": self.family.options},
            "options": {**self.options, "priors": _plain(self.options["priors"])},
            "design": {
                **{n: getattr(d.statistics, n) for n in ABOUT},
                "coefficients": d.coefficients,
                "predictors": d.predictors,
                "ones": d.ones,
                "about": d.about,
                "scalar": d.scalar,
                "estimates": d.estimates,
                "has_rows": d.has_rows,
                "in_memory": d.in_memory,
            },
            "settings": asdict(self.settings),
            "asked": self.asked,
            "radius": self.radius,
            "program": self.program,
        }
        if self.standardization is not None:
            s = self.standardization
            arrays |= {f"standardization.{n}": getattr(s, n) for n in _NUMBERS}
            about["standardization"] = {
                "reason": s.reason,
                "found": bool(s.found),
                "efficiency": float(s.efficiency),
            }
        with (
            writing.whole(self.folder / f"{self.stem}{_END}") as part,
            open(part, "xb") as file,
        ):
            np.savez(file, about=np.array(json.dumps(about, default=_number)), **arrays)


def _number(value: Any) -> Any:
    """NumPy's numbers as JSON has them."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be kept")


def _plain(priors: Mapping[str, Any]) -> dict[str, Any]:
    def one(prior: Any) -> Any:
        if isinstance(prior, Mapping):
            return {"by": {str(name): one(p) for name, p in prior.items()}}
        return {"family": type(prior).__name__, "numbers": asdict(prior)}

    return {name: one(prior) for name, prior in priors.items()}


def _prior(plain: Mapping[str, Any]) -> Prior | dict[str, Any]:
    if "by" in plain:
        return {name: _prior(p) for name, p in plain["by"].items()}
    return FAMILIES[plain["family"]](**plain["numbers"])


def find(folder: Path, fit: str | None) -> str:
    """The stem of the one fit in a folder, of the only unfinished one, or of the one that is named.

    Raises
    ------
    OptionError
        The folder has no fit, no fit of that name, or several fits and no name was given.
    """
    what = (
        Message(
            "output_dir must be the folder of a fit(..., output_dir=)",
            "FOLDER must be one that a fit's --output-dir named",
        )
        + f", and {str(folder)!r}"
    )
    if not os.path.isdir(folder):
        is_there = "a file" if os.path.exists(folder) else "not there"
        raise OptionError(what + f" is {is_there}; check the path")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise OptionError(what + " cannot be read; see whose it is, and its mode (`ls -ld`)")
    there = stems(folder)
    if not there:
        raise OptionError(
            Message("output_dir", "FOLDER")
            + f" must hold a fit that was begun, and {str(folder)!r} holds none; "
            + Message("model.fit(..., output_dir=)", "`hiermodels fit` with --output-dir")
            + " begins one"
        )
    meant = [fit] if fit is not None else there
    if len(meant) > 1:
        meant = [stem for stem in there if _unfinished(folder, stem)]
    if len(meant) == 1 and meant[0] in there:
        return meant[0]
    raise OptionError(
        option("fit")
        + f" must name one of the {len(there)} fits in {str(folder)!r} ({listed(there)}), got "
        f"{'none' if fit is None else repr(fit)}"
    )


def _unfinished(folder: Path, stem: str) -> bool:
    """Whether chains are missing, or it cannot be said (its file is damaged, or closed)."""
    try:
        done, wanted = progress(folder, stem)
    except OptionError:
        return True
    return done < wanted


def stems(folder: Path) -> list[str]:
    """Names of the fits in a folder; none where it cannot be looked into."""
    with suppress(OSError):
        return sorted(p.name[: -len(_END)] for p in folder.glob(f"[!.]*{_END}"))
    return []


def progress(folder: Path, stem: str) -> tuple[int, int]:
    """Chains that have finished and whose draws are there, and chains in all, of a fit.

    Raises
    ------
    OptionError
        Its file cannot be read, is damaged, or is of another version of this package.
    """
    with _opened(folder / f"{stem}{_END}") as (about, _):
        marks = [folder / f"{stem}_{n}.done" for n in range(int(about["settings"]["chains"]))]
        return sum(chains.draws_left(mark) is not None for mark in marks), len(marks)


def read(folder: Path, stem: str) -> Checkpoint:
    """A fit that was begun.

    Raises
    ------
    OptionError
        Its file cannot be read, is damaged, or is of another version of this package.
    """
    with _opened(folder / f"{stem}{_END}") as (about, file):
        arrays = {name: file[name] for name in file.files if name != "about"}
        return _read(folder, stem, about, arrays)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[dict[str, Any], Any]]:
    """What the first file of a fit says of it, and the file, whose arrays are read when taken."""
    try:
        # Opened here, as NumPy leaves a damaged file open.
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            if about["format"] != FORMAT or about["hiermodels_version"] != __version__:
                raise OptionError(
                    f"{str(path)!r} must be of hiermodels {__version__}, got one of "
                    f"{about['hiermodels_version']}; pick the fit up with that version, or fit anew"
                )
            yield about, file
    except (OptionError, MemoryError):
        raise
    # NumPy, zipfile and json raise errors of many types for half a file, or one of another kind.
    except Exception as error:
        # A damaged address makes the system say EINVAL; any other number is of the system itself.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise unread(path, error) from error
        raise OptionError(
            f"{str(path)!r} must be a whole file of a fit that was begun, and is damaged; "
            "fit the model anew"
        ) from error


def unread(file: object, error: OSError) -> OptionError:
    """That a file of a fit cannot be read, which is another thing than that it is damaged."""
    closed = isinstance(error, PermissionError)
    step = "see whose it is, and its mode (`ls -ld`)" if closed else "see to that, and try again"
    where = str(error.filename or file)
    return OptionError(f"{where!r} cannot be read ({error.strerror}); {step}")


def _read(
    folder: Path, stem: str, about: Mapping[str, Any], arrays: Mapping[str, Any]
) -> Checkpoint:
    d = about["design"]
    known = {n: d[n] for n in ABOUT}
    known["columns"] = tuple(known["columns"])
    for name in ("sources", "levels"):
        known[name] = {key: tuple(value) for key, value in known[name].items()}
    found = SufficientStatistics(**known, **{n: _frozen(arrays[f"statistics.{n}"]) for n in ARRAYS})
    family = families.named(**about["family"])
    design = family.design(
        statistics=found,
        coefficients=tuple(d["coefficients"]),
        predictors=tuple(d["predictors"]),
        ones=d["ones"],
        source=_source(d, arrays),
        about=tuple(d["about"]),
        scalar=d["scalar"],
        estimates=d["estimates"],
    )
    standard = None
    if "standardization" in about:
        numbers = {n: _frozen(arrays[f"standardization.{n}"]) for n in _NUMBERS}
        standard = Standardization(**numbers, **about["standardization"])
    columns = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in about["model"]["columns"].items()
    }
    options = dict(about["options"])
    options["priors"] = {name: _prior(p) for name, p in options["priors"].items()}
    return Checkpoint(
        folder=folder,
        stem=stem,
        model=about["model"]["name"],
        family=family,
        columns=columns,
        options=options,
        design=design,
        standardization=standard,
        settings=Settings(**about["settings"]),
        asked=dict(about["asked"]),
        radius=about["radius"],
        program=dict(about["program"]),
    )


def _frozen(values: Any) -> Any:
    values.flags.writeable = False
    return values


def _source(d: Mapping[str, Any], arrays: Mapping[str, Any]) -> Rows | Callable[[], Rows] | None:
    """The rows as the design had them: in memory, to be read, or not at all."""
    if not d["has_rows"]:
        return None
    kept = {n: arrays[f"rows.{n}"] for n in _ROWS if f"rows.{n}" in arrays}
    rows = Rows(**kept) if kept else None
    if d["in_memory"]:
        return rows

    def again() -> Rows:
        if rows is None:
            raise DataError(
                "the rows are not among what a fit that was picked up holds, as they were not in "
                "memory; make the model anew from its data"
            )
        return rows

    return again


@contextmanager
def alone(folder: Path, stem: str) -> Iterator[None]:
    """Keep others away from a fit while its chains run.

    Raises
    ------
    OptionError
        Another process has it.
    """
    try:
        with writing.alone(folder / f"{stem}.lock"):
            yield
    except writing.AnotherError:
        raise OptionError(
            f"the fit {stem} in {str(folder)!r} must be one process's at a time, and another runs "
            "it now; wait for its end"
        ) from None
    except writing.LockError as error:
        raise sampling.unwritten(folder, error) from error
