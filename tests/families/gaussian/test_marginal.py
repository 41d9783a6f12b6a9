"""Group effects integrated out: against dense Gaussian algebra, row by row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from hiermodels.families.draws import Draws
from hiermodels.families.gaussian import effects, marginal
from hiermodels.families.gaussian.moments import Moments, of_arrays

J = 6


def make(
    residual: str, K: int = 2, P: int = 1, *, far: float = 0.0, ones: str = "z"
) -> tuple[Moments, dict[str, Any]]:
    """Rows in six groups, one of them of one row, and hyperparameters of the raw columns."""
    rng = np.random.default_rng(10 * K + P)
    index = np.arange(J) if residual == "known" else np.concatenate([[5], np.repeat(range(5), 6)])
    n = len(index)
    z = far + rng.normal(size=(n, K))
    x = far + rng.normal(size=(n, P))
    names = [f"z{k}" for k in range(K)], [f"x{p}" for p in range(P)]
    if ones == "z":
        z[:, 0], names[0][0] = 1, "Intercept"
    elif ones == "x":
        x[:, 0], names[1][0] = 1, "Intercept"
    design = of_arrays(
        response="y",
        group="g",
        y=far + rng.normal(size=n),
        index=index,
        labels=np.arange(J),
        z=z,
        coefficients=("Intercept",) if residual == "known" else tuple(names[0]),
        scalar=residual == "known",
        x=x,
        predictors=tuple(names[1]),
        residual=residual,  # type: ignore[arg-type]
        se=rng.gamma(3, size=n) if residual == "known" else None,
    )
    A = rng.normal(size=(K, 2 * K))
    Omega = A @ A.T
    sd = np.sqrt(np.diag(Omega))
    sigmas = {"known": 0, "common": 1, "group": J}[residual]
    raw = {
        "mu": rng.normal(size=K),
        "tau": rng.gamma(4, 0.3, size=K),
        "Omega": Omega / sd / sd[:, None],
        "beta": rng.normal(size=P),
        "sigma": rng.gamma(4, 0.2, size=sigmas) if sigmas else None,
    }
    return design, raw


def draws_of(raw: dict[str, Any], n: int = 1) -> Draws:
    def repeat(v: np.ndarray | None) -> Any:
        return None if v is None else np.repeat(v[None], n, axis=0)

    return Draws(
        repeat(raw["mu"]),
        repeat(raw["tau"]),
        repeat(np.linalg.cholesky(raw["Omega"])),
        None,
        repeat(raw["beta"]),
        {} if raw["sigma"] is None else {"sigma": repeat(raw["sigma"])},
    )


def conditional(design: Moments, raw: dict[str, Any], j: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of theta_j by the normal's own conditioning, with n_j x n_j matrices."""
    rows = design.rows("a test")
    mine = rows.index == j
    Z, X, y = rows.z[mine], rows.x[mine], rows.y[mine]
    Sigma = raw["Omega"] * np.outer(raw["tau"], raw["tau"])
    if raw["sigma"] is None:
        assert rows.se is not None
        noise = np.diag(rows.se[mine] ** 2)
    else:
        noise = np.eye(len(y)) * raw["sigma"][j if len(raw["sigma"]) > 1 else 0] ** 2
    around = Z @ Sigma @ Z.T + noise
    gain = Sigma @ Z.T @ np.linalg.inv(around)
    mean = raw["mu"] + gain @ (y - X @ raw["beta"] - Z @ raw["mu"])
    return mean, Sigma - gain @ Z @ Sigma


CASES = [
    ("known", 1, 0, "z"),
    ("common", 1, 0, "z"),
    ("group", 1, 0, "z"),
    ("common", 2, 1, "z"),
    ("group", 3, 2, "z"),
    ("common", 3, 2, "z"),
    ("common", 2, 2, "x"),
    ("common", 2, 1, "none"),
]


