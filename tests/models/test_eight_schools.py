"""Eight schools against exact posteriors (quadrature, BDA3 section 5.4) and closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import hiermodels as hm
from hiermodels.container import inference_data as idatas
from hiermodels.errors import DataError
from tests import reference

FRAME = hm.datasets.eight_schools()
COLUMNS = {"effect": "effect", "se": "se", "group": "school"}
PRIORS = {
    "flat_uniform": {"mu": hm.Flat(), "tau": hm.Flat()},
    "normal5_halfcauchy5": {"mu": hm.Normal(0, 5), "tau": hm.HalfCauchy(5)},
}
# Exact means, sds and quantiles of mu, tau and theta A, by quadrature over tau with mu and theta
# integrated out, to 1e-12; those of all schools are in eight_schools_exact.json.
EXACT: dict[str, dict[str, dict[str, float]]] = {
    "flat_uniform": {
        "mu": {"mean": 7.932375018, "sd": 5.178394780, "q5": -0.281690190, "q95": 16.27927300},
        "tau": {"mean": 6.575483347, "sd": 5.650379337, "q5": 0.485623793, "q95": 17.17603328},
        "theta[1]": {"mean": 11.40026087, "sd": 8.341416237, "q5": 0.033488393, "q95": 27.06514638},
    },
    "normal5_halfcauchy5": {
        "mu": {"mean": 4.396820714, "sd": 3.317704463, "q5": -1.083138575, "q95": 9.817247687},
        "tau": {"mean": 3.597705484, "sd": 3.219958415, "q5": 0.246391441, "q95": 9.841949426},
        "theta[1]": {"mean": 6.211884204, "sd": 5.593126195, "q5": -1.53565039, "q95": 16.1119157},
    },
}  # fmt: skip


def make(**options: Any) -> hm.EightSchools:
    return hm.EightSchools(FRAME, **COLUMNS, **options)


def quantities(idata: Any) -> dict[str, Any]:
    posterior = idatas.dataset(idata, "posterior")
    thetas = {f"theta[{j + 1}]": posterior["theta"][..., j] for j in range(8)}
    return {"mu": posterior["mu"], "tau": posterior["tau"], **thetas}


def exact_posterior(prior: str) -> dict[str, dict[str, float]]:
    if not (reference.FOLDER / "eight_schools_exact.json").is_file():
        return EXACT[prior]
    whole = reference.load("eight_schools_exact.json")[prior]
    for name, values in EXACT[prior].items():
        for statistic, value in values.items():
            assert whole[name][statistic] == pytest.approx(value, rel=1e-7)
    return {name: whole[name] for name in ("mu", "tau", *(f"theta[{j + 1}]" for j in range(8)))}


@pytest.mark.stan
@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize(
    ("parameterization", "options"), [("marginal", {}), ("noncentered", {"adapt_delta": 0.99})]
)
def test_partial_pooling_is_exact(
    parameterization: str, options: dict[str, Any], prior: str
) -> None:
    model = make(parameterization=parameterization, priors=PRIORS[prior])
    idata = model.fit(seed=101, draws=2500, progress=False, **options)
    reference.assert_exact(quantities(idata), exact_posterior(prior))


@pytest.mark.stan
@pytest.mark.filterwarnings("ignore::hiermodels.errors.DiagnosticWarning")
@pytest.mark.parametrize("prior", PRIORS)
def test_centered_is_within_its_own_error_and_reports_its_divergences(prior: str) -> None:
    model = make(parameterization="centered", priors=PRIORS[prior])
    idata = model.fit(seed=102, draws=2500, adapt_delta=0.99, progress=False)
    # The funnel hides the smallest tau from the sampler, so only the means are asked for.
    reference.assert_exact(quantities(idata), exact_posterior(prior), statistics=("mean",))
    diverged = int(idatas.dataset(idata, "sample_stats")["diverging"].sum())
    check = hm.check(idata)
    assert check.chains["divergences"].sum() == diverged
    assert ("divergences" in {f.kind for f in check.findings}) == (diverged > 0)


@pytest.mark.stan
@pytest.mark.filterwarnings("ignore:(R-hat|bulk ESS|tail ESS|E-BFMI)")
def test_centered_at_stans_own_adapt_delta_warns_of_divergences() -> None:
    model = make(parameterization="centered", priors=PRIORS["flat_uniform"])
    with pytest.warns(hm.HierModelsWarning, match="iterations diverged"):
        model.fit(seed=103, adapt_delta=0.8, progress=False)


@pytest.mark.stan
def test_complete_pooling_is_the_precision_weighted_mean() -> None:
    idata = make(pooling="complete", priors={"mu": hm.Flat()}).fit(seed=104, progress=False)
    # Sum of y/se^2 over sum of 1/se^2, and one over the root of the latter.
    w = 1 / FRAME["se"] ** 2
    mean, sd = float((w * FRAME["effect"]).sum() / w.sum()), float(w.sum() ** -0.5)
    assert (mean, sd) == (pytest.approx(7.685617, abs=1e-6), pytest.approx(4.0719, abs=1e-4))
    exact = {
        "mean": mean,
        "sd": sd,
        "q5": stats.norm(mean, sd).ppf(0.05),
        "q95": stats.norm(mean, sd).ppf(0.95),
    }
    posterior = idatas.dataset(idata, "posterior")
    reference.assert_exact({"mu": posterior["mu"]}, {"mu": exact})
    np.testing.assert_array_equal(posterior["theta"].sel(school="C"), posterior["mu"])

    replicated = idatas.dataset(idata, "posterior_predictive")["effect"]
    for school, event, probability in (
        ("A", replicated.sel(school="A") >= 28, 0.0956),
        ("C", replicated.sel(school="C") <= -3, 0.2587),
    ):
        y, se = FRAME.set_index("school").loc[school, ["effect", "se"]]
        tail = stats.norm(mean, np.hypot(sd, se))
        assert (tail.sf(y) if school == "A" else tail.cdf(y)) == pytest.approx(
            probability, abs=5e-5
        )
        z = (float(event.mean()) - probability) / reference.mcse(event.values * 1.0, "mean")
        assert abs(z) < reference.LIMIT


@pytest.mark.stan
def test_no_pooling_is_each_school_by_itself() -> None:
    idata = make(pooling="none").fit(seed=105, progress=False)
    posterior = idatas.dataset(idata, "posterior")
    assert list(posterior.data_vars) == ["theta"]
    exact = {}
    for row in FRAME.itertuples():
        own = stats.norm(row.effect, row.se)
        exact[row.school] = {
            "mean": row.effect,
            "sd": row.se,
            "q5": own.ppf(0.05),
            "q95": own.ppf(0.95),
        }
    reference.assert_exact({j: posterior["theta"].sel(school=j) for j in exact}, exact)


@pytest.mark.stan
def test_shuffled_rows_and_a_categorical_give_the_same_labelled_posterior() -> None:
    options = {"seed": 106, "draws": 1000, "progress": False}
    first = make().fit(**options)
    shuffled = hm.EightSchools(FRAME.sample(frac=1, random_state=1), **COLUMNS).fit(**options)
    school = pd.Categorical(FRAME["school"], categories=list("HGFEDCBA?"))
    categorical = hm.EightSchools(FRAME.assign(school=school), **COLUMNS)
    assert categorical.coords["school"].tolist() == list("HGFEDCBA")
    np.testing.assert_array_equal(categorical.stan_data["y"], FRAME["effect"][::-1])
    names = {j: (lambda p, j=j: p["theta"].sel(school=j)) for j in "ABCDEFGH"}
    a = idatas.dataset(first, "posterior")
    for other in (shuffled, categorical.fit(**options)):
        reference.assert_same_posterior(a, idatas.dataset(other, "posterior"), names)


# ---- default priors -----------------------------------------------------------------------------


def studies(y: Any, se: Any, **options: Any) -> hm.EightSchools:
    frame = pd.DataFrame({"study": np.arange(len(y)), "y": y, "se": se}).astype(
        {"y": float, "se": float}
    )
    return hm.EightSchools(frame, effect="y", se="se", group="study", **options)


def scale(y: Any, se: Any) -> float:
    """The scale of tau's default prior, to which that of mu is tied."""
    priors = studies(y, se).priors
    assert isinstance(priors["tau"], hm.HalfT)
    assert isinstance(priors["mu"], hm.Normal)
    assert priors["mu"].sd == 2.5 * priors["tau"].scale
    w = np.asarray(se, dtype=float) ** -2.0
    assert priors["mu"].mean == pytest.approx(np.sum(w * np.asarray(y)) / w.sum())
    return float(priors["tau"].scale)


