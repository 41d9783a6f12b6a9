"""Exact posteriors: every number of the reference, and laws that hold to many digits."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, special, stats

import hiermodels as hm
from hiermodels.container import inference_data
from hiermodels.errors import DataError, ExactError, OptionError
from tests import reference

QUANTILES = {
    "q2.5": 0.025,
    "q5": 0.05,
    "q25": 0.25,
    "q50": 0.5,
    "q75": 0.75,
    "q95": 0.95,
    "q97.5": 0.975,
}
EIGHT = {
    "flat_uniform": {"mu": hm.Flat(), "tau": hm.Flat()},
    "normal5_halfcauchy5": {"mu": hm.Normal(0, 5), "tau": hm.HalfCauchy(5)},
}
MATHSCORE = {
    "semiconjugate": {
        "mu": hm.Normal(50, 5),
        "sigma": hm.GammaPrecision(0.5, 50),
        "tau": hm.GammaPrecision(0.5, 50),
    },
    "reference": {"mu": hm.Flat(), "tau": hm.Flat(), "sigma": hm.LogFlat()},
}
# What the reference leaves out where it is the program's own affair.
HOW = {"grid", "log_edge_mass_relative", "log_normalizing_constant", "log_marginal_likelihood"}


def eight_schools(frame: pd.DataFrame | None = None, **priors: Any) -> hm.EightSchools:
    frame = hm.datasets.eight_schools() if frame is None else frame
    return hm.EightSchools(frame, effect="effect", se="se", group="school", priors=priors)


def one_way(frame: pd.DataFrame, **priors: Any) -> hm.OneWay:
    return hm.OneWay(frame, y="y", group="group", priors=priors)


def rows(seed: int = 4, sizes: Any = (1, 2, 3, 5, 5, 8), **truth: Any) -> pd.DataFrame:
    truth = {"mu": 2.0, "tau": 1.0, "sigma": 1.5} | truth
    return hm.datasets.simulate_one_way(
        groups=len(sizes), size=np.array(sizes), seed=seed, **truth
    )[0]


PROPER = {"mu": hm.Normal(1, 3), "tau": hm.HalfCauchy(1), "sigma": hm.HalfNormal(2)}


# ---- the reference ------------------------------------------------------------------------------


class Compared:
    """Relative errors, by what they are of."""

    def __init__(self) -> None:
        self.worst: dict[str, float] = {}
        self.count = 0

    def __call__(self, name: str, got: Any, want: Any) -> None:
        got, want = np.asarray(got, dtype=float), np.asarray(want, dtype=float)
        error = np.nanmax(np.abs(got - want) / np.abs(want))
        self.worst[name] = max(self.worst.get(name, 0.0), float(error))
        self.count += int(np.sum(~np.isnan(want)))

    def quantity(self, posterior: Any, name: str, values: dict[str, float]) -> None:
        for statistic, want in values.items():
            if statistic in ("mean", "sd"):
                got = getattr(posterior, statistic)(name)
            elif statistic in ("mean_log", "sd_log"):
                got = getattr(posterior, statistic[:-4])(f"log_{name}")
            elif statistic in QUANTILES:
                got = posterior.quantile(name, QUANTILES[statistic])
            else:
                _, relation, value = statistic.split("_")
                got = posterior.probability(name, {"gt": ">", "lt": "<"}[relation], float(value))
            self(f"{name} {statistic}", got, want)

    def effects(self, posterior: Any, exact: list[dict[str, float]]) -> None:
        by_statistic = {
            "mean": posterior.mean("theta"),
            "sd": posterior.sd("theta"),
            "prob_gt_0": posterior.probability("theta", ">", 0),
            "shrink_to_mu": posterior.pooling_factor(),
            **{name: posterior.quantile("theta", q) for name, q in QUANTILES.items()},
        }
        for statistic in exact[0]:
            if statistic not in ("n", "ybar"):
                want = [values[statistic] for values in exact]
                self(f"theta {statistic}", by_statistic[statistic].to_numpy(), want)


@pytest.mark.parametrize("prior", EIGHT)
def test_every_number_of_eight_schools(prior):
    exact = reference.load("eight_schools_exact.json")[prior]
    posterior = hm.exact.posterior(eight_schools(**EIGHT[prior]))
    see = Compared()
    for name, values in exact.items():
        if not name.startswith(("_", "theta[")):
            see.quantity(posterior, name, values)
    see.effects(posterior, [exact[f"theta[{j}]"] for j in range(1, 9)])
    extra = exact["_extra"]
    see("normalizing", posterior.log_normalizing_constant, extra["log_normalizing_constant"])
    assert posterior.log_marginal_likelihood == pytest.approx(extra["log_marginal_likelihood"])
    see("pooling factor", posterior.pooling_factor(), extra["mean_pooling_factor"])
    pairs = [[np.nan if p is None else p for p in row] for row in extra["prob_theta_i_gt_theta_k"]]
    see("pairs", posterior.pairs(), pairs)
    loo = posterior.loo("observation")
    for name in ("elpd", "lppd", "p_waic"):
        key = {"elpd": "elpd_loo"}.get(name, name)
        see(name, loo.table[name], extra[f"{key}_pointwise"])
        see(f"{name} total", loo.table[name].sum(), extra[key])
    see("p_loo", loo.p_loo, extra["p_loo"])
    see("elpd_waic", loo.table["elpd_waic"].sum(), extra["elpd_waic"])
    see("elpd by group", posterior.loo("group").table["elpd"], extra["elpd_loo_pointwise"])
    assert max(see.worst.values()) < 1e-9, see.worst
    assert see.count > 200
    assert posterior.error < 1e-11


@pytest.mark.parametrize("prior", MATHSCORE)
def test_every_number_of_mathscore(prior):
    exact = reference.load("one_way_mathscore_exact.json")[prior]
    model = hm.OneWay(
        reference.frame("mathscore.csv"), y="mathscore", group="school", priors=MATHSCORE[prior]
    )
    posterior = hm.exact.posterior(model)
    see = Compared()
    for name, values in exact.items():
        if not name.startswith("_") and name != "theta":
            see.quantity(posterior, name, values)
    see.effects(posterior, list(exact["theta"].values()))
    extra = exact["_extra"]
    # The reference takes 1/sigma for the prior of sigma, which is 2/sigma here: of sigma^2 it is
    # 1/sigma^2.
    constant = np.log(2) if prior == "reference" else 0.0
    got = posterior.log_normalizing_constant - constant
    see("normalizing", got, extra["log_normalizing_constant"])
    assert (posterior.log_marginal_likelihood is None) == (prior == "reference")
    see("correlation", posterior.correlation(), extra["corr_logtau_logsigma"])
    see("pair", posterior.pairs([46, 82]).iloc[0, 1], extra["prob_theta46_gt_theta82"])
    factor = extra["mean_pooling_factor_mean_over_schools"]
    see("pooling factor", posterior.pooling_factor().mean(), factor)
    by_school, by_row = posterior.loo("group"), posterior.loo("observation")
    see("school", by_school.table["elpd"], exact["_elpd_leave_one_school_out_pointwise"])
    see("schools", by_school.elpd, extra["elpd_leave_one_school_out"])
    for name, key in (("elpd", "elpd_loo"), ("se", "se_elpd_loo"), ("lppd", "lppd")):
        see(name, getattr(by_row, name), extra[key])
    see("p_loo", by_row.p_loo, extra["p_loo"])
    assert max(see.worst.values()) < 1e-7, see.worst
    assert see.count > 1100


# ---- brute force --------------------------------------------------------------------------------


def brute(y: np.ndarray, se: np.ndarray, mu: Any, tau: Any) -> tuple[float, float, float]:
    """Log evidence, E tau and E theta_1 by SciPy's adaptive quadrature over log tau."""

    def given(t: float) -> tuple[float, float]:
        v = se**2 + t * t
        p0, m0 = (0.0, 0.0) if isinstance(mu, hm.Flat) else (mu.sd**-2, mu.mean)
        P = (1 / v).sum() + p0
        m = ((y / v).sum() + m0 * p0) / P
        q = (y**2 / v).sum() + m0**2 * p0 - P * m * m
        scale = np.sqrt(p0 / P) if p0 else np.sqrt(2 * np.pi / P)
        B = se[0] ** 2 / v[0]
        likelihood = np.exp(-0.5 * (len(y) * np.log(2 * np.pi) + np.log(v).sum() + q)) * scale
        return likelihood * np.exp(tau.log_density(t)), B * m + (1 - B) * y[0]

    top = np.log(getattr(tau, "upper", np.exp(25.0)))
    marks = np.linspace(-30, top, 12)[1:-1]

    def integral(g: Any) -> float:
        found = integrate.quad(
            lambda x: np.exp(x) * g(np.exp(x)),
            -30,
            top,
            points=marks,
            limit=500,
            epsabs=0,
            epsrel=1e-11,
        )
        return float(found[0])

    Z = integral(lambda t: given(t)[0])
    return (
        np.log(Z),
        integral(lambda t: t * given(t)[0]) / Z,
        integral(lambda t: np.prod(given(t))) / Z,
    )