@pytest.mark.parametrize(("residual", "K", "P", "ones"), CASES)
@pytest.mark.parametrize("far", [0.0, 30.0])
def test_conditional_means_and_variances_are_those_of_the_joint_normal(
    residual: str, K: int, P: int, ones: str, far: float
) -> None:
    design, raw = make(residual, K, P, ones=ones, far=far)
    p = effects.population(design, draws_of(raw))
    given = marginal.condition(design.rotated, p)
    means = marginal.raw_effects(design, p, marginal.deviations(p, given))
    variances = marginal.variances(marginal.root(design.at_zero, p), given)
    for j in range(J):
        mean, cov = conditional(design, raw, j)
        np.testing.assert_allclose([m[0, j] for m in means], mean, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose([v[0, j] for v in variances], np.diag(cov), rtol=1e-9)


@pytest.mark.parametrize(("residual", "K", "P", "ones"), CASES)
def test_drawn_effects_have_the_conditional_mean_and_covariance(
    residual: str, K: int, P: int, ones: str
) -> None:
    design, raw = make(residual, K, P, ones=ones, far=3.0)
    n = 20_000
    p = effects.population(design, draws_of(raw, n))
    theta = effects.draw_effects(design, p, np.random.SeedSequence(1))
    for j in range(J):
        mean, cov = conditional(design, raw, j)
        # Standardized by the conditional's root: independent standard normals.
        e = np.linalg.solve(np.linalg.cholesky(cov), (theta[:, j] - mean).T)
        assert np.abs(e.mean(axis=1) * np.sqrt(n)).max() < 4.5
        assert np.abs((np.cov(e) - np.eye(K)) * np.sqrt(n / 2)).max() < 4.5


def test_effects_of_different_draws_and_groups_are_independent() -> None:
    design, raw = make("common", 2, 1)
    p = effects.population(design, draws_of(raw, 4000))
    theta = effects.draw_effects(design, p, np.random.SeedSequence(2)).reshape(4000, -1)
    across = np.corrcoef(theta, rowvar=False).reshape(J, 2, J, 2)
    for j in range(J):
        across[j, :, j] = 0
    assert np.abs(across).max() * np.sqrt(4000) < 4.5
    assert abs(np.corrcoef(theta[1:, 0], theta[:-1, 0])[0, 1]) * np.sqrt(4000) < 4.5


def test_drawn_effects_do_not_depend_on_the_number_of_processors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    design, raw = make("common", 2, 1)
    monkeypatch.setattr(marginal, "BLOCK", 100)
    p = effects.population(design, draws_of(raw, 50))
    fits = []
    for n in (1, 3):
        monkeypatch.setattr(effects, "processors", lambda n=n: n)
        fits.append(effects.draw_effects(design, p, np.random.SeedSequence(3)))
    np.testing.assert_array_equal(fits[0], fits[1])


@pytest.mark.parametrize(
    ("residual", "tau"),
    [
        *[(r, t) for r in ("known", "common") for t in (0.0, 1e-200, 1e-8, 1e8)],
        ("known", 1e100),
    ],
)
def test_extreme_taus_stay_finite(residual: str, tau: float) -> None:
    K = 1 if residual == "known" else 2
    design, raw = make(residual, K, 0)
    raw["tau"] = np.full(K, tau)
    p = effects.population(design, draws_of(raw))
    assert np.isfinite(marginal.log_likelihood(design, p)).all()
    theta = effects.draw_effects(design, p, np.random.SeedSequence(4))
    assert np.isfinite(theta).all()
    if tau < 1e-9:
        np.testing.assert_allclose(theta, np.broadcast_to(raw["mu"], theta.shape), atol=1e-12)
    if tau > 1e9 and residual == "known":
        y, se = design.rows("a test").y, design.rows("a test").se
        assert np.all(np.abs(theta[0, :, 0] - y) < 6 * se)


def test_a_mean_of_1e8_loses_no_digits() -> None:
    near, _ = make("common", 2, 1)
    rows = near.rows("a test")
    shifted = of_arrays(
        response="y",
        group="g",
        # 2^27: what is added to a number below 8 costs it no more than 2^-25 of rounding
        y=np.round(rows.y * 2**20) / 2**20 + 2.0**27,
        index=rows.index,
        labels=np.arange(J),
        z=rows.z,
        coefficients=near.coefficients,
        x=np.round(rows.x * 2**20) / 2**20 + 2.0**27,
        predictors=near.predictors,
        residual="common",
    )
    np.testing.assert_allclose(shifted.gram, near.gram, atol=1e-4)
    means = shifted.statistics.centre[-1] + (shifted.statistics.products[:, 0, -1] / shifted.sizes)
    exact = [np.mean(np.round(rows.y[rows.index == j] * 2**20)) / 2**20 for j in range(J)]
    np.testing.assert_allclose(means - 2.0**27, exact, atol=1e-7)


# ---- summaries of effects that are not drawn -----------------------------------------------------


def hyper_draws(design: Moments, raw: dict[str, Any], n: int, seed: int) -> marginal.Population:
    rng = np.random.default_rng(seed)
    draws = draws_of(raw, n)
    assert draws.mu is not None
    assert draws.tau is not None
    return effects.population(
        design,
        Draws(
            draws.mu + 0.2 * rng.normal(size=draws.mu.shape),
            draws.tau * np.exp(0.3 * rng.normal(size=draws.tau.shape)),
            draws.L_Omega,
            None,
            draws.beta + 0.1 * rng.normal(size=draws.beta.shape),
            {n: x * np.exp(0.1 * rng.normal(size=x.shape)) for n, x in draws.aux.items()},
        ),
    )


@pytest.mark.parametrize(("residual", "K", "P", "ones"), CASES)
def test_a_summary_is_that_of_the_mixture_of_conditionals(
    residual: str, K: int, P: int, ones: str
) -> None:
    design, raw = make(residual, K, P, ones=ones, far=2.0)
    p = hyper_draws(design, raw, 400, 5)
    found = effects.summarize_effects(design, p)
    given = marginal.condition(design.rotated, p)
    m = np.stack(marginal.raw_effects(design, p, marginal.deviations(p, given)), axis=-1)
    v = np.stack(marginal.variances(marginal.root(design.at_zero, p), given), axis=-1)
    np.testing.assert_allclose(found["mean"], m.mean(axis=0), rtol=1e-12)
    total = v.mean(axis=0) + m.var(axis=0)
    np.testing.assert_allclose(found["sd"], np.sqrt(total), rtol=1e-12)
    for name, q in (("q5", 0.05), ("median", 0.5), ("q95", 0.95)):
        below = stats.norm.cdf(found[name], m, np.sqrt(v)).mean(axis=0)
        np.testing.assert_allclose(below, q, atol=1e-8)


def test_a_summary_agrees_with_draws() -> None:
    design, raw = make("common", 2, 1)
    p = hyper_draws(design, raw, 40_000, 6)
    found = effects.summarize_effects(design, p)
    theta = effects.draw_effects(design, p, np.random.SeedSequence(7))
    z = (theta.mean(axis=0) - found["mean"]) / (found["sd"] / 200)
    assert np.abs(z).max() < 4.5
    np.testing.assert_allclose(theta.std(axis=0), found["sd"], rtol=0.03)
    for name, q in (("q5", 0.05), ("q95", 0.95)):
        share = np.mean(theta < found[name], axis=0)
        assert np.abs(share - q).max() / np.sqrt(q * (1 - q) / 40_000) < 4.5


def test_many_groups_of_one_size_are_interpolated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effects, "_DIRECT", 24)
    rng = np.random.default_rng(8)
    sizes = np.array([3] * 100 + [5] * 40 + [9])
    index = np.repeat(np.arange(len(sizes)), sizes)
    design = of_arrays(
        response="y",
        group="g",
        y=rng.normal(size=len(index)) + 2 * rng.standard_t(3, size=len(sizes))[index],
        index=index,
        labels=np.arange(len(sizes)),
        z=np.ones((len(index), 1)),
        coefficients=("Intercept",),
        scalar=True,
        x=np.empty((len(index), 0)),
        predictors=(),
        residual="common",
    )
    raw = {
        "mu": np.zeros(1),
        "tau": np.array([2.0]),
        "Omega": np.eye(1),
        "beta": np.zeros(0),
        "sigma": np.ones(1),
    }
    p = hyper_draws(design, raw, 300, 9)
    fast = effects.summarize_effects(design, p)
    slow = effects._summarize(design, design.rotated, p)
    for name, values in slow.items():
        assert np.abs(fast[name] - values).max() < 1e-6, name


def test_summaries_of_many_effects_thin_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    design, raw = make("common", 2, 1)
    p = hyper_draws(design, raw, 1000, 10)
    whole = effects.summarize_effects(design, p)
    monkeypatch.setattr(effects, "_SUMMARY_NUMBERS", 1000)
    thin = effects.summarize_effects(design, p)
    assert not np.array_equal(whole["mean"], thin["mean"])
    np.testing.assert_allclose(
        thin["mean"], effects._summarize(design, design.rotated, p[::4])["mean"]
    )
