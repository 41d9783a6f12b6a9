"""The Stan programs: complete, in house style, and nothing that stanc complains of."""

from __future__ import annotations

import re

import pytest

from hiermodels.stan import programs

FAMILIES = ("eight_schools", "one_way", "varying_slopes")
PARAMETERIZATIONS = ("marginal", "centered", "noncentered", "no_pooling", "complete_pooling")
# Every prior is data here, and pedantic mode takes a prior that depends on data for none
# (stanc3 issue 932). It says so of these parameters, and may say nothing else.
# The marginal programs have priors for what follows from the standardized q.
WITH_PRIOR = {"mu", "tau", "theta", "beta", "sigma", "L_Omega", "q", "q_sigma"}


def test_every_family_has_every_program() -> None:
    assert set(programs.names()) == {f"{f}_{p}" for f in FAMILIES for p in PARAMETERIZATIONS}


# 2.27 says it in one line, later ones say where and why.
NO_PRIOR = re.compile(
    r"Warning(?: in '[^']*', line \d+, column \d+ to column \d+)?: "
    r"The parameter (\w+) has no priors\."
    r"(?: This means either no prior is provided, .*? false positive\.)?"
)


def unexplained(said: str) -> str:
    """What is left of stanc's words but for the parameters whose priors are data."""
    said = " ".join(said.split())
    assert set(NO_PRIOR.findall(said)) <= WITH_PRIOR
    return NO_PRIOR.sub("", said).strip()


@pytest.mark.cmdstan
@pytest.mark.parametrize("name", programs.names())
def test_stanc_has_nothing_to_say(name: str) -> None:
    assert unexplained(programs.check_syntax(name)) == ""


def test_a_word_of_stanc_on_anything_else_is_seen() -> None:
    """In the words of stanc 2.39, which the package installs where GitHub answers."""
    where = "Warning in 'stan_models/one_way_marginal.stan', line 46, column 2 to column 33:\n"
    prior = (
        f"{where}    The parameter q_sigma has no priors. This means either no prior is\n"
        "    provided, or the prior(s) depend on data variables. In the later case,\n"
        "    this may be a false positive.\n"
    )
    other = f"{where}    The parameter tau was declared but was not used in the density\n"
    assert unexplained(prior * 2) == ""
    assert unexplained(prior + other + prior) == " ".join(other.split())
    with pytest.raises(AssertionError):
        unexplained(prior.replace("q_sigma", "omega"))


def test_no_function_has_an_ending_that_gives_it_other_rights() -> None:
    """Stan 2.39 lets *_jacobian be called in transformed parameters alone; *_lp is its like."""
    found = set()
    for file in programs.folder().glob("*.stan*"):
        functions = file.read_text(encoding="utf-8").partition("\ndata {")[0]
        found |= set(re.findall(r"^[a-z][\w\[\], ]* (\w+)\(", functions, re.M))
    assert {"scale_constrain", "corr_constrain", "effects_deviance", "lines"} <= found
    assert not [n for n in found if n.endswith(("_jacobian", "_lp", "_rng", "_log"))]


@pytest.mark.parametrize("name", programs.names())
def test_programs_keep_to_the_house_style(name: str) -> None:
    source = programs.load(name).source
    assert source.startswith("// ")
    for line in source.splitlines():
        assert len(line) <= 80
        assert line == line.rstrip()
        assert "\t" not in line
    # Every declaration carries its gloss, on its line or on the one before.
    blocks = re.search(r"^data \{\n(.*?)^\}", source, flags=re.S | re.M)
    assert blocks is not None
    for line in blocks.group(1).splitlines():
        assert "//" in line, line
    assert "prior_only" in source
    assert "lprior" in source


def test_a_family_has_the_same_public_names_everywhere() -> None:
    for family in FAMILIES:
        for parameterization in PARAMETERIZATIONS:
            source = programs.load(f"{family}_{parameterization}").source
            assert ("theta" in source) == (parameterization != "complete_pooling")
            partial = parameterization in ("marginal", "centered", "noncentered")
            assert bool(re.search(r"\btau( =|;)", source)) == partial
