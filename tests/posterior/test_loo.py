"""Leave-one-out from one fit is the exact one, says where it cannot be, and never invents one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import hiermodels as hm
from hiermodels.container import inference_data as idatas
from hiermodels.errors import ContainerError, OptionError
from hiermodels.posterior import loo as loos
from hiermodels.posterior.loo import Loo, loo, with_refits
from tests import regressions

PRIORS = {"mu": hm.Normal(0, 5), "tau": hm.HalfCauchy(5)}
# Of an estimated log density that 4000 draws with a Pareto k below 0.7 give: some hundredths.
NEAR = 0.1


def eight_schools(**options: Any) -> hm.EightSchools:
    frame = hm.datasets.eight_schools()
    return hm.EightSchools(
        frame, effect="effect", se="se", group="school", priors=PRIORS, **options
    )


@pytest.fixture(scope="module")
def schools() -> Any:
    return eight_schools().fit(engine="exact", seed=1)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return hm.datasets.simulate_one_way(
        groups=12, size=np.array([2, 3, 4, 5, 6, 7] * 2), mu=2, tau=1, sigma=1.5, seed=3
    )[0]


@pytest.fixture(scope="module")
def one_way(rows) -> tuple[hm.OneWay, Any]:
    priors = {"mu": hm.Normal(1, 3), "tau": hm.HalfCauchy(1), "sigma": hm.HalfNormal(2)}
    model = hm.OneWay(rows, y="y", group="group", priors=priors)
    return model, model.fit(engine="exact", seed=2)


@pytest.fixture(scope="module")
def slopes() -> pd.DataFrame:
    return hm.datasets.simulate_varying_slopes(
        groups=6, size=8, mu=(1, 2), tau=(1, 0.5), Omega=0.4, sigma=1.0, seed=5
    )[0]


def without(idata: Any, *names: str, **attrs: Any) -> Any:
    """A container without some of its groups, its attributes changed."""
    kept = {n: idatas.dataset(idata, n) for n in idatas.groups(idata) if n not in names}
    return idatas.container(kept, idatas.attributes(idata) | attrs)


# ---- the numbers --------------------------------------------------------------------------------


def test_eight_schools_by_group_are_the_exact_ones(schools):
    """-30.742 is the quadrature's, in eight_schools_exact.json under these priors."""
    found = loo(schools, "group")
    assert found.elpd == pytest.approx(-30.742, abs=0.05)
    exact = hm.exact.posterior(eight_schools()).loo("group")
    np.testing.assert_allclose(found.table["elpd"], exact.table["elpd"], atol=0.02)
    assert found.se == pytest.approx(exact.se, abs=0.05)
    # The densities without their group are lower by 0.39 in all: lppd would not pass for elpd.
    assert exact.p_loo == pytest.approx(0.393, abs=0.001)
    np.testing.assert_allclose(found.table["lppd"], exact.table["lppd"], atol=0.01)
    assert found.p_loo == pytest.approx(exact.p_loo, abs=0.05)
    assert found.ok
    assert found.table.index.name == "school"
    assert found.table.index.tolist() == list("ABCDEFGH")


def test_eight_schools_by_observation_leave_out_the_same(schools):
    """The same terms are left out; the densities with nothing left out are given the effects."""
    found, exact = loo(schools), hm.exact.posterior(eight_schools()).loo("observation")
    np.testing.assert_allclose(found.table["elpd"], exact.table["elpd"], atol=NEAR)
    np.testing.assert_allclose(found.table["lppd"], exact.table["lppd"], atol=0.02)
    assert found.p_loo == pytest.approx(exact.p_loo, abs=NEAR)


@pytest.mark.parametrize("unit", ["group", "observation"])
def test_rows_in_groups_are_the_exact_ones(one_way, unit):
    model, idata = one_way
    found, exact = loo(idata, unit), hm.exact.posterior(model).loo(unit)
    good = found.table["pareto_k"] <= found.k_limit
    assert good.mean() > 0.9
    apart = (found.table["elpd"] - exact.table["elpd"])[good]
    assert apart.abs().max() < 1.5 * NEAR
    assert apart.abs().mean() < 0.02
    np.testing.assert_allclose(found.table["lppd"], exact.table["lppd"], atol=0.02)
    assert found.table["p_loo"][good].sum() == pytest.approx(
        exact.table["p_loo"][good].sum(), abs=0.02 * good.sum()
    )
    # What leaving out costs is far above these: lppd would not pass for elpd.
    assert found.table["p_loo"][good].mean() > 0.1
    assert found.table.index.equals(exact.table.index)
    assert found.table.index.name == exact.table.index.name


