"""Means and products about them: exact arithmetic, in parts of any kind and order."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from hiermodels.families.gaussian.sums import about_the_means, combined, square
from tests.families.gaussian.far_groups import SPREADS, exact_within, rows


@pytest.mark.parametrize("off", [0.0, 1e-3, 1.0])
def test_products_are_about_the_means_wherever_the_deviations_were_taken_from(off: float) -> None:
    v = np.random.default_rng(1).normal(size=40)
    d = v - off
    found, within = about_the_means(
        np.array([40]), np.array([[d.sum()]]), np.array([[[np.sum(d**2)]]])
    )
    exact = [Fraction(x) for x in v]
    mean = sum(exact) / 40
    assert float(found[0, 0]) + off == pytest.approx(float(mean), rel=1e-13)
    assert within[0, 0, 0] == pytest.approx(float(sum((x - mean) ** 2 for x in exact)), rel=1e-13)


@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("seed", range(5))
def test_parts_of_any_kind_and_order_are_the_whole(spread: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    frame, names = rows(spread, size=40), ["x", "y"]
    v = frame[names].to_numpy()
    # Parts of 1 to 20 rows of one group, in any order.
    part = frame["g"].to_numpy() * 100 + rng.integers(0, 10, len(v))
    found, index = np.unique(part, return_inverse=True)
    order = rng.permutation(len(found))
    sizes, means, within = [], [], []
    for k in order:
        own = v[index == k]
        sizes.append(len(own))
        means.append(own.mean(axis=0))
        within.append((own - means[-1]).T @ (own - means[-1]))
    n, m, W = combined(found[order] // 100, 6, np.array(sizes), np.array(means), np.array(within))
    assert n.tolist() == [40] * 6
    np.testing.assert_allclose(m, frame.groupby("g")[names].mean(), rtol=1e-12, atol=1e-6)
    for label, exact in exact_within(frame, names).items():
        np.testing.assert_allclose(W[label], exact, rtol=1e-6, atol=1e-6 * exact.max())


def test_one_part_stays_as_it_is_to_the_bit() -> None:
    rng = np.random.default_rng(1)
    means, within = rng.normal(size=(2, 3)) / 3, rng.normal(size=(2, 3, 3))
    within = within @ np.swapaxes(within, 1, 2)
    n, m, W = combined(np.array([1, 0]), 2, np.array([3, 7]), means, within)
    assert n.tolist() == [7, 3]
    np.testing.assert_array_equal(m, means[::-1])
    np.testing.assert_array_equal(W, within[::-1])


def test_a_triangle_is_read_row_by_row() -> None:
    np.testing.assert_array_equal(square(np.array([[1.0, 2, 3]]), 2), [[[1, 2], [2, 3]]])
