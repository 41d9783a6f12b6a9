"""The rows of another frame, with the columns, the levels and the groups of a model's own data."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import narwhals.stable.v2 as nw
import numpy as np
from numpy.typing import NDArray

from ..data import columns as rules
from ..data import engines, files, frames, label_texts, labels, text_numbers
from ..data.rows import Rows
from ..errors import DataError, listed, suggest

if TYPE_CHECKING:
    import pandas as pd

    from ..families.gaussian.statistics import SufficientStatistics
    from .base import Base

__all__ = ["NewRows", "read"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class NewRows:
    """Rows of which the response is not known.

    Attributes
    ----------
    rows : Rows
        The columns. ``index`` counts the model's groups, or those of ``labels`` where these need
        not be the model's; ``y`` is NaN; ``se`` is None where the frame has no standard errors.
    labels : array, shape (L,)
        The labels that occur.
    place : array of int, shape (N,)
        Which of ``labels`` each row has.
    index : pandas.Index
        The frame's own labels of the rows; 0 to N - 1 of frames without.
    dropped : int
        Rows left out because a value was missing.
    """

    rows: Rows
    labels: NDArray[Any]
    place: NDArray[np.int64]
    index: pd.Index[Any]
    dropped: int

    def __len__(self) -> int:
        return len(self.place)

    @property
    def plain_index(self) -> NDArray[Any]:
        """Labels of the rows that a file can hold: the frame's own, or else the rows' places."""
        values: NDArray[Any] = np.asarray(self.index.to_numpy())
        if values.dtype.kind in "iufM":
            return values
        if all(isinstance(v, str) for v in values):
            return values.astype(np.str_)
        return self.rows.places


def read(model: Base, frame: Any, target: str) -> NewRows:
    """The rows of a frame as a model sees them.

    Rows with missing values are refused, or left out with a warning, as the model does
    (``missing=``). No column of the response is looked at.

    Parameters
    ----------
    model : Model
    frame : data frame, or path to CSV or Parquet files
        Anything that a model takes but sufficient statistics, which have no rows.
    target : {"same", "new", "average"}
        Of ``"average"`` the column of the groups is not looked at.

    Raises
    ------
    ColumnError
        A column is not there.
    DataError
        A column is of another kind than the model's, has a level that the model's has not, or
        cannot be used; or, of ``"same"``, a group that the model does not have.
    OptionError
        It is no data frame.
    """
    import pandas as pd

    d, found = model.design, model.design.statistics
    source = frame if isinstance(frame, (str, os.PathLike)) else None
    predictors = tuple(found.sources)
    names: list[str] = []
    if source is not None:
        names = files.columns(source)
        frame = files.read(
            source,
            labels=[] if target == "average" else [d.group],
            others=[*predictors, *(c for n, c in model.columns.items() if n == "se")],
            # Labels and levels of fewer rows may all look like numbers.
            text=[*found.levels, *([d.group] if d.labels.dtype.kind == "U" else [])],
        )
    data = engines.opened(frame)
    native = data.to_native()
    if target == "average":
        data = data.with_columns(nw.lit("average").alias(d.group))
    names += data.collect_schema().names()
    # Without its standard error the effect of a group can be predicted, but no estimate of it.
    roles = {n: c for n, c in model.columns.items() if n == "se" and c in names}
    rules.check_names(names, roles, d.group, predictors)
    data = data.select(*roles.values(), d.group, *predictors)
    if isinstance(data, nw.LazyFrame):
        data = engines.computed(data)
    for name in predictors:
        _check_kind(data[name], name, found)
    table = frames.table(
        data.to_native(),
        roles=roles,
        group=d.group,
        predictors=predictors,
        missing=model._options["missing"],
        levels=found.levels,
        source=source,
    )
    for name in found.in_full:
        table = table.coded_in_full(name)
    _check_coding(table.sources, found)
    se = table.numeric[roles["se"]] if roles else None
    if se is not None and not np.all(se > 0):
        raise DataError(
            f"se={roles['se']!r} must be above 0 in every row, got {int(np.sum(se <= 0))} that "
            "are not; leave the column out to predict the effects alone"
        )
    index = table.groups.index
    if target == "same":
        index = _places(d.labels, table.groups.labels, d.group)[index]
    n = len(index)

    def matrix(columns: tuple[str, ...]) -> Array:
        made = [np.ones(n) if c not in table.predictors else table.predictors[c] for c in columns]
        return np.column_stack(made) if made else np.empty((n, 0))

    whole = native.index if isinstance(native, pd.DataFrame) else pd.RangeIndex(n + table.dropped)
    return NewRows(
        rows=Rows(
            y=np.full(n, np.nan),
            index=index,
            z=matrix(d.names[: d.K]),
            x=matrix(d.predictors),
            places=table.rows,
            se=se,
        ),
        labels=table.groups.labels,
        place=table.groups.index,
        index=whole[table.rows],
        dropped=table.dropped,
    )


def _check_kind(series: Any, name: str, found: SufficientStatistics) -> None:
    """Refuse numbers where the model has levels, text where it has numbers, and unknown levels."""
    numeric = series.dtype.is_numeric() or series.dtype == nw.Boolean
    if found.sources[name] == (name,):
        if not numeric:
            strays = text_numbers.in_series(series)
            what = f"predictor {name!r}"
            raise text_numbers.refusal(what, series.dtype, strays)
        return
    known = found.levels.get(name)
    if known is None:  # statistics that were made without them
        return
    if numeric:
        raise DataError(
            f"predictor {name!r} must be text with the levels {listed(known)}, as in the data that "
            f"were fitted, got {series.dtype}; frame[{name!r}].astype(str) makes numbers text"
        )
    seen = labels.of_series(series, name).levels
    if unknown := [str(level) for level in seen if str(level) not in known]:
        raise DataError(
            f"predictor {name!r} must have levels of the data that were fitted ({listed(known)}), "
            f"got {listed(unknown)}{_near(unknown, known) or '; recode them'}"
        )


def _check_coding(sources: dict[str, tuple[str, ...]], found: SufficientStatistics) -> None:
    for name, coded in found.sources.items():
        if sources[name] != coded:
            raise DataError(
                f"predictor {name!r} must be coded as in the statistics that were fitted "
                f"({listed(coded)}), got {listed(sources[name])}; make the statistics anew, by "
                "hm.sufficient_statistics, which keeps the levels"
            )


def _near(unknown: Sequence[str], known: Sequence[str]) -> str:
    """Near misses, those first that print alike, as the end of a message."""
    return label_texts.resembling(unknown, known) or suggest(unknown[0], known)


def _places(known: NDArray[Any], asked: NDArray[Any], group: str) -> NDArray[np.int64]:
    """Where labels stand among the model's."""
    place = {label: j for j, label in enumerate(known.tolist())}
    unknown = [label for label in asked.tolist() if label not in place]
    if unknown:
        texts = [str(label) for label in place]
        what = f"label {listed(unknown)}" if len(unknown) == 1 else f"labels {listed(unknown)}"
        if any(str(label) in texts for label in unknown):
            kind = "text" if known.dtype.kind == "U" else "integers"
            way = "str" if known.dtype.kind == "U" else "int"
            hint = f"; its labels are {kind}: frame[{group!r}].astype({way})"
        else:
            near = _near([str(label) for label in unknown], texts)
            hint = f" (target='new' predicts groups that were not seen){near}"
        raise DataError(f"group={group!r}: the fit has no group of the {what}{hint}")
    return np.array([place[label] for label in asked.tolist()], dtype=np.int64)
