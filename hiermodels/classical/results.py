"""What the classical estimates share: what they ask of a model, intervals, and how they print."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from ..errors import DataError, OptionError, listed
from ..families.gaussian.family import closed_form
from ..families.gaussian.moments import Moments
from ..models.base import Base

Array = NDArray[np.float64]

_SHOWN = 8  # groups of a printed table


class Result:
    """A frozen result: numbers as attributes, a ``table``, and a short printed form."""

    table: pd.DataFrame

    def _lines(self) -> list[str]:
        raise NotImplementedError

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _shown(self) -> list[str]:
        """The table's first rows, and where the others are."""
        lines = shown(self.table.head(_SHOWN))
        more = len(self.table) - _SHOWN
        return [*lines, f"... and {more} more: .table has all"] if more > 0 else lines


def shown(table: pd.DataFrame) -> list[str]:
    """A table's lines, numbers to five digits, nothing where there is no number."""
    text = table.copy().astype(object)
    for place in range(table.shape[1]):
        column = [number(v) if _is_number(v) else str(v) for v in table.iloc[:, place]]
        text.isetitem(place, column)
    return str(text.to_string(justify="right")).splitlines()


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_))


def number(x: Any) -> str:
    """A number to five digits; whole ones, and those below ten million, in full."""
    x = float(x)
    if math.isnan(x):
        return ""
    if x == 0 or not math.isfinite(x):
        return f"{x:g}"
    if 1e-4 <= abs(x) < 1e7:
        places = max(0, 4 - math.floor(math.log10(abs(x))))
        return f"{x:.0f}" if x == round(x) else f"{x:.{places}f}"
    return f"{x:.4g}"


def design_of(model: Any, what: str, models: Mapping[str, str | None]) -> Moments:
    """The data of a model, for an estimate that some of the models have.

    Parameters
    ----------
    model : Model
        What the user gave.
    what : str
        The function that was called.
    models : mapping of str to str or None
        Each class of models: None where the estimate is made for it, else what to do instead.

    Raises
    ------
    OptionError
        Not a model, or one of another class.
    DataError
        Fewer than 2 groups.
    """
    mine = [name for name, instead in models.items() if instead is None]
    wanted = f"{what} takes a model of class {' or '.join(mine)}"
    if not isinstance(model, Base):
        raise OptionError(
            f"{wanted}, got {type(model).__name__}; make one first, such as hm.OneWay(frame, "
            "y=..., group=...)"
        )
    instead = models[model.name]
    if instead is not None:
        raise OptionError(f"{wanted}, got {model.name}; {instead}")
    d = closed_form(model, what, "hm.compare_pooling(model) compares the groups without that")
    if d.J < 2:
        raise DataError(
            f"{what} needs at least 2 groups, got 1 ({listed(d.labels)}): nothing can vary between "
            f"them; is {d.group!r} the column of the groups?"
        )
    return d


def check_level(level: Any) -> float:
    """Refuse a confidence level that is not between 0 and 1."""
    if isinstance(level, bool) or not _is_number(level) or not 0 < level < 1:
        raise OptionError(f"level must be a number between 0 and 1, got {level!r}; 0.9 is usual")
    return float(level)


def need_replication(design: Moments, what: str) -> None:
    """Refuse rows of which no two share a group.

    Raises
    ------
    DataError
        Every group has one row.
    """
    if design.N == design.J:
        raise DataError(
            f"{what} needs a group with 2 rows or more, got one row in each of {design.J} groups: "
            "sigma and tau cannot be told apart; hm.EightSchools takes one estimate per group with "
            "its standard error"
        )


def interval(estimate: Any, se: Any, level: float, df: Any = math.inf) -> tuple[Array, Array]:
    """Central confidence limits: estimate -+ se times a quantile of t(df); normal by default."""
    quantile = np.asarray(stats.t.ppf(0.5 + level / 2, np.asarray(df, dtype=np.float64)))
    estimate, half = np.asarray(estimate, dtype=np.float64), quantile * np.asarray(se)
    return estimate - half, estimate + half


def index_of(design: Moments) -> Any:
    """Labels of the groups as the index of a table."""
    return pd.Index(design.labels.tolist(), name=design.group)


def means_of(design: Moments) -> Array:
    """Mean response of each group, where nothing but the intercept varies, shape (J,)."""
    return np.asarray(design.offset[-1] + design.gram[:, 0, -1] / design.sizes)


def about(design: Moments) -> str:
    """What was estimated from: ``y by group (N rows, J groups)``."""
    rows = "" if design.residual == "known" else f"{design.N} rows, "
    return f"{design.response} by {design.group} ({rows}{design.J} groups)"
