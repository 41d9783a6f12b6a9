"""Importance weights that are Pareto-smoothed: the same on both lines of ArviZ."""

import math

import numpy as np
import pytest

from hiermodels.container import psis


def heavy(k, n=4000, seed=7):
    """Log ratios whose exponentials have a Pareto tail of shape k, for each k."""
    u = np.random.default_rng(seed).random((len(k), n))
    return -np.array(k)[:, None] * np.log(u)


@pytest.mark.parametrize(("reff", "tail"), [(1.0, 189), (0.5, 268), (2.0, 134), (0.01, 800)])
def test_the_tail_that_is_smoothed_is_as_long_on_both_lines(reff, tail):
    """M = min(S/5, 3 sqrt(S/reff)), rounded down; the rest are as they were, up to a constant."""
    ratios = heavy([0.7])
    log_weights, _ = psis.psis(ratios, reff)
    shift = (log_weights - ratios)[0, np.argsort(ratios[0])]
    changed = ~np.isclose(shift, np.median(shift), atol=1e-12)
    assert np.argmax(changed) == 4000 - tail


def test_the_smoothing_is_the_same_on_both_lines():
    """Recorded with ArviZ 0.23.4; ArviZ 1.3.0 has them to these digits."""
    log_weights, k = psis.psis(heavy([0.2, 0.7, 2.0], n=500), 0.6)
    np.testing.assert_allclose(k, [0.161642710, 0.523223003, 1.420816311], rtol=1e-6)
    top = log_weights.max(axis=1)
    np.testing.assert_allclose(top, [-5.308135573, -3.311138015, -0.552070444], rtol=1e-6)
    log_weights, _ = psis.psis(heavy([0.7], n=25))  # the fewest: a tail of five
    assert np.isfinite(log_weights).all()


def test_a_draw_that_is_there_twice_at_the_cutoff_is_in_the_tail_on_both_lines():
    """Recorded with ArviZ 1.3.0; 0.x by itself has k = 0.5789."""
    ratios = heavy([0.7], n=500)
    largest = np.argsort(ratios[0])[::-1][:68]  # a tail of 67, and the first below it
    ratios[0, largest[65:]] = ratios[0, largest[65]]
    log_weights, k = psis.psis(ratios)
    np.testing.assert_allclose(k, [0.634893690], rtol=1e-6)
    np.testing.assert_allclose(log_weights.max(), -3.286260502, rtol=1e-6)


def test_ratios_without_a_tail_are_left_alone_and_have_an_infinite_k():
    ratios = np.zeros((3, 100))
    ratios[1] = np.random.default_rng(1).normal(size=100)
    ratios[2, 0] = -1.0
    given = ratios.copy()
    log_weights, k = psis.psis(ratios)
    assert np.isinf(k[[0, 2]]).all()
    assert np.isfinite(k[1])
    np.testing.assert_allclose(log_weights[0], -np.log(100))
    np.testing.assert_allclose(np.exp(log_weights).sum(axis=1), 1)
    np.testing.assert_array_equal(ratios, given)


def test_smoothed_weights_sum_to_one_and_have_the_pareto_k_of_their_logarithms() -> None:
    log_weights = 2 * np.random.default_rng(1).standard_exponential(1000)
    smooth, k = psis.smoothed_weights(log_weights)
    assert smooth.sum() == pytest.approx(1, rel=1e-12)
    assert k == pytest.approx(psis.pareto_k(log_weights))
    raw = np.exp(log_weights) / np.exp(log_weights).sum()
    body = np.argsort(log_weights)[:800]  # only the tail is smoothed
    np.testing.assert_allclose(smooth[body] / smooth[body].sum(), raw[body] / raw[body].sum())
    assert smooth.max() < raw.max()
    tied = np.minimum(log_weights, np.median(log_weights))
    smooth, k = psis.smoothed_weights(tied)
    assert math.isnan(k)
    np.testing.assert_allclose(smooth, np.exp(tied) / np.exp(tied).sum())


def test_pareto_k_knows_a_heavy_tail_from_a_light_one():
    rng = np.random.default_rng(2)
    # Weights 1/u^k with u uniform have a Pareto tail of shape k.
    u = rng.random(20_000)
    assert psis.pareto_k(-0.9 * np.log(u)) == pytest.approx(0.9, abs=0.15)
    assert psis.pareto_k(-0.2 * np.log(u)) == pytest.approx(0.2, abs=0.15)
    assert psis.pareto_k(rng.random(5_000)) < 0.1
