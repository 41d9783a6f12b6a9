"""The closed form is what leaving a row out does, and the wild row is found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import hiermodels as hm
from hiermodels.container import inference_data as idatas
from hiermodels.container.rows import fitted_rows
from hiermodels.errors import ContainerError

COLUMNS = ["observation", "group", "coefficient", "n", "leverage", "t", "p", "shift"]


@pytest.fixture(scope="module")
def slopes() -> Any:
    frame, _ = hm.datasets.simulate_varying_slopes(groups=8, seed=3)
    # Far from 0, so that intercept and slope can hardly be told apart; and a common column.
    frame = frame.assign(x=frame["x1"] + 1000.0, w=np.arange(len(frame)) % 5)
    model = hm.VaryingSlopes(frame, y="y", group="group", varying=["x"], common=["w"])
    return model.fit(engine="exact", seed=1, pointwise=False)


@pytest.fixture(scope="module")
def one_way() -> Any:
    frame, _ = hm.datasets.simulate_one_way(groups=12, size=9, seed=4)
    return hm.OneWay(frame, y="y", group="group").fit(engine="exact", seed=1)


@pytest.fixture(scope="module")
def schools() -> Any:
    model = hm.EightSchools(hm.datasets.eight_schools(), effect="effect", se="se", group="school")
    return model.fit(engine="exact", seed=1)


def hyperparameters(idata: Any) -> tuple[Any, ...]:
    draws = idatas.dataset(idata, "posterior")
    posterior = draws.mean(("chain", "draw"))
    rows = fitted_rows(idata, "a test")
    tau = draws["tau"].to_numpy()
    tau = tau.reshape(4000, -1)
    K = tau.shape[1]
    Omega = draws["Omega"].to_numpy().reshape(4000, K, K) if K > 1 else np.ones((4000, 1, 1))
    Sigma = (tau[:, :, None] * Omega * tau[:, None, :]).mean(axis=0)
    beta = posterior["beta"].to_numpy() if rows.x.shape[1] else np.zeros(0)
    variance = (
        rows.se**2
        if rows.se is not None
        else np.full(len(rows.y), float((draws["sigma"] ** 2).mean()))
    )
    return rows, np.atleast_1d(posterior["mu"].to_numpy()), Sigma, beta, variance


def effect(z: Any, r: Any, variance: Any, mu: Any, Sigma: Any) -> Any:
    """Posterior mean of one group's effect: precision-weighted, solved outright."""
    precision = np.linalg.inv(Sigma) + z.T @ (z / variance[:, None])
    return np.linalg.solve(precision, np.linalg.solve(Sigma, mu) + z.T @ (r / variance))


@pytest.mark.parametrize("which", ["slopes", "one_way", "schools"])
def test_a_shift_is_what_leaving_the_row_out_does(which: str, request: Any) -> None:
    idata = request.getfixturevalue(which)
    rows, mu, Sigma, beta, variance = hyperparameters(idata)
    table = hm.influence(idata)
    assert list(table.columns) == COLUMNS
    assert len(table) == len(rows.y) * len(mu)
    sds = idatas.dataset(idata, "posterior")["theta"].std(("chain", "draw"), ddof=1).to_numpy()
    sds = sds.reshape(len(rows.labels), -1)
    r = rows.y - rows.x @ beta
    shift = table.set_index(["observation", "coefficient"])["shift"]
    for i in range(0, len(rows.y), 5 if which == "slopes" else 1):
        own = rows.index == rows.index[i]
        rest = own & (np.arange(len(own)) != i)
        whole = effect(rows.z[own], r[own], variance[own], mu, Sigma)
        less = effect(rows.z[rest], r[rest], variance[rest], mu, Sigma)
        wanted = (whole - less) / sds[rows.index[i]]
        found = [shift[rows.places[i], c] for c in rows.coefficients]
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)
    assert (table["shift"].abs().diff().dropna() <= 0).all()


def test_leverage_is_what_the_row_adds_to_the_groups_precision(one_way: Any) -> None:
    rows, _, Sigma, _, variance = hyperparameters(one_way)
    table = hm.influence(one_way)
    # One over sigma^2 of the whole precision 1 / tau^2 + n / sigma^2.
    wanted = 1 / (variance[0] / Sigma[0, 0] + 9)
    np.testing.assert_allclose(table["leverage"], wanted, rtol=1e-10)
    assert (table["n"] == 9).all()
    assert set(table["coefficient"]) == {"Intercept"}
    assert sorted(table["observation"]) == list(range(len(rows.y)))


def test_t_follows_its_distribution_where_the_model_is_right() -> None:
    frame, _ = hm.datasets.simulate_one_way(groups=300, size=7, seed=8)
    idata = hm.OneWay(frame, y="y", group="group").fit(
        engine="exact", seed=1, draws=250, pointwise=False
    )
    p = hm.influence(idata)["p"]
    assert stats.kstest(p, "uniform").pvalue > 1e-4


