"""The pictures show the numbers of the container, in their order, and say what they are."""

from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

import hiermodels as hm
from hiermodels import plots
from hiermodels.container import inference_data
from hiermodels.errors import ContainerError, OptionError
from tests.plots import fits, look

# ---- shrinkage ----------------------------------------------------------------------------------


def theta_of(idata: Any) -> Any:
    return inference_data.dataset(idata, "posterior")["theta"]


def test_groups_are_ordered_by_their_raw_estimates_and_carry_their_labels() -> None:
    ax = plots.shrinkage(fits.eight_schools())
    assert look.rows(ax) == list("CEFDBHGA")
    raw = look.points(ax, "raw estimate")
    assert raw[:, 0].tolist() == [-3, -1, 1, 7, 8, 12, 18, 28]
    np.testing.assert_allclose(np.diff(raw[:, 1]), 1)


def test_pooled_marks_are_posterior_means_and_bars_their_90_percent_intervals() -> None:
    idata = fits.eight_schools()
    theta = theta_of(idata).sel(school=list("CEFDBHGA"))
    ax = plots.shrinkage(idata)
    np.testing.assert_allclose(look.line(ax, "posterior mean").get_xdata(), theta.mean(fits.DIMS))
    ends = look.bars(ax)[:, :, 0]
    np.testing.assert_allclose(ends.T, theta.quantile([0.05, 0.95], fits.DIMS))
    mu = float(inference_data.dataset(idata, "posterior")["mu"].mean())
    assert look.line(ax, "posterior mean of mu").get_xdata() == pytest.approx([mu, mu])


def test_every_raw_mark_is_joined_to_its_pooled_one() -> None:
    ax = plots.shrinkage(fits.eight_schools())
    raw, pooled = look.points(ax, "raw estimate"), look.line(ax, "posterior mean")
    joints = [line.get_xydata() for line in ax.lines if line.get_label().startswith("_")]
    assert len(joints) == 8
    np.testing.assert_allclose([j[0] for j in joints], raw)
    np.testing.assert_allclose([j[1] for j in joints], pooled.get_xydata())


def test_the_raw_estimate_of_one_way_is_the_mean_of_the_groups_rows() -> None:
    idata = fits.one_way(12)
    raw = fits.raw_means(idata)
    ax = plots.shrinkage(idata)
    order = np.argsort(raw)
    assert look.rows(ax) == [f"g{j + 1}" for j in order]
    np.testing.assert_allclose(look.points(ax, "raw estimate")[:, 0], raw[order])


@pytest.mark.parametrize(("J", "shown"), [(60, 60), (61, 60), (65, 60), (1000, 60)])
def test_of_many_groups_evenly_spaced_ranks_are_shown_and_the_title_says_so(
    J: int, shown: int
) -> None:
    idata = fits.one_way(J)
    raw = np.sort(fits.raw_means(idata))
    ax = plots.shrinkage(idata)
    assert len(look.rows(ax)) == shown
    values = look.points(ax, "raw estimate")[:, 0]
    ranks = np.searchsorted(raw, values - 1e-9)
    assert (ranks[0], ranks[-1]) == (0, J - 1)
    assert np.ptp(np.diff(ranks)) <= 1
    said = f"Shrinkage of each group's estimate ({shown} of {J} shown, evenly by rank)"
    assert (look.title(ax) == said) is (shown < J)


def test_groups_are_shown_as_asked() -> None:
    ax = plots.shrinkage(fits.eight_schools(), groups=["A", "C"])
    assert look.rows(ax) == ["C", "A"]
    assert look.title(ax).endswith("(2 of 8 shown, as asked)")
    ax = plots.shrinkage(fits.one_way(100), groups=5)
    assert len(look.rows(ax)) == 5
    with pytest.raises(OptionError, match=r"no school 'I'; there are 'A'"):
        plots.shrinkage(fits.eight_schools(), groups=["I"])


