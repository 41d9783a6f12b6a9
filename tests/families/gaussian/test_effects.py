"""Log likelihoods against SciPy's densities; replicated data against their moments."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hiermodels.families import Gaussian, KnownErrors
from hiermodels.families.draws import Draws
from hiermodels.families.gaussian import effects, marginal
from hiermodels.families.gaussian.moments import Moments, of_arrays
from hiermodels.families.pointwise import log_likelihood, pointwise

D = 6


def make(
    residual: str, K: int = 2, P: int = 1, J: int = 5, N: int = 31
) -> tuple[Moments, Draws, np.random.Generator]:
    rng = np.random.default_rng(K + 10 * P)
    if residual == "known":
        index = np.arange(J)
        N = J
    else:
        # A group of one row among the others.
        index = np.concatenate([np.arange(J), rng.integers(0, J - 1, N - J)])
    design = of_arrays(
        response="y",
        group="g",
        y=5 + 2 * rng.normal(size=N),
        index=index,
        labels=np.arange(J),
        z=np.column_stack([np.ones(N), *rng.normal(size=(K - 1, N))]),
        coefficients=tuple("abc"[:K]),
        x=rng.normal(size=(N, P)),
        predictors=tuple("pq"[:P]),
        residual=residual,  # type: ignore[arg-type]
        se=rng.gamma(3, size=N) if residual == "known" else None,
    )
    A = rng.normal(size=(D, K, 2 * K))
    S = A @ np.swapaxes(A, 1, 2)
    sd = np.sqrt(np.diagonal(S, axis1=1, axis2=2))
    sds = {"known": None, "common": 1, "group": J}[residual]
    draws = Draws(
        mu=rng.normal(size=(D, K)),
        tau=rng.gamma(2, size=(D, K)),
        L_Omega=np.linalg.cholesky(S / sd[:, :, None] / sd[:, None, :]),
        theta=rng.normal(size=(D, J, K)),
        beta=rng.normal(size=(D, P)),
        aux={} if sds is None else {"sigma": rng.gamma(2, size=(D, sds))},
    )
    return design, draws, rng


def family(design: Moments) -> Gaussian | KnownErrors:
    return KnownErrors("se") if design.residual == "known" else Gaussian(design.residual)


def row_sd(design: Moments, draws: Draws, d: int) -> np.ndarray:
    if draws.sigma is None:
        assert design.rows("a test").se is not None
        return design.rows("a test").se
    return np.broadcast_to(
        draws.sigma[d][design.rows("a test").index if draws.sigma.shape[1] > 1 else 0], design.N
    )


@pytest.mark.parametrize("residual", ["known", "common", "group"])
@pytest.mark.parametrize(("K", "P"), [(1, 0), (2, 1), (3, 2)])
def test_log_likelihood_is_the_normal_log_density_of_each_row(
    residual: str, K: int, P: int
) -> None:
    design, draws, _ = make(residual, K, P)
    got = log_likelihood(family(design), design, draws)
    assert draws.theta is not None
    for d in range(D):
        mean = design.rows("a test").x @ draws.beta[d] + np.sum(
            design.rows("a test").z * draws.theta[d][design.rows("a test").index], axis=1
        )
        exact = stats.norm(mean, row_sd(design, draws, d)).logpdf(design.rows("a test").y)
        np.testing.assert_allclose(got[d], exact, atol=1e-9)


@pytest.mark.parametrize("residual", ["known", "common", "group"])
@pytest.mark.parametrize(("K", "P"), [(1, 0), (2, 1), (3, 2)])
def test_log_likelihood_of_a_group_is_the_multivariate_normal_log_density(
    residual: str, K: int, P: int
) -> None:
    design, draws, _ = make(residual, K, P)
    got = effects.log_likelihood_group(design, draws)
    assert got is not None
    assert draws.mu is not None
    assert draws.tau is not None
    assert draws.L_Omega is not None
    for d in range(D):
        Lambda = np.diag(draws.tau[d]) @ draws.L_Omega[d]
        for j in range(design.J):
            rows = design.rows("a test").index == j
            z = design.rows("a test").z[rows]
            cov = z @ Lambda @ Lambda.T @ z.T + np.diag(row_sd(design, draws, d)[rows] ** 2)
            mean = design.rows("a test").x[rows] @ draws.beta[d] + z @ draws.mu[d]
            exact = stats.multivariate_normal(mean, cov).logpdf(design.rows("a test").y[rows])
            assert got[d, j] == pytest.approx(exact, abs=1e-9)


def test_complete_pooling_has_one_line_for_all_and_sums_over_rows_by_group() -> None:
    design, draws, _ = make("common")
    pooled = Draws(draws.mu, None, None, None, draws.beta, draws.aux)
    rows = log_likelihood(family(design), design, pooled)
    groups = effects.log_likelihood_group(design, pooled)
    assert groups is not None
    for j in range(design.J):
        np.testing.assert_allclose(
            groups[:, j], rows[:, design.rows("a test").index == j].sum(axis=1)
        )


def test_no_pooling_has_no_density_of_a_group() -> None:
    design, draws, rng = make("common")
    own = Draws(None, None, None, draws.theta, rng.normal(size=(D, 5, 1)), draws.aux)
    assert effects.log_likelihood_group(design, own) is None
    mean = own.beta[2][design.rows("a test").index, 0] * design.rows("a test").x[:, 0]
    mean += np.sum(design.rows("a test").z * own.theta[2][design.rows("a test").index], axis=1)  # type: ignore[index]
    exact = stats.norm(mean, row_sd(design, own, 2)).logpdf(design.rows("a test").y)
    np.testing.assert_allclose(log_likelihood(family(design), design, own)[2], exact, atol=1e-9)


def test_blocks_of_draws_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    design, draws, _ = make("group", 3, 2)
    whole = (
        log_likelihood(family(design), design, draws),
        effects.log_likelihood_group(design, draws),
    )
    monkeypatch.setattr(marginal, "BLOCK", 1)
    # Equal to rounding: matrix products may sum in another order.
    np.testing.assert_allclose(log_likelihood(family(design), design, draws), whole[0], rtol=1e-12)
    np.testing.assert_allclose(effects.log_likelihood_group(design, draws), whole[1], rtol=1e-12)


def test_replicated_data_have_the_mean_and_sd_of_their_row() -> None:
    design, draws, _ = make("group")
    n = 20_000
    one = draws[:1]
    many = one.map(lambda x: np.repeat(x, n, axis=0))
    _, y = pointwise(family(design), design, many, np.random.SeedSequence(5))
    assert one.theta is not None
    mean = design.rows("a test").x @ one.beta[0] + np.sum(
        design.rows("a test").z * one.theta[0][design.rows("a test").index], axis=1
    )
    sd = row_sd(design, one, 0)
    z = (y.mean(axis=0) - mean) / (sd / np.sqrt(n))
    assert np.abs(z).max() < 4.5
    z = (y.std(axis=0) - sd) / (sd / np.sqrt(2 * n))
    assert np.abs(z).max() < 4.5
