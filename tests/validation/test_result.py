"""The result of a calibration: its tables, its verdict, its words, its picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from hiermodels.diagnostics import uniformity
from hiermodels.errors import OptionError
from hiermodels.validation.result import Calibration
from hiermodels.validation.tasks import Record

DRAWS = 99
NAMES = ("mu", "tau", "theta[A]")


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def calibration(n: int = 200, failed: int = 0, tau: tuple[float, float] = (1, 1)) -> Calibration:
    """Uniform ranks, but for those of tau: the beta distribution's of these shapes."""
    rng = np.random.default_rng(8)
    shares = rng.random((n, 3))
    shares[:, 1] = rng.beta(*tau, n)
    ranks = np.floor((DRAWS + 1) * shares).astype(int)
    records = [
        Record(at, at, ranks[at].tolist(), 150.0 - at, 400, int(at % 50 == 0)) for at in range(n)
    ]
    for at in range(failed):
        records[at] = Record(at, at, failure=f"SamplingError: chain {at} of 4 failed")
    about = {"quantities": NAMES, "draws": DRAWS, "model": "<Toy>", "engine": "nuts"}
    return Calibration.of_records(about, records)


def test_uniform_ranks_pass_and_others_fail_by_name() -> None:
    right, wrong = calibration(), calibration(tau=(1.5, 1))
    assert right.passed
    assert right.failing == ()
    assert right.verdict == (
        "Passed: all ranks stay inside the simultaneous 95% band of their ECDF, for all 3 "
        "quantities at once; 4 iterations diverged, in 4 of 200 fits"
    )
    assert not wrong.passed
    assert wrong.failing == ("tau",)
    assert wrong.verdict.startswith("Failed: the ranks of 'tau' leave the simultaneous 95% band")
    row = wrong.table.loc["tau"]
    assert row["verdict"] == "outside"
    # Ranks that are too high: fewer than there should be lie below.
    assert row["difference"] < -row["band"]
    assert row["p"] < 1e-3
    assert row["p_chi_square"] < 0.05


def test_the_table_counts_what_the_ranks_say() -> None:
    found = calibration()
    ranks = found.ranks["theta[A]"].to_numpy(dtype=int)
    row = found.table.loc["theta[A]"]
    assert (row["simulations"], row["draws"]) == (200, DRAWS)
    assert row["coverage_50"] == np.mean((ranks >= 25) & (ranks <= 74))
    assert row["coverage_90"] == np.mean((ranks >= 5) & (ranks <= 94))
    assert row["error_50"] == pytest.approx(np.sqrt(0.5 * 0.5 / 200))
    assert row["error_90"] == pytest.approx(np.sqrt(0.9 * 0.1 / 200))
    fit = uniformity.judge(ranks, DRAWS)
    assert (row["p"], row["difference"]) == (fit.p, fit.difference)


def test_the_level_is_shared_by_all_quantities() -> None:
    # p between 0.05 / 3 and 0.05 leaves the band of one quantity, and that is all.
    rng = np.random.default_rng(1)
    while not 0.02 < (fit := uniformity.judge(ranks := rng.integers(0, 100, 200), DRAWS)).p < 0.04:
        pass
    records = [Record(at, 0, [int(r)] * 3) for at, r in enumerate(ranks)]
    about = {"quantities": NAMES, "draws": DRAWS, "model": "<Toy>", "engine": "nuts"}
    assert Calibration.of_records(about, records).passed
    alone = [Record(at, 0, [int(r)]) for at, r in enumerate(ranks)]
    assert not Calibration.of_records(about | {"quantities": ["mu"]}, alone).passed
    assert fit.p < 0.05


def test_failed_fits_are_counted_and_too_many_of_them_fail() -> None:
    few, many = calibration(failed=6), calibration(failed=7)
    assert few.passed
    assert not many.passed
    assert len(few.failures) == 6
    assert few.failures[1] == "SamplingError: chain 1 of 4 failed"
    assert few.ranks["mu"].isna().sum() == 6
    assert few.table.loc["mu", "simulations"] == 194
    assert many.verdict == (
        "Failed: 7 of 200 simulations have no fit, more than 3%: "
        "SamplingError: chain 0 of 4 failed (7)"
    )
    none = calibration(n=3, failed=3)
    assert not none.passed
    assert none.table.loc["tau", "verdict"] == "not fitted"
    assert "3 without a fit" in str(none)


