"""Group effects integrated out, for D sets of hyperparameters and all J groups at once.

With Lambda = diag(tau) L_Omega, and for each group A = Z'Z, r = y - X beta - Z mu, b = Z'r,
c = r'r, M = I + Lambda' A Lambda / sigma^2 and v = Lambda' b / sigma^2,

    log p(y_j) = -n_j/2 log(2 pi sigma^2) - log|M|/2 - (c / sigma^2 - v' M^-1 v) / 2
    theta_j | y ~ N(mu + Lambda M^-1 v,  Lambda M^-1 Lambda')

by the matrix determinant lemma and the Woodbury identity (Harville 1997, Matrix Algebra From a
Statistician's Perspective, sections 18.1 and 18.2). A, b and c follow from the cross-products of
the centred columns. The K x K matrices M are factored L D L', column by column, each entry an
array over draws and groups.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...system.progress import processors
from .moments import Moments

Array = NDArray[np.float64]

BLOCK = 100_000
"""Numbers in each temporary array (0.8 MB): as many as a processor's cache can take."""


@dataclass(frozen=True)
class Population:
    """D sets of hyperparameters, of the centred columns.

    Attributes
    ----------
    centred : array, shape (D, K + P)
        Population means and common coefficients.
    Lambda : array, shape (D, K, K)
        Root of the covariance of the centred columns' effects.
    variance : array, shape (D, 1), (D, J) or (1, J)
        Residual variances.
    """

    centred: Array
    Lambda: Array
    variance: Array

    def __len__(self) -> int:
        return len(self.centred)

    def __getitem__(self, part: slice) -> Population:
        known = len(self.variance) == 1 and len(self) > 1
        return Population(
            self.centred[part],
            self.Lambda[part],
            self.variance if known else self.variance[part],
        )

    def of_groups(self, part: slice) -> Population:
        """The same for some of the groups."""
        shared = self.variance.shape[1] == 1
        variance = self.variance if shared else self.variance[:, part]
        return Population(self.centred, self.Lambda, variance)


def population(
    design: Moments, centred: Array, tau: Array, L_Omega: Array, sigma: Array | None
) -> Population:
    """Hyperparameters as :mod:`.hyperparameters` has them, made ready for the groups."""
    Lambda = forward(design) @ (tau[:, :, None] * L_Omega)
    variance = known_variance(design)[None] if sigma is None else sigma**2
    return Population(centred, Lambda, variance)


def forward(design: Moments) -> Array:
    """Matrix that takes effects in the model's coordinates to the centred columns', (K, K)."""
    K = design.K
    return np.asarray(np.linalg.inv(design.back[1][:K, :K]))


def known_variance(design: Moments) -> Array:
    """Squares of the known standard errors, shape (J,)."""
    se = design.rows("a known standard error").se
    assert se is not None  # noqa: S101 - a design with known errors has them
    return se**2


