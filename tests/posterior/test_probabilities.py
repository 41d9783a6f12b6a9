"""Probabilities, ranks and differences: against exact posteriors, and against counting by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import hiermodels as hm
from hiermodels.container import inference_data as idatas
from hiermodels.diagnostics import convergence
from hiermodels.errors import ContainerError, OptionError
from tests import reference

DIMS = ("chain", "draw")


@pytest.fixture(scope="module")
def schools() -> tuple[Any, Any]:
    model = hm.EightSchools(
        hm.datasets.eight_schools(),
        effect="effect",
        se="se",
        group="school",
        priors={"mu": hm.Normal(0, 5), "tau": hm.HalfCauchy(5)},
    )
    return model, model.fit(engine="exact", seed=3, draws=2500)


def fit(variables: dict[str, Any], labels: Any = ("A", "B", "C"), **attrs: Any) -> Any:
    """A container of arrays of shape (chain, draw, ...), by their dims."""
    ds = xr.Dataset({n: ((*DIMS, *dims), x) for n, (dims, x) in variables.items()})
    coords = {"school": list(labels), "coefficient": ["Intercept", "slope"]}
    coords["coefficient_2"] = coords["coefficient"]
    ds = ds.assign_coords({k: v for k, v in coords.items() if k in ds.dims})
    return idatas.container({"posterior": ds}, {"model": "OneWay", "pooling": "partial"} | attrs)


def normal(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def effects(chains: int = 2, draws: int = 50, J: int = 3) -> np.ndarray:
    return normal(chains, draws, J) + np.arange(J)


# ---- probabilities ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "relation", "value"),
    [("theta", ">", 0), ("theta", "<=", 10.0), ("tau", ">", 5), ("mu", "<", 2), ("mu", ">=", -3)],
)
def test_probabilities_are_the_exact_ones(
    schools: Any, name: str, relation: str, value: float
) -> None:
    model, idata = schools
    exact = np.atleast_1d(hm.exact.posterior(model).probability(name, relation, value))
    found = hm.probability(idata, name, relation, value)
    assert list(found.columns) == ["probability", "mcse"]
    z = (found["probability"] - exact) / found["mcse"]
    assert np.all(np.abs(z) < reference.LIMIT), z
    # The draws are independent: sqrt(p (1 - p) / n).
    np.testing.assert_allclose(found["mcse"], np.sqrt(exact * (1 - exact) / 10_000), rtol=0.25)


def test_rows_are_labelled_as_in_the_summary_and_one_can_be_named(schools: Any) -> None:
    _, idata = schools
    whole = hm.probability(idata, "theta", ">", 8)
    assert list(whole.index) == list(hm.summary(idata, "theta").index)
    one = hm.probability(idata, "theta[C]", ">", 8)
    pd.testing.assert_frame_equal(one, whole.loc[["theta[C]"]])
    assert list(hm.probability(idata, "mu", ">", 0).index) == ["mu"]


def test_every_relation_counts_the_draws_that_fulfil_it() -> None:
    x = np.repeat([0.0, 1.0, 2.0, 3.0], 25).reshape(2, 50)
    idata = fit({"mu": ((), np.random.default_rng(1).permuted(x, axis=1))})
    wanted = {">": 0.5, ">=": 0.75, "<": 0.25, "<=": 0.5}
    for relation, p in wanted.items():
        assert hm.probability(idata, "mu", relation, 1).loc["mu", "probability"] == p
    assert hm.probability(idata, "mu", "between", (1, 2)).loc["mu", "probability"] == 0.5
    assert hm.probability(idata, "mu", "between", (3, np.inf)).loc["mu", "probability"] == 0.25


def test_the_error_is_that_of_the_indicators_effective_sample_size() -> None:
    x = normal(4, 500, 2)
    for t in range(1, 500):
        x[:, t] = 0.9 * x[:, t - 1] + np.sqrt(1 - 0.81) * x[:, t]
    idata = fit({"theta": (("school",), x)}, labels=["A", "B"])
    found = hm.probability(idata, "theta", ">", 1.0)
    az = idatas.arviz()
    for k, label in enumerate(("theta[A]", "theta[B]")):
        hit = (x[..., k] > 1.0).astype(float)
        p, size = hit.mean(), float(az.ess(hit, method="mean"))
        assert size < 500
        assert found.loc[label, "mcse"] == pytest.approx(np.sqrt(p * (1 - p) / size), rel=1e-3)


def test_an_event_that_never_happens_has_an_upper_bound_for_its_error() -> None:
    x = effects(4, 250)
    idata = fit({"theta": (("school",), x)})
    size = np.minimum(convergence.table(x, ("ess_tail",))["ess_tail"], 1000)
    bound = 1 - 0.05 ** (1 / size)
    for relation, p in ((">", 0.0), ("<", 1.0)):
        found = hm.probability(idata, "theta", relation, 99)
        assert (found["probability"] == p).all()
        np.testing.assert_allclose(found["mcse"], np.sqrt(bound * (1 - bound) / size))
        np.testing.assert_allclose(found["mcse"], np.sqrt(3) / size, rtol=0.01)
    assert 0 < found["mcse"].max() < 0.01


def test_constants_and_draws_that_are_not_numbers_have_no_error() -> None:
    x = effects()
    x[0, 3, 0], x[..., 1] = np.nan, 4.0
    found = hm.probability(fit({"theta": (("school",), x)}), "theta", ">", 3)
    assert found.loc["theta[A]"].isna().all()
    assert found.loc["theta[B]", "probability"] == 1
    assert found["mcse"].isna().tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("theta", "=", 0), r"relation must be one of '>', '>=', .*'between', got '='"),
        (("theta", ">", "0"), r"value must be a number, .* got '0'"),
        (("theta", ">", True), "value must be a number, .* got True"),
        (("theta", ">", np.nan), "value must be a number, .* got nan"),
        (("theta", ">", (0, 1)), r"value must be a number, .* got \(0, 1\)"),
        (("theta", "between", 0), r"'between' must be two numbers, .* got 0"),
        (("theta", "between", "ab"), "'between' must be two numbers, .* got 'ab'"),
        (("theta", "between", (1, 0)), r"the lower end and the upper, got \(1, 0\)"),
    ],
)
def test_what_cannot_be_asked_is_refused(asked: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        hm.probability(fit({"theta": (("school",), effects())}), *asked)


# ---- ranks --------------------------------------------------------------------------------------


def by_hand(x: np.ndarray, top: int) -> pd.DataFrame:
    """Ranks draw by draw."""
    flat = x.reshape(-1, x.shape[-1])
    rank = np.array([[1 + np.sum(row > v) for v in row] for row in flat])
    return pd.DataFrame(
        {
            "mean": flat.mean(0),
            "rank_mean": rank.mean(0),
            "rank_q5": np.quantile(rank, 0.05, axis=0, method="inverted_cdf"),
            "rank_q95": np.quantile(rank, 0.95, axis=0, method="inverted_cdf"),
            "p_best": np.mean(rank == 1, axis=0),
            "p_worst": np.mean(rank == x.shape[-1], axis=0),
            "p_top": np.mean(rank <= top, axis=0),
        }
    )


@pytest.mark.parametrize(
    ("chains", "draws", "J"), [(2, 50, 7), (3, 37, 4), (1, 5, 30), (1, 1, 2), (4, 5, 1)]
)
def test_ranks_are_those_of_each_draw(chains: int, draws: int, J: int) -> None:
    x = effects(chains, draws, J) / 2
    labels = [f"s{j}" for j in range(J)]
    found = hm.ranks(fit({"theta": (("school",), x)}, labels), top=1 + J // 2)
    assert list(found.index) == labels
    assert found.index.name == "school"
    assert found["rank_q5"].dtype.kind == "i"
    wanted = by_hand(x, 1 + J // 2).set_axis(labels)
    pd.testing.assert_frame_equal(found, wanted, check_names=False, check_dtype=False)
    assert "p_top" not in hm.ranks(fit({"theta": (("school",), x)}, labels))


def test_ranks_of_the_eight_schools_follow_from_the_exact_pairs(schools: Any) -> None:
    # E(rank of i) = 1 + sum over k of P(theta_k > theta_i).
    model, idata = schools
    pairs = hm.exact.posterior(model).pairs()
    found = hm.ranks(idata)
    theta = idatas.dataset(idata, "posterior")["theta"].to_numpy().reshape(-1, 8)
    rank = 1 + (theta[:, :, None] < theta[:, None]).sum(axis=2)
    error = rank.std(axis=0) / np.sqrt(len(theta))
    z = (found["rank_mean"] - (1 + pairs.sum(axis=0))) / error
    assert np.all(np.abs(z) < reference.LIMIT), z
    np.testing.assert_array_equal(found["p_best"], np.mean(rank == 1, axis=0))


def test_residual_sds_have_ranks_as_well() -> None:
    sigma = np.exp(normal(2, 60, 3))
    idata = fit({"theta": (("school",), normal(2, 60, 3)), "sigma": (("school",), sigma)})
    assert hm.ranks(idata, "sigma")["mean"].tolist() == pytest.approx(sigma.mean((0, 1)).tolist())


@pytest.mark.parametrize("top", [0, 4, 1.5, True, "2"])
def test_top_is_a_number_of_groups(top: Any) -> None:
    with pytest.raises(OptionError, match="top must be a number of groups from 1 to 3, got"):
        hm.ranks(fit({"theta": (("school",), effects())}), top=top)


def test_draws_that_are_not_finite_have_no_ranks() -> None:
    x = effects()
    x[1, 7, 2] = np.inf
    with pytest.raises(ContainerError, match="ranks need finite draws of 'theta'"):
        hm.ranks(fit({"theta": (("school",), x)}))


# ---- differences --------------------------------------------------------------------------------


def test_differences_of_the_eight_schools_have_the_exact_probabilities(schools: Any) -> None:
    model, idata = schools
    exact = hm.exact.posterior(model).pairs()
    found = hm.differences(idata)
    assert list(found.columns) == [
        *("group", "group_2", "mean", "sd", "q5", "median", "q95", "probability", "mcse"),
    ]
    assert len(found) == 28
    wanted = np.array(
        [exact.loc[a, b] for a, b in zip(found["group"], found["group_2"], strict=True)]
    )
    z = (found["probability"] - wanted) / found["mcse"]
    assert np.all(np.abs(z) < reference.LIMIT), z


def test_differences_are_the_first_less_the_second_in_the_order_asked() -> None:
    x = effects()
    idata = fit({"theta": (("school",), x)})
    found = hm.differences(idata, groups=["C", "A"])
    d = (x[..., 2] - x[..., 0]).ravel()
    assert found[["group", "group_2"]].to_numpy().tolist() == [["C", "A"]]
    wanted = [d.mean(), d.std(ddof=1), *np.quantile(d, [0.05, 0.5, 0.95]), np.mean(d > 0)]
    np.testing.assert_allclose(
        found.loc[0, ["mean", "sd", "q5", "median", "q95", "probability"]].astype(float), wanted
    )
    whole = hm.differences(idata)
    assert whole[["group", "group_2"]].to_numpy().tolist() == [["A", "B"], ["A", "C"], ["B", "C"]]


def test_many_pairs_are_compared_only_where_their_groups_are_named() -> None:
    idata = fit({"theta": (("school",), effects(2, 10, 64))}, range(64))
    with pytest.raises(OptionError, match=r"2000 pairs, got 64 groups with 2016.*\[0, 1\]"):
        hm.differences(idata)
    assert len(hm.differences(idata, groups=range(64))) == 2016
    assert len(hm.differences(idata, groups=np.array([5, 3]))) == 1
    few = fit({"theta": (("school",), effects(2, 10, 63))}, range(63))
    assert len(hm.differences(few)) == 1953
