"""Frames: every kind of label, every kind of bad column, with the message it gives."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import hiermodels as hm
from hiermodels.data import files, frames
from hiermodels.errors import ColumnError, DataError, DataWarning, OptionError

FRAME = pd.DataFrame(
    {
        "school": ["b", "a", "b", "c", "a"],
        "score": [1.0, 2.0, 3.0, 4.0, 5.0],
        "ses": [0.1, 0.2, 0.3, 0.4, 0.6],
        "sex": ["M", "F", "F", "M", "F"],
    }
)


def take(frame: Any = FRAME, **options: Any) -> frames.Table:
    options = {"roles": {"y": "score"}, "group": "school", **options}
    return frames.table(frame, **options)


def test_labels_stand_in_order_of_first_appearance() -> None:
    groups = take().groups
    assert groups.labels.tolist() == ["b", "a", "c"]
    assert groups.index.tolist() == [0, 1, 0, 2, 1]
    assert groups.sizes.tolist() == [2, 2, 1]


def test_labels_of_a_categorical_stand_in_order_of_its_categories_without_unused_ones() -> None:
    school = pd.Categorical(FRAME["school"], categories=["c", "z", "b", "a"])
    groups = take(FRAME.assign(school=school)).groups
    assert groups.labels.tolist() == ["c", "b", "a"]
    assert groups.labels[groups.index].tolist() == ["b", "a", "b", "c", "a"]


def test_integer_labels_stay_integers_even_where_pandas_made_them_floats() -> None:
    assert take(FRAME.assign(school=[3, 1, 3, 2, 1])).groups.labels.tolist() == [3, 1, 2]
    labels = take(FRAME.assign(school=[3.0, 1.0, 3.0, 2.0, 1.0])).groups.labels
    assert labels.dtype.kind == "i"


@pytest.mark.parametrize(
    "convert",
    [
        lambda f: f,
        pl.from_pandas,
        lambda f: pl.from_pandas(f).lazy(),
        lambda f: pa.Table.from_pandas(f),
        lambda f: f.convert_dtypes(),
    ],
    ids=["pandas", "polars", "polars lazy", "pyarrow", "pandas nullable"],
)
def test_any_frame_gives_the_same_table(convert: Any) -> None:
    table = take(convert(FRAME), predictors=["ses", "sex"])
    np.testing.assert_array_equal(table.numeric["score"], FRAME["score"])
    assert table.groups.labels.tolist() == ["b", "a", "c"]
    np.testing.assert_array_equal(table.predictors["sex[M]"], [1, 0, 0, 1, 0])


def test_the_first_level_of_text_is_the_alphabets_and_of_a_categorical_its_first() -> None:
    assert list(take(predictors=["sex"]).predictors) == ["sex[M]"]
    sex = pd.Categorical(FRAME["sex"], categories=["M", "F"])
    assert list(take(FRAME.assign(sex=sex), predictors=["sex"]).predictors) == ["sex[F]"]


def test_a_boolean_predictor_is_coded_0_and_1() -> None:
    table = take(FRAME.assign(new=[True, False, True, True, False]), predictors=["new"])
    np.testing.assert_array_equal(table.predictors["new"], [1, 0, 1, 1, 0])


@pytest.mark.parametrize("name", ["data.csv", "data.csv.gz", "data.parquet", "data.tsv"])
def test_a_path_is_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith(".parquet"):
        FRAME.to_parquet(path)
    elif name.endswith(".gz"):
        with gzip.open(path, "wt") as file:
            FRAME.to_csv(file, index=False)
    else:
        FRAME.to_csv(path, index=False, sep="\t" if name.endswith("tsv") else ",")
    assert take(path).groups.labels.tolist() == ["b", "a", "c"]
    assert take(str(path)).numeric["score"].tolist() == [1, 2, 3, 4, 5]


def test_missing_values_are_counted_by_column_and_refused() -> None:
    frame = FRAME.assign(score=[1, np.nan, 3, 4, 5], ses=[0.1, np.nan, 0.3, 0.4, np.nan])
    with pytest.raises(
        DataError, match=r"2 of 5 rows have missing values \(score: 1, ses: 2\); .*missing='drop'"
    ):
        take(frame, predictors=["ses"])


def test_dropping_says_how_many_rows_went_and_where_the_others_stood() -> None:
    frame = FRAME.assign(school=["b", None, "b", "c", "a"])
    with pytest.warns(DataWarning, match=r"1 of 5 rows .*\(school: 1\) and were dropped"):
        table = take(frame, missing="drop")
    assert table.dropped == 1
    assert table.rows.tolist() == [0, 2, 3, 4]


def test_missing_values_of_every_frame_are_seen() -> None:
    frame = pl.DataFrame({"school": ["a", None, "b"], "score": [1.0, 2.0, None]})
    with pytest.raises(DataError, match=r"2 of 3 rows .*\(school: 1, score: 1\)"):
        take(frame)
    with pytest.raises(DataError, match=r"1 of 2 rows .*\(score: 1\)"):
        take(pd.DataFrame({"school": ["a", "b"], "score": pd.array([1, pd.NA], dtype="Int64")}))


def column(name: str, values: Any) -> pd.DataFrame:
    return FRAME.assign(**{name: values})


INFINITE = [1.0, np.inf, 3.0, -np.inf, 5.0]

BAD: list[tuple[str, Any, dict[str, Any], type[Exception], str]] = [
    ("missing column", FRAME, {"roles": {"y": "scores"}}, ColumnError,
     r"y: the data frame has no column 'scores'; it has 'school', 'score'.*did you mean 'score'"),
    ("column in other case", FRAME, {"group": "SCHOOL"}, ColumnError, "did you mean 'school'"),
    ("a position for a name", FRAME, {"group": 0}, OptionError,
     r"group must be the name of a column \(a string\), got 0"),
    ("text for numbers", FRAME, {"roles": {"y": "sex"}}, DataError,
     r"y='sex' must be a column of numbers, got text in all 5 rows, first '\w' in row 0 \(counted"),
    ("booleans for numbers", column("score", [True] * 5), {}, DataError,
     "y='score' must be a column of numbers, got True and False; a normal"),
    ("dates for numbers", column("score", pd.date_range("2026-01-01", periods=5)), {}, DataError,
     "y='score' must be a column of numbers, got datetime"),
    ("infinite", column("score", INFINITE), {}, DataError,
     "column 'score' must be finite, got 2 infinite values in 5 rows"),
    ("empty", FRAME.iloc[:0], {}, DataError, "the data frame is empty: it has columns but no rows"),
    ("all missing", column("score", [np.nan] * 5), {"missing": "drop"}, DataError,
     "5 of 5 rows have missing values .* none is left to fit"),
    ("a column used twice", FRAME, {"predictors": ["score"]}, DataError,
     "column 'score' is used twice, as y and as predictor"),
    ("a reserved name", FRAME.rename(columns={"score": "draw"}), {"roles": {"y": "draw"}},
     DataError, "y: the column name 'draw' is reserved"),
    ("a group named as a parameter", FRAME.rename(columns={"school": "theta"}),
     {"group": "theta"}, DataError, "group: the column name 'theta' is reserved"),
    ("a name that no file can hold", FRAME.rename(columns={"score": "score/points"}),
     {"roles": {"y": "score/points"}}, DataError, "cannot be a variable's name in a NetCDF file"),
    ("mixed labels", column("school", ["a", 1, "b", 2, "a"]), {}, DataError,
     r"labels in column 'school' must be all of one type, got a mix of int, str; .*astype\(str\)"),
    ("measured labels", column("school", [0.5, 1.5, 0.5, 2.0, 1.5]), {}, DataError,
     "group labels in column 'school' must be strings or integers, got numbers with fractions"),
    ("a factor of one level", column("sex", "F"), {"predictors": ["sex"]}, DataError,
     "predictor 'sex' must vary, got the one value 'F' in all rows"),
    ("not a frame", {"school": [1]}, {}, OptionError, "frame must be a data frame .*, got dict"),
    ("a series", FRAME["score"], {}, OptionError, "frame must be a data frame"),
    ("an unknown missing=", FRAME, {"missing": "ignore"}, OptionError,
     "missing must be 'raise' or 'drop', got 'ignore'"),
    ("columns of one name", pd.concat([FRAME, FRAME[["score"]]], axis=1), {}, DataError, "score"),
    ("no such file", "no/such/file.csv", {}, DataError, "no such file 'no/such/file.csv'"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("frame", "options", "error", "message"),
    [case[1:] for case in BAD],
    ids=[case[0] for case in BAD],
)
def test_bad_input_is_refused_with_its_reason(
    frame: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        take(frame, **options)


def test_a_text_column_with_a_level_for_each_row_is_no_factor() -> None:
    frame = pd.DataFrame({"school": ["a", "b"] * 60, "score": range(120)})
    frame["id"] = [f"pupil {i}" for i in range(120)]
    with pytest.raises(DataError, match="at most 100 levels, got text with 120 levels"):
        take(frame, predictors=["id"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data.txt", b"a", r"'data.txt' must end in .csv, .tsv, .csv.gz, .tsv.gz or .parquet"),
        ("data.csv", b"a;b\n1;2\n", "must be separated by commas, got semicolons"),
        ("data.csv", b"", "'data.csv' must have the names of its columns in its first"),
        ("data.parquet", b"not parquet", "'data.parquet' could not be read as parquet"),
        ("data.csv", b"\xff\xfe\x00bad\x80", "'data.csv' could not be read as csv"),
    ],
)
def test_a_file_of_the_wrong_kind_is_refused(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        files.read(path)


def test_integers_with_a_gap_become_categories_of_floats_and_stay_labels() -> None:
    school = pd.Series([3.0, 1.0, 3.0, None, 1.0]).astype("category")
    with pytest.warns(DataWarning, match="1 of 5 rows"):
        groups = take(FRAME.assign(school=school), missing="drop").groups
    assert groups.labels.tolist() == [1, 3]


def test_two_coefficients_cannot_have_one_name() -> None:
    frame = FRAME.assign(**{"sex[M]": FRAME["ses"]})
    with pytest.raises(DataError, match=r"two columns would have a coefficient named 'sex\[M\]'"):
        take(frame, predictors=["sex", "sex[M]"])


def test_an_empty_folder_is_no_data_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder without CSV or Parquet files; name a file"):
        files.read(tmp_path)


@pytest.mark.parametrize("missing", ["raise", "drop"])
def test_levels_are_kept_with_the_one_that_is_not_coded(missing: str) -> None:
    table = take(predictors=["sex", "ses"], missing=missing)
    assert table.levels == {"sex": ("F", "M")}
    assert table.sources == {"sex": ("sex[M]",), "ses": ("ses",)}


@pytest.mark.parametrize(
    ("frame", "lazy"),
    [
        (FRAME, False),
        (pl.from_pandas(FRAME), False),
        (pl.from_pandas(FRAME).lazy(), True),
        (pa.Table.from_pandas(FRAME), False),
    ],
    ids=["pandas", "polars", "polars lazy", "pyarrow"],
)
def test_a_lazy_frame_is_told_from_others(frame: Any, lazy: bool) -> None:
    assert frames.is_lazy(frame) == lazy


TWICE = pd.DataFrame([[1.0, 2.0, "a"], [2.0, 3.0, "b"]], columns=["y", "y", "g"])


@pytest.mark.parametrize("make", [hm.OneWay, hm.sufficient_statistics, frames.is_lazy])
def test_two_columns_of_one_name_are_refused_wherever_the_frame_comes_in(make: Any) -> None:
    options = {} if make is frames.is_lazy else {"y": "y", "group": "g"}
    lazy = pytest.importorskip("dask.dataframe").from_pandas(TWICE, npartitions=1)
    for frame in (TWICE, pa.table([[1.0], [2.0], ["a"]], names=["y", "y", "g"]), lazy):
        with pytest.raises(DataError, match="'y'") as caught:
            make(frame, **options)
        assert "\n" not in str(caught.value)
    with pytest.raises(OptionError, match=r"must be a data frame .*, got dict"):
        make({"y": [1.0]}, **options)


@pytest.mark.parametrize("name", ["statistic", "group_size", "x", "z", "score_mean"])
def test_a_group_named_as_something_in_the_container_is_refused_at_once(name: str) -> None:
    with pytest.raises(DataError, match=f"'{name}' is reserved"):
        take(FRAME.rename(columns={"school": name}), group=name)


def test_a_column_whose_name_is_a_number_is_not_the_text_of_it() -> None:
    data = FRAME.rename(columns={"score": 0})
    with pytest.raises(ColumnError, match=r"no column '0' but 0, which is no string; .*astype"):
        take(data, roles={"y": "0"})


@pytest.mark.parametrize("lazy", [False, True])
def test_levels_that_were_found_before_are_coded_as_they_were(lazy: bool) -> None:
    data: Any = pl.from_pandas(FRAME).with_columns(pl.col("sex").cast(pl.Categorical))
    if lazy:
        data = data.lazy()
    table = take(data, predictors=["sex"], levels={"sex": ("X", "M", "F")})
    assert list(table.predictors) == ["sex[M]", "sex[F]"]
    assert table.levels == {"sex": ("X", "M", "F")}
    np.testing.assert_array_equal(table.predictors["sex[F]"], [0, 1, 1, 0, 1])
    np.testing.assert_array_equal(table.predictors["sex[M]"], [1, 0, 0, 1, 0])
    with pytest.raises(DataError, match=r"data have changed .* 'sex' has now the level 'M', and"):
        take(data, predictors=["sex"], levels={"sex": ("F", "X")})


def test_the_baseline_of_a_polars_categorical_does_not_hang_on_the_order_of_the_rows() -> None:
    data = pl.from_pandas(FRAME)
    for rows in (data, data.reverse()):
        made = rows.with_columns(pl.col("sex").cast(pl.Categorical))
        assert take(made, predictors=["sex"]).levels == {"sex": ("F", "M")}
    given = data.with_columns(pl.col("sex").cast(pl.Enum(["M", "F"])))
    assert take(given, predictors=["sex"]).levels == {"sex": ("M", "F")}


@pytest.mark.parametrize("lazy", [False, True])
def test_a_list_is_no_name_of_a_column(lazy: bool) -> None:
    data: Any = pl.from_pandas(FRAME)
    with pytest.raises(OptionError, match=r"group must be the name of a column .*, got \['school'"):
        take(data.lazy() if lazy else data, group=["school"])


def test_only_the_columns_that_are_used_are_taken_from_a_lazy_frame() -> None:
    data = pl.from_pandas(FRAME).lazy().with_columns(bad=pl.col("sex").str.to_integer())
    assert len(take(data).rows) == 5
