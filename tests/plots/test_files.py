"""A picture is written as its name says, or the name is refused."""

from pathlib import Path

import pytest

from hiermodels import plots
from hiermodels.errors import OptionError
from tests.plots import fits


@pytest.mark.parametrize(
    ("suffix", "start"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")]
)
def test_a_picture_is_written_in_the_format_of_its_suffix(
    tmp_path: Path, suffix: str, start: bytes
) -> None:
    path = plots.save(plots.shrinkage(fits.eight_schools()), tmp_path / f"shrinkage{suffix}")
    assert path.read_bytes().startswith(start)


def test_an_array_of_axes_is_saved_as_one_picture(tmp_path: Path) -> None:
    path = plots.save(plots.trace(fits.eight_schools()), tmp_path / "trace.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_picture_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    ax = plots.shrinkage(fits.eight_schools())
    with pytest.raises(OptionError, match=r"must end in '\.png', .*got 'picture\.doc'"):
        plots.save(ax, tmp_path / "picture.doc")
    with pytest.raises(OptionError, match=r"cannot write .*No such file"):
        plots.save(ax, tmp_path / "missing" / "picture.png")
    with pytest.raises(OptionError, match=r"save needs the axes that a picture returned, got str"):
        plots.save("shrinkage", tmp_path / "picture.png")
    assert list(tmp_path.iterdir()) == []
