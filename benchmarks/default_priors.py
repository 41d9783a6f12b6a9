"""How often intervals hold the truth under the default priors of EightSchools, design by design.

``python -m benchmarks.default_priors`` simulates studies of a true mu and tau, whose standard
errors are more or less unequal, prints a table and writes docs/default_priors.md. The posterior is
that on a grid of tau, mu integrated out; the exact engine has to agree on the first data set of
each design.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

import hiermodels as hm
from hiermodels.priors.distributions import HalfT, Normal

Array = NDArray[np.float64]

DESIGNS: dict[str, tuple[float, ...]] = {
    "eight schools, in units of 12": tuple(hm.datasets.eight_schools()["se"] / 12),
    "3 of se 1": (1,) * 3,
    "3 of se 1, and one of 20": (1, 1, 1, 20),
    "3 of se 1, and 8 of 1,000": (1,) * 3 + (1000,) * 8,
    "8 of se 1, and 8 of 1,000": (1,) * 8 + (1000,) * 8,
    "7 of se 1, and one of 1e-6": (1,) * 7 + (1e-6,),
    "30 of se 1, and 3 of 0.05": (1,) * 30 + (0.05,) * 3,
    "6 of se 1, and 2 of 0.01": (1,) * 6 + (0.01,) * 2,
    "10, se from 0.1 to 10": tuple(np.geomspace(0.1, 10, 10)),
}
TAUS = (0.0, 0.3, 1.0, 3.0)
PAGE = Path(__file__).parents[1] / "docs" / "default_priors.md"
TEXT = """# What the default priors of EightSchools do to coverage

Written by `python -m benchmarks.default_priors`. In each of {runs:,} data sets per line mu is 0,
tau is given, and the estimates are normal about it; the default priors follow the estimates and
their standard errors, and 90 % intervals of mu and tau are central posterior ones. The columns have
the share of them that hold the true mu and the true tau (0 is in no central interval of tau), and
the median of sd(mu). "All alike" are defaults whose scale is the root mean square of the spread and
the standard errors of all studies alike, so that studies without information set them.
Monte Carlo standard errors are at most {mcse:.3f}; that of a coverage of 0.90 is {mcse_90:.3f}.

With eight informative studies or more, coverage is near 0.90, and above it where tau is near 0, as
it cannot be less there. With three, and a tau of three standard errors or more, it is 0.81 to 0.87:
a prior that is scaled with three estimates is too narrow where these are close to each other by
chance. Where two studies are a hundred times more precise than the others it is 0.71 to 0.77 for a
tau between the two standard errors. No rule can ignore studies because of their standard errors, as
lack of information asks, and go by them where the precise ones happen to agree. Give tau a prior of
your own where so few studies decide.

Other scales were tried and passed over: precision weights (1 / se^2), medians, and Paule and
Mandel's estimate with the typical variance of Higgins and Thompson. Eight studies of a thousand
times the standard error move all three, as each of them counts as one study there. Weights of
1 / se^4 alone follow a single study that is far more precise than all others.

| standard errors | tau | mu held | tau held | sd(mu) | all alike: mu held | tau held | sd(mu) |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""


def posterior(y: Array, se: Array, mu: Normal, tau: HalfT, truth: float) -> tuple[float, ...]:
    """P(mu < 0 | y), P(tau < truth | y) and sd(mu | y), by a grid over log tau.

    y_j ~ N(mu, v_j), v_j = se_j^2 + tau^2, so that mu is normal given tau, with the precision
    P = sum 1/v_j + 1/s0^2 (Bayesian Data Analysis, 3rd ed., section 5.4).
    """
    low, high = min(tau.scale, se.min()), max(tau.scale, se.max(), float(np.ptp(y)))
    x = np.linspace(math.log(low) - 8, math.log(high) + 5, 400)
    t = np.exp(x)
    v = t[:, None] ** 2 + se**2
    p0 = mu.sd**-2
    P = (1 / v).sum(axis=1) + p0
    m = ((y / v).sum(axis=1) + mu.mean * p0) / P
    squares = ((y - m[:, None]) ** 2 / v).sum(axis=1) + p0 * (m - mu.mean) ** 2
    log_f = -0.5 * (np.log(v).sum(axis=1) + np.log(P) + squares) + tau.log_density(t) + x
    f = np.exp(log_f - log_f.max())
    f /= f.sum()
    below_mu = float(f @ stats.norm.cdf(-m * np.sqrt(P)))
    below_tau = float(np.interp(math.log(truth), x, np.cumsum(f) - f / 2)) if truth else 0.0
    mean = f @ m
    return below_mu, below_tau, float(np.sqrt(f @ ((m - mean) ** 2 + 1 / P)))


def model(y: Array, se: Array) -> Any:
    """The model under its default priors."""
    frame = pd.DataFrame({"study": np.arange(len(y)), "y": y, "se": se})
    return hm.EightSchools(frame, effect="y", se="se", group="study")


def all_alike(y: Array, se: Array) -> float:
    """Root mean square of the spread and the standard errors of all studies."""
    return float(np.sqrt(np.mean((y - y.mean()) ** 2 + se**2)))


def agree(found: Any, ours: tuple[float, ...], truth: float) -> None:
    """Whether the exact engine gives the same."""
    exact = hm.exact.posterior(found)
    theirs = [exact.probability("mu", "<", 0.0), 0.0, exact.sd("mu")]
    if truth:
        theirs[1] = exact.probability("tau", "<", truth)
    np.testing.assert_allclose(ours, theirs, rtol=5e-3, atol=5e-3)


def coverage(se: Array, tau: float, runs: int, seed: int) -> str:
    """The cells of a line: coverages and sd(mu), of the defaults and with all studies alike."""
    rng = np.random.default_rng(seed)
    rows: list[list[tuple[float, ...]]] = [[], []]
    for run in range(runs):
        y = rng.normal(0, np.hypot(se, tau))
        found = model(y, se)
        mu, prior = found.priors["mu"], found.priors["tau"]
        rows[0].append(posterior(y, se, mu, prior, tau))
        if run == 0:
            agree(found, rows[0][0], tau)
        s = all_alike(y, se)
        rows[1].append(posterior(y, se, Normal(mu.mean, 2.5 * s), HalfT(3, s), tau))
    cells = []
    for below_mu, below_tau, sd in (np.array(r).T for r in rows):
        held = [np.mean(np.abs(p - 0.5) < 0.45) for p in (below_mu, below_tau)]
        cells += [f"{held[0]:.2f}", f"{held[1]:.2f}" if tau else "", f"{np.median(sd):.2g}"]
    return " | ".join(cells)


def main() -> None:
    """Print the table, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    runs = parser.parse_args().runs
    lines = []
    for d, (name, se) in enumerate(DESIGNS.items()):
        for k, tau in enumerate(TAUS):
            cells = coverage(np.array(se, dtype=float), tau, runs, 100 * d + k)
            lines.append(f"| {name} | {tau:g} | {cells} |")
            print(lines[-1], flush=True)
    errors = {"mcse": math.sqrt(0.25 / runs), "mcse_90": math.sqrt(0.09 / runs)}
    PAGE.write_text(TEXT.format(runs=runs, **errors) + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
