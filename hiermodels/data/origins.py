"""Where the columns are counted from, and what that makes of a line's coefficients.

Priors are those of the lines at the columns' centre; what is reported are the coefficients of the
columns as they are. With the columns counted from o, coefficients a (counted from o) and b (of the
columns as they are), and v the combination of columns that is 1 in every row (an intercept by
itself, or all levels of a factor that is coded in full), a line is the same where

    b = a - v (o'a),   with o'v = 0, as the columns in v are not moved:

b = U a, so that group effects have the covariance U Sigma U' (Gelman and Hill 2007, Data Analysis
Using Regression and Multilevel/Hierarchical Models, section 13.4, on centred predictors).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import xarray as xr

    from ..container.inference_data import Container

__all__ = ["Origin", "at_centre", "of_container", "root_of"]

Array = NDArray[np.float64]

ATTRIBUTE = "origin"
"""Attribute of a container: its model's origin; absent where nothing was moved."""


@dataclass(frozen=True)
class Origin:
    """The map between coefficients of columns less their origin and those of the raw columns.

    Attributes
    ----------
    names : tuple of str
        The K + P coefficients, the varying ones first.
    K : int
        How many of them vary.
    at : tuple of float
        What is taken off each column; 0 of one that is not moved.
    anchors : tuple of int
        Places of the columns that take up what is taken off: of the constant column, or of the
        levels of a factor, which add up to a constant.
    value : float
        Value of that constant.
    """

    names: tuple[str, ...]
    K: int
    at: tuple[float, ...]
    anchors: tuple[int, ...] = ()
    value: float = 1.0

    @property
    def moves(self) -> bool:
        """Whether any column is moved: where none is, every map is the identity."""
        return bool(self.anchors) and any(self.at)

    @property
    def turns(self) -> bool:
        """Whether the correlations of the effects are other ones at x = 0."""
        return self._varies and any(self.at[: self.K])

    @property
    def _varies(self) -> bool:
        return any(p < self.K for p in self.anchors)

    @property
    def heights(self) -> tuple[str, ...]:
        """The coefficients that are heights of lines, and others at x = 0."""
        return tuple(self.names[p] for p in self.anchors)

    @cached_property
    def weights(self) -> Array:
        """What of each coefficient goes over to the anchors', shape (K + P,)."""
        return np.array(self.at) / self.value

    @property
    def moved(self) -> dict[str, float]:
        """The columns that are moved, and by how much."""
        return {name: x for name, x in zip(self.names, self.at, strict=True) if x}

    def concerns(self, parameter: str) -> bool:
        """Whether a parameter, by its full name, is another one at x = 0."""
        if not self.moves:
            return False
        block, _, element = parameter.removesuffix("]").partition("[")
        if block in ("Omega", "L_Omega"):
            return self.turns
        blocks = ["mu", "theta"] if self._varies else ["beta"]
        blocks += ["tau"] if self.turns else []
        return block in blocks and element in self.heights

    def column(self, name: str) -> str:
        """``"Days - 4.5"``: a column less what is taken off it."""
        at = self.moved.get(name, 0.0)
        return f"{name} {'-' if at > 0 else '+'} {abs(at):.7g}" if at else name

    def __str__(self) -> str:
        """``"the centre (Days = 4.5)"``."""
        said = [f"{name} = {x:.7g}" for name, x in self.moved.items()]
        more = ["..."] if len(said) > 3 else []
        return f"the centre ({', '.join([*said[:3], *more])})"

    # ---- parameters --------------------------------------------------------------------------

    def to_zero(self, parameters: Mapping[str, Array]) -> dict[str, Array]:
        """Parameters of columns less the origin -> those of the raw columns.

        Parameters
        ----------
        parameters : mapping of str to array
            ``mu`` (..., K), ``theta`` (..., J, K), ``deviation`` (..., J, K), ``beta`` (..., P) or,
            without pooling, (..., J, P), which goes with the first two; ``tau`` (..., K) and
            ``L_Omega`` (..., K, K), any root of the correlations, which go together, and ``eta``
            (..., J, K) with them.

        Returns
        -------
        dict of str to array
            The same; ``L_Omega`` is the Cholesky factor.
        """
        return self._moved(parameters, -1)

    def from_zero(self, parameters: Mapping[str, Array]) -> dict[str, Array]:
        """The raw columns' parameters -> those of columns less the origin; undoes the other."""
        return self._moved(parameters, 1)

    def _moved(self, given: Mapping[str, Array], sign: int) -> dict[str, Array]:
        out = dict(given)
        if not self.moves:
            return out
        w, places, K = self.weights, list(self.anchors), self.K
        if not self._varies:
            # Varying columns, and with them mu, tau and theta, stay where they are.
            if "beta" in given:
                out["beta"] = beta = given["beta"].copy()
                beta[..., [p - K for p in places]] += sign * (given["beta"] @ w[K:])[..., None]
            return out
        for name in ("mu", "theta", "deviation"):
            if name not in given:
                continue
            x = given[name].copy()
            x[..., places] += sign * (given[name] @ w[:K])[..., None]
            if name != "deviation" and "beta" in given:
                common = given["beta"] @ w[K:]
                # One beta serves the effects of all groups.
                by_group = given["beta"].ndim == x.ndim
                common = common if by_group or name == "mu" else common[..., None]
                x[..., places] += sign * common[..., None]
            out[name] = x
        if self.turns and "tau" in given:
            out["tau"], out["L_Omega"], turn = self._scales(given["tau"], given["L_Omega"], sign)
            if "eta" in given:
                out["eta"] = given["eta"] @ turn
        return out

    def _scales(self, tau: Array, root: Array, sign: int) -> tuple[Array, Array, Array]:
        # A root of the covariance is moved, not the covariance: far from the centre correlations
        # are all but 1, and what is left of them would be lost to rounding.
        R = tau[..., :, None] * root
        R[..., list(self.anchors), :] += sign * (self.weights[: self.K] @ R)[..., None, :]
        # R' = Q L': the Cholesky factor of R R', each row to the last digits of its own size. What
        # R multiplies, eta, is turned with it: R eta = L (Q' eta).
        Q, upper = np.linalg.qr(np.swapaxes(R, -1, -2))
        L = np.swapaxes(upper, -1, -2)
        size = np.linalg.norm(L, axis=-1)
        some = size > 0
        L = np.where(some[..., None], L, np.eye(self.K)) / np.where(some, size, 1)[..., None]
        signs = np.where(np.diagonal(L, axis1=-2, axis2=-1) < 0, -1.0, 1.0)
        return np.asarray(size), L * signs[..., None, :], Q * signs[..., None, :]

    # ---- in a container ----------------------------------------------------------------------

    def as_json(self) -> str:
        """For the container's attributes."""
        one = self.heights[0] if len(self.heights) == 1 else list(self.heights)
        return json.dumps({"constant": one, "value": self.value, "columns": self.moved})


