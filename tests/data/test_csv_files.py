"""Headers, blank lines, quotes and uneven rows of CSV files: the same for one file and for many."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from hiermodels.data import files
from hiermodels.errors import ColumnError, DataError
from tests.families.gaussian.test_aggregation import of


def every_way(folder: Path, text: str, kind: str = "csv") -> list[Path]:
    """A file of this text, packed and not, and a folder with another file beside each."""
    sign = "\t" if kind == "tsv" else ","
    paths = []
    for name, content in (
        (f"1.{kind}", text.encode()),
        (f"1.{kind}.gz", gzip.compress(text.encode())),
    ):
        beside = folder / f"beside {name}"
        beside.mkdir()
        (beside / name).write_bytes(content)
        (beside / f"0.{kind}").write_text(f"y{sign}g\n1{sign}a\n2{sign}b\n")
        (folder / name).write_bytes(content)
        paths += [folder / name, beside]
    return paths


@pytest.mark.parametrize(
    "text",
    [
        "g,y\r\na,1\r\nb,2\r\n",
        "g,y\ra,1\rb,2\r",
        "g,y\na,1\nb,2",
        "\ufeffg,y\na,1\nb,2\n",
        "g,y\n\na,1\n\n\nb,2\n\n",
        '"g","y"\n"a","1"\n"b","2"\n',
        "g,y\na,1,\nb,2,\n",
        "y,g\n1,a\n2,b\n",
    ],
    ids=[
        "Windows",
        "old Macs",
        "no end",
        "a mark",
        "blank",
        "quotes",
        "commas at the end",
        "order",
    ],
)
def test_rows_are_the_same_however_they_are_written(tmp_path: Path, text: str) -> None:
    for path in every_way(tmp_path, text):
        found = files.read(path, labels=["g"], others=["y"])[["g", "y"]].values.tolist()
        assert found == [["a", 1], ["b", 2]] * (len(found) // 2)
        assert len(found) == (4 if path.is_dir() else 2)


@pytest.mark.parametrize(
    "text", ["", "\n\n\n", "\n\ng,y\na,1\n", " \t \ng,y\na,1\n", "\ufeff\ng,y\n"]
)
def test_a_header_stands_in_the_first_line(tmp_path: Path, text: str) -> None:
    for path in every_way(tmp_path, text):
        with pytest.raises(DataError, match="names of its columns in its first line, which is bl"):
            of(path, y="y", group="g", columns=[])


def test_columns_without_a_name_are_named_as_by_pandas(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text(",g,y\n0,a,1\n1,b,2\n")
    assert files.columns(tmp_path / "1.csv") == ["Unnamed: 0", "g", "y"]
    (tmp_path / "1.csv").write_text("g, y\na,1\n")
    for path in (tmp_path / "1.csv", tmp_path):
        with pytest.raises(ColumnError, match="no column 'y'; it has 'g', ' y'; did you mean ' y'"):
            of(path, y="y", group="g", columns=[])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        # Another file behind the first, which has a column more.
        ("g,y\n" + "a,1\nb,2\n" * 50 + "g,y,z\n" + "c,3,4\nd,4,5\n" * 100, "3 in line 102"),
        ("g,y\n" + "a,1\nb,2\n" * 50 + "c,3,4\n", "3 in line 102"),
        ("g,y\n1,a,1\n2,b,2\n", "3 in line [23]"),  # pandas: names of the rows
        ('g,y\n"a,b",1\n\nb,2\nc,3,4\nd\n', "3 in line 5"),
        ("g,y\n" + "a,1\nb,2\n" * 50 + "c\n", "1 in line 102"),
        ("g,y\na,1\n   \nb,2\n", "1 in line 3"),
    ],
    ids=["two files", "one row", "numbers of the rows", "quotes and blanks", "short", "spaces"],
)
def test_a_row_that_is_too_long_or_too_short_is_refused(
    tmp_path: Path, text: str, says: str
) -> None:
    for path in every_way(tmp_path, text):
        with pytest.raises(DataError, match=f"as its header has names, got {says}, ") as caught:
            of(path, y="y", group="g", columns=[])
        assert str(caught.value).startswith("data file: '1.csv")


@pytest.mark.parametrize("text", ['g,y\na,1\n"b,2\n', 'g,y\n"a"b,1\nc,2\n'])
def test_quotes_that_do_not_enclose_a_field_are_refused(tmp_path: Path, text: str) -> None:
    for path in every_way(tmp_path, text):
        with pytest.raises(DataError, match="its quotes do not enclose whole fields"):
            of(path, y="y", group="g", columns=[])


def test_quotes_within_a_field_and_other_signs_are_letters(tmp_path: Path) -> None:
    cells = ['5" pipe', "O'Brien", "'a'", "#a", "a\\", "é", "x;y"]
    quoted = {'"a,b"': "a,b", '"c""d"': 'c"d', '"x\ny"': "x\ny"}
    text = "y,g\n" + "".join(f"1,{cell}\n" for cell in [*cells, *quoted])
    for path in every_way(tmp_path, text):
        found = files.read(path, labels=["g"])["g"].tolist()
        assert found[-len(cells) - len(quoted) :] == [*cells, *quoted.values()]


def test_a_name_with_a_nul_is_left_out_or_refused(tmp_path: Path) -> None:
    for path in every_way(tmp_path, "y\0,g,y\n5,a,1\n6,b,2\n"):
        if path.is_file():
            assert of(path, y="y", group="g", columns=[]).centre.tolist() == [1.5]
            assert list(files.read(path, labels=["g"], others=["y\0"]).columns) == ["g"]
        with pytest.raises(DataError, match="cannot be a variable's name in a NetCDF file"):
            of(path, y="y\0", group="g", columns=[])


def test_a_line_of_tabs_is_no_header(tmp_path: Path) -> None:
    for path in every_way(tmp_path, "\t\na\t1\nb\t2\n", "tsv"):
        with pytest.raises(DataError, match="must have the names of its columns in its first line"):
            of(path, y="y", group="g", columns=[])


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_files_whose_columns_stand_in_another_order_are_read_by_name(
    tmp_path: Path, kind: str
) -> None:
    import pandas as pd

    data = pd.DataFrame({"g": ["a", "b"], "y": [1.0, 2.0], "z": [7.0, 8.0]})
    for i, columns in enumerate((["g", "y"], ["z", "y", "g"], ["g", "y"])):
        part = data[columns].assign(y=data["y"] + 10 * i)
        path = tmp_path / f"{i}.{kind}"
        part.to_csv(path, index=False) if kind == "csv" else part.to_parquet(path, index=False)
    found = files.read(tmp_path, labels=["g"], others=["y"])
    assert found["y"].tolist() == [1, 2, 11, 12, 21, 22]
    assert found["g"].tolist() == [*"ababab"]
    with pytest.raises(DataError, match=rf"'.*0\.{kind}' has no column 'z', which other files"):
        files.read(tmp_path, labels=["g"], others=["z"])
