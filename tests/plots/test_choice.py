"""Which groups are shown: evenly by rank, as asked, or varied."""

import numpy as np
import pytest

from hiermodels.errors import OptionError
from hiermodels.plots import choice

LABELS = [f"g{j}" for j in range(100)]


@pytest.mark.parametrize("most", [1, 2, 7, 60, 99])
def test_evenly_spaced_ranks_have_both_ends(most: int) -> None:
    order = np.random.default_rng(1).permutation(100)
    found = choice.evenly(order, most)
    assert len(set(found)) == most
    ranks = [int(np.flatnonzero(order == j)[0]) for j in found]
    assert ranks == sorted(ranks)
    assert ranks[0] == 0
    assert most == 1 or ranks[-1] == 99
    np.testing.assert_array_equal(choice.evenly(order, 100), order)


def test_labels_are_found_and_near_misses_named() -> None:
    assert choice.places(LABELS, ["g7", "g3", "g7"], "group").tolist() == [7, 3]
    assert choice.places(LABELS, "g7", "group").tolist() == [7]
    assert choice.places(["1", "2"], [2], "school").tolist() == [1]
    with pytest.raises(OptionError, match=r"no school 'g700'; .*and 92 more; did you mean"):
        choice.places(LABELS, ["g700"], "school")
    with pytest.raises(OptionError, match="must name a school or more, got none"):
        choice.places(LABELS, [], "school")
    for wrong in (True, 1.5):
        with pytest.raises(OptionError, match="groups must be a list of labels"):
            choice.places(LABELS, wrong, "school")
    with pytest.raises(OptionError, match="a number of at least 1, got 0"):
        choice.at_most(0, 60)


def test_varied_groups_are_the_extremes_and_the_rest_evenly() -> None:
    rng = np.random.default_rng(2)
    sizes, value = rng.permutation(100) + 1, rng.standard_normal(100)
    found = choice.varied(sizes, value, "slope", 12)
    assert len(set(found.places)) == 12
    assert [sizes[j] for j, why in found.why.items() if why == "smallest"] == [1, 2]
    assert [sizes[j] for j, why in found.why.items() if why == "largest"] == [100, 99]
    rest = value[found.places[8:]]
    assert np.all(np.diff(rest) > 0)
    assert found.words == (
        "2 smallest, 2 largest, 2 of the lowest and 2 of the highest slope, 4 evenly by slope"
    )


@pytest.mark.parametrize("most", range(1, 13))
def test_as_many_are_taken_as_asked_for(most: int) -> None:
    rng = np.random.default_rng(2)
    found = choice.varied(rng.permutation(100), rng.standard_normal(100), "slope", most)
    assert len(set(found.places.tolist())) == most
    said = [int(word) for word in found.words.replace(",", "").split() if word.isdigit()]
    assert not said or sum(said) == most


def test_few_groups_are_all_taken_and_one_size_tells_nothing() -> None:
    value = np.array([3.0, 1.0, 2.0])
    found = choice.varied(np.array([5, 6, 7]), value, "slope", 12)
    assert (found.places.tolist(), found.words) == ([1, 2, 0], "all, by slope")
    found = choice.varied(np.full(100, 5), np.arange(100.0), "slope", 12)
    assert "smallest" not in found.words
    assert found.places[:4].tolist() == [0, 1, 99, 98]
