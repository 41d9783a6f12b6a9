"""What follows from posterior draws, computed in NumPy: group effects, log likelihoods, new data.

Everything works on D draws at once, in blocks that bound the memory of what is in between.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...data.design import Design
from ...data.rows import Rows
from ...system.progress import processors
from . import laplace, marginal, mixtures
from .marginal import Population
from .rotation import Rotated

Array = NDArray[np.float64]

POINTWISE_BUDGET = 2**28
"""Bytes (256 MiB) that log likelihoods and replicated data may take in a container unasked."""

EFFECTS_BUDGET = 2**30
"""Bytes (1 GiB) that the draws of all group effects may take in a container."""


@dataclass(frozen=True)
class Draws:
    """D draws of a model's parameters, chains laid end to end.

    They are in the model's own coordinates (``design.origin``), except where it says otherwise.

    Attributes
    ----------
    mu, tau : array, shape (D, K), or None
        Population means and standard deviations; tau is None without partial pooling, mu is None
        without any pooling.
    L_Omega : array, shape (D, K, K), or None
        Cholesky factor (any root will do) of the correlations; None where K is 1 or without
        partial pooling.
    theta : array, shape (D, J, K), or None
        The groups' own coefficients; None under complete pooling, where all are mu.
    beta : array, shape (D, P), or (D, J, P) without any pooling
        Common coefficients.
    sigma : array, shape (D, 1) or (D, J), or None
        Residual sds; None where the standard errors are known.
    """

    mu: Array | None
    tau: Array | None
    L_Omega: Array | None
    theta: Array | None
    beta: Array
    sigma: Array | None

    def __len__(self) -> int:
        return len(self.beta)

    def __getitem__(self, part: slice) -> Draws:
        def cut(values: Array | None) -> Array | None:
            return None if values is None else values[part]

        return Draws(
            cut(self.mu),
            cut(self.tau),
            cut(self.L_Omega),
            cut(self.theta),
            self.beta[part],
            cut(self.sigma),
        )


def pointwise_bytes(design: Design, draws: int) -> int:
    """Bytes that log likelihood and replicated data by row take: 2 N x draws x 8."""
    return 2 * design.N * draws * 8


def by_group_bytes(design: Design, draws: int) -> int:
    """Bytes that the log likelihood by group takes: J x draws x 8."""
    return design.J * draws * 8


def effects_bytes(design: Design, draws: int) -> int:
    """Bytes that the draws of all group effects take: J x K x draws x 8."""
    return design.J * design.K * draws * 8


def draw_effects(design: Design, p: Population, seed: np.random.SeedSequence) -> Array:
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


def summarize_effects(design: Design, p: Population) -> dict[str, Array]:
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
    if design.coefficients is None and design.residual == "common":
        return _summarize_by_size(design, p)
    thin = max(1, min(design.J * design.K * len(p) // _SUMMARY_NUMBERS + 1, len(p) // _FEWEST))
    return _summarize(design, design.rotated, p[::thin])


def _summarize(design: Design, r: Rotated, p: Population) -> dict[str, Array]:
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


def _summarize_by_size(design: Design, p: Population) -> dict[str, Array]:
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


def log_likelihood(design: Design, draws: Draws) -> Array:
    """Log density of each row given the parameters, shape (D, N).

    log N(y_i | x_i beta + z_i theta_{j[i]}, sigma_i)
        = -log(2 pi)/2 - log sigma_i - ((y_i - yhat_i) / sigma_i)^2 / 2

    Raises
    ------
    DataError
        There are no rows.
    """
    return pointwise(design, draws, None)[0]


def pointwise(
    design: Design, draws: Draws, seed: np.random.SeedSequence | None
) -> tuple[Array, Array]:
    """Log likelihood of each row, and replicated data, one set a draw: each of shape (D, N).

    y_rep_i ~ N(yhat_i, sigma_i). Without a seed the replicated data are empty.

    Raises
    ------
    DataError
        There are no rows.
    """
    rows = design.rows_from_origin("what is computed row by row")
    log_p = np.empty((len(draws), design.N))
    y_rep = np.empty((len(draws), design.N) if seed is not None else (0, design.N))
    parts = list(marginal.blocks(design.N, len(draws)))
    seeds = [None] * len(parts) if seed is None else seed.spawn(len(parts))

    def work(part: slice, own: np.random.SeedSequence | None) -> None:
        block = draws[part]
        mean, sd = row_mean(rows, block), row_sd(rows, block)
        out = log_p[part]
        np.subtract(rows.y, mean, out=out)
        out /= sd
        out *= out
        out *= -0.5
        out -= 0.5 * math.log(2 * math.pi) + np.log(sd)
        if own is not None:
            new = y_rep[part]
            np.random.default_rng(own).standard_normal(out=new)
            new *= sd
            new += mean

    with ThreadPoolExecutor(processors()) as pool:
        list(pool.map(work, parts, seeds))
    return log_p, y_rep


def log_likelihood_group(design: Design, draws: Draws) -> Array | None:
    """Log density of each group's rows given the hyperparameters, shape (D, J).

    The group effects are integrated out
    (:func:`hiermodels.families.gaussian.marginal.log_likelihood`), from the groups' sufficient
    statistics alone. Under complete pooling it is the sum of the rows' log densities. Without
    pooling group effects have no distribution: None.
    """
    if draws.mu is None:
        return None
    given = laplace.by_group if design.coefficients is None else marginal.log_likelihood
    return given(design, population(design, draws))


def population(design: Design, draws: Draws) -> Population:
    """The hyperparameters of draws, of the centred columns."""
    assert draws.mu is not None  # noqa: S101 - for the type checker
    n, K = len(draws), design.K
    shift, back = design.back
    raw = np.hstack([draws.mu, draws.beta])
    centred = np.asarray(np.linalg.solve(back, (raw - shift).T).T, dtype=np.float64)
    tau = np.zeros((n, K)) if draws.tau is None else draws.tau
    root = np.broadcast_to(np.eye(K), (n, K, K)) if draws.L_Omega is None else draws.L_Omega
    return marginal.population(design, centred, tau, root, draws.sigma)


def row_mean(rows: Rows, draws: Draws) -> Array:
    """Mean of each row, shape (D, N): x_i beta + z_i theta_{j[i]}.

    Rows and draws must be of one origin (:meth:`hiermodels.data.design.Design.from_origin`).
    """
    if draws.beta.ndim == 3:  # one for each group
        mean = np.zeros((len(draws), len(rows.y)))
        for p in range(rows.x.shape[1]):
            mean += draws.beta[:, rows.index, p] * rows.x[:, p]
    else:
        mean = draws.beta @ rows.x.T
    if draws.theta is None:
        assert draws.mu is not None  # noqa: S101 - complete pooling has mu
        return np.asarray(mean + draws.mu @ rows.z.T)
    for k in range(rows.z.shape[1]):
        own = np.ascontiguousarray(draws.theta[:, :, k]).take(rows.index, axis=1)
        mean += own * rows.z[:, k]
    return np.asarray(mean)


def row_sd(rows: Rows, draws: Draws) -> Array:
    """Residual sd of each row, shape (D, N), or (D, 1) or (1, N) where that says it all."""
    if draws.sigma is None:
        assert rows.se is not None  # noqa: S101 - known standard errors
        return rows.se[None, :]
    return draws.sigma if draws.sigma.shape[1] == 1 else draws.sigma[:, rows.index]
