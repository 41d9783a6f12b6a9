"""The pictures of a report, each with a sentence that says what it shows."""

from __future__ import annotations

import base64
import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..models import symbols
from . import alternatives as words
from .subject import CALLED

if TYPE_CHECKING:
    from .subject import Subject

__all__ = ["Absent", "Drawn", "drawn"]

# Beyond this an SVG (thousands of points) is larger than the same picture in pixels.
_MOST_SVG = 250_000
_DPI = 160
_CSS_DPI = 96
_MOST_COEFFICIENTS = 4
_FEW = 12


@dataclass(frozen=True)
class Drawn:
    """A picture: what it is, what it shows, and itself as a data URI; its size in CSS pixels."""

    caption: str
    alt: str
    uri: str
    size: tuple[int, int]


@dataclass(frozen=True)
class Absent:
    """A picture that could not be drawn, and why."""

    caption: str
    reason: str


@dataclass(frozen=True)
class _Picture:
    """How to draw a picture, the sentence that stands for it, and whether pixels are smaller."""

    caption: str
    draw: Callable[[], Any]
    alt: Callable[[], str]
    dense: bool = False


def drawn(s: Subject) -> Iterator[Drawn | Absent]:
    """All pictures that fit what the report is about; those that cannot be drawn with a reason."""
    for picture in _chosen(s):
        try:
            with _own_settings():
                uri, size = _embedded(picture.draw(), picture.dense)
            yield Drawn(picture.caption, picture.alt(), uri, size)
        except Exception as error:  # a report is not lost for one of its pictures
            text = " ".join(str(error).split()) or type(error).__name__
            yield Absent(picture.caption, text)


# ---- which ---------------------------------------------------------------------------------------


def _of(coefficient: str | None) -> str:
    return "" if coefficient is None else f": {coefficient}"


def _chosen(s: Subject) -> Iterator[_Picture]:
    if s.lead == "partial":
        yield from _of_effects(s)
        yield from _of_lines(s)
    elif s.lead == "none":
        yield from _forests(s)
    yield from _of_priors(s)
    yield from _of_data(s)
    yield _trace(s)
    yield from _divergences(s)


def _of_effects(s: Subject) -> Iterator[_Picture]:
    from .. import plots

    for name in s.coefficients[:_MOST_COEFFICIENTS]:
        yield _Picture(
            f"Where partial pooling moves each {s.group}{_of(name)}",
            lambda name=name: plots.shrinkage(s.idata, coefficient=name),  # type: ignore[misc]
            lambda name=name: words.shrinkage(s, name),  # type: ignore[misc]
        )
    if s.comparison is not None:
        yield from _forests(s)
    if s.model_name == "OneWay":
        yield _Picture(
            f"Posterior means against the {s.group}s' own means",
            lambda: plots.raw_against_posterior(s.idata),
            lambda: words.against(s),
        )
    if s.model_name == "EightSchools" and s.model is not None:
        yield _Picture(
            f"What each {s.group} would be if tau were known",
            lambda: plots.impact_of_tau(s.model),
            lambda: words.impact(s),
        )


def _forests(s: Subject) -> Iterator[_Picture]:
    from .. import plots

    fits: Any = s.comparison if s.comparison is not None else s.idata
    for name in s.coefficients[:_MOST_COEFFICIENTS]:
        yield _Picture(
            f"Each {s.group} under {words.strategies(s)}{_of(name)}",
            lambda name=name: plots.forest(fits, coefficient=name),  # type: ignore[misc]
            lambda name=name: words.forest(s, name),  # type: ignore[misc]
        )


def _of_lines(s: Subject) -> Iterator[_Picture]:
    """Pictures of regressions."""
    if s.model_name != "VaryingSlopes":
        return
    from .. import plots

    names = [name for name in s.coefficients if name is not None]
    if len(names) > 1:
        yield _Picture(
            f"{names[0]} and {names[1]} of each {s.group}, and their population",
            lambda: plots.slopes_and_intercepts(s.idata),
            lambda: words.plane(s, names[0], names[1]),
        )
    slopes = [name for name in names if name != "Intercept"]
    fits: Any = s.comparison if s.comparison is not None else s.idata
    if slopes:
        for kind, what in (("multiples", "Lines of some groups"), ("spaghetti", "All lines")):
            yield _Picture(
                f"{what}: {s.response} against {slopes[0]}",
                lambda kind=kind: plots.group_lines(fits, kind=kind),  # type: ignore[misc]
                lambda: words.lines(s, slopes[0]),
                dense=kind == "multiples",
            )


