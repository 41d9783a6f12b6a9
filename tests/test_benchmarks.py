"""The benchmarks' own code: processes are watched, answers compared, the page made from records."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
import xarray as xr

import hiermodels as hm
from benchmarks import choose, environments, floor, measure, quality, records, report, run
from benchmarks.cases import CASES, keep
from benchmarks.contenders import CONTENDERS
from tests import reference
from tests.models import one_way_exact

# Under mu ~ N(0, 5) and tau ~ half-Cauchy(5), by one-dimensional quadrature to 1e-12
# (eight_schools_exact.json).
EIGHT_SCHOOLS = {
    "mu": {"mean": 4.396820713832998, "sd": 3.3177044631395667},
    "tau": {"mean": 3.597705484097731, "sd": 3.2199584146627553},
    "theta[1]": {"mean": 6.21188420405632, "sd": 5.5931261953307345},
    "theta[8]": {"mean": 4.8542533198815345, "sd": 5.290801064554775},
}


def test_exact_draws_of_the_eight_schools_are_exact() -> None:
    case = CASES["eight_schools"]
    data = case.arrays(8)
    drawn = floor.eight_schools(data["y"], data["se"], case.priors, number=40_000, seed=1)
    chains = {name: values.reshape(4, -1, *values.shape[1:]) for name, values in drawn.items()}
    theta = chains.pop("theta")
    chains |= {f"theta[{j + 1}]": theta[..., j] for j in range(8)}
    reference.assert_exact(chains, EIGHT_SCHOOLS, statistics=("mean", "sd"))


def test_exact_draws_of_one_way_effects_are_exact() -> None:
    case = CASES["mathscore"]
    data = case.arrays(100)
    drawn = floor.one_way(data["y"], data["jj"], case.priors, number=40_000, seed=2)
    priors = {"mu": hm.Normal(50, 10), "tau": hm.HalfNormal(10), "sigma": hm.HalfNormal(20)}
    frame = pd.DataFrame({"group": data["jj"], "y": data["y"]})
    chains = {name: values.reshape(4, -1, *values.shape[1:]) for name, values in drawn.items()}
    theta = chains.pop("theta")
    reference.assert_exact(chains, one_way_exact.posterior(frame, priors))
    means = one_way_exact.group_means(frame, priors)
    exact = {str(j): {"mean": mean} for j, mean in means.items()}
    draws = {str(j): theta[..., i] for i, j in enumerate(means)}
    # 100 comparisons: 5 is one in 17,000 for all of them together.
    reference.assert_exact(draws, exact, limit=5)


def test_group_sizes_are_unequal_and_add_up() -> None:
    from benchmarks.cases import sizes

    drawn = sizes(500, np.random.default_rng(3))
    assert drawn.sum() == 50_000
    assert drawn.min() >= 50
    assert drawn.max() <= 150
    assert len(np.unique(drawn)) > 50


def test_a_parquet_case_holds_the_groups_it_names(tmp_path: Path) -> None:
    path = CASES["one_way_1e8"].write(tmp_path, scale=0.0025)
    assert CASES["one_way_1e8"].size(path) == (250_000, 2_500)
    frame = pd.read_parquet(path)
    assert frame["group"].nunique() == 2_500
    assert frame["group"].is_monotonic_increasing


def test_the_floor_reads_a_file_as_it_reads_arrays(tmp_path: Path) -> None:
    case = CASES["one_way_1e8"]
    path = case.write(tmp_path, scale=0.0002)
    frame = pd.read_parquet(path).sample(frac=1, random_state=1)
    frame.to_parquet(tmp_path / "shuffled.parquet")
    y, jj = frame["y"].to_numpy(), frame["group"].to_numpy() - 1
    options = {"number": 200, "seed": 4}
    whole = floor.one_way(y, jj, case.priors, **options)
    statistics = floor.statistics_of(str(tmp_path / "shuffled.parquet"))
    part = floor.from_statistics(*statistics, case.priors, kept=[0, 7], **options)
    for name in ("mu", "tau", "sigma"):
        np.testing.assert_allclose(part[name], whole[name], rtol=1e-9)
    assert part["theta"].shape == (200, 2)
    wanted = np.array([y[jj == 0].mean(), y[jj == 7].mean()])
    assert np.all(np.abs(part["theta"].mean(0) - wanted) < 0.3)


def test_data_files_are_named_by_the_generators_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES["eight_schools"]
    before = case.write(tmp_path)
    monkeypatch.setattr("benchmarks.cases._VERSION", 999)
    assert case.write(tmp_path) != before


def draws(path: Path, *, shift: float = 0.0, stretch: float = 1.0, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    mu = shift + stretch * rng.standard_normal((4, 1000))
    np.savez(path, mu=mu, tau=rng.gamma(4, size=(4, 1000)), theta=rng.normal(size=(4, 1000, 3, 1)))
    return path


def moments(path: Path) -> xr.Dataset:
    return quality.measure(path)[1]


def test_the_same_posterior_is_not_a_disagreement(tmp_path: Path) -> None:
    one = moments(draws(tmp_path / "a.npz", seed=1))
    two = moments(draws(tmp_path / "b.npz", seed=2))
    assert quality.disagreements("peer", two, one) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"shift": 0.2}, "peer: mean of mu is off by z = "),
        ({"stretch": 1.3}, "peer: sd of mu is 1.3"),
        ({"stretch": 0.7}, "peer: sd of mu is 0.7"),
    ],
)
def test_another_posterior_is(tmp_path: Path, change: dict[str, float], said: str) -> None:
    one = moments(draws(tmp_path / "a.npz", seed=1))
    two = moments(draws(tmp_path / "b.npz", seed=2, **change))
    wrong = quality.disagreements("peer", two, one)
    assert len(wrong) == 1
    assert wrong[0].startswith(said)


def test_a_missing_hyperparameter_is_a_disagreement(tmp_path: Path) -> None:
    one = moments(draws(tmp_path / "a.npz"))
    two = one.sel(parameter=[n for n in one["parameter"].values if n != "tau"])
    assert quality.disagreements("peer", two, one) == ["peer: tau is missing"]


def test_an_estimate_far_from_the_posterior_is_told(tmp_path: Path) -> None:
    one = moments(draws(tmp_path / "a.npz"))
    assert quality.of_estimates("reml", {"mu": 0.3}, one) == []
    wrong = quality.of_estimates("reml", {"mu": 3.0}, one)
    assert re.fullmatch(r"reml: the estimate of mu is 3\.\d posterior sds away", wrong[0])


def test_effective_sample_sizes_are_those_of_independent_draws(tmp_path: Path) -> None:
    figures, _ = quality.measure(draws(tmp_path / "a.npz"))
    for name in ("ess_bulk", "ess_tail", "ess_bulk_effects", "ess_tail_effects"):
        assert 3000 < figures[name] < 5000
    assert figures["worst"] in ("mu", "tau")


def test_draws_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", mu=np.full((4, 10), np.nan))
    with pytest.raises(ValueError, match=r"a\.npz: draws that are not finite"):
        quality.measure(tmp_path / "a.npz")


def test_draws_that_do_not_move_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    np.savez(tmp_path / "a.npz", mu=rng.normal(size=(4, 100)), tau=np.ones((4, 100)))
    with pytest.raises(ValueError, match=r"a\.npz: [\w -]+ of tau is NaN"):
        quality.measure(tmp_path / "a.npz")


def test_a_posterior_far_from_what_was_simulated_is_told(tmp_path: Path) -> None:
    one = moments(draws(tmp_path / "a.npz"))
    assert quality.from_truth("ours", one, {"mu": 1.0, "tau": 4.0}) == []
    assert quality.from_truth("ours", one, {}) == []
    wrong = quality.from_truth("ours", one, {"mu": 9.0, "sigma": 1.0})
    assert re.fullmatch(r"ours: mu is \d\.\d posterior sds from the simulated 9", wrong[0])
    assert wrong[1:] == ["ours: sigma is missing"]


def test_what_was_simulated_has_the_names_of_the_priors() -> None:
    for case in CASES.values():
        if case.name.partition("_1e")[2]:
            assert {name.partition("[")[0] for name in case.truth} == set(case.priors)


CHILD = "import time; block = bytearray(80_000_000); time.sleep({})"
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', {!r}])"


def watch(tmp_path: Path, seconds: float, limit: float) -> measure.Watched:
    code = PARENT.format(CHILD.format(seconds))
    command = [sys.executable, "-c", code]
    log = tmp_path / "log.txt"
    return measure.watch(command, env=os.environ, cwd=tmp_path, log=log, limit=limit)


def test_the_memory_of_children_counts(tmp_path: Path) -> None:
    went = watch(tmp_path, 1.0, 60.0)
    assert went.ended == "finished"
    assert 1.0 < went.seconds < 30
    assert max(size for _, size in went.memory) > 80_000_000


def test_the_limit_ends_a_process_and_its_children(tmp_path: Path) -> None:
    began = time.monotonic()
    went = watch(tmp_path, 61.25, 1.0)
    assert went.ended == "limit"
    assert time.monotonic() - began < 30
    left = []
    for child in psutil.process_iter(["cmdline"]):
        if "61.25" in " ".join(child.info["cmdline"] or []):
            left.append(child)
    assert left == []


def test_how_far_a_process_came_is_read_from_what_it_left(tmp_path: Path) -> None:
    assert records.reached(tmp_path) == "iterations unknown"
    (tmp_path / "log.txt").write_text("warmup:  12%|#  | 240/2000\r sample:  37%|### | 740/2000")
    assert records.reached(tmp_path) == "37 % of the iterations"
    console = tmp_path / "tmp" / "hiermodels-x"
    console.mkdir(parents=True)
    (console / "a_0.txt").write_text("Iteration:    1 / 2000\nIteration:   40 / 2000 [  2%]\n")
    (console / "a_1.txt").write_text("Iteration:   80 / 2000 [  4%]\n")
    assert records.reached(tmp_path) == "120 of 8000 iterations of all chains"
    (tmp_path / "progress.json").write_text('{"done": 5, "total": 8000}')
    assert records.reached(tmp_path) == "5 of 8000 iterations of all chains"


def test_the_last_words_of_a_process_name_no_folders(tmp_path: Path) -> None:
    (tmp_path / "log").write_text('  File "/home/somebody/lib/thing.py", line 3\nValueError: no\n')
    assert records.last_words(tmp_path / "log") == 'File "thing.py", line 3\nValueError: no'


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("HIERMODELS_BENCH", str(tmp_path / "bench"))
    monkeypatch.setattr(run, "DRAWS", 250)
    # The executables that are there already: a benchmark of ours would compile its own.
    monkeypatch.setattr(run, "_environment", lambda *_: dict(os.environ))

    def make(*names: str, limit: float = 120.0) -> run.Bench:
        return run.Bench(
            CASES["eight_schools"],
            [CONTENDERS[name] for name in names],
            scale=1.0,
            limit=limit,
            results=tmp_path / "results",
        )

    return make


def test_a_run_is_recorded_and_becomes_a_page(bench: Any, tmp_path: Path) -> None:
    made = bench("exact")
    made.rounds(2)
    recorded = report.load(tmp_path / "results")
    entry = recorded[0]["contenders"]["exact"]
    assert [r["cold"] for r in entry["runs"]] == [True, False, False]
    assert list(entry["runs"][1]["fits"]) == ["first", "later"]
    assert 700 < entry["runs"][1]["fits"]["first"]["ess_bulk"] < 1300
    text = report.page(recorded, {})
    assert re.search(
        r"\| eight schools: 8 rows, 8 groups \| exact draws \(floor\) \| [\d.]+ ", text
    )
    from benchmarks import picture

    picture.draw(recorded, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.stan
def test_our_own_programs_agree_with_the_exact_draws(
    bench: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = bench("hiermodels", "noncentered", "exact")
    made.rounds(1, cold=False)
    assert made.wrong == []
    assert not made.failed, capsys.readouterr().out
    record = records.load(tmp_path / "results" / "eight_schools.json")
    assert record["reference"] == "exact draws (floor)"
    rows = {row.name: row for row in records.rows(record)}
    for name in ("hiermodels", "noncentered"):
        row = rows[name]
        assert row.first is not None
        assert row.later is not None
        assert row.rate is not None
        assert row.bulk is not None
        assert row.peak is not None
        assert row.rate.median == pytest.approx(row.bulk.median / row.first.median, rel=1e-4)
        assert row.peak.median > 20
    assert "hiermodels, noncentered" in records.table(record)


def test_earlier_runs_are_kept_beside_new_ones_of_the_same_data_only(
    bench: Any, tmp_path: Path
) -> None:
    path = tmp_path / "results" / "eight_schools.json"
    bench("exact").save()
    record = records.load(path)
    assert record["machine"] == measure.machine()
    record["contenders"]["pymc"] = {"label": "PyMC", "absent": "of old"}
    records.save(path, record)
    bench("exact").save()
    assert list(records.load(path)["contenders"]) == ["exact", "pymc"]
    for other in ({"rows": 9}, {"machine": {**record["machine"], "cores": 99}}):
        records.save(path, {**record, **other})
        bench("exact").save()
        assert list(records.load(path)["contenders"]) == ["exact"]


def finished(*, rhat: float = 1.0, wrong: list[str] | None = None) -> dict[str, Any]:
    first = {"seconds": 2.0, "sampling": 1.0, "ess_bulk": 400.0, "rhat": rhat}
    return {
        "ended": "finished",
        "cold": False,
        "process_seconds": 5.0,
        "import_seconds": 1.0,
        "peak_mib": 100.0,
        "fits": {"first": first, "later": first},
        "wrong": wrong or [],
    }


def peer(*runs: dict[str, Any], tried: bool = True) -> dict[str, Any]:
    return {
        "label": "PyMC",
        "variant": {"parameterization": "centered"},
        "versions": {"pymc": "6"},
        "tried": tried,
        "runs": list(runs),
    }


def test_a_run_of_one_contender_leaves_the_others_runs_and_disagreements(
    bench: Any, tmp_path: Path
) -> None:
    path = tmp_path / "results" / "eight_schools.json"
    bench("exact").save()
    record = records.load(path)
    record["contenders"]["pymc"] = peer(finished(wrong=["PyMC: mean of mu is off by z = 9.0"]))
    record["contenders"]["exact"]["runs"] = [finished()]
    records.save(path, record)
    # Before its first new run is there, even its own earlier ones stand.
    bench("exact").save()
    again = records.load(path)["contenders"]
    assert len(again["exact"]["runs"]) == len(again["pymc"]["runs"]) == 1
    made = bench("exact")
    made.rounds(2, cold=False)
    after = records.load(path)
    assert after["contenders"]["pymc"] == record["contenders"]["pymc"]
    assert [r["round"] for r in after["contenders"]["exact"]["runs"]] == [1, 2]
    assert made.wrong == after["disagreements"] == ["PyMC: mean of mu is off by z = 9.0"]
    # The runs count, not the list beside them.
    records.save(path, {**after, "disagreements": []})
    with pytest.raises(SystemExit, match="mean of mu is off"):
        report.load(tmp_path / "results")


def note(entry: dict[str, Any]) -> str:
    return records.rows({"contenders": {"pymc": entry}})[0].note


def test_remarks_say_what_the_figures_do_not() -> None:
    limit = {**finished(), "ended": "limit", "fits": {}}
    failed = {**limit, "ended": "failed"}
    assert note(peer(finished())) == "centered"
    assert note(peer(finished(), tried=False)) == "centered, not tuned"
    assert note(peer(finished(), limit)) == (
        "centered; 1 of 2 processes finished; then limit reached"
    )
    assert note(peer(finished(), finished(), failed)).endswith(
        "2 of 3 processes finished; then failed"
    )
    assert note(peer(finished(rhat=1.051))) == "centered; not converged (R-hat 1.05)"
    assert note(peer({**finished(), "statistics_seconds": 2.0})).endswith(
        "the later fit is from the group statistics, not from the file"
    )
    assert note(peer()) == "not run yet"


def test_untuned_settings_are_those_that_suit_the_case() -> None:
    def form(name: str, case: str) -> str:
        return CONTENDERS[name].untuned(CASES[case])["parameterization"]

    for name in ("pymc", "pymc_nutpie", "numpyro", "bambi"):
        assert form(name, "eight_schools") == "noncentered"
        assert form(name, "mathscore") == form(name, "one_way_1e6") == "centered"
    assert form("pymc", "exam") == "noncentered"
    assert form("pymc_nutpie", "exam") == form("numpyro", "exam") == "centered"
    assert form("pymc", "slopes_1e6") == "centered"
    assert CONTENDERS["numpyro"].untuned(CASES["exam"])["chain_method"] == "parallel"
    assert form("pymc_nutpie_tuned", "exam") == "conditional"
    assert form("centered", "eight_schools") == "centered"


def test_what_was_tried_goes_before_the_untuned_settings(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "versions", lambda *_: {})
    path = tmp_path / "results" / "choices.json"
    for chosen, expected in ((None, "noncentered"), ({"parameterization": "centered"}, "centered")):
        records.save(path, {"eight_schools": {"pymc": {"chosen": chosen}}})
        entry = bench("pymc").record["contenders"]["pymc"]
        assert entry["variant"] == {"parameterization": expected}
        assert entry["tried"] is (chosen is not None)


def test_what_reaches_the_limit_is_not_repeated(bench: Any, tmp_path: Path) -> None:
    # One whose imports alone take longer than the first look at it.
    made = bench("hiermodels", limit=0.01)
    made.rounds(2)
    record = records.load(tmp_path / "results" / "eight_schools.json")
    assert len(record["contenders"]["hiermodels"]["runs"]) == 1
    note = records.rows(record)[0].note  # how long it takes to look and to end it is not ours
    assert re.fullmatch(r"limit reached: iterations unknown in \d+ s", note)


def test_a_disagreement_fails_the_run_and_no_page_is_made(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bench("exact")
    monkeypatch.setattr(quality, "Z_LIMIT", 1e-9)
    made.rounds(1)
    assert made.wrong
    with pytest.raises(SystemExit, match="eight_schools: the answers disagree, so there are no"):
        report.load(tmp_path / "results")


def test_the_peers_absence_is_explained() -> None:
    assert "another model" in CONTENDERS["bambi"].absent(CASES["exam"])
    assert CONTENDERS["pymc"].absent(CASES["exam"]) == ""
    assert "rows in memory" in CONTENDERS["centered"].absent(CASES["one_way_1e8"])
    assert CONTENDERS["hiermodels"].absent(CASES["one_way_1e8"]) == ""
    assert CONTENDERS["exact"].absent(CASES["exam"]) != ""
    assert CONTENDERS["exact"].absent(CASES["one_way_1e8"]) == ""


def test_a_variant_counts_only_where_its_answer_is_right() -> None:
    first = {"ess_bulk": 400.0, "seconds": 4.0, "sampling": 0.5, "rhat": 1.0}
    right = {"ended": "finished", "wrong": [], "fits": {"first": first, "later": {"seconds": 2.0}}}
    assert choose.score(right) == 200
    assert choose.score({**right, "fits": {"first": first}}) == 100
    assert choose.score({**right, "fits": {"first": first}}, "sampling") == 800
    assert choose.score(right, "sampling") == 0
    assert choose.score({**right, "wrong": ["mean of mu"]}) == 0
    assert choose.score({**right, "fits": {"first": {**first, "rhat": 1.2}}}) == 0
    assert choose.score({**right, "ended": "limit", "fits": {}}) == 0


def test_few_effects_are_kept_of_many_groups() -> None:
    assert keep(8) == list(range(8))
    assert len(keep(10_000)) == 100
    assert keep(10_000)[-1] == 9_999


@pytest.mark.parametrize("peer", sorted({c.peer for c in CONTENDERS.values() if c.peer}))
def test_every_peer_is_locked_to_exact_versions(peer: str) -> None:
    lock = (environments.PEERS / peer / "requirements.txt").read_text().splitlines()
    pinned = [line for line in lock if not line.startswith("#")]
    assert pinned
    for line in pinned:
        assert re.fullmatch(r"[\w.-]+==[\w.+!]+", line), line
    names = {line.partition("==")[0].lower() for line in pinned}
    wanted = {p for c in CONTENDERS.values() if c.peer == peer for p in c.packages}
    assert wanted <= names


def test_the_page_is_made_from_the_records() -> None:
    recorded = report.load(records.FOLDER)
    if not recorded:
        pytest.skip("there are no records yet: make bench")
    choices = records.load(records.FOLDER / "choices.json")
    assert (report.DOCS / "benchmarks.md").read_text() == report.page(recorded, choices), (
        "docs/benchmarks.md is not what the records give; run: python -m benchmarks.report"
    )
    assert (report.DOCS / "benchmarks.png").is_file()


def test_the_records_name_no_folder_and_no_host() -> None:
    for path in records.FOLDER.glob("*.json"):
        text = path.read_text()
        assert json.loads(text)
        assert not re.search(r'(/home|/root|/tmp|/usr|/Users)\b|"/\w', text), path.name
        assert os.uname().nodename not in text
