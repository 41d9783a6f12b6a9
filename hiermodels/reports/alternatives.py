"""What the pictures of a report show, a sentence each: for those who do not see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..container import inference_data as idatas
from .numbers import decimals, fixed, span
from .subject import CALLED

if TYPE_CHECKING:
    from .subject import Subject

HYPERPARAMETERS = ("mu", "tau", "sigma")


def strategies(s: Subject) -> str:
    """The strategies that were fitted, in words."""
    names = [CALLED.get(name, name).removesuffix(" pooling") for name in s.fits]
    words = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{words} pooling" if s.lead in CALLED else words


def _estimates(s: Subject, coefficient: str | None) -> tuple[Any, int | None]:
    """Posterior means of the groups, and the decimals that tell them apart."""
    means = s.means(coefficient)
    if means is None:
        return np.array([]), None
    return means, decimals(np.std(means, ddof=1) if len(means) > 1 else np.nan)


def _named(s: Subject, coefficient: str | None) -> str:
    return s.response if coefficient is None else f"the coefficient {coefficient}"


def _mu(s: Subject, coefficient: str | None) -> float | None:
    if "mu" not in s.posterior:
        return None
    mu = s.posterior["mu"]
    return float((mu if coefficient is None else mu.sel(coefficient=coefficient)).mean())


def shrinkage(s: Subject, coefficient: str | None) -> str:
    """Of :func:`hiermodels.plots.shrinkage`."""
    means, places = _estimates(s, coefficient)
    own = ""
    # Beside common columns the picture's raw estimates are given those, and are not the table's.
    if s.raw is not None and "predictor" not in s.posterior.coords:
        k = s.coefficients.index(coefficient)
        own = f" raw estimates go from {span(s.raw[0][:, k], places)},"
    mu = _mu(s, coefficient)
    centre = "" if mu is None else f", about the population mean {fixed(mu, places)}"
    return (
        f"Raw estimates of {len(means)} groups ({s.group}) and where partial pooling moves them: of"
        f" {_named(s, coefficient)}{own} posterior means go from {span(means, places)}{centre}."
    )


def forest(s: Subject, coefficient: str | None) -> str:
    """Of :func:`hiermodels.plots.forest`."""
    means, places = _estimates(s, coefficient)
    said = [f"{CALLED[s.lead]} from {span(means, places)}"]
    if s.comparison is not None:
        e = s.comparison.estimates
        part = e if coefficient is None else e[e["coefficient"] == coefficient]
        said = []
        for name in s.fits:
            values = part[f"{name}_mean"].to_numpy()
            one = fixed(values[0], places)
            said.append(f"{CALLED[name]} {f'{one} for all' if name == 'complete' else ''}")
            if name != "complete":
                said[-1] += f"from {span(values, places)}"
    return (
        f"Posterior means and 90 % intervals of {_named(s, coefficient)} in {len(means)} groups "
        f"({s.group}): {', '.join(said)}."
    )


def against(s: Subject) -> str:
    """Of :func:`hiermodels.plots.raw_against_posterior`."""
    means, places = _estimates(s, None)
    own = "" if s.raw is None else f" from {span(s.raw[0], places)}"
    return (
        f"Each {s.group}'s posterior mean against the mean of its own rows: own means{own}, "
        f"posterior means from {span(means, places)}, nearer to the mean of all."
    )


def impact(s: Subject) -> str:
    """Of :func:`hiermodels.plots.impact_of_tau`."""
    low, middle, high = np.quantile(s.posterior["tau"].to_numpy(), (0.05, 0.5, 0.95))
    places = decimals(high - low)
    return (
        f"The mean of each {s.group} given tau: all alike at tau = 0, apart as tau grows; below, "
        f"the posterior of tau, with median {fixed(middle, places)} and 90 % interval "
        f"{fixed(low, places)} to {fixed(high, places)}."
    )


def plane(s: Subject, x: str, y: str) -> str:
    """Of :func:`hiermodels.plots.slopes_and_intercepts`."""
    across, places = _estimates(s, x)
    up, other = _estimates(s, y)
    omega = s.posterior["Omega"].sel(coefficient=x, coefficient_2=y)
    return (
        f"{x} and {y} of {len(across)} groups ({s.group}): posterior means from "
        f"{span(across, places)} and from {span(up, other)}; posterior mean of their correlation "
        f"{fixed(omega.mean(), 2)}."
    )


def lines(s: Subject, slope: str) -> str:
    """Of :func:`hiermodels.plots.group_lines`, of either kind."""
    slopes, places = _estimates(s, slope)
    return (
        f"Lines of {s.response} against {slope} by {s.group}: slopes under partial pooling from "
        f"{span(slopes, places)}, population slope {fixed(_mu(s, slope), places)}."
    )


def prior(s: Subject) -> str:
    """Of :func:`hiermodels.plots.prior_against_posterior`."""
    said = []
    for name in HYPERPARAMETERS:
        x = s.posterior.get(name)
        if x is not None and set(x.dims) == {"chain", "draw"}:
            low, high = np.quantile(x.to_numpy(), (0.05, 0.95))
            places = decimals(x.to_numpy().std())
            said.append(f"{name} {fixed(low, places)} to {fixed(high, places)}")
    more = f": central 90 % posterior intervals are {', '.join(said)}" if said else ""
    return f"Prior and posterior densities of the hyperparameters{more}."


def replicated(s: Subject) -> str:
    """Of :func:`hiermodels.plots.posterior_predictive`."""
    assert s.y is not None  # noqa: S101 - the picture is of it
    rep = idatas.dataset(s.idata, "posterior_predictive")[s.response]
    dims = [dim for dim in rep.dims if dim not in ("chain", "draw")]
    sds = rep.std(dims, ddof=1).to_numpy()
    places = decimals(s.y.std(ddof=1), 3)
    return (
        f"Densities of replicated data and of the {s.y.size} values of {s.response}: the data have "
        f"mean {fixed(s.y.mean(), places)} and sd {fixed(s.y.std(ddof=1), places)}, replications "
        f"mean {fixed(rep.mean(), places)} and sd {fixed(sds.mean(), places)}."
    )


def replicated_by_group(s: Subject) -> str:
    """Of the same, group by group, where each is one estimate."""
    assert s.y is not None  # noqa: S101 - the picture is of it
    rep = idatas.dataset(s.idata, "posterior_predictive")[s.response]
    low, high = rep.quantile((0.05, 0.95), ("chain", "draw")).to_numpy()
    out = int(((s.y < low) | (s.y > high)).sum())
    return (
        f"Densities of the replicated {s.response} of each of {s.y.size} groups ({s.group}), and "
        f"its own estimate beneath: {out} of {s.y.size} lie outside the central 90 % of their "
        "replications."
    )


def pareto(s: Subject, unit: str) -> str:
    """Of :func:`hiermodels.plots.pareto_k`."""
    found = s.loo(unit)
    k = found.table["pareto_k"]
    bad = int((k > found.k_limit).sum())
    what = s.group if unit == "group" else "row"
    return (
        f"Pareto k of leaving each of {len(k)} out, {what} by {what}: the largest is "
        f"{fixed(k.max(), 2)}, and {bad} are above the limit of {fixed(found.k_limit, 2)}."
    )


def chains(s: Subject) -> str:
    """Of :func:`hiermodels.plots.trace`."""
    found = s.checks[s.lead].parameters["r_hat"].max()
    r_hat = f"; the largest R-hat of all parameters is {fixed(found, 3)}" if found > 0 else ""
    names = ", ".join(traced(s))
    n = s.posterior.sizes["chain"]
    return f"Draws and densities of {names}, chain by chain ({n} chains){r_hat}."


def diverged(s: Subject, count: int) -> str:
    """Of :func:`hiermodels.plots.pairs`, where draws diverged."""
    draws = s.posterior.sizes["chain"] * s.posterior.sizes["draw"]
    return (
        f"Draws of mu and of the logarithm of tau against each other: {count} of {draws} diverged; "
        "crosses mark them."
    )


def traced(s: Subject) -> list[str]:
    """Hyperparameters that are few; without any, the effects."""
    small = [n for n in HYPERPARAMETERS if n in s.posterior and s.posterior[n].size]
    small = [n for n in small if s.group not in s.posterior[n].dims]
    return small or [n for n in ("theta",) if n in s.posterior]
