"""Hierarchical models from Python.

Hand-written Stan programs for three families of Gaussian hierarchical models, compiled through
CmdStanPy, sampled by NUTS, returned in ArviZ's container.

>>> import hiermodels as hm
>>> model = hm.EightSchools(
...     hm.datasets.eight_schools(), effect="effect", se="se", group="school"
... )
>>> idata = model.fit(seed=1)  # doctest: +SKIP
>>> hm.check(idata)  # doctest: +SKIP

Importing this package does no work: each name is loaded where it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Where each public name lives. Modules are named as themselves.
_HOMES = {
    # models
    "EightSchools": "models.eight_schools",
    "OneWay": "models.one_way",
    "VaryingSlopes": "models.varying_slopes",
    # priors
    "Exponential": "priors",
    "Flat": "priors",
    "GammaPrecision": "priors",
    "HalfCauchy": "priors",
    "HalfNormal": "priors",
    "HalfT": "priors",
    "InverseGamma": "priors",
    "LKJ": "priors",
    "LogFlat": "priors",
    "Normal": "priors",
    "StudentT": "priors",
    "Uniform": "priors",
    # data
    "SufficientStatistics": "statistics",
    "sufficient_statistics": "pushdown",
    # calibration
    "Calibration": "calibrated",
    "calibrate": "calibration",
    # a fit that was cut short
    "resume": "resumption",
    # many fits
    "ManyFits": "many",
    "fit_many": "many",
    # pooling strategies
    "PoolingComparison": "comparison",
    "compare_pooling": "comparison",
    # what comes after the container
    "Certificate": "certificate",
    "certify": "certificate",
    "check": "diagnostics",
    "load": "netcdf",
    "summary": "summaries",
    # questions to a fit
    "Prediction": "prediction",
    "differences": "events",
    "probability": "events",
    "ranks": "events",
    "GroupChecks": "group_checks",
    "check_groups": "group_checks",
    "at_centre": "origins",
    "influence": "row_influence",
    "PriorComparison": "prior_comparison",
    "compare_priors": "prior_comparison",
    "Sensitivity": "prior_sensitivity",
    "sensitivity": "prior_sensitivity",
    "Loo": "leave_one_out",
    "loo": "leave_one_out",
    "LooComparison": "loo_comparison",
    "compare": "loo_comparison",
    # on paper
    "Symbols": "symbols",
    "in_symbols": "symbols",
    "report": "reports",
    # errors
    "HierModelsError": "errors",
    "HierModelsWarning": "errors",
}
_MODULES = (
    "classical",
    "cmdstan",
    "datasets",
    "errors",
    "exact",
    "gibbs",
    "plots",
    "priors",
    "programs",
)

__all__ = [
    "LKJ",
    "Calibration",
    "Certificate",
    "EightSchools",
    "Exponential",
    "Flat",
    "GammaPrecision",
    "GroupChecks",
    "HalfCauchy",
    "HalfNormal",
    "HalfT",
    "HierModelsError",
    "HierModelsWarning",
    "InverseGamma",
    "LogFlat",
    "Loo",
    "LooComparison",
    "ManyFits",
    "Normal",
    "OneWay",
    "PoolingComparison",
    "Prediction",
    "PriorComparison",
    "Sensitivity",
    "StudentT",
    "SufficientStatistics",
    "Symbols",
    "Uniform",
    "VaryingSlopes",
    "at_centre",
    "calibrate",
    "certify",
    "check",
    "check_groups",
    "classical",
    "cmdstan",
    "compare",
    "compare_pooling",
    "compare_priors",
    "datasets",
    "differences",
    "errors",
    "exact",
    "fit_many",
    "gibbs",
    "in_symbols",
    "influence",
    "load",
    "loo",
    "plots",
    "priors",
    "probability",
    "programs",
    "ranks",
    "report",
    "resume",
    "sensitivity",
    "sufficient_statistics",
    "summary",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _HOMES:
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])


if TYPE_CHECKING:
    from . import classical, cmdstan, datasets, errors, exact, gibbs, plots, priors, programs
    from .calibrated import Calibration
    from .calibration import calibrate
    from .certificate import Certificate, certify
    from .comparison import PoolingComparison, compare_pooling
    from .diagnostics import check
    from .errors import HierModelsError, HierModelsWarning
    from .events import differences, probability, ranks
    from .group_checks import GroupChecks, check_groups
    from .leave_one_out import Loo, loo
    from .loo_comparison import LooComparison, compare
    from .many import ManyFits, fit_many
    from .models.eight_schools import EightSchools
    from .models.one_way import OneWay
    from .models.varying_slopes import VaryingSlopes
    from .netcdf import load
    from .origins import at_centre
    from .prediction import Prediction
    from .prior_comparison import PriorComparison, compare_priors
    from .prior_sensitivity import Sensitivity, sensitivity
    from .priors import (
        LKJ,
        Exponential,
        Flat,
        GammaPrecision,
        HalfCauchy,
        HalfNormal,
        HalfT,
        InverseGamma,
        LogFlat,
        Normal,
        StudentT,
        Uniform,
    )
    from .pushdown import sufficient_statistics
    from .reports import report
    from .resumption import resume
    from .row_influence import influence
    from .statistics import SufficientStatistics
    from .summaries import summary
    from .symbols import Symbols, in_symbols
