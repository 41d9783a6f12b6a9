"""Independent draws of hyperparameters without a Markov chain, where there is no quadrature.

The marginal posterior of the hyperparameters, group effects integrated out, is known up to a
constant (:func:`hiermodels.laplace.log_posterior`) and near normal on its unconstrained scale.
Draws from a multivariate t at its mode, or from a mixture of such where that is not near enough
(:mod:`~hiermodels.proposals`), are accepted with probability w / max w, where w is the posterior
over the proposal (rejection sampling: Gelman et al., Bayesian Data Analysis, 3rd ed., section 10.3;
the bound is the largest weight seen: Caffo, Booth and Davis 2002, Biometrika 89, 745-754), or,
where that is seldom, resampled from a larger number. The weights are the certificate: their
effective share, and their Pareto k.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .errors import ExactError
from .hyperparameters import Hyperparameters
from .inference_data import pareto_k
from .laplace import Standardization, effective_share, log_posterior
from .proposals import Bend, Proposal, fitted, straight

__all__ = ["Independent", "draw"]

Array = NDArray[np.float64]

K_LIMIT = 0.7
"""Pareto k above which weights are not to be relied upon (Vehtari et al. 2024)."""
LEAST_EFFICIENCY = 0.05
"""Effective share below which the proposal is too far from the posterior."""

_PILOT = 4000
_GOOD = 0.6  # effective share with which the first proposal is left as it is
_SELDOM = 0.05  # share of accepted proposals below which a better one is looked for
_ROUNDS = 4  # of adaptation
_POOL = 10  # effective proposals for each draw, where they are resampled


@dataclass(frozen=True)
class Independent:
    """Independent draws and what they are worth.

    Attributes
    ----------
    u : array, shape (draws, size)
        Hyperparameters on the unconstrained scale.
    method : {"rejection", "resampling"}
        Resampling where too few proposals would be accepted.
    efficiency : float
        Effective share of the weighted proposals, 1 at best.
    pareto_k : float
        Of the weights; below 0.5 all is well, above 0.7 nothing is.
    acceptance : float
        Share of the proposals that rejection accepts: mean of the weights over the largest.
    proposals : int
    log_evidence, log_evidence_error : float
        Log of the mean weight, an estimate of log p(y), and its standard error.
    """

    u: Array
    method: str
    efficiency: float
    pareto_k: float
    acceptance: float
    proposals: int
    log_evidence: float
    log_evidence_error: float


def draw(
    hyper: Hyperparameters, standard: Standardization, draws: int, rng: np.random.Generator
) -> Independent:
    """Draw independently from the marginal posterior of the hyperparameters.

    Parameters
    ----------
    hyper : Hyperparameters
    standard : Standardization
        Mode and curvature.
    draws : int
    rng : numpy.random.Generator

    Raises
    ------
    ExactError
        There is no mode, or the posterior is too far from the proposal.
    """
    if not standard.found:
        raise ExactError(f"no independent draws: {standard.reason}; use engine='nuts'")
    proposal, u, log_w = _adapted(hyper, standard, rng)
    _refuse_far(log_w)
    while True:
        share = _accepted_share(log_w)
        rejects = share >= _SELDOM / 5
        # Without rejection: so many that those which are drawn are few of those that count.
        wanted = draws / share if rejects else _POOL * draws / effective_share(log_w)
        missing = math.ceil(1.05 * wanted) - len(log_w)
        if missing <= 0:
            chosen = _reject(log_w, draws, rng) if rejects else _resample(log_w, draws, rng)
            if len(chosen) == draws:
                break
            missing = math.ceil(0.1 * wanted)
        new, added = _weighted(hyper, proposal, rng, min(missing, 4 * len(log_w)))
        u, log_w = np.vstack([u, new]), np.append(log_w, added)
        _refuse_far(log_w)
    top = log_w.max()
    w = np.exp(log_w - top)
    return Independent(
        u=u[chosen],
        method="rejection" if rejects else "resampling",
        efficiency=effective_share(log_w),
        pareto_k=_pareto_k(log_w),
        acceptance=share,
        proposals=len(log_w),
        log_evidence=float(top + math.log(w.mean())),
        log_evidence_error=float(w.std() / w.mean() / math.sqrt(len(w))),
    )


def _reject(log_w: Array, draws: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Places of accepted proposals: each with probability w / max w; at most so many."""
    accepted = np.log(rng.random(len(log_w))) < log_w - log_w.max()
    return np.flatnonzero(accepted)[:draws]


