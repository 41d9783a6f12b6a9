"""Statistics by every engine: the same numbers, the same refusals, and no rows brought here."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
import polars as pl
import pytest

from hiermodels.data import columns as rules
from hiermodels.data import frames
from hiermodels.errors import ColumnError, DataError, DataWarning, OptionError
from hiermodels.families.gaussian import aggregation
from hiermodels.families.gaussian.statistics import SufficientStatistics
from tests.dataframes import EAGER, LAZY, cluster, of_duckdb, quiet, spark
from tests.families.gaussian.far_groups import SPREADS, exact_within, rows
from tests.families.gaussian.test_statistics import alike, frame

__all__ = ["cluster", "spark"]  # fixtures

DATA = frame(mean=1e8).assign(
    school=lambda f: f["school"].map("school {}".format),
    boy=lambda f: f["ses"] > f["ses"].mean(),
    count=lambda f: (f["score"] * 10).astype(int),
)
COLUMNS = ["ses", "sex", "boy", "count"]


def of(data: Any, **options: Any) -> SufficientStatistics:
    return aggregation.sufficient_statistics(
        data, **{"y": "score", "group": "school", "columns": COLUMNS, **options}
    )


@pytest.fixture(params=[*EAGER, *LAZY])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """From a pandas frame to that of an engine."""

    def convert(data: pd.DataFrame) -> Any:
        return (EAGER | LAZY)[request.param](data, request, tmp_path)

    convert.lazy = request.param in LAZY  # type: ignore[attr-defined]
    convert.name = request.param  # type: ignore[attr-defined]
    return convert


@pytest.fixture
def heights(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of each lazy frame that was collected."""
    found: list[int] = []
    collect = nw.LazyFrame.collect

    def watched(self: Any, *args: Any, **options: Any) -> Any:
        frame = collect(self, *args, **options)
        found.append(len(frame))
        return frame

    monkeypatch.setattr(nw.LazyFrame, "collect", watched)
    return found


@quiet
def test_every_engine_gives_the_same_statistics_and_no_rows(
    engine: Any, heights: list[int]
) -> None:
    data = engine(DATA)
    assert frames.is_lazy(data) == engine.lazy
    found = of(data)
    # One row of counts, three levels of sex, twelve groups; and their means, where an engine would
    # hold the rows between two uses in one query.
    twice = engine.name in ("polars lazy", "Dask")
    assert heights == ([1, 3, *[12] * (1 + twice)] if engine.lazy else [])
    alike(found, of(DATA))
    assert found.columns == ("ses", "sex[M]", "sex[X]", "boy", "count")
    if engine.lazy:
        assert found.labels.tolist() == sorted(set(DATA["school"]))
    else:
        assert found.labels.tolist() == DATA["school"].unique().tolist()


@quiet
def test_every_engine_keeps_the_digits_of_groups_that_lie_far_apart(engine: Any) -> None:
    data = pd.concat(
        [
            rows(spread, size=7, seed=k).assign(
                # A group of one row, and labels that are text.
                g=lambda f, k=k: (f["g"] + 10 * k).where(f.index > 0, 99 + k).map("g {:03d}".format)
            )
            for k, spread in enumerate((1.0, *SPREADS))
        ]
    ).reset_index(drop=True)
    data["sex"] = np.where(data.index % 3 == 0, "M", "F")
    found = of(engine(data), y="y", group="g", columns=["x", "w", "v", "sex"])
    assert found.columns == ("x", "w", "v", "sex[M]")
    coded = data.assign(**{"sex[M]": (data["sex"] == "M").astype(float)})
    exact = exact_within(coded, [*found.columns, "y"])
    assert sorted(found.labels.tolist()) == sorted(exact)
    for label, within in zip(found.labels.tolist(), found.within, strict=True):
        size = np.sqrt(np.diag(exact[label]))
        error = np.abs(within - exact[label]) / np.maximum(np.outer(size, size), 1e-12)
        assert error.max() < 1e-9, label
    means = coded.groupby("g")[[*found.columns, "y"]].mean().loc[found.labels.tolist()]
    np.testing.assert_allclose(found.centre + found.group_means, means, rtol=1e-10, atol=1e-7)


