"""Gibbs samplers: each full conditional against the joint density, the draws against the truth."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats

import hiermodels as hm
from hiermodels.diagnostics import convergence
from hiermodels.engines.gibbs import distributions
from hiermodels.engines.gibbs import sampler as gibbs
from hiermodels.errors import (
    DataError,
    ImproperPosteriorError,
    OptionError,
    PriorError,
    SamplingError,
)
from tests import reference
from tests.models import one_way_exact

# The three samplers on scores whose mean is near 50 (Hoff 2009, section 8.4, for the first two).
SAMPLERS = {
    "variances": gibbs.semiconjugate(50, 25, 1, 100, 1, 100),
    "precisions": gibbs.semiconjugate(50, 25, 1, 100, 1, 100, precisions=True),
    "reference": gibbs.reference(),
}
EXACT = {"variances": "semiconjugate", "precisions": "semiconjugate", "reference": "reference"}

SCALE_PRIORS = [
    hm.InverseGamma(1.5, 0.7),
    hm.GammaPrecision(1.5, 0.7),
    hm.GammaPrecision(0.01, 0),
    hm.LogFlat(),
    hm.Flat(),
]


def small() -> pd.DataFrame:
    """Unequal groups, one of them of one row."""
    return hm.datasets.simulate_one_way(
        groups=6, size=[1, 3, 8, 2, 5, 9], mu=3, tau=1.5, sigma=1, seed=8
    ).frame


def one_way(frame: Any = None, y: str = "y", group: str = "group", **options: Any) -> hm.OneWay:
    frame = small() if frame is None else frame
    return hm.OneWay(frame, y=y, group=group, **{"priors": gibbs.reference(), **options})


# ---- full conditionals: their density is the joint density, as a function of one parameter ------


def log_prior_of_variance(prior: Any, v: Any) -> Any:
    """Log density of a variance under a prior of its root, up to a constant."""
    if isinstance(prior, hm.InverseGamma):
        return stats.invgamma(prior.shape, scale=prior.scale).logpdf(v)
    if isinstance(prior, hm.Flat):
        return -0.5 * np.log(v)  # p(sd) = 1, and d sd / d v = v^(-1/2) / 2
    if isinstance(prior, hm.LogFlat):
        return -np.log(v)
    # d (1/v) / d v = v^-2
    density = (prior.shape - 1) * np.log(1 / v) - prior.rate / v
    return density - 2 * np.log(v)


def log_joint(
    frame: pd.DataFrame, priors: dict[str, Any], mu: Any, tau2: Any, sigma2: Any, theta: Any
) -> float:
    """log p(y, theta, mu, tau^2, sigma^2) up to a constant, row by row."""
    rows = frame["group"].to_numpy() - 1
    out = stats.norm.logpdf(frame["y"], theta[rows], np.sqrt(sigma2)).sum()
    out += stats.norm.logpdf(theta, mu, np.sqrt(tau2)).sum()
    if isinstance(priors["mu"], hm.Normal):
        out += stats.norm.logpdf(mu, priors["mu"].mean, priors["mu"].sd)
    out += log_prior_of_variance(priors["tau"], tau2)
    return float(out + log_prior_of_variance(priors["sigma"], sigma2))


def check_against_joint(
    name: str, law: Callable[[Any, dict[str, Any], gibbs.Data], Any], priors: dict[str, Any]
) -> None:
    """log p(x | rest) - log p(x' | rest) is the joint's difference, in each of three chains."""
    frame, rng = small(), np.random.default_rng(3)
    data = gibbs.Data.of(one_way(frame))
    points = [
        {
            "mu": rng.normal(3, 2, 3),
            "tau2": rng.gamma(2, 1, 3),
            "sigma2": rng.gamma(2, 1, 3),
            "theta": rng.normal(3, 2, (3, 6)),
        }
        for _ in range(2)
    ]
    state = gibbs.State(**points[0])
    of = law(state, priors, data)
    coordinate, precision = name.removesuffix(" precision"), name.endswith("precision")
    got, wanted = [], []
    for point in points:
        x = point[coordinate]
        # In precisions h = 1/v the joint density is that of v times v^2.
        got.append(of.logpdf(1 / x if precision else x))
        there = {**points[0], coordinate: x}
        joint = np.array(
            [log_joint(frame, priors, *(there[n][c] for n in ORDER)) for c in range(3)]
        )
        wanted.append(joint + (2 * np.log(x) if precision else 0))
    difference = got[0] - got[1]
    if name == "theta":
        difference = difference.sum(axis=-1)
    np.testing.assert_allclose(difference, wanted[0] - wanted[1], rtol=1e-10, atol=1e-10)


ORDER = ("mu", "tau2", "sigma2", "theta")


def test_theta_given_is_the_joint_density() -> None:
    check_against_joint(
        "theta", lambda s, _, d: gibbs.theta_given(s.mu, s.tau2, s.sigma2, d), gibbs.reference()
    )


@pytest.mark.parametrize("prior", [hm.Normal(1, 0.4), hm.Flat()], ids=str)
def test_mu_given_is_the_joint_density(prior: Any) -> None:
    check_against_joint(
        "mu",
        lambda s, p, _: gibbs.mu_given(s.theta, s.tau2, p["mu"]),
        {**gibbs.reference(), "mu": prior},
    )


@pytest.mark.parametrize("prior", SCALE_PRIORS, ids=str)
def test_tau_given_is_the_joint_density(prior: Any) -> None:
    priors = {**gibbs.reference(), "tau": prior}
    check_against_joint("tau2", lambda s, p, _: gibbs.tau2_given(s.theta, s.mu, p["tau"]), priors)
    check_against_joint(
        "tau2 precision",
        lambda s, p, _: gibbs.tau_precision_given(s.theta, s.mu, p["tau"]),
        priors,
    )


@pytest.mark.parametrize("prior", SCALE_PRIORS, ids=str)
def test_sigma_given_is_the_joint_density(prior: Any) -> None:
    priors = {**gibbs.reference(), "sigma": prior}
    check_against_joint(
        "sigma2", lambda s, p, d: gibbs.sigma2_given(s.theta, d, p["sigma"]), priors
    )
    check_against_joint(
        "sigma2 precision",
        lambda s, p, d: gibbs.sigma_precision_given(s.theta, d, p["sigma"]),
        priors,
    )


def test_the_lectures_gamma_of_a_flat_tau_has_j_minus_one_halves() -> None:
    theta = np.array([1.0, 2.0, 4.0, 9.0])
    law = gibbs.tau_precision_given(theta, 3.0, hm.Flat())
    assert (law.shape, float(law.rate)) == (3 / 2, (4 + 1 + 1 + 36) / 2)


TWO = np.array([0.5, 3.0])
LAWS = [
    (distributions.Normal(np.array([1.0, -2.0]), TWO), stats.norm([1, -2], [0.5, 3])),
    (distributions.InverseGamma(2.5, TWO), stats.invgamma(2.5, scale=[0.5, 3])),
    (distributions.Gamma(2.5, TWO), stats.gamma(2.5, scale=[2, 1 / 3])),
]


@pytest.mark.parametrize(("ours", "scipys"), LAWS, ids=["normal", "inverse-gamma", "gamma"])
def test_densities_and_draws_are_those_of_scipy(ours: Any, scipys: Any) -> None:
    x = np.array([[0.3, 1.7], [2.9, 0.01]])
    np.testing.assert_allclose(ours.logpdf(x), scipys.logpdf(x), rtol=1e-12)
    rng = np.random.default_rng(1)
    drawn = np.array([ours.draw(rng) for _ in range(20_000)])
    assert drawn.shape == (20_000, 2)
    for uniform in scipys.cdf(drawn).T:
        assert stats.kstest(uniform, "uniform").pvalue > 1e-4


def test_conditionals_take_numbers_and_any_leading_dims() -> None:
    data = gibbs.Data.of(one_way())
    one = gibbs.theta_given(3.0, 2.0, 1.0, data)
    assert one.mean.shape == (6,)
    mu = np.full((2, 5), 3.0)
    many = gibbs.theta_given(mu, np.full((2, 5), 2.0), np.full((2, 5), 1.0), data)
    np.testing.assert_array_equal(many.mean, np.broadcast_to(one.mean, (2, 5, 6)))
    theta = many.draw(np.random.default_rng(1))
    assert gibbs.mu_given(theta, 2.0, hm.Normal()).draw(np.random.default_rng(1)).shape == (2, 5)
    assert gibbs.tau2_given(theta, mu, hm.Flat()).draw(np.random.default_rng(1)).shape == (2, 5)
    assert gibbs.sigma2_given(theta, data, hm.Flat()).scale.shape == (2, 5)
    assert np.ndim(gibbs.sigma_precision_given(theta[0, 0], data, hm.Flat()).rate) == 0


@pytest.mark.parametrize("tau2", [1e-300, 1e-30, 1e30, 1e300])
def test_extreme_variances_lose_no_digits(tau2: float) -> None:
    data = gibbs.Data.of(one_way())
    law = gibbs.theta_given(3.0, tau2, 1.0, data)
    near, sd = (3.0, np.sqrt(tau2)) if tau2 < 1 else (data.ybar, 1 / np.sqrt(data.n))
    np.testing.assert_allclose(law.mean, np.broadcast_to(near, 6), rtol=1e-15)
    np.testing.assert_allclose(law.sd, np.broadcast_to(sd, 6), rtol=1e-15)
    # A prior of mu as wide, and as narrow, as can be written.
    flat, fixed = (gibbs.mu_given(data.ybar, 1.0, hm.Normal(7, sd)) for sd in (1e150, 1e-150))
    assert (float(flat.mean), float(flat.sd)) == pytest.approx((data.ybar.mean(), 6**-0.5))
    assert (float(fixed.mean), float(fixed.sd)) == pytest.approx((7, 1e-150))


def test_what_is_printed_is_one_short_line() -> None:
    model = hm.OneWay(
        hm.datasets.mathscore(), y="mathscore", group="school", priors=gibbs.reference()
    )
    data, rng = gibbs.Data.of(model), np.random.default_rng(1)
    state = gibbs.starts(data, 5, rng)
    sampled = gibbs.sample(model, draws=3, warmup=2)
    assert repr(data) == "Data of 1993 rows in 100 groups: ssw 1.6002e+05"
    assert repr(state).startswith(f"State of 5 chains, 100 groups: mu {state.mu[0]:.4g}, ")
    assert repr(sampled) == "Sampled 4 x 3 draws, 2 of warmup: mu, tau, sigma, theta of 100 groups"
    one = gibbs.State(*(np.asarray(x) for x in (48.123456, 25.0, 81.0)), theta=np.zeros(6))
    assert repr(one) == "State of 1 chain, 6 groups: mu 48.12; tau 5; sigma 9"
    for law in (
        gibbs.mu_given(state.theta, state.tau2, hm.Flat()),
        gibbs.theta_given(state.mu, state.tau2, state.sigma2, data),
        gibbs.sigma2_given(state.theta, data, hm.Flat()),
    ):
        assert "array of shape (5," in repr(law)
    for thing in (data, state, sampled, gibbs.theta_given(0, 1, 1, data)):
        assert "\n" not in repr(thing)
        assert len(repr(thing)) < 150
    mean = gibbs.mu_given([1.0, 2.0, 4.0], 3.0, hm.Flat())
    assert repr(mean) == "Normal(mean=2.3333, sd=1)"
    precision = gibbs.tau_precision_given([1.0, 2.0, 4.0, 9.0], 3.0, hm.Flat())
    assert repr(precision) == "Gamma(shape=1.5, rate=21)"
    assert repr(gibbs.tau2_given([1.0, 5.0], 3.0, hm.LogFlat())) == "InverseGamma(shape=1, scale=4)"


# ---- the sweep leaves the joint distribution as it is -------------------------------------------

PROPER = [
    gibbs.semiconjugate(1, 4, 8, 1.5, 6, 0.8),
    gibbs.semiconjugate(1, 4, 8, 1.5, 6, 0.8, precisions=True),
    {"mu": hm.Normal(-2, 0.3), "tau": hm.GammaPrecision(3, 1), "sigma": hm.InverseGamma(4, 9)},
]


@pytest.mark.parametrize("sizes", [[1, 4, 9, 2], [1, 1], [3, 50]], ids=str)
@pytest.mark.parametrize("priors", PROPER, ids=["variances", "precisions", "mixed"])
def test_a_sweep_from_the_joint_distribution_ends_in_it(
    priors: dict[str, Any], sizes: list[int]
) -> None:
    """The joint distribution test of Geweke (2004), with independent replicates for the chain.

    Parameters from the prior and data given them are a draw of the joint distribution, so sweeps
    that start there, with those data, end in it: the parameters have the prior's distribution
    again, and have to the data the relation that they had.
    """
    rng, n, R = np.random.default_rng(17), np.array(sizes), 40_000
    J, N = len(n), int(n.sum())
    laws = {
        "mu": stats.norm(priors["mu"].mean, priors["mu"].sd),
        "tau2": stats.invgamma(priors["tau"].numbers[0], scale=priors["tau"].numbers[1]),
        "sigma2": stats.invgamma(priors["sigma"].numbers[0], scale=priors["sigma"].numbers[1]),
    }
    mu, tau2, sigma2 = (law.rvs(R, random_state=rng) for law in laws.values())
    theta = mu[:, None] + np.sqrt(tau2)[:, None] * rng.normal(size=(R, J))
    ybar = theta + np.sqrt(sigma2[:, None] / n) * rng.normal(size=(R, J))
    ssw = sigma2 * rng.chisquare(N - J, R) if N > J else np.zeros(R)
    data = gibbs.Data(n, ybar, ssw)
    first = state = gibbs.State(mu, tau2, sigma2, theta)
    for _ in range(3):
        state = gibbs.step(state, data, priors, rng)
    for name, law in laws.items():
        assert stats.kstest(law.cdf(getattr(state, name)), "uniform").pvalue > 1e-4, name
    uniform = stats.norm.cdf((state.theta - state.mu[:, None]) / state.tau[:, None])
    assert all(stats.kstest(u, "uniform").pvalue > 1e-4 for u in uniform.T)

    def relations(s: gibbs.State) -> dict[str, Any]:
        between = np.log(ybar.var(axis=1))
        return {
            "mu and ybar": s.mu * ybar.mean(axis=1),
            "tau and ybar": np.log(s.tau2) * between,
            "sigma and ybar": np.log(s.sigma2) * between,
            "sigma and ssw": np.log(s.sigma2) * np.log(ssw + 1),
            "tau and ssw": np.log(s.tau2) * np.log(ssw + 1),
            "theta and ybar": np.tanh(s.theta[:, 0] - ybar[:, 0]) ** 2,
            "theta and mu": np.tanh(s.theta[:, -1] - s.mu) ** 2,
        }

    for name, before in relations(first).items():
        change = relations(state)[name] - before
        z = change.mean() / max(change.std() / np.sqrt(R), 1e-300)
        assert abs(z) < 4, f"{name}: z = {z:.2f}"


# ---- whole runs against exact posteriors ---------------------------------------------------------


def draws_of(sampled: gibbs.Sampled) -> dict[str, Any]:
    d = sampled.draws
    return {**d, "icc": d["tau"] ** 2 / (d["tau"] ** 2 + d["sigma"] ** 2)}


def assert_means(theta: np.ndarray, exact: list[float]) -> None:
    """Posterior means of all groups within four standard errors."""
    measured = convergence.table(theta, ["mean", "mcse_mean"])
    z = (measured["mean"] - np.array(exact)) / measured["mcse_mean"]
    assert np.abs(z).max() < reference.LIMIT, f"theta: largest |z| = {np.abs(z).max():.2f}"


@cache
def mathscore_run(sampler: str, seed: int = 301) -> gibbs.Sampled:
    frame = hm.datasets.mathscore()
    model = one_way(frame, "mathscore", "school", priors=SAMPLERS[sampler])
    return gibbs.sample(model, draws=2000, warmup=500, seed=seed)


def quadrature(frame: pd.DataFrame, priors: dict[str, Any]) -> tuple[dict[str, Any], list[float]]:
    """What is exact of tau, sigma, icc and mu, and the means of all theta; from one plane."""
    tau, sigma, p, mean, sd = one_way_exact._plane(frame, priors)
    icc = tau**2 / (tau**2 + sigma**2)

    def moments(first: Any, second: Any) -> dict[str, float]:
        m = float((p * first).sum())
        return {"mean": m, "sd": float(np.sqrt((p * second).sum() - m**2))}

    exact = {
        "mu": moments(mean, mean**2 + sd**2),
        "tau": one_way_exact._marginal(tau[:, 0], p.sum(1)),
        "sigma": one_way_exact._marginal(sigma[0], p.sum(0)),
        "icc": moments(icc, icc**2),
    }
    means = []
    for _, values in frame.groupby("group")["y"]:
        own = tau**2 / (tau**2 + sigma**2 / len(values))
        means.append(float((p * (own * values.mean() + (1 - own) * mean)).sum()))
    return exact, means


@cache
def mathscore_quadrature(prior: str) -> tuple[dict[str, Any], list[float]]:
    frame = hm.datasets.mathscore().rename(columns={"school": "group", "mathscore": "y"})
    priors = SAMPLERS["precisions" if prior == "semiconjugate" else prior]
    exact, means = quadrature(frame, priors)
    return {**exact, "mu": one_way_exact.posterior(frame, priors)["mu"]}, means


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_published_mathscore_posterior_is_exact(sampler: str) -> None:
    exact = reference.load("one_way_mathscore_exact.json")[EXACT[sampler]]
    frame = reference.frame("mathscore.csv")
    model = one_way(frame, "mathscore", "school", priors=SAMPLERS[sampler])
    sampled = gibbs.sample(model, draws=2000, warmup=500, seed=401)
    wanted = {name: exact[name] for name in ("mu", "tau", "sigma", "icc")}
    reference.assert_exact(draws_of(sampled), wanted)
    labels = [f"theta[{j}]" for j in model.design.labels]
    assert_means(sampled.draws["theta"], [exact["theta"][label]["mean"] for label in labels])


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_hundred_schools_are_exact_anywhere(sampler: str) -> None:
    exact, means = mathscore_quadrature(EXACT[sampler])
    sampled = mathscore_run(sampler)
    reference.assert_exact(draws_of(sampled), exact)
    assert_means(sampled.draws["theta"], means)


def test_chains_from_dispersed_starts_come_together() -> None:
    sampled = mathscore_run("reference")
    assert np.ptp(sampled.starts.mu) > 5 * sampled.draws["mu"].std()
    assert np.ptp(sampled.starts.tau) > 5 * sampled.draws["tau"].std()
    assert np.ptp(sampled.starts.sigma) > 5 * sampled.draws["sigma"].std()
    for values in sampled.draws.values():
        x = values.reshape(*values.shape[:2], -1)
        assert convergence.table(x, ["r_hat"])["r_hat"].max() < 1.01


FEW = {
    "two groups, one of one row": (
        [1, 5],
        {"mu": hm.Flat(), "tau": hm.InverseGamma(2, 3), "sigma": hm.GammaPrecision(2, 2)},
    ),
    "four groups, flat": ([2, 4, 12, 1], gibbs.reference()),
    "unequal groups, mixed": (
        [1, 3, 8, 2, 5, 9],
        {"mu": hm.Normal(2, 0.5), "tau": hm.GammaPrecision(1, 0.5), "sigma": hm.Flat()},
    ),
    "unequal groups, the other way round": (
        [1, 3, 1, 2, 1, 9],
        {"mu": hm.Normal(4, 2), "tau": hm.Flat(), "sigma": hm.InverseGamma(1, 2)},
    ),
}


@pytest.mark.parametrize("case", FEW)
def test_few_and_unequal_groups_are_exact_under_any_mix_of_priors(case: str) -> None:
    sizes, priors = FEW[case]
    frame = hm.datasets.simulate_one_way(
        groups=len(sizes), size=sizes, mu=3, tau=1.5, sigma=1, seed=12
    ).frame
    exact, means = quadrature(frame, priors)
    sampled = gibbs.sample(one_way(frame, priors=priors), draws=4000, warmup=500, seed=306)
    if case == "four groups, flat":  # the tail of tau is that of tau^-3: no variance
        del exact["mu"], exact["tau"]["mean"], exact["tau"]["sd"]
    reference.assert_exact(draws_of(sampled), exact)
    assert_means(sampled.draws["theta"], means)


def test_variances_and_precisions_give_the_same_distribution() -> None:
    a, b = mathscore_run("variances").draws, mathscore_run("precisions", seed=304).draws
    names: dict[str, Any] = {n: (lambda d, n=n: d[n]) for n in ("mu", "tau", "sigma")}
    names |= {f"theta[{j}]": (lambda d, j=j: d["theta"][..., j]) for j in (0, 7, 50, 99)}
    reference.assert_same_posterior(a, b, names)
    # And from one seed the same draws, but for rounding.
    b = mathscore_run("precisions").draws
    for name, values in a.items():
        np.testing.assert_allclose(values, b[name], rtol=1e-9, err_msg=name)


# ---- the run -------------------------------------------------------------------------------------


def test_a_run_is_sweep_after_sweep_from_the_starts() -> None:
    priors = {**SAMPLERS["variances"], "mu": hm.Normal(2, 1)}
    model = one_way(priors=priors)
    sampled = gibbs.sample(model, chains=3, draws=5, warmup=4, seed=9)
    data, rng = gibbs.Data.of(model), np.random.default_rng(np.random.SeedSequence([9, 5]))
    state = gibbs.starts(data, 3, rng)
    np.testing.assert_allclose(state.mu, sampled.starts.mu, rtol=1e-12)
    np.testing.assert_allclose(state.theta, sampled.starts.theta, rtol=1e-12)
    for part, sweeps in ((sampled.warmup, 4), (sampled.draws, 5)):
        for t in range(sweeps):
            state = gibbs.step(state, data, model.priors, rng)
            for name, values in part.items():
                np.testing.assert_allclose(values[:, t], getattr(state, name), rtol=1e-9)


def test_arrays_have_the_shapes_of_the_container() -> None:
    sampled = gibbs.sample(one_way(), chains=3, draws=7, warmup=2, seed=1)
    for part, sweeps in ((sampled.draws, 7), (sampled.warmup, 2)):
        assert {name: values.shape for name, values in part.items()} == {
            "mu": (3, sweeps),
            "tau": (3, sweeps),
            "sigma": (3, sweeps),
            "theta": (3, sweeps, 6),
        }
    assert sampled.starts.theta.shape == (3, 6)
    less = gibbs.sample(
        one_way(), chains=3, draws=7, warmup=2, seed=1, keep_theta=False, keep_warmup=False
    )
    assert less.draws.keys() == {"mu", "tau", "sigma"}
    assert less.warmup["mu"].shape == (3, 0)
    np.testing.assert_array_equal(less.draws["tau"], sampled.draws["tau"])
    assert gibbs.sample(one_way(), chains=1, draws=1, warmup=0).draws["mu"].shape == (1, 1)


def test_seeds_repeat_a_run_and_other_seeds_do_not() -> None:
    a, b, c = (gibbs.sample(one_way(), draws=20, warmup=5, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(a.draws["theta"], b.draws["theta"])
    assert not np.any(a.draws["tau"] == c.draws["tau"])
    # Chains are not copies of one another.
    assert len(np.unique(a.draws["tau"])) == a.draws["tau"].size


def test_values_are_frozen_and_a_sweep_leaves_the_old_state_alone() -> None:
    model = one_way()
    data, rng = gibbs.Data.of(model), np.random.default_rng(2)
    state = gibbs.starts(data, 2, rng)
    kept = {name: np.copy(getattr(state, name)) for name in ORDER}
    after = gibbs.step(state, data, model.priors, rng)
    for name, values in kept.items():
        np.testing.assert_array_equal(getattr(state, name), values)
        assert not np.any(getattr(after, name) == values)
    for value, name in ((state, "mu"), (data, "n"), (gibbs.theta_given(0, 1, 1, data), "mean")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, 0)


def test_statistics_and_lazy_frames_take_the_place_of_the_rows() -> None:
    frame = small()
    rows, *others = (
        gibbs.sample(one_way(source), draws=50, warmup=10, seed=4).draws
        for source in (
            frame,
            hm.sufficient_statistics(frame, y="y", group="group"),
            pl.from_pandas(frame).lazy(),
        )
    )
    for other in others:
        for name, values in rows.items():
            np.testing.assert_allclose(other[name], values, rtol=1e-8, err_msg=name)


def test_a_mean_of_1e8_loses_no_digits() -> None:
    # 2^-20 and 2^27: the sums are exact, so that only what the sampler does with them can differ.
    near = small().assign(y=lambda f: np.round(f["y"] * 2**20) / 2**20)
    far = near.assign(y=near["y"] + 2.0**27)
    a, b = (
        gibbs.sample(
            one_way(frame, priors={**SAMPLERS["variances"], "mu": hm.Normal(about + 3, 2)}),
            draws=200,
            warmup=50,
            seed=6,
        ).draws
        for frame, about in ((near, 0.0), (far, 2.0**27))
    )
    for name in ("tau", "sigma"):
        np.testing.assert_allclose(b[name], a[name], rtol=1e-11, err_msg=name)
    for name in ("mu", "theta"):  # as near as numbers of that size can be
        np.testing.assert_allclose(b[name] - 2.0**27, a[name], atol=2.0**-24, err_msg=name)


def test_the_data_of_a_model_are_its_rows_summed_up() -> None:
    frame = small()
    groups = frame.groupby("group")["y"]
    data = gibbs.Data.of(one_way(frame))
    np.testing.assert_array_equal(data.n, groups.size())
    np.testing.assert_allclose(data.ybar, groups.mean(), rtol=1e-12)
    ssw = ((frame["y"] - groups.transform("mean")) ** 2).sum()
    assert float(data.ssw) == pytest.approx(ssw, rel=1e-12)
    assert (data.N, data.J) == (28, 6)
    moved = gibbs.Data.of(one_way(frame), about=3.0)
    np.testing.assert_allclose(moved.ybar, groups.mean() - 3, rtol=1e-12)


def test_starts_are_spread_evenly_over_the_chains() -> None:
    data = gibbs.Data.of(one_way())
    s = small()["y"].std(ddof=0)
    state = gibbs.starts(data, 8, np.random.default_rng(1))
    places = {
        "mu": stats.norm.cdf((state.mu - small()["y"].mean()) / s),
        "tau": np.log(state.tau / (s / 20)) / np.log(40),
        "sigma": np.log(state.sigma / (s / 3)) / np.log(9),
    }
    for name, place in places.items():
        assert sorted(np.floor(8 * place)) == list(range(8)), name


def test_a_bar_shows_the_sweeps(capfd: pytest.CaptureFixture[str]) -> None:
    gibbs.sample(one_way(), chains=2, draws=30, warmup=10, progress=True)
    assert "2 Gibbs chains" in capfd.readouterr().err
    gibbs.sample(one_way(), chains=2, draws=30, warmup=10, progress=False)
    assert capfd.readouterr().err == ""


# ---- refusals ------------------------------------------------------------------------------------


def varying() -> Any:
    frame = small().assign(x=np.arange(28.0) % 5)
    return hm.VaryingSlopes(frame, y="y", group="group", varying=["x"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (varying, "engine='gibbs' is for OneWay, got VaryingSlopes; use engine='exact' or 'nuts'"),
        (lambda: hm.EightSchools(hm.datasets.eight_schools(), effect="effect", se="se",
                                 group="school"),
         "engine='gibbs' is for OneWay, got EightSchools"),
        (lambda: hm.OneWay(small(), y="y", group="group", pooling="none"),
         r"pooling: engine='gibbs' takes pooling='partial', got 'none'; use engine='nuts', or "
         r"model.replace\(pooling='partial'\)"),
        (lambda: hm.OneWay(small(), y="y", group="group", pooling="complete"), "got 'complete'"),
        (lambda: hm.OneWay(small().query("group > 1"), y="y", group="group", sigma="group"),
         "sigma: engine='gibbs' takes sigma='common', got 'group'"),
    ],
)  # fmt: skip
def test_other_models_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        gibbs.sample(make())


@pytest.mark.parametrize(
    ("priors", "message"),
    [
        ({"mu": hm.StudentT(3)}, r"mu: engine='gibbs' takes Normal, Flat, got StudentT\(3, 0, 1\)"),
        ({"tau": hm.HalfCauchy(5)},
         r"tau: engine='gibbs' takes InverseGamma, GammaPrecision, Flat, got HalfCauchy\(5\); use "
         r"engine='exact' or 'nuts', or priors=hm.gibbs.reference\(\)"),
        ({"sigma": hm.HalfNormal(2)},
         r"sigma: engine='gibbs' takes InverseGamma, GammaPrecision, LogFlat, Flat, got"),
    ],
)  # fmt: skip
def test_priors_without_a_full_conditional_are_refused(
    priors: dict[str, Any], message: str
) -> None:
    model = one_way(priors={**gibbs.reference(), **priors})
    with pytest.raises(PriorError, match=message):
        gibbs.sample(model)
    data, rng = gibbs.Data.of(model), np.random.default_rng(1)
    with pytest.raises(PriorError, match=message):
        gibbs.step(gibbs.starts(data, 2, rng), data, model.priors, rng)


def test_default_priors_are_refused_with_those_that_work() -> None:
    with pytest.raises(PriorError, match=r"tau: .* got HalfT.*hm.gibbs.semiconjugate\(\.\.\.\)"):
        gibbs.sample(hm.OneWay(small(), y="y", group="group"))


def test_a_prior_without_a_posterior_never_gets_here() -> None:
    with pytest.raises(ImproperPosteriorError, match="each full conditional is proper"):
        one_way(priors={**gibbs.reference(), "tau": hm.GammaPrecision(0, 0)})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chains": 0}, "chains must be at least 1"),
        ({"draws": 1.5}, "draws must be a whole number"),
        ({"warmup": -1}, "warmup must be at least 0"),
        ({"seed": -1}, "seed must be from 0"),
    ],
)
def test_numbers_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        gibbs.sample(one_way(), **options)


def test_semiconjugate_is_the_lectures_prior() -> None:
    assert gibbs.semiconjugate(50, 25, 1, 100, 2, 64) == {
        "mu": hm.Normal(50, 5),
        "tau": hm.InverseGamma(1, 64),
        "sigma": hm.InverseGamma(0.5, 50),
    }
    written = gibbs.semiconjugate(50, 25, 1, 100, 2, 64, precisions=True)
    assert written["tau"] == hm.GammaPrecision(1, 64)
    assert written["sigma"] == hm.GammaPrecision(0.5, 50)
    for bad in (0, -1.0, float("nan"), "1"):
        with pytest.raises(PriorError, match="semiconjugate: eta0 must be a number above 0, got"):
            gibbs.semiconjugate(50, 25, 1, 100, bad, 100)  # type: ignore[arg-type]


def test_data_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match=r"n must have shape \(J,\) and ybar .* got \(2,\)"):
        gibbs.Data([1, 2], [1, 2, 3], 0)
    with pytest.raises(DataError, match="every n must be at least 1 and ssw not negative, got n"):
        gibbs.Data([1, 0], [1, 2], 0)
    with pytest.raises(DataError, match="ssw from -1; leave empty groups out"):
        gibbs.Data([1, 1], [1, 2], -1)
    with pytest.raises(DataError, match="ybar must be finite"):
        gibbs.Data([1, 1], [1, np.nan], 1)


@pytest.mark.parametrize("make", [gibbs.sample, gibbs.Data.of])
def test_a_frame_in_place_of_a_model_is_refused_with_the_next_step(make: Any) -> None:
    for frame in (small(), small().assign(family="OneWay")):
        with pytest.raises(OptionError, match=r"got DataFrame; make one first, hm\.OneWay\(frame"):
            make(frame)


@pytest.mark.parametrize("theta", [np.zeros(5), np.zeros((4, 1)), 1.0], ids=["5", "4 x 1", "none"])
@pytest.mark.parametrize("law", [gibbs.sigma2_given, gibbs.sigma_precision_given])
def test_another_number_of_means_than_groups_is_refused(law: Any, theta: Any) -> None:
    with pytest.raises(OptionError, match=r"theta must have shape \(\.\.\., 6\), a mean for each"):
        law(theta, gibbs.Data.of(one_way()), hm.Flat())


def test_negative_variances_are_refused() -> None:
    data = gibbs.Data.of(one_way())
    with pytest.raises(OptionError, match=r"tau2 is a variance and must not be negative, got -24;"):
        gibbs.theta_given(48.0, -24.0, 84.0, data)
    with pytest.raises(OptionError, match=r"sigma2 is a variance and must not be negative, got -8"):
        gibbs.theta_given(48.0, 24.0, np.array([84.0, -8.0]), data)
    with pytest.raises(OptionError, match=r"tau2 is a variance"):
        gibbs.mu_given(data.ybar, -1.0, hm.Flat())


def test_a_sweep_without_a_prior_for_each_parameter_is_refused() -> None:
    data, rng = gibbs.Data.of(one_way()), np.random.default_rng(1)
    priors = gibbs.reference()
    del priors["tau"]
    with pytest.raises(PriorError, match=r"prior of mu, tau and sigma .*none of 'tau'; model"):
        gibbs.step(gibbs.starts(data, 2, rng), data, priors, rng)


@pytest.mark.parametrize("name", ["tau2", "sigma2", "mu"])
def test_draws_that_are_no_numbers_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    step = gibbs.step

    def broken(state: gibbs.State, *rest: Any) -> gibbs.State:
        after = step(state, *rest)
        return dataclasses.replace(after, **{name: np.full_like(after.mu, np.nan)})

    monkeypatch.setattr(gibbs, "step", broken)
    with pytest.raises(SamplingError, match=f"{name[:-1] if name != 'mu' else name}: every draw"):
        gibbs.sample(one_way(), draws=1, warmup=0)
