"""Write docs/benchmarks.md and docs/benchmarks.png: ``python -m benchmarks.report``.

Everything on the page comes from the records in benchmarks/results, except the words around it.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from . import picture, records
from .cases import CASES
from .contenders import CONTENDERS
from .environments import ROOT
from .records import Row, Span

__all__ = ["load", "main", "page"]

DOCS = ROOT / "docs"

_HEAD = (
    "case",
    "contender",
    "first fit, s",
    "later fit, s",
    "sampling, s",
    "ESS",
    "ESS/s",
    "later ESS/s",
    "our first: times",
    "our later: times",
    "its sampling: times",
    "memory, MiB",
    "remark",
)
_DETAIL = (
    "case",
    "contender",
    "import, s",
    "nothing compiled, s",
    "ESS bulk/tail",
    "effects' bulk/tail",
    "tail ESS/s",
    "effects' bulk/s",
    "effects' tail/s",
    "R-hat",
)


def load(folder: Path) -> list[dict[str, Any]]:
    """The records of all cases that there are, in their order.

    Raises
    ------
    SystemExit
        If answers disagree in one of them: nobody is to quote its speeds.
    """
    found = [records.load(folder / f"{name}.json") for name in CASES]
    found = [record for record in found if record]
    for record in found:
        # From the runs themselves: a list beside them could be an older one.
        if wrong := records.disagreements(record):
            raise SystemExit(
                f"error: {record['case']}: the answers disagree, so there are no speeds: "
                + "; ".join(wrong[:3])
            )
    return found


def page(recorded: list[dict[str, Any]], choices: dict[str, Any]) -> str:
    """The page's text."""
    tables = [(record, records.rows(record)) for record in recorded]
    parts = [
        (Path(__file__).parent / "page.md").read_text(),
        "## Speed",
        _speed_words(),
        _table(_HEAD, [line for record, rows in tables for line in _lines(record, rows)]),
        _absent(tables),
        "## What the draws are worth",
        _detail_words(),
        _table(_DETAIL, [line for record, rows in tables for line in _details(record, rows)]),
        *_file(tables),
        "## Settings",
        _priors(recorded),
        _choices(choices),
        "## Machine and versions",
        _machine(recorded),
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _speed_words() -> str:
    return (
        "Medians of the counted rounds, with [smallest, largest]. ESS is the smallest bulk "
        "effective sample size of any hyperparameter, and ESS/s divides it by the seconds of "
        "the first fit, run by run; *later ESS/s* does so with the later fit. *Our first: "
        "times* is our ESS/s over that contender's, both in a fresh process, where most of "
        "ours is the import of ArviZ; *our later: times* is that of our later fit, which "
        "compiles and imports nothing, over that of the contender's first, which in most "
        "packages compiles anew in each process; *its sampling: times* is our later fit over "
        "that contender's if nothing but its sampling, compiled and warm, were counted. "
        "A number below 1 says that the other is faster."
    )


def _absent(tables: list[tuple[dict[str, Any], list[Row]]]) -> str:
    """Who was not run, and why; the same reason once."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for record, rows in tables:
        for row in rows:
            if row.absent and not CONTENDERS[row.name].tuned:
                reasons.setdefault((record["title"], row.absent), []).append(row.label)
    lines = [f"- {title}: {'; '.join(labels)} ({why})" for (title, why), labels in reasons.items()]
    return "Not run:\n\n" + "\n".join(lines) if lines else ""


def _detail_words() -> str:
    return (
        "The smallest effective sample sizes of hyperparameters and of group effects (of at most "
        "100 groups, evenly spaced), and what they are per second of the first fit. R-hat is the "
        "largest of any quantity in any counted fit. *Nothing compiled*: the first fit ever, with "
        "all caches empty, once."
    )


def _lines(record: dict[str, Any], rows: list[Row]) -> list[list[str]]:
    ours = next((row for row in rows if row.name == "hiermodels"), None)
    lines = []
    for row in rows:
        if row.absent:
            continue
        first = None if ours is None or row is ours else ours.rate
        later = None if ours is None or row is ours else ours.rate_later
        lines.append(
            [
                _case(record, first=not lines),
                row.label,
                _span(row.first),
                _span(row.later),
                _span(row.sampling),
                _span(row.bulk),
                _span(row.rate),
                _median(row.rate_later),
                _ratio(first, row.rate),
                _ratio(later, row.rate),
                _ratio(later, row.rate_sampling),
                _span(row.peak),
                row.note,
            ]
        )
    return lines


def _details(record: dict[str, Any], rows: list[Row]) -> list[list[str]]:
    lines: list[list[str]] = []
    for row in rows:
        if row.bulk is None:
            continue
        lines.append(
            [
                _case(record, first=not lines),
                row.label,
                _median(row.imports),
                _median(row.cold),
                f"{_median(row.bulk)} / {_median(row.tail)}",
                f"{_median(row.bulk_effects)} / {_median(row.tail_effects)}",
                _median(row.rate_tail),
                _median(row.rate_effects),
                _median(row.rate_tail_effects),
                "" if row.rhat is None else f"{row.rhat:.3f}",
            ]
        )
    return lines


def _file(tables: list[tuple[dict[str, Any], list[Row]]]) -> list[str]:
    """What a fit from a file costs, before and after the statistics; beside 1e4 rows."""
    lines = []
    for record, rows in tables:
        if record["case"] in ("one_way_1e4", "one_way_1e6", "one_way_1e8"):
            ours = next((row for row in rows if row.name == "hiermodels"), None)
            if ours is not None and ours.first is not None:
                spans = (ours.first, ours.statistics, ours.later, ours.sampling, ours.peak)
                lines.append([_case(record, first=True), *(_span(span) for span in spans)])
    if not lines:
        return []
    head = (
        "case",
        "first fit, s",
        "statistics alone, s",
        "later fit, s",
        "sampling, s",
        "memory, MiB",
    )
    words = (
        "hiermodels alone, by rows. From the Parquet file the first fit reads all rows; the later "
        "one is given the group sufficient statistics, whose seconds stand beside it."
    )
    return ["## From a data frame, and from a file", words, _table(head, lines)]


def _case(record: dict[str, Any], *, first: bool) -> str:
    if not first:
        return ""
    return f"{record['title']}: {record['rows']:,} rows, {record['groups']:,} groups"


def _span(span: Span | None) -> str:
    if span is None:
        return ""
    if span.low == span.high:
        return _figure(span.median)
    return f"{_figure(span.median)} [{_figure(span.low)}, {_figure(span.high)}]"


def _median(span: Span | None) -> str:
    return "" if span is None else _figure(span.median)


def _figure(x: float) -> str:
    """Three digits, never an exponent."""
    if x == 0 or abs(x) >= 100:
        return f"{x:,.0f}"
    return f"{x:.3g}" if abs(x) >= 0.001 else f"{x:.1g}"


def _ratio(ours: Span | None, theirs: Span | None) -> str:
    if ours is None or theirs is None:
        return ""
    ratio = ours.median / theirs.median
    return f"{ratio:.2g}" if ratio < 10 else f"{ratio:,.0f}"


def _table(head: tuple[str, ...], lines: list[list[str]]) -> str:
    text = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in text)


def _priors(recorded: list[dict[str, Any]]) -> str:
    lines = []
    for record in recorded:
        priors = ", ".join(
            f"{name} ~ {family}({', '.join(map(str, numbers))})"
            for name, (family, *numbers) in record["priors"].items()
        )
        lines.append(f"- {record['title']}: {priors}")
    return "Priors, the same for all:\n\n" + "\n".join(lines)


def _choices(choices: dict[str, Any]) -> str:
    lines = []
    for case, contenders in choices.items():
        for name, choice in contenders.items():
            tried = "; ".join(
                f"{', '.join(map(str, one['variant'].values()))} "
                + (_tried(one) if one["ess_per_second"] else _why_not(one))
                for one in choice["tried"]
            )
            part = CASES[case]
            at = "" if choice["groups"] == part.groups else f" (with {choice['groups']:,} groups)"
            lines.append(f"| {part.title}{at} | {CONTENDERS[name].label} | {tried} |")
    if not lines:
        return ""
    return (
        "These peers ran with their best settings, found beforehand by one run of each: bulk "
        "ESS per second of a later fit, and in brackets of its sampling alone.\n\n"
        "| case | peer | tried |\n| --- | --- | --- |\n" + "\n".join(lines)
    )


def _tried(one: dict[str, Any]) -> str:
    alone = one["ess_per_second_sampling"]
    return _figure(one["ess_per_second"]) + (f" ({_figure(alone)})" if alone else "")


def _why_not(one: dict[str, Any]) -> str:
    if one["ended"] == "limit":
        return f"not finished ({one.get('reached', '')})"
    if one["ended"] == "failed":
        return "failed"
    return "not converged" if not one.get("wrong") else "not the posterior"


def _machine(recorded: list[dict[str, Any]]) -> str:
    machines: dict[str, list[str]] = {}
    versions: dict[str, dict[str, str]] = {}
    for record in recorded:
        m = record["machine"]
        text = f"{m['processor']}, {m['cores']} cores, {m['memory_gib']} GiB, {m['system']}"
        machines.setdefault(text, []).append(record["title"])
        for entry in record["contenders"].values():
            if "versions" in entry:
                versions[entry["label"]] = entry["versions"]
    lines = [
        f"- {text}" + ("" if len(machines) == 1 else f" ({', '.join(titles)})")
        for text, titles in machines.items()
    ]
    lines += [
        f"- {label}: " + ", ".join(f"{package} {v}" for package, v in found.items())
        for label, found in versions.items()
        if label not in (CONTENDERS["centered"].label, CONTENDERS["noncentered"].label)
    ]
    return "\n".join(lines)


def main() -> None:
    """Write the page and the picture."""
    parser = argparse.ArgumentParser(prog="benchmarks.report", description=__doc__)
    parser.add_argument("--results", type=Path, default=records.FOLDER, help="folder of records")
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder of the page")
    options = parser.parse_args()
    recorded = load(options.results)
    if not recorded:
        raise SystemExit(
            f"error: no records in {options.results.name}/; make some with: "
            "python -m benchmarks.run --case eight_schools"
        )
    text = page(recorded, records.load(options.results / "choices.json"))
    (options.docs / "benchmarks.md").write_text(text)
    picture.draw(recorded, options.docs / "benchmarks.png")


if __name__ == "__main__":
    main()
