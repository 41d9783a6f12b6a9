"""R-hat, ESS, MCSE and E-BFMI: ArviZ's numbers, and silence about what cannot be measured."""

import subprocess
import sys
import warnings

import arviz as az
import numpy as np
import pytest
import xarray as xr

from hiermodels.diagnostics import convergence
from hiermodels.errors import ContainerError
from tests import reference
from tests.container.test_inference_data import draws

RULERS = [
    (convergence.rhat, lambda ds: az.rhat(ds)),
    (convergence.ess, lambda ds: az.ess(ds)),
    (
        lambda ds: convergence.ess(ds, "tail"),
        # ArviZ 1.x takes the tails from its own interval's width, if it is not told.
        lambda ds: az.ess(ds, method="tail", prob=(0.05, 0.95)),
    ),
    (convergence.mcse, lambda ds: az.mcse(ds)),
    (lambda ds: convergence.mcse(ds, "sd"), reference.mcse_of_sd),
]


@pytest.mark.parametrize(("ours", "theirs"), RULERS)
def test_rulers_are_those_of_arviz(ours, theirs):
    ds = draws(["A", "B"])
    xr.testing.assert_allclose(ours(ds), theirs(ds), rtol=1e-12)


def test_entries_keep_their_dims_and_labels_and_dims_may_come_in_any_order():
    ds = draws(["A", "B"])
    measured = convergence.rhat(ds.transpose("school", "draw", "chain"))
    xr.testing.assert_identical(measured, convergence.rhat(ds))
    assert measured["theta"].dims == ("school",)
    assert measured["school"].to_numpy().tolist() == ["A", "B"]
    assert measured["mu"].dims == ()
    with pytest.raises(ContainerError, match=r"need the dims .*; got .*; sel\(chain=\["):
        convergence.rhat(ds.isel(chain=0))
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


@pytest.mark.parametrize("ruler", [ours for ours, _ in RULERS])
def test_what_cannot_be_measured_is_nan_in_silence_and_harms_no_other(ruler, caplog, capfd):
    ds = draws(list("ABCDE"))
    ds["theta"][..., 0] = 7.0
    ds["theta"][2, 50, 1] = np.nan
    ds["theta"][2, 50, 2] = np.inf
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        measured = ruler(ds)
    assert np.isnan(measured["theta"].to_numpy()[:3]).all()
    rest = ds.isel(school=[3, 4])
    xr.testing.assert_allclose(measured.isel(school=[3, 4]), ruler(rest))
    assert np.isfinite(ruler(rest)["theta"]).all()
    assert measured["theta"].attrs == {}
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


def test_one_chain_has_ess_but_no_rhat_and_says_nothing_of_it():
    # In a process of its own: ArviZ 0.x speaks through a log handler that pytest does not see.
    code = (
        "import numpy as np, xarray as xr; "
        "from hiermodels.diagnostics import convergence as rulers;"
        "x = np.random.default_rng(1).normal(size=(1, 100));"
        "ds = xr.Dataset({'mu': (('chain', 'draw'), x)});"
        "print(float(rulers.rhat(ds)['mu']), 20 < rulers.ess(ds)['mu'].item() < 500)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("nan True", "")


def test_chains_that_stand_still_apart_have_infinite_rhat():
    ds = draws(["A"])
    ds["mu"][:] = np.arange(4)[:, None]
    assert convergence.rhat(ds)["mu"] > 1e3


@pytest.mark.parametrize("energy", [3.0, np.nan])
def test_the_bfmi_of_a_chain_that_does_not_move_is_nan(energy):
    stats = xr.Dataset({"energy": draws(["A"])["mu"].copy()})
    stats["energy"][1] = energy
    assert np.isnan(convergence.bfmi(stats)).tolist() == [False, True, False, False]
