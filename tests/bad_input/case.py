"""What a case is: an input, what is asked of it, and the answer or the words that come."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import hiermodels as hm
from hiermodels.container import inference_data
from hiermodels.errors import DataError

COLUMNS: dict[str, dict[str, Any]] = {
    "OneWay": {"y": "y", "group": "g"},
    "EightSchools": {"effect": "y", "se": "se", "group": "g"},
    "VaryingSlopes": {"y": "y", "group": "g", "varying": ["x"]},
}
DRAWS = {"engine": "exact", "chains": 2, "draws": 50, "seed": 1}


@dataclass(frozen=True)
class Case:
    """An input and what happens.

    Attributes
    ----------
    what : str
        The input, in words.
    frame : data frame, path, or callable of a folder that gives one
        What the model is given.
    family, columns, options, fit : str, dict, dict, dict
        The model's name, its columns where they are not the usual ones, its other options, and
        those of ``fit`` (beside ``DRAWS``).
    says : str
        The whole message, with ``...`` for what differs between machines and library versions;
        empty where there is an answer.
    kind : type
        Of the error.
    warns : str
        What a right answer warns of, likewise.
    answer : callable
        Checks the posterior (a dataset) and the model.
    typed : {"csv", "parquet", "as it is", ""}
        How the command line is given the frame: written as a file of that kind, or the path that
        it is; empty where it cannot be said there.
    slow : bool
        Takes more than some seconds.
    """

    what: str
    frame: Any
    family: str = "OneWay"
    columns: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    fit: dict[str, Any] = field(default_factory=dict)
    says: str = ""
    kind: type[Exception] = DataError
    warns: str = ""
    answer: Callable[[Any, Any], None] | None = None
    typed: str = "csv"
    slow: bool = False

    def given(self, folder: Path) -> Any:
        """The frame itself."""
        return self.frame(folder) if callable(self.frame) else self.frame

    @property
    def arguments(self) -> dict[str, Any]:
        """Those of the model's constructor."""
        return {**COLUMNS[self.family], **self.columns, **self.options}

    def model(self, folder: Path) -> Any:
        """The model that is asked for."""
        return getattr(hm, self.family)(self.given(folder), **self.arguments)

    def command(self, file: Any, output: Path) -> list[str]:
        """The same as words of a command line."""
        name = re.sub(r"(?<=.)([A-Z])", r"-\1", self.family).lower()
        words = ["fit", name, str(file), "-o", str(output)]
        for key, value in {**self.arguments, **DRAWS, **self.fit}.items():
            if key == "priors":
                words += [w for prior in priors_typed(value) for w in ("--prior", prior)]
            elif isinstance(value, list):
                words += [w for v in value for w in (option(key), str(v))]
            else:
                words += [option(key), str(value)]
        return words


def option(name: str) -> str:
    """``max_treedepth`` -> ``--max-treedepth``."""
    return "--" + name.replace("_", "-")


def priors_typed(priors: dict[str, Any]) -> list[str]:
    """Priors as one types them: all digits, which their own text does not have."""
    words = []
    for name, prior in priors.items():
        parts = prior.items() if isinstance(prior, dict) else [(None, prior)]
        for element, one in parts:
            numbers = ", ".join(repr(n) for n in one.numbers)
            place = name if element is None else f"{name}[{element}]"
            words.append(f"{place}={type(one).__name__}({numbers})")
    return words


def pattern(text: str) -> str:
    """A message as a regular expression: ``...`` stands for anything on the line."""
    return ".*".join(re.escape(part) for part in text.split("...")) + r"\Z"


# ---- plain data, and answers like theirs --------------------------------------------------------


@cache
def _rows() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    g = np.repeat(list("abcdef"), 4)
    x = rng.normal(size=24)
    effect = np.repeat(rng.normal(0, 2, size=6), 4)
    return pd.DataFrame({"g": g, "x": x, "y": effect + 0.5 * x + rng.normal(size=24)})


def rows(**columns: Any) -> pd.DataFrame:
    """24 rows in six groups, with columns changed or added."""
    return _rows().assign(**columns)


def schools(**columns: Any) -> pd.DataFrame:
    """The eight schools as y, se and g, with columns changed or added."""
    frame = hm.datasets.eight_schools().set_axis(["g", "y", "se"], axis="columns")
    return frame.astype({"y": float, "se": float}).assign(**columns)


@cache
def _plain(family: str, common: bool, pooling: str) -> Any:
    frame = schools() if family == "EightSchools" else rows()
    if common:
        return None
    model = getattr(hm, family)(frame, **COLUMNS[family], pooling=pooling)
    return inference_data.dataset(model.fit(**DRAWS), "posterior")


def like_plain(
    scale: float = 1.0, shift: float = 0.0, x: float = 1.0, rtol: float = 1e-6
) -> Callable[[Any, Any], None]:
    """An answer that has the very draws of the plain data, in other units."""

    def check(posterior: Any, model: Any) -> None:
        plain = _plain(model.name, False, model.pooling)
        for name in ("mu", "tau", "theta", "sigma"):
            if name not in plain:
                continue
            # Shifts before scales would overflow where y is 1e300.
            expected = np.asarray(plain[name].values, dtype=np.longdouble) * scale
            found = np.asarray(posterior[name].values, dtype=np.longdouble)
            if "coefficient" in plain[name].dims:
                expected = expected / np.array([1, x])
                at = np.array([shift, 0])
            else:
                at = shift
            if name in ("mu", "theta"):
                expected = expected + at
            size = np.abs(np.asarray(plain["tau"].values)).max() * abs(scale)
            np.testing.assert_allclose(
                np.asarray(found / size, dtype=float),
                np.asarray(expected / size, dtype=float),
                rtol=rtol,
                atol=rtol,
            )

    units = "" if (scale, shift, x) == (1, 0, 1) else ", in these units"
    check.__doc__ = f"the draws of the plain data{units}"
    return check
