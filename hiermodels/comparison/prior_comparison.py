"""A comparison of priors in words: whether conclusions move, and by how much."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import OptionError, listed, suggest

if TYPE_CHECKING:
    import pandas as pd


__all__ = ["PriorComparison"]

STATISTICS = ("mean", "sd", "q5", "median", "q95")
SMALL, LARGE = 0.1, 0.5
"""Shifts, in posterior sds, below which nothing moves, and from which on conclusions do."""

# What has a place on the line, where it matters on which side of 0 it lies.
_LOCATIONS = ("mu", "theta", "beta", "Omega")
_SHOWN, _TOLD = 8, 4  # rows and intervals in the report


@dataclass(frozen=True, eq=False, repr=False)
class PriorComparison:
    """What :func:`compare_priors` found; prints as a short report.

    Attributes
    ----------
    fits : dict
        Name of the set -> container.
    table : DataFrame
        One row for each quantity and set: ``variable`` (as in ``hm.summary``), ``priors`` (the
        name of the set), ``mean``, ``sd``, ``q5``, ``median``, ``q95`` (central 90 % interval), and
        ``shift`` = (mean - mean under the first set) / sd under the first set, NaN where there is
        no such mean or sd. Of complete pooling without theta, which is mu.
    priors : DataFrame
        What each set is: one row for each parameter with a prior, one column for each set.
    log_marginal_likelihood : Series
        log p(y) under each set, where all its priors are proper and the engine is exact; else NaN.
    engines : dict
        Name of the set -> engine that made its draws.
    exact : bool
        Whether the table is free of Monte Carlo error (its numbers are by quadrature, not from the
        draws in ``fits``).
    seed : int
        Of every fit.
    notes : tuple of str
        What is to be known of the numbers.
    """

    fits: dict[str, Any]
    table: pd.DataFrame
    priors: pd.DataFrame
    log_marginal_likelihood: pd.Series[float]
    engines: dict[str, str]
    exact: bool
    seed: int
    notes: tuple[str, ...] = ()

    def wide(self, statistic: str = "mean") -> pd.DataFrame:
        """One column of the table side by side: a row for each quantity, a column for each set.

        Parameters
        ----------
        statistic : {"mean", "sd", "q5", "median", "q95", "shift"}

        Raises
        ------
        OptionError
            Another statistic.
        """
        import pandas as pd

        known = (*STATISTICS, "shift")
        if statistic not in known:
            raise OptionError(
                f"statistic must be one of {listed(known)}, got {statistic!r}"
                f"{suggest(str(statistic), known)}"
            )
        table = self.table.set_index("variable")
        columns = {name: table.loc[table["priors"] == name, statistic] for name in self.fits}
        return pd.DataFrame(columns).rename_axis(index=None)

    @property
    def largest(self) -> pd.Series[Any] | None:
        """The row of the table with the largest absolute shift, or None."""
        size = self.table["shift"].abs().fillna(-1.0)
        at = int(size.argmax())
        return self.table.iloc[at] if size.iloc[at] >= 0 else None

    @property
    def crossings(self) -> list[str]:
        """Intervals (90 %) that lie elsewhere to 0 under one set than under another.

        An end within a tenth of an sd of 0 lies on neither side: that much is nothing here, and of
        4,000 draws it is three Monte Carlo standard errors of an interval's end.
        """
        low, high = self.wide("q5"), self.wide("q95")
        near = SMALL * self.wide("sd").fillna(0)
        side = (low > near).astype(float) - (high < -near).astype(float)
        side = side.mask((low.abs() <= near) | (high.abs() <= near))
        lines = []
        for label, row in side.iterrows():
            if str(label).partition("[")[0] not in _LOCATIONS:
                continue
            if row.nunique() < 2:  # an end that is near 0 does not count
                continue
            parts = [
                f"{where} under {listed(list(row.index[row == s]), 3)}"
                for s, where in ((1, "above 0"), (-1, "below 0"), (0, "around 0"))
                if (row == s).any()
            ]
            lines.append(f"90 % interval of {label}: {'; '.join(parts)}")
        return lines

    @property
    def verdict(self) -> str:
        """Whether conclusions move, in one sentence."""
        worst = self.largest
        if worst is None:
            return "No quantity has a shift: there are no posterior means to compare."
        size = abs(float(worst["shift"]))
        told = (
            f"largest shift {worst['shift']:+.2f} sd: {worst['variable']} under {worst['priors']!r}"
        )
        if size >= LARGE:
            return f"Conclusions move with the priors ({told})."
        if self.crossings:
            return f"Estimates move with the priors, across 0 for some 90 % intervals ({told})."
        if size >= SMALL:
            return f"Estimates move a little with the priors, conclusions hold ({told})."
        return f"Conclusions do not move with the priors ({told})."

    def __str__(self) -> str:
        differ = _differs(self.priors)
        sets = self.priors[differ] if differ.any() else self.priors
        shown, left = _side_by_side(self)
        how, first = "exact" if self.exact else "from draws", next(iter(self.fits))
        lines = [
            self.verdict,
            "",
            "Priors that differ:" if differ.any() else "Priors:",
            sets.to_string(),
            "",
            f"Mean (90 % interval), {how}; largest shift, in posterior sds under {first!r}:",
            shown.to_string(),
        ]
        if left:
            lines.append(f"... and {left} more in .table")
        known = self.log_marginal_likelihood.dropna()
        if len(known) > 1:
            values = ", ".join(f"{name} {value:.2f}" for name, value in known.items())
            lines += ["", f"log p(y): {values}"]
        if crossed := self.crossings:
            lines += ["", *crossed[:_TOLD]]
            if (more := len(crossed) - _TOLD) > 0:
                lines.append(f"... and {more} more in .crossings")
        if self.notes:
            lines += ["", *(f"note {line}" for line in self.notes)]
        return "\n".join(lines)

    __repr__ = __str__


def _side_by_side(c: PriorComparison) -> tuple[pd.DataFrame, int]:
    """The quantities that move most, a column for each set; and how many are left out."""
    import pandas as pd

    wide = {s: c.wide(s) for s in ("mean", "q5", "q95", "shift")}
    names = list(c.fits)
    size = wide["shift"].abs().max(axis=1)
    first = size.sort_values(ascending=False, kind="stable").index[:_SHOWN]
    columns = {
        name: [
            "{:.3g} ({:.3g}, {:.3g})".format(
                *(float(wide[s].loc[label, name]) for s in ("mean", "q5", "q95"))
            )
            for label in first
        ]
        for name in names
    }
    moved = wide["shift"].loc[first, names[1:] or names]
    largest = moved.abs().fillna(-1.0).to_numpy().argmax(axis=1)
    shifts = moved.to_numpy()[range(len(first)), largest]
    columns["shift"] = ["" if math.isnan(value) else f"{value:+.2f}" for value in shifts]
    return pd.DataFrame(columns, index=first), len(size) - len(first)


def _differs(table: pd.DataFrame) -> pd.Series[bool]:
    """Which rows are not the same in all columns."""
    return table.ne(table.iloc[:, 0], axis=0).any(axis=1)
