"""The trapezoid rule against densities whose integrals and quantiles are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hiermodels.engines.exact import quadrature
from hiermodels.engines.exact.lattices import TailError
from hiermodels.errors import ExactError


def of(distribution):
    return lambda u: distribution.logpdf(u[:, 0])


ONE = (np.zeros(1), np.ones(1))
SHARES = np.array([1e-4, 0.025, 0.3, 0.5, 0.95, 0.9999])


@pytest.mark.parametrize(
    "distribution",
    [
        stats.norm(3, 0.02),
        stats.logistic(-2, 1),  # poles at distance pi, exponential tails
        stats.gumbel_r(1, 0.5),
        stats.gumbel_l(1, 2),
        stats.genlogistic(0.5, loc=1),
    ],
)
def test_integral_moments_and_quantiles_are_those_of_scipy(distribution):
    table = quadrature.lattice(
        of(distribution), *ONE, reach=lambda u: 2 * np.log1p(np.abs(u[:, 0]))
    )
    assert table.log_total == pytest.approx(0, abs=1e-10)
    u, w = table.nodes(table.every)
    mean = w @ u[:, 0]
    assert mean == pytest.approx(distribution.mean(), rel=1e-9)
    assert w @ (u[:, 0] - mean) ** 2 == pytest.approx(distribution.var(), rel=1e-9)
    marginal = table.marginal(0)
    np.testing.assert_allclose(marginal.quantile(SHARES), distribution.ppf(SHARES), rtol=1e-8)
    x = distribution.ppf(SHARES)
    np.testing.assert_allclose(marginal.cdf(x), SHARES, rtol=1e-7)
    np.testing.assert_allclose(marginal.density(x), distribution.pdf(x), rtol=1e-6)


def test_the_stated_error_is_not_less_than_the_true_one():
    for width in (0.3, 1.0, 2.0):
        table = quadrature.lattice(of(stats.logistic(0, width)), *ONE)
        assert abs(np.expm1(table.log_total)) <= max(10 * table.error, 1e-13)


def test_every_second_node_is_not_enough_where_the_density_is_a_narrow_ridge():
    ridge = stats.multivariate_normal([0, 0], [[1, 0.9995], [0.9995, 1]])
    table = quadrature.lattice(lambda u: np.atleast_1d(ridge.logpdf(u)), np.zeros(2), np.ones(2))
    assert table.log_total == pytest.approx(0, abs=1e-9)
    u, w = table.nodes(table.every)
    np.testing.assert_allclose((w * u.T) @ u, ridge.cov, rtol=1e-8)
    np.testing.assert_allclose(
        table.marginal(1).quantile(SHARES), stats.norm.ppf(SHARES), atol=1e-9
    )


def test_the_mode_is_found_from_far_away_and_at_another_scale():
    far = stats.norm(40, 1e-3)
    table = quadrature.lattice(of(far), np.zeros(1), np.ones(1))
    assert table.log_total == pytest.approx(0, abs=1e-10)
    assert table.marginal(0).quantile(np.array([0.5]))[0] == pytest.approx(40, rel=1e-12)


def test_draws_by_interpolation_have_the_distribution():
    distribution = stats.gumbel_r()
    q = (np.arange(20_000) + 0.5) / 20_000
    x = quadrature.lattice(of(distribution), *ONE).marginal(0).draw(q)
    assert np.abs(distribution.cdf(x) - q).max() < 2e-5
    assert np.all(np.diff(x) > 0)


def test_reach_adds_nodes_for_what_is_integrated_beside_one():
    """The fourth power of exp(u) has its mass far to the right of the density's."""
    density = of(stats.genlogistic(6, loc=0, scale=1 / 6))

    def fourth(table):
        u, w = table.nodes(table.every)
        return w @ np.exp(4 * u[:, 0])

    near = quadrature.lattice(density, *ONE)
    far = quadrature.lattice(density, *ONE, reach=lambda u: 4 * u[:, 0])
    # E exp(4u) of a generalized logistic: Gamma(c + t) Gamma(1 - t) / Gamma(c) with t = 4/6.
    from scipy import special

    t = 4 / 6
    exact = special.gamma(6 + t) * special.gamma(1 - t) / special.gamma(6)
    assert fourth(far) == pytest.approx(exact, rel=1e-10)
    assert abs(fourth(near) / exact - 1) > 1e-7


def test_a_moment_that_does_not_exist_is_refused():
    with pytest.raises(TailError, match="too slowly"):
        quadrature.lattice(of(stats.logistic()), *ONE, reach=lambda u: 2 * u[:, 0])


def test_a_density_with_an_edge_is_refused_rather_than_half_integrated():
    with pytest.raises(ExactError, match="too sharp an edge"):
        quadrature.lattice(of(stats.truncnorm(-9, 1)), *ONE)
    with pytest.raises(ExactError, match="no mode"):
        quadrature.lattice(of(stats.expon()), *ONE)
