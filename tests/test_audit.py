"""The gate's dependencies are those of the list, each by its hash."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = [
    pytest.mark.skipif(not (ROOT / ".ci").is_dir(), reason="a source distribution has no gate"),
    pytest.mark.skipif(sys.version_info < (3, 11), reason="the list is for Python 3.11 or later"),
]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The script, an empty list, and an environment with nothing but pip."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "audit", tmp_path / ".ci")
    (tmp_path / ".ci" / "requirements.txt").write_text("")
    (tmp_path / "pyproject.toml").write_text(
        "[project]\ndependencies = []\noptional-dependencies = {}\n"
    )
    venv.create(tmp_path / "env", with_pip=True)
    return tmp_path


def audit(folder: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, str(folder / ".ci" / "audit"), *words],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def package(folder: Path, name: str, version: str) -> str:
    """Say of a package that it is installed; gives a line of the list for it."""
    (site,) = (folder / "env" / "lib").glob("python*/site-packages")
    about = site / f"{name}-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return f"{name}=={version} \\\n    --hash=sha256:{'0' * 64}\n"


def test_the_list_has_what_pyproject_asks_for_and_names_no_place() -> None:
    text = (ROOT / ".ci" / "requirements.txt").read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^\s*(-|@)(?!-hash)", text, re.MULTILINE)
    locked = {re.sub(r"[-_.]+", "-", n).lower() for n in re.findall(r"^([\w.-]+)==", text, re.M)}
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for group in (project["dependencies"], *project["optional-dependencies"].values()):
        for one in group:
            name = re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", one)[0]).lower()
            assert name in locked | {"hiermodels"}, name


def test_an_environment_is_held_against_the_list(copy: Path) -> None:
    line = package(copy, "apples", "1.0")
    environment, listed = str(copy / "env"), copy / ".ci" / "requirements.txt"
    if sys.version_info < (3, 12):  # ensurepip brings setuptools as well
        line += "setuptools==65.5.0 --hash=sha256:00\n"
    code, said = audit(copy, "check", environment)
    assert (code, "apples 1.0 is installed, and is not in the list" in said) == (1, True)
    listed.write_text(line)
    assert "apples" not in audit(copy, "check", environment)[1]
    listed.write_text(line.replace("==1.0", "==2.0"))
    code, said = audit(copy, "check", environment)
    assert (code, "apples 1.0 is installed, and the list has 2.0" in said) == (1, True)
    (copy / "pyproject.toml").write_text(
        '[project]\ndependencies = ["pears>=1"]\noptional-dependencies = {}\n'
    )
    assert "pears is in pyproject.toml, and not in the list" in audit(copy, "check", environment)[1]


def test_a_package_without_a_hash_or_with_a_wrong_one_is_not_installed(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = copy / ".ci" / "requirements.txt"
    listed.write_text("apples==1.0\n")
    code, said = audit(copy, "install", str(copy / "env"))
    assert (code, "every package needs a version and a hash" in said) == (1, True)
    # Out of a folder; what is in the file does not matter, as it is not even opened.
    (copy / "apples-1.0-py3-none-any.whl").write_bytes(b"")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(copy))
    listed.write_text(f"apples==1.0 --hash=sha256:{'0' * 64}\n")
    code, said = audit(copy, "install", str(copy / "env"))
    assert code != 0
    assert "DO NOT MATCH THE HASHES" in said
    assert not list((copy / "env").rglob("apples*"))
