"""What draws say of events: probabilities, ranks of the groups, differences of any two of them.

A probability is the share of the draws in which its event happens; its Monte Carlo standard error
follows from the effective sample size of the indicator of the event.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ..diagnostics import convergence
from ..errors import ContainerError, OptionError
from ..system.progress import processors
from . import named_draws

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from ..container.inference_data import Container

__all__ = ["differences", "probability", "ranks"]

RELATIONS = (">", ">=", "<", "<=", "between")
MOST_PAIRS = 2000
"""Pairs of groups that are compared without being asked for by name."""

# Numbers in a block: 16 MB.
_BLOCK = 1 << 21


def probability(idata: Container, name: str, relation: str, value: Any) -> pd.DataFrame:
    """Posterior probability that a parameter is above, below or between values.

    Parameters
    ----------
    idata : InferenceData or DataTree
        With a posterior.
    name : str
        A variable (``"theta"``: one row for each entry) or one entry as ``hm.summary`` labels it
        (``"theta[A]"``).
    relation : {">", ">=", "<", "<=", "between"}
    value : float, or two of them
        In the units of the parameter; of ``"between"`` both ends, which belong to it.

    Returns
    -------
    DataFrame
        Indexed by the labels of ``hm.summary``. ``probability``: share of the draws. ``mcse``: its
        Monte Carlo standard error, sqrt(p (1 - p) / ESS), with the effective sample size of the
        indicator. Where the event happens in all draws or in none, the indicator has no such size,
        and ``mcse`` is an upper bound: the error that p would have at 1 - 0.05^(1/S) (or 1 less
        that), which is the farthest from the draws that S effective ones leave possible at 95 %,
        about sqrt(3)/S; S is the parameter's own tail ESS. (That is the rule of three: Hanley and
        Lippman-Hand 1983, JAMA 249, 1743-1745.) There it is NaN for constants and for infinite
        draws. Where a draw is no number there is no probability either.

    Raises
    ------
    ContainerError
        There is no posterior with the dims of draws.
    OptionError
        There is no such variable or entry, relation or value.

    Examples
    --------
    >>> import hiermodels as hm
    >>> model = hm.EightSchools(
    ...     hm.datasets.eight_schools(), effect="effect", se="se", group="school"
    ... )
    >>> idata = model.fit(engine="exact", seed=1)
    >>> hm.probability(idata, "theta[A]", ">", 0).round(3)
              probability   mcse
    theta[A]        0.956  0.003
    """
    import numpy as np
    import pandas as pd

    low, high = _ends(relation, value)
    draws = named_draws.entries(idata, name)
    labels = list(draws)
    found: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    for part in _parts(len(labels), draws[labels[0]].size):
        x = np.stack([draws[label] for label in labels[part]], axis=2)
        if relation == "between":
            hit = (x >= low) & (x <= high)
        else:
            compare = {">": np.greater, ">=": np.greater_equal, "<": np.less, "<=": np.less_equal}
            hit = compare[relation](x, low)
        found.append(_shares(hit, x))
    share, error = (np.concatenate(column) for column in zip(*found, strict=True))
    return pd.DataFrame({"probability": share, "mcse": error}, index=pd.Index(labels))


def ranks(
    idata: Container,
    name: str = "theta",
    *,
    coefficient: str | None = None,
    top: int | None = None,
) -> pd.DataFrame:
    """Posterior ranks of the groups, 1 for the largest effect.

    Ranks are taken within each draw: how sure an order is cannot be read from the order of the
    posterior means. Beside the draws themselves this takes 2 bytes for each draw of each group (4
    with 65,536 groups or more), and some 10 MB a processor.

    Parameters
    ----------
    idata : InferenceData or DataTree
        With a posterior that holds draws of ``name``.
    name : str
        A variable with a value for each group.
    coefficient : str, optional
        Which, of a variable with several for each group (``VaryingSlopes``): these have orders of
        their own, so that there is no default.
    top : int, optional
        Adds the column ``p_top``.

    Returns
    -------
    DataFrame
        One row for each group, in the order of the data. ``mean`` of the effect; ``rank_mean``;
        ``rank_q5`` and ``rank_q95``, the central 90 % interval of the rank, which are ranks
        themselves; ``p_best``, the probability that its effect is the largest; ``p_worst``, that it
        is the smallest; ``p_top``, that it is one of the ``top`` largest.

    Raises
    ------
    ContainerError
        There is no posterior, or draws are not finite.
    OptionError
        There is no such variable or coefficient, or ``top`` is no number of groups; complete
        pooling, where all effects are one.
    """
    import numpy as np
    import pandas as pd

    x = named_draws.by_group(idata, name, coefficient)
    chains, each, J = x.values.shape
    asked: Any = top
    if asked is not None and (
        isinstance(asked, bool)
        or not isinstance(asked, numbers.Integral)
        or not 1 <= int(asked) <= J
    ):
        raise OptionError(f"top must be a number of groups from 1 to {J}, got {top!r}")
    n = chains * each
    place = np.empty((J, n), dtype=np.uint16 if J < 2**16 else np.uint32)
    order = np.arange(1, J + 1, dtype=place.dtype)
    blocks = [(c, part) for c in range(chains) for part in _parts(each, J, _BLOCK // 4)]

    def rank(block: tuple[int, slice]) -> None:
        chain, part = block
        values = x.values[chain, part]
        if not np.isfinite(values).all():
            raise ContainerError(
                f"ranks need finite draws of {name!r}, got some that are not; hm.check says more"
            )
        own = np.empty(values.shape, dtype=place.dtype)
        np.put_along_axis(own, np.argsort(-values, axis=1), order[None], axis=1)
        place[:, chain * each + part.start : chain * each + part.stop] = own.T

    columns = ["mean", "rank_mean", "rank_q5", "rank_q95", "p_best", "p_worst"]
    out = {c: np.empty(J) for c in (columns if top is None else [*columns, "p_top"])}
    # The smallest rank that at least 5 %, or 95 %, of the draws do not exceed.
    low, high = (5 * n + 99) // 100 - 1, (95 * n + 99) // 100 - 1

    def count(part: slice) -> None:
        own = np.sort(place[part], axis=1)
        out["mean"][part] = x.values[:, :, part].mean(axis=(0, 1))
        out["rank_mean"][part] = own.mean(axis=1)
        out["rank_q5"][part], out["rank_q95"][part] = own[:, low], own[:, high]
        out["p_best"][part] = (own == 1).mean(axis=1)
        out["p_worst"][part] = (own == J).mean(axis=1)
        if top is not None:
            out["p_top"][part] = (own <= top).mean(axis=1)

    with ThreadPoolExecutor(processors()) as pool:  # NumPy lets go of Python's lock in sorts
        list(pool.map(rank, blocks))
        list(pool.map(count, _parts(J, n, _BLOCK // 4)))
    return pd.DataFrame(out, index=x.index).astype({"rank_q5": int, "rank_q95": int})


def differences(
    idata: Container,
    name: str = "theta",
    groups: Sequence[Any] | None = None,
    *,
    coefficient: str | None = None,
) -> pd.DataFrame:
    """Posterior differences between the groups, two by two.

    Parameters
    ----------
    idata : InferenceData or DataTree
        With a posterior that holds draws of ``name``.
    name : str
        A variable with a value for each group.
    groups : sequence of labels, optional
        By default all, if they have no more than 2,000 pairs (63 groups).
    coefficient : str, optional
        Which, of a variable with several for each group (``VaryingSlopes``).

    Returns
    -------
    DataFrame
        One row for each pair, in the order of ``groups``. ``group`` and ``group_2``, their labels;
        ``mean``, ``sd``, ``q5``, ``median`` and ``q95`` of the first one's value less the second
        one's, in its units; ``probability``, that this is above 0, and ``mcse``, its Monte Carlo
        standard error as in :func:`probability`.

    Raises
    ------
    ContainerError
        There is no posterior.
    OptionError
        There is no such variable, coefficient or group, a group is named twice, or there are too
        many pairs; complete pooling, where all effects are one.
    """
    import numpy as np
    import pandas as pd

    x = named_draws.by_group(idata, name, coefficient)
    places = np.asarray(named_draws.places(x, groups), dtype=np.int64)
    left, right = (places[k] for k in np.triu_indices(len(places), 1))
    if groups is None and len(left) > MOST_PAIRS:
        raise OptionError(
            f"groups must be named where there are more than {MOST_PAIRS} pairs, got {len(places)} "
            f"groups with {len(left)}; pass groups={x.index[:2].tolist()!r}, or any others"
        )
    statistics = ("mean", "sd", "q5", "median", "q95")
    found = []
    for part in _parts(len(left), x.values.shape[0] * x.values.shape[1]):
        difference = x.values[:, :, left[part]] - x.values[:, :, right[part]]
        measured = convergence.table(difference, statistics)
        share, error = _shares(difference > 0, difference)
        found.append({**{s: measured[s] for s in statistics}, "probability": share, "mcse": error})
    columns = {s: np.concatenate([f[s] for f in found]) for s in found[0]}
    return pd.DataFrame({"group": x.index[left], "group_2": x.index[right], **columns})


# ---- what is asked for --------------------------------------------------------------------------


def _ends(relation: Any, value: Any) -> tuple[float, float]:
    """The values to compare with, checked; one of them twice, but of "between"."""
    if relation not in RELATIONS:
        raise OptionError(
            f"relation must be one of {', '.join(map(repr, RELATIONS))}, got {relation!r}"
        )
    ends = [value, value]
    if relation == "between":
        if isinstance(value, str) or not hasattr(value, "__len__") or len(value) != 2:
            raise OptionError(
                f"value of 'between' must be two numbers, as in (0, 10), got {value!r}"
            )
        ends = list(value)
    for end in ends:
        if isinstance(end, bool) or not isinstance(end, numbers.Real) or math.isnan(end):
            raise OptionError(f"value must be a number, as in ('theta', '>', 0), got {end!r}")
    low, high = float(ends[0]), float(ends[1])
    if low > high:
        raise OptionError(f"value of 'between' must be the lower end and the upper, got {value!r}")
    return low, high


# ---- shares of draws ----------------------------------------------------------------------------


def _parts(entries: int, each: int, numbers_: int = _BLOCK) -> list[slice]:
    """Parts of so many entries, of so many numbers each."""
    step = max(1, numbers_ // each)
    return [slice(at, min(at + step, entries)) for at in range(0, entries, step)]


def _shares(
    hit: NDArray[np.bool_], x: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shares of the draws that are hits, and their Monte Carlo standard errors.

    Parameters
    ----------
    hit : array of bool, shape (chain, draw, n)
        Indicators of events of ``x``.
    x : array, shape (chain, draw, n)
    """
    import numpy as np

    found = convergence.table(hit.astype(np.float64), ("mean", "mcse_mean"))
    share, error = found["mean"], found["mcse_mean"]
    if (sure := (share == 0) | (share == 1)).any():
        size = convergence.table(x[:, :, sure], ("ess_tail",))["ess_tail"]
        size = np.minimum(size, hit.shape[0] * hit.shape[1])
        # The farthest from the draws that a probability may be.
        far = -np.expm1(math.log(0.05) / size)
        error[sure] = np.sqrt(far * (1 - far) / size)
    unknown = np.isnan(x).any(axis=(0, 1))
    share[unknown] = error[unknown] = np.nan
    return share, error
