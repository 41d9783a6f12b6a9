"""Fits that are picked up: real ones, really killed, against runs that nothing disturbed."""

from __future__ import annotations

import errno
import io
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest

import hiermodels as hm
from hiermodels.container import inference_data as idatas
from hiermodels.container import netcdf
from hiermodels.engines.nuts import checkpoints
from hiermodels.errors import OptionError
from tests.engines.nuts.test_sampling import all_of, children, waiting

pytestmark = [
    pytest.mark.stan,
    pytest.mark.usefixtures("unharmed"),
    # Short fits; that they say so is not what is tested here.
    pytest.mark.filterwarnings("ignore::hiermodels.errors.DiagnosticWarning"),
]

QUICK: dict[str, Any] = {"chains": 3, "draws": 50, "warmup": 60, "seed": 3, "progress": False}
OF_TIME = {"created_at", "sampling_seconds", "seconds"}


def schools(**changes: Any) -> hm.EightSchools:
    options = {"effect": "effect", "se": "se", "group": "school"} | changes
    return hm.EightSchools(hm.datasets.eight_schools(), **options)


def rows() -> pd.DataFrame:
    rng = np.random.default_rng(8)
    frame = pd.DataFrame({"j": np.repeat([f"g{j}" for j in range(6)], 7), "x": rng.normal(size=42)})
    frame["sex"] = rng.choice(["F", "M"], 42)
    level = np.repeat(rng.normal(size=6), 7)
    return frame.assign(y=1e3 + level + 0.5 * frame["x"] + rng.normal(size=42))


def lazily(folder: Path) -> hm.OneWay:
    polars = pytest.importorskip("polars")
    return hm.OneWay(polars.from_pandas(rows()).lazy(), y="y", group="j")


def by_slopes(**changes: Any) -> hm.VaryingSlopes:
    priors = {"mu": {"x": hm.Normal(0, 1)}, "tau": hm.HalfCauchy(2), "Omega": hm.LKJ(3)}
    options = {"y": "y", "group": "j", "varying": ["x"], "common": ["sex"], "priors": priors}
    return hm.VaryingSlopes(rows(), **{**options, **changes})


MODELS: dict[str, Callable[[Path], Any]] = {
    "schools": lambda _: schools(),
    "centered": lambda _: schools(parameterization="centered"),
    "schools alike": lambda _: schools(pooling="complete"),
    "one way": lambda _: hm.OneWay(rows(), y="y", group="j", priors={"tau": hm.Uniform(9)}),
    "an sd each": lambda _: hm.OneWay(rows(), y="y", group="j", sigma="group"),
    "statistics": lambda _: hm.OneWay(
        hm.sufficient_statistics(rows(), y="y", group="j"), y="y", group="j"
    ),
    "lazy": lazily,
    "slopes": lambda _: by_slopes(),
    "slopes, noncentered": lambda _: by_slopes(parameterization="noncentered"),
    "a line each": lambda _: by_slopes(pooling="none", priors={"sigma": hm.HalfNormal(2)}),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "schools": {"save_warmup": True, "include": ["deviation"]},
    "centered": {"inits": 0.5, "metric": "dense", "adapt_delta": 0.9},
    "one way": {"effects": "summary"},
    "slopes": {"inits": {"sigma": 1.0}, "include": ["L_Omega"]},
    "slopes, noncentered": {"include": ["eta"], "pointwise": False},
}


