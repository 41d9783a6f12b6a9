"""Full disks, killed chains, files that are removed: all of them real.

A small disk is a tmpfs in a mount namespace of the test's own; where the system forbids one (some
containers do), the tests that need it are skipped. See test_termination.py for signals,
../../models/test_resume.py for fits that are picked up.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hiermodels as hm
from hiermodels.container import inference_data as idatas
from hiermodels.errors import SamplingError
from tests.engines.nuts.test_sampling import all_of, children, waiting

pytestmark = [
    pytest.mark.filterwarnings("ignore::hiermodels.errors.DiagnosticWarning"),
    pytest.mark.usefixtures("unharmed"),
]

NAMESPACES = (
    ("unshare", "--user", "--map-root-user", "--mount"),
    ("unshare", "--mount"),  # root, where users may have none of their own
)
BEGIN = """
import os, sys, warnings
from pathlib import Path
import hiermodels as hm
from hiermodels.container import inference_data, netcdf
from hiermodels.errors import HierModelsError
warnings.simplefilter("ignore")
folder = Path(sys.argv[1])
model = hm.EightSchools(
    hm.datasets.eight_schools(), effect="effect", se="se", group="school",
    parameterization="noncentered",
)

def fill(but):
    with open(folder / "fill", "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    os.truncate(folder / "fill", os.path.getsize(folder / "fill") - but)

def tried(work):
    try:
        work()
    except HierModelsError as error:
        print(type(error).__name__, error)

def fit(**options):
    return model.fit(**{"chains": 2, "seed": 1, "progress": False, "pointwise": False, **options})

"""


@cache
def namespace() -> tuple[str, ...]:
    """What gives a process mounts of its own; nothing where the system allows none."""
    for begin in NAMESPACES if shutil.which("unshare") else ():
        command = [*begin, "mount", "-t", "tmpfs", "none", "/mnt"]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return begin
    return ()


def run(folder: Path, mount: str, code: str, **environment: str) -> str:
    """What a script says that runs where a folder has been mounted in its own way."""
    if not namespace():
        pytest.skip("this system allows no mounts of one's own")
    folder.mkdir(exist_ok=True)
    script = folder.with_name("script.py")
    script.write_text(BEGIN + textwrap.dedent(code))
    inner = f'{mount} && exec "$2" "$3" "$1"'
    done = subprocess.run(
        [*namespace(), "sh", "-c", inner, "sh", folder, sys.executable, script],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


SMALL_DISK = 'mount -t tmpfs -o size=1m,mode=700 none "$1"'


# ---- a full disk ---------------------------------------------------------------------------------


@pytest.mark.stan
def test_a_disk_that_fills_while_chains_run_is_named_and_room_mends_it(tmp_path: Path) -> None:
    said = run(
        tmp_path / "disk",
        SMALL_DISK,
        """
        tried(lambda: fit(draws=3500, output_dir=folder))
        os.system(f"mount -o remount,size=9m '{folder}'")
        again = hm.resume(folder, progress=False)
        alone = fit(draws=3500)
        one, other = (inference_data.dataset(x, "posterior")["theta"] for x in (again, alone))
        print("the same:", one.equals(other))
        """,
    )
    assert "SamplingError" in said
    # By where in a number the disk is full; new releases of CmdStan end there.
    how = r"(of 3500 draws|half written|can be read \(.*\)|exit code 1): the disk of "
    assert re.search(how, said), said
    assert "is full; make room, or set TMPDIR or output_dir" in said
    assert "the same: True" in said


@pytest.mark.stan
def test_a_temporary_folder_that_fills_is_left_empty(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    code = "tried(lambda: fit(draws=20_000)); print(os.listdir(folder))"
    said = run(disk, SMALL_DISK, code, TMPDIR=str(disk))
    assert "SamplingError no chain finished" in said
    assert said.endswith("[]\n")


@pytest.mark.stan
@pytest.mark.parametrize("free", [0, 8192])
def test_a_disk_too_full_to_begin_is_named_and_nothing_is_left(tmp_path: Path, free: int) -> None:
    said = run(
        tmp_path / "disk",
        SMALL_DISK,
        f"fill({free}); tried(lambda: fit(output_dir=folder)); print(os.listdir(folder))",
    )
    assert "SamplingError a fit needs room for its files in" in said
    assert "(No space left on device); make room, or set TMPDIR or output_dir" in said
    assert said.endswith("['fill']\n")


@pytest.mark.cmdstan
def test_a_disk_that_fills_while_a_program_is_compiled_is_named(tmp_path: Path) -> None:
    said = run(
        tmp_path / "disk",
        SMALL_DISK,
        """
        from tests import fake_cmdstan
        tree = fake_cmdstan.tree(folder.with_name("cmdstan-2.27.0"))
        with open(tree / "bin" / "program", "a") as file:
            file.write("#" * 3_000_000)
        os.environ["CMDSTAN"] = str(tree)
        tried(lambda: hm.programs.executable(model.program_name(), progress=False))
        print([p.name for p in (folder / "programs").iterdir()])
        """,
        HIERMODELS_CACHE=str(tmp_path / "disk"),
        FAKE_LOG=str(tmp_path / "log"),
        PYTHONPATH=str(Path(__file__).parents[3]),
    )
    assert said.startswith("CompileError")
    assert "No space left on device" in said
    assert said.endswith("[]\n")


def test_a_disk_that_fills_while_a_fit_is_saved_keeps_the_file_before(tmp_path: Path) -> None:
    said = run(
        tmp_path / "disk",
        SMALL_DISK,
        """
        (folder / "fit.nc").write_bytes(b"before")
        whole = model.fit(engine="exact", seed=1, draws=3000, progress=False)
        tried(lambda: netcdf.save(whole, folder / "fit.nc"))
        print(os.listdir(folder), (folder / "fit.nc").read_bytes())
        places = [os.path.realpath(file) for file in Path("/proc/self/fd").iterdir()]
        print("open:", [place for place in places if "fit.nc" in place])
        os.system(f"mount -o remount,size=9m '{folder}'")
        netcdf.save(whole, folder / "fit.nc")
        print(inference_data.has(netcdf.load(folder / "fit.nc"), "posterior"))
        """,
    )
    assert "fit.nc: No space left on device; make room, or name another folder" in said
    assert said.splitlines()[1:] == ["['fit.nc'] b'before'", "open: []", "True"]


@pytest.mark.stan
def test_a_file_cut_short_inside_its_last_row_is_no_finished_chain(tmp_path: Path) -> None:
    from hiermodels.engines.nuts import chains

    model = hm.EightSchools(hm.datasets.eight_schools(), effect="effect", se="se", group="school")
    whole = model.fit(chains=1, draws=20, seed=1, progress=False, output_dir=tmp_path)
    (csv,) = tmp_path.glob("*.csv")
    text = csv.read_bytes()
    csv.write_bytes(text[: text.index(b"\n# \n#  Elapsed") - 3])
    command = (sys.executable, "-c", "pass")
    task = chains.Task(0, command, csv, tmp_path / "again.stop", 0, 20, ())
    task.console.unlink()
    assert chains.run_chain(task).failure == "left its last draws half written"
    csv.write_bytes(text)
    task.console.unlink()
    assert len(chains.run_chain(task).draws) == 20
    assert idatas.dataset(whole, "posterior").sizes["draw"] == 20


def test_a_chain_that_a_full_disk_ends_names_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the words of CmdStan 2.36, which ends where 2.27 writes on."""
    from hiermodels.engines.nuts import chains

    script = "raise SystemExit('basic_ios::clear: iostream error')"
    csv, stop = tmp_path / "x.csv", tmp_path / "x.stop"
    task = chains.Task(0, (sys.executable, "-c", script), csv, stop, 0, 20, ())
    room = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: room._replace(free=4096))
    chain = chains.run_chain(task)
    assert chain.failure is not None
    assert f"exit code 1: the disk of {tmp_path} is full; make room" in chain.failure
    assert "iostream error" in chain.messages
    monkeypatch.setattr(shutil, "disk_usage", lambda _: room._replace(free=1 << 30))
    task.console.unlink()
    assert chains.run_chain(task).failure == "ended with exit code 1"


