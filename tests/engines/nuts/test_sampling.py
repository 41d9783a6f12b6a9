"""Chains: settings, executors, failures, interruption, progress. Real processes, really killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest

import hiermodels as hm
from hiermodels.container import inference_data as idatas
from hiermodels.engines.nuts import chains, running, sampling
from hiermodels.errors import DiagnosticWarning, OptionError, SamplingError
from hiermodels.system import progress as bars

# 200 draws are few; that these fits say so is not what is tested here.
pytestmark = pytest.mark.filterwarnings("ignore:(R-hat|bulk ESS|tail ESS|.*diverged|E-BFMI)")

QUICK: dict[str, Any] = {"chains": 2, "draws": 200, "warmup": 300, "seed": 3, "progress": False}


@pytest.fixture
def schools() -> hm.EightSchools:
    return hm.EightSchools(
        hm.datasets.eight_schools(),
        effect="effect",
        se="se",
        group="school",
        parameterization="noncentered",
    )


def theta(idata: Any) -> np.ndarray:
    return np.asarray(idatas.dataset(idata, "posterior")["theta"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chains": 0}, "chains must be at least 1, got 0"),
        ({"draws": 10.5}, "draws must be a whole number, got 10.5"),
        ({"warmup": -1}, "warmup must be at least 0, got -1"),
        ({"seed": 2**31}, "seed must be from 0 to 2147483647, got 2147483648"),
        ({"seed": "1"}, "seed must be a whole number, got '1'"),
        ({"adapt_delta": 1}, "adapt_delta must lie between 0 and 1, got 1"),
        ({"adapt_delta": "high"}, "adapt_delta must be a number, got 'high'"),
        ({"max_treedepth": 0}, "max_treedepth must be from 1 to 30, got 0"),
        ({"metric": "dens"}, "metric must be one of .* got 'dens'; did you mean 'dense'"),
        ({"save_warmup": 1}, "save_warmup must be True or False, got 1"),
        ({"parallel_chains": 0}, "parallel_chains must be at least 1, got 0"),
        ({"threads": 4}, "threads must be 1, got 4"),
        ({"executor": 2}, "executor must be a concurrent.futures.Executor .* got int"),
        ({"engine": "gibs"}, "engine must be one of 'nuts', .* got 'gibs'; did you mean 'gibbs'"),
        ({"include": ["etas"]}, "include must be one of .* got 'etas'; did you mean 'eta'"),
        ({"pointwise": "always"}, "pointwise must be True, False or 'auto', got 'always'"),
        ({"inits": -1}, "inits: a radius must be finite and at least 0, got -1"),
        ({"inits": "zero"}, "inits must be a number, a dict, a sequence of dicts"),
        (
            {"inits": {"Tau": 1.0}},
            "has no parameter 'Tau'; it has eta, mu, tau; did you mean 'tau'",
        ),
        ({"inits": [{}]}, "inits must have one dict for each of the 4 chains, got 1"),
        ({"output_dir": "/dev/null/x"}, "output_dir must be a folder that can be written"),
    ],
    ids=str,
)
def test_options_are_checked_before_anything_runs(
    schools: hm.EightSchools,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    message: str,
) -> None:
    monkeypatch.setattr(running, "run_chain", lambda _: pytest.fail("a chain ran"))
    with pytest.raises(OptionError, match=message):
        schools.fit(**{"progress": False, **options})


@pytest.mark.stan
def test_a_seed_gives_the_same_draws_and_another_seed_others(schools: hm.EightSchools) -> None:
    first, again = schools.fit(**QUICK), schools.fit(**QUICK)
    np.testing.assert_array_equal(theta(first), theta(again))
    for group in ("posterior_predictive", "log_likelihood"):
        a, b = (idatas.dataset(i, group)["effect"] for i in (first, again))
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(theta(first), theta(schools.fit(**{**QUICK, "seed": 4})))
    assert not np.array_equal(theta(first)[0], theta(first)[1]), "two chains are one"


@pytest.mark.stan
def test_a_seed_is_stans_as_well(schools: hm.EightSchools) -> None:
    # From the same inits, so that what differs is what Stan draws.
    start = {"mu": 0.0, "tau": 1.0, "eta": np.zeros(8)}
    first = schools.fit(**QUICK, inits=start)
    other = schools.fit(**{**QUICK, "seed": 4}, inits=start)
    assert not np.array_equal(theta(first), theta(other))
    np.testing.assert_array_equal(theta(first), theta(schools.fit(**QUICK, inits=start)))


@pytest.mark.stan
def test_a_seed_that_was_not_given_is_recorded_and_repeats_the_fit(
    schools: hm.EightSchools,
) -> None:
    first = schools.fit(**{**QUICK, "seed": None})
    seed = idatas.attributes(first)["seed"]
    np.testing.assert_array_equal(theta(first), theta(schools.fit(**{**QUICK, "seed": seed})))


class Losing(Executor):
    """Runs tasks at once, but loses the worker of one of them, which had not begun."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if args[0].chain == 1:
            future.set_exception(RuntimeError("the worker died"))
        else:
            future.set_result(fn(*args, **kwargs))
        return future


