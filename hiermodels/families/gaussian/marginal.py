"""Group effects integrated out, for D sets of hyperparameters and all J groups at once.

With Lambda = diag(tau) L_Omega and Sigma = Lambda Lambda', and the rows of each group turned so
that K of them, [Z, X, y], hold all that its varying columns say (``rotation.py``), let
e = y - X beta - Z mu there, q the squares of y - X beta in the other rows, and
V = I + Z Sigma Z' / sigma^2. Then

    log p(y_j) = -n_j/2 log(2 pi sigma^2) - log|V|/2 - (q + e' V^-1 e) / (2 sigma^2):

all terms are of one sign, and none is a difference, however far apart the groups lie and however
large tau is beside sigma. With M = I + Lambda' Z'Z Lambda / sigma^2 and v = Lambda' Z'e / sigma^2

    theta_j | y ~ N(mu + Lambda M^-1 v,  Lambda M^-1 Lambda'),

which is least squares of e / sigma on Z Lambda / sigma with K rows [I, 0] below (Lindley and Smith
1972, Journal of the Royal Statistical Society B 34, section 2), and is done as such. The K x K
matrices are factored L D L', column by column, each entry an array over draws and groups.
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
from .rotation import Rotated

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
    """L D L' of symmetric K x K matrices, of every draw and group.

    Attributes
    ----------
    d : list of K arrays, each of shape (D, J)
        Diagonal of D.
    lower : dict of (i, k) to array of shape (D, J)
        What stands below the diagonal of L.
    """

    d: list[Array]
    lower: dict[tuple[int, int], Array]

    def solve(self, columns: list[Array]) -> list[Array]:
        """L^-1 of K arrays (forward substitution)."""
        out = list(columns)
        for i in range(len(out)):
            for k in range(i):
                out[i] = out[i] - self.lower[i, k] * out[k]
        return out


def factor(r: Rotated, p: Population) -> Factored:
    """L D L' of V = I + Z Sigma Z' / sigma^2, of every draw and group.

    Parameters
    ----------
    r : Rotated
        The turned rows of the groups.
    p : Population
        D sets of hyperparameters.
    """
    K = r.K
    precision = 1 / p.variance
    # What one residual sd divides is divided before there is an entry for each group.
    first, then = (precision, 1.0) if p.variance.shape[1] == 1 else (1.0, precision)
    pairs = [(a, c) for a in range(K) for c in range(a + 1)]
    Sigma = p.Lambda @ np.swapaxes(p.Lambda, 1, 2)
    triangle = first * np.stack([Sigma[:, a, c] for a, c in pairs], axis=1)
    around: dict[tuple[int, int], Array] = {}
    for k in range(K):
        for m in range(k + 1):
            left, right = r.rows[:, k], r.rows[:, m]
            products = np.stack(
                [
                    left[:, a] * right[:, c] + (left[:, c] * right[:, a] if a != c else 0)
                    for a, c in pairs
                ]
            )
            around[k, m] = (triangle @ products) * then
        around[k, k] += 1
    lower = {}
    for k in range(K):
        for i in range(k + 1, K):
            ratio = lower[i, k] = around[i, k] / around[k, k]
            for m in range(k + 1, i + 1):
                around[i, m] -= ratio * around[m, k]
            # V - I is not negative, so that D is at least 1; rounding may have it that V is not
            # definite where effects of some 1e8 sigma are all but functions of each other.
            around[i, i] = np.maximum(around[i, i], 1)
    return Factored([around[k, k] for k in range(K)], lower)


@dataclass(frozen=True)
class Conditional:
    """The effects given the data, of every draw and group.

    Attributes
    ----------
    M : Factored
        L D L' of their precision in units of their prior's root.
    w : list of K arrays, each of shape (D, J)
        (L D)^-1 v: L' s = w has the mean s.
    """

    M: Factored
    w: list[Array]


def condition(r: Rotated, p: Population) -> Conditional:
    """Least squares of e / sigma on Z Lambda / sigma and K rows [I, 0], one row after another.

    By Givens rotations without square roots (Gentleman 1973, Journal of the Institute of
    Mathematics and its Applications 12, 329-336): a row x with response y and weight u makes of
    D, L' and w, for each column i in turn and all m > i,

        d_i <- d_i + u x_i^2,   l_mi <- (d_i l_mi + u x_i x_m) / d_i,   x_m <- x_m - x_i l_mi,

    with the old l_mi and d_i on the right, but for the d_i that divides, and y and w_i as x_m and
    l_mi; then u <- u d_i (old) / d_i (new). No square of a row is taken from another.

    Parameters
    ----------
    r : Rotated
        The turned rows of the groups.
    p : Population
        D sets of hyperparameters.
    """
    K = r.K
    residuals = r.residuals(p.centred)
    d: list[Array] = []
    w: list[Array] = []
    lower: dict[tuple[int, int], Array] = {}
    for k, y in enumerate(residuals):
        Z = np.ascontiguousarray(r.rows[:, k, :K].T)
        x = [p.Lambda[:, :, m] @ Z for m in range(K)]
        weight = 1 / p.variance
        for i in range(K):
            weighted = weight * x[i]
            new = (d[i] if k else 1.0) + weighted * x[i]
            into = weighted / new
            if k == 0:  # nothing but the identity is there
                lower |= {(m, i): into * x[m] for m in range(i + 1, K)}
                w.append(into * y)
                d.append(new)
                weight = weight / new
                continue
            old = d[i] / new
            for m in range(i + 1, K):
                kept = x[m]
                x[m] = kept - x[i] * lower[m, i]
                lower[m, i] = old * lower[m, i] + into * kept
            kept = y
            y = kept - x[i] * w[i]
            w[i] = old * w[i] + into * kept
            d[i] = new
            weight = weight * old
    return Conditional(Factored(d, lower), w)


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


def generalized_products(r: Rotated, Lambda: Array, variance: Array) -> tuple[Array, Array]:
    """Cross-products of all columns and the response, weighted by their marginal covariance.

    With W = [Z, X, y] the K turned rows of group j and S what is left of [x, y] in the others, and
    V_j as above,

        sum over j of (W' V_j^-1 W + S'S) / sigma^2   and   sum over j of log|V_j|:

    generalized least squares without the rows. The response is less the fit ``r.more``.

    Parameters
    ----------
    r : Rotated
        Of groups that have one residual sd.
    Lambda : array, shape (D, K, K)
    variance : array, shape (D, 1)

    Returns
    -------
    products : array, shape (D, K + P + 1, K + P + 1)
    log_det : array, shape (D,)
    """
    (J, K, n), D = r.rows.shape, len(Lambda)
    products, log_det = np.empty((D, n, n)), np.empty(D)
    rest = np.zeros((n, n))
    rest[K:, K:] = r.rest.sum(axis=0)
    own = [[np.ascontiguousarray(r.rows[:, k, c])[None] for k in range(K)] for c in range(n)]

    def work(part: slice) -> None:
        p = Population(np.zeros((part.stop - part.start, n - 1)), Lambda[part], variance[part])
        with np.errstate(all="ignore"):  # what overflows is refused by its weight
            f = factor(r, p)
            columns = [f.solve(column) for column in own]
            out = np.tile(rest, (len(p), 1, 1))
            for a in range(n):
                parted = [x / d for x, d in zip(columns[a], f.d, strict=True)]
                for b in range(a + 1):
                    out[:, a, b] += sum(
                        x @ y[0] if len(y) == 1 else np.einsum("dj,dj->d", x, y)
                        for x, y in zip(parted, columns[b], strict=True)
                    )
                    out[:, b, a] = out[:, a, b]
            products[part] = out / p.variance[:, :, None]
            log_det[part] = sum(np.log(d).sum(axis=1) for d in f.d)

    side_by_side(work, J * max(1, n - 1), D)
    return products, log_det


def side_by_side(work: Callable[[slice], None], columns: int, rows: int) -> None:
    """Work through the parts of a table with so many columns, several at once."""
    parts = list(blocks(columns, rows))
    with ThreadPoolExecutor(processors()) as pool:  # NumPy lets go of Python's lock
        list(pool.map(work, parts))


def _log_likelihood(design: Moments, p: Population) -> Array:
    r = design.rotated
    f = factor(r, p)
    # In the place of what is not needed any more: fresh memory costs more than the arithmetic.
    half = r.squares(p.centred)
    for d, w in zip(f.d, f.solve(r.residuals(p.centred)), strict=True):
        w *= w
        w /= d
        half += w
    half /= p.variance
    half += design.sizes * (math.log(2 * math.pi) + np.log(p.variance))
    for d in f.d:
        half += np.log(d, out=d)
    half *= -0.5
    return np.asarray(half)


def deviations(p: Population, c: Conditional, noise: list[Array] | None = None) -> list[Array]:
    """Deviations of the centred columns' effects: K arrays of shape (D, J).

    Lambda s with L' s = w + D^-1/2 noise: the conditional mean, where there is no noise, or one
    draw about it, where the noise is standard normal.
    """
    K, s = len(c.w), list(c.w)
    if noise is not None:
        s = [w + e / np.sqrt(d) for w, e, d in zip(s, noise, c.M.d, strict=True)]
    for k in range(K - 2, -1, -1):
        for i in range(k + 1, K):
            s[k] = s[k] - c.M.lower[i, k] * s[i]
    return [np.asarray(sum(p.Lambda[:, a, k, None] * s[k] for k in range(K))) for a in range(K)]


def variances(R: Array, c: Conditional) -> list[Array]:
    """Conditional variances of effects: K arrays of shape (D, J).

    The diagonal of R M^-1 R' = (R L^-T) D^-1 (R L^-T)', with R the root of the effects' covariance
    (:func:`root`).
    """
    out = []
    for row in np.swapaxes(R, 0, 1):
        t = c.M.solve([row[:, k, None] for k in range(R.shape[-1])])  # L^-1 R_a'
        out.append(np.asarray(sum(x * x / d for x, d in zip(t, c.M.d, strict=True))))
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
