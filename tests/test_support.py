"""The page on support says what CI tries, and pyproject.toml allows nothing older."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from hiermodels.stan import cmdstan
from hiermodels.stan import install as cmdstan_install

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "support.md").read_text(encoding="utf-8")
TABLE = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.partition("## CmdStan")[0].splitlines()
    if line.startswith("|") and not line.startswith("|---")
]
STANS = [
    line.strip("|").split(" | ")
    for line in PAGE.partition("## CmdStan")[2].splitlines()
    if re.match(r"\| [\d.]+", line)
]
CELLS = {row[0].strip("` "): dict(zip(TABLE[0], row, strict=True)) for row in TABLE[1:]}


def made() -> dict[str, list[str]]:
    """The cells of .ci/matrix: name, Python, ArviZ, resolution, tests."""
    text = (ROOT / ".ci" / "matrix").read_text(encoding="utf-8")
    lines = text.partition("<<'END'\n")[2].partition("\nEND\n")[0].splitlines()
    return {words[0]: words for words in map(str.split, lines)}


def number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def test_its_cells_are_those_that_are_made() -> None:
    assert set(CELLS) - {"make test"} == set(made())
    for name, (_, python, arviz, resolution, tests) in made().items():
        row = CELLS[name]
        assert row["Python"] == python, name
        assert row["tests"] == tests, name
        assert name.startswith("oldest") == (resolution == "lowest-direct"), name
        for bound in re.findall(r"(==|>=|<)([\d.]+)", arviz):
            ours, given = number(row["ArviZ"]), number(bound[1].rstrip("."))
            ok = {"==": ours[: len(given)] == given, ">=": ours >= given, "<": ours < given}
            assert ok[bound[0]], f"{name}: {row['ArviZ']} is not {arviz}"


def test_every_release_of_stan_that_the_package_installs_is_tried() -> None:
    """The last of .ci/stan-releases has the headers that programs are compiled with there."""
    text = (ROOT / ".ci" / "stan-releases").read_text(encoding="utf-8")
    lines = text.partition('STANCS = """\n')[2].partition('"""')[0].splitlines()
    tried = [line.split()[0] for line in lines]
    assert tried == sorted(tried, key=number)
    assert set(cmdstan_install.RELEASES) <= set(tried)
    assert tried[-1] == cmdstan.PINNED_VERSION
    assert cmdstan.PINNED_VERSION in cmdstan_install.RELEASES  # its hash is known
    # The page has the same, and the wheels.
    assert [row[0].split(",")[0].strip() for row in STANS] == [cmdstan.PYPI_VERSION, *tried]
    for line, row in zip(lines, STANS[1:], strict=True):
        package, version = line.split()[1].split("==")
        assert f"`{package}` {version}" in row[1]
    assert f"`{cmdstan_install.WHEEL_PACKAGE}` {cmdstan_install.WHEEL_VERSION}" in STANS[0][1]


def test_every_python_that_is_allowed_has_a_cell() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    oldest = re.search(r'requires-python = ">=([\d.]+)"', text)
    assert oldest is not None
    pythons = sorted({number(row["Python"]) for row in CELLS.values()})
    assert pythons[0] == number(oldest[1])
    assert pythons == [(3, minor) for minor in range(pythons[0][1], pythons[-1][1] + 1)]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib came with Python 3.11")
def test_the_oldest_cell_has_the_lower_bounds_of_pyproject() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    bounds = {}
    for requirement in project["dependencies"]:
        if "python_version" not in requirement:
            name, version = re.match(r"([\w-]+)[^>]*>=([\d.]+)", requirement).groups()  # type: ignore[union-attr]
            bounds[name.lower()] = number(version)
    for name in ("ArviZ", "NumPy", "pandas", "xarray", "SciPy", "Matplotlib", "CmdStanPy"):
        tried = number(CELLS["oldest-0.20"][name])
        # 1.11 is tried as 1.11.1 where that is the first with a wheel.
        assert tried[: len(bounds[name.lower()])] == bounds[name.lower()], name
