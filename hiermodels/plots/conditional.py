"""The impact of tau: what the effects would be if it were known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import OptionError, listed, suggest
from . import effects, style, writing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from ..engines.exact.posterior import ExactPosterior

_IMPACTS = {
    "mean": "E(theta | tau, y)",
    "sd": "sd(theta | tau, y)",
    "pooling_factor": "pooling factor B",
}
# Lines that have their labels at each end where there are too many to name all.
_NAMED = 3


def impact_of_tau(
    posterior: ExactPosterior | Any,
    *,
    quantity: str = "mean",
    tau: Sequence[float] | NDArray[np.float64] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw what the effects would be if tau were known, above the posterior of tau.

    Each line is a group. At the left end, tau = 0, all means are the complete-pooling mean; to the
    right they part, each to its own estimate. The density below says which tau the data allow.
    (Gelman et al., Bayesian Data Analysis, 3rd ed., figures 5.5 to 5.7.) Lines have their labels at
    the right end; of more than 12 groups the three highest and the three lowest.

    Parameters
    ----------
    posterior : ExactPosterior, or a model that has one
        ``hm.exact.posterior(model)``, or the model itself.
    quantity : {"mean", "sd", "pooling_factor"}
        What is drawn against tau.
    tau : sequence of float, optional
        Where; by default up to the 99 % quantile of its posterior.
    ax : Axes, optional
        Where to draw; by default a new figure. Its lower quarter becomes the density's.

    Returns
    -------
    Axes
        The upper ones; the density's are the last of their figure.

    Raises
    ------
    OptionError
        Another quantity, or values that tau cannot have.
    """
    from mpl_toolkits.axes_grid1 import make_axes_locatable

    if quantity not in _IMPACTS:
        raise OptionError(
            f"quantity must be one of {listed(_IMPACTS)}, got {quantity!r}"
            f"{suggest(str(quantity), _IMPACTS)}"
        )
    posterior = exact_posterior(posterior)
    if tau is None:
        tau = _values(posterior)
    d = posterior.model.design
    # Value by value, the groups in their order; by position, as the group column may have any name.
    table = posterior.given_tau(tau)
    x = table["tau"].to_numpy()[:: d.J]
    by_group = table[quantity].to_numpy().reshape(-1, d.J)
    density = table["density"].to_numpy()[:: d.J]
    if ax is None:
        ax = style.new_axes(height=5.3)
    few = len(d.labels) <= len(style.LINES)
    for k, label in enumerate(d.labels):
        ax.plot(
            x,
            by_group[:, k],
            color=style.LINES[k] if few else style.INK,
            linestyle=style.DASHES[k % len(style.DASHES)] if few else "-",
            linewidth=1.4 if few else 0.6,
            alpha=1 if few else max(0.1, 0.5 * min(1, 60 / d.J)),
            label=str(label) if few else None,
        )
    unit = "" if quantity == "pooling_factor" else f", {d.response}"
    ax.set_ylabel(f"{_IMPACTS[quantity]}{unit}")
    more = "" if few else f" (J = {d.J})"
    ax.set_title(f"The impact of tau on each {d.group}{more}", loc="left")
    # At the ends rather than in a legend, where dashes and shades would have to be matched.
    named = np.argsort(by_group[-1], kind="stable")
    if not few:
        named = np.concatenate([named[:_NAMED], named[-_NAMED:]])
    writing.name_ends(ax, float(x[-1]), by_group[-1], [str(v) for v in d.labels], named)
    below = make_axes_locatable(ax).append_axes("bottom", size="28%", pad=0.12, sharex=ax)
    below.fill_between(x, density, color=style.BLUE, alpha=0.35, linewidth=0)
    below.plot(x, density, color=style.BLUE, linewidth=1)
    below.set_ylim(bottom=0)
    below.set_yticks([])
    below.set_ylabel("p(tau | y)")
    below.set_xlabel(f"tau, in the units of {d.response}")
    if not few:
        writing.note(below, f"labelled: the {_NAMED} highest and the {_NAMED} lowest lines")
    ax.tick_params(axis="x", labelbottom=False)
    below.set_xlim(0, float(x.max()))
    for each in (ax, below):
        style.despine(each)
    return ax


def _values(posterior: ExactPosterior) -> NDArray[np.float64]:
    """Values of tau from 0 on, closer together where its posterior is."""
    low, high = (float(posterior.quantile("tau", q)) for q in (0.005, 0.99))
    return np.union1d(np.linspace(0, high, 61), np.linspace(low, high, 41))


def exact_posterior(given: Any) -> ExactPosterior:
    """An exact posterior, or that of a model.

    Raises
    ------
    OptionError
        Something else.
    """
    from ..engines.exact import posterior as exact

    if isinstance(given, exact.ExactPosterior):
        return given
    if hasattr(given, "design") and hasattr(given, "priors"):
        return exact.posterior(given)
    if effects.is_container(given):
        raise OptionError(
            "the impact of tau is drawn from the exact posterior, got a container of draws; give "
            "the model, or hm.exact.posterior(model)"
        )
    raise OptionError(
        f"this picture is of a fit or of an exact posterior, got {type(given).__name__}; give what "
        "model.fit() returned, the model, or hm.exact.posterior(model)"
    )
