"""Log likelihoods and replicated data, by row and by group, whatever the family.

Everything works on D draws at once, in blocks that bound the memory of what is in between.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from ..data.design import Design
from ..system.progress import processors
from .draws import Draws, by_row, linear_predictor
from .family import Family
from .gaussian import marginal

__all__ = ["log_likelihood", "log_likelihood_group", "pointwise"]

Array = NDArray[np.float64]


def log_likelihood(family: Family, design: Design, draws: Draws) -> Array:
    """Log density of each row given the parameters, shape (D, N).

    Raises
    ------
    DataError
        There are no rows.
    """
    return pointwise(family, design, draws, None)[0]


def pointwise(
    family: Family, design: Design, draws: Draws, seed: np.random.SeedSequence | None
) -> tuple[Array, Array]:
    """Log likelihood of each row, and replicated data, one set per draw: each of shape (D, N).

    Without a seed the replicated data are empty.

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
        eta, aux = linear_predictor(rows, block), by_row(block.aux, rows)
        log_p[part] = family.log_density(rows, eta, aux)
        if own is not None:
            y_rep[part] = family.draw(rows, eta, aux, np.random.default_rng(own))

    with ThreadPoolExecutor(processors()) as pool:  # NumPy lets go of Python's lock
        list(pool.map(work, parts, seeds))
    return log_p, y_rep


def log_likelihood_group(family: Family, design: Design, draws: Draws) -> Array | None:
    """Log density of each group's rows given the hyperparameters, shape (D, J).

    Under complete pooling that is the sum over the rows. Under partial pooling the group effects
    are integrated out, by families that can. None where they cannot, and without pooling, where
    group effects have no distribution.
    """
    if draws.mu is None:
        return None
    if family.marginal:
        return family.log_likelihood_group(design, draws)
    if draws.tau is not None:
        return None
    rows = design.rows("the log likelihood by group")
    order = np.argsort(rows.index, kind="stable")
    starts = np.concatenate([[0], np.cumsum(design.sizes)[:-1]])
    by_row = log_likelihood(family, design, draws)[:, order]
    return np.asarray(np.add.reduceat(by_row, starts, axis=1))
