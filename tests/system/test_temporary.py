"""Temporary folders: gone with the work that made them."""

from __future__ import annotations

from pathlib import Path

import pytest

from hiermodels.system import temporary, writing


@pytest.mark.parametrize("fails", [False, True])
def test_a_folder_is_its_makers_alone_and_goes_with_all_that_is_in_it(
    tmp_path: Path, fails: bool
) -> None:
    def work() -> None:
        with temporary.folder(tmp_path) as folder:
            assert folder.parent == tmp_path
            assert folder.stat().st_mode & 0o777 == 0o700
            (folder / "a").mkdir()
            (folder / "a" / "file").touch()
            if fails:
                raise KeyboardInterrupt

    if fails:
        with pytest.raises(KeyboardInterrupt):
            work()
    else:
        work()
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("before")

    def broken_off() -> None:
        with writing.whole(path) as part:
            part.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
    with writing.whole(path) as part:
        part.write_text("after")
        assert path.read_text() == "before"
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]
