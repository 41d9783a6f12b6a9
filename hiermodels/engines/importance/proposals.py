"""Proposals that resemble a posterior of few dimensions: t distributions, bent and mixed.

Where groups are few the posterior of the hyperparameters is not normal: towards tau = 0 its density
in log tau falls off as tau itself, towards correlations of 1 as a power of 1 - rho^2, and a
correlation knows the less the smaller its tau. The tails are bent (:class:`Bend`) until they are
those of a normal distribution, and what is left is followed by a mixture of t distributions, fitted
to weighted points by expectation-maximization (Cappé, Douc, Guillin, Marin and Robert 2008,
"Adaptive importance sampling in general mixture classes", Statistics and Computing 18, 447-459). A
wide component keeps the weights bounded where the others have no points (defensive mixture:
Hesterberg 1995, Technometrics 37, 185-194).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, special

__all__ = ["Bend", "Component", "Proposal", "fitted", "straight"]

Array = NDArray[np.float64]

DF = 8.0
"""Degrees of freedom: tails heavier than those of a posterior that is near normal, and seldom so
heavy that many draws are lost."""
COMPONENTS = 8
"""Components of a mixture at most: as many as the points can tell of."""
_POINTS = 20  # effective points for each component and dimension
_SWEEPS = 8  # of expectation-maximization
_WIDE, _WIDE_DF, _WIDER = 0.1, 3.0, 1.5  # share, degrees of freedom and scale of the wide component


@dataclass(frozen=True)
class Bend:
    """u = centre + scale x, with - x^2/2 more where x < 0 on the left, + x^2/2 where x > 0.

    A tail exp(u) on the left becomes exp(-x^2/2), and so does exp(-u) on the right.
    """

    centre: Array
    scale: Array
    left: NDArray[np.bool_]
    right: NDArray[np.bool_]

    def to_u(self, x: Array) -> Array:
        """Points on the scale of the hyperparameters."""
        bent = np.where(self._bent(x), np.sign(x) * x**2 / 2, 0.0)
        return np.asarray(self.centre + self.scale * x + bent)

    def to_x(self, u: Array) -> Array:
        """Undo :meth:`to_u`: x^2/2 + scale |x| = |u - centre| where it is bent."""
        off = u - self.centre
        size = np.sqrt(self.scale**2 + 2 * np.abs(off)) - self.scale
        return np.where(self._bent(off), np.sign(off) * size, off / self.scale)

    def log_jacobian(self, x: Array) -> Array:
        """Log of |du / dx|, shape (n,)."""
        slope = self.scale + np.where(self._bent(x), np.abs(x), 0.0)
        return np.asarray(np.log(slope).sum(axis=1))

    def _bent(self, x: Array) -> NDArray[np.bool_]:
        return (self.left & (x < 0)) | (self.right & (x > 0))


@dataclass(frozen=True)
class Component:
    """Multivariate t: centre + root z sqrt(df / chi^2), with a share of the mixture."""

    share: float
    centre: Array
    root: Array
    df: float = DF

    def draw(self, rng: np.random.Generator, n: int) -> Array:
        """Points, shape (n, d)."""
        z = rng.standard_normal((n, len(self.centre)))
        z /= np.sqrt(rng.chisquare(self.df, (n, 1)) / self.df)
        return np.asarray(self.centre + z @ self.root.T)

    @cached_property
    def _inverse(self) -> Array:
        """Of the root: it is small, and many points are multiplied by it."""
        eye = np.eye(len(self.centre))
        return np.asarray(linalg.solve_triangular(self.root, eye, lower=True))

    def squares(self, x: Array) -> Array:
        """Squared Mahalanobis distances from the centre, shape (n,)."""
        z = (x - self.centre) @ self._inverse.T
        return np.asarray(np.einsum("ij,ij->i", z, z))

    def log_density(self, squares: Array) -> Array:
        """Log of the density times the share at so far from the centre, shape (n,)."""
        d, df = len(self.centre), self.df
        constant = math.lgamma((df + d) / 2) - math.lgamma(df / 2)
        constant -= d / 2 * math.log(df * math.pi) + np.log(np.diag(self.root)).sum()
        tail = (df + d) / 2 * np.log1p(squares / df)
        return np.asarray(math.log(self.share) + constant - tail)


@dataclass(frozen=True)
class Proposal:
    """A mixture of t distributions of bent coordinates."""

    bend: Bend
    components: tuple[Component, ...]

    def draw(self, rng: np.random.Generator, n: int) -> tuple[Array, Array]:
        """Points u, shape (n, d), and their log densities, shape (n,)."""
        counts = rng.multinomial(n, [c.share for c in self.components])
        x = np.vstack([c.draw(rng, int(k)) for c, k in zip(self.components, counts, strict=True)])
        x = rng.permutation(x)
        log_p = [c.log_density(c.squares(x)) for c in self.components]
        log_q = special.logsumexp(log_p, axis=0)
        return self.bend.to_u(x), np.asarray(log_q - self.bend.log_jacobian(x))


def straight(centre: Array, root: Array) -> Proposal:
    """One t distribution of the coordinates as they are."""
    d = len(centre)
    none = np.zeros(d, dtype=bool)
    return Proposal(Bend(np.zeros(d), np.ones(d), none, none), (Component(1.0, centre, root),))


def fitted(bend: Bend, u: Array, log_w: Array, rng: np.random.Generator) -> Proposal | None:
    """A mixture fitted to weighted points; None where they are too few.

    Parameters
    ----------
    bend : Bend
    u : array, shape (n, d)
    log_w : array, shape (n,)
        Logs of the weights.
    """
    w = np.exp(log_w - log_w.max())
    w /= w.sum()
    # No point may speak for more than it can know (truncation: Ionides 2008, Journal of
    # Computational and Graphical Statistics 17, 295-311).
    w = np.minimum(w, 1 / math.sqrt(len(w)))
    w /= w.sum()
    x = bend.to_x(u)
    whole = _weighted_t(x, w, np.ones(len(x)))
    if whole is None:
        return None
    centre, root = whole
    effective = 1 / np.sum(w**2)
    number = int(np.clip(effective / (_POINTS * x.shape[1]), 1, COMPONENTS))
    start = x[rng.choice(len(x), number, p=w)] if number > 1 else centre[None]
    mixed = [Component(1 / number, at, root) for at in start]
    for _ in range(_SWEEPS):
        mixed = _improved(mixed, x, w) or [Component(1.0, centre, root)]
    inner = [Component((1 - _WIDE) * c.share, c.centre, c.root, c.df) for c in mixed]
    return Proposal(bend, (*inner, Component(_WIDE, centre, _WIDER * root, _WIDE_DF)))


def _improved(mixed: list[Component], x: Array, w: Array) -> list[Component]:
    """One sweep: who is responsible for which point, then each component's own weighted fit.

    Components with too few points of their own are dropped.
    """
    squares = [c.squares(x) for c in mixed]
    log_p = np.stack([c.log_density(s) for c, s in zip(mixed, squares, strict=True)])
    log_p -= log_p.max(axis=0)
    shares = np.exp(log_p)
    responsible = shares / shares.sum(axis=0) * w
    d = x.shape[1]
    new = []
    for c, s, r in zip(mixed, squares, responsible, strict=True):
        share = r.sum()
        if share <= 0 or share**2 / np.sum(r**2) < _POINTS / 2 * d:
            continue
        # A t is a normal distribution whose precision is multiplied by these (expected) factors.
        found = _weighted_t(x, r / share, (c.df + d) / (c.df + s))
        if found is not None:
            new.append(Component(float(share), *found, c.df))
    total = sum(c.share for c in new)
    return [Component(c.share / total, c.centre, c.root, c.df) for c in new]


def _weighted_t(x: Array, w: Array, factor: Array) -> tuple[Array, Array] | None:
    """Centre and root of the scale matrix, from weights and expected factors of the precision."""
    both = w * factor
    centre = both @ x / both.sum()
    off = x - centre
    try:
        return centre, np.asarray(np.linalg.cholesky((both[:, None] * off).T @ off))
    except np.linalg.LinAlgError:
        return None
