"""Exact answers to compare draws with, and how far draws may be from them.

A posterior mean estimated from draws has a Monte Carlo standard error (MCSE); a right program gives
z = (estimate - exact) / MCSE that is about standard normal, so |z| < 4 passes for any right program
but one time in 16,000, and fails for a program that is off by a few per cent of a posterior sd.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from hiermodels.container import inference_data as idatas

# Exact posteriors by quadrature lie beside a checkout, not in it: set this to where they are.
FOLDER = Path(
    os.environ.get("HIERMODELS_REFERENCE", Path(__file__).parents[2] / "shared" / "reference")
)
LIMIT = 4.0


def load(name: str) -> dict[str, Any]:
    """One of the exact posteriors, or a skipped test where they are not at hand."""
    path = FOLDER / name
    if not path.is_file():
        pytest.skip(f"the exact posterior {name} is not at hand; set HIERMODELS_REFERENCE")
    answer: dict[str, Any] = json.loads(path.read_text())
    return answer


def frame(name: str) -> pd.DataFrame:
    path = FOLDER / name
    if not path.is_file():
        pytest.skip(f"the data {name} are not at hand; set HIERMODELS_REFERENCE")
    return pd.read_csv(path)


def mcse(draws: np.ndarray, method: str, prob: float | None = None) -> float:
    """ArviZ's MCSE of one quantity; draws of shape (chain, draw)."""
    az = idatas.arviz()
    if method == "quantile":
        return float(az.mcse(draws, method="quantile", prob=prob))
    return float(az.mcse(draws, method=method))


def z_scores(draws: np.ndarray, exact: dict[str, float]) -> dict[str, float]:
    """z of each statistic that ``exact`` has among mean, sd, q5 and q95."""
    draws = np.asarray(draws, dtype=float)
    out = {}
    if "mean" in exact:
        out["mean"] = (draws.mean() - exact["mean"]) / mcse(draws, "mean")
    if "sd" in exact:
        out["sd"] = (draws.std() - exact["sd"]) / mcse(draws, "sd")
    for name, prob in (("q5", 0.05), ("q95", 0.95)):
        if name in exact:
            z = np.quantile(draws, prob) - exact[name]
            out[name] = z / mcse(draws, "quantile", prob)
    return out


def assert_exact(
    posterior: Any,
    exact: dict[str, dict[str, float]],
    *,
    statistics: tuple[str, ...] = ("mean", "sd", "q5", "q95"),
    limit: float = LIMIT,
) -> None:
    """Every quantity within ``limit`` MCSE of its exact value.

    ``exact`` maps a name to its statistics; ``posterior`` maps the same names to draws.
    """
    wrong = []
    for name, values in exact.items():
        wanted = {k: v for k, v in values.items() if k in statistics}
        for statistic, z in z_scores(posterior[name], wanted).items():
            if not abs(z) < limit:
                wrong.append(f"{name} {statistic}: z = {z:.2f}")
    assert not wrong, "; ".join(wrong)


def assert_same_posterior(a: Any, b: Any, names: dict[str, Any], limit: float = 4.5) -> None:
    """Means and sds of two sets of independent draws agree: z of the difference.

    ``names`` maps a label to a function that takes the draws out of a posterior dataset.
    """
    wrong = []
    for label, take in names.items():
        x, y = np.asarray(take(a), dtype=float), np.asarray(take(b), dtype=float)
        for method, stat in (("mean", np.mean), ("sd", np.std)):
            error = np.hypot(mcse(x, method), mcse(y, method))
            z = (stat(x) - stat(y)) / error
            if not abs(z) < limit:
                wrong.append(f"{label} {method}: z = {z:.2f}")
    assert not wrong, "; ".join(wrong)


def mcse_of_sd(ds: xr.Dataset) -> xr.Dataset:
    """MCSE of the sd by the delta method, from ArviZ's ESS of the squared deviations.

    Not every az.mcse has it so: that of ArviZ 0.20 supposes normal draws, and that of arviz-stats
    1.0 to 1.3.0 takes the ESS of the draws themselves.
    """
    squares = (ds - ds.mean(("chain", "draw"))) ** 2
    variance = squares.mean(("chain", "draw"))
    spread = (squares**2).mean(("chain", "draw")) - variance**2
    ess = idatas.arviz().ess(squares, method="mean")
    return (spread / ess / variance / 4) ** 0.5
