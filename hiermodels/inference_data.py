"""Plain datasets to the installed ArviZ's container, and back: no other module knows its line.

ArviZ 0.x has ``InferenceData``; ArviZ 1.x has none, and uses ``xarray.DataTree``. Everything else
in this package works on ``xarray.Dataset``: :func:`container` wraps a dict of them at the very end,
and :func:`dataset` hands one out again. Both lines write the same NetCDF files, and read each
other's.
"""

from __future__ import annotations

import errno
import importlib
import math
import os
import secrets
import warnings
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .errors import ContainerError, listed, suggest

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr
    from numpy.typing import NDArray

__all__ = [
    "Container",
    "add",
    "arviz",
    "arviz_line",
    "arviz_version",
    "attributes",
    "check_importable",
    "container",
    "dataset",
    "groups",
    "has",
    "indexes",
    "labelled",
    "load",
    "pareto_k",
    "psis",
    "save",
    "smoothed_weights",
]

# arviz.InferenceData on ArviZ 0.x, xarray.DataTree on ArviZ 1.x: one of the two does not exist
# where the type checker runs, so the type is left open, and the name says what is meant.
Container = Any

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


@cache
def arviz_version() -> str:
    """Version of the installed ArviZ, as in ``"0.23.4"``."""
    return metadata.version("arviz")


def arviz_line() -> Literal["0.x", "1.x"]:
    """Which of its two lines the installed ArviZ belongs to: ``"0.x"`` or ``"1.x"``."""
    return "0.x" if arviz_version().partition(".")[0] == "0" else "1.x"


@cache
def arviz() -> Any:
    """The installed ArviZ, imported where it is first needed (it takes a second or two)."""
    with warnings.catch_warnings():
        # ArviZ 0.23 announces its own successor at import; nothing for our user to act on.
        warnings.filterwarnings(
            "ignore", r"\s*ArviZ is undergoing a major refactor", category=FutureWarning
        )
        try:
            import arviz
        except (AttributeError, ImportError) as error:
            # ArviZ imports arviz-plots where it is installed, whose older releases fail with
            # Matplotlib 3.11. No requirement of ours can forbid a package that we do not require.
            raise ContainerError(
                f"the installed ArviZ {arviz_version()} cannot be imported ({_one_line(error)}); "
                "where an old arviz-plots is installed beside Matplotlib 3.11 or later: "
                "pip install --upgrade arviz-plots, or pip install 'matplotlib<3.11'"
            ) from error
        except OSError as error:
            # ArviZ 0.23 writes the day of its last announcement into the user's cache folder.
            raise ContainerError(
                f"the installed ArviZ {arviz_version()} cannot be imported ({_one_line(error)}); "
                "it needs a cache folder that it can write: set XDG_CACHE_HOME to one"
            ) from error
        except RuntimeError as error:
            # Matplotlib asks pathlib for the home of a user whom the system does not know.
            raise ContainerError(
                f"the installed ArviZ {arviz_version()} cannot be imported ({_one_line(error)}); "
                "its Matplotlib needs a home folder: set HOME to a folder that you can write to"
            ) from error
    return arviz


def check_importable() -> None:
    """Refuse before anything is sampled what could not be wrapped afterwards.

    ArviZ 0.x is imported; containers of 1.x are xarray's own.

    Raises
    ------
    ContainerError
        It cannot be imported.
    """
    if arviz_line() == "0.x":
        arviz()


# ---- building and reading -----------------------------------------------------------------------


def indexes(labels: Mapping[str, Any]) -> dict[str, xr.Coordinates]:
    """Labels by dim, each made into an index once, for all datasets that :func:`labelled` makes.

    Indexes are most of what a small dataset costs: sharing them makes one in 0.15 ms, where
    ``assign_coords`` takes 0.8 ms.

    Parameters
    ----------
    labels : mapping of str to sequence
        Of each dim, in order.
    """
    import xarray as xr

    return {dim: xr.Coordinates({dim: values}) for dim, values in labels.items()}


