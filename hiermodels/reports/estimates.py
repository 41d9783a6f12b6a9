"""The tables of a report that hold estimates: of the fit, of all strategies, and their scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..diagnostics import summary as summaries
from .numbers import decimals, fixed, interval
from .page import Table, without_empty
from .subject import CALLED

if TYPE_CHECKING:
    import pandas as pd

    from .subject import Subject

__all__ = [
    "by_itself",
    "common",
    "compared",
    "effects",
    "heterogeneity",
    "hyperparameters",
    "meanings",
    "scores",
]

MOST_ROWS = 100
"""Rows of a table of groups; the others are counted in its caption."""

_EFFECTS = ("theta", "deviation", "eta", "L_Omega")


# ---- a fit ---------------------------------------------------------------------------------------


def hyperparameters(s: Subject) -> Table | None:
    """What is not a group's effect: mu, tau, beta, Omega, sigma and what follows from them."""
    names = [
        str(name)
        for name, x in s.posterior.data_vars.items()
        if name not in _EFFECTS and {"chain", "draw"} <= set(x.dims) and x.size
    ]
    if not names:
        return None
    found = summaries.summary(s.idata, names)
    caption = f"Hyperparameters under {CALLED.get(s.lead, 'this model')}{_cut(len(found))}"
    return _summary(found[:MOST_ROWS], caption, "parameter")


def _summary(found: pd.DataFrame, caption: str, what: str) -> Table:
    heads = [what, "mean", "sd", "90 % interval", "median", "MCSE", "bulk ESS", "tail ESS", "R-hat"]
    rows = []
    for label, r in zip(found.index, found.to_dict("records"), strict=True):
        places = decimals(r["sd"])
        more = None if places is None else places + 1
        rows.append(
            [
                str(label),
                *(fixed(r[name], places) for name in ("mean", "sd")),
                interval(r["q5"], r["q95"], places),
                fixed(r["median"], places),
                fixed(r["mcse_mean"], more),
                *(fixed(r[name], 0) for name in ("ess_bulk", "ess_tail")),
                fixed(r["r_hat"], 3),
            ]
        )
    return Table(caption, heads, rows)


def effects(s: Subject) -> list[Table]:
    """The groups' effects in a fit, a table for each coefficient."""
    if s.theta is None:
        return []
    tables = []
    for k, name in enumerate(s.coefficients):
        found = _of_first_groups(s, name)
        places = decimals(found["sd"])
        own = s.raw is not None
        heads = [s.group, *(["n"] if s.sizes is not None else [])]
        heads += ["its own estimate", "se"] if own else []
        heads += ["mean", "sd", "90 % interval", "bulk ESS", "R-hat"]
        rows = []
        for j, r in enumerate(found.to_dict("records")):
            row = [s.labels[j], *([str(s.sizes[j])] if s.sizes is not None else [])]
            if s.raw is not None:
                row += [_or_none(s.raw[0][j, k], places), fixed(s.raw[1][j, k], places)]
            row += [fixed(r["mean"], places), fixed(r["sd"], places)]
            row += [interval(r["q5"], r["q95"], places)]
            rows.append([*row, fixed(r["ess_bulk"], 0), fixed(r["r_hat"], 3)])
        of = "theta" if name is None else f"theta[{name}]"
        caption = f"{of} of each {s.group}, {CALLED.get(s.lead, 'posterior')}{_cut(len(s.labels))}"
        tables.append(without_empty(Table(caption, heads, rows)))
    return tables


def _or_none(value: float, places: int | None) -> str:
    return fixed(value, places) or "none"


def _of_first_groups(s: Subject, coefficient: str | None) -> pd.DataFrame:
    """The summary of the first groups' effects: it takes long where there are many."""
    import pandas as pd

    assert s.theta is not None  # noqa: S101 - asked for where it is there
    some = s.theta.isel({s.group: slice(MOST_ROWS)})
    if coefficient is not None:
        some = some.sel(coefficient=coefficient)
    if "statistic" in some.dims:
        found = {n: some.sel(statistic=n).to_numpy() for n in ("mean", "sd", "q5", "q95")}
        return pd.DataFrame(found).assign(ess_bulk=np.nan, r_hat=np.nan)
    ds = some.drop_vars("coefficient", errors="ignore").to_dataset(name="theta")
    columns = ("mean", "sd", "q5", "q95", "ess_bulk", "r_hat")
    return pd.DataFrame(summaries.table(ds, "theta", "posterior", columns)[1])


def _cut(number: int) -> str:
    return f" (the first {MOST_ROWS} of {number})" if number > MOST_ROWS else ""


def compared(s: Subject) -> list[Table]:
    """The groups' effects under the strategies, a table for each coefficient."""
    assert s.comparison is not None  # noqa: S101 - asked for where it is there
    e = s.comparison.estimates
    tables = []
    for name in s.coefficients:
        part = e if name is None else e[e["coefficient"] == name]
        tables.append(_strategies(s, part, name))
    return tables


