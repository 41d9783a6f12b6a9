"""Prior against posterior: what the data added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..container import inference_data
from ..data import origins
from ..errors import ContainerError, OptionError, listed
from ..models import provenance
from ..priors.blocks import Priors
from ..priors.distributions import Prior
from . import densities, effects, scalars, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..container.inference_data import Container

Array = NDArray[np.float64]

_WHAT = "a picture of prior against posterior"
_DEFAULT = ("mu", "tau", "Omega", "beta", "sigma")
_MOST_PANELS = 12


class _Curve(NamedTuple):
    """A prior's density, what it is called, and whether its height means anything."""

    x: Array
    density: Array
    words: str
    proper: bool


def prior_against_posterior(
    prior: Container | Any,
    idata: Container,
    var_names: str | Sequence[str] | None = None,
    *,
    axes: Any = None,
) -> NDArray[Any]:
    """Draw the prior and the posterior density of each hyperparameter.

    The prior is dashed, the posterior solid and filled. Panels show where the posterior is, and
    some room beside it: most of a wide prior lies outside. An improper prior is drawn at half the
    posterior's height, as it has none of its own. Against a model's priors, an intercept is drawn
    where they are: at the centre of the columns.

    Parameters
    ----------
    prior : model, or InferenceData or DataTree
        The model, whose priors are drawn exactly; or a container with the group ``prior``
        (``model.prior_predictive()``), whose draws are.
    idata : InferenceData or DataTree
        The fit.
    var_names : str or sequence of str, optional
        Variables, single scalars and logarithms. By default mu, tau, Omega, beta and sigma, those
        that have a prior. Of more than 12 scalars, 12 are shown, evenly spaced.
    axes : array of Axes, or Figure, optional
        Where to draw, one for each scalar; by default a new figure.

    Returns
    -------
    array of Axes, shape (scalars,)

    Raises
    ------
    ContainerError
        The container of the prior has no such group, or not these variables; or the fit is of
        another model than the one given.
    OptionError
        There is no such variable or scalar, or it has no prior density in closed form.
    """
    known = None if effects.is_container(prior) else _priors_of(prior)
    # What has priors alone, or a container that is not ours, cannot be compared.
    if hasattr(prior, "design") and "columns" in inference_data.attributes(idata):
        provenance.refuse_other(prior, idata, priors=True)
    # A model's priors of the intercept are those at the centre; prior draws are at x = 0 as well.
    origin = origins.of_container(idata)
    there = idata if known is None or not origin.moves else origins.at_centre(idata)
    drawn = scalars.select(there, var_names, default=_DEFAULT)
    if known is not None and var_names is None:
        drawn = {label: x for label, x in drawn.items() if _prior(known, label) is not None}
    total, labels = len(drawn), scalars.thinned(list(drawn), _MOST_PANELS)
    views = {x: densities.view(drawn[x], scalars.bounded_as(x)) for x in labels}
    if known is None:
        curves = _of_draws(prior, views, default=var_names is None)
    else:
        K = _coefficients(idata)
        curves = {label: _exact(known, label, limits, K) for label, limits in views.items()}
        for label, curve in curves.items():
            if origin.concerns(label.removeprefix(scalars.LOG)):
                curves[label] = curve._replace(words=f"{curve.words}, at the centre")
    if not curves:
        raise ContainerError(
            f"{_WHAT} needs a variable that both have, and prior and posterior share none; "
            "fit the model that the prior is of"
        )

    labels = list(curves)
    made = style.panels(len(labels), columns=3, axes=axes, size=(3.0, 2.4))
    y = effects.response(idata)
    for ax, label in zip(made.axes, labels, strict=True):
        _panel(ax, label, drawn[label], curves[label], views[label])
        ax.set_xlabel(scalars.unit(label, y))
        ax.set_title(curves[label].words, loc="left", fontsize="small")
        style.despine(ax, "left")
    some = f" ({len(labels)} of {total} scalars, evenly spaced)" if len(labels) < total else ""
    title = f"Prior (dashed) against posterior (solid){some}"
    if made.own:
        made.figure.suptitle(title, x=0.01, ha="left")
    said = {} if made.own or not some else {"title": some.strip(" ()"), "title_fontsize": "x-small"}
    style.legend(made.axes[0], fontsize="x-small", handlelength=3, **said)
    return made.axes


def _panel(ax: Axes, label: str, draws: Array, curve: _Curve, limits: densities.Limits) -> None:
    found = densities.of_draws(draws, scalars.bounded_as(label))
    top = 1.0
    if found is None:
        ax.axvline(draws.flat[0], color=style.BLUE, label="posterior")
    else:
        top = float(found[1].max())
        ax.fill_between(*found, color=style.BLUE, alpha=0.3, linewidth=0)
        ax.plot(*found, color=style.BLUE, linewidth=1.4, label="posterior")
    density = curve.density
    if not curve.proper:
        # Without a height of its own: half the posterior's, in the middle of the panel.
        density = density * (0.5 * top / np.median(density))
    ax.plot(curve.x, density, color=style.VERMILION, linestyle="--", linewidth=1.6, label="prior")
    ax.set_xlim(limits)
    # A prior that goes to infinity at 0 must not flatten the posterior.
    highest = min(float(np.max(density[np.isfinite(density)], initial=0.0)), 2 * top)
    ax.set_ylim(0, 1.08 * max(top, highest))
    ax.set_yticks([])


def _priors_of(model: Any) -> dict[str, Prior]:
    priors = getattr(model, "priors", None)
    if not isinstance(priors, Priors):
        raise OptionError(
            f"{_WHAT} takes a model or a container with the group 'prior', got "
            f"{type(model).__name__}; give the model that was fitted"
        )
    return priors.flat()


def _prior(known: Mapping[str, Prior], label: str) -> Prior | None:
    """The prior of a scalar: its own, or that of its whole variable."""
    plain = label.removeprefix(scalars.LOG)
    return known.get(plain, known.get(scalars.base(label)))


def _exact(known: Mapping[str, Prior], label: str, limits: densities.Limits, K: int) -> _Curve:
    prior = _prior(known, label)
    if prior is None:
        raise OptionError(
            f"{label!r} has no prior density in closed form; those with one are {listed(known)}; "
            "give model.prior_predictive() in place of the model for the others"
        )
    x = densities.grid(limits)
    density = densities.of_prior(prior, x, logged=label.startswith(scalars.LOG), K=K)
    words = f"{prior}" if prior.proper else f"{prior}: improper, height has no meaning"
    return _Curve(x, density, words, prior.proper)


def _of_draws(
    prior: Container, views: Mapping[str, densities.Limits], *, default: bool
) -> dict[str, _Curve]:
    ds = inference_data.dataset(prior, "prior")
    curves: dict[str, _Curve] = {}
    for label, limits in views.items():
        if default and scalars.base(label) not in ds:
            continue
        draws = scalars.select(prior, label, group="prior")[label]
        found = densities.of_draws(draws, limits=limits)
        if found is None:  # a prior that is nowhere near
            found = (np.array(limits), np.zeros(2))
        inside = float(np.mean((draws >= limits[0]) & (draws <= limits[1])))
        words = f"{inside:.0%} of {draws.size} prior draws in view"
        curves[label] = _Curve(*found, words, proper=True)
    return curves


def _coefficients(idata: Container) -> int:
    posterior = inference_data.dataset(idata, "posterior")
    return int(posterior.sizes.get("coefficient", 2))
