"""What every model has: a checked design, priors in force, a program, names of its parameters."""

from __future__ import annotations

import dataclasses
import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from ..container import inference_data as idatas
from ..data.design import Design
from ..errors import FrozenError, OptionError, option, shown, suggest
from ..families.family import Family, refuse_without_marginal
from ..families.gaussian.family import closed_form
from ..families.gaussian.hyperparameters import Hyperparameters
from ..families.gaussian.laplace import Standardization, standardize
from ..families.gaussian.statistics import SufficientStatistics
from ..priors.blocks import Block, Priors, check_given, no_place
from ..stan import programs
from . import default_priors

POOLINGS = ("partial", "none", "complete")
PARAMETERIZATIONS = ("auto", "marginal", "centered", "noncentered")
_USUAL_PLACE = ("intercept_at", "centre")
_NOT_DATA = {"pooling", "parameterization", "priors"}


class Base(ABC):
    """A hierarchical model of a data frame; frozen.

    Attributes
    ----------
    columns : dict
        The arguments that say which column is what.
    design : Design
        The checked data.
    family : Family
        Distribution of the response.
    pooling : {"partial", "none", "complete"}
        Pooling strategy.
    parameterization : str
        The parameterization in use, "auto" resolved ("none" or "complete" pooling have one).
    parameterization_reason : str
        Why.
    priors : Priors
        The priors in force.
    """

    name: ClassVar[str]
    stem: ClassVar[str]

    columns: dict[str, Any]
    design: Design
    family: Family
    pooling: str
    parameterization: str
    parameterization_reason: str
    priors: Priors
    _options: dict[str, Any]
    _like: SufficientStatistics | None = None  # of the model whose coding of factors is kept

    def _setup(
        self,
        frame: Any,
        columns: dict[str, Any],
        *,
        response: Family,
        design: Callable[[], Design],
        pooling: str,
        parameterization: str,
        priors: Any,
        missing: str,
        **more: Any,
    ) -> None:
        """Check the options, then the data, then the priors: cheapest first."""
        one_of("pooling", pooling, POOLINGS)
        one_of("parameterization", parameterization, PARAMETERIZATIONS)
        options = {
            "frame": frame,
            **more,
            **columns,
            "pooling": pooling,
            "parameterization": parameterization,
            "priors": check_given(priors),
            "missing": missing,
        }
        self._configure(options, columns, design(), response)
        self._check_places(options["priors"])

    def _configure(
        self, options: dict[str, Any], columns: dict[str, Any], design: Design, family: Family
    ) -> None:
        """Lay down a model of data that have been checked."""
        pooling, given = options["pooling"], options["priors"]
        fill = object.__setattr__
        fill(self, "_options", options)
        fill(self, "columns", columns)
        fill(self, "design", design)
        fill(self, "family", family)
        fill(self, "pooling", pooling)
        everywhere = {p: self._blocks(p) for p in POOLINGS}
        blocks, defaults = everywhere[pooling], self._default_priors()
        here = {b.name for b in blocks}
        elsewhere = {b.name: b for found in everywhere.values() for b in found}
        elsewhere = {n: b for n, b in elsewhere.items() if n not in here}
        for name, prior in given.items():
            if name not in here and name not in elsewhere:
                raise no_place(name, prior, pooling, everywhere)
        # Priors of parameters that only another pooling has wait, checked, for replace().
        waiting = {n: p for n, p in given.items() if n in elsewhere}
        Priors(tuple(elsewhere.values()), defaults, waiting)
        in_force = {n: p for n, p in given.items() if n not in waiting}
        fill(self, "priors", Priors(blocks, defaults, in_force))
        self.priors.where.update(self._where())
        family.propriety(design, self.priors, pooling)
        chosen, reason = self._choose(options["parameterization"])
        fill(self, "parameterization", chosen)
        fill(self, "parameterization_reason", reason)

    def _check_places(self, given: Mapping[str, Any]) -> None:
        """Refuse a prior of a parameter that this pooling strategy does not have."""
        for name, prior in given.items():
            if name not in self.priors:
                everywhere = {p: self._blocks(p) for p in POOLINGS}
                raise no_place(name, prior, self.pooling, everywhere)

    def __setattr__(self, name: str, value: Any) -> None:
        raise FrozenError(
            f"{type(self).__name__} is frozen: {name!r} cannot be set; "
            f"model.replace({name}=...) gives another model"
        )

    def __delattr__(self, name: str) -> None:
        raise FrozenError(f"{type(self).__name__} is frozen: {name!r} cannot be deleted")

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled: a frame that cannot be (a database's) gives way to its statistics."""
        state, design = dict(self.__dict__), self.design
        if design.has_rows and not design.in_memory:
            try:
                pickle.dumps(self._options["frame"])
            except Exception:
                state["design"] = dataclasses.replace(design, source=None)
                state["_options"] = {**self._options, "frame": design.statistics}
                state.pop("hyperparameters", None)  # it holds the design as well
        return state

    def replace(self, **changes: Any) -> Any:
        """Another model with some arguments of the constructor changed.

        Parameters
        ----------
        **changes
            Any argument of the constructor: ``pooling="none"``, ``priors={...}``, ``frame=...``.
            A prior of a parameter that another pooling strategy has is refused, unless ``pooling``
            is given as well: then it waits for that strategy, as those do that are carried over.

        Returns
        -------
        Model
            Of the same class, checked anew. Factors keep the levels and the baseline that they
            have in this model.

        Raises
        ------
        DataError
            The data have other levels, or a level of the model does not occur.
        """
        for name in changes:
            if name not in self._options:
                raise OptionError(
                    f"{type(self).__name__} has no argument {name!r}; it has "
                    f"{', '.join(self._options)}{suggest(name, self._options)}"
                )
        options = {**self._options, **changes}
        if changes.get("family") is not None and "sigma" not in changes:
            options["sigma"] = "common"  # it was the option of the family before
        options["priors"] = check_given(options["priors"])
        one_of("pooling", options["pooling"], POOLINGS)
        one_of("parameterization", options["parameterization"], PARAMETERIZATIONS)
        if set(changes) <= _NOT_DATA:
            # The very data that this model has, whatever became of the frame since.
            other = object.__new__(type(self))
            other._configure(options, self.columns, self.design, self.family)
            if "pooling" not in changes:
                # Those that wait for another pooling strategy are no mistake of this call.
                before = self._options["priors"]
                other._check_places(
                    {
                        n: p
                        for n, p in options["priors"].items()
                        if n not in before or before[n] != p
                    }
                )
            return other
        named = check_given(changes.get("priors"))
        places = {b.name for b in self._blocks(options["pooling"])}
        waiting = {n: p for n, p in options["priors"].items() if n not in places and n not in named}
        now = {n: p for n, p in options["priors"].items() if n not in waiting}
        frame = options.pop("frame")
        kind: Any = type(self)
        anew = kind.__new__(kind)
        # The levels of factors, and their baselines, belong to the model and not to its data: a
        # coefficient must not be another contrast under the same name.
        object.__setattr__(anew, "_like", self.design.statistics)
        kind.__init__(anew, frame, **{**options, "priors": now})
        object.__delattr__(anew, "_like")
        anew._options["priors"] = {**waiting, **now}
        return anew

    @classmethod
    def rebuilt(
        cls,
        columns: dict[str, Any],
        options: dict[str, Any],
        design: Design,
        family: Family,
        standardization: Standardization | None,
    ) -> Any:
        """A model of data that were checked when another process made it.

        Its standardization comes along, as it need not be found again to the last digit.
        """
        model = object.__new__(cls)
        model._configure(
            {"frame": design.statistics, **columns, **options}, columns, design, family
        )
        if standardization is not None:
            model.__dict__["standardization"] = standardization
        return model

    def __repr__(self) -> str:
        d = self.design
        columns = ", ".join(
            f"{k}={v!r}" for k, v in self.columns.items() if v and (k, v) != _USUAL_PLACE
        )
        if (given := self._options.get("family")) is not None:
            columns += f", family={given!r}"
        strategy = {"none": "no"}.get(self.pooling, self.pooling) + " pooling"
        strategy += f", {self.parameterization}" if self.pooling == "partial" else ""
        return f"<{self.name}({columns}): {strategy}, {d.J} groups, {d.N} rows>"

    # ---- what a class fills in ---------------------------------------------------------------

    def _blocks(self, pooling: str) -> tuple[Block, ...]:
        """Parameters with a prior, in the order of the program's ``lprior``."""
        d = self.design
        # Without common columns there is no beta, and one coefficient has no correlations.
        beta = (Block("beta", "location", d.predictors),) if d.predictors else ()
        rest = (*beta, *self.family.blocks())
        coefficients = None if d.scalar else d.coefficients
        if pooling == "none":
            return (Block("theta", "location", coefficients), *rest)
        mu = Block("mu", "location", coefficients)
        if pooling == "complete":
            return (mu, *rest)
        Omega = (Block("Omega", "correlation"),) if d.K > 1 else ()
        return (mu, Block("tau", "scale", coefficients), *Omega, *rest)

    def _default_priors(self) -> dict[str, Any]:
        """Default prior of every block of every pooling strategy."""
        return default_priors.of_levels(self.family, self.design)

    def _where(self) -> dict[str, str]:
        """In words, by full name, where priors are that are not of what a fit reports."""
        return {}

    @abstractmethod
    def _data(self) -> dict[str, Any]:
        """Data of the programs that work row by row, without priors and ``prior_only``."""

    @abstractmethod
    def _marginal_data(self, standard: Standardization) -> dict[str, Any]:
        """Data of the marginal program, without priors and ``prior_only``."""

    def lprior_places(self) -> list[tuple[int, Block]]:
        """Where each block stands in the program's ``lprior``."""
        return list(enumerate(self._blocks(self.pooling)))

    # ---- what Stan is given ------------------------------------------------------------------

    @property
    def program(self) -> programs.Program:
        """The Stan program: ``print(model.program)`` shows its source."""
        return programs.load(self.program_name())

    def program_name(self, parameterization: str | None = None) -> str | Path:
        """Name or file of the Stan program, of another parameterization where one is given."""
        if self.pooling == "partial":
            return self.family.program(self.stem, parameterization or self.parameterization)
        form = "no_pooling" if self.pooling == "none" else "complete_pooling"
        return self.family.program(self.stem, form)

    @property
    def stan_data(self) -> dict[str, Any]:
        """The data that the program is given, by Stan name; groups are counted from 1."""
        if self.is_marginal:
            data = self._marginal_data(self.standardization)
            return {**data, **self.priors.stan_data(), "prior_only": 0}
        return self.row_data

    @property
    def row_data(self) -> dict[str, Any]:
        """The data that the programs that work row by row are given."""
        return {**self._data(), **self.priors.stan_data(), "prior_only": 0}

    @property
    def is_marginal(self) -> bool:
        """Whether the program integrates the group effects out."""
        return self.parameterization == "marginal"

    @cached_property
    def hyperparameters(self) -> Hyperparameters:
        """The hyperparameters of the marginal program on their unconstrained scale."""
        return Hyperparameters(
            closed_form(self, "a marginal program", "use parameterization='noncentered'"),
            self.priors,
        )

    @cached_property
    def standardization(self) -> Standardization:
        """What the marginal program's hyperparameters are standardized by."""
        return standardize(self.hyperparameters)

    @property
    def coords(self) -> dict[str, Any]:
        """Labels of the container's dims."""
        d = self.design
        coords: dict[str, Any] = {d.group: d.labels}
        if d.observation_dim != d.group and d.in_memory:
            coords["observation"] = d.rows("the coords").places
        if not d.scalar:
            coords["coefficient"] = coords["coefficient_2"] = list(d.coefficients)
        if d.predictors:
            coords["predictor"] = list(d.predictors)
        return coords

    @cached_property
    def indexes(self) -> dict[str, Any]:
        """The labels as xarray's coordinates, made once."""
        return idatas.indexes(self.coords)

    @property
    def dims(self) -> dict[str, tuple[str, ...]]:
        """Dims of each variable of the posterior, after chain and draw."""
        d = self.design
        k = () if d.scalar else ("coefficient",)
        dims: dict[str, tuple[str, ...]] = {}
        if self.pooling != "none":
            dims["mu"] = k
        if self.pooling == "partial":
            dims["tau"] = k
        dims["theta"] = (d.group, *k)
        if d.predictors:
            dims["beta"] = (d.group, "predictor") if self.pooling == "none" else ("predictor",)
        dims |= self.family.dims(d)
        if self.pooling == "partial" and not d.scalar and d.K > 1:
            dims["Omega"] = ("coefficient", "coefficient_2")
        return dims

    def _choose(self, asked: str) -> tuple[str, str]:
        if self.pooling != "partial":
            return f"{self.pooling} pooling", "this pooling strategy has one parameterization"
        if asked == "marginal":
            refuse_without_marginal(
                self.family,
                option("parameterization", "marginal"),
                "use " + option("parameterization", "noncentered"),
            )
        if asked != "auto":
            return asked, "asked for"
        if not self.family.marginal:
            return "noncentered", (
                f"auto: the group effects of the family {self.family} do not integrate out, and "
                "most data sets leave tau near 0 possible"
            )
        return "marginal", (
            "auto: the group effects integrate out of a Gaussian model, so NUTS sees the "
            "hyperparameters alone and theta is drawn exactly afterwards"
        )


def one_of(name: str, value: Any, allowed: Sequence[str]) -> None:
    """Refuse a value that is not allowed, and name near misses."""
    # An array would compare element by element.
    if not isinstance(value, str) or value not in allowed:
        raise OptionError(
            f"{name} must be one of {', '.join(map(repr, allowed))}, got {shown(value)}"
            f"{suggest(str(value), allowed)}"
        )
