"""Power-scaling: the weights, the distances, and the sensitivities that come of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import integrate, special, stats

from hiermodels.posterior import power_scaling

DELTA = 0.01


def normal(prior: tuple[float, float], data: tuple[float, float], n: int = 4000) -> Any:
    """Draws of a normal mean, which are its posterior's quantiles, and the components."""
    m, v = posterior_of(prior, data, 1, 1)
    x = m + math.sqrt(v) * special.ndtri((np.arange(n) + 0.5) / n)
    x = np.random.default_rng(1).permutation(x)
    log_prior, log_likelihood = stats.norm.logpdf(x, *prior), stats.norm.logpdf(data[0], x, data[1])
    return x, {"prior": log_prior, "likelihood": log_likelihood}


def posterior_of(
    prior: tuple[float, float], data: tuple[float, float], a: float, b: float
) -> tuple[float, float]:
    """Mean and variance where the prior has power a and the likelihood b."""
    precision = a / prior[1] ** 2 + b / data[1] ** 2
    mean = (a * prior[0] / prior[1] ** 2 + b * data[0] / data[1] ** 2) / precision
    return mean, 1 / precision


def expected(prior: tuple[float, float], data: tuple[float, float], which: str, n: int) -> float:
    """The sensitivity of that mean: the integrals by quadrature over the range of the draws."""
    m, v = posterior_of(prior, data, 1, 1)
    edge = float(-special.ndtri(0.5 / n)) * math.sqrt(v)
    x = np.linspace(m - edge, m + edge, 200_001)
    total = 0.0
    for alpha in (1 / 1.01, 1.01):
        powers = (alpha, 1) if which == "prior" else (1, alpha)
        mean, variance = posterior_of(prior, data, *powers)
        p, q = special.ndtr((x - m) / math.sqrt(v)), special.ndtr((x - mean) / math.sqrt(variance))
        sides = []
        for a, b in ((p, q), (1 - p, 1 - q)):
            middle = (a + b) / 2
            apart = special.rel_entr(a, middle) + special.rel_entr(b, middle)
            sides.append(integrate.trapezoid(apart) / math.log(2) / integrate.trapezoid(a + b))
        total += math.sqrt(max(sides))
    return total / (2 * math.log2(1.01))


@pytest.mark.parametrize("data", [(0.0, 1.0), (6.0, 1.0), (3.0, 0.1)])
def test_a_normal_mean_has_the_sensitivity_that_integrals_give(data: tuple[float, float]) -> None:
    prior = (0.0, 2.5)
    x, components = normal(prior, data)
    found, k = power_scaling.sensitivities([x], components, DELTA)
    for at, which in enumerate(components):
        exact = expected(prior, data, which, len(x))
        assert found[0, at] == pytest.approx(exact, rel=0.02, abs=2e-4)
    assert max(k) < 0.7


def test_the_direction_and_the_scale_of_a_scalar_do_not_matter() -> None:
    x, components = normal((0.0, 2.5), (6.0, 1.0))
    found, _ = power_scaling.sensitivities([x, -x, 1e6 + 1e3 * x], components, DELTA)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-9)
    np.testing.assert_allclose(found[2], found[0], rtol=1e-6)


def test_a_constant_component_moves_nothing_and_has_no_pareto_k() -> None:
    x, _ = normal((0.0, 1.0), (0.0, 1.0))
    found, k = power_scaling.sensitivities([x], {"flat": np.full(x.shape, -3.7)}, DELTA)
    assert found.tolist() == [[0.0]]
    assert math.isnan(k[0])
    assert power_scaling.noise({"flat": np.full(x.shape, -3.7)}, 4) == [0.0]


def test_draws_that_stand_still_or_are_not_finite_have_no_sensitivity() -> None:
    x, components = normal((0.0, 1.0), (0.0, 1.0))
    broken = np.where(np.arange(len(x)) == 7, np.nan, x)
    found, _ = power_scaling.sensitivities([np.full(x.shape, 3.0), broken], components, DELTA)
    assert np.isnan(found).all()


def test_chance_alone_makes_about_the_noise_that_is_told() -> None:
    rng = np.random.default_rng(5)
    log_p = {f"{k}": -0.5 * rng.chisquare(df, 2000) for k, df in enumerate([2] * 20 + [400] * 20)}
    found, _ = power_scaling.sensitivities([rng.normal(size=2000)], log_p, DELTA)
    told = np.array(power_scaling.noise(log_p, 4))
    # Twenty of each: their mean is within a third of what is told, which is of the right size.
    for part in (slice(20), slice(20, 40)):
        assert found[0, part].mean() == pytest.approx(told[part].mean(), rel=1 / 3)
    assert told[20:].mean() > 10 * told[:20].mean()


def test_a_stronger_prior_pulls_towards_itself() -> None:
    for prior, way in (((-4.0, 1.0), "down"), ((4.0, 1.0), "up")):
        x, components = normal(prior, (0.0, 1.0))
        assert power_scaling.pull(x, components["prior"]) == way
