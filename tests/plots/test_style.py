"""Axes, legends, looks, windows."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from hiermodels.errors import OptionError
from hiermodels.plots import style


def test_a_window_is_there_only_where_something_lies_far_out() -> None:
    core = np.array([0.0, 10.0, np.nan])
    assert style.window(core, np.array([-9.0, 19.0])) is None
    low, high = style.window(core, np.array([-9.0, 1000.0]))  # type: ignore[misc]
    assert -10 < low < -9
    # No empty room towards what is outside.
    assert 10 < high < 11
    assert style.outside(np.array([-9.0, 21.0]), (low, high)).tolist() == [False, True]
    assert style.window(core, np.array([-900.0]))[0] > -1  # type: ignore[index]
    assert not style.outside(np.array([1e9]), None).any()
    assert style.window(np.array([np.nan]), np.array([1.0])) is None


def test_panels_are_made_or_taken() -> None:
    found = style.panels(5, columns=3)
    assert len(found.axes) == len(found.figure.axes) == 5
    assert found.own
    _, axes = plt.subplots(2, 3)
    taken = style.panels(5, columns=3, axes=axes)
    assert taken.axes.tolist() == axes.ravel()[:5].tolist()
    assert not taken.own
    with pytest.raises(OptionError, match=r"axes must hold 7 .*got 6; plt.subplots\(3, 3\)"):
        style.panels(7, columns=3, axes=axes)
    sub = plt.figure().subfigures(1, 2)[1]
    assert style.panels(2, columns=2, axes=sub).axes[0].figure is sub


def test_every_fit_has_a_look_of_its_own() -> None:
    found = style.looks(["none", "partial", "complete", "a", "b", "c", "d"])
    assert len({look.marker for look in found.values()}) == 7
    assert len({look.colour for look in found.values()}) == 7
    assert [look.words for look in found.values()][3:] == ["a", "b", "c", "d"]


def test_faint_lines_are_plain_in_the_legend() -> None:
    _, ax = plt.subplots()
    ax.plot([0, 1], [0, 1], alpha=0.1, label="many")
    style.headline(ax, "title")
    (handle,) = ax.get_legend().legend_handles
    assert handle.get_alpha() == 0.8
    assert ax.lines[0].get_alpha() == 0.1


@pytest.mark.parametrize("entries", [1, 3, 4, 7])
def test_the_legend_lies_between_title_and_axes(entries: int) -> None:
    ax = style.new_axes()
    for k in range(entries):
        ax.plot([0, 1], [0, k], label=f"line {k}")
    style.headline(ax, "title", columns=3)
    ax.figure.canvas.draw()
    legend, title = ax.get_legend().get_window_extent(), ax._left_title.get_window_extent()
    assert ax.bbox.y1 <= legend.y0
    assert legend.y1 <= title.y0 + 2
    assert title.y0 - legend.y1 < 20