@quiet
def test_every_engine_drops_the_same_rows(engine: Any) -> None:
    data = DATA.copy()
    data["school"] = data["school"].str[7:].astype(float)
    data.loc[[1, 2], "ses"] = np.nan
    # What else stands in the rows that go does not count.
    data.loc[1, "score"], data.loc[2, "score"] = np.inf, -1e12
    data.loc[[2, 599], "sex"] = None
    data.loc[[4, 599], "school"] = np.nan
    data.loc[5, "score"] = np.nan
    converted = engine(data)
    told = r"5 of 600 rows have missing values \(school: 2, score: 1, ses: 2, sex: 2\)"
    with pytest.raises(DataError, match=told):
        of(converted)
    with pytest.warns(DataWarning, match="5 of 600 rows .* were dropped"):
        found = of(converted, missing="drop")
    with pytest.warns(DataWarning):
        expected = of(data, missing="drop")
    alike(found, expected)
    assert found.dropped == 5
    assert found.labels.dtype == np.int64


REFUSED: list[tuple[str, pd.DataFrame, dict[str, Any], type[Exception], str]] = [
    ("no such column", DATA, {"columns": ["sez"]}, ColumnError,
     "predictor: the data frame has no column 'sez'; .*; did you mean .*'ses'"),
    ("text for numbers", DATA, {"y": "sex", "columns": []}, DataError,
     "y='sex' must be a column of numbers, got text in all 600 rows,.* '[FM]'.*; name"),
    ("infinite", DATA.assign(ses=[np.inf, -np.inf, *DATA["ses"][2:]]), {}, DataError,
     "column 'ses' must be finite, got 2 infinite values in 600 rows"),
    ("measured labels", DATA, {"group": "score", "y": "count", "columns": []}, DataError,
     "group labels in column 'score' must be strings or integers, got numbers with fractions"),
    ("one level", DATA.assign(sex="F"), {}, DataError,
     "predictor 'sex' must vary, got the one value 'F' in all rows"),
    ("too many levels", DATA.assign(sex=[f"p{i}" for i in range(600)]), {}, DataError,
     "at most 100 levels, got text with 600 levels"),
    ("empty", DATA[:0], {"columns": ["ses"]}, DataError, "the data frame is empty"),
    ("all missing", DATA.assign(ses=np.nan), {"missing": "drop"}, DataError,
     "600 of 600 rows have missing values .*; none is left to fit"),
    ("used twice", DATA, {"columns": ["score"]}, DataError, "column 'score' is used twice"),
    ("two of one name", DATA.assign(**{"sex[M]": 1.0 * np.arange(600)}),
     {"columns": ["sex", "sex[M]"]}, DataError, r"coefficient named 'sex\[M\]'"),
    ("unknown missing", DATA, {"missing": "ignore"}, OptionError, "must be 'raise' or 'drop'"),
    ("a bare name", DATA, {"columns": "ses"}, OptionError,
     r"columns must be a list of column names, got 'ses'; \['ses'\] is one"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "options", "error", "message"),
    [case[1:] for case in REFUSED],
    ids=[case[0] for case in REFUSED],
)
@pytest.mark.parametrize("name", ["pandas", "polars lazy", "DuckDB"])
def test_every_engine_refuses_the_same(
    name: str,
    data: pd.DataFrame,
    options: dict[str, Any],
    error: type[Exception],
    message: str,
    request: Any,
    tmp_path: Path,
) -> None:
    with pytest.raises(error, match=message):
        of((EAGER | LAZY)[name](data, request, tmp_path), **options)


@quiet
@pytest.mark.parametrize("name", ["Dask", "PySpark", "ibis"])
def test_slow_engines_refuse_it_too(name: str, request: Any, tmp_path: Path) -> None:
    data = DATA.assign(ses=[np.inf, -np.inf, *DATA["ses"][2:]])
    converted = LAZY[name](data, request, tmp_path)
    with pytest.raises(DataError, match="column 'ses' must be finite, got 2 infinite values"):
        of(converted)
    with pytest.raises(DataError, match="'score' must be strings or integers, got numbers with f"):
        of(converted, group="score", y="count", columns=[])
    with pytest.raises(DataError, match="y='sex' must be a column of numbers, got text"):
        of(converted, y="sex", columns=[])


