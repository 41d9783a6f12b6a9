"""Write the table of docs/reliability.md: ``python -m tests.bad_input.table``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.bad_input import (
    columns,
    command_line,
    containers,
    files,
    kinds,
    options,
    priors,
    shapes,
    values,
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- bad input: begin -->", "<!-- bad input: end -->"
CLASSES: dict[str, list[Any]] = {
    "Columns": columns.CASES,
    "Responses and predictors": kinds.RESPONSES,
    "Labels": kinds.LABELS,
    "Shapes": shapes.CASES,
    "Values": values.CASES,
    "Priors": priors.CASES,
    "Options": options.CASES,
    "Data files": files.CASES,
    "Fits and questions": containers.CASES,
    "The command line": command_line.CASES,
}
"""All cases, by the heading that they have in the table."""


def rows() -> list[str]:
    """The lines of the table."""
    number = sum(map(len, CLASSES.values()))
    lines = [f"{number} inputs; `...` stands for what differs between machines and versions.", ""]
    for name, cases in CLASSES.items():
        lines += [f"### {name}", "", "| input | what happens |", "|---|---|"]
        lines += [f"| {_cell(case.what)} | {_happens(case)} |" for case in cases]
        lines.append("")
    return lines


def _happens(case: Any) -> str:
    if case.says:
        return f"{_kind(case)}: {_cell(case.says)}"
    warned = f"; warns: {_cell(case.warns)}" if case.warns else ""
    return f"answer: {(case.answer.__doc__ or '').splitlines()[0]}{warned}"


def _kind(case: Any) -> str:
    kinds = getattr(case, "kind", None)
    if kinds is None:
        return "refused"
    return " or ".join(k.__name__ for k in (kinds if isinstance(kinds, tuple) else (kinds,)))


def _cell(text: str) -> str:
    """Text that Markdown shows as it is."""
    for sign in "\\`*_|<>[]":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())


def written(page: str) -> str:
    """The page with the table as it is now."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return "\n".join([f"{before}{BEGIN}", "", *rows(), f"{END}{after}"])


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
