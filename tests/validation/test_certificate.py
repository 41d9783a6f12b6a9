"""The certificate: it passes right fits of every program, and fails wrong ones."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import hiermodels as hm
from hiermodels.container import inference_data as idatas
from hiermodels.errors import ContainerError, OptionError
from tests.engines.exact.test_posterior import eight_schools, rows

QUIET: dict[str, Any] = {"progress": False, "pointwise": False}


def wide_schools() -> hm.EightSchools:
    """Schools whose effects differ: no funnel for the centered program."""
    frame = hm.datasets.eight_schools()
    frame = frame.assign(effect=3.0 * frame["effect"])
    return eight_schools(frame)


def many_rows(**options: Any) -> hm.OneWay:
    frame = rows(sizes=[9] * 12, seed=3)
    return hm.OneWay(frame, y="y", group="group", **options)


def slopes(**options: Any) -> hm.VaryingSlopes:
    frame, _ = hm.datasets.simulate_varying_slopes(
        groups=20, size=10, mu=(0, 1), tau=(1, 0.7), seed=3
    )
    return hm.VaryingSlopes(frame, y="y", group="group", varying=["x1"], **options)


MODELS = {"eight_schools": wide_schools, "one_way": many_rows, "slopes": slopes}
# Faults are found in the same way in slopes, whose exact answer takes half a minute and more.
AND_SLOPES_SLOWLY = ["eight_schools", "one_way", pytest.param("slopes", marks=pytest.mark.slow)]
# Each program of the default engine, and each way of writing one of them.
FITTED = [
    *((name, "marginal") for name in MODELS),
    *(("eight_schools", other) for other in ("centered", "noncentered")),
    *(
        pytest.param(name, other, marks=pytest.mark.slow)
        for name in ("one_way", "slopes")
        for other in ("centered", "noncentered")
    ),
]


def altered(idata: Any, **variables: Any) -> Any:
    """A copy of a container with some variables of the posterior changed."""
    other = copy.deepcopy(idata)
    posterior = idatas.dataset(other, "posterior").copy(deep=True)
    for name, change in variables.items():
        posterior[name] = (posterior[name].dims, change(posterior[name].to_numpy()))
    idatas.add(other, "posterior", posterior)
    return other


@pytest.mark.stan
@pytest.mark.parametrize(("name", "parameterization"), FITTED)
def test_right_fits_under_partial_pooling_are_certified(name, parameterization):
    model = MODELS[name]().replace(parameterization=parameterization)
    draws = {"centered": 1500, "noncentered": 3000}.get(parameterization)
    options = {"adapt_delta": 0.98, "draws": draws} if draws else {}
    certificate = hm.certify(model.fit(seed=71, **options, **QUIET), model)
    assert certificate.passed, certificate


@pytest.mark.stan
@pytest.mark.parametrize("pooling", ["none", "complete"])
@pytest.mark.parametrize("name", MODELS)
def test_right_fits_of_regressions_are_certified(name, pooling):
    model = MODELS[name]().replace(pooling=pooling)
    certificate = hm.certify(model.fit(seed=72, **QUIET), model)
    assert certificate.passed, certificate
    assert "exact posterior" in certificate.method


@pytest.mark.parametrize(("engine", "seed"), [("exact", 73), ("gibbs", 74)])
def test_other_engines_are_certified(engine, seed):
    model = many_rows(priors=hm.gibbs.semiconjugate(2, 9, 1, 2, 1, 2))
    draws = {"draws": 3000} if engine == "gibbs" else {}
    idata = model.fit(engine=engine, seed=seed, pointwise=False, **draws)
    assert hm.certify(idata, model).passed


@pytest.fixture(scope="module")
def fits() -> dict[str, tuple[Any, Any]]:
    """Right draws, without Stan, to spoil."""
    models = {name: make() for name, make in MODELS.items()}
    return {n: (m, m.fit(engine="exact", seed=75, pointwise=False)) for n, m in models.items()}


@pytest.mark.stan
@pytest.mark.parametrize("name", AND_SLOPES_SLOWLY)
def test_permuted_labels_are_found(fits, name):
    model, idata = fits[name]
    assert hm.certify(idata, model).passed

    def swap(theta):
        return np.take(theta, [1, 0, *range(2, theta.shape[2])], axis=2)

    certificate = hm.certify(altered(idata, theta=swap), model)
    assert not certificate.passed
    assert sum(label.startswith("theta[") for label in certificate.failing) >= 2


@pytest.mark.stan
@pytest.mark.parametrize("name", AND_SLOPES_SLOWLY)
def test_scaled_draws_of_tau_are_found(fits, name):
    model, idata = fits[name]
    certificate = hm.certify(altered(idata, tau=lambda x: 1.1 * x), model)
    assert not certificate.passed
    assert any(label.startswith("tau") for label in certificate.failing)


def test_theta_betrays_that_it_was_drawn_given_another_tau():
    """No exact answer is needed for this: theta given the rest of its own draw is normal."""
    model = eight_schools()
    idata = model.fit(engine="exact", seed=80, pointwise=False)
    table = hm.certify(idata, model).table
    assert table.loc["theta given the rest: spread", "z"] < 4
    spoiled = hm.certify(altered(idata, tau=lambda x: 1.1 * x), model).table
    assert abs(spoiled.loc["theta given the rest: spread", "z"]) > 10


@pytest.mark.stan
@pytest.mark.parametrize("name", AND_SLOPES_SLOWLY)
def test_a_missing_jacobian_is_found(fits, name):
    """Without the Jacobian of log tau the density lacks a factor tau: resample the draws so."""
    model, idata = fits[name]
    posterior = idatas.dataset(idata, "posterior").stack(sample=("chain", "draw"))
    tau = posterior["tau"].to_numpy().reshape(-1, posterior.sizes["sample"])
    w = 1 / tau.prod(axis=0)
    chosen = np.random.default_rng(1).choice(len(w), len(w), p=w / w.sum())
    changes = {}
    for variable in idatas.dataset(idata, "posterior").data_vars:

        def resampled(x, chosen=chosen):
            return x.reshape(-1, *x.shape[2:])[chosen].reshape(x.shape)

        changes[variable] = resampled
    certificate = hm.certify(altered(idata, **changes), model)
    assert not certificate.passed


@pytest.mark.stan
@pytest.mark.filterwarnings("ignore:(R-hat|bulk ESS|tail ESS|too few|E-BFMI)")
@pytest.mark.parametrize("name", MODELS)
def test_chains_that_were_too_short_are_not_certified(name):
    model = MODELS[name]()
    certificate = hm.certify(model.fit(seed=76, warmup=25, draws=40, **QUIET), model)
    assert not certificate.passed
    assert any("BAD" in line and "effective draws" in line for line in certificate.checks)


@pytest.mark.stan
@pytest.mark.filterwarnings("ignore:[0-9]+ of [0-9]+ iterations diverged")
def test_a_funnel_that_biases_is_found_though_nothing_else_is_wrong():
    model = eight_schools(mu=hm.Normal(0, 5), tau=hm.HalfCauchy(5)).replace(
        parameterization="centered"
    )
    with pytest.warns(hm.HierModelsWarning):
        idata = model.fit(seed=77, adapt_delta=0.8, draws=4000, **QUIET)
    assert not hm.certify(idata, model).passed


@pytest.mark.stan
def test_a_model_without_an_exact_answer_says_what_it_was_compared_with():
    model = many_rows(sigma="group")
    idata = model.fit(seed=78, **QUIET)
    certificate = hm.certify(idata, model, simulations=0, progress=False)
    assert certificate.passed, certificate
    assert "centered program" in certificate.method
    assert "no exact answer" in certificate.method
    swapped = altered(idata, sigma=lambda x: x[:, :, ::-1])
    assert not hm.certify(swapped, model, simulations=0, progress=False).passed


def test_the_report_says_what_was_compared_and_how_it_went(fits):
    model, idata = fits["eight_schools"]
    text = str(hm.certify(idata, model))
    assert text.startswith("Certified: the draws are those of the posterior, in all 12 quantities")
    assert "compared with: the exact posterior (quadrature)" in text
    table = hm.certify(idata, model).table
    row = table.loc["tau"]
    assert row["z"] == pytest.approx((row["estimate"] - row["exact"]) / row["mcse"])
    assert row["exact"] == pytest.approx(hm.exact.posterior(model).mean("tau"))


def test_the_share_of_right_fits_that_fail_is_small():
    """The level is 0.001 over all quantities together: of 25 right fits none fails."""
    model = wide_schools()
    failed = [
        seed
        for seed in range(25)
        if not hm.certify(model.fit(engine="exact", seed=seed, pointwise=False), model).passed
    ]
    assert failed == []


def test_fits_of_other_models_are_refused(fits):
    model, _ = fits["one_way"]
    _, other = fits["eight_schools"]
    with pytest.raises(ContainerError, match="must be a fit of this model"):
        hm.certify(other, model)
    with pytest.raises(OptionError, match="needs the model that was fitted"):
        hm.certify(other, "EightSchools")
    with pytest.raises(OptionError, match="simulations must be"):
        hm.certify(fits["one_way"][1], model, simulations=-1)


@pytest.mark.stan
@pytest.mark.filterwarnings("ignore:[0-9]+ of [0-9]+ iterations diverged")
def test_where_calibration_is_not_possible_the_rest_is_done_and_it_is_said() -> None:
    """An improper prior has no draws to simulate from; statistics have no rows."""
    frame = rows(sizes=[9] * 8, seed=3)
    model = hm.OneWay(frame, y="y", group="group", sigma="group", priors={"mu": hm.Flat()})
    idata = model.fit(seed=79, **QUIET)
    certificate = hm.certify(idata, model, simulations=2, progress=False)
    assert certificate.passed, certificate
    assert any("calibration on this design was not possible" in c for c in certificate.checks)
    statistics = hm.sufficient_statistics(frame, y="y", group="group")
    bare = hm.OneWay(statistics, y="y", group="group", sigma="group")
    certificate = hm.certify(bare.fit(seed=79, **QUIET), bare, simulations=2, progress=False)
    assert certificate.passed, certificate
    assert "alone (no rows" in certificate.method
    assert all("given the rest" in label for label in certificate.table.index)


def test_theta_of_other_draws_is_found(fits) -> None:
    """Reversed along the draws its marginal is right; given its own draw's tau it is not."""
    model = eight_schools()
    idata = model.fit(engine="exact", seed=81, pointwise=False)
    reversed_ = altered(idata, theta=lambda x: x[:, ::-1])
    certificate = hm.certify(reversed_, model)
    assert not certificate.passed
    assert all("given the rest" in label for label in certificate.failing)


