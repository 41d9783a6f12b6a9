"""What can be wrong with draws, looked for one thing after another, each with its remedies.

Limits, and where they come from:

==================  ==========================  ==================================================
quantity            wanted                      source
==================  ==========================  ==================================================
R-hat               at most 1.01                Vehtari et al. (2021), rank-normalized and split
bulk and tail ESS   at least 100 a chain        Vehtari et al. (2021)
divergences         none                        Betancourt (2017), arXiv:1701.02434
E-BFMI              at least 0.3 in each chain  Betancourt (2016), arXiv:1604.00695; Stan
tree depth          below its maximum           Stan reference manual; costs time, biases nothing
==================  ==========================  ==================================================

Vehtari, A., Gelman, A., Simpson, D., Carpenter, B. and Bürkner, P.-C. (2021). Rank-normalization,
folding, and localization: an improved R-hat. Bayesian Analysis 16, 667-718.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..errors import count_of, listed, option
from . import remedies
from .remedies import Fit, Place

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Finding", "Kind", "in_draws"]

R_HAT_LIMIT = 1.01
ESS_LIMIT_PER_CHAIN = 100
E_BFMI_LIMIT = 0.3

# Divergences lie at small tau where their median stands below this share of the other draws, and
# so low a median has this probability, if they lie anywhere.
_LOW_RANK, _BY_CHANCE = 0.3, 0.05
# tau is near 0 where more than this share of its draws is below a quarter of its median: a density
# that does not fall to 0 at 0 has 13 to 16 % there (half-normal, exponential), one that falls
# linearly 4 % (Rayleigh). Chains that do not get near 0 leave some out: centered fits of the eight
# schools have 5 to 12 %, where the posterior has 14 %.
_NEAR_ZERO, _NEAR_ZERO_SHARE = 0.25, 0.05

Kind = Literal[
    "nan", "still", "few_draws", "divergences", "r_hat", "ess_bulk", "ess_tail", "e_bfmi",
    "max_treedepth", "chains", "response", "few_groups",
    "single_row",
]  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One thing that the diagnostics found.

    Attributes
    ----------
    kind : str
        ``"nan"``, ``"divergences"``, ``"still"`` (no parameter moves), ``"few_draws"`` (too few to
        judge by), ``"r_hat"``, ``"ess_bulk"``, ``"ess_tail"``, ``"e_bfmi"``, ``"max_treedepth"`` or
        ``"chains"``; of the data and the model ``"response"``, ``"few_groups"`` or
        ``"single_row"``.
    severity : {"error", "warning", "note"}
        An error means that the draws are not to be relied upon; a warning, that they cost more time
        than they need, or that something could not be checked. A note is no fault of the draws: it
        says what the answer rests on, and fits do not warn of it.
    message : str
        What was found, in one line.
    remedy : str
        What to do about it, in one line: the first step, and what comes then.
    parameters : tuple of str
        Whom it concerns, worst first; empty where it concerns the whole fit.
    remedies : tuple of str
        All steps in order, each in one line.
    """

    kind: Kind
    severity: Literal["error", "warning", "note"]
    message: str
    remedy: str
    parameters: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.remedies:
            object.__setattr__(self, "remedies", (self.remedy,))


