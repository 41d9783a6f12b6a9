"""The records of runs: read, written, and boiled down to medians with ranges."""

from __future__ import annotations

import json
import re
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .measure import Watched

__all__ = [
    "CONVERGED",
    "FOLDER",
    "Row",
    "Span",
    "disagreements",
    "load",
    "of_job",
    "rows",
    "save",
    "table",
]

FOLDER = Path(__file__).resolve().parent / "results"
"""The records that docs/benchmarks.md is made from."""
CONVERGED = 1.05
"""R-hat above which draws are not those of the posterior."""

_PER_CENT = re.compile(r"(\d+)%\|")
_ITERATION = re.compile(r"Iteration:\s*(\d+)\s*/\s*(\d+)")


@dataclass(frozen=True)
class Span:
    """Median and range of a figure over the counted rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Span | None:
        """The span of the values there are, or None."""
        if not values:
            return None
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Row:
    """A contender's figures in a case; None for what it does not have.

    Attributes
    ----------
    name, label : str
    note : str
        How far it came where it did not finish; otherwise its settings, and what is to be known of
        its figures.
    absent : str
        Why it was not run.
    cold, first, later, sampling : Span
        Seconds: to the container with nothing compiled, in a fresh process, in a process that has
        fitted before, and of the sampling alone.
    imports : Span
        Seconds of import, which come before a process's first fit.
    statistics : Span
        Seconds of the group sufficient statistics alone, where they come from a file.
    bulk, tail, bulk_effects, tail_effects : Span
        Smallest effective sample sizes of the first fit.
    rate, rate_effects, rate_sampling, rate_later : Span
        Smallest bulk ESS per second: of hyperparameters and of effects from the call to the
        container, of hyperparameters by sampling alone, and in a later fit.
    rate_tail, rate_tail_effects : Span
        Smallest tail ESS per second of the first fit.
    peak : Span
        Peak memory of all processes, MiB.
    rhat : float
        The largest of any counted fit.
    """

    name: str
    label: str
    note: str = ""
    absent: str = ""
    cold: Span | None = None
    first: Span | None = None
    later: Span | None = None
    sampling: Span | None = None
    imports: Span | None = None
    statistics: Span | None = None
    bulk: Span | None = None
    tail: Span | None = None
    bulk_effects: Span | None = None
    tail_effects: Span | None = None
    rate: Span | None = None
    rate_effects: Span | None = None
    rate_tail: Span | None = None
    rate_tail_effects: Span | None = None
    rate_sampling: Span | None = None
    rate_later: Span | None = None
    peak: Span | None = None
    rhat: float | None = None


def load(path: Path) -> dict[str, Any]:
    """A record, empty where there is none."""
    record: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return record


def save(path: Path, record: dict[str, Any]) -> None:
    """Write a record, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps(_rounded(record), indent=1) + "\n")
    new.replace(path)


