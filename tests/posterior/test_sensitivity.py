"""Sensitivity to priors and likelihood: the table, the diagnosis, the words."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import hiermodels as hm
from hiermodels.container import inference_data as idatas
from hiermodels.errors import ContainerError, DiagnosticWarning, OptionError
from hiermodels.posterior.sensitivity import CONFLICT, FINE, STRONG, sensitivity

COLUMNS = ["prior", "likelihood", "diagnosis"]
SCHOOLS = [f"theta[{name}]" for name in "ABCDEFGH"]


def schools(**priors: Any) -> hm.EightSchools:
    frame = hm.datasets.eight_schools()
    return hm.EightSchools(frame, effect="effect", se="se", group="school", priors=priors)


@pytest.fixture(scope="module")
def idata() -> Any:
    model = schools(mu=hm.Normal(0, 5), tau=hm.HalfCauchy(5))
    return model.fit(engine="exact", seed=1)


@pytest.fixture(scope="module")
def found(idata: Any) -> Any:
    return sensitivity(idata)


@pytest.fixture(scope="module")
def slopes() -> Any:
    frame = hm.datasets.simulate_varying_slopes(groups=12, size=12, seed=3).frame
    model = hm.VaryingSlopes(frame, y="y", group="group", varying=["x1"])
    return model.fit(engine="exact", seed=1)


def without(idata: Any, *left_out: str) -> Any:
    """The container without some of its groups."""
    groups = {n: idatas.dataset(idata, n) for n in idatas.groups(idata) if n not in left_out}
    return idatas.container(groups, idatas.attributes(idata))


# ---- the numbers ---------------------------------------------------------------------------------


def arvizs(idata: Any, group: str, names: list[str] | None = None) -> pd.Series:
    """The installed ArviZ's own power-scaling sensitivity, by label."""
    if idatas.arviz_line() == "0.x":
        ds = idatas.arviz().psens(idata, component=group, component_var_names=names)
    else:
        arviz_stats = importlib.import_module("arviz_stats")
        ds = arviz_stats.psense(idata, group=group, alphas=(1 / 1.01, 1.01), group_var_names=names)
    values = {
        f"{name}[{label}]" if x.dims else str(name): float(value)
        for name, x in ds.data_vars.items()
        for label, value in zip(x[x.dims[0]].values if x.dims else [0], np.ravel(x), strict=True)
    }
    return pd.Series(values)


def test_the_numbers_are_arvizs_own(idata: Any, found: Any) -> None:
    # This package smooths the upper tail of the weights, ArviZ 1.x both; 0.x one more of the upper.
    close = 5e-5 if idatas.arviz_line() == "0.x" else 2e-3
    ours = found.table.index
    for which in ("prior", "likelihood"):
        theirs = arvizs(idata, which)[ours]
        np.testing.assert_allclose(found.table[which], theirs, atol=close, rtol=0)
    for block in ("mu", "tau"):
        theirs = arvizs(idata, "prior", [block])[ours]
        np.testing.assert_allclose(found.by_block[block], theirs, atol=close, rtol=0)


def test_the_table_is_the_same_on_both_lines_of_arviz(found: Any) -> None:
    # Written down from ArviZ 0.23; the draws are the exact engine's, the same everywhere.
    assert list(found.table.columns) == COLUMNS
    assert list(found.table.index) == ["mu", "tau", *SCHOOLS]
    assert list(found.by_block.columns) == ["mu", "tau"]
    assert list(found.pareto_k.index) == ["prior", "likelihood", "prior[mu]", "prior[tau]"]
    known = {"mu": (0.1017, 0.0895), "tau": (0.1941, 0.0521), "theta[A]": (0.1007, 0.0670)}
    for label, values in known.items():
        np.testing.assert_allclose(
            found.table.loc[label, ["prior", "likelihood"]].tolist(), values, atol=1e-3
        )


def test_a_flat_prior_moves_nothing() -> None:
    model = schools(mu=hm.Flat(), tau=hm.Uniform(100))
    found = sensitivity(model.fit(engine="exact", seed=1))
    assert (found.by_block == 0).all(axis=None)
    assert (found.table["prior"] == 0).all()
    assert (found.table["diagnosis"] == FINE).all()
    assert found.pareto_k[["prior", "prior[mu]", "prior[tau]"]].isna().all()
    assert found.sentences == ()
    assert found.verdict.startswith("No prior matters much")


# ---- the diagnosis -------------------------------------------------------------------------------


def test_a_prior_far_from_the_data_is_a_conflict_and_its_block_is_named() -> None:
    model = schools(mu=hm.Normal(-20, 5), tau=hm.HalfNormal(3))
    found = sensitivity(model.fit(engine="exact", seed=1))
    assert found.table.loc["mu", "diagnosis"] == CONFLICT
    assert found.by_block.loc["mu"].idxmax() == "mu"
    (said,) = [s for s in found.sentences if s.startswith("mu: ")]
    assert "prior and likelihood may disagree" in said
    assert "the prior of mu" in said or "the priors of mu" in said
    assert "it down" in said
    assert "hm.compare_priors" in said


