"""Classical estimates: published tables, closed forms, statsmodels and scipy, laws, refusals."""

from __future__ import annotations

import dataclasses
import math
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import hiermodels as hm
from hiermodels import classical
from hiermodels.classical import variance_components
from hiermodels.errors import DataError, DataWarning, DiagnosticWarning, OptionError
from tests import reference


def rows(seed: int = 1, J: int = 9, *, tau: float = 2.0, smallest: int = 2) -> pd.DataFrame:
    """Unequal groups with two columns, one of them varying."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(smallest, 12, J)
    sizes[0] += 9
    j = np.repeat(np.arange(J), sizes)
    x, w = rng.normal(2, 1, len(j)), rng.normal(size=len(j))
    slope = (1 + 0.8 * rng.normal(size=J))[j]
    y = 10 + tau * rng.normal(size=J)[j] + slope * x + 0.5 * w + rng.normal(0, 1.5, len(j))
    return pd.DataFrame({"y": y, "x": x, "w": w, "g": [f"group {k}" for k in j]})


def one_way(frame: Any = None, **options: Any) -> hm.OneWay:
    return hm.OneWay(rows() if frame is None else frame, y="y", group="g", **options)


def slopes(frame: Any = None, **options: Any) -> hm.VaryingSlopes:
    given = {"varying": ["x"], **options}
    return hm.VaryingSlopes(rows() if frame is None else frame, y="y", group="g", **given)


def schools(**options: Any) -> hm.EightSchools:
    frame = hm.datasets.eight_schools()
    return hm.EightSchools(frame, effect="effect", se="se", group="school", **options)


def exam() -> hm.VaryingSlopes:
    return hm.VaryingSlopes(hm.datasets.exam(), y="normexam", group="school", varying=["standLRT"])


def quiet(function: Any, *args: Any, **options: Any) -> Any:
    """What a function returns, its remarks on the data left aside."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return function(*args, **options)


# ---- analysis of variance ------------------------------------------------------------------------


def assert_lecture(frame: pd.DataFrame) -> None:
    found = classical.anova(hm.OneWay(frame, y="mathscore", group="school"))
    table = found.table
    assert list(table.index) == ["between", "within", "total"]
    assert table["df"].tolist() == [99, 1893, 1992]
    assert table["sum_sq"].round().tolist() == [48825, 160024, 208849]
    assert table.loc["total", ["mean_sq", "F", "p"]].isna().all()
    assert round(found.F, 3) == 5.834
    assert found.p < 1e-50
    assert f"{found.ms_between:.2f}" == "493.18"


def test_the_table_of_the_lecture_on_the_simulated_scores() -> None:
    assert_lecture(hm.datasets.mathscore())


def test_the_table_of_the_lecture_on_the_real_scores() -> None:
    assert_lecture(reference.frame("mathscore.csv"))


def test_the_f_test_is_scipys() -> None:
    frame = rows()
    found = classical.anova(one_way(frame))
    theirs = stats.f_oneway(*(part["y"] for _, part in frame.groupby("g")))
    assert found.F == pytest.approx(theirs.statistic, rel=1e-10)
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-9)


def test_the_table_is_that_of_statsmodels() -> None:
    from statsmodels.formula.api import ols
    from statsmodels.stats.anova import anova_lm

    frame = rows()
    table = classical.anova(one_way(frame)).table.drop(index="total")
    theirs = anova_lm(ols("y ~ C(g)", frame).fit())
    np.testing.assert_allclose(table["df"], theirs["df"])
    np.testing.assert_allclose(table["sum_sq"], theirs["sum_sq"], rtol=1e-10)
    np.testing.assert_allclose(table["mean_sq"], theirs["mean_sq"], rtol=1e-10)
    np.testing.assert_allclose(table["F"], theirs["F"], rtol=1e-10)


def test_the_total_row_is_that_of_all_rows_about_their_mean() -> None:
    frame = rows()
    total = classical.anova(one_way(frame)).table.loc["total"]
    assert total["df"] == len(frame) - 1
    assert total["sum_sq"] == pytest.approx(frame["y"].var() * (len(frame) - 1), rel=1e-10)


def test_the_moment_estimates_are_unbiased_with_unequal_sizes() -> None:
    rng = np.random.default_rng(2)
    sizes = [2, 3, 3, 5, 9, 14]
    j, tau2, sigma2 = np.repeat(np.arange(6), sizes), 4.0, 9.0
    found = []
    for _ in range(300):
        y = 2 * rng.normal(size=6)[j] + 3 * rng.normal(size=len(j))
        result = classical.anova(one_way(pd.DataFrame({"y": y, "g": j})))
        found.append((result.tau2, result.sigma**2))
    error = np.std(found, axis=0) / math.sqrt(len(found))
    assert np.all(np.abs(np.mean(found, axis=0) - [tau2, sigma2]) < 4 * error)


def test_n0_is_what_the_mean_square_between_gains_by_a_unit_of_tau2() -> None:
    sizes = np.array([1, 2, 17, 40])
    j = np.repeat(np.arange(4), sizes)
    found = classical.anova(one_way(pd.DataFrame({"y": np.arange(60.0) % 7 / 3, "g": j})))
    # E SS_between = tr(C cov(u)) for C the quadratic form of the effects u, here with cov(u) = I.
    C = np.diag(sizes) - np.outer(sizes, sizes) / 60
    assert found.n0 == pytest.approx(np.trace(C) / 3, rel=1e-12)


