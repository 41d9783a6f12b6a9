"""The posterior of the effects if tau were known, from no pooling to complete pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...errors import OptionError
from ...families.gaussian import marginal, mixtures
from ...families.gaussian.hyperparameters import on_the_line
from .integral import OneWayIntegral
from .marginals import Marginals

__all__ = ["GivenTau"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class GivenTau:
    """Effects given tau, sigma averaged over.

    Attributes
    ----------
    integral : OneWayIntegral
        The density of (tau, sigma).
    marginals : Marginals
        Distributions of the quantities.
    moments : tuple of int
        Highest moments of tau and of sigma that are finite.
    """

    integral: OneWayIntegral
    marginals: Marginals
    moments: tuple[int, ...]

    def table(self, tau: Sequence[float] | Array) -> pd.DataFrame:
        """One row per value of tau and group; see :meth:`.ExactPosterior.given_tau`."""
        values = np.atleast_1d(np.asarray(tau, dtype=np.float64))
        if values.ndim != 1 or not np.all((values >= 0) & np.isfinite(values)):
            raise OptionError(f"tau must be finite numbers, 0 or more, got {tau!r}")
        end = float(self.integral.hyper.upper("tau", 1)[0])
        if np.any(values >= end):
            raise OptionError(f"tau must be below the end of its prior, {end:g}, got {tau!r}")
        # The logarithm does not exist at 0: next to nothing beside the standard errors stands in.
        at = np.maximum(values, self._next_to_nothing)
        d = self.integral.design
        frames = []
        density = self.marginals.density_of_tau(at)
        for value, near, p in zip(values, at, density, strict=True):
            mean, sd, B = self._at(near)
            columns = {"mean": mean, "sd": sd, "pooling_factor": B, "density": p}
            taken = d.group == "tau" or d.group in columns
            group = f"{d.group}_group" if taken else d.group
            frames.append(pd.DataFrame({"tau": value, group: d.labels, **columns}))
        return pd.concat(frames, ignore_index=True)

    def limits(self, factor: pd.Series[float]) -> pd.DataFrame:
        """One row per group; see :meth:`.ExactPosterior.limits`."""
        d = self.integral.design
        own = self.integral.centre + d.gram[:, 0, 1] / d.sizes
        mean, sd = self.marginals.moments("theta")
        return pd.DataFrame(
            {
                "estimate": own,
                "se": self._standard_errors,
                "complete_pooling": self._at(self._next_to_nothing)[0],
                "mean": mean,
                "sd": sd,
                "pooling_factor": factor.to_numpy(),
            },
            index=pd.Index(d.labels, name=d.group),
        )

    @cached_property
    def _standard_errors(self) -> Array:
        """Standard errors of the groups' own estimates, at the posterior mean of sigma."""
        d = self.integral.design
        if self.integral.dims == 1:
            return np.sqrt(marginal.known_variance(d))
        if self.moments[1] < 1:
            sigma = self.marginals.quantile("sigma", 0.5)
        else:
            sigma = self.marginals.moments("sigma")[0]
        return np.asarray(float(sigma[0]) / np.sqrt(d.sizes))

    @property
    def _next_to_nothing(self) -> float:
        return 1e-9 * float(np.min(self._standard_errors))

    def _at(self, tau: float) -> tuple[Array, Array, Array]:
        """Conditional means and sds of theta, and pooling factors, each of shape (J,)."""
        u = on_the_line(np.array([tau]), self.integral.hyper.upper("tau", 1))
        nodes = self.marginals.nodes_at(np.append(u, np.nan)[: self.integral.dims])
        mean, sd = mixtures.moments(nodes.weight, *self.integral.effects(nodes, slice(None)))
        return mean, sd, nodes.weight @ self.integral.factors(nodes, slice(None))
