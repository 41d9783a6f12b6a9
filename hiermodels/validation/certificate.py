"""A certificate for a fit: whether its draws are those of the posterior.

A hierarchical Gaussian model has an exact answer to compare with, in one of three ways: its exact
posterior (:mod:`~hiermodels.validation.reference`), independent draws from it
(:mod:`~hiermodels.engines.importance.sampler`), or, where there is neither, another program for the
same posterior and calibration on this very design. In each case theta, given the hyperparameters of
the same draw, must be normal with known mean and variance: a law that takes no reference at all.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from ..container import inference_data as idatas
from ..diagnostics import check as diagnostics
from ..errors import (
    ContainerError,
    DataError,
    DiagnosticWarning,
    ExactError,
    OptionError,
    PriorError,
)
from ..families.gaussian import effects, marginal
from ..families.gaussian.family import moments_of
from . import reference, result
from .agreement import against_draws, against_twin, by_label, measured, row

if TYPE_CHECKING:
    import xarray as xr

    from ..container.inference_data import Container
    from ..models.model import Model

__all__ = ["Certificate", "certify"]

Array = NDArray[np.float64]

LEVEL = 0.001
"""Probability that a right fit fails by chance, over all quantities together."""
_INDIRECT = ("divergences", "e_bfmi")
_REFERENCE_DRAWS = 2500  # of each of four chains of independent draws
_PRECISE_ENOUGH = 400.0  # effective draws below which nothing is certified


@dataclass(frozen=True, eq=False, repr=False)
class Certificate:
    """What :func:`certify` found; prints as a short report.

    Attributes
    ----------
    passed : bool
        Whether every check passed.
    verdict : str
        The answer in one sentence.
    method : str
        What the draws were compared with.
    checks : tuple of str
        The checks that were made, and how each went.
    table : DataFrame
        One row for each quantity: ``exact`` (the exact posterior mean), ``estimate`` (the draws'),
        ``mcse``, ``z`` = (estimate - exact) / mcse, ``z_sd`` (the same of the standard deviation),
        ``ks`` (largest difference of the distribution functions), ``p_ks``, ``ess``, and ``ok``.
    limit : float
        The largest absolute z that passes: that of the normal distribution at 0.001 over all rows.
    calibration : object or None
        The calibration that was run, where there is no exact answer.
    """

    passed: bool
    verdict: str
    method: str
    checks: tuple[str, ...]
    table: pd.DataFrame = field(repr=False)
    limit: float
    calibration: Any = None

    @property
    def failing(self) -> list[str]:
        """The quantities that fail, worst first."""
        bad = self.table[~self.table["ok"]]
        worst = bad[["z", "z_sd"]].abs().max(axis=1).sort_values(ascending=False)
        return [str(label) for label in worst.index]

    def __str__(self) -> str:
        worst = self.table.assign(worst=self.table[["z", "z_sd"]].abs().max(axis=1))
        worst = worst.sort_values(["ok", "worst"], ascending=[True, False]).head(6)
        shown = worst[["exact", "estimate", "mcse", "z", "z_sd", "ks", "p_ks", "ess", "ok"]]
        lines = [self.verdict, "", f"compared with: {self.method}", *self.checks, ""]
        lines.append(
            f"Farthest of {len(self.table)} quantities (|z| up to {self.limit:.2f} is ok):"
        )
        return "\n".join([*lines, shown.to_string(float_format=lambda x: f"{x:.4g}")])

    __repr__ = __str__


def certify(
    idata: Container,
    model: Model,
    *,
    simulations: int = 50,
    seed: int = 0,
    progress: bool | None = None,
) -> Certificate:
    """Compare the draws of a fit with the exact posterior of its model.

    For each scalar the posterior mean and sd are compared in Monte Carlo standard errors, and the
    distribution functions by Kolmogorov and Smirnov's statistic D, as if there were as many
    independent draws as the effective sample size says: p = P(K > sqrt(ESS) D) with Kolmogorov's
    distribution of K (Smirnov 1948, Annals of Mathematical Statistics 19, 279-281). Under partial
    pooling the effects are also compared with what they must be given the other parameters of the
    same draw. A limit of 0.001 is shared by all quantities (Bonferroni), so that one right fit of a
    thousand fails by chance; where there is no exact answer, the calibration has the same limit.
    Too few effective draws to tell right from wrong fail as well.

    Parameters
    ----------
    idata : InferenceData or DataTree
        A fit of this very model, by any engine and parameterization.
    model : EightSchools, OneWay or VaryingSlopes
    simulations : int
        Where there is no exact answer: fits of simulated data on the model's design, for
        simulation-based calibration; 0 for none.
    seed : int
        Of the independent draws, the other program's fit and the simulations.
    progress : bool, optional
        Progress bars of the last two.

    Returns
    -------
    Certificate
        ``.passed`` is the answer; ``.table`` holds every comparison.

    Raises
    ------
    ContainerError
        The container comes from another model, or holds no posterior.
    """
    from ..models import provenance

    asked: Any = simulations
    if isinstance(asked, bool) or not isinstance(asked, Integral) or simulations < 0:
        raise OptionError(f"simulations must be a number of fits, 0 or more, got {simulations!r}")
    if not hasattr(model, "design"):
        raise OptionError(
            f"a certificate needs the model that was fitted, got {type(model).__name__}; "
            "hm.certify(idata, model)"
        )
    provenance.refuse_other(model, idata, priors=True)
    posterior = idatas.dataset(idata, "posterior")
    drawn = by_label(posterior)
    exact = reference.twin(model)
    checks, calibration = [], None
    if exact is not None:
        method = f"the exact posterior ({exact.method})"
        table = against_twin(drawn, exact)
    else:
        method, other, notes = _another_way(model, idata, seed, progress)
        checks += notes
        table = None
        if other is not None:
            table = against_draws(drawn, by_label(idatas.dataset(other, "posterior")))
    parts = [part for part in (table, _given_the_rest(model, posterior)) if part is not None]
    if not parts:
        raise ContainerError(
            "there is nothing to compare with: this model has no exact answer, no rows for another "
            "program, and the container has no draws of the effects; fit with effects='draws'"
        )
    table = pd.concat(parts)
    limit = _limit(len(table))
    table["ok"] = _passes(table, limit)
    checks.append(_said("every quantity agrees with it", bool(table["ok"].all())))
    trouble = diagnostics.check(idata, variables=_hyperparameters(model, posterior))
    bad = [f for f in trouble.findings if f.severity == "error"]
    # Divergences and the like say that draws may be biased; an exact answer says whether they are.
    errors = [f.message for f in bad if exact is None or f.kind not in _INDIRECT]
    checks.append(_said("the chains' own diagnostics", not errors, "; ".join(errors)))
    checks += [f"note {f.message}" for f in bad if f.message not in errors]
    enough = bool((table["ess"] >= _PRECISE_ENOUGH).all())
    least = f"least {table['ess'].min():.0f}, wanted {_PRECISE_ENOUGH:.0f}"
    checks.append(_said("enough effective draws to tell", enough, "" if enough else least))
    passed = bool(table["ok"].all()) and not errors and enough
    if "theta" not in posterior and model.pooling == "partial":
        checks.append("note the container has no draws of the effects: they were not compared")
    if exact is None and "independent draws" not in method and simulations:
        try:
            calibration = _calibrated(model, idata, int(simulations), seed, progress)
        except (PriorError, DataError) as error:  # improper priors, or no rows
            checks.append(f"note calibration on this design was not possible: {error}")
        else:
            right = _calibration_passes(calibration)
            checks.append(_said("calibration on this design", right, calibration.verdict))
            passed = passed and right
    return Certificate(
        passed, _verdict(passed, table, errors, enough), method, tuple(checks), table, limit,
        calibration,
    )  # fmt: skip


def _calibration_passes(calibration: Any) -> bool:
    """Whether no quantity fails, at the level of the certificate rather than at 5 %."""
    p = calibration.table["p"]
    few = len(calibration.failures) <= result.MOST_FAILED * len(calibration.ranks)
    enough = calibration.fits >= result.FEWEST
    return bool(few and enough and p.min() * len(p) > LEVEL)


def _limit(quantities: int) -> float:
    """The largest |z| that passes; two z and one p of each quantity share the level."""
    return float(-special.ndtri(LEVEL / (3 * quantities) / 2))


def _passes(table: pd.DataFrame, limit: float) -> NDArray[np.bool_]:
    # A comparison that there is not (a moment that does not exist) does not fail; draws that are
    # not finite do, by their estimate.
    far = (table[["z", "z_sd"]].abs() > limit).any(axis=1)
    far |= table["p_ks"] < LEVEL / (3 * len(table))
    return np.asarray(~far & np.isfinite(table["estimate"]))


def _said(what: str, ok: bool, more: str = "") -> str:
    return f"{'ok ' if ok else 'BAD'} {what}{': ' + more if more else ''}"


def _verdict(passed: bool, table: pd.DataFrame, errors: Sequence[str], enough: bool) -> str:
    if passed:
        return f"Certified: the draws are those of the posterior, in all {len(table)} quantities."
    wrong = int((~table["ok"]).sum())
    if wrong:
        return f"Not certified: {wrong} of {len(table)} quantities are not the posterior's."
    if errors:
        return (
            "Not certified: these chains cannot tell whether they are the posterior's; "
            f"{errors[0]}."
        )
    if not enough:
        return "Not certified: there are too few effective draws to tell."
    return "Not certified: calibration on this design failed."


# ---- draws by label ------------------------------------------------------------------------------


def _hyperparameters(model: Model, posterior: xr.Dataset) -> list[str] | None:
    if model.pooling == "none":
        return None
    return [str(name) for name in posterior.data_vars if name not in ("theta", "deviation")]


# ---- theta given the rest ------------------------------------------------------------------------


def _given_the_rest(model: Model, posterior: xr.Dataset) -> pd.DataFrame | None:
    """How theta lies in its own conditional distribution, draw by draw.

    theta_j given mu, tau, Omega, beta and sigma is N(m_j, V_j)
    (:mod:`~hiermodels.families.gaussian.marginal`), so zeta = (theta - m) / sd(theta) is standard
    normal and independent of the rest, and over the J groups Phi(zeta) averages to 1/2, and the sum
    of zeta^2 is chi-square with J degrees of freedom. Both are looked at through their distribution
    functions: a theta that belongs to other draws may lie thousands of sds off, where moments would
    drown in their own errors.
    """
    from ..models import layout

    if model.pooling != "partial" or "theta" not in posterior:
        return None
    if not model.family.marginal:
        return None
    d = moments_of(model.design)
    draws, theta = layout.draws(model, posterior), layout.raw_draws(model, posterior).theta
    assert theta is not None  # noqa: S101 - it is in the posterior
    n = len(draws)
    places, squares = np.empty((n, d.K)), np.empty((n, d.K))
    for part in marginal.blocks(d.J * d.K, n):
        block = draws[part]
        p = effects.population(d, block)
        given = marginal.condition(d.rotated, p)
        means = marginal.raw_effects(d, p, marginal.deviations(p, given))
        variances = marginal.variances(marginal.root(d.at_zero, p), given)
        for k, (m, v) in enumerate(zip(means, variances, strict=True)):
            # Where tau is next to nothing, what is printed of theta is too little to tell.
            sd = np.maximum(np.sqrt(v), 1e-9 * np.abs(m) + 1e-300)
            zeta = (theta[part, :, k] - m) / sd
            places[part, k] = special.ndtr(zeta).mean(axis=1)
            squares[part, k] = special.chdtr(d.J, np.sum(zeta**2, axis=1))
    shape = (posterior.sizes["chain"], posterior.sizes["draw"])
    names = [] if d.scalar else list(d.coefficients)
    series: dict[str, Array] = {}
    for word, values in (("place", places), ("spread", squares)):
        for k in range(d.K):
            at = f"[{names[k]}]" if names else ""
            series[f"theta{at} given the rest: {word}"] = values[:, k].reshape(shape)
    found = measured(series, list(series))
    nothing = np.full(len(series), np.nan)
    # That of the squares is uniform; the average place of J groups is nearer to 1/2.
    uniform = np.array([label.endswith("spread") for label in series])
    ks = np.abs(found.below(found.points) - np.clip(found.points, 0, 1)).max(axis=0)
    half = np.full(len(series), 0.5)
    ks = np.where(uniform, ks, np.nan)
    return row(found, half, nothing, found.mcse_mean, found.mcse_sd, ks, found.ess)


# ---- without an exact answer ---------------------------------------------------------------------


def _another_way(
    model: Model, idata: Container, seed: int, progress: bool | None
) -> tuple[str, Container | None, list[str]]:
    """What there is to compare with, in words; its draws; and what is to be said of them."""
    # Not a seed that a user would take: the same draws would agree with themselves.
    seed = int(np.random.SeedSequence([seed, 0xCE47]).generate_state(1)[0]) >> 1
    itself = idatas.attributes(idata).get("engine") == "exact"
    exactly = model.family.marginal and not model.family.by_group
    if exactly and model.pooling == "partial" and not itself:
        try:
            drawn = model.fit(
                engine="exact", seed=seed, draws=_REFERENCE_DRAWS, pointwise=False, effects="draws"
            )
        except ExactError:
            pass
        else:
            return "independent draws from the posterior (importance weights)", drawn, []
    options: dict[str, Any] = {"draws": _REFERENCE_DRAWS, "pointwise": False, "progress": progress}
    if model.pooling != "partial":
        # There is one program: a longer fit of the same shows what chance does, and no more.
        fit, bad = _fitted(model, seed, options)
        return "a longer fit by the same program (this model has no other)", fit, bad
    used = idatas.attributes(idata).get("parameterization")
    others = [p for p in ("marginal", "centered", "noncentered") if p != used or itself]
    if not model.family.marginal:
        others.remove("marginal")
    if not model.design.has_rows:
        others = [p for p in others if p == "marginal"]
    notes: list[str] = []
    fit = None
    for other in others:
        fit, bad = _fitted(model.replace(parameterization=other), seed, options)
        notes += [f"note the {other} program: {line}" for line in bad]
        if not bad:
            break
    if fit is None:
        return "theta given the rest of its own draw alone (no rows for another program)", None, []
    said = f"the {other} program (there is no exact answer for this model)"
    return said, fit, notes


def _fitted(model: Model, seed: int, options: dict[str, Any]) -> tuple[Container, list[str]]:
    """A fit, and what its own diagnostics find wrong with it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DiagnosticWarning)  # they are asked for below
        fit = model.fit(seed=seed, **options)
    found = diagnostics.check(fit).findings
    return fit, [f.message for f in found if f.severity == "error"]


def _calibrated(
    model: Model, idata: Container, simulations: int, seed: int, progress: bool | None
) -> Any:
    from .calibration import calibrate

    attrs = idatas.attributes(idata)
    engine = str(attrs.get("engine", "nuts"))
    if engine == "nuts" and model.pooling == "partial":  # by the program that made the draws
        model = model.replace(parameterization=attrs["parameterization"])
    return calibrate(model, simulations=simulations, seed=seed, engine=engine, progress=progress)
