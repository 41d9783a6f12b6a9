"""Which data a leave-one-out is of, and which of its terms have no prediction."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hiermodels as hm
from hiermodels.container import inference_data as idatas
from hiermodels.errors import ContainerError, DataWarning
from hiermodels.posterior.loo_terms import (
    Observed,
    difference,
    observed,
    other_labels,
    without_prediction,
)
from tests import regressions

FLAT = {"mu": hm.Flat(), "tau": hm.Flat()}


def one_way(sizes: Any, **truth: Any) -> pd.DataFrame:
    return hm.datasets.simulate_one_way(
        groups=len(sizes), size=np.array(sizes), seed=4, **({"mu": 2, "tau": 1, "sigma": 1} | truth)
    )[0]


def bare(model: Any, **priors: Any) -> Any:
    """A container of a model's data and attributes, which is all that is looked at."""
    from hiermodels.models import layout, provenance

    attrs = provenance.attributes(model, 1)
    attrs["priors"] = json.dumps(json.loads(attrs["priors"]) | priors)
    return idatas.container(layout.data(model), attrs)


def undefined(model: Any, unit: str = "observation", **priors: Any) -> list[int]:
    d = model.design
    terms = d.J if unit == "group" or d.observation_dim == d.group else d.N
    mask, why = without_prediction(bare(model, **priors), unit, terms)
    assert bool(why) == bool(mask.any())
    return np.flatnonzero(mask).tolist()


# ---- without pooling ----------------------------------------------------------------------------


def test_a_row_alone_in_its_group_is_undefined():
    frame = one_way([1, 3, 2, 1])
    assert undefined(regressions.one_way(frame, "none")) == [0, 6]
    assert undefined(regressions.one_way(frame, "none", theta=hm.Normal(0, 9))) == []
    assert undefined(regressions.one_way(frame, "complete")) == []
    assert undefined(hm.OneWay(frame, y="y", group="group")) == []


def test_schools_by_themselves_are_all_undefined_unless_the_prior_speaks():
    assert undefined(regressions.eight_schools("none")) == list(range(8))
    assert undefined(regressions.eight_schools("none", theta=hm.Normal(0, 20))) == []
    assert undefined(regressions.eight_schools("complete")) == []


@pytest.mark.filterwarnings("ignore:.*too small for a regression of their own")
def test_a_row_that_alone_tells_a_slope_is_undefined():
    """Leverage 1: a group of as many rows as coefficients, and one whose slope hangs on a row."""
    frame = pd.DataFrame(
        {
            "group": ["a"] * 2 + ["b"] * 4 + ["c"] * 5,
            "x1": [1.0, 2, 0, 0, 0, 7, 1, 2, 3, 4, 5],
            "y": np.sin(np.arange(11.0)),
        }
    )
    assert undefined(regressions.slopes(frame, "none")) == [0, 1, 5]
    # With a proper prior on the slope the intercept needs but one other row.
    assert undefined(regressions.slopes(frame, "none", theta={"x1": hm.Normal(0, 1)})) == []
    one = {"theta": {"Intercept": hm.Normal(0, 1), "x1": hm.Flat()}}
    # b's slope through a known height at 0 is told by its last row only, a's by either.
    zero = regressions.slopes(frame, "none", **one).replace(intercept_at="zero")
    assert undefined(zero) == [5]


def test_far_columns_do_not_pass_for_collinear_ones():
    frame = one_way([6, 6, 6]).assign(x1=lambda _: 1e6 + np.arange(18) % 6)
    assert undefined(regressions.slopes(frame, "none")) == []


def test_the_rows_that_are_said_to_be_undefined_are_those_of_leverage_one():
    """The exact leave-one-out, by other means, has none for the same rows."""
    frame = hm.datasets.simulate_varying_slopes(
        groups=4, size=np.array([2, 3, 5, 2]), mu=(1, 2), tau=(1, 1), Omega=0, sigma=1, seed=6
    )[0]
    model = regressions.slopes(frame, "none")
    exact = regressions.exact_loo(model)
    assert undefined(model) == np.flatnonzero(np.isnan(exact)).tolist() == [0, 1, 10, 11]


