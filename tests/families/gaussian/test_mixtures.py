"""Mixtures of normal distributions against SciPy's, and against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, optimize, stats

from hiermodels.families.gaussian import mixtures

RNG = np.random.default_rng(1)
W = RNG.dirichlet(np.ones(7))
M = RNG.normal(0, 3, (7, 4))
S = RNG.gamma(2, 1, (7, 4))


def test_one_component_is_a_normal_distribution():
    w, m, s = np.ones(1), np.array([[2.0]]), np.array([[3.0]])
    assert mixtures.moments(w, m, s) == (np.array([2.0]), np.array([3.0]))
    for q in (1e-6, 0.05, 0.5, 0.975):
        assert mixtures.quantile(q, w, m, s)[0] == pytest.approx(stats.norm(2, 3).ppf(q), rel=1e-12)
        assert mixtures.cdf(stats.norm(2, 3).ppf(q), w, m, s)[0] == pytest.approx(q, rel=1e-12)


def test_moments_are_those_of_the_density():
    mean, sd = mixtures.moments(W, M, S)
    for j in range(4):
        density = lambda x, j=j: W @ stats.norm.pdf(x, M[:, j], S[:, j])  # noqa: E731
        first = integrate.quad(lambda x, d=density: x * d(x), -60, 60, limit=400)[0]
        second = integrate.quad(lambda x, d=density: x * x * d(x), -60, 60, limit=400)[0]
        assert mean[j] == pytest.approx(first, abs=1e-8)
        assert sd[j] == pytest.approx(np.sqrt(second - first**2), rel=1e-8)


@pytest.mark.parametrize("q", [0.001, 0.05, 0.5, 0.95, 0.999])
def test_quantiles_are_the_roots_of_the_distribution_function(q):
    got = mixtures.quantile(q, W, M, S, tolerance=1e-13)
    for j in range(4):
        root = optimize.brentq(
            lambda x, j=j: W @ stats.norm.cdf(x, M[:, j], S[:, j]) - q, -60, 60, xtol=1e-13
        )
        assert got[j] == pytest.approx(root, abs=1e-10)


def test_a_component_without_width_is_a_point():
    w, m, s = np.array([0.5, 0.5]), np.array([[0.0], [1.0]]), np.array([[0.0], [1.0]])
    assert mixtures.quantile(0.3, w, m, s)[0] == pytest.approx(0, abs=1e-6)
    assert np.isfinite(mixtures.quantile(0.9, w, m, s)[0])
