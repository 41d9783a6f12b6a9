"""The demonstration works from beginning to end, and leaves what it says."""

from __future__ import annotations

import dataclasses

import pytest

from hiermodels.cli import demo
from hiermodels.cli import main as cli
from hiermodels.container import inference_data, netcdf
from hiermodels.errors import OptionError


def test_a_folder_that_cannot_be_is_refused_before_the_fit(tmp_path, monkeypatch):
    monkeypatch.setenv("CMDSTAN", str(tmp_path))
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OptionError, match="must be a folder that can be made"):
            demo.run(place)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    return demo.run(tmp_path_factory.mktemp("demo") / "new" / "folder", progress=False)


@pytest.mark.cmdstan
def test_its_fit_is_one_to_rely_on(done):
    assert done.diagnostics.ok
    assert done.diagnostics.findings == ()
    # Wide enough for the draws of any CmdStan; the exact answers are tested with the models.
    assert 6 < done.summary.loc["mu", "mean"] < 10
    assert done.summary.loc["theta[A]", "mean"] > done.summary.loc["theta[C]", "mean"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        done.file = None


@pytest.mark.cmdstan
def test_it_leaves_a_picture_and_a_file(done):
    assert done.picture.read_bytes().startswith(b"\x89PNG")
    assert done.picture.stat().st_size > 10_000
    loaded = netcdf.load(done.file)
    assert {"posterior", "sample_stats", "log_likelihood"} <= set(inference_data.groups(loaded))
    assert done.picture.parent == done.file.parent


@pytest.mark.cmdstan
def test_the_command_prints_table_verdict_and_places(tmp_path, capsys):
    assert cli.main(["demo", "--output", str(tmp_path / "a b")]) == 0
    out = capsys.readouterr().out
    for part in ("theta[H]", "No sign of trouble", "eight_schools.png", "eight_schools.nc"):
        assert part in out
    assert (tmp_path / "a b" / "eight_schools.nc").exists()


@pytest.mark.cmdstan
def test_it_leaves_matplotlib_as_it_is(done, tmp_path):
    import matplotlib.pyplot as plt

    before = plt.get_fignums(), dict(plt.rcParams)
    demo._picture(done.idata, tmp_path / "again.png")
    assert (plt.get_fignums(), dict(plt.rcParams)) == before
