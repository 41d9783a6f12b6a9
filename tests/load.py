"""Fits for tests of load: ``python -m tests.load NUMBER FITS FILE`` is one of several processes.

The file gets, as JSON, a hash of every fit's draws. The same fit has the same hash anywhere.
"""

from __future__ import annotations

import hashlib
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import hiermodels as hm
from hiermodels.container import inference_data as idatas

QUICK: dict[str, Any] = {
    "chains": 1,
    "draws": 100,
    "warmup": 100,
    "progress": False,
    "pointwise": False,
}


def models() -> list[Any]:
    """Models of all families; the first needs a program that every process wants first."""
    rng = np.random.default_rng(8)
    rows = pd.DataFrame({"j": np.repeat(list("abcdef"), 7), "x": rng.normal(size=42)})
    rows["y"] = np.repeat(rng.normal(size=6), 7) + 0.5 * rows["x"] + rng.normal(size=42)
    schools = hm.EightSchools(hm.datasets.eight_schools(), effect="effect", se="se", group="school")
    return [
        schools,
        hm.OneWay(rows, y="y", group="j"),
        hm.VaryingSlopes(rows, y="y", group="j", varying=["x"]),
        schools.replace(parameterization="noncentered"),
    ]


def digest(idata: Any) -> str:
    """SHA-256 of all draws, names and shapes."""
    sha = hashlib.sha256()
    for name, values in sorted(idatas.dataset(idata, "posterior").items()):
        sha.update(f"{name} {values.shape}".encode())
        sha.update(np.ascontiguousarray(values.to_numpy(), dtype=np.float64).tobytes())
    return sha.hexdigest()


def fits(number: int, count: int) -> dict[str, str]:
    """The hashes of a process's fits, each with a seed of its own."""
    every, found = models(), {}
    for fit in range(count):
        seed = 1 + 1000 * number + fit
        found[str(seed)] = digest(every[fit % len(every)].fit(seed=seed, **QUICK))
    return found


if __name__ == "__main__":
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", "\\s*ArviZ is undergoing a major refactor", FutureWarning)
    warnings.simplefilter("ignore", hm.HierModelsWarning)  # that they are short
    Path(sys.argv[3]).write_text(json.dumps(fits(int(sys.argv[1]), int(sys.argv[2]))))