def test_with_equal_sizes_n0_is_the_size_and_tau2_the_textbooks() -> None:
    frame = pd.DataFrame({"y": np.random.default_rng(3).normal(size=20), "g": np.arange(20) % 4})
    found = classical.anova(one_way(frame))
    assert found.n0 == pytest.approx(5, rel=1e-12)
    assert found.tau2 == pytest.approx((found.ms_between - found.ms_within) / 5, rel=1e-12)


def test_a_negative_moment_estimate_is_kept_and_its_root_is_0() -> None:
    frame = pd.DataFrame({"y": [1.0, 5.0, 2.0, 4.2, 1.1, 4.8], "g": list("aabbcc")})
    found = classical.anova(one_way(frame))
    assert found.tau2 < 0
    assert found.tau == found.icc == 0
    assert "was put to 0" in str(found)


def test_groups_that_are_constant_have_an_infinite_f() -> None:
    frame = pd.DataFrame({"y": [1.0, 1.0, 2.0, 2.0], "g": list("aabb")})
    found = classical.anova(one_way(frame, pooling="complete"))
    assert found.F == math.inf
    assert found.p == 0
    assert found.icc == 1


# ---- group means ---------------------------------------------------------------------------------


def test_each_mean_has_the_t_interval_of_its_own_rows() -> None:
    frame = rows()
    table = classical.group_means(one_way(frame)).table
    for label, part in frame.groupby("g"):
        n, mean, se = len(part), part["y"].mean(), stats.sem(part["y"])
        expected = [n, mean, part["y"].std(), se, *stats.t.interval(0.9, n - 1, mean, se)]
        np.testing.assert_allclose(table.loc[label].to_numpy(float), expected, rtol=1e-9)


def test_with_a_pooled_sd_the_intervals_are_those_of_the_cell_means_model() -> None:
    import statsmodels.api as sm

    frame = rows()
    found = classical.group_means(one_way(frame), 0.95, sd="pooled")
    cells = pd.get_dummies(frame["g"]).astype(float)
    fit = sm.OLS(frame["y"], cells).fit()
    table = found.table.loc[cells.columns]
    np.testing.assert_allclose(table["se"], fit.bse, rtol=1e-9)
    np.testing.assert_allclose(table[["lower", "upper"]], fit.conf_int(0.05), rtol=1e-9)


def test_known_standard_errors_have_normal_intervals() -> None:
    table = classical.group_means(schools()).table
    assert list(table.columns) == ["mean", "se", "lower", "upper"]
    assert table.loc["A"].tolist() == pytest.approx([28, 15, 28 - 24.6728, 28 + 24.6728], abs=1e-4)


def test_a_group_of_one_row_is_named_and_has_no_interval_of_its_own() -> None:
    frame = pd.concat([rows(), pd.DataFrame({"y": [3.0], "x": 0.0, "w": 0.0, "g": "alone"})])
    with pytest.warns(DataWarning, match=r"1 of 10 groups have one row.*\('alone'\).*sd='pooled'"):
        own = classical.group_means(one_way(frame)).table
    assert own.loc["alone", ["mean", "n"]].tolist() == [3, 1]
    assert own.loc["alone", ["sd", "se", "lower", "upper"]].isna().all()
    assert np.isfinite(classical.group_means(one_way(frame), sd="pooled").table.loc["alone", "se"])


def test_without_any_replication_no_pooled_sd_is_offered() -> None:
    single = pd.DataFrame({"y": [1.0, 2.0, 4.0], "g": list("abc")})
    with pytest.warns(DataWarning, match="without replication"):
        bare = one_way(single)
    with pytest.warns(DataWarning, match=r"3 of 3 groups have one row.*hm\.EightSchools") as caught:
        table = classical.group_means(bare).table
    assert "pooled" not in str(caught[0].message)
    assert table["mean"].tolist() == [1, 2, 4]


# ---- lines ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"common": ["w"]},
        {"varying": [], "common": ["x"]},
        {"intercept": "common"},
        {"intercept": "none"},
        {"intercept": "none", "common": ["w"]},
    ],
)
def test_lines_are_the_regressions_of_statsmodels_group_by_group(options: Any) -> None:
    import statsmodels.api as sm

    coefficients = slopes(**options).design.names
    frame = rows(4, smallest=len(coefficients) + 1)
    found = classical.lines(slopes(frame, **options))
    assert found.table["df"].min() == 1
    names = list(found.coefficients.columns)
    for label, part in frame.groupby("g"):
        X = part.assign(Intercept=1.0)[names]
        fit = sm.OLS(part["y"], X).fit()
        np.testing.assert_allclose(found.coefficients.loc[label], fit.params, rtol=1e-8)
        np.testing.assert_allclose(found.standard_errors.loc[label], fit.bse, rtol=1e-8)
        row = found.table.loc[label]
        assert row["sigma"] == pytest.approx(math.sqrt(fit.mse_resid), rel=1e-9)
        assert row["r2"] == pytest.approx(fit.rsquared, rel=1e-8)
        assert row["df"] == fit.df_resid
    assert found.without_line == found.without_error == ()


def test_common_columns_may_be_left_out_of_the_lines_but_not_a_common_intercept() -> None:
    frame = rows(4, smallest=5)
    plain = classical.lines(slopes(frame)).table
    pd.testing.assert_frame_equal(
        classical.lines(slopes(frame, common=["w"]), common=False).table, plain
    )
    held = classical.lines(slopes(frame, common=["w"], intercept="common"), common=False).table
    np.testing.assert_allclose(held["Intercept"], plain["Intercept"], rtol=1e-9)