@pytest.mark.parametrize(
    ("mu", "tau"),
    [
        (hm.Normal(3, 4), hm.HalfNormal(5)),
        (hm.Flat(), hm.HalfT(3, 4)),
        (hm.Normal(0, 5), hm.Uniform(6)),
        (hm.Flat(), hm.Uniform(1000)),
        (hm.Normal(0, 5), hm.Exponential(0.2)),
        (hm.Normal(0, 5), hm.InverseGamma(0.5, 2)),
        (hm.Flat(), hm.GammaPrecision(1, 20)),
        (hm.Normal(0, 5), hm.HalfNormal(0.01)),
    ],
    ids=str,
)
def test_every_prior_family_agrees_with_adaptive_quadrature(mu, tau):
    model = eight_schools(mu=mu, tau=tau)
    posterior = hm.exact.posterior(model)
    frame = hm.datasets.eight_schools()
    y, se = frame["effect"].to_numpy(float), frame["se"].to_numpy(float)
    log_z, tau_mean, theta_mean = brute(y, se, mu, tau)
    assert posterior.log_normalizing_constant == pytest.approx(log_z, abs=1e-9)
    assert posterior.mean("tau") == pytest.approx(tau_mean, rel=1e-8)
    assert posterior.mean("theta").iloc[0] == pytest.approx(theta_mean, rel=1e-9)


