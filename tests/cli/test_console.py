"""What the command line prints: options as they are typed there, the user's words as they are."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from hiermodels import datasets, errors
from hiermodels.cli import console
from hiermodels.cli import main as cli


def test_a_message_has_both_spellings_of_its_options():
    said = "use " + errors.option("engine", "nuts") + ", or " + errors.option("max_treedepth", 12)
    assert said == "use engine='nuts', or max_treedepth=12"
    error = pickle.loads(pickle.dumps(errors.OptionError(said + "; 'engine'")))  # noqa: S301
    assert str(error) == f"{said}; 'engine'"
    assert console.one_line(error) == "use --engine nuts, or --max-treedepth 12; 'engine'"
    folder = errors.option("output_dir", "my run")
    assert (folder, folder.shell) == ("output_dir='my run'", "--output-dir 'my run'")
    assert ("x: " + folder.removeprefix("output_dir=")).shell == "x: --output-dir 'my run'"
    # Words of the user's own remain as they are.
    assert console.one_line("no file chains=4.nc") == "no file chains=4.nc"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check", "chains=4"], "there is no file chains=4; check the path"),
        (["check", "a draws=5"], "there is no file a draws=5; check the path"),
        (
            ["datasets", "exam", "-o", "a draws=5/exam.csv"],
            "--output: there is no folder a draws=5; make it first",
        ),
        (
            ["datasets", "exam", "--output=a draws=5/exam.csv"],
            "--output: there is no folder a draws=5; make it first",
        ),
        (["datasets", "exam", "chains=4"], "Got unexpected extra argument (chains=4)"),
    ],
)
def test_an_argument_comes_back_as_it_was_given(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 2
    assert capsys.readouterr().err.replace("(s)", "") == f"error: {said}\n"


def test_labels_are_printed_as_they_are_beside_the_remedies(tmp_path, capsys):
    """In warnings, the table of a fit, and that of its check."""
    scores = datasets.load("mathscore")[:80]
    scores = scores.assign(school=[f"chains=4 draws={school} x" for school in scores["school"]])
    scores.to_csv(tmp_path / "s.csv", index=False)
    words = ["fit", "one-way", "s.csv", "--y", "mathscore", "--group", "school"]
    words += ["--engine", "gibbs", "--draws", "20", "--seed", "1", "-o", "fit.nc"]
    words += ["--prior", "tau=Flat()", "--prior", "sigma=LogFlat()", "--prior", "mu=Flat()"]
    words = [str(tmp_path / word) if "." in word else word for word in words]
    assert cli.main(words) == 0
    out, err = capsys.readouterr()
    assert "theta[chains=4 draws=1 x]" in out
    assert "again with the usual --draws 1000 and --warmup 1000, now --draws 20" in err
    assert cli.main(["check", str(tmp_path / "fit.nc")]) == 1
    out, _ = capsys.readouterr()
    assert "the usual --draws 1000" in out
    for shown in (out, err):
        assert "[chains=4 draws=" in shown
        assert "--chains" not in shown


@pytest.mark.parametrize("taken", [[], ["fit.nc"], ["fit.nc", "fit-2.nc", "fit-4.nc"]])
def test_a_name_that_is_free_overwrites_nothing(taken, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in taken:
        Path(name).symlink_to("nowhere")  # which would be written through
    assert console.free("fit.nc") == Path(["fit.nc", "fit-2.nc", "", "fit-3.nc"][len(taken)])


def test_a_name_that_is_free_can_be_written(tmp_path):
    """By a user who stands where nothing can be made."""
    code = (
        "import os, sys, pathlib; from hiermodels.cli import console; os.chdir('/');\n"
        "if os.geteuid() == 0: os.setresuid(12345, 12345, 12345)\n"
        "print(console.free('fit.nc', pathlib.Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f"{tmp_path / 'fit.nc'}\n", "")
