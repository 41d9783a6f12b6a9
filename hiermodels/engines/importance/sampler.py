"""Independent draws of hyperparameters without a Markov chain, where there is no quadrature.

The marginal posterior of the hyperparameters, group effects and, where they can be, mu and beta
integrated out (:mod:`~hiermodels.engines.importance.targets`), is known up to a constant. A mixture
of t distributions is fitted to it (:mod:`~hiermodels.engines.importance.proposals`), and fresh
draws from that are accepted with probability w / max w, where w is the posterior over the proposal
(rejection sampling: Gelman et al., Bayesian Data Analysis, 3rd ed., section 10.3; the bound is the
largest weight seen: Caffo, Booth and Davis 2002, Biometrika 89, 745-754), or, where that is seldom,
resampled from a larger number. The weights are the certificate: their effective share, and their
Pareto k.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...container.psis import pareto_k
from ...errors import ExactError, option
from ...families.gaussian.hyperparameters import Hyperparameters
from ...families.gaussian.laplace import Standardization, effective_share
from .proposals import Bend, Proposal, fitted, straight
from .targets import Target

__all__ = ["Independent", "draw"]

Array = NDArray[np.float64]

K_LIMIT = 0.7
"""Pareto k above which weights are not to be relied upon (Vehtari et al. 2024)."""
LEAST_EFFICIENCY = 0.05
"""Effective share below which the proposal is too far from the posterior."""

_PILOT = 4000
_SELDOM = 0.01  # share of accepted proposals below which they are resampled
_ROUNDS = 4  # of adaptation at most
_BETTER = 1.05  # times the effective share of the round before: else a round is the last
_FEWEST = 12_000  # fresh proposals by which the weights are judged ...
_NUMBERS = 10**7  # ... or as many as make so many groups' densities, and 4000 at least
_POOL = 20  # effective proposals for each draw, where they are resampled


@dataclass(frozen=True)
class Independent:
    """Independent draws and what they are worth.

    Attributes
    ----------
    u : array, shape (draws, size)
        Hyperparameters on the unconstrained scale.
    method : {"rejection", "resampling"}
        Resampling where too few proposals would be accepted.
    distinct : int
        Number of different draws: all of them by rejection.
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
    distinct: int
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
        why = standard.reason.removeprefix("none: ")
        raise ExactError(f"there are no independent draws: {why}; use " + option("engine", "nuts"))
    target = Target(hyper, standard)
    proposal = _adapted(target, rng)
    # Fresh ones: those that a proposal was chosen by look better than it is.
    x, log_w = _weighted(target, proposal, rng, _enough(hyper.design.J))
    _refuse_far(log_w)
    while True:
        share = _accepted_share(log_w)
        rejects = share >= _SELDOM
        wanted = draws / share if rejects else _POOL * draws / effective_share(log_w)
        missing = math.ceil(1.05 * wanted) - len(log_w)
        if missing <= 0:
            chosen = _reject(log_w, draws, rng) if rejects else _resample(log_w, draws, rng)
            if len(chosen) == draws:
                break
            missing = math.ceil(0.1 * wanted)
        new, added = _weighted(target, proposal, rng, min(missing, 4 * len(log_w)))
        x, log_w = np.vstack([x, new]), np.append(log_w, added)
        _refuse_far(log_w)
    top = log_w.max()
    w = np.exp(log_w - top)
    return Independent(
        u=target.complete(x[chosen], rng),
        method="rejection" if rejects else "resampling",
        distinct=len(np.unique(chosen)),
        efficiency=effective_share(log_w),
        pareto_k=_pareto_k(log_w),
        acceptance=share,
        proposals=len(log_w),
        log_evidence=float(top + math.log(w.mean())),
        log_evidence_error=float(w.std() / w.mean() / math.sqrt(len(w))),
    )


def _enough(groups: int) -> int:
    return int(np.clip(_NUMBERS // groups, _PILOT, _FEWEST))


def _reject(log_w: Array, draws: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Places of accepted proposals: each with probability w / max w; at most so many."""
    accepted = np.log(rng.random(len(log_w))) < log_w - log_w.max()
    return np.flatnonzero(accepted)[:draws]


def _resample(log_w: Array, draws: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Places of resampled proposals, in random order; some may be there twice.

    (Sampling-importance-resampling: Rubin 1988, in Bayesian Statistics 3. Without replacement the
    largest weights would count for too little.)
    """
    w = np.exp(log_w - log_w.max())
    return rng.permutation(rng.choice(len(w), draws, p=w / w.sum()))


def _adapted(target: Target, rng: np.random.Generator) -> Proposal:
    """A proposal fitted to the target, round by round.

    Twice at least, however even the weights look, and on while they become more so: those of draws
    from the mode's own t cannot tell of the tails that it lacks, and each fit sees farther than the
    one before.
    """
    proposal, bend = straight(target.centre, target.root), None
    best, best_share, before = proposal, -1.0, 0.0
    for turn in range(_ROUNDS + 1):
        x, log_w = _weighted(target, proposal, rng, _PILOT)
        share = effective_share(log_w)
        if share > best_share:
            best, best_share = proposal, share
        if turn == _ROUNDS or share * len(x) < len(x[0]):  # enough, or nothing to go by
            break
        if turn > 1 and share < _BETTER * before:
            break
        before = share
        bend = _bend(target, x, log_w) if bend is None else bend
        found = fitted(bend, x, log_w, rng)
        if found is None:
            break
        proposal = found
    # The last went by the best points there were; one before it only if it is far better.
    return proposal if share > 0.8 * best_share else best


def _weighted(
    target: Target, proposal: Proposal, rng: np.random.Generator, n: int
) -> tuple[Array, Array]:
    x, log_q = proposal.draw(rng, n)
    return x, target.log_density(x) - log_q


def _accepted_share(log_w: Array) -> float:
    """Mean of the weights over the largest."""
    return float(np.exp(log_w - log_w.max()).mean())


def _bend(target: Target, x: Array, log_w: Array) -> Bend:
    """Bend the tails of tau towards 0, and those of the correlations on both sides."""
    w = np.exp(log_w - log_w.max())
    order = np.argsort(x, axis=0)
    below = np.cumsum(w[order], axis=0) / w.sum()
    sorted_x = np.take_along_axis(x, order, axis=0)
    columns = np.arange(x.shape[1])
    low, middle, high = (
        sorted_x[np.argmax(below >= q, axis=0), columns] for q in (0.16, 0.5, 0.84)
    )
    left, right = target.of("tau") | target.of("Omega"), target.of("Omega")
    # A standard deviation with an upper end is on the logistic scale: two such tails.
    ends = target.hyper.upper("tau", target.hyper.design.K)
    right[target.of("tau")] = np.isfinite(ends)
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
            f"{k:.2f}; wanted at least {LEAST_EFFICIENCY} and at most {K_LIMIT}); use "
            + option("engine", "nuts")
        )