def of_attributes(
    attrs: dict[str, Any], coefficients: Sequence[str], predictors: Sequence[str]
) -> Origin:
    """The origin that a container's attributes name; zero where they name none."""
    names = (*coefficients, *predictors)
    if ATTRIBUTE not in attrs:
        return Origin(names, len(coefficients), (0.0,) * len(names))
    said = json.loads(attrs[ATTRIBUTE])
    at = tuple(float(said["columns"].get(name, 0.0)) for name in names)
    heights = [said["constant"]] if isinstance(said["constant"], str) else said["constant"]
    anchors = tuple(names.index(name) for name in heights)
    return Origin(names, len(coefficients), at, anchors, float(said["value"]))


def of_container(idata: Container) -> Origin:
    """The origin of the model that a container is a fit of."""
    from ..container import inference_data as idatas

    posterior = idatas.dataset(idata, "posterior")
    return of_attributes(
        idatas.attributes(idata), _labels(posterior, "coefficient"), _labels(posterior, "predictor")
    )


def _labels(ds: xr.Dataset, dim: str) -> tuple[str, ...]:
    return tuple(map(str, ds[dim].to_numpy())) if dim in ds.coords else ()


def root_of(Omega: Array) -> Array:
    """R with R R' = Omega: the Cholesky factor, or, at a correlation of 1, the symmetric root.

    Numbers printed to twelve digits can leave a matrix at the edge of being positive definite on
    its wrong side.
    """
    try:
        return np.asarray(np.linalg.cholesky(Omega), dtype=np.float64)
    except np.linalg.LinAlgError:
        value, vector = np.linalg.eigh(Omega)
        scaled = vector * np.sqrt(np.maximum(value, 0))[..., None, :]
        return np.asarray(scaled @ np.swapaxes(vector, -1, -2), dtype=np.float64)


