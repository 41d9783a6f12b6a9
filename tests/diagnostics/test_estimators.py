"""Many entries at once: ArviZ's numbers, the laws of ranks, and blocks that change nothing."""

import warnings

import arviz as az
import numpy as np
import pytest
import xarray as xr

from hiermodels.diagnostics import convergence, estimators
from tests import reference

ARVIZ = {
    "r_hat": lambda ds: az.rhat(ds),
    "ess_bulk": lambda ds: az.ess(ds, method="bulk"),
    # ArviZ 1.x takes the tails from its own interval's width, if it is not told.
    "ess_tail": lambda ds: az.ess(ds, method="tail", prob=(0.05, 0.95)),
    "mcse_mean": lambda ds: az.mcse(ds, method="mean"),
    "mcse_sd": reference.mcse_of_sd,
}
ENTRIES = 5


def autocorrelated(chains, draws, rho, seed=1, entries=ENTRIES):
    x = np.random.default_rng(seed).normal(size=(chains, draws, entries))
    for t in range(1, draws):
        x[:, t] = rho * x[:, t - 1] + np.sqrt(1 - rho**2) * x[:, t]
    return x


def alternating(chains, draws):
    signs = (-1.0) ** np.arange(draws)
    return signs[:, None] + 0.01 * autocorrelated(chains, draws, 0.0)


INPUTS = {
    "independent": lambda c, n: autocorrelated(c, n, 0.0),
    "autocorrelated": lambda c, n: autocorrelated(c, n, 0.9),
    "hardly moving": lambda c, n: autocorrelated(c, n, 0.999),
    "antithetic": lambda c, n: autocorrelated(c, n, -0.8),
    "alternating": alternating,
    "random walk": lambda c, n: np.cumsum(autocorrelated(c, n, 0.0), axis=1),
    "far from zero": lambda c, n: 1e6 + autocorrelated(c, n, 0.3),
    "heavy tails": lambda c, n: np.sinh(5 * autocorrelated(c, n, 0.3)),
    # Whole numbers: between equal fractions ArviZ 0.x's quantile may be a rounding off both.
    "tied": lambda c, n: np.round(2 * autocorrelated(c, n, 0.5)),
    "chains apart": lambda c, n: autocorrelated(c, n, 0.0) + 3 * np.arange(c)[:, None, None],
}


@pytest.mark.filterwarnings("ignore:(invalid value|divide by zero):RuntimeWarning")
@pytest.mark.parametrize("draws", [4, 5, 6, 7, 50, 99, 250, 1000])
@pytest.mark.parametrize("chains", [1, 2, 4])
@pytest.mark.parametrize("kind", INPUTS)
def test_the_numbers_are_arvizs(kind, chains, draws):
    x = INPUTS[kind](chains, draws)
    ours = convergence.table(x, list(ARVIZ))
    moving = ours["high"] > ours["low"]
    ds = xr.Dataset({"x": (("chain", "draw", "entry"), x)})
    for column, theirs in ARVIZ.items():
        if column == "r_hat" and chains == 1:
            assert np.isnan(ours[column]).all()
            continue
        np.testing.assert_allclose(
            ours[column][moving],
            theirs(ds)["x"].to_numpy()[moving],
            rtol=1e-9,
            atol=1e-8 if column.startswith("mcse") else 0,
            err_msg=column,
        )


@pytest.mark.parametrize("draws", [21, 41, 61, 101, 1001])
def test_a_quantile_that_is_a_draw_counts_that_draw(draws):
    # Where 5 % of the way is a whole number of draws, a rounded quantile may miss its own draw, as
    # ArviZ 0.x's does. Shuffled whole numbers have theirs exactly.
    order = np.random.default_rng(draws).permutation(draws) * 1.0
    x = order.reshape(1, draws, 1)
    below = [(x <= q * (draws - 1) / 100).astype(float) for q in (5, 95)]
    sizes = [float(az.ess(b[..., 0], method="mean")) for b in below]
    assert convergence.table(x, ["ess_tail"])["ess_tail"][0] == pytest.approx(min(sizes), rel=1e-12)


# ---- laws ----------------------------------------------------------------------------------------


