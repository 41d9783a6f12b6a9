"""REML and ML: closed forms, a likelihood by rows, statsmodels, the boundary."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

import hiermodels as hm
from hiermodels.classical import variance_components
from hiermodels.classical.mixed_models import covariance_of
from hiermodels.classical.variance_components import METHODS, maximize
from hiermodels.families.gaussian.moments import Moments


def one_way(y: Any, group: Any) -> Moments:
    return hm.OneWay(pd.DataFrame({"y": y, "g": group}), y="y", group="g").design


def slopes(
    seed: int,
    tau: tuple[float, ...],
    *,
    J: int = 20,
    common: int = 0,
    intercept: str = "varying",
    unit: float = 1.0,
    far: float = 0.0,
) -> Moments:
    """Unequal groups, some of one row; a varying column for each tau after the first."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 12, J)
    sizes[0] += 8
    index = np.repeat(np.arange(J), sizes)
    z = {f"z{k}": far + rng.normal(size=len(index)) for k in range(1, len(tau))}
    x = {f"x{k}": rng.normal(size=len(index)) for k in range(common)}
    y = rng.normal(size=len(index)) + tau[0] * rng.normal(size=J)[index]
    for t, column in zip(tau[1:], z.values(), strict=True):
        y = y + (0.5 + t * rng.normal(size=J))[index] * (column - far)
    frame = pd.DataFrame({"y": unit * y, "g": index, **z, **x})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", hm.errors.DataWarning)  # of columns far from 0
        return hm.VaryingSlopes(
            frame, y="y", group="g", varying=list(z), common=list(x), intercept=intercept
        ).design


def dense(d: Moments, Sigma: Any, sigma: float, method: str) -> tuple[float, Any, Any]:
    """Log likelihood, coefficients and their covariance by N x N matrices, from the rows."""
    rows = d.rows("a test")
    X, N = np.hstack([rows.z, rows.x]), d.N
    M = rows.z @ Sigma @ rows.z.T * (rows.index[:, None] == rows.index) + sigma**2 * np.eye(N)
    inverse = np.linalg.inv(M)
    A = X.T @ inverse @ X
    b = np.linalg.solve(A, X.T @ inverse @ rows.y)
    e = rows.y - X @ b
    nu = N - X.shape[1] if method == "reml" else N
    value = nu * math.log(2 * math.pi) + np.linalg.slogdet(M)[1] + e @ inverse @ e
    if method == "reml":
        value += np.linalg.slogdet(A)[1]
    return -0.5 * value, b, np.linalg.inv(A)


