"""Containers made by hand: of any number of groups, with draws whose means are known."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import xarray as xr

from hiermodels import datasets
from hiermodels.container import inference_data

DIMS = ("chain", "draw")
CHAINS, DRAWS = 2, 60


def normal(rng: np.random.Generator, centre: Any, sd: float) -> np.ndarray:
    """Draws about a centre, shape (chain, draw, ...)."""
    centre = np.asarray(centre, dtype=float)
    return centre + sd * rng.standard_normal((CHAINS, DRAWS, *centre.shape))


def dataset(group: str, labels: list[str], **variables: Any) -> xr.Dataset:
    return xr.Dataset(variables, coords={group: labels})


def eight_schools(**more: xr.Dataset) -> Any:
    """Rubin's schools; draws of theta halfway between the estimates and their mean."""
    frame = datasets.eight_schools()
    labels, y = frame["school"].tolist(), frame["effect"].to_numpy()
    rng = np.random.default_rng(4)
    groups = {
        "posterior": dataset(
            "school",
            labels,
            mu=(DIMS, normal(rng, y.mean(), 0.5)),
            tau=(DIMS, np.exp(normal(rng, 1.0, 0.5))),
            theta=((*DIMS, "school"), normal(rng, (y + y.mean()) / 2, 3.0)),
        ),
        "posterior_predictive": dataset(
            "school", labels, effect=((*DIMS, "school"), normal(rng, y, 10.0))
        ),
        "observed_data": dataset("school", labels, effect=("school", y)),
        "constant_data": dataset("school", labels, se=("school", frame["se"].to_numpy())),
    }
    columns = {"effect": "effect", "se": "se", "group": "school"}
    attrs = {"pooling": "partial", "columns": json.dumps(columns)}
    return inference_data.container(groups | more, attrs)


def one_way(J: int = 8, *, pooling: str = "partial", shrink: float = 0.5, **more: Any) -> Any:
    """Rows in a random order, in groups "g1", ..., of 2 to 9 rows; theta between mean and mu."""
    sizes = np.arange(J) % 8 + 2
    frame, _ = datasets.simulate_one_way(groups=J, size=sizes, mu=50, tau=10, sigma=4, seed=9)
    frame = frame.sample(frac=1, random_state=1)
    index = frame["group"].to_numpy() - 1
    y = frame["y"].to_numpy()
    own = np.bincount(index, y, J) / np.bincount(index, minlength=J)
    centre = own.mean()
    rng = np.random.default_rng(5)
    shrunk = {"none": own, "partial": shrink * centre + (1 - shrink) * own}
    theta = shrunk.get(pooling, np.full(J, centre))
    labels = [f"g{j + 1}" for j in range(J)]
    posterior = {
        "theta": ((*DIMS, "group"), normal(rng, theta, 2.0)),
        "sigma": (DIMS, np.exp(normal(rng, 1.4, 0.1))),
    }
    if pooling != "none":
        posterior["mu"] = (DIMS, normal(rng, centre, 1.0))
    if pooling == "partial":
        posterior["tau"] = (DIMS, np.exp(normal(rng, 2.3, 0.2)))
    groups = {
        "posterior": dataset("group", labels, **posterior),
        "posterior_predictive": xr.Dataset(
            {"y": ((*DIMS, "observation"), normal(rng, theta[index], 4.0))}
        ),
        "observed_data": xr.Dataset({"y": ("observation", y)}),
        "constant_data": dataset(
            "group",
            labels,
            group_index=("observation", index),
            group_size=("group", np.bincount(index, minlength=J)),
        ),
    }
    attrs = {"pooling": pooling, "columns": json.dumps({"y": "y", "group": "group"})}
    return inference_data.container(groups | more, attrs)


def raw_means(idata: Any) -> np.ndarray:
    """The means of the groups' rows."""
    index = inference_data.dataset(idata, "constant_data")["group_index"].to_numpy()
    y = inference_data.dataset(idata, "observed_data")["y"].to_numpy()
    return np.bincount(index, y) / np.bincount(index)