# ---- a chain that is killed ----------------------------------------------------------------------


LONG: dict[str, Any] = {
    "chains": 2,
    "draws": 50_000,
    "seed": 3,
    "progress": False,
    "pointwise": False,
    "parallel_chains": 2,
}


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


@pytest.fixture(scope="module")
def whole(compiled: None) -> np.ndarray:
    """The draws of a fit that nothing disturbs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return theta(schools().fit(**LONG))


@pytest.mark.stan
def test_a_chain_that_is_killed_is_named_and_the_other_is_kept(
    tmp_path: Path, whole: np.ndarray
) -> None:
    killer = threading.Thread(target=lambda: waiting(lambda: children(chain=2))[0].kill())
    killer.start()
    with pytest.raises(SamplingError, match=r"chain 1 \(of 0 to 1\) was killed by SIG") as caught:
        schools().fit(**LONG, output_dir=tmp_path)
    killer.join()
    assert f"hm.resume({str(tmp_path)!r}) runs the others again" in str(caught.value)
    kept = idatas.dataset(caught.value.idata, "posterior")
    assert kept["chain"].values.tolist() == [0]
    np.testing.assert_array_equal(kept["theta"], whole[:1])
    np.testing.assert_array_equal(theta(hm.resume(tmp_path, progress=False)), whole)


# ---- output that is removed ----------------------------------------------------------------------


def the_folder(folder: Path) -> None:
    shutil.rmtree(folder)


def the_draws_of_one_chain(folder: Path) -> None:
    next(folder.glob("*_1.csv")).unlink()


def all_but_the_draws(folder: Path) -> None:
    for file in folder.iterdir():
        if file.suffix != ".csv":
            file.unlink()


def fit_without(folder: Path, lose: Callable[[Path], None], **options: Any) -> Any:
    """A fit that loses files while its chains run."""
    lost: list[bool] = []

    def work() -> None:
        waiting(lambda: all_of(2))
        waiting(lambda: [f for f in folder.glob("**/*_1.csv") if f.stat().st_size > 100_000])
        (inside,) = {file.parent for file in folder.glob("**/*_1.csv")}
        time.sleep(0.3)  # until the files were seen
        lost.append(bool(children()))
        lose(inside)

    other = threading.Thread(target=work)
    other.start()
    try:
        return schools().fit(**LONG, **options)
    finally:
        other.join()
        assert lost == [True], "the chains had ended before"


@pytest.mark.stan
def test_draws_that_are_removed_while_chains_run_are_named(
    tmp_path: Path, whole: np.ndarray
) -> None:
    says = r"chain 1 .* was ended, as .*_1.csv was removed while it ran"
    with pytest.raises(SamplingError, match=says):
        fit_without(tmp_path, the_draws_of_one_chain, output_dir=tmp_path)
    np.testing.assert_array_equal(theta(hm.resume(tmp_path, progress=False)), whole)


@pytest.mark.stan
def test_a_temporary_folder_that_is_removed_while_chains_run_is_named(unharmed: Path) -> None:
    with pytest.raises(SamplingError, match=r"was ended, as /.* was removed while it ran"):
        fit_without(unharmed, the_folder)


@pytest.mark.stan
def test_without_the_files_beside_the_draws_the_result_is_the_same(
    tmp_path: Path, whole: np.ndarray
) -> None:
    there = fit_without(tmp_path, all_but_the_draws, output_dir=tmp_path)
    np.testing.assert_array_equal(theta(there), whole)
