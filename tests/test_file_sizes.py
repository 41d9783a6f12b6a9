"""Files that hold far more than their size on the disk says."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import hiermodels as hm
from hiermodels import file_sizes, files, labels
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
    monkeypatch.setattr(file_sizes, "UNPACKED", 14_000_000)
    assert files.stays(runs)


def test_a_compressed_csv_file_is_judged_by_its_text(tmp_path, monkeypatch) -> None:
    file = tmp_path / "data.csv.gz"
    # In two parts, as pigz and cat write them: the last says nothing of the size of all.
    file.write_bytes(gzip.compress(CSV) + gzip.compress(b"a,3\n"))
    monkeypatch.setattr(file_sizes, "SMALL", len(CSV) + 4)
    assert not files.stays(file)
    monkeypatch.setattr(file_sizes, "SMALL", len(CSV) + 3)
    assert file.stat().st_size < 1000
    assert files.stays(file)


def test_a_damaged_file_is_left_to_its_reader(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(file_sizes, "SMALL", 100)
    for name in ("data.csv.gz", "data.parquet"):
        (tmp_path / name).write_bytes(b"\x1f\x8b no file of this kind")
        assert not files.stays(tmp_path / name)
        with pytest.raises(DataError, match="could not be read"):
            files.read(tmp_path / name)


def test_rows_that_the_memory_cannot_hold_are_refused_unread(runs, monkeypatch) -> None:
    monkeypatch.setattr(file_sizes, "_memory", lambda: 28_000_000.0)
    with pytest.raises(DataError, match="must fit into memory here"):
        files.read(runs)


def test_rows_in_memory_are_counted_by_the_columns_that_are_used(runs, monkeypatch) -> None:
    monkeypatch.setattr(file_sizes, "UNPACKED", 1)
    monkeypatch.setattr(file_sizes, "_memory", lambda: 28_000_000.0)
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
    monkeypatch.setattr(file_sizes, "UNPACKED", 1)

    def full(*_, **__):
        raise MemoryError("Unable to allocate 1.49 GiB")

    monkeypatch.setattr(labels, "of_series", full)
    with pytest.raises(DataError, match="must fit into memory here"):
        hm.EightSchools(runs, effect="y", se="s", group="g")
