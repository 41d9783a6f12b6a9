"""A forest: estimates and intervals of each group under each strategy."""

from types import SimpleNamespace
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from hiermodels import plots
from hiermodels.container import inference_data
from hiermodels.errors import ContainerError, OptionError
from tests.plots import fits, look

WORDS = {"none": "no pooling", "partial": "partial pooling", "complete": "complete pooling"}


def three(J: int = 8) -> dict[str, Any]:
    return {name: fits.one_way(J, pooling=name) for name in WORDS}


def theta(idata: Any) -> Any:
    return inference_data.dataset(idata, "posterior")["theta"]


@pytest.mark.parametrize("J", [2, 8, 40])
def test_each_strategy_has_its_means_and_intervals_in_the_order_of_partial_pooling(J: int) -> None:
    by_name = three(J)
    ax = plots.forest(by_name)
    order = np.argsort(theta(by_name["partial"]).mean(fits.DIMS).to_numpy())
    assert look.rows(ax) == [f"g{j + 1} (n = {j % 8 + 2})" for j in order]
    heights = []
    for k, (name, words) in enumerate(WORDS.items()):
        own = theta(by_name[name]).isel(group=order)
        x, y = look.line(ax, words).get_data()
        np.testing.assert_allclose(x, own.mean(fits.DIMS))
        ends = look.bars(ax, k)
        np.testing.assert_allclose(ends[:, :, 0].T, own.quantile([0.05, 0.95], fits.DIMS))
        np.testing.assert_allclose(ends[:, 0, 1], y)
        heights.append(y)
    # One above the other in each row, and all nearer to it than to the next.
    assert np.all(np.diff(heights, axis=0) < 0)
    assert np.abs(heights - np.arange(J)).max() < 0.5


def test_strategies_differ_in_shape_dash_and_colour_and_the_words_say_which() -> None:
    ax = plots.forest(three())
    lines = [look.line(ax, words) for words in WORDS.values()]
    assert len({line.get_marker() for line in lines}) == 3
    assert len({line.get_color() for line in lines}) == 3
    dashes = {str(c.get_linestyle()) for c in ax.collections}
    assert len(dashes) == 3
    assert look.legend(ax) == list(WORDS.values())
    assert ax.get_xlabel() == "y\n(mark: posterior mean; bar: central 90 % posterior interval)"
    assert ax.get_ylabel() == "group"


@pytest.mark.parametrize("J", [65, 1000])
def test_of_many_groups_forty_are_shown_evenly_by_rank(J: int) -> None:
    by_name = three(J)
    ax = plots.forest(by_name)
    mean = np.sort(theta(by_name["partial"]).mean(fits.DIMS).to_numpy())
    ranks = np.searchsorted(mean, look.line(ax, "partial pooling").get_xdata() - 1e-9)
    assert (ranks[0], ranks[-1], len(ranks)) == (0, J - 1, 40)
    assert np.ptp(np.diff(ranks)) <= 1
    assert look.title(ax) == f"Each group's estimate (40 of {J} shown, evenly by rank)"
    ax.figure.canvas.draw()
    assert look.boxes_apart([*ax.get_yticklabels(), *ax.get_legend().get_texts()])
    assert look.inside(ax.figure, [*ax.get_yticklabels(), ax._left_title])


def test_a_comparison_is_drawn_by_its_fits_and_other_names_stand_as_they_are() -> None:
    by_name = three()
    ax = plots.forest(SimpleNamespace(fits=by_name))
    np.testing.assert_allclose(
        look.line(ax, "partial pooling").get_xdata(),
        look.line(plots.forest(by_name), "partial pooling").get_xdata(),
    )
    ax = plots.forest({"wide prior": by_name["none"], "narrow prior": by_name["partial"]})
    assert look.legend(ax) == ["wide prior", "narrow prior"]
    assert look.legend(plots.forest(by_name["partial"])) == ["partial pooling"]


