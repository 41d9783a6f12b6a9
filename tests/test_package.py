"""The public surface, and what importing it costs."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import hiermodels as hm


def test_every_public_name_is_there_and_listed() -> None:
    for name in hm.__all__:
        assert getattr(hm, name) is not None
        assert name in dir(hm)


def test_every_public_name_but_the_modules_is_documented() -> None:
    for name in hm.__all__:
        assert getattr(hm, name).__doc__, name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'ThreeWay'"):
        hm.ThreeWay  # noqa: B018


def test_import_brings_in_nothing_heavy() -> None:
    # A limit in seconds would be a test of the machine; these modules are what the seconds go to.
    code = (
        "import sys, hiermodels; heavy = {'numpy', 'pandas', 'xarray', 'arviz', 'cmdstanpy', "
        "'matplotlib', 'scipy', 'typer'} & set(sys.modules); "
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_errors_are_also_the_built_in_that_a_user_would_catch() -> None:
    from hiermodels import errors

    for name, builtin in {
        "DataError": ValueError,
        "ColumnError": LookupError,
        "OptionError": ValueError,
        "PriorError": ValueError,
        "ContainerError": ValueError,
        "DatasetError": LookupError,
        "FrozenError": AttributeError,
        "CmdStanError": RuntimeError,
        "CompileError": RuntimeError,
        "SamplingError": RuntimeError,
    }.items():
        error = getattr(errors, name)
        assert issubclass(error, builtin)
        assert issubclass(error, hm.HierModelsError)


def test_a_wheel_carries_the_programs_inside_the_package(tmp_path: Path) -> None:
    root = Path(__file__).parents[1]
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", str(tmp_path), str(root)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = (
        "import hiermodels as hm; from hiermodels import programs;"
        "print(programs.folder(), *programs.names())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    folder, *names = done.stdout.split()
    assert Path(folder) == tmp_path / "site" / "hiermodels" / "stan_models"
    assert len(names) == 15
    assert (Path(folder) / "priors.stanfunctions").is_file()
    assert (tmp_path / "site" / "hiermodels" / "py.typed").is_file()
