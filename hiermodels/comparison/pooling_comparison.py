"""A comparison of pooling strategies: its tables, and its words as plain text and as HTML."""

from __future__ import annotations

import html as escaping
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import Message, count_of, listed
from ..posterior.loo_comparison import FEW_TERMS, SMALL_DIFFERENCE
from .estimates import CALLED

if TYPE_CHECKING:
    import pandas as pd

    from ..container.inference_data import Container
    from ..models.model import Model
    from ..posterior.loo import Loo

__all__ = ["PoolingComparison", "conclusions", "html", "text"]


_SHOWN = 12  # groups in the short table

_NUMBERS = ["elpd", "se", "elpd_diff", "se_diff", "p_loo", "terms", "bad_k", "worst_k"]


@dataclass(frozen=True, eq=False, repr=False)
class PoolingComparison:
    """One data set under no, partial and complete pooling.

    Attributes
    ----------
    model : Model
        The model with partial pooling.
    fits : dict of str to container
        ``"none"``, ``"partial"``, ``"complete"``: with the same names, dims and coords.
    absent : dict of str to str
        Strategies that these data have no posterior under, and why.
    estimates : DataFrame
        One row for each group (and coefficient): the group's label, in a column of the group's
        name; ``coefficient`` (``VaryingSlopes``); ``n``, its rows; ``estimate`` and ``se``, its own
        by itself, raw, by the residual sd that all groups share (their own under
        ``sigma="group"``); under each strategy ``<strategy>_mean``, ``_sd``, ``_q5``, ``_q95`` of
        theta (central 90 % interval); ``pooling_factor``, ``pooling_factor_q5``,
        ``pooling_factor_q95`` (:mod:`hiermodels.comparison.pooling_factors`), those of an intercept
        of its heights at the centre of the columns; ``rank`` by partial pooling, 1 the largest.
    elpd : DataFrame
        One row for each unit and strategy (columns ``unit``, ``pooling``), best first in each unit:
        ``elpd``, the expected log predictive density of a new one by leaving each out, and its
        ``se``; ``elpd_diff`` to the best, and its ``se_diff``; ``p_loo``; ``terms``, how many were
        scored, ``of`` how many; ``bad_k``, how many have a Pareto k above its limit and were not
        refitted, ``worst_k``, ``refitted``; ``use``, what it may be used for.
    heterogeneity : DataFrame
        Mean, sd, 5 %, 50 % and 95 % quantiles of ``tau``; of ``icc`` (``OneWay``), ``I2``
        (``EightSchools``) or each coefficient's ``share`` of the variance (``VaryingSlopes``); and
        ``lambda``, the pooling of all groups together, which is one number. Shares and lambda are
        those of the lines at the centre of the columns, and the same wherever x = 0 is; ``tau`` is
        as the fit reports it, an intercept's at x = 0 (:func:`hiermodels.at_centre`).
    loo : dict of (unit, strategy) to Loo
        The terms behind ``elpd``.
    notes : tuple of str
        What else is to be said.
    call : dict of str to value
        What it was made with: ``seed``, drawn where it was not given, and the other arguments of
        :func:`compare_pooling` that were given.
    """

    model: Model
    fits: dict[str, Container]
    absent: dict[str, str]
    estimates: pd.DataFrame
    elpd: pd.DataFrame
    heterogeneity: pd.DataFrame
    loo: dict[tuple[str, str], Loo] = field(repr=False)
    notes: tuple[str, ...] = ()
    call: dict[str, Any] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        return text(self)

    __repr__ = __str__

    def to_html(self) -> str:
        """The report as HTML, without the frame of a page."""
        return html(self)

    def _repr_html_(self) -> str:
        return self.to_html()

    def plot_shrinkage(self, **options: Any) -> Any:
        """Draw :func:`hiermodels.plots.shrinkage` of the fit with partial pooling."""
        from .. import plots

        return plots.shrinkage(self.fits["partial"], **options)

    def plot_forest(self, **options: Any) -> Any:
        """Draw :func:`hiermodels.plots.forest` of all fits."""
        from .. import plots

        return plots.forest(self, **options)


