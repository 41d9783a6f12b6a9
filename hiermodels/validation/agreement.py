"""How far draws agree with an exact posterior, or with other draws: z, and distances of CDFs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from ..diagnostics import convergence
from ..diagnostics import summary as summaries
from ..errors import ContainerError
from . import reference

if TYPE_CHECKING:
    import xarray as xr

    from .reference import Twin

__all__ = ["Measured", "against_draws", "against_twin", "by_label", "measured", "row"]

Array = NDArray[np.float64]

_POINTS = 99  # quantiles of the draws at which distributions are compared


def by_label(posterior: xr.Dataset) -> dict[str, Array]:
    """Draws of every scalar, shape (chain, draw), labelled as ``hm.summary`` does."""
    out: dict[str, Array] = {}
    for name in posterior.data_vars:
        out |= summaries.scalars(posterior, str(name))
    return out


@dataclass(frozen=True)
class Measured:
    """Draws of Q scalars, and their rulers, each of shape (Q,)."""

    labels: list[str]
    values: Array  # (chain, draw, Q)
    mean: Array
    sd: Array
    mcse_mean: Array
    mcse_sd: Array
    ess: Array

    @property
    def points(self) -> Array:
        """Quantiles of the draws, shape (_POINTS, Q)."""
        flat = self.values.reshape(-1, len(self.labels))
        return np.asarray(np.quantile(flat, np.arange(1, _POINTS + 1) / (_POINTS + 1), axis=0))

    def below(self, x: Array) -> Array:
        """Shares of the draws up to points of shape (n, Q)."""
        flat = np.sort(self.values.reshape(-1, len(self.labels)), axis=0)
        counts = [np.searchsorted(flat[:, k], x[:, k], side="right") for k in range(x.shape[1])]
        return np.column_stack(counts) / len(flat)


def measured(drawn: dict[str, Array], labels: Sequence[str]) -> Measured:
    """Mean, sd, their errors and the ESS of labelled draws."""
    values = np.stack([drawn[label] for label in labels], axis=-1)
    columns = ("mean", "sd", "mcse_mean", "mcse_sd", "ess_bulk", "ess_tail")
    table = convergence.table(values, columns)
    draws = values.shape[0] * values.shape[1]
    ess = np.minimum(np.minimum(table["ess_bulk"], table["ess_tail"]), draws)
    return Measured(
        list(labels), values, table["mean"], table["sd"], table["mcse_mean"], table["mcse_sd"], ess
    )


def row(
    m: Measured, exact: Array, exact_sd: Array, error: Array, error_sd: Array, ks: Array, n: Array
) -> pd.DataFrame:
    """One row for each quantity; ``error`` is that of both sides together."""
    with np.errstate(divide="ignore", invalid="ignore"):  # draws that stand still have no error
        z, z_sd = (m.mean - exact) / error, (m.sd - exact_sd) / error_sd
    return pd.DataFrame(
        {
            "exact": exact,
            "estimate": m.mean,
            "mcse": error,
            "z": z,
            "z_sd": z_sd,
            "ks": ks,
            "p_ks": special.kolmogorov(np.sqrt(n) * ks),
            "ess": m.ess,
        },
        index=pd.Index(m.labels),
    )


def against_twin(drawn: dict[str, Array], exact: Twin) -> pd.DataFrame:
    """Compare draws with the exact posterior."""
    there = [k for k, label in enumerate(exact.labels) if label in drawn]
    labels = [exact.labels[k] for k in there]
    if not labels:
        raise ContainerError(f"the posterior has none of {', '.join(exact.labels[:5])}, ...")
    m = measured(drawn, labels)
    points = np.zeros((_POINTS, len(exact.labels)))
    points[:, there] = m.points
    ks = np.abs(m.below(m.points) - exact.cdf(points)[:, there]).max(axis=0)
    table = row(m, exact.mean[there], exact.sd[there], m.mcse_mean, m.mcse_sd, ks, m.ess)
    # A mean has a standard error where there are two moments, a standard deviation where there are
    # four; the distribution functions are there in any case.
    moments = exact.moments[there]
    table["z"] = table["z"].where(moments >= 2)
    table["z_sd"] = table["z_sd"].where(moments >= 4)
    return table


def against_draws(drawn: dict[str, Array], others: dict[str, Array]) -> pd.DataFrame:
    """Compare draws with those of another program for the same posterior."""
    labels = [n for n in drawn if n in others and np.ptp(drawn[n]) > 0]
    if len(labels) > reference.MOST_EFFECTS:
        kept = np.unique(np.linspace(0, len(labels) - 1, reference.MOST_EFFECTS).astype(int))
        small = [n for n in labels if not n.startswith("theta[")]
        labels = list(dict.fromkeys([*small, *(labels[k] for k in kept)]))
    m, o = measured(drawn, labels), measured(others, labels)
    ks = np.abs(m.below(m.points) - o.below(m.points)).max(axis=0)
    n = m.ess * o.ess / (m.ess + o.ess)
    error, error_sd = np.hypot(m.mcse_mean, o.mcse_mean), np.hypot(m.mcse_sd, o.mcse_sd)
    return row(m, o.mean, o.sd, error, error_sd, ks, n)