@pytest.mark.parametrize("groups", [3, 4])
def test_moments_that_do_not_exist_fail_nobody(groups) -> None:
    frame = hm.datasets.eight_schools()[:groups]
    model = eight_schools(frame, mu=hm.Flat(), tau=hm.Flat())
    certificate = hm.certify(model.fit(engine="exact", seed=82, pointwise=False), model)
    assert certificate.passed, certificate
    assert np.isnan(certificate.table.loc["tau", "z"])
    assert certificate.table.loc["tau", "p_ks"] > 0.001


def test_a_distribution_is_compared_beyond_its_mean_and_sd(fits) -> None:
    """Draws of another shape with the same mean and sd fail by the distribution function."""
    model, idata = fits["one_way"]

    def reshaped(x):
        return x.mean() + x.std() * np.sqrt(3) * np.sign(x - np.median(x)) * 0.57735

    table = hm.certify(altered(idata, mu=reshaped), model).table
    assert abs(table.loc["mu", "z"]) < 4
    assert not table.loc["mu", "ok"]
    assert table.loc["mu", "p_ks"] < 1e-6


def test_the_level_is_shared_by_all_comparisons() -> None:
    from scipy import stats

    from hiermodels.validation import certificate

    assert certificate.LEVEL == 0.001
    # Two z and one p of each of 10 quantities.
    assert 2 * stats.norm.sf(certificate._limit(10)) == pytest.approx(0.001 / 30)


