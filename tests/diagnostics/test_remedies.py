"""What to do comes in order: parameterization, adapt_delta, priors, more draws."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hiermodels.diagnostics import remedies
from hiermodels.diagnostics.remedies import Fit, Place
from tests.diagnostics.test_check import posterior

PRIORS = json.dumps(
    {
        "mu": {"family": "Normal", "mean": 0.0, "sd": 20.0},
        "tau": {"family": "HalfCauchy", "scale": 5.0},
    }
)
SMALL, LARGE = Place("tau", True, 0.1, 3.0), Place("tau", False, 9.0, 3.0)


def fit(parameterization: str = "", tau: bool = True, **attrs: Any) -> Fit:
    draws = posterior(chains=2, n=attrs.pop("n", 1000))
    given = {"pooling": "partial", "parameterization": parameterization, "priors": PRIORS, **attrs}
    return Fit(given, draws if tau else draws.drop_vars("tau"))


def again(*steps: str) -> tuple[str, ...]:
    return tuple(f"fit again with {step}" for step in steps)


MARGINAL, NONCENTERED = "parameterization='marginal'", "parameterization='noncentered'"
CENTERED = "parameterization='centered' where groups carry much data"
TIGHTER = "a tighter prior on tau (now HalfCauchy(5))"


@pytest.mark.parametrize(
    ("parameterization", "place", "steps"),
    [
        ("centered", SMALL, (MARGINAL, NONCENTERED, "adapt_delta=0.99", TIGHTER)),
        ("centered", None, (MARGINAL, NONCENTERED, "adapt_delta=0.99", TIGHTER)),
        # There noncentered goes wrong more, not less.
        ("centered", LARGE, (MARGINAL, "adapt_delta=0.99", TIGHTER)),
        ("noncentered", LARGE, (MARGINAL, CENTERED, "adapt_delta=0.99", TIGHTER)),
        ("noncentered", SMALL, (MARGINAL, "adapt_delta=0.99", TIGHTER)),
        ("marginal", SMALL, ("adapt_delta=0.99", TIGHTER)),
    ],
)
def test_divergences_are_remedied_by_where_they_lie(
    parameterization: str, place: Place | None, steps: tuple[str, ...]
) -> None:
    assert remedies.steadier(fit(parameterization), place) == again(*steps)


def test_no_step_is_offered_that_was_taken_or_is_not_there() -> None:
    steady = fit("marginal", adapt_delta=0.99)
    assert remedies.steadier(steady) == again(TIGHTER)
    assert remedies.steadier(fit("", tau=False, pooling="complete", adapt_delta=0.995)) == again(
        "tighter priors"
    )
    # Other engines have neither parameterizations nor a step size.
    assert remedies.steadier(fit("full conditionals", engine="gibbs")) == again(
        "engine='exact'", "engine='nuts'"
    )
    assert remedies.longer(fit("marginal", engine="exact"), 1.5) == again("draws=2000, now 1000")
    assert remedies.longer(fit("marginal", engine="exact", n=100), 1.5) == again(
        "the usual draws=1000, now draws=100"
    )


@pytest.mark.parametrize(
    ("parameterization", "near", "steps"),
    [
        ("marginal", "", ()),
        ("centered", "", (MARGINAL, NONCENTERED)),
        ("noncentered", "", (MARGINAL, CENTERED)),
        ("marginal", "tau", (TIGHTER,)),
        ("noncentered", "tau", (MARGINAL, TIGHTER)),
        ("centered", "tau", (MARGINAL, NONCENTERED, TIGHTER)),
    ],
)
def test_more_draws_come_last(parameterization: str, near: str, steps: tuple[str, ...]) -> None:
    found = remedies.longer(fit(parameterization), 3.0, near)
    assert found == again(*steps, "draws=4000, now 1000, and a warmup to match")


def test_where_ten_times_the_draws_would_not_do_they_are_no_remedy() -> None:
    for factor in (11.0, float("nan")):
        assert remedies.longer(fit("centered"), factor) == remedies.steadier(fit("centered"))
    few = remedies.longer(fit("centered", n=100), 50.0)
    assert few == again("the usual draws=1000 and warmup=1000, now draws=100")


def test_a_low_e_bfmi_asks_for_a_parameterization_first() -> None:
    assert remedies.energy(fit("centered")) == remedies.steadier(fit("centered"))
    rest = ("twice the warmup", "a tighter prior on the scale parameters")
    assert remedies.energy(fit("marginal")) == again(*rest)
    assert remedies.energy(fit("noncentered")) == again(MARGINAL, *rest)
