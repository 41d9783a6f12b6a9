"""Plain datasets to the installed ArviZ's container, and back.

ArviZ 0.x has ``InferenceData``; ArviZ 1.x has none, and uses ``xarray.DataTree``. Everything else
in this package works on ``xarray.Dataset``: :func:`container` wraps a dict of them at the very end,
and :func:`dataset` hands one out again. :mod:`.netcdf` writes and reads its files.
"""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any, Literal

from ..errors import ContainerError, listed, one_line, suggest

if TYPE_CHECKING:
    import xarray as xr

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
    "plain_value",
    "with_plain_labels",
    "wrap",
]

# arviz.InferenceData on ArviZ 0.x, xarray.DataTree on ArviZ 1.x: one of the two does not exist
# where the type checker runs, so the type is left open, and the name says what is meant.
Container = Any


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
        except (AttributeError, ImportError, OSError, RuntimeError) as error:
            # An old arviz-plots fails with Matplotlib 3.11; ArviZ 0.23 writes into the cache
            # folder; Matplotlib asks for a home folder.
            raise ContainerError(
                f"the installed ArviZ {arviz_version()} cannot be imported ({one_line(error)}); "
                "upgrade arviz-plots where it is installed, or pip install 'matplotlib<3.11'; if a "
                "folder cannot be written, set HOME or XDG_CACHE_HOME to one that can"
            ) from error
    return arviz


def check_importable() -> None:
    """Refuse before anything is sampled what could not be wrapped afterwards.

    ArviZ 0.x is imported; containers of 1.x are xarray's own.
    """
    if arviz_line() == "0.x":
        arviz()


# ---- building and reading -----------------------------------------------------------------------


def indexes(labels: Mapping[str, Any]) -> dict[str, xr.Coordinates]:
    """Labels by dim, each made into an index once, for all datasets that :func:`labelled` makes.

    Indexes are most of what a small dataset costs: sharing them makes one in 0.15 ms, where
    ``assign_coords`` takes 0.8 ms.
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
    """Wrap plain datasets, by group name, in the installed ArviZ's container.

    A dataset without variables is left out. The attributes also go onto the ``posterior`` group, or
    ``prior`` where there is no posterior: many ArviZ functions pass on a single group.
    """
    attrs = {str(key): _plain_attribute(key, value) for key, value in attrs.items()}
    plain = {name: with_plain_labels(ds) for name, ds in groups.items() if ds.data_vars}
    for name in ("posterior", "prior"):
        if name in plain:
            plain[name] = plain[name].assign_attrs(attrs)
            break
    return wrap(plain, attrs)


def wrap(groups: Mapping[str, xr.Dataset], attrs: Mapping[str, Any]) -> Container:
    """The container of what is plain already, as it is; :func:`container` makes it so."""
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
    """One group as a dataset; assigning to it leaves the container as it is."""
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
    """Put a group into a container, in place; one of that name is replaced."""
    names = groups(idata)
    if not dataset.data_vars:
        raise ContainerError(f"group {name!r} needs at least one variable; got an empty dataset")
    plain = with_plain_labels(dataset)
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
    return {str(key): plain_value(value) for key, value in attrs.items()}


def plain_value(value: Any) -> Any:
    """Undo NumPy's scalars, which files give back."""
    if hasattr(value, "item") and getattr(value, "size", 1) == 1:
        return value.item()
    return value


def _plain_attribute(key: object, value: Any) -> str | int | float:
    value = plain_value(value)
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str | int | float):
        return value
    raise ContainerError(
        f"attribute {key!r} must be a str, an int or a float, which are what NetCDF holds; "
        f"got {type(value).__name__}; write it as JSON"
    )


def with_plain_labels(ds: xr.Dataset) -> xr.Dataset:
    """Text labels as fixed-width text, whatever string type pandas or the file had them in."""
    import numpy as np

    text: dict[Hashable, Any] = {}
    for name, coord in ds.coords.items():
        if coord.dtype.kind in "OT" and all(isinstance(v, str) for v in coord.values.flat):
            text[name] = (coord.dims, np.asarray(coord.values, dtype=np.str_), coord.attrs)
    return ds.assign_coords(text) if text else ds
