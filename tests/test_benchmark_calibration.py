"""The recorded calibration covers all programs and engines, and its page says what was found."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import calibration, calibration_cases
from benchmarks.calibration_cases import CASES, FUNNEL, Case
from hiermodels.stan import programs
from hiermodels.validation import record as calibration_file
from hiermodels.validation import simulation
from hiermodels.validation.calibration import load
from hiermodels.validation.tasks import Record
from tests.toy import toy

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


def write(
    folder: Path, name: str, tau: float, failed: int = 0, engine: str = "nuts", runs: int = 200
) -> None:
    """A file of simulations whose tau has ranks of beta(tau, 1)."""
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
        for at in range(runs):
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
    plain = text.replace("\n", " ")
    assert "at a level of 5 %, divided by the number of its quantities and by the 4 cases" in plain
    assert (tmp_path / "calibration.png").stat().st_size > 10_000


def test_a_case_is_judged_as_one_of_many(tmp_path: Path) -> None:
    write(tmp_path, "one", 1.09)
    found = load(tmp_path / "one.jsonl")
    assert 0.05 / 50 < calibration.least(found) < 0.05
    assert not calibration.passed(found, 1)
    assert calibration.passed(found, 50)


@pytest.mark.slow
def test_a_run_is_resumed_and_ends_with_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = {"toy": Case("toy", "J = 5", toy, "exact")}
    calibration.run(cases, 2, tmp_path, 1, False)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "[1/1] toy: 0 of 2 there"
    assert said[-1].startswith("[1/1] toy: Too few simulations to tell (2;")
    first = (tmp_path / "toy.jsonl").read_text()
    calibration.run(cases, 3, tmp_path, 1, False)
    assert (tmp_path / "toy.jsonl").read_text().startswith(first)
    assert len(load(tmp_path / "toy.jsonl").ranks) == 3


def test_a_case_that_cannot_run_does_not_keep_the_others_from_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.jsonl").write_text("something else\n")
    cases = {name: Case(name, "J = 5", toy, "exact") for name in ("bad", "good")}
    assert calibration.run(cases, 1, tmp_path, 1, False) == ["bad"]
    assert "[1/2] bad: not run: OptionError: path: " in capsys.readouterr().out
    assert len(load(tmp_path / "good.jsonl").ranks) == 1


def test_a_case_of_too_few_runs_neither_passes_nor_fails(tmp_path: Path) -> None:
    write(tmp_path, "few", 9.0, runs=12)
    write(tmp_path, "none", 1.0, runs=0)
    cases = {name: Case(name, "J = 5", toy) for name in ("few", "none")}
    found = calibration.recorded(cases, tmp_path)
    assert not any(calibration.passed(one, 2) for one in found.values())
    text = calibration.page(found, cases)
    assert text.count("| too few runs |") == 2
    assert "## Failed" not in text
    assert "can find nothing yet" in text


def test_the_page_says_what_is_calibrated_and_what_it_would_find(tmp_path: Path) -> None:
    write(tmp_path, "right", 1.0)
    text = calibration.page(
        {"right": load(tmp_path / "right.jsonl")}, {"right": Case("right", "J = 8", toy)}
    )
    assert "independent draws is" not in text
    assert "99 draws, thinned to about independent" in text
    assert "what is calibrated is that lengthened fit" in text
    assert "at least 95 times in 100" in text.replace("\n", " ")
    assert "a posterior that is off by 0.29 of its sd would be found 9 times in 10" in text


def test_lines_of_progress_tell_how_far_a_case_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "toy", 1.0, failed=4)
    with calibration.telling("toy", tmp_path / "toy.jsonl", 500, every=0.01):
        time.sleep(0.3)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "toy: 196 of 500 there"
    assert lines[1] == "toy: 196 of 500 (0 s)"


def test_cheap_and_telling_cases_run_first_and_centered_ones_last() -> None:
    turns = [
        "centered" if case.known else name[:5] if case.engine == "nuts" else case.engine
        for name, case in CASES.items()
    ]
    order = ["exact", "gibbs", "eight", "one-w", "varyi", "centered"]
    assert list(dict.fromkeys(turns)) == order
    assert turns == sorted(turns, key=order.index)


def test_cases_are_chosen_by_a_part_of_their_name() -> None:
    assert set(calibration.chosen([])) == set(calibration_cases.CASES)
    assert set(calibration.chosen(["gibbs"])) == {n for n in CASES if "gibbs" in n}


def test_without_results_there_is_no_page(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="there is no calibration in"):
        calibration.write(tmp_path, tmp_path)
