"""Mode and curvature of a marginal posterior: what the marginal programs are standardized by.

The log posterior density of u (:mod:`~hiermodels.families.gaussian.hyperparameters`), group effects
integrated out, is maximized by BFGS, and its Hessian at the mode taken from differences of the
gradient. The inverse of minus the Hessian is the covariance of the Laplace approximation (Gelman et
al., Bayesian Data Analysis, 3rd ed., section 13.3).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from . import marginal
from .hyperparameters import Hyperparameters, Values, on_the_line
from .moments import Moments

Array = NDArray[np.float64]

_LOG_2PI = math.log(2 * math.pi)
_STEP = 1e-4  # of the differences, on a scale where the posterior is about 1 wide or narrower
_WORST = 1e300  # minus the log density where the density is 0
NEAR_NORMAL = 0.3
"""Efficiency of the Laplace approximation from which on NUTS needs no metric of its own."""
_EFFICIENCY_NUMBERS = 4_000_000  # draws times groups that it is measured by
_LARGEST = 60
"""Hyperparameters beyond which a dense standardization costs more than it gains."""


@dataclass(frozen=True)
class Standardization:
    """u = centre + root q.

    Attributes
    ----------
    centre : array, shape (size,)
        Where q is 0.
    root : array, shape (few, few)
        Of those hyperparameters that are not by group.
    by_group : array, shape (J,) or (0,)
        Scale of the others.
    reason : str
        How it was decided.
    found : bool
        Whether mode and curvature were found.
    efficiency : float
        How near the posterior is to its Laplace approximation: the effective share of independent
        draws from that, weighted to the posterior (1 for a normal posterior, 0 where there is no
        approximation).
    """

    centre: Array
    root: Array
    by_group: Array
    reason: str
    found: bool = False
    efficiency: float = 0.0

    @property
    def near_normal(self) -> bool:
        """Whether q is near enough to standard normal that its metric is known beforehand."""
        return self.efficiency >= NEAR_NORMAL

    def apply(self, q: Array) -> Array:
        """Gives u of q, shape (D, size)."""
        few = len(self.root)
        u = np.hstack([q[:, :few] @ self.root.T, q[:, few:] * self.by_group])
        return np.asarray(self.centre + u)

    def invert(self, u: Array) -> Array:
        """Gives q of u, shape (size,)."""
        few, off = len(self.root), u - self.centre
        return np.concatenate([np.linalg.solve(self.root, off[:few]), off[few:] / self.by_group])


def standardize(hyper: Hyperparameters) -> Standardization:
    """Standardize by mode and curvature; not at all where they cannot be found."""
    began = time.monotonic()
    start = guess(hyper)
    plain = np.eye(hyper.few)
    if hyper.sigmas > 1:
        # One residual sd per group: about 1/sqrt(2 df) wide on the log scale, each by itself.
        df = np.maximum(hyper.design.within.df, 1)
        return Standardization(
            np.concatenate([np.zeros(hyper.few), start[hyper.few :]]),
            plain,
            1 / np.sqrt(2 * df + 1),
            "none of mu, tau and beta, beside residual sds by group on the scale of their df",
        )
    none = np.empty(0)
    if hyper.few > _LARGEST:
        why = f"none: of {hyper.few} hyperparameters, more than {_LARGEST}, no mode is looked for"
        return Standardization(np.zeros(hyper.few), plain, none, why)
    unit = np.ones(hyper.size)
    for name in ("mu", "beta"):  # in units of the data; the others are logarithms and the like
        unit[hyper.part(name)] = _coefficient_units(hyper.design)[name]
    density = _densities(hyper, start, unit)
    with np.errstate(all="ignore"):
        found = _mode_and_root(density, hyper.size)
    if found is None:
        why = "none: the posterior's mode or curvature could not be found"
        return Standardization(np.zeros(hyper.few), plain, none, why)
    mode, root = start + unit * found[0], unit[:, None] * found[1]
    efficiency = _efficiency(hyper, mode, root)
    seconds = time.monotonic() - began
    far = "near" if efficiency >= NEAR_NORMAL else "far from"
    reason = (
        f"mode and curvature, found in {seconds:.2f} s; the posterior is {far} normal (efficiency "
        f"{efficiency:.2f} of the Laplace approximation)"
    )
    return Standardization(mode, root, none, reason, True, efficiency)


def guess(hyper: Hyperparameters) -> Array:
    """A rough place to start from: least squares, and shares of the spread that it leaves."""
    d = hyper.design
    u = np.zeros(hyper.size)
    spread = residual_sd(d)
    fit = d.pooled_fit
    if d.residual == "known":
        w = 1 / marginal.known_variance(d)
        fit = np.array([np.sum(w * d.gram[:, 0, -1]) / np.sum(w)])
    u[hyper.part("mu")], u[hyper.part("beta")] = fit[: d.K], fit[d.K :]
    ends = hyper.upper("tau", d.K)
    tau = np.minimum(0.4 * _coefficient_units(d)["mu"], 0.5 * ends)
    u[hyper.part("tau")] = on_the_line(tau, ends)
    if hyper.sigmas:
        ends = hyper.upper("sigma", hyper.sigmas)
        sigma = np.minimum(_own_sds(d) if hyper.sigmas > 1 else 0.8 * spread, 0.5 * ends)
        u[hyper.part("sigma")] = on_the_line(sigma, ends)
    return u


def residual_sd(design: Moments) -> float:
    """Spread of the response about one least-squares fit to all rows; never 0."""
    known = 0.0
    if design.residual == "known":
        known = float(np.mean(marginal.known_variance(design)))
    spread = math.sqrt(design.pooled_rss / design.N + known)
    # Estimates that are all alike are no reason to start tau at 0, where it cannot start.
    return max(spread, 1e-3 * float(design.sds[-1]), 1e-100)


def _coefficient_units(design: Moments) -> dict[str, Array]:
    """The size of each coefficient that would explain the whole spread."""
    d = design
    scale = np.where(d.sds[:-1] > 0, d.sds[:-1], np.where(d.size > 0, d.size, 1))
    unit = residual_sd(d) / scale
    return {"mu": unit[: d.K], "beta": unit[d.K :]}


def _own_sds(design: Moments) -> Array:
    """Residual sd of each group, drawn towards that of all where the group is small."""
    within = design.within
    df = np.maximum(within.df, 0)
    pooled = max(within.rss.sum() / max(df.sum(), 1), (1e-3 * residual_sd(design)) ** 2)
    return np.asarray(np.sqrt((within.rss + 4 * pooled) / (df + 4)))


# ---- the density and its gradient ----------------------------------------------------------------

_Density = Callable[[Array], tuple[float, Array]]


def _densities(hyper: Hyperparameters, start: Array, unit: Array) -> _Density:
    """Log density p(u | y) up to a constant, and its gradient, at u = start + unit x."""
    design = hyper.design
    likelihood = _classes(design) if design.scalar else _groups(design)
    forward = marginal.forward(design)

    def small(u: Array) -> tuple[Array, Array]:
        """(mu, beta, Lambda, sigma^2) of each u, and the log prior with the Jacobian."""
        values = hyper.values(u)
        Lambda = forward @ (values.tau[:, :, None] * values.L_Omega)
        parts = [values.centred, Lambda.reshape(len(u), -1)]
        if values.sigma is not None:
            parts.append(values.sigma**2)
        prior = sum(hyper.log_prior(values).values()) + hyper.log_jacobian(u)
        return np.hstack(parts), np.asarray(prior)

    def density(x: Array) -> tuple[float, Array]:
        # What has no groups in it costs nothing, and is differentiated by differences.
        n = len(x)
        steps = _STEP * np.eye(n)
        natural, prior = small(start + unit * np.vstack([x[None], x + steps, x - steps]))
        jacobian = (natural[1 : n + 1] - natural[n + 1 :]) / (2 * _STEP)
        slope = (prior[1 : n + 1] - prior[n + 1 :]) / (2 * _STEP)
        value, gradient = likelihood(natural[0])
        return value + float(prior[0]), jacobian @ gradient + slope

    return density


def _classes(design: Moments) -> _Density:
    """Log likelihood of (mu, tau, sigma^2), where only the intercept varies.

    Groups of one size share one variance v = tau^2 + sigma^2/n:
    -sum count log v / 2 - sum (ss + count (ybar - mu)^2) / 2v, and what is within groups.
    """
    n, count, ybar, ss = classes(design)
    if design.residual == "known":
        known, inverse_n = marginal.known_variance(design), np.zeros(design.J)
        ss_within, df = 0.0, 0
    else:
        known, inverse_n = np.zeros(len(n)), 1 / n
        ss_within, df = float(design.within.rss.sum()), design.N - design.J

    def likelihood(natural: Array) -> tuple[float, Array]:
        mu, tau = natural[0], natural[1]
        sigma2 = natural[2] if len(natural) > 2 else 1.0
        v = tau**2 + known + sigma2 * inverse_n
        off = ybar - mu
        e = ss + count * off**2
        value = -0.5 * np.sum(count * np.log(v) + e / v)
        value += -0.5 * (df * np.log(sigma2) + ss_within / sigma2)
        by_v = 0.5 * (e / v - count) / v
        gradient = [np.sum(count * off / v), 2 * tau * np.sum(by_v)]
        if len(natural) > 2:
            within = 0.5 * (ss_within / sigma2 - df) / sigma2
            gradient.append(np.sum(by_v * inverse_n) + within)
        return float(value), np.array(gradient)

    return likelihood


def classes(design: Moments) -> tuple[Array, Array, Array, Array]:
    """Groups of one mean each, by size: size, number, mean of their means, squares about it.

    Means are less what centring took off. With a residual sd of its own each group is a class.
    """
    n = design.sizes.astype(np.float64)
    means = design.gram[:, 0, 1] / n
    if design.residual != "common":
        return n, np.ones(design.J), means, np.zeros(design.J)
    size, place, count = np.unique(n, return_inverse=True, return_counts=True)
    mean = np.bincount(place, means) / count
    ss = np.bincount(place, (means - mean[place]) ** 2)
    return size, count.astype(np.float64), np.asarray(mean), np.asarray(ss, dtype=np.float64)


def _groups(design: Moments) -> _Density:
    """Log likelihood of (mu, beta, Lambda, sigma^2) by the groups' turned rows.

    In the terms of :mod:`~hiermodels.marginal`, with s = V^-1 e / sigma^2 and, of the other rows,
    [X, y] weighted to residuals q: d/dmu = sum Z's, d/dbeta = sum X's + X'q / sigma^2,
    d/dLambda = sum (Z's s'Z - Z'V^-1 Z / sigma^2) Lambda,
    d/dsigma^2 = (q'q / sigma^4 + sum s's - (N - J K + sum tr V^-1) / sigma^2) / 2.
    """
    K, P, N, r = design.K, design.P, design.N, design.rotated
    Z = r.rows[:, :, :K]
    across, rest = np.swapaxes(Z, 1, 2), r.rest.sum(axis=0)

    def likelihood(natural: Array) -> tuple[float, Array]:
        centred, Lambda = natural[: K + P], natural[K + P : K + P + K * K].reshape(K, K)
        sigma2 = natural[-1]
        g = r.combination(centred[None])[0]
        e, left = r.rows @ g, rest @ g[K:]
        around = np.eye(K) + Z @ (Lambda @ Lambda.T / sigma2) @ across
        inverse = np.linalg.inv(around)
        s = np.einsum("jab,jb->ja", inverse, e) / sigma2
        squares = float(g[K:] @ left)
        value = -0.5 * (
            N * np.log(sigma2)
            + np.linalg.slogdet(around)[1].sum()
            + squares / sigma2
            + np.sum(e * s)
        )
        d_columns = np.einsum("jka,jk->ja", r.rows, s)
        d_mu = d_columns[:, :K]
        d_beta = d_columns[:, K : K + P].sum(axis=0) + left[:P] / sigma2
        d_covariance = d_mu.T @ d_mu - (across @ inverse @ Z).sum(axis=0) / sigma2
        trace = N - design.J * K + np.trace(inverse, axis1=1, axis2=2).sum()
        d_sigma2 = 0.5 * ((squares / sigma2 - trace) / sigma2 + np.sum(s * s))
        gradient = [d_mu.sum(axis=0), d_beta, (d_covariance @ Lambda).ravel(), [d_sigma2]]
        return float(value), np.concatenate(gradient)

    return likelihood


def _mode_and_root(density: _Density, size: int) -> tuple[Array, Array] | None:
    """The mode, and R with R R' the inverse of minus the Hessian there; None without one."""

    def minus(x: Array) -> tuple[float, Array]:
        value, gradient = density(x)
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            return _WORST, np.zeros_like(x)
        return -value, -gradient

    options = {"maxiter": 300, "gtol": 1e-3}
    # SciPy's types, where they are installed, want no jac=True beside a plain array.
    minimize: Any = optimize.minimize
    found = minimize(minus, np.zeros(size), jac=True, method="BFGS", options=options)
    mode = np.asarray(found.x)
    if not np.isfinite(mode).all() or found.fun >= _WORST:
        return None
    # Steps of a tenth of what BFGS takes for the standard deviations: small beside the posterior.
    rows = []
    for k, width in enumerate(np.sqrt(np.clip(np.diag(found.hess_inv), 1e-12, 1.0))):
        away = np.zeros(size)
        away[k] = 0.1 * width
        rows.append((density(mode - away)[1] - density(mode + away)[1]) / (2 * away[k]))
    H = (np.array(rows) + np.array(rows).T) / 2
    try:
        np.linalg.cholesky(H)  # refuses what is not positive definite
        covariance = np.linalg.inv(H)
        root = np.linalg.cholesky((covariance + covariance.T) / 2)
    except np.linalg.LinAlgError:
        return None
    # BFGS stops a little before the mode: Newton's last step, which is small where all is well.
    step = covariance @ density(mode)[1]
    if not math.sqrt(step @ H @ step) < 1:
        return None
    return mode + step, np.asarray(root, dtype=np.float64)


def log_posterior(hyper: Hyperparameters, u: Array) -> Array:
    """Log p(u, y) of D sets of hyperparameters, with all constants, shape (D,).

    Group effects integrated out; the prior of the correlations is that of their Cholesky factor.
    """
    d = hyper.design
    with np.errstate(all="ignore"):
        values = hyper.values(u)
        prior = sum(hyper.log_prior(values).values()) + hyper.log_jacobian(u)
        if d.scalar and d.residual != "group":
            out = prior + _by_class(d, values)
        else:
            p = marginal.population(d, values.centred, values.tau, values.L_Omega, values.sigma)
            one = d.scalar
            out = prior + (by_group(d, p).sum(1) if one else marginal.total_log_likelihood(d, p))
    return np.where(np.isfinite(out), out, -np.inf)


def by_group(design: Moments, p: marginal.Population) -> Array:
    """Log density of each group's rows where only the intercept varies, shape (D, J).

    That of marginal.log_likelihood, without its difference of large squares.
    """
    n = design.sizes.astype(np.float64)
    ybar, ssw = design.gram[:, 0, 1] / n, design.within.rss
    out = np.empty((len(p), design.J))

    def work(rows: slice) -> None:
        part = p[rows]
        v = part.Lambda[:, 0] ** 2 + part.variance / n
        half = n * _LOG_2PI + np.log(v) + (ybar - part.centred[:, :1]) ** 2 / v
        out[rows] = half + (n - 1) * np.log(part.variance) + np.log(n) + ssw / part.variance

    marginal.side_by_side(work, design.J, len(p))
    return np.asarray(-0.5 * out)


def _by_class(design: Moments, values: Values) -> Array:
    """Log likelihood where only the intercept varies, with all constants, shape (D,).

    -(J log 2 pi + sum count log v + sum (ss + count (ybar - mu)^2) / v) / 2, and within groups
    -((N - J) log(2 pi sigma^2) + sum log n_j + SSW / sigma^2) / 2: as many terms as there are sizes
    of groups, for any number of groups.
    """
    n, count, ybar, ss = classes(design)
    tau, mu = values.tau, values.centred[:, :1]
    if values.sigma is None:
        v, within = tau**2 + marginal.known_variance(design), np.zeros(len(tau))
    else:
        s2 = values.sigma**2
        v = tau**2 + s2 / n
        ssw, df = design.within.rss.sum(), design.N - design.J
        within = df * (_LOG_2PI + np.log(s2[:, 0])) + count @ np.log(n) + ssw / s2[:, 0]
    between = (
        design.J * _LOG_2PI + np.log(v) @ count + np.sum((ss + count * (ybar - mu) ** 2) / v, 1)
    )
    return np.asarray(-0.5 * (between + within))


def _efficiency(hyper: Hyperparameters, mode: Array, root: Array) -> float:
    """Effective share of weighted draws from the Laplace approximation."""
    draws = int(np.clip(_EFFICIENCY_NUMBERS // hyper.design.J, 64, 512))
    q = np.random.default_rng(1).standard_normal((draws, len(mode)))
    log_w = log_posterior(hyper, mode + q @ root.T) + 0.5 * np.sum(q**2, axis=1)
    return effective_share(log_w)


def effective_share(log_w: Array) -> float:
    """Effective share of weighted draws: (sum w)^2 / (n sum w^2), 0 where no weight is finite.

    (Kong, Liu and Wong 1994, Journal of the American Statistical Association 89, section 4.1.)
    """
    if not np.isfinite(log_w.max()):
        return 0.0
    w = np.exp(log_w - log_w.max())
    return float(w.sum() ** 2 / (len(w) * np.sum(w**2)))
