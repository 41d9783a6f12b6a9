"""What pictures read of a container: effects, intervals, sizes, names and units."""

import json

import numpy as np
import pytest
import xarray as xr

from hiermodels.container import inference_data
from hiermodels.errors import ContainerError
from hiermodels.plots import effects
from tests.plots import fits


def test_one_coefficient_is_read_with_its_means_and_intervals() -> None:
    idata = fits.slopes(5)
    theta = inference_data.dataset(idata, "posterior")["theta"].sel(coefficient="hours")
    found = effects.read(idata, "hours", what="a test")
    assert (found.group, found.labels) == ("school", [f"s{j + 1}" for j in range(5)])
    np.testing.assert_allclose(found.mean, theta.mean(fits.DIMS))
    some = np.array([3, 0])
    np.testing.assert_allclose(
        found.interval(some), theta.isel(school=some).quantile([0.05, 0.95], fits.DIMS)
    )
    summed = effects.read(fits.summed(idata), "hours", what="a test")
    np.testing.assert_allclose(summed.interval(some), found.interval(some))


def test_units_are_the_names_of_the_columns() -> None:
    idata = fits.slopes(5)
    assert effects.response(idata) == "score"
    assert effects.quantity(idata, "Intercept") == "Intercept (in units of score)"
    assert effects.quantity(idata, "hours") == "hours (score per unit of hours)"
    assert effects.response(fits.eight_schools()) == "effect"
    bare = inference_data.container(
        {"observed_data": xr.Dataset({"v": ("observation", [1.0])}),
         "posterior": xr.Dataset({"mu": (fits.DIMS, [[1.0]])})}, {}
    )  # fmt: skip
    assert effects.response(bare) == "v"
    columns = {"columns": json.dumps({"y": "score"})}
    only = inference_data.container(
        {"posterior": xr.Dataset({"mu": (fits.DIMS, [[1.0]])})}, columns
    )
    assert effects.response(only) == "score"
    assert effects.sizes(only, "school") is None


def test_a_single_fit_is_named_by_its_pooling() -> None:
    idata = fits.one_way(4, pooling="complete")
    assert list(effects.fits_of(idata, "a test")) == ["complete"]
    assert effects.is_container(idata)
    assert not effects.is_container({"partial": idata})


def test_theta_with_two_dims_of_groups_is_refused() -> None:
    theta = xr.Dataset({"theta": ((*fits.DIMS, "a", "b"), np.ones((1, 2, 3, 4)))})
    idata = inference_data.container({"posterior": theta}, {})
    with pytest.raises(ContainerError, match="one dim for the groups"):
        effects.read(idata, what="a test")
