"""Priors in force: how given ones replace defaults, and which are refused."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import hiermodels as hm
from hiermodels.errors import PriorError
from hiermodels.priors.blocks import Block, Priors


def merged(given: dict[str, object]) -> Priors:
    blocks = (
        Block("mu", "location", ("Intercept", "x")),
        Block("tau", "scale"),
        Block("Omega", "correlation"),
    )
    defaults = {
        "mu": {"Intercept": hm.Normal(0, 1), "x": hm.Normal(0, 2)},
        "tau": hm.HalfNormal(1),
        "Omega": hm.LKJ(2),
    }
    return Priors(blocks, defaults, given)


def test_given_priors_replace_defaults_by_block_or_by_coefficient() -> None:
    assert merged({"mu": hm.Flat()})["mu"] == {"Intercept": hm.Flat(), "x": hm.Flat()}
    one = merged({"mu": {"x": hm.Normal(0, 9)}})["mu"]
    assert one == {"Intercept": hm.Normal(0, 1), "x": hm.Normal(0, 9)}


def test_priors_print_a_line_each_with_where_they_come_from() -> None:
    lines = str(merged({"tau": hm.HalfCauchy(5)})).splitlines()
    assert [line.split() for line in lines] == [
        ["mu[Intercept]", "~", "Normal(0,", "1)", "default"],
        ["mu[x]", "~", "Normal(0,", "2)", "default"],
        ["tau", "~", "HalfCauchy(5)", "given"],
        ["Omega", "~", "LKJ(2)", "default"],
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"taus": hm.HalfNormal(1)}, "no parameter 'taus'; .* did you mean 'tau'"),
        ({"tau": hm.Normal(0, 1)}, r"tau is a scale parameter .* did you mean HalfNormal\?"),
        ({"mu": hm.HalfNormal(1)}, r"mu\[Intercept\] is a location .* did you mean Normal\?"),
        ({"Omega": hm.Flat()}, "Omega is a correlation parameter and takes LKJ"),
        ({"tau": 5}, r"tau must be a prior such as hm.HalfNormal\(1\), got 5"),
        ({"tau": hm.HalfCauchy}, "tau got the family HalfCauchy itself; call it"),
        ({"mu": {"z": hm.Flat()}}, "mu has no coefficient 'z'; it has Intercept, x"),
        ({"mu": 3}, "mu takes a prior, or a dict of priors by coefficient"),
    ],
)
def test_priors_that_do_not_fit_are_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(PriorError, match=message):
        merged(given)


# ---- priors that have no place -------------------------------------------------------------------

N = hm.Normal(0, 0.0001)
SLOPE = (
    r"this model has no parameter 'beta'; its parameters with a prior are mu, tau, Omega, sigma; "
    r"there are no common columns: the coefficient of 'x' varies by group, and its population mean "
    r"is mu\['x'\], as in priors=\{'mu': \{'x': \.\.\.\}\}$"
)
POPULATION = (
    r"under pooling='partial' there is no parameter 'theta'; those with a prior are {}; the prior "
    r"of theta is its population, N\(mu, {}\): give priors to {}$"
)
NO_TAU = (
    r"under pooling='{}' there is no parameter 'tau'; those with a prior are {}; .*; "
    r"pooling='partial' has tau$"
)
SLOPES = {"varying": ["x"]}
ABSENT = [
    (SLOPES, "partial", {"beta": N}, SLOPE),
    (SLOPES, "partial", {"beta": {"x": N}}, SLOPE),
    (SLOPES, "none", {"beta": {"x": N}}, r"are theta, sigma; there are no common columns: the "
     r"coefficient of 'x' is each group's own, theta\['x'\]"),
    (SLOPES, "complete", {"beta": N}, r"are mu, sigma; .* same in every group, mu\['x'\]"),
    ({"varying": ["x"], "common": ["w"]}, "partial", {"beta": {"x": N}},
     r"beta has no coefficient 'x'; it has w; the coefficient of 'x' varies .* mu\['x'\]"),
    ({"varying": ["x"], "common": ["w"]}, "partial", {"mu": {"w": N}},
     r"mu has no coefficient 'w'; it has Intercept, x; .* same in every group, beta\['w'\]"),
    (SLOPES, "partial", {"x": N}, r"no parameter 'x'; .* its population mean is mu\['x'\]"),
    (SLOPES, "partial", {"theta": N}, POPULATION.format(
        "mu, tau, Omega, sigma", r"diag\(tau\) Omega diag\(tau\)", "mu, tau and Omega")),
    (None, "partial", {"theta": N}, POPULATION.format("mu, tau, sigma", "tau", "mu and tau")),
    (None, "partial", {"beta": N}, "no parameter 'beta'; its parameters .* are mu, tau, sigma"),
    (None, "partial", {"Omega": hm.LKJ(1)}, "mu, tau, sigma; one coefficient has no correlations$"),
    (None, "none", {"tau": hm.HalfNormal(1)}, NO_TAU.format("none", "theta, sigma")),
    (SLOPES, "none", {"tau": hm.HalfNormal(1)}, NO_TAU.format("none", "theta, sigma")),
    (SLOPES, "complete", {"tau": hm.HalfNormal(1)}, NO_TAU.format("complete", "mu, sigma")),
    (None, "complete", {"theta": N}, "are mu, sigma; theta is mu, the same in every group$"),
    (SLOPES, "partial", {"bta": N}, "no parameter 'bta'; .* did you mean 'tau'"),
]  # fmt: skip


def data() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    rows = pd.DataFrame(rng.normal(size=(48, 3)), columns=["y", "x", "w"])
    return rows.assign(g=np.repeat([*"abcdef"], 8))


def model(columns: dict[str, list[str]] | None, **options: object) -> hm.OneWay | hm.VaryingSlopes:
    family = hm.OneWay if columns is None else hm.VaryingSlopes
    return family(data(), y="y", group="g", **(columns or {}), **options)


@pytest.mark.parametrize(("columns", "pooling", "priors", "message"), ABSENT)
def test_a_prior_of_what_is_not_there_is_refused_wherever_it_is_given(
    columns, pooling, priors, message
) -> None:
    with pytest.raises(PriorError, match=f"^priors: .*{message}"):
        model(columns, pooling=pooling, priors=priors)
    plain = model(columns, pooling=pooling)
    with pytest.raises(PriorError, match=f"^priors: .*{message}"):
        plain.replace(priors=priors)
    with pytest.raises(PriorError, match=f"^priors 'odd': priors: .*{message}"):
        hm.compare_priors(plain, {"odd": priors}, seed=1, engine="exact")


@pytest.mark.parametrize(("columns", "pooling", "priors", "message"), ABSENT)
def test_it_is_refused_on_the_command_line_as_well(
    columns, pooling, priors, message, tmp_path, capsys
) -> None:
    from hiermodels.cli import main as cli
    from tests.bad_input.case import priors_typed

    file = tmp_path / "rows.csv"
    data().to_csv(file, index=False)
    words = ["fit", "one-way" if columns is None else "varying-slopes", str(file)]
    words += ["--y", "y", "--group", "g", "--pooling", pooling]
    words += [w for role, names in (columns or {}).items() for w in (f"--{role}", *names)]
    words += [w for prior in priors_typed(priors) for w in ("--prior", prior)]
    assert cli.main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: priors: ")
    assert "there is no parameter" in said or "has no " in said
    # What is advised is typed there as it stands.
    assert "priors={" not in said
    if "{" in message:
        assert " --prior 'mu[x]=...'\n" in said


def test_a_name_with_its_coefficient_is_read_as_it_is_typed() -> None:
    said = r"no parameter 'mu\[x\]'; .* as in priors=\{'mu': \{'x': \.\.\.\}\}$"
    with pytest.raises(PriorError, match=said):
        model(SLOPES, priors={"mu[x]": N})


def test_estimates_have_known_errors() -> None:
    with pytest.raises(PriorError, match=r"prior are mu, tau; the standard errors are known$"):
        hm.EightSchools(
            hm.datasets.eight_schools(), effect="effect", se="se", group="school",
            priors={"sigma": hm.HalfNormal(1)},
        )  # fmt: skip


@pytest.mark.parametrize("pooling", ["partial", "none", "complete"])
@pytest.mark.parametrize("common", [[], ["w"]])
def test_those_that_are_there_are_listed_and_no_others(pooling: str, common: list[str]) -> None:
    made = model({"varying": ["x"], "common": common}, pooling=pooling)
    there = {"partial": ["mu", "tau", "Omega"], "none": ["theta"], "complete": ["mu"]}[pooling]
    there += ["beta"] * len(common) + ["sigma"]
    assert list(made.priors) == there
    assert {line.split()[0].partition("[")[0] for line in str(made.priors).splitlines()} == {*there}
    symbols = {line.partition(" ~")[0].partition("[")[0] for line in hm.in_symbols(made).priors}
    assert symbols == {*there}
    idata = made.fit(engine="exact", seed=1, draws=50)
    assert list(idata["log_prior"].data_vars) == there
    # Each block is where the program has it.
    log_prior = idata["log_prior"]["sigma"].to_numpy()
    sigma = idata["posterior"]["sigma"].to_numpy()
    np.testing.assert_allclose(log_prior, made.priors["sigma"].log_density(sigma))
    # What the program asks for is there, and empty.
    assert len(made.row_data["beta_prior"]) == len(made.row_data["beta_hyper"]) == len(common)


@pytest.mark.stan
@pytest.mark.parametrize("pooling", ["partial", "none", "complete"])
def test_the_programs_run_without_common_columns(pooling: str) -> None:
    made = model(SLOPES, pooling=pooling)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        idata = made.fit(seed=1, chains=1, draws=20, warmup=100)
    sigma = idata["posterior"]["sigma"].to_numpy()
    np.testing.assert_allclose(
        idata["log_prior"]["sigma"], made.priors["sigma"].log_density(sigma), rtol=1e-5
    )
