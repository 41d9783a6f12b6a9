"""Restricted (REML) and full maximum likelihood of variance components, from turned rows.

The rows of [z, x, y] in a group are turned to K rows W_j = [Z_j, X_j, Y_j], where Z_j is square,
and to rows without z (``rotation.py``). With Sigma = L L' the covariance of the effects
in units of the residual variance, the K rows have the covariance sigma^2 M_j,
M_j = I + Z_j Sigma Z_j', and the others sigma^2 I. With H the sum over groups of the
cross-products weighted by these precisions, A its part for the p = K + P columns, and q what the
generalized least-squares fit b = A^-1 H_.y leaves of H_yy, twice minus the log likelihood is,
sigma profiled out and up to a constant,

    sum_j log|M_j| + nu log q + [REML: log|A|],   nu = N - p (REML) or N (ML),   sigma^2 = q/nu

(Patterson and Thompson 1971, Biometrika 58; the profile is that of Bates, Mächler, Bolker and
Walker 2015, Journal of Statistical Software 67(1), sections 3.4 and 3.5). With
T_j = Z_j' M_j^-1 W_j, C C' = A^-1, e_j = T_j (-b, 1) and Q_j = T_j [C; 0], its derivative by Sigma
is

    D = sum_j Z_j' M_j^-1 Z_j - (nu/q) sum_j e_j e_j' - [REML: sum_j Q_j Q_j'],   by L: 2 D L.

At the maximum D L = 0, and no direction leads out of the boundary: D has no negative eigenvalue.

statsmodels' MixedLM gives the same numbers where its optimizers reach the maximum (the tests
compare them). It is not used here because they often stop short of it, sometimes with
``converged=True``: where the estimate lies on the boundary (a standard deviation of 0, a
correlation of 1), as that of few groups often does, and elsewhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from ..families.gaussian.moments import Moments
from ..families.gaussian.rotation import Rotated

Array = NDArray[np.float64]

METHODS = ("reml", "ml")

_STARTS = 10.0 ** np.arange(-3, 5)  # tau / sigma, in units of the columns' lengths
_NONE = 1e-8  # what the likelihood may lose where a component is put to 0
_CONVERGED = 1e-7  # what one more Newton step may still be expected to gain
_ROUNDS = 6
_WORST = 1e300  # where there is no likelihood


@dataclass(frozen=True)
class Components:
    """The maximum.

    Attributes
    ----------
    centred : array, shape (K + P,)
        Coefficients of the centred columns, by generalized least squares.
    covariance : array, shape (K + P, K + P)
        Their covariance sigma^2 A^-1, the variance components taken as known.
    Lambda : array, shape (K, K)
        A root of the covariance of the centred columns' effects.
    sigma : float
        Residual sd.
    log_likelihood : float
        Restricted or full, of the raw columns, constants included.
    boundary : bool
        Whether the covariance of the effects is singular.
    gain : float
        Log likelihood that one more Newton step would be expected to gain.
    """

    centred: Array
    covariance: Array
    Lambda: Array
    sigma: float
    log_likelihood: float
    boundary: bool
    gain: float

    @property
    def converged(self) -> bool:
        """Whether this is a maximum to more digits than are ever of use."""
        return self.gain < _CONVERGED


class _At(NamedTuple):
    """The likelihood at one L."""

    deviance: float
    D: Array
    fit: Array
    A: Array
    q: float


def maximize(design: Moments, method: str = "reml") -> Components:
    """Estimate the variance components, all of them together, by their likelihood.

    Parameters
    ----------
    design : Moments
        Data with replication, whose columns are linearly independent and do not fit the response
        perfectly.
    method : {"reml", "ml"}
        Restricted or full likelihood.

    Returns
    -------
    Components
    """
    d = design
    likelihood = _Likelihood(d, restricted=method == "reml")
    L, gain = _search(likelihood)
    at, s, p = likelihood(L), likelihood.scale, d.K + d.P
    sigma = math.sqrt(at.q / likelihood.nu)
    unit = s[-1] / s[:-1]  # of the coefficients
    # The cross-products were of columns of length 1, and A of centred ones: the likelihood of
    # the raw columns differs by what |A| takes from either.
    stretch = np.log(s[:-1]).sum() - np.linalg.slogdet(d.at_zero[1])[1]
    constant = likelihood.nu * (1 + math.log(2 * math.pi / likelihood.nu) + 2 * math.log(s[-1]))
    if likelihood.restricted:
        constant += 2 * float(stretch)
    return Components(
        centred=unit * (at.fit + likelihood.more),
        covariance=sigma**2 * np.linalg.inv(at.A) * unit[:p, None] * unit[:p],
        Lambda=sigma * unit[: d.K, None] * L,
        sigma=sigma * float(s[-1]),
        log_likelihood=-0.5 * (at.deviance + constant),
        boundary=bool(np.any(np.abs(L).max(axis=0) == 0)),
        gain=gain,
    )


class _Likelihood:
    """Twice minus the profile log likelihood of L, and its derivative by Sigma.

    Columns and response are scaled to a mean square of 1, the response after least squares.
    """

    def __init__(self, design: Moments, *, restricted: bool) -> None:
        K, p, N = design.K, design.K + design.P, design.N
        total = np.diag(design.gram.sum(axis=0)).copy()
        total[-1] = design.pooled_rss
        self.scale = np.sqrt(np.where(total > 0, total, 1.0) / N)
        self._turn(design.rotated)
        self.K, self.p, self.restricted = K, p, restricted
        self.nu = N - p if restricted else N
        self.least = 0.1 / math.sqrt(N / design.J)

    def _turn(self, rotated: Rotated) -> None:
        self._rotated, K, scale = rotated, rotated.K, self.scale
        self.W = rotated.rows / scale  # [Z, X, Y] of each group
        # Coefficients that went off the response beside the design's.
        self.more = rotated.more * scale[:-1] / scale[-1]
        # The others' cross-products.
        self.rest = np.zeros((len(scale), len(scale)))
        self.rest[K:, K:] = rotated.rest.sum(axis=0) / scale[K:, None] / scale[K:]

    def settle(self, L: Array) -> None:
        """Take the fit at this L off the response: q is then no difference of large squares."""
        self._turn(self._rotated.less(self(L).fit * self.scale[-1] / self.scale[:-1]))

    def __call__(self, L: Array) -> _At:
        W, K, p = self.W, self.K, self.p
        Z, across = W[:, :, :K], np.swapaxes(W[:, :, :K], 1, 2)
        inverse, log_det = _inverse(np.eye(K) + Z @ (L @ L.T) @ across)
        weighted = inverse @ W
        H = self.rest + np.tensordot(W, weighted, axes=([0, 1], [0, 1]))
        A = H[:p, :p]
        try:
            C = np.linalg.inv(np.linalg.cholesky(A)).T
        except np.linalg.LinAlgError:  # a Sigma so wide that rounding is all that is left
            return _At(_WORST, np.zeros((K, K)), np.zeros(p), A, math.nan)
        fit = C @ (C.T @ H[:p, -1])
        q = float(H[-1, -1] - fit @ H[:p, -1])
        T = across @ weighted
        e = T @ np.append(-fit, 1.0)
        D = T[:, :, :K].sum(axis=0) - (self.nu / q) * (e.T @ e)
        deviance = log_det + self.nu * math.log(q)
        if self.restricted:
            Q = T[:, :, :p] @ C
            D = D - np.tensordot(Q, Q, axes=([0, 2], [0, 2]))
            deviance -= 2 * float(np.log(np.diag(C)).sum())
        return _At(deviance, (D + D.T) / 2, fit, A, q)


def _inverse(M: Array) -> tuple[Array, float]:
    """Inverses of matrices, and the sum of the logarithms of their determinants."""
    if M.shape[-1] == 1:  # most models, and LAPACK would be called for each group
        return 1 / M, float(np.log(M).sum())
    return np.asarray(np.linalg.inv(M)), float(np.linalg.slogdet(M)[1].sum())


# ---- the maximum ---------------------------------------------------------------------------------
#
# L is any K x K root of Sigma: turning it (L R, R orthogonal) changes nothing. Its columns are kept
# orthogonal in units of the taus, so that each is a component by itself, and one that is 0 is one
# dimension less of Sigma.


def _search(likelihood: _Likelihood) -> tuple[Array, float]:
    """L at the maximum, and what one more Newton step would gain."""
    L = _start(likelihood)
    likelihood.settle(L)
    gain = math.inf
    for _ in range(_ROUNDS):
        L = _off_nothing(likelihood, _climb(likelihood, L))
        better = _out_of_the_boundary(likelihood, L)
        if better is not None:
            L, gain = better, math.inf
            continue
        gain = _newton(likelihood, L)[1]
        if gain < _CONVERGED:
            break
    return L, gain


def _start(likelihood: _Likelihood) -> Array:
    """The best diagonal L of a grid, one component after another, twice over."""
    best = np.ones(likelihood.K)
    for k in (*range(likelihood.K), *range(likelihood.K)):
        tried = []
        for value in _STARTS:
            best[k] = value
            tried.append(likelihood(np.diag(best)).deviance)
        best[k] = _STARTS[int(np.argmin(tried))]
    return np.diag(best)


def _units(likelihood: _Likelihood, L: Array) -> Array:
    """The taus, or what the data can just tell from 0 where they are smaller, shape (K, 1)."""
    return np.asarray(np.maximum(np.sqrt((L**2).sum(axis=1)), likelihood.least)[:, None])


def _climb(likelihood: _Likelihood, L: Array) -> Array:
    """BFGS over the entries of L in units of the taus, then Newton's last digits."""
    unit = _units(likelihood, L)

    def minus(x: Array) -> tuple[float, Array]:
        here = unit * x.reshape(L.shape)
        at = likelihood(here)
        return at.deviance, (2 * unit * (at.D @ here)).ravel()

    # SciPy's types, where they are installed, want no jac=True beside a plain array.
    minimize: Any = optimize.minimize
    options = {"gtol": 1e-5, "maxiter": 500}
    found = minimize(minus, (L / unit).ravel(), jac=True, method="BFGS", options=options)
    L = unit * found.x.reshape(L.shape)
    for _ in range(_ROUNDS):
        step, gain = _newton(likelihood, L)
        if gain < 1e-6 * _CONVERGED:
            break
        # What rounding makes of the likelihood does not tell the last steps from none.
        enough = likelihood(L).deviance + min(gain, 1e-9)
        for part in (1.0, 0.5, 0.25, 0.1):
            if likelihood(L + part * step).deviance <= enough:
                L = L + part * step
                break
        else:
            break
    return L