def test_groups_without_a_line_and_without_an_error_are_named_and_kept() -> None:
    few = pd.DataFrame(
        {
            "y": [1.0, 2.0, 5.0, 6.0, 7.0, 8.0],
            "x": [0.0, 1.0, 3.0, 2.0, 2.0, 2.0],
            "w": 0.0,
            "g": ["two", "two", "one", "same", "same", "same"],
        }
    )
    frame = pd.concat([rows(5, smallest=5), few])
    with pytest.warns(
        DataWarning, match=r"2 of 12 groups cannot give 2 .*: 'one', 'same'; 1 of 12"
    ):
        found = classical.lines(slopes(frame))
    assert found.without_line == ("one", "same")
    assert found.without_error == ("two",)
    assert found.table.loc[["one", "same"], ["Intercept", "x", "sigma", "r2"]].isna().all(axis=None)
    assert found.coefficients.loc["two"].tolist() == pytest.approx([1, 1])
    assert found.standard_errors.loc["two"].isna().all()
    assert "no line of their own: 2 of 12 groups, 'one', 'same'" in str(found)


def constant(label: str) -> pd.DataFrame:
    """Groups of 5 rows or more, in one of which the column w does not vary."""
    return rows(5, smallest=5).assign(w=lambda f: f["w"].where(f["g"] != label, 1.0))


def test_a_common_column_that_costs_groups_their_lines_is_offered_to_be_left_out() -> None:
    model = slopes(constant("group 3"), common=["w"])
    offer = r"1 of 9 groups cannot .*'group 3'; lines\(model, common=False\) leaves 'w' out; mixed"
    with pytest.warns(DataWarning, match=offer):
        assert classical.lines(model).without_line == ("group 3",)
    assert classical.lines(model, common=False).without_line == ()


def test_nothing_is_offered_where_leaving_the_common_columns_out_would_not_help() -> None:
    frame = rows(5, smallest=5).assign(x=lambda f: f["x"].where(f["g"] != "group 3", 1.0))
    for options in ({"common": ["w"]}, {}):
        with pytest.warns(DataWarning, match=r"1 of 9 groups cannot") as caught:
            classical.lines(slopes(frame, **options))
        assert "common=False" not in str(caught[0].message)


def test_degrees_of_freedom_are_the_rows_less_the_rank_of_their_columns() -> None:
    frame = constant("group 3")
    table = quiet(classical.lines, slopes(frame, common=["w"])).table
    for label, part in frame.groupby("g"):
        X = np.column_stack([np.ones(len(part)), part["x"], part["w"]])
        assert table.loc[label, "df"] == len(part) - np.linalg.matrix_rank(X)


def test_a_column_may_be_called_n() -> None:
    frame = rows(5, smallest=5).rename(columns={"x": "n"})
    found = classical.lines(slopes(frame, varying=["n"]))
    assert list(found.table.columns).count("n") == 2
    assert found.coefficients["n"].notna().all()


# ---- the mixed model -----------------------------------------------------------------------------


def test_reml_on_the_exam_data_is_lme4s() -> None:
    found = classical.mixed_model(exam())
    # lme4: normexam ~ standLRT + (standLRT | school), to the digits given.
    assert found.tau["Intercept"] == pytest.approx(0.30351, abs=5e-6)
    assert found.tau["standLRT"] == pytest.approx(0.12234, abs=5e-6)
    assert found.Omega.loc["Intercept", "standLRT"] == pytest.approx(0.494, abs=5e-4)
    assert found.sigma == pytest.approx(0.74407, abs=5e-6)
    # statsmodels 0.15, BFGS with gtol=1e-10.
    assert found.log_likelihood == pytest.approx(-4663.800172564843, abs=1e-8)
    assert found.mu.tolist() == pytest.approx([-0.01164932, 0.55653471], abs=1e-7)
    assert found.converged
    assert not found.boundary


def test_ml_on_the_exam_data_is_the_maximum_that_statsmodels_finds() -> None:
    found = classical.mixed_model(exam(), "ml")
    assert found.tau.tolist() == pytest.approx([0.30074451, 0.12056398], abs=2e-8)
    assert found.sigma == pytest.approx(0.74408163, abs=1e-8)
    assert found.log_likelihood == pytest.approx(-4658.435482461024, abs=1e-8)


def test_the_effects_are_statsmodels_blups() -> None:
    from statsmodels.regression.mixed_linear_model import MixedLM

    model = slopes(rows(6, J=40), common=["w"])
    found, r = classical.mixed_model(model), model.design.rows("a test")
    X = np.hstack([r.z, r.x])
    theirs = MixedLM(r.y, X, r.index, exog_re=r.z).fit(method="bfgs", gtol=1e-7)
    for j, label in enumerate(model.design.labels):
        expected = theirs.fe_params[:2] + np.asarray(theirs.random_effects[j])
        np.testing.assert_allclose(found.effects.loc[label], expected, atol=2e-5)
        sd = np.sqrt(np.diag(theirs.random_effects_cov[j]))
        np.testing.assert_allclose(found.effects_sd.loc[label], sd, rtol=1e-4)
    assert found.beta["w"] == pytest.approx(theirs.fe_params[2], abs=1e-5)


