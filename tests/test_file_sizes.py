"""Files that hold far more than their size on the disk says."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hiermodels as hm
from hiermodels import files, frames, labels
from hiermodels.errors import DataError

CSV = b"g,y\n" + b"a,1\nb,2\n" * 30_000


@pytest.fixture
def runs(tmp_path):
    """A Parquet file of some kilobytes with 1.8 million numbers."""
    file = tmp_path / "runs.parquet"
    table = pa.table(
        {
            "g": np.repeat([1, 2], 300_000),
            "y": np.tile([0.0, 1.0, 3.0], 200_000),
            "s": np.ones(600_000),
        }
    )
    pq.write_table(table, file, compression="zstd")
    assert file.stat().st_size < 20_000
    return file


def test_a_parquet_file_is_judged_by_its_numbers(runs, monkeypatch) -> None:
    assert not files.stays(runs)
    monkeypatch.setattr(files, "UNPACKED", 14_000_000)
    assert files.stays(runs)


def test_a_compressed_csv_file_is_judged_by_its_text(tmp_path, monkeypatch) -> None:
    file = tmp_path / "data.csv.gz"
    # In two parts, as pigz and cat write them: the last says nothing of the size of all.
    file.write_bytes(gzip.compress(CSV) + gzip.compress(b"a,3\n"))
    monkeypatch.setattr(files, "SMALL", len(CSV) + 4)
    assert not files.stays(file)
    monkeypatch.setattr(files, "SMALL", len(CSV) + 3)
    assert file.stat().st_size < 1000
    assert files.stays(file)


def test_a_damaged_file_is_left_to_its_reader(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(files, "SMALL", 100)
    for name in ("data.csv.gz", "data.parquet"):
        (tmp_path / name).write_bytes(b"\x1f\x8b no file of this kind")
        assert not files.stays(tmp_path / name)
        with pytest.raises(DataError, match="could not be read"):
            files.read(tmp_path / name)


def test_rows_that_the_memory_cannot_hold_are_refused_unread(runs, monkeypatch) -> None:
    monkeypatch.setattr(files, "_memory", lambda: 28_000_000.0)
    with pytest.raises(DataError, match="must fit into memory here"):
        files.read(runs)


def test_rows_in_memory_are_counted_by_the_columns_that_are_used(runs, monkeypatch) -> None:
    monkeypatch.setattr(files, "UNPACKED", 1)
    monkeypatch.setattr(files, "_memory", lambda: 28_000_000.0)
    with pytest.raises(DataError, match="must fit into memory here"):
        hm.EightSchools(runs.parent / "*.parquet", effect="y", se="s", group="g")
    wide = pd.read_parquet(runs).assign(z=0.0, w=0.0)
    wide.to_parquet(runs)
    model = hm.OneWay(runs, y="y", group="g", sigma="common")  # summed up where it lies
    assert model.design.N == 600_000


def test_an_array_that_cannot_be_had_is_one_line(tmp_path, monkeypatch) -> None:
    file = tmp_path / "data.csv"
    file.write_bytes(CSV)

    def full(*_, **__):
        raise MemoryError

    monkeypatch.setattr(pd, "read_csv", full)
    with pytest.raises(DataError, match="must fit into memory here"):
        files.read(file)


def test_rows_that_turn_out_too_many_for_the_memory_are_one_line(runs, monkeypatch) -> None:
    monkeypatch.setattr(files, "UNPACKED", 1)

    def full(*_, **__):
        raise MemoryError("Unable to allocate 1.49 GiB")

    monkeypatch.setattr(labels, "of_series", full)
    with pytest.raises(DataError, match="must fit into memory here"):
        hm.EightSchools(runs, effect="y", se="s", group="g")


# ---- CSV -----------------------------------------------------------------------------------------


def unread(*_, **__):
    raise AssertionError("the file was read")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("folder", [False, True])
def test_a_csv_file_that_the_memory_cannot_hold_is_refused_unread(
    tmp_path, monkeypatch, packed, folder
) -> None:
    file = tmp_path / ("data.csv.gz" if packed else "data.csv")
    file.write_bytes(gzip.compress(CSV) if packed else CSV)
    path = tmp_path if folder else file
    fields = CSV.count(b",") + CSV.count(b"\n")
    least = 16 * fields + (0 if folder else len(CSV))  # DuckDB does not keep the text
    monkeypatch.setattr(files, "_memory", lambda: float(least))
    assert len(files.read(path)) == 60_000
    monkeypatch.setattr(files, "_memory", lambda: least - 1.0)
    monkeypatch.setattr(pd, "read_csv", unread)
    monkeypatch.setattr(files, "scan", unread)
    with pytest.raises(DataError, match=rf"the rows of '{file.name}' must fit into memory here"):
        files.read(path)


def test_what_the_memory_holds_for_sure_is_not_counted(tmp_path, monkeypatch) -> None:
    file = tmp_path / "data.csv"
    file.write_bytes(CSV)
    monkeypatch.setattr(files, "_memory", lambda: 17.0 * len(CSV))
    monkeypatch.setattr("builtins.open", unread)
    file_sizes.check_memory([file], "csv")


@pytest.mark.parametrize("row", [b'"a,,,,,,,,,,",1\n', b"a,1\n\n\n\n\n", b"a,1\r\n\r\n\r\n"])
def test_no_field_is_counted_that_may_be_none(tmp_path, monkeypatch, row) -> None:
    file = tmp_path / "data.csv"
    file.write_bytes(b"g,y\n" + row * 30_000)
    monkeypatch.setattr(files, "_memory", lambda: float(file.stat().st_size))
    assert len(files.read(file)) == 30_000


def test_rows_of_csv_files_are_counted_by_the_columns_that_are_used(tmp_path, monkeypatch) -> None:
    rows = b"a,1,2,3,4,5,6\nb,2,3,4,5,6,7\n" * 30_000
    (tmp_path / "data.csv").write_bytes(b"g,y,s,a,b,c,d\n" + rows)
    monkeypatch.setattr(files, "_memory", lambda: 16 * 3 * 60_000 - 1.0)
    with pytest.raises(DataError, match="must fit into memory here"):
        frames.table(tmp_path, roles={"y": "y", "se": "s"}, group="g")
    monkeypatch.setattr(files, "_memory", lambda: 16 * 3 * 60_001 + 0.0)
    assert len(frames.table(tmp_path, roles={"y": "y", "se": "s"}, group="g").rows) == 60_000
    with pytest.raises(DataError, match="must fit into memory here"):
        files.read(tmp_path)


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (4_000_000_000,) * 2)
import pandas as pd
import hiermodels as hm

frame = pd.DataFrame({"g": list("aabbcc"), "y": [1.0, 2, 4, 3, 2, 7]})
model = hm.OneWay(frame, y="y", group="g")
fit = model.fit(engine="exact", chains=1, draws=10, seed=1)
for ask in (
    lambda: hm.fit_many(model, sys.argv[1], by="k"),
    lambda: model.predict(fit, sys.argv[1], seed=1),
):
    try:
        ask()
    except hm.errors.DataError as error:
        print(error)
# Not ru_maxrss, which begins with what the process had that started this one.
with open("/proc/self/status") as status:
    used = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
assert used < 1_000_000, used  # kilobytes: nothing was unpacked to keep
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of the address space")
@pytest.mark.parametrize("kind", ["gzip", "holes"])
def test_a_file_that_would_fill_the_memory_is_one_line_everywhere(tmp_path, kind) -> None:
    if kind == "gzip":
        file = tmp_path / "bomb.csv.gz"
        part = gzip.compress(b"a,1\n" * 1_000_000)
        file.write_bytes(gzip.compress(b"g,y\n") + part * 150)
        assert file.stat().st_size < 1_000_000
    else:
        file = tmp_path / "bomb.csv"
        file.write_bytes(b"g,y\na,1\n")
        os.truncate(file, 10**12)  # which takes no room on the disk
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(file)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(file_sizes.too_large(file))] * 2


@pytest.mark.parametrize(
    "said",
    [
        MemoryError("Unable to allocate"),
        pd.errors.ParserError("Error tokenizing data. C error: out of memory"),
    ],
)
def test_readers_say_in_several_ways_that_there_is_no_memory(tmp_path, monkeypatch, said) -> None:
    file = tmp_path / "data.csv"
    file.write_bytes(CSV)

    def full(*_, **__):
        raise said

    monkeypatch.setattr(pd, "read_csv", full)
    with pytest.raises(DataError, match="must fit into memory here"):
        files.read(file)


def test_duckdb_without_memory_and_room_is_one_line(tmp_path, monkeypatch) -> None:
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text(f"y,g\n1,{'out of memory' * 1000}\n2,x\n")
    monkeypatch.setattr(files, "MEMORY", "100kB")
    for read in (files.read, lambda path: frames.table(path, roles={"y": "y"}, group="g")):
        with pytest.raises(DataError, match=r"than DuckDB may have \(100kB\) .*; make room in /"):
            read(tmp_path)
    monkeypatch.undo()
    with pytest.raises(DataError, match="at most 1000 letters"):  # which quotes the label
        frames.table(tmp_path, roles={"y": "y"}, group="g")


def test_a_cell_that_says_out_of_memory_takes_none(tmp_path) -> None:
    (tmp_path / "a.csv").write_text("g,y\na,1\nb,out of memory\n")
    with (
        pytest.raises(DataError, match=r"could not be read as .*out of memory"),
        files.scan(tmp_path) as rows,
    ):
        rows.project("y::double").fetchall()


# DuckDB may have more here than the machine gives it.
EXHAUSTED = """
import resource, sys
import hiermodels as hm
from hiermodels import file_sizes, files

