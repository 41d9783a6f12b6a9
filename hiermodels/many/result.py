"""The result of many fits: one table, the diagnostics, and what is wrong with some of them."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import DataWarning, DiagnosticWarning, ManyFitsError, count_of, listed
from . import tasks as fit_tasks

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["NUMBERS", "ManyFits", "gather", "report"]

NUMBERS = (
    *("mean", "sd", "q5", "median", "q95"),
    *("mcse_mean", "mcse_sd", "ess_bulk", "ess_tail", "r_hat"),
)
"""Columns of the table that are numbers."""


@dataclass(frozen=True, eq=False, repr=False)
class ManyFits:
    """The fits of one model to many data sets.

    Attributes
    ----------
    table : DataFrame
        One row for each data set and scalar quantity: the data set's label (a column named ``by``,
        or ``data_set``), ``variable`` (``mu``, ``theta[A]``, ...) and the columns of
        ``hm.summary``: ``mean``, ``sd``, ``q5``, ``median``, ``q95``, ``mcse_mean``, ``mcse_sd``,
        ``ess_bulk``, ``ess_tail``, ``r_hat``.
    diagnostics : DataFrame
        One row for each data set, those that were not fitted among them, by label: ``seed``;
        ``parameterization``; ``divergences`` (iterations); ``r_hat``, the largest, and
        ``ess_bulk`` and ``ess_tail``, the smallest, over all quantities; ``seconds`` of the fit;
        ``ok``, whether the draws are to be relied upon; ``findings``, the kinds of what
        ``hm.check`` found; ``verdict``, in words; ``remarks`` on the data, such as dropped rows.
    failures : dict
        Label -> why there is no fit, in one line.
    fits : dict
        Label -> container, where they were kept (``keep="draws"``).
    seed : int
        From which the data sets' own seeds follow.
    per_group : frozenset of str
        Variables that have a value for each group, such as ``theta``.
    """

    table: pd.DataFrame
    diagnostics: pd.DataFrame
    failures: dict[Hashable, str]
    fits: dict[Hashable, Any]
    seed: int
    per_group: frozenset[str]

    @property
    def hyperparameters(self) -> pd.DataFrame:
        """The rows of ``table`` for quantities of the population: ``mu``, ``tau``, ``sigma``..."""
        names = self.table["variable"].str.split("[").str[0]
        return self.table[~names.isin(self.per_group)].reset_index(drop=True)

    def __len__(self) -> int:
        """Give the number of data sets, fitted or not."""
        return len(self.diagnostics)

    def __repr__(self) -> str:
        doubtful = int((~self.diagnostics["ok"]).sum()) - len(self.failures)
        return (
            f"<ManyFits: {count_of(len(self), 'data set')}, {len(self.failures)} not fitted, "
            f"{doubtful} not to be relied upon; .table, .hyperparameters, .diagnostics>"
        )


def gather(
    labels: Sequence[Any],
    name: str,
    seed: int,
    seeds: Sequence[int],
    outcomes: Mapping[int, fit_tasks.Outcome],
    remarks: Mapping[int, str],
) -> ManyFits:
    """Lay the outcomes out in the order of the labels."""
    import pandas as pd

    tables, owners, fits = [], [], {}
    failures: dict[Hashable, str] = {}
    checks: list[dict[str, Any]] = []
    for at, label in enumerate(labels):
        outcome = outcomes[at]
        own = {"seed": seeds[at], **fit_tasks.UNCHECKED, **outcome.checked}
        if outcome.failure is not None:
            failures[label] = outcome.failure
            own["verdict"] = f"Not fitted: {outcome.failure}"
        checks.append(own | {"remarks": remarks.get(at, "")})
        if outcome.table is not None:
            tables.append(outcome.table)
            owners += [label] * len(outcome.table)
        if outcome.idata is not None:
            fits[label] = outcome.idata
    empty = pd.DataFrame(columns=["variable", *NUMBERS])
    table = pd.concat(tables, ignore_index=True) if tables else empty
    # Tuples are labels as well, not the levels of an index.
    index: pd.Index[Any] = pd.Index(labels, tupleize_cols=False, name=name)
    table.insert(0, name, pd.Series(pd.Index(owners, tupleize_cols=False, dtype=index.dtype)))
    return ManyFits(
        table=table,
        diagnostics=pd.DataFrame(checks, index=index),
        failures=failures,
        fits=fits,
        seed=seed,
        per_group=frozenset().union(*(outcome.per_group for outcome in outcomes.values())),
    )


def report(result: ManyFits, on_error: str) -> None:
    """Say at the end, and once, what is wrong with some of the fits."""
    table = result.diagnostics
    failed = f"{len(result.failures)} of {count_of(len(table), 'data set')} could not be fitted"
    reasons = _reasons(result.failures)
    if result.failures and on_error == "raise":
        raise ManyFitsError(
            f"{failed}: {reasons}; the other {len(table) - len(result.failures)} are in this "
            "error's .result, and fit_many(on_error='keep') returns them",
            result,
        )
    remarks = table["remarks"][table["remarks"] != ""]
    if len(remarks):
        first = f"{remarks.index[0]!r}: {remarks.iloc[0]}"
        warnings.warn(
            f"{len(remarks)} of {count_of(len(table), 'data set')} with remarks, such as {first}; "
            "all are in .diagnostics['remarks']",
            DataWarning,
            stacklevel=3,
        )
    lines = [f"{failed}: {reasons}"] if result.failures else []
    doubtful = table[table["findings"] != ""]
    if len(doubtful):
        kinds = Counter(kind for found in doubtful["findings"] for kind in found.split(", "))
        lines.append(
            f"{len(doubtful)} of {count_of(len(table), 'fit')} had findings "
            f"({', '.join(f'{kind}: {count}' for kind, count in kinds.most_common())}), "
            f"{int((~doubtful['ok']).sum())} of them not to be relied upon: "
            f"{listed(doubtful.index)}"
        )
    if lines:
        warnings.warn(f"{'; '.join(lines)}; see .diagnostics", DiagnosticWarning, stacklevel=3)


def _reasons(failures: Mapping[Hashable, str], most: int = 4) -> str:
    said = [f"{label!r} ({why})" for label, why in failures.items()]
    more = f" and {len(said) - most} more" if len(said) > most else ""
    return ", ".join(said[:most]) + more
