"""What a comparison of priors says: whether conclusions move, and which intervals leave 0 out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from hiermodels.comparison.prior_comparison import PriorComparison


def comparison(rows: dict[str, list[tuple[float, float, float]]], **given: Any) -> PriorComparison:
    """A result of these quantities: (shift, q5, q95) under each of the sets a, b, ..."""
    sets = "abcdef"[: len(next(iter(rows.values())))]
    table = [
        (variable, name, x, 1.0, low, x, high, x)
        for variable, values in rows.items()
        for name, (x, low, high) in zip(sets, values, strict=True)
    ]
    columns = ["variable", "priors", "mean", "sd", "q5", "median", "q95", "shift"]
    options: dict[str, Any] = {
        "fits": dict.fromkeys(sets),
        "table": pd.DataFrame(table, columns=columns),
        "priors": pd.DataFrame({s: {"tau": f"HalfNormal({k})"} for k, s in enumerate(sets, 1)}),
        "log_marginal_likelihood": pd.Series(dict.fromkeys(sets, np.nan)),
        "engines": dict.fromkeys(sets, "exact"),
        "exact": True,
        "seed": 1,
    }
    return PriorComparison(**{**options, **given})


@pytest.mark.parametrize(
    ("shift", "low", "said"),
    [
        (0.09, 0.5, "Conclusions do not move with the priors (largest shift +0.09 sd: mu under"),
        (-0.1, 0.5, "Estimates move a little with the priors, conclusions hold (largest shift -"),
        (
            0.2,
            -0.5,
            "Estimates move with the priors, across 0 for some 90 % intervals (largest shift +0.20",
        ),
        (-0.5, 0.5, "Conclusions move with the priors (largest shift -0.50 sd: mu under 'b')."),
    ],
)
def test_the_verdict_follows_from_the_largest_shift_and_the_signs(
    shift: float, low: float, said: str
) -> None:
    c = comparison({"tau": [(0, 1, 2), (0.01, 1, 2)], "mu": [(0, 1, 2), (shift, low, 2)]})
    assert c.verdict.startswith(said)
    assert str(c).splitlines()[0] == c.verdict


def test_intervals_on_other_sides_of_0_are_told_of_what_has_a_sign() -> None:
    sides = [(0, 1, 2), (0, -2, -1), (0, -1, 1)]
    same = [(0, 1, 2)] * 3
    c = comparison({"mu": sides, "theta[A]": same, "theta[B]": sides, "tau": sides})
    assert c.crossings == [
        f"90 % interval of {label}: above 0 under 'a'; below 0 under 'b'; around 0 under 'c'"
        for label in ("mu", "theta[B]")
    ]


def test_an_end_next_to_0_is_on_neither_side() -> None:
    c = comparison({"mu": [(1, 0.05, 2), (1, -0.05, 2)], "theta[A]": [(1, 0.2, 2), (1, -0.05, 2)]})
    assert c.crossings == []
    c = comparison({"mu": [(1, 0.2, 2), (1, -0.2, 2)]})
    assert len(c.crossings) == 1
