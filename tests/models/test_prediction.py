"""Predictions: their distributions against exact ones, whose effects they are, and their labels."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import hiermodels as hm
from hiermodels.container import inference_data as idatas
from hiermodels.errors import (
    ColumnError,
    ContainerError,
    DataError,
    DataWarning,
    FrozenError,
    OptionError,
)
from hiermodels.models import layout, prediction, provenance
from tests import reference

CHAINS, DRAWS = 4, 2500
LINE = ["expected", "expected_q5", "expected_q95"]


def schools(**options: Any) -> hm.EightSchools:
    options = {"priors": {"mu": hm.Normal(0, 5), "tau": hm.HalfNormal(8)}} | options
    frame = hm.datasets.eight_schools()
    return hm.EightSchools(frame, effect="effect", se="se", group="school", **options)


def scores() -> pd.DataFrame:
    sizes = [1, 2, 3, 5, 5, 8, 9, 4]
    found = hm.datasets.simulate_one_way(groups=8, size=sizes, mu=2.0, sigma=1.5, seed=4)
    return found.frame.assign(group=lambda f: 10 * f["group"])


def one_way(**options: Any) -> hm.OneWay:
    priors = {"mu": hm.Normal(1, 3), "tau": hm.HalfNormal(2), "sigma": hm.HalfNormal(2)}
    return hm.OneWay(scores(), y="y", group="group", **{"priors": priors} | options)


def pupils() -> pd.DataFrame:
    frame = hm.datasets.simulate_varying_slopes(
        groups=12, size=9, mu=(1.0, -0.5), tau=(1.0, 0.6), Omega=0.5, beta=(0.7,), seed=6
    ).frame
    sex = np.where(frame["w1"] > 0, "M", "F")
    shuffled = frame.assign(sex=sex, group=[f"g{j}" for j in frame["group"]])
    return shuffled.sample(frac=1, random_state=1)


def slopes(**options: Any) -> hm.VaryingSlopes:
    options = {"varying": ["x1"], "common": ["sex", "w1"]} | options
    return hm.VaryingSlopes(pupils(), y="y", group="group", **options)


def drawn(model: Any, *, chains: int = 2, draws: int = 40, leave_out: tuple[str, ...] = ()) -> Any:
    """A container with some numbers in the place of a fit's."""
    d, rng = model.design, np.random.default_rng(8)
    sizes = {d.group: d.J, "coefficient": d.K, "coefficient_2": d.K, "predictor": d.P}
    values: dict[str, Any] = {}
    for name, dims in model.dims.items():
        x = rng.normal(size=(chains, draws, *(sizes[dim] for dim in dims)))
        values[name] = (dims, np.exp(x) if name in ("tau", "sigma") else x)
    if model.pooling == "complete":
        mu = values["mu"][1]
        values["theta"] = (values["theta"][0], np.repeat(mu[:, :, None], d.J, axis=2))
    kept = {n: v for n, v in values.items() if n not in leave_out}
    parts = {"posterior": layout.labelled(model, kept, chains=range(chains)), **layout.data(model)}
    return idatas.container(parts, provenance.attributes(model, 3))


def values(found: hm.Prediction, mean: bool = False) -> np.ndarray:
    """Draws of shape (chain, draw, rows)."""
    name = found.model.design.response
    ds = idatas.dataset(found.idata, "predictions")
    return np.asarray(ds[f"{name}_mean" if mean else name].to_numpy())


def flat(idata: Any, name: str) -> np.ndarray:
    x = idatas.dataset(idata, "posterior")[name].to_numpy()
    return np.asarray(x.reshape(-1, *x.shape[2:]))


def assert_mean(draws: np.ndarray, exact: Any = 0.0) -> None:
    """The mean of independent draws, along the first axis, is the exact one but for |z| < 4."""
    error = draws.std(axis=0, ddof=1) / np.sqrt(len(draws))
    z = (draws.mean(axis=0) - exact) / error
    assert np.all(np.abs(z) < reference.LIMIT), z


