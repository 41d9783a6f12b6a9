"""The picture shows the numbers of the container, in their order, and says what they are."""

from itertools import pairwise
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import LineCollection

import hiermodels as hm
from hiermodels import datasets, inference_data, plots
from hiermodels.errors import ContainerError, OptionError

DIMS = ("chain", "draw")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def posterior(raw, labels, dim="school", shrink=0.5, seed=4):
    """Draws whose means lie between the raw estimates and mu."""
    rng = np.random.default_rng(seed)
    mu = rng.normal(raw.mean(), 0.5, size=(2, 300))
    theta = rng.normal(shrink * raw.mean() + (1 - shrink) * raw, 3.0, size=(2, 300, raw.size))
    return xr.Dataset({"mu": (DIMS, mu), "theta": ((*DIMS, dim), theta)}, coords={dim: labels})


def eight_schools(**more):
    frame = datasets.eight_schools()
    labels, y = frame["school"].to_numpy(), frame["effect"].to_numpy()
    observed = xr.Dataset({"effect": ("school", y)}, coords={"school": labels})
    groups = {"posterior": posterior(y, labels), "observed_data": observed}
    return inference_data.container(groups | more, {})


def one_way(groups=100, seed=9):
    """Rows in a random order, groups by integers from 1."""
    frame, _ = datasets.simulate_one_way(
        groups=groups, size=[2, *[4] * (groups - 2), 9], tau=10, seed=seed
    )
    frame = frame.sample(frac=1, random_state=1)
    raw = frame.groupby("group")["y"].mean()
    index = frame["group"].to_numpy() - 1
    return raw, inference_data.container(
        {
            "posterior": posterior(raw.to_numpy(), raw.index.to_numpy(), dim="group"),
            "observed_data": xr.Dataset({"y": ("observation", frame["y"].to_numpy())}),
            "constant_data": xr.Dataset({"group_index": ("observation", index)}),
        },
        {},
    )


def marks(ax, label):
    (line,) = [line for line in ax.lines if line.get_label() == label]
    return line


def labels_of(ax):
    return [tick.get_text() for tick in ax.get_yticklabels()]


def test_groups_are_ordered_by_their_raw_estimates_and_carry_their_labels():
    ax = plots.shrinkage(eight_schools())
    assert labels_of(ax) == list("CEFDBHGA")
    assert marks(ax, "raw estimate").get_xdata().tolist() == [-3, -1, 1, 7, 8, 12, 18, 28]


def test_pooled_marks_are_posterior_means_and_bars_their_90_percent_intervals():
    idata = eight_schools()
    theta = inference_data.dataset(idata, "posterior")["theta"].sel(school=list("CEFDBHGA"))
    ax = plots.shrinkage(idata)
    np.testing.assert_allclose(marks(ax, "posterior mean").get_xdata(), theta.mean(DIMS))
    (bars,) = [c for c in ax.collections if isinstance(c, LineCollection)]
    ends = np.array([segment[:, 0] for segment in bars.get_segments()])
    np.testing.assert_allclose(ends.T, theta.quantile([0.05, 0.95], DIMS))
    mu = float(inference_data.dataset(idata, "posterior")["mu"].mean())
    assert marks(ax, "posterior mean of mu").get_xdata() == pytest.approx([mu, mu])


def test_every_raw_mark_is_joined_to_its_pooled_one():
    ax = plots.shrinkage(eight_schools())
    raw, pooled = marks(ax, "raw estimate"), marks(ax, "posterior mean")
    joints = [line.get_xydata() for line in ax.lines if line.get_label().startswith("_")]
    assert len(joints) == 8
    np.testing.assert_allclose([j[0] for j in joints], raw.get_xydata())
    np.testing.assert_allclose([j[1] for j in joints], pooled.get_xydata())


def test_the_raw_estimate_of_one_way_is_the_mean_of_the_groups_rows():
    raw, idata = one_way(groups=12)
    ax = plots.shrinkage(idata)
    expected = raw.sort_values()
    assert labels_of(ax) == expected.index.astype(str).tolist()
    np.testing.assert_allclose(marks(ax, "raw estimate").get_xdata(), expected)


