"""The same rows have the same labels and columns, whatever file they are in and however it is read.

Each case is a column of text. It is written to files of every kind, which are read into memory or
left on the disk; what comes must be the value that is written here, and so the same everywhere.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import hiermodels as hm
from hiermodels.cli import main as cli
from hiermodels.container import inference_data, netcdf
from hiermodels.data import files, frames
from hiermodels.errors import DataError, DataWarning
from hiermodels.many import fits as many

Found = dict[Any, tuple[int, float]]


def text_of(columns: dict[str, list[str]], sign: str) -> str:
    rows = zip(*columns.values(), strict=True)
    lines = [columns, *rows]
    return "".join(sign.join(f'"{cell}"' for cell in line) + "\n" for line in lines)


def single(name: str) -> Callable[..., Path]:
    def write(columns: dict[str, list[str]], folder: Path) -> Path:
        text = text_of(columns, "\t" if "tsv" in name else ",").encode()
        (folder / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
        return folder / name

    return write


def parts(name: str, path: str) -> Callable[..., str]:
    """Files of two rows each: one by itself may look otherwise than all of them."""

    def write(columns: dict[str, list[str]], folder: Path) -> str:
        (folder / "parts").mkdir()
        for i in range(0, len(columns["y"]), 2):
            part = {key: values[i : i + 2] for key, values in columns.items()}
            made = WRITE[name](part, folder)
            made.rename(folder / "parts" / f"{i:03}-{made.name}")
        return str(folder / path)

    return write


def parquet(columns: dict[str, list[str]], folder: Path) -> Path:
    frame = pd.DataFrame(columns, dtype=object).astype({"y": float})
    for name in frame:
        if name != "y":  # null, as in a CSV file
            frame[name] = [None if v in files.BLANKS else v for v in frame[name]]
    frame.to_parquet(folder / "rows.parquet", index=False)
    return folder / "rows.parquet"


WRITE: dict[str, Any] = {
    "CSV": single("rows.csv"),
    "TSV": single("rows.tsv"),
    "CSV, compressed": single("rows.csv.gz"),
    "TSV, compressed": single("rows.tsv.gz"),
    "Parquet": parquet,
    "a pattern of CSV": parts("CSV", "parts/*.csv"),
    "a folder of CSV": parts("CSV", "parts"),
    "a folder of TSV, compressed": parts("TSV, compressed", "parts"),
    "a pattern of Parquet": parts("Parquet", "parts/*"),
}
BIG = 2**53
# A column of labels, and the labels that it has: integers or text.
LABELS: dict[str, tuple[list[str], list[Any]]] = {
    "zeros in front": (["007", "007", "7", "7", "8", "8"], ["007", "7", "8"]),
    "zeros of several lengths": (
        ["1017", "001017", "1018", "180732", "0099", "99"],
        ["1017", "001017", "1018", "180732", "0099", "99"],
    ),
    "all with zeros": (["01", "01", "02", "02"], ["01", "02"]),
    "a point": (["1.0", "1.0", "1", "1"], ["1.0", "1"]),
    "all with a point": (["1.0", "1.0", "2.0", "2.0"], ["1.0", "2.0"]),
    "an exponent": (["1e3", "1e3", "1000", "1000"], ["1e3", "1000"]),
    "a plus": (["+1", "+1", "1", "1"], ["+1", "1"]),
    "minus zero": (["-0", "-0", "0", "0"], ["-0", "0"]),
    "an underscore": (["1_000", "1_000", "1000", "1000"], ["1_000", "1000"]),
    "a blank in front": ([" 7", " 7", "7", "7"], [" 7", "7"]),
    "hexadecimal": (["0x10", "0x10", "16", "16"], ["0x10", "16"]),
    "infinity": (["inf", "inf", "Infinity", "Infinity"], ["inf", "Infinity"]),
    "integers": (["8", "8", "7", "7", "-3", "0"], [8, 7, -3, 0]),
    "integers and a word": (["7", "7", "8", "8", "x", "x"], ["7", "8", "x"]),
    "above 2**53": ([str(BIG), str(BIG), str(BIG + 1), str(BIG + 1)], [BIG, BIG + 1]),
    "the ends of 64 bits": (
        [str(-(2**63)), str(-(2**63)), str(2**63 - 1), "5"],
        [-(2**63), 2**63 - 1, 5],
    ),
    "above 63 bits": ([str(2**64 - 1)] * 2 + [str(2**64 - 2)] * 2, [2**64 - 1, 2**64 - 2]),
    "above 64 bits": ([str(2**64)] * 2 + [str(2**64 + 1)] * 2, [str(2**64), str(2**64 + 1)]),
    "40 digits": (["1" * 40] * 2 + ["1" * 39 + "2"] * 2, ["1" * 40, "1" * 39 + "2"]),
    "booleans": (["true", "true", "True", "FALSE"], ["true", "True", "FALSE"]),
    "T and F": (["T", "F", "T", "F"], ["T", "F"]),
    "dates": (
        ["2024-01-01", "2024-01-01", "2024-01-02", "01/02/2024"],
        ["2024-01-01", "2024-01-02", "01/02/2024"],
    ),
    "times": (["12:30", "12:30", "12:31", "12:31"], ["12:30", "12:31"]),
    "comments": (["#a", "#a", "b", "b"], ["#a", "b"]),
    "integers and gaps": (["7", "NA", "8", "", "7", "null"], [7, 8]),
    "large integers and gaps": ([str(BIG), str(BIG + 1), "", "NA"], [BIG, BIG + 1]),
    "text and gaps": (["07", "nan", "7", "None", "07", "7"], ["07", "7"]),
}


def written(column: list[str], way: str, folder: Path, **others: list[str]) -> Any:
    y = [str(float(2**i)) for i in range(len(column))]
    return WRITE[way]({"g": column, "y": y, **others}, folder)


def expected(column: list[str], labels: list[Any]) -> Found:
    """Rows of each label, and the sum of y, which says which rows they are."""
    at = {str(label): [i for i, v in enumerate(column) if v == str(label)] for label in labels}
    return {
        label: (len(at[str(label)]), float(sum(2**i for i in at[str(label)]))) for label in labels
    }


def by_table(data: Any, group: str = "g") -> Found:
    table = frames.table(data, roles={"y": "y"}, group=group, missing="drop")
    sums = np.bincount(table.groups.index, table.numeric["y"])
    both = zip(table.groups.sizes.tolist(), sums.tolist(), strict=True)
    return dict(zip(table.groups.labels.tolist(), both, strict=True))


def by_statistics(data: Any, group: str = "g") -> Found:
    found = hm.sufficient_statistics(data, y="y", group=group, missing="drop")
    n = found.products[:, 0, 0]
    sums = found.products[:, 0, -1] + n * found.centre[-1]
    rounded = zip(n.astype(int).tolist(), np.round(sums).tolist(), strict=True)
    return dict(zip(found.labels.tolist(), rounded, strict=True))


ROWS = 12
SOME = ("zeros in front", "above 2**53", "integers and gaps")


def all_columns() -> dict[str, list[str]]:
    """Each case as a column of twelve rows, and the response."""
    columns = {name: (column * ROWS)[:ROWS] for name, (column, _) in LABELS.items()}
    return columns | {"y": [str(float(2**i)) for i in range(ROWS)]}


@pytest.mark.filterwarnings("ignore::hiermodels.errors.DataWarning")
@pytest.mark.parametrize(
    ("way", "small"),
    # Several files are never read here.
    [*((way, -1) for way in WRITE), *((w, files.SMALL) for w in WRITE if not w.startswith("a "))],
)
def test_labels_are_the_same_from_every_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, small: int
) -> None:
    monkeypatch.setattr(files, "SMALL", small)
    columns = all_columns()
    path = WRITE[way](columns, tmp_path)
    lazy = small < 0 or "parts" in str(path)
    assert frames.is_lazy(path) == lazy
    here = files.read(path, labels=list(LABELS))
    with files.scan(path, labels=list(LABELS), in_order=True) as relation:
        there = relation.fetchall()
    for at, (name, (_, labels)) in enumerate(LABELS.items()):
        kept = {str(label): label for label in labels}
        wanted = [kept.get(cell) for cell in columns[name]]
        assert [row[at] for row in there] == wanted, name
        assert [None if pd.isna(v) else v for v in here[name].tolist()] == wanted, name
    for name in SOME:
        wanted_sums = expected(columns[name], LABELS[name][1])
        for found in (by_table(path, name), by_statistics(path, name)):
            assert found == wanted_sums
            assert set(map(type, found)) == set(map(type, wanted_sums))
        # In memory in the order of the rows, and sorted elsewhere.
        assert list(by_table(path, name)) == list(wanted_sums)
        in_order = sorted(wanted_sums) if lazy else list(wanted_sums)
        assert list(by_statistics(path, name)) == in_order


@pytest.mark.filterwarnings("ignore::hiermodels.errors.DataWarning")
@pytest.mark.parametrize("convert", [pd.DataFrame, pl.DataFrame, pl.LazyFrame])
@pytest.mark.parametrize(("column", "labels"), LABELS.values(), ids=LABELS)
def test_frames_of_the_same_text_have_the_same_groups(
    convert: Any, column: list[str], labels: list[Any]
) -> None:
    texts = [None if v in files.BLANKS else v for v in column]
    frame = convert({"g": texts, "y": [float(2**i) for i in range(len(column))]})
    wanted = {str(label): sums for label, sums in expected(column, labels).items()}
    assert by_table(frame) == by_statistics(frame) == wanted


@pytest.mark.parametrize("way", ["CSV", "TSV, compressed", "Parquet", "a folder of CSV"])
@pytest.mark.parametrize("case", ["zeros in front", "integers", "above 2**53"])
def test_labels_are_the_same_on_the_command_line(tmp_path: Path, way: str, case: str) -> None:
    column, labels = LABELS[case]
    path = written(column, way, tmp_path)
    out = tmp_path / "fit.nc"
    words = ["fit", "one-way", str(path), "--y", "y", "--group", "g", "--engine", "exact"]
    assert cli.main([*words, "--chains", "2", "--draws", "10", "-o", str(out)]) == 0
    theta = inference_data.dataset(netcdf.load(out), "posterior")["theta"]
    assert sorted(theta["g"].values.tolist()) == sorted(labels)


# A predictor, and what it becomes: its values by the name of the coefficient. x[i] is of row i.
DAYS = ["2024-01-03", "2024-01-04", "2024-01-03", "2024-01-04"]
COLUMNS: dict[str, tuple[list[str], dict[str, list[float]]]] = {
    "numbers": (["1", "2.5", "-3", ".5"], {"x": [1, 2.5, -3, 0.5]}),
    "numbers of every writing": (
        ["7", "+1", "1e3", "-0", " 2 ", "5."],
        {"x": [7, 1, 1000, 0, 2, 5]},
    ),
    "integers above 2**53": ([str(2**60), "1", "2", "3"], {"x": [2.0**60, 1, 2, 3]}),
    "40 digits": (["1" + "0" * 40, "1", "2", "3"], {"x": [1e40, 1, 2, 3]}),
    "true and false": (["true", "FALSE", "True", "false"], {"x": [1, 0, 1, 0]}),
    "T and F": (["T", "F", "T", "F"], {"x[T]": [1, 0, 1, 0]}),
    "yes and no": (["yes", "no", "no", "yes"], {"x[yes]": [1, 0, 0, 1]}),
    "zeros in front": (["01", "1", "2", "1"], {"x[1]": [0, 1, 0, 1], "x[2]": [0, 0, 1, 0]}),
    "zeros and a word": (["01", "1", "x", "1"], {"x[1]": [0, 1, 0, 1], "x[x]": [0, 0, 1, 0]}),
    "an underscore": (["1_0", "10", "10", "10"], {"x[1_0]": [1, 0, 0, 0]}),
    "hexadecimal": (["0x10", "16", "16", "16"], {"x[16]": [0, 1, 1, 1]}),
    "dates": (DAYS, {"x[2024-01-04]": [0, 1, 0, 1]}),
}
CSV = [way for way in WRITE if "Parquet" not in way]


@pytest.mark.filterwarnings("ignore:.*dates as text:hiermodels.errors.DataWarning")
@pytest.mark.parametrize("small", [files.SMALL, -1], ids=["in memory", "on the disk"])
@pytest.mark.parametrize("way", CSV)
def test_columns_are_the_same_from_every_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, small: int
) -> None:
    monkeypatch.setattr(files, "SMALL", small)
    columns = {name: (column * ROWS)[:ROWS] for name, (column, _) in COLUMNS.items()}
    others = {"g": ["a", "b"] * (ROWS // 2), "y": [str(float(2**i)) for i in range(ROWS)]}
    path = WRITE[way](columns | others, tmp_path)
    wanted = {
        part.replace("x", name, 1): (values * ROWS)[:ROWS]
        for name, (_, coded) in COLUMNS.items()
        for part, values in coded.items()
    }
    table = frames.table(path, roles={"y": "y"}, group="g", predictors=list(COLUMNS))
    assert {name: values.tolist() for name, values in table.predictors.items()} == wanted
    found = hm.sufficient_statistics(path, y="y", group="g", columns=list(COLUMNS))
    assert found.columns == tuple(wanted)
    np.testing.assert_allclose(found.centre[:-1], [np.mean(v) for v in wanted.values()])


@pytest.mark.parametrize("small", [files.SMALL, -1], ids=["in memory", "on the disk"])
@pytest.mark.parametrize("way", CSV)
def test_a_bad_cell_among_numbers_is_refused_from_every_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, small: int
) -> None:
    monkeypatch.setattr(files, "SMALL", small)
    columns = {"g": [*"abab"], "y": ["1", "2", "1,5", "3"]}
    path = WRITE[way](columns, tmp_path)
    told = r"y='y' must be a column of numbers, got text in 1 of 4 rows, '1,5'"
    with pytest.raises(DataError, match=told + r" in row 2 \(counted from 0\); write decimal"):
        frames.table(path, roles={"y": "y"}, group="g")
    with pytest.raises(DataError, match=told + r".*; write decimal points"):
        hm.sufficient_statistics(path, y="y", group="g")


@pytest.mark.parametrize("way", CSV)
@pytest.mark.parametrize("word", ["NA", "None", "null", "nan", ""])
def test_a_word_for_what_is_missing_is_the_same_in_every_file(
    tmp_path: Path, way: str, word: str
) -> None:
    path = WRITE[way]({"g": ["a", "a", word, "b"], "y": ["1", word, "2", "3"]}, tmp_path)
    with pytest.raises(DataError, match=r"2 of 4 rows have missing values \(g: 1, y: 1\), as an"):
        hm.sufficient_statistics(path, y="y", group="g")
    with pytest.warns(DataWarning, match="2 of 4 rows .* were dropped"):
        assert by_table(path) == {"a": (1, 1.0), "b": (1, 3.0)}


@pytest.mark.parametrize("small", [files.SMALL, -1], ids=["in memory", "on the disk"])
def test_parquet_keeps_its_types_for_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: int
) -> None:
    monkeypatch.setattr(files, "SMALL", small)
    days = pd.to_datetime(["2024-01-03", "2024-01-03", "2024-01-04", None])
    kinds: dict[str, tuple[Any, list[Any]]] = {
        "integers": (pd.array([BIG + 1, BIG + 1, BIG, None], dtype="Int64"), [BIG + 1, BIG]),
        "floats": ([2.0, 2.0, 1.0, None], [2, 1]),
        "booleans": (pd.array([True, True, False, None], dtype="boolean"), ["True", "False"]),
        "categories": (pd.Categorical(["b", "b", "a", None], ["b", "a"]), ["b", "a"]),
        "days": (days.date, ["2024-01-03", "2024-01-04"]),
    }
    for name, (column, labels) in kinds.items():
        path = tmp_path / f"{name}.parquet"
        pd.DataFrame({"g": column, "y": [1.0, 2, 4, 8]}).to_parquet(path)
        with pytest.warns(DataWarning, match="1 of 4 rows"):
            assert by_table(path) == {labels[0]: (2, 3.0), labels[1]: (1, 4.0)}
        with pytest.warns(DataWarning, match="1 of 4 rows"):
            assert by_statistics(path) == {labels[0]: (2, 3.0), labels[1]: (1, 4.0)}
    for value in ([1.5, 1.5, 2.5, 2.5], np.array([1.5, 2, 3, 4])):
        pd.DataFrame({"g": value, "y": [1.0, 2, 4, 8]}).to_parquet(tmp_path / "1.parquet")
        with pytest.raises(DataError, match="must be strings or integers, got numbers with fract"):
            by_statistics(tmp_path / "1.parquet")


def test_new_rows_have_labels_and_levels_of_the_kind_that_the_model_has(tmp_path: Path) -> None:
    """Some of the rows may all look like numbers."""
    rows = {"g": ["007", "7", "8"] * 8, "x": ["1", "2", "K", "K", "1", "2"] * 4}
    rows["y"] = [f"{i % 7}.5" for i in range(24)]
    path = WRITE["CSV"](rows, tmp_path)
    model = hm.VaryingSlopes(path, y="y", group="g", common=["x"], varying=[])
    idata = model.fit(engine="exact", chains=2, draws=10, seed=1)
    some = {name: [column[1], column[4]] for name, column in rows.items()}
    for way in ("CSV", "Parquet", "a folder of CSV"):
        (tmp_path / way).mkdir()
        new = WRITE[way](some, tmp_path / way)
        for target in ("same", "new", "average"):
            found = model.predict(idata, new, target=target)
            assert len(found.rows) == 2, way


def test_data_sets_are_told_apart_by_their_text(tmp_path: Path) -> None:
    rows = {"site": ["01", "1"] * 12, "g": ["1", "1", "01", "01", "2", "2"] * 4}
    path = WRITE["CSV"](rows | {"y": [f"{i * i % 7}.5" for i in range(24)]}, tmp_path)
    model = hm.OneWay(path, y="y", group="g")
    sites, parts = many._data_sets(model, path, "site")
    assert sites == ["01", "1"]
    for part, groups in zip(parts, (["1", "01", "2"], ["1", "01", "2"]), strict=True):
        assert hm.sufficient_statistics(part, y="y", group="g").labels.tolist() == groups
