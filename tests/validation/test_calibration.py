"""Calibration passes what is right, fails what is wrong on purpose, and survives interruptions."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hiermodels as hm
from hiermodels.container import inference_data as idatas
from hiermodels.errors import DataError, OptionError, PriorError
from hiermodels.stan import programs
from hiermodels.validation import simulation
from hiermodels.validation import tasks as calibration_tasks
from hiermodels.validation.calibration import Calibration, calibrate, load
from hiermodels.validation.quantities import choose
from tests.toy import toy
from tests.validation.test_simulation import one_way, rows

quiet = pytest.mark.filterwarnings("ignore::hiermodels.errors.HierModelsWarning")
QUICK: dict[str, Any] = {"simulations": 12, "engine": "exact", "seed": 5, "progress": False}


def test_a_right_engine_passes() -> None:
    found = calibrate(toy(), simulations=200, engine="exact", seed=1, progress=False)
    assert found.passed, found
    assert found.failures == {}
    assert found.ranks.shape == (200, 10)
    assert found.ranks.min().min() >= 0
    assert found.ranks.max().max() <= 99
    z = (found.table["coverage_90"] - 0.9) / found.table["error_90"]
    assert z.abs().max() < 4
    assert found.about["priors"]["mu"] == {"family": "Normal", "mean": 1.0, "sd": 2.0}


@pytest.mark.parametrize(
    ("fault", "failing"),
    [
        # Only what depends on the data finds the last three; ranks of parameters are uniform even
        # where draws ignore all data.
        ("no jacobian", {"tau", "mu", "log_joint"}),
        ("variance", {"tau", "log_joint"}),
        ("ignores data", {"log_likelihood", "log_joint"}),
        ("ignores half", {"log_likelihood", "log_joint"}),
        ("theta spread", {"log_likelihood", "log_joint"}),
    ],
)
def test_a_wrong_engine_fails(fault: str, failing: set[str]) -> None:
    found = calibrate(toy(), simulations=150, engine=fault, seed=4, progress=False)
    assert not found.passed
    assert failing <= set(found.failing)
    if fault.startswith("ignores"):
        assert failing == set(found.failing)


def test_a_simulation_follows_from_its_number_and_the_seed_alone() -> None:
    whole, fewer = calibrate(toy(), **QUICK), calibrate(toy(), **QUICK | {"simulations": 4})
    pd.testing.assert_frame_equal(whole.ranks.iloc[:4], fewer.ranks)
    assert whole.simulations["seed"].is_unique
    other = calibrate(toy(), **QUICK | {"seed": 6})
    assert not whole.ranks.equals(other.ranks)
    drawn = calibrate(toy(), **QUICK | {"seed": None, "simulations": 2})
    again = calibrate(toy(), **QUICK | {"seed": drawn.about["seed"], "simulations": 2})
    pd.testing.assert_frame_equal(drawn.ranks, again.ranks)


def test_a_rank_is_the_number_of_draws_below_the_value_that_the_data_came_from() -> None:
    found = calibrate(toy(), **QUICK)
    parts = np.random.SeedSequence(5, spawn_key=(7,)).spawn(4)
    true = simulation.parameters(toy(), np.random.default_rng(parts[0]))
    y = simulation.response(toy(), true, np.random.default_rng(parts[1]))
    seed = int(found.simulations.loc[7, "seed"])
    idata = simulation.with_response(toy(), y).fit(seed=seed, chains=2, draws=50)
    posterior = idatas.dataset(idata, "posterior")
    assert true.mu is not None
    assert true.theta is not None
    mu = posterior["mu"].to_numpy().ravel()[:99]
    theta = posterior["theta"].to_numpy().reshape(100, 5)[:99]
    assert found.ranks.loc[7, "mu"] == np.sum(mu < true.mu[0, 0])
    assert found.ranks.loc[7, "theta[g2]"] == np.sum(theta[:, 2] < true.theta[0, 2, 0])


def test_the_response_and_the_scale_of_default_priors_do_not_follow_the_simulated_data() -> None:
    # A model's own response has no part in it, once its priors are given.
    frame = toy()._options["frame"].assign(y=1e3 * np.arange(5.0))
    shifted = toy().replace(frame=frame)
    pd.testing.assert_frame_equal(
        calibrate(shifted, **QUICK).ranks, calibrate(toy(), **QUICK).ranks
    )


def test_a_model_may_come_from_a_function_and_functions_may_be_ranked() -> None:
    found = calibrate(toy, **QUICK, quantities={"gap": gap})
    assert found.table.index[-1] == "gap"
    chosen = calibrate(toy, **QUICK, quantities=["tau", "log_likelihood"])
    assert list(chosen.ranks) == ["tau", "log_likelihood"]
    whole = calibrate(toy(), **QUICK)
    assert chosen.ranks["tau"].tolist() == whole.ranks["tau"].tolist()


def gap(values: Any, y: np.ndarray) -> Any:
    return values["theta"][:, 0] - y[0]


@pytest.mark.parametrize("L", [9, 49])
def test_ranks_are_among_as_many_draws_as_asked_for(L: int) -> None:
    found = calibrate(toy(), **QUICK | {"simulations": 300}, draws=L)
    assert found.ranks.max().max() == L
    assert found.passed
    assert found.table["draws"].unique().tolist() == [L]


def test_ties_are_broken_at_random() -> None:
    rng = np.random.default_rng(2)
    draws = np.repeat([[0.0, 1.0, 2.0]], 9, axis=0)
    ranks = np.array([calibration_tasks.rank(np.ones(3), draws, rng) for _ in range(2000)])
    assert set(ranks[:, 0]) == {9}
    assert set(ranks[:, 2]) == {0}
    counts = np.bincount(ranks[:, 1], minlength=10)
    assert counts.sum() == 2000
    assert np.abs(counts - 200).max() < 4 * np.sqrt(2000 * 0.1 * 0.9)


def test_draws_that_depend_on_one_another_are_thinned_and_made_longer() -> None:
    options = QUICK | {"simulations": 40, "engine": "gibbs", "draws": 19}
    found = calibrate(toy(), **options)
    assert set(found.simulations["fit_draws"]) == {190}
    assert found.simulations["ess"].min() > 19
    assert "fewer effective draws" not in str(found)
    sticky = calibrate(toy(), **options, rho=0.8)
    assert sticky.simulations["fit_draws"].median() > 190
    assert (sticky.simulations["ess"] >= 19).mean() > 0.9
    assert sticky.passed
    # After a third fit, each up to three times as long, a simulation is taken as it is.
    stuck = calibrate(toy(), **options, rho=0.99)
    assert stuck.simulations["fit_draws"].max() == 190 * 9
    short = int((stuck.simulations["ess"] < 19).sum())
    assert short > 20
    assert f"{short} fits with fewer effective draws" in str(stuck)


# ---- what goes wrong -----------------------------------------------------------------------------


def test_failed_fits_are_recorded_and_fail_the_calibration(tmp_path: Path) -> None:
    found = calibrate(toy(), **QUICK, fails=0.5, path=tmp_path / "runs")
    assert 1 < len(found.failures) < 11
    assert set(found.failures.values()) == {"ValueError: the toy broke"}
    assert not found.passed
    assert "simulations have no fit, more than 3%: ValueError: the toy broke" in found.verdict
    assert found.ranks.isna().all(axis=1).sum() == len(found.failures)
    # They are run again, and what fails as it did is not on record twice.
    before = (tmp_path / "runs").read_bytes()
    again = calibrate(toy(), **QUICK, fails=0.5, path=tmp_path / "runs")
    assert again.failures == found.failures
    assert (tmp_path / "runs").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model_factory": 3}, OptionError, "model_factory must be an EightSchools.* got int"),
        ({"model_factory": hm.EightSchools}, OptionError, "model_factory must be .* got ABCMeta"),
        ({"simulations": 0}, OptionError, "simulations must be .* at least 1, got 0"),
        ({"draws": 2.5}, OptionError, "draws must be a whole number of at least 3, got 2.5"),
        ({"executor": 3}, OptionError, "executor must be a concurrent.futures.Executor"),
        ({"pointwise": True}, OptionError, "calibrate takes no pointwise among the options"),
        ({"quantities": ["nu"]}, OptionError, "this model has no 'nu'"),
        ({"seed": -1}, OptionError, "seed must be"),
        (
            {"model_factory": lambda: toy(priors={"tau": hm.Flat(), "mu": hm.Normal(0, 1)})},
            PriorError,
            r"tau: Flat\(\) is improper, so the prior has no draws; .* priors=\{'tau': ",
        ),
    ],
)
def test_what_cannot_be_run_is_refused(
    change: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        calibrate(**{"model_factory": toy(), **QUICK, **change})


def test_an_option_that_the_fit_does_not_have_is_refused_before_anything_runs() -> None:
    with pytest.raises(OptionError, match=r"EightSchools.fit has an option 'warmups'; .* 'warmup'"):
        calibrate(schools(), simulations=2, warmups=3)


def test_an_option_that_no_fit_takes_is_a_mistake_of_the_call(tmp_path: Path) -> None:
    path = tmp_path / "runs"
    with pytest.raises(OptionError, match="'gap' must give one number for each of the 100 draws"):
        calibrate(toy(), **QUICK, quantities={"gap": gap_of_few}, path=path)
    assert len(path.read_text().splitlines()) == 1


def gap_of_few(values: Any, _: Any) -> Any:
    return values["mu"][:50]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda *_: 1.0, "'f' must give one number for each of the 1 draws"),
        (lambda v, _: v["thet"].max(axis=1), "'f' must work on .* KeyError: 'thet'; did you mean"),
        (lambda v, _: v["tau"] * (np.nan if len(v["tau"]) == 1 else 1), "'f' must be finite"),
    ],
)
def test_a_bad_function_is_found_before_anything_runs(
    tmp_path: Path, function: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration_tasks, "run", None)
    path = tmp_path / "runs"
    with pytest.raises(OptionError, match=message):
        calibrate(toy(), **QUICK, quantities={"f": function}, path=path)
    assert not list(tmp_path.iterdir())


def test_a_truth_that_has_no_rank_is_a_failure_and_not_a_rank_of_0() -> None:
    def seldom(values: Any, _: Any) -> Any:
        tau = values["tau"]
        return np.where((len(tau) == 1) & (tau > 1.5), np.nan, tau)

    found = calibrate(toy(), **QUICK, quantities={"f": seldom})
    assert 0 < len(found.failures) < 12
    assert set(found.failures.values()) == {
        "SamplingError: the value that the data came from must be finite, got another of 'f'"
    }


def test_three_simulations_do_not_pass() -> None:
    found = calibrate(toy(), **QUICK | {"simulations": 3})
    assert not found.passed
    assert found.verdict.startswith("Too few simulations to tell (3;")


def test_statistics_have_no_rows_to_replace() -> None:
    found = hm.sufficient_statistics(rows(), y="y", group="group")
    with pytest.raises(DataError, match="calibration needs the rows"):
        calibrate(hm.OneWay(found, y="y", group="group"), simulations=2)


@quiet
def test_data_that_no_fit_can_be_made_of_are_failures_by_name() -> None:
    # A residual sd below the rounding of the effects: nothing is left of it in their sums.
    priors = {"sigma": hm.Uniform(1e-15), "tau": hm.HalfNormal(1), "mu": hm.Normal(0, 1)}
    found = calibrate(one_way(priors=priors), simulations=2, seed=1, progress=False, engine="exact")
    assert len(found.failures) == 2
    assert "fits 'y' perfectly" in found.failures[0]


# ---- the file ------------------------------------------------------------------------------------


def test_a_file_keeps_what_was_run_and_is_resumed(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    whole = calibrate(toy(), **QUICK, path=path)
    lines = path.read_text().splitlines(keepends=True)
    header = json.loads(lines[0])
    assert header["model"] == repr(toy())
    assert header["engine"] == "exact"
    assert header["seed"] == 5
    assert header["priors"]["tau"] == {"family": "HalfNormal", "sd": 1.5}
    assert len(lines) == 13
    assert str(load(path)) == str(whole)
    # Four are left, and a fifth is half written.
    path.write_text("".join(lines[:5]) + lines[5][:40])
    kept = path.read_text()[: len("".join(lines[:5]))]
    resumed = calibrate(toy(), **QUICK | {"seed": None}, path=path)
    pd.testing.assert_frame_equal(resumed.ranks, whole.ranks)
    assert path.read_text().startswith(kept)
    assert len(path.read_text().splitlines()) == 13
    # More simulations of the same; fewer are the first of them.
    more = calibrate(toy(), **QUICK | {"simulations": 15}, path=path)
    pd.testing.assert_frame_equal(more.ranks.iloc[:12], whole.ranks)
    fewer = calibrate(toy(), **QUICK | {"simulations": 3}, path=path)
    pd.testing.assert_frame_equal(fewer.ranks, whole.ranks.iloc[:3])
    assert len(load(path).ranks) == 15


def test_what_failed_is_run_again_and_the_later_record_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runs"
    with monkeypatch.context() as broken:
        broken.setattr("tests.toy.posterior", None)
        found = calibrate(toy(), **QUICK, path=path)
    assert len(found.failures) == 12
    assert len(load(path).failures) == 12
    mended = calibrate(toy(), **QUICK, path=path)
    assert mended.failures == {}
    assert load(path).failures == {}
    pd.testing.assert_frame_equal(mended.ranks, calibrate(toy(), **QUICK).ranks)
    # All of them are there now, and nothing is run.
    monkeypatch.setattr("tests.toy.posterior", None)
    size = path.stat().st_size
    again = calibrate(toy(), **QUICK, path=path)
    assert again.failures == {}
    assert path.stat().st_size == size


def test_a_file_of_no_simulation_yet_is_printed(tmp_path: Path) -> None:
    path = tmp_path / "runs"
    calibrate(toy(), **QUICK, path=path)
    path.write_text(path.read_text().splitlines(keepends=True)[0])
    assert str(load(path)).endswith("No simulation has run yet")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"model_factory": lambda: toy(J=6)}, "model: .* design: "),
        (
            {"model_factory": lambda: toy().replace(parameterization="centered")},
            "model: .* parameterization: ",
        ),
        (
            {"model_factory": lambda: toy(priors={"tau": hm.HalfNormal(2)})},
            r"priors: .* there, .* here",
        ),
        ({"engine": "variance"}, "engine: 'exact' there, 'variance' here"),
        ({"seed": 6}, "seed: 5 there, 6 here"),
        ({"draws": 49}, "draws: 99 there, 49 here"),
        ({"chains": 3}, "options: .*2.* there, .*3.* here"),
        ({"quantities": ["mu"]}, "quantities: "),
    ],
)
def test_a_file_of_another_calibration_is_refused(
    tmp_path: Path, change: dict[str, Any], named: str
) -> None:
    path = tmp_path / "runs"
    calibrate(toy(), **QUICK, path=path)
    before = path.read_bytes()
    with pytest.raises(OptionError, match=rf"holds another calibration \(.*{named}"):
        calibrate(**{"model_factory": toy(), **QUICK, **change}, path=path)
    assert path.read_bytes() == before


def test_a_calibration_that_was_killed_goes_on_where_it_was(
    tmp_path: Path,
) -> None:
    path = tmp_path / "runs.jsonl"
    script = f"""
        from hiermodels.validation.calibration import calibrate
        from tests.toy import toy
        calibrate(toy(), simulations=40, engine="exact", seed=5, seconds=0.05, progress=False,
                  path={str(path)!r})
    """
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=root,
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 60
    while not (path.exists() and path.read_bytes().count(b"\n") > 5):
        assert child.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)
    child.kill()
    assert child.wait(timeout=30) != 0
    there = path.read_bytes().count(b"\n") - 1
    assert 5 <= there < 40
    began = {at for at, _ in load(path).ranks.iterrows()}
    again = calibrate(
        toy(), simulations=40, engine="exact", seed=5, seconds=0.05, progress=False, path=path
    )
    undisturbed = calibrate(toy(), simulations=40, engine="exact", seed=5, progress=False)
    pd.testing.assert_frame_equal(again.ranks, undisturbed.ranks)
    lines = [json.loads(line) for line in path.read_text().splitlines()[1:]]
    assert len(lines) == 40
    assert began < {line["simulation"] for line in lines}


# ---- executors -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


class Backwards(Executor):
    """Runs at once, and loses every task but the second try of it."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if args[1] == 1:
            future.set_exception(OSError("the worker was switched off"))
        else:
            future.set_result(fn(*args, **kwargs))
        return future


