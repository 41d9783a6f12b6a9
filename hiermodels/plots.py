"""Pictures of a fit: each function draws on ``ax``, or on a new figure, and returns the axes.

Nothing is shown and no global setting is changed; :func:`save` writes a file.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from . import inference_data, summaries
from .errors import ContainerError, OptionError, listed, suggest

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from .exact import ExactPosterior
    from .inference_data import Container

__all__ = ["impact_of_tau", "raw_against_posterior", "save", "shrinkage"]

# Of Okabe and Ito's palette, which the colour-blind can tell apart; light and dark in grey as well.
_RAW, _POOLED, _MEAN, _LINK = "#D55E00", "#0072B2", "#333333", "#9A9A9A"

_LINES = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"),
    *("#333333", "#9A9A9A", "#8C510A", "#762A83", "#1B7837", "#C51B7D"),
)

_MOST_GROUPS = 60
# Up to here rows are drawn with large marks and letters.
_ROOMY = 25
_SUFFIXES = (".png", ".pdf", ".svg", ".jpg", ".jpeg")


class _Estimates(NamedTuple):
    """What the picture needs, group by group in the container's order."""

    labels: list[str]
    raw: NDArray[np.float64]
    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    centre: float
    quantity: str
    noun: str


def shrinkage(idata: Container, *, ax: Axes | None = None, var: str | None = None) -> Axes:
    """Draw each group's raw estimate and where partial pooling moves it.

    A hollow diamond is the group's own estimate (the given one in ``EightSchools``, the mean of its
    rows in ``OneWay``), a filled circle the posterior mean of its effect with the central 90 %
    interval; the dashed line is the posterior mean of ``mu``. Groups are ordered by raw estimate.
    Of more than 60 groups, 60 are shown, evenly spaced by rank, and the title says so.

    Parameters
    ----------
    idata : InferenceData or DataTree
        A fit of ``EightSchools`` or ``OneWay``: ``posterior`` with ``theta`` (chain, draw, group),
        ``observed_data``, and for ``OneWay`` ``constant_data`` with ``group_index``.
    ax : Axes, optional
        Where to draw; by default a new figure, as tall as the groups need.
    var : str, optional
        The variable of ``observed_data`` that holds the raw values; needed only if there are more.

    Returns
    -------
    Axes

    Raises
    ------
    ContainerError
        If the container lacks a group or a variable that the picture needs.
    OptionError
        If there is more than one coefficient a group, or ``var`` is not there.
    """
    import numpy as np

    estimates = _estimates(idata, var)
    total = len(estimates.labels)
    order = np.argsort(estimates.raw, kind="stable")
    if total > _MOST_GROUPS:
        order = order[np.round(np.linspace(0, total - 1, _MOST_GROUPS)).astype(int)]
    rows = np.arange(order.size)
    if ax is None:
        ax = _new_axes(order.size)
    _draw(ax, estimates, order, rows)

    ax.set_yticks(rows, [estimates.labels[j] for j in order])
    # Labels of many rows have to be small to stay apart.
    ax.tick_params(axis="y", length=0, labelsize=10 if order.size <= _ROOMY else 7)
    ax.set_ylim(-0.6, order.size - 0.2)
    ax.set_ylabel(estimates.noun)
    ax.set_xlabel(f"{estimates.quantity} (bar: central 90 % posterior interval)")
    shown = f" ({order.size} of {total} shown)" if order.size < total else ""
    ax.set_title(f"Shrinkage of each {estimates.noun}'s estimate{shown}", loc="left", pad=34)
    # Above the axes, where no group can be hidden by it.
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, borderaxespad=0.2)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    return ax


