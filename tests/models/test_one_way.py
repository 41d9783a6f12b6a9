"""One-way random effects against exact posteriors and closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import hiermodels as hm
from hiermodels.container import inference_data as idatas
from hiermodels.errors import DataError, OptionError
from tests import reference
from tests.models import one_way_exact

# With five or six groups tau can be near 0, where the centered program diverges now and then.
pytestmark = pytest.mark.filterwarnings("ignore:.*iterations diverged")

SEMICONJUGATE = {"mu": hm.Normal(50, 5), "sigma": hm.InverseGamma(0.5, 50)}
PRIORS = {
    # The same prior of tau written twice: 1/tau^2 ~ Gamma(1/2, 50), tau^2 ~ InvGamma(1/2, 50).
    "semiconjugate": {**SEMICONJUGATE, "tau": hm.GammaPrecision(0.5, 50)},
    "reference": {"mu": hm.Flat(), "sigma": hm.LogFlat(), "tau": hm.Flat()},
}


def small() -> pd.DataFrame:
    return hm.datasets.simulate_one_way(
        groups=6, size=[1, 3, 8, 2, 5, 9], mu=3, tau=1.5, sigma=1, seed=8
    ).frame


def fit(frame: pd.DataFrame, y: str = "y", group: str = "group", **options: Any) -> Any:
    settings = {k: options.pop(k) for k in ("draws", "seed") if k in options}
    model = hm.OneWay(frame, y=y, group=group, **options)
    careful = {} if model.is_marginal else {"adapt_delta": 0.99}
    return model.fit(progress=False, **{"seed": 7, **careful, **settings})


@pytest.mark.stan
@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("parameterization", ["marginal", "centered"])
def test_mathscore_is_exact(parameterization: str, prior: str) -> None:
    exact = reference.load("one_way_mathscore_exact.json")[prior]
    frame = reference.frame("mathscore.csv")
    options = {"parameterization": parameterization, "priors": PRIORS[prior], "seed": 201}
    idata = fit(frame, "mathscore", "school", **options)
    posterior = idatas.dataset(idata, "posterior")
    draws = {name: posterior[name] for name in ("mu", "tau", "sigma", "icc")}
    draws |= {f"theta[{j}]": posterior["theta"].sel(school=j) for j in posterior["school"].values}
    wanted = {name: exact[name] for name in ("mu", "tau", "sigma", "icc")}
    reference.assert_exact(draws, wanted)
    # Of 100 schools the means: among 400 tails the MCSE of autocorrelated draws, an estimate,
    # may be far too small. Effects drawn exactly are nearly independent, and so are their tails.
    whole = ("mean", "sd", "q5", "q95")
    some = whole if parameterization == "marginal" else ("mean",)
    reference.assert_exact(draws, exact["theta"], statistics=some)


@pytest.mark.stan
@pytest.mark.parametrize(
    ("tau", "parameterization"),
    [
        (hm.GammaPrecision(0.5, 50), "marginal"),
        (hm.GammaPrecision(0.5, 50), "centered"),
        (hm.InverseGamma(0.5, 50), "marginal"),
        (hm.InverseGamma(0.5, 50), "noncentered"),
    ],
    ids=str,
)
def test_inverse_gamma_and_gamma_on_the_precision_are_one_prior(
    parameterization: str, tau: Any
) -> None:
    frame = hm.datasets.simulate_one_way(groups=12, size=6, mu=50, tau=5, sigma=9, seed=3).frame
    exact = one_way_exact.posterior(frame, PRIORS["semiconjugate"])
    idata = fit(
        frame,
        priors={**SEMICONJUGATE, "tau": tau},
        parameterization=parameterization,
        draws=2000,
        seed=202,
    )
    posterior = idatas.dataset(idata, "posterior")
    reference.assert_exact({n: posterior[n] for n in exact}, exact)


@pytest.mark.stan
@pytest.mark.parametrize(
    "parameterization",
    ["marginal", "noncentered", pytest.param("centered", marks=pytest.mark.slow)],
)
def test_unequal_groups_under_default_priors_are_exact(parameterization: str) -> None:
    frame = small()
    model = hm.OneWay(frame, y="y", group="group")
    exact = one_way_exact.posterior(frame, dict(model.priors))
    idata = fit(frame, parameterization=parameterization, draws=2500, seed=203)
    posterior = idatas.dataset(idata, "posterior")
    reference.assert_exact({n: posterior[n] for n in exact}, exact, limit=4.5)


@pytest.mark.stan
def test_no_pooling_gives_each_group_its_own_t() -> None:
    # Flat means and 1/sigma: theta_j ~ t(N - J, ybar_j, s/sqrt(n_j)), nu s^2/sigma^2 ~ chi^2_nu.
    frame = small()
    idata = fit(frame, pooling="none", priors={"sigma": hm.LogFlat()}, draws=2000, seed=204)
    posterior = idatas.dataset(idata, "posterior")
    groups = frame.groupby("group")["y"]
    nu = len(frame) - 6
    s = float(np.sqrt(((frame["y"] - groups.transform("mean")) ** 2).sum() / nu))
    exact = {}
    for label, values in groups:
        own = stats.t(nu, values.mean(), s / np.sqrt(len(values)))
        exact[label] = {
            "mean": own.mean(),
            "sd": own.std(),
            "q5": own.ppf(0.05),
            "q95": own.ppf(0.95),
        }
    draws = {j: posterior["theta"].sel(group=j) for j in exact}
    sigma = stats.invgamma(nu / 2, scale=nu * s**2 / 2)
    exact["sigma"] = {"q5": sigma.ppf(0.05) ** 0.5, "q95": sigma.ppf(0.95) ** 0.5}
    reference.assert_exact({**draws, "sigma": posterior["sigma"]}, exact)


@pytest.mark.stan
def test_complete_pooling_is_students_t() -> None:
    frame = small()
    idata = fit(
        frame, pooling="complete", priors={"mu": hm.Flat(), "sigma": hm.LogFlat()}, seed=205
    )
    y = frame["y"].to_numpy()
    own = stats.t(len(y) - 1, y.mean(), y.std(ddof=1) / np.sqrt(len(y)))
    exact = {"mean": own.mean(), "sd": own.std(), "q5": own.ppf(0.05), "q95": own.ppf(0.95)}
    posterior = idatas.dataset(idata, "posterior")
    reference.assert_exact({"mu": posterior["mu"]}, {"mu": exact})


@pytest.mark.stan
@pytest.mark.parametrize("pooling", ["partial", "none"])
def test_sigma_by_group_is_learned_by_each_group(pooling: str) -> None:
    truth = [0.5, 1.0, 2.0, 4.0]
    frame, _ = hm.datasets.simulate_one_way(groups=4, size=60, tau=2, sigma=truth, seed=9)
    options: dict[str, Any] = {"pooling": pooling, "sigma": "group", "seed": 206}
    idata = fit(frame, priors={"sigma": hm.LogFlat()}, **options)
    posterior = idatas.dataset(idata, "posterior")
    assert posterior["sigma"].dims == ("chain", "draw", "group")
    if pooling == "partial":
        assert posterior["icc"].dims == ("chain", "draw", "group")
    for j, values in frame.groupby("group")["y"]:
        # With theta_j nearly free: (n - 1) s_j^2 / sigma_j^2 ~ chi^2_{n - 1}.
        nu = len(values) - 1
        own = stats.invgamma(nu / 2, scale=nu * values.var() / 2)
        draws = posterior["sigma"].sel(group=j).values ** 2
        if pooling == "none":
            exact = {"mean": own.mean(), "sd": own.std()}
            reference.assert_exact({j: draws}, {j: exact})
        assert draws.mean() == pytest.approx(own.mean(), rel=0.05)


@pytest.mark.stan
def test_sigma_by_group_centered_and_noncentered_agree() -> None:
    frame, _ = hm.datasets.simulate_one_way(groups=5, size=7, sigma=[1, 2, 1, 3, 1], seed=10)
    a, b = (
        idatas.dataset(
            fit(frame, sigma="group", parameterization=p, draws=2500, seed=s), "posterior"
        )
        for p, s in (("centered", 207), ("noncentered", 208))
    )
    names: dict[str, Any] = {n: (lambda p, n=n: p[n]) for n in ("mu", "tau")}
    names |= {f"sigma[{j}]": (lambda p, j=j: p["sigma"].sel(group=j)) for j in range(1, 6)}
    names |= {f"theta[{j}]": (lambda p, j=j: p["theta"].sel(group=j)) for j in range(1, 6)}
    reference.assert_same_posterior(a, b, names)


@pytest.mark.stan
def test_ten_times_the_response_is_ten_times_the_posterior() -> None:
    frame = small()
    one = idatas.dataset(fit(frame, draws=2000, seed=209), "posterior")
    ten = idatas.dataset(fit(frame.assign(y=10 * frame["y"]), draws=2000, seed=210), "posterior")
    names: dict[str, Any] = {n: (lambda p, n=n: p[n]) for n in ("mu", "tau", "sigma", "theta")}
    flat = {f"theta[{j}]": (lambda p, j=j: p["theta"].sel(group=j)) for j in one["group"].values}
    names = {**{n: names[n] for n in ("mu", "tau", "sigma")}, **flat}
    reference.assert_same_posterior(one, ten / 10, names)


@pytest.mark.stan
def test_shuffled_rows_and_renamed_groups_give_the_same_posterior() -> None:
    frame = small()
    renamed = frame.assign(group=frame["group"].map(lambda j: f"school {j}"))
    renamed = renamed.sample(frac=1, random_state=4)
    a = idatas.dataset(fit(frame, draws=2000, seed=211), "posterior")
    b = idatas.dataset(fit(renamed, draws=2000, seed=212), "posterior")
    b = b.assign_coords(group=[int(j.split()[1]) for j in b["group"].values])
    names: dict[str, Any] = {
        f"theta[{j}]": (lambda p, j=j: p["theta"].sel(group=j)) for j in a["group"].values
    }
    reference.assert_same_posterior(a, b, {**names, "tau": lambda p: p["tau"]})


@pytest.mark.slow
@pytest.mark.stan
def test_a_uniform_prior_keeps_tau_below_its_upper_end() -> None:
    frame = small()
    priors = {"tau": hm.Uniform(1.2), "sigma": hm.LogFlat(), "mu": hm.Flat()}
    exact = one_way_exact.posterior(frame, priors)
    idata = fit(frame, priors=priors, parameterization="noncentered", draws=2500, seed=213)
    posterior = idatas.dataset(idata, "posterior")
    assert float(posterior["tau"].max()) <= 1.2
    reference.assert_exact({n: posterior[n] for n in exact}, exact)


@pytest.mark.stan
def test_digits_survive_a_large_mean() -> None:
    frame = small()
    far = frame.assign(y=frame["y"] + 1e6)
    idata = fit(far, draws=1000, seed=214, priors={"mu": hm.Normal(1e6, 10)})
    mu = idatas.dataset(idata, "posterior")["mu"].values
    assert len(np.unique(mu)) > 0.9 * mu.size
    near = idatas.dataset(
        fit(frame, draws=1000, seed=215, priors={"mu": hm.Normal(0, 10)}), "posterior"
    )["mu"].values
    error = np.hypot(reference.mcse(mu - 1e6, "mean"), reference.mcse(near, "mean"))
    assert abs((mu - 1e6).mean() - near.mean()) < 4.5 * error


@pytest.mark.parametrize(
    ("values", "options", "error", "message"),
    [
        ([2.0] * 4, {}, DataError, "y='y' must vary, got 2 in all 4 rows"),
        ([2.0], {}, DataError, "y='y' must have at least 2 rows, got 1"),
        ([1.0, 2, 4, 3], {"sigma": "groups"}, OptionError,
         "sigma must be 'common' or 'group', got 'groups'; did you mean 'group'"),
        ([1.0, 2, 4, 3], {"pooling": "full"}, OptionError, "pooling must be one of .* got 'full'"),
        ([1.0, 2, 4, 3], {"parameterization": "centred"}, OptionError, "did you mean 'centered'"),
        ([1.0, 2, 4, 3], {"priors": hm.Flat()}, OptionError,
         "priors must be a dict from parameter to prior"),
    ],
)  # fmt: skip
def test_bad_input_is_refused(
    values: list[float], options: dict[str, Any], error: type[Exception], message: str
) -> None:
    frame = pd.DataFrame({"y": values, "g": ["a", "b", "a", "b"][: len(values)]})
    with pytest.raises(error, match=message):
        hm.OneWay(frame, y="y", group="g", **options)


@pytest.mark.stan
@pytest.mark.parametrize("prior", PRIORS)
def test_a_hundred_schools_are_exact_anywhere(prior: str) -> None:
    # The data set that is made to have the published analysis of variance, by quadrature.
    frame = hm.datasets.mathscore().rename(columns={"school": "group", "mathscore": "y"})
    exact = one_way_exact.posterior(frame, PRIORS[prior])
    idata = fit(frame, priors=PRIORS[prior], seed=216)
    posterior = idatas.dataset(idata, "posterior")
    reference.assert_exact({n: posterior[n] for n in exact}, exact)
    theta = one_way_exact.group_means(frame, PRIORS[prior])
    draws = {str(j): posterior["theta"].sel(group=j) for j in theta}
    reference.assert_exact(draws, {str(j): {"mean": m} for j, m in theta.items()})
