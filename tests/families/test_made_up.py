"""A family that is not Gaussian: every function gives the right answer for it, or refuses."""

from __future__ import annotations

import shutil
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import hiermodels as hm
from hiermodels import families
from hiermodels.comparison import refits
from hiermodels.container import inference_data as idatas
from hiermodels.errors import ContainerError, HierModelsError, OptionError, PriorError
from tests.families.laplace import FOLDER, Laplace

QUICK = {"chains": 4, "draws": 1000, "progress": False}
CLOSED = "integrate out in closed form"


@pytest.fixture(scope="module", autouse=True)
def family(tmp_path_factory):
    """The family, its programs beside the functions that they include, and a cache of its own."""
    folder = tmp_path_factory.mktemp("laplace")
    for file in [*FOLDER.glob("*.stan"), hm.programs.folder() / "priors.stanfunctions"]:
        shutil.copy(file, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HIERMODELS_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setitem(families.FAMILIES, "Laplace", Laplace)
        yield Laplace(str(folder))


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(4)
    g = np.repeat(list("ABCDEFGH"), 6)
    theta = rng.normal(3, 1, 8)
    return pd.DataFrame({"g": g, "y": np.repeat(theta, 6) + 1.5 * rng.laplace(size=48)})


@pytest.fixture(scope="module")
def model(frame, family):
    return hm.OneWay(frame, y="y", group="g", family=family)


@pytest.fixture(scope="module")
def fit(model):
    return model.fit(seed=1, **QUICK)


def draws(idata, name):
    values = idatas.dataset(idata, "posterior")[name].to_numpy()
    return values.reshape(-1, *values.shape[2:])


def looks_like_laplace(e):
    """E e^2 / (E |e|)^2 is 2 for a Laplace variable and pi / 2 for a normal one."""
    return abs(np.mean(e**2) / np.mean(np.abs(e)) ** 2 - 2) < 0.1


# ---- right answers -------------------------------------------------------------------------------


def test_the_posterior_is_that_of_a_grid(frame, family):
    """With tau and b all but known, mu and theta integrate by quadrature, group by group."""
    n = 20_000  # 1 / tau^2 and 1 / b^2 have this many times their mean as rates
    tau, b = hm.GammaPrecision(n, n), hm.GammaPrecision(n, 2.25 * n)
    priors = {"mu": hm.Normal(3, 1), "tau": tau, "b": b}
    model = hm.OneWay(frame, y="y", group="g", family=family, priors=priors)
    got = model.fit(seed=2, **QUICK)
    mu, x = np.linspace(-2, 8, 401), np.linspace(-8, 14, 4401)
    log_p, means = stats.norm(3, 1).logpdf(mu), []
    for _, rows in frame.groupby("g"):
        like = np.exp(stats.laplace(x[:, None], 1.5).logpdf(rows["y"].to_numpy()).sum(axis=1))
        joint = stats.norm(mu[:, None], 1).pdf(x) * like
        log_p += np.log(joint.sum(axis=1))
        means.append((joint @ x) / joint.sum(axis=1))
    w = np.exp(log_p - log_p.max())
    w /= w.sum()
    theta, drawn = np.array(means) @ w, draws(got, "theta")
    assert draws(got, "mu").mean() == pytest.approx(mu @ w, abs=0.08)
    np.testing.assert_allclose(drawn.mean(axis=0), theta, atol=0.04)


def test_both_parameterizations_agree_and_are_certified(model, fit):
    found = hm.certify(fit, model, simulations=0, progress=False)
    assert found.passed, found
    assert "centered program" in found.method
    assert not found.table.index.str.contains("given the rest").any()


def test_the_log_likelihood_and_the_replications_are_laplace(frame, fit):
    theta, b = draws(fit, "theta"), draws(fit, "b")[:, None]
    place = frame["g"].map(dict(zip("ABCDEFGH", range(8), strict=True))).to_numpy()
    log_p = idatas.dataset(fit, "log_likelihood")["y"].to_numpy().reshape(-1, 48)
    exact = stats.laplace(theta[:, place], b).logpdf(frame["y"].to_numpy())
    np.testing.assert_allclose(log_p, exact, rtol=1e-9)
    y = idatas.dataset(fit, "posterior_predictive")["y"].to_numpy().reshape(-1, 48)
    assert looks_like_laplace((y - theta[:, place]) / b)
    np.testing.assert_allclose(
        draws(fit, "icc"), draws(fit, "tau") ** 2 / (draws(fit, "tau") ** 2 + 2 * b[:, 0] ** 2)
    )
    assert not idatas.has(fit, "log_likelihood_group")
    assert "response_look" not in idatas.attributes(fit)


def test_leaving_a_row_out_is_a_fit_without_it(model, fit):
    found = hm.loo(fit)
    assert found.ok
    assert "exact" not in found.next_step
    assert "unit='group'" not in found.next_step
    again = refits.row_elpd(model, 0, lambda m: m.fit(seed=3, **QUICK))
    assert found.table["elpd"].iloc[0] == pytest.approx(again, abs=0.1)


def test_predictions_are_laplace_about_the_group(model, fit):
    same = model.predict(fit, pd.DataFrame({"g": list("AB")}))
    drawn = idatas.dataset(same.idata, "predictions")
    e = drawn["y"].to_numpy() - drawn["y_mean"].to_numpy()
    assert looks_like_laplace(e / idatas.dataset(fit, "posterior")["b"].to_numpy()[:, :, None])
    np.testing.assert_allclose(
        drawn["y_mean"].to_numpy(), idatas.dataset(fit, "posterior")["theta"].to_numpy()[:, :, :2]
    )
    new = model.predict(fit, pd.DataFrame({"g": ["new"]}), target="new")
    mean, tau = draws(fit, "mu").mean(), draws(fit, "tau")
    assert new.table["expected"].iloc[0] == pytest.approx(mean, abs=0.5)
    variance = draws(fit, "mu").var() + np.mean(tau**2) + 2 * np.mean(draws(fit, "b") ** 2)
    assert new.table["sd"].iloc[0] ** 2 == pytest.approx(variance, rel=0.3)
    average = model.predict(fit, pd.DataFrame({"g": ["any"]}), target="average")
    assert average.table["expected"].iloc[0] == pytest.approx(mean)


def test_the_prior_predictive_is_laplace(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        idata = model.prior_predictive(2000, seed=5, progress=False)
    prior = idatas.dataset(idata, "prior")
    y = idatas.dataset(idata, "prior_predictive")["y"].to_numpy()[..., :6]
    e = (y - prior["theta"].to_numpy()[..., :1]) / prior["b"].to_numpy()[..., None]
    assert looks_like_laplace(e)


def test_strategies_are_compared_by_rows_alone(frame, model):
    found = hm.compare_pooling(model, seed=6, **QUICK)
    scored = found.elpd.dropna(subset="elpd").groupby("unit")["pooling"].agg(set)
    assert scored["observation"] == {"none", "partial", "complete"}
    assert scored["group"] == {"complete"}
    assert any(CLOSED in note for note in found.notes)
    own = frame.groupby("g")["y"].median()
    np.testing.assert_allclose(found.estimates["estimate"], own)
    np.testing.assert_allclose(found.estimates["none_mean"], own, atol=0.5)
    assert found.estimates["pooling_factor"].isna().all()
    icc = draws(found.fits["partial"], "icc")
    assert found.heterogeneity.loc["icc", "mean"] == pytest.approx(icc.mean())
    for idata in found.fits.values():
        assert "b" in idatas.dataset(idata, "posterior")
    # Under complete pooling a group's density is the sum of its rows'.
    pooled = found.fits["complete"]
    by_row = idatas.dataset(pooled, "log_likelihood")["y"].to_numpy()
    by_group = idatas.dataset(pooled, "log_likelihood_group")["y"].to_numpy()
    np.testing.assert_allclose(by_group[..., 2], by_row[..., 12:18].sum(axis=-1))
    assert "(OneWay, family Laplace)" in str(found)
    assert "Pooling factors" not in str(found)
    assert found.to_html()


def test_symbols_of_the_model_and_of_its_fit(model, fit):
    found = hm.in_symbols(model)
    assert found.lines == ("y_i ~ Laplace(theta_{j[i]}, b)", "theta_j ~ N(mu, tau)")
    assert ("b", "mean absolute deviation from the median of the g") in found.where
    assert "sigma" not in str(found)
    assert hm.in_symbols(fit) == found


def test_a_fit_is_saved_loaded_and_reported(model, fit, tmp_path):
    fit.to_netcdf(str(tmp_path / "fit.nc"))
    loaded = hm.load(tmp_path / "fit.nc")
    pd.testing.assert_frame_equal(hm.summary(loaded), hm.summary(fit))
    assert hm.loo(loaded).elpd == hm.loo(fit).elpd
    path = tmp_path / "report.html"
    hm.report(loaded, path, model=model)
    page = path.read_text(encoding="utf-8")
    assert "Laplace" in page
    assert "residual standard deviation" not in page


def test_a_fit_is_picked_up(model, tmp_path):
    whole = model.fit(seed=7, output_dir=tmp_path / "run", **QUICK)
    again = hm.resume(tmp_path / "run")
    np.testing.assert_array_equal(draws(whole, "theta"), draws(again, "theta"))
    assert idatas.attributes(again)["family"] == "Laplace"


def test_checks_and_sensitivity_need_rows_alone(fit):
    assert hm.check(fit).ok
    assert not [f for f in hm.check(fit).findings if f.kind in ("single_row", "response")]
    assert hm.check_groups(fit).ok
    found = hm.sensitivity(fit)
    assert set(found.table.index) >= {"mu", "tau", "b"}
    assert hm.at_centre(fit) is not None
    assert set(hm.ranks(fit).index) == set("ABCDEFGH")


def test_calibration_draws_its_data_from_the_family(model):
    priors = {"mu": hm.Normal(0, 1), "tau": hm.HalfNormal(1), "b": hm.HalfNormal(1)}
    found = hm.calibrate(
        model.replace(priors=priors), simulations=10, draws=100, seed=8, progress=False
    )
    assert "b" in found.table.index
    assert found.fits == 10


def test_pictures_of_the_fit(fit):
    for draw in (hm.plots.forest, hm.plots.trace, hm.plots.pairs, hm.plots.posterior_predictive):
        draw(fit)
    hm.plots.pareto_k(hm.loo(fit))


def test_questions_about_priors_and_many_data_sets(frame, model):
    found = hm.compare_priors(model, {"wide": {"tau": hm.HalfCauchy(5)}}, seed=9, **QUICK)
    assert "b" in str(found)
    many = hm.fit_many(model, {"one": frame, "two": frame.assign(y=2 * frame["y"])}, seed=9)
    means = many.table.set_index(["data_set", "variable"])["mean"]
    for name in ("mu", "tau", "b", "theta[A]"):
        assert means["two", name] == pytest.approx(2 * means["one", name], rel=0.15)


# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "instead"),
    [
        (lambda m, _: m.replace(parameterization="marginal"), "'noncentered'"),
        (lambda m, _: m.fit(engine="exact"), "engine='nuts'"),
        (lambda m, _: m.fit(engine="gibbs"), "engine='nuts'"),
        (lambda m, _: m.fit(effects="summary"), "effects='draws'"),
        (lambda m, _: hm.exact.posterior(m), "engine='nuts'"),
        (lambda m, _: hm.gibbs.sample(m), "engine='nuts'"),
        (lambda m, _: hm.classical.anova(m), "compare_pooling"),
        (lambda m, _: hm.classical.group_means(m), "compare_pooling"),
        (lambda m, _: hm.classical.empirical_bayes(m), "compare_pooling"),
        (lambda m, _: hm.classical.mixed_model(m), "compare_pooling"),
        (lambda _, fit: hm.influence(fit), "hm.loo"),
        (lambda _, fit: hm.loo(fit, unit="group"), "unit='observation'"),
        (lambda _, fit: hm.sensitivity(fit, likelihood="group"), "likelihood='row'"),
        (lambda _, fit: hm.plots.shrinkage(fit), "hm.plots.forest"),
        (lambda _, fit: hm.plots.raw_against_posterior(fit), "hm.plots.forest"),
        (lambda m, _: hm.plots.impact_of_tau(m), "engine='nuts'"),
    ],
)
def test_what_needs_a_closed_form_is_refused(model, fit, what, instead):
    with pytest.raises(OptionError, match=f"{CLOSED}.*family Laplace.*{instead}"):
        what(model, fit)


def test_what_else_is_refused(frame, family, model, fit):
    with pytest.raises(OptionError, match=r"no program laplace_varying_slopes"):
        hm.VaryingSlopes(frame, y="y", group="g", family=family).fit()
    with pytest.raises(PriorError, match=r"mu: Flat\(\) is improper, and the family Laplace"):
        model.replace(priors={"mu": hm.Flat()})
    statistics = hm.sufficient_statistics(frame, y="y", group="g")
    with pytest.raises(HierModelsError, match="needs the rows"):
        hm.OneWay(statistics, y="y", group="g", family=family).fit()
    gaussian = hm.OneWay(frame, y="y", group="g")
    with pytest.raises(ContainerError, match="must be a fit of this model"):
        gaussian.predict(fit, frame)
    with pytest.raises(ContainerError, match="must be a fit of this model"):
        hm.certify(gaussian.fit(engine="exact", seed=1), model)
    with pytest.raises(OptionError, match="left out where family= is given"):
        hm.OneWay(frame, y="y", group="g", sigma="group", family=family)
    with pytest.raises(OptionError, match=r"use hm.EightSchools"):
        hm.OneWay(frame, y="y", group="g", family=families.KnownErrors("se"))
    with pytest.raises(OptionError, match="family must be a family"):
        hm.OneWay(frame, y="y", group="g", family="poisson")


def test_sigma_is_short_for_the_gaussian_family(frame):
    short = hm.OneWay(frame, y="y", group="g", sigma="group")
    long = hm.OneWay(frame, y="y", group="g", family=families.Gaussian(sigma="group"))
    assert repr(short) == repr(long)
    assert (short.family, short.columns) == (long.family, long.columns)
    assert hm.OneWay(frame, y="y", group="g").family == families.Gaussian()
    assert long.replace(family=families.Gaussian()).family == families.Gaussian("common")
    assert long.replace(sigma="common").family == families.Gaussian("common")
    assert long.replace(pooling="none").family == long.family