def test_an_intercept_that_varies_alone_is_the_one_way_model() -> None:
    frame = rows()
    a = classical.mixed_model(one_way(frame))
    b = classical.mixed_model(slopes(frame, varying=[]))
    assert b.mu["Intercept"] == pytest.approx(a.mu, rel=1e-9)
    assert b.tau["Intercept"] == pytest.approx(a.tau, rel=1e-7)
    assert b.log_likelihood == pytest.approx(a.log_likelihood, rel=1e-10)
    np.testing.assert_allclose(a.effects["theta"], b.effects["Intercept"], rtol=1e-8)
    assert list(a.table.index) == ["mu", "tau", "sigma", "icc"]
    assert a.table.loc["icc", "estimate"] == pytest.approx(a.tau**2 / (a.tau**2 + a.sigma**2))


def test_ml_is_the_density_of_the_rows_with_their_marginal_covariance() -> None:
    model = slopes()
    found = quiet(classical.mixed_model, model, "ml")
    r, total, information = model.design.rows("a test"), 0.0, np.zeros((2, 2))
    for j, label in enumerate(model.design.labels):
        covariance = classical.marginal_covariance(model, label, estimates=found).table
        z, y = r.z[r.index == j], r.y[r.index == j]
        total += stats.multivariate_normal(z @ found.mu.to_numpy(), covariance).logpdf(y)
        information += z.T @ np.linalg.solve(covariance, z)
    assert found.log_likelihood == pytest.approx(total, rel=1e-9)
    np.testing.assert_allclose(found.covariance, np.linalg.inv(information), rtol=1e-7)
    coefficients = found.table.iloc[:2]
    np.testing.assert_allclose(coefficients["se"] ** 2, np.diag(found.covariance))
    np.testing.assert_allclose(
        coefficients["upper"] - coefficients["estimate"], 1.6448536 * coefficients["se"], rtol=1e-7
    )


def test_an_estimate_on_the_boundary_says_so() -> None:
    frame = pd.DataFrame({"y": [1.0, 5.0, 2.0, 4.2, 1.1, 4.8], "g": list("aabbcc")})
    with pytest.warns(DataWarning, match=r"REML estimate lies on the boundary: tau = 0, complete"):
        found = classical.mixed_model(one_way(frame))
    assert found.boundary
    assert found.tau == 0
    assert found.sigma == pytest.approx(frame["y"].std(), rel=1e-12)
    np.testing.assert_allclose(found.effects["theta"], frame["y"].mean())
    assert found.effects_sd["theta"].tolist() == [0, 0, 0]
    assert "on the boundary: tau = 0, complete pooling" in str(found)


def test_effects_with_a_correlation_of_one_say_so() -> None:
    for seed in range(20):
        frame = rows(seed, J=6)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = classical.mixed_model(slopes(frame, varying=["x", "w"]))
        if found.boundary:
            break
    assert "exact linear functions of each other" in str(caught[-1].message)
    assert np.linalg.eigvalsh(found.Omega.fillna(0))[0] < 1e-6


def test_a_maximum_that_is_not_reached_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variance_components, "_CONVERGED", -1.0)
    with pytest.warns(DiagnosticWarning, match="REML estimate did not converge"):
        found = classical.mixed_model(one_way())
    assert not found.converged
    assert "not converged" in str(found)


# ---- empirical Bayes -----------------------------------------------------------------------------


def test_the_classical_estimate_weighs_means_by_their_precisions() -> None:
    frame = rows()
    found = classical.empirical_bayes(one_way(frame))
    tau = classical.anova(one_way(frame)).tau
    assert (found.tau, found.method, found.sd) == (pytest.approx(tau), "moment", "own")
    for label, part in frame.groupby("g"):
        data, population = len(part) / part["y"].var(), 1 / tau**2
        theta = (data * part["y"].mean() + population * found.mu) / (data + population)
        row = found.table.loc[label]
        assert row["estimate"] == pytest.approx(theta, rel=1e-9)
        assert row["sd"] == pytest.approx((data + population) ** -0.5, rel=1e-9)
        assert row["pooling_factor"] == pytest.approx(population / (data + population), rel=1e-9)
        assert row["upper"] - theta == pytest.approx(1.6448536 * row["sd"], rel=1e-7)
    weights = 1 / (found.table["se"] ** 2 + tau**2)
    assert found.mu == pytest.approx(np.average(found.table["mean"], weights=weights), rel=1e-12)


def test_the_mean_to_shrink_towards_may_be_that_of_all_rows() -> None:
    frame = rows()
    model, tau, centre = one_way(frame), classical.anova(one_way(frame)).tau, frame["y"].mean()
    found = classical.empirical_bayes(model, mu=classical.anova(model).mean)
    assert found.mu == pytest.approx(centre, rel=1e-12)
    assert found.mu != pytest.approx(classical.empirical_bayes(model).mu, rel=1e-3)
    for label, part in frame.groupby("g"):
        # Gelman and Hill 2007, equation 12.1, with each group's own variance.
        data, population = len(part) / part["y"].var(), 1 / tau**2
        expected = (data * part["y"].mean() + population * centre) / (data + population)
        assert found.table.loc[label, "estimate"] == pytest.approx(expected, rel=1e-9)
    given = classical.empirical_bayes(schools(), tau=0, mu=3)
    assert (given.table["estimate"] == 3).all()


@pytest.mark.parametrize("method", ["reml", "ml"])
def test_with_the_mixed_models_own_numbers_it_is_the_mixed_model(method: str) -> None:
    model = one_way()
    found = classical.empirical_bayes(model, tau=method, sd="pooled")
    mixed = classical.mixed_model(model, method)
    assert found.tau == pytest.approx(mixed.tau, rel=1e-12)
    assert found.mu == pytest.approx(mixed.mu, rel=1e-9)
    np.testing.assert_allclose(found.table["estimate"], mixed.effects["theta"], rtol=1e-9)
    np.testing.assert_allclose(found.table["sd"], mixed.effects_sd["theta"], rtol=1e-9)


