"""Log densities of a container: sums by draw, which likelihood there is, and what is missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from hiermodels.container import inference_data as idatas
from hiermodels.errors import ContainerError
from hiermodels.posterior import log_densities

DIMS = ("chain", "draw")


def parts(chains: int = 2, draws: int = 30) -> dict[str, xr.Dataset]:
    rng = np.random.default_rng(1)
    shape = (chains, draws)
    return {
        "posterior": xr.Dataset({"mu": (DIMS, rng.normal(size=shape))}),
        "log_prior": xr.Dataset({n: (DIMS, rng.normal(size=shape)) for n in ("mu", "tau")}),
        "log_likelihood": xr.Dataset({"y": ((*DIMS, "row"), rng.normal(size=(*shape, 7)))}),
        "log_likelihood_group": xr.Dataset({"y": ((*DIMS, "g"), rng.normal(size=(*shape, 3)))}),
    }


def likelihood(given: dict[str, xr.Dataset], asked: str, **attrs: Any) -> tuple[str, np.ndarray]:
    return log_densities.likelihood(idatas.container(given, attrs), given["posterior"], asked)


def test_log_priors_are_by_block_and_likelihoods_summed_up_by_draw() -> None:
    given = parts()
    found = log_densities.priors_by_block(idatas.container(given, {}), given["posterior"])
    assert list(found) == ["mu", "tau"]
    np.testing.assert_array_equal(found["tau"], given["log_prior"]["tau"].to_numpy().ravel())
    for asked, kind, group in (
        ("auto", "row", "log_likelihood"),
        ("row", "row", "log_likelihood"),
        ("group", "group", "log_likelihood_group"),
    ):
        said, values = likelihood(given, asked)
        assert said == kind
        np.testing.assert_allclose(values, given[group]["y"].to_numpy().sum(axis=2).ravel())
    # Whatever the order of the dims.
    turned = {**given, "log_likelihood": given["log_likelihood"].transpose("row", "draw", "chain")}
    np.testing.assert_allclose(likelihood(turned, "row")[1], likelihood(given, "row")[1])


def test_without_rows_auto_is_by_group() -> None:
    given = parts()
    del given["log_likelihood"]
    assert likelihood(given, "auto")[0] == "group"


def test_what_is_missing_is_named_with_the_next_step() -> None:
    given = parts()
    bare = {n: ds for n, ds in given.items() if n in ("posterior", "log_prior")}
    with pytest.raises(ContainerError, match=r"'log_likelihood' or 'log_likelihood_group'.*add_p"):
        likelihood(bare, "auto")
    with pytest.raises(ContainerError, match=r"needs the group 'log_likelihood_group'.*add_point"):
        likelihood(bare, "group", pooling="partial")
    with pytest.raises(ContainerError, match=r"without pooling there is none: use .*'row'"):
        likelihood(bare, "group", pooling="none")
    del bare["log_prior"]
    with pytest.raises(ContainerError, match=r"needs the group 'log_prior'.*model\.fit"):
        log_densities.priors_by_block(idatas.container(bare, {}), given["posterior"])


def test_other_draws_and_draws_that_are_not_finite_are_refused() -> None:
    given = parts()
    fewer = {**given, "log_prior": given["log_prior"].isel(draw=slice(10))}
    with pytest.raises(ContainerError, match="log_prior must have the posterior's 2 chains of 30"):
        log_densities.priors_by_block(idatas.container(fewer, {}), given["posterior"])
    given["log_likelihood"]["y"][1, 4, 2] = np.nan
    with pytest.raises(ContainerError, match="'y' in group 'log_likelihood' must be finite, got 1"):
        likelihood(given, "auto")
