"""Labels: every type of column, found by hash tables, as a loop over the rows would find them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from hiermodels.data import labels
from hiermodels.errors import DataError

K = [3, 1, 3, 0, 2, 1]


def of(values: Any) -> labels.Labels:
    return labels.of_series(nw.from_native(values, series_only=True), "school")


def objects(values: list[Any]) -> pd.Series:
    return pd.Series(values, dtype=object)


DAYS = [dt.date(2026, 1, 1 + k) for k in K]
CASES: dict[str, tuple[Any, list[Any]]] = {
    "integers": (pd.Series(K), K),
    "small integers": (pd.Series(K, dtype="int8"), K),
    "large integers": (pd.Series([2**63 + k for k in K], dtype="uint64"), [2**63 + k for k in K]),
    "whole floats": (pd.Series(K, dtype=float), K),
    "floats with a gap": (pd.Series([3, None, 3, 0, 2, np.nan]), [3, None, 3, 0, 2, None]),
    "nullable integers": (
        pd.Series([3, None, 3, 0, 2, 1], dtype="Int64"), [3, None, 3, 0, 2, 1]),
    "text": (pd.Series([f"s{k}" for k in K]), [f"s{k}" for k in K]),
    "text objects": (
        objects(["b", None, "a", np.nan, "b", pd.NA]), ["b", None, "a", None, "b", None]),
    "integers and whole floats": (objects([3, 1.0, 3.0, 0]), [3, 1, 3, 0]),
    "booleans": (pd.Series([True, False, True]), ["True", "False", "True"]),
    "dates": (objects(DAYS), [str(d) for d in DAYS]),
    "times": (pd.Series(pd.to_datetime(DAYS)), [f"{d} 00:00:00" for d in DAYS]),
    "lists": (objects([[1], [2], [1]]), ["[1]", "[2]", "[1]"]),
    "nothing": (objects([None, None]), [None, None]),
    "polars text": (pl.Series(["b", None, "a", "b"]), ["b", None, "a", "b"]),
    "polars text of nothing": (pl.Series([None, None], dtype=pl.String), [None, None]),
    "polars integers": (pl.Series([7, None, 5, 7]), [7, None, 5, 7]),
    "polars booleans": (pl.Series([True, None, False]), ["True", None, "False"]),
    "arrow text": (pa.chunked_array([["b", None], ["a", "b"]]), ["b", None, "a", "b"]),
    "integers on both sides of 2**63": (
        pd.Series([5, 2**63 + 1, 2**63, 5], dtype="uint64"), [5, 2**63 + 1, 2**63, 5]),
    "polars text by categories": (
        pl.Series(["w", None, "k", "w"], dtype=pl.Categorical), ["w", None, "k", "w"]),
    "polars integers of 128 bits": (
        pl.Series([2**63, None, 5], dtype=pl.Int128), [2**63, None, 5]),
    "decimals": (pl.Series([Decimal("2.00"), None, Decimal("1.00")]), [2, None, 1]),
    "long decimals": (
        pa.chunked_array([pa.array([Decimal(2**53 + 1), Decimal(2**53)])]), [2**53 + 1, 2**53]),
    "arrow integers": (pa.chunked_array([[7, None], [5, 7]]), [7, None, 5, 7]),
}  # fmt: skip


@pytest.mark.parametrize(("values", "expected"), CASES.values(), ids=CASES)
def test_each_row_has_its_label_and_levels_stand_as_they_first_appear(
    values: Any, expected: list[Any]
) -> None:
    found = of(values)
    assert found.levels.dtype.kind in "iuU"
    levels = found.levels.tolist()
    assert levels == list(dict.fromkeys(v for v in expected if v is not None))
    assert [None if i < 0 else levels[i] for i in found.index] == expected
    assert found.absent.tolist() == [v is None for v in expected]


CATEGORIES = ["c", "z", "b", "a"]
ROWS = ["b", "a", None, "c", "b"]


@pytest.mark.parametrize(
    "values",
    [
        pd.Series(pd.Categorical(ROWS, categories=CATEGORIES)),
        pl.Series(ROWS, dtype=pl.Enum(CATEGORIES)),
        pa.DictionaryArray.from_arrays(pa.array([2, 3, None, 0, 2]), pa.array(CATEGORIES)),
        pd.Series(
            pa.DictionaryArray.from_arrays(pa.array([2, 3, None, 0, 2]), pa.array(CATEGORIES)),
            dtype=pd.ArrowDtype(pa.dictionary(pa.int64(), pa.string())),
        ),
    ],
    ids=["pandas", "polars", "pyarrow", "pyarrow in pandas"],
)
def test_levels_of_a_categorical_stand_in_the_order_of_its_categories(values: Any) -> None:
    if isinstance(values, pa.DictionaryArray):
        values = pa.chunked_array([values])
    found = of(values)
    assert found.levels.tolist() == ["c", "b", "a"]
    assert found.index.tolist() == [1, 2, -1, 0, 1]


def test_categories_that_are_integers_stay_so() -> None:
    assert of(pd.Series(pd.Categorical(K, categories=[9, 3, 2, 1, 0]))).levels.tolist() == [
        3,
        2,
        1,
        0,
    ]
    numbers = pa.DictionaryArray.from_arrays(pa.array([1, 0]), pa.array([5, 4]))
    assert of(pa.chunked_array([numbers])).levels.tolist() == [5, 4]


def test_sorted_labels_are_the_same_labels() -> None:
    found = of(objects(["b", None, "a", "c", "b"])).in_order()
    assert found.levels.tolist() == ["a", "b", "c"]
    assert found.index.tolist() == [1, -1, 0, 2, 1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["a", 1], "a mix of int, str"),
        ([True, 1], "a mix of bool, int"),
        ([1, 1.5], "numbers with fractions"),
        ([1, Decimal("1.5")], "numbers with fractions"),
        ([Decimal(2**60) + Decimal("0.5")], "numbers with fractions"),
        ([2**64, 1], "must all fit 64 bits .* got 1 to 18446744073709551616; make the labels text"),
        ([1e300], "got a number of 301 digits to"),
        ([2**63, -1], "must all fit 64 bits .*; make the labels text"),
        ([1, 2.0**53 + 2], r"at most 2\*\*53 where they come as floats"),
        (["a"] * 200 + [1], "a mix of int, str"),
    ],
)
def test_labels_of_several_types_are_refused(values: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        of(objects(values))


def test_floats_are_labels_only_as_far_as_they_are_told_apart() -> None:
    assert of(pd.Series([2.0**53, -(2.0**53)])).levels.tolist() == [2**53, -(2**53)]
    # 2**53 + 3 has become the same float as 2**53 + 4.
    with pytest.raises(DataError, match=r"at most 2\*\*53 where they come as floats"):
        of(pd.Series([2**53 + 4, 2**53 + 3], dtype=float))
