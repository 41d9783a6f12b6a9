"""Values: from 1e-300 to 1e300, far from 0, constant, perfectly fitted, separated."""

from __future__ import annotations

import numpy as np

from tests.bad_input.case import Case, like_plain, rows, schools
from tests.bad_input.kinds import finite

SAME = like_plain()
Y, X = rows()["y"], rows()["x"]
G = rows()["g"].map({k: i for i, k in enumerate("abcdef")}).astype(float)


_SPREAD = (
    "the spread of column 'y' (largest minus smallest value) must lie between 1e-60 and 1e+60, got "
    "values from ... to ...; mend or leave out values that are wrong, or take other units"
)

_FAR = "se='se' must lie between 1e-60 and 1e+60, got ... (...); mend it, or take other units"


def _same(what, frame, family="OneWay", scale=1.0, shift=0.0, x=1.0, rtol=1e-6, **more):
    return Case(what, frame, family, answer=like_plain(scale, shift, x, rtol), **more)


def _scaled(family, make):
    names = {"OneWay": "rows", "EightSchools": "studies", "VaryingSlopes": "lines"}
    good = [
        _same(f"{names[family]} in units of {c:g}", make(c), family, scale=c, rtol=1e-3)
        for c in (1e-58, 1e-30, 1e30, 1e58)
    ]
    far = _FAR if family == "EightSchools" else _SPREAD
    return good + [
        Case(f"{names[family]} in units of {c:g}", make(c), family, says=far)
        for c in (1e-300, 1e-200, 1e-120, 1e120, 1e200, 1e300)
    ]


_CONSTANT_WITHIN = (
    "column 'x' in varying= is constant within every group, so its slope cannot vary by group: in "
    "a group it does what the varying intercept does, and its tau leans on its prior; give it one "
    "slope, common=['x']"
)

