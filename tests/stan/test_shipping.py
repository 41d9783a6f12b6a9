"""A wheel with executables is built only by its own command, and runs where nothing can compile."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from hiermodels.errors import ToolchainError
from hiermodels.stan import cmdstan, compiling, programs
from hiermodels.stan import wheel as shipped
from tests import fake_cmdstan

ROOT = Path(__file__).parents[2]
SWITCH = {"HATCH_BUILD_HOOK_ENABLE_CUSTOM": "true"}


# ---- refusals -----------------------------------------------------------------------------------


@pytest.fixture
def fake(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in compiling.FLAG_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    path = fake_cmdstan.tree(tmp_path / "cmdstan-2.27.0")
    return cmdstan.CmdStan(path, (2, 27, 0), "CMDSTAN")


TOOLS = cmdstan.Toolchain("/bin/c++", "c++ 1", "/bin/make", "make 1")


def lay_out(tmp_path, found):
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    made = programs.Executable(script, programs.load("one_way_marginal"), "0" * 64, "2.27.0")
    shipped.lay_out(tmp_path, [made], found, TOOLS)


@pytest.mark.parametrize("where", ["make/local", "CXXFLAGS"])
def test_code_for_this_very_processor_is_refused(fake, tmp_path, monkeypatch, where):
    if where == "CXXFLAGS":
        monkeypatch.setenv("CXXFLAGS", "-O2 -march=native -g")
    else:
        (fake.path / "make").mkdir()
        (fake.path / "make" / "local").write_text("CXXFLAGS += -march=native\n")
    with pytest.raises(ToolchainError, match=r"on any processor .* have -march=native; next: take"):
        lay_out(tmp_path, fake)


def test_another_system_is_refused(fake, tmp_path, monkeypatch):
    monkeypatch.setattr(shipped.platform, "system", lambda: "Darwin")
    with pytest.raises(ToolchainError, match=r"on Linux, and this is Darwin; next: install from"):
        lay_out(tmp_path, fake)


def test_a_missing_tool_is_named(fake, tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(ToolchainError, match=r"needs patchelf, .* next: `make wheel`"):
        lay_out(tmp_path, fake)


# ---- the other builds ---------------------------------------------------------------------------


@pytest.mark.parametrize("build", ["wheel", "sdist"])
def test_no_other_build_compiles_anything(tmp_path, build):
    # Whoever has no compiler, or an empty cache, installs from sources as ever.
    (tmp_path / "bin").mkdir()
    env = {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)}
    if build == "sdist":
        env |= SWITCH
    code = f"from hatchling import build; build.build_{build}({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, check=True, timeout=120)
    (built,) = tmp_path.glob("hiermodels-*")
    if build == "sdist":
        with tarfile.open(built) as archive:
            names = archive.getnames()
        assert any(name.endswith("/hatch_build.py") for name in names)
    else:
        assert built.name.endswith("-py3-none-any.whl")
        with zipfile.ZipFile(built) as archive:
            names = archive.namelist()
    assert not any("executables" in name for name in names)


def test_an_editable_install_compiles_nothing_even_where_the_hook_is_on(tmp_path, monkeypatch):
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
    from hatchling.plugin.utils import load_plugin_from_script

    monkeypatch.setenv("PATH", str(tmp_path))
    script = str(ROOT / "hatch_build.py")
    hook_class = load_plugin_from_script(script, script, BuildHookInterface, "build_hook")
    hook = hook_class(str(ROOT), {}, None, None, str(tmp_path), "wheel")
    build_data: dict[str, object] = {"force_include": {}}
    hook.initialize("editable", build_data)
    hook.finalize("editable", build_data, "")
    assert build_data == {"force_include": {}}


# ---- the wheel ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory, compiled):
    """That of `make wheel`, where it is named; else built, from the executables in the cache."""
    if named := os.environ.get("HIERMODELS_WHEEL"):
        return Path(named).resolve(strict=True)
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "--no-deps", "--wheel-dir", str(folder), str(ROOT)],
        env={**os.environ, **SWITCH},
        check=True,
        timeout=590,
    )
    (built,) = folder.glob("hiermodels-*.whl")
    return built


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory):
    """The wheel as pip installs it."""
    folder = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", "--no-index", "--target", folder, wheel], check=True)
    return folder


def alone(site, home, **more):
    """Run Python with that package where there is no compiler, no make and no CmdStan."""
    (home / "bin").mkdir(exist_ok=True)
    env = {"PATH": str(home / "bin"), "HOME": str(home), "PYTHONPATH": str(site), **more}

    def run(*arguments):
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=home,
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    return run


@pytest.mark.slow
@pytest.mark.stan
def test_the_wheel_is_for_this_platform_and_small(wheel):
    from packaging.utils import parse_wheel_filename

    (tag,) = parse_wheel_filename(wheel.name)[3]
    assert (tag.interpreter, tag.abi) == ("py3", "none")
    # pip must refuse it where the C library is too old, which "linux_x86_64" would not.
    assert tag.platform.startswith(("manylinux_", "musllinux_"))
    assert wheel.stat().st_size < 60_000_000
    with zipfile.ZipFile(wheel) as archive:
        files = {i.filename.partition("executables/")[2]: i for i in archive.infolist()}
        text = archive.read("hiermodels/executables/one_way_marginal/manifest.json").decode()
    assert {f"{name}/{name}" for name in programs.names()} <= set(files)
    assert sum(".so" in name for name in files) == 1
    assert {"licenses/stan.txt", "licenses/tbb.txt", "licenses/eigen.txt"} <= set(files)
    # No path of the machine that built it, and no symbols.
    assert str(cmdstan.find().path) not in text
    assert json.loads(text)["cmdstan_version"] == cmdstan.find().version_text


def said(name, *arguments):
    return subprocess.check_output([shutil.which(name), *arguments], text=True)


@pytest.mark.slow
@pytest.mark.stan
def test_its_executables_are_stripped_and_look_for_tbb_beside_themselves(site):
    folder = site / "hiermodels" / "executables"
    for name in programs.names():
        file = folder / name / name
        assert os.access(file, os.X_OK)
        assert str(cmdstan.find().path).encode() not in file.read_bytes()
        read = said("readelf", "-dS", str(file))
        assert "[$ORIGIN/..]" in read
        assert ".symtab" not in read
        loaded = said("ldd", str(file))
        assert f"libtbb.so.2 => {folder / name}/../libtbb.so.2" in loaded
    # Another TBB that somebody's environment puts before all others does not come before ours.
    (site / "other").mkdir()
    (site / "other" / "libtbb.so.2").write_text("not a library")
    env = {**os.environ, "LD_LIBRARY_PATH": str(site / "other")}
    subprocess.run([file, "info"], env=env, check=True, capture_output=True)


@pytest.mark.slow
@pytest.mark.stan
def test_it_runs_the_demonstration_where_nothing_can_compile(site, tmp_path):
    run = alone(site, tmp_path)
    done = run("-m", "hiermodels", "demo", "-o", "demo")
    assert done.returncode == 0, done.stderr
    assert "No sign of trouble" in done.stdout
    assert (tmp_path / "demo" / "eight_schools.nc").is_file()
    assert "compiling" not in done.stderr
    assert not (tmp_path / ".cmdstan").exists()
    looked = run("-m", "hiermodels", "doctor")
    assert looked.returncode == 0, looked.stdout
    assert "of all 15 programs" in looked.stdout


ALL_FAMILIES = """
import json
import hiermodels as hm
schools = hm.datasets.eight_schools()
scores = hm.datasets.mathscore().head(300).assign(x=lambda f: f.index % 7 - 3.0)
models = [
    hm.EightSchools(schools, effect="effect", se="se", group="school"),
    hm.OneWay(scores, y="mathscore", group="school"),
    hm.VaryingSlopes(scores, y="mathscore", group="school", varying=["x"]),
]
ran = {}
for model in models:
    ways = [{"pooling": p} for p in ("none", "complete")]
    ways += [{"parameterization": p} for p in ("marginal", "centered", "noncentered")]
    for way in ways:
        one = model.replace(**way)
        idata = one.fit(seed=1, chains=1, draws=100, warmup=100, progress=False)
        ran[one.program.name] = int(idata["posterior"].sizes["draw"])
