"""The file of a calibration: resumed after any interruption, never another's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hiermodels.errors import OptionError
from hiermodels.validation import record as calibration_file
from hiermodels.validation.tasks import Record

HEADER: dict[str, Any] = {"model": "toy", "draws": 99, "options": {"chains": 2}}


def record(at: int, **more: Any) -> Record:
    return Record(at, 10 + at, [1, 2], 120.5, 400, 0, 0.25, **more)


def written(path: Path, *records: Record) -> Path:
    with calibration_file.appending(path, HEADER, None) as append:
        for one in records:
            append(one)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.jsonl"


def test_what_was_written_is_read(path: Path) -> None:
    failed = Record(7, 3, failure="ValueError: no")
    written(path, record(3), record(0), failed)
    header, records, whole = calibration_file.read(path)
    assert header == {"format": calibration_file.FORMAT, **HEADER}
    assert records == {3: record(3), 0: record(0), 7: failed}
    assert whole == path.stat().st_size
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_half_written_last_line_is_dropped_and_written_anew(path: Path, cut: int) -> None:
    written(path, record(0), record(1))
    content = path.read_bytes()
    path.write_bytes(content[:-cut])
    _, records, whole = calibration_file.read(path)
    assert records == {0: record(0)}
    with calibration_file.appending(path, HEADER, whole) as append:
        append(record(1))
    assert path.read_bytes() == content


def test_a_simulation_that_was_lost_is_to_be_run_again(path: Path) -> None:
    written(path, record(0), Record(1, 11, failure="lost", lost=True))
    assert set(calibration_file.read(path)[1]) == {0}
    with calibration_file.appending(path, HEADER, path.stat().st_size) as append:
        append(record(1))
    assert set(calibration_file.read(path)[1]) == {0, 1}


def test_a_damaged_line_is_named(path: Path) -> None:
    written(path, record(0), record(1))
    lines = path.read_text().splitlines()
    for damage in ("{", '{"simulation": 1}', '{"simulation": 1, "seed": 2, "colour": "red"}', "3"):
        path.write_text("\n".join([lines[0], damage, lines[2], ""]))
        with pytest.raises(OptionError, match=r"line 2 of .*runs.jsonl' is damaged; delete that"):
            calibration_file.read(path)


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", '{"format": "other"}\n', "[1]\n"])
def test_a_file_of_something_else_is_left_alone(path: Path, content: str) -> None:
    path.write_text(content)
    with pytest.raises(OptionError, match=r"must be a file that hm.calibrate began, got another"):
        calibration_file.read(path)
    assert path.read_text() == content


def test_another_calibration_is_refused_by_what_differs(path: Path) -> None:
    header, _, _ = calibration_file.read(written(path))
    calibration_file.refuse_another(path, header, HEADER)
    # What JSON has no form for is compared by what stands in its place.
    calibration_file.refuse_another(path, {"inits": repr(max)}, {"inits": max})
    # A file of an earlier version says more.
    calibration_file.refuse_another(path, header | {"functions": {"f": "1a2b"}}, HEADER)
    wanted = HEADER | {"draws": 49, "options": {}}
    said = r"another calibration \(draws: 99 there, 49 here; options: .* there, \{\} here\)"
    with pytest.raises(OptionError, match=said):
        calibration_file.refuse_another(path, header, wanted)


def test_a_file_of_another_format_says_so(path: Path) -> None:
    path.write_text('{"format":"hiermodels calibration 1","draws":99}\n')
    with pytest.raises(OptionError, match=r"must be of format 2, got format 1 of another version"):
        calibration_file.read(path)


def test_a_file_is_one_calibrations_at_a_time(path: Path) -> None:
    with calibration_file.alone(path):
        with (
            pytest.raises(OptionError, match="one calibration's at a time, got another that runs"),
            calibration_file.alone(path),
        ):
            pass
        # The lock of the first holds still.
        with pytest.raises(OptionError, match="one calibration's"), calibration_file.alone(path):
            pass
    with calibration_file.alone(path):
        pass
    assert not list(path.parent.iterdir())
    nowhere = path.parent / "nowhere" / "x"
    with (
        pytest.raises(OptionError, match=r"cannot write '.*nowhere/x' \(No such file"),
        calibration_file.alone(nowhere),
    ):
        pass
    assert not nowhere.parent.exists()


def test_a_place_that_cannot_be_written_or_read_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(OptionError, match=r"cannot write '.*nowhere/x' \(No such file"),
        calibration_file.appending(tmp_path / "nowhere" / "x", HEADER, None),
    ):
        pass
    with pytest.raises(OptionError, match=r"cannot read '.*' \(Is a directory\)"):
        calibration_file.read(tmp_path)
