"""One model over many data sets: labels, seeds, failures, warnings, interruption."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import psutil
import pyarrow as pa
import pytest

import hiermodels as hm
from hiermodels.container import inference_data as idatas
from hiermodels.errors import (
    ColumnError,
    DataError,
    DataWarning,
    DiagnosticWarning,
    ManyFitsError,
    OptionError,
)
from hiermodels.many import tasks as fit_tasks
from hiermodels.many.fits import fit_many

quiet = pytest.mark.filterwarnings("ignore::hiermodels.errors.DiagnosticWarning")
QUICK: dict[str, Any] = {
    "chains": 2,
    "draws": 200,
    "warmup": 300,
    "seed": 5,
    "pointwise": False,
    "progress": False,
}
COLUMNS = [
    *("mean", "sd", "q5", "median", "q95"),
    *("mcse_mean", "mcse_sd", "ess_bulk", "ess_tail", "r_hat"),
]


@pytest.fixture(scope="module")
def frames() -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(8)
    schools = hm.datasets.eight_schools()
    return {name: schools.assign(effect=rng.normal(8, 12, 8)) for name in ("B", "A", "C")}


@pytest.fixture(scope="module")
def whole(frames: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One frame of all data sets, their rows mixed; B comes first, then A."""
    long = pd.concat([f.assign(product=name) for name, f in frames.items()])
    return long.iloc[[0, 8, *range(23, 0, -1)]].drop_duplicates().reset_index(drop=True)


@pytest.fixture(scope="module")
def model() -> hm.EightSchools:
    return hm.EightSchools(
        hm.datasets.eight_schools(),
        effect="effect",
        se="se",
        group="school",
        parameterization="noncentered",
    )


@quiet
@pytest.mark.stan
def test_each_row_of_the_table_is_that_of_a_fit_by_itself(model: Any, frames: Any) -> None:
    many = fit_many(model, frames, **QUICK, keep="draws")
    assert list(many.table) == ["data_set", "variable", *COLUMNS]
    assert list(many.diagnostics.index) == list(many.fits) == list(frames)
    assert many.diagnostics["seed"].is_unique
    for label, frame in frames.items():
        # With the seed on record anybody can fit one of them again.
        seed = int(many.diagnostics.loc[label, "seed"])
        alone = model.replace(frame=frame).fit(**{**QUICK, "seed": seed})
        expected = hm.summary(alone)
        rows = many.table[many.table["data_set"] == label].set_index("variable")
        pd.testing.assert_frame_equal(rows[COLUMNS], expected, check_names=False, check_exact=True)
        kept = idatas.dataset(many.fits[label], "posterior")
        assert kept.equals(idatas.dataset(alone, "posterior"))
        checked = hm.check(alone)
        own = many.diagnostics.loc[label]
        assert own["verdict"] == checked.verdict
        assert own["ok"] == checked.ok
        assert own["r_hat"] == expected["r_hat"].max()
        assert own["ess_tail"] == expected["ess_tail"].min()
        assert own["divergences"] == checked.chains["divergences"].sum()
    assert set(many.hyperparameters["variable"]) == {"mu", "tau"}
    assert len(many.hyperparameters) == 2 * len(frames)
    assert len(many) == 3
    assert repr(many).startswith("<ManyFits: 3 data sets, 0 not fitted, ")


def test_the_exact_engine_fits_many_as_it_fits_one(model: Any, frames: Any) -> None:
    many = fit_many(model, frames, engine="exact", seed=5, draws=200)
    for label, frame in frames.items():
        seed = int(many.diagnostics.loc[label, "seed"])
        expected = hm.summary(model.replace(frame=frame).fit(engine="exact", seed=seed, draws=200))
        rows = many.table[many.table["data_set"] == label].set_index("variable")
        pd.testing.assert_frame_equal(rows[COLUMNS], expected, check_names=False, check_exact=True)


@quiet
@pytest.mark.stan
def test_a_data_sets_seed_follows_from_its_position_alone(model: Any, frames: Any) -> None:
    three = fit_many(model, frames, **QUICK)
    first = fit_many(model, {"B": frames["B"]}, **QUICK)
    other = fit_many(model, {"B": frames["B"]}, **{**QUICK, "seed": 6})
    of_b = three.table[three.table["data_set"] == "B"]
    pd.testing.assert_frame_equal(of_b, first.table, check_exact=True)
    assert not np.array_equal(first.table["mean"], other.table["mean"])
    again = fit_many(model, frames, **{**QUICK, "seed": None})
    repeated = fit_many(model, frames, **{**QUICK, "seed": again.seed})
    pd.testing.assert_frame_equal(again.table, repeated.table, check_exact=True)


