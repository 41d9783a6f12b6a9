"""The marginal programs: the same posterior as the textbook ones, and as their NumPy twin."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hiermodels as hm
from hiermodels.container import inference_data as idatas
from hiermodels.engines.nuts import sampling
from hiermodels.engines.settings import Settings
from hiermodels.errors import DataError, OptionError
from hiermodels.families import draws as sizes
from hiermodels.families.gaussian import marginal
from hiermodels.models.inits import starts
from hiermodels.stan import programs
from tests import reference
from tests.models.test_varying_slopes import columns, scalars, simulated

pytestmark = pytest.mark.filterwarnings(
    "ignore:(R-hat|bulk ESS|tail ESS|.*diverged)", "ignore:sigma cannot be learned"
)

UNIFORM = {"tau": hm.Uniform(0, 20), "sigma": hm.Uniform(0, 20)}


def schools(**options: Any) -> hm.EightSchools:
    frame = hm.datasets.eight_schools()
    return hm.EightSchools(frame, effect="effect", se="se", group="school", **options)


def one_way(**options: Any) -> hm.OneWay:
    frame = hm.datasets.simulate_one_way(
        groups=9, size=[1, 3, 8, 2, 5, 9, 4, 4, 3], mu=3, tau=1.5, sigma=1, seed=8
    ).frame
    return hm.OneWay(frame, y="y", group="group", **options)


def slopes(**options: Any) -> hm.VaryingSlopes:
    frame, _ = simulated()
    return hm.VaryingSlopes(frame, **{**columns(frame), **options})


MODELS: dict[str, Any] = {
    "eight schools": lambda: schools(),
    "eight schools, bounded": lambda: schools(priors={"tau": hm.Uniform(0, 20)}),
    "one way": lambda: one_way(),
    "one way, bounded": lambda: one_way(priors=UNIFORM),
    "one way, sigma by group": lambda: one_way(sigma="group"),
    "one way, sigma by group, bounded": lambda: one_way(sigma="group", priors=UNIFORM),
    "slopes": lambda: slopes(),
    "slopes, bounded": lambda: slopes(priors=UNIFORM),
    "slopes, sigma by group": lambda: slopes(sigma="group"),
    "slopes, one coefficient": lambda: slopes(varying=[], common=[]),
    "slopes, common intercept": lambda: slopes(intercept="common"),
    "slopes, no intercept": lambda: slopes(intercept="none", common=[]),
    "slopes, groups 1e8 sds apart": lambda: slopes_of(
        simulated()[0].assign(y=lambda f: f["y"] + 1e8 * np.sin(f["group"]))
    ),
    "slopes, a predictor 1e8 sds apart": lambda: slopes_of(
        simulated()[0].assign(w1=lambda f: f["w1"] + 1e8 * np.sin(f["group"]))
    ),
}


@pytest.mark.stan
@pytest.mark.parametrize("name", MODELS)
def test_stan_and_numpy_have_one_density_and_one_transformation(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", hm.HierModelsWarning)
        model = MODELS[name]()
    settings = Settings(chains=1, draws=60, warmup=60, seed=1)
    path = programs.executable(model.program_name(), progress=False).path
    inits = starts(model, None, 1, 1)
    ran = sampling.sample(path, model.stan_data, inits, settings, progress=False)
    assert ran[0].finished, ran[0].messages
    stan = {k: v[0] for k, v in sampling.unpack(ran).items()}
    d, hyper = model.design, model.hyperparameters
    q = stan["q"].reshape(60, -1)
    if hyper.sigmas > 1:
        q = np.hstack([q, stan["q_sigma"]])
    u = model.standardization.apply(q)
    values = hyper.values(u)
    # Stan's own columns, which are printed to twelve digits
    pairs = {"mu": values.raw[:, : d.K], "tau": values.tau}
    if not d.scalar:
        pairs |= {"beta": values.raw[:, d.K :], "L_Omega": values.L_Omega}
    if values.sigma is not None:
        pairs["sigma"] = values.sigma
    for variable, here in pairs.items():
        if here.size:
            there = stan[variable].reshape(here.shape)
            np.testing.assert_allclose(here, there, rtol=1e-8, atol=1e-8, err_msg=variable)
    prior = hyper.log_prior(values)
    for place, block in model.lprior_places():
        if block.elements is None or block.elements:
            np.testing.assert_allclose(prior[block.name], stan["lprior"][:, place], atol=1e-7)
    p = marginal.population(d, values.centred, values.tau, values.L_Omega, values.sigma)
    density = marginal.log_likelihood(d, p).sum(axis=1) + sum(prior.values())
    density = density + hyper.log_jacobian(u)
    # Stan leaves out constants of the priors: the difference is one number for all draws.
    off = stan["lp__"] - density
    np.testing.assert_allclose(off, off[0], atol=1e-6)


PAIRS: dict[str, Any] = {
    "three coefficients and two common columns": slopes,
    "sigma by group": lambda: slopes(varying=["x1"], common=["w1"], sigma="group"),
    "one way, sigma by group": lambda: hm.OneWay(
        hm.datasets.simulate_one_way(groups=8, size=7, tau=1, sigma=1, seed=12).frame,
        y="y",
        group="group",
        sigma="group",
    ),
    "a common intercept": lambda: slopes(
        varying=["x1"],
        common=["w1"],
        intercept="common",
        # Away from 0, where the centered program has its funnel.
        priors={"tau": hm.InverseGamma(2, 1)},
    ),
    "groups of one row": lambda: slopes_of(
        simulated(groups=40, size=1, mu=(1.0,), tau=(1.0,), Omega=None, beta=(2.0,))[0],
        # Nothing but its prior tells sigma from tau.
        priors={"sigma": hm.InverseGamma(30, 30), "tau": hm.HalfNormal(1)},
    ),
    "a column that is constant within groups": lambda: slopes_of(
        simulated(mu=(1.0,), tau=(1.0,), Omega=None, beta=(2.0,))[0].assign(
            w1=lambda f: np.sin(f["group"])
        )
    ),
    "tau near 0": lambda: slopes_of(
        simulated(mu=(1.0, 0.5), tau=(0.0, 0.0), Omega=0, beta=(), groups=10, size=6)[0]
    ),
}


# The program that walks less through these data.
QUICKER = {
    "three coefficients and two common columns": "centered",
    "one way, sigma by group": "centered",
    "a common intercept": "noncentered",
    "a column that is constant within groups": "centered",
    "tau near 0": "noncentered",
}


def slopes_of(frame: pd.DataFrame, **options: Any) -> hm.VaryingSlopes:
    return hm.VaryingSlopes(frame, **columns(frame), **options)


@pytest.mark.stan
@pytest.mark.parametrize(
    ("name", "other"),
    [
        pytest.param(name, other, marks=[] if other == QUICKER.get(name) else [pytest.mark.slow])
        for name in PAIRS
        for other in ("centered", "noncentered")
        # Near tau = 0 lies the funnel, which the centered program does not explore.
        if not (other == "centered" and name in ("tau near 0", "groups of one row"))
    ],
)
def test_the_textbook_programs_have_the_same_posterior(name: str, other: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", hm.HierModelsWarning)
        model = PAIRS[name]()
    options: dict[str, Any] = {"draws": 1500, "progress": False, "pointwise": False}
    here = idatas.dataset(model.fit(seed=401, **options), "posterior")
    textbook = model.replace(parameterization=other)
    there = idatas.dataset(textbook.fit(seed=402, adapt_delta=0.98, **options), "posterior")
    assert dict(here.sizes) == dict(there.sizes)
    assert list(here.data_vars) == list(there.data_vars)
    # Up to 190 comparisons a case: 5 is one in 8,000 for all of them together.
    reference.assert_same_posterior(here, there, scalars(here), limit=5)


@pytest.mark.stan
def test_a_shift_of_1e8_shifts_the_posterior_and_nothing_else() -> None:
    frame = hm.datasets.simulate_one_way(groups=20, size=5, tau=1, sigma=1, seed=5).frame
    frame["y"] = np.round(frame["y"] * 2**20) / 2**20
    fits, models = [], []
    for shift, seed in ((0.0, 403), (2.0**27, 413)):
        priors = {"mu": hm.Flat(), "tau": hm.HalfT(3, 1), "sigma": hm.HalfT(3, 1)}
        moved = frame.assign(y=frame["y"] + shift)
        model = hm.OneWay(moved, y="y", group="group", priors=priors)
        p = idatas.dataset(model.fit(seed=seed, progress=False), "posterior")
        fits.append(p.assign({n: p[n] - shift for n in ("mu", "theta")}))
        models.append(model)
    # What Stan is given is the same but for the shift, to the digits that y has there ...
    for name in ("ybar", "ss_between", "ss_within", "root"):
        a, b = (np.asarray(model.stan_data[name]) for model in models)
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6, err_msg=name)
    # ... and so are the answers.
    reference.assert_same_posterior(*fits, scalars(fits[0]), limit=4.5)


@pytest.mark.stan
def test_theta_is_drawn_by_seed_and_given_the_hyperparameters() -> None:
    model = one_way()
    a, b = (idatas.dataset(model.fit(seed=404, progress=False), "posterior") for _ in range(2))
    assert a.equals(b)
    c = idatas.dataset(model.fit(seed=405, progress=False), "posterior")
    assert not np.array_equal(a["theta"], c["theta"])


@pytest.mark.stan
def test_effects_can_be_summed_up_or_left_out() -> None:
    model = slopes()
    drawn = idatas.dataset(model.fit(seed=406, progress=False), "posterior")["theta"]
    fitted = model.fit(seed=406, progress=False, effects="summary")
    assert "theta" not in idatas.dataset(fitted, "posterior")
    summary = idatas.dataset(fitted, "effects_summary")["theta"]
    assert summary.dims == ("statistic", "group", "coefficient")
    assert summary["statistic"].values.tolist() == ["mean", "sd", "q5", "median", "q95"]
    sd = drawn.std(("chain", "draw"))
    z = (drawn.mean(("chain", "draw")) - summary.sel(statistic="mean")) / sd * np.sqrt(4000)
    assert float(np.abs(z).max()) < 5
    np.testing.assert_allclose(summary.sel(statistic="sd"), sd, rtol=0.1)
    table = hm.summary(fitted)
    assert table.index[-1] == "theta[12, x2]"
    assert table.loc["theta[12, x2]", "q95"] == float(summary[4, -1, -1])
    assert np.isnan(table.loc["theta[12, x2]", "r_hat"])
    assert list(hm.summary(fitted, ["tau"]).index) == ["tau[Intercept]", "tau[x1]", "tau[x2]"]
    assert len(hm.summary(fitted, "theta")) == 36
    assert hm.check(fitted).ok == hm.check(fitted, variables=["mu", "tau", "sigma", "Omega"]).ok
    attrs = idatas.attributes(fitted)
    assert attrs["effects"] == "summary"
    assert "log_likelihood and posterior_predictive need draws of the effects" in attrs["pointwise"]
    nothing = model.fit(seed=406, progress=False, effects="none")
    assert "theta" not in idatas.dataset(nothing, "posterior")
    assert not idatas.has(nothing, "effects_summary")
    with pytest.raises(OptionError, match="pass effects='draws'"):
        model.fit(seed=406, progress=False, effects="none", pointwise=True)


@pytest.mark.stan
@pytest.mark.parametrize("rows", [True, False])
def test_a_picture_of_effects_that_were_summed_up(rows: bool) -> None:
    import matplotlib.pyplot as plt

    model = one_way()
    if not rows:
        frame = model._options["frame"]
        model = model.replace(frame=hm.sufficient_statistics(frame, y="y", group="group"))
    fitted = model.fit(seed=406, progress=False, effects="summary")
    means = idatas.dataset(fitted, "effects_summary")["theta"].sel(statistic="mean")
    ax = hm.plots.shrinkage(fitted)
    (drawn,) = (line for line in ax.get_lines() if line.get_label() == "posterior mean")
    np.testing.assert_allclose(np.sort(drawn.get_xdata()), np.sort(means), atol=1e-12)
    plt.close("all")


@pytest.mark.stan
def test_above_the_budget_effects_are_summed_up(monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setattr(sizes, "EFFECTS_BUDGET", 1000)
    fitted = one_way().fit(seed=407, progress=False)
    assert idatas.attributes(fitted)["effects"] == "summary"
    assert idatas.attributes(fitted)["effects_bytes_as_draws"] == 9 * 4000 * 8


def test_a_summary_of_effects_is_for_marginal_programs() -> None:
    with pytest.raises(OptionError, match="effects='summary' is for marginal programs"):
        one_way(parameterization="centered").fit(effects="summary")


@pytest.mark.stan
def test_how_it_was_standardized_is_in_the_attributes() -> None:
    found = idatas.attributes(one_way().fit(seed=408, progress=False))
    assert found["parameterization"] == "marginal"
    assert found["parameterization_reason"].startswith("auto: the group effects integrate out")
    assert found["standardization"].startswith("mode and curvature, found in")
    assert found["warmup"] < 1000
    by_group = idatas.attributes(one_way(sigma="group").fit(seed=408, progress=False))
    assert by_group["standardization"].startswith("none of mu, tau and beta")
    assert by_group["warmup"] == 1000
    asked = one_way().fit(seed=408, progress=False, warmup=500, adapt_delta=0.9)
    assert idatas.attributes(asked)["warmup"] == 500
    assert idatas.attributes(asked)["adapt_delta"] == 0.9


@pytest.mark.stan
def test_small_steps_are_taken_where_the_posterior_is_far_from_normal() -> None:
    def taken(model: hm.OneWay, **options: float) -> float:
        fitted = model.fit(seed=409, chains=2, draws=100, progress=False, **options)
        return idatas.attributes(fitted)["adapt_delta"]

    frame, _ = hm.datasets.simulate_one_way(groups=50, size=10, tau=1, sigma=1, seed=1)
    many = hm.OneWay(frame, y="y", group="group")
    assert many.standardization.efficiency > 0.9
    assert taken(many) == 0.8
    few = many.replace(frame=frame[frame["group"].isin(frame["group"].unique()[:3])])
    assert few.standardization.near_normal
    assert few.standardization.efficiency < 0.6
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so few draws
        assert taken(few) == 0.95
        assert taken(few, adapt_delta=0.8) == 0.8


@pytest.mark.stan
@pytest.mark.parametrize(
    "inits",
    [
        0.5,
        {"mu": 3.0, "tau": 1.0},
        [{"sigma": 1.0 + c} for c in range(4)],
        lambda c: {"tau": 0.5 + c, "sigma": 1.0},
    ],
)
def test_inits_have_the_public_names(inits: Any) -> None:
    p = idatas.dataset(one_way().fit(seed=409, progress=False, inits=inits), "posterior")
    assert np.isfinite(p["tau"]).all()


def test_inits_of_parameters_that_are_not_there_are_refused() -> None:
    with pytest.raises(OptionError, match="has no parameter 'eta'; it has mu, sigma, tau"):
        one_way().fit(inits={"eta": 1.0})


# ---- without rows --------------------------------------------------------------------------------


@pytest.mark.stan
def test_statistics_in_place_of_a_frame_give_the_same_draws() -> None:
    frame, _ = simulated()
    names = columns(frame)
    found = hm.sufficient_statistics(
        frame, y="y", group="group", columns=[*names["varying"], *names["common"]]
    )
    a = hm.VaryingSlopes(frame, **names).fit(seed=410, progress=False, pointwise=False)
    model = hm.VaryingSlopes(found, **names)
    b = model.fit(seed=410, progress=False)
    here, there = (idatas.dataset(i, "posterior") for i in (a, b))
    for name in here.data_vars:
        np.testing.assert_allclose(here[name], there[name], atol=1e-6)
    attrs = idatas.attributes(b)
    assert "log_likelihood and posterior_predictive need the rows" in attrs["pointwise"]
    assert idatas.has(b, "log_likelihood_group")
    assert idatas.dataset(b, "observed_data")["y_mean"].dims == ("group",)
    with pytest.raises(DataError, match="needs the rows, and sufficient statistics hold none"):
        model.add_pointwise(b)
    with pytest.raises(DataError, match="pointwise=True needs the rows"):
        model.fit(seed=410, progress=False, pointwise=True)
    with pytest.raises(DataError, match="works row by row needs the rows"):
        model.replace(parameterization="centered").fit(progress=False)
    with pytest.raises(DataError, match="needs the rows"):
        model.prior_predictive(progress=False)


@pytest.mark.stan
def test_eight_schools_takes_statistics_of_one_row_per_group() -> None:
    frame = hm.datasets.eight_schools()
    found = hm.sufficient_statistics(frame, y="effect", group="school", columns=["se"])
    model = hm.EightSchools(found, effect="effect", se="se", group="school")
    a, b = (m.fit(seed=411, progress=False) for m in (schools(), model))
    for name in ("mu", "tau", "theta"):
        np.testing.assert_allclose(
            idatas.dataset(a, "posterior")[name], idatas.dataset(b, "posterior")[name], atol=1e-6
        )


def test_statistics_of_many_rows_a_group_are_no_eight_schools() -> None:
    frame = hm.datasets.simulate_one_way(groups=4, size=3, seed=1).frame.assign(se=1.0)
    found = hm.sufficient_statistics(frame, y="y", group="group", columns=["se"])
    with pytest.raises(DataError, match="one row for each group, got up to 3 rows"):
        hm.EightSchools(found, effect="y", se="se", group="group")


@pytest.mark.stan
def test_dummies_without_an_intercept_lose_no_digits_to_a_large_mean() -> None:
    rng = np.random.default_rng(14)
    g = np.repeat(range(20), 20)
    a = rng.integers(0, 2, 400)
    effect = rng.normal(size=(20, 2))
    y = np.where(a == 1, effect[g, 0], effect[g, 1]) + rng.normal(size=400)
    y = np.round(y * 2**20) / 2**20
    fits = []
    for shift, seed in ((0.0, 421), (2.0**27, 422)):
        frame = pd.DataFrame({"g": g, "a": a * 1.0, "b": 1.0 - a, "y": y + shift})
        model = hm.VaryingSlopes(
            frame,
            y="y",
            group="g",
            varying=["a", "b"],
            intercept="none",
            priors={"mu": hm.Normal(shift, 3), "tau": hm.HalfT(3, 1), "sigma": hm.HalfT(3, 1)},
        )
        p = idatas.dataset(model.fit(seed=seed, progress=False, pointwise=False), "posterior")
        fits.append(p.assign({n: p[n] - shift for n in ("mu", "theta")}))
    reference.assert_same_posterior(*fits, scalars(fits[0]), limit=4.5)


def test_what_needs_the_rows_is_refused_before_anything_is_compiled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frame = hm.datasets.simulate_one_way(groups=4, size=3, seed=1).frame
    model = hm.OneWay(hm.sufficient_statistics(frame, y="y", group="group"), y="y", group="group")
    monkeypatch.setattr(programs, "executable", lambda *_, **__: pytest.fail("compiled"))
    for other in (
        model.replace(parameterization="centered"),
        model.replace(pooling="none"),
        model.replace(pooling="complete"),
    ):
        with pytest.raises(DataError, match="works row by row needs the rows"):
            other.fit(progress=False)
    with pytest.raises(DataError, match="the prior predictive needs the rows"):
        model.prior_predictive(progress=False)
    with pytest.raises(OptionError, match="'deviation' needs the draws of the effects"):
        model.fit(progress=False, effects="none", include=["deviation"])
    with pytest.raises(OptionError, match="'eta' is a variable of the noncentered program"):
        model.fit(progress=False, include=["eta"])


@pytest.mark.stan
def test_the_log_likelihood_by_group_can_be_added_without_rows_or_effects() -> None:
    frame = hm.datasets.simulate_one_way(groups=9, size=4, seed=1).frame
    found = hm.sufficient_statistics(frame, y="y", group="group")
    model = hm.OneWay(found, y="y", group="group")
    idata = model.fit(seed=1, progress=False, pointwise=False, effects="none")
    assert not idatas.has(idata, "log_likelihood_group")
    with pytest.raises(hm.errors.ContainerError, match="log_likelihood_group was added"):
        model.add_pointwise(idata)
    assert idatas.has(idata, "log_likelihood_group")


def test_the_rows_of_a_lazy_frame_follow_the_order_of_its_statistics(tmp_path: Any) -> None:
    import polars as pl

    frame = hm.datasets.simulate_one_way(groups=9, size=4, seed=1).frame.iloc[::-1]
    lazy = pl.from_pandas(frame).lazy()
    here = hm.OneWay(frame, y="y", group="group").design
    there = hm.OneWay(lazy, y="y", group="group").design
    assert not there.in_memory
    rows = there.rows("a test")
    assert sorted(there.labels) == list(there.labels)
    assert [there.labels[j] for j in rows.index] == list(frame["group"])
    np.testing.assert_array_equal(rows.y, here.rows("a test").y)
    # What was summed up is what is read, or it is refused.
    frame.to_parquet(tmp_path / "a.parquet")
    model = hm.OneWay(str(tmp_path / "*.parquet"), y="y", group="group")
    frame.assign(y=7 * frame["y"]).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="the data have changed since they were summed up"):
        model.design.rows("a test")


@pytest.mark.stan
def test_a_lazy_frame_with_a_factor_has_its_log_likelihood_by_row() -> None:
    import polars as pl

    frame = hm.datasets.simulate_one_way(groups=9, size=6, seed=1).frame
    levels = pl.Series("c", ["m", "a", "z"] * 18, dtype=pl.Categorical)
    lazy = pl.from_pandas(frame).with_columns(levels).lazy()
    model = hm.VaryingSlopes(lazy, y="y", group="group", common=["c"])
    assert model.design.predictors == ("c[m]", "c[z]")
    idata = model.fit(seed=1, progress=False)
    assert idatas.dataset(idata, "log_likelihood")["y"].shape == (4, 1000, 54)
    by_hand = frame.assign(m=(levels == "m").to_numpy() * 1.0, z=(levels == "z").to_numpy() * 1.0)
    same = hm.VaryingSlopes(by_hand, y="y", group="group", common=["m", "z"])
    there = idatas.dataset(same.fit(seed=1, progress=False), "log_likelihood")["y"]
    here = idatas.dataset(idata, "log_likelihood")["y"]
    np.testing.assert_allclose(
        here.mean(("chain", "draw")), there.mean(("chain", "draw")), atol=0.1
    )


def test_a_model_of_a_database_is_pickled_with_its_statistics() -> None:
    import pickle

    import duckdb

    frame = hm.datasets.simulate_one_way(groups=9, size=4, seed=1).frame
    relation = duckdb.connect().from_df(frame)
    model = pickle.loads(pickle.dumps(hm.OneWay(relation, y="y", group="group")))  # noqa: S301
    assert model.design.J == 9
    with pytest.raises(DataError, match="needs the rows"):
        model.design.rows("a test")


def test_statistics_of_other_columns_are_refused() -> None:
    frame, _ = simulated()
    found = hm.sufficient_statistics(frame, y="y", group="group", columns=["x1"])
    with pytest.raises(hm.errors.ColumnError, match="no column 'x2'; they have 'x1'"):
        hm.VaryingSlopes(found, y="y", group="group", varying=["x1", "x2"])
    with pytest.raises(hm.errors.ColumnError, match="y: the statistics are of 'y', got 'z'"):
        hm.OneWay(found, y="z", group="group")
