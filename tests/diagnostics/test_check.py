"""Our table agrees with ArviZ's, and each thing that can be wrong is found, named and remedied."""

import json

import arviz as az
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import hiermodels as hm
from hiermodels.container import inference_data
from hiermodels.diagnostics import check as diagnostics
from hiermodels.diagnostics import notes
from hiermodels.errors import ContainerError, OptionError

DIMS = ("chain", "draw")
COLUMNS = ["mean", "sd", "q5", "median", "q95", "mcse_mean", "mcse_sd"]
COLUMNS += ["ess_bulk", "ess_tail", "r_hat"]
ATTRS = {
    "model": "EightSchools",
    "pooling": "partial",
    "parameterization": "noncentered",
    "max_treedepth": 10,
    "adapt_delta": 0.8,
}


def posterior(chains=4, n=1000, seed=7, labels=("A", "B", "C"), rho=0.3):
    """Autocorrelated draws of a healthy fit."""
    rng = np.random.default_rng(seed)

    def walk(*shape):
        x = rng.normal(size=(chains, n, *shape))
        for t in range(1, n):
            x[:, t] = rho * x[:, t - 1] + np.sqrt(1 - rho**2) * x[:, t]
        return x

    return xr.Dataset(
        {
            "mu": (DIMS, 8 + 4 * walk()),
            "tau": (DIMS, np.exp(walk())),
            "theta": ((*DIMS, "school"), 8 + 6 * walk(len(labels))),
        },
        coords={"chain": range(chains), "draw": range(n), "school": list(labels)},
    )


def stats(chains=4, n=1000, seed=8):
    rng = np.random.default_rng(seed)
    energy = rng.normal(size=(chains, n))
    never = np.zeros((chains, n), dtype=bool)
    return xr.Dataset(
        {
            "energy": (DIMS, energy),
            "diverging": (DIMS, never),
            "reached_max_treedepth": (DIMS, never.copy()),
        },
        coords={"chain": range(chains), "draw": range(n)},
    )


def fit(post=None, sample_stats=None, **attrs):
    groups = {"posterior": posterior() if post is None else post}
    if sample_stats is not False:
        sizes = groups["posterior"].sizes
        default = stats(sizes["chain"], sizes["draw"])
        groups["sample_stats"] = default if sample_stats is None else sample_stats
    return inference_data.container(groups, ATTRS | attrs)


def kinds(result):
    return [finding.kind for finding in result.findings]


def the(result, kind):
    (finding,) = [f for f in result.findings if f.kind == kind]
    return finding


# ---- a healthy fit ------------------------------------------------------------------------------


def test_a_healthy_fit_passes_with_nothing_to_do():
    result = hm.check(fit())
    assert result.ok
    assert result.findings == ()
    assert diagnostics.warnings_for(result) == []
    assert result.verdict.startswith("No sign of trouble: R-hat at most 1.00")
    assert "Next:" not in str(result)


def test_the_numbers_of_the_check_are_those_of_the_table_and_of_arviz():
    idata = fit()
    result = hm.check(idata)
    columns = ["mean", "sd", "mcse_mean", "ess_bulk", "ess_tail", "r_hat"]
    pd.testing.assert_frame_equal(result.parameters, hm.summary(idata)[columns])
    energy = inference_data.dataset(idata, "sample_stats")["energy"].to_numpy()
    np.testing.assert_allclose(result.chains["e_bfmi"], np.asarray(az.bfmi(energy)))
    assert list(result.chains.columns) == ["divergences", "max_treedepth", "e_bfmi"]
    assert list(result.chains.index) == [0, 1, 2, 3]


def test_constants_are_left_out_of_the_check():
    post = posterior()
    post["Omega"] = ((*DIMS, "k", "k_2"), np.ones((4, 1000, 1, 1)))
    result = hm.check(fit(post))
    assert result.ok
    assert "Omega" not in "".join(result.parameters.index)


def test_under_complete_pooling_mu_is_checked_once_and_not_for_each_group_again():
    post = posterior(rho=0.97).drop_vars("tau")
    post["theta"][:] = post["mu"]
    result = hm.check(fit(post, pooling="complete", parameterization="complete pooling"))
    assert list(result.parameters.index) == ["mu"]
    assert "for 1 of 1 parameter, " in the(result, "ess_bulk").message
    asked = hm.check(fit(post, pooling="complete"), variables=["theta"])
    assert len(asked.parameters) == 3


