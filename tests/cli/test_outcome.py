"""What comes of a fit on the command line: where it is, what is kept, and how one goes on."""

from __future__ import annotations

import os
import re
import shlex
import threading
from contextlib import suppress

import numpy as np
import psutil
import pytest

from hiermodels import datasets, errors
from hiermodels.cli import main as cli
from hiermodels.container import inference_data, netcdf
from hiermodels.engines.nuts import checkpoints
from hiermodels.models.model import Model
from hiermodels.stan import programs
from tests.cli.test_main import saved
from tests.engines.nuts.test_sampling import children, waiting

FIT = ["fit", "eight-schools", "schools.csv", "--effect", "effect", "--se", "se", "--group"]
FIT += ["school", "--parameterization", "noncentered", "--chains", "2", "--draws", "30000"]
FIT += ["--warmup", "500", "--max-treedepth", "4", "--seed", "1"]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a command in a folder with data; gives exit code, output, and the last line of errors."""
    monkeypatch.chdir(tmp_path)
    datasets.eight_schools().to_csv("schools.csv", index=False)

    def run(*words):
        code = cli.main([str(word) for word in words])
        out, err = capsys.readouterr()
        return code, out, (err.splitlines() or [""])[-1]

    return run


@pytest.fixture
def killed(run):
    """Run a command whose chain of a given number (or all) is killed."""
    programs.executable("eight_schools_noncentered", progress=False)

    def killed(*words, chain=2):
        ended = threading.Event()

        def kill():
            # The first chain has the time to finish: what is killed has just begun.
            found = waiting(lambda: children(chain=chain), 60)
            while found or (chain is None and not ended.wait(0.05)):
                for child in found:
                    with suppress(psutil.NoSuchProcess):
                        child.kill()
                found = children() if chain is None and not ended.is_set() else []

        killer = threading.Thread(target=kill)
        killer.start()
        code, out, err = run(*words)
        ended.set()
        killer.join()
        if "--allow-failed-chains" in words:
            assert (code, err[:9]) == (0, "warning: ")
        else:
            assert (code, err[:7]) == (1, "error: "), out
            assert not re.search(r"hm\.|idata|allow_failed|output_dir", err)
        return err

    return killed


def chains(file):
    return inference_data.dataset(netcdf.load(file), "posterior")["chain"].values.tolist()


@pytest.mark.cmdstan
@pytest.mark.parametrize(
    ("output", "folder"),
    [
        ("a fit.nc", "my run"),
        *(
            pytest.param(*names, marks=pytest.mark.slow)
            for names in [("a fit.nc", None), (None, "my run"), (None, None)]
        ),
    ],
)
def test_after_a_killed_chain_one_goes_on_as_is_said(output, folder, killed, run, tmp_path):
    kept = None if output is None else tmp_path / "a fit-unfinished.nc"
    (tmp_path / "fit.nc").write_bytes(b"an earlier fit")
    save = [] if output is None else ["-o", output]
    words = [*FIT, *save, *([] if folder is None else ["--output-dir", folder])]
    said = killed(*words)
    if folder is None:
        where = f"are kept in '{kept}'" if kept else "are not kept, as neither -o nor --output-dir"
        assert f"; the chains that finished {where}" in said
        assert said.endswith(
            "; next: the same with --allow-failed-chains, which goes on without those that fail"
        )
        killed(*words, "--allow-failed-chains")
        assert output is None or chains(output) == [0]
    else:
        places = [f"'{kept}'"] * bool(kept) + [f"the folder {shlex.quote(folder)}"]
        where = f"; the chains that finished are kept in {' and in '.join(places)}; "
        command = f"hiermodels resume {shlex.quote(folder)} -o {shlex.quote(output or 'fit-2.nc')}"
        step = f"--allow-failed-chains goes on without those that fail; next: {command}"
        assert said.endswith(where + step)
        # The same of one that is resumed, and fails again.
        assert killed("resume", folder, *save).endswith(where + step)
        code, _, _ = run(*shlex.split(command)[1:])
        assert code == 0
        assert chains(output or "fit-2.nc") == [0, 1]
    assert kept is None or chains(kept) == [0]
    assert (tmp_path / "fit.nc").read_bytes() == b"an earlier fit"


@pytest.mark.cmdstan
def test_where_no_chain_finished_all_can_be_run_again(killed, run, tmp_path):
    said = killed(*FIT, "--output-dir", "chains=4", chain=None)
    assert said.startswith("error: no chain finished: chain 0 (of 0 to 1) was killed by SIGKILL")
    command = "hiermodels resume chains=4 -o fit.nc"
    assert said.endswith(f"; all can be run again, with the same seeds; next: {command}")
    # Another fit beside it: then it is named.
    (file,) = (tmp_path / "chains=4").glob("*_fit.npz")
    file.with_name("another_fit.npz").write_bytes(file.read_bytes())
    stem = file.name.removesuffix("_fit.npz")
    said = killed("resume", "chains=4", "--fit", stem)
    assert said.endswith(f"; next: hiermodels resume chains=4 --fit {stem} -o fit.nc")
    assert run(*said.partition("next: hiermodels ")[2].split())[0] == 0
    assert chains("fit.nc") == [0, 1]


@pytest.fixture
def fails(tmp_path, monkeypatch):
    """A fit one of whose two chains fails, in a folder whose files are gone by then."""
    finished = netcdf.load(saved(tmp_path / "x.nc", np.random.default_rng(1).random((1, 50, 3))))

    def fit(self, **_):
        raise errors.SamplingError(
            "chain 1 (of 0 to 1) fails\nthe others are in this error's .idata",
            finished,
            "chain 1 (of 0 to 1) fails",
        )

    monkeypatch.setattr(Model, "fit", fit)


def test_chains_that_cannot_be_written_are_not_said_to_be_kept(fails, run, tmp_path):
    (tmp_path / "fit-unfinished.nc").mkdir()
    code, _, err = run(*FIT, "-o", "fit.nc")
    place = tmp_path / "fit-unfinished.nc"
    why = f"the chains that finished are not kept; cannot write {place}: it is a folder; add a "
    assert (code, why in err) == (1, True), err


def test_a_folder_that_holds_no_fit_is_not_said_to_keep_one(fails, run):
    code, _, err = run(*FIT, "--output-dir", "gone")
    assert code == 1
    assert "the chains that finished are not kept; next: the same with" in err
    assert "resume" not in err


def test_an_end_while_the_finished_chains_are_saved_is_said_as_any_other(
    fails, run, tmp_path, monkeypatch
):
    def ends(*_):
        raise KeyboardInterrupt

    begun = checkpoints.stems
    monkeypatch.setattr(netcdf, "save", ends)
    monkeypatch.setattr(checkpoints, "progress", lambda *_: (1, 2))
    monkeypatch.setattr(checkpoints, "stems", lambda place: begun(place) + stems.pop(0))
    stems = [[], [f"it-{os.getpid()}-1"], [f"it-{os.getpid()}-1"]]
    code, _, err = run(*FIT, "--output-dir", "run", "-o", "a.nc")
    step = "hiermodels resume run -o a.nc"
    assert (code, err) == (130, f"interrupted; 1 of 2 chains are kept; next: {step}")


def test_no_name_is_suggested_that_is_taken(run, tmp_path):
    exact = [*FIT[:9], "--engine", "exact"]
    assert "The fit is not saved; -o fit.nc saves it.\n" in run(*exact)[1]
    assert run(*exact, "--quiet")[2].endswith("; add -o fit.nc")
    (tmp_path / "fit.nc").touch()
    assert "The fit is not saved; -o fit-2.nc saves it.\n" in run(*exact)[1]
    assert run(*exact, "--quiet")[2].endswith("; add -o fit-2.nc")
    compare = ["compare", *exact[1:]]
    assert "-o report.html writes one" in run(*compare)[1]
    (tmp_path / "report.html").touch()
    assert "-o report-2.html writes one" in run(*compare)[1]
