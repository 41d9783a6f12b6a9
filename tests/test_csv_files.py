"""Headers, blank lines and uneven rows of CSV files: the same to both readers."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from hiermodels import files
from hiermodels.errors import ColumnError, DataError

from .test_pushdown import of


def the_same_rows(folder: Path, text: str) -> None:
    """Whether pandas and DuckDB find the same in a file, packed or not."""
    for name, content in (("1.csv", text.encode()), ("1.csv.gz", gzip.compress(text.encode()))):
        (folder / "all").mkdir(exist_ok=True)
        (folder / "all" / name).write_bytes(content)
        here, there = files.read(folder / "all" / name), files.read(folder / "all")
        assert list(here.columns) == list(there.columns) == ["g", "y"]
        assert here.values.tolist() == there.values.tolist() == [["a", 1], ["b", 2]]
        (folder / "all" / name).unlink()


@pytest.mark.parametrize(
    "text",
    [
        "\n\ng,y\na,1\nb,2\n",
        "\r\n\r\ng,y\r\na,1\r\nb,2\r\n",
        "\r\rg,y\ra,1\rb,2\r",
        " \t \ng,y\na,1\nb,2",
        "\ufeffg,y\na,1\nb,2\n",
        "\ufeff\n\ng,y\na,1\nb,2\n",
        "\n" * 3000 + "g,y\n\na,1\n\n\nb,2\n\n",
    ],
    ids=["above", "of Windows", "of old Macs", "spaces", "a mark", "a mark and above", "many"],
)
def test_blank_lines_are_no_rows_to_either_reader(tmp_path: Path, text: str) -> None:
    the_same_rows(tmp_path, text)


def test_a_line_of_tabs_is_a_header_where_tabs_separate(tmp_path: Path) -> None:
    (tmp_path / "1.tsv").write_text(" \n\ng\ty\na\t1\nb\t2\n")
    assert files.read(tmp_path).values.tolist() == [["a", 1], ["b", 2]]
    (tmp_path / "1.tsv").write_text("\t\na\t1\nb\t2\n")
    for path in (tmp_path, tmp_path / "1.tsv"):
        with pytest.raises(ColumnError, match="no column 'y'"):
            of(path, y="y", group="g", columns=[])


def test_a_line_of_spaces_above_the_header_is_no_header_of_any_file(tmp_path: Path) -> None:
    for name, label in (("1.csv", "a"), ("2.csv", "b")):
        (tmp_path / name).write_text(f"  \ng,y\n{label},1\n{label},2\n")
    assert of(tmp_path, y="y", group="g", columns=[]).labels.tolist() == ["a", "b"]


def test_files_whose_headers_stand_at_different_heights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("g,y\na,1\n")
    (tmp_path / "2.csv").write_text("\n\ng,y\nb,2\n")
    with pytest.raises(
        DataError,
        match=r"'2\.csv' must have the same blank lines above its header as '1\.csv', got 2 where "
        "that has 0; take the blank lines out",
    ):
        files.read(tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        # Another file behind the first, which has a column more.
        ("g,y\n" + "a,1\nb,2\n" * 50 + "g,y,z\n" + "c,3,4\nd,4,5\n" * 100, "3 in line 102"),
        ("g,y\n" + "a,1\nb,2\n" * 50 + "c,3,4\n", "3 in line 102"),
        ("written by x\nof 2026\ng,y\n" + "a,1\nb,2\n" * 50, "2 in line 3"),
        ('g,y\n"a,b",1\n\nb,2\nc,3,4\nd\n', "3 in line 5"),
    ],
    ids=["two files", "one row", "notes above", "quotes and blank lines"],
)
def test_a_row_that_is_too_long_is_the_same_error_to_both_readers(
    tmp_path: Path, text: str, says: str
) -> None:
    (tmp_path / "0.csv").write_text("g,y\na,1\n")
    for name, content in (("1.csv", text.encode()), ("1.csv.gz", gzip.compress(text.encode()))):
        (tmp_path / name).write_bytes(content)
        for path in (tmp_path / name, tmp_path / "*"):
            with pytest.raises(DataError, match=f"as its header has names, got {says}, ") as caught:
                of(path, y="y", group="g", columns=[])
            assert str(caught.value).startswith(f"data file: {name!r} must have as many fields")
        (tmp_path / name).unlink()


def test_a_row_that_is_too_short_is_named_where_duckdb_refuses_it(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("g,y\n" + "a,1\nb,2\n" * 50 + "c\n")
    with pytest.raises(DataError, match="got 1 in line 102, where 2 are expected; mend the row"):
        files.read(tmp_path)
    (tmp_path / "1.csv").write_text(" \ng,y\n" + "a,1\nb,2\n" * 50 + "c\n")
    with pytest.raises(DataError, match="got 1 in line 103, where 2 are expected; mend the row"):
        files.read(tmp_path)
    (tmp_path / "1.csv").write_text("g,y\n" + "a,1,\nb,2,\n" * 50)  # commas that end the rows
    assert files.read(tmp_path).shape == (100, 2)
