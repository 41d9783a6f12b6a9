"""What a notebook's text says of its numbers, and what those numbers are now.

A number in the text is backed by a comment in the same Markdown cell, which readers do not see:

    The posterior mean of school A is 6.3 points.
    <!-- check: theta_mean["A"] = 6.3 +- 0.3 -->
    <!-- check: best = 'A' -->

The expression is evaluated in the notebook's kernel, after the last cell. The number (or string)
has to stand in the cell's visible text as it stands in the comment, and the expression has to be
within the tolerance of it.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbclient
import nbformat

FOLDER = Path(__file__).parents[1] / "notebooks"
SECONDS = 600

_COMMENT = re.compile(r"<!--\s*check:\s*(?P<claim>.*?)\s*-->", re.DOTALL)
_NUMBER = re.compile(
    r"(?P<expression>.*?)\s=\s(?P<number>-?[0-9.]+)\s*\+-\s*(?P<tolerance>[0-9.]+)\Z", re.DOTALL
)
_STRING = re.compile(r"(?P<expression>.*?)\s=\s(?P<string>'[^']*')\Z", re.DOTALL)
_ANSWERS = "hiermodels-answers:"


@dataclass(frozen=True)
class Claim:
    """One comment: an expression, what it should be, and how far it may be from that."""

    cell: int
    expression: str
    value: float | str
    tolerance: float
    written: str
    visible: str

    @property
    def said(self) -> bool:
        """Whether the visible text has the number as it is written in the comment."""
        number = re.escape(self.written)
        # A minus sign of typography is one, too, and a line's end is a blank.
        visible = " ".join(self.visible.replace("\N{MINUS SIGN}", "-").split())
        return re.search(rf"(?<![\d.]){number}(?![\d]|\.\d)", visible) is not None

    def holds(self, answer: Any) -> bool:
        if isinstance(self.value, str):
            return bool(answer == self.value)
        return isinstance(answer, (int, float)) and abs(answer - self.value) <= self.tolerance

    def __str__(self) -> str:
        return f"cell {self.cell}: {self.expression} = {self.written}"


def claims(notebook: Any) -> Iterator[Claim]:
    """All claims of a notebook's text."""
    for at, cell in enumerate(notebook.cells):
        if cell.cell_type != "markdown":
            continue
        visible = _COMMENT.sub("", cell.source)
        for comment in _COMMENT.finditer(cell.source):
            text = comment["claim"]
            if found := _NUMBER.match(text):
                ast.parse(found["expression"], mode="eval")
                yield Claim(
                    at, found["expression"], float(found["number"]), float(found["tolerance"]),
                    found["number"], visible,
                )  # fmt: skip
            elif found := _STRING.match(text):
                value = ast.literal_eval(found["string"])
                yield Claim(at, found["expression"], value, 0.0, value, visible)
            else:
                raise ValueError(
                    f"cell {at}: a check is `expression = number +- tolerance`: {text}"
                )


def run(path: Path) -> tuple[Any, list[tuple[Claim, Any]]]:
    """Run a notebook in a kernel of its own; it, with its outputs, and each claim's answer."""
    notebook = nbformat.read(path, as_version=4)
    found = list(claims(notebook))
    ask = "\n".join(
        [
            "import json as _json",
            f"_asked = {json.dumps([c.expression for c in found])}",
            "_answers = [_x.item() if hasattr(_x := eval(_e), 'item') else _x for _e in _asked]",
            f"print({_ANSWERS!r} + _json.dumps(_answers))",
        ]
    )
    notebook.cells.append(nbformat.v4.new_code_cell(ask))
    client = nbclient.NotebookClient(
        notebook,
        timeout=SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    last = notebook.cells.pop()
    (line,) = [
        line
        for output in last.outputs
        for line in output.get("text", "").splitlines()
        if line.startswith(_ANSWERS)
    ]
    return notebook, list(zip(found, json.loads(line.removeprefix(_ANSWERS)), strict=True))
