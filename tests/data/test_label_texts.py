"""Blank labels are missing values, and labels that look alike are named, whoever reads them."""

from __future__ import annotations

import re
import sys
import time
import unicodedata
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
import polars as pl
import pytest

import hiermodels as hm
from hiermodels.cli import main as cli
from hiermodels.data import frames, label_texts, labels
from hiermodels.errors import DataError, DataWarning
from hiermodels.families.gaussian import aggregation
from hiermodels.models import new_rows
from tests.dataframes import EAGER, LAZY, cluster, of_duckdb, quiet, slowly, spark
from tests.families.gaussian.test_statistics import alike

__all__ = ["cluster", "spark"]  # fixtures


def file_of(ending: str) -> Any:
    """One file of all rows, which is read into memory."""

    def write(frame: pd.DataFrame, _: Any, folder: Path) -> Path:
        path = folder / f"rows{ending}"
        if ending == ".parquet":
            frame.to_parquet(path, index=False)
        else:
            frame.to_csv(path, index=False, sep="\t" if ".tsv" in ending else ",")
        return path

    return write


ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet")
FILES = {f"a {ending} file": file_of(ending) for ending in ENDINGS}
WAYS = {**EAGER, **LAZY, **FILES}
CSV = {"a folder of CSV", *(f"a {ending} file" for ending in ENDINGS if ending != ".parquet")}