CASES = [
    ("intercept", (0.7,), {}),
    ("slope", (0.7, 0.5), {}),
    ("common columns", (0.7, 0.5), {"common": 2}),
    ("two slopes", (0.7, 0.5, 0.9), {"J": 30}),
    ("no intercept", (0.0, 0.5), {"intercept": "none"}),
    ("common intercept", (0.0, 0.5), {"intercept": "common", "common": 1}),
    ("far from 0", (0.7, 0.5), {"far": 50.0}),
    ("large effects", (300.0, 200.0), {}),
    ("small units", (0.7, 0.5), {"unit": 1e-6}),
]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("tau", "options"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_likelihood_coefficients_and_covariance_are_those_of_the_rows(
    tau: Any, options: Any, method: str
) -> None:
    d = slopes(1, tau, **options)
    found = maximize(d, method)
    value, b, covariance = dense(d, covariance_of(d, found), found.sigma, method)
    shift, back = d.at_zero
    assert found.converged
    assert found.log_likelihood == pytest.approx(value, rel=1e-7)
    np.testing.assert_allclose(shift + back @ found.centred, b, rtol=1e-5, atol=1e-8 * abs(b).max())
    np.testing.assert_allclose(back @ found.covariance @ back.T, covariance, rtol=1e-4, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("tau", "options"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_no_covariance_nearby_or_far_has_a_higher_likelihood(
    tau: Any, options: Any, method: str
) -> None:
    d = slopes(2, tau, **options)
    found = maximize(d, method)
    likelihood = variance_components._Likelihood(d, restricted=method == "reml")
    own = (found.Lambda / found.sigma * likelihood.scale[: d.K, None]).ravel()

    def minus(x: Any) -> float:
        return likelihood(x.reshape(d.K, d.K)).deviance

    best, rng = minus(own), np.random.default_rng(3)
    for k in range(6):
        start = own * np.exp((0.1 if k < 3 else 2.0) * rng.normal(size=len(own)))
        there = optimize.minimize(minus, start, method="Nelder-Mead", options={"maxiter": 600})
        assert there.fun > best - 1e-7


def test_the_derivative_is_that_of_the_likelihood() -> None:
    d = slopes(3, (0.7, 0.5, 0.3), common=1)
    rng = np.random.default_rng(4)
    for restricted in (True, False):
        likelihood = variance_components._Likelihood(d, restricted=restricted)
        L = rng.normal(size=(3, 3))
        gradient = 2 * likelihood(L).D @ L
        for a, b in np.ndindex(3, 3):
            step = np.zeros((3, 3))
            step[a, b] = 1e-5
            slope = (likelihood(L + step).deviance - likelihood(L - step).deviance) / 2e-5
            assert gradient[a, b] == pytest.approx(slope, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("common", [0, 1])
def test_it_agrees_with_statsmodels_where_statsmodels_reaches_the_maximum(
    method: str, common: int
) -> None:
    from statsmodels.regression.mixed_linear_model import MixedLM

    d = slopes(5, (0.9, 0.8), J=40, common=common)
    rows = d.rows("a test")
    X = np.hstack([rows.z, rows.x])
    theirs = MixedLM(rows.y, X, rows.index, exog_re=rows.z).fit(
        reml=method == "reml", method="bfgs", gtol=1e-7
    )
    found = maximize(d, method)
    assert found.log_likelihood == pytest.approx(theirs.llf, abs=1e-7)
    assert found.log_likelihood > theirs.llf - 1e-9
    np.testing.assert_allclose(covariance_of(d, found), theirs.cov_re, atol=2e-6)
    assert found.sigma**2 == pytest.approx(theirs.scale, rel=1e-6)
    shift, back = d.at_zero
    np.testing.assert_allclose(shift + back @ found.centred, theirs.fe_params, atol=1e-5)


# ---- closed forms --------------------------------------------------------------------------------


def balanced(seed: int, tau: float, J: int = 12, n: int = 7) -> tuple[Moments, float, float]:
    """A balanced design, with its mean squares."""
    rng = np.random.default_rng(seed)
    y = 50 + tau * rng.normal(size=(J, 1)) + 3 * rng.normal(size=(J, n))
    between = n * y.mean(axis=1).var(ddof=1)
    within = y.var(axis=1, ddof=1).mean()
    return one_way(y.ravel(), np.repeat(np.arange(J), n)), float(between), float(within)


def test_with_equal_sizes_reml_is_the_moment_estimate_where_that_is_positive() -> None:
    d, between, within = balanced(6, tau=2.0)
    found = maximize(d, "reml")
    assert found.sigma**2 == pytest.approx(within, rel=1e-7)
    assert found.Lambda[0, 0] ** 2 == pytest.approx((between - within) / 7, rel=1e-7)
    assert not found.boundary


def test_with_equal_sizes_ml_divides_the_squares_between_by_the_number_of_groups() -> None:
    d, between, within = balanced(6, tau=2.0)
    found = maximize(d, "ml")
    assert found.sigma**2 == pytest.approx(within, rel=1e-7)
    assert found.Lambda[0, 0] ** 2 == pytest.approx((between * 11 / 12 - within) / 7, rel=1e-7)


@pytest.mark.parametrize("method", METHODS)
def test_means_that_differ_too_little_give_tau_0_and_one_normal_sample(method: str) -> None:
    for seed in range(50):
        d, between, within = balanced(seed, tau=0.0)
        if between < 0.8 * within:
            break
    found = maximize(d, method)
    assert found.boundary
    assert found.converged
    assert found.Lambda[0, 0] == 0
    y = d.rows("a test").y
    assert found.sigma == pytest.approx(y.std(ddof=1 if method == "reml" else 0), rel=1e-12)
    if method == "ml":
        assert found.log_likelihood == pytest.approx(
            stats.norm(y.mean(), y.std()).logpdf(y).sum(), rel=1e-12
        )


@pytest.mark.parametrize("ratio", [0.03, 1.0, 1e4])
def test_any_ratio_of_tau_to_sigma_is_found(ratio: float) -> None:
    rng = np.random.default_rng(7)
    J, n = 9, 5
    within = rng.normal(size=(J, n))
    within = within - within.mean(axis=1, keepdims=True)
    mean = rng.normal(size=J)
    mean = (mean - mean.mean()) / mean.std(ddof=1)
    sigma2 = float((within**2).sum() / (J * (n - 1)))
    y = within + np.sqrt(ratio**2 + sigma2 / n) * mean[:, None]
    found = maximize(one_way(y.ravel(), np.repeat(np.arange(J), n)))
    assert found.Lambda[0, 0] == pytest.approx(ratio, rel=1e-5)
    assert found.sigma == pytest.approx(math.sqrt(sigma2), rel=1e-6)


# ---- the boundary --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("tau", [(0.5, 0.0), (0.0, 0.0), (0.0, 0.4), (0.5, 0.5, 0.0)])
def test_on_the_boundary_no_direction_leads_to_a_higher_likelihood(seed: int, tau: Any) -> None:
    d = slopes(seed, tau, J=12)
    found = maximize(d)
    assert found.converged
    likelihood = variance_components._Likelihood(d, restricted=True)
    L = found.Lambda / found.sigma * likelihood.scale[: d.K, None]
    at = likelihood(L)
    # Karush-Kuhn-Tucker on the cone of covariances: D L = 0, and D has no negative eigenvalue.
    size = np.abs(likelihood(L + 0.1 * np.eye(d.K)).D).max()
    assert np.abs(at.D @ L).max() < 1e-4 * size
    assert np.linalg.eigvalsh(at.D)[0] > -1e-4 * size
    assert found.boundary == (np.linalg.matrix_rank(L, tol=1e-8) < d.K)


def test_effects_that_are_linear_functions_of_each_other_have_a_correlation_of_one() -> None:
    rng = np.random.default_rng(8)
    J, n = 15, 10
    index, x = np.repeat(np.arange(J), n), rng.normal(size=J * n)
    u = rng.normal(size=J)
    y = u[index] + 0.7 * u[index] * x + rng.normal(size=J * n)
    frame = pd.DataFrame({"y": y, "x": x, "g": index})
    d = hm.VaryingSlopes(frame, y="y", group="g", varying=["x"]).design
    found = maximize(d)
    Sigma = covariance_of(d, found)
    correlation = Sigma[0, 1] / math.sqrt(Sigma[0, 0] * Sigma[1, 1])
    assert found.boundary == (abs(correlation) > 1 - 1e-9)
    assert correlation > 0.9


@pytest.mark.parametrize("tau", [(0.7,), (0.7, 0.5), (0.5, 0.0)])
def test_a_search_that_begins_on_the_boundary_finds_its_way_off(
    tau: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    d = slopes(10, tau)
    expected = maximize(d)
    # At 0 the slope by L is 0, whatever that by Sigma.
    monkeypatch.setattr(variance_components, "_start", lambda _: np.zeros((d.K, d.K)))
    found = maximize(d)
    assert found.log_likelihood == pytest.approx(expected.log_likelihood, abs=1e-8)
    np.testing.assert_allclose(covariance_of(d, found), covariance_of(d, expected), atol=1e-5)


def test_what_is_on_the_boundary_does_not_depend_on_where_the_columns_are_centred() -> None:
    near, far = slopes(9, (0.5, 0.0), J=12), slopes(9, (0.5, 0.0), J=12, far=100.0)
    a, b = maximize(near), maximize(far)
    assert a.log_likelihood == pytest.approx(b.log_likelihood, abs=1e-6)
    assert a.sigma == pytest.approx(b.sigma, rel=1e-6)
    assert a.boundary == b.boundary
