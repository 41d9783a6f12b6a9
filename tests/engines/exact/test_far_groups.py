"""Exact posteriors of groups 1e5 to 1e9 sds apart, against their closed forms.

So far apart no effect is pooled, and sigma^2/n is nothing beside tau^2. Under flat priors of mu and
tau and 1/sigma of sigma, with SSW the squares within groups and SSB those of the J group means,
sigma^2 is SSW over a chi-squared of N - J degrees of freedom and tau^2 is SSB over one of J - 2.
Student's t and Fisher's F follow (Gelman et al., Bayesian Data Analysis, 3rd ed., section 3.2).
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import hiermodels as hm
from hiermodels.engines.importance.targets import Target
from hiermodels.errors import DataError
from tests.families.gaussian import far_groups
from tests.families.gaussian.far_groups import exact_residual, exact_within

SPREADS = (1e5, 1e8, 1e9)
J, SIZE = 6, 5
TAILS = (0.05, 0.5, 0.95)
FLAT: dict[str, Any] = {"mu": hm.Flat(), "tau": hm.Flat(), "sigma": hm.LogFlat()}


def rows(spread: float) -> pd.DataFrame:
    group = np.repeat(np.arange(J), SIZE)
    noise = np.random.default_rng(1).standard_normal(J * SIZE)
    return pd.DataFrame({"g": group, "y": np.linspace(-1, 1, J)[group] * spread + noise})


def posterior(frame: pd.DataFrame, **priors: Any) -> hm.exact.ExactPosterior:
    return hm.exact.posterior(hm.OneWay(frame, y="y", group="g", priors=priors))


class Closed:
    """The closed forms, from sums in fractions."""

    def __init__(self, spread: float) -> None:
        self.frame = rows(spread)
        self.exact = posterior(self.frame, **FLAT)
        # A double has 16 digits; of 1e9 sds it leaves seven of a standard deviation.
        self.digits = 1e-6 if spread < 1e9 else 1e-5
        # What pooling is left moves an effect by about sd/spread.
        self.pooled = 1 / spread + 2 * self.digits
        values = [[Fraction(v) for v in part["y"]] for _, part in self.frame.groupby("g")]
        self.rows = values
        self.means = [sum(v, Fraction(0)) / len(v) for v in values]
        self.squares = np.array([w[0, 0] for w in exact_within(self.frame, ["y"]).values()])
        self.ssw = float(self.squares.sum())
        self.df = J * (SIZE - 1)

    @cached_property
    def ssb(self) -> float:
        return about_mean(self.means)

    @property
    def mean(self) -> float:
        return float(sum(self.means, Fraction(0)) / J)

    def less_mean(self, theta: pd.Series[float]) -> np.ndarray[Any, Any]:
        """Effects less their groups' own means, without rounding."""
        pairs = zip(theta, self.means, strict=True)
        return np.array([float(Fraction(float(v)) - m) for v, m in pairs])

    @property
    def standard_error(self) -> float:
        return math.sqrt(self.ssw / self.df / SIZE)


def about_mean(values: list[Fraction]) -> float:
    mean = sum(values, Fraction(0)) / len(values)
    return float(sum(((v - mean) ** 2 for v in values), Fraction(0)))


@pytest.fixture(scope="module", params=SPREADS, ids="{:.0e}".format)
def closed(request: pytest.FixtureRequest) -> Closed:
    return Closed(request.param)


def test_a_summary_has_every_row_and_is_finite(closed):
    summary = closed.exact.summary()
    assert len(summary) == len(closed.exact.quantities) - 1 + J
    # tau^2 on J - 2 = 4 degrees of freedom has no sd.
    assert np.isfinite(summary.drop(columns="sd")).all(axis=None)
    quantiles = summary[["q5", "median", "q95"]].to_numpy()
    assert (np.diff(quantiles) >= 0).all()
    assert (np.diff(quantiles)[summary.index != "icc"] > 0).all()


