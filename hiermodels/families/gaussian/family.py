"""The Gaussian family: y_i ~ N(eta_i, sigma)."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...data.design import Design
from ...data.least_squares import own_lines
from ...data.rows import Rows
from ...errors import DataError, OptionError, shown, suggest
from ...priors.blocks import Block, Priors
from ...priors.distributions import HalfT
from .. import responses
from ..draws import Draws
from ..family import Aux, Family, Specification, refuse_without_marginal
from . import effects, laplace, propriety
from .moments import Moments, Residual

__all__ = ["Gaussian", "NormalFamily"]

Array = NDArray[np.float64]

SIGMAS = ("common", "group")
_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


class NormalFamily(Family):
    """What families with a normal response share: residual sds that are known, or are not."""

    marginal = True

    @property
    @abstractmethod
    def residual(self) -> Residual:
        """Residual sds: known, common to all rows, or one per group."""

    def design(self, **parts: Any) -> Moments:
        """A design with the cross-products that the likelihood needs."""
        return Moments(**parts, residual=self.residual)

    @property
    def attributes(self) -> dict[str, str]:
        """Nothing: the columns say what the residual sds are."""
        return {}

    def program(self, stem: str, form: str) -> str:
        """Name of the Stan program."""
        return f"{stem}_{form}"

    def propriety(self, design: Design, priors: Priors, pooling: str) -> None:
        """Refuse data and priors that leave no posterior."""
        propriety.check(moments_of(design), priors, pooling)

    def rough(self, design: Design) -> tuple[Array, float]:
        """Least squares over all rows, and the spread that they leave."""
        d = moments_of(design)
        shift, back = d.back
        return shift + back @ d.pooled_fit, laplace.residual_sd(d)

    def start(self, design: Design, spread: float, rng: np.random.Generator) -> dict[str, Array]:
        """Shares of the spread."""
        return {"sigma": spread * np.exp(rng.uniform(-0.5, 0.5, self.count(design)))}

    def sd(self, rows: Rows, aux: Aux) -> Array:
        """Residual sd of each row, shape (D, N), or (D, 1) or (1, N) where that says it all."""
        return aux["sigma"]

    def log_density(self, rows: Rows, eta: Array, aux: Aux) -> Array:
        """Log density of each row.

        log N(y | eta, sigma) = -log(2 pi)/2 - log sigma - ((y - eta) / sigma)^2 / 2
        """
        sd = self.sd(rows, aux)
        out = rows.y - eta
        out /= sd
        out *= out
        out *= -0.5
        out -= _HALF_LOG_2PI + np.log(sd)
        return out

    def draw(self, rows: Rows, eta: Array, aux: Aux, rng: np.random.Generator) -> Array:
        """One response for each row and draw."""
        out = rng.standard_normal(eta.shape)
        out *= self.sd(rows, aux)
        out += eta
        return out

    def log_density_about(self, rows: Rows, eta: Array, variance: Array, aux: Aux) -> Array:
        """Log density of each row, its linear predictor integrated out."""
        total = variance + self.sd(rows, aux) ** 2
        return np.asarray(-_HALF_LOG_2PI - 0.5 * (np.log(total) + (rows.y - eta) ** 2 / total))

    def log_likelihood_group(self, design: Design, draws: Draws) -> Array | None:
        """Log density of each group's rows, its effects integrated out."""
        return effects.log_likelihood_group(moments_of(design), draws)


