"""The rows that a fit was made from, read back from its container."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import ContainerError
from . import inference_data

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .inference_data import Container

__all__ = ["FittedRows", "columns_of", "fitted_rows"]


@dataclass(frozen=True)
class FittedRows:
    """N rows in J groups, as a container holds them.

    Attributes
    ----------
    response, group : str
        Names of the response and of the groups' dim.
    y : array, shape (N,)
        Response, in its own units.
    index : array of int, shape (N,)
        Group of each row, counted from 0.
    labels : array, shape (J,)
        Labels of the groups.
    dim : str
        Dim of the rows: the groups' own where each group is one estimate.
    places : array, shape (N,)
        Labels of the rows.
    z : array, shape (N, K)
        Varying columns; ones where only the intercept varies.
    coefficients : tuple of str
        Their names.
    x : array, shape (N, P)
        Common columns.
    se : array, shape (N,), or None
        Known standard errors.
    """

    response: str
    group: str
    y: NDArray[np.float64]
    index: NDArray[np.int64]
    labels: NDArray[Any]
    dim: str
    places: NDArray[Any]
    z: NDArray[np.float64]
    coefficients: tuple[str, ...]
    x: NDArray[np.float64]
    se: NDArray[np.float64] | None = None

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Rows in each group, shape (J,)."""
        import numpy as np

        return np.bincount(self.index, minlength=len(self.labels))


def columns_of(idata: Container) -> dict[str, Any]:
    """The arguments that said which column is what; empty for a container of another origin."""
    try:
        found = json.loads(inference_data.attributes(idata).get("columns", "{}"))
    except (TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def fitted_rows(idata: Container, what: str) -> FittedRows:
    """Read the rows of a fit."""
    import numpy as np

    columns = columns_of(idata)
    response = columns.get("y", columns.get("effect"))
    if response is None or "group" not in columns:
        raise ContainerError(
            f"{what} needs a fit by model.fit(), whose attributes name the columns; got a "
            "container of another origin"
        )
    constant = (
        inference_data.dataset(idata, "constant_data")
        if inference_data.has(idata, "constant_data")
        else {}
    )
    se = columns.get("se")
    if (se or "group_index") not in constant or not inference_data.has(idata, "observed_data"):
        raise ContainerError(
            f"{what} needs the rows, and the container holds none (a fit of sufficient statistics, "
            "of files or of a lazy frame); fit the data frame itself, in memory"
        )
    observed = inference_data.dataset(idata, "observed_data")[response]
    (dim,) = map(str, observed.dims)
    y = np.asarray(observed.to_numpy(), dtype=np.float64)
    group = str(columns["group"])
    if se is not None:
        index = np.arange(len(y))
        labels = places = observed[dim].to_numpy()
    else:
        index = np.asarray(constant["group_index"].to_numpy(), dtype=np.int64)
        labels, places = constant["group_size"][group].to_numpy(), observed[dim].to_numpy()
    coefficients: tuple[str, ...] = ("Intercept",)
    z, x = np.ones((len(y), 1)), np.zeros((len(y), 0))
    if "z" in constant:
        coefficients = tuple(map(str, constant["coefficient"].to_numpy()))
        z = np.asarray(constant["z"].transpose(dim, "coefficient").to_numpy(), dtype=np.float64)
    if "x" in constant:
        x = np.asarray(constant["x"].transpose(dim, "predictor").to_numpy(), dtype=np.float64)
    return FittedRows(
        str(response),
        group,
        y,
        index,
        labels,
        dim,
        places,
        z,
        coefficients,
        x,
        None if se is None else np.asarray(constant[se].to_numpy(), dtype=np.float64),
    )
