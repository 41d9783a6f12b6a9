"""What follows from draws of the hyperparameters: group effects, log likelihoods by group.

Everything works on D draws at once, in blocks that bound the memory of what is in between.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from ...system.progress import processors
from ..draws import Draws
from . import laplace, marginal, mixtures
from .marginal import Population
from .moments import Moments
from .rotation import Rotated

Array = NDArray[np.float64]


def draw_effects(design: Moments, p: Population, seed: np.random.SeedSequence) -> Array:
    """One exact conditional draw of all group effects for each draw, shape (D, J, K).

    theta_j | hyperparameters, y as in :mod:`~hiermodels.families.gaussian.marginal`, in the model's
    coordinates. The draws do not depend on the number of processors.
    """
    out = np.empty((len(p), design.J, design.K))
    parts = list(marginal.blocks(design.J * design.K, len(p)))

    def work(part: slice, own: np.random.SeedSequence) -> None:
        rng, block = np.random.default_rng(own), p[part]
        given = marginal.condition(design.rotated, block)
        noise = [rng.standard_normal((len(block), design.J)) for _ in range(design.K)]
        deviations = marginal.deviations(block, given, noise)
        for k, theta in enumerate(marginal.effects(design.back, block, deviations)):
            out[part, :, k] = theta

    with ThreadPoolExecutor(processors()) as pool:  # NumPy lets go of Python's lock
        list(pool.map(work, parts, seed.spawn(len(parts))))
    return out


QUANTILES = {"q5": 0.05, "median": 0.5, "q95": 0.95}
"""What a summary of the effects says beside mean and sd: a central 90 % interval."""

_SUMMARY_NUMBERS = 10**9  # effects times draws that a summary goes through
_FEWEST = 250  # draws of the hyperparameters that it takes all the same


def summarize_effects(design: Moments, p: Population) -> dict[str, Array]:
    """Mean, sd and quantiles of each group's effects, without drawing them.

    The posterior of theta_j is the mixture, over the draws of the hyperparameters, of its normal
    conditionals (:mod:`~hiermodels.families.gaussian.mixtures`), which has its mean, sd and
    quantiles in it. Groups are taken in blocks, so that memory stays bounded; with more than 1e9
    effects x draws the draws are thinned, to no fewer than 250. Where only the intercept varies and
    the residual sd is common, all of these are smooth functions of a group's mean for each group
    size, and are interpolated between 24 means where a size has more than 200 groups: to about a
    thousandth of the sd, or less. Of many sizes the draws are thinned as well, to no fewer than
    1000.

    Returns
    -------
    dict of str to array, each of shape (J, K)
        ``mean``, ``sd``, ``q5``, ``median``, ``q95``.
    """
    if design.scalar and design.residual == "common":
        return _summarize_by_size(design, p)
    thin = max(1, min(design.J * design.K * len(p) // _SUMMARY_NUMBERS + 1, len(p) // _FEWEST))
    return _summarize(design, design.rotated, p[::thin])


def _summarize(design: Moments, r: Rotated, p: Population) -> dict[str, Array]:
    """Summaries of the groups with these turned rows."""
    out = {name: np.empty((len(r.rows), design.K)) for name in ("mean", "sd", *QUANTILES)}
    w = np.full(len(p), 1 / len(p))

    def work(part: slice) -> None:
        block = p.of_groups(part)
        given = marginal.condition(r[part], block)
        means = marginal.raw_effects(design, block, marginal.deviations(block, given))
        variances = marginal.variances(marginal.root(design.at_zero, block), given)
        for k, (m, v) in enumerate(zip(means, variances, strict=True)):
            s = np.sqrt(v)
            out["mean"][part, k], out["sd"][part, k] = mixtures.moments(w, m, s)
            for name, q in QUANTILES.items():
                out[name][part, k] = mixtures.quantile(q, w, m, s)

    with ThreadPoolExecutor(processors()) as pool:
        list(pool.map(work, marginal.blocks(len(p), len(r.rows))))
    return out


_NODES = 24
_NODE_NUMBERS = 4 * 10**6  # nodes times draws that the interpolation goes through
_FEWEST_AT_NODES = 1000  # draws of the hyperparameters that it takes all the same
_DIRECT = 200  # groups of one size that are summed up each by itself


def _summarize_by_size(design: Moments, p: Population) -> dict[str, Array]:
    r, sizes = design.rotated, design.sizes
    means = design.gram[:, 0, 1] / sizes
    out = {name: np.empty((design.J, 1)) for name in ("mean", "sd", *QUANTILES)}
    direct = []
    nodes: list[tuple[NDArray[np.int64], Array]] = []
    order = np.argsort(sizes, kind="stable")
    for groups in np.split(order, np.flatnonzero(np.diff(sizes[order])) + 1):
        if len(groups) <= _DIRECT:
            direct.append(groups)
            continue
        ybar = means[groups]
        # Chebyshev points, whose interpolation error falls geometrically for smooth functions.
        t = np.polynomial.chebyshev.chebpts1(_NODES)
        middle, half = (ybar.max() + ybar.min()) / 2, max(np.ptp(ybar) / 2, 1e-300)
        nodes.append((groups, middle + half * t))
    pieces = [r.rows[g] for g in direct]
    for groups, points in nodes:  # sqrt(n) times [1, mean]
        ones = np.ones(_NODES)
        pieces.append(math.sqrt(sizes[groups[0]]) * np.stack([ones, points], axis=1)[:, None])
    together = np.concatenate(pieces)
    # So many groups leave so little doubt of the hyperparameters that fewer draws say the same.
    thin = max(1, min(len(together) * len(p) // _NODE_NUMBERS + 1, len(p) // _FEWEST_AT_NODES))
    turned = Rotated(together, np.zeros((len(together), 1, 1)), r.more)
    found = _summarize(design, turned, p[::thin])
    start = 0
    for groups in direct:
        for name, values in found.items():
            out[name][groups] = values[start : start + len(groups)]
        start += len(groups)
    for groups, points in nodes:
        ybar = means[groups]
        middle, half = (points.max() + points.min()) / 2, max(np.ptp(ybar) / 2, 1e-300)
        t = np.polynomial.chebyshev.chebpts1(_NODES)
        for name, values in found.items():
            part = values[start : start + _NODES, 0]
            fit = np.polynomial.chebyshev.chebfit(t, part, _NODES - 1)
            out[name][groups, 0] = np.polynomial.chebyshev.chebval((ybar - middle) / half, fit)
        start += _NODES
    return out


def log_likelihood_group(design: Moments, draws: Draws) -> Array | None:
    """Log density of each group's rows given the hyperparameters, shape (D, J).

    The group effects are integrated out
    (:func:`hiermodels.families.gaussian.marginal.log_likelihood`), from the groups' sufficient
    statistics alone. Under complete pooling it is the sum of the rows' log densities. Without
    pooling group effects have no distribution: None.
    """
    if draws.mu is None:
        return None
    given = laplace.by_group if design.scalar else marginal.log_likelihood
    return given(design, population(design, draws))


def population(design: Moments, draws: Draws) -> Population:
    """The hyperparameters of draws, of the centred columns."""
    assert draws.mu is not None  # noqa: S101 - for the type checker
    n, K = len(draws), design.K
    shift, back = design.back
    raw = np.hstack([draws.mu, draws.beta])
    centred = np.asarray(np.linalg.solve(back, (raw - shift).T).T, dtype=np.float64)
    tau = np.zeros((n, K)) if draws.tau is None else draws.tau
    root = np.broadcast_to(np.eye(K), (n, K, K)) if draws.L_Omega is None else draws.L_Omega
    return marginal.population(design, centred, tau, root, draws.sigma)