@pytest.fixture(scope="module")
def of_schools() -> tuple[Any, Any]:
    model = schools()
    return model, model.fit(engine="exact", seed=11, chains=CHAINS, draws=DRAWS)


@pytest.fixture(scope="module")
def of_scores() -> tuple[Any, Any]:
    model = one_way()
    return model, model.fit(engine="exact", seed=12, chains=CHAINS, draws=DRAWS)


@pytest.fixture(scope="module")
def of_pupils() -> tuple[Any, Any]:
    model = slopes()
    return model, model.fit(engine="exact", seed=13, chains=CHAINS, draws=1000)


# ---- against exact distributions ----------------------------------------------------------------


def test_the_effect_of_a_new_school_has_its_exact_distribution(of_schools: Any) -> None:
    model, idata = of_schools
    exact = hm.exact.posterior(model)
    frame = pd.DataFrame({"school": ["I", "J"], "se": [7.0, 7.0]})
    found = model.predict(idata, frame, "new")
    effect, estimate = values(found, mean=True), values(found)
    mean, sd = exact.mean("theta_new"), exact.sd("theta_new")
    for row in (0, 1):
        z = reference.z_scores(effect[..., row], {"mean": mean, "sd": sd})
        z |= {
            f"y {k}": v
            for k, v in reference.z_scores(
                estimate[..., row], {"mean": mean, "sd": np.hypot(sd, 7.0)}
            ).items()
        }
        assert max(map(abs, z.values())) < reference.LIMIT, z
    for least in (0.0, 10.0):
        share = found.prob(lambda y, least=least: y > least, of="expected")
        p = exact.probability("theta_new", ">", least)
        assert np.all(np.abs(share - p) < 4 * np.sqrt(p * (1 - p) / (CHAINS * DRAWS)))


def test_a_row_of_a_new_group_has_its_exact_distribution(of_scores: Any) -> None:
    model, idata = of_scores
    exact = hm.exact.posterior(model)
    found = model.predict(idata, pd.DataFrame({"group": [7]}), "new")
    y = values(found)[..., 0]
    wanted = {"mean": exact.mean("y_new"), "sd": exact.sd("y_new")}
    wanted |= {f"q{q}": exact.quantile("y_new", q / 100) for q in (5, 95)}
    z = reference.z_scores(y, wanted)
    assert len(z) == 4
    assert max(map(abs, z.values())) < reference.LIMIT, z
    p = exact.probability("y_new", ">", 3.0)
    share = float(found.prob(lambda y: y > 3.0).iloc[0])
    assert abs(share - p) < 4 * np.sqrt(p * (1 - p) / (CHAINS * DRAWS))


def test_a_row_of_a_group_that_was_seen_has_its_exact_mean_and_variance(of_scores: Any) -> None:
    model, idata = of_scores
    exact = hm.exact.posterior(model)
    frame = pd.DataFrame({"group": [80, 10, 30, 10]})
    y = values(model.predict(idata, frame, "same"))
    mean, sd = exact.mean("theta"), exact.sd("theta")
    for row, label in enumerate(frame["group"]):
        wanted = {"mean": mean[label], "sd": np.sqrt(sd[label] ** 2 + exact.mean("sigma2"))}
        z = reference.z_scores(y[..., row], wanted)
        assert max(map(abs, z.values())) < reference.LIMIT, (label, z)


def test_rows_of_a_new_group_share_its_effect_and_different_groups_only_mu(of_scores: Any) -> None:
    model, idata = of_scores
    frame = pd.DataFrame({"group": ["x", "y", "x"]})
    found = model.predict(idata, frame, "new")
    effect = values(found, mean=True).reshape(-1, 3)
    np.testing.assert_array_equal(effect[:, 0], effect[:, 2])
    mu, tau, sigma = (flat(idata, n) for n in ("mu", "tau", "sigma"))
    about = values(found).reshape(-1, 3) - mu[:, None]
    # cov(y_1, y_3 | mu, tau, sigma) = tau^2, var = tau^2 + sigma^2; of different groups nothing.
    assert_mean(about[:, 0] * about[:, 2] - tau**2)
    assert_mean(about[:, 0] ** 2 - tau**2 - sigma**2)
    assert_mean(about[:, 0] * about[:, 1])
    share = np.corrcoef(about[:, 0], about[:, 2])[0, 1]
    assert share == pytest.approx(np.mean(tau**2) / np.mean(tau**2 + sigma**2), abs=0.06)


