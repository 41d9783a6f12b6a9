"""Varying slopes against exact posteriors, against OneWay, and against themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import hiermodels as hm
from hiermodels.container import inference_data as idatas
from hiermodels.errors import ColumnError, DataError, DataWarning, OptionError, PriorError
from tests import reference

WEAK = {
    "mu": hm.Normal(0, 1),
    "tau": hm.HalfNormal(1),
    "sigma": hm.HalfNormal(1),
    "Omega": hm.LKJ(2),
}
# Exact posterior of normexam ~ standLRT + (standLRT | school) under WEAK, by 4-D quadrature with
# the coefficients integrated out, to 3e-5; those of all schools are in
# varying_slopes_exam_exact.json. The priors of the intercept are those at standLRT = 0.
EXAM = {
    "tau_intercept": {"mean": 0.310008450, "sd": 0.032084875},
    "tau_slope": {"mean": 0.124822679, "sd": 0.019941140},
    "rho": {"mean": 0.441557397, "sd": 0.148173049},
    "sigma": {"mean": 0.744346302, "sd": 0.008402277},
    "beta0": {"mean": -0.011475330, "sd": 0.041081029},
    "beta1": {"mean": 0.556216418, "sd": 0.020573262},
}


def exam(**options: Any) -> hm.VaryingSlopes:
    return hm.VaryingSlopes(
        hm.datasets.exam(),
        y="normexam",
        group="school",
        varying=["standLRT"],
        intercept_at="zero",
        **options,
    )


def exam_quantities(idata: Any) -> dict[str, Any]:
    p = idatas.dataset(idata, "posterior")
    assert p["school"].values.tolist() == list(range(1, 66))
    out = {
        "tau_intercept": p["tau"].sel(coefficient="Intercept"),
        "tau_slope": p["tau"].sel(coefficient="standLRT"),
        "rho": p["Omega"].sel(coefficient="Intercept", coefficient_2="standLRT"),
        "sigma": p["sigma"],
        "beta0": p["mu"].sel(coefficient="Intercept"),
        "beta1": p["mu"].sel(coefficient="standLRT"),
    }
    for j in range(1, 66):
        out[f"intercept[{j}]"] = p["theta"].sel(school=j, coefficient="Intercept")
        out[f"slope[{j}]"] = p["theta"].sel(school=j, coefficient="standLRT")
    return out


@pytest.mark.stan
@pytest.mark.filterwarnings("ignore:(R-hat|bulk ESS|tail ESS)")
@pytest.mark.parametrize(
    ("parameterization", "options"),
    [
        ("marginal", {"seed": 504}),
        pytest.param("centered", {"seed": 501, "adapt_delta": 0.8}, marks=pytest.mark.slow),
        # Strong data make the noncentered program walk: fewer draws, whose MCSE is the larger.
        pytest.param(
            "noncentered",
            {"seed": 501, "adapt_delta": 0.8, "warmup": 300, "draws": 250},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_exam_is_exact(parameterization: str, options: dict[str, Any]) -> None:
    model = exam(parameterization=parameterization, priors=WEAK)
    draws = exam_quantities(model.fit(progress=False, pointwise=False, **options))
    reference.assert_exact(draws, EXAM)
    if (reference.FOLDER / "varying_slopes_exam_exact.json").is_file():
        exact = reference.load("varying_slopes_exam_exact.json")["weak"]
        # Of 65 schools the means, for the reason that test_one_way gives.
        wanted = {name: exact[name] for name in draws}
        some = ("mean", "sd", "q5", "q95") if parameterization == "marginal" else ("mean",)
        reference.assert_exact(draws, wanted, statistics=some)


def simulated(**options: Any) -> tuple[pd.DataFrame, dict[str, Any]]:
    settings: dict[str, Any] = {
        "groups": 12,
        "size": 10,
        "mu": (1.0, 0.5, -0.5),
        "tau": (1.0, 0.5, 0.8),
        "Omega": np.array([[1, 0.3, 0], [0.3, 1, -0.2], [0, -0.2, 1]]),
        "beta": (2.0, -1.0),
        "seed": 4,
        **options,
    }
    frame, truth = hm.datasets.simulate_varying_slopes(**settings)
    return frame, truth


def columns(frame: pd.DataFrame) -> dict[str, Any]:
    names = list(frame.columns)
    return {
        "y": "y",
        "group": "group",
        "varying": [n for n in names if n.startswith("x")],
        "common": [n for n in names if n.startswith("w")],
    }


def scalars(dataset: Any) -> dict[str, Any]:
    """A function for each scalar of a posterior, by its label."""
    out: dict[str, Any] = {}
    for name, variable in dataset.data_vars.items():
        dims = [d for d in variable.dims if d not in ("chain", "draw")]
        for place in np.ndindex(*(variable.sizes[d] for d in dims)):
            if name == "Omega" and place[0] <= place[1]:
                continue  # the diagonal is 1, the upper triangle the lower
            where = dict(zip(dims, place, strict=True))
            out[f"{name}{list(place)}"] = lambda p, n=name, w=where: p[n].isel(w)
    return out


@pytest.mark.stan
@pytest.mark.filterwarnings("ignore:(R-hat|bulk ESS|tail ESS|.*diverged)")
def test_centered_and_noncentered_agree_on_three_coefficients_and_two_common_ones() -> None:
    frame, _ = simulated()
    model = hm.VaryingSlopes(frame, **columns(frame))
    a, b = (
        idatas.dataset(
            model.replace(parameterization=p).fit(
                seed=s, draws=1500, adapt_delta=0.9, progress=False, pointwise=False
            ),
            "posterior",
        )
        for p, s in (("centered", 302), ("noncentered", 303))
    )
    names = scalars(a)
    assert len(names) == 3 + 3 + 36 + 2 + 1 + 3
    # 96 comparisons: 5 is one in 20,000 for all of them together.
    reference.assert_same_posterior(a, b, names, limit=5)


@pytest.mark.stan
@pytest.mark.parametrize("pooling", ["partial", "none", "complete"])
def test_only_the_intercept_varying_is_one_way(pooling: str) -> None:
    frame = hm.datasets.simulate_one_way(groups=8, size=6, tau=1.5, sigma=1, seed=6).frame
    one = hm.OneWay(frame, y="y", group="group", pooling=pooling)
    slopes = hm.VaryingSlopes(frame, y="y", group="group", pooling=pooling)
    assert [str(p) for p in one.priors.flat().values()] == [
        str(p) for p in slopes.priors.flat().values()
    ]
    options: dict[str, Any] = {"draws": 2000, "progress": False, "adapt_delta": 0.99}
    a = idatas.dataset(one.fit(seed=304, **options), "posterior").drop_vars("icc", errors="ignore")
    b = idatas.dataset(slopes.fit(seed=305, **options), "posterior")
    assert b["theta"].dims == ("chain", "draw", "group", "coefficient")
    b = b.isel(coefficient=0, drop=True)
    reference.assert_same_posterior(a, b, scalars(a))


@pytest.mark.stan
@pytest.mark.filterwarnings("ignore:(R-hat|bulk ESS|tail ESS|.*diverged)")
def test_ten_times_the_response_is_ten_times_the_posterior() -> None:
    frame, _ = simulated(mu=(1.0, 0.5), tau=(1.0, 0.5), Omega=0.3, beta=(2.0,))
    fits = []
    for factor, seed in ((1, 306), (10, 307)):
        model = hm.VaryingSlopes(
            frame.assign(y=factor * frame["y"]), **columns(frame), parameterization="noncentered"
        )
        idata = model.fit(seed=seed, draws=1500, progress=False, pointwise=False)
        p = idatas.dataset(idata, "posterior")
        scale = {n: p[n] / factor for n in ("mu", "tau", "theta", "beta", "sigma")}
        fits.append(p.assign(scale))
    reference.assert_same_posterior(fits[0], fits[1], scalars(fits[0]))


@pytest.mark.stan
@pytest.mark.filterwarnings("ignore:(R-hat|bulk ESS|tail ESS|.*diverged)")
def test_shuffled_rows_and_renamed_groups_give_the_same_posterior() -> None:
    frame, _ = simulated(mu=(1.0, 0.5), tau=(1.0, 0.5), Omega=0.3, beta=())
    other = frame.assign(group=frame["group"].map(lambda j: f"g{j}")).sample(frac=1, random_state=2)
    fits = [
        idatas.dataset(
            hm.VaryingSlopes(f, **columns(frame), parameterization="noncentered").fit(
                seed=s, draws=1500, progress=False, pointwise=False
            ),
            "posterior",
        )
        for f, s in ((frame, 308), (other, 309))
    ]
    labels = fits[0]["group"].values
    second = fits[1].assign_coords(group=[int(g[1:]) for g in fits[1]["group"].values])
    reference.assert_same_posterior(fits[0], second.sel(group=labels), scalars(fits[0]))


def t_of(nu: int, location: float, scale: float) -> dict[str, float]:
    own = stats.t(nu, location, scale)
    return {"mean": own.mean(), "sd": own.std(), "q5": own.ppf(0.05), "q95": own.ppf(0.95)}


def least_squares(W: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    b = np.linalg.solve(W.T @ W, W.T @ y)
    return b, np.linalg.inv(W.T @ W), float(((y - W @ b) ** 2).sum())


@pytest.mark.stan
@pytest.mark.parametrize("sigma", ["common", "group"])
def test_no_pooling_is_least_squares_in_each_group(sigma: str) -> None:
    # Flat coefficients, 1/sigma: b_j ~ t(nu, least squares, s sqrt(diag (W'W)^-1)). The common
    # column w1 has a coefficient of its own in each group, too.
    frame, _ = simulated(groups=4, size=9, mu=(1.0, 0.5), tau=(1.0, 0.5), Omega=0, beta=(2.0,))
    model = hm.VaryingSlopes(
        frame, **columns(frame), pooling="none", sigma=sigma, priors={"sigma": hm.LogFlat()}
    )
    posterior = idatas.dataset(model.fit(seed=310, draws=2000, progress=False), "posterior")
    assert posterior["beta"].dims == ("chain", "draw", "group", "predictor")
    fits = {}
    for j, rows in frame.groupby("group"):
        W = np.column_stack([np.ones(len(rows)), rows["x1"], rows["w1"]])
        fits[j] = (*least_squares(W, rows["y"].to_numpy()), len(rows) - 3)
    rss, nu = sum(f[2] for f in fits.values()), sum(f[3] for f in fits.values())
    draws, exact = {}, {}
    for j, (b, inverse, own_rss, own_nu) in fits.items():
        df, ss = (own_nu, own_rss) if sigma == "group" else (nu, rss)
        theta = posterior["theta"].sel(group=j)
        for k, values in enumerate(
            (theta[..., 0], theta[..., 1], posterior["beta"].sel(group=j)[..., 0])
        ):
            draws[f"{j}:{k}"] = values
            exact[f"{j}:{k}"] = t_of(df, b[k], np.sqrt(ss / df * inverse[k, k]))
    # With 6 degrees of freedom the sd's own MCSE is too noisy to divide by.
    reference.assert_exact(draws, exact, statistics=("mean", "q5", "q95"))


@pytest.mark.stan
def test_complete_pooling_is_least_squares() -> None:
    frame, _ = simulated(groups=4, size=9, mu=(1.0, 0.5), tau=(0.0, 0.0), Omega=0, beta=(2.0,))
    flat = {"mu": hm.Flat(), "beta": hm.Flat(), "sigma": hm.LogFlat()}
    model = hm.VaryingSlopes(frame, **columns(frame), pooling="complete", priors=flat)
    posterior = idatas.dataset(model.fit(seed=311, draws=2000, progress=False), "posterior")
    W = np.column_stack([np.ones(len(frame)), frame["x1"], frame["w1"]])
    b, inverse, rss = least_squares(W, frame["y"].to_numpy())
    nu = len(frame) - 3
    draws = {
        "0": posterior["mu"][..., 0],
        "1": posterior["mu"][..., 1],
        "2": posterior["beta"][..., 0],
    }
    exact = {str(k): t_of(nu, b[k], np.sqrt(rss / nu * inverse[k, k])) for k in range(3)}
    reference.assert_exact(draws, exact)
    np.testing.assert_array_equal(posterior["theta"].isel(group=3), posterior["mu"])


@pytest.mark.stan
@pytest.mark.parametrize(
    "parameterization",
    ["marginal", "centered", pytest.param("noncentered", marks=pytest.mark.slow)],
)
def test_sigma_by_group_runs_and_is_labelled(parameterization: str) -> None:
    frame, _ = simulated(groups=6, size=30, mu=(0.0,), tau=(1.0,), Omega=None, beta=())
    model = hm.VaryingSlopes(
        frame, **columns(frame), sigma="group", parameterization=parameterization
    )
    p = idatas.dataset(model.fit(seed=312, progress=False, adapt_delta=0.99), "posterior")
    assert p["sigma"].dims == ("chain", "draw", "group")
    residual = frame["y"] - frame.groupby("group")["y"].transform("mean")
    own = residual.groupby(frame["group"]).std()
    np.testing.assert_allclose(p["sigma"].mean(("chain", "draw")), own, rtol=0.1)


def test_columns_are_named_and_categorical_ones_coded() -> None:
    model = hm.VaryingSlopes(
        hm.datasets.exam(), y="normexam", group="school", varying=["standLRT"], common=["sex"]
    )
    assert model.design.coefficients == ("Intercept", "standLRT")
    assert model.design.predictors == ("sex[M]",)
    male = (hm.datasets.exam()["sex"] == "M").to_numpy(float)[:, None]
    np.testing.assert_array_equal(model.design.rows("the test").x, male)
    np.testing.assert_allclose(model.row_data["x"], male - male.mean(), rtol=1e-12)


@pytest.mark.parametrize(
    ("intercept", "coefficients", "predictors"),
    [
        ("varying", ("Intercept", "x1"), ("w1",)),
        ("common", ("x1",), ("Intercept", "w1")),
        ("none", ("x1",), ("w1",)),
    ],
)
def test_the_intercept_varies_is_common_or_is_left_out(
    intercept: str, coefficients: tuple[str, ...], predictors: tuple[str, ...]
) -> None:
    frame, _ = simulated(mu=(1.0, 0.5), tau=(1.0, 0.5), Omega=0, beta=(2.0,))
    model = hm.VaryingSlopes(frame, **columns(frame), intercept=intercept)
    assert model.design.coefficients == coefficients
    assert model.design.predictors == predictors


@pytest.mark.filterwarnings("ignore:predictor 'x1' lies far from 0")
def test_the_intercepts_default_priors_widen_with_its_distance_from_the_data() -> None:
    frame, _ = simulated(mu=(1.0, 0.5), tau=(1.0, 0.5), Omega=0, beta=())
    near = hm.VaryingSlopes(frame, **columns(frame)).priors["mu"]["Intercept"]
    moved = frame.assign(x1=frame["x1"] + 100)
    zero = hm.VaryingSlopes(moved, **columns(frame), intercept_at="zero")
    far, tau = zero.priors["mu"]["Intercept"], zero.priors["tau"]
    x = frame["x1"] + 100
    assert near.sd == pytest.approx(2.5 * frame["y"].std(ddof=0), rel=0.05)
    assert tau["Intercept"].scale == pytest.approx(far.sd / 2.5)
    assert far.sd == pytest.approx(
        2.5 * frame["y"].std(ddof=0) * np.sqrt(1 + (x.mean() / x.std(ddof=0)) ** 2)
    )


FRAME = simulated(mu=(1.0, 0.5), tau=(1.0, 0.5), Omega=0, beta=(2.0,))[0]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"varying": "x1"}, OptionError,
         r"varying must be a list of column names, got 'x1'; write varying=\['x1'\]"),
        ({"varying": ["x3"]}, ColumnError, "predictor: the data frame has no column 'x3'"),
        ({"varying": [], "intercept": "common"}, OptionError, "varying must name at least one"),
        ({"intercept": "fixed"}, OptionError, "intercept must be one of .* got 'fixed'"),
        ({"common": ["x1"]}, DataError, "column 'x1' is used twice, in varying and in common"),
        ({"common": ["y"]}, DataError, "column 'y' is used twice, as y and as predictor"),
        ({"common": ["one"]}, DataError, "predictor 'one' must vary, got one value in all rows"),
        ({"common": ["Intercept"]}, DataError, "the column name 'Intercept' is reserved"),
        ({"priors": {"mu": {"x2": hm.Flat()}}}, PriorError, "mu has no coefficient 'x2'"),
    ],
)  # fmt: skip
def test_bad_input_is_refused(
    changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    frame = FRAME.assign(one=1.0, Intercept=FRAME["w1"])
    with pytest.raises(error, match=message):
        hm.VaryingSlopes(frame, **{**columns(FRAME), **changes})


@pytest.mark.slow
@pytest.mark.stan
@pytest.mark.filterwarnings("ignore::hiermodels.errors.DiagnosticWarning")
def test_correlations_at_the_edge_do_not_end_a_fit() -> None:
    frame, _ = simulated()
    model = hm.VaryingSlopes(frame, **columns(frame), priors={"Omega": hm.LKJ(0.05)})
    idata = model.prior_predictive(draws=200, seed=313, progress=False)
    assert np.isfinite(idatas.dataset(idata, "prior_predictive")["y"]).all()


def test_a_predictor_far_from_0_is_said_to_need_centring_where_the_priors_are_at_0() -> None:
    frame = FRAME.assign(year=2010 + FRAME["x1"])
    options = {"y": "y", "group": "group", "varying": ["year"]}
    with pytest.warns(DataWarning, match=r"predictor 'year' lies far from 0 \(mean 2010.*centre"):
        hm.VaryingSlopes(frame, **options, intercept_at="zero")
    hm.VaryingSlopes(frame, **options)  # a warning is an error here


def test_a_predictor_so_far_from_0_that_digits_are_lost_is_said_to_need_centring() -> None:
    frame = FRAME.assign(x1=1e8 + FRAME["x1"])
    with pytest.warns(DataWarning, match=r"lies far from 0 .*, where it is 0, has few digits left"):
        hm.VaryingSlopes(frame, y="y", group="group", varying=["x1"])


def test_a_column_with_a_level_for_each_row_leaves_nothing_to_fit() -> None:
    frame = FRAME[:30].assign(pupil=[f"pupil {i}" for i in range(30)])
    with pytest.raises(DataError, match=r"more rows than coefficients|linearly independent"):
        hm.VaryingSlopes(frame, y="y", group="group", common=["pupil"])
