"""Posterior predictive checks by group: which groups do not look like data from the model.

For each group and each statistic T, the observed T(y_j) is compared with T of replicated data, one
for each posterior draw (Gelman et al., Bayesian Data Analysis, 3rd ed., section 6.3; section 6.5
does it for the eight schools).
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..container import inference_data
from ..container.rows import FittedRows, fitted_rows
from ..diagnostics import convergence
from ..errors import ContainerError, OptionError, count_of, listed, suggest
from . import group_statistics
from .group_statistics import STATISTICS

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from ..container.inference_data import Container

    Array = NDArray[np.float64]

__all__ = ["STATISTICS", "GroupChecks", "check_groups"]

LEVEL = 0.05
"""Share of groups named wrongly among those that are named, at most (Benjamini and Hochberg)."""

_SHOWN = 8


@dataclass(frozen=True, eq=False, repr=False)
class GroupChecks:
    """What :func:`check_groups` found; prints as a short report.

    Attributes
    ----------
    ok : bool
        Whether there is no misfit, and were enough replicated data sets to find one.
    verdict : str
        The answer in one sentence.
    table : DataFrame
        A row for each group and statistic: ``group``, ``statistic``, ``n`` (rows of the group),
        ``observed``, ``q5``, ``median``, ``q95`` (central 90 % interval of the replicated data), in
        units of the response; ``z`` (observed less the predictive mean, in predictive sds), ``p``
        (share of replicated data above what was observed, ties by half), ``p_adjusted`` (two-sided,
        for all groups and statistics together).
    misfits : DataFrame
        The rows of ``table`` whose ``p_adjusted`` is at most 0.05, the smallest first.
    overall : DataFrame
        The same of all rows together: ``statistic``, ``n``, ``observed``, ``q5``, ``median``,
        ``q95``, ``z``, ``p``.
    title : str
        The model, and what was compared.
    group : str
        Name of the group column.
    """

    ok: bool
    verdict: str
    table: pd.DataFrame
    misfits: pd.DataFrame
    overall: pd.DataFrame
    title: str
    group: str

    def __str__(self) -> str:
        lines = [self.title, *textwrap.wrap(self.verdict, 100, break_on_hyphens=False)]
        if len(self.misfits):
            lines += ["", *_printed(self.misfits[:_SHOWN])]
            if len(self.misfits) > _SHOWN:
                lines.append(f"... and {len(self.misfits) - _SHOWN} more in .misfits")
        return "\n".join([*lines, "", "All rows together:", *_printed(self.overall)])

    __repr__ = __str__


def check_groups(idata: Container, *, statistics: Sequence[str] = STATISTICS) -> GroupChecks:
    """Compare the data of each group with data replicated from the posterior.

    Parameters
    ----------
    idata : InferenceData or DataTree
        A fit of any pooling strategy with ``posterior_predictive``.
    statistics : sequence of str
        Of ``"mean"``, ``"sd"`` (divisor n - 1), ``"min"`` and ``"max"`` of the group's rows. Where
        each group is one estimate (``EightSchools``) there is nothing but its ``"mean"``, and the
        statistics are those over the groups, in ``overall``.

    Returns
    -------
    GroupChecks
        ``print`` it for a report; ``.misfits`` has the groups that do not fit.

    Raises
    ------
    ContainerError
        There are no replicated data with the dims of draws, or no rows to compare them with.
    OptionError
        An unknown statistic.

    Notes
    -----
    p = P(T(y_rep) > T(y)) + P(T(y_rep) = T(y)) / 2 (the mid-p). Of many groups some are far out by
    chance: a group is named where its two-sided p, adjusted over all groups and statistics by
    Benjamini and Hochberg (1995, Journal of the Royal Statistical Society B 57, 289-300), is at
    most 0.05, so that a right model has no group named in 19 of 20 data sets. So small a p cannot
    be counted in a few thousand draws; where fewer than ten lie beyond the observed value it is
    that of a generalized Pareto tail, fitted to the outermost 5 % of the draws by probability-
    weighted moments (Hosking and Wallis 1987, Technometrics 29, 339-349; for p-values Knijnenburg
    et al. 2009, Bioinformatics 25, i161-i168) and never taken to be lighter than exponential, which
    errs on the side of the model. ``p`` itself is the plain share of the draws.

    theta_j was fitted to the same rows that it is compared with, so that p is nearer to 1/2 than a
    uniform number, the more so the less a group is pooled (Gelman et al., section 6.3; Gelman 2013,
    Electronic Journal of Statistics 7, 2595-2602). A group's mean is what theta_j was fitted to: it
    shows hardly anything but too much pooling; sd, min and max show more. What is found is there;
    that nothing is found does not prove the model.
    """
    import numpy as np
    import pandas as pd
    from scipy import stats

    chosen = _statistics(statistics)
    rows, replicated = _read(idata)
    sizes = rows.sizes
    single = bool((sizes == 1).all())
    by_group = ("mean",) if single else chosen
    compared, together = group_statistics.compare(rows, replicated, by_group, chosen)
    labels = np.repeat(rows.labels, len(by_group))
    table = pd.DataFrame(
        {
            "group": labels,
            "statistic": np.tile(np.array(by_group, dtype=object), len(rows.labels)),
            "n": np.repeat(sizes, len(by_group)),
            **{name: np.ravel(compared[name]) for name in group_statistics.COLUMNS},
        }
    )
    tail = table.pop("tail").dropna()
    table["p_adjusted"] = np.nan
    if len(tail):
        table.loc[tail.index, "p_adjusted"] = stats.false_discovery_control(tail)
    overall = pd.DataFrame(
        {
            "statistic": list(chosen),
            "n": len(rows.y),
            **{name: np.ravel(together[name]) for name in _COLUMNS},
        }
    )
    misfits = table[table["p_adjusted"] <= LEVEL].sort_values("p_adjusted", kind="stable")
    misfits = misfits.reset_index(drop=True)
    needed = group_statistics.draws_to_tell(int(table["p_adjusted"].count()), LEVEL)
    attrs = inference_data.attributes(idata)
    title = (
        f"{attrs.get('model')}, {attrs.get('pooling')} pooling: {', '.join(by_group)} of "
        f"{len(rows.labels)} groups, {len(replicated)} replicated data sets"
    )
    return GroupChecks(
        not len(misfits) and len(replicated) >= needed,
        _verdict(misfits, len(rows.labels), rows.group, len(replicated), needed),
        table,
        misfits,
        overall,
        title,
        rows.group,
    )


_COLUMNS = ("observed", "q5", "median", "q95", "z", "p")


def _statistics(given: Sequence[str]) -> tuple[str, ...]:
    asked = (given,) if isinstance(given, str) else tuple(given)
    for name in asked:
        if name not in STATISTICS:
            raise OptionError(
                f"statistics must be of {listed(STATISTICS)}, got {name!r}"
                f"{suggest(str(name), STATISTICS)}"
            )
    if not asked:
        raise OptionError(f"name one statistic or more of {listed(STATISTICS)}; got none")
    return tuple(dict.fromkeys(asked))


def _read(idata: Container) -> tuple[FittedRows, Array]:
    """The rows, and the replicated ones, shape (draws, N)."""
    import numpy as np

    rows = fitted_rows(idata, "a check of groups")
    if not inference_data.has(idata, "posterior_predictive"):
        said = inference_data.attributes(idata).get("pointwise", "")
        raise ContainerError(
            "a check of groups needs replicated data, and the container has no group "
            f"'posterior_predictive'{f' ({said})' if said else ''}; model.add_pointwise(idata) "
            "adds it to a fit with effects='draws'"
        )
    predicted = inference_data.dataset(idata, "posterior_predictive")
    convergence.refuse_bare(predicted.dims)
    x = predicted.variables[rows.response].transpose("chain", "draw", rows.dim)
    values = np.asarray(x.to_numpy(), dtype=np.float64)
    return rows, values.reshape(-1, values.shape[2])


# ---- words --------------------------------------------------------------------------------------


def _verdict(misfits: pd.DataFrame, groups: int, group: str, draws: int, needed: int) -> str:
    if not len(misfits) and draws < needed:
        return (
            f"{count_of(draws, 'replicated data set')} cannot tell whether one of {groups} groups "
            f"does not fit; {needed} can."
        )
    if not len(misfits):
        return (
            f"None of {groups} groups is farther from the model than chance takes one of so many."
        )
    said: dict[object, list[str]] = {}
    for label, name, z in zip(misfits["group"], misfits["statistic"], misfits["z"], strict=True):
        said.setdefault(label, []).append(f"{name} too {'large' if z > 0 else 'small'}")
    words = [f"{group} {label} ({', '.join(found)})" for label, found in list(said.items())[:3]]
    more = f" and {len(said) - 3} more" if len(said) > 3 else ""
    return (
        f"{len(said)} of {groups} groups {'does' if len(said) == 1 else 'do'} not fit: "
        f"{', '.join(words)}{more}."
    )


def _printed(table: pd.DataFrame) -> list[str]:
    numbers = dict.fromkeys(("observed", "q5", "median", "q95"), "{:.4g}".format)
    numbers |= {"z": "{:.1f}".format, "p": "{:.3f}".format, "p_adjusted": "{:.2g}".format}
    return table.to_string(index=False, formatters=numbers).splitlines()