@pytest.mark.parametrize("sd", ["own", "pooled"])
def test_tau_0_is_complete_pooling_and_infinity_none(sd: str) -> None:
    model = one_way()
    means = classical.group_means(model, sd=sd).table
    complete = classical.empirical_bayes(model, tau=0, sd=sd)
    np.testing.assert_allclose(complete.table["estimate"], complete.mu, rtol=1e-14)
    assert complete.mu == pytest.approx(np.average(means["mean"], weights=means["se"] ** -2.0))
    if sd == "pooled":
        assert complete.mu == pytest.approx(rows()["y"].mean(), rel=1e-12)
    none = classical.empirical_bayes(model, tau=math.inf, sd=sd)
    np.testing.assert_allclose(none.table["estimate"], means["mean"], rtol=1e-14)
    np.testing.assert_allclose(none.table["sd"], none.table["se"], rtol=1e-14)


@pytest.mark.parametrize("tau", [None, "dl", "pm", "reml"])
def test_the_eight_schools_shrink_to_one_number_by_every_estimate_of_tau(tau: Any) -> None:
    found = classical.empirical_bayes(schools(), tau=tau)
    assert found.tau == 0
    np.testing.assert_allclose(found.table["estimate"], 7.6856, atol=5e-5)
    assert "tau = 0: complete pooling" in str(found)


def test_with_known_standard_errors_and_tau_given_it_is_the_conditional_posterior() -> None:
    found = classical.empirical_bayes(schools(), tau=10.0)
    frame = hm.datasets.eight_schools().set_index("school")
    # Gelman et al., Bayesian Data Analysis, equations 5.17 and 5.20.
    w = 1 / (frame["se"] ** 2 + 100)
    mu = np.average(frame["effect"], weights=w)
    variance = 1 / (frame["se"] ** -2.0 + 1 / 100)
    assert found.mu == pytest.approx(mu)
    expected = variance * (frame["effect"] / frame["se"] ** 2 + mu / 100)
    np.testing.assert_allclose(found.table["estimate"], expected, rtol=1e-12)
    np.testing.assert_allclose(found.table["sd"], np.sqrt(variance), rtol=1e-12)


# ---- the marginal covariance ---------------------------------------------------------------------


def test_rows_of_a_group_share_tau2_and_rows_of_two_groups_nothing() -> None:
    model = one_way()
    table = classical.marginal_covariance(
        model, ["group 3", "group 1"], estimates={"tau": 2.0, "sigma": 3.0}
    ).table
    frame = rows()
    wanted = [label for label in ("group 3", "group 1") for _ in range((frame["g"] == label).sum())]
    assert table.index.get_level_values("g").tolist() == wanted
    places = table.index.get_level_values("observation")
    assert frame["g"].iloc[places].tolist() == wanted
    same = np.equal.outer(np.array(wanted), np.array(wanted))
    np.testing.assert_array_equal(table, 4.0 * same + 9.0 * np.eye(len(wanted)))
    assert table.columns.equals(table.index)


def test_the_correlation_within_a_group_is_the_intraclass_correlation() -> None:
    model = one_way()
    found = classical.anova(model)
    r = classical.marginal_covariance(model, "group 0", estimates=found).correlation.to_numpy()
    np.testing.assert_allclose(r[~np.eye(len(r), dtype=bool)], found.icc, rtol=1e-12)
    np.testing.assert_allclose(np.diag(r), 1, rtol=1e-12)


def test_varying_slopes_give_z_sigma_z_and_the_residual_variance() -> None:
    model = slopes()
    tau, rho, sigma = np.array([1.5, 0.5]), -0.4, 2.0
    given = {"tau": {"Intercept": 1.5, "x": 0.5}, "Omega": [[1, rho], [rho, 1]], "sigma": sigma}
    table = classical.marginal_covariance(model, "group 2", estimates=given).table
    x = rows().query("g == 'group 2'")["x"].to_numpy()
    z = np.column_stack([np.ones(len(x)), x])
    Sigma = np.diag(tau) @ [[1, rho], [rho, 1]] @ np.diag(tau)
    np.testing.assert_allclose(table, z @ Sigma @ z.T + 4 * np.eye(len(x)), rtol=1e-12)


def test_by_default_the_estimates_are_remls() -> None:
    mixed = classical.mixed_model(slopes())
    a = classical.marginal_covariance(slopes(), "group 2").table
    b = classical.marginal_covariance(slopes(), ["group 2"], estimates=mixed).table
    pd.testing.assert_frame_equal(a, b)
    table = classical.marginal_covariance(schools(), ["B", "H"]).table
    np.testing.assert_allclose(table, np.diag([100.0, 324.0]))
    assert table.index.tolist() == ["B", "H"]
    wide = classical.marginal_covariance(schools(), "B", estimates={"tau": 2}).table
    assert wide.loc["B", "B"] == 104


def test_a_residual_sd_for_each_group_is_its_own() -> None:
    model = one_way(sigma="group")
    sigma = dict(zip(model.design.labels.tolist(), range(1, 10), strict=True))
    table = classical.marginal_covariance(
        model, ["group 0", "group 5"], estimates={"tau": 1, "sigma": sigma}
    ).table
    first, last = table.iloc[0, 0], table.iloc[-1, -1]
    assert (first, last) == (1 + sigma["group 0"] ** 2, 1 + sigma["group 5"] ** 2)


