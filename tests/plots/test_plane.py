"""Slopes and intercepts: estimates, arrows, population."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.quiver import Quiver

from hiermodels import plots
from hiermodels.container import inference_data
from hiermodels.errors import ContainerError, OptionError
from tests.plots import fits, look

SQUARES = "least squares on its own rows"


def own(idata: Any) -> np.ndarray:
    """Least squares by group, for the intercept and the slope."""
    data = inference_data.dataset(idata, "constant_data")
    y = inference_data.dataset(idata, "observed_data")["score"].to_numpy()
    index, z = data["group_index"].to_numpy(), data["z"].to_numpy()
    found = [
        np.linalg.lstsq(z[index == j], y[index == j], rcond=None)[0]
        for j in range(data.sizes["school"])
    ]
    return np.array(found)


def posterior(idata: Any) -> Any:
    return inference_data.dataset(idata, "posterior")


def arrows(ax: Any) -> Quiver:
    (found,) = [c for c in ax.collections if isinstance(c, Quiver)]
    return found


def test_arrows_lead_from_each_groups_own_estimate_to_its_posterior_mean() -> None:
    idata = fits.slopes(8)
    ax = plots.slopes_and_intercepts(idata)
    pooled = posterior(idata)["theta"].mean(fits.DIMS).to_numpy()
    np.testing.assert_allclose(look.points(ax, SQUARES), own(idata))
    np.testing.assert_allclose(look.points(ax, "posterior mean"), pooled)
    found = arrows(ax)
    np.testing.assert_allclose(found.get_offsets(), own(idata))
    np.testing.assert_allclose(np.column_stack([found.U, found.V]), pooled - own(idata))
    assert (found.angles, found.scale_units, found.scale) == ("xy", "xy", 1)
    # As thick in a drawing of 72 points an inch as in a picture of 200 dots.
    assert found.units == "inches"
    assert ax.get_xlabel() == "Intercept (in units of score)"
    assert ax.get_ylabel() == "hours (score per unit of hours)"
    assert set(look.written(ax)) == {f"s{j + 1}" for j in range(8)}


def test_the_ellipses_hold_their_share_of_the_population() -> None:
    idata = fits.slopes(8)
    ax = plots.slopes_and_intercepts(idata)
    mean = posterior(idata)[["mu", "tau", "Omega"]].mean(fits.DIMS)
    mu, tau, Omega = (mean[name].to_numpy() for name in ("mu", "tau", "Omega"))
    np.testing.assert_allclose(look.line(ax, "population mean (mu)").get_xydata()[0], mu)
    draws = np.random.default_rng(1).multivariate_normal(
        mu, tau[:, None] * Omega * tau, 20_000, method="eigh"
    )
    from matplotlib.path import Path

    for share, label in ((0.5, "50% of the population"), (0.9, "90% of the population")):
        inside = Path(look.line(ax, label).get_xydata()).contains_points(draws).mean()
        # Four standard errors of a share of 20,000.
        assert inside == pytest.approx(share, abs=4 * 0.5 / np.sqrt(20_000))
    assert (
        look.line(ax, "50% of the population").get_linestyle()
        != look.line(ax, "90% of the population").get_linestyle()
    )


def test_coefficients_are_drawn_in_the_order_asked_for() -> None:
    idata = fits.slopes(8)
    ax = plots.slopes_and_intercepts(idata, x="hours")
    np.testing.assert_allclose(look.points(ax, SQUARES), own(idata)[:, ::-1])
    mu = posterior(idata)["mu"].mean(fits.DIMS).to_numpy()
    np.testing.assert_allclose(look.line(ax, "population mean (mu)").get_xydata()[0], mu[::-1])
    assert look.title(ax) == "hours and Intercept by school (J = 8)"


@pytest.mark.parametrize(("J", "drawn"), [(65, 65), (1000, 80)])
def test_of_many_groups_all_have_a_mark_and_some_an_arrow(J: int, drawn: int) -> None:
    idata = fits.slopes(J)
    ax = plots.slopes_and_intercepts(idata)
    pooled = posterior(idata)["theta"].mean(fits.DIMS).to_numpy()
    assert len(look.points(ax, "posterior mean")) == J
    assert len(look.points(ax, SQUARES)) == drawn
    assert ("80 arrows evenly by length" in look.title(ax)) is (drawn < J)
    assert len(arrows(ax).U) == drawn
    tau = posterior(idata)["tau"].mean(fits.DIMS).to_numpy()
    length = np.linalg.norm((own(idata) - pooled) / tau, axis=1)
    order = np.argsort(-length)
    far = order[np.round(np.linspace(0, J - 1, drawn)).astype(int)[:6]]
    assert set(look.written(ax)) == {f"s{j + 1}" for j in far}
    assert "labelled: the 6 longest arrows" in ax.get_xlabel()


def test_groups_that_have_no_line_of_their_own_are_counted() -> None:
    ax = plots.slopes_and_intercepts(fits.slopes(8, size=[1, 1, *[6] * 6]))
    assert len(look.points(ax, SQUARES)) == 6
    assert len(look.points(ax, "posterior mean")) == 8
    assert "2 of them cannot give an estimate of their own" in ax.get_xlabel()


def test_an_arrow_from_outside_is_named_where_it_comes_in() -> None:
    idata = fits.slopes(30)
    observed = inference_data.dataset(idata, "observed_data")
    index = inference_data.dataset(idata, "constant_data")["group_index"].to_numpy()
    score = observed["score"].to_numpy() + 500.0 * (index == 4)
    far = fits.slopes(30, observed_data=observed.assign(score=("observation", score)))
    ax = plots.slopes_and_intercepts(far)
    assert "1 estimate outside the picture: arrows come from there" in ax.get_xlabel()
    (text,) = [text for text in ax.texts if text.get_text() == "s5"]
    low, high = ax.get_xlim()
    assert low < text.xy[0] < high
    # On the way from the posterior mean to the estimate, near the edge.
    pooled = posterior(far)["theta"].mean(fits.DIMS).to_numpy()[4]
    way = own(far)[4] - pooled
    share = (np.array(text.xy) - pooled) / way
    assert share[0] == pytest.approx(share[1])
    assert text.xy[0] - pooled[0] == pytest.approx(0.97 * (high - pooled[0]))


def test_it_draws_on_the_axes_given() -> None:
    _, ax = plt.subplots()
    assert plots.slopes_and_intercepts(fits.slopes(8), ax=ax) is ax
    assert plt.get_fignums() == [1]


def test_what_it_needs_is_named() -> None:
    with pytest.raises(OptionError, match=r"needs two coefficients .*got one effect"):
        plots.slopes_and_intercepts(fits.one_way(8))
    with pytest.raises(ContainerError, match=r"needs 'mu' in the posterior.*pooling='partial'"):
        plots.slopes_and_intercepts(fits.slopes(8, pooling="none"))
    with pytest.raises(OptionError, match=r"y: there is no coefficient 'hour'.*mean 'hours'"):
        plots.slopes_and_intercepts(fits.slopes(8), y="hour")
    with pytest.raises(OptionError, match=r"two coefficients of .*got 'hours' twice"):
        plots.slopes_and_intercepts(fits.slopes(8), x="hours", y="hours")


def test_effects_that_were_summed_up_will_do() -> None:
    idata = fits.slopes(8)
    ax = plots.slopes_and_intercepts(fits.summed(idata))
    pooled = posterior(idata)["theta"].mean(fits.DIMS).to_numpy()
    np.testing.assert_allclose(look.points(ax, "posterior mean"), pooled)
