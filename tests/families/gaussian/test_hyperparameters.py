"""Hyperparameters on the whole line: there and back, Jacobians, priors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hiermodels as hm
from hiermodels.errors import OptionError
from hiermodels.families.gaussian.hyperparameters import Hyperparameters

FRAME = hm.datasets.simulate_varying_slopes(
    groups=8, size=9, mu=(1, 0.5, 0), tau=(1, 1, 1), Omega=0, beta=(2.0, 1.0), seed=3
).frame


def of(**options: Any) -> Hyperparameters:
    settings: dict[str, Any] = {"varying": ["x1", "x2"], "common": ["w1", "w2"], **options}
    return hm.VaryingSlopes(FRAME, y="y", group="group", **settings).hyperparameters


PRIORS = {"tau": hm.Uniform(0, 4), "sigma": hm.Uniform(0, 9)}


@pytest.mark.parametrize("options", [{}, {"priors": PRIORS}, {"sigma": "group"}])
def test_values_go_to_the_line_and_back(options: dict[str, Any]) -> None:
    hyper = of(**options)
    u = np.random.default_rng(1).normal(size=hyper.size)
    v = hyper.values(u[None])
    assert v.sigma is not None
    given = {
        "mu": v.raw[0, :3],
        "tau": v.tau[0],
        "L_Omega": v.L_Omega[0],
        "beta": v.raw[0, 3:],
        "sigma": v.sigma[0],
    }
    np.testing.assert_allclose(hyper.place(np.zeros(hyper.size), given), u, atol=1e-9)
    Omega = v.L_Omega[0] @ v.L_Omega[0].T
    np.testing.assert_allclose(np.diag(Omega), 1)
    given["Omega"] = Omega
    del given["L_Omega"]
    np.testing.assert_allclose(hyper.place(np.zeros(hyper.size), given), u, atol=1e-9)


@pytest.mark.parametrize("options", [{}, {"priors": PRIORS}])
def test_the_jacobian_is_that_of_the_transformation(options: dict[str, Any]) -> None:
    hyper = of(**options)
    rng = np.random.default_rng(2)
    u = rng.normal(size=hyper.size)
    lower = np.tril_indices(3, -1)

    def free(at: np.ndarray) -> np.ndarray:
        """The free numbers that u stands for: as many as u has."""
        v = hyper.values(at[None])
        assert v.sigma is not None
        return np.concatenate([v.raw[0], v.tau[0], v.L_Omega[0][lower], v.sigma[0]])

    steps = 1e-6 * np.eye(hyper.size)
    jacobian = np.array([(free(u + s) - free(u - s)) / 2e-6 for s in steps])
    assert hyper.log_jacobian(u[None])[0] == pytest.approx(np.linalg.slogdet(jacobian)[1], abs=1e-6)


def test_the_log_prior_is_the_sum_over_elements_with_their_own_priors() -> None:
    hyper = of(
        priors={
            "mu": {"x1": hm.StudentT(3, 0, 2)},
            "tau": {"x1": hm.HalfCauchy(2), "x2": hm.Exponential(3)},
            "Omega": hm.LKJ(3),
            "beta": hm.Normal(1, 2),
        }
    )
    v = hyper.values(np.random.default_rng(3).normal(size=(4, hyper.size)))
    assert v.sigma is not None
    got = hyper.log_prior(v)
    assert list(got) == ["mu", "tau", "Omega", "beta", "sigma"]
    priors = hyper.priors
    for d in range(4):
        mu = [p.log_density(x) for p, x in zip(priors.as_list("mu"), v.raw[d], strict=False)]
        assert got["mu"][d] == pytest.approx(sum(mu))
        tau = [p.log_density(x) for p, x in zip(priors.as_list("tau"), v.tau[d], strict=True)]
        assert got["tau"][d] == pytest.approx(sum(tau))
        assert got["Omega"][d] == pytest.approx(hm.LKJ(3).log_density(v.L_Omega[d]))
        assert got["beta"][d] == pytest.approx(hm.Normal(1, 2).log_density(v.raw[d, 3:]).sum())


def test_a_correlation_of_nearly_1_keeps_a_finite_jacobian() -> None:
    hyper = of()
    u = np.zeros((1, hyper.size))
    u[:, hyper.part("Omega")] = 300.0
    assert np.isfinite(hyper.log_jacobian(u)).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tau": [1.0, -1, 1]}, "tau must be above 0"),
        ({"tau": [1.0, 2]}, "tau must be 3 finite numbers"),
        ({"Omega": np.eye(2)}, "Omega must be that of a 3 x 3 correlation matrix"),
        ({"Omega": np.full((3, 3), 2.0)}, "Omega must be that of a 3 x 3 correlation matrix"),
    ],
)
def test_inits_that_cannot_be_are_refused(given: dict[str, Any], message: str) -> None:
    hyper = of()
    with pytest.raises(OptionError, match=message):
        hyper.place(np.zeros(hyper.size), given)
