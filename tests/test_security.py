"""What docs/SECURITY.md promises of files: none is run, and those in passing are private."""

from __future__ import annotations

import ast
import json
import os
import pickle
import shutil
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hiermodels as hm
from hiermodels.container import netcdf
from hiermodels.errors import HierModelsError
from hiermodels.stan import compiling, programs
from tests import fake_cmdstan

PACKAGE = Path(hm.__file__).parent
SOURCES = sorted([*PACKAGE.rglob("*.py"), PACKAGE.parent / "hatch_build.py"])

# ---- what the source does not do ----------------------------------------------------------------

# Modules that run what they read, or a shell.
FORBIDDEN_MODULES = frozenset(
    {"_pickle", "cloudpickle", "code", "codeop", "commands", "dill", "joblib", "jsonpickle"}
    | {"marshal", "pty", "runpy", "shelve", "yaml"}
)
# Of pickle only what writes: whether a task can be sent is found out by pickling it.
ALLOWED_OF_PICKLE = frozenset({"dumps", "PicklingError", "HIGHEST_PROTOCOL"})
FORBIDDEN_CALLS = frozenset({"eval", "exec", "compile", "__import__"})
FORBIDDEN_ATTRIBUTES = frozenset(
    {"os.system", "os.popen", "os.startfile", "subprocess.getoutput", "tempfile.mktemp"}
    | {"subprocess.getstatusoutput", "asyncio.create_subprocess_shell"}
    | {"ssl._create_unverified_context", "builtins.eval", "builtins.exec", "builtins.compile"}
)
FORBIDDEN_METHODS = frozenset(
    {"eval", "extractall", "read_pickle", "to_pickle", "unpack_archive", "Unpickler"}
)


def faults(source: str) -> Iterator[str]:
    """Say what a source does that this package does not, by its syntax tree."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = (getattr(node, "module", None) or "").partition(".")[0]
            imported = {alias.name.partition(".")[0] for alias in node.names}
            modules = imported if isinstance(node, ast.Import) else {module}
            for name in modules & FORBIDDEN_MODULES:
                yield f"imports {name}"
            if module == "pickle" and isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if alias.name not in ALLOWED_OF_PICKLE:
                        yield f"imports pickle.{alias.name}"
        elif isinstance(node, ast.Attribute):
            whole = ast.unparse(node)
            if isinstance(node.value, ast.Name) and node.value.id == "pickle":
                if node.attr not in ALLOWED_OF_PICKLE:
                    yield f"takes {whole}"
            elif whole in FORBIDDEN_ATTRIBUTES or node.attr in FORBIDDEN_METHODS:
                yield f"takes {whole}"
        elif isinstance(node, ast.Call):
            called, given = ast.unparse(node.func), {k.arg: k.value for k in node.keywords}
            if called in FORBIDDEN_CALLS:
                yield f"calls {called}"
            for option in ("allow_pickle", "shell", "verify", "trust_remote_code"):
                if option in given and ast.unparse(given[option]) not in (
                    "True" if option == "verify" else "False",
                ):
                    yield f"gives {option}={ast.unparse(given[option])} to {called}"
            if called in ("np.load", "numpy.load") and "allow_pickle" not in given:
                yield "calls np.load without allow_pickle=False"
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).endswith("_SCRIPT"):
            # For a Python of its own.
            yield from faults(ast.literal_eval(node.value))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE.parent)))
def test_the_source_neither_unpickles_nor_evaluates_nor_calls_a_shell(path):
    assert list(faults(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "line",
    [
        *("import dill", "from marshal import loads", "import os, shelve", "import joblib.memory"),
        *("import pickle; pickle.loads(b'')", "from pickle import load", "import pickle as p"),
        *("pickle.Unpickler(file)", "pd.read_pickle(path)", "np.load(file)"),
        *("np.load(file, allow_pickle=True)", "np.load(file, allow_pickle=allowed)"),
        *("subprocess.run('ls', shell=True)", "os.system('ls')", "os.popen('ls')"),
        *("eval('1')", "exec('1')", "frame.eval('a + b')", "__import__('os')"),
        *("archive.extractall()", "tempfile.mktemp()", "requests.get(url, verify=False)"),
        "_SOME_SCRIPT = 'import os; os.system(1)'",
    ],
)
def test_what_the_source_does_not_do_would_be_seen(line):
    found = list(faults(line))
    if line == "import pickle as p":  # another name would hide what is taken of it
        found = [alias for node in ast.parse(line).body for alias in node.names if alias.asname]
    assert found


def test_pickle_goes_by_its_own_name():
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                aliases = {alias.name: alias.asname for alias in node.names}
                for name in ("pickle", "os", "subprocess", "tempfile", "ssl", "builtins"):
                    assert aliases.get(name) in (None, "_os"), path


# ---- files that would run something, if they could ----------------------------------------------


class Trap:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def mark(tmp_path: Path) -> Iterator[Path]:
    """What a trap makes; that it works is tried first, that it did not last."""
    path = tmp_path / "sprung"
    pickle.loads(pickle.dumps(Trap(path)))  # noqa: S301  our own
    path.rmdir()
    yield path
    assert not path.exists()


def pickled(folder: Path, mark: Path, suffix: str) -> Path:
    file = folder / f"file{suffix}"
    file.write_bytes(pickle.dumps(Trap(mark)))
    return file


def objects(folder: Path, mark: Path, suffix: str) -> Path:
    """NumPy's way to keep Python objects: pickled."""
    file = folder / f"file{suffix}"
    array = np.array([Trap(mark)], dtype=object)
    with file.open("wb") as stream:
        if suffix == ".npy":
            np.save(stream, array, allow_pickle=True)
        else:
            about = np.array(json.dumps({"format": 1, "hiermodels_version": hm.__version__}))
            np.savez(stream, about=about, labels=array, products=array, **{"rows.y": array})
    return file


