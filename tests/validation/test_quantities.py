"""The quantities that calibration ranks: their names, their values against SciPy's densities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import hiermodels as hm
from hiermodels.container import inference_data as idatas
from hiermodels.errors import OptionError
from hiermodels.models import layout as groups
from hiermodels.validation import quantities, simulation
from tests.toy import toy
from tests.validation.test_simulation import MODELS, schools, slopes

pytestmark = pytest.mark.filterwarnings("ignore::hiermodels.errors.DataWarning")

LOGS = ("log_likelihood", "log_joint")


def drawn(model: Any, times: int = 3) -> Any:
    """Some draws of all parameters from the prior, together."""
    rng = np.random.default_rng(21)
    all_ = [simulation.parameters(model, rng) for _ in range(times)]

    def stacked(name: str) -> Any:
        values = [getattr(one, name) for one in all_]
        return None if values[0] is None else np.concatenate(values)

    names = ("mu", "tau", "L_Omega", "theta", "beta")
    aux = {n: np.concatenate([one.aux[n] for one in all_]) for n in all_[0].aux}
    return type(all_[0])(**{name: stacked(name) for name in names}, aux=aux)


def test_every_scalar_is_ranked_and_a_group_that_stands_for_any() -> None:
    groups = ["A", "B", "C", "D", "E", "F", "G", "H", "any group"]
    assert quantities.choose(schools(), None).names == (
        *("mu", "tau"),
        *(f"theta[{g}]" for g in groups),
        *LOGS,
    )
    model = slopes(varying=["x"], common=["w"], sigma="group")
    names = quantities.choose(model, None).names
    labels = ["c", "b", "a", "d", "any group"]
    assert names == (
        *("mu[Intercept]", "mu[x]", "tau[Intercept]", "tau[x]"),
        *(f"theta[{g}, {k}]" for g in labels for k in ("Intercept", "x")),
        "beta[w]",
        *(f"sigma[{g}]" for g in labels),
        "Omega[Intercept, x]",
        *LOGS,
    )


def test_without_pooling_and_with_complete_pooling_the_names_are_those_of_the_parameters() -> None:
    none = quantities.choose(MODELS["slopes, none"](), None).names
    assert "beta[c, w]" in none
    assert "theta[any group, x]" in none
    assert not any(name.startswith(("mu", "tau", "Omega")) for name in none)
    complete = quantities.choose(slopes(pooling="complete"), None).names
    assert complete == ("mu[Intercept]", "mu[x]", "beta[w]", "sigma", *LOGS)


def test_of_many_groups_some_are_ranked_from_the_smallest_to_the_largest() -> None:
    sizes = [5, 1, *range(2, 29), 30]
    frame = hm.datasets.simulate_one_way(groups=30, size=sizes, seed=3).frame
    model = hm.OneWay(frame, y="y", group="group")
    names = quantities.choose(model, None).names
    thetas = [n for n in names if n.startswith("theta")]
    assert len(thetas) == 9
    assert thetas[-1] == "theta[any group]"
    assert {"theta[2]", "theta[30]"} <= set(thetas)  # of sizes 1 and 30
    assert len([n for n in quantities.choose(model, "theta").names if n != thetas[-1]]) == 30


def test_names_choose_parameters_and_quantities() -> None:
    model = slopes()
    chosen = quantities.choose(model, ["tau", "beta[w]", "log_likelihood"])
    assert chosen.names == ("tau[Intercept]", "tau[x]", "beta[w]", "log_likelihood")
    assert quantities.values(model, chosen, drawn(model), 0).shape == (3, 4)
    assert quantities.choose(model, "log_joint").names == ("log_joint",)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["taus"], r"this model has no 'taus'; it has 'mu', 'tau', .* did you mean 'tau'"),
        ([], r"must be names such as \['tau', .* got \[\]"),
        (3, "must be names such as .* got 3"),
        ({"mu": np.mean}, "must map new names to functions.* that name is taken"),
        ({"gap": 3}, "must map new names to functions.* got 'gap': 3"),
    ],
)
def test_what_is_no_quantity_is_refused(asked: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        quantities.choose(schools(), asked)


def test_functions_have_the_parameters_by_name_and_the_response() -> None:
    model, draws = slopes(), drawn(slopes())

    def gap(values: Any, y: np.ndarray) -> Any:
        assert values["theta"].shape == (3, 4, 2)
        assert values["Omega"].shape == (3, 2, 2)
        assert values["sigma"].shape == (3,)
        return values["theta"][:, 0, 1] - values["mu"][:, 1] + y.mean()

    chosen = quantities.choose(model, {"gap": gap})
    assert chosen.names[-1] == "gap"
    found = quantities.values(model, chosen, draws, 0)[:, -1]
    y = model.design.rows("the test").y
    np.testing.assert_allclose(found, draws.theta[:, 0, 1] - draws.mu[:, 1] + y.mean())
    wrong = quantities.choose(model, {"gap": lambda *_: 1.0})
    with pytest.raises(OptionError, match=r"'gap' must give one number for each of the 3 draws"):
        quantities.values(model, wrong, draws, 0)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda v, _: v["thet"],
            r"'f' must work on .*'theta'.* KeyError: 'thet'; did you mean 'th",
        ),
        (lambda v: v["tau"], "'f' must work on the values of 'mu', .* got TypeError"),
        (lambda v, _: v["tau"].max(), "one number for each of the 1 draws, got shape"),
        (lambda v, _: v["tau"][:1, 0], "one number for each of the 3 draws, got shape"),
        (lambda v, _: v["tau"][:, 0] * np.nan, "'f' must be finite at parameters drawn from"),
    ],
)
def test_functions_are_tried_on_one_draw_and_on_several(function: Any, message: str) -> None:
    model = slopes()
    with pytest.raises(OptionError, match=message):
        quantities.check(model, quantities.choose(model, {"f": function}), drawn(model, 1))


def test_a_function_that_works_is_not_refused() -> None:
    model = slopes()
    chosen = quantities.choose(model, {"f": lambda v, y: v["tau"][:, 0] - y[0]})
    quantities.check(model, chosen, drawn(model, 1))


def test_entries_are_the_parameters_and_any_group_is_the_one_that_was_drawn() -> None:
    model, draws = (
        slopes(varying=["x", "w"], common=[]),
        drawn(slopes(varying=["x", "w"], common=[])),
    )
    chosen = quantities.choose(model, None)
    found = dict(zip(chosen.names, quantities.values(model, chosen, draws, 2).T, strict=True))
    labels = list(model.design.labels)
    draws = groups.at_zero(model, draws)  # as a container has them
    np.testing.assert_array_equal(found["tau[w]"], draws.tau[:, 2])
    np.testing.assert_array_equal(found["theta[b, x]"], draws.theta[:, labels.index("b"), 1])
    np.testing.assert_array_equal(found["theta[any group, x]"], draws.theta[:, 2, 1])
    Omega = draws.L_Omega @ np.swapaxes(draws.L_Omega, 1, 2)
    np.testing.assert_allclose(found["Omega[Intercept, w]"], Omega[:, 0, 2])
    np.testing.assert_allclose(found["Omega[x, w]"], Omega[:, 1, 2])


def test_entries_of_a_fit_are_those_of_its_container() -> None:
    # What a fit gives goes the same way as what was drawn from the prior.
    model = toy()
    posterior = idatas.dataset(model.fit(seed=1, chains=2, draws=50), "posterior")
    draws = groups.draws(model, posterior)
    chosen = quantities.choose(model, None)
    found = dict(zip(chosen.names, quantities.values(model, chosen, draws, 3).T, strict=True))
    theta = posterior["theta"].to_numpy().reshape(100, -1)
    np.testing.assert_array_equal(found["mu"], posterior["mu"].to_numpy().ravel())
    np.testing.assert_array_equal(found["theta[g1]"], theta[:, 1])
    np.testing.assert_array_equal(found["theta[any group]"], theta[:, 3])


@pytest.mark.parametrize("name", MODELS)
def test_the_logs_are_sums_of_scipys_densities(name: str) -> None:
    model = MODELS[name]()
    draws, d = drawn(model), model.design
    chosen = quantities.choose(model, list(LOGS))
    found = quantities.values(model, chosen, draws, 0)
    rows = d.rows("the test")
    for s in range(3):
        likelihood = 0.0
        raw = groups.at_zero(model, draws)  # coefficients of the rows as they are
        for i, j in enumerate(rows.index):
            theta = raw.mu[s] if raw.theta is None else raw.theta[s, j]
            beta = raw.beta[s, j] if raw.beta.ndim == 3 else raw.beta[s]
            sd = rows.se[i] if draws.sigma is None else draws.sigma[s].take(j, mode="clip")
            if draws.sigma is not None and draws.sigma.shape[1] == 1:
                sd = draws.sigma[s, 0]
            mean = rows.z[i] @ theta + rows.x[i] @ beta
            likelihood += stats.norm(mean, sd).logpdf(rows.y[i])
        prior = 0.0
        for block in model.priors:
            for k, family in enumerate(model.priors.as_list(block)):
                if block == "Omega":
                    prior += float(family.log_density(draws.L_Omega[s]))
                    continue
                x = getattr(draws, block)[s]
                shared = len(model.priors.as_list(block)) == 1
                prior += float(np.sum(family.log_density(x if shared else x[..., k])))
        if model.pooling == "partial":
            L = np.eye(d.K) if draws.L_Omega is None else draws.L_Omega[s]
            Lambda = np.diag(draws.tau[s]) @ L
            population = stats.multivariate_normal(draws.mu[s], Lambda @ Lambda.T)
            prior += float(np.sum(population.logpdf(draws.theta[s].reshape(d.J, d.K))))
        assert found[s, 0] == pytest.approx(likelihood, rel=1e-8)
        assert found[s, 1] == pytest.approx(likelihood + prior, rel=1e-8)


def test_groups_of_estimates_are_ordered_by_their_precision() -> None:
    frame = pd.DataFrame({"g": np.arange(20), "y": np.arange(20.0), "s": np.linspace(3, 1, 20)})
    model = hm.EightSchools(frame, effect="y", se="s", group="g")
    names = quantities.choose(model, None).names
    assert {"theta[0]", "theta[19]"} <= set(names)
