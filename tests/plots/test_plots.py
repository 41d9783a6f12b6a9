"""What holds of all pictures together."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import hiermodels as hm
from hiermodels import plots
from hiermodels.errors import HierModelsError
from tests.plots import fits


def loo() -> Any:
    table = pd.DataFrame({"pareto_k": np.linspace(0, 0.9, 8)}, index=list("ABCDEFGH"))
    return SimpleNamespace(table=table, k_limit=0.7, unit="group")


def eight() -> Any:
    return hm.EightSchools(hm.datasets.eight_schools(), effect="effect", se="se", group="school")


PICTURES: dict[str, Callable[[], Any]] = {
    "shrinkage": lambda: plots.shrinkage(fits.one_way(8)),
    "forest": lambda: plots.forest(fits.one_way(8)),
    "raw_against_posterior": lambda: plots.raw_against_posterior(fits.one_way(8)),
    "impact_of_tau": lambda: plots.impact_of_tau(eight(), tau=[0.1, 1.0]),
    "slopes_and_intercepts": lambda: plots.slopes_and_intercepts(fits.slopes(8)),
    "group_lines": lambda: plots.group_lines(fits.slopes(8)),
    "spaghetti": lambda: plots.group_lines(fits.slopes(8), kind="spaghetti"),
    "trace": lambda: plots.trace(fits.one_way(8)),
    "pairs": lambda: plots.pairs(fits.one_way(8)),
    "prior_against_posterior": lambda: plots.prior_against_posterior(
        eight(), eight().fit(engine="exact", draws=100, seed=1)
    ),
    "posterior_predictive": lambda: plots.posterior_predictive(fits.one_way(8)),
    "predictive by group": lambda: plots.posterior_predictive(fits.one_way(8), groups=8),
    "pareto_k": lambda: plots.pareto_k(loo()),
}


def test_every_public_name_but_save_and_calibration_is_here() -> None:
    assert set(plots.__all__) <= set(PICTURES) | {"save", "calibration"}
    for name in plots.__all__:
        assert getattr(plots, name).__doc__


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_makes_one_figure_shows_nothing_and_changes_no_setting(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plt, "show", lambda *_, **__: pytest.fail("shown"))
    before = mpl.rcParams.copy()
    axes = PICTURES[name]()
    assert plt.get_fignums() == [1]
    assert mpl.rcParams == before
    assert np.asarray(axes, dtype=object).ravel()[0].figure is plt.figure(1)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: plots.shrinkage(fits.slopes(8)),
        lambda: plots.forest({str(k): fits.one_way(4) for k in range(5)}),
        lambda: plots.raw_against_posterior(fits.slopes(4, size=1), coefficient="hours"),
        lambda: plots.impact_of_tau(eight(), quantity="median"),
        lambda: plots.slopes_and_intercepts(fits.one_way(8)),
        lambda: plots.group_lines(fits.summed(fits.slopes(8))),
        lambda: plots.group_lines(fits.slopes(8), ["s9"]),
        lambda: plots.trace(fits.one_way(8), "nu"),
        lambda: plots.pairs(fits.one_way(8), "mu"),
        lambda: plots.prior_against_posterior(eight(), fits.eight_schools(), "theta"),
        lambda: plots.posterior_predictive(fits.eight_schools(), statistic="sd", groups=2),
        lambda: plots.pareto_k(3),
    ],
)
def test_a_picture_that_is_refused_leaves_no_figure(wrong: Callable[[], Any]) -> None:
    with pytest.raises(HierModelsError):
        wrong()
    assert plt.get_fignums() == []
