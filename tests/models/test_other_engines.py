"""The engines that need no CmdStan: the same container, exact answers, clear refusals."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hiermodels as hm
from hiermodels.container import inference_data as idatas
from hiermodels.engines.importance import sampler as importance
from hiermodels.errors import ExactError, OptionError
from hiermodels.stan import programs
from tests import reference
from tests.engines.exact.test_posterior import EIGHT, MATHSCORE, eight_schools, one_way, rows
from tests.models import slopes_exact
from tests.models.test_varying_slopes import EXAM, WEAK, exam, exam_quantities


@pytest.fixture(autouse=True)
def _no_cmdstan(monkeypatch: pytest.MonkeyPatch) -> None:
    """These engines ask nobody for a program."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("an engine without CmdStan asked for a program")

    monkeypatch.setattr(programs, "executable", refuse)


def posterior(idata: Any) -> Any:
    return idatas.dataset(idata, "posterior")


def slopes_frame(groups: int = 25, size: int = 12) -> pd.DataFrame:
    frame, _ = hm.datasets.simulate_varying_slopes(
        groups=groups, size=size, mu=(1, 2), tau=(1, 0.7), Omega=0.4, sigma=1.0, seed=9
    )
    return frame.rename(columns={"x1": "x"})


def slopes(**options: Any) -> hm.VaryingSlopes:
    return hm.VaryingSlopes(slopes_frame(), y="y", group="group", varying=["x"], **options)


# ---- exact --------------------------------------------------------------------------------------


@pytest.mark.parametrize("prior", EIGHT)
def test_draws_of_eight_schools_are_exact(prior):
    model = eight_schools(**EIGHT[prior])
    drawn = posterior(model.fit(engine="exact", seed=11))
    exact = hm.exact.posterior(model)
    named = {name: drawn[name] for name in ("mu", "tau")}
    named |= {f"theta[{j}]": drawn["theta"].sel(school=j) for j in "ABCDEFGH"}
    reference.assert_exact(named, _statistics(exact, named))


@pytest.mark.parametrize("prior", MATHSCORE)
def test_draws_of_one_way_are_exact(prior):
    model = hm.OneWay(
        hm.datasets.mathscore(), y="mathscore", group="school", priors=MATHSCORE[prior]
    )
    drawn = posterior(model.fit(engine="exact", seed=12))
    exact = hm.exact.posterior(model)
    named = {name: drawn[name] for name in ("mu", "tau", "sigma", "icc")}
    named |= {f"theta[{j}]": drawn["theta"].sel(school=j) for j in range(1, 101)}
    reference.assert_exact(named, _statistics(exact, named))
    # The draws are independent: as good as their number says.
    sizes = hm.summary(model.fit(engine="exact", seed=12))["ess_bulk"]
    assert sizes.min() > 3000


def _statistics(exact: Any, names: Any) -> dict[str, dict[str, float]]:
    table = exact.summary()
    return {name: table.loc[name, ["mean", "sd", "q5", "q95"]].to_dict() for name in names}


def test_draws_of_the_exam_are_exact():
    idata = exam(priors=WEAK).fit(engine="exact", seed=16)
    draws = exam_quantities(idata)
    reference.assert_exact(draws, EXAM)
    attrs = idatas.attributes(idata)
    assert attrs["exact_efficiency"] > 0.6
    assert attrs["exact_pareto_k"] < 0.5
    # The log of the normalizing constant by 4-D quadrature.
    error = attrs["exact_log_normalizing_constant_se"]
    assert abs(attrs["exact_log_marginal_likelihood"] + 4677.808469) < 4 * error
    if (reference.FOLDER / "varying_slopes_exam_exact.json").is_file():
        exact = reference.load("varying_slopes_exam_exact.json")["weak"]
        reference.assert_exact(draws, {name: exact[name] for name in draws})


def test_draws_of_slopes_agree_with_a_quadrature():
    frame = slopes_frame()
    exact = slopes_exact.posterior(frame, mu_sd=3, scale=2, eta=2)
    idata = slopes(
        priors={
            "mu": hm.Normal(0, 3),
            "tau": hm.HalfNormal(2),
            "sigma": hm.HalfNormal(2),
            "Omega": hm.LKJ(2),
        },
        intercept_at="zero",  # as in the quadrature
    ).fit(engine="exact", seed=14, draws=4000)
    p, attrs = posterior(idata), idatas.attributes(idata)
    log_z = exact.pop("log_evidence")
    error = np.hypot(attrs["exact_log_normalizing_constant_se"], 1e-3)
    assert abs(attrs["exact_log_marginal_likelihood"] - log_z) < 4 * error
    named = {f"{name}[{k}]": p[name][:, :, k] for name in ("mu", "tau") for k in (0, 1)}
    named |= {"rho": p["Omega"][:, :, 0, 1], "sigma": p["sigma"]}
    reference.assert_exact(named, exact)


