"""The full conditionals of one-way random effects, one function each.

::

    y_ij ~ N(theta_j, sigma),   theta_j ~ N(mu, tau),   i = 1..n_j,  j = 1..J

Each function takes what its parameter depends on, and gives the distribution of that parameter
given them (Gelman et al., Bayesian Data Analysis, 3rd ed., section 11.6; Hoff 2009, A First Course
in Bayesian Statistical Methods, section 8.3). Leading dims, written ..., are worked on at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import DataError, Message, OptionError, PriorError, option
from ...families.gaussian.family import closed_form
from ...priors import distributions as families
from ...priors.distributions import Prior
from .distributions import Gamma, InverseGamma, Normal

if TYPE_CHECKING:
    from ...families.family import Specification

__all__ = [
    "Data",
    "check_prior",
    "mu_given",
    "sigma2_given",
    "sigma_precision_given",
    "tau2_given",
    "tau_precision_given",
    "theta_given",
]

Array = NDArray[np.float64]

_OTHERS = Message("engine='exact' or 'nuts'", "--engine exact or --engine nuts")
_LOCATIONS = (families.Normal, families.Flat)
_SCALES = (families.InverseGamma, families.GammaPrecision, families.LogFlat, families.Flat)


@dataclass(frozen=True, eq=False, repr=False)
class Data:
    """What the rows say: group sizes, group means, and the sum of squares within groups.

    Attributes
    ----------
    n : array, shape (J,)
        Rows of each group, as floats.
    ybar : array, shape (..., J)
        Mean of each group's rows.
    ssw : float, or array of shape (...)
        SSW = sum over all rows of (y_ij - ybar_j)^2.

    Raises
    ------
    DataError
        Shapes that do not fit each other, empty groups, or numbers that are not finite.
    """

    n: Array
    ybar: Array
    ssw: Any

    def __post_init__(self) -> None:
        for name in ("n", "ybar", "ssw"):
            values = np.asarray(getattr(self, name), dtype=np.float64)
            if not np.isfinite(values).all():
                raise DataError(f"Gibbs data: {name} must be finite, got NaN or infinity")
            object.__setattr__(self, name, values)
        if self.n.ndim != 1 or self.ybar.shape[-1:] != self.n.shape:
            raise DataError(
                "Gibbs data: n must have shape (J,) and ybar (..., J), got "
                f"{self.n.shape} and {self.ybar.shape}; Data.of(model) makes them"
            )
        if not (self.n >= 1).all() or not (self.ssw >= 0).all():
            raise DataError(
                "Gibbs data: every n must be at least 1 and ssw not negative, got n from "
                f"{self.n.min():g} and ssw from {self.ssw.min():g}; leave empty groups out"
            )

    @classmethod
    def of(cls, model: Specification, *, about: float = 0.0) -> Data:
        """The data of a model.

        Parameters
        ----------
        model : OneWay
            With partial pooling and one sigma for all rows.
        about : float
            What is taken off the response, in its units. ``model.design.offset[-1]``, its mean,
            saves the digits that a large mean costs.

        Raises
        ------
        OptionError
            Not a model, another class, another pooling strategy, or one sigma for each group.
        """
        # The type is asked: a data frame may have a column of that name.
        name = getattr(type(model), "name", None)
        if name is None:
            raise OptionError(
                f"Gibbs data are of a model of class OneWay, got {type(model).__name__}; make one "
                "first, hm.OneWay(frame, y=..., group=...)"
            )
        if name != "OneWay":
            raise OptionError(f"engine='gibbs' is for OneWay, got {name}; use " + _OTHERS)
        d = closed_form(model, "engine='gibbs'", "use " + option("engine", "nuts"))
        for name, got, wanted in (
            ("pooling", model.pooling, "partial"),
            ("sigma", d.residual, "common"),
        ):
            if got != wanted:
                raise OptionError(
                    f"{name}: engine='gibbs' takes {name}={wanted!r}, got {got!r}; use "
                    + option("engine", "nuts")
                    + ", or "
                    + Message(f"model.replace({name}={wanted!r})", option(name, wanted).shell)
                )
        # The design's sums are already less its offset: only what is left of it is added.
        ybar = (d.offset[-1] - about) + d.gram[:, 0, -1] / d.sizes
        return cls(d.sizes.astype(np.float64), ybar, d.within.rss.sum())

    def __repr__(self) -> str:
        ssw = f"{float(self.ssw):.5g}" if self.ssw.ndim == 0 else f"array of shape {self.ssw.shape}"
        sets = f", {self.ybar.shape[:-1]} data sets" if self.ybar.ndim > 1 else ""
        return f"Data of {self.N:g} rows in {self.J} groups{sets}: ssw {ssw}"

    @cached_property
    def N(self) -> float:
        """Number of rows."""
        return float(self.n.sum())

    @property
    def J(self) -> int:
        """Number of groups."""
        return len(self.n)


def theta_given(mu: ArrayLike, tau2: ArrayLike, sigma2: ArrayLike, data: Data) -> Normal:
    """Full conditional of the group means: independent normals.

    ::

        theta_j | mu, tau^2, sigma^2, y ~ N(m_j, v_j)
        1/v_j = n_j / sigma^2 + 1/tau^2
        m_j = v_j (n_j ybar_j / sigma^2 + mu / tau^2)

    (Gelman et al., Bayesian Data Analysis, 3rd ed., equations 11.9 to 11.11.) Computed with the
    pooling factor B_j = 1 / (1 + n_j tau^2 / sigma^2) as m_j = ybar_j + B_j (mu - ybar_j) and
    v_j = tau^2 B_j, which is the same, and loses no digits where tau is small.

    Parameters
    ----------
    mu, tau2, sigma2 : array, shape (...)
        Population mean, and the variances between and within groups.
    data : Data

    Returns
    -------
    Normal
        Of shape (..., J).

    Raises
    ------
    OptionError
        A negative variance.
    """
    m, v, s2 = _floats(mu), _variance("tau2", tau2), _variance("sigma2", sigma2)
    m, v, s2 = m[..., None], v[..., None], s2[..., None]
    pull = 1 / (1 + (v / s2) * data.n)
    return Normal(data.ybar + pull * (m - data.ybar), np.sqrt(v * pull))


def mu_given(theta: ArrayLike, tau2: ArrayLike, prior: Prior) -> Normal:
    """Full conditional of the population mean: a normal.

    With the prior N(mu_0, gamma_0)::

        mu | theta, tau^2 ~ N(m, v)
        1/v = J / tau^2 + 1/gamma_0^2
        m = v (J mean(theta) / tau^2 + mu_0 / gamma_0^2)

    and with a flat prior, gamma_0 -> infinity, N(mean(theta), tau / sqrt(J)) (Hoff 2009, section
    8.3; Gelman et al., Bayesian Data Analysis, 3rd ed., equation 11.12).

    Parameters
    ----------
    theta : array, shape (..., J)
        Group means.
    tau2 : array, shape (...)
        Variance between groups.
    prior : hm.Normal or hm.Flat

    Returns
    -------
    Normal
        Of shape (...).

    Raises
    ------
    PriorError
        A prior of another distribution.
    OptionError
        A negative variance.
    """
    check_prior("mu", prior)
    theta = _floats(theta)
    J = theta.shape[-1]
    mean, sd = theta.sum(axis=-1) / J, np.sqrt(_variance("tau2", tau2) / J)
    if isinstance(prior, families.Normal):
        # 1/v = 1/sd^2 + 1/gamma_0^2, so sqrt(v) = sd gamma_0 / hypot(sd, gamma_0).
        share = sd / np.hypot(sd, prior.sd)
        mean, sd = mean + share**2 * (prior.mean - mean), share * prior.sd
    return Normal(mean, sd)


def sigma2_given(theta: ArrayLike, data: Data, prior: Prior) -> InverseGamma:
    """Full conditional of the variance within groups: an inverse-gamma.

    With the prior sigma^2 ~ inverse-gamma(a, b), a = nu_0/2 and b = nu_0 sigma_0^2/2::

        sigma^2 | theta, y ~ inverse-gamma(a + N/2, b + S/2)
        S = sum_ij (y_ij - theta_j)^2 = SSW + sum_j n_j (ybar_j - theta_j)^2

    (Hoff 2009, section 8.3.) ``LogFlat()``, p(sigma^2) ∝ 1/sigma^2, is a = b = 0; ``Flat()``,
    p(sigma) ∝ 1 and so p(sigma^2) ∝ 1/sigma, is a = -1/2, b = 0.

    Parameters
    ----------
    theta : array, shape (..., J)
        Group means.
    data : Data
    prior : hm.InverseGamma, hm.GammaPrecision, hm.LogFlat or hm.Flat
        Of sigma. ``GammaPrecision(a, b)`` is the same prior, written for 1/sigma^2.

    Returns
    -------
    InverseGamma
        Of shape (...).

    Raises
    ------
    PriorError
        A prior of another distribution.
    OptionError
        Another number of group means than the data have groups.
    """
    a, b = _shape_and_scale("sigma", prior)
    return InverseGamma(a + data.N / 2, b + _squares_within(theta, data) / 2)


def tau2_given(theta: ArrayLike, mu: ArrayLike, prior: Prior) -> InverseGamma:
    """Full conditional of the variance between groups: an inverse-gamma.

    With the prior tau^2 ~ inverse-gamma(a, b), a = eta_0/2 and b = eta_0 tau_0^2/2::

        tau^2 | theta, mu ~ inverse-gamma(a + J/2, b + sum_j (theta_j - mu)^2 / 2)

    (Hoff 2009, section 8.3.) ``Flat()``, p(tau) ∝ 1 and so p(tau^2) ∝ 1/tau, is a = -1/2, b = 0
    (Gelman et al., Bayesian Data Analysis, 3rd ed., equation 11.16).

    Parameters
    ----------
    theta : array, shape (..., J)
        Group means.
    mu : array, shape (...)
        Population mean.
    prior : hm.InverseGamma, hm.GammaPrecision, hm.LogFlat or hm.Flat
        Of tau. ``LogFlat()``, a = b = 0, has this proper full conditional, and no posterior.

    Returns
    -------
    InverseGamma
        Of shape (...).

    Raises
    ------
    PriorError
        A prior of another distribution.
    """
    a, b = _shape_and_scale("tau", prior)
    squares, J = _squares_between(theta, mu)
    return InverseGamma(a + J / 2, b + squares / 2)


def sigma_precision_given(theta: ArrayLike, data: Data, prior: Prior) -> Gamma:
    """Full conditional of the precision within groups, 1/sigma^2: a gamma.

    With the prior 1/sigma^2 ~ gamma(a, rate b)::

        1/sigma^2 | theta, y ~ gamma(a + N/2, rate b + S/2),   S as in sigma2_given

    Parameters, errors and the improper priors are those of :func:`sigma2_given`.

    Returns
    -------
    Gamma
        Of shape (...).
    """
    a, b = _shape_and_scale("sigma", prior)
    return Gamma(a + data.N / 2, b + _squares_within(theta, data) / 2)


def tau_precision_given(theta: ArrayLike, mu: ArrayLike, prior: Prior) -> Gamma:
    """Full conditional of the precision between groups, 1/tau^2: a gamma.

    With the prior 1/tau^2 ~ gamma(a, rate b)::

        1/tau^2 | theta, mu ~ gamma(a + J/2, rate b + sum_j (theta_j - mu)^2 / 2)

    ``Flat()``, p(tau) ∝ 1, gives gamma((J - 1)/2, rate sum_j (theta_j - mu)^2 / 2). Parameters and
    errors are those of :func:`tau2_given`.

    Returns
    -------
    Gamma
        Of shape (...).
    """
    a, b = _shape_and_scale("tau", prior)
    squares, J = _squares_between(theta, mu)
    return Gamma(a + J / 2, b + squares / 2)


def _floats(x: ArrayLike) -> Array:
    return np.asarray(x, dtype=np.float64)


def _variance(name: str, x: ArrayLike) -> Array:
    """A variance, refused where it is negative; NaN passes, as it does everywhere in NumPy."""
    values = _floats(x)
    if (values < 0).any():
        raise OptionError(
            f"{name} is a variance and must not be negative, got {values.min():g}; of an sd give "
            "the square"
        )
    return values


def _squares_within(theta: ArrayLike, data: Data) -> Array:
    """Sum over all rows of (y_ij - theta_j)^2, shape (...)."""
    theta = _floats(theta)
    if theta.shape[-1:] != data.n.shape:
        raise OptionError(
            f"theta must have shape (..., {data.J}), a mean for each group of the data, got "
            f"{theta.shape}"
        )
    off = data.ybar - theta
    return np.asarray(data.ssw + (off * off) @ data.n)


def _squares_between(theta: ArrayLike, mu: ArrayLike) -> tuple[Array, int]:
    """Sum over the groups of (theta_j - mu)^2, shape (...), and J."""
    off = _floats(theta) - _floats(mu)[..., None]
    return np.asarray((off * off).sum(axis=-1)), off.shape[-1]


def check_prior(name: str, prior: Prior) -> None:
    """Refuse a prior whose full conditional is not in this module.

    Parameters
    ----------
    name : {"mu", "tau", "sigma"}
        The parameter.
    prior : Prior
        Its prior.

    Raises
    ------
    PriorError
        A prior of another distribution.
    """
    takes = _LOCATIONS if name == "mu" else _SCALES
    if not isinstance(prior, takes):
        # Flat on log tau has a full conditional, but no posterior: it is nothing to offer.
        offered = [f.__name__ for f in takes if (name, f) != ("tau", families.LogFlat)]
        raise PriorError(
            f"{name}: engine='gibbs' takes {', '.join(offered)}, got {prior}; use "
            + _OTHERS
            + ", or "
            + Message(
                "priors=hm.gibbs.reference() or hm.gibbs.semiconjugate(...)",
                "a --prior of those, such as 'tau=Flat()'",
            )
        )


def _shape_and_scale(name: str, prior: Prior) -> tuple[float, float]:
    """Numbers a, b of the prior as an inverse-gamma of the variance, also where it is improper."""
    check_prior(name, prior)
    # A flat sd: p(v) = p(sd) d sd/dv ∝ v^(-1/2), and inverse-gamma is v^(-a - 1) exp(-b/v).
    improper = {families.Flat: (-0.5, 0.0), families.LogFlat: (0.0, 0.0)}
    a, b = improper.get(type(prior), prior.numbers)
    return a, b