def labelled(
    variables: Mapping[str, tuple[tuple[str, ...], Any]],
    indexes: Mapping[str, xr.Coordinates],
) -> xr.Dataset:
    """A dataset of variables, given as (dims, array), with the labels that their dims have."""
    import xarray as xr

    dims = dict.fromkeys(dim for names, _ in variables.values() for dim in names)
    used = {dim: indexes[dim] for dim in dims if dim in indexes}
    return xr.Dataset(
        variables,
        coords=xr.Coordinates(
            {dim: c.variables[dim] for dim, c in used.items()},
            indexes={dim: c.xindexes[dim] for dim, c in used.items()},
        ),
    )


def container(groups: Mapping[str, xr.Dataset], attrs: Mapping[str, Any]) -> Container:
    """Wrap plain datasets in the installed ArviZ's container.

    Parameters
    ----------
    groups : mapping of str to Dataset
        Datasets by group name, in ArviZ's names where it has one. Groups of our own
        (``log_likelihood_group``, ``log_prior``) are welcome; a dataset without variables is left
        out.
    attrs : mapping of str to str, int or float
        Attributes of the whole. They also go onto the ``posterior`` group (onto ``prior`` where
        there is no posterior), because many ArviZ functions pass on a single group.

    Returns
    -------
    InferenceData or DataTree

    Raises
    ------
    ContainerError
        If an attribute is of a kind that a NetCDF file cannot hold.
    """
    attrs = {str(key): _plain_attribute(key, value) for key, value in attrs.items()}
    plain = {name: _with_plain_labels(ds) for name, ds in groups.items() if ds.data_vars}
    for name in ("posterior", "prior"):
        if name in plain:
            plain[name] = plain[name].assign_attrs(attrs)
            break
    return _wrap(plain, attrs)


def _wrap(groups: Mapping[str, xr.Dataset], attrs: Mapping[str, Any]) -> Container:
    if arviz_line() == "0.x":
        with _own_groups_welcome():
            return arviz().InferenceData(attrs=attrs, **groups)
    import xarray as xr

    return xr.DataTree.from_dict({"/": xr.Dataset(attrs=attrs), **groups})


@contextmanager
def _own_groups_welcome() -> Iterator[None]:
    """Keep ArviZ 0.x from warning of groups that it has no name for; 0.20 has no switch for it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* not defined in the InferenceData scheme")
        yield


def groups(idata: Container) -> tuple[str, ...]:
    """Names of the groups that a container has, in its order."""
    if hasattr(idata, "children"):  # DataTree; its `groups` are paths, with the root among them
        return tuple(idata.children)
    if callable(getattr(idata, "groups", None)):  # InferenceData
        return tuple(idata.groups())
    raise ContainerError(
        f"an ArviZ container (InferenceData or DataTree) is needed; got {type(idata).__name__}; "
        "model.fit() returns one, hiermodels.load(path) reads one from a file"
    )


def has(idata: Container, group: str) -> bool:
    """Whether a container has a group of that name."""
    return group in groups(idata)


def dataset(idata: Container, group: str) -> xr.Dataset:
    """One group as a dataset, on either line.

    Parameters
    ----------
    idata : InferenceData or DataTree
    group : str

    Returns
    -------
    Dataset
        Its arrays are the container's; assigning a variable to it leaves the container as it is
        (:func:`add` writes).

    Raises
    ------
    ContainerError
        If the group is not there.
    """
    names = groups(idata)
    if group not in names:
        raise ContainerError(
            f"the container has no group {group!r}; it has {listed(names) or 'none'}"
            f"{_next_step(group, names)}"
        )
    node = idata[group]
    plain: xr.Dataset = getattr(node, "dataset", node)
    # A DataTree's dataset is a read-only view, InferenceData's is the thing itself: a shallow copy
    # makes them behave alike.
    return plain.copy(deep=False)


def _next_step(group: str, names: tuple[str, ...]) -> str:
    origin = {
        "posterior": "; model.fit() makes it",
        "sample_stats": "; model.fit(engine='nuts') makes it",
        "log_likelihood": "; model.fit() makes it, within its memory budget",
        "posterior_predictive": "; model.fit() makes it, within its memory budget",
        "prior": "; model.prior_predictive() makes it",
        "prior_predictive": "; model.prior_predictive() makes it",
    }
    return origin.get(group) or suggest(group, names) or "; ask for one of these"


def add(idata: Container, name: str, dataset: xr.Dataset) -> None:
    """Put a group into a container, in place; one of that name is replaced.

    Parameters
    ----------
    idata : InferenceData or DataTree
    name : str
    dataset : Dataset
        With at least one variable.
    """
    names = groups(idata)
    if not dataset.data_vars:
        raise ContainerError(f"group {name!r} needs at least one variable; got an empty dataset")
    plain = _with_plain_labels(dataset)
    if hasattr(idata, "children"):
        import xarray as xr

        idata[name] = xr.DataTree(dataset=plain)
    elif name in names:
        setattr(idata, name, plain)
    else:
        with _own_groups_welcome():
            idata.add_groups({name: plain})


def attributes(idata: Container) -> dict[str, Any]:
    """Attributes of the whole container, as plain str, int and float.

    Where the root has none (ArviZ drops it in a few operations), those of the posterior.
    """
    names = groups(idata)
    attrs = dict(idata.attrs or {})
    for name in ("posterior", "prior"):
        if not attrs and name in names:
            attrs = dict(dataset(idata, name).attrs)
    return {str(key): _plain_value(value) for key, value in attrs.items()}


def _plain_value(value: Any) -> Any:
    """Undo NumPy's scalars, which files give back."""
    if hasattr(value, "item") and getattr(value, "size", 1) == 1:
        return value.item()
    return value


