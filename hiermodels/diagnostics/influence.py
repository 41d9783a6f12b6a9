"""How far one row moves the effect of its group: leave-one-row-out, in closed form.

Given the hyperparameters, group j has theta_j | y ~ N(mu + d, V) with

    V^-1 = Sigma^-1 + Z'Z / sigma^2,   d = V Z'(y - X beta - Z mu) / sigma^2.

Row i has the residual e = y_i - x_i beta - z_i (mu + d) and the leverage h = z_i V z_i' / sigma^2,
which is below 1. By the rank-one update of an inverse (Sherman and Morrison 1950, Annals of
Mathematical Statistics 21, 124-127), the effect with the row less the effect without it is

    V z_i' e / (sigma^2 (1 - h)),

and z = e / (sigma sqrt(1 - h)) is how many sds the row lies from what the rest says: DFBETA and the
studentized residual of a regression (Belsley, Kuh and Welsch 1980, Regression Diagnostics,
chapter 2), with the population as prior.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..container import inference_data
from ..container.rows import FittedRows, fitted_rows
from ..errors import ContainerError, refuse_without_marginal
from . import convergence

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from ..container.inference_data import Container

__all__ = ["Measured", "influence", "measure"]

# Numbers in a block of draws whose sd is taken: 8 MB.
_BLOCK = 1 << 20


def influence(idata: Container) -> pd.DataFrame:
    """How far each row moves the effect of its group.

    Parameters
    ----------
    idata : InferenceData or DataTree
        A fit with partial pooling that holds its rows and the group effects (drawn or summed up).

    Returns
    -------
    DataFrame
        One row for each row of the data and each varying coefficient, the largest shift first.
        ``observation`` (its label in the container, which is its place in the frame) and ``group``;
        ``coefficient`` (``"Intercept"`` where theta is one number); ``n`` (rows in the group);
        ``leverage`` (0: the row says nothing about theta_j, 1: it says all); ``t`` and ``p``: how
        far the row lies from what the others predict, in sds, and the two-sided p-value of so much
        or more; ``shift``: posterior mean of theta_j with the row, less that without it, in
        posterior sds of theta_j.

    Raises
    ------
    ContainerError
        The fit has no partial pooling, no rows, nothing of the effects, or not the dims of draws.

    Notes
    -----
    The hyperparameters (mu, beta, the covariance of the effects, the residual variance) are kept at
    their posterior means of all rows: a shift is what the row does to its own group, not what it
    does to the population. The variance under t is re-estimated without the row, so that one wild
    row does not hide itself: t = z sqrt((v - 1) / (v - z^2)), with v - 1 degrees of freedom, where
    v is the number of rows that share the variance less the sum of their leverages (the formula of
    the externally studentized residual). Known standard errors stay as they are, and t is normal.

    A large shift with a small ``t`` is leverage: the row is where the model expects it, and its
    group has few others to go by.
    """
    import numpy as np
    import pandas as pd

    found = measure(idata)
    rows, K = found.rows, len(found.rows.coefficients)

    def each(values: NDArray[Any]) -> NDArray[Any]:
        return np.repeat(values, K)

    table = pd.DataFrame(
        {
            "observation": each(rows.places),
            "group": each(rows.labels[rows.index]),
            "coefficient": np.tile(np.array(rows.coefficients, dtype=object), len(rows.y)),
            "n": each(rows.sizes[rows.index]),
            "leverage": each(found.leverage),
            "t": each(found.t),
            "p": each(found.p),
            "shift": found.shift.ravel(),
        }
    )
    order = np.argsort(-np.abs(found.shift.ravel()), kind="stable")
    return table.iloc[order].reset_index(drop=True)


@dataclass(frozen=True)
class Measured:
    """Every row's influence, in the order of the container.

    Attributes
    ----------
    rows : FittedRows
    leverage, t, p : array, shape (N,)
    shift : array, shape (N, K)
        In posterior sds of the group's effects.
    """

    rows: FittedRows
    leverage: NDArray[np.float64]
    t: NDArray[np.float64]
    p: NDArray[np.float64]
    shift: NDArray[np.float64]


def measure(idata: Container) -> Measured:
    """The influence of each row, as :func:`influence` describes it."""
    import numpy as np

    from ..data import origins

    posterior = inference_data.dataset(idata, "posterior")
    attrs = inference_data.attributes(idata)
    refuse_without_marginal(
        attrs.get("family"), "the influence of rows", "hm.loo(idata) has a Pareto k for each row"
    )
    pooling = attrs.get("pooling")
    if pooling != "partial":
        raise ContainerError(
            f"the influence of rows needs a fit with partial pooling, got pooling={pooling!r}; "
            "fit model.replace(pooling='partial')"
        )
    convergence.refuse_bare(posterior.dims)
    rows = fitted_rows(idata, "the influence of rows")
    sd = _effect_sds(idata, posterior, len(rows.coefficients))
    # About the centre of the columns, where priors are: nothing is lost to a large mean.
    origin = origins.of_container(idata)
    mu, Sigma, beta, variance = _hyperparameters(origins.moved(posterior, origin), rows)
    at = np.array(origin.at or (0.0,) * (rows.z.shape[1] + rows.x.shape[1]))
    z, x = rows.z - at[: rows.z.shape[1]], rows.x - at[rows.z.shape[1] :]

    index, e = rows.index, rows.y - z @ mu - x @ beta
    # In the population's own units, u = z root(Sigma), where V is (I + U'U / sigma^2)^-1: what
    # the location of the columns makes large cancels here, and a Sigma that is singular will do.
    size, axes = np.linalg.eigh(Sigma)
    root = axes * np.sqrt(np.maximum(size, 0))
    u = z @ root
    J, K = len(rows.labels), u.shape[1]
    scaled = u / variance[:, None]
    precision = np.empty((J, K, K))
    b = np.empty((J, K))
    for k in range(K):
        b[:, k] = np.bincount(index, scaled[:, k] * e, minlength=J)
        for m in range(k + 1):
            products = np.bincount(index, scaled[:, k] * u[:, m], minlength=J)
            precision[:, k, m] = precision[:, m, k] = products + (k == m)
    inverse = np.linalg.inv(precision)
    e -= np.einsum("nk,nk->n", u, np.einsum("jkl,jl->jk", inverse, b)[index])
    pull = np.einsum("nkl,nl->nk", inverse[index], u)
    # Rounding may bring a leverage of all but 1 to 1.
    leverage = np.clip(np.einsum("nk,nk->n", pull, scaled), 0, 1 - 1e-12)
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = (pull @ root.T) * (e / (variance * (1 - leverage)))[:, None]
        shift = origin.to_zero({"deviation": shift})["deviation"] / sd[index]
    t, p = _outlying(e / np.sqrt(variance * (1 - leverage)), leverage, rows, posterior)
    return Measured(rows, leverage, t, p, shift)


def _hyperparameters(
    posterior: xr.Dataset, rows: FittedRows
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Posterior means of mu, Sigma and beta, and each row's variance.

    Of the covariance rather than of sds and correlations: its mean is the same whatever the
    origin of the columns.
    """
    import numpy as np

    def draws(name: str, *shape: int) -> NDArray[np.float64]:
        x = posterior.variables[name].transpose("chain", "draw", ...)
        return np.asarray(x.to_numpy(), dtype=np.float64).reshape(-1, *shape)

    K = rows.z.shape[1]
    tau = draws("tau", K)
    if "Omega" in posterior:
        Sigma = np.einsum("dk,dkl,dl->kl", tau, draws("Omega", K, K), tau) / len(tau)
    else:
        Sigma = np.diag((tau**2).mean(axis=0))
    beta = draws("beta", rows.x.shape[1]).mean(axis=0) if rows.x.shape[1] else np.zeros(0)
    if rows.se is not None:
        variance = rows.se**2
    else:
        sigma = posterior.variables["sigma"]
        by_group = sigma.ndim > 2
        means = (draws("sigma", len(rows.labels) if by_group else 1) ** 2).mean(axis=0)
        variance = means[rows.index] if by_group else np.full(len(rows.y), means[0])
    return draws("mu", K).mean(axis=0), Sigma, beta, variance


