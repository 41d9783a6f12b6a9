"""Each group's raw estimate, and how much the groups differ: against plain arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import hiermodels as hm
from hiermodels.comparison import estimates
from hiermodels.container import inference_data as idatas


def rows() -> pd.DataFrame:
    return hm.datasets.simulate_one_way(
        groups=5, size=[1, 3, 5, 8, 4], mu=3, tau=1.0, sigma=1.0, seed=4
    )[0]


def one_way(data: Any = None, **options: Any) -> hm.OneWay:
    return hm.OneWay(rows() if data is None else data, y="y", group="group", **options)


def slopes() -> hm.VaryingSlopes:
    made, _ = hm.datasets.simulate_varying_slopes(
        groups=4, size=[2, 6, 7, 9], mu=(1, 2), tau=(1, 0.5), sigma=1.5, seed=6
    )
    made["x1"] += 2
    return hm.VaryingSlopes(made, y="y", group="group", varying=["x1"])


def posterior(model: Any, **values: Any) -> Any:
    """A container of 40 draws; each value is repeated."""
    whole = {n: np.broadcast_to(x, (1, 40, *np.shape(x))) for n, x in values.items()}
    dims = {n: ("chain", "draw", *model.dims[n]) for n in whole}
    return idatas.container({"posterior": xr.Dataset({n: (dims[n], whole[n]) for n in whole})}, {})


def own_estimates(model):
    return model.family.own_estimates(model.design)


def test_raw_means_have_the_residual_sd_that_the_model_gives_them():
    grouped = rows().groupby("group")["y"]
    ssw, n = (grouped.var() * (grouped.size() - 1)).sum(), grouped.size()
    mean, se = own_estimates(one_way())
    np.testing.assert_allclose(mean[:, 0], grouped.mean())
    np.testing.assert_allclose(se[:, 0], np.sqrt(ssw / (n.sum() - 5) / n))
    # One sd for each group: a single row has none.
    with pytest.warns(hm.HierModelsWarning, match="without replication in group"):
        model = one_way(sigma="group", priors={"sigma": hm.HalfNormal(1)})
    mean, se = own_estimates(model)
    np.testing.assert_allclose(mean[:, 0], grouped.mean())
    np.testing.assert_allclose(se[:, 0], grouped.std() / np.sqrt(n))
    assert np.isnan(se[0, 0])
    with pytest.warns(hm.HierModelsWarning, match="without replication"):
        single = one_way(rows().groupby("group").head(1), priors={"sigma": hm.HalfNormal(1)})
    mean, se = own_estimates(single)
    np.testing.assert_allclose(mean[:, 0], grouped.first())
    assert np.isnan(se).all()


def test_raw_lines_are_least_squares_by_group_where_there_is_a_line():
    model = slopes()
    found, se = own_estimates(model)
    data = model.design.rows("")
    rss, df, unscaled = [], [], []
    for j in range(4):
        z, y = data.z[data.index == j], data.y[data.index == j]
        b = np.linalg.lstsq(z, y, rcond=None)[0]
        np.testing.assert_allclose(found[j], b, rtol=1e-8)
        rss.append(np.sum((y - z @ b) ** 2))
        df.append(len(y) - 2)
        unscaled.append(np.sqrt(np.diag(np.linalg.inv(z.T @ z))))
    # By the sd that all groups share: the two rows of the first leave nothing to tell its own by.
    assert df[0] == 0
    np.testing.assert_allclose(se, np.sqrt(sum(rss) / sum(df)) * np.array(unscaled))
    with pytest.warns(hm.HierModelsWarning, match="without replication in group"):
        by_group = model.replace(sigma="group")
    _, own = own_estimates(by_group)
    assert np.isnan(own[0]).all()
    np.testing.assert_allclose(own[3], np.sqrt(rss[3] / df[3]) * unscaled[3])


def test_the_table_of_summaries_is_that_of_draws_up_to_their_error():
    model = slopes()
    a, b = (
        estimates.table(model, {"partial": model.fit(engine="exact", seed=1, effects=kept)})
        for kept in ("draws", "summary")
    )
    assert a.columns.equals(b.columns)
    for name in ("mean", "q5", "q95"):
        off = (a[f"partial_{name}"] - b[f"partial_{name}"]) / (a["partial_sd"] / np.sqrt(4000))
        assert off.abs().max() < 12  # quantiles vary twice as much as means
    np.testing.assert_allclose(a["partial_sd"], b["partial_sd"], rtol=0.1)
    assert a["none_mean"].isna().all()
    for _, part in a.groupby("coefficient"):
        best = part.sort_values("partial_mean", ascending=False)
        assert best["rank"].tolist() == [1, 2, 3, 4]


def test_the_icc_of_groups_of_unlike_spread_counts_them_by_their_rows():
    model = one_way(rows()[1:], sigma="group", priors={"sigma": hm.HalfNormal(1)})
    sigma = np.array([2.0, 3, 4, 5])
    table = estimates.heterogeneity(model, posterior(model, mu=0.0, tau=2.0, sigma=sigma))
    within = (sigma**2 @ [3, 5, 8, 4]) / 20
    assert table.loc["icc", "mean"] == pytest.approx(4 / (4 + within))
    assert table.index.tolist() == ["tau", "icc"]  # no draws of the effects, no lambda


@pytest.mark.parametrize("at", ["zero", "centre"])
def test_shares_are_of_the_variance_of_the_rows(at):
    model = slopes().replace(intercept_at=at)
    tau, Omega = np.array([1.0, 0.5]), np.array([[1, -0.4], [-0.4, 1]])
    mu = np.zeros(2)
    drawn = posterior(model, mu=mu, tau=tau, Omega=Omega, sigma=1.5)
    table = estimates.heterogeneity(model, drawn)
    assert table.loc["tau[Intercept]", "mean"] == pytest.approx(1)  # at x = 0, as it is reported
    z = model.design.rows_from_origin("").z
    # b_0 = a_0 + mean a_1, of the height at the centre.
    to = np.array([[1, model.design.origin.moved.get("x1", 0)], [0, 1]])
    Sigma = to @ (tau[:, None] * Omega * tau) @ to.T
    explained = np.einsum("nk,km,nm->n", z, Sigma, z).mean()
    shares = table.filter(like="share", axis=0)["mean"]
    assert shares.sum() == pytest.approx(explained / (explained + 1.5**2))
    of_slopes = (Sigma @ (z.T @ z / len(z)))[1, 1]
    assert shares["share[x1]"] == pytest.approx(of_slopes / (explained + 1.5**2))


def test_lambda_is_over_all_groups_for_each_coefficient():
    model = slopes().replace(intercept_at="zero")
    rng = np.random.default_rng(3)
    known = np.column_stack([rng.standard_normal(4), np.zeros(4)])
    unknown = rng.standard_normal((1, 40, 4, 2)) * [0, 1]  # the slopes' alone
    drawn = posterior(
        model, mu=np.array([1.0, 2]), tau=np.ones(2), Omega=np.eye(2), sigma=1.0,
        theta=known + np.array([1.0, 2]),
    )  # fmt: skip
    ds = idatas.dataset(drawn, "posterior")
    moved = ds.assign(theta=ds["theta"] + unknown)
    table = estimates.heterogeneity(model, idatas.container({"posterior": moved}, {}))
    assert table.loc["lambda[Intercept]", "mean"] == pytest.approx(0, abs=1e-12)
    assert table.loc["lambda[x1]", "mean"] > 0.9