def _plain_attribute(key: object, value: Any) -> str | int | float:
    value = _plain_value(value)
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str | int | float):
        return value
    raise ContainerError(
        f"attribute {key!r} must be a str, an int or a float, which are what NetCDF holds; "
        f"got {type(value).__name__}; write it as JSON"
    )


def _with_plain_labels(ds: xr.Dataset) -> xr.Dataset:
    """Text labels as fixed-width text, whatever string type pandas or the file had them in."""
    import numpy as np

    text: dict[Hashable, Any] = {}
    for name, coord in ds.coords.items():
        if coord.dtype.kind in "OT" and all(isinstance(v, str) for v in coord.values.flat):
            text[name] = (coord.dims, np.asarray(coord.values, dtype=np.str_), coord.attrs)
    return ds.assign_coords(text) if text else ds


def pareto_k(log_weights: NDArray[np.float64]) -> float:
    """Pareto k of importance weights, as by :func:`psis`; of 25 weights or more.

    Below 0.5 the weights have a finite variance; above 0.7 estimates by them are not reliable.
    """
    return float(psis(log_weights[None])[1][0])


def psis(
    log_ratios: NDArray[np.float64], reff: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pareto-smoothed importance sampling, by the installed ArviZ; the same on both lines.

    Of each row the largest M = min(S/5, 3 sqrt(S/reff)) ratios, rounded down, are replaced by the
    quantiles of a generalized Pareto distribution that is fitted to them (Vehtari et al. 2024,
    JMLR 25(72), section 2.4). ArviZ 0.x rounds up: it is given the ``reff`` with which its M is
    that of ArviZ 1.x.

    Parameters
    ----------
    log_ratios : array, shape (n, S)
        Log importance ratios of S draws, up to a constant in each row; S is 25 or more.
    reff : float
        Relative efficiency of the draws: effective sample size over S.

    Returns
    -------
    log_weights : array, shape (n, S)
        Smoothed; they sum to 1 in each row.
    pareto_k : array, shape (n,)
        Shape of the fitted tail; infinite where there is no tail to fit (its ratios are all alike):
        then the weights are the ratios as they were.
    """
    import numpy as np

    library = arviz()
    if arviz_line() == "0.x":
        size = log_ratios.shape[1]
        tail = math.floor(min(size / 5, 3 * math.sqrt(size / reff)))
        with np.errstate(all="ignore"):  # its fit takes exponentials of whatever comes
            log_weights, k = library.psislw(log_ratios, reff=9 * size / (tail - 0.5) ** 2)
    else:
        log_weights, k = _psis_1x(log_ratios, reff)
    return np.asarray(log_weights), np.where(np.isnan(k), np.inf, k)


def _psis_1x(
    log_ratios: NDArray[np.float64], reff: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    import numpy as np

    array_stats: Any = importlib.import_module("arviz_stats.base").array_stats
    try:
        with np.errstate(all="ignore"):
            # This one wants log likelihoods, which are minus the log ratios of leave-one-out.
            log_weights, k = array_stats.psislw(-log_ratios, r_eff=reff)
    except ValueError:  # a tail whose ratios are all alike
        if len(log_ratios) > 1:
            parts = [_psis_1x(row[None], reff) for row in log_ratios]
            return np.vstack([w for w, _ in parts]), np.concatenate([k for _, k in parts])
        top = log_ratios.max()
        log_weights = log_ratios - top - np.log(np.exp(log_ratios - top).sum())
        k = np.full(1, np.inf)
    return log_weights, k


def smoothed_weights(log_weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Importance weights, Pareto-smoothed by the installed ArviZ, and their Pareto k.

    Parameters
    ----------
    log_weights : array, shape (S,)
        Finite.

    Returns
    -------
    weights : array, shape (S,)
        They sum to 1.
    k : float
        As of :func:`pareto_k`; NaN where the largest weights are all the same, so that there is no
        tail to smooth.
    """
    import numpy as np

    smooth, k = psis(log_weights[None])
    weights = np.exp(smooth[0] - np.max(smooth))
    return weights / weights.sum(), float(k[0]) if np.isfinite(k[0]) else math.nan


# ---- files --------------------------------------------------------------------------------------


def save(idata: Container, path: str | os.PathLike[str]) -> Path:
    """Write a container to a NetCDF (HDF5) file that any ArviZ reads.

    The file appears whole or not at all: it is written beside its place under another name, and
    moved there at the end. A file that is there is replaced.

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
    if target.is_dir():
        raise ContainerError(f"cannot write {target}: it is a folder; add a file name (fit.nc)")
    if not target.parent.is_dir():
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
        os.replace(partial, target)
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        if full := _no_room(error):
            full = f"{full}; make room, or name another folder"
        raise ContainerError(f"cannot write {target}: {full or _one_line(error)}") from error
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
        nor a prior.
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
        raise ContainerError(
            f"cannot read {file}: the file is damaged or cut short ({_one_line(error)}); "
            "write it again, or fetch it again"
        ) from error
    if not {"posterior", "prior"} & set(found):
        raise ContainerError(
            f"{file} is not a fitted model: it has no group 'posterior'; "
            f"it has {listed(found) or 'no groups'}; write one with "
            "idata.to_netcdf('fit.nc') or `hiermodels fit ... -o fit.nc`"
        )
    return _wrap(found, attrs)


def _check_signature(file: Path) -> None:
    if not file.exists():
        near = suggest(file.name, _names_beside(file))
        raise ContainerError(f"there is no file {file}{near or '; check the path'}")
    if file.is_dir():
        raise ContainerError(f"cannot read {file}: it is a folder; give a file, as in fit.nc")
    try:
        with file.open("rb") as stream:
            start = stream.read(len(_HDF5_SIGNATURE))
    except OSError as error:
        raise ContainerError(f"cannot read {file}: {_one_line(error)}") from error
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
    import xarray as xr

    with h5netcdf.File(file, "r") as stream:
        names = list(stream.groups)
    attrs = xr.load_dataset(file, engine="h5netcdf").attrs
    found: dict[str, xr.Dataset] = {}
    for name in names:
        ds = _with_plain_labels(xr.load_dataset(file, group=name, engine="h5netcdf"))
        ds.attrs = {key: _plain_value(value) for key, value in ds.attrs.items()}
        if ds.data_vars:
            found[name] = ds
    return {str(key): _plain_value(value) for key, value in attrs.items()}, found


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text or type(error).__name__