def test_new_coefficients_have_the_mean_and_the_covariance_of_the_population(
    of_pupils: Any,
) -> None:
    model, idata = of_pupils
    frame = pd.DataFrame({"group": "new", "x1": [0.0, 1.0, 0.0], "sex": "F", "w1": 0.0})
    frame.loc[2, "group"] = "another"
    line = values(model.predict(idata, frame, "new"), mean=True).reshape(-1, 3)
    theta = np.column_stack([line[:, 0], line[:, 1] - line[:, 0]])
    about = theta - flat(idata, "mu")
    tau = flat(idata, "tau")
    Sigma = tau[:, :, None] * flat(idata, "Omega") * tau[:, None]
    assert_mean(about)
    assert_mean(about[:, :, None] * about[:, None] - Sigma)
    assert_mean(about[:, 0] * (line[:, 2] - flat(idata, "mu")[:, 0]))


def test_the_residuals_about_the_line_are_standard_normal(of_pupils: Any) -> None:
    model, idata = of_pupils
    found = model.predict(idata, pupils().iloc[:5])
    unit = (values(found) - values(found, mean=True)).reshape(-1, 5) / flat(idata, "sigma")[:, None]
    assert_mean(unit)
    assert_mean(unit**2, 1)
    assert_mean(unit[:, 0] * unit[:, 1])


# ---- whose effects ------------------------------------------------------------------------------


def test_the_rows_that_were_fitted_have_the_fits_own_linear_predictor(of_pupils: Any) -> None:
    model, idata = of_pupils
    line = values(model.predict(idata, pupils()), mean=True)
    d = model.design
    rows, draws = d.rows("a test"), layout.raw_draws(model, idatas.dataset(idata, "posterior"))
    own = np.einsum("dnk,nk->dn", draws.theta[:, rows.index], rows.z) + draws.beta @ rows.x.T
    np.testing.assert_allclose(line.reshape(own.shape), own, rtol=1e-10, atol=1e-10)


def test_the_order_of_the_rows_does_not_matter_and_rows_may_be_repeated(of_pupils: Any) -> None:
    model, idata = of_pupils
    frame = pupils()
    whole = values(model.predict(idata, frame), mean=True)
    some = [40, 3, 3, 99, 0]
    part = values(model.predict(idata, frame.iloc[some]), mean=True)
    np.testing.assert_allclose(part, whole[..., some], rtol=1e-12)


def test_integer_labels_find_their_groups_whatever_their_order(of_scores: Any) -> None:
    model, idata = of_scores
    theta = flat(idata, "theta")
    for labels in ([80, 10, 30], [80.0, 10.0, 30.0], np.array([80, 10, 30], dtype=np.uint64)):
        line = values(model.predict(idata, pd.DataFrame({"group": labels})), mean=True)
        np.testing.assert_array_equal(line.reshape(-1, 3), theta[:, [7, 0, 2]])


def test_an_average_group_is_at_the_mean_of_the_population(of_scores: Any, of_pupils: Any) -> None:
    model, idata = of_scores
    found = model.predict(idata, pd.DataFrame({"anything": [1, 2]}), target="average")
    line = values(found, mean=True).reshape(-1, 2)
    np.testing.assert_array_equal(line, np.repeat(flat(idata, "mu")[:, None], 2, axis=1))
    assert "group" not in found.table
    model, idata = of_pupils
    frame = pupils().drop(columns="group").iloc[:4]
    line = values(model.predict(idata, frame, "average"), mean=True).reshape(-1, 4)
    mu, beta = flat(idata, "mu"), flat(idata, "beta")
    x = np.column_stack([frame["sex"] == "M", frame["w1"]])
    np.testing.assert_allclose(
        line, mu[:, :1] + mu[:, 1:] * frame["x1"].to_numpy() + beta @ x.T, rtol=1e-10, atol=1e-10
    )


