"""Independent draws of hyperparameters: what their certificate says, and when they are refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import hiermodels as hm
from hiermodels.engines.importance import sampler as importance
from hiermodels.errors import ExactError
from hiermodels.families.gaussian import laplace


def model(groups: int = 30, size: int = 12, **priors) -> hm.VaryingSlopes:
    frame, _ = hm.datasets.simulate_varying_slopes(
        groups=groups, size=size, mu=(1, 2), tau=(1, 0.5), Omega=0.4, sigma=1.0, seed=3
    )
    return hm.VaryingSlopes(frame, y="y", group="group", varying=["x1"], priors=priors)


def draw(m, n=2000, seed=1, standard=None):
    standard = m.standardization if standard is None else standard
    return importance.draw(m.hyperparameters, standard, n, np.random.default_rng(seed))


def test_the_certificate_of_a_posterior_that_is_near_normal_is_good():
    found = draw(model())
    assert found.u.shape == (2000, 6)
    assert found.efficiency > 0.5
    assert found.pareto_k < 0.5
    assert 0.05 < found.acceptance < 1
    assert len(np.unique(found.u[:, 0])) == 2000  # no draw is there twice


def test_two_estimates_of_the_evidence_agree_within_their_errors():
    a, b = draw(model(), seed=1), draw(model(), seed=2)
    error = np.hypot(a.log_evidence_error, b.log_evidence_error)
    assert abs(a.log_evidence - b.log_evidence) < 4 * error
    assert error < 0.05


def test_draws_follow_the_density_they_are_said_to_follow():
    """Weights of the accepted draws under the posterior over their own normal fit average to the
    evidence: a wrong acceptance rule would tilt them."""
    m = model()
    found = draw(m, 4000)
    mean, covariance = found.u.mean(axis=0), np.cov(found.u.T)
    from scipy import stats

    log_fit = stats.multivariate_normal(mean, covariance).logpdf(found.u)
    # E_p[q/p~] = 1/Z for any density q (Gelfand and Dey 1994), here the normal fit.
    ratio = np.exp(log_fit - laplace.log_posterior(m.hyperparameters, found.u) + found.log_evidence)
    assert abs(ratio.mean() - 1) < 4 * ratio.std() / np.sqrt(len(ratio)) + 0.02


def test_the_same_seed_gives_the_same_draws():
    np.testing.assert_array_equal(draw(model(), seed=7).u, draw(model(), seed=7).u)


def test_a_proposal_that_is_off_is_moved_to_the_posterior():
    m = model()
    standard = m.standardization
    off = laplace.Standardization(
        standard.centre + standard.root @ np.full(6, 1.0), 1.5 * standard.root, standard.by_group,
        "moved", True, 0.1
    )  # fmt: skip
    straight, moved = draw(m, standard=standard), draw(m, standard=off)
    assert moved.efficiency > 0.5
    error = np.hypot(straight.log_evidence_error, moved.log_evidence_error)
    assert abs(straight.log_evidence - moved.log_evidence) < 4 * error


def test_a_proposal_that_is_far_is_refused_with_nuts_as_the_way_out():
    m = model()
    standard = m.standardization
    far = laplace.Standardization(
        standard.centre + standard.root @ np.full(6, 30.0), standard.root, standard.by_group,
        "far", True, 0.0
    )  # fmt: skip
    with pytest.raises(ExactError, match=r"efficiency 0\.\d+ .*Pareto k .*engine='nuts'"):
        draw(m, standard=far)


def test_no_mode_no_draws():
    m = model()
    none = laplace.Standardization(np.zeros(6), np.eye(6), np.empty(0), "none: no mode")
    with pytest.raises(ExactError, match="no independent draws: no mode; use engine='nuts'"):
        draw(m, standard=none)


@pytest.mark.parametrize(
    ("groups", "priors"),
    [
        (4, {"mu": hm.Flat(), "tau": hm.Flat(), "sigma": hm.LogFlat()}),
        (3, {"mu": hm.Normal(0, 5), "tau": hm.HalfCauchy(1), "sigma": hm.HalfCauchy(1)}),
        (8, {"mu": hm.Normal(0, 5), "tau": hm.HalfT(3, 1), "sigma": hm.HalfT(3, 1)}),
    ],
    ids=["4 flat", "3 half-Cauchy", "8"],
)
def test_tails_are_those_of_the_exact_posterior(groups, priors):
    """An intercept alone is OneWay, whose quantiles are known: also where few draws ever come."""
    rng = np.random.default_rng(groups)
    index = np.repeat(np.arange(groups), 4)
    y = rng.normal(0, 0.6, groups)[index] + rng.normal(size=4 * groups)
    frame = pd.DataFrame({"y": y, "group": index})
    exact = hm.exact.posterior(hm.OneWay(frame, y="y", group="group", priors=priors))
    m = hm.VaryingSlopes(frame, y="y", group="group", varying=[], priors=priors)
    drawn = np.vstack([draw(m, 2000, seed=seed).u for seed in range(15)])
    values = m.hyperparameters.values(drawn)
    named = {"mu": values.raw[:, 0], "tau": values.tau[:, 0], "sigma": values.sigma[:, 0]}
    shares = np.array([0.001, 0.01, 0.5, 0.99, 0.999])
    for name, x in named.items():
        quantiles = [exact.quantile(name, q) for q in shares]
        below = np.array([(x <= q).mean() for q in quantiles])
        z = (below - shares) / np.sqrt(shares * (1 - shares) / len(x))
        assert np.abs(z).max() < 4.5, (name, z)


def test_resampling_follows_the_weights():
    """Where one proposal of a hundred would be accepted they are resampled, largest weights too."""
    rng = np.random.default_rng(5)
    log_w = np.log(rng.pareto(2.5, 50_000) + 1e-3)
    w = np.exp(log_w) / np.exp(log_w).sum()
    order = np.argsort(w)
    heavy = order[-200:]
    chosen = np.concatenate([importance._resample(log_w, 4000, rng) for _ in range(10)])
    share, want = np.isin(chosen, heavy).mean(), w[heavy].sum()
    assert abs(share - want) < 4 * np.sqrt(want * (1 - want) / len(chosen))
    # In random order, so that chains are alike.
    assert abs(np.isin(chosen[::2], heavy).mean() - np.isin(chosen[1::2], heavy).mean()) < 0.02


def test_weights_that_cannot_be_relied_upon_are_refused():
    rng = np.random.default_rng(6)
    heavy = np.log(1 / rng.random(20_000) ** 0.95)
    with pytest.raises(ExactError, match="Pareto k"):
        importance._refuse_far(heavy)
    importance._refuse_far(np.log(1 / rng.random(20_000) ** 0.3))


@pytest.mark.parametrize("mu", [hm.Normal(0, 3), hm.Flat(), hm.StudentT(4, 0, 3)], ids=str)
def test_integrating_the_coefficients_out_is_what_it_says(mu):
    """p(y | tau, Omega, sigma) times p(mu | ..., y) is the joint density, at any mu."""
    from scipy import stats

    from hiermodels.engines.importance.targets import Target

    frame, _ = hm.datasets.simulate_varying_slopes(
        groups=9, size=7, mu=(1, 2), tau=(1, 0.5), beta=(0.5,), Omega=0.4, sigma=1.0, seed=4
    )
    m = hm.VaryingSlopes(
        frame, y="y", group="group", varying=["x1"], common=["w1"],
        priors={"mu": mu, "beta": hm.Normal(1, 2)},
    )  # fmt: skip
    target = Target(m.hyperparameters, m.standardization)
    assert target.integrates == (not isinstance(mu, hm.StudentT))
    x = target.centre + 0.3 * np.random.default_rng(1).normal(size=(6, len(target.centre)))
    if not target.integrates:
        np.testing.assert_allclose(
            target.log_density(x), laplace.log_posterior(m.hyperparameters, x)
        )
        return
    _, mean, precision = target._evidence(x)
    u = target._whole(x)
    for centred in (mean, mean + 0.5):
        u[:, m.hyperparameters.part("mu")] = centred[:, :2]
        u[:, m.hyperparameters.part("beta")] = centred[:, 2:]
        given = [
            stats.multivariate_normal(a, np.linalg.inv(Q)).logpdf(c)
            for a, Q, c in zip(mean, precision, centred, strict=True)
        ]
        joint = laplace.log_posterior(m.hyperparameters, u)
        np.testing.assert_allclose(target.log_density(x) + given, joint, rtol=1e-10)
