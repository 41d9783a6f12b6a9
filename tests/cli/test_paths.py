"""Paths on the command line: none is empty, and no output replaces what is of another kind."""

from __future__ import annotations

import os
import re
import shlex
import typing
from pathlib import Path

import pytest
import typer

from hiermodels import datasets
from hiermodels.cli import main as cli
from hiermodels.cli import paths as cli_paths
from hiermodels.errors import OptionError

SCHOOLS = ["eight-schools", "FILE", "--effect", "effect", "--se", "se", "--group", "school"]
EMPTY = [
    ["fit", "one-way", "", "--y", "y", "--group", "g"],
    ["fit", *SCHOOLS, "--output-dir="],
    ["fit", *SCHOOLS, "-o", ""],
    ["compare", *SCHOOLS, "-o", ""],
    ["resume", ""],
    ["resume", ".", "--output="],
    ["report", "", "-o", "report.html"],
    ["report", "fit.nc", "-o", ""],
    ["summary", ""],
    ["check", ""],
    ["datasets", "eight_schools", "-o", ""],
]


@pytest.fixture
def schools(tmp_path, monkeypatch):
    """The eight schools in a table, in the current folder."""
    monkeypatch.chdir(tmp_path)
    datasets.eight_schools().to_csv("schools.csv", index=False)
    return Path("schools.csv")


@pytest.fixture
def run(capsys, schools):
    """Run a command that is refused; gives the line that says why."""

    def run(*words):
        assert cli.main([w.replace("FILE", str(schools)) for w in words]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1
        return err.removeprefix("error: ").strip()

    return run


def commands(app=cli.app):
    for each in app.registered_commands:
        yield each.callback
    for each in app.registered_groups:
        yield from commands(each.typer_instance)


def test_every_path_of_every_command_is_parsed_here():
    found = []
    for command in commands():
        for name, hint in typing.get_type_hints(command, include_extras=True).items():
            plain = typing.get_args(hint)[:1] if typing.get_origin(hint) is typing.Annotated else ()
            if plain and Path in (plain[0], *typing.get_args(plain[0])):
                (of,) = typing.get_args(hint)[1:]
                reads = isinstance(of, typer.models.ArgumentInfo)
                assert of.parser is (cli_paths.to_read if reads else cli_paths.to_write), name
                found.append(name)
    assert len(found) >= 20


@pytest.mark.parametrize("words", EMPTY, ids=" ".join)
def test_an_empty_path_is_not_the_current_folder(words, run):
    before = sorted(os.listdir())
    said = run(*words)
    assert re.match(r"Invalid value for '.*': the path must not be empty; name a file", said), said
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["resume", ".", "-o", "FILE"], "--output must end in .nc, got 'schools.csv': a fit is a"),
        (["resume", ".", "-o", "link.nc"], "got 'link.nc', a link to '.*/schools.csv': a fit is"),
        (["fit", *SCHOOLS, "-o", "link.nc"], "must not be the data file, got link.nc for both"),
        (["fit", *SCHOOLS, "-o", "page.html"], "must end in .nc, got 'page.html': a fit is a"),
        (["compare", *SCHOOLS, "-o", "FILE"], "must not be the data file, got schools.csv"),
        (["compare", *SCHOOLS, "-o", "link.html"], "must not be the data file, got link.html"),
        (["report", "fit.nc", "-o", "FILE"], "must end in .html, got 'schools.csv': a report is"),
        (["report", "fit.nc", "-o", "link.html"], "got 'link.html', a link to '.*/schools.csv'"),
        (["datasets", "exam", "-o", "page.html"], "must end in .csv, got 'page.html': a data set"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_output_does_not_replace_what_is_of_another_kind(words, says, run, schools):
    Path("page.html").write_text("<p>Mine.</p>")
    for link in ("link.nc", "link.html"):
        Path(link).symlink_to(schools)
    before = {path: path.read_bytes() for path in Path().iterdir()}
    said = run(*words)
    assert re.search(says, said), said
    assert {path: path.read_bytes() for path in Path().iterdir()} == before


@pytest.mark.parametrize("name", ["fit.nc", "FIT.NC", "fit.netcdf", "fit.h5"])
def test_an_output_of_its_kind_may_be_there_already(name, tmp_path):
    (tmp_path / name).touch()
    cli_paths.check_output(tmp_path / name, cli_paths.NETCDF)
    (tmp_path / "link.nc").symlink_to(tmp_path / name)
    cli_paths.check_output(tmp_path / "link.nc", cli_paths.NETCDF)
    with pytest.raises(OptionError, match=r"must end in \.html"):
        cli_paths.check_output(tmp_path / name, cli_paths.PAGE)


@pytest.mark.parametrize(
    ("path", "word"),
    [("-E", "./-E"), ("-my run", "'./-my run'"), ("a-b", "a-b"), ("~/run", "'~/run'")],
)
def test_a_path_with_a_dash_in_front_is_no_option(path, word):
    assert cli_paths.word(path) == word
    assert Path(shlex.split(cli_paths.word(path))[0]) == Path(path)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--engine", "exact", "--output-dir=-E"], "got --output-dir -E; .* use --engine nuts"),
        (
            ["--engine", "gibbs"],
            "use --engine exact or --engine nuts, or a --prior of those, such as",
        ),
    ],
)
def test_an_option_of_another_engine_is_named_as_it_is_typed(words, says, run, schools, capsys):
    datasets.load("mathscore").to_csv(schools, index=False)
    rows = ["fit", "one-way", str(schools), "--y", "mathscore", "--group", "school"]
    assert cli.main([*rows, *words]) == 2
    err = capsys.readouterr().err
    assert re.search(says, err), err
    assert "Path(" not in err
    assert "hm." not in err
