"""The coverage-guided run: what it begins with holds, and what it is for is found."""

from __future__ import annotations

import warnings

import pytest

from hiermodels import errors
from hiermodels.data import files
from tests import fuzz
from tests.bad_input import command_line


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty folder for all that a command line may look for or leave."""
    for variable in ("HOME", "CMDSTAN", "HIERMODELS_CACHE"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", fuzz.TARGETS)
def test_each_target_holds_for_all_that_it_begins_with(name, home) -> None:
    seeds = fuzz.seeds(name)
    assert len(seeds) > 20
    run = fuzz.watched(fuzz.TARGETS[name], home / "finds")
    for seed in seeds:
        run(seed)
    assert not (home / "finds").exists(), [f.read_text() for f in home.rglob("finds/*.txt")]


@pytest.mark.parametrize(
    "fault",
    [
        ZeroDivisionError(),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no letter"),
        errors.DataError("a message\nof two lines"),
        errors.DataError("a message without end " * 200),
        RuntimeWarning("of somebody else"),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_what_is_not_a_line_of_ours_is_found_once(fault, home, monkeypatch) -> None:
    def broken(*_, **__):
        if isinstance(fault, Warning):
            warnings.warn(fault, stacklevel=1)
        raise fault

    monkeypatch.setattr(files, "read", broken)
    run = fuzz.watched(fuzz.csv_target, home / "finds")
    for data in (b"cg,y\na,1\n", b"cg,y\nb,2\n"):
        run(data)
    (found,) = (home / "finds").glob("*.input")
    assert found.read_bytes() == b"cg,y\na,1\n"
    assert type(fault).__name__ in found.with_suffix(".txt").read_text()


def test_a_traceback_of_the_command_line_is_found(home, monkeypatch, capsys) -> None:
    def broken(_):
        raise RuntimeError("of the command line")

    monkeypatch.setattr("hiermodels.cli.fit.read_priors", broken)
    words = [word.replace("FILE", "data.csv") for word in command_line.FIT]
    fuzz.watched(fuzz.words_target, home / "finds")("\n".join(words).encode())
    assert "of the command line" in next((home / "finds").glob("*.txt")).read_text()


def test_no_word_leaves_the_folder_or_works_for_hours() -> None:
    assert all(map(fuzz.elsewhere, ["/etc", "~", "demo", "--draws=99999", "1e9", "compile"]))
    assert not any(map(fuzz.elsewhere, ["fit", "tau=HalfT(3, 1000)", "--draws", "50", "check"]))