def _newton(likelihood: _Likelihood, L: Array) -> tuple[Array, float]:
    """Newton's step, and what it would gain; columns of 0 stay, and so do flat directions."""
    unit = _units(likelihood, L)
    places = np.argwhere(np.broadcast_to(np.abs(L).max(axis=0) > 0, L.shape))
    step = np.zeros_like(L)
    if not len(places):
        return step, 0.0
    rows, cols = places.T

    def gradient(here: Array) -> Array:
        return np.asarray((2 * unit * (likelihood(here).D @ here))[rows, cols])

    columns = []
    for row, col in places:
        away = np.zeros_like(L)
        away[row, col] = 1e-4 * unit[row, 0]
        columns.append((gradient(L + away) - gradient(L - away)) / 2e-4)
    hessian = (np.array(columns) + np.array(columns).T) / 2
    value, vector = np.linalg.eigh(hessian)
    slope = vector.T @ gradient(L)
    size = np.abs(value)  # down the slope, where the curvature is negative as well
    move = np.divide(-slope, size, out=np.zeros_like(slope), where=size > 1e-8 * size.max())
    step[rows, cols] = unit[rows, 0] * (vector @ move)
    return step, float(-(move @ slope) / 4)


def _off_nothing(likelihood: _Likelihood, L: Array) -> Array:
    """Turn L so that its columns are orthogonal, and put those to 0 that nothing is lost by."""
    unit, enough = _units(likelihood, L), likelihood(L).deviance + _NONE
    direction, length, _ = np.linalg.svd(L / unit)
    for k in range(likelihood.K - 1, -1, -1):
        kept = length[k]
        length[k] = 0
        if likelihood(unit * direction * length).deviance > enough:
            length[k] = kept
            break
    return np.asarray(unit * direction * length)


def _out_of_the_boundary(likelihood: _Likelihood, L: Array) -> Array | None:
    """A better L, where the derivative shows a way off the boundary; None at a maximum."""
    empty = np.flatnonzero(np.abs(L).max(axis=0) == 0)
    if not len(empty):
        return None
    at, unit = likelihood(L), _units(likelihood, L)
    value, vector = np.linalg.eigh(unit * at.D * unit.T)
    if value[0] >= 0:
        return None
    best, enough = None, at.deviance - 10 * _NONE
    for length in _STARTS:
        there = L.copy()
        there[:, empty[0]] = length * unit[:, 0] * vector[:, 0]
        deviance = likelihood(there).deviance
        if deviance < enough:
            best, enough = there, deviance
    return best
