"""Containers in NetCDF (HDF5) files, which both lines of ArviZ write alike."""

from __future__ import annotations

import errno
import json
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ContainerError, listed, one_line, shown, suggest
from ..system import writing
from .inference_data import dataset, groups, plain_value, with_plain_labels, wrap

if TYPE_CHECKING:
    import xarray as xr

    from .inference_data import Container

__all__ = ["load", "save"]

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def save(idata: Container, path: str | os.PathLike[str]) -> Path:
    """Write a container to a NetCDF (HDF5) file that any ArviZ reads.

    The file appears whole or not at all: it is written beside its place under another name, and
    moved there at the end. A file that is there is replaced.
    """
    groups(idata)
    target = Path(os.path.realpath(Path(os.path.expanduser(path))))
    try:
        if target.is_dir():
            raise ContainerError(f"cannot write {target}: it is a folder; add a file name (fit.nc)")
        if not target.parent.is_dir():
            raise ContainerError(f"cannot write {target}: create the folder {target.parent} first")
        with writing.whole(target) as partial:
            _reserve(partial, idata)
            if hasattr(idata, "children"):
                idata.to_netcdf(partial, engine="h5netcdf")
            else:
                # Draws hardly compress, and the lines should write alike.
                idata.to_netcdf(str(partial), engine="h5netcdf", compress=False)
    except ContainerError:
        raise
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        number = _number(error)
        if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            why = f"{os.strerror(number)}; make room, or name another folder"
        elif number in (errno.EACCES, errno.EPERM, errno.EROFS):
            why = f"{os.strerror(number)}; name a place that can be written"
        else:
            why = one_line(error)
        raise ContainerError(f"cannot write {target}: {why}") from error
    return target


def _reserve(file: Path, idata: Container) -> None:
    """Fail now where there is no room for a file: HDF5 may take the process along later.

    (HDF5 2.0, under ArviZ 1.x: it fails to write, fails to close, and at the end of the process
    dies by SIGSEGV.)
    """
    size = 1 << 16
    for name in groups(idata):
        size += 1 << 16
        for variable in dataset(idata, name).variables.values():
            # HDF5 keeps strings in a heap, and their addresses in the array.
            size += (1 << 12) + variable.nbytes
            size += 40 * variable.size * (variable.dtype.kind in "OUT")
    with open(file, "xb") as stream:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(stream.fileno(), 0, size)


def _number(error: BaseException | None) -> int:
    """The system's number of an error, which may stand behind errors of HDF5; 0 without one."""
    while error is not None:
        number = getattr(error, "errno", None)
        if isinstance(number, int) and number:
            return number
        error = error.__cause__ or error.__context__
    return 0


def load(path: str | os.PathLike[str]) -> Container:
    """Read a container from a NetCDF file, into memory.

    Parameters
    ----------
    path : str or path
        A file by :func:`save`, by the command line's ``-o``, or by ``to_netcdf`` of any ArviZ. The
        file is closed afterwards, and may be moved or written again.

    Returns
    -------
    InferenceData or DataTree
        Of the installed ArviZ, whichever line wrote the file.

    Raises
    ------
    ContainerError
        If there is no such file, it is not NetCDF, it is damaged or cut short, or it holds neither
        a posterior nor a prior.
    """
    file = Path(os.path.expanduser(path))
    _check_signature(file)
    try:
        with warnings.catch_warnings():
            # What h5netcdf has to say of HDF5 files that other programs wrote.
            warnings.simplefilter("ignore", UserWarning)
            attrs, found = _read(file)
    except ModuleNotFoundError:
        raise
    except Exception as error:
        # h5py raises what the damaged byte happens to hit: OSError, KeyError, RuntimeError, ...
        raise ContainerError(f"cannot read {file}: {_why_not_read(error)}") from error
    if not {"posterior", "prior"} & set(found):
        raise ContainerError(
            f"{file} is not a fitted model: it has no group 'posterior'; "
            f"it has {listed(found) or 'no groups'}; write one with "
            "idata.to_netcdf('fit.nc') or `hiermodels fit ... -o fit.nc`"
        )
    return wrap(found, attrs)


def _why_not_read(error: BaseException) -> str:
    """Why a file could not be read, and the next step."""
    said = one_line(error)
    # A damaged address makes the system say EINVAL; any other number is the system's own.
    if isinstance(error, MemoryError) or _number(error) not in (0, errno.EINVAL):
        return f"{said}; see to that, and try again"
    return f"the file is damaged or cut short ({said}); write it again, or fetch it again"


def _check_signature(file: Path) -> None:
    try:
        if not file.exists():
            beside = [p.name for p in file.parent.iterdir()] if file.parent.is_dir() else []
            near = suggest(file.name, beside)
            raise ContainerError(f"there is no file {file}{near or '; check the path'}")
        if file.is_dir():
            raise ContainerError(f"cannot read {file}: it is a folder; give a file, as in fit.nc")
        with file.open("rb") as stream:
            start = stream.read(len(_HDF5_SIGNATURE))
    except OSError as error:
        raise ContainerError(
            f"cannot read {file}: {error.strerror or error}; see whose it is, and its mode"
        ) from error
    if start == _HDF5_SIGNATURE:
        return
    what = "an empty file" if not start else "another kind of file"
    if start.startswith(b"CDF"):
        what = "a classic NetCDF-3 file"
    raise ContainerError(
        f"cannot read {file}: a NetCDF-4 (HDF5) file is needed, and this is {what}; "
        "write one with idata.to_netcdf('fit.nc') or `hiermodels fit ... -o fit.nc`"
    )


def _read(file: Path) -> tuple[dict[str, Any], dict[str, xr.Dataset]]:
    # Read group by group rather than by ArviZ, whose lines differ in laziness and leave files open.
    import h5netcdf
    import h5py
    import xarray as xr

    # What h5netcdf asks first. Where that fails in its own hands, it fails once more when it is
    # collected, which Python prints with a traceback.
    with h5py.File(file, "r") as whole:
        whole.attrs.get("_nc3_strict")
    with h5netcdf.File(file, "r") as stream:
        names = list(stream.groups)
    attrs = xr.load_dataset(file, engine="h5netcdf").attrs
    found: dict[str, xr.Dataset] = {}
    for name in names:
        ds = with_plain_labels(xr.load_dataset(file, group=name, engine="h5netcdf"))
        ds.attrs = {key: plain_value(value) for key, value in ds.attrs.items()}
        if ds.data_vars:
            found[name] = ds
    plain = {str(key): plain_value(value) for key, value in attrs.items()}
    _check_json(plain)
    return plain, found


def _check_json(attrs: dict[str, Any]) -> None:
    """Refuse attributes of ours that are no JSON: what reads them later could not say why."""
    if attrs.get("inference_library") != "hiermodels":
        return  # another package's, which may have others of the same name
    for key in {"columns", "priors"} & set(attrs):
        try:
            whole = isinstance(json.loads(attrs[key]), dict)
        except (TypeError, ValueError):
            whole = False
        if not whole:
            raise ValueError(f"its attribute {key!r} is no JSON object: {shown(attrs[key])}")
