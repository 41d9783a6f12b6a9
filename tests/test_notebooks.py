"""The notebooks run, in kernels of their own, and their text says what they show."""

from __future__ import annotations

import re

import nbformat
import pytest

from tests import notebooks

FILES = sorted(notebooks.FOLDER.glob("*.ipynb"))
NAMES = (
    "01_eight_schools",
    "02_one_way_random_effects",
    "03_varying_slopes",
    "04_pooling_strategies",
)


def cell(text: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text)])


def test_every_notebook_is_there():
    assert tuple(path.stem for path in FILES) == NAMES


@pytest.mark.stan
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_notebook_runs_and_its_text_says_what_it_shows(path, monkeypatch):
    # Pictures go into the notebook, whatever the tests' own backend is.
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    # A kernel on a debugger's ear warns of frozen modules.
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    _, answers = notebooks.run(path)
    assert len(answers) >= 5
    silent = [str(claim) for claim, _ in answers if not claim.said]
    assert not silent, "these numbers are checked, and not in the text"
    wrong = [f"{claim}, and is {answer}" for claim, answer in answers if not claim.holds(answer)]
    assert not wrong, "the text says something else"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_notebook_is_committed_with_its_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    code = [c for c in notebook.cells if c.cell_type == "code"]
    assert [c.execution_count for c in code] == list(range(1, len(code) + 1))
    pictures = [o for c in code for o in c.outputs if "image/png" in o.get("data", {})]
    assert len(pictures) >= 3
    for c in code:
        for output in c.outputs:
            assert output.output_type != "error"
            # Warnings are for the author; what the reader is shown of them is printed.
            assert output.get("name") != "stderr", output.text
            text = str(output.get("text", "")) + str(output.get("data", {}).get("text/html", ""))
            assert not re.search(r"/(home|tmp|root|work|Users)/", text)


def test_a_claim_is_an_expression_a_number_and_a_tolerance():
    (claim,) = notebooks.claims(cell("It is 6.3 points. <!-- check: x['A'] = 6.3 +- 0.2 -->"))
    assert claim.expression == "x['A']"
    assert claim.said
    assert claim.holds(6.45)
    assert not claim.holds(6.55)
    assert not claim.holds("6.3")
    (name,) = notebooks.claims(cell("The best is A. <!-- check: best = 'A' -->"))
    assert name.said
    assert name.holds("A")
    assert not name.holds("B")
    text = "elpd is \N{MINUS SIGN}30.7. <!-- check: e = -30.7 +- 0.1 -->"
    (negative,) = notebooks.claims(cell(text))
    assert negative.said
    assert negative.value == -30.7


def test_a_number_that_is_not_in_the_text_is_found_out():
    (claim,) = notebooks.claims(cell("It is 16.31 points. <!-- check: x = 6.3 +- 0.2 -->"))
    assert not claim.said


def test_a_check_that_cannot_be_read_is_an_error():
    with pytest.raises(ValueError, match="a check is `expression = number"):
        list(notebooks.claims(cell("<!-- check: x is about 6 -->")))
    with pytest.raises(SyntaxError):
        list(notebooks.claims(cell("<!-- check: x[ = 6 +- 1 -->")))