def title(c: PoolingComparison) -> str:
    """What was compared."""
    d = c.model.design
    rows = "" if d.estimates else f"{d.N} rows in "
    family = f", family {c.model.family}" if c.model.family.attributes else ""
    return f"Pooling of {d.response} by {d.group}: {rows}{d.J} groups ({c.model.name}{family})"


def heading(c: PoolingComparison, unit: str) -> str:
    """What the scores of a unit predict."""
    d = c.model.design
    if unit == "group":
        return f"Prediction of a new {d.group} (leaving one {d.group} out at a time)"
    return f"Prediction of another row of a known {d.group} (leaving one row out at a time)"


def place(c: PoolingComparison) -> list[str]:
    """Which of the intercept's numbers are at the centre, one sentence; none where none are."""
    origin = c.model.design.origin
    if not origin.turns:
        return []
    name = ", ".join(origin.heights)
    return [
        f"Shares of the variance, and lambda and pooling factors of {name}, are those of the lines "
        f"at {origin}; estimates and tau of {name} are at 0."
    ]


def conclusions(c: PoolingComparison) -> list[str]:
    """What follows, one sentence each."""
    said = []
    for unit, part in c.elpd.groupby("unit", sort=False):
        scored = part.dropna(subset=["elpd"])
        subject = f"a new {c.model.design.group}" if unit == "group" else "another row"
        if len(scored) < 2:
            said.append(f"For {subject} there is nothing to compare.")
            continue
        best, second = scored.iloc[0], scored.iloc[1]
        first, other = CALLED[best["pooling"]], CALLED[second["pooling"]]
        off, se = -second["elpd_diff"], second["se_diff"]
        numbers = f"elpd differs by {off:.1f} (se {se:.1f})"
        if off < SMALL_DIFFERENCE:
            said.append(
                f"For {subject}, {first} and {other} predict about equally well: {numbers}, and "
                f"less than {SMALL_DIFFERENCE:g} tells nothing."
            )
        elif off < 2 * se:
            said.append(
                f"For {subject}, {first} looks better than {other}, but could be so by chance: "
                f"{numbers}."
            )
        else:
            said.append(f"For {subject}, {first} predicts better than {other}: {numbers}.")
        if best["terms"] < FEW_TERMS:
            said[-1] += f" (Of {best['terms']} terms; with so few the se itself is uncertain.)"
        bad = scored[scored["bad_k"] > 0]
        if len(bad):
            counts = ", ".join(
                f"{count_of(n, 'term')} under {CALLED[name]}"
                for name, n in zip(bad["pooling"], bad["bad_k"], strict=True)
            )
            said.append(
                f"Pareto k is bad in {counts}: those terms are not to be relied upon; "
                + Message("compare_pooling(..., refit='bad')", "--refit bad")
                + " fits the model without each of them."
            )
        if best["terms"] < best["of"]:
            whose = [
                f"{listed(found.table.index[found.table['elpd'].isna()].tolist(), 3)} under "
                f"{CALLED[name]}"
                for (of, name), found in c.loo.items()
                if of == unit and found.undefined and found.n
            ]
            of_whom = f": {unit} {'; '.join(whose)}" if whose else ""
            said.append(
                f"{best['of'] - best['terms']} of {count_of(best['of'], 'term')} left out of all "
                f"strategies, as one of them has no prediction{of_whom}."
            )
    e = c.estimates
    for name in e["coefficient"].unique() if "coefficient" in e else [None]:
        factor = (
            e["pooling_factor"]
            if name is None
            else e.loc[e["coefficient"] == name, "pooling_factor"]
        )
        if factor.isna().all():  # the effects do not integrate out
            continue
        of = "" if name is None else f" of {name}"
        said.append(
            f"Pooling factors{of} go from {factor.min():.2f} to {factor.max():.2f}, median "
            f"{factor.median():.2f} (0 leaves a group alone, 1 replaces it by the others)."
        )
    return said


