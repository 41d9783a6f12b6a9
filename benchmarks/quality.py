"""What draws are worth, and whether two contenders' draws say the same.

All effective sample sizes are computed here, by the ArviZ of our environment, from the draws that a
contender left; no package measures itself.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

__all__ = ["Z_LIMIT", "disagreements", "from_truth", "measure", "of_estimates"]

Z_LIMIT = 5.0
"""Difference of posterior means, in combined Monte Carlo standard errors, that is too much."""
SD_LIMIT = 0.10
"""Relative difference of posterior standard deviations that is too much, where MCSE allows."""
TRUTH_LIMIT = 5.0
"""Distance of a posterior mean from what was simulated, in posterior sds, that is too much."""


def measure(path: Path) -> tuple[dict[str, Any], xr.Dataset]:
    """Figures of a file of draws.

    Returns
    -------
    dict
        Smallest bulk and tail ESS over hyperparameters and over effects (None where there are no
        effects), the parameter that has it, and the largest R-hat.
    Dataset
        ``mean``, ``sd``, ``mcse_mean`` and ``mcse_sd`` of each scalar, along ``parameter``.

    Raises
    ------
    ValueError
        If a draw is not finite, or an ESS, an R-hat or an MCSE of any entry is NaN, as it is for
        draws that do not move.
    """
    import arviz as az

    with np.load(path) as file:
        draws = {name: np.asarray(file[name], dtype=float) for name in file.files}
    theta = draws.pop("theta", None)
    names = list(draws)
    values = [draws[name] for name in names]
    if theta is not None:
        flat = theta.reshape(*theta.shape[:2], -1)
        names += [f"theta[{i}]" for i in range(flat.shape[-1])]
        values += list(np.moveaxis(flat, -1, 0))
    array = xr.DataArray(
        np.stack(values, axis=-1),
        dims=("chain", "draw", "parameter"),
        coords={"parameter": names},
    )
    if not np.isfinite(array).all():
        raise ValueError(f"{path.name}: draws that are not finite")
    ds = xr.Dataset({"x": array})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bulk = az.ess(ds, method="bulk")["x"]
        # Said in full, because ArviZ 1.x has another default.
        tail = az.ess(ds, method="tail", prob=(0.05, 0.95))["x"]
        rhat = az.rhat(ds, method="rank")["x"]
        moments = xr.Dataset(
            {
                "mean": array.mean(("chain", "draw")),
                "sd": array.std(("chain", "draw")),
                "mcse_mean": az.mcse(ds, method="mean")["x"],
                "mcse_sd": az.mcse(ds, method="sd")["x"],
            }
        )
    measured = {"bulk ESS": bulk, "tail ESS": tail, "R-hat": rhat, "MCSE": moments["mcse_mean"]}
    for what, found in measured.items():
        if np.isnan(found.values).any():
            worst = names[int(np.argmax(np.isnan(found.values)))]
            raise ValueError(f"{path.name}: {what} of {worst} is NaN")
    hyper = slice(0, len(draws))
    effects = slice(len(draws), None)
    figures: dict[str, Any] = {
        "draws": int(array.sizes["chain"] * array.sizes["draw"]),
        "ess_bulk": float(bulk[hyper].min()),
        "ess_tail": float(tail[hyper].min()),
        "worst": str(names[int(np.argmin(bulk.values[hyper]))]),
        "rhat": float(rhat.max()),
        "ess_bulk_effects": None,
        "ess_tail_effects": None,
    }
    if theta is not None:
        figures["ess_bulk_effects"] = float(bulk[effects].min())
        figures["ess_tail_effects"] = float(tail[effects].min())
    figures["mean"] = {n: float(moments["mean"].sel(parameter=n)) for n in names[hyper]}
    figures["sd"] = {n: float(moments["sd"].sel(parameter=n)) for n in names[hyper]}
    return figures, moments


def disagreements(name: str, moments: xr.Dataset, reference: xr.Dataset) -> list[str]:
    """What a contender's answers have different from the reference; empty if they agree.

    A posterior mean must lie within ``Z_LIMIT`` combined Monte Carlo standard errors. A posterior
    sd must be within ``SD_LIMIT`` of the other, or within the same number of standard errors where
    there are too few effective draws to tell.
    """
    ours = set(moments["parameter"].values.tolist())
    theirs = set(reference["parameter"].values.tolist())
    hyper = {n for n in ours | theirs if not n.startswith("theta")}
    wrong = [f"{name}: {n} is missing" for n in sorted(hyper - (ours & theirs))]
    both = [n for n in moments["parameter"].values.tolist() if n in theirs]
    a, b = moments.sel(parameter=both), reference.sel(parameter=both)
    z = (a["mean"] - b["mean"]) / np.hypot(a["mcse_mean"], b["mcse_mean"])
    ratio = a["sd"] / b["sd"]
    noise = np.hypot(a["mcse_sd"], b["mcse_sd"]) / b["sd"]
    allowed = np.maximum(SD_LIMIT, Z_LIMIT * noise)
    for n, z_n, ratio_n, allowed_n in zip(
        both, z.values, ratio.values, allowed.values, strict=True
    ):
        if not abs(z_n) < Z_LIMIT:
            wrong.append(f"{name}: mean of {n} is off by z = {z_n:.1f}")
        if not abs(ratio_n - 1) < allowed_n:
            wrong.append(f"{name}: sd of {n} is {ratio_n:.2f} times the reference's")
    return wrong


def of_estimates(name: str, estimates: dict[str, float], reference: xr.Dataset) -> list[str]:
    """Where point estimates lie further from the posterior mean than a posterior sd.

    A maximum of a likelihood and a mean of a posterior are not the same number; with many groups
    they are close.
    """
    wrong = []
    for n, value in estimates.items():
        there = reference.sel(parameter=n)
        away = abs(value - float(there["mean"])) / float(there["sd"])
        if not away < 1:
            wrong.append(f"{name}: the estimate of {n} is {away:.1f} posterior sds away")
    return wrong


def from_truth(name: str, moments: xr.Dataset, truth: dict[str, float]) -> list[str]:
    """Where posterior means lie too many posterior sds from what the data were simulated with.

    Coarser than a comparison of draws, but it needs nobody else's.
    """
    wrong = []
    for n, value in truth.items():
        if n not in moments["parameter"].values:
            wrong.append(f"{name}: {n} is missing")
            continue
        there = moments.sel(parameter=n)
        away = abs(value - float(there["mean"])) / float(there["sd"])
        if not away < TRUTH_LIMIT:
            wrong.append(f"{name}: {n} is {away:.1f} posterior sds from the simulated {value:g}")
    return wrong
