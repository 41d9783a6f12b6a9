"""Draws by name: of a variable, of one entry, of each group; and what is no name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import hiermodels as hm
from hiermodels.errors import ContainerError, OptionError
from hiermodels.posterior import named_draws
from tests.posterior.test_probabilities import effects, fit, normal

# ---- a variable, or one entry -------------------------------------------------------------------


def test_draws_have_their_labels_and_one_may_be_named_alone() -> None:
    x = effects()
    idata = fit({"theta": (("school",), x), "mu": ((), x[..., 0])})
    whole = named_draws.entries(idata, "theta")
    assert list(whole) == ["theta[A]", "theta[B]", "theta[C]"]
    ((label, one),) = named_draws.entries(idata, "theta[B]").items()
    assert label == "theta[B]"
    np.testing.assert_array_equal(one, x[..., 1])
    np.testing.assert_array_equal(named_draws.entries(idata, "mu")["mu"], x[..., 0])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("theat", r"no variable 'theat' in the posterior; .* did you mean 'theta'"),
        ("theta[a]", r"no 'theta\[a\]'; 'theta' has .*did you mean 'A'"),
        ("tehta[A]", r"no variable 'tehta' .* did you mean 'theta'"),
        (["theta"], r"name must be that of a variable, .* got \['theta'\]"),
    ],
)
def test_what_is_no_name_is_refused_with_the_near_misses(name: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        named_draws.entries(fit({"theta": (("school",), effects())}), name)


def test_draws_of_one_chain_that_lost_its_dim_are_refused() -> None:
    idata = fit({"theta": (("school",), effects())})
    one = idata.isel(chain=0)
    for ask in (
        lambda: named_draws.entries(one, "theta"),
        lambda: named_draws.by_group(one, "theta", None),
    ):
        with pytest.raises(ContainerError, match=r"need the dims .*sel\(chain=\[0\]\) keeps"):
            ask()
    assert list(named_draws.entries(idata.isel(chain=[0]), "theta[A]")) == ["theta[A]"]


def test_of_a_correlation_matrix_each_pair_is_there_once() -> None:
    r = np.tanh(normal(2, 50))
    Omega = np.ones((2, 50, 2, 2))
    Omega[..., 0, 1] = Omega[..., 1, 0] = r
    idata = fit({"Omega": (("coefficient", "coefficient_2"), Omega)})
    for name in ("Omega", "Omega[Intercept, slope]"):
        found = hm.probability(idata, name, ">", 0)
        assert list(found.index) == ["Omega[Intercept, slope]"]
        assert found["probability"].iloc[0] == np.mean(r > 0)


def test_effects_that_were_not_drawn_are_asked_for_in_vain() -> None:
    frame = hm.datasets.eight_schools()
    model = hm.EightSchools(frame, effect="effect", se="se", group="school")
    for kept in ("summary", "none"):
        idata = model.fit(engine="exact", seed=3, draws=10, effects=kept)
        for call in (
            lambda i: hm.probability(i, "theta", ">", 0),
            lambda i: hm.probability(i, "theta[A]", ">", 0),
            hm.ranks,
            hm.differences,
        ):
            with pytest.raises(OptionError, match=r"no draws of 'theta'.* effects='draws'"):
                call(idata)
    with pytest.raises(ContainerError, match="an ArviZ container"):
        hm.probability(3, "theta", ">", 0)


# ---- one number for each group ------------------------------------------------------------------


def test_of_several_coefficients_one_must_be_named() -> None:
    theta = normal(2, 60, 4, 2) + np.arange(4)[:, None] * [1, -1]
    mu = ("coefficient",), theta[:, :, 0]
    idata = fit({"theta": (("school", "coefficient"), theta), "mu": mu}, range(4))
    for k, name in enumerate(("Intercept", "slope")):
        one = fit({"theta": (("school",), theta[..., k])}, range(4))
        pd.testing.assert_frame_equal(hm.ranks(idata, coefficient=name), hm.ranks(one))
        pd.testing.assert_frame_equal(hm.differences(idata, coefficient=name), hm.differences(one))
    with pytest.raises(OptionError, match=r"coefficient must name one of .*'slope'\), got none"):
        hm.ranks(idata)
    with pytest.raises(OptionError, match=r"got 'slop'; did you mean 'slope'"):
        hm.differences(idata, coefficient="slop")
    with pytest.raises(OptionError, match=r"a value for each group \('theta' here\), got 'mu'"):
        hm.ranks(idata, "mu")
    single = fit({"theta": (("school",), theta[..., 0])}, range(4))
    with pytest.raises(OptionError, match="coefficient is for variables with several"):
        hm.ranks(single, coefficient="slope")


def test_where_all_effects_are_one_there_are_no_ranks_and_no_differences() -> None:
    idata = fit({"theta": (("school",), np.ones((2, 9, 3)))}, pooling="complete")
    for call in (hm.ranks, hm.differences):
        with pytest.raises(OptionError, match="pooling='complete' all groups have one effect"):
            call(idata)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (["A", "Bb"], "no group 'Bb' in 'school'; did you mean 'B'"),
        (["A", 7], "no group 7 in 'school'; it has 'A', 'B', 'C'"),
        (["A", "A"], "'A' is named twice"),
        (["A"], r"two labels or more, got \['A'\]"),
        ("AB", "must be a list of labels, got 'AB'"),
        (3, "must be a list of labels, got 3"),
    ],
)
def test_groups_that_cannot_be_compared_are_refused(groups: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        hm.differences(fit({"theta": (("school",), effects())}), groups=groups)


def test_one_group_has_no_difference() -> None:
    with pytest.raises(OptionError, match="at least 2 groups, got 1"):
        hm.differences(fit({"theta": (("school",), effects(J=1))}, ["A"]))


def test_a_number_that_is_text_is_said_to_be_and_the_other_way_about() -> None:
    x = named_draws.by_group(fit({"theta": (("school",), effects())}, [1, 2, 3]), "theta", None)
    with pytest.raises(OptionError, match="no group '2' in 'school'; did you mean 2\\?"):
        named_draws.places(x, [1, "2"])
    x = named_draws.by_group(fit({"theta": (("school",), effects())}, list("123")), "theta", None)
    with pytest.raises(OptionError, match="no group 2 in 'school'; did you mean '2'\\?"):
        named_draws.places(x, ["1", 2])
    assert named_draws.places(x, ["3", "1"]) == [2, 0]
    assert named_draws.places(x, None) == [0, 1, 2]
