"""SHA-256 of the posterior draws of some 20 models: whether a change of code changed an answer.

Run it before and after the change, with the same CmdStan and the same libraries::

    python -m benchmarks.same_draws > before.txt

A line holds the name of a model and the hash of its draws: the bytes of all variables of the
posterior, in the order of their names. It calls the public functions alone.
"""

from __future__ import annotations

import hashlib
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import hiermodels as hm

QUICK = {"chains": 2, "draws": 100, "seed": 17, "progress": False, "parallel_chains": 1}
FAST = {"chains": 2, "draws": 100, "seed": 17}


def eight(**options: Any) -> Any:
    """Eight schools."""
    frame = hm.datasets.eight_schools()
    return hm.EightSchools(frame, effect="effect", se="se", group="school", **options)


def one_way(**options: Any) -> Any:
    """Rows in ten groups."""
    frame, _ = hm.datasets.simulate_one_way(groups=10, size=6, seed=3)
    return hm.OneWay(frame, y="y", group="group", **options)


def slopes(**options: Any) -> Any:
    """Lines in eight groups, with a common column, whose centre lies far from 0."""
    frame, _ = hm.datasets.simulate_varying_slopes(groups=8, size=9, seed=5)
    frame = frame.assign(x1=frame["x1"] + 3, w=np.random.default_rng(1).normal(2, 1, len(frame)))
    return hm.VaryingSlopes(
        frame, y="y", group="group", **{"varying": ["x1"], "common": ["w"], **options}
    )


MODELS: dict[str, tuple[Callable[..., Any], dict[str, Any], dict[str, Any]]] = {
    "eight marginal": (eight, {}, QUICK),
    "eight centered": (eight, {"parameterization": "centered"}, QUICK),
    "eight noncentered": (eight, {"parameterization": "noncentered"}, QUICK),
    "eight none": (eight, {"pooling": "none"}, QUICK),
    "eight complete": (eight, {"pooling": "complete"}, QUICK),
    "eight exact": (eight, {}, {**FAST, "engine": "exact"}),
    "eight none exact": (eight, {"pooling": "none"}, {**FAST, "engine": "exact"}),
    "one_way marginal": (one_way, {}, QUICK),
    "one_way centered": (one_way, {"parameterization": "centered"}, QUICK),
    "one_way noncentered": (one_way, {"parameterization": "noncentered"}, QUICK),
    "one_way none": (one_way, {"pooling": "none"}, QUICK),
    "one_way complete": (one_way, {"pooling": "complete"}, QUICK),
    "one_way exact": (one_way, {}, {**FAST, "engine": "exact"}),
    "one_way complete exact": (one_way, {"pooling": "complete"}, {**FAST, "engine": "exact"}),
    "one_way gibbs": (one_way, {"priors": hm.gibbs.reference()}, {**FAST, "engine": "gibbs"}),
    "one_way own sigmas": (one_way, {"sigma": "group"}, QUICK),
    "one_way own sigmas centered": (
        one_way,
        {"sigma": "group", "parameterization": "centered"},
        QUICK,
    ),
    "one_way own sigmas none": (one_way, {"sigma": "group", "pooling": "none"}, QUICK),
    "slopes marginal": (slopes, {}, QUICK),
    "slopes centered": (slopes, {"parameterization": "centered"}, QUICK),
    "slopes noncentered": (slopes, {"parameterization": "noncentered"}, QUICK),
    "slopes none": (slopes, {"pooling": "none"}, QUICK),
    "slopes complete": (slopes, {"pooling": "complete"}, QUICK),
    "slopes importance": (slopes, {}, {**FAST, "engine": "exact"}),
    "slopes own sigmas": (slopes, {"sigma": "group"}, QUICK),
    "slopes intercept alone": (slopes, {"varying": [], "common": []}, QUICK),
    "slopes common intercept": (slopes, {"intercept": "common"}, QUICK),
    "slopes at zero": (slopes, {"intercept_at": "zero"}, QUICK),
}


def digest(idata: Any) -> str:
    """SHA-256 of the draws of a container, in hexadecimal digits."""
    found = hashlib.sha256()
    posterior = idata["posterior"]
    for name in sorted(str(n) for n in posterior.data_vars):
        values = np.ascontiguousarray(posterior[name].to_numpy())
        found.update(f"{name} {values.shape} {values.dtype}".encode())
        found.update(values.tobytes())
    return found.hexdigest()


def main() -> None:
    """Fit each model whose name has one of the words of the command line in it; or all."""
    for name, (made, options, how) in MODELS.items():
        if len(sys.argv) > 1 and not any(word in name for word in sys.argv[1:]):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            drawn = digest(made(**options).fit(**how))
        print(f"{name.replace(' ', '-')} {drawn}", flush=True)


if __name__ == "__main__":
    main()
