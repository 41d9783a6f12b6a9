"""The data frames of every engine that the tests compare, each from one pandas frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

# What the engines say on their own account, while they work.
QUIET = [
    # PySpark with a pandas that is newer than itself.
    "ignore:PySpark does not yet fully support pandas:FutureWarning",
    # ibis with a DuckDB that is newer than itself.
    r"ignore:fetch_arrow_table\(\) is deprecated:DeprecationWarning",
]


def quiet(function: Any) -> Any:
    """Mark a test, or a class of them, with what the engines warn of."""
    for line in QUIET:
        function = pytest.mark.filterwarnings(line)(function)
    return function


@pytest.fixture(scope="session")
def spark() -> Any:
    """A small local Spark, with one thread."""
    from pyspark.sql import SparkSession

    settings = {
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "512m",
        "spark.ui.showConsoleProgress": "false",
        # Compiling a query costs more than these few rows do.
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        "spark.sql.adaptive.enabled": "false",
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    }
    builder = SparkSession.builder.master("local[1]").appName("hiermodels tests")
    for key, value in settings.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def cluster() -> Any:
    """A Dask cluster of two worker processes."""
    import dask
    from distributed import Client, LocalCluster

    # The workers would look at their own stacks every 10 ms, for as long as they live.
    quiet_workers = {"distributed.worker.profile.enabled": False}
    with (
        dask.config.set(quiet_workers),
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1",
            dashboard_address="127.0.0.1:0",  # any free port
        ) as workers,
        Client(workers) as client,
    ):  # fmt: skip
        yield client


def of_duckdb(frame: pd.DataFrame, request: Any, folder: Path) -> Any:
    import duckdb

    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), folder / "duck.parquet")
    return duckdb.connect().read_parquet(str(folder / "duck.parquet"))


def of_dask(frame: pd.DataFrame, request: Any, folder: Path) -> Any:
    import dask.dataframe as dd

    request.getfixturevalue("cluster")
    return dd.from_pandas(frame, npartitions=3)


def of_spark(frame: pd.DataFrame, request: Any, folder: Path) -> Any:
    path = folder / "spark.parquet"
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), path)
    return request.getfixturevalue("spark").read.parquet(str(path))


def of_ibis(frame: pd.DataFrame, request: Any, folder: Path) -> Any:
    import ibis

    path = folder / "ibis.parquet"
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), path)
    return ibis.duckdb.connect().read_parquet(path)


def files_of(frame: pd.DataFrame, request: Any, folder: Path) -> Any:
    half = len(frame) // 2
    frame.iloc[:half].to_parquet(folder / "part-1.parquet", index=False)
    frame.iloc[half:].to_parquet(folder / "part-2.parquet", index=False)
    return str(folder / "part-*.parquet")


def tables_of(frame: pd.DataFrame, request: Any, folder: Path) -> Any:
    half = len(frame) // 2
    # Whole numbers with gaps, which pandas has as floats, are to be written without a point.
    whole = frame.select_dtypes("float").apply(lambda c: (c.dropna() % 1 == 0).all())
    frame = frame.astype(dict.fromkeys(whole.index[whole], "Int64"))
    (folder / "csv").mkdir()
    frame.iloc[:half].to_csv(folder / "csv" / "1.csv", index=False)
    frame.iloc[half:].to_csv(folder / "csv" / "2.csv", index=False)
    return folder / "csv"


EAGER: dict[str, Callable[..., Any]] = {
    "pandas": lambda frame, *_: frame,
    "polars": lambda frame, *_: pl.from_pandas(frame),
    "pyarrow": lambda frame, *_: pa.Table.from_pandas(frame),
}
LAZY: dict[str, Callable[..., Any]] = {
    "polars lazy": lambda frame, *_: pl.from_pandas(frame).lazy(),
    "DuckDB": of_duckdb,
    "Dask": of_dask,
    "PySpark": of_spark,
    "ibis": of_ibis,
    "Parquet files": files_of,
    "a folder of CSV": tables_of,
}
# These two take seconds for what the others do at once. The statistics of one frame are compared
# on all engines in every run (tests/families/gaussian/test_aggregation.py).
SLOW_ENGINES = ("Dask", "PySpark")


def slowly(names: Iterable[str]) -> list[Any]:
    """Parameters of a test, of which those of the slow engines are marked."""
    return [
        pytest.param(name, marks=[pytest.mark.slow] if name in SLOW_ENGINES else [])
        for name in names
    ]


ENGINES = slowly([*EAGER, *LAZY])