def _resample(log_w: Array, draws: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Places of resampled proposals, none of them twice.

    (Sampling-importance-resampling without replacement: Gelman et al., Bayesian Data Analysis, 3rd
    ed., section 10.4. Weights are truncated at sqrt(n) times their mean: Ionides 2008.)
    """
    w = np.exp(log_w - log_w.max())
    w = np.minimum(w, w.mean() * math.sqrt(len(w)))
    return rng.choice(len(w), draws, replace=False, p=w / w.sum())


def _adapted(
    hyper: Hyperparameters, standard: Standardization, rng: np.random.Generator
) -> tuple[Proposal, Array, Array]:
    """A proposal, and the points and log weights of its pilot sample."""
    best = straight(standard.centre, standard.root)
    u, log_w = _weighted(hyper, best, rng, _PILOT)
    if effective_share(log_w) >= _GOOD and _accepted_share(log_w) >= _SELDOM:
        return best, u, log_w
    found = (best, u, log_w)
    bend = None
    for _ in range(_ROUNDS):
        if effective_share(log_w) * len(u) < len(u[0]):  # nothing to go by
            break
        bend = _bend(hyper, u, log_w) if bend is None else bend
        proposal = fitted(bend, u, log_w, rng)
        if proposal is None:
            break
        u, log_w = _weighted(hyper, proposal, rng, _PILOT)
        if _accepted_share(log_w) > _accepted_share(found[2]):
            found = (proposal, u, log_w)
    return found


def _weighted(
    hyper: Hyperparameters, proposal: Proposal, rng: np.random.Generator, n: int
) -> tuple[Array, Array]:
    u, log_q = proposal.draw(rng, n)
    return u, log_posterior(hyper, u) - log_q


def _accepted_share(log_w: Array) -> float:
    """Mean of the weights over the largest."""
    return float(np.exp(log_w - log_w.max()).mean())


def _bend(hyper: Hyperparameters, u: Array, log_w: Array) -> Bend:
    """Bend the tails of tau towards 0, and those of the correlations on both sides."""
    w = np.exp(log_w - log_w.max())
    order = np.argsort(u, axis=0)
    below = np.cumsum(w[order], axis=0) / w.sum()
    sorted_u = np.take_along_axis(u, order, axis=0)
    columns = np.arange(u.shape[1])
    low, middle, high = (
        sorted_u[np.argmax(below >= q, axis=0), columns] for q in (0.16, 0.5, 0.84)
    )
    left = np.zeros(u.shape[1], dtype=bool)
    right = left.copy()
    left[hyper.part("tau")] = left[hyper.part("Omega")] = right[hyper.part("Omega")] = True
    # A standard deviation with an upper end is on the logistic scale: two such tails.
    right[hyper.part("tau")] = np.isfinite(hyper.upper("tau", hyper.design.K))
    # The side that is not bent gives the scale.
    width = np.where(right | ~left, (high - low) / 2, high - middle)
    return Bend(middle, np.maximum(width, 1e-6), left, right)


def _pareto_k(log_w: Array) -> float:
    finite = log_w[np.isfinite(log_w)]
    return pareto_k(finite - finite.max()) if len(finite) > 100 else math.inf


def _refuse_far(log_w: Array) -> None:
    """Refuse weights that cannot be relied upon."""
    efficiency, k = effective_share(log_w), _pareto_k(log_w)
    if efficiency < LEAST_EFFICIENCY or not k <= K_LIMIT:
        raise ExactError(
            "the posterior is too far from the t distributions that stand for it to draw from it "
            f"independently (efficiency {efficiency:.3f} of the importance weights, Pareto k "
            f"{k:.2f}; wanted at least {LEAST_EFFICIENCY} and at most {K_LIMIT}); use engine='nuts'"
        )
