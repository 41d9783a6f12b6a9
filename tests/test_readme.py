"""The README's examples run as they are printed, and its shell commands exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from hiermodels.models.model import Model

README = (Path(__file__).parents[1] / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, flags=re.S)


@pytest.mark.stan
@pytest.mark.filterwarnings("ignore:(R-hat|bulk ESS|tail ESS|.*diverged|E-BFMI|.*had findings)")
@pytest.mark.parametrize(
    "code",
    EXAMPLES,
    ids=[
        "eight schools",
        "one way",
        "varying slopes",
        "statistics",
        "right",
        "ways",
        "pooling",
        "questions",
        "many",
    ],
)
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
    assert "mu" in capsys.readouterr().out
    import matplotlib.pyplot as plt

    plt.close("all")


def test_the_examples_are_short() -> None:
    for code in EXAMPLES:
        assert len(code.splitlines()) <= 14


def test_the_makefile_has_the_targets_that_are_named() -> None:
    makefile = (Path(__file__).parents[1] / "Makefile").read_text()
    for target in re.findall(r"(?m)(?:^|`)make ([a-z]+)", README):
        assert re.search(rf"^{target}:", makefile, flags=re.M), target


def test_every_program_is_in_the_table() -> None:
    from hiermodels.stan import programs

    for name in programs.names():
        stem = re.sub(r"_(centered|noncentered)$", "_centered`, `_noncentered", name)
        assert f"`{stem}`" in README, name
