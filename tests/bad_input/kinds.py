"""Kinds of columns: what may be a response, a predictor or a label, and what may not."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd

from tests.bad_input.case import Case, like_plain, rows

SAME = like_plain()
NEAR = like_plain(rtol=0.02)  # where the kind holds fewer digits
Y = rows()["y"]
DAYS = pd.date_range("2024-01-01", periods=24)


def _no_dates(came: str) -> str:
    return (
        f"predictor 'x' must be numbers or a factor, got {came}; make a column of numbers, such as "
        "the days since the first, or of categories if each is a level"
    )


def _no_numbers(came: str, hint: str = "convert the column to numbers first") -> str:
    return f"y='y' must be a column of numbers, got {came}; {hint}"


BOOLEANS = (
    "a normal model is wrong for two values; frame['y'].astype(int) fits one all the same, with a "
    "warning"
)


def finite(posterior, model):
    """finite draws of all parameters"""
    for name in posterior:
        assert np.isfinite(posterior[name]).all(), name


def _days(number):
    return pd.date_range("2024-01-01", periods=number).strftime("%Y-%m-%d").to_numpy()


def _three_days(posterior, model):
    """finite draws of all parameters, a coefficient for each day but the first"""
    finite(posterior, model)
    assert posterior["predictor"].values.tolist() == ["x[2024-01-02]", "x[2024-01-03]"]


def _labels(posterior, model):
    """the draws of the plain data, under these labels"""
    SAME(posterior, model)
    assert posterior.sizes["g"] == 6


def _of(labels, **more):
    each = [label for label in labels for _ in range(4)]
    return rows(g=pd.Series(each, dtype=object), **more)


def _texts(number, named, first):
    return (
        f"{number} of 24 rows have missing values (g: {number}), text that is blank or Python's "
        f"for a missing value among them ({named}); fill them in, or pass missing='drop' to leave "
        f"those rows out; if {first} is a label, rename it: frame['g'].replace({{{first}: "
        "'unnamed'})"
    )


def _alike(number, named, way):
    return (
        f"{number} of labels of group='g' look alike but are not equal ({named}), and each is a "
        "group of its own; if they are the same, merge them first, in pandas: frame['g'] = "
        f"frame['g']{way}; if they differ on purpose, nothing is to be done"
    )


def _objects(make):
    return rows(y=pd.Series([make(v) for v in Y], dtype=object))


RESPONSES = [
    Case(
        "numbers as text",
        rows(y=Y.astype(str)),
        typed="parquet",
        says=_no_numbers("text", "pandas.to_numeric(...) converts text"),
    ),
    Case(
        "numbers with a decimal comma",
        rows(y="1,5"),
        says=_no_numbers(
            "text in all 24 rows, first '1,5' in ...",
            "write decimal points, and nothing between thousands, or read the file with "
            "pandas.read_csv(..., decimal=',') or thousands=',', whichever the commas are",
        ),
    ),
    Case(
        "one word among the numbers",
        rows(y=["much", *Y[1:].astype(str)]),
        says=_no_numbers("text in 1 of 24 rows, 'much' in ...", "mend the cell..."),
    ),
    Case(
        "a predictor of many numbers with a word among them",
        pd.DataFrame(
            {"g": [*"abcdef"] * 20, "x": ["much", *map(str, range(119))], "y": np.arange(120.0)}
        ),
        "VaryingSlopes",
        says=(
            "predictor 'x' must be numbers or a factor of at most 100 levels, got 120 values of "
            "text, such as 'much'... among numbers; mend the cell..."
        ),
    ),
    Case("booleans", rows(y=Y > 0), says=_no_numbers("True and False", BOOLEANS)),
    Case(
        "0 and 1",
        rows(y=(Y > 0).astype(int)),
        answer=finite,
        warns=(
            "y='y' has only two values, 0 and 1: a normal model predicts values between and beyond "
            "them, and its sigma, intervals and comparisons by elpd are off"
        ),
    ),
    Case(
        "counts",
        rows(y=np.arange(24) % 7),
        answer=finite,
        warns=(
            "y='y' has few distinct values, all whole numbers from 0 to 6, as counts and ratings "
            "have: a normal model predicts values that cannot be, and its sigma and intervals are "
            "off"
        ),
    ),
    Case("dates", rows(y=DAYS), typed="parquet", says=_no_numbers("datetime(...)")),
    # A Parquet file has them as whole numbers.
    Case("complex numbers", rows(y=Y + 1j), typed="", says=_no_numbers("...")),
    Case("lists", _objects(lambda v: [v]), typed="parquet", says=_no_numbers("...")),
    Case(
        "a predictor of complex numbers",
        rows(x=rows()["x"] + 1j),
        "VaryingSlopes",
        typed="",
        says=(
            "predictor 'x' must be a column of numbers, got complex128; convert the "
            "column to numbers first"
        ),
    ),
    Case(
        "numbers and text in one column",
        rows(y=pd.Series(["a", *Y[1:]], dtype=object)),
        typed="",
        says=_no_numbers("text in 1 of 24 rows, 'a' in row 0 (counted from 0)", "mend the cell..."),
    ),
    Case("fractions as Python objects", _objects(Fraction), answer=SAME, typed=""),
    Case(
        "decimals as Python objects",
        _objects(lambda v: Decimal(repr(v))),
        answer=SAME,
        typed="parquet",
    ),
    Case("half-precision numbers", rows(y=Y.astype("float16")), answer=NEAR, typed="parquet"),
    Case("nullable numbers", rows(y=Y.astype("Float64")), answer=SAME, typed="parquet"),
    Case("numbers of PyArrow", rows(y=Y.astype("double[pyarrow]")), answer=SAME, typed="parquet"),
    Case("a sparse column", rows(y=Y.astype(pd.SparseDtype("float64"))), answer=SAME, typed=""),
    Case(
        "missing numbers, to be dropped",
        rows(y=Y.mask(Y.index == 3)),
        options={"missing": "drop"},
        answer=finite,
        warns="1 of 24 rows have missing values (y: 1) and were dropped",
    ),
    Case(
        "nothing but missing numbers, to be dropped",
        rows(y=np.nan),
        options={"missing": "drop"},
        says="24 of 24 rows have missing values (y: 24); none is left to fit",
    ),
    Case(
        "infinity",
        rows(y=Y.mask(Y.index == 3, np.inf)),
        says="column 'y' must be finite, got 1 infinite value in 24 rows; mend or leave out those "
        "rows",
    ),
    Case(
        "a predictor of one level",
        rows(x="a"),
        "VaryingSlopes",
        says="predictor 'x' must vary, got the one value 'a' in all rows; leave it out",
    ),
    Case(
        "a predictor whose first category no row has",
        rows(x=pd.Categorical(["b", "c"] * 12, list("abc"))),
        "VaryingSlopes",
        typed="",
        says=(
            "predictor 'x' must have rows of its first category, 'a', which is the baseline that "
            "the others are compared with, got 'b', 'c'; declare the categories that occur: "
            "frame['x'].cat.remove_unused_categories() in pandas, a cast to pl.Enum in polars"
        ),
    ),
    Case(
        "a predictor of free text",
        rows(x=[f"text {i}" for i in range(24)]),
        "VaryingSlopes",
        says="there must be more rows than coefficients, got 24 rows for 24 coefficients; ...",
    ),
    Case(
        "a predictor of dates",
        rows(x=DAYS),
        "VaryingSlopes",
        typed="parquet",
        says=_no_dates("dates"),
    ),
    Case(
        "a predictor of durations",
        rows(x=DAYS - DAYS[0]),
        "VaryingSlopes",
        typed="",
        says=_no_dates("durations"),
    ),
    Case(
        "a predictor of dates as text",
        rows(x=np.tile(DAYS.strftime("%Y-%m-%d")[:3], 8)),
        "VaryingSlopes",
        columns={"varying": [], "common": ["x"]},
        answer=_three_days,
        warns=(
            "predictor 'x' holds 3 dates as text, and each is a level with its own coefficient; "
            "if a trend is meant, make a column of numbers, such as the days since the first; "
            "if levels are, pass a frame where it is categories (pandas.read_parquet keeps "
            "those of a file)"
        ),
    ),
    Case(
        "a predictor with missing values",
        rows(x=rows()["x"].mask(Y > 0)),
        "VaryingSlopes",
        says="... of 24 rows have missing values (x: ...); fill them in, or ...",
    ),
]

LABELS = [
    Case(
        "labels with fractions",
        rows(g=Y.to_numpy()),
        typed="parquet",
        says="group labels in column 'g' must be strings or integers, got numbers with fractions; "
        "a measured quantity is a predictor, not a group",
    ),
    Case(
        "labels of text and numbers",
        _of([1, 2, 3, "d", "e", "f"]),
        typed="",
        says="labels in column 'g' must be all of one type, got a mix of int, str; "
        "frame['g'].astype(str) makes them all strings",
    ),
    Case(
        "whole numbers beyond 64 bits",
        _of([2**70 + i for i in range(6)]),
        typed="",
        says="group labels in column 'g' must all fit 64 bits (int64, or uint64), got "
        "1180591620717411303424 to 1180591620717411303429; make the labels text",
    ),
    Case(
        "labels that are missing",
        rows(g=rows()["g"].mask(Y > 0)),
        says="... of 24 rows have missing values (g: ...)...; fill them in, or ...",
    ),
    Case("whole numbers as floats", rows(g=np.repeat(np.arange(6.0), 4)), answer=_labels),
    Case("the largest numbers of 64 bits", _of([2**64 - 1 - i for i in range(6)]), answer=_labels),
    Case("bytes", _of([b"a", b"b", b"c", b"d", b"e", b"\xff"]), typed="", answer=_labels),
    Case("dates", rows(g=np.repeat(DAYS[:6], 4)), typed="parquet", answer=_labels),
    Case(
        "an empty category",
        rows(g=pd.Categorical(rows()["g"], list("zabcdef"))),
        typed="parquet",
        answer=_labels,
    ),
    Case(
        "an empty text",
        _of(["", *"bcdef"]),
        typed="parquet",
        says=_texts("4", "g: '' in 4 rows", "''"),
    ),
    Case(
        "text that is blank, or that Python writes for a missing value",
        _of([" ", "\xa0\u200b", "nan", "<NA>", *"ef"]),
        typed="parquet",
        says=_texts("16", "g: ' ', '<NA>', 'nan' and 1 more in 16 rows", "' '"),
    ),
    Case(
        "the same, to be dropped",
        _of([" ", *"bcdef"]),
        options={"missing": "drop"},
        typed="parquet",
        warns="4 of 24 rows have missing values (g: 4), text that is blank or Python's for a "
        "missing value among them (g: ' ' in 4 rows) and were dropped",
        answer=finite,
    ),
    Case(
        "blanks around the text",
        _of(["a", "a ", " a", "\ta", "e", "f"]),
        warns=_alike("3 pairs", "'a' and 'a ', 'a' and ' a', 'a' and '\\ta'", ".str.strip()"),
        answer=_labels,
    ),
    Case(
        "one letter composed and decomposed",
        _of(["\u00e9", "e\u0301", *"cdef"]),
        warns=_alike("1 pair", "'\\xe9' and 'e\\u0301'", ".str.normalize('NFC')"),
        answer=_labels,
    ),
    Case("letters of both directions", _of(["\u202eabc", "שלום", *"cdef"]), answer=_labels),
    Case("a newline in a label", _of(["a\nb", "a\r\nb", *"cdef"]), answer=_labels),
    Case(
        "a label of 100,000 letters",
        _of(["a" * 100_000, *"bcdef"]),
        says=(
            "labels in column 'g' must have at most 1000 letters, got 100...: "
            "'aaaaaaaaaaaaaaaaaaaa'...; is it the right column?"
        ),
    ),
    Case(
        "a label with a NUL",
        _of(["a\0b", *"bcdef"]),
        typed="",
        says=(
            "labels in column 'g' must be text that a NetCDF file can hold, got "
            "'a\\x00b' (with a NUL or half a character); rename the group"
        ),
    ),
    Case(
        "a label with half a character (a lone surrogate)",
        _of(["\ud800", *"bcdef"]),
        typed="",
        says=(
            "labels in column 'g' must be text that a NetCDF file can hold, got "
            "'\\ud800' (with a NUL or half a character); rename the group"
        ),
    ),
    Case(
        "labels that a CSV file would have as missing, in a frame or a Parquet file",
        _of(["NA", "null", *"cdef"]),
        typed="parquet",
        answer=_labels,
    ),
]

CASES = [*RESPONSES, *LABELS]