print(json.dumps(ran))
"""


@pytest.mark.slow
@pytest.mark.stan
def test_it_fits_all_families_with_every_program(site, tmp_path):
    done = alone(site, tmp_path)("-W", "ignore", "-c", ALL_FAMILIES)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == dict.fromkeys(programs.names(), 100)


@pytest.mark.slow
@pytest.mark.stan
@pytest.mark.filterwarnings("ignore::hiermodels.errors.DiagnosticWarning")
def test_its_draws_are_those_of_a_source_install(site, tmp_path):
    import hiermodels as hm

    code = (
        "import hiermodels as hm\n"
        "m = hm.EightSchools(hm.datasets.eight_schools(), effect='effect', se='se', "
        "group='school')\n"
        "x = m.fit(seed=3, chains=2, draws=50, progress=False)['posterior']['tau'].values\n"
        "print(x.tobytes().hex())"
    )
    done = alone(site, tmp_path)("-W", "ignore", "-c", code)
    assert done.returncode == 0, done.stderr
    frame = hm.datasets.eight_schools()
    model = hm.EightSchools(frame, effect="effect", se="se", group="school")
    here = model.fit(seed=3, chains=2, draws=50, progress=False)
    assert here["posterior"]["tau"].values.tobytes().hex() == done.stdout.strip()


@pytest.mark.slow
@pytest.mark.stan
def test_with_another_text_of_a_program_its_executable_is_not_used(site, tmp_path):
    changed = tmp_path / "changed"
    shutil.copytree(site, changed)
    program = changed / "hiermodels" / "stan_models" / "eight_schools_marginal.stan"
    program.write_text(program.read_text() + "\n// another\n")
    code = (
        "from hiermodels import programs; from hiermodels.stan import wheel as shipped\n"
        "print(*[n for n in programs.names() if shipped.fault(shipped.find(programs.load(n)))])"
    )
    done = alone(changed, tmp_path)("-c", code)
    assert done.stdout.split() == ["eight_schools_marginal"], done.stderr