files.MEMORY = "60GB"
files.read(sys.argv[1])  # once, so that all is loaded
with open("/proc/self/status") as status:
    used = next(int(line.split()[1]) for line in status if line.startswith("VmSize:"))
resource.setrlimit(resource.RLIMIT_AS, (1024 * used + 300_000_000,) * 2)
file_sizes._memory = lambda: float("inf")
answer = files.answer

def large(rows):
    return rows.query("t", "select length(repeat(g, 1000000000)) from t").fetchall()

def of_rows(query):
    return large(query.__self__) if getattr(query, "__name__", "") == "df" else answer(query)

try:
    with files.scan(sys.argv[1]) as rows:
        large(rows)
except hm.HierModelsError as error:
    print(error)
files.answer = of_rows
try:
    files.read(sys.argv[1])
except hm.HierModelsError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of the address space")
def test_duckdb_without_memory_of_the_machine_says_so(tmp_path) -> None:
    file = tmp_path / "data.csv"
    file.write_bytes(CSV)
    done = subprocess.run(
        [sys.executable, "-c", EXHAUSTED, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    summed, read = done.stdout.splitlines()
    said = (
        rf"data file: '{tmp_path.name}' takes more memory than this machine has left \(.*\); end "
    )
    assert re.match(said, summed)
    assert read == str(file_sizes.too_large(file))


NUMBERS = np.random.default_rng(1).integers(0, 100, 50_000)
TYPES = {
    "booleans": pa.array(NUMBERS < 50),
    "int8": pa.array(NUMBERS.astype(np.int8)),
    "uint16": pa.array(NUMBERS.astype(np.uint16)),
    "float32": pa.array(NUMBERS.astype(np.float32)),
    "int64": pa.array(NUMBERS),
    "times": pa.array(NUMBERS).cast(pa.timestamp("us")),
    "dates": pa.array(NUMBERS.astype(np.int32)).cast(pa.date32()),
    "decimals": pa.array(NUMBERS).cast(pa.decimal128(25, 2)),
    "text": pa.array([str(number) for number in NUMBERS]),
    "nothing": pa.nulls(len(NUMBERS)),
    "lists": pa.array([[number] for number in NUMBERS]),
    "categories": pa.DictionaryArray.from_arrays(
        NUMBERS.astype(np.int8), list(map(str, range(100)))
    ),
}


@pytest.mark.parametrize("column", TYPES.values(), ids=TYPES)
def test_no_file_is_refused_whose_columns_the_memory_holds(tmp_path, monkeypatch, column) -> None:
    file = tmp_path / "data.parquet"
    table = pa.table({f"c{j}": column for j in range(5)})
    pq.write_table(table, file)
    for path, arrow in ((file, table.nbytes), (tmp_path, 0)):
        frame = files.read(path)
        deep, shallow = (frame.memory_usage(index=False, deep=d).sum() for d in (True, False))
        with monkeypatch.context() as patch:
            # Of what DuckDB hands over, pandas makes a copy.
            enough = deep + (arrow or deep)
            patch.setattr(file_sizes, "_memory", lambda enough=enough: enough)
            assert len(files.read(path)) == len(NUMBERS)
            patch.setattr(file_sizes, "_memory", lambda less=shallow / 2: less)
            with pytest.raises(DataError, match="must fit into memory here"):
                files.read(path)


# ---- text in Parquet files -----------------------------------------------------------------------


def repeated(file, *, categories=False, **options):
    """20,000 rows of three texts of 1,000 letters: 20 MB in a file of some kilobytes."""
    codes = np.arange(20_000, dtype=np.int32) % 3
    text = pa.DictionaryArray.from_arrays(codes, ["x" * 1000 + letter for letter in "abc"])
    table = pa.table(
        {
            "t": text if categories else text.cast(pa.string()),
            "g": np.arange(20_000) % 7,
            "y": np.arange(20_000) % 5 * 1.0,
            "s": np.ones(20_000),
        }
    )
    pq.write_table(table, file, compression="zstd", row_group_size=5_000, **options)
    assert file.stat().st_size < 100_000
    return file


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_dictionary": False},
        {"use_dictionary": False, "column_encoding": {"t": "DELTA_BYTE_ARRAY"}},
    ],
    ids=["dictionary", "plain", "differences"],
)
def test_text_that_the_file_has_once_is_counted_in_each_row(tmp_path, monkeypatch, options) -> None:
    file = repeated(tmp_path / "text.parquet", **options)
    assert not files.stays(file)
    monkeypatch.setattr(files, "_memory", lambda: 22_000_000.0)
    assert len(files.read(file)) == 20_000
    monkeypatch.setattr(files, "_memory", lambda: 20_000_000.0)
    with monkeypatch.context() as patch:
        patch.setattr(pd, "read_parquet", unread)
        with pytest.raises(
            DataError, match=r"the rows of .text.parquet. must fit into memory here"
        ):
            files.read(file)
    with monkeypatch.context() as patch:
        patch.setattr(files, "scan", unread)
        with pytest.raises(
            DataError, match=r"the rows of .text.parquet. must fit into memory here"
        ):
            files.read(tmp_path)
    # Of what is summed up where it lies, and of the columns that are used, there is enough.
    monkeypatch.setattr(files, "UNPACKED", 15_000_000)
    assert files.stays(file)
    assert hm.OneWay(file, y="y", group="g", sigma="common").design.N == 20_000
    assert len(frames.table(file, roles={"y": "y", "se": "s"}, group="g").rows) == 20_000
    with pytest.raises(DataError, match="must fit into memory here"):
        frames.table(file, roles={"y": "y", "se": "s"}, group="g", predictors=["t"])


