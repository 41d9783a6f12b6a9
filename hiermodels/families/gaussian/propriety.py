"""Whether there is a posterior at all: refused before anything is compiled.

An improper prior is harmless where the likelihood vanishes fast enough at both ends. For the
standard deviations of a hierarchical normal model it need not (Gelman 2006, "Prior distributions
for variance parameters in hierarchical models", Bayesian Analysis 1, sections 2.2 and 3.2;
Gelman et al., Bayesian Data Analysis, 3rd ed., section 5.4):

- tau -> 0: the likelihood tends to a positive constant, so p(tau) must have a finite integral
  there; 1/tau has none. The full conditionals of a Gibbs sampler do not show it: each of them is
  proper (Hobert and Casella 1996, "The effect of improper priors on Gibbs sampling in hierarchical
  linear mixed models", Journal of the American Statistical Association 91, 1461-1473).
- tau -> infinity: with mu flat the likelihood falls as tau^-(J-1), so a flat tau needs J >= 3
  (J >= K + 2 where K means are estimated beside it). With a proper prior on mu it falls as tau^-J,
  and J = 2 would do; a posterior of tau without a mean is refused there as well.
- sigma -> 0: with nu residual degrees of freedom and residual sum of squares R the likelihood
  behaves as sigma^-nu exp(-R / 2 sigma^2): without replication (nu = 0), or with a perfect fit
  (R = 0), nothing keeps sigma away from 0.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DataError, DataWarning, ImproperPosteriorError, Message, listed, option
from ...priors.blocks import Priors
from ...priors.distributions import Flat, GammaPrecision, InverseGamma, LogFlat, Prior
from .moments import PERFECT, Moments

# Squares about the groups' own lines, as a share of those within groups, below which too few digits
# are left: rounding is some 1e-16 of the whole. Six digits of sigma are wanted of the response,
# four of what a predictor says.
_DIGITS = {"response": 1e-11, "predictor": 1e-12}


def check(design: Moments, priors: Priors, pooling: str) -> None:
    """Refuse data and priors that have no proper posterior, or none that the data inform.

    Raises
    ------
    DataError
        Too few groups, collinear columns, a perfect fit, or groups too small for no pooling.
    ImproperPosteriorError
        Priors that leave no posterior.

    Warns
    -----
    DataWarning
        Groups whose answer leans on a prior that was given, or a slope that cannot vary by group.
    """
    if pooling == "partial":
        if design.J < 2:
            raise DataError(
                f"partial pooling needs at least 2 groups, got 1 ({listed(design.labels)}); "
                + option("pooling", "complete")
                + " fits a single group"
            )
        flat_betas = any(isinstance(p, Flat) for _, p in _of(priors, "beta"))
        for name, prior in _of(priors, "tau"):
            _check_tau(name, prior, design, flat_betas)
    if design.residual == "known":
        return
    _check_columns(design)
    if pooling == "partial":
        _check_slopes(design)
    if pooling == "none":
        _check_own_regressions(design, priors)
    _check_sigma(design, priors["sigma"], pooling)
    if pooling == "partial" and not design.scalar:
        _check_digits(design)


def _of(priors: Priors, block: str) -> list[tuple[str, Prior]]:
    return [(n, p) for n, p in priors.flat().items() if n.partition("[")[0] == block]


def _check_tau(name: str, prior: Prior, design: Moments, flat_betas: bool) -> None:
    if _infinite_at_zero(prior):
        raise ImproperPosteriorError(
            f"{name}: {prior} {_flat_on_log(prior)}, and the likelihood does not vanish as {name} "
            "goes to 0, so the posterior has infinite mass there and does not exist, although each "
            "full conditional is proper: a Gibbs sampler would run, and its draws would mean "
            "nothing; use Flat(), HalfCauchy(...) or another proper prior"
        )
    if not isinstance(prior, Flat):
        return
    # A group whose rows cannot tell the coefficient from the others says nothing about its spread.
    place = 0 if design.scalar else design.coefficients.index(name[4:-1])
    informing = design.identifying(place)
    # Common columns that are constant within groups are further means, estimated from the groups.
    by_group = design.P - design.between_groups.common if flat_betas else 0
    least = design.K + 2 + by_group
    if informing < least:
        raise ImproperPosteriorError(
            f"{name}: Flat() needs at least {least} groups that inform it, got {informing}: with "
            f"fewer the likelihood falls too slowly as {name} grows for the posterior to be sure "
            "to exist; use HalfCauchy(...) or another proper prior"
        )


def _infinite_at_zero(prior: Prior) -> bool:
    """Whether p(x) has no finite integral at x -> 0."""
    if isinstance(prior, LogFlat):
        return True
    return isinstance(prior, (GammaPrecision, InverseGamma)) and prior.numbers[1] == 0


def _flat_on_log(prior: Prior) -> str:
    if isinstance(prior, LogFlat) or prior.numbers[0] == 0:
        return "is flat on the logarithm"
    return f"goes to infinity as x^-{2 * prior.numbers[0] + 1:g} at 0"


def _check_columns(design: Moments) -> None:
    columns = design.K + design.P
    rank = design.columns_rank
    if rank < columns:
        raise DataError(
            f"the columns must be linearly independent over the rows, got {columns} columns "
            f"({listed(design.names)}) of rank {rank} in {design.N} rows; leave one out"
        )
    if rank >= design.N:
        raise DataError(
            f"there must be more rows than coefficients, got {design.N} rows for {columns} "
            "coefficients; leave columns out (one with a level for each row is a label, not a "
            "predictor)"
        )


def _check_slopes(design: Moments) -> None:
    """Warn of columns whose slopes cannot vary by group: they are constant within the groups.

    A column of ones, and in place of an intercept an indicator, whose coefficients are levels, are
    no slopes. A factor is named once, and varies in a group where one of its levels does.
    """
    found, names = design.statistics, design.names[: design.K]
    level = bool(design.constant[: design.K].any())  # whether an intercept varies
    said: str
    for source, coded in found.sources.items():
        ours = [names.index(name) for name in coded if name in names]
        places = [found.columns.index(name) for name in coded]
        indicator = bool(np.all((found.minimum[places] == 0) & (found.maximum[places] == 1)))
        if not ours or design.constant[ours].all() or (design.ones is None and indicator):
            continue
        groups = int(np.any([design.varies_within(k) for k in ours], axis=0).sum())
        if groups > 1:
            continue
        if groups:
            said = "varies within one group only, so the data cannot say how its slope varies"
        elif level:
            said = (
                "is constant within every group, so its slope cannot vary by group: in a group it "
                "does what the varying intercept does, and its tau leans on its prior"
            )
        else:
            said = (
                "is constant within every group, so its slope cannot vary by group: it stands for "
                "the group's own level, which " + option("intercept", "varying") + " is for"
            )
        warnings.warn(
            f"column {source!r} in varying= "
            + said
            + "; give it one slope, "
            + Message(f"common=[{source!r}]", option("common", source).shell),
            DataWarning,
            stacklevel=2,
        )


def _check_own_regressions(design: Moments, priors: Priors) -> None:
    within = design.within
    short = within.rank < within.columns
    if not short.any():
        return
    named = listed(design.labels[short])
    flat = {n for n, p in priors.improper.items() if n.partition("[")[0] in ("theta", "beta")}
    if flat:
        raise DataError(
            f"no pooling fits {within.columns} coefficients to each group by itself, and "
            f"{int(short.sum())} of {design.J} groups cannot give them (too few rows, or columns "
            f"that do not vary within the group): {named}; leave those groups or columns out, use "
            + option("pooling", "partial")
            + ", or give theta and beta proper priors"
        )
    warnings.warn(
        f"{int(short.sum())} of {design.J} groups are too small for a regression of their own: "
        f"{named}; their coefficients lean on the priors of theta and beta",
        DataWarning,
        stacklevel=2,
    )


def _check_sigma(design: Moments, prior: Any, pooling: str) -> None:
    if design.residual == "group":
        # Also under complete pooling: the common line may run through one group's points.
        df, rss, least = design.within.df, design.within.rss, design.within.least
    elif pooling == "complete":
        df = np.array([design.N - design.columns_rank])
        rss, least = np.array([design.pooled_rss]), np.array([PERFECT * design.total_ss])
    elif pooling == "partial":
        shared = design.between_groups
        df, rss, least = shared.df, shared.rss, shared.least
    else:
        df, rss, least = (
            np.array([values.sum()])
            for values in (design.within.df, design.within.rss, design.within.least)
        )
    _check_perfect_fit(design, prior, df, rss, least, pooling)
    alone = df < 1
    if not alone.any():
        # A flat sigma needs the likelihood to fall faster than 1/sigma.
        # Where others hold the common line, one sd per group needs no more than two rows.
        held = pooling == "complete" and design.residual == "group" and design.J > 1
        thin = df < 2 if pooling != "partial" and not held else df < 1
        if isinstance(prior, Flat) and thin.any():
            raise ImproperPosteriorError(
                f"sigma: Flat() needs at least 2 residual degrees of freedom"
                f"{_which(design, thin)}; use LogFlat() or a proper prior such as HalfNormal(...)"
            )
        return
    what = f"sigma cannot be learned without replication{_which(design, alone)}"
    if not prior.proper:
        raise ImproperPosteriorError(
            f"sigma: {prior} leaves no posterior, because {what}; use a proper prior such as "
            "HalfNormal(...)"
        )
    if pooling == "none" or len(alone) == 1:
        # Nothing but the prior would speak of sigma (and, without pooling, of every interval).
        remedy = (
            "EightSchools takes one estimate per group with its standard error"
            if len(alone) == 1
            else "use "
            + option("sigma", "common")
            + ", "
            + option("pooling", "partial")
            + ", or leave those groups out"
        )
        if pooling == "none":
            raise DataError(f"{what}: the answer would be the prior's alone; " + remedy)
    warnings.warn(f"{what}: there it comes from its prior, {prior}", DataWarning, stacklevel=2)


def _check_perfect_fit(
    design: Moments,
    prior: Prior,
    df: NDArray[np.int64],
    rss: NDArray[np.float64],
    least: NDArray[np.float64],
    pooling: str,
) -> None:
    perfect = (df > 0) & (rss <= least)
    vanishes = isinstance(prior, (GammaPrecision, InverseGamma)) and prior.numbers[1] > 0
    if perfect.any() and not vanishes:
        # Deviations from the groups' own means are right to the last digit.
        means = design.K + design.P == 1 and (pooling != "complete" or len(rss) > 1)
        less = "a trillionth of its range" if means else "a millionth of its spread"
        raise DataError(
            f"the model fits {design.response!r} perfectly{_which(design, perfect)}, or to "
            f"less than {less}: sigma goes to 0, and there is no posterior, or "
            "none that sums of squares can tell from that; check the data, or give sigma a prior "
            "that vanishes at 0, such as InverseGamma(...)"
        )


def _check_digits(design: Moments) -> None:
    """Refuse what the groups' own lines explain so much of that no digits are left.

    Squares about a group's own line are differences of those about its mean (of those about 0,
    without a varying intercept), which rounding changes by some 1e-16 of them. What lies between
    the means costs nothing.
    """
    own, shared, K = design.own, design.between_groups, design.K
    squares = own.scale.sum(axis=0)
    left = np.diagonal(own.left.sum(axis=0))
    lost = (left > 0) & (left < _DIGITS["predictor"] * squares)
    lost[:-1] &= ~design.constant
    few = "of what it varies within them: with less, too few digits are left of what"
    for name in np.array(design.names)[K:][lost[K:-1]].tolist():
        raise DataError(
            f"predictor {name!r} must vary about the groups' own lines by at least a millionth "
            f"{few} it says there; make two columns of it, those lines and the deviations from them"
        )
    if shared.least[0] < shared.rss[0] < _DIGITS["response"] * squares[-1]:
        raise DataError(
            f"y={design.response!r} must vary about the groups' own lines by at least three "
            f"millionths {few} sigma is learned from; subtract from it what is known of those lines"
        )


def _which(design: Moments, mask: NDArray[np.bool_]) -> str:
    """``" in group 'A'"`` where the mask is by group, nothing where it is for all rows."""
    if len(mask) == 1:
        return ""
    groups = design.labels[mask]
    return f" in group{'s' if len(groups) > 1 else ''} {listed(groups)}"