def test_groups_in_another_order_are_matched_by_their_labels() -> None:
    by_name = three()
    posterior = inference_data.dataset(by_name["none"], "posterior")
    turned = fits.one_way(8, pooling="none", posterior=posterior.isel(group=slice(None, None, -1)))
    ax = plots.forest({**by_name, "none": turned})
    np.testing.assert_allclose(
        look.line(ax, "no pooling").get_xdata(),
        look.line(plots.forest(by_name), "no pooling").get_xdata(),
    )
    with pytest.raises(ContainerError, match=r"'none' and 'partial' differ in 'g8'"):
        plots.forest({**by_name, "none": fits.one_way(7, pooling="none")})


def test_a_coefficient_of_varying_slopes() -> None:
    by_name = {name: fits.slopes(8, pooling=name) for name in WORDS}
    ax = plots.forest(by_name, coefficient="hours")
    assert ax.get_xlabel().startswith("hours (score per unit of hours)")
    assert look.title(ax) == "Each school's coefficient 'hours'"
    with pytest.raises(OptionError, match="say which by coefficient="):
        plots.forest(by_name)


def test_of_a_few_groups_all_intervals_are_whole_where_none_dwarfs_the_others() -> None:
    def wider(J: int, times: float) -> str:
        whole = {p: fits.one_way(J, pooling=p) for p in ("partial", "complete")}
        posterior = inference_data.dataset(fits.one_way(J, pooling="none"), "posterior")
        wide = posterior.assign(theta=posterior["theta"].copy(deep=True))
        low, high = float(wide["theta"].min()), float(wide["theta"].max())
        wide["theta"][..., 2] = np.linspace(
            low - times * (high - low), high + times * (high - low), wide.sizes["draw"]
        )
        fit = fits.one_way(J, pooling="none", posterior=wide)
        return str(plots.forest({"none": fit, **whole}).get_xlabel())

    assert "cut" not in wider(8, 1.5)
    assert "1 interval without pooling cut" in wider(8, 9)
    assert "1 interval without pooling cut" in wider(30, 1.5)


def test_intervals_without_pooling_that_reach_too_far_are_cut_and_counted() -> None:
    by_name = three()
    posterior = inference_data.dataset(by_name["none"], "posterior")
    wide = posterior.assign(theta=posterior["theta"].copy(deep=True))
    centre = float(wide["theta"][..., 2].mean())
    wide["theta"][..., 2] = centre + 100 * (wide["theta"][..., 2] - centre)
    ax = plots.forest({**by_name, "none": fits.one_way(8, pooling="none", posterior=wide)})
    plain = plots.forest(by_name)
    assert ax.get_xlabel().endswith("\n1 interval without pooling cut at the edge")
    assert "cut" not in plain.get_xlabel()
    wide["theta"][..., 2] += 1000
    far = plots.forest({**by_name, "none": fits.one_way(8, pooling="none", posterior=wide)})
    assert far.get_xlabel().endswith("cut at the edge, 1 mark outside")
    assert np.ptp(ax.get_xlim()) < 3.2 * np.ptp(plain.get_xlim())


def test_it_draws_on_the_axes_given() -> None:
    _, (left, right) = plt.subplots(1, 2)
    assert plots.forest(three(), ax=right, groups=["g1", "g3"]) is right
    assert not left.lines
    assert plt.get_fignums() == [1]
    assert {label.split()[0] for label in look.rows(right)} == {"g1", "g3"}


def test_what_is_no_fit_is_refused() -> None:
    with pytest.raises(OptionError, match=r"a forest is of a fit, or of fits by name .* got list"):
        plots.forest([1, 2])
    with pytest.raises(OptionError, match=r"the fit 'partial' must be an ArviZ container, got int"):
        plots.forest({"partial": 3})
    with pytest.raises(OptionError, match="at most 4 fits beside"):
        plots.forest({str(k): fits.one_way(4) for k in range(5)})