@pytest.mark.parametrize("pooling", ["none", "complete"])
def test_regressions_are_the_exact_ones(rows, slopes, pooling):
    models = [
        regressions.one_way(rows, pooling),
        regressions.slopes(slopes, pooling),
        regressions.slopes(slopes.assign(w=np.sin(np.arange(len(slopes)))), pooling, ["w"]),
    ]
    for model in models:
        found, exact = loo(regressions.container(model)), regressions.exact_loo(model)
        assert found.undefined == 0
        good = found.table["pareto_k"].to_numpy() <= found.k_limit
        assert good.mean() > 0.75
        assert np.abs(found.table["elpd"] - exact)[good].max() < 2 * NEAR
        assert np.abs(found.table["elpd"] - exact)[good].mean() < 0.03


def test_complete_pooling_of_schools_is_exact_by_row_and_by_group():
    """One row a group: both leave out the same."""
    model = regressions.eight_schools("complete")
    idata = regressions.container(model)
    exact = regressions.exact_loo(model)
    for unit in ("observation", "group"):
        np.testing.assert_allclose(loo(idata, unit).table["elpd"], exact, atol=0.03)


def test_sums_and_standard_error_are_those_of_the_terms(one_way):
    found = loo(one_way[1])
    terms = found.table["elpd"]
    assert found.n == len(terms) == 54
    assert found.elpd == pytest.approx(terms.sum())
    assert found.se == pytest.approx(np.sqrt(54 * np.var(terms, ddof=1)))
    assert found.p_loo == pytest.approx((found.table["lppd"] - terms).sum())
    assert list(found.table.columns) == ["elpd", "lppd", "p_loo", "pareto_k"]
    assert found.draws == 4000
    assert found.k_limit == pytest.approx(0.7)


def test_the_limit_of_k_falls_with_few_draws():
    found = loo(eight_schools().fit(engine="exact", seed=1, draws=50, chains=2), "group")
    assert found.k_limit == pytest.approx(0.5)


def test_they_are_arvizs_own(one_way):
    """Its lines differ by one draw of 189 in the tail; elpd and k hardly do."""
    az, found = idatas.arviz(), loo(one_way[1])
    if idatas.arviz_line() == "0.x":
        theirs = az.loo(one_way[1], pointwise=True)
        elpd, k = theirs.loo_i, theirs.pareto_k
        se = np.std(elpd.values, ddof=1) / np.std(elpd.values) * theirs.se
        near = {"k": 0.03, "elpd": 2e-3}
    else:
        theirs = az.loo(one_way[1], pointwise=True)
        elpd, k, se = theirs.elpd_i, theirs.pareto_k, theirs.se
        near = {"k": 1e-6, "elpd": 1e-8}
    np.testing.assert_allclose(found.table["elpd"], elpd, atol=near["elpd"])
    np.testing.assert_allclose(found.table["pareto_k"], k, atol=near["k"])
    assert found.se == pytest.approx(float(se), rel=0.02)


def of_a_mean(mu: Any, y: Any) -> Any:
    """A container of another library, of y ~ N(mu, 1): neither attributes nor data."""
    log_p = -0.5 * np.log(2 * np.pi) - 0.5 * (y - mu[..., None]) ** 2
    dims = ("chain", "draw")
    return idatas.container(
        {
            "posterior": xr.Dataset({"mu": (dims, mu)}),
            "log_likelihood": xr.Dataset({"y": ((*dims, "day"), log_p)}),
        },
        {},
    )


def test_both_lines_of_arviz_give_these_numbers():
    """Recorded with ArviZ 0.23.4; ArviZ 1.3.0 has them to these digits."""
    rng = np.random.default_rng(6)
    mu = 0.6 * rng.standard_normal((4, 1000))
    found = loo(of_a_mean(mu, rng.standard_t(3, 20)))
    assert found.elpd == pytest.approx(-45.745225, abs=1e-6)
    assert found.se == pytest.approx(7.193984, abs=1e-6)
    assert found.p_loo == pytest.approx(13.336075, abs=1e-6)
    assert found.table["pareto_k"].sum() == pytest.approx(9.728598, abs=1e-6)