@pytest.fixture(params=slowly(WAYS))
def way(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """From a pandas frame to that of an engine, or to files."""

    def convert(data: pd.DataFrame) -> Any:
        return WAYS[request.param](data, request, tmp_path)

    convert.csv = request.param in CSV  # type: ignore[attr-defined]
    return convert


def rows(labels: list[Any], levels: list[Any], times: int = 4) -> pd.DataFrame:
    """Each label with each level, ``times`` times over."""
    rng = np.random.default_rng(4)
    g = np.repeat(np.array(labels, dtype=object), len(levels) * times)
    s = np.tile(np.array(levels, dtype=object), len(labels) * times)
    frame = pd.DataFrame({"city": g, "sex": s, "x": rng.normal(size=len(g)).round(3)})
    frame = frame.assign(score=rng.normal(size=len(g)).round(3))
    return frame.sample(frac=1, random_state=1, ignore_index=True)


def of(data: Any, **options: Any) -> Any:
    return aggregation.sufficient_statistics(
        data, **{"y": "score", "group": "city", "columns": ["x", "sex"], **options}
    )


# ---- blank text, and Python's words for a missing value ------------------------------------------

# White space, no-break and wide, of no width, and what astype(str) makes of missing values.
TEXTS = ["", " ", " \t ", "\xa0", "\u2003\u3000", "\u200b", "\ufeff \xad", "nan", "NaN", "None",
         "<NA>", "NaT", " nan\xa0"]  # fmt: skip
# What a CSV file's reader has made missing already.
GONE = {"", "nan", "NaN", "None", "<NA>"}


@quiet
def test_blank_labels_are_missing_values_in_every_engine_and_file(way: Any) -> None:
    data = rows(["Namibia", "nano", "none", *TEXTS], ["F", "M"])
    blank = data["city"].isin(TEXTS)
    n = int(blank.sum())
    given = way(data)
    told = rf"{n} of {len(data)} rows have missing values \(city: {n}\).*, text that is blank or "
    told += r"Python's for a missing value among them \(city: .* and \d+ more in (\d+) rows\); "
    told += r"fill them in, or pass missing='drop' .*; if '.*' is a label, rename it: frame\['city"
    with pytest.raises(DataError, match=told) as caught:
        of(given)
    found = re.search(told, str(caught.value))
    assert found is not None
    assert int(found[1]) == (n - data["city"].isin(GONE).sum() if way.csv else n)
    with pytest.warns(DataWarning, match=rf"{n} of {len(data)} rows .* were dropped"):
        left = of(given, missing="drop")
    assert left.dropped == n
    assert sorted(left.labels.tolist()) == ["Namibia", "nano", "none"]
    alike(left, replace(of(data[~blank]), dropped=n))


@quiet
def test_blank_levels_are_missing_values_in_every_engine_and_file(way: Any) -> None:
    data = rows(["a", "b"], ["F", "M", " ", "\u200b", "NaT"])
    given, gone = way(data), ~data["sex"].isin(["F", "M"])
    told = r"24 of 40 rows have missing values \(sex: 24\).* \(sex: .* in 24 rows\)"
    with pytest.raises(DataError, match=told):
        of(given)
    with pytest.warns(DataWarning, match=told + " and were dropped"):
        found = of(given, missing="drop")
    assert found.levels == {"sex": ("F", "M")}
    alike(found, replace(of(data[~gone]), dropped=24))
    # The rows themselves, where they are read later.
    columns: dict[str, Any] = {"group": "city", "varying": ["x"], "common": ["sex"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        model = hm.VaryingSlopes(given, y="score", **columns, missing="drop")
        assert len(model.design.rows("a test").y) == 16


@quiet
@pytest.mark.parametrize(
    "name", ["pandas", "polars", "polars text", "polars lazy", "DuckDB", "Dask"]
)
def test_blank_categories_are_missing_values(name: str, request: Any, tmp_path: Path) -> None:
    cities, sexes = ["b", "", "nan", "a"], ["M", " ", "F"]
    plain = rows(cities, sexes)
    data = plain.assign(
        city=pd.Categorical(plain["city"], categories=[*cities, "\xa0"]),
        sex=pd.Categorical(plain["sex"], categories=sexes),
    )
    given: Any = data
    if name in ("polars", "polars lazy"):
        kinds = {"city": pl.Enum([*cities, "\xa0"]), "sex": pl.Enum(sexes)}
        given = pl.from_pandas(plain).cast(kinds)  # type: ignore[arg-type]
        given = given.lazy() if name == "polars lazy" else given
    elif name == "polars text":
        given = pl.from_pandas(plain).cast({"city": pl.Categorical, "sex": pl.Categorical})
    elif name == "DuckDB":
        kinds = {n: f"enum{tuple(v)}" for n, v in (("city", cities), ("sex", sexes))}
        casts = ", ".join(f"{n}::{kind} as {n}" for n, kind in kinds.items())
        given = of_duckdb(plain, request, tmp_path).project(f"* exclude (city, sex), {casts}")
    elif name == "Dask":
        given = LAZY[name](data, request, tmp_path)
    with pytest.raises(DataError, match=r"32 of 48 rows .*\(city: 24, sex: 16\).* \(city: .*; sex"):
        of(given)
    with pytest.warns(DataWarning, match="32 of 48 rows"):
        found = of(given, missing="drop")
    assert found.labels.tolist() == (["a", "b"] if name == "polars text" else ["b", "a"])
    assert found.levels["sex"] == (("F", "M") if name == "polars text" else ("M", "F"))


def test_the_text_of_missing_values_is_a_missing_value() -> None:
    absent = [None, np.nan, pd.NA, pd.NaT]
    values = [str(value) for value in [*absent, 1.0, np.float64("nan")]]
    found = labels.of_series(nw.from_native(pd.Series(values), series_only=True), "g")
    assert found.levels.tolist() == ["1.0"]
    assert found.texts == {"None": 1, "nan": 2, "<NA>": 1, "NaT": 1}


def test_words_for_missing_values_that_people_write_are_labels_of_a_frame() -> None:
    words = ["NA", "n/a", "NULL", "-", ".", "?", "nan nan"]
    assert of(rows(words, ["F", "M"])).J == len(words)
    words += ["null", "NAN", "none", "Nat", "nannan"]
    assert not any(map(label_texts.is_missing, words))


def test_white_space_is_what_python_takes_for_it_and_every_engine_has_the_same() -> None:
    every = map(chr, range(sys.maxunicode + 1))
    assert set(label_texts.WHITE) == {c for c in every if c.isspace()}
    # What prints nothing, as far as Unicode has named it: format characters among it.
    texts = [*label_texts.WHITE, *label_texts.INVISIBLE, *"a\u0308\u00e9.^-]["]
    texts += [f"{c}nan{c}" for c in texts] + [f"a{c}" for c in texts] + [f"{c}a" for c in texts]
    expected = [label_texts.is_missing(text) for text in texts]
    among = label_texts.missing_among(np.array(texts).astype(">U5"))
    assert among.tolist() == [label_texts.is_missing(text) for text in texts]
    assert sum(expected) == 2 * len(label_texts.WHITE + label_texts.INVISIBLE)
    for frame in (pl.DataFrame({"t": texts}), pd.DataFrame({"t": pd.Series(texts, dtype=object)})):
        found = nw.from_native(frame).select(label_texts.missing(nw.col("t")))
        assert found["t"].to_list() == expected


def test_a_long_blank_before_a_letter_takes_no_quadratic_time() -> None:
    text = " " * 1_000_000 + "a"
    start = time.process_time()
    assert re.search(label_texts._PATTERN, text) is None
    assert time.process_time() - start < 10  # backtracking twice would take an hour


def test_blank_labels_of_estimates_are_missing_values() -> None:
    schools = hm.datasets.eight_schools()
    schools.loc[2, "school"] = "\u3000"
    columns = {"effect": "effect", "se": "se", "group": "school"}
    with pytest.raises(DataError, match=r"1 of 8 rows .*\(school: '\\u3000' in 1 row\)"):
        hm.EightSchools(schools, **columns)
    with pytest.warns(DataWarning, match="1 of 8 rows"):
        assert hm.EightSchools(schools, **columns, missing="drop").design.J == 7


def test_statistics_that_have_a_blank_label_are_refused() -> None:
    found = of(rows(["a", "b"], ["F", "M"]))
    with pytest.raises(DataError, match=r"labels of 'city' must be names, got '\\xa0', which sta"):
        replace(found, labels=np.array(["a", "\xa0"]))


@pytest.mark.parametrize("blank", ["", " ", "nan", None])
def test_a_blank_data_set_is_refused_by_fit_many(blank: Any) -> None:
    data = rows(["a", "b", "c"], ["F", "M"]).assign(site=["north", "south", blank] * 8)
    model = hm.OneWay(data, y="score", group="city")
    told = r"by='site' must say for every row .* got 8 missing values in 24 rows"
    told += "; leave" if blank is None else rf", text that is blank .*\(site: '{blank}' in 8 rows\)"
    with pytest.raises(DataError, match=told):
        hm.fit_many(model, data, by="site")


def test_blank_labels_of_new_rows_are_missing_values() -> None:
    data = rows(["a", "b", "c"], ["F", "M"])
    columns: dict[str, Any] = {"y": "score", "group": "city", "common": ["sex"], "varying": ["x"]}
    model = hm.VaryingSlopes(data, **columns)
    new = data[:3].assign(city=["a", " ", "nan"], sex=["F", "M", ""])
    for target in ("same", "new"):
        with pytest.raises(DataError, match=r"2 of 3 rows .*\(city: ' ', 'nan' in 2 rows; sex: ''"):
            new_rows.read(model, new, target)
    lenient = model.replace(missing="drop")
    with pytest.warns(DataWarning, match="2 of 3 rows"):
        assert new_rows.read(lenient, new, "same").labels.tolist() == ["a"]


# ---- labels that look alike ----------------------------------------------------------------------

KOELN = ["Köln", "Ko\u0308ln", "Köln ", "Köln\xa0", "K\u200böln", "KÖLN", " ko\u0308ln"]


def told(caught: Any) -> list[str]:
    return [str(w.message) for w in caught if "look alike" in str(w.message)]


@quiet
def test_labels_that_look_alike_are_named_once_in_every_engine_and_file(way: Any) -> None:
    given = way(rows([*KOELN, "Bonn"], ["f", "m", "F"]))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataWarning)
        model = hm.VaryingSlopes(given, y="score", group="city", varying=["x"], common=["sex"])
        assert len(model.design.rows("a test").y) == 8 * 3 * 4
        model.replace(pooling="complete")
    assert model.design.J == 8
    (message,) = told(caught)
    assert re.match(r"6 pairs of labels of group='city' look alike but are not equal \(", message)
    assert "and 3 more pairs), and each is a group of its own; if they are the same" in message
    assert (
        "; 1 pair of levels of predictor 'sex' look alike but are not equal ('F' and 'f')"
        in message
    )
    assert message.isascii() or "ö" in message
    with pytest.warns(DataWarning, match="6 pairs of labels of group='city'"):
        found = of(given)
    with pytest.warns(DataWarning, match="6 pairs of labels of group='city'"):
        hm.OneWay(found, y="score", group="city")


def test_the_line_of_pandas_makes_them_one() -> None:
    for some in ([0, 1], [0, 2], [0, 3], [0, 4], [0, 5], range(7)):
        frame = rows([KOELN[i] for i in some], ["F", "M"])
        with pytest.warns(DataWarning) as caught:
            of(frame)
        (message,) = told(caught)
        line = message.partition("in pandas: ")[2].partition("; if they differ")[0]
        exec(line, {"frame": frame})  # noqa: S102 - what the message says
        assert len(set(frame["city"])) == 1, line
        assert len(set(map(str.casefold, of(frame).labels.tolist()))) == 1


@pytest.mark.parametrize(
    ("one", "other", "shown", "way"),
    [
        ("Köln", "Ko\u0308ln", r"'K\xf6ln' and 'Ko\u0308ln'", ".str.normalize('NFC')"),
        ("Köln", "Köln ", "'Köln' and 'Köln '", ".str.strip()"),
        ("Köln", "Köln\xa0", r"'Köln' and 'Köln\xa0'", ".str.strip()"),
        ("Köln", "Kö\u200bln", r"'Köln' and 'Kö\u200bln'",
         r".str.replace('[\u200b]', '', regex=True)"),
        ("a", "A", "'a' and 'A'", ".str.casefold()"),
        ("straße", "STRASSE", "'straße' and 'STRASSE'", ".str.casefold()"),
        ("A1", "\uff21\uff11", r"'A1' and '\uff21\uff11'", ".str.normalize('NFKC')"),
        ("St Ives", "St\xa0Ives", r"'St Ives' and 'St\xa0Ives'", ".str.normalize('NFKC')"),
        ("x", "x\u200b ", r"'x' and 'x\u200b '",
         r".str.replace('[\u200b]', '', regex=True).str.strip()"),
    ],
)  # fmt: skip
def test_pairs_are_shown_so_that_they_can_be_told_apart(
    one: str, other: str, shown: str, way: str
) -> None:
    with pytest.warns(DataWarning) as caught:
        label_texts.warn("city", np.array(["Bonn", one, other]), {})
    (message,) = told(caught)
    assert message == (
        f"1 pair of labels of group='city' look alike but are not equal ({shown}), and each is a "
        f"group of its own; if they are the same, merge them first, in pandas: frame['city'] = "
        f"frame['city']{way}; if they differ on purpose, nothing is to be done"
    )


@pytest.mark.parametrize(
    "labels",
    [
        ["a", "b"], ["a 1", "a1"], ["10", "1"], ["e", "é"], ["co-op", "coop"], ["a\nb", "a b"],
        ["a_", "a"], ["A.", "A"], [], ["\u0131", "i"],
    ],
)  # fmt: skip
def test_labels_that_only_resemble_each_other_are_let_be(labels: list[str]) -> None:
    label_texts.warn("city", np.array(labels, dtype=np.str_), {"sex": labels})


def test_each_text_is_folded_by_itself_as_unicode_does() -> None:
    # Joined to one they have borders: no letter of one combines with those of the next.
    texts = [*KOELN, "o", "\u0308", "", "ΣΑΣ", "Σ", "ﬁ", "\u1100", "\u1161", "İ", "\u200d"]
    assert label_texts.folded(texts) == [label_texts.folded([text])[0] for text in texts]
    for text in texts:
        assert label_texts.folded([unicodedata.normalize("NFD", text)]) == label_texts.folded(
            [text]
        )


def test_integer_labels_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(label_texts, "folded", none)
    monkeypatch.setattr(label_texts, "missing_among", none)
    found = of(rows([1, 2, 3], ["F", "M"]), columns=["x"])
    assert found.labels.tolist() != []


@pytest.mark.slow
def test_a_million_labels_are_looked_at_in_a_moment() -> None:
    for stem in ("school", "Schüler", "学校", "Schu\u0308ler"):
        names = np.array([f"{stem} {i}" for i in range(1_000_000)])
        start = time.process_time()
        label_texts.warn("city", names, {})
        assert time.process_time() - start < 5  # 0.3 to 0.5 s on an idle machine


def test_labels_of_estimates_that_look_alike_are_named_once() -> None:
    schools = hm.datasets.eight_schools()
    schools.loc[2, "school"] = "a"
    columns = {"effect": "effect", "se": "se", "group": "school"}
    statistics = hm.sufficient_statistics
    with pytest.warns(DataWarning, match="'A' and 'a'"):
        found = statistics(schools, y="effect", group="school", columns=["se"])
    for given in (schools, found):
        with pytest.warns(DataWarning) as caught:
            hm.EightSchools(given, **columns)
        assert len(told(caught)) == 1


def test_parts_whose_labels_look_alike_are_named_where_they_are_one_model() -> None:
    first, second = (of(rows(["a", name], ["F", "M"])) for name in ("Köln", "Köln "))
    with pytest.warns(DataWarning, match="1 pair of labels of group='city'.*'Köln' and 'Köln '"):
        hm.OneWay(first + second, y="score", group="city")


@pytest.mark.filterwarnings("ignore::hiermodels.errors.DiagnosticWarning")
def test_data_sets_of_fit_many_that_look_alike_are_named() -> None:
    data = rows(["a", "b", "A"], ["F", "M"]).assign(site=["north", "north ", "south"] * 8)
    with pytest.warns(DataWarning, match="'city'"):
        model = hm.OneWay(data, y="score", group="city")
    options: dict[str, Any] = {"chains": 1, "draws": 50, "warmup": 50, "progress": False}
    with pytest.warns(DataWarning) as caught:
        many = hm.fit_many(model, data, by="site", seed=1, **options)
    first, second = told(caught)
    assert first.startswith("1 pair of labels of by='site' look alike but are not equal ('north'")
    assert "each is a data set of its own" in first
    assert second.startswith("3 of 3 data sets with remarks")
    assert many.diagnostics["remarks"].str.count("group='city' look alike").tolist() == [1, 1, 1]


def test_unknown_labels_of_new_rows_that_look_like_known_ones_are_named() -> None:
    data = rows(["Köln", "Bonn"], ["female", "male"])
    columns: dict[str, Any] = {"y": "score", "group": "city", "common": ["sex"], "varying": ["x"]}
    model = hm.VaryingSlopes(data, **columns)
    new = data[:1].assign(city="Ko\u0308ln")
    alike = r"; 'Ko\\u0308ln' looks like 'K\\xf6ln' but is not equal to it"
    with pytest.raises(DataError, match=r"no group of the label .*\(target='new'.*\)" + alike):
        new_rows.read(model, new, "same")
    assert new_rows.read(model, new, "new").labels.tolist() == ["Ko\u0308ln"]
    with pytest.raises(DataError, match="got 'Male'; 'Male' looks like 'male' but is not equal"):
        new_rows.read(model, data[:1].assign(sex="Male"), "same")


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".csv.gz", ".parquet"])
def test_on_the_command_line_it_is_the_same(
    ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blank = file_of(ending)(rows(["Köln", "Bonn", " "], ["F", "M"]), None, tmp_path)
    words = ["fit", "one-way", str(blank), "--y", "score", "--group", "city", "--engine", "exact"]
    words += ["-o", str(tmp_path / "fit.nc"), "--draws", "10", "--seed", "1"]
    assert cli.main(words) == 2
    assert "text that is blank or Python's for a missing value" in capsys.readouterr().err
    file_of(ending)(rows(["Köln", "Bonn", "Köln "], ["F", "M"]), None, tmp_path)
    assert cli.main(words) == 0
    err = capsys.readouterr().err
    assert err.count("look alike") == 1
    assert "warning: 1 pair of labels of group='city' look alike" in err


def test_the_rows_of_a_lazy_frame_are_read_by_the_same_rule() -> None:
    data = rows(["a", "b", " "], ["F", "M"])
    with pytest.warns(DataWarning):
        table = frames.table(
            pl.from_pandas(data).lazy(), roles={"y": "score"}, group="city", missing="drop"
        )
    assert sorted(table.groups.labels.tolist()) == ["a", "b"]


def test_labels_that_are_numbers_with_fractions_are_told_of(tmp_path: Path) -> None:
    frame = pd.DataFrame({"g": ["1.5", "2.25", "3.0"] * 4, "y": [i * i / 7 for i in range(12)]})
    frame.to_csv(tmp_path / "1.csv", index=False)
    for given in (frame, tmp_path / "1.csv"):
        with pytest.warns(DataWarning, match="numbers with fractions, such as 1.5"):
            model = hm.OneWay(given, y="y", group="g")
        assert model.design.labels.tolist() == ["1.5", "2.25", "3.0"]
    # Whole numbers, however written, and versions beside words are labels.
    for texts in (["1.0", "2.0", "3"], ["1.1", "1.2", "b"]):
        hm.OneWay(frame.assign(g=texts * 4), y="y", group="g")
