"""Groups that lie 1e5 to 1e8 sds apart: sigma, slopes and likelihoods keep six digits."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import arviz as az
import numpy as np
import pandas as pd
import pytest

import hiermodels as hm
from hiermodels import classical
from hiermodels.data.design import Design
from hiermodels.engines.exact import posterior as exact
from hiermodels.engines.exact import regressions
from hiermodels.engines.gibbs.conditionals import Data
from hiermodels.engines.importance.targets import Target
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


def data(far: str, spread: float) -> pd.DataFrame:
    """Groups apart in y, in x, or in both; or with slopes apart by as much as their heights."""
    frame = rows(spread)
    if far == "y":
        return frame.assign(x=frame["w"])
    if far == "x":
        return frame.assign(y=rows(1.0)["y"])
    if far == "lines":
        slopes_of = spread * np.random.default_rng(2).normal(size=6)
        return frame.assign(x=frame["w"], y=frame["y"] + slopes_of[frame["g"]] * frame["w"])
    return frame


COLUMNS: dict[str, dict[str, Any]] = {
    "slopes": {"varying": ["x"]},
    "a common slope": {"common": ["x"]},
    "both": {"varying": ["x"], "common": ["v"]},
}


def fractions(values: Any) -> Any:
    """An array of doubles as fractions, without rounding."""
    return np.vectorize(lambda v: Fraction(float(v)), otypes=[object])(np.asarray(values))


def exact_log_likelihood(d: Design, p: marginal.Population, draw: int, frame: pd.DataFrame) -> Any:
    """N(Z mu + X beta, Z Sigma Z' + sigma^2 I) of each group, by elimination in fractions."""
    K = d.K
    shift, matrix = (fractions(v) for v in d.at_zero)
    raw = shift + matrix @ fractions(p.centred[draw])
    root = matrix[:K, :K] @ fractions(p.Lambda[draw])
    variance = fractions(p.variance[draw])[0]
    found = []
    for _, part in frame.groupby("g"):
        columns = fractions(part[[*d.names[1:]]])
        W = np.hstack([np.full((len(part), 1), Fraction(1)), columns])
        rooted = W[:, :K] @ root
        covariance = rooted @ rooted.T + variance * np.eye(len(part), dtype=int)
        table = np.hstack([covariance, (fractions(part["y"]) - W @ raw)[:, None]])
        total = 0.0
        for k, pivot in enumerate(table):
            for row in table[k + 1 :]:
                row[:] = row - row[k] / pivot[k] * pivot
            total -= 0.5 * (
                math.log(2 * math.pi) + math.log(pivot[k]) + float(pivot[-1] ** 2 / pivot[k])
            )
        found.append(total)
    return np.array(found)


def near_the_mode(model: hm.VaryingSlopes, draws: int) -> tuple[Any, marginal.Population]:
    hyper, standard = model.hyperparameters, model.standardization
    assert standard.found
    u = standard.apply(np.random.default_rng(2).normal(size=(draws, hyper.size)))
    v = hyper.values(u)
    p = marginal.population(model.design, v.centred, v.tau, v.L_Omega, v.sigma)
    return u, p


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("spread", [1.0, 1e3, 1e5, 1e6, 1e7, 1e8])
@pytest.mark.parametrize("far", ["y", "x", "both"])
def test_the_marginal_likelihood_of_slopes_keeps_its_digits(
    far: str, spread: float, columns: str
) -> None:
    frame = data(far, spread)
    model = slopes(frame, **COLUMNS[columns])
    _, p = near_the_mode(model, 3)
    found = marginal.log_likelihood(model.design, p)
    wanted = np.array([exact_log_likelihood(model.design, p, i, frame) for i in range(3)])
    # A double holds a slope of 1e7, which one line for all rows may have, to 1e-9.
    digits = 1e-9 + 1e-15 * spread
    np.testing.assert_allclose(found, wanted, rtol=0, atol=digits)
    off, expected = found - found[0], wanted - wanted[0]
    np.testing.assert_allclose(off.sum(axis=1), expected.sum(axis=1), rtol=0, atol=digits)


@pytest.mark.parametrize("spread", [1e3, 1e4, 1e5])
def test_slopes_as_far_apart_as_their_heights_keep_six_digits(spread: float) -> None:
    """Their squares within groups are those of the slopes: 1e-16 of them is rounding."""
    frame = data("lines", spread)
    model = slopes(frame, varying=["x"])
    _, p = near_the_mode(model, 3)
    found = marginal.total_log_likelihood(model.design, p)
    wanted = [exact_log_likelihood(model.design, p, i, frame).sum() for i in range(3)]
    np.testing.assert_allclose(found, wanted, rtol=SIX)


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("ratio", [0.0, 1e-8, 1e8])
def test_sums_at_tiny_and_huge_taus_are_right(ratio: float, columns: str) -> None:
    """Also where the effects of near groups are next to nothing, or all but free."""
    frame = data("both", 1.0)
    model = slopes(frame, **COLUMNS[columns])
    d = model.design
    p = marginal.Population(
        np.full((1, d.K + d.P), 0.3),
        ratio * np.array([[[1.5, 0.0], [0.6, 0.8]]])[:, : d.K, : d.K],
        np.array([[1.2]]),
    )
    wanted = exact_log_likelihood(d, p, 0, frame)
    np.testing.assert_allclose(marginal.log_likelihood(d, p)[0], wanted, rtol=1e-10)
    sums, log_det = marginal.generalized_products(d.rotated, p.Lambda, p.variance)
    g = d.rotated.combination(p.centred)[0]
    total = d.N * math.log(2 * math.pi * 1.2) + log_det[0] + g @ sums[0] @ g
    assert -total / 2 == pytest.approx(wanted.sum(), rel=1e-10)


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("spread", [1.0, 1e5, 1e8])
@pytest.mark.parametrize("far", ["y", "x", "both"])
def test_coefficients_integrate_out_without_losing_digits(
    far: str, spread: float, columns: str
) -> None:
    """p(tau, sigma, y) = p(mu, tau, sigma, y) / p(mu | tau, sigma, y) wherever mu is."""
    model = slopes(data(far, spread), **COLUMNS[columns])
    hyper = model.hyperparameters
    target = Target(hyper, model.standardization)
    x = model.standardization.apply(np.random.default_rng(3).normal(size=(20, hyper.size)))
    x = x[:, target.kept]
    u = target.complete(x, np.random.default_rng(4))
    _, mean, precision = target._evidence(x)
    off = np.hstack([u[:, hyper.part("mu")], u[:, hyper.part("beta")]]) - mean
    log_p = 0.5 * np.linalg.slogdet(precision)[1] - off.shape[1] / 2 * math.log(2 * math.pi)
    log_p -= 0.5 * np.einsum("da,dab,db->d", off, precision, off)
    joint = laplace.log_posterior(hyper, u)
    np.testing.assert_allclose(target.log_density(x), joint - log_p, rtol=0, atol=1e-6)


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("spread", [1e3, 1e8])
@pytest.mark.parametrize("far", ["y", "x", "both"])
def test_effects_given_the_rest_keep_their_digits(far: str, spread: float, columns: str) -> None:
    """Var(theta_j | y) = (Sigma^-1 + Z'Z / sigma^2)^-1, in fractions, and the mean of theta_j."""
    frame = data(far, spread)
    model = slopes(frame, **COLUMNS[columns])
    d, K = model.design, model.design.K
    _, p = near_the_mode(model, 1)
    given = marginal.condition(d.rotated, p)
    variances = marginal.variances(marginal.root(d.back, p), given)
    theta = marginal.effects(d.back, p, marginal.deviations(p, given))
    shift, matrix = (fractions(v) for v in d.at_zero)
    raw = shift + matrix @ fractions(p.centred[0])
    zero, back = matrix[:K, :K], fractions(d.back[1][:K, :K])
    root, s2 = fractions(p.Lambda[0]), fractions(p.variance[0])[0]
    for j, (_, part) in enumerate(frame.groupby("g")):
        one = np.full((len(part), 1), Fraction(1))
        W = np.hstack([one, fractions(part[[*d.names[1:]]])])
        Z = W[:, :K] @ zero  # the columns whose effects have the root Lambda
        residual = fractions(part["y"]) - W @ raw
        M = np.diag([s2] * K) + (Z @ root).T @ (Z @ root)
        inverse = s2 * exact_inverse(M)
        covariance = back @ root @ inverse @ root.T @ back.T
        mean = back @ root @ inverse @ (root.T @ (Z.T @ residual)) / s2
        for k in range(K):
            assert variances[k][0, j] == pytest.approx(float(covariance[k, k]), rel=1e-7)
            level = float(
                (fractions(d.back[0]) + fractions(d.back[1]) @ fractions(p.centred[0]))[k]
            )
            sd = math.sqrt(covariance[k, k])
            rounding = 1e-15 * (abs(level) + abs(float(mean[k])))
            assert abs(theta[k][0, j] - (level + float(mean[k]))) < 1e-6 * sd + 10 * rounding


def exact_inverse(M: Any) -> Any:
    if len(M) == 1:
        return np.array([[1 / M[0, 0]]], dtype=object)
    (a, b), (c, e) = M
    return np.array([[e, -b], [-c, a]], dtype=object) / (a * e - b * c)


@pytest.mark.stan
@pytest.mark.filterwarnings("ignore:.*diverged")
@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("far", ["y", "x", "both"])
def test_sigma_of_slopes_is_that_of_the_same_groups_near_together(far: str, columns: str) -> None:
    """Groups 1e4 sds apart say no more of sigma than groups 1e8 sds apart, nor of slopes."""
    found = {}
    for engine in ("exact", "nuts"):
        for spread in (1e4, 1e8):
            model = slopes(data(far, spread), **COLUMNS[columns])
            idata = model.fit(seed=1, draws=2000, engine=engine, progress=False)
            sigma = idata["posterior"]["sigma"].to_numpy()
            found[engine, spread] = sigma
            assert float(az.rhat(sigma)) < 1.02
    error = np.array([float(az.mcse(s)) for s in found.values()])
    means = np.array([s.mean() for s in found.values()])
    for a, b in ((0, 1), (0, 2), (1, 3)):
        assert abs(means[a] - means[b]) < 5 * math.hypot(error[a], error[b])


def test_what_would_lose_its_digits_is_refused() -> None:
    frame = rows(1.0)
    # Groups far apart lose nothing: not in y, not in a predictor.
    for far in ("y", "x", "both"):
        for columns in COLUMNS.values():
            slopes(data(far, 1e8), **columns)
    with pytest.raises(DataError, match=r"y='y' must vary about the groups' own lines by .* those"):
        slopes(data("lines", 1e6), varying=["x"])
    near = frame.assign(x=(1 + frame["g"]) * frame["w"] + 1e-7 * frame["x"])
    with pytest.raises(DataError, match=r"'x' must vary about the groups' own lines .* two col"):
        slopes(near, varying=["w"], common=["x"])
    steady = rows(1e8).assign(y=rows(1.0)["y"])
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