@pytest.mark.stan
def test_the_container_is_that_of_nuts(monkeypatch):
    model = one_way(rows())
    here = model.fit(engine="exact", seed=1)
    monkeypatch.undo()
    there = model.fit(seed=1, progress=False)
    for name in idatas.groups(here):
        mine, yours = idatas.dataset(here, name), idatas.dataset(there, name)
        assert set(mine.variables) == set(yours.variables), name
        for variable in mine.variables:
            assert mine[variable].dims == yours[variable].dims
            assert mine[variable].shape == yours[variable].shape
    assert set(idatas.groups(there)) - set(idatas.groups(here)) == {"sample_stats"}
    ours, theirs = idatas.attributes(here), idatas.attributes(there)
    assert (ours["engine"], theirs["engine"]) == ("exact", "nuts")
    left = {"exact_method", "exact_nodes", "exact_error", "exact_log_normalizing_constant"}
    assert set(ours) - set(theirs) == left | {"exact_log_marginal_likelihood"}


def test_every_kind_of_question_can_be_asked_of_the_container(tmp_path):
    idata = one_way(rows()).fit(engine="exact", seed=2, chains=3, draws=500)
    assert dict(posterior(idata).sizes)["chain"] == 3
    assert hm.check(idata).ok
    assert "theta[3]" in hm.summary(idata).index
    idata.to_netcdf(str(tmp_path / "fit.nc"))
    again = hm.load(tmp_path / "fit.nc")
    assert idatas.attributes(again)["exact_error"] < 1e-10


def test_what_is_left_out_beside_exact_draws_can_be_added():
    frame = rows(sizes=[60] * 20)
    model = one_way(frame)
    idata = model.fit(engine="exact", seed=3)
    assert not idatas.has(idata, "log_likelihood")
    assert "budget of 32 MiB" in idatas.attributes(idata)["pointwise"]
    model.add_pointwise(idata)
    assert idatas.has(idata, "log_likelihood")
    assert idatas.has(model.fit(engine="exact", seed=3, pointwise=True), "log_likelihood")


def test_effects_can_be_summed_up_or_left_out():
    model = one_way(rows())
    summed = model.fit(engine="exact", seed=4, effects="summary")
    table = hm.summary(summed)
    exact = hm.exact.posterior(model).summary()
    # Rao-Blackwellized: nearer than draws of the effects would be.
    assert abs(table.loc["theta[2]", "mean"] - exact.loc["theta[2]", "mean"]) < 0.05
    assert "theta" not in posterior(model.fit(engine="exact", seed=4, effects="none"))


def test_the_seed_makes_it_reproducible_and_chains_differ():
    model = slopes()
    a, b = (posterior(model.fit(engine="exact", seed=5)) for _ in range(2))
    assert a.equals(b)
    assert not np.array_equal(a["mu"][0], a["mu"][1])
    c = posterior(model.fit(engine="exact", seed=6))
    assert not np.array_equal(a["mu"], c["mu"])


@pytest.mark.parametrize("parameterization", ["centered", "noncentered"])
def test_any_parameterization_gives_the_same_draws(parameterization):
    model = one_way(rows())
    a = model.fit(engine="exact", seed=7)
    b = model.replace(parameterization=parameterization).fit(engine="exact", seed=7)
    assert posterior(a).equals(posterior(b))
    assert "exact" in idatas.attributes(b)["parameterization_reason"]


def test_statistics_without_rows_are_enough():
    statistics = hm.sufficient_statistics(rows(), y="y", group="group")
    idata = one_way(statistics).fit(engine="exact", seed=8)
    assert posterior(idata)["theta"].shape == (4, 1000, 6)
    assert not idatas.has(idata, "log_likelihood")


def test_more_coefficients_and_common_columns():
    frame, _ = hm.datasets.simulate_varying_slopes(
        groups=25, size=14, mu=(1, 2, -1), tau=(1, 0.7, 0.5), beta=(0.5, -0.5), sigma=1.0, seed=2
    )
    model = hm.VaryingSlopes(frame, y="y", group="group", varying=["x1", "x2"], common=["w1", "w2"])
    idata = model.fit(engine="exact", seed=9)
    p = posterior(idata)
    assert p["theta"].shape == (4, 1000, 25, 3)
    for k, truth in enumerate((1, 2, -1)):
        draws = p["mu"].isel(coefficient=k)
        assert abs(draws.mean() - truth) < 5 * draws.std()


# ---- gibbs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("prior", MATHSCORE)
def test_gibbs_draws_are_exact(prior):
    model = hm.OneWay(
        hm.datasets.mathscore(), y="mathscore", group="school", priors=MATHSCORE[prior]
    )
    idata = model.fit(engine="gibbs", seed=21, draws=2000, progress=False)
    drawn, exact = posterior(idata), hm.exact.posterior(model)
    named = {name: drawn[name] for name in ("mu", "tau", "sigma", "icc")}
    reference.assert_exact(named, _statistics(exact, named))
    effects = {f"theta[{j}]": drawn["theta"].sel(school=j) for j in range(1, 101)}
    reference.assert_exact(effects, _statistics(exact, effects), statistics=("mean",))
    assert idatas.attributes(idata)["engine"] == "gibbs"