def test_relative_efficiency_is_arvizs(one_way):
    """The effective sample size of the mean, over all entries; draws that hang together have less.

    An entry that does not move (the diagonal of Omega) counts as so many draws.
    """
    az, posterior = idatas.arviz(), idatas.dataset(one_way[1], "posterior")
    slow = posterior.rolling(draw=10, min_periods=1).mean()
    for ds in (posterior, slow, slow.assign(one=posterior["mu"] * 0 + 1)):
        sizes = az.ess(ds, method="mean")
        sizes = getattr(sizes, "dataset", sizes)
        theirs = np.hstack([sizes[name].values.ravel() for name in sizes.data_vars]).mean() / 4000
        assert loos._relative_efficiency(ds) == pytest.approx(float(theirs), rel=1e-6)
    assert loos._relative_efficiency(posterior.isel(chain=[0])) == 1


def test_blocks_of_terms_change_nothing(one_way, monkeypatch):
    whole = loo(one_way[1]).table
    monkeypatch.setattr(loos, "_BLOCK", 4000 * 7)
    pd.testing.assert_frame_equal(loo(one_way[1]).table, whole)


def test_by_group_needs_neither_rows_nor_effects(rows, one_way):
    found = hm.sufficient_statistics(rows, y="y", group="group")
    model = hm.OneWay(found, y="y", group="group", priors=dict(one_way[0].priors))
    idata = model.fit(engine="exact", seed=2, effects="none")
    assert loo(idata, "group").elpd == pytest.approx(loo(one_way[1], "group").elpd, abs=0.1)


# ---- what it says -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def outlier() -> Any:
    """A row that is far from all that the others say."""
    frame = hm.datasets.simulate_one_way(groups=10, size=4, mu=0, tau=0.3, sigma=1, seed=4)[0]
    frame.loc[17, "y"] = 14.0
    return hm.OneWay(frame, y="y", group="group").fit(engine="exact", seed=1)


def test_a_bad_one_names_the_rows_and_the_next_step(outlier):
    found = loo(outlier)
    assert not found.ok
    assert found.bad.index[0] == 17
    assert (found.bad["pareto_k"] > found.k_limit).all()
    assert found.bad["pareto_k"].is_monotonic_decreasing
    said = str(found)
    assert f"Pareto k is above 0.70 in {len(found.bad)} of 40 terms: 17 (" in said
    assert "elpd tends to be too high" in said
    assert "hm.exact.posterior(model).loo('observation')" in said
    assert "unit='group', the prediction of new groups" in said
    assert "fit again without each of these rows, as hm.compare_pooling(model, refit='bad')" in said


def test_terms_without_a_prediction_are_not_in_the_sums(rows):
    model = regressions.one_way(pd.concat([rows, rows[:1].assign(group=99)]), "none")
    idata = regressions.container(model)
    found, exact = loo(idata), regressions.exact_loo(model)
    assert found.undefined == 1
    assert found.n == 54
    row = found.table.loc[54]
    assert row[["elpd", "p_loo", "pareto_k"]].isna().all()
    assert np.isfinite(row["lppd"])
    assert found.elpd == pytest.approx(found.table["elpd"][:54].sum())
    good = found.table["pareto_k"] <= found.k_limit
    assert np.abs(found.table["elpd"] - exact)[good].max() < 2 * NEAR
    assert "1 of 55 observations (54) has no prediction: without it, its group" in str(found)
    assert "('theta') is flat" in str(found)


def test_where_no_term_is_defined_there_is_no_number():
    found = loo(regressions.container(regressions.eight_schools("none")))
    assert found.undefined == 8
    assert found.n == 0
    assert np.isnan([found.elpd, found.se, found.p_loo]).all()
    assert not found.ok
    assert "no term is defined" in str(found)
    assert "8 of 8 observations (A, B, C, ...) have no prediction" in str(found)


