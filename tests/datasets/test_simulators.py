"""Simulators: standardised by their truth, draws are standard normal."""

import numpy as np
import pandas as pd
import pytest

from hiermodels import datasets
from hiermodels.errors import OptionError

# Bounds below are 4.5 standard errors of the moment named: 1/sqrt(n) of a mean, 1/sqrt(2n) of a
# standard deviation, 1/sqrt(n) of a correlation near 0.


def assert_standard_normal(z):
    z = np.asarray(z).ravel()
    assert abs(z.mean()) < 4.5 / np.sqrt(z.size)
    assert abs(z.std() - 1) < 4.5 / np.sqrt(2 * z.size)


def test_eight_schools_scatter_about_theta_by_se_and_theta_about_mu_by_tau():
    frame, truth = datasets.simulate_eight_schools(groups=4000, mu=-3, tau=2.5, se=None, seed=11)
    assert list(frame.columns) == ["school", "effect", "se"]
    assert frame["se"].head(9).tolist() == [15, 10, 16, 11, 9, 11, 10, 18, 15]
    assert_standard_normal((truth["theta"] + 3) / 2.5)
    assert_standard_normal((frame["effect"] - truth["theta"]) / frame["se"])


def test_one_way_rows_scatter_about_their_group_by_its_sigma():
    sizes, sigma = [4, 12] * 500, [0.5, 3.0] * 500
    frame, truth = datasets.simulate_one_way(
        groups=1000, size=sizes, mu=10, tau=0.2, sigma=sigma, seed=12
    )
    assert frame.groupby("group").size().tolist() == sizes
    j = frame["group"].to_numpy() - 1
    assert_standard_normal((truth["theta"] - 10) / 0.2)
    assert_standard_normal((frame["y"] - truth["theta"][j]) / np.array(sigma)[j])


@pytest.mark.parametrize("intercept", [True, False])
def test_varying_slopes_follow_their_regression_and_their_population(intercept):
    Omega = np.array([[1, 0.7, 0], [0.7, 1, -0.2], [0, -0.2, 1]])
    frame, truth = datasets.simulate_varying_slopes(
        groups=3000,
        size=2,
        mu=[1, 2, -1],
        tau=[1, 0.5, 2],
        Omega=Omega,
        beta=[4, -4],
        sigma=0.3,
        intercept=intercept,
        seed=13,
    )
    x = [f"x{k + 1}" for k in range(3 - intercept)]
    assert list(frame.columns) == ["group", "y", *x, "w1", "w2"]
    z = frame[x].to_numpy()
    if intercept:
        z = np.column_stack([np.ones(len(z)), z])
    theta = truth["theta"]
    fitted = (z * theta[frame["group"] - 1]).sum(1) + frame[["w1", "w2"]].to_numpy() @ [4, -4]
    assert_standard_normal((frame["y"] - fitted) / 0.3)
    # Whitened by the population's own Cholesky factor, the coefficients are standard normal.
    white = np.linalg.solve(np.linalg.cholesky(Omega), ((theta - [1, 2, -1]) / [1, 0.5, 2]).T)
    assert_standard_normal(white)
    assert np.abs(np.corrcoef(white) - np.eye(3)).max() < 4.5 / np.sqrt(3000)


def test_a_number_for_omega_is_the_correlation_of_every_pair():
    _, truth = datasets.simulate_varying_slopes(Omega=-0.3, seed=1)
    assert truth["Omega"].tolist() == [[1, -0.3], [-0.3, 1]]


@pytest.mark.parametrize(
    "simulate",
    [
        datasets.simulate_eight_schools,
        datasets.simulate_one_way,
        datasets.simulate_varying_slopes,
    ],
)
def test_a_seed_is_the_whole_of_the_chance(simulate):
    one, two, other = simulate(seed=1), simulate(seed=1), simulate(seed=2)
    pd.testing.assert_frame_equal(one.frame, two.frame)
    assert not one.frame.equals(other.frame)
    assert simulate(seed=np.random.default_rng(1)).frame.equals(one.frame)
    with pytest.raises(OptionError, match="seed must be an integer of at least 0"):
        simulate(seed=-1)
    with pytest.raises(OptionError, match="groups must be an integer of at least 1; got 0"):
        simulate(seed=1, groups=0)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("one_way", {"size": 0}, "size must be an integer of at least 1"),
        ("one_way", {"size": [3, 4]}, "one for each of the 20 groups"),
        ("one_way", {"size": 2.5}, "size must be an integer"),
        ("one_way", {"tau": -1}, "tau must be a finite number of at least 0; got -1"),
        ("one_way", {"sigma": 0}, "sigma must be positive and finite; got 0"),
        ("one_way", {"mu": "high"}, "mu must be a finite number; got 'high'"),
        ("eight_schools", {"se": [1, 2]}, "se must be a number or 8 numbers"),
        ("eight_schools", {"se": -1}, "se must be positive"),
        ("varying_slopes", {"tau": [1, 1, 1]}, "tau must be a number or 2 numbers"),
        ("varying_slopes", {"tau": [1, -1]}, "tau must not be negative"),
        ("varying_slopes", {"Omega": 1.5}, "Omega must be a correlation matrix"),
        ("varying_slopes", {"Omega": np.eye(3)}, "2 x 2 matrix, as mu has 2 entries"),
        ("varying_slopes", {"Omega": [[1, 0.5], [0.1, 1]]}, "symmetric"),
        ("varying_slopes", {"Omega": "none"}, "Omega must be a correlation matrix"),
        ("varying_slopes", {"sigma": 0}, "sigma must be a finite number above 0"),
        ("varying_slopes", {"mu": []}, "number of varying coefficients"),
    ],
)
def test_an_argument_that_cannot_be_used_is_named(name, arguments, message):
    with pytest.raises(OptionError, match=message):
        getattr(datasets, f"simulate_{name}")(seed=1, **arguments)
