"""Notes: groups too few for tau, and rows that a group's effect hangs on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import hiermodels as hm
from hiermodels.container import inference_data as idatas
from hiermodels.diagnostics import check as diagnostics
from hiermodels.diagnostics import notes


def schools(count: int, **options: Any) -> hm.EightSchools:
    frame = hm.datasets.eight_schools()[:count]
    return hm.EightSchools(frame, effect="effect", se="se", group="school", **options)


def notes_of(result: Any) -> list[Any]:
    return [finding for finding in result.findings if finding.severity == "note"]


# ---- few groups ---------------------------------------------------------------------------------


def test_three_groups_are_said_to_leave_tau_to_its_prior() -> None:
    model = schools(3, priors={"tau": hm.HalfCauchy(5)})
    result = hm.check(model.fit(engine="exact", seed=1))
    assert result.ok
    (note,) = notes_of(result)
    assert note.kind == "few_groups"
    assert note.parameters == ("tau",)
    assert note.message == (
        "3 groups cannot say much about tau, whose posterior leans on its prior, HalfCauchy(5)"
    )
    assert "hm.sensitivity(idata)" in note.remedy
    assert "hm.compare_priors(model, " in note.remedies[1]
    assert diagnostics.warnings_for(result) == []


def test_five_groups_are_enough_and_other_poolings_have_no_tau() -> None:
    assert not notes_of(hm.check(schools(5).fit(engine="exact", seed=1)))
    idata = schools(3).fit(engine="exact", seed=1)
    other = idatas.container(
        {"posterior": idatas.dataset(idata, "posterior")},
        {**idatas.attributes(idata), "pooling": "complete"},
    )
    assert not notes_of(hm.check(other))


@pytest.mark.parametrize("kept", ["draws", "summary", "none"])
def test_groups_are_counted_whatever_is_kept_of_their_effects(kept: str) -> None:
    idata = schools(4).fit(engine="exact", seed=1, effects=kept)
    assert notes_of(hm.check(idata))[0].message.startswith("4 groups cannot")
    assert notes_of(hm.check(idata, variables=["mu", "tau"]))[0].kind == "few_groups"


def test_each_coefficient_has_its_prior_named() -> None:
    frame, _ = hm.datasets.simulate_varying_slopes(groups=4, seed=2)
    model = hm.VaryingSlopes(
        frame,
        y="y",
        group="group",
        varying=["x1"],
        priors={"tau": {"x1": hm.HalfNormal(2), "Intercept": hm.Exponential(1)}},
    )
    idata = model.fit(engine="exact", seed=1)
    (note,) = notes_of(hm.check(idata))
    assert "the taus, whose posterior leans on their prior, Exponential(1)" in note.message
    assert "Exponential(1) for tau[Intercept], HalfNormal(2) for tau[x1]" in note.message
    assert note.parameters == ("tau[Intercept]", "tau[x1]")


# ---- single rows --------------------------------------------------------------------------------


def one_way(seed: int = 4) -> pd.DataFrame:
    frame, _ = hm.datasets.simulate_one_way(
        groups=20, size=10, mu=50.0, tau=3.0, sigma=2.0, seed=seed
    )
    return frame


def fit_one_way(frame: pd.DataFrame, **options: Any) -> Any:
    return hm.OneWay(frame, y="y", group="group").fit(engine="exact", seed=1, **options)


def test_a_row_moved_by_ten_sigma_is_named_with_its_group() -> None:
    frame = one_way()
    frame.loc[37, "y"] += 20.0
    result = hm.check(fit_one_way(frame))
    assert result.ok
    (note,) = notes_of(result)
    label = frame.loc[37, "group"]
    assert note.kind == "single_row"
    assert note.parameters == (f"theta[{label}]",)
    largest = hm.influence(fit_one_way(frame)).iloc[0]
    assert note.message == (
        f"one row moves theta of group {label} by {largest['shift']:.1f} sd (observation 37, "
        f"{largest['t']:.1f} sd from what the others predict)"
    )
    assert "hm.influence(idata)" in note.remedy
    assert diagnostics.warnings_for(result) == []
    assert not notes_of(hm.check(fit_one_way(frame), variables=["mu"]))


def test_rows_of_a_right_model_are_rarely_named() -> None:
    # At most one data set in 20: of 12, 5 or more come by chance once in 4000.
    named = 0
    for seed in range(12):
        frame = one_way(seed=100 + seed)
        named += bool(notes_of(hm.check(fit_one_way(frame, draws=250, pointwise=False))))
    assert named <= 4


def test_a_wild_row_of_a_large_group_does_not_move_it() -> None:
    frame = hm.datasets.simulate_one_way(groups=6, size=200, tau=3.0, sigma=2.0, seed=4).frame
    frame.loc[37, "y"] += 20.0
    idata = fit_one_way(frame, pointwise=False)
    wild = hm.influence(idata).set_index("observation").loc[37]
    assert wild["p"] < 1e-10
    assert wild["shift"] < 1
    assert not notes_of(hm.check(idata))


def test_what_has_no_rows_or_no_effects_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = one_way()
    frame.loc[37, "y"] += 20.0
    found = hm.sufficient_statistics(frame, y="y", group="group")
    assert not notes_of(hm.check(fit_one_way(found)))
    assert not notes_of(hm.check(fit_one_way(frame, effects="none")))
    assert notes_of(hm.check(fit_one_way(frame, effects="summary")))
    monkeypatch.setattr(notes, "_MOST_ROWS", 199)
    assert not notes_of(hm.check(fit_one_way(frame)))


def test_groups_of_one_row_have_no_other_row_to_go_by() -> None:
    rng = np.random.default_rng(9)
    groups = [*np.repeat(np.arange(20), 10), 99]
    frame = pd.DataFrame({"group": groups, "y": rng.normal(50, 2, 201)})
    frame.loc[200, "y"] = 90.0
    idata = fit_one_way(frame)
    assert hm.influence(idata).iloc[0]["group"] == 99
    assert not notes_of(hm.check(idata))