@pytest.mark.parametrize("convert", [pl.DataFrame, pl.LazyFrame])
def test_null_and_nan_are_both_missing(convert: Any) -> None:
    data = convert({"g": [1.0, 1.0, float("nan"), None], "y": [None, float("nan"), 1.0, 2.0]})
    with pytest.raises(DataError, match=r"4 of 4 rows have missing values \(g: 2, y: 2\)"):
        of(data, y="y", group="g", columns=[])


def test_a_measured_quantity_is_refused_as_a_group_before_it_is_grouped(
    heights: list[int],
) -> None:
    with pytest.raises(DataError, match="a measured quantity is a predictor, not a group"):
        of(pl.from_pandas(DATA).lazy(), group="ses", columns=[])
    assert heights == [1]


def test_integer_labels_are_sorted_as_numbers() -> None:
    data = frame()[["school", "score"]]
    found = of(pl.from_pandas(data).lazy(), columns=[])
    assert found.labels.tolist() == list(range(0, 120, 10))


@quiet
@pytest.mark.parametrize("name", ["polars lazy", "DuckDB", "Dask"])
def test_categories_keep_their_order(name: str, request: Any, tmp_path: Path) -> None:
    sexes, schools = (
        ["X", "nobody", "M", "F"],
        [f"school {i}" for i in (*range(60, 120), *range(60))],
    )
    data = DATA.assign(
        sex=pd.Categorical(DATA["sex"], categories=sexes),
        school=pd.Categorical(DATA["school"], categories=schools),
    )
    if name == "polars lazy":
        enums = {"sex": pl.Enum(sexes), "school": pl.Enum(schools)}
        converted: Any = pl.from_pandas(DATA).cast(enums).lazy()  # type: ignore[arg-type]
    elif name == "DuckDB":
        kinds = {n: f"enum{tuple(v)}" for n, v in (("sex", sexes), ("school", schools))}
        casts = ", ".join(f"{n}::{kind} as {n}" for n, kind in kinds.items())
        converted = of_duckdb(DATA, request, tmp_path).project(f"* exclude (sex, school), {casts}")
    else:
        converted = LAZY[name](data, request, tmp_path)
    found, expected = of(converted), of(data)
    assert found.columns[1:3] == ("sex[M]", "sex[F]")
    assert found.labels.tolist() == expected.labels.tolist()
    alike(found, expected)


def test_categories_without_an_order_of_the_users_are_sorted() -> None:
    data = pl.from_pandas(DATA).with_columns(pl.col("sex", "school").cast(pl.Categorical)).lazy()
    assert of(data).levels == {"sex": ("F", "M", "X")}
    assert of(data).labels.tolist() == sorted(set(DATA["school"]))


def test_labels_of_the_engine_that_are_one_of_ours_are_one_group() -> None:
    data = pd.DataFrame({"g": [0.0, -0.0, 1.0, 1.0], "y": [1.0, 2.0, 3.0, 5.0]})
    found = of(pl.from_pandas(data).lazy(), y="y", group="g", columns=[])
    assert found.labels.tolist() == [0, 1]
    assert found.sizes.tolist() == [2, 2]


@pytest.mark.parametrize("kind", ["hugeint", "decimal(38, 0)"])
def test_labels_of_many_digits_are_exact_or_refused(kind: str) -> None:
    duckdb = pytest.importorskip("duckdb")
    rows = [f"select {n}::{kind} as g, {y}.0 as y" for y, n in enumerate([2**62, 2**62 + 1, 7, 7])]
    data = duckdb.sql(" union all ".join(rows))
    found = of(data, y="y", group="g", columns=[])
    assert found.labels.tolist() == [7, 2**62, 2**62 + 1]
    assert found.labels.dtype == np.int64
    table = frames.table(data, roles={"y": "y"}, group="g")
    assert sorted(table.groups.labels.tolist()) == found.labels.tolist()
    beyond = duckdb.sql(f"select {2**64}::{kind} as g, 1.0 as y union all select 2, 2.0")
    with pytest.raises(DataError, match=r"must all fit 64 bits .*; make the labels text"):
        of(beyond, y="y", group="g", columns=[])


def test_decimals_with_fractions_are_no_labels() -> None:
    data = pl.DataFrame({"g": [Decimal("1.5"), Decimal("2.5")], "y": [1.0, 2.0]}).lazy()
    with pytest.raises(DataError, match="numbers with fractions"):
        of(data, y="y", group="g", columns=[])