def text(c: PoolingComparison, spelled: Callable[[str], str] = str) -> str:
    """Write the report as plain text, with options as ``spelled`` spells them."""
    lines = [title(c), ""]
    for unit, part in c.elpd.groupby("unit", sort=False):
        lines += [heading(c, str(unit)), _plain(_scores(part)), ""]
        lines += [
            f"  {CALLED[str(row.pooling)]}: {row.use}"
            for row in part[part["elpd"].isna()].itertuples()
        ]
    for name, why in c.absent.items():
        lines.append(f"{CALLED[name]} is not there: {why}")
    lines += ["", "Conclusions", *(f"- {spelled(line)}" for line in conclusions(c)), ""]
    lines += ["How much the groups differ (partial pooling)", _plain(c.heterogeneity)]
    lines += [*place(c), ""]
    shown, left = short(c)
    lines += [f"Estimates{left}", _plain(shown.set_index(shown.columns[0]))]
    lines += [f"note {line}" for line in c.notes]
    return "\n".join(lines)


def html(c: PoolingComparison) -> str:
    """The report as HTML: headings, sentences and tables, nothing that needs a style sheet."""
    out = [f"<h3>{escaping.escape(title(c))}</h3>"]
    for unit, part in c.elpd.groupby("unit", sort=False):
        out += [f"<h4>{escaping.escape(heading(c, str(unit)))}</h4>", _table(_scores(part))]
        for row in part[part["elpd"].isna()].itertuples():
            out.append(f"<p>{escaping.escape(f'{CALLED[str(row.pooling)]}: {row.use}')}</p>")
    out += [
        f"<p>{escaping.escape(f'{CALLED[name]} is not there: {why}')}</p>"
        for name, why in c.absent.items()
    ]
    items = "".join(f"<li>{escaping.escape(line)}</li>" for line in conclusions(c))
    out += [f"<ul>{items}</ul>"]
    out += ["<h4>How much the groups differ (partial pooling)</h4>", _table(c.heterogeneity)]
    out += [f"<p>{escaping.escape(line)}</p>" for line in place(c)]
    shown, left = short(c)
    out += [f"<h4>Estimates{escaping.escape(left)}</h4>", _table(shown.set_index(shown.columns[0]))]
    out += [f"<p>note {escaping.escape(line)}</p>" for line in c.notes]
    return "\n".join(out)


def short(c: PoolingComparison) -> tuple[pd.DataFrame, str]:
    """The most telling columns of the estimates, and whether rows were left out, in words."""
    e = c.estimates
    label = [e.columns[0], *(["coefficient"] if "coefficient" in e else [])]
    means = [f"{name}_mean" for name in ("none", "partial", "complete") if name in c.fits]
    table = e[[*label, "n", "estimate", "se", *means, "partial_q5", "partial_q95"]]
    table = table.assign(pooling_factor=e["pooling_factor"], rank=e["rank"])
    if len(table) <= _SHOWN:
        return table, ""
    return table.head(_SHOWN), f" (first {_SHOWN} of {len(table)}; all are in .estimates)"


def _scores(part: pd.DataFrame) -> pd.DataFrame:
    scored = part.dropna(subset=["elpd"]).set_index("pooling")
    columns = [*_NUMBERS, *(["refitted"] if scored["refitted"].any() else [])]
    return scored[columns]


def _plain(table: pd.DataFrame) -> str:
    if table.empty:
        return "  (nothing)"
    return table.to_string(float_format=_number, na_rep="")


def _table(table: pd.DataFrame) -> str:
    if table.empty:
        return "<p>(nothing)</p>"
    return table.to_html(float_format=_number, na_rep="", border=0)


def _number(x: float) -> str:
    """Three significant digits, without an exponent where it can be."""
    if not math.isfinite(x):
        return ""
    if x == 0 or 1e-4 <= abs(x) < 1e5:
        digits = 0 if x == 0 else max(0, 2 - math.floor(math.log10(abs(x))))
        return f"{x:.{min(digits, 6)}f}"
    return f"{x:.3g}"
