"""What all families share: frozen models, replace, priors that follow the pooling strategy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import hiermodels as hm
from hiermodels.errors import FrozenError, OptionError, PriorError


@pytest.fixture
def model() -> hm.EightSchools:
    return hm.EightSchools(hm.datasets.eight_schools(), effect="effect", se="se", group="school")


def test_a_model_is_frozen(model: hm.EightSchools) -> None:
    with pytest.raises(FrozenError, match=r"'pooling' cannot be set; model.replace\(pooling=...\)"):
        model.pooling = "none"
    with pytest.raises(FrozenError, match="cannot be deleted"):
        del model.priors


def test_replace_gives_another_model_and_leaves_the_first(model: hm.EightSchools) -> None:
    other = model.replace(pooling="none")
    assert (model.pooling, other.pooling) == ("partial", "none")
    assert list(other.priors) == ["theta"]
    back = other.replace(pooling="partial", priors={"tau": hm.HalfCauchy(5)})
    assert back.priors["tau"] == hm.HalfCauchy(5)
    assert back.priors["mu"] == model.priors["mu"]
    with pytest.raises(OptionError, match=r"no argument 'poling'; .* did you mean 'pooling'"):
        model.replace(poling="none")


def test_priors_of_another_pooling_strategy_wait_for_it(model: hm.EightSchools) -> None:
    tau = {"tau": hm.HalfCauchy(5)}
    complete = model.replace(pooling="complete", priors=tau)
    assert list(complete.priors) == ["mu"]
    assert complete.replace(pooling="partial").priors["tau"] == hm.HalfCauchy(5)
    with pytest.raises(PriorError, match="no parameter 'sigma'"):
        model.replace(pooling="complete", priors={"sigma": hm.HalfNormal(1)})
    # Nothing waits that was given with no other strategy in mind; what waits already may stay.
    with pytest.raises(PriorError, match="under pooling='complete' there is no parameter 'tau'"):
        model.replace(pooling="complete").replace(priors=tau)
    with pytest.raises(PriorError, match="under pooling='complete' there is no parameter 'tau'"):
        complete.replace(priors={"tau": hm.HalfCauchy(6)})
    both = complete.replace(priors={**tau, "mu": hm.Normal(0, 9)})
    assert both.replace(pooling="partial").priors["tau"] == hm.HalfCauchy(5)
    assert dict(both.priors) == {"mu": hm.Normal(0, 9)}


def test_a_model_says_what_it_is(model: hm.EightSchools) -> None:
    assert repr(model) == (
        "<EightSchools(effect='effect', se='se', group='school'): partial pooling, marginal, "
        "8 groups, 8 rows>"
    )
    assert str(model.priors).startswith("mu  ~ Normal(7.686, 41.25)  default\ntau ~ HalfT(3, ")


def test_the_frame_is_not_changed() -> None:
    frame = hm.datasets.simulate_one_way(groups=4, size=3, seed=1).frame
    before = frame.copy()
    hm.OneWay(frame, y="y", group="group")
    pd.testing.assert_frame_equal(frame, before)


def test_replace_keeps_the_data_whatever_became_of_the_frame() -> None:
    frame = hm.datasets.eight_schools()
    model = hm.EightSchools(frame, effect="effect", se="se", group="school")
    frame["effect"] = 0.0
    np.testing.assert_array_equal(
        model.replace(pooling="none").design.rows("a test").y, model.design.rows("a test").y
    )
    with pytest.raises(ValueError, match="read-only"):
        model.design.rows("a test").y[0] = 1e9


def test_a_prior_that_has_no_place_is_refused_where_it_is_given() -> None:
    with pytest.raises(PriorError, match="under pooling='partial' there is no parameter 'theta'"):
        hm.EightSchools(
            hm.datasets.eight_schools(),
            effect="effect",
            se="se",
            group="school",
            priors={"theta": hm.Normal(0, 1)},
        )


def test_a_program_knows_its_parameters() -> None:
    from hiermodels.stan import programs

    assert programs.load("one_way_noncentered").parameters == ("mu", "tau", "sigma", "eta")


def test_priors_wait_through_a_change_of_the_data_as_well() -> None:
    frame = hm.datasets.simulate_one_way(groups=4, size=3, seed=1).frame
    model = hm.OneWay(frame, y="y", group="group", priors={"tau": hm.HalfCauchy(5)})
    other = model.replace(pooling="none").replace(sigma="group")
    assert other.replace(pooling="partial").priors["tau"] == hm.HalfCauchy(5)
    assert list(model.replace(pooling="none", sigma="group").priors) == ["theta", "sigma"]
    with pytest.raises(PriorError, match="tau must be a prior such as"):
        model.replace(pooling="complete", priors={"tau": "nonsense"})


@pytest.mark.parametrize(("pooling", "called"), [("none", "no"), ("complete", "complete")])
def test_a_strategy_with_one_parameterization_is_named_once(pooling: str, called: str) -> None:
    frame = hm.datasets.eight_schools()
    columns = {"effect": "effect", "se": "se", "group": "school"}
    model = hm.EightSchools(frame, **columns, pooling=pooling)
    assert repr(model).endswith(f": {called} pooling, 8 groups, 8 rows>")
    fit = model.fit(engine="exact", seed=1, draws=100, chains=2)
    assert str(hm.check(fit)).startswith(f"EightSchools, {called} pooling, exact draws: 2 chains")
    del fit.attrs["engine"]
    assert str(hm.check(fit)).startswith(f"EightSchools, {called} pooling: 2 chains")