def test_the_label_of_a_group_that_was_seen_is_a_new_group_where_new_ones_are_asked_for(
    of_scores: Any,
) -> None:
    model, idata = of_scores
    seen = model.predict(idata, pd.DataFrame({"group": [10, 20]}), "new")
    unseen = model.predict(idata, pd.DataFrame({"group": ["a", "b"]}), "new")
    np.testing.assert_array_equal(values(seen), values(unseen))
    assert seen.table["group"].tolist() == [10, 20]


def test_without_pooling_every_group_has_its_own_line_and_new_ones_have_none() -> None:
    model = slopes(pooling="none", common=["w1"])
    idata = drawn(model)
    frame = pupils().iloc[[5, 50, 7]]
    line = values(model.predict(idata, frame), mean=True).reshape(-1, 3)
    theta, beta = flat(idata, "theta"), flat(idata, "beta")
    for row, (label, x, w) in enumerate(frame[["group", "x1", "w1"]].to_numpy().tolist()):
        j = model.design.labels.tolist().index(label)
        own = theta[:, j, 0] + theta[:, j, 1] * x + beta[:, j, 0] * w
        np.testing.assert_allclose(line[:, row], own, rtol=1e-10, atol=1e-10)
    with pytest.raises(OptionError, match=r"'new' needs a population.*a new group has no"):
        model.predict(idata, frame, "new")
    with pytest.raises(OptionError, match=r"'average' needs a population.*there is no"):
        model.predict(idata, frame, "average")


def test_under_complete_pooling_every_target_is_the_one_line() -> None:
    model = one_way(pooling="complete", priors={})
    idata = drawn(model, leave_out=("theta",))  # mu says it all
    frame = pd.DataFrame({"group": [10, 20]})
    for target in prediction.TARGETS:
        line = values(model.predict(idata, frame, target), mean=True)
        np.testing.assert_array_equal(line[..., 1].ravel(), flat(idata, "mu"))
    with pytest.raises(DataError, match=r"no group of the label 110 .* did you mean '10'"):
        model.predict(idata, pd.DataFrame({"group": [110]}))


@pytest.mark.filterwarnings("ignore::hiermodels.errors.DataWarning")
def test_a_group_that_was_seen_has_its_own_residual_sd_and_a_new_one_has_none() -> None:
    model = one_way(sigma="group", priors={})
    idata = drawn(model, draws=4000)
    found = model.predict(idata, pd.DataFrame({"group": [30, 10]}))
    unit = (values(found) - values(found, mean=True)).reshape(-1, 2)
    unit /= flat(idata, "sigma")[:, [2, 0]]
    assert_mean(unit**2, 1)
    for target in ("new", "average"):
        found = model.predict(idata, pd.DataFrame({"group": [30, 10]}), target)
        assert "only a group that was seen has a residual sd" in found.no_response
        assert list(idatas.dataset(found.idata, "predictions").data_vars) == ["y_mean"]
        assert found.table["sd"].isna().all()
        assert found.table[LINE].notna().all(axis=None)


def test_without_a_standard_error_the_effect_alone_is_predicted(of_schools: Any) -> None:
    model, idata = of_schools
    found = model.predict(idata, pd.DataFrame({"school": ["B", "A"]}))
    line = values(found, mean=True).reshape(-1, 2)
    np.testing.assert_array_equal(line, flat(idata, "theta")[:, [1, 0]])
    assert found.no_response == "the frame has no column 'se' with their standard errors"
    assert "expected values only: the frame has no column 'se'" in repr(found)
    assert repr(found).splitlines()[2].split() == ["group", *LINE]
    assert "NaN" not in repr(found)
    assert found.table[["mean", "sd", "q5", "median", "q95"]].isna().all(axis=None)
    with pytest.raises(OptionError, match=r"no predictive .* 'se' .*; of='expected' asks for"):
        found.prob(lambda y: y > 0)
    average = model.predict(idata, pd.DataFrame({"se": [1.0, 30.0]}), "average")
    np.testing.assert_array_equal(values(average, mean=True)[..., 1].ravel(), flat(idata, "mu"))
    about = (values(average) - values(average, mean=True)).reshape(-1, 2)
    assert_mean(about**2, [1.0, 900.0])


