"""Text where numbers should be: the cell is named, and what to do about it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from hiermodels import EightSchools, OneWay, VaryingSlopes, datasets
from hiermodels.cli import main as cli
from hiermodels.data import frames, numerals
from hiermodels.errors import DataError, DataWarning
from tests.families.gaussian.test_aggregation import of

NUMBERS = [f"{i}.{i}" for i in range(1, 38)]


def spoilt(*cells: str, at: int = 11) -> pd.DataFrame:
    """37 rows in five groups, whose numbers are text with some cells of another kind."""
    y = NUMBERS.copy()
    y[at : at + len(cells)] = cells
    return pd.DataFrame({"g": [*"abcde"] * 7 + ["a", "b"], "x": range(37), "y": y})


def message(frame: Any, **options: Any) -> str:
    with pytest.raises(DataError, match=r"must be a column of numbers, got text") as caught:
        of(frame, **({"y": "y", "group": "g", "columns": []} | options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


MEND = (
    "mend the cell, or make it missing (empty in a file, pandas.to_numeric(..., errors='coerce') "
    "in a frame) and pass missing='drop'"
)
COMMAS = (
    "write decimal points, and nothing between thousands, or read the file with "
    "pandas.read_csv(..., decimal=',') or thousands=',', whichever the commas are"
)
HINTS = {
    "n/a?": MEND,
    "1O.5": MEND,
    "-": MEND,
    "0x10": MEND,
    "1_000": MEND,
    "2,576": COMMAS,
    "1,002.576": COMMAS,
    "-1,002,576": COMMAS,
    "1,5": COMMAS,
    "1.002,5": COMMAS,
    "2026-01-03": "make a column of numbers, such as the days since the first, or name another",
}


@pytest.mark.parametrize(("cell", "hint"), HINTS.items(), ids=HINTS)
def test_a_wrong_cell_of_a_file_is_named(tmp_path: Path, cell: str, hint: str) -> None:
    spoilt(cell).to_csv(tmp_path / "1.csv", index=False)
    told = f"y='y' must be a column of numbers, got text in 1 of 37 rows, {cell!r}"
    assert message(tmp_path / "1.csv") == f"{told} in row 11 (counted from 0); {hint}"
    assert message(tmp_path) == f"{told}; {hint}"


@pytest.mark.parametrize(
    ("convert", "where"),
    [
        (pd.DataFrame, " in row 11 (counted from 0)"),
        (pl.DataFrame, " in row 11 (counted from 0)"),
        (pa.Table.from_pandas, " in row 11 (counted from 0)"),
        (lambda frame: pl.from_pandas(frame).lazy(), ""),
        (lambda frame: duckdb.from_df(frame), ""),
    ],
    ids=["pandas", "polars", "arrow", "polars lazy", "DuckDB"],
)
def test_a_wrong_cell_of_every_frame_is_named(convert: Any, where: str) -> None:
    assert message(convert(spoilt("n/a?"))) == (
        f"y='y' must be a column of numbers, got text in 1 of 37 rows, 'n/a?'{where}; {MEND}"
    )
    lead = "first" if where else "such as"
    assert f"got text in 3 of 37 rows, {lead} 'a'{where}; mend the cells" in message(
        convert(spoilt("a", "a", "a"))
    )


def test_text_without_numbers_is_another_column(tmp_path: Path) -> None:
    data = spoilt().assign(y=[*"FM"] * 18 + [None])
    data.to_csv(tmp_path / "1.csv", index=False)
    expected = "got text in all 36 rows, first 'F' in row 0 (counted from 0); name another column"
    assert expected in message(tmp_path / "1.csv")


def test_numbers_as_text_have_no_wrong_cell(tmp_path: Path) -> None:
    for frame in (spoilt(), pl.from_pandas(spoilt()).lazy()):
        assert message(frame).endswith("got text; pandas.to_numeric(...) converts text")


def test_numbers_as_readers_take_them() -> None:
    for text in ("1", "-1.", "+.5", "1e5", "-1.5E-3", " 2 ", "nan", "-inf", "Infinity"):
        assert numerals.is_number(text), text
    for text in ("", ".", "-", "e5", "1e", "1O", "1 2", "--1", "0x1", "1_000", "5%", "Infinit"):
        assert not numerals.is_number(text), text


def test_estimates_and_their_errors_are_named_too(tmp_path: Path) -> None:
    schools = datasets.eight_schools().astype({"effect": str, "se": str})
    for column in ("effect", "se"):
        data = schools.copy()
        data.loc[3, column] = "7?"
        path = tmp_path / f"{column}.csv"
        data.to_csv(path, index=False)
        told = rf"{column}='{column}' must .* got text in 1 of 8 rows, '7\?' in row 3 .*; mend the"
        with pytest.raises(DataError, match=told):
            EightSchools(path, effect="effect", se="se", group="school")


def test_a_shell_user_is_told_the_option(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "1.csv"
    spoilt("n/a?").to_csv(path, index=False)
    mend = MEND.replace("missing='drop'", "--missing drop")
    assert cli.main(["fit", "one-way", str(path), "--y", "y", "--group", "g"]) == 2
    assert capsys.readouterr().err == (
        "error: y='y' must be a column of numbers, got text in 1 of 37 rows, 'n/a?' in row 11 "
        f"(counted from 0); {mend}\n"
    )


def test_a_predictor_with_a_wrong_cell_is_said_to_be_levels(tmp_path: Path) -> None:
    data = spoilt("n/a?").rename(columns={"x": "y", "y": "x"})
    data.to_csv(tmp_path / "1.csv", index=False)
    for given in (tmp_path / "1.csv", tmp_path, data, pl.from_pandas(data).lazy()):
        told = (
            r"predictor 'x' holds 37 values of text, such as 'n/a\?' among numbers, and "
            r"each is a level with its own coefficient; if numbers are meant, mend the cell"
        )
        with pytest.warns(DataWarning, match=told):
            of(given, y="y", group="g", columns=["x"])
    data["x"] = [f"{i},5" for i in range(37)]
    with pytest.warns(DataWarning, match=r"such as '0,5' among .* write decimal points, and"):
        of(data, y="y", group="g", columns=["x"])


def test_a_predictor_with_too_many_numbers_and_a_wrong_cell_is_refused(tmp_path: Path) -> None:
    lines = [f"{i % 7},{i},{i}.5" for i in range(200)]
    lines[99] = "1,2,1O.5"
    path = tmp_path / "1.csv"
    path.write_text("g,y,x\n" + "\n".join(lines) + "\n")
    for given in (path, tmp_path):
        with pytest.raises(
            DataError, match=r"at most 100 levels, got 200 values of text, such as '1O.5' among"
        ):
            VaryingSlopes(given, y="y", group="g", varying=["x"])


@pytest.mark.parametrize(
    "levels", [["9", "10", "11", "K"], [f"0{i}" for i in range(12)], [*"abcdefghijklm", "1"]]
)
def test_levels_that_are_coded_by_numbers_are_levels(levels: list[str]) -> None:
    x = (levels * 40)[:40]
    frame = pd.DataFrame({"g": [*"abcd"] * 10, "y": range(40), "x": x})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        of(frame, y="y", group="g", columns=["x"])


def test_new_rows_with_a_wrong_cell_are_refused_by_row(tmp_path: Path) -> None:
    good = spoilt().astype({"y": float}).rename(columns={"x": "y", "y": "x"})
    model = VaryingSlopes(good, y="y", group="g", varying=["x"])
    fit = model.fit(engine="exact", chains=2, draws=10, seed=1)
    spoilt("?").rename(columns={"x": "y", "y": "x"}).to_csv(tmp_path / "1.csv", index=False)
    with pytest.raises(
        DataError, match=r"predictor 'x' must .* 1 of 37 rows, '\?' in row 11 .*; m"
    ):
        model.predict(fit, tmp_path / "1.csv")


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("g;x;y\na;1,5;2\nb;1,5;2,5\nc;3;4\n", r"sep=';', decimal=','"),
        ("g;y\na;1,5\nb;1,7\nc;3,5\n", r"sep=';', decimal=','"),
        ("g;y\na;1.5\nb, c;1.7\n", r"sep=';'"),
    ],
    ids=["rows of any length", "rows of one length", "points"],
)
def test_semicolons_and_decimal_commas_are_told_together(
    tmp_path: Path, text: str, how: str
) -> None:
    (tmp_path / "1.csv").write_text(text)
    for path in (tmp_path / "1.csv", tmp_path):
        with pytest.raises(DataError, match=r"by commas, got semicolons") as caught:
            OneWay(path, y="y", group="g")
        assert f"read it with pandas.read_csv(..., {how}) or" in str(caught.value)


def test_numbers_that_pandas_reads_as_objects_are_counted_once() -> None:
    frame = pd.DataFrame({"g": [*"abc"], "y": pd.Series([1.5, "two", None], dtype=object)})
    with pytest.raises(DataError, match=r"got text in 1 of 2 rows, 'two' in row 1 \(counted"):
        frames.table(frame, roles={"y": "y"}, group="g")
