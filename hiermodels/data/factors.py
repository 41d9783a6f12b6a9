"""The levels of factors: which there are, and which of them is the baseline.

A coefficient ``column[level]`` is the difference of a level from the baseline. So the baseline must
not hang on which levels happen to occur: it is the first that a column declares, and the model's
where data are read for an existing model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import narwhals.stable.v2 as nw
import pandas as pd
from numpy.typing import NDArray

from ..errors import DataError, listed, suggest
from . import columns as rules
from . import labels

__all__ = ["check_same", "has_order", "levels_of"]


def levels_of(
    name: str,
    seen: NDArray[Any],
    *,
    known: tuple[str, ...] | None = None,
    declared: Any = None,
    **check: Any,
) -> tuple[str, ...]:
    """The levels of a factor in their order, the baseline first.

    Parameters
    ----------
    name : str
        The factor.
    seen : array
        The levels that occur, in their order.
    known : tuple of str, optional
        The levels of the model that the data are for; no others may occur, and all of them must.
    declared : Narwhals series, optional
        The column, where its type declares levels in an order that is the user's.
    **check
        What :func:`hiermodels.data.columns.check_levels` takes.

    Raises
    ------
    DataError
        Levels are not those of the model, or the first that is declared does not occur; or the
        levels cannot be used.
    """
    texts = tuple(map(str, seen))
    if known is not None:
        _refuse_others(name, texts, known)
        return known
    rules.check_levels(name, seen, **check)
    first = None if declared is None else _first_category(declared, name)
    if first not in (None, texts[0]):
        raise DataError(
            f"predictor {name!r} must have rows of its first category, {first!r}, which is the "
            f"baseline that the others are compared with, got {listed(texts)}; declare the "
            f"categories that occur: frame[{name!r}].cat.remove_unused_categories() in pandas, a "
            "cast to pl.Enum in polars"
        )
    return texts


def _refuse_others(name: str, seen: Sequence[str], known: Sequence[str]) -> None:
    """Refuse levels that a model does not have, and data without one that it has."""
    wanted = f"predictor {name!r} must have the levels of the model ({listed(known)})"
    if new := [level for level in seen if level not in known]:
        raise DataError(
            f"{wanted}, got {listed(new)} as well; recode them, or make the model of data that "
            f"have all levels{suggest(new[0], known)}"
        )
    if absent := [level for level in known if level not in seen]:
        raise DataError(
            f"{wanted}, got no row of {listed(absent)}: coefficients that compare with it would "
            "rest on their priors alone; leave these data out, or make a model of them alone"
        )


def check_same(name: str, levels: tuple[str, ...], known: tuple[str, ...]) -> None:
    """Refuse statistics whose levels, or whose order of them, is not a model's.

    Raises
    ------
    DataError
        They differ.
    """
    _refuse_others(name, levels, known)
    if levels != known:
        raise DataError(
            f"predictor {name!r} must have the levels of the model in their order "
            f"({listed(known)}), got ({listed(levels)}): the first is the baseline; make the "
            "statistics of categories in that order"
        )


def has_order(data: Any, dtype: Any, name: str) -> bool:
    """Whether a column of a lazy frame has categories whose order the user gave."""
    if dtype == nw.Categorical and data.implementation is nw.Implementation.DASK:
        return bool(data.to_native()[name].cat.known)
    return bool(dtype == nw.Enum)


def _first_category(series: Any, name: str) -> str | None:
    """The first of the categories that a column declares, whether it occurs or not."""
    native = series.to_native()
    if isinstance(native, pd.Series) and isinstance(native.dtype, pd.CategoricalDtype):
        categories: Any = native.cat.categories
    elif isinstance(native, pd.Series):  # Arrow's own, which pandas has no name for
        arrow: Any = native.array
        categories = arrow.__arrow_array__().combine_chunks().dictionary.to_pylist()
    else:
        categories = series.cat.get_categories().to_list()
    for category in categories:
        one = nw.from_native(pd.Series([category], dtype=object), series_only=True)
        # By the rules of labels, by which a category may be a missing value.
        if len(found := labels.of_series(one, name).levels):
            return str(found[0])
    return None
