"""Hierarchical models from Python.

Hand-written Stan programs for three Gaussian hierarchical models, compiled through
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

from .version import __version__ as __version__

# Where each public name lives.
_HOMES = {
    # models
    "EightSchools": "models.eight_schools",
    "OneWay": "models.one_way",
    "VaryingSlopes": "models.varying_slopes",
    # priors
    "Exponential": "priors.distributions",
    "Flat": "priors.distributions",
    "GammaPrecision": "priors.distributions",
    "HalfCauchy": "priors.distributions",
    "HalfNormal": "priors.distributions",
    "HalfT": "priors.distributions",
    "InverseGamma": "priors.distributions",
    "LKJ": "priors.distributions",
    "LogFlat": "priors.distributions",
    "Normal": "priors.distributions",
    "StudentT": "priors.distributions",
    "Uniform": "priors.distributions",
    # data
    "SufficientStatistics": "families.gaussian.statistics",
    "sufficient_statistics": "families.gaussian.aggregation",
    # calibration
    "Calibration": "validation.result",
    "calibrate": "validation.calibration",
    # a fit that was cut short
    "resume": "models.resume",
    # many fits
    "ManyFits": "many.fits",
    "fit_many": "many.fits",
    # pooling strategies
    "PoolingComparison": "comparison.pooling_comparison",
    "compare_pooling": "comparison.strategies",
    # what comes after the container
    "Certificate": "validation.certificate",
    "certify": "validation.certificate",
    "check": "diagnostics.check",
    "load": "container.netcdf",
    "summary": "diagnostics.summary",
    # questions to a fit
    "Prediction": "models.prediction",
    "differences": "posterior.probabilities",
    "probability": "posterior.probabilities",
    "ranks": "posterior.probabilities",
    "GroupChecks": "posterior.group_checks",
    "check_groups": "posterior.group_checks",
    "at_centre": "data.origins",
    "influence": "diagnostics.influence",
    "PriorComparison": "comparison.prior_comparison",
    "compare_priors": "comparison.priors",
    "Sensitivity": "posterior.sensitivity",
    "sensitivity": "posterior.sensitivity",
    "Loo": "posterior.loo",
    "loo": "posterior.loo",
    "LooComparison": "posterior.loo_comparison",
    "compare": "posterior.loo_comparison",
    # on paper
    "Symbols": "models.symbols",
    "in_symbols": "models.symbols",
    "report": "reports",
    # errors
    "HierModelsError": "errors",
    "HierModelsWarning": "errors",
}
_MODULES = {
    "classical": "classical",
    "cmdstan": "stan.cmdstan",
    "datasets": "datasets",
    "errors": "errors",
    "exact": "engines.exact.posterior",
    "families": "families",
    "gibbs": "engines.gibbs.sampler",
    "plots": "plots",
    "priors": "priors",
    "programs": "stan.programs",
}

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
    "families",
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
        return importlib.import_module(f"{__name__}.{_MODULES[name]}")
    if name in _HOMES:
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])


if TYPE_CHECKING:
    from . import classical, datasets, errors, families, plots, priors
    from .comparison.pooling_comparison import PoolingComparison
    from .comparison.prior_comparison import PriorComparison
    from .comparison.priors import compare_priors
    from .comparison.strategies import compare_pooling
    from .container.netcdf import load
    from .data.origins import at_centre
    from .diagnostics.check import check
    from .diagnostics.influence import influence
    from .diagnostics.summary import summary
    from .engines.exact import posterior as exact
    from .engines.gibbs import sampler as gibbs
    from .errors import HierModelsError, HierModelsWarning
    from .families.gaussian.aggregation import sufficient_statistics
    from .families.gaussian.statistics import SufficientStatistics
    from .many.fits import ManyFits, fit_many
    from .models.eight_schools import EightSchools
    from .models.one_way import OneWay
    from .models.prediction import Prediction
    from .models.resume import resume
    from .models.symbols import Symbols, in_symbols
    from .models.varying_slopes import VaryingSlopes
    from .posterior.group_checks import GroupChecks, check_groups
    from .posterior.loo import Loo, loo
    from .posterior.loo_comparison import LooComparison, compare
    from .posterior.probabilities import differences, probability, ranks
    from .posterior.sensitivity import Sensitivity, sensitivity
    from .priors.distributions import (
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
    from .reports import report
    from .stan import cmdstan, programs
    from .validation.calibration import calibrate
    from .validation.certificate import Certificate, certify
    from .validation.result import Calibration
