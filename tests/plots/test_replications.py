"""Posterior predictive pictures: replicated data, statistics, p-values, groups."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

from hiermodels import plots
from hiermodels.container import inference_data
from hiermodels.errors import ContainerError, OptionError
from hiermodels.plots import densities
from tests.plots import fits, look


def data(idata: Any, name: str = "y") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    y = inference_data.dataset(idata, "observed_data")[name].to_numpy()
    rep = inference_data.dataset(idata, "posterior_predictive")[name].to_numpy()
    index = inference_data.dataset(idata, "constant_data")["group_index"].to_numpy()
    return y, rep.reshape(-1, y.size), index


def test_the_density_of_the_data_lies_over_those_of_replications() -> None:
    idata = fits.one_way(8)
    y, rep, _ = data(idata)
    ax = plots.posterior_predictive(idata)
    own = look.line(ax, f"y: the data ({y.size} rows)")
    np.testing.assert_allclose(own.get_xydata(), np.column_stack(densities.of_draws(y)))
    curves = look.bars(ax)
    assert len(curves) == 50
    # Each is that of one replication, and no two of the same.
    every = {round(float(densities.of_draws(each)[0][0]), 6) for each in rep}
    found = {round(float(curve[0, 0]), 6) for curve in curves}
    assert len(found) == 50
    assert found <= every
    assert ax.get_xlabel() == "y"
    assert look.title(ax) == "50 of 120 replications of y"
    assert own.get_linewidth() > 2


def test_the_choice_of_replications_is_that_of_the_seed() -> None:
    idata = fits.one_way(8)
    same = [look.bars(plots.posterior_predictive(idata, seed=s)) for s in (1, 1, 2)]
    np.testing.assert_array_equal(same[0], same[1])
    assert not np.array_equal(same[0], same[2])
    assert len(look.bars(plots.posterior_predictive(idata, draws=7))) == 7
    assert len(look.bars(plots.posterior_predictive(idata, draws=999))) == 120


@pytest.mark.parametrize("J", [8, 65, 1000])
@pytest.mark.parametrize("statistic", ["mean", "sd", "min", "max"])
def test_a_statistic_has_its_histogram_its_value_and_its_p(J: int, statistic: str) -> None:
    idata = fits.one_way(J)
    y, rep, _ = data(idata)
    T = {
        "mean": np.mean,
        "sd": lambda v, axis=None: np.std(v, axis=axis, ddof=1),
        "min": np.min,
        "max": np.max,
    }[statistic]
    ax = plots.posterior_predictive(idata, statistic=statistic)
    assert look.line(ax, "T(y)").get_xdata() == pytest.approx([T(y), T(y)])
    heights = [patch.get_height() for patch in ax.patches]
    left, right = ax.patches[0].get_x(), ax.patches[-1].get_x() + ax.patches[-1].get_width()
    replicated = T(rep, axis=1)
    counts, _ = np.histogram(replicated, bins=30)
    np.testing.assert_array_equal(heights, counts)
    assert (left, right) == (pytest.approx(replicated.min()), pytest.approx(replicated.max()))
    p = np.mean(replicated >= T(y))
    said = look.title(ax)
    assert said.startswith(f"{statistic} of y: p = P(T(y_rep) >= T(y))")
    ends = {p < 0.001: "< 0.001", p > 0.999: "> 0.999"}
    assert said.endswith(ends.get(True, f" = {p:.3f}"))
    assert ax.get_xlabel() == f"T = {statistic} of {y.size} rows of y"


def test_groups_have_their_rows_beneath_the_density_of_their_replications() -> None:
    idata = fits.one_way(8)
    y, rep, index = data(idata)
    axes = plots.posterior_predictive(idata, groups=["g3", "g1"])
    assert [look.title(ax) for ax in axes] == ["g3 (n = 4)", "g1 (n = 2)"]
    ticks = look.line(axes[0], "y: its rows")
    np.testing.assert_array_equal(ticks.get_xdata(), y[index == 2])
    assert ticks.get_ydata().max() < 0
    x, density = densities.of_draws(rep[:, index == 2])
    corners = axes[0].collections[0].get_paths()[0].vertices
    assert corners[:, 1].max() == pytest.approx(density.max())
    assert corners[:, 0].min() == pytest.approx(x.min())
    assert axes[0].figure.get_suptitle() == (
        "y: rows and their replications\n2 of 8 groups (group), as asked"
    )


@pytest.mark.parametrize("J", [65, 1000])
def test_of_many_groups_some_are_shown_evenly_by_mean(J: int) -> None:
    idata = fits.one_way(J)
    means = fits.raw_means(idata)
    axes = plots.posterior_predictive(idata, groups=6, statistic="mean")
    shown = [int(look.title(ax).split()[0][1:]) - 1 for ax in axes]
    assert (shown[0], shown[-1]) == (np.argmin(means), np.argmax(means))
    assert np.all(np.diff(means[shown]) > 0)
    said = axes[0].figure.get_suptitle()
    assert f"6 of {J} groups (group), evenly by mean; p = P(T(y_rep) >= T(y))" in said
    y, rep, index = data(idata)
    own = index == shown[2]
    p = np.mean(rep[:, own].mean(axis=1) >= y[own].mean())
    assert f"p = {p:.3f})" in look.title(axes[2])


def test_groups_of_one_estimate_each_are_groups_as_well() -> None:
    idata = fits.eight_schools()
    axes = plots.posterior_predictive(idata, groups=["A", "C"])
    assert look.title(axes[0]) == "A"
    assert look.line(axes[0], "y: its estimate").get_xdata().tolist() == [28]
    assert axes[0].figure.get_suptitle().startswith("effect: estimates and their replications\n")
    (ax,) = plots.posterior_predictive(idata, groups=["A"], statistic="mean")
    assert look.title(ax).startswith("A (p = 0.")
    with pytest.raises(OptionError, match=r"needs groups of 2 rows or more, got 'A' with 1"):
        plots.posterior_predictive(idata, groups=["A"], statistic="sd")
    ax = plots.posterior_predictive(idata)
    assert look.title(ax) == "50 of 120 replications of effect"
    assert "y: the data (8 estimates)" in look.legend(ax)
    ax = plots.posterior_predictive(idata, statistic="max")
    assert ax.get_xlabel() == "T = max of 8 estimates of effect"


def test_it_draws_on_the_axes_given() -> None:
    _, axes = plt.subplots(1, 2)
    idata = fits.one_way(8)
    assert plots.posterior_predictive(idata, ax=axes[0]) is axes[0]
    found = plots.posterior_predictive(idata, groups=2, axes=axes)
    assert found.tolist() == axes.tolist()
    assert plt.get_fignums() == [1]
    with pytest.raises(OptionError, match="without groups takes ax=, got axes="):
        plots.posterior_predictive(idata, axes=axes)
    with pytest.raises(OptionError, match="with groups takes axes=, got ax="):
        plots.posterior_predictive(idata, groups=2, ax=axes[0])


def test_what_it_needs_is_named() -> None:
    idata = fits.one_way(8)
    with pytest.raises(OptionError, match=r"statistic must be one of 'mean'.*mean 'mean'"):
        plots.posterior_predictive(idata, statistic="means")
    with pytest.raises(OptionError, match="draws must be at least 1, got 0"):
        plots.posterior_predictive(idata, draws=0)
    with pytest.raises(OptionError, match="no group 'g9'"):
        plots.posterior_predictive(idata, groups=["g9"])
    kept = ("posterior", "observed_data", "constant_data")
    bare = inference_data.container(
        {name: inference_data.dataset(idata, name) for name in kept},
        {"pointwise": "left out, above the budget"},
    )
    with pytest.raises(ContainerError, match=r"above the budget.*add_pointwise\(idata\) adds it"):
        plots.posterior_predictive(bare)
    other = fits.one_way(8, observed_data=xr.Dataset({"z": ("observation", np.ones(44))}))
    with pytest.raises(ContainerError, match="one variable in both"):
        plots.posterior_predictive(other)