@pytest.mark.parametrize("q", TAILS)
def test_quantiles_are_those_of_t_and_chi_squared(closed, q):
    found, digits = closed.exact.quantile, closed.digits
    variance = closed.ssw / stats.chi2.isf(q, closed.df)
    assert found("sigma", q) == pytest.approx(math.sqrt(variance), rel=digits)
    assert found("sigma2", q) == pytest.approx(variance, rel=digits)
    assert found("log_sigma", q) == pytest.approx(math.log(variance) / 2, abs=digits)
    between = closed.ssb / stats.chi2.isf(q, J - 2)
    assert found("tau", q) == pytest.approx(math.sqrt(between), rel=digits)
    t = stats.t.ppf(q, J - 2) * math.sqrt(closed.ssb / (J - 2))
    wide = digits * math.sqrt(closed.ssb)
    assert found("mu", q) == pytest.approx(closed.mean + t / math.sqrt(J), abs=wide)
    for name in ("theta_new", "y_new"):
        new = closed.mean + t * math.sqrt(1 + 1 / J)
        assert found(name, q) == pytest.approx(new, abs=wide)
    off = closed.less_mean(found("theta", q)) / closed.standard_error
    np.testing.assert_allclose(off, stats.t.ppf(q, closed.df), atol=closed.pooled)


def ratio(closed: Closed) -> Any:
    """The distribution of sigma^2/tau^2, which is 1 - icc: a multiple of F."""
    scale = closed.ssw / closed.df / (closed.ssb / (J - 2))
    return stats.f(J - 2, closed.df, scale=scale)


@pytest.mark.parametrize("q", TAILS)
def test_quantiles_of_icc_are_those_of_f(closed, q):
    one_less = ratio(closed).isf(q)
    # A double has 1.1e-16 below 1.
    assert closed.exact.quantile("icc", q) == pytest.approx(1 - one_less, rel=0, abs=2.3e-16)
    marginals = closed.exact.marginals
    u, _ = closed.exact.lattice.nodes()
    logit = marginals._quantile_log_odds(q, marginals._log_odds(u))
    assert special.expit(-logit[0]) == pytest.approx(one_less, rel=closed.digits)


def test_moments_keep_their_digits(closed):
    found, digits = closed.exact, closed.digits
    assert found.sd("icc") == pytest.approx(ratio(closed).std(), rel=digits)
    assert found.mean("icc") == pytest.approx(1 - ratio(closed).mean(), rel=0, abs=2.3e-16)
    assert found.mean("icc") <= 1
    assert found.mean("sigma2") == pytest.approx(closed.ssw / (closed.df - 2), rel=digits)
    spread = stats.t.std(closed.df) * closed.standard_error
    np.testing.assert_allclose(found.sd("theta"), spread, rtol=digits)
    off = closed.less_mean(found.mean("theta")) / closed.standard_error
    np.testing.assert_allclose(off, 0, atol=closed.pooled)


def test_probabilities_are_those_of_t_chi_squared_and_f(closed):
    found, digits = closed.exact, closed.digits
    for j, mean in enumerate(closed.means):
        x = float(mean) + 0.5
        t = float(Fraction(x) - mean) / closed.standard_error
        below = stats.t.cdf(t, closed.df)
        assert found.cdf("theta", x).iloc[j] == pytest.approx(below, abs=closed.pooled)
        above = found.probability("theta", ">", x).iloc[j]
        assert above == pytest.approx(1 - below, abs=closed.pooled)
    assert found.cdf("sigma", 1) == pytest.approx(
        stats.chi2.sf(closed.ssw, closed.df), rel=4 * digits
    )
    median = float(ratio(closed).median())
    c = min(1 - median, math.nextafter(1, 0))
    assert found.cdf("icc", c) == pytest.approx(ratio(closed).sf(1 - c), rel=digits)
    assert found.probability("icc", ">", c) == pytest.approx(ratio(closed).cdf(1 - c), abs=digits)
    assert found.cdf("icc", 1) == 1
    assert found.cdf("icc", 0) == 0


def test_leaving_rows_out_is_students_t(closed):
    expected = []
    for j, own in enumerate(closed.rows):
        for i in range(SIZE):
            rest = own[:i] + own[i + 1 :]
            mean = sum(rest, Fraction(0)) / len(rest)
            ssw = closed.squares.sum() - closed.squares[j] + about_mean(rest)
            scale = math.sqrt(ssw / (closed.df - 1) * (1 + 1 / len(rest)))
            expected.append(stats.t.logpdf(float(own[i] - mean) / scale, closed.df - 1))
            expected[-1] -= math.log(scale)
    terms = closed.exact.loo("observation").table
    np.testing.assert_allclose(terms["elpd"], expected, atol=closed.pooled)
    assert np.isfinite(terms).all(axis=None)