def test_students_t_for_mu_agrees_with_a_quadrature_over_mu():
    """One more dimension, by the plain trapezoid rule in mu and log tau."""
    prior, tau_prior = hm.StudentT(3, 20, 2), hm.HalfNormal(8)
    frame = hm.datasets.eight_schools()
    y, se = frame["effect"].to_numpy(float), frame["se"].to_numpy(float)
    mu = np.linspace(-60, 90, 3001)
    x = np.linspace(-30, 5, 701)
    tau = np.exp(x)
    log_f = np.zeros((len(x), len(mu)))
    for value, error in zip(y, se, strict=True):
        log_f += stats.norm.logpdf(value, mu, np.sqrt(error**2 + tau[:, None] ** 2))
    log_f += prior.log_density(mu) + (tau_prior.log_density(tau) + x)[:, None]
    f = np.exp(log_f) * (mu[1] - mu[0]) * (x[1] - x[0])
    posterior = hm.exact.posterior(eight_schools(mu=prior, tau=tau_prior))
    assert posterior.log_marginal_likelihood == pytest.approx(np.log(f.sum()), abs=1e-9)
    f /= f.sum()
    mean = (f * mu).sum()
    assert posterior.mean("mu") == pytest.approx(mean, rel=1e-8)
    assert posterior.sd("mu") == pytest.approx(np.sqrt((f * (mu - mean) ** 2).sum()), rel=1e-8)
    assert posterior.mean("tau") == pytest.approx((f * tau[:, None]).sum(), rel=1e-8)


# ---- laws ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", ["group", "observation"])
def test_leaving_out_is_a_ratio_of_two_evidences(unit):
    """log p(y_out | y_rest) = log p(y) - log p(y_rest), the latter from a model without it."""
    frame = rows()
    whole = hm.exact.posterior(one_way(frame, **PROPER))
    loo = whole.loo(unit)
    for label in loo.table.index[:7]:
        rest = frame[frame["group"] != label] if unit == "group" else frame.drop(index=label)
        without = hm.exact.posterior(one_way(rest, **PROPER))
        want = whole.log_marginal_likelihood - without.log_marginal_likelihood
        assert loo.table.loc[label, "elpd"] == pytest.approx(want, abs=1e-8)
    assert loo.error < 1e-8
    assert loo.elpd == pytest.approx(loo.table["elpd"].sum())