def test_fits_without_draws_of_the_effects_predict_new_groups_and_the_average() -> None:
    model = one_way()
    frame = pd.DataFrame({"group": [10, 20]})
    for kept in ("summary", "none"):
        idata = model.fit(engine="exact", seed=1, draws=20, effects=kept)
        for target in ("new", "average"):
            assert len(model.predict(idata, frame, target).table) == 2
        with pytest.raises(ContainerError, match=r"has none; fit with effects='draws'"):
            model.predict(idata, frame)


def test_a_fit_of_sufficient_statistics_predicts_what_one_of_the_rows_does(of_scores: Any) -> None:
    model, idata = of_scores
    found = hm.sufficient_statistics(scores(), y="y", group="group")
    summed = hm.OneWay(found, y="y", group="group", priors=model.priors)
    fit = summed.fit(engine="exact", seed=12, chains=CHAINS, draws=DRAWS)
    frame = pd.DataFrame({"group": [30, 10, 30]})
    for target in prediction.TARGETS:
        one, other = model.predict(idata, frame, target), summed.predict(fit, frame, target)
        np.testing.assert_allclose(values(other), values(one), rtol=1e-6, atol=1e-6)


def test_a_fit_that_was_saved_predicts_what_it_did_before(of_pupils: Any, tmp_path: Path) -> None:
    model, idata = of_pupils
    idata.to_netcdf(tmp_path / "fit.nc")
    again = hm.load(tmp_path / "fit.nc")
    for target in prediction.TARGETS:
        one, other = (model.predict(i, pupils().iloc[:3], target) for i in (idata, again))
        np.testing.assert_array_equal(values(other), values(one))


# ---- the draws ----------------------------------------------------------------------------------