def _strategies(s: Subject, part: pd.DataFrame, coefficient: str | None) -> Table:
    places = decimals(part["partial_sd"])
    known = s.se is not None
    over = [("", 1 if known else 2), ("by itself", 2)]
    heads = [s.group, *([] if known else ["n"]), "estimate", "se"]
    shown = [name for name in ("none", "partial") if name in s.fits]
    for name in shown:
        over.append((CALLED[name], 3 if name == "partial" else 2))
        heads += ["mean", *(["sd"] if name == "partial" else []), "90 % interval"]
    over += [("pooling factor", 2), ("", 1)]
    heads += ["mean", "90 % interval", "rank"]
    rows = []
    for r in part[:MOST_ROWS].to_dict("records"):
        row = [str(r[part.columns[0]]), *([] if known else [str(r["n"])])]
        row += [_or_none(r["estimate"], places), fixed(r["se"], places)]
        for name in shown:
            row.append(fixed(r[f"{name}_mean"], places))
            row += [fixed(r["partial_sd"], places)] if name == "partial" else []
            row.append(interval(r[f"{name}_q5"], r[f"{name}_q95"], places))
        row.append(fixed(r["pooling_factor"], 2))
        row.append(interval(r["pooling_factor_q5"], r["pooling_factor_q95"], 2))
        rows.append([*row, str(r["rank"])])
    of = s.response if coefficient is None else f"Coefficient {coefficient}"
    return Table(f"{of} by {s.group}{_cut(len(part))}", heads, rows, over=over)


def common(s: Subject) -> list[str]:
    """What complete pooling says, which is the same for all groups."""
    assert s.comparison is not None  # noqa: S101 - asked for where it is there
    if "complete" not in s.fits:
        return []
    said = []
    for name in s.coefficients:
        e = s.comparison.estimates
        part = e if name is None else e[e["coefficient"] == name]
        r, places = part.iloc[0], decimals(part["complete_sd"])
        of = s.response if name is None else f"coefficient {name}"
        said.append(
            f"Complete pooling gives every {s.group} the same {of}: "
            f"{fixed(r['complete_mean'], places)} (sd {fixed(r['complete_sd'], places)}, 90 % "
            f"interval {interval(r['complete_q5'], r['complete_q95'], places)})."
        )
    return said


def by_itself(s: Subject) -> list[str]:
    """What a group's own estimate is, where that is not plain, and why some have none."""
    if s.raw is None:
        return []
    said = []
    if s.model_name == "VaryingSlopes":
        said.append(
            f"A {s.group}'s own estimates are least squares on its own rows alone, all "
            "coefficients its own."
        )
        if "predictor" in s.posterior.coords:
            said[0] += " (The pictures give it the common coefficients of partial pooling.)"
    none = int(np.isnan(s.raw[0]).any(axis=1).sum())
    if none:
        said.append(
            f"{none} of {len(s.raw[0])} have none: too few rows, or columns that do not vary in "
            "them."
        )
    return [" ".join(said)] if said else []


# ---- the comparison ------------------------------------------------------------------------------


def scores(part: pd.DataFrame, caption: str) -> Table | None:
    """The scores of a unit, best first; None where no strategy has any."""
    scored = part.dropna(subset=["elpd"])
    if scored.empty:
        return None
    heads = ["strategy", "elpd", "se", "difference", "se of it", "p_loo", "terms"]
    heads += ["bad Pareto k", "worst k", *(["refitted"] if scored["refitted"].any() else [])]
    rows = []
    for r in scored.to_dict("records"):
        row = [CALLED[r["pooling"]]]
        row += [fixed(r[name], 2) for name in ("elpd", "se", "elpd_diff", "se_diff", "p_loo")]
        terms = f"{r['terms']} of {r['of']}" if r["terms"] < r["of"] else str(r["terms"])
        row += [terms, str(r["bad_k"]), fixed(r["worst_k"], 2)]
        rows.append([*row, *([str(r["refitted"])] if "refitted" in heads else [])])
    return Table(caption, heads, rows)


_MEANING = {
    "tau": "the standard deviation between groups",
    "icc": "the share of the variance that lies between groups",
    "I2": "the share of the variance between the estimates that is not their own error",
    "share": "the share of the variance about the population line that a coefficient has",
    "lambda": "by how much the estimates of the groups vary less than their effects may: 1 is "
    "complete pooling, 0 none; with few groups it says little",
}


def heterogeneity(found: pd.DataFrame) -> Table:
    """How much the groups differ."""
    heads = ["quantity", "mean", "sd", "90 % interval", "median"]
    rows = []
    for label, r in zip(found.index, found.to_dict("records"), strict=True):
        places = decimals(r["sd"]) if np.isfinite(r["sd"]) else 2
        row = [str(label), fixed(r["mean"], places), fixed(r["sd"], places)]
        rows.append([*row, interval(r["q5"], r["q95"], places), fixed(r["median"], places)])
    return Table("Heterogeneity, under partial pooling", heads, rows)


def meanings(found: pd.DataFrame) -> list[str]:
    """What the quantities of that table are, each kind once."""
    kinds = dict.fromkeys(str(label).partition("[")[0] for label in found.index)
    return [f"{kind}: {_MEANING[kind]}" for kind in kinds if kind in _MEANING]
