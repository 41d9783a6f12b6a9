"""Fits of one data set side by side: what is said of them, and of which data it is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hiermodels as hm
from hiermodels.errors import ContainerError, DataError, OptionError
from hiermodels.posterior.loo import Loo, _sums, loo, with_refits
from hiermodels.posterior.loo_comparison import COLUMNS, compare, compared, stacking
from hiermodels.posterior.loo_terms import Observed
from tests import regressions


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return hm.datasets.simulate_one_way(groups=12, size=9, mu=2, tau=0.8, sigma=1.5, seed=3)[0]


@pytest.fixture(scope="module")
def pools(rows) -> dict[str, Any]:
    fits = {p: regressions.container(regressions.one_way(rows, p)) for p in ("complete", "none")}
    model = hm.OneWay(rows, y="y", group="group")
    return {**fits, "partial": model.fit(engine="exact", seed=1)}


@pytest.fixture(scope="module")
def left_out(pools) -> dict[str, Loo]:
    return {name: loo(fit) for name, fit in pools.items()}


# ---- the table ----------------------------------------------------------------------------------


def test_the_best_comes_first_and_differences_are_those_of_the_terms(rows, left_out):
    found = compare(left_out)
    table = found.table
    assert tuple(table.columns) == COLUMNS
    assert table.index.tolist() == list(found.loos) == ["partial", "none", "complete"]
    assert found.terms == (108, 108)
    terms = {name: one.table["elpd"] for name, one in left_out.items()}
    for name, row in table.iterrows():
        apart = terms[name] - terms["partial"]
        assert row["elpd"] == pytest.approx(terms[name].sum())
        assert row["elpd_diff"] == pytest.approx(apart.sum())
        assert row["se_diff"] == pytest.approx(np.sqrt(108 * apart.var(ddof=1)))
        assert row["se"] == pytest.approx(np.sqrt(108 * terms[name].var(ddof=1)))
        assert row["p_loo"] == pytest.approx(left_out[name].p_loo)
        assert row["worst_k"] == left_out[name].table["pareto_k"].max()
    assert table["elpd_diff"].iloc[0] == table["se_diff"].iloc[0] == 0
    assert (table["elpd_diff"].iloc[1:] < 0).all()
    assert table["weight"].sum() == pytest.approx(1)
    assert table["weight"].idxmax() == "partial"
    assert table["bad_k"].dtype.kind == "i"
    assert found.ok
    exact = {p: regressions.exact_loo(regressions.one_way(rows, p)) for p in ("none", "complete")}
    apart = (exact["none"] - exact["complete"]).sum()
    got = table.loc["none", "elpd"] - table.loc["complete", "elpd"]
    assert got == pytest.approx(apart, abs=0.3)


def test_fits_and_what_was_left_out_already_may_be_mixed(pools, left_out):
    mixed = compare({**pools, "complete": left_out["complete"]})
    pd.testing.assert_frame_equal(mixed.table, compared(left_out).table)


def test_terms_that_one_leaves_undefined_are_left_out_of_all(rows):
    frame = pd.concat([rows, rows[:2].assign(group=[77, 78])], ignore_index=True)
    fits = {p: regressions.container(regressions.one_way(frame, p)) for p in ("complete", "none")}
    found = compare(fits)
    assert found.terms == (108, 110)
    complete = loo(fits["complete"]).table["elpd"][:108]
    assert found.table.loc["complete", "elpd"] == pytest.approx(complete.sum())
    assert "108 of 110 observations" in str(found)
    assert "'none' predicts 108 of 110 observations (without it, its group" in str(found)
    assert "left out of all fits" in str(found)


def test_a_fit_without_any_prediction_takes_no_part():
    fits = {p: regressions.container(regressions.eight_schools(p)) for p in ("none", "complete")}
    partial = hm.EightSchools(hm.datasets.eight_schools(), effect="effect", se="se", group="school")
    fits["partial"] = partial.fit(engine="exact", seed=1)
    found = compare(fits)
    assert found.terms == (8, 8)
    assert found.table.index[-1] == "none"
    assert found.table.loc["none"].drop("bad_k").isna().all()
    assert found.table.loc["none", "bad_k"] == 0
    assert found.table["weight"].sum() == pytest.approx(1)
    assert not found.ok
    assert "'none' predicts none of the 8 observations" in str(found)
    assert "it takes no part" in str(found)
    with pytest.raises(OptionError, match=r"no term is defined by all fits.*none: without it"):
        compare({"none": fits["none"], "again": fits["none"]})


def test_terms_that_were_refitted_have_no_bad_k(left_out):
    complete = left_out["complete"]
    mended = with_refits(complete, pd.Series([-9.0, -9.5], index=[3, 5]))
    table = compared({"a": complete, "b": mended}).table
    assert table.loc["b", "elpd_diff"] < 0
    assert table.loc["b", "worst_k"] == mended.table["pareto_k"].max()
    one = with_refits(complete, pd.Series(-1.0, index=complete.table.index))
    assert np.isnan(compared({"a": complete, "b": one}).table.loc["b", "worst_k"])


def test_fits_by_group_are_compared_with_those_of_statistics(rows, pools):
    summed = hm.sufficient_statistics(rows, y="y", group="group")
    fit = hm.OneWay(summed, y="y", group="group").fit(engine="exact", seed=2)
    found = compare({"summed": fit, "complete": pools["complete"]}, unit="group")
    assert found.terms == (12, 12)
    assert found.table.index[0] == "summed"
    assert found.table.loc["complete", "elpd_diff"] < -10


# ---- weights ------------------------------------------------------------------------------------


def test_stacking_weights_are_where_no_fit_would_gain():
    """At the optimum the mean of p_k / mixture is 1 for those in it, and less for the others."""
    rng = np.random.default_rng(2)
    terms = rng.normal([-1.0, -0.9, -1.2, -3.0], 1, (200, 4))
    w = stacking(terms)
    p = np.exp(terms)
    gain = (p / (p @ w)[:, None]).mean(axis=0)
    assert w.sum() == pytest.approx(1)
    assert (w >= 0).all()
    np.testing.assert_allclose(gain[w > 1e-3], 1, atol=1e-4)
    assert (gain[w <= 1e-3] < 1 + 1e-4).all()
    assert w[3] < 0.01


def test_stacking_bears_densities_that_underflow():
    """Those of whole groups: e^-5000 is 0 in floating point."""
    rng = np.random.default_rng(3)
    terms = rng.normal(-1, 1, (50, 2))
    np.testing.assert_allclose(stacking(terms - 5000), stacking(terms), atol=1e-6)
    sure = np.column_stack([np.full(30, -5000.0), np.full(30, -9000.0)])
    np.testing.assert_allclose(stacking(sure), [1, 0], atol=1e-6)
    np.testing.assert_array_equal(stacking(terms[:, :1]), [1])


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # ArviZ 0.23 with pandas 3.1
def test_stacking_is_arvizs_where_that_can_be_computed(pools, left_out):
    from hiermodels.container import inference_data as idatas

    theirs = idatas.arviz().compare(pools, method="stacking")
    mine = compare(left_out).table
    np.testing.assert_allclose(mine["weight"], theirs["weight"][mine.index], atol=0.02)


# ---- what it says -------------------------------------------------------------------------------


def test_a_clear_difference_is_said_and_a_small_one_is_not_made_much_of(left_out):
    said = str(compare(left_out))
    assert said.startswith("Leave-one-observation-out, 108 of 108 observations")
    assert "'partial' comes out ahead of 'complete' by 17." in said
    assert "'partial' and 'none' differ by less than 4: they predict about equally well" in said
    assert "not clear" not in said
    assert "are few" not in said
    few = {name: first(found, 50) for name, found in left_out.items()}
    assert "50 terms are few (fewer than 100): se_diff may well be too small" in str(compared(few))


def first(found: Loo, n: int) -> Loo:
    """The same of the first terms only."""
    table = found.table[:n]
    return dataclasses.replace(found, table=table, data=Observed("y"), **_sums(table))


def test_two_that_predict_alike_are_said_to(left_out, rows):
    again = hm.OneWay(rows, y="y", group="group").fit(engine="exact", seed=9)
    said = str(compare({"one": left_out["partial"], "two": again}))
    assert "differ by less than 4: they predict about equally well" in said
    assert "comes out ahead" not in said


def test_a_lead_within_two_standard_errors_is_not_called_clear(left_out):
    complete = left_out["complete"]
    terms = complete.table["elpd"].copy()
    terms.iloc[0] -= 5.0  # one row makes the whole of the difference
    said = str(compared({"a": complete, "b": with_refits(complete, terms)}))
    assert "'a' comes out ahead of 'b' by 5.0 (se 5.0, which is not clear)" in said


def test_bad_k_are_told_with_the_next_step():
    frame = hm.datasets.simulate_one_way(groups=10, size=4, mu=0, tau=0.3, sigma=1, seed=4)[0]
    frame.loc[17, "y"] = 14.0
    fit = hm.OneWay(frame, y="y", group="group").fit(engine="exact", seed=1)
    complete = regressions.container(regressions.one_way(frame, "complete"))
    found = compare({"partial": fit, "complete": complete})
    assert found.table.loc["partial", "bad_k"] >= 1
    assert not found.ok
    assert "'partial' has" in str(found)
    assert "hm.exact.posterior(model).loo('observation')" in str(found)


# ---- what it refuses ----------------------------------------------------------------------------


def test_other_data_are_refused_with_the_reason_and_the_names(rows, pools, left_out):
    other = regressions.container(regressions.one_way(rows.assign(y=rows["y"] / 10), "complete"))
    with pytest.raises(DataError, match=r"'partial' and 'tenth': .*other units.*same data frame"):
        compare({"partial": left_out["partial"], "tenth": other})
    short = regressions.container(regressions.one_way(rows[:-3], "complete"))
    for unit, reason in (("observation", "108 and 105 rows"), ("group", "other sizes")):
        with pytest.raises(DataError, match=reason):
            compare({"partial": pools["partial"], "short": short}, unit)


def test_a_fit_that_holds_no_rows_does_not_vouch_for_the_others(left_out):
    found = left_out["complete"]
    other = dataclasses.replace(found.data, y=2 * found.data.y + 1)
    loos = {
        "no rows": dataclasses.replace(found, data=Observed("y")),
        "a": found,
        "b": dataclasses.replace(found, data=other),
    }
    with pytest.raises(DataError, match=r"'a' and 'b': their responses differ in 108 of 108 rows"):
        compared(loos)


def test_rows_from_other_places_of_the_frame_are_refused(rows):
    first = rows.copy()
    first.loc[0, "y"] = np.nan
    with pytest.warns(hm.HierModelsWarning, match="1 of 108 rows"):
        model = hm.OneWay(first, y="y", group="group", missing="drop")
    dropped = model.fit(engine="exact", seed=1)
    cut = hm.OneWay(rows[1:], y="y", group="group").fit(engine="exact", seed=1)
    with pytest.raises(DataError, match="not in both: row"):
        compare({"dropped": dropped, "cut": cut})


def test_units_are_not_mixed(pools, left_out):
    group = loo(pools["partial"], "group")
    with pytest.raises(OptionError, match=r"'b': unit='observation' needs.*pass unit='group'"):
        compare({"a": left_out["partial"], "b": group})
    with pytest.raises(OptionError, match="leave-one-observation-out in 'a' and leave-one-group"):
        compared({"a": left_out["partial"], "b": group})


def test_what_a_fit_cannot_give_is_told_with_its_name(pools, left_out, rows):
    with pytest.raises(OptionError, match=r"fit 'none': unit='group': without pooling"):
        compare(pools, unit="group")
    bare = hm.OneWay(rows, y="y", group="group").fit(engine="exact", seed=1, pointwise=False)
    with pytest.raises(ContainerError, match=r"fit 'bare': .*add_pointwise"):
        compare({"partial": left_out["partial"], "bare": bare})


def test_two_fits_or_more_by_name_are_needed(pools):
    with pytest.raises(OptionError, match="a dict from name to fit, got list"):
        compare([pools["partial"], pools["none"]])
    with pytest.raises(OptionError, match="two fits or more, got 1"):
        compare({"partial": pools["partial"]})
    with pytest.raises(OptionError, match="unit must be"):
        compare(pools, unit="row")