def assert_same(one: Any, other: Any) -> None:
    assert idatas.groups(one) == idatas.groups(other)
    for group in idatas.groups(one):
        a, b = (idatas.dataset(idata, group).copy() for idata in (one, other))
        a.attrs, b.attrs = {}, {}
        assert a.identical(b), group
    here, there = (
        {k: v for k, v in idatas.attributes(idata).items() if k not in OF_TIME}
        for idata in (one, other)
    )
    # The seconds that mode and curvature took are among the words on the standardization.
    for said in (here, there):
        if "standardization" in said:
            said["standardization"] = str(said["standardization"]).rpartition(" s")[0][:20]
    assert here == there


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def lose(folder: Path, number: int) -> None:
    """What is left where a fit ends in the middle of a chain: half a file, and no mark."""
    only(folder, f"*_{number}.done").unlink()
    csv = only(folder, f"*_{number}.csv")
    csv.write_bytes(csv.read_bytes()[: csv.stat().st_size // 2])


@pytest.mark.parametrize("name", MODELS)
def test_a_fit_that_is_picked_up_is_the_one_that_was_begun(name: str, tmp_path: Path) -> None:
    model, options = MODELS[name](tmp_path), {**QUICK, **OPTIONS.get(name, {})}
    folder = tmp_path / "fit"
    whole = model.fit(**options, output_dir=folder)
    before = {p.name: p.stat().st_mtime_ns for p in folder.glob("*_0.csv")}
    for number in (1, 2):
        lose(folder, number)
    names = {p.name for p in folder.iterdir()} | {only(folder, "*_1.csv").stem + ".done"}
    # Another machine, another folder.
    moved = folder.rename(tmp_path / "elsewhere")
    assert_same(hm.resume(moved, progress=False), whole)
    after = {p.name: p.stat().st_mtime_ns for p in moved.glob("*_0.csv")}
    assert before == after, "a finished chain was run again"
    assert {p.name for p in moved.iterdir()} == names | {only(moved, "*_2.csv").stem + ".done"}


KILLED = """
    import sys
    import hiermodels as hm
    model = hm.EightSchools(
        hm.datasets.eight_schools(), effect="effect", se="se", group="school",
        parameterization="noncentered",
    )
    model.fit(chains=4, draws=20_000, seed=11, progress=False, parallel_chains=2, pointwise=False,
              output_dir=sys.argv[1])
"""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, float]:
    began = time.monotonic()
    model = schools(parameterization="noncentered")
    idata = model.fit(
        chains=4, draws=20_000, seed=11, progress=False, parallel_chains=2, pointwise=False
    )
    return idata, time.monotonic() - began


def killed_and_picked_up(
    folder: Path, undisturbed: tuple[Any, float], sign: signal.Signals, share: float
) -> int:
    """Kill a fit after a share of its time; how many of its chains were finished then."""
    script = folder.with_suffix(".py")
    script.write_text(textwrap.dedent(KILLED))
    parent = subprocess.Popen([sys.executable, str(script), str(folder)])
    try:
        waiting(lambda: list(folder.glob("*_fit.npz")), 60)
        running = children(parent.pid)
        time.sleep(share * undisturbed[1])
        parent.send_signal(sign)
        parent.wait(timeout=30)
    finally:
        parent.kill()
        parent.wait()
    if sign is not signal.SIGKILL:
        _, alive = psutil.wait_procs(running, timeout=5)
        assert not alive
    there = len(list(folder.glob("*.done")))
    again = hm.resume(folder, progress=False)
    assert_same(again, undisturbed[0])
    left = {p.suffix for p in folder.iterdir()}
    assert left <= {".csv", ".txt", ".done", ".json", ".npz"}
    return there


@pytest.mark.parametrize(
    "sign", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_fit_that_was_ended_goes_on_where_it_was(
    tmp_path: Path, undisturbed: tuple[Any, float], sign: signal.Signals
) -> None:
    killed_and_picked_up(tmp_path / "fit", undisturbed, sign, 0.4)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_kill_at_any_time_costs_no_draw(tmp_path: Path, undisturbed: tuple[Any, float]) -> None:
    # From before the first chain to beyond the end; half of them by a signal that can be heard.
    rng = np.random.default_rng()
    shares = rng.permuted((np.arange(20) + rng.random()) / 18)
    signs = [signal.SIGKILL, signal.SIGTERM] * 10
    found = [
        killed_and_picked_up(tmp_path / f"fit-{trial}", undisturbed, sign, share)
        for trial, (sign, share) in enumerate(zip(signs, shares, strict=True))
    ]
    print(sorted(zip(shares.round(2).tolist(), found, strict=True)))
    assert min(found) == 0, "no fit was killed before its first chain was finished"
    assert set(found) - {0, 4}, "no fit was killed between its chains"


def test_a_chain_whose_file_was_changed_is_run_again(tmp_path: Path) -> None:
    whole = schools().fit(**QUICK, output_dir=tmp_path)
    csv = only(tmp_path, "*_1.csv")
    text = csv.read_text()
    last = text.rstrip("\n").rfind(",", 0, text.index("Elapsed"))
    csv.write_text(text[: last + 1] + "9" + text[last + 2 :])
    assert csv.stat().st_size == len(text)
    assert_same(hm.resume(tmp_path, progress=False), whole)


def test_a_finished_fit_is_read_without_cmdstan_and_compiler(tmp_path: Path) -> None:
    whole = schools().fit(**QUICK, output_dir=tmp_path / "fit")
    code = textwrap.dedent(
        """
        import sys, warnings
        import hiermodels as hm
        from hiermodels.container import netcdf
        warnings.simplefilter("ignore", hm.HierModelsWarning)
        netcdf.save(hm.resume(sys.argv[1], progress=False), sys.argv[2])
        """
    )
    bare = {k: v for k, v in os.environ.items() if k not in ("CMDSTAN", "HIERMODELS_CACHE", "HOME")}
    bare |= {"PATH": "", "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    file = tmp_path / "fit.nc"
    subprocess.run(
        [sys.executable, "-c", code, tmp_path / "fit", file], env=bare, check=True, timeout=120
    )
    np.testing.assert_array_equal(
        idatas.dataset(netcdf.load(file), "posterior")["theta"],
        idatas.dataset(whole, "posterior")["theta"],
    )


# ---- what is refused -----------------------------------------------------------------------------


def test_a_folder_without_a_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"must hold a fit that was begun, .* holds none"):
        hm.resume(tmp_path)
    with pytest.raises(OptionError, match=r"and '.*nowhere' is not there; check the path"):
        hm.resume(tmp_path / "nowhere")
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(OptionError, match=r"and '.*file' is a file"):
        hm.resume(file)


def test_of_two_fits_in_a_folder_one_has_to_be_named(tmp_path: Path) -> None:
    first = schools().fit(**QUICK, output_dir=tmp_path)
    (stem,) = (p.name.removesuffix("_fit.npz") for p in tmp_path.glob("*_fit.npz"))
    schools().fit(**{**QUICK, "seed": 4}, output_dir=tmp_path)
    with pytest.raises(OptionError, match=r"fit must name one of the 2 fits in .*, got none"):
        hm.resume(tmp_path)
    with pytest.raises(OptionError, match="got 'other'"):
        hm.resume(tmp_path, fit="other")
    assert_same(hm.resume(tmp_path, fit=stem, progress=False), first)
    # The only one that is unfinished is meant, and as it was begun.
    (tmp_path / f"{stem}_1.done").unlink()
    assert_same(hm.resume(tmp_path, progress=False), first)


def test_a_fit_whose_draws_are_gone_is_no_finished_one(tmp_path: Path) -> None:
    first = schools().fit(**QUICK, output_dir=tmp_path)
    (stem,) = checkpoints.stems(tmp_path)
    schools().fit(**{**QUICK, "seed": 4}, output_dir=tmp_path)
    assert checkpoints.progress(tmp_path, stem) == (3, 3)
    only(tmp_path, f"{stem}_1.csv").unlink()
    assert checkpoints.progress(tmp_path, stem) == (2, 3)
    assert_same(hm.resume(tmp_path, progress=False), first)
    assert checkpoints.progress(tmp_path, stem) == (3, 3)


@pytest.mark.parametrize("said", ["", "[]", '{"csv": "x.csv"}', '{"csv": 3}', "\x00"])
def test_a_mark_that_says_nothing_of_its_draws_counts_for_none(begun: Path, said: str) -> None:
    folder = Path(shutil.copytree(begun, begun.with_name("marked"), dirs_exist_ok=True))
    (stem,) = checkpoints.stems(folder)
    assert checkpoints.progress(folder, stem) == (2, 3)
    (folder / f"{stem}_0.done").write_text(said)
    assert checkpoints.progress(folder, stem) == (1, 3)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("begun")
    schools().fit(**QUICK, output_dir=folder)
    lose(folder, 1)
    return folder


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def pickled(path: Path) -> None:
    with open(path, "wb") as file:
        np.savez(file, about=np.array([{"format": "hiermodels fit 1"}], dtype=object))


def without_rows(path: Path) -> None:
    with np.load(path) as file:
        kept = {name: file[name] for name in file.files if not name.startswith("statistics.")}
    with open(path, "wb") as out:
        np.savez(out, **kept)


@pytest.mark.parametrize("spoil", [cut, emptied, pickled, without_rows])
def test_a_damaged_file_is_refused(
    begun: Path, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    folder = Path(shutil.copytree(begun, tmp_path / "copy"))
    spoil(only(folder, "*_fit.npz"))
    with pytest.raises(OptionError, match=r"must be a whole file .* is damaged"):
        hm.resume(folder)


def changed(path: Path, **changes: Any) -> None:
    import json

    with np.load(path) as file:
        held = {name: file[name] for name in file.files}
    about = json.loads(str(held["about"]))
    for name, value in changes.items():
        about[name] = {**about[name], **value} if isinstance(value, dict) else value
    held["about"] = np.array(json.dumps(about))
    with open(path, "wb") as out:
        np.savez(out, **held)


def test_a_fit_of_another_version_is_refused(begun: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(begun, tmp_path / "copy"))
    changed(only(folder, "*_fit.npz"), hiermodels_version="0.0.1")
    with pytest.raises(OptionError, match=r"must be of hiermodels .*, got one of 0.0.1"):
        hm.resume(folder)


def test_chains_of_another_program_are_not_mixed_with_these(begun: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(begun, tmp_path / "copy"))
    other = {"key": "0" * 64, "program_sha256": "1" * 64, "cmdstan_version": "2.99.0"}
    changed(only(folder, "*_fit.npz"), program=other)
    with pytest.raises(OptionError, match=r"\(SHA-256 111111111111\) with CmdStan 2.99.0"):
        hm.resume(folder)


def test_a_fit_that_runs_now_is_left_alone(tmp_path: Path) -> None:
    script = tmp_path / "fit.py"
    script.write_text(textwrap.dedent(KILLED).replace("20_000", "2_000_000"))
    folder = tmp_path / "fit"
    parent = subprocess.Popen([sys.executable, str(script), str(folder)])
    try:
        running = waiting(lambda: all_of(2, parent.pid))
        with pytest.raises(OptionError, match=r"one process's at a time, and another runs it now"):
            hm.resume(folder)
        assert all(process.is_running() for process in running)
        parent.terminate()
        assert parent.wait(timeout=20) == 143
    finally:
        parent.kill()
        parent.wait()


@pytest.mark.parametrize("what", ["*_fit.npz", "*_0.done", "*_0.csv"])
def test_what_cannot_be_read_is_not_called_damaged_nor_made_anew(
    begun: Path, tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may read everything, so that the system's answer is made here."""
    folder = Path(shutil.copytree(begun, tmp_path / "copy"))
    before, file = sorted(folder.iterdir()), only(folder, what)
    really = io.open

    def closed(path: Any, *args: Any, **options: Any) -> Any:
        if str(path) == str(file):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return really(path, *args, **options)

    monkeypatch.setattr(io, "open", closed)
    monkeypatch.setattr("builtins.open", closed)
    with pytest.raises(OptionError, match=rf"'{file}' cannot be read \(Permission denied\); see"):
        hm.resume(folder, progress=False)
    assert sorted(folder.iterdir()) == before


def test_an_executor_that_is_none_is_refused(begun: Path) -> None:
    with pytest.raises(OptionError, match="executor must be"):
        hm.resume(begun, executor=2)  # type: ignore[arg-type]