def test_ranks_do_not_see_an_increasing_transformation():
    x = autocorrelated(4, 400, 0.5)
    columns = ["ess_bulk", "ess_tail"]
    for drawn in (x, np.round(4 * x) / 3):
        plain, other = convergence.table(drawn, columns), convergence.table(np.exp(drawn), columns)
        for column in columns:
            np.testing.assert_array_equal(plain[column], other[column])


@pytest.mark.parametrize("unit", [1e-12, 1e12])
def test_the_unit_of_a_parameter_does_not_matter(unit):
    x = autocorrelated(4, 400, 0.5)
    one, other = (convergence.table(y, list(ARVIZ)) for y in (x, unit * x))
    for column in ARVIZ:
        factor = unit if column.startswith("mcse") else 1.0
        np.testing.assert_allclose(other[column], factor * one[column], rtol=1e-9)


@pytest.mark.parametrize("rho", [0.0, 0.6, -0.4])
def test_the_bulk_ess_of_an_autoregression_is_what_theory_says(rho):
    # The mean of S draws of an AR(1) is worth S (1 - rho) / (1 + rho) independent ones. Ranks
    # weaken the correlation a little: Spearman's is (6 / pi) arcsin(rho / 2), and normal scores of
    # normal draws keep rho. The estimate is biased by a few per cent at 4 x 1000 draws.
    x = autocorrelated(4, 1000, rho, entries=200)
    size = convergence.table(x, ["ess_bulk"])["ess_bulk"].mean()
    assert size == pytest.approx(4000 * (1 - rho) / (1 + rho), rel=0.05)


def test_quantiles_and_moments_are_numpys():
    for draws in (7, 100, 101):
        x = autocorrelated(3, draws, 0.2)
        flat = x.reshape(-1, ENTRIES)
        got = convergence.table(x, ["mean", "sd", "q5", "median", "q95"])
        np.testing.assert_allclose(got["mean"], flat.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(got["sd"], flat.std(axis=0, ddof=1), rtol=1e-12)
        expected = np.quantile(flat, [0.05, 0.5, 0.95], axis=0)
        np.testing.assert_allclose([got["q5"], got["median"], got["q95"]], expected, rtol=1e-12)


def test_a_fair_coin_has_no_error_of_its_sd_and_no_warning():
    x = np.tile([-1.0, 1.0, 1.0, -1.0], 25).reshape(1, 100, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = convergence.table(np.concatenate([x, x[:, ::-1]]), list(ARVIZ))
    assert got["mcse_sd"][0] == pytest.approx(0, abs=1e-6)
    assert np.isfinite([got["r_hat"], got["ess_bulk"], got["ess_tail"]]).all()


# ---- blocks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("draws", [100, 101])
def test_blocks_give_what_entries_give_one_by_one(monkeypatch, draws):
    x = autocorrelated(4, draws, 0.4, entries=23)
    x[2, 7, 3] = np.nan
    x[..., 11] = 2.5
    x[0, 0, 17] = -np.inf
    columns = list(estimators.MEASURES)
    with np.errstate(invalid="ignore"):
        whole = convergence.table(x, columns)
    monkeypatch.setattr(convergence, "_BLOCK", 5 * 4 * draws)
    blocks = convergence.table(x, columns)
    single = [convergence.table(x[:, :, i : i + 1], columns) for i in range(23)]
    for column in ("low", "high", *columns):
        # Sums over several rows may be added up in another order.
        np.testing.assert_allclose(blocks[column], whole[column], rtol=1e-12)
        np.testing.assert_allclose(
            np.concatenate([s[column] for s in single]), whole[column], rtol=1e-12
        )
    assert np.isnan(whole["ess_bulk"]).nonzero()[0].tolist() == [3, 11, 17]
    assert (whole["mean"][11], whole["sd"][11], whole["median"][11]) == (2.5, 0.0, 2.5)


def test_no_entries_and_no_draws_are_no_trouble():
    assert convergence.table(np.empty((4, 100, 0)), ["mean", "r_hat"])["r_hat"].shape == (0,)
    assert np.isnan(convergence.table(np.empty((4, 0, 2)), ["mean", "r_hat"])["mean"]).all()
