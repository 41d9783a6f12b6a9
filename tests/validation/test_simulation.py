"""Parameters and data drawn from a model's prior: their distributions, and models of new data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import stats

import hiermodels as hm
from hiermodels.errors import DataError, PriorError
from hiermodels.models import layout
from hiermodels.validation import simulation

TIMES = 1500
LEAST_P = 1e-4  # of a Kolmogorov-Smirnov test that a right program passes


def schools(**options: Any) -> hm.EightSchools:
    frame = hm.datasets.eight_schools()
    return hm.EightSchools(frame, effect="effect", se="se", group="school", **options)


def rows() -> pd.DataFrame:
    rng = np.random.default_rng(6)
    jj = np.repeat([2, 0, 1, 3], [4, 7, 1, 5])
    frame = pd.DataFrame({"group": np.array(list("dabc"))[jj], "y": rng.normal(size=17)})
    frame["x"], frame["w"] = rng.normal(size=17), rng.normal(2, 1, 17)
    # Levels in another order than the rows, which the model keeps.
    frame["group"] = pd.Categorical(frame["group"], categories=list("cbad"))
    return frame.sample(frac=1, random_state=3)


def one_way(**options: Any) -> hm.OneWay:
    return hm.OneWay(rows(), y="y", group="group", **options)


def slopes(**options: Any) -> hm.VaryingSlopes:
    options = {"varying": ["x"], "common": ["w"]} | options
    return hm.VaryingSlopes(rows(), y="y", group="group", **options)


OWN = {"theta": hm.Normal(1, 2)}
MODELS = {
    "schools": lambda: schools(),
    "schools, none": lambda: schools(pooling="none", priors=OWN),
    "schools, complete": lambda: schools(pooling="complete"),
    "one way": lambda: one_way(),
    "one way, centered": lambda: one_way(parameterization="centered"),
    "one way, sigma by group": lambda: one_way(sigma="group"),
    "one way, none": lambda: one_way(pooling="none", priors=OWN),
    "one way, complete": lambda: one_way(pooling="complete"),
    "slopes": lambda: slopes(),
    "slopes, three": lambda: slopes(varying=["x", "w"], common=[]),
    "slopes, one": lambda: slopes(varying=[], common=[]),
    "slopes, no intercept": lambda: slopes(intercept="none"),
    "slopes, common intercept": lambda: slopes(intercept="common"),
    "slopes, none": lambda: slopes(
        pooling="none", priors={"theta": hm.Normal(1, 2), "beta": hm.StudentT(3, 0, 2)}
    ),
    "slopes, complete": lambda: slopes(pooling="complete"),
}

pytestmark = pytest.mark.filterwarnings("ignore::hiermodels.errors.DataWarning")


def uniform(p: np.ndarray | float) -> bool:
    return bool(stats.kstest(p, "uniform").pvalue > LEAST_P)


def cdf(prior: Any, x: np.ndarray) -> np.ndarray:
    """Of the families that the defaults and these tests use, from SciPy."""
    families = {
        hm.Normal: lambda p: stats.norm(p.mean, p.sd),
        hm.StudentT: lambda p: stats.t(p.nu, p.location, p.scale),
    }
    if isinstance(prior, hm.HalfT):
        return 2 * stats.t(prior.nu, 0, prior.scale).cdf(x) - 1
    return families[type(prior)](prior).cdf(x)


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_is_drawn_from_its_prior(name: str) -> None:
    model = MODELS[name]()
    d = model.design
    rng = np.random.default_rng(12)
    drawn = [simulation.parameters(model, rng) for _ in range(TIMES)]
    for block in model.priors:
        priors = model.priors.as_list(block)
        if block == "Omega" or not priors:
            continue
        x = np.concatenate([getattr(one, block) for one in drawn])
        x = x.reshape(TIMES, -1, x.shape[-1])
        for k in range(x.shape[-1]):
            prior = priors[k] if len(priors) > 1 else priors[0]
            for j in range(x.shape[1]):
                assert uniform(cdf(prior, x[:, j, k])), (block, j, k)
    expected = {
        "partial": {"mu": (1, d.K), "tau": (1, d.K), "theta": (1, d.J, d.K), "beta": (1, d.P)},
        "none": {"theta": (1, d.J, d.K), "beta": (1, d.J, d.P)},
        "complete": {"mu": (1, d.K), "beta": (1, d.P)},
    }[model.pooling]
    first = drawn[0]
    for field in ("mu", "tau", "theta", "beta"):
        value = getattr(first, field)
        assert (None if value is None else value.shape) == expected.get(field)
    sigma = {"known": None, "common": (1, 1), "group": (1, d.J)}[d.residual]
    assert (None if first.sigma is None else first.sigma.shape) == sigma


@pytest.mark.parametrize("name", ["schools", "one way", "slopes", "slopes, three"])
def test_effects_are_normal_about_mu_with_their_covariance(name: str) -> None:
    model = MODELS[name]()
    rng = np.random.default_rng(13)
    standard = []
    for _ in range(400):
        one = simulation.parameters(model, rng)
        assert one.mu is not None
        assert one.tau is not None
        assert one.theta is not None
        L = np.eye(model.design.K) if one.L_Omega is None else one.L_Omega[0]
        Lambda = np.diag(one.tau[0]) @ L
        standard.append(np.linalg.solve(Lambda, (one.theta[0] - one.mu[0]).T).T)
    e = np.array(standard)  # (times, J, K)
    for j in range(e.shape[1]):
        for k in range(e.shape[2]):
            assert uniform(stats.norm.cdf(e[:, j, k]))
    flat = e.reshape(len(e), -1)
    off = np.corrcoef(flat.T)[np.triu_indices(flat.shape[1], 1)]
    assert np.abs(off).max() < 4.5 / np.sqrt(len(e))


@pytest.mark.parametrize("name", MODELS)
def test_the_response_is_normal_about_its_line_row_by_row(name: str) -> None:
    model = MODELS[name]()
    rng = np.random.default_rng(14)
    found = model.design.rows("the test")
    z = []
    for _ in range(300):
        one = simulation.parameters(model, rng)
        y = simulation.response(model, one, rng)
        assert y.shape == (model.design.N,)
        one = layout.at_zero(model, one)  # of the columns as they are
        for i, j in enumerate(found.index):
            theta = one.mu[0] if one.theta is None else one.theta[0, j]
            beta = one.beta[0, j] if one.beta.ndim == 3 else one.beta[0]
            mean = float(found.z[i] @ theta + found.x[i] @ beta)
            if one.sigma is None:
                sd = found.se[i]
            else:
                sd = one.sigma[0, j if one.sigma.shape[1] > 1 else 0]
            z.append((y[i] - mean) / sd)
    for row in np.array(z).reshape(300, -1).T:
        assert uniform(stats.norm.cdf(row))


def frame_of(model: Any, y: np.ndarray) -> pd.DataFrame:
    """The frame that the model was made of, with another response in the same places."""
    frame = model._options["frame"].copy()
    column = frame.columns.get_loc(model.design.response)
    frame.iloc[model.design.rows("the test").places, column] = y
    return frame


@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_a_new_response_is_that_of_a_frame_with_it(name: str) -> None:
    model = MODELS[name]()
    y = np.random.default_rng(15).normal(3, 4, model.design.N)
    new = simulation.with_response(model, y)
    again = model.replace(frame=frame_of(model, y), priors=dict(model.priors))
    assert dict(new.priors) == dict(again.priors) == dict(model.priors)
    assert repr(new) == repr(again)
    mine, theirs = new.stan_data, again.stan_data
    assert mine.keys() == theirs.keys()
    for key, value in mine.items():
        np.testing.assert_allclose(np.asarray(value), np.asarray(theirs[key]), rtol=1e-9, atol=1e-9)
    assert list(new.design.labels) == list(again.design.labels)
    assert list(new.design.rows("the test").places) == list(again.design.rows("the test").places)


def test_default_priors_stay_those_of_the_first_data() -> None:
    model = one_way()
    new = simulation.with_response(model, 100 * np.arange(17.0))
    assert new.priors["tau"] == model.priors["tau"] != one_way().replace().priors["mu"]
    assert new.replace(pooling="complete").priors["mu"] == model.priors["mu"]


@pytest.mark.parametrize("kind", ["lazy", "csv"])
def test_rows_that_are_not_in_memory_are_read(kind: str, tmp_path: Path) -> None:
    frame = rows().astype({"group": str})
    frame.to_csv(tmp_path / "rows.csv", index=False)
    there = pl.from_pandas(frame).lazy() if kind == "lazy" else tmp_path / "rows.csv"
    model = hm.OneWay(there, y="y", group="group")
    y = np.arange(17.0)
    new = simulation.with_response(model, y)
    np.testing.assert_array_equal(new.design.rows("the test").y, y)
    index = model.design.rows("the test").index
    assert list(model.design.labels[index]) == frame["group"].tolist()
    np.testing.assert_allclose(new.design.statistics.means, y.mean())


def test_sufficient_statistics_have_no_rows_to_simulate() -> None:
    found = hm.sufficient_statistics(rows(), y="y", group="group")
    with pytest.raises(DataError, match="simulated data needs the rows"):
        simulation.with_response(hm.OneWay(found, y="y", group="group"), np.zeros(17))


def test_an_improper_prior_is_named() -> None:
    model = schools(priors={"mu": hm.Flat()})
    with pytest.raises(PriorError, match=r"mu: Flat\(\) is improper, .* as in priors=\{'mu': "):
        simulation.parameters(model, np.random.default_rng(1))
    with pytest.raises(PriorError, match=r"beta\[w\]: Flat\(\) is improper.*\{'beta': "):
        simulation.check_proper(slopes(priors={"beta": {"w": hm.Flat()}}))


def test_a_prior_too_wide_for_numbers_is_refused() -> None:
    model = schools(priors={"tau": hm.GammaPrecision(1e-4, 1)})
    with pytest.raises(PriorError, match=r"tau: .* draws that a computer's numbers can hold"):
        simulation.parameters(model, np.random.default_rng(1))


def test_the_digest_tells_designs_apart_but_not_responses() -> None:
    model = slopes()
    own = simulation.digest(model.design)
    other = simulation.with_response(model, np.arange(17.0))
    assert simulation.digest(other.design) == own
    frame = rows()
    frame.iloc[0, frame.columns.get_loc("x")] += 1
    assert simulation.digest(slopes().replace(frame=frame).design) != own
    assert simulation.digest(slopes(common=[]).design) != own
    assert simulation.digest(slopes().replace(frame=rows().iloc[1:]).design) != own
    se = hm.datasets.eight_schools().assign(se=lambda f: f["se"] + 1)
    assert simulation.digest(schools().design) != simulation.digest(
        schools().replace(frame=se).design
    )