def at_centre(idata: Container) -> Container:
    """The coefficients at the centre of the columns, where the intercept's priors are.

    A fit reports the coefficients of the columns as they are: its intercepts are the lines' heights
    at x = 0. Here they are the heights where the columns have their means over all rows, and
    ``tau`` and ``Omega`` are those of these heights and of the slopes. Slopes are the same.

    Parameters
    ----------
    idata : InferenceData or DataTree
        A fit of ``VaryingSlopes``.

    Returns
    -------
    InferenceData or DataTree
        With the group ``posterior`` (and ``sample_stats``), names and dims as they were, for
        :func:`hiermodels.summary` and the pictures of draws; its attribute ``at`` says where.
        A prediction, or a comparison, takes the fit itself. Of a fit whose intercept is taken at
        0 (``intercept_at="zero"``), or that has none, the coefficients are the same.

    Raises
    ------
    ContainerError
        The container has no posterior.

    Notes
    -----
    Where columns lie far from 0, correlations at 0 are all but 1, and ``tau`` and ``Omega`` at the
    centre lose about (mean/sd)^2 roundings on the way from there, six digits of 16 at a mean of
    1000 sds. Of a fit with ``include=["L_Omega"]`` they lose next to nothing.

    Examples
    --------
    >>> import hiermodels as hm
    >>> hm.summary(hm.at_centre(idata))  # doctest: +SKIP
    """
    from ..container import inference_data as idatas

    origin, posterior = of_container(idata), idatas.dataset(idata, "posterior")
    parts = {"posterior": moved(posterior, origin)}
    if idatas.has(idata, "sample_stats"):
        parts["sample_stats"] = idatas.dataset(idata, "sample_stats")
    attrs = {"at": json.dumps(origin.moved)} if origin.moves else {"at": "{}"}
    return idatas.container(parts, attrs)


def moved(posterior: xr.Dataset, origin: Origin) -> xr.Dataset:
    """A posterior of the raw columns' coefficients -> that of those counted from the origin."""
    if not origin.moves:
        return posterior
    given: dict[str, Array] = {}
    for name in ("mu", "theta", "deviation", "beta", "tau", "eta"):
        if name in posterior:
            x = posterior[name].transpose("chain", "draw", ...)
            given[name] = np.asarray(x.to_numpy(), dtype=np.float64)
    if "Omega" in posterior:
        # The factor, where it is there, has digits that the correlations have lost.
        name = "L_Omega" if "L_Omega" in posterior else "Omega"
        x = posterior[name].transpose("chain", "draw", ...)
        root = np.asarray(x.to_numpy(), dtype=np.float64)
        given["L_Omega"] = root if name == "L_Omega" else root_of(root)
    found = origin.from_zero(given)
    if "Omega" in posterior:
        found["Omega"] = correlations(found["L_Omega"])
        if "L_Omega" not in posterior:
            del found["L_Omega"]
    out = posterior.copy()
    for name, values in found.items():
        dims = posterior[name].dims
        out[name] = out[name].transpose("chain", "draw", ...).copy(data=values).transpose(*dims)
    return out


def correlations(L: Array) -> Array:
    """L L', with ones on its diagonal to the last digit."""
    Omega = L @ np.swapaxes(L, -1, -2)
    places = np.arange(L.shape[-1])
    Omega[..., places, places] = 1.0
    return np.asarray(Omega)
