"""Fits without a group or a row: against filtered frames, exact leave-one-out, and SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import hiermodels as hm
from hiermodels.comparison import refits
from hiermodels.container import inference_data as idatas
from hiermodels.errors import ImproperPosteriorError
from tests import regressions


def rows(seed: int = 4) -> pd.DataFrame:
    made, _ = hm.datasets.simulate_one_way(
        groups=6, size=[1, 2, 5, 8, 3, 4], mu=3, tau=1.0, sigma=1.0, seed=seed
    )
    return made


def one_way(data: pd.DataFrame, **options: Any) -> hm.OneWay:
    return hm.OneWay(data, y="y", group="group", **options)


def slopes(data: Any = None, **options: Any) -> hm.VaryingSlopes:
    if data is None:
        data, _ = hm.datasets.simulate_varying_slopes(
            groups=6, size=[4, 7, 9, 5, 6, 8], mu=(1, 2), tau=(1, 0.5), beta=(0.7,), sigma=1.5,
            seed=6,
        )  # fmt: skip
    return hm.VaryingSlopes(data, y="y", group="group", varying=["x1"], common=["w1"], **options)


PROPER: dict[str, Any] = {
    "pooling": "none",
    "priors": {
        "theta": {"Intercept": hm.Normal(1, 2), "x1": hm.Normal(2, 1.5)},
        "beta": hm.Normal(4, 5),
    },
}


def exact_fit(model: Any) -> Any:
    return model.fit(engine="exact", seed=11, draws=2000, pointwise=False)


def same_posterior(a: Any, b: Any) -> None:
    """The mode and curvature of all hyperparameters agree."""
    np.testing.assert_allclose(a.standardization.centre, b.standardization.centre, atol=1e-6)
    np.testing.assert_allclose(a.standardization.root, b.standardization.root, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("family", ["one way", "slopes"])
def test_a_model_without_a_group_is_that_of_the_filtered_frame_with_the_same_priors(family):
    # At 0, as the origin of a filtered frame is its own, and that of a refit the whole's.
    model = one_way(rows()) if family == "one way" else slopes(intercept_at="zero")
    rest = refits.without_groups(model, [2])
    label = model.design.labels[2]
    frame = model._options["frame"]
    filtered = model.replace(frame=frame[frame["group"] != label], priors=dict(model.priors))
    assert rest.design.labels.tolist() == filtered.design.labels.tolist()
    assert str(rest.priors).split() == str(filtered.priors).split()
    same_posterior(rest, filtered)
    a, b = (m.design.rows("") for m in (rest, filtered))
    for name in ("y", "index", "z", "x"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_a_model_without_rows_is_that_of_the_filtered_frame():
    """Row 0 is the only one of its group, which is no more."""
    model = one_way(rows())
    rest = refits.without_rows(model, [0, 5])
    frame = rows().drop(index=[0, 5])
    filtered = one_way(frame, priors=dict(model.priors))
    assert rest.design.labels.tolist() == filtered.design.labels.tolist()
    same_posterior(rest, filtered)


def test_refits_of_one_way_agree_with_exact_leave_one_out():
    model = one_way(rows())
    exact = hm.exact.posterior(model)
    by_group = exact.loo("group").table["elpd"]
    for place in (0, 3):
        found = refits.group_elpd(model, place, exact_fit)
        assert found == pytest.approx(by_group.iloc[place], abs=0.03)
    by_row = exact.loo("observation").table["elpd"]
    for place in (0, 4, 12):  # the first is its group's only row
        found = refits.row_elpd(model, place, exact_fit)
        assert found == pytest.approx(by_row.iloc[place], abs=0.03)


def test_a_refit_of_eight_schools_agrees_with_the_exact_one():
    model = hm.EightSchools(
        hm.datasets.eight_schools(), effect="effect", se="se", group="school",
        priors={"mu": hm.Normal(0, 5), "tau": hm.HalfCauchy(5)},
    )  # fmt: skip
    exact = hm.exact.posterior(model).loo("group").table["elpd"]
    assert refits.group_elpd(model, 0, exact_fit) == pytest.approx(exact["A"], abs=0.02)
    assert refits.row_elpd(model, 0, exact_fit) == pytest.approx(exact["A"], abs=0.02)


def test_a_group_left_out_of_varying_slopes_is_scored_by_its_multivariate_normal():
    """The mean over draws of N(y_j | X b + Z mu, Z Sigma Z' + sigma^2 I), by SciPy."""
    model = slopes()
    rest = refits.without_groups(model, [1])
    drawn = idatas.dataset(exact_fit(rest), "posterior")
    mu, tau, sigma, beta, Omega = (
        drawn[n].to_numpy().reshape(8000, *drawn[n].shape[2:])
        for n in ("mu", "tau", "sigma", "beta", "Omega")
    )
    data = model.design.rows("")
    own = data.index == 1
    log_p = []
    for d in range(0, 8000, 8):
        Sigma = tau[d][:, None] * Omega[d] * tau[d]
        v = data.z[own] @ Sigma @ data.z[own].T + sigma[d] ** 2 * np.eye(own.sum())
        m = data.z[own] @ mu[d] + data.x[own] @ beta[d]
        log_p.append(stats.multivariate_normal.logpdf(data.y[own], m, v))
    direct = special.logsumexp(log_p) - np.log(len(log_p))
    assert refits.group_elpd(model, 1, exact_fit) == pytest.approx(direct, abs=0.1)


def test_a_row_of_a_group_without_others_has_no_prediction_without_pooling():
    model = one_way(rows(), pooling="none")
    assert np.isnan(refits.row_elpd(model, 0, exact_fit))
    assert np.isfinite(refits.row_elpd(model, 1, exact_fit))


def test_a_row_of_a_group_without_others_comes_from_a_proper_prior_without_pooling():
    """y ~ N(m, s^2 + sigma^2), with sigma's posterior given the other groups."""
    model = one_way(rows(), pooling="none", priors={"theta": hm.Normal(2, 3)})
    rest = refits.without_rows(model, [0])
    sigma = idatas.dataset(exact_fit(rest), "posterior")["sigma"].to_numpy()
    direct = np.log(stats.norm(2, np.sqrt(9 + sigma**2)).pdf(rows()["y"][0]).mean())
    assert refits.row_elpd(model, 0, exact_fit) == pytest.approx(direct, abs=0.05)
    data = rows().assign(x1=np.cos(np.arange(23)), w1=np.cos(2 * np.arange(23)))  # 1 in row 0
    with pytest.warns(hm.HierModelsWarning, match="too small for a regression of their own"):
        lines = slopes(data, **PROPER)
    rest = refits.without_rows(lines, [0])  # which has nothing new to warn of
    sigma = idatas.dataset(exact_fit(rest), "posterior")["sigma"].to_numpy()
    mean, variance = 1 + 2 + 4, 2**2 + 1.5**2 + 5**2
    direct = np.log(stats.norm(mean, np.sqrt(variance + sigma**2)).pdf(data["y"][0]).mean())
    assert refits.row_elpd(lines, 0, exact_fit) == pytest.approx(direct, abs=0.1)


def test_rows_and_groups_of_varying_slopes_are_those_that_weights_give():
    """Refits predict from a line and its group's effect; weights from the likelihood alone."""
    model = slopes()
    idata = model.fit(engine="exact", seed=3)
    for unit, refitted in (("observation", refits.row_elpd), ("group", refits.group_elpd)):
        table = hm.loo(idata, unit).table
        for place in np.argsort(table["pareto_k"].to_numpy())[:2]:  # where the weights are good
            found = refitted(model, int(place), exact_fit)
            assert found == pytest.approx(table["elpd"].iloc[place], abs=0.06)


def test_rows_under_no_and_complete_pooling_are_scored_by_students_t():
    """With flat coefficients and 1/sigma the prediction is t_{N-p} (BDA3, section 14.3)."""
    data = rows()
    flat = {"sigma": hm.LogFlat(), "mu": hm.Flat()}
    model = one_way(data, pooling="complete", priors=flat)
    rest = data["y"].drop(index=7)
    scale = rest.std() * np.sqrt(1 + 1 / len(rest))
    direct = stats.t(len(rest) - 1, rest.mean(), scale).logpdf(data["y"][7])
    assert refits.row_elpd(model, 7, exact_fit) == pytest.approx(direct, abs=0.02)
    # A row of the third group, which has a line, or a residual sd, of its own.
    lines = regressions.slopes(slopes()._options["frame"], "none", ["w1"])
    found = refits.row_elpd(lines, 12, exact_fit)
    assert found == pytest.approx(regressions.exact_loo(lines)[12], abs=0.05)
    data = data[data["group"].map(data["group"].value_counts()) > 2]
    own = one_way(data, pooling="none", sigma="group", priors={"sigma": hm.LogFlat()})
    rest = data.loc[data["group"] == data["group"].iloc[7], "y"].drop(index=data.index[7])
    scale = rest.std() * np.sqrt(1 + 1 / len(rest))
    direct = stats.t(len(rest) - 1, rest.mean(), scale).logpdf(data["y"].iloc[7])
    assert refits.row_elpd(own, 7, exact_fit) == pytest.approx(direct, abs=0.02)


def test_what_the_rest_cannot_determine_is_refused():
    schools = hm.datasets.eight_schools().head(3)
    flat = {"mu": hm.Flat(), "tau": hm.Flat()}
    model = hm.EightSchools(schools, effect="effect", se="se", group="school", priors=flat)
    with pytest.raises(ImproperPosteriorError):
        refits.group_elpd(model, 0, exact_fit)


def test_a_groups_own_sigma_comes_from_its_prior_when_it_is_left_out():
    """The refit draws sigma_j from its prior; an improper one leaves no prediction."""
    data, _ = hm.datasets.simulate_one_way(groups=5, size=12, mu=3, tau=1.0, sigma=1.0, seed=1)
    model = one_way(data, sigma="group", priors={"sigma": hm.HalfNormal(1)})
    drawn = {"mu": 3.0, "tau": 1.0}

    def fit(rest: Any) -> Any:
        import xarray as xr

        n = 4000
        full = {name: (("chain", "draw"), np.full((1, n), v)) for name, v in drawn.items()}
        sigma = (("chain", "draw", "group"), np.full((1, n, rest.design.J), 1.0))
        return idatas.container({"posterior": xr.Dataset({**full, "sigma": sigma})}, {})

    y = data.loc[data["group"] == model.design.labels[0], "y"].to_numpy()
    sigmas = stats.halfnorm.ppf((np.arange(2000) + 0.5) / 2000)
    log_p = [
        stats.multivariate_normal.logpdf(y, np.full(12, 3.0), s**2 * np.eye(12) + 1) for s in sigmas
    ]
    direct = special.logsumexp(log_p) - np.log(2000)
    assert refits.group_elpd(model, 0, fit) == pytest.approx(direct, abs=0.15)
    improper = model.replace(priors={"sigma": hm.LogFlat()})
    assert np.isnan(refits.group_elpd(improper, 0, fit))
    # The sigma of the one group that is left is not the other's, either.
    del drawn["tau"]
    two = one_way(
        data[data["group"].isin(model.design.labels[:2])], sigma="group", pooling="complete",
        priors={"sigma": hm.HalfNormal(1)},
    )  # fmt: skip
    own = stats.norm.logpdf(y[:, None], 3.0, sigmas).sum(axis=0)
    direct = special.logsumexp(own) - np.log(2000)
    assert refits.group_elpd(two, 0, fit) == pytest.approx(direct, abs=0.15)