def test_categories_stay_what_they_are_but_not_with_duckdb(tmp_path, monkeypatch) -> None:
    file = repeated(tmp_path / "text.parquet", categories=True)
    monkeypatch.setattr(files, "_memory", lambda: 20_000_000.0)
    assert str(files.read(file)["t"].dtype) == "category"
    with pytest.raises(DataError, match="must fit into memory here"):
        files.read(tmp_path)


@pytest.mark.parametrize("use_dictionary", [True, False], ids=["dictionary", "differences"])
def test_a_column_whose_name_is_that_of_a_part_of_another_is_counted(
    tmp_path, monkeypatch, use_dictionary
) -> None:
    file = tmp_path / "text.parquet"
    site = [f"{i % 5_000:0>100}" for i in range(20_000)]
    table = pa.table(
        {
            "site": pa.array([{"name": name} for name in site]),
            "site.name": site,
            "y": np.arange(20_000) % 7.0,
        }
    )
    how = {} if use_dictionary else {"column_encoding": {"site.name": "DELTA_BYTE_ARRAY"}}
    pq.write_table(table, file, use_dictionary=use_dictionary, compression="zstd", **how)
    monkeypatch.setattr(files, "_memory", lambda: 3_500_000.0)
    assert hm.sufficient_statistics(file, y="y", group="site.name").J == 5_000
    assert len(files.read(file)) == 20_000
    monkeypatch.setattr(files, "_memory", lambda: 2_000_000.0)
    with pytest.raises(DataError, match="must fit into memory here"):
        files.read(file)


