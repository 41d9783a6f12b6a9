"""Draws of a model's parameters, and the linear predictor that they give each row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..data.design import Design
from ..data.rows import Rows

__all__ = ["Draws", "linear_predictor"]

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
    aux : dict of str to array, each of shape (D, 1) or (D, J)
        The family's auxiliary parameters by name: one value, or one per group.
    """

    mu: Array | None
    tau: Array | None
    L_Omega: Array | None
    theta: Array | None
    beta: Array
    aux: Mapping[str, Array] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.beta)

    @property
    def sigma(self) -> Array | None:
        """Residual sds of a Gaussian family; None where the standard errors are known."""
        return self.aux.get("sigma")

    def named(self) -> dict[str, Array]:
        """All arrays by the parameter's name."""
        own = {n: getattr(self, n) for n in ("mu", "tau", "L_Omega", "theta", "beta")}
        return {n: x for n, x in own.items() if x is not None} | dict(self.aux)

    def map(self, change: Callable[[Array], Array]) -> Draws:
        """The same with each array changed."""

        def of(x: Array | None) -> Array | None:
            return None if x is None else change(x)

        return Draws(
            of(self.mu),
            of(self.tau),
            of(self.L_Omega),
            of(self.theta),
            change(self.beta),
            {name: change(x) for name, x in self.aux.items()},
        )

    def __getitem__(self, part: slice) -> Draws:
        return self.map(lambda x: x[part])


def pointwise_bytes(design: Design, draws: int) -> int:
    """Bytes that log likelihood and replicated data by row take: 2 N x draws x 8."""
    return 2 * design.N * draws * 8


def by_group_bytes(design: Design, draws: int) -> int:
    """Bytes that the log likelihood by group takes: J x draws x 8."""
    return design.J * draws * 8


def effects_bytes(design: Design, draws: int) -> int:
    """Bytes that the draws of all group effects take: J x K x draws x 8."""
    return design.J * design.K * draws * 8


def linear_predictor(rows: Rows, draws: Draws) -> Array:
    """Linear predictor of each row, shape (D, N): x_i beta + z_i theta_{j[i]}.

    Rows and draws must be of one origin (:meth:`hiermodels.data.design.Design.from_origin`).
    """
    if draws.beta.ndim == 3:  # one for each group
        eta = np.zeros((len(draws), len(rows.y)))
        for p in range(rows.x.shape[1]):
            eta += draws.beta[:, rows.index, p] * rows.x[:, p]
    else:
        eta = draws.beta @ rows.x.T
    if draws.theta is None:
        assert draws.mu is not None  # noqa: S101 - complete pooling has mu
        return np.asarray(eta + draws.mu @ rows.z.T)
    for k in range(rows.z.shape[1]):
        own = np.ascontiguousarray(draws.theta[:, :, k]).take(rows.index, axis=1)
        eta += own * rows.z[:, k]
    return np.asarray(eta)


def by_row(aux: Mapping[str, Array], rows: Rows) -> dict[str, Array]:
    """Auxiliary parameters of each row: shape (D, 1) of one value, (D, N) of one per group."""
    return {n: x if x.shape[1] == 1 else x[:, rows.index] for n, x in aux.items()}