READERS: dict[str, Callable[[Path], Any]] = {
    "load": hm.load,
    "report": lambda path: hm.report(path, path.with_suffix(".html")),
    "statistics": hm.SufficientStatistics.load,
    "a data file": lambda path: hm.OneWay(path, y="y", group="j"),
    "statistics of a data file": lambda path: hm.sufficient_statistics(path, y="y", group="j"),
}
SUFFIXES = (".pkl", ".nc", ".npz", ".npy", ".parquet", ".csv")


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("write", [pickled, objects])
def test_no_reader_unpickles(tmp_path, mark, reader, suffix, write):
    file = write(tmp_path, mark, suffix)
    with pytest.raises((HierModelsError, TypeError)):
        READERS[reader](file)


@pytest.mark.parametrize("write", [pickled, objects])
def test_a_fit_is_not_picked_up_from_what_would_have_to_be_unpickled(tmp_path, mark, write):
    file = write(tmp_path, mark, ".npz")
    from hiermodels.engines.nuts import checkpoints

    file.rename(tmp_path / f"a{checkpoints._END}")
    with pytest.raises(HierModelsError):
        hm.resume(tmp_path)


def test_a_parquet_file_with_pickled_python_types_unpickles_none(tmp_path, mark):
    """pyarrow before 14.0.1 did so (CVE-2023-47248); what is asked for is newer."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    said = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(Trap(mark)),
    }
    field = pyarrow.field("y", pyarrow.float64(), metadata=said)
    rng = np.random.default_rng(1)
    table = pyarrow.table(
        [pyarrow.array(rng.normal(size=12)), pyarrow.array(list("abcd") * 3)],
        schema=pyarrow.schema([field, ("j", pyarrow.string())]),
    )
    parquet.write_table(table, tmp_path / "file.parquet")
    assert hm.OneWay(tmp_path / "file.parquet", y="y", group="j").columns["y"] == "y"


def test_a_container_whose_attributes_are_programs_is_read_as_text(tmp_path, mark):
    model = hm.EightSchools(hm.datasets.eight_schools(), effect="effect", se="se", group="school")
    idata = model.fit(engine="exact", draws=200, chains=2, seed=1, progress=False)
    good = netcdf.save(idata, tmp_path / "good.nc")
    code = f"__import__('os').mkdir({str(mark)!r})"
    texts = (code, f"!!python/object/apply:os.mkdir [{str(mark)!r}]", f"$(mkdir {mark})")
    h5py = pytest.importorskip("h5py")
    for number, value in enumerate([*texts, np.void(pickle.dumps(Trap(mark)))]):
        bad = Path(shutil.copy(good, tmp_path / f"bad{number}.nc"))
        with h5py.File(bad, "r+") as file:

            def spoil(_: str, node: Any, value: Any = value) -> None:
                for name in list(node.attrs):
                    if name.isupper() or name.startswith("_"):  # HDF5's own
                        continue
                    node.attrs[name] = value

            spoil("", file)
            file.visititems(spoil)
        for use in (hm.load, lambda path: hm.check(hm.load(path)), READERS["report"]):
            try:
                use(bad)
            except HierModelsError:
                continue


# ---- files in passing ---------------------------------------------------------------------------


class Watch(threading.Thread):
    """Looks again and again at what lies in a folder, and keeps what others could get at."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder, self.seen, self.open = folder, set[str](), set[str]()
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.is_set():
            self.look()
            time.sleep(0.001)
        self.look()

    def look(self) -> None:
        for path in self.folder.iterdir():
            try:
                mode = stat.S_IMODE(path.lstat().st_mode)
            except FileNotFoundError:
                continue
            self.seen.add(path.name)
            if mode & 0o077:
                self.open.add(f"{path.name}: {mode:04o}")


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    """An umask that lets everyone write everywhere, and a temporary folder that is watched."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    before = os.umask(0)
    watch = Watch(folder)
    watch.start()
    try:
        yield watch
    finally:
        os.umask(before)
        watch.done.set()
        watch.join()
        tempfile.tempdir = None


def model() -> hm.EightSchools:
    return hm.EightSchools(hm.datasets.eight_schools(), effect="effect", se="se", group="school")


def fitting(_: Path) -> None:
    model().fit(seed=1, chains=2, draws=100, warmup=200, progress=False)


def fitting_many(_: Path) -> None:
    hm.fit_many(model(), [hm.datasets.eight_schools()] * 2, seed=1, draws=100, progress=False)


def looking_at_syntax(_: Path) -> None:
    programs.check_syntax("eight_schools_centered")


def writing_a_report(folder: Path) -> None:
    idata = model().fit(engine="exact", seed=1, draws=200, chains=2, progress=False)
    hm.report(idata, folder / "report.html")
    netcdf.save(idata, folder / "fit.nc")


def reading_a_large_file(folder: Path) -> None:
    frame = pd.DataFrame({"y": np.arange(40.0) % 7, "j": list("abcd") * 10})
    frame.to_csv(folder / "file.csv", index=False)
    os.mkdir(folder / "files", 0o700)
    frame.to_parquet(folder / "files" / "part.parquet")
    hm.sufficient_statistics(folder / "files", y="y", group="j")


@pytest.mark.stan
@pytest.mark.filterwarnings("ignore::hiermodels.errors.DiagnosticWarning")
@pytest.mark.parametrize(
    ("work", "leaves"),
    [
        (fitting, True),
        (fitting_many, True),
        (looking_at_syntax, True),
        (writing_a_report, False),
        (reading_a_large_file, True),
    ],
)
def test_what_lies_in_the_temporary_folder_is_private_with_an_open_umask(
    watch, tmp_path, work, leaves
):
    work(tmp_path)
    time.sleep(0.01)
    if leaves:
        assert any(name.startswith("hiermodels-") for name in watch.seen)
    assert watch.open == set()
    watch.done.set()
    watch.join()
    assert [path.name for path in watch.folder.iterdir() if "hiermodels" in path.name] == []


def test_a_compilation_is_private_with_an_open_umask(watch, tmp_path, monkeypatch):
    """By CmdStanPy, in the process of its own that any compilation has."""
    script = compiling._COMPILE_SCRIPT
    texts = {"tiny.stan": "parameters { real mu; }\n"}
    fake_cmdstan.use(tmp_path, monkeypatch, texts)
    monkeypatch.setattr(compiling, "_COMPILE_SCRIPT", script)
    monkeypatch.setenv("FAKE_SECONDS", "0.3")
    programs.executable("tiny", progress=False)
    assert any(name.startswith("hiermodels-") for name in watch.seen)
    assert watch.open == set()


@pytest.mark.stan
@pytest.mark.filterwarnings("ignore::hiermodels.errors.DiagnosticWarning")
def test_the_folder_that_a_fit_makes_for_its_files_is_private_with_an_open_umask(watch, tmp_path):
    """What is in it is what a fit that is picked up goes on with."""
    folder = tmp_path / "fits" / "first"
    model().fit(seed=1, chains=2, draws=50, warmup=60, progress=False, output_dir=folder)
    for path in (tmp_path / "fits", folder):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert list(folder.iterdir())


def test_what_a_user_saves_is_as_his_umask_says(tmp_path):
    """Results are for sharing where he says so; that is not ours to forbid."""
    idata = model().fit(engine="exact", seed=1, draws=200, chains=2, progress=False)
    code = textwrap.dedent(
        """
        import os, sys
        import hiermodels as hm
        from hiermodels.container import netcdf
        os.umask(int(sys.argv[1], 8))
        idata = hm.load(sys.argv[2])
        netcdf.save(idata, sys.argv[3])
        print(oct(os.stat(sys.argv[3]).st_mode & 0o777))
        """
    )
    source = netcdf.save(idata, tmp_path / "one.nc")
    for umask, mode in (("077", "0o600"), ("002", "0o664")):
        target = tmp_path / f"{umask}.nc"
        said = subprocess.check_output(
            [sys.executable, "-W", "ignore", "-c", code, umask, str(source), str(target)], text=True
        )
        assert said.strip() == mode