PRECISE = {
    "three": ([0.1, 0.3, 0.2], [0.1] * 3),
    "two": ([0.1, 0.3], [0.1] * 2),
    "three apart": ([0.1, 0.5, 0.3], [0.1] * 3),
    "three alike": ([0.2] * 3, [0.1] * 3),
    "unequal": ([0.0, 0.3, 0.2, 0.5], [0.05, 0.1, 0.2, 0.3]),
    "eight schools": (list(FRAME["effect"] / 100), list(FRAME["se"] / 100)),
}
# Estimates and standard errors of studies that say next to nothing of mu and tau.
SILENT = {
    "one of 2": [(0.2, 2)],
    "one of 20": [(0.2, 20)],
    "one of 1,000": [(0.2, 1000)],
    "one of 1e6": [(0.2, 1e6)],
    "one of 2, at 2": [(2, 2)],
    "at 5, within 20": [(5, 20)],
    "at -50, within 1,000": [(-50, 1000)],
    "three of 20": [(0.2, 20), (15, 20), (-10, 20)],
    "twenty of 1,000": [(k * 100, 1000) for k in range(-10, 10)],
    "more and more silent": [(3, 20), (500, 1000), (-2e5, 1e6)],
}


@pytest.mark.parametrize("silent", SILENT)
@pytest.mark.parametrize("precise", PRECISE)
def test_a_study_without_information_moves_nothing(precise: str, silent: str) -> None:
    y, se = PRECISE[precise]
    more, errors = map(list, zip(*SILENT[silent], strict=True))
    before = hm.exact.posterior(studies(y, se))
    after = hm.exact.posterior(studies(y + more, se + errors))
    assert scale(y + more, se + errors) == pytest.approx(scale(y, se), rel=0.03)
    assert after.sd("mu") == pytest.approx(before.sd("mu"), rel=0.03)
    assert after.mean("tau") == pytest.approx(before.mean("tau"), rel=0.03)
    assert after.mean("mu") == pytest.approx(before.mean("mu"), abs=0.1 * before.sd("mu"))