def test_groups_may_be_any_sequence_of_labels() -> None:
    model, given = one_way(), {"tau": 2, "sigma": 1}
    labels = ["group 3", "group 1"]
    wanted = classical.marginal_covariance(model, labels, estimates=given).table
    for groups in (pd.Index(labels), pd.Series(labels), np.array(labels), (x for x in labels)):
        found = classical.marginal_covariance(model, groups, estimates=given).table
        pd.testing.assert_frame_equal(found, wanted)
    one = classical.marginal_covariance(model, np.array("group 1"), estimates=given).table
    assert set(one.index.get_level_values("g")) == {"group 1"}


def posterior_of(**variables: Any) -> Any:
    """A container of two chains of three draws."""
    import xarray as xr

    from hiermodels.container import inference_data

    data = {
        name: (("chain", "draw", *dims), np.broadcast_to(values, (2, 3, *np.shape(values))))
        for name, (dims, values) in variables.items()
    }
    return inference_data.container({"posterior": xr.Dataset(data)}, {})


def test_posterior_means_are_estimates_and_draws_are_not() -> None:
    coefficient = "coefficient"
    idata = posterior_of(
        tau=((coefficient,), [1.5, 0.5]),
        sigma=((), 2.0),
        Omega=((coefficient, "coefficient_2"), [[1, -0.4], [-0.4, 1]]),
    )
    given = {"tau": [1.5, 0.5], "sigma": 2.0, "Omega": [[1, -0.4], [-0.4, 1]]}
    wanted = classical.marginal_covariance(slopes(), "group 2", estimates=given).table
    means = idata.posterior.mean(("chain", "draw"))
    found = classical.marginal_covariance(slopes(), "group 2", estimates=means).table
    pd.testing.assert_frame_equal(found, wanted)
    way = r"got (InferenceData|DataTree|Dataset|DatasetView), which has draws; give posterior means"
    for draws in (idata, idata.posterior, getattr(idata.posterior, "dataset", idata.posterior)):
        with pytest.raises(OptionError, match=way) as caught:
            classical.marginal_covariance(slopes(), "group 2", estimates=draws)
        assert "estimates=idata.posterior.mean(('chain', 'draw'))" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_label_of_the_same_text_and_another_type_is_named() -> None:
    numbered = one_way(rows().assign(g=lambda f: f["g"].str[-1].astype(int)))
    with pytest.raises(OptionError, match=r"no group '3' .*did you mean 3 \(a number, not text\)"):
        classical.marginal_covariance(numbered, "3")
    with pytest.raises(OptionError, match=r"no group 33 in 'g'; there are [0-7, ]*7 and 1 more$"):
        classical.marginal_covariance(numbered, 33)
    written = one_way(rows().assign(g=lambda f: f["g"].str[-1]))
    with pytest.raises(OptionError, match=r"no group 3 .*did you mean '3' \(text, not a number\)"):
        classical.marginal_covariance(written, 3)


# ---- laws ----------------------------------------------------------------------------------------

RESULTS = {
    "anova": lambda frame: classical.anova(one_way(frame)),
    "group_means": lambda frame: classical.group_means(one_way(frame)),
    "mixed_model": lambda frame: classical.mixed_model(one_way(frame)),
    "mixed_slopes": lambda frame: classical.mixed_model(slopes(frame, common=["w"]), "ml"),
    "empirical_bayes": lambda frame: classical.empirical_bayes(one_way(frame), tau="reml"),
    "lines": lambda frame: classical.lines(slopes(frame)),
}
POWERS = {"sum_sq": 2, "mean_sq": 2, "mean": 1, "sd": 1, "se": 1, "lower": 1, "upper": 1}
POWERS |= {"estimate": 1, "Intercept": 1, "x": 1, "Intercept_se": 1, "x_se": 1, "sigma": 1}


@pytest.mark.parametrize("name", RESULTS)
def test_another_unit_of_the_response_changes_the_unit_of_the_numbers(name: str) -> None:
    frame = rows(7, smallest=5)
    table = quiet(RESULTS[name], frame).table
    other = quiet(RESULTS[name], frame.assign(y=1e-3 * frame["y"])).table
    for column in table.columns:
        a, b = table[column].to_numpy(float), other[column].to_numpy(float)
        factor = np.full(len(a), 1e-3 ** POWERS.get(column, 0))
        if column == "estimate":
            factor[[str(n).startswith(("Omega", "icc")) for n in table.index]] = 1
        np.testing.assert_allclose(b, a * factor, rtol=1e-6, atol=1e-10 * factor.max())


@pytest.mark.parametrize("name", [*RESULTS])
def test_the_order_of_the_rows_moves_labels_and_nothing_else(name: str) -> None:
    frame = rows(8, smallest=5)
    table = quiet(RESULTS[name], frame).table
    other = quiet(RESULTS[name], frame.sample(frac=1, random_state=1)).table
    pd.testing.assert_frame_equal(table, other.loc[table.index], rtol=1e-6)


@pytest.mark.parametrize("name", [*RESULTS])
def test_sufficient_statistics_and_lazy_frames_say_the_same_as_the_rows(name: str) -> None:
    import polars as pl

    frame = rows(9, smallest=5)
    table = quiet(RESULTS[name], frame).table
    for other in (
        hm.sufficient_statistics(frame, y="y", group="g", columns=["x", "w"]),
        pl.from_pandas(frame).lazy(),
    ):
        found = quiet(RESULTS[name], other).table
        pd.testing.assert_frame_equal(table, found.loc[table.index], rtol=1e-6)


