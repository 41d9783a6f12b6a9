"""Posterior predictive checks: replicated data against the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..container import inference_data
from ..errors import ContainerError, OptionError, count_of, listed, suggest
from . import choice, densities, style, writing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..container.inference_data import Container

Array = NDArray[np.float64]

_WHAT = "a posterior predictive picture"
_MOST_GROUPS = 12


def _sd(y: Array) -> Array:
    return np.asarray(np.std(y, axis=-1, ddof=1))


_STATISTICS: dict[str, Any] = {
    "mean": lambda y: np.mean(y, axis=-1),
    "sd": _sd,
    "min": lambda y: np.min(y, axis=-1),
    "max": lambda y: np.max(y, axis=-1),
}


class _Data(NamedTuple):
    """Rows, replicated rows (D, N), the group of each row, and what a row is called."""

    y: Array
    y_rep: Array
    jj: NDArray[np.intp] | None
    labels: list[str]
    group: str
    name: str
    noun: str


def posterior_predictive(
    idata: Container,
    *,
    statistic: str | None = None,
    groups: choice.Groups = None,
    draws: int = 50,
    seed: int = 0,
    ax: Axes | None = None,
    axes: Any = None,
) -> Axes | NDArray[Any]:
    """Draw replicated data against the data: their densities, or a statistic of each.

    Without ``statistic`` the density of the data is a thick line over those of some replications.
    With it, a histogram of T(y_rep) over all draws, T(y) as a line, and the posterior predictive
    p-value P(T(y_rep) >= T(y)) (Gelman et al., Bayesian Data Analysis, 3rd ed., section 6.3): near
    0 or 1 the model does not make such data.

    With ``groups`` there is a panel for each of some groups; without ``statistic`` its replicated
    rows of all draws are one density, and its own rows are ticks beneath. Where each group is one
    estimate (``EightSchools``) and they are few, that is the one to look at: a density of eight
    values says little.

    Parameters
    ----------
    idata : InferenceData or DataTree
        A fit with the group ``posterior_predictive``.
    statistic : {"mean", "sd", "min", "max"}, optional
        T.
    groups : sequence of labels, or int, optional
        Which groups, or how many at most (evenly by the mean of their rows).
    draws : int
        Number of replications whose densities are drawn.
    seed : int
        Of the choice of those.
    ax : Axes, optional
        Where to draw all rows; by default a new figure.
    axes : array of Axes, or Figure, optional
        Where to draw groups; by default a new figure.

    Returns
    -------
    Axes, or array of Axes, shape (groups,)
        The second where there are ``groups``.

    Raises
    ------
    ContainerError
        The container has no replicated data.
    OptionError
        There is no such statistic or group, or a group is too small for the statistic.
    """
    if statistic is not None and statistic not in _STATISTICS:
        raise OptionError(
            f"statistic must be one of {listed(_STATISTICS)}, got {statistic!r}"
            f"{suggest(str(statistic), _STATISTICS)}"
        )
    if (axes if groups is None else ax) is not None:
        wrong, right = ("axes", "ax") if groups is None else ("ax", "axes")
        given = "without groups" if groups is None else "with groups"
        raise OptionError(f"{_WHAT} {given} takes {right}=, got {wrong}=; pass it as {right}=")
    if draws < 1:
        raise OptionError(f"draws must be at least 1, got {draws!r}")
    data = _read(idata)
    if groups is not None:
        return _by_group(data, statistic, groups, axes)
    if statistic == "sd" and data.y.size < 2:
        raise OptionError("statistic='sd' needs 2 rows or more, got 1; use 'mean'")
    if ax is None:
        ax = style.new_axes()
    if statistic is None:
        _overlay(ax, data, draws, seed)
        title = f"{min(draws, len(data.y_rep))} of {len(data.y_rep)} replications of {data.name}"
        ax.set_title(title, loc="left")
        ax.set_yticks([])
        ax.set_ylabel("density")
        ax.set_xlabel(data.name)
    else:
        p = _statistic(ax, data.y, data.y_rep, statistic)
        ax.set_title(f"{statistic} of {data.name}: p = P(T(y_rep) >= T(y)) {_p(p)}", loc="left")
        ax.set_xlabel(f"T = {statistic} of {count_of(data.y.size, data.noun)} of {data.name}")
        ax.set_ylabel(f"replications (of {len(data.y_rep)})")
    style.legend(ax)
    style.despine(ax, "left")
    return ax


def _read(idata: Container) -> _Data:
    if not inference_data.has(idata, "posterior_predictive"):
        said = str(inference_data.attributes(idata).get("pointwise", ""))
        remedy = "model.add_pointwise(idata) adds it, from the rows and draws of the effects"
        raise ContainerError(
            f"{_WHAT} needs the group 'posterior_predictive', which the container does not have; "
            f"{said if 'add_pointwise' in said else '; '.join(filter(None, [said, remedy]))}"
        )
    found = inference_data.dataset(idata, "posterior_predictive")
    seen = inference_data.dataset(idata, "observed_data")
    names = [str(name) for name in found.data_vars if name in seen]
    if len(names) != 1:
        raise ContainerError(
            f"{_WHAT} needs one variable in both posterior_predictive and observed_data, got "
            f"{listed(names) or 'none'}; model.fit() names it as the response"
        )
    name = names[0]
    y = seen[name]
    y_rep = found[name].transpose("chain", "draw", *y.dims).to_numpy()
    index: NDArray[np.intp] | None = None
    group, labels, noun = "group", [], "row"
    constant = (
        inference_data.dataset(idata, "constant_data")
        if inference_data.has(idata, "constant_data")
        else None
    )
    if constant is not None and "group_index" in constant:
        index = constant["group_index"].to_numpy()
        if "group_size" in constant:
            (group,) = (str(dim) for dim in constant["group_size"].dims)
            labels = [str(label) for label in constant[group].to_numpy()]
        else:
            labels = [str(j) for j in range(int(index.max()) + 1)]
    elif y.dims and y.dims[0] != "observation":  # each group is one estimate
        group, noun = str(y.dims[0]), "estimate"
        labels = [str(label) for label in y[group].to_numpy()]
        index = np.arange(y.size)
    values = np.asarray(y.to_numpy(), dtype=np.float64)
    return _Data(values, y_rep.reshape(-1, values.size), index, labels, group, name, noun)


# ---- all rows -----------------------------------------------------------------------------------


def _overlay(ax: Axes, data: _Data, draws: int, seed: int) -> None:
    from matplotlib.collections import LineCollection

    total = len(data.y_rep)
    chosen = np.sort(
        np.random.default_rng(seed).choice(total, size=min(draws, total), replace=False)
    )
    curves = [densities.of_draws(data.y_rep[d]) for d in chosen]
    lines = LineCollection(
        [np.column_stack(curve) for curve in curves if curve is not None],
        colors=style.SKY,
        linewidths=0.7,
        alpha=0.7,
        label="y_rep: a replication",
    )
    ax.add_collection(lines)
    own = densities.of_draws(data.y)
    label = f"y: the data ({count_of(data.y.size, data.noun)})"
    if own is None:
        ax.axvline(data.y[0], color=style.INK, linewidth=2.2, label=label)
    else:
        ax.plot(*own, color=style.INK, linewidth=2.2, label=label)
    ax.autoscale_view()
    ax.set_ylim(bottom=0)
    # By the values: densities of few run out far beyond them.
    low, high = (float(f([f(data.y), f(data.y_rep[chosen])])) for f in (np.min, np.max))
    ax.set_xlim(low - 0.08 * (high - low), high + 0.08 * (high - low))


def _statistic(ax: Axes, y: Array, y_rep: Array, statistic: str) -> float:
    """Draw the histogram of a statistic, and its value; returns the p-value."""
    T = _STATISTICS[statistic]
    seen, replicated = float(T(y)), T(y_rep)
    ax.hist(replicated, bins=30, color=style.SKY, edgecolor="white", linewidth=0.4,
            label="T(y_rep)")  # fmt: skip
    ax.axvline(seen, color=style.INK, linewidth=2.2, label="T(y)")
    return float(np.mean(replicated >= seen))


def _p(p: float) -> str:
    """A p-value with its sign, no more certain than draws can make it."""
    return "< 0.001" if p < 0.001 else "> 0.999" if p > 0.999 else f"= {p:.3f}"


# ---- groups -------------------------------------------------------------------------------------


def _by_group(data: _Data, statistic: str | None, groups: choice.Groups, axes: Any) -> NDArray[Any]:
    if data.jj is None:
        raise ContainerError(
            f"{_WHAT} of groups needs the group of each row, and constant_data has no "
            "'group_index'; model.fit() puts it there"
        )
    J = len(data.labels)
    sums = np.bincount(data.jj, data.y, J) / np.bincount(data.jj, minlength=J)
    limit = choice.at_most(groups, _MOST_GROUPS)
    if limit is None:
        places = choice.places(data.labels, groups, data.group)
        which = "as asked"
    else:
        places = choice.evenly(np.argsort(sums, kind="stable"), limit)
        which = "evenly by mean"
    sizes = np.bincount(data.jj, minlength=J)[places]
    if statistic == "sd" and sizes.min() < 2:
        raise OptionError(
            "statistic='sd' needs groups of 2 rows or more, got "
            f"{data.labels[places[sizes.argmin()]]!r} with {sizes.min()}; leave it out of groups"
        )
    # Rows of all groups have one scale, their means may be far apart.
    share = (statistic is None, False)
    made = style.panels(len(places), columns=4, axes=axes, size=(2.4, 1.8), share=share)
    for ax, j in zip(made.axes, places, strict=True):
        rows = np.flatnonzero(data.jj == j)
        said = [f"n = {rows.size}"] if data.noun == "row" else []
        if statistic is None:
            _ticks(ax, data.y[rows], data.y_rep[:, rows], data.noun)
        else:
            p = _statistic(ax, data.y[rows], data.y_rep[:, rows], statistic)
            said.append(f"p {_p(p)}")
        more = f" ({', '.join(said)})" if said else ""
        ax.set_title(f"{writing.short(data.labels[j], 18)}{more}", loc="left", fontsize=8)
        ax.set_yticks([])
        style.despine(ax, "left")
    some = f"{len(places)} of {J} groups ({data.group}), {which}"
    some = some if len(places) < J else f"by {data.group}"
    head = f"{data.noun}s and their replications" if statistic is None else f"T = {statistic}"
    title = f"{data.name}: {head}\n{some}"
    if statistic is not None:
        title += "; p = P(T(y_rep) >= T(y))"
    made.label(data.name)
    names = made.axes[0].get_legend_handles_labels()[1]
    made.entitle(title, words={name: name for name in names}, ncols=2)
    return made.axes


def _ticks(ax: Axes, y: Array, y_rep: Array, noun: str) -> None:
    found = densities.of_draws(y_rep)
    top = 1.0
    if found is not None:
        top = float(found[1].max())
        ax.fill_between(*found, color=style.SKY, alpha=0.7, linewidth=0, label="y_rep, all draws")
    ax.plot(y, np.full(y.size, -0.06 * top), linestyle="none", marker="|", markersize=8,
            color=style.INK, label=f"y: its {noun}{'s' * (noun == 'row')}")  # fmt: skip
    ax.set_ylim(-0.14 * top, 1.05 * top)
