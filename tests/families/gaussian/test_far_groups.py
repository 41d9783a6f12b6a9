"""Groups that lie 1e5 to 1e8 sds apart: sigma, slopes and likelihoods keep six digits."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hiermodels as hm
from hiermodels import classical
from hiermodels.engines.exact import posterior as exact
from hiermodels.engines.exact import regressions
from hiermodels.engines.gibbs.conditionals import Data
from hiermodels.errors import DataError
from hiermodels.families.draws import Draws
from hiermodels.families.gaussian import effects, laplace, marginal
from hiermodels.families.gaussian.hyperparameters import Hyperparameters
from tests.families.gaussian.far_groups import SPREADS, exact_residual, exact_within, rows

pytestmark = pytest.mark.filterwarnings("ignore:predictor .* lies far from 0")

SIX = 1e-6


def one_way(frame: pd.DataFrame, **options: Any) -> hm.OneWay:
    return hm.OneWay(frame, y="y", group="g", **options)


def slopes(frame: pd.DataFrame, **options: Any) -> hm.VaryingSlopes:
    return hm.VaryingSlopes(frame, y="y", group="g", **options)


def squares(frame: pd.DataFrame) -> np.ndarray[Any, Any]:
    return np.array([w[0, 0] for w in exact_within(frame, ["y"]).values()])


@pytest.mark.parametrize("spread", SPREADS)
def test_squares_within_groups_are_right_wherever_they_are_used(spread: float) -> None:
    frame = rows(spread)
    own = squares(frame)
    total, df = own.sum(), len(frame) - 6
    model = one_way(frame)
    standard = model.standardization
    assert classical.anova(model).ss_within == pytest.approx(total, rel=SIX)
    assert classical.mixed_model(model).sigma == pytest.approx(math.sqrt(total / df), rel=SIX)
    assert classical.mixed_model(model).converged
    table = classical.group_means(model).table
    np.testing.assert_allclose(table["sd"], np.sqrt(own / 4), rtol=SIX)
    assert Data.of(model).ssw == pytest.approx(total, rel=SIX)
    assert model._marginal_data(standard)["ss_within"] == pytest.approx([total], rel=SIX)
    groups = one_way(frame, sigma="group")
    data = groups._marginal_data(groups.standardization)
    np.testing.assert_allclose(data["ss_within"], own, rtol=SIX)


@pytest.mark.parametrize("spread", SPREADS)
def test_sigma_is_that_of_the_same_groups_near_together(spread: float) -> None:
    """With groups 1000 sds apart or more, tau and mu say nothing of sigma any more."""
    frame, near = rows(spread), rows(1e4)
    # The same rows about the groups' means, but for the digits that doubles have there.
    np.testing.assert_allclose(squares(frame), squares(near), rtol=2e-7)
    priors = {"sigma": hm.HalfNormal(3)}
    far, here = (exact.posterior(one_way(f, priors=priors)) for f in (frame, near))
    for q in (0.05, 0.5, 0.95):
        assert far.quantile("sigma", q) == pytest.approx(here.quantile("sigma", q), rel=1e-5)


@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("sigma", ["common", "group"])
def test_no_pooling_keeps_the_digits_of_sigma(spread: float, sigma: str) -> None:
    frame = rows(spread)
    own = squares(frame)
    for model, squares_left, df in (
        (one_way(frame, pooling="none", sigma=sigma, priors={"sigma": hm.LogFlat()}), own, 4),
        (slopes(frame, varying=["w"], pooling="none", sigma=sigma,
                priors={"sigma": hm.LogFlat()}), own_lines(frame), 3),
    ):  # fmt: skip
        found = regressions.of_model(model)
        assert found is not None
        left = squares_left if sigma == "group" else [squares_left.sum()]
        for r, s in zip(found, left, strict=True):
            nu = df * (6 if sigma == "common" else 1)
            # sigma^2 is scaled inverse chi-squared: E sigma^-2 = nu / S.
            expected = np.sum(r.sigma.weight / r.sigma.values**2)
            assert expected == pytest.approx(nu / s, rel=SIX)
            # Coefficients given sigma: the groups' own least squares.
    table = classical.lines(slopes(frame, varying=["w"], pooling="none")).table
    np.testing.assert_allclose(table["sigma"], np.sqrt(own_lines(frame) / 3), rtol=SIX)


def own_lines(frame: pd.DataFrame) -> np.ndarray[Any, Any]:
    """Squares that each group's own line on w leaves."""
    found = []
    for W in exact_within(frame, ["w", "y"]).values():
        found.append(W[1, 1] - W[0, 1] ** 2 / W[0, 0])
    return np.array(found)