def test_two_columns_of_one_name_are_refused_in_one_line(tmp_path, monkeypatch) -> None:
    file = tmp_path / "twice.parquet"
    text = pa.array([f"{i % 500:0>100}" for i in range(20_000)])
    table = pa.Table.from_arrays([text, text, pa.array(range(20_000))], names=["g", "g", "y"])
    pq.write_table(table, file)
    monkeypatch.setattr(files, "_memory", lambda: 10_000_000.0)
    with pytest.raises(DataError, match=r"^data file: 'twice.parquet' .*g") as caught:
        files.read(file)
    assert "\n" not in str(caught.value)


# ---- the memory of this machine -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("group", "limits", "least"),
    [
        ("0::/", {"memory.max": "5000"}, 5000),  # in a container
        ("0::/a/b", {"memory.max": "9000", "a/memory.max": "5000", "a/b/memory.max": "max"}, 5000),
        ("4:memory:/a", {"memory/memory.limit_in_bytes": "5000"}, 5000),
        ("4:memory:/a", {"memory/a/memory.limit_in_bytes": "5000"}, 5000),
        ("0::/a", {"b/memory.max": "5000"}, None),  # of another group
        ("3:cpu:/a", {"cpu/a/memory.max": "5000"}, None),
    ],
)
def test_the_limit_of_a_container_is_that_of_its_memory(tmp_path, group, limits, least) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(f"9:name=systemd:/\n{group}\n")
    for name, limit in limits.items():
        file = tmp_path / "sys/fs/cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{limit}\n")
    machine = file_sizes._memory(tmp_path / "nowhere")
    assert machine > 1_000_000
    assert file_sizes._memory(tmp_path) == (machine if least is None else least)
