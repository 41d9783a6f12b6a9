"""Mode and curvature: against differences, against SciPy, and where they cannot be had."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hiermodels as hm
from hiermodels.families.gaussian import laplace, marginal
from hiermodels.families.gaussian.hyperparameters import Hyperparameters


def eight_schools(**options: Any) -> hm.EightSchools:
    frame = hm.datasets.eight_schools()
    return hm.EightSchools(frame, effect="effect", se="se", group="school", **options)


def one_way(scale: float = 1.0, **options: Any) -> hm.OneWay:
    sizes = [2, 3, 5, 9] * 10
    frame = hm.datasets.simulate_one_way(groups=40, size=sizes, tau=1.5, seed=2).frame
    return hm.OneWay(frame.assign(y=scale * frame["y"]), y="y", group="group", **options)


def slopes(scale: float = 1.0, **options: Any) -> hm.VaryingSlopes:
    frame = hm.datasets.simulate_varying_slopes(
        groups=60,
        size=12,
        mu=(1, 0.5, 0),
        tau=(1, 0.6, 0.8),
        Omega=0.2,
        beta=(2.0, 1.0),
        seed=3,
    ).frame
    return hm.VaryingSlopes(
        frame.assign(y=scale * frame["y"]),
        y="y",
        group="group",
        varying=["x1", "x2"],
        common=["w1", "w2"],
        **options,
    )


MODELS = [eight_schools, one_way, slopes]


def log_posterior(hyper: Hyperparameters, u: np.ndarray) -> float:
    """From the density of the groups, which other tests compare to SciPy's."""
    values = hyper.values(u[None])
    p = marginal.population(hyper.design, values.centred, values.tau, values.L_Omega, values.sigma)
    prior = sum(hyper.log_prior(values).values()) + hyper.log_jacobian(u[None])
    return float(marginal.log_likelihood(hyper.design, p).sum() + prior[0])


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("bounded", [False, True])
def test_the_density_and_its_gradient_are_right(make: Any, bounded: bool) -> None:
    hyper = make(priors={"tau": hm.Uniform(0, 30)} if bounded else None).hyperparameters
    start, unit = laplace.guess(hyper), np.full(hyper.size, 0.5)
    density = laplace._densities(hyper, start, unit)
    rng = np.random.default_rng(4)
    a, b = 0.3 * rng.normal(size=(2, hyper.size))
    exact = log_posterior(hyper, start + unit * a) - log_posterior(hyper, start + unit * b)
    assert density(a)[0] - density(b)[0] == pytest.approx(exact, rel=1e-9)
    steps = 1e-5 * np.eye(hyper.size)
    slope = [(density(a + s)[0] - density(a - s)[0]) / 2e-5 for s in steps]
    np.testing.assert_allclose(density(a)[1], slope, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("make", MODELS)
def test_the_mode_is_the_highest_point_and_the_root_that_of_the_curvature(make: Any) -> None:
    hyper = make().hyperparameters
    found = laplace.standardize(hyper)
    assert found.found
    top = log_posterior(hyper, found.centre)
    rng = np.random.default_rng(5)
    for _ in range(20):
        direction = rng.normal(size=hyper.size)
        direction /= np.linalg.norm(direction)
        # A hundredth of a standard deviation down any way: 0.5 q'q, to third order.
        down = [
            top - log_posterior(hyper, found.apply(h * direction[None])[0]) for h in (0.05, -0.05)
        ]
        assert np.mean(down) == pytest.approx(0.5 * 0.05**2, rel=0.03)
        assert down[0] == pytest.approx(down[1], rel=0.1)


@pytest.mark.parametrize("make", [one_way, slopes])
@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_the_units_of_the_response_do_not_matter(make: Any, scale: float) -> None:
    here, there = make().standardization, make(scale).standardization
    assert here.found
    assert there.found
    d = make().design
    size = len(here.centre)
    unit = np.ones(size)
    hyper = make().hyperparameters
    unit[hyper.part("mu")] = unit[hyper.part("beta")] = scale
    assert d.K + d.P < size
    np.testing.assert_allclose(there.root, unit[:, None] * here.root, rtol=1e-3, atol=1e-5 * scale)


def test_apply_and_invert_are_inverses() -> None:
    found = slopes().standardization
    q = np.random.default_rng(6).normal(size=len(found.centre))
    np.testing.assert_allclose(found.invert(found.apply(q[None])[0]), q)


def test_groups_of_one_size_are_one_class() -> None:
    design = one_way().design
    n, count, ybar, ss = laplace.classes(design)
    assert count.sum() == design.J
    assert np.array_equal(n, np.unique(design.sizes))
    means = design.gram[:, 0, 1] / design.sizes
    for k, size in enumerate(n):
        own = means[design.sizes == size]
        assert ybar[k] == pytest.approx(own.mean())
        assert ss[k] == pytest.approx(own.var() * len(own), abs=1e-12)


def test_where_no_mode_is_found_nothing_is_standardized(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(laplace, "_mode_and_root", lambda *_: None)
    found = one_way().standardization
    assert not found.found
    assert found.reason == "none: the posterior's mode or curvature could not be found"
    np.testing.assert_array_equal(found.root, np.eye(3))
    np.testing.assert_array_equal(found.centre, 0)


def test_residual_sds_by_group_are_scaled_by_their_degrees_of_freedom() -> None:
    model = one_way(sigma="group")
    found = model.standardization
    assert not found.found
    df = model.design.sizes - 1
    np.testing.assert_allclose(found.by_group, 1 / np.sqrt(2 * np.maximum(df, 1) + 1))
    assert len(found.centre) == 2 + model.design.J


@pytest.mark.parametrize("known", [False, True])
def test_the_log_posterior_by_classes_is_that_by_groups(known: bool) -> None:
    """One-way models have as many terms as sizes of groups; constants and all are the same."""
    if known:
        model: Any = hm.EightSchools(
            hm.datasets.eight_schools(), effect="effect", se="se", group="school"
        )
    else:
        frame, _ = hm.datasets.simulate_one_way(groups=9, size=[1, 2, 2, 3, 3, 3, 7, 7, 9], seed=3)
        model = hm.OneWay(frame, y="y", group="group")
    hyper = model.hyperparameters
    u = model.standardization.centre + np.random.default_rng(1).normal(size=(20, hyper.size))
    values = hyper.values(u)
    p = marginal.population(model.design, values.centred, values.tau, values.L_Omega, values.sigma)
    prior = sum(hyper.log_prior(values).values()) + hyper.log_jacobian(u)
    want = prior + marginal.log_likelihood(model.design, p).sum(axis=1)
    np.testing.assert_allclose(laplace.log_posterior(hyper, u), want, rtol=1e-12)