@pytest.mark.parametrize("spread", SPREADS)
def test_the_slope_within_groups_keeps_its_digits(spread: float) -> None:
    """x and y both have their spread between the groups; nothing but what is within tells it."""
    frame = rows(spread)
    W = sum(exact_within(frame, ["x", "y"]).values())
    d = slopes(frame, common=["x"], pooling="none").design
    assert d.between_groups.df.tolist() == [30 - 6 - 1]
    rss = float(exact_residual(frame))
    assert d.between_groups.rss[0] == pytest.approx(rss, rel=SIX)
    assert d.between_groups.common == 1
    table = classical.lines(slopes(frame, varying=["x"], pooling="none")).table
    for label, own in exact_within(frame, ["x", "y"]).items():
        assert table["x"][label] == pytest.approx(own[0, 1] / own[0, 0], rel=SIX)
        left = own[1, 1] - own[0, 1] ** 2 / own[0, 0]
        assert table["sigma"][label] == pytest.approx(math.sqrt(left / 3), rel=SIX)
        assert table["x_se"][label] == pytest.approx(math.sqrt(left / 3 / own[0, 0]), rel=SIX)
    # REML: where y's spread between groups is far above x's, it says nothing of the slope.
    mean = frame.groupby("g")["x"].transform("mean")
    nearer = frame.assign(x=frame["x"] - mean + 1e-7 * mean)
    W = sum(exact_within(nearer, ["x", "y"]).values())
    found = classical.mixed_model(slopes(nearer, common=["x"], pooling="none"))
    assert found.beta["x"] == pytest.approx(W[0, 1] / W[0, 0], rel=1e-5)
    assert found.sigma == pytest.approx(math.sqrt(float(exact_residual(nearer)) / 23), rel=SIX)


@pytest.mark.parametrize("spread", SPREADS)
def test_the_likelihood_of_a_group_is_that_of_its_rows(spread: float) -> None:
    """Exact: the mean of its rows, and its rows about it, by fractions."""
    frame = rows(spread)
    own, tau, sigma = squares(frame), spread, 1.1
    means = frame.groupby("g")["y"].mean().to_numpy()
    expected = -0.5 * (
        np.log(2 * np.pi * (tau**2 + sigma**2 / 5))
        + means**2 / (tau**2 + sigma**2 / 5)
        + 4 * np.log(2 * np.pi * sigma**2)
        + np.log(5)
        + own / sigma**2
    )
    for option in ("common", "group"):
        model = one_way(frame, sigma=option)
        draws = Draws(
            np.zeros((1, 1)), np.full((1, 1), tau), None, None, np.empty((1, 0)),
            {"sigma": np.full((1, 1 if option == "common" else 6), sigma)},
        )  # fmt: skip
        found = effects.log_likelihood_group(model.design, draws)
        assert found is not None
        np.testing.assert_allclose(found[0], expected, rtol=SIX)
        hyper = Hyperparameters(model.design, model.priors)
        u = model.standardization.centre
        values = hyper.values(u[None])
        prior = sum(hyper.log_prior(values).values()) + hyper.log_jacobian(u[None])
        p = marginal.population(
            model.design, values.centred, values.tau, values.L_Omega, values.sigma
        )
        assert laplace.log_posterior(hyper, u[None])[0] == pytest.approx(
            float(prior[0] + laplace.by_group(model.design, p).sum()), rel=SIX
        )


