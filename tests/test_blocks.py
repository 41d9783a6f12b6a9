"""Priors in force: how given ones replace defaults, and which are refused."""

from __future__ import annotations

import pytest

import hiermodels as hm
from hiermodels.blocks import Block, Priors
from hiermodels.errors import PriorError


def merged(given: dict[str, object]) -> Priors:
    blocks = (
        Block("mu", "location", ("Intercept", "x")),
        Block("tau", "scale"),
        Block("Omega", "correlation"),
    )
    defaults = {
        "mu": {"Intercept": hm.Normal(0, 1), "x": hm.Normal(0, 2)},
        "tau": hm.HalfNormal(1),
        "Omega": hm.LKJ(2),
    }
    return Priors(blocks, defaults, given)


def test_given_priors_replace_defaults_by_block_or_by_coefficient() -> None:
    assert merged({"mu": hm.Flat()})["mu"] == {"Intercept": hm.Flat(), "x": hm.Flat()}
    one = merged({"mu": {"x": hm.Normal(0, 9)}})["mu"]
    assert one == {"Intercept": hm.Normal(0, 1), "x": hm.Normal(0, 9)}


def test_priors_print_a_line_each_with_where_they_come_from() -> None:
    lines = str(merged({"tau": hm.HalfCauchy(5)})).splitlines()
    assert [line.split() for line in lines] == [
        ["mu[Intercept]", "~", "Normal(0,", "1)", "default"],
        ["mu[x]", "~", "Normal(0,", "2)", "default"],
        ["tau", "~", "HalfCauchy(5)", "given"],
        ["Omega", "~", "LKJ(2)", "default"],
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"taus": hm.HalfNormal(1)}, "no parameter 'taus'; .* did you mean 'tau'"),
        ({"tau": hm.Normal(0, 1)}, r"tau is a scale parameter .* did you mean HalfNormal\?"),
        ({"mu": hm.HalfNormal(1)}, r"mu\[Intercept\] is a location .* did you mean Normal\?"),
        ({"Omega": hm.Flat()}, "Omega is a correlation parameter and takes LKJ"),
        ({"tau": 5}, r"tau must be a prior such as hm.HalfNormal\(1\), got 5"),
        ({"tau": hm.HalfCauchy}, "tau got the family HalfCauchy itself; call it"),
        ({"mu": {"z": hm.Flat()}}, "mu has no coefficient 'z'; it has Intercept, x"),
        ({"mu": 3}, "mu takes a prior, or a dict of priors by coefficient"),
    ],
)
def test_priors_that_do_not_fit_are_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(PriorError, match=message):
        merged(given)
