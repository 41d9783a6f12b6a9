"""A made-up family: the Laplace distribution about the linear predictor, with its Stan programs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from hiermodels.data.design import Design
from hiermodels.data.rows import Rows
from hiermodels.errors import DataError, OptionError
from hiermodels.families import Family
from hiermodels.priors.blocks import Block
from hiermodels.priors.distributions import HalfT

Array = Any
FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Laplace(Family):
    """y_i ~ Laplace(eta_i, b): density exp(-|y - eta| / b) / 2b."""

    folder: str = str(FOLDER)

    name: ClassVar[str] = "Laplace"

    def check(self, design: Design) -> None:
        if design.sds[-1] == 0:
            raise DataError(f"y={design.response!r} must vary; is it the right column?")

    def program(self, stem: str, form: str) -> Path:
        path = Path(self.folder) / f"laplace_{stem}_{form}.stan"
        if not path.exists():
            raise OptionError(f"the family Laplace has no program {path.stem}; use OneWay")
        return path

    def blocks(self) -> tuple[Block, ...]:
        return (Block("b", "scale"),)

    def typical(self, design: Design) -> tuple[float, float]:
        return float(design.means[-1]), float(design.sds[-1])

    def default_priors(self, design: Design) -> dict[str, Any]:
        return {"b": HalfT(3, float(design.sds[-1]))}

    def start(self, design: Design, spread: float, rng: np.random.Generator) -> dict[str, Array]:
        return {"b": spread * np.exp(rng.uniform(-0.5, 0.5, 1))}

    def log_density(self, rows: Rows, eta: Array, aux: Mapping[str, Array]) -> Array:
        return -np.abs(rows.y - eta) / aux["b"] - np.log(2 * aux["b"])

    def draw(
        self, rows: Rows, eta: Array, aux: Mapping[str, Array], rng: np.random.Generator
    ) -> Array:
        return eta + aux["b"] * rng.laplace(size=eta.shape)

    def variance(self, design: Design, aux: Mapping[str, Array]) -> Array:
        return 2 * aux["b"] ** 2

    def own_estimates(self, design: Design) -> tuple[Array, Array]:
        rows = design.rows("medians")
        groups = [rows.y[rows.index == j] for j in range(design.J)]
        median = np.array([np.median(y) for y in groups])
        b = np.mean(np.abs(rows.y - median[rows.index]))
        return median[:, None], (b / np.sqrt(design.sizes))[:, None]

    def symbols(self, eta: str, group: str) -> tuple[str, list[tuple[str, str]]]:
        words = [
            ("b", f"mean absolute deviation from the median of the {group}"),
            ("Laplace(m, b)", "double exponential with median m and mean absolute deviation b"),
        ]
        return f"y_i ~ Laplace({eta}, b)", words