def test_the_words_say_what_the_marks_are() -> None:
    ax = plots.shrinkage(fits.eight_schools())
    assert ax.get_xlabel() == "effect (bar: central 90 % posterior interval)"
    assert ax.get_ylabel() == "school"
    assert look.legend(ax) == ["posterior mean of mu", "raw estimate", "posterior mean"]


def test_areas_are_in_proportion_to_group_sizes_and_the_legend_says_so() -> None:
    idata = fits.one_way(8)
    raw, n = fits.raw_means(idata), np.arange(8) + 2
    ax = plots.shrinkage(idata)
    assert look.legend(ax)[1] == "raw estimate (area: n = 2 to 9)"
    found = look.areas(ax, "raw estimate")
    np.testing.assert_allclose(found / found.max(), n[np.argsort(raw)] / 9)
    # Estimates that are given have no sizes, and one area.
    assert len(look.areas(plots.shrinkage(fits.eight_schools()), "raw estimate")) == 1


def test_a_coefficient_is_drawn_from_its_least_squares_estimate() -> None:
    idata = fits.slopes(8)
    data = inference_data.dataset(idata, "constant_data")
    y = inference_data.dataset(idata, "observed_data")["score"].to_numpy()
    index, z = data["group_index"].to_numpy(), data["z"].to_numpy()
    own = [np.linalg.lstsq(z[index == j], y[index == j], rcond=None)[0][1] for j in range(8)]
    ax = plots.shrinkage(idata, coefficient="hours")
    order = np.argsort(own)
    assert look.rows(ax) == [f"s{j + 1}" for j in order]
    np.testing.assert_allclose(look.points(ax, "raw estimate")[:, 0], np.sort(own))
    theta = theta_of(idata).sel(coefficient="hours").mean(fits.DIMS).to_numpy()
    np.testing.assert_allclose(look.line(ax, "posterior mean").get_xdata(), theta[order])
    assert ax.get_xlabel().startswith("hours (score per unit of hours) (bar:")
    assert look.title(ax) == "Shrinkage of each school's coefficient 'hours'"
    assert "posterior mean of mu[hours]" in look.legend(ax)


def test_several_coefficients_have_to_be_named() -> None:
    with pytest.raises(OptionError, match=r"'Intercept', 'hours'; say which by coefficient="):
        plots.shrinkage(fits.slopes(8))
    with pytest.raises(OptionError, match=r"no coefficient 'hour'.*did you mean 'hours'"):
        plots.shrinkage(fits.slopes(8), coefficient="hour")
    with pytest.raises(OptionError, match=r"one effect a group and no coefficients; leave it out"):
        plots.shrinkage(fits.eight_schools(), coefficient="hours")


def test_groups_without_an_estimate_of_their_own_are_counted_and_stay() -> None:
    idata = fits.slopes(8, size=[1, *[6] * 7])
    ax = plots.shrinkage(idata, coefficient="hours")
    assert len(look.rows(ax)) == 8
    assert np.isfinite(look.points(ax, "raw estimate")[:, 0]).sum() == 7
    assert "1 of them cannot give an estimate of their own" in ax.get_xlabel()


def test_estimates_far_out_are_left_outside_and_counted() -> None:
    observed = inference_data.dataset(fits.eight_schools(), "observed_data")
    y = observed["effect"].to_numpy().copy()
    y[0] = 1000.0
    idata = fits.eight_schools(observed_data=observed.assign(effect=("school", y)))
    ax = plots.shrinkage(idata)
    assert ax.get_xlim()[1] < 100
    assert "1 raw estimate outside the picture" in ax.get_xlabel()
    assert "outside" not in plots.shrinkage(fits.eight_schools()).get_xlabel()