def in_draws(
    parameters: pd.DataFrame, chains: pd.DataFrame, broken: list[str], fit: Fit
) -> Iterable[Finding]:
    """Go through the limits, in the order in which to see to them."""
    total = fit.chains * fit.draws
    if broken:
        yield Finding(
            "nan",
            "error",
            f"draws of {listed(broken, 3)} are not finite",
            "look for huge or tiny values in the data and at model.priors, and fit again",
            tuple(broken),
        )
    if "divergences" in chains and (count := int(chains["divergences"].sum())):
        where = _named_chains(chains.index[chains["divergences"] > 0])
        yield _divergences(f"{count} of {total} iterations diverged ({where})", fit)
    yield from _low_quality(parameters, broken, fit)
    if "e_bfmi" in chains and (chains["e_bfmi"] < E_BFMI_LIMIT).any():
        low = chains["e_bfmi"] < E_BFMI_LIMIT
        yield _finding(
            "e_bfmi",
            "error",
            f"E-BFMI is below {E_BFMI_LIMIT} in {_named_chains(chains.index[low])} "
            f"(lowest {chains['e_bfmi'].min():.2f}), so the tails may be unexplored",
            remedies.energy(fit),
        )
    if "max_treedepth" in chains and (count := int(chains["max_treedepth"].sum())):
        limit = int(fit.attrs.get("max_treedepth", 10))
        yield _finding(
            "max_treedepth",
            "warning",
            f"{count} of {total} iterations reached the maximum tree depth of {limit}, "
            "which costs time and biases nothing",
            remedies.treedepth(fit, limit),
        )
    if fit.chains < 2:
        yield Finding(
            "chains",
            "warning",
            "R-hat needs two chains or more, and there is one",
            "fit again with " + option("chains", 4),
        )


def _finding(
    kind: Kind,
    severity: Literal["error", "warning", "note"],
    message: str,
    steps: tuple[str, ...],
    parameters: tuple[str, ...] = (),
) -> Finding:
    return Finding(kind, severity, message, remedies.one_line(steps), parameters, steps)


# ---- divergences --------------------------------------------------------------------------------


def _divergences(counted: str, fit: Fit) -> Finding:
    place = _place(fit)
    parameters: tuple[str, ...] = ()
    message = f"{counted}, so the posterior may be biased"
    if place is not None:
        parameters = (place.label,)
        where = (
            f"{counted} where {place.label} is {'small' if place.small else 'large'} "
            f"(median {place.there:.3g} there, {place.elsewhere:.3g} elsewhere)"
        )
        message = f"{where}, so the posterior may be biased there"
        if place.small and fit.parameterization == "centered":
            message = (
                f"{where}: the funnel of the centered program, into which the sampler does not "
                f"follow; the {'marginal' if fit.marginal else 'noncentered'} program has none"
            )
        elif not place.small and fit.parameterization == "noncentered":
            message = (
                f"{where}: the groups' own data outweigh the population there, which the "
                "noncentered program does not bear"
            )
    return _finding("divergences", "error", message, remedies.steadier(fit, place), parameters)


def _place(fit: Fit) -> Place | None:
    """Where in tau the iterations that diverged lie, if that is anywhere in particular.

    By the rank of each of them among the other draws, whose median would be that of m uniform
    numbers, Beta((m + 1)/2, (m + 1)/2), if they lay anywhere (exact where m is odd). One iteration
    is enough where it is among the lowest or highest 2.5 % (divided by the number of coefficients);
    a few that lie elsewhere do not matter.
    """
    import numpy as np
    from scipy import special

    if fit.diverging is None:
        return None
    found: list[tuple[float, Place]] = []
    for label, tau in fit.tau.items():
        there, elsewhere = tau[fit.diverging], np.sort(tau[~fit.diverging])
        if not len(there) or not len(elsewhere) or not np.isfinite(tau).all():
            continue
        rank = float(np.median(np.searchsorted(elsewhere, there) / len(elsewhere)))
        small, half = rank < 0.5, (len(there) + 1) / 2
        outer = min(rank, 1 - rank)
        chance = 2 * len(fit.tau) * float(special.betainc(half, half, outer))
        if outer <= _LOW_RANK and chance <= _BY_CHANCE:
            medians = float(np.median(there)), float(np.median(elsewhere))
            found.append((outer, Place(label, small, *medians)))
    return min(found, key=lambda pair: pair[0])[1] if found else None


# ---- R-hat and effective sample sizes -----------------------------------------------------------


