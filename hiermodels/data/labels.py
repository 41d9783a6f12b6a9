"""Labels of the rows: which there are, and which each row has.

A million labels do not go through a loop of Python: pandas' hash tables find the levels, and only
the levels are looked at one by one.
"""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import DataError, shown
from . import label_texts
from .columns import is_storable

LONGEST = 1000
"""Letters of a label."""


@dataclass(frozen=True)
class Labels:
    """The labels of a column.

    Attributes
    ----------
    levels : array, shape (L,)
        The labels that occur, each once: in order of first appearance, or of the categories
        where the column is categorical. Strings or integers.
    index : array of int, shape (N,)
        Place of each row's label in ``levels``; -1 where it is missing.
    texts : mapping of str to int
        Texts that stand for a missing value (:mod:`hiermodels.data.label_texts`), and the rows of
        each.
    """

    levels: NDArray[Any]
    index: NDArray[np.int64]
    texts: Mapping[str, int] = field(default_factory=dict)

    @property
    def absent(self) -> NDArray[np.bool_]:
        """Where the label is missing, shape (N,)."""
        return self.index < 0

    def in_order(self) -> Labels:
        """The same labels, their levels sorted."""
        order = np.argsort(self.levels, kind="stable")
        place = np.empty(len(order) + 1, dtype=np.int64)
        place[order] = np.arange(len(order))
        place[-1] = -1  # where index is -1
        return Labels(self.levels[order], place[self.index], self.texts)

    def without_texts(self) -> Labels:
        """The same labels, and none where a text stands for a missing value."""
        if self.levels.dtype.kind != "U":
            return self
        gone = label_texts.missing_among(self.levels)
        if not gone.any():
            return self
        rows = np.bincount(self.index[~self.absent], minlength=len(gone))[gone].tolist()
        place = np.append(np.where(gone, -1, np.cumsum(~gone) - 1), -1)
        texts = dict(zip(self.levels[gone].tolist(), rows, strict=True))
        return Labels(self.levels[~gone], place[self.index], texts)


def of_series(series: Any, name: str) -> Labels:
    """The labels of a Narwhals series.

    Text that is blank, or that Python writes for a missing value, is a missing value.

    Raises
    ------
    DataError
        The labels are of several types, numbers with fractions, or whole numbers of more than 64
        bits.
    """
    return _of_series(series, name).without_texts()


def _of_series(series: Any, name: str) -> Labels:
    native = series.to_native()
    if isinstance(native, pd.Series) and str(native.dtype).startswith("dictionary<"):
        # Arrow's categories in a pandas frame, which have no categories by pandas' own names.
        arrow: Any = native.array
        native = arrow.__arrow_array__().combine_chunks().to_pandas()
        series = nw.from_native(pd.Series(native), series_only=True)
    dtype = series.dtype
    if dtype == nw.Categorical and series.implementation is nw.Implementation.POLARS:
        # Their order is that in which this process has first met them, in any frame.
        series = series.cast(nw.String)
        dtype, native = series.dtype, series.to_native()
    if dtype in (nw.Categorical, nw.Enum):
        return _of_categories(series, native, name)
    if isinstance(native, pd.Series) and native.dtype == object:
        # Narwhals tells the type of these by the first rows only.
        return _of_objects(native.to_numpy(), name)
    if dtype in (nw.Decimal, nw.Int128, nw.UInt128):  # which NumPy has nothing for
        return _of_objects(_objects(series.to_list()), name)
    if dtype.is_integer():
        absent = _nulls(series)
        values = (series.fill_null(0) if absent.any() else series).to_numpy()
        return _of_values(np.asarray(values), absent, partial(whole, name=name))
    if dtype.is_float():
        values = np.asarray(series.cast(nw.Float64).fill_null(float("nan")).to_numpy())
        absent = np.isnan(values)
        present = values[~absent]
        if not np.all(np.isfinite(present) & (present == np.floor(present))):
            raise measured(name)
        return _of_values(values, absent, partial(whole, name=name))
    if dtype == nw.Boolean:
        absent = _nulls(series)
        values = (series.fill_null(False) if absent.any() else series).to_numpy()
        return _of_values(np.asarray(values, dtype=bool), absent, partial(_text, name=name))
    if dtype == nw.String:
        return _of_text(series, native, name)
    return _of_objects(_objects(series.to_list()), name)


def _of_text(series: Any, native: Any, name: str) -> Labels:
    if series.implementation is nw.Implementation.POLARS:
        # Without a million Python strings: polars has a hash table of its own.
        found = native.drop_nulls().unique(maintain_order=True)
        if len(found):
            codes = native.replace_strict(found, list(range(len(found))), default=-1)
            return Labels(_text(found.to_list(), name), np.array(codes.to_numpy(), dtype=np.int64))
    codes, found = pd.factorize(native if isinstance(native, pd.Series) else series.to_numpy())
    return Labels(_text(found, name), codes.astype(np.int64, copy=False))


def _nulls(series: Any) -> NDArray[np.bool_]:
    return np.asarray(series.is_null().to_numpy(), dtype=bool)


def _of_values(values: NDArray[Any], absent: NDArray[np.bool_], convert: Any) -> Labels:
    if not absent.any():
        codes, found = pd.factorize(values)
        return Labels(convert(found), codes.astype(np.int64, copy=False))
    index = np.full(len(values), -1, dtype=np.int64)
    index[~absent], found = pd.factorize(values[~absent])
    return Labels(convert(found), index)


