"""How much each group is pooled: pooling factors, and the shares of the variance.

The pooling factor of coefficient k of group j is the share of its prior variance that the group's
own data leave (Gelman and Pardoe 2006, Technometrics 48, 241-251, section 2):

    B_jk = var(theta_jk | hyperparameters, y) / tau_k^2,

1 where the group's own rows say nothing and 0 where they say all. With known standard errors it is
sigma_j^2 / (sigma_j^2 + tau^2). It has a posterior, as tau and sigma have.

The intercept's are those of the lines' heights where the model's own coordinates have their zero:
at the centre of the columns (``design.origin``). Far from the data heights say no more than slopes
do, and what share of their variance is left would depend on where x = 0 is.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..families.gaussian import marginal
from ..system.progress import processors

if TYPE_CHECKING:
    from ..data.design import Design
    from ..families.gaussian.marginal import Population
    from ..families.gaussian.moments import Moments

__all__ = ["factors", "over_all_groups", "pooling_factors", "variance_shares"]

Array = NDArray[np.float64]

_FEWEST = 1000  # draws that quantiles are taken of at least ...
_NUMBERS = 40_000_000  # ... and numbers that they are taken of at most, where that leaves so many


def factors(design: Moments, p: Population, groups: slice = slice(None)) -> list[Array]:
    """Pooling factors of some groups: K arrays of shape (D, groups).

    Effects in the model's own coordinates have the prior variance tau_k^2 = sum over m of R_km^2,
    with R the root of their covariance.
    """
    part = p.of_groups(groups)
    given = marginal.condition(design.rotated[groups], part)
    R = marginal.root(design.back, part)
    own = marginal.variances(R, given)
    tau2 = np.maximum(np.sum(R**2, axis=2), 1e-300)  # tau = 0 pools completely
    at_0 = np.sum(R**2, axis=2) <= 1e-300
    return [
        np.where(at_0[:, k, None], 1.0, np.minimum(v / tau2[:, k, None], 1.0))
        for k, v in enumerate(own)
    ]


def pooling_factors(design: Moments, p: Population) -> dict[str, Array]:
    """Posterior mean and 5 % and 95 % quantiles of each pooling factor, streamed over the groups.

    Returns
    -------
    dict of str to array, each of shape (J, K)
        ``mean``, ``q5``, ``q95``.
    """
    thin = max(1, min(design.J * design.K * len(p) // _NUMBERS + 1, len(p) // _FEWEST))
    p = p[::thin] if thin > 1 else p
    out = {name: np.empty((design.J, design.K)) for name in ("mean", "q5", "q95")}

    def work(part: slice) -> None:
        for k, B in enumerate(factors(design, p, part)):
            out["mean"][part, k] = B.mean(axis=0)
            out["q5"][part, k], out["q95"][part, k] = np.quantile(B, (0.05, 0.95), axis=0)

    with ThreadPoolExecutor(processors()) as pool:
        list(pool.map(work, marginal.blocks(len(p), design.J)))
    return out


def over_all_groups(deviations: Array) -> Array:
    """The pooling of all groups together, shape (K,).

    lambda = 1 - V(E epsilon_j) / E(V epsilon_j), with epsilon_j = theta_j - mu, V the variance over
    the groups and E the posterior mean (Gelman and Pardoe 2006, equation 7): 1 is complete pooling,
    0 is none.

    Parameters
    ----------
    deviations : array, shape (D, J, K)
        Draws of epsilon.
    """
    of_means = np.var(deviations.mean(axis=0), axis=0, ddof=1)
    means_of = np.var(deviations, axis=1, ddof=1).mean(axis=0)
    return np.asarray(1 - of_means / np.maximum(means_of, 1e-300))


def variance_shares(design: Design, Sigma: Array, sigma2: Array) -> Array:
    """Share of the variance about the population line that each coefficient has, shape (D, K).

    A row's variance is z' Sigma z + sigma^2, on average over the rows trace(Sigma C) + sigma^2 with
    C the mean of z z' (Johnson 2014, Methods in Ecology and Evolution 5, 944-946); coefficient k's
    part of it is (Sigma C)_kk. The rest is the residual's. The sum is the same wherever columns are
    counted from, its parts are not: they are those of the columns less the model's origin. Of one
    slope, at the centre, tau_0^2 is the intercept's part and tau_1^2 var(x) the slope's.

    Parameters
    ----------
    design : Design
    Sigma : array, shape (D, K, K)
        Covariance of the effects, in the model's own coordinates.
    sigma2 : array, shape (D,)
        Residual variance, the mean over the rows where it differs.
    """
    C = design.products_about(design.origin.at)[: design.K, : design.K] / design.N
    parts = np.einsum("dkm,mk->dk", Sigma, C)
    return np.asarray(parts / (parts.sum(axis=1) + sigma2)[:, None])