@pytest.mark.parametrize("target", prediction.TARGETS)
def test_draws_depend_on_the_seed_and_not_on_the_processors(
    of_scores: Any, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, idata = of_scores
    monkeypatch.setattr(prediction.marginal, "BLOCK", 10_000)
    frame = scores()
    found = []
    for processors in (1, 5):
        monkeypatch.setattr(prediction, "processors", lambda n=processors: n)
        found.append(model.predict(idata, frame, target, seed=4))
    np.testing.assert_array_equal(values(found[0]), values(found[1]))
    other = model.predict(idata, frame, target, seed=5)
    assert np.all(values(other) != values(found[0]))
    # No two blocks have the same noise, nor the same new groups.
    mu, tau, sigma = (flat(idata, n) for n in ("mu", "tau", "sigma"))
    line = values(found[0], mean=True)[..., 0].ravel()
    noise = [(values(found[0])[..., 0].ravel() - line) / sigma]
    noise += [(line - mu) / tau] if target == "new" else []
    for unit in noise:
        assert len(np.unique(unit.round(9))) > 0.99 * len(unit)


def test_the_seed_is_the_fits_unless_another_is_given(of_scores: Any) -> None:
    model, idata = of_scores
    frame = pd.DataFrame({"group": [10]})
    found = model.predict(idata, frame)
    assert found.seed == 12
    np.testing.assert_array_equal(values(found), values(model.predict(idata, frame, seed=12)))
    with pytest.raises(OptionError, match="seed"):
        model.predict(idata, frame, seed=-1)


def test_predictions_are_not_the_replicated_data_again(of_schools: Any) -> None:
    # Noise of the same seed must not be the same noise.
    model, idata = of_schools
    frame = hm.datasets.eight_schools()
    again = idatas.dataset(idata, "posterior_predictive")["effect"].to_numpy()
    theta = idatas.dataset(idata, "posterior")["theta"].to_numpy()
    noise = (values(model.predict(idata, frame)) - theta).ravel()
    assert abs(np.corrcoef(noise, (again - theta).ravel())[0, 1]) < 0.02


def test_thinned_fits_predict_as_many_draws_with_their_own_labels(of_scores: Any) -> None:
    model, idata = of_scores
    thin = idata.sel(draw=slice(None, None, 100))
    found = model.predict(thin, pd.DataFrame({"group": [10]}))
    ds = idatas.dataset(found.idata, "predictions")
    assert dict(ds.sizes) == {"chain": CHAINS, "draw": 25, "observation": 1}
    assert ds["draw"].to_numpy()[1] == 100


# ---- what comes back ----------------------------------------------------------------------------


def test_the_table_sums_the_draws_up_row_by_row(of_scores: Any) -> None:
    model, idata = of_scores
    frame = pd.DataFrame({"group": [30, 10]}, index=["later", "sooner"])
    found = model.predict(idata, frame)
    y, line = values(found).reshape(-1, 2), values(found, mean=True).reshape(-1, 2)
    table = found.table
    assert list(table.columns) == ["group", "mean", "sd", "q5", "median", "q95", *LINE]
    assert list(table.index) == ["later", "sooner"]
    assert table["group"].tolist() == [30, 10]
    np.testing.assert_allclose(table["mean"], y.mean(0))
    np.testing.assert_allclose(table["sd"], y.std(0, ddof=1))
    np.testing.assert_allclose(
        table[["q5", "median", "q95"]], np.quantile(y, [0.05, 0.5, 0.95], 0).T
    )
    np.testing.assert_allclose(table["expected"], line.mean(0))
    np.testing.assert_allclose(table[LINE[1:]], np.quantile(line, [0.05, 0.95], 0).T)


def test_the_container_has_arvizs_groups_with_the_rows_labels(
    of_pupils: Any, tmp_path: Path
) -> None:
    model, idata = of_pupils
    frame = pupils().iloc[:3].set_axis(["a", "b", "c"])
    found = model.predict(idata, frame, "new", seed=21)
    assert idatas.groups(found.idata) == ("predictions", "predictions_constant_data")
    attrs = idatas.attributes(found.idata)
    assert (attrs["target"], attrs["seed"], attrs["model"]) == ("new", 21, "VaryingSlopes")
    found.idata.to_netcdf(tmp_path / "p.nc")
    for read in (
        lambda name: idatas.dataset(found.idata, name),
        lambda name: xr.load_dataset(tmp_path / "p.nc", group=name, engine="h5netcdf"),
    ):
        ds, data = read("predictions"), read("predictions_constant_data")
        assert ds["y"].dims == ds["y_mean"].dims == ("chain", "draw", "observation")
        assert ds["observation"].to_numpy().tolist() == ["a", "b", "c"]
        assert data["group"].to_numpy().tolist() == frame["group"].tolist()
        np.testing.assert_array_equal(data["z"].sel(coefficient="x1"), frame["x1"])
        np.testing.assert_array_equal(data["x"].sel(predictor="sex[M]"), frame["sex"] == "M")
    assert list(hm.summary(found.idata, "y", group="predictions").index) == ["y[a]", "y[b]", "y[c]"]


def test_rows_that_were_dropped_are_counted_and_missing_from_the_table(of_scores: Any) -> None:
    _, idata = of_scores
    model = one_way(missing="drop")
    frame = pd.DataFrame({"group": [10, None, 30]}, index=list("abc"))
    with pytest.warns(DataWarning, match="1 of 3 rows"):
        found = model.predict(idata, frame)
    assert found.table["group"].to_dict() == {"a": 10, "c": 30}
    attrs = idatas.attributes(found.idata)
    assert (attrs["rows"], attrs["rows_dropped"]) == (2, 1)


def test_a_prediction_is_frozen_and_prints_its_first_rows(of_scores: Any) -> None:
    model, idata = of_scores
    found = model.predict(idata, scores())
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.target = "new"
    with pytest.raises(FrozenError):
        model.design = None
    lines = repr(found).splitlines()
    assert lines[0] == (
        "Prediction of y for 37 rows of the fit's own groups (10000 draws, seed 12)"
    )
    assert len(lines) == 11
    assert lines[-1] == "... and 29 more: .table has all"
    few = repr(model.predict(idata, scores().iloc[:2], "average"))
    assert "for 2 rows of an average group" in few
    assert "more" not in few
    one = repr(model.predict(idata, scores().iloc[:1]))
    assert one.startswith("Prediction of y for 1 row of the fit's own groups (")
    assert "of new groups" in repr(model.predict(idata, scores().iloc[:2], "new"))


def test_probabilities_are_shares_of_the_draws_by_row_or_of_all_rows_together(
    of_scores: Any,
) -> None:
    model, idata = of_scores
    frame = pd.DataFrame({"group": [30, 10]}, index=["later", "sooner"])
    found = model.predict(idata, frame)
    y, line = values(found).reshape(-1, 2), values(found, mean=True).reshape(-1, 2)
    share = found.prob(lambda y: y > 2)
    assert share.name == "probability"
    assert share.to_dict() == {"later": np.mean(y[:, 0] > 2), "sooner": np.mean(y[:, 1] > 2)}
    np.testing.assert_array_equal(
        found.prob(lambda y: y > 2, of="expected"), np.mean(line > 2, axis=0)
    )
    together = found.prob(lambda y: y[:, 0] > y[:, 1])
    assert isinstance(together, float)
    assert together == np.mean(y[:, 0] > y[:, 1])


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (lambda y: y, r"must give booleans of shape \(10000, 2\) .* got float64 of shape"),
        (lambda y: (y > 0).T, r"got bool of shape \(2, 10000\)"),
        (lambda y: (y > 0).any(axis=0), r"or \(10000,\) .* got bool of shape \(2,\)"),
        (lambda _: True, r"got bool of shape \(\)"),
        (lambda _: None, r"got object of shape \(\)"),
        (0.5, "event must be a function of the draws.*got float"),
    ],
)
def test_what_is_no_event_is_refused(of_scores: Any, event: Any, message: str) -> None:
    model, idata = of_scores
    found = model.predict(idata, pd.DataFrame({"group": [30, 10]}))
    with pytest.raises(OptionError, match=message):
        found.prob(event)


