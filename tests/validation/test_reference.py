"""Exact posteriors of regressions: against Student's t where priors are flat, and brute force."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import hiermodels as hm
from hiermodels.validation import reference

FLAT = {"beta": hm.Flat(), "sigma": hm.LogFlat()}
SHARES = np.array([0.01, 0.3, 0.5, 0.99])


def frame(groups: int = 4, size: int = 7) -> pd.DataFrame:
    made, _ = hm.datasets.simulate_varying_slopes(
        groups=groups, size=size, mu=(1, 2), tau=(1, 0.5), beta=(0.7,), sigma=1.5, seed=6
    )
    return made


def slopes(**options: Any) -> hm.VaryingSlopes:
    return hm.VaryingSlopes(frame(), y="y", group="group", varying=["x1"], common=["w1"], **options)


def matches(twin: Any, label: str, distribution: Any) -> None:
    k = twin.labels.index(label)
    assert twin.mean[k] == pytest.approx(distribution.mean(), rel=1e-8)
    assert twin.sd[k] == pytest.approx(distribution.std(), rel=1e-8)
    x = np.zeros((len(SHARES), len(twin.labels)))
    x[:, k] = distribution.ppf(SHARES)
    np.testing.assert_allclose(twin.cdf(x)[:, k], SHARES, rtol=1e-7)


def test_complete_pooling_under_the_reference_prior_is_students_t():
    """beta_k ~ t_{N-p}(least squares, standard error); (N-p) s^2 / sigma^2 ~ chi^2 (BDA3, 14.2)."""
    data = frame()
    twin = reference.twin(slopes(pooling="complete", priors={"mu": hm.Flat(), **FLAT}))
    X = np.column_stack([np.ones(len(data)), data["x1"], data["w1"]])
    fit, rss = np.linalg.lstsq(X, data["y"], rcond=None)[:2]
    df = len(data) - 3
    se = np.sqrt(rss[0] / df * np.diag(np.linalg.inv(X.T @ X)))
    for label, at, error in zip(("mu[Intercept]", "mu[x1]", "beta[w1]"), fit, se, strict=True):
        matches(twin, label, stats.t(df, at, error))
    k = twin.labels.index("sigma")
    quantiles = np.sqrt(rss[0] / stats.chi2(df).isf(SHARES))
    x = np.zeros((len(SHARES), len(twin.labels)))
    x[:, k] = quantiles
    np.testing.assert_allclose(twin.cdf(x)[:, k], SHARES, rtol=1e-7)


def test_no_pooling_with_one_sigma_is_a_t_with_all_degrees_of_freedom():
    data = frame()
    model = hm.OneWay(
        data, y="y", group="group", pooling="none", priors={"theta": hm.Flat(), **_no_beta()}
    )
    twin = reference.twin(model)
    groups = data.groupby("group")["y"]
    ssw = float(((data["y"] - groups.transform("mean")) ** 2).sum())
    df = len(data) - 4
    for label, part in groups:
        error = np.sqrt(ssw / df / len(part))
        matches(twin, f"theta[{label}]", stats.t(df, part.mean(), error))


def test_no_pooling_with_own_sigmas_is_a_t_for_each_group():
    data = frame()
    model = hm.OneWay(
        data,
        y="y",
        group="group",
        pooling="none",
        sigma="group",
        priors={"theta": hm.Flat(), **_no_beta()},
    )
    twin = reference.twin(model)
    for label, part in data.groupby("group")["y"]:
        error = part.std() / np.sqrt(len(part))
        matches(twin, f"theta[{label}]", stats.t(len(part) - 1, part.mean(), error))
    assert "sigma[2]" in twin.labels


def _no_beta() -> dict[str, Any]:
    return {"sigma": hm.LogFlat()}


def test_known_errors_give_normal_posteriors():
    schools = hm.datasets.eight_schools()
    model = hm.EightSchools(
        schools,
        effect="effect",
        se="se",
        group="school",
        pooling="none",
        priors={"theta": hm.Normal(3, 5)},
    )
    twin = reference.twin(model)
    y, se = float(schools["effect"][0]), float(schools["se"][0])
    P = 1 / se**2 + 1 / 25
    matches(twin, "theta[A]", stats.norm((y / se**2 + 3 / 25) / P, P**-0.5))
    complete = reference.twin(model.replace(pooling="complete", priors={"mu": hm.Flat()}))
    w = 1 / schools["se"].to_numpy(float) ** 2
    mean = float(w @ schools["effect"] / w.sum())
    matches(complete, "mu", stats.norm(mean, w.sum() ** -0.5))


def test_informative_priors_agree_with_a_grid():
    """One coefficient and sigma on a plain grid, half-normal and uniform priors."""
    y = np.array([1.0, 2.5, -0.5, 3.0, 1.5, 4.0])
    data = pd.DataFrame({"group": ["a", "a", "a", "b", "b", "b"], "y": y})
    for prior in (hm.HalfNormal(1.0), hm.Uniform(2.0)):
        model = hm.OneWay(
            data,
            y="y",
            group="group",
            pooling="complete",
            priors={"mu": hm.Normal(0, 0.8), "sigma": prior},
        )
        twin = reference.twin(model)
        mu = np.linspace(-4, 5, 1201)[:, None]
        sigma = np.linspace(0.3, 8, 1601)
        if isinstance(prior, hm.Uniform):
            sigma = np.linspace(0.3, 2.0, 1601)
        log_f = sum(stats.norm.logpdf(v, mu, sigma) for v in y)
        log_f = log_f + stats.norm.logpdf(mu, 0, 0.8) + prior.log_density(sigma)
        f = np.exp(log_f - log_f.max())
        f[:, [0, -1]] /= 2
        f /= f.sum()
        mean = float((f * mu).sum())
        assert twin.mean[0] == pytest.approx(mean, rel=1e-4)
        assert twin.sd[0] == pytest.approx(np.sqrt((f * (mu - mean) ** 2).sum()), rel=1e-4)
        assert twin.mean[1] == pytest.approx(float((f * sigma).sum()), rel=1e-4)


def test_a_shift_of_a_column_is_taken_back():
    """Priors are those of the columns as they are, whatever is centred inside."""
    data = frame()
    here = reference.twin(slopes(pooling="complete", priors={"mu": hm.Flat(), **FLAT}))
    moved = hm.VaryingSlopes(
        data.assign(x1=data["x1"] + 2), y="y", group="group", varying=["x1"], common=["w1"],
        pooling="complete", priors={"mu": hm.Flat(), **FLAT},
    )  # fmt: skip
    there = reference.twin(moved)
    a, b = (dict(zip(t.labels, t.mean, strict=True)) for t in (here, there))
    assert b["mu[x1]"] == pytest.approx(a["mu[x1]"])
    assert b["mu[Intercept]"] == pytest.approx(a["mu[Intercept]"] - 2 * a["mu[x1]"])


def test_what_has_no_closed_form_has_no_twin():
    assert reference.twin(slopes()) is None
    t = {"mu": hm.StudentT(3, 0, 1), **FLAT}
    assert reference.twin(slopes(pooling="complete", priors=t)) is None
    one = hm.OneWay(frame(), y="y", group="group", sigma="group")
    assert reference.twin(one) is None
    assert reference.twin(one.replace(pooling="complete")) is None


def test_one_way_has_the_exact_posterior():
    model = hm.OneWay(frame(), y="y", group="group")
    twin, exact = reference.twin(model), hm.exact.posterior(model)
    assert twin.labels[:4] == ("mu", "tau", "sigma", "icc")
    table = exact.summary().loc[list(twin.labels)]
    np.testing.assert_allclose(twin.mean, table["mean"])
    np.testing.assert_allclose(twin.sd, table["sd"])
    x = table[["q5", "q95"]].to_numpy().T
    np.testing.assert_allclose(twin.cdf(x), np.broadcast_to([[0.05], [0.95]], x.shape), atol=1e-8)
