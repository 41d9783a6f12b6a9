"""Random-effects meta-analysis: published numbers, closed forms, the likelihood itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

import hiermodels as hm
from hiermodels.classical import meta_analysis
from hiermodels.classical.heterogeneity import METHODS, between_variance, cochran
from hiermodels.errors import DataError, OptionError

# Tuberculosis and healthy, vaccinated and not, in 13 trials (Colditz et al. 1994, Journal of the
# American Medical Association 271).
VACCINE = [
    (4, 119, 11, 128),
    (6, 300, 29, 274),
    (3, 228, 11, 209),
    (62, 13536, 248, 12619),
    (33, 5036, 47, 5761),
    (180, 1361, 372, 1079),
    (8, 2537, 10, 619),
    (505, 87886, 499, 87892),
    (29, 7470, 45, 7232),
    (17, 1699, 65, 1600),
    (186, 50448, 141, 27197),
    (5, 2493, 3, 2338),
    (27, 16886, 29, 17825),
]
# Log relative risks of these trials by the R package metafor (Viechtbauer 2010, Journal of
# Statistical Software 36(3)), to the digits that it prints.
PUBLISHED = {
    "dl": {"tau2": 0.3088, "mu": -0.7141, "se": 0.1787, "I2": 0.9212, "H2": 12.69},
    "reml": {"tau2": 0.3132, "mu": -0.7145, "se": 0.1798, "I2": 0.9222, "H2": 12.86},
}


def model(y: Any, se: Any) -> hm.EightSchools:
    frame = pd.DataFrame({"y": y, "se": se, "g": [f"trial {j}" for j in range(len(y))]})
    return hm.EightSchools(frame, effect="y", se="se", group="g")


def vaccine() -> hm.EightSchools:
    a, b, c, d = np.array(VACCINE, dtype=float).T
    y = np.log(a / (a + b)) - np.log(c / (c + d))
    return model(y, np.sqrt(1 / a - 1 / (a + b) + 1 / c - 1 / (c + d)))


def schools() -> hm.EightSchools:
    frame = hm.datasets.eight_schools()
    return hm.EightSchools(frame, effect="effect", se="se", group="school")


def random(seed: int, J: int = 12, tau: float = 2.0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    se = rng.uniform(0.3, 4, J)
    return 10 + tau * rng.normal(size=J) + se * rng.normal(size=J), se


@pytest.mark.parametrize("method", PUBLISHED)
def test_the_vaccine_trials_have_the_published_numbers(method: str) -> None:
    found = meta_analysis(vaccine(), method)
    for name, value in PUBLISHED[method].items():
        digits = 2 if name == "H2" else 4
        assert getattr(found, name) == pytest.approx(value, abs=0.51 * 10**-digits), name
    assert found.Q == pytest.approx(152.2330, abs=5e-5)
    assert found.Q_df == 12
    assert found.Q_p < 1e-4


@pytest.mark.parametrize("method", METHODS)
def test_the_eight_schools_pool_completely(method: str) -> None:
    found = meta_analysis(schools(), method)
    assert found.tau == found.tau2 == found.I2 == 0
    assert found.H2 == 1
    # Gelman et al., Bayesian Data Analysis, section 5.5: 7.7 with a standard error of 4.1.
    assert (round(found.mu, 1), round(found.se, 1)) == (7.7, 4.1)
    assert found.Q == pytest.approx(4.707, abs=5e-4)
    assert found.Q_p == pytest.approx(stats.chi2.sf(found.Q, 7))
    assert found.upper - found.mu == pytest.approx(1.6448536 * found.se)
    assert list(found.table.index) == ["complete", *METHODS]
    assert list(found.groups.index) == list("ABCDEFGH")
    assert found.groups["weight"].sum() == pytest.approx(1)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("se", [0.5, 2.0, 9.0])
def test_with_equal_standard_errors_all_estimates_are_what_the_spread_exceeds_them_by(
    method: str, se: float
) -> None:
    y, _ = random(1, J=9)
    expected = max(0.0, y.var(ddof=1) - se**2)
    found = meta_analysis(model(y, np.full(9, se)), method)
    assert found.tau2 == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert found.mu == pytest.approx(y.mean(), rel=1e-12)


def test_dersimonian_and_laird_is_the_formula() -> None:
    y, se = random(2)
    u = 1 / se**2
    Q = np.sum(u * (y - np.average(y, weights=u)) ** 2)
    expected = (Q - 11) / (u.sum() - np.sum(u**2) / u.sum())
    found = meta_analysis(model(y, se))
    assert expected > 0
    assert found.method == "dl"
    assert found.tau2 == pytest.approx(expected, rel=1e-12)
    assert found.I2 == pytest.approx(1 - 11 / Q, rel=1e-12)
    assert found.H2 == pytest.approx(Q / 11, rel=1e-12)


def test_paule_and_mandel_makes_the_squares_their_degrees_of_freedom() -> None:
    for seed in range(5):
        y, se = random(seed, tau=5.0)
        tau2 = between_variance(y, se**2, "pm")
        assert cochran(y, se**2, tau2) == pytest.approx(11, rel=1e-9)


def restricted(y: Any, v: Any, t: float) -> float:
    """The restricted log likelihood as the density of contrasts, which know no mean."""
    contrasts = np.hstack([np.ones((len(y) - 1, 1)), -np.eye(len(y) - 1)])
    covariance = contrasts @ np.diag(v + t) @ contrasts.T
    return float(stats.multivariate_normal(cov=covariance).logpdf(contrasts @ y))


def test_reml_is_the_highest_point_of_the_density_of_the_contrasts() -> None:
    for seed in range(6):
        y, se = random(seed, J=6)
        best = optimize.minimize_scalar(
            lambda t, y=y, v=se**2: -restricted(y, v, t),
            bounds=(0, 200),
            method="bounded",
            options={"xatol": 1e-9},
        )
        found = between_variance(y, se**2, "reml")
        assert restricted(y, se**2, found) >= -best.fun - 1e-9
        assert found == pytest.approx(best.x, abs=1e-4)


@pytest.mark.parametrize(
    ("y", "v"),
    [
        ([-3.0, 0.1, -2.8], [0.032, 1.4, 0.018]),
        ([0.8, -4.6, 1.1, 1.3, -2.7], [0.063, 5.2, 0.053, 0.2, 1.6]),
        ([1.0, -2.0, -1.8, 2.3], [1.2, 0.027, 0.018, 4.7]),
    ],
)
def test_of_two_maxima_of_the_restricted_likelihood_the_higher_is_taken(y: Any, v: Any) -> None:
    grid = np.concatenate([[0], np.geomspace(1e-5, 500, 2000)])
    values = np.array([restricted(np.array(y), np.array(v), t) for t in grid])
    inner = values[1:-1]
    maxima = np.sum((inner > values[:-2]) & (inner >= values[2:])) + (values[0] > values[1])
    assert maxima == 2
    found = between_variance(np.array(y), np.array(v), "reml")
    assert restricted(np.array(y), np.array(v), found) >= values.max() - 1e-9


@pytest.mark.parametrize("method", METHODS)
def test_other_units_and_a_large_mean_change_nothing_else(method: str) -> None:
    y, se = random(3)
    y, se = np.round(y * 2**20) / 2**20, np.round(se * 2**20) / 2**20
    found = meta_analysis(model(y, se), method)
    scaled = meta_analysis(model(1e-4 * y, 1e-4 * se), method)
    moved = meta_analysis(model(y + 2.0**24, se), method)
    assert scaled.tau == pytest.approx(1e-4 * found.tau, rel=1e-8)
    assert scaled.tau_upper == pytest.approx(1e-4 * found.tau_upper, rel=1e-8)
    assert moved.tau_upper == pytest.approx(found.tau_upper, rel=1e-8)
    assert scaled.mu == pytest.approx(1e-4 * found.mu, rel=1e-9)
    assert moved.tau == pytest.approx(found.tau, rel=1e-9)
    assert moved.mu - 2.0**24 == pytest.approx(found.mu, abs=1e-7)
    for name in ("Q", "I2", "H2", "Q_p"):
        assert getattr(scaled, name) == pytest.approx(getattr(found, name), rel=1e-8)
        assert getattr(moved, name) == pytest.approx(getattr(found, name), rel=1e-8)


def test_complete_pooling_says_nothing_of_how_the_groups_differ() -> None:
    table = meta_analysis(vaccine()).table
    assert table.loc["complete", ["I2", "H2"]].isna().all()
    assert table.drop(index="complete").notna().all(axis=None)


@pytest.mark.parametrize("method", METHODS)
def test_a_tau_of_0_is_explained(method: str) -> None:
    reason = {"reml": "tau^2 = 0: the restricted likelihood is highest there"}
    expected = reason.get(method, "tau^2 = 0: Q is not above its 7 degrees of freedom")
    assert str(meta_analysis(schools(), method)).splitlines()[-1] == expected
    assert "tau^2 = 0" not in str(meta_analysis(vaccine(), method))


@pytest.mark.parametrize("method", METHODS)
def test_the_limits_of_tau_are_the_published_ones_by_any_method(method: str) -> None:
    found = meta_analysis(vaccine(), method, level=0.95)
    # metafor's confint of these trials (Viechtbauer 2010), 95 %.
    assert found.tau_lower**2 == pytest.approx(0.1197, abs=5.1e-5)
    assert found.tau_upper**2 == pytest.approx(1.1115, abs=5.1e-5)
    assert "(95 % Q-profile interval 0.34600 to 1.0543)" in str(found)


@pytest.mark.parametrize("se", [0.01, 2.0, 3.0, 30.0])
def test_with_equal_standard_errors_the_limits_of_tau_are_those_of_a_variance(se: float) -> None:
    y, _ = random(1, J=9)
    found = meta_analysis(model(y, np.full(9, se)), level=0.8)
    # The textbook interval of a normal sample's variance, less the known part of it.
    spread = 8 * y.var(ddof=1) / stats.chi2.ppf([0.9, 0.1], 8)
    expected = np.sqrt(np.maximum(spread - se**2, 0))
    assert [found.tau_lower, found.tau_upper] == pytest.approx(list(expected), rel=1e-9)


def test_the_interval_of_tau_has_its_level_with_few_unequal_groups() -> None:
    rng, inside, R = np.random.default_rng(5), 0, 400
    se = np.array([0.5, 1, 1, 2, 4])
    for _ in range(R):
        y = 1.5 * rng.normal(size=5) + se * rng.normal(size=5)
        found = meta_analysis(model(y, se))
        inside += found.tau_lower <= 1.5 <= found.tau_upper
    assert abs(inside / R - 0.9) < 4 * (0.9 * 0.1 / R) ** 0.5


@pytest.mark.parametrize("method", METHODS)
def test_hartung_and_knapp_with_equal_standard_errors_is_the_t_interval(method: str) -> None:
    y, _ = random(1, J=9)
    found = meta_analysis(model(y, np.full(9, 2.0)), method, level=0.95, hartung_knapp=True)
    expected = stats.t.interval(0.95, 8, y.mean(), stats.sem(y))
    assert (found.lower, found.upper) == pytest.approx(expected, rel=1e-9)
    assert found.se == pytest.approx(stats.sem(y), rel=1e-9)


def test_hartung_and_knapp_is_that_of_statsmodels_and_metafor() -> None:
    from statsmodels.stats.meta_analysis import combine_effects

    plain = meta_analysis(vaccine(), level=0.95)
    found = meta_analysis(vaccine(), level=0.95, hartung_knapp=True)
    y, se = (found.groups[name].to_numpy() for name in ("estimate", "se"))
    theirs = combine_effects(y, se**2, method_re="dl", use_t=True)
    assert found.se == pytest.approx(theirs.sd_eff_w_re_hksj, rel=1e-9)
    assert found.mu == plain.mu
    pd.testing.assert_series_equal(found.table.loc["complete"], plain.table.loc["complete"])
    # metafor, test = "knha", REML.
    reml = meta_analysis(vaccine(), "reml", level=0.95, hartung_knapp=True)
    assert (reml.lower, reml.upper) == pytest.approx((-1.1084, -0.3206), abs=5.1e-5)
    assert "REML, Hartung-Knapp" in str(reml)
    assert "Hartung" not in str(plain)
    with pytest.raises(OptionError, match="hartung_knapp must be True or False, got 'yes'"):
        meta_analysis(vaccine(), hartung_knapp="yes")  # type: ignore[arg-type]


@pytest.mark.parametrize("method", METHODS)
def test_two_groups_and_huge_differences_have_an_answer(method: str) -> None:
    found = meta_analysis(model([0.0, 1e6], [1.0, 1.0]), method)
    assert found.tau2 == pytest.approx(5e11 - 1, rel=1e-9)
    same = meta_analysis(model([3.0, 3.0], [1.0, 2.0]), method)
    assert same.tau2 == 0
    assert same.Q == 0
    assert same.tau_lower == same.tau_upper == 0


def test_wrong_arguments_are_refused_with_the_next_step() -> None:
    rows = hm.OneWay(hm.datasets.mathscore(), y="mathscore", group="school")
    with pytest.raises(OptionError, match=r"class EightSchools, got OneWay; anova\(model\) and"):
        meta_analysis(rows)
    with pytest.raises(OptionError, match=r"got DataFrame; make one first"):
        meta_analysis(hm.datasets.eight_schools())
    with pytest.raises(OptionError, match=r"method must be one of 'dl', 'pm', 'reml', got 'ml'"):
        meta_analysis(schools(), "ml")
    with pytest.raises(OptionError, match=r"level must be a number between 0 and 1, got 90"):
        meta_analysis(schools(), level=90)
    frame = hm.datasets.eight_schools().head(1)
    one = hm.EightSchools(frame, effect="effect", se="se", group="school", pooling="complete")
    with pytest.raises(DataError, match=r"needs at least 2 groups, got 1 \('A'\)"):
        meta_analysis(one)


def test_the_printed_form_is_short_and_says_what_matters() -> None:
    text = str(meta_analysis(vaccine(), "reml"))
    assert len(text.splitlines()) <= 10
    for piece in ("REML", "Q = 152.23 on 12 df", "I^2 = 92.2 %", "(13 groups)", "-0.71453"):
        assert piece in text


def test_labels_stay_with_their_groups() -> None:
    frame = hm.datasets.eight_schools()
    turned = hm.EightSchools(frame.iloc[::-1], effect="effect", se="se", group="school")
    a, b = meta_analysis(schools()).groups, meta_analysis(turned).groups
    pd.testing.assert_frame_equal(a, b.loc[a.index])