def _of_objects(values: NDArray[np.object_], name: str) -> Labels:
    """The labels of Python objects, which may be of several types."""
    absent = np.asarray(pd.isna(values), dtype=bool)
    present = values[~absent] if absent.any() else values
    kinds = {_kind(t) for t in set(map(type, present))}
    numeric = bool(kinds) and kinds <= {"int", "float"}
    if len(kinds) > 1 and not numeric:
        raise DataError(
            f"labels in column {name!r} must be all of one type, got a mix of "
            f"{', '.join(sorted(kinds))}; frame[{name!r}].astype(str) makes them all strings"
        )
    try:
        codes, found = pd.factorize(present)
    except TypeError:  # lists and the like, which cannot be told apart but by their text
        codes, found = pd.factorize(_objects([str(v) for v in present]))
    if "float" in kinds and numeric and not all(_is_whole(v) for v in found):
        raise measured(name)
    levels = whole(found, name) if numeric else _text(found, name)
    if not numeric and kinds != {"str"}:
        # Two objects may read the same.
        again, found = pd.factorize(levels.astype(object))
        levels, codes = _text(found, name), again[codes]
    index = np.full(len(values), -1, dtype=np.int64)
    index[~absent] = codes
    return Labels(levels, index)


def _of_categories(series: Any, native: Any, name: str) -> Labels:
    """The labels of a categorical column, in order of its categories."""
    if isinstance(native, pd.Series) and isinstance(native.dtype, pd.CategoricalDtype):
        categories: Any = native.cat.categories
        index = native.cat.codes.to_numpy().astype(np.int64)
    else:
        # Other frames keep categories in ways of their own; their order is common knowledge.
        categories = series.cat.get_categories().to_list()
        if series.implementation is nw.Implementation.POLARS:  # whose categories are strings
            seen = _of_series(series.cast(nw.String), name)
        else:
            seen = _of_objects(_objects(series.to_list()), name)
        place = {str(c): i for i, c in enumerate(categories)}
        place |= {c: i for i, c in enumerate(categories)}
        index = np.array([*(place[level] for level in seen.levels.tolist()), -1])[seen.index]
    here = np.unique(index[index >= 0])
    renumber = np.full(len(categories) + 1, -1, dtype=np.int64)
    renumber[here] = np.arange(len(here))
    # Integers with a missing value among them come as categories that are floats.
    levels = _of_objects(_objects([categories[i] for i in here]), name)
    return Labels(levels.levels, np.append(levels.index, -1)[renumber[index]])


def _objects(values: list[Any]) -> NDArray[np.object_]:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


_EXACT = 2**53  # whole numbers up to here have a double of their own


def whole(values: Any, name: str) -> NDArray[Any]:
    """Whole numbers of any type as int64, or as uint64 where they need it; never as floats.

    Parameters
    ----------
    values : array, shape (L,)
        Whole numbers: of a NumPy type, or Python objects.
    name : str
        The column that they label, for the message.

    Raises
    ------
    DataError
        Neither type holds them all, or they came as floats that cannot tell them apart.
    """
    array: NDArray[Any] = np.asarray(values)
    if array.dtype.kind in "iu" and array.dtype != np.uint64:
        return array.astype(np.int64)
    exact = [int(v) for v in array]
    low, high = min(exact, default=0), max(exact, default=0)
    fit = -(2**63) <= low and high < 2**64
    large = (v for v, number in zip(array, exact, strict=True) if abs(number) > _EXACT)
    if fit and any(isinstance(v, (float, np.floating)) for v in large):
        raise DataError(
            f"group labels in column {name!r} must be at most 2**53 where they come as floats, "
            f"which tell no larger ones apart, got {low} to {high}; make the labels integers or "
            "text"
        )
    if -(2**63) <= low and high < 2**63:
        return np.array(exact, dtype=np.int64)
    if low >= 0 and high < 2**64:
        return np.array(exact, dtype=np.uint64)
    ends = [str(v) if abs(v) < 2**128 else f"a number of {len(str(v))} digits" for v in (low, high)]
    raise DataError(
        f"group labels in column {name!r} must all fit 64 bits (int64, or uint64), got "
        f"{' to '.join(ends)}; make the labels text"
    )


def _text(values: Any, name: str) -> NDArray[np.str_]:
    texts = [str(v) for v in values]
    # An array of text has room for the longest of them everywhere.
    if (most := max(map(len, texts), default=0)) > LONGEST:
        long = next(text for text in texts if len(text) == most)
        raise DataError(
            f"labels in column {name!r} must have at most {LONGEST} letters, got {most}: "
            f"{long[:20]!r}...; is it the right column?"
        )
    # All at once, as there may be a million. NumPy drops a NUL at the end, and so tells apart less.
    if not is_storable("".join(texts)):
        bad = next(text for text in texts if not is_storable(text))
        raise DataError(
            f"labels in column {name!r} must be text that a NetCDF file can hold, got "
            f"{shown(bad)} (with a NUL or half a character); rename the group"
        )
    return np.array(texts, dtype=np.str_)


def _kind(kind: type) -> str:
    if issubclass(kind, (bool, np.bool_)):
        return "bool"
    if issubclass(kind, numbers.Integral):
        return "int"
    if issubclass(kind, (numbers.Real, Decimal)):
        return "float"
    return "str" if issubclass(kind, str) else kind.__name__


def _is_whole(value: Any) -> bool:
    # Not by way of a float: a decimal may have more digits.
    return bool(value % 1 == 0) if isinstance(value, Decimal) else float(value).is_integer()


def measured(name: str) -> DataError:
    """That labels must not be numbers with fractions."""
    return DataError(
        f"group labels in column {name!r} must be strings or integers, got numbers with "
        "fractions; a measured quantity is a predictor, not a group"
    )
