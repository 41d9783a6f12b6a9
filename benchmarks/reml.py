"""REML beside statsmodels' MixedLM: ``python -m benchmarks.reml [--data-sets 40]``.

Simulated regressions of 20 groups of 8 rows, y ~ x + (x | group), whose group standard deviations
are 0, 0.3 or 0.5: few enough groups that the maximum is often at a component of 0. Both maximize
the same restricted likelihood; a fit is short where it is more than 1e-3 below the other's.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
import pandas as pd

import hiermodels as hm
from hiermodels.classical import variance_components

__all__ = ["main"]

_TRUTHS = ((0.5, 0.0), (0.0, 0.0), (0.0, 0.3), (0.5, 0.5))


def main() -> int:
    """Print how often each falls short, and how long they took."""
    from statsmodels.regression.mixed_linear_model import MixedLM

    parser = argparse.ArgumentParser(prog="benchmarks.reml", description=__doc__)
    parser.add_argument("--data-sets", type=int, default=40)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # MixedLM says much of what is counted here
    counts = dict.fromkeys(("theirs short", "... converged=True", "... interior", "ours short"), 0)
    seconds = {"ours": 0.0, "theirs": 0.0}
    for seed in range(options.data_sets):
        rng = np.random.default_rng(seed)
        group = np.repeat(np.arange(20), 8)
        x = rng.normal(size=group.size)
        intercept, slope = _TRUTHS[seed % len(_TRUTHS)]
        y = rng.normal(size=20)[group] * intercept + rng.normal(size=20)[group] * slope * x
        frame = pd.DataFrame({"y": y + rng.normal(size=group.size), "x": x, "group": group})
        model = hm.VaryingSlopes(frame, y="y", group="group", varying=["x"])
        began = time.perf_counter()
        ours = variance_components.maximize(model.design)
        seconds["ours"] += time.perf_counter() - began
        rows = model.design.rows("MixedLM")
        began = time.perf_counter()
        theirs = MixedLM(rows.y, rows.z, rows.index, exog_re=rows.z).fit()
        seconds["theirs"] += time.perf_counter() - began
        ahead = ours.log_likelihood - theirs.llf
        counts["theirs short"] += ahead > 1e-3
        counts["... converged=True"] += ahead > 1e-3 and bool(theirs.converged)
        counts["... interior"] += ahead > 1e-3 and not ours.boundary
        counts["ours short"] += ahead < -1e-3
    for what, number in counts.items():
        print(f"{what}: {int(number)} of {options.data_sets}")
    print(", ".join(f"{who} {value:.1f} s" for who, value in seconds.items()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