def test_rows_elsewhere_are_told_by_the_sizes_or_refused():
    pl = pytest.importorskip("polars")
    both = pl.from_pandas(one_way([3, 2])).lazy()
    assert undefined(regressions.one_way(both, "none")) == []
    lone = pl.from_pandas(one_way([3, 1, 2])).lazy()
    with pytest.raises(ContainerError, match=r"'theta' has a flat prior.*data frame in memory"):
        undefined(regressions.one_way(lone, "none"))


# ---- other flat priors --------------------------------------------------------------------------


def test_a_level_that_one_group_alone_has_is_undefined_by_group_under_a_flat_prior():
    frame = one_way([3, 3, 3, 3]).assign(kind=[0.0] * 9 + [1.0, 1.0, 1.0])
    frame["x1"] = np.cos(np.arange(12.0))
    model = hm.VaryingSlopes(
        frame,
        y="y",
        group="group",
        varying=["x1"],
        common=["kind"],
        priors={"beta": hm.Flat()},
        # At the centre of kind the other groups, and the intercept's own prior, speak of it.
        intercept_at="zero",
    )
    assert undefined(model, "group") == [3]
    assert undefined(model.replace(intercept_at="centre"), "group") == []
    assert undefined(model) == []
    assert undefined(model.replace(priors={}), "group") == []
    # A level that one row has is told by it alone.
    one_row = frame.assign(kind=[0.0] * 11 + [1.0])
    assert undefined(model.replace(frame=one_row)) == [11]


def test_a_group_of_most_rows_is_not_all_that_tells_a_coefficient():
    """Its leverages add up to more than 1, but in no direction are the others silent."""
    frame = one_way([30, 3, 3, 3]).assign(x1=np.cos(np.arange(39.0)))
    model = hm.VaryingSlopes(frame, y="y", group="group", varying=["x1"], priors={"mu": hm.Flat()})
    assert undefined(model, "group") == []
    alone = frame.assign(x1=np.where(frame["group"] == 1, frame["x1"], 0))
    with pytest.warns(DataWarning, match="varies within one group only"):
        model = model.replace(frame=alone)
    assert undefined(model, "group") == [0]


def test_three_groups_are_not_one_too_many_under_flat_priors():
    """Without one of them a flat tau has no posterior, unless mu's prior is proper."""
    frame = one_way([3, 3, 1])
    priors = FLAT | {"sigma": hm.HalfNormal(1)}
    model = hm.OneWay(frame, y="y", group="group", priors=priors)
    assert undefined(model, "group") == [0, 1, 2]
    assert undefined(model) == [6]
    assert undefined(model.replace(priors=priors | {"mu": hm.Normal(0, 9)}), "group") == []
    four = hm.OneWay(one_way([3, 3, 1, 2]), y="y", group="group", priors=priors)
    assert undefined(four, "group") == []
    schools = hm.datasets.eight_schools()[:3]
    few = hm.EightSchools(schools, effect="effect", se="se", group="school", priors=FLAT)
    assert undefined(few) == undefined(few, "group") == [0, 1, 2]
    # As the exact answer has it.
    with pytest.raises(hm.errors.ExactError, match="too few to leave one out"):
        hm.exact.posterior(few).loo()


def test_a_sigma_of_its_own_with_an_improper_prior_needs_rows_beyond_the_one():
    frame = one_way([2, 3, 4])
    for prior, rows in ((hm.LogFlat(), [0, 1]), (hm.HalfNormal(1), [])):
        model = hm.OneWay(
            frame, y="y", group="group", sigma="group", pooling="none", priors={"sigma": prior}
        )
        assert undefined(model) == rows
    new = hm.OneWay(frame, y="y", group="group", sigma="group", priors={"sigma": hm.LogFlat()})
    assert undefined(new, "group") == [0, 1, 2]
    assert undefined(new.replace(priors={"sigma": hm.HalfNormal(1)}), "group") == []


# ---- the data -----------------------------------------------------------------------------------


