"""Numbers as a report shows them: to the digits that mean something."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

__all__ = ["decimals", "fixed", "interval", "plain", "span"]

_MOST = 8


def decimals(sd: Any, digits: int = 2) -> int | None:
    """Decimals that show so many digits of a standard deviation; None where it has none.

    Parameters
    ----------
    sd : float or array
        Of several, the median counts, so that a column has as many decimals in all rows.
    digits : int
        Significant digits of the sd.
    """
    values = np.asarray(sd, dtype=np.float64).ravel()
    values = values[np.isfinite(values) & (values > 0)]
    if not values.size:
        return None
    places = digits - 1 - math.floor(math.log10(float(np.median(values))))
    return places if places <= _MOST else None


def fixed(x: Any, places: int | None) -> str:
    """A number with so many decimals; with None, four significant digits. NaN is nothing."""
    value = float(x)
    if not math.isfinite(value):
        return "" if math.isnan(value) else "infinite" if value > 0 else "-infinite"
    if places is None or abs(value) >= 1e10:
        return f"{value:.4g}"
    # Minus zero is zero; a sd of thousands leaves tens and hundreds as they are.
    text = f"{value:.{max(0, places)}f}"
    return text.removeprefix("-") if not text.strip("-0.") else text


def interval(low: Any, high: Any, places: int | None) -> str:
    """``-0.9 to 9.7``; empty without an interval."""
    ends = fixed(low, places), fixed(high, places)
    return " to ".join(ends) if all(ends) else ""


def span(values: Iterable[Any] | Any, places: int | None) -> str:
    """From the smallest to the largest of some values; those that are not finite do not count."""
    found = np.asarray(values, dtype=np.float64).ravel()
    found = found[np.isfinite(found)]
    return interval(found.min(), found.max(), places) if found.size else "unknown"


def plain(x: Any) -> str:
    """A number that has no sd to go by: four significant digits, whole numbers as they are."""
    value = float(x)
    whole = math.isfinite(value) and value == int(value) and abs(value) < 1e15
    return str(int(value)) if whole else fixed(value, None)
