"""A model in symbols: the lines of each family, and the same from a fit as from its model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import hiermodels as hm
from hiermodels.container import inference_data as idatas
from hiermodels.container import netcdf
from hiermodels.errors import ContainerError, OptionError
from hiermodels.models import symbols


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    rows = pd.DataFrame({"class": np.repeat(list("abcdef"), 10), "x": rng.normal(size=60)})
    return rows.assign(
        y=rows["x"] + rng.normal(size=60), sex=np.tile(["F", "M"], 30), w=rng.normal(size=60)
    )


def schools(**options: Any) -> hm.EightSchools:
    return hm.EightSchools(
        hm.datasets.eight_schools(), effect="effect", se="se", group="school", **options
    )


@pytest.mark.parametrize(
    ("pooling", "lines"),
    [
        ("partial", ("y_j ~ N(theta_j, sigma_j)", "theta_j ~ N(mu, tau)")),
        ("none", ("y_j ~ N(theta_j, sigma_j)",)),
        ("complete", ("y_j ~ N(mu, sigma_j)",)),
    ],
)
def test_eight_schools_have_known_standard_errors(pooling, lines):
    found = hm.in_symbols(schools(pooling=pooling))
    assert found.lines == lines
    where = dict(found.where)
    assert where["y_j"] == "effect, the estimate of school j, j = 1, ..., 8"
    assert where["sigma_j"] == "se, its known standard error"
    assert where.get("theta_j", "true effect of school j") == "true effect of school j"
    assert ("theta_j" in where) == (pooling != "complete")
    assert ("tau" in where) == (pooling == "partial")


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ({}, ("y_i ~ N(theta_{j[i]}, sigma)", "theta_j ~ N(mu, tau)")),
        ({"sigma": "group"}, ("y_i ~ N(theta_{j[i]}, sigma_{j[i]})", "theta_j ~ N(mu, tau)")),
        ({"pooling": "none"}, ("y_i ~ N(theta_{j[i]}, sigma)",)),
        ({"pooling": "complete", "sigma": "group"}, ("y_i ~ N(mu, sigma_{j[i]})",)),
    ],
)
def test_one_way_has_rows_in_groups(frame, options, lines):
    found = hm.in_symbols(hm.OneWay(frame, y="y", group="class", **options))
    assert found.lines == lines
    assert dict(found.where)["y_i"] == "y of row i, i = 1, ..., 60"


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        (
            {"varying": ["x"], "common": ["sex", "w"]},
            (
                "y_i ~ N(z_i' theta_{j[i]} + x_i' beta, sigma)",
                "theta_j ~ N_2(mu, diag(tau) Omega diag(tau))",
            ),
        ),
        (
            {"varying": ["x"], "common": ["w"], "pooling": "none"},
            ("y_i ~ N(z_i' theta_{j[i]} + x_i beta_{j[i]}, sigma)",),
        ),
        (
            {"varying": ["x"], "common": ["w"], "pooling": "complete"},
            ("y_i ~ N(z_i' mu + x_i beta, sigma)",),
        ),
        # Only the intercept varies: the mean of a group. Only a slope: no vector.
        (
            {"common": ["x"]},
            ("y_i ~ N(theta_{j[i]} + x_i beta, sigma)", "theta_j ~ N(mu, tau)"),
        ),
        (
            {"varying": ["x"], "intercept": "none"},
            ("y_i ~ N(z_i theta_{j[i]}, sigma)", "theta_j ~ N(mu, tau)"),
        ),
    ],
)
def test_varying_slopes_are_vectors_where_there_are_several(frame, options, lines):
    found = hm.in_symbols(hm.VaryingSlopes(frame, y="y", group="class", **options))
    assert found.lines == lines
    where = dict(found.where)
    assert ("Omega" in where) == ("Omega" in lines[-1])

    def less_its_mean(name, values):
        return f"{name} {'-' if values.mean() > 0 else '+'} {abs(values.mean()):.7g}"

    if options.get("varying") and options.get("intercept") != "none":
        x = less_its_mean("x", frame["x"])
        assert where["z_i"] == f"row i of the columns 1 (intercept), {x}"
    if options.get("common") == ["sex", "w"]:
        both = [less_its_mean("sex[M]", frame["sex"] == "M"), less_its_mean("w", frame["w"])]
        assert where["x_i"] == f"row i of the columns {', '.join(both)}"
    zero = hm.in_symbols(
        hm.VaryingSlopes(frame, y="y", group="class", **options, intercept_at="zero")
    )
    if options.get("varying") and options.get("intercept") != "none":
        assert dict(zero.where)["z_i"] == "row i of the columns 1 (intercept), x"


@pytest.mark.parametrize("pooling", ["partial", "none", "complete"])
def test_a_fit_has_the_symbols_of_its_model(frame, pooling, tmp_path):
    models = [
        schools(pooling=pooling),
        hm.OneWay(frame, y="y", group="class", pooling=pooling),
        hm.VaryingSlopes(
            frame, y="y", group="class", varying=["x"], common=["sex"], pooling=pooling
        ),
    ]
    for model in models:
        if model.name == "VaryingSlopes" and pooling == "complete":
            model = model.replace(priors={"mu": hm.Normal(0, 3), "beta": hm.Normal(0, 2.5)})
        idata = model.fit(engine="exact", seed=1, chains=2, draws=50)
        again = netcdf.load(netcdf.save(idata, tmp_path / "fit.nc"))
        assert str(hm.in_symbols(again)) == str(hm.in_symbols(model))


def test_priors_are_those_in_force():
    model = schools(priors={"tau": hm.HalfCauchy(5), "mu": hm.Normal(0, 5)})
    found = hm.in_symbols(model)
    assert found.priors == ("mu ~ Normal(0, 5)", "tau ~ HalfCauchy(5)")
    text = str(found)
    assert text.splitlines()[:4] == [*found.lines, *found.priors]
    assert "mu       population mean\n" in text


def test_html_has_greek_letters_and_escapes_what_users_named(frame):
    rows = frame.rename(columns={"class": "<class>", "y": "a & b"})
    html = hm.in_symbols(hm.OneWay(rows, y="a & b", group="<class>")).to_html()
    assert "<i>y</i><sub><i>i</i></sub> ~ N(<i>\u03b8</i><sub><i>j</i>[<i>i</i>]</sub>" in html
    assert "a &amp; b of row <" not in html
    assert "a &amp; b of row i" in html
    assert "the &lt;class&gt; of row i" in html
    assert "<class>" not in html


def test_marks_are_those_of_the_field():
    assert symbols.marked("z_i' mu") == "<i>z</i><sub><i>i</i></sub>\u2032 <i>\u03bc</i>"
    assert symbols.marked("N_2(mu, S)") == "N<sub>2</sub>(<i>\u03bc</i>, <i>S</i>)"
    assert symbols.marked("x < y") == "<i>x</i> &lt; <i>y</i>"


def test_what_is_no_model_is_refused():
    with pytest.raises(OptionError, match="takes a model or a fit of one, got dict"):
        hm.in_symbols({})
    import xarray as xr

    draws = xr.Dataset({"mu": (("chain", "draw"), np.zeros((2, 5)))})
    with pytest.raises(ContainerError, match="does not say which model"):
        hm.in_symbols(idatas.container({"posterior": draws}, {}))