def test_an_event_cannot_change_the_draws(of_scores: Any) -> None:
    model, idata = of_scores
    found = model.predict(idata, pd.DataFrame({"group": [30, 10]}))

    def greedy(y: np.ndarray) -> Any:
        y[:] = 0
        return y > 0

    with pytest.raises(ValueError, match="read-only"):
        found.prob(greedy)
    with pytest.raises(OptionError, match=r"of must be one of .* did you mean 'expected'"):
        found.prob(lambda y: y > 0, of="expectd")


# ---- what cannot be predicted -------------------------------------------------------------------


def test_unknown_targets_and_other_fits_are_refused(of_scores: Any, of_schools: Any) -> None:
    model, idata = of_scores
    with pytest.raises(OptionError, match=r"target must be one of .* did you mean 'average'"):
        model.predict(idata, scores(), "averge")
    with pytest.raises(ContainerError, match="must be a fit of this model"):
        model.predict(of_schools[1], scores())
    with pytest.raises(ColumnError, match=r"group: the data frame has no column 'group'"):
        model.predict(idata, pd.DataFrame({"y": [1.0]}), "new")
    with pytest.raises(ContainerError, match=r"need the dims .*sel\(chain=\[0\]\) keeps"):
        model.predict(idata.sel(chain=0), scores())


def test_more_than_the_budget_is_refused_before_it_is_drawn(
    of_scores: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, idata = of_scores
    monkeypatch.setattr(prediction, "BUDGET", 2 * 8 * 37 * CHAINS * DRAWS)
    assert len(model.predict(idata, scores()).table) == 37
    monkeypatch.setattr(prediction, "BUDGET", 2 * 8 * 37 * CHAINS * DRAWS - 1)
    with pytest.raises(OptionError, match=r"37 rows by 10000 draws take .* part of the rows"):
        model.predict(idata, scores())
