"""Lines of groups: rows, lines by strategy, bands, and which groups."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import PolyCollection

from hiermodels import plots
from hiermodels.container import inference_data
from hiermodels.errors import ContainerError, OptionError
from tests.plots import fits, look


def parts(idata: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    data = inference_data.dataset(idata, "constant_data")
    y = inference_data.dataset(idata, "observed_data")["score"].to_numpy()
    columns = [data["z"].to_numpy()]
    if "x" in data:
        columns.append(data["x"].to_numpy())
    return y, data["group_index"].to_numpy(), np.hstack(columns), data["z"].to_numpy()[:, 1]


def theta(idata: Any) -> np.ndarray:
    draws = inference_data.dataset(idata, "posterior")["theta"]
    return draws.to_numpy().reshape(-1, *draws.shape[2:])


def drawn(ax: Any, name: str) -> Any:
    return look.line(ax, name)


def three(J: int = 8, **more: Any) -> dict[str, Any]:
    return {name: fits.slopes(J, pooling=name, **more) for name in ("none", "partial", "complete")}


def panel_of(axes: Any, label: str) -> Any:
    (found,) = [ax for ax in axes if look.title(ax).startswith(f"{label} (")]
    return found


def test_a_panel_has_the_groups_rows_and_its_three_lines() -> None:
    idata = fits.slopes(8)
    y, index, columns, x = parts(idata)
    axes = plots.group_lines(idata)
    assert len(axes) == 8
    ax = panel_of(axes, "s3")
    own = index == 2
    rows = drawn(ax, "row").get_xydata()
    np.testing.assert_allclose(
        rows[np.lexsort(rows.T)], np.column_stack([x, y])[own][np.lexsort([x[own], y[own]])]
    )
    v = drawn(ax, "partial").get_xdata()
    assert (v[0], v[-1]) == (x.min(), x.max())
    mean = theta(idata)[:, 2].mean(axis=0)
    np.testing.assert_allclose(drawn(ax, "partial").get_ydata(), mean[0] + mean[1] * v)
    a, b = np.linalg.lstsq(columns[own], y[own], rcond=None)[0]
    np.testing.assert_allclose(drawn(ax, "none").get_ydata(), a + b * v)
    a, b = np.linalg.lstsq(columns, y, rcond=None)[0]
    np.testing.assert_allclose(drawn(ax, "complete").get_ydata(), a + b * v)


def test_the_band_holds_the_central_90_percent_of_the_line() -> None:
    idata = fits.slopes(8)
    ax = panel_of(plots.group_lines(idata), "s3")
    v = drawn(ax, "partial").get_xdata()
    draws = theta(idata)[:, 2]
    low, high = np.quantile(draws[:, :1] + draws[:, 1:] * v, (0.05, 0.95), axis=0)
    (band,) = [c for c in ax.collections if isinstance(c, PolyCollection)]
    corners = band.get_paths()[0].vertices
    for edge in (low, high):
        for at, height in zip(v[[0, 20, -1]], edge[[0, 20, -1]], strict=True):
            assert np.min(np.hypot(corners[:, 0] - at, corners[:, 1] - height)) < 1e-9


def test_given_fits_the_lines_are_theirs() -> None:
    by_name = three()
    ax = panel_of(plots.group_lines(by_name), "s3")
    v = drawn(ax, "none").get_xdata()
    for name, draws in (("none", theta(by_name["none"])[:, 2]), ("complete", None)):
        if draws is None:
            mu = inference_data.dataset(by_name["complete"], "posterior")["mu"]
            a, b = mu.mean(fits.DIMS).to_numpy()
        else:
            a, b = draws.mean(axis=0)
        np.testing.assert_allclose(drawn(ax, name).get_ydata(), a + b * v)


def test_other_predictors_are_at_their_means_and_the_picture_says_so() -> None:
    by_name = three(common=True)
    _, _, columns, _ = parts(by_name["partial"])
    axes = plots.group_lines(by_name)
    mean = columns[:, 2].mean()
    said = f"lines are at the means of the other predictors: age = {mean:.3g}"
    assert axes[0].figure.get_suptitle() == f"score against hours\nby school\n{said}"
    assert [ax.get_xlabel() for ax in axes] == [*[""] * 4, *["hours"] * 4]
    assert [ax.get_ylabel() for ax in axes] == ["score", "", "", ""] * 2
    ax = panel_of(axes, "s3")
    v = drawn(ax, "partial").get_xdata()
    beta = inference_data.dataset(by_name["partial"], "posterior")["beta"].mean(fits.DIMS)
    a, b = theta(by_name["partial"])[:, 2].mean(axis=0)
    np.testing.assert_allclose(drawn(ax, "partial").get_ydata(), a + b * v + float(beta[0]) * mean)
    # Without pooling each group has its own coefficient of the common column.
    beta = inference_data.dataset(by_name["none"], "posterior")["beta"].mean(fits.DIMS)
    a, b = theta(by_name["none"])[:, 2].mean(axis=0)
    np.testing.assert_allclose(drawn(ax, "none").get_ydata(), a + b * v + float(beta[2, 0]) * mean)


def test_without_a_fit_a_groups_own_line_is_given_the_common_coefficients() -> None:
    # In the second group age does not vary: it has a line all the same.
    idata = fits.slopes(8, common=True)
    y, index, columns, _ = parts(idata)
    columns[index == 1, 2] = 3.0
    constant = inference_data.dataset(idata, "constant_data")
    constant["x"] = (("observation", "predictor"), columns[:, 2:])
    idata = fits.slopes(8, common=True, constant_data=constant)
    ax = panel_of(plots.group_lines(idata), "s2")
    v = drawn(ax, "none").get_xdata()
    beta = float(inference_data.dataset(idata, "posterior")["beta"].mean())
    own = index == 1
    a, b = np.linalg.lstsq(columns[own, :2], y[own] - 3.0 * beta, rcond=None)[0]
    want = a + b * v + beta * columns[:, 2].mean()
    np.testing.assert_allclose(drawn(ax, "none").get_ydata(), want)


def test_lines_run_along_the_predictor_that_is_asked_for() -> None:
    idata = fits.slopes(8, common=True)
    axes = plots.group_lines(idata, predictor="age")
    assert axes[-1].get_xlabel() == "age"
    v, line = drawn(axes[0], "partial").get_data()
    beta = inference_data.dataset(idata, "posterior")["beta"].mean()
    np.testing.assert_allclose(np.diff(line) / np.diff(v), float(beta))
    with pytest.raises(OptionError, match=r"no predictor 'hour'; there are 'hours', 'age'.*mean"):
        plots.group_lines(idata, predictor="hour")


@pytest.mark.parametrize("J", [65, 1000])
def test_of_many_groups_twelve_are_chosen_and_the_words_say_how(J: int) -> None:
    size = np.r_[3, 4, np.full(J - 4, 6), 9, 8]
    idata = fits.slopes(J, size=size)
    axes = plots.group_lines(idata)
    titles = [look.title(ax) for ax in axes]
    assert titles[:4] == [
        "s1 (n = 3, smallest)",
        "s2 (n = 4, smallest)",
        f"s{J - 1} (n = 9, largest)",
        f"s{J} (n = 8, largest)",
    ]
    slopes = theta(idata)[:, :, 1].mean(axis=0)
    inner = np.argsort(slopes[2:-2]) + 2
    low, high = inner[:2], inner[:-3:-1]
    assert titles[4:6] == [f"s{j + 1} (n = 6, lowest slope)" for j in low]
    assert titles[6:8] == [f"s{j + 1} (n = 6, highest slope)" for j in high]
    ranks = [int(np.searchsorted(np.sort(slopes), slopes[int(t.split()[0][1:]) - 1]))
             for t in titles[8:]]  # fmt: skip
    assert len(ranks) == 4
    assert np.all(np.abs(np.diff(ranks) - J / 5) < J / 20)
    figure = axes[0].figure
    assert figure.get_suptitle() == (
        f"score against hours\n12 of {J} groups (school): 2 smallest, 2 largest, 2 of the lowest "
        "and 2 of the highest slope, 4 evenly by slope"
    )


def test_groups_are_drawn_as_asked() -> None:
    axes = plots.group_lines(fits.slopes(65), ["s7", "s2"])
    assert [look.title(ax).split()[0] for ax in axes] == ["s7", "s2"]
    assert axes[0].figure.get_suptitle().endswith("2 of 65 groups (school): as asked")
    assert len(plots.group_lines(fits.slopes(65), 5)) == 5
    with pytest.raises(OptionError, match="no school 's99'; there are"):
        plots.group_lines(fits.slopes(65), ["s99"])


def test_the_legend_says_what_each_line_is() -> None:
    (legend,) = plots.group_lines(fits.slopes(8))[0].figure.legends
    assert [t.get_text() for t in legend.get_texts()] == [
        "a row of the school",
        "no pooling (least squares)",
        "partial pooling",
        "partial pooling, central 90 % posterior interval",
        "complete pooling (least squares)",
    ]
    (legend,) = plots.group_lines(three())[0].figure.legends
    assert "least" not in " ".join(t.get_text() for t in legend.get_texts())
    ax = plots.group_lines(fits.slopes(8))[0]
    dashes = {str(drawn(ax, n)._unscaled_dash_pattern) for n in ("none", "partial", "complete")}
    assert len(dashes) == 3


def test_a_group_without_a_line_of_its_own_says_so() -> None:
    axes = plots.group_lines(fits.slopes(8, size=[1, *[6] * 7]))
    assert look.written(panel_of(axes, "s1")) == ["no line of its own"]
    assert look.written(panel_of(axes, "s2")) == []
    assert np.isnan(drawn(panel_of(axes, "s1"), "none").get_ydata()).all()


def test_multiples_are_drawn_on_the_axes_or_the_figure_given() -> None:
    _, axes = plt.subplots(2, 4)
    found = plots.group_lines(fits.slopes(8, common=True), axes=axes)
    assert found.tolist() == axes.ravel().tolist()
    assert plt.get_fignums() == [1]
    assert (found[0].get_xlabel(), found[0].get_ylabel()) == ("hours", "score")
    said = found[0].get_legend().get_title().get_text()
    assert said.startswith("score against hours\nby school\nlines are at the means of the other")
    with pytest.raises(OptionError, match=r"axes must hold 8 for this picture, got 3; plt.subplot"):
        plots.group_lines(fits.slopes(8), axes=axes.ravel()[:3])
    other = plt.figure()
    assert plots.group_lines(fits.slopes(8), axes=other)[0].figure is other
    with pytest.raises(OptionError, match="kind='multiples' takes axes=, got ax="):
        plots.group_lines(fits.slopes(8), ax=axes[0, 0])


# ---- spaghetti ----------------------------------------------------------------------------------


@pytest.mark.parametrize("J", [8, 65, 1000])
def test_spaghetti_is_the_line_of_every_group_and_of_the_population(J: int) -> None:
    idata = fits.slopes(J, common=True)
    _, _, columns, x = parts(idata)
    ax = plots.group_lines(idata, kind="spaghetti")
    lines = look.bars(ax)
    assert len(lines) == J
    mean = theta(idata).mean(axis=0)
    mean = mean[np.argsort(mean[:, 1])]
    posterior = inference_data.dataset(idata, "posterior").mean(fits.DIMS)
    away = float(posterior["beta"][0]) * columns[:, 2].mean()
    for end, at in ((0, x.min()), (1, x.max())):
        np.testing.assert_allclose(lines[:, end, 0], at)
        np.testing.assert_allclose(lines[:, end, 1], mean[:, 0] + mean[:, 1] * at + away)
        population = posterior["mu"].to_numpy() @ [1, at] + away
        assert look.line(ax, "population (mu)").get_ydata()[end] == pytest.approx(population)
    assert "lines are at the means of the other predictors: age = " in ax.get_xlabel()
    assert (ax.get_xlabel().split("\n")[0], ax.get_ylabel()) == ("hours", "score")
    assert look.title(ax) == f"Lines by school (J = {J})"


def test_of_many_lines_the_outermost_are_named_at_their_ends() -> None:
    idata = fits.slopes(65)
    ax = plots.group_lines(idata, kind="spaghetti")
    _, _, _, x = parts(idata)
    ends = theta(idata).mean(axis=0) @ [1, x.max()]
    order = np.argsort(ends)
    assert look.written(ax) == [f"s{j + 1}" for j in (*order[:3], *order[-3:])]
    for text, j in zip(ax.texts, (*order[:3], *order[-3:]), strict=True):
        assert text.xy == (pytest.approx(x.max()), pytest.approx(ends[j]))
    assert "labelled: the 3 highest and the 3 lowest" in ax.get_xlabel()
    assert len(look.written(plots.group_lines(fits.slopes(8), kind="spaghetti"))) == 8


def test_spaghetti_needs_no_draws_and_takes_complete_pooling_along() -> None:
    by_name = three()
    ax = plots.group_lines(by_name, kind="spaghetti")
    assert "complete pooling" in look.legend(ax)
    assert "complete pooling" not in look.legend(
        plots.group_lines(fits.summed(by_name["partial"]), kind="spaghetti")
    )
    _, given = plt.subplots()
    before = plt.get_fignums()
    assert plots.group_lines(by_name, kind="spaghetti", ax=given) is given
    assert plt.get_fignums() == before


def test_what_it_needs_is_named() -> None:
    with pytest.raises(ContainerError, match=r"needs draws of 'theta'.*effects='draws'"):
        plots.group_lines(fits.summed(fits.slopes(8)))
    with pytest.raises(OptionError, match=r"needs a fit of VaryingSlopes.*hm.plots.shrinkage"):
        plots.group_lines(fits.one_way(8))
    with pytest.raises(ContainerError, match=r"under partial pooling, got 'none'"):
        plots.group_lines(fits.slopes(8, pooling="none"))
    with pytest.raises(OptionError, match=r"kind must be one of .*did you mean 'spaghetti'"):
        plots.group_lines(fits.slopes(8), kind="spagetti")