def test_it_prints_what_was_run_the_table_and_the_verdict() -> None:
    said = str(calibration(tau=(1.5, 1)))
    lines = said.splitlines()
    assert lines[0] == "Calibration of <Toy> by nuts"
    assert lines[1] == (
        "200 simulations, 0 without a fit, ranks among 99 draws, 4 divergent iterations in 4 fits, "
        "148 fits with fewer effective draws"
    )
    assert [line.split()[0] for line in lines[4:7]] == list(NAMES)
    assert lines[5].endswith("outside")
    assert "<0.001" in lines[5]
    assert (
        lines[-2] == "200 simulations find a posterior that is off by 0.31 of its sd 9 times in 10"
    )
    assert lines[-1].startswith("Failed")
    assert repr(calibration()) == str(calibration())


def test_too_few_simulations_pass_nothing() -> None:
    few = calibration(n=19)
    assert not few.passed
    assert few.verdict.startswith("Too few simulations to tell (19; at least 20 are needed)")
    assert calibration(n=20).passed
    # Of 24 simulations with 5 failures 19 are left, and too many failed.
    assert calibration(n=24, failed=5).verdict.startswith("Failed: 5 of 24 simulations have no fit")
    wrong = calibration(n=19, tau=(9, 1))
    assert not wrong.passed
    assert wrong.verdict.startswith("Too few simulations to tell (19;")
    assert "though the ranks of 'tau' leave the 95% band" in wrong.verdict
    one = calibration(n=1)
    assert not one.passed
    assert "1 simulations find no shift of a posterior, however large" in str(one)


def test_the_verdict_names_divergences() -> None:
    assert "4 iterations diverged, in 4 of 200 fits" in calibration().verdict
    about = {"quantities": ["mu"], "draws": DRAWS, "model": "<Toy>", "engine": "exact"}
    ranks = np.random.default_rng(3).integers(0, 100, 50)
    none = Calibration.of_records(about, [Record(at, 0, [int(r)]) for at, r in enumerate(ranks)])
    assert none.passed
    assert "diverged" not in none.verdict


def test_of_no_simulations_nothing_is_said() -> None:
    about = {"quantities": NAMES, "draws": DRAWS, "model": "<Toy>", "engine": "nuts"}
    none = Calibration.of_records(about, [])
    assert not none.passed
    assert none.verdict == "No simulation has run yet"
    assert str(none).endswith("No simulation has run yet")
    assert "0 simulations, 0 without a fit" in str(none)
    assert none.failures == {}
    assert none.divergences == 0
    assert none.detectable == np.inf


def curve(ax: Any, label: str) -> Any:
    (line,) = [line for line in ax.lines if line.get_label() == label]
    return line


def test_the_picture_shows_each_ecdf_less_the_uniform_and_the_bands() -> None:
    found = calibration(tau=(1.5, 1))
    ax = found.plot()
    assert ax.get_title(loc="left") == "Calibration by nuts: 200 simulations"
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["95% of one quantity", "95% of all 3", "inside", "tau"]
    z, off = curve(ax, "tau").get_data()
    ranks = found.ranks["tau"].to_numpy(dtype=int)
    expected = [np.mean(ranks < i) - i / 100 for i in range(101)]
    np.testing.assert_allclose(off, expected, atol=1e-12)
    np.testing.assert_allclose(z, np.arange(101) / 100)
    band = uniformity.band(200, DRAWS, 1 - 0.05 / 3)
    np.testing.assert_allclose(curve(ax, "95% of all 3").get_ydata(), band.lower)
    (shade,) = ax.collections
    one = uniformity.band(200, DRAWS, 0.95)
    corners = shade.get_paths()[0].vertices
    assert corners[:, 1].max() == pytest.approx(one.upper.max())
    # Two bounds and three quantities, of which the failing one stands out.
    assert len(ax.lines) == 5
    assert curve(ax, "tau").get_linewidth() > curve(ax, "inside").get_linewidth()
    assert curve(ax, "tau").get_color() != curve(ax, "inside").get_color()


def test_the_picture_goes_where_it_is_told_and_shows_what_is_asked_for() -> None:
    _, (left, right) = plt.subplots(1, 2)
    assert calibration().plot(right, quantities=["mu"]) is right
    assert not left.lines
    assert len(right.lines) == 3
    with pytest.raises(OptionError, match=r"there is no 'taus'; .* did you mean 'tau'"):
        calibration().plot(right, quantities=["taus"])
    with pytest.raises(OptionError, match="needs a simulation that was fitted, got none"):
        calibration(n=2, failed=2).plot()


def test_of_many_failing_quantities_the_first_are_named() -> None:
    ranks = np.zeros(100, dtype=int)
    names = [f"theta[{j}]" for j in range(9)]
    about = {"quantities": names, "draws": DRAWS, "model": "<Toy>", "engine": "nuts"}
    records = [Record(at, 0, [int(r)] * 9) for at, r in enumerate(ranks)]
    ax = Calibration.of_records(about, records).plot()
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend[2:] == [*names[:6], "and 3 more"]