def of_groups(log_p: np.ndarray, log_f: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The terms elpd, lppd and p_waic of groups over a grid of hyperparameters, by Bayes' rule.

    ``log_p``, groups first, has log p(y_j | hyperparameters), the effects integrated out, and
    ``log_f`` log prior density and the nodes' weights.
    """
    joint = log_f + log_p.sum(axis=0)

    def log_sum(x: np.ndarray) -> float:
        return float(special.logsumexp(x))

    whole = log_sum(joint)
    elpd = np.array([whole - log_sum(joint - one) for one in log_p])
    lppd = np.array([log_sum(joint + one) - whole for one in log_p])
    f = np.exp(joint - whole)
    waic = np.array([np.sum(f * (one - np.sum(f * one)) ** 2) for one in log_p])
    return elpd, lppd, waic


def test_p_loo_of_schools_has_their_effects_integrated_out():
    """Against a grid over mu and log tau: y_j ~ N(mu, se_j^2 + tau^2), with and without y_j."""
    frame = hm.datasets.eight_schools()
    mu, x = np.linspace(-80, 100, 1201), np.linspace(-12, 5.5, 701)
    tau = np.exp(x)[:, None]
    log_p = np.array(
        [stats.norm.logpdf(y, mu, np.hypot(s, tau)) for y, s in frame[["effect", "se"]].to_numpy()]
    )
    log_f = hm.Normal(5, 12).log_density(mu) + hm.HalfCauchy(5).log_density(tau) + x[:, None]
    elpd, lppd, waic = of_groups(log_p, log_f)
    loo = hm.exact.posterior(eight_schools(mu=hm.Normal(5, 12), tau=hm.HalfCauchy(5))).loo()
    assert loo.unit == "group"
    np.testing.assert_allclose(loo.table["elpd"], elpd, atol=1e-6)
    np.testing.assert_allclose(loo.table["lppd"], lppd, atol=1e-6)
    np.testing.assert_allclose(loo.table["p_waic"], waic, atol=1e-6)
    assert loo.p_loo == pytest.approx((lppd - elpd).sum(), abs=1e-5)
    assert loo.lppd == pytest.approx(loo.elpd + loo.p_loo)


def test_p_loo_of_groups_of_rows_has_their_effects_integrated_out():
    """Against a grid over mu, log tau and log sigma, the rows of a group jointly normal."""
    frame = rows(sizes=(1, 2, 3, 5))
    mu, x, z = np.linspace(-14, 16, 121), np.linspace(-9, 4.5, 121), np.linspace(-2, 2.5, 121)
    M, X, Z = np.meshgrid(mu, x, z, indexing="ij")
    tau2, sigma2 = np.exp(2 * X), np.exp(2 * Z)
    log_p = []
    for _, y in frame.groupby("group")["y"]:
        # The covariance tau^2 1 1' + sigma^2 I: its determinant and inverse by Sherman, Morrison.
        n, e1 = len(y), y.sum() - len(y) * M
        e2 = np.sum(y**2) - 2 * M * y.sum() + n * M**2
        total = sigma2 + n * tau2
        log_det = (n - 1) * np.log(sigma2) + np.log(total)
        squares = (e2 - e1**2 * tau2 / total) / sigma2
        log_p.append(-0.5 * (n * np.log(2 * np.pi) + log_det + squares))
    log_f = PROPER["mu"].log_density(M) + X + Z
    log_f += PROPER["tau"].log_density(np.exp(X)) + PROPER["sigma"].log_density(np.exp(Z))
    elpd, lppd, waic = of_groups(np.array(log_p), log_f)
    loo = hm.exact.posterior(one_way(frame, **PROPER)).loo("group")
    np.testing.assert_allclose(loo.table["elpd"], elpd, atol=1e-4)
    np.testing.assert_allclose(loo.table["lppd"], lppd, atol=1e-4)
    np.testing.assert_allclose(loo.table["p_waic"], waic, atol=1e-3)
    assert loo.p_loo == pytest.approx((lppd - elpd).sum(), abs=2e-4)


@pytest.mark.parametrize("mu", [hm.Normal(0, 5), hm.StudentT(2, 0, 3)], ids=str)
def test_leaving_an_outlier_out_follows_the_posterior_without_it(mu):
    frame = hm.datasets.eight_schools().assign(se=1.0)
    frame.loc[0, "effect"] = 500.0
    priors = {"mu": mu, "tau": hm.HalfCauchy(5)}
    whole = hm.exact.posterior(eight_schools(frame, **priors))
    without = hm.exact.posterior(eight_schools(frame[1:], **priors))
    want = whole.log_marginal_likelihood - without.log_marginal_likelihood
    assert whole.loo().table["elpd"].iloc[0] == pytest.approx(want, rel=1e-8)


def test_too_few_groups_to_leave_one_out_is_said():
    frame = hm.datasets.eight_schools()[:3]
    posterior = hm.exact.posterior(eight_schools(frame, mu=hm.Flat(), tau=hm.Flat()))
    with pytest.raises(ExactError, match="3 groups are too few to leave one out"):
        posterior.loo()


def test_moments_that_do_not_exist_are_infinite():
    """With J groups, mu and tau flat, p(tau | y) falls as tau^-(J-1) (Gelman 2006)."""
    frame = hm.datasets.eight_schools()
    by_groups = {
        J: hm.exact.posterior(eight_schools(frame[:J], mu=hm.Flat(), tau=hm.Flat()))
        for J in (3, 4, 5)
    }
    assert np.isinf(by_groups[3].mean("tau"))
    assert np.isfinite(by_groups[4].mean("tau"))
    assert np.isinf(by_groups[4].sd("tau"))
    assert np.isfinite(by_groups[5].sd("tau"))
    assert np.isnan(by_groups[3].mean("theta_new"))
    assert np.isinf(by_groups[4].sd("mu"))
    assert np.isfinite(by_groups[3].quantile("tau", 0.9))
    assert np.isfinite(by_groups[3].sd("theta")).all()
    frame = rows(sizes=[6, 6, 6])
    three = hm.exact.posterior(one_way(frame, mu=hm.Flat(), tau=hm.Flat(), sigma=hm.LogFlat()))
    assert np.isinf(three.mean("tau"))
    assert np.isfinite(three.sd("sigma"))


def test_groups_of_one_row_cannot_tell_tau_from_sigma():
    """Exchange the two, and nothing changes: their posteriors are the same to the last digit."""
    frame = rows(sizes=[1] * 12)
    same = {"tau": hm.HalfNormal(2), "sigma": hm.HalfNormal(2), "mu": hm.Normal(0, 5)}
    with pytest.warns(hm.HierModelsWarning, match="without replication"):
        model = one_way(frame, **same)
    posterior = hm.exact.posterior(model)
    for q in (0.001, 0.3, 0.5, 0.99):
        assert posterior.quantile("tau", q) == pytest.approx(posterior.quantile("sigma", q))
    assert posterior.mean("tau") == pytest.approx(posterior.mean("sigma"), rel=1e-9)
    assert posterior.quantile("icc", 0.5) == pytest.approx(0.5, rel=1e-8)


def test_a_change_of_units_changes_nothing_else():
    frame = rows()
    here = hm.exact.posterior(one_way(frame))
    there = hm.exact.posterior(one_way(frame.assign(y=1e8 + 1000 * frame["y"])))
    for name in ("tau", "sigma"):
        assert there.quantile(name, 0.3) == pytest.approx(1000 * here.quantile(name, 0.3), rel=1e-6)
    assert there.quantile("icc", 0.3) == pytest.approx(here.quantile("icc", 0.3), rel=1e-6)
    shifted = (there.mean("theta") - 1e8) / 1000
    np.testing.assert_allclose(shifted, here.mean("theta"), rtol=1e-5)
    moved = there.log_marginal_likelihood + len(frame) * np.log(1000)
    assert moved == pytest.approx(here.log_marginal_likelihood, abs=1e-6)


def test_eight_schools_is_one_way_with_sigma_known():
    """Where sigma is all but known (by a prior that says so), OneWay is EightSchools."""
    rng = np.random.default_rng(8)
    sigma, n = 1.5, 4
    means = rng.normal(2, 2, 6)
    y = np.repeat(means, n) + np.tile([-1.0, 1.0, -1.0, 1.0], 6)  # the means stay
    frame = pd.DataFrame({"group": np.repeat(list("abcdef"), n), "y": y})
    # 1/sigma^2 ~ gamma(a, a sigma^2): relative sd a^-1/2 of the precision.
    tight = hm.GammaPrecision(1e8, 1e8 * sigma**2)
    priors = {"mu": hm.Normal(0, 3), "tau": hm.HalfNormal(2)}
    of_rows = hm.exact.posterior(one_way(frame, **priors, sigma=tight))
    estimates = pd.DataFrame({"school": list("abcdef"), "effect": means, "se": sigma / np.sqrt(n)})
    of_means = hm.exact.posterior(eight_schools(estimates, **priors))
    for name in ("mu", "tau", "theta"):
        np.testing.assert_allclose(of_rows.mean(name), of_means.mean(name), rtol=1e-5)
        np.testing.assert_allclose(
            of_rows.quantile(name, 0.95), of_means.quantile(name, 0.95), rtol=1e-5
        )


def test_distribution_functions_and_quantiles_undo_each_other():
    posterior = hm.exact.posterior(one_way(rows(), **PROPER))
    for name in posterior.quantities:
        for q in (0.01, 0.5, 0.9):
            x = posterior.quantile(name, q)
            if name == "theta":
                x = x.iloc[2]
                assert posterior.cdf(name, x).iloc[2] == pytest.approx(q, abs=1e-9)
            else:
                assert posterior.cdf(name, x) == pytest.approx(q, abs=1e-9)
    assert posterior.probability("tau", ">", -1) == 1
    assert posterior.probability("icc", "<", 1) == 1
    ends = hm.exact.posterior(one_way(rows(), **{**PROPER, "tau": hm.Uniform(3)}))
    assert ends.cdf("tau", 3) == 1
    assert 0 < ends.cdf("tau", 2) < 1


def test_pairs_agree_with_draws_and_with_each_other():
    posterior = hm.exact.posterior(one_way(rows(), **PROPER))
    pairs = posterior.pairs().to_numpy()
    off = ~np.eye(len(pairs), dtype=bool)
    np.testing.assert_allclose((pairs + pairs.T)[off], 1, atol=1e-12)
    assert np.isnan(np.diag(pairs)).all()
    idata = posterior.model.fit(engine="exact", seed=1, pointwise=False)
    theta = inference_data.dataset(idata, "posterior")["theta"].to_numpy().reshape(-1, 6)
    share = (theta[:, 1] > theta[:, 4]).mean()
    assert abs(share - pairs[1, 4]) < 4 * np.sqrt(pairs[1, 4] * (1 - pairs[1, 4]) / len(theta))


def test_given_tau_goes_from_complete_to_no_pooling():
    """The two ends of the picture: tau -> 0 and tau -> infinity."""
    frame = rows()
    posterior = hm.exact.posterior(one_way(frame, mu=hm.Flat(), tau=hm.HalfNormal(2)))
    table = posterior.given_tau([1e-6, 1.0, 1e6])
    low, middle, high = (part for _, part in table.groupby("tau"))
    # Equal to one mean: that of all rows, which is the precision-weighted one.
    np.testing.assert_allclose(low["mean"], frame["y"].mean(), rtol=1e-6)
    np.testing.assert_allclose(low["pooling_factor"], 1, rtol=1e-9)
    means = frame.groupby("group")["y"].mean()
    np.testing.assert_allclose(high["mean"], means, rtol=1e-6)
    assert (middle["pooling_factor"].between(0.01, 0.99)).all()
    # The density is that of the marginal: integrate it.
    x = np.linspace(-14, 3, 101)
    density = posterior.given_tau(np.exp(x)).groupby("tau")["density"].first().to_numpy()
    assert np.sum(density * np.exp(x)) * (x[1] - x[0]) == pytest.approx(1, abs=1e-5)


def test_given_tau_averages_to_the_posterior():
    posterior = hm.exact.posterior(eight_schools(**EIGHT["normal5_halfcauchy5"]))
    x = np.linspace(-14, 6, 241)
    table = posterior.given_tau(np.exp(x))
    by_tau = table.pivot_table(index="tau", columns="school", values="mean", sort=False)
    weight = table.groupby("tau", sort=False)["density"].first().to_numpy() * np.exp(x)
    np.testing.assert_allclose(
        weight @ by_tau.to_numpy() / weight.sum(), posterior.mean("theta"), rtol=1e-5
    )


def test_limits_are_the_ends_of_the_impact_of_tau():
    frame = rows()
    posterior = hm.exact.posterior(one_way(frame, mu=hm.Flat(), tau=hm.HalfNormal(2)))
    table = posterior.limits()
    np.testing.assert_allclose(table["estimate"], frame.groupby("group")["y"].mean())
    np.testing.assert_allclose(table["complete_pooling"], frame["y"].mean(), rtol=1e-9)
    np.testing.assert_allclose(table["mean"], posterior.mean("theta"))
    np.testing.assert_allclose(table["pooling_factor"], posterior.pooling_factor())
    schools = hm.datasets.eight_schools()
    table = hm.exact.posterior(eight_schools(mu=hm.Flat())).limits()
    np.testing.assert_allclose(table["se"], schools["se"])
    weight = 1 / schools["se"].to_numpy(float) ** 2
    pooled = np.average(schools["effect"], weights=weight)
    np.testing.assert_allclose(table["complete_pooling"], pooled, rtol=1e-9)


def test_the_impact_of_tau_goes_up_to_where_tau_is_by_default():
    posterior = hm.exact.posterior(eight_schools())
    table = posterior.given_tau()
    assert table["tau"].max() == pytest.approx(posterior.quantile("tau", 0.99))
    assert len(table) == 808
    # At 0 everything is pooled, and the density is that of the limit.
    at_0 = table[table["tau"] == 0]
    np.testing.assert_allclose(at_0["pooling_factor"], 1, rtol=1e-9)
    np.testing.assert_allclose(at_0["mean"], posterior.limits()["complete_pooling"], rtol=1e-9)
    assert at_0["density"].iloc[0] == pytest.approx(table["density"].iloc[8], rel=0.01)
    two = hm.exact.posterior(one_way(rows())).given_tau([0.0, 1e-4])
    assert two["density"].iloc[0] == pytest.approx(two["density"].iloc[-1], rel=1e-3)


def test_given_a_tau_that_is_unlike_sigma_goes_where_it_has_to():
    """With tau far too small for the data the rows' spread is all sigma's: no node of theirs."""
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"group": np.repeat(np.arange(20), 30)})
    frame["y"] = rng.normal(0, 5, 20)[frame["group"]] + rng.normal(size=600)
    posterior = hm.exact.posterior(one_way(frame))
    at_0 = posterior.given_tau([0.0])
    # Everything pooled: y ~ N(mu, sigma), and sd(theta) is that of a mean of 600.
    want = frame["y"].std() / np.sqrt(600)
    np.testing.assert_allclose(at_0["sd"], want, rtol=0.02)
    np.testing.assert_allclose(at_0["mean"], frame["y"].mean(), atol=0.02)


def test_one_estimate_far_better_known_than_the_others_costs_no_digits():
    frame = pd.DataFrame(
        {
            "school": list("abcde"),
            "effect": [500.0, 500.001, 100.0, -2000.0, 1500.0],
            "se": [1e-3, 2e-3, 1e3, 1e3, 1e3],
        }
    )
    priors = {"mu": hm.Flat(), "tau": hm.HalfCauchy(1e-3)}
    posterior = hm.exact.posterior(eight_schools(frame, **priors))
    assert posterior.lattice.log_f.size < 5000
    y, se = frame["effect"].to_numpy() - 500, frame["se"].to_numpy()
    log_z, tau_mean, _ = brute(y, se, hm.Flat(), hm.HalfCauchy(1e-3))
    assert posterior.log_normalizing_constant == pytest.approx(log_z, abs=1e-6)
    assert posterior.mean("tau") == pytest.approx(tau_mean, rel=1e-5)


@pytest.mark.parametrize(
    ("y", "tau"),
    [
        ([-15.0, 15.0, -15.0, 15.0, 0.1], hm.InverseGamma(50, 50e-4)),
        ([-8.0, 8.0, -8.0, 8.0], hm.InverseGamma(10, 1e-5)),
        ([-6.0, 6.0, -6.0, 6.0], hm.InverseGamma(6, 6e-3)),
    ],
    ids=["prior wins", "far", "both count"],
)
def test_a_mode_where_the_prior_wants_tau_is_not_missed(y, tau):
    frame = pd.DataFrame({"school": range(len(y)), "effect": y, "se": 1.0})
    posterior = hm.exact.posterior(eight_schools(frame, mu=hm.Flat(), tau=tau))
    x = np.linspace(-14, 6, 40_001)
    t = np.exp(x)[:, None]
    v = 1 + t**2
    centre = np.mean(y)
    squares = np.sum((np.array(y) - centre) ** 2)
    log_f = -0.5 * (len(y) * np.log(2 * np.pi * v[:, 0]) + squares / v[:, 0])
    log_f += 0.5 * np.log(2 * np.pi * v[:, 0] / len(y)) + tau.log_density(t[:, 0]) + x
    f = np.exp(log_f - log_f.max()) * (x[1] - x[0])
    want = np.log(f.sum()) + log_f.max()
    assert posterior.log_normalizing_constant == pytest.approx(want, abs=1e-6)
    assert posterior.mean("tau") == pytest.approx((f * t[:, 0]).sum() / f.sum(), rel=1e-6)


@pytest.mark.parametrize("prior", [hm.StudentT(0.1, 0, 5), hm.StudentT(30, -100, 0.5)], ids=str)
def test_students_t_holds_at_its_ends(prior):
    """Tails next to none, and a location that the data contradict."""
    frame = hm.datasets.eight_schools()
    y, se = frame["effect"].to_numpy(float), frame["se"].to_numpy(float)
    posterior = hm.exact.posterior(eight_schools(mu=prior, tau=hm.HalfNormal(8)))
    x = np.linspace(-30, 5, 701)
    tau = np.exp(x)
    mu = np.concatenate([np.linspace(-130, 90, 8801)])
    log_f = sum(
        stats.norm.logpdf(v, mu, np.sqrt(s**2 + tau[:, None] ** 2))
        for v, s in zip(y, se, strict=True)
    )
    log_f = log_f + prior.log_density(mu) + (hm.HalfNormal(8).log_density(tau) + x)[:, None]
    f = np.exp(log_f - log_f.max()) * (mu[1] - mu[0]) * (x[1] - x[0])
    want = np.log(f.sum()) + log_f.max()
    assert posterior.log_marginal_likelihood == pytest.approx(want, abs=1e-6)
    assert posterior.mean("mu") == pytest.approx((f * mu).sum() / f.sum(), rel=1e-5)


def test_a_group_column_may_have_the_name_of_a_result():
    frame = hm.datasets.eight_schools().rename(columns={"school": "mean"})
    model = hm.EightSchools(frame, effect="effect", se="se", group="mean")
    table = hm.exact.posterior(model).given_tau([1.0])
    assert table["mean_group"].tolist() == list("ABCDEFGH")
    assert table["mean"].dtype == float


def test_what_is_new_varies_as_its_parts_do():
    """theta_new = mu + tau z and y_new = theta_new + sigma z: variances add up."""
    posterior = hm.exact.posterior(one_way(rows(), **PROPER))
    var_mu = posterior.sd("mu") ** 2
    assert posterior.sd("theta_new") ** 2 == pytest.approx(var_mu + posterior.mean("tau2"))
    want = var_mu + posterior.mean("tau2") + posterior.mean("sigma2")
    assert posterior.sd("y_new") ** 2 == pytest.approx(want)
    assert posterior.mean("y_new") == pytest.approx(posterior.mean("mu"))


def test_small_probabilities_keep_their_digits():
    """A known mean, far out: P(theta > x) of a normal mixture, not a difference from 1."""
    frame = pd.DataFrame({"school": ["a", "b"], "effect": [0.0, 0.0], "se": [1.0, 1.0]})
    tiny = {"mu": hm.Normal(0, 1e-6), "tau": hm.Uniform(1e-6)}
    posterior = hm.exact.posterior(eight_schools(frame, **tiny))
    far = 30 * float(posterior.sd("mu"))
    assert posterior.probability("mu", ">", far) == pytest.approx(stats.norm.sf(30), rel=1e-3)
    both = posterior.probability("theta", ">", 0) + posterior.probability("theta", "<", 0)
    np.testing.assert_allclose(both, 1, rtol=1e-12)


def test_a_summary_has_the_columns_of_the_other():
    posterior = hm.exact.posterior(eight_schools())
    table = posterior.summary()
    assert table.columns.tolist() == ["mean", "sd", "q5", "median", "q95"]
    assert "theta[A]" in table.index
    assert table.loc["theta[C]", "q95"] == pytest.approx(posterior.quantile("theta", 0.95)["C"])
    assert (table["q5"] < table["q95"]).all()


def test_labels_stay_with_their_groups():
    frame = hm.datasets.eight_schools()
    here = hm.exact.posterior(eight_schools(frame))
    there = hm.exact.posterior(eight_schools(frame[::-1].reset_index(drop=True)))
    pd.testing.assert_series_equal(
        here.mean("theta").sort_index(), there.mean("theta").sort_index(), rtol=1e-10
    )
    assert there.mean("theta").index.tolist() == list("HGFEDCBA")


def test_lazy_statistics_are_enough():
    frame = rows()
    stats_ = hm.sufficient_statistics(frame, y="y", group="group")
    here, there = hm.exact.posterior(one_way(frame)), hm.exact.posterior(one_way(stats_))
    assert here.mean("tau") == there.mean("tau")
    with pytest.raises(DataError, match="needs the rows"):
        there.loo("observation")


# ---- refusals -----------------------------------------------------------------------------------


def test_other_models_are_refused_by_name():
    frame = rows()
    slopes = hm.VaryingSlopes(frame.assign(x=np.arange(len(frame)) % 3), y="y", group="group",
                              varying=["x"])  # fmt: skip
    with pytest.raises(OptionError, match="EightSchools and OneWay, got VaryingSlopes"):
        hm.exact.posterior(slopes)
    with pytest.raises(OptionError, match="partial pooling, got pooling='complete'"):
        hm.exact.posterior(one_way(frame).replace(pooling="complete"))
    by_group = hm.OneWay(frame[frame["group"] > 2], y="y", group="group", sigma="group")
    with pytest.raises(OptionError, match="sigma='group'"):
        hm.exact.posterior(by_group)


def test_unknown_names_are_refused_with_the_near_miss():
    posterior = hm.exact.posterior(eight_schools())
    with pytest.raises(OptionError, match=r"no quantity 'sigma'.*mu, tau"):
        posterior.mean("sigma")
    with pytest.raises(OptionError, match="q must be between 0 and 1, got 5"):
        posterior.quantile("mu", 5)
    with pytest.raises(OptionError, match="relation must be"):
        posterior.probability("mu", "above", 0)
    with pytest.raises(OptionError, match="is that of a model, got DataFrame"):
        hm.exact.posterior(hm.datasets.eight_schools())
    with pytest.raises(DataError, match="no group 'Z'"):
        posterior.pairs(["A", "Z"])
    with pytest.raises(OptionError, match="unit must be"):
        posterior.loo("school")
    with pytest.raises(OptionError, match="tau must be finite numbers, 0 or more"):
        posterior.given_tau([-1.0])
    with pytest.raises(dataclasses.FrozenInstanceError):
        posterior.moments = 3