@pytest.mark.stan
def test_a_lost_worker_costs_a_second_try_and_no_draws(schools: hm.EightSchools) -> None:
    there = schools.fit(**QUICK, executor=Losing())
    np.testing.assert_array_equal(theta(there), theta(schools.fit(**QUICK)))


@pytest.mark.stan
def test_a_killed_worker_leaves_no_orphan_and_its_chain_is_run_again(
    schools: hm.EightSchools,
) -> None:
    options = {**QUICK, "draws": 20_000, "pointwise": False}
    orphans: list[psutil.Process] = []

    def kill_a_worker() -> None:
        orphans.extend(waiting(lambda: all_of(2)))
        orphans[0].parent().kill()

    with ProcessPoolExecutor(2) as pool:
        killer = threading.Thread(target=kill_a_worker)
        killer.start()
        there = schools.fit(**options, executor=pool)
        killer.join()
    assert len(orphans) == 2
    _, alive = psutil.wait_procs(orphans, timeout=5)
    assert not alive
    np.testing.assert_array_equal(theta(there), theta(schools.fit(**options)))


def all_of(count: int, pid: int | None = None) -> list[psutil.Process] | None:
    found = children(pid)
    return found if len(found) == count else None


class Foreign:
    """What a Dask client looks like: it submits, but gives futures of its own."""

    def submit(self, *_: Any) -> object:
        return object()


@pytest.mark.stan
def test_an_executor_that_is_closed_or_foreign_is_refused(schools: hm.EightSchools) -> None:
    pool = ProcessPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(OptionError, match=r"it takes no tasks .* pass an open one"):
        schools.fit(**QUICK, executor=pool)
    with pytest.raises(OptionError, match=r"got Foreign; for Dask pass client.get_executor\(\)"):
        schools.fit(**QUICK, executor=Foreign())


@pytest.mark.stan
def test_inits_that_stan_refuses_come_back_with_stans_words(schools: hm.EightSchools) -> None:
    with pytest.raises(
        SamplingError, match=r"(?s)no chain finished:\nchain 0 \(of 0 to 1\).*bounded .* is -1"
    ):
        schools.fit(**QUICK, inits={"mu": 0, "tau": -1.0, "eta": np.zeros(8)})


@pytest.mark.stan
def test_finished_chains_are_kept_when_another_fails(schools: hm.EightSchools) -> None:
    good, bad = {"mu": 0, "tau": 1, "eta": np.zeros(8)}, {"mu": 0, "tau": -1, "eta": np.zeros(8)}
    options = {**QUICK, "chains": 3}
    with pytest.raises(SamplingError, match="2 of 3 chains finished and are kept") as caught:
        schools.fit(**options, inits=[good, bad, good])
    assert idatas.dataset(caught.value.idata, "posterior")["chain"].values.tolist() == [0, 2]

    with pytest.warns(
        DiagnosticWarning, match=r"(?s)chain 1 \(of 0 to 2\) .*holds the other 2 chains"
    ):
        idata = schools.fit(**options, inits=[good, bad, good], allow_failed_chains=True)
    np.testing.assert_array_equal(theta(idata), theta(caught.value.idata))
    assert idatas.attributes(idata)["failed_chains"] == 1


