"""Containers in NetCDF (HDF5) files, which both lines of ArviZ write alike."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ContainerError, listed, one_line, shown, suggest
from ..system import digests
from .inference_data import dataset, groups, plain_value, with_plain_labels, wrap

if TYPE_CHECKING:
    import xarray as xr

    from .inference_data import Container

__all__ = ["load", "save"]

_CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_TOO_MANY = (errno.EMFILE, errno.ENFILE)
_BY_THE_DISK = (errno.EIO, errno.ENXIO, errno.ENODEV, errno.ENOTCONN, errno.ESTALE, errno.ETIMEDOUT)
_LOCKED = (errno.EAGAIN, errno.EWOULDBLOCK)
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# HDF5's words, where they are all that is left of the system's number of an error.
_ERRNO = re.compile(r"\berrno = (\d+)")
# HDF5's words, alike in 1.12 and 2.0: the bytes there are, and those that there should be.
_TRUNCATED = re.compile(r"truncated file: eof = (\d+), sblock->base_addr = 0, stored_eof = (\d+)")

# What stands behind the last byte of HDF5, with the SHA-256 of all before it. HDF5's own checksums
# (fletcher32) cost more to read, and leave out attributes, labels, and where things lie.
# HDF5 passes over what is behind its end, and cuts it off when it changes a file.
_SEAL = b"\nhiermodels sha256 "
_SEALED = len(_SEAL) + 64 + 1


def save(idata: Container, path: str | os.PathLike[str]) -> Path:
    """Write a container to a NetCDF (HDF5) file that any ArviZ reads.

    The file appears whole or not at all: it is written beside its place under another name, and
    moved there at the end. A file that is there is replaced. Behind what HDF5 reads stands a
    SHA-256 of it, by which :func:`load` knows a file that was damaged later.

    Parameters
    ----------
    idata : InferenceData or DataTree
    path : str or path
        Customarily ending in ``.nc``. Its folder has to exist.

    Returns
    -------
    Path
        Where it was written.

    Raises
    ------
    ContainerError
        If the folder does not exist or cannot be written, or a label is of a kind that NetCDF
        cannot hold.
    """
    groups(idata)
    target = Path(os.path.realpath(Path(os.path.expanduser(path))))
    try:
        is_folder, has_parent = target.is_dir(), target.parent.is_dir()
    except OSError as error:  # a folder above is closed
        raise ContainerError(_unwritten(target, error)) from error
    if is_folder:
        raise ContainerError(f"cannot write {target}: it is a folder; add a file name (fit.nc)")
    if not has_parent:
        raise ContainerError(f"cannot write {target}: create the folder {target.parent} first")
    # Not tempfile, whose files only their owner may read.
    partial = target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        _reserve(partial, idata)
        if hasattr(idata, "children"):
            idata.to_netcdf(partial, engine="h5netcdf")
        else:
            # Draws hardly compress, and the lines should write alike.
            idata.to_netcdf(str(partial), engine="h5netcdf", compress=False)
        _seal(partial)
        os.replace(partial, target)
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise ContainerError(_unwritten(target, error)) from error
    finally:
        with suppress(OSError):  # in a read-only folder even what is not there cannot be removed
            partial.unlink(missing_ok=True)
    return target


def _reserve(file: Path, idata: Container) -> None:
    """Fail now where there is no room for a file: HDF5 may take the process along later.

    (HDF5 2.0, under ArviZ 1.x: it fails to write, fails to close, and at the end of the process
    dies by SIGSEGV.)
    """
    size = 1 << 16
    for name in groups(idata):
        ds = dataset(idata, name)
        size += 1 << 16
        for variable in ds.variables.values():
            # A string is a place in a heap, wherever it is short.
            size += (
                (1 << 12) + variable.nbytes + 40 * variable.size * (variable.dtype.kind in "OUT")
            )
    with open(file, "xb") as stream:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(stream.fileno(), 0, size)


def _seal(file: Path) -> None:
    digest = digests.of_file(file)
    with file.open("ab") as stream:
        stream.write(_SEAL + digest.encode() + b"\n")


def _check_seal(file: Path) -> None:
    """Refuse a file that is not as it was written; one without a seal is let by."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        stream.seek(max(0, size - _SEALED))
        end = stream.read()
    at = end.rfind(_SEAL)
    if at < 0:  # by ArviZ, by a version before this, or changed on purpose
        return
    whole = size - len(end) + at + _SEALED
    if size < whole:
        raise _SealError(f"cut short, {size} of {whole} bytes")
    if digests.of_file(file, whole - _SEALED).encode() != end[at + len(_SEAL) :][:64]:
        raise _SealError("damaged (its SHA-256 is not the one that it was written with)")


class _SealError(ValueError):
    """What a seal says that is wrong with a file."""


def _unwritten(target: Path, error: Exception) -> str:
    if full := _no_room(error):
        why = f"{full}; make room, or name another folder"
    elif isinstance(error, OSError) and error.errno in _CLOSED:
        why = f"{os.strerror(error.errno)}; name a place that can be written"
    else:
        why = one_line(error)
    return f"cannot write {target}: {why}"