_IMPACTS = {
    "mean": "E(theta | tau, y)",
    "sd": "sd(theta | tau, y)",
    "pooling_factor": "pooling factor B",
}


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
    (Gelman et al., Bayesian Data Analysis, 3rd ed., figures 5.5 to 5.7.)

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
    posterior = _exact(posterior)
    d = posterior.model.design
    # Value by value, the groups in their order; by position, as the group column may have any name.
    table = posterior.given_tau(tau)
    x = table["tau"].to_numpy()[:: d.J]
    by_group = table[quantity].to_numpy().reshape(-1, d.J)
    density = table["density"].to_numpy()[:: d.J]
    if ax is None:
        ax = _new_axes(10)
    few = len(d.labels) <= len(_LINES)
    for k, label in enumerate(d.labels):
        colour = _LINES[k] if few else _LINK
        ax.plot(
            x, by_group[:, k], color=colour, linewidth=1.4 if few else 0.6,
            alpha=1 if few else 0.6, label=str(label) if few else None,
        )  # fmt: skip
    ax.set_ylabel(_IMPACTS[quantity])
    ax.set_title(f"The impact of tau on each {d.group}", loc="left")
    if few:
        ax.legend(frameon=False, fontsize="small", ncols=2, title=d.group)
    below = make_axes_locatable(ax).append_axes("bottom", size="28%", pad=0.12, sharex=ax)
    below.fill_between(x, density, color=_POOLED, alpha=0.35, linewidth=0)
    below.plot(x, density, color=_POOLED, linewidth=1)
    below.set_ylim(bottom=0)
    below.set_yticks([])
    below.set_ylabel("p(tau | y)")
    below.set_xlabel(f"tau, in the units of {d.response}")
    ax.tick_params(axis="x", labelbottom=False)
    below.set_xlim(0, float(x.max()))
    for each in (ax, below):
        for side in ("top", "right"):
            each.spines[side].set_visible(False)
    return ax


def raw_against_posterior(posterior: ExactPosterior | Any, *, ax: Axes | None = None) -> Axes:
    """Draw each group's posterior mean against its own estimate, the maximum of the likelihood.

    On the dotted line nothing would be pooled (tau -> infinity); on the dashed one everything (tau
    -> 0). Bars are central 90 % posterior intervals.

    Parameters
    ----------
    posterior : ExactPosterior, or a model that has one
        ``hm.exact.posterior(model)``, or the model itself.
    ax : Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    Axes
    """
    import numpy as np

    posterior = _exact(posterior)
    d = posterior.model.design
    table = posterior.limits()
    low, high = (posterior.quantile("theta", q).to_numpy() for q in (0.05, 0.95))
    if ax is None:
        ax = _new_axes(10)
    raw = table["estimate"].to_numpy()
    ends = np.array([raw.min(), raw.max()])
    ax.plot(ends, ends, color=_MEAN, linestyle=":", linewidth=1, label="no pooling")
    pooled = float(table["complete_pooling"].iloc[0])
    ax.axhline(pooled, color=_MEAN, linestyle="--", linewidth=1, label="complete pooling")
    ax.vlines(raw, low, high, color=_POOLED, linewidth=1, alpha=0.45)
    ax.plot(raw, table["mean"], "o", color=_POOLED, markersize=5, label="posterior mean")
    ax.set_xlabel(f"the {d.group}'s own estimate")
    ax.set_ylabel("theta")
    ax.set_title(f"Partial pooling of each {d.group}", loc="left")
    ax.legend(frameon=False)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    return ax


def _exact(given: Any) -> ExactPosterior:
    """An exact posterior, or that of a model."""
    from . import exact

    if isinstance(given, exact.ExactPosterior):
        return given
    if hasattr(given, "design") and hasattr(given, "priors"):
        return exact.posterior(given)
    raise OptionError(
        f"this picture is of an exact posterior, got {type(given).__name__}; give the model, or "
        "hm.exact.posterior(model)"
    )


def save(ax: Axes, path: str | os.PathLike[str]) -> Path:
    """Write the figure of some axes to a file, in the format of its suffix.

    Parameters
    ----------
    ax : Axes
    path : str or path
        Ending in ``.png``, ``.pdf``, ``.svg``, ``.jpg`` or ``.jpeg``; its folder has to exist.

    Returns
    -------
    Path
        Where it was written.

    Raises
    ------
    OptionError
        If the suffix is another one, or the file cannot be written.
    """
    file = Path(os.path.expanduser(path))
    if file.suffix.lower() not in _SUFFIXES:
        raise OptionError(f"a picture's name must end in {listed(_SUFFIXES)}; got {file.name!r}")
    # By way of the canvas: of axes in a sub-figure it is the whole figure, with every Matplotlib.
    figure = ax.figure.canvas.figure
    try:
        figure.savefig(file, dpi=150, bbox_inches="tight")
    except OSError as error:
        raise OptionError(f"cannot write {file}: {error.strerror or error}") from error
    return file


def _new_axes(rows: int) -> Axes:
    # Through pyplot, so that a notebook displays it and plt.show() finds it.
    import matplotlib.pyplot as plt

    height = 1.9 + rows * (0.34 if rows <= _ROOMY else 0.165)
    _, ax = plt.subplots(figsize=(7.2, height), layout="constrained")
    return ax


