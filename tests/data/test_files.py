"""Data files: their paths, what they hold, and why they are refused."""

from __future__ import annotations

import gzip
import os
import re
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import duckdb
import narwhals as nw
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xarray as xr

from hiermodels.container import inference_data, netcdf
from hiermodels.data import engines, files, frames
from hiermodels.errors import DataError, DataWarning
from tests.families.gaussian.test_aggregation import DATA, of
from tests.families.gaussian.test_statistics import alike


def test_the_keys_of_a_partitioned_folder_are_columns(tmp_path: Path) -> None:
    for year, part in enumerate([DATA[:200], DATA[200:]], start=2024):
        folder = tmp_path / f"year={year}"
        folder.mkdir()
        part.to_parquet(folder / "rows.parquet", index=False)
    whole = DATA.assign(year=[2024] * 200 + [2025] * 400)
    alike(of(tmp_path, columns=["ses", "year"]), of(whole, columns=["ses", "year"]))
    pattern = str(tmp_path / "*" / "*.parquet")
    alike(of(pattern, columns=["ses", "year"]), of(whole, columns=["ses", "year"]))
    table = frames.table(tmp_path, roles={"y": "score"}, group="school", predictors=["year"])
    assert sorted(table.numeric["score"]) == sorted(DATA["score"])
    assert set(table.predictors["year"]) == {2024, 2025}


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_dates_that_are_keys_of_a_folder_are_levels_as_in_a_column(
    tmp_path: Path, kind: str
) -> None:
    days = pd.Series(["2026-01-03", "2026-01-04", "2026-01-05"] * 200)
    whole = DATA.assign(day=days, year=2026)
    for day, part in whole.groupby("day"):
        folder = tmp_path / "folder" / "year=2026" / f"day={day}"
        folder.mkdir(parents=True)
        rows = part.drop(columns=["day", "year"])
        if kind == "csv":
            rows.to_csv(folder / "rows.csv", index=False)
        else:
            rows.to_parquet(folder / "rows.parquet", index=False)
    for columns in (["ses", "day"], ["ses"]):
        asked = [tmp_path / "folder", whole]
        found = []
        for data in asked:
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                found.append(of(data, columns=columns))
            assert ["holds 3 dates as text" in str(w.message) for w in warned] == [True] * (
                "day" in columns
            )
        alike(*found)
    assert of(asked[0], group="day", columns=[]).labels.tolist() == sorted(set(days))
    read = files.read(asked[0], labels=["day"], others=["year"])
    assert read["day"].tolist() == sorted(days)
    assert set(read["year"]) == {2026}


def test_categories_are_text_to_duckdb_with_the_first_of_the_alphabet_as_baseline(
    tmp_path: Path,
) -> None:
    days = ["2026-01-05", "2026-01-03", "2026-01-04"]
    DATA.assign(day=pd.Categorical(days * 200, days)).to_parquet(tmp_path / "rows.parquet")
    for path in (tmp_path / "rows.parquet", tmp_path):
        with pytest.warns(
            DataWarning, match=r"pass a frame where it is categories \(pandas.read_parquet"
        ):
            found = of(path, columns=["day"])
        assert found.columns == (f"day[{days[2]}]", f"day[{days[0]}]")


def test_rows_of_several_files_come_in_their_order(tmp_path: Path) -> None:
    for i in range(5):
        DATA[i * 120 : (i + 1) * 120].to_parquet(tmp_path / f"part-{i}.parquet", index=False)
    (tmp_path / "_temporary").mkdir()
    DATA.to_parquet(tmp_path / "_temporary" / "part-9.parquet", index=False)
    read = files.read(tmp_path, labels=["school"], others=["score"])
    assert read["score"].tolist() == DATA["score"].tolist()
    assert read["school"].tolist() == DATA["school"].tolist()


def test_a_folder_above_the_files_is_no_column(tmp_path: Path) -> None:
    folder = tmp_path / "run=3"
    folder.mkdir()
    DATA.to_parquet(folder / "rows.parquet", index=False)
    assert files.columns(folder) == list(DATA.columns)


