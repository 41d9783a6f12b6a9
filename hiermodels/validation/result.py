"""The result of a calibration: ranks, a table of verdicts, a picture."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..diagnostics import uniformity
from ..errors import listed

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from .tasks import Record

__all__ = ["Calibration"]

MOST_FAILED = 0.03
"""Share of failed fits from which on nothing is passed."""
FEWEST = 20
"""Fits below which nothing is passed: a shift of a whole sd would go unseen."""
SURE = 0.9
"""Probability with which a shift is found that is called detectable."""


@dataclass(frozen=True, eq=False, repr=False)
class Calibration:
    """What simulation-based calibration found; prints as a short report.

    Attributes
    ----------
    ranks : DataFrame
        A row for each simulation, a column for each quantity: the number of draws, from 0 to
        ``draws``, that are below the value that the data came from; missing where there is no fit.
    table : DataFrame
        A row for each quantity. ``simulations`` that were fitted; ``draws`` that ranks are among;
        ``difference``, the ECDF of the ranks less that of a uniform, where it is least probable;
        ``band``, how far it may be off there if of all quantities 95 % are to stay inside
        (simultaneous, and Bonferroni over quantities); ``p``, the probability that uniform ranks
        stray so far anywhere; ``p_chi_square`` of a plain chi-square test; ``coverage_50`` and
        ``coverage_90``, the shares of simulations whose value lay in the central intervals, with
        their Monte Carlo standard errors ``error_50`` and ``error_90``; ``verdict``, "inside" or
        "outside".
    simulations : DataFrame
        A row for each simulation: ``seed`` of the fit, ``ess`` (the smallest of a quantity),
        ``fit_draws``, ``divergences``, ``seconds``, ``failure``.
    about : dict
        What was run: model, priors, engine, program, seed, options.
    """

    ranks: pd.DataFrame
    table: pd.DataFrame
    simulations: pd.DataFrame
    about: Mapping[str, Any]

    @classmethod
    def of_records(cls, about: Mapping[str, Any], records: Sequence[Record]) -> Calibration:
        """The result of records of simulations.

        Parameters
        ----------
        about : mapping
            The header of a calibration's file.
        records : sequence of Record
        """
        import pandas as pd

        names, draws = list(about["quantities"]), int(about["draws"])
        index = pd.Index([r.simulation for r in records], name="simulation", dtype="int64")
        none = [None] * len(names)
        ranks = pd.DataFrame(
            [r.ranks or none for r in records], index=index, columns=names, dtype="Int64"
        )
        kept = ("seed", "ess", "fit_draws", "divergences", "seconds", "failure")
        simulations = pd.DataFrame(
            [[getattr(r, k) for k in kept] for r in records], index=index, columns=list(kept)
        )
        fitted = ranks.dropna().astype("int64")
        level = uniformity.shared(len(names))
        rows = [_row(fitted[name].to_numpy(), draws, level) for name in names]
        table = pd.DataFrame(rows, index=pd.Index(names, name="quantity"), columns=_COLUMNS)
        return cls(ranks, table, simulations, dict(about))

    @property
    def failing(self) -> tuple[str, ...]:
        """The quantities whose ranks are not uniform."""
        return tuple(self.table.index[self.table["verdict"] == "outside"])

    @property
    def failures(self) -> dict[int, str]:
        """Simulation -> why there is no fit, in one line."""
        said = self.simulations["failure"].dropna()
        return dict(zip(said.index.tolist(), said.tolist(), strict=True))

    @property
    def passed(self) -> bool:
        """Whether no quantity fails, of 20 fits or more, and 97 % of the fits or more were made.

        Divergences do not count: that a chain did not get everywhere shows in the ranks or not at
        all. The verdict names them.
        """
        few = len(self.failures) <= MOST_FAILED * len(self.ranks)
        return few and self.fits >= FEWEST and not self.failing

    @property
    def fits(self) -> int:
        """Simulations that were fitted."""
        return len(self.ranks) - len(self.failures)

    @property
    def detectable(self) -> float:
        """Shift of one quantity's posterior, in its sds, that is found 9 times in 10.

        What so many simulations can tell, at the level that is shared by all quantities; infinite
        where they find nothing.
        """
        if not self.fits:
            return math.inf
        return uniformity.detectable(self.fits, int(self.about["draws"]), self._level, SURE)

    @property
    def _level(self) -> float:
        return uniformity.shared(len(self.table))

    @property
    def divergences(self) -> int:
        """Divergent iterations over all fits."""
        return int(self.simulations["divergences"].sum())

    @property
    def verdict(self) -> str:
        """The answer in one sentence."""
        many, failed = len(self.ranks), len(self.failures)
        if not many:
            return "No simulation has run yet"
        if failed > MOST_FAILED * many or failed == many:
            return (
                f"Failed: {failed} of {many} simulations have no fit, more than "
                f"{MOST_FAILED:.0%}: {_reasons(self.failures.values())}"
            )
        share = f"{uniformity.LEVEL:.0%}"
        level = f"{share} band of their ECDF, for all {len(self.table)} quantities at once"
        if self.fits < FEWEST:
            said = f"Too few simulations to tell ({self.fits}; at least {FEWEST} are needed)"
            if self.failing:
                said += f", though the ranks of {listed(self.failing)} leave the {level}"
        elif self.failing:
            said = f"Failed: the ranks of {listed(self.failing)} leave the simultaneous {level}"
        else:
            said = f"Passed: all ranks stay inside the simultaneous {level}"
        return said + self._diverging

    @property
    def _diverging(self) -> str:
        """The end of a verdict on fits that diverged."""
        fits = int((self.simulations["divergences"] > 0).sum())
        if not fits:
            return ""
        return f"; {self.divergences} iterations diverged, in {fits} of {self.fits} fits"

    @property
    def _power(self) -> str:
        """What so many simulations can find."""
        if not math.isfinite(self.detectable):
            return f"{self.fits} simulations find no shift of a posterior, however large"
        return (
            f"{self.fits} simulations find a posterior that is off by {self.detectable:.2f} of its "
            f"sd {10 * SURE:.0f} times in 10"
        )

    def __str__(self) -> str:
        about, short = self.about, self._short
        facts = [
            f"{len(self.ranks)} simulations",
            f"{len(self.failures)} without a fit",
            f"ranks among {about['draws']} draws",
            f"{self.divergences} divergent iterations in "
            f"{int((self.simulations['divergences'] > 0).sum())} fits",
        ]
        if short:
            facts.append(f"{short} fits with fewer effective draws")
        columns = ["difference", "band", "p", "coverage_50", "coverage_90", "verdict"]
        shown = self.table[columns].copy()
        shown["p"] = [_probability(p) for p in shown["p"]]
        return "\n".join(
            [
                f"Calibration of {about['model']} by {about['engine']}",
                ", ".join(facts),
                shown.to_string(float_format=lambda x: f"{x:.3f}"),
                *([self._power] if self.fits else []),
                self.verdict,
            ]
        )

    __repr__ = __str__

    @property
    def _short(self) -> int:
        return int((self.simulations["ess"].astype("float64") < self.about["draws"]).sum())

    def plot(self, ax: Axes | None = None, quantities: Sequence[str] | None = None) -> Axes:
        """Draw the ECDF of each quantity's ranks less that of a uniform, and the bands.

        The light band holds 95 % of the ECDFs of one quantity, the dashed lines 95 % of those of
        all quantities at once: what leaves them fails, and is named.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw; by default a new figure.
        quantities : sequence of str, optional
            Which; all by default.

        Returns
        -------
        Axes

        Raises
        ------
        OptionError
            There is no such quantity, or no simulation was fitted.
        """
        from ..plots import calibration

        return calibration(self, quantities=quantities, ax=ax)


_COLUMNS = (
    *("simulations", "draws", "difference", "band", "p", "p_chi_square"),
    *("coverage_50", "error_50", "coverage_90", "error_90", "verdict"),
)


def _row(ranks: NDArray[np.int64], draws: int, level: float) -> dict[str, Any]:
    """One quantity's row of the table."""
    n = len(ranks)
    if not n:
        return {"simulations": 0, "draws": draws, "verdict": "not fitted"}
    fit = uniformity.judge(ranks, draws)
    band = uniformity.band(n, draws, level)
    limit = band.upper[fit.at] if fit.difference > 0 else -band.lower[fit.at]
    return {
        "simulations": n,
        "draws": draws,
        "difference": fit.difference,
        "band": limit,
        "p": fit.p,
        "p_chi_square": uniformity.chi_square(ranks, draws),
        "coverage_50": coverage(ranks, draws, 0.5),
        "error_50": math.sqrt(0.25 / n),
        "coverage_90": coverage(ranks, draws, 0.9),
        "error_90": math.sqrt(0.09 / n),
        "verdict": "inside" if fit.p > 1 - level else "outside",
    }


def coverage(ranks: NDArray[np.int64], draws: int, probability: float) -> float:
    """Share of values inside the central interval of a probability.

    Of the L + 1 places that a value can have among L draws, the interval holds those in the middle;
    one that is cut counts in part, so that uniform ranks are inside with just this probability.
    """
    import numpy as np

    outside = round((1 - probability) / 2 * (draws + 1), 9)  # whole where it is all but whole
    low, high = np.maximum(ranks, outside), np.minimum(ranks + 1, draws + 1 - outside)
    return float(np.mean(np.maximum(high - low, 0)))


def _reasons(failures: Iterable[str]) -> str:
    """The commonest reasons with their numbers; what differs in its digits alone is the same."""
    kinds: dict[str, list[str]] = {}
    for why in failures:
        kinds.setdefault(re.sub(r"[-+]?\d[\d.e+-]*", "#", why), []).append(why)
    often = sorted(kinds.values(), key=len, reverse=True)
    more = f"; and {len(often) - 2} other reasons" if len(often) > 2 else ""
    return "; ".join(f"{same[0]} ({len(same)})" for same in often[:2]) + more


def _probability(p: float) -> str:
    return f"{p:.3f}" if not p < 0.001 else "<0.001"
