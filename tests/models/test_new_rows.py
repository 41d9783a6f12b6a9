"""Rows of another frame: the model's columns, levels and groups, and what is unlike them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import hiermodels as hm
from hiermodels.errors import ColumnError, DataError, DataWarning, OptionError
from hiermodels.models import new_rows
from tests.dataframes import EAGER


def pupils(n: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"x": rng.normal(size=n), "y": rng.normal(size=n)})
    frame["school"] = np.array(["Ash", "Birch", "Cedar", "Date"])[np.arange(n) % 4]
    frame["sex"] = np.where((np.arange(n) % 3 == 0) | (np.arange(n) % 7 == 1), "M", "F")
    frame["day"] = np.array(["mon", "tue", "wed"])[np.arange(n) % 3]
    frame["paid"] = np.arange(n) % 5 == 0
    return frame


def model(frame: Any = None, **options: Any) -> hm.VaryingSlopes:
    frame = pupils() if frame is None else frame
    options = {"varying": ["x"], "common": ["sex", "day", "paid"]} | options
    return hm.VaryingSlopes(frame, y="y", group="school", **options)


def schools(**options: Any) -> hm.EightSchools:
    frame = hm.datasets.eight_schools()
    return hm.EightSchools(frame, effect="effect", se="se", group="school", **options)


def test_the_rows_that_were_fitted_are_read_as_they_were() -> None:
    m = model()
    found, own = new_rows.read(m, pupils().drop(columns="y"), "same").rows, m.design.rows("a test")
    for name in ("index", "z", "x", "places"):
        np.testing.assert_array_equal(getattr(found, name), getattr(own, name))
    assert np.isnan(found.y).all()


def test_a_frame_with_one_level_of_a_factor_is_coded_as_the_model_does() -> None:
    m = model()
    frame = pupils().loc[[0, 3, 6]]
    assert frame["sex"].unique().tolist() == ["M"]
    x = new_rows.read(m, frame, "same").rows.x
    assert m.design.predictors == ("sex[M]", "day[tue]", "day[wed]", "paid")
    np.testing.assert_array_equal(x, [[1, 0, 0, 1], [1, 0, 0, 0], [1, 0, 0, 0]])
    # The order of a categorical's levels is another matter.
    frame["day"] = pd.Categorical(frame["day"], categories=["wed", "mon", "tue"])
    np.testing.assert_array_equal(new_rows.read(m, frame, "same").rows.x, x)


def test_labels_are_counted_as_the_models_own_or_as_they_come() -> None:
    m = model()
    frame = pupils().iloc[[2, 1, 2]]
    same, new = new_rows.read(m, frame, "same"), new_rows.read(m, frame, "new")
    assert same.rows.index.tolist() == [2, 1, 2]
    assert new.rows.index.tolist() == [0, 1, 0]
    for found in (same, new):
        assert found.labels[found.place].tolist() == ["Cedar", "Birch", "Cedar"]
    # Categories have an order of their own, and some that no row has.
    frame["school"] = pd.Categorical(frame["school"], ["Date", "Cedar", "None", "Birch"])
    same, new = new_rows.read(m, frame, "same"), new_rows.read(m, frame, "new")
    assert same.rows.index.tolist() == [2, 1, 2]
    assert new.labels.tolist() == ["Cedar", "Birch"]
    assert new.labels[new.rows.index].tolist() == ["Cedar", "Birch", "Cedar"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            ["Birhc", "Ash"],
            r"no group of the label 'Birhc' \(target='new' .*; did you mean 'Birch'\?",
        ),
        (
            ["Xyz", "Uvw"],
            r"no group of the labels 'Xyz', 'Uvw' \(target='new' predicts groups that.*seen\)$",
        ),
    ],
)
def test_unknown_groups_are_refused_with_the_near_misses(labels: Any, message: str) -> None:
    frame = pupils().iloc[:2].assign(school=labels)
    with pytest.raises(DataError, match=message):
        new_rows.read(model(), frame, "same")
    assert len(new_rows.read(model(), frame, "new")) == 2


def test_labels_of_another_type_are_refused_with_the_way_to_the_right_one() -> None:
    frame = pupils().assign(school=np.arange(40) % 4)
    numbers, text = model(frame), model(frame.assign(school=frame["school"].astype(str)))
    with pytest.raises(DataError, match=r"labels are text: frame\['school'\].astype\(str\)"):
        new_rows.read(text, frame, "same")
    with pytest.raises(DataError, match=r"labels are integers: frame\['school'\].astype\(int\)"):
        new_rows.read(numbers, frame.assign(school=frame["school"].astype(str)), "same")
    # Also where the first of them is no group in either type.
    with pytest.raises(DataError, match=r"label.*'99'.*; its labels are integers: frame"):
        new_rows.read(numbers, frame[:2].assign(school=["99", "1"]), "same")


def test_columns_of_another_kind_are_refused() -> None:
    m = model()
    with pytest.raises(DataError, match=r"predictor 'x' must be a column of numbers, got text"):
        new_rows.read(m, pupils().assign(x="1"), "same")
    for other in (1, True):
        with pytest.raises(DataError, match=r"'sex' must be text with the levels 'F', 'M'"):
            new_rows.read(m, pupils().assign(sex=other), "same")
    # Booleans were 0 and 1 to the model.
    number = new_rows.read(m, pupils().assign(paid=pupils()["paid"].astype(int)), "same")
    np.testing.assert_array_equal(number.rows.x, m.design.rows("a test").x)


def test_unknown_levels_are_refused_with_the_near_misses() -> None:
    m = model()
    with pytest.raises(DataError, match=r"'day' must have levels .* got 'wedn'; did .* 'wed'"):
        new_rows.read(m, pupils().iloc[:2].assign(day=["mon", "wedn"]), "same")
    with pytest.raises(DataError, match=r"'sex' must have levels .* got 'x'; recode them"):
        new_rows.read(m, pupils().iloc[:2].assign(sex=["x", "F"]), "same")


def test_statistics_without_levels_predict_frames_that_have_them_all() -> None:
    found = hm.sufficient_statistics(
        pupils(), y="y", group="school", columns=["x", "sex", "day", "paid"]
    )
    m = model(dataclasses.replace(found, levels={}))
    np.testing.assert_array_equal(
        new_rows.read(m, pupils(), "same").rows.x, model().design.rows("a test").x
    )
    with pytest.raises(DataError, match=r"'day' must be coded as in the statistics .* anew"):
        new_rows.read(m, pupils().query("day != 'mon'"), "same")


def test_missing_columns_are_named_and_the_response_is_none_of_them() -> None:
    with pytest.raises(ColumnError, match=r"predictor: .* no column 'day'"):
        new_rows.read(model(), pupils().drop(columns=["y", "day"]), "same")
    with pytest.raises(ColumnError, match=r"group: .* no column 'school'.* did you mean 'School'"):
        new_rows.read(model(), pupils().rename(columns={"school": "School"}), "new")
    assert len(new_rows.read(model(), pupils().drop(columns="school"), "average")) == 40


def test_rows_with_missing_values_are_refused_or_dropped_as_the_model_does() -> None:
    frame = pupils().iloc[:4].set_axis(list("abcd"))
    frame.loc["b", "x"] = np.nan
    frame.loc["c", "y"] = np.nan  # nobody's business
    with pytest.raises(DataError, match=r"1 of 4 rows have missing values \(x: 1\)"):
        new_rows.read(model(), frame, "same")
    with pytest.warns(DataWarning, match="1 of 4 rows"):
        found = new_rows.read(model(missing="drop"), frame, "same")
    assert found.dropped == 1
    assert found.index.tolist() == ["a", "c", "d"]
    frame.loc["a", "school"] = None
    with pytest.warns(DataWarning, match=r"1 of 4 rows .*x: 1\)"):
        new_rows.read(model(missing="drop"), frame, "average")


def test_standard_errors_are_above_0_or_not_there() -> None:
    frame = pd.DataFrame({"school": ["A", "B", "C"], "se": [1.0, 0.0, -1.0]})
    with pytest.raises(DataError, match="se='se' must be above 0 in every row, got 2 that are not"):
        new_rows.read(schools(), frame, "same")
    with pytest.raises(DataError, match="got 1 that are not; leave the column out to predict"):
        new_rows.read(schools(), frame.iloc[:2], "same")
    found = new_rows.read(schools(), frame.drop(columns="se"), "same")
    assert found.rows.se is None
    assert new_rows.read(schools(), frame.assign(se=2.0), "new").rows.se.tolist() == [2.0] * 3


@pytest.mark.parametrize("kind", EAGER)
def test_frames_of_every_kind_are_read_alike(kind: str, tmp_path: Path) -> None:
    m = model()
    frame = EAGER[kind](pupils(), None, tmp_path)
    found, own = new_rows.read(m, frame, "same").rows, m.design.rows("a test")
    np.testing.assert_array_equal(found.x, own.x)
    np.testing.assert_array_equal(found.index, own.index)
    assert len(new_rows.read(m, frame, "average")) == 40


@pytest.mark.parametrize("kind", ["polars lazy", "file", "files"])
@pytest.mark.parametrize("target", ["same", "average"])
def test_lazy_frames_and_files_are_read_alike(kind: str, target: str, tmp_path: Path) -> None:
    m, own = model(), model().design.rows("a test")
    frame: Any = tmp_path / "new.csv"
    pupils().to_csv(frame, index=False)
    if kind == "polars lazy":
        frame = pl.from_pandas(pupils()).lazy()
    elif kind == "files":
        pytest.importorskip("duckdb")
        frame = str(tmp_path / "n*.csv")
    found = new_rows.read(m, frame, target)
    np.testing.assert_array_equal(found.rows.z, own.z)
    assert found.index.tolist() == list(range(40))


def test_a_frame_of_rows_without_columns_has_average_groups() -> None:
    m = hm.OneWay(pupils(), y="y", group="school")
    assert len(new_rows.read(m, pd.DataFrame(index=["a", "b"]), "average")) == 2
    with pytest.raises(OptionError, match="frame must be a data frame"):
        new_rows.read(m, [1, 2], "average")
    with pytest.raises(DataError, match="empty"):
        new_rows.read(m, pupils().iloc[:0], "same")


@pytest.mark.parametrize(
    ("index", "plain"),
    [
        (["b", "a", "a"], ["b", "a", "a"]),
        ([7, 5, 6], [7, 5, 6]),
        (pd.date_range("2024-01-01", periods=3), None),
        (pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)]), [0, 1, 2]),
        (["a", 1, None], [0, 1, 2]),
        (pd.date_range("2024-01-01", periods=3, tz="UTC"), [0, 1, 2]),
    ],
)
def test_the_labels_of_the_rows_are_kept_where_a_file_can_hold_them(index: Any, plain: Any) -> None:
    frame = pupils().iloc[:3].set_axis(index)
    found = new_rows.read(model(), frame, "same")
    assert found.index.equals(frame.index)
    kept = found.plain_index
    assert kept.tolist() == (index.to_numpy().tolist() if plain is None else plain)
    assert kept.dtype.kind in "UifM"