def children(pid: int | None = None, chain: int | None = None) -> list[psutil.Process]:
    """The CmdStan processes below a process."""
    found = []
    for child in psutil.Process(pid).children(recursive=True):
        try:
            command = child.cmdline()
        except psutil.Error:
            continue
        if "method=sample" in command and (chain is None or f"id={chain}" in command):
            found.append(child)
    return found


def waiting(condition: Any, seconds: float = 30) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if got := condition():
            return got
        time.sleep(0.02)
    raise AssertionError("waited in vain")


INTERRUPTED = """
    import signal, sys
    import hiermodels as hm
    # Whoever runs the tests may ignore or block signals: nohup, a shell's background.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    model = hm.EightSchools(
        hm.datasets.eight_schools(), effect="effect", se="se", group="school",
        parameterization="noncentered",
    )
    try:
        model.fit(chains=4, draws=2_000_000, seed=1, progress=False, parallel_chains=4)
    except KeyboardInterrupt:
        sys.exit(77)
"""


@pytest.mark.stan
@pytest.mark.parametrize(
    ("sign", "code"),
    [
        (signal.SIGTERM, 143),
        pytest.param(signal.SIGINT, 77, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, 129, marks=pytest.mark.slow),
    ],
)
def test_a_signal_to_the_parent_ends_the_children_and_leaves_nothing(
    tmp_path: Path, sign: signal.Signals, code: int
) -> None:
    script = tmp_path / "fit.py"
    script.write_text(textwrap.dedent(INTERRUPTED))
    work = tmp_path / "tmp"
    work.mkdir()
    parent = subprocess.Popen([sys.executable, str(script)], env=os.environ | {"TMPDIR": str(work)})
    try:
        running = waiting(lambda: all_of(4, parent.pid))
        # To the parent alone, as a notebook's kernel gets it; a terminal would tell all of them.
        parent.send_signal(sign)
        assert parent.wait(timeout=20) == code
        _, alive = psutil.wait_procs(running, timeout=5)
        assert not alive
        assert not list(work.glob("hiermodels-*"))
    finally:
        parent.kill()
        parent.wait()


@pytest.mark.stan
def test_output_dir_keeps_stans_files_and_two_fits_apart(
    schools: hm.EightSchools, tmp_path: Path
) -> None:
    folder = tmp_path / "a folder" / "stan"
    schools.fit(**QUICK, output_dir=folder)
    schools.fit(**QUICK, output_dir=folder)
    names = [p.name for p in folder.iterdir()]
    assert len([n for n in names if n.endswith(".csv")]) == 4
    assert len([n for n in names if n.endswith("_data.json")]) == 2
    assert not [n for n in names if n.endswith(".stop")]


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.stan
def test_a_fit_leaves_no_temporary_file(schools: hm.EightSchools, scratch: Path) -> None:
    schools.fit(**QUICK)
    with pytest.raises(SamplingError):
        schools.fit(**QUICK, inits={"mu": 0, "tau": -1, "eta": np.zeros(8)})
    assert not list(scratch.glob("hiermodels-*"))


@pytest.mark.stan
def test_inits_may_be_a_radius_or_a_function(schools: hm.EightSchools) -> None:
    schools.fit(**QUICK, inits=0.5)
    seen: list[int] = []

    def start(number: int) -> dict[str, Any]:
        seen.append(number)
        return {"mu": float(number), "tau": 1.0, "eta": np.zeros(8)}

    schools.fit(**QUICK, inits=start)
    assert seen == [0, 1]


@pytest.mark.stan
def test_progress_shows_a_bar_where_it_is_wanted(
    schools: hm.EightSchools, capfd: pytest.CaptureFixture[str]
) -> None:
    schools.fit(**{**QUICK, "draws": 20_000, "progress": True}, pointwise=False)
    shown = capfd.readouterr()
    assert "2 chains" in shown.err
    assert "%|" in shown.err
    schools.fit(**QUICK)
    silent = capfd.readouterr()
    assert silent.err == ""
    assert silent.out == ""


