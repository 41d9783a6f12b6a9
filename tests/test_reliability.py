"""The tables of docs/reliability.md: every row names tests, and they are there.

The table of bad input is written from its cases (test_bad_input.py); the others by hand.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "reliability.md").read_text(encoding="utf-8")
BY_HAND = ("Faults", "Security", "Support")
NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`( \(slow\))?")


def section(name: str) -> str:
    _, _, rest = PAGE.partition(f"\n## {name}\n")
    return rest.partition("\n## ")[0]


def rows(name: str) -> list[list[str]]:
    """The cells of a section's tables, without their headings."""
    lines = [line for line in section(name).splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [row for row in cells if row[0] != "what was done" and not row[0].startswith("---")]


@cache
def held_by(file: Path) -> dict[str, bool]:
    """The tests of a file, and whether they are marked as slow."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return {f.name: any("slow" in ast.unparse(d) for d in f.decorator_list) for f in found}


@pytest.mark.parametrize("name", BY_HAND)
def test_every_row_names_tests_that_are_there(name: str) -> None:
    for row in rows(name):
        assert len(row) == 3, row
        named = NAMED.findall(row[2])
        assert named, f"no test is named in: {row[0]}"
        assert re.sub(r"[,\s]", "", NAMED.sub("", row[2])) == "", row[2]
        for file, test, slow in named:
            known = held_by(TESTS / file)
            assert test in known, f"{file} has no {test}"
            assert known[test] == bool(slow), f"is {test} slow?"


FAULTS = (
    "a chain killed",
    "the parent interrupted",
    "terminated (SIGTERM)",
    "a full disk while compiling",
    "a full disk while sampling",
    "a full disk while a NetCDF file",
    "a read-only cache",
    "a read-only working folder",
    "no home folder",
    "two and eight processes compiling and fitting at once",
    "a cache entry truncated, emptied",
    "replaced by a folder",
    "of another version",
    "a compiler that fails",
    "a compiler that hangs",
    "a compiler or make that is missing",
    "CmdStan removed between two fits",
    "a Dask worker lost during a fit",
    "a Dask worker lost during `calibrate`",
    "a clock set back",
    "output of a fit deleted while it runs",
    "10,000 fits in one process",
)


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_has_a_row(fault: str) -> None:
    assert [row for row in rows("Faults") if fault in row[0]]