def test_without_such_a_study_the_numbers_are_these() -> None:
    """By hand: three estimates of variance 0.01 and se^2 = 0.01 make s^2 = 3/2 of 0.02."""
    y, se = PRECISE["three"]
    assert scale(y, se) == pytest.approx(np.sqrt(0.03), rel=1e-12)
    assert hm.exact.posterior(studies(y, se)).sd("mu") == pytest.approx(0.0912, abs=1e-4)
    assert scale(FRAME["effect"], FRAME["se"]) == pytest.approx(16.499, abs=1e-3)


@pytest.mark.parametrize("J", [2, 3, 8, 40])
def test_the_scale_of_equal_errors_is_the_sd_of_estimates_with_theirs(J: int) -> None:
    y = np.random.default_rng(J).normal(5, 3, J)
    assert scale(y, [2.0] * J) == pytest.approx(np.sqrt(J / (J - 1) * (y.var(ddof=1) + 4)))


def test_one_study_has_a_scale_of_its_standard_error() -> None:
    assert studies([3.0], [0.7], pooling="complete").priors["mu"] == hm.Normal(3, 2.5 * 0.7)


def test_two_studies_have_half_their_squared_difference() -> None:
    """Whichever is the precise one, as one alone shows no spread; times n / (n - 1)."""
    assert scale([0, 4], [3, 3]) == pytest.approx(np.sqrt(2 * (16 + 18) / 2))
    mean = (16 + 9 + 1e-12) / 2
    a = np.array([1, (mean / (mean + 9)) ** 2])
    a /= a.sum()
    assert scale([0, 4], [1e-6, 3]) == pytest.approx(np.sqrt(mean / (1 - np.sum(a**2))))


@pytest.mark.parametrize("tiny", [0.1, 1e-3, 1e-6, 1e-30])
def test_one_very_precise_study_does_not_set_the_scale(tiny: float) -> None:
    y, se = [0.4, -0.6, 1.1, -1.0, 0.2, 0.7], [1.0] * 5
    # The others alone have 1.44.
    assert 0.9 < scale(y, [*se, tiny]) < 1.6
    far = [0, 30, -20, 15, -30, 5]
    assert 15 < scale(far, [*se, tiny]) < 30