def test_the_likelihood_of_a_group_is_the_marginal_one_where_groups_are_near() -> None:
    for option in ("common", "group"):
        model = one_way(rows(2.0), sigma=option)
        p = marginal.Population(
            np.array([[0.3], [-1.0]]), np.array([[[1.5]], [[0.0]]]),
            np.array([[1.2], [0.7]]) * np.ones((2, 1 if option == "common" else 6)),
        )  # fmt: skip
        np.testing.assert_allclose(
            laplace.by_group(model.design, p), marginal.log_likelihood(model.design, p), rtol=1e-12
        )


@pytest.mark.filterwarnings("ignore:the REML estimate lies on the boundary")
@pytest.mark.parametrize("spread", SPREADS)
def test_reml_of_varying_slopes_is_that_of_groups_near_together(spread: float) -> None:
    found, near = (
        classical.mixed_model(slopes(rows(s), varying=["w"], pooling="none")) for s in (spread, 1e4)
    )
    assert found.converged
    assert found.sigma == pytest.approx(near.sigma, rel=SIX)
    assert found.tau["w"] == pytest.approx(near.tau["w"], rel=1e-4)


@pytest.mark.parametrize("spread", [1.0, 1e3, 1e5])
def test_the_marginal_likelihood_of_slopes_keeps_six_digits(spread: float) -> None:
    """N(Z mu, Z Sigma Z' + sigma^2 I) by elimination in fractions."""
    frame = rows(spread)
    mu, tau, sigma = (Fraction(3), Fraction(1, 4)), (Fraction(spread), Fraction(1, 2)), Fraction(1)
    total = 0.0
    for _, part in frame.groupby("g"):
        w, y = ([Fraction(float(v)) for v in part[name]] for name in ("w", "y"))
        table = [
            [tau[0] ** 2 + tau[1] ** 2 * a * b + sigma**2 * (i == j) for j, b in enumerate(w)]
            + [y[i] - mu[0] - mu[1] * a]
            for i, a in enumerate(w)
        ]
        for k, pivot in enumerate(table):
            for row in table[k + 1 :]:
                row[:] = [v - row[k] / pivot[k] * u for v, u in zip(row, pivot, strict=True)]
            total -= 0.5 * (
                math.log(2 * math.pi) + math.log(pivot[k]) + float(pivot[-1] ** 2 / pivot[k])
            )
    d = slopes(frame, varying=["w"], intercept_at="zero").design
    draws = Draws(
        np.array([mu], float), np.array([tau], float), np.eye(2)[None], None, np.empty((1, 0)),
        {"sigma": np.array([[float(sigma)]])},
    )  # fmt: skip
    found = effects.log_likelihood_group(d, draws)
    assert found is not None
    assert found.sum() == pytest.approx(total, rel=SIX)


def test_what_would_lose_its_digits_is_refused() -> None:
    frame = rows(1e8)
    with pytest.raises(DataError, match=r"y='y' must vary about the groups' own lines .* OneWay"):
        slopes(frame, varying=["w"])
    steady = frame.assign(y=rows(1.0)["y"])
    for columns in ({"varying": ["x"]}, {"common": ["x"]}):
        with pytest.raises(DataError, match=r"'x' must vary within groups by .* two columns of it"):
            slopes(steady, **columns)
    # What varies between groups alone loses nothing; nor do the two columns that are advised.
    mean = steady.groupby("g")["x"].transform("mean")
    for columns in ({"common": ["v"]}, {"varying": ["d"], "common": ["m"]}):
        slopes(steady.assign(d=steady["x"] - mean, m=mean), **columns)


@pytest.mark.parametrize(("share", "refused"), [(1e-13, True), (1e-10, False)])
def test_rows_that_differ_by_rounding_alone_are_a_perfect_fit(share: float, refused: bool) -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"g": np.repeat(range(6), 5)})
    frame["y"] = frame["g"] + 1 + share * rng.normal(size=30)
    if refused:
        with pytest.raises(DataError, match="fits 'y' perfectly"):
            one_way(frame)
    else:
        sigma = math.sqrt(squares(frame).sum() / 24)
        assert classical.anova(one_way(frame)).sigma == pytest.approx(sigma, rel=1e-6)
