"""The table of a posterior: its columns, its labels, its numbers."""

import arviz as az
import numpy as np
import pytest
import xarray as xr

import hiermodels as hm
from hiermodels.container import inference_data
from hiermodels.errors import ContainerError, OptionError
from tests import reference
from tests.diagnostics.test_check import COLUMNS, DIMS, fit, posterior


def test_the_table_is_what_numpy_says_of_the_draws():
    post = posterior()
    table = hm.summary(fit(post))
    b = post["theta"].sel(school="B").to_numpy().ravel()
    row = table.loc["theta[B]"]
    assert row["mean"] == pytest.approx(b.mean(), rel=1e-12)
    assert row["sd"] == pytest.approx(b.std(ddof=1), rel=1e-12)
    np.testing.assert_allclose(
        row[["q5", "median", "q95"]].tolist(), np.quantile(b, [0.05, 0.5, 0.95])
    )


def test_the_table_agrees_with_arvizs_own():
    idata = fit()
    ours = hm.summary(idata)
    theirs = az.summary(idata, kind="diagnostics", round_to="none")
    assert list(theirs.index) == list(ours.index)
    # ArviZ 1.x takes the tails from its own interval's width, if it is not told; ours are the 5 %
    # and 95 % quantiles with either.
    tails = az.ess(posterior(), method="tail", prob=(0.05, 0.95))
    expected = [tails["mu"], tails["tau"], *tails["theta"]]
    np.testing.assert_allclose(ours["ess_tail"], np.asarray(expected, dtype=float), rtol=1e-9)
    errors = reference.mcse_of_sd(posterior())
    expected = [errors["mu"], errors["tau"], *errors["theta"]]
    np.testing.assert_allclose(ours["mcse_sd"], np.asarray(expected, dtype=float), rtol=1e-9)
    for column in ("ess_bulk", "r_hat", "mcse_mean"):
        np.testing.assert_allclose(ours[column], theirs[column].astype(float), rtol=1e-9)


def test_a_correlation_matrix_has_one_row_for_each_pair():
    names = ["Intercept", "x", "z"]
    rng = np.random.default_rng(1)
    r = np.tanh(rng.normal(size=(2, 100, 3)))
    Omega = np.ones((2, 100, 3, 3))
    for k, (i, j) in enumerate([(0, 1), (0, 2), (1, 2)]):
        Omega[..., i, j] = Omega[..., j, i] = r[..., k]
    post = xr.Dataset(
        {
            "theta": ((*DIMS, "g", "coefficient"), rng.normal(size=(2, 100, 2, 3))),
            "Omega": ((*DIMS, "coefficient", "coefficient_2"), Omega),
        },
        coords={"coefficient": names, "coefficient_2": names, "g": [7, 3]},
    )
    table = hm.summary(fit(post), "Omega")
    assert list(table.index) == ["Omega[Intercept, x]", "Omega[Intercept, z]", "Omega[x, z]"]
    np.testing.assert_allclose(table["mean"], r.mean((0, 1)))
    whole = hm.summary(fit(post))
    assert list(whole.index[:4]) == [
        "theta[7, Intercept]",
        "theta[7, x]",
        "theta[7, z]",
        "theta[3, Intercept]",
    ]
    assert whole.loc["theta[3, x]", "mean"] == pytest.approx(
        float(post["theta"][:, :, 1, 1].mean())
    )


def test_variables_are_chosen_by_name_in_the_order_asked():
    idata = fit()
    assert list(hm.summary(idata, "tau").index) == ["tau"]
    assert list(hm.summary(idata, ["tau", "mu"]).index) == ["tau", "mu"]
    with pytest.raises(OptionError, match=r"no variable 'theat' in group 'posterior'.*'theta'"):
        hm.summary(idata, ["mu", "theat"])


def test_other_groups_of_draws_have_a_table_and_groups_without_draws_say_so():
    idata = fit()
    inference_data.add(idata, "prior", posterior(chains=1, seed=3))
    assert hm.summary(idata, group="prior")["r_hat"].isna().all()
    inference_data.add(idata, "observed_data", xr.Dataset({"y": ("i", [1.0])}))
    with pytest.raises(ContainerError, match="'observed_data' holds no draws"):
        hm.summary(idata, group="observed_data")
    with pytest.raises(ContainerError, match="no group 'posterior_predictive'"):
        hm.summary(idata, group="posterior_predictive")


def test_draws_that_are_not_numbers_show_as_nan_in_the_table():
    post = posterior()
    post["theta"][0, 0, 0] = np.nan
    assert hm.summary(fit(post)).loc["theta[A]"].isna().all()


def summed_up():
    """A fit whose effects were summed up."""
    idata = fit(posterior()[["mu", "tau"]], effects="summary")
    theta = xr.DataArray(
        np.arange(15.0).reshape(3, 5),
        dims=("school", "statistic"),
        coords={"school": list("ABC"), "statistic": ["mean", "sd", "q5", "median", "q95"]},
    )
    inference_data.add(idata, "effects_summary", theta.to_dataset(name="theta"))
    return idata


@pytest.mark.parametrize("names", [None, "theta", ["theta"]])
def test_effects_that_were_summed_up_have_a_table_of_their_own(names):
    idata = summed_up()
    table = hm.summary(idata, names, group="effects_summary")
    assert list(table.columns) == COLUMNS
    assert list(table.index) == ["theta[A]", "theta[B]", "theta[C]"]
    assert table.loc["theta[B]", ["mean", "q95"]].tolist() == [5.0, 9.0]
    assert table["r_hat"].isna().all()
    assert hm.summary(idata, "theta").equals(table)
    with pytest.raises(OptionError, match=r"has the variable 'theta' only, got \['mu'\]"):
        hm.summary(idata, "mu", group="effects_summary")
    with pytest.raises(ContainerError, match="no group 'effects_summary'"):
        hm.summary(fit(), group="effects_summary")


def test_effects_that_were_left_out_are_asked_for_in_vain_and_how_to_have_them_is_said():
    idata = fit(posterior()[["mu", "tau"]], effects="none")
    for names in ("theta", ["mu", "theta"]):
        with pytest.raises(OptionError, match=r"effects='none'\); fit with effects='draws' or"):
            hm.summary(idata, names)
    assert list(hm.summary(idata).index) == ["mu", "tau"]