@quiet
@pytest.mark.stan
@pytest.mark.parametrize("engine", ["pandas", "polars", "lazy", "pyarrow", "csv"])
def test_one_frame_is_taken_apart_by_a_column(
    model: Any, frames: Any, whole: pd.DataFrame, engine: str, tmp_path: Path
) -> None:
    columns: dict[str, Any] = whole.to_dict("list")
    path = tmp_path / "whole.csv"
    whole.to_csv(path, index=False)
    data = {
        "pandas": whole,
        "polars": pl.DataFrame(columns),
        "lazy": pl.LazyFrame(columns),
        "pyarrow": pa.table(columns),
        "csv": path,
    }[engine]
    apart = fit_many(model, data, by="product", **QUICK)
    rows = {k: whole[whole["product"] == k].drop(columns="product") for k in frames}
    expected = fit_many(model, rows, **QUICK)
    assert list(apart.diagnostics.index) == ["B", "A", "C"]
    assert next(iter(apart.table)) == apart.diagnostics.index.name == "product"
    pd.testing.assert_frame_equal(
        apart.table.rename(columns={"product": "data_set"}), expected.table, rtol=1e-12
    )


@quiet
@pytest.mark.stan
def test_labels_may_be_numbers_and_tuples(model: Any, frames: Any) -> None:
    numbered = fit_many(model, list(frames.values()), **QUICK, var_names="mu")
    assert numbered.table["data_set"].tolist() == [0, 1, 2]
    assert numbered.table["variable"].tolist() == ["mu"] * 3
    pairs = fit_many(model, {("x", 1): frames["A"], ("x", 2): frames["B"]}, **QUICK)
    assert pairs.diagnostics.index.tolist() == [("x", 1), ("x", 2)]
    assert set(pairs.table["data_set"]) == {("x", 1), ("x", 2)}


@quiet
@pytest.mark.stan
def test_default_priors_follow_each_data_set_and_given_ones_stay(model: Any, frames: Any) -> None:
    big = frames["A"].assign(effect=1000 * frames["A"]["effect"], se=1000 * frames["A"]["se"])
    given = model.replace(priors={"mu": hm.Normal(0, 7)})
    many = fit_many(given, [frames["A"], big], **QUICK, keep="draws")
    small_priors, big_priors = (idatas.attributes(many.fits[k])["priors"] for k in (0, 1))
    assert "7" in small_priors
    assert small_priors != big_priors


@quiet
@pytest.mark.stan
def test_one_data_sets_failure_does_not_lose_the_others(model: Any, frames: Any) -> None:
    bad = {**frames, "D": frames["A"].assign(se=-1.0), "E": 3}
    with pytest.raises(ManyFitsError, match="2 of 5 data sets could not be fitted: 'D'") as caught:
        fit_many(model, bad, **QUICK)
    many = caught.value.result
    assert set(many.failures) == {"D", "E"}
    assert many.failures["D"].startswith("DataError: se='se' must be above 0 in every row")
    assert "\n" not in many.failures["D"]
    assert not many.diagnostics.loc["D", "ok"]
    assert many.diagnostics.loc["D", "verdict"].startswith("Not fitted: DataError")
    kept = fit_many(model, bad, **QUICK, on_error="keep")
    pd.testing.assert_frame_equal(kept.table, many.table)
    pd.testing.assert_frame_equal(kept.table, fit_many(model, frames, **QUICK).table)
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own
    assert copy.result.failures == many.failures


@quiet
@pytest.mark.stan
def test_chains_that_fail_are_a_data_sets_failure(model: Any, frames: Any) -> None:
    bad = {"mu": 0.0, "tau": -1.0, "eta": np.zeros(8)}
    many = fit_many(model, {"A": frames["A"]}, **QUICK, inits=bad, on_error="keep")
    assert many.failures["A"].startswith("SamplingError: no chain finished: chain 0 (of 0 to 1)")
    assert many.table.empty
    assert list(many.table) == ["data_set", "variable", *COLUMNS]
    assert many.hyperparameters.empty