def blocks(columns: int, rows: int) -> Iterator[slice]:
    """Parts of the rows of a table with so many columns, each of about BLOCK numbers."""
    step = max(1, BLOCK // columns)
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


@dataclass(frozen=True)
class Factored:
    """L D L' of all M, and L^-1 v.

    Attributes
    ----------
    d : list of K arrays, each of shape (D, J)
        Diagonal of D.
    lower : dict of (i, k) to array of shape (D, J)
        What stands below the diagonal of L.
    w : list of K arrays, each of shape (D, J)
        L^-1 v.
    """

    d: list[Array]
    lower: dict[tuple[int, int], Array]
    w: list[Array]


def factor(G: Array, p: Population) -> Factored:
    """L D L' of M = I + Lambda' A Lambda / sigma^2, and L^-1 v, of every draw and group.

    Parameters
    ----------
    G : array, shape (J, K + P + 1, K + P + 1)
        Cross-products of the centred [z, x, y] in each group.
    p : Population
        D sets of hyperparameters.
    """
    K = p.Lambda.shape[-1]
    precision = 1 / p.variance
    # What one residual sd divides is divided before there is an entry for each group.
    first, then = (precision, 1.0) if p.variance.shape[1] == 1 else (1.0, precision)
    # r = (z, x, y) g
    g = np.hstack([-p.centred, np.ones((len(p), 1))])
    pairs = [(a, c) for a in range(K) for c in range(a + 1)]
    A = np.stack([G[:, a, c] for a, c in pairs])
    B = np.ascontiguousarray(G[:, :K].reshape(len(G), -1).T)  # BLAS wants its matrices in one piece
    M: dict[tuple[int, int], Array] = {}
    v = []
    for k in range(K):
        left = p.Lambda[:, :, k]
        both = (left[:, :, None] * g[:, None, :]).reshape(len(p), -1)
        v.append(((first * both) @ B) * then)
        for m in range(k + 1):
            right = p.Lambda[:, :, m]
            weights = np.stack(
                [
                    left[:, a] * right[:, c] + (left[:, c] * right[:, a] if a != c else 0)
                    for a, c in pairs
                ],
                axis=1,
            )
            M[k, m] = ((first * weights) @ A) * then
        M[k, k] += 1
    lower = {}
    for k in range(K):
        for i in range(k + 1, K):
            ratio = lower[i, k] = M[i, k] / M[k, k]
            for m in range(k + 1, i + 1):
                M[i, m] -= ratio * M[m, k]
            # M - I is not negative, so that D is at least 1; rounding may have it that M is not
            # definite where tau is some 1e8 times sigma.
            M[i, i] = np.maximum(M[i, i], 1)
            v[i] = v[i] - ratio * v[k]
    return Factored([M[k, k] for k in range(K)], lower, v)


def log_likelihood(design: Moments, p: Population) -> Array:
    """Log density p(y_j | hyperparameters) of every draw and group, shape (D, J)."""
    out = np.empty((len(p), design.J))

    def work(part: slice) -> None:
        out[part] = _log_likelihood(design, p[part])

    side_by_side(work, design.J, len(p))
    return out


def total_log_likelihood(design: Moments, p: Population) -> Array:
    """Log density p(y | hyperparameters) of every draw, shape (D,); NaN where it overflows."""
    out = np.empty(len(p))

    def work(part: slice) -> None:
        with np.errstate(all="ignore"):  # which is each thread's own affair
            out[part] = _log_likelihood(design, p[part]).sum(axis=1)

    side_by_side(work, design.J, len(p))
    return out


def generalized_products(design: Moments, Lambda: Array, variance: Array) -> tuple[Array, Array]:
    """Cross-products of all columns and the response, weighted by their marginal covariance.

    With V_j = Z Lambda Lambda' Z' + sigma^2 I and W = [z, x, y] of group j, and U = Lambda' Z'W,
    by the Woodbury identity

        sum over j of W' V_j^-1 W = sum of W'W / sigma^2 - U' M^-1 U / sigma^4,
        sum over j of log|V_j| = N log sigma^2 + sum of log|M_j|:

    generalized least squares without the rows.

    Parameters
    ----------
    design : Moments
        With one residual sd for all groups.
    Lambda : array, shape (D, K, K)
    variance : array, shape (D, 1)

    Returns
    -------
    products : array, shape (D, K + P + 1, K + P + 1)
    log_det : array, shape (D,)
    """
    K, n = design.K, design.K + design.P + 1
    products, log_det = np.empty((len(Lambda), n, n)), np.empty(len(Lambda))
    G = design.gram
    total = G.sum(axis=0)
    across = [np.ascontiguousarray(G[:, :K, c].T) for c in range(n - 1)]

    def work(part: slice) -> None:
        p = Population(np.zeros((part.stop - part.start, n - 1)), Lambda[part], variance[part])
        with np.errstate(all="ignore"):  # what overflows is refused by its weight
            f = factor(G, p)
            scaled = p.Lambda / p.variance[:, :, None]
            columns = []
            for c in range(n - 1):
                v = [scaled[:, :, k] @ across[c] for k in range(K)]
                for k in range(K):
                    for i in range(k + 1, K):
                        v[i] = v[i] - f.lower[i, k] * v[k]
                columns.append(v)
            columns.append(f.w)  # the response's: nothing is taken off it
            out = total / p.variance[:, :, None]
            for a in range(n):
                parted = [x / d for x, d in zip(columns[a], f.d, strict=True)]
                for b in range(a + 1):
                    out[:, a, b] -= sum(
                        np.einsum("dj,dj->d", x, y) for x, y in zip(parted, columns[b], strict=True)
                    )
                    out[:, b, a] = out[:, a, b]
            products[part] = out
            log_det[part] = design.N * np.log(p.variance[:, 0]) + sum(
                np.log(d).sum(axis=1) for d in f.d
            )

    side_by_side(work, design.J * max(1, n - 1), len(Lambda))
    return products, log_det


def side_by_side(work: Callable[[slice], None], columns: int, rows: int) -> None:
    """Work through the parts of a table with so many columns, several at once."""
    parts = list(blocks(columns, rows))
    with ThreadPoolExecutor(processors()) as pool:  # NumPy lets go of Python's lock
        list(pool.map(work, parts))


def _log_likelihood(design: Moments, p: Population) -> Array:
    f = factor(design.gram, p)
    g = np.hstack([-p.centred, np.ones((len(p), 1))])
    squares = (g[:, :, None] * g[:, None, :]).reshape(len(g), -1)
    c = squares @ np.ascontiguousarray(design.gram.reshape(design.J, -1).T)
    # In the place of what is not needed any more: fresh memory costs more than the arithmetic.
    half = np.divide(c, p.variance, out=c)
    half += design.sizes * (math.log(2 * math.pi) + np.log(p.variance))
    for d, w in zip(f.d, f.w, strict=True):
        w *= w
        w /= d
        half -= w
        half += np.log(d, out=d)
    half *= -0.5
    return np.asarray(half)


def deviations(p: Population, f: Factored, noise: list[Array] | None = None) -> list[Array]:
    """Deviations of the centred columns' effects: K arrays of shape (D, J).

    Lambda s with L' s = D^-1 w + D^-1/2 noise: the conditional mean, where there is no noise, or
    one draw about it, where the noise is standard normal.
    """
    K = len(f.d)
    s = [w / d for w, d in zip(f.w, f.d, strict=True)]
    if noise is not None:
        for x, e, d in zip(s, noise, f.d, strict=True):
            x += e / np.sqrt(d)
    for k in range(K - 2, -1, -1):
        for i in range(k + 1, K):
            s[k] -= f.lower[i, k] * s[i]
    return [np.asarray(sum(p.Lambda[:, a, k, None] * s[k] for k in range(K))) for a in range(K)]


def variances(R: Array, f: Factored) -> list[Array]:
    """Conditional variances of effects: K arrays of shape (D, J).

    The diagonal of R M^-1 R' = (R L^-T) D^-1 (R L^-T)', with R the root of the effects' covariance
    (:func:`root`).
    """
    K = R.shape[-1]
    out = []
    for a in range(K):
        # Forward substitution: t = L^-1 R_a'
        t: list[Array] = [np.broadcast_to(R[:, a, k, None], f.d[0].shape) for k in range(K)]
        for i in range(K):
            for k in range(i):
                t[i] = t[i] - f.lower[i, k] * t[k]
        out.append(np.asarray(sum(x * x / d for x, d in zip(t, f.d, strict=True))))
    return out


def root(back: tuple[Array, Array], p: Population) -> Array:
    """Root diag(tau) L_Omega of the covariance of the effects of other columns, shape (D, K, K).

    Parameters
    ----------
    back : shift and matrix
        As for :func:`effects`.
    p : Population
    """
    K = p.Lambda.shape[-1]
    return np.asarray(back[1][:K, :K] @ p.Lambda)


def raw_effects(design: Moments, p: Population, deviations: list[Array]) -> list[Array]:
    """Deviations of the centred columns' effects -> the raw columns' own coefficients theta."""
    return effects(design.at_zero, p, deviations)


def effects(back: tuple[Array, Array], p: Population, deviations: list[Array]) -> list[Array]:
    """Deviations of the centred columns' effects -> coefficients theta of other columns.

    Every group has the line theta, beta = shift + matrix (centred): K arrays of shape (D, J).

    Parameters
    ----------
    back : shift and matrix
        ``design.back``, to the model's own coordinates, or ``design.at_zero``, to the raw columns.
    """
    K = p.Lambda.shape[-1]
    shift, matrix = back
    level = shift[:K] + p.centred @ matrix[:K].T
    out = []
    for a in range(K):
        terms = [matrix[a, k] * deviations[k] for k in range(K) if k != a and matrix[a, k] != 0]
        out.append(np.asarray(level[:, a, None] + deviations[a] + sum(terms)))
    return out