def _rounded(value: Any) -> Any:
    """Figures to six digits: more is noise, and a long diff."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {name: _rounded(x) for name, x in value.items()}
    if isinstance(value, list):
        return [_rounded(x) for x in value]
    return value


def of_job(folder: Path, went: Watched) -> dict[str, Any]:
    """What a script left: its seconds, and its fits that were finished."""
    left = load(folder / "record.json")
    seconds = left.get("seconds", {})
    fits = {
        label: {"seconds": seconds[label], **fit} for label, fit in left.get("fits", {}).items()
    }
    run: dict[str, Any] = {"import_seconds": seconds.get("import"), "fits": fits}
    until = left.get("container_at", float("inf"))
    if "container_at" in left:
        run["start_to_container"] = until - went.began
    # A later fit in the same process has no part in the memory of the first, but the sample that
    # comes next, a moment later, belongs to it.
    counted = [size for when, size in went.memory if when <= until]
    counted += [size for when, size in went.memory if when > until][:1]
    run["peak_mib"] = max(counted, default=0) / 2**20
    if "statistics" in seconds:
        run["statistics_seconds"] = seconds["statistics"]
    return run


def reached(folder: Path) -> str:
    """How far a process was when its time was over, in words."""
    told = load(folder / "progress.json")
    if told:
        return f"{told['done']} of {told['total']} iterations of all chains"
    pairs = []
    for console in (folder / "tmp").glob("**/*.txt"):
        found = _ITERATION.findall(console.read_text(errors="replace"))
        if found:
            pairs.append((int(found[-1][0]), int(found[-1][1])))
    if pairs:
        # Chains that have not begun have said nothing.
        return f"{sum(p[0] for p in pairs)} of {4 * pairs[0][1]} iterations of all chains"
    log = folder / "log.txt"
    found = _PER_CENT.findall(log.read_text(errors="replace")) if log.is_file() else []
    if found:
        return f"{found[-1]} % of the iterations"
    return "iterations unknown"


def last_words(log: Path, lines: int = 3) -> str:
    """The end of what a process said, without the paths of this machine."""
    text = log.read_text(errors="replace").strip().splitlines()[-lines:]
    return re.sub(r"(/[\w.+~-]+)+/", "", "\n".join(text))[-500:]


def disagreements(record: dict[str, Any]) -> list[str]:
    """What is wrong with the answers of all runs that a record holds."""
    entries = record.get("contenders", {}).values()
    return [wrong for e in entries for run in e.get("runs", []) for wrong in run["wrong"]]


def rows(record: dict[str, Any]) -> list[Row]:
    """The figures of all contenders of a case, in the order of the record."""
    return [_row(name, entry) for name, entry in record["contenders"].items()]


def _row(name: str, entry: dict[str, Any]) -> Row:
    label = entry["label"]
    if "absent" in entry:
        return Row(name, label, absent=entry["absent"])
    unfinished = [run for run in entry["runs"] if run["ended"] != "finished"]
    counted = [r for r in entry["runs"] if r["ended"] == "finished" and not r["cold"]]
    cold = [r for r in entry["runs"] if r["ended"] == "finished" and r["cold"]]
    if unfinished and not counted:
        run = unfinished[0]
        note = f"{_ended(run)} in {run['process_seconds']:.0f} s"
        return Row(name, label, note=note, peak=Span.of([run["peak_mib"]]))
    if not counted:
        return Row(name, label, note="not run yet")

    def fits(runs: list[dict[str, Any]], label: str, what: str) -> Span | None:
        taken = [r["fits"][label].get(what) for r in runs if label in r["fits"]]
        return Span.of([x for x in taken if x is not None])

    def rate(label: str, ess: str, seconds: str) -> Span | None:
        taken = [r["fits"][label] for r in counted if label in r["fits"]]
        return Span.of(
            [f[ess] / f[seconds] for f in taken if f.get(ess) is not None and f.get(seconds)]
        )

    # A package that compiles while it samples can tell the two apart in a later fit only.
    sampled = "later" if fits(counted, "later", "sampling") else "first"
    rhat = max(
        (f["rhat"] for r in counted for f in r["fits"].values() if "rhat" in f), default=None
    )
    return Row(
        name,
        label,
        note=_remark(entry, rhat),
        cold=fits(cold, "first", "seconds"),
        first=fits(counted, "first", "seconds"),
        later=fits(counted, "later", "seconds"),
        sampling=fits(counted, sampled, "sampling"),
        imports=Span.of([r["import_seconds"] for r in counted if r["import_seconds"] is not None]),
        statistics=Span.of([r["statistics_seconds"] for r in counted if "statistics_seconds" in r]),
        bulk=fits(counted, "first", "ess_bulk"),
        tail=fits(counted, "first", "ess_tail"),
        bulk_effects=fits(counted, "first", "ess_bulk_effects"),
        tail_effects=fits(counted, "first", "ess_tail_effects"),
        rate=rate("first", "ess_bulk", "seconds"),
        rate_effects=rate("first", "ess_bulk_effects", "seconds"),
        rate_tail=rate("first", "ess_tail", "seconds"),
        rate_tail_effects=rate("first", "ess_tail_effects", "seconds"),
        rate_sampling=rate(sampled, "ess_bulk", "sampling"),
        rate_later=rate("later", "ess_bulk", "seconds"),
        peak=Span.of([r["peak_mib"] for r in counted]),
        rhat=rhat,
    )


def _remark(entry: dict[str, Any], rhat: float | None) -> str:
    """What is to be known of a contender that has figures."""
    remarks = []
    if "hiermodels" not in entry.get("versions", {}):  # ours say so by their names
        settings = ", ".join(map(str, entry.get("variant", {}).values()))
        if settings:
            remarks.append(settings + ("" if entry.get("tried", True) else ", not tuned"))
    if rhat is not None and rhat > CONVERGED:
        remarks.append(f"not converged (R-hat {rhat:.2f})")
    runs = entry["runs"]
    over = [run for run in runs if run["ended"] != "finished"]
    if over:
        then = "limit reached" if over[0]["ended"] == "limit" else _ended(over[0])
        finished = len(runs) - len(over)
        remarks.append(f"{finished} of {len(runs)} processes finished; then {then}")
    if any("statistics_seconds" in run and "later" in run["fits"] for run in runs):
        remarks.append("the later fit is from the group statistics, not from the file")
    return "; ".join(remarks)


def _ended(run: dict[str, Any]) -> str:
    """How a run ended that did not finish: how far it came, or what it said last."""
    if run["ended"] == "limit":
        return f"limit reached: {run['reached']}"
    words = run.get("said", "").strip().splitlines()
    return f"failed ({words[-1].rpartition('exceptions.')[2]})" if words else "failed"


def table(record: dict[str, Any]) -> str:
    """A plain table for the terminal."""
    head = ("contender", "first s", "later s", "sampling s", "ESS", "ESS/s", "MiB")
    lines = [head]
    for row in rows(record):
        if row.first is None:
            lines.append((row.label, row.note or row.absent, "", "", "", "", ""))
            continue
        spans = (row.first, row.later, row.sampling, row.bulk, row.rate, row.peak)
        lines.append((row.label, *("-" if s is None else f"{s.median:.4g}" for s in spans)))
    text = [f"{line[0]:<24}" + "".join(f"{cell:>12}" for cell in line[1:]) for line in lines]
    title = f"{record['title']}: {record['rows']} rows, {record['groups']} groups"
    return "\n".join([title, *text])
