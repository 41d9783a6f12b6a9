"""What came with the package runs without CmdStan, and only where it is its program's own."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from hiermodels.cli import doctor
from hiermodels.cli import main as cli
from hiermodels.errors import ToolchainError
from hiermodels.stan import compiling, programs
from hiermodels.stan import wheel as shipped
from hiermodels.system import digests
from tests import fake_cmdstan

NAMES = ("tiny_centered", "tiny_pooled")
SCRIPT = fake_cmdstan.FILES["bin/program"]
FACTS = {"cmdstan_version": "2.27.0", "compiler": "c++ 1", "library": "libtbb.so.2"}


def put(program: programs.Program, place: Path, script: str = SCRIPT) -> Path:
    """Lay an executable out, as the build hook does; gives its file."""
    library = place / "libtbb.so.2"
    place.mkdir(exist_ok=True)
    library.write_text("a library\n")
    facts = {**FACTS, "library_sha256": digests.of_file(library)}
    file = place / program.name / program.name
    file.parent.mkdir(exist_ok=True)
    file.write_text(script)
    file.chmod(0o755)
    manifest = {
        "name": program.name,
        "key": shipped.key_of(program, facts),
        "digest": program.digest,
        "sha256": digests.of_file(file),
        "size": file.stat().st_size,
        **facts,
    }
    (file.parent / "manifest.json").write_text(json.dumps(manifest))
    return file


TEXTS = {
    "tiny_centered.stan": "functions {\n#include shared.stanfunctions\n}\n",
    "tiny_pooled.stan": "parameters { real mu; }\n",
    "shared.stanfunctions": "real middle() { return 0; }\n",
}


@pytest.fixture(autouse=True)
def sources(tmp_path, monkeypatch):
    """Two programs, and a CmdStan that compiles them in a moment."""
    fake_cmdstan.use(tmp_path, monkeypatch, TEXTS)
    return tmp_path / "sources"


@pytest.fixture
def place(tmp_path, monkeypatch, sources):
    """The package's folder of executables, with those of both programs."""
    folder = tmp_path / "executables"
    monkeypatch.setattr(shipped, "folder", lambda: folder)
    for name in NAMES:
        put(programs.load(name), folder)
    return folder


@pytest.fixture
def nothing(tmp_path, monkeypatch):
    """No compiler, no make, no CmdStan, no cache that can be written to."""
    monkeypatch.delenv("CMDSTAN")
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "file").touch()
    monkeypatch.setenv("HIERMODELS_CACHE", str(tmp_path / "file" / "cache"))


def test_what_came_runs_without_a_compiler_a_cmdstan_or_a_cache(place, nothing, capfd):
    made = programs.executable("tiny_centered")
    assert made.path == place / "tiny_centered" / "tiny_centered"
    assert made.cmdstan_version == "2.27.0"
    assert made.program.name == "tiny_centered"
    assert subprocess.check_output([made.path, "info"], text=True).startswith("stan_version")
    assert [one.path.name for one in programs.compile_all()] == list(NAMES)
    assert capfd.readouterr() == ("", "")


def test_what_came_is_before_the_cache_and_is_looked_over_once(place, monkeypatch):
    made = programs.executable("tiny_pooled")
    assert made.path.is_relative_to(place)
    monkeypatch.setattr(shipped, "fault", lambda _: pytest.fail("looked over twice"))
    assert programs.executable("tiny_pooled") is made
    assert fake_cmdstan.log() == []


def test_where_none_came_programs_are_compiled_as_ever(place, tmp_path):
    shutil.rmtree(place)
    assert shipped.find(programs.load("tiny_pooled")) is None
    made = programs.executable("tiny_pooled", progress=False)
    assert made.path.is_relative_to(tmp_path / "cache")


def test_those_that_did_not_come_are_compiled_beside_those_that_did(place, capsys):
    shutil.rmtree(place / "tiny_pooled")
    assert cli.main(["compile"]) == 0
    out = capsys.readouterr().out
    assert "2 programs are compiled, in " in out
    assert f"1 came compiled with the package, in {place}" in " ".join(out.split())
    assert fake_cmdstan.log() == ["tiny_pooled"]


# ---- faults -------------------------------------------------------------------------------------


def again(file: Path, **changes: str) -> None:
    """Write the manifest as it would be for the file that is there now."""
    manifest = json.loads((file.parent / "manifest.json").read_text())
    manifest |= {"size": file.stat().st_size, "sha256": digests.of_file(file), **changes}
    (file.parent / "manifest.json").write_text(json.dumps(manifest))


def spoil_the_text(file, sources, patch):
    (sources / "tiny_centered.stan").write_text("// another\n")
    return "was compiled from another text"


def spoil_what_the_text_includes(file, sources, patch):
    (sources / "shared.stanfunctions").write_text("real middle() { return 1; }\n")
    return "was compiled from another text"