def _of_priors(s: Subject) -> Iterator[_Picture]:
    from .. import plots

    known: Any = s.model
    if known is None:
        known = SimpleNamespace(priors=symbols.priors_of(s.attrs))
    if known.priors and any(name in s.posterior for name in words.HYPERPARAMETERS):
        yield _Picture(
            "What the data added to the priors",
            lambda: plots.prior_against_posterior(known, s.idata),
            lambda: words.prior(s),
        )


def _of_data(s: Subject) -> Iterator[_Picture]:
    from .. import plots

    # A density of few estimates would say little: each is drawn by itself.
    groups = _FEW if s.se is not None and len(s.labels) <= _FEW else None
    yield _Picture(
        f"Replicated data against the data, {CALLED.get(s.lead, 'this fit')}",
        lambda: plots.posterior_predictive(s.idata, groups=groups),
        lambda: words.replicated(s) if groups is None else words.replicated_by_group(s),
    )
    for unit in ("observation", "group"):
        if unit == "observation" and s.se is not None:
            continue  # there an observation is a group
        if unit == "group" and s.lead == "none":
            continue  # groups have no distribution
        what = f"one {s.group}" if unit == "group" else "one row"
        yield _Picture(
            f"How far leaving {what} out can be trusted, {CALLED.get(s.lead, 'this fit')}",
            lambda unit=unit: plots.pareto_k(s.loo(unit)),  # type: ignore[misc]
            lambda unit=unit: words.pareto(s, unit),  # type: ignore[misc]
            dense=unit == "observation",
        )


def _trace(s: Subject) -> _Picture:
    from .. import plots

    names = words.traced(s)
    return _Picture(
        "The chains",
        lambda: plots.trace(s.idata, names or None),
        lambda: words.chains(s),
        dense=True,
    )


def _divergences(s: Subject) -> Iterator[_Picture]:
    from .. import plots

    chains = s.checks[s.lead].chains
    if "divergences" not in chains or not chains["divergences"].sum():
        return
    if {"mu", "tau"} <= set(s.posterior):
        yield _Picture(
            "Where the draws diverged",
            lambda: plots.pairs(s.idata),
            lambda: words.diverged(s, int(chains["divergences"].sum())),
            dense=True,
        )


# ---- embedding -----------------------------------------------------------------------------------


@contextmanager
def _own_settings() -> Iterator[None]:
    """Matplotlib as it comes: a page looks the same whatever style its reader has set."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    before = set(plt.get_fignums())
    # A label may hold a dollar sign, and is no formula. Identifiers in an SVG follow from the salt.
    ours = {"text.parse_math": False, "svg.hashsalt": "hiermodels", "figure.max_open_warning": 0}
    with warnings.catch_warnings(), plt.ioff(), plt.style.context("default"), mpl.rc_context(ours):
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        try:
            yield
        finally:
            for number in set(plt.get_fignums()) - before:
                plt.close(number)


def _embedded(axes: Any, dense: bool) -> tuple[str, tuple[int, int]]:
    """The figure of some axes as a data URI: sharp lines where they are few, else pixels."""
    figure = np.asarray(axes, dtype=object).ravel()[0].figure.canvas.figure
    svg = b"" if dense else _saved(figure, format="svg", metadata={"Date": None})
    if dense or len(svg) > _MOST_SVG:
        kind, data, scale = "png", _saved(figure, format="png", dpi=_DPI), _DPI
        width, height = (float(int.from_bytes(data[k : k + 4], "big")) for k in (16, 20))
    else:
        kind, data, scale = "svg+xml", svg, 72
        tag = data[data.index(b"<svg") : data.index(b"<metadata")]
        found = [re.search(rb'%s="([\d.]+)pt"' % side, tag) for side in (b"width", b"height")]
        width, height = (float(side[1]) for side in found if side)
    size = (round(width * _CSS_DPI / scale), round(height * _CSS_DPI / scale))
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}", size


def _saved(figure: Any, **options: Any) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, bbox_inches="tight", **options)
    return out.getvalue()
