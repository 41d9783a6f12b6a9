"""The recorded calibration of all programs and engines: ``python -m benchmarks.calibration``.

Each case (benchmarks/calibration_cases.py) is calibrated by simulation and its ranks are kept in
benchmarks/results/calibration; what was interrupted goes on where it was, and what failed is run
again. At the end the page, docs/calibration.md, and its picture are written from the files,
whatever is in them by then: ``--page`` does nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from hiermodels.diagnostics import uniformity
from hiermodels.diagnostics.uniformity import LEVEL
from hiermodels.errors import HierModelsError
from hiermodels.validation import record as calibration_file
from hiermodels.validation.calibration import calibrate, load
from hiermodels.validation.result import FEWEST, MOST_FAILED, SURE, Calibration

from .calibration_cases import CASES, Case
from .environments import ROOT

__all__ = ["draw", "main", "page", "run"]

FOLDER = ROOT / "benchmarks" / "results" / "calibration"
DOCS = ROOT / "docs"
SEED = 20260729
TOLD_EVERY = 60.0
"""Seconds between two lines of progress."""
_HEAD = (
    *("case", "program, engine", "design", "runs", "failed", "quantities", "least p", "verdict"),
    *("coverage of 50 %", "coverage of 90 %", "divergent fits"),
)
_INTRODUCTION = """# Simulation-based calibration of all programs and engines

Written by `python -m benchmarks.calibration`. In each run parameters are drawn from the prior (in
NumPy, without Stan), data given them, and draws from the posterior given the data; the rank of each
parameter among {draws} draws, thinned to about independent, is uniform if the program is right
(Talts et al. 2018, arXiv:1804.06788). The log likelihood of the data and the joint density are
ranked as well, as they find draws that ignore some of the data (Modrák et al. 2023). A case passes
where no quantity's ECDF leaves its simultaneous band (Säilynoja, Bürkner and Vehtari 2022) at a
level of 5 %, divided by the number of its quantities and by the {cases} cases: were all programs
right, all cases together would pass at least 95 times in 100. *Least p* is that of the worst
quantity times their number, of this case by itself; of {cases} right ones, {expected} may be
expected below 0.05. The coverages are of central intervals, with Monte Carlo standard errors, of
the quantity that is farthest off in those.
Pictures have the bands of each case by itself."""


def run(
    cases: Mapping[str, Case], simulations: int, folder: Path, workers: int, progress: bool | None
) -> list[str]:
    """Run what is missing of each case, and print a line for each.

    A case that cannot be run is said to be so, and the others go on; the names of such are given.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Each process would do the sums of a small matrix in as many threads as there are processors.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    without = []
    with contextlib.ExitStack() as stack:
        pool: Executor | None = None
        for number, case in enumerate(cases.values(), start=1):
            if pool is None or not _alive(pool):
                context = multiprocessing.get_context("spawn")
                pool = stack.enter_context(ProcessPoolExecutor(workers, mp_context=context))
            path = folder / f"{case.name}.jsonl"
            name = f"[{number}/{len(cases)}] {case.name}"
            began = time.monotonic()
            try:
                with telling(name, path, simulations):
                    found = calibrate(
                        case.build(),
                        simulations=simulations,
                        seed=SEED,
                        engine=case.engine,
                        executor=pool,
                        path=path,
                        progress=progress,
                    )
            except HierModelsError as error:
                without.append(case.name)
                print(f"{name}: not run: {type(error).__name__}: {error}", flush=True)
                continue
            seconds = time.monotonic() - began
            each = found.simulations["seconds"].mean()
            print(f"{name}: {found.verdict} ({seconds:.0f} s, {each:.2f} s a run)", flush=True)
    return without


def _alive(pool: Executor) -> bool:
    """Whether a pool takes tasks: not once it has lost a worker."""
    try:
        pool.submit(int)
    except BrokenProcessPool:
        return False
    return True