def test_refits_take_the_place_of_weights(outlier):
    found = loo(outlier)
    bad = found.bad.index
    exact = pd.Series(-40.0, index=bad)
    mended = with_refits(found, exact)
    assert mended.ok
    assert (mended.table.loc[bad, "elpd"] == -40).all()
    assert mended.elpd == pytest.approx(found.table["elpd"].drop(bad).sum() - 40 * len(bad))
    assert mended.p_loo == pytest.approx(mended.table["p_loo"].sum())
    none = with_refits(found, pd.Series(np.nan, index=bad), "there is no fit without it")
    assert none.undefined == len(bad)
    assert none.elpd == pytest.approx(found.table["elpd"].drop(bad).sum())
    assert "no prediction: there is no fit without it. They are not in the sums" in str(none)
    assert not found.ok  # which is as it was
    assert found.table.loc[bad, "pareto_k"].notna().all()


# ---- what it refuses ----------------------------------------------------------------------------


def test_no_pooling_has_no_prediction_for_a_new_group(rows):
    idata = regressions.container(regressions.one_way(rows, "none"))
    with pytest.raises(OptionError, match=r"no distribution in common.*prior is flat.*'partial'"):
        loo(idata, "group")
    proper = without(idata, priors='{"theta": {"family": "Normal", "mean": 0, "sd": 9}}')
    with pytest.raises(OptionError, match=r"could come from; use unit='observation'"):
        loo(proper, "group")


def test_a_log_likelihood_that_was_left_out_is_named_with_what_adds_it(schools):
    idata = eight_schools().fit(engine="exact", seed=1, pointwise=False)
    with pytest.raises(
        ContainerError, match=r"'log_likelihood'.*not asked for.*model\.add_pointwise\(idata\) adds"
    ):
        loo(idata)
    with pytest.raises(ContainerError, match=r"'log_likelihood_group'.*add_pointwise\(idata\)"):
        loo(idata, "group")
    eight_schools().add_pointwise(idata)
    pd.testing.assert_frame_equal(loo(idata).table, loo(schools).table)
    pd.testing.assert_frame_equal(loo(idata, "group").table, loo(schools, "group").table)


def test_a_container_without_rows_says_that_groups_need_none(rows):
    found = hm.sufficient_statistics(rows, y="y", group="group")
    idata = hm.OneWay(found, y="y", group="group").fit(engine="exact", seed=1, draws=100)
    with pytest.raises(
        ContainerError,
        match=r"need the rows.*add_pointwise\(idata\).*unit='group' needs neither rows",
    ):
        loo(idata)


def test_a_unit_that_there_is_not_is_refused(schools):
    with pytest.raises(OptionError, match=r"must be 'observation' or 'group', got 'groups'.*mean"):
        loo(schools, "groups")
    with pytest.raises(ContainerError, match=r"an ArviZ container .* is needed"):
        loo({"posterior": 1})


def test_log_likelihoods_that_cannot_be_used_are_refused(schools):
    def changed(change: Any) -> Any:
        new = without(schools)
        idatas.add(new, "log_likelihood", change(idatas.dataset(schools, "log_likelihood")))
        return new

    with pytest.raises(ContainerError, match="must be finite, got NaN or infinity"):
        loo(changed(lambda ds: ds.where(ds["school"] != "C")))
    with pytest.raises(ContainerError, match="must hold one variable, got effect, again"):
        loo(changed(lambda ds: ds.assign(again=ds["effect"])))
    with pytest.raises(ContainerError, match=r"dims chain, draw and one more.*stack the others"):
        loo(changed(lambda ds: ds.expand_dims(more=2)))
    with pytest.raises(ContainerError, match="at least 25 draws, got 24"):
        loo(changed(lambda ds: ds.isel(draw=slice(0, 6))))


def test_a_container_of_another_library_will_do():
    """Its terms are taken to be defined."""
    rng = np.random.default_rng(1)
    mu = rng.normal(size=(4, 500)) / np.sqrt(20)
    y = rng.normal(size=20)
    y -= y.mean()
    found = loo(of_a_mean(mu, y))
    # y_i | rest ~ N(mean of the rest, 1 + 1/19), of a mean with a flat prior.
    away, variance = y * 20 / 19, 20 / 19
    exact = -0.5 * np.log(2 * np.pi * variance) - 0.5 * away**2 / variance
    np.testing.assert_allclose(found.table["elpd"], exact, atol=0.03)
    assert found.table.index.tolist() == list(range(20))
    assert found.table.index.name == "day"
    assert isinstance(found, Loo)
    assert "a posterior" in str(found)