def _no_room(error: BaseException | None) -> str:
    """That there is no room, where that is behind an error; HDF5 says it with addresses in memory.

    What it raises first is an OSError, and, once more when it closes the file, a RuntimeError.
    """
    while error is not None:
        number = getattr(error, "errno", None)
        if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return os.strerror(number)
        error = error.__cause__ or error.__context__
    return ""


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
        If there is no such file, or it is not NetCDF, is damaged, or holds neither a posterior
        nor a prior. One bit that is not as :func:`save` wrote it is noticed; in a file by
        ``to_netcdf`` only what HDF5 cannot read, and attributes of ours that are no JSON.
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
    """Why a file could not be read, and the next step: only a damaged one has to be made again."""
    said = one_line(error)
    if isinstance(error, MemoryError) or "memory allocation failed" in said:
        return (
            f"it takes more memory than there is ({said}); give it more, or read one group by "
            "xarray.open_dataset(..., group='posterior', engine='h5netcdf'), which leaves the "
            "draws on the disk"
        )
    number = _number(error)
    if "unable to lock file" in said and number not in _LOCKED:
        return (
            f"its file system has no locks for it ({os.strerror(number)}); "
            "set HDF5_USE_FILE_LOCKING=FALSE before Python starts"
        )
    if (known := _by_the_system(number)) is not None:
        return known
    if isinstance(error, _SealError):
        what = said
    elif cut := _TRUNCATED.search(str(error)):
        what = f"cut short, {cut[1]} of {cut[2]} bytes"
    elif "filter returned failure" in said:
        return (
            f"the file is damaged, or takes more memory to unpack than there is ({said}); "
            "try it with more memory before you write it again, or fetch it again"
        )
    else:
        what = f"damaged or cut short ({said})"
    return f"the file is {what}; write it again, or fetch it again"


def _by_the_system(number: int) -> str | None:
    """Why the system refuses to read a file that may well be whole; None where that is not known.

    (A damaged file makes HDF5 ask for what cannot be, which has numbers as well.)
    """
    if number in _LOCKED:
        return "another process has it open for writing; wait for its end"
    if number in _CLOSED:
        return f"{os.strerror(number)}; see whose it is, and its mode"
    if number in _TOO_MANY:
        return f"{os.strerror(number)}; close some, or allow more (`ulimit -n`)"
    if number in _BY_THE_DISK:
        return f"{os.strerror(number)}; see to the disk, or the file server, that it is on"
    if number == errno.ENOENT:
        return "it was removed as it was read; check the path"
    return None


def _number(error: BaseException | None) -> int:
    """The system's number of an error, which may stand behind others or in words only; 0 if none.

    (h5py gives what it cannot open as a KeyError of HDF5's words, and xarray as an OSError that has
    its words where the number is.)
    """
    while error is not None:
        number = getattr(error, "errno", None)
        if number is None and (said := _ERRNO.search(str(error))):
            number = int(said[1])
        if number and isinstance(number, int):
            return number
        error = error.__cause__ or error.__context__
    return 0


def _unread(file: Path, error: OSError) -> str:
    why = _by_the_system(_number(error)) or f"{error.strerror or error}; check the path"
    return f"cannot read {file}: {why}"


def _check_signature(file: Path) -> None:
    try:
        exists = file.exists()
    except OSError as error:  # a folder above is closed
        raise ContainerError(_unread(file, error)) from error
    if not exists:
        near = suggest(file.name, _names_beside(file))
        raise ContainerError(f"there is no file {file}{near or '; check the path'}")
    if file.is_dir():
        raise ContainerError(f"cannot read {file}: it is a folder; give a file, as in fit.nc")
    try:
        with file.open("rb") as stream:
            start = stream.read(len(_HDF5_SIGNATURE))
    except OSError as error:
        raise ContainerError(_unread(file, error)) from error
    if start == _HDF5_SIGNATURE:
        return
    what = "an empty file" if not start else "another kind of file"
    if start.startswith(b"CDF"):
        what = "a classic NetCDF-3 file"
    raise ContainerError(
        f"cannot read {file}: a NetCDF-4 (HDF5) file is needed, and this is {what}; "
        "write one with idata.to_netcdf('fit.nc') or `hiermodels fit ... -o fit.nc`"
    )


def _names_beside(file: Path) -> list[str]:
    try:
        return [p.name for p in file.parent.iterdir()]
    except OSError:
        return []


def _read(file: Path) -> tuple[dict[str, Any], dict[str, xr.Dataset]]:
    # Read group by group rather than by ArviZ, whose lines differ in laziness and leave files open.
    import h5netcdf
    import h5py
    import xarray as xr

    # What h5netcdf asks first. Where that fails in its own hands, it fails once more when it is
    # collected, which Python prints with a traceback.
    with h5py.File(file, "r") as whole:
        whole.attrs.get("_nc3_strict")
        _check_seal(file)  # while HDF5's lock keeps those away who would write
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
    """Refuse attributes of ours that are no JSON: whoever reads them later could not say why."""
    for key in ("columns", "priors"):
        if attrs.get("inference_library") != "hiermodels" or key not in attrs:
            continue  # of another package, which may have others of the same name
        try:
            whole = isinstance(json.loads(attrs[key]), dict)
        except (TypeError, ValueError):
            whole = False
        if not whole:
            raise ValueError(f"its attribute {key!r} is no JSON object: {shown(attrs[key])}")
