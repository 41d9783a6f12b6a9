"""Classical estimates, to set beside a posterior: what a course has before the Bayesian chapter.

Each takes a model and looks at its data only; pooling, parameterization and priors play no part.
All but one need no more than group sufficient statistics, and so work on lazy frames and on
``SufficientStatistics`` as well (:func:`marginal_covariance` of varying slopes needs rows).

===========================  ==========================  ==========================================
function                     models                      what it has
===========================  ==========================  ==========================================
:func:`anova`                OneWay                      analysis of variance, F test, moments
:func:`group_means`          OneWay, EightSchools        means and intervals, each group by itself
:func:`lines`                VaryingSlopes               least-squares line of each group
:func:`mixed_model`          OneWay, VaryingSlopes       REML or ML, with BLUPs
:func:`empirical_bayes`      OneWay, EightSchools        shrinkage with plug-in estimates
:func:`meta_analysis`        EightSchools                tau^2, Cochran's Q, I^2, H^2
:func:`marginal_covariance`  all                         covariance of the rows that is implied
===========================  ==========================  ==========================================

Each returns a frozen result with a ``table`` (a DataFrame), its numbers as attributes, and a short
printed form. Intervals are central, of 90 % by default, as everywhere in this package.

>>> import hiermodels as hm
>>> model = hm.EightSchools(
...     hm.datasets.eight_schools(), effect="effect", se="se", group="school"
... )
>>> found = hm.classical.meta_analysis(model)
>>> round(found.mu, 2), found.tau, round(found.Q, 2)
(7.69, 0.0, 4.71)
"""

from __future__ import annotations

from .analysis_of_variance import Anova, GroupMeans, anova, group_means
from .group_lines import Lines, lines
from .heterogeneity import MetaAnalysis, meta_analysis
from .implied_covariance import MarginalCovariance, marginal_covariance
from .mixed_models import MixedModel, mixed_model
from .shrinkage import EmpiricalBayes, empirical_bayes

__all__ = [
    "Anova",
    "EmpiricalBayes",
    "GroupMeans",
    "Lines",
    "MarginalCovariance",
    "MetaAnalysis",
    "MixedModel",
    "anova",
    "empirical_bayes",
    "group_means",
    "lines",
    "marginal_covariance",
    "meta_analysis",
    "mixed_model",
]
