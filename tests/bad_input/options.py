"""Options: of the wrong type, out of range, misspelt, or of another engine."""

from __future__ import annotations

import math

import numpy as np

from hiermodels.engines.gibbs import conditionals
from hiermodels.errors import OptionError, PriorError, option
from tests.bad_input.case import Case, like_plain, rows, schools
from tests.bad_input.kinds import finite

SAME = like_plain()


def _model(what, says="...", family="OneWay", typed="csv", **options):
    return Case(
        what,
        schools() if family == "EightSchools" else rows(),
        family,
        {},
        options,
        kind=OptionError,
        says=says,
        typed=typed,
    )


def _fit(what, says="...", family="OneWay", typed="csv", kind=OptionError, answer=None, **fit):
    return Case(
        what,
        schools() if family == "EightSchools" else rows(),
        family,
        {},
        {},
        fit,
        kind=kind,
        says="" if answer else says,
        answer=answer,
        typed=typed,
    )


CASES = [
    _model(
        "a pooling that there is not",
        pooling="partly",
        says=(
            "pooling must be one of 'partial', 'none', 'complete', got 'partly'; did "
            "you mean 'partial'?"
        ),
    ),
    _model(
        "no pooling as None",
        pooling=None,
        typed="",
        says="pooling must be one of 'partial', 'none', 'complete', got None; did you mean 'none'?",
    ),
    _model(
        "a pooling that is an array",
        pooling=np.array(["none", "partial"]),
        typed="",
        says=(
            "pooling must be one of 'partial', 'none', 'complete', got array(['none',"
            " 'partial'], dtype='<U7')"
        ),
    ),
    _model(
        "a parameterization that there is not",
        parameterization="non-centered",
        says=(
            "parameterization must be one of 'auto', 'marginal', 'centered', "
            "'noncentered', got 'non-centered'; did you mean 'noncentered' or "
            "'centered'?"
        ),
    ),
    _model(
        "a way with missing values that there is not",
        missing="omit",
        says="missing must be 'raise' or 'drop', got 'omit'",
    ),
    _model(
        "residual sds that there are not",
        sigma="each",
        says="sigma must be 'common' or 'group', got 'each'",
    ),
    _model(
        "residual sds as an array",
        sigma=np.ones(2),
        typed="",
        says="sigma must be 'common' or 'group', got array([1., 1.])",
    ),
    _model(
        "an intercept that there is not",
        family="VaryingSlopes",
        intercept="no",
        says="intercept must be one of 'varying', 'common', 'none', got 'no'; did you mean 'none'?",
    ),
    _model(
        "nothing that varies",
        family="VaryingSlopes",
        intercept="none",
        varying=[],
        typed="",
        says="varying must name at least one column where the intercept does not vary; got none",
    ),
    _fit("no chains", chains=0, says="chains must be at least 1, got 0"),
    _fit(
        "one and a half chains", chains=1.5, typed="", says="chains must be a whole number, got 1.5"
    ),
    _fit(
        "chains as a boolean", chains=True, typed="", says="chains must be a whole number, got True"
    ),
    _fit("chains as a NumPy number", chains=np.int32(2), answer=SAME, typed=""),
    _fit(
        "a million million chains",
        chains=10**12,
        says=(
            "chains times draws must be at most 1e+08, got 1000000000000 times 50; a "
            "few thousand in all are enough for most questions"
        ),
    ),
    _fit("no draws", draws=0, says="draws must be at least 1, got 0"),
    _fit(
        "a million million draws",
        draws=10**12,
        says=(
            "chains times draws must be at most 1e+08, got 2 times 1000000000000; a "
            "few thousand in all are enough for most questions"
        ),
    ),
    _fit("one draw", draws=1, answer=finite),
    _fit("a negative seed", seed=-1, says="seed must be from 0 to 2147483647, got -1"),
    _fit(
        "a seed of 2^70",
        seed=2**70,
        says="seed must be from 0 to 2147483647, got 1180591620717411303424",
    ),
    _fit("a seed with a fraction", seed=1.5, typed="", says="seed must be a whole number, got 1.5"),
    _fit(
        "an engine that there is not",
        engine="hmc",
        says="engine must be one of 'nuts', 'exact', 'gibbs', got 'hmc'",
    ),
    _fit(
        "an option of NUTS",
        adapt_delta=0.9,
        says=(
            option("adapt_delta")
            + " is not an option of engine='exact', got "
            + option("adapt_delta", 0.9)
            + "; leave it out, or use "
            + option("engine", "nuts")
        ),
    ),
    _fit(
        "an acceptance rate of 2",
        engine="nuts",
        adapt_delta=2.0,
        says="adapt_delta must lie between 0 and 1, got 2.0; 0.8 is usual, 0.99 is careful",
    ),
    _fit(
        "an acceptance rate of NaN",
        engine="nuts",
        adapt_delta=math.nan,
        says="adapt_delta must lie between 0 and 1, got nan; 0.8 is usual, 0.99 is careful",
    ),
    _fit(
        "a tree depth of 0",
        engine="nuts",
        max_treedepth=0,
        says="max_treedepth must be from 1 to 30, got 0",
    ),
    _fit(
        "a metric that there is not",
        engine="nuts",
        metric="round",
        typed="",
        says="metric must be one of 'diag', 'dense', 'unit', got 'round'",
    ),
    _fit(
        "inits of no parameter",
        engine="nuts",
        inits={"teta": 0.0},
        typed="",
        says="inits: the program one_way_marginal has no parameter 'teta'; it has mu, sigma, tau",
    ),
    _fit(
        "inits that are text",
        engine="nuts",
        inits="random",
        typed="",
        says=(
            "inits must be a number, a dict, a sequence of dicts, or a function of "
            "the chain's number that returns a dict; got 'random'"
        ),
    ),
    _fit(
        "an infinite radius of inits",
        engine="nuts",
        inits=math.inf,
        typed="",
        says="inits: a radius must be finite and at least 0, got inf",
    ),
    _fit(
        "two threads",
        engine="nuts",
        threads=2,
        typed="",
        says=(
            "threads must be 1, got 2: these programs do not split a chain over "
            "threads; run more chains at once with parallel_chains"
        ),
    ),
    _fit(
        "an executor that is none",
        engine="nuts",
        executor="dask",
        typed="",
        says="executor must be a concurrent.futures.Executor (it needs a submit method), got str",
    ),
    _fit(
        "a folder of output that is a file",
        engine="nuts",
        output_dir="/dev/null/x",
        says=(
            option("output_dir") + " must be a folder that can be written, got '/dev/null/x' "
            "(Not a directory); choose another"
        ),
    ),
    _fit(
        "effects that there are not",
        effects="some",
        says="effects must be one of 'auto', 'draws', 'summary', 'none', got 'some'",
    ),
    _fit(
        "log likelihoods on a whim",
        pointwise="maybe",
        typed="",
        says="pointwise must be True, False or 'auto', got 'maybe'",
    ),
    _fit(
        "a variable that there is not",
        include=["z"],
        typed="",
        says="include must be one of 'deviation', 'eta', 'L_Omega', got 'z'",
    ),
    _fit(
        "a variable as text",
        include="deviation",
        typed="",
        says="include must be a list of names, got 'deviation'; ['deviation'] is one",
    ),
    _fit("progress as text", engine="exact", progress="yes", typed="", answer=SAME),
    _fit(
        "a Gibbs sampler of the eight schools",
        family="EightSchools",
        engine="gibbs",
        says="engine='gibbs' is for OneWay, got EightSchools; use " + conditionals._OTHERS,
    ),
    _fit(
        "a Gibbs sampler of priors that are not semi-conjugate",
        engine="gibbs",
        kind=PriorError,
        says=(
            "tau: engine='gibbs' takes InverseGamma, GammaPrecision, Flat, got "
            "HalfT(3, 2); use " + conditionals._OTHERS + ", or ..."
        ),
    ),
    Case(
        "one residual sd a group, exactly",
        rows(),
        "VaryingSlopes",
        {},
        {"sigma": "group"},
        {},
        kind=OptionError,
        says=(
            "engine='exact' needs one residual sd for all groups, got sigma='group'; "
            "use " + option("sigma", "common") + ", or " + option("engine", "nuts")
        ),
    ),
]
