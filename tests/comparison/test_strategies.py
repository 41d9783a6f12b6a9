"""Pooling strategies side by side: against exact answers, brute-force refits, and each other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hiermodels as hm
from hiermodels.comparison import refits
from hiermodels.container import inference_data as idatas
from hiermodels.errors import ImproperPosteriorError, OptionError, SamplingError
from hiermodels.families import draws as sizes
from hiermodels.models import other_engines as engines

PRIORS = {"mu": hm.Normal(0, 5), "tau": hm.HalfCauchy(5)}


def eight_schools(**options: Any) -> hm.EightSchools:
    return hm.EightSchools(
        hm.datasets.eight_schools(), effect="effect", se="se", group="school",
        priors=PRIORS, **options,
    )  # fmt: skip


def exam() -> hm.VaryingSlopes:
    return hm.VaryingSlopes(hm.datasets.exam(), y="normexam", group="school", varying=["standLRT"])


@pytest.fixture(scope="module")
def schools() -> hm.PoolingComparison:
    return hm.compare_pooling(eight_schools(), seed=1)


@pytest.fixture(scope="module")
def exams() -> hm.PoolingComparison:
    return hm.compare_pooling(exam(), seed=1)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    made, _ = hm.datasets.simulate_one_way(
        groups=12, size=[1, *[7] * 11], mu=3, tau=1, sigma=1, seed=2
    )
    return made


def row(c: hm.PoolingComparison, unit: str, pooling: str) -> pd.Series:
    table = c.elpd
    (found,) = table[(table["unit"] == unit) & (table["pooling"] == pooling)].to_dict("records")
    return pd.Series(found)


def test_eight_schools_leave_one_school_out_is_the_exact_one(schools):
    """-30.742 under mu ~ N(0, 5), tau ~ half-Cauchy(5), by quadrature."""
    found = row(schools, "group", "partial")
    assert found["elpd"] == pytest.approx(-30.742, abs=0.05)
    exact = hm.exact.posterior(eight_schools()).loo("group")
    np.testing.assert_allclose(
        schools.loo["group", "partial"].table["elpd"], exact.table["elpd"], atol=0.02
    )
    assert found["se"] == pytest.approx(exact.se, abs=0.02)
    assert found["terms"] == found["of"] == 8


def test_complete_pooling_of_eight_schools_is_scored_in_closed_form(schools):
    """Leaving school j out, mu is normal: P = sum of 1/se^2 of the others + 1/25."""
    frame = hm.datasets.eight_schools()
    y, se = frame["effect"].to_numpy(float), frame["se"].to_numpy(float)
    terms = []
    for j in range(8):
        rest = np.arange(8) != j
        P = np.sum(se[rest] ** -2.0) + 1 / 25
        m, v = np.sum(y[rest] / se[rest] ** 2) / P, 1 / P + se[j] ** 2
        terms.append(-0.5 * (np.log(2 * np.pi * v) + (y[j] - m) ** 2 / v))
    assert row(schools, "group", "complete")["elpd"] == pytest.approx(sum(terms), abs=0.05)


def test_no_pooling_has_no_prediction_of_a_new_group_and_says_so(schools, exams):
    for c in (schools, exams):
        none = row(c, "group", "none")
        assert np.isnan(none["elpd"])
        assert "no prediction" in none["use"]
        assert "no pooling: no prediction" in str(c)
    # A school is one estimate: leaving that out leaves the school out.
    assert set(schools.elpd["unit"]) == {"group"}


def test_estimates_of_eight_schools_are_those_of_the_fits_and_of_the_data(schools):
    frame = hm.datasets.eight_schools()
    e = schools.estimates.set_index("school")
    assert e.index.tolist() == frame["school"].tolist()
    np.testing.assert_allclose(e["estimate"], frame["effect"])
    np.testing.assert_allclose(e["se"], frame["se"])
    exact = hm.exact.posterior(eight_schools())
    z = (e["partial_mean"] - exact.mean("theta")) / (exact.sd("theta") / np.sqrt(4000))
    assert z.abs().max() < 4
    # Without pooling theta ~ N(y, se); with complete pooling all are mu.
    z = (e["none_mean"] - e["estimate"]) / (e["se"] / np.sqrt(4000))
    assert z.abs().max() < 4
    assert np.ptp(e["complete_mean"]) == 0
    assert (e["none_sd"] > e["partial_sd"]).all()
    np.testing.assert_allclose(e["pooling_factor"], exact.pooling_factor(), atol=0.01)
    assert e["rank"].loc["A"] == 1
    assert sorted(e["rank"]) == list(range(1, 9))
    drawn = idatas.dataset(schools.fits["partial"], "posterior")["theta"]
    np.testing.assert_allclose(e["partial_q95"], drawn.quantile(0.95, ("chain", "draw")))


def test_heterogeneity_of_eight_schools_is_tau_and_i_squared(schools):
    table = schools.heterogeneity
    exact = hm.exact.posterior(eight_schools())
    assert table.loc["tau", "median"] == pytest.approx(exact.quantile("tau", 0.5), abs=0.2)
    u = hm.datasets.eight_schools()["se"].to_numpy(float) ** -2.0
    s2 = 7 * u.sum() / (u.sum() ** 2 - (u**2).sum())
    tau = idatas.dataset(schools.fits["partial"], "posterior")["tau"].to_numpy()
    assert table.loc["I2", "mean"] == pytest.approx(np.mean(tau**2 / (tau**2 + s2)))
    assert 0.8 < table.loc["lambda", "mean"] < 1


def test_exam_schools_left_out_agree_with_brute_force(exams):
    """Within 0.1 for the four schools with the worst k, and four at random; no k above 0.7."""
    table = exams.loo["group", "partial"].table
    assert (table["pareto_k"] < 0.7).all()
    frame, model = hm.datasets.exam(), exam()
    worst = np.argsort(-table["pareto_k"].to_numpy())[:4]
    others = np.setdiff1d(np.arange(65), worst)
    chosen = [*worst, *np.random.default_rng(7).choice(others, 4, replace=False)]
    for place in chosen:
        label = table.index[place]
        # The frame without the school, under the priors that all schools together had.
        rest = model.replace(frame=frame[frame["school"] != label], priors=dict(model.priors))
        found = refits.group_elpd(
            model, place, lambda _, rest=rest: rest.fit(engine="exact", seed=5, pointwise=False)
        )
        assert found == pytest.approx(table["elpd"].iloc[place], abs=0.1), label


def test_exam_data_are_predicted_best_with_partial_pooling(exams):
    for unit in ("observation", "group"):
        part = exams.elpd[exams.elpd["unit"] == unit]
        assert part["pooling"].iloc[0] == "partial"
        assert part["elpd_diff"].iloc[0] == 0
    none, partial = (row(exams, "observation", p) for p in ("none", "partial"))
    assert none["elpd"] - partial["elpd"] == pytest.approx(none["elpd_diff"])
    assert -none["elpd_diff"] > 2 * none["se_diff"]
    # The school of two pupils: either alone is not a line, and the other has no prediction.
    assert none["of"] - none["terms"] == 2
    assert partial["terms"] == none["terms"]
    rows = np.flatnonzero(exams.fits["none"]["constant_data"]["group_index"] == 47)
    assert (
        "2 of 4059 terms left out of all strategies, as one of them has no prediction: observation "
        f"{rows[0]}, {rows[1]} under no pooling."
    ) in str(exams)
    # Heights and slopes are pooled so differently that one range would describe neither.
    e = exams.estimates
    for name in ("Intercept", "standLRT"):
        factor = e.loc[e["coefficient"] == name, "pooling_factor"]
        said = f"factors of {name} go from {factor.min():.2f} to {factor.max():.2f}, median "
        assert f"{said}{factor.median():.2f} (" in str(exams)


def test_exam_shares_of_the_variance_are_below_1_and_said(exams):
    shares = exams.heterogeneity.filter(like="share", axis=0)["mean"]
    assert list(shares.index) == ["share[Intercept]", "share[standLRT]"]
    assert 0.1 < shares.iloc[0] < 0.2
    assert 0 < shares.sum() < 0.3


def test_one_way_rows_and_groups_are_scored_and_refitted_exactly(rows):
    model = hm.OneWay(rows, y="y", group="group")
    c = hm.compare_pooling(model, seed=1, refit="bad")
    assert c.elpd["bad_k"].sum() == 0
    exact = hm.exact.posterior(model)
    for unit in ("observation", "group"):
        found = c.loo[unit, "partial"].table["elpd"].to_numpy()
        direct = exact.loo(unit).table["elpd"].to_numpy()
        np.testing.assert_allclose(found, direct, atol=0.15)
        refitted = c.loo[unit, "partial"].table["pareto_k"].isna().to_numpy()
        if unit == "group":
            np.testing.assert_allclose(found[refitted], direct[refitted], rtol=1e-9)
        np.testing.assert_allclose(found[refitted], direct[refitted], atol=0.03)
    assert c.elpd["refitted"].sum() > 0
    # The group of one row says nothing of itself without that.
    assert row(c, "observation", "none")["terms"] == len(rows) - 1
    icc = c.heterogeneity.loc["icc", "mean"]
    assert icc == pytest.approx(exact.mean("icc"), abs=0.02)


def test_without_refits_bad_terms_are_counted_and_the_report_says_what_to_do(rows):
    c = hm.compare_pooling(hm.OneWay(rows, y="y", group="group"), seed=1)
    assert row(c, "group", "complete")["bad_k"] > 0
    assert "refit='bad'" in str(c)


def test_refits_that_there_are_none_of_say_why_and_failed_ones_leave_a_bad_term(rows, monkeypatch):
    model = hm.OneWay(rows, y="y", group="group")
    weighted = hm.compare_pooling(model, seed=1)
    bad = row(weighted, "group", "complete")["bad_k"]

    def refit_after(error: Exception) -> hm.PoolingComparison:
        def fail(*_: Any) -> float:
            raise error

        monkeypatch.setattr(refits, "group_elpd", fail)
        monkeypatch.setattr(refits, "row_elpd", fail)
        return hm.compare_pooling(model, seed=1, refit="bad")

    c = refit_after(SamplingError("all chains failed"))
    assert row(c, "group", "complete")["bad_k"] == bad > 0
    assert row(c, "group", "complete")["refitted"] == 0
    assert any(
        f"complete pooling: {bad} fits without one group failed" in note
        and note.endswith("all chains failed")
        for note in c.notes
    )
    assert row(c, "group", "complete")["elpd"] == row(weighted, "group", "complete")["elpd"]
    c = refit_after(ImproperPosteriorError("sigma has no posterior"))
    assert row(c, "group", "complete")["bad_k"] == 0
    found = c.loo["group", "complete"]
    assert found.undefined == bad
    assert "no prediction: a fit without it is refused (sigma has no posterior)" in str(found)


def test_the_columns_are_the_same_whatever_the_family(schools, exams):
    scores = [
        "unit", "pooling", "elpd", "se", "elpd_diff", "se_diff", "p_loo", "terms", "of", "bad_k",
        "worst_k", "refitted", "use",
    ]  # fmt: skip
    said = ("mean", "sd", "q5", "q95")
    each = [f"{name}_{x}" for name in ("none", "partial", "complete") for x in said]
    factor = ["pooling_factor", "pooling_factor_q5", "pooling_factor_q95"]
    for c, key in ((schools, []), (exams, ["coefficient"])):
        assert list(c.elpd.columns) == scores
        own = ["school", *key, "n", "estimate", "se"]
        assert list(c.estimates.columns) == [*own, *each, *factor, "rank"]
        assert list(c.heterogeneity.columns) == ["mean", "sd", "q5", "median", "q95"]


def test_rows_elsewhere_leave_a_note_where_a_prediction_hangs_on_them():
    """Which rows no pooling predicts depends on their columns, which are not in the container."""
    pl = pytest.importorskip("polars")
    frame, _ = hm.datasets.simulate_varying_slopes(
        groups=6, size=7, mu=(1, 2), tau=(1, 0.5), sigma=1.0, seed=3
    )
    model = hm.VaryingSlopes(pl.from_pandas(frame).lazy(), y="y", group="group", varying=["x1"])
    c = hm.compare_pooling(model, seed=1)
    none = row(c, "observation", "none")
    assert np.isnan(none["elpd"])
    assert none["use"] == "not scored: see the notes"
    assert any("no pooling: no observation is left out: which rows" in note for note in c.notes)
    assert row(c, "observation", "partial")["terms"] == 42


def test_data_without_a_no_pooling_posterior_are_compared_without_it():
    frame, _ = hm.datasets.simulate_varying_slopes(
        groups=6, size=[1, 5, 6, 7, 8, 9], mu=(1, 2), tau=(1, 0.5), sigma=1.0, seed=3
    )
    c = hm.compare_pooling(hm.VaryingSlopes(frame, y="y", group="group", varying=["x1"]), seed=1)
    assert set(c.fits) == {"partial", "complete"}
    assert "1 of 6 groups cannot give them" in c.absent["none"]
    assert c.estimates["none_mean"].isna().all()
    assert "no pooling is not there" in str(c)


def test_statistics_alone_are_compared_by_groups():
    frame, _ = hm.datasets.simulate_one_way(groups=12, size=7, mu=3, tau=1, sigma=1, seed=2)
    model = hm.OneWay(hm.sufficient_statistics(frame, y="y", group="group"), y="y", group="group")
    c = hm.compare_pooling(model, seed=1)
    assert row(c, "group", "partial")["terms"] == 12
    assert row(c, "observation", "partial")["terms"] == 0
    assert any("no row is left out: sufficient statistics hold no rows" in s for s in c.notes)
    for name in ("none", "partial", "complete"):
        assert row(c, "observation", name)["use"] == "not scored: see the notes"
    assert "nothing but the prior" in row(c, "group", "none")["use"]


def test_rows_that_take_too_much_memory_are_not_left_out(monkeypatch):
    frame, _ = hm.datasets.simulate_one_way(groups=12, size=7, mu=3, tau=1, sigma=1, seed=2)
    monkeypatch.setattr(sizes, "POINTWISE_BUDGET", 2**20)
    monkeypatch.setattr(engines, "EXACT_POINTWISE_BUDGET", 2**20)
    c = hm.compare_pooling(hm.OneWay(frame, y="y", group="group"), seed=1)
    assert any("takes more than 1 MiB; pass fewer draws" in note for note in c.notes)
    assert row(c, "observation", "partial")["terms"] == 0
    assert row(c, "group", "partial")["terms"] == 12
    c = hm.compare_pooling(hm.OneWay(frame, y="y", group="group"), seed=1, draws=100)
    assert row(c, "observation", "partial")["terms"] == 84


def test_the_same_seed_gives_the_same_comparison(schools):
    again = hm.compare_pooling(eight_schools(), seed=1)
    pd.testing.assert_frame_equal(again.estimates, schools.estimates)
    other = hm.compare_pooling(eight_schools(), seed=2)
    assert not other.estimates["partial_mean"].equals(schools.estimates["partial_mean"])


@pytest.mark.stan
def test_nuts_on_an_executor_agrees_with_exact_draws_and_with_itself(schools):
    nuts: dict[str, Any] = {"seed": 3, "engine": "nuts", "progress": False}
    with ThreadPoolExecutor(2) as pool:
        c = hm.compare_pooling(eight_schools(), executor=pool, **nuts)
    alone = hm.compare_pooling(eight_schools(), **nuts)
    pd.testing.assert_frame_equal(alone.estimates, c.estimates)
    pd.testing.assert_frame_equal(alone.elpd, c.elpd)
    for idata in c.fits.values():
        assert idatas.attributes(idata)["engine"] == "nuts"
    for name in ("none", "partial", "complete"):
        off = c.estimates[f"{name}_mean"] - schools.estimates[f"{name}_mean"]
        assert (off.abs() < 0.25 * schools.estimates[f"{name}_sd"]).all()
    a, b = (x.elpd.set_index("pooling")["elpd"] for x in (c, schools))
    assert (a - b).abs().max() < 0.1


def test_labels_cannot_break_the_html():
    frame = hm.datasets.eight_schools().replace({"school": {"A": "<b>A & Co</b>"}})
    model = hm.EightSchools(frame, effect="effect", se="se", group="school", priors=PRIORS)
    page = hm.compare_pooling(model, seed=1).to_html()
    assert "<b>A" not in page
    assert "&lt;b&gt;A &amp; Co" in page


def test_a_column_named_like_one_of_the_table_gives_way():
    frame = hm.datasets.eight_schools().rename(columns={"school": "n"})
    model = hm.EightSchools(frame, effect="effect", se="se", group="n", priors=PRIORS)
    c = hm.compare_pooling(model, seed=1)
    assert c.estimates.columns[:2].tolist() == ["n_group", "n"]


def test_what_cannot_be_compared_is_refused_by_name():
    with pytest.raises(OptionError, match=r"takes an EightSchools.*got DataFrame"):
        hm.compare_pooling(hm.datasets.eight_schools())
    with pytest.raises(OptionError, match="engine must be one of 'auto', 'exact', 'nuts'"):
        hm.compare_pooling(eight_schools(), engine="gibbs")
    with pytest.raises(OptionError, match="takes no effects"):
        hm.compare_pooling(eight_schools(), effects="none")
    with pytest.raises(OptionError, match="refit must be None or 'bad', got 'all'"):
        hm.compare_pooling(eight_schools(), refit="all")
