"""Columns: names that are not there, are there twice, or cannot be a column's."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hiermodels.errors import ColumnError, OptionError
from tests.bad_input.case import Case, like_plain, rows

SAME = like_plain()


def _called(name, column="y"):
    names = [name if old == column else old for old in rows()]
    return rows().set_axis(pd.Index(names, dtype=object), axis=1)


CASES = [
    Case(
        "the response is not there",
        rows().drop(columns="y"),
        kind=ColumnError,
        says="y: the data frame has no column 'y'; it has 'g', 'x'",
    ),
    Case(
        "its name in another case",
        _called("Y"),
        kind=ColumnError,
        says="y: the data frame has no column 'y'; it has 'g', 'x', 'Y'; did you mean 'Y'?",
    ),
    Case(
        "the group is not there",
        rows().drop(columns="g"),
        kind=ColumnError,
        says="group: the data frame has no column 'g'; it has 'x', 'y'",
    ),
    Case(
        "a predictor is not there",
        rows().drop(columns="x"),
        "VaryingSlopes",
        kind=ColumnError,
        says="predictor: the data frame has no column 'x'; it has 'g', 'y'",
    ),
    Case(
        "the group is the frame's index",
        rows().set_index("g"),
        kind=ColumnError,
        typed="",
        says="group: the data frame has no column 'g'; it has 'x', 'y'...",
    ),
    Case(
        "two columns of one name",
        pd.concat([rows(), rows()[["y"]]], axis=1),
        typed="",
        says="the data frame cannot be read: Expected unique column names, got: 'y' 2 times",
    ),
    Case(
        "names that are numbers",
        rows().set_axis([0, 1, 2], axis=1),
        kind=ColumnError,
        typed="",
        columns={"y": "2", "group": "0"},
        says="y: the data frame has no column '2' but 2, which is no string; "
        "frame.columns.astype(str) makes all names strings",
    ),
    Case(
        "response and group are one column",
        rows(),
        columns={"y": "g"},
        says="column 'g' is used twice, as y and as group; each column has one use",
    ),
    Case(
        "response and predictor are one column",
        rows(),
        "VaryingSlopes",
        columns={"varying": ["y"]},
        says="column 'y' is used twice, as y and as predictor; each column has one use",
    ),
    Case(
        "a predictor named twice",
        rows(),
        "VaryingSlopes",
        columns={"varying": ["x", "x"]},
        says="column 'x' is used twice, as predictor and as predictor; each column has one use",
    ),
    Case(
        "a predictor varying and common",
        rows(),
        "VaryingSlopes",
        columns={"common": ["x"]},
        says="column 'x' is used twice, in varying and in common; each column has one use (a "
        "varying one has its population mean in mu)",
    ),
    Case(
        "a group column called theta",
        _called("theta", "g"),
        columns={"group": "theta"},
        says="group: the column name 'theta' is reserved (the container has a dim or a variable "
        "of that name); rename the column",
    ),
    Case(
        "a predictor called Intercept",
        _called("Intercept", "x"),
        "VaryingSlopes",
        columns={"varying": ["Intercept"]},
        says="...'Intercept' is reserved...",
    ),
    Case(
        "a name with a slash",
        _called("a/b"),
        columns={"y": "a/b"},
        says=(
            "y: the column name 'a/b' cannot be a variable's name in a NetCDF file "
            "(empty, or with a '/', a NUL or half a character); rename the column"
        ),
    ),
    Case(
        "an empty name",
        _called(""),
        columns={"y": ""},
        typed="",
        says=(
            "y: the column name '' cannot be a variable's name in a NetCDF file "
            "(empty, or with a '/', a NUL or half a character); rename the column"
        ),
    ),
    Case(
        "a name with half a character (a lone surrogate)",
        _called("y\ud800"),
        columns={"y": "y\ud800"},
        typed="",
        says="y: the column name 'y\\ud800' cannot be a variable's name in a NetCDF file ...; "
        "rename the column",
    ),
    Case("a name with a newline", _called("y\n2"), columns={"y": "y\n2"}, answer=SAME),
    Case("a name in other scripts", _called("длина 📏"), columns={"y": "длина 📏"}, answer=SAME),
    Case(
        "a name with quotes and brackets",
        _called("\"y'[1]`{}"),
        columns={"y": "\"y'[1]`{}"},
        answer=SAME,
    ),
    Case(
        "a name of 10,000 letters", _called("y" * 10_000), columns={"y": "y" * 10_000}, answer=SAME
    ),
    Case(
        "a column given by its position",
        rows(),
        columns={"y": 2},
        kind=OptionError,
        typed="",
        says="y must be the name of a column (a string), got 2; name a column of the frame",
    ),
    Case(
        "a column given as the Series itself",
        rows(),
        columns={"y": rows()["y"]},
        kind=OptionError,
        typed="",
        says="y must be the name of a column (a string), got ...",
    ),
    Case(
        "varying columns given as one string",
        rows(),
        "VaryingSlopes",
        columns={"varying": "x"},
        kind=OptionError,
        typed="",
        says="varying must be a list of column names, got 'x'...",
    ),
    Case(
        "100,000 columns",
        lambda _: pd.concat(
            [rows(), pd.DataFrame(np.zeros((24, 100_000))).add_prefix("c")], axis=1
        ),
        answer=SAME,
        typed="",
    ),
]