@pytest.mark.parametrize(("groups", "shown"), [(60, 60), (61, 60), (100, 60)])
def test_of_many_groups_evenly_spaced_ranks_are_shown_and_the_title_says_so(groups, shown):
    raw, idata = one_way(groups)
    ax = plots.shrinkage(idata)
    assert len(labels_of(ax)) == shown
    values = marks(ax, "raw estimate").get_xdata()
    assert (values[0], values[-1]) == (pytest.approx(raw.min()), pytest.approx(raw.max()))
    ranks = np.searchsorted(np.sort(raw.to_numpy()), values - 1e-9)
    assert len(set(ranks)) == shown
    assert set(np.diff(ranks)) <= {1, 2}
    assert (f"({shown} of {groups} shown)" in ax.get_title(loc="left")) is (shown < groups)


def test_the_words_say_what_the_marks_are():
    ax = plots.shrinkage(eight_schools())
    assert ax.get_xlabel() == "effect (bar: central 90 % posterior interval)"
    assert ax.get_ylabel() == "school"
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["posterior mean of mu", "raw estimate", "posterior mean"]


def test_raw_and_pooled_differ_in_shape_and_fill_as_well_as_in_colour():
    ax = plots.shrinkage(eight_schools())
    raw, pooled = marks(ax, "raw estimate"), marks(ax, "posterior mean")
    assert raw.get_marker() != pooled.get_marker()
    assert raw.get_markerfacecolor() == "white" != pooled.get_markerfacecolor()


@pytest.mark.parametrize("groups", [2, 8, 25, 40, 100])
def test_labels_stay_apart_and_inside_the_figure(groups):
    ax = plots.shrinkage(one_way(groups)[1])
    ax.figure.canvas.draw()
    boxes = [tick.get_window_extent() for tick in ax.get_yticklabels()]
    assert all(lower.y1 < upper.y0 for lower, upper in pairwise(boxes))
    legend, width = ax.get_legend().get_window_extent(), ax.figure.bbox.width
    assert 0 <= legend.x0 < legend.x1 <= width
    assert boxes[-1].y1 < legend.y0
    title = ax.title if ax.title.get_text() else ax._left_title
    assert legend.y1 <= title.get_window_extent().y0


def test_it_draws_on_the_axes_given_and_changes_no_setting():
    before = mpl.rcParams.copy()
    _, (left, right) = plt.subplots(1, 2)
    assert plots.shrinkage(eight_schools(), ax=right) is right
    assert not left.lines
    assert plt.get_fignums() == [1]
    assert mpl.rcParams == before


def test_more_than_one_coefficient_a_group_is_refused():
    post = posterior(np.arange(3.0), list("abc"))
    post["theta"] = post["theta"].expand_dims(coefficient=["Intercept", "x"], axis=-1)
    with pytest.raises(OptionError, match=r"one effect a group.*'school', 'coefficient'"):
        plots.shrinkage(eight_schools(posterior=post))


def test_what_is_missing_from_the_container_is_named():
    _, idata = one_way(groups=5)
    inference_data.add(idata, "constant_data", xr.Dataset({"x": ("observation", [1.0])}))
    with pytest.raises(ContainerError, match="no 'group_index'"):
        plots.shrinkage(idata)
    pooled = posterior(np.arange(8.0), list("ABCDEFGH"))[["mu"]]
    with pytest.raises(ContainerError, match=r"'theta' in the posterior.*pooling='partial'"):
        plots.shrinkage(eight_schools(posterior=pooled))


def test_effects_that_the_fit_left_out_are_no_matter_of_pooling():
    mu = posterior(np.arange(8.0), list("ABCDEFGH"))[["mu"]]
    idata = inference_data.container({"posterior": mu}, {"effects": "none"})
    with pytest.raises(ContainerError, match=r"'theta', which the fit left out .*effects='draws'"):
        plots.shrinkage(idata)


def test_the_raw_variable_is_asked_for_where_there_are_several():
    labels = list("ABCDEFGH")
    y = np.arange(8.0)
    two = xr.Dataset({"effect": ("school", y), "other": ("school", -y)}, coords={"school": labels})
    idata = eight_schools(observed_data=two)
    with pytest.raises(OptionError, match="'effect', 'other'; say which by var="):
        plots.shrinkage(idata)
    assert labels_of(plots.shrinkage(idata, var="other")) == labels[::-1]
    with pytest.raises(OptionError, match=r"no variable 'efect'.*did you mean 'effect'"):
        plots.shrinkage(idata, var="efect")


