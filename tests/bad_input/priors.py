"""Priors: wrong families, wrong signs, wrong places, and those that leave no posterior."""

from __future__ import annotations

import numpy as np

import hiermodels as hm
from hiermodels.errors import ImproperPosteriorError, OptionError, PriorError, option
from tests.bad_input.case import Case, like_plain, rows, schools
from tests.bad_input.kinds import finite

NONE = ImproperPosteriorError


def _given(what, priors, family="OneWay", frame=None, says="...", answer=None, **more):
    plain = schools() if family == "EightSchools" else rows()
    options = {"priors": priors, **more.pop("options", {})}
    more = {"kind": PriorError, **more, "says": "" if answer else says, "answer": answer}
    return Case(what, plain if frame is None else frame, family, {}, options, **more)


def _made(what, make, says="...", kind=PriorError):
    """A prior that cannot even be made."""
    return Case(what, lambda _: rows(y=make()), kind=kind, says=says, typed="")


CASES = [
    _made("a negative sd", lambda: hm.Normal(0, -1), "Normal: sd must be above 0, got -1"),
    _made("an sd of 0", lambda: hm.HalfNormal(0), "HalfNormal: sd must be above 0, got 0"),
    _made(
        "an sd that is NaN",
        lambda: hm.Normal(0, np.nan),
        "Normal: sd must be finite, got nan; for no prior information use Flat()",
    ),
    _made(
        "an infinite sd",
        lambda: hm.Normal(0, np.inf),
        "Normal: sd must be finite, got inf; for no prior information use Flat()",
    ),
    _made(
        "an sd that is text", lambda: hm.Normal(0, "1"), says="Normal: sd must be a number, got '1'"
    ),
    _made(
        "an sd that is a boolean",
        lambda: hm.HalfNormal(True),
        says="HalfNormal: sd must be a number, got True",
    ),
    _made(
        "an sd of 1e400 as a whole number",
        lambda: hm.HalfNormal(10**400),
        says="HalfNormal: sd must be finite, got inf; for no prior information use Flat()",
    ),
    _made(
        "an sd of 1e-320",
        lambda: hm.HalfNormal(1e-320),
        says=(
            "HalfNormal: sd must be of a size from 1e-150 to 1e+150, got "
            "9.99989e-321; take other units, or Flat() for no information"
        ),
    ),
    _made("degrees of freedom of 0", lambda: hm.HalfT(0, 1), "HalfT: nu must be above 0, got 0"),
    _made(
        "a negative rate", lambda: hm.Exponential(-1), "Exponential: rate must be above 0, got -1"
    ),
    _made(
        "a negative shape",
        lambda: hm.InverseGamma(-1, 1),
        "InverseGamma: shape must not be negative, got -1",
    ),
    _made("an LKJ of 0", lambda: hm.LKJ(0), "LKJ: eta must be above 0, got 0"),
    _made(
        "a uniform that does not begin at 0",
        lambda: hm.Uniform(5, 10),
        says=(
            "Uniform: takes its upper end, as Uniform(10) or Uniform(0, 10), and "
            "begins at 0, where a standard deviation does; got 5, 10"
        ),
    ),
    _made("a uniform below 0", lambda: hm.Uniform(-1), "Uniform: upper must be above 0, got -1"),
    _given(
        "a normal prior of a group sd",
        {"tau": hm.Normal(0, 1)},
        says=(
            "priors: tau is a scale parameter and takes Flat, HalfNormal, HalfT, "
            "HalfCauchy, Exponential, Uniform, InverseGamma, GammaPrecision, LogFlat;"
            " got Normal(0, 1); did you mean HalfNormal?"
        ),
    ),
    _given(
        "a half-normal prior of a mean",
        {"mu": hm.HalfNormal(1)},
        says=(
            "priors: mu is a location parameter and takes Flat, Normal, StudentT; got"
            " HalfNormal(1); did you mean Normal?"
        ),
    ),
    _given(
        "a half-normal prior of the correlations",
        {"Omega": hm.HalfNormal(1)},
        "VaryingSlopes",
        says="priors: Omega is a correlation parameter and takes LKJ; got HalfNormal(1)",
    ),
    _given(
        "an LKJ prior where nothing is correlated",
        {"Omega": hm.LKJ(2)},
        says=(
            "priors: this model has no parameter 'Omega'; its parameters with a prior"
            " are mu, tau, sigma; one coefficient has no correlations"
        ),
    ),
    _given(
        "a prior of the residual sd that is known",
        {"sigma": hm.HalfNormal(1)},
        "EightSchools",
        says=(
            "priors: this model has no parameter 'sigma'; its parameters with a prior are mu, tau; "
            "the standard errors are known"
        ),
    ),
    _given(
        "a prior of no parameter",
        {"teta": hm.Normal(0, 1)},
        says=(
            "priors: this model has no parameter 'teta'; its parameters with a prior "
            "are mu, tau, sigma"
        ),
    ),
    _given(
        "a prior of no coefficient",
        {"mu": {"z": hm.Normal(0, 1)}},
        "VaryingSlopes",
        says="priors: mu has no coefficient 'z'; it has Intercept, x",
    ),
    _given(
        "a prior by coefficient where there is one",
        {"mu": {"x": hm.Normal(0, 1)}},
        says=(
            "priors: mu must be a prior such as hm.Normal(0, 1), got {'x': "
            "Normal(mean=0.0, sd=1.0)}"
        ),
    ),
    _given(
        "a number in place of a prior",
        {"tau": 5},
        typed="",
        says="priors: tau must be a prior such as hm.HalfNormal(1), got 5",
    ),
    _given(
        "a family in place of a prior",
        {"tau": hm.HalfCauchy},
        typed="",
        says=(
            "priors: tau got the family HalfCauchy itself; call it with its numbers, "
            "as in HalfCauchy(...)"
        ),
    ),
    _given("None in place of a prior", {"tau": None}, typed="", answer=like_plain()),
    _given(
        "a list of priors",
        [hm.HalfCauchy(5)],
        kind=(OptionError, PriorError),
        typed="",
        says=(
            "priors must be a dict from parameter to prior, such as {'tau': "
            "hm.HalfCauchy(5)}; got list"
        ),
    ),
    _given(
        "a number for a name",
        {1: hm.HalfCauchy(5)},
        typed="",
        says=(
            "priors: this model has no parameter 1; its parameters with a prior are mu, tau, sigma"
        ),
    ),
    _given(
        "flat on the logarithm of a group sd",
        {"tau": hm.LogFlat()},
        kind=NONE,
        says=(
            "tau: LogFlat() is flat on the logarithm, and the likelihood does not "
            "vanish as tau goes to 0, so the posterior has infinite mass there and "
            "does not exist, although each full conditional is proper: a Gibbs "
            "sampler would run, and its draws would mean nothing; use Flat(), "
            "HalfCauchy(...) or another proper prior"
        ),
    ),
    _given(
        "gamma(0, 0) on a group's precision",
        {"tau": hm.GammaPrecision(0, 0)},
        kind=NONE,
        says=(
            "tau: GammaPrecision(0, 0) is flat on the logarithm, and the likelihood "
            "does not vanish as tau goes to 0, so the posterior has infinite mass "
            "there and does not exist, although each full conditional is proper: a "
            "Gibbs sampler would run, and its draws would mean nothing; use Flat(), "
            "HalfCauchy(...) or another proper prior"
        ),
    ),
    _given(
        "inverse-gamma(1, 0) on a group's variance",
        {"tau": hm.InverseGamma(1, 0)},
        kind=NONE,
        says=(
            "tau: InverseGamma(1, 0) goes to infinity as x^-3 at 0, and the "
            "likelihood does not vanish as tau goes to 0, so the posterior has "
            "infinite mass there and does not exist, although each full conditional "
            "is proper: a Gibbs sampler would run, and its draws would mean nothing; "
            "use Flat(), HalfCauchy(...) or another proper prior"
        ),
    ),
    _given(
        "flat on a group sd of two groups",
        {"tau": hm.Flat()},
        frame=rows()[:8],
        kind=NONE,
        says=(
            "tau: Flat() needs at least 3 groups that inform it, got 2: with fewer "
            "the likelihood falls too slowly as tau grows for the posterior to be "
            "sure to exist; use HalfCauchy(...) or another proper prior"
        ),
    ),
    _given(
        "flat on a residual sd without replication",
        {"sigma": hm.LogFlat()},
        frame=rows()[::4],
        kind=NONE,
        says=(
            "sigma: LogFlat() leaves no posterior, because sigma cannot be learned "
            "without replication; use a proper prior such as HalfNormal(...)"
        ),
    ),
    _given("flat on a group sd of six groups", {"tau": hm.Flat()}, answer=finite),
    _given(
        "a perfect fit under a prior that vanishes at 0",
        {"sigma": hm.InverseGamma(2, 1)},
        frame=rows(y=np.repeat(np.arange(6.0), 4) / 3),
        answer=finite,
    ),
    _given(
        "priors of another pooling",
        {"tau": hm.HalfNormal(1)},
        options={"pooling": "none"},
        says=(
            "priors: under pooling='none' there is no parameter 'tau'; those with a "
            "prior are theta, sigma; without pooling the groups have no population; "
            + option("pooling", "partial")
            + " has tau"
        ),
    ),
    _made(
        "a prior of 1e300",
        lambda: hm.HalfNormal(1e300),
        says=(
            "HalfNormal: sd must be of a size from 1e-150 to 1e+150, got 1e+300; take"
            " other units, or Flat() for no information"
        ),
    ),
    _given("a mean that is known to 1e-50", {"mu": hm.Normal(0, 1e-50)}, answer=finite),
    _given("a mean around 1e50", {"mu": hm.Normal(1e50, 1)}, answer=finite),
    _given("a prior far from the data", {"mu": hm.Normal(1e6, 1)}, answer=finite),
    _given("a uniform that ends below the spread", {"tau": hm.Uniform(1e-3)}, answer=finite),
    _given("a Student-t of 1e-3 degrees of freedom", {"tau": hm.HalfT(1e-3, 1)}, answer=finite),
    _given("an LKJ of 1e-3", {"Omega": hm.LKJ(1e-3)}, "VaryingSlopes", answer=finite),
]
