"""Predictions for the rows of a data frame: of groups that were seen, of new ones, of the average.

Given the parameters, a row has an expected value and, about it, the response:

    expected_i = x_i beta + z_i theta_{j[i]},   y_i ~ N(expected_i, sigma_i).

``target`` says whose theta that is: the posterior's for a group that was seen (``"same"``), one
draw of N_K(mu, diag(tau) Omega diag(tau)) for each new group (``"new"``), or mu itself
(``"average"``). The first two are the two posterior predictive distributions of a hierarchical
model (Gelman et al., Bayesian Data Analysis, 3rd ed., section 5.2).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..container import inference_data as idatas
from ..diagnostics import convergence
from ..engines.settings import checked_seed
from ..errors import ContainerError, OptionError, count_of
from ..families.draws import Draws, by_row, linear_predictor
from ..families.family import Family
from ..families.gaussian import marginal
from ..system.progress import processors
from ..version import __version__
from . import new_rows
from .new_rows import NewRows

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from ..container.inference_data import Container
    from .base import Base

__all__ = ["TARGETS", "Prediction", "predict"]

Array = NDArray[np.float64]

TARGETS = ("same", "new", "average")
KINDS = ("predictive", "expected")

BUDGET = 2**31
"""Bytes (2 GiB) that expected values and responses may take together."""

_STREAM = 6  # of a seed; smaller numbers are the streams of the engines and of replicated data
_OF_RESPONSE = ("mean", "sd", "q5", "median", "q95")
_SHOWN = 8  # rows of a printed table


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """Draws of the response, and of its expected value, for the rows of a data frame.

    Attributes
    ----------
    idata : InferenceData or DataTree
        Group ``predictions``: the response under its own name, and ``<response>_mean``, its
        expected value given the parameters (the group's line, or theta in ``EightSchools``), each
        with dims (chain, draw, observation). The coords of ``observation`` are the labels of a
        pandas frame's rows, where they are numbers, dates or text in one level, and else their
        places from 0. Group ``predictions_constant_data``: the group label of each row (not of the
        average), and the columns ``z`` and ``x`` or the standard errors, as in a fit.
    target : {"same", "new", "average"}
        Whose effects were taken.
    seed : int
        Of the draws.
    model : EightSchools, OneWay or VaryingSlopes
        What predicted.
    rows : pandas.Index
        The frame's own labels of the rows.
    no_response : str
        Why there is no predictive distribution of the response, but only its expected value; empty
        where there is one.
    """

    idata: Container
    target: str
    seed: int
    model: Base
    rows: pd.Index[Any]
    no_response: str

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row for each row of the frame, with the frame's labels.

        Columns: ``group`` (its label; not of the average); ``mean``, ``sd``, ``q5``, ``median`` and
        ``q95`` of the response (NaN where only the expected value is known); ``expected``,
        ``expected_q5`` and ``expected_q95``, posterior mean and central 90 % interval of the
        expected value. All but the label in the units of the response.
        """
        import pandas as pd

        columns: dict[str, Any] = {}
        if self.target != "average":
            data = idatas.dataset(self.idata, "predictions_constant_data")
            columns["group"] = data[self.model.design.group].to_numpy()
        if self.no_response:
            columns |= dict.fromkeys(_OF_RESPONSE, np.full(len(self.rows), np.nan))
        else:
            response = convergence.table(self._values("predictive"), _OF_RESPONSE)
            columns |= {name: response[name] for name in _OF_RESPONSE}
        line = convergence.table(self._values("expected"), ("mean", "q5", "q95"))
        columns["expected"] = line["mean"]
        columns |= {f"expected_{name}": line[name] for name in ("q5", "q95")}
        return pd.DataFrame(columns, index=self.rows)

    def prob(
        self, event: Callable[[Array], Any], of: str = "predictive"
    ) -> pd.Series[float] | float:
        """Probability of an event: the share of the draws in which it happens.

        Parameters
        ----------
        event : callable
            Takes the draws, an array of shape (draws, rows) that it must not change, and gives
            booleans of the same shape (an event of each row, ``lambda y: y > 0``) or of shape
            (draws,) (an event of several rows together, ``lambda y: y[:, 0] > y[:, 1]``).
        of : {"predictive", "expected"}
            Whether the draws are those of the response or of its expected value.

        Returns
        -------
        Series by row, or float

        Raises
        ------
        OptionError
            ``event`` is not callable or gives something else; or there is no predictive
            distribution of the response.
        """
        import pandas as pd

        from .base import one_of

        one_of("of", of, KINDS)
        if not callable(event):
            raise OptionError(
                "event must be a function of the draws, such as lambda y: y > 0, got "
                f"{type(event).__name__}"
            )
        if of == "predictive" and self.no_response:
            raise OptionError(
                f"there is no predictive distribution of the response: {self.no_response}; "
                "of='expected' asks for its expected value"
            )
        values = self._values(of)
        values = values.reshape(-1, values.shape[2])
        values.flags.writeable = False
        found = np.asarray(event(values))
        if found.dtype != np.bool_ or found.shape not in (values.shape, values.shape[:1]):
            raise OptionError(
                f"event must give booleans of shape {values.shape} (by row) or {values.shape[:1]} "
                f"(of all rows together), got {found.dtype} of shape {found.shape}; compare the "
                "draws with something, as in lambda y: y > 0"
            )
        if found.ndim == 1:
            return float(found.mean())
        return pd.Series(found.mean(axis=0), index=self.rows, name="probability")

    def _values(self, of: str) -> Array:
        """Draws of shape (chain, draw, rows), as they lie in the container."""
        name = self.model.design.response
        ds = idatas.dataset(self.idata, "predictions")
        return np.asarray(ds[name if of == "predictive" else f"{name}_mean"].to_numpy())

    def __repr__(self) -> str:
        whose = {
            "same": "the fit's own groups",
            "new": "new groups",
            "average": "an average group",
        }[self.target]
        sizes = idatas.dataset(self.idata, "predictions").sizes
        d = self.model.design
        lines = [
            f"Prediction of {d.response} for {count_of(len(self.rows), 'row')} of {whose} "
            f"({sizes['chain'] * sizes['draw']} draws, seed {self.seed})"
        ]
        if self.no_response:
            lines.append(f"expected values only: {self.no_response}")
        shown = self.table.head(_SHOWN)
        if self.no_response:
            shown = shown.drop(columns=list(_OF_RESPONSE))
        lines.append(shown.to_string(float_format=lambda x: f"{x:.4g}"))
        if len(self.rows) > _SHOWN:
            lines.append(f"... and {len(self.rows) - _SHOWN} more: .table has all")
        return "\n".join(lines)


def predict(
    model: Base, idata: Container, frame: Any, target: str = "same", *, seed: int | None = None
) -> Prediction:
    """Predict the rows of a frame; :meth:`hiermodels.models.model.Model.predict` says what is what.

    Parameters
    ----------
    model : EightSchools, OneWay or VaryingSlopes
    idata : InferenceData or DataTree
        A fit of this very model.
    frame : data frame, or path to CSV or Parquet files
    target : {"same", "new", "average"}
    seed : int, optional
        By default the fit's.

    Returns
    -------
    Prediction

    Raises
    ------
    OptionError
        An unknown target; a target that the pooling strategy does not have; or so many rows and
        draws that they would take more than 2 GiB.
    ContainerError
        The container comes from another model, or lacks the effects, or the dims of draws.
    ColumnError, DataError
        The frame cannot be used: a column that is not there, missing values, a level or, of
        ``"same"``, a group that the fit has not seen.
    """
    from . import layout as groups
    from . import provenance
    from .base import one_of

    one_of("target", target, TARGETS)
    provenance.refuse_other(model, idata)
    posterior = idatas.dataset(idata, "posterior")
    convergence.refuse_bare(posterior.dims)
    _refuse_target(model, posterior, target)
    used = int(idatas.attributes(idata)["seed"]) if seed is None else checked_seed(seed)
    new = new_rows.read(model, frame, target)
    shape = (posterior.sizes["chain"], posterior.sizes["draw"])
    _refuse_large(len(new), shape[0] * shape[1])
    draws = groups.draws(model, posterior)
    if target == "average":
        draws = replace(draws, theta=None)
    no_response = model.family.lacks(new.rows, target == "same", model.columns)
    expected, response = _drawn(
        model.family,
        replace(new, rows=model.design.from_origin(new.rows)),
        draws,
        drawn_groups=len(new.labels) if target == "new" and draws.tau is not None else 0,
        responds=not no_response,
        seed=np.random.SeedSequence([used, _STREAM]),
    )
    return Prediction(
        idata=_container(model, posterior, new, target, used, expected, response),
        target=target,
        seed=used,
        model=model,
        rows=new.index,
        no_response=no_response,
    )


def _refuse_target(model: Base, posterior: xr.Dataset, target: str) -> None:
    if target != "same" and model.pooling == "none":
        why = {
            "new": "a new group has no distribution",
            "average": "there is no population to take the average of",
        }[target]
        raise OptionError(
            f"target={target!r} needs a population, and under pooling='none' {why}; fit "
            "model.replace(pooling='partial'), or pass target='same'"
        )
    if target == "same" and model.pooling != "complete" and "theta" not in posterior:
        raise ContainerError(
            "target='same' needs the draws of the effects, and this container has none; fit with "
            "effects='draws' (target='new' and target='average' do without them)"
        )


def _refuse_large(rows: int, draws: int) -> None:
    size = 2 * rows * draws * 8
    if size > BUDGET:
        raise OptionError(
            f"predictions of {rows} rows by {draws} draws take {size / 2**30:.1f} GiB, above the "
            f"budget of {BUDGET / 2**30:.0f} GiB; predict part of the rows at a time, or with "
            "fewer draws, as in idata.sel(draw=slice(None, None, 10))"
        )


def _drawn(
    family: Family,
    new: NewRows,
    draws: Draws,
    *,
    drawn_groups: int,
    responds: bool,
    seed: np.random.SeedSequence,
) -> tuple[Array, Array | None]:
    """Expected values and responses, each of shape (D, N).

    In blocks of draws with seeds of their own, so that neither memory nor the number of processors
    matters.
    """
    n, N = len(draws), len(new)
    expected = np.empty((n, N))
    response = np.empty((n, N)) if responds else None
    parts = list(marginal.blocks(max(N, drawn_groups * new.rows.z.shape[1]), n))

    def work(part: slice, own: np.random.SeedSequence) -> None:
        of_effects, of_rows = (np.random.default_rng(s) for s in own.spawn(2))
        block = draws[part]
        if drawn_groups:
            block = replace(block, theta=_new_effects(block, drawn_groups, of_effects))
        eta = linear_predictor(new.rows, block)
        aux = by_row(block.aux, new.rows) if response is not None else {}
        expected[part] = family.mean(new.rows, eta, aux)
        if response is not None:
            response[part] = family.draw(new.rows, eta, aux, of_rows)

    with ThreadPoolExecutor(processors()) as pool:  # NumPy lets go of Python's lock
        list(pool.map(work, parts, seed.spawn(len(parts))))
    return expected, response


def _new_effects(draws: Draws, groups: int, rng: np.random.Generator) -> Array:
    """Effects of groups from the population, mu + diag(tau) L_Omega z; shape (D, groups, K)."""
    assert draws.mu is not None  # noqa: S101 - for the type checker
    assert draws.tau is not None  # noqa: S101 - likewise
    unit = rng.standard_normal((len(draws), groups, draws.mu.shape[1]))
    if draws.L_Omega is not None:
        unit = unit @ np.swapaxes(draws.L_Omega, -1, -2)
    return np.asarray(draws.mu[:, None] + draws.tau[:, None] * unit)


def _container(
    model: Base,
    posterior: xr.Dataset,
    new: NewRows,
    target: str,
    seed: int,
    expected: Array,
    response: Array | None,
) -> Container:
    """The predictions with their labels, in the installed ArviZ's container."""
    d, row = model.design, ("observation",)
    whole = ("chain", "draw", *row)
    shape = (posterior.sizes["chain"], posterior.sizes["draw"], len(new))
    drawn = {f"{d.response}_mean": (whole, expected.reshape(shape))}
    if response is not None:
        drawn = {d.response: (whole, response.reshape(shape)), **drawn}
    constant: dict[str, tuple[tuple[str, ...], Any]] = {}
    if target != "average":
        constant[d.group] = (row, new.labels[new.place])
    if new.rows.se is not None:
        constant[model.columns["se"]] = (row, new.rows.se)
    if not d.scalar:
        constant["z"] = ((*row, "coefficient"), new.rows.z)
    if d.predictors:
        constant["x"] = ((*row, "predictor"), new.rows.x)
    coords: dict[str, Any] = {name: posterior[name].to_numpy() for name in ("chain", "draw")}
    coords["observation"] = new.plain_index
    coords |= {n: v for n, v in model.coords.items() if n in ("coefficient", "predictor")}
    indexes = idatas.indexes(coords)
    return idatas.container(
        {
            "predictions": idatas.labelled(drawn, indexes),
            "predictions_constant_data": idatas.labelled(constant, indexes),
        },
        {
            "model": model.name,
            "columns": json.dumps(model.columns),
            "pooling": model.pooling,
            "target": target,
            "seed": seed,
            "rows": len(new),
            "rows_dropped": new.dropped,
            "hiermodels_version": __version__,
            "inference_library": "hiermodels",
            "inference_library_version": __version__,
            "created_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        },
    )
