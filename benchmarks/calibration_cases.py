"""What the recorded calibration covers: every program, every engine, designs small and large.

Each case is a model whose design and priors are written out here, so that a case is the same
wherever it runs. Responses are of no account: each simulation brings its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import hiermodels as hm

__all__ = ["CASES", "Case"]

UNEQUAL = (1, 1, 2, 3, 4, 6, 8, 12)
"""Sizes of 8 groups, two of them of one row."""

FUNNEL = (
    "biased, as is known of centered programs: where tau is near 0 the density narrows to a funnel "
    "whose neck NUTS does not enter, and divergences say so"
)


@dataclass(frozen=True)
class Case:
    """A calibration to run.

    Attributes
    ----------
    name : str
        Of its file and its line of the page.
    design : str
        What is special about the design, in words.
    build : callable
        Makes the model.
    engine : str
        How its posteriors are drawn from.
    known : str
        Why it may fail, where that is known; such a case is no fault of the program.
    """

    name: str
    design: str
    build: Callable[[], Any]
    engine: str = "nuts"
    known: str = ""


# ---- designs -------------------------------------------------------------------------------------


def schools(J: int = 8, **options: Any) -> hm.EightSchools:
    """Estimates with standard errors from 9 to 18, as those of the eight schools."""
    frame = pd.DataFrame(
        {
            "school": np.arange(1, J + 1),
            "effect": np.zeros(J),
            "se": np.resize(hm.datasets.eight_schools()["se"].to_numpy(), J),
        }
    )
    # Apart from one another, so that the order of groups is told from that of errors.
    frame["se"] += 0.01 * np.arange(J)
    priors = {"mu": hm.Normal(0, 10), "tau": hm.HalfNormal(10)} | options.pop("priors", {})
    pooling = options.get("pooling", "partial")
    kept = {"partial": ("mu", "tau"), "none": ("theta",), "complete": ("mu",)}[pooling]
    priors = {name: prior for name, prior in priors.items() if name in kept}
    return hm.EightSchools(
        frame, effect="effect", se="se", group="school", priors=priors, **options
    )


def groups(sizes: Sequence[int], **options: Any) -> hm.OneWay:
    """Rows in groups of these sizes, with sds of 1."""
    frame = _rows(sizes)
    return hm.OneWay(frame, y="y", group="group", **_with_priors(options))


def lines(
    sizes: Sequence[int], columns: int = 1, common: int = 1, **options: Any
) -> hm.VaryingSlopes:
    """Rows in groups of these sizes, with an intercept and columns that vary, and common ones."""
    frame = _rows(sizes)
    rng = np.random.default_rng(len(frame))
    x, w = [f"x{k + 1}" for k in range(columns)], [f"w{p + 1}" for p in range(common)]
    for name in (*x, *w):
        frame[name] = rng.normal(0.5 if name == "x1" else 0.0, 1.0, len(frame)).round(3)
    # Priors at 0, as in the recorded runs; tests/test_origins.py calibrates those at the centre.
    options = {"intercept_at": "zero", **_with_priors(options, slopes=True)}
    return hm.VaryingSlopes(frame, y="y", group="group", varying=x, common=w, **options)


def _rows(sizes: Sequence[int]) -> pd.DataFrame:
    jj = np.repeat(np.arange(1, len(sizes) + 1), sizes)
    # Any response that varies, also within groups: a model is not made of a constant.
    return pd.DataFrame({"group": jj, "y": np.sin(np.arange(len(jj)))})


def _with_priors(options: dict[str, Any], *, slopes: bool = False) -> dict[str, Any]:
    priors = {
        "mu": hm.Normal(0, 2),
        "tau": hm.HalfNormal(1),
        "sigma": hm.HalfNormal(1.5),
        "theta": hm.Normal(0, 2),
        "beta": hm.StudentT(5, 0, 1),
        "Omega": hm.LKJ(2),
    }
    kept = {
        "partial": ("mu", "tau", "sigma", "beta", "Omega"),
        "none": ("theta", "sigma", "beta"),
        "complete": ("mu", "sigma", "beta"),
    }[options.get("pooling", "partial")]
    if not slopes:
        kept = tuple(name for name in kept if name not in ("beta", "Omega"))
    given = {name: priors[name] for name in kept} | options.pop("priors", {})
    return {**options, "priors": given}


CENTERED, NONCENTERED = {"parameterization": "centered"}, {"parameterization": "noncentered"}
NEAR_0 = {"tau": hm.HalfNormal(0.5)}
SMALL = {"tau": hm.HalfNormal(0.05)}
NORMAL = {"beta": hm.Normal(0, 1)}  # of the regressions that are drawn exactly
HEAVY = {"mu": hm.StudentT(4, 0, 10), "tau": hm.HalfCauchy(5)}
# Of Gibbs samplers: normal, and inverse-gamma of the variances.
SEMI = {"tau": hm.InverseGamma(2, 1), "sigma": hm.InverseGamma(2, 1)}
PRECISIONS = {"tau": hm.GammaPrecision(2, 1), "sigma": hm.GammaPrecision(3, 2)}
SEMI_SMALL = {"tau": hm.InverseGamma(3, 0.01), "sigma": hm.InverseGamma(2, 1)}

SIXTY_FIVE = tuple(1 + j % 6 for j in range(65))
TWENTY = tuple(1 + j % 5 for j in range(20))

_ALL = (
    # Eight schools: each program, then sizes and priors of the marginal one.
    Case("eight-schools-marginal", "J = 8", lambda: schools()),
    Case("eight-schools-noncentered", "J = 8", lambda: schools(**NONCENTERED)),
    Case("eight-schools-centered", "J = 8", lambda: schools(**CENTERED), known=FUNNEL),
    Case(
        "eight-schools-no-pooling",
        "J = 8",
        lambda: schools(pooling="none", priors={"theta": hm.Normal(0, 10)}),
    ),
    Case("eight-schools-complete-pooling", "J = 8", lambda: schools(pooling="complete")),
    Case("eight-schools-marginal-3", "J = 3", lambda: schools(3)),
    Case(
        "eight-schools-marginal-5-heavy",
        "J = 5, t and half-Cauchy",
        lambda: schools(5, priors=HEAVY),
    ),
    Case("eight-schools-marginal-20", "J = 20", lambda: schools(20)),
    Case("eight-schools-marginal-65", "J = 65", lambda: schools(65)),
    Case("eight-schools-marginal-near-0", "J = 8, tau near 0", lambda: schools(priors=NEAR_0)),
    Case(
        "eight-schools-noncentered-near-0",
        "J = 8, tau near 0",
        lambda: schools(**NONCENTERED, priors=NEAR_0),
    ),
    Case(
        "eight-schools-centered-near-0",
        "J = 8, tau near 0",
        lambda: schools(**CENTERED, priors=NEAR_0),
        known=FUNNEL,
    ),
    Case("eight-schools-exact-3", "J = 3", lambda: schools(3), "exact"),
    Case("eight-schools-exact", "J = 8", lambda: schools(), "exact"),
    Case(
        "eight-schools-exact-near-0", "J = 8, tau near 0", lambda: schools(priors=NEAR_0), "exact"
    ),
    Case(
        "eight-schools-exact-heavy",
        "J = 5, t and half-Cauchy",
        lambda: schools(5, priors=HEAVY),
        "exact",
    ),
    Case("eight-schools-exact-65", "J = 65", lambda: schools(65), "exact"),
    Case(
        "eight-schools-exact-no-pooling",
        "J = 8",
        lambda: schools(pooling="none", priors={"theta": hm.Normal(0, 10)}),
        "exact",
    ),
    Case(
        "eight-schools-exact-complete-pooling",
        "J = 8",
        lambda: schools(pooling="complete"),
        "exact",
    ),
    # One way.
    Case("one-way-marginal", "J = 8, sizes 1 to 12", lambda: groups(UNEQUAL)),
    Case("one-way-noncentered", "J = 8, sizes 1 to 12", lambda: groups(UNEQUAL, **NONCENTERED)),
    Case(
        "one-way-centered",
        "J = 8, sizes 1 to 12",
        lambda: groups(UNEQUAL, **CENTERED),
        known=FUNNEL,
    ),
    Case(
        "one-way-no-pooling", "J = 5, sizes 2 to 8", lambda: groups((2, 3, 4, 6, 8), pooling="none")
    ),
    Case(
        "one-way-complete-pooling",
        "J = 8, sizes 1 to 12",
        lambda: groups(UNEQUAL, pooling="complete"),
    ),
    Case("one-way-marginal-3", "J = 3, sizes 1 to 6", lambda: groups((1, 3, 6))),
    Case(
        "one-way-marginal-20-near-0",
        "J = 20, sizes 1 to 5, tau near 0",
        lambda: groups(TWENTY, priors=SMALL),
    ),
    Case("one-way-marginal-65", "J = 65, sizes 1 to 6", lambda: groups(SIXTY_FIVE)),
    Case(
        "one-way-marginal-sigma-by-group",
        "J = 5, an sd each",
        lambda: groups((3, 4, 5, 6, 8), sigma="group"),
    ),
    Case(
        "one-way-noncentered-sigma-by-group",
        "J = 5, an sd each",
        lambda: groups((3, 4, 5, 6, 8), sigma="group", **NONCENTERED),
    ),
    Case(
        "one-way-centered-sigma-by-group",
        "J = 5, an sd each",
        lambda: groups((3, 4, 5, 6, 8), sigma="group", **CENTERED),
        known=FUNNEL,
    ),
    Case(
        "one-way-no-pooling-sigma-by-group",
        "J = 3, an sd each",
        lambda: groups((4, 5, 8), sigma="group", pooling="none"),
    ),
    Case(
        "one-way-complete-pooling-sigma-by-group",
        "J = 3, an sd each",
        lambda: groups((4, 5, 8), sigma="group", pooling="complete"),
    ),
    Case("one-way-exact", "J = 8, sizes 1 to 12", lambda: groups(UNEQUAL), "exact"),
    Case("one-way-exact-3", "J = 3, sizes 1 to 6", lambda: groups((1, 3, 6)), "exact"),
    Case(
        "one-way-exact-20-near-0",
        "J = 20, sizes 1 to 5, tau near 0",
        lambda: groups(TWENTY, priors=SMALL),
        "exact",
    ),
    Case("one-way-exact-65", "J = 65, sizes 1 to 6", lambda: groups(SIXTY_FIVE), "exact"),
    Case(
        "one-way-exact-no-pooling",
        "J = 5, sizes 2 to 8",
        lambda: groups((2, 3, 4, 6, 8), pooling="none"),
        "exact",
    ),
    Case(
        "one-way-exact-complete-pooling",
        "J = 8, sizes 1 to 12",
        lambda: groups(UNEQUAL, pooling="complete"),
        "exact",
    ),
    Case(
        "one-way-gibbs",
        "J = 8, sizes 1 to 12, variances",
        lambda: groups(UNEQUAL, priors=SEMI),
        "gibbs",
    ),
    Case(
        "one-way-gibbs-precisions",
        "J = 5, sizes 2 to 8, precisions",
        lambda: groups((2, 3, 4, 6, 8), priors=PRECISIONS),
        "gibbs",
    ),
    Case(
        "one-way-gibbs-20-near-0",
        "J = 20, sizes 1 to 5, tau near 0",
        lambda: groups(TWENTY, priors=SEMI_SMALL),
        "gibbs",
    ),
    # Varying slopes.
    Case("varying-slopes-marginal", "J = 8, sizes 1 to 12, K = 2", lambda: lines(UNEQUAL)),
    Case(
        "varying-slopes-noncentered",
        "J = 8, sizes 1 to 12, K = 2",
        lambda: lines(UNEQUAL, **NONCENTERED),
    ),
    Case(
        "varying-slopes-centered",
        "J = 8, sizes 1 to 12, K = 2",
        lambda: lines(UNEQUAL, **CENTERED),
        known=FUNNEL,
    ),
    Case(
        "varying-slopes-no-pooling", "J = 3, sizes 6 to 9", lambda: lines((6, 7, 9), pooling="none")
    ),
    Case(
        "varying-slopes-complete-pooling",
        "J = 5, sizes 3 to 6",
        lambda: lines((3, 4, 5, 6, 6), pooling="complete"),
    ),
    Case("varying-slopes-marginal-3", "J = 3, sizes 1 to 9, K = 2", lambda: lines((1, 5, 9))),
    Case(
        "varying-slopes-marginal-20",
        "J = 20, sizes 1 to 5, K = 3",
        lambda: lines(TWENTY, columns=2),
    ),
    Case(
        "varying-slopes-marginal-near-0",
        "J = 8, sizes 1 to 12, tau near 0",
        lambda: lines(UNEQUAL, priors=SMALL),
    ),
    Case("varying-slopes-marginal-65", "J = 65, sizes 1 to 6, K = 2", lambda: lines(SIXTY_FIVE)),
    Case(
        "varying-slopes-marginal-sigma-by-group",
        "J = 5, sizes 4 to 8, an sd each",
        lambda: lines((4, 5, 6, 7, 8), sigma="group"),
    ),
    Case(
        "varying-slopes-exact-20",
        "J = 20, sizes 6 to 10, K = 2",
        lambda: lines([6 + j % 5 for j in range(20)]),
        "exact",
    ),
    Case(
        "varying-slopes-exact-no-pooling",
        "J = 3, sizes 6 to 9",
        lambda: lines((6, 7, 9), pooling="none", priors=NORMAL),
        "exact",
    ),
    Case(
        "varying-slopes-exact-complete-pooling",
        "J = 5, sizes 3 to 6",
        lambda: lines((3, 4, 5, 6, 6), pooling="complete", priors=NORMAL),
        "exact",
    ),
    Case(
        "varying-slopes-exact-65", "J = 65, sizes 1 to 6, K = 2", lambda: lines(SIXTY_FIVE), "exact"
    ),
)


def _turn(case: Case) -> int:
    """When a case runs: what costs little and tells much first, what fails as is known last."""
    if case.known:
        return 5
    if case.engine != "nuts":
        return ("exact", "gibbs").index(case.engine)
    families = ("eight-schools", "one-way", "varying-slopes")
    return 2 + next(k for k, family in enumerate(families) if case.name.startswith(family))


CASES = {case.name: case for case in sorted(_ALL, key=_turn)}
"""The cases by name, in the order in which they run."""
