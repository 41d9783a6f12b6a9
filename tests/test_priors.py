"""Priors: densities against SciPy, improper ones, and how they are merged and refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

import hiermodels as hm
from hiermodels.errors import PriorError
from hiermodels.priors import Prior

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
