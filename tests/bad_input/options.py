"""Options: of the wrong type, out of range, misspelt, or of another engine."""

from __future__ import annotations

import math

import numpy as np

from hiermodels.errors import OptionError

from .case import Case, like_plain, rows, schools
from .shapes import _finite

SAME = like_plain()


def _model(what, says="...", family="OneWay", shell="csv", **options):
    return Case(what, schools() if family == "EightSchools" else rows(), family, {}, options,
                kind=OptionError, says=says, shell=shell)


def _fit(what, says="...", family="OneWay", shell="csv", kind=OptionError, answer=None, **fit):
    return Case(what, schools() if family == "EightSchools" else rows(), family, {}, {}, fit,
                kind=kind, says="" if answer else says, answer=answer, shell=shell)


CASES = [
    _model("a pooling that there is not", pooling="partly"),
    _model("a pooling in capitals", pooling="None"),
    _model("no pooling as None", pooling=None, shell=""),
    _model("no pooling as False", pooling=False, shell=""),
    _model("a pooling that is a list", pooling=["none"], shell=""),
    _model("a pooling that is an array", pooling=np.array(["none", "partial"]), shell=""),
    _model("a parameterization that there is not", parameterization="non-centered"),
    _model("a parameterization that is a number", parameterization=0, shell=""),
    _model("a way with missing values that there is not", missing="omit"),
    _model("missing values as None", missing=None, shell=""),
    _model("residual sds that there are not", sigma="each"),
    _model("residual sds as a number", sigma=1.0, shell=""),
    _model("residual sds as an array", sigma=np.ones(2), shell=""),
    _model("an intercept that there is not", family="VaryingSlopes", intercept="no"),
    _model("an intercept as False", family="VaryingSlopes", intercept=False, shell=""),
    _model("an intercept as an array", family="VaryingSlopes", intercept=np.ones(2), shell=""),
    _model("nothing that varies", family="VaryingSlopes", intercept="none", varying=[], shell=""),
    _fit("no chains", chains=0),
    _fit("chains below 0", chains=-1),
    _fit("one and a half chains", chains=1.5, shell=""),
    _fit("chains as text", chains="4", shell=""),
    _fit("chains as a boolean", chains=True, shell=""),
    _fit("chains as an array", chains=np.arange(100), shell=""),
    _fit("chains as infinity", chains=math.inf, shell=""),
    _fit("chains as a NumPy number", chains=np.int32(2), answer=SAME, shell=""),
    _fit("a million million chains", chains=10**12),
    _fit("no draws", draws=0),
    _fit("a million million draws", draws=10**12),
    _fit("1e30 draws", draws=10**30),
    _fit("draws as text", draws="many", shell=""),
    _fit("one draw", draws=1, answer=_finite),
    _fit("a negative seed", seed=-1),
    _fit("a seed of 2^70", seed=2**70),
    _fit("a seed with a fraction", seed=1.5, shell=""),
    _fit("a seed as text", seed="one", shell=""),
    _fit("an engine that there is not", engine="hmc"),
    _fit("an engine that is a list", engine=["exact"], shell=""),
    _fit("an engine as None", engine=None, shell=""),
    _fit("an option of NUTS", adapt_delta=0.9),
    _fit("a warmup of independent draws", warmup=100),
    _fit("a metric of independent draws", metric="dense", shell=""),
    _fit("inits of independent draws", inits={"mu": 0}, shell=""),
    _fit("an acceptance rate of 2", engine="nuts", adapt_delta=2.0),
    _fit("an acceptance rate of NaN", engine="nuts", adapt_delta=math.nan),
    _fit("an acceptance rate as text", engine="nuts", adapt_delta="high", shell=""),
    _fit("a tree depth of 0", engine="nuts", max_treedepth=0),
    _fit("a metric that there is not", engine="nuts", metric="round", shell=""),
    _fit("inits of no parameter", engine="nuts", inits={"teta": 0.0}, shell=""),
    _fit("inits that are text", engine="nuts", inits="random", shell=""),
    _fit("an infinite radius of inits", engine="nuts", inits=math.inf, shell=""),
    _fit("two threads", engine="nuts", threads=2, shell=""),
    _fit("an executor that is none", engine="nuts", executor="dask", shell=""),
    _fit("a folder of output that is a file", engine="nuts", output_dir="/dev/null/x"),
    _fit("effects that there are not", effects="some"),
    _fit("effects as None", effects=None, shell=""),
    _fit("log likelihoods on a whim", pointwise="maybe", shell=""),
    _fit("log likelihoods as an array", pointwise=np.ones(3), shell=""),
    _fit("a variable that there is not", include=["z"], shell=""),
    _fit("a variable as text", include="deviation", shell=""),
    _fit("a variable as a number", include=3, shell=""),
    _fit("progress as text", engine="exact", progress="yes", shell=""),
    _fit("a Gibbs sampler of the eight schools", family="EightSchools", engine="gibbs"),
    _fit("a Gibbs sampler of priors that are not semi-conjugate", engine="gibbs"),
    Case("one residual sd a group, exactly", rows(), "VaryingSlopes", {}, {"sigma": "group"}, {},
         kind=OptionError, says="..."),
]
