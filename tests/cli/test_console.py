"""What the command line prints: remedies as they are typed, the user's own words as they are."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from hiermodels import datasets, errors
from hiermodels.cli import console
from hiermodels.cli import main as cli


@pytest.mark.parametrize(
    "text",
    [
        # paths, whole and in part
        "there is no file out/chains=4,draws=1000/fit.nc; check the path",
        "/out/chains=4: could not be read",
        "there is no file a,chains=4; check the path",
        "the folder -chains=4 cannot be written to",
        "cannot write chains=4/fit.nc: it is a folder",
        "there is no file chains=4.nc; check the path",
        "next: hiermodels resume chains=4 --fit draws=5 -o warmup=2",
        "`hiermodels resume chains=4 -o draws=5` runs them again",
        # names that are quoted, whole or cut short
        "no column 'chains=4'; there are 'draws=5', 'a warmup=6 b' and 3 more",
        "the groups' labels must be strings, got \"it's chains=4 here\"",
        r"y='it\'s \"draws=5\" warmup=2' must be a column of numbers",
        "y=\"pooling='none' or missing='drop'\" must be a column of numbers",
        f"no column {errors._name('chains=4 draws=5 ' * 40)}; check it",
        f"y must be a name, got {errors.shown('chains=4 draws=5 ' * 40)}; give one",
        f"y must be a name, got {errors.shown(['a chains=4 draws=5'] * 40)}; give one",
        "no column 'output_dir must hold a fit'",
        "no column \"hm.resume('run')\"",
        # labels in brackets
        "R-hat is above 1.01 for 1 of 9 parameters, at worst 1.2 (theta[A chains=4 B])",
        "R-hat is above 1.01 for 1 of 9 parameters, at worst 1.2 (mu[sex[M] draws=5 x])",
        # what is no option, or within a call
        "fit model.replace(pooling='partial')",
        "sigma=2.nc",
        "draws=f(1)",
    ],
)
def test_words_of_the_users_own_remain_as_they_are(text):
    assert console.typed(text) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no column 'chains=4'; pass missing='drop'", "no column 'chains=4'; pass --missing drop"),
        ("fit again with chains=4.", "fit again with --chains 4."),
        ("the usual draws=1000, now draws=20", "the usual --draws 1000, now --draws 20"),
        ("raise it (adapt_delta=0.99)", "raise it (--adapt-delta 0.99)"),
        ("the groups' means: use pooling='none'", "the groups' means: use --pooling none"),
        (
            "fit again with parameterization='marginal', then\n  'noncentered', then draws=5",
            "fit again with --parameterization marginal, then\n  --parameterization noncentered, "
            "then --draws 5",
        ),
    ],
)
def test_remedies_beside_them_are_said_as_one_types_them(text, said):
    assert console.typed(text) == said


@pytest.mark.parametrize(
    "folder",
    ["/out/chains=4", 'my son\'s "run"', "it's", "a')b", "-o", "back\\slash", "missing='drop'"],
)
def test_a_fit_goes_on_in_the_very_folder_that_it_was_given(folder):
    said = console.typed(f"{f'hm.resume({folder!r})'} runs them again; fit again with chains=4")
    command, _, rest = said.removeprefix("`").rpartition("`")
    assert rest == " runs them again; fit again with --chains 4"
    program, resume, place = shlex.split(command)
    assert (program, resume) == ("hiermodels", "resume")
    assert place == ("./-o" if folder == "-o" else folder)


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


def test_a_folder_is_no_advice_however_it_is_named(tmp_path, monkeypatch):
    here = tmp_path / "x draws=5"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("TMPDIR", "/y warmup=6")
    own = console.own_words(["fit", "chains=4", "--output-dir=.", "--draws", "100"])
    for said in (f"no room in {here}, and {{}}", "no room in /y warmup=6: {}", "chains=4; {}"):
        text = said.format("fit again with chains=4, then draws=5")
        assert console.typed(text, own) == said.format("fit again with --chains 4, then --draws 5")


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


def test_what_there_is_to_know_of_a_label_is_printed_as_it_is(tmp_path, capsys):
    """Beside a remedy: the rows that move a group's effect are named without quotes."""
    frame = datasets.load("mathscore")[:600]
    frame = frame.assign(school=[f"draws=5 {school} chains=4" for school in frame["school"]])
    frame.loc[0, "mathscore"] = 1000
    frame.to_csv(tmp_path / "s.csv", index=False)
    words = ["fit", "one-way", str(tmp_path / "s.csv"), "--y", "mathscore", "--group", "school"]
    words += ["--engine", "exact", "--seed", "1", "--chains", "1"]
    assert cli.main([*words, "-o", str(tmp_path / "fit.nc")]) == 0
    capsys.readouterr()
    assert cli.main(["check", str(tmp_path / "fit.nc")]) == 0
    out, _ = capsys.readouterr()
    next_step, _, known = out.partition("\nTo know:\n")
    assert "fit again with --chains 4." in next_step
    assert "school draws=5 1 chains=4 by" in " ".join(known.split())


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
