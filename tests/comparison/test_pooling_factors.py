"""Pooling factors and shares of the variance: against their formulas, one matrix at a time."""

from __future__ import annotations

import numpy as np
import pytest

import hiermodels as hm
from hiermodels.comparison import pooling_factors
from hiermodels.container import inference_data as idatas
from hiermodels.families.gaussian import effects, marginal
from hiermodels.families.gaussian.known_errors import typical_variance
from hiermodels.models import layout


def eight_schools(**priors) -> hm.EightSchools:
    return hm.EightSchools(
        hm.datasets.eight_schools(), effect="effect", se="se", group="school", priors=priors
    )


def slopes() -> hm.VaryingSlopes:
    made, _ = hm.datasets.simulate_varying_slopes(
        groups=5, size=[1, 2, 4, 9, 30], mu=(1, 2), tau=(1, 0.5), beta=(0.7,), sigma=1.5, seed=6
    )
    made["x1"] += 2  # columns that are centred have to come back
    return hm.VaryingSlopes(made, y="y", group="group", varying=["x1"], common=["w1"])


def population(model, tau, L_Omega, sigma) -> marginal.Population:
    d = model.design
    n = len(tau)
    return marginal.population(d, np.zeros((n, d.K + d.P)), tau, L_Omega, sigma)


def test_at_fixed_tau_the_factors_of_eight_schools_are_their_formula():
    """B_j = sigma_j^2 / (sigma_j^2 + tau^2)."""
    model = eight_schools()
    tau = np.array([0.0, 1e-8, 0.5, 5.0, 100.0])
    p = population(model, tau[:, None], np.ones((5, 1, 1)), None)
    (B,) = pooling_factors.factors(model.design, p)
    se = model.design.rows("").se
    np.testing.assert_allclose(B, se**2 / (se**2 + tau[:, None] ** 2), rtol=1e-12)
    assert (B[0] == 1).all()


def test_posterior_means_are_the_exact_ones():
    model = eight_schools(mu=hm.Normal(0, 5), tau=hm.HalfCauchy(5))
    idata = model.fit(engine="exact", seed=3)
    draws = layout.draws(model, idatas.dataset(idata, "posterior"))
    found = pooling_factors.pooling_factors(model.design, effects.population(model.design, draws))
    tau = draws.tau[:, 0]
    exactly = hm.exact.posterior(model).pooling_factor().to_numpy()
    se = model.design.rows("").se
    sd = (se**2 / (se**2 + tau[:, None] ** 2)).std(axis=0)
    z = (found["mean"][:, 0] - exactly) / (sd / np.sqrt(len(tau)))
    assert np.abs(z).max() < 4
    low, high = np.quantile(se**2 / (se**2 + tau[:, None] ** 2), (0.05, 0.95), axis=0)
    np.testing.assert_allclose(found["q5"][:, 0], low)
    np.testing.assert_allclose(found["q95"][:, 0], high)


def test_of_many_groups_they_are_those_of_fewer_draws(monkeypatch):
    model = eight_schools()
    tau = np.random.default_rng(2).exponential(5, (4000, 1))
    p = population(model, tau, np.ones((4000, 1, 1)), None)
    monkeypatch.setattr(pooling_factors, "_NUMBERS", 8 * 1500)
    found = pooling_factors.pooling_factors(model.design, p)
    se = model.design.rows("").se
    np.testing.assert_allclose(
        found["mean"][:, 0], (se**2 / (se**2 + tau[::3] ** 2)).mean(axis=0), rtol=1e-12
    )


@pytest.mark.parametrize("at", ["zero", "centre"])
def test_factors_of_varying_slopes_are_ratios_of_conditional_to_prior_variances(at):
    """Diagonal of (Z'Z / sigma^2 + Sigma^-1)^-1 over that of Sigma, of columns less the origin."""
    model = slopes().replace(intercept_at=at)
    tau, rho, sigma = np.array([0.8, 0.4]), -0.3, 1.2
    L = np.linalg.cholesky(np.array([[1, rho], [rho, 1]]))
    p = population(model, tau[None], L[None], np.array([[sigma]]))
    B = pooling_factors.factors(model.design, p)
    Sigma = tau[:, None] * (L @ L.T) * tau
    rows = model.design.rows_from_origin("")
    for j in range(5):
        Z = rows.z[rows.index == j]
        v = np.linalg.inv(Z.T @ Z / sigma**2 + np.linalg.inv(Sigma))
        for k in range(2):
            assert B[k][0, j] == pytest.approx(v[k, k] / tau[k] ** 2, rel=1e-8)
    assert B[0][0, 0] > B[0][0, 4]  # one row says less than thirty


@pytest.mark.parametrize("at", ["zero", "centre"])
def test_shares_of_the_variance_are_those_of_the_rows(at):
    """Mean over the rows of z' Sigma z is the sum of the coefficients' shares."""
    model = slopes().replace(intercept_at=at)
    Sigma = np.array([[0.7, -0.1], [-0.1, 0.2]])
    shares = pooling_factors.variance_shares(model.design, Sigma[None], np.array([1.4]))[0]
    z = model.design.rows_from_origin("").z
    explained = np.einsum("nk,km,nm->n", z, Sigma, z).mean()
    assert shares.sum() == pytest.approx(explained / (explained + 1.4), rel=1e-12)
    C = z.T @ z / len(z)
    assert shares[1] == pytest.approx((Sigma @ C)[1, 1] / (explained + 1.4), rel=1e-12)
    d = model.design
    squares = d.products_about(d.origin.at)[: d.K, : d.K] / d.N
    np.testing.assert_allclose(squares, C, rtol=1e-12, atol=1e-12)


def test_lambda_is_1_under_complete_pooling_and_0_under_none():
    rng = np.random.default_rng(1)
    known = np.repeat(rng.standard_normal((1, 30, 1)), 500, axis=0)
    assert pooling_factors.over_all_groups(known)[0] == pytest.approx(0, abs=1e-12)
    unknown = rng.standard_normal((5000, 30, 1))
    assert pooling_factors.over_all_groups(unknown)[0] > 0.99


def test_the_typical_variance_of_equal_errors_is_theirs():
    assert typical_variance(np.full(6, 3.0)) == pytest.approx(9)
    meta = hm.classical.meta_analysis(eight_schools(), "reml")
    s2 = typical_variance(hm.datasets.eight_schools()["se"])
    assert meta.H2 == pytest.approx(1 + meta.tau2 / s2)