@pytest.mark.parametrize("passes", [(10, 9, 9), (10, 10, 9)])
def test_a_frame_that_changes_between_the_passes_is_refused(passes: tuple[int, ...]) -> None:
    rows = iter(passes)

    def source(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.head(next(rows))

    data = pl.from_pandas(DATA[["school", "score"]]).lazy().map_batches(source)
    with pytest.raises(DataError, match="got 10 rows and then 9; cache it"):
        of(data, columns=[])


def days(number: int) -> pd.DataFrame:
    """The rows with a column of days as text, ``number`` of them."""
    day = pd.date_range("2026-01-03", periods=number).strftime("%Y-%m-%d")
    return DATA.assign(day=np.resize(day.to_numpy(), len(DATA)))


DAY: dict[str, Any] = {"columns": ["day"]}


@quiet
def test_dates_as_text_are_levels_with_a_warning_whichever_engine_has_them(engine: Any) -> None:
    said = "predictor 'day' holds 3 dates as text, and each is a level .* if a trend is meant, make"
    with pytest.warns(DataWarning, match=said) as caught:
        found = of(engine(days(3)), **DAY)
    assert len([w for w in caught if w.category is DataWarning]) == 1
    assert found.columns == ("day[2026-01-04]", "day[2026-01-05]")


@quiet
def test_many_dates_as_text_are_refused_as_dates_whichever_engine_has_them(engine: Any) -> None:
    with pytest.raises(DataError, match="got 120 dates as text; make a column of numbers, such as"):
        of(engine(days(120)), **DAY)


def test_dates_of_a_csv_file_are_levels_with_a_warning_whoever_reads_it(tmp_path: Path) -> None:
    for number, paths in ((3, [tmp_path, tmp_path / "rows.csv"]), (100, [tmp_path / "rows.csv"])):
        days(number).to_csv(tmp_path / "rows.csv", index=False)
        for path in paths:
            with pytest.warns(DataWarning, match=f"holds {number} dates as text"):
                of(path, **DAY)
    days(101).to_csv(tmp_path / "rows.csv", index=False)
    for path in (tmp_path, tmp_path / "rows.csv"):
        with pytest.raises(DataError, match="at most 100 levels, got 101 dates as text; make"):
            of(path, **DAY)


def test_levels_beyond_all_measure_are_counted_by_either_way() -> None:
    data = pd.DataFrame({"school": ["a", "b"] * 750, "score": range(1500)})
    data["day"] = pd.date_range("2020-01-01", periods=1500).strftime("%Y-%m-%d")
    for given in (data, pl.from_pandas(data).lazy()):
        with pytest.raises(DataError, match="got 1500 dates as text; make a column of numbers"):
            of(given, **DAY)


@pytest.mark.parametrize("lazy", [False, True])
def test_categories_of_dates_are_levels_without_a_word(lazy: bool) -> None:
    data = days(3).astype({"day": "category"})
    found = of(pl.from_pandas(data).lazy() if lazy else data, **DAY)
    assert found.columns == ("day[2026-01-04]", "day[2026-01-05]")
    dates = DATA.assign(day=pd.Categorical(pd.to_datetime(days(3)["day"])))
    assert len(of(dates, **DAY).columns) == 2


def test_levels_that_are_known_are_not_spoken_of_again() -> None:
    with pytest.warns(DataWarning):
        found = of(days(3), **DAY)
    roles = {"roles": {"y": "score"}, "group": "school", "predictors": ["day"]}
    frames.table(days(3), **roles, levels=found.levels)


@pytest.mark.parametrize(
    ("text", "yes"),
    [
        ("2026-01-03", True),
        ("2026-01-03T12:30", True),
        ("2026-01-03 12:30:05.25+02:00", True),
        ("2026-01-03T12:30:05Z", True),
        ("2026-02-30", False),
        ("2026-01", False),
        ("20260103", False),
        ("03/01/2026", False),
        ("2026-01-03 to 2026-01-09", False),
        ("2026-01-03T\u0661\u0662:30", False),
        ("wave 1", False),
    ],
)
def test_a_date_is_a_day_as_iso_8601_writes_it(text: str, yes: bool) -> None:
    assert rules.is_date(text) == yes


def test_dates_among_other_text_are_levels_like_any_text() -> None:
    data = days(3)
    data.loc[0, "day"] = "unknown"
    assert len(of(data, **DAY).columns) == 3