def test_the_executor_does_not_change_the_result(processes: Executor) -> None:
    here = calibrate(toy(), **QUICK, quantities={"gap": gap})
    for executor in (processes, ThreadPoolExecutor(3), Backwards()):
        there = calibrate(toy(), **QUICK, quantities={"gap": gap}, executor=executor)
        pd.testing.assert_frame_equal(there.ranks, here.ranks)
        pd.testing.assert_frame_equal(there.table, here.table)


def test_what_is_lost_for_good_is_recorded_and_run_again_next_time(tmp_path: Path) -> None:
    class Losing(Backwards):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            if args[0].at != 3:
                return super().submit(fn, args[0], 2, **kwargs)
            future: Future[Any] = Future()
            future.set_exception(OSError("switched off"))
            return future

    path = tmp_path / "runs"
    found = calibrate(toy(), **QUICK, executor=Losing(), path=path)
    assert found.failures == {3: "lost with its worker 2 times (OSError: switched off)"}
    again = calibrate(toy(), **QUICK, path=path)
    assert again.failures == {}
    pd.testing.assert_frame_equal(again.ranks, calibrate(toy(), **QUICK).ranks)


def test_the_bar_counts_simulations(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    calibrate(toy(), **QUICK | {"progress": True}, path=tmp_path / "runs")
    assert "simulations: 100%" in capsys.readouterr().err
    calibrate(toy(), **QUICK | {"progress": True}, path=tmp_path / "runs")
    assert "12/12" in capsys.readouterr().err


# ---- Stan ----------------------------------------------------------------------------------------


def schools(J: int = 8, model: type[hm.EightSchools] = hm.EightSchools, **priors: Any) -> Any:
    frame = pd.DataFrame(
        {"school": np.arange(J), "effect": np.zeros(J), "se": np.linspace(1.5, 3.0, J)}
    )
    given = {"mu": hm.Normal(0, 5), "tau": hm.HalfNormal(3)} | priors
    return model(frame, effect="effect", se="se", group="school", priors=given)


@pytest.mark.stan
def test_the_marginal_program_of_eight_schools_passes() -> None:
    found = calibrate(schools(), simulations=60, seed=2, progress=False)
    assert found.passed, found
    assert found.about["program"] == "eight_schools_marginal"
    assert found.about["program_sha256"] == schools().program.digest
    assert found.simulations["ess"].min() > 60
    assert found.divergences < 60


class VariancesForStandardErrors(hm.EightSchools):
    """Gives the program the squares of what it wants."""

    def _data(self) -> dict[str, Any]:
        data = super()._data()
        return {**data, "sigma": data["sigma"] ** 2}


@pytest.mark.stan
def test_a_variance_for_a_standard_deviation_fails() -> None:
    model = schools(model=VariancesForStandardErrors)
    found = calibrate(model, simulations=80, seed=2, progress=False)
    assert not found.passed
    assert "tau" in found.failing


@pytest.mark.slow
@pytest.mark.stan
def test_a_program_without_its_jacobian_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "stan_models"
    shutil.copytree(programs.folder(), folder)
    wrong = folder / "eight_schools_marginal.stan"
    source = wrong.read_text()
    jacobian = "  target += scale_log_abs_det(segment(u, 2, 1), tau_upper);\n"
    assert source.count(jacobian) == 1
    wrong.write_text(source.replace(jacobian, ""))
    monkeypatch.setattr(programs, "folder", lambda: folder)
    # A prior that vanishes at 0, or there would be no posterior without the Jacobian.
    model = schools(J=3, tau=hm.InverseGamma(2, 8))
    found = calibrate(model, simulations=100, seed=2, progress=False)
    assert not found.passed
    assert "tau" in found.failing
    # Too small: p(tau) / tau in the place of p(tau), so that too many draws are below.
    assert found.table.loc["tau", "difference"] < 0


@pytest.mark.stan
@quiet
def test_simulations_leave_no_files_and_results_are_those_of_a_fit_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    model = schools()
    found = calibrate(model, simulations=2, seed=3, progress=False)
    assert not list(tmp_path.iterdir())
    parts = np.random.SeedSequence(3, spawn_key=(1,)).spawn(4)
    true = simulation.parameters(model, np.random.default_rng(parts[0]))
    y = simulation.response(model, true, np.random.default_rng(parts[1]))
    fit_draws = int(found.simulations.loc[1, "fit_draws"])
    seed = int(found.simulations.loc[1, "seed"])
    idata = simulation.with_response(model, y).fit(
        seed=seed, chains=2, draws=fit_draws // 2, progress=False
    )
    tau = np.asarray(idata["posterior"]["tau"]).ravel()[:: fit_draws // 99][:99]
    assert found.ranks.loc[1, "tau"] == np.sum(tau < true.tau[0, 0])


def test_calibrate_gives_a_calibration() -> None:
    assert isinstance(calibrate(toy(), **QUICK | {"simulations": 1}), Calibration)
    assert choose(toy(), None).names[:2] == ("mu", "tau")