def spoil_the_digest_in_the_manifest(file, sources, patch):
    """The text is another, and the manifest was made to say that it is not."""
    (sources / "tiny_centered.stan").write_text("// another\n")
    again(file, digest=programs.load("tiny_centered").digest)
    return "belongs to something else"


def spoil_the_machine(file, sources, patch):
    patch.setattr(shipped.platform, "machine", lambda: "riscv64")
    return "belongs to something else"


def spoil_an_option(file, sources, patch):
    patch.setitem(compiling.STANC_OPTIONS, "O1", True)
    return "belongs to something else"


def spoil_by_one_byte(file, sources, patch):
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)
    return "is not the file that was put there"


def spoil_by_removal(file, sources, patch):
    file.unlink()
    return "cannot be read ("


def spoil_by_mode(file, sources, patch):
    """Not every installer keeps the bit."""
    file.chmod(0o644)
    return "is not a file that can be run"


def spoil_without_manifest(file, sources, patch):
    (file.parent / "manifest.json").unlink()
    return "cannot be read ("


def spoil_an_empty_manifest(file, sources, patch):
    (file.parent / "manifest.json").write_text("{}")
    return "was compiled from another text"


def spoil_the_library(file, sources, patch):
    (file.parent.parent / "libtbb.so.2").write_text("another library\n")
    return "needs libtbb.so.2, which is not the file that was put there"


def spoil_by_removal_of_the_library(file, sources, patch):
    (file.parent.parent / "libtbb.so.2").unlink()
    return "cannot be read ("


def spoil_what_the_system_has(file, sources, patch):
    """The file is whole and does not run: the system's C library is too old for it."""
    file.write_text("#!/bin/sh\necho \"version 'GLIBC_2.99' not found\"; exit 1\n")
    again(file)
    return "does not run (code 1: version 'GLIBC_2.99' not found)"


SPOILS = [value for name, value in list(globals().items()) if name.startswith("spoil_")]


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__)
def test_what_is_not_its_programs_own_is_not_used(
    place, sources, tmp_path, monkeypatch, capfd, spoil
):
    file = programs.executable("tiny_centered").path
    what = spoil(file, sources, monkeypatch)
    if spoil is spoil_the_machine:  # which does not change in a process's life
        programs._seen.clear()
    made = programs.executable("tiny_centered")
    assert made.path.is_relative_to(tmp_path / "cache")
    said = capfd.readouterr().err
    assert f"tiny_centered that came with the package {what}" in said
    assert "compiling one instead" in said
    # It is said once, not at each fit.
    assert programs.executable("tiny_centered") is made
    assert capfd.readouterr().err == ""
    assert fake_cmdstan.log() == ["tiny_centered"]


def test_once_it_is_mended_it_is_used_again(place):
    file = place / "tiny_pooled" / "tiny_pooled"
    file.write_text("spoiled")
    assert not programs.executable("tiny_pooled", progress=False).path.is_relative_to(place)
    put(programs.load("tiny_pooled"), place)
    assert programs.executable("tiny_pooled").path == file


def test_where_it_is_damaged_and_nothing_can_compile_both_are_said(place, monkeypatch, capfd):
    (place / "tiny_pooled" / "tiny_pooled").write_text("spoiled")
    monkeypatch.setenv("CXX", "absent++")
    with pytest.raises(ToolchainError, match=r"absent.*next: "):
        programs.executable("tiny_pooled")
    said = capfd.readouterr().err
    assert "is not the file that was put there" in said
    assert "--force-reinstall" in said


# ---- the doctor ---------------------------------------------------------------------------------


def test_with_all_executables_the_doctor_asks_for_no_compiler_and_no_cmdstan(place, nothing):
    found = {finding.name: finding for finding in doctor.examine()}
    assert found["executables"].found == f"of all 2 programs, with CmdStan 2.27.0, {place}"
    for name in ("compiler, make", "CmdStan", "cache"):
        assert (found[name].ok, found[name].needed) == (False, False), name
    assert [f.name for f in found.values() if f.needed and not f.ok] == []


@pytest.mark.parametrize("how", ["damaged", "absent"])
def test_with_one_executable_less_the_doctor_asks_for_them(place, nothing, how):
    if how == "damaged":
        (place / "tiny_pooled" / "tiny_pooled").write_text("spoiled")
    else:
        shutil.rmtree(place / "tiny_pooled")
    found = {finding.name: finding for finding in doctor.examine()}
    said = {"damaged": "tiny_pooled is not the file that was", "absent": "1 of 2 came with the"}
    assert said[how] in found["executables"].found
    assert (found["executables"].ok, found["executables"].needed) == (False, False)
    assert {"compiler, make", "CmdStan"} <= {
        f.name for f in found.values() if f.needed and not f.ok
    }


def test_installed_from_sources_the_doctor_does_not_speak_of_executables():
    assert "executables" not in {finding.name for finding in doctor.examine()}
