"""The picture of docs/benchmarks.md: seconds to 1,000 effective draws, by rows and by groups."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import records

__all__ = ["draw", "points"]

# Shape and grey tell contenders apart without colour.
_STYLES = {
    "hiermodels": ("o", "black", "black"),
    "exact": ("_", "black", "black"),
    "centered": ("s", "0.45", "0.45"),
    "noncentered": ("s", "white", "0.45"),
    "pymc": ("^", "0.65", "black"),
    "pymc_nutpie": ("v", "white", "black"),
    "numpyro": ("D", "0.65", "black"),
    "pymc_nutpie_tuned": ("<", "white", "black"),
    "bambi": ("P", "white", "black"),
}
_FEW, _SMALL = 1000, 6


def points(recorded: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One point for each contender and case.

    Returns
    -------
    list of dict
        ``name``, ``label``, ``rows``, ``groups``, ``slopes`` (bool), ``seconds`` to 1,000 effective
        draws of the worst hyperparameter, from the call to the container in a fresh process, and
        ``over`` (bool): the limit was reached, and ``seconds`` is the limit.
    """
    out = []
    for record in recorded:
        for row in records.rows(record):
            if row.name not in _STYLES:
                continue
            over = row.note.startswith("limit reached")
            if row.rate is None and not over:
                continue
            seconds = record["settings"]["limit"] if row.rate is None else _FEW / row.rate.median
            out.append(
                {
                    "name": row.name,
                    "label": row.label,
                    "rows": record["rows"],
                    "groups": record["groups"],
                    "slopes": record["family"] == "varying_slopes",
                    "seconds": seconds,
                    "over": over,
                }
            )
    return out


def draw(recorded: list[dict[str, Any]], path: Path) -> None:
    """Draw all records and save the picture."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 5), sharey=True)
    everything = points(recorded)
    for ax, across in zip(axes, ("rows", "groups"), strict=True):
        for name, (marker, face, edge) in _STYLES.items():
            own = [p for p in everything if p["name"] == name]
            for slopes in (False, True):
                line = sorted(
                    (p[across], p["seconds"])
                    for p in own
                    if p["slopes"] == slopes and not p["over"]
                )
                if not line:
                    continue
                ax.plot(
                    *zip(*line, strict=True),
                    marker=marker,
                    markersize=_SMALL + 2 * (name == "hiermodels"),
                    markerfacecolor=face,
                    markeredgecolor=edge,
                    color=edge,
                    linewidth=1.5 if name == "hiermodels" else 0.7,
                    linestyle="--" if slopes else "-",
                )
            for p in own:
                if p["over"]:
                    # Side by side: they all stand at the limit.
                    place = p[across] * 1.35 ** list(_STYLES).index(name) / 1.35**3
                    ax.annotate(
                        "",
                        xy=(place, p["seconds"] * 3),
                        xytext=(place, p["seconds"]),
                        arrowprops={"arrowstyle": "->", "color": "black", "linewidth": 1.0},
                    )
                    ax.plot(
                        place,
                        p["seconds"],
                        marker=marker,
                        markersize=_SMALL,
                        markerfacecolor=face,
                        markeredgecolor=edge,
                        linestyle="none",
                    )
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xlabel(across)
        ax.grid(visible=True, which="major", color="0.9", linewidth=0.6)
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("seconds to 1,000 effective draws")
    _legend(figure, {p["name"]: p["label"] for p in everything})
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _legend(figure: Any, labels: dict[str, str]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [],
            [],
            marker=marker,
            markersize=_SMALL,
            markerfacecolor=face,
            markeredgecolor=edge,
            linestyle="none",
            label=labels[name],
        )
        for name, (marker, face, edge) in _STYLES.items()
        if name in labels
    ]
    handles += [
        Line2D([], [], color="black", linestyle="-", label="eight schools, one way"),
        Line2D([], [], color="black", linestyle="--", label="varying slopes"),
        Line2D([], [], color="black", marker=r"$\uparrow$", linestyle="none", label="not finished"),
    ]
    figure.tight_layout(rect=(0, 0.14, 1, 1))
    figure.legend(handles=handles, loc="lower center", ncols=4, frameon=False)