def of(frame: Any, **options: Any) -> Observed:
    model = hm.OneWay(frame, **({"y": "y", "group": "group"} | options))
    return observed(bare(model), options.get("y", "y"))


ROWS = one_way([2, 3, 4])


def test_a_container_says_what_it_is_of():
    found = of(ROWS)
    np.testing.assert_array_equal(found.y, ROWS["y"])
    grouped = ROWS.groupby("group")["y"]
    np.testing.assert_allclose(found.means, grouped.mean())
    np.testing.assert_allclose(found.squares, grouped.var(ddof=0) * grouped.size())
    assert found.sizes.tolist() == [2, 3, 4]
    assert found.group == "group"
    schools = observed(bare(regressions.eight_schools("complete")), "effect")
    assert schools.labels.tolist() == list("ABCDEFGH")
    assert schools.sizes.tolist() == [1] * 8
    np.testing.assert_array_equal(schools.means, hm.datasets.eight_schools()["effect"])
    summed = of(hm.sufficient_statistics(ROWS, y="y", group="group"))
    assert summed.y is None
    np.testing.assert_allclose(summed.means, found.means)


@pytest.mark.parametrize("unit", ["observation", "group"])
def test_the_same_data_are_the_same(unit):
    assert difference(of(ROWS), of(ROWS.assign(more=1)), unit) is None
    summed = of(hm.sufficient_statistics(ROWS, y="y", group="group"))
    assert difference(of(ROWS), summed, unit) is None
    assert difference(summed, summed, unit) is None


@pytest.mark.parametrize(
    ("other", "by_row", "by_group"),
    [
        (ROWS.rename(columns={"y": "z"}), "responses are 'y' and 'z'", "responses are 'y' and 'z'"),
        (ROWS[:-1], "9 and 8 rows", "groups have other sizes"),
        (ROWS[:5], "9 and 5 rows", "3 and 2 groups; not in both: group 3"),
        (ROWS.assign(y=ROWS["y"] * 100), "one is 100 times the other", "one is 100 times the"),
        (ROWS.assign(y=ROWS["y"] + (ROWS.index == 4)), "in 1 of 9 rows", "in 1 of 3 groups"),
        (ROWS[::-1], "rows stand in another order", "groups stand in another order"),
        (ROWS.assign(group=ROWS["group"] + 10), None, "not in both: group 1, 2, 3 and 3 more"),
        (ROWS.rename(columns={"group": "g"}), None, "groups are 'group' and 'g'"),
    ],
    ids=["name", "row", "group", "units", "value", "order", "labels", "group name"],
)  # fmt: skip
def test_other_data_are_told_with_the_reason(other, by_row, by_group):
    names = {"y": "z" if "z" in other else "y", "group": "g" if "g" in other else "group"}
    mine, theirs = of(ROWS), of(other, **names)
    for unit, reason in (("observation", by_row), ("group", by_group)):
        said = difference(mine, theirs, unit)
        assert said == reason or reason in said


def test_rows_in_another_order_within_groups_are_the_same_groups():
    shuffled = ROWS.iloc[[1, 0, 4, 3, 2, 5, 6, 8, 7]]
    assert difference(of(ROWS), of(shuffled), "group") is None
    assert "another order" in difference(of(ROWS), of(shuffled), "observation")


def test_rows_of_another_spread_with_the_same_means_are_other_data():
    means = ROWS.groupby("group")["y"].transform("mean")
    other = ROWS.assign(y=means + 2 * (ROWS["y"] - means))
    assert difference(of(ROWS), of(other), "group") == "their groups have another spread"


def test_labels_are_compared_in_order():
    a = pd.Index(["a", "b", "c"])
    assert other_labels(a, pd.Index(["a", "b", "c"]), "row") is None
    assert other_labels(a, pd.Index(["a", "c", "b"]), "row") == "their rows stand in another order"
    assert other_labels(a, pd.Index(["a", "b"]), "row") == "3 and 2 rows; not in both: row 'c'"
    assert other_labels(a, pd.Index([0, 1, 2]), "row").startswith("not in both: row 'a', 'b', 'c'")