def test_spread_beyond_the_errors_of_the_precise_is_that_of_all() -> None:
    """Two precise studies that are near to each other by chance do not hide it."""
    y = [0.0, 1.0, 30, -20, 15, -30, 5, 22]
    assert scale(y, [0.5] * 2 + [1] * 6) > 15


@pytest.mark.parametrize(
    ("y", "se"),
    [*PRECISE.values(), ([0, 1, -1, 0.5], [1e-6, 1, 1, 1]), ([0, 1, -1], [1e-6] * 3)],
    ids=str,
)
def test_default_priors_move_and_scale_with_the_data(y: Any, se: Any) -> None:
    y, se = np.array(y, dtype=float), np.array(se, dtype=float)
    prior = studies(y, se).priors
    for factor, shift in ((10, 3), (-1, 0), (1e-9, 0), (1e20, 0), (1, -70)):
        other = studies(factor * y + shift, abs(factor) * se).priors
        want = factor * prior["mu"].mean + shift
        assert other["mu"].mean == pytest.approx(want, abs=1e-9 * abs(factor))
        assert other["tau"].scale == pytest.approx(
            abs(factor) * prior["tau"].scale, rel=1e-8, abs=0
        )
        assert other["mu"].sd == pytest.approx(abs(factor) * prior["mu"].sd, rel=1e-8, abs=0)


def test_default_priors_do_not_depend_on_the_order() -> None:
    y, se = np.array([0.1, 0.3, 0.2, 7, -40, 0.9]), np.array([0.1, 0.2, 0.05, 3, 100, 0.4])
    want = scale(y, se)
    rng = np.random.default_rng(8)
    for _ in range(20):
        order = rng.permutation(6)
        assert scale(y[order], se[order]) == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize(
    ("y", "se", "want"),
    [
        ([1.0, 1, 1, 1], [1e-6] * 4, 1e-6 * np.sqrt(4 / 3)),
        ([0.0, 1, 2], [1e-6] * 3, np.sqrt(3 / 2)),
        ([0.0, 0, 0], [1e-50, 1e-50, 1e50], 1e-50 * np.sqrt(2)),
        ([0.0, 0, 0], [1e-50, 1e50, 1e50], 1.2403e50),
    ],
    ids=["agree", "apart", "two of three", "one of three"],
)
def test_extreme_designs_have_a_scale(y: Any, se: Any, want: float) -> None:
    assert scale(y, se) == pytest.approx(want, rel=1e-4, abs=0)


def test_unequal_studies_are_calibrated_under_their_default_priors() -> None:
    """Drawn from the priors that these data get, ranks among posterior draws are uniform."""
    model = studies([0.1, 0.3, 0.2, 0.2, 5, 0.25], [0.1, 0.1, 0.1, 2, 1000, 1e-3])
    found = hm.calibrate(model, simulations=100, engine="exact", seed=1)
    assert found.passed, str(found)


def test_stan_is_given_what_the_program_asks_for() -> None:
    model = make(priors=PRIORS["normal5_halfcauchy5"], parameterization="centered")
    data = model.stan_data
    assert data["J"] == 8
    assert data["mu_prior"] == 1
    assert data["mu_hyper"] == [0, 5, 0]
    assert data["tau_prior"] == 3
    assert model.program.name == "eight_schools_centered"
    assert "theta ~ normal(mu, tau);" in str(model.program)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (FRAME.assign(se=[15, 10, 0, 11, -9, 11, 10, 18]),
         r"se='se' must be above 0 in every row, got 2 that are not \('C', 'E'\)"),
        (FRAME.assign(school=list("ABCDEFGA")),
         r"group='school' must name each group once, got 1 more than once \('A'\)"),
    ],
)  # fmt: skip
def test_bad_rows_are_refused(frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(DataError, match=message):
        hm.EightSchools(frame, **COLUMNS)


@pytest.mark.stan
def test_estimates_that_are_all_alike_can_be_fitted() -> None:
    frame = FRAME.assign(effect=1.0)
    idata = hm.EightSchools(frame, **COLUMNS).fit(seed=107, adapt_delta=0.99, progress=False)
    assert np.isfinite(idatas.dataset(idata, "posterior")["tau"]).all()
