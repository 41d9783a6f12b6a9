"""Chains and whole fits elsewhere: pools and a real Dask cluster, whose workers really die."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import distributed
import numpy as np
import pandas as pd
import psutil
import pytest

import hiermodels as hm
from hiermodels.container import inference_data as idatas
from hiermodels.many.fits import ManyFits, fit_many

pytestmark = [
    pytest.mark.stan,
    pytest.mark.usefixtures("unharmed"),
    # Short fits; that they say so is not what is tested here.
    pytest.mark.filterwarnings("ignore::hiermodels.errors.DiagnosticWarning"),
]

QUICK: dict[str, Any] = {"chains": 2, "seed": 3, "pointwise": False, "progress": False}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        yield cluster


@pytest.fixture
def client(cluster: Any) -> Iterator[Any]:
    with distributed.Client(cluster) as client:
        client.wait_for_workers(2, timeout=60)
        yield client


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.fixture(params=["threads", "processes", "dask"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    if request.param == "threads":
        with ThreadPoolExecutor(2) as pool:
            yield pool
    elif request.param == "processes":
        yield request.getfixturevalue("processes")
    else:
        with request.getfixturevalue("client").get_executor() as pool:
            yield pool


@pytest.fixture(scope="module")
def schools() -> hm.EightSchools:
    return hm.EightSchools(
        hm.datasets.eight_schools(),
        effect="effect",
        se="se",
        group="school",
        parameterization="noncentered",
    )


@pytest.fixture(scope="module")
def products() -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(20)
    frame = hm.datasets.eight_schools()
    return {name: frame.assign(effect=rng.normal(8, 12, 8)) for name in "ABC"}


@pytest.fixture(scope="module")
def undisturbed(schools: hm.EightSchools, products: Any) -> ManyFits:
    return fit_many(schools, products, **QUICK)


def theta(idata: Any) -> np.ndarray:
    return np.asarray(idatas.dataset(idata, "posterior")["theta"])


def assert_same(there: ManyFits, here: ManyFits) -> None:
    assert there.failures == here.failures == {}
    pd.testing.assert_frame_equal(there.table, here.table, check_exact=True)
    timeless = there.diagnostics.drop(columns="seconds")
    pd.testing.assert_frame_equal(timeless, here.diagnostics.drop(columns="seconds"))


def running() -> list[psutil.Process]:
    """The CmdStan processes below this one."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if "method=sample" in child.cmdline():
                found.append(child)
        except psutil.Error:
            continue
    return found


def frozen(chain: psutil.Process) -> bool:
    """Halt a process, so that it outlives its worker for sure; whether it was still running."""
    chain.suspend()
    for _ in range(200):
        status = chain.status()
        if status in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE):
            return bool(status == psutil.STATUS_STOPPED)
        time.sleep(0.005)
    chain.resume()
    return False


def disturbed(work: Callable[[], Any]) -> Any:
    """What a piece of work gives while a worker of it is killed; no process is left over."""
    orphans: list[psutil.Process] = []

    def kill() -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            for chain in running():
                with contextlib.suppress(psutil.NoSuchProcess):
                    if frozen(chain):
                        orphans.append(chain)
                        time.sleep(0.1)  # the worker notes whom it has started
                        worker = chain.parent()
                        assert worker is not None
                        assert worker.pid != os.getpid()
                        worker.kill()
                        return
            time.sleep(0.005)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        result = work()
        killer.join()
        assert orphans, "nobody was killed"
        _, alive = psutil.wait_procs(orphans, timeout=2)
        assert not alive, "the lost worker's chain goes on"
        return result
    finally:
        for orphan in orphans:
            with contextlib.suppress(psutil.NoSuchProcess):
                orphan.kill()


def test_chains_give_the_same_draws_on_every_executor(
    schools: hm.EightSchools, executor: Executor
) -> None:
    there = schools.fit(**QUICK, executor=executor)
    np.testing.assert_array_equal(theta(there), theta(schools.fit(**QUICK)))


def test_many_fits_give_the_same_result_on_every_executor(
    schools: hm.EightSchools,
    products: dict[str, pd.DataFrame],
    undisturbed: ManyFits,
    executor: Executor,
) -> None:
    assert_same(fit_many(schools, products, executor=executor, **QUICK), undisturbed)


def test_a_worker_of_a_cluster_that_is_killed_costs_its_chain_a_second_try(
    schools: hm.EightSchools, client: Any
) -> None:
    with client.get_executor() as pool:
        there = disturbed(lambda: schools.fit(**QUICK, executor=pool))
    np.testing.assert_array_equal(theta(there), theta(schools.fit(**QUICK)))


@pytest.mark.slow
def test_a_worker_of_a_cluster_that_is_killed_costs_its_simulation_a_second_try(
    schools: hm.EightSchools, client: Any
) -> None:
    model = schools.replace(priors={"mu": hm.Normal(0, 10), "tau": hm.HalfNormal(10)})
    options: dict[str, Any] = {"simulations": 4, "seed": 3, "progress": False}
    with client.get_executor() as pool:
        there = disturbed(lambda: hm.calibrate(model, executor=pool, **options))
    here = hm.calibrate(model, **options)
    assert there.failures == here.failures == {}
    pd.testing.assert_frame_equal(there.ranks, here.ranks)


def test_fits_of_a_pool_that_broke_come_home(
    schools: hm.EightSchools, products: dict[str, pd.DataFrame], undisturbed: ManyFits
) -> None:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        there = disturbed(lambda: fit_many(schools, products, executor=pool, **QUICK))
    assert_same(there, undisturbed)