def _draw(ax: Axes, e: _Estimates, order: NDArray[Any], rows: NDArray[Any]) -> None:
    small = order.size > _ROOMY
    ax.axvline(
        e.centre, color=_MEAN, linestyle="--", linewidth=1, zorder=1, label="posterior mean of mu"
    )
    ax.hlines(rows, e.low[order], e.high[order], color=_POOLED, linewidth=1.0, alpha=0.55, zorder=2)
    # Raw estimates stand a little above their row, or intervals would hide the way to the pooled.
    above = rows + 0.28
    ax.plot([e.raw[order], e.mean[order]], [above, rows], color=_LINK, linewidth=1.1, zorder=2.5)
    ax.plot(
        e.raw[order],
        above,
        linestyle="none",
        marker="D",
        markersize=4.5 if small else 6.5,
        markerfacecolor="white",
        markeredgecolor=_RAW,
        markeredgewidth=1.4,
        zorder=4,
        label="raw estimate",
    )
    ax.plot(
        e.mean[order],
        rows,
        linestyle="none",
        marker="o",
        markersize=4.0 if small else 6.5,
        color=_POOLED,
        zorder=5,
        label="posterior mean",
    )


def _estimates(idata: Container, var: str | None) -> _Estimates:
    import numpy as np

    posterior = inference_data.dataset(idata, "posterior")
    summed = inference_data.has(idata, "effects_summary") and "theta" not in posterior
    for name in ("mu",) if summed else ("mu", "theta"):
        if name == "theta" and name not in posterior and summaries.left_out(idata):
            raise ContainerError(
                "a picture of shrinkage needs 'theta', which the fit left out (effects='none'); "
                "fit with effects='draws' or 'summary'"
            )
        if name not in posterior:
            raise ContainerError(
                f"a picture of shrinkage needs {name!r} in the posterior, which has "
                f"{listed(map(str, posterior.data_vars))}; fit with pooling='partial'"
            )
    theta = (inference_data.dataset(idata, "effects_summary") if summed else posterior)["theta"]
    coefficients = [str(d) for d in theta.dims if d not in ("chain", "draw", "statistic")]
    if len(coefficients) != 1 or set(posterior["mu"].dims) != {"chain", "draw"}:
        raise OptionError(
            "a picture of shrinkage needs one effect a group, as EightSchools and OneWay have; "
            f"theta has the dims {listed(coefficients)}; for VaryingSlopes use hm.summary(idata, "
            "'theta')"
        )
    (group,) = coefficients
    if summed:
        mean, low, high = (theta.sel(statistic=s).to_numpy() for s in ("mean", "q5", "q95"))
    else:
        draws = theta.transpose("chain", "draw", group).to_numpy().reshape(-1, theta.sizes[group])
        mean, (low, high) = draws.mean(axis=0), np.quantile(draws, (0.05, 0.95), axis=0)
    raw, quantity = _raw(idata, group, theta.sizes[group], var)
    labels = [str(label) for label in theta[group].to_numpy()]
    centre = float(posterior["mu"].mean())
    return _Estimates(labels, raw, mean, low, high, centre, quantity, group)


def _raw(
    idata: Container, group: str, size: int, var: str | None
) -> tuple[NDArray[np.float64], str]:
    """Raw estimate of each group, and the name of what is estimated."""
    import numpy as np

    observed = inference_data.dataset(idata, "observed_data")
    names = [str(name) for name in observed.data_vars]
    if var is None and len(names) != 1:
        raise OptionError(f"observed_data has {listed(names)}; say which by var=")
    name = names[0] if var is None else var
    if name not in names:
        raise OptionError(
            f"there is no variable {name!r} in observed_data; there are {listed(names)}"
            f"{suggest(name, names)}"
        )
    y = observed[name]
    values = np.asarray(y.to_numpy(), dtype=np.float64)
    if y.dims == (group,):
        return values, name
    constant = inference_data.dataset(idata, "constant_data")
    if "group_index" not in constant:
        raise ContainerError(
            "constant_data has no 'group_index', which says the group of each row; "
            "model.fit() puts it there"
        )
    jj = constant["group_index"].to_numpy()
    return np.bincount(jj, values, size) / np.bincount(jj, minlength=size), name