def test_few_effective_draws_are_not_enough(fits) -> None:
    model, _ = fits["eight_schools"]
    idata = model.fit(engine="exact", seed=83, draws=60, pointwise=False)
    certificate = hm.certify(idata, model)
    assert not certificate.passed
    assert any(line.startswith("BAD enough effective draws") for line in certificate.checks)


def test_a_fit_under_other_priors_is_refused(fits) -> None:
    model, idata = fits["eight_schools"]
    with pytest.raises(ContainerError, match="under the model's priors"):
        hm.certify(idata, model.replace(priors={"tau": hm.HalfNormal(1)}))


@pytest.mark.stan
def test_a_model_without_an_exact_answer_is_calibrated_on_its_design() -> None:
    frame = rows(sizes=[5] * 3, seed=3)
    priors = {"mu": hm.Normal(0, 2), "tau": hm.HalfNormal(1), "sigma": hm.HalfNormal(1.5)}
    model = hm.OneWay(frame, y="y", group="group", sigma="group", priors=priors)
    idata = model.fit(seed=84, adapt_delta=0.99, **QUIET)
    certificate = hm.certify(idata, model, simulations=20, progress=False)
    assert certificate.calibration.fits == 20
    assert certificate.calibration.about["program"] == "one_way_marginal"
    assert any("calibration on this design" in line for line in certificate.checks)
