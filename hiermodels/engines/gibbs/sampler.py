"""Gibbs samplers of one-way random effects, full conditional by full conditional, in NumPy.

::

    y_ij ~ N(theta_j, sigma),   theta_j ~ N(mu, tau),   i = 1..n_j,  j = 1..J

Given all others, each parameter has a distribution that can be drawn from: theta and mu a normal,
sigma^2 and tau^2 an inverse-gamma, their precisions a gamma (Gelman et al., Bayesian Data
Analysis, 3rd ed., section 11.6; Hoff 2009, A First Course in Bayesian Statistical Methods, section
8.3). Each is a function here, and :func:`step` draws from them in turn::

    model = hm.OneWay(frame, y="y", group="group", priors=hm.gibbs.reference())
    data, rng = hm.gibbs.Data.of(model), np.random.default_rng(1)
    state = hm.gibbs.starts(data, chains=4, rng=rng)
    hm.gibbs.mu_given(state.theta, state.tau2, model.priors["mu"])   # mean and sd of a normal
    state = hm.gibbs.step(state, data, model.priors, rng)            # one sweep

Chains, or anything else, are leading dims (written ...) of the parameters: all advance at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ...errors import PriorError, SamplingError, listed, option
from ...priors import distributions as families
from ...priors.distributions import Prior
from ...system import progress as bars
from ..settings import Settings
from .conditionals import (
    Data,
    check_prior,
    mu_given,
    sigma2_given,
    sigma_precision_given,
    tau2_given,
    tau_precision_given,
    theta_given,
)

if TYPE_CHECKING:
    from ...families.family import Specification

__all__ = [
    "Data",
    "Sampled",
    "State",
    "mu_given",
    "reference",
    "sample",
    "semiconjugate",
    "sigma2_given",
    "sigma_precision_given",
    "starts",
    "step",
    "tau2_given",
    "tau_precision_given",
    "theta_given",
]

Array = NDArray[np.float64]

_STREAM = 5  # of a seed; smaller numbers are the streams of other engines and of new data


# ---- priors --------------------------------------------------------------------------------------


def reference() -> dict[str, Prior]:
    """Flat mu, p(sigma^2) ∝ 1/sigma^2, flat tau: the priors of BDA3, section 11.6.

    Returns
    -------
    dict of str to Prior
        For ``OneWay(priors=...)``.
    """
    return {"mu": families.Flat(), "tau": families.Flat(), "sigma": families.LogFlat()}


def semiconjugate(
    mu0: float,
    gamma0_2: float,
    nu0: float,
    sigma0_2: float,
    eta0: float,
    tau0_2: float,
    *,
    precisions: bool = False,
) -> dict[str, Prior]:
    """The semi-conjugate priors (Hoff 2009, section 8.3).

    ::

        mu ~ N(mu_0, gamma_0)
        sigma^2 ~ inverse-gamma(nu_0/2, nu_0 sigma_0^2/2)
        tau^2 ~ inverse-gamma(eta_0/2, eta_0 tau_0^2/2)

    Parameters
    ----------
    mu0, gamma0_2 : float
        Prior mean and variance of mu.
    nu0, sigma0_2 : float
        Prior observations, and their variance, within groups.
    eta0, tau0_2 : float
        Prior groups, and the variance between them.
    precisions : bool
        Write the last two for 1/sigma^2 and 1/tau^2, as gammas of the same numbers: the same
        prior, and a sampler that draws precisions.

    Returns
    -------
    dict of str to Prior
        For ``OneWay(priors=...)``.

    Raises
    ------
    PriorError
        A number other than ``mu0`` that is not above 0.
    """
    given = {"gamma0_2": gamma0_2, "nu0": nu0, "sigma0_2": sigma0_2, "eta0": eta0, "tau0_2": tau0_2}
    for name, value in given.items():
        if not isinstance(value, (int, float, np.number)) or not value > 0:
            raise PriorError(
                f"semiconjugate: {name} must be a number above 0, got {value!r}; for no prior "
                "information take hm.gibbs.reference()"
            )
    family = families.GammaPrecision if precisions else families.InverseGamma
    return {
        "mu": families.Normal(mu0, gamma0_2**0.5),
        "tau": family(eta0 / 2, eta0 * tau0_2 / 2),
        "sigma": family(nu0 / 2, nu0 * sigma0_2 / 2),
    }


# ---- the sampler ---------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class State:
    """Where the chains are.

    Attributes
    ----------
    mu, tau2, sigma2 : array, shape (...)
        Population mean; variance between groups; variance within groups.
    theta : array, shape (..., J)
        Group means.
    """

    mu: Array
    tau2: Array
    sigma2: Array
    theta: Array

    @property
    def tau(self) -> Array:
        """Standard deviation between groups."""
        return np.sqrt(self.tau2)

    @property
    def sigma(self) -> Array:
        """Standard deviation within groups."""
        return np.sqrt(self.sigma2)

    def __repr__(self) -> str:
        chains, groups = np.size(self.mu), np.shape(self.theta)[-1]
        said = (f"{name} {_few(getattr(self, name))}" for name in ("mu", "tau", "sigma"))
        return f"State of {chains} chain{'s' * (chains != 1)}, {groups} groups: {'; '.join(said)}"


@dataclass(frozen=True, eq=False, repr=False)
class Sampled:
    """What a run gives.

    Attributes
    ----------
    draws, warmup : dict of str to array
        ``mu``, ``tau`` and ``sigma``, shape (chains, iterations), and ``theta``, shape
        (chains, iterations, J), where it was kept; ``warmup`` is what came before ``draws``.
    starts : State
        Where the chains started, shape (chains,).
    """

    draws: dict[str, Array]
    warmup: dict[str, Array]
    starts: State

    def __repr__(self) -> str:
        chains, draws = self.draws["mu"].shape
        warmup = self.warmup["mu"].shape[1]
        said = (f"{n} of {v.shape[2]} groups" if v.ndim > 2 else n for n, v in self.draws.items())
        kept = f", {warmup} of warmup" if warmup else ""
        return f"Sampled {chains} x {draws} draws{kept}: {', '.join(said)}"


def _few(x: Array, most: int = 4) -> str:
    """The first of some numbers, to four digits."""
    values = np.ravel(x)
    shown = ", ".join(f"{v:.4g}" for v in values[:most])
    return f"{shown}, ..." if len(values) > most else shown


def step(state: State, data: Data, priors: Mapping[str, Any], rng: np.random.Generator) -> State:
    """One sweep: draws theta, mu, tau^2 and sigma^2 in turn, each given the newest others.

    A variance is drawn as an inverse-gamma where its prior is written for variances
    (``InverseGamma``), and else as one over a gamma draw of the precision.

    Parameters
    ----------
    state : State
        Where the chains are. The old theta is not used: it is drawn first.
    data : Data
    priors : mapping of str to Prior
        Of ``mu``, ``tau`` and ``sigma``: ``model.priors``.
    rng : Generator

    Returns
    -------
    State
        A new one; the old one is not touched.

    Raises
    ------
    PriorError
        A prior whose full conditional is not in this module, or a missing prior.
    """
    missing = [name for name in ("mu", "tau", "sigma") if name not in priors]
    if missing:
        raise PriorError(
            f"step needs a prior of mu, tau and sigma each, and there is none of "
            f"{listed(missing)}; model.priors has all, and so has hm.gibbs.reference()"
        )
    theta = theta_given(state.mu, state.tau2, state.sigma2, data).draw(rng)
    mu = mu_given(theta, state.tau2, priors["mu"]).draw(rng)
    if isinstance(priors["tau"], families.InverseGamma):
        tau2 = tau2_given(theta, mu, priors["tau"]).draw(rng)
    else:
        tau2 = 1 / tau_precision_given(theta, mu, priors["tau"]).draw(rng)
    if isinstance(priors["sigma"], families.InverseGamma):
        sigma2 = sigma2_given(theta, data, priors["sigma"]).draw(rng)
    else:
        sigma2 = 1 / sigma_precision_given(theta, data, priors["sigma"]).draw(rng)
    return State(mu, tau2, sigma2, theta)


def starts(data: Data, chains: int, rng: np.random.Generator) -> State:
    """Where chains start: far apart, so that R-hat can see whether they have come together.

    With m the mean and s the standard deviation of all rows, mu = m + s z with z standard normal,
    tau from s/20 to 2 s and sigma from s/3 to 3 s, uniform on the logarithm; theta is drawn from
    its full conditional. Each of the three is spread evenly over the chains: chain c has one of the
    C equal parts of its range, in random order (a Latin hypercube; McKay, Beckman and Conover 1979,
    Technometrics 21, section 2.1).

    Parameters
    ----------
    data : Data
        Of one data set: ``ybar`` of shape (J,).
    chains : int
        Number of chains C.
    rng : Generator

    Returns
    -------
    State
        Of shape (C,), theta of shape (C, J).
    """
    m = data.n @ data.ybar / data.N
    s = np.sqrt((data.ssw + data.n @ (data.ybar - m) ** 2) / data.N)
    place = rng.permuted(np.tile(np.arange(chains), (3, 1)), axis=1) + rng.random((3, chains))
    place /= chains
    mu = m + s * special.ndtri(place[0])
    tau2 = (s / 20 * 40 ** place[1]) ** 2
    sigma2 = (s / 3 * 9 ** place[2]) ** 2
    return State(mu, tau2, sigma2, theta_given(mu, tau2, sigma2, data).draw(rng))


def sample(
    model: Specification,
    *,
    chains: int = 4,
    draws: int = 1000,
    warmup: int = 1000,
    seed: int = 0,
    progress: bool | None = None,
    keep_theta: bool = True,
    keep_warmup: bool = True,
) -> Sampled:
    """Draw from the posterior of a one-way model, all chains at once.

    The chains go from :func:`starts` by :func:`step`, on the response less its mean, so that a
    large mean costs no digits.

    Parameters
    ----------
    model : OneWay
        With partial pooling, one sigma for all rows, and for mu a ``Normal`` or ``Flat`` prior, for
        tau and sigma ``InverseGamma``, ``GammaPrecision``, ``LogFlat`` (sigma only) or ``Flat``,
        in any mix. The rows are not needed: their sufficient statistics are enough.
    chains, draws, warmup : int
        Chains; draws kept of each; sweeps before them.
    seed : int
        0 to 2^31 - 1. The same seed gives the same draws.
    progress : bool, optional
        Show a bar; by default in a terminal and in a notebook.
    keep_theta : bool
        Whether ``theta`` is kept, which takes 8 bytes x chains x (draws + warmup) x J.
    keep_warmup : bool
        Whether the warmup is kept.

    Returns
    -------
    Sampled

    Raises
    ------
    OptionError
        Not a model, another class, pooling strategy or residual sd, or a number out of range.
    PriorError
        A prior whose full conditional is not in this module.
    SamplingError
        A chain left the range of floating-point numbers.
    """
    Settings(chains=chains, draws=draws, warmup=warmup, seed=seed)  # refuses what is out of range
    Data.of(model)  # refuses what is not such a model, before its design is looked at
    about = float(model.design.offset[-1])
    data = Data.of(model, about=about)
    for name in ("mu", "tau", "sigma"):
        check_prior(name, model.priors[name])
    priors = dict(model.priors)
    if isinstance(priors["mu"], families.Normal):
        priors["mu"] = families.Normal(priors["mu"].mean - about, priors["mu"].sd)

    rng = np.random.default_rng(np.random.SeedSequence([seed, _STREAM]))
    state = first = starts(data, chains, rng)
    J = data.J if keep_theta else 0
    kept = _room(chains, warmup if keep_warmup else 0, J), _room(chains, draws, J)
    with bars.bar(warmup + draws, f"{chains} Gibbs chains", progress=progress) as bar:
        for room, sweeps in zip(kept, (warmup, draws), strict=True):
            for t in range(sweeps):
                state = step(state, data, priors, rng)
                for name, values in room.items():
                    if values.shape[1]:
                        values[:, t] = getattr(state, name)
                bar.update()
    warm, drawn = (_finished(model, room, about) for room in kept)
    return Sampled(drawn, warm, replace(first, mu=first.mu + about, theta=first.theta + about))


def _room(chains: int, iterations: int, J: int) -> dict[str, Array]:
    """Empty arrays for the draws of a state."""
    room = {name: np.empty((chains, iterations)) for name in ("mu", "tau2", "sigma2")}
    if J:
        room["theta"] = np.empty((chains, iterations, J))
    return room


def _finished(model: Specification, room: dict[str, Array], about: float) -> dict[str, Array]:
    """Draws of states as draws of the model's parameters: sds, and means in the raw units."""
    out = {"mu": room["mu"], "tau": np.sqrt(room["tau2"]), "sigma": np.sqrt(room["sigma2"])}
    for name, values in out.items():
        if not (np.isfinite(values).all() and (name == "mu" or (values > 0).all())):
            raise SamplingError(
                f"{name}: every draw must be finite, and an sd above 0, got one that is not; "
                f"measure {model.design.response!r} in other units, or use "
                + option("engine", "nuts")
            )
    if "theta" in room:
        out["theta"] = room["theta"]
    for name in {"mu", "theta"} & out.keys():
        out[name] += about
    return out
