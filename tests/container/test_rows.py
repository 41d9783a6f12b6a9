"""The rows of a container are those that the model was made from."""

from __future__ import annotations

import numpy as np
import pytest

import hiermodels as hm
from hiermodels.container import inference_data as idatas
from hiermodels.container.rows import columns_of, fitted_rows
from hiermodels.errors import ContainerError


def test_rows_come_back_as_the_model_has_them() -> None:
    frame, _ = hm.datasets.simulate_varying_slopes(groups=6, seed=3)
    frame["w"] = np.arange(len(frame)) % 7 - 3.0
    model = hm.VaryingSlopes(frame, y="y", group="group", varying=["x1"], common=["w"])
    rows = fitted_rows(model.fit(engine="exact", seed=1), "a test")
    mine = model.design.rows("a test")
    for name in ("y", "index", "z", "x", "places"):
        np.testing.assert_array_equal(getattr(rows, name), getattr(mine, name))
    np.testing.assert_array_equal(rows.labels, model.design.labels)
    np.testing.assert_array_equal(rows.sizes, model.design.sizes)
    assert rows.coefficients == ("Intercept", "x1")
    assert (rows.response, rows.group, rows.dim, rows.se) == ("y", "group", "observation", None)


def test_where_each_group_is_one_estimate_rows_are_groups() -> None:
    frame = hm.datasets.eight_schools()
    model = hm.EightSchools(frame, effect="effect", se="se", group="school")
    rows = fitted_rows(model.fit(engine="exact", seed=1), "a test")
    assert (rows.response, rows.group, rows.dim) == ("effect", "school", "school")
    np.testing.assert_array_equal(rows.y, frame["effect"])
    np.testing.assert_array_equal(rows.se, frame["se"])
    assert rows.places.tolist() == rows.labels.tolist() == frame["school"].tolist()
    assert rows.sizes.tolist() == [1] * 8


def test_a_container_without_rows_or_of_another_origin_says_so() -> None:
    found = hm.sufficient_statistics(hm.datasets.mathscore(), y="mathscore", group="school")
    idata = hm.OneWay(found, y="mathscore", group="school").fit(engine="exact", seed=1)
    with pytest.raises(ContainerError, match="a test needs the rows, and the container holds none"):
        fitted_rows(idata, "a test")
    draws = idatas.dataset(idata, "posterior")
    draws.attrs = {}
    for attrs in ({}, {"columns": "mu tau"}, {"columns": "[1]"}):
        other = idatas.container({"posterior": draws}, attrs)
        assert columns_of(other) == {}
        with pytest.raises(ContainerError, match=r"a test needs a fit by model\.fit"):
            fitted_rows(other, "a test")
