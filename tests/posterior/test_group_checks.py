"""Groups that are not like data from the model are named, others are not, and numbers are right."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import hiermodels as hm
from hiermodels.container import inference_data as idatas
from hiermodels.errors import ContainerError, OptionError

TABLE = ["group", "statistic", "n", "observed", "q5", "median", "q95", "z", "p", "p_adjusted"]
OVERALL = ["statistic", "n", "observed", "q5", "median", "q95", "z", "p"]


def container(y: Any, index: Any, replicated: Any, labels: Any = None) -> Any:
    """A fit with these rows and these replicated data, of shape (draws, N)."""
    y, index = np.asarray(y, dtype=float), np.asarray(index)
    replicated = np.asarray(replicated, dtype=float)
    sizes = np.bincount(index)
    labels = list(labels or range(len(sizes)))
    rows = {"observation": np.arange(len(y))}
    groups = {
        "posterior": xr.Dataset({"mu": (("chain", "draw"), np.zeros((1, len(replicated))))}),
        "posterior_predictive": xr.Dataset(
            {"y": (("chain", "draw", "observation"), replicated[None])}, coords=rows
        ),
        "observed_data": xr.Dataset({"y": (("observation",), y)}, coords=rows),
        "constant_data": xr.Dataset(
            {"group_index": (("observation",), index), "group_size": (("school",), sizes)},
            coords={**rows, "school": labels},
        ),
    }
    columns = json.dumps({"y": "y", "group": "school", "sigma": "common"})
    return idatas.container(groups, {"model": "OneWay", "pooling": "partial", "columns": columns})


def row(table: pd.DataFrame, group: Any, statistic: str) -> pd.Series:
    (found,) = [
        r for _, r in table.iterrows() if (r["group"], r["statistic"]) == (group, statistic)
    ]
    return found


# ---- numbers ------------------------------------------------------------------------------------


def test_a_tiny_example_is_what_a_hand_computes() -> None:
    # Rows of b, a, b, b; four replicated data sets.
    y = [1.0, 7.0, 3.0, 5.0]
    replicated = [
        [0.0, 7.0, 3.0, 6.0],  # b: mean 3, sd 3, min 0, max 6
        [1.0, 8.0, 2.0, 3.0],  # b: mean 2, sd 1, min 1, max 3
        [2.0, 6.0, 4.0, 6.0],  # b: mean 4, sd 2, min 2, max 6
        [3.0, 9.0, 3.0, 6.0],  # b: mean 4, sd sqrt 3, min 3, max 6
    ]
    found = hm.check_groups(container(y, [1, 0, 1, 1], replicated, ["a", "b"]))
    assert list(found.table.columns) == TABLE
    assert found.table["group"].tolist() == ["a"] * 4 + ["b"] * 4
    assert found.table["statistic"].tolist() == ["mean", "sd", "min", "max"] * 2
    assert found.table["n"].tolist() == [1] * 4 + [3] * 4
    # y_b = 1, 3, 5: mean 3, sd 2, min 1, max 5. Ties count by half.
    wanted = {
        "mean": (3.0, 2.5 / 4),
        "sd": (2.0, 1.5 / 4),
        "min": (1.0, 2.5 / 4),
        "max": (5.0, 3 / 4),
    }
    for name, (observed, p) in wanted.items():
        assert row(found.table, "b", name)["observed"] == pytest.approx(observed, rel=1e-14)
        assert row(found.table, "b", name)["p"] == pytest.approx(p)
    mean = row(found.table, "b", "mean")
    assert mean["median"] == 3.5
    assert (mean["q5"], mean["q95"]) == pytest.approx(
        tuple(np.quantile([3, 2, 4, 4], [0.05, 0.95]))
    )
    assert mean["z"] == pytest.approx((3 - 3.25) / np.std([3, 2, 4, 4]))
    # A group of one row: no sd, and mean, min and max are that row.
    assert row(found.table, "a", "sd")[["observed", "q5", "median", "q95", "z", "p"]].isna().all()
    assert np.isnan(row(found.table, "a", "sd")["p_adjusted"])
    for name in ("mean", "min", "max"):
        assert row(found.table, "a", name)["observed"] == 7
        assert row(found.table, "a", name)["p"] == pytest.approx(2.5 / 4)
    # All rows together: 1, 7, 3, 5, of which the largest is 7.
    assert list(found.overall.columns) == OVERALL
    overall = found.overall.set_index("statistic")
    assert overall["n"].tolist() == [4] * 4
    assert overall["observed"].tolist() == pytest.approx([4, np.std(y, ddof=1), 1, 7])
    assert overall.loc["max", "p"] == pytest.approx(2.5 / 4)  # of 7, 8, 6, 9
    assert overall.loc["sd", "median"] == pytest.approx(
        np.median([np.std(r, ddof=1) for r in replicated])
    )


# ---- groups that do not fit ---------------------------------------------------------------------


def simulated(seed: int, **options: Any) -> pd.DataFrame:
    shape = {"groups": 30, "size": 12, "mu": 50.0, "tau": 3.0, "sigma": 2.0, **options}
    return hm.datasets.simulate_one_way(**shape, seed=seed).frame


def fitted(frame: pd.DataFrame, **options: Any) -> Any:
    return hm.OneWay(frame, y="y", group="group").fit(engine="exact", seed=1, **options)


def test_groups_of_a_right_model_are_hardly_ever_named() -> None:
    # In one data set of 20 at most, and in fewer as the p-values are conservative.
    named = sum(
        not hm.check_groups(fitted(simulated(200 + seed), draws=500)).ok for seed in range(8)
    )
    assert named <= 1


def test_a_group_with_a_wrong_spread_is_named_by_it() -> None:
    frame = simulated(7)
    label = frame.loc[130, "group"]
    own = frame["group"] == label
    frame.loc[own, "y"] += 3 * (frame.loc[own, "y"] - frame.loc[own, "y"].mean())
    found = hm.check_groups(fitted(frame))
    assert not found.ok
    assert set(found.misfits["group"]) == {label}
    assert "sd" in found.misfits["statistic"].tolist()
    assert row(found.misfits, label, "sd")["p"] < 0.001
    assert (found.misfits["p_adjusted"].diff().dropna() >= 0).all()
    assert found.verdict.startswith(f"1 of 30 groups does not fit: group {label} (")
    assert "sd too large" in found.verdict
    report = str(found)
    assert report.splitlines()[0] == (
        "OneWay, partial pooling: mean, sd, min, max of 30 groups, 4000 replicated data sets"
    )
    assert found.verdict in report
    assert "All rows together:" in report
    assert repr(found) == report
    with pytest.raises(AttributeError):
        found.ok = True  # type: ignore[misc]


def test_so_few_draws_that_none_could_be_named_are_no_good_sign() -> None:
    # Two groups, four statistics of each: 8 comparisons, of which 319 draws can single one out.
    rng = np.random.default_rng(4)
    y, index = rng.normal(size=20), np.repeat([0, 1], 10)
    replicated = rng.normal(size=(319, 20))
    found = hm.check_groups(container(y, index, replicated[:318]))
    assert not found.ok
    assert found.misfits.empty
    assert found.verdict == (
        "318 replicated data sets cannot tell whether one of 2 groups does not fit; 319 can."
    )
    assert hm.check_groups(container(y, index, replicated)).ok
    # Fewer comparisons need fewer, and what is named all the same is named.
    assert hm.check_groups(container(y, index, replicated[:200]), statistics=["max"]).ok
    wild = hm.check_groups(container(np.where(index == 0, 9 * y, y), index, replicated[:318]))
    assert set(wild.misfits["group"]) == {0}
    assert wild.verdict.startswith("1 of 2 groups does not fit: ")


def test_complete_pooling_of_groups_that_differ_shows_in_their_means() -> None:
    frame = simulated(9, size=40)
    index = frame["group"].factorize()[0]
    y = frame["y"].to_numpy()
    rng = np.random.default_rng(2)
    pooled = y.mean() + y.std() * rng.normal(size=(2000, len(y)))
    found = hm.check_groups(container(y, index, pooled))
    means = found.misfits[found.misfits["statistic"] == "mean"]
    assert len(means) > 10
    assert " and " in found.verdict
    assert "more in .misfits" in str(found)
    assert max(map(len, str(found).splitlines())) <= 100


def test_the_eight_schools_are_checked_by_their_largest_smallest_mean_and_sd() -> None:
    model = hm.EightSchools(hm.datasets.eight_schools(), effect="effect", se="se", group="school")
    idata = model.fit(engine="exact", seed=1)
    found = hm.check_groups(idata)
    assert found.ok
    assert found.table["statistic"].tolist() == ["mean"] * 8
    assert found.table["group"].tolist() == list("ABCDEFGH")
    assert found.table["observed"].tolist() == pytest.approx([28, 8, -3, 7, -1, 1, 18, 12])
    overall = found.overall.set_index("statistic")
    replicated = idatas.dataset(idata, "posterior_predictive")["effect"]
    largest = replicated.max("school").to_numpy()
    assert overall.loc["max", "observed"] == 28
    assert overall.loc["max", "p"] == pytest.approx((largest > 28).mean())
    assert overall.loc["sd", "observed"] == pytest.approx(
        np.std([28, 8, -3, 7, -1, 1, 18, 12], ddof=1)
    )
    # As the book finds (section 6.5), none of the four is out of the ordinary.
    assert overall["p"].between(0.1, 0.9).all()
    assert "mean of 8 groups" in str(found)


# ---- what it needs ------------------------------------------------------------------------------


def test_without_replicated_data_the_next_step_is_said() -> None:
    frame = simulated(1)
    idata = fitted(frame, pointwise=False)
    with pytest.raises(
        ContainerError, match=r"no group 'posterior_predictive' .* model.add_pointwise\(idata\)"
    ):
        hm.check_groups(idata)
    hm.OneWay(frame, y="y", group="group").add_pointwise(idata)
    assert len(hm.check_groups(idata).table) == 30 * 4
    with pytest.raises(ContainerError, match=r"need the dims .*sel\(chain=\[0\]\) keeps"):
        hm.check_groups(idata.sel(chain=0))
    found = hm.sufficient_statistics(frame, y="y", group="group")
    with pytest.raises(ContainerError, match="a check of groups needs the rows"):
        hm.check_groups(fitted(found))


def test_statistics_are_those_there_are() -> None:
    idata = container([1.0, 2.0], [0, 0], [[1.0, 2.0]])
    with pytest.raises(OptionError, match="got 'means'; did you mean 'mean'"):
        hm.check_groups(idata, statistics=["means"])
    with pytest.raises(OptionError, match="name one statistic or more"):
        hm.check_groups(idata, statistics=())
    assert hm.check_groups(idata, statistics="max").table["statistic"].tolist() == ["max"]
