"""The funnel is named where it is, and tau near 0 where it is what is slow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

import hiermodels as hm
from hiermodels.diagnostics import findings
from hiermodels.diagnostics.remedies import Fit
from tests.diagnostics.test_check import DIMS, fit, kinds, posterior, stats, the


def diverging_at(places: Any) -> xr.Dataset:
    """A sampler's record of divergences at these (chain, draw)."""
    s = stats()
    for chain, draw in places:
        s["diverging"][chain, draw] = True
    return s


def lowest(post: xr.Dataset, count: int, name: str = "tau") -> list[tuple[int, int]]:
    tau = post[name].to_numpy()
    return list(zip(*np.unravel_index(np.argsort(tau, axis=None)[:count], tau.shape), strict=True))


def test_divergences_at_small_tau_in_a_centered_fit_are_named_the_funnel() -> None:
    post = posterior()
    places = lowest(post, 13)
    # Two of them lie anywhere: a few that do not fit do not hide the funnel.
    places[3], places[7] = (0, 500), (3, 12)
    s = diverging_at(places)
    result = hm.check(fit(post, s, parameterization="centered"))
    finding = the(result, "divergences")
    tau, at = post["tau"].to_numpy(), s["diverging"].to_numpy()
    assert finding.message.startswith(f"{at.sum()} of 4000 iterations diverged (chains ")
    there, elsewhere = np.median(tau[at]), np.median(tau[~at])
    assert (
        f"where tau is small (median {there:.3g} there, {elsewhere:.3g} elsewhere): the funnel of "
        "the centered program" in finding.message
    )
    assert finding.parameters == ("tau",)
    assert finding.remedies == (
        "fit again with parameterization='marginal'",
        "fit again with parameterization='noncentered'",
        "fit again with adapt_delta=0.99",
        "fit again with a tighter prior on tau",
    )
    assert finding.remedy.startswith("fit again with parameterization='marginal', then ")
    assert not result.ok


def test_another_program_at_small_tau_has_no_funnel_to_name() -> None:
    post = posterior()
    for parameterization in ("noncentered", "marginal"):
        result = hm.check(
            fit(post, diverging_at(lowest(post, 13)), parameterization=parameterization)
        )
        message = the(result, "divergences").message
        assert "where tau is small (median " in message
        assert "funnel" not in message
        assert "centered" not in "".join(the(result, "divergences").remedies)


def test_a_noncentered_fit_that_diverges_at_large_tau_has_groups_of_much_data() -> None:
    post = posterior()
    highest = lowest(-post, 9)
    finding = the(hm.check(fit(post, diverging_at(highest))), "divergences")
    assert "where tau is large (median " in finding.message
    assert "the groups' own data outweigh the population there" in finding.message
    assert finding.remedies[:2] == (
        "fit again with parameterization='marginal'",
        "fit again with parameterization='centered' where groups carry much data",
    )


def test_a_centered_fit_that_diverges_at_large_tau_has_no_funnel_there() -> None:
    post = posterior()
    result = hm.check(fit(post, diverging_at(lowest(-post, 9)), parameterization="centered"))
    finding = the(result, "divergences")
    assert "where tau is large (median " in finding.message
    assert "funnel" not in finding.message
    assert finding.remedies[0] == "fit again with parameterization='marginal'"
    assert "noncentered" not in "".join(finding.remedies)


def test_of_several_group_sds_the_one_with_the_funnel_is_named() -> None:
    post = posterior()
    slope = np.exp(np.random.default_rng(3).normal(size=(4, 1000)))
    both = np.stack([post["tau"].to_numpy(), slope], axis=-1)
    post["tau"] = ((*DIMS, "coefficient"), both)
    post = post.assign_coords(coefficient=["Intercept", "x"])
    places = lowest(post.sel(coefficient="x"), 6)
    result = hm.check(fit(post, diverging_at(places), parameterization="centered"))
    finding = the(result, "divergences")
    assert finding.parameters == ("tau[x]",)
    assert "where tau[x] is small" in finding.message
    assert finding.remedies[-1] == "fit again with a tighter prior on tau[x]"


