"""Rows of a container, and least squares on them: the same as from the data frame."""

import warnings

import numpy as np
import pytest

import hiermodels as hm
from hiermodels.container import inference_data
from hiermodels.errors import ContainerError
from hiermodels.plots import rows
from tests.plots import fits


def test_least_squares_by_group_are_those_of_the_classical_lines() -> None:
    frame, _ = hm.datasets.simulate_varying_slopes(groups=10, size=[1, *range(3, 12)], seed=4)
    # Far from 0 and in large units, as a year in days would be.
    frame["x1"] = 1e6 + 300 * frame["x1"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = hm.VaryingSlopes(frame, y="y", group="group", varying=["x1"])
        table = hm.classical.lines(model).coefficients
        idata = model.fit(engine="exact", seed=1, draws=10)
    found = rows.read(idata, "a test")
    assert found.names == ("Intercept", "x1")
    own = rows.by_group(found, rows.common(idata))
    assert np.isnan(own[0]).all()
    np.testing.assert_allclose(own, table.to_numpy(), rtol=1e-6)


def test_shrinkage_is_from_the_estimate_given_beta_towards_mu() -> None:
    # E(theta_j | mu, tau, sigma, beta, y) = B mu + (1 - B) b_j holds of this b_j alone.
    frame, _ = hm.datasets.simulate_varying_slopes(
        groups=6, size=[2, 3, 4, 6, 8, 12], mu=(1.0,), tau=(2.0,), beta=(3.0,), seed=4
    )
    model = hm.VaryingSlopes(frame, y="y", group="group", common=["w1"])
    idata = model.fit(engine="exact", seed=1, draws=500)
    posterior = inference_data.dataset(idata, "posterior")
    own = rows.by_group(rows.read(idata, "a test"), rows.common(idata))[:, 0]
    given = frame["y"] - float(posterior["beta"].mean()) * frame["w1"]
    np.testing.assert_allclose(own, given.groupby(frame["group"]).mean())
    theta = posterior["theta"].mean(fits.DIMS).to_numpy()[:, 0]
    mu = float(posterior["mu"].mean())
    assert np.all((theta - mu) * (own - mu) > 0)
    assert np.all(np.abs(theta - mu) < np.abs(own - mu))


def test_rows_of_a_group_are_found_wherever_they_lie() -> None:
    found = rows.read(fits.slopes(8), "a test")
    for j in range(8):
        np.testing.assert_array_equal(found.of(j), np.flatnonzero(found.index == j))
    assert len(found.of(7)) > 0


def test_columns_that_do_not_vary_in_a_group_give_it_no_line() -> None:
    z = np.column_stack([np.ones(8), [1e-7, 2e-7, 3e-7, 4e-7, 5.1, 5.1, 5.1, 5.1]])
    found = rows.Rows(np.arange(8.0), np.repeat([0, 1], 4), z, ("Intercept", "x"), (), 2)
    own = rows.by_group(found, np.zeros(0))
    np.testing.assert_allclose(own[0], [-1, 1e7])
    assert np.isnan(own[1]).all()
    zero = rows.Rows(np.arange(4.0), np.zeros(4, int), np.zeros((4, 1)), ("x",), (), 1)
    assert np.isnan(rows.of_all(zero)).all()


def test_containers_without_rows_say_what_adds_them() -> None:
    frame, _ = hm.datasets.simulate_varying_slopes(groups=6, size=8, seed=4)
    sums = hm.sufficient_statistics(frame, y="y", group="group", columns=["x1"])
    model = hm.VaryingSlopes(sums, y="y", group="group", varying=["x1"])
    idata = model.fit(engine="exact", seed=1, draws=10)
    with pytest.raises(ContainerError, match=r"no 'group_index'.*fit a data frame .*in memory"):
        hm.plots.shrinkage(idata, coefficient="x1")
    with pytest.raises(ContainerError, match="constant_data has no 'z'; fit VaryingSlopes"):
        rows.read(fits.one_way(4), "a test")


def test_means_of_groups_without_rows_are_their_estimates() -> None:
    frame, _ = hm.datasets.simulate_one_way(groups=6, size=[2, 3, 4, 5, 6, 7], seed=4)
    sums = hm.sufficient_statistics(frame, y="y", group="group")
    idata = hm.OneWay(sums, y="y", group="group").fit(engine="exact", seed=1, draws=10)
    assert "y_mean" in inference_data.dataset(idata, "observed_data")
    ax = hm.plots.shrinkage(idata)
    from tests.plots import look

    want = np.sort(frame.groupby("group")["y"].mean())
    np.testing.assert_allclose(look.points(ax, "raw estimate")[:, 0], want)
    assert ax.get_xlabel().startswith("y (bar:")
    assert look.legend(ax)[1] == "raw estimate (area: n = 2 to 7)"
