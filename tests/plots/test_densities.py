"""Densities integrate to their share, and prior densities are those of the priors."""

import numpy as np
import pytest
from scipy import integrate, stats

from hiermodels.plots import densities
from hiermodels.priors import distributions as priors


def area(x: np.ndarray, density: np.ndarray) -> float:
    return float(density.sum() * (x[1] - x[0]))


def test_the_density_of_draws_is_that_of_their_distribution() -> None:
    draws = np.random.default_rng(1).standard_normal(20_000)
    found = densities.of_draws(draws)
    assert found is not None
    assert area(*found) == pytest.approx(1)
    np.testing.assert_allclose(found[1], stats.norm.pdf(found[0]), atol=0.02)


def test_near_a_bound_the_density_ends_at_the_draws_and_elsewhere_it_runs_out() -> None:
    draws = np.random.default_rng(1).exponential(1, 4000)
    x, density = densities.of_draws(draws, "tau")  # type: ignore[misc]
    assert x.min() >= draws.min()
    np.testing.assert_allclose(density[20:200], stats.expon.pdf(x[20:200]), atol=0.06)
    for variable, shift in (("tau", 100.0), ("mu", 0.0)):
        x, density = densities.of_draws(draws + shift, variable)  # type: ignore[misc]
        assert x.min() < draws.min() + shift
        assert density[[0, -1]].max() < 0.01 * density.max()
        assert area(x, density) == pytest.approx(1)


def test_a_window_has_the_share_of_the_draws_inside() -> None:
    draws = np.random.default_rng(1).standard_cauchy(20_000)
    found = densities.of_draws(draws, limits=(-2.0, 2.0))
    assert found is not None
    assert found[0].min() >= -2
    assert found[0].max() <= 2
    assert area(*found) == pytest.approx(np.mean(np.abs(draws) <= 2))
    inner = np.abs(found[0]) < 1.8
    np.testing.assert_allclose(found[1][inner], stats.cauchy.pdf(found[0][inner]), atol=0.03)


@pytest.mark.parametrize("draws", [np.full(100, 3.0), np.array([1.0]), np.array([np.nan, 2.0])])
def test_draws_that_do_not_differ_have_no_density(draws: np.ndarray) -> None:
    assert densities.of_draws(draws) is None


def test_a_view_keeps_to_what_is_possible() -> None:
    draws = np.random.default_rng(1).exponential(1, 4000)
    low, high = densities.view(draws, "tau")
    assert low == 0
    assert high > np.quantile(draws, 0.995)
    assert densities.view(draws, "mu")[0] < 0
    r = np.tanh(np.random.default_rng(1).standard_normal(4000))
    assert densities.view(r, "Omega") == (-1, 1)


def test_the_density_of_a_logarithm_has_its_jacobian() -> None:
    prior = priors.HalfCauchy(5)
    x = np.linspace(-12, 14, 4001)
    density = densities.of_prior(prior, x, logged=True)
    assert integrate.trapezoid(density, x) == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(
        densities.of_prior(prior, np.array([1.0, 5.0])), stats.halfcauchy(scale=5).pdf([1.0, 5.0])
    )


@pytest.mark.parametrize(("eta", "K"), [(1.0, 2), (2.0, 2), (2.0, 3), (1.0, 4)])
def test_a_correlation_under_lkj_has_the_density_of_its_draws(eta: float, K: int) -> None:
    prior = priors.LKJ(eta)
    r = np.linspace(-1, 1, 2001)[1:-1]
    density = densities.of_prior(prior, r, K=K)
    assert integrate.trapezoid(density, r) == pytest.approx(1, abs=2e-3)
    L = prior.draw(np.random.default_rng(3), 20_000, K)
    Omega = L @ np.swapaxes(L, -1, -2)
    second = integrate.trapezoid(density * r**2, r)
    drawn = Omega[:, K - 1, K - 2] ** 2
    # Four standard errors of the draws, and what the trapezoids miss at the ends.
    assert drawn.mean() == pytest.approx(second, abs=4 * drawn.std() / np.sqrt(20_000) + 2e-3)