def test_a_mean_of_a_hundred_million_loses_no_digits() -> None:
    frame = rows(10, smallest=5)
    near = frame.assign(y=np.round(frame["y"] * 2**20) / 2**20)
    far = near.assign(y=near["y"] + 2.0**27)
    a, b = classical.anova(one_way(near)), classical.anova(one_way(far))
    assert b.F == pytest.approx(a.F, rel=1e-7)
    assert b.tau == pytest.approx(a.tau, rel=1e-7)
    a, b = (quiet(classical.mixed_model, slopes(frame)) for frame in (near, far))
    np.testing.assert_allclose(b.tau, a.tau, rtol=1e-5)
    assert b.mu["Intercept"] - 2.0**27 == pytest.approx(a.mu["Intercept"], abs=1e-6)


def test_pooling_and_priors_play_no_part() -> None:
    a = classical.mixed_model(one_way())
    b = classical.mixed_model(one_way(pooling="complete"))
    c = classical.mixed_model(one_way(priors={"tau": hm.HalfNormal(0.01)}))
    pd.testing.assert_frame_equal(a.table, b.table)
    pd.testing.assert_frame_equal(a.table, c.table)


# ---- results and refusals ------------------------------------------------------------------------


def every_result() -> list[Any]:
    made = [quiet(make, rows(11, smallest=5)) for make in RESULTS.values()]
    made.append(classical.meta_analysis(schools()))
    made.append(classical.marginal_covariance(schools(), ["A", "B"], estimates={"tau": 3}))
    return made


def test_every_result_is_frozen_has_a_table_and_prints_in_a_few_lines() -> None:
    for found in every_result():
        assert isinstance(found.table, pd.DataFrame)
        text = str(found)
        assert text == repr(found)
        assert 3 <= len(text.splitlines()) <= 14
        assert max(map(len, text.splitlines())) <= 120
        assert "nan" not in text.casefold()
        with pytest.raises(dataclasses.FrozenInstanceError):
            found.table = None


def test_the_printed_table_says_where_the_other_groups_are() -> None:
    model = hm.OneWay(hm.datasets.mathscore(), y="mathscore", group="school")
    assert "... and 92 more: .table has all" in str(classical.group_means(model))
    assert "160024" in str(classical.anova(model))


