"""Prior against posterior: each density is that of its prior, or of its draws."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

import hiermodels as hm
from hiermodels import plots
from hiermodels.container import inference_data
from hiermodels.errors import ContainerError, OptionError
from hiermodels.plots import densities
from tests.plots import fits, look


def eight(**priors: Any) -> Any:
    return hm.EightSchools(
        hm.datasets.eight_schools(), effect="effect", se="se", group="school", priors=priors
    )


@pytest.fixture(scope="module")
def fitted() -> tuple[Any, Any]:
    model = eight(mu=hm.Normal(0, 5), tau=hm.HalfCauchy(5))
    return model, model.fit(engine="exact", seed=1, draws=200)


def test_a_models_priors_are_drawn_exactly(fitted: tuple[Any, Any]) -> None:
    axes = plots.prior_against_posterior(*fitted)
    assert [ax.get_xlabel() for ax in axes] == ["mu (effect)", "tau (effect)"]
    x, density = look.line(axes[1], "prior").get_data()
    np.testing.assert_allclose(density, 2 / (np.pi * 5 * (1 + (x / 5) ** 2)))
    assert axes[1].get_xlim()[0] == 0
    draws = inference_data.dataset(fitted[1], "posterior")["tau"].to_numpy()
    np.testing.assert_allclose(
        look.line(axes[1], "posterior").get_xydata(),
        np.column_stack(densities.of_draws(draws, "tau")),
    )
    assert [look.title(ax) for ax in axes] == ["Normal(0, 5)", "HalfCauchy(5)"]
    assert look.legend(axes[0]) == ["posterior", "prior"]
    assert look.line(axes[0], "prior").get_linestyle() == "--"


def test_logarithms_have_their_own_prior_density(fitted: tuple[Any, Any]) -> None:
    (ax,) = plots.prior_against_posterior(*fitted, "log_tau")
    x, density = look.line(ax, "prior").get_data()
    v = np.exp(x)
    np.testing.assert_allclose(density, v * 2 / (np.pi * 5 * (1 + (v / 5) ** 2)))


def test_an_improper_prior_has_no_height_and_the_picture_says_so() -> None:
    model = eight(mu=hm.Flat())
    ax = plots.prior_against_posterior(model, model.fit(engine="exact", seed=1, draws=200))[0]
    assert look.title(ax) == "Flat(): improper, height has no meaning"
    top = look.line(ax, "posterior").get_ydata().max()
    np.testing.assert_allclose(look.line(ax, "prior").get_ydata(), top / 2)


def test_each_coefficient_has_its_own_prior_and_their_correlation_one() -> None:
    frame, _ = hm.datasets.simulate_varying_slopes(groups=12, size=8, seed=2)
    priors = {"mu": {"x1": hm.Normal(1, 3)}, "Omega": hm.LKJ(2)}
    model = hm.VaryingSlopes(frame, y="y", group="group", varying=["x1"], priors=priors)
    idata = model.fit(engine="exact", seed=1, draws=100)
    axes = plots.prior_against_posterior(model, idata)
    assert [ax.get_xlabel().split(" (")[0] for ax in axes] == [
        *("mu[Intercept]", "mu[x1]", "tau[Intercept]", "tau[x1]", "Omega[Intercept, x1]", "sigma")
    ]
    assert look.title(axes[1]) == "Normal(1, 3)"
    # LKJ(2) of two: (r + 1)/2 ~ beta(2, 2), which is 3/4 (1 - r^2).
    x, density = look.line(axes[4], "prior").get_data()
    np.testing.assert_allclose(density, 0.75 * (1 - x**2))


def prior_draws(n: int = 500, **more: Any) -> Any:
    rng = np.random.default_rng(7)
    ds = xr.Dataset(
        {
            "mu": (fits.DIMS, rng.normal(8, 30, (1, n))),
            "tau": (fits.DIMS, np.abs(rng.standard_cauchy((1, n)) * 5)),
            **more,
        }
    )
    return inference_data.container({"prior": ds}, {})


def test_prior_draws_are_drawn_where_the_posterior_is() -> None:
    idata, prior = fits.eight_schools(), prior_draws()
    axes = plots.prior_against_posterior(prior, idata)
    assert [ax.get_xlabel() for ax in axes] == ["mu (effect)", "tau (effect)"]
    low, high = axes[0].get_xlim()
    draws = inference_data.dataset(prior, "prior")["mu"].to_numpy()
    inside = np.mean((draws >= low) & (draws <= high))
    assert look.title(axes[0]) == f"{inside:.0%} of 500 prior draws in view"
    x, density = look.line(axes[0], "prior").get_data()
    assert density.sum() * (x[1] - x[0]) == pytest.approx(inside)


@pytest.mark.parametrize("J", [65, 1000])
def test_of_many_scalars_twelve_are_shown(J: int) -> None:
    idata = fits.one_way(J)
    theta = inference_data.dataset(idata, "posterior")["theta"]
    axes = plots.prior_against_posterior(prior_draws(60, theta=theta[:1]), idata, "theta")
    assert len(axes) == 12
    assert f"(12 of {J} scalars, evenly spaced)" in axes[0].figure.get_suptitle()


def test_it_draws_on_the_axes_given(fitted: tuple[Any, Any]) -> None:
    _, axes = plt.subplots(1, 2)
    assert plots.prior_against_posterior(*fitted, axes=axes).tolist() == axes.tolist()
    assert plt.get_fignums() == [1]


def test_what_it_needs_is_named(fitted: tuple[Any, Any]) -> None:
    model, idata = fitted
    with pytest.raises(ContainerError, match=r"no group 'prior'.*prior_predictive\(\) makes it"):
        plots.prior_against_posterior(idata, idata)
    with pytest.raises(OptionError, match=r"takes a model or a container .* got int"):
        plots.prior_against_posterior(3, idata)
    with pytest.raises(OptionError, match=r"'theta\[A\]' has no prior density in closed form"):
        plots.prior_against_posterior(model, idata, "theta[A]")
    with pytest.raises(OptionError, match=r"no variable 'muu'.*did you mean 'mu'"):
        plots.prior_against_posterior(model, idata, "muu")
    other = inference_data.container({"prior": xr.Dataset({"b": (fits.DIMS, np.ones((1, 5)))})}, {})
    with pytest.raises(ContainerError, match="prior and posterior share none"):
        plots.prior_against_posterior(other, idata)


def test_the_fit_of_another_model_is_refused() -> None:
    model = eight(mu=hm.Normal(0, 5), tau=hm.HalfCauchy(5))
    idata = model.fit(engine="exact", draws=100, seed=1)
    assert len(plots.prior_against_posterior(model, idata)) == 2
    other = eight(mu=hm.Normal(0, 5), tau=hm.HalfNormal(7))
    with pytest.raises(ContainerError, match="must be a fit under the model's priors"):
        plots.prior_against_posterior(other, idata)
