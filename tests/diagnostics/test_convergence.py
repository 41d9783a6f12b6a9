"""R-hat, ESS, MCSE and E-BFMI: ArviZ's numbers, and silence about what cannot be measured."""

import warnings

import arviz as az
import numpy as np
import pytest
import xarray as xr

from hiermodels.diagnostics import convergence
from hiermodels.errors import ContainerError
from tests.container.test_inference_data import draws

MEASURED = ["mcse_mean", "mcse_sd", "ess_bulk", "ess_tail", "r_hat"]


def test_draws_without_both_dims_are_refused():
    with pytest.raises(ContainerError, match=r"need the dims .*; got .*; sel\(chain=\["):
        convergence.refuse_bare(draws(["A", "B"]).isel(chain=0).dims)
    with pytest.raises(ContainerError, match="got none"):
        convergence.refuse_bare(())


def test_bfmi_is_that_of_arviz_by_chain():
    energy = draws(["A"])["mu"].cumsum("draw")
    expected = np.asarray(az.bfmi(energy.values))
    assert expected.shape == (4,)
    np.testing.assert_allclose(
        convergence.bfmi(xr.Dataset({"energy": energy})), expected, rtol=1e-12
    )
    # The other order of dims is the same energy.
    turned = xr.Dataset({"energy": energy.transpose("draw", "chain")})
    np.testing.assert_allclose(convergence.bfmi(turned), expected, rtol=1e-12)
    with pytest.raises(ContainerError, match="needs the variable 'energy'"):
        convergence.bfmi(xr.Dataset({"lp": energy}))


def test_what_cannot_be_measured_is_nan_in_silence_and_harms_no_other(caplog, capfd):
    x = np.random.default_rng(2).normal(size=(4, 100, 5))
    x[..., 0] = 7.0
    x[2, 50, 1] = np.nan
    x[2, 50, 2] = np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        measured = convergence.table(x, MEASURED)
    rest = convergence.table(x[..., 3:], MEASURED)
    for name in MEASURED:
        assert np.isnan(measured[name][:3]).all()
        np.testing.assert_allclose(measured[name][3:], rest[name])
        assert np.isfinite(rest[name]).all()
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


def test_one_chain_has_ess_but_no_rhat():
    x = np.random.default_rng(1).normal(size=(1, 100, 1))
    measured = convergence.table(x, MEASURED)
    assert np.isnan(measured["r_hat"]).all()
    assert 20 < measured["ess_bulk"][0] < 500


def test_chains_that_stand_still_apart_have_infinite_rhat():
    x = np.broadcast_to(np.arange(4.0)[:, None, None], (4, 100, 1))
    assert convergence.table(x, ["r_hat"])["r_hat"][0] > 1e3


@pytest.mark.parametrize("energy", [3.0, np.nan])
def test_the_bfmi_of_a_chain_that_does_not_move_is_nan(energy):
    stats = xr.Dataset({"energy": draws(["A"])["mu"].copy()})
    stats["energy"][1] = energy
    assert np.isnan(convergence.bfmi(stats)).tolist() == [False, True, False, False]
