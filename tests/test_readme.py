"""The examples of README and docs run as they are printed; what they link to and name exists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from hiermodels.models.model import Model

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = {
    f"{page.stem} {number}": code
    for page in PAGES
    for number, code in enumerate(
        re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.S), 1
    )
}


@pytest.mark.stan
@pytest.mark.filterwarnings("ignore:(R-hat|bulk ESS|tail ESS|.*diverged|E-BFMI|.*had findings)")
@pytest.mark.parametrize("code", EXAMPLES.values(), ids=EXAMPLES)
def test_an_example_runs(
    code: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    fit = Model.fit

    def quick(self: Model, **options: Any) -> Any:
        short = {} if options.get("engine") == "exact" else {"warmup": 200}
        return fit(self, **{"draws": 100, **short, "progress": False, **options})

    monkeypatch.setattr(Model, "fit", quick)
    exec(compile(code, "README.md", "exec"), {})  # noqa: S102 - our own words
    assert capsys.readouterr().out
    import matplotlib.pyplot as plt

    plt.close("all")


def test_the_examples_are_short() -> None:
    for code in EXAMPLES.values():
        assert len(code.splitlines()) <= 14


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) < 200


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (page.parent / link).exists(), link
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"(?m)(?:^|`)make ([a-z-]+)(?=`| *#| *$)", text):
        assert re.search(rf"^{target}:", makefile, flags=re.M), target


def test_every_program_is_in_the_table() -> None:
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    from hiermodels.stan import programs

    for name in programs.names():
        stem = re.sub(r"_(centered|noncentered)$", "_centered`, `_noncentered", name)
        assert f"`{stem}`" in page, name