def test_raw_and_pooled_differ_in_shape_and_fill_as_well_as_in_colour() -> None:
    ax = plots.shrinkage(fits.eight_schools())
    pooled = look.line(ax, "posterior mean")
    (raw,) = [c for c in ax.collections if c.get_label() == "raw estimate"]
    assert pooled.get_marker() == "o"
    assert len(raw.get_paths()[0].vertices) == 5  # a diamond
    assert raw.get_facecolor().tolist() == [[1, 1, 1, 1]]
    assert mpl.colors.to_hex(pooled.get_markerfacecolor()) == pooled.get_color().lower()


@pytest.mark.parametrize("J", [2, 8, 25, 40, 65, 1000])
def test_labels_stay_apart_and_inside_the_figure(J: int) -> None:
    ax = plots.shrinkage(fits.one_way(J))
    ax.figure.canvas.draw()
    ticks = list(ax.get_yticklabels())
    assert look.boxes_apart([*ticks, *ax.get_legend().get_texts(), ax._left_title])
    assert look.inside(ax.figure, [*ticks, *ax.get_legend().get_texts(), ax._left_title])


def test_it_draws_on_the_axes_given_and_changes_no_setting() -> None:
    before = mpl.rcParams.copy()
    _, (left, right) = plt.subplots(1, 2)
    assert plots.shrinkage(fits.eight_schools(), ax=right) is right
    assert plots.raw_against_posterior(fits.eight_schools(), ax=right) is right
    assert not left.lines
    assert plt.get_fignums() == [1]
    assert mpl.rcParams == before


def test_what_is_missing_from_the_container_is_named() -> None:
    lost = fits.one_way(5, constant_data=xr.Dataset({"x": ("observation", [1.0])}))
    with pytest.raises(ContainerError, match=r"needs the rows, .* no 'group_index'.*in memory"):
        plots.shrinkage(lost)
    posterior = inference_data.dataset(fits.eight_schools(), "posterior")
    pooled = fits.eight_schools(posterior=posterior[["mu"]])
    with pytest.raises(ContainerError, match=r"'theta' in the posterior.*pooling='partial'"):
        plots.shrinkage(pooled)
    with pytest.raises(ContainerError, match=r"needs 'mu' in the posterior.*pooling='partial'"):
        plots.shrinkage(fits.one_way(5, pooling="none"))
    with pytest.raises(ContainerError, match=r"no group 'posterior'; it has"):
        plots.shrinkage(inference_data.container({"prior": posterior}, {}))


def test_effects_that_were_summed_up_will_do() -> None:
    idata = fits.one_way(9)
    drawn, summed = plots.shrinkage(idata), plots.shrinkage(fits.summed(idata))
    np.testing.assert_allclose(look.bars(summed), look.bars(drawn))
    np.testing.assert_allclose(
        look.line(summed, "posterior mean").get_xdata(),
        look.line(drawn, "posterior mean").get_xdata(),
    )


def test_effects_that_the_fit_left_out_are_no_matter_of_pooling() -> None:
    mu = inference_data.dataset(fits.eight_schools(), "posterior")[["mu"]]
    idata = inference_data.container({"posterior": mu}, {"effects": "none"})
    with pytest.raises(ContainerError, match=r"'theta', which the fit left out .*effects='draws'"):
        plots.shrinkage(idata)


def test_the_raw_variable_is_asked_for_where_there_are_several() -> None:
    labels, y = list("ABCDEFGH"), np.arange(8.0)
    two = xr.Dataset({"effect": ("school", y), "other": ("school", -y)}, coords={"school": labels})
    idata = fits.eight_schools(observed_data=two)
    with pytest.raises(OptionError, match="'effect', 'other'; say which by var="):
        plots.shrinkage(idata)
    assert look.rows(plots.shrinkage(idata, var="other")) == labels[::-1]
    with pytest.raises(OptionError, match=r"no variable 'efect'.*did you mean 'effect'"):
        plots.shrinkage(idata, var="efect")


# ---- posterior means against raw estimates ------------------------------------------------------