def test_t_has_the_variance_re_estimated_without_the_row(one_way: Any) -> None:
    # With 12 groups of 9 rows: z^2 of all rows adds up to about their number less the leverages.
    table = hm.influence(one_way)
    h = table["leverage"].to_numpy()
    df = len(h) - h.sum()
    # t^2 = z^2 (df - 1) / (df - z^2), solved for z^2
    z2 = df * table["t"] ** 2 / (df - 1 + table["t"] ** 2)
    assert (z2 * (1 - h)).sum() == pytest.approx(df, rel=0.1)
    np.testing.assert_allclose(table["p"], 2 * stats.t.sf(table["t"].abs(), df - 1), rtol=1e-10)


def test_a_row_moved_by_ten_sigma_is_the_first_also_where_each_group_has_its_sd() -> None:
    frame, _ = hm.datasets.simulate_one_way(groups=12, size=15, tau=3.0, sigma=2.0, seed=6)
    frame.loc[20, "y"] -= 20.0
    idata = hm.OneWay(frame, y="y", group="group").fit(engine="exact", seed=1, draws=500)
    posterior = idatas.dataset(idata, "posterior")
    own = np.broadcast_to(frame.groupby("group")["y"].std().to_numpy(), (4, 500, 12))
    parts = {n: idatas.dataset(idata, n) for n in ("observed_data", "constant_data")}
    by_group = posterior.assign(sigma=(("chain", "draw", "group"), own))
    separate = idatas.container({"posterior": by_group, **parts}, idatas.attributes(idata))
    for fit in (idata, separate):
        table = hm.influence(fit)
        wild = table.sort_values("p").iloc[0]
        assert wild["observation"] == 20
        assert wild["shift"] < -0.5
        assert wild["p"] < 1e-5
        # It hides neither itself in the sd that it has made larger, nor makes itself wilder.
        assert 7 < abs(wild["t"]) < 14


def test_known_standard_errors_stay_as_they_are(schools: Any) -> None:
    table = hm.influence(schools).set_index("group")
    rows, mu, Sigma, _, variance = hyperparameters(schools)
    # Without its own estimate a school is as the population: N(mu, tau^2 + se^2).
    z = (rows.y - mu[0]) / np.sqrt(Sigma[0, 0] + variance)
    np.testing.assert_allclose(table.loc[rows.labels, "t"], z, rtol=1e-10)
    np.testing.assert_allclose(table.loc[rows.labels, "p"], 2 * stats.norm.sf(abs(z)), rtol=1e-10)


def test_effects_that_were_summed_up_serve_as_well(one_way: Any) -> None:
    frame, _ = hm.datasets.simulate_one_way(groups=12, size=9, seed=4)
    model = hm.OneWay(frame, y="y", group="group")
    summed = hm.influence(model.fit(engine="exact", seed=1, effects="summary"))
    ratio = (
        summed.set_index("observation")["shift"]
        / hm.influence(one_way).set_index("observation")["shift"]
    )
    assert ratio.between(0.93, 1.07).all()  # the draws' own error in the sds
    with pytest.raises(ContainerError, match=r"needs the group effects, .* fit with effects="):
        hm.influence(model.fit(engine="exact", seed=1, effects="none"))


def test_a_population_without_spread_leaves_rows_without_influence(one_way: Any) -> None:
    posterior = idatas.dataset(one_way, "posterior")
    flat = idatas.container(
        {
            "posterior": posterior.assign(tau=posterior["tau"] * 0),
            "observed_data": idatas.dataset(one_way, "observed_data"),
            "constant_data": idatas.dataset(one_way, "constant_data"),
        },
        idatas.attributes(one_way),
    )
    table = hm.influence(flat)
    assert (table["leverage"] == 0).all()
    assert (table["shift"] == 0).all()
    assert np.isfinite(table["t"]).all()


def test_what_it_needs_is_said(one_way: Any) -> None:
    parts = {n: idatas.dataset(one_way, n) for n in ("posterior", "observed_data")}
    attrs = idatas.attributes(one_way)
    with pytest.raises(ContainerError, match=r"partial pooling, got pooling='none'; fit model"):
        hm.influence(idatas.container(parts, {**attrs, "pooling": "none"}))
    with pytest.raises(ContainerError, match="the influence of rows needs the rows"):
        hm.influence(idatas.container(parts, attrs))
    with pytest.raises(ContainerError, match=r"need the dims .*sel\(chain=\[0\]\) keeps"):
        hm.influence(one_way.sel(chain=0))


def test_labels_are_those_of_the_frame() -> None:
    frame = pd.DataFrame({"school": list("bbbaaacc"), "score": [1.0, 2, 9, 4, 5, 6, 2, 3]})
    idata = hm.OneWay(frame, y="score", group="school").fit(engine="exact", seed=1)
    table = hm.influence(idata).set_index("observation")
    assert table["group"].sort_index().tolist() == frame["school"].tolist()
    assert table["n"].sort_index().tolist() == [3] * 6 + [2] * 2
