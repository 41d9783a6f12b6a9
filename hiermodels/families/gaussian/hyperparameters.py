"""The hyperparameters of a partially pooled model on the whole line, and back.

u = (mu, log tau, correlations, beta, log sigma): mu and beta are the coefficients of the centred
columns, a standard deviation with an upper end b is b / (1 + exp(-u)), and the correlations are
canonical partial ones, tanh(u). ``stan_models/marginal.stanfunctions`` has the same in Stan.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import OptionError
from ...priors.blocks import Priors
from ...priors.distributions import Uniform
from .moments import Moments

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Values:
    """D values of the hyperparameters.

    Attributes
    ----------
    centred : array, shape (D, K + P)
        Population means mu and common coefficients beta of the centred columns.
    raw : array, shape (D, K + P)
        The same in the model's own coordinates, of columns less the origin: priors are of these.
    tau : array, shape (D, K)
        Population standard deviations.
    L_Omega : array, shape (D, K, K)
        Cholesky factor of the correlations.
    sigma : array, shape (D, 1) or (D, J), or None
        Residual sds; None where the standard errors are known.
    """

    centred: Array
    raw: Array
    tau: Array
    L_Omega: Array
    sigma: Array | None


@dataclass(frozen=True)
class Hyperparameters:
    """Layout of u, its transformations, and the prior of what it stands for."""

    design: Moments
    priors: Priors

    @property
    def correlations(self) -> int:
        """Number of correlations, K (K - 1) / 2."""
        return self.design.K * (self.design.K - 1) // 2

    @property
    def sigmas(self) -> int:
        """Number of residual sds: 0 where they are known, 1, or J."""
        residual = self.design.residual
        return {"known": 0, "common": 1, "group": self.design.J}[residual]

    @property
    def size(self) -> int:
        """Numbers in u."""
        return self.few + (self.sigmas if self.sigmas > 1 else 0)

    @property
    def few(self) -> int:
        """Number of hyperparameters that do not vary by group."""
        d = self.design
        return 2 * d.K + self.correlations + d.P + (self.sigmas == 1)

    @cached_property
    def _parts(self) -> dict[str, slice]:
        d, start, out = self.design, 0, {}
        for name, n in (
            ("mu", d.K),
            ("tau", d.K),
            ("Omega", self.correlations),
            ("beta", d.P),
            ("sigma", self.sigmas),
        ):
            out[name] = slice(start, start + n)
            start += n
        return out

    def part(self, name: str) -> slice:
        """Where a block stands in u."""
        return self._parts[name]

    def upper(self, block: str, n: int) -> Array:
        """Upper ends of a block of standard deviations, infinite without one, shape (n,)."""
        return upper_ends(self.priors, block, n)

    # ---- u -> values -------------------------------------------------------------------------

    def values(self, u: Array) -> Values:
        """The hyperparameters at u, shape (D, size)."""
        d = self.design
        centred = np.hstack([u[:, self.part("mu")], u[:, self.part("beta")]])
        shift, back = d.back
        sigma = None
        if self.sigmas:
            sigma = positive(u[:, self.part("sigma")], self.upper("sigma", self.sigmas))
        return Values(
            centred=centred,
            raw=shift + centred @ back.T,
            tau=positive(u[:, self.part("tau")], self.upper("tau", d.K)),
            L_Omega=_cholesky(u[:, self.part("Omega")], d.K),
            sigma=sigma,
        )

    def log_prior(self, values: Values) -> dict[str, Array]:
        """Log prior of each block, shape (D,); Omega's is that of its Cholesky factor."""
        K = self.design.K
        at: dict[str, Array | None] = {
            "mu": values.raw[:, :K],
            "tau": values.tau,
            "Omega": values.L_Omega,
            "beta": values.raw[:, K:],
            "sigma": values.sigma,
        }
        out = {}
        for name in self.priors:
            x, priors = at[name], self.priors.as_list(name)
            assert x is not None  # noqa: S101 - a block with a prior has values
            if name == "Omega":
                out[name] = priors[0].log_density(x)
            elif len(priors) == 1:  # one prior for all elements
                out[name] = priors[0].log_density(x).sum(axis=1)
            else:
                columns = [p.log_density(x[:, k]) for k, p in enumerate(priors)]
                out[name] = np.sum(columns, axis=0)
        return out

    def log_jacobian(self, u: Array) -> Array:
        """Log of |d(tau, L_Omega, sigma) / du|, shape (D,)."""
        out = log_positive_jacobian(u[:, self.part("tau")], self.upper("tau", self.design.K))
        out = out + _log_cholesky_jacobian(u[:, self.part("Omega")], self.design.K)
        if self.sigmas:
            ends = self.upper("sigma", self.sigmas)
            out = out + log_positive_jacobian(u[:, self.part("sigma")], ends)
        return np.asarray(out)

    def scale(self, block: str, u: Array) -> Array:
        """Values, at u, of a block that is one standard deviation; shape (D,)."""
        return positive(u, self.upper(block, 1))

    def log_scale_jacobian(self, block: str, u: Array) -> Array:
        """Log of |d scale / du| of a block that is one standard deviation, shape (D,)."""
        return log_positive_jacobian(u[:, None], self.upper(block, 1))

    # ---- values -> u -------------------------------------------------------------------------

    def from_container(self, u: Array, given: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters as they are in the container -> as the model has them, of :meth:`place`.

        Parameters
        ----------
        u : array, shape (size,)
            Where those stay that are not given.
        given : mapping of str to number or array
            ``mu``, ``tau``, ``Omega`` or ``L_Omega``, ``beta``, ``sigma``.

        Raises
        ------
        OptionError
            A value has the wrong shape or is not possible.
        """
        d, origin = self.design, self.design.origin
        if not origin.moves:
            return dict(given)
        if "tau" in given:
            _above_0("tau", _shaped("tau", given, d.K, np.ones(d.K)), np.full(d.K, np.inf))
        at = self.values(u[None])
        now = {"mu": at.raw[0, : d.K], "beta": at.raw[0, d.K :]}
        pairs = [("mu", d.K), ("beta", d.P)]
        if {"tau", "Omega", "L_Omega"} & set(given):
            now |= {"tau": at.tau[0], "L_Omega": at.L_Omega[0]}
            pairs.append(("tau", d.K))
        now = origin.to_zero(now)
        now |= {name: _shaped(name, given, n, now[name]) for name, n in pairs}
        if {"Omega", "L_Omega"} & set(given):
            now["L_Omega"] = _factor(given, d.K)
        now = origin.from_zero(now)
        return {**{n: x for n, x in given.items() if n not in ("Omega", "L_Omega")}, **now}

    def place(self, u: Array, given: Mapping[str, Any]) -> Array:
        """Put the parameters that are given in their places in u.

        Parameters
        ----------
        u : array, shape (size,)
            Where those stay that are not given.
        given : mapping of str to number or array
            ``mu``, ``tau``, ``Omega`` or ``L_Omega``, ``beta``, ``sigma``, in the model's
            coordinates.

        Raises
        ------
        OptionError
            A value has the wrong shape or is not possible.
        """
        d, u = self.design, u.copy()
        raw = self.values(u[None]).raw[0]
        raw[: d.K] = _shaped("mu", given, d.K, raw[: d.K])
        raw[d.K :] = _shaped("beta", given, d.P, raw[d.K :])
        shift, back = d.back
        centred = np.linalg.solve(back, raw - shift)
        if "mu" in given or "beta" in given:
            u[self.part("mu")], u[self.part("beta")] = centred[: d.K], centred[d.K :]
        for name, n in (("tau", d.K), ("sigma", self.sigmas)):
            if name in given and n:
                ends = self.upper(name, n)
                x = _shaped(name, given, n, np.ones(n))
                _above_0(name, x, ends)
                u[self.part(name)] = on_the_line(x, ends)
        if "L_Omega" in given or "Omega" in given:
            u[self.part("Omega")] = _partial(_factor(given, d.K))
        return u


def _above_0(name: str, x: Array, ends: Array) -> None:
    if not np.all((x > 0) & (x < ends)):
        raise OptionError(f"inits: {name} must be above 0 and in its support, got {x}")


def _shaped(name: str, given: Mapping[str, Any], n: int, default: Array) -> Array:
    if name not in given:
        return default
    values = np.atleast_1d(np.asarray(given[name], dtype=np.float64))
    if values.shape not in ((n,), (1,)) or not np.isfinite(values).all():
        raise OptionError(f"inits: {name} must be {n} finite numbers, got {given[name]!r}")
    return np.broadcast_to(values, (n,))


def _factor(given: Mapping[str, Any], K: int) -> Array:
    name = "L_Omega" if "L_Omega" in given else "Omega"
    matrix = np.asarray(given[name], dtype=np.float64)
    try:
        if matrix.shape != (K, K):
            raise np.linalg.LinAlgError
        Omega = matrix @ matrix.T if name == "L_Omega" else matrix
        if not np.allclose(np.diag(Omega), 1):
            raise np.linalg.LinAlgError
        return np.asarray(np.linalg.cholesky(Omega))
    except np.linalg.LinAlgError:
        raise OptionError(
            f"inits: {name} must be that of a {K} x {K} correlation matrix, got {given[name]!r}"
        ) from None


# ---- one block at a time -------------------------------------------------------------------------


def upper_ends(priors: Priors, block: str, n: int) -> Array:
    """Upper ends of a block of n standard deviations, infinite without one, shape (n,)."""
    ends = [p.upper if isinstance(p, Uniform) else math.inf for p in priors.as_list(block)]
    return np.broadcast_to(np.array(ends), (n,))


def on_the_line(x: Array, upper: Array) -> Array:
    """Standard deviations with upper ends, infinite without one, on the whole line."""
    infinite = np.isinf(upper)
    rest = np.where(infinite, 1.0, np.where(infinite, 2 * x, upper) - x)
    return np.asarray(np.log(x) - np.log(rest))


def positive(u: Array, upper: Array) -> Array:
    """Standard deviations, elementwise, from the whole line; undoes :func:`on_the_line`."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(np.where(np.isinf(upper), np.exp(u), upper / (1 + np.exp(-u))))


def log_positive_jacobian(u: Array, upper: Array) -> Array:
    """Log of the product of |d positive(u) / du| over each row, shape (D,)."""
    # log of b e^-u / (1 + e^-u)^2, or of e^u
    with np.errstate(invalid="ignore"):
        bounded = np.log(upper) - np.logaddexp(0, u) - np.logaddexp(0, -u)
    return np.asarray(np.where(np.isinf(upper), u, bounded).sum(axis=1))


def _cholesky(u: Array, K: int) -> Array:
    """Cholesky factor, shape (D, K, K), of canonical partial correlations tanh(u)."""
    L = np.zeros((len(u), K, K))
    place = 0
    for i in range(K):
        left = np.ones(len(u))
        for j in range(i):
            z = np.tanh(u[:, place])
            L[:, i, j] = z * np.sqrt(left)
            left = left * (1 - z**2)
            place += 1
        L[:, i, i] = np.sqrt(left)
    return L


def _log_cholesky_jacobian(u: Array, K: int) -> Array:
    out = np.zeros(len(u))
    place = 0
    for i in range(K):
        log_left = np.zeros(len(u))
        for _ in range(i):
            # log(1 - tanh(u)^2), also where tanh(u) rounds to 1
            rest = 2 * (math.log(2) - np.logaddexp(u[:, place], -u[:, place]))
            out += rest + 0.5 * log_left
            log_left += rest
            place += 1
    return out


def _partial(L: Array) -> Array:
    """Canonical partial correlations, as arctanh, of a Cholesky factor, shape (K, K)."""
    out = []
    for i in range(len(L)):
        left = 1.0
        for j in range(i):
            z = L[i, j] / math.sqrt(left)
            out.append(math.atanh(z))
            left *= 1 - z**2
    return np.array(out)
