"""Regressions as posteriors: against multivariate normal densities and plain linear algebra."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import hiermodels as hm
from hiermodels.container import inference_data as idatas
from hiermodels.engines.exact import regressions
from hiermodels.errors import DataWarning, OptionError

PROPER = {
    "mu": {"Intercept": hm.Normal(0.5, 2), "x1": hm.Normal(1, 0.7)},
    "theta": {"Intercept": hm.Normal(0.5, 2), "x1": hm.Normal(1, 0.7)},
    "beta": hm.Normal(0, 1.5),
    "sigma": hm.HalfNormal(2),
}


def frame(groups: int = 4, size: int = 6) -> pd.DataFrame:
    made, _ = hm.datasets.simulate_varying_slopes(
        groups=groups, size=size, mu=(1, 2), tau=(1, 0.5), beta=(0.7,), sigma=1.5, seed=6
    )
    return made


def slopes(data: pd.DataFrame, pooling: str, priors: Any = None) -> hm.VaryingSlopes:
    given = {n: p for n, p in (priors or {}).items() if n != ("theta", "mu")[pooling == "none"]}
    return hm.VaryingSlopes(
        data, y="y", group="group", varying=["x1"], common=["w1"], pooling=pooling, priors=given
    )


def columns(data: pd.DataFrame, whole: pd.DataFrame | None = None) -> Any:
    """Columns of the regression, less their means over all rows, where the priors are."""
    means = data[["x1", "w1"]].mean() if whole is None else whole[["x1", "w1"]].mean()
    return np.column_stack([np.ones(len(data)), data[["x1", "w1"]] - means])


MEAN, SD = np.array([0.5, 1, 0]), np.array([2, 0.7, 1.5])


@pytest.mark.parametrize("pooling", ["complete", "none"])
def test_the_likelihood_of_sigma_is_that_of_a_multivariate_normal(pooling):
    """p(y | sigma) = N(X m0, sigma^2 I + X diag(s0^2) X'), group by group without pooling."""
    data = frame()
    (found,) = regressions.of_model(slopes(data, pooling, PROPER))
    parts = [data] if pooling == "complete" else [part for _, part in data.groupby("group")]
    sigmas = np.array([0.3, 1.0, 1.7, 40.0])
    direct = [
        sum(
            stats.multivariate_normal.logpdf(
                part["y"],
                columns(part, data) @ MEAN,
                s**2 * np.eye(len(part)) + columns(part, data) * SD**2 @ columns(part, data).T,
            )
            for part in parts
        )
        for s in sigmas
    ]
    np.testing.assert_allclose(found.log_likelihood(sigmas), direct, rtol=1e-10)


def test_with_flat_priors_the_coefficients_integrate_out_of_a_least_squares_fit():
    """The integral of N(y | X b, sigma^2 I) over b: (2 pi)^(p/2) |X'X|^-1/2 sigma^p N(y | fit)."""
    data = frame()
    flat = {"mu": hm.Flat(), "beta": hm.Flat()}
    (found,) = regressions.of_model(slopes(data, "complete", flat))
    X, y = columns(data), data["y"].to_numpy()
    rss = float(np.linalg.lstsq(X, y, rcond=None)[1][0])
    for s in (0.5, 2.0):
        direct = -(len(y) - 3) * np.log(s) - (len(y) - 3) / 2 * np.log(2 * np.pi)
        direct += -0.5 * np.linalg.slogdet(X.T @ X)[1] - rss / (2 * s**2)
        assert found.log_likelihood(np.array([s]))[0] == pytest.approx(direct, rel=1e-11)


def test_coefficients_given_sigma_are_those_of_the_normal_equations():
    """Also in a group of one row, which leaves two of its directions to the prior."""
    data = frame()
    data = data[(data["group"] != 2) | (data.groupby("group").cumcount() == 0)]
    with pytest.warns(DataWarning, match="too small for a regression of their own: 2"):
        model = slopes(data, "none", PROPER)
    (found,) = regressions.of_model(model)
    shift, back = model.design.back
    node = int(np.argmax(found.sigma.weight))
    s = found.sigma.values[node]
    for b, label in enumerate(model.design.labels):
        part = data[data["group"] == label]
        X = columns(part, data)
        Q = X.T @ X / s**2 + np.diag(SD**-2.0)
        mean = np.linalg.solve(Q, X.T @ part["y"] / s**2 + MEAN / SD**2)
        m, v = found.given(b)
        np.testing.assert_allclose(shift + m[node] @ back.T, mean, rtol=1e-9)
        np.testing.assert_allclose(back @ v[node] @ back.T, np.linalg.inv(Q), rtol=1e-8)


def test_draws_given_sigma_have_these_means_and_covariances():
    model = slopes(frame(), "none", PROPER)
    (found,) = regressions.of_model(model)
    node = int(np.argmax(found.sigma.weight))
    D = 20_000
    drawn = found.draw(np.full(D, found.sigma.values[node]), np.random.default_rng(3))
    for b in range(model.design.J):
        m, v = found.given(b)
        z = (drawn[:, b].mean(axis=0) - m[node]) / np.sqrt(np.diag(v[node]) / D)
        assert np.abs(z).max() < 4.5
        sample = np.cov(drawn[:, b].T)
        size = np.sqrt(np.outer(np.diag(v[node]), np.diag(v[node])) + v[node] ** 2)
        assert np.abs((sample - v[node]) / size * np.sqrt(D)).max() < 4.5
    # One group's draws know nothing of another's.
    r = np.corrcoef(drawn[:, 0, 0], drawn[:, 1, 0])[0, 1]
    assert abs(r) * np.sqrt(D) < 4.5


@pytest.mark.parametrize("pooling", ["complete", "none"])
def test_exact_draws_pass_the_certificate_and_have_the_container_of_a_fit(pooling):
    model = slopes(frame(), pooling)
    idata = model.fit(engine="exact", seed=4)
    assert hm.certify(idata, model).passed
    posterior = idatas.dataset(idata, "posterior")
    wanted = {n: ("chain", "draw", *dims) for n, dims in model.dims.items()}
    assert {str(n): x.dims for n, x in posterior.data_vars.items()} == wanted
    assert posterior["theta"].shape == (4, 1000, 4, 2)
    assert {"log_likelihood", "posterior_predictive", "log_prior"} <= set(idatas.groups(idata))
    attrs = idatas.attributes(idata)
    assert attrs["engine"] == "exact"
    assert attrs["pooling"] == pooling


def test_the_log_prior_of_the_draws_is_that_of_their_values():
    model = slopes(frame(), "none", PROPER)
    idata = model.fit(engine="exact", seed=4, draws=50)
    drawn = idatas.dataset(hm.at_centre(idata), "posterior")
    log_prior = idatas.dataset(idata, "log_prior")
    theta = stats.norm([0.5, 1], [2, 0.7]).logpdf(drawn["theta"].to_numpy()).sum(axis=(2, 3))
    beta = stats.norm(0, 1.5).logpdf(drawn["beta"].to_numpy()).sum(axis=(2, 3))
    sigma = stats.halfnorm(scale=2).logpdf(drawn["sigma"].to_numpy())
    for name, direct in (("theta", theta), ("beta", beta), ("sigma", sigma)):
        np.testing.assert_allclose(log_prior[name].to_numpy(), direct, rtol=1e-10)


def test_own_residual_sds_are_drawn_group_by_group():
    model = hm.OneWay(frame(), y="y", group="group", pooling="none", sigma="group")
    idata = model.fit(engine="exact", seed=8)
    assert idatas.dataset(idata, "posterior")["sigma"].dims == ("chain", "draw", "group")
    assert hm.certify(idata, model).passed


def test_known_errors_give_the_marginal_likelihood_in_closed_form():
    schools = hm.datasets.eight_schools()
    model = hm.EightSchools(
        schools, effect="effect", se="se", group="school", pooling="complete",
        priors={"mu": hm.Normal(0, 5)},
    )  # fmt: skip
    idata = model.fit(engine="exact", seed=8)
    v = np.diag(schools["se"].to_numpy(float) ** 2) + 25
    direct = stats.multivariate_normal.logpdf(schools["effect"], np.zeros(8), v)
    found = idatas.attributes(idata)["exact_log_marginal_likelihood"]
    assert found == pytest.approx(direct, rel=1e-11)


def test_the_statistics_alone_are_enough():
    data = frame()
    whole = slopes(data, "none").fit(engine="exact", seed=4)
    statistics = hm.sufficient_statistics(data, y="y", group="group", columns=["x1", "w1"])
    alone = slopes(statistics, "none").fit(engine="exact", seed=4)
    for name in ("theta", "beta", "sigma"):
        a, b = (idatas.dataset(i, "posterior")[name].to_numpy() for i in (whole, alone))
        np.testing.assert_allclose(a, b, rtol=1e-8)


def test_what_is_not_normal_given_sigma_is_left_to_nuts():
    with pytest.raises(OptionError, match=r"normal or flat priors.*StudentT.*use engine='nuts'"):
        slopes(frame(), "complete", {"mu": hm.StudentT(4, 0, 1)}).fit(engine="exact")
    model = hm.OneWay(frame(), y="y", group="group", pooling="complete", sigma="group")
    with pytest.raises(OptionError, match=r"one residual sd; got .*sigma='group'"):
        model.fit(engine="exact")
    with pytest.raises(OptionError, match="effects='summary' is for marginal programs"):
        slopes(frame(), "none").fit(engine="exact", effects="summary")
