"""The recorded calibration covers all programs and engines, and its page says what was found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import calibration, calibration_cases
from benchmarks.calibration_cases import CASES, FUNNEL, Case
from hiermodels import calibration_file, programs, simulation
from hiermodels.calibration import load
from hiermodels.calibration_tasks import Record

from .toy import toy

NAMES = ["mu", "tau"]


def test_every_program_and_every_engine_is_calibrated() -> None:
    nuts = {case.build().program_name() for case in CASES.values() if case.engine == "nuts"}
    assert nuts == set(programs.names())
    models = {(case.engine, type(case.build()).__name__) for case in CASES.values()}
    assert {("exact", n) for n in ("EightSchools", "OneWay", "VaryingSlopes")} <= models
    assert ("gibbs", "OneWay") in models


def test_designs_are_small_and_large_unequal_and_with_groups_of_one() -> None:
    designs = [case.build().design for case in CASES.values()]
    assert {3, 5, 8, 20, 65} <= {d.J for d in designs}
    assert any(d.sizes.min() == 1 < d.sizes.max() for d in designs)
    assert {1, 2, 3} <= {d.K for d in designs}
    assert {"known", "common", "group"} == {d.residual for d in designs}


@pytest.mark.parametrize("name", CASES)
def test_every_case_has_proper_priors_of_its_own(name: str) -> None:
    model = CASES[name].build()
    simulation.check_proper(model)
    assert "default" not in str(model.priors)
    assert (CASES[name].known == FUNNEL) == (model.parameterization == "centered")


def write(folder: Path, name: str, tau: float, failed: int = 0, engine: str = "nuts") -> None:
    """A file of 200 simulations whose tau has ranks of beta(tau, 1)."""
    about = {
        "model": "<OneWay(...)>",
        "engine": engine,
        "program": "one_way_centered" if engine == "nuts" else "",
        "draws": 99,
        "quantities": NAMES,
        "hiermodels_version": "1.2",
    }
    rng = np.random.default_rng(len(name))
    with calibration_file.appending(folder / f"{name}.jsonl", about, None) as append:
        for at in range(200):
            u = rng.random(2) ** (1, 1 / tau)
            ranks = np.floor(100 * u).astype(int).tolist()
            lost = "SamplingError: no" if at < failed else None
            append(Record(at, at, [] if lost else ranks, 120.0, 400, at % 2, 0.1, failure=lost))


def test_the_page_says_what_passed_what_failed_and_what_is_known(tmp_path: Path) -> None:
    cases = {
        "right": Case("right", "J = 8", toy, "exact"),
        "wrong": Case("wrong", "J = 8", toy),
        "funnel": Case("funnel", "J = 8", toy, known=FUNNEL),
        "lost": Case("lost", "J = 8", toy),
        "not run": Case("not run", "J = 8", toy),
    }
    write(tmp_path, "right", 1.0, engine="exact")
    write(tmp_path, "wrong", 1.6)
    write(tmp_path, "funnel", 1.6)
    write(tmp_path, "lost", 1.0, failed=20)
    calibration.write(tmp_path, tmp_path, cases)
    text = (tmp_path / "calibration.md").read_text()
    table = {line.split(" | ")[0][2:]: line for line in text.splitlines() if " | " in line}
    assert "not run" not in table
    assert "| `OneWay`, exact | J = 8 | 200 | 0 | 2 |" in table["right"]
    assert "| passed |" in table["right"]
    assert "`one_way_centered`, nuts" in table["wrong"]
    assert "| < 0.001 | **failed** |" in table["wrong"]
    assert "**failed**, as is known" in table["funnel"]
    assert "| 200 | 20 | 2 |" in table["lost"]
    assert "**failed** |" in table["lost"]
    assert table["wrong"].endswith("| 100 |")
    failing = text.partition("## Failed")[2]
    assert "- wrong: Failed: the ranks of 'tau' leave" in failing
    assert "Worst: `tau`, ECDF off by -0." in failing
    assert failing.count("Known: biased") == 1
    assert "- lost: Failed: 20 of 200 simulations have no fit" in failing
    assert "- right" not in failing
    assert "at a level of 5 %, divided by the\nnumber of its quantities and by the 4 cases" in text
    assert (tmp_path / "calibration.png").stat().st_size > 10_000


def test_a_case_is_judged_as_one_of_many(tmp_path: Path) -> None:
    write(tmp_path, "one", 1.09)
    found = load(tmp_path / "one.jsonl")
    assert 0.05 / 50 < calibration.least(found) < 0.05
    assert not calibration.passed(found, 1)
    assert calibration.passed(found, 50)


def test_a_run_is_resumed_and_ends_with_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = {"toy": Case("toy", "J = 5", toy, "exact")}
    calibration.run(cases, 2, tmp_path, 1, False)
    assert capsys.readouterr().out.startswith("toy: Passed: ")
    first = (tmp_path / "toy.jsonl").read_text()
    calibration.run(cases, 3, tmp_path, 1, False)
    assert (tmp_path / "toy.jsonl").read_text().startswith(first)
    assert len(load(tmp_path / "toy.jsonl").ranks) == 3


def test_cases_are_chosen_by_a_part_of_their_name() -> None:
    assert set(calibration.chosen([])) == set(calibration_cases.CASES)
    assert set(calibration.chosen(["gibbs"])) == {n for n in CASES if "gibbs" in n}


def test_without_results_there_is_no_page(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="there is no calibration in"):
        calibration.write(tmp_path, tmp_path)