def _low_quality(parameters: pd.DataFrame, broken: list[str], fit: Fit) -> Iterable[Finding]:
    import numpy as np

    if parameters.empty:
        if not broken:
            yield Finding(
                "still",
                "error",
                "no parameter moves: all draws are the same",
                "fit again with another seed or other inits",
            )
        return
    # In NumPy: pandas would take longer over ten parameters than their diagnostics did.
    sizes = {kind: parameters[kind].to_numpy() for kind in ("ess_bulk", "ess_tail", "r_hat")}
    least = np.minimum(sizes["ess_bulk"], sizes["ess_tail"])
    if np.isnan(least).any():
        unmeasured = parameters.index[np.isnan(least)]
        yield Finding(
            "few_draws",
            "error",
            f"too few draws to judge {count_of(len(unmeasured), 'parameter')} by",
            "fit again with more draws, 1000 or so of each chain",
            tuple(unmeasured),
        )
        return
    limit = ESS_LIMIT_PER_CHAIN * fit.chains
    high, low = sizes["r_hat"] > R_HAT_LIMIT, least < limit
    if not (high.any() or low.any()):
        return
    near, share = _near_zero(fit, set(parameters.index[high | low]))
    # The smallest ESS says how many times longer a run would have to be, for all findings alike.
    steps = remedies.longer(fit, limit / float(least.min()), near)
    # Said once, of the first that tau has part in.
    why = f"; {near} is near 0 ({share:.0%} of its draws below a quarter of its median), and slow"
    if high.any():
        worst = parameters["r_hat"][high].sort_values(ascending=False)
        concerned = near in worst.index
        yield _finding(
            "r_hat",
            "error",
            f"R-hat is above {R_HAT_LIMIT} for {_share(worst, parameters)}, "
            f"at worst {_above(worst.iloc[0])} ({worst.index[0]}), so the chains disagree"
            f"{why if concerned else ''}",
            steps,
            tuple(worst.index),
        )
        why = "" if concerned else why
    kinds: tuple[tuple[Kind, str, str], ...] = (
        ("ess_bulk", "bulk ESS", "means and medians are imprecise"),
        ("ess_tail", "tail ESS", "intervals are imprecise"),
    )
    for kind, name, harm in kinds:
        if (sizes[kind] < limit).any():
            worst = parameters[kind][sizes[kind] < limit].sort_values()
            concerned = near in worst.index
            yield _finding(
                kind,
                "error",
                f"{name} is below {limit} ({ESS_LIMIT_PER_CHAIN} a chain) for "
                f"{_share(worst, parameters)}, at worst {worst.iloc[0]:.0f} ({worst.index[0]}), "
                f"so {harm}{why if concerned else ''}",
                steps,
                tuple(worst.index),
            )
            why = "" if concerned else why


def _near_zero(fit: Fit, slow: set[str]) -> tuple[str, float]:
    """The slow group standard deviation with most of its draws near 0, and the share; or ""."""
    import numpy as np

    shares = {
        label: float(np.mean(tau < _NEAR_ZERO * np.median(tau)))
        for label, tau in fit.tau.items()
        if label in slow and (tau >= 0).all()
    }
    label = max(shares, key=lambda name: shares[name], default="")
    return (label, shares[label]) if shares.get(label, 0.0) > _NEAR_ZERO_SHARE else ("", 0.0)


# ---- words --------------------------------------------------------------------------------------


def _above(r_hat: float) -> str:
    """An R-hat above the limit, with as many digits as show it."""
    texts = (f"{r_hat:.{digits}f}" for digits in (2, 3, 4))
    return next((text for text in texts if float(text) > R_HAT_LIMIT), f"{r_hat:.5f}")


def _share(some: pd.Series[Any], all_of_them: pd.DataFrame) -> str:
    return f"{len(some)} of {count_of(len(all_of_them), 'parameter')}"


def _named_chains(index: pd.Index[Any]) -> str:
    return f"chain{'' if len(index) == 1 else 's'} {listed(index.tolist())}"
