"""Pareto k: each unit at its value, the limit, and the labels of those above it."""

from types import SimpleNamespace
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from hiermodels import plots
from hiermodels.errors import OptionError
from tests.plots import look


def loo(k: Any, unit: str = "group", name: str | None = "school") -> Any:
    index = pd.Index([f"s{j + 1}" for j in range(len(k))], name=name)
    table = pd.DataFrame({"elpd": 0.0, "pareto_k": k}, index=index)
    return SimpleNamespace(table=table, k_limit=0.7, unit=unit)


@pytest.mark.parametrize("J", [8, 65, 1000])
def test_every_unit_stands_at_its_k_and_the_bad_ones_are_named(J: int) -> None:
    k = np.random.default_rng(1).uniform(0, 0.6, J)
    k[[2, 5]] = 0.8, 1.2
    ax = plots.pareto_k(loo(k))
    good = np.delete(np.arange(J), [2, 5])
    np.testing.assert_array_equal(
        look.line(ax, f"{J - 2} to rely on").get_xydata(), np.column_stack([good, k[good]])
    )
    bad = look.line(ax, "2 above the limit")
    np.testing.assert_array_equal(bad.get_xydata(), [[2, 0.8], [5, 1.2]])
    assert bad.get_marker() == "X"
    assert {text.get_text(): text.xy for text in ax.texts} == {"s3": (2, 0.8), "s6": (5, 1.2)}
    assert look.line(ax, "limit 0.7").get_ydata() == [0.7, 0.7]
    assert look.line(ax, "1: no finite mean").get_ydata() == [1, 1]
    assert look.title(ax) == f"Leave one group out: Pareto k of {J}"
    if J == 8:
        assert [t.get_text() for t in ax.get_xticklabels()] == [f"s{j + 1}" for j in range(8)]
        assert ax.get_xlabel() == "school"
    else:
        assert ax.get_xlabel() == "school, in the order of the data"


def test_of_many_bad_ones_the_worst_are_named_and_the_note_says_so() -> None:
    k = np.linspace(0, 1.2, 65)
    ax = plots.pareto_k(loo(k))
    assert set(look.written(ax)) == {f"s{j}" for j in range(56, 66)}
    assert "labelled: the worst 10" in ax.get_xlabel()


def test_where_all_are_good_nothing_is_named() -> None:
    ax = plots.pareto_k(loo(np.full(8, 0.2), unit="observation", name=None))
    assert look.legend(ax) == ["8 to rely on", "limit 0.7"]
    assert look.written(ax) == []
    assert look.title(ax) == "Leave one observation out: Pareto k of 8"
    assert ax.get_xlabel() == "observation"
    assert ax.get_ylim()[1] > 0.7


def test_units_without_k_are_counted() -> None:
    ax = plots.pareto_k(loo(np.array([0.1, np.nan, 0.3])))
    assert "1 without k are left out" in ax.get_xlabel()
    with pytest.raises(OptionError, match="one k or more that is a number, got none"):
        plots.pareto_k(loo(np.full(3, np.nan)))
    with pytest.raises(OptionError, match=r"of a result of hm.loo, got int without"):
        plots.pareto_k(3)


def test_it_draws_on_the_axes_given() -> None:
    _, ax = plt.subplots()
    assert plots.pareto_k(loo(np.full(8, 0.2)), ax=ax) is ax
    assert plt.get_fignums() == [1]
