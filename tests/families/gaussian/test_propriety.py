"""Posteriors that do not exist are refused, with the reason, before anything is compiled."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hiermodels as hm
from hiermodels.cli import main as cli
from hiermodels.engines.gibbs import sampler as gibbs
from hiermodels.errors import DataError, DataWarning, ImproperPosteriorError
from hiermodels.stan import programs
from tests.dataframes import EAGER, ENGINES, LAZY, cluster, quiet, spark

__all__ = ["cluster", "spark"]  # fixtures

RNG = np.random.default_rng(5)
ROWS = pd.DataFrame({"g": np.repeat(list("abcde"), 6), "y": RNG.normal(size=30)})
ROWS["x"] = RNG.normal(size=30)
SCHOOLS = pd.DataFrame({"g": list("abcde"), "y": RNG.normal(size=5), "se": 1.0})


@pytest.fixture(autouse=True)
def _nothing_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a program was asked for")

    monkeypatch.setattr(programs, "executable", refuse)


def one_way(frame: pd.DataFrame = ROWS, **options: Any) -> hm.OneWay:
    return hm.OneWay(frame, y="y", group="g", **options)


def schools(frame: pd.DataFrame = SCHOOLS, **options: Any) -> hm.EightSchools:
    return hm.EightSchools(frame, effect="y", se="se", group="g", **options)


def slopes(frame: pd.DataFrame = ROWS, **options: Any) -> hm.VaryingSlopes:
    return hm.VaryingSlopes(frame, y="y", group="g", varying=["x"], **options)


@pytest.mark.parametrize("make", [one_way, schools, slopes])
@pytest.mark.parametrize(
    "prior",
    [hm.LogFlat(), hm.GammaPrecision(0, 0), hm.InverseGamma(0, 0), hm.GammaPrecision(1, 0)],
    ids=str,
)
def test_a_prior_with_infinite_mass_at_tau_0_is_refused(make: Any, prior: Any) -> None:
    with pytest.raises(ImproperPosteriorError, match="infinite mass there and does not exist"):
        make(priors={"tau": prior})


def test_flat_on_log_tau_is_named_as_such() -> None:
    with pytest.raises(
        ImproperPosteriorError,
        match=r"tau: GammaPrecision\(0, 0\) is flat on the logarithm, and the likelihood does not",
    ):
        one_way(priors={"tau": hm.GammaPrecision(0, 0)})


def test_a_prior_without_a_posterior_is_refused_although_a_gibbs_sampler_would_run() -> None:
    # 1/tau^2 ~ Gamma(0, 0): each full conditional is proper, and draws come out of them.
    prior = hm.GammaPrecision(0, 0)
    with pytest.raises(
        ImproperPosteriorError,
        match="does not exist, although each full conditional is proper: a Gibbs sampler would "
        "run, and its draws would mean nothing",
    ):
        one_way(priors={**gibbs.reference(), "tau": prior})
    model = one_way(priors=gibbs.reference())
    data, rng = gibbs.Data.of(model), np.random.default_rng(1)
    state = gibbs.starts(data, 3, rng)
    for _ in range(10):
        law = gibbs.tau_precision_given(state.theta, state.mu, prior)
        assert law.shape == 5 / 2
        assert np.all(law.rate > 0)
        state = gibbs.step(state, data, {**model.priors, "tau": prior}, rng)
    assert np.isfinite(state.tau).all()


def test_flat_tau_needs_three_groups() -> None:
    message = r"tau: Flat\(\) needs at least 3 groups that inform it, got 2"
    with pytest.raises(ImproperPosteriorError, match=message):
        schools(SCHOOLS[:2], priors={"tau": hm.Flat()})
    with pytest.raises(ImproperPosteriorError, match=message):
        one_way(ROWS[ROWS.g.isin(["a", "b"])], priors={"tau": hm.Flat()})
    schools(SCHOOLS[:3], priors={"tau": hm.Flat(), "mu": hm.Flat()})


def test_flat_taus_of_two_coefficients_need_four_groups() -> None:
    with pytest.raises(ImproperPosteriorError, match="at least 4 groups that inform it, got 3"):
        slopes(ROWS[ROWS.g.isin(["a", "b", "c"])], priors={"tau": hm.Flat()})
    slopes(ROWS[ROWS.g != "e"], priors={"tau": hm.Flat()})


@pytest.mark.parametrize("prior", [hm.Flat(), hm.LogFlat(), hm.GammaPrecision(0, 0)], ids=str)
def test_an_improper_sigma_without_replication_is_refused(prior: Any) -> None:
    single = ROWS.drop_duplicates("g")
    with pytest.raises(
        ImproperPosteriorError, match="no posterior, because sigma cannot be learned without"
    ):
        one_way(single, priors={"sigma": prior})


def test_an_improper_sigma_by_group_needs_replication_in_each_group() -> None:
    frame = pd.concat([ROWS[ROWS.g != "e"], ROWS[ROWS.g == "e"][:1]])
    with pytest.raises(ImproperPosteriorError, match="without replication in group 'e'"):
        one_way(frame, sigma="group", priors={"sigma": hm.LogFlat()})
    with pytest.warns(DataWarning, match="in group 'e': there it comes from its prior, HalfT"):
        one_way(frame, sigma="group")


def test_a_proper_sigma_without_replication_is_allowed_and_said() -> None:
    with pytest.warns(DataWarning, match="cannot be learned without replication: there it comes"):
        one_way(ROWS.drop_duplicates("g"))


def test_one_group_cannot_be_partially_pooled() -> None:
    one = ROWS[ROWS.g == "a"]
    with pytest.raises(DataError, match=r"at least 2 groups, got 1 \('a'\); pooling='complete'"):
        one_way(one)
    assert one_way(one, pooling="complete").design.J == 1


def test_no_pooling_refuses_groups_too_small_for_a_regression_of_their_own() -> None:
    frame = pd.concat([ROWS[ROWS.g != "e"], ROWS[ROWS.g == "e"][:1]])
    with pytest.raises(
        DataError, match=r"1 of 5 groups cannot give them .*: 'e'; leave those groups"
    ):
        slopes(frame, pooling="none")
    # A group whose predictor does not vary has no slope, however many rows it has.
    frame = ROWS.assign(x=np.where(ROWS.g == "b", 1.0, ROWS.x))
    with pytest.raises(DataError, match=r"do not vary within the group.*: 'b'"):
        slopes(frame, pooling="none")


def test_no_pooling_counts_common_columns_as_the_groups_own() -> None:
    frame = ROWS.assign(w=np.where(ROWS.g == "a", 1.0, ROWS.x**2))
    with pytest.raises(DataError, match=r"fits 3 coefficients .*: 'a'"):
        slopes(frame, common=["w"], pooling="none")


def test_no_pooling_with_proper_priors_says_which_groups_lean_on_them() -> None:
    frame = pd.concat([ROWS[ROWS.g != "e"], ROWS[ROWS.g == "e"][:1]])
    with pytest.warns(DataWarning, match="1 of 5 groups are too small .*: 'e'"):
        slopes(frame, pooling="none", priors={"theta": hm.Normal(0, 1)})


def test_no_pooling_refuses_a_sigma_that_only_the_prior_speaks_of() -> None:
    frame = pd.concat([ROWS[ROWS.g != "e"], ROWS[ROWS.g == "e"][:2]])
    slopes(frame, pooling="none")  # two rows fit a line; sigma comes from the other groups
    with pytest.raises(DataError, match="without replication in group 'e': the answer would be"):
        slopes(frame, pooling="none", sigma="group")
    with pytest.raises(DataError, match="EightSchools takes one estimate per group"):
        one_way(ROWS.drop_duplicates("g"), pooling="none")


def test_a_perfect_fit_is_refused() -> None:
    frame = ROWS.assign(y=ROWS.g.map({"a": 0.1, "b": 0.2, "c": 0.4, "d": 0.3, "e": 0.5}))
    for pooling in ("partial", "none"):
        with pytest.raises(DataError, match="fits 'y' perfectly, or to less than a trillionth"):
            one_way(frame, pooling=pooling)
    one_way(frame, pooling="complete")
    one_way(frame, priors={"sigma": hm.InverseGamma(1, 1)})
    with pytest.raises(DataError, match="fits 'y' perfectly"):
        slopes(ROWS.assign(y=1 + 2 * ROWS.x), pooling="complete")


def test_a_flat_sigma_needs_two_degrees_of_freedom() -> None:
    frame = ROWS[ROWS.g == "a"][:2]
    with pytest.raises(ImproperPosteriorError, match="at least 2 residual degrees of freedom"):
        one_way(frame, pooling="complete", priors={"sigma": hm.Flat()})
    one_way(frame, pooling="complete", priors={"sigma": hm.LogFlat()})


def test_collinear_columns_are_refused() -> None:
    frame = ROWS.assign(w=3 - 2 * ROWS.x)
    with pytest.raises(DataError, match=r"linearly independent .* got 3 columns .* of rank 2"):
        slopes(frame, common=["w"])


@pytest.mark.filterwarnings("ignore:predictor 'w' lies far from 0")
def test_collinearity_is_judged_whatever_the_units() -> None:
    frame = ROWS.assign(w=1e8 + ROWS.y**2, x=1e-8 * ROWS.x)
    slopes(frame, common=["w"])


def tied_group() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "g": ["a", "a", "b", "b", "b", "c", "c", "c", "c"],
            "y": [0.3, 0.3, 1.0, -1.2, 0.4, 2.0, -0.5, 0.1, 0.7],
        }
    )


def test_one_sd_a_group_needs_replication_under_complete_pooling_as_well() -> None:
    # The common mean can run through the points of one group, whose sigma then goes to 0.
    with pytest.raises(DataError, match="fits 'y' perfectly in group 'a'"):
        one_way(tied_group(), sigma="group", pooling="complete")
    with pytest.raises(ImproperPosteriorError, match="without replication in group 'a'"):
        one_way(
            tied_group().iloc[1:], sigma="group", pooling="complete", priors={"sigma": hm.LogFlat()}
        )


def test_a_common_slope_is_not_taken_for_the_groups_own() -> None:
    # 20 pairs with one common slope: 40 rows, 20 means and 1 slope leave 19 degrees of freedom.
    rng = np.random.default_rng(3)
    pairs = pd.DataFrame({"g": np.repeat(range(20), 2), "x": rng.normal(size=40)})
    pairs["y"] = pairs.x + rng.normal(size=40)
    model = hm.VaryingSlopes(pairs, y="y", group="g", common=["x"], priors={"sigma": hm.LogFlat()})
    assert model.design.between_groups.df.tolist() == [19]
    assert model.design.within.df.sum() == 0


@pytest.mark.filterwarnings("ignore:predictor 'w' lies far from 0")
def test_the_shared_fit_is_least_squares_with_a_column_for_each_group() -> None:
    frame = ROWS.assign(w=RNG.normal(size=30) + 1e6)
    design = slopes(frame, common=["w"]).design
    dummies = pd.get_dummies(frame.g).to_numpy(float)
    W = np.hstack([dummies, dummies * frame[["x"]].to_numpy(), frame[["w"]].to_numpy() - 1e6])
    b = np.linalg.lstsq(W, frame.y.to_numpy(), rcond=None)[0]
    assert design.between_groups.df.tolist() == [30 - 11]
    rss = np.sum((frame.y.to_numpy() - W @ b) ** 2)
    assert design.between_groups.rss[0] == pytest.approx(rss, rel=1e-8)


def test_flat_tau_counts_the_groups_that_inform_it() -> None:
    dummy = ROWS.assign(x=np.where(ROWS.g == "a", RNG.normal(size=30), 0.0))
    with pytest.raises(
        ImproperPosteriorError, match=r"tau\[x\]: Flat\(\) needs at least 4 .* got 1"
    ):
        slopes(dummy, priors={"tau": {"x": hm.Flat()}})


def no_intercept(frame: pd.DataFrame, **options: Any) -> hm.VaryingSlopes:
    return hm.VaryingSlopes(frame, y="y", group="g", intercept="none", **options)


def test_without_an_intercept_nothing_is_centred() -> None:
    exact = ROWS.assign(x=ROWS.x + 7, y=3 * (ROWS.x + 7))
    with pytest.raises(DataError, match="fits 'y' perfectly"):
        no_intercept(exact, varying=["x"], pooling="complete")
    # 10 + 2 x is no perfect fit of a line through 0.
    away = ROWS.assign(x=ROWS.x - ROWS.x.mean())
    model = no_intercept(away.assign(y=10 + 2 * away.x), varying=["x"], pooling="complete")
    assert model.design.pooled_rss == pytest.approx(30 * 10**2)


def test_a_column_of_zeros_in_a_group_is_no_constant() -> None:
    # Cell means: the group 'a' has a row of level p, one of q and none of r.
    level = ["p", "q", *["p", "q", "r"] * 6]
    frame = pd.DataFrame({"g": ["a", "a", *np.repeat(list("bcd"), 6)], "y": RNG.normal(size=20)})
    for name in "pqr":
        frame[name] = [float(x == name) for x in level]
    design = no_intercept(frame, varying=["p", "q", "r"]).design
    assert design.within.rank.tolist() == [2, 3, 3, 3]
    assert design.within.df.tolist() == [0, 3, 3, 3]
    with pytest.raises(ImproperPosteriorError, match="without replication in group 'a'"):
        no_intercept(frame, varying=["p", "q", "r"], sigma="group", priors={"sigma": hm.LogFlat()})


def test_flat_tau_counts_flat_predictors_of_the_groups_as_means() -> None:
    three = ROWS[ROWS.g.isin(["a", "b", "c"])]
    by_school = three.assign(w=three.g.map({"a": 0.0, "b": 1.0, "c": 3.0}))
    flat = {"tau": hm.Flat(), "mu": hm.Flat()}
    hm.VaryingSlopes(by_school, y="y", group="g", common=["w"], priors=flat)
    with pytest.raises(ImproperPosteriorError, match="at least 4 groups that inform it, got 3"):
        hm.VaryingSlopes(
            by_school, y="y", group="g", common=["w"], priors={**flat, "beta": hm.Flat()}
        )


def test_flat_taus_are_not_informed_by_groups_of_one_row() -> None:
    frame = pd.DataFrame({"g": list("abcdef"), "x": [1.0, 2, 3, 5, 4, 7], "y": RNG.normal(size=6)})
    with pytest.raises(ImproperPosteriorError, match="inform it, got 0"):
        hm.VaryingSlopes(frame, y="y", group="g", varying=["x"], priors={"tau": hm.Flat()})


def test_a_flat_sigma_of_each_group_needs_two_rows_where_the_others_hold_the_mean() -> None:
    pairs = pd.DataFrame({"g": np.repeat(range(6), 2), "y": RNG.normal(size=12)})
    one_way(pairs, sigma="group", pooling="complete", priors={"sigma": hm.Flat()})


def test_seconds_since_1970_are_a_predictor_like_any_other() -> None:
    frame = ROWS.assign(x=1.7e9 + np.tile(np.arange(6), 5))
    with pytest.warns(DataWarning, match="lies far from 0"):
        model = slopes(frame)
    near = slopes(ROWS.assign(x=np.tile(np.arange(6), 5) - 2.5))
    # What is computed of the centred columns is the same to the last digits.
    np.testing.assert_allclose(model.design.gram, near.design.gram, rtol=1e-9, atol=1e-9)
    assert model.design.pooled_rss == pytest.approx(near.design.pooled_rss, rel=1e-9)
    with pytest.raises(DataError, match="to a billionth of it"):
        slopes(ROWS.assign(x=1e12 + np.tile(np.arange(6), 5)))


def test_a_rare_level_is_not_far_from_0() -> None:
    frame = ROWS.assign(x=ROWS.x, f=["b"] * 28 + ["a"] * 2)
    slopes(frame, common=["f"])


def test_two_rows_that_lie_close_together_are_no_perfect_fit() -> None:
    rng = np.random.default_rng(1)
    g = np.repeat(np.arange(20_000), 2)
    frame = pd.DataFrame({"g": g, "y": 3 * rng.normal(size=20_000)[g] + rng.normal(size=40_000)})
    one_way(frame, sigma="group")
    tied = frame.assign(y=frame["y"].where(frame["g"] != 7, 1.5))
    with pytest.raises(DataError, match="perfectly in group 7, or to"):
        one_way(tied, sigma="group")


def test_powers_of_a_year_are_independent() -> None:
    rng = np.random.default_rng(2)
    year = np.tile(np.arange(1990.0, 2021), 10)
    frame = pd.DataFrame({"g": np.repeat(range(10), 31), "y": rng.normal(size=310), "x": year})
    model = hm.VaryingSlopes(
        frame.assign(x2=year**2, x3=year**3), y="y", group="g", common=["x", "x2", "x3"]
    )
    assert model.design.columns_rank == 4


# ---- slopes that cannot vary by group ------------------------------------------------------------

LEVEL = (
    r"^column '{0}' in varying= is constant within every group, so its slope cannot vary by group: "
    r"in a group it does what the varying intercept does, and its tau leans on its prior; give it "
    r"one slope, common=\['{0}'\]$"
)
ALONE = (
    r"^column '{0}' in varying= is constant within every group, so its slope cannot vary by group: "
    r"it stands for the group's own level, which intercept='varying' is for; .*common=\['{0}'\]$"
)
ONE = r"^column '{0}' in varying= varies within one group only, .*; .* common=\['{0}'\]$"
SLOPES: list[tuple[dict[str, Any], list[str]]] = [
    ({"varying": ["x"]}, []),
    ({"varying": ["x"], "common": ["size", "type", "late"]}, []),
    ({"varying": ["x"], "common": ["kind"], "intercept": "common"}, []),
    ({"varying": ["kind"]}, []),  # one of its levels is in one group only
    ({"varying": ["ones", "x"], "intercept": "none"}, []),
    ({"varying": ["type"], "intercept": "none"}, []),  # a level of its own for each type
    ({"varying": ["size"], "pooling": "complete"}, []),
    ({"varying": ["size"]}, [LEVEL.format("size")]),
    ({"varying": ["x", "size"]}, [LEVEL.format("size")]),
    ({"varying": ["ones", "size"], "intercept": "none"}, [LEVEL.format("size")]),
    ({"varying": ["x", "type"]}, [LEVEL.format("type")]),
    ({"varying": ["type", "size"]}, [LEVEL.format("type"), LEVEL.format("size")]),
    ({"varying": ["size"], "intercept": "common"}, [ALONE.format("size")]),
    ({"varying": ["size"], "intercept": "none"}, [ALONE.format("size")]),
    ({"varying": ["once"]}, [ONE.format("once")]),
    ({"varying": ["late"]}, [ONE.format("late")]),
]


def by_group(groups: int = 12, size: int = 8) -> pd.DataFrame:
    """Columns that vary within all groups (x, kind), within one (once, late), within none."""
    rng = np.random.default_rng(5)
    group = np.repeat(np.arange(groups), size)
    here, n = group == 3, len(group)
    rows = pd.DataFrame({"g": [f"g{j:02d}" for j in group], "x": rng.normal(size=n)})
    return rows.assign(
        y=rows["x"] + rng.normal(size=groups)[group] + rng.normal(size=n),
        size=rng.normal(size=groups)[group],
        type=np.array([*"abc"] * 4)[group],
        kind=np.where(here & (np.arange(n) % 2 == 0), "c", rng.choice([*"ab"], n)),
        once=np.where(here, rows["x"], 1 / 3),
        late=np.where(here & (np.arange(n) % 2 == 0), "b", "a"),
        ones=1.0,
    )


def said_of(make: Any, *given: Any, **options: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", DataWarning)
        make(*given, **options)
    return [str(line.message) for line in said if "in varying=" in str(line.message)]


def matches(said: list[str], wanted: list[str]) -> bool:
    return len(said) == len(wanted) and all(map(re.match, wanted, said))


@pytest.mark.parametrize(("columns", "wanted"), SLOPES)
def test_slopes_of_columns_constant_within_groups_are_named(columns, wanted) -> None:
    frame = by_group()
    names = [*columns["varying"], *columns.get("common", [])]
    options = {"y": "y", "group": "g"}
    summed = hm.sufficient_statistics(frame, **options, columns=names)
    # No level is in one of two halves alone, so that they can be merged.
    halves = frame[::2], frame[1::2]
    if not {"kind", "late"} & {*names}:
        first, second = (hm.sufficient_statistics(h, **options, columns=names) for h in halves)
        assert matches(said_of(hm.VaryingSlopes, first + second, **options, **columns), wanted)
    for given in (frame, summed):
        assert matches(said_of(hm.VaryingSlopes, given, **options, **columns), wanted)


@quiet
@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_names_them(name: str, request: Any, tmp_path: Any) -> None:
    data = (EAGER | LAZY)[name](by_group(), request, tmp_path)
    columns = ["x", "size", "type", "late"]
    said = said_of(hm.VaryingSlopes, data, y="y", group="g", varying=columns)
    assert matches(said, [LEVEL.format("size"), LEVEL.format("type"), ONE.format("late")])


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "tsv", "parquet"])
def test_every_file_names_them_in_python_and_typed(ending: str, tmp_path: Any, capsys: Any) -> None:
    file = tmp_path / f"rows.{ending}"
    frame = by_group()
    if ending == "parquet":
        frame.to_parquet(file, index=False)
    else:
        frame.to_csv(file, index=False, sep="\t" if ending == "tsv" else ",")
    columns = {"y": "y", "group": "g", "varying": ["x", "size"]}
    said = said_of(hm.VaryingSlopes, file, **columns)
    assert matches(said, [LEVEL.format("size")])
    words = ["fit", "varying-slopes", str(file), "--y", "y", "--group", "g", "--varying", "x"]
    words += ["--varying", "size", "--engine", "exact", "--draws", "20", "--seed", "1"]
    assert cli.main([*words, "-q", "-o", str(tmp_path / "fit.nc")]) == 0
    told = capsys.readouterr().err
    assert "warning: column 'size' in varying= is constant within every group" in told


@pytest.mark.parametrize("mean", [0.0, 1e3, 1e6])
@pytest.mark.parametrize("size", [2, 8, 20_000])
def test_a_constant_column_is_seen_in_groups_of_any_size_far_from_0(mean: float, size: int) -> None:
    frame = by_group(size=size)
    frame["size"] = frame["size"] / 3 + mean
    said = said_of(hm.VaryingSlopes, frame, y="y", group="g", varying=["size"])
    assert matches(said, [LEVEL.format("size")])
    # A millionth of the spread between groups is enough to vary, as to tell columns apart.
    frame["size"] += 1e-5 * frame["x"]
    assert not said_of(hm.VaryingSlopes, frame, y="y", group="g", varying=["size"])


def test_another_pooling_strategy_says_it_when_it_comes_to_that() -> None:
    model = hm.VaryingSlopes(by_group(), y="y", group="g", varying=["size"], pooling="complete")
    assert matches(said_of(model.replace, pooling="partial"), [LEVEL.format("size")])
    pools = hm.compare_pooling(model, seed=1, draws=50)
    assert any("constant within every group" in note for note in pools.notes)
