"""Priors: wrong families, wrong signs, wrong places, and those that leave no posterior."""

from __future__ import annotations

import numpy as np

import hiermodels as hm
from hiermodels.errors import ImproperPosteriorError, OptionError, PriorError

from .case import Case, rows, schools
from .shapes import _finite

NONE = ImproperPosteriorError


def _given(what, priors, family="OneWay", frame=None, kind=PriorError, **more):
    plain = schools() if family == "EightSchools" else rows()
    return Case(what, plain if frame is None else frame, family, {}, {"priors": priors,
                **more.pop("options", {})}, kind=kind, **more)


def _made(what, make, says="...", kind=PriorError):
    """A prior that cannot even be made."""
    return Case(what, lambda _: rows(y=make()), kind=kind, says=says, shell="")


CASES = [
    _made("a negative sd", lambda: hm.Normal(0, -1), "Normal: sd must be above 0, got -1"),
    _made("an sd of 0", lambda: hm.HalfNormal(0), "HalfNormal: sd must be above 0, got 0"),
    _made("an sd that is NaN", lambda: hm.Normal(0, np.nan),
          "Normal: sd must be finite, got nan; for no prior information use Flat()"),
    _made("an infinite sd", lambda: hm.Normal(0, np.inf),
          "Normal: sd must be finite, got inf; for no prior information use Flat()"),
    _made("an sd that is text", lambda: hm.Normal(0, "1")),
    _made("an sd that is None", lambda: hm.HalfNormal(None)),
    _made("an sd that is an array", lambda: hm.HalfNormal(np.array([1.0, 2.0]))),
    _made("an sd that is a boolean", lambda: hm.HalfNormal(True)),
    _made("an sd that is complex", lambda: hm.HalfNormal(1j)),
    _made("an sd of 1e400 as a whole number", lambda: hm.HalfNormal(10**400)),
    _made("an sd of 1e-320", lambda: hm.HalfNormal(1e-320)),
    _made("degrees of freedom of 0", lambda: hm.HalfT(0, 1), "HalfT: nu must be above 0, got 0"),
    _made("a negative rate", lambda: hm.Exponential(-1),
          "Exponential: rate must be above 0, got -1"),
    _made("a negative shape", lambda: hm.InverseGamma(-1, 1),
          "InverseGamma: shape must not be negative, got -1"),
    _made("an LKJ of 0", lambda: hm.LKJ(0), "LKJ: eta must be above 0, got 0"),
    _made("a uniform that does not begin at 0", lambda: hm.Uniform(5, 10)),
    _made("a uniform on nothing", lambda: hm.Uniform()),
    _made("a uniform below 0", lambda: hm.Uniform(-1), "Uniform: upper must be above 0, got -1"),
    _made("a uniform up to text", lambda: hm.Uniform("a")),
    _given("a normal prior of a group sd", {"tau": hm.Normal(0, 1)}),
    _given("a half-normal prior of a mean", {"mu": hm.HalfNormal(1)}),
    _given("an LKJ prior of a group sd", {"tau": hm.LKJ(2)}),
    _given("a normal prior of the residual sd", {"sigma": hm.Normal(0, 1)}),
    _given("a half-normal prior of the correlations", {"Omega": hm.HalfNormal(1)}, "VaryingSlopes"),
    _given("an LKJ prior where nothing is correlated", {"Omega": hm.LKJ(2)}),
    _given("a prior of the residual sd that is known", {"sigma": hm.HalfNormal(1)}, "EightSchools"),
    _given("a prior of no parameter", {"teta": hm.Normal(0, 1)}),
    _given("a prior of no coefficient", {"mu": {"z": hm.Normal(0, 1)}}, "VaryingSlopes"),
    _given("a prior by coefficient where there is one", {"mu": {"x": hm.Normal(0, 1)}}),
    _given("a number in place of a prior", {"tau": 5}, shell=""),
    _given("text in place of a prior", {"tau": "HalfCauchy(5)"}, shell=""),
    _given("a family in place of a prior", {"tau": hm.HalfCauchy}, shell=""),
    _given("None in place of a prior", {"tau": None}, shell=""),
    _given("an array in place of a prior", {"tau": np.ones((2, 2))}, shell=""),
    _given("a list of priors", [hm.HalfCauchy(5)], kind=(OptionError, PriorError), shell=""),
    _given("a prior in place of the dict", hm.HalfCauchy(5), kind=(OptionError, PriorError),
           shell=""),
    _given("a number for a name", {1: hm.HalfCauchy(5)}, shell=""),
    _given("flat on the logarithm of a group sd", {"tau": hm.LogFlat()}, kind=NONE),
    _given("gamma(0, 0) on a group's precision", {"tau": hm.GammaPrecision(0, 0)}, kind=NONE),
    _given("inverse-gamma(1, 0) on a group's variance", {"tau": hm.InverseGamma(1, 0)}, kind=NONE),
    _given("flat on a group sd of two groups", {"tau": hm.Flat()}, frame=rows()[:8], kind=NONE),
    _given("flat on a group sd of two studies", {"tau": hm.Flat()}, "EightSchools",
           frame=schools()[:2], kind=NONE),
    _given("flat on a residual sd without replication", {"sigma": hm.LogFlat()},
           frame=rows()[::4], kind=NONE),
    _given("flat on a group sd of six groups", {"tau": hm.Flat()}, answer=_finite),
    _given("a perfect fit under a prior that vanishes at 0",
           {"sigma": hm.InverseGamma(2, 1)}, frame=rows(y=np.repeat(np.arange(6.0), 4)),
           answer=_finite),
    _given("priors of another pooling", {"tau": hm.HalfNormal(1)}, options={"pooling": "none"}),
    _given("a prior of 1e-90", {"tau": hm.HalfNormal(1e-90)}, answer=_finite),
    _given("a prior of 1e90", {"tau": hm.HalfNormal(1e90)}, answer=_finite),
    _given("a prior of 1e-300", {"tau": hm.HalfNormal(1e-300)}),
    _given("a prior of 1e300", {"tau": hm.HalfNormal(1e300)}, answer=_finite),
    _given("a mean that is known to 1e-90", {"mu": hm.Normal(0, 1e-90)}, answer=_finite),
    _given("a mean around 1e90", {"mu": hm.Normal(1e90, 1)}, answer=_finite),
    _given("a prior far from the data", {"mu": hm.Normal(1e6, 1)}, answer=_finite),
    _given("a uniform that ends below the spread", {"tau": hm.Uniform(1e-3)}, answer=_finite),
    _given("a Student-t of 1e-3 degrees of freedom", {"tau": hm.HalfT(1e-3, 1)}, answer=_finite),
    _given("an LKJ of 1e-3", {"Omega": hm.LKJ(1e-3)}, "VaryingSlopes"),
    _given("an LKJ of 1e6", {"Omega": hm.LKJ(1e6)}, "VaryingSlopes", answer=_finite),
]
