"""The report: a page that is well made, with the numbers of the fit, whatever the fit holds."""

from __future__ import annotations

import base64
import itertools
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import hiermodels as hm
from hiermodels.container import inference_data as idatas
from hiermodels.errors import ContainerError, OptionError
from hiermodels.reports import alternatives, numbers, pictures
from tests import pages

PRIORS = {"mu": hm.Normal(0, 5), "tau": hm.HalfCauchy(5)}
AWKWARD = ["<script>alert(1)</script>", "a & b", '"quoted"', "$5 to $10", "\u00fc\u4e2d", "x" * 70]


def eight_schools(**options: Any) -> hm.EightSchools:
    frame = options.pop("frame", None)
    return hm.EightSchools(
        hm.datasets.eight_schools() if frame is None else frame,
        **{"effect": "effect", "se": "se", "group": "school", "priors": PRIORS, **options},
    )


def rows(groups: int = 12, **options: Any) -> pd.DataFrame:
    made, _ = hm.datasets.simulate_one_way(
        groups=groups, size=6, mu=3, tau=1, sigma=1, seed=2, **options
    )
    return made


def one_way(frame: Any = None, **options: Any) -> hm.OneWay:
    return hm.OneWay(rows() if frame is None else frame, y="y", group="group", **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("reports")


@pytest.fixture(scope="module")
def schools() -> hm.PoolingComparison:
    return hm.compare_pooling(eight_schools(), seed=1)


@pytest.fixture(scope="module")
def schools_page(schools, folder) -> str:
    return hm.report(schools, folder / "schools.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def fit() -> Any:
    return one_way().fit(engine="exact", seed=3)


@pytest.fixture
def plain(monkeypatch):
    """Reports without pictures, which take most of the time."""
    monkeypatch.setattr(pictures, "drawn", lambda _: iter(()))


@pytest.fixture
def unrendered(monkeypatch):
    """Pictures that are drawn, but not turned into files."""
    pixel = base64.b64encode(b"pixel").decode("ascii")
    monkeypatch.setattr(
        pictures, "_embedded", lambda *_: (f"data:image/png;base64,{pixel}", (640, 480))
    )


@pytest.fixture
def one_picture(monkeypatch):
    """Reports with the first of their pictures only."""
    chosen = pictures._chosen
    monkeypatch.setattr(pictures, "_chosen", lambda s: itertools.islice(chosen(s), 1))


def written(what: Any, tmp_path: Path, **options: Any) -> str:
    return hm.report(what, tmp_path / "report.html", **options).read_text(encoding="utf-8")


def code_of(html: str) -> str:
    (code,) = pages.read(html).all("code")
    return code.text


# ---- the page ------------------------------------------------------------------------------------


def test_a_page_is_well_made_and_needs_nothing_from_elsewhere(schools_page):
    pages.assert_well_made(schools_page)
    page = pages.read(schools_page)
    headings = [h.text for h in page.all("h2")]
    assert headings == [
        *("In short", "Data", "Model", "Diagnostics", "Comparison", "Estimates", "Pictures"),
        "To make it again",
    ]
    assert len(page.all("img")) == 7
    assert "Left out" not in schools_page
    (policy,) = [m for m in page.all("meta") if "http-equiv" in m.attrs]
    assert policy.attrs["content"].startswith("default-src 'none'")


def test_the_same_comparison_gives_the_same_page(schools, tmp_path, one_picture):
    first = written(schools, tmp_path)
    assert len(images(first)) == 1
    assert written(schools, tmp_path) == first


def test_nothing_of_matplotlib_is_left_behind(schools, tmp_path, one_picture):
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    before, figures = dict(mpl.rcParams), plt.get_fignums()
    mpl.rcParams["axes.facecolor"] = "black"
    try:
        dark = written(schools, tmp_path)
        assert mpl.rcParams["axes.facecolor"] == "black"
    finally:
        mpl.rcParams["axes.facecolor"] = before["axes.facecolor"]
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == figures
    # The reader's style is not the page's.
    shown = [i.attrs["src"] for i in pages.read(dark).all("img")]
    assert shown == [i.attrs["src"] for i in pages.read(written(schools, tmp_path)).all("img")]


def test_what_users_named_is_text(tmp_path):
    frame = pd.DataFrame(
        {
            "<i>who": AWKWARD,
            "a & b": [28.0, 8, -3, 7, -1, 1],
            '"se"': [15.0, 10, 16, 11, 9, 11],
        }
    )
    model = eight_schools(frame=frame, effect="a & b", se='"se"', group="<i>who")
    html = written(hm.compare_pooling(model, seed=1), tmp_path, title="<b>bold</b>")
    pages.assert_well_made(html)
    page = pages.read(html)
    assert page.all("h1")[0].text == "<b>bold</b>"
    labels = [r[0] for r in pages.tables(page)["table-groups-0"][2:]]
    assert labels == AWKWARD
    assert not page.all("script", "b")
    assert {i.text for i in page.all("i")} <= {"y", "j", "m", "s", *"\u03b8\u03bc\u03c3\u03c4"}
    assert "Left out" not in html
    made: dict[str, Any] = {"frame": frame}
    exec(code_of(html).partition("pools =")[0], made)  # noqa: S102 - the page's own code
    assert made["model"].columns == model.columns


def test_signs_that_html_has_no_place_for_are_replaced():
    from hiermodels.reports import page

    assert page.escape("a\x00b\x1b[31m\ud800\tc\n") == "a\ufffdb\ufffd[31m\ufffd\tc\n"


# ---- numbers -------------------------------------------------------------------------------------


def test_scores_are_those_of_the_comparison(schools, schools_page):
    found = pages.tables(pages.read(schools_page))["table-scores-group"]
    scored = schools.elpd.dropna(subset=["elpd"])
    assert len(found) == 1 + len(scored) == 3
    for row, r in zip(found[1:], scored.to_dict("records"), strict=True):
        assert row[0] == f"{r['pooling']} pooling"
        wanted = [r[name] for name in ("elpd", "se", "elpd_diff", "se_diff", "p_loo")]
        assert row[1:6] == [f"{x:.2f}".replace("-0.00", "0.00") for x in wanted]
        assert row[6:8] == [str(r["terms"]), str(r["bad_k"])]
    assert "No pooling: no prediction: without pooling a new group has nothing" in schools_page


def test_estimates_are_those_of_the_comparison(schools, schools_page):
    page = pages.read(schools_page)
    over, heads, *found = pages.tables(page)["table-groups-0"]
    assert over == ["", "by itself", "no pooling", "partial pooling", "pooling factor", ""]
    assert heads[0] == "school"
    assert len(found) == 8
    assert all(len(row) == len(heads) == 11 for row in found)
    for row, r in zip(found, schools.estimates.to_dict("records"), strict=True):
        assert row[0] == r["school"]
        wanted = [r[n] for n in ("estimate", "se", "none_mean", "partial_mean", "partial_sd")]
        assert [*row[1:4], *row[5:7]] == [f"{x:.1f}" for x in wanted]
        assert row[7] == f"{r['partial_q5']:.1f} to {r['partial_q95']:.1f}"
        assert row[8] == f"{r['pooling_factor']:.2f}"
        assert row[10] == str(r["rank"])
    r = schools.estimates.iloc[0]
    assert (
        f"Complete pooling gives every school the same effect: {r['complete_mean']:.1f} (sd "
        f"{r['complete_sd']:.1f}, 90 % interval {r['complete_q5']:.1f} to {r['complete_q95']:.1f})"
    ) in schools_page


def test_hyperparameters_and_heterogeneity_are_those_of_the_fit(schools, schools_page):
    found = pages.tables(pages.read(schools_page))
    summary = hm.summary(schools.fits["partial"], ["mu", "tau"])
    for row, (label, r) in zip(found["table-hyperparameters"][1:], summary.iterrows(), strict=True):
        assert row[:3] == [label, f"{r['mean']:.1f}", f"{r['sd']:.1f}"]
        assert row[3] == f"{r['q5']:.1f} to {r['q95']:.1f}"
        assert row[6:] == [f"{r['ess_bulk']:.0f}", f"{r['ess_tail']:.0f}", f"{r['r_hat']:.3f}"]
    h = schools.heterogeneity
    shown = {row[0]: row[1:] for row in found["table-heterogeneity"][1:]}
    assert list(shown) == list(h.index)
    assert shown["I2"][0] == f"{h.loc['I2', 'mean']:.2f}"
    assert shown["lambda"][:3] == [f"{h.loc['lambda', 'mean']:.2f}", "", ""]


def test_data_and_priors_are_those_of_the_model(fit, tmp_path, plain):
    frame, model = rows(), one_way(priors={"tau": hm.HalfNormal(2)})
    other = model.fit(engine="exact", seed=1)
    html = written(other, tmp_path, model=model)
    pages.assert_well_made(html)
    found = pages.tables(pages.read(html))
    data = dict(found["table-data"])
    assert data["rows"] == "72"
    assert data["groups"] == "12"
    assert data["rows of a group"] == "6 each"
    assert data["mean of y"] == f"{frame['y'].mean():.2f}"
    assert data["sd of y"] == f"{frame['y'].std():.2f}"
    assert data["rows left out"] == "none"
    priors = {row[0]: row[1:] for row in found["table-priors"][1:]}
    assert priors["tau"] == ["HalfNormal(2)", "sd 2", "given"]
    assert priors["sigma"][2] == "default"
    # From the fit alone they are the same, but nobody knows which were given.
    alone = pages.tables(pages.read(written(fit, tmp_path)))
    assert dict(alone["table-data"]) == data
    assert {row[0] for row in alone["table-priors"][1:]} == set(priors)
    assert alone["table-priors"][0] == ["parameter", "prior", "its numbers"]


def test_what_a_reader_looks_for_first_is_said_in_short(schools, schools_page, tmp_path, plain):
    draws = idatas.dataset(schools.fits["partial"], "posterior")
    low, high = np.quantile(draws["mu"].to_numpy(), (0.05, 0.95))
    said = [i.text for i in pages.read(schools_page).one("summary").all("li")]
    assert said[0] == (
        "mu, the mean of effect over all groups, under partial pooling: "
        f"{float(draws['mu'].mean()):.1f} (90 % interval {low:.1f} to {high:.1f})."
    )
    assert said[1].startswith("tau, the standard deviation between groups: ")
    assert "predict about equally well" in said[2]
    frame, _ = hm.datasets.simulate_varying_slopes(groups=10, size=8, seed=1)
    model = hm.VaryingSlopes(frame, y="y", group="group", varying=["x1"])
    fit = model.fit(engine="exact", seed=1, draws=100)
    said = [i.text for i in pages.read(written(fit, tmp_path)).one("summary").all("li")]
    names = ["mu[Intercept]", "mu[x1]", "tau[Intercept]", "tau[x1]", "sigma"]
    assert [line.partition(",")[0] for line in said] == names
    mean = float(idatas.dataset(fit, "posterior")["mu"].sel(coefficient="x1").mean())
    assert f"mu[x1], the mean over all groups: {mean:.1f}" in said[1]


def test_what_the_answer_rests_on_is_said_in_short(tmp_path, plain):
    fit = one_way(rows(4)).fit(engine="exact", seed=1, draws=200)
    (note,) = [f for f in hm.check(fit).findings if f.kind == "few_groups"]
    page = pages.read(written(fit, tmp_path))
    said = [i.text for i in page.one("summary").all("li")]
    assert f"To know: {note.message}." in said
    said = [i.text for i in page.one("diagnostics").all("li")]
    assert f"To know: {note.message}; {note.remedy}." in said


def test_predictors_are_in_the_summary_of_the_data(tmp_path, plain):
    frame, _ = hm.datasets.simulate_varying_slopes(groups=10, size=8, seed=1)
    frame["sex"] = np.tile(["F", "F", "F", "M"], len(frame) // 4)
    model = hm.VaryingSlopes(frame, y="y", group="group", varying=["x1"], common=["sex"])
    fit = model.fit(engine="exact", seed=1, draws=100)
    html = written(fit, tmp_path, model=model)
    found = pages.tables(pages.read(html))["table-predictors"]
    x = frame["x1"]
    assert found[0] == ["predictor", "mean", "sd", "range"]
    assert [row[0] for row in found[1:]] == ["x1", "sex[M]"]
    # Three digits of the sd, which is 0.911.
    assert found[1][1:3] == [f"{x.mean():.3f}", f"{x.std():.3f}"]
    assert found[1][3] == f"{x.min():.4g} to {x.max():.4g}"
    assert found[2][1::2] == ["0.250", "0 to 1"]
    assert "are least squares on its own rows alone" in html
    assert "have none" not in html


def test_groups_without_an_estimate_of_their_own_are_counted(tmp_path, plain):
    frame, _ = hm.datasets.simulate_varying_slopes(groups=10, size=[1, 1, *[8] * 8], seed=1)
    model = hm.VaryingSlopes(frame, y="y", group="group", varying=["x1"])
    fit = model.fit(engine="exact", seed=1, draws=100)
    html = written(fit, tmp_path, model=model)
    assert "2 of 10 have none: too few rows" in html
    found = pages.tables(pages.read(html))["table-groups-0"]
    assert [row[2] == "none" for row in found[1:]] == [True] * 2 + [False] * 8
    assert "least squares" not in written(fit, tmp_path)


def test_limits_are_those_of_what_was_measured(fit, tmp_path, plain):
    said = "Wanted: R-hat at most 1.01, ESS at least 100 a chain"
    assert f"{said}.</p>" in written(fit, tmp_path)
    posterior = idatas.dataset(fit, "posterior")
    shape = posterior["mu"].shape
    energy = np.random.default_rng(1).normal(size=shape).cumsum(axis=1)
    energy[:3] = np.random.default_rng(2).normal(size=(3, shape[1]))
    stats = xr.Dataset(
        {
            "diverging": (("chain", "draw"), np.zeros(shape, dtype=bool)),
            "energy": (("chain", "draw"), energy),
        }
    )
    groups = {n: idatas.dataset(fit, n) for n in idatas.groups(fit)} | {"sample_stats": stats}
    bad = idatas.container(groups, {**idatas.attributes(fit), "engine": "nuts"})
    html = written(bad, tmp_path)
    assert f"{said}, no divergences, E-BFMI at least 0.3.</p>" in html
    heads, row = pages.tables(pages.read(html))["table-diagnostics"]
    found = dict(zip(heads, row, strict=True))
    assert found["least E-BFMI"] == f"{hm.check(bad).chains['e_bfmi'].min():.2f}"
    assert float(found["least E-BFMI"]) < 0.1
    assert (found["divergences"], found["verdict"]) == ("0", "BAD")


def test_dropped_rows_are_counted(tmp_path, plain):
    frame = rows()
    frame.loc[:2, "y"] = np.nan
    with pytest.warns(hm.HierModelsWarning, match="3 of 72 rows"):
        model = one_way(frame, missing="drop")
    html = written(model.fit(engine="exact", seed=1), tmp_path)
    found = dict(pages.tables(pages.read(html))["table-data"])
    assert found["rows left out"] == "3, for missing values"
    assert found["rows of a group"] == "3 to 6, median 6"
    assert 'missing="drop"' in code_of(html)


def test_own_estimates_need_the_model(fit, tmp_path, plain):
    found = pages.tables(pages.read(written(fit, tmp_path, model=one_way())))["table-groups-0"]
    assert found[0][:4] == ["group", "n", "its own estimate", "se"]
    means = rows().groupby("group")["y"].mean()
    assert [row[2] for row in found[1:]] == [f"{m:.2f}" for m in means]
    found = pages.tables(pages.read(written(fit, tmp_path)))["table-groups-0"]
    assert found[0] == ["group", "n", "mean", "sd", "90 % interval", "bulk ESS", "R-hat"]


def test_of_many_groups_the_first_hundred_are_shown(tmp_path, plain):
    model = one_way(rows(130))
    found = pages.read(written(hm.compare_pooling(model, seed=1, draws=100), tmp_path))
    captions = {c.attrs["id"]: c.text for c in found.all("caption")}
    assert captions["table-groups-0"] == "y by group (the first 100 of 130)"
    assert len(pages.tables(found)["table-groups-0"]) == 102
    idata = model.fit(engine="exact", seed=1, draws=100)
    found = pages.read(written(idata, tmp_path))
    assert len(pages.tables(found)["table-groups-0"]) == 101


def test_slopes_have_a_table_for_each_coefficient(tmp_path, plain):
    frame, _ = hm.datasets.simulate_varying_slopes(groups=10, size=8, seed=1)
    model = hm.VaryingSlopes(frame, y="y", group="group", varying=["x1"])
    pools = hm.compare_pooling(model, seed=1, draws=200)
    html = written(pools, tmp_path)
    pages.assert_well_made(html)
    found = pages.tables(pages.read(html))
    for k, name in enumerate(("Intercept", "x1")):
        part = pools.estimates[pools.estimates["coefficient"] == name]
        heads, shown = found[f"table-groups-{k}"][1], found[f"table-groups-{k}"][2:]
        assert heads[:4] == ["group", "n", "estimate", "se"]
        for row, r in zip(shown, part.to_dict("records"), strict=True):
            assert float(row[6]) == pytest.approx(r["partial_mean"], abs=0.01)
    assert {row[0] for row in found["table-heterogeneity"]} >= {"share[x1]", "tau[Intercept]"}


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [
        (1.25, 1, "1.2"),
        (-0.04, 1, "0.0"),
        (-0.06, 1, "-0.1"),
        (123456.0, -2, "123456"),
        (1e12, 2, "1e+12"),
        (float("nan"), 2, ""),
        (float("inf"), 2, "infinite"),
        (0.000123456, None, "0.0001235"),
    ],
)
def test_numbers_have_the_digits_that_they_are_given(value, places, text):
    assert numbers.fixed(value, places) == text


def test_decimals_follow_from_the_sd():
    assert [numbers.decimals(sd) for sd in (0.012, 0.5, 6.4, 64, 640)] == [3, 2, 1, 0, -1]
    assert numbers.decimals([1.0, np.nan, 100.0, 1.5]) == 1
    assert numbers.decimals([0.0, np.nan]) is None
    assert numbers.decimals(1e-12) is None


# ---- code ----------------------------------------------------------------------------------------


def test_the_code_of_a_comparison_makes_it_again(schools, schools_page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pictures, "drawn", lambda _: iter(()))
    code = re.sub(r'hm\.report\(pools, ".*"\)', 'hm.report(pools, "r.html")', code_of(schools_page))
    assert "hm.Normal(0, 5)" in code
    made: dict[str, Any] = {"frame": hm.datasets.eight_schools()}
    exec(code, made)  # noqa: S102 - the page's own code
    pd.testing.assert_frame_equal(made["pools"].elpd, schools.elpd)
    pd.testing.assert_frame_equal(made["pools"].estimates, schools.estimates)
    assert (tmp_path / "r.html").is_file()


@pytest.mark.parametrize("known", [True, False])
def test_the_code_of_a_fit_makes_it_again(known, tmp_path, monkeypatch, plain):
    monkeypatch.chdir(tmp_path)
    frame, _ = hm.datasets.simulate_varying_slopes(groups=8, size=8, seed=1)
    frame["sex"] = np.tile(["F", "M"], len(frame) // 2)
    priors = {"mu": {"x1": hm.Normal(0, 0.123456789)}, "tau": hm.HalfT(3, 1), "Omega": hm.LKJ(3)}
    model = hm.VaryingSlopes(
        frame, y="y", group="group", varying=["x1"], common=["sex"], priors=priors
    )
    idata = model.fit(engine="exact", seed=4, chains=2, draws=50)
    hm.report(idata, "report.html", model=model if known else None)
    code = code_of(Path("report.html").read_text(encoding="utf-8"))
    made: dict[str, Any] = {"frame": frame}
    exec(code, made)  # noqa: S102 - the page's own code
    assert made["model"].priors.as_json() == model.priors.as_json()
    # Not bit for bit: NumPy 2.0 rounds by where an array lies, here by 1.4e-12 of the value.
    xr.testing.assert_allclose(
        idatas.dataset(made["idata"], "posterior"),
        idatas.dataset(idata, "posterior"),
        rtol=1e-9,
        atol=0,
    )


def test_a_data_file_stays_as_the_user_gave_it(tmp_path, monkeypatch, plain):
    monkeypatch.chdir(tmp_path)
    hm.datasets.eight_schools().to_csv("schools.csv", index=False)
    model = eight_schools(frame="schools.csv")
    hm.report(hm.compare_pooling(model, seed=1), "report.html")
    html = Path("report.html").read_text(encoding="utf-8")
    assert 'hm.EightSchools(\n    "schools.csv",\n    effect="effect",' in code_of(html)
    assert str(tmp_path) not in html
    exec(code_of(html), {})  # noqa: S102 - the page's own code


def test_priors_of_other_strategies_are_in_the_code(tmp_path, plain):
    model = eight_schools(pooling="none", priors={"theta": hm.Normal(0, 20)})
    priors = {**PRIORS, "theta": hm.Normal(0, 20)}
    pools = hm.compare_pooling(model.replace(pooling="none", priors=priors), seed=1)
    code = code_of(written(pools, tmp_path))
    made: dict[str, Any] = {"frame": hm.datasets.eight_schools()}
    exec(code.partition("pools =")[0], made)  # noqa: S102 - the page's own code
    again = made["model"].replace(pooling="none")
    assert dict(again.priors) == {"theta": hm.Normal(0, 20)}


# ---- diagnostics ---------------------------------------------------------------------------------


def test_bad_draws_are_the_first_thing_that_is_said(fit, tmp_path, plain):
    apart = idatas.dataset(fit, "posterior")
    shifted = apart + xr.DataArray(np.arange(4.0), dims="chain", coords={"chain": range(4)})
    groups = {n: idatas.dataset(fit, n) for n in idatas.groups(fit)} | {"posterior": shifted}
    bad = idatas.container(groups, idatas.attributes(fit))
    html = written(bad, tmp_path)
    page = pages.read(html)
    (verdict,) = [p for p in page.all("p") if "verdict" in p.attrs.get("class", "")]
    assert verdict.attrs["class"] == "verdict bad"
    assert verdict.text == hm.check(bad).verdict
    assert pages.tables(page)["table-diagnostics"][1][-1] == "BAD"
    findings = hm.check(bad).findings
    assert len(findings) > 1
    said = [i.text for i in page.one("diagnostics").all("li")]
    assert said == [f"Problem: {f.message}." for f in findings]
    # The same step for all of them is said once.
    assert {f.remedies[0] for f in findings} == {findings[0].remedies[0]}
    steps = [p.text for p in page.one("diagnostics").all("p") if p.text.startswith("Next")]
    assert steps == [f"Next: {findings[0].remedy}."]


def test_groups_that_do_not_fit_are_named(tmp_path, plain):
    frame = rows()
    good = written(one_way(frame).fit(engine="exact", seed=1, draws=2000), tmp_path)
    page = pages.read(good)
    assert "Does the model fit each group?" in [h.text for h in page.all("h3")]
    assert "table-misfits" not in pages.tables(page)
    frame.loc[frame["group"] == 3, "y"] = [3.0, 3, 3, 3, 3, 40]
    fit = one_way(frame).fit(engine="exact", seed=1, draws=2000)
    checked = hm.check_groups(fit)
    assert len(checked.misfits)
    page = pages.read(written(fit, tmp_path))
    assert checked.verdict in [i.text for i in page.one("summary").all("li")]
    assert checked.verdict in [p.text for p in page.one("diagnostics").all("p")]
    found = pages.tables(page)["table-misfits"]
    worst = checked.misfits.iloc[0]
    assert found[1][:3] == [str(worst["group"]), worst["statistic"], "6"]
    assert float(found[1][3]) == pytest.approx(worst["observed"], rel=0.02)
    assert found[1][5] == f"{worst['p_adjusted']:.2g}"


def test_divergences_have_a_picture(fit, tmp_path, unrendered):
    shape = idatas.dataset(fit, "posterior")["mu"].shape
    diverging = np.zeros(shape, dtype=bool)
    for count in (0, 3):
        diverging[1, :count] = True
        stats = xr.Dataset({"diverging": (("chain", "draw"), diverging)})
        groups = {n: idatas.dataset(fit, n) for n in idatas.groups(fit)} | {"sample_stats": stats}
        found = images(written(idatas.container(groups, idatas.attributes(fit)), tmp_path))
        assert ("Where the draws diverged" in found) is bool(count)
    assert f"3 of {diverging.size} diverged" in found["Where the draws diverged"]["alt"]


def test_a_good_fit_says_so(fit, tmp_path, plain):
    page = pages.read(written(fit, tmp_path))
    (verdict,) = [p for p in page.all("p") if "verdict" in p.attrs.get("class", "")]
    assert verdict.attrs["class"] == "verdict good"
    assert "Independent draws from the exact posterior (quadrature)." in page.text


# ---- pictures ------------------------------------------------------------------------------------


def images(html: str) -> dict[str, dict[str, str]]:
    return {
        f.all("figcaption")[0].text: f.all("img")[0].attrs for f in pages.read(html).all("figure")
    }


def test_pictures_say_what_they_show(schools, schools_page):
    found = images(schools_page)
    e, posterior = schools.estimates, idatas.dataset(schools.fits["partial"], "posterior")
    alt = found["Where partial pooling moves each school"]["alt"]
    places = numbers.decimals(e["partial_mean"].std())
    assert f"raw estimates go from {numbers.span(e['estimate'], places)}" in alt
    assert f"posterior means go from {numbers.span(e['partial_mean'], places)}" in alt
    assert f"population mean {float(posterior['mu'].mean()):.{places}f}" in alt
    alt = found["Each school under no, partial and complete pooling"]["alt"]
    assert f"no pooling from {numbers.span(e['none_mean'], places)}" in alt
    assert f"complete pooling {e['complete_mean'][0]:.{places}f} for all" in alt
    replicated = idatas.dataset(schools.fits["partial"], "posterior_predictive")["effect"]
    low, high = np.quantile(replicated.to_numpy().reshape(-1, 8), (0.05, 0.95), axis=0)
    out = int(np.sum((e["estimate"] < low) | (e["estimate"] > high)))
    alt = found["Replicated data against the data, partial pooling"]["alt"]
    assert f"{out} of 8 lie outside the central 90 %" in alt
    k = schools.loo["group", "partial"].table["pareto_k"]
    assert f"the largest is {k.max():.2f}, and 0 are above" in " ".join(
        a["alt"] for a in found.values()
    )


def test_pictures_are_sharp_or_small(schools_page):
    for image in images(schools_page).values():
        kind, data = image["src"].split(";base64,")
        whole = base64.b64decode(data)
        assert kind in ("data:image/svg+xml", "data:image/png")
        if kind.endswith("png"):
            assert whole.startswith(b"\x89PNG")
        else:
            assert len(whole) <= pictures._MOST_SVG
            assert re.search(rb'width="[\d.]+pt"', whole)
    assert len(schools_page) < 3_000_000


def test_a_picture_that_cannot_be_drawn_is_left_out_with_its_reason(
    schools, tmp_path, monkeypatch, unrendered
):
    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("nothing to\ndivide <by>")

    monkeypatch.setattr(hm.plots, "forest", fail)
    monkeypatch.setattr(alternatives, "shrinkage", fail)  # the sentence, not the picture
    html = written(schools, tmp_path)
    pages.assert_well_made(html)
    said = [i.text for i in pages.read(html).one("pictures").all("li")]
    assert said == [
        "Where partial pooling moves each school: nothing to divide <by>",
        "Each school under no, partial and complete pooling: nothing to divide <by>",
    ]
    assert len(images(html)) == 5


def test_a_fit_has_the_pictures_that_fit_its_family(fit, tmp_path):
    html = written(fit, tmp_path, model=one_way())
    pages.assert_well_made(html)
    assert "Left out" not in html
    assert list(images(html)) == [
        "Where partial pooling moves each group",
        "Posterior means against the groups' own means",
        "What the data added to the priors",
        "Replicated data against the data, partial pooling",
        "How far leaving one row out can be trusted, partial pooling",
        "How far leaving one group out can be trusted, partial pooling",
        "The chains",
    ]
    y, alts = rows()["y"], images(html)
    said = alts["Replicated data against the data, partial pooling"]["alt"]
    assert f"the 72 values of y: the data have mean {y.mean():.2f} and sd {y.std():.2f}" in said


@pytest.mark.parametrize("pooling", ["none", "complete"])
def test_fits_without_partial_pooling_have_theirs(pooling, tmp_path, unrendered):
    idata = eight_schools(pooling=pooling, priors={}).fit(engine="exact", seed=1)
    html = written(idata, tmp_path)
    pages.assert_well_made(html)
    assert "Left out" not in html
    every = [
        "Each school under no pooling",
        "What the data added to the priors",
        f"Replicated data against the data, {pooling if pooling != 'none' else 'no'} pooling",
        "How far leaving one school out can be trusted, complete pooling",
        "The chains",
    ]
    no = {"none": (1, 3), "complete": (0,)}[pooling]
    assert list(images(html)) == [caption for k, caption in enumerate(every) if k not in no]


# ---- fits that hold less -------------------------------------------------------------------------


@pytest.mark.parametrize("kept", ["summary", "none"])
def test_a_fit_without_draws_of_the_effects_has_a_report(kept, tmp_path, unrendered):
    idata = one_way().fit(engine="exact", seed=1, effects=kept)
    html = written(idata, tmp_path)
    pages.assert_well_made(html)
    found = pages.tables(pages.read(html))
    if kept == "summary":
        assert found["table-groups-0"][0] == ["group", "n", "mean", "sd", "90 % interval"]
    else:
        assert "has kept nothing of the groups" in html
    left = [i.text for i in pages.read(html).one("pictures").all("li")]
    assert any("posterior_predictive" in line for line in left)


def test_a_fit_of_sufficient_statistics_has_a_report(tmp_path, unrendered):
    frame = rows()
    found = hm.sufficient_statistics(frame, y="y", group="group")
    model = one_way(found)
    html = written(model.fit(engine="exact", seed=1), tmp_path, model=model)
    pages.assert_well_made(html)
    data = dict(pages.tables(pages.read(html))["table-data"])
    assert data["mean of y"] == f"{frame['y'].mean():.2f}"
    assert data["sd of y"] == f"{frame['y'].std():.2f}"
    assert "sufficient statistics of 72 rows in 12 groups" in code_of(html)
    alone = written(model.fit(engine="exact", seed=1), tmp_path)
    data = dict(pages.tables(pages.read(alone))["table-data"])
    assert float(data["mean of y"]) == pytest.approx(frame["y"].mean(), rel=1e-3)
    assert "sd of y" not in data


def test_a_container_from_elsewhere_has_a_report(tmp_path, unrendered):
    rng = np.random.default_rng(1)
    posterior = xr.Dataset(
        {
            "mu": (("chain", "draw"), rng.normal(size=(2, 200))),
            "theta": (("chain", "draw", "place"), rng.normal(size=(2, 200, 3))),
        },
        coords={"chain": range(2), "draw": range(200), "place": ["a", "b", "c"]},
    )
    html = written(idatas.container({"posterior": posterior}, {}), tmp_path)
    pages.assert_well_made(html)
    assert "does not say which model" in html
    assert "does not say how it was made" in html
    assert pages.tables(pages.read(html))["table-groups-0"][0][0] == "place"


# ---- errors --------------------------------------------------------------------------------------


def test_what_is_no_fit_is_refused(fit, schools, tmp_path):
    path = tmp_path / "report.html"
    with pytest.raises(OptionError, match=r"got dict; give what hm\.compare_pooling"):
        hm.report({}, path)
    with pytest.raises(OptionError, match=r"got OneWay; fit it first"):
        hm.report(one_way(), path)
    with pytest.raises(OptionError, match="a comparison has its model"):
        hm.report(schools, path, model=one_way())
    with pytest.raises(OptionError, match="model must be the model that was fitted, got str"):
        hm.report(fit, path, model="OneWay")
    with pytest.raises(ContainerError):
        hm.report(fit, path, model=one_way(pooling="none"))
    with pytest.raises(OptionError, match="title must be text"):
        hm.report(fit, path, title=" ")
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_refused_before_the_work(fit, tmp_path, monkeypatch):
    from hiermodels.reports import sections

    monkeypatch.setattr(sections, "page", lambda *_: pytest.fail("the work was done"))
    for path, message in (
        (tmp_path, "it is a folder; add a file name"),
        (tmp_path / "no" / "report.html", "create the folder"),
        (tmp_path / "fit.nc", r"must end in \.html, got 'fit\.nc'"),
        (3, "path must name a file"),
    ):
        with pytest.raises(OptionError, match=message):
            hm.report(fit, path)


def test_a_page_appears_whole_or_not_at_all(fit, tmp_path, monkeypatch, plain):
    path = tmp_path / "report.html"
    path.write_text("before")

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OptionError, match=r"cannot write .*: No space left on device"):
        hm.report(fit, path)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_every_option_of_a_comparison_is_in_its_code(tmp_path, plain):
    pools = hm.compare_pooling(eight_schools(), seed=5, refit="bad", draws=300, chains=2)
    line = code_of(written(pools, tmp_path)).split("pools = ")[1].splitlines()[0]
    assert line == 'hm.compare_pooling(model, seed=5, refit="bad", draws=300, chains=2)'
    assert list(itertools.chain(pools.call)) == ["seed", "refit", "draws", "chains"]