def test_a_small_file_is_read_here_and_a_large_one_by_duckdb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    csv, parquet = tmp_path / "rows.csv.gz", tmp_path / "rows.parquet"
    DATA.to_csv(csv, index=False)
    DATA.to_parquet(parquet, index=False)
    assert not frames.is_lazy(csv)
    assert of(parquet).labels.tolist() == DATA["school"].unique().tolist()
    monkeypatch.setattr(files, "SMALL", 100)
    for path in (csv, parquet):
        assert frames.is_lazy(path)
        alike(of(path), of(DATA))
        assert of(path).labels.tolist() == sorted(set(DATA["school"]))


def test_a_blank_of_pandas_is_a_blank_of_duckdb(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("g,y\na,1\nb,NA\nc,\nN/A,4\nb,nan\nb,NULL\n")
    for path in (tmp_path, tmp_path / "1.csv"):
        with pytest.raises(DataError, match=r"5 of 6 rows .*\(g: 1, y: 4\)"):
            of(path, y="y", group="g", columns=[])


@pytest.mark.parametrize("word", ["NA", "None", "null", "nan", ""])
def test_a_label_that_a_csv_file_has_as_missing_is_told_of(tmp_path: Path, word: str) -> None:
    data = pd.DataFrame({"g": ["a", "b", word, word], "y": [1.0, 2, 3, 4], "h": [*"uvuv"]})
    data.to_csv(tmp_path / "1.csv", index=False)
    told = r"2 of 4 rows .*\(g: 2\), as an empty cell is in a CSV file, and text such as 'NA' or"
    for path in (tmp_path / "1.csv", tmp_path):
        with pytest.raises(DataError, match=told + ".* keeps it as a label"):
            of(path, y="y", group="g", columns=[])
        with pytest.warns(DataWarning, match=told + r".* keeps it as a label\) and were dropped"):
            of(path, y="y", group="g", columns=[], missing="drop")
        with pytest.raises(DataError, match=r"\(g: 2\), as an empty cell is in a CSV file"):
            of(path, y="y", group="h", columns=["g"])
    data.to_parquet(tmp_path / "1.parquet")
    if word in ("NA", "null"):
        assert of(tmp_path / "1.parquet", y="y", group="g", columns=[]).J == 3
        return
    with pytest.raises(DataError, match=rf"text that is blank or Python's .*\(g: '{word}' in 2 r"):
        of(tmp_path / "1.parquet", y="y", group="g", columns=[])


def test_numbers_that_are_missing_have_no_labels(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("g,y\na,1\nb,NA\nb,2\n")
    for path in (tmp_path / "1.csv", tmp_path):
        with pytest.raises(DataError, match=r"values \(y: 1\); fill them in"):
            of(path, y="y", group="g", columns=[])


def test_a_row_is_no_comment_to_either_reader(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("y,g\n#1,a\n2,b\n4,a\n")
    for path in (tmp_path / "1.csv", tmp_path):
        with pytest.raises(DataError, match="y='y' must be a column of numbers, got text"):
            of(path, y="y", group="g", columns=[])


def test_a_single_file_of_numbers_and_then_words_has_one_type(tmp_path: Path) -> None:
    lines = "1.5,7\n2.5,8\n" * 400_000 + "3,x\n4,7\n"
    (tmp_path / "1.csv").write_text("y,g\n" + lines)
    read = files.read(tmp_path / "1.csv", labels=["g"])
    assert read["g"].unique().tolist() == ["7", "8", "x"]


def test_a_packed_file_of_tabs_is_read_by_tabs(tmp_path: Path) -> None:
    (tmp_path / "1.tsv.gz").write_bytes(gzip.compress(b"g\ty\na\t1\nb\t2\n"))
    for path in (tmp_path, tmp_path / "1.tsv.gz"):
        assert of(path, y="y", group="g", columns=[]).labels.tolist() == ["a", "b"]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_part_that_lacks_a_column_is_named(tmp_path: Path, kind: str) -> None:
    def write(data: pd.DataFrame, name: str) -> None:
        path = tmp_path / "year=2025" / f"{name}.{kind}"
        path.parent.mkdir(exist_ok=True)
        data.to_csv(path, index=False) if kind == "csv" else data.to_parquet(path, index=False)

    data = pd.DataFrame({"y": [1.0, 2.0], "g": ["a", "b"], "x": [1.0, 2.0]})
    write(data, "1")
    write(data.drop(columns="x"), "2")
    for group in ("g", "year"):  # what is not asked for may be missing
        assert of(tmp_path, y="y", group=group, columns=[]).N == 4
    with pytest.raises(DataError, match=rf"2\.{kind}' has no column 'x', which other files"):
        of(tmp_path, y="y", group="g", columns=["x"], missing="drop")


@pytest.mark.parametrize(
    ("names", "path", "message"),
    [
        ([], "", "is a folder without CSV or Parquet files; name a file"),
        ([], "*.parquet", "no file is named as .*parquet'; check the pattern"),
        ([], "x.parquet", "no such file .*x.parquet'; check the path"),
        (["a.csv", "b.parquet"], "", "must be of one kind, got csv and parquet"),
        (["a.txt"], "*", "'a.txt' must end in .csv, .tsv, .csv.gz, .tsv.gz or .parquet"),
        (["a.parquet"], "*", "could not be read as data: .*"),
        (["a;b.csv"], "*", "must be separated by commas, got semicolons"),
    ],
)
def test_paths_that_lead_nowhere_are_refused(
    tmp_path: Path, names: list[str], path: str, message: str
) -> None:
    for name in names:
        (tmp_path / name).write_text("a;b\n1;2\n")
    with pytest.raises(DataError, match=message) as caught:
        of(str(tmp_path / path))
    assert "\n" not in str(caught.value)


# 600 rows to the fifth power: nobody waits for that.
OWN = """
import os, sys, signal, threading, time
import duckdb
import narwhals as nw
from hiermodels.data import engines, files, frames
from hiermodels.system.termination import terminable

def interrupt():
    time.sleep(1)
    os.kill(os.getpid(), int(sys.argv[2]))

def query(connection):
    own = "select sum(a.score * b.score * c.score * d.score * e.score) from t a, t b, t c, t d, t e"
    return nw.from_native(connection.query("t", own))

threading.Thread(target=interrupt).start()
try:
    with terminable():
        {rows}
except (KeyboardInterrupt, SystemExit) as end:
    print(type(end).__name__, end.args)
"""
OF_FILES = """with files.scan(sys.argv[1], others=["score"]) as rows:
            engines.computed(query(rows))"""
OF_THE_CALLER = """own = duckdb.connect(config={"threads": 1})
        rows = own.sql("from range(1e15::bigint) as t(i)")
        engines.computed(nw.from_native(rows.aggregate("sum(i)")))"""


@pytest.mark.parametrize(
    ("rows", "number", "said"),
    [
        (OF_FILES, signal.SIGINT, "KeyboardInterrupt ()"),
        (OF_FILES, signal.SIGTERM, "SystemExit (143,)"),
        (OF_THE_CALLER, signal.SIGINT, "KeyboardInterrupt ()"),
    ],
    ids=["SIGINT, files", "SIGTERM, files", "SIGINT, the caller's own query"],
)
def test_a_query_that_is_interrupted_ends_at_once_as_an_interruption(
    tmp_path: Path, rows: str, number: int, said: str
) -> None:
    DATA.to_csv(tmp_path / "rows.csv", index=False)
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            OWN.replace("{rows}", rows),
            tmp_path / "rows.csv",
            str(int(number)),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert ended.stdout.strip() == said, ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


def test_a_query_that_the_caller_stops_ends_as_an_interruption() -> None:
    with duckdb.connect(config={"threads": 1}) as own:
        rows = own.sql("from range(1e15::bigint) as t(i)").aggregate("sum(i)")
        timer = threading.Timer(0.5, own.interrupt)
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            engines.computed(nw.from_native(rows))
        timer.join()


def test_a_cell_that_says_that_it_was_interrupted_is_no_interruption() -> None:
    frame = pl.LazyFrame({"g": ["a", "a", "b", "b"], "y": ["1", "2", "3", "Query interrupted"]})
    with pytest.raises(DataError, match="the data frame cannot be computed: "):
        of(frame.with_columns(pl.col("y").cast(pl.Float64)), y="y", group="g", columns=[])
    with duckdb.connect() as own:
        text = own.sql("select 'a' as g, 'Query interrupted' as t")
        numbers = text.project("g, t::double as y")
        with pytest.raises(DataError, match="Query interrupted"):
            of(numbers, y="y", group="g", columns=[])


def test_rows_that_need_more_memory_and_room_than_there_is_say_what_to_make_room_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "SMALL", 100)
    monkeypatch.setattr(files, "MEMORY", "1MB")
    DATA.to_parquet(tmp_path / "rows.parquet", index=False)
    with pytest.raises(
        DataError,
        match=r"more memory than there is, or than DuckDB has .*; leave rows",
    ) as e:
        of(tmp_path / "rows.parquet")
    assert "\n" not in str(e.value)


# What another user's files look like; root reads all of them.
DENIED = """
import os, sys
import hiermodels as hm
from hiermodels.data import files; from hiermodels.container import netcdf
import duckdb, h5netcdf, pandas, pyarrow.parquet
folder = sys.argv[1]
os.chdir(folder)  # the folders above may be closed as well
# What Python still has to load may lie where only root can read.
hm.sufficient_statistics("open.csv", y="score", group="school")
fit = netcdf.load("open.nc")
netcdf.save(fit, "again.nc")
if os.geteuid() == 0:
    os.setgroups([])
    os.setresuid(12345, 12345, 12345)
asked = [
    lambda: files.read("shut.csv", others=["score"]),
    lambda: hm.load("shut.nc"),
    lambda: netcdf.save(fit, "closed/fit.nc"),
    lambda: hm.load("shut/fit.nc"),
    lambda: netcdf.save(fit, "shut/fit.nc"),
    lambda: files.read("shut/rows.csv", others=["score"]),
]
for small in (10**9, 10):
    files.SMALL = small
    for ask in asked:
        try:
            ask()
        except hm.HierModelsError as error:
            print(error)
    asked = [lambda: hm.sufficient_statistics("shut.csv", y="score", group="school")]
"""


@pytest.mark.slow
def test_files_and_folders_of_others_are_refused_with_a_next_step(tmp_path: Path) -> None:
    for name in ("open.csv", "shut.csv"):
        DATA.to_csv(tmp_path / name, index=False)
    for name in ("open.nc", "shut.nc"):
        netcdf.save(
            inference_data.container({"posterior": xr.Dataset({"mu": 1.0})}, {}), tmp_path / name
        )
    (tmp_path / "closed").mkdir(mode=0o555)
    (tmp_path / "shut").mkdir(mode=0)
    tmp_path.chmod(0o755)
    for name in ("shut.csv", "shut.nc"):
        (tmp_path / name).chmod(0)
    done = subprocess.run(
        [sys.executable, "-c", DENIED, tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    shut = "must be one that you may read, and permission was denied; see whose it is, and its mode"
    # Not one above the working folder, though those of pytest are closed to others too.
    closed = (
        rf"\(the folder {tmp_path}/shut (belongs to the user root|is closed to you) \(mode 0000\)"
    )
    said, number = re.subn(closed, "(closed", done.stdout)
    assert number == 1, done.stdout
    assert said.splitlines() == [
        f"data file: 'shut.csv' {shut}",
        "cannot read shut.nc: Permission denied; see whose it is, and its mode",
        f"cannot write {tmp_path}/closed/fit.nc: Permission denied; name a place that can be "
        "written",
        "cannot read shut/fit.nc: Permission denied; see whose it is, and its mode",
        f"cannot write {tmp_path}/shut/fit.nc: Permission denied; name a place that can be written",
        "data file: 'shut/rows.csv' cannot be opened (closed); have it opened to you, or name "
        "another file",
        f"data file: 'shut.csv' {shut}",
    ]


def test_a_damaged_file_is_refused_however_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = gzip.compress(b"".join(b"a,%d\n" % i for i in range(20_000)), mtime=0)
    packed = gzip.compress(b"g,y\n", mtime=0) + packed
    damage = {
        "no.csv.gz": b"\x1f\x8b no file of this kind",
        "cut.csv.gz": packed[: len(packed) // 2],
        "end.csv.gz": packed[:-8],
        "sum.csv.gz": packed[:-6]
        + b"\1\2"
        + packed[-4:],  # the check sum, of which DuckDB asks not
        "no.parquet": b"\x1f\x8b no file of this kind",
    }
    for name, content in damage.items():
        (tmp_path / name).write_bytes(content)
        for path in (tmp_path / name, f"{tmp_path}/{name[:2]}*{name[4:]}"):
            with pytest.raises(DataError, match=rf"'{name[:2]}.*could not be read as"):
                of(path, y="y", group="g", columns=[])
    (tmp_path / "good.csv.gz").write_bytes(packed + gzip.compress(b"b,3\n"))  # as cat writes them
    assert of(tmp_path / "good.csv.gz", y="y", group="g", columns=[]).N == 20_001


def test_a_file_is_large_by_what_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = pd.DataFrame({"g": [1, 2] * 5000, "y": [0.0] * 10_000}).sort_values("g")
    runs.to_parquet(tmp_path / "1.parquet", compression="zstd")
    runs.to_csv(tmp_path / "1.csv.gz", index=False)
    for name, size in (("1.parquet", 200_000), ("1.csv.gz", 10 * 300)):
        assert (tmp_path / name).stat().st_size < size
        monkeypatch.setattr(files, "SMALL", size)
        assert not files.stays(tmp_path / name)
    monkeypatch.setattr(files, "SMALL", 199_999)
    assert files.stays(tmp_path / "1.parquet")


def test_memory_that_is_not_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise MemoryError("Unable to allocate 1.49 GiB")

    DATA.to_csv(tmp_path / "rows.csv", index=False)
    monkeypatch.setattr(files, "_column", full)
    with pytest.raises(
        DataError, match=r"'rows.csv' takes more memory .*\(Unable to allocate 1.49"
    ):
        of(tmp_path / "rows.csv")


def test_a_cell_that_says_out_of_memory_takes_none(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("g,y\na,1\nb,out of memory\n")
    with (
        pytest.raises(DataError, match=r"could not be read as .*out of memory"),
        files.scan(tmp_path, labels=["y"]) as rows,
    ):
        rows.project("y::double").fetchall()


def test_columns_that_duckdb_could_not_tell_apart_are_refused_or_told_apart(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("g,Y,y\na,1,5\nb,2,6\na,3,7\nb,4,8\n")
    for path in (tmp_path / "1.csv", f"{tmp_path}/*.csv"):
        for column, mean in (("y", 6.5), ("Y", 2.5)):
            assert of(path, y=column, group="g", columns=[]).centre.tolist() == [mean]
        with pytest.raises(DataError, match=r"columns 'Y', 'y' of .* must differ in more than"):
            of(path, y="y", group="g", columns=["Y"])
    for names in (["g", "y", "y"], ["g", "Y", "y"]):
        table = pa.Table.from_arrays([pa.array([1, 2])] * 3, names=names)
        pq.write_table(table, tmp_path / "1.parquet")
        for path in (tmp_path / "1.parquet", f"{tmp_path}/*.parquet"):
            with pytest.raises(DataError, match=r"has more than one column named 'y_1'"):
                of(path, y="y", group="g", columns=[])


def test_a_name_with_the_signs_of_a_pattern_is_that_of_one_file(tmp_path: Path) -> None:
    for name in ("a[1].csv", "a1.csv", "b's.csv"):
        (tmp_path / name).write_text(f"g,y\n{name},1\n{name},2\n")
    for name in ("a[1].csv", "b's.csv"):
        labels = of(tmp_path / name, y="y", group="g", columns=[]).labels.tolist()
        assert labels == [name]


def test_without_pyarrow_csv_files_are_read(tmp_path: Path) -> None:
    DATA.to_csv(tmp_path / "rows.csv", index=False)
    without = "import sys; sys.modules['pyarrow'] = None; import hiermodels as hm; "
    ask = "print(hm.sufficient_statistics(sys.argv[1], y='score', group='school').N)"
    done = subprocess.run(
        [sys.executable, "-c", without + ask, tmp_path / "rows.csv"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "600\n", done.stderr
