"""Labels and notes: apart from each other, short, and where they belong."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.text import Text

from hiermodels.plots import style, writing
from tests.plots import look


def test_labels_are_moved_apart_and_keep_their_order_and_middle() -> None:
    heights = np.array([0.0, 0.1, 0.15, 5.0])
    found = writing.apart(heights, 1.0)
    assert np.all(np.diff(found) >= 1 - 1e-12)
    assert found[:3].mean() == pytest.approx(heights[:3].mean())
    assert found[3] == 5
    np.testing.assert_array_equal(writing.apart(np.arange(4.0), 0.5), np.arange(4.0))


def test_labels_of_points_that_lie_close_are_apart_and_inside() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(0, 0.15, 12), rng.normal(0, 0.15, 12)
    x[0], y[0] = 1.0, 1.0
    ax = style.new_axes()
    ax.plot(x, y, "o")
    ax.set(xlim=(-1, 1), ylim=(-1, 1))
    labels = [f"label {j}" for j in range(12)]
    writing.name_points(ax, x, y, labels, np.arange(12))
    ax.figure.canvas.draw()
    assert look.written(ax) == labels
    assert [text.xy for text in ax.texts] == list(zip(x, y, strict=True))
    assert look.boxes_apart(ax.texts)
    corner = Text.get_window_extent(ax.texts[0])
    assert corner.x1 <= ax.bbox.x1 + 1
    assert corner.y1 <= ax.bbox.y1 + 1


def test_upright_labels_stand_over_points_side_by_side() -> None:
    ax = style.new_axes()
    x, y = np.arange(20.0), np.full(20, 0.5)
    ax.set(xlim=(-1, 40), ylim=(0, 1))
    writing.name_points(ax, x, y, [f"label {j}" for j in range(20)], np.arange(20), upright=True)
    ax.figure.canvas.draw()
    assert look.boxes_apart(ax.texts)
    for text in ax.texts:
        box = text.get_window_extent()
        assert box.height > box.width
        middle = ax.transData.transform(text.xy)[0]
        assert (box.x0 + box.x1) / 2 == pytest.approx(middle, abs=2)


def test_labels_of_lines_stand_at_their_ends_and_apart() -> None:
    ax = style.new_axes()
    heights = np.linspace(0, 1, 25) ** 3
    ax.set(xlim=(0, 1), ylim=(0, 1))
    writing.name_ends(ax, 1.0, heights, [str(j) for j in range(25)], np.arange(25))
    ax.figure.canvas.draw()
    assert look.written(ax) == [str(j) for j in range(25)]
    assert [text.xy for text in ax.texts] == [(1.0, pytest.approx(h)) for h in heights]
    assert look.boxes_apart(ax.texts)
    assert look.inside(ax.figure, ax.texts)


def test_notes_follow_the_label_each_on_its_line() -> None:
    _, ax = plt.subplots()
    writing.note(ax, "", "")
    assert ax.get_xlabel() == ""
    ax.set_xlabel("x")
    writing.note(ax, "first", "", "second")
    assert ax.get_xlabel() == "x\nfirst\nsecond"


def test_long_labels_are_cut() -> None:
    assert writing.short("a" * 30) == "a" * 23 + "…"
    assert writing.short(12) == "12"
