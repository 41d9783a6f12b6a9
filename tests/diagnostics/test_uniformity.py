"""Bands of ECDFs: exact probabilities by enumeration, coverage by simulation."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from hiermodels.diagnostics import uniformity
from hiermodels.validation.result import coverage


def gamma(ranks: np.ndarray, draws: int) -> float:
    """The least pointwise probability, straight from its formula."""
    n = len(ranks)
    least = 1.0
    for i in range(1, draws + 1):
        count, z = int(np.sum(ranks < i)), i / (draws + 1)
        both = stats.binom.cdf(count, n, z), stats.binom.sf(count - 1, n, z)
        least = min(least, 2 * min(both))
    return least


@pytest.mark.parametrize(("n", "draws"), [(1, 3), (4, 3), (6, 2), (3, 7)])
def test_the_probability_of_ranks_is_that_of_all_ranks_that_stray_as_far(
    n: int, draws: int
) -> None:
    every = [np.array(r) for r in product(range(draws + 1), repeat=n)]
    gammas = np.array([gamma(r, draws) for r in every])
    for ranks, own in list(zip(every, gammas, strict=True))[:: max(1, len(every) // 60)]:
        exact = np.mean(gammas <= own * (1 + 1e-9))
        assert uniformity.judge(ranks, draws).p == pytest.approx(exact, abs=1e-12)


@pytest.mark.parametrize(("n", "draws"), [(100, 99), (500, 99), (60, 19), (30, 3)])
def test_uniform_ranks_stay_inside_the_band_with_its_probability(n: int, draws: int) -> None:
    rng, times = np.random.default_rng(n), 2000
    band = uniformity.band(n, draws, 0.95)
    inside, p = np.zeros(times, dtype=bool), np.zeros(times)
    for k in range(times):
        ranks = rng.integers(0, draws + 1, n)
        off = uniformity.below(ranks, draws) / n - band.z
        inside[k] = np.all((off >= band.lower - 1e-12) & (off <= band.upper + 1e-12))
        p[k] = uniformity.judge(ranks, draws).p
        # The band and the probability tell the same.
        assert inside[k] == (p[k] > 0.05)
    # Counts are whole, so that the band holds 95 % or a little more.
    error = np.sqrt(0.95 * 0.05 / times)
    assert 0.95 - 4 * error < inside.mean() < (0.97 if n > 50 else 0.99) + 4 * error
    for level in (0.01, 0.2, 0.5):
        assert np.mean(p <= level) < level + 4 * np.sqrt(level * (1 - level) / times)


def test_the_band_is_wider_for_a_higher_level_and_narrower_for_more_simulations() -> None:
    few, many = uniformity.band(100, 99, 0.95), uniformity.band(400, 99, 0.95)
    high = uniformity.band(100, 99, 0.999)
    assert np.all(many.upper <= few.upper)
    assert np.mean(few.upper) / np.mean(many.upper) == pytest.approx(2, rel=0.1)
    assert np.all(high.upper >= few.upper)
    assert np.all(high.lower <= few.lower)
    # About 1.36 / sqrt(N) at the widest place, as Kolmogorov and Smirnov's, or a little more.
    assert few.upper.max() == pytest.approx(0.14, abs=0.01)


@pytest.mark.parametrize(
    ("shape", "sign"),
    [((1.5, 1.0), -1), ((1.0, 1.5), 1), ((1.6, 1.6), None), ((0.6, 0.6), None)],
    ids=["too low", "too high", "too wide", "too narrow"],
)
def test_ranks_that_are_not_uniform_leave_the_band(
    shape: tuple[float, float], sign: int | None
) -> None:
    ranks = np.floor(100 * np.random.default_rng(3).beta(*shape, 400)).astype(int)
    fit = uniformity.judge(ranks, 99)
    assert fit.p < 1e-3
    assert sign is None or np.sign(fit.difference) == sign
    band = uniformity.band(400, 99, 0.95)
    assert not band.lower[fit.at] <= fit.difference <= band.upper[fit.at]
    share = np.mean(ranks <= fit.at)
    assert fit.difference == pytest.approx(share - band.z[fit.at])


def test_ranks_all_at_one_end_are_impossible() -> None:
    assert uniformity.judge(np.zeros(200, dtype=int), 99).p < 1e-10
    assert uniformity.judge(np.full(200, 99), 99).p < 1e-10


def test_chi_square_is_that_of_scipy_in_bins_of_equal_ranks() -> None:
    ranks = np.random.default_rng(4).integers(0, 100, 137)
    expected = stats.chisquare(np.bincount(ranks // 5, minlength=20)).pvalue
    assert uniformity.chi_square(ranks, 99) == pytest.approx(expected)
    # 40 ranks leave 5 a bin in 8 bins, of which 5 divide 100.
    expected = stats.chisquare(np.bincount(ranks[:40] // 20, minlength=5)).pvalue
    assert uniformity.chi_square(ranks[:40], 99) == pytest.approx(expected)
    assert np.isnan(uniformity.chi_square(ranks[:9], 99))
    assert np.isnan(uniformity.chi_square(ranks, 100))  # 101 is prime


@pytest.mark.parametrize("draws", [3, 9, 50, 99, 100])
@pytest.mark.parametrize("probability", [0.5, 0.9])
def test_uniform_ranks_are_covered_with_just_the_probability(
    draws: int, probability: float
) -> None:
    assert coverage(np.arange(draws + 1), draws, probability) == pytest.approx(probability)
    assert coverage(np.zeros(5, dtype=int), draws, 0.5) == 0
    if draws == 99:
        inside = [coverage(np.array([r]), draws, 0.9) for r in (4, 5, 94, 95)]
        assert inside == [0, 1, 1, 0]


def test_the_power_is_that_of_simulated_shifts() -> None:
    rng, n, draws, level, shift, times = np.random.default_rng(4), 60, 19, 0.98, 0.4, 1500
    found = 0
    for _ in range(times):
        truth = rng.standard_normal(n)
        ranks = np.sum(rng.standard_normal((n, draws)) + shift > truth[:, None], axis=1)
        found += uniformity.judge(draws - ranks, draws).p <= 1 - level
    power = uniformity.power(n, draws, level, shift)
    assert 0.2 < power < 0.9
    error = np.sqrt(power * (1 - power) / times)
    assert abs(found / times - power) < 4 * error
    # Without a shift it is the level, or less as counts are whole.
    assert 0 < uniformity.power(n, draws, level, 0.0) < 0.02 + 1e-9


def test_what_is_detectable_is_found_with_its_probability_and_less_with_fewer() -> None:
    shift = uniformity.detectable(200, 99, 0.99)
    assert uniformity.power(200, 99, 0.99, shift) == pytest.approx(0.9, abs=0.005)
    assert uniformity.detectable(500, 99, 0.99) < shift < uniformity.detectable(50, 99, 0.99)
    assert uniformity.detectable(1, 99, 0.99) == np.inf