def test_what_the_data_decide_is_not_flagged() -> None:
    frame = hm.datasets.simulate_one_way(groups=60, size=8, mu=3, tau=1, sigma=1, seed=2).frame
    found = sensitivity(hm.OneWay(frame, y="y", group="group").fit(engine="exact", seed=1))
    assert found.flagged == []
    assert found.sentences == ()
    assert found.table["prior"].max() < 0.02
    assert found.table.loc["sigma", "likelihood"] > 0.05


def test_with_three_groups_the_prior_of_tau_decides() -> None:
    frame = hm.datasets.simulate_one_way(groups=3, size=30, mu=3, tau=1, sigma=1, seed=7).frame
    model = hm.OneWay(frame, y="y", group="group", priors={"tau": hm.HalfNormal(1)})
    found = sensitivity(model.fit(engine="exact", seed=1))
    assert found.table.loc["tau", "diagnosis"] == STRONG
    assert found.by_block.loc["tau"].idxmax() == "tau"
    (said,) = [s for s in found.sentences if s.startswith("tau: ")]
    assert "the prior of tau decides as much as the data" in said
    assert "hm.compare_priors" in said
    assert found.table.loc["sigma", "diagnosis"] == FINE


def test_the_threshold_is_what_flags(idata: Any, found: Any) -> None:
    low = sensitivity(idata, threshold=1e-6)
    assert set(low.flagged) == set(low.table.index)
    assert sensitivity(idata, threshold=10).flagged == []
    pd.testing.assert_frame_equal(low.table[COLUMNS[:2]], found.table[COLUMNS[:2]])


def test_a_sentence_names_the_blocks_that_matter_the_worst_first(idata: Any, found: Any) -> None:
    mu, tau = found.by_block.loc["theta[A]", ["mu", "tau"]]
    total = found.table.loc["theta[A]", "prior"]
    assert mu < tau < total  # else this test says nothing
    for threshold, whose in (
        (mu * 0.99, "the priors of tau and mu pull it down"),
        (tau * 0.99, "the prior of tau pulls it down"),
        (total * 0.99, "the prior of tau decides as much as the data"),  # no block by itself
    ):
        said = sensitivity(idata, "theta", threshold=threshold).sentences
        (own,) = [line for line in said if line.startswith("theta[A]: ")]
        assert whose in own


def test_a_block_pulls_where_it_pulls_whatever_the_others_do() -> None:
    # Of four blocks one pulls up, and alone is above the threshold; together they pull down.
    x = np.random.default_rng(3).normal(size=(4, 1000))
    dims = ("chain", "draw")
    slopes = {"a": 0.5, "b": -0.4, "c": -0.4, "d": -0.4}
    parts = {
        "posterior": xr.Dataset({"mu": (dims, x)}),
        "log_prior": xr.Dataset({name: (dims, slope * x) for name, slope in slopes.items()}),
        "log_likelihood": xr.Dataset({"y": (dims, x - x**2)}),
    }
    found = sensitivity(idatas.container(parts, {}), threshold=1e-6)
    (blocks,) = found.by_block.to_numpy()
    assert blocks[0] > max(blocks[1:])
    found = sensitivity(idatas.container(parts, {}), threshold=float(blocks[0]) * 0.95)
    (said,) = found.sentences
    assert "the prior of a pulls it up: " in said


def test_varying_slopes_have_each_coefficient_and_each_block(slopes: Any) -> None:
    found = sensitivity(slopes)
    labels = list(found.table.index)
    assert labels[:4] == ["mu[Intercept]", "mu[x1]", "tau[Intercept]", "tau[x1]"]
    assert {"sigma", "Omega[Intercept, x1]", "theta[1, x1]"} <= set(labels)
    assert list(found.by_block.columns) == ["mu", "tau", "Omega", "sigma"]
    assert found.by_block.loc["Omega[Intercept, x1]"].idxmax() == "Omega"


# ---- which likelihood, which variables -----------------------------------------------------------


def test_without_rows_the_groups_likelihood_serves_the_hyperparameters(idata: Any) -> None:
    found = sensitivity(without(idata, "log_likelihood"))
    assert found.likelihood == "group"
    assert list(found.table.index) == ["mu", "tau"]
    assert any("theta is left out" in note for note in found.notes)
    assert "the groups, without theta" in str(found)
    same = sensitivity(idata, ["mu", "tau"], likelihood="group")
    pd.testing.assert_frame_equal(found.table, same.table)
    # The prior that is scaled is the same one; the likelihood is not.
    rows = sensitivity(idata, ["mu", "tau"])
    assert rows.likelihood == "row"
    pd.testing.assert_series_equal(found.table["prior"], rows.table["prior"])
    assert abs(found.table.loc["tau", "likelihood"] - rows.table.loc["tau", "likelihood"]) > 0.01