def test_a_gibbs_container_is_that_of_exact_draws():
    model = one_way(rows(), **hm.gibbs.reference())
    here = model.fit(engine="gibbs", seed=1, draws=3000, progress=False)
    there = model.fit(engine="exact", seed=1, draws=3000)
    assert idatas.groups(here) == idatas.groups(there)
    for name in idatas.groups(here):
        mine, yours = idatas.dataset(here, name), idatas.dataset(there, name)
        assert set(mine.variables) == set(yours.variables), name
        assert all(mine[v].dims == yours[v].dims for v in mine.variables)
    # The log prior is that of the draws beside it.
    p, log_prior = posterior(here), idatas.dataset(here, "log_prior")
    want = model.priors["tau"].log_density(p["tau"].to_numpy())
    np.testing.assert_allclose(log_prior["tau"], want)


def test_gibbs_keeps_its_warmup_and_its_effects_as_asked():
    model = one_way(rows(), **hm.gibbs.semiconjugate(2, 9, 1, 2, 1, 2))
    idata = model.fit(
        engine="gibbs", seed=2, warmup=300, save_warmup=True, effects="summary", progress=False
    )
    assert idatas.dataset(idata, "warmup_posterior").sizes["draw"] == 300
    assert "theta" not in posterior(idata)
    assert "theta[2]" in hm.summary(idata).index
    with_theta = model.fit(engine="gibbs", seed=2, warmup=300, progress=False)
    assert not idatas.has(with_theta, "warmup_posterior")
    np.testing.assert_allclose(posterior(idata)["tau"], posterior(with_theta)["tau"], rtol=1e-12)


def test_too_short_a_gibbs_run_is_warned_of_without_words_of_nuts():
    model = one_way(rows(), **hm.gibbs.reference())
    with pytest.warns(hm.HierModelsWarning) as caught:
        model.fit(engine="gibbs", seed=3, draws=100, warmup=2, progress=False)
    assert not any("adapt_delta" in str(w.message) for w in caught)


def test_gibbs_refuses_other_priors_and_models():
    with pytest.raises(hm.errors.PriorError, match=r"HalfT.*engine='exact'"):
        one_way(rows()).fit(engine="gibbs")
    with pytest.raises(OptionError, match="OneWay"):
        eight_schools().fit(engine="gibbs")
    with pytest.raises(OptionError, match="metric is not an option of engine='gibbs'"):
        one_way(rows(), **hm.gibbs.reference()).fit(engine="gibbs", metric="dense")


# ---- refusals -----------------------------------------------------------------------------------


def test_options_of_nuts_are_refused_by_name():
    model = one_way(rows())
    for name, value in (
        ("warmup", 100),
        ("adapt_delta", 0.9),
        ("metric", "dense"),
        ("inits", 1.0),
        ("inits", np.zeros(2)),
        ("max_treedepth", 12),
        ("save_warmup", True),
    ):
        with pytest.raises(OptionError, match=f"{name} is not an option of engine='exact'"):
            model.fit(engine="exact", **{name: value})
    with ThreadPoolExecutor(1) as pool, pytest.raises(OptionError, match="executor is not"):
        model.fit(engine="exact", executor=pool)
    with pytest.raises(OptionError, match="engine must be one of 'nuts', 'exact', 'gibbs'"):
        model.fit(engine="exacct")


def test_models_without_an_exact_engine_are_refused():
    frame = slopes_frame()
    by_group = hm.VaryingSlopes(frame, y="y", group="group", varying=["x"], sigma="group")
    with pytest.raises(OptionError, match="one residual sd for all groups, got sigma='group'"):
        by_group.fit(engine="exact")
    complete = by_group.replace(pooling="complete")
    with pytest.raises(OptionError, match=r"one residual sd; got .*sigma='group'"):
        complete.fit(engine="exact")


def test_a_posterior_that_nothing_resembles_offers_nuts(monkeypatch):
    monkeypatch.setattr(importance, "LEAST_EFFICIENCY", 0.999)
    with pytest.raises(ExactError, match="use engine='nuts'"):
        slopes().fit(engine="exact", seed=1)


def test_priors_that_let_tau_go_anywhere_are_no_obstacle():
    """Three groups of three rows: a funnel, and tails of all kinds."""
    frame = slopes_frame(groups=3, size=3)
    wild = hm.VaryingSlopes(
        frame,
        y="y",
        group="group",
        varying=["x"],
        priors={"tau": hm.InverseGamma(0.001, 0.001), "sigma": hm.InverseGamma(0.001, 0.001)},
    )
    attrs = idatas.attributes(wild.fit(engine="exact", seed=1))
    assert attrs["exact_pareto_k"] < 0.7
