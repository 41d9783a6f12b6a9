"""Who takes part: a label, an environment, a script, and the settings to choose from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .cases import Case

__all__ = ["CONTENDERS", "Contender"]

_PARAMETERIZATIONS = ("centered", "noncentered")
_BOTH = tuple({"parameterization": p} for p in _PARAMETERIZATIONS)

_UNTUNED = {"eight_schools": "noncentered"}
# What is taken where nothing was tried. Few and noisy groups want the noncentered form: the
# centered one has a funnel there. Everywhere else groups have dozens of rows, and the data hold
# each effect by themselves: centered.
_UNTUNED_PEER = {("exam", "pymc"): "noncentered"}
# PyMC's own NUTS does not finish with the centered multivariate normal.


@dataclass(frozen=True)
class Contender:
    """One side of the comparison.

    Attributes
    ----------
    name, label : str
        On the command line, and in the table.
    module : str
        Run as ``python -m module job.json``.
    peer : str, optional
        The folder below peers/ whose environment it needs; ours where there is none.
    packages : tuple of str
        Whose versions are recorded.
    variants : tuple of dict
        Settings to choose from; :mod:`benchmarks.choose` tries them all, case by case.
    textbook : bool
        One of our own row-by-row programs.
    tuned : bool
        A peer's model rewritten by hand for speed, where there is a way.
    estimate : bool
        Gives a point estimate and no draws.
    """

    name: str
    label: str
    module: str
    peer: str | None = None
    packages: tuple[str, ...] = ()
    variants: tuple[dict[str, Any], ...] = field(default=({},))
    textbook: bool = False
    tuned: bool = False
    estimate: bool = False

    def untuned(self, case: Case) -> dict[str, Any]:
        """The variant for a case in which nothing was tried."""
        wanted = _UNTUNED_PEER.get((case.name, self.name), _UNTUNED.get(case.name, "centered"))
        fitting = [v for v in self.variants if v.get("parameterization") == wanted]
        return (fitting or list(self.variants))[0]

    def absent(self, case: Case) -> str:
        """Why it does not take part in a case; empty where it does."""
        if self.name == "exact":
            if case.exact:
                return ""
            return "no simple exact draws: the posterior has more than two hyperparameters"
        if (self.peer or self.textbook) and not case.peers:
            if case.parquet:
                return "needs the rows in memory"
            return "this case shows what our own cost depends on"
        if self.tuned and case.family != "varying_slopes":
            return "there is nothing to rewrite"
        if self.name == "bambi" and case.family == "varying_slopes":
            return "its varying coefficients are uncorrelated: another model"
        return ""


def _peer(name: str, label: str, packages: tuple[str, ...], **options: Any) -> Contender:
    return Contender(
        name, label, f"benchmarks.peers.{name}.fit", peer=name, packages=packages, **options
    )


_OURS = {"module": "benchmarks.ours", "packages": ("hiermodels", "cmdstanpy", "arviz", "numpy")}

CONTENDERS = {
    contender.name: contender
    for contender in (
        Contender("hiermodels", "hiermodels", variants=({"parameterization": "auto"},), **_OURS),
        Contender(
            "exact_engine",
            "hiermodels, exact engine",
            variants=({"parameterization": "auto", "engine": "exact"},),
            **_OURS,
        ),
        Contender("exact", "exact draws (floor)", "benchmarks.floor", packages=("numpy", "duckdb")),
        Contender(
            "centered",
            "hiermodels, centered",
            variants=({"parameterization": "centered"},),
            textbook=True,
            **_OURS,
        ),
        Contender(
            "noncentered",
            "hiermodels, noncentered",
            variants=({"parameterization": "noncentered"},),
            textbook=True,
            **_OURS,
        ),
        _peer("pymc", "PyMC", ("pymc", "pytensor"), variants=_BOTH),
        _peer("pymc_nutpie", "PyMC, nutpie", ("pymc", "nutpie", "numba"), variants=_BOTH),
        _peer(
            "numpyro",
            "NumPyro",
            ("numpyro", "jax"),
            variants=tuple(
                {"parameterization": p, "chain_method": method}
                for p in _PARAMETERIZATIONS
                for method in ("parallel", "vectorized")
            ),
        ),
        Contender(
            "pymc_nutpie_tuned",
            "PyMC, nutpie, by hand",
            "benchmarks.peers.pymc_nutpie.fit",
            peer="pymc_nutpie",
            packages=("pymc", "nutpie", "numba"),
            variants=({"parameterization": "conditional"},),
            tuned=True,
        ),
        _peer(
            "bambi",
            "Bambi",
            ("bambi", "pymc", "nutpie"),
            variants=tuple(
                {"parameterization": p, "inference_method": method}
                for p in _PARAMETERIZATIONS
                for method in ("nutpie", "pymc")
            ),
        ),
        _peer("statsmodels", "statsmodels (estimate)", ("statsmodels",), estimate=True),
    )
}
"""The contenders by name; hiermodels first, because the others are compared with it."""