def _effect_sds(idata: Container, posterior: xr.Dataset, K: int) -> NDArray[np.float64]:
    """Posterior sds of the effects, shape (J, K)."""
    import numpy as np

    if "theta" in posterior:
        x = posterior.variables["theta"].transpose("chain", "draw", ...)
        values = np.asarray(x.to_numpy(), dtype=np.float64)
        values = values.reshape(x.shape[0] * x.shape[1], -1)
        sd = np.empty(values.shape[1])
        wide = max(1, _BLOCK // len(values))
        for at in range(0, len(sd), wide):
            sd[at : at + wide] = values[:, at : at + wide].std(axis=0, ddof=min(1, len(values) - 1))
        return sd.reshape(-1, K)
    if inference_data.has(idata, "effects_summary"):
        summed = inference_data.dataset(idata, "effects_summary")["theta"].sel(statistic="sd")
        return np.asarray(summed.to_numpy(), dtype=np.float64).reshape(-1, K)
    raise ContainerError(
        "the influence of rows needs the group effects, and the container has none "
        "(effects='none'); fit with effects='draws' or 'summary'"
    )


def _outlying(
    z: NDArray[np.float64],
    leverage: NDArray[np.float64],
    rows: FittedRows,
    posterior: xr.Dataset,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far each row lies from what the others predict: t, and its two-sided p-value."""
    import numpy as np
    from scipy import special

    if rows.se is not None:
        return z, 2 * special.ndtr(-np.abs(z))
    if posterior.variables["sigma"].ndim > 2:
        df = (rows.sizes - np.bincount(rows.index, leverage))[rows.index]
    else:
        df = np.full(len(z), len(z) - leverage.sum())
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(z**2 < df, z * np.sqrt((df - 1) / (df - z**2)), np.sign(z) * np.inf)
    # With a degree of freedom or less there is no other row to tell the variance by.
    told = df > 2
    return np.where(told, t, z), np.where(told, 2 * special.stdtr(df - 1, -np.abs(t)), 1.0)
