"""What a comparison of pooling strategies says in words follows from its numbers."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

import hiermodels as hm
from hiermodels.comparison import pooling_comparison


@pytest.fixture(scope="module")
def schools() -> hm.PoolingComparison:
    model = hm.EightSchools(
        hm.datasets.eight_schools(), effect="effect", se="se", group="school",
        priors={"mu": hm.Normal(0, 5), "tau": hm.HalfCauchy(5)},
    )  # fmt: skip
    return hm.compare_pooling(model, seed=1)


def second(c: hm.PoolingComparison, **changes: Any) -> list[str]:
    """Conclusions where the second best has other numbers."""
    elpd = c.elpd.copy()
    for name, value in changes.items():
        elpd.loc[1, name] = value
    return pooling_comparison.conclusions(dataclasses.replace(c, elpd=elpd))


def test_schools_are_predicted_alike_and_of_few_terms(schools):
    first = schools.elpd["pooling"].iloc[0]
    (said, factors) = pooling_comparison.conclusions(schools)
    other = {"partial": "complete", "complete": "partial"}[first]
    assert said.startswith(
        f"For a new school, {first} pooling and {other} pooling predict about equally well"
    )
    assert "Of 8 terms; with so few the se itself is uncertain" in said
    low, high = schools.estimates["pooling_factor"].agg(["min", "max"])
    assert f"from {low:.2f} to {high:.2f}" in factors


def test_a_difference_is_called_one_only_beyond_two_standard_errors(schools):
    (said, _) = second(schools, elpd_diff=-9.0, se_diff=5.0)
    assert "could be so by chance: elpd differs by 9.0 (se 5.0)" in said
    (said, _) = second(schools, elpd_diff=-9.0, se_diff=4.0)
    assert "predicts better than" in said
    assert "chance" not in said
    (said, _) = second(schools, elpd_diff=-3.9, se_diff=0.1)
    assert "equally well" in said


def test_bad_terms_and_those_without_a_prediction_are_counted(schools):
    said = second(schools, bad_k=3)
    name = {"partial": "partial", "complete": "complete"}[schools.elpd["pooling"].iloc[1]]
    assert f"Pareto k is bad in 3 terms under {name} pooling" in said[1]
    assert "refit='bad'" in said[1]
    fewer = schools.elpd.assign(terms=[6, 6, 0])
    said = pooling_comparison.conclusions(dataclasses.replace(schools, elpd=fewer))
    assert said[1] == ("2 of 8 terms left out of all strategies, as one of them has no prediction.")


def test_with_one_strategy_scored_there_is_nothing_to_compare(schools):
    (said, _) = second(schools, elpd=float("nan"))
    assert said == "For a new school there is nothing to compare."


def test_many_groups_are_cut_short_and_said_to_be(schools):
    frame, _ = hm.datasets.simulate_one_way(groups=15, size=4, mu=3, tau=1, sigma=1, seed=2)
    c = hm.compare_pooling(hm.OneWay(frame, y="y", group="group"), seed=1, draws=200)
    table, left = pooling_comparison.short(c)
    assert len(table) == 12
    assert left == " (first 12 of 15; all are in .estimates)"
    assert "Estimates (first 12 of 15" in str(c)
    assert pooling_comparison.short(schools)[1] == ""


@pytest.mark.parametrize(
    ("x", "said"),
    [(0.0, "0"), (1234.5, "1234"), (-30.742, "-30.7"), (0.01234, "0.0123"), (3e9, "3e+09")],
)
def test_numbers_have_three_digits(x, said):
    assert pooling_comparison._number(x) == said
