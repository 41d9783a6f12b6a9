"""Measure: ``python -m benchmarks.run [--case exam] [--rounds 3] [--contender numpyro]``.

Contenders take turns, round by round, each fit in a fresh process. Round 0 finds nothing compiled
(its caches are emptied); from round 1 on, what a package keeps on disk between processes is there.
Answers are compared before any speed is printed, and a difference fails the run.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from . import environments, measure, quality, records
from .cases import CASES, Case, keep
from .contenders import CONTENDERS, Contender

__all__ = ["Bench", "main"]

AGAIN_BELOW = 120.0
"""Seconds of the first fit above which a process makes no second one."""
CHAINS, DRAWS = 4, 1000
SEED = 20_000


class Bench:
    """One case's run: its data, its record, and its contenders.

    Parameters
    ----------
    case : Case
    contenders : sequence of Contender
    scale : float
        Size of the large cases, 1 for the real ones.
    limit : float
        Seconds that a process has.
    results : Path
        Folder of the records.
    """

    def __init__(
        self,
        case: Case,
        contenders: Sequence[Contender],
        *,
        scale: float,
        limit: float,
        results: Path,
    ) -> None:
        self.case, self.limit = case, limit
        self.place = environments.workspace()
        self.data = case.write(self.place / "data", scale)
        self.rows, self.groups = case.size(self.data)
        self.path = results / f"{case.name}.json"
        self.choices = records.load(results / "choices.json").get(case.name, {})
        self.contenders = []
        before = records.load(self.path)
        head = {
            "case": case.name,
            "title": case.title,
            "family": case.family,
            "rows": self.rows,
            "groups": self.groups,
            "priors": case.priors,
            "settings": {"chains": CHAINS, "draws": DRAWS, "limit": limit},
            "machine": measure.machine(),
        }
        # Others' earlier runs stand beside these only if all of this was the same.
        compared = ("rows", "groups", "priors", "settings", "machine")
        other = [key for key in compared if before.get(key) != head[key]]
        if before and other:
            print(f"{case.name}: earlier runs are dropped: other {', '.join(other)}", flush=True)
        self.record: dict[str, Any] = head | {"contenders": {} if other else before["contenders"]}
        # A contender's earlier runs stand until its first new one is there.
        self.entries: dict[str, dict[str, Any]] = {}
        for contender in contenders:
            entry: dict[str, Any] = {"label": contender.label}
            if why := contender.absent(case):
                self.record["contenders"][contender.name] = entry | {"absent": why}
                continue
            self.contenders.append(contender)
            entry["variant"] = self.variant(contender)
            entry["versions"] = environments.versions(contender.peer, contender.packages)
            if len(contender.variants) > 1:
                entry["tried"] = "chosen" in self.choice(contender)
            entry["runs"] = []
            self.entries[contender.name] = entry
            self.record["contenders"].setdefault(contender.name, entry)
        self.references: dict[str, xr.Dataset] = {}
        self.reference = ""
        self.failed = False

    @property
    def wrong(self) -> list[str]:
        """What is wrong with the answers of all contenders, in earlier runs as well."""
        return records.disagreements(self.record)

    def choice(self, contender: Contender) -> dict[str, Any]:
        """What :mod:`benchmarks.choose` chose; empty where it did not."""
        found: dict[str, Any] = self.choices.get(contender.name, {})
        return found if found.get("chosen") else {}

    def variant(self, contender: Contender) -> dict[str, Any]:
        """The settings that were found best for this case, or the untuned ones."""
        chosen: dict[str, Any] = self.choice(contender).get("chosen", {})
        return chosen or contender.untuned(self.case)

    def rounds(self, number: int, *, cold: bool = True) -> None:
        """Go round: the cold round, where it is wanted, and ``number`` counted ones."""
        over: set[str] = set()
        begin = 0 if cold else 1
        for round_ in range(begin, number + 1):
            turn = [c for c in self.contenders if c.name not in over]
            # Another one begins each time; in the first round the reference is needed first.
            shift = (round_ - begin) % max(1, len(turn))
            for contender in turn[shift:] + turn[:shift]:
                run = self.one(contender, self.variant(contender), round_)
                entry = self.entries[contender.name]
                entry["runs"].append(run)
                self.record["contenders"][contender.name] = entry
                self.save()
                said = f"{self.case.name}: round {round_}, {contender.name}: {run['ended']}"
                print(said, run.get("said", ""), flush=True)
                if run["ended"] != "finished":
                    over.add(contender.name)  # once is enough to know
                self.failed |= run["ended"] == "failed"

    def one(self, contender: Contender, variant: dict[str, Any], round_: int) -> dict[str, Any]:
        """One process of a contender: its figures, and how its answers compare."""
        folder = self.place / "jobs" / self.case.name / f"{contender.name}-{round_}"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "tmp").mkdir(parents=True)
        caches = self.place / "caches" / self.case.name / contender.name
        if round_ == 0:
            shutil.rmtree(caches, ignore_errors=True)
        job = {
            "case": self.case.name,
            "family": self.case.family,
            "data": str(self.data),
            "priors": self.case.priors,
            "chains": CHAINS,
            "draws": DRAWS,
            "cores": min(2, len(os.sched_getaffinity(0))),
            "seed": SEED + 10 * round_,
            "variant": variant,
            "keep_groups": keep(self.groups),
            "fits": ["first"] if round_ == 0 else ["first", "later"],
            "again_below": AGAIN_BELOW,
            "show_progress": self.rows >= 100_000,
        }
        (folder / "job.json").write_text(json.dumps(job))
        command = [environments.python_of(contender.peer), "-m", contender.module]
        went = measure.watch(
            [*command, str(folder / "job.json")],
            env=_environment(caches, folder / "tmp"),
            cwd=environments.ROOT,
            log=folder / "log.txt",
            limit=self.limit,
        )
        run = {
            "round": round_,
            "cold": round_ == 0,
            "ended": went.ended,
            "process_seconds": round(went.seconds, 3),
            **records.of_job(folder, went),
        }
        if went.ended == "limit" and "first" in run["fits"]:
            run["ended"] = "finished"  # only the later fit was cut off
        if run["ended"] == "limit":
            run["reached"] = records.reached(folder)
        if run["ended"] == "failed":
            run["said"] = records.last_words(folder / "log.txt")
        run["wrong"] = self.check(contender, folder, run)
        run["reference"] = self.reference
        shutil.rmtree(folder / "tmp", ignore_errors=True)
        for file in folder.glob("*.npz"):
            file.unlink()
        return run

    def check(self, contender: Contender, folder: Path, run: dict[str, Any]) -> list[str]:
        """Measure the draws, and compare them with those of the reference."""
        wrong = []
        for label, fit in run["fits"].items():
            if "estimates" in fit:
                if self.references and self.case.family != "eight_schools":
                    wrong += quality.of_estimates(
                        contender.name, fit["estimates"], self.references["first"]
                    )
                continue
            try:
                figures, moments = quality.measure(folder / f"{label}.npz")
            except ValueError as error:
                wrong.append(f"{contender.name}: {error}")
                continue
            fit |= figures
            wrong += quality.from_truth(contender.name, moments, self.case.truth)
            if not self.references:
                if figures["rhat"] > records.CONVERGED:
                    wrong.append(
                        f"{contender.name}: R-hat {figures['rhat']:.2f}, and it is the reference"
                    )
                self.references["first"] = moments
                self.reference = contender.label
            elif contender.name == "exact" and self.reference != contender.label:
                # From here on all are compared with the exact answer, and ours was with it.
                wrong += quality.disagreements(self.reference, self.references["first"], moments)
                self.references["first"] = moments
                self.reference = contender.label
            else:
                wrong += quality.disagreements(contender.name, moments, self.references["first"])
        return wrong

    def save(self) -> None:
        """Write the record down."""
        self.record["disagreements"] = self.wrong
        self.record["reference"] = self.reference
        records.save(self.path, self.record)


def _environment(caches: Path, temporary: Path) -> dict[str, str]:
    """Our own environment, but with caches that nobody else uses."""
    for name in ("hiermodels", "pytensor", "numba"):
        (caches / name).mkdir(parents=True, exist_ok=True)
    own = {
        "HIERMODELS_CACHE": str(caches / "hiermodels"),
        "PYTENSOR_FLAGS": f"base_compiledir={caches / 'pytensor'}",
        "NUMBA_CACHE_DIR": str(caches / "numba"),
        "TMPDIR": str(temporary),
        "PYTHONPATH": "",
    }
    return {**os.environ, **own}


def chosen_contenders(names: Sequence[str]) -> list[Contender]:
    """Contenders by name, ours first; all where none is named."""
    wanted = [c for c in CONTENDERS.values() if not names or c.name in names]
    first = CONTENDERS["hiermodels"]
    return wanted if first in wanted else [first, *wanted]


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options that this and :mod:`benchmarks.choose` have in common."""
    parser.add_argument("--case", action="append", choices=CASES, help="by default all")
    parser.add_argument("--contender", action="append", choices=CONTENDERS, help="by default all")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds that a process has")
    parser.add_argument("--scale", type=float, default=1.0, help="size of the large cases")
    parser.add_argument("--results", type=Path, help="folder of the records")


