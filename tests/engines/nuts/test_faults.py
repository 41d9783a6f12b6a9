"""Full disks, read-only folders, killed chains: all of them real.

A small disk is a tmpfs in a mount namespace of the test's own; where the system forbids one (some
containers do), the tests that need it are skipped. See test_termination.py for signals,
test_resumption.py for fits that are picked up.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import hiermodels as hm
from hiermodels.container import inference_data as idatas
from hiermodels.errors import SamplingError
from hiermodels.stan import programs
from tests.engines.nuts.test_sampling import children, waiting

pytestmark = [
    pytest.mark.filterwarnings("ignore::hiermodels.errors.DiagnosticWarning"),
    pytest.mark.usefixtures("unharmed"),
]

NAMESPACES = (
    ("unshare", "--user", "--map-root-user", "--mount"),
    ("unshare", "--mount"),  # root, where users may have none of their own
)
BEGIN = """
import os, resource, sys, warnings
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
READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1"'


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
@pytest.mark.parametrize("free", [0, 4096, 8192])
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
@pytest.mark.parametrize("full", ["TMPDIR", "HIERMODELS_CACHE"])
def test_a_disk_that_fills_while_a_program_is_compiled_is_named(tmp_path: Path, full: str) -> None:
    work = tmp_path / "work"
    work.mkdir()
    places = {name: str(work) for name in ("TMPDIR", "HIERMODELS_CACHE")} | {
        full: str(tmp_path / "disk"),
        "FAKE_LOG": str(tmp_path / "log"),
    }
    room = "100k" if full == "TMPDIR" else "2m"
    # The real CmdStan's stanc writes 100 kB; the compiler is not needed to fill a cache.
    code = """
        from tests import fake_cmdstan
        if os.environ["TMPDIR"] != str(folder):
            tree = fake_cmdstan.tree(folder.with_name("cmdstan-2.27.0"))
            with open(tree / "bin" / "program", "a") as file:
                file.write("#" * 3_000_000)
            os.environ["CMDSTAN"] = str(tree)
        tried(lambda: hm.programs.executable(model.program_name(), progress=False))
        print(hm.programs.entries(), [p.name for p in Path(os.environ["TMPDIR"]).iterdir()
                                      if p.name.startswith("hiermodels-")])
        print([p.name for p in Path(os.environ["HIERMODELS_CACHE"]).glob("programs/*")])
    """
    root = str(Path(__file__).parents[3])
    said = run(
        tmp_path / "disk",
        SMALL_DISK.replace("size=1m", f"size={room}"),
        code,
        PYTHONPATH=root,
        **places,
    )
    assert said.startswith("CompileError")
    assert "No space left on device" in said
    assert said.endswith("[] []\n[]\n")


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
def test_a_limit_of_file_size_is_named(tmp_path: Path) -> None:
    # Python itself ignores the signal that ends the chains.
    code = """
        executable = hm.programs.executable(model.program_name(), progress=False)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        tried(lambda: fit(draws=20_000, output_dir=folder))
        whole = model.fit(engine="exact", seed=1, draws=3000, progress=False)
        tried(lambda: netcdf.save(whole, folder / "fit.nc"))
        print([p.name for p in folder.iterdir() if ".nc" in p.name])
    """
    script = tmp_path / "script.py"
    script.write_text(BEGIN + textwrap.dedent(code))
    done = subprocess.run(
        [sys.executable, script, tmp_path], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "was killed by SIGXFSZ (a file too large for ulimit -f)" in done.stdout
    assert "fit.nc: File too large; make room, or name another folder" in done.stdout
    assert done.stdout.endswith("[]\n")


@pytest.mark.stan
def test_a_file_cut_short_inside_its_last_row_is_no_finished_chain(tmp_path: Path) -> None:
    from hiermodels.engines.nuts import chains

    model = hm.EightSchools(hm.datasets.eight_schools(), effect="effect", se="se", group="school")
    whole = model.fit(chains=1, draws=20, seed=1, progress=False, output_dir=tmp_path)
    (csv,) = tmp_path.glob("*.csv")
    text = csv.read_bytes()
    csv.write_bytes(text[: text.index(b"\n# \n#  Elapsed") - 3])
    command = (sys.executable, "-c", "pass")
    rest = (tmp_path / "again.txt", tmp_path / "again.stop")
    task = chains.Task(0, command, csv, *rest, 0, 20, ())
    assert chains.run_chain(task).failure == "left its last draws half written"
    csv.write_bytes(text)
    (tmp_path / "again.txt").unlink()
    assert len(chains.run_chain(task).draws) == 20
    assert idatas.dataset(whole, "posterior").sizes["draw"] == 20


def test_a_chain_that_a_full_disk_ends_names_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the words of CmdStan 2.36, which ends where 2.27 writes on."""
    from hiermodels.engines.nuts import chains

    script = "raise SystemExit('basic_ios::clear: iostream error')"
    csv, console, stop = (tmp_path / f"x.{end}" for end in ("csv", "txt", "stop"))
    task = chains.Task(0, (sys.executable, "-c", script), csv, console, stop, 0, 20, ())
    room = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: room._replace(free=4096))
    chain = chains.run_chain(task)
    assert chain.failure is not None
    assert f"exit code 1: the disk of {tmp_path} is full; make room" in chain.failure
    assert "iostream error" in chain.messages
    monkeypatch.setattr(shutil, "disk_usage", lambda _: room._replace(free=1 << 30))
    task.console.unlink()
    assert chains.run_chain(task).failure == "ended with exit code 1"


# ---- folders that cannot be written --------------------------------------------------------------


@pytest.mark.stan
def test_a_read_only_cache_is_used_as_it_is(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    (cache / "programs").mkdir(parents=True)
    entry = programs.executable("eight_schools_noncentered", progress=False).path.parent
    shutil.copytree(entry, cache / "programs" / entry.name)
    said = run(
        cache,
        READ_ONLY,
        """
        print(inference_data.dataset(fit(draws=50), "posterior").sizes["draw"])
        tried(lambda: model.replace(parameterization="centered").fit(progress=False))
        """,
        HIERMODELS_CACHE=str(cache),
    )
    assert said.startswith("50\n")
    assert (
        "CompileError the cache folder for compiled Stan programs must be one that can be" in said
    )
    assert "is on a read-only file system); next: set HIERMODELS_CACHE to another folder" in said


@pytest.mark.stan
def test_a_read_only_working_folder_is_not_needed(tmp_path: Path) -> None:
    said = run(
        tmp_path / "work",
        f'{READ_ONLY} && cd "$1"',
        """
        print(inference_data.dataset(fit(draws=50), "posterior").sizes["draw"])
        tried(lambda: fit(output_dir="here"))
        whole = model.fit(engine="exact", seed=1, draws=50, progress=False)
        tried(lambda: netcdf.save(whole, "fit.nc"))
        tried(lambda: hm.report(whole, "fit.html"))
        tried(lambda: hm.plots.save(hm.plots.shrinkage(whole), "fit.png"))
        from hiermodels.cli import main as cli
        sys.stderr = sys.stdout
        print(cli.main(["datasets", "eight_schools", "-o", "schools.csv"]))
        print(os.listdir("."))
        """,
    )
    lines = said.splitlines()
    assert lines[0] == "50"
    assert lines[1].startswith("OptionError output_dir must be a folder that can be written")
    assert "Read-only file system" in lines[2]
    assert lines[2].startswith("ContainerError cannot write ")
    for line, name in zip(lines[3:5], ("fit.html", "fit.png"), strict=True):
        assert re.match(rf"OptionError cannot write .*{name}: Read-only .*; name a place", line)
    assert lines[5:] == [
        "error: --output: the folder . cannot be written to; name a file in another",
        "2",
        "[]",
    ]


@pytest.mark.stan
def test_no_home_folder_is_needed_where_the_others_are_named(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    code = 'print(inference_data.dataset(fit(draws=50), "posterior").sizes["draw"])'
    script.write_text(BEGIN + code)
    found = hm.cmdstan.find()
    assert found is not None
    bare = {k: v for k, v in os.environ.items() if not k.startswith("XDG_")}
    bare |= {
        "HOME": "/nonexistent/home",
        "CMDSTAN": str(found.path),
        "HIERMODELS_CACHE": str(programs.cache_folder()),
        "XDG_CACHE_HOME": str(tmp_path),  # ArviZ 0.23 writes there
        "MPLCONFIGDIR": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, script, tmp_path],
        env=bare,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "50\n"), done.stderr


def test_a_user_without_any_home_is_told_so_before_anything_is_sampled(tmp_path: Path) -> None:
    """No HOME, and a number that no account has, as in many containers."""
    if os.geteuid() != 0:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("this needs to run as root")
    given = Path(tempfile.mkdtemp())
    try:
        os.chown(given, 12345, 12345)
        code = """
            from hiermodels.models import engines, fitting
            exact = engines.exact
            def drawn(*args, **options):
                print("draws")
                return exact(*args, **options)
            def sampled(*args, **options):
                print("samples")
                return None, []
            def looked_for(*args, **options):
                print("program")
                raise hm.errors.CompileError("no compiler")
            engines.exact, fitting.posterior = drawn, sampled
            hm.programs.executable = looked_for
            tried(hm.programs.cache_folder)
            os.environ["HIERMODELS_CACHE"] = "~/cache"
            tried(hm.programs.cache_folder)
            del os.environ["HIERMODELS_CACHE"]
            tried(lambda: model.fit(engine="exact", seed=1, progress=False))
            tried(fit)
            tried(lambda: model.prior_predictive(draws=10, seed=1, progress=False))
            os.environ["HOME"] = str(folder)
            tried(lambda: model.fit(engine="exact", seed=1, progress=False))
            print([p for p in os.listdir() if p.startswith("~")])
        """
        script = tmp_path / "script.py"
        script.write_text(BEGIN + textwrap.dedent(code))
        # What Python is made of may lie where only root can read: this user may read it as well.
        user = (
            *("setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups"),
            *("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"),
        )
        bare = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "MPL"))}
        for name in ("HOME", "HIERMODELS_CACHE"):
            bare.pop(name, None)
        done = subprocess.run(
            [*user, sys.executable, script, given],
            cwd=given,
            env=bare | {"MPLBACKEND": "Agg", "TMPDIR": str(given)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        shutil.rmtree(given)
    assert done.returncode == 0, done.stderr
    first, second, *lines = done.stdout.splitlines()
    for line in (first, second):
        assert re.fullmatch(r"CompileError .*; next: set HOME or HIERMODELS_CACHE to a .*", line)
    if idatas.arviz_line() == "0.x":
        says = r"ContainerError .* cannot be imported \(.*home.*\); .*: set HOME to a folder .*"
        assert all(re.fullmatch(says, line) for line in lines[:3]), done.stdout
        assert lines[3:] == ["draws", "[]"]
    else:  # needs no home
        assert lines == ["draws", "samples", "program", "CompileError no compiler", "draws", "[]"]


# ---- a chain that is killed ----------------------------------------------------------------------


@pytest.mark.stan
@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_a_chain_killed_at_any_point_is_named_and_the_other_is_kept(
    tmp_path: Path, share: float
) -> None:
    model = hm.EightSchools(
        hm.datasets.eight_schools(),
        effect="effect",
        se="se",
        group="school",
        parameterization="noncentered",
    )
    options: dict[str, Any] = {
        "chains": 2,
        "draws": 50_000,
        "seed": 3,
        "progress": False,
        "pointwise": False,
        "parallel_chains": 2,
    }
    whole = model.fit(**options, output_dir=tmp_path / "whole")
    (csv,) = (tmp_path / "whole").glob("*_1.csv")
    size = csv.stat().st_size

    def so_far() -> bool:
        found = list((tmp_path / "killed").glob("*_1.csv"))
        return bool(found) and found[0].stat().st_size >= share * size

    killed: list[psutil.Process] = []

    def kill() -> None:
        killed.extend(waiting(lambda: children(chain=2), 60))
        waiting(so_far, 60)
        killed[0].send_signal(signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(SamplingError, match=r"chain 1 \(of 0 to 1\) was killed by SIG") as caught:
        model.fit(**options, output_dir=tmp_path / "killed")
    killer.join()
    assert f"hm.resume({str(tmp_path / 'killed')!r}) runs the others again" in str(caught.value)
    kept = idatas.dataset(caught.value.idata, "posterior")
    assert kept["chain"].values.tolist() == [0]
    again = hm.resume(tmp_path / "killed", progress=False)
    for idata in (kept, idatas.dataset(again, "posterior").isel(chain=[0])):
        np.testing.assert_array_equal(
            idata["theta"], idatas.dataset(whole, "posterior")["theta"].isel(chain=[0])
        )
    np.testing.assert_array_equal(
        idatas.dataset(again, "posterior")["theta"], idatas.dataset(whole, "posterior")["theta"]
    )