@pytest.mark.parametrize(
    ("suffix", "start"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml")]
)
def test_a_picture_is_written_in_the_format_of_its_suffix(tmp_path, suffix, start):
    path = plots.save(plots.shrinkage(eight_schools()), tmp_path / f"shrinkage{suffix}")
    assert path.read_bytes().startswith(start)


def test_a_picture_that_cannot_be_written_is_refused(tmp_path):
    ax = plots.shrinkage(eight_schools())
    with pytest.raises(OptionError, match=r"must end in '\.png', .*got 'picture\.doc'"):
        plots.save(ax, tmp_path / "picture.doc")
    with pytest.raises(OptionError, match=r"cannot write .*No such file"):
        plots.save(ax, tmp_path / "missing" / "picture.png")
    assert list(tmp_path.iterdir()) == []


# ---- exact posteriors ---------------------------------------------------------------------------


def exact_schools() -> Any:
    return hm.exact.posterior(
        hm.EightSchools(hm.datasets.eight_schools(), effect="effect", se="se", group="school")
    )


@pytest.mark.parametrize("quantity", ["mean", "sd", "pooling_factor"])
def test_the_impact_of_tau_is_a_line_for_each_group_above_a_density(quantity):
    posterior = exact_schools()
    ax = hm.plots.impact_of_tau(posterior, quantity=quantity, tau=[0.01, 1.0, 5.0, 20.0])
    lines = {line.get_label(): line for line in ax.get_lines()}
    assert list(lines) == list("ABCDEFGH")
    table = posterior.given_tau([0.01, 1.0, 5.0, 20.0])
    want = table[table["school"] == "C"][quantity]
    np.testing.assert_allclose(lines["C"].get_ydata(), want)
    below = ax.figure.axes[-1]
    assert below.get_ylabel() == "p(tau | y)"
    assert below.get_xlim() == ax.get_xlim() == (0, 20)
    density = table.groupby("tau")["density"].first()
    np.testing.assert_allclose(below.get_lines()[0].get_ydata(), density)


def test_many_groups_are_drawn_without_a_legend():
    frame, _ = hm.datasets.simulate_one_way(groups=30, size=4, seed=1)
    posterior = hm.exact.posterior(hm.OneWay(frame, y="y", group="group"))
    ax = hm.plots.impact_of_tau(posterior, tau=[0.1, 1.0])
    assert len(ax.get_lines()) == 30
    assert ax.get_legend() is None


def test_raw_against_posterior_lies_between_the_two_limits():
    posterior = exact_schools()
    ax = hm.plots.raw_against_posterior(posterior)
    labels = {line.get_label(): line for line in ax.get_lines()}
    means = labels["posterior mean"]
    np.testing.assert_allclose(means.get_xdata(), hm.datasets.eight_schools()["effect"])
    np.testing.assert_allclose(means.get_ydata(), posterior.mean("theta"))
    pooled = labels["complete pooling"].get_ydata()[0]
    raw, mean = np.array(means.get_xdata()), np.array(means.get_ydata())
    assert np.all((mean - pooled) * (raw - mean) >= -1e-9 * np.abs(raw).max() - 1.0)


def test_pictures_of_exact_posteriors_draw_where_they_are_told():
    _, ax = plt.subplots()
    assert hm.plots.impact_of_tau(exact_schools(), tau=[1.0, 2.0], ax=ax) is ax
    _, ax = plt.subplots()
    assert hm.plots.raw_against_posterior(exact_schools(), ax=ax) is ax
    # A model does as well; a container does not, and the message says what does.
    model = exact_schools().model
    assert len(hm.plots.impact_of_tau(model, tau=[0.0, 1.0]).get_lines()) == 8
    with pytest.raises(OptionError, match=r"of an exact posterior, got .*give the model"):
        hm.plots.raw_against_posterior(eight_schools())
    with pytest.raises(OptionError, match="quantity must be one of"):
        hm.plots.impact_of_tau(exact_schools(), quantity="median")