def test_only_the_variables_that_are_asked_for_are_checked_and_the_whole_fit_in_any_case():
    post = posterior()
    post["theta"][3] += 40
    everything = hm.check(fit(post, diverging(2)))
    assert kinds(everything)[:2] == ["divergences", "r_hat"]
    some = hm.check(fit(post, diverging(2)), variables=["tau", "mu"])
    assert kinds(some) == ["divergences"]
    assert list(some.parameters.index) == ["tau", "mu"]
    pd.testing.assert_frame_equal(some.parameters, everything.parameters.loc[["tau", "mu"]])
    pd.testing.assert_frame_equal(some.chains, everything.chains)
    assert list(hm.check(fit(post), variables="mu").parameters.index) == ["mu"]
    with pytest.raises(OptionError, match=r"no variable 'taau' .*did you mean 'tau'"):
        hm.check(fit(post), variables=["taau"])
    with pytest.raises(OptionError, match="name one variable or more"):
        hm.check(fit(post), variables=[])


# ---- what can be wrong --------------------------------------------------------------------------


def diverging(count, chain=1):
    s = stats()
    s["diverging"][chain, :count] = True
    return s


def test_one_divergence_is_enough_and_its_chain_is_named():
    result = hm.check(fit(sample_stats=diverging(1)))
    assert not result.ok
    assert kinds(result) == ["divergences"]
    assert "1 of 4000 iterations diverged (chain 1)" in the(result, "divergences").message
    assert result.chains["divergences"].tolist() == [0, 1, 0, 0]
    assert result.verdict == "Do not rely on these draws yet: divergences."


def test_chains_that_disagree_are_found_and_the_worst_parameter_is_first():
    post = posterior()
    post["mu"][3] += 40
    post["theta"][3, :, 1] += 9
    result = hm.check(fit(post))
    assert not result.ok
    finding = the(result, "r_hat")
    assert finding.parameters == ("mu", "theta[B]")
    assert finding.message.startswith("R-hat is above 1.01 for 2 of 5 parameters, at worst ")
    # The same limit, on ArviZ's own number.
    assert float(az.rhat(post)["mu"]) > 1.01 > float(az.rhat(post)["tau"])


@pytest.mark.parametrize(("n", "rho", "low"), [(1000, 0.3, False), (1000, 0.9, True)])
def test_low_ess_is_below_100_a_chain(n, rho, low):
    # Bulk ESS of an AR(1) of 4 x 1000 draws is about 4000 (1 - rho) / (1 + rho): 2154 and 211.
    result = hm.check(fit(posterior(n=n, rho=rho)))
    assert ("ess_bulk" in kinds(result)) is low
    assert result.ok is not low
    if low:
        finding = the(result, "ess_bulk")
        assert finding.message.startswith("bulk ESS is below 400 (100 a chain) for 5 of 5")
        worst = result.parameters["ess_bulk"].min()
        assert result.parameters.loc[finding.parameters[0], "ess_bulk"] == worst
        # Enough draws, by the ESS that there is, and no more than that asks for.
        draws = int(finding.remedy.partition("draws=")[2].partition(",")[0])
        assert worst * draws / 1000 >= 400
        assert 2000 <= draws <= 1000 * 1.2 * 400 / worst + 500


def test_low_tail_ess_is_found_on_its_own():
    # One long excursion of each chain: the bulk mixes, the upper 5 % come in one piece.
    post = posterior(rho=0.0)
    post["tau"][:] = np.random.default_rng(2).normal(size=(4, 1000))
    post["tau"][:, 300:345] += 50
    result = hm.check(fit(post))
    assert "ess_tail" in kinds(result)
    assert the(result, "ess_tail").parameters == ("tau",)


def test_low_e_bfmi_is_found_by_chain():
    s = stats()
    s["energy"][2] = np.cumsum(s["energy"].to_numpy()[2])
    result = hm.check(fit(sample_stats=s))
    assert kinds(result) == ["e_bfmi"]
    assert "in chain 2 (lowest 0." in the(result, "e_bfmi").message
    assert "warmup" in the(result, "e_bfmi").remedy
    assert not result.ok
    centered = hm.check(fit(sample_stats=s, parameterization="centered"))
    assert "noncentered" in the(centered, "e_bfmi").remedy


def test_the_maximum_tree_depth_costs_time_and_not_the_verdict():
    s = stats()
    s["reached_max_treedepth"][0, :25] = True
    result = hm.check(fit(sample_stats=s))
    assert result.ok
    assert the(result, "max_treedepth").severity == "warning"
    assert "25 of 4000 iterations reached the maximum tree depth of 10" in str(
        diagnostics.warnings_for(result)
    )
    step = "fit again with max_treedepth=12"
    assert the(result, "max_treedepth").remedy == f"{step}, then parameterization='marginal'"
    marginal = hm.check(fit(sample_stats=s, parameterization="marginal"))
    assert the(marginal, "max_treedepth").remedy == step
    # Without the flag, the depth and the attribute say the same.
    depth = s["reached_max_treedepth"] * 7 + 3
    other = s.drop_vars("reached_max_treedepth").assign(tree_depth=depth)
    assert hm.check(fit(sample_stats=other)).chains.equals(
        result.chains[["divergences", "max_treedepth", "e_bfmi"]]
    )


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_draws_that_are_not_finite_are_found_first_and_named(value):
    post = posterior()
    post["theta"][1, 17, 2] = value
    result = hm.check(fit(post, diverging(3)))
    assert kinds(result)[0] == "nan"
    assert result.findings[0].parameters == ("theta[C]",)
    assert "theta[C]" not in result.parameters.index
    assert not result.ok