def slopes(
    J: int = 8,
    *,
    pooling: str = "partial",
    common: bool = False,
    size: Any = None,
    **more: Any,
) -> Any:
    """Rows with an intercept and the column ``hours`` that vary, and ``age`` that may be common."""
    size = 4 + np.arange(J) % 6 if size is None else size
    beta = (0.5,) if common else ()
    frame, truth = datasets.simulate_varying_slopes(
        groups=J, size=size, mu=(10, 2), tau=(2, 1), Omega=0.4, beta=beta, seed=3
    )
    frame = frame.sample(frac=1, random_state=2)
    index, N = frame["group"].to_numpy() - 1, len(frame)
    rng = np.random.default_rng(6)
    labels = [f"s{j + 1}" for j in range(J)]
    coefficient = ["Intercept", "hours"]
    theta = truth["theta"] if pooling != "complete" else np.tile([10.0, 2.0], (J, 1))
    posterior: dict[str, Any] = {
        "theta": ((*DIMS, "school", "coefficient"), normal(rng, theta, 0.2)),
        "sigma": (DIMS, np.exp(normal(rng, 0.0, 0.1))),
    }
    coords: dict[str, Any] = {"school": labels, "coefficient": coefficient}
    if pooling != "none":
        posterior["mu"] = ((*DIMS, "coefficient"), normal(rng, [10.0, 2.0], 0.3))
    if pooling == "partial":
        posterior["tau"] = ((*DIMS, "coefficient"), np.exp(normal(rng, np.log([2.0, 1.0]), 0.05)))
        r = np.tanh(normal(rng, 0.4, 0.1))
        Omega = np.stack([np.stack([r * 0 + 1, r], -1), np.stack([r, r * 0 + 1], -1)], -1)
        posterior["Omega"] = ((*DIMS, "coefficient", "coefficient_2"), Omega)
        coords["coefficient_2"] = coefficient
    z = np.column_stack([np.ones(N), frame["x1"]])
    constant: dict[str, Any] = {
        "z": (("observation", "coefficient"), z),
        "group_index": ("observation", index),
        "group_size": ("school", np.bincount(index, minlength=J)),
    }
    if common:
        coords["predictor"] = ["age"]
        own = pooling == "none"
        centre = np.full((J, 1), 0.5) if own else [0.5]
        dims = (*DIMS, "school", "predictor") if own else (*DIMS, "predictor")
        posterior["beta"] = (dims, normal(rng, centre, 0.1))
        constant["x"] = (("observation", "predictor"), frame[["w1"]].to_numpy())
    groups = {
        "posterior": xr.Dataset(posterior, coords=coords),
        "observed_data": xr.Dataset({"score": ("observation", frame["y"].to_numpy())}),
        "constant_data": xr.Dataset(
            constant, coords={k: v for k, v in coords.items() if k != "coefficient_2"}
        ),
    }
    columns = {"y": "score", "group": "school", "varying": ["hours"]}
    attrs = {"pooling": pooling, "columns": json.dumps(columns)}
    return inference_data.container(groups | more, attrs)


def summed(idata: Any) -> Any:
    """The same fit with its effects summed up instead of drawn."""
    groups = {name: inference_data.dataset(idata, name) for name in inference_data.groups(idata)}
    theta = groups["posterior"]["theta"]
    parts = [theta.mean(DIMS), theta.quantile(0.05, DIMS), theta.quantile(0.95, DIMS)]
    parts = [part.drop_vars("quantile", errors="ignore") for part in parts]
    stacked = xr.concat(parts, dim=xr.Variable("statistic", ["mean", "q5", "q95"]))
    groups["posterior"] = groups["posterior"].drop_vars("theta")
    groups["effects_summary"] = xr.Dataset({"theta": stacked})
    return inference_data.container(groups, inference_data.attributes(idata))


def diverging(places: list[tuple[int, int]]) -> xr.Dataset:
    """Sampler statistics in which some (chain, draw) diverged."""
    bad = np.zeros((CHAINS, DRAWS), dtype=bool)
    for chain, draw in places:
        bad[chain, draw] = True
    return xr.Dataset({"diverging": (DIMS, bad)})