def test_every_public_name_is_there() -> None:
    assert sorted(classical.__all__) == classical.__all__
    for name in classical.__all__:
        assert getattr(classical, name).__doc__


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: classical.anova(slopes()), r"OneWay, got VaryingSlopes; hm\.OneWay\(frame"),
        (lambda: classical.anova(schools()), r"OneWay, got EightSchools; meta_analysis\(model\)"),
        (lambda: classical.anova(rows()), r"OneWay, got DataFrame; make one first"),
        (lambda: classical.group_means(slopes()), r"EightSchools, got VaryingSlopes; lines\("),
        (lambda: classical.lines(one_way()), r"VaryingSlopes, got OneWay; group_means\(model\)"),
        (lambda: classical.mixed_model(schools()), r"meta_analysis\(model, method='reml'\)"),
        (lambda: classical.empirical_bayes(slopes()), r"mixed_model\(model\)\.effects"),
        (lambda: classical.mixed_model(one_way(), "REML"), r"'reml', 'ml', got 'REML'; did you"),
        (lambda: classical.group_means(one_way(), 1.0), r"between 0 and 1, got 1\.0"),
        (lambda: classical.group_means(one_way(), sd="owm"), r"'own', 'pooled', got 'owm'; did"),
        (lambda: classical.group_means(schools(), sd="own"), r"known standard errors, got 'own'"),
        (lambda: classical.empirical_bayes(schools(), sd="own"), r"known standard errors, got"),
        (lambda: classical.empirical_bayes(one_way(), tau="dl"), r"'reml', 'ml' for OneWay, got"),
        (lambda: classical.empirical_bayes(one_way(), tau=-1), r"at least 0, or one of .*got -1"),
        (lambda: classical.empirical_bayes(schools(), tau=math.nan), r"at least 0.*got nan"),
        (lambda: classical.mixed_model(one_way(sigma="group")), r"replace\(sigma='common'\)"),
        (
            lambda: classical.marginal_covariance(one_way(), "group 99"),
            r"no group 'group 99' in 'g'; there are .*; did you mean",
        ),
        (lambda: classical.marginal_covariance(one_way(), []), r"one group or more, got none"),
        (
            lambda: classical.marginal_covariance(schools(), ["A", "A"]),
            r"each group once, got 'A' twice",
        ),
        (
            lambda: classical.marginal_covariance(one_way(), "group 1", estimates={"tau": 1}),
            r"estimates must have 'sigma'",
        ),
        (
            lambda: classical.marginal_covariance(one_way(), "group 1", estimates=3),
            r"or a mapping such as \{'tau': 4\.5, 'sigma': 9\.2\}, got int",
        ),
        (
            lambda: classical.marginal_covariance(
                slopes(), "group 1", estimates={"tau": [1, 1], "sigma": 1}
            ),
            r"must have 'Omega', correlations of 'Intercept', 'x'",
        ),
        (
            lambda: classical.marginal_covariance(
                slopes(), "group 1", estimates={"tau": 1, "sigma": 1, "Omega": [[1, 2], [2, 1]]}
            ),
            r"Omega must be a 2 x 2 correlation matrix",
        ),
        (
            lambda: classical.marginal_covariance(
                slopes(), "group 1", estimates={"tau": {"x": 1}, "sigma": 1, "Omega": np.eye(2)}
            ),
            r"tau has nothing for 'Intercept'",
        ),
        (
            lambda: classical.marginal_covariance(
                one_way(), "group 1", estimates={"tau": -1, "sigma": 1}
            ),
            r"tau must be a number, at least 0, got -1",
        ),
        (
            lambda: classical.marginal_covariance(
                one_way(), "group 1", estimates={"tau": "a", "sigma": 1}
            ),
            r"tau must be a number, at least 0, got 'a'",
        ),
        (
            lambda: classical.marginal_covariance(
                one_way(), "group 1", estimates={"tau": np.zeros((50, 3)), "sigma": 1}
            ),
            r"tau must be a number, at least 0, got ndarray of shape \(50, 3\)$",
        ),
        (
            lambda: classical.marginal_covariance(
                slopes(), "group 1", estimates={"tau": 1, "sigma": 1, "Omega": "eye"}
            ),
            r"Omega must be a 2 x 2 correlation matrix, got 'eye'",
        ),
        (
            lambda: classical.marginal_covariance(one_way(sigma="group"), "group 1"),
            r"got sigma='group'; give estimates=\{'tau': \.\.\., 'sigma': \{label: \.\.\.\}\}",
        ),
        (
            lambda: classical.marginal_covariance(one_way(), ["group 1", ["group 2"]]),
            r"there is no group \['group 2'\] in 'g'",
        ),
        (lambda: classical.empirical_bayes(one_way(), mu=math.nan), r"mu must be a finite .*nan"),
        (lambda: classical.empirical_bayes(one_way(), mu="mean"), r"finite number, got 'mean'"),
    ],
)
def test_wrong_arguments_are_refused_with_the_next_step(call: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        call()


def test_more_rows_than_a_matrix_can_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:

    from hiermodels.classical import implied_covariance

    monkeypatch.setattr(implied_covariance, "MOST_ROWS", 5)
    with pytest.raises(OptionError, match=r"at most 5 rows, got \d+ in 'group 0'"):
        classical.marginal_covariance(one_way(), "group 0", estimates={"tau": 1, "sigma": 1})


def test_varying_slopes_need_their_rows_for_the_covariance_of_rows() -> None:
    found = hm.sufficient_statistics(rows(), y="y", group="g", columns=["x"])
    with pytest.raises(DataError, match="needs the rows, and sufficient statistics hold none"):
        classical.marginal_covariance(slopes(found), "group 1")
    alike = classical.marginal_covariance(
        one_way(found.select([])), "group 1", estimates={"tau": 2, "sigma": 1}
    ).table
    assert alike.index.get_level_values("observation").tolist() == list(range(len(alike)))


def test_data_that_cannot_answer_are_refused_with_the_next_step() -> None:
    single = pd.DataFrame({"y": [1.0, 2.0, 4.0], "g": list("abc")})
    with pytest.warns(DataWarning, match="without replication"):
        bare = one_way(single)
    for call in (classical.anova, classical.mixed_model, classical.empirical_bayes):
        with pytest.raises(DataError, match=r"2 rows or more, got one row .*hm\.EightSchools"):
            call(bare)
    with pytest.raises(DataError, match=r"a pooled sd needs a group with 2 rows"):
        classical.group_means(bare, sd="pooled")
    one = one_way(pd.DataFrame({"y": [1.0, 2.0], "g": "a"}), pooling="complete")
    for call in (classical.anova, classical.group_means, classical.mixed_model):
        with pytest.raises(DataError, match=r"at least 2 groups, got 1 \('a'\).*is 'g' the column"):
            call(one)


def test_groups_without_an_sd_of_their_own_cannot_be_weighed_by_it() -> None:
    few = pd.DataFrame({"y": [3.0, 4.0, 4.0], "g": ["alone", "flat", "flat"]})
    frame = pd.concat([rows(), few])
    with pytest.raises(DataError, match=r"2 of 11 have none \('alone', 'flat'\).*sd='pooled'"):
        classical.empirical_bayes(one_way(frame))
    assert classical.empirical_bayes(one_way(frame), sd="pooled").table.notna().all(axis=None)


def test_rows_that_the_groups_own_lines_use_up_are_refused() -> None:
    frame = pd.DataFrame({"y": [1.0, 2.0, 4.0, 3.0], "x": [0.0, 1.0, 0.0, 1.0], "g": list("aabb")})
    with pytest.warns(DataWarning, match="without replication"):
        model = slopes(frame)
    with pytest.raises(DataError, match=r"none left in 2 groups with 2 varying.*leave varying"):
        classical.mixed_model(model)
    exact = rows(12, smallest=5)
    exact["y"] = 2 * exact["x"] + exact["g"].str[-1].astype(float)
    perfect = slopes(exact, varying=[], common=["x"], pooling="complete")
    with pytest.raises(DataError, match=r"fit 'y' perfectly"):
        classical.mixed_model(perfect)


def test_numbers_are_printed_to_five_digits_and_whole_ones_as_they_are() -> None:
    from hiermodels.classical.results import number

    values = [1893, 160024.0, 493.1818, 0.195391, -0.0251952, 0.0, 1e-9, 2.5e8, math.inf, math.nan]
    expected = ["1893", "160024", "493.18", "0.19539", "-0.025195", "0", "1e-09", "2.5e+08"]
    assert [number(v) for v in values] == [*expected, "inf", ""]