def test_a_sampler_that_does_not_move_is_found():
    post = posterior()
    still = xr.zeros_like(post)
    result = hm.check(fit(still))
    assert not result.ok
    assert "no parameter moves" in the(result, "still").message
    assert result.verdict == "Do not rely on these draws yet: chains that do not move."
    assert "no parameter moves" in "; ".join(diagnostics.warnings_for(result))
    assert "Next:" in str(result)


def test_one_chain_passes_with_the_remark_that_it_cannot_show_disagreement():
    result = hm.check(fit(posterior(chains=1)))
    assert result.ok
    assert kinds(result) == ["chains"]
    assert result.unchecked == ("r_hat",)
    assert "chains=4" in the(result, "chains").remedy
    assert "not checked: R-hat" in str(result)


def test_without_sample_stats_the_rest_is_checked_and_what_is_not_is_said():
    result = hm.check(fit(sample_stats=False))
    assert result.ok
    assert result.unchecked == ("divergences", "max_treedepth", "e_bfmi")
    assert "not checked: divergences, tree depth, E-BFMI" in str(result)
    assert "no divergences" not in result.verdict
    assert list(result.chains.columns) == []
    one = str(hm.check(fit(posterior(chains=1), sample_stats=False)))
    (line,) = [line for line in one.splitlines() if line.startswith("not checked: ")]
    assert line == (
        "not checked: divergences, tree depth, E-BFMI (the draws carry no such record); "
        "R-hat (one chain)"
    )
    assert len(line) <= 100


def test_without_a_posterior_there_is_nothing_to_check():
    with pytest.raises(ContainerError, match="no group 'posterior'"):
        hm.check(inference_data.container({"prior": posterior()}, {}))


def everything_wrong():
    post = posterior(rho=0.95)
    post["mu"][3] += 40
    s = diverging(9)
    s["reached_max_treedepth"][0, :25] = True
    s["energy"][2] = np.cumsum(s["energy"].to_numpy()[2])
    return hm.check(fit(post, s, parameterization="centered"))


def test_warnings_are_one_line_for_each_kind():
    result = everything_wrong()
    lines = diagnostics.warnings_for(result)
    assert len(lines) == len(set(kinds(result))) == 6
    for line, finding in zip(lines, result.findings, strict=True):
        assert "\n" not in line
        assert finding.message in line
        assert finding.remedy in line


@pytest.mark.parametrize("n", [1, 3])
def test_too_few_draws_to_judge_by_are_no_good_draws(n):
    result = hm.check(fit(posterior(n=n), stats(n=n)))
    assert not result.ok
    assert "nan" not in result.verdict
    assert "too few draws to judge" in the(result, "few_draws").message
    assert result.verdict == "Do not rely on these draws yet: too few draws to judge by."


# ---- notes --------------------------------------------------------------------------------------

# What a fit of three schools says of itself.
THREE = {
    "columns": json.dumps({"effect": "effect", "se": "se", "group": "school"}),
    "priors": json.dumps({"tau": {"family": "HalfCauchy", "scale": 5.0}}),
}


def test_a_note_is_printed_and_is_neither_a_fault_nor_a_warning():
    result = hm.check(fit(**THREE))
    assert kinds(result) == ["few_groups"]
    assert result.findings[0].severity == "note"
    assert result.ok
    assert diagnostics.warnings_for(result) == []
    assert result.verdict == hm.check(fit()).verdict
    report = str(result)
    assert "Next:" not in report
    (place,) = [i for i, line in enumerate(report.splitlines()) if line == "To know:"]
    said = " ".join(line.strip() for line in report.splitlines()[place + 1 :])
    assert said.startswith(f"- {result.findings[0].message}; {result.findings[0].remedy}")
    assert max(map(len, report.splitlines())) <= 100


def test_single_rows_are_looked_for_where_everything_is_checked_and_the_draws_are_good(monkeypatch):
    asked = []
    monkeypatch.setattr(notes, "single_rows", lambda *given: asked.append(given) or ())
    hm.check(fit(), variables=["mu", "tau"])
    hm.check(fit(sample_stats=diverging(1)))
    assert not asked
    hm.check(fit())
    assert len(asked) == 1
