"""Independent draws of the hyperparameters of a one-way model from its quadrature."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ...families.gaussian import marginal
from .integral import OneWayIntegral
from .lattices import Lattice

__all__ = ["draw"]

Array = NDArray[np.float64]

_NEGLIGIBLE = 1e-14  # share of the highest mass of sigma below which no node is drawn
_RARE = 1e-6  # share of the posterior that a value of tau has to have for its sigma to matter
_LEFT = 1e-5  # trace of the nodes that may be left in the density of sigma


def draw(integral: OneWayIntegral, lattice: Lattice, draws: int, rng: np.random.Generator) -> Array:
    """Draw the hyperparameters on the unconstrained scale.

    tau by inversion of its distribution function; sigma given tau from a lattice whose nodes are
    moved at random for each draw, which leaves no trace of it (the trapezoid rule gives the same
    integrals wherever its nodes begin); mu given both from its normal distribution.

    Parameters
    ----------
    integral : OneWayIntegral
        The density of tau and sigma.
    lattice : Lattice
        Its table.
    draws : int
    rng : numpy.random.Generator

    Returns
    -------
    array, shape (draws, 2) or (draws, 3)
        Centred mu, and tau and sigma as
        :class:`~hiermodels.families.gaussian.hyperparameters.Hyperparameters` has them.
    """
    density = _short(integral, lattice)
    u = lattice.marginal(0).draw(rng.random(draws))[:, None]
    if integral.dims == 2:
        u = np.column_stack([u, _sigma(density, lattice, u[:, 0], rng)])
    coin, noise = rng.random(draws), rng.standard_normal(draws)
    centred = np.empty(draws)

    def work(part: slice) -> None:
        mu = density.mean(density.sums(*density.scales(u[part])))
        rows, chosen = np.arange(len(mu.mean)), _choose(mu.log_evidence, coin[part])
        sd = 1 / np.sqrt(mu.precision[rows, chosen])
        centred[part] = mu.mean[rows, chosen] + sd * noise[part]

    marginal.side_by_side(work, density.classes + len(density.components[0]), draws)
    return np.column_stack([centred, u])


def _short(integral: OneWayIntegral, lattice: Lattice) -> OneWayIntegral:
    """The density without those components of mu's prior that have no posterior mass."""
    u, _ = lattice.nodes(lattice.every)
    mu = integral.mean(integral.sums(*integral.scales(u)))
    share = special.softmax(mu.log_evidence, axis=1).max(axis=0)
    return dataclasses.replace(integral, kept=np.flatnonzero(share > 1e-16))


def _sigma(
    density: OneWayIntegral, lattice: Lattice, u_tau: Array, rng: np.random.Generator
) -> Array:
    """One draw of sigma's u for each of tau's."""
    mass = lattice.marginal(1).mass
    inside = np.flatnonzero(mass > _NEGLIGIBLE * mass.max())
    every = _stride(lattice)
    nodes = lattice.axis(1)[max(inside[0] - every + 1, 0) : inside[-1] + 1 : every]
    u = nodes + every * lattice.step[1] * rng.random((len(u_tau), 1))
    log_f = np.empty(u.shape)

    def work(part: slice) -> None:
        points = np.column_stack([np.repeat(u_tau[part], len(nodes)), u[part].ravel()])
        log_f[part] = density.log_density(points).reshape(-1, len(nodes))

    each = len(nodes) * max(density.classes, len(density.components[0]))
    marginal.side_by_side(work, each, len(u))
    return np.asarray(u[np.arange(len(u)), _choose(log_f, rng.random(len(u)))])


def _stride(lattice: Lattice) -> int:
    """The fewest nodes of sigma whose sum is the same wherever they begin, for each tau."""
    f = np.exp(lattice.log_f - lattice.log_f.max())
    rows = f[f.sum(axis=1) > _RARE * f.sum()]
    for every in (4, 3):
        sums = np.stack([rows[:, begin::every].sum(axis=1) for begin in range(every)])
        if np.max(np.ptp(sums, axis=0) / sums.mean(axis=0)) < _LEFT:
            return every
    return 2


def _choose(log_weight: Array, coin: Array) -> NDArray[np.int64]:
    """One column of each row, with probability as its weight, by uniform coins of shape (D,)."""
    w = np.exp(log_weight - log_weight.max(axis=1, keepdims=True)).cumsum(axis=1)
    return np.asarray(np.minimum((w < coin[:, None] * w[:, -1:]).sum(axis=1), w.shape[1] - 1))