@pytest.mark.stan
def test_warnings_are_summed_up_in_one(model: Any, frames: Any) -> None:
    few = {**QUICK, "draws": 20, "warmup": 20}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        many = fit_many(model, {**frames, "D": None}, **few, on_error="keep")
    assert [w.category for w in said] == [DiagnosticWarning]
    assert said[0].filename == __file__
    assert "1 of 4 data sets could not be fitted: 'D' (OptionError: " in str(said[0].message)
    assert "3 of 4 fits had findings (" in str(said[0].message)
    assert (many.diagnostics.loc[list(frames), "findings"].str.contains("ess_bulk")).all()


@quiet
@pytest.mark.stan
def test_dropped_rows_are_remarked_upon_once(model: Any, frames: Any) -> None:
    holes = frames["C"].assign(effect=[None, *frames["C"]["effect"][1:]])
    with pytest.warns(DataWarning, match="1 of 3 data sets with remarks, such as 'C': 1 of 8"):
        many = fit_many(model.replace(missing="drop"), {**frames, "C": holes}, **QUICK)
    assert (many.diagnostics["remarks"] != "").tolist() == [False, False, True]


def test_options_are_checked_before_anything_runs(
    model: Any, frames: Any, whole: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_tasks, "run", lambda *_: pytest.fail("a fit ran"))
    cases: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
        (frames, {"keep": "draw"}, OptionError, "keep must be .* did you mean 'draws'"),
        (frames, {"on_error": "skip"}, OptionError, "on_error must be one of 'raise', 'keep'"),
        (frames, {"drews": 3}, OptionError, "option 'drews'; fit has .* did you mean 'draws'"),
        (frames, {"output_dir": "x"}, OptionError, "fit_many takes no output_dir"),
        (frames, {"executor": 3}, OptionError, "executor must be a concurrent.futures.Executor"),
        (frames, {"seed": -1}, OptionError, "seed must be from 0 to 2147483647, got -1"),
        (frames, {"by": "product"}, OptionError, "by='product' names a column .* type dict"),
        ({}, {}, OptionError, "data holds no data set"),
        (3, {}, OptionError, "data must be a mapping from label to data frame"),
        (whole, {}, OptionError, "data is one data frame: say by="),
        (whole, {"by": "produkt"}, ColumnError, "no column 'produkt'.* did you mean 'product'"),
        (whole, {"by": "school"}, OptionError, "by='school' .* the model's own group"),
        (whole[:0], {"by": "product"}, DataError, "the data frame is empty"),
        (
            whole.assign(product=[None, *whole["product"][1:]]),
            {"by": "product"},
            DataError,
            "by='product' must say for every row .* 1 missing value in 24 rows",
        ),
    ]
    for data, options, error, message in cases:
        with pytest.raises(error, match=message):
            fit_many(model, data, **{"progress": False, **options})
    with pytest.raises(OptionError, match=r"model must be an EightSchools, .* got int"):
        fit_many(3, frames)


@pytest.fixture(scope="module")
def rows() -> dict[str, pd.DataFrame]:
    return {
        name: hm.datasets.simulate_one_way(groups=6, size=5, mu=1, tau=1, sigma=1, seed=seed)[0]
        for seed, name in enumerate("ab")
    }


@quiet
@pytest.mark.stan
def test_effects_that_were_summed_up_are_no_hyperparameters(rows: Any) -> None:
    model = hm.OneWay(rows["a"], y="y", group="group")
    many = fit_many(model, rows, **QUICK, effects="summary")
    assert "theta[1]" in set(many.table["variable"])
    assert not many.hyperparameters["variable"].str.startswith("theta").any()
    assert {"mu", "tau", "sigma"} <= set(many.hyperparameters["variable"])


@pytest.mark.parametrize("names", ["theta", ["mu", "theta"]])
def test_effects_that_no_fit_keeps_are_refused_before_the_fits(
    rows: Any, names: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_tasks, "run", lambda *_: pytest.fail("a fit ran"))
    model = hm.OneWay(rows["a"], y="y", group="group")
    with pytest.raises(OptionError, match=r"'theta', which effects='none' leaves out"):
        fit_many(model, rows, **QUICK, effects="none", var_names=names)


