"""Files that should hold a fit or statistics, and questions that a fit cannot answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io
import xarray as xr

import hiermodels as hm
from hiermodels.container import inference_data, netcdf
from hiermodels.errors import ContainerError, DataError, OptionError
from tests.bad_input.case import DRAWS, rows, schools


@dataclass(frozen=True)
class Asked:
    """A file or an object, and what is asked of it; other names are those of ``Case``."""

    what: str
    run: Callable[[Path], Any]
    says: str = "..."
    kind: Any = ContainerError
    file: Callable[[Path], Any] | None = None
    slow: bool = False
    warns: str = ""
    answer: Any = None


def load(what, make, says="...", kind=ContainerError):
    """A file that ``hm.load`` and the commands summary, check and report are given."""
    return Asked(what, lambda folder: hm.load(make(folder)), says, kind, file=make)


def asked(what, run, says="...", kind=OptionError):
    return Asked(what, lambda _: run(fit()), says, kind)


@cache
def fit():
    model = hm.EightSchools(schools(), effect="y", se="se", group="g")
    return model.fit(**{**DRAWS, "draws": 200})


def statistics():
    return hm.sufficient_statistics(rows(), y="y", group="g")


def _bytes(name, content):
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content() if callable(content) else content)
        return folder / name

    return make


def _part(share):
    def make(folder: Path) -> Path:
        whole = netcdf.save(fit(), folder / "whole.nc").read_bytes()
        (folder / "fit.nc").write_bytes(whole[: int(share * len(whole))])
        return folder / "fit.nc"

    return make


CUT = (
    "cannot read .../fit.nc: the file is damaged or cut short (...); write it again, or fetch it "
    "again"
)


def _damaged(folder: Path) -> Path:
    whole = bytearray(netcdf.save(fit(), folder / "whole.nc").read_bytes())
    whole[2000:6000] = bytes(4000)
    (folder / "fit.nc").write_bytes(whole)
    return folder / "fit.nc"


def _classic(folder: Path) -> Path:
    with scipy.io.netcdf_file(folder / "fit.nc", "w") as file:
        file.createDimension("draw", 3)
    return folder / "fit.nc"


def _hdf5(fill):
    def make(folder: Path) -> Path:
        with h5py.File(folder / "fit.nc", "w") as file:
            fill(file)
        return folder / "fit.nc"

    return make


def _folder(folder: Path) -> Path:
    (folder / "fit.nc").mkdir()
    return folder / "fit.nc"


def _posterior(values, dims=("chain", "draw"), check=hm.check):
    def run(_):
        data = xr.Dataset({"mu": (dims, np.asarray(values))})
        return check(inference_data.container({"posterior": data}, {}))

    return run


def _npz(change):
    def run(folder: Path) -> Any:
        file = folder / "found.npz"
        statistics().save(file)
        change(file)
        return hm.SufficientStatistics.load(file)

    return run


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-200])


def _pickled(file: Path) -> None:
    np.savez(file, about=np.array({"a": print}, dtype=object), allow_pickle=True)


CASES = [
    load(
        "no such file",
        lambda folder: folder / "fit.nc",
        says="there is no file .../fit.nc; check the path",
    ),
    load(
        "a folder called fit.nc",
        _folder,
        says="cannot read .../fit.nc: it is a folder; give a file, as in fit.nc",
    ),
    load(
        "an empty file",
        _bytes("fit.nc", b""),
        says=(
            "cannot read .../fit.nc: a NetCDF-4 (HDF5) file is needed, and this is an"
            " empty file; write one with idata.to_netcdf('fit.nc') or `hiermodels fit"
            " ... -o fit.nc`"
        ),
    ),
    load(
        "a text file",
        _bytes("fit.nc", b"mu,tau\n1,2\n"),
        says=(
            "cannot read .../fit.nc: a NetCDF-4 (HDF5) file is needed, and this is "
            "another kind of file; write one with idata.to_netcdf('fit.nc') or "
            "`hiermodels fit ... -o fit.nc`"
        ),
    ),
    *(
        load(f"a fit cut at {share:.0%}", _part(share), CUT)
        for share in (0.01, 0.1, 0.5, 0.9, 0.999)
    ),
    load(
        "a fit with 4000 bytes of zeros",
        _damaged,
        says=CUT,
    ),
    load(
        "a classic NetCDF file",
        _classic,
        says=(
            "cannot read .../fit.nc: a NetCDF-4 (HDF5) file is needed, and this is a "
            "classic NetCDF-3 file; write one with idata.to_netcdf('fit.nc') or "
            "`hiermodels fit ... -o fit.nc`"
        ),
    ),
    load(
        "HDF5 with nothing in it",
        _hdf5(lambda _: None),
        says=(
            ".../fit.nc is not a fitted model: it has no group 'posterior'; it has no"
            " groups; write one with idata.to_netcdf('fit.nc') or `hiermodels fit ..."
            " -o fit.nc`"
        ),
    ),
    asked(
        "None in place of a fit",
        lambda _: hm.check(None),
        kind=ContainerError,
        says=(
            "an ArviZ container (InferenceData or DataTree) is needed; got NoneType; "
            "model.fit() returns one, hiermodels.load(path) reads one from a file"
        ),
    ),
    asked(
        "draws without chains",
        _posterior(np.ones(100), ("draw",)),
        kind=ContainerError,
        says=(
            "group 'posterior' holds no draws (variables with dims 'chain' and "
            "'draw'); ask for 'posterior'"
        ),
    ),
    asked(
        "no draws",
        _posterior(np.ones((4, 0))),
        kind=ContainerError,
        says="variable 'mu' must have a draw or more, got 4 chains of 0 draws; fit the model again",
    ),
    asked(
        "draws that are text",
        _posterior(np.full((4, 100), "a")),
        kind=ContainerError,
        says="variable 'mu' must be of numbers, got <U1; name other variables",
    ),
    asked(
        "a variable that there is not",
        lambda fit: hm.summary(fit, "teta"),
        says=(
            "there is no variable 'teta' in group 'posterior'; there are 'mu', 'tau',"
            " 'theta'; did you mean 'theta'?"
        ),
    ),
    asked(
        "a variable given as a number",
        lambda fit: hm.summary(fit, 3),
        says="name variables as text or a list of it, got 3",
    ),
    asked(
        "a comparison that there is not",
        lambda fit: hm.probability(fit, "theta", "=>", 0),
        says="relation must be one of '>', '>=', '<', '<=', 'between', got '=>'",
    ),
    asked(
        "a bound that is NaN",
        lambda fit: hm.probability(fit, "theta", ">", np.nan),
        says="value must be a number, as in ('theta', '>', 0), got nan",
    ),
    asked(
        "the probability of a variable that there is not",
        lambda fit: hm.probability(fit, "teta", ">", 0),
        says=(
            "there is no variable 'teta' in the posterior; there are 'mu', 'tau', "
            "'theta'; did you mean 'theta'?"
        ),
    ),
    asked(
        "the best 0 of 8",
        lambda fit: hm.ranks(fit, top=0),
        says="top must be a number of groups from 1 to 8, got 0",
    ),
    asked(
        "differences of a group that there is not",
        lambda fit: hm.differences(fit, groups=["A", "Z"]),
        kind=(OptionError, ContainerError),
        says="groups: there is no group 'Z' in 'g'; it has 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H'",
    ),
    asked(
        "differences of one group",
        lambda fit: hm.differences(fit, groups=["A"]),
        says="groups must be two labels or more, got ['A']",
    ),
    asked(
        "leaving out what there is not",
        lambda fit: hm.loo(fit, "school"),
        says="unit must be 'observation' or 'group', got 'school'",
    ),
    asked(
        "a report that is no page",
        lambda fit: hm.report(fit, "report.pdf"),
        says="a report's name must end in .html, got 'report.pdf'",
    ),
    asked(
        "a report into no folder",
        lambda fit: hm.report(fit, "/nowhere/report.html"),
        kind=(OptionError, ContainerError),
        says="cannot write /nowhere/report.html: create the folder /nowhere first",
    ),
    Asked(
        "statistics cut short",
        _npz(_cut),
        kind=DataError,
        says=(
            "statistics: '.../found.npz' must be a whole file that "
            "SufficientStatistics.save wrote in this version's format; make it again "
            "from the data"
        ),
    ),
    Asked(
        "statistics that are pickled",
        _npz(_pickled),
        kind=DataError,
        says=(
            "statistics: '.../found.npz' must be a whole file that "
            "SufficientStatistics.save wrote in this version's format; make it again "
            "from the data"
        ),
    ),
    Asked(
        "statistics that there are not",
        _npz(lambda file: file.unlink()),
        kind=DataError,
        says="statistics: no such file '.../found.npz'; check the path",
    ),
]
