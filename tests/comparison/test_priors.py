"""One model under several sets of priors: the answers, the words, the failures."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

import hiermodels as hm
from hiermodels.comparison.priors import compare_priors
from hiermodels.container import inference_data as idatas
from hiermodels.errors import DiagnosticWarning, ExactError, OptionError, PriorError
from hiermodels.models.model import Model
from tests import reference

COLUMNS = ["variable", "priors", "mean", "sd", "q5", "median", "q95", "shift"]
SETS: dict[str, Any] = {
    "half-Cauchy": {"mu": hm.Normal(0, 5), "tau": hm.HalfCauchy(5)},
    "flat": {"mu": hm.Flat(), "tau": hm.Flat()},
    "narrow": {"tau": hm.HalfNormal(1)},
}


@pytest.fixture(scope="module")
def model() -> hm.EightSchools:
    frame = hm.datasets.eight_schools()
    return hm.EightSchools(frame, effect="effect", se="se", group="school")


@pytest.fixture(scope="module")
def found(model: Any) -> Any:
    return compare_priors(model, SETS, seed=1)


@pytest.fixture(scope="module")
def slopes() -> Any:
    frame = hm.datasets.simulate_varying_slopes(groups=15, size=10, seed=3).frame
    return hm.VaryingSlopes(frame, y="y", group="group", varying=["x1"])


# ---- the answers ---------------------------------------------------------------------------------


def test_the_table_holds_the_exact_posterior_under_each_set(model: Any, found: Any) -> None:
    assert list(found.table.columns) == COLUMNS
    assert found.exact
    assert set(found.engines.values()) == {"exact"}
    assert list(found.fits) == ["as it is", *SETS]
    for name, priors in {"as it is": {}, **SETS}.items():
        exact = hm.exact.posterior(model.replace(priors=priors)).summary()
        rows = found.table[found.table["priors"] == name].set_index("variable")
        assert list(rows.index) == list(hm.summary(found.fits[name]).index)
        pd.testing.assert_frame_equal(
            rows[COLUMNS[2:-1]], exact.loc[rows.index, COLUMNS[2:-1]], check_names=False
        )


def test_a_shift_is_in_posterior_sds_under_the_first_set(found: Any) -> None:
    mean, sd = found.wide("mean"), found.wide("sd")
    first = mean["as it is"]
    for name in found.fits:
        expected = (mean[name] - first) / sd["as it is"]
        np.testing.assert_allclose(found.wide("shift")[name], expected, rtol=1e-12)
    assert (found.wide("shift")["as it is"] == 0).all()
    assert found.wide("shift").loc["tau", "narrow"] < -0.5


def test_the_fits_are_those_of_the_models_by_themselves(model: Any, found: Any) -> None:
    for name, priors in SETS.items():
        alone = model.replace(priors=priors).fit(engine="exact", seed=1)
        kept = idatas.dataset(found.fits[name], "posterior")
        assert kept.equals(idatas.dataset(alone, "posterior"))
        assert idatas.attributes(found.fits[name])["seed"] == found.seed == 1


def test_marginal_likelihoods_are_those_of_proper_priors(model: Any, found: Any) -> None:
    known = found.log_marginal_likelihood
    assert list(known.index) == list(found.fits)
    assert np.isnan(known["flat"])
    for name in ("half-Cauchy", "narrow"):
        exact = hm.exact.posterior(model.replace(priors=SETS[name]))
        assert known[name] == pytest.approx(exact.log_marginal_likelihood, abs=1e-9)


def test_a_set_changes_what_it_names_and_nothing_else(slopes: Any) -> None:
    mine = slopes.replace(priors={"mu": {"x1": hm.Normal(1, 2)}, "sigma": hm.HalfNormal(3)})
    sets = {
        "one": {"tau": {"x1": hm.HalfNormal(9)}},
        "two": {"mu": {"Intercept": hm.Normal(0, 7)}},
    }
    found = compare_priors(mine, sets, seed=1, draws=100)
    assert not found.exact
    assert set(found.engines.values()) == {"exact"}
    p = found.priors
    assert list(p.columns) == ["as it is", "one", "two"]
    assert p.loc["tau[x1]", "one"] == "HalfNormal(9)"
    assert p.loc["mu[Intercept]", "two"] == "Normal(0, 7)"
    assert (p.loc["mu[x1]"] == "Normal(1, 2)").all()
    assert (p.loc["sigma"] == "HalfNormal(3)").all()
    changed = [name for name, row in p.iterrows() if len(set(row)) > 1]
    assert changed == ["mu[Intercept]", "tau[x1]"]
    assert found.log_marginal_likelihood.notna().all()


def test_the_models_own_priors_come_first_unless_their_name_is_given(model: Any) -> None:
    narrow = {"tau": hm.HalfNormal(1)}
    assert list(compare_priors(model, {"n": narrow}, seed=1).fits) == ["as it is", "n"]
    given = compare_priors(model, {"n": narrow, "as it is": {}}, seed=1)
    assert list(given.fits) == ["n", "as it is"]
    assert given.priors.loc["tau", "as it is"] == str(model.priors["tau"])
    assert (given.wide("shift")["n"] == 0).all()


def test_a_mean_that_does_not_exist_has_no_shift() -> None:
    # Given a large tau three groups and a flat mu leave p(y | tau) as tau^-2: there is no mean.
    frame = pd.DataFrame({"effect": [1.0, 4.0, 9.0], "se": [2.0, 3.0, 2.5], "study": list("abc")})
    model = hm.EightSchools(frame, effect="effect", se="se", group="study")
    found = compare_priors(model, {"flat": {"mu": hm.Flat(), "tau": hm.Flat()}}, seed=1)
    shift = found.wide("shift")
    assert np.isnan(shift.loc["tau", "flat"])
    assert np.isfinite(shift.loc["theta[a]", "flat"])
    assert found.largest["variable"] != "tau"
    (note,) = found.notes
    assert note.startswith("no posterior mean, and so no shift: ")
    assert "tau under 'flat'" in note


def test_without_an_sd_under_the_first_set_there_is_no_shift_either() -> None:
    # With four groups p(tau | y) falls as tau^-3: a mean, and no variance.
    frame = hm.datasets.eight_schools()[:4]
    model = hm.EightSchools(frame, effect="effect", se="se", group="school")
    sets = {"flat": {"mu": hm.Flat(), "tau": hm.Flat()}, "as it is": {}}
    found = compare_priors(model, sets, seed=1)
    assert np.isinf(found.wide("sd").loc["tau", "flat"])
    assert np.isfinite(found.wide("mean").loc["tau"]).all()
    assert found.wide("shift").loc["tau"].isna().all()
    (note,) = [line for line in found.notes if "tau" in line]
    assert note.startswith("no posterior sd, and so no shift: ")
    assert "tau under 'flat'" in note


# ---- the engine ----------------------------------------------------------------------------------


def test_a_set_without_an_exact_answer_is_sampled_and_says_so(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = Model.fit, []

    def fit(self: Any, *, engine: str = "nuts", **options: Any) -> Any:
        asked.append((engine, sorted(options)))
        if engine == "exact" and self.priors["tau"] == hm.HalfNormal(1):
            raise ExactError("the tails reach too far")
        idata = real(self, engine="exact", seed=options["seed"])
        if engine == "nuts":
            warnings.warn("3 divergences", DiagnosticWarning, stacklevel=2)
            idata.attrs["engine"] = "nuts"
            idata.attrs.pop("exact_method")
            idata.attrs.pop("exact_log_marginal_likelihood", None)
        return idata

    monkeypatch.setattr(Model, "fit", fit)
    with pytest.warns(DiagnosticWarning, match=r"priors 'narrow': 3 divergences"):
        found = compare_priors(
            model, {"narrow": {"tau": hm.HalfNormal(1)}}, seed=1, executor=object(), draws=500
        )
    assert asked == [
        ("exact", ["draws", "seed"]),
        ("exact", ["draws", "seed"]),
        ("nuts", ["draws", "executor", "seed"]),  # whose chains have a use for one
    ]
    assert found.engines == {"as it is": "exact", "narrow": "nuts"}
    assert not found.exact
    assert any("priors 'narrow': sampled by NUTS" in n and "too far" in n for n in found.notes)
    assert "note priors 'narrow': sampled by NUTS" in str(found)
    assert np.isnan(found.log_marginal_likelihood["narrow"])


def test_other_poolings_are_drawn_exactly_where_their_priors_are_normal_or_flat(
    model: Any,
) -> None:
    whole = model.replace(pooling="complete")
    found = compare_priors(whole, {"narrow": {"mu": hm.Normal(0, 1)}}, seed=1)
    assert set(found.engines.values()) == {"exact"}
    assert found.notes == ()
    assert set(found.table["variable"]) == {"mu"}  # theta is mu, eight times
    assert found.log_marginal_likelihood.notna().all()
    # mu | y is normal: precision 1/1^2 + sum of 1/se^2, from the frame.
    frame = hm.datasets.eight_schools()
    w = 1 / frame["se"] ** 2
    exact = float((w * frame["effect"]).sum() / (w.sum() + 1))
    error = 1 / np.sqrt((w.sum() + 1) * 4000)
    assert abs(found.wide("mean").loc["mu", "narrow"] - exact) < reference.LIMIT * error
    assert found.wide("shift").loc["mu", "narrow"] < -1


@pytest.mark.stan
def test_a_prior_of_another_family_is_sampled_where_the_model_asks_for_it(model: Any) -> None:
    whole = model.replace(pooling="complete")
    sets = {"heavy": {"mu": hm.StudentT(3, 0, 1)}}
    found = compare_priors(whole, sets, seed=1, progress=False)
    assert found.engines == {"as it is": "exact", "heavy": "nuts"}
    (note,) = [line for line in found.notes if "sampled by NUTS" in line]
    assert note.startswith("priors 'heavy': sampled by NUTS (engine='exact' with pooling=")
    assert "needs normal or flat priors" in note


def test_so_few_draws_that_shifts_are_chance_are_told_of(slopes: Any) -> None:
    sets = {"alike": {"tau": slopes.priors["tau"]}}
    few = compare_priors(slopes, sets, seed=1, chains=2, draws=50)
    # Two means of 100 independent draws: sqrt(2/100) = 0.14.
    (note,) = few.notes
    assert note.startswith("shifts have Monte Carlo errors of up to 0.")
    assert 0.1 < float(note.split(" sd")[0].split()[-1]) < 0.3


@pytest.mark.stan
@pytest.mark.filterwarnings("ignore::hiermodels.errors.DiagnosticWarning")
def test_an_option_that_only_nuts_has_chooses_it(model: Any) -> None:
    found = compare_priors(model, {"narrow": SETS["narrow"]}, seed=1, draws=50, adapt_delta=0.9)
    assert set(found.engines.values()) == {"nuts"}
    assert "adapt_delta" in found.notes[0]


# ---- words ---------------------------------------------------------------------------------------


def test_side_by_side_has_a_column_for_each_set(found: Any) -> None:
    wide = found.wide("q95")
    assert list(wide.columns) == list(found.fits)
    assert list(wide.index) == list(hm.summary(found.fits["flat"]).index)
    with pytest.raises(OptionError, match="did you mean 'median'"):
        found.wide("medain")


# ---- failures ------------------------------------------------------------------------------------


def test_a_prior_that_cannot_be_is_refused_before_any_fit(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Model, "fit", lambda *_, **__: pytest.fail("fitted"))
    with pytest.raises(PriorError, match=r"priors 'odd': .*'tua'.*did you mean 'tau'"):
        compare_priors(model, {"fine": {}, "odd": {"tua": hm.HalfNormal(1)}})
    with pytest.raises(PriorError, match=r"priors 'odd': .*tau is a scale parameter"):
        compare_priors(model, {"odd": {"tau": hm.Normal(0, 1)}})
    with pytest.raises(PriorError, match=r"'odd': priors: under pooling='complete' .*'tau'.* mu; "):
        compare_priors(model.replace(pooling="complete"), {"odd": {"tau": hm.HalfNormal(1)}})


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        ({}, "sets must be a dict from name to priors.*got an empty one"),
        ([1], "got list"),
        ({"tau": hm.HalfCauchy(5)}, r"a name must map to a dict of priors.*'tau': HalfCauchy"),
        ({3: {}}, "a name must map to a dict"),
    ],
)
def test_sets_of_another_form_are_refused(model: Any, sets: Any, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        compare_priors(model, sets)


def test_other_arguments_are_refused(model: Any) -> None:
    narrow = {"narrow": {"tau": hm.HalfNormal(1)}}
    with pytest.raises(OptionError, match=r"engine must be one of .*did you mean 'exact'"):
        compare_priors(model, narrow, engine="exakt")
    with pytest.raises(OptionError, match=r"has an option 'drawz'.*did you mean 'draws'"):
        compare_priors(model, narrow, drawz=10)
    with pytest.raises(OptionError, match="model must be an EightSchools"):
        compare_priors(hm.datasets.eight_schools(), narrow)


def test_two_sets_have_the_reference_posteriors(found: Any) -> None:
    known = reference.load("eight_schools_exact.json")
    for name, key in {"half-Cauchy": "normal5_halfcauchy5", "flat": "flat_uniform"}.items():
        for label, ours in {"mu": "mu", "tau": "tau", "theta[1]": "theta[A]"}.items():
            for statistic, column in {"mean": "mean", "sd": "sd", "q50": "median"}.items():
                assert found.wide(column).loc[ours, name] == pytest.approx(
                    known[key][label][statistic], rel=1e-6
                )


def test_an_interval_that_leaves_zero_out_is_told_of(found: Any) -> None:
    above = (found.wide("q5") > 0).loc["theta[A]"]
    assert set(above) == {True, False}  # else this test says nothing
    (line,) = [c for c in found.crossings if "theta[A]" in c]
    assert line.startswith("90 % interval of theta[A]: above 0 under ")
    assert not [c for c in found.crossings if "tau" in c]