def test_a_bar_is_wanted_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    assert not bars.wanted(None)
    notebook = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    assert bars.wanted(None)
    assert not bars.wanted(False)


def test_an_iteration_line_of_stan_is_how_far_a_chain_is(tmp_path: Path) -> None:
    console = tmp_path / "console.txt"
    console.write_text("Iteration:    1 / 2000 [  0%]  (Warmup)\nIteration: 1300 / 2000 [ 65%]\n")
    assert chains.iterations(console) == 1300
    assert chains.iterations(tmp_path / "none.txt") == 0


def task_of(folder: Path, code: str) -> chains.Task:
    """A chain by Python in place of Stan."""
    csv, stop = folder / "x.csv", folder / "x.stop"
    return chains.Task(0, (sys.executable, "-c", code), csv, stop, 0, 1, ())


@pytest.mark.parametrize("ours", [True, False])
def test_what_is_left_of_a_lost_chain_is_ended_and_another_process_of_its_number_is_not(
    tmp_path: Path, ours: bool
) -> None:
    task = task_of(tmp_path, "import time; time.sleep(60)")
    process = subprocess.Popen([*task.command, *([str(task.csv)] if ours else [])])
    try:
        pid = task.csv.with_suffix(".pid")
        pid.write_text(str(process.pid))
        # It is empty for a moment while a process becomes another program.
        waiting(Path(f"/proc/{process.pid}/cmdline").read_bytes)
        chains.end_orphan(task.csv)
        if ours:
            assert process.wait(timeout=10) == -signal.SIGKILL
        assert ours or process.poll() is None
        assert not pid.exists()
    finally:
        process.kill()
        process.wait()


def test_a_chains_end_is_seen_with_its_exit_code(tmp_path: Path) -> None:
    task = task_of(tmp_path, "import time; time.sleep(0.5); raise SystemExit(3)")
    assert chains.run_chain(task).failure == "ended with exit code 3"
    assert not list(tmp_path.glob("*.pid"))


@pytest.mark.parametrize("deaf", [False, True])
def test_a_stop_file_ends_a_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaf: bool
) -> None:
    monkeypatch.setattr(chains, "GRACE", 0.5)
    ignore = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " * deaf
    task = task_of(tmp_path, f"{ignore}import time; time.sleep(60)")
    threading.Timer(1, task.stop.touch).start()
    began = time.monotonic()
    failure = str(chains.run_chain(task).failure)
    assert failure.startswith(f"was killed by {'SIGKILL' if deaf else 'SIGTERM'}")
    assert time.monotonic() - began < 20


@pytest.mark.stan
def test_stan_writes_twelve_digits_and_is_silent_without_a_bar(
    schools: hm.EightSchools, tmp_path: Path
) -> None:
    there = schools.fit(**QUICK, output_dir=tmp_path)
    says = "".join(path.read_text() for path in tmp_path.glob("*.txt"))
    assert "Iteration" not in says
    # A number of twelve digits is another with six.
    drawn = theta(there).ravel()
    assert np.mean(drawn == [float(f"{x:.12g}") for x in drawn]) == 1
    assert np.mean(drawn == [float(f"{x:.9g}") for x in drawn]) < 0.1


def test_arrays_come_back_in_stans_order_first_index_fastest() -> None:
    names = ("lp__", "mu", "A.1.1", "A.2.1", "A.1.2", "A.2.2", "A.1.3", "A.2.3", "theta.1")
    values = [np.arange(18.0).reshape(2, 9) + 100 * number for number in range(3)]
    both = [chains.Chain(number, names, draws=x) for number, x in enumerate(values)]
    got = sampling.unpack(both)
    assert {name: x.shape for name, x in got.items()} == {
        "lp__": (3, 2),
        "mu": (3, 2),
        "A": (3, 2, 2, 3),
        "theta": (3, 2, 1),
    }
    assert got["A"][2, 1].tolist() == [[211, 213, 215], [212, 214, 216]]
    assert got["mu"][:, 0].tolist() == [1, 101, 201]
