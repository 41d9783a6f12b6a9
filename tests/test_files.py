"""Data files: read into memory, or where they lie; the same rows and the same refusals."""

from __future__ import annotations

import builtins
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
import pytest
import xarray as xr

from hiermodels import files, frames, inference_data, netcdf
from hiermodels.errors import DataError, DataWarning

from .test_pushdown import DATA, of
from .test_statistics import alike


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
    read = files.read(asked[0])
    assert read["day"].tolist() == sorted(days)
    assert set(read["year"]) == {2026}


def test_categories_are_text_to_duckdb_with_the_first_of_the_alphabet_as_baseline(
    tmp_path: Path,
) -> None:
    days = ["2026-01-05", "2026-01-03", "2026-01-04"]
    DATA.assign(day=pd.Categorical(days * 200, days)).to_parquet(tmp_path / "rows.parquet")
    assert of(tmp_path / "rows.parquet", columns=["day"]).columns == (
        f"day[{days[1]}]",
        f"day[{days[2]}]",
    )
    with pytest.warns(
        DataWarning, match=r"pass a frame where it is categories \(pandas.read_parquet"
    ):
        found = of(tmp_path, columns=["day"])
    assert found.columns == (f"day[{days[2]}]", f"day[{days[0]}]")


def test_rows_of_several_files_come_in_their_order(tmp_path: Path) -> None:
    for i in range(5):
        DATA[i * 120 : (i + 1) * 120].to_parquet(tmp_path / f"part-{i}.parquet", index=False)
    (tmp_path / "_temporary").mkdir()
    DATA.to_parquet(tmp_path / "_temporary" / "part-9.parquet", index=False)
    read = files.read(tmp_path)
    assert read["score"].tolist() == DATA["score"].tolist()
    assert read["school"].tolist() == DATA["school"].tolist()


def test_a_folder_above_the_files_is_no_column(tmp_path: Path) -> None:
    folder = tmp_path / "run=3"
    folder.mkdir()
    DATA.to_parquet(folder / "rows.parquet", index=False)
    assert list(files.read(folder).columns) == list(DATA.columns)


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
    assert of(tmp_path / "1.parquet", y="y", group="g", columns=[]).J == 3


