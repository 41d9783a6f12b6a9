"""The impact of tau: lines, density and labels are those of the exact posterior."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

import hiermodels as hm
from hiermodels.errors import OptionError
from tests.plots import fits, look


def exact_schools() -> Any:
    return hm.exact.posterior(
        hm.EightSchools(hm.datasets.eight_schools(), effect="effect", se="se", group="school")
    )


@pytest.mark.parametrize("quantity", ["mean", "sd", "pooling_factor"])
def test_the_impact_of_tau_is_a_line_for_each_group_above_a_density(quantity: str) -> None:
    posterior = exact_schools()
    ax = hm.plots.impact_of_tau(posterior, quantity=quantity, tau=[0.01, 1.0, 5.0, 20.0])
    lines = {line.get_label(): line for line in ax.get_lines()}
    assert list(lines) == list("ABCDEFGH")
    table = posterior.given_tau([0.01, 1.0, 5.0, 20.0])
    want = table[table["school"] == "C"][quantity]
    np.testing.assert_allclose(lines["C"].get_ydata(), want)
    below = ax.figure.axes[-1]
    assert below.get_ylabel() == "p(tau | y)"
    assert below.get_xlabel() == "tau, in the units of effect"
    assert below.get_xlim() == ax.get_xlim() == (0, 20)
    density = table.groupby("tau")["density"].first()
    np.testing.assert_allclose(below.get_lines()[0].get_ydata(), density)
    assert ("effect" in ax.get_ylabel()) is (quantity != "pooling_factor")
    ends = {label: line.get_ydata()[-1] for label, line in lines.items()}
    assert look.written(ax) == sorted(ends, key=lambda label: ends[label])
    assert [text.xy for text in ax.texts] == [(20, pytest.approx(y)) for y in sorted(ends.values())]
    ax.figure.canvas.draw()
    assert look.boxes_apart(ax.texts)


def test_lines_are_told_apart_without_colours() -> None:
    ax = hm.plots.impact_of_tau(exact_schools(), tau=[0.1, 1.0])
    # The dash pattern itself: styles given as numbers all have the name "--".
    dashes = [str(line._unscaled_dash_pattern) for line in ax.get_lines()]
    assert len(set(dashes)) == 6
    assert dashes[6:] == dashes[:2]


@pytest.mark.parametrize("J", [30, 65])
def test_of_many_groups_the_extremes_have_labels_at_their_ends(J: int) -> None:
    frame, _ = hm.datasets.simulate_one_way(groups=J, size=4, tau=3, seed=1)
    posterior = hm.exact.posterior(hm.OneWay(frame, y="y", group="group"))
    ax = hm.plots.impact_of_tau(posterior, tau=[0.1, 1.0])
    assert len(ax.get_lines()) == J
    last = np.argsort([line.get_ydata()[-1] for line in ax.get_lines()])
    extremes = [str(j + 1) for j in (*last[:3], *last[-3:])]
    assert look.written(ax) == extremes
    assert ax.texts[0].xy[0] == 1.0
    assert look.title(ax) == f"The impact of tau on each group (J = {J})"
    assert "labelled: the 3 highest and the 3 lowest" in ax.figure.axes[-1].get_xlabel()


def test_it_draws_where_it_is_told() -> None:
    _, ax = plt.subplots()
    assert hm.plots.impact_of_tau(exact_schools(), tau=[1.0, 2.0], ax=ax) is ax
    assert plt.get_fignums() == [1]
    model = exact_schools().model
    assert len(hm.plots.impact_of_tau(model, tau=[0.0, 1.0]).get_lines()) == 8


def test_what_has_no_exact_posterior_is_refused() -> None:
    with pytest.raises(OptionError, match=r"got a container of draws; give the model"):
        hm.plots.impact_of_tau(fits.eight_schools())
    with pytest.raises(OptionError, match=r"of an exact posterior, got str"):
        hm.plots.impact_of_tau("A")
    with pytest.raises(OptionError, match="quantity must be one of"):
        hm.plots.impact_of_tau(exact_schools(), quantity="median")


def test_values_of_tau_are_closer_together_where_its_posterior_is() -> None:
    posterior = exact_schools()
    (line, *_) = hm.plots.impact_of_tau(posterior).get_lines()
    tau = line.get_xdata()
    assert (tau[0], tau[-1]) == (0, pytest.approx(posterior.quantile("tau", 0.99)))
    assert np.all(np.diff(tau) > 0)
    assert 95 < len(tau) <= 102
