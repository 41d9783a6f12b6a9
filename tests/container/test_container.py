"""The container's contract: groups, names, dims, coords, attributes, and that ArviZ works on it."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hiermodels as hm
from hiermodels.container import inference_data as idatas
from hiermodels.errors import ContainerError, PriorError
from tests import reference

QUICK: dict[str, Any] = {"chains": 2, "draws": 400, "warmup": 400, "progress": False}
pytestmark = [
    pytest.mark.stan,
    pytest.mark.filterwarnings("ignore:(R-hat|bulk ESS|tail ESS|.*diverged|E-BFMI)"),
]


def eight_schools(**options: Any) -> hm.EightSchools:
    return hm.EightSchools(
        hm.datasets.eight_schools(),
        **{
            "effect": "effect",
            "se": "se",
            "group": "school",
            "parameterization": "noncentered",
            **options,
        },
    )


def one_way(**options: Any) -> hm.OneWay:
    frame = hm.datasets.simulate_one_way(groups=5, size=[1, 2, 6, 7, 9], seed=1).frame
    frame["group"] = frame["group"].map(lambda j: f"group {j}")
    return hm.OneWay(frame, **{"y": "y", "group": "group", **options})


def varying_slopes(**options: Any) -> hm.VaryingSlopes:
    frame = hm.datasets.simulate_varying_slopes(
        groups=6, size=8, mu=(1, 2), tau=(1, 1), Omega=0.3, beta=(1.0,), seed=1
    ).frame
    return hm.VaryingSlopes(
        frame,
        **{"y": "y", "group": "group", "varying": ["x1"], "common": ["w1"], **options},
    )


MODELS = {"EightSchools": eight_schools, "OneWay": one_way, "VaryingSlopes": varying_slopes}
POSTERIOR = {
    "EightSchools": {"mu": (), "tau": (), "theta": ("school",)},
    "OneWay": {"mu": (), "tau": (), "theta": ("group",), "sigma": (), "icc": ()},
    "VaryingSlopes": {
        "mu": ("coefficient",),
        "tau": ("coefficient",),
        "theta": ("group", "coefficient"),
        "beta": ("predictor",),
        "sigma": (),
        "Omega": ("coefficient", "coefficient_2"),
    },
}
RESPONSE = {"EightSchools": ("effect", "school"), "OneWay": ("y", "observation")}


@pytest.fixture(scope="module")
def fits(compiled: None) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", hm.HierModelsWarning)
        return {name: make().fit(seed=1, **QUICK) for name, make in MODELS.items()}


@pytest.mark.parametrize("family", MODELS)
def test_groups_names_dims_and_labels(fits: dict[str, Any], family: str) -> None:
    idata, model = fits[family], MODELS[family]()
    assert set(idatas.groups(idata)) == {
        "posterior",
        "sample_stats",
        "log_prior",
        "log_likelihood",
        "log_likelihood_group",
        "posterior_predictive",
        "observed_data",
        "constant_data",
    }
    posterior = idatas.dataset(idata, "posterior")
    dims = {name: variable.dims[2:] for name, variable in posterior.data_vars.items()}
    assert dims == POSTERIOR[family]
    for name, labels in model.coords.items():
        if name in posterior.dims:
            assert posterior[name].values.tolist() == list(labels)

    response, row = RESPONSE.get(family, ("y", "observation"))
    for group in ("log_likelihood", "posterior_predictive"):
        by_row = idatas.dataset(idata, group)
        assert list(by_row.data_vars) == [response]
        assert by_row[response].dims == ("chain", "draw", row)
    by_group = idatas.dataset(idata, "log_likelihood_group")[response]
    assert by_group.dims == ("chain", "draw", model.design.group)
    observed = idatas.dataset(idata, "observed_data")[response]
    np.testing.assert_array_equal(observed, model.design.rows("a test").y)
    stats = idatas.dataset(idata, "sample_stats")
    assert {"diverging", "energy", "lp", "tree_depth", "n_steps", "acceptance_rate"} <= set(stats)
    assert stats["diverging"].dtype == bool


@pytest.mark.parametrize("family", MODELS)
def test_attributes_say_how_it_was_made(fits: dict[str, Any], family: str) -> None:
    model = MODELS[family]()
    attrs = idatas.attributes(fits[family])
    assert attrs["model"] == family
    assert attrs["pooling"] == "partial"
    assert attrs["parameterization"] == model.parameterization
    assert attrs["parameterization_reason"] == model.parameterization_reason
    assert attrs["seed"] == 1
    assert attrs["program"] == model.program.name
    assert attrs["program_sha256"] == model.program.digest
    assert attrs["hiermodels_version"] == hm.__version__
    assert attrs["cmdstan_version"].count(".") == 2
    assert attrs["seconds"] > 0
    priors = json.loads(attrs["priors"])
    assert set(priors) == set(model.priors.flat())
    assert idatas.dataset(fits[family], "posterior").attrs["model"] == family


@pytest.mark.parametrize("family", MODELS)
def test_log_prior_by_block_is_what_the_priors_say(fits: dict[str, Any], family: str) -> None:
    model = MODELS[family]()
    posterior = idatas.dataset(hm.at_centre(fits[family]), "posterior")
    log_prior = idatas.dataset(fits[family], "log_prior")
    assert list(log_prior.data_vars) == list(model.priors)
    for name in model.priors:
        if name == "Omega":
            L = np.linalg.cholesky(posterior["Omega"].values)
            exact = model.priors["Omega"].log_density(L)
        else:
            values = posterior[name].values.reshape(2, 400, -1)
            each = zip(model.priors.as_list(name), np.moveaxis(values, -1, 0), strict=True)
            exact = sum(prior.log_density(x) for prior, x in each)
        np.testing.assert_allclose(log_prior[name].values, exact, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("prior", [
    hm.Flat(), hm.HalfNormal(2), hm.HalfT(4, 3), hm.HalfCauchy(5), hm.Exponential(0.2),
    hm.Uniform(30), hm.InverseGamma(1, 3), hm.GammaPrecision(2, 3), hm.GammaPrecision(0, 2),
], ids=str)  # fmt: skip
def test_every_scale_prior_is_the_same_in_stan_and_in_python(prior: Any) -> None:
    idata = eight_schools(priors={"tau": prior, "mu": hm.StudentT(3, 5, 2)}).fit(seed=2, **QUICK)
    posterior, got = idatas.dataset(idata, "posterior"), idatas.dataset(idata, "log_prior")
    np.testing.assert_allclose(got["tau"], prior.log_density(posterior["tau"]), atol=1e-6)
    exact = hm.StudentT(3, 5, 2).log_density(posterior["mu"])
    np.testing.assert_allclose(got["mu"], exact, atol=1e-6)


@pytest.mark.parametrize("family", MODELS)
def test_arviz_works_on_it_with_no_further_argument(fits: dict[str, Any], family: str) -> None:
    az = idatas.arviz()
    idata = fits[family]
    with warnings.catch_warnings():
        # Omega's diagonal is 1 in every draw, and ArviZ 0.x divides by its variance.
        warnings.simplefilter("ignore", RuntimeWarning)
        assert len(az.summary(idata)) > 0
    with warnings.catch_warnings():
        # Pareto k of groups of one row is for the reader of az.loo, not for this test.
        warnings.simplefilter("ignore", UserWarning)
        loo = az.loo(idata)
    assert np.isfinite(float(getattr(loo, "elpd_loo", getattr(loo, "elpd", np.nan))))
    az.plot_forest(idata)
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.mark.parametrize("family", MODELS)
def test_a_file_gives_it_back(fits: dict[str, Any], family: str, tmp_path: Path) -> None:
    idata = fits[family]
    path = tmp_path / "fit.nc"
    idata.to_netcdf(str(path))
    back = hm.load(path)
    assert set(idatas.groups(back)) == set(idatas.groups(idata))
    for group in idatas.groups(idata):
        a, b = idatas.dataset(idata, group), idatas.dataset(back, group)
        assert set(a.coords) == set(b.coords)
        for name in a.data_vars:
            assert a[name].dims == b[name].dims
            np.testing.assert_array_equal(a[name].values, b[name].values)
        for name in a.coords:
            assert a[name].values.tolist() == b[name].values.tolist()
    assert idatas.attributes(back) == idatas.attributes(idata)


def test_helpers_deviations_and_warmup_come_on_request() -> None:
    model = varying_slopes(parameterization="noncentered")
    idata = model.fit(seed=3, include=("deviation", "eta", "L_Omega"), save_warmup=True, **QUICK)
    p = idatas.dataset(idata, "posterior")
    np.testing.assert_allclose(p["deviation"], p["theta"] - p["mu"], atol=1e-9)
    # theta - mu = diag(tau) L_Omega eta, which ties names, dims and order of all of them.
    product = np.einsum("cdkl,cdjl->cdjk", p["L_Omega"].values, p["eta"].values)
    np.testing.assert_allclose(
        p["deviation"].values, p["tau"].values[:, :, None] * product, atol=1e-6
    )
    assert "lp" in idatas.dataset(idata, "warmup_sample_stats")
    assert idatas.dataset(idata, "warmup_posterior")["theta"].shape == (2, 400, 6, 2)
    plain = idatas.dataset(model.fit(seed=3, **QUICK), "posterior")
    np.testing.assert_array_equal(plain["theta"], p["theta"])
    assert not {"eta", "L_Omega", "deviation"} & set(plain)


def test_pointwise_groups_are_left_out_above_the_budget_and_added_by_one_call(
    fits: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from hiermodels.families import draws as sizes

    model = one_way()
    monkeypatch.setattr(sizes, "POINTWISE_BUDGET", 1000)
    idata = model.fit(seed=1, **QUICK)
    assert not idatas.has(idata, "log_likelihood")
    said = idatas.attributes(idata)["pointwise"]
    assert "above the budget" in said
    assert "model.add_pointwise(idata)" in said
    model.add_pointwise(idata)
    for group in ("log_likelihood", "posterior_predictive"):
        expected = idatas.dataset(fits["OneWay"], group)["y"]
        # Not to the last bit: NumPy 2.0 rounds by where in memory an array lies.
        np.testing.assert_allclose(
            idatas.dataset(idata, group)["y"], expected, rtol=1e-13, atol=1e-12
        )
    with pytest.raises(ContainerError, match="must be a fit of this model"):
        model.replace(pooling="complete").add_pointwise(idata)


@pytest.mark.parametrize("family", MODELS)
@pytest.mark.parametrize("pooling", ["none", "complete"])
def test_the_other_pooling_strategies_keep_names_dims_and_labels(family: str, pooling: str) -> None:
    make = MODELS[family]
    frame_fits = {"priors": {"sigma": hm.HalfNormal(3)}} if family != "EightSchools" else {}
    model = make().replace(pooling=pooling, **frame_fits)
    p = idatas.dataset(model.fit(seed=4, **QUICK), "posterior")
    theta = POSTERIOR[family]["theta"]
    assert p["theta"].dims[2:] == theta
    assert p[theta[0]].values.tolist() == list(model.design.labels)
    assert ("mu" in p) == (pooling == "complete")
    assert "tau" not in p


@pytest.mark.parametrize("family", MODELS)
def test_the_prior_predictive_is_the_prior(family: str) -> None:
    model = MODELS[family](priors={"tau": hm.HalfNormal(1.5)})
    idata = model.prior_predictive(draws=2000, seed=5, progress=False)
    assert set(idatas.groups(idata)) == {
        "prior",
        "prior_predictive",
        "observed_data",
        "constant_data",
    }
    prior = idatas.dataset(idata, "prior")
    assert prior["mu"].sizes["draw"] == 2000
    # Four chains were laid end to end; cut them apart again for the MCSE.
    tau = prior["tau"].values.reshape(4, 500, -1)[:, :, 0]
    exact = {"mean": 1.5 * np.sqrt(2 / np.pi), "sd": 1.5 * np.sqrt(1 - 2 / np.pi), "q95": 2.93995}
    reference.assert_exact({"tau": tau}, {"tau": exact})
    mu = prior["mu"].values.reshape(4, 500, -1)[:, :, 0]
    own = model.priors.as_list("mu")[0]
    reference.assert_exact({"mu": mu}, {"mu": {"mean": own.mean, "sd": own.sd}})
    # theta given mu and tau is standard normal, whatever they are.
    deviation = (prior["theta"] - prior["mu"]) / prior["tau"]
    z = deviation.values.reshape(4, 500, -1)[:, :, 0]
    reference.assert_exact({"z": z}, {"z": {"mean": 0, "sd": 1}})
    response = model.design.response
    y = idatas.dataset(idata, "prior_predictive")[response]
    assert y.shape == (1, 2000, model.design.N)
    assert np.isfinite(y.values).all()


def test_an_improper_prior_has_no_prior_predictive() -> None:
    with pytest.raises(PriorError, match=r"mu: Flat\(\) is improper, so the prior has no draws"):
        eight_schools(priors={"mu": hm.Flat()}).prior_predictive(progress=False)


def test_log_likelihood_of_a_group_averages_that_of_its_rows_over_the_effect(
    fits: dict[str, Any],
) -> None:
    # E over theta given (mu, tau) of p(y_j | theta_j) is p(y_j | mu, tau): for eight schools both
    # are one-dimensional, and Gauss-Hermite quadrature does the average.
    p = idatas.dataset(fits["EightSchools"], "posterior").isel(chain=0, draw=slice(5))
    got = idatas.dataset(fits["EightSchools"], "log_likelihood_group")["effect"]
    x, w = np.polynomial.hermite_e.hermegauss(80)
    data = hm.datasets.eight_schools()
    for d in range(5):
        theta = float(p["mu"][d]) + float(p["tau"][d]) * x
        for j in range(8):
            z = (data["effect"][j] - theta) / data["se"][j]
            density = np.exp(-0.5 * z**2) / (np.sqrt(2 * np.pi) * data["se"][j])
            exact = np.log((w * density).sum() / w.sum())
            assert float(got[0, d, j]) == pytest.approx(exact, abs=1e-6)