def test_one_divergence_is_placed_where_it_lies_among_the_outermost_draws() -> None:
    post = posterior()
    order = np.argsort(post["tau"].to_numpy(), axis=None)
    for rank, placed in ((0, True), (90, True), (150, False), (2000, False), (3999, True)):
        place = np.unravel_index(order[rank], (4, 1000))
        result = hm.check(fit(post, diverging_at([place]), parameterization="centered"))
        assert ("where tau is" in the(result, "divergences").message) is placed


def test_divergences_that_lie_anywhere_are_rarely_placed() -> None:
    # One time in 20 by its own level: of 600 seeds 30, give or take 5.3.
    rng = np.random.default_rng(12)
    post = posterior(chains=2, n=400)
    attrs = {"pooling": "partial", "parameterization": "centered"}
    for count in (1, 2, 5, 30):
        placed = 0
        for _ in range(600):
            at = np.zeros(800, dtype=bool)
            at[rng.choice(800, count, replace=False)] = True
            placed += findings._place(Fit(attrs, post, at.reshape(2, 400))) is not None
        assert placed < 30 + 4 * 5.3


def slow(scale: float = 0.0) -> tuple[tuple[str, str], np.ndarray]:
    """Draws of a tau that moves slowly: half-normal about 0, or far from 0."""
    z = np.random.default_rng(5).normal(size=(4, 1000))
    for t in range(1, 1000):
        z[:, t] = 0.97 * z[:, t - 1] + np.sqrt(1 - 0.97**2) * z[:, t]
    return (DIMS, np.abs(z) if not scale else scale + z)


def test_a_slow_tau_near_0_is_said_to_be_what_is_slow_and_once() -> None:
    result = hm.check(fit(posterior(rho=0.0).assign(tau=slow()), parameterization="marginal"))
    assert kinds(result)[0] == "r_hat"
    tau = slow()[1]
    share = float((tau < np.median(tau) / 4).mean())
    said = [f.message for f in result.findings if "near 0" in f.message]
    assert said == [result.findings[0].message]
    assert said[0].endswith(
        f"; tau is near 0 ({share:.0%} of its draws below a quarter of its median), and slow"
    )
    # Marginal already: what is left is its prior, and more draws.
    steps = the(result, "ess_bulk").remedies
    assert steps[0] == "fit again with a tighter prior on tau"
    assert len(steps) == 2
    assert steps[1].startswith("fit again with draws=")


def test_a_slow_tau_far_from_0_and_a_fast_one_near_0_are_not_blamed() -> None:
    far = hm.check(fit(posterior(rho=0.0).assign(tau=slow(8.0))))
    assert "r_hat" in kinds(far)
    assert "near 0" not in "".join(f.message for f in far.findings)
    post = posterior(rho=0.0)
    post["tau"][:] = np.abs(np.random.default_rng(6).normal(size=(4, 1000)))
    post["mu"] = slow()
    fast = hm.check(fit(post))
    assert the(fast, "ess_bulk").parameters == ("mu",)
    assert "near 0" not in "".join(f.message for f in fast.findings)
    assert "tau" not in "".join(the(fast, "ess_bulk").remedies)


def test_every_finding_has_its_remedies_and_the_line_is_made_of_them() -> None:
    post = posterior(rho=0.95)
    s = diverging_at(lowest(post, 5))
    s["reached_max_treedepth"][0, :25] = True
    s["energy"][2] = np.cumsum(s["energy"].to_numpy()[2])
    for finding in hm.check(fit(post, s, parameterization="centered")).findings:
        assert finding.remedies
        assert finding.remedy.startswith(finding.remedies[0])
        assert all("\n" not in step for step in finding.remedies)
    plain = findings.Finding("nan", "error", "what", "do this")
    assert plain.remedies == ("do this",)


@pytest.mark.stan
@pytest.mark.filterwarnings("ignore:(R-hat|bulk ESS|tail ESS|E-BFMI)")
def test_a_real_centered_fit_of_the_eight_schools_shows_its_funnel() -> None:
    model = hm.EightSchools(
        hm.datasets.eight_schools(),
        effect="effect",
        se="se",
        group="school",
        parameterization="centered",
        priors={"mu": hm.Flat(), "tau": hm.HalfCauchy(5)},
    )
    with pytest.warns(hm.HierModelsWarning, match="the funnel of the centered program"):
        idata = model.fit(seed=103, progress=False)
    # Where its chains hardly get to, though its posterior is there.
    said = "".join(finding.message for finding in hm.check(idata).findings)
    assert "tau is near 0" in said
