"""Shapes: no rows, one row, one group, a million of either; more columns than rows."""

from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

from hiermodels.errors import OptionError
from tests.bad_input.case import Case, like_plain, rows, schools
from tests.bad_input.kinds import finite

SAME = like_plain()
Y = rows()["y"]


def _no_frame(came: str) -> str:
    return (
        f"frame must be a data frame (pandas, polars, pyarrow, ...), got {came}; "
        "pandas.DataFrame(...) makes one"
    )


def _no(what, frame, came, **more):
    return Case(what, frame, kind=OptionError, typed="", says=_no_frame(came), **more)


def _million(groups):
    def make(_):
        rng = np.random.default_rng(3)
        g = np.arange(1_000_000) % groups
        return pd.DataFrame(
            {"g": g, "y": rng.normal(0, 2, size=groups)[g] + rng.normal(size=len(g))}
        )

    return make


def _simulated(posterior, model):
    """the mean, group sd and residual sd that were simulated, to four standard errors"""
    # Rows 10^6, tau 2, sigma 1; mean 0.
    J, n = model.design.J, model.design.N
    assert abs(posterior["tau"].mean() - 2) < 4 * 2 / np.sqrt(2 * J) * 1.2
    assert abs(posterior["sigma"].mean() - 1) < 4 / np.sqrt(2 * (n - J))
    assert abs(posterior["mu"].mean()) < 4 * 2 / np.sqrt(J)


def _schools_million(posterior, model):
    """the mean and group sd that were simulated, to four standard errors"""
    assert abs(posterior["tau"].mean() - 2) < 0.02
    assert abs(posterior["mu"].mean() - 5) < 0.02


def _meta(_):
    rng = np.random.default_rng(4)
    se = rng.uniform(0.5, 2, size=1_000_000)
    y = 5 + rng.normal(0, np.hypot(2, se))
    return pd.DataFrame({"g": np.arange(len(y)), "y": y, "se": se})


CASES = [
    Case("no rows", rows()[:0], says="the data frame is empty: it has columns but no rows"),
    Case(
        "one row",
        rows()[:1],
        says="y='y' must have at least 2 rows, got 1; a spread needs two values",
    ),
    Case(
        "one group",
        rows()[:4],
        says="partial pooling needs at least 2 groups, got 1 ('a'); "
        "pooling='complete' fits a single group",
        typed="",
    ),
    Case("one group, complete pooling", rows()[:4], options={"pooling": "complete"}, answer=finite),
    Case(
        "one group of one row, complete pooling",
        rows()[:1],
        options={"pooling": "complete"},
        says="y='y' must have at least 2 rows, got 1; a spread needs two values",
    ),
    Case("two groups", rows()[:8], answer=finite),
    Case(
        "two groups of one row",
        rows()[::4][:2],
        answer=finite,
        warns="sigma cannot be "
        "learned without replication: there it comes from its prior, HalfT(3, ...)",
    ),
    Case(
        "groups of one row",
        rows()[::4],
        warns="sigma cannot be learned without replication: there it comes from its prior, ...",
        answer=finite,
    ),
    Case(
        "groups of one row, without pooling",
        rows()[::4],
        options={"pooling": "none"},
        says="...sigma...",
    ),
    Case("one group of one row among others", rows()[:21], answer=finite),
    Case("one study", schools()[:1], "EightSchools", says="...at least 2 groups, got 1 ('A')..."),
    Case("two studies", schools()[:2], "EightSchools", answer=finite),
    Case(
        "one study, complete pooling",
        schools()[:1],
        "EightSchools",
        options={"pooling": "complete"},
        answer=finite,
    ),
    Case(
        "a study twice",
        schools(g="A"),
        "EightSchools",
        says="group='g' must name each group once, got 1 more than once ('A'); rows of single "
        "observations are for OneWay",
    ),
    Case(
        "rows where one estimate per group is asked for",
        rows(se=1.0),
        "EightSchools",
        says="group='g' must name each group once, got 6 more than once ('a', 'b', 'c', 'd', "
        "'e', 'f'); rows of single observations are for OneWay",
    ),
    Case("a million rows in two groups", _million(2), answer=finite, typed="parquet"),
    Case(
        "a million rows in half a million groups",
        _million(500_000),
        answer=_simulated,
        fit={"draws": 5},
    ),
    Case(
        "a million rows in ten thousand groups",
        _million(10_000),
        answer=_simulated,
        typed="parquet",
    ),
    Case(
        "a million studies",
        _meta,
        "EightSchools",
        answer=_schools_million,
        slow=True,
        fit={"draws": 5},
        typed="parquet",
    ),
    Case(
        "more columns than rows",
        lambda _: rows()[:8].assign(
            **{f"x{i}": np.random.default_rng(i).normal(size=8) for i in range(9)}
        ),
        "VaryingSlopes",
        columns={"varying": [], "common": [f"x{i}" for i in range(9)]},
        says="the columns must be linearly independent over the rows, got 10 columns (...) of "
        "rank 8 in 8 rows; leave one out",
    ),
    Case(
        "as many columns as rows",
        lambda _: rows()[:8].assign(
            **{f"x{i}": np.random.default_rng(i).normal(size=8) for i in range(7)}
        ),
        "VaryingSlopes",
        columns={"varying": [], "common": [f"x{i}" for i in range(7)]},
        says="there must be more rows than coefficients, got 8 rows for 8 coefficients; ...",
    ),
    Case(
        "rows in another order",
        rows().sample(frac=1, random_state=1).sort_values("g", kind="stable"),
        answer=SAME,
    ),
    Case("an index with names twice", rows().set_axis([0] * 24), answer=SAME),
    Case(
        "an index of two levels",
        rows().set_axis(pd.MultiIndex.from_product([range(6), range(4)]), axis=0),
        answer=SAME,
    ),
    Case(
        "a polars frame",
        lambda _: pl.DataFrame({k: v.to_numpy() for k, v in rows().items()}),
        answer=SAME,
        typed="",
    ),
    Case(
        "a lazy polars frame",
        lambda _: pl.DataFrame({k: v.to_numpy() for k, v in rows().items()}).lazy(),
        answer=SAME,
        typed="",
    ),
    Case("a PyArrow table", lambda _: pa.Table.from_pandas(rows()), answer=SAME, typed=""),
    Case("a DuckDB relation", lambda _: duckdb.from_df(rows()), answer=SAME, typed=""),
    Case(
        "a lazy polars frame that cannot be computed",
        lambda _: pl.LazyFrame({"g": ["a", "b"], "y": ["1", "b"]}).with_columns(
            pl.col("y").cast(pl.Float64)
        ),
        says=(
            "the data frame cannot be computed: conversion from `str` to `f64` failed"
            " in column 'y' for 1 out of 1 values: [\"b\"]; collect it once by itself "
            "to see where"
        ),
        typed="",
    ),
    _no("an array", rows()[["x", "y"]].to_numpy(), "ndarray"),
    _no("None", None, "NoneType"),
    Case("a Series", rows()["y"], kind=OptionError, typed="", says="frame must be a data frame..."),
    Case("a path as bytes", b"data.csv", kind=OptionError, typed="", says=_no_frame("bytes")),
]