CASES = [
    *_scaled("OneWay", lambda c: rows(y=Y * c)),
    *_scaled("EightSchools", lambda c: schools(y=schools()["y"] * c, se=schools()["se"] * c)),
    *_scaled("VaryingSlopes", lambda c: rows(y=Y * c)),
    *(
        _same(f"a predictor in units of {c:g}", rows(x=X * c), "VaryingSlopes", x=c, rtol=1e-3)
        for c in (1e-58, 1e-30, 1e30, 1e58)
    ),
    *(
        Case(
            f"a predictor in units of {c:g}",
            rows(x=X * c),
            "VaryingSlopes",
            says=_SPREAD.replace("'y'", "'x'"),
        )
        for c in (1e-300, 1e-120, 1e120, 1e300)
    ),
    *(
        _same(f"a response around {c:g}", rows(y=Y + c), shift=c, rtol=max(1e-6, c * 1e-14))
        for c in (1e6, 1e9, 1e12)
    ),
    Case("a response around 1e16, where a double is even", rows(y=Y * 1 + 1e16), answer=finite),
    Case(
        "a predictor around 1e9",
        rows(x=X + 1e9),
        "VaryingSlopes",
        answer=finite,
        warns="predictor 'x' lies far from 0 (mean 1e+09, sd 0.7917): ...",
    ),
    Case(
        "the smallest numbers that there are",
        rows(y=np.arange(24) % 5 * 5e-324),
        says=(
            "the spread of column 'y' (largest minus smallest value) must lie between 1e-60 "
            "and 1e+60, got values from 0 to 1.98e-323; mend or leave out values that are "
            "wrong, or take other units"
        ),
    ),
    Case(
        "one value of 1e300 among others",
        rows(y=Y.mask(Y.index == 3, 1e300)),
        says=(
            "the spread of column 'y' (largest minus smallest value) must lie between 1e-60 "
            "and 1e+60, got values from -5.86 to 1e+300; mend or leave out values that are "
            "wrong, or take other units"
        ),
    ),
    Case(
        "a constant response",
        rows(y=3.0),
        says="y='y' must vary, got 3 in all 24 rows; is it the right column?",
    ),
    Case(
        "constant within groups to the last digit",
        rows(y=G + 1e-14 * Y),
        says=(
            "the model fits 'y' perfectly, or to less than a trillionth of its range:"
            " sigma goes to 0, and there is no posterior, or none that sums of "
            "squares can tell from that; check the data, or give sigma a prior that "
            "vanishes at 0, such as InverseGamma(...)"
        ),
    ),
    Case("constant within one group", rows(y=Y.mask(G == 0, 1.0)), answer=finite),
    Case(
        "constant within one group, one sd a group",
        rows(y=Y.mask(G == 0, 1.0)),
        columns={"sigma": "group"},
        says=(
            "the model fits 'y' perfectly in group 'a', or to less than a trillionth "
            "of its range: sigma goes to 0, and there is no posterior, or none that "
            "sums of squares can tell from that; check the data, or give sigma a "
            "prior that vanishes at 0, such as InverseGamma(...)"
        ),
    ),
    Case(
        "group means that are all the same",
        rows(y=Y - Y.groupby(G).transform("mean")),
        answer=finite,
    ),
    Case(
        "a perfect line in each group",
        rows(y=G + (1 + G) * X),
        "VaryingSlopes",
        says=(
            "the model fits 'y' perfectly, or to less than a millionth of its spread:"
            " sigma goes to 0, and there is no posterior, or none that sums of "
            "squares can tell from that; check the data, or give sigma a prior that "
            "vanishes at 0, such as InverseGamma(...)"
        ),
    ),
    Case(
        "a response that is its predictor",
        rows(y=X),
        "VaryingSlopes",
        says=(
            "the model fits 'y' perfectly, or to less than a millionth of its spread:"
            " sigma goes to 0, and there is no posterior, or none that sums of "
            "squares can tell from that; check the data, or give sigma a prior that "
            "vanishes at 0, such as InverseGamma(...)"
        ),
    ),
    Case("groups apart by 1e9 sds", rows(y=Y + 1e9 * G), answer=finite),
    Case(
        "groups apart by 1e9 sds, with a slope that varies",
        rows(y=Y + 1e9 * G),
        "VaryingSlopes",
        answer=finite,
    ),
    Case(
        "a predictor apart by 1e9 sds between groups",
        rows(x=X + 1e9 * G),
        "VaryingSlopes",
        answer=finite,
    ),
    Case(
        "slopes apart by a million sds",
        rows(y=Y + 1e6 * G * X),
        "VaryingSlopes",
        says=(
            "y='y' must vary about the groups' own lines by at least three millionths of what "
            "it varies within them: with less, too few digits are left of what sigma is "
            "learned from; subtract from it what is known of those lines"
        ),
    ),
    Case(
        "a constant predictor",
        rows(x=1.0),
        "VaryingSlopes",
        says=(
            "predictor 'x' must vary, got one value in all rows (to a billionth of "
            "it): beside the intercept it adds nothing; leave it out, or subtract its"
            " mean"
        ),
    ),
    Case(
        "a predictor constant within groups",
        rows(x=G**2),
        "VaryingSlopes",
        answer=finite,
        warns=_CONSTANT_WITHIN,
    ),
    Case(
        "a predictor constant within groups, without pooling",
        rows(x=G),
        "VaryingSlopes",
        options={"pooling": "none"},
        says=(
            "no pooling fits 2 coefficients to each group by itself, and 6 of 6 "
            "groups cannot give them (too few rows, or columns that do not vary "
            "within the group): 'a', 'b', 'c', 'd', 'e', 'f'; leave those groups or "
            "columns out, use pooling='partial', or give theta and beta proper priors"
        ),
    ),
    Case(
        "a predictor that varies in one group only",
        rows(x=X.mask(G > 0, 0.0)),
        "VaryingSlopes",
        answer=finite,
        warns=(
            "column 'x' in varying= varies within one group only, so the data cannot say how its "
            "slope varies; give it one slope, common=['x']"
        ),
    ),
    Case(
        "a predictor and its multiple",
        rows(x2=3 * X + 1),
        "VaryingSlopes",
        columns={"common": ["x2"]},
        says=(
            "the columns must be linearly independent over the rows, got 3 columns "
            "('Intercept', 'x', 'x2') of rank 2 in 24 rows; leave one out"
        ),
    ),
    Case(
        "a predictor and its multiple but for 1e-9",
        rows(x2=X + 1e-9 * Y),
        "VaryingSlopes",
        columns={"common": ["x2"]},
        says=(
            "the columns must be linearly independent over the rows, got 3 columns "
            "('Intercept', 'x', 'x2') of rank 2 in 24 rows; leave one out"
        ),
    ),
    Case(
        "a common predictor that is the group",
        rows(x2=rows()["g"] + "!"),
        "VaryingSlopes",
        columns={"common": ["x2"]},
        answer=finite,
    ),
    Case(
        "a standard error of 0",
        schools(se=range(8)),
        "EightSchools",
        says="se='se' must be above 0 in every row, got 1 that is not ('A'); a group known "
        "without error cannot be pooled",
    ),
    Case(
        "an infinite standard error",
        schools(se=[np.inf, *range(1, 8)]),
        "EightSchools",
        says="column 'se' must be finite, got 1 infinite value in 8 rows; mend or leave out those "
        "rows",
    ),
    Case(
        "a standard error of 1e-300 among others",
        schools(se=[1e-300, *range(1, 8)]),
        "EightSchools",
        says=_FAR,
    ),
    Case(
        "a standard error of 1e-8 among others",
        schools(se=[1e-8, *range(1, 8)]),
        "EightSchools",
        answer=finite,
    ),
    Case(
        "a standard error of 1e8 among others",
        schools(se=[1e8, *range(1, 8)]),
        "EightSchools",
        answer=finite,
    ),
    Case("the same estimate everywhere", schools(y=3.0), "EightSchools", answer=finite),
]