@pytest.mark.stan
def test_an_option_that_no_fit_takes_is_a_mistake_of_the_call(model: Any, frames: Any) -> None:
    with pytest.raises(OptionError, match=r"^draws must be at least 1, got 0$"):
        fit_many(model, frames, **{**QUICK, "draws": 0})
    with pytest.raises(OptionError, match=r"^there is no variable 'tua'.* did you mean 'tau'"):
        fit_many(model, frames, **QUICK, var_names="tua")


@pytest.mark.parametrize(
    "build",
    [
        lambda: hm.EightSchools(
            hm.datasets.eight_schools(),
            effect="effect",
            se="se",
            group="school",
            priors={"tau": hm.HalfCauchy(5)},
        ),
        lambda: hm.OneWay(hm.datasets.mathscore(), y="mathscore", group="school"),
        lambda: hm.VaryingSlopes(
            hm.datasets.exam(), y="normexam", group="school", varying=["standLRT"], common=["sex"]
        ),
    ],
    ids=["eight schools", "one way", "varying slopes"],
)
def test_models_travel(build: Any) -> None:
    model = build()
    there = pickle.loads(pickle.dumps(model))  # noqa: S301 - our own
    assert repr(there) == repr(model)
    assert there.program_name() == model.program_name()
    for name, value in model.stan_data.items():
        np.testing.assert_array_equal(there.stan_data[name], value)
    assert repr(there.replace(pooling="complete")) == repr(model.replace(pooling="complete"))


def test_listeners_in_threads_hear_their_own_and_leave_the_filters_as_they_were() -> None:
    before = list(warnings.filters)
    barrier = threading.Barrier(3)
    heard: dict[int, list[str]] = {}

    def work(number: int) -> None:
        with fit_tasks.listening() as said:
            barrier.wait(10)
            # As libraries do within a fit, and threads do it across one another.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                time.sleep(0.01 * number)
            warnings.warn(f"of {number}", DiagnosticWarning, stacklevel=1)
            warnings.warn("not ours", FutureWarning, stacklevel=1)
            heard[number] = said
            barrier.wait(10)
            time.sleep(0.01 * (3 - number))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == {k: [f"of {k}"] for k in range(3)}
    assert list(warnings.filters) == before
    with pytest.warns(DiagnosticWarning, match="heard again"):
        warnings.warn("heard again", DiagnosticWarning, stacklevel=1)


INTERRUPTED = """
    import multiprocessing, sys
    from concurrent.futures import ProcessPoolExecutor
    import hiermodels as hm
    from hiermodels.many.fits import fit_many

    def main():
        frame = hm.datasets.eight_schools()
        model = hm.EightSchools(
            frame, effect="effect", se="se", group="school", parameterization="noncentered"
        )
        pool = {pool}
        try:
            fit_many(model, [frame] * 9, draws=2_000_000, seed=1, progress=False, executor=pool)
        except KeyboardInterrupt:
            sys.exit(77)

    if __name__ == "__main__":
        main()
"""


@pytest.mark.stan
@pytest.mark.parametrize(
    "pool",
    ["None", "ProcessPoolExecutor(2, mp_context=multiprocessing.get_context('spawn'))"],
    ids=["threads", "processes"],
)
@pytest.mark.parametrize(
    ("sign", "code"),
    [(signal.SIGINT, 77), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)],
)
def test_a_signal_ends_the_fits_and_leaves_nothing(
    tmp_path: Path, pool: str, sign: signal.Signals, code: int
) -> None:
    script = tmp_path / "fits.py"
    script.write_text(textwrap.dedent(INTERRUPTED.format(pool=pool)))
    work = tmp_path / "tmp"
    work.mkdir()
    parent = subprocess.Popen([sys.executable, str(script)], env=os.environ | {"TMPDIR": str(work)})
    try:
        end, running = time.monotonic() + 60, []
        while not running and time.monotonic() < end:
            time.sleep(0.05)
            running = [
                child
                for child in psutil.Process(parent.pid).children(recursive=True)
                if child.is_running() and child.name().startswith("eight_schools")
            ]
        assert running
        parent.send_signal(sign)
        assert parent.wait(timeout=30) == code
        _, alive = psutil.wait_procs(running, timeout=5)
        assert not alive
        assert not list(work.glob("hiermodels-*"))
    finally:
        parent.kill()
        parent.wait()