@dataclass(frozen=True)
class Gaussian(NormalFamily):
    """Normal response: y_i ~ N(eta_i, sigma).

    Parameters
    ----------
    sigma : {"common", "group"}
        One residual sd for all rows, or one per group.
    """

    sigma: str = "common"

    name: ClassVar[str] = "Gaussian"

    def __post_init__(self) -> None:
        if not isinstance(self.sigma, str) or self.sigma not in SIGMAS:
            raise OptionError(
                f"sigma must be 'common' or 'group', got {shown(self.sigma)}"
                f"{suggest(str(self.sigma), SIGMAS)}"
            )

    @property
    def residual(self) -> Residual:
        """Residual sds: common to all rows, or one per group."""
        return "group" if self.by_group else "common"

    @property
    def by_group(self) -> bool:
        """Whether each group has a residual sd of its own."""
        return self.sigma == "group"

    def check(self, design: Design) -> None:
        """Refuse a constant response; warn about one that a normal model is wrong for."""
        found = design.statistics
        if found.N < 2:
            raise DataError(
                f"y={found.response!r} must have at least 2 rows, got {found.N}; a spread needs "
                "two values"
            )
        if found.minimum[-1] == found.maximum[-1]:
            raise DataError(
                f"y={found.response!r} must vary, got {found.minimum[-1]:g} in all {found.N} rows; "
                "is it the right column?"
            )
        responses.warn(found)

    def look(self, design: Design) -> str | None:
        """What the response looks like, where a normal distribution is wrong for it."""
        seen = responses.look(design.statistics)
        return None if seen is None else str(seen)

    def blocks(self) -> tuple[Block, ...]:
        """The residual sds."""
        return (Block("sigma", "scale"),)

    def typical(self, design: Design) -> tuple[float, float]:
        """Mean and standard deviation of the response."""
        return float(design.means[-1]), float(design.sds[-1])

    def default_priors(self, design: Design) -> dict[str, Any]:
        """Half-t with the response's standard deviation."""
        return {"sigma": HalfT(3, self.typical(design)[1])}

    def stan_data(self, design: Design) -> dict[str, Any]:
        """Number of residual sds."""
        return {"S": self.count(design)}

    def lacks(self, rows: Rows, seen: bool, columns: Mapping[str, Any]) -> str:
        """Why rows have no response: a group that was not seen has no residual sd of its own."""
        if self.by_group and not seen:
            return "under sigma='group' only a group that was seen has a residual sd"
        return ""

    def variance(self, design: Design, aux: Aux) -> Array:
        """Residual variances."""
        return np.asarray(aux["sigma"] ** 2)

    def own_estimates(self, design: Design) -> tuple[Array, Array]:
        """Each group's least-squares estimate."""
        d = moments_of(design)
        p, df, rss = d.K + d.P, d.within.df, d.within.rss
        has = d.within.rank == p
        if not self.by_group and df.sum() > 0:
            variance = np.full(d.J, rss.sum() / df.sum())
        else:
            variance = np.divide(rss, df, out=np.full(d.J, np.nan), where=has & (df > 0))
        centred, own = own_lines(d.gram[has], d.gram_within[has], d.intercept, d.fit_within)
        shift, back = d.at_zero
        fit, se = np.full((d.J, p), np.nan), np.full((d.J, p), np.nan)
        fit[has] = shift + centred @ back.T
        squares = np.diagonal(back @ own @ back.T, axis1=1, axis2=2)
        se[has] = np.sqrt(variance[has, None] * squares)
        return fit[:, : d.K], se[:, : d.K]

    def symbols(self, eta: str, group: str) -> tuple[str, list[tuple[str, str]]]:
        """Normal about the linear predictor."""
        if self.by_group:
            words = [("sigma_j", f"residual standard deviation of {group} j")]
            return f"y_i ~ N({eta}, sigma_{{j[i]}})", words
        return f"y_i ~ N({eta}, sigma)", [("sigma", "residual standard deviation")]


def moments_of(design: Design) -> Moments:
    """A design as the normal families make it."""
    assert isinstance(design, Moments)  # noqa: S101 - see NormalFamily.design
    return design


def closed_form(model: Specification, what: str, instead: str) -> Moments:
    """The design of a model whose group effects integrate out; refused for all others.

    Parameters
    ----------
    model : Specification
    what, instead : str
        As for :func:`~hiermodels.families.family.refuse_without_marginal`.

    Raises
    ------
    OptionError
        The family has no closed form.
    """
    refuse_without_marginal(model.family, what, instead)
    return moments_of(model.design)