def test_numbers_that_are_missing_have_no_labels(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("g,y\na,1\nb,NA\nb,2\n")
    for path in (tmp_path / "1.csv", tmp_path):
        with pytest.raises(DataError, match=r"values \(y: 1\); fill them in"):
            of(path, y="y", group="g", columns=[])


def test_a_label_that_looks_like_a_number_at_first_is_text_after_all(tmp_path: Path) -> None:
    lines = [f"{i},{i}.5" for i in range(30_000)]
    (tmp_path / "1.csv").write_text("g,y\n" + "\n".join(lines) + "\nlast,1\n")
    found = of(tmp_path, y="y", group="g", columns=[])
    assert found.J == 30_001
    assert "last" in found.labels


CSV: dict[str, str] = {
    "a mark of comments": "y,g\n1,#a\n2,b\n4,#a\n",
    "T and F": "y,g\n1,T\n2,F\n4,T\n",
    "yes and no": "y,g\n1,yes\n2,no\n4,yes\n",
    "true and false": "y,g\n1,true\n2,false\n4,true\n",
    "booleans and a gap": "y,g\n1,True\n2,False\n4,\n",
    "dates": "y,g\n1,2024-01-01\n2,2024-01-02\n4,2024-01-01\n",
    "dates by slashes": "y,g\n1,01/02/2024\n2,03/04/2024\n4,01/02/2024\n",
    "times": "y,g\n1,12:30\n2,12:31\n4,12:30\n",
    "single quotes": "y,g\n1,'a'\n2,'b'\n4,'a'\n",
    "an apostrophe": "y,g\n1,O'Brien\n2,D'Arcy\n4,O'Brien\n",
    "double quotes": 'y,g\n1,"a,b"\n2,"c""d"\n4,"a,b"\n',
    "large integers": f"y,g\n1,{2**64 - 1}\n2,{2**64 - 2}\n4,{2**64 - 1}\n",
    "numbers and a word": "y,g\n1,7\n2,x\n4,7\n",
}


@pytest.mark.parametrize("text", CSV.values(), ids=CSV)
def test_a_csv_file_means_the_same_to_both_readers(tmp_path: Path, text: str) -> None:
    (tmp_path / "1.csv").write_text(text)
    options: dict[str, Any] = {"y": "y", "group": "g", "columns": [], "missing": "drop"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        if text == CSV["large integers"] and duckdb.__version__ < "2":
            # DuckDB 1.x, the newest for Python 3.10, takes them for 2.0 ** 64: that is refused.
            with pytest.raises(DataError, match="must all fit 64 bits"):
                of(tmp_path, **options)
            return
        here, there = (of(path, **options) for path in (tmp_path / "1.csv", tmp_path))
        table = frames.table(tmp_path, roles={"y": "y"}, group="g", missing="drop")
    assert here.labels.dtype.kind == there.labels.dtype.kind
    alike(here, there)
    assert table.groups.labels.tolist() == here.labels.tolist()


def test_a_row_is_no_comment_to_either_reader(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("y,g\n#1,a\n2,b\n4,a\n")
    for path in (tmp_path / "1.csv", tmp_path):
        with pytest.raises(DataError, match="y='y' must be a column of numbers, got text"):
            of(path, y="y", group="g", columns=[])


def test_a_column_of_true_and_false_is_one_predictor_to_both_readers(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("y,g,x\n1,a,true\n2,b,false\n4,a,\n3,b,true\n")
    options: dict[str, Any] = {"y": "y", "group": "g", "columns": ["x"], "missing": "drop"}
    with pytest.warns(DataWarning):
        here, there = (of(path, **options) for path in (tmp_path / "1.csv", tmp_path))
    assert here.columns == ("x",)
    alike(here, there)


def test_a_single_file_of_numbers_and_then_words_has_one_type(tmp_path: Path) -> None:
    lines = "1.5,7\n2.5,8\n" * 400_000 + "3,x\n4,7\n"
    (tmp_path / "1.csv").write_text("y,g\n" + lines)
    assert files.read(tmp_path / "1.csv")["g"].unique().tolist() == ["7", "8", "x"]


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


def test_without_duckdb_a_single_file_is_read_here_and_a_folder_is_refused_with_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    DATA.to_parquet(tmp_path / "rows.parquet", index=False)
    monkeypatch.setattr(files, "SMALL", 100)
    find_spec, load = files.importlib.util.find_spec, builtins.__import__

    def none(name: str, *args: Any, **options: Any) -> Any:
        if name == "duckdb":
            raise ImportError(name)
        return load(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", none)
    monkeypatch.setattr(
        files.importlib.util, "find_spec", lambda n: None if n == "duckdb" else find_spec(n)
    )
    alike(of(tmp_path / "rows.parquet"), of(DATA))
    with pytest.raises(DataError, match=r"needs DuckDB; pip install 'hiermodels\[large\]'"):
        of(tmp_path)


# 600 rows to the fifth power: nobody waits for that.
OWN = """
import os, sys, signal, threading, time
import duckdb
import narwhals as nw
from hiermodels import files, frames
from hiermodels.termination import terminable

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
OF_FILES = """with files.scan(sys.argv[1]) as rows:
            frames.computed(query(rows))"""
OF_THE_CALLER = """own = duckdb.connect(config={"threads": 1})
        rows = own.sql("from range(1e15::bigint) as t(i)")
        frames.computed(nw.from_native(rows.aggregate("sum(i)")))"""


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
            frames.computed(nw.from_native(rows))
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
        DataError, match=r"more memory than DuckDB .*\(1MB\).*; make room in /"
    ) as e:
        of(tmp_path / "rows.parquet")
    assert "\n" not in str(e.value)


# What another user's files look like; root reads all of them.
DENIED = """
import os, sys
import hiermodels as hm
from hiermodels import files, netcdf
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
    lambda: files.read("shut.csv"),
    lambda: hm.load("shut.nc"),
    lambda: netcdf.save(fit, "closed/fit.nc"),
    lambda: hm.load("shut/fit.nc"),
    lambda: netcdf.save(fit, "shut/fit.nc"),
    lambda: files.read("shut/rows.csv"),
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
