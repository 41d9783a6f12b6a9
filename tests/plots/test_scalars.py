"""Scalars are found by their names, and what is not there is named with its near misses."""

import numpy as np
import pytest

from hiermodels.container import inference_data
from hiermodels.errors import ContainerError, OptionError
from hiermodels.plots import scalars
from tests.plots import fits


def test_variables_scalars_and_logarithms_are_selected() -> None:
    idata = fits.slopes(4)
    posterior = inference_data.dataset(idata, "posterior")
    found = scalars.select(idata, ["tau", "log_tau[hours]", "theta[s2, Intercept]", "Omega"])
    assert list(found) == [
        *("tau[Intercept]", "tau[hours]", "log_tau[hours]", "theta[s2, Intercept]"),
        "Omega[Intercept, hours]",
    ]
    tau = posterior["tau"].sel(coefficient="hours").to_numpy()
    np.testing.assert_array_equal(found["log_tau[hours]"], np.log(tau))
    theta = posterior["theta"].sel(school="s2", coefficient="Intercept").to_numpy()
    np.testing.assert_array_equal(found["theta[s2, Intercept]"], theta)


def test_near_misses_are_named() -> None:
    idata = fits.one_way(4)
    with pytest.raises(OptionError, match=r"no variable 'log_taw'.*did you mean 'log_tau'"):
        scalars.select(idata, "log_taw")
    with pytest.raises(OptionError, match=r"no scalar 'theta\[G1\]'; theta has .*did you mean"):
        scalars.select(idata, "theta[G1]")
    posterior = inference_data.dataset(idata, "posterior")
    posterior["tau"] = posterior["tau"] - 100
    negative = inference_data.container({"posterior": posterior}, {})
    with pytest.raises(OptionError, match=r"log_tau needs draws above 0, got .*ask for 'tau'"):
        scalars.select(negative, "log_tau")
    with pytest.raises(OptionError, match="got none; leave it out"):
        scalars.select(idata, [])


def test_of_many_scalars_small_variables_keep_theirs() -> None:
    labels = ["mu[a]", "mu[b]", *(f"sigma[{j}]" for j in range(65)), "tau"]
    found = scalars.thinned(labels, 12)
    assert found[:2] == ["mu[a]", "mu[b]"]
    assert found[-1] == "tau"
    assert found[2:-1] == [f"sigma[{j}]" for j in np.round(np.linspace(0, 64, 9)).astype(int)]
    assert scalars.thinned(labels, 100) == labels
    assert len(scalars.thinned(labels[2:-1], 12)) == 12


def test_defaults_that_are_not_there_are_left_out() -> None:
    assert list(scalars.select(fits.eight_schools(), None)) == ["mu", "tau"]
    posterior = inference_data.dataset(fits.one_way(4), "posterior")[["theta"]]
    idata = inference_data.container({"posterior": posterior}, {})
    with pytest.raises(ContainerError, match="has none of 'mu', 'tau', 'sigma', but 'theta'"):
        scalars.select(idata, None)
    with pytest.raises(ContainerError, match=r"the fit summed up .*effects='draws'"):
        scalars.select(fits.summed(fits.one_way(4)), "theta[g1]")


def test_units_are_those_of_the_response_where_they_are() -> None:
    assert scalars.unit("mu", "y") == "mu (y)"
    assert scalars.unit("tau[Intercept]", "y") == "tau[Intercept] (y)"
    assert scalars.unit("tau[x]", "y") == "tau[x]"
    assert scalars.unit("log_tau", "y") == "log_tau"