@contextlib.contextmanager
def telling(name: str, path: Path, simulations: int, every: float | None = None) -> Iterator[None]:
    """Print how far a case is, at the beginning and from time to time."""
    began, before, ended = time.monotonic(), _done(path, simulations), threading.Event()
    print(f"{name}: {before} of {simulations} there", flush=True)

    def tell() -> None:
        while not ended.wait(TOLD_EVERY if every is None else every):
            done, seconds = _done(path, simulations), time.monotonic() - began
            left = (simulations - done) * seconds / max(done - before, 1)
            more = f", about {left:.0f} s to go" if done > before else ""
            print(f"{name}: {done} of {simulations} ({seconds:.0f} s{more})", flush=True)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


def _done(path: Path, simulations: int) -> int:
    """Simulations of a file that are fitted."""
    try:
        records = calibration_file.read(path)[1]
    except HierModelsError:  # not begun; or what calibrate refuses, and says why
        return 0
    return sum(at < simulations and record.failure is None for at, record in records.items())


def recorded(cases: Mapping[str, Case], folder: Path) -> dict[str, Calibration]:
    """The results that there are."""
    files = {name: folder / f"{name}.jsonl" for name in cases}
    return {name: load(path) for name, path in files.items() if path.exists()}


def page(found: Mapping[str, Calibration], cases: Mapping[str, Case]) -> str:
    """The page's text."""
    draws = sorted({int(result.about["draws"]) for result in found.values()})
    lines = [_line(cases[name], result, len(found)) for name, result in found.items()]
    rule = ["---" if k < 3 else "---:" for k in range(len(_HEAD))]
    table = "\n".join(f"| {' | '.join(row)} |" for row in (_HEAD, rule, *lines))
    expected = len(found) * (1 - LEVEL)
    parts = [
        _INTRODUCTION.format(
            draws=", ".join(map(str, draws)), cases=len(found), expected=f"{expected:.0f}"
        ),
        "![ECDFs of all ranks less the uniform, and their bands](calibration.png)",
        table,
        _failing(found, cases),
        _left_out(found),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def least(found: Calibration) -> float:
    """Give the least p of a quantity times the number of quantities."""
    return min(1.0, float(found.table["p"].min()) * len(found.table))


def passed(found: Calibration, cases: int) -> bool:
    """Whether a case passes as one of so many."""
    few = len(found.failures) <= MOST_FAILED * len(found.ranks)
    return few and found.fits >= FEWEST and least(found) * cases > 1 - LEVEL


def too_few(found: Calibration) -> bool:
    """Whether a case has too few fits to tell, and not because they failed."""
    return len(found.failures) <= MOST_FAILED * len(found.ranks) and found.fits < FEWEST


def _answer(case: Case, found: Calibration, cases: int) -> str:
    if passed(found, cases):
        return "passed"
    if too_few(found):
        return "too few runs"
    return "**failed**" + ", as is known" * bool(case.known)


def _line(case: Case, found: Calibration, cases: int) -> list[str]:
    table, about = found.table, found.about
    program = about["program"] or _family(about)
    p = least(found)
    return [
        case.name,
        f"`{program}`, {case.engine}",
        case.design,
        f"{len(found.ranks)}",
        f"{len(found.failures)}",
        f"{len(table)}",
        "< 0.001" if p < 0.001 else f"{p:.3f}",
        _answer(case, found, cases),
        _coverage(found, 50),
        _coverage(found, 90),
        f"{int((found.simulations['divergences'] > 0).sum())}",
    ]


def _family(about: Mapping[str, Any]) -> str:
    return str(about["model"]).partition("(")[0].lstrip("<")


def _coverage(found: Calibration, percent: int) -> str:
    """The coverage that is farthest off, with its error."""
    column = found.table[f"coverage_{percent}"]
    if column.isna().all():
        return ""
    worst = (column - percent / 100).abs().idxmax()
    error = found.table.loc[worst, f"error_{percent}"]
    return f"{column[worst]:.3f} ± {error:.3f}"


def _failing(found: Mapping[str, Calibration], cases: Mapping[str, Case]) -> str:
    """What is known of the cases that failed."""
    lines = []
    for name, result in found.items():
        if passed(result, len(found)) or too_few(result):
            continue
        worst = result.table["p"].astype(float).nsmallest(1)
        what = f"{result.verdict}."
        if len(worst):
            row = result.table.loc[worst.index[0]]
            what += (
                f" Worst: `{worst.index[0]}`, ECDF off by {row['difference']:+.3f} where "
                f"{row['band']:.3f} is allowed."
            )
        known = f" Known: {cases[name].known}." if cases[name].known else ""
        lines.append(f"- {name}: {what}{known}")
    if not lines:
        return ""
    return "## Failed\n\n" + "\n".join(lines)


def _left_out(found: Mapping[str, Calibration]) -> str:
    """Versions, and what is not there yet."""
    versions = sorted({result.about["hiermodels_version"] for result in found.values()})
    fewest = min((len(result.ranks) for result in found.values()), default=0)
    power = "The shortest of them can find nothing yet."
    shift = max((_detectable(result, len(found)) for result in found.values()), default=math.inf)
    if math.isfinite(shift):
        power = (
            f"In every case a posterior that is off by {shift:.2f} of its sd would be found 9 "
            "times in 10."
        )
    return (
        f"hiermodels {', '.join(versions)}, seed {SEED}; at least {fewest} runs a case. {power} "
        "Fits of NUTS and of Gibbs samplers: 2 chains, of 6 (marginal programs) or 10 times the "
        "draws ranked, made again up to twice, longer, where the effective sample size is below "
        "the draws ranked; what is calibrated is that lengthened fit, thinned. Draws of the exact "
        "engine are independent as they come."
    )


def _detectable(found: Calibration, cases: int) -> float:
    """Shift in sds that is found 9 times in 10 at the level of all cases."""
    if not found.fits:
        return math.inf
    level = 1 - (1 - LEVEL) / (len(found.table) * cases)
    return uniformity.detectable(found.fits, int(found.about["draws"]), level, SURE)


def draw(found: Mapping[str, Calibration], path: Path) -> None:
    """Draw every case's ECDFs, one panel a case, and save the picture."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    across = 6
    down = -(-len(found) // across)
    figure, axes = plt.subplots(
        down, across, figsize=(2.5 * across, 2.1 * down), squeeze=False, layout="constrained"
    )
    for ax in axes.flat[len(found) :]:
        ax.set_axis_off()
    for ax, (name, result) in zip(axes.flat, found.items(), strict=False):
        if not result.table["simulations"].max():
            ax.set_axis_off()
            continue
        result.plot(ax)
        ax.get_legend().remove()
        ax.set_title(name, loc="left", fontsize=6.5, weight="bold" if result.failing else "normal")
        ax.set_xlabel("")
        ax.set_ylabel("")
        ax.tick_params(labelsize=6)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def write(folder: Path, docs: Path, cases: Mapping[str, Case] = CASES) -> None:
    """Write the page and the picture from the files that there are."""
    found = recorded(cases, folder)
    if not found:
        raise SystemExit(f"error: there is no calibration in {folder}; run it first")
    (docs / "calibration.md").write_text(page(found, cases))
    draw(found, docs / "calibration.png")


def chosen(names: Sequence[str]) -> dict[str, Case]:
    """The cases whose names have one of these in them; all, where there is none."""
    return {
        name: case
        for name, case in CASES.items()
        if not names or any(part in name for part in names)
    }


def main() -> None:
    """Run what is missing, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=500)
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="(part of) a case's name"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--docs", type=Path, default=DOCS)
    parser.add_argument("--page", action="store_true", help="write the page, and run nothing")
    parser.add_argument("--list", action="store_true", help="name the cases")
    given = parser.parse_args()
    cases = chosen(given.only)
    if not cases:
        raise SystemExit(f"error: no case has {' or '.join(given.only)} in its name; see --list")
    if given.list:
        print("\n".join(cases))
        return
    without: list[str] = []
    if not given.page:
        try:
            without = run(cases, given.simulations, given.folder, given.workers, None)
        except KeyboardInterrupt:
            print("interrupted; the same command goes on where it was", flush=True)
            raise SystemExit(130) from None
    write(given.folder, given.docs)
    if without:
        raise SystemExit(f"error: not run: {', '.join(without)}; the same command runs them again")


if __name__ == "__main__":
    main()
