"""Pictures of fits: each function draws on the axes given, or makes its own, and returns them.

Nothing is shown and no global setting is changed; :func:`save` writes a file. Whatever a picture
leaves out (groups, draws, the ends of long intervals) its title or a note on it says.

===============================  ===================================================================
function                         what it draws
===============================  ===================================================================
:func:`shrinkage`                each group's own estimate, and where partial pooling moves it
:func:`forest`                   each group's effect under no, partial and complete pooling
:func:`raw_against_posterior`    posterior means against the groups' own estimates
:func:`impact_of_tau`            what the effects would be if tau were known
:func:`slopes_and_intercepts`    two coefficients of each group, and their population
:func:`group_lines`              the groups' rows and lines, under the three strategies
:func:`prior_against_posterior`  what the data added to the priors
:func:`trace`                    chains and densities of scalars
:func:`pairs`                    scalars against each other, with divergences
:func:`posterior_predictive`     replicated data against the data
:func:`pareto_k`                 how far leave-one-out is to be trusted, unit by unit
:func:`calibration`              ranks of simulation-based calibration
===============================  ===================================================================

ArviZ 0.x draws on Matplotlib's axes; ArviZ 1.x has another interface (``PlotCollection``), another
look, and no such axes to give it. What the two share are the statistics beneath: densities are
ArviZ's on both lines (:mod:`~hiermodels.plots.densities`), and the drawing is our own, so that a
picture, and the axes it returns, are the same whichever is installed.
"""

from __future__ import annotations

from .chains import pairs, trace
from .conditional import impact_of_tau
from .estimates import raw_against_posterior, shrinkage
from .files import save
from .hyperparameters import prior_against_posterior
from .influence import pareto_k
from .lines import group_lines
from .plane import slopes_and_intercepts
from .ranks import calibration
from .replications import posterior_predictive
from .strategies import forest

__all__ = [
    "calibration",
    "forest",
    "group_lines",
    "impact_of_tau",
    "pairs",
    "pareto_k",
    "posterior_predictive",
    "prior_against_posterior",
    "raw_against_posterior",
    "save",
    "shrinkage",
    "slopes_and_intercepts",
    "trace",
]
