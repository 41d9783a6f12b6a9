"""How short a warmup is safe: standardized programs against exact posteriors, by warmup.

``python -m benchmarks.warmup`` fits each case with many seeds at each length, prints a table and
writes docs/warmup.md. What is to be seen: errors in Monte Carlo standard errors whose root mean
square is 1 and no larger with a short warmup, effective sample sizes that do not fall, no
divergences.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import hiermodels as hm
from hiermodels.container import inference_data
from hiermodels.diagnostics import convergence
from hiermodels.models.model import SHORT_WARMUP
from tests import reference
from tests.models import one_way_exact, test_eight_schools, test_varying_slopes

LENGTHS = (50, 100, SHORT_WARMUP, 400, 1000)
STATISTICS = ("mean", "sd", "q5", "q95")
PAGE = Path(__file__).parents[1] / "docs" / "warmup.md"
TEXT = """# How long a warmup the marginal programs need

Written by `python -m benchmarks.warmup`. Each case is fitted with {seeds} seeds, 4 chains of 1,000
draws, after warmups of different lengths, with the metric that is the default (unit, once
standardized), and the hyperparameters' means, sds, 5 % and 95 % quantiles compared with the exact
posterior. A right sampler has errors of root mean square 1, in Monte Carlo standard errors; the
column ESS has the smallest bulk ESS of a fit, mean and worst over the seeds. The default is
{default}.

| case | warmup | rms error | largest | ESS | R-hat | divergences | leapfrogs |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""


def cases() -> dict[str, tuple[Any, dict[str, dict[str, float]]]]:
    """Models with the exact posteriors of their hyperparameters."""
    out: dict[str, tuple[Any, dict[str, dict[str, float]]]] = {}
    for name, priors in test_eight_schools.PRIORS.items():
        exact = {k: test_eight_schools.EXACT[name][k] for k in ("mu", "tau")}
        out[f"eight schools, {name}"] = (test_eight_schools.make(priors=priors), exact)
    small = hm.datasets.simulate_one_way(
        groups=6, size=[1, 3, 8, 2, 5, 9], mu=3, tau=1.5, sigma=1, seed=8
    ).frame
    scores = hm.datasets.mathscore().rename(columns={"mathscore": "y", "school": "group"})
    for name, frame in (("6 groups, 28 rows", small), ("100 groups, 1,993 rows", scores)):
        model = hm.OneWay(frame, y="y", group="group")
        out[f"one way, {name}"] = (model, one_way_exact.posterior(frame, dict(model.priors)))
    exam = test_varying_slopes.exam(priors=test_varying_slopes.WEAK)
    out["varying slopes, exam"] = (exam, test_varying_slopes.EXAM)
    return out


def quantities(posterior: Any, exact: dict[str, Any]) -> dict[str, Any]:
    """Draws by the names of the exact posterior."""
    if "rho" not in exact:
        return {name: posterior[name] for name in exact}
    return {
        "tau_intercept": posterior["tau"][..., 0],
        "tau_slope": posterior["tau"][..., 1],
        "rho": posterior["Omega"][..., 0, 1],
        "sigma": posterior["sigma"],
        "beta0": posterior["mu"][..., 0],
        "beta1": posterior["mu"][..., 1],
    }


def measure(model: Any, exact: dict[str, Any], warmup: int, seeds: int) -> str:
    """One row of the table, without the case."""
    errors, sizes, r_hats, divergences, steps = [], [], [], 0, []
    for seed in range(seeds):
        idata = model.fit(seed=seed, warmup=warmup, effects="none", pointwise=False, progress=False)
        posterior = inference_data.dataset(idata, "posterior")
        draws = quantities(posterior, exact)
        for name, values in exact.items():
            wanted = {k: v for k, v in values.items() if k in STATISTICS}
            errors += reference.z_scores(draws[name], wanted).values()
        free = posterior.drop_vars([v for v in ("icc", "Omega") if v in posterior])
        if "rho" in draws:
            free = free.assign(rho=draws["rho"])
        sizes.append(min(float(v.min()) for v in convergence.ess(free).data_vars.values()))
        r_hats.append(max(float(v.max()) for v in convergence.rhat(free).data_vars.values()))
        stats = inference_data.dataset(idata, "sample_stats")
        divergences += int(stats["diverging"].sum())
        steps.append(float(stats["n_steps"].mean()))
    z = np.abs(errors)
    return (
        f"{warmup} | {np.sqrt(np.mean(z**2)):.2f} | {z.max():.1f} | {np.mean(sizes):,.0f}, "
        f"{min(sizes):,.0f} | {max(r_hats):.3f} | {divergences} | {np.mean(steps):.1f} |"
    )


def main() -> None:
    """Print the table, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    seeds = parser.parse_args().seeds
    lines = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", hm.HierModelsWarning)
        for name, (model, exact) in cases().items():
            for warmup in LENGTHS:
                lines.append(f"| {name} | {measure(model, exact, warmup, seeds)}")
                print(lines[-1], flush=True)
    PAGE.write_text(TEXT.format(seeds=seeds, default=SHORT_WARMUP) + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