def test_leaving_groups_out_is_students_t(closed):
    expected = []
    for j, own in enumerate(closed.squares):
        rest = closed.means[:j] + closed.means[j + 1 :]
        mean = sum(rest, Fraction(0)) / len(rest)
        scale = math.sqrt(about_mean(rest) / (J - 3) * (1 + 1 / (J - 1)))
        between = stats.t.logpdf(float(closed.means[j] - mean) / scale, J - 3) - math.log(scale)
        # The rows about their own mean: sigma integrated out, on the others' degrees of freedom.
        extra, df = SIZE - 1, closed.df - (SIZE - 1)
        others = closed.ssw - own
        within = special.gammaln((df + extra) / 2) - special.gammaln(df / 2)
        within += df / 2 * math.log(others) - (df + extra) / 2 * math.log(closed.ssw)
        within -= extra / 2 * math.log(math.pi) + math.log(SIZE) / 2
        expected.append(between + within)
    terms = closed.exact.loo("group").table
    np.testing.assert_allclose(terms["elpd"], expected, atol=closed.pooled)
    assert np.isfinite(terms).all(axis=None)


@pytest.mark.parametrize("spread", [3.9e7, 5e7, 1e8, 1e9, 1.3e10, 1e11])
@pytest.mark.parametrize("given", [False, True])
def test_a_summary_is_there_up_to_what_doubles_tell(spread, given):
    priors = {"tau": hm.HalfNormal(spread), "sigma": hm.HalfNormal(3)} if given else {}
    summary = posterior(rows(spread), **priors).summary()
    assert np.isfinite(summary).all(axis=None)


def test_beyond_what_doubles_tell_it_is_said():
    with pytest.raises(DataError, match="less than a trillionth of its range"):
        posterior(rows(1e13))


@pytest.mark.parametrize("q", [1e-300, 1e-15, 1e-12, 1 - 1e-12, 1 - 1e-16])
@pytest.mark.parametrize("spread", [0.0, 1.0, 1e5])
def test_quantiles_far_in_the_tails_are_the_ends(spread, q):
    found = posterior(rows(spread))
    for name in found.quantities:
        assert np.isfinite(found.quantile(name, q)).all()
    assert 0 <= found.quantile("icc", q) <= 1


def test_a_distribution_function_takes_any_number():
    found = posterior(rows(1.0))
    for name in found.quantities:
        assert np.all(found.cdf(name, 1e300) > 1 - 1e-12)
        assert np.all(found.cdf(name, -1e300) == 0)


SLOPE: dict[str, Any] = {**FLAT, "beta": hm.Flat()}


@pytest.mark.parametrize("spread", [1e3, 1e5, 1e6, 1e8, 1e9])
def test_sigma_beside_a_slope_is_chi_squared(spread):
    """What each group's mean and one slope leave, S, over a chi-squared of N - J - 1 df.

    So far apart all groups have their own mean, and sigma is independent of tau: its density on
    the log scale is -(N - J - 1) log sigma - S / (2 sigma^2), up to a constant.
    """
    frame = far_groups.rows(spread)
    frame["x"] = frame["w"]
    squares, df = float(exact_residual(frame)), J * (SIZE - 1) - 1
    model = hm.VaryingSlopes(frame, y="y", group="g", common=["x"], priors=SLOPE)
    target = Target(model.hyperparameters, model.standardization)
    sigma = math.sqrt(squares / df) * np.array([0.6, 0.8, 1.0, 1.3, 1.8])
    x = np.column_stack([np.full(5, math.log(spread)), np.log(sigma)])
    found = target.log_density(x)
    expected = -df * np.log(sigma) - squares / (2 * sigma**2)
    digits = 1e-6 + 50 / spread**2 + 1e-14 * spread
    np.testing.assert_allclose(found - found[2], expected - expected[2], rtol=0, atol=digits)
    idata = model.fit(engine="exact", draws=2000, seed=1, progress=False)
    precision = squares / idata["posterior"]["sigma"].to_numpy().ravel() ** 2
    # Chi-squared: mean df, and fourth central moment 3 (2 df)^2 + 48 df.
    n = len(precision)
    assert abs(precision.mean() - df) < 5 * math.sqrt(2 * df / n)
    assert abs(precision.var() - 2 * df) < 5 * math.sqrt((8 * df**2 + 48 * df) / n)