def test_the_effects_need_the_likelihood_by_row(idata: Any) -> None:
    with pytest.raises(ContainerError, match=r"theta: .*add_pointwise"):
        sensitivity(idata, "theta", likelihood="group")
    with pytest.raises(ContainerError, match=r"theta: .*add_pointwise"):
        sensitivity(without(idata, "log_likelihood"), ["mu", "theta"])


def test_effects_that_were_summed_up_leave_the_hyperparameters(idata: Any) -> None:
    model = schools(mu=hm.Normal(0, 5), tau=hm.HalfCauchy(5))
    found = sensitivity(model.fit(engine="exact", seed=1, effects="summary"))
    assert found.likelihood == "group"
    assert list(found.table.index) == ["mu", "tau"]
    same = sensitivity(idata, ["mu", "tau"], likelihood="group")
    pd.testing.assert_frame_equal(found.table, same.table)


def test_many_effects_are_looked_at_only_when_they_are_named() -> None:
    frame = hm.datasets.simulate_one_way(groups=101, size=2, seed=2).frame
    idata = hm.OneWay(frame, y="y", group="group").fit(
        engine="exact", seed=1, draws=100, pointwise=True
    )
    found = sensitivity(idata)
    assert list(found.table.index) == ["mu", "tau", "sigma", "icc"]
    assert any("theta is left out, having 101 scalars" in note for note in found.notes)
    assert len(sensitivity(idata, "theta").table) == 101


def test_what_is_missing_is_named_with_the_next_step(idata: Any) -> None:
    with pytest.raises(ContainerError, match="has no group 'posterior'"):
        sensitivity(without(idata, "posterior"))
    with pytest.raises(ContainerError, match=r"need the dims .*sel\(chain=\[0\]\) keeps"):
        sensitivity(idata.sel(chain=0))
    with pytest.raises(ContainerError, match="needs 25 draws or more, got 24; fit with more"):
        sensitivity(idata.sel(draw=slice(0, 5)))
    with pytest.raises(OptionError, match=r"no variable 'tua'.*did you mean 'tau'"):
        sensitivity(idata, "tua")
    with pytest.raises(OptionError, match=r"got \[\]"):
        sensitivity(idata, [])


@pytest.mark.parametrize("delta", [0, -0.1, 1.5, True, "1"])
def test_a_power_that_cannot_be_is_refused(idata: Any, delta: Any) -> None:
    with pytest.raises(OptionError, match="delta must be a number above 0"):
        sensitivity(idata, delta=delta)


def test_a_likelihood_of_another_name_is_refused(idata: Any) -> None:
    with pytest.raises(OptionError, match=r"likelihood must be one of .*did you mean 'row'"):
        sensitivity(idata, likelihood="rows")


def test_other_poolings_have_the_priors_that_they_have() -> None:
    options: dict[str, Any] = {"engine": "exact", "seed": 1}
    whole = sensitivity(schools(mu=hm.Normal(0, 5)).replace(pooling="complete").fit(**options))
    assert list(whole.table.index) == list(whole.by_block.index) == ["mu"]  # theta is mu
    assert list(whole.by_block.columns) == ["mu"]
    priors = {"theta": hm.Normal(0, 5)}
    own = schools().replace(pooling="none", priors=priors).fit(**options)
    found = sensitivity(own)
    assert list(found.table.index) == SCHOOLS
    assert list(found.by_block.columns) == ["theta"]
    pd.testing.assert_series_equal(found.by_block["theta"], found.table["prior"], check_names=False)
    assert found.table.loc["theta[A]", "diagnosis"] == CONFLICT  # 28 +- 15, and N(0, 5)
    with pytest.raises(ContainerError, match="without pooling there is none"):
        sensitivity(own, likelihood="group")


# ---- weights and words ---------------------------------------------------------------------------


def test_bad_weights_are_told_of() -> None:
    # The squared likelihood of data that the prior all but rules out: few draws carry the weight.
    model = schools(mu=hm.Normal(-60, 5), tau=hm.HalfNormal(1))
    fit = model.fit(engine="exact", seed=1, draws=50)
    with pytest.warns(DiagnosticWarning, match=r"weights are bad \(Pareto k above 0\.57: "):
        found = sensitivity(fit, delta=1.0)
    assert found.pareto_k.max() > 0.7
    assert "note the weights are bad" in str(found)


def test_the_container_is_left_as_it_was(idata: Any) -> None:
    before = {n: idatas.dataset(idata, n).copy(deep=True) for n in idatas.groups(idata)}
    sensitivity(idata)
    assert list(idatas.groups(idata)) == list(before)
    for name, ds in before.items():
        assert ds.identical(idatas.dataset(idata, name))
