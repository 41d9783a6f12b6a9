"""Priors: densities against SciPy, improper ones, and how they are merged and refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

import hiermodels as hm
from hiermodels.errors import PriorError
from hiermodels.priors.distributions import Prior

X = np.array([0.03, 0.7, 2.0, 11.0])


@pytest.mark.parametrize(
    ("prior", "exact"),
    [
        (hm.Normal(1, 2), stats.norm(1, 2).logpdf(X)),
        (hm.StudentT(3, 1, 2), stats.t(3, 1, 2).logpdf(X)),
        (hm.HalfNormal(2), stats.halfnorm(0, 2).logpdf(X)),
        (hm.HalfT(3, 2), stats.t(3, 0, 2).logpdf(X) + np.log(2)),
        (hm.HalfCauchy(5), stats.halfcauchy(0, 5).logpdf(X)),
        (hm.Exponential(0.3), stats.expon(0, 1 / 0.3).logpdf(X)),
        (hm.Uniform(20), np.full(4, -np.log(20))),
        (
            hm.InverseGamma(0.5, 50),
            stats.invgamma(0.5, scale=50).logpdf(X**2) + np.log(2 * X),
        ),
        (
            hm.GammaPrecision(0.5, 50),
            stats.gamma(0.5, scale=1 / 50).logpdf(X**-2) + np.log(2 * X**-3),
        ),
        (hm.LogFlat(), np.log(2) - np.log(X)),
        (hm.Flat(), np.zeros(4)),
    ],
    ids=str,
)
def test_log_density_is_that_of_scipy(prior: Prior, exact: np.ndarray) -> None:
    np.testing.assert_allclose(prior.log_density(X), exact, rtol=1e-12)


def test_uniform_has_nothing_above_its_upper_end() -> None:
    assert hm.Uniform(2).log_density(2.1) == -np.inf


@pytest.mark.parametrize("eta", [0.7, 1.0, 2.0, 5.0])
def test_lkj_integrates_to_one_for_two_coefficients(eta: float) -> None:
    def density(rho: float) -> float:
        L = np.array([[1, 0], [rho, np.sqrt(1 - rho**2)]])
        return float(np.exp(hm.LKJ(eta).log_density(L)))

    # In rho: the Cholesky factor of a 2 x 2 correlation matrix is a function of rho alone, and
    # its density is taken with respect to L[1, 0] = rho.
    assert integrate.quad(density, -1, 1)[0] == pytest.approx(1, abs=1e-7)


def test_lkj_integrates_to_one_for_three_coefficients() -> None:
    # Over the strictly lower entries of L; L33 follows from the others. Importance sampling from
    # the uniform: rows on the unit disc, MCSE about 0.002.
    rng = np.random.default_rng(1)
    n = 400_000
    a, b, c = rng.uniform(-1, 1, (3, n))
    inside = b**2 + c**2 < 1
    L = np.zeros((n, 3, 3))
    L[:, 0, 0] = 1
    L[:, 1, 0], L[:, 1, 1] = a, np.sqrt(1 - a**2)
    L[:, 2, 0], L[:, 2, 1] = b, c
    L[:, 2, 2] = np.sqrt(np.where(inside, 1 - b**2 - c**2, 1))
    density = np.where(inside, np.exp(hm.LKJ(2).log_density(L)), 0) * 8
    assert density.mean() == pytest.approx(1, abs=5 * density.std() / np.sqrt(n))


@pytest.mark.parametrize("prior", [hm.Flat(), hm.LogFlat(), hm.GammaPrecision(0, 0)], ids=str)
def test_improper_priors_say_so(prior: Prior) -> None:
    assert not prior.proper


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: hm.Normal(0, 0), "Normal: sd must be above 0, got 0"),
        (lambda: hm.HalfCauchy(-5), "HalfCauchy: scale must be above 0, got -5"),
        (lambda: hm.HalfCauchy("5"), "HalfCauchy: scale must be a number, got '5'"),
        (lambda: hm.Normal(0, np.inf), r"sd must be finite, got inf; .* use Flat\(\)"),
        (lambda: hm.Normal(np.nan, 1), "mean must be finite, got nan"),
        (lambda: hm.GammaPrecision(-1, 0), "shape must not be negative, got -1"),
        (lambda: hm.Uniform(1, 10), r"as Uniform\(10\) or Uniform\(0, 10\), and begins at 0"),
        (lambda: hm.Uniform(), "takes its upper end, .* got nothing"),
        (lambda: hm.LKJ(0), "eta must be above 0, got 0"),
        (lambda: hm.Uniform(True), "upper must be a number, got True"),
    ],
)
def test_numbers_of_a_prior_are_checked(make: object, message: str) -> None:
    with pytest.raises(PriorError, match=message):
        make()  # type: ignore[operator]


def test_a_prior_is_frozen_and_equal_by_value() -> None:
    assert hm.Normal(0, 1) == hm.Normal(0.0, 1.0)
    with pytest.raises(AttributeError):
        hm.Normal(0, 1).sd = 2.0  # type: ignore[misc]


def test_uniform_may_be_written_with_both_ends() -> None:
    assert hm.Uniform(0, 10) == hm.Uniform(10) == hm.Uniform(upper=10)
    assert str(hm.Uniform(0, 10)) == "Uniform(10)"


# ---- draws ---------------------------------------------------------------------------------------

PROPER = [
    hm.Normal(1, 2),
    hm.StudentT(3, 1, 2),
    hm.StudentT(1.5, -4, 0.1),
    hm.HalfNormal(2),
    hm.HalfT(3, 2),
    hm.HalfT(0.8, 2),
    hm.HalfCauchy(5),
    hm.Exponential(0.3),
    hm.Uniform(20),
    hm.InverseGamma(0.5, 50),
    hm.InverseGamma(3, 0.02),
    hm.GammaPrecision(0.5, 50),
    hm.GammaPrecision(0.02, 1),
]


@pytest.mark.parametrize("prior", PROPER, ids=str)
def test_draws_have_the_distribution_of_the_log_density(prior: Prior) -> None:
    # Kolmogorov and Smirnov's distance from the CDF by quadrature of exp(log_density), on a scale
    # where the tails are short: log x for what is positive, asinh x for what is not.
    n = 20_000
    x = prior.draw(np.random.default_rng(7), n)
    assert x.shape == (n,)
    positive = "scale" in prior.kinds
    forward, back, log_slope = (
        (np.log, np.exp, lambda u: u)
        if positive
        else (np.arcsinh, np.sinh, lambda u: np.log(np.cosh(u)))
    )
    u = np.sort(forward(x))
    grid = np.unique(np.concatenate([np.linspace(u[0] - 6, u[-1] + 6, 200_001), u]))
    density = np.exp(prior.log_density(back(grid)) + log_slope(grid))
    steps = np.diff(grid) * (density[1:] + density[:-1]) / 2
    cdf = np.concatenate([[0.0], np.cumsum(steps)])
    assert cdf[-1] == pytest.approx(1, abs=2e-3)
    at = cdf[np.searchsorted(grid, u)]
    below = np.arange(n) / n
    distance = max(np.max(at - below), np.max(below + 1 / n - at))
    # 1.95 / sqrt(n) is exceeded by one right sample in a thousand.
    assert distance * np.sqrt(n) < 1.95


def test_draws_of_a_small_shape_are_finite_where_a_gamma_draw_would_be_zero() -> None:
    x = hm.GammaPrecision(0.01, 1).draw(np.random.default_rng(2), 2000)
    assert np.sum(np.isfinite(x)) > 1990
    assert np.log(x).max() > 350  # a precision of 1e-304


def test_draws_have_the_shape_asked_for_and_follow_from_the_generator() -> None:
    for prior in PROPER:
        x = prior.draw(np.random.default_rng(3), (2, 5))
        assert x.shape == (2, 5)
        np.testing.assert_array_equal(x, prior.draw(np.random.default_rng(3), (2, 5)))
    assert hm.LKJ(2).draw(np.random.default_rng(3), (4, 5), K=3).shape == (4, 5, 3, 3)


def test_an_improper_prior_has_no_draws() -> None:
    for prior in (hm.Flat(), hm.LogFlat(), hm.InverseGamma(0, 1)):
        with pytest.raises(PriorError, match=r"improper, so it has no draws; .* HalfNormal\(1\)"):
            prior.draw(np.random.default_rng(1), 1)


@pytest.mark.parametrize("eta", [0.7, 1.0, 2.0, 6.0])
@pytest.mark.parametrize("K", [2, 3, 5])
def test_every_correlation_of_an_lkj_draw_is_beta(eta: float, K: int) -> None:
    # On (-1, 1) with both shapes eta - 1 + K/2 (Lewandowski et al. 2009, section 3).
    L = hm.LKJ(eta).draw(np.random.default_rng(11), 4000, K=K)
    assert np.all(np.triu(L, 1) == 0)
    Omega = L @ np.swapaxes(L, -1, -2)
    np.testing.assert_allclose(np.diagonal(Omega, axis1=-2, axis2=-1), 1, rtol=1e-12)
    shape = eta - 1 + K / 2
    for i in range(K):
        for j in range(i):
            test = stats.kstest((Omega[:, i, j] + 1) / 2, stats.beta(shape, shape).cdf)
            assert test.pvalue > 1e-4


@pytest.mark.parametrize("K", [2, 3, 4])
def test_lkj_draws_have_the_distribution_of_the_log_density(K: int) -> None:
    # Weighted by the ratio of two normalized densities, draws of one have total weight 1.
    L = hm.LKJ(2).draw(np.random.default_rng(5), 100_000, K=K)
    for eta in (1.6, 3.0):
        ratio = np.exp(hm.LKJ(eta).log_density(L) - hm.LKJ(2).log_density(L))
        assert ratio.mean() == pytest.approx(1, abs=4 * ratio.std() / np.sqrt(len(L)))
        # And so have their squared correlations, whose distribution the test above states.
        corner = (L[:, 1, 0] ** 2 * ratio).mean()
        error = (L[:, 1, 0] ** 2 * ratio).std() / np.sqrt(len(L))
        assert corner == pytest.approx(1 / (2 * (eta - 1 + K / 2) + 1), abs=4 * error)


def test_one_coefficient_has_the_correlation_matrix_one() -> None:
    np.testing.assert_array_equal(
        hm.LKJ(2).draw(np.random.default_rng(1), 3, K=1), np.ones((3, 1, 1))
    )


@pytest.mark.parametrize(
    "prior",
    [
        hm.HalfNormal(1),
        hm.HalfT(3, 1),
        hm.HalfCauchy(1),
        hm.Exponential(1),
        hm.Uniform(3),
        hm.InverseGamma(2, 1),
        hm.GammaPrecision(2, 1),
    ],
    ids=str,
)
def test_a_scale_has_no_density_below_0(prior: Prior) -> None:
    assert prior.log_density([-1.0, -1e-9]).tolist() == [-np.inf, -np.inf]
    at_0 = float(prior.log_density(0.0))
    vanishes = isinstance(prior, (hm.InverseGamma, hm.GammaPrecision))
    assert at_0 == -np.inf if vanishes else np.isfinite(at_0)
