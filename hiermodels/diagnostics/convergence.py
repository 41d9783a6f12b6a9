"""R-hat, effective sample sizes, Monte Carlo standard errors and E-BFMI of many entries at once.

The numbers are ArviZ's own, computed by :mod:`~hiermodels.diagnostics.estimators` without ArviZ,
which takes 6 ms per entry (a minute for 10,000 effects). An entry that cannot be measured
(constant, not finite, too few chains) is NaN. Beside the draws, each processor uses about 20 MB.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ..errors import ContainerError, listed
from ..system.progress import processors

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr
    from numpy.typing import NDArray

__all__ = ["bfmi", "refuse_bare", "table"]

_SAMPLE_DIMS = ("chain", "draw")
# Numbers in a block: a megabyte, so that a dozen arrays of that size stay near the processor.
_BLOCK = 1 << 17


def bfmi(sample_stats: xr.Dataset) -> NDArray[np.float64]:
    """Estimated Bayesian fraction of missing information (E-BFMI) of each chain.

    The mean squared step of the energy over its variance.

    Parameters
    ----------
    sample_stats : Dataset
        With ``energy``, dims (chain, draw).

    References
    ----------
    Betancourt, M. (2016). Diagnosing suboptimal cotangent disintegrations in Hamiltonian Monte
    Carlo. arXiv:1604.00695.
    """
    import numpy as np

    if "energy" not in sample_stats:
        raise ContainerError(
            "E-BFMI needs the variable 'energy' in sample_stats; "
            f"it has {listed(sorted(map(str, sample_stats.data_vars)))}; fit by engine='nuts'"
        )
    energy = np.asarray(
        sample_stats.variables["energy"].transpose(*_SAMPLE_DIMS).values, dtype=np.float64
    )
    measured = np.full(energy.shape[0], np.nan)
    usable = np.isfinite(energy).all(axis=1)
    usable &= np.ptp(np.where(np.isfinite(energy), energy, 0.0), axis=1) > 0
    some = energy[usable]
    if some.size:
        measured[usable] = (np.diff(some, axis=1) ** 2).mean(axis=1) / some.var(axis=1, ddof=1)
    return measured


def table(x: NDArray[np.float64], columns: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Measure many entries at once.

    Parameters
    ----------
    x : array, shape (chain, draw, entries)
    columns : sequence of str
        Of ``mean``, ``sd``, ``q5``, ``median``, ``q95``, ``mcse_mean``, ``mcse_sd``, ``ess_bulk``,
        ``ess_tail`` and ``r_hat``. Those that are computed from the same sorted draws or from the
        same ranks share them, so that asking for all at once is far cheaper than one by one.

    Returns
    -------
    dict of str to array, shape (entries,)
        The columns, and ``low`` and ``high``: the smallest and the largest draw, which are not
        finite where a draw is not. The last five columns are NaN for entries that are constant or
        not finite, and where a chain has fewer than four draws; ``r_hat`` is NaN with one chain.
    """
    import numpy as np

    entries = x.shape[2]
    out = {name: np.full(entries, np.nan) for name in ("low", "high", *columns)}
    wide = max(1, _BLOCK // max(1, x.shape[0] * x.shape[1]))
    blocks = [slice(at, min(at + wide, entries)) for at in range(0, entries, wide)]

    def measure(block: slice) -> None:
        for name, values in _measured(x[:, :, block], columns).items():
            out[name][block] = values

    if len(blocks) == 1:
        measure(blocks[0])
    else:
        # NumPy lets go of the interpreter in sorts and transforms.
        with ThreadPoolExecutor(processors()) as pool:
            list(pool.map(measure, blocks))
    return out


def _measured(x: NDArray[np.float64], columns: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """The columns of one block."""
    import numpy as np

    from . import estimators

    rows = np.ascontiguousarray(np.moveaxis(x, 2, 0), dtype=np.float64)
    flat = rows.reshape(len(rows), -1)
    if flat.shape[1] == 0:
        return {}
    low, high = flat.min(axis=1), flat.max(axis=1)
    # An infinity, or a NaN, makes the range not finite; a constant makes it nothing.
    with np.errstate(all="ignore"):
        good = np.isfinite(high - low) & (high > low) & (rows.shape[2] >= estimators.FEWEST_DRAWS)
        out = {"low": low, "high": high}
        block = estimators.Block(rows if good.all() else rows[good])
        for name in columns:
            out[name] = values = np.full(len(rows), np.nan)
            if good.any():
                values[good] = estimators.MEASURES[name](block)
        if not good.all():
            for name in _SIMPLE.intersection(columns):
                out[name][~good] = _simple(name, flat[~good])
    return out


_SIMPLE = frozenset({"mean", "sd", "q5", "median", "q95"})


def _simple(name: str, flat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of draws that are too few, constant or not finite, what can be said all the same."""
    import numpy as np

    values: NDArray[np.float64]
    if name == "mean":
        values = flat.mean(axis=1)
    elif name == "sd":
        values = flat.std(axis=1, ddof=1) if flat.shape[1] > 1 else np.full(len(flat), np.nan)
    else:
        values = np.quantile(flat, {"q5": 0.05, "median": 0.5, "q95": 0.95}[name], axis=1)
    return values


def refuse_bare(dims: Iterable[Hashable]) -> None:
    """Refuse what has not both dims of draws."""
    there = [str(dim) for dim in dims]
    if not set(_SAMPLE_DIMS) <= set(there):
        raise ContainerError(
            f"draws need the dims 'chain' and 'draw'; got {listed(there) or 'none'}; "
            "sel(chain=[0]) keeps the dim where sel(chain=0) takes it away"
        )
