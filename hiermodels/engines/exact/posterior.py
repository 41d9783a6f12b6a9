"""Exact posteriors by quadrature: what NUTS estimates, to full precision and without draws.

The posterior of a one-way model factors as p(tau, sigma | y) p(mu | tau, sigma, y) prod p(theta_j |
mu, tau, sigma, y) (Gelman et al., Bayesian Data Analysis, 3rd ed., section 5.4). All factors but
the first are normal, and the first has one or two dimensions: a lattice of them
(:mod:`~hiermodels.engines.exact.quadrature`) makes every posterior a mixture of normal
distributions with known weights. No CmdStan is needed.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from ...errors import DataError, OptionError, option, suggest
from ...families.gaussian import marginal
from ...families.gaussian.family import closed_form, moments_of
from . import draws as exact_draws
from . import quadrature
from .given_tau import GivenTau
from .integral import OneWayIntegral
from .lattices import Lattice, TailError
from .loo import ExactLoo, leave_out
from .marginals import Marginals

if TYPE_CHECKING:
    from ...families.family import Specification

__all__ = ["ExactLoo", "ExactPosterior", "posterior"]

Array = NDArray[np.float64]

_QUANTILES = {"q5": 0.05, "median": 0.5, "q95": 0.95}


def posterior(model: Specification) -> ExactPosterior:
    """The exact posterior of a one-way model.

    Parameters
    ----------
    model : EightSchools, or OneWay with ``sigma="common"``
        Under partial pooling, with any of the priors.

    Returns
    -------
    ExactPosterior

    Raises
    ------
    OptionError
        A model of another kind.
    ExactError
        The tails of the posterior reach too far for a quadrature.

    Examples
    --------
    >>> import hiermodels as hm
    >>> model = hm.EightSchools(
    ...     hm.datasets.eight_schools(), effect="effect", se="se", group="school"
    ... )
    >>> exact = hm.exact.posterior(model)
    >>> round(exact.probability("tau", ">", 5), 4)
    0.4584
    """
    refuse(model)
    integral = OneWayIntegral(moments_of(model.design), model.priors)
    start, width = integral.guess()
    # Moments of each standard deviation are followed as far as they exist.
    powers = [(4, 2, 1, 0)] * integral.dims
    for turned in itertools.product(*powers):
        moments = turned[::-1]  # tau's tail is the longer one, and gives way first

        def reach(u: Array, moments: tuple[int, ...] = moments) -> Array:
            scales = [x for x in integral.scales(u) if x is not None]
            sizes = [power * np.log(x) for power, x in zip(moments, scales, strict=True)]
            return np.asarray(np.max(sizes, axis=0))

        try:
            lattice = quadrature.lattice(integral.log_density, start, width, reach=reach)
        except TailError:
            if not any(moments):
                raise
            continue
        return ExactPosterior(model, integral, lattice, moments)
    raise AssertionError  # pragma: no cover - the loop returns or raises


def refuse(model: Specification) -> None:
    """Refuse a model that the quadrature is not for.

    Raises
    ------
    OptionError
        Varying slopes, another pooling, or a residual sd for each group.
    """
    if not hasattr(model, "design"):
        raise OptionError(
            f"an exact posterior is that of a model, got {type(model).__name__}; make one first, "
            "as in hm.OneWay(frame, ...)"
        )
    d = closed_form(model, "an exact posterior", "model.fit(engine='nuts') draws from it")
    if not d.scalar:
        raise OptionError(
            "exact.posterior is for EightSchools and OneWay, got VaryingSlopes; "
            "fit(engine='exact') draws from its posterior without a Markov chain"
        )
    if model.pooling != "partial":
        raise OptionError(
            f"exact.posterior is that of partial pooling, got pooling={model.pooling!r}; "
            "model.fit(engine='exact') draws from it, where its priors allow, else engine='nuts'"
        )
    if d.residual == "group":
        raise OptionError(
            "the exact posterior needs one residual sd for all groups, got sigma='group'; use "
            + option("sigma", "common")
            + ", or "
            + option("engine", "nuts")
        )


@dataclass(frozen=True)
class ExactPosterior:
    """The posterior of ``EightSchools`` or ``OneWay``, exact to about ten digits.

    Quantities are named as in the container: ``mu``, ``tau``, ``sigma``, ``icc`` and ``theta`` (one
    for each group); beside them ``tau2`` and ``sigma2`` (the variances), ``log_tau`` and
    ``log_sigma``, ``theta_new`` (the effect of a group that was not seen: N(mu, tau)) and, of
    ``OneWay``, ``y_new`` (a row of that group).

    Attributes
    ----------
    model : Specification
    integral : OneWayIntegral
        The density of (tau, sigma).
    lattice : Lattice
        Its table.
    moments : tuple of int
        Highest moment of tau, and of sigma, guaranteed to be finite (at most 4).
    """

    model: Specification
    integral: OneWayIntegral
    lattice: Lattice
    moments: tuple[int, ...]

    def __repr__(self) -> str:
        return (
            f"<exact posterior of {self.model!r}: {self.lattice.log_f.size} nodes, relative error "
            f"below {max(self.error, 1e-15):.1g}>"
        )

    # ---- what the attributes of a fit say ----------------------------------------------------

    @property
    def error(self) -> float:
        """Relative error of the integral, estimated by leaving every second node out."""
        return self.lattice.error

    @property
    def log_normalizing_constant(self) -> float:
        """Log of the integral of likelihood times priors, an improper one without a constant.

        Flat() is 1; LogFlat() is 2/sigma, as the density 1/sigma^2 of sigma^2 is for sigma.
        """
        return self.lattice.log_total

    @property
    def log_marginal_likelihood(self) -> float | None:
        """Log p(y); None under an improper prior, where p(y) does not exist."""
        return None if self.model.priors.improper else self.log_normalizing_constant

    # ---- quantities --------------------------------------------------------------------------

    @property
    def quantities(self) -> tuple[str, ...]:
        """The names of what can be asked for."""
        return self.marginals.quantities

    @cached_property
    def marginals(self) -> Marginals:
        """The distributions of the quantities, without labels."""
        return Marginals(self.integral, self.lattice, self.moments)

    def mean(self, name: str) -> Any:
        """Posterior mean; a Series by group for ``theta``.

        Infinite, or NaN where it has no sign, if the tails of tau or sigma fall off too slowly.
        """
        return self._labelled(name, self.marginals.moments(self._known(name))[0])

    def sd(self, name: str) -> Any:
        """Posterior standard deviation; infinite where it is not sure to exist."""
        return self._labelled(name, self.marginals.moments(self._known(name))[1])

    def quantile(self, name: str, q: float) -> Any:
        """The value below which the share ``q`` of the posterior lies.

        Raises
        ------
        OptionError
            An unknown name, or ``q`` outside (0, 1).
        """
        if not 0 < q < 1:
            raise OptionError(f"q must be between 0 and 1, got {q!r}")
        return self._labelled(name, self.marginals.quantile(self._known(name), q))

    def cdf(self, name: str, x: float) -> Any:
        """P(quantity <= x | y); a Series by group for ``theta``."""
        return self._labelled(name, self.marginals.cdf(self._known(name), np.array([float(x)]))[0])

    def probability(self, name: str, relation: str, value: float) -> Any:
        """P(quantity > value | y) or P(quantity < value | y).

        Parameters
        ----------
        name : str
            One of :attr:`quantities`.
        relation : {">", "<", ">=", "<="}
        value : float

        Probabilities of mu, theta and new ones are right to ten digits however small they are,
        those of tau, sigma and icc to 1e-11.

        Returns
        -------
        float, or Series by group for ``theta``
        """
        if relation not in (">", "<", ">=", "<="):
            raise OptionError(f"relation must be '>', '<', '>=' or '<=', got {relation!r}")
        if relation.startswith("<"):
            return self.cdf(name, value)
        above = self.marginals.above(self._known(name), float(value))
        return self._labelled(name, above)

    def distribution(self, name: str, x: Sequence[float] | Array) -> Array:
        """Distribution function at many points, shape (n,), or (n, J) for ``theta``."""
        return self.marginals.cdf(self._known(name), np.asarray(x, dtype=np.float64))

    def pairs(self, groups: Sequence[Any] | None = None) -> pd.DataFrame:
        """P(theta_i > theta_k | y) for each pair of groups; NaN on the diagonal.

        Given tau and sigma theta_i - theta_k is normal; both lean on the same mu, by their pooling
        factors B, so its variance is (1 - B_i) s_i^2 + (1 - B_k) s_k^2 + (B_i - B_k)^2 var mu.

        Parameters
        ----------
        groups : sequence of labels, optional
            By default all.
        """
        d, nodes = self.model.design, self.marginals.nodes
        labels = list(d.labels if groups is None else groups)
        places = [self._place(label) for label in labels]
        m, _ = self.integral.effects(nodes, places)
        s2 = self.integral.own_variance(nodes, places)
        B = self.integral.factors(nodes, places)
        own = s2 * nodes.tau[:, None] ** 2 / (s2 + nodes.tau[:, None] ** 2)  # (1 - B) s^2
        out = np.full((len(places), len(places)), np.nan)
        for i in range(len(places)):
            lean = (B[:, [i]] - B) ** 2 * nodes.mu_variance[:, None]
            sd = np.sqrt(np.maximum(own[:, [i]] + own + lean, 1e-300))
            out[i] = nodes.weight @ special.ndtr((m[:, [i]] - m) / sd)
        np.fill_diagonal(out, np.nan)
        index = pd.Index(labels, name=d.group)
        return pd.DataFrame(out, index=index, columns=index.rename(f"{d.group}_2"))

    def pooling_factor(self) -> pd.Series[float]:
        """Posterior mean of B_j = (sigma^2/n_j) / (sigma^2/n_j + tau^2) of each group."""
        d = self.model.design
        B, nodes = np.empty(d.J), self.marginals.nodes
        for part in marginal.blocks(len(nodes.weight), d.J):
            B[part] = nodes.weight @ self.integral.factors(nodes, part)
        return pd.Series(B, index=pd.Index(d.labels, name=d.group), name="pooling_factor")

    def summary(self) -> pd.DataFrame:
        """Mean, sd, 5 %, 50 % and 95 % quantiles of every quantity, one row for each scalar."""
        rows: dict[str, list[float]] = {}
        labels = [f"theta[{label}]" for label in self.model.design.labels]
        for name in self.quantities:
            quantiles = [self.marginals.quantile(name, q) for q in _QUANTILES.values()]
            columns = [*self.marginals.moments(name), *quantiles]
            for label, row in zip(
                labels if name == "theta" else [name], np.column_stack(columns), strict=True
            ):
                rows[label] = row.tolist()
        return pd.DataFrame.from_dict(rows, orient="index", columns=["mean", "sd", *_QUANTILES])

    def correlation(self) -> float:
        """Posterior correlation of log tau and log sigma."""
        if self.integral.dims == 1:
            raise OptionError("correlation is that of tau and sigma, and here sigma is known")
        u, w = self.lattice.nodes(self.lattice.every)
        x = np.log(np.column_stack([v for v in self.integral.scales(u) if v is not None]))
        x = x - w @ x
        c = (w * x.T) @ x
        return float(c[0, 1] / math.sqrt(c[0, 0] * c[1, 1]))

    def loo(self, unit: str = "group") -> ExactLoo:
        """Exact leave-one-out predictive densities, without a refit and without weights.

        Parameters
        ----------
        unit : {"group", "observation"}
            What is left out: log p(y_j | y without group j), or log p(y_i | y without row i).
            For EightSchools both leave out the same, and have the same ``elpd``, but not the same
            ``p_loo``: by group the density with nothing left out has the effect integrated out, by
            observation it is given the effect, as in :func:`hiermodels.loo`.

        Returns
        -------
        ExactLoo

        Raises
        ------
        ExactError
            Without one of the groups there is no posterior.
        """
        if unit not in ("group", "observation"):
            raise OptionError(f"unit must be 'group' or 'observation', got {unit!r}")
        return leave_out(self.integral, self.lattice, unit)

    def draw(self, draws: int, rng: np.random.Generator) -> Array:
        """Independent draws of the hyperparameters (:func:`.draws.draw`)."""
        return exact_draws.draw(self.integral, self.lattice, draws, rng)

    # ---- given tau ---------------------------------------------------------------------------

    def given_tau(self, tau: Sequence[float] | Array | None = None) -> pd.DataFrame:
        """What the posterior of the effects would be if tau were known: the impact of tau.

        Its ends are complete pooling and no pooling (:meth:`limits`). ``hm.plots.impact_of_tau``
        draws it.

        Parameters
        ----------
        tau : sequence of float, optional
            Values of tau, 0 or more, in the units of the response; by default 101, evenly spaced
            from 0 to the 99 % quantile of its posterior.

        Returns
        -------
        DataFrame
            One row for each value and group: ``tau``, the group, conditional ``mean`` and ``sd`` of
            theta_j (sigma averaged over, where it is not known), ``pooling_factor``, and
            ``density``, p(tau | y).
        """
        if tau is None:
            tau = np.linspace(0, self.quantile("tau", 0.99), 101)
        return self._given_tau.table(tau)

    def limits(self) -> pd.DataFrame:
        """Each group's estimate by itself, pooled completely, and in between.

        Returns
        -------
        DataFrame
            One row for each group: ``estimate``, its own (the maximum of the likelihood: its given
            estimate or the mean of its rows), which is E(theta_j | tau -> infinity, y); ``se`` of
            that, at the posterior mean of sigma where it is not known; ``complete_pooling``,
            E(theta_j | tau -> 0, y), the same for all; ``mean`` and ``sd`` of theta_j | y; and
            ``pooling_factor``, E(B_j | y).
        """
        return self._given_tau.limits(self.pooling_factor())

    @cached_property
    def _given_tau(self) -> GivenTau:
        return GivenTau(self.integral, self.marginals, self.moments)

    # ---- names -------------------------------------------------------------------------------

    def _known(self, name: str) -> str:
        if name not in self.quantities:
            raise OptionError(
                f"there is no quantity {name!r}; there are {', '.join(self.quantities)}"
                f"{suggest(str(name), self.quantities)}"
            )
        return name

    def _labelled(self, name: str, values: Array) -> Any:
        if name != "theta":
            return float(values[0])
        d = self.model.design
        return pd.Series(values, index=pd.Index(d.labels, name=d.group), name="theta")

    def _place(self, label: Any) -> int:
        found = np.flatnonzero(self.model.design.labels == label)
        if len(found) != 1:
            raise DataError(
                f"there is no group {label!r}"
                f"{suggest(str(label), [str(x) for x in self.model.design.labels])}"
            )
        return int(found[0])