def exact_schools() -> Any:
    return hm.exact.posterior(
        hm.EightSchools(hm.datasets.eight_schools(), effect="effect", se="se", group="school")
    )


def test_posterior_means_stand_over_the_groups_own_estimates() -> None:
    idata = fits.one_way(8)
    ax = plots.raw_against_posterior(idata)
    found, theta = look.points(ax, "posterior mean"), theta_of(idata)
    np.testing.assert_allclose(found[:, 0], fits.raw_means(idata))
    np.testing.assert_allclose(found[:, 1], theta.mean(fits.DIMS))
    ends = look.bars(ax)
    np.testing.assert_allclose(ends[:, :, 1].T, theta.quantile([0.05, 0.95], fits.DIMS))
    x, y = look.line(ax, "no pooling").get_data()
    np.testing.assert_allclose(x, y)
    mu = float(inference_data.dataset(idata, "posterior")["mu"].mean())
    assert look.line(ax, "posterior mean of mu").get_ydata() == pytest.approx([mu, mu])
    assert ax.get_xlabel() == "the group's own estimate: y"
    assert set(look.written(ax)) == {f"g{j + 1}" for j in range(8)}


@pytest.mark.parametrize("J", [65, 1000])
def test_of_many_points_those_are_named_that_are_moved_farthest(J: int) -> None:
    idata = fits.one_way(J)
    ax = plots.raw_against_posterior(idata)
    found = look.points(ax, "posterior mean")
    assert len(found) == J
    far = np.argsort(-np.abs(found[:, 0] - found[:, 1]))[:6]
    assert set(look.written(ax)) == {f"g{j + 1}" for j in far}
    assert "labelled: the 6 that are moved farthest" in ax.get_xlabel()
    assert look.title(ax) == f"Partial pooling by group (J = {J})"


def test_a_coefficient_stands_over_its_least_squares_estimate() -> None:
    idata = fits.slopes(8, size=[1, *[6] * 7])
    ax = plots.raw_against_posterior(idata, coefficient="hours")
    assert "the school's own estimate: hours (score per unit of hours)" in ax.get_xlabel()
    assert "1 of them cannot give an estimate of their own" in ax.get_xlabel()
    assert "s1" not in look.written(ax)
    with pytest.raises(ContainerError, match="none of the 4 has"):
        plots.raw_against_posterior(fits.slopes(4, size=1), coefficient="hours")


def test_of_an_exact_posterior_the_points_lie_between_the_two_limits() -> None:
    posterior = exact_schools()
    ax = hm.plots.raw_against_posterior(posterior)
    means = look.points(ax, "posterior mean")
    np.testing.assert_allclose(means[:, 0], hm.datasets.eight_schools()["effect"])
    np.testing.assert_allclose(means[:, 1], posterior.mean("theta"))
    pooled = look.line(ax, "complete pooling").get_ydata()[0]
    raw, mean = means.T
    assert np.all((mean - pooled) * (raw - mean) >= -1e-9 * np.abs(raw).max() - 1.0)
    # A model does as well.
    again = hm.plots.raw_against_posterior(posterior.model)
    np.testing.assert_allclose(look.points(again, "posterior mean"), means)
    with pytest.raises(OptionError, match=r"of a fit or of an exact posterior, got int; give what"):
        hm.plots.raw_against_posterior(3)


def test_the_container_of_an_exact_fit_says_the_same_as_its_posterior() -> None:
    posterior = exact_schools()
    drawn = look.points(
        plots.raw_against_posterior(posterior.model.fit(engine="exact", seed=3)), "posterior mean"
    )
    exact = look.points(plots.raw_against_posterior(posterior), "posterior mean")
    np.testing.assert_array_equal(drawn[:, 0], exact[:, 0])
    # 4000 independent draws of effects with sds of 5 to 8: five standard errors are 0.65.
    np.testing.assert_allclose(drawn[:, 1], exact[:, 1], atol=0.65)
