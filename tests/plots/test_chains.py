"""Traces and pairs: the draws, chain by chain, with their divergences."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from hiermodels import plots
from hiermodels.container import inference_data
from hiermodels.errors import ContainerError, OptionError
from hiermodels.plots import densities
from tests.plots import fits, look

BAD = [(0, 3), (1, 7), (1, 30)]


def draws(idata: Any, name: str) -> np.ndarray:
    return inference_data.dataset(idata, "posterior")[name].to_numpy()


# ---- trace --------------------------------------------------------------------------------------


def test_traces_are_the_draws_chain_after_chain() -> None:
    idata = fits.one_way(8)
    axes = plots.trace(idata)
    assert axes.shape == (3, 2)
    assert [ax.get_ylabel() for ax in axes[:, 1]] == ["mu", "tau", "sigma"]
    assert [ax.get_xlabel() for ax in axes[:, 0]] == ["mu (y)", "tau (y)", "sigma (y)"]
    for chain in range(2):
        x, y = look.line(axes[1, 1], f"chain {chain}").get_data()
        np.testing.assert_array_equal(y, draws(idata, "tau")[chain])
        np.testing.assert_array_equal(x, chain * 60 + np.arange(60))
        found = look.line(axes[1, 0], f"chain {chain}").get_xydata()
        np.testing.assert_allclose(
            found, np.column_stack(densities.of_draws(draws(idata, "tau")[chain], "tau"))
        )
    assert [t.get_text() for t in axes[0, 1].get_xticklabels()] == ["chain 0", "chain 1"]


def test_chains_are_told_apart_without_colours() -> None:
    axes = plots.trace(fits.one_way(8))
    lines = [look.line(axes[0, 0], f"chain {chain}") for chain in range(2)]
    assert len({str(line._unscaled_dash_pattern) for line in lines}) == 2
    assert look.legend(axes[0, 0]) == ["chain 0", "chain 1"]


def test_divergences_are_marked_beneath_both() -> None:
    idata = fits.one_way(8, sample_stats=fits.diverging(BAD))
    axes = plots.trace(idata)
    np.testing.assert_array_equal(
        look.line(axes[0, 1], "divergence").get_xdata(), [3, 60 + 7, 60 + 30]
    )
    mu = draws(idata, "mu")
    np.testing.assert_array_equal(
        look.line(axes[0, 0], "divergence").get_xdata(), [mu[at] for at in BAD]
    )
    assert look.line(axes[0, 1], "divergence").get_ydata().max() < mu.min()
    assert "2 chains of 60 draws, 3 divergences" in axes[0, 0].figure.get_suptitle()


def test_the_title_says_what_is_known_of_divergences() -> None:
    said = plots.trace(fits.one_way(8))[0, 0].figure.get_suptitle()
    assert said == "2 chains of 60 draws, no record of divergences"
    for engine, words in (("exact", "drawn exactly"), ("gibbs", "by a Gibbs sampler")):
        idata = fits.one_way(8)
        groups = {n: inference_data.dataset(idata, n) for n in inference_data.groups(idata)}
        attrs = {**inference_data.attributes(idata), "engine": engine}
        drawn = inference_data.container(groups, attrs)
        said = plots.trace(drawn)[0, 0].figure.get_suptitle()
        assert said == f"2 chains of 60 draws, {words}"
        assert plots.pairs(drawn)[0, 0].figure.get_suptitle() == f"120 draws, {words}"
    none = fits.one_way(8, sample_stats=fits.diverging([]))
    assert "no divergences" in plots.trace(none)[0, 0].figure.get_suptitle()


def test_what_is_not_there_by_default_is_left_out_and_asked_for_refused() -> None:
    idata = fits.eight_schools()
    axes = plots.trace(idata)
    assert [ax.get_ylabel() for ax in axes[:, 1]] == ["mu", "tau"]
    with pytest.raises(OptionError, match="no variable 'sigma' in group 'posterior'; there are"):
        plots.trace(idata, ["sigma"])


def test_scalars_are_asked_for_by_their_labels() -> None:
    idata = fits.eight_schools()
    axes = plots.trace(idata, ["theta[C]", "log_tau"])
    assert [ax.get_ylabel() for ax in axes[:, 1]] == ["theta[C]", "log_tau"]
    np.testing.assert_array_equal(
        look.line(axes[1, 1], "chain 1").get_ydata(), np.log(draws(idata, "tau")[1])
    )


@pytest.mark.parametrize("J", [65, 1000])
def test_of_many_scalars_twelve_are_shown_and_the_title_says_so(J: int) -> None:
    axes = plots.trace(fits.one_way(J), "theta")
    assert axes.shape == (12, 2)
    names = [ax.get_ylabel() for ax in axes[:, 1]]
    assert (names[0], names[-1]) == ("theta[g1]", f"theta[g{J}]")
    assert f"12 of {J} scalars, evenly spaced" in axes[0, 0].figure.get_suptitle()


def test_traces_are_drawn_on_the_axes_given() -> None:
    _, axes = plt.subplots(2, 2)
    found = plots.trace(fits.eight_schools(), axes=axes)
    assert found.tolist() == axes.tolist()
    assert plt.get_fignums() == [1]
    assert look.title(axes[0, 0]).startswith("2 chains of 60 draws")
    with pytest.raises(OptionError, match="axes must hold 4 for this picture, got 1"):
        plots.trace(fits.eight_schools(), axes=axes[0, 0])


def test_a_scalar_that_does_not_move_is_a_line() -> None:
    idata = fits.eight_schools()
    posterior = inference_data.dataset(idata, "posterior")
    posterior["mu"] = posterior["mu"] * 0 + 5.0
    axes = plots.trace(fits.eight_schools(posterior=posterior))
    np.testing.assert_array_equal(look.line(axes[0, 0], "chain 0").get_xdata(), [5.0, 5.0])


# ---- pairs --------------------------------------------------------------------------------------


def test_pairs_show_each_scalar_against_each_other_with_divergences_on_top() -> None:
    idata = fits.one_way(8, sample_stats=fits.diverging(BAD))
    axes = plots.pairs(idata, ["mu", "log_tau", "theta[g3]"])
    assert axes.shape == (3, 3)
    mu, log_tau = draws(idata, "mu"), np.log(draws(idata, "tau"))
    bad = np.zeros((2, 60), dtype=bool)
    for at in BAD:
        bad[at] = True
    got = look.line(axes[1, 0], "draw").get_xydata()
    np.testing.assert_array_equal(got, np.column_stack([mu[~bad], log_tau[~bad]]))
    divergent = look.line(axes[1, 0], "divergent draw")
    np.testing.assert_array_equal(divergent.get_xydata(), np.column_stack([mu[bad], log_tau[bad]]))
    assert divergent.get_marker() != look.line(axes[1, 0], "draw").get_marker()
    assert divergent.get_zorder() > look.line(axes[1, 0], "draw").get_zorder()
    theta = draws(idata, "theta")[..., 2]
    np.testing.assert_array_equal(
        look.line(axes[2, 1], "draw").get_xydata(), np.column_stack([log_tau[~bad], theta[~bad]])
    )
    assert [ax.get_xlabel() for ax in axes[2]] == ["mu (y)", "log_tau", "theta[g3]"]
    assert [ax.get_ylabel() for ax in axes[1:, 0]] == ["log_tau", "theta[g3]"]
    assert not axes[0, 1].axison
    assert axes[0, 0].figure.get_suptitle() == "117 draws, 3 divergences (x)"


def test_the_diagonal_has_the_densities() -> None:
    idata = fits.eight_schools()
    axes = plots.pairs(idata)
    assert axes.shape == (2, 2)
    np.testing.assert_allclose(
        axes[1, 1].lines[0].get_xydata(),
        np.column_stack(densities.of_draws(np.log(draws(idata, "tau")))),
    )


def test_many_draws_are_thinned_and_no_divergence_is_lost() -> None:
    rng = np.random.default_rng(2)
    import xarray as xr

    posterior = xr.Dataset(
        {name: (fits.DIMS, rng.standard_normal((4, 2000))) for name in ("mu", "x")}
    )
    bad = np.zeros((4, 2000), dtype=bool)
    bad[:, :5] = True
    idata = inference_data.container(
        {"posterior": posterior, "sample_stats": xr.Dataset({"diverging": (fits.DIMS, bad)})}, {}
    )
    axes = plots.pairs(idata, ["mu", "x"])
    assert len(look.line(axes[1, 0], "draw").get_xdata()) == 1995
    assert len(look.line(axes[1, 0], "divergent draw").get_xdata()) == 20
    assert axes[0, 0].figure.get_suptitle().startswith("1995 of 7980 draws shown, 20 divergences")


def test_too_few_and_too_many_are_refused() -> None:
    idata = fits.one_way(65)
    with pytest.raises(OptionError, match="needs 2 to 8 scalars, got 1"):
        plots.pairs(idata, "mu")
    with pytest.raises(OptionError, match="needs 2 to 8 scalars, got 65"):
        plots.pairs(idata, "theta")
    with pytest.raises(OptionError, match=r"no scalar 'theta\[g99\]'"):
        plots.pairs(idata, ["mu", "theta[g99]"])
    with pytest.raises(ContainerError, match="no group 'posterior'"):
        plots.pairs(inference_data.container({}, {}))


def test_pairs_are_drawn_on_the_axes_given() -> None:
    _, axes = plt.subplots(2, 2)
    assert plots.pairs(fits.one_way(1000), axes=axes).tolist() == axes.tolist()
    assert plt.get_fignums() == [1]
