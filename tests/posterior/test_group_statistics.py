"""Statistics by group are plain NumPy's, block by block, and tails are what they are."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import hiermodels as hm
from hiermodels.errors import ContainerError
from hiermodels.posterior import group_statistics
from tests.posterior.test_group_checks import container, row


def test_columns_are_those_of_plain_numpy_whatever_the_blocks_and_far_from_0(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(3)
    index = rng.permutation(np.repeat(np.arange(7), [1, 2, 3, 5, 8, 13, 21]))
    level = 1e7 + rng.normal(size=7)[index]
    y, replicated = level + rng.normal(size=53), level + rng.normal(size=(400, 53))
    whole = hm.check_groups(container(y, index, replicated))
    functions = {"mean": np.mean, "min": np.min, "max": np.max, "sd": partial(np.std, ddof=1)}
    for j in range(1, 7):
        for name, function in functions.items():
            mine = row(whole.table, j, name)
            T = function(replicated[:, index == j], axis=1)
            observed = function(y[None, index == j], axis=1)[0]
            assert mine["observed"] == pytest.approx(observed, rel=1e-13)
            assert mine["p"] == (T > observed).mean()
            assert [mine["q5"], mine["median"], mine["q95"]] == pytest.approx(
                np.quantile(T, [0.05, 0.5, 0.95]), rel=1e-13
            )
            assert mine["z"] == pytest.approx((observed - T.mean()) / T.std(), rel=1e-6, abs=1e-8)
    for name, function in functions.items():
        mine = whole.overall.set_index("statistic").loc[name]
        T = function(replicated, axis=1)
        assert mine["observed"] == pytest.approx(function(y[None], axis=1)[0], rel=1e-13)
        assert mine["p"] == (T > mine["observed"]).mean()
        assert mine["median"] == pytest.approx(np.median(T), rel=1e-13)
    # A block of three draws of the largest group, and several groups in a block.
    for size in (64, 3000, 1 << 22):
        monkeypatch.setattr(group_statistics, "_BLOCK", size)
        again = hm.check_groups(container(y, index, replicated))
        pd.testing.assert_frame_equal(again.table, whole.table, rtol=1e-9)
        pd.testing.assert_frame_equal(again.overall, whole.overall, rtol=1e-9)


@pytest.mark.parametrize(
    "law",
    [stats.norm(), stats.t(3), stats.expon()],
    ids=["normal", "t", "exponential"],
)
def test_a_p_value_too_small_to_count_is_that_of_the_tail(law: Any) -> None:
    rng = np.random.default_rng(5)
    # 200 groups of 4000 draws; values with a known probability of more.
    T = np.sort(law.rvs((200, 4000), random_state=rng), axis=1)
    for p in (1e-4, 1e-5):
        y = np.full(200, law.isf(p))
        found = group_statistics._beyond(T, y, (T > y[:, None]).sum(axis=1))
        middle = np.exp(np.median(np.log(found)))
        # Light tails err on the side of the model, and none by far on the other.
        assert p / 3 < middle < 12 * p
    y = np.full(200, law.isf(0.1))
    count = (T > y[:, None]).sum(axis=1)
    np.testing.assert_allclose(group_statistics._beyond(T, y, count), (count + 1) / 4001)


@pytest.mark.parametrize(
    ("comparisons", "draws"), [(1, 39), (8, 319), (12, 479), (13, 500), (4000, 500)]
)
def test_as_many_draws_single_one_comparison_out_and_one_fewer_do_not(
    comparisons: int, draws: int
) -> None:
    assert group_statistics.draws_to_tell(comparisons, 0.05) == draws

    def smallest(D: int) -> float:
        """Adjusted p of what lies far beyond all D draws."""
        T = np.sort(np.random.default_rng(1).normal(size=(1, D)), axis=1)
        found = group_statistics._summarized(T, np.array([99.0]))
        return float(found["tail"][0]) * comparisons

    assert smallest(draws) <= 0.05 + 1e-12
    assert smallest(draws - 1) > 0.05


def test_replicated_data_that_are_not_finite_are_refused() -> None:
    broken = container([1.0, 2.0], [0, 0], [[1.0, np.nan]])
    with pytest.raises(ContainerError, match="finite, got NaN or infinity"):
        hm.check_groups(broken)