def results_folder(options: argparse.Namespace) -> Path:
    """Where records go: into the repository only where the sizes are the real ones."""
    if options.results is not None:
        return Path(options.results)
    return records.FOLDER if options.scale == 1 else environments.workspace() / "results"


def main() -> int:
    """Run the cases one after the other, and print the speeds of those that agree."""
    parser = argparse.ArgumentParser(prog="benchmarks.run", description=__doc__)
    arguments(parser)
    parser.add_argument("--rounds", type=int, default=3, help="counted rounds, after the cold one")
    parser.add_argument(
        "--no-cold",
        action="store_true",
        help="leave the cold round out: the caches are as they are",
    )
    options = parser.parse_args()
    contenders = chosen_contenders(options.contender or [])
    for contender in contenders:
        if contender.peer is not None:
            environments.environment(contender.peer)
    wrong, failed = [], False
    for name in options.case or CASES:
        bench = Bench(
            CASES[name],
            contenders,
            scale=options.scale,
            limit=options.limit,
            results=results_folder(options),
        )
        bench.rounds(options.rounds, cold=not options.no_cold)
        failed |= bench.failed
        if bench.wrong:
            wrong += [f"{name}: {line}" for line in bench.wrong]
            print(f"{name}: THE ANSWERS DISAGREE; no speeds", flush=True)
            continue
        print(records.table(bench.record), flush=True)
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong or failed else 0


if __name__ == "__main__":
    sys.exit(main())
