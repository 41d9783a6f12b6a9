"""What a family is: the distribution of the response given the linear predictor.

A family has auxiliary parameters (a residual sd, a shape) beside the linear predictor eta_i =
x_i beta + z_i theta_{j[i]}. The word means this and nothing else: ``OneWay`` and its like are
models, ``Normal`` and its like are priors. What this class asks for is enough for fits, predictive
draws, leave-one-out, calibration, reports and symbols, all of which are written once.

A family whose group effects integrate out in closed form says so by ``marginal``. The marginal
programs, sufficient statistics, the engines without Stan, classical estimates and whatever else
needs that closed form go through :func:`refuse_without_marginal`.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from .. import errors
from ..data.design import Design
from ..data.rows import Rows
from ..errors import PriorError
from ..priors.blocks import Block, Priors

if TYPE_CHECKING:
    from .draws import Draws

__all__ = ["Family", "Specification", "refuse_without_marginal"]

Array = NDArray[np.float64]
Aux = Mapping[str, Array]
"""Auxiliary parameters by name, each of shape (D, 1), or (D, N) where they differ by row."""


class Family(ABC):
    """The distribution of the response given the linear predictor and auxiliary parameters.

    Subclasses are frozen dataclasses, whose fields are the family's options.

    Attributes
    ----------
    name : str
        Name in messages, attributes of containers, and Stan programs.
    marginal : bool
        Whether the group effects integrate out in closed form.
    estimates : bool
        Whether each group is one row, an estimate.
    share : str
        Name of the share of the variance that lies between groups.
    """

    name: ClassVar[str]
    marginal: ClassVar[bool] = False
    estimates: ClassVar[bool] = False
    share: ClassVar[str] = "icc"

    def __str__(self) -> str:
        return self.name

    @property
    def attributes(self) -> dict[str, str]:
        """What a container's attributes say about the family, where its columns do not say it."""
        return {"family": self.name, "family_options": json.dumps(self.options)}

    @property
    def options(self) -> dict[str, Any]:
        """The options by name, as plain data."""
        return asdict(self)  # type: ignore[call-overload, no-any-return] # a dataclass: see above

    # ---- before sampling ---------------------------------------------------------------------

    def design(self, **parts: Any) -> Design:
        """A design of checked data, with what the family adds to it."""
        return Design(**parts)

    @abstractmethod
    def check(self, design: Design) -> None:
        """Refuse, or warn about, a response that the family is wrong for."""

    def look(self, design: Design) -> str | None:
        """What the response looks like, where the family may be wrong for it."""
        return None

    @abstractmethod
    def program(self, stem: str, form: str) -> str | Path:
        """Name of a Stan program, or its file.

        Parameters
        ----------
        stem : str
            The model's part of the name: ``"one_way"``.
        form : str
            ``"centered"``, ``"noncentered"``, ``"marginal"``, ``"no_pooling"`` or
            ``"complete_pooling"``.
        """

    @abstractmethod
    def blocks(self) -> tuple[Block, ...]:
        """The auxiliary parameters, in the order of the program's ``lprior``."""

    @property
    def by_group(self) -> bool:
        """Whether each group has auxiliary parameters of its own."""
        return False

    def count(self, design: Design) -> int:
        """Number of values of each auxiliary parameter: 1, or one per group."""
        return design.J if self.by_group else 1

    def dims(self, design: Design) -> dict[str, tuple[str, ...]]:
        """Dims of the auxiliary parameters in a container, after chain and draw."""
        return {b.name: (design.group,) if self.by_group else () for b in self.blocks()}

    @abstractmethod
    def typical(self, design: Design) -> tuple[float, float]:
        """Where the linear predictor lies, and its spread: default priors follow from them."""

    @abstractmethod
    def default_priors(self, design: Design) -> dict[str, Any]:
        """Default priors of the auxiliary parameters."""

    def propriety(self, design: Design, priors: Priors, pooling: str) -> None:
        """Refuse data and priors that leave no posterior; here, every improper prior.

        Raises
        ------
        PriorError
        """
        for name, prior in priors.improper.items():
            raise PriorError(
                f"{name}: {prior} is improper, and the family {self} has no rule for when that "
                f"leaves a posterior; give it a proper prior, as in priors="
                f"{{{name.partition('[')[0]!r}: ...}}"
            )

    def stan_data(self, design: Design) -> dict[str, Any]:
        """What the programs are given beside the rows and the priors."""
        return {}

    def rough(self, design: Design) -> tuple[Array, float]:
        """Quick estimates of the K + P coefficients, and the spread about them, for inits.

        The coefficients are the model's own: of columns less their origin.
        """
        middle, spread = self.typical(design)
        fit = np.zeros(design.K + design.P)
        for k in design.anchors:
            fit[k] = middle / design.size[k]
        return fit, spread

    @abstractmethod
    def start(self, design: Design, spread: float, rng: np.random.Generator) -> dict[str, Array]:
        """Dispersed starting values of the auxiliary parameters, each of shape (1,) or (J,)."""

    # ---- given draws -------------------------------------------------------------------------

    @abstractmethod
    def log_density(self, rows: Rows, eta: Array, aux: Aux) -> Array:
        """Log density of each row, shape (D, N)."""

    @abstractmethod
    def draw(self, rows: Rows, eta: Array, aux: Aux, rng: np.random.Generator) -> Array:
        """One response for each row and draw, shape (D, N)."""

    def mean(self, rows: Rows, eta: Array, aux: Aux) -> Array:
        """Expected response of each row, shape (D, N); eta itself under an identity link."""
        return eta

    def lacks(self, rows: Rows, seen: bool, columns: Mapping[str, Any]) -> str:
        """Why rows have an expected value and no response; empty where they have one.

        Parameters
        ----------
        rows : Rows
        seen : bool
            Whether their groups are those of the fit.
        columns : mapping
            Columns of the model by role.
        """
        if self.by_group and not seen:
            return f"under the family {self} only a group that was seen has its own parameters"
        return ""

    def log_density_about(self, rows: Rows, eta: Array, variance: Array, aux: Aux) -> Array:
        """Log density of each row whose linear predictor is N(eta, variance), shape (D, N).

        Only of families with ``marginal``.
        """
        raise NotImplementedError

    def log_likelihood_group(self, design: Design, draws: Draws) -> Array | None:
        """Log density of each group's rows given the hyperparameters, shape (D, J).

        Only of families with ``marginal``; None where groups have no distribution.
        """
        raise NotImplementedError

    @abstractmethod
    def variance(self, design: Design, aux: Aux) -> Array:
        """Variance of a row about its expected value, shape (D, 1) or (D, J)."""

    @abstractmethod
    def own_estimates(self, design: Design) -> tuple[Array, Array]:
        """Each group's estimate by itself and its standard error, shape (J, K)."""

    # ---- in words ----------------------------------------------------------------------------

    @abstractmethod
    def symbols(self, eta: str, group: str) -> tuple[str, list[tuple[str, str]]]:
        """The line of the response in symbols, and what its further symbols mean.

        Parameters
        ----------
        eta : str
            The linear predictor: ``"theta_{j[i]}"``.
        group : str
            Name of the groups.
        """


class Specification(Protocol):
    """What an engine asks about a model."""

    @property
    def design(self) -> Design:
        """The checked data."""

    @property
    def priors(self) -> Priors:
        """The priors in force."""

    @property
    def pooling(self) -> str:
        """Pooling strategy."""

    @property
    def family(self) -> Family:
        """Distribution of the response."""


def refuse_without_marginal(family: Family, what: str, instead: str) -> None:
    """Refuse what needs a closed form; arguments as in ``errors.refuse_without_marginal``."""
    errors.refuse_without_marginal(None if family.marginal else family, what, instead)
